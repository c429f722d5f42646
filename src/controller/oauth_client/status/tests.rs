//! The condition table as a golden test, and the rules C1 to C4 over every row.

use super::*;
use crate::{
    api::oauth_client::{DriftEntry, DriftPolicy},
    controller::oauth_client::drift,
};

const EVERY_PUBLICATION: [Publication; 3] = [Publication::Never, Publication::Unverified, Publication::Verified];

fn facts(publication: Publication) -> Facts {
    Facts {
        generation: Some(3),
        publication,
        sight: Sight::Whole,
        secret_name: "billing".into(),
        expiring: None,
        rotating: None,
        scope: Scope::AsItWas,
        drifted: None,
    }
}

/// The facts of a client that was compared with a scan.
fn compared(drift: &[DriftEntry], policy: DriftPolicy) -> Facts {
    Facts {
        scope: Scope::Says(drift::scope_drift(drift)),
        drifted: (!drift.is_empty()).then(|| drift::synced(drift, policy)),
        ..facts(Publication::Verified)
    }
}

/// The facts of a client whose policy says these things.
fn rotating(expiring: Reason, rotating: (Status, Reason)) -> Facts {
    let words = |(status, reason)| Some((status, reason, "by the policy".to_owned()));
    let expires = match expiring {
        Reason::PolicyNotReady => Status::Unknown,
        Reason::NotDue => Status::False,
        _ => Status::True,
    };
    Facts { expiring: words((expires, expiring)), rotating: words(rotating), ..compared(&[], DriftPolicy::Correct) }
}

fn line_of(moment: &Moment, facts: &Facts) -> String {
    let mut conditions = vec![];
    set_conditions(&mut conditions, &Moment::FirstVisit, &self::facts(Publication::Never), Timestamp::UNIX_EPOCH);
    // What "=" keeps: the conditions of the same client at rest.
    if facts.scope != Scope::AsItWas {
        set_conditions(&mut conditions, &Moment::Settled, facts, Timestamp::UNIX_EPOCH);
    }
    set_conditions(&mut conditions, moment, facts, Timestamp::UNIX_EPOCH);
    conditions.iter().map(|c| format!("{} {}", &c.status[..1], c.reason)).collect::<Vec<_>>().join(" | ")
}

fn entry(field: &str) -> DriftEntry {
    DriftEntry { field: field.into(), ..DriftEntry::default() }
}

fn more() -> DriftEntry {
    DriftEntry { extra: vec!["admin".into()], ..entry("roles") }
}

fn less() -> DriftEntry {
    DriftEntry { missing: vec!["users".into()], ..entry("scopes") }
}

