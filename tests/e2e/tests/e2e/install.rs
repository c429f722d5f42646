//! The chart from `helm install` to `helm uninstall` on a real API server, as its README and its notes tell people to do it. It must not apply anything that
//! they do not, but for the platform's address and waits of seconds.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e_support::account::CHART;
use e2e_support::api::path;
use e2e_support::expect::{condition, is};
use e2e_support::harness::{Harness, PATIENCE};
use e2e_support::oauth::client_credentials;
use e2e_support::operator::Timing;
use e2e_support::process::tail;
use e2e_support::reaper::Reaper;
use e2e_support::release::{Cluster, RELEASE, Running, Server};
use e2e_support::runner::Scenario;
use e2e_support::simulator::{OPERATOR_CLIENT, OPERATOR_SECRET};
use e2e_support::wait::until;
use e2e_support::world::decode;
use serde_json::{Value, json};

/// The chart that was packaged first; every later one must upgrade its releases.
const FIRST: &str = "tests/chart/fixtures/genesys-oauth-operator-0.1.0.tgz";
/// Where the clients of `examples/` are.
const TEAM: &str = "contact-center";
/// The definitions of the chart.
const DEFINITIONS: usize = 3;

/// How the definitions go in the end: with the release, because `crds.keep` is false, or as the README tells those who kept them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    WithTheRelease,
    ByHand,
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    let of = |(server, program, end): (Server, &'static str, End)| {
        let place = if server == Server::Real { "a real server" } else { "the one in memory" };
        let name = format!("install/{program} on {place}: install to Ready, upgrade from the first chart, uninstall, install again");
        Scenario::new(name, move |harness| story(harness, server, program, end))
    };
    [(Server::Real, "helm4", End::WithTheRelease), (Server::Real, "helm3", End::ByHand), (Server::InMemory, "helm4", End::ByHand)]
        .map(of)
        .into()
}

async fn story(harness: Arc<Harness>, server: Server, program: &'static str, end: End) -> Result<()> {
    let folder = harness.folder().join("install").join(format!("{program}-{server:?}"));
    let reaper = Arc::new(Reaper::start(&harness.environment.path("tests/control-plane/down.sh"))?);
    let cluster = Cluster::start(&harness, server, program, &folder, &reaper).await?;
    let result = told(&harness, &cluster, &folder, end).await;
    tokio::task::spawn_blocking(move || reaper.finish()).await?;
    let log = |number| fs::read_to_string(folder.join(format!("operator-{number}.log"))).unwrap_or_default();
    result.with_context(|| format!("operators:\n{}{}{}", tail(&log(1), 4), tail(&log(2), 4), tail(&log(3), 4)))
}

async fn told(harness: &Harness, cluster: &Cluster, folder: &Path, end: End) -> Result<()> {
    let current = cluster.chart(&harness.environment.path(CHART)).await?;
    let running = installed(harness, cluster, folder, &current).await.context("installing the first chart")?;
    let before = credentials(harness, cluster).await?;

    cluster.as_readme("helm upgrade", &current, &[]).await?;
    running.terminate().await?;
    let running = cluster.run_deployment().await?;
    works(cluster, 7200).await.context("after the upgrade")?;
    ensure!(credentials(harness, cluster).await? == before, "the upgrade changed a credential");

    running.terminate().await?;
    cluster.as_readme("helm uninstall", &current, &[]).await?;
    ensure!(left(cluster).await? == (DEFINITIONS, 0, 0), "helm uninstall leaves other than the definitions: {:?}", left(cluster).await?);
    ensure!(credentials(harness, cluster).await? == before, "helm uninstall took a credential with it");

    // Installed again, it goes on with what is there; and this time nothing is to stay.
    let values = values(cluster, folder)?;
    let more = ["--values", &values, "--set", &format!("crds.keep={}", end == End::ByHand)];
    let said = cluster.as_readme("helm install", &current, &more).await?;
    ensure!(said.contains("WARNING: crds.keep is false") == (end == End::WithTheRelease), "it warns when it should not, or not:\n{said}");
    let running = cluster.run_deployment().await?;
    works(cluster, 1800).await.context("after the second install")?;
    ensure!(credentials(harness, cluster).await? == before, "the second install changed a credential");
    for line in ["kubectl delete goc", "kubectl delete gorg,gpol"] {
        cluster.shell(folder, &cluster.readme(line)?.join(" ")).await?;
    }
    ensure!(cluster.simulator.clients().await?.is_empty(), "clients are left on the platform");
    running.terminate().await?;
    cluster.as_readme("helm uninstall", &current, &[]).await?;
    if end == End::ByHand {
        cluster.shell(folder, &cluster.readme("kubectl delete crd")?.join(" ")).await?;
    }
    until("the definitions to go", PATIENCE, || async {
        let left = left(cluster).await?;
        Ok(if left == (0, 0, 0) { Ok(()) } else { Err(format!("definitions, Deployments and roles: {left:?}")) })
    })
    .await?;
    fresh(harness, cluster, folder, &current, end).await.context("installing the present chart where nothing is")?;
    let refused = cluster.plane.audit.read()?.refused;
    ensure!(refused.is_empty(), "the operator asked for what the chart does not grant: {refused:#?}");
    Ok(())
}

