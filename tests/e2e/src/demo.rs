//! The built demo as a process, which brings a world of its own; it must not look into that world but with kubectl.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use crate::environment::Environment;
use crate::kubectl::{Kubectl, Output};
use crate::process::{Process, tail};
use crate::reaper::Reaper;
use crate::wait::until;

/// How long the demo has from its start to its first answer.
const FIRST_ANSWER: Duration = Duration::from_secs(10);

/// A running demo. Dropping it kills it.
#[derive(Debug)]
pub struct Demo {
    /// Where its kubeconfig is.
    pub kubeconfig: PathBuf,
    /// kubectl as its user.
    pub kubectl: Kubectl,
    process: Process,
}

impl Demo {
    /// Starts it in `folder` with arguments, and waits until kubectl is answered.
    pub async fn start(environment: &Environment, kubectl: &Path, folder: &Path, arguments: &[&str], reaper: &Arc<Reaper>) -> Result<Self> {
        // As it is written without --kubeconfig.
        let kubeconfig = folder.join("target/demo/kubeconfig");
        let mut command = Command::new(environment.demo()?);
        command.current_dir(folder).args(arguments);
        let process = Process::start("the demo", command, &folder.join("demo.log"), reaper)?;
        let kubectl = Kubectl::new(kubectl, &kubeconfig, &folder.join("kubectl-cache"), reaper);
        let this = Self { kubeconfig, kubectl, process };
        until("an answer of the demo to 'kubectl get goc'", FIRST_ANSWER, || async {
            if let Some(status) = this.process.ended() {
                bail!("the demo ended with {status}:\n{}", tail(&this.printed(), 20));
            }
            let output = this.kubectl.run(&["get", "goc"]).await?;
            Ok(if output.code == 0 { Ok(()) } else { Err(output.stderr) })
        })
        .await?;
        Ok(this)
    }

    /// What it printed so far.
    #[must_use]
    pub fn printed(&self) -> String {
        self.process.log()
    }
}

/// Runs the demo to its end and returns what it printed and how it ended.
pub async fn finished(environment: &Environment, folder: &Path, arguments: &[&str], reaper: &Arc<Reaper>) -> Result<Output> {
    let child = Command::new(environment.demo()?)
        .current_dir(folder)
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting the demo")?;
    let _registered = child.id().map(|pid| reaper.guard(pid));
    let output = child.wait_with_output().await?;
    Ok(Output {
        command: format!("demo {}", arguments.join(" ")),
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
