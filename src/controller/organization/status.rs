//! From what was found out about an organization to its conditions. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::condition::{ConditionType, Reason, Status, Wanted, find, set_condition};

/// What was found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet.
    FirstVisit,
    /// It works.
    Ready {
        /// The organization's name on the platform.
        name: String,
        /// What a person should know of its rotations nevertheless.
        remark: Option<String>,
        /// Why nothing is created again of what is gone from the platform.
        held: Option<String>,
    },
    /// It waits for something that comes by itself.
    Waiting {
        /// The reason.
        reason: Reason,
        /// What it waits for.
        message: String,
    },
    /// A person must act.
    Stalled {
        /// The reason.
        reason: Reason,
        /// What to do.
        message: String,
        /// How far the login came.
        login: Login,
    },
}

/// How far the login came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// It was not tried.
    NotTried,
    /// It was refused.
    Refused,
    /// It worked, and the platform then lacked a permission.
    WithoutPermission,
    /// It worked.
    Worked,
}

fn logged_in(name: &str, remark: Option<&str>) -> String {
    match remark {
        Some(remark) => format!("logged in to organization {name:?}; but {remark}"),
        None => format!("logged in to organization {name:?}"),
    }
}

/// The same, with what the operator's own client was found to hold and lack; where that could not be asked, what was told last holds.
pub fn set_all_conditions(
    conditions: &mut Vec<Condition>,
    verdict: &Verdict,
    preflight: Option<Wanted>,
    generation: Option<i64>,
    now: Timestamp,
) {
    let known = find(conditions, ConditionType::PermissionsSufficient).filter(|known| known.status != "Unknown").cloned();
    set_conditions(conditions, verdict, generation, now);
    if !matches!(verdict, Verdict::Ready { .. }) {
        return;
    }
    match (preflight, known) {
        (Some(wanted), Some(known)) => {
            // Its own transition counts, not the one of a moment ago.
            restore(conditions, known, generation);
            set_condition(conditions, &wanted, generation, now);
        }
        (Some(wanted), None) => set_condition(conditions, &wanted, generation, now),
        (None, Some(known)) => restore(conditions, known, generation),
        (None, None) => {}
    }
}

fn restore(conditions: &mut [Condition], known: Condition, generation: Option<i64>) {
    if let Some(condition) = conditions.iter_mut().find(|condition| condition.type_ == known.type_) {
        *condition = Condition { observed_generation: generation, ..known };
    }
}

