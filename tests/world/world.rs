//! One world: both simulators, and operators that can be started, killed and started again. Holds no expectation of its own.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use genesys_cloud_simulator::{
    Clock as _, OPERATOR_CLIENT_ID, OPERATOR_CLIENT_SECRET, Simulator, TokioClock,
    kubernetes::{Fault, FaultKind, GroupResource, Kubernetes, User, Verb},
};
use genesys_oauth_operator::{
    api,
    controller::{Clients, context::Chance},
    genesys::{Limits, Transport, TransportError},
    observability::events::Audience,
    run::{self, Parts},
    settings::Settings,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// The user that the operator is to the Kubernetes API.
pub const OPERATOR: &str = "operator";
/// The namespace of the clients.
pub const TEAM: &str = "team-a";
/// The longest that any world may take to come to rest, in its own time.
const PATIENCE: Duration = Duration::from_secs(1800);

/// Time and chance of a world: the paused clock, and numbers that follow from a seed.
struct Seeded {
    clock: TokioClock,
    next: AtomicU64,
}

impl Chance for Seeded {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn bytes(&self) -> [u8; 10] {
        let number = self.next.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        bytes
    }

    fn fraction(&self) -> f64 {
        0.5
    }
}

/// Ends an operator.
type End = Arc<dyn Fn() + Send + Sync>;

/// Carries the operator's calls to the simulated platform; the caller's end, if one is planned, comes after a call was carried out.
struct Wire {
    simulator: Simulator,
    calls: AtomicU64,
    end: Mutex<Option<(u64, End)>>,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Wire")
    }
}

impl Transport for Wire {
    fn send(&self, request: http::Request<Bytes>, limits: Limits) -> BoxFuture<'_, Result<http::Response<Bytes>, TransportError>> {
        Box::pin(async move {
            let answer = tokio::time::timeout(limits.timeout, self.simulator.exchange(request)).await;
            let result = answer.unwrap_or_else(|late| Err(late.into())).map_err(|error| TransportError::Lost(error.to_string()));
            let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
            let end = self.end.lock().unwrap_or_else(PoisonError::into_inner).take_if(|(at, _)| *at == number);
            if let Some((_, end)) = end {
                end();
                std::future::pending::<()>().await;
            }
            result
        })
    }
}

/// One world.
pub struct World {
    /// The Kubernetes API.
    pub kubernetes: Kubernetes,
    /// The platform.
    pub simulator: Simulator,
    wire: Arc<Wire>,
    chance: Arc<Seeded>,
    operator: Mutex<Option<JoinHandle<()>>>,
}

impl World {
    /// A world with an organization that allows everything, and with an operator at work.
    pub async fn new(seed: u64) -> Arc<Self> {
        let clock = TokioClock::new("2026-01-05T08:00:00Z".parse().expect("a time"));
        let kubernetes = Kubernetes::new(genesys_cloud_simulator::kubernetes::Settings::new(seed, Arc::new(clock.clone())));
        let settings = genesys_cloud_simulator::Settings { seed: Some(seed), ..genesys_cloud_simulator::Settings::default() };
        let simulator = Simulator::new(settings, Arc::new(clock.clone()));
        for crd in api::crds() {
            kubernetes.install_crd(&crd).expect("the CRDs are taken");
        }
        for object in furniture() {
            kubernetes.create(object).expect("the furniture is taken");
        }
        let wire = Arc::new(Wire { simulator: simulator.clone(), calls: AtomicU64::new(0), end: Mutex::new(None) });
        let chance = Arc::new(Seeded { clock, next: AtomicU64::new(seed.wrapping_mul(1000) + 1) });
        let world = Arc::new(Self { kubernetes, simulator, wire, chance, operator: Mutex::new(None) });
        world.start();
        world
            .until("the organization to be Ready", |world| {
                let organization = world.get("genesysorganizations", "", "acme")?;
                (condition(&organization, "Ready") == "True/Available").then_some(())
            })
            .await;
        world
    }

