//! The login host: tokens, authorization and its discovery document; it must not answer for the Platform API.

mod authorize;
mod token;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::json;

use crate::exchange::{Reply, Request};
use crate::operations::Operation;
use crate::state::State;

/// Answers a call to the login host.
pub(crate) fn answer(state: &mut State, now: Timestamp, request: &Request) -> Reply {
    match request.rule.operation {
        Operation::GetToken => token::answer(state, now, request),
        Operation::Authorize => authorize::answer(state, now, request).unwrap_or_else(Reply::from),
        Operation::Logout => match request.query("redirect_uri") {
            Some(uri) => Reply::redirect(uri.to_owned()),
            None => Reply::text(StatusCode::OK, "text/plain; charset=utf-8", "Logged out.\n".to_owned()),
        },
        _ => discovery(request),
    }
}

/// RFC 8414's document; the platform has no `revocation_endpoint`. (E)
fn discovery(request: &Request) -> Reply {
    let base = &request.base_url;
    Reply::json(json!({
        "issuer": base,
        "authorization_endpoint": format!("{base}/oauth/authorize"),
        "token_endpoint": format!("{base}/oauth/token"),
        "response_types_supported": ["code", "token"],
        "grant_types_supported": [
            "authorization_code",
            "client_credentials",
            "refresh_token",
            "urn:ietf:params:oauth:grant-type:saml2-bearer",
        ],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
    }))
}
