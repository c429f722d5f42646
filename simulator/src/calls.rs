//! The log of calls and the usage that follows from it; it must never hold a header, a body or a query.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::clock::dates;
use crate::digest::hex;
use crate::faults::FaultKind;
use crate::operations::Operation;

/// One call, as the simulator saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// Number of the call, from 1.
    pub sequence: u64,
    /// When it was carried out.
    #[serde(with = "dates::required")]
    pub time: Timestamp,
    /// What it asked for.
    pub operation: Operation,
    /// The HTTP method.
    pub method: String,
    /// The path, without its query.
    pub path: String,
    /// Id of the client that called: by its token, or by the credentials that it sent to the login host.
    pub caller: Option<String>,
    /// Id of the object that the call was about, also if the call made it.
    pub target: Option<String>,
    /// The status that was sent; none if no answer was.
    pub status: Option<u16>,
    /// Did the call change the platform's state?
    pub committed: bool,
    /// The fault that hit it.
    pub fault: Option<FaultKind>,
}

/// What usage counts by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UsageKey {
    pub(crate) client: String,
    pub(crate) day: Date,
    pub(crate) template: &'static str,
    pub(crate) method: String,
}

/// What usage counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct UsageCount {
    pub(crate) status200: u64,
    pub(crate) status300: u64,
    pub(crate) status400: u64,
    pub(crate) status429: u64,
    pub(crate) status500: u64,
    pub(crate) requests: u64,
}

impl UsageCount {
    pub(crate) fn add(&mut self, other: Self) {
        self.status200 += other.status200;
        self.status300 += other.status300;
        self.status400 += other.status400;
        self.status429 += other.status429;
        self.status500 += other.status500;
        self.requests += other.requests;
    }

    fn of(status: u16) -> Self {
        let mut count = Self { requests: 1, ..Self::default() };
        match status {
            429 => count.status429 = 1,
            200..=299 => count.status200 = 1,
            300..=399 => count.status300 = 1,
            400..=499 => count.status400 = 1,
            _ => count.status500 = 1,
        }
        count
    }
}

/// The last calls, and the usage of all.
#[derive(Debug, Default)]
pub(crate) struct CallLog {
    calls: VecDeque<Call>,
    last_sequence: u64,
    pub(crate) usage: BTreeMap<UsageKey, UsageCount>,
}

impl CallLog {
    /// Adds a call; the log numbers it.
    pub(crate) fn record(&mut self, call: Call, template: &'static str, limit: usize) {
        if let (Some(client), Some(status)) = (&call.caller, call.status)
            && template.starts_with("/api/")
        {
            let day = call.time.to_zoned(jiff::tz::TimeZone::UTC).date();
            let key = UsageKey { client: client.clone(), day, template, method: call.method.clone() };
            self.usage.entry(key).or_default().add(UsageCount::of(status));
        }
        self.last_sequence += 1;
        self.calls.push_back(Call { sequence: self.last_sequence, ..call });
        while self.calls.len() > limit {
            self.calls.pop_front();
        }
    }

    /// The calls after this number.
    pub(crate) fn since(&self, sequence: u64) -> impl DoubleEndedIterator<Item = &Call> {
        self.calls.iter().filter(move |call| call.sequence > sequence)
    }

    /// A digest of the calls that are kept, in their order.
    pub(crate) fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        for call in &self.calls {
            hasher.update(serde_json::to_string(call).unwrap_or_default());
            hasher.update("\n");
        }
        hex(&hasher.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    fn call(status: Option<u16>) -> Call {
        Call {
            sequence: 0,
            time: ManualClock::default().now(),
            operation: Operation::ListClients,
            method: "GET".to_owned(),
            path: "/api/v2/oauth/clients".to_owned(),
            caller: Some("a".to_owned()),
            target: None,
            status,
            committed: false,
            fault: None,
        }
    }

    #[test]
    fn the_log_numbers_calls_and_forgets_the_oldest() {
        let mut log = CallLog::default();
        for _ in 0..3 {
            log.record(call(Some(200)), "/api/v2/oauth/clients", 2);
        }
        let numbers: Vec<_> = log.since(0).map(|call| call.sequence).collect();
        assert_eq!(numbers, [2, 3]);
        assert_eq!(log.since(2).count(), 1);
    }

    #[test]
    fn the_digest_tells_the_order_of_calls() {
        let digest = |statuses: [u16; 2]| {
            let mut log = CallLog::default();
            for status in statuses {
                log.record(call(Some(status)), "/api/v2/oauth/clients", 10);
            }
            log.digest()
        };
        assert_eq!(digest([200, 503]), digest([200, 503]));
        assert_ne!(digest([200, 503]), digest([503, 200]));
    }

    #[test]
    fn usage_counts_by_status_and_leaves_out_lost_answers_and_the_login_host() {
        let mut log = CallLog::default();
        for status in [Some(200), Some(204), Some(404), Some(429), Some(503), None] {
            log.record(call(status), "/api/v2/oauth/clients", 10);
        }
        log.record(call(Some(200)), "/oauth/token", 10);
        let counts: Vec<_> = log.usage.values().copied().collect();
        let expected = UsageCount { status200: 2, status300: 0, status400: 1, status429: 1, status500: 1, requests: 5 };
        assert_eq!(counts, [expected]);
    }
}
