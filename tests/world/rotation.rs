//! Rotations in a world of their own: both strategies, asked for by a person. Looks at the platform and at the Secrets, not at what the operator says.

use std::time::Duration;

use genesys_cloud_simulator::{ClientState, kubernetes::User};
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use serde_json::{Value, json};

use crate::world::{TEAM, World, condition};

impl World {
    /// Changes the annotations of the client's object as a person does.
    async fn annotate(&self, annotations: Value) {
        let path = format!("/apis/{}/v1alpha1/namespaces/{TEAM}/genesysoauthclients/billing", genesys_oauth_operator::api::GROUP);
        let patch = json!({ "metadata": { "annotations": annotations } });
        let request = http::Request::patch(path)
            .header("content-type", "application/merge-patch+json")
            .body(serde_json::to_vec(&patch).expect("JSON"))
            .expect("a request");
        let client = Client::new(self.kubernetes.service(User::admin()), "default");
        let _: Value = client.request(request).await.expect("the annotation is taken");
    }

    /// Whether the credential in a Secret obtains a token, and its client.
    fn credential(&self, name: &str) -> Option<(String, bool)> {
        let secret: Secret = serde_json::from_value(self.get("secrets", TEAM, name)?).ok()?;
        let data = secret.data?;
        let text = |key: &str| data.get(key).map(|value| String::from_utf8_lossy(&value.0).into_owned()).unwrap_or_default();
        let id = text("clientId");
        Some((id.clone(), self.simulator.secret_works(&id, &text("clientSecret"))))
    }

    fn state_of(&self, id: &str) -> Option<ClientState> {
        self.simulator.client(id).map(|client| client.state)
    }
}

#[tokio::test(start_paused = true)]
async fn a_requested_replace_overlaps_and_ends() {
    let world = World::new(31).await;
    world.declare(3600);
    world.until("a settled object", World::settled).await;
    let (former, _) = world.credential("billing").expect("a credential");
    world.annotate(json!({ "oauth.genesys-operator.io/rotate": "one" })).await;
    world
        .until("the new credential", |world| {
            let object = world.object()?;
            assert_eq!(condition(&object, "Ready"), "True/Available", "Ready stays True throughout");
            assert!(world.credential("billing")?.1, "the Secret works at any time");
            (object["status"]["lastRotation"]["request"] == "one").then_some(())
        })
        .await;
    let (next, works) = world.credential("billing").expect("a credential");
    assert!(works && next != former);
    assert_eq!(world.state_of(&former), Some(ClientState::Active), "both work through the overlap");
    assert_eq!(condition(&world.object().expect("there"), "Rotating"), "True/Draining");
    assert!(world.credential("billing-rotation").is_some());
    tokio::time::sleep(Duration::from_secs(3000)).await;
    assert_eq!(world.state_of(&former), Some(ClientState::Active));
    tokio::time::sleep(Duration::from_secs(1300)).await;
    assert_eq!(world.state_of(&former), Some(ClientState::Inactive), "no new tokens after the overlap");
    assert!(world.get("secrets", TEAM, "billing-rotation").is_none());
    tokio::time::sleep(Duration::from_secs(4300)).await;
    assert_eq!(world.state_of(&former), None, "deleted when its tokens have run out");
    world.until("a settled object", World::settled).await;
    let before = world.writes();
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    assert_eq!(world.writes(), before, "a rotated object is at rest");
}

async fn settled(seed: u64) -> std::sync::Arc<World> {
    let world = World::new(seed).await;
    world.declare(3600);
    world.until("a settled object", World::settled).await;
    world
}

