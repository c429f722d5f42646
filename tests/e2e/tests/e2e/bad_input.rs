//! Bad input: each mistake gives a refusal or a condition that a person can act on, and no write to the platform. It must
//! not pass because nothing happened: each scenario waits for the condition first.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use e2e_support::api::path;
use e2e_support::expect::{self, condition, done, only_client};
use e2e_support::harness::Harness;
use e2e_support::manifests::{self, CLIENT, client, web_app, with_spec};
use e2e_support::runner::Scenario;
use e2e_support::simulator::OPERATOR_SECRET;
use e2e_support::world::{Plan, Route, World};
use http::Method;
use serde_json::{Value, json};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("bad input/broken rules are refused, or Stalled with the rule's message", rules),
        Scenario::new("bad input/what cannot change is refused, or Stalled", immutable),
        Scenario::new("bad input/a wrong operator credential, and its repair", wrong_credential),
        Scenario::new("bad input/no operator credential yet", no_credential),
        Scenario::new("bad input/a missing permission is named", missing_permission),
        Scenario::new("bad input/an unknown role, division, scope or organization", unknown_names),
        Scenario::new("bad input/an unknown region, and the wrong organization", wrong_organization),
        Scenario::new("bad input/what access does not allow", access),
        Scenario::new("bad input/a Secret of somebody else, and its removal", foreign_secret),
    ]
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
            "for grantType AuthorizationCode alone",
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
    let world = World::settled(&harness, Plan::new("rules", Route::Direct)).await?;
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

async fn wrong_credential(harness: Arc<Harness>) -> Result<()> {
    let world = World::create(&harness, Plan::new("wrong-credential", Route::Direct)).await?;
    world.give_credentials("not-the-secret-of-this-client").await?;
    world.apply(&manifests::organization(&world.name)).await?;
    world.apply(&client(&world.name, CLIENT, &world.name)).await?;
    world.start_operator().await?;
    let organization = expect::organization(&world, "Stalled", "True", Some("CredentialRejected")).await?;
    let message = condition(&organization, "Stalled").and_then(|found| found["message"].as_str()).unwrap_or_default();
    ensure!(message.contains(manifests::CREDENTIALS), "the message does not name the Secret to mend: {message}");
    ensure!(!message.contains("not-the-secret"), "the message shows the credential");
    expect::client(&world, CLIENT, "Ready", "False", Some("WaitingForOrganization")).await?;
    untouched(&world).await?;
    world.give_credentials(OPERATOR_SECRET).await?;
    done(&world, CLIENT).await.context("after the credential was mended")?;
    only_client(&world, CLIENT).await.map(drop)
}

async fn no_credential(harness: Arc<Harness>) -> Result<()> {
    let world = World::create(&harness, Plan::new("no-credential", Route::Direct)).await?;
    world.apply(&manifests::organization(&world.name)).await?;
    world.apply(&client(&world.name, CLIENT, &world.name)).await?;
    world.start_operator().await?;
    let organization = expect::organization(&world, "Ready", "False", None).await?;
    let ready = condition(&organization, "Ready").cloned().unwrap_or_default();
    ensure!(
        ready["message"].as_str().is_some_and(|text| text.contains(manifests::CREDENTIALS)),
        "nobody is told which Secret is missing: {ready}"
    );
    expect::client(&world, CLIENT, "Reconciling", "True", Some("WaitingForOrganization")).await?;
    untouched(&world).await?;
    world.give_credentials(OPERATOR_SECRET).await?;
    done(&world, CLIENT).await.context("after the Secret appeared").map(drop)
}

async fn missing_permission(harness: Arc<Harness>) -> Result<()> {
    let world = World::create(&harness, Plan::new("permission", Route::Direct)).await?;
    let granted = json!({ "permissions": ["oauth:client:view", "oauth:client:edit", "oauth:client:delete", "authorization:role:view"] });
    world.simulator.admin(Method::PATCH, "operator", Some(&granted)).await?;
    world.give_credentials(OPERATOR_SECRET).await?;
    world.apply(&manifests::organization(&world.name)).await?;
    world.apply(&client(&world.name, CLIENT, &world.name)).await?;
    world.start_operator().await?;
    let object = stalled(&world, CLIENT, "PermissionMissing", &["oauth:client:add"]).await?;
    ensure!(expect::is(&object, "Ready", "False", Some("PermissionMissing")), "{}", expect::summary(&object));
    untouched(&world).await
}

