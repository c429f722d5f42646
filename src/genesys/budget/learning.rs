//! The rate that the platform really allows, learnt from its refusals: down at once when it says 429, up again slowly. Pure: it is told
//! the time, and must not count calls itself.

use std::time::Duration;

use tokio::time::Instant;

use super::bucket::WINDOW;

/// The longest pause that one 429 can cause; the platform's rule gives a call up beyond it (COMMON), here the next 429 says so again.
pub const LONGEST_HOLD: Duration = Duration::from_secs(180);
/// How long to hold after a 429 that does not say (COMMON).
const DEFAULT_HOLD: Duration = Duration::from_secs(3);
/// What is taken of the rate that would just do, for others are never quite even.
const SHARE: f64 = 0.95;
/// How long the rate stays before it grows again; doubled each time that growing was answered by a 429.
const FIRST_REST: Duration = Duration::from_secs(300);
const LONGEST_REST: Duration = Duration::from_secs(3600);
/// How much of the ceiling the rate grows by in a minute.
const GROWTH: f64 = 0.05;
/// The least rate, of the ceiling.
const LEAST: f64 = 0.05;

/// What was learnt of one limit.
#[derive(Debug)]
pub struct Learning {
    /// The rate that people allow.
    ceiling: f64,
    rate: f64,
    held_until: Option<Instant>,
    lowered: Option<Instant>,
    /// From when on the rate grows.
    grows_from: Instant,
    rest: Duration,
}

impl Learning {
    /// Nothing speaks against the ceiling.
    #[must_use]
    pub fn new(ceiling: f64, now: Instant) -> Self {
        Self { ceiling, rate: ceiling, held_until: None, lowered: None, grows_from: now, rest: FIRST_REST }
    }

    /// Changes the ceiling; what was learnt below it stays.
    pub fn set_ceiling(&mut self, ceiling: f64) {
        let unbounded = self.rate >= self.ceiling;
        self.ceiling = ceiling;
        self.rate = if unbounded { ceiling } else { self.rate.min(ceiling) };
    }

    /// The rate at this moment.
    pub fn rate(&mut self, now: Instant) -> f64 {
        if self.rate < self.ceiling && now > self.grows_from {
            let minutes = (now - self.grows_from).as_secs_f64() / 60.0;
            self.rate = (self.rate + minutes * GROWTH * self.ceiling).min(self.ceiling);
            self.grows_from = now;
            if self.rate >= self.ceiling {
                self.rest = FIRST_REST;
            }
        }
        self.rate
    }

    /// The rate that people allow.
    #[must_use]
    pub fn ceiling(&self) -> f64 {
        self.ceiling
    }

    /// Until when nothing may go, if the platform said so.
    pub fn held(&mut self, now: Instant) -> Option<Instant> {
        self.held_until = self.held_until.filter(|until| now < *until);
        self.held_until
    }

    /// Notes a 429 for a call that was let through at `granted`; `taken` says how many calls the platform took in so long. Gives the end
    /// of the hold.
    pub fn throttled(
        &mut self,
        now: Instant,
        granted: Instant,
        retry_after: Option<Duration>,
        taken: impl Fn(Duration) -> usize,
    ) -> Instant {
        let hold = retry_after.unwrap_or(DEFAULT_HOLD).min(LONGEST_HOLD);
        let until = self.held_until.map_or(now + hold, |held| held.max(now + hold));
        self.held_until = Some(until);
        // A call that was on its way already when the rate was lowered says nothing of the new one.
        let known = self.lowered.is_some_and(|lowered| granted <= lowered);
        let calls = |span: Duration| f64::from(u32::try_from(taken(span)).unwrap_or(u32::MAX));
        let in_window = calls(WINDOW);
        if known || in_window < 1.0 {
            return until;
        }
        let rate = self.rate(now);
        if self.lowered.is_some() && now >= self.grows_from {
            self.rest = (self.rest * 2).min(LONGEST_REST);
        }
        // What is left until the platform counts anew tells how long it has counted: what others took in that time, they take on.
        let counted = WINDOW.saturating_sub(hold).max(Duration::from_secs(1));
        let others = (self.ceiling - calls(counted)).max(0.0) / counted.as_secs_f64();
        let beside_others = self.ceiling - others * WINDOW.as_secs_f64();
        // A limit that is lower than people believe looks like others who take everything: half of what went through is safe then.
        let wanted = beside_others.max(in_window / 2.0).min(rate) * SHARE;
        self.rate = wanted.max(self.ceiling * LEAST).max(1.0);
        self.lowered = Some(now);
        self.grows_from = now + self.rest;
        until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn half_of_a_limit_that_others_use_is_left_to_them_at_once() {
        let now = Instant::now();
        for (retry_after, taken_so_far) in [(1, 150), (20, 200), (40, 250)] {
            let mut learning = Learning::new(300.0, now);
            let until = learning.throttled(now, now, Some(seconds(retry_after)), |_| taken_so_far);
            assert_eq!(until, now + seconds(retry_after));
            let rate = learning.rate(now);
            assert!((100.0..=150.0).contains(&rate), "{rate} after {retry_after} s");
        }
    }

    #[test]
    fn calls_that_were_on_their_way_lower_nothing_twice_but_hold() {
        let begun = Instant::now();
        let mut learning = Learning::new(300.0, begun);
        let now = begun + seconds(10);
        learning.throttled(now, now, Some(seconds(1)), |_| 150);
        let rate = learning.rate(now);
        learning.throttled(now, begun, Some(seconds(9)), |_| 150);
        assert_eq!((learning.rate(now), learning.held(now)), (rate, Some(now + seconds(9))));
    }

    #[test]
    fn a_platform_that_takes_nothing_teaches_no_rate() {
        let now = Instant::now();
        let mut learning = Learning::new(300.0, now);
        assert_eq!(learning.throttled(now, now, None, |_| 0), now + DEFAULT_HOLD);
        assert!((learning.rate(now) - 300.0).abs() < 1e-9);
        assert_eq!(learning.throttled(now, now, Some(seconds(86_400)), |_| 0), now + LONGEST_HOLD);
    }

    #[test]
    fn the_rate_grows_back_and_rests_longer_each_time_that_growing_was_refused() {
        let begun = Instant::now();
        let mut learning = Learning::new(300.0, begun);
        learning.throttled(begun, begun, Some(seconds(1)), |_| 150);
        let low = learning.rate(begun + FIRST_REST);
        assert!((low - learning.rate(begun)).abs() < 1e-9, "it rests first");
        let grown = begun + FIRST_REST + seconds(120);
        assert!((learning.rate(grown) - low - 30.0).abs() < 1e-6);
        learning.throttled(grown, grown, Some(seconds(1)), |_| 150);
        let again = learning.rate(grown);
        assert!((learning.rate(grown + FIRST_REST * 2) - again).abs() < 1e-9, "it rests twice as long");
        assert!((learning.rate(grown + FIRST_REST * 2 + seconds(1200)) - 300.0).abs() < 1e-9, "it comes back");
    }

    #[test]
    fn a_limit_below_the_ceiling_is_found() {
        let mut now = Instant::now();
        let mut learning = Learning::new(300.0, now);
        for _ in 0..20 {
            let rate = learning.rate(now);
            if rate > 60.0 {
                learning.throttled(now, now, Some(seconds(5)), |_| 60);
            }
            now += seconds(60);
        }
        assert!(learning.rate(now) <= 60.0 + 300.0 * GROWTH);
    }
}
