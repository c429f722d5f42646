//! Runs the real kubectl as a person would; it must not put a secret value into an argument or into an error's text.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::reaper::Reaper;

/// kubectl for one kubeconfig and namespace.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    cache: PathBuf,
    namespace: Option<String>,
    reaper: Arc<Reaper>,
}

/// What one call printed, and how it ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// The arguments, for messages.
    pub command: String,
    /// The exit code; -1 after a signal.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Output {
    /// Fails with everything that was printed unless the code is 0.
    pub fn success(self) -> Result<Self> {
        if self.code != 0 {
            bail!("{} ended with {}:\n{}{}", self.command, self.code, self.stdout, self.stderr);
        }
        Ok(self)
    }

    /// Fails unless kubectl refused.
    pub fn refusal(self) -> Result<String> {
        if self.code == 0 {
            bail!("{} was expected to be refused, but said:\n{}", self.command, self.stdout);
        }
        Ok(self.stderr)
    }
}

impl Kubectl {
    /// kubectl at `program`, with its discovery cache in `cache`.
    #[must_use]
    pub fn new(program: &Path, kubeconfig: &Path, cache: &Path, reaper: &Arc<Reaper>) -> Self {
        Self {
            program: program.to_path_buf(),
            kubeconfig: kubeconfig.to_path_buf(),
            cache: cache.to_path_buf(),
            namespace: None,
            reaper: Arc::clone(reaper),
        }
    }

    /// The same with `--namespace`.
    #[must_use]
    pub fn namespaced(&self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self.clone() }
    }

    /// Runs it and returns what it said, whatever that is.
    pub async fn run(&self, arguments: &[&str]) -> Result<Output> {
        self.feed(arguments, None).await
    }

    /// Runs it with `input` on its standard input, where a secret may stand.
    pub async fn feed(&self, arguments: &[&str], input: Option<&str>) -> Result<Output> {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig).arg("--cache-dir").arg(&self.cache);
        if let Some(namespace) = &self.namespace {
            command.args(["--namespace", namespace]);
        }
        let mut child = command
            .args(arguments)
            .env_remove("KUBECONFIG")
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting kubectl")?;
        let _registered = child.id().map(|pid| self.reaper.guard(pid));
        if let (Some(text), Some(mut pipe)) = (input, child.stdin.take()) {
            pipe.write_all(text.as_bytes()).await?;
        }
        let output = child.wait_with_output().await?;
        Ok(Output {
            command: format!("kubectl {}", arguments.join(" ")),
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs it, expects success, and returns what it printed.
    pub async fn ok(&self, arguments: &[&str]) -> Result<String> {
        Ok(self.run(arguments).await?.success()?.stdout)
    }

    /// `kubectl apply -f -` of `manifest`, expecting success.
    pub async fn apply(&self, manifest: &str) -> Result<String> {
        Ok(self.feed(&["apply", "-f", "-"], Some(manifest)).await?.success()?.stdout)
    }

    /// Waits for a condition of an object with `kubectl wait`.
    pub async fn wait(&self, object: &str, condition: &str, timeout: &str) -> Result<String> {
        let (condition, timeout) = (format!("--for=condition={condition}"), format!("--timeout={timeout}"));
        self.ok(&["wait", object, &condition, &timeout]).await
    }
}
