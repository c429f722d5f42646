//! The log of requests that tests read; it decides nothing.

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::request::Verb;
use crate::digest::hex;

/// A request that came, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRequest {
    /// Its number, from 1.
    pub sequence: u64,
    /// When it came.
    pub time: Timestamp,
    /// What it asked for.
    pub verb: Verb,
    /// The API group; empty for the core group.
    pub group: String,
    /// The version of the group.
    pub version: String,
    /// The resource, in plural.
    pub resource: String,
    /// The subresource, or nothing.
    pub subresource: String,
    /// The namespace, or nothing.
    pub namespace: String,
    /// The name of the object, or nothing.
    pub name: String,
    /// Who asked.
    pub user: String,
    /// The status of the answer, or of the answer that was lost; 0 if the request was not carried out and not answered.
    pub status: u16,
    /// Was it only tried?
    pub dry_run: bool,
    /// Did it change anything?
    pub wrote: bool,
}

/// The requests so far.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    requests: Vec<LoggedRequest>,
    next: u64,
}

impl Journal {
    pub(crate) fn push(&mut self, mut request: LoggedRequest) {
        self.next += 1;
        request.sequence = self.next;
        self.requests.push(request);
    }

    pub(crate) fn requests(&self) -> &[LoggedRequest] {
        &self.requests
    }

    pub(crate) fn clear(&mut self) {
        self.requests.clear();
    }

    /// A digest of everything that came, in its order.
    pub(crate) fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        for one in &self.requests {
            let line = format!(
                "{} {} {} {}/{}/{}/{} {}/{} {} {} {} {}\n",
                one.sequence,
                one.time,
                one.verb,
                one.group,
                one.version,
                one.resource,
                one.subresource,
                one.namespace,
                one.name,
                one.user,
                one.status,
                one.dry_run,
                one.wrote
            );
            hasher.update(line.as_bytes());
        }
        hex(&hasher.finalize())
    }
}
