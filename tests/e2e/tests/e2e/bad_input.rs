//! Bad input as a real API server and the real kubectl refuse it; one without rules takes it, and the operator says it. It must not
//! pass because nothing happened: each scenario waits for the condition first. Other mistakes are stories of the world tests.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e_support::expect::{self, condition, done};
use e2e_support::harness::Harness;
use e2e_support::lines::are_addressed;
use e2e_support::manifests::{CLIENT, client, web_app, with_spec};
use e2e_support::operator::{Logging, Operator};
use e2e_support::runner::Scenario;
use e2e_support::wait::until;
use e2e_support::world::{Plan, Route, World};
use serde_json::{Value, json};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("bad input/broken rules are refused, or Stalled with the rule's message", rules),
        Scenario::new("bad input/what cannot change is refused, or Stalled", immutable),
        Scenario::new("bad input/a cluster that is not there, and traces that nobody exports, are told of at the start", start),
    ]
}

async fn start(harness: Arc<Harness>) -> Result<()> {
    let folder = harness.folder().join("start");
    std::fs::create_dir_all(&folder)?;
    let nothing = folder.join("no-kubeconfig");
    // What is logged is a matter of filters; why a process ended is not.
    for (format, filter) in [("text", "info"), ("json", "info"), ("json", "off")] {
        let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"), ("RUST_LOG", filter)];
        let arguments = ["run", "--operator-namespace=nowhere", "--leader-election=disabled", "--log-format", format].map(str::to_owned);
        let log = folder.join(format!("{format}-{filter}.log"));
        let operator = Operator::run(&harness.environment, &arguments, &variables, &nothing, &log, &harness.reaper)?;
        let ended = until("its end", Duration::from_secs(20), || async { Ok(operator.process.ended().ok_or("it still runs")) }).await?;
        let said = operator.process.log();
        ensure!(ended.code() == Some(1), "it ended with {ended}: {said}");
        // A program that was built with traces exports them.
        let traces = ["built without traces", "exporting traces"].iter().any(|words| said.contains(words));
        ensure!(traces || filter == "off", "nobody learns what becomes of traces: {said}");
        let told = ["set KUBECONFIG", "no-kubeconfig"].map(|words| said.matches(words).count());
        ensure!(told == [1, 1], "the error does not say once what is wrong and what to do: {said}");
        if format == "json" {
            are_addressed(&said, &[])?;
        }
    }
    Ok(())
}

/// Demands that the platform saw no write in this world.
async fn untouched(world: &World) -> Result<()> {
    let writes = world.simulator.committed(0).await?;
    ensure!(writes.is_empty(), "the platform was written to: {writes:?}");
    Ok(())
}

/// Waits for `Stalled=True` with a reason and a message that holds `words`; C4: `Synced` has the reason too.
async fn stalled(world: &World, name: &str, reason: &str, words: &[&str]) -> Result<Value> {
    let object = expect::client(world, name, "Stalled", "True", Some(reason)).await?;
    let message = condition(&object, "Stalled").and_then(|found| found["message"].as_str()).unwrap_or_default();
    for word in words {
        ensure!(message.contains(word), "{name}: Stalled={reason} does not say '{word}': {message}");
    }
    ensure!(expect::is(&object, "Synced", "False", Some(reason)), "{name}: Synced does not say {reason}: {}", expect::summary(&object));
    Ok(object)
}

