//! What goes wrong in the middle of a rotation: edits, lost Secrets, refusals of the platform, requests that meet. Each story says what is
//! promised of it; none plans an end of the operator.

use std::{collections::BTreeSet, time::Duration};

use genesys_cloud_simulator::{Fault, FaultKind, Operation};
use serde_json::json;

use crate::{
    look::{condition, shows},
    mishaps::{ROTATION_SECRET, active, at_step, calls, edit, edit_secret, is_rid_of, minutes, picture, rotating, settled, wipe_status},
    objects::TEAM,
    rotating::{CLIENTS, NAME},
    scenario::{once, scenario},
    world::{World, path},
};

/// The object is made inactive: within this time no client of it works, and it works again when it is made active.
async fn is_inactive_as_long_as_wished(world: &World, within_minutes: u64) {
    edit(world, &json!({ "state": "Inactive" })).await;
    minutes(within_minutes).await;
    assert!(active(world).is_empty(), "state: Inactive, and a client works: {}", picture(world));
    edit(world, &json!({ "state": "Active" })).await;
    world.client_shows(NAME, "Ready=True").await;
    assert!(world.published(NAME).is_some(), "{}", picture(world));
}

#[test]
fn made_inactive_before_the_publish_no_client_works() {
    once(101, async |world| {
        rotating(world, "Verifying").await;
        is_inactive_as_long_as_wished(world, 90).await;
    });
}

#[test]
fn made_inactive_in_the_overlap_no_client_works() {
    once(102, async |world| {
        rotating(world, "Draining").await;
        is_inactive_as_long_as_wished(world, 15).await;
    });
}

#[test]
fn a_wiped_status_in_the_overlap_leaves_no_rotation_secret() {
    once(103, async |world| {
        rotating(world, "Draining").await;
        wipe_status(world).await;
        minutes(90).await;
        assert!(world.is_settled(NAME), "{}", picture(world));
        assert!(world.get("secrets", TEAM, ROTATION_SECRET).is_none(), "two credentials stay in it: {}", picture(world));
    });
}

#[test]
fn a_rotation_whose_status_was_wiped_does_not_block_the_next() {
    once(104, async |world| {
        let former = settled(world).await;
        world.simulator.plant(Fault::on(Operation::CreateClient, FaultKind::LostResponse).times(1));
        world.request(NAME, "rotate", "one").await;
        world.step(NAME, "Verifying").await;
        wipe_status(world).await;
        minutes(90).await;
        assert!(world.is_settled(NAME), "{}", picture(world));
        world.request(NAME, "rotate", "two").await;
        minutes(60).await;
        assert_eq!(world.status(NAME)["lastRotation"]["request"], "two", "{}", picture(world));
        assert_ne!(world.published(NAME), Some(former.client_id));
    });
}

#[test]
fn both_secrets_lost_in_the_overlap_come_back() {
    once(105, async |world| {
        rotating(world, "Draining").await;
        world.remove("secrets", NAME).await;
        world.remove("secrets", ROTATION_SECRET).await;
        minutes(20).await;
        assert!(world.published(NAME).is_some(), "no credential is published: {}", picture(world));
    });
}

#[test]
fn a_secret_spoilt_in_the_overlap_is_repaired_from_the_rotation_secret() {
    once(106, async |world| {
        rotating(world, "Draining").await;
        let next = world.published(NAME);
        edit_secret(world, NAME, &json!({ "stringData": { "clientSecret": "garbage" } })).await;
        assert_eq!(world.published(NAME), None, "the edit is in the Secret");
        minutes(20).await;
        assert_eq!(world.published(NAME), next, "the rotation Secret holds the credential: {}", picture(world));
    });
}

#[test]
fn an_emergency_beats_an_abort_that_came_with_it() {
    once(107, async |world| {
        let first = rotating(world, "Draining").await.client_id;
        let second = world.published(NAME).expect("a credential");
        let both = json!({ "oauth.genesys-operator.io/abort": "no", "oauth.genesys-operator.io/rotate": "leak/Emergency" });
        world.annotate(CLIENTS, NAME, &both).await;
        minutes(60).await;
        assert_eq!((world.state_of(&first), world.state_of(&second)), (None, None), "{}", picture(world));
    });
}

