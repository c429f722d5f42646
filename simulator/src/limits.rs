//! Limits per minute; it must not know what it counts.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::later;
use crate::settings::RateWindow;

const MINUTE: Duration = Duration::from_secs(60);

/// The requests of one minute, of one token, of the organization or of the login host.
#[derive(Debug, Clone, Default)]
pub(crate) struct Minute {
    /// Times of the requests that were let through; of a fixed window only the first time is read.
    seen: VecDeque<Timestamp>,
}

impl Minute {
    /// Lets a request through, or says in how many seconds it may be tried again. A refused request does not count.
    pub(crate) fn admit(&mut self, now: Timestamp, limit: Option<u32>, window: RateWindow) -> Result<(), u64> {
        let Some(limit) = limit else { return Ok(()) };
        match window {
            RateWindow::Fixed => {
                if self.seen.front().is_some_and(|first| later(*first, MINUTE) <= now) {
                    self.seen.clear();
                }
            }
            RateWindow::Sliding => {
                while self.seen.front().is_some_and(|oldest| later(*oldest, MINUTE) <= now) {
                    self.seen.pop_front();
                }
            }
        }
        if self.seen.len() < usize::try_from(limit).unwrap_or(usize::MAX) {
            self.seen.push_back(now);
            return Ok(());
        }
        let free = self.seen.front().map_or(now, |first| later(*first, MINUTE));
        let wait = free.duration_since(now).as_millis().max(0);
        Err(u64::try_from(wait).unwrap_or(0).div_ceil(1000).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    fn fill(minute: &mut Minute, clock: &ManualClock, window: RateWindow) -> [Result<(), u64>; 3] {
        [0, 20, 20].map(|seconds| {
            clock.advance(Duration::from_secs(seconds));
            minute.admit(clock.now(), Some(2), window)
        })
    }

    #[test]
    fn a_fixed_window_opens_again_all_at_once() {
        let (mut minute, clock) = (Minute::default(), ManualClock::default());
        assert_eq!(fill(&mut minute, &clock, RateWindow::Fixed), [Ok(()), Ok(()), Err(20)]);
        clock.advance(Duration::from_secs(20));
        let next: Vec<_> = (0..3).map(|_| minute.admit(clock.now(), Some(2), RateWindow::Fixed)).collect();
        assert_eq!(next, [Ok(()), Ok(()), Err(60)]);
    }

    #[test]
    fn a_sliding_window_opens_one_by_one() {
        let (mut minute, clock) = (Minute::default(), ManualClock::default());
        assert_eq!(fill(&mut minute, &clock, RateWindow::Sliding), [Ok(()), Ok(()), Err(20)]);
        clock.advance(Duration::from_secs(20));
        let next: Vec<_> = (0..2).map(|_| minute.admit(clock.now(), Some(2), RateWindow::Sliding)).collect();
        assert_eq!(next, [Ok(()), Err(20)]);
    }

    #[test]
    fn no_limit_admits_everything() {
        let mut minute = Minute::default();
        assert!((0..1000).all(|_| minute.admit(ManualClock::default().now(), None, RateWindow::Fixed).is_ok()));
    }
}
