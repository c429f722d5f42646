//! The OAuth client as the platform shows it. Reading is tolerant: unknown members and missing optional ones are fine.
//! A secret never stays in it.

use std::fmt;

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Map, Value};

/// How a client's users obtain tokens (SPEC `authorizedGrantType`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GrantType {
    /// Authorization code, with or without PKCE.
    Code,
    /// Implicit.
    Token,
    /// SAML 2 bearer assertion.
    Saml2Bearer,
    /// Resource owner password.
    Password,
    /// Client credentials.
    ClientCredentials,
    /// A word that this version does not know.
    Other(String),
}

impl GrantType {
    /// The platform's word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Code => "CODE",
            Self::Token => "TOKEN",
            Self::Saml2Bearer => "SAML2-BEARER",
            Self::Password => "PASSWORD",
            Self::ClientCredentials => "CLIENT-CREDENTIALS",
            Self::Other(word) => word,
        }
    }

    /// Reads the platform's word; the spellings of 2018 are understood too (SPEC18, TF).
    #[must_use]
    pub fn parse(word: &str) -> Self {
        match word {
            "CODE" => Self::Code,
            "TOKEN" => Self::Token,
            "SAML2-BEARER" | "SAML2BEARER" => Self::Saml2Bearer,
            "PASSWORD" => Self::Password,
            "CLIENT-CREDENTIALS" | "CLIENT_CREDENTIALS" => Self::ClientCredentials,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for GrantType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a client may do at present (SPEC `state`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClientState {
    /// Tokens are issued and work.
    Active,
    /// No new tokens; those in use live on; the only state from which a client can be deleted.
    Inactive,
    /// Set by Genesys support: no new tokens, and those in use are invalid.
    Disabled,
    /// A word that this version does not know.
    Other(String),
}

impl ClientState {
    /// The platform's word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Disabled => "disabled",
            Self::Other(word) => word,
        }
    }

    /// Reads the platform's word.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        match word {
            "active" => Self::Active,
            "inactive" => Self::Inactive,
            "disabled" => Self::Disabled,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Whether the client is only the platform's memory of one: after a DELETE a GET may show the state `deleted`
    /// instead of a 404 (TF).
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        matches!(self, Self::Other(word) if word == "deleted")
    }
}

impl fmt::Display for ClientState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A role held in a division; the division `*` means all of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoleDivision {
    /// The role's id.
    pub role_id: String,
    /// The division's id, or `*`.
    pub division_id: String,
}

/// Somebody or something that the platform names by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityRef {
    /// The id.
    pub id: String,
    /// The name, which the platform often leaves out.
    pub name: Option<String>,
}

/// An OAuth client as the platform shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct OAuthClient {
    /// The client id.
    pub id: String,
    /// The name; not unique.
    pub name: String,
    /// The description; absent and empty are the same.
    pub description: Option<String>,
    /// The grant type.
    pub grant_type: GrantType,
    /// How long tokens live, in seconds.
    pub access_token_validity_seconds: Option<i64>,
    /// Where a browser may be sent back to.
    pub redirect_uris: Vec<String>,
    /// The scopes; of no meaning for client credentials.
    pub scopes: Vec<String>,
    /// The roles by division; of no meaning for other grants than client credentials.
    pub role_divisions: Vec<RoleDivision>,
    /// What the client may do at present.
    pub state: ClientState,
    /// When it was created.
    pub date_created: Option<Timestamp>,
    /// When it was last modified.
    pub date_modified: Option<Timestamp>,
    /// Who modified it last.
    pub modified_by: Option<EntityRef>,
    /// When the platform will delete it.
    pub date_to_delete: Option<Timestamp>,
    /// The JSON as it came, without `secret`; as text, which takes a fraction of a tree's memory.
    shown: Box<str>,
}

/// The most bytes of a client: one of a thousand roles in divisions has 110,000.
const MAX_CLIENT: usize = 128 * 1024;

/// A client together with the secret that only this reply shows.
#[derive(Debug, Clone)]
pub struct IssuedClient {
    /// The client.
    pub client: OAuthClient,
    /// The secret; absent where the reply held none, and then only a reset gets one.
    pub secret: Option<SecretString>,
    /// When the secret came into being: the reply's `Date`, else the local clock.
    pub issued_at: Timestamp,
}

/// Why JSON could not be read as what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub(super) String);

impl OAuthClient {
    /// Reads a client, and takes the secret out of it.
    ///
    /// Fails where the id is missing: nothing can be done with such a client.
    pub fn from_json(value: Value) -> Result<(Self, Option<SecretString>), Unreadable> {
        let mut raw = object(value)?;
        let secret = match raw.remove("secret") {
            Some(Value::String(secret)) if !secret.is_empty() => Some(SecretString::from(secret)),
            _ => None,
        };
        let client = Self {
            id: text(&raw, "id").ok_or_else(|| Unreadable("a client without an id".to_owned()))?,
            name: text(&raw, "name").unwrap_or_default(),
            description: text(&raw, "description"),
            grant_type: GrantType::parse(&text(&raw, "authorizedGrantType").unwrap_or_default()),
            access_token_validity_seconds: raw.get("accessTokenValiditySeconds").and_then(Value::as_i64),
            redirect_uris: texts(&raw, "registeredRedirectUri"),
            scopes: texts(&raw, "scope"),
            role_divisions: role_divisions(&raw),
            // SPEC: active is the default.
            state: text(&raw, "state").map_or(ClientState::Active, |word| ClientState::parse(&word)),
            date_created: timestamp(&raw, "dateCreated"),
            date_modified: timestamp(&raw, "dateModified"),
            modified_by: raw.get("modifiedBy").and_then(Value::as_object).and_then(|by| {
                let name = text(by, "name");
                text(by, "id").map(|id| EntityRef { id, name })
            }),
            date_to_delete: timestamp(&raw, "dateToDelete"),
            shown: Value::Object(raw).to_string().into_boxed_str(),
        };
        if client.shown.len() > MAX_CLIENT {
            return Err(Unreadable(format!("a client of more than {MAX_CLIENT} bytes")));
        }
        Ok((client, secret))
    }

