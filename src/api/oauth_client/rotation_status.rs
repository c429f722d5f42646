//! What the status of a `GenesysOAuthClient` records of its rotations. Types only; a rotation ends by what was recorded at its start.

use jiff::Timestamp;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::rotation_policy::RotationStrategy;

/// What is recorded of an object's rotations.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RotationStatus {
    /// The policy that applies: its kind, name and uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Since when that policy applies to this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_since: Option<Timestamp>,
    /// Whether a rotation issued the published credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_by: Option<IssuedBy>,
    /// When the next three rotations are expected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub next: Vec<Timestamp>,
    /// When the published credential reaches its deadline. Genesys does not expire a secret; this is the policy's deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The rotation that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<CurrentRotation>,
    /// How many rotations failed in a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<i64>,
    /// When a scheduled rotation is tried again after a failure or an abort.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// How often a credential was issued because the Secret was lost, or the platform refused what it held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repairs: Option<i64>,
}

/// What issued the published credential.
#[derive(JsonSchema, Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub enum IssuedBy {
    /// The creation of the client, an adoption or a repair.
    Creation,
    /// A rotation.
    Rotation,
}

/// A rotation that is under way.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CurrentRotation {
    /// How it rotates.
    pub strategy: RotationStrategy,
    /// Why it was started.
    pub trigger: Trigger,
    /// The token of the annotation that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub request: Option<String>,
    /// When it was started.
    pub started_at: Timestamp,
    /// How far it came.
    pub step: RotationStep,
    /// How long both credentials work, as the policy said at the start.
    pub overlap: RecordedOverlap,
    /// The Secret that holds both credentials until the old one is out of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
    /// The new client, once it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The nonce of the new client's marker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// The revision of the new credential, once it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// When the new credential came into being.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<Timestamp>,
    /// The generation of spec that the new client was last brought to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synced_generation: Option<i64>,
    /// The client that is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_client_id: Option<String>,
    /// The revision of the credential that is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_revision: Option<i64>,
    /// What issued the credential that is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_issued_by: Option<IssuedBy>,
    /// The revision that was verified before a reset: it counts again where the platform refuses the reset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_before: Option<i64>,
    /// When the new credential was published: the overlap begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_at: Option<Timestamp>,
}

/// Why a rotation was started.
#[derive(JsonSchema, Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub enum Trigger {
    /// Its time had come.
    Schedule,
    /// A person asked for it.
    Request,
    /// A person asked for it, and for the end of the old credential at once.
    Emergency,
    /// The Secret was lost, or the platform refused what it holds.
    Repair,
    /// A person took a rotation back.
    Abort,
}

/// How far a rotation came.
#[derive(JsonSchema, Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub enum RotationStep {
    /// The new client is being created.
    Creating,
    /// The new credential is being verified.
    Verifying,
    /// The new credential is being written into the Secret.
    Publishing,
    /// Integration credentials are written and rollout targets restarted.
    RollingOut,
    /// Both credentials work, until the overlap ends.
    Draining,
    /// The secret is being reset.
    Regenerating,
}

/// How long both credentials of a rotation work.
#[derive(KubeSchema, Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RecordedOverlap {
    /// At least so long, in seconds.
    pub minimum_seconds: i64,
    /// At most so long, in seconds, whatever is waited for.
    pub maximum_seconds: i64,
    /// Whether the old credential stays until every rollout target runs with the new one.
    #[serde(default)]
    pub wait_for_rollouts: bool,
    /// Whether the old credential stays until nothing uses it.
    #[serde(default)]
    pub wait_for_idle: bool,
}

/// How the last rotation ended, or how far it brought the new credential.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LastRotation {
    /// The token of the annotation that asked for it; scripts wait for this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub request: Option<String>,
    /// How it ended.
    pub result: RotationResult,
    /// Why it was started.
    pub trigger: Trigger,
    /// How it rotated.
    pub strategy: RotationStrategy,
    /// The revision of the credential that it published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// What happened, for a person.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// How a rotation ended.
#[derive(JsonSchema, Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub enum RotationResult {
    /// The new credential is published, and everything that follows it carries it.
    Succeeded,
    /// It did not come to a published credential; the old one stays in force.
    Failed,
    /// A person took it back.
    Aborted,
    /// It is not possible for this object.
    Refused,
}

impl CurrentRotation {
    /// A rotation that begins now and has done nothing yet.
    #[must_use]
    pub fn new(strategy: RotationStrategy, trigger: Trigger, request: Option<String>, started_at: Timestamp) -> Self {
        let step = match strategy {
            RotationStrategy::Replace => RotationStep::Creating,
            RotationStrategy::Regenerate => RotationStep::Regenerating,
        };
        Self {
            strategy,
            trigger,
            request,
            started_at,
            step,
            overlap: RecordedOverlap::default(),
            secret_name: None,
            client_id: None,
            nonce: None,
            revision: None,
            issued_at: None,
            synced_generation: None,
            former_client_id: None,
            former_revision: None,
            former_issued_by: None,
            verified_before: None,
            published_at: None,
        }
    }

    /// Whether the new credential is in the Secret that workloads read.
    #[must_use]
    pub fn is_published(&self) -> bool {
        matches!(self.step, RotationStep::RollingOut | RotationStep::Draining)
    }

    /// Whether it takes one of the places that a policy has for rotations at a time.
    #[must_use]
    pub fn takes_a_place(&self) -> bool {
        self.step != RotationStep::Draining
    }
}
