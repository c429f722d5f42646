//! What `/metrics` shows: one registry, whose values are read when it is asked. A scrape must not call the platform or Kubernetes, wait for
//! anybody, or show a secret: labels are names of objects and words of the operator's own.
//!
//! | file | what it holds |
//! |---|---|
//! | [`catalog`] | every family: name, type, labels, help |
//! | [`page`] | how samples of a family are written |
//! | [`objects`] | what the watched objects tell (pure) |
//! | [`organizations`] | what the connections to the platform tell |
//! | [`calls`], [`passes`] | what is counted as it happens |
//! | [`serve`] | the answer to Prometheus |

pub mod calls;
pub mod catalog;
pub mod objects;
pub mod organizations;
pub mod page;
pub mod passes;
pub mod serve;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use kube::runtime::reflector::Store;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text},
    registry::Registry,
};
use tokio::time::Instant;

use crate::{
    api::{GenesysOrganization, GenesysRotationPolicy},
    controller::{
        context::Chance,
        fleet::Fleet,
        sessions::{Sessions, Standing},
    },
    observability::probes::Pulse,
};

use calls::Calls;
use objects::Objects;
use organizations::Connection;
use page::Page;
use passes::Passes;

/// The metrics of this process. Clones show the same.
#[derive(Clone)]
pub struct Metrics {
    shown: Arc<Shown>,
    registry: Arc<Registry>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(Arc::default())
    }
}

impl std::ops::Deref for Metrics {
    type Target = Shown;

    fn deref(&self) -> &Shown {
        &self.shown
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Where the values are.
pub struct Shown {
    /// The calls of the platform.
    pub calls: Calls,
    /// What the controllers did.
    pub passes: Passes,
    /// What this process is doing.
    pub pulse: Arc<Pulse>,
    work: OnceLock<Work>,
    organizations: Mutex<Vec<Store<GenesysOrganization>>>,
    policies: Mutex<Vec<Store<GenesysRotationPolicy>>>,
}

/// What a process knows once it works.
pub struct Work {
    /// The clients.
    pub fleet: Arc<Fleet>,
    /// The connections.
    pub sessions: Arc<Sessions>,
    /// The wall clock.
    pub chance: Arc<dyn Chance>,
}

impl Metrics {
    /// Of a process that does not work yet.
    #[must_use]
    pub fn new(pulse: Arc<Pulse>) -> Self {
        let shown = Arc::new(Shown {
            calls: Calls::default(),
            passes: Passes::default(),
            pulse,
            work: OnceLock::new(),
            organizations: Mutex::default(),
            policies: Mutex::default(),
        });
        let mut registry = Registry::default();
        registry.register_collector(Box::new(shown.clone()));
        Self { shown, registry: Arc::new(registry) }
    }

    /// All of it as OpenMetrics text.
    ///
    /// # Errors
    /// None that is known: the text is written into memory.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shown {
    /// The process works from now on, and this is what it knows.
    pub fn works(&self, work: Work) {
        // A process begins to work once.
        let _ = self.work.set(work);
    }

    /// Adds the organizations of a controller.
    pub fn add_organizations(&self, store: Store<GenesysOrganization>) {
        lock(&self.organizations).push(store);
    }

    /// Adds the rotation policies of a controller.
    pub fn add_policies(&self, store: Store<GenesysRotationPolicy>) {
        lock(&self.policies).push(store);
    }

    fn objects(&self) -> Objects {
        Objects {
            clients: self.work.get().map(|work| work.fleet.objects()).unwrap_or_default(),
            organizations: lock(&self.organizations).iter().flat_map(Store::state).collect(),
            policies: lock(&self.policies).iter().flat_map(Store::state).collect(),
        }
    }

    /// The connections of organizations that exist; one that was deleted may be known for a while.
    fn connections(&self, objects: &Objects) -> Vec<Connection> {
        let Some(work) = self.work.get() else { return vec![] };
        let connection = |(organization, standing): (String, Standing)| {
            let platform = match standing {
                Standing::Ready(session) => Some(session.platform.clone()),
                Standing::NotReady { platform, .. } => platform,
                Standing::NotYet => None,
            };
            let budgets = platform.map(|platform| [platform.budget().view(), platform.login_budget().view()]);
            let age = Instant::now().saturating_duration_since(work.sessions.unscanned_since(&organization));
            let scanned = work.chance.now().checked_sub(age).ok();
            let calls = self.calls.of(&organization);
            Connection { organization, budgets, scanned, calls }
        };
        let exist = objects.organizations.iter().filter_map(|organization| organization.metadata.name.as_ref());
        let mut all: Vec<Connection> = exist.map(|name| (name.clone(), work.sessions.standing(name))).map(connection).collect();
        all.sort_unstable_by(|one, two| one.organization.cmp(&two.organization));
        all
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").finish_non_exhaustive()
    }
}

impl Collector for Shown {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page::new(encoder);
        page.info(&catalog::BUILD, [env!("CARGO_PKG_VERSION").to_owned()])?;
        page.gauges(&catalog::LEADING, [([], f64::from(u8::from(self.pulse.leads())))])?;
        let objects = self.objects();
        objects::write(&objects, &mut page)?;
        organizations::write(&self.connections(&objects), &mut page)?;
        page.counted(&catalog::ROTATION_STEPS, &self.passes.steps)?;
        page.counted(&catalog::ROTATIONS, &self.passes.rotations)?;
        page.counted(&catalog::RECONCILE_DURATION, &self.passes.durations)?;
        page.counted(&catalog::RECONCILE_ERRORS, &self.passes.errors)
    }
}
