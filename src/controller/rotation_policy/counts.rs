//! How the clients that follow a policy stand, counted from what their own status says. Pure: objects and a time in, a status out.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    api::{
        GenesysOAuthClient, RotationPolicySpec,
        condition::whole_second,
        fleet::FleetStatus,
        oauth_client::{
            DesiredState,
            rotation_status::{LastRotation, RotationResult, RotationStatus, Trigger},
        },
    },
    controller::{fleet::rotates_under, oauth_client::observation::current_rotation},
    rotation::{self, Outcome, count_failures, effective, effective_since},
};

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub struct Ledger<'a> {
    /// The policy, as the objects record it.
    pub key: &'a str,
    /// What it says.
    pub spec: &'a RotationPolicySpec,
    /// What its status recorded.
    pub recorded: &'a FleetStatus,
    /// The objects that follow it; none while the watches have not shown all of them.
    pub followers: Option<&'a [Arc<GenesysOAuthClient>]>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Balance {
    /// The new status.
    pub fleet: FleetStatus,
    /// When a count changes next by time alone.
    pub next_change: Option<Timestamp>,
}

/// Counts. What can't be known now stays as it was recorded.
#[must_use]
pub fn count(ledger: &Ledger<'_>, now: Timestamp) -> Balance {
    let now = whole_second(now);
    let mut fleet = ledger.recorded.clone();
    note_start(&mut fleet, ledger.spec, now);
    let Some(followers) = ledger.followers else { return Balance { fleet, next_change: None } };
    let booked: Vec<_> = followers.iter().filter_map(|object| Some((object, books(object, ledger.key)?))).collect();

    let failures = count_failures(
        ledger.recorded,
        &rotation::digest(ledger.spec),
        ledger.spec.failure_threshold,
        &booked.iter().flat_map(|(object, books)| outcomes(object, books)).collect::<Vec<_>>(),
        now,
    );
    fleet.policy_digest = Some(failures.policy_digest);
    fleet.failures_since = Some(failures.since);
    fleet.consecutive_failures = failures.in_a_row;
    fleet.halted = failures.halted;

    let awake: Vec<_> = booked.iter().filter(|(object, _)| !rests(object)).collect();
    let planned = |books: &RotationStatus| books.next.first().copied();
    let has_come = |time: Option<Timestamp>| time.is_some_and(|time| time <= now);
    fleet.clients = number(followers.len());
    fleet.due = number(awake.iter().filter(|(_, books)| has_come(planned(books))).count());
    fleet.overdue = number(awake.iter().filter(|(_, books)| has_come(books.expires_at)).count());
    fleet.rotating = number(booked.iter().filter(|(object, _)| rotates_under(object, ledger.key)).count());
    fleet.failed = number(booked.iter().filter(|(object, _)| waits_after_failure(object)).count());

    let goes_on = !ledger.spec.suspend && fleet.halted.is_none();
    let starts = awake.iter().filter(|(object, _)| goes_on && !object.spec.suspend).filter_map(|(_, books)| planned(books));
    fleet.next_rotation = starts.filter(|time| *time > now).min().map(|time| whole_second(time).to_string());
    let dates = awake.iter().flat_map(|(_, books)| planned(books).into_iter().chain(books.expires_at));
    Balance { fleet, next_change: dates.filter(|date| *date > now).min() }
}

/// Since when the policy holds: a change of interval or maxAge counts, and nothing else. A spec that can't be read changes nothing, so that going
/// back to the former one rotates nobody.
fn note_start(fleet: &mut FleetStatus, spec: &RotationPolicySpec, now: Timestamp) {
    match effective(spec) {
        Ok(effective) => {
            let recorded = fleet.effective_since.zip(fleet.effective.as_ref());
            fleet.effective_since = Some(effective_since(recorded, &effective, now));
            fleet.effective = Some(effective);
        }
        Err(_) => fleet.effective_since = fleet.effective_since.or(Some(now)),
    }
}

/// What an object records of its rotations, if it has booked this policy.
fn books<'a>(object: &'a GenesysOAuthClient, key: &str) -> Option<&'a RotationStatus> {
    let books = object.status.as_ref()?.rotation.as_ref()?;
    (books.policy.as_deref() == Some(key)).then_some(books)
}

/// Whether nothing is rotated because the client is out of use by wish.
fn rests(object: &GenesysOAuthClient) -> bool {
    let applied = object.status.as_ref().and_then(|status| status.applied_state);
    object.spec.state == DesiredState::Inactive || applied == Some(DesiredState::Inactive)
}

/// Whether the last rotation failed and no other one was begun since.
fn waits_after_failure(object: &GenesysOAuthClient) -> bool {
    let Some(status) = &object.status else { return false };
    let failed = status.last_rotation.as_ref().is_some_and(|last| last.result == RotationResult::Failed);
    failed && current_rotation(status).is_none()
}

