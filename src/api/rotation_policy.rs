//! `GenesysRotationPolicy`: when credentials are replaced and how, with its rules in CEL. Types only; the arithmetic is in `rotation`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    duration::{DurationText, seconds},
    fleet::FleetStatus,
};

const INTERVAL_IS_AN_HOUR: &str = concat!(seconds!("self.interval"), " >= 3600");
const MAX_AGE_IS_LONGER: &str = concat!("!has(self.maxAge) || ", seconds!("self.maxAge"), " > ", seconds!("self.interval"));
const WARNING_FITS: &str = concat!(
    "!has(self.warnBefore) || ",
    seconds!("self.warnBefore"),
    " <= (has(self.maxAge) ? ",
    seconds!("self.maxAge"),
    " - ",
    seconds!("self.interval"),
    " : ",
    seconds!("self.interval"),
    ")"
);
const OVERLAP_IS_OF_REPLACE: &str = "!has(self.overlap) || self.strategy != 'Regenerate'";
const OVERLAP_ENDS: &str =
    concat!("!has(self.overlap) || !has(self.overlap.maximum) || ", seconds!("self.overlap.maximum"), " < ", seconds!("self.interval"));
const OVERLAP_IS_ORDERED: &str = concat!(
    "!has(self.overlap) || !has(self.overlap.minimum) || ",
    seconds!("self.overlap.minimum"),
    " <= (has(self.overlap.maximum) ? ",
    seconds!("self.overlap.maximum"),
    " : ",
    seconds!("self.interval"),
    " < 172800 ? ",
    seconds!("self.interval"),
    " / 2 : 86400)"
);

// The words of the rules, which the reconciler says too where it reads the durations.

/// What a person reads when `INTERVAL_IS_AN_HOUR` does not hold.
pub const INTERVAL_TOO_SHORT: &str = "interval must be at least 1h: write for example 1h, 12h or 30d";
/// What a person reads when `MAX_AGE_IS_LONGER` does not hold.
pub const MAX_AGE_TOO_SHORT: &str = "maxAge must be longer than interval, or a credential would be too old before it is rotated: raise maxAge, or remove it for twice the interval";
/// What a person reads when `WARNING_FITS` does not hold.
pub const WARNING_TOO_LONG: &str =
    "warnBefore must be at most maxAge - interval (without maxAge: at most interval): lower it, or raise maxAge";
/// What a person reads when `OVERLAP_IS_OF_REPLACE` does not hold.
pub const OVERLAP_OF_REGENERATE: &str =
    "strategy Regenerate resets the secret in place and has no overlap: remove overlap, or set strategy: Replace";
/// What a person reads when `OVERLAP_ENDS` does not hold.
pub const OVERLAP_TOO_LONG: &str =
    "overlap.maximum must be shorter than interval, so that a rotation ends before the next one: lower it, or raise interval";
/// What a person reads when `OVERLAP_IS_ORDERED` does not hold.
pub const OVERLAP_MINIMUM_TOO_LONG: &str =
    "overlap.minimum must be at most overlap.maximum (without it: half of interval, at most 24h): lower minimum, or set a longer maximum";
/// What a person reads when a window has no length.
pub const WINDOW_EMPTY: &str = "the duration of a window must be longer than 0s: write for example 4h";

/// When the credentials of clients are replaced, and how. Also the form of a GenesysOrganization's `rotationDefaults`.
#[derive(CustomResource, KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "oauth.genesys-operator.io",
    version = "v1alpha1",
    kind = "GenesysRotationPolicy",
    plural = "genesysrotationpolicies",
    shortname = "gpol",
    category = "genesys",
    namespaced,
    status = "GenesysRotationPolicyStatus",
    derive = "PartialEq",
    doc = "When the credentials of the clients that name it are replaced, and how. A new or changed policy rotates nothing at once: what becomes due is spread over its interval.",
    printcolumn(name = "Interval", type_ = "string", json_path = ".spec.interval", description = "How old a credential gets before its rotation is due"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether the policy is sound and at work"),
    printcolumn(name = "Clients", type_ = "integer", json_path = ".status.clients", description = "How many clients follow the policy"),
    printcolumn(name = "Due", type_ = "integer", json_path = ".status.due", description = "How many of them are due and not rotated yet"),
    printcolumn(name = "Overdue", type_ = "integer", json_path = ".status.overdue", description = "How many of them are older than the deadline"),
    printcolumn(name = "Failed", type_ = "integer", json_path = ".status.failed", description = "How many of them failed in their last rotation"),
    printcolumn(name = "Next", type_ = "string", json_path = ".status.nextRotation", description = "When the next rotation is planned", priority = 1),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "The reason of the Ready condition", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 63")
        .message("metadata.name may have at most 63 characters: choose a shorter name")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(INTERVAL_IS_AN_HOUR).message(INTERVAL_TOO_SHORT),
    validation = Rule::new(MAX_AGE_IS_LONGER).message(MAX_AGE_TOO_SHORT),
    validation = Rule::new(WARNING_FITS).message(WARNING_TOO_LONG),
    validation = Rule::new(OVERLAP_IS_OF_REPLACE).message(OVERLAP_OF_REGENERATE),
    validation = Rule::new(OVERLAP_ENDS).message(OVERLAP_TOO_LONG),
    validation = Rule::new(OVERLAP_IS_ORDERED).message(OVERLAP_MINIMUM_TOO_LONG)
)]
pub struct RotationPolicySpec {
    /// How old a credential gets before its rotation is due: one integer and one unit of s, m, h, d, at least 1h; for example `30d`.
    pub interval: DurationText,