/// The conditions of a verdict, laid over those that exist.
pub fn set_conditions(conditions: &mut Vec<Condition>, verdict: &Verdict, generation: Option<i64>, now: Timestamp) {
    use Status::{False, True, Unknown};
    let text = |message: &str| message.to_owned();
    let not_tried = (Unknown, Reason::Pending, text("not tried"));
    let worked = (True, Reason::Authenticated, text("the operator's credential obtained a token"));
    let allowed = (
        True,
        Reason::PermissionsSufficient,
        text("the reads that the operator tried were allowed; a write that is not is named by its object"),
    );
    let unstalled = (False, Reason::None, text("nothing needs a person"));
    let [ready, authenticated, permissions, reconciling, stalled] = match verdict {
        Verdict::FirstVisit => [
            (Unknown, Reason::Pending, text("not looked at yet")),
            not_tried.clone(),
            not_tried,
            (True, Reason::Creating, text("the operator begins")),
            unstalled,
        ],
        Verdict::Ready { name, remark, held } => {
            let (reconciling, stalled) = match held {
                None => ((False, Reason::Done, text("nothing is left to do")), unstalled),
                Some(why) => ((False, Reason::Stalled, text("a person must act: see Stalled")), (True, Reason::ClientMissing, why.clone())),
            };
            [(True, Reason::Available, logged_in(name, remark.as_deref())), worked, allowed, reconciling, stalled]
        }
        Verdict::Waiting { reason, message } => {
            [(False, *reason, message.clone()), (Unknown, *reason, message.clone()), not_tried, (True, *reason, message.clone()), unstalled]
        }
        Verdict::Stalled { reason, message, login } => {
            let (authenticated, permissions) = match login {
                Login::NotTried => (not_tried.clone(), not_tried),
                Login::Refused => ((False, *reason, message.clone()), not_tried),
                Login::WithoutPermission => (worked, (False, *reason, message.clone())),
                Login::Worked => (worked, not_tried),
            };
            [
                (False, *reason, message.clone()),
                authenticated,
                permissions,
                (False, Reason::Stalled, text("a person must act: see Stalled")),
                (True, *reason, message.clone()),
            ]
        }
    };
    let types = [
        ConditionType::Ready,
        ConditionType::Authenticated,
        ConditionType::PermissionsSufficient,
        ConditionType::Reconciling,
        ConditionType::Stalled,
    ];
    for (type_, (status, reason, message)) in types.into_iter().zip([ready, authenticated, permissions, reconciling, stalled]) {
        set_condition(conditions, &Wanted { type_, status, reason, message }, generation, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(verdict: &Verdict) -> String {
        let mut conditions = vec![];
        set_conditions(&mut conditions, verdict, Some(1), Timestamp::UNIX_EPOCH);
        conditions.iter().map(|c| format!("{}={}/{}", c.type_, &c.status[..1], c.reason)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn golden_table() {
        let stalled = |reason, login| Verdict::Stalled { reason, message: "do this".into(), login };
        let table = [
            (
                Verdict::FirstVisit,
                "Ready=U/Pending Authenticated=U/Pending PermissionsSufficient=U/Pending Reconciling=T/Creating Stalled=F/None",
            ),
            (
                Verdict::Ready { name: "Acme".into(), remark: None, held: None },
                "Ready=T/Available Authenticated=T/Authenticated PermissionsSufficient=T/PermissionsSufficient Reconciling=F/Done Stalled=F/None",
            ),
            (
                Verdict::Ready { name: "Acme".into(), remark: None, held: Some("many are gone".into()) },
                "Ready=T/Available Authenticated=T/Authenticated PermissionsSufficient=T/PermissionsSufficient Reconciling=F/Stalled Stalled=T/ClientMissing",
            ),
            (
                Verdict::Waiting { reason: Reason::Unreachable, message: "x".into() },
                "Ready=F/Unreachable Authenticated=U/Unreachable PermissionsSufficient=U/Pending Reconciling=T/Unreachable Stalled=F/None",
            ),
            (
                stalled(Reason::UnknownRegion, Login::NotTried),
                "Ready=F/UnknownRegion Authenticated=U/Pending PermissionsSufficient=U/Pending Reconciling=F/Stalled Stalled=T/UnknownRegion",
            ),
            (
                stalled(Reason::CredentialRejected, Login::Refused),
                "Ready=F/CredentialRejected Authenticated=F/CredentialRejected PermissionsSufficient=U/Pending Reconciling=F/Stalled Stalled=T/CredentialRejected",
            ),
            (
                stalled(Reason::PermissionMissing, Login::WithoutPermission),
                "Ready=F/PermissionMissing Authenticated=T/Authenticated PermissionsSufficient=F/PermissionMissing Reconciling=F/Stalled Stalled=T/PermissionMissing",
            ),
            (
                stalled(Reason::OrganizationChanged, Login::Worked),
                "Ready=F/OrganizationChanged Authenticated=T/Authenticated PermissionsSufficient=U/Pending Reconciling=F/Stalled Stalled=T/OrganizationChanged",
            ),
        ];
        for (verdict, expected) in table {
            assert_eq!(line(&verdict), expected);
        }
    }

    #[test]
    fn defaults_that_cannot_be_followed_leave_it_ready_and_are_told() {
        let mut conditions = vec![];
        let verdict = Verdict::Ready { name: "Acme".into(), remark: Some("rotationDefaults can't be followed".into()), held: None };
        set_conditions(&mut conditions, &verdict, Some(1), Timestamp::UNIX_EPOCH);
        assert_eq!((conditions[0].status.as_str(), conditions[4].status.as_str()), ("True", "False"));
        assert!(conditions[0].message.ends_with("but rotationDefaults can't be followed"), "{}", conditions[0].message);
    }
}