/// Installs the first chart and does what the current one prints, until a client is Ready; then declares what `examples/` declare.
async fn installed(harness: &Harness, cluster: &Cluster, folder: &Path, current: &Path) -> Result<Running> {
    let first = cluster.chart(&harness.environment.path(FIRST)).await?;
    let values = values(cluster, folder)?;
    cluster.as_readme("helm install", &first, &["--values", &values]).await?;
    let running = cluster.run_deployment().await?;
    let said = cluster.as_readme("helm install", current, &["--dry-run=client"]).await?;
    follow_notes(harness, cluster, folder, &said).await?;
    cluster.kubectl.ok(&["apply", "-f", &harness.environment.path("examples").display().to_string()]).await?;
    let wait = ["wait", "goc", "--all", "--namespace", TEAM, "--for=condition=Ready", "--timeout=60s"];
    cluster.kubectl.ok(&wait).await?;
    ensure!(!running.log().contains(OPERATOR_SECRET), "the operator's secret stands in its log");
    Ok(running)
}

/// Installs the present chart where there are no definitions any more, and does what it prints; for one namespace where an install ends with its definitions.
async fn fresh(harness: &Harness, cluster: &Cluster, folder: &Path, current: &Path, end: End) -> Result<()> {
    // What the garbage collector does, and what a person did by hand.
    for namespace in [TEAM, RELEASE] {
        cluster.kubectl.ok(&["delete", "secrets", "--all", "--namespace", namespace]).await?;
    }
    let values = values(cluster, folder)?;
    let watched = format!("watchNamespaces={{{TEAM}}}");
    let more: &[&str] = if end == End::WithTheRelease { &["--values", &values, "--set", &watched] } else { &["--values", &values] };
    let said = cluster.as_readme("helm install", current, more).await?;
    let running = cluster.run_deployment().await?;
    follow_notes(harness, cluster, folder, &said).await?;
    running.terminate().await
}

/// Does what Helm printed, and demands that it ends with a client that is Ready.
async fn follow_notes(harness: &Harness, cluster: &Cluster, folder: &Path, said: &str) -> Result<()> {
    let notes = notes(said);
    ensure!(notes.len() == 5, "the notes hold other than five commands:\n{said}");
    let mine = files(harness, folder)?;
    for line in &notes {
        cluster.shell(&mine, line).await.context("a command of the notes")?;
    }
    let ready = object(cluster, "call-reporting").await?;
    ensure!(is(&ready, "Ready", "True", None) && is(&ready, "Synced", "True", None), "the notes end with {:?}", condition(&ready, "Ready"));
    Ok(())
}

/// The commands that the notes of the chart give.
fn notes(said: &str) -> Vec<String> {
    let (_, notes) = said.split_once("NOTES:").unwrap_or_default();
    notes.lines().map(str::trim).filter(|line| line.starts_with("kubectl ")).map(str::to_owned).collect()
}

/// The files that the notes speak of, as a person has them.
fn files(harness: &Harness, folder: &Path) -> Result<PathBuf> {
    let mine = folder.join("mine");
    fs::create_dir_all(&mine)?;
    let example = |name: &str| fs::read_to_string(harness.environment.path("examples").join(name)).with_context(|| name.to_owned());
    fs::write(mine.join("clientId"), OPERATOR_CLIENT)?;
    fs::write(mine.join("clientSecret"), OPERATOR_SECRET)?;
    fs::write(mine.join("organization.yaml"), example("organization.yaml")?)?;
    fs::write(mine.join("client.yaml"), format!("{}---\n{}", example("00-namespace.yaml")?, example("client-credentials.yaml")?))?;
    Ok(mine)
}

