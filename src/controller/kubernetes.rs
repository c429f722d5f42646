//! The few calls of the Kubernetes API that the reconcilers share: each write is conditional on what was read. Decides nothing.

use std::fmt::Debug;

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tracing::Instrument as _;

use super::error::{During as _, Error, is_conflict};
use crate::{
    api::{FIELD_MANAGER, FINALIZER},
    observability::traces,
};

/// Parameters of our creates and updates.
#[must_use]
pub fn post_params() -> PostParams {
    PostParams { dry_run: false, field_manager: Some(FIELD_MANAGER.into()) }
}

/// Parameters of a write that the server only tries.
#[must_use]
pub fn dry_run_params() -> PostParams {
    PostParams { dry_run: true, ..post_params() }
}

/// The resourceVersion as a number; those of one resource may be compared (KEP-5504, and etcd-backed servers before it).
#[must_use]
pub fn resource_version<K: Resource>(object: &K) -> Option<u64> {
    object.meta().resource_version.as_deref().and_then(|version| version.parse().ok())
}

/// An object's kind, namespace and name, for people.
#[must_use]
pub fn about<K: Resource<DynamicType = ()>>(object: &K) -> String {
    format!("{} {}", K::kind(&()), full_name(object))
}

/// An object's name after its namespace, if it has one: `namespace/name`.
#[must_use]
pub fn full_name<K: Resource<DynamicType = ()>>(object: &K) -> String {
    object.namespace().map_or_else(|| object.name_any(), |namespace| format!("{namespace}/{}", object.name_any()))
}

/// Adds the finalizer to the object as it was read. [`Error::Stale`] if it changed since.
pub async fn add_finalizer<K>(api: &Api<K>, object: &K) -> Result<K, Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let mut finalizers = object.finalizers().to_vec();
    finalizers.push(FINALIZER.into());
    set_finalizers(api, object, finalizers, "adding the finalizer").await
}

/// Removes the finalizer from the object as it was read, and gives the version that it then had. [`Error::Stale`] if it changed since.
pub async fn remove_finalizer<K>(api: &Api<K>, object: &K) -> Result<Option<u64>, Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let finalizers = object.finalizers().iter().filter(|name| *name != FINALIZER).cloned().collect();
    match set_finalizers(api, object, finalizers, "removing the finalizer").await {
        Err(Error::Kubernetes { source, .. }) if matches!(&*source, kube::Error::Api(status) if status.is_not_found()) => Ok(None),
        result => result.map(|object| resource_version(&object)),
    }
}

async fn set_finalizers<K>(api: &Api<K>, object: &K, finalizers: Vec<String>, action: &'static str) -> Result<K, Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let patch = json!({ "metadata": { "finalizers": finalizers, "resourceVersion": object.meta().resource_version } });
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    let (name, patch) = (object.name_any(), Patch::Merge(patch));
    match api.patch(&name, &parameters, &patch).instrument(traces::of_write(&K::kind(&()), "finalizers")).await {
        Err(error) if is_conflict(&error) => Err(Error::Stale),
        result => result.during(action),
    }
}

/// Writes the status of an object as it was read. [`Error::Stale`] if it changed since.
pub async fn replace_status<K>(api: &Api<K>, object: &K) -> Result<K, Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let (name, parameters) = (object.name_any(), post_params());
    match api.replace_status(&name, &parameters, object).instrument(traces::of_write(&K::kind(&()), "status")).await {
        Err(error) if is_conflict(&error) => Err(Error::Stale),
        result => result.during("writing the status"),
    }
}

/// Secrets of a namespace.
#[must_use]
pub fn secrets(client: &Client, namespace: &str) -> Api<Secret> {
    Api::namespaced(client.clone(), namespace)
}

/// Deletes the very Secret that was read; one that is gone or another by now is no error.
pub async fn delete_secret(api: &Api<Secret>, secret: &Secret) -> Result<(), Error> {
    let preconditions = Preconditions { uid: secret.metadata.uid.clone(), resource_version: None };
    let (name, parameters) = (secret.name_any(), DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() });
    match api.delete(&name, &parameters).instrument(traces::of_write("Secret", "deletion")).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        Err(error) => Err(error).during("deleting the Secret"),
    }
}
