//! Keeps the operator's own token: one at a time, fetched once for all who wait, renewed early. It must not hammer the
//! login host: every failure is followed by a pause in which callers get that failure's answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::budget::{Budget, Class, NoSlot, Outcome, Work};
use super::credential_error::CredentialError;
use super::error::STOPPING;
use super::flight::Flight;
use super::region::Endpoints;
use super::token::{AccessToken, ClientCredential, THROTTLE_HOLD, fetch_token};
use super::transport::Transport;

/// How long before its end a token is renewed (GO188); half its life where that is less.
const RENEW_EARLY: Duration = Duration::from_secs(60);
/// How long a token must still live to be handed out when its renewal failed.
const LAST_USE: Duration = Duration::from_secs(15);
/// The pause after a refused credential: a person must mend it, and asking again soon changes nothing.
const REFUSED_HOLD: Duration = Duration::from_secs(60);
/// The pause after anything else.
pub(super) const FAILED_HOLD: Duration = Duration::from_secs(5);
/// The pause after two tokens were refused within this time.
const INVALIDATED_HOLD: Duration = Duration::from_secs(15);

/// The cached token of one credential. Clones share it.
#[derive(Clone)]
pub struct TokenSource(Arc<Inner>);

struct Inner {
    transport: Arc<dyn Transport>,
    endpoints: Endpoints,
    credential: ClientCredential,
    timeout: Duration,
    login: Arc<Budget>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<AccessToken>,
    hold: Option<(Instant, CredentialError)>,
    /// When the platform last refused a token that had not expired.
    refused: Option<Instant>,
    flight: Option<Flight<Result<AccessToken, CredentialError>>>,
}

impl std::fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenSource").field("credential", &self.0.credential).finish_non_exhaustive()
    }
}

impl TokenSource {
    /// A source without a token yet; `timeout` is that of one call to the login host, `login` the budget of that host.
    #[must_use]
    pub fn new(
        transport: Arc<dyn Transport>,
        endpoints: Endpoints,
        credential: ClientCredential,
        timeout: Duration,
        login: Arc<Budget>,
    ) -> Self {
        Self(Arc::new(Inner { transport, endpoints, credential, timeout, login, state: Mutex::default() }))
    }

    /// The credential that tokens are fetched with.
    #[must_use]
    pub fn credential(&self) -> &ClientCredential {
        &self.0.credential
    }

    /// A token that works, from the cache or fetched once for all who wait.
    pub async fn token(&self) -> Result<AccessToken, CredentialError> {
        let flight = {
            let mut state = self.0.lock();
            let now = Instant::now();
            if let Some(token) = state.token.as_ref().filter(|token| is_fresh(token, now)) {
                return Ok(token.clone());
            }
            if let Some((until, error)) = state.hold.as_ref().filter(|(until, _)| now < *until) {
                return state.last_use(now).ok_or_else(|| remaining(error, *until - now));
            }
            state.flight.get_or_insert_with(|| self.0.launch()).clone()
        };
        let result = flight.join().await;
        // A renewal that failed costs nothing while the old token lives.
        result.or_else(|error| self.0.lock().last_use(Instant::now()).ok_or(error))
    }