    /// Starts an operator: a new process, that remembers nothing.
    pub fn start(&self) {
        let user = || User::named(OPERATOR);
        let client = Client::new(self.kubernetes.service(user()), "default");
        let flags = ["--cluster-id", "cluster", "--endpoint", "simulated=http://127.0.0.1,http://127.0.0.1"];
        let parts = Parts {
            clients: Clients { calls: client.clone(), watches: client },
            transport: self.wire.clone(),
            chance: self.chance.clone(),
            audience: Audience::Nobody,
            settings: Settings::from_flags(flags).expect("the flags are taken"),
        };
        let task = tokio::spawn(async move { run::operate(parts, std::future::pending()).await.expect("the operator starts") });
        *self.operator.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// Ends the operator at once, wherever it is.
    pub fn kill(&self) {
        if let Some(task) = self.operator.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }

    /// How many requests of this verb the operator made of the Kubernetes API so far.
    pub fn requests(&self, verb: Verb) -> usize {
        self.kubernetes.log().into_iter().filter(|request| request.user == OPERATOR && request.verb == verb).count()
    }

    /// Plans that the answer of one request of this verb is lost after it was carried out.
    pub fn lose_kubernetes(&self, verb: Verb, skip: u32) {
        self.kubernetes.plant(Fault::new(FaultKind::LostResponse).verb(verb).user(OPERATOR).after(skip).times(1));
    }

    /// Plans the operator's end after so many more requests of the Kubernetes API of this verb; the last one is carried out, its answer is not seen.
    pub fn end_after_kubernetes(self: &Arc<Self>, verb: Verb, skip: u32) {
        let end = self.end();
        self.kubernetes.plant(Fault::new(FaultKind::Crash(end)).verb(verb).user(OPERATOR).after(skip).times(1));
    }

    /// Plans the operator's end after so many more calls of the platform.
    pub fn end_after_platform(self: &Arc<Self>, calls: u64) {
        let at = self.wire.calls.load(Ordering::Relaxed) + calls;
        let end = self.end();
        *self.wire.end.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, end));
    }

    fn end(self: &Arc<Self>) -> End {
        let world = Arc::downgrade(self);
        Arc::new(move || {
            if let Some(world) = world.upgrade() {
                world.kill();
            }
        })
    }

    /// Whether the operator that was started last still runs.
    pub fn runs(&self) -> bool {
        self.operator.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// An object, if it is there.
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let group = if resource.starts_with("genesys") { api::GROUP } else { "" };
        self.kubernetes.get(&GroupResource { group: group.into(), resource: resource.into() }, namespace, name)
    }

    /// The client's object.
    pub fn object(&self) -> Option<Value> {
        self.get("genesysoauthclients", TEAM, "billing")
    }

    /// Applies the client's object with a validity of its tokens.
    pub fn declare(&self, validity: u32) {
        let spec = json!({
            "organizationRef": { "name": "acme" }, "grantType": "ClientCredentials", "roles": [{ "role": "employee" }],
            "accessTokenValiditySeconds": validity,
        });
        let object = json!({
            "apiVersion": "oauth.genesys-operator.io/v1alpha1", "kind": "GenesysOAuthClient", "metadata": { "name": "billing", "namespace": TEAM },
            "spec": spec,
        });
        self.kubernetes.apply_manifest(&object.to_string()).expect("the object is taken");
    }

    /// Deletes an object as an administrator does.
    pub async fn remove(&self, resource: &str, name: &str) {
        let api = if resource.starts_with("genesys") { format!("/apis/{}/v1alpha1", api::GROUP) } else { "/api/v1".to_owned() };
        let path = format!("{api}/namespaces/{TEAM}/{resource}/{name}");
        let request = http::Request::delete(path).body(vec![]).expect("a request");
        let client = Client::new(self.kubernetes.service(User::admin()), "default");
        let _: Value = client.request(request).await.expect("the deletion is taken");
    }

    /// Waits until something is there, in the world's own time.
    pub async fn until<T>(&self, what: &str, probe: impl Fn(&Self) -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(found) = probe(self) {
                return found;
            }
            assert!(tokio::time::Instant::now() < deadline, "waited in vain for {what}; the object: {:#?}", self.object());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The object is settled: Ready and Synced at its present generation, one client on the platform, its credential in the Secret.
    pub fn settled(&self) -> Option<()> {
        let object = self.object()?;
        let current = object["status"]["observedGeneration"] == object["metadata"]["generation"];
        let ready = condition(&object, "Ready") == "True/Available" && condition(&object, "Synced") == "True/Matches";
        let clients = self.simulator.other_clients();
        let secret: Secret = serde_json::from_value(self.get("secrets", TEAM, "billing")?).ok()?;
        let data = secret.data?;
        let text = |key: &str| data.get(key).map(|value| String::from_utf8_lossy(&value.0).into_owned()).unwrap_or_default();
        let works = self.simulator.secret_works(&text("clientId"), &text("clientSecret"));
        (current && ready && clients.len() == 1 && clients[0].id == text("clientId") && works).then_some(())
    }

    /// Nothing is left of the object.
    pub fn gone(&self) -> Option<()> {
        let nothing =
            self.object().is_none() && self.simulator.other_clients().is_empty() && self.get("secrets", TEAM, "billing").is_none();
        nothing.then_some(())
    }

    /// Writes of the operator so far, to either side.
    pub fn writes(&self) -> usize {
        let kubernetes = self.kubernetes.log().into_iter().filter(|request| request.user == OPERATOR && request.wrote).count();
        let platform = self
            .simulator
            .calls()
            .into_iter()
            .filter(|call| call.committed && call.operation != genesys_cloud_simulator::Operation::GetToken);
        kubernetes + platform.count()
    }
}

/// `status/reason` of a condition.
pub fn condition(object: &Value, kind: &str) -> String {
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.iter().find(|condition| condition["type"] == kind);
    found
        .map(|found| format!("{}/{}", found["status"].as_str().unwrap_or_default(), found["reason"].as_str().unwrap_or_default()))
        .unwrap_or_default()
}

/// The namespaces, the operator's credential, and an organization that allows everything.
fn furniture() -> Vec<Value> {
    let namespace = |name: &str| json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "acme", "namespace": "genesys-oauth-operator" },
        "stringData": { "clientId": OPERATOR_CLIENT_ID, "clientSecret": OPERATOR_CLIENT_SECRET },
    });
    let access =
        json!([{ "name": "all", "namespaceSelector": {}, "grantTypes": ["*"], "roles": ["*"], "divisions": ["*"], "scopes": ["*"] }]);
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": "operator" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": OPERATOR }],
    });
    let organization = json!({
        "apiVersion": "oauth.genesys-operator.io/v1alpha1", "kind": "GenesysOrganization", "metadata": { "name": "acme" },
        "spec": { "region": "simulated", "credentialsSecretRef": { "name": "acme" }, "requestsPerMinute": 300, "access": access },
    });
    ["genesys-oauth-operator", TEAM].into_iter().map(namespace).chain([secret, binding, organization]).collect()
}