fn status(world: &World) -> Value {
    world.object().map(|object| object["status"].clone()).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn an_abort_before_the_publish_leaves_all_as_it_was() {
    let world = settled(32).await;
    let (former, _) = world.credential("billing").expect("a credential");
    world.annotate(json!({ "oauth.genesys-operator.io/rotate": "one" })).await;
    world.until("the new client", |world| (status(world)["rotation"]["current"]["step"] == "Verifying").then_some(())).await;
    world.annotate(json!({ "oauth.genesys-operator.io/abort": "no" })).await;
    world.until("the abort", |world| (status(world)["lastRotation"]["result"] == "Aborted").then_some(())).await;
    world.until("a settled object", World::settled).await;
    assert_eq!(world.credential("billing"), Some((former, true)));
    assert!(world.get("secrets", TEAM, "billing-rotation").is_none());
}

#[tokio::test(start_paused = true)]
async fn an_abort_in_the_overlap_publishes_the_former_credential_again() {
    let world = settled(33).await;
    let (former, _) = world.credential("billing").expect("a credential");
    world.annotate(json!({ "oauth.genesys-operator.io/rotate": "one" })).await;
    world.until("the overlap", |world| (status(world)["rotation"]["current"]["step"] == "Draining").then_some(())).await;
    let (next, _) = world.credential("billing").expect("a credential");
    world.annotate(json!({ "oauth.genesys-operator.io/abort": "no" })).await;
    world.until("the former credential", |world| (world.credential("billing") == Some((former.clone(), true))).then_some(())).await;
    world.until("the end of the abort", |world| (status(world)["lastRotation"]["result"] == "Aborted").then_some(())).await;
    assert_eq!(world.state_of(&next), Some(ClientState::Active), "workloads that already read the new one go on");
    assert_eq!(condition(&world.object().expect("there"), "Ready"), "True/Available");
    tokio::time::sleep(Duration::from_secs(12_000)).await;
    assert_eq!(world.state_of(&next), None);
    world.until("a settled object", World::settled).await;
    assert_eq!(world.credential("billing"), Some((former, true)));
}

#[tokio::test(start_paused = true)]
async fn an_emergency_ends_the_old_credential_at_once() {
    let world = settled(34).await;
    let (former, _) = world.credential("billing").expect("a credential");
    world.annotate(json!({ "oauth.genesys-operator.io/rotate": "leak/Emergency" })).await;
    world.until("the end of the old client", |world| world.state_of(&former).is_none().then_some(())).await;
    world.until("a settled object", World::settled).await;
    let last = status(&world)["lastRotation"].clone();
    assert_eq!(
        (last["result"].as_str(), last["trigger"].as_str(), last["request"].as_str()),
        (Some("Succeeded"), Some("Emergency"), Some("leak"))
    );
}

#[tokio::test(start_paused = true)]
async fn an_emergency_in_the_overlap_ends_both_old_credentials() {
    let world = settled(35).await;
    let (first, _) = world.credential("billing").expect("a credential");
    world.annotate(json!({ "oauth.genesys-operator.io/rotate": "one" })).await;
    world.until("the overlap", |world| (status(world)["rotation"]["current"]["step"] == "Draining").then_some(())).await;
    let (second, _) = world.credential("billing").expect("a credential");
    world.annotate(json!({ "oauth.genesys-operator.io/rotate": "leak/Emergency" })).await;
    world.until("the end of both", |world| (world.state_of(&first).is_none() && world.state_of(&second).is_none()).then_some(())).await;
    world.until("a settled object", World::settled).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_secret_is_replaced_with_overlap() {
    let world = settled(36).await;
    let (former, _) = world.credential("billing").expect("a credential");
    world.remove("secrets", "billing").await;
    world.until("the Secret to be back", |world| world.credential("billing").filter(|(_, works)| *works)).await;
    assert_eq!(world.state_of(&former), Some(ClientState::Active), "workloads that hold the old secret go on");
    assert_eq!(status(&world)["rotation"]["repairs"], 1);
    tokio::time::sleep(Duration::from_secs(12_000)).await;
    world.until("a settled object", World::settled).await;
    assert_eq!(world.state_of(&former), None);
}

#[tokio::test(start_paused = true)]
async fn a_secret_lost_in_the_overlap_is_repaired_without_a_rotation() {
    let world = settled(37).await;
    world.annotate(json!({ "oauth.genesys-operator.io/rotate": "one" })).await;
    world.until("the overlap", |world| (status(world)["rotation"]["current"]["step"] == "Draining").then_some(())).await;
    let next = world.credential("billing");
    world.remove("secrets", "billing").await;
    world.until("the Secret to be back", |world| world.credential("billing")).await;
    assert_eq!(world.credential("billing"), next);
    assert_eq!(world.simulator.other_clients().len(), 2);
}
