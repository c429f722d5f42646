//! The Events that tell a person what became of an object, each brought about, beside the audit lines of the same writes.
//! It must not judge the words.

use genesys_cloud_simulator::{Fault, Operation, kubernetes::Progress};
use serde_json::json;

use crate::{
    adoption::{by_secret, found, kept},
    drift::settled,
    look::message,
    mishaps::{self, ROTATION_SECRET, edit, minutes, rotating, wipe_status},
    objects::{self, ORGANIZATION, TEAM},
    rotating::{CLIENTS, NAME, POLICY, monthly},
    scenario::{heard, once},
    world::{Plan, World},
};

/// How many Events of this type and reason there are of an object.
fn told(world: &World, name: &str, type_: &str, reason: &str) -> usize {
    let about = |event: &&serde_json::Value| event["involvedObject"]["name"] == name || event["regarding"]["name"] == name;
    world.list("events").iter().filter(about).filter(|event| event["reason"] == reason && event["type"] == type_).count()
}

/// An Event of the client, once.
async fn once_told(world: &World, type_: &str, reason: &str) {
    world.until(reason, |world| (told(world, NAME, type_, reason) > 0).then_some(())).await;
    assert_eq!(told(world, NAME, type_, reason), 1, "{reason} is told more than once");
}

/// The audit lines of an operation for a reason.
fn audited(log: &str, operation: &str, reason: &str) -> usize {
    let lines = log.lines().filter(|line| line.contains("audit: platform write"));
    let (operation, reason) = (format!("operation=\"{operation}\""), format!("reason=\"{reason}\""));
    lines.filter(|line| line.contains(&operation) && line.contains(&reason)).count()
}

#[test]
fn an_adopted_client_is_told_when_it_gets_the_marker_and_when_it_is_let_go() {
    let log = heard(Plan::new(971).with_events(), async |world| {
        assert_eq!(told(world, ORGANIZATION, "Normal", "LoggedIn"), 1, "the organization says where it logged in");
        let theirs = found(world, &json!({}));
        world.apply(&kept("old", &theirs.secret));
        world.declare(NAME, &by_secret(&theirs.id));
        world.settles(NAME).await;
        once_told(world, "Normal", "ClientAdopted").await;
        assert_eq!(told(world, NAME, "Normal", "ClientReleased"), 0);
        world.remove(CLIENTS, NAME).await;
        world.until("the object to go", |world| world.object(NAME).is_none().then_some(())).await;
        once_told(world, "Normal", "ClientReleased").await;
        assert!(world.simulator.client(&theirs.id).is_some(), "an adopted client stays");
    });
    assert_eq!((audited(&log, "UpdateClient", "adopt"), audited(&log, "UpdateClient", "deletion")), (1, 1), "{log}");
}

#[test]
fn a_secret_that_is_written_again_or_reset_is_told() {
    let log = heard(Plan::new(972).with_events(), async |world| {
        settled(world, NAME, &json!({ "scim": true })).await;
        assert_eq!(told(world, NAME, "Normal", "SecretReset") + told(world, NAME, "Normal", "SecretWritten"), 0);
        world.declare(NAME, &json!({ "scim": true, "credentialsSecret": { "name": "elsewhere" } }));
        world.until("the other Secret", |world| world.held("elsewhere")).await;
        once_told(world, "Normal", "SecretWritten").await;
        world.settles(NAME).await;
        for name in [NAME, "elsewhere"] {
            world.remove("secrets", name).await;
        }
        world.until("the Secret to be back", |world| world.held("elsewhere")).await;
        once_told(world, "Normal", "SecretReset").await;
        world.settles(NAME).await;
    });
    assert!(log.lines().any(|line| line.contains("audit: platform write") && line.contains("operation=\"ResetClientSecret\"")), "{log}");
}

#[test]
fn a_rotation_that_is_taken_back_is_told_before_and_after_the_publish() {
    for (seed, step) in [(973, "Verifying"), (974, "Draining")] {
        once(Plan::new(seed).with_events(), async |world| {
            rotating(world, step).await;
            assert_eq!(told(world, NAME, "Normal", "RotationAborted"), 0);
            world.request(NAME, "abort", "no").await;
            world.result(NAME, "Aborted").await;
            once_told(world, "Normal", "RotationAborted").await;
        });
    }
}

#[test]
fn an_emergency_that_resets_in_place_because_no_client_may_be_created_is_told() {
    let log = heard(Plan::new(975).with_events(), async |world| {
        let leaked = mishaps::settled(world).await;
        world.simulator.plant(Fault::status(Operation::CreateClient, 403).times(0));
        world.request(NAME, "rotate", "leak/Emergency").await;
        once_told(world, "Warning", "ResetInPlace").await;
        world.until("an end of the leaked one", |world| mishaps::is_rid_of(world, &leaked).then_some(())).await;
        world.simulator.clear_faults();
    });
    assert!(log.lines().any(|line| line.contains("audit: platform write") && line.contains("operation=\"ResetClientSecret\"")), "{log}");
}

#[test]
fn a_rotation_secret_that_no_rotation_needs_is_removed_and_that_is_told() {
    once(Plan::new(976).with_events(), async |world| {
        rotating(world, "Draining").await;
        wipe_status(world).await;
        minutes(90).await;
        assert!(world.get("secrets", TEAM, ROTATION_SECRET).is_none());
        once_told(world, "Normal", "SecretRemoved").await;
    });
}

#[test]
fn an_edit_that_a_draining_client_refuses_is_told_and_holds_nothing_up() {
    once(Plan::new(977).with_events(), async |world| {
        rotating(world, "Draining").await;
        // The published client takes the edit, the one that drains does not.
        world.simulator.plant(Fault::status(Operation::UpdateClient, 400).skipping(1));
        edit(world, &json!({ "description": "edited in the overlap" })).await;
        once_told(world, "Warning", "DrainingClientNotUpdated").await;
        world.client_shows(NAME, "Synced=True/Matches").await;
        assert!(world.simulator.faults().is_empty());
    });
}

#[test]
fn an_overlap_that_ends_before_a_workload_runs_with_the_new_credential_is_told() {
    once(Plan::new(978).with_events().flag("--rollout-targets=allowed"), async |world| {
        world.declare_policy(POLICY, &monthly()).await;
        world.apply(&objects::workload("Deployment", "web"));
        world.kubernetes.set_rollout("deployments", TEAM, "web", Progress::Complete);
        let spec = json!({ "rotationPolicyRef": { "name": POLICY }, "rolloutTargets": [{ "kind": "Deployment", "name": "web" }] });
        settled(world, NAME, &spec).await;
        world.request(NAME, "rotate", "one").await;
        world.step(NAME, "RollingOut").await;
        world.kubernetes.set_rollout("deployments", TEAM, "web", Progress::Updated(0));
        minutes(10).await;
        assert_eq!(told(world, NAME, "Warning", "RolloutUnfinished"), 0, "the overlap is not over");
        let object = world.object(NAME).expect("there");
        assert!(message(&object, "Rotating").contains("waiting for"), "{}", message(&object, "Rotating"));
        once_told(world, "Warning", "RolloutUnfinished").await;
        world.kubernetes.set_rollout("deployments", TEAM, "web", Progress::Complete);
        world.result(NAME, "Succeeded").await;
    });
}
