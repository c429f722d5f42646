//! What the status of a `GenesysOrganization` tells of all its clients: counts, and a few of each sort; and what of that has to be asked for. Types
//! only; status is memory, not authority.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the inventory of an organization asks for beyond the list of its clients.
#[derive(KubeSchema, Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct InventorySpec {
    /// Whether each client is asked after, at two or more requests a client: Never, or Daily, at most one client a minute and only while the
    /// budget is hardly used. Without it the inventory can't tell which clients were never used.
    #[serde(default)]
    pub usage: UsageQueries,
}

/// How often the usage of a client is asked for.
#[derive(JsonSchema, Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub enum UsageQueries {
    /// Never.
    #[default]
    Never,
    /// Once a day at most; seldom, once it was used.
    Daily,
}

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
    /// How many made no request within usageDays, of those older than 30 days; the operator's own verifications are none. Absent: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub never_used: Option<i64>,
    /// Of how many of those that is not known: the platform gave no usable answer, or they were not asked after yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_unknown: Option<i64>,
    /// How many days back the platform was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_days: Option<i64>,
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
    /// Some of those that were never used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), inner(length(max = 128)))]
    pub never_used_clients: Vec<String>,
}
