//! The arithmetic of rotation: tables, properties and whole fleets, as pure simulation of dates. Starts nothing and waits for nothing.

mod dates;
mod fleets;
mod page;
mod policies;
mod windows;

use genesys_oauth_operator::{
    api::RotationPolicySpec,
    rotation::{Policy, PolicyRefusal, Schedule},
};
use jiff::Timestamp;
use serde_json::Value;

/// Reads an instant.
fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// An instant that all tests agree on: a Monday.
fn monday() -> Timestamp {
    at("2027-01-04T12:00:00Z")
}

fn hours(count: u64) -> std::time::Duration {
    std::time::Duration::from_secs(3600 * count)
}

fn days(count: u64) -> std::time::Duration {
    hours(24 * count)
}

/// A spec as a server stores it.
fn spec(value: &Value) -> RotationPolicySpec {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{value}: {error}"))
}

/// The policy alone, measured from [`monday`].
fn policy(value: &Value) -> Result<Policy, PolicyRefusal> {
    Policy::parse(&spec(value), None, monday())
}

fn schedule(value: &Value) -> Schedule {
    policy(value).unwrap_or_else(|refusal| panic!("{value}: {refusal}")).schedule.expect("a policy of a spec has a schedule")
}
