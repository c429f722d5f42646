//! The stored clients with their past, their secrets and their grants; it must not know the rules of the API.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::clock::{earlier, later};
use crate::digest::hex;
use crate::model::{OAuthClient, RoleDivision};

/// How long old versions are kept, for lists and reads that lag behind.
const PAST: Duration = Duration::from_secs(3600);

/// A secret and the time in which the login host takes it.
#[derive(Clone)]
struct StoredSecret {
    text: String,
    from: Timestamp,
    until: Option<Timestamp>,
}

/// A role that a client holds, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) pair: RoleDivision,
    pub(crate) made_at: Timestamp,
    /// Was a caller seen before the grant had spread? Then a stale negative answer is cached somewhere.
    pinned: bool,
}

/// A client, its past and what belongs to it. It has no `Debug`: its secrets must not be printed.
pub(crate) struct Record {
    /// What the client was from these times on; none means deleted. Never empty.
    versions: Vec<(Timestamp, Option<OAuthClient>)>,
    secrets: Vec<StoredSecret>,
    grants: Vec<Grant>,
    sequence: u64,
}

impl Record {
    /// The client as it is, unless it was deleted.
    pub(crate) fn present(&self) -> Option<&OAuthClient> {
        self.versions.last().and_then(|(_, client)| client.as_ref())
    }

    /// The client as it was then.
    fn at(&self, moment: Timestamp) -> Option<&OAuthClient> {
        self.versions.iter().rev().find(|(since, _)| *since <= moment).and_then(|(_, client)| client.as_ref())
    }

    /// The client before it was deleted, and when that was.
    pub(crate) fn deleted(&self) -> Option<(&OAuthClient, Timestamp)> {
        let (at, None) = self.versions.last()? else { return None };
        let client = self.versions.iter().rev().find_map(|(_, client)| client.as_ref())?;
        Some((client, *at))
    }

    /// Does the login host take this secret now?
    pub(crate) fn takes(&self, secret: &str, now: Timestamp) -> bool {
        self.secrets.iter().any(|own| own.text == secret && own.from <= now && own.until.is_none_or(|until| now < until))
    }

    /// The newest secret.
    pub(crate) fn secret(&self) -> &str {
        self.secrets.last().map_or("", |secret| secret.text.as_str())
    }

    /// All grants, spread or not.
    pub(crate) fn grants(&self) -> &[Grant] {
        &self.grants
    }

    fn push(&mut self, now: Timestamp, client: Option<OAuthClient>) {
        let keep_from = earlier(now, PAST);
        let first = self.versions.iter().rposition(|(since, _)| *since <= keep_from).unwrap_or(0);
        self.versions.drain(..first);
        self.versions.push((now, client));
    }

    fn grant(&mut self, pairs: &[RoleDivision], now: Timestamp) {
        let old = std::mem::take(&mut self.grants);
        self.grants = pairs
            .iter()
            .map(|pair| {
                let kept = old.iter().find(|grant| grant.pair == *pair).cloned();
                kept.unwrap_or_else(|| Grant { pair: pair.clone(), made_at: now, pinned: false })
            })
            .collect();
    }
}

/// When a reset secret starts to work, and how long the one before still does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handover {
    pub(crate) new_after: Duration,
    pub(crate) old_for: Duration,
}

/// How long grants take to work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) time: Duration,
    pub(crate) pinned: Duration,
}

/// All clients of the organization, the deleted ones too.
#[derive(Default)]
pub(crate) struct Clients {
    records: BTreeMap<String, Record>,
    last_sequence: u64,
}

impl Clients {
    pub(crate) fn insert(&mut self, client: OAuthClient, secret: String, now: Timestamp) {
        self.last_sequence += 1;
        let mut record = Record {
            versions: Vec::new(),
            secrets: vec![StoredSecret { text: secret, from: now, until: None }],
            grants: Vec::new(),
            sequence: self.last_sequence,
        };
        record.grant(&client.role_divisions, now);
        let id = client.id.clone();
        record.push(now, Some(client));
        self.records.insert(id, record);
    }

