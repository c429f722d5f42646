//! The request budget of one organization: at most so many calls in any 60 seconds, a sixth of them at once, first come
//! first served. It must not let a caller wait for longer than is worth it, nor hold a queue without a limit.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// The platform counts per minute (its limits are named `…rate.per.minute`).
const WINDOW: Duration = Duration::from_secs(60);
/// The longest wait that a caller is let in for.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// The most callers that wait at a time.
const MOST_WAITERS: usize = 2048;
/// The longest pause that one 429 can cause; a longer one is learnt again from the next 429.
const LONGEST_HOLD: Duration = Duration::from_secs(300);

/// The requests that one organization may be sent.
#[derive(Debug)]
pub struct Budget {
    state: Mutex<State>,
    /// Whoever holds it is the first of the queue; tokio's mutex is fair.
    turn: tokio::sync::Mutex<()>,
    waiting: AtomicUsize,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    rate: u32,
    /// When the calls of the last window were let through; never more than `rate`.
    granted: VecDeque<Instant>,
    /// Calls that may go at once, with fractions, as of `refilled`.
    tokens: f64,
    refilled: Instant,
    held_until: Option<Instant>,
}

/// The right to one call. Spent by it; cannot be copied.
#[derive(Debug)]
#[must_use = "a permit is one call of the budget"]
pub struct Permit {
    _granted: Instant,
}

/// The budget is spent for too long, or too many wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request budget is spent for about {} s", expected_wait.as_secs())]
pub struct BudgetExhausted {
    /// When a slot is likely to be free.
    pub expected_wait: Duration,
}

impl Budget {
    /// A budget of so many requests a minute, at least one.
    #[must_use]
    pub fn new(requests_per_minute: u32) -> Self {
        let rate = requests_per_minute.max(1);
        let state = State { rate, granted: VecDeque::new(), tokens: burst(rate), refilled: Instant::now(), held_until: None };
        Self { state: Mutex::new(state), turn: tokio::sync::Mutex::new(()), waiting: AtomicUsize::new(0), changed: Notify::new() }
    }

    /// Waits for one call, behind those that came before.
    pub async fn slot(&self) -> Result<Permit, BudgetExhausted> {
        let place = Place::take(&self.waiting);
        let expected_wait = self.lock().wait(Instant::now(), place.ahead);
        if place.ahead >= MOST_WAITERS || expected_wait > LONGEST_WAIT {
            return Err(BudgetExhausted { expected_wait });
        }
        let _turn = self.turn.lock().await;
        loop {
            // Registered before the state is read, so that no change is missed.
            let changed = self.changed.notified();
            let now = Instant::now();
            let next = match self.lock().take(now) {
                Ok(permit) => return Ok(permit),
                Err(next) => next,
            };
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(next) => {}
                () = changed => {}
            }
        }
    }

    /// How long a caller that comes now would wait.
    #[must_use]
    pub fn expected_wait(&self) -> Duration {
        self.lock().wait(Instant::now(), self.waiting.load(Ordering::Relaxed))
    }

    /// Lets nothing through before `until`: the platform said so. Never shortens a hold, never one over 5 minutes.
    pub fn hold_until(&self, until: Instant) {
        let mut state = self.lock();
        let until = until.min(Instant::now() + LONGEST_HOLD);
        state.held_until = Some(state.held_until.map_or(until, |held| held.max(until)));
    }

    /// Changes the budget. What was let through before still counts.
    pub fn set_rate(&self, requests_per_minute: u32) {
        let mut state = self.lock();
        state.refill(Instant::now());
        state.rate = requests_per_minute.max(1);
        state.tokens = state.tokens.min(burst(state.rate));
        drop(state);
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A sixth of a minute's calls, at least one.
fn burst(rate: u32) -> f64 {
    f64::from(rate.div_ceil(6))
}

impl State {
    fn per_second(&self) -> f64 {
        f64::from(self.rate) / WINDOW.as_secs_f64()
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second()).min(burst(self.rate));
        self.refilled = now;
        while self.granted.front().is_some_and(|granted| now.saturating_duration_since(*granted) > WINDOW) {
            self.granted.pop_front();
        }
    }

    /// When the window has room again; `None` if it has.
    fn window_frees(&self) -> Option<Instant> {
        let rate = usize::try_from(self.rate).unwrap_or(usize::MAX);
        let oldest = self.granted.len().checked_sub(rate)?;
        Some(self.granted[oldest] + WINDOW + Duration::from_millis(1))
    }

    /// One call, or when to ask again.
    fn take(&mut self, now: Instant) -> Result<Permit, Instant> {
        self.refill(now);
        if let Some(until) = self.held_until {
            if now < until {
                return Err(until);
            }
            self.held_until = None;
        }
        if let Some(free) = self.window_frees() {
            return Err(free);
        }
        // A hair under one is one: the refill is a sum of fractions.
        if self.tokens < 1.0 - 1e-9 {
            let missing = (1.0 - self.tokens) / self.per_second();
            return Err(now + Duration::from_secs_f64(missing) + Duration::from_millis(1));
        }
        self.tokens -= 1.0;
        self.granted.push_back(now);
        Ok(Permit { _granted: now })
    }

    /// How long a caller behind `ahead` others is likely to wait.
    fn wait(&mut self, now: Instant, ahead: usize) -> Duration {
        self.refill(now);
        let held = self.held_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        let window = self.window_frees().map_or(Duration::ZERO, |free| free.saturating_duration_since(now));
        let calls = f64::from(u32::try_from(ahead).unwrap_or(u32::MAX)) + 1.0;
        let refill = |at_once: f64| Duration::from_secs_f64((calls - at_once).max(0.0) / self.per_second());
        match held.max(window) {
            Duration::ZERO => refill(self.tokens),
            // What may go at once has been refilled by then.
            blocked => blocked.saturating_add(refill(burst(self.rate))).max(refill(self.tokens)),
        }
    }
}

