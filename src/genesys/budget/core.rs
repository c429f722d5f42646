//! The parts of a budget put together, and what each event means to all of them. Pure: it is told the time, and must not wait.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::breaker::{Breaker, Down};
use super::bucket::Bucket;
use super::learning::Learning;
use super::queue::Queue;
use super::room::Room;
use super::view::{BudgetView, Served};
use super::work::{Class, Work};
use super::{NoSlot, Outcome};

/// The longest wait that a caller is let in for.
pub(in crate::genesys) const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// The most callers that wait at a time.
const MOST_WAITERS: usize = 2048;
/// A wait that is not worth going away for.
const SHORT_WAIT: Duration = Duration::from_secs(2);
/// How often a scan owns a slot, unless it is said.
const SCAN_INTERVAL: Duration = Duration::from_secs(60);
/// How long to sleep when nobody waits; whoever comes wakes the sleeper, by being one itself.
const NOBODY: Duration = Duration::from_secs(3600);

/// A budget without its waiting.
#[derive(Debug)]
pub(super) struct Core<T> {
    pub(super) queue: Queue<T>,
    pub(super) room: Room,
    bucket: Bucket,
    learning: Learning,
    breaker: Breaker,
    served: [Served; Class::ALL.len()],
    /// The place of the probe that waits for its slot.
    probe: Option<u64>,
    /// The last 429.
    throttled: Option<Instant>,
    /// How many there were.
    throttles: u64,
    /// The last appointment that was given.
    appointed: Option<Instant>,
    /// Nobody is let through any more.
    closed: bool,
}

impl<T> Core<T> {
    pub(super) fn new(requests_per_minute: u32, now: Instant) -> Self {
        let rate = f64::from(requests_per_minute.max(1));
        Self {
            queue: Queue::new(SCAN_INTERVAL),
            room: Room::default(),
            bucket: Bucket::new(rate, now),
            learning: Learning::new(rate, now),
            breaker: Breaker::default(),
            served: [Served::default(); Class::ALL.len()],
            probe: None,
            throttled: None,
            throttles: 0,
            appointed: None,
            closed: false,
        }
    }

    /// Lets a caller join, if the wait is worth it; its number takes it out again.
    pub(super) fn join(&mut self, work: &Work, now: Instant, waiting: T) -> Result<u64, NoSlot> {
        if self.closed {
            return Err(NoSlot::Closed);
        }
        let expected_wait = self.expected_wait(work, 0, now);
        let urgent = work.urgency.class() == Class::Emergency;
        if !urgent && (expected_wait > LONGEST_WAIT || self.queue.total() >= MOST_WAITERS) {
            return Err(NoSlot::Exhausted { expected_wait });
        }
        self.breaker.admit(now).map_err(NoSlot::Down)?;
        let number = self.queue.push(work, now, waiting);
        self.probe = self.breaker.down(now).map(|_| number);
        Ok(number)
    }

    /// Lets nobody through any more. Gives those that wait in vain now.
    pub(super) fn close(&mut self) -> Vec<T> {
        self.closed = true;
        if self.probe.take().is_some() {
            self.breaker.release();
        }
        self.queue.drain()
    }

    /// Takes a caller out that goes away; one that was served is out already.
    pub(super) fn leave(&mut self, number: u64) {
        self.queue.remove(number);
        if self.probe.take_if(|probe| *probe == number).is_some() {
            self.breaker.release();
        }
    }

    /// Lets the next one through, or says when to ask again.
    pub(super) fn grant(&mut self, now: Instant) -> Result<T, Instant> {
        if self.queue.total() == 0 {
            return Err(now + NOBODY);
        }
        if let Some(until) = self.learning.held(now) {
            return Err(until);
        }
        self.bucket.set_rate(self.learning.rate(now), now);
        self.bucket.take(now)?;
        let Some((class, waiting)) = self.queue.pop(now) else { return Err(now + NOBODY) };
        if self.probe == Some(waiting.number) {
            self.probe = None;
        }
        self.served[class as usize].note(now.saturating_duration_since(waiting.since));
        Ok(waiting.value)
    }

