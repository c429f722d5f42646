//! What the API server wrote down of the requests of service accounts, which is what operators are to it: who was refused for want of a right, and
//! what rights were used. It must not know which rights there are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// One verb on one resource, as roles name them: `get /secrets`, `update coordination.k8s.io/leases`.
pub type Use = String;

/// The audit of one API server.
#[derive(Debug, Clone)]
pub struct Audit {
    log: PathBuf,
    policy: PathBuf,
}

impl Audit {
    /// Prepares one in the folder of a control plane.
    pub fn prepare(folder: &Path) -> Result<Self> {
        let this = Self { log: folder.join("audit.log"), policy: folder.join("audit-policy.json") };
        let policy = json!({
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
            "rules": [{ "level": "Metadata", "userGroups": ["system:serviceaccounts"] }, { "level": "None" }],
        });
        std::fs::write(&this.policy, policy.to_string())?;
        Ok(this)
    }

    /// The flags by which the API server keeps it.
    #[must_use]
    pub fn flags(&self) -> String {
        format!("--audit-policy-file={} --audit-log-path={} --audit-log-maxsize=4096", self.policy.display(), self.log.display())
    }

    fn events(&self) -> Result<Vec<Value>> {
        // The server makes the file at the first request of a service account.
        if !self.log.exists() {
            return Ok(vec![]);
        }
        let text = std::fs::read_to_string(&self.log).with_context(|| format!("reading {}", self.log.display()))?;
        // The last line may be half written.
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// The requests that no right covered, each once.
    pub fn refused(&self) -> Result<BTreeSet<String>> {
        let refused = |event: &Value| event["annotations"]["authorization.k8s.io/decision"] == "forbid";
        let told = |event: &Value| format!("{} for {}", text(&event["verb"]), text(&event["requestURI"]));
        Ok(self.events()?.iter().filter(|event| refused(event)).map(told).collect())
    }

    /// Every right that was used.
    pub fn used(&self) -> Result<BTreeSet<Use>> {
        let used = |event: &Value| {
            let of = &event["objectRef"];
            let resource = of["resource"].as_str()?;
            let subresource = of["subresource"].as_str().map(|name| format!("/{name}")).unwrap_or_default();
            Some(format!("{} {}/{resource}{subresource}", text(&event["verb"]), text(&of["apiGroup"])))
        };
        Ok(self.events()?.iter().filter_map(used).collect())
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
