//! `POST /oauth/token` with each of its grants; it must tell nobody why an authentication failed.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::error::LoginError;
use crate::exchange::{Reply, Request};
use crate::limits::Minute;
use crate::model::{GrantType, OAuthClient};
use crate::state::State;
use crate::tokens::{Refresh, Subject, Token, end};

const SAML2_BEARER: &str = "urn:ietf:params:oauth:grant-type:saml2-bearer";

/// Who asks for a token.
#[derive(Debug)]
enum Applicant {
    /// A client that showed its secret.
    Confidential(OAuthClient),
    /// A client that named itself only, as PKCE allows.
    Public(OAuthClient),
}

impl Applicant {
    fn client(&self) -> &OAuthClient {
        match self {
            Self::Confidential(client) | Self::Public(client) => client,
        }
    }

    fn is_public(&self) -> bool {
        matches!(self, Self::Public(_))
    }
}

/// Does the reply carry a refresh token?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WithRefresh {
    Yes,
    No,
}

pub(super) fn answer(state: &mut State, now: Timestamp, request: &Request) -> Reply {
    let named = credentials(request).map(|(id, _)| id);
    let reply = grant(state, now, request).unwrap_or_else(Reply::from);
    Reply { caller: named, ..reply }
}

fn grant(state: &mut State, now: Timestamp, request: &Request) -> Result<Reply, LoginError> {
    // Throttling answers 400, not 429, and gives no time. (V TF)
    let (limit, window) = (state.settings.login_requests_per_minute, state.settings.rate_window);
    state
        .login_minute
        .admit(now, limit, window)
        .map_err(|_| LoginError::new("invalid_request", format!("rate limit exceeded; {}", state.settings.login_limit_text)))?;
    let grant_type = request
        .field("grant_type")
        .filter(|name| !name.is_empty())
        .ok_or_else(|| LoginError::new("invalid_request", "grant_type is required"))?;
    match grant_type {
        "client_credentials" => {
            // One letter is missing in the platform's own text. (E)
            let client = confidential(state, now, request, GrantType::ClientCredentials, "client_credential")?;
            Ok(issue(state, now, &Applicant::Confidential(client), Subject::Client, WithRefresh::No))
        }
        "authorization_code" => authorization_code(state, now, request),
        "refresh_token" => refresh_token(state, now, request),
        SAML2_BEARER => saml2_bearer(state, now, request),
        _ => Err(LoginError::new("unsupported_grant_type", "grant type is not supported")),
    }
}

fn authorization_code(state: &mut State, now: Timestamp, request: &Request) -> Result<Reply, LoginError> {
    let applicant = applicant(state, now, request)?;
    if applicant.client().authorized_grant_type != GrantType::Code {
        return Err(LoginError::wrong_grant("authorization_code"));
    }
    let refused = || LoginError::new("invalid_grant", "authorization code is invalid");
    let code = state.tokens.take_code(request.field("code").unwrap_or(""), now).ok_or_else(refused)?;
    if code.client_id != applicant.client().id || request.field("redirect_uri") != Some(&code.redirect_uri) {
        return Err(refused());
    }
    match (&code.challenge, request.field("code_verifier")) {
        (Some(challenge), Some(verifier)) if is_verifier(verifier) && challenge_of(verifier) == *challenge => {}
        (None, None) if !applicant.is_public() => {}
        // Without a secret and without a challenge nothing proves who asks.
        (None, _) if applicant.is_public() => return Err(LoginError::authentication_failed()),
        _ => return Err(LoginError::new("invalid_grant", "code verifier does not match")),
    }
    let with_refresh = if applicant.is_public() && !state.settings.public_refresh_tokens { WithRefresh::No } else { WithRefresh::Yes };
    Ok(issue(state, now, &applicant, Subject::User, with_refresh))
}

fn refresh_token(state: &mut State, now: Timestamp, request: &Request) -> Result<Reply, LoginError> {
    let applicant = applicant(state, now, request)?;
    if applicant.client().authorized_grant_type != GrantType::Code {
        return Err(LoginError::wrong_grant("refresh_token"));
    }
    let text = request.field("refresh_token").unwrap_or("");
    let fits = state
        .tokens
        .refresh(text, now)
        .is_some_and(|refresh| refresh.client_id == applicant.client().id && refresh.public == applicant.is_public());
    if !fits {
        return Err(LoginError::new("invalid_grant", "refresh token is invalid"));
    }
    state.tokens.use_up_refresh(text);
    Ok(issue(state, now, &applicant, Subject::User, WithRefresh::Yes))
}

