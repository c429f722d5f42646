//! Writes a client's credential into credentials of Genesys Cloud integrations (talks to the network): only into those that one entry of the
//! organization's `access` allows, only of the one fitting type, and not again what they hold already.

use std::collections::BTreeMap;

use kube::{ResourceExt as _, runtime::events::EventType};

use super::{access, pass::Pass};
use crate::{
    api::{GenesysOrganization, condition::Reason, oauth_client::WrittenIntegrationCredential},
    controller::sessions::Session,
    genesys::{self, ClientCredential, IntegrationCredential, Operation},
    secret::Credential,
};

/// Sees to it that every credential of `spec.integrationCredentials` holds this one. What stands in the way, and what a person can do; the others
/// are written all the same. What was written stands in the status in memory, also after an error: the caller commits it. A write whose outcome
/// was lost is made again by the next pass.
pub async fn write(
    pass: &mut Pass<'_>,
    session: &Session,
    organization: &GenesysOrganization,
    labels: &BTreeMap<String, String>,
    credential: &Credential,
) -> Result<Option<(Reason, String)>, genesys::Error> {
    let wanted: Vec<String> = pass.object.spec.integration_credentials.iter().map(|reference| reference.credential.clone()).collect();
    if wanted.is_empty() {
        pass.status.integration_credentials.clear();
        return Ok(None);
    }
    let Some(client_secret) = credential.client_secret.clone() else {
        let message = "this client has no secret that an integration could use: remove spec.integrationCredentials";
        return Ok(Some((Reason::InvalidSpec, message.to_owned())));
    };
    let listed = session.platform.integration_credentials().await?;
    let (meant, mut problems) = resolve(&listed, &wanted);
    let ids: Vec<&str> = meant.iter().map(|target| target.id.as_str()).collect();
    let namespace = pass.object.namespace().unwrap_or_default();
    if let Err(message) = access::judge_integration_credentials(&organization.spec.access, &namespace, labels, &ids) {
        return Ok(Some((Reason::AccessDenied, format!("spec.integrationCredentials: {message}"))));
    }
    pass.status.integration_credentials.retain(|written| ids.contains(&written.id.as_str()));
    let client = ClientCredential { client_id: credential.client_id.clone(), client_secret };
    let mut written = vec![];
    let mut failed = Ok(());
    for target in meant {
        if target.kind.as_deref() != Some(IntegrationCredential::OAUTH_CLIENT) {
            problems.push(unfit(target));
        } else if !holds(&mut pass.status.integration_credentials, target, credential.revision) {
            failed = write_one(pass, session, target, &client, credential.revision).await;
            if failed.is_err() {
                break;
            }
            written.push(format!("{:?} ({})", target.name.as_deref().unwrap_or_default(), target.id));
        }
    }
    if !written.is_empty() {
        let (revision, client) = (credential.revision, &credential.client_id);
        // One Event for all: the recorder joins Events of one reason, and keeps the first one's words.
        let note =
            format!("now with revision {revision} of the credential of client {client}: integration credential {}", written.join(", "));
        pass.event(EventType::Normal, "IntegrationCredentialWritten", &note).await;
    }
    failed?;
    Ok((!problems.is_empty()).then(|| (Reason::InvalidSpec, format!("spec.integrationCredentials: {}", problems.join("; ")))))
}

/// The integration credentials that are meant, each once, and why others were not found.
fn resolve<'a>(listed: &'a [IntegrationCredential], wanted: &[String]) -> (Vec<&'a IntegrationCredential>, Vec<String>) {
    let mut found: Vec<&IntegrationCredential> = vec![];
    let mut problems = vec![];
    for name in wanted {
        match IntegrationCredential::find(listed, name) {
            Ok(one) if found.iter().any(|known| known.id == one.id) => {}
            Ok(one) => found.push(one),
            Err(error) => problems.push(format!("{error}; correct the name, or create it on the platform")),
        }
    }
    (found, problems)
}

fn unfit(target: &IntegrationCredential) -> String {
    let (name, kind) = (target.name.as_deref().unwrap_or(&target.id), target.kind.as_deref().unwrap_or("unknown"));
    format!("{name:?} is of type {kind}, and a client's credential fits {} alone: name another one", IntegrationCredential::OAUTH_CLIENT)
}

