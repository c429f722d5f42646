//! The account with which an operator works: the ServiceAccount, roles and bindings that the chart renders, and a token. It must not add a right.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::audit::Right;
use crate::environment::Environment;
use crate::helm::Helm;
use crate::wait::until;

/// The chart, from the repository's root.
pub const CHART: &str = "charts/genesys-oauth-operator";
/// Longer than any run: a token is not renewed here as a kubelet does it.
const TOKEN_LIVES: u32 = 24 * 3600;

/// What of an install its rights depend on.
#[derive(Debug, Clone, Copy)]
pub struct Install<'a> {
    /// The name of the release.
    pub release: &'a str,
    /// The namespace of the operator, which exists.
    pub namespace: &'a str,
    /// The namespace whose clients it works; all if none.
    pub watch: Option<&'a str>,
    /// As `--rollout-targets` takes it: `forbidden` or `allowed`.
    pub rollout_targets: &'a str,
}

/// Makes what the chart renders for the account of an install, and returns a token of it when its rights are in force.
pub async fn token(environment: &Environment, helm: &Helm, api: &Api, install: Install<'_>) -> Result<String> {
    let objects = rendered(environment, helm, install).await?;
    for object in &objects {
        api.write(Method::POST, &collection(object)?, object).await.with_context(|| format!("{} of the chart", object["kind"]))?;
    }
    let account = objects.iter().find(|object| object["kind"] == "ServiceAccount").context("the chart renders no ServiceAccount")?;
    let name = account["metadata"]["name"].as_str().context("the ServiceAccount has no name")?;
    for role in objects.iter().filter(|object| object["kind"] == "Role" || object["kind"] == "ClusterRole") {
        in_force(api, role, &format!("system:serviceaccount:{}:{name}", install.namespace)).await?;
    }
    token_of(api, install.namespace, name).await
}

/// What the chart grants to an install.
pub async fn granted(environment: &Environment, helm: &Helm, install: Install<'_>) -> Result<BTreeSet<Right>> {
    let texts = |value: &Value| value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
    let mut all = BTreeSet::new();
    for role in rendered(environment, helm, install).await? {
        for rule in role["rules"].as_array().into_iter().flatten() {
            for (group, resource) in
                texts(&rule["apiGroups"]).iter().flat_map(|group| texts(&rule["resources"]).into_iter().map(move |one| (group, one)))
            {
                all.extend(texts(&rule["verbs"]).iter().map(|verb| format!("{verb} {group}/{resource}")));
            }
        }
    }
    Ok(all)
}

/// A token of a ServiceAccount that exists.
pub async fn token_of(api: &Api, namespace: &str, name: &str) -> Result<String> {
    let place = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
    let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": { "expirationSeconds": TOKEN_LIVES, "audiences": [] } });
    let reply = api.write(Method::POST, &place, &request).await?;
    reply["status"]["token"].as_str().map(str::to_owned).context("no token in the reply")
}

/// Writes a kubeconfig that only its owner may read.
pub fn write_kubeconfig(file: &Path, server: &str, authority: Option<&[u8]>, token: &str) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut cluster = json!({ "server": server });
    if let Some(pem) = authority.filter(|pem| !pem.is_empty()) {
        cluster["certificate-authority-data"] = BASE64_STANDARD.encode(pem).into();
    }
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "operator",
        "clusters": [{ "name": "cluster", "cluster": cluster }],
        "users": [{ "name": "operator", "user": { "token": token } }],
        "contexts": [{ "name": "operator", "context": { "cluster": "cluster", "user": "operator" } }],
    });
    let mut open = std::fs::OpenOptions::new();
    open.write(true).create(true).truncate(true).mode(0o600);
    open.open(file)?.write_all(config.to_string().as_bytes()).context("writing a kubeconfig")
}

/// What the chart renders for the account and its rights.
async fn rendered(environment: &Environment, helm: &Helm, install: Install<'_>) -> Result<Vec<Value>> {
    let chart = environment.path(CHART).display().to_string();
    let watched = format!("watchNamespaces={{{}}}", install.watch.unwrap_or_default());
    let restarts = format!("rolloutTargets.enabled={}", install.rollout_targets == "allowed");
    let mut arguments = vec!["template", install.release, &chart, "--namespace", install.namespace, "--kube-version", "1.33.0"];
    arguments.extend(["--show-only", "templates/serviceaccount.yaml", "--show-only", "templates/rbac.yaml", "--set", &restarts]);
    if install.watch.is_some() {
        arguments.extend(["--set", &watched]);
    }
    let text = helm.ok(&arguments).await?;
    let objects: Vec<Value> = serde_yaml::from_multiple(&text).context("what helm template prints")?;
    let objects: Vec<Value> = objects.into_iter().filter(Value::is_object).collect();
    ensure!(objects.len() >= 5, "the chart renders only {} objects for the account", objects.len());
    Ok(objects)
}

/// Where an object is made.
fn collection(object: &Value) -> Result<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    let base = if version == "v1" { "/api/v1".to_owned() } else { format!("/apis/{version}") };
    let place = object["metadata"]["namespace"].as_str().map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
    ensure!(!kind.is_empty(), "an object without a kind: {object}");
    Ok(format!("{base}{place}/{}s", kind.to_ascii_lowercase()))
}

/// Waits until a role's last rule holds for a user: the server learns of roles and of their bindings a moment after they are stored.
pub async fn in_force(api: &Api, role: &Value, user: &str) -> Result<()> {
    let last = role["rules"].as_array().and_then(|rules| rules.last()).context("a role without a rule")?;
    let resource = last["resources"][0].as_str().unwrap_or_default();
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let asked = json!({
        "verb": last["verbs"][0], "group": last["apiGroups"][0], "resource": resource, "subresource": subresource,
        "namespace": role["metadata"]["namespace"].as_str().unwrap_or_default(),
    });
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": { "user": user, "resourceAttributes": asked },
    });
    until(&format!("{} {} to be in force", role["kind"], role["metadata"]["name"]), Duration::from_secs(20), || async {
        let reply = api.write(Method::POST, "/apis/authorization.k8s.io/v1/subjectaccessreviews", &review).await?;
        Ok(if reply["status"]["allowed"] == true { Ok(()) } else { Err(reply["status"].to_string()) })
    })
    .await
}
