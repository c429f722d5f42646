//! What people see when something is wrong: each case makes a mistake, waits until the operator says that a person must act, and
//! prints its words as they stand in the object. It must not explain them: the words have to do.

use anyhow::{Result, ensure};
use genesys_oauth_operator::api::condition::Reason;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::{
    print,
    stage::{Stage, TEAM, condition, conditions},
};

/// A namespace that no organization knows.
pub const SANDBOX: &str = "sandbox";
/// An organization whose credential is wrong.
pub const STRANGER: &str = "globex";

/// A client that is wrong, in one way each.
struct Case {
    mistake: &'static str,
    namespace: &'static str,
    name: &'static str,
    role: &'static str,
    expected: Reason,
    advice: &'static str,
    remedy: &'static str,
}

const CASES: [Case; 2] = [
    Case {
        mistake: "A team without a place in the organization's `access` asks for a client",
        namespace: SANDBOX,
        name: "experiment",
        role: "employee",
        expected: Reason::AccessDenied,
        advice: "ask its owner",
        remedy: "kubectl label namespace sandbox genesys.example.com/team=contact-center",
    },
    Case {
        mistake: "A client asks for a role that does not exist",
        namespace: TEAM,
        name: "typing-error",
        role: "Supervisr",
        expected: Reason::RoleNotFound,
        advice: "similar: Supervisor; correct the name",
        remedy: "kubectl patch goc typing-error -n contact-center --type=merge --patch='{\"spec\":{\"roles\":[{\"role\":\"Supervisor\"}]}}'",
    },
];

/// Makes every mistake and shows what comes of it.
pub async fn show(stage: &Stage) -> Result<()> {
    for case in &CASES {
        stalled_client(stage, case).await?;
    }
    wrong_credential(stage).await?;
    refused_at_once(stage).await
}

async fn stalled_client(stage: &Stage, case: &Case) -> Result<()> {
    let Case { mistake, namespace, name, role, expected, advice, remedy } = case;
    print::title(mistake);
    if *namespace == SANDBOX {
        stage.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}")).await?;
    }
    stage.apply(&client(namespace, name, "acme", role)).await?;
    print::command(&format!("kubectl describe goc {name} -n {namespace}"));
    let found = stage
        .until(&format!("{namespace}/{name} to be Stalled"), async || {
            let object = stage.object(namespace, name).await?;
            Ok(stalled(object.as_ref().map_or(&[], |object| conditions(object))))
        })
        .await?;
    said(&found, *expected, advice)?;
    ensure!(stage.secrets(namespace).get_opt(name).await?.is_none(), "{namespace}/{name} got a Secret");
    print::note(&format!("what mends it: {remedy}"));
    Ok(())
}

async fn wrong_credential(stage: &Stage) -> Result<()> {
    print::title("The operator's own credential for an organization is wrong");
    stage.credential("genesys-globex", "not-the-secret-of-this-client").await?;
    let organization = json!({
        "apiVersion": "oauth.genesys-operator.io/v1alpha1", "kind": "GenesysOrganization", "metadata": { "name": STRANGER },
        "spec": { "region": "eu-central-1", "credentialsSecretRef": { "name": "genesys-globex" } },
    });
    stage.apply(&organization.to_string()).await?;
    print::command(&format!("kubectl describe gorg {STRANGER}"));
    let found = stage
        .until(&format!("organization {STRANGER} to be Stalled"), async || {
            let status = stage.organizations().get_opt(STRANGER).await?.and_then(|object| object.status);
            Ok(stalled(status.as_ref().map_or(&[], |status| &status.conditions)))
        })
        .await?;
    said(&found, Reason::CredentialRejected, "correct Secret \"genesys-globex\"")?;

    print::title("And a client of that organization waits: nothing is wrong with the client itself");
    stage.apply(&client(TEAM, "waiting", STRANGER, "employee")).await?;
    print::command(&format!("kubectl describe goc waiting -n {TEAM}"));
    let found = stage
        .until("the client to wait for its organization", async || {
            let object = stage.object(TEAM, "waiting").await?;
            let ready = object.as_ref().and_then(|object| condition(conditions(object), "Ready"));
            let ready = ready.filter(|ready| ready.reason == Reason::WaitingForOrganization.as_str());
            Ok(ready.cloned().ok_or_else(|| "it says nothing of that".to_owned()))
        })
        .await?;
    said(&found, Reason::WaitingForOrganization, STRANGER)
}

/// What breaks a rule of the kind does not get as far as the operator, on a server that knows CEL.
async fn refused_at_once(stage: &Stage) -> Result<()> {
    print::title("A change that is not possible");
    print::command(&format!("kubectl patch goc typing-error -n {TEAM} --type=merge --patch='{{\"spec\":{{\"grantType\":\"Owner\"}}}}'"));
    let patch = json!({ "spec": { "grantType": "Owner" } });
    match stage.clients(TEAM).patch("typing-error", &PatchParams::default(), &Patch::Merge(&patch)).await {
        Err(kube::Error::Api(refusal)) => print::say(&refusal.message),
        Err(other) => return Err(other.into()),
        Ok(_) => anyhow::bail!("the API took a grant type that does not exist"),
    }
    Ok(())
}

fn client(namespace: &str, name: &str, organization: &str, role: &str) -> String {
    json!({
        "apiVersion": "oauth.genesys-operator.io/v1alpha1", "kind": "GenesysOAuthClient",
        "metadata": { "name": name, "namespace": namespace },
        "spec": { "organizationRef": { "name": organization }, "grantType": "ClientCredentials", "roles": [{ "role": role }] },
    })
    .to_string()
}

/// The condition that says that a person must act.
fn stalled(conditions: &[Condition]) -> Result<Condition, String> {
    let now = conditions.iter().map(|one| format!("{}={} {}", one.type_, one.status, one.reason)).collect::<Vec<_>>().join(", ");
    condition(conditions, "Stalled").filter(|stalled| stalled.status == "True").cloned().ok_or(now)
}

/// Prints a condition as `kubectl describe` shows it, and checks that it is the one, and gives this advice.
fn said(found: &Condition, expected: Reason, advice: &str) -> Result<()> {
    for (name, value) in [("Type", &found.type_), ("Status", &found.status), ("Reason", &found.reason), ("Message", &found.message)] {
        print::say(&format!("  {:<9}{value}", format!("{name}:")));
    }
    ensure!(found.reason == expected.as_str(), "the reason is {}, not {}", found.reason, expected.as_str());
    ensure!(found.message.contains(advice), "the message does not say {advice:?}: {}", found.message);
    Ok(())
}
