//! How the clients of one policy, or of an organization's defaults, stand: a part of both kinds' status. Types only; status is memory, not authority.

use jiff::Timestamp;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::rotation_policy::RotationStrategy;

/// Since when a policy holds, and how the clients that follow it stand.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct FleetStatus {
    /// When interval or maxAge last changed. What became due by that is spread over the interval from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_since: Option<Timestamp>,

    /// What the policy's durations came to, defaults included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<EffectivePolicy>,

    /// How many clients follow the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<i64>,

    /// How many clients are due and not rotated yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<i64>,

    /// How many clients are older than the deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue: Option<i64>,

    /// How many clients are in a rotation, draining ones not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotating: Option<i64>,

    /// How many clients failed in their last rotation and wait for another try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<i64>,

    /// A digest of the policy under which failures are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub policy_digest: Option<String>,

    /// When the policy last changed in any field: failures before do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures_since: Option<Timestamp>,

    /// Scheduled rotations that failed in a row, one entry a client, the newest last. A success empties the list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["client".into()]))]
    pub consecutive_failures: Vec<RotationFailure>,

    /// Scheduled rotations stand still, because failureThreshold was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halted: Option<Halt>,

    /// When the next rotation is planned: an instant ahead, so it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub next_rotation: Option<String>,
}

impl FleetStatus {
    /// What of it concerns the clients that follow the policy: all but the counts, which change with every rotation.
    #[must_use]
    pub fn without_counts(&self) -> Self {
        Self {
            clients: None,
            due: None,
            overdue: None,
            rotating: None,
            failed: None,
            consecutive_failures: vec![],
            next_rotation: None,
            ..self.clone()
        }
    }
}

/// A policy's durations, as they came out: text such as `30d`, in the largest unit that is exact.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EffectivePolicy {
    /// How old a credential gets before its rotation is due.
    #[schemars(length(max = 16))]
    pub interval: String,
    /// The age that no credential should reach.
    #[schemars(length(max = 16))]
    pub max_age: String,
    /// How long before that deadline CredentialExpiring becomes True.
    #[schemars(length(max = 16))]
    pub warn_before: String,
    /// How credentials are replaced.
    pub strategy: RotationStrategy,
    /// How long the old client works on at least. Absent with Regenerate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub overlap_minimum: Option<String>,
    /// How long the old client works on at most. Absent with Regenerate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub overlap_maximum: Option<String>,
}

/// A scheduled rotation that failed.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RotationFailure {
    /// The client, as `namespace/name`.
    #[schemars(length(max = 320))]
    pub client: String,
    /// When it failed.
    pub at: Timestamp,
}

/// Since when scheduled rotations stand still.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Halt {
    /// Since when. A requested rotation that succeeds after this ends it, and so does a change of the policy.
    pub since: Timestamp,
}
