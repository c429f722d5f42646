//! What happened to the objects of one resource, kept for watches and old lists until it is compacted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

/// How an object changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Modified,
    Deleted,
}

/// One change of one object.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) resource_version: u64,
    pub(crate) key: String,
    pub(crate) change: Change,
    pub(crate) object: Arc<Value>,
    pub(crate) previous: Option<Arc<Value>>,
}

/// The changes of one resource, oldest first.
#[derive(Debug)]
pub(crate) struct History {
    events: VecDeque<Event>,
    /// Everything up to this resourceVersion is forgotten.
    compacted: u64,
}

/// What was asked for is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compacted {
    pub(crate) oldest: u64,
}

impl History {
    pub(crate) fn new(compacted: u64) -> Self {
        Self { events: VecDeque::new(), compacted }
    }

    pub(crate) fn push(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// Forgets everything up to a resourceVersion.
    pub(crate) fn compact(&mut self, up_to: u64) {
        while self.events.front().is_some_and(|event| event.resource_version <= up_to) {
            self.events.pop_front();
        }
        self.compacted = self.compacted.max(up_to);
    }

    /// What happened after a resourceVersion.
    pub(crate) fn since(&self, resource_version: u64) -> Result<impl Iterator<Item = &Event>, Compacted> {
        if resource_version < self.compacted {
            return Err(Compacted { oldest: self.compacted });
        }
        let start = self.events.partition_point(|event| event.resource_version <= resource_version);
        Ok(self.events.range(start..))
    }

    /// The objects as they were: the present ones with later changes undone.
    pub(crate) fn rewind(&self, mut objects: BTreeMap<String, Arc<Value>>, to: u64) -> Result<BTreeMap<String, Arc<Value>>, Compacted> {
        if to < self.compacted {
            return Err(Compacted { oldest: self.compacted });
        }
        for event in self.events.iter().rev().take_while(|event| event.resource_version > to) {
            match &event.previous {
                Some(previous) => objects.insert(event.key.clone(), Arc::clone(previous)),
                None => objects.remove(&event.key),
            };
        }
        Ok(objects)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(resource_version: u64, previous: Option<u64>) -> Event {
        let object = |version: u64| Arc::new(json!(version));
        let change = if previous.is_some() { Change::Modified } else { Change::Added };
        Event { resource_version, key: "a".into(), change, object: object(resource_version), previous: previous.map(object) }
    }

    #[test]
    fn old_states_come_back_until_they_are_compacted() {
        let mut history = History::new(0);
        history.push(event(1, None));
        history.push(event(2, Some(1)));
        history.push(event(3, Some(2)));
        history.compact(1);
        let now = BTreeMap::from([("a".to_owned(), Arc::new(json!(3)))]);
        assert_eq!(history.rewind(now.clone(), 2).expect("kept")["a"], Arc::new(json!(2)));
        assert_eq!(history.rewind(now.clone(), 1).expect("kept")["a"], Arc::new(json!(1)));
        assert_eq!(history.rewind(now, 0).expect_err("forgotten"), Compacted { oldest: 1 });
        assert_eq!(history.since(1).expect("kept").count(), 2);
        assert!(history.since(0).is_err());
    }
}
