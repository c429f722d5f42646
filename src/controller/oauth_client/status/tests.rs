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

fn line_of(moment: &Moment, facts: &Facts) -> String {
    let mut conditions = conditions_of(&Moment::Settled, Publication::Verified);
    set_conditions(&mut conditions, moment, facts, Timestamp::UNIX_EPOCH);
    conditions.iter().map(|c| format!("{} {}", &c.status[..1], c.reason)).collect::<Vec<_>>().join(" | ")
}

#[test]
fn golden_table_of_drift() {
    let power = [DriftEntry { field: "roles".into(), extra: vec!["admin".into()], ..DriftEntry::default() }];
    let less = [DriftEntry { field: "scopes".into(), missing: vec!["users".into()], ..DriftEntry::default() }];
    let both = [power[0].clone(), less[0].clone()];
    let name = [DriftEntry { field: "displayName".into(), expected: Some("a".into()), actual: Some("b".into()), ..DriftEntry::default() }];
    let (correct, report) = (DriftPolicy::Correct, DriftPolicy::Report);
    let suspended = |edit| Moment::Suspended(edit, String::new());
    let table: [(&str, Moment, Facts, &str); 10] = [
        ("ready", Moment::Settled, compared(&[], correct), "T Available | T Matches | F NoPolicy | F InSync | F Idle | F Done | F None"),
        (
            "drift, Correct",
            Moment::Settled,
            compared(&power, correct),
            "T Available | F Correcting | F NoPolicy | T Extra | F Idle | F Done | F None",
        ),
        (
            "drift, Report",
            Moment::Settled,
            compared(&less, report),
            "T Available | F DriftReported | F NoPolicy | T Missing | F Idle | F Done | F None",
        ),
        (
            "both",
            Moment::Settled,
            compared(&both, report),
            "T Available | F DriftReported | F NoPolicy | T MissingAndExtra | F Idle | F Done | F None",
        ),
        (
            "no power",
            Moment::Settled,
            compared(&name, report),
            "T Available | F DriftReported | F NoPolicy | F InSync | F Idle | F Done | F None",
        ),
        (
            "drift, inactive",
            Moment::Inactive,
            compared(&power, correct),
            "F Inactive | F Correcting | F Inactive | T Extra | F Idle | F Done | F None",
        ),
        (
            "suspended, different",
            suspended(Edit::Waiting),
            compared(&power, correct),
            "T Available | F Suspended | F NoPolicy | T Extra | F Suspended | F Suspended | F None",
        ),
        (
            "client gone, Report",
            Moment::Stalled(Reason::ClientMissing, String::new()),
            compared(&power, report),
            "F ClientMissing | F ClientMissing | F NoPolicy | U NotScanned | F Idle | F Stalled | T ClientMissing",
        ),
        (
            "deactivated outside",
            Moment::Stalled(Reason::DeactivatedOutside, String::new()),
            compared(&[], correct),
            "F DeactivatedOutside | F DeactivatedOutside | F NoPolicy | U NotScanned | F Idle | F Stalled | T DeactivatedOutside",
        ),
        (
            "organization down for long",
            Moment::OrganizationDown(String::new()),
            Facts { scope: Scope::NotScanned, ..facts(Publication::Verified) },
            "T Available | U OrganizationNotReady | F NoPolicy | U NotScanned | F Idle | F Done | F None",
        ),
    ];
    for (name, moment, facts, expected) in table {
        assert_eq!(line_of(&moment, &facts), expected, "{name}");
    }
    // "=" while an edit waits, and while the organization is down for a short time.
    for moment in [Moment::Updating(Delay::None, String::new()), Moment::OrganizationDown(String::new())] {
        let mut conditions = vec![];
        set_conditions(&mut conditions, &Moment::Settled, &compared(&power, correct), Timestamp::UNIX_EPOCH);
        set_conditions(&mut conditions, &moment, &compared(&[], correct), Timestamp::UNIX_EPOCH);
        assert_eq!(find(&conditions, ConditionType::ScopeDrift).map(|kept| kept.reason.as_str()), Some("Extra"), "{moment:?}");
    }
}

fn conditions_of(moment: &Moment, publication: Publication) -> Vec<Condition> {
    let mut conditions = vec![];
    set_conditions(&mut conditions, &Moment::FirstVisit, &facts(Publication::Never), Timestamp::UNIX_EPOCH);
    set_conditions(&mut conditions, moment, &facts(publication), Timestamp::UNIX_EPOCH);
    conditions
}