    /// What came of a call that was let through at `granted`. Gives those that wait in vain now.
    pub(super) fn answered(&mut self, now: Instant, granted: Instant, outcome: Outcome, date: Option<Timestamp>) -> Vec<T> {
        let opened = match outcome {
            Outcome::Answered => {
                self.bucket.answered(now);
                self.breaker.succeeded();
                false
            }
            Outcome::Throttled(retry_after) => {
                self.bucket.refused();
                let bucket = &self.bucket;
                let until = self.learning.throttled(now, granted, retry_after, |span| bucket.taken_within(span, now));
                self.bucket.empty_until(until);
                // Those that were on their way together are refused for one reason.
                let anew = self.throttled.is_none_or(|before| granted > before);
                self.throttled = Some(now);
                self.throttles += 1;
                if anew {
                    self.breaker.failed(now, date, retry_after)
                } else {
                    // It says nothing new, and if it was the probe, it is over all the same.
                    self.breaker.release();
                    false
                }
            }
            Outcome::Failed(retry_after) => {
                self.bucket.answered(now);
                self.breaker.failed(now, date, retry_after)
            }
        };
        if opened { self.queue.drain() } else { Vec::new() }
    }

    /// Nobody waits for the answer of a call that was sent.
    pub(super) fn abandoned(&mut self, now: Instant) {
        self.bucket.answered(now);
        self.breaker.release();
    }

    /// A slot was not used.
    pub(super) fn take_back(&mut self) {
        self.bucket.take_back();
        self.breaker.release();
    }

    pub(super) fn expected_wait(&mut self, work: &Work, calls: usize, now: Instant) -> Duration {
        let held = self.learning.held(now).map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        let ahead = self.queue.ahead(work.urgency.class(), &work.namespace);
        self.bucket.wait(now, ahead.saturating_add(calls)).max(held)
    }

    /// Whether nobody wants anything: no one waits, nothing is in the way, and more than half of what may go at once is left.
    pub(super) fn is_at_leisure(&mut self, now: Instant) -> bool {
        let free = !self.closed && self.queue.total() == 0 && self.learning.held(now).is_none() && self.breaker.down(now).is_none();
        free && self.bucket.is_more_than_half_full(now)
    }

    /// When to come again, for a caller that would rather not wait; none if it need not.
    pub(super) fn appointment(&mut self, work: &Work, now: Instant) -> Option<Duration> {
        let wait = self.expected_wait(work, 0, now);
        let last = self.appointed.filter(|last| *last > now);
        if last.is_none() && wait <= SHORT_WAIT {
            return None;
        }
        let apart = Duration::from_secs_f64(60.0 / self.learning.rate(now));
        let at = last.unwrap_or(now).max(now + wait) + apart;
        self.appointed = Some(at);
        Some(at - now)
    }

    pub(super) fn set_ceiling(&mut self, requests_per_minute: u32, now: Instant) {
        self.learning.set_ceiling(f64::from(requests_per_minute.max(1)));
        self.bucket.set_rate(self.learning.rate(now), now);
    }

    /// How it stands with a platform that does not answer.
    pub(super) fn outage(&self, now: Instant) -> Option<Down> {
        self.breaker.down(now)
    }

    /// The same, for those that wait in vain.
    pub(super) fn down(&self, now: Instant) -> Down {
        self.breaker.down(now).unwrap_or(Down { since: None, retry_in: Duration::ZERO })
    }

    pub(super) fn view(&mut self, now: Instant) -> BudgetView {
        let classes = Class::ALL.map(|class| self.served[class as usize].view(class, self.queue.length(class)));
        BudgetView {
            classes: classes.to_vec(),
            tokens: self.bucket.tokens(now),
            ceiling: self.learning.ceiling(),
            rate: self.learning.rate(now),
            held: self.learning.held(now).map_or(Duration::ZERO, |until| until.saturating_duration_since(now)),
            down: self.breaker.down(now),
            throttled: self.throttles,
            creates_closed: self.room.closed(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::breaker::OPENS_AT;
    use super::*;

    #[test]
    fn a_probe_that_is_refused_with_calls_from_before_makes_room_for_another() {
        let begun = Instant::now();
        let mut core: Core<()> = Core::new(60, begun);
        let second = |number: u64| begun + Duration::from_secs(number);
        for number in 0..u64::from(OPENS_AT) {
            core.answered(second(10 * number + 2), second(10 * number + 1), Outcome::Throttled(None), None);
        }
        let probe = second(600);
        assert!(core.join(&Work::default(), probe, ()).is_ok(), "the probe");
        assert!(core.join(&Work::default(), probe, ()).is_err(), "one at a time");
        core.grant(probe).expect("its slot");
        // A call that was let through before the outage is refused after the probe was sent, and then the probe itself.
        core.answered(second(601), second(4), Outcome::Throttled(None), None);
        core.answered(second(602), probe, Outcome::Throttled(None), None);
        assert!(core.join(&Work::default(), second(1300), ()).is_ok(), "nobody would ever be let through again");
    }
}
