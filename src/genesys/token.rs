//! Fetches a token by client credentials, and tells the login host's refusals apart. It must not cache or retry, and a
//! secret or a token never shows in an error or in `Debug`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::bounded::one;
use super::credential_error::CredentialError;
use super::error::Operation;
use super::error_body::retry_after;
use super::model::{object, text};
use super::region::Endpoints;
use super::sent::Sent;
use super::transport::{Limits, MAX_REFUSAL, Transport, TransportError};

/// The most bytes of a token reply.
const MAX_BODY: usize = MAX_REFUSAL;
/// The words of RFC 6749 §5.2, and two of the platform. They are shown as they are, so that no secret that reads like one changes what they mean.
const OAUTH_ERRORS: [&str; 8] = [
    "invalid_client",
    "unauthorized_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "unsupported_grant_type",
    "access_denied",
    "server_error",
];
/// After a throttled token request the login host needs about a minute (TF, `CONCURRENT_PAGINATION.md`).
pub(super) const THROTTLE_HOLD: Duration = Duration::from_secs(60);
/// What to assume where `expires_in` is missing: the shortest validity that the platform knows (SPEC).
const SHORTEST_VALIDITY: u64 = 300;
/// The longest validity that the platform knows, 450 days (HELP).
const LONGEST_VALIDITY: u64 = 38_880_000;

/// The id and secret of an OAuth client.
#[derive(Clone)]
pub struct ClientCredential {
    /// The client id.
    pub client_id: String,
    /// The secret.
    pub client_secret: SecretString,
}

impl fmt::Debug for ClientCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredential").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

impl ClientCredential {
    /// The `Authorization` header of RFC 6749 §2.3.1, as every SDK of the platform writes it. The library that sends it keeps copies of its own.
    fn basic(&self) -> Option<HeaderValue> {
        let pair = Zeroizing::new(format!("{}:{}", self.client_id, self.client_secret.expose_secret()));
        let header = Zeroizing::new(format!("Basic {}", Zeroizing::new(STANDARD.encode(pair.as_bytes())).as_str()));
        let mut value = HeaderValue::from_str(&header).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// A token and how long it lives.
#[derive(Clone)]
pub struct AccessToken(Arc<Issued>);

struct Issued {
    text: SecretString,
    asked_at: Instant,
    lifetime: Duration,
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken").field("lifetime", &self.0.lifetime).finish_non_exhaustive()
    }
}

impl AccessToken {
    fn new(text: SecretString, asked_at: Instant, lifetime: Duration) -> Self {
        Self(Arc::new(Issued { text, asked_at, lifetime }))
    }

    /// When it stops working, counted from before it was asked for.
    #[must_use]
    pub fn expires_at(&self) -> Instant {
        self.0.asked_at + self.0.lifetime
    }

    /// How long it lives in all.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.0.lifetime
    }

    /// Whether both are the same token, not only equal ones.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The token itself.
    pub(super) fn text(&self) -> &str {
        self.0.text.expose_secret()
    }

