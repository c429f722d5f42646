//! What a tenant may not do with what it can write: its objects and the Secrets of its namespace. Everything is read off
//! the platform afterwards; no scenario trusts what the operator says of itself.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e_support::expect::{self, done};
use e2e_support::harness::{Harness, PATIENCE};
use e2e_support::manifests::{CLIENT, client, with_spec};
use e2e_support::runner::Scenario;
use e2e_support::wait::until;
use e2e_support::world::{Plan, Route, World};
use reqwest::Method;
use serde_json::{Value, json};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("attacks/a forged Secret takes nobody's client", forged_secret),
        Scenario::new("attacks/a forged intent resets nobody's client", forged_intent),
        Scenario::new("attacks/an edited Secret of one's own names no other client", edited_secret),
        Scenario::new("attacks/an organization that refuses everything is left in peace", failing_organization),
    ]
}

/// A client that a person made, and the operator's own: the two that somebody could want.
async fn victims(world: &World) -> Result<Vec<Value>> {
    let own = all(world).await?.into_iter().next().context("the operator's own client")?;
    let body = json!({
        "name": "Payroll", "description": "made by hand", "authorizedGrantType": "CLIENT-CREDENTIALS",
        "roleDivisions": own["roleDivisions"],
    });
    world.simulator.admin(Method::POST, "clients", Some(&body)).await?;
    all(world).await
}

/// Every client on the platform, the operator's own included.
async fn all(world: &World) -> Result<Vec<Value>> {
    let reply = world.simulator.admin(Method::GET, "clients", None).await?;
    Ok(reply["clients"].as_array().cloned().unwrap_or_default())
}

fn id(client: &Value) -> &str {
    client["id"].as_str().unwrap_or_default()
}

/// Every victim is as it was: its secret, its name, its state.
async fn unharmed(world: &World, victims: &[Value]) -> Result<()> {
    let now = all(world).await?;
    for victim in victims {
        let found = now.iter().find(|client| id(client) == id(victim)).with_context(|| format!("{} is gone", id(victim)))?;
        for field in ["secretSha256", "name", "description", "state", "dateModified"] {
            ensure!(found[field] == victim[field], "{field} of {} was changed: {} to {}", id(victim), victim[field], found[field]);
        }
    }
    Ok(())
}

fn forged(world: &World, uid: &str, victim: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {
            "name": CLIENT, "namespace": world.name,
            "ownerReferences": [{
                "apiVersion": "oauth.genesys-operator.io/v1alpha1", "kind": "GenesysOAuthClient", "name": CLIENT, "uid": uid, "controller": true,
            }],
            "annotations": {
                "oauth.genesys-operator.io/client-id": victim,
                "oauth.genesys-operator.io/revision": "1",
                "oauth.genesys-operator.io/client-secret-key": "clientSecret",
            },
        },
        "stringData": { "clientSecret": "guessed" },
    })
}

async fn uid(world: &World) -> Result<String> {
    let object = world.object(CLIENT).await?.context("no object")?;
    Ok(object["metadata"]["uid"].as_str().context("no uid")?.to_owned())
}

async fn forged_secret(harness: Arc<Harness>) -> Result<()> {
    let world = World::settled(&harness, Plan::new("forged-secret", Route::Direct)).await?;
    for victim in victims(&world).await? {
        let others = all(&world).await?;
        world.apply(&with_spec(client(&world.name, CLIENT, &world.name), &json!({ "suspend": true }))).await?;
        expect::client(&world, CLIENT, "Ready", "False", Some("Suspended")).await?;
        world.apply(&forged(&world, &uid(&world).await?, id(&victim))).await?;
        world.apply(&with_spec(client(&world.name, CLIENT, &world.name), &json!({ "suspend": false }))).await?;
        let object = done(&world, CLIENT).await?;
        ensure!(object["status"]["clientId"] != victim["id"], "the object took over {}", id(&victim));
        unharmed(&world, &others).await?;
        world.kubectl.ok(&["delete", "goc", CLIENT, "--timeout=60s"]).await?;
        unharmed(&world, &others).await?;
    }
    Ok(())
}

