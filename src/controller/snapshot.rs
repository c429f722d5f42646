//! A scan of an organization, indexed once for all its readers: clients by id and by the owner of their marker. Makes no call and decides nothing.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

use super::memory::Recollection;
use crate::{
    api::GenesysOAuthClientStatus,
    genesys::{OAuthClient, Scan},
    marker::{Marker, Owner},
};

/// A number that changes with everything of a client that concerns its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Print(u64);

impl Print {
    /// The print of a client. Lists count as sets.
    #[must_use]
    pub fn of(client: &OAuthClient) -> Self {
        let mut hasher = DefaultHasher::new();
        (&client.name, &client.description, &client.grant_type, client.access_token_validity_seconds, &client.state).hash(&mut hasher);
        (as_set(&client.redirect_uris), as_set(&client.scopes), as_set(&client.role_divisions)).hash(&mut hasher);
        (client.date_modified, client.date_to_delete).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// A list in the order that a set has.
fn as_set<T: Ord>(list: &[T]) -> Vec<&T> {
    let mut set: Vec<&T> = list.iter().collect();
    set.sort_unstable();
    set.dedup();
    set
}

/// What is known of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Known {
    /// Nothing.
    #[default]
    Nothing,
    /// It is gone.
    Gone,
    /// It is there, and looks like this.
    As(Print),
}

impl From<Option<Print>> for Known {
    fn from(print: Option<Print>) -> Self {
        print.map_or(Self::Gone, Self::As)
    }
}

/// How a pass last saw a client.
#[derive(Clone, Debug)]
pub struct Sight {
    /// Its print; none: it was gone.
    pub print: Option<Print>,
    /// When it was last modified.
    pub modified: Option<Timestamp>,
    /// A scan that was begun before shows something older.
    pub believed_from: Instant,
}

impl Sight {
    /// The sight of a client of which scans tell from then on.
    #[must_use]
    pub fn of(client: &OAuthClient, believed_from: Instant) -> Self {
        Self { print: Some(Print::of(client)), modified: client.date_modified, believed_from }
    }
}

/// What a snapshot tells of a client that one object names.
#[derive(Clone, Debug)]
pub enum Listed {
    /// Nothing: there is no snapshot, or it is older than what this process knows already.
    NotTold,
    /// It is not there.
    Missing,
    /// It is there.
    Present(Box<OAuthClient>, Sight),
}

impl Listed {
    /// What is known of the client by it.
    #[must_use]
    pub fn known(&self) -> Known {
        match self {
            Self::NotTold => Known::Nothing,
            Self::Missing => Known::Gone,
            Self::Present(_, sight) => sight.print.into(),
        }
    }
}

/// A scan with its index.
#[derive(Debug)]
pub struct Snapshot {
    /// The scan.
    pub scan: Arc<Scan>,
    by_id: HashMap<String, usize>,
    marked: HashMap<Owner, Vec<(usize, String)>>,
    prints: Vec<Print>,
}

impl Snapshot {
    /// Indexes a scan.
    #[must_use]
    pub fn new(scan: Arc<Scan>) -> Self {
        let by_id = scan.clients.iter().enumerate().map(|(place, client)| (client.id.clone(), place)).collect();
        let prints = scan.clients.iter().map(Print::of).collect();
        let mut marked: HashMap<Owner, Vec<(usize, String)>> = HashMap::new();
        for (place, client) in scan.clients.iter().enumerate() {
            if let Some(marker) = client.description.as_deref().and_then(Marker::parse) {
                marked.entry(marker.owner).or_default().push((place, marker.nonce));
            }
        }
        Self { scan, by_id, marked, prints }
    }

    /// Just before the scan was sent.
    #[must_use]
    pub fn begun(&self) -> Instant {
        self.scan.begun
    }

    /// A client, with its print.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<(&OAuthClient, Print)> {
        self.by_id.get(id).map(|place| (&self.scan.clients[*place], self.prints[*place]))
    }

    /// Whether the snapshot counts for a client of an object: an own write overrides it until a scan that was begun a window later.
    #[must_use]
    pub fn counts(&self, memory: &Recollection, id: &str, window: Duration) -> bool {
        let written = memory.own_write.map(|write| write + window);
        let seen = memory.sights.get(id).map(|sight| sight.believed_from);
        written.max(seen).is_none_or(|from| self.begun() >= from)
    }

