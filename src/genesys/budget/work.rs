//! For whom a call is made: its class, which orders the service, and its namespace, which is served in turn with the others of the
//! class. Holds no queue and no clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// What a call is part of, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// A person asked for the end of a credential at once.
    Emergency,
    /// A rotation close to its deadline, or the repair of a credential that works no longer.
    UrgentRotation,
    /// The end of a client: it makes room.
    Delete,
    /// A first client, or a rotation that is due.
    Create,
    /// The application of an edit, and what only looks.
    Update,
    /// The list of all clients.
    Scan,
    /// What is asked of single clients for the inventory alone: nobody waits for it.
    Inventory,
}

impl Class {
    /// Every class, the most urgent first.
    pub const ALL: [Self; 7] =
        [Self::Emergency, Self::UrgentRotation, Self::Delete, Self::Create, Self::Update, Self::Scan, Self::Inventory];

    /// The name for metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Emergency => "Emergency",
            Self::UrgentRotation => "UrgentRotation",
            Self::Delete => "Delete",
            Self::Create => "Create",
            Self::Update => "Update",
            Self::Scan => "Scan",
            Self::Inventory => "Inventory",
        }
    }

    fn from_index(index: u8) -> Self {
        Self::ALL[usize::from(index).min(Self::ALL.len() - 1)]
    }
}

/// How urgent a piece of work is. Clones share it: work that others come to wait for becomes as urgent as they are.
#[derive(Debug, Clone)]
pub struct Urgency(Arc<AtomicU8>);

impl Urgency {
    /// As urgent as this class.
    #[must_use]
    pub fn new(class: Class) -> Self {
        Self(Arc::new(AtomicU8::new(class as u8)))
    }

    /// The class at the moment.
    #[must_use]
    pub fn class(&self) -> Class {
        Class::from_index(self.0.load(Ordering::Relaxed))
    }

    /// Makes it at least as urgent as this class; says whether that changed it.
    #[must_use]
    pub fn raise(&self, class: Class) -> bool {
        self.0.fetch_min(class as u8, Ordering::Relaxed) > class as u8
    }
}

/// For whom calls are made.
#[derive(Debug, Clone)]
pub struct Work {
    /// How urgent it is.
    pub urgency: Urgency,
    /// Whose it is: a namespace, or empty for what belongs to the whole organization.
    pub namespace: Arc<str>,
}

impl Work {
    /// Work of this class for a namespace.
    #[must_use]
    pub fn new(class: Class, namespace: &str) -> Self {
        Self { urgency: Urgency::new(class), namespace: Arc::from(namespace) }
    }
}

impl Default for Work {
    /// What belongs to the whole organization.
    fn default() -> Self {
        Self::new(Class::Update, "")
    }
}
