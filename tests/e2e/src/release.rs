//! A release of the chart in a control plane of its own, and the operator as the chart's Deployment describes it. As nothing schedules pods there, this
//! plays the kubelet: it reads the Deployment back and starts the program with its arguments, its variables and a token of its account. It must not
//! add a flag or a right of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::account::{self, CHART};
use crate::api::Api;
use crate::control_plane::ControlPlane;
use crate::harness::Harness;
use crate::helm::Helm;
use crate::kubectl::Kubectl;
use crate::operator::Operator;
use crate::process::Process;
use crate::reaper::Reaper;
use crate::simulator::{Simulator, quick_settings};
use crate::wait::until;

/// The name of the release and of its namespace, as the chart's README has it.
pub const RELEASE: &str = "genesys-oauth-operator";

/// A control plane in which nothing is installed yet.
#[derive(Debug)]
pub struct Cluster {
    /// The control plane.
    pub plane: ControlPlane,
    /// kubectl as administrator.
    pub kubectl: Kubectl,
    /// Direct requests as administrator.
    pub api: Api,
    /// Its platform.
    pub simulator: Simulator,
    harness: Arc<Harness>,
    helm: Helm,
    folder: PathBuf,
    reaper: Arc<Reaper>,
    started: AtomicUsize,
    keeps_rules: bool,
    /// The API in memory, as long as it is to live.
    _memory: Option<Process>,
}

/// What serves the Kubernetes API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// A real kube-apiserver.
    Real,
    /// The one in memory.
    InMemory,
}

/// The operator of a release.
#[derive(Debug)]
pub struct Running {
    operator: Operator,
}

