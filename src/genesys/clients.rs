//! The calls on OAuth clients. It must not retry a create or a reset: the platform has no idempotency key for them.

use http::Method;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use super::entities::{Entity, INDEXED, TEXT};
use super::error::{ApiError, Error, Operation};
use super::memory::Kept;
use super::model::{IssuedClient, OAuthClient, Unreadable};
use super::paging::Paging;
use super::platform::{Platform, Reply, Slot, TOO_MANY_CLIENTS};
use super::request::ClientRequest;

/// The most bytes of all pages of a scan: 10,000 clients of 2.4 KB, which is twice what one takes.
const MAX_SCAN: usize = 24 * 1024 * 1024;
/// The most memory that the clients of a scan may take; the usual ones take some 2 KB each.
const MAX_KEPT: usize = 40 * 1024 * 1024;

/// One complete list of an organization's OAuth clients.
#[derive(Debug)]
pub struct Scan {
    /// The clients, each once, without those that the platform only remembers as deleted.
    pub clients: Vec<OAuthClient>,
    /// Just before the first request was sent.
    pub begun: Instant,
    /// The memory that the clients take.
    pub kept: Kept,
}

impl Entity for OAuthClient {
    fn read(value: Value) -> Result<Self, Unreadable> {
        // A list has shown no secrets since 2025 (FORUM 31447); should one, it is dropped here.
        Self::from_json(value).map(|(client, _)| client)
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn weight(&self) -> usize {
        let texts = self.redirect_uris.iter().chain(&self.scopes).chain([&self.id, &self.name]).chain(&self.description);
        let pairs = self.role_divisions.iter().flat_map(|pair| [&pair.role_id, &pair.division_id]);
        let fields: usize = texts.chain(pairs).map(|text| text.len() + TEXT).sum();
        fields + self.shown().len() + size_of::<Self>() + INDEXED
    }
}

impl Platform {
    /// Lists all OAuth clients: all of them, or an error.
    pub async fn list_clients(&self) -> Result<Scan, Error> {
        let paging = Paging {
            operation: Operation::ListClients,
            path: "/api/v2/oauth/clients".to_owned(),
            timeout: self.timeouts().scan,
            max_bytes: MAX_SCAN,
            max_kept: MAX_KEPT,
        };
        let listed = self.list::<OAuthClient>(&paging).await?;
        let mut clients = listed.entities;
        clients.retain(|client| !client.state.is_deleted());
        clients.shrink_to_fit();
        Ok(Scan { clients, begun: listed.begun, kept: listed.kept })
    }

    /// Creates a client. Sent once; after an unknown outcome only a scan can tell (protocols §4).
    pub async fn create_client(&self, slot: Slot, request: &ClientRequest) -> Result<IssuedClient, Error> {
        let call = self.one(Operation::CreateClient, Method::POST, "/api/v2/oauth/clients".to_owned());
        let reply = self.call_with(slot, &call.with_json(&request.to_json())).await?;
        self.issued(reply)
    }

    /// Whether the organization may have room for another client; the platform's refusal, while it is known to have none. Makes no call.
    pub fn room(&self) -> Result<(), Error> {
        match self.budget().creates_closed() {
            None => Ok(()),
            Some(_) => Err(Error::Refused(ApiError {
                operation: Operation::CreateClient,
                status: 400,
                code: TOO_MANY_CLIENTS.to_owned(),
                message: "the platform said so, and no client was deleted since".to_owned(),
                correlation_id: None,
                retry_after: None,
                missing_permissions: Vec::new(),
            })),
        }
    }

    /// Gives a client a new secret; the old one is dead at once. Sent once; after an unknown outcome only another reset
    /// gives a secret that is known.
    pub async fn reset_secret(&self, slot: Slot, id: &str) -> Result<IssuedClient, Error> {
        let operation = Operation::ResetClientSecret;
        let path = format!("{}/secret", client_path(operation, id)?);
        let reply = self.call_with(slot, &self.one(operation, Method::POST, path)).await?;
        self.issued(reply)
    }

    /// Reads a client. One in the state `deleted` is not found.
    pub async fn get_client(&self, id: &str) -> Result<OAuthClient, Error> {
        let operation = Operation::GetClient;
        let call = self.one(operation, Method::GET, client_path(operation, id)?);
        let client = self.call(&call).await?.read(OAuthClient::read)?;
        if client.state.is_deleted() {
            return Err(Error::Refused(ApiError {
                operation,
                status: 404,
                code: "client.not.found".to_owned(),
                message: "the platform shows the client in the state deleted".to_owned(),
                correlation_id: None,
                retry_after: None,
                missing_permissions: Vec::new(),
            }));
        }
        Ok(client)
    }

    /// Replaces a client by `body`, which is a whole client: see [`ClientRequest::overlay`].
    pub async fn update_client(&self, id: &str, body: Value) -> Result<OAuthClient, Error> {
        let operation = Operation::UpdateClient;
        let call = self.one(operation, Method::PUT, client_path(operation, id)?);
        let call = call.with_json(&body);
        // A tree takes far more memory than its text, and the call may take long.
        drop(body);
        self.call(&call).await?.read(OAuthClient::read)
    }

