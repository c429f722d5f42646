//! What every pass shares: clients, settings, memory, sessions, and the sources of time and chance. Holds no decision.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::Client;

use super::{
    fleet::{Fleet, Policies},
    gate::Gates,
    memory::Memory,
    sessions::Sessions,
    watch::Malformed,
};
use crate::{
    genesys::{Regions, STOPPING, Transport},
    lease::{LEASE_ENDS, Tenure},
    marker::{NONCE_LENGTH, nonce},
    observability::{events::Events, metrics::Metrics, probes::Pulse},
    settings::Settings,
};

/// Where time and chance come from, so that a test can own both.
pub trait Chance: Send + Sync {
    /// The wall clock.
    fn now(&self) -> Timestamp;
    /// Ten random bytes.
    fn bytes(&self) -> [u8; NONCE_LENGTH];
    /// A number between 0 and 1, for jitter.
    fn fraction(&self) -> f64;
}

/// The machine's clock and its random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemChance;

impl Chance for SystemChance {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn bytes(&self) -> [u8; NONCE_LENGTH] {
        rand::random()
    }

    fn fraction(&self) -> f64 {
        rand::random()
    }
}

/// What every pass shares.
pub struct Context {
    /// The Kubernetes API, for calls.
    pub client: Client,
    /// The flags.
    pub settings: Settings,
    /// The regions that are known.
    pub regions: Regions,
    /// How calls reach the platform.
    pub transport: Arc<dyn Transport>,
    /// Time and chance.
    pub chance: Arc<dyn Chance>,
    /// What this process remembers of each object.
    pub memory: Memory,
    /// The objects of this process, and who of them rotates.
    pub fleet: Arc<Fleet>,
    /// The rotation policies as they were read.
    pub policies: Policies,
    /// The organizations that this process is logged in to.
    pub sessions: Arc<Sessions>,
    /// Lets the passes in, organization by organization.
    pub gates: Arc<Gates>,
    /// The objects that the types can't hold.
    pub malformed: Malformed,
    /// The one recorder of Events.
    pub events: Events,
    /// The random id of this process, which marks the intents that it wrote.
    pub epoch: String,
    /// The id of this cluster in markers.
    pub cluster_id: String,
    /// How long this process may still change anything.
    pub tenure: Tenure,
    /// What this process is doing, for the kubelet.
    pub pulse: Arc<Pulse>,
    /// What it counts and shows.
    pub metrics: Metrics,
}

impl Context {
    /// Asks all passes to stop: nobody is let in any more, nobody waits for a call, and what is under way comes to its end.
    pub fn stop(&self) {
        let waited = self.gates.close();
        self.sessions.close_budgets();
        tracing::info!(waited, "stopping: passes that waited are left to the next process, those under way are finished");
    }

    /// Why this process begins nothing that would have to be recovered if its answer came only after so long; none: it may.
    #[must_use]
    pub fn hands_over(&self, time: Duration) -> Option<&'static str> {
        if self.gates.are_closed() {
            return Some(STOPPING);
        }
        (!self.tenure.covers(time)).then_some(LEASE_ENDS)
    }

    /// The wall clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.chance.now()
    }

    /// How calls reach the platform of an organization, and are counted.
    #[must_use]
    pub fn transport_to(&self, organization: &str) -> Arc<dyn Transport> {
        self.metrics.calls.counted(organization, self.transport.clone())
    }

    /// A new nonce for a marker.
    #[must_use]
    pub fn nonce(&self) -> String {
        nonce(self.chance.bytes())
    }
}
