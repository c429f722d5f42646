//! What the status of a `GenesysOrganization` tells of all its clients: counts, and a few of each sort. Types only; status is memory, not authority.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The clients of an organization by the last scan that changed a count.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Inventory {
    /// How many clients the organization has, the operator's own among them.
    pub total: i64,
    /// How many belong to an object of this cluster.
    pub managed: i64,
    /// How many carry no marker and belong to no object.
    pub unmanaged: i64,
    /// How many carry the marker of this cluster and belong to no object of it. Nobody but a person changes them.
    pub orphaned: i64,
    /// How many carry the marker of another cluster, or, where the operator watches some namespaces only, of an object that it cannot see.
    pub elsewhere: i64,
    /// How many use a grant that Genesys deprecates: Implicit (TOKEN) or PASSWORD.
    pub deprecated_grants: i64,
    /// How many that no object manages were last modified longer ago than maxCredentialAge, or the maxAge of rotationDefaults, allows.
    pub older_than_policy: i64,
    /// Some of the unmanaged ones, each as its id and name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), inner(length(max = 128)))]
    pub unmanaged_clients: Vec<String>,
    /// Some of the orphaned ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), inner(length(max = 128)))]
    pub orphaned_clients: Vec<String>,
    /// Some of those with a deprecated grant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), inner(length(max = 128)))]
    pub deprecated_clients: Vec<String>,
    /// Some of those that are older than the policy allows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), inner(length(max = 128)))]
    pub old_clients: Vec<String>,
}
