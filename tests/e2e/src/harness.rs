//! What all scenarios of one run share: the control plane, kubectl and the reaper; it must not know any scenario.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::api::{Api, http_client};
use crate::control_plane::{self, ControlPlane};
use crate::environment::{self, Environment};
use crate::helm::{self, Helm};
use crate::kubectl::Kubectl;
use crate::reaper::Reaper;

/// One run.
#[derive(Debug)]
pub struct Harness {
    /// Paths and settings.
    pub environment: Environment,
    /// etcd and kube-apiserver.
    pub plane: ControlPlane,
    /// kubectl as administrator, without a namespace.
    pub kubectl: Kubectl,
    /// Helm 4, for what the chart renders.
    pub helm: Helm,
    /// Direct requests as administrator.
    pub api: Api,
    /// Plain HTTP to loopback: the simulator, the redirects of a browser.
    pub http: reqwest::Client,
    /// Stops everything.
    pub reaper: Arc<Reaper>,
    /// Whether the server keeps `x-kubernetes-validations`: then it refuses what breaks a rule, else the operator says it.
    pub keeps_rules: bool,
    folder: PathBuf,
}

/// Makes rustls' one crypto provider the process's; a second call changes nothing.
pub fn install_crypto() {
    // It fails only when a provider is installed already, and there is only one to install.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl Harness {
    /// Starts the control plane and applies the CRDs, telling `say` what happens.
    pub async fn start(environment: Environment, say: impl Fn(&str)) -> Result<Arc<Self>> {
        install_crypto();
        let folder = match std::env::var_os(environment::KEEP) {
            Some(kept) => {
                std::fs::create_dir_all(&kept)?;
                PathBuf::from(kept).canonicalize()?
            }
            None => tempfile::Builder::new().prefix("genesys-e2e-").tempdir()?.keep(),
        };
        let reaper = Arc::new(Reaper::start(&environment.path("tests/control-plane/down.sh"))?);
        if std::env::var_os(environment::KEEP).is_none() {
            reaper.remove(&folder);
        }
        let programs = control_plane::install(&environment).await?;
        let helm = Helm::new(&helm::install(&environment).await?.join("helm4"), &folder.join("helm"), &reaper);
        let begun = Instant::now();
        let plane = ControlPlane::start(&environment, &programs, &folder.join("control-plane"), &reaper).await?;
        let kubectl = Kubectl::new(&plane.kubectl, &plane.kubeconfig, &folder.join("kubectl-cache"), &reaper);
        let api = Api::new(&plane)?;
        apply_crds(&kubectl, &environment.path("crds").display().to_string(), &say).await?;
        for crd in ["genesysoauthclients", "genesysorganizations"] {
            let name = format!("crd/{crd}.oauth.genesys-operator.io");
            kubectl.wait(&name, "Established", "30s").await?;
        }
        let crd = api
            .get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/genesysoauthclients.oauth.genesys-operator.io")
            .await?
            .context("the CRD was just applied")?;
        let keeps_rules = keeps_rules(&crd);
        let version = api.get("/version").await?.unwrap_or_default();
        say(&format!(
            "control plane: kube-apiserver {} on {} after {:.1} s; it {} CEL rules",
            version.get("gitVersion").and_then(Value::as_str).unwrap_or("?"),
            plane.server,
            begun.elapsed().as_secs_f64(),
            if keeps_rules { "keeps" } else { "drops" },
        ));
        let http = http_client(None)?;
        Ok(Arc::new(Self { environment, plane, kubectl, helm, api, http, reaper, keeps_rules, folder }))
    }

    /// The run's folder: kubeconfigs and logs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Applies the CRDs as a user does; an old server's own schema does not know CEL rules and needs `--validate=false`.
async fn apply_crds(kubectl: &Kubectl, folder: &str, say: &impl Fn(&str)) -> Result<()> {
    let first = kubectl.run(&["apply", "-f", folder]).await?;
    if first.code != 0 && first.stderr.contains("unknown field \"x-kubernetes-validations\"") {
        say("this server is older than CEL rules: the CRDs are applied with --validate=false");
        return kubectl.ok(&["apply", "--validate=false", "-f", folder]).await.map(drop);
    }
    first.success().map(drop)
}

/// Whether any schema of the stored CRD still has rules.
fn keeps_rules(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.contains_key("x-kubernetes-validations") || map.values().any(keeps_rules),
        Value::Array(items) => items.iter().any(keeps_rules),
        _ => false,
    }
}

/// How long anything that the operator is to do may take before a scenario fails.
pub const PATIENCE: Duration = Duration::from_secs(60);