/// Whether an integration credential holds a revision since our own last write. A list may lag behind that write, so only a later time counts
/// against it; and where the write told no time, the first that is seen is taken for it.
fn holds(written: &mut [WrittenIntegrationCredential], listed: &IntegrationCredential, revision: i64) -> bool {
    let Some(own) = written.iter_mut().find(|written| written.id == listed.id && written.revision == revision) else { return false };
    match (own.modified_date, listed.modified_date) {
        (Some(ours), Some(theirs)) => theirs <= ours,
        (Some(_), None) => true,
        (None, seen) => {
            own.modified_date = seen;
            true
        }
    }
}

async fn write_one(
    pass: &mut Pass<'_>,
    session: &Session,
    target: &IntegrationCredential,
    client: &ClientCredential,
    revision: i64,
) -> Result<(), genesys::Error> {
    let operation = Operation::UpdateCredential;
    let object = format!("{}/{}", pass.object.namespace().unwrap_or_default(), pass.object.name_any());
    let (id, client_id) = (&target.id, &client.client_id);
    let reply = match session.platform.update_integration_credential(target, client).await {
        Ok(reply) => reply,
        Err(error) => {
            tracing::info!(target: "audit", %object, %operation, integration_credential = %id, client = %client_id, revision, outcome = %error, correlation_id = error.correlation_id(), "platform write");
            return Err(error);
        }
    };
    tracing::info!(target: "audit", %object, %operation, integration_credential = %id, client = %client_id, revision, outcome = "done", "platform write");
    let entry = WrittenIntegrationCredential { id: id.clone(), revision, modified_date: reply.modified_date };
    let written = &mut pass.status.integration_credentials;
    match written.iter_mut().find(|written| written.id == *id) {
        Some(known) => *known = entry,
        None => written.push(entry),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(id: &str, name: &str, date: Option<&str>) -> IntegrationCredential {
        let kind = Some(IntegrationCredential::OAUTH_CLIENT.to_owned());
        IntegrationCredential { id: id.to_owned(), name: Some(name.to_owned()), kind, modified_date: date.map(time) }
    }

    fn time(text: &str) -> jiff::Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn a_revision_counts_until_somebody_else_writes() {
        const OWN: &str = "2026-01-05T08:00:00.5Z";
        let held = |date: Option<&str>, seen: Option<&str>, revision: i64| {
            let mut written = [WrittenIntegrationCredential { id: "i1".to_owned(), revision: 5, modified_date: date.map(time) }];
            (holds(&mut written, &listed("i1", "data", seen), revision), written[0].modified_date)
        };
        let own = Some(time(OWN));
        assert_eq!(held(Some(OWN), Some(OWN), 5), (true, own));
        assert_eq!(held(Some(OWN), Some("2026-01-05T08:00:00Z"), 5), (true, own), "a list that lags");
        assert_eq!(held(Some(OWN), None, 5), (true, own));
        assert_eq!(held(Some(OWN), Some("2026-01-05T08:00:01Z"), 5), (false, own), "touched by others");
        assert_eq!(held(None, Some(OWN), 5), (true, own), "the first time that is seen is ours");
        assert!(!held(Some(OWN), Some(OWN), 6).0 && !held(Some(OWN), Some(OWN), 4).0, "another revision, also an older one, is written");
        assert!(!holds(&mut [], &listed("i1", "data", None), 5));
    }

    #[test]
    fn names_and_ids_are_found_once_and_what_is_not_found_is_said() {
        const FIRST: &str = "11111111-1111-4111-8111-111111111111";
        let list = [listed(FIRST, "data", None), listed("i2", "twin", None), listed("i3", "twin", None)];
        let resolved = |wanted: &[&str]| {
            let wanted: Vec<String> = wanted.iter().map(|text| (*text).to_owned()).collect();
            let (found, problems) = resolve(&list, &wanted);
            (found.iter().map(|one| one.id.clone()).collect::<Vec<_>>(), problems.join("; "))
        };
        assert_eq!(resolved(&["data", FIRST]), (vec![FIRST.to_owned()], String::new()), "one by its name and its id");
        let (found, problems) = resolved(&["dats", "data", "twin"]);
        assert_eq!(found, [FIRST]);
        assert!(problems.contains("no integration credential \"dats\"; similar: data") && problems.contains("i2, i3"), "{problems}");
        assert!(resolved(&["11111111-1111-4111-8111-111111111112"]).1.contains("there is no"), "a UUID is an id");
    }
}