impl Cluster {
    /// Starts one, to be worked by `helm3` or `helm4`; `reaper` takes it down.
    pub async fn start(harness: &Arc<Harness>, server: Server, program: &str, folder: &Path, reaper: &Arc<Reaper>) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let (environment, kubectl, home) = (&harness.environment, &harness.plane.kubectl, folder.join("control-plane"));
        let (plane, memory) = match server {
            Server::Real => {
                let programs = kubectl.parent().context("kubectl lies in a folder")?;
                (ControlPlane::start(environment, programs, &home, reaper).await?, None)
            }
            Server::InMemory => {
                let (plane, process) = ControlPlane::in_memory(environment, kubectl, &home, reaper).await?;
                (plane, Some(process))
            }
        };
        let simulator = Simulator::start(environment, folder, &quick_settings(), &harness.http, reaper).await?;
        Ok(Self {
            kubectl: Kubectl::new(&plane.kubectl, &plane.kubeconfig, &folder.join("kubectl-cache"), reaper),
            api: Api::new(&plane)?,
            helm: harness.helm.version(program).of_cluster(&plane.kubeconfig),
            plane,
            simulator,
            harness: Arc::clone(harness),
            folder: folder.to_path_buf(),
            reaper: Arc::clone(reaper),
            started: AtomicUsize::new(0),
            keeps_rules: server == Server::InMemory || harness.keeps_rules,
            _memory: memory,
        })
    }

    /// A chart as this server takes it: a packaged one, or the repository's. A server without CEL is older than charts allow: there it is a copy that does
    /// not say which servers it is for.
    pub async fn chart(&self, source: &Path) -> Result<PathBuf> {
        if self.keeps_rules {
            return Ok(source.to_path_buf());
        }
        let folder = self.folder.join("charts").join(source.file_name().context("a chart has a name")?);
        fs::create_dir_all(&folder)?;
        let mut command = Command::new(if source.is_file() { "tar" } else { "cp" });
        if source.is_file() {
            command.arg("-xzf").arg(source).arg("-C").arg(&folder);
        } else {
            command.arg("-r").arg(source).arg(folder.join(RELEASE));
        }
        ensure!(command.status().await?.success(), "{} was not copied", source.display());
        let chart = folder.join(RELEASE);
        let about = fs::read_to_string(chart.join("Chart.yaml"))?;
        let kept: Vec<&str> = about.lines().filter(|line| !line.starts_with("kubeVersion:")).collect();
        ensure!(kept.len() + 1 == about.lines().count(), "the chart does not say which servers it is for");
        fs::write(chart.join("Chart.yaml"), kept.join("\n"))?;
        Ok(chart)
    }

    /// Runs the command of the chart's README that begins like this, with another chart and with more arguments, and returns what Helm printed.
    pub async fn as_readme(&self, beginning: &str, chart: &Path, more: &[&str]) -> Result<String> {
        let words = self.readme(beginning)?;
        let chart = chart.display().to_string();
        let mut arguments: Vec<&str> = words.iter().skip(1).map(|word| if word == CHART { chart.as_str() } else { word }).collect();
        arguments.extend(more);
        // The schema of a server without CEL does not know the rules of the definitions.
        if !self.keeps_rules && arguments.first() != Some(&"uninstall") {
            arguments.push("--disable-openapi-validation");
            if self.helm.is_version("helm4") {
                arguments.push("--server-side=false");
            }
        }
        self.helm.ok(&arguments).await
    }

    /// The command of the chart's README that begins like this, in words.
    pub fn readme(&self, beginning: &str) -> Result<Vec<String>> {
        let readme = fs::read_to_string(self.harness.environment.path(CHART).join("README.md"))?;
        command(&readme, beginning).with_context(|| format!("the chart's README has no command '{beginning}'"))
    }

    /// Plays the kubelet for the Deployment of the release, until the operator has started and answers what the kubelet and Prometheus ask.
    pub async fn run_deployment(&self) -> Result<Running> {
        let place = format!("/apis/apps/v1/namespaces/{RELEASE}/deployments/{RELEASE}");
        let deployment = self.api.get(&place).await?.context("the chart has made no Deployment")?;
        let pod = &deployment["spec"]["template"]["spec"];
        let [container] = pod["containers"].as_array().map(Vec::as_slice).unwrap_or_default() else { bail!("not one container: {pod}") };
        let number = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("{RELEASE}-{number}");
        let kubeconfig = self.kubeconfig(pod["serviceAccountName"].as_str().context("no account")?).await?;
        let mut arguments: Vec<String> = serde_json::from_value(container["args"].clone()).context("the arguments")?;
        let probe = |kind: &str| container[kind]["httpGet"]["path"].as_str().with_context(|| format!("no {kind}"));
        let (ready, alive) = (probe("readinessProbe")?, probe("livenessProbe")?);
        // A pod has its own address, and all ports of it.
        let address = moved(&mut arguments, "--probe-address=")?;
        let metrics = moved(&mut arguments, "--metrics-address=")?;
        let variables = variables(container, &name)?;
        let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let log = self.folder.join(format!("operator-{number}.log"));
        let operator = Operator::run(&self.harness.environment, &arguments, &variables, &kubeconfig, &log, &self.reaper)?;
        operator.started().await?;
        for url in [format!("http://{address}{ready}"), format!("http://{address}{alive}"), format!("http://{metrics}/metrics")] {
            until(&url, Duration::from_secs(20), || async {
                let answer = self.harness.http.get(&url).send().await;
                Ok(match answer {
                    Ok(answer) if answer.status().is_success() => Ok(()),
                    Ok(answer) => Err(answer.status().to_string()),
                    Err(error) => Err(error.to_string()),
                })
            })
            .await?;
        }
        let shown = self.harness.http.get(format!("http://{metrics}/metrics")).send().await?.text().await?;
        ensure!(shown.contains("\ngenesys_oauth_") && shown.ends_with("# EOF\n"), "the metrics are:\n{shown}");
        Ok(Running { operator })
    }

    /// The kubeconfig of an account of the release, when its rights are in force.
    async fn kubeconfig(&self, account: &str) -> Result<PathBuf> {
        let user = format!("system:serviceaccount:{RELEASE}:{account}");
        for kind in ["clusterroles", "roles"] {
            let place = format!("/apis/rbac.authorization.k8s.io/v1/{kind}?labelSelector=app.kubernetes.io/instance={RELEASE}");
            for role in self.api.list(&place).await?.iter().filter(|role| role["metadata"]["name"] == RELEASE) {
                account::in_force(&self.api, role, &user).await?;
            }
        }
        let token = account::token_of(&self.api, RELEASE, account).await?;
        let file = self.folder.join("kubeconfig-operator");
        account::write_kubeconfig(&file, &self.plane.server, Some(&self.plane.authority), &token)?;
        Ok(file)
    }

    /// Runs lines of a shell where kubectl is the real one, in a folder.
    pub async fn shell(&self, folder: &Path, script: &str) -> Result<String> {
        let programs = self.plane.kubectl.parent().context("kubectl lies in a folder")?;
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", script]).current_dir(folder).env("PATH", path).env("KUBECONFIG", &self.plane.kubeconfig);
        let output = command.env("KUBECACHEDIR", self.folder.join("kubectl-cache")).kill_on_drop(true).output().await?;
        let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        ensure!(output.status.success(), "'{script}' ended with {}:\n{printed}", output.status);
        Ok(printed)
    }
}

