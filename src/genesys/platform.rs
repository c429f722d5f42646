//! The client of one organization: every call goes through here, with its budget slot, its token, its limits and its
//! classification. It must not repeat a call whose outcome is unknown.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, Response};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::audit;
use super::bounded::{self, Envelope, MAX_ONE};
use super::budget::{Budget, Class, LONGEST_WAIT, NoSlot, Outcome, Permit, Work};
use super::credential_error::CredentialError;
use super::error::{ApiError, Error, Operation};
use super::error_body::{date, refusal};
use super::model::Unreadable;
use super::region::Endpoints;
use super::sent::Sent;
use super::token::{AccessToken, ClientCredential};
use super::token_source::{FAILED_HOLD, TokenSource};
use super::transport::{Limits, Transport, TransportError};

/// The platform's code where the organization has no room for another client.
pub const TOO_MANY_CLIENTS: &str = "auth.too.many.clients";
/// How many tokens a minute are asked for: 10 within a second were seen to be fine, and 50 not (TF).
const TOKENS_PER_MINUTE: u32 = 30;

#[cfg(test)]
mod tests;

/// How long calls may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// One call.
    pub call: Duration,
    /// A whole list of OAuth clients.
    pub scan: Duration,
}

impl Default for Timeouts {
    /// 10 s, and 60 s for a scan (protocols §2).
    fn default() -> Self {
        Self { call: Duration::from_secs(10), scan: Duration::from_secs(60) }
    }
}

/// One organization's client. Clones share the token, the budget and the clock; each says for whom it calls.
#[derive(Clone)]
pub struct Platform(Arc<Inner>, Work);

struct Inner {
    transport: Arc<dyn Transport>,
    endpoints: Endpoints,
    tokens: TokenSource,
    budget: Arc<Budget>,
    /// The budget of the login host.
    login: Arc<Budget>,
    timeouts: Timeouts,
    /// The platform's last `Date`, and when it came.
    clock: Mutex<Option<(Timestamp, Instant)>>,
}

impl fmt::Debug for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Platform").field("endpoints", &self.0.endpoints).finish_non_exhaustive()
    }
}

/// The right to one call: a slot of the budget and a token in hand. The call that it is given to cannot fail for want of
/// them before it is sent.
#[derive(Debug)]
#[must_use = "a slot is one call of the budget"]
pub struct Slot {
    permit: Permit,
    token: AccessToken,
}

/// One request, before it has a token.
pub(super) struct Call {
    pub(super) operation: Operation,
    pub(super) method: Method,
    /// Starts with `/`; holds the query.
    pub(super) path: String,
    pub(super) body: Option<Bytes>,
    /// A client's secret, where the body holds one.
    pub(super) secret: Option<SecretString>,
    pub(super) limits: Limits,
}

/// A success.
pub(super) struct Reply {
    operation: Operation,
    correlation_id: Option<String>,
    response: Response<Bytes>,
}

impl Platform {
    /// A client that has not talked to the platform yet.
    #[must_use]
    pub fn new(
        transport: Arc<dyn Transport>,
        endpoints: Endpoints,
        credential: ClientCredential,
        budget: Arc<Budget>,
        timeouts: Timeouts,
    ) -> Self {
        let login = Arc::new(Budget::new(TOKENS_PER_MINUTE));
        let tokens = TokenSource::new(Arc::clone(&transport), endpoints.clone(), credential, timeouts.call, Arc::clone(&login));
        Self(Arc::new(Inner { transport, endpoints, tokens, budget, login, timeouts, clock: Mutex::default() }), Work::default())
    }

    /// The same client, whose calls wait in the place of this work.
    #[must_use]
    pub fn for_work(&self, work: Work) -> Self {
        Self(Arc::clone(&self.0), work)
    }

    /// For whom it calls.
    #[must_use]
    pub fn work(&self) -> &Work {
        &self.1
    }

