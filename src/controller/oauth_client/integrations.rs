//! Writes a client's credential into credentials of Genesys Cloud integrations (talks to the network): only into those that one entry of the
//! organization's `access` allows, only of the one fitting type, and not again what they hold already.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::{ResourceExt as _, runtime::events::EventType};
use tracing::Instrument as _;

use super::{access, pass::Pass};
use crate::{
    api::{GenesysOrganization, condition::Reason, oauth_client::WrittenIntegrationCredential},
    controller::sessions::Session,
    genesys::{self, ClientCredential, ErrorClass, IntegrationCredential},
    secret::Credential,
};

/// Sees to it that every credential of `spec.integrationCredentials` holds this one. What stands in the way, and what a person can do; one that
/// is refused holds back no other. What was written stands in the status in memory, also after an error: the caller commits it. A write whose outcome
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
    let ids: Vec<&str> = meant.iter().map(|(_, target)| target.id.as_str()).collect();
    let namespace = pass.object.namespace().unwrap_or_default();
    // The entry that allows the client must allow these too; a name may stand for another one since that was judged.
    let entries = pass.remember(|memory| memory.entries.clone());
    let judged = access::judge_integration_credentials(&organization.spec.access, entries.as_deref(), &namespace, labels, &ids);
    if let Err(message) = judged {
        return Ok(Some((Reason::AccessDenied, format!("spec.integrationCredentials: {message}"))));
    }
    pass.status.integration_credentials.retain(|written| wanted.contains(&written.credential));
    let client = ClientCredential { client_id: credential.client_id.clone(), client_secret };
    let mut written = vec![];
    let mut failed = None;
    for (wish, target) in meant {
        if target.kind.as_deref() != Some(IntegrationCredential::OAUTH_CLIENT) {
            problems.push(unfit(target));
            continue;
        }
        let modified_date = match held(&pass.status.integration_credentials, target, credential.revision) {
            Some(date) => date,
            None => match put(session, target, &client, credential.revision).await {
                Ok(date) => {
                    written.push(format!("{:?} ({})", target.name.as_deref().unwrap_or_default(), target.id));
                    date
                }
                Err(error) => {
                    let of_this_one = matches!(error.class(), ErrorClass::Rejected | ErrorClass::NotFound);
                    failed.get_or_insert(error);
                    if of_this_one {
                        continue;
                    }
                    break;
                }
            },
        };
        let id = target.id.clone();
        let entry = WrittenIntegrationCredential { credential: wish.to_owned(), id, revision: credential.revision, modified_date };
        record(&mut pass.status.integration_credentials, entry);
    }
    if !written.is_empty() {
        let (revision, client) = (credential.revision, &credential.client_id);
        // One Event for all: the recorder joins Events of one reason, and keeps the first one's words.
        let note =
            format!("now with revision {revision} of the credential of client {client}: integration credential {}", written.join(", "));
        pass.event(EventType::Normal, "IntegrationCredentialWritten", &note).await;
    }
    match failed {
        Some(error) => Err(error),
        None => Ok((!problems.is_empty()).then(|| (Reason::InvalidSpec, format!("spec.integrationCredentials: {}", problems.join("; "))))),
    }
}

/// The integration credentials that are meant, by what spec calls them, and why others were not found.
fn resolve<'a>(listed: &'a [IntegrationCredential], wanted: &'a [String]) -> (Vec<(&'a str, &'a IntegrationCredential)>, Vec<String>) {
    let (mut found, mut problems) = (vec![], vec![]);
    for wish in wanted {
        match IntegrationCredential::find(listed, wish) {
            Ok(one) => found.push((wish.as_str(), one)),
            Err(error) => problems.push(format!("{error}; correct the name, or create it on the platform")),
        }
    }
    (found, problems)
}

fn unfit(target: &IntegrationCredential) -> String {
    let (name, kind) = (target.name.as_deref().unwrap_or(&target.id), target.kind.as_deref().unwrap_or("unknown"));
    format!("{name:?} is of type {kind}, and a client's credential fits {} alone: name another one", IntegrationCredential::OAUTH_CLIENT)
}

/// When a revision was written into an integration credential, if that is still in it. A list may lag behind our own last write, so only a later
/// time counts against it; and where that write told no time, the first that is seen is taken for it.
#[allow(clippy::option_option, reason = "that it is held and that its time is known are two things")]
fn held(written: &[WrittenIntegrationCredential], listed: &IntegrationCredential, revision: i64) -> Option<Option<Timestamp>> {
    let same = written.iter().filter(|written| written.id == listed.id && written.revision == revision);
    let own = same.map(|written| written.modified_date).max()?;
    match (own, listed.modified_date) {
        (Some(ours), Some(theirs)) if theirs > ours => None,
        (None, seen) => Some(seen),
        (ours, _) => Some(ours),
    }
}

