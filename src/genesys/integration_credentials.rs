//! The credentials that the platform's integrations use, which follow a rotation. It must not read their fields, nor
//! write one of another type than an OAuth client's.

use http::Method;
use secrecy::ExposeSecret;
use serde::Serialize;
use zeroize::Zeroizing;

use super::clients::path_part;
use super::directory::{Hint, Match, lookup};
use super::entities::{Entity, IntegrationCredential};
use super::error::{Error, Operation};
use super::platform::Platform;
use super::token::ClientCredential;

/// Why an integration credential was not found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialNotFound {
    /// None has this name or id.
    #[error("there is no integration credential {credential:?}{}", Hint(similar))]
    Absent {
        /// What was asked for.
        credential: String,
        /// Names that look alike.
        similar: Vec<String>,
    },
    /// Several have this name.
    #[error("several integration credentials are named {credential:?}; write the id of one: {}", ids.join(", "))]
    Ambiguous {
        /// What was asked for.
        credential: String,
        /// The ids of the credentials.
        ids: Vec<String>,
    },
}

impl IntegrationCredential {
    /// Finds one in a list by its id if the text is a UUID, else by its name.
    pub fn find<'a>(list: &'a [Self], wanted: &str) -> Result<&'a Self, CredentialNotFound> {
        let credential = wanted.to_owned();
        let known = list.iter().map(|one| (one.id.as_str(), one.name.as_deref().unwrap_or_default()));
        match lookup(wanted, known) {
            Match::One(id, _) => list.iter().find(|one| one.id == id).ok_or(CredentialNotFound::Absent { credential, similar: Vec::new() }),
            Match::Several(ids) => Err(CredentialNotFound::Ambiguous { credential, ids }),
            Match::None(similar) => Err(CredentialNotFound::Absent { credential, similar }),
        }
    }
}

impl Platform {
    /// All integration credentials, with the time of their last write.
    pub async fn integration_credentials(&self) -> Result<Vec<IntegrationCredential>, Error> {
        let paging = self.paging(Operation::ListCredentials, "/api/v2/integrations/credentials?pageSize=100");
        Ok(self.list(&paging).await?.entities)
    }

    /// One integration credential.
    pub async fn integration_credential(&self, id: &str) -> Result<IntegrationCredential, Error> {
        let operation = Operation::GetCredential;
        let path = format!("/api/v2/integrations/credentials/{}", path_part(operation, id)?);
        self.call(&self.one(operation, Method::GET, path)).await?.read(IntegrationCredential::read)
    }

    /// Writes a client's id and secret into an integration credential that was just read; its name stays.
    pub async fn update_integration_credential(
        &self,
        current: &IntegrationCredential,
        credential: &ClientCredential,
    ) -> Result<IntegrationCredential, Error> {
        let operation = Operation::UpdateCredential;
        if current.kind.as_deref() != Some(IntegrationCredential::OAUTH_CLIENT) {
            let reason = format!("the integration credential is not of the type {}", IntegrationCredential::OAUTH_CLIENT);
            return Err(Error::NotSent { operation, reason });
        }
        let path = format!("/api/v2/integrations/credentials/{}", path_part(operation, &current.id)?);
        let call = self.one(operation, Method::PUT, path).with_secret_json(body(current, credential), &credential.client_secret);
        self.call(&call).await?.read(IntegrationCredential::read)
    }
}

/// The body of a write (SPEC `Credential`). It is cleared after use.
#[expect(clippy::expect_used, reason = "a struct of texts is JSON, and a vector takes all")]
fn body(current: &IntegrationCredential, credential: &ClientCredential) -> Zeroizing<Vec<u8>> {
    let secret = credential.client_secret.expose_secret();
    let body = Body {
        name: current.name.as_deref(),
        kind: Kind { name: IntegrationCredential::OAUTH_CLIENT },
        fields: Fields { client_id: &credential.client_id, client_secret: secret },
    };
    // Room for all of it, escaped six bytes a byte: a buffer that grows leaves what it held in memory.
    let texts = secret.len() + credential.client_id.len() + body.name.map_or(0, str::len);
    let mut bytes = Zeroizing::new(Vec::with_capacity(6 * texts + 256));
    serde_json::to_writer(&mut *bytes, &body).expect("a struct of texts is JSON, and a vector takes all");
    bytes
}

#[derive(Serialize)]
struct Body<'a> {
    name: Option<&'a str>,
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(rename = "credentialFields")]
    fields: Fields<'a>,
}

#[derive(Serialize)]
struct Kind {
    name: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    client_id: &'a str,
    client_secret: &'a str,
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use serde_json::{Value, json};

    use super::super::testing::{Scripted, json_answer, page, platform};
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_credential_is_written_whole_and_read_without_its_fields() {
        let shown = json!({
            "id": "i1", "name": "data actions", "modifiedDate": "2026-09-22T10:00:00Z", "type": {"name": "pureCloudOAuthClient"},
            "credentialFields": {"clientSecret": "hush"},
        });
        let transport = Scripted::in_order(vec![page(&json!([shown])), json_answer(200, &shown), json_answer(200, &shown)]);
        let platform = platform(&transport);
        let listed = platform.integration_credentials().await.expect("listed").remove(0);
        let read = platform.integration_credential("i1").await.expect("read");
        assert_eq!(listed, read);
        assert!(read.modified_date.is_some() && !format!("{read:?}").contains("hush"));
        let credential = ClientCredential { client_id: "c2".to_owned(), client_secret: SecretString::from("s2") };
        platform.update_integration_credential(&read, &credential).await.expect("written");
        let body: Value = serde_json::from_slice(transport.requests()[2].body()).expect("JSON");
        let expected = json!({
            "name": "data actions", "type": {"name": "pureCloudOAuthClient"},
            "credentialFields": {"clientId": "c2", "clientSecret": "s2"},
        });
        assert_eq!(body, expected);
        assert_eq!(transport.calls()[2], "PUT /api/v2/integrations/credentials/i1");
    }

    #[tokio::test(start_paused = true)]
    async fn a_credential_of_another_type_is_left_alone() {
        let transport = Scripted::new(|_| panic!("nothing may be sent"));
        for kind in [None, Some("basicAuth".to_owned())] {
            let current = IntegrationCredential { id: "i1".to_owned(), name: None, kind, modified_date: None };
            let credential = super::super::testing::credential();
            let result = platform(&transport).update_integration_credential(&current, &credential).await;
            assert!(result.is_err_and(|error| error.outcome_is_known()));
        }
    }
}
