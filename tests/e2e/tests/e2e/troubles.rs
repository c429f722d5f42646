//! The troubles that runbooks are for, made in the world in which their commands are run: what an alert tells of is there to be seen. Judges nothing.

use anyhow::{Context as _, Result};
use e2e_support::kubectl::Kubectl;
use e2e_support::simulator::Simulator;
use http::Method;
use serde_json::json;

/// Where the clients of `examples/` are.
const TEAM: &str = "contact-center";

/// Makes them, and waits until the operator tells of each.
pub(crate) async fn plant(kubectl: &Kubectl, simulator: &Simulator) -> Result<()> {
    let kubectl = kubectl.namespaced(TEAM);
    stalled(&kubectl).await.context("a client that needs a person")?;
    changed(&kubectl, simulator).await.context("a client that somebody changed on the platform")?;
    failing(&kubectl, simulator).await.context("a rotation that fails")
}

/// A client whose role does not exist.
async fn stalled(kubectl: &Kubectl) -> Result<()> {
    let client = json!({
        "apiVersion": "oauth.genesys-operator.io/v1alpha1", "kind": "GenesysOAuthClient",
        "metadata": { "name": "misspelt", "namespace": TEAM },
        "spec": { "organizationRef": { "name": "acme" }, "grantType": "ClientCredentials", "roles": [{ "role": "employe" }] },
    });
    kubectl.apply(&client.to_string()).await?;
    kubectl.wait("goc/misspelt", "Stalled", "30s").await.map(drop)
}

/// A client that got a role more than was declared, and that the platform will delete.
async fn changed(kubectl: &Kubectl, simulator: &Simulator) -> Result<()> {
    kubectl.ok(&["patch", "goc", "call-reporting", "--type=merge", "--patch", r#"{"spec":{"driftPolicy":"Report"}}"#]).await?;
    kubectl.wait("goc/call-reporting", "Synced", "30s").await?;
    let clients = simulator.clients().await?;
    let client = clients.iter().find(|client| client["name"] == "Call reporting (production)").context("no such client")?;
    let roles = simulator.admin(Method::GET, "roles", None).await?;
    let wanted = |role: &&serde_json::Value| role["name"] == "Supervisor";
    let role = roles["roles"].as_array().into_iter().flatten().find(wanted).with_context(|| format!("no such role: {roles}"))?;
    let mut granted = client["roleDivisions"].as_array().cloned().context("its roles")?;
    granted.push(json!({ "roleId": role["id"], "divisionId": granted[0]["divisionId"] }));
    let edit = json!({ "roleDivisions": granted, "dateToDelete": "2099-09-01T00:00:00.000Z" });
    simulator.edit(client["id"].as_str().context("its id")?, &edit).await?;
    // The next scan is minutes away; a person can ask for one.
    kubectl.ok(&["annotate", "goc", "call-reporting", "oauth.genesys-operator.io/reconcile=look"]).await?;
    kubectl.wait("goc/call-reporting", "ScopeDrift", "60s").await.map(drop)
}

/// A client whose rotations the platform refuses.
async fn failing(kubectl: &Kubectl, simulator: &Simulator) -> Result<()> {
    // The rights to restart workloads are another story.
    kubectl.ok(&["patch", "goc", "crm-sync", "--type=merge", "--patch", r#"{"spec":{"rolloutTargets":null}}"#]).await?;
    kubectl.wait("goc/crm-sync", "Synced", "30s").await?;
    let fault = json!({ "operation": "CreateClient", "kind": "Status", "status": 400, "count": 0 });
    simulator.admin(Method::POST, "faults", Some(&fault)).await?;
    kubectl.ok(&["annotate", "goc", "crm-sync", "oauth.genesys-operator.io/rotate=today"]).await?;
    kubectl.ok(&["wait", "goc/crm-sync", "--for=jsonpath={.status.lastRotation.result}=Failed", "--timeout=60s"]).await.map(drop)
}
