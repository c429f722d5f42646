//! Two operators at once without a lease, and passes over a settled world. They run alone, since they load the machine.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e_support::api::path;
use e2e_support::expect::{done, inventory, is_done, logs_are_clean, one_client, summary};
use e2e_support::harness::{Harness, PATIENCE};
use e2e_support::manifests::{client, web_app, with_spec};
use e2e_support::runner::Scenario;
use e2e_support::wait::until;
use e2e_support::world::{Plan, Route, World};
use serde_json::{Value, json};

const OBJECTS: usize = 50;

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("two operators/50 objects, 50 clients, then passes without a write", fifty).within(Duration::from_secs(420)),
        Scenario::new("settled/a pass over every kind of client writes nothing", settled),
    ]
}

async fn fifty(harness: Arc<Harness>) -> Result<()> {
    let mut plan = Plan::new("fifty", Route::Proxied);
    // The login host's own limit (40 a minute) would only make this wait; the throttling has tests of its own.
    plan.settings["loginRequestsPerMinute"] = Value::Null;
    let world = World::settled(&harness, plan).await?;
    let both = [world.operator()?, world.start_operator().await?];
    let items: Vec<Value> = (0..OBJECTS).map(|number| client(&world.name, &format!("c{number:02}"), &world.name)).collect();
    world.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": items })).await?;
    let objects = until("50 objects to be done", Duration::from_secs(300), || async {
        let objects = harness.api.list(&path(Some(&world.name), "genesysoauthclients", "")).await?;
        let open: Vec<&Value> = objects.iter().filter(|object| !is_done(object)).collect();
        Ok(match open.first() {
            None if objects.len() == OBJECTS => Ok(objects),
            None => Err(format!("{} objects", objects.len())),
            Some(first) => Err(format!("{} not done, the first: {} {}", open.len(), first["metadata"]["name"], summary(first))),
        })
    })
    .await?;
    for object in &objects {
        let name = object["metadata"]["name"].as_str().context("no name")?;
        one_client(&world, name).await.with_context(|| name.to_owned())?;
    }
    let clients = world.simulator.clients().await?;
    ensure!(clients.len() == OBJECTS, "{} clients for {OBJECTS} objects", clients.len());
    // If one of them did nothing, the other proved nothing.
    for operator in &both {
        ensure!(operator.process.log().contains("platform write"), "an operator was idle: {}", world.folder().display());
    }
    logs_are_clean(&world).await?;
    inventory(&world, OBJECTS).await?;
    world.stop_operators().await?;
    silent_passes(&world, OBJECTS).await
}

async fn settled(harness: Arc<Harness>) -> Result<()> {
    let world = World::settled(&harness, Plan::new("settled", Route::Proxied)).await?;
    let name = world.name.clone();
    let objects = [
        client(&name, "service", &name),
        web_app(&name, "portal", &name),
        with_spec(web_app(&name, "wallboard", &name), &json!({ "publicClient": true })),
        with_spec(client(&name, "bindable", &name), &json!({ "credentialsSecret": { "name": "binding", "preset": "ServiceBinding" } })),
    ];
    for object in &objects {
        world.apply(object).await?;
    }
    for object in &objects {
        done(&world, object["metadata"]["name"].as_str().unwrap_or_default()).await?;
    }
    let inactive = with_spec(client(&name, "paused", &name), &json!({ "state": "Inactive" }));
    world.apply(&inactive).await?;
    e2e_support::expect::client(&world, "paused", "Ready", "False", Some("Inactive")).await?;
    e2e_support::expect::client(&world, "paused", "Synced", "True", None).await?;
    inventory(&world, objects.len() + 1).await?;
    world.stop_operators().await?;
    silent_passes(&world, objects.len() + 1).await
}

/// A restarted operator looks at everything, and again when each object is touched; neither may write to either side.
async fn silent_passes(world: &World, objects: usize) -> Result<()> {
    world.recorder.arm(None);
    world.start_operator().await?;
    quiet_after(world, objects).await?;
    silent(world, "after a restart")?;
    world.recorder.arm(None);
    world.kubectl.ok(&["annotate", "goc", "--all", "example.com/touched=yes"]).await?;
    quiet_after(world, objects).await?;
    silent(world, "after an annotation on each object")
}

fn silent(world: &World, when: &str) -> Result<()> {
    let writes = world.recorder.writes();
    let shown: Vec<String> = writes.iter().take(10).map(ToString::to_string).collect();
    ensure!(writes.is_empty(), "{} writes {when}: {}", writes.len(), shown.join("; "));
    Ok(())
}

/// Waits until the operator has looked at `objects` Secrets and then makes no call for a while.
async fn quiet_after(world: &World, objects: usize) -> Result<()> {
    let mut last = (0, tokio::time::Instant::now());
    until("a look at every object, then quiet", 2 * PATIENCE, || {
        let calls = world.recorder.calls();
        if calls.len() != last.0 {
            last = (calls.len(), tokio::time::Instant::now());
        }
        let looks = calls.iter().filter(|call| call.key.starts_with("GET secrets/") && !call.key.ends_with("genesys-credentials")).count();
        let seen = if looks >= objects && last.1.elapsed() >= Duration::from_secs(3) {
            Ok(())
        } else {
            Err(format!("{looks} looks, {} calls", calls.len()))
        };
        async move { Ok(seen) }
    })
    .await
}
