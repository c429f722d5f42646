//! The same trouble at each step of a rotation, one cell a step; and what is rare: late answers, eight retiring clients, two operators. It
//! plans no end of the operator.

use std::time::Duration;

use genesys_cloud_simulator::{Fault, FaultKind, Operation};
use http::Method;
use serde_json::{Value, json};

use crate::{
    look::shows,
    mishaps::{
        ROTATION_SECRET, at_step, edit, edit_secret, edit_status, is_rid_of, minutes, picture, rotating, settled,
        settled_with_short_overlap, wipe_status,
    },
    objects::TEAM,
    rotating::{CLIENTS, NAME},
    scenario::{once, scenario},
    world::{World, path},
};

/// Tells a story at each of these steps of a rotation: with the world, the credential from before it, and the step for messages.
fn at_each(steps: &[&str], story: &impl AsyncFn(&World, String, &str)) {
    for step in steps {
        once(119, async |world| {
            let former = settled_with_short_overlap(world).await.client_id;
            world.request(NAME, "rotate", "one").await;
            at_step(world, step).await;
            story(world, former, step).await;
        });
    }
}

/// Long enough for the whole of a rotation with a short overlap.
async fn a_rotation_later(world: &World, step: &str) {
    minutes(45).await;
    assert!(world.is_settled(NAME), "{step}: {}", picture(world));
    assert!(world.get("secrets", TEAM, ROTATION_SECRET).is_none(), "{step}: two credentials stay in it: {}", picture(world));
}

/// The rotation succeeds with an overlap, and is done some time later.
async fn rotates(world: &World, step: &str) {
    world.result(NAME, "Succeeded").await;
    assert_eq!(world.status(NAME)["lastRotation"]["request"], "one", "{step}: {}", picture(world));
    assert!(world.published(NAME).is_some() && world.clients_of(NAME).len() == 2, "{step}: {}", picture(world));
    a_rotation_later(world, step).await;
}

#[test]
fn deleted_at_any_step_nothing_is_left() {
    at_each(&["Verifying", "RollingOut", "Draining"], &async |world: &World, _: String, step: &str| {
        world.remove(CLIENTS, NAME).await;
        world.goes(NAME).await;
        assert!(world.get("secrets", TEAM, ROTATION_SECRET).is_none(), "{step}");
    });
}

/// A rotation whose new client was created, and whose answer is lost.
async fn creates_unseen(world: &World) {
    settled(world).await;
    world.simulator.plant(Fault::on(Operation::CreateClient, FaultKind::LostResponse).times(1));
    world.request(NAME, "rotate", "one").await;
    world.until("the lost client", |world| (world.clients_of(NAME).len() == 2).then_some(())).await;
    assert_eq!(world.status(NAME)["intent"]["operation"], "Create");
}

#[test]
fn deleted_while_the_new_client_is_unknown_nothing_is_left() {
    once(120, async |world| {
        creates_unseen(world).await;
        world.remove(CLIENTS, NAME).await;
        world.goes(NAME).await;
        assert!(world.get("secrets", TEAM, ROTATION_SECRET).is_none());
    });
}

#[test]
fn a_late_reset_does_not_spoil_the_new_credential() {
    once(121, async |world| {
        settled(world).await;
        world.simulator.plant(Fault::on(Operation::CreateClient, FaultKind::LostResponse).times(1));
        world.simulator.plant(Fault::on(Operation::ResetClientSecret, FaultKind::Delay).delayed_by(Duration::from_secs(100)).times(1));
        world.request(NAME, "rotate", "one").await;
        minutes(60).await;
        assert!(world.published(NAME).is_some(), "{}", picture(world));
    });
}

#[test]
fn an_emergency_does_not_wait_for_a_client_that_drains_without_a_rotation() {
    once(122, async |world| {
        let first = rotating(world, "Draining").await.client_id;
        wipe_status(world).await;
        let leaked = world.held(NAME).expect("a credential");
        world.request(NAME, "rotate", "leak/Emergency").await;
        minutes(15).await;
        assert!(is_rid_of(world, &leaked), "it waits behind {first}: {}", picture(world));
    });
}

#[test]
fn an_edit_in_the_overlap_comes_to_the_new_client_first() {
    scenario(123, async |world| {
        let former = rotating(world, "Draining").await.client_id;
        let next = world.published(NAME).expect("a credential");
        world.simulator.edit_client(&former, &json!({ "description": "" })).expect("the edit is taken");
        edit(world, &json!({ "accessTokenValiditySeconds": 7200 })).await;
        minutes(15).await;
        let found = world.simulator.client(&next).expect("there").access_token_validity_seconds;
        assert_eq!(found, 7200, "{}", picture(world));
    });
}

