//! Finds out whether a credential works, without using it for anything. It must not take throttling, a network fault or
//! a rule about addresses for a wrong secret, and never logs the secret.

use super::credential_error::CredentialError;
use super::error::Error;
use super::model::GrantType;
use super::platform::Platform;
use super::token::{AccessToken, ClientCredential, TokenReply, ask, fetch_token};
use super::token_source::with_slot;

/// A code that cannot exist. A host that looks at the code has accepted the client.
const IMPOSSIBLE_CODE: &str = "grant_type=authorization_code&code=genesys-oauth-operator-probe&redirect_uri=https%3A%2F%2Flocalhost%2F";

/// What a probe found (protocols §2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// The credential works.
    Proven,
    /// The platform refuses the credential. Whether it is refuted is for the caller: it must last, and the client must
    /// be active.
    InvalidClient {
        /// The login host's words.
        description: String,
    },
    /// Nothing was found out.
    Undecided {
        /// What was in the way.
        reason: String,
    },
    /// The credential works, but is of another client, organization or grant type.
    Mismatch {
        /// What differs.
        reason: String,
    },
}

/// Probes a credential of this grant type against the platform's organization. Costs calls of the login host and of the
/// credential's own token, none of the budget. An error only where this process kept the probe back.
pub async fn probe(
    platform: &Platform,
    credential: &ClientCredential,
    grant: GrantType,
    expected_organization_id: &str,
) -> Result<Probe, Error> {
    let timeout = platform.timeouts().call;
    let request = || fetch_token(platform.transport(), platform.endpoints(), credential, timeout);
    Ok(match with_slot(platform.login_budget(), platform.work(), request).await {
        Err(CredentialError::Withheld(reason)) => return Err(Error::Withheld(reason)),
        Ok(token) if grant == GrantType::ClientCredentials => compare(platform, credential, &token, expected_organization_id).await,
        Ok(_) => Probe::Mismatch { reason: format!("a client of the grant type {grant} was given a token by client credentials") },
        Err(CredentialError::InvalidClient { description, .. }) => Probe::InvalidClient { description },
        // Neither a token nor a refusal of the secret: a rule about addresses may be worded like this as well.
        Err(CredentialError::UnauthorizedClient) if grant == GrantType::ClientCredentials => Probe::Undecided {
            reason:
                "the login host answers unauthorized_client: a rule of the organization denies it, or the client is of another grant type"
                    .to_owned(),
        },
        // GFI: the host names the grant type only to a client that it has authenticated.
        Err(CredentialError::UnauthorizedClient) => Probe::Proven,
        Err(CredentialError::Unavailable(_) | CredentialError::Refused(_)) if grant != GrantType::ClientCredentials => {
            by_impossible_code(platform, credential).await?
        }
        Err(error) => Probe::Undecided { reason: Error::Credential(error).cause() },
    })
}

async fn compare(platform: &Platform, credential: &ClientCredential, token: &AccessToken, organization: &str) -> Probe {
    let info = match platform.token_info(token).await {
        Ok(info) => info,
        // A token was obtained, which proves the credential; that it may not ask who it is changes nothing.
        Err(Error::Refused(error)) if error.status == 403 => return Probe::Proven,
        Err(error) => return Probe::Undecided { reason: error.cause() },
    };
    if info.organization_id != organization {
        let reason = format!("the credential is of the organization {}, not of {organization}", info.organization_id);
        return Probe::Mismatch { reason };
    }
    match info.client_id {
        Some(id) if id != credential.client_id => Probe::Mismatch { reason: format!("the token is of the client {id}") },
        _ => Probe::Proven,
    }
}

