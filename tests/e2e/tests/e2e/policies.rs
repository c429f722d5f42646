//! What remains after a delete, by deletion policy; what a terminating namespace, a suspended organization and a deleted
//! Secret do. The garbage collector and the
//! namespace controller, which a bare API server lacks, are played by these tests.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use e2e_support::api::path;
use e2e_support::expect::{self, all_gone, done};
use e2e_support::harness::{Harness, PATIENCE};
use e2e_support::manifests::{self, CLIENT, client, with_spec};
use e2e_support::oauth::{Data, client_credentials};
use e2e_support::runner::Scenario;
use e2e_support::wait::until;
use e2e_support::world::{Plan, Route, World, decode};
use serde_json::{Value, json};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("policies/Orphan keeps the client and its Secret (the test plays the garbage collector)", orphan),
        Scenario::new("policies/Deactivate keeps an inactive client and no Secret", deactivate),
        Scenario::new("policies/Delete is the default and leaves nothing", delete),
        Scenario::new("policies/a suspended organization is written to by nobody until it goes on", suspended),
        Scenario::new("policies/a deleted Secret comes back with another client, and the old one works on", repaired),
        Scenario::new("policies/a deleted Secret of a client that can't be replaced comes back with a new secret", reset),
        Scenario::new("policies/a terminating namespace ends (the test plays the namespace controller)", namespace),
    ]
}

async fn made(harness: &Arc<Harness>, name: &str, patch: &Value) -> Result<(World, Data)> {
    let world = World::settled(harness, Plan::new(name, Route::Direct)).await?;
    world.apply(&with_spec(client(&world.name, CLIENT, &world.name), patch)).await?;
    done(&world, CLIENT).await?;
    let data = world.data(CLIENT).await?;
    Ok((world, data))
}

async fn remove(world: &World) -> Result<()> {
    world.kubectl.ok(&["delete", "goc", CLIENT, "--timeout=60s"]).await.map(drop)
}

async fn orphan(harness: Arc<Harness>) -> Result<()> {
    let (world, data) = made(&harness, "orphan", &json!({ "deletionPolicy": "Orphan" })).await?;
    remove(&world).await?;
    let collected = world.play_garbage_collector().await?;
    ensure!(collected.is_empty(), "the garbage collector takes the orphaned Secret: {collected:?}");
    let secret = world.secret(CLIENT).await?.context("the Secret is gone")?;
    ensure!(decode(&secret)? == data, "the Secret has changed");
    client_credentials(&harness.http, &data).await?.token().context("the orphaned credential")?;
    let clients = world.simulator.clients().await?;
    ensure!(clients.len() == 1 && clients[0]["state"] == "active", "on the platform: {clients:?}");
    let description = clients[0]["description"].as_str().unwrap_or_default();
    ensure!(!description.contains("[k8s:"), "the marker is still there: {description}");
    Ok(())
}

async fn deactivate(harness: Arc<Harness>) -> Result<()> {
    let (world, data) = made(&harness, "deactivate", &json!({ "deletionPolicy": "Deactivate" })).await?;
    remove(&world).await?;
    ensure!(world.secret(CLIENT).await?.is_none(), "the Secret is there");
    let clients = world.simulator.clients().await?;
    ensure!(clients.len() == 1 && clients[0]["state"] == "inactive", "on the platform: {clients:?}");
    let reply = client_credentials(&harness.http, &data).await?;
    ensure!(reply.token().is_err(), "an inactive client got a token");
    Ok(())
}

async fn delete(harness: Arc<Harness>) -> Result<()> {
    let (world, data) = made(&harness, "delete", &json!({})).await?;
    remove(&world).await?;
    all_gone(&world, CLIENT).await?;
    ensure!(client_credentials(&harness.http, &data).await?.token().is_err(), "a deleted client got a token");
    Ok(())
}

