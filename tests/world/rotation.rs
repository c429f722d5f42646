//! Rotations in a world of their own: overlap, abort, emergency, repair. Looks at the platform and at the Secrets, not at what the operator says.

use std::time::Duration;

use genesys_cloud_simulator::ClientState;
use serde_json::json;

use crate::{
    look::shows,
    rotating::NAME,
    scenario::{once, scenario},
    world::World,
};

/// An object that is settled, and the id of its client.
async fn settled(world: &World) -> String {
    world.declare(NAME, &json!({ "accessTokenValiditySeconds": 3600 }));
    world.settles(NAME).await;
    world.client_of(NAME).id
}

#[test]
fn a_requested_replace_overlaps_and_ends() {
    scenario(31, async |world| {
        let former = settled(world).await;
        world.request(NAME, "rotate", "one").await;
        world
            .until("the new credential", |world| {
                let object = world.object(NAME)?;
                assert!(shows(&object, "Ready=True/Available"), "Ready stays True throughout");
                assert!(world.published(NAME).is_some(), "the Secret works at any time");
                (object["status"]["lastRotation"]["request"] == "one").then_some(())
            })
            .await;
        assert_ne!(world.published(NAME), Some(former.clone()));
        assert_eq!(world.state_of(&former), Some(ClientState::Active), "both work through the overlap");
        assert!(shows(&world.object(NAME).expect("there"), "Rotating=True/Draining"));
        assert!(world.held("billing-rotation").is_some());
        tokio::time::sleep(Duration::from_secs(3000)).await;
        assert_eq!(world.state_of(&former), Some(ClientState::Active));
        tokio::time::sleep(Duration::from_secs(1300)).await;
        assert_eq!(world.state_of(&former), Some(ClientState::Inactive), "no new tokens after the overlap");
        assert!(world.held("billing-rotation").is_none());
        tokio::time::sleep(Duration::from_secs(4300)).await;
        assert_eq!(world.state_of(&former), None, "deleted when its tokens have run out");
        assert!(world.is_settled(NAME));
    });
}

#[test]
fn an_abort_before_the_publish_leaves_all_as_it_was() {
    once(32, async |world| {
        let former = settled(world).await;
        world.request(NAME, "rotate", "one").await;
        world.step(NAME, "Verifying").await;
        world.request(NAME, "abort", "no").await;
        world.result(NAME, "Aborted").await;
        world.settles(NAME).await;
        assert_eq!(world.published(NAME), Some(former));
        assert!(world.held("billing-rotation").is_none());
    });
}

#[test]
fn an_abort_in_the_overlap_publishes_the_former_credential_again() {
    once(33, async |world| {
        let former = settled(world).await;
        world.request(NAME, "rotate", "one").await;
        world.step(NAME, "Draining").await;
        let next = world.published(NAME).expect("a credential");
        world.request(NAME, "abort", "no").await;
        world.until("the former credential", |world| (world.published(NAME).as_ref() == Some(&former)).then_some(())).await;
        world.result(NAME, "Aborted").await;
        assert_eq!(world.state_of(&next), Some(ClientState::Active), "workloads that already read the new one go on");
        assert!(shows(&world.object(NAME).expect("there"), "Ready=True/Available"));
        world.until_rotations_end().await;
        assert_eq!((world.state_of(&next), world.published(NAME)), (None, Some(former)));
    });
}

#[test]
fn an_emergency_ends_the_old_credential_at_once() {
    once(34, async |world| {
        let former = settled(world).await;
        world.request(NAME, "rotate", "leak/Emergency").await;
        world.until("the end of the old client", |world| world.state_of(&former).is_none().then_some(())).await;
        world.settles(NAME).await;
        let last = world.status(NAME)["lastRotation"].clone();
        assert_eq!((&last["result"], &last["trigger"], &last["request"]), (&json!("Succeeded"), &json!("Emergency"), &json!("leak")));
    });
}

#[test]
fn an_emergency_in_the_overlap_ends_both_old_credentials() {
    once(35, async |world| {
        let first = settled(world).await;
        world.request(NAME, "rotate", "one").await;
        world.step(NAME, "Draining").await;
        let second = world.published(NAME).expect("a credential");
        world.request(NAME, "rotate", "leak/Emergency").await;
        world.until("the end of both", |world| (world.state_of(&first).is_none() && world.state_of(&second).is_none()).then_some(())).await;
        world.settles(NAME).await;
    });
}

#[test]
fn a_lost_secret_is_replaced_with_overlap() {
    once(36, async |world| {
        let former = settled(world).await;
        let lost = world.held(NAME).expect("a credential");
        world.remove("secrets", NAME).await;
        world.until("the Secret to be back", |world| world.published(NAME)).await;
        assert!(world.works(&lost));
        assert_eq!(world.state_of(&former), Some(ClientState::Active), "workloads that hold the old secret go on");
        assert_eq!(world.status(NAME)["rotation"]["repairs"], 1);
        world.until_rotations_end().await;
        assert!(world.is_settled(NAME) && world.state_of(&former).is_none());
    });
}

#[test]
fn a_secret_lost_in_the_overlap_is_repaired_without_a_rotation() {
    once(37, async |world| {
        settled(world).await;
        world.request(NAME, "rotate", "one").await;
        world.step(NAME, "Draining").await;
        let next = world.published(NAME);
        world.remove("secrets", NAME).await;
        world.until("the Secret to be back", |world| world.published(NAME)).await;
        assert_eq!((world.published(NAME), world.clients_of(NAME).len()), (next, 2));
    });
}
