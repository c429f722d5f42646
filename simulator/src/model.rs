//! The platform's words for an OAuth client, as it stores and shows one; it must not hold a secret.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::dates;
use crate::settings::SecretInReads;

/// The grant types of the API. PKCE is not one: it is `CODE`, used without a secret. (SPEC)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GrantType {
    /// Authorization code, with a secret or with PKCE.
    #[serde(rename = "CODE")]
    Code,
    /// Implicit.
    #[serde(rename = "TOKEN")]
    Token,
    /// SAML2 bearer.
    #[serde(rename = "SAML2-BEARER", alias = "SAML2BEARER")]
    Saml2Bearer,
    /// Password; undocumented.
    #[serde(rename = "PASSWORD")]
    Password,
    /// Client credentials.
    #[serde(rename = "CLIENT-CREDENTIALS")]
    ClientCredentials,
}

impl GrantType {
    /// The API's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Code => "CODE",
            Self::Token => "TOKEN",
            Self::Saml2Bearer => "SAML2-BEARER",
            Self::Password => "PASSWORD",
            Self::ClientCredentials => "CLIENT-CREDENTIALS",
        }
    }
}

/// The states of a client. (SPEC)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientState {
    /// Tokens can be created.
    Active,
    /// Set by the platform's support: issued tokens are invalid and new ones cannot be created.
    Disabled,
    /// Tokens cannot be created, and the client may be deleted.
    Inactive,
}

/// A role in a division; division `*` means all of them. (SPEC)
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleDivision {
    /// Id of the role.
    pub role_id: String,
    /// Id of the division, or `*`.
    pub division_id: String,
}

/// A reference to a user or a client. In practice the platform writes id and selfUri only. (E)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DomainEntityRef {
    /// Id of the entity.
    pub id: String,
    /// Path of the entity.
    #[serde(default)]
    pub self_uri: String,
}

/// An OAuth client as the platform shows it, without its secret. (SPEC)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OAuthClient {
    /// Id, a UUID.
    pub id: String,
    /// Name; not unique. (U)
    pub name: String,
    /// Validity of the tokens that it gets.
    pub access_token_validity_seconds: u64,
    /// Description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Redirect URIs.
    #[serde(default)]
    pub registered_redirect_uri: Vec<String>,
    /// Deprecated copy of the roles in `roleDivisions`.
    #[serde(default)]
    pub role_ids: Vec<String>,
    /// When it was created.
    #[serde(with = "dates::required")]
    pub date_created: Timestamp,
    /// When it was last changed.
    #[serde(with = "dates::required")]
    pub date_modified: Timestamp,
    /// Who created it.
    pub created_by: DomainEntityRef,
    /// Who changed it last.
    pub modified_by: DomainEntityRef,
    /// Its grant type.
    pub authorized_grant_type: GrantType,
    /// Scopes, for every grant but client credentials.
    #[serde(default)]
    pub scope: Vec<String>,
    /// Roles in divisions, for client credentials.
    #[serde(default)]
    pub role_divisions: Vec<RoleDivision>,
    /// Its state.
    pub state: ClientState,
    /// When the platform will delete it.
    #[serde(default, with = "dates::optional", skip_serializing_if = "Option::is_none")]
    pub date_to_delete: Option<Timestamp>,
    /// Path of the client.
    #[serde(default)]
    pub self_uri: String,
    /// Members that this simulator does not know, kept if a setting says so.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

impl OAuthClient {
    /// Sets the members that follow from others.
    pub(crate) fn derive_members(&mut self) {
        self.self_uri = format!("/api/v2/oauth/clients/{}", self.id);
        self.role_ids.clear();
        for pair in &self.role_divisions {
            if !self.role_ids.contains(&pair.role_id) {
                self.role_ids.push(pair.role_id.clone());
            }
        }
    }

    /// The JSON of a reply that tells the secret: create and reset, and nothing else.
    pub(crate) fn shown_with(&self, secret: &str) -> Value {
        let mut body = self.json();
        body["secret"] = Value::from(secret);
        body
    }

    /// The JSON of every other reply.
    pub(crate) fn shown(&self, secret: SecretInReads) -> Value {
        let mut body = self.json();
        match secret {
            SecretInReads::Absent => {}
            SecretInReads::Null => body["secret"] = Value::Null,
            SecretInReads::Empty => body["secret"] = Value::from(""),
        }
        body
    }

    /// The JSON of the client itself.
    pub(crate) fn json(&self) -> Value {
        serde_json::to_value(self).expect("a client has only string keys")
    }
}

#[cfg(test)]
pub(crate) mod fixtures {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    /// A client with nothing special about it.
    pub(crate) fn client(id: &str) -> OAuthClient {
        let by = DomainEntityRef { id: "someone".to_owned(), self_uri: String::new() };
        OAuthClient {
            id: id.to_owned(),
            name: format!("client {id}"),
            access_token_validity_seconds: 86_400,
            description: None,
            registered_redirect_uri: Vec::new(),
            role_ids: Vec::new(),
            date_created: ManualClock::default().now(),
            date_modified: ManualClock::default().now(),
            created_by: by.clone(),
            modified_by: by,
            authorized_grant_type: GrantType::ClientCredentials,
            scope: Vec::new(),
            role_divisions: Vec::new(),
            state: ClientState::Active,
            date_to_delete: None,
            self_uri: String::new(),
            unknown: Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_survives_its_own_json() {
        let mut client = fixtures::client("a");
        client.role_divisions = [("r", "d"), ("r", "e")].map(|(r, d)| RoleDivision { role_id: r.into(), division_id: d.into() }).to_vec();
        client.unknown.insert("allowedIps".to_owned(), Value::from(vec!["10.0.0.0/8"]));
        client.derive_members();
        assert_eq!(client.role_ids, ["r"]);
        let json = client.json();
        assert_eq!(json["dateCreated"], "2026-01-05T08:00:00.000Z");
        assert_eq!(json["allowedIps"][0], "10.0.0.0/8");
        assert_eq!(serde_json::from_value::<OAuthClient>(json).expect("readable"), client);
    }

    #[test]
    fn reads_write_the_secret_as_told() {
        let client = fixtures::client("a");
        assert!(client.shown(SecretInReads::Absent).get("secret").is_none());
        assert_eq!(client.shown(SecretInReads::Null).get("secret"), Some(&Value::Null));
        assert_eq!(client.shown(SecretInReads::Empty)["secret"], "");
        assert_eq!(client.shown_with("s")["secret"], "s");
    }
}
