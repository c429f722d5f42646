//! What the status of a `GenesysOAuthClient` tells of drift: each field that the platform shows otherwise. Types only; decides nothing.

use jiff::Timestamp;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens to a change that somebody made on the platform. Correct: it is undone. Report: it is only told. An edit of spec is applied in both modes.
#[derive(JsonSchema, Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub enum DriftPolicy {
    /// The declared fields are written again.
    #[default]
    Correct,
    /// Status and an Event tell of it, and nothing is written to the platform.
    Report,
}

/// A field of the client that the platform shows otherwise than it was declared.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DriftEntry {
    /// The field, as spec calls it.
    #[schemars(length(max = 64))]
    pub field: String,
    /// What was declared, for a field of one value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub expected: Option<String>,
    /// What the platform shows, for a field of one value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub actual: Option<String>,
    /// Declared and not there, for a field of many values. A role is told by names and ids, with its division.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(max = 256)))]
    pub missing: Vec<String>,
    /// There and not declared, for a field of many values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(max = 256)))]
    pub extra: Vec<String>,
    /// Who modified the client last, by id; the platform tells no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub modified_by: Option<String>,
    /// When the client was last modified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_at: Option<Timestamp>,
}