    /// A digest of all clients as they are and of their secrets.
    pub(crate) fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        for (id, record) in &self.records {
            let client = record.present().map(|client| client.json().to_string());
            hasher.update(format!("{id} {} {}\n", client.unwrap_or_default(), record.secret()));
        }
        hex(&hasher.finalize())
    }

    /// Stores a new version of a client that exists.
    pub(crate) fn replace(&mut self, client: OAuthClient, now: Timestamp) {
        if let Some(record) = self.records.get_mut(&client.id) {
            record.grant(&client.role_divisions, now);
            record.push(now, Some(client));
        }
    }

    pub(crate) fn delete(&mut self, id: &str, now: Timestamp) {
        if let Some(record) = self.records.get_mut(id) {
            record.push(now, None);
        }
    }

    /// Gives a client a new secret.
    pub(crate) fn set_secret(&mut self, id: &str, secret: String, now: Timestamp, handover: Handover) {
        if let Some(record) = self.records.get_mut(id) {
            let old_until = later(now, handover.old_for);
            record.secrets.retain(|old| old.until.is_none_or(|until| now < until));
            for old in &mut record.secrets {
                old.until = Some(old.until.map_or(old_until, |until| until.min(old_until)));
            }
            record.secrets.push(StoredSecret { text: secret, from: later(now, handover.new_after), until: None });
        }
    }

    /// The record of a client, deleted or not.
    pub(crate) fn record(&self, id: &str) -> Option<&Record> {
        self.records.get(id)
    }

    /// The client as it is.
    pub(crate) fn present(&self, id: &str) -> Option<&OAuthClient> {
        self.records.get(id).and_then(Record::present)
    }

    /// The client as it was then.
    pub(crate) fn at(&self, id: &str, moment: Timestamp) -> Option<&OAuthClient> {
        self.records.get(id).and_then(|record| record.at(moment))
    }

    /// All clients as they are, oldest first.
    pub(crate) fn all(&self) -> Vec<&OAuthClient> {
        self.ordered(Record::present)
    }

    /// All clients as they were then, oldest first.
    pub(crate) fn all_at(&self, moment: Timestamp) -> Vec<&OAuthClient> {
        self.ordered(|record| record.at(moment))
    }

    /// Ids of the clients whose `dateToDelete` has come.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<String> {
        self.records
            .values()
            .filter_map(Record::present)
            .filter(|client| client.date_to_delete.is_some_and(|date| date <= now))
            .map(|client| client.id.clone())
            .collect()
    }

    /// The grants of a client that work by now.
    pub(crate) fn spread_grants(&mut self, id: &str, now: Timestamp, spread: Spread) -> Vec<RoleDivision> {
        let Some(record) = self.records.get_mut(id) else { return Vec::new() };
        let mut working = Vec::new();
        for grant in &mut record.grants {
            let spread_at = later(grant.made_at, spread.time);
            grant.pinned |= now < spread_at;
            let works_at = if grant.pinned { later(spread_at, spread.pinned) } else { spread_at };
            if works_at <= now {
                working.push(grant.pair.clone());
            }
        }
        working
    }

    fn ordered<'a>(&'a self, pick: impl Fn(&'a Record) -> Option<&'a OAuthClient>) -> Vec<&'a OAuthClient> {
        let mut found: Vec<_> = self.records.values().filter_map(|record| pick(record).map(|client| (record.sequence, client))).collect();
        found.sort_by_key(|(sequence, _)| *sequence);
        found.into_iter().map(|(_, client)| client).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::model::fixtures::client;

    const AT_ONCE: Handover = Handover { new_after: Duration::ZERO, old_for: Duration::ZERO };

    #[test]
    fn a_lagging_view_shows_the_past() {
        let (mut clients, clock) = (Clients::default(), ManualClock::default());
        let created = clock.now();
        clients.insert(client("a"), "s".to_owned(), created);
        clock.advance(Duration::from_secs(10));
        clients.replace(OAuthClient { name: "renamed".to_owned(), ..client("a") }, clock.now());
        clock.advance(Duration::from_secs(10));
        clients.delete("a", clock.now());
        let name = |seconds| clients.at("a", later(created, Duration::from_secs(seconds))).map(|client| client.name.as_str());
        assert_eq!([name(9), name(10), name(19), name(20)], [Some("client a"), Some("renamed"), Some("renamed"), None]);
        assert!(clients.at("a", earlier(created, Duration::from_secs(1))).is_none());
        assert_eq!(clients.record("a").and_then(Record::deleted).map(|(_, at)| at), Some(clock.now()));
    }

    #[test]
    fn a_reset_kills_the_old_secret_at_once_or_later_as_told() {
        let (mut clients, clock) = (Clients::default(), ManualClock::default());
        clients.insert(client("a"), "one".to_owned(), clock.now());
        clients.set_secret("a", "two".to_owned(), clock.now(), AT_ONCE);
        let takes = |clients: &Clients, secret: &str| clients.record("a").expect("stored").takes(secret, clock.now());
        assert!(!takes(&clients, "one") && takes(&clients, "two"));
        let slow = Handover { new_after: Duration::from_secs(5), old_for: Duration::from_secs(9) };
        clients.set_secret("a", "three".to_owned(), clock.now(), slow);
        assert!(takes(&clients, "two") && !takes(&clients, "three"));
        clock.advance(Duration::from_secs(9));
        assert!(!takes(&clients, "two") && takes(&clients, "three"));
    }

    #[test]
    fn fresh_grants_take_their_time_and_longer_if_somebody_looked() {
        let (mut clients, clock) = (Clients::default(), ManualClock::default());
        let pair = RoleDivision { role_id: "r".to_owned(), division_id: "*".to_owned() };
        for id in ["patient", "hasty"] {
            clients.insert(OAuthClient { role_divisions: vec![pair.clone()], ..client(id) }, String::new(), clock.now());
        }
        let spread = Spread { time: Duration::from_secs(10), pinned: Duration::from_secs(30) };
        assert!(clients.spread_grants("hasty", clock.now(), spread).is_empty());
        clock.advance(Duration::from_secs(10));
        assert_eq!(clients.spread_grants("patient", clock.now(), spread), [pair]);
        assert!(clients.spread_grants("hasty", clock.now(), spread).is_empty());
        clock.advance(Duration::from_secs(30));
        assert_eq!(clients.spread_grants("hasty", clock.now(), spread).len(), 1);
    }
}