fn line(moment: &Moment, publication: Publication) -> String {
    conditions_of(moment, publication).iter().map(|c| format!("{} {}", &c.status[..1], c.reason)).collect::<Vec<_>>().join(" | ")
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
#[allow(clippy::too_many_lines, reason = "it is the table, one row a moment")]
fn golden_table() {
    use Publication::{Never, Unverified, Verified};
    let text = String::new;
    let table = [
        ("first visit", Moment::FirstVisit, Never, "U Pending | U Pending | U Pending | U NotScanned | F Idle | T Creating | F None"),
        (
            "creating",
            Moment::Creating(text()),
            Never,
            "F Creating | F Creating | F NotIssued | U NotScanned | F Idle | T Creating | F None",
        ),
        (
            "verifying",
            Moment::Creating(text()),
            Unverified,
            "F Creating | F Creating | F NotIssued | U NotScanned | F Idle | T Creating | F None",
        ),
        (
            "adopting",
            Moment::Adopting(text()),
            Never,
            "F Adopting | F Creating | F NotIssued | U NotScanned | F Idle | T Adopting | F None",
        ),
        (
            "adopting, waiting for the Secret",
            Moment::WaitingForSecret(text()),
            Never,
            "F Adopting | F Creating | F NotIssued | U NotScanned | F Idle | T WaitingForSecret | F None",
        ),
        (
            "creating, waiting for the budget",
            Moment::WaitingForBudget(text()),
            Never,
            "F Creating | F BudgetExhausted | F NotIssued | U NotScanned | F Idle | T WaitingForBudget | F None",
        ),
        ("ready, no policy", Moment::Settled, Verified, "T Available | T Matches | F NoPolicy | U NotScanned | F Idle | F Done | F None"),
        (
            "edit not yet applied",
            Moment::Updating(Delay::None, text()),
            Verified,
            "T Available | F Updating | F NoPolicy | U NotScanned | F Idle | T Updating | F None",
        ),
        (
            "edit waits for the budget",
            Moment::Updating(Delay::Budget, text()),
            Verified,
            "T Available | F BudgetExhausted | F NoPolicy | U NotScanned | F Idle | T Updating | F None",
        ),
        (
            "edit refused",
            Moment::Stalled(Reason::PlatformRejected, text()),
            Verified,
            "T Available | F PlatformRejected | F NoPolicy | U NotScanned | F Idle | F Stalled | T PlatformRejected",
        ),
        (
            "refused, never published",
            Moment::Stalled(Reason::RoleNotFound, text()),
            Never,
            "F RoleNotFound | F RoleNotFound | F NotIssued | U NotScanned | F Idle | F Stalled | T RoleNotFound",
        ),
        (
            "organization down, published",
            Moment::OrganizationDown(text()),
            Verified,
            "T Available | U OrganizationNotReady | F NoPolicy | U NotScanned | F Idle | F Done | F None",
        ),
        (
            "organization down, unpublished",
            Moment::OrganizationDown(text()),
            Never,
            "F WaitingForOrganization | U OrganizationNotReady | F NotIssued | U NotScanned | F Idle | T WaitingForOrganization | F None",
        ),
        (
            "suspended, published",
            Moment::Suspended(Edit::Applied, text()),
            Verified,
            "T Available | T Matches | F NoPolicy | U NotScanned | F Suspended | F Suspended | F None",
        ),
        (
            "suspended, different",
            Moment::Suspended(Edit::Waiting, text()),
            Verified,
            "T Available | F Suspended | F NoPolicy | U NotScanned | F Suspended | F Suspended | F None",
        ),
        (
            "suspended, unpublished",
            Moment::Suspended(Edit::Waiting, text()),
            Never,
            "F Suspended | F Suspended | F NotIssued | U NotScanned | F Suspended | F Suspended | F None",
        ),
        ("state Inactive", Moment::Inactive, Verified, "F Inactive | T Matches | F Inactive | U NotScanned | F Idle | F Done | F None"),
        (
            "Secret gone",
            Moment::SecretMissing(text()),
            Verified,
            "F SecretMissing | T Matches | F NoPolicy | U NotScanned | F Idle | T Republishing | F None",
        ),
        (
            "secret reset by a human",
            Moment::CredentialRejected(text()),
            Verified,
            "F CredentialRejected | T Matches | F NoPolicy | U NotScanned | F Idle | T Recreating | F None",
        ),
        (
            "client disabled",
            Moment::Stalled(Reason::ClientDisabled, text()),
            Verified,
            "F ClientDisabled | F ClientDisabled | F NoPolicy | U NotScanned | F Idle | F Stalled | T ClientDisabled",
        ),
        (
            "client gone",
            Moment::ClientMissing(text()),
            Verified,
            "F ClientMissing | F Creating | F NoPolicy | U NotScanned | F Idle | T Recreating | F None",
        ),
        (
            "foreign Secret, published before",
            Moment::Stalled(Reason::Conflict, text()),
            Verified,
            "T Available | F Conflict | F NoPolicy | U NotScanned | F Idle | F Stalled | T Conflict",
        ),
        (
            "organization changed",
            Moment::Stalled(Reason::OrganizationChanged, text()),
            Verified,
            "T Available | F OrganizationChanged | F NoPolicy | U NotScanned | F Idle | F Stalled | T OrganizationChanged",
        ),
        (
            "access withdrawn",
            Moment::Stalled(Reason::AccessDenied, text()),
            Verified,
            "T Available | F AccessDenied | F NoPolicy | U NotScanned | F Idle | F Stalled | T AccessDenied",
        ),
        (
            "deleting",
            Moment::Deleting(text()),
            Verified,
            "F Deleting | F Deleting | F NoPolicy | U NotScanned | F Idle | T Deleting | F None",
        ),
        (
            "deletion blocked",
            Moment::DeletionBlocked(text()),
            Verified,
            "F Deleting | F DeletionBlocked | F NoPolicy | U NotScanned | F Idle | F Stalled | T DeletionBlocked",
        ),
    ];
    for (name, moment, publication, expected) in table {
        assert_eq!(line(&moment, publication), expected, "{name}");
    }
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
