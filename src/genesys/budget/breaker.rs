//! Whether the platform answers at all: after a row of failures one call at a time tries again, ever more seldom. Pure: it is told the
//! time, and must not make the call.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// So many failures in a row, and nothing but probes goes.
pub const OPENS_AT: u32 = 5;
/// How often a probe goes, by how long the outage has lasted: the platform's own rule for retries (3 s, 9 s, 27 s by blocks of five
/// minutes, COMMON), and on by the same factor to five minutes.
const PROBES: [(Duration, Duration); 4] = [
    (Duration::from_secs(300), Duration::from_secs(3)),
    (Duration::from_secs(600), Duration::from_secs(9)),
    (Duration::from_secs(900), Duration::from_secs(27)),
    (Duration::from_secs(1200), Duration::from_secs(81)),
];
/// How often a probe goes at last.
pub const LAST_PROBES: Duration = Duration::from_secs(300);
/// The longest wait that the platform can ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(180);

/// The failures of one organization.
#[derive(Debug, Default)]
pub struct Breaker {
    row: u32,
    /// The first failure of the row, by both clocks.
    since: Option<(Instant, Option<Timestamp>)>,
    /// While it is open: when the next probe may go, and whether one is under way.
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    next_probe: Instant,
    probing: bool,
}

/// The platform does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Down {
    /// Since when, by the platform's own clock.
    pub since: Option<Timestamp>,
    /// When a probe goes.
    pub retry_in: Duration,
}

impl Breaker {
    /// Whether a call may go; while the platform is down, one at a time and seldom.
    pub fn admit(&mut self, now: Instant) -> Result<(), Down> {
        let Some(open) = &mut self.open else { return Ok(()) };
        if open.probing || now < open.next_probe {
            // The answer of a probe under way is waited for.
            let retry_in = open.next_probe.saturating_duration_since(now).max(Duration::from_secs(1));
            return Err(Down { since: self.since.and_then(|(_, date)| date), retry_in });
        }
        open.probing = true;
        Ok(())
    }

    /// A call that was admitted does not go after all.
    pub fn release(&mut self) {
        if let Some(open) = &mut self.open {
            open.probing = false;
        }
    }

    /// The platform answered. What was open is closed, but the next failure opens it again: it is trusted after as many answers as it
    /// took failures.
    pub fn succeeded(&mut self) {
        self.row = if self.open.take().is_some() { OPENS_AT - 1 } else { self.row.saturating_sub(1) };
        if self.row == 0 {
            self.since = None;
        }
    }

    /// The platform did not answer, or with its own failure. Says whether that opened the breaker.
    pub fn failed(&mut self, now: Instant, date: Option<Timestamp>, retry_after: Option<Duration>) -> bool {
        self.row = self.row.saturating_add(1).min(OPENS_AT);
        let (began, _) = *self.since.get_or_insert((now, date));
        if self.row < OPENS_AT {
            return false;
        }
        let lasted = now.saturating_duration_since(began);
        let interval = PROBES.iter().find(|(until, _)| lasted < *until).map_or(LAST_PROBES, |(_, interval)| *interval);
        let interval = interval.max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER));
        // One that was sent before it opened, and failed since, changes nothing.
        match self.open {
            Some(open) if !open.probing => false,
            before => {
                self.open = Some(Open { next_probe: now + interval, probing: false });
                before.is_none()
            }
        }
    }

    /// How it stands, while the platform is down.
    #[must_use]
    pub fn down(&self, now: Instant) -> Option<Down> {
        let open = self.open?;
        let retry_in = open.next_probe.saturating_duration_since(now);
        Some(Down { since: self.since.and_then(|(_, date)| date), retry_in })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        let opened: Vec<bool> = (0..OPENS_AT).map(|_| breaker.failed(now, None, None)).collect();
        assert_eq!(opened, [false, false, false, false, true]);
        breaker
    }

    #[test]
    fn an_outage_of_a_day_costs_a_bounded_number_of_probes() {
        let begun = Instant::now();
        let mut breaker = broken(begun);
        let (mut now, mut probes) = (begun, 0);
        while now < begun + Duration::from_secs(86_400) {
            match breaker.admit(now) {
                Ok(()) => {
                    probes += 1;
                    breaker.failed(now, None, None);
                }
                Err(down) => now += down.retry_in,
            }
        }
        // 100, 34, 12 and 4 in the first blocks, then one in five minutes.
        assert!((400..=450).contains(&probes), "{probes}");
    }

    #[test]
    fn one_probe_goes_at_a_time_and_its_answer_closes() {
        let now = Instant::now();
        let mut breaker = broken(now);
        let down = breaker.admit(now).expect_err("open");
        assert_eq!(down.retry_in, Duration::from_secs(3));
        let now = now + down.retry_in;
        assert!(breaker.admit(now).is_ok() && breaker.admit(now).is_err());
        breaker.release();
        assert!(breaker.admit(now).is_ok(), "one that did not go makes room for another");
        breaker.succeeded();
        assert!(breaker.admit(now).is_ok() && breaker.admit(now).is_ok() && breaker.down(now).is_none());
    }

    #[test]
    fn half_of_the_calls_failing_is_no_outage_but_a_relapse_is_one() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..100 {
            breaker.failed(now, None, None);
            breaker.succeeded();
        }
        assert!(breaker.down(now).is_none());
        let mut breaker = broken(now);
        let later = now + Duration::from_secs(3600);
        assert!(breaker.admit(later).is_ok());
        breaker.succeeded();
        assert!(breaker.failed(later, None, None), "the next failure opens it again");
        assert_eq!(breaker.down(later).expect("open").retry_in, LAST_PROBES, "as seldom as before");
    }

    #[test]
    fn the_platform_may_ask_for_more_time_and_late_failures_for_none() {
        let now = Instant::now();
        let mut breaker = broken(now);
        assert!(!breaker.failed(now + Duration::from_secs(2), None, Some(Duration::from_secs(900))));
        assert_eq!(breaker.down(now).expect("open").retry_in, Duration::from_secs(3));
        assert!(breaker.admit(now + Duration::from_secs(3)).is_ok());
        breaker.failed(now, None, Some(Duration::from_secs(900)));
        assert_eq!(breaker.down(now).expect("open").retry_in, Duration::from_secs(180));
    }
}
