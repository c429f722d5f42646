//! From what was found out about a rotation policy to its conditions. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::review::Review;
use crate::api::{
    RotationPolicySpec,
    condition::{ConditionType, Reason, Status, Wanted, set_condition},
};

/// What was found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet.
    FirstVisit,
    /// It is followed.
    Available(String),
    /// A person must act.
    Stalled {
        /// The reason.
        reason: Reason,
        /// What to do.
        message: String,
    },
}

/// The verdict on a policy: its rules, its sense, its clients, in this order.
#[must_use]
pub fn verdict(spec: &RotationPolicySpec, violations: &[String], review: &Review) -> Verdict {
    if !violations.is_empty() {
        return Verdict::Stalled { reason: Reason::InvalidSpec, message: violations.join("; ") };
    }
    if let Some(refusal) = &review.refusal {
        return Verdict::Stalled { reason: refusal.reason(), message: refusal.to_string() };
    }
    if let Some(message) = review.halt() {
        return Verdict::Stalled { reason: Reason::Halted, message };
    }
    let message = if spec.suspend { "the policy is suspended: no rotation starts until it is not" } else { "the policy is followed" };
    Verdict::Available(message.to_owned())
}

/// The conditions of a verdict, laid over those that exist.
pub fn set_conditions(conditions: &mut Vec<Condition>, verdict: &Verdict, generation: Option<i64>, now: Timestamp) {
    use Status::{False, True, Unknown};
    let text = |message: &str| message.to_owned();
    let unstalled = (False, Reason::None, text("nothing needs a person"));
    let [ready, reconciling, stalled] = match verdict {
        Verdict::FirstVisit => {
            [(Unknown, Reason::Pending, text("not looked at yet")), (True, Reason::Creating, text("the operator begins")), unstalled]
        }
        Verdict::Available(message) => {
            [(True, Reason::Available, message.clone()), (False, Reason::Done, text("nothing is left to do")), unstalled]
        }
        Verdict::Stalled { reason, message } => [
            (False, *reason, message.clone()),
            (False, Reason::Stalled, text("a person must act: see Stalled")),
            (True, *reason, message.clone()),
        ],
    };
    let types = [ConditionType::Ready, ConditionType::Reconciling, ConditionType::Stalled];
    for (type_, (status, reason, message)) in types.into_iter().zip([ready, reconciling, stalled]) {
        set_condition(conditions, &Wanted { type_, status, reason, message }, generation, now);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        api::fleet::{FleetStatus, Halt, RotationFailure},
        rotation::PolicyRefusal,
    };

    fn spec(suspend: bool) -> RotationPolicySpec {
        serde_json::from_value(json!({ "interval": "30d", "suspend": suspend })).expect("a spec")
    }

    fn sound() -> Review {
        Review { fleet: FleetStatus::default(), refusal: None, next_change: None }
    }

    fn halted() -> Review {
        let at = Timestamp::UNIX_EPOCH;
        let failure = |client: &str| RotationFailure { client: client.into(), at };
        let consecutive_failures = vec![failure("n/a"), failure("n/b")];
        Review { fleet: FleetStatus { halted: Some(Halt { since: at }), consecutive_failures, ..FleetStatus::default() }, ..sound() }
    }

    fn never_opens() -> Review {
        Review { refusal: Some(PolicyRefusal::WindowNeverOpens { gap: "30d".into(), room: "23d".into() }), ..halted() }
    }

    fn line(verdict: &Verdict) -> String {
        let mut conditions = vec![];
        set_conditions(&mut conditions, verdict, Some(1), Timestamp::UNIX_EPOCH);
        conditions.iter().map(|c| format!("{}={}/{}", c.type_, &c.status[..1], c.reason)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn golden_table() {
        let broken = ["spec: interval must be at least 1h".to_owned()];
        let table = [
            (Verdict::FirstVisit, "Ready=U/Pending Reconciling=T/Creating Stalled=F/None"),
            (verdict(&spec(false), &[], &sound()), "Ready=T/Available Reconciling=F/Done Stalled=F/None"),
            (verdict(&spec(true), &[], &sound()), "Ready=T/Available Reconciling=F/Done Stalled=F/None"),
            (verdict(&spec(false), &[], &halted()), "Ready=F/Halted Reconciling=F/Stalled Stalled=T/Halted"),
            (verdict(&spec(false), &[], &never_opens()), "Ready=F/WindowNeverOpens Reconciling=F/Stalled Stalled=T/WindowNeverOpens"),
            (verdict(&spec(false), &broken, &never_opens()), "Ready=F/InvalidSpec Reconciling=F/Stalled Stalled=T/InvalidSpec"),
        ];
        for (verdict, expected) in table {
            assert_eq!(line(&verdict), expected);
        }
    }

    #[test]
    fn messages_say_what_holds_it_back() {
        let message = |spec: &RotationPolicySpec, review: &Review| match verdict(spec, &[], review) {
            Verdict::Available(message) | Verdict::Stalled { message, .. } => message,
            Verdict::FirstVisit => unreachable!("a verdict is none of the first visit"),
        };
        assert!(message(&spec(true), &sound()).contains("suspended"));
        assert!(message(&spec(false), &halted()).contains("n/b, n/a"));
        assert!(message(&spec(false), &never_opens()).contains("23d"));
    }
}
