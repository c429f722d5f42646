//! The settings of a running operator, parsed from flags and environment; read once at the start. Holds no secret.

use std::{net::SocketAddr, time::Duration};

use clap::{Args, Command, FromArgMatches as _, ValueEnum};

use crate::{api::duration::UnitDuration, genesys::CustomEndpoint, lease::Terms};

/// Whether workloads may be restarted when a rotation publishes a new credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RolloutTargets {
    /// Objects with `rolloutTargets` are told that they can't be.
    #[default]
    Forbidden,
    /// They may, where the operator's role allows it to get and patch them.
    Allowed,
}

/// Whether replicas agree by a lease who of them works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LeaderElection {
    /// One works, the others wait.
    #[default]
    Enabled,
    /// This process works at once: for one that is known to be alone.
    Disabled,
}

/// Flags of `run`. Each is an environment variable too: `--call-timeout` is `GENESYS_OAUTH_OPERATOR_CALL_TIMEOUT`.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Namespace in which the operator runs and looks for the credentials of organizations
    #[arg(long, env = "GENESYS_OAUTH_OPERATOR_OPERATOR_NAMESPACE", default_value = "genesys-oauth-operator")]
    pub operator_namespace: String,

    /// Namespace whose clients are managed; may be repeated. Default: all namespaces
    #[arg(long = "watch-namespace", env = "GENESYS_OAUTH_OPERATOR_WATCH_NAMESPACE", value_delimiter = ',', value_name = "NAMESPACE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub watch_namespaces: Vec<String>,

    /// Label selector of the organizations that this install works; others are left alone. Default: all
    #[arg(long, env = "GENESYS_OAUTH_OPERATOR_ORGANIZATIONS", value_name = "SELECTOR")]
    pub organizations: Option<String>,

    /// Id of this cluster in the markers of clients. Set it, and keep it, where a cluster may be rebuilt. Default: uid of namespace kube-system
    #[arg(long, env = "GENESYS_OAUTH_OPERATOR_CLUSTER_ID", value_name = "ID")]
    pub cluster_id: Option<String>,

    /// Endpoints of a region that is not compiled in; may be repeated. Plain http is allowed for loopback addresses alone
    #[arg(long = "endpoint", env = "GENESYS_OAUTH_OPERATOR_ENDPOINT", value_name = "NAME=API_URL,LOGIN_URL", value_delimiter = ' ')]
    pub endpoints: Vec<CustomEndpoint>,

    /// How long one call to the platform may take
    #[arg(long, env = "GENESYS_OAUTH_OPERATOR_CALL_TIMEOUT", default_value = "10s", value_name = "DURATION")]
    pub call_timeout: UnitDuration,

    /// How long a scan of all clients of an organization may take
    #[arg(long, env = "GENESYS_OAUTH_OPERATOR_SCAN_TIMEOUT", default_value = "60s", value_name = "DURATION")]
    pub scan_timeout: UnitDuration,

    /// How long a change may take until every read of the platform shows it
    #[arg(long, env = "GENESYS_OAUTH_OPERATOR_CONSISTENCY_WINDOW", default_value = "60s", value_name = "DURATION")]
    pub consistency_window: UnitDuration,

    /// How long a new client's roles take to reach all of the platform; no credential is tried before
    #[arg(long, env = "GENESYS_OAUTH_OPERATOR_ROLE_PROPAGATION", default_value = "10s", value_name = "DURATION")]
    pub role_propagation: UnitDuration,

    /// How long the login host must refuse a credential until it counts as refuted
    #[arg(long, env = "GENESYS_OAUTH_OPERATOR_REFUTATION_WINDOW", default_value = "120s", value_name = "DURATION")]
    pub refutation_window: UnitDuration,

    /// How often a settled object and its Secret are looked at again
    #[arg(long, env = "GENESYS_OAUTH_OPERATOR_RESYNC_INTERVAL", default_value = "10m", value_name = "DURATION")]
    pub resync_interval: UnitDuration,

    /// How many objects of each organization are worked at the same time
    #[arg(long, env = "GENESYS_OAUTH_OPERATOR_MAX_CONCURRENT_RECONCILES", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=200))]
    pub max_concurrent_reconciles: u16,

    /// Whether the workloads that objects name as rolloutTargets may be restarted; the operator's role must allow it too
    #[arg(long, env = "GENESYS_OAUTH_OPERATOR_ROLLOUT_TARGETS", value_enum, default_value_t, ignore_case = true)]
    pub rollout_targets: RolloutTargets,

    /// Whether replicas agree by a Lease in the operator's namespace who of them works
    #[arg(long, env = "GENESYS_OAUTH_OPERATOR_LEADER_ELECTION", value_enum, default_value_t, ignore_case = true)]
    pub leader_election: LeaderElection,

    /// Name of the Lease. Installs that share a namespace need one each
    #[arg(long, env = "GENESYS_OAUTH_OPERATOR_LEASE_NAME", default_value = "genesys-oauth-operator", value_name = "NAME")]
    pub lease_name: String,

    /// How long a replica that shows no life keeps the Lease
    #[arg(long, env = "GENESYS_OAUTH_OPERATOR_LEASE_DURATION", default_value = "15s", value_name = "DURATION")]
    pub lease_duration: UnitDuration,

    /// How long a replica tries to renew the Lease before it ends itself
    #[arg(long, env = "GENESYS_OAUTH_OPERATOR_LEASE_RENEW_DEADLINE", default_value = "10s", value_name = "DURATION")]
    pub lease_renew_deadline: UnitDuration,

    /// How often the Lease is renewed
    #[arg(long, env = "GENESYS_OAUTH_OPERATOR_LEASE_RETRY_PERIOD", default_value = "2s", value_name = "DURATION")]
    pub lease_retry_period: UnitDuration,

    /// Name of this replica in the Lease, for people: its Pod
    #[arg(long, env = "GENESYS_OAUTH_OPERATOR_POD_NAME", default_value = "genesys-oauth-operator", value_name = "NAME")]
    pub pod_name: String,

    /// Address at which /healthz and /readyz are answered; 0.0.0.0:8081 in a Pod. Default: nowhere
    #[arg(long, env = "GENESYS_OAUTH_OPERATOR_PROBE_ADDRESS", value_name = "ADDRESS:PORT")]
    pub probe_address: Option<SocketAddr>,

    /// Address at which /metrics is shown; 0.0.0.0:8080 in a Pod. Default: nowhere
    #[arg(long, env = "GENESYS_OAUTH_OPERATOR_METRICS_ADDRESS", value_name = "ADDRESS:PORT")]
    pub metrics_address: Option<SocketAddr>,

    /// How long passes under way may take to end after SIGTERM; shorter than the Pod's terminationGracePeriodSeconds
    #[arg(long, env = "GENESYS_OAUTH_OPERATOR_SHUTDOWN_GRACE", default_value = "25s", value_name = "DURATION")]
    pub shutdown_grace: UnitDuration,
}

impl Settings {
    /// The settings that these flags give, each flag and each value as one word; for programs that bring an operator with them.
    ///
    /// # Errors
    /// As on the command line.
    pub fn from_flags<'a>(flags: impl IntoIterator<Item = &'a str>) -> Result<Self, clap::Error> {
        let command = Self::augment_args(Command::new("run").no_binary_name(true));
        Self::from_arg_matches(&command.try_get_matches_from(flags)?)
    }

    /// How long the Lease lasts, and how it is renewed.
    #[must_use]
    pub fn lease_terms(&self) -> Terms {
        Terms {
            duration: self.lease_duration.as_duration(),
            renew_deadline: self.lease_renew_deadline.as_duration(),
            retry_period: self.lease_retry_period.as_duration(),
        }
    }

    /// How long a call and the time until everybody sees its effect take together.
    #[must_use]
    pub fn settling_time(&self) -> Duration {
        self.call_timeout.as_duration() + self.consistency_window.as_duration()
    }
}
