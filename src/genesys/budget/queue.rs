//! Who waits, and who is next: by class, in turn between the namespaces of a class, in order of arrival within a namespace. Pure: it is
//! told the time, and must not wait.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::work::{Class, Urgency, Work};

/// Deletes own one slot in so many: they free room.
const DELETES_OWN: u32 = 10;

/// Those that wait.
#[derive(Debug)]
pub struct Queue<T> {
    lanes: [Lane<T>; Class::ALL.len()],
    /// Where each one stands, by its number.
    places: HashMap<u64, (Class, Arc<str>)>,
    last_number: u64,
    /// Slots since one went to a delete.
    since_delete: u32,
    /// Whether the last slot went to somebody who would not have been next by class.
    last_was_owned: bool,
    /// How often a scan owns a slot, and when one was served last.
    scan_interval: Duration,
    scan_served: Option<Instant>,
}

#[derive(Debug)]
struct Lane<T> {
    /// The namespaces with somebody who waits, in the order of their turns.
    turns: VecDeque<Arc<str>>,
    waiting: BTreeMap<Arc<str>, VecDeque<Waiting<T>>>,
    length: usize,
}

/// One that waits.
#[derive(Debug)]
pub struct Waiting<T> {
    /// The number by which it can be taken out.
    pub number: u64,
    /// Since when it waits.
    pub since: Instant,
    /// What is to be done for it.
    pub value: T,
    urgency: Urgency,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { turns: VecDeque::new(), waiting: BTreeMap::new(), length: 0 }
    }
}

impl<T> Lane<T> {
    fn push(&mut self, namespace: &Arc<str>, waiting: Waiting<T>) {
        let row = self.waiting.entry(Arc::clone(namespace)).or_default();
        if row.is_empty() {
            self.turns.push_back(Arc::clone(namespace));
        }
        row.push_back(waiting);
        self.length += 1;
    }

    fn pop(&mut self) -> Option<Waiting<T>> {
        let namespace = self.turns.pop_front()?;
        let row = self.waiting.get_mut(&namespace)?;
        let first = row.pop_front()?;
        self.length -= 1;
        if row.is_empty() {
            self.waiting.remove(&namespace);
        } else {
            self.turns.push_back(namespace);
        }
        Some(first)
    }

    /// Takes one out that goes away.
    fn remove(&mut self, namespace: &Arc<str>, number: u64) {
        let Some(row) = self.waiting.get_mut(namespace) else { return };
        let before = row.len();
        row.retain(|one| one.number != number);
        self.length -= before - row.len();
        if row.is_empty() {
            self.waiting.remove(namespace);
            self.turns.retain(|name| name != namespace);
        }
    }

    /// Takes those out that match, with their namespaces.
    fn take(&mut self, matches: impl Fn(&Waiting<T>) -> bool) -> Vec<(Arc<str>, Waiting<T>)> {
        let mut taken = Vec::new();
        for (namespace, row) in &mut self.waiting {
            for _ in 0..row.len() {
                let Some(one) = row.pop_front() else { break };
                if matches(&one) { taken.push((Arc::clone(namespace), one)) } else { row.push_back(one) }
            }
        }
        self.length -= taken.len();
        self.waiting.retain(|_, row| !row.is_empty());
        self.turns.retain(|namespace| self.waiting.contains_key(namespace));
        taken
    }

    /// How many of the lane come before another one of this namespace.
    fn before_another(&self, namespace: &str) -> usize {
        let own = self.waiting.get(namespace).map_or(0, VecDeque::len);
        self.waiting.iter().map(|(name, row)| if **name == *namespace { row.len() } else { row.len().min(own + 1) }).sum()
    }
}

impl<T> Queue<T> {
    /// Nobody waits; a scan owns a slot in each such time.
    #[must_use]
    pub fn new(scan_interval: Duration) -> Self {
        Self {
            lanes: std::array::from_fn(|_| Lane::default()),
            places: HashMap::new(),
            last_number: 0,
            since_delete: 0,
            last_was_owned: false,
            scan_interval,
            scan_served: None,
        }
    }

    /// Lets one join; its number takes it out again.
    pub fn push(&mut self, work: &Work, since: Instant, value: T) -> u64 {
        self.last_number += 1;
        let waiting = Waiting { number: self.last_number, since, value, urgency: work.urgency.clone() };
        self.place(&work.namespace, waiting);
        self.last_number
    }

    fn place(&mut self, namespace: &Arc<str>, waiting: Waiting<T>) {
        let class = waiting.urgency.class();
        self.places.insert(waiting.number, (class, Arc::clone(namespace)));
        self.lanes[class as usize].push(namespace, waiting);
    }

    /// The next one.
    pub fn pop(&mut self, now: Instant) -> Option<(Class, Waiting<T>)> {
        let first = Class::ALL.into_iter().find(|class| self.length(*class) > 0)?;
        let class = self.owner(first, now).unwrap_or(first);
        self.last_was_owned = class != first;
        self.since_delete = if class == Class::Delete { 0 } else { self.since_delete.saturating_add(1) };
        if class == Class::Scan {
            self.scan_served = Some(now);
        }
        let waiting = self.lanes[class as usize].pop()?;
        self.places.remove(&waiting.number);
        Some((class, waiting))
    }

    /// Who comes before the first by class, because the slot is its own. Never two in a row, so that an emergency waits for one at most.
    fn owner(&self, first: Class, now: Instant) -> Option<Class> {
        if self.last_was_owned {
            return None;
        }
        let scan_due = self.scan_served.is_none_or(|served| now.saturating_duration_since(served) >= self.scan_interval);
        if self.since_delete + 1 >= DELETES_OWN && self.length(Class::Delete) > 0 {
            Some(Class::Delete)
        } else if first != Class::Emergency && scan_due && self.length(Class::Scan) > 0 {
            Some(Class::Scan)
        } else {
            None
        }
    }

    /// Takes one out that goes away.
    pub fn remove(&mut self, number: u64) {
        if let Some((class, namespace)) = self.places.remove(&number) {
            self.lanes[class as usize].remove(&namespace, number);
        }
    }

    /// Takes everybody out.
    pub fn drain(&mut self) -> Vec<T> {
        self.places.clear();
        let lanes = self.lanes.iter_mut();
        lanes.flat_map(|lane| lane.take(|_| true)).map(|(_, waiting)| waiting.value).collect()
    }

    /// Puts those into their place whose urgency was raised.
    pub fn reorder(&mut self) {
        for class in Class::ALL {
            for (namespace, waiting) in self.lanes[class as usize].take(|one| one.urgency.class() != class) {
                self.place(&namespace, waiting);
            }
        }
    }

    /// How many of a class wait.
    #[must_use]
    pub fn length(&self, class: Class) -> usize {
        self.lanes[class as usize].length
    }

    /// How many wait.
    #[must_use]
    pub fn total(&self) -> usize {
        self.lanes.iter().map(|lane| lane.length).sum()
    }

    /// How many come before one that joins now; owned slots are not reckoned.
    #[must_use]
    pub fn ahead(&self, class: Class, namespace: &str) -> usize {
        let before: usize = self.lanes[..class as usize].iter().map(|lane| lane.length).sum();
        before + self.lanes[class as usize].before_another(namespace)
    }

    /// How often a scan owns a slot.
    pub fn set_scan_interval(&mut self, interval: Duration) {
        self.scan_interval = interval;
    }
}

#[cfg(test)]
mod tests;
