//! Puts a running operator together: from its settings alone, or from parts that a test or a demo brings. Decides nothing.

use std::{net::SocketAddr, sync::Arc};

use futures::FutureExt as _;
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Namespace};
use kube::{Api, Client, Config, ResourceExt as _};

use crate::{
    connection,
    controller::{
        self, Clients,
        context::{Chance, Context, SystemChance},
        fleet::{Fleet, Policies},
        gate::Gates,
        memory::Memory,
        sessions::Sessions,
        watch::Malformed,
    },
    genesys::{HttpTransport, Regions, SetupError, Transport},
    lease::{Fenced, Keeper, Lost, Tenure},
    marker::nonce,
    observability::{
        events::{Audience, Events},
        metrics::{self, Metrics, serve},
        probes,
    },
    settings::{LeaderElection, Settings},
};

/// Why the operator could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no way to the Kubernetes API.
    #[error("no connection to Kubernetes: {0}; set KUBECONFIG, or run in a cluster")]
    Kubeconfig(#[from] kube::config::InferConfigError),
    /// The Kubernetes API did not answer.
    #[error("the Kubernetes API does not answer: {0}")]
    Kubernetes(#[from] kube::Error),
    /// The namespace that names the cluster can't be read.
    #[error(
        "the uid of namespace kube-system, by which markers name this cluster, can't be read: {0}; allow the operator to get it, or set --cluster-id"
    )]
    ClusterId(String),
    /// Nothing can listen where probes are to be answered.
    #[error("probes can't be answered at {0}: {1}; choose another --probe-address")]
    Probes(SocketAddr, std::io::Error),
    /// Nothing can listen where metrics are to be shown.
    #[error("metrics can't be shown at {0}: {1}; choose another --metrics-address")]
    Metrics(SocketAddr, std::io::Error),
    /// The terms of the lease can't be kept.
    #[error("--lease-duration, --lease-renew-deadline and --lease-retry-period don't fit: {0}")]
    LeaseTerms(String),
    /// Another replica works now, or nobody knows.
    #[error("the lease is lost: {0}; this replica ends at once, so that two never work, and waits for its turn when it is started again")]
    LeaseLost(#[from] Lost),
    /// TLS could not be set up.
    #[error(transparent)]
    Tls(#[from] SetupError),
}

/// What an operator is made of. The operator's program takes those of the machine; tests and demos bring their own.
pub struct Parts {
    /// The Kubernetes API.
    pub clients: Clients,
    /// How calls reach the platform.
    pub transport: Arc<dyn Transport>,
    /// Time and chance.
    pub chance: Arc<dyn Chance>,
    /// Who is told Events.
    pub audience: Audience,
    /// The flags.
    pub settings: Settings,
    /// What is counted and shown; new for each operator.
    pub metrics: Metrics,
}

impl Parts {
    /// The parts of a program: a cluster, the network, the machine's clock and random numbers.
    pub fn of_machine(cluster: Config, settings: Settings) -> Result<Self, StartError> {
        Ok(Self {
            clients: connection::clients(cluster, connection::Limits::default())?,
            transport: Arc::new(HttpTransport::new()?),
            chance: Arc::new(SystemChance),
            audience: Audience::Cluster,
            settings,
            metrics: Metrics::default(),
        })
    }
}

/// Runs the operator of a program until `shutdown` resolves.
///
/// # Errors
/// When it can't be started. Once it runs, errors are conditions, Events and logs.
pub async fn run(settings: Settings, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), StartError> {
    operate(Parts::of_machine(Config::infer().await?, settings)?, shutdown).await
}

/// Runs an operator of these parts until `shutdown` resolves. It remembers nothing of another one.
///
/// # Errors
/// When nobody says which cluster this is, or when the lease is lost.
pub async fn operate(parts: Parts, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), StartError> {
    let shutdown = shutdown.shared();
    let nonce = nonce(parts.chance.bytes());
    let (metrics, pulse) = (parts.metrics.clone(), parts.metrics.pulse.clone());
    let _probes = match parts.settings.probe_address {
        Some(address) => Some(probes::answer(address, pulse.clone()).await.map_err(|error| StartError::Probes(address, error))?),
        None => None,
    };
    let _exporter = match parts.settings.metrics_address {
        Some(address) => Some(serve::answer(address, metrics.clone()).await.map_err(|error| StartError::Metrics(address, error))?),
        None => None,
    };
    if parts.settings.leader_election == LeaderElection::Disabled {
        return work(parts, nonce, Tenure::unlimited(), shutdown).await;
    }
    let mut keeper = keeper(&parts, &nonce)?;
    let Some(tenure) = keeper.acquire(shutdown.clone(), || pulse.waits()).await else { return Ok(()) };
    let epoch = format!("{}-{nonce}", keeper.transitions());
    let result = tokio::select! {
        biased;
        // What is under way is dropped with its tasks; what it had sent, the next holder finds by its intents.
        lost = keeper.keep(&tenure) => return Err(lost.into()),
        result = work(parts, epoch, tenure.clone(), shutdown) => result,
    };
    keeper.release().await;
    result
}

fn keeper(parts: &Parts, nonce: &str) -> Result<Keeper, StartError> {
    let settings = &parts.settings;
    let terms = settings.lease_terms();
    if let Some(fault) = terms.fault(settings.call_timeout.as_duration()) {
        return Err(StartError::LeaseTerms(fault));
    }
    let api = |client: &Client| Api::<Lease>::namespaced(client.clone(), &settings.operator_namespace);
    let me = format!("{}_{nonce}", settings.pod_name);
    Ok(Keeper::new(api(&parts.clients.calls), api(&parts.clients.watches), &settings.lease_name, me, terms, parts.chance.clone()))
}

/// Works until `shutdown` resolves, and then for as long as the passes under way may take.
async fn work(
    parts: Parts,
    epoch: String,
    tenure: Tenure,
    shutdown: impl Future<Output = ()> + Clone + Send + 'static,
) -> Result<(), StartError> {
    let Parts { clients, transport, chance, audience, settings, metrics } = parts;
    let cluster_id = match &settings.cluster_id {
        Some(id) => id.clone(),
        None => {
            let api: Api<Namespace> = Api::all(clients.calls.clone());
            let found = api.get_metadata("kube-system").await.map_err(|error| StartError::ClusterId(error.to_string()))?;
            found.uid().ok_or_else(|| StartError::ClusterId("it has none".to_owned()))?
        }
    };
    metrics.pulse.works(tenure.clone());
    let (fleet, sessions) = (Arc::new(Fleet::default()), Arc::new(Sessions::default()));
    metrics.works(metrics::Work { fleet: fleet.clone(), sessions: sessions.clone(), chance: chance.clone() });
    let grace = settings.shutdown_grace.as_duration();
    let context = Arc::new(Context {
        client: clients.calls.clone(),
        regions: Regions::compiled().with_endpoints(settings.endpoints.clone()),
        transport: Arc::new(Fenced::new(transport, tenure.clone())),
        chance: chance.clone(),
        memory: Memory::default(),
        fleet,
        policies: Policies::default(),
        sessions,
        gates: Gates::new(settings.max_concurrent_reconciles),
        malformed: Malformed::default(),
        events: Events::told(audience, clients.calls.clone(), chance, epoch.clone()),
        epoch,
        cluster_id,
        settings,
        tenure,
        pulse: metrics.pulse.clone(),
        metrics,
    });
    tracing::info!(epoch = %context.epoch, version = env!("CARGO_PKG_VERSION"), "operator started");
    tokio::select! {
        biased;
        () = controller::run(&clients, context, shutdown.clone()) => tracing::info!("operator stopped"),
        () = async { shutdown.await; tokio::time::sleep(grace).await } => {
            tracing::warn!(?grace, "operator stopped, with passes under way: what they had begun is found by its intents");
        }
    }
    Ok(())
}
