//! One scenario's island: its namespaces, organization, simulator, proxies and operators, named after the scenario so that
//! many run side by side on one control plane. It must not decide what a scenario expects; see `expect`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::Method;
use serde_json::Value;

use crate::account::{self, Install};
use crate::api::{http_client, path};
use crate::calls::{OPERATOR_NAMESPACE, Words};
use crate::harness::Harness;
use crate::kubectl::Kubectl;
use crate::manifests;
use crate::oauth::Data;
use crate::operator::{Logging, Operator, Setup, Terms, Timing};
use crate::proxy::{Proxy, Recorder};
use crate::simulator::{OPERATOR_CLIENT, OPERATOR_SECRET, Simulator, quick_settings};

/// No scenario of a world restarts workloads.
const ROLLOUTS: &str = "forbidden";

/// How a world's operator reaches the two servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// As in production: https to the API server, straight to the platform.
    Direct,
    /// Through the recording proxies.
    Proxied,
}

/// What a world is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The namespace of its clients: a DNS label, unique in the run.
    pub name: String,
    /// Where the operator's credentials lie.
    pub operator_namespace: String,
    /// Whether the world makes the namespace of its clients, as it makes the operator's, or the scenario does.
    pub namespaces: bool,
    /// The label selector of its organizations.
    pub organizations: String,
    /// The namespace that its operator watches; all if none.
    pub watch: Option<String>,
    /// The region that stands for its simulator.
    pub region: String,
    /// How its operator reaches the servers.
    pub route: Route,
    /// The simulator's settings.
    pub settings: Value,
    /// The operator's waits.
    pub timing: Timing,
    /// What its operators log.
    pub log: Logging,
}

impl Plan {
    /// An island of a scenario: everything named after it, quick settings.
    #[must_use]
    pub fn new(name: &str, route: Route) -> Self {
        Self {
            name: name.to_owned(),
            operator_namespace: format!("{name}-op"),
            namespaces: true,
            organizations: format!("cell={name}"),
            watch: Some(name.to_owned()),
            region: manifests::REGION.to_owned(),
            route,
            settings: quick_settings(),
            timing: Timing::QUICK,
            log: Logging::USUAL,
        }
    }

    /// The world that `examples/` describes, for an operator of the whole cluster: every namespace, and every
    /// organization but those of the islands.
    #[must_use]
    pub fn examples() -> Self {
        Self {
            operator_namespace: "genesys-oauth-operator".to_owned(),
            namespaces: false,
            organizations: "!cell".to_owned(),
            watch: None,
            region: "eu-central-1".to_owned(),
            ..Self::new("contact-center", Route::Direct)
        }
    }
}

/// The island.
#[derive(Debug)]
pub struct World {
    /// What the whole run shares.
    pub harness: Arc<Harness>,
    /// The namespace of its clients; also the organization's name and its `cell` label.
    pub name: String,
    /// Where the operator's credentials lie.
    pub operator_namespace: String,
    /// Its platform.
    pub simulator: Simulator,
    /// What its proxies saw.
    pub recorder: Arc<Recorder>,
    /// kubectl in its namespace.
    pub kubectl: Kubectl,
    /// What its operators are started with.
    pub setup: Setup,
    /// The token of the operator's account.
    pub token: String,
    folder: PathBuf,
    kubeconfig: PathBuf,
    platform: String,
    _proxies: Vec<Proxy>,
    operators: Mutex<Vec<Operator>>,
    started: AtomicUsize,
}