async fn unknown_names(harness: Arc<Harness>) -> Result<()> {
    let world = World::settled(&harness, Plan::new("unknown", Route::Direct)).await?;
    let name = world.name.clone();
    let cases = [
        ("role", with_spec(client(&name, "role", &name), &json!({ "roles": [{ "role": "employe" }] })), "RoleNotFound", "employe"),
        (
            "division",
            with_spec(client(&name, "division", &name), &json!({ "roles": [{ "role": "employee", "divisions": ["Atlantis"] }] })),
            "DivisionNotFound",
            "Atlantis",
        ),
        ("scope", with_spec(web_app(&name, "scope", &name), &json!({ "scopes": ["users:manage"] })), "ScopeUnknown", "users:manage"),
    ];
    for (_, manifest, _, _) in &cases {
        world.apply(manifest).await?;
    }
    world.apply(&client(&name, "organization", "nowhere")).await?;
    for (object, _, reason, words) in &cases {
        stalled(&world, object, reason, &[words]).await?;
    }
    untouched(&world).await?;
    // One Git sync may apply everything in any order: a missing organization is waited for.
    let waiting = expect::client(&world, "organization", "Reconciling", "True", Some("WaitingForOrganization")).await?;
    let message = condition(&waiting, "Reconciling").and_then(|found| found["message"].as_str()).unwrap_or_default();
    ensure!(message.contains("nowhere"), "nobody is told which organization is missing: {message}");
    ensure!(expect::is(&waiting, "Stalled", "False", None), "{}", expect::summary(&waiting));
    untouched(&world).await?;
    let mended = with_spec(client(&name, "role", &name), &json!({}));
    world.apply(&mended).await?;
    done(&world, "role").await.context("after the role's name was mended").map(drop)
}

async fn wrong_organization(harness: Arc<Harness>) -> Result<()> {
    let world = World::create(&harness, Plan::new("wrong-organization", Route::Direct)).await?;
    world.give_credentials(OPERATOR_SECRET).await?;
    let region = with_spec(manifests::organization(&world.name), &json!({ "region": "atlantis-1" }));
    world.apply(&region).await?;
    world.apply(&client(&world.name, CLIENT, &world.name)).await?;
    world.start_operator().await?;
    let found = expect::organization(&world, "Stalled", "True", Some("UnknownRegion")).await?;
    let message = condition(&found, "Stalled").and_then(|found| found["message"].as_str()).unwrap_or_default();
    ensure!(message.contains("atlantis-1") && message.contains("us-east-1"), "nobody is told which regions there are: {message}");
    expect::client(&world, CLIENT, "Ready", "False", Some("WaitingForOrganization")).await?;

    world.kubectl.ok(&["delete", "gorg", &world.name]).await?;
    let expected = "99999999-9999-4999-8999-999999999999";
    let pinned = with_spec(manifests::organization(&world.name), &json!({ "expectedOrganizationId": expected }));
    world.apply(&pinned).await?;
    let found = expect::organization(&world, "Stalled", "True", Some("OrganizationChanged")).await?;
    let message = condition(&found, "Stalled").and_then(|found| found["message"].as_str()).unwrap_or_default();
    ensure!(message.contains(expected), "nobody is told which organization was expected: {message}");
    expect::client(&world, CLIENT, "Ready", "False", Some("WaitingForOrganization")).await?;
    untouched(&world).await
}

async fn access(harness: Arc<Harness>) -> Result<()> {
    let world = World::settled(&harness, Plan::new("access", Route::Direct)).await?;
    let mut organization = manifests::organization(&world.name);
    organization["spec"]["access"][0]["roles"] = json!(["employee"]);
    organization["spec"]["access"][0]["grantTypes"] = json!(["ClientCredentials"]);
    world.apply(&organization).await?;
    expect::organization(&world, "Ready", "True", None).await?;
    world.apply(&with_spec(client(&world.name, "powerful", &world.name), &json!({ "roles": [{ "role": "Supervisor" }] }))).await?;
    world.apply(&web_app(&world.name, "app", &world.name)).await?;
    stalled(&world, "powerful", "AccessDenied", &["Supervisor"]).await?;
    stalled(&world, "app", "AccessDenied", &["AuthorizationCode"]).await?;
    untouched(&world).await?;
    organization["spec"]["access"][0]["roles"] = json!(["*"]);
    world.apply(&organization).await?;
    done(&world, "powerful").await.context("after access was given").map(drop)
}

async fn foreign_secret(harness: Arc<Harness>) -> Result<()> {
    let world = World::settled(&harness, Plan::new("foreign", Route::Direct)).await?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": CLIENT, "namespace": world.name },
        "stringData": { "password": "belongs to somebody else" },
    });
    world.apply(&secret).await?;
    let before = world.secret(CLIENT).await?.context("the Secret")?;
    world.apply(&client(&world.name, CLIENT, &world.name)).await?;
    stalled(&world, CLIENT, "Conflict", &[CLIENT]).await?;
    let after = world.secret(CLIENT).await?.context("the Secret")?;
    ensure!(before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"], "the Secret was written");
    untouched(&world).await?;
    harness.api.delete(&path(Some(&world.name), "secrets", CLIENT)).await?;
    world.kubectl.ok(&["annotate", "goc", CLIENT, "example.com/looked=yes"]).await?;
    done(&world, CLIENT).await.context("after the Secret was removed")?;
    only_client(&world, CLIENT).await.map(drop)
}
