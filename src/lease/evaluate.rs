//! What a replica does about the lease as it was observed. Pure: no clock, no request.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{api::coordination::v1::LeaseSpec, apimachinery::pkg::apis::meta::v1::MicroTime};
use tokio::time::Instant;

use super::Terms;

/// The record of a lease, and since when it stands like this on the local clock.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// The record.
    pub spec: LeaseSpec,
    /// The resourceVersion that it was read at.
    pub resource_version: Option<String>,
    /// When this process saw it first like this.
    pub since: Instant,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Make the lease, with this record.
    Create(LeaseSpec),
    /// Write this record over the one that was observed.
    Write(LeaseSpec),
    /// Another one holds it; it may be taken at this instant unless it changes before.
    WaitUntil(Instant),
}

/// Judges the lease as it was observed; none: there is no lease. `wall` is only written down, for people.
#[must_use]
pub fn evaluate(observed: Option<&Observed>, me: &str, terms: &Terms, now: Instant, wall: Timestamp) -> Step {
    let Some(observed) = observed else { return Step::Create(record(me, terms, wall, wall, 0)) };
    let spec = &observed.spec;
    let transitions = spec.lease_transitions.unwrap_or_default();
    match spec.holder_identity.as_deref().unwrap_or_default() {
        holder if holder == me => {
            let acquired = spec.acquire_time.as_ref().map_or(wall, |time| time.0);
            Step::Write(record(me, terms, acquired, wall, transitions))
        }
        "" => Step::Write(record(me, terms, wall, wall, transitions.saturating_add(1))),
        _ => {
            let free_at = observed.since + duration_of(spec, terms);
            if now < free_at { Step::WaitUntil(free_at) } else { Step::Write(record(me, terms, wall, wall, transitions.saturating_add(1))) }
        }
    }
}

/// The record that gives the lease up: the next one need not wait.
pub(super) fn released(held: &LeaseSpec, wall: Timestamp) -> LeaseSpec {
    LeaseSpec { holder_identity: None, lease_duration_seconds: Some(1), renew_time: Some(MicroTime(wall)), ..held.clone() }
}

/// How long the holder said that it may show no life; a record that does not say counts by our own terms.
fn duration_of(spec: &LeaseSpec, terms: &Terms) -> Duration {
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).filter(|seconds| *seconds > 0);
    seconds.map_or(terms.duration, Duration::from_secs)
}

fn record(me: &str, terms: &Terms, acquired: Timestamp, renewed: Timestamp, transitions: i32) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(me.to_owned()),
        lease_duration_seconds: Some(i32::try_from(terms.duration.as_secs()).unwrap_or(i32::MAX)),
        acquire_time: Some(MicroTime(acquired)),
        renew_time: Some(MicroTime(renewed)),
        lease_transitions: Some(transitions),
        ..LeaseSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms =
        Terms { duration: Duration::from_secs(15), renew_deadline: Duration::from_secs(10), retry_period: Duration::from_secs(2) };

    fn wall() -> Timestamp {
        "2026-06-01T12:00:00Z".parse().expect("a time")
    }

    fn held_by(holder: &str, since: Instant) -> Observed {
        // The wall clock of the holder is years off: it must not matter.
        let elsewhere = "2031-01-01T00:00:00Z".parse().expect("a time");
        let spec = LeaseSpec { lease_duration_seconds: Some(20), ..record(holder, &TERMS, elsewhere, elsewhere, 4) };
        Observed { spec, resource_version: Some("7".into()), since }
    }

    #[test]
    fn a_lease_that_is_not_there_is_made() {
        let Step::Create(made) = evaluate(None, "a", &TERMS, Instant::now(), wall()) else { panic!("it is to be made") };
        assert_eq!((made.holder_identity.as_deref(), made.lease_transitions, made.lease_duration_seconds), (Some("a"), Some(0), Some(15)));
    }

    #[test]
    fn its_holder_renews_it_and_keeps_the_time_of_its_acquisition() {
        let now = Instant::now();
        let observed = held_by("a", now);
        let Step::Write(written) = evaluate(Some(&observed), "a", &TERMS, now, wall()) else { panic!("it is to be renewed") };
        assert_eq!(written.acquire_time, observed.spec.acquire_time);
        assert_eq!((written.renew_time, written.lease_transitions), (Some(MicroTime(wall())), Some(4)));
    }

    #[test]
    fn another_one_waits_for_the_duration_that_the_record_names_on_its_own_clock() {
        let since = Instant::now();
        let observed = held_by("b", since);
        let free_at = since + Duration::from_secs(20);
        for passed in [0, 15, 19] {
            let now = since + Duration::from_secs(passed);
            assert_eq!(evaluate(Some(&observed), "a", &TERMS, now, wall()), Step::WaitUntil(free_at), "{passed} s");
        }
        let Step::Write(taken) = evaluate(Some(&observed), "a", &TERMS, free_at, wall()) else { panic!("it is to be taken") };
        assert_eq!((taken.holder_identity.as_deref(), taken.lease_transitions), (Some("a"), Some(5)));
    }

    #[test]
    fn a_released_lease_is_taken_at_once() {
        let now = Instant::now();
        let mut observed = held_by("b", now);
        observed.spec = released(&observed.spec, wall());
        assert_eq!((observed.spec.holder_identity.as_ref(), observed.spec.lease_transitions), (None, Some(4)));
        let Step::Write(taken) = evaluate(Some(&observed), "a", &TERMS, now, wall()) else { panic!("it is to be taken") };
        assert_eq!((taken.holder_identity.as_deref(), taken.lease_transitions), (Some("a"), Some(5)));
    }

    #[test]
    fn a_record_that_names_no_duration_counts_by_our_own_terms() {
        let since = Instant::now();
        for nothing in [None, Some(0), Some(-3)] {
            let mut observed = held_by("b", since);
            observed.spec.lease_duration_seconds = nothing;
            assert_eq!(evaluate(Some(&observed), "a", &TERMS, since, wall()), Step::WaitUntil(since + TERMS.duration));
        }
    }
}
