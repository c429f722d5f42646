//! The request budget of one organization, through which every call passes: the limit of the platform, the order among those that wait,
//! and the pause while the platform is down. It must not let a caller wait for longer than is worth it, nor hold a queue without a limit.
//!
//! The parts are pure and are told the time: [`bucket`] paces, [`queue`] orders, [`learning`] follows the platform's refusals,
//! [`breaker`] stops before a platform that is down, [`room`] closes creates. This file waits for them.

mod breaker;
mod bucket;
mod core;
mod learning;
mod queue;
mod room;
mod view;
mod work;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

pub use breaker::Down;
pub use queue::{Queue, Waiting};
pub use view::{BudgetView, ClassView};
pub use work::{Class, Urgency, Work};

use self::core::Core;
pub(super) use self::core::LONGEST_WAIT;

/// The requests that one organization may be sent.
#[derive(Debug)]
pub struct Budget {
    core: Mutex<Core<oneshot::Sender<Result<Permit, NoSlot>>>>,
    /// Whoever holds it hands out the slots, to others and to itself.
    turn: tokio::sync::Mutex<()>,
    changed: Notify,
}

/// The right to one call. Spent by it; cannot be copied. One that is dropped before it was used goes to somebody else.
#[must_use = "a permit is one call of the budget"]
pub struct Permit {
    budget: Arc<Budget>,
    granted: Instant,
    use_: Use,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    None,
    UnderWay,
    Answered,
}

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The platform answered, whatever it said.
    Answered,
    /// 429, with the wait that it asks for.
    Throttled(Option<Duration>),
    /// 5xx or no answer, with the wait that it asks for.
    Failed(Option<Duration>),
}

/// Why a call may not go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoSlot {
    /// The budget is spent for too long, or too many wait for it.
    #[error("the request budget is spent for about {} s", expected_wait.as_secs())]
    Exhausted {
        /// When a slot is likely to be free.
        expected_wait: Duration,
    },
    /// The platform does not answer.
    #[error("the platform does not answer; it is tried again in {} s", .0.retry_in.as_secs())]
    Down(Down),
    /// This process is stopping.
    #[error("this process is stopping")]
    Closed,
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Permit").field("granted", &self.granted).finish_non_exhaustive()
    }
}

impl Permit {
    /// The call is about to be sent: the slot is spent, whatever comes back.
    pub fn spend(&mut self) {
        self.use_ = Use::UnderWay;
    }

    /// The call was not sent after all.
    pub fn give_back(mut self) {
        self.use_ = Use::None;
    }

    /// Tells what came of the call, and the platform's time as far as it is known.
    pub fn answered(mut self, outcome: Outcome, date: Option<Timestamp>) {
        self.use_ = Use::Answered;
        let now = Instant::now();
        let flushed = self.budget.lock().answered(now, self.granted, outcome, date);
        self.budget.changed.notify_waiters();
        self.budget.flush(flushed);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut core = self.budget.lock();
        match self.use_ {
            Use::None => core.take_back(),
            Use::UnderWay => core.abandoned(Instant::now()),
            Use::Answered => return,
        }
        drop(core);
        self.budget.changed.notify_waiters();
    }
}

impl Budget {
    /// A budget of so many requests a minute, at least one.
    #[must_use]
    pub fn new(requests_per_minute: u32) -> Self {
        let core = Core::new(requests_per_minute, Instant::now());
        Self { core: Mutex::new(core), turn: tokio::sync::Mutex::new(()), changed: Notify::new() }
    }

