//! A lease that is renewed late: what changes something on the platform is kept back until then, whichever call it is.
//! Believes no log.

use std::time::Duration;

use genesys_cloud_simulator::{
    Operation,
    kubernetes::{Fault, FaultKind, Verb},
};
use serde_json::{Value, json};

use crate::{
    availability::{LOOK, Replica, furnish, holder, holds, lease},
    look::summary,
    mishaps::calls,
    process::OPERATOR,
    rotating::CLIENTS,
    scenario::once,
    world::{Plan, World},
};

/// What is wished for while too little of the lease is left, and while it is fresh: what is kept back would go at once.
const NAMES: [&str; 6] = ["one", "two", "three", "four", "five", "six"];
/// How soon what is wished for is done while the lease is fresh. Less than what is left until a late renewal.
const AT_ONCE: Duration = Duration::from_secs(2);

/// A replica that holds the lease, of an organization that is Ready.
async fn replica(world: &World) -> Replica {
    furnish(world);
    let first = Replica::start(world, "first");
    holds(world, "first").await;
    world.organization_shows("Ready=True/Available").await;
    first
}

/// Waits for a renewal, and gives its time.
async fn renewal(world: &World) -> Value {
    let renewed = lease(world)["renewTime"].clone();
    world.until("a renewal", |world| (lease(world)["renewTime"] != renewed).then_some(())).await;
    lease(world)["renewTime"].clone()
}

/// Lets renewals fail until what is left of the lease covers no call any more, wishes for something, and holds that no call of this
/// kind is made before a renewal succeeds again.
async fn kept_back(world: &World, operation: Operation, wish: impl AsyncFnOnce()) {
    let renewed = renewal(world).await;
    let refused = Fault::new(FaultKind::Status(503)).verb(Verb::Update).resource("coordination.k8s.io", "leases").user(OPERATOR);
    world.kubernetes.plant(refused.times(3));
    tokio::time::sleep(Duration::from_millis(5600)).await;
    let made = calls(world, operation);
    wish().await;
    let mut kept_back = Duration::ZERO;
    while lease(world)["renewTime"] == renewed {
        kept_back += LOOK;
        assert_eq!(calls(world, operation), made, "a call of {operation:?} whose answer could come after the lease's end");
        tokio::time::sleep(LOOK).await;
    }
    assert!(kept_back >= AT_ONCE, "the lease was renewed before anything was kept back: {kept_back:?}");
    for object in world.list(CLIENTS).into_iter().chain(world.organization()) {
        assert!(!summary(Some(&object)).contains("can't be worked"), "{}", summary(Some(&object)));
    }
    world.until("what was kept back", |world| (calls(world, operation) >= made + NAMES.len()).then_some(())).await;
    assert_eq!(holder(world).as_deref(), Some("first"));
}

/// The same wish for others while the lease is fresh: its calls are made sooner than a late renewal comes.
async fn made_at_once(world: &World, operation: Operation, wish: impl AsyncFnOnce()) {
    renewal(world).await;
    let made = calls(world, operation);
    wish().await;
    tokio::time::sleep(AT_ONCE).await;
    assert!(calls(world, operation) > made, "{operation:?} would not come within {AT_ONCE:?}, fence or not");
}

async fn each(names: impl Iterator<Item = String>, what: impl AsyncFn(&str)) {
    for name in names {
        what(&name).await;
    }
}

fn others() -> impl Iterator<Item = String> {
    NAMES.iter().map(|name| format!("other-{name}"))
}

fn these() -> impl Iterator<Item = String> {
    NAMES.iter().map(|name| (*name).to_owned())
}

#[test]
fn a_lease_that_is_renewed_late_is_told_as_no_outage_of_the_platform() {
    once(Plan::new(56).bare(), async |world| {
        let first = replica(world).await;
        let declare = async |name: &str| world.declare(name, &json!({}));
        made_at_once(world, Operation::CreateClient, async || each(others(), declare).await).await;
        each(others(), async |name| world.settles(name).await).await;
        kept_back(world, Operation::CreateClient, async || each(these(), declare).await).await;
        each(these(), async |name| world.settles(name).await).await;
        first.kill();
    });
}

#[test]
fn an_edit_is_kept_back_while_the_lease_is_renewed_late() {
    once(Plan::new(58).bare(), async |world| {
        let first = replica(world).await;
        each(others().chain(these()), async |name| world.declare(name, &json!({}))).await;
        each(others().chain(these()), async |name| world.settles(name).await).await;
        let edit = async |name: &str| world.declare(name, &json!({ "accessTokenValiditySeconds": 7200 }));
        made_at_once(world, Operation::UpdateClient, async || each(others(), edit).await).await;
        kept_back(world, Operation::UpdateClient, async || each(these(), edit).await).await;
        each(others().chain(these()), async |name| {
            world.settles(name).await;
            assert_eq!(world.client_of(name).access_token_validity_seconds, 7200);
        })
        .await;
        first.kill();
    });
}

#[test]
fn a_deletion_is_kept_back_while_the_lease_is_renewed_late() {
    once(Plan::new(59).bare(), async |world| {
        let first = replica(world).await;
        // Of a client that is inactive already, for which the deletion is the only call.
        each(others().chain(these()), async |name| world.declare(name, &json!({ "state": "Inactive" }))).await;
        each(others().chain(these()), async |name| drop(world.client_shows(name, "Ready=False/Inactive").await)).await;
        let remove = async |name: &str| world.remove(CLIENTS, name).await;
        made_at_once(world, Operation::DeleteClient, async || each(others(), remove).await).await;
        kept_back(world, Operation::DeleteClient, async || each(these(), remove).await).await;
        each(others().chain(these()), async |name| world.goes(name).await).await;
        first.kill();
    });
}
