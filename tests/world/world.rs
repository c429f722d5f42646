//! One world: both simulators, and an operator that can be started, killed and started again. Holds no expectation of its own.

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use genesys_cloud_simulator::{
    Clock as _, OPERATOR_CLIENT_SECRET, Simulator, TokioClock,
    kubernetes::{GroupResource, Kubernetes, Refused, User, Verb},
};
use genesys_oauth_operator::{
    api, connection,
    controller::context::Chance,
    marker::{Marker, Owner},
    observability::{events::Audience, metrics::Metrics, probes::Pulse},
    run::{self, Parts, StartError},
    settings::Settings,
};
use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    objects::{self, HOME, Name, ORGANIZATION, TEAM},
    process::{Process, Wires, is_operator},
    rights::Rights,
    turnstile::{Numbers, Turnstile},
};

/// The kinds, made once for all worlds.
static CRDS: LazyLock<Vec<CustomResourceDefinition>> = LazyLock::new(api::crds);

/// The id of the cluster in markers.
pub const CLUSTER: &str = "cluster";

/// Time and chance of a world: the paused clock, and numbers that follow from a seed.
struct Seeded {
    clock: TokioClock,
    numbers: Mutex<Numbers>,
}

impl Chance for Seeded {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn bytes(&self) -> [u8; 10] {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&numbers.next().to_be_bytes());
        bytes[8..].copy_from_slice(&numbers.next().to_be_bytes()[..2]);
        bytes
    }

    fn fraction(&self) -> f64 {
        0.5
    }
}

/// What a world begins with.
#[derive(Clone, Debug)]
pub struct Plan {
    seed: u64,
    furnished: Furnished,
    rules: Rules,
    simulator: genesys_cloud_simulator::Settings,
    flags: Vec<String>,
    audience: Audience,
    limits: connection::Limits,
}

/// Whether a world begins with an organization that is Ready and an operator at work, or with neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Furnished {
    Fully,
    Barely,
}

/// Whether the API server judges by the rules of the CRDs; an old one does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rules {
    Kept,
    Ignored,
}

impl Plan {
    /// A world with an organization that allows everything, and with an operator at work.
    pub fn new(seed: u64) -> Self {
        let simulator = genesys_cloud_simulator::Settings { seed: Some(seed), ..genesys_cloud_simulator::Settings::default() };
        Self {
            seed,
            furnished: Furnished::Fully,
            rules: Rules::Kept,
            simulator,
            flags: vec![],
            audience: Audience::Nobody,
            limits: connection::Limits::default(),
        }
    }

    /// Without an organization, a credential and an operator: the test brings them.
    pub fn bare(mut self) -> Self {
        self.furnished = Furnished::Barely;
        self
    }

    /// With an API server that does not know the rules of the CRDs.
    pub fn old_server(mut self) -> Self {
        self.rules = Rules::Ignored;
        self
    }

    /// With another kind of platform.
    pub fn platform(mut self, change: impl FnOnce(&mut genesys_cloud_simulator::Settings)) -> Self {
        change(&mut self.simulator);
        self
    }

    /// With Events, which are requests that most stories do not count.
    pub fn with_events(mut self) -> Self {
        self.audience = Audience::Cluster;
        self
    }

    /// With other bounds for the answers of the Kubernetes API than the program has.
    pub fn limits(mut self, limits: connection::Limits) -> Self {
        self.limits = limits;
        self
    }

    /// With a flag of the operator, as `--name=value`.
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }
}

impl From<u64> for Plan {
    fn from(seed: u64) -> Self {
        Self::new(seed)
    }
}

/// An operator that runs.
pub struct Operator {
    /// Its ways to both APIs.
    pub process: Arc<Process>,
    /// What it shows of itself.
    pub metrics: Metrics,
    /// Resolves at its end.
    pub task: JoinHandle<Result<(), StartError>>,
}

/// One world.
pub struct World {
    /// The Kubernetes API.
    pub kubernetes: Kubernetes,
    /// The platform.
    pub simulator: Simulator,
    /// The ways of the operator to both.
    pub wires: Arc<Wires>,
    flags: Vec<String>,
    audience: Audience,
    limits: connection::Limits,
    chance: Arc<Seeded>,
    operator: Mutex<Option<Operator>>,
    /// What the operators may do in the cluster.
    pub rights: Rights,
    /// The cluster ids with which operators were started.
    clusters: Mutex<BTreeSet<String>>,
}

