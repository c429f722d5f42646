//! `GET /oauth/authorize`, where the configured user consents at once; it must never redirect to an unregistered URI.

use jiff::Timestamp;

use crate::error::LoginError;
use crate::exchange::{Reply, Request};
use crate::limits::Minute;
use crate::model::{ClientState, GrantType};
use crate::settings::Consent;
use crate::state::State;
use crate::tokens::{Code, Subject, Token, end};

pub(super) fn answer(state: &mut State, now: Timestamp, request: &Request) -> Result<Reply, LoginError> {
    let invalid = |text: &str| LoginError::new("invalid_request", text);
    let client = request
        .query("client_id")
        .and_then(|id| state.clients.present(id))
        .filter(|client| client.state == ClientState::Active)
        .cloned()
        .ok_or_else(|| LoginError::new("invalid_client", "client not found"))?;
    let redirect_uri = request
        .query("redirect_uri")
        .filter(|uri| client.registered_redirect_uri.iter().any(|own| own == uri))
        .ok_or_else(|| invalid("redirect_uri is not registered"))?;
    let response_type = request.query("response_type").unwrap_or("");
    let needed = match response_type {
        "code" => GrantType::Code,
        "token" => GrantType::Token,
        _ => return Err(LoginError::new("unsupported_response_type", "response_type must be code or token")),
    };
    if client.authorized_grant_type != needed {
        return Err(LoginError::new("unauthorized_client", "client is not authorized to use this response type"));
    }
    let challenge = request.query("code_challenge").map(str::to_owned);
    if challenge.is_some() && request.query("code_challenge_method") != Some("S256") {
        return Err(invalid("code_challenge_method must be S256"));
    }
    let mut answer: Vec<(&str, String)> = Vec::new();
    let mut committed = false;
    match (state.settings.consent, needed) {
        (Consent::Deny, _) => answer.push(("error", "access_denied".to_owned())),
        (Consent::Approve, GrantType::Token) => {
            let text = state.chance.token();
            let token = Token {
                client_id: client.id.clone(),
                subject: Subject::User,
                scope: client.scope.clone(),
                expires_at: end(now, client.access_token_validity_seconds),
                minute: Minute::default(),
            };
            state.tokens.issue(text.clone(), token, now);
            answer.push(("access_token", text));
            answer.push(("expires_in", client.access_token_validity_seconds.saturating_sub(1).to_string()));
            answer.push(("token_type", "bearer".to_owned()));
            committed = true;
        }
        (Consent::Approve, _) => {
            let text = state.chance.code();
            let code = Code {
                client_id: client.id.clone(),
                redirect_uri: redirect_uri.to_owned(),
                challenge,
                expires_at: end(now, state.settings.code_validity_seconds),
            };
            state.tokens.issue_code(text.clone(), code);
            answer.push(("code", text));
            committed = true;
        }
    }
    if let Some(given) = request.query("state") {
        answer.push(("state", given.to_owned()));
    }
    let separator = match needed {
        GrantType::Token => '#',
        _ if redirect_uri.contains('?') => '&',
        _ => '?',
    };
    let query: Vec<String> = answer.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect();
    let reply = Reply::redirect(format!("{redirect_uri}{separator}{}", query.join("&"))).about(client.id);
    Ok(if committed { reply.committed() } else { reply })
}

/// A query value with everything escaped that is not unreserved.
fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
