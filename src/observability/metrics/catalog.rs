//! Every family of metrics: its name, type, labels and help. The one list that the exporter writes by and the docs are held to; holds no value.

use prometheus_client::metrics::MetricType;

/// A family with this many labels.
#[derive(Debug)]
pub struct Metric<const N: usize> {
    /// The whole name, without the suffix that its type adds: `_total`, `_info`, `_bucket`.
    pub name: &'static str,
    /// The type.
    pub type_: MetricType,
    /// The names of the labels, in the order in which samples give their values.
    pub labels: [&'static str; N],
    /// What it says, as a sentence.
    pub help: &'static str,
}

/// A family, whatever its labels.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The name, as in [`Metric::name`].
    pub name: &'static str,
    /// The type.
    pub type_: MetricType,
    /// The names of the labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

impl<const N: usize> Metric<N> {
    const fn family(&'static self) -> Family {
        Family { name: self.name, type_: self.type_, labels: &self.labels, help: self.help }
    }
}

impl Family {
    /// The name that a query uses; of a histogram, without `_bucket`, `_sum` and `_count`.
    #[must_use]
    pub fn queried(&self) -> String {
        match self.type_ {
            MetricType::Counter => format!("{}_total", self.name),
            MetricType::Info => format!("{}_info", self.name),
            _ => self.name.to_owned(),
        }
    }

    /// The type, in words.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self.type_ {
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Histogram => "histogram",
            MetricType::Info => "info",
            MetricType::Unknown => "unknown",
        }
    }
}

macro_rules! catalog {
    ($($constant:ident: $type_:ident $name:literal [$count:literal: $($label:literal),*] $help:literal;)+) => {
        $(
            #[doc = $help]
            pub static $constant: Metric<$count> = Metric { name: $name, type_: MetricType::$type_, labels: [$($label),*], help: $help };
        )+
        /// Every family.
        pub static FAMILIES: &[Family] = &[$($constant.family()),+];
    };
}

catalog! {
    BUILD: Info "genesys_oauth_build" [1: "version"] "Version of the operator.";
    LEADING: Gauge "genesys_oauth_leading" [0:] "1 while this process holds the lease and works, 0 while it waits or hangs.";

    CREDENTIAL_ISSUED: Gauge "genesys_oauth_credential_issued_timestamp_seconds" [2: "namespace", "name"]
        "When the published secret came into being, by the platform's clock.";
    CREDENTIAL_ROTATE: Gauge "genesys_oauth_credential_rotate_timestamp_seconds" [2: "namespace", "name"]
        "When the next rotation is planned.";
    CREDENTIAL_EXPIRES: Gauge "genesys_oauth_credential_expires_timestamp_seconds" [2: "namespace", "name"]
        "When the published credential reaches the deadline of its rotation policy.";
    PLATFORM_DELETION: Gauge "genesys_oauth_platform_deletion_timestamp_seconds" [2: "namespace", "name"]
        "When the platform itself will delete the client.";
    CONDITION: Gauge "genesys_oauth_condition" [5: "kind", "namespace", "name", "type", "status"]
        "1 for the status that a condition of an object has now.";
    DRIFT: Gauge "genesys_oauth_drift" [3: "namespace", "name", "field"]
        "How many values of a field the platform shows otherwise than they were declared.";
    EXTRA_ACCESS: Gauge "genesys_oauth_extra_access" [3: "namespace", "name", "field"]
        "How many roles, scopes or redirect URIs the platform grants that were not declared.";
    INTENT_STARTED: Gauge "genesys_oauth_intent_started_timestamp_seconds" [3: "namespace", "name", "operation"]
        "When a call was begun whose outcome is not settled.";
    RETIRING: Gauge "genesys_oauth_retiring_clients" [3: "namespace", "name", "state"]
        "How many former clients of an object are on their way to deletion.";
    ROTATION_STARTED: Gauge "genesys_oauth_rotation_started_timestamp_seconds" [3: "namespace", "name", "step"]
        "When the rotation under way was started, and how far it came.";
    ROTATION_FAILURES: Gauge "genesys_oauth_rotation_failures" [2: "namespace", "name"]
        "How many rotations of an object failed in a row.";
    CLIENTS: Gauge "genesys_oauth_clients" [2: "organization", "state"]
        "How many objects of an organization are in a state; each is in one.";
    POLICY_CLIENTS: Gauge "genesys_oauth_policy_clients" [4: "kind", "namespace", "name", "state"]
        "How the clients stand that follow a rotation policy, or the rotationDefaults of an organization.";
    POLICY_HALTED: Gauge "genesys_oauth_policy_halted" [3: "kind", "namespace", "name"]
        "1 while scheduled rotations stand still, because too many failed in a row.";
    INVENTORY: Gauge "genesys_oauth_inventory_clients" [2: "organization", "sort"]
        "How many clients of each sort an organization has on the platform.";
    SCAN: Gauge "genesys_oauth_scan_timestamp_seconds" [1: "organization"]
        "When the list of all clients was begun that was last compared with the objects, or when this process began to work.";
    SCAN_INTERVAL: Gauge "genesys_oauth_scan_interval_seconds" [1: "organization"]
        "How often all clients of an organization are listed.";

    BUDGET_CEILING: Gauge "genesys_oauth_budget_ceiling_requests_per_minute" [2: "organization", "host"]
        "Requests a minute that are allowed at most.";
    BUDGET_RATE: Gauge "genesys_oauth_budget_rate_requests_per_minute" [2: "organization", "host"]
        "Requests a minute that the platform was seen to allow; at most the ceiling.";
    BUDGET_TOKENS: Gauge "genesys_oauth_budget_tokens" [2: "organization", "host"]
        "Requests that may go at once.";
    BUDGET_QUEUE: Gauge "genesys_oauth_budget_queue_length" [3: "organization", "host", "class"]
        "How many requests wait for the budget.";
    BUDGET_WAIT: Histogram "genesys_oauth_budget_wait_seconds" [3: "organization", "host", "class"]
        "How long requests that were served had waited for the budget.";
    BUDGET_THROTTLED: Counter "genesys_oauth_budget_throttled" [2: "organization", "host"]
        "How many requests the platform refused because there were too many.";
    BREAKER_OPEN: Gauge "genesys_oauth_breaker_open" [2: "organization", "host"]
        "1 while nothing but probes is sent, because the platform does not answer.";
    CREATES_CLOSED: Gauge "genesys_oauth_creates_closed" [1: "organization"]
        "1 while nothing is created, because the organization has no room for another client.";
    PLATFORM_CALLS: Counter "genesys_oauth_platform_calls" [3: "organization", "operation", "outcome"]
        "Calls of the platform.";
    PLATFORM_CALL_DURATION: Histogram "genesys_oauth_platform_call_duration_seconds" [1: "organization"]
        "How long calls of the platform took, without their wait for the budget.";

    ROTATION_STEPS: Counter "genesys_oauth_rotation_steps" [1: "step"]
        "How many rotations of this process entered a step.";
    ROTATIONS: Counter "genesys_oauth_rotations" [2: "result", "trigger"]
        "How many rotations of this process ended, by how and why.";
    RECONCILE_DURATION: Histogram "genesys_oauth_reconcile_duration_seconds" [1: "controller"]
        "How long passes over objects took, with their waits for the budget and the platform.";
    RECONCILE_ERRORS: Counter "genesys_oauth_reconcile_errors" [2: "controller", "reason"]
        "How many passes ended by an error of the Kubernetes API.";
}