    /// Deletes a client. The platform allows it only in the state `inactive` (400 `cannot.delete.client`); that there is
    /// no such client is success.
    pub async fn delete_client(&self, id: &str) -> Result<(), Error> {
        let operation = Operation::DeleteClient;
        let call = self.one(operation, Method::DELETE, client_path(operation, id)?);
        match self.call(&call).await {
            // Neither status nor body of a success are documented, so neither is read (SPEC `default`).
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn issued(&self, reply: Reply) -> Result<IssuedClient, Error> {
        let issued_at = reply.date().or_else(|| self.now()).unwrap_or_else(Timestamp::now);
        let (client, secret) = reply.read(OAuthClient::from_json)?;
        Ok(IssuedClient { client, secret, issued_at })
    }
}

fn client_path(operation: Operation, id: &str) -> Result<String, Error> {
    Ok(format!("/api/v2/oauth/clients/{}", path_part(operation, id)?))
}

/// The id, if it can be one part of a path and nothing else.
pub(super) fn path_part(operation: Operation, id: &str) -> Result<&str, Error> {
    let fits = !id.is_empty() && id.len() <= 128 && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    fits.then_some(id).ok_or_else(|| Error::NotSent { operation, reason: "this is not an id of the platform".to_owned() })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use serde_json::json;

    use super::super::testing::{Scripted, json_answer, no_answer, platform, raw_answer, refusal_answer};
    use super::super::transport::TransportError;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reset_shows_the_new_secret_and_sends_no_body() {
        let transport = Scripted::in_order(vec![json_answer(200, &json!({"id": "c1", "name": "n", "secret": "s2"}))]);
        let platform = platform(&transport);
        let slot = platform.slot().await.expect("a slot");
        let issued = platform.reset_secret(slot, "c1").await.expect("reset");
        assert_eq!(issued.secret.expect("a secret").expose_secret(), "s2");
        assert_eq!(transport.calls(), ["POST /api/v2/oauth/clients/c1/secret"]);
        assert!(transport.requests()[0].body().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_created_client_without_a_secret_is_still_known_by_its_id() {
        let transport = Scripted::in_order(vec![json_answer(200, &json!({"id": "c1", "name": "n"}))]);
        let platform = platform(&transport);
        let slot = platform.slot().await.expect("a slot");
        let issued = platform.reset_secret(slot, "c1").await.expect("reset");
        assert!(issued.secret.is_none());
        assert_eq!(issued.client.id, "c1");
    }

    #[tokio::test(start_paused = true)]
    async fn deleting_what_is_gone_is_success_and_nothing_else_is() {
        for (answer, expected) in [
            (raw_answer(200, "anything"), Ok(())),
            (raw_answer(204, ""), Ok(())),
            (refusal_answer(404, "client.not.found", "Client was not found."), Ok(())),
            (refusal_answer(400, "cannot.delete.client", "Clients must be marked as inactive"), Err(Some("cannot.delete.client"))),
            (raw_answer(404, "<html>no such page"), Err(None)),
            (no_answer(TransportError::Lost("reset".to_owned())), Err(None)),
        ] {
            let transport = Scripted::in_order(vec![answer]);
            let result = platform(&transport).delete_client("c1").await;
            assert_eq!(result.as_ref().map_err(Error::code), expected.as_ref().map(|()| &()).map_err(|code| *code));
            assert_eq!(transport.calls(), ["DELETE /api/v2/oauth/clients/c1"]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_in_the_state_deleted_is_not_found() {
        let transport = Scripted::in_order(vec![json_answer(200, &json!({"id": "c1", "state": "deleted"}))]);
        assert!(platform(&transport).get_client("c1").await.is_err_and(|error| error.is_not_found()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_update_sends_the_body_as_it_is() {
        let transport = Scripted::in_order(vec![json_answer(200, &json!({"id": "c1", "name": "new", "secret": null}))]);
        let body = json!({"name": "new", "novelty": 1});
        let client = platform(&transport).update_client("c1", body.clone()).await.expect("updated");
        assert_eq!(client.name, "new");
        let request = transport.requests().remove(0);
        assert_eq!(serde_json::from_slice::<Value>(request.body()).expect("JSON"), body);
        assert_eq!(request.headers()["content-type"], "application/json");
    }

    #[tokio::test(start_paused = true)]
    async fn an_id_that_leads_elsewhere_is_never_sent() {
        let transport = Scripted::new(|_| panic!("nothing may be sent"));
        let platform = platform(&transport);
        for id in ["", ".", "..", "../users", "a/b", "a?b", "a b", "a%2fb", "é", &"a".repeat(129)] {
            assert!(platform.delete_client(id).await.is_err_and(|error| error.outcome_is_known()), "{id}");
            assert!(platform.get_client(id).await.is_err() && platform.update_client(id, json!({})).await.is_err());
        }
    }
}
