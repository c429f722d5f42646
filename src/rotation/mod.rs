//! The arithmetic of rotation: when a credential's rotation is due, how a fleet is spread, when it halts. Pure: no client, no clock, no randomness.
//!
//! | file | what it holds |
//! |---|---|
//! | [`policy`] | a policy as it is followed: parsed, with its defaults, within the organization's `maxCredentialAge` |
//! | [`windows`] | windows of cron and time zones, through daylight saving |
//! | [`mod@dates`] | the dates of one credential, and the order of a queue |
//! | [`halt`] | failures in a row, and when they stop a policy |

pub mod dates;
pub mod halt;
pub mod policy;
pub mod windows;

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

pub use dates::{Dates, Expiry, Issue, QueueKey, Standing, Turn, dates, next_three};
pub use halt::{Failures, Outcome, Trigger, count_failures};
pub use policy::{Overlap, Policy, PolicyRefusal, Schedule, digest, effective, effective_since};
pub use windows::{WindowRefusal, Windows};

/// A time some while later; the end of time where it would lie past that.
fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// A time some while earlier; the beginning of time where it would lie before that.
fn earlier(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_sub(by).unwrap_or(Timestamp::MIN)
}

/// The first 64 bits of the SHA-256: the same on every machine and in every version.
fn hash(bytes: &[u8]) -> u64 {
    Sha256::digest(bytes).iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