#[test]
fn a_request_that_an_emergency_overtakes_is_answered() {
    scenario(124, async |world| {
        rotating(world, "Verifying").await;
        world.request(NAME, "rotate", "leak/Emergency").await;
        minutes(60).await;
        let told = world.status(NAME);
        let ended = told["rotation"]["history"].as_array().into_iter().chain(told["history"].as_array()).flatten();
        let answered = ended.chain([&told["lastRotation"]]).any(|rotation| rotation["request"] == "one");
        assert!(answered, "nobody hears of the first request: {}", picture(world));
    });
}

#[test]
fn two_operators_rotate_once() {
    once(125, async |world| {
        settled_with_short_overlap(world).await;
        world.start();
        minutes(2).await;
        world.request(NAME, "rotate", "one").await;
        rotates(world, "two operators").await;
    });
}

#[test]
fn an_abort_leaves_the_origin_of_the_credential() {
    once(126, async |world| {
        let former = rotating(world, "Draining").await.client_id;
        world.request(NAME, "abort", "no").await;
        minutes(90).await;
        assert_eq!(world.published(NAME), Some(former));
        assert_ne!(world.status(NAME)["rotation"]["issuedBy"], "Rotation", "{}", picture(world));
    });
}

#[test]
fn suspended_at_any_step_it_goes_on_later() {
    at_each(&["Creating", "Verifying", "RollingOut", "Draining"], &async |world: &World, _: String, step: &str| {
        edit(world, &json!({ "suspend": true })).await;
        minutes(60).await;
        assert!(world.published(NAME).is_some(), "{step}: {}", picture(world));
        edit(world, &json!({ "suspend": false })).await;
        rotates(world, step).await;
    });
}

#[test]
fn renamed_at_any_step_the_credential_moves() {
    at_each(&["Creating", "Verifying", "RollingOut", "Draining"], &async |world: &World, _: String, step: &str| {
        edit(world, &json!({ "credentialsSecret": { "name": "other" } })).await;
        minutes(150).await;
        assert!(world.published("other").is_some(), "{step}: {}", picture(world));
        for gone in [NAME, ROTATION_SECRET, "other-rotation"] {
            assert!(world.get("secrets", TEAM, gone).is_none(), "{step}: Secret {gone} is left: {}", picture(world));
        }
        assert_eq!(world.clients_of(NAME).len(), 1, "{step}: {}", picture(world));
    });
}

#[test]
fn a_rotation_secret_lost_before_the_publish_ends_the_rotation() {
    once(129, async |world| {
        let former = rotating(world, "Verifying").await.client_id;
        world.remove("secrets", ROTATION_SECRET).await;
        minutes(120).await;
        assert_eq!(world.published(NAME), Some(former));
        assert_eq!(world.clients_of(NAME).len(), 1, "{}", picture(world));
        let before = world.writes();
        minutes(240).await;
        assert_eq!(world.writes(), before, "not at rest: {}", picture(world));
    });
}

#[test]
fn the_former_client_may_go_at_any_step() {
    at_each(&["Verifying", "RollingOut", "Draining"], &async |world: &World, former: String, step: &str| {
        assert!(world.simulator.remove_client(&former));
        minutes(20).await;
        assert!(world.published(NAME).is_some(), "{step}: {}", picture(world));
        a_rotation_later(world, step).await;
    });
}

#[test]
fn a_new_client_that_goes_after_its_publish_is_missed() {
    at_each(&["RollingOut", "Draining"], &async |world: &World, _: String, step: &str| {
        let next = world.published(NAME).expect("a credential");
        assert!(world.simulator.remove_client(&next));
        edit(world, &json!({ "accessTokenValiditySeconds": 7200 })).await;
        minutes(30).await;
        assert!(world.published(NAME).is_some(), "{step}: {}", picture(world));
    });
}

/// Eight clients are on their way to deletion until noon: there is no room for another one.
async fn eight_retire(world: &World) {
    let entry = |number| {
        json!({ "clientId": format!("00000000-0000-0000-0000-00000000000{number}"), "state": "Inactivating",
            "since": "2026-01-05T08:00:00Z", "deletion": "AfterTokens", "deleteAfter": "2026-01-05T12:00:00Z" })
    };
    edit_status(world, &json!({ "retiring": (0..8).map(entry).collect::<Vec<_>>() })).await;
}