/// What a person need not set: where the platform is, and waits of seconds where it takes minutes.
fn values(cluster: &Cluster, folder: &Path) -> Result<String> {
    let Timing { call, scan, consistency, roles, refutation, resync } = Timing::QUICK;
    let arguments = json!([
        format!("--endpoint=eu-central-1={0},{0}", cluster.simulator.url()),
        format!("--call-timeout={call}"),
        format!("--scan-timeout={scan}"),
        format!("--consistency-window={consistency}"),
        format!("--role-propagation={roles}"),
        format!("--refutation-window={refutation}"),
        format!("--resync-interval={resync}"),
    ]);
    let file = folder.join("values.json");
    fs::write(&file, json!({ "extraArgs": arguments }).to_string())?;
    Ok(file.display().to_string())
}

async fn object(cluster: &Cluster, name: &str) -> Result<Value> {
    cluster.api.get(&path(Some(TEAM), "genesysoauthclients", name)).await?.with_context(|| format!("no object {name}"))
}

/// The Secrets with their data, the ids of the clients, and the clients on the platform. A credential of each kind that can is used.
async fn credentials(harness: &Harness, cluster: &Cluster) -> Result<BTreeMap<String, Value>> {
    let mut all = BTreeMap::new();
    for secret in cluster.api.list(&path(Some(TEAM), "secrets", "")).await? {
        all.insert(format!("Secret {}", secret["metadata"]["name"]), secret["data"].clone());
    }
    for object in cluster.api.list(&path(Some(TEAM), "genesysoauthclients", "")).await? {
        all.insert(format!("client {}", object["metadata"]["name"]), object["status"]["clientId"].clone());
    }
    let mut platform: Vec<Value> = cluster.simulator.clients().await?.iter().map(|client| client["id"].clone()).collect();
    platform.sort_by_key(ToString::to_string);
    ensure!(all.len() == 2 * platform.len() && platform.len() == 4, "{} Secrets and objects for {} clients", all.len(), platform.len());
    all.insert("platform".to_owned(), platform.into());
    let secret = cluster.api.get(&path(Some(TEAM), "secrets", "call-reporting")).await?.context("no Secret")?;
    client_credentials(&harness.http, &decode(&secret)?).await?.token()?;
    Ok(all)
}

/// Demands that the operator that runs now takes an edit to the platform, and that all its clients are Ready.
async fn works(cluster: &Cluster, validity: u32) -> Result<()> {
    let patch = json!({ "spec": { "accessTokenValiditySeconds": validity } }).to_string();
    let kubectl = cluster.kubectl.namespaced(TEAM);
    kubectl.ok(&["patch", "goc", "call-reporting", "--type=merge", "--patch", &patch]).await?;
    kubectl.wait("goc/call-reporting", "Synced", "60s").await?;
    kubectl.ok(&["wait", "goc", "--all", "--for=condition=Ready", "--timeout=60s"]).await?;
    let id = object(cluster, "call-reporting").await?["status"]["clientId"].clone();
    until("the edit on the platform", Duration::from_secs(5), || async {
        let clients = cluster.simulator.clients().await?;
        let found = clients.iter().find(|client| client["id"] == id).map(|client| client["accessTokenValiditySeconds"].clone());
        Ok(if found == Some(validity.into()) { Ok(()) } else { Err(format!("{found:?}")) })
    })
    .await
}

/// How many definitions, Deployments and roles of the release there are.
async fn left(cluster: &Cluster) -> Result<(usize, usize, usize)> {
    let count = async |place: &str| {
        let place = format!("{place}?labelSelector=app.kubernetes.io/instance={RELEASE}");
        cluster.api.list(&place).await.map(|all| all.len())
    };
    Ok((
        count("/apis/apiextensions.k8s.io/v1/customresourcedefinitions").await?,
        count("/apis/apps/v1/deployments").await?,
        count("/apis/rbac.authorization.k8s.io/v1/roles").await? + count("/apis/rbac.authorization.k8s.io/v1/clusterroles").await?,
    ))
}
