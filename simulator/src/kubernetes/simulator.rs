//! The handle that tests and programs hold: it makes the API, serves it, and looks into it past all requests.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::access::User;
use super::codec;
use super::controllers;
use super::error::ApiError;
use super::faults::{Fault, FaultId};
use super::journal::LoggedRequest;
use super::managed::Operation;
use super::object;
use super::request::{Commit, FieldValidation, WriteOptions};
use super::resource::{GroupResource, Versioned};
use super::rollout::{self, Progress};
use super::server::{self, Served};
use super::service::ApiService;
use super::settings::Settings;
use super::state::{State, key};
use super::world::World;
use super::write::Write;
use crate::digest::hex;

/// A refusal of something that a test asked for directly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code} {reason}: {message}")]
pub struct Refused {
    /// The status that a client would have seen.
    pub code: u16,
    /// The reason, as `Status` names it.
    pub reason: String,
    /// The words.
    pub message: String,
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self { code: error.code, reason: error.reason.into(), message: error.message }
    }
}

/// A Kubernetes API in memory. Clones are the same API.
#[derive(Debug, Clone)]
pub struct Kubernetes {
    world: Arc<World>,
}

impl Kubernetes {
    /// An API as a new cluster has it: the built-in kinds and four namespaces.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let api = Self { world: World::new(settings) };
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            let made = api.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
            debug_assert!(made.is_ok(), "{made:?}");
        }
        let masters = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "cluster-admin"},
            "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, {"nonResourceURLs": ["*"], "verbs": ["*"]}]});
        let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "cluster-admin"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:masters"}]});
        for object in [masters, binding] {
            let made = api.create(object);
            debug_assert!(made.is_ok(), "{made:?}");
        }
        api
    }

    /// The API as a user sees it, for `kube::Client::new`.
    #[must_use]
    pub fn service(&self, user: User) -> ApiService {
        ApiService::new(Arc::clone(&self.world), user)
    }

    /// The API on a loopback address; port 0 takes any free one.
    pub async fn serve(&self, addr: SocketAddr) -> io::Result<Served> {
        server::serve(Arc::clone(&self.world), addr).await
    }

    /// Makes a custom kind, as a POST of its definition does.
    pub fn install_crd(&self, definition: &CustomResourceDefinition) -> Result<(), Refused> {
        let mut value = serde_json::to_value(definition).map_err(|error| ApiError::bad_request(error.to_string()))?;
        value["apiVersion"] = "apiextensions.k8s.io/v1".into();
        value["kind"] = "CustomResourceDefinition".into();
        self.create(value).map(|_| ())
    }

    fn of(&self, object: &Value) -> Result<Versioned, ApiError> {
        let (api_version, kind) = (object::text(object, &["apiVersion"]), object::text(object, &["kind"]));
        let found = self.world.lock().state.kinds.by_kind(api_version, kind);
        found.ok_or_else(|| ApiError::bad_request(format!("no matches for kind {kind:?} in version {api_version:?}")))
    }

    fn options() -> WriteOptions {
        WriteOptions { commit: Commit::Keep, manager: "test".into(), field_validation: FieldValidation::Strict, force: true }
    }

    /// Makes an object, past the log and the faults.
    pub fn create(&self, object: Value) -> Result<Value, Refused> {
        self.put(object, |write, object| write.create(object, Operation::Update))
    }

    /// Makes an object, or replaces all of it but its status, past the log and the faults.
    pub fn replace(&self, object: Value) -> Result<Value, Refused> {
        self.put(object, |write, mut object| match write.live(object::name(&object)) {
            Ok(old) => {
                object::set_metadata(&mut object, "resourceVersion", object::at(&old, &["metadata", "resourceVersion"]).cloned());
                write.update(&old, object, Operation::Update)
            }
            Err(_) => write.create(object, Operation::Update),
        })
    }

    fn put(&self, object: Value, run: impl FnOnce(&mut Write<'_>, Value) -> Result<Arc<Value>, ApiError>) -> Result<Value, Refused> {
        let of = self.of(&object)?;
        let decoded = codec::decode(object, &of, FieldValidation::Strict)?;
        let namespace = Some(object::namespace(&decoded.object)).filter(|namespace| !namespace.is_empty()).unwrap_or("default").to_owned();
        let options = Self::options();
        let now = self.world.now();
        let done = self.world.change(|state| {
            let mut write = Write { state, of: &of, namespace: &namespace, subresource: "", options: &options, now };
            run(&mut write, decoded.object)
        })?;
        Ok(codec::present(&done, &of))
    }

    /// Makes or replaces every object of a YAML text, in its order.
    pub fn apply_manifest(&self, text: &str) -> Result<Vec<Value>, Refused> {
        let documents: Vec<Value> =
            serde_yaml::from_multiple(text).map_err(|error| ApiError::bad_request(format!("error decoding YAML: {error}")))?;
        documents.into_iter().filter(Value::is_object).map(|object| self.replace(object)).collect()
    }

    /// An object, as it is stored.
    #[must_use]
    pub fn get(&self, resource: &GroupResource, namespace: &str, name: &str) -> Option<Value> {
        let locked = self.world.lock();
        let kind = locked.state.kinds.get(resource)?;
        locked.state.get(&kind.stored_as, &key(kind, namespace, name)).map(|object| Value::clone(object))
    }

    /// All objects of a resource, by namespace and name.
    #[must_use]
    pub fn list(&self, resource: &GroupResource) -> Vec<Value> {
        let locked = self.world.lock();
        let stored_as = locked.state.kinds.get(resource).map(|kind| kind.stored_as.clone());
        stored_as.map(|stored_as| locked.state.objects(&stored_as).map(|(_, object)| Value::clone(object)).collect()).unwrap_or_default()
    }

    /// The newest resourceVersion.
    #[must_use]
    pub fn resource_version(&self) -> u64 {
        self.world.lock().state.resource_version()
    }

    /// The requests so far, in their order.
    #[must_use]
    pub fn log(&self) -> Vec<LoggedRequest> {
        self.world.journal().requests().to_vec()
    }

    /// How many of the requests so far are such.
    #[must_use]
    pub fn count_requests(&self, such: impl Fn(&LoggedRequest) -> bool) -> usize {
        self.world.journal().requests().iter().filter(|request| such(request)).count()
    }

    /// Forgets the requests so far.
    pub fn clear_log(&self) {
        self.world.journal().clear();
    }

    /// Plants a fault. Its number is for those who clear it alone.
    #[allow(clippy::must_use_candidate, reason = "most tests plant and forget")]
    pub fn plant(&self, fault: Fault) -> FaultId {
        let resource_version = self.resource_version();
        self.world.faults().plant(fault, resource_version)
    }

    /// The planted faults that are not spent.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        self.world.faults().all()
    }

    /// Takes a fault away, and lets every watch look again.
    pub fn clear_fault(&self, id: FaultId) {
        self.world.faults().clear(id);
        self.world.wake();
    }

    /// Takes all faults away.
    pub fn clear_faults(&self) {
        self.world.faults().clear_all();
        self.world.wake();
    }

    /// Ends the watches of a user, as a restart of the server does.
    pub fn disconnect_watches(&self, user: &str) {
        self.world.disconnect(user);
    }

    /// Forgets what happened up to now: watches and lists from before are told 410.
    pub fn compact(&self) {
        self.world.lock().state.compact();
    }

    /// Deletes what has lost its owners.
    pub fn garbage_collect(&self) {
        let now = self.world.now();
        self.change(|state| while controllers::collect_garbage(state, now) {});
    }

    /// Empties and ends the namespaces that are to go.
    pub fn finalize_namespaces(&self) {
        let now = self.world.now();
        self.change(|state| while controllers::finalize_namespaces(state, now) {});
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        self.world.change(change);
    }

    /// Says how far the rollout of a Deployment, a `StatefulSet` or another workload is.
    pub fn set_rollout(&self, resource: &str, namespace: &str, name: &str, progress: Progress) {
        let id = GroupResource::new("apps", resource);
        let now = object::moment(self.world.now());
        self.change(|state| {
            let place = format!("{namespace}/{name}");
            let Some(object) = state.get(&id, &place).cloned() else { return };
            let mut new = Value::clone(&object);
            new["status"] = rollout::status(&object, progress, &now);
            if new != *object {
                state.put(&id, &place, new);
            }
        });
    }

    /// A digest of all objects.
    #[must_use]
    pub fn state_hash(&self) -> String {
        let locked = self.world.lock();
        let mut hasher = Sha256::new();
        for resource in locked.state.resources() {
            for (place, object) in locked.state.objects(resource) {
                hasher.update(format!("{resource} {place} {object}\n"));
            }
        }
        hex(&hasher.finalize())
    }

    /// A digest of all requests in their order.
    #[must_use]
    pub fn trace_hash(&self) -> String {
        self.world.journal().digest()
    }
}
