//! A replica that is asked to stop while many objects wait: it begins nothing more, ends what is under way, and leaves the rest to the next one.

use std::time::Duration;

use genesys_cloud_simulator::{
    Fault as PlatformFault, FaultKind as PlatformFaultKind, Operation, RateWindow,
    kubernetes::{Fault, FaultKind, Verb},
};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    availability::{Replica, furnish, holds, takeover},
    mishaps::calls,
    process::OPERATOR,
    scenario::once,
    world::{Plan, World},
};

/// More than the budget lets through in the time that an end may take.
const CLIENTS: usize = 80;
/// The usual `--shutdown-grace`: what takes longer is cut.
const GRACE: Duration = Duration::from_secs(25);

/// The objects whose last call was begun and not brought to its end.
fn intents(world: &World) -> usize {
    world.list("genesysoauthclients").iter().filter(|object| !object["status"]["intent"].is_null()).count()
}

#[test]
fn what_waits_is_left_to_the_next_replica_and_what_was_begun_is_finished() {
    let plan = Plan::new(71).bare().flag("--max-concurrent-reconciles=8").platform(|settings| {
        settings.rate_window = RateWindow::Sliding;
        settings.requests_per_minute = Some(60);
        settings.maximum_clients = None;
    });
    once(plan, async |world| {
        furnish(world);
        world.declare_organization(&json!({ "requestsPerMinute": 60 }));
        let mut first = Replica::start(world, "first");
        holds(world, "first").await;
        world.organization_shows("Ready=True/Available").await;
        let names: Vec<String> = (0..CLIENTS).map(|number| format!("client-{number}")).collect();
        for name in &names {
            world.declare(name, &json!({}));
        }
        world.until("some clients", |world| (calls(world, Operation::CreateClient) >= 10).then_some(())).await;
        let second = Replica::start(world, "second");
        let (begun, before) = (Instant::now(), calls(world, Operation::CreateClient));
        first.terminate();
        assert!(matches!(first.operator.task.await, Ok(Ok(()))), "it ended as it was asked to");
        let lasted = begun.elapsed();
        assert!(lasted < GRACE, "passes were cut after {lasted:?}");
        assert_eq!(intents(world), 0, "a step was begun and not brought to its end");
        let created = calls(world, Operation::CreateClient) - before;
        assert!(created <= 8, "{created} clients were created by a process that was asked to stop");
        takeover(world, "second").await;
        for name in &names {
            world.settles(name).await;
        }
        assert_eq!(world.simulator.other_clients().len(), CLIENTS, "one client for each object");
        second.kill();
    });
}

#[test]
fn rotations_and_edits_that_were_begun_survive_a_stop_with_all_their_secrets() {
    let plan = Plan::new(72).bare().flag("--max-concurrent-reconciles=8");
    once(plan.platform(|settings| settings.maximum_clients = None), async |world| {
        furnish(world);
        let mut first = Replica::start(world, "first");
        holds(world, "first").await;
        let names: Vec<String> = (0..16).map(|number| format!("client-{number}")).collect();
        for name in &names {
            world.declare(name, &json!({}));
        }
        for name in &names {
            world.settles(name).await;
        }
        world.declare_organization(&json!({ "requestsPerMinute": 30 }));
        for (number, name) in names.iter().enumerate() {
            match number % 2 {
                0 => world.request(name, "rotate", "now").await,
                _ => world.declare(name, &json!({ "accessTokenValiditySeconds": 7200 })),
            }
        }
        tokio::time::sleep(Duration::from_secs(11)).await;
        let second = Replica::start(world, "second");
        let begun = Instant::now();
        first.terminate();
        assert!(matches!(first.operator.task.await, Ok(Ok(()))), "it ended as it was asked to");
        assert!(begun.elapsed() < GRACE, "passes were cut after {:?}", begun.elapsed());
        assert_eq!(intents(world), 0, "a step was begun and not brought to its end");
        takeover(world, "second").await;
        // A rotation that the first one did not begin, the next one does.
        for name in names.iter().step_by(2) {
            world.until("the rotation", |world| (world.status(name)["lastHandledRotateRequest"] == "now").then_some(())).await;
        }
        world.until_rotations_end().await;
        for name in &names {
            world.settles(name).await;
        }
        assert_eq!(world.simulator.other_clients().len(), names.len(), "one client for each object");
        second.kill();
    });
}

#[test]
fn a_secret_that_this_process_alone_knows_is_stored_at_its_stop_also_where_its_pass_waits() {
    let plan = Plan::new(73).bare().flag("--max-concurrent-reconciles=1");
    once(plan, async |world| {
        furnish(world);
        let mut first = Replica::start(world, "first");
        holds(world, "first").await;
        // The platform makes no second client for SCIM: its secret is reset in place.
        world.declare("provisioning", &json!({ "scim": true }));
        world.declare("billing", &json!({}));
        for name in ["provisioning", "billing"] {
            world.settles(name).await;
        }
        let former = world.held("provisioning").expect("a credential");
        // The first one only tries whether the Secret can be written.
        let refusal = Fault::new(FaultKind::Status(500)).verb(Verb::Update).resource("", "secrets").user(OPERATOR).after(1).times(0);
        world.kubernetes.plant(refusal);
        world.request("provisioning", "rotate", "now").await;
        world.until("the reset", |_| (calls(world, Operation::ResetClientSecret) == 1).then_some(())).await;
        // Somebody else takes the only place before the next try.
        world.simulator.plant(PlatformFault::on(Operation::GetClient, PlatformFaultKind::Hang));
        world.declare("billing", &json!({ "accessTokenValiditySeconds": 7200 }));
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert!(world.held("provisioning").is_some_and(|held| held == former), "the new secret is in this process alone");
        world.kubernetes.clear_faults();
        let second = Replica::start(world, "second");
        first.terminate();
        assert!(matches!(first.operator.task.await, Ok(Ok(()))), "it ended as it was asked to");
        let held = world.held("provisioning").expect("a credential");
        assert!(held != former && world.works(&held), "the secret went with the process that knew it");
        takeover(world, "second").await;
        for name in ["provisioning", "billing"] {
            world.settles(name).await;
        }
        assert_eq!(calls(world, Operation::ResetClientSecret), 1, "nothing had to be recovered");
        second.kill();
    });
}
