//! The shared heart of the API: state, clock, faults and log behind their locks, and who waits for changes. It reads no requests.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use super::controllers;
use super::faults::Faults;
use super::journal::Journal;
use super::settings::{Controllers, Settings};
use super::state::State;
use crate::Clock;

/// What a lock guards.
#[derive(Debug)]
pub(crate) struct Locked {
    pub(crate) state: State,
    controllers: Controllers,
}

/// Everything that the handles of one API share.
pub(crate) struct World {
    clock: Arc<dyn Clock>,
    locked: Mutex<Locked>,
    faults: Mutex<Faults>,
    journal: Mutex<Journal>,
    /// How many seconds pass in one of those who come by the network.
    pace: u32,
    /// Wakes the watches in the order in which they wait; a channel of tokio's would shuffle them.
    changed: Arc<Notify>,
    /// Who may come in by the network.
    admitted: Mutex<BTreeSet<String>>,
    /// How often the watches of each user were ended.
    disconnections: Mutex<BTreeMap<String, u64>>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("locked", &self.locked).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(crate) fn new(settings: Settings) -> Arc<Self> {
        let state = State::new(settings.seed, settings.history);
        Arc::new(Self {
            clock: settings.clock,
            locked: Mutex::new(Locked { state, controllers: settings.controllers }),
            faults: Mutex::default(),
            journal: Mutex::default(),
            pace: settings.pace.max(1),
            changed: Arc::default(),
            admitted: Mutex::new(BTreeSet::from(["admin".to_owned(), "system:anonymous".to_owned()])),
            disconnections: Mutex::default(),
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Locked> {
        lock(&self.locked)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    pub(crate) fn journal(&self) -> MutexGuard<'_, Journal> {
        lock(&self.journal)
    }

    /// Resolves at the next change after this call.
    pub(crate) fn changed(&self) -> OwnedNotified {
        Arc::clone(&self.changed).notified_owned()
    }

    /// Changes the state, lets the controllers follow, and wakes the watches.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut locked = self.lock();
        let before = locked.state.resource_version();
        let out = change(&mut locked.state);
        if locked.state.resource_version() != before && locked.controllers == Controllers::Automatic {
            controllers::settle(&mut locked.state, self.now());
        }
        let after = locked.state.resource_version();
        drop(locked);
        if after != before {
            self.wake();
        }
        out
    }

    /// How many seconds pass in one of those who come by the network.
    pub(crate) fn pace(&self) -> u32 {
        self.pace
    }

    /// Lets every watch look again.
    pub(crate) fn wake(&self) {
        self.changed.notify_waiters();
    }

    /// Lets a user come in by the network.
    pub(crate) fn admit(&self, user: &str) {
        lock(&self.admitted).insert(user.to_owned());
    }

    /// May a user come in by the network?
    pub(crate) fn knows(&self, user: &str) -> bool {
        lock(&self.admitted).contains(user)
    }

    /// Ends the watches of a user, as a restart of the server does.
    pub(crate) fn disconnect(&self, user: &str) {
        *lock(&self.disconnections).entry(user.to_owned()).or_default() += 1;
        self.wake();
    }

    /// How often the watches of a user were ended.
    pub(crate) fn disconnections(&self, user: &str) -> u64 {
        lock(&self.disconnections).get(user).copied().unwrap_or_default()
    }
}