impl World {
    /// Makes a world. To be called inside a runtime of its own, with paused time.
    pub async fn begin(plan: Plan) -> Arc<Self> {
        let seed = plan.seed;
        // kube-runtime's pauses after a failed watch take their jitter from this thread's generator.
        fastrand::seed(seed);
        let clock = TokioClock::new("2026-01-05T08:00:00Z".parse().expect("a time"));
        let kubernetes = Kubernetes::new(genesys_cloud_simulator::kubernetes::Settings::new(seed, Arc::new(clock.clone())));
        let simulator = Simulator::new(plan.simulator, Arc::new(clock.clone()));
        for crd in CRDS.iter() {
            let taken = match plan.rules {
                Rules::Kept => kubernetes.install_crd(crd),
                Rules::Ignored => kubernetes.install_crd(&objects::without_rules(crd)),
            };
            taken.expect("the CRDs are taken");
        }
        let wires = Arc::new(Wires::new(kubernetes.clone(), &simulator, Turnstile::new(seed)));
        let chance = Arc::new(Seeded { clock, numbers: Mutex::new(Numbers::new(seed)) });
        let (operator, clusters) = (Mutex::new(None), Mutex::default());
        let (flags, audience, limits, rights) = (plan.flags, plan.audience, plan.limits, Rights::default());
        let world = Arc::new(Self { kubernetes, simulator, wires, flags, audience, limits, chance, operator, rights, clusters });
        for namespace in [HOME, TEAM] {
            world.apply(&objects::namespace(namespace));
        }
        if plan.furnished == Furnished::Fully {
            world.give_credential(OPERATOR_CLIENT_SECRET);
            world.apply(&objects::organization());
            world.start();
            world.organization_shows("Ready=True/Available").await;
        }
        world
    }

    /// Another platform, at a host of this name.
    pub fn another_platform(&self, host: &str, settings: genesys_cloud_simulator::Settings) -> Simulator {
        let simulator = Simulator::new(settings, Arc::new(self.chance.clock.clone()));
        self.wires.connect(host, &simulator);
        simulator
    }

    fn lock(&self) -> MutexGuard<'_, Option<Operator>> {
        self.operator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts an operator: a new process, that remembers nothing. It is alone.
    pub fn start(&self) {
        let started = self.replica(&["--leader-election=disabled"], self.chance.clone(), std::future::pending());
        *self.lock() = Some(started);
    }

    /// The clock and the chance of this world.
    pub fn chance(&self) -> Arc<dyn Chance> {
        self.chance.clone()
    }

    /// Starts another install beside the usual one, with flags and a cluster id of its own, and gives what ends it.
    pub fn start_another(&self, cluster: &str, flags: &[&str]) -> impl FnOnce() + use<> {
        let flags = flags.iter().copied().chain(["--leader-election=disabled"]);
        let operator = self.operator(cluster, flags, self.chance.clone(), std::future::pending());
        move || {
            operator.process.end();
            operator.task.abort();
        }
    }

    /// Starts one more operator of this install, with flags of its own, that the test ends.
    pub fn replica(&self, flags: &[&str], chance: Arc<dyn Chance>, shutdown: impl Future<Output = ()> + Send + 'static) -> Operator {
        let flags = self.flags.iter().map(String::as_str).chain(flags.iter().copied());
        self.operator(CLUSTER, flags, chance, shutdown)
    }