impl Running {
    /// Ends it as a kubelet does; it must end by itself and without an error.
    pub async fn terminate(self) -> Result<()> {
        self.operator.process.signal("TERM").await?;
        let status =
            until("the operator to end", Duration::from_secs(40), || async { Ok(self.operator.process.ended().ok_or("it still runs")) })
                .await?;
        ensure!(status.success(), "the operator ended with {status}");
        Ok(())
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.operator.process.log()
    }
}

/// Lets an address that is for a pod be one of loopback with a free port, and returns it.
fn moved(arguments: &mut [String], flag: &str) -> Result<String> {
    let argument = arguments.iter_mut().find(|argument| argument.starts_with(flag)).with_context(|| format!("no {flag}"))?;
    // Not the address that all the others of this run use: a port that is free there may be taken before the program asks for it.
    let address = std::net::TcpListener::bind(("127.0.0.2", 0))?.local_addr()?.to_string();
    *argument = format!("{flag}{address}");
    Ok(address)
}

/// The variables of a container of a pod of this name.
fn variables(container: &Value, pod: &str) -> Result<Vec<(String, String)>> {
    let of = |variable: &Value| {
        let name = variable["name"].as_str().context("a variable has a name")?.to_owned();
        let value = match (variable["value"].as_str(), variable["valueFrom"]["fieldRef"]["fieldPath"].as_str()) {
            (Some(value), _) => value,
            (None, Some("metadata.name")) => pod,
            _ => bail!("the kubelet that is played here does not know {variable}"),
        };
        Ok((name, value.to_owned()))
    };
    container["env"].as_array().into_iter().flatten().map(of).collect()
}

/// The first command of a page that begins like this, in words; a line that ends in `\` goes on.
fn command(page: &str, beginning: &str) -> Option<Vec<String>> {
    let start = page.find(&format!("\n$ {beginning} "))?;
    let mut words = Vec::new();
    for line in page[start + 3..].lines() {
        let (text, goes_on) = line.strip_suffix('\\').map_or((line, false), |text| (text, true));
        words.extend(text.split_whitespace().map(str::to_owned));
        if !goes_on {
            break;
        }
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_read_over_its_lines() {
        let page = "```console\n$ helm install a b \\\n    --set x=y\n$ helm upgrade a b\n```\n";
        assert_eq!(command(page, "helm install").unwrap(), ["helm", "install", "a", "b", "--set", "x=y"]);
        assert_eq!(command(page, "helm upgrade").unwrap(), ["helm", "upgrade", "a", "b"]);
        assert_eq!(command(page, "helm delete"), None);
    }
}
