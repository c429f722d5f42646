//! The record of changes to OAuth clients, as the audit API shows it; it must never hold a secret.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock::iso;
use crate::model::OAuthClient;

/// Who changed something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Actor {
    /// A client with its own token, by id.
    Client(String),
    /// The configured user, by id: in the admin page, or through a client's token.
    User(String),
    /// The platform itself.
    Platform,
}

impl Actor {
    /// Id and path, for `createdBy` and `modifiedBy`.
    pub(crate) fn reference(&self) -> crate::model::DomainEntityRef {
        let (id, self_uri) = match self {
            Self::Client(id) => (id.clone(), format!("/api/v2/oauth/clients/{id}")),
            Self::User(id) => (id.clone(), format!("/api/v2/users/{id}")),
            Self::Platform => ("00000000-0000-0000-0000-000000000000".to_owned(), String::new()),
        };
        crate::model::DomainEntityRef { id, self_uri }
    }
}

/// What happened, as an index into the setting `auditActions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Create,
    Update,
    Delete,
    ResetSecret,
}

/// One audit message.
#[derive(Debug, Clone)]
pub(crate) struct Audit {
    pub(crate) at: Timestamp,
    pub(crate) action: String,
    pub(crate) entity_id: String,
    pub(crate) actor: Actor,
    pub(crate) body: Value,
}

/// The service under which changes of OAuth clients are found. (E)
pub(crate) const SERVICE: &str = "PeoplePermissions";
/// Their entity type. (E)
pub(crate) const ENTITY_TYPE: &str = "OAuthClient";

/// The message for a change from one state of a client to the other.
pub(crate) fn message(
    id: &str,
    at: Timestamp,
    action: &str,
    actor: &Actor,
    (before, after): (Option<&OAuthClient>, Option<&OAuthClient>),
) -> Audit {
    let client = after.or(before);
    let entity_id = client.map_or_else(String::new, |client| client.id.clone());
    let mut body = json!({
        "id": id,
        "serviceName": SERVICE,
        "level": "USER",
        "eventDate": iso(at),
        "action": action,
        "entity": {"id": entity_id, "name": client.map(|client| &client.name)},
        "entityType": ENTITY_TYPE,
        "status": "SUCCESS",
        "remoteIp": ["127.0.0.1"],
        "propertyChanges": property_changes(before, after),
    });
    match actor {
        Actor::Client(id) => body["client"] = json!({"id": id}),
        Actor::User(id) => body["user"] = json!({"id": id, "selfUri": format!("/api/v2/users/{id}")}),
        Actor::Platform => body["level"] = Value::from("SYSTEM"),
    }
    Audit { at, action: action.to_owned(), entity_id, actor: actor.clone(), body }
}

fn property_changes(before: Option<&OAuthClient>, after: Option<&OAuthClient>) -> Vec<Value> {
    let before = before.map_or(Value::Null, OAuthClient::json);
    let after = after.map_or(Value::Null, OAuthClient::json);
    let mut names: Vec<&String> = [&before, &after].into_iter().filter_map(Value::as_object).flat_map(|map| map.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .filter(|name| before.get(name) != after.get(name))
        .map(|name| json!({"property": name, "oldValues": texts(before.get(name)), "newValues": texts(after.get(name))}))
        .collect()
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items.iter().map(text).collect(),
        Some(other) => vec![text(other)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::model::fixtures::client;

    #[test]
    fn a_message_says_who_changed_what() {
        let before = client("a");
        let after = OAuthClient { scope: vec!["oauth".to_owned()], ..before.clone() };
        let actor = Actor::User("u".to_owned());
        let audit = message("m", ManualClock::default().now(), "Update", &actor, (Some(&before), Some(&after)));
        assert_eq!(audit.body["user"]["id"], "u");
        assert_eq!(audit.body["propertyChanges"], json!([{"property": "scope", "oldValues": [], "newValues": ["oauth"]}]));
    }
}