    /// Where the organization's region answers.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.0.endpoints
    }

    /// Whether this is the credential that the platform is asked with.
    #[must_use]
    pub fn uses(&self, credential: &ClientCredential) -> bool {
        let own = self.0.tokens.credential();
        own.client_id == credential.client_id && own.client_secret.expose_secret() == credential.client_secret.expose_secret()
    }

    /// The client id of the operator's own credential.
    #[must_use]
    pub fn own_client_id(&self) -> &str {
        &self.0.tokens.credential().client_id
    }

    /// The request budget.
    #[must_use]
    pub fn budget(&self) -> &Arc<Budget> {
        &self.0.budget
    }

    /// Lets nobody wait for a call any more: this process is stopping. Calls that are under way come to their end.
    pub fn close(&self) {
        self.0.budget.close();
        self.0.login.close();
    }

    /// The budget of the login host.
    #[must_use]
    pub fn login_budget(&self) -> &Arc<Budget> {
        &self.0.login
    }

    /// When the next call finds out whether a platform, or a login host, that is down is back; none while neither is, or if it may go now.
    #[must_use]
    pub fn probe_in(&self) -> Option<Duration> {
        // Without a token nothing goes, and after a failure none is asked for at once.
        let login = self.0.login.outage().map(|down| down.retry_in.max(FAILED_HOLD));
        login.or_else(|| self.0.budget.outage().map(|down| down.retry_in).filter(|wait| !wait.is_zero()))
    }

    /// How long calls may take.
    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        self.0.timeouts
    }

    pub(super) fn transport(&self) -> &dyn Transport {
        self.0.transport.as_ref()
    }

    /// Waits for a slot of the budget and for a token.
    pub async fn slot(&self) -> Result<Slot, Error> {
        // The token first: a slot that waits for a token would be a call that nobody made.
        self.0.tokens.token().await?;
        let permit = self.permit().await?;
        // Waiting for the slot may have outlived the token.
        let token = self.0.tokens.token().await?;
        Ok(Slot { permit, token })
    }

    async fn permit(&self) -> Result<Permit, Error> {
        let slot = self.0.budget.slot(&self.1);
        if self.1.urgency.class() == Class::Emergency {
            return slot.await.map_err(|refusal| Error::no_slot(refusal, self.now()));
        }
        // Others that came later may be more urgent, so that the wait outgrows what was expected of it.
        let waited = tokio::time::timeout(LONGEST_WAIT, slot).await;
        waited.unwrap_or(Err(NoSlot::Exhausted { expected_wait: LONGEST_WAIT })).map_err(|refusal| Error::no_slot(refusal, self.now()))
    }

    /// The platform's time, from its last `Date` and the time since; `None` before the first.
    #[must_use]
    pub fn now(&self) -> Option<Timestamp> {
        let clock = *self.0.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let (date, at) = clock?;
        date.checked_add(at.elapsed()).ok()
    }

    /// Makes a call with the next slot.
    pub(super) async fn call(&self, call: &Call) -> Result<Reply, Error> {
        let slot = self.slot().await?;
        self.call_with(slot, call).await
    }

    /// Makes a call with this slot, and once more with a new token if the platform refuses this one: a parsed 401 is a
    /// certain refusal, so this holds for a POST too. Both together keep within the call's timeout, because others reckon
    /// from it when a lost call can no longer commit.
    pub(super) async fn call_with(&self, slot: Slot, call: &Call) -> Result<Reply, Error> {
        let deadline = Instant::now() + call.limits.timeout;
        let Slot { permit, token } = slot;
        let refused = match self.send_with(permit, &token, call, call.limits).await {
            Err(Error::Refused(error)) if is_bad_token(&error) => error,
            other => return other,
        };
        self.0.tokens.invalidate(&token);
        let Slot { permit, token } = match tokio::time::timeout_at(deadline, self.slot()).await {
            Ok(Ok(slot)) => slot,
            // The platform's own answer says more than that there is no other token at the moment.
            Ok(Err(Error::Credential(CredentialError::Unavailable(_)))) | Err(_) => return Err(Error::Refused(refused)),
            Ok(Err(other)) => return Err(other),
        };
        let timeout = deadline.saturating_duration_since(Instant::now());
        let second = self.send_with(permit, &token, call, Limits { timeout, ..call.limits }).await;
        if matches!(&second, Err(Error::Refused(error)) if is_bad_token(error)) {
            self.0.tokens.invalidate(&token);
        }
        second
    }

    /// Sends a call once with a slot's permit, and tells the budget what came of it.
    async fn send_with(&self, mut permit: Permit, token: &AccessToken, call: &Call, limits: Limits) -> Result<Reply, Error> {
        permit.spend();
        let result = self.send_as(token, call, limits).await;
        if matches!(result, Err(Error::Withheld(_))) {
            permit.give_back();
            return result;
        }
        permit.answered(result.as_ref().err().map_or(Outcome::Answered, outcome), self.now());
        match &result {
            Err(error) if error.code() == Some(TOO_MANY_CLIENTS) => self.0.budget.no_room(),
            Ok(_) if call.operation == Operation::DeleteClient => self.0.budget.room_made(),
            _ => {}
        }
        result
    }

    /// Sends a call once, with any token, and classifies what comes back. Costs no slot.
    pub(super) async fn send_as(&self, token: &AccessToken, call: &Call, limits: Limits) -> Result<Reply, Error> {
        let operation = call.operation;
        let request = self.request(token, call)?;
        let secrets = || {
            let sent = Sent::default().and(token.text());
            call.secret.iter().fold(sent, |sent, secret| sent.and(secret.expose_secret()))
        };
        let begun = Instant::now();
        let sent = self.0.transport.send(request, limits).await;
        let milliseconds = begun.elapsed().as_millis();
        let response = sent.map_err(|error| {
            tracing::debug!(operation = operation.name(), %error, milliseconds, "platform call");
            let error = match error {
                TransportError::NotSent(reason) => Error::NotSent { operation, reason: secrets().clean(&reason) },
                TransportError::Withheld(reason) => Error::Withheld(reason),
                TransportError::Lost(reason) => {
                    Error::Unknown { operation, status: None, reason: secrets().clean(&reason), correlation_id: None, retry_after: None }
                }
            };
            audit::tell(call, None, Err(&error));
            error
        })?;
        let status = response.status();
        let sent = secrets();
        let correlation = sent.correlation_id(response.headers());
        tracing::debug!(operation = operation.name(), status = status.as_u16(), correlation, milliseconds, "platform call");
        if status.is_success() {
            audit::tell(call, correlation.as_deref(), Ok(()));
            self.learn_time(&response);
            return Ok(Reply { operation, correlation_id: correlation, response });
        }
        let error = refusal(operation, status, response.headers(), response.body(), &sent);
        if error.outcome_is_known() {
            // Only the platform's own answers set the clock, not those of something in between.
            self.learn_time(&response);
        }
        audit::tell(call, correlation.as_deref(), Err(&error));
        Err(error)
    }

    fn request(&self, token: &AccessToken, call: &Call) -> Result<Request<Bytes>, Error> {
        let unusable = |reason: &str| Error::NotSent { operation: call.operation, reason: reason.to_owned() };
        let bearer = token.bearer().ok_or_else(|| unusable("the token fits no header"))?;
        let mut builder = Request::builder()
            .method(call.method.clone())
            .uri(format!("{}{}", self.0.endpoints.api, call.path))
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, bearer)
            .extension(call.operation);
        if call.body.is_some() {
            builder = builder.header(CONTENT_TYPE, "application/json");
        }
        builder.body(call.body.clone().unwrap_or_default()).map_err(|_| unusable("the URL cannot be used"))
    }

    fn learn_time(&self, response: &Response<Bytes>) {
        if let Some(date) = date(response.headers()) {
            *self.0.clock.lock().unwrap_or_else(PoisonError::into_inner) = Some((date, Instant::now()));
        }
    }

    /// A call of the usual size.
    pub(super) fn one(&self, operation: Operation, method: Method, path: String) -> Call {
        let limits = Limits { timeout: self.0.timeouts.call, max_body: MAX_ONE };
        Call { operation, method, path, body: None, secret: None, limits }
    }
}