fn saml2_bearer(state: &mut State, now: Timestamp, request: &Request) -> Result<Reply, LoginError> {
    let client = confidential(state, now, request, GrantType::Saml2Bearer, "saml2_bearer")?;
    let organization = request.field("orgName").unwrap_or("");
    if !organization.eq_ignore_ascii_case(&state.settings.organization_name) {
        return Err(LoginError::new("invalid_request", "orgName is invalid"));
    }
    let assertion = request.field("assertion").unwrap_or("");
    let well_formed = !assertion.is_empty() && (STANDARD.decode(assertion).is_ok() || URL_SAFE_NO_PAD.decode(assertion).is_ok());
    if !well_formed || !state.settings.accept_saml_assertions {
        return Err(LoginError::new("invalid_grant", "assertion is invalid"));
    }
    Ok(issue(state, now, &Applicant::Confidential(client), Subject::User, WithRefresh::No))
}

fn issue(state: &mut State, now: Timestamp, applicant: &Applicant, subject: Subject, with_refresh: WithRefresh) -> Reply {
    let client = applicant.client();
    let access = state.chance.token();
    let validity = client.access_token_validity_seconds;
    let token = Token {
        client_id: client.id.clone(),
        subject,
        scope: client.scope.clone(),
        expires_at: end(now, validity),
        minute: Minute::default(),
    };
    state.tokens.issue(access.clone(), token, now);
    // The one published sample says a second less than the validity. (E)
    let mut body = json!({"access_token": access, "token_type": "bearer", "expires_in": validity.saturating_sub(1)});
    if with_refresh == WithRefresh::Yes {
        let text = state.chance.token();
        body["refresh_token"] = Value::from(text.as_str());
        let refresh = Refresh {
            client_id: client.id.clone(),
            expires_at: end(now, state.settings.refresh_token_validity_seconds),
            public: applicant.is_public(),
        };
        state.tokens.issue_refresh(text, refresh);
    }
    Reply::json(body).committed().about(client.id.clone())
}

/// The client that showed its secret, if it is one of this grant type.
fn confidential(state: &State, now: Timestamp, request: &Request, grant_type: GrantType, name: &str) -> Result<OAuthClient, LoginError> {
    let (id, secret) = credentials(request).ok_or_else(LoginError::authentication_failed)?;
    let client = authenticated(state, now, &id, &secret.unwrap_or_default())?;
    if client.authorized_grant_type == grant_type { Ok(client) } else { Err(LoginError::wrong_grant(name)) }
}

fn applicant(state: &State, now: Timestamp, request: &Request) -> Result<Applicant, LoginError> {
    match credentials(request).ok_or_else(LoginError::authentication_failed)? {
        (id, Some(secret)) => authenticated(state, now, &id, &secret).map(Applicant::Confidential),
        (id, None) => {
            let secret = state.clients.record(&id).map(|record| record.secret().to_owned()).unwrap_or_default();
            // A public client must exist and be active all the same.
            authenticated(state, now, &id, &secret).map(Applicant::Public)
        }
    }
}

fn authenticated(state: &State, now: Timestamp, id: &str, secret: &str) -> Result<OAuthClient, LoginError> {
    if !state.authenticates(id, secret, now) {
        return Err(LoginError::authentication_failed());
    }
    state.clients.present(id).cloned().ok_or_else(LoginError::authentication_failed)
}

/// Client id and secret from the Basic header, or from the form. Without a secret only the id is known.
fn credentials(request: &Request) -> Option<(String, Option<String>)> {
    let basic = request
        .header(http::header::AUTHORIZATION)
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .and_then(|(_, encoded)| STANDARD.decode(encoded.trim()).ok())
        .and_then(|decoded| String::from_utf8(decoded).ok());
    if let Some(basic) = basic {
        let (id, secret) = basic.split_once(':')?;
        return Some((id.to_owned(), Some(secret.to_owned())));
    }
    let id = request.field("client_id")?;
    Some((id.to_owned(), request.field("client_secret").map(str::to_owned)))
}

/// RFC 7636: 43 to 128 unreserved characters.
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c))
}

fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert!(is_verifier(verifier));
        assert_eq!(challenge_of(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert!(!is_verifier(&verifier[1..]) && !is_verifier(&"a".repeat(129)) && !is_verifier(&"ü".repeat(30)));
    }
}