/// What an object's rotations under this policy tell: every success, and the latest failure of a scheduled one. What was taken back or is not possible
/// for the object says nothing of the fleet.
fn outcomes(object: &GenesysOAuthClient, books: &RotationStatus) -> Vec<Outcome> {
    let Some(status) = &object.status else { return vec![] };
    let metadata = &object.metadata;
    let client = format!("{}/{}", metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default());
    let ended =
        status.last_rotation.iter().chain(&status.history).filter(|last| books.policy_since.is_some_and(|since| last.finished_at >= since));
    let mut told = vec![];
    let mut has_failed = false;
    for last in ended {
        match outcome(last) {
            Some((trigger, true)) => told.push(Outcome { client: client.clone(), at: last.finished_at, trigger, succeeded: true }),
            Some((trigger, false)) if !has_failed => {
                has_failed = true;
                told.push(Outcome { client: client.clone(), at: last.finished_at, trigger, succeeded: false });
            }
            _ => {}
        }
    }
    told
}

/// What a rotation tells of its fleet: what began it, and whether it succeeded.
fn outcome(last: &LastRotation) -> Option<(rotation::Trigger, bool)> {
    match (last.result, last.trigger) {
        (RotationResult::Succeeded, Trigger::Request | Trigger::Emergency) => Some((rotation::Trigger::Request, true)),
        // A repair shows that credentials can be had, but no person has looked.
        (RotationResult::Succeeded, Trigger::Schedule | Trigger::Repair) => Some((rotation::Trigger::Schedule, true)),
        (RotationResult::Failed, Trigger::Schedule) => Some((rotation::Trigger::Schedule, false)),
        // What a person took back or asked for in vain tells nothing of the schedule.
        _ => None,
    }
}

