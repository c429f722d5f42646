//! What the API server wrote down of the requests of service accounts, which is what operators are to it: who was refused for want of a right, and
//! what rights were used. It must not know which rights there are.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// One verb on one resource, as roles name them: `get /secrets`, `update coordination.k8s.io/leases`.
pub type Right = String;

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

    /// Reads all of it.
    pub fn read(&self) -> Result<Seen> {
        let mut seen = Seen::default();
        // The server makes the file at the first request of a service account.
        if !self.log.exists() {
            return Ok(seen);
        }
        let file = File::open(&self.log).with_context(|| format!("opening {}", self.log.display()))?;
        for line in BufReader::new(file).lines() {
            // The last line may be half written.
            let Ok(event) = serde_json::from_str::<Value>(&line?) else { continue };
            if event["annotations"]["authorization.k8s.io/decision"] == "forbid" {
                seen.refused.insert(format!("{} for {}", text(&event["verb"]), text(&event["requestURI"])));
            }
            let of = &event["objectRef"];
            if let Some(resource) = of["resource"].as_str() {
                let subresource = of["subresource"].as_str().map(|name| format!("/{name}")).unwrap_or_default();
                seen.used.insert(format!("{} {}/{resource}{subresource}", text(&event["verb"]), text(&of["apiGroup"])));
            }
        }
        Ok(seen)
    }
}

/// What the requests of service accounts tell.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Those that no right covered, each once.
    pub refused: BTreeSet<String>,
    /// Every right that was used.
    pub used: BTreeSet<Right>,
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