    /// Whether it may show a client older than a process before this one left it, as status tells: a list may lag behind a write for the
    /// consistency window. `now` is told by both clocks.
    #[must_use]
    pub fn may_lag_behind(&self, status: &GenesysOAuthClientStatus, window: Duration, now: (Timestamp, Instant)) -> bool {
        let age = |since: Timestamp| Duration::try_from(now.0.duration_since(since)).unwrap_or_default();
        // One that was just created was modified by nobody yet.
        let written = status.platform_modified_at.max(status.issued_at);
        written.is_some_and(|written| age(written) < window + now.1.saturating_duration_since(self.begun()))
    }

    /// What it tells of a client of an object.
    #[must_use]
    pub fn tells(&self, memory: &Recollection, id: &str, window: Duration) -> Listed {
        if !self.counts(memory, id, window) {
            return Listed::NotTold;
        }
        match self.get(id) {
            None => Listed::Missing,
            Some((client, print)) => {
                let sight = Sight { print: Some(print), modified: client.date_modified, believed_from: self.begun() };
                Listed::Present(Box::new(client.clone()), sight)
            }
        }
    }

    /// The clients that carry a marker of this owner, each with the nonce.
    pub fn marked_by<'a>(&'a self, owner: &Owner) -> impl Iterator<Item = (&'a OAuthClient, &'a str)> + use<'a> {
        self.marked.get(owner).into_iter().flatten().map(|(place, nonce)| (&self.scan.clients[*place], nonce.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::genesys::Kept;

    fn client(more: &Value) -> OAuthClient {
        let mut client = json!({
            "id": "c1", "name": "n", "scope": ["a", "b"], "registeredRedirectUri": ["https://a", "https://b"], "state": "active",
            "roleDivisions": [{ "roleId": "r1", "divisionId": "d1" }, { "roleId": "r2", "divisionId": "d1" }],
            "accessTokenValiditySeconds": 300, "dateModified": "2026-01-01T00:00:00Z",
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            client[key] = value.clone();
        }
        OAuthClient::from_json(client).expect("a client").0
    }

    #[test]
    fn a_print_changes_with_every_field_and_not_with_the_order_of_a_list() {
        let print = Print::of(&client(&json!({})));
        for change in [
            json!({ "name": "m" }),
            json!({ "description": "d" }),
            json!({ "scope": ["a"] }),
            json!({ "scope": ["a", "c"] }),
            json!({ "registeredRedirectUri": ["https://a"] }),
            json!({ "roleDivisions": [{ "roleId": "r1", "divisionId": "*" }] }),
            json!({ "state": "inactive" }),
            json!({ "authorizedGrantType": "CODE" }),
            json!({ "accessTokenValiditySeconds": 301 }),
            json!({ "dateModified": "2026-01-01T00:00:01Z" }),
            json!({ "dateToDelete": "2026-02-01T00:00:00Z" }),
        ] {
            assert_ne!(Print::of(&client(&change)), print, "{change}");
        }
        let turned = json!({
            "scope": ["b", "a", "b"], "registeredRedirectUri": ["https://b", "https://a"],
            "roleDivisions": [{ "roleId": "r2", "divisionId": "d1" }, { "roleId": "r1", "divisionId": "d1" }],
        });
        assert_eq!(Print::of(&client(&turned)), print);
    }

    #[tokio::test(start_paused = true)]
    async fn clients_are_found_by_id_and_by_the_owner_of_their_marker() {
        let owner = Owner::new("cluster", "team", "billing");
        let marked = |id: &str, nonce: &str| client(&json!({ "id": id, "description": owner.marker(nonce).to_string() }));
        let clients = vec![client(&json!({})), marked("c2", "abcdefgh22"), marked("c3", "abcdefgh33")];
        let snapshot = Snapshot::new(Arc::new(Scan { clients, begun: Instant::now(), kept: Kept::default() }));
        assert_eq!(snapshot.get("c2").map(|(client, _)| client.id.as_str()), Some("c2"));
        assert!(snapshot.get("c4").is_none());
        let found: Vec<_> = snapshot.marked_by(&owner).map(|(client, nonce)| (client.id.as_str(), nonce)).collect();
        assert_eq!(found, [("c2", "abcdefgh22"), ("c3", "abcdefgh33")]);
        assert_eq!(snapshot.marked_by(&Owner::new("cluster", "team", "other")).count(), 0);
    }
}
