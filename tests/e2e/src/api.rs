//! A few direct requests to the API server, for polling; it must not replace kubectl where a person would use kubectl.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use http::{Method, StatusCode};
use reqwest::Client;
use serde_json::Value;

use crate::control_plane::ControlPlane;

/// The group and version of the operator's kinds.
pub const GROUP_VERSION: &str = "oauth.genesys-operator.io/v1alpha1";

/// The API server as administrator.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    server: String,
    token: String,
}

/// An HTTP client that reaches the API server and loopback, without proxies, redirects or decompression.
pub fn http_client(authority: Option<&[u8]>) -> Result<Client> {
    let mut builder = Client::builder()
        .no_proxy()
        .no_gzip()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .http1_only();
    if let Some(pem) = authority {
        builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(pem)?);
    } else {
        builder = builder.tls_certs_only([]);
    }
    Ok(builder.build()?)
}

/// The path of an object of core/v1 or of our group.
#[must_use]
pub fn path(namespace: Option<&str>, plural: &str, name: &str) -> String {
    let ours = plural.starts_with("genesys");
    let base = if ours { format!("/apis/{GROUP_VERSION}") } else { "/api/v1".to_owned() };
    let middle = namespace.map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
    let end = if name.is_empty() { String::new() } else { format!("/{name}") };
    format!("{base}{middle}/{plural}{end}")
}

impl Api {
    /// The administrator's access to `plane`.
    pub fn new(plane: &ControlPlane) -> Result<Self> {
        let client = http_client(Some(&plane.authority))?;
        Ok(Self { client, server: plane.server.clone(), token: plane.token.clone() })
    }

    /// The object at `path`; `None` where there is none.
    pub async fn get(&self, path: &str) -> Result<Option<Value>> {
        let (status, body) = self.send(Method::GET, path, None, "application/json").await?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => Ok(Some(body)),
            status => bail!("GET {path}: {status}: {body}"),
        }
    }

    /// The items of the collection at `path`.
    pub async fn list(&self, path: &str) -> Result<Vec<Value>> {
        let list = self.get(path).await?.with_context(|| format!("no collection {path}"))?;
        Ok(list.get("items").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    /// Sends `body`, expecting success.
    pub async fn write(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let (status, reply) = self.send(method.clone(), path, Some(body), kind).await?;
        if !status.is_success() {
            bail!("{method} {path}: {status}: {}", reply.get("message").unwrap_or(&reply));
        }
        Ok(reply)
    }

    /// Deletes the object at `path`; one that is gone already is fine.
    pub async fn delete(&self, path: &str) -> Result<()> {
        let (status, reply) = self.send(Method::DELETE, path, None, "application/json").await?;
        if !status.is_success() && status != StatusCode::NOT_FOUND {
            bail!("DELETE {path}: {status}: {reply}");
        }
        Ok(())
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>, kind: &str) -> Result<(StatusCode, Value)> {
        let mut request =
            self.client.request(method.clone(), format!("{}{path}", self.server)).bearer_auth(&self.token).timeout(Duration::from_secs(20));
        if let Some(body) = body {
            request = request.header(http::header::CONTENT_TYPE, kind).body(body.to_string());
        }
        let reply = request.send().await.with_context(|| format!("{method} {path}"))?;
        let status = reply.status();
        let text = reply.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }
}
