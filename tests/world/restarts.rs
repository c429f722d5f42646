//! What a process finds out that was begun after a change, or after a write that the platform did not follow: the one before it wrote down
//! what it had seen. Looks at both sides, never at the order of calls.

use std::time::Duration;

use genesys_cloud_simulator::{Fault, Operation};
use serde_json::json;

use crate::{
    drift::{edit, settled},
    look::{condition, shows},
    mishaps::{calls, minutes},
    scenario::once,
    world::{Plan, World},
};

#[test]
fn a_secret_that_was_reset_while_nobody_worked_is_found_refuted_at_once() {
    once(221, async |world| {
        settled(world, "billing", &json!({})).await;
        world.declare("billing", &json!({ "description": "edited" }));
        world.settles("billing").await;
        let noted = world.object("billing").expect("there")["status"]["platformModifiedAt"].clone();
        assert!(noted.is_string(), "along with the edit it is written when the client was modified");
        minutes(3).await;
        let (former, client) = (world.held("billing").expect("a credential"), world.client_of("billing"));
        world.kill();
        world.simulator.reset_secret(&client.id).expect("a client");
        assert!(!world.works(&former));
        world.start();
        // Each credential is verified once a day anyway; this is far less.
        let replaced = tokio::time::timeout(Duration::from_secs(1800), async {
            world.until("another credential", |world| world.held("billing").filter(|held| *held != former).map(drop)).await;
        });
        replaced.await.expect("the change is found without waiting for the daily verification");
        world.client_shows("billing", "Ready=True/Available").await;
    });
}

#[test]
fn a_list_that_lags_behind_the_last_write_of_the_process_before_is_no_drift() {
    let lags = |settings: &mut genesys_cloud_simulator::Settings| settings.list_propagation_milliseconds = 20_000;
    once(Plan::new(227).platform(lags), async |world| {
        settled(world, "billing", &json!({})).await;
        world.declare("billing", &json!({ "description": "edited" }));
        world.settles("billing").await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let in_sync = |world: &World| condition(&world.object("billing").expect("there"), "Synced").expect("a condition").clone();
        let before = in_sync(world);
        world.kill();
        let scans = || calls(world, Operation::ListClients);
        let scanned = scans();
        world.start();
        minutes(30).await;
        assert!(scans() > scanned, "the process looks");
        assert_eq!(in_sync(world)["lastTransitionTime"], before["lastTransitionTime"], "an older list is taken for a change");
    });
}

#[test]
fn a_list_that_lags_behind_the_creates_of_the_process_before_holds_nobody() {
    let lags = |settings: &mut genesys_cloud_simulator::Settings| settings.list_propagation_milliseconds = 50_000;
    once(Plan::new(250).platform(lags).with_events(), async |world| {
        let names: Vec<String> = (0..8).map(|number| format!("client-{number}")).collect();
        for name in &names {
            world.declare(name, &json!({}));
        }
        for name in &names {
            world.until("its client", |world| world.status(name)["clientId"].is_string().then_some(())).await;
        }
        world.kill();
        world.start();
        minutes(30).await;
        for name in &names {
            world.settles(name).await;
        }
        let told: Vec<_> = world.list("events").into_iter().filter(|event| event["reason"] == "ClientMissing").collect();
        assert!(told.is_empty(), "clients that a list does not show yet are told to be gone: {told:#?}");
        assert_eq!(calls(world, Operation::CreateClient), names.len(), "each was created once");
    });
}

#[test]
fn a_process_that_begins_after_no_change_verifies_nothing() {
    once(222, async |world| {
        settled(world, "billing", &json!({})).await;
        world.declare("billing", &json!({ "description": "edited" }));
        world.settles("billing").await;
        minutes(30).await;
        let looks = || calls(world, Operation::GetTokenInfo);
        world.kill();
        let before = looks();
        world.start();
        minutes(30).await;
        assert_eq!(looks(), before, "the client is as it was left");
    });
}

#[test]
fn a_write_that_the_platform_did_not_follow_is_not_repeated_by_the_next_process() {
    once(223, async |world| {
        settled(world, "billing", &json!({})).await;
        edit(world, "billing", &json!({ "name": "somebody was here" }));
        // The platform takes every write, changes nothing, and says so.
        let shown = serde_json::to_value(world.client_of("billing")).expect("JSON");
        world.simulator.plant(Fault { body: Some(shown), ..Fault::status(Operation::UpdateClient, 200).times(0) });
        let puts = || calls(world, Operation::UpdateClient);
        let before = puts();
        let object = world.stalls("billing", "PlatformRejected", &["still shows other values"]).await;
        assert!(object["status"]["unheededWrite"]["modifiedAt"].is_string(), "{}", object["status"]);
        assert_eq!(puts() - before, 1);
        minutes(30).await;
        world.kill();
        world.start();
        minutes(60).await;
        assert_eq!(puts() - before, 1, "it is sent again");
        assert!(shows(&world.object("billing").expect("there"), "Stalled=True/PlatformRejected"));
        // The client changes, and with it the reason to wait.
        world.simulator.clear_faults();
        edit(world, "billing", &json!({ "name": "somebody was here again" }));
        world.settles("billing").await;
        assert!(world.object("billing").expect("there")["status"]["unheededWrite"].is_null());
    });
}