fn number(count: usize) -> Option<i64> {
    i64::try_from(count).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::fleet::Halt;

    const KEY: &str = "GenesysRotationPolicy/monthly/uid";

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + 60 * minute).expect("a time")
    }

    fn spec(text: &str) -> RotationPolicySpec {
        serde_yaml::from_str(text).expect("a spec")
    }

    /// An object with this in its status, beside the books of the policy.
    fn object(name: &str, spec: Value, status: Value) -> Arc<GenesysOAuthClient> {
        let mut object = json!({
            "apiVersion": "oauth.genesys-operator.io/v1alpha1", "kind": "GenesysOAuthClient", "metadata": { "name": name, "namespace": "n" },
            "spec": { "organizationRef": { "name": "acme" }, "grantType": "ClientCredentials" },
            "status": { "rotation": { "policy": KEY, "policySince": at(-100) } },
        });
        for (part, more) in [("spec", spec), ("status", status)] {
            for (field, value) in more.as_object().expect("an object") {
                match (&mut object[part][field], value) {
                    (Value::Object(there), Value::Object(more)) => there.extend(more.clone()),
                    (there, value) => *there = value.clone(),
                }
            }
        }
        Arc::new(serde_json::from_value(object).expect("an object"))
    }

    fn planned(name: &str, rotate: i64, expires: i64) -> Arc<GenesysOAuthClient> {
        object(name, json!({}), json!({ "rotation": { "next": [at(rotate)], "expiresAt": at(expires) } }))
    }

    fn last(result: &str, trigger: &str, minute: i64) -> Value {
        json!({
            "result": result, "trigger": trigger, "strategy": "Replace", "startedAt": at(minute - 1), "finishedAt": at(minute), "message": "",
        })
    }

    fn ended(name: &str, result: &str, trigger: &str, minute: i64) -> Arc<GenesysOAuthClient> {
        object(name, json!({}), json!({ "lastRotation": last(result, trigger, minute) }))
    }

    fn counted(recorded: &FleetStatus, spec: &RotationPolicySpec, followers: &[Arc<GenesysOAuthClient>], minute: i64) -> Balance {
        count(&Ledger { key: KEY, spec, recorded, followers: Some(followers) }, at(minute))
    }

    fn fresh() -> FleetStatus {
        counted(&FleetStatus::default(), &spec("interval: 30d"), &[], 0).fleet
    }

    #[test]
    fn clients_are_counted_by_what_their_status_says() {
        let rotating = json!({
            "strategy": "Replace", "trigger": "Schedule", "startedAt": at(0), "step": "Creating", "overlap": { "minimumSeconds": 1, "maximumSeconds": 2 },
        });
        let followers = [
            planned("later", 20, 90),
            planned("sooner", 10, 80),
            planned("due", -1, 70),
            planned("overdue", -20, -10),
            object("at-work", json!({}), json!({ "rotation": { "next": [at(-5)], "expiresAt": at(60), "current": rotating } })),
            object("inactive", json!({ "state": "Inactive" }), json!({ "rotation": { "next": [at(-5)], "expiresAt": at(-4) } })),
            object("of-a-former-policy", json!({}), json!({ "rotation": { "policy": "other", "next": [at(-5)], "expiresAt": at(-4) } })),
            ended("failed", "Failed", "Request", -3),
        ];
        let balance = counted(&fresh(), &spec("interval: 30d"), &followers, 0);
        let fleet = &balance.fleet;
        assert_eq!((fleet.clients, fleet.due, fleet.overdue, fleet.rotating, fleet.failed), (Some(8), Some(3), Some(1), Some(1), Some(1)));
        assert_eq!(fleet.next_rotation.as_deref(), Some(at(10).to_string().as_str()));
        assert_eq!(balance.next_change, Some(at(10)));
        assert_eq!(counted(fleet, &spec("interval: 30d"), &followers, 9).fleet, *fleet, "nothing moves before that");
        let after = counted(fleet, &spec("interval: 30d"), &followers, 10);
        assert_eq!((after.fleet.due, after.next_change), (Some(4), Some(at(20))));
        assert_eq!(counted(fleet, &spec("{interval: 30d, suspend: true}"), &followers, 0).fleet.next_rotation, None, "none is planned");
    }

    #[test]
    fn what_is_not_known_yet_stays_as_it_was() {
        let recorded = FleetStatus { due: Some(7), halted: Some(Halt { since: at(0) }), ..fresh() };
        let ledger = Ledger { key: KEY, spec: &spec("interval: 30d"), recorded: &recorded, followers: None };
        assert_eq!(count(&ledger, at(9)), Balance { fleet: recorded.clone(), next_change: None });
    }

    #[test]
    fn a_policy_begins_anew_with_its_interval_or_greatest_age_alone() {
        let first = counted(&FleetStatus::default(), &spec("interval: 30d"), &[], 0).fleet;
        assert_eq!(first.effective_since, Some(at(0)));
        let mut recorded = first;
        for (minute, text, since) in [
            (1, "interval: 30d", 0),
            (2, "{interval: 30d, maxAge: 60d}", 0),
            (3, "{interval: 30d, warnBefore: 1d, maxConcurrent: 9, suspend: true}", 0),
            (4, "{interval: 720h, strategy: Regenerate}", 0),
            (5, "{interval: 30d, maxAge: 61d}", 5),
            (6, "{interval: 29d, maxAge: 61d}", 6),
            // Neither what can't be read nor the way back from it is a change.
            (7, "{interval: 29d, maxAge: 1d}", 6),
            (8, "{interval: 29d, maxAge: 61d}", 6),
        ] {
            recorded = counted(&recorded, &spec(text), &[], minute).fleet;
            assert_eq!(recorded.effective_since, Some(at(since)), "{text}");
        }
        let wiped = counted(&FleetStatus::default(), &spec("{interval: 29d, maxAge: 61d}"), &[], 9).fleet;
        assert_eq!(wiped.effective_since, Some(at(9)), "what is not recorded begins now");
    }

    #[test]
    fn scheduled_failures_of_different_clients_halt_and_a_requested_success_goes_on() {
        let monthly = spec("interval: 30d");
        let mut followers = vec![
            ended("a", "Failed", "Schedule", 1),
            ended("b", "Failed", "Schedule", 2),
            ended("c", "Failed", "Request", 3),
            ended("d", "Aborted", "Schedule", 3),
            ended("e", "Refused", "Schedule", 3),
            ended("f", "Failed", "Repair", 3),
        ];
        let two = counted(&fresh(), &monthly, &followers, 4).fleet;
        assert_eq!((two.halted.clone(), two.consecutive_failures.len()), (None, 2));
        followers.push(ended("g", "Failed", "Schedule", 5));
        let halted = counted(&two, &monthly, &followers, 6).fleet;
        assert_eq!((halted.halted.clone(), halted.next_rotation.clone()), (Some(Halt { since: at(6) }), None));
        followers[5] = ended("f", "Succeeded", "Repair", 7);
        assert!(counted(&halted, &monthly, &followers, 8).fleet.halted.is_some(), "nobody looked");
        followers[2] = ended("c", "Succeeded", "Emergency", 8);
        assert_eq!(counted(&halted, &monthly, &followers, 9).fleet.halted, None);
    }

    #[test]
    fn a_success_counts_also_where_a_failure_came_after_it() {
        let monthly = spec("interval: 30d");
        let story = json!({ "lastRotation": last("Failed", "Schedule", 9), "history": [last("Succeeded", "Schedule", 5), last("Failed", "Schedule", 1)] });
        let followers = [object("a", json!({}), story), ended("b", "Failed", "Schedule", 3), ended("c", "Failed", "Schedule", 4)];
        let fleet = counted(&fresh(), &monthly, &followers, 10).fleet;
        assert_eq!(fleet.halted, None);
        assert_eq!(fleet.consecutive_failures.iter().map(|failure| failure.client.as_str()).collect::<Vec<_>>(), ["n/a"]);
    }

    #[test]
    fn what_happened_under_another_policy_does_not_count() {
        let before = |name: &str| {
            let status = json!({ "rotation": { "policySince": at(8) }, "lastRotation": last("Failed", "Schedule", 7) });
            object(name, json!({}), status)
        };
        let fleet = counted(&fresh(), &spec("interval: 30d"), &[before("a"), before("b"), before("c")], 9).fleet;
        assert_eq!((fleet.halted, fleet.consecutive_failures.len(), fleet.failed), (None, 0, Some(3)));
    }
}
