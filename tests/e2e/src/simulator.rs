//! The Genesys Cloud simulator as a process, and its admin API; it must not be told anything the operator could not see.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use http::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::environment::Environment;
use crate::process::{Process, tail};
use crate::reaper::Reaper;
use crate::wait::until;

/// The id of the operator's own client.
pub const OPERATOR_CLIENT: &str = "00000000-0000-4000-8000-00000000c0de";
/// The secret of the operator's own client in the simulator's default settings; everybody knows it.
pub const OPERATOR_SECRET: &str = "simulated-operator-secret-for-demos-only-00";

/// One simulated organization.
#[derive(Debug)]
pub struct Simulator {
    url: String,
    http: reqwest::Client,
    process: Process,
}

/// Settings that keep a test to seconds, and a client list that lags behind the truth as a distributed platform's does.
#[must_use]
pub fn quick_settings() -> Value {
    json!({ "rolePropagationMilliseconds": 0, "listPropagationMilliseconds": 500 })
}

impl Simulator {
    /// Starts it on a free loopback port.
    pub async fn start(
        environment: &Environment,
        folder: &Path,
        settings: &Value,
        http: &reqwest::Client,
        reaper: &Arc<Reaper>,
    ) -> Result<Self> {
        let file = folder.join("simulator.json");
        std::fs::write(&file, settings.to_string())?;
        let mut command = Command::new(&environment.simulator);
        command.args(["--listen", "127.0.0.1:0", "--settings"]).arg(&file);
        let process = Process::start("the simulator", command, &folder.join("simulator.log"), reaper)?;
        let url = until("the simulator's address in its log", Duration::from_secs(20), || async {
            let log = process.log();
            if let Some(status) = process.ended() {
                bail!("the simulator ended with {status}:\n{}", tail(&log, 20));
            }
            Ok(address(&log).ok_or(log))
        })
        .await?;
        Ok(Self { url, http: http.clone(), process })
    }

    /// `http://127.0.0.1:PORT`, which serves the API, the login host and the admin API.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// A request to the admin API.
    pub async fn admin(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let mut request = self.http.request(method.clone(), format!("{}/admin/{path}", self.url)).timeout(Duration::from_secs(20));
        if let Some(body) = body {
            request = request.header(http::header::CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let reply = request.send().await.with_context(|| format!("{method} /admin/{path}"))?;
        let status = reply.status();
        let text = reply.text().await?;
        if !status.is_success() {
            bail!("{method} /admin/{path}: {status}: {text}");
        }
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| format!("{method} /admin/{path}: no JSON"))
    }

    /// All clients but the operator's own.
    pub async fn clients(&self) -> Result<Vec<Value>> {
        let reply = self.admin(Method::GET, "clients", None).await?;
        let all = reply.get("clients").and_then(Value::as_array).cloned().context("no clients in the reply")?;
        Ok(all.into_iter().filter(|client| client["id"] != OPERATOR_CLIENT).collect())
    }

    /// Edits a client as a human in the admin UI would.
    pub async fn edit(&self, id: &str, patch: &Value) -> Result<Value> {
        self.admin(Method::PATCH, &format!("clients/{id}"), Some(patch)).await
    }

    /// The calls after sequence number `since`.
    pub async fn calls(&self, since: u64) -> Result<Vec<Value>> {
        let reply = self.admin(Method::GET, &format!("calls?since={since}"), None).await?;
        reply.get("calls").and_then(Value::as_array).cloned().context("no calls in the reply")
    }

    /// The last call's sequence number.
    pub async fn mark(&self) -> Result<u64> {
        Ok(self.calls(0).await?.last().and_then(|call| call["sequence"].as_u64()).unwrap_or(0))
    }

    /// The calls after `since` that changed the platform, as `operation target`.
    pub async fn committed(&self, since: u64) -> Result<Vec<String>> {
        let calls = self.calls(since).await?;
        // A token is issued to whoever asks with the right secret; that changes no client.
        let writes = calls.iter().filter(|call| call["committed"] == true && call["operation"] != "GetToken");
        Ok(writes.map(|call| format!("{} {}", call["operation"].as_str().unwrap_or("?"), call["path"].as_str().unwrap_or("?"))).collect())
    }
}

fn address(log: &str) -> Option<String> {
    let from = &log[log.find("http://127.0.0.1:")?..];
    let end = from.find(|letter: char| letter.is_whitespace() || matches!(letter, '"' | ',' | ')' | ';')).unwrap_or(from.len());
    // Without the end of the line the number may still be incomplete.
    from[end..].contains('\n').then(|| from[..end].trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_a_whole_line_only() {
        assert_eq!(address("listening on http://127.0.0.1:41\n").as_deref(), Some("http://127.0.0.1:41"));
        assert_eq!(address("listening on http://127.0.0.1:41/ (admin)\nmore").as_deref(), Some("http://127.0.0.1:41"));
        assert_eq!(address("listening on http://127.0.0.1:4"), None);
    }
}
