//! What an API is made with; nothing here changes while it runs.

use std::fmt;
use std::sync::Arc;

use crate::Clock;

/// Do the cluster's controllers run by themselves?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Controllers {
    /// After every write, until nothing is left to do.
    #[default]
    Automatic,
    /// Only when a test calls them.
    ByHand,
}

/// What an API is made with.
#[derive(Clone)]
pub struct Settings {
    /// Seed of uids and generated names.
    pub seed: u64,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// How many changes are kept at least; a watch or a list from long before is told 410.
    pub history: usize,
    /// Who collects garbage and ends namespaces.
    pub controllers: Controllers,
    /// How many seconds of tokio's time pass in one second of those who come by the network. A demo that lets a day pass in
    /// seconds says so here, for their watches last as long as they say.
    pub pace: u32,
}

impl Settings {
    /// The settings with their defaults.
    #[must_use]
    pub fn new(seed: u64, clock: Arc<dyn Clock>) -> Self {
        Self { seed, clock, history: 10_000, controllers: Controllers::Automatic, pace: 1 }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("seed", &self.seed)
            .field("history", &self.history)
            .field("controllers", &self.controllers)
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}
