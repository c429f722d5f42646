//! Reads from a kubeconfig where the server is and who asks; it must not run credential plugins or follow any other context.

use std::path::Path;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// What a kubeconfig's current context says.
#[derive(Clone)]
pub struct Kubeconfig {
    /// The server's address, without a slash at its end.
    pub server: String,
    /// The certificates that the server's is checked by, as PEM.
    pub authority: Option<Vec<u8>>,
    /// The bearer token.
    pub token: Option<String>,
    /// A client certificate followed by its key, as PEM.
    pub identity: Option<Vec<u8>>,
}

impl Kubeconfig {
    /// Reads the file at `path`.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("understanding {}", path.display()))
    }

    /// Reads `text`.
    pub fn parse(text: &str) -> Result<Self> {
        let config: Value = serde_yaml::from_str(text)?;
        let current = text_of(&config["current-context"]).context("no current-context")?;
        let context = named(&config["contexts"], &current).context("the current context is not defined")?;
        let cluster = text_of(&context["context"]["cluster"]).context("the context names no cluster")?;
        let cluster = named(&config["clusters"], &cluster).context("the context's cluster is not defined")?;
        let user = text_of(&context["context"]["user"]).and_then(|name| named(&config["users"], &name)).unwrap_or_default();
        let server = text_of(&cluster["cluster"]["server"]).context("the cluster has no server")?;
        let certificate = material(&user["user"], "client-certificate")?;
        let key = material(&user["user"], "client-key")?;
        Ok(Self {
            server: server.trim_end_matches('/').to_owned(),
            authority: material(&cluster["cluster"], "certificate-authority")?,
            token: text_of(&user["user"]["token"]),
            identity: certificate.zip(key).map(|(certificate, key)| [certificate, b"\n".to_vec(), key].concat()),
        })
    }
}

fn text_of(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn named(list: &Value, name: &str) -> Option<Value> {
    list.as_array()?.iter().find(|entry| entry["name"] == name).cloned()
}

/// `<field>-data`, decoded, or the file that `field` names.
fn material(entry: &Value, field: &str) -> Result<Option<Vec<u8>>> {
    if let Some(data) = text_of(&entry[format!("{field}-data")]) {
        return Ok(Some(STANDARD.decode(data.trim())?));
    }
    text_of(&entry[field]).map(|path| std::fs::read(&path).with_context(|| format!("reading {path}"))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_context_is_followed() {
        let read = Kubeconfig::parse(
            "current-context: b\ncontexts:\n- {name: a, context: {cluster: east, user: ann}}\n- {name: b, context: {cluster: west, user: bob}}\n\
             clusters:\n- {name: east, cluster: {server: 'http://x'}}\n- {name: west, cluster: {server: 'http://y/'}}\n\
             users:\n- {name: ann, user: {token: t}}\n- {name: bob, user: {token: s}}\n",
        )
        .unwrap();
        assert_eq!(read.server, "http://y");
        assert_eq!(read.token.as_deref(), Some("s"));
    }
}