#[test]
fn a_lost_secret_comes_back_although_eight_clients_retire() {
    once(132, async |world| {
        settled(world).await;
        eight_retire(world).await;
        world.remove("secrets", NAME).await;
        minutes(60).await;
        assert!(world.published(NAME).is_some(), "no credential is published as long as they retire: {}", picture(world));
    });
}

#[test]
fn an_emergency_does_not_wait_for_eight_clients_that_retire() {
    once(133, async |world| {
        let leaked = settled(world).await;
        eight_retire(world).await;
        world.request(NAME, "rotate", "leak/Emergency").await;
        minutes(60).await;
        assert!(is_rid_of(world, &leaked), "the leaked secret lives on: {}", picture(world));
    });
}

#[test]
fn a_new_credential_that_a_person_reset_in_the_overlap_is_replaced() {
    once(134, async |world| {
        let former = rotating(world, "Draining").await.client_id;
        let next = world.published(NAME).expect("a credential");
        world.simulator.reset_secret(&next).expect("a secret");
        // Costs one verification, as every change of the Secret.
        edit_secret(world, NAME, &json!({ "stringData": { "note": "looked at" } })).await;
        minutes(30).await;
        assert!(world.published(NAME).is_some(), "refuted, and {former} still works: {}", picture(world));
    });
}

#[test]
fn a_status_wiped_before_the_publish_is_made_good() {
    once(135, async |world| {
        rotating(world, "Verifying").await;
        edit_status(world, &Value::Null).await;
        minutes(150).await;
        assert!(world.is_settled(NAME), "{}", picture(world));
    });
}

#[test]
fn a_status_wiped_while_the_new_client_is_unknown_is_made_good() {
    once(136, async |world| {
        creates_unseen(world).await;
        edit_status(world, &Value::Null).await;
        minutes(150).await;
        assert!(world.is_settled(NAME), "{}", picture(world));
    });
}

#[test]
fn an_answer_that_is_lost_in_the_recovery_of_a_lost_client_costs_nothing() {
    for operation in [Operation::ListClients, Operation::ResetClientSecret] {
        once(137, async |world| {
            settled_with_short_overlap(world).await;
            for operation in [Operation::CreateClient, operation] {
                world.simulator.plant(Fault::on(operation, FaultKind::LostResponse).times(1));
            }
            world.request(NAME, "rotate", "one").await;
            rotates(world, &format!("{operation:?} is lost")).await;
            assert!(world.simulator.faults().is_empty(), "no {operation:?} came");
        });
    }
}

#[test]
fn an_organization_that_is_down_at_any_step_harms_nothing() {
    at_each(&["Verifying", "Draining"], &async |world: &World, _: String, step: &str| {
        use Operation::{CreateClient, DeleteClient, GetClient, GetToken, UpdateClient};
        for operation in [GetClient, CreateClient, UpdateClient, DeleteClient, GetToken] {
            world.simulator.plant(Fault::status(operation, 503).times(0));
        }
        minutes(90).await;
        assert!(world.published(NAME).is_some(), "{step}: {}", picture(world));
        assert!(shows(&world.object(NAME).expect("there"), "Ready=True/Available"), "{step}: {}", picture(world));
        world.simulator.clear_faults();
        minutes(60).await;
        a_rotation_later(world, step).await;
    });
}

#[test]
fn an_emergency_ends_a_pause_at_once() {
    once(139, async |world| {
        let former = settled(world).await.client_id;
        world.simulator.plant(Fault::status(Operation::CreateClient, 503).times(0));
        edit(world, &json!({ "accessTokenValiditySeconds": 7200 })).await;
        world.request(NAME, "rotate", "one").await;
        minutes(20).await;
        world.simulator.clear_faults();
        world.request(NAME, "rotate", "leak/Emergency").await;
        minutes(4).await;
        assert_eq!(world.state_of(&former), None, "{}", picture(world));
    });
}

#[test]
fn a_deletion_that_orphans_its_dependents_removes_the_rotation_secret() {
    once(140, async |world| {
        rotating(world, "Draining").await;
        let orphaning = format!("{}?propagationPolicy=Orphan", path(CLIENTS, NAME));
        world.ask(Method::DELETE, &orphaning, &Value::Null).await.expect("the deletion is taken");
        world.goes(NAME).await;
        let left = world.get("secrets", TEAM, ROTATION_SECRET);
        assert!(left.is_none(), "two credentials stay in a Secret that nobody removes");
    });
}