async fn by_impossible_code(platform: &Platform, credential: &ClientCredential) -> Result<Probe, Error> {
    let timeout = platform.timeouts().call;
    let request = || ask(platform.transport(), platform.endpoints(), credential, IMPOSSIBLE_CODE, timeout);
    Ok(match with_slot(platform.login_budget(), platform.work(), request).await {
        Err(CredentialError::Withheld(reason)) => return Err(Error::Withheld(reason)),
        Ok(TokenReply::OAuthError { error, description, .. }) => match error.as_str() {
            "invalid_grant" | "unauthorized_client" => Probe::Proven,
            "invalid_client" => Probe::InvalidClient { description },
            _ => Probe::Undecided { reason: format!("the login host answers {error}: {description}") },
        },
        Ok(TokenReply::Issued(_)) => Probe::Undecided { reason: "the login host took a code that does not exist".to_owned() },
        Err(error) => Probe::Undecided { reason: Error::Credential(error).cause() },
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::super::testing::{
        Answer, Scripted, credential, json_answer, login_refusal, platform, raw_answer, refusal_answer, token_answer,
    };
    use super::*;

    async fn run(grant: GrantType, login: Vec<Answer>, info: Answer) -> (Arc<Scripted>, Probe) {
        let transport = Scripted::with_login(login, move |request| {
            assert_eq!(request.uri().path(), "/api/v2/tokens/me");
            info.clone()
        });
        let found = probe(&platform(&transport), &credential(), grant, "org-1").await.expect("it was not kept back");
        (transport, found)
    }

    fn info(organization: &str, client: Option<&str>) -> Value {
        let client = client.map(|id| json!({"id": id, "authorizedGrantType": "CLIENT-CREDENTIALS"}));
        json!({"organization": {"id": organization, "name": "o"}, "OAuthClient": client})
    }

    fn undecided(found: &Probe) -> bool {
        matches!(found, Probe::Undecided { .. })
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_compared_with_what_it_should_be() {
        let grant = GrantType::ClientCredentials;
        for (answer, expected) in [
            (json_answer(200, &info("org-1", Some("own-id"))), "proven"),
            (json_answer(200, &info("org-1", None)), "proven"),
            (refusal_answer(403, "app.not.authorized.for.scope", "m"), "proven"),
            (json_answer(200, &info("org-2", Some("own-id"))), "mismatch"),
            (json_answer(200, &info("org-1", Some("another"))), "mismatch"),
            (refusal_answer(401, "bad.credentials", "m"), "undecided"),
            (refusal_answer(401, "ip.not.authorized", "m"), "undecided"),
            (raw_answer(503, ""), "undecided"),
            (raw_answer(200, "<html>"), "undecided"),
        ] {
            let (transport, found) = run(grant.clone(), vec![token_answer("t", 100)], answer).await;
            let word = match &found {
                Probe::Proven => "proven",
                Probe::Mismatch { .. } => "mismatch",
                Probe::Undecided { .. } => "undecided",
                Probe::InvalidClient { .. } => "invalid",
            };
            assert_eq!(word, expected, "{found:?}");
            assert_eq!(transport.requests()[0].headers()["authorization"], "Bearer t", "the new client pays");
            assert_eq!((transport.calls().len(), transport.logins().len()), (1, 1), "the operator's own token is not needed");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_refused_credential_is_invalid() {
        for grant in [GrantType::ClientCredentials, GrantType::Code] {
            let (_, found) = run(grant.clone(), vec![login_refusal("invalid_client", "authentication failed")], raw_answer(500, "")).await;
            assert_eq!(found, Probe::InvalidClient { description: "authentication failed".to_owned() });
            for answer in [login_refusal("invalid_request", "rate limit exceeded; x"), raw_answer(429, ""), raw_answer(200, "<html>")] {
                let (transport, found) = run(grant.clone(), vec![answer], raw_answer(500, "")).await;
                assert!(undecided(&found), "{found:?}");
                assert_eq!(transport.logins().len(), 1);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn other_grants_are_proven_by_the_grant_type_that_is_refused() {
        let unauthorized = || login_refusal("unauthorized_client", "client is not authorized to use the client_credential grant type");
        for grant in [GrantType::Code, GrantType::Token, GrantType::Saml2Bearer, GrantType::Password] {
            let (transport, found) = run(grant, vec![unauthorized()], raw_answer(500, "")).await;
            assert_eq!(found, Probe::Proven);
            assert!(transport.calls().is_empty());
        }
        let (_, found) = run(GrantType::ClientCredentials, vec![unauthorized()], raw_answer(500, "")).await;
        assert!(undecided(&found), "it may be a rule about addresses: {found:?}");
        let (_, found) = run(GrantType::Code, vec![token_answer("t", 100)], raw_answer(500, "")).await;
        assert!(matches!(found, Probe::Mismatch { .. }));
    }

    #[tokio::test(start_paused = true)]
    async fn an_impossible_code_decides_where_the_grant_type_did_not() {
        let strange = || login_refusal("unsupported_grant_type", "x");
        for (second, expected) in [
            (login_refusal("invalid_grant", "x"), Some(Probe::Proven)),
            (login_refusal("unauthorized_client", "x"), Some(Probe::Proven)),
            (login_refusal("invalid_client", "x"), Some(Probe::InvalidClient { description: "x".to_owned() })),
            (login_refusal("invalid_request", "x"), None),
            (login_refusal("invalid_request", "rate limit exceeded;"), None),
            (token_answer("t", 100), None),
        ] {
            let (transport, found) = run(GrantType::Code, vec![strange(), second], raw_answer(500, "")).await;
            match expected {
                Some(expected) => assert_eq!(found, expected),
                None => assert!(undecided(&found), "{found:?}"),
            }
            assert!(transport.logins()[1].body().starts_with(b"grant_type=authorization_code&code="));
        }
    }
}