    /// Drops this token, and only this one, after the platform refused it.
    pub fn invalidate(&self, token: &AccessToken) {
        let mut state = self.0.lock();
        if !state.token.as_ref().is_some_and(|held| held.is_same(token)) {
            return;
        }
        state.token = None;
        let now = Instant::now();
        // One refusal is answered by a new token at once; a platform that refuses that one too is not asked in a loop.
        let again = state.refused.replace(now).is_some_and(|before| now < before + INVALIDATED_HOLD);
        if again {
            let error = CredentialError::Unavailable("the platform refuses the tokens that it issues".to_owned());
            state.hold = Some((now + INVALIDATED_HOLD, error));
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn launch(self: &Arc<Self>) -> Flight<Result<AccessToken, CredentialError>> {
        let inner = Arc::clone(self);
        let aborted = Err(CredentialError::Unavailable("the token request was aborted".to_owned()));
        Flight::launch(
            async move {
                // Nothing goes without it, so it goes first.
                let result = with_slot(&inner.login, &Work::new(Class::Emergency, ""), || {
                    fetch_token(inner.transport.as_ref(), &inner.endpoints, &inner.credential, inner.timeout)
                })
                .await;
                let mut state = inner.lock();
                state.flight = None;
                match &result {
                    Ok(token) => {
                        state.token = Some(token.clone());
                        state.hold = None;
                    }
                    Err(error) => state.hold = Some((Instant::now() + hold(error), error.clone())),
                }
                result
            },
            aborted,
        )
    }
}

/// Makes a request of the login host with a slot of its budget, and tells the budget what came of it.
pub(super) async fn with_slot<T, F>(login: &Arc<Budget>, work: &Work, request: impl FnOnce() -> F) -> Result<T, CredentialError>
where
    F: Future<Output = Result<T, CredentialError>>,
{
    let mut permit = login.slot(work).await.map_err(|refusal| match refusal {
        NoSlot::Exhausted { expected_wait } => CredentialError::Throttled { retry_after: expected_wait },
        NoSlot::Down(_) => CredentialError::Unavailable("it has not answered for a while, and is tried again now and then".to_owned()),
        NoSlot::Closed => CredentialError::Withheld(STOPPING),
    })?;
    permit.spend();
    let result = request().await;
    if matches!(result, Err(CredentialError::Withheld(_))) {
        permit.give_back();
        return result;
    }
    let outcome = match &result {
        Err(CredentialError::Throttled { retry_after }) => Outcome::Throttled(Some(*retry_after)),
        // Any other answer shows that the host works: it must not be taken for down, or one strange credential would stop all others.
        Err(CredentialError::Unavailable(_)) => Outcome::Failed(None),
        _ => Outcome::Answered,
    };
    permit.answered(outcome, None);
    result
}

impl State {
    fn last_use(&self, now: Instant) -> Option<AccessToken> {
        self.token.clone().filter(|token| now + LAST_USE < token.expires_at())
    }
}

fn is_fresh(token: &AccessToken, now: Instant) -> bool {
    now + RENEW_EARLY.min(token.lifetime() / 2) < token.expires_at()
}

fn hold(error: &CredentialError) -> Duration {
    match error {
        CredentialError::Throttled { retry_after } => THROTTLE_HOLD.max(*retry_after),
        CredentialError::InvalidClient { .. } | CredentialError::UnauthorizedClient => REFUSED_HOLD,
        CredentialError::Unavailable(_) | CredentialError::Refused(_) | CredentialError::Malformed => FAILED_HOLD,
        CredentialError::Withheld(_) => Duration::ZERO,
    }
}

fn remaining(error: &CredentialError, left: Duration) -> CredentialError {
    match error {
        CredentialError::Throttled { .. } => CredentialError::Throttled { retry_after: left },
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Answer, Scripted, credential, endpoints, login_refusal, raw_answer, token_answer};
    use super::*;

    fn source(login: Vec<Answer>) -> (Arc<Scripted>, TokenSource) {
        let transport = Scripted::with_login(login, |_| panic!("no API call"));
        let shared: Arc<dyn Transport> = Arc::clone(&transport) as Arc<dyn Transport>;
        (transport, TokenSource::new(shared, endpoints(), credential(), Duration::from_secs(10), Arc::new(Budget::new(6000))))
    }

    async fn advance(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_share_one_request() {
        let (transport, source) = source(vec![token_answer("t", 1000).after(Duration::from_secs(2))]);
        let tokens = futures::future::join_all((0..50).map(|_| source.token())).await;
        let first = tokens[0].clone().expect("a token");
        assert!(tokens.iter().all(|token| token.as_ref().is_ok_and(|token| token.is_same(&first))));
        assert_eq!(transport.logins().len(), 1);
        assert!(source.token().await.expect("cached").is_same(&first));
        assert_eq!(transport.logins().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_request_answers_all_who_wait_and_is_not_repeated_at_once() {
        let refused = login_refusal("invalid_client", "authentication failed").after(Duration::from_secs(2));
        let (transport, source) = source(vec![refused]);
        let results = futures::future::join_all((0..50).map(|_| source.token())).await;
        assert!(results.iter().all(|result| matches!(result, Err(CredentialError::InvalidClient { .. }))));
        assert_eq!(transport.logins().len(), 1);
        advance(59).await;
        assert!(matches!(source.token().await, Err(CredentialError::InvalidClient { .. })));
        assert_eq!(transport.logins().len(), 1, "a person must mend it; asking again changes nothing");
        advance(1).await;
        assert!(source.token().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_is_given_the_time_that_it_asks_for() {
        for (answer, seconds) in [
            (login_refusal("invalid_request", "rate limit exceeded;"), 60),
            (login_refusal("invalid_request", "rate limit exceeded;").with("retry-after", "100"), 100),
            (raw_answer(503, ""), 5),
        ] {
            let (transport, source) = source(vec![answer]);
            assert!(source.token().await.is_err());
            advance(seconds - 1).await;
            let error = source.token().await.expect_err("on hold");
            if let CredentialError::Throttled { retry_after } = error {
                assert_eq!(retry_after, Duration::from_secs(1), "what is left of it");
            }
            assert_eq!(transport.logins().len(), 1);
            advance(1).await;
            assert!(source.token().await.is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_host_that_answers_is_not_taken_for_down() {
        let login = Arc::new(Budget::new(6000));
        let ask = |result: CredentialError| {
            let login = Arc::clone(&login);
            async move { with_slot(&login, &Work::default(), || std::future::ready(Err::<(), _>(result))).await.expect_err("no token") }
        };
        let refused = CredentialError::InvalidClient { description: "authentication failed".to_owned(), correlation_id: None };
        for answer in [refused, CredentialError::Refused("invalid_request: ?".to_owned()), CredentialError::Malformed] {
            for _ in 0..10 {
                ask(answer.clone()).await;
            }
            assert!(login.outage().is_none(), "{answer}");
        }
        for _ in 0..10 {
            ask(CredentialError::Withheld(STOPPING)).await;
        }
        assert!(login.outage().is_none(), "what was not sent says nothing");
        for _ in 0..5 {
            ask(CredentialError::Unavailable("HTTP 503".to_owned())).await;
        }
        assert!(login.outage().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_renewed_a_minute_early() {
        let (transport, source) = source(vec![token_answer("a", 1000), token_answer("b", 100)]);
        let first = source.token().await.expect("a token");
        advance(939).await;
        assert!(source.token().await.expect("still").is_same(&first));
        advance(1).await;
        let second = source.token().await.expect("a new one");
        assert!(!second.is_same(&first));
        advance(49).await;
        assert!(source.token().await.expect("half of a short life").is_same(&second));
        advance(1).await;
        assert!(!source.token().await.expect("a new one").is_same(&second));
        assert_eq!(transport.logins().len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_that_fails_costs_nothing_while_the_old_token_lives() {
        let (transport, source) = source(vec![token_answer("a", 1000), login_refusal("invalid_request", "rate limit exceeded;")]);
        let first = source.token().await.expect("a token");
        advance(950).await;
        assert!(source.token().await.expect("the old one").is_same(&first));
        assert!(source.token().await.expect("the old one, on hold").is_same(&first));
        assert_eq!(transport.logins().len(), 2);
        advance(40).await;
        assert!(matches!(source.token().await, Err(CredentialError::Throttled { .. })), "too short to be used");
        advance(20).await;
        assert!(!source.token().await.expect("a new one").is_same(&first));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_token_is_dropped_once_and_new_ones_not_fetched_in_a_loop() {
        let (transport, source) = source(vec![]);
        let first = source.token().await.expect("a token");
        advance(100).await;
        source.invalidate(&first);
        let second = source.token().await.expect("at once");
        assert!(!second.is_same(&first));
        source.invalidate(&first);
        assert!(source.token().await.expect("an old refusal says nothing of a new token").is_same(&second));
        source.invalidate(&second);
        assert!(matches!(source.token().await, Err(CredentialError::Unavailable(_))));
        advance(14).await;
        assert!(source.token().await.is_err());
        advance(1).await;
        assert!(source.token().await.is_ok());
        assert_eq!(transport.logins().len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_goes_away_takes_no_request_with_it() {
        let (transport, source) = source(vec![token_answer("t", 1000).after(Duration::from_secs(5))]);
        assert!(tokio::time::timeout(Duration::from_secs(1), source.token()).await.is_err());
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(source.token().await.is_ok());
        assert_eq!(transport.logins().len(), 1);
    }
}