    /// Waits for one call, in the order of the queue.
    pub async fn slot(self: &Arc<Self>, work: &Work) -> Result<Permit, NoSlot> {
        let (send, mut slot) = oneshot::channel();
        let mut place = Place { number: Some(self.lock().join(work, Instant::now(), send)?), budget: self };
        let _turn = tokio::select! {
            biased;
            given = &mut slot => return place.given(given),
            turn = self.turn.lock() => turn,
        };
        loop {
            // Registered before the state is read, so that no change is missed.
            let changed = self.changed.notified();
            let next = self.hand_out(Instant::now());
            tokio::select! {
                biased;
                given = &mut slot => return place.given(given),
                () = changed => {}
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }

    /// Hands out what may go now, and says when to ask again.
    fn hand_out(self: &Arc<Self>, now: Instant) -> Instant {
        loop {
            let granted = self.lock().grant(now);
            match granted {
                // Sent outside the lock: a permit whose caller went away comes back through it.
                Ok(waiting) => drop(waiting.send(Ok(Permit { budget: Arc::clone(self), granted: now, use_: Use::None }))),
                Err(next) => return next,
            }
        }
    }

    /// Lets nobody through any more, and tells those that wait.
    pub fn close(&self) {
        let waiting = self.lock().close();
        for one in waiting {
            let _ = one.send(Err(NoSlot::Closed));
        }
        self.changed.notify_waiters();
    }

    fn flush(&self, waiting: Vec<oneshot::Sender<Result<Permit, NoSlot>>>) {
        if waiting.is_empty() {
            return;
        }
        let down = self.lock().down(Instant::now());
        for one in waiting {
            let _ = one.send(Err(NoSlot::Down(down)));
        }
    }

    /// How long a caller that comes now would wait.
    #[must_use]
    pub fn expected_wait(&self, work: &Work) -> Duration {
        self.wait_behind(work, 0)
    }

    /// How long a caller would wait that comes after so many calls more than those that wait already.
    #[must_use]
    pub fn wait_behind(&self, work: &Work, calls: usize) -> Duration {
        self.lock().expected_wait(work, calls, Instant::now())
    }

    /// How long to stay away, for a caller that would rather not stand in the queue; none if a slot is near. Whoever comes when that time
    /// is over finds one.
    #[must_use]
    pub fn appointment(&self, work: &Work) -> Option<Duration> {
        self.lock().appointment(work, Instant::now())
    }

    /// Whether there is room for a call that nobody waits for: nothing is in its way, and more than half of what may go at once stays for others.
    #[must_use]
    pub fn is_at_leisure(&self) -> bool {
        self.lock().is_at_leisure(Instant::now())
    }

    /// Puts those that wait into the order of their urgency, which was raised.
    pub fn reorder(&self) {
        self.lock().queue.reorder();
    }

    /// Changes the most requests a minute. What was let through before still counts.
    pub fn set_rate(&self, requests_per_minute: u32) {
        self.lock().set_ceiling(requests_per_minute, Instant::now());
        self.changed.notify_waiters();
    }

    /// How often a scan owns a slot.
    pub fn set_scan_interval(&self, interval: Duration) {
        self.lock().queue.set_scan_interval(interval);
    }

    /// The organization has no room for another client.
    pub fn no_room(&self) {
        self.lock().room.none_left(Instant::now());
    }

    /// A client was deleted: there may be room again.
    pub fn room_made(&self) {
        self.lock().room.made();
    }

    /// How long creates wait for room at most; none while there may be some.
    #[must_use]
    pub fn creates_closed(&self) -> Option<Duration> {
        self.lock().room.closed(Instant::now())
    }

    /// How it stands with a platform that does not answer.
    #[must_use]
    pub fn outage(&self) -> Option<Down> {
        self.lock().outage(Instant::now())
    }

    /// How the budget stands.
    #[must_use]
    pub fn view(&self) -> BudgetView {
        self.lock().view(Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, Core<oneshot::Sender<Result<Permit, NoSlot>>>> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue, given up when the caller goes away.
struct Place<'a> {
    number: Option<u64>,
    budget: &'a Budget,
}

impl Place<'_> {
    /// The place ends with what was given.
    fn given(&mut self, given: Result<Result<Permit, NoSlot>, oneshot::error::RecvError>) -> Result<Permit, NoSlot> {
        self.number = None;
        given.unwrap_or(Err(NoSlot::Exhausted { expected_wait: Duration::ZERO }))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.budget.lock().leave(number);
        }
    }
}

#[cfg(test)]
mod tests;