async fn namespace(harness: Arc<Harness>) -> Result<()> {
    let (world, _) = made(&harness, "terminating", &json!({})).await?;
    harness.kubectl.ok(&["delete", "namespace", &world.name, "--wait=false"]).await?;
    until("the namespace to be terminating", PATIENCE, || async {
        let namespace = harness.api.get(&format!("/api/v1/namespaces/{}", world.name)).await?.context("no namespace")?;
        Ok(if namespace["status"]["phase"] == "Terminating" { Ok(()) } else { Err(namespace["status"].to_string()) })
    })
    .await?;
    world.play_namespace_controller().await?;
    all_gone(&world, CLIENT).await?;
    let left = harness.api.list(&path(Some(&world.name), "secrets", "")).await?;
    ensure!(left.is_empty(), "{} Secrets are left", left.len());
    Ok(())
}

async fn suspended(harness: Arc<Harness>) -> Result<()> {
    let (world, data) = made(&harness, "suspended", &json!({})).await?;
    let mut organization = manifests::organization(&world.name);
    organization["spec"]["suspend"] = json!(true);
    world.apply(&organization).await?;
    expect::organization(&world, "Ready", "True", None).await?;
    let mark = world.simulator.mark().await?;
    world.apply(&client(&world.name, "late", &world.name)).await?;
    world.apply(&with_spec(client(&world.name, CLIENT, &world.name), &json!({ "accessTokenValiditySeconds": 600 }))).await?;
    expect::client(&world, "late", "Ready", "False", Some("Suspended")).await?;
    expect::client(&world, CLIENT, "Synced", "False", Some("Suspended")).await?;
    expect::client(&world, CLIENT, "Ready", "True", None).await?;
    let writes = world.simulator.committed(mark).await?;
    ensure!(writes.is_empty(), "a suspended organization was written to: {writes:?}");
    ensure!(world.secret("late").await?.is_none() && world.data(CLIENT).await? == data, "a Secret was written");
    organization["spec"]["suspend"] = json!(false);
    world.apply(&organization).await?;
    done(&world, "late").await.context("after the organization went on")?;
    done(&world, CLIENT).await.context("after the organization went on")?;
    expect::one_client(&world, "late").await?;
    let found = expect::one_client(&world, CLIENT).await?;
    ensure!(found["accessTokenValiditySeconds"] == 600, "the edit is not on the platform: {found}");
    Ok(())
}

async fn repaired(harness: Arc<Harness>) -> Result<()> {
    let (world, data) = made(&harness, "repaired", &json!({})).await?;
    world.kubectl.ok(&["delete", "secret", CLIENT]).await?;
    let another = |again: &Data| again.get("clientId").is_some_and(|id| Some(id) != data.get("clientId"));
    until("another client's credential", PATIENCE, || async {
        Ok(match world.secret(CLIENT).await? {
            Some(_) => Some(world.data(CLIENT).await?).filter(another).map(drop).ok_or("the same client's"),
            None => Err("no Secret"),
        })
    })
    .await?;
    expect::client(&world, CLIENT, "Ready", "True", None).await?;
    let old = client_credentials(&harness.http, &data).await?;
    ensure!(old.body["access_token"].is_string(), "workloads that hold the old secret fail: {}", old.body);
    let new = client_credentials(&harness.http, &world.data(CLIENT).await?).await?;
    ensure!(new.body["access_token"].is_string(), "the new credential does not work: {}", new.body);
    expect::client(&world, CLIENT, "Rotating", "True", Some("Draining")).await.map(drop)
}

async fn reset(harness: Arc<Harness>) -> Result<()> {
    let (world, data) = made(&harness, "reset", &json!({ "scim": true })).await?;
    world.kubectl.ok(&["delete", "secret", CLIENT]).await?;
    until("the Secret to be back", PATIENCE, || async { Ok(world.secret(CLIENT).await?.map(drop).ok_or("no Secret")) }).await?;
    done(&world, CLIENT).await?;
    expect::only_client(&world, CLIENT).await?;
    let again = world.data(CLIENT).await?;
    ensure!(again.get("clientId") == data.get("clientId"), "another client was made");
    let old = client_credentials(&harness.http, &data).await?;
    ensure!(old.body["error"] == "invalid_client", "the lost secret still works");
    Ok(())
}