/// What an error says of the platform.
fn outcome(error: &Error) -> Outcome {
    match error {
        Error::Refused(error) if error.status == 429 => Outcome::Throttled(error.retry_after),
        Error::Unknown { status: Some(429), retry_after, .. } => Outcome::Throttled(*retry_after),
        Error::Unknown { status, retry_after, .. } if status.is_none_or(|status| status >= 500) => Outcome::Failed(*retry_after),
        Error::NotSent { .. } => Outcome::Failed(None),
        _ => Outcome::Answered,
    }
}

/// Whether the platform refused the token itself: bad, revoked or expired (SPEC).
fn is_bad_token(error: &ApiError) -> bool {
    error.status == 401 && error.code == "bad.credentials"
}

impl Call {
    /// With a JSON body.
    pub(super) fn with_json(mut self, body: &Value) -> Self {
        self.body = Some(Bytes::from(body.to_string()));
        self
    }

    /// With a JSON body that holds this secret. This copy of it is cleared after use; those that HTTP and TLS make of it are their own.
    pub(super) fn with_secret_json(mut self, body: Zeroizing<Vec<u8>>, secret: &SecretString) -> Self {
        self.body = Some(Bytes::from_owner(body));
        self.secret = Some(secret.clone());
        self
    }

    /// With room for a larger answer.
    pub(super) fn at_most(mut self, max_body: usize) -> Self {
        self.limits.max_body = max_body;
        self
    }
}

impl Reply {
    /// The body's length, decompressed.
    pub(super) fn len(&self) -> usize {
        self.response.body().len()
    }

    /// When the platform answered.
    pub(super) fn date(&self) -> Option<Timestamp> {
        date(self.response.headers())
    }

    /// Reads the one thing that the body holds. A success that cannot be read is an unknown outcome.
    pub(super) fn read<T>(self, read: impl FnOnce(Value) -> Result<T, Unreadable>) -> Result<T, Error> {
        self.read_with(|body| bounded::one(body, read))
    }

    /// Reads the list of this name that the body holds, item by item.
    pub(super) fn read_list<T>(
        self,
        name: &'static str,
        each: impl FnMut(Value) -> Result<(), Unreadable>,
        rest: impl FnOnce(Envelope) -> Result<T, Unreadable>,
    ) -> Result<T, Error> {
        self.read_with(|body| bounded::list(body, name, each).and_then(rest))
    }

    fn read_with<T>(self, read: impl FnOnce(&[u8]) -> Result<T, Unreadable>) -> Result<T, Error> {
        let Self { operation, correlation_id, response } = self;
        read(response.body()).map_err(|unreadable| Error::Unknown {
            operation,
            status: Some(response.status().as_u16()),
            reason: format!("the answer cannot be read: {unreadable}"),
            correlation_id,
            retry_after: None,
        })
    }
}