/// A place in the queue, given up when the caller goes away.
struct Place<'a> {
    waiting: &'a AtomicUsize,
    ahead: usize,
}

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Self {
        Self { ahead: waiting.fetch_add(1, Ordering::Relaxed), waiting }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt;
    use proptest::prelude::*;

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn a_sixth_goes_at_once_and_the_rest_evenly() {
        let budget = Budget::new(60);
        let begun = Instant::now();
        for _ in 0..10 {
            let _ = budget.slot().await.expect("at once");
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(budget.slot().now_or_never().is_none());
        let _ = budget.slot().await.expect("one a second");
        assert!(begun.elapsed() > Duration::from_millis(900) && begun.elapsed() < Duration::from_millis(1100));
    }

    #[tokio::test(start_paused = true)]
    async fn first_come_first_served() {
        let budget = Arc::new(Budget::new(6));
        let _ = budget.slot().await.expect("the first");
        let order = Arc::new(Mutex::new(Vec::new()));
        let wait = |name: usize| {
            let (budget, order) = (Arc::clone(&budget), Arc::clone(&order));
            async move {
                let _ = budget.slot().await.expect("a slot");
                order.lock().expect("lock").push(name);
            }
        };
        futures::future::join_all((0..5).map(wait)).await;
        assert_eq!(*order.lock().expect("lock"), [0, 1, 2, 3, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hold_stops_everybody_and_is_bounded() {
        let budget = Budget::new(60);
        let begun = Instant::now();
        budget.hold_until(begun + seconds(42));
        budget.hold_until(begun + seconds(3));
        assert_eq!(budget.expected_wait(), seconds(42));
        let _ = budget.slot().await.expect("after the hold");
        assert_eq!(begun.elapsed(), seconds(42));
        budget.hold_until(Instant::now() + seconds(86_400));
        assert_eq!(budget.expected_wait(), LONGEST_HOLD);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_not_worth_it_is_refused() {
        let budget = Budget::new(1);
        let _ = budget.slot().await.expect("the first");
        let mut waiting: Vec<_> = (0..9).map(|_| Box::pin(budget.slot())).collect();
        for waiter in &mut waiting {
            assert!(waiter.now_or_never().is_none());
        }
        let mut tenth = Box::pin(budget.slot());
        let refused = (&mut tenth).now_or_never().expect("no wait").expect_err("too long");
        assert!(refused.expected_wait > LONGEST_WAIT);
        drop((waiting, tenth));
        assert!(budget.expected_wait() <= seconds(120), "who went away gave up his place");
        let _ = budget.slot().await.expect("the second");
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_rate_reaches_those_who_wait() {
        let budget = Arc::new(Budget::new(1));
        let _ = budget.slot().await.expect("the first");
        let waiter = tokio::spawn({
            let budget = Arc::clone(&budget);
            async move { budget.slot().await.map(|_| Instant::now()) }
        });
        tokio::time::sleep(seconds(1)).await;
        let begun = Instant::now();
        budget.set_rate(600);
        let granted = waiter.await.expect("no panic").expect("a slot");
        assert!(granted - begun < seconds(1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// No 60 seconds hold more than the rate, however the calls come, and the budget is used when it is wanted.
        #[test]
        fn no_window_holds_more_than_the_rate(rate in 1_u32..200, gaps in proptest::collection::vec(0_u64..20_000, 1..300)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
            let (granted, idle) = runtime.block_on(async {
                let budget = Budget::new(rate);
                let (mut granted, mut idle) = (Vec::new(), Duration::ZERO);
                for gap in gaps {
                    // Mostly greedy, at times idle.
                    if gap > 18_000 {
                        idle += Duration::from_millis(gap);
                        tokio::time::sleep(Duration::from_millis(gap)).await;
                    }
                    let _ = budget.slot().await.expect("one waiter");
                    granted.push(Instant::now());
                }
                (granted, idle)
            });
            let calls = u32::try_from(granted.len()).expect("few");
            for pair in granted.windows(rate as usize + 1) {
                prop_assert!(pair[rate as usize] - pair[0] > WINDOW);
            }
            let spent = granted[granted.len() - 1] - granted[0];
            // A millisecond a call is what rounding a wait up may cost.
            let enough = WINDOW * calls / rate + idle + Duration::from_millis(2) * calls + Duration::from_secs(1);
            prop_assert!(spent <= enough, "{spent:?} for {calls} calls at {rate}");
        }
    }
}