impl World {
    /// Makes the namespaces, the simulator and the proxies. No organization yet, and no operator.
    pub async fn create(harness: &Arc<Harness>, plan: Plan) -> Result<Self> {
        let Plan { name, operator_namespace, namespaces, organizations, watch, region, route, settings, timing, log } = plan;
        let folder = harness.folder().join("worlds").join(&name);
        std::fs::create_dir_all(&folder)?;
        let mut settings = settings;
        // Organizations are cluster-scoped, and two objects for one organization are a mistake that the operator reports.
        settings["organizationId"] = organization_id(&name).into();
        let simulator = Simulator::start(&harness.environment, &folder, &settings, &harness.http, &harness.reaper).await?;
        let recorder = Arc::new(Recorder::default());
        let mut proxies = Vec::new();
        for namespace in [Some(&operator_namespace), Some(&name).filter(|_| namespaces)].into_iter().flatten() {
            harness.api.write(Method::POST, "/api/v1/namespaces", &manifests::namespace(namespace)).await?;
        }
        let install = Install { release: &name, namespace: &operator_namespace, watch: watch.as_deref(), rollout_targets: ROLLOUTS };
        let token = account::token(&harness.environment, &harness.helm, &harness.api, install).await?;
        let kubeconfig = folder.join("kubeconfig");
        let platform = match route {
            Route::Direct => {
                account::write_kubeconfig(&kubeconfig, &harness.plane.server, Some(&harness.plane.authority), &token)?;
                simulator.url().to_owned()
            }
            Route::Proxied => {
                let words = Words::default().with(&name, "{namespace}").with(&operator_namespace, OPERATOR_NAMESPACE);
                let upstream = http_client(Some(&harness.plane.authority))?;
                let server = Proxy::start(&recorder, upstream, &harness.plane.server, true, words.clone()).await?;
                let platform = Proxy::start(&recorder, http_client(None)?, simulator.url(), false, words).await?;
                account::write_kubeconfig(&kubeconfig, server.url(), None, &token)?;
                let url = platform.url().to_owned();
                proxies.extend([server, platform]);
                url
            }
        };
        let setup = Setup {
            operator_namespace: operator_namespace.clone(),
            namespace: watch,
            organizations: Some(organizations),
            endpoints: vec![format!("{region}={platform},{platform}")],
            timing,
            rollout_targets: ROLLOUTS,
            log,
            pod: "operator".to_owned(),
            lease: None,
        };
        Ok(Self {
            harness: Arc::clone(harness),
            kubectl: harness.kubectl.namespaced(&name),
            name,
            operator_namespace,
            simulator,
            recorder,
            setup,
            token,
            folder,
            kubeconfig,
            platform,
            _proxies: proxies,
            operators: Mutex::default(),
            started: AtomicUsize::new(0),
        })
    }

    /// A world with its credential, its organization and one operator, waiting until the organization is Ready.
    pub async fn settled(harness: &Arc<Harness>, plan: Plan) -> Result<Self> {
        let world = Self::create(harness, plan).await?;
        world.give_credentials(OPERATOR_SECRET).await?;
        world.apply(&manifests::organization(&world.name)).await?;
        world.start_operator().await?;
        crate::expect::organization(&world, "Ready", "True", None).await?;
        Ok(world)
    }

    /// Writes the Secret with the operator's own credential, in the place where the organization looks.
    pub async fn give_credentials(&self, secret: &str) -> Result<()> {
        let manifest = manifests::credentials(&self.operator_namespace, OPERATOR_CLIENT, secret);
        self.harness.kubectl.apply(&manifest.to_string()).await.map(drop)
    }

    /// `kubectl apply` of one object.
    pub async fn apply(&self, manifest: &Value) -> Result<String> {
        self.harness.kubectl.apply(&manifest.to_string()).await
    }

    /// Starts one more operator.
    pub async fn start_operator(&self) -> Result<Operator> {
        let number = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        let log = self.folder.join(format!("operator-{number}.log"));
        let (environment, reaper) = (&self.harness.environment, &self.harness.reaper);
        let operator = Operator::start(environment, &self.setup, &self.kubeconfig, &log, reaper).await?;
        self.operators.lock().unwrap_or_else(PoisonError::into_inner).push(operator.clone());
        Ok(operator)
    }

    /// Starts one of several replicas that share a lease, and waits for nothing.
    pub fn start_replica(&self, pod: &str, terms: Terms) -> Result<Operator> {
        let number = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        let log = self.folder.join(format!("operator-{number}.log"));
        let setup = Setup { lease: Some(terms), pod: pod.to_owned(), ..self.setup.clone() };
        let (environment, reaper) = (&self.harness.environment, &self.harness.reaper);
        Operator::launch(environment, &setup, &self.kubeconfig, &log, reaper)
    }

