//! All objects, one counter of resourceVersions, and what happened; it judges no request.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::builtin;
use super::history::{Change, Compacted, Event, History};
use super::identity::Identity;
use super::object;
use super::resource::{GroupResource, Kind, Registry};

/// The first resourceVersion: a real server starts at 1, and has written a little when it is ready.
const FIRST: u64 = 1;

/// Everything that the API knows.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) kinds: Registry,
    pub(crate) identity: Identity,
    objects: BTreeMap<GroupResource, BTreeMap<String, Arc<Value>>>,
    history: BTreeMap<GroupResource, History>,
    /// How many resourceVersions are kept, of all resources together: a compaction is one for all.
    history_limit: usize,
    resource_version: u64,
    compacted: u64,
}

impl State {
    pub(crate) fn new(seed: u64, history_limit: usize) -> Self {
        Self {
            kinds: builtin::registry(),
            identity: Identity::new(seed),
            objects: BTreeMap::new(),
            history: BTreeMap::new(),
            history_limit,
            resource_version: FIRST,
            compacted: 0,
        }
    }

    /// The newest resourceVersion.
    pub(crate) fn resource_version(&self) -> u64 {
        self.resource_version
    }

    pub(crate) fn get(&self, resource: &GroupResource, key: &str) -> Option<&Arc<Value>> {
        self.objects.get(resource)?.get(key)
    }

    /// The objects of a resource by key, which is the order of lists.
    pub(crate) fn objects(&self, resource: &GroupResource) -> impl Iterator<Item = (&String, &Arc<Value>)> {
        self.objects.get(resource).into_iter().flatten()
    }

    /// The objects of a resource as they were.
    pub(crate) fn objects_at(&self, resource: &GroupResource, resource_version: u64) -> Result<BTreeMap<String, Arc<Value>>, Compacted> {
        let now = self.objects.get(resource).cloned().unwrap_or_default();
        match self.history.get(resource) {
            Some(history) => history.rewind(now, resource_version),
            None if resource_version < self.compacted => Err(Compacted { oldest: self.compacted }),
            None => Ok(now),
        }
    }

    /// What happened to a resource after a resourceVersion.
    pub(crate) fn since(&self, resource: &GroupResource, resource_version: u64) -> Result<Vec<Event>, Compacted> {
        match self.history.get(resource) {
            Some(history) => history.since(resource_version).map(|events| events.cloned().collect()),
            None if resource_version < self.compacted => Err(Compacted { oldest: self.compacted }),
            None => Ok(Vec::new()),
        }
    }

    /// Every resource that has objects.
    pub(crate) fn resources(&self) -> impl Iterator<Item = &GroupResource> {
        self.objects.iter().filter(|(_, objects)| !objects.is_empty()).map(|(resource, _)| resource)
    }

    /// Stores an object under the next resourceVersion.
    pub(crate) fn put(&mut self, resource: &GroupResource, key: &str, mut object: Value) -> Arc<Value> {
        self.resource_version += 1;
        object::set_metadata(&mut object, "resourceVersion", Some(self.resource_version.to_string().into()));
        let object = Arc::new(object);
        let previous = self.objects.entry(resource.clone()).or_default().insert(key.to_owned(), Arc::clone(&object));
        let change = if previous.is_some() { Change::Modified } else { Change::Added };
        self.record(resource, key, change, Arc::clone(&object), previous);
        object
    }

    /// Removes an object; gives it back as its last event shows it.
    pub(crate) fn remove(&mut self, resource: &GroupResource, key: &str) -> Option<Arc<Value>> {
        let previous = self.objects.get_mut(resource)?.remove(key)?;
        self.resource_version += 1;
        let mut last = Value::clone(&previous);
        object::set_metadata(&mut last, "resourceVersion", Some(self.resource_version.to_string().into()));
        let last = Arc::new(last);
        self.record(resource, key, Change::Deleted, Arc::clone(&last), Some(previous));
        Some(last)
    }

    fn record(&mut self, resource: &GroupResource, key: &str, change: Change, object: Arc<Value>, previous: Option<Arc<Value>>) {
        let compacted = self.compacted;
        let history = self.history.entry(resource.clone()).or_insert_with(|| History::new(compacted));
        history.push(Event { resource_version: self.resource_version, key: key.to_owned(), change, object, previous });
        let limit = u64::try_from(self.history_limit).unwrap_or(u64::MAX);
        // Not at every write: half of what is kept goes at once.
        if self.resource_version - self.compacted > limit.saturating_mul(2) {
            self.compact_to(self.resource_version - limit);
        }
    }

    /// Forgets all that happened up to now, as a compaction of the store does.
    pub(crate) fn compact(&mut self) {
        self.compact_to(self.resource_version);
    }

    fn compact_to(&mut self, resource_version: u64) {
        self.compacted = resource_version;
        for history in self.history.values_mut() {
            history.compact(resource_version);
        }
    }
}

/// The key of an object of a kind: its place in the store.
pub(crate) fn key(kind: &Kind, namespace: &str, name: &str) -> String {
    if kind.is_namespaced() { format!("{namespace}/{name}") } else { name.to_owned() }
}
