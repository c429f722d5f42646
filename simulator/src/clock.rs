//! The simulator's time: who tells it, and how it is written; it must never read the machine's clock anywhere else.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

/// Where the simulator gets its time from: token expiry, rate windows, propagation delays and the `Date` header.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;

    /// Moves the clock forward, where the clock allows it. The admin API's `POST /admin/clock` asks for this.
    fn try_advance(&self, by: Duration) -> Result<(), ClockRunsByItself> {
        let _ = by;
        Err(ClockRunsByItself)
    }
}

/// This clock cannot be moved by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this clock runs by itself and cannot be moved")]
pub struct ClockRunsByItself;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The machine's clock plus what was added by hand: the program's own clock, so that a demo can skip a day.
#[derive(Debug, Clone, Default)]
pub struct AdjustableClock {
    ahead: Arc<Mutex<Duration>>,
}

impl Clock for AdjustableClock {
    fn now(&self) -> Timestamp {
        let ahead = *self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        later(Timestamp::now(), ahead)
    }

    fn try_advance(&self, by: Duration) -> Result<(), ClockRunsByItself> {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        *ahead = ahead.saturating_add(by);
        Ok(())
    }
}

/// A clock that stands still until its owner moves it. Clones share the time.
#[derive(Debug, Clone)]
pub struct ManualClock {
    now: Arc<Mutex<Timestamp>>,
}

impl ManualClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { now: Arc::new(Mutex::new(now)) }
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now = later(*now, by);
    }

    /// Sets the clock, backwards too.
    pub fn set(&self, to: Timestamp) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }
}

impl Default for ManualClock {
    /// Stands at 2026-01-05T08:00:00Z, a Monday morning.
    fn default() -> Self {
        Self::new(Timestamp::constant(1_767_600_000, 0))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_advance(&self, by: Duration) -> Result<(), ClockRunsByItself> {
        self.advance(by);
        Ok(())
    }
}

/// A clock that follows tokio's time, so that a test with paused time moves the platform along with everything else.
#[derive(Debug, Clone)]
pub struct TokioClock {
    start: Timestamp,
    began: tokio::time::Instant,
}

impl TokioClock {
    /// A clock that shows `start` now and runs as tokio's time runs. To be called inside a tokio runtime.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self { start, began: tokio::time::Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        later(self.start, self.began.elapsed())
    }
}

/// `moment + by`, stopping at the end of time instead of panicking.
pub(crate) fn later(moment: Timestamp, by: Duration) -> Timestamp {
    moment.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// `moment - by`, stopping at the beginning of time instead of panicking.
pub(crate) fn earlier(moment: Timestamp, by: Duration) -> Timestamp {
    moment.checked_sub(by).unwrap_or(Timestamp::MIN)
}

/// ISO 8601 with milliseconds, as the platform writes its dates.
pub(crate) fn iso(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// The form of the HTTP `Date` header.
pub(crate) fn http_date(moment: Timestamp) -> String {
    moment.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Serde for dates in the platform's form.
pub(crate) mod dates {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Serde for a date that is always there.
    pub(crate) mod required {
        use super::{Deserialize, Deserializer, Serializer, Timestamp};

        pub(crate) fn serialize<S: Serializer>(moment: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str(&crate::clock::iso(*moment))
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
            Timestamp::deserialize(deserializer)
        }
    }

    /// Serde for a date that may be missing.
    pub(crate) mod optional {
        use super::{Deserialize, Deserializer, Serializer, Timestamp};

        #[allow(clippy::ref_option, reason = "serde's `with` gives a reference to the field")]
        pub(crate) fn serialize<S: Serializer>(moment: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
            match moment {
                Some(moment) => serializer.serialize_str(&crate::clock::iso(*moment)),
                None => serializer.serialize_none(),
            }
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
            Option::<Timestamp>::deserialize(deserializer)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_look_as_the_platform_writes_them() {
        let clock = ManualClock::default();
        assert_eq!(iso(clock.now()), "2026-01-05T08:00:00.000Z");
        assert_eq!(http_date(clock.now()), "Mon, 05 Jan 2026 08:00:00 GMT");
    }

    #[test]
    fn clones_of_a_manual_clock_share_the_time() {
        let clock = ManualClock::default();
        let other = clock.clone();
        clock.advance(Duration::from_millis(1500));
        assert_eq!(iso(other.now()), "2026-01-05T08:00:01.500Z");
    }

    #[test]
    fn only_clocks_with_an_owner_can_be_moved() {
        assert_eq!(SystemClock.try_advance(Duration::from_secs(1)), Err(ClockRunsByItself));
        let clock = AdjustableClock::default();
        let before = clock.now();
        clock.try_advance(Duration::from_secs(3600)).expect("it moves");
        assert!(later(before, Duration::from_secs(3600)) <= clock.now());
    }

    #[tokio::test(start_paused = true)]
    async fn the_tokio_clock_follows_paused_time() {
        let clock = TokioClock::new(ManualClock::default().now());
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(iso(clock.now()), "2026-01-05T08:01:01.000Z");
    }
}