    /// The operator that was started last.
    pub fn operator(&self) -> Result<Operator> {
        self.operators.lock().unwrap_or_else(PoisonError::into_inner).last().cloned().context("no operator was started")
    }

    /// Kills all operators and waits until they are gone.
    pub async fn stop_operators(&self) -> Result<()> {
        let all = std::mem::take(&mut *self.operators.lock().unwrap_or_else(PoisonError::into_inner));
        for operator in all {
            operator.process.stop().await?;
        }
        Ok(())
    }

    /// The log of every operator so far, one after the other.
    #[must_use]
    pub fn operator_logs(&self) -> String {
        let files = (1..=self.started.load(Ordering::Relaxed)).map(|number| self.folder.join(format!("operator-{number}.log")));
        files.filter_map(|file| std::fs::read_to_string(file).ok()).collect()
    }

    /// The world's folder: logs, kubeconfig.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The client object `name`, if it exists.
    pub async fn object(&self, name: &str) -> Result<Option<Value>> {
        self.harness.api.get(&path(Some(&self.name), "genesysoauthclients", name)).await
    }

    /// The Secret `name`, if it exists.
    pub async fn secret(&self, name: &str) -> Result<Option<Value>> {
        self.harness.api.get(&path(Some(&self.name), "secrets", name)).await
    }

    /// The decoded data of a Secret that must exist, with the platform's address as this test reaches it.
    pub async fn data(&self, name: &str) -> Result<Data> {
        let secret = self.secret(name).await?.with_context(|| format!("no Secret {name}"))?;
        self.direct(&secret)
    }

    /// A Secret's decoded data, with the proxy's address replaced by the platform's, so that a check is not recorded.
    pub fn direct(&self, secret: &Value) -> Result<Data> {
        let mut data = decode(secret)?;
        for value in data.values_mut() {
            *value = value.replace(&self.platform, self.simulator.url());
        }
        Ok(data)
    }

    /// Plays the garbage collector, which a bare API server lacks: deletes Secrets whose owners are all gone.
    ///
    /// Returns the names of what it deleted.
    pub async fn play_garbage_collector(&self) -> Result<Vec<String>> {
        let api = &self.harness.api;
        let objects = api.list(&path(Some(&self.name), "genesysoauthclients", "")).await?;
        let alive: Vec<&Value> = objects.iter().map(|object| &object["metadata"]["uid"]).collect();
        let mut deleted = Vec::new();
        for secret in api.list(&path(Some(&self.name), "secrets", "")).await? {
            let owners = secret["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
            if !owners.is_empty() && !owners.iter().any(|owner| alive.contains(&&owner["uid"])) {
                let name = secret["metadata"]["name"].as_str().context("a Secret without a name")?;
                api.delete(&path(Some(&self.name), "secrets", name)).await?;
                deleted.push(name.to_owned());
            }
        }
        Ok(deleted)
    }

    /// Plays the namespace controller, which a bare API server lacks: deletes what a terminating namespace holds.
    pub async fn play_namespace_controller(&self) -> Result<()> {
        let api = &self.harness.api;
        for plural in ["genesysoauthclients", "secrets"] {
            for object in api.list(&path(Some(&self.name), plural, "")).await? {
                let name = object["metadata"]["name"].as_str().context("an object without a name")?;
                api.delete(&path(Some(&self.name), plural, name)).await?;
            }
        }
        Ok(())
    }
}

/// A Secret's data, decoded.
pub fn decode(secret: &Value) -> Result<Data> {
    let data = secret["data"].as_object().context("the Secret has no data")?;
    data.iter()
        .map(|(key, value)| {
            let bytes = BASE64_STANDARD.decode(value.as_str().context("Secret data is text")?)?;
            Ok((key.clone(), String::from_utf8(bytes)?))
        })
        .collect()
}

/// A UUID of its own for each world.
fn organization_id(name: &str) -> String {
    use sha2::{Digest as _, Sha256};
    use std::fmt::Write as _;
    let digits = Sha256::digest(name.as_bytes()).iter().take(6).fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    format!("11111111-1111-4111-8111-{digits}")
}
