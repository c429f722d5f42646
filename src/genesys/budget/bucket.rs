//! How many calls may go: a token bucket for the pace, and the count of the last minute for the limit. Pure: it is told the time, and
//! must not know why a rate is what it is.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The platform counts per minute (its limits are named `…rate.per.minute`).
pub const WINDOW: Duration = Duration::from_secs(60);
/// Timers have this grain.
const GRAIN: Duration = Duration::from_millis(1);
/// How soon to ask again where only the answers of calls under way make room; each answer is told before that.
const UNTIL_ANSWERED: Duration = Duration::from_secs(1);

/// The bucket of one limit.
#[derive(Debug)]
pub struct Bucket {
    /// Calls a minute.
    rate: f64,
    /// Calls that may go at once, with fractions, as of `refilled`.
    tokens: f64,
    refilled: Instant,
    /// Calls that were let through and not answered yet.
    under_way: usize,
    /// When calls of the last window were answered. Wherever on its way the platform counted a call, it no longer does a window after
    /// the answer; so neither a fixed nor a sliding window ever holds more than the rate.
    answered: VecDeque<Instant>,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn new(rate: f64, now: Instant) -> Self {
        Self { rate, tokens: burst(rate), refilled: now, under_way: 0, answered: VecDeque::new() }
    }

    /// Changes the rate. What was let through before still counts.
    pub fn set_rate(&mut self, rate: f64, now: Instant) {
        self.refill(now);
        self.rate = rate;
        self.tokens = self.tokens.min(burst(rate));
    }

    /// Empties the bucket until then but for one call: what comes after goes at the pace of the rate, not at once.
    pub fn empty_until(&mut self, until: Instant) {
        self.tokens = self.tokens.min(1.0);
        self.refilled = self.refilled.max(until);
    }

    fn per_second(&self) -> f64 {
        self.rate / WINDOW.as_secs_f64()
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second()).min(burst(self.rate));
        self.refilled = self.refilled.max(now);
        while self.answered.front().is_some_and(|at| now.saturating_duration_since(*at) > WINDOW) {
            self.answered.pop_front();
        }
    }

    /// The most calls of a window.
    fn allowance(&self) -> usize {
        // The rate lies between 1 and some thousands.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by set_rate's callers, and not negative")]
        let whole = self.rate.floor().max(1.0) as usize;
        whole
    }

    /// When the window has room again; `None` if it has.
    fn window_frees(&self, now: Instant) -> Option<Instant> {
        let surplus = (self.under_way + self.answered.len()).checked_sub(self.allowance())?;
        Some(self.answered.get(surplus).map_or(now + UNTIL_ANSWERED, |oldest| *oldest + WINDOW + GRAIN))
    }

    /// Lets one call through, or says when to ask again.
    pub fn take(&mut self, now: Instant) -> Result<(), Instant> {
        self.refill(now);
        if let Some(free) = self.window_frees(now) {
            return Err(free);
        }
        // A hair under one is one: the refill is a sum of fractions.
        if self.tokens < 1.0 - 1e-9 {
            let missing = Duration::from_secs_f64((1.0 - self.tokens) / self.per_second());
            return Err(self.refilled.max(now) + missing + GRAIN);
        }
        self.tokens -= 1.0;
        self.under_way += 1;
        Ok(())
    }

    /// Notes that a call was answered, or that nobody waits for its answer any more.
    pub fn answered(&mut self, now: Instant) {
        self.under_way = self.under_way.saturating_sub(1);
        self.answered.push_back(now);
    }

    /// Notes that a call was refused by the limit: it counts for nothing.
    pub fn refused(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// Takes a call back that was never sent.
    pub fn take_back(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
        self.tokens = (self.tokens + 1.0).min(burst(self.rate));
    }

    /// How many calls the platform took in so long.
    #[must_use]
    pub fn taken_within(&self, span: Duration, now: Instant) -> usize {
        self.answered.iter().rev().take_while(|at| now.saturating_duration_since(**at) <= span).count()
    }

    /// Whether more than half of what the bucket holds may go at once.
    pub fn is_more_than_half_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.tokens > burst(self.rate) / 2.0 && self.window_frees(now).is_none()
    }

    /// The calls that may go at once.
    pub fn tokens(&mut self, now: Instant) -> f64 {
        self.refill(now);
        self.tokens
    }

    /// How long a call behind `ahead` others is likely to wait.
    pub fn wait(&mut self, now: Instant, ahead: usize) -> Duration {
        self.refill(now);
        let blocked = self.window_frees(now).map_or(Duration::ZERO, |free| free.saturating_duration_since(now));
        let blocked = blocked.max(self.refilled.saturating_duration_since(now));
        let calls = f64::from(u32::try_from(ahead).unwrap_or(u32::MAX)) + 1.0;
        let refill = |at_once: f64| Duration::from_secs_f64((calls - at_once).max(0.0) / self.per_second());
        match blocked {
            Duration::ZERO => refill(self.tokens),
            // What may go at once has been refilled by then.
            blocked => blocked.saturating_add(refill(burst(self.rate))).max(refill(self.tokens)),
        }
    }
}

/// A sixth of a minute's calls, at least one.
fn burst(rate: f64) -> f64 {
    (rate / 6.0).ceil().max(1.0)
}