/// The Secret is lost, and something keeps the repair from a second client: it is back soon by a reset, or the operator pauses. When the
/// obstacle is gone it is back in any case.
async fn a_lost_secret_costs_little(world: &World, unblock: impl AsyncFnOnce()) {
    let (writes, creates) = (world.writes(), calls(world, Operation::CreateClient));
    world.remove("secrets", NAME).await;
    for _ in 0..120 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let (writes, creates) = (world.writes() - writes, calls(world, Operation::CreateClient) - creates);
        assert!(writes <= 100 && creates <= 20, "{writes} writes and {creates} creates within twenty minutes: {}", picture(world));
    }
    unblock().await;
    world.until("the Secret to be back", |world| world.published(NAME)).await;
}

#[test]
fn a_lost_secret_beside_a_foreign_rotation_secret_costs_little() {
    once(108, async |world| {
        settled(world).await;
        world.apply(&json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": ROTATION_SECRET, "namespace": TEAM }, "stringData": { "a": "b" },
        }));
        let foreign = world.get("secrets", TEAM, ROTATION_SECRET);
        a_lost_secret_costs_little(world, async || {
            assert_eq!(world.get("secrets", TEAM, ROTATION_SECRET), foreign, "a foreign Secret is left alone");
            world.remove("secrets", ROTATION_SECRET).await;
        })
        .await;
    });
}

#[test]
fn a_lost_secret_where_no_client_may_be_created_costs_little() {
    once(109, async |world| {
        settled(world).await;
        let full = Fault { code: Some("auth.too.many.clients".into()), ..Fault::status(Operation::CreateClient, 400).times(0) };
        world.simulator.plant(full);
        a_lost_secret_costs_little(world, async || world.simulator.clear_faults()).await;
    });
}

#[test]
fn a_lost_secret_where_the_platform_refuses_the_create_costs_little() {
    once(141, async |world| {
        settled(world).await;
        world.simulator.plant(Fault::status(Operation::CreateClient, 403).times(0));
        a_lost_secret_costs_little(world, async || world.simulator.clear_faults()).await;
    });
}

/// A rotation whose create is lost ends, and one client is left of it all.
async fn one_client_is_left(world: &World) {
    minutes(150).await;
    let left = world.simulator.other_clients().len();
    assert_eq!(left, 1, "{left} clients are left: {}", picture(world));
    assert!(world.is_settled(NAME), "{}", picture(world));
}

#[test]
fn a_lost_client_whose_reset_is_refused_is_retired() {
    once(110, async |world| {
        settled(world).await;
        world.simulator.plant(Fault::on(Operation::CreateClient, FaultKind::LostResponse).times(1));
        world.simulator.plant(Fault::status(Operation::ResetClientSecret, 403).times(1));
        world.request(NAME, "rotate", "one").await;
        one_client_is_left(world).await;
    });
}

#[test]
fn a_lost_client_that_somebody_made_inactive_is_retired() {
    once(111, async |world| {
        let former = settled(world).await.client_id;
        world.simulator.plant(Fault::on(Operation::CreateClient, FaultKind::LostResponse).times(1));
        world.request(NAME, "rotate", "one").await;
        let lost = world
            .until("the lost client", |world| world.simulator.other_clients().into_iter().map(|client| client.id).find(|id| *id != former))
            .await;
        world.simulator.edit_client(&lost, &json!({ "state": "inactive" })).expect("the edit is taken");
        one_client_is_left(world).await;
    });
}

#[test]
fn a_rotation_that_was_started_ends_although_access_was_withdrawn() {
    once(112, async |world| {
        let former = rotating(world, "Verifying").await.client_id;
        let withdrawn = json!({ "spec": { "access": [] } });
        world.ask(http::Method::PATCH, &path("genesysorganizations", ("", "acme")), &withdrawn).await.expect("the edit is taken");
        minutes(90).await;
        assert!(world.published(NAME).is_some_and(|id| id != former), "{}", picture(world));
        assert_eq!(world.state_of(&former), None, "{}", picture(world));
        assert!(shows(&world.object(NAME).expect("there"), "Stalled=True/AccessDenied"), "{}", picture(world));
    });
}