/// What the operator knows at a moment of the table.
#[allow(clippy::too_many_lines, reason = "it is the table, one row a moment")]
fn situation(name: &str) -> (Moment, Facts) {
    use DriftPolicy::{Correct, Report};
    use Publication::{Never, Unverified, Verified};
    use Status::{False as F, True as T};
    let text = String::new;
    let stalled = |reason| (Moment::Stalled(reason, text()), facts(Verified));
    let by_policy = |expiring, words| (Moment::Settled, rotating(expiring, words));
    match name {
        "first visit" => (Moment::FirstVisit, facts(Never)),
        "creating" => (Moment::Creating(text()), facts(Never)),
        "verifying" => (Moment::Creating(text()), facts(Unverified)),
        "adopting" => (Moment::Adopting(text()), facts(Never)),
        "adopting, waiting for the Secret" => (Moment::WaitingForSecret(text()), facts(Never)),
        "creating, waiting for the budget" => (Moment::WaitingForBudget(text()), facts(Never)),
        "ready" | "edited a moment ago" => by_policy(Reason::NotDue, (F, Reason::Idle)),
        "ready, no policy" => (Moment::Settled, compared(&[], Correct)),
        "ready, not scanned yet" => (Moment::Settled, facts(Verified)),
        "policy missing, published" => by_policy(Reason::PolicyNotReady, (F, Reason::Idle)),
        "edit not yet applied" => (Moment::Updating(Delay::None, text()), facts(Verified)),
        "edit waits for the budget" => (Moment::Updating(Delay::Budget, text()), facts(Verified)),
        "edit refused" => stalled(Reason::PlatformRejected),
        "refused, never published" => (Moment::Stalled(Reason::RoleNotFound, text()), facts(Never)),
        "due, outside a window" => by_policy(Reason::NotDue, (F, Reason::WaitingForWindow)),
        "Replace before its publish" => by_policy(Reason::DueSoon, (T, Reason::Verifying)),
        "draining" => by_policy(Reason::NotDue, (T, Reason::Draining)),
        "retiring" => by_policy(Reason::NotDue, (T, Reason::Retiring)),
        "Regenerate" => (Moment::Regenerating(text()), rotating(Reason::DueSoon, (T, Reason::Regenerating))),
        "rotation failed" => by_policy(Reason::DueSoon, (F, Reason::Failed)),
        "overdue" => by_policy(Reason::Overdue, (F, Reason::WaitingForTurn)),
        "fleet halted" => by_policy(Reason::DueSoon, (F, Reason::Halted)),
        "verification blocked" => (Moment::Stalled(Reason::VerificationBlocked, text()), rotating(Reason::DueSoon, (T, Reason::Verifying))),
        "drift, Correct" => (Moment::Settled, compared(&[more()], Correct)),
        "drift, Report" => (Moment::Settled, compared(&[less()], Report)),
        "drift, more and less" => (Moment::Settled, compared(&[more(), less()], Report)),
        "drift, no power" => (Moment::Settled, compared(&[entry("displayName")], Report)),
        "organization down, published" => (Moment::OrganizationDown(text()), Facts { scope: Scope::NotScanned, ..facts(Verified) }),
        "organization down, unpublished" => (Moment::OrganizationDown(text()), facts(Never)),
        "suspended, published" => (Moment::Suspended(Edit::Applied, text()), facts(Verified)),
        "suspended, different" => (Moment::Suspended(Edit::Waiting, text()), compared(&[more()], Correct)),
        "suspended, unpublished" => (Moment::Suspended(Edit::Waiting, text()), facts(Never)),
        "state Inactive" => (Moment::Inactive, facts(Verified)),
        "state Inactive, drift" => (Moment::Inactive, compared(&[more()], Correct)),
        "Secret gone" => (Moment::SecretMissing(text()), facts(Verified)),
        "secret reset by a human" => (Moment::CredentialRejected(text()), facts(Verified)),
        "client gone, Report" => (Moment::Stalled(Reason::ClientMissing, text()), compared(&[more()], Report)),
        "client gone, Correct" => (Moment::ClientMissing(text()), facts(Verified)),
        "client disabled" => stalled(Reason::ClientDisabled),
        "deactivated outside" => (Moment::Stalled(Reason::DeactivatedOutside, text()), compared(&[], Correct)),
        "foreign Secret, published before" => stalled(Reason::Conflict),
        "organization changed" => stalled(Reason::OrganizationChanged),
        "access withdrawn" => stalled(Reason::AccessDenied),
        "deleting" => (Moment::Deleting(text()), facts(Verified)),
        "deletion blocked" => (Moment::DeletionBlocked(text()), facts(Verified)),
        other => panic!("{other:?} is in the table, and no situation of the operator is known for it"),
    }
}

/// The table is a file, because `tests/gitops` reads its last columns.
#[test]
fn golden_table() {
    let table = include_str!("../../../../tests/gitops/moments.txt");
    let rows: Vec<Vec<&str>> = table.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(" | ").collect()).collect();
    assert!(rows.len() >= 40, "only {} moments", rows.len());
    for row in rows {
        let (moment, facts) = situation(row[0]);
        assert_eq!(line_of(&moment, &facts), row[2..9].join(" | "), "{}", row[0]);
    }
}

#[test]
fn drift_stays_as_it_was_while_an_edit_waits_or_the_organization_is_down_for_a_short_time() {
    // "=" while an edit waits, and while the organization is down for a short time.
    for moment in [Moment::Updating(Delay::None, String::new()), Moment::OrganizationDown(String::new())] {
        let mut conditions = vec![];
        set_conditions(&mut conditions, &Moment::Settled, &compared(&[more()], DriftPolicy::Correct), Timestamp::UNIX_EPOCH);
        set_conditions(&mut conditions, &moment, &compared(&[], DriftPolicy::Correct), Timestamp::UNIX_EPOCH);
        assert_eq!(find(&conditions, ConditionType::ScopeDrift).map(|kept| kept.reason.as_str()), Some("Extra"), "{moment:?}");
    }
}

fn conditions_of(moment: &Moment, publication: Publication) -> Vec<Condition> {
    let mut conditions = vec![];
    set_conditions(&mut conditions, &Moment::FirstVisit, &facts(Publication::Never), Timestamp::UNIX_EPOCH);
    set_conditions(&mut conditions, moment, &facts(publication), Timestamp::UNIX_EPOCH);
    conditions
}

