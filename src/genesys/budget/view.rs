//! How a budget stands, as one value for metrics and logs. Types only.

use std::time::Duration;

use super::breaker::Down;
use super::work::Class;

/// How a budget stands at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetView {
    /// Every class, the most urgent first.
    pub classes: Vec<ClassView>,
    /// Calls that may go at once, with fractions.
    pub tokens: f64,
    /// Calls a minute that people allow.
    pub ceiling: f64,
    /// Calls a minute that the platform was seen to allow; at most the ceiling.
    pub rate: f64,
    /// How long nothing goes because the platform said 429.
    pub held: Duration,
    /// Since when the platform does not answer, and when it is tried again.
    pub down: Option<Down>,
    /// How many calls were refused because there were too many.
    pub throttled: u64,
    /// How long creates wait for room at most.
    pub creates_closed: Option<Duration>,
}

/// How a class stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassView {
    /// The class.
    pub class: Class,
    /// How many calls wait.
    pub queued: usize,
    /// How many were served.
    pub served: u64,
    /// How long all of those waited together.
    pub waited: Duration,
    /// The longest wait among them.
    pub longest: Duration,
    /// How many of them waited up to each bound and longer than the one before, the last ones longer than any.
    pub waits: [u64; ClassView::WAIT_BOUNDS.len() + 1],
}

impl ClassView {
    /// Bounds of waits, in seconds.
    pub const WAIT_BOUNDS: [u64; 7] = [0, 1, 5, 15, 60, 180, 600];
}

/// What became of those of a class that were served.
#[derive(Debug, Clone, Copy, Default)]
pub struct Served {
    calls: u64,
    waited: Duration,
    longest: Duration,
    waits: [u64; ClassView::WAIT_BOUNDS.len() + 1],
}

impl Served {
    /// Notes one that waited so long.
    pub fn note(&mut self, wait: Duration) {
        self.calls += 1;
        self.waited += wait;
        self.longest = self.longest.max(wait);
        let bound = ClassView::WAIT_BOUNDS.iter().position(|bound| wait <= Duration::from_secs(*bound));
        self.waits[bound.unwrap_or(ClassView::WAIT_BOUNDS.len())] += 1;
    }

    /// The view of a class, of which so many wait.
    #[must_use]
    pub fn view(self, class: Class, queued: usize) -> ClassView {
        ClassView { class, queued, served: self.calls, waited: self.waited, longest: self.longest, waits: self.waits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wait_is_counted_under_the_first_bound_that_holds_it() {
        let mut served = Served::default();
        for milliseconds in [0, 1, 1000, 1001, 60_000, 600_000, 600_001] {
            served.note(Duration::from_millis(milliseconds));
        }
        let view = served.view(Class::Create, 3);
        assert_eq!(view.waits, [1, 2, 1, 0, 1, 0, 1, 1]);
        assert_eq!((view.served, view.queued, view.waits.iter().sum()), (7, 3, view.served));
    }
}