/// A spec that breaks a rule, and words of the message that the rule gives.
fn broken(world: &str) -> Vec<(&'static str, Value, &'static str)> {
    let service = |name: &str, patch: Value| with_spec(client(world, name, world), &patch);
    let app = |name: &str, patch: Value| with_spec(web_app(world, name, world), &patch);
    vec![
        ("no-roles", service("no-roles", json!({ "roles": null })), "list at least one in spec.roles"),
        ("scopes-on-service", service("scopes-on-service", json!({ "scopes": ["users"] })), "remove it and list spec.roles"),
        (
            "redirects-on-service",
            service("redirects-on-service", json!({ "redirectUris": ["https://a.example.com/"] })),
            "for grantTypes AuthorizationCode and Implicit alone",
        ),
        ("public-service", service("public-service", json!({ "publicClient": true })), "needs grantType AuthorizationCode"),
        ("long-validity", service("long-validity", json!({ "accessTokenValiditySeconds": 200_000 })), "set spec.scim: true"),
        ("all-and-more", service("all-and-more", json!({ "roles": [{ "role": "employee", "divisions": ["*", "home"] }] })), "stands alone"),
        ("marker-in-text", service("marker-in-text", json!({ "description": "mine [k8s:a/b/c]" })), "must not hold"),
        (
            "reserved-secret",
            service("reserved-secret", json!({ "credentialsSecret": { "name": "x-rotation" } })),
            "must not end in -rotation",
        ),
        (
            "twice-one-key",
            service("twice-one-key", json!({ "credentialsSecret": { "keys": { "clientId": "a", "region": "a" } } })),
            "the same name",
        ),
        (
            "our-label",
            service("our-label", json!({ "credentialsSecret": { "labels": { "oauth.genesys-operator.io/client": "x" } } })),
            "they are the operator's",
        ),
        ("no-scopes", app("no-scopes", json!({ "scopes": null })), "list at least one in spec.scopes"),
        ("no-redirects", app("no-redirects", json!({ "redirectUris": null })), "needs spec.redirectUris"),
        ("plain-http", app("plain-http", json!({ "redirectUris": ["http://app.example.com/callback"] })), "must begin with https://"),
        ("roles-on-app", app("roles-on-app", json!({ "roles": [{ "role": "employee" }] })), "for grantType ClientCredentials alone"),
    ]
}

async fn rules(harness: Arc<Harness>) -> Result<()> {
    let log = Logging { format: "json", ..Logging::USUAL };
    let world = World::settled(&harness, Plan { log, ..Plan::new("rules", Route::Direct) }).await?;
    let cases = broken(&world.name);
    for (name, manifest, words) in &cases {
        let said = harness.kubectl.feed(&["apply", "-f", "-"], Some(&manifest.to_string())).await?;
        if harness.keeps_rules {
            let refusal = said.refusal().with_context(|| (*name).to_owned())?;
            ensure!(refusal.contains(words), "{name}: the refusal does not say '{words}': {refusal}");
        } else {
            said.success().with_context(|| (*name).to_owned())?;
        }
    }
    if !harness.keeps_rules {
        for (name, _, words) in &cases {
            let object = stalled(&world, name, "InvalidSpec", &[words]).await?;
            ensure!(expect::is(&object, "Ready", "False", Some("InvalidSpec")), "{name}: {}", expect::summary(&object));
        }
        // A broken object that was never created lets go at once.
        world.kubectl.ok(&["delete", "goc", "--all", "--timeout=60s"]).await?;
    }
    // What every server refuses by the schema alone.
    for (patch, words) in [
        (json!({ "grantType": "Password" }), "grantType"),
        (json!({ "accessTokenValiditySeconds": 10 }), "accessTokenValiditySeconds"),
        (json!({ "state": "Paused" }), "state"),
    ] {
        let manifest = with_spec(client(&world.name, "schema", &world.name), &patch).to_string();
        let refusal = harness.kubectl.feed(&["apply", "-f", "-"], Some(&manifest)).await?.refusal()?;
        ensure!(refusal.contains(words), "{patch}: {refusal}");
    }
    are_addressed(&world.operator_logs(), &[])?;
    untouched(&world).await
}

async fn immutable(harness: Arc<Harness>) -> Result<()> {
    let world = World::settled(&harness, Plan::new("immutable", Route::Direct)).await?;
    let base = client(&world.name, CLIENT, &world.name);
    world.apply(&base).await?;
    done(&world, CLIENT).await?;
    let mark = world.simulator.mark().await?;
    let other = json!({ "grantType": "AuthorizationCode", "roles": null, "scopes": ["users"], "redirectUris": ["https://a.example.com/"] });
    let said = harness.kubectl.feed(&["apply", "-f", "-"], Some(&with_spec(base.clone(), &other).to_string())).await?;
    if harness.keeps_rules {
        let refusal = said.refusal()?;
        ensure!(refusal.contains("immutable"), "the refusal does not say 'immutable': {refusal}");
    } else {
        said.success()?;
        let object = stalled(&world, CLIENT, "ImmutableFieldChanged", &["grantType"]).await?;
        ensure!(expect::is(&object, "Ready", "True", None), "the published credential works on: {}", expect::summary(&object));
        world.apply(&base).await?;
        done(&world, CLIENT).await?;
    }
    let writes = world.simulator.committed(mark).await?;
    ensure!(writes.is_empty(), "the platform was written to: {writes:?}");
    Ok(())
}
