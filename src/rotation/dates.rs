//! The dates of one credential under a schedule, how it stands at an instant, and the order of a queue. Pure: the same input gives the same dates for ever.

use std::{cmp::Ordering, time::Duration};

use jiff::Timestamp;

use super::{earlier, hash, later, policy::Schedule};

/// How long a planned rotation may be late before somebody should look.
const GRACE: Duration = Duration::from_secs(3600);

/// What a credential's dates are computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issue<'a> {
    /// When the published secret came into being.
    pub issued_at: Timestamp,
    /// Whether a rotation issued it. One that a create or an adoption issued is due earlier, so that a fleet created at once spreads.
    pub by_rotation: bool,
    /// The object, as `namespace/name`.
    pub identity: &'a str,
    /// Since when this policy holds for this object: first credentials that it found, and what was due before, are spread over the interval from here.
    pub spread_from: Option<Timestamp>,
}

/// The dates of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dates {
    /// When it is due, if it were not for the windows.
    pub due_at: Timestamp,
    /// When its rotation is planned.
    pub rotate_at: Timestamp,
    /// When its rotation no longer waits for a window.
    pub force_at: Timestamp,
    /// When it counts as expiring.
    pub warn_at: Timestamp,
    /// Its deadline.
    pub expires_at: Timestamp,
}

/// How a credential stands at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether its rotation may start.
    pub turn: Turn,
    /// How close its deadline is.
    pub expiry: Expiry,
}

/// Whether a rotation may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// It is not due.
    NotDue,
    /// It is due, but no window is open: before its planned time, or after it if its turn did not come while one was.
    WaitingForWindow,
    /// It may start.
    Due,
    /// It should have started: windows no longer hold, it is first in the queue, and more may run at once.
    Urgent,
}

/// How close a deadline is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expiry {
    /// Far.
    NotDue,
    /// Within the warning.
    Expiring,
    /// Past.
    Overdue,
}

/// A place in the queue of what is due: urgent ones first, by their deadline; then by when they were planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QueueKey {
    /// Urgent, with its deadline.
    Urgent(Timestamp),
    /// Not urgent, with its planned time.
    Planned(Timestamp),
}

/// The dates of a credential.
#[must_use]
pub fn dates(schedule: &Schedule, issue: &Issue<'_>) -> Dates {
    let Schedule { interval, max_age, warn_before, longest_gap, ref windows } = *schedule;
    let place = Fraction::of_identity(issue.identity);
    let jitter = if issue.by_rotation {
        interval + place.of((interval / 10).min(schedule.room().saturating_sub(longest_gap)))
    } else {
        interval / 2 + place.of(interval / 2)
    };
    let expires_at = later(issue.issued_at, max_age);
    let due_by_age = later(issue.issued_at, jitter);
    let by_age = |due_at: Timestamp| (due_at, due_at.max(earlier(expires_at, warn_before / 2)));
    let left =
        |from: Timestamp| Duration::try_from(earlier(expires_at, warn_before + longest_gap).duration_since(from)).unwrap_or_default();
    let (due_at, force_at) = match issue.spread_from.filter(|from| issue.issued_at < *from) {
        // By their age, first credentials of a low place would be due before those of a high one, so that a fleet of all ages were not even.
        Some(from) if !issue.by_rotation && left(from) >= interval / 2 => by_age(later(from, place.of(interval.min(left(from))))),
        Some(from) if due_by_age < from => {
            let due_at = later(from, place.of(interval));
            (due_at, later(due_at, longest_gap.max(warn_before / 2)))
        }
        _ => by_age(due_by_age),
    };
    let rotate_at = windows.next_open(due_at).map_or(force_at, |open| open.min(force_at));
    Dates { due_at, rotate_at, force_at, warn_at: earlier(expires_at, warn_before), expires_at }
}

/// The dates of the next three rotations, each counted from the planned time of the one before.
#[must_use]
pub fn next_three(schedule: &Schedule, issue: &Issue<'_>) -> [Dates; 3] {
    let after = |dates: &Dates| Issue { issued_at: dates.rotate_at, by_rotation: true, ..*issue };
    let first = dates(schedule, issue);
    let second = dates(schedule, &after(&first));
    let third = dates(schedule, &after(&second));
    [first, second, third]
}

impl Dates {
    /// How the credential stands at an instant.
    #[must_use]
    pub fn standing(&self, schedule: &Schedule, now: Timestamp) -> Standing {
        let turn = match now {
            now if now >= self.force_at => Turn::Urgent,
            now if now < self.due_at => Turn::NotDue,
            now if schedule.windows.is_open(now) => Turn::Due,
            _ => Turn::WaitingForWindow,
        };
        let expiry = match now {
            now if now >= self.expires_at => Expiry::Overdue,
            now if now >= self.warn_at => Expiry::Expiring,
            _ => Expiry::NotDue,
        };
        Standing { turn, expiry }
    }

    /// Whether its planned time has come, so that it is counted as due until it is rotated.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        now >= self.rotate_at
    }

    /// Whether somebody should look: past the deadline, and past the planned time by more than an hour.
    #[must_use]
    pub fn is_missed(&self, now: Timestamp) -> bool {
        now > self.expires_at && now > later(self.rotate_at, GRACE)
    }

    /// The place in the queue at an instant.
    #[must_use]
    pub fn queue_key(&self, now: Timestamp) -> QueueKey {
        match self.force_at.cmp(&now) {
            Ordering::Less | Ordering::Equal => QueueKey::Urgent(self.expires_at),
            Ordering::Greater => QueueKey::Planned(self.rotate_at),
        }
    }

    /// The next instant at which the credential stands otherwise than now, unless a window closes before.
    #[must_use]
    pub fn next_change(&self, schedule: &Schedule, now: Timestamp) -> Option<Timestamp> {
        let dates = [self.due_at, self.rotate_at, self.force_at, self.warn_at, self.expires_at].into_iter().filter(|date| *date > now);
        let waiting = self.standing(schedule, now).turn == Turn::WaitingForWindow;
        let opening = if waiting { schedule.windows.next_open(now) } else { None };
        dates.chain(opening).min()
    }
}

/// A fraction of 1, in parts of 2⁶⁴.
#[derive(Clone, Copy)]
struct Fraction(u64);

impl Fraction {
    /// An object's place between 0 and 1, from its identity alone: u of the contract.
    fn of_identity(identity: &str) -> Self {
        Self(hash(identity.as_bytes()))
    }

    /// This part of a duration, in whole seconds.
    fn of(self, whole: Duration) -> Duration {
        let product = u128::from(self.0) * u128::from(whole.as_secs());
        Duration::from_secs(u64::try_from(product >> 64).unwrap_or(u64::MAX))
    }
}
