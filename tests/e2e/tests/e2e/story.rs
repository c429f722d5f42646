//! The happy story with the manifests of `examples/`, as a person would live it with kubectl; it must not use anything but
//! kubectl to change the cluster.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use e2e_support::expect::{done, logs_are_clean, one_client};
use e2e_support::harness::Harness;
use e2e_support::lines::are_addressed;
use e2e_support::manifests::{CLIENT, client, with_spec};
use e2e_support::operator::Logging;
use e2e_support::runner::Scenario;
use e2e_support::simulator::{OPERATOR_CLIENT, OPERATOR_SECRET};
use e2e_support::world::{Plan, Route, World};
use serde_json::{Value, json};

const FILES: [&str; 7] = [
    "00-namespace.yaml",
    "organization.yaml",
    "rotation-policy.yaml",
    "client-credentials.yaml",
    "web-app.yaml",
    "single-page-app.yaml",
    "rotated-service.yaml",
];

/// Whom lines of its log must name, and of which organization.
const WHOM: [(&str, Option<&str>); 6] = [
    ("acme", Some("acme")),
    ("contact-center/monthly", None),
    ("contact-center/call-reporting", Some("acme")),
    ("contact-center/agent-portal", Some("acme")),
    ("contact-center/wallboard", Some("acme")),
    ("contact-center/crm-sync", Some("acme")),
];

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("story/the examples, from apply to delete", examples),
        Scenario::new("story/an orphaned client keeps its Secret (the test plays the garbage collector)", let_go),
        Scenario::new("story/kubectl wait for Synced tells the truth right after an edit", wait_tells_the_truth),
    ]
}

async fn examples(harness: Arc<Harness>) -> Result<()> {
    let log = Logging { filter: "debug", format: "json" };
    let world = World::create(&harness, Plan { log, ..Plan::examples() }).await?;
    world.start_operator().await?;
    let result = async {
        apply(&world).await.context("applying examples/")?;
        columns(&world).await.context("the columns")?;
        again(&world).await.context("applying again, diff and dry run")?;
        tokens(&world).await.context("the published credentials")?;
        edits(&world).await.context("editing")?;
        delete(&world).await.context("deleting")?;
        are_addressed(&world.operator_logs(), &WHOM).context("the log")?;
        logs_are_clean(&world).await
    };
    result.await.with_context(|| format!("operator:\n{}", e2e_support::process::tail(&world.operator_logs(), 15)))
}

fn file(world: &World, name: &str) -> String {
    world.harness.environment.path("examples").join(name).display().to_string()
}

/// What organization.yaml tells people to do, and then the manifests.
async fn apply(world: &World) -> Result<()> {
    let kubectl = &world.harness.kubectl;
    let id = format!("--from-literal=clientId={OPERATOR_CLIENT}");
    let create = [
        "create",
        "secret",
        "generic",
        "genesys-acme",
        "--namespace",
        "genesys-oauth-operator",
        &id,
        "--from-file=clientSecret=/dev/stdin",
    ];
    kubectl.feed(&create, Some(OPERATOR_SECRET)).await?.success()?;
    let folder = world.harness.environment.path("examples").display().to_string();
    let said = kubectl.ok(&["apply", "-f", &folder]).await?;
    ensure!(said.lines().filter(|line| line.ends_with(" created")).count() == FILES.len(), "kubectl apply said:\n{said}");
    kubectl.wait("gorg/acme", "Ready", "60s").await?;
    let said = world.kubectl.ok(&["wait", "goc", "--all", "--for=condition=Ready", "--timeout=60s"]).await?;
    ensure!(said.lines().filter(|line| line.ends_with(" condition met")).count() == 4, "kubectl wait said:\n{said}");
    Ok(())
}

async fn columns(world: &World) -> Result<()> {
    let table = world.kubectl.ok(&["get", "goc"]).await?;
    let words = |line: Option<&str>| line.unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    ensure!(words(table.lines().next()) == ["NAME", "READY", "SYNCED", "DRIFT", "EXPIRING", "SECRET", "AGE"], "the columns are:\n{table}");
    ensure!(table.lines().all(|line| line.len() <= 80), "the table is wider than 80 characters:\n{table}");
    let row = words(table.lines().find(|line| line.starts_with("agent-portal")));
    ensure!(row.len() == 7 && row[1..=2] == ["True", "True"] && row[5] == "agent-portal-env", "agent-portal's row is {row:?}");
    let wide = world.kubectl.ok(&["get", "goc", "-o", "wide"]).await?;
    let header = words(wide.lines().next());
    for column in ["CLIENT-ID", "ORG", "GRANT", "REASON"] {
        ensure!(header.iter().any(|name| name == column), "-o wide lacks {column}:\n{wide}");
    }
    let all = world.kubectl.ok(&["get", "genesys"]).await?;
    ensure!(all.contains("call-reporting") && all.contains("acme"), "the category 'genesys' shows:\n{all}");
    Ok(())
}

