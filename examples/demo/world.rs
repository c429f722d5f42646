//! The demo's world in memory: both simulators and the operator in this process, and the objects of `examples/` in it. It must not
//! reach beyond this machine.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use genesys_cloud_simulator::{
    OPERATOR_CLIENT_SECRET, Served, Settings as PlatformSettings, Simulator, TokioClock,
    kubernetes::{self, Kubernetes, User},
};
use genesys_oauth_operator::{
    api, connection,
    controller::Clients,
    observability::{events::Audience, metrics::Metrics},
    run::{self, Parts, StartError},
    settings::Settings,
};
use jiff::Timestamp;
use kube::Client;
use tokio::task::JoinHandle;

use crate::{
    platform::{InProcess, WorldChance},
    stage::{Stage, TEAM},
    tempo::Speed,
};

/// The namespace of the operator and of its credentials.
pub const OPERATOR_NAMESPACE: &str = "genesys-oauth-operator";
/// The user that the operator is to the Kubernetes API.
const OPERATOR: &str = "system:serviceaccount:genesys-oauth-operator:operator";
/// The page that lists what the operator may do in a cluster.
const RIGHTS: &str = include_str!("../../docs/explanation/security.md");
/// Gives those rights to the operator.
const BINDINGS: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: genesys-oauth-operator}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: genesys-oauth-operator}
subjects: [{kind: ServiceAccount, name: operator, namespace: genesys-oauth-operator}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: genesys-oauth-operator, namespace: genesys-oauth-operator}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: genesys-oauth-operator}
subjects: [{kind: ServiceAccount, name: operator, namespace: genesys-oauth-operator}]
";
/// Seconds where production waits for a minute: the simulated platform keeps to them.
const WAITS: [&str; 10] =
    ["--call-timeout", "2s", "--scan-timeout", "4s", "--consistency-window", "1s", "--role-propagation", "0s", "--refutation-window", "3s"];
/// How often a settled object is looked at, in real time; a Secret that somebody spoilt is noticed then.
const RESYNC: Duration = Duration::from_secs(15);
/// The same in production, in the world's time: no world looks more seldom.
const LONGEST_RESYNC: Duration = Duration::from_secs(600);
/// How long requests are kept that nobody will read, in real time.
const FORGET: Duration = Duration::from_secs(60);

/// An operator at work. Dropping it ends the operator and closes the addresses.
pub struct World {
    /// Where scenes are played.
    pub stage: Stage,
    /// Where the platform's administrators look.
    pub platform_url: String,
    operator: JoinHandle<Result<(), StartError>>,
    _platform: Served,
    kubernetes: Option<kubernetes::Served>,
}

impl World {
    /// A world in memory, whose Kubernetes API listens on loopback.
    pub async fn in_memory(speed: Speed) -> Result<Self> {
        let clock = TokioClock::new(Timestamp::now());
        let settings = kubernetes::Settings { pace: speed.whole_pace(), ..kubernetes::Settings::new(1, Arc::new(clock.clone())) };
        let kubernetes = Kubernetes::new(settings);
        for crd in api::crds() {
            kubernetes.install_crd(&crd)?;
        }
        kubernetes.apply_manifest(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {OPERATOR_NAMESPACE}}}}}"))?;
        kubernetes.apply_manifest(rights().context("docs/explanation/security.md lists no rights")?)?;
        kubernetes.apply_manifest(BINDINGS)?;
        let clients = connection::over(kubernetes.service(User::named(OPERATOR)), connection::Limits::default());
        let administrator = Client::new(kubernetes.service(User::admin()), "default");
        let served = kubernetes.serve(([127, 0, 0, 1], 0).into()).await.context("listening on a loopback address")?;
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(speed.passes_in(FORGET)).await;
                kubernetes.clear_log();
            }
        });
        let mut world = Self::between(clients, administrator, clock, speed, &[]).await?;
        world.kubernetes = Some(served);
        Ok(world)
    }

    /// A simulated platform, and an operator between it and a Kubernetes API.
    pub async fn between(clients: Clients, administrator: Client, clock: TokioClock, speed: Speed, flags: &[&str]) -> Result<Self> {
        let settings =
            PlatformSettings { role_propagation_milliseconds: 0, list_propagation_milliseconds: 500, ..PlatformSettings::default() };
        let platform = Simulator::new(settings, Arc::new(clock.clone()));
        let served = platform.serve(([127, 0, 0, 1], 0).into()).await.context("listening on a loopback address")?;
        let endpoint = format!("eu-central-1={0},{0}", served.url());
        let resync = format!("{}s", speed.passes_in(RESYNC).min(LONGEST_RESYNC).as_secs());
        let ours = [
            "--operator-namespace",
            OPERATOR_NAMESPACE,
            "--endpoint",
            &endpoint,
            "--resync-interval",
            &resync,
            "--leader-election=disabled",
        ];
        let flags = WAITS.into_iter().chain(ours).chain(flags.iter().copied());
        let parts = Parts {
            clients,
            transport: Arc::new(InProcess(platform.clone())),
            chance: Arc::new(WorldChance(clock.clone())),
            audience: Audience::Cluster,
            settings: Settings::from_flags(flags)?,
            metrics: Metrics::default(),
        };
        let operator = tokio::spawn(run::operate(parts, std::future::pending()));
        let stage = Stage { client: administrator, platform, clock, speed };
        Ok(Self { stage, platform_url: served.url(), operator, _platform: served, kubernetes: None })
    }

    /// The kubeconfig of an administrator, if this world has a Kubernetes API of its own.
    pub fn kubeconfig(&self) -> Option<String> {
        self.kubernetes.as_ref().map(|served| served.kubeconfig_in("admin", TEAM))
    }

    /// Resolves if the operator ends, which it never should.
    pub async fn operator_ended(&mut self) -> anyhow::Error {
        match (&mut self.operator).await {
            Ok(Ok(())) => anyhow::anyhow!("the operator ended"),
            Ok(Err(error)) => anyhow::Error::new(error).context("the operator did not start"),
            Err(panic) => anyhow::Error::new(panic).context("the operator broke off"),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.operator.abort();
    }
}

/// Connects the organization and declares two clients, from the files that the README applies.
pub async fn furnish(stage: &Stage) -> Result<()> {
    stage.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {OPERATOR_NAMESPACE}}}}}")).await?;
    stage.credential("genesys-acme", OPERATOR_CLIENT_SECRET).await?;
    for manifest in [
        include_str!("../00-namespace.yaml"),
        include_str!("../organization.yaml"),
        include_str!("../web-app.yaml"),
        include_str!("../single-page-app.yaml"),
    ] {
        stage.apply(manifest).await?;
    }
    Ok(())
}

/// The manifest of the operator's rights, as the docs list them.
fn rights() -> Option<&'static str> {
    RIGHTS.split("```yaml\n").nth(1)?.split("```").next()
}

/// Writes a file that nobody else may read, and the folders that it needs.
pub fn write_private(file: &Path, text: &str) -> Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let write = || {
        std::fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600).open(file)?.write_all(text.as_bytes())
    };
    write().with_context(|| format!("writing {}; name another file with --kubeconfig", file.display()))
}