async fn forged_intent(harness: Arc<Harness>) -> Result<()> {
    let world = World::settled(&harness, Plan::new("forged-intent", Route::Direct)).await?;
    for victim in victims(&world).await? {
        let others = all(&world).await?;
        world.apply(&client(&world.name, CLIENT, &world.name)).await?;
        done(&world, CLIENT).await?;
        let intent = json!({
            "operation": "Reset", "clientId": victim["id"], "revision": 9, "attempt": 1, "epoch": "aaaaaaaaaa", "startedAt": "2026-01-01T00:00:00Z",
        });
        let path = e2e_support::api::path(Some(&world.name), "genesysoauthclients", CLIENT);
        let mut object = world.object(CLIENT).await?.context("no object")?;
        object["status"]["intent"] = intent;
        harness.api.write(Method::PUT, &format!("{path}/status"), &object).await?;
        expect::client(&world, CLIENT, "Stalled", "True", Some("Conflict")).await?;
        unharmed(&world, &others).await?;
        world.kubectl.ok(&["delete", "goc", CLIENT, "--timeout=60s"]).await?;
        unharmed(&world, &others).await?;
    }
    Ok(())
}

async fn edited_secret(harness: Arc<Harness>) -> Result<()> {
    let world = World::settled(&harness, Plan::new("edited-secret", Route::Direct)).await?;
    let victims = victims(&world).await?;
    // A client that can't be replaced keeps its id, whatever is issued anew.
    world.apply(&with_spec(client(&world.name, CLIENT, &world.name), &json!({ "scim": true }))).await?;
    let before = done(&world, CLIENT).await?;
    for victim in &victims {
        let object = world.object(CLIENT).await?.context("no object")?;
        let revision = object["status"]["revision"].as_i64().context("no revision")?;
        let edits =
            [format!("oauth.genesys-operator.io/client-id={}", id(victim)), format!("oauth.genesys-operator.io/revision={}", revision + 1)];
        world.kubectl.ok(&["annotate", "secret", CLIENT, "--overwrite", &edits[0], &edits[1]]).await?;
        // A settled object is looked at again when something of it is written.
        world.kubectl.ok(&["annotate", "goc", CLIENT, "--overwrite", &format!("example.com/touched={}", id(victim))]).await?;
        until("a newer credential than the forged one", PATIENCE, || async {
            let object = world.object(CLIENT).await?.context("no object")?;
            let newer = object["status"]["revision"].as_i64() > Some(revision + 1);
            Ok(if newer && expect::is(&object, "Ready", "True", None) { Ok(()) } else { Err(expect::summary(&object)) })
        })
        .await?;
        let after = world.object(CLIENT).await?.context("no object")?;
        ensure!(after["status"]["clientId"] == before["status"]["clientId"], "the object changed its client");
        unharmed(&world, &victims).await?;
    }
    expect::one_client(&world, CLIENT).await.map(drop)
}

async fn failing_organization(harness: Arc<Harness>) -> Result<()> {
    let world = World::settled(&harness, Plan::new("in-peace", Route::Direct)).await?;
    for name in ["a", "b", "c"] {
        world.apply(&client(&world.name, name, &world.name)).await?;
        done(&world, name).await?;
    }
    let fault = json!({ "operation": "*", "kind": "Status", "status": 503, "count": 0 });
    world.simulator.admin(Method::POST, "faults", Some(&fault)).await?;
    // A new session must log in anew, and can't.
    world.stop_operators().await?;
    world.start_operator().await?;
    expect::organization(&world, "Ready", "False", Some("Unreachable")).await?;
    // Pauses grow from three seconds on: between them nothing is asked and nothing written.
    until("two seconds without a call of the platform and without a write", PATIENCE, || async {
        let shown = |value: Option<Value>| value.map(|object| object["metadata"]["resourceVersion"].clone());
        let (mark, version) = (world.simulator.mark().await?, shown(world.object("a").await?));
        tokio::time::sleep(Duration::from_secs(2)).await;
        let calls = world.simulator.calls(mark).await?;
        let quiet = calls.is_empty() && version == shown(world.object("a").await?);
        Ok(if quiet { Ok(()) } else { Err(format!("{} calls in two seconds", calls.len())) })
    })
    .await?;
    for name in ["a", "b", "c"] {
        expect::client(&world, name, "Ready", "True", None).await?;
    }
    world.simulator.admin(Method::DELETE, "faults", None).await?;
    expect::organization(&world, "Ready", "True", None).await?;
    for name in ["a", "b", "c"] {
        done(&world, name).await?;
    }
    Ok(())
}
