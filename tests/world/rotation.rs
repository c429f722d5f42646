//! Rotations in a world of their own: overlap, abort, emergency, repair. Looks at the platform and at the Secrets, not at what the operator says.

use std::time::Duration;

use genesys_cloud_simulator::ClientState;
use serde_json::{Value, json};

use crate::{look::shows, scenario::scenario, world::World};

const CLIENTS: &str = "genesysoauthclients";

/// An object that is settled, and the id of its client.
async fn settled(world: &World) -> String {
    world.declare("billing", &json!({ "accessTokenValiditySeconds": 3600 }));
    world.settles("billing").await;
    world.client_of("billing").id
}

fn status(world: &World) -> Value {
    world.object("billing").map(|object| object["status"].clone()).unwrap_or_default()
}

async fn request(world: &World, what: &str, value: &str) {
    world.annotate(CLIENTS, "billing", &json!({ format!("oauth.genesys-operator.io/{what}"): value })).await;
}

/// The client in the Secret, if its credential works.
fn published(world: &World) -> Option<String> {
    let held = world.held("billing")?;
    world.works(&held).then_some(held.client_id)
}

fn state_of(world: &World, id: &str) -> Option<ClientState> {
    world.simulator.client(id).map(|client| client.state)
}

async fn step(world: &World, step: &str) {
    world.until(step, |world| (status(world)["rotation"]["current"]["step"] == step).then_some(())).await;
}

async fn result(world: &World, result: &str) {
    world.until(result, |world| (status(world)["lastRotation"]["result"] == result).then_some(())).await;
}

#[test]
fn a_requested_replace_overlaps_and_ends() {
    scenario(31, async |world| {
        let former = settled(world).await;
        request(world, "rotate", "one").await;
        world
            .until("the new credential", |world| {
                let object = world.object("billing")?;
                assert!(shows(&object, "Ready=True/Available"), "Ready stays True throughout");
                assert!(published(world).is_some(), "the Secret works at any time");
                (object["status"]["lastRotation"]["request"] == "one").then_some(())
            })
            .await;
        assert_ne!(published(world), Some(former.clone()));
        assert_eq!(state_of(world, &former), Some(ClientState::Active), "both work through the overlap");
        assert!(shows(&world.object("billing").expect("there"), "Rotating=True/Draining"));
        assert!(world.held("billing-rotation").is_some());
        tokio::time::sleep(Duration::from_secs(3000)).await;
        assert_eq!(state_of(world, &former), Some(ClientState::Active));
        tokio::time::sleep(Duration::from_secs(1300)).await;
        assert_eq!(state_of(world, &former), Some(ClientState::Inactive), "no new tokens after the overlap");
        assert!(world.held("billing-rotation").is_none());
        tokio::time::sleep(Duration::from_secs(4300)).await;
        assert_eq!(state_of(world, &former), None, "deleted when its tokens have run out");
        assert!(world.is_settled("billing"));
    });
}

#[test]
fn an_abort_before_the_publish_leaves_all_as_it_was() {
    scenario(32, async |world| {
        let former = settled(world).await;
        request(world, "rotate", "one").await;
        step(world, "Verifying").await;
        request(world, "abort", "no").await;
        result(world, "Aborted").await;
        world.settles("billing").await;
        assert_eq!(published(world), Some(former));
        assert!(world.held("billing-rotation").is_none());
    });
}

#[test]
fn an_abort_in_the_overlap_publishes_the_former_credential_again() {
    scenario(33, async |world| {
        let former = settled(world).await;
        request(world, "rotate", "one").await;
        step(world, "Draining").await;
        let next = published(world).expect("a credential");
        request(world, "abort", "no").await;
        world.until("the former credential", |world| (published(world).as_ref() == Some(&former)).then_some(())).await;
        result(world, "Aborted").await;
        assert_eq!(state_of(world, &next), Some(ClientState::Active), "workloads that already read the new one go on");
        assert!(shows(&world.object("billing").expect("there"), "Ready=True/Available"));
        world.until_rotations_end().await;
        assert_eq!((state_of(world, &next), published(world)), (None, Some(former)));
    });
}

#[test]
fn an_emergency_ends_the_old_credential_at_once() {
    scenario(34, async |world| {
        let former = settled(world).await;
        request(world, "rotate", "leak/Emergency").await;
        world.until("the end of the old client", |world| state_of(world, &former).is_none().then_some(())).await;
        world.settles("billing").await;
        let last = status(world)["lastRotation"].clone();
        assert_eq!((&last["result"], &last["trigger"], &last["request"]), (&json!("Succeeded"), &json!("Emergency"), &json!("leak")));
    });
}

#[test]
fn an_emergency_in_the_overlap_ends_both_old_credentials() {
    scenario(35, async |world| {
        let first = settled(world).await;
        request(world, "rotate", "one").await;
        step(world, "Draining").await;
        let second = published(world).expect("a credential");
        request(world, "rotate", "leak/Emergency").await;
        world
            .until("the end of both", |world| (state_of(world, &first).is_none() && state_of(world, &second).is_none()).then_some(()))
            .await;
        world.settles("billing").await;
    });
}

#[test]
fn a_lost_secret_is_replaced_with_overlap() {
    scenario(36, async |world| {
        let former = settled(world).await;
        let lost = world.held("billing").expect("a credential");
        world.remove("secrets", "billing").await;
        world.until("the Secret to be back", published).await;
        assert!(world.works(&lost));
        assert_eq!(state_of(world, &former), Some(ClientState::Active), "workloads that hold the old secret go on");
        assert_eq!(status(world)["rotation"]["repairs"], 1);
        world.until_rotations_end().await;
        assert!(world.is_settled("billing") && state_of(world, &former).is_none());
    });
}

#[test]
fn a_secret_lost_in_the_overlap_is_repaired_without_a_rotation() {
    scenario(37, async |world| {
        settled(world).await;
        request(world, "rotate", "one").await;
        step(world, "Draining").await;
        let next = published(world);
        world.remove("secrets", "billing").await;
        world.until("the Secret to be back", published).await;
        assert_eq!((published(world), world.clients_of("billing").len()), (next, 2));
    });
}