    /// The JSON as it came, without `secret`.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// The same as a tree, to change some of it and send it back.
    ///
    /// # Panics
    /// Never: the text was written from such a tree.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the text was written from such a tree")]
    pub fn members(&self) -> Map<String, Value> {
        serde_json::from_str(&self.shown).expect("it was written from a tree")
    }
}

fn role_divisions(raw: &Map<String, Value>) -> Vec<RoleDivision> {
    let pairs = raw.get("roleDivisions").and_then(Value::as_array);
    let pair = |value: &Value| {
        let pair = value.as_object()?;
        Some(RoleDivision { role_id: text(pair, "roleId")?, division_id: text(pair, "divisionId")? })
    };
    pairs.map(|pairs| pairs.iter().filter_map(pair).collect()).unwrap_or_default()
}

/// The value as an object.
pub(super) fn object(value: Value) -> Result<Map<String, Value>, Unreadable> {
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(Unreadable("not a JSON object".to_owned())),
    }
}

/// A member that is a non-empty text.
pub(super) fn text(map: &Map<String, Value>, member: &str) -> Option<String> {
    let text = map.get(member)?.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// A member that is a list of texts; what is none is left out.
pub(super) fn texts(map: &Map<String, Value>, member: &str) -> Vec<String> {
    let list = map.get(member).and_then(Value::as_array);
    list.map(|list| list.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()).unwrap_or_default()
}

/// A member that is an ISO 8601 time.
pub(super) fn timestamp(map: &Map<String, Value>, member: &str) -> Option<Timestamp> {
    map.get(member)?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_whole_client_is_read_and_its_secret_taken_out() {
        let (client, secret) = OAuthClient::from_json(json!({
            "id": "c1", "name": "billing", "description": "d", "authorizedGrantType": "CLIENT-CREDENTIALS",
            "accessTokenValiditySeconds": 86400, "registeredRedirectUri": ["https://a.example"], "scope": ["users"],
            "roleDivisions": [{"roleId": "r", "divisionId": "*"}], "state": "inactive", "secret": "hunter2",
            "dateCreated": "2026-09-22T10:00:00.000Z", "dateModified": "2026-09-23T10:00:00Z",
            "modifiedBy": {"id": "u1"}, "dateToDelete": "2026-10-01T00:00:00Z", "novelty": {"x": 1},
        }))
        .expect("readable");
        assert_eq!(secret.expect("a secret").expose_secret(), "hunter2");
        assert!(!format!("{client:?}").contains("hunter2"));
        assert!(!client.members().contains_key("secret"));
        assert_eq!(client.members()["novelty"], json!({"x": 1}));
        assert_eq!(client.grant_type, GrantType::ClientCredentials);
        assert_eq!(client.state, ClientState::Inactive);
        assert_eq!(client.role_divisions, [RoleDivision { role_id: "r".into(), division_id: "*".into() }]);
        assert_eq!(client.date_created, Some("2026-09-22T10:00:00Z".parse().expect("a time")));
        assert_eq!(client.modified_by, Some(EntityRef { id: "u1".into(), name: None }));
        assert!(client.date_to_delete.is_some() && client.date_modified.is_some());
    }

    #[test]
    fn what_is_missing_or_strange_is_no_error() {
        let strange = json!({
            "id": "c1", "description": null, "secret": null, "scope": null, "roleDivisions": [{"roleId": "r"}, 7],
            "dateCreated": "yesterday", "state": "deleted", "authorizedGrantType": "DEVICE", "modifiedBy": {},
        });
        let (client, secret) = OAuthClient::from_json(strange).expect("readable");
        assert!(secret.is_none() && client.description.is_none() && client.scopes.is_empty());
        assert!(client.role_divisions.is_empty() && client.date_created.is_none() && client.modified_by.is_none());
        assert_eq!(client.grant_type, GrantType::Other("DEVICE".into()));
        assert!(client.state.is_deleted());
        let (client, secret) = OAuthClient::from_json(json!({"id": "c1", "secret": ""})).expect("readable");
        assert!(secret.is_none());
        assert_eq!(client.state, ClientState::Active);
    }

    #[test]
    fn a_client_that_is_much_too_large_is_not_kept() {
        let client = |length: usize| OAuthClient::from_json(json!({"id": "c1", "novelty": "x".repeat(length)}));
        assert!(client(MAX_CLIENT - 100).is_ok());
        assert!(client(MAX_CLIENT).expect_err("too large").to_string().contains("131072 bytes"));
    }

    #[test]
    fn a_client_without_an_id_is_none() {
        for value in [json!({}), json!({"id": ""}), json!({"id": 7}), json!([]), json!("c1")] {
            assert!(OAuthClient::from_json(value.clone()).is_err(), "{value}");
        }
    }

    #[test]
    fn words_survive_a_round() {
        for word in ["CODE", "TOKEN", "SAML2-BEARER", "PASSWORD", "CLIENT-CREDENTIALS", "DEVICE"] {
            assert_eq!(GrantType::parse(word).to_string(), word);
        }
        assert_eq!(GrantType::parse("SAML2BEARER"), GrantType::Saml2Bearer);
        for word in ["active", "inactive", "disabled", "deleted"] {
            assert_eq!(ClientState::parse(word).to_string(), word);
        }
    }
}
