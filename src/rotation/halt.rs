//! Failures in a row, and when they halt the scheduled rotations of a policy. Pure: counted anew from what the clients' status says, so nothing is counted twice.

use jiff::Timestamp;

use crate::api::fleet::{FleetStatus, Halt, RotationFailure};

/// The most failures that status lists.
const MOST: usize = 50;

/// How the last rotation of a client ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The client, as `namespace/name`.
    pub client: String,
    /// When it ended, or last failed.
    pub at: Timestamp,
    /// What began it.
    pub trigger: Trigger,
    /// Whether it succeeded.
    pub succeeded: bool,
}

/// What began a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Its schedule.
    Schedule,
    /// A person, by annotation.
    Request,
}

/// What status records of failures in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failures {
    /// The digest of the policy under which they are counted.
    pub policy_digest: String,
    /// Failures before do not count.
    pub since: Timestamp,
    /// The failures, one a client, the newest last.
    pub in_a_row: Vec<RotationFailure>,
    /// Whether scheduled rotations stand still.
    pub halted: Option<Halt>,
}

/// Counts the scheduled rotations that failed in a row, from the last outcome of each client.
///
/// A success of any kind ends the row. What the row brought about, a halt, ends by a requested rotation that succeeds after it or by another policy.
#[must_use]
pub fn count_failures(recorded: &FleetStatus, policy_digest: &str, threshold: u32, outcomes: &[Outcome], now: Timestamp) -> Failures {
    let same_policy = recorded.policy_digest.as_deref() == Some(policy_digest);
    let since = recorded.failures_since.filter(|_| same_policy).unwrap_or(now);
    let halted = recorded.halted.clone().filter(|_| same_policy);
    let released = |halt: &Halt| outcomes.iter().any(|o| o.succeeded && o.trigger == Trigger::Request && o.at > halt.since);
    let halted = halted.filter(|halt| !released(halt));

    let last_success = outcomes.iter().filter(|outcome| outcome.succeeded).map(|outcome| outcome.at).max();
    let counts = |outcome: &&Outcome| {
        let scheduled_failure = !outcome.succeeded && outcome.trigger == Trigger::Schedule;
        scheduled_failure && outcome.at >= since && last_success.is_none_or(|success| outcome.at > success)
    };
    let mut in_a_row: Vec<_> =
        outcomes.iter().filter(counts).map(|outcome| RotationFailure { client: outcome.client.clone(), at: outcome.at }).collect();
    in_a_row.sort_by(|a, b| (a.at, &a.client).cmp(&(b.at, &b.client)));
    let reached = u32::try_from(in_a_row.len()).unwrap_or(u32::MAX) >= threshold;
    in_a_row.drain(..in_a_row.len().saturating_sub(MOST));
    let halted = halted.or_else(|| reached.then_some(Halt { since: now }));
    Failures { policy_digest: policy_digest.to_owned(), since, in_a_row, halted }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + 60 * minute).unwrap()
    }

    fn outcome(client: &str, minute: i64, trigger: Trigger, succeeded: bool) -> Outcome {
        Outcome { client: client.into(), at: at(minute), trigger, succeeded }
    }

    fn failed(client: &str, minute: i64) -> Outcome {
        outcome(client, minute, Trigger::Schedule, false)
    }

    fn recorded(failures: &Failures) -> FleetStatus {
        FleetStatus {
            policy_digest: Some(failures.policy_digest.clone()),
            failures_since: Some(failures.since),
            consecutive_failures: failures.in_a_row.clone(),
            halted: failures.halted.clone(),
            ..FleetStatus::default()
        }
    }

    fn fresh() -> FleetStatus {
        recorded(&count_failures(&FleetStatus::default(), "a", 3, &[], at(0)))
    }

    #[test]
    fn failures_of_different_clients_in_a_row_halt() {
        let two = count_failures(&fresh(), "a", 3, &[failed("n/a", 1), failed("n/b", 2)], at(3));
        assert_eq!((two.in_a_row.len(), two.halted.clone()), (2, None));
        let three = count_failures(&recorded(&two), "a", 3, &[failed("n/a", 1), failed("n/b", 2), failed("n/c", 4)], at(5));
        assert_eq!(three.halted, Some(Halt { since: at(5) }));
        let again = count_failures(&recorded(&three), "a", 3, &[failed("n/a", 1), failed("n/b", 2), failed("n/c", 4)], at(9));
        assert_eq!(again, three, "looking again changes nothing");
    }

    #[test]
    fn a_success_between_them_ends_the_row() {
        let success = outcome("n/c", 3, Trigger::Schedule, true);
        let outcomes = [failed("n/a", 1), failed("n/b", 2), success, failed("n/d", 4)];
        let counted = count_failures(&fresh(), "a", 3, &outcomes, at(5));
        assert_eq!(counted.in_a_row, [RotationFailure { client: "n/d".into(), at: at(4) }]);
        assert_eq!(counted.halted, None);
    }

    #[test]
    fn requested_rotations_that_fail_do_not_count() {
        let outcomes = [failed("n/a", 1), failed("n/b", 2), outcome("n/c", 3, Trigger::Request, false)];
        assert_eq!(count_failures(&fresh(), "a", 3, &outcomes, at(5)).halted, None);
    }

    #[test]
    fn a_halt_ends_by_a_requested_success_or_another_policy_alone() {
        let outcomes = vec![failed("n/a", 1), failed("n/b", 2), failed("n/c", 3)];
        let halted = recorded(&count_failures(&fresh(), "a", 3, &outcomes, at(4)));
        let with = |more: Outcome| [outcomes.clone(), vec![more]].concat();
        let scheduled = with(outcome("n/d", 5, Trigger::Schedule, true));
        assert!(count_failures(&halted, "a", 3, &scheduled, at(6)).halted.is_some(), "one under way may still succeed");
        let requested = with(outcome("n/d", 5, Trigger::Request, true));
        assert_eq!(count_failures(&halted, "a", 3, &requested, at(6)).halted, None);
        let changed = count_failures(&halted, "b", 3, &outcomes, at(6));
        assert_eq!((changed.halted, changed.in_a_row.len(), changed.since), (None, 0, at(6)));
    }
}