    /// The `Authorization` header of a call. The library that sends it keeps copies of its own.
    pub(super) fn bearer(&self) -> Option<HeaderValue> {
        let header = Zeroizing::new(format!("Bearer {}", self.text()));
        let mut value = HeaderValue::from_str(&header).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// What the login host said.
#[derive(Debug)]
pub(super) enum TokenReply {
    /// A token.
    Issued(AccessToken),
    /// An error of RFC 6749 §5.2 other than throttling.
    OAuthError {
        /// The word, such as `invalid_client`.
        error: String,
        /// The host's explanation.
        description: String,
        /// Names the call to Genesys support.
        correlation_id: Option<String>,
    },
}

/// Asks for a token by client credentials, once.
pub async fn fetch_token(
    transport: &dyn Transport,
    endpoints: &Endpoints,
    credential: &ClientCredential,
    timeout: Duration,
) -> Result<AccessToken, CredentialError> {
    match ask(transport, endpoints, credential, "grant_type=client_credentials", timeout).await? {
        TokenReply::Issued(token) => Ok(token),
        TokenReply::OAuthError { error, description, correlation_id } => Err(match error.as_str() {
            "invalid_client" => CredentialError::InvalidClient { description, correlation_id },
            "unauthorized_client" => CredentialError::UnauthorizedClient,
            _ => CredentialError::Refused(format!("{error}: {description}")),
        }),
    }
}

/// Sends one form to the token endpoint. `Err` is never `InvalidClient` or `UnauthorizedClient`.
pub(super) async fn ask(
    transport: &dyn Transport,
    endpoints: &Endpoints,
    credential: &ClientCredential,
    form: &'static str,
    timeout: Duration,
) -> Result<TokenReply, CredentialError> {
    let asked_at = Instant::now();
    let basic = credential.basic().ok_or(CredentialError::Malformed)?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(endpoints.token_url())
        .header(AUTHORIZATION, basic)
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .extension(Operation::GetToken)
        .body(Bytes::from_static(form.as_bytes()))
        .map_err(|_| CredentialError::Unavailable("the login URL cannot be used".to_owned()))?;
    let limits = Limits { timeout, max_body: MAX_BODY };
    let sent = transport.send(request, limits).await;
    let milliseconds = asked_at.elapsed().as_millis();
    let operation = Operation::GetToken.name();
    let secrets = Sent::credential(credential);
    match sent {
        Ok(response) => {
            let correlation = secrets.correlation_id(response.headers());
            let status = response.status().as_u16();
            tracing::debug!(operation, status, correlation, milliseconds, "platform call");
            let (parts, body) = response.into_parts();
            read(parts.status, &parts.headers, &body, asked_at, &secrets)
        }
        Err(error) => {
            tracing::debug!(operation, %error, milliseconds, "platform call");
            Err(match error {
                TransportError::Withheld(reason) => CredentialError::Withheld(reason),
                error => CredentialError::Unavailable(secrets.clean(&error.to_string())),
            })
        }
    }
}

fn read(status: StatusCode, headers: &HeaderMap, body: &[u8], asked_at: Instant, sent: &Sent) -> Result<TokenReply, CredentialError> {
    let parsed = if body.len() <= MAX_BODY { one(body, object).ok() } else { None };
    if status.is_success() {
        let mut map = parsed.ok_or(CredentialError::Malformed)?;
        let seconds = map.get("expires_in").and_then(Value::as_u64).unwrap_or(SHORTEST_VALIDITY);
        let Some(Value::String(token)) = map.remove("access_token") else {
            return Err(CredentialError::Malformed);
        };
        let token = SecretString::from(token);
        if token.expose_secret().is_empty() || seconds == 0 {
            return Err(CredentialError::Malformed);
        }
        let lifetime = Duration::from_secs(seconds.min(LONGEST_VALIDITY));
        let token = AccessToken::new(token, asked_at, lifetime);
        // A token that no header can carry would fail every call.
        return token.bearer().is_some().then_some(TokenReply::Issued(token)).ok_or(CredentialError::Malformed);
    }
    let hold = || THROTTLE_HOLD.max(retry_after(headers).unwrap_or_default());
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Err(CredentialError::Throttled { retry_after: hold() });
    }
    if !status.is_client_error() || status == StatusCode::REQUEST_TIMEOUT {
        return Err(CredentialError::Unavailable(format!("HTTP {}", status.as_u16())));
    }
    let Some(error) = parsed.as_ref().and_then(|map| text(map, "error")) else {
        return Err(CredentialError::Refused(format!("HTTP {}", status.as_u16())));
    };
    let description = parsed.as_ref().and_then(|map| text(map, "error_description").or_else(|| text(map, "description")));
    let description = description.unwrap_or_default();
    if description.trim_start().to_ascii_lowercase().starts_with("rate limit exceeded") {
        // TF: HTTP 400, `invalid_request`, and only the description tells it from a bad request.
        return Err(CredentialError::Throttled { retry_after: hold() });
    }
    let error = if OAUTH_ERRORS.contains(&error.as_str()) { error } else { sent.clean(&error) };
    Ok(TokenReply::OAuthError { error, description: sent.clean(&description), correlation_id: sent.correlation_id(headers) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{Answer, Scripted, credential, endpoints, json_answer, login_refusal, no_answer, raw_answer, token_answer};
    use super::*;

    async fn fetch(answer: Answer) -> Result<AccessToken, CredentialError> {
        let transport = Scripted::with_login(vec![answer], |_| panic!("no API call"));
        fetch_token(transport.as_ref(), &endpoints(), &credential(), Duration::from_secs(10)).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_asked_for_as_the_platform_wants_it() {
        let transport = Scripted::with_login(vec![token_answer("t", 100)], |_| panic!("no API call"));
        let token = fetch_token(transport.as_ref(), &endpoints(), &credential(), Duration::from_secs(10)).await.expect("a token");
        assert_eq!(token.lifetime(), Duration::from_secs(100));
        assert_eq!(token.bearer().expect("a header"), "Bearer t");
        let request = transport.logins().remove(0);
        assert_eq!(request.uri(), "https://login.mypurecloud.de/oauth/token");
        assert_eq!(request.headers()[AUTHORIZATION], "Basic b3duLWlkOmh1bnRlcjI=");
        assert!(request.headers()[AUTHORIZATION].is_sensitive());
        assert_eq!(request.headers()[CONTENT_TYPE], "application/x-www-form-urlencoded");
        assert_eq!(request.body(), "grant_type=client_credentials");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_credential_and_throttling_are_both_400_and_told_apart() {
        let invalid = |description: &str| CredentialError::InvalidClient { description: description.to_owned(), correlation_id: None };
        let throttled = |seconds| CredentialError::Throttled { retry_after: Duration::from_secs(seconds) };
        let unavailable = |words: &str| CredentialError::Unavailable(words.to_owned());
        for (answer, expected) in [
            (login_refusal("invalid_client", "authentication failed"), invalid("authentication failed")),
            (login_refusal("invalid_client", "client not found"), invalid("client not found")),
            (json_answer(401, &json!({"error": "invalid_client"})), invalid("")),
            (login_refusal("unauthorized_client", "not authorized"), CredentialError::UnauthorizedClient),
            (login_refusal("invalid_request", "rate limit exceeded; try later"), throttled(60)),
            (login_refusal("invalid_request", "Rate limit exceeded;").with("retry-after", "90"), throttled(90)),
            (login_refusal("invalid_client", "rate limit exceeded; x").with("retry-after", "5"), throttled(60)),
            (json_answer(400, &json!({"error": "invalid_request", "description": "rate limit exceeded;"})), throttled(60)),
            (raw_answer(429, "slow down"), throttled(60)),
            (login_refusal("invalid_request", "no grant"), CredentialError::Refused("invalid_request: no grant".to_owned())),
            (raw_answer(400, "<html>invalid_client</html>"), CredentialError::Refused("HTTP 400".to_owned())),
            (json_answer(503, &json!({"error": "invalid_client"})), unavailable("HTTP 503")),
            (raw_answer(302, ""), unavailable("HTTP 302")),
            (raw_answer(200, "<html>"), CredentialError::Malformed),
            (json_answer(200, &json!({"token_type": "bearer"})), CredentialError::Malformed),
            (token_answer("", 100), CredentialError::Malformed),
            (token_answer("t", 0), CredentialError::Malformed),
            (token_answer("t\nInjected: x", 100), CredentialError::Malformed),
            (no_answer(TransportError::NotSent("refused".to_owned())), unavailable("nothing was sent: refused")),
            (no_answer(TransportError::Withheld("not now")), CredentialError::Withheld("not now")),
            (token_answer("t", 100).after(Duration::from_secs(11)), unavailable("the response was lost: timeout")),
        ] {
            assert_eq!(fetch(answer).await.expect_err("no token"), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn lifetimes_are_believed_within_the_platforms_bounds() {
        let token = fetch(json_answer(200, &json!({"access_token": "t"}))).await.expect("a token");
        assert_eq!(token.lifetime(), Duration::from_secs(300));
        let token = fetch(token_answer("t", u64::MAX)).await.expect("a token");
        assert_eq!(token.lifetime(), Duration::from_secs(38_880_000));
        let asked = Instant::now();
        let token = fetch(token_answer("t", 100).after(Duration::from_secs(4))).await.expect("a token");
        assert_eq!(token.expires_at(), asked + Duration::from_secs(100), "counted from before it was asked for");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_secret_is_shown() {
        let token = fetch(token_answer("hush-token", 100)).await.expect("a token");
        let shown = format!("{token:?} {:?} {:?}", credential(), token.bearer());
        assert!(!shown.contains("hush-token") && !shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("own-id"));
    }
}