async fn again(world: &World) -> Result<()> {
    for name in FILES {
        let path = file(world, name);
        let said = world.harness.kubectl.ok(&["apply", "-f", &path]).await?;
        ensure!(said.lines().all(|line| line.ends_with(" unchanged")), "a second apply of {name} said:\n{said}");
        let same = world.harness.kubectl.run(&["diff", "-f", &path]).await?;
        ensure!(same.code == 0, "kubectl diff of {name} finds:\n{}{}", same.stdout, same.stderr);
    }
    let before = object(world, "call-reporting").await?;
    let edited = manifest(world, "client-credentials.yaml", &json!({ "accessTokenValiditySeconds": 600 })).await?;
    let differs = world.harness.kubectl.feed(&["diff", "-f", "-"], Some(&edited)).await?;
    ensure!(differs.code == 1 && differs.stdout.contains("accessTokenValiditySeconds: 600"), "kubectl diff of an edit: {differs:?}");
    let said = world.harness.kubectl.feed(&["apply", "--dry-run=server", "-f", "-"], Some(&edited)).await?.success()?.stdout;
    ensure!(said.trim_end().ends_with("configured (server dry run)"), "a dry run said:\n{said}");
    let after = object(world, "call-reporting").await?;
    ensure!(before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"], "a dry run changed the object");
    Ok(())
}

async fn tokens(world: &World) -> Result<()> {
    for name in ["call-reporting", "agent-portal", "wallboard"] {
        one_client(world, name).await.with_context(|| name.to_owned())?;
    }
    let portal = world.data("agent-portal-env").await?;
    for key in ["GENESYSCLOUD_OAUTHCLIENT_ID", "GENESYSCLOUD_OAUTHCLIENT_SECRET", "GENESYSCLOUD_REGION"] {
        ensure!(portal.get(key).is_some_and(|value| !value.is_empty()), "agent-portal-env lacks {key}");
    }
    let wallboard = world.data("wallboard").await?;
    ensure!(!wallboard.contains_key("clientSecret"), "a public client's Secret holds a clientSecret");
    Ok(())
}

/// Every edit reaches the platform with one PUT, and `kubectl wait` for Synced returns when it is there.
async fn edits(world: &World) -> Result<()> {
    let roles = json!([{ "role": "employee", "divisions": ["home"] }, { "role": "Supervisor", "divisions": ["home"] }]);
    let scopes = json!(["user-basic-info", "routing:readonly", "presence"]);
    let redirects = json!(["https://agents.example.com/oauth/callback"]);
    let cases = [
        ("client-credentials.yaml", "call-reporting", json!({ "roles": roles })),
        ("client-credentials.yaml", "call-reporting", json!({ "roles": roles, "accessTokenValiditySeconds": 7200 })),
        ("web-app.yaml", "agent-portal", json!({ "scopes": scopes })),
        ("web-app.yaml", "agent-portal", json!({ "scopes": scopes, "redirectUris": redirects })),
    ];
    for (file, name, patch) in cases {
        let mark = world.simulator.mark().await?;
        let said = world.harness.kubectl.apply(&manifest(world, file, &patch).await?).await?;
        ensure!(said.trim_end().ends_with(" configured"), "kubectl apply said:\n{said}");
        world.kubectl.wait(&format!("goc/{name}"), "Synced", "60s").await?;
        let writes = world.simulator.committed(mark).await?;
        ensure!(
            matches!(writes.as_slice(), [one] if one.starts_with("UpdateClient ")),
            "the edit {patch} of {name} made these writes to the platform: {writes:?}"
        );
        let found = one_client(world, name).await?;
        let seen = json!({
            "validity": found["accessTokenValiditySeconds"], "roles": found["roleDivisions"].as_array().map(Vec::len),
            "scopes": found["scope"].as_array().map(Vec::len), "redirects": found["registeredRedirectUri"],
        });
        let good = match name {
            "call-reporting" => seen["roles"] == 2 && (patch.get("accessTokenValiditySeconds").is_none() || seen["validity"] == 7200),
            _ => {
                found["scope"].as_array().is_some_and(|all| all.contains(&json!("presence")))
                    && (patch.get("redirectUris").is_none() || seen["redirects"] == redirects)
            }
        };
        ensure!(good, "Synced, but the edit {patch} is not on the platform: {seen}");
    }
    Ok(())
}

async fn delete(world: &World) -> Result<()> {
    let id = object(world, "call-reporting").await?["status"]["clientId"].as_str().context("no clientId")?.to_owned();
    let path = file(world, "client-credentials.yaml");
    let said = world.harness.kubectl.ok(&["delete", "-f", &path, "--timeout=60s"]).await?;
    ensure!(said.contains("deleted"), "kubectl delete said:\n{said}");
    ensure!(world.object("call-reporting").await?.is_none(), "the object is there");
    ensure!(world.secret("call-reporting").await?.is_none(), "the Secret is there");
    let left = world.simulator.clients().await?;
    ensure!(left.iter().all(|client| client["id"] != id.as_str()), "the client is there");
    ensure!(left.len() == 3, "the other clients are not: {left:?}");
    let collected = world.play_garbage_collector().await?;
    ensure!(collected.is_empty(), "the garbage collector, played by this test, found more to do: {collected:?}");
    Ok(())
}

/// What an Orphan leaves on a real server: the Secret without its owner, so that no garbage collector takes it, and the client.
async fn let_go(harness: Arc<Harness>) -> Result<()> {
    let world = World::settled(&harness, Plan::new("let-go", Route::Direct)).await?;
    world.apply(&with_spec(client(&world.name, CLIENT, &world.name), &json!({ "deletionPolicy": "Orphan" }))).await?;
    done(&world, CLIENT).await?;
    let before = world.data(CLIENT).await?;
    world.kubectl.ok(&["delete", "goc", CLIENT, "--timeout=60s"]).await?;
    let collected = world.play_garbage_collector().await?;
    ensure!(collected.is_empty(), "the garbage collector, played by this test, takes {collected:?}");
    ensure!(world.data(CLIENT).await? == before, "the Secret holds another credential");
    e2e_support::oauth::client_credentials(&harness.http, &before).await?.token()?;
    Ok(())
}

/// While nobody works on the edit, `kubectl wait` must not be satisfied with the condition of the former generation.
async fn wait_tells_the_truth(harness: Arc<Harness>) -> Result<()> {
    let world = World::settled(&harness, Plan::new("wait", Route::Direct)).await?;
    let base = client(&world.name, CLIENT, &world.name);
    world.apply(&base).await?;
    done(&world, CLIENT).await?;
    world.stop_operators().await?;
    world.apply(&with_spec(base, &json!({ "accessTokenValiditySeconds": 1800 }))).await?;
    let object = object(&world, CLIENT).await?;
    let synced = e2e_support::expect::condition(&object, "Synced").context("no Synced")?;
    ensure!(synced["status"] == "True", "without an operator the old condition stands, but it is {synced}");
    let early = world.kubectl.run(&["wait", "goc/client", "--for=condition=Synced", "--timeout=3s"]).await?;
    ensure!(early.code != 0, "kubectl wait took the old condition for the new generation: {}", early.stdout);
    let (waited, started) = tokio::join!(world.kubectl.wait("goc/client", "Synced", "60s"), world.start_operator());
    started?;
    waited?;
    let found = one_client(&world, CLIENT).await?;
    ensure!(found["accessTokenValiditySeconds"] == 1800, "kubectl wait returned before the edit was there");
    Ok(())
}

async fn object(world: &World, name: &str) -> Result<Value> {
    world.object(name).await?.with_context(|| format!("no object {name}"))
}

/// An example with an edit, as JSON.
async fn manifest(world: &World, name: &str, patch: &Value) -> Result<String> {
    let source = file(world, name);
    let text = world.harness.kubectl.ok(&["create", "--dry-run=client", "-o", "json", "-f", &source]).await?;
    Ok(with_spec(serde_json::from_str(&text)?, patch).to_string())
}
