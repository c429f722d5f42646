//! Runs the real Helm on the repository's chart, as a person would; it must not touch the person's own Helm, nor know what a chart holds.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use crate::environment::Environment;
use crate::kubectl::Output;
use crate::reaper::Reaper;

/// The folder with `helm3` and `helm4`, found or fetched by `tests/chart/install.sh`; its progress goes to our stderr.
pub async fn install(environment: &Environment) -> Result<PathBuf> {
    let output = Command::new(environment.path("tests/chart/install.sh"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .context("running tests/chart/install.sh")?;
    if !output.status.success() {
        bail!("tests/chart/install.sh failed; what it said stands above");
    }
    let printed = String::from_utf8(output.stdout)?;
    Ok(PathBuf::from(printed.lines().last().context("tests/chart/install.sh printed no folder")?))
}

/// One version of Helm, for one cluster or for none.
#[derive(Debug, Clone)]
pub struct Helm {
    program: PathBuf,
    home: PathBuf,
    kubeconfig: Option<PathBuf>,
    reaper: Arc<Reaper>,
}

impl Helm {
    /// Helm at `program`, which keeps what it remembers in `home`.
    #[must_use]
    pub fn new(program: &Path, home: &Path, reaper: &Arc<Reaper>) -> Self {
        Self { program: program.to_path_buf(), home: home.to_path_buf(), kubeconfig: None, reaper: Arc::clone(reaper) }
    }

    /// Another version of it, `helm3` or `helm4`.
    #[must_use]
    pub fn version(&self, name: &str) -> Self {
        Self { program: self.program.with_file_name(name), ..self.clone() }
    }

    /// Whether it is this version, `helm3` or `helm4`.
    #[must_use]
    pub fn is_version(&self, name: &str) -> bool {
        self.program.ends_with(name)
    }

    /// The same for the cluster of a kubeconfig.
    #[must_use]
    pub fn of_cluster(&self, kubeconfig: &Path) -> Self {
        Self { kubeconfig: Some(kubeconfig.to_path_buf()), ..self.clone() }
    }

    /// Runs it and returns what it said, whatever that is.
    pub async fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("HELM_") || name.starts_with("KUBE") || name.to_ascii_lowercase().ends_with("_proxy") {
                command.env_remove(name);
            }
        }
        for kind in ["CACHE", "CONFIG", "DATA"] {
            command.env(format!("HELM_{kind}_HOME"), self.home.join(kind.to_ascii_lowercase()));
        }
        if let Some(kubeconfig) = &self.kubeconfig {
            command.arg("--kubeconfig").arg(kubeconfig);
        }
        let child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", self.program.display()))?;
        let _registered = child.id().map(|pid| self.reaper.guard(pid));
        let output = child.wait_with_output().await?;
        Ok(Output {
            command: format!("helm {}", arguments.join(" ")),
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs it, expects success, and returns what it printed.
    pub async fn ok(&self, arguments: &[&str]) -> Result<String> {
        Ok(self.run(arguments).await?.success()?.stdout)
    }
}
