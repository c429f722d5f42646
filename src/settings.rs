//! The settings of a running operator, parsed from flags and environment; read once at the start. Holds no secret.

use std::time::Duration;

use clap::{Args, Command, FromArgMatches as _, ValueEnum};

use crate::{api::duration::UnitDuration, genesys::CustomEndpoint};

/// Whether workloads may be restarted when a rotation publishes a new credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RolloutTargets {
    /// Objects with `rolloutTargets` are told that they can't be.
    #[default]
    Forbidden,
    /// They may, where the operator's role allows it to get and patch them.
    Allowed,
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

    /// How long a call and the time until everybody sees its effect take together.
    #[must_use]
    pub fn settling_time(&self) -> Duration {
        self.call_timeout.as_duration() + self.consistency_window.as_duration()
    }
}