#[test]
fn an_emergency_does_not_wait_for_an_edit_that_is_refused() {
    once(113, async |world| {
        let leaked = settled(world).await;
        edit(world, &json!({ "roles": [{ "role": "no such role" }] })).await;
        world.stalls(NAME, "RoleNotFound", &["no such role"]).await;
        world.request(NAME, "rotate", "leak/Emergency").await;
        minutes(30).await;
        assert!(is_rid_of(world, &leaked), "the leaked secret lives on: {}", picture(world));
    });
}

#[test]
fn an_emergency_whose_new_client_goes_ends_the_leaked_credential_all_the_same() {
    once(114, async |world| {
        let leaked = settled(world).await;
        world.request(NAME, "rotate", "leak/Emergency").await;
        at_step(world, "Verifying").await;
        let next = world.status(NAME)["rotation"]["current"]["clientId"].as_str().expect("an id").to_owned();
        assert!(world.simulator.remove_client(&next));
        minutes(60).await;
        assert!(is_rid_of(world, &leaked), "the leaked secret lives on: {}", picture(world));
    });
}

#[test]
fn an_abort_ends_a_pause_at_once() {
    scenario(115, async |world| {
        rotating(world, "Verifying").await;
        world.simulator.plant(Fault::status(Operation::GetToken, 503).times(0));
        minutes(41).await;
        world.request(NAME, "abort", "no").await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(world.status(NAME)["lastRotation"]["result"], "Aborted", "{}", picture(world));
    });
}

#[test]
fn a_rotation_that_waits_for_room_costs_little() {
    once(116, async |world| {
        rotating(world, "Draining").await;
        wipe_status(world).await;
        minutes(3).await;
        world.request(NAME, "rotate", "two").await;
        let before = calls(world, Operation::GetClient);
        minutes(30).await;
        let made = calls(world, Operation::GetClient) - before;
        assert!(made <= 30, "{made} reads of clients in half an hour of waiting: {}", picture(world));
    });
}

#[test]
fn a_reset_that_the_platform_refuses_is_not_asked_for_again_and_again() {
    once(117, async |world| {
        settled(world).await;
        edit(world, &json!({ "scim": true })).await;
        world.settles(NAME).await;
        world.simulator.plant(Fault::status(Operation::ResetClientSecret, 403).times(0));
        world.request(NAME, "rotate", "one").await;
        minutes(60).await;
        let (before, mut shown) = (world.writes(), BTreeSet::new());
        for _ in 0..720 {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let object = world.object(NAME).expect("there");
            shown.insert(condition(&object, "Ready").map_or_else(String::new, |ready| ready["reason"].to_string()));
        }
        let made = world.writes() - before;
        assert!(made <= 4, "{made} writes in an hour, Ready was {shown:?}: {}", picture(world));
        world.simulator.clear_faults();
        world.request(NAME, "rotate", "two").await;
        world.until("the reset", |world| (world.status(NAME)["lastRotation"]["request"] == "two").then_some(())).await;
        world.result(NAME, "Succeeded").await;
    });
}

#[test]
fn a_revision_that_was_edited_before_the_publish_holds_nothing_up() {
    once(118, async |world| {
        rotating(world, "Verifying").await;
        let annotations = world.get("secrets", TEAM, NAME).expect("there")["metadata"]["annotations"].clone();
        let members = annotations.as_object().expect("annotations");
        let revision = members.keys().find(|name| name.ends_with("/revision")).expect("a revision");
        edit_secret(world, NAME, &json!({ "metadata": { "annotations": { revision: "999" } } })).await;
        minutes(60).await;
        let step = world.status(NAME)["rotation"]["current"]["step"].clone();
        assert!(world.published(NAME).is_some() && (step.is_null() || step == "Draining"), "{}", picture(world));
    });
}
