//! The Kustomize example as the real kubectl builds it: each overlay, its names, its order, and that the real server takes what it holds. Stores nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use e2e_support::harness::Harness;
use e2e_support::runner::Scenario;
use serde_json::{Value, json};

/// The overlays, with the suffix of their names.
const OVERLAYS: [(&str, &str); 2] = [("production", ""), ("test", "-blue")];
const WAVE: &str = "argocd.argoproj.io/sync-wave";

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario::new("overlays/kubectl builds each, their names follow, and the server takes them", overlays)]
}

async fn overlays(harness: Arc<Harness>) -> Result<()> {
    let folder = harness.environment.path("examples/kustomize/overlays");
    let mut there: Vec<String> =
        std::fs::read_dir(&folder)?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    there.sort();
    ensure!(there == OVERLAYS.map(|(name, _)| name), "overlays are built that are not there, or the other way round: {there:?}");
    for (name, suffix) in OVERLAYS {
        built(&harness, &folder.join(name).display().to_string(), name, suffix).await.with_context(|| format!("overlay {name}"))?;
    }
    Ok(())
}

async fn built(harness: &Harness, folder: &str, name: &str, suffix: &str) -> Result<()> {
    let text = harness.kubectl.ok(&["kustomize", folder]).await?;
    let objects: Vec<Value> = serde_yaml::from_multiple(&text).context("what kubectl prints")?;
    let namespace = format!("contact-center-{name}");
    let mut by_kind = BTreeMap::new();
    for object in objects {
        let place = &object["metadata"];
        ensure!(place["namespace"] == namespace.as_str(), "{place} lies elsewhere");
        ensure!(place["name"].as_str().is_some_and(|name| name.ends_with(suffix)), "{place} lacks {suffix:?}");
        by_kind.insert(object["kind"].as_str().unwrap_or_default().to_owned(), object);
    }
    let one = |kind: &str| by_kind.get(kind).with_context(|| format!("no {kind}"));
    let (policy, client, deployment) = (one("GenesysRotationPolicy")?, one("GenesysOAuthClient")?, one("Deployment")?);
    ensure!(client["spec"]["rotationPolicyRef"]["name"] == policy["metadata"]["name"], "the client follows another policy");
    // The platform team's organization has the same name everywhere.
    ensure!(client["spec"]["organizationRef"]["name"] == "acme", "the organization was renamed");
    let mounted = &deployment["spec"]["template"]["spec"]["volumes"][0]["secret"]["secretName"];
    ensure!(*mounted == client["metadata"]["name"], "the Deployment mounts {mounted}");
    let expected = if name == "production" { json!("Orphan") } else { Value::Null };
    ensure!(client["spec"]["deletionPolicy"] == expected, "a mistake in Git is not handled as the overlay says");
    // Argo CD: what has no wave is of wave 0.
    let wave = |object: &Value| object["metadata"]["annotations"][WAVE].as_str().unwrap_or("0").parse::<i32>();
    let (policy, client, deployment) = (wave(policy)?, wave(client)?, wave(deployment)?);
    ensure!(policy <= client && client < deployment, "waves {policy}, {client} and {deployment}: the Secret is mounted before it is there");
    accepted(harness, &namespace, &text).await
}

/// The server would take it all, by its schemas and rules.
async fn accepted(harness: &Harness, namespace: &str, manifests: &str) -> Result<()> {
    harness.kubectl.ok(&["create", "namespace", namespace]).await?;
    let lenient = if harness.keeps_rules { "--validate=strict" } else { "--validate=false" };
    let dry =
        |manifests: String| async move { harness.kubectl.feed(&["apply", "--dry-run=server", lenient, "-f", "-"], Some(&manifests)).await };
    let said = dry(manifests.to_owned()).await?.success()?.stdout;
    ensure!(said.lines().filter(|line| line.contains("server dry run")).count() == 3, "not all was judged:\n{said}");
    // It judges, and does not only read: no such grant type.
    let wrong = manifests.replace("grantType: ClientCredentials", "grantType: Password");
    ensure!(wrong != manifests, "the client's grant type was not found");
    dry(wrong).await?.refusal()?;
    harness.kubectl.ok(&["delete", "namespace", namespace, "--wait=false"]).await.map(drop)
}