fn record(written: &mut Vec<WrittenIntegrationCredential>, entry: WrittenIntegrationCredential) {
    match written.iter_mut().find(|written| written.credential == entry.credential) {
        Some(known) => *known = entry,
        None => written.push(entry),
    }
}

/// The one write, and when the platform says that it was.
async fn put(
    session: &Session,
    target: &IntegrationCredential,
    client: &ClientCredential,
    revision: i64,
) -> Result<Option<Timestamp>, genesys::Error> {
    let span = tracing::error_span!("credential", client = client.client_id, revision);
    session.platform.update_integration_credential(target, client).instrument(span).await.map(|reply| reply.modified_date)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(id: &str, name: &str, date: Option<&str>) -> IntegrationCredential {
        let kind = Some(IntegrationCredential::OAUTH_CLIENT.to_owned());
        IntegrationCredential { id: id.to_owned(), name: Some(name.to_owned()), kind, modified_date: date.map(time) }
    }

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn entry(credential: &str, date: Option<&str>) -> WrittenIntegrationCredential {
        WrittenIntegrationCredential { credential: credential.to_owned(), id: "i1".to_owned(), revision: 5, modified_date: date.map(time) }
    }

    #[test]
    fn a_revision_counts_until_somebody_else_writes() {
        const OWN: &str = "2026-01-05T08:00:00.5Z";
        const LATER: &str = "2026-01-05T08:00:01Z";
        let holds =
            |date: Option<&str>, seen: Option<&str>, revision: i64| held(&[entry("data", date)], &listed("i1", "data", seen), revision);
        let own = Some(Some(time(OWN)));
        assert_eq!(holds(Some(OWN), Some(OWN), 5), own);
        assert_eq!(holds(Some(OWN), Some("2026-01-05T08:00:00Z"), 5), own, "a list that lags");
        assert_eq!(holds(Some(OWN), None, 5), own);
        assert_eq!(holds(Some(OWN), Some(LATER), 5), None, "touched by others");
        assert_eq!(holds(None, Some(OWN), 5), own, "the first time that is seen is ours");
        assert_eq!((holds(Some(OWN), Some(OWN), 6), holds(Some(OWN), Some(OWN), 4)), (None, None), "another revision, also an older one");
        assert_eq!(held(&[entry("data", Some(OWN))], &listed("i2", "data", None), 5), None, "another one took the name");
        let twice = [entry("data", Some(OWN)), entry("i1", Some(LATER))];
        assert_eq!(held(&twice, &listed("i1", "data", Some(LATER)), 5), Some(Some(time(LATER))), "one by its name and its id");
    }

    #[test]
    fn each_wish_has_one_record() {
        let mut written = vec![];
        for (credential, date) in [("data", None), ("i1", None), ("data", Some("2026-01-05T08:00:00Z"))] {
            record(&mut written, entry(credential, date));
        }
        assert_eq!(written, [entry("data", Some("2026-01-05T08:00:00Z")), entry("i1", None)]);
    }

    #[test]
    fn names_and_ids_are_found_and_what_is_not_found_is_said() {
        const FIRST: &str = "11111111-1111-4111-8111-111111111111";
        let list = [listed(FIRST, "data", None), listed("i2", "twin", None), listed("i3", "twin", None)];
        let resolved = |wanted: &[&str]| {
            let wanted: Vec<String> = wanted.iter().map(|text| (*text).to_owned()).collect();
            let (found, problems) = resolve(&list, &wanted);
            (found.iter().map(|(wish, one)| format!("{wish}={}", one.id)).collect::<Vec<_>>(), problems.join("; "))
        };
        assert_eq!(resolved(&["data", FIRST]), (vec![format!("data={FIRST}"), format!("{FIRST}={FIRST}")], String::new()));
        let (found, problems) = resolved(&["dats", "data", "twin"]);
        assert_eq!(found, [format!("data={FIRST}")]);
        assert!(problems.contains("no integration credential \"dats\"; similar: data") && problems.contains("i2, i3"), "{problems}");
        assert!(resolved(&["11111111-1111-4111-8111-111111111112"]).1.contains("there is no"), "a UUID is an id");
    }
}