fn moments() -> Vec<Moment> {
    let text = || "why".to_owned();
    let mut moments = vec![
        Moment::FirstVisit,
        Moment::Creating(text()),
        Moment::Adopting(text()),
        Moment::WaitingForSecret(text()),
        Moment::WaitingForBudget(text()),
        Moment::Settled,
        Moment::Updating(Delay::None, text()),
        Moment::Updating(Delay::Budget, text()),
        Moment::OrganizationDown(text()),
        Moment::Suspended(Edit::Applied, text()),
        Moment::Suspended(Edit::Waiting, text()),
        Moment::Inactive,
        Moment::SecretMissing(text()),
        Moment::CredentialRejected(text()),
        Moment::ClientMissing(text()),
        Moment::Deleting(text()),
        Moment::DeletionBlocked(text()),
        Moment::HandedOver,
    ];
    moments.extend(
        [
            Reason::PlatformRejected,
            Reason::ClientMissing,
            Reason::ClientDisabled,
            Reason::DeactivatedOutside,
            Reason::Conflict,
            Reason::OrganizationChanged,
            Reason::AccessDenied,
        ]
        .map(|reason| Moment::Stalled(reason, text())),
    );
    moments
}

#[test]
fn all_seven_are_present_from_the_first_write() {
    for moment in moments() {
        let types: Vec<_> = conditions_of(&moment, Publication::Never).into_iter().map(|c| c.type_).collect();
        assert_eq!(types, ConditionType::OAUTH_CLIENT.map(ConditionType::as_str), "{moment:?}");
    }
}

#[test]
fn rules_of_the_conditions_hold_in_every_row() {
    for moment in moments() {
        for publication in EVERY_PUBLICATION {
            let conditions = conditions_of(&moment, publication);
            let get = |type_| find(&conditions, type_).unwrap();
            let is_true = |type_| get(type_).status == "True";
            assert!(!(is_true(ConditionType::Reconciling) && is_true(ConditionType::Stalled)), "C2 {moment:?}");
            let excused = matches!(moment, Moment::Suspended(..) | Moment::Inactive | Moment::Settled);
            assert!(
                is_true(ConditionType::Ready) || is_true(ConditionType::Reconciling) || is_true(ConditionType::Stalled) || excused,
                "C3 {moment:?}"
            );
            if is_true(ConditionType::Stalled) {
                assert_eq!(get(ConditionType::Synced).reason, get(ConditionType::Stalled).reason, "C4 {moment:?}");
            }
            assert!(
                conditions.iter().all(|c| c.observed_generation == Some(3) && !c.message.is_empty()
                    || c.message == "why"
                    || matches!(moment, Moment::FirstVisit)),
                "{moment:?}"
            );
        }
    }
}

#[test]
fn drift_stays_as_it_was_while_an_edit_waits() {
    let mut conditions = conditions_of(&Moment::Settled, Publication::Verified);
    let drift = Wanted { type_: ConditionType::ScopeDrift, status: Status::True, reason: Reason::NotScanned, message: "seen".into() };
    set_condition(&mut conditions, &drift, Some(1), Timestamp::UNIX_EPOCH);
    set_conditions(&mut conditions, &Moment::Updating(Delay::None, "edit".into()), &facts(Publication::Verified), Timestamp::UNIX_EPOCH);
    let kept = find(&conditions, ConditionType::ScopeDrift).unwrap();
    assert_eq!((kept.status.as_str(), kept.message.as_str()), ("True", "seen"));
}

#[test]
fn a_lost_or_refuted_credential_is_not_ready_in_any_row() {
    for (sight, reason) in [(Sight::Lost, "SecretMissing"), (Sight::Refuted, "CredentialRejected")] {
        for moment in [
            Moment::Stalled(Reason::MintLimit, "x".into()),
            Moment::OrganizationDown("x".into()),
            Moment::Updating(Delay::Budget, "x".into()),
            Moment::HandedOver,
        ] {
            let mut conditions = vec![];
            set_conditions(&mut conditions, &moment, &Facts { sight, ..facts(Publication::Unverified) }, Timestamp::UNIX_EPOCH);
            let ready = find(&conditions, ConditionType::Ready).unwrap();
            assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", reason), "{moment:?}");
        }
    }
}

#[test]
fn a_call_that_this_process_kept_back_leaves_all_as_it_stood() {
    for moment in moments().into_iter().filter(|moment| *moment != Moment::FirstVisit) {
        let before = conditions_of(&moment, Publication::Verified);
        let mut after = before.clone();
        set_conditions(&mut after, &Moment::HandedOver, &facts(Publication::Verified), Timestamp::UNIX_EPOCH);
        assert_eq!(after, before, "{moment:?}");
    }
}
