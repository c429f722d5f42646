//! What people and the platform do to an object in the middle of its rotation, for stories of trouble. It must not judge what comes of it.

use std::time::Duration;

use genesys_cloud_simulator::{ClientState, Operation};
use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    look::{Held, summary},
    rotating::{CLIENTS, NAME, POLICY, monthly},
    world::{PATIENCE, World, path},
};

/// The Secret that holds both credentials of a rotation.
pub const ROTATION_SECRET: &str = "billing-rotation";

/// A settled object whose rotation overlaps for an hour. Its tokens are short-lived, so that clients go soon after.
pub async fn settled(world: &World) -> Held {
    settled_with(world, &json!({})).await
}

/// A settled object whose rotation overlaps for ten minutes: for stories that are told in many cells.
pub async fn settled_with_short_overlap(world: &World) -> Held {
    world.declare_policy(POLICY, &monthly()).await;
    settled_with(world, &json!({ "rotationPolicyRef": { "name": POLICY } })).await
}

async fn settled_with(world: &World, spec: &Value) -> Held {
    world.declare(NAME, spec);
    edit(world, &json!({ "accessTokenValiditySeconds": 300 })).await;
    world.settles(NAME).await;
    world.held(NAME).expect("a credential")
}

/// A rotation that was asked for, at this step; and the credential from before it.
pub async fn rotating(world: &World, step: &str) -> Held {
    let former = settled(world).await;
    world.request(NAME, "rotate", "one").await;
    at_step(world, step).await;
    former
}

/// Waits for a step that may last no longer than a request: looks between any two of them, and only where something was written.
pub async fn at_step(world: &World, step: &str) {
    let deadline = Instant::now() + PATIENCE;
    let mut version = 0;
    loop {
        let now = world.kubernetes.resource_version();
        if now != version && world.status(NAME)["rotation"]["current"]["step"] == step {
            return;
        }
        version = now;
        assert!(Instant::now() < deadline, "{step} was never seen: {}", picture(world));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Edits members of the object's spec (RFC 7396) and leaves the others.
pub async fn edit(world: &World, spec: &Value) {
    world.ask(Method::PATCH, &path(CLIENTS, NAME), &json!({ "spec": spec })).await.expect("the edit is taken");
}

/// Edits a Secret (RFC 7396).
pub async fn edit_secret(world: &World, name: &str, changes: &Value) {
    world.ask(Method::PATCH, &path("secrets", name), changes).await.expect("the edit is taken");
}

/// Edits the object's status (RFC 7396): a restore and a careless script can.
pub async fn edit_status(world: &World, status: &Value) {
    let place = format!("{}/status", path(CLIENTS, NAME));
    world.ask(Method::PATCH, &place, &json!({ "status": status })).await.expect("the edit is taken");
}

/// Takes the status away, and waits until the operator has found its client again.
pub async fn wipe_status(world: &World) {
    edit_status(world, &Value::Null).await;
    world.until("the published client", |world| world.status(NAME)["clientId"].as_str().map(drop)).await;
}

/// Lets time go by.
pub async fn minutes(count: u64) {
    tokio::time::sleep(Duration::from_secs(count * 60)).await;
}

/// How many calls of an operation the operator made so far.
pub fn calls(world: &World, operation: Operation) -> usize {
    world.simulator.calls().into_iter().filter(|call| call.operation == operation).count()
}

/// The ids of all clients that work.
pub fn active(world: &World) -> Vec<String> {
    let clients = world.simulator.other_clients().into_iter();
    clients.filter(|client| client.state == ClientState::Active).map(|client| client.id).collect()
}

/// Whether the leaked credential is out of service and another one works in the Secret.
pub fn is_rid_of(world: &World, leaked: &Held) -> bool {
    !world.works(leaked) && world.published(NAME).is_some()
}

/// What a rotation left, in words for messages. No secret is in it.
pub fn picture(world: &World) -> String {
    let clients: Vec<_> = world.simulator.other_clients().into_iter().map(|client| (client.id, client.state)).collect();
    let status = world.status(NAME);
    let told: Vec<String> = ["clientId", "revision", "intent", "retiring", "rotation", "lastRotation"]
        .iter()
        .map(|member| format!("{member} {}", status[member]))
        .collect();
    let (published, rotation) = (world.published(NAME), world.held(ROTATION_SECRET).map(|held| held.client_id));
    format!(
        "{}\nclients {clients:?}\npublished and working {published:?}, in the rotation Secret {rotation:?}\n{}",
        summary(world.object(NAME).as_ref()),
        told.join("\n")
    )
}