    fn operator<'a>(
        &self,
        cluster: &str,
        flags: impl Iterator<Item = &'a str>,
        chance: Arc<dyn Chance>,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Operator {
        let own: Vec<&str> = flags.collect();
        // With fewer places than objects, kube-runtime picks the next one from a hash map of random keys.
        let usual =
            ["--max-concurrent-reconciles=200", "--endpoint", "simulated=http://127.0.0.1,http://127.0.0.1", "--cluster-id", cluster];
        let named = |flag: &str| flag.split('=').next().unwrap_or_default().to_owned();
        let said = |flag: &&str| !flag.starts_with("--max") || own.iter().all(|other| named(other) != named(flag));
        let flags = usual.into_iter().filter(said).chain(own.iter().copied());
        let settings = Settings::from_flags(flags).expect("the flags are taken");
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner).extend(settings.cluster_id.clone());
        let process = Process::new(self.wires.clone(), self.rights.give(&self.kubernetes, &settings));
        let clients = process.clients(self.limits);
        let metrics = Metrics::default();
        let parts = Parts { clients, transport: process.clone(), chance, audience: self.audience, settings, metrics: metrics.clone() };
        let task = tokio::spawn(run::operate(parts, shutdown));
        Operator { process, metrics, task }
    }

    /// Whether a marker is one of an operator that was started here.
    pub fn is_of_operator(&self, marker: &Marker) -> bool {
        let clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        clusters.iter().any(|cluster| Owner::new(cluster, "", "").cluster() == marker.owner.cluster())
    }

    /// Ends the operator at once, wherever it is.
    pub fn kill(&self) {
        if let Some(operator) = self.lock().take() {
            operator.process.end();
            operator.task.abort();
        }
    }

    /// Whether the operator that was started last still runs.
    pub fn runs(&self) -> bool {
        self.lock().is_some()
    }

    /// What the operator that was started last shows at `/metrics`.
    pub fn metrics(&self) -> String {
        let metrics = self.lock().as_ref().expect("an operator runs").metrics.clone();
        metrics.text().expect("metrics are text")
    }

    /// What the kubelet hears of the operator that was started last.
    pub fn pulse(&self) -> Arc<Pulse> {
        self.lock().as_ref().expect("an operator runs").metrics.pulse.clone()
    }

    /// How many requests of this verb the operator made of the Kubernetes API so far.
    pub fn requests(&self, verb: Verb) -> usize {
        self.kubernetes.count_requests(|request| is_operator(&request.user) && request.verb == verb)
    }

    /// Applies an object as an administrator does: makes it, or replaces its spec and what of its metadata is named. The answer is the
    /// server's refusal, if it refuses.
    pub fn try_apply(&self, object: &Value) -> Result<(), Refused> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let kind = text(&object["kind"]).to_lowercase();
        let resource = kind.strip_suffix('y').map_or_else(|| format!("{kind}s"), |stem| format!("{stem}ies"));
        let metadata = &object["metadata"];
        let mut object = object.clone();
        if let Some(live) = self.get(&resource, &text(&metadata["namespace"]), &text(&metadata["name"])) {
            // What others keep in the metadata stays: finalizers and owners above all.
            let mut kept = live["metadata"].clone();
            objects::merge(&mut kept, metadata);
            object["metadata"] = kept;
        }
        self.kubernetes.apply_manifest(&object.to_string()).map(drop)
    }

    /// Applies an object that the server takes.
    pub fn apply(&self, object: &Value) {
        self.try_apply(object).expect("the object is taken");
    }

    /// Applies the usual client of this name, with changes of its spec.
    pub fn declare<'a>(&self, name: impl Into<Name<'a>>, changes: &Value) {
        self.apply(&objects::with_spec(objects::service(name), changes));
    }

    /// Applies the usual organization, with changes of its spec.
    pub fn declare_organization(&self, changes: &Value) {
        self.apply(&objects::with_spec(objects::organization(), changes));
    }

    /// Writes the Secret with the operator's own credential.
    pub fn give_credential(&self, secret: &str) {
        self.apply(&objects::credential(secret));
    }

    /// A request of an administrator.
    pub async fn ask(&self, method: http::Method, path: &str, body: &Value) -> Result<Value, kube::Error> {
        let body = if body.is_null() { vec![] } else { body.to_string().into_bytes() };
        let kind = if method == http::Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let request = http::Request::builder().method(method).uri(path).header("content-type", kind).body(body).expect("a request");
        Client::new(self.kubernetes.service(User::admin()), "default").request(request).await
    }

    /// Deletes an object as an administrator does.
    pub async fn remove<'a>(&self, resource: &str, name: impl Into<Name<'a>>) {
        self.ask(http::Method::DELETE, &path(resource, name), &Value::Null).await.expect("the deletion is taken");
    }

    /// Annotates an object as an administrator does.
    pub async fn annotate<'a>(&self, resource: &str, name: impl Into<Name<'a>>, annotations: &Value) {
        let patch = json!({ "metadata": { "annotations": annotations } });
        self.ask(http::Method::PATCH, &path(resource, name), &patch).await.expect("the annotation is taken");
    }

    /// An object, if it is there. The namespace is empty for an object of the cluster.
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        self.kubernetes.get(&GroupResource { group: group(resource).into(), resource: resource.into() }, namespace, name)
    }

    /// All objects of a kind.
    pub fn list(&self, resource: &str) -> Vec<Value> {
        self.kubernetes.list(&GroupResource { group: group(resource).into(), resource: resource.into() })
    }

    /// A client's object.
    pub fn object<'a>(&self, name: impl Into<Name<'a>>) -> Option<Value> {
        let Name { namespace, name } = name.into();
        self.get("genesysoauthclients", namespace, name)
    }

    /// The organization's object.
    pub fn organization(&self) -> Option<Value> {
        self.get("genesysorganizations", "", ORGANIZATION)
    }
}

fn group(resource: &str) -> &'static str {
    match resource {
        "deployments" | "statefulsets" | "daemonsets" => "apps",
        "leases" => "coordination.k8s.io",
        _ if resource.starts_with("genesys") => api::GROUP,
        _ => "",
    }
}

/// Where an object is. An object of the cluster has an empty namespace.
pub fn path<'a>(resource: &str, name: impl Into<Name<'a>>) -> String {
    let Name { namespace, name } = name.into();
    let api = match group(resource) {
        "" => "/api/v1".to_owned(),
        "apps" => "/apis/apps/v1".to_owned(),
        group => format!("/apis/{group}/v1alpha1"),
    };
    let place = if namespace.is_empty() { String::new() } else { format!("/namespaces/{namespace}") };
    format!("{api}{place}/{resource}/{name}")
}

/// The longest that any world may take to come to rest, in its own time.
pub const PATIENCE: Duration = Duration::from_secs(3600);
