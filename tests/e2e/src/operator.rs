//! The built operator as a process, with flags that keep a test to seconds; it must not know what it is to achieve.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::process::Command;

use crate::environment::Environment;
use crate::process::{Process, tail};
use crate::reaper::Reaper;
use crate::wait::until;

/// The line of a started operator's log that says it works.
const STARTED: &str = "operator started";

/// Its waits, in the notation of its flags.
#[derive(Debug, Clone)]
pub struct Timing {
    /// `--call-timeout`
    pub call: &'static str,
    /// `--scan-timeout`
    pub scan: &'static str,
    /// `--consistency-window`
    pub consistency: &'static str,
    /// `--role-propagation`
    pub roles: &'static str,
    /// `--refutation-window`
    pub refutation: &'static str,
    /// `--resync-interval`
    pub resync: &'static str,
}

impl Timing {
    /// Seconds where production waits for minutes: the simulator keeps to them.
    pub const QUICK: Self = Self { call: "2s", scan: "4s", consistency: "1s", roles: "0s", refutation: "3s", resync: "10m" };
}

/// A lease that ends soon, in the notation of its flags: `--lease-duration`, `--lease-renew-deadline`, `--lease-retry-period`.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How long it lasts.
    pub duration: &'static str,
    /// How long its holder tries to renew it.
    pub renew_deadline: &'static str,
    /// How often it is renewed.
    pub retry_period: &'static str,
}

impl Terms {
    /// As short as a loaded machine keeps.
    pub const SHORT: Self = Self { duration: "4s", renew_deadline: "3s", retry_period: "1s" };
}

/// What it logs.
#[derive(Debug, Clone, Copy)]
pub struct Logging {
    /// `RUST_LOG`
    pub filter: &'static str,
    /// `--log-format`: `text` or `json`.
    pub format: &'static str,
}

impl Logging {
    /// For a person who reads why a test failed.
    pub const USUAL: Self = Self { filter: "info", format: "text" };
}

/// What one operator works on.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Where its credentials Secrets live.
    pub operator_namespace: String,
    /// The namespace that it watches; all if none.
    pub namespace: Option<String>,
    /// Its label selector on organizations; all if none.
    pub organizations: Option<String>,
    /// `NAME=API_URL,LOGIN_URL`, repeatable.
    pub endpoints: Vec<String>,
    /// Its waits.
    pub timing: Timing,
    /// `--rollout-targets`: `forbidden` or `allowed`.
    pub rollout_targets: &'static str,
    /// What it logs.
    pub log: Logging,
    /// `--pod-name`
    pub pod: String,
    /// By which lease replicas agree who works; without one, each of them works.
    pub lease: Option<Terms>,
}

/// One running operator. Dropping the last handle kills it.
#[derive(Debug, Clone)]
pub struct Operator {
    /// The process, to be killed by a proxy.
    pub process: Process,
}

impl Operator {
    /// Starts it with a `log` of its own and waits until it says that it has started.
    pub async fn start(environment: &Environment, setup: &Setup, kubeconfig: &Path, log: &Path, reaper: &Arc<Reaper>) -> Result<Self> {
        let this = Self::launch(environment, setup, kubeconfig, log, reaper)?;
        this.started().await?;
        Ok(this)
    }

    /// Waits until it says that it has started.
    pub async fn started(&self) -> Result<()> {
        until("the operator's first words", Duration::from_secs(30), || async {
            let log = self.process.log();
            if let Some(status) = self.process.ended() {
                bail!("the operator ended with {status} at its start:\n{}", tail(&log, 20));
            }
            Ok(if log.contains(STARTED) { Ok(()) } else { Err(tail(&log, 3)) })
        })
        .await
    }

    /// The same without a wait, for a replica that may have to wait for its lease.
    pub fn launch(environment: &Environment, setup: &Setup, kubeconfig: &Path, log: &Path, reaper: &Arc<Reaper>) -> Result<Self> {
        Self::run(environment, &arguments(setup), &[("RUST_LOG", setup.log.filter)], kubeconfig, log, reaper)
    }

    /// Starts it with a command line and with variables, as a Deployment has them.
    pub fn run(
        environment: &Environment,
        arguments: &[String],
        variables: &[(&str, &str)],
        kubeconfig: &Path,
        log: &Path,
        reaper: &Arc<Reaper>,
    ) -> Result<Self> {
        let mut command = Command::new(&environment.operator);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            // Whoever runs these tests in a Pod means another cluster.
            if name.starts_with("KUBERNETES_SERVICE_")
                || name.starts_with("GENESYS_OAUTH_OPERATOR_")
                || name.to_ascii_lowercase().ends_with("_proxy")
                || name == "POD_NAMESPACE"
            {
                command.env_remove(name);
            }
        }
        command.env("KUBECONFIG", kubeconfig).envs(variables.iter().copied()).args(arguments);
        let process = Process::start("the operator", command, log, reaper)?;
        Ok(Self { process })
    }
}

/// The command line of an operator, without the program.
#[must_use]
pub fn arguments(setup: &Setup) -> Vec<String> {
    let timing = &setup.timing;
    let mut all: Vec<String> = vec!["run".to_owned()];
    let mut flag = |name: &str, value: &str| all.extend([name.to_owned(), value.to_owned()]);
    flag("--operator-namespace", &setup.operator_namespace);
    setup.namespace.iter().for_each(|namespace| flag("--watch-namespace", namespace));
    setup.organizations.iter().for_each(|selector| flag("--organizations", selector));
    setup.endpoints.iter().for_each(|endpoint| flag("--endpoint", endpoint));
    flag("--call-timeout", timing.call);
    flag("--scan-timeout", timing.scan);
    flag("--consistency-window", timing.consistency);
    flag("--role-propagation", timing.roles);
    flag("--refutation-window", timing.refutation);
    flag("--resync-interval", timing.resync);
    flag("--rollout-targets", setup.rollout_targets);
    flag("--pod-name", &setup.pod);
    flag("--log-format", setup.log.format);
    match &setup.lease {
        Some(terms) => {
            flag("--leader-election", "enabled");
            flag("--lease-duration", terms.duration);
            flag("--lease-renew-deadline", terms.renew_deadline);
            flag("--lease-retry-period", terms.retry_period);
        }
        // A killed operator starts again at once, and two of them work on purpose: what a lease prevents is what those stories are about.
        None => flag("--leader-election", "disabled"),
    }
    all
}
