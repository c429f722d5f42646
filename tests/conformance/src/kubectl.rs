//! Runs the real kubectl as a person would; it must not read any configuration but the one that it is given.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// How long one call may take.
const LIMIT: Duration = Duration::from_secs(60);

/// kubectl for one kubeconfig and namespace.
#[derive(Debug, Clone)]
pub struct Kubectl {
    /// The program.
    pub program: PathBuf,
    /// The kubeconfig.
    pub kubeconfig: PathBuf,
    /// Where it keeps what it discovered.
    pub cache: PathBuf,
    /// The namespace it works in.
    pub namespace: String,
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
    pub fn success(self) -> Result<String> {
        ensure!(self.code == 0, "{} ended with {}: {}{}", self.command, self.code, self.stdout, self.stderr);
        Ok(self.stdout)
    }

    /// What it complained about; fails unless it ended with 1.
    pub fn refusal(self) -> Result<String> {
        ensure!(self.code == 1, "{} ended with {}: {}{}", self.command, self.code, self.stdout, self.stderr);
        Ok(self.stderr)
    }
}

impl Kubectl {
    /// The command line, ready to start.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .arg("--cache-dir")
            .arg(&self.cache)
            .args(["--namespace", &self.namespace])
            .args(arguments)
            .env_remove("KUBECONFIG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs it with `input` on its standard input and returns what it said, whatever that is.
    pub async fn feed(&self, arguments: &[&str], input: &str) -> Result<Output> {
        let command = format!("kubectl {}", arguments.join(" "));
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().context("starting kubectl")?;
        if let Some(mut pipe) = child.stdin.take() {
            pipe.write_all(input.as_bytes()).await.ok();
        }
        let Ok(output) = tokio::time::timeout(LIMIT, child.wait_with_output()).await else {
            bail!("{command}: not done within {} s", LIMIT.as_secs());
        };
        let output = output?;
        Ok(Output {
            command,
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs it and returns what it said, whatever that is.
    pub async fn run(&self, arguments: &[&str]) -> Result<Output> {
        self.feed(arguments, "").await
    }

    /// Runs it, expects success, and returns what it printed.
    pub async fn ok(&self, arguments: &[&str]) -> Result<String> {
        self.run(arguments).await?.success()
    }

    /// Runs it with `-o json` and returns what it printed.
    pub async fn json(&self, arguments: &[&str]) -> Result<Value> {
        let printed = self.ok(&[arguments, &["-o", "json"]].concat()).await?;
        Ok(serde_json::from_str(&printed)?)
    }

    /// Runs it with this object as its file.
    pub async fn with(&self, arguments: &[&str], object: &Value) -> Result<Output> {
        self.feed(&[arguments, &["-f", "-"]].concat(), &object.to_string()).await
    }
}

/// The rows of a printed table, each split into its cells at two or more blanks.
#[must_use]
pub fn rows(printed: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| {
        let line = line.replace("   ", "\t");
        line.split('\t').map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
    };
    printed.lines().map(cells).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_split_into_cells() {
        assert_eq!(rows("NAME   LAST SEEN\na      3m\n"), [["NAME", "LAST SEEN"], ["a", "3m"]]);
    }
}
