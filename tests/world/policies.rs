//! What remains after a delete, by deletion policy; what a terminating namespace, a suspended organization and a deleted Secret do.

use genesys_cloud_simulator::ClientState;
use http::Method;
use serde_json::{Value, json};

use crate::{
    look::marker,
    objects::TEAM,
    scenario::{once, scenario},
    stories::NAME,
    world::{World, path},
};

const CLIENTS: &str = "genesysoauthclients";

async fn made(world: &World, changes: &Value) {
    world.declare(NAME, changes);
    world.settles(NAME).await;
}

async fn removed(world: &World) {
    world.remove(CLIENTS, NAME).await;
    world.until("the object to be gone", |world| world.object(NAME).is_none().then_some(())).await;
}

#[test]
fn orphan_keeps_the_client_and_its_secret() {
    once(31, async |world| {
        made(world, &json!({ "deletionPolicy": "Orphan" })).await;
        let held = world.held(NAME).expect("a credential");
        let data = world.get("secrets", TEAM, NAME).expect("the Secret")["data"].clone();
        removed(world).await;
        world.kubernetes.garbage_collect();
        assert_eq!(world.get("secrets", TEAM, NAME).expect("the Secret stays")["data"], data);
        assert!(world.works(&held), "the orphaned credential works");
        let client = world.simulator.client(&held.client_id).expect("the client stays");
        assert_eq!((client.state, marker(&client)), (ClientState::Active, None));
    });
}

#[test]
fn deactivate_keeps_an_inactive_client_and_no_secret() {
    once(32, async |world| {
        made(world, &json!({ "deletionPolicy": "Deactivate" })).await;
        let held = world.held(NAME).expect("a credential");
        removed(world).await;
        assert!(world.get("secrets", TEAM, NAME).is_none());
        let clients = world.simulator.other_clients();
        assert_eq!(clients.iter().map(|client| client.state).collect::<Vec<_>>(), [ClientState::Inactive]);
        assert!(!world.works(&held), "an inactive client gets no token");
    });
}

#[test]
fn delete_is_the_default_and_leaves_nothing() {
    once(33, async |world| {
        made(world, &json!({})).await;
        let held = world.held(NAME).expect("a credential");
        removed(world).await;
        assert!(world.is_gone(NAME) && world.simulator.other_clients().is_empty() && !world.works(&held));
    });
}

#[test]
fn a_terminating_namespace_ends() {
    once(34, async |world| {
        made(world, &json!({})).await;
        world.ask(Method::DELETE, &format!("/api/v1/namespaces/{TEAM}"), &Value::Null).await.expect("the deletion is taken");
        world.until("the namespace to end", |world| world.get("namespaces", "", TEAM).is_none().then_some(())).await;
        assert!(world.is_gone(NAME));
    });
}

#[test]
fn a_suspended_organization_is_written_to_by_nobody_until_it_goes_on() {
    once(35, async |world| {
        made(world, &json!({})).await;
        let held = world.held(NAME);
        world.declare_organization(&json!({ "suspend": true }));
        world.organization_shows("Ready=True").await;
        let before = world.platform_writes();
        world.declare("late", &json!({}));
        world.declare(NAME, &json!({ "accessTokenValiditySeconds": 600 }));
        world.client_shows("late", "Ready=False/Suspended").await;
        world.client_shows(NAME, "Synced=False/Suspended").await;
        world.client_shows(NAME, "Ready=True").await;
        world.quiet_for(std::time::Duration::from_secs(1200)).await;
        assert_eq!(world.platform_writes(), before, "a suspended organization was written to");
        assert!(world.held("late").is_none() && world.held(NAME) == held, "a Secret was written");
        world.declare_organization(&json!({}));
        world.settles("late").await;
        world.settles(NAME).await;
        assert_eq!(world.client_of(NAME).access_token_validity_seconds, 600);
    });
}

#[test]
fn a_deleted_secret_comes_back_with_a_working_credential_of_the_same_client() {
    // Where no second client may be made; the others are replaced with overlap, see `rotation`.
    scenario(36, async |world| {
        made(world, &json!({ "scim": true })).await;
        let lost = world.held(NAME).expect("a credential");
        world.remove("secrets", NAME).await;
        world.until("the Secret to be back", |world| world.held(NAME)).await;
        world.settles(NAME).await;
        let found = world.held(NAME).expect("a credential");
        assert_eq!(found.client_id, lost.client_id);
        assert!(!world.works(&lost), "the lost secret works no more");
    });
}

#[test]
fn a_foreign_secret_is_left_alone_until_it_is_gone() {
    once(37, async |world| {
        world.apply(&json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": NAME, "namespace": TEAM },
            "stringData": { "password": "belongs to somebody else" },
        }));
        let before = world.get("secrets", TEAM, NAME);
        world.declare(NAME, &json!({}));
        world.stalls(NAME, "Conflict", &[NAME]).await;
        assert_eq!(world.get("secrets", TEAM, NAME), before);
        assert_eq!(world.platform_writes(), 0);
        world.ask(Method::DELETE, &path("secrets", NAME), &Value::Null).await.expect("the deletion is taken");
        world.annotate(CLIENTS, NAME, &json!({ "example.com/looked": "yes" })).await;
        world.settles(NAME).await;
    });
}