    /// The age that no credential should reach: the operator's own deadline, as Genesys does not expire a secret. Absent: twice the interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<DurationText>,

    /// How long before that deadline CredentialExpiring becomes True. Absent: 7d, or half of what lies between interval and maxAge if that is less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn_before: Option<DurationText>,

    /// Replace: a second client is created, and the old one works on through the overlap. Regenerate: the secret is reset in place, and workloads fail until they read the new one.
    #[serde(default)]
    pub strategy: RotationStrategy,

    /// How long the old and the new client work side by side. For strategy Replace alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Overlap>,

    /// When rotations may start, and until overlap.maximum when an old client may be made inactive. Absent: at any time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub windows: Vec<RotationWindow>,

    /// How many clients may be in a rotation at the same time, draining ones not counted.
    #[serde(default = "default_max_concurrent")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_concurrent: u32,

    /// After how many failures of different clients in a row, without a success between them, scheduled rotations stop until a person has looked.
    #[serde(default = "default_failure_threshold")]
    #[schemars(range(min = 1, max = 50))]
    pub failure_threshold: u32,

    /// No rotation starts while this is true, not even one that is overdue or asked for; only an emergency does.
    #[serde(default)]
    pub suspend: bool,
}

fn default_max_concurrent() -> u32 {
    5
}

fn default_failure_threshold() -> u32 {
    3
}

/// How a credential is replaced.
#[derive(JsonSchema, Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, Hash)]
pub enum RotationStrategy {
    /// By a second client; the old one works on through the overlap.
    #[default]
    Replace,
    /// By a reset of the secret in place, with a short outage.
    Regenerate,
}

/// How long the old and the new client of a Replace work side by side.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Overlap {
    /// How long the old client works on at least. Absent: 1h, or the maximum if that is less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<DurationText>,

    /// How long the old client works on at most, even if a rollout is not ready or the old client is in use. Absent: 24h, or half of the interval if that is less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<DurationText>,

    /// The old client works on until the rollout targets run with the new credential.
    #[serde(default = "default_wait_for_rollouts")]
    pub wait_for_rollouts: bool,

    /// The old client works on until it obtains no more tokens.
    #[serde(default)]
    pub wait_for_idle: bool,
}

fn default_wait_for_rollouts() -> bool {
    true
}

impl Default for Overlap {
    fn default() -> Self {
        Self { minimum: None, maximum: None, wait_for_rollouts: default_wait_for_rollouts(), wait_for_idle: false }
    }
}

/// A span of time that opens again and again, in which rotations may start.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RotationWindow {
    /// When it opens, in five fields of cron: minute, hour, day of the month, month, day of the week. For example `0 2 * * SAT,SUN`.
    #[schemars(length(min = 9, max = 128))]
    pub schedule: String,

    /// How long it stays open, in elapsed time; longer than 0s.
    #[x_kube(validation = Rule::new("!self.startsWith('0')").message(WINDOW_EMPTY))]
    pub duration: DurationText,

    /// The time zone of schedule, by its IANA name, for example `Europe/Berlin`. Absent: Etc/UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
}

/// What the operator last saw of a policy.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct GenesysRotationPolicyStatus {
    /// The generation of spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Ready, Reconciling and Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// Since when the policy holds, and how its clients stand.
    #[serde(flatten)]
    pub fleet: FleetStatus,
}
