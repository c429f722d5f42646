//! Starts etcd and kube-apiserver through the repository's own scripts; it must not know how those get the programs.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use tokio::process::Command;

use crate::audit::Audit;
use crate::environment::Environment;
use crate::process::{Process, tail};
use crate::reaper::Reaper;
use crate::wait::until;

/// A running API server and how to reach it.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    /// The folder of its kubeconfig, logs and process ids.
    pub folder: PathBuf,
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// The real kubectl that belongs to it.
    pub kubectl: PathBuf,
    /// `https://127.0.0.1:PORT`.
    pub server: String,
    /// The administrator's token.
    pub token: String,
    /// The server's certificate authority, as PEM; empty where it serves plain http.
    pub authority: Vec<u8>,
    /// What it wrote down of its service accounts.
    pub audit: Audit,
}

/// The folder with etcd, kube-apiserver and kubectl, found or made by `install.sh`; its progress goes to our stderr.
///
/// The first build of kube-apiserver takes some minutes; the script says so.
pub async fn install(environment: &Environment) -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("CONTROL_PLANE_BIN") {
        return Ok(PathBuf::from(given));
    }
    let output = Command::new(environment.path("tests/control-plane/install.sh"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .context("running tests/control-plane/install.sh")?;
    if !output.status.success() {
        bail!("tests/control-plane/install.sh failed; what it said stands above");
    }
    let printed = String::from_utf8(output.stdout)?;
    let last = printed.lines().last().context("install.sh printed no folder")?;
    Ok(PathBuf::from(last))
}

impl ControlPlane {
    /// Starts it in `folder`; the reaper takes it down.
    pub async fn start(environment: &Environment, programs: &Path, folder: &Path, reaper: &Reaper) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        reaper.control_plane(folder);
        let audit = Audit::prepare(folder)?;
        let given = std::env::var("CONTROL_PLANE_APISERVER_ARGS").unwrap_or_default();
        let child = Command::new(environment.path("tests/control-plane/up.sh"))
            .arg(folder)
            .env("CONTROL_PLANE_BIN", programs)
            .env("CONTROL_PLANE_APISERVER_ARGS", format!("{} {given}", audit.flags()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("starting tests/control-plane/up.sh")?;
        let _registered = child.id().map(|pid| reaper.guard(pid));
        let output = child.wait_with_output().await?;
        if !output.status.success() {
            bail!("the control plane did not start:\n{}", tail(&String::from_utf8_lossy(&output.stderr), 40));
        }
        let printed = String::from_utf8(output.stdout)?;
        let kubeconfig = PathBuf::from(printed.lines().last().context("up.sh printed no kubeconfig")?);
        let kubectl = programs.join("kubectl");
        Self::read(folder, &kubeconfig, &kubectl, audit).await
    }

    /// Starts the API in memory instead, which lives as long as its process.
    pub async fn in_memory(environment: &Environment, kubectl: &Path, folder: &Path, reaper: &Arc<Reaper>) -> Result<(Self, Process)> {
        std::fs::create_dir_all(folder)?;
        let kubeconfig = folder.join("kubeconfig");
        let mut command = Command::new(environment.simulator.with_file_name("kubernetes-simulator"));
        command.arg("--kubeconfig").arg(&kubeconfig);
        let process = Process::start("the API in memory", command, &folder.join("kubernetes-simulator.log"), reaper)?;
        until("the API in memory", Duration::from_secs(20), || async {
            let log = process.log();
            if let Some(status) = process.ended() {
                bail!("the API in memory ended with {status}:\n{}", tail(&log, 20));
            }
            Ok(if log.contains("ready: ") { Ok(()) } else { Err(log) })
        })
        .await?;
        Ok((Self::read(folder, &kubeconfig, kubectl, Audit::prepare(folder)?).await?, process))
    }

    async fn read(folder: &Path, kubeconfig: &Path, kubectl: &Path, audit: Audit) -> Result<Self> {
        let output = Command::new(kubectl)
            .args(["config", "view", "--raw", "-o", "json", "--kubeconfig"])
            .arg(kubeconfig)
            .output()
            .await
            .context("reading the kubeconfig with kubectl")?;
        let config: Value = serde_json::from_slice(&output.stdout).context("kubectl config view")?;
        let text = |pointer: &str| config.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let cluster = "/clusters/0/cluster";
        let authority = match text(&format!("{cluster}/certificate-authority-data")) {
            Some(data) => BASE64_STANDARD.decode(data)?,
            // Over plain http there is none.
            None => text(&format!("{cluster}/certificate-authority")).map(std::fs::read).transpose()?.unwrap_or_default(),
        };
        Ok(Self {
            folder: folder.to_path_buf(),
            kubeconfig: kubeconfig.to_path_buf(),
            kubectl: kubectl.to_path_buf(),
            server: text(&format!("{cluster}/server")).context("no server in the kubeconfig")?,
            token: text("/users/0/user/token").context("no token in the kubeconfig")?,
            authority,
            audit,
        })
    }
}
