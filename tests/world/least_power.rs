//! Least power, shown by use: the stories here together take every verb that the chart grants. That no story takes another one is shown by the
//! closing of each world. It must not grant anything itself.

use std::{sync::Arc, time::Duration};

use genesys_cloud_simulator::{
    OPERATOR_CLIENT_SECRET,
    kubernetes::{Fault, FaultKind, Progress, Verb},
};
use genesys_oauth_operator::api;
use serde_json::{Value, json};

use crate::{
    availability::{Replica, furnish, holds},
    objects::{self, ORGANIZATION, TEAM},
    process::OPERATOR,
    rotating::{CLIENTS, NAME, POLICY, monthly},
    scenario::once,
    world::{Plan, World},
};

/// The kinds of workloads that can be restarted, with the resource of each.
const WORKLOADS: [(&str, &str); 3] = [("Deployment", "deployments"), ("StatefulSet", "statefulsets"), ("DaemonSet", "daemonsets")];

/// Everything that takes a right: two replicas, an organization, a policy, and clients that are made, rotated, disturbed and deleted.
async fn everything(world: &Arc<World>, targets: &[(&str, &str)]) {
    furnish(world);
    let mut first = Replica::start(world, "first");
    holds(world, "first").await;
    // It waits for the lease, and so follows it.
    let second = Replica::start(world, "second");
    world.organization_shows("Ready=True/Available").await;
    world.declare_policy(POLICY, &monthly()).await;
    rotated(world, targets).await;
    disturbed(world).await;
    deleted(world).await;
    told_again(world).await;
    first.terminate();
    first.operator.task.await.expect("no panic").expect("it ended as it was asked to");
    holds(world, "second").await;
    second.kill();
}

/// A rotation takes another Secret for as long as it lasts, and restarts what it is told to.
async fn rotated(world: &World, targets: &[(&str, &str)]) {
    for (kind, resource) in targets {
        world.apply(&objects::workload(kind, "web"));
        world.kubernetes.set_rollout(resource, TEAM, "web", Progress::Complete);
    }
    let targets: Vec<Value> = targets.iter().map(|(kind, _)| json!({ "kind": kind, "name": "web" })).collect();
    world.declare(NAME, &json!({ "rotationPolicyRef": { "name": POLICY }, "rolloutTargets": targets }));
    world.settles(NAME).await;
    let former = world.published(NAME);
    world.request(NAME, "rotate", "one").await;
    world.until("the next credential", |world| world.published(NAME).filter(|now| Some(now) != former.as_ref())).await;
    for (_, resource) in WORKLOADS {
        world.kubernetes.set_rollout(resource, TEAM, "web", Progress::Complete);
    }
    world.until_rotations_end().await;
    world.settles(NAME).await;
}

/// Somebody writes to the object between a call and the write that tells of its outcome: the operator reads it again.
async fn disturbed(world: &World) {
    let outcome = Fault::new(FaultKind::Conflict).verb(Verb::Update).resource(api::GROUP, CLIENTS).subresource("status").name("kept");
    // The first write of its status says that it is seen, the second one holds the intent.
    world.kubernetes.plant(outcome.user(OPERATOR).after(2).times(1));
    world.declare("kept", &json!({ "deletionPolicy": "Orphan" }));
    world.settles("kept").await;
    assert!(world.no_fault_is_left(), "the conflict struck");
}

/// One Secret goes with its object, the other one stays and loses its owner.
async fn deleted(world: &World) {
    for name in [NAME, "kept"] {
        world.remove(CLIENTS, name).await;
        world.until("the object to go", |world| world.object(name).is_none().then_some(())).await;
    }
    assert!(world.get("secrets", TEAM, NAME).is_none() && world.get("secrets", TEAM, "kept").is_some());
}

/// The same is told twice in a short time, of an object of the cluster and of one of a namespace.
async fn told_again(world: &World) {
    world.declare("told", &json!({}));
    world.settles("told").await;
    for turn in 0..2 {
        world.give_credential("not-the-secret-of-the-operators-client-000000");
        world.organization_shows("Ready=False").await;
        world.give_credential(OPERATOR_CLIENT_SECRET);
        world.organization_shows("Ready=True/Available").await;
        let seconds = 3600 * (turn + 2);
        world.declare("told", &json!({ "accessTokenValiditySeconds": seconds }));
        world.until("the edit", |world| (world.client_of("told").access_token_validity_seconds == seconds).then_some(())).await;
        tokio::time::sleep(Duration::from_secs(70)).await;
    }
    let series = world.list("events").into_iter().filter(|event| !event["series"].is_null());
    let mut kinds: Vec<String> = series.map(|event| event["involvedObject"]["kind"].to_string()).collect();
    kinds.sort();
    kinds.dedup();
    assert_eq!(kinds, ["\"GenesysOAuthClient\"", "\"GenesysOrganization\""], "about {ORGANIZATION} and a client");
}

/// What of an install's rights nobody used, and how many there are; that nothing else is asked for is shown at the end of every world.
pub fn unused(plan: Plan, targets: &[(&str, &str)]) -> (Vec<String>, usize) {
    let (unused, _) = once(plan.bare().with_events(), async |world| {
        everything(world, targets).await;
        (world.rights.unused(&world.kubernetes.log()), world.rights.count())
    });
    unused
}

fn uses_all((plan, targets): (Plan, &[(&str, &str)])) {
    let (unused, _) = unused(plan, targets);
    assert!(unused.is_empty(), "the chart grants what nobody uses: {unused:#?}");
}

/// An install for the whole cluster.
pub fn for_the_cluster() -> (Plan, &'static [(&'static str, &'static str)]) {
    (Plan::new(281), &[])
}

/// The same, which may restart workloads.
pub fn that_restarts() -> (Plan, &'static [(&'static str, &'static str)]) {
    (Plan::new(282).flag("--rollout-targets=allowed"), &WORKLOADS)
}

/// One for a namespace.
pub fn for_a_namespace() -> (Plan, &'static [(&'static str, &'static str)]) {
    (Plan::new(283).flag("--watch-namespace=team-a").flag("--rollout-targets=allowed"), &WORKLOADS)
}

#[test]
fn an_install_for_the_cluster_uses_every_right_that_the_chart_grants() {
    uses_all(for_the_cluster());
}

#[test]
fn an_install_that_restarts_workloads_uses_every_right_that_the_chart_grants() {
    uses_all(that_restarts());
}

#[test]
fn an_install_for_one_namespace_uses_every_right_that_the_chart_grants() {
    uses_all(for_a_namespace());
}
