//! Sends plain requests to the server of a kubeconfig; it must not retry, follow redirects or hide any answer.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context as _, Result};
use reqwest::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use reqwest::{Certificate, Client, Identity, Method, RequestBuilder};
use serde_json::Value;

use crate::answer::Answer;
use crate::kubeconfig::Kubeconfig;
use crate::watch::Watch;

/// Asks for a Table.
pub const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
/// Asks for the metadata alone.
pub const METADATA: &str = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
/// Asks for a list of metadata alone.
pub const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(30);

/// A server, as one user.
#[derive(Clone)]
pub struct Server {
    client: Client,
    base: String,
    token: Option<String>,
}

/// A request that is not sent yet; awaiting it sends it.
pub struct Call {
    server: Server,
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    accept: String,
    content_type: &'static str,
    agent: String,
    user: Option<(String, Vec<String>)>,
    body: Option<String>,
}

impl Server {
    /// The server that `config` names.
    pub fn new(config: &Kubeconfig) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).connect_timeout(LIMIT).http1_only();
        builder = match &config.authority {
            Some(pem) => builder.tls_certs_only(Certificate::from_pem_bundle(pem)?),
            None => builder.tls_certs_only([]),
        };
        if let Some(pem) = &config.identity {
            builder = builder.identity(Identity::from_pem(pem)?);
        }
        Ok(Self { client: builder.build()?, base: config.server.clone(), token: config.token.clone() })
    }

    /// The same server with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    fn call(&self, method: Method, path: &str) -> Call {
        Call {
            server: self.clone(),
            method,
            path: path.to_owned(),
            query: Vec::new(),
            accept: "application/json".to_owned(),
            content_type: "application/json",
            agent: "conformance/1".to_owned(),
            user: None,
            body: None,
        }
    }

    fn patch(&self, path: &str, content_type: &'static str, body: &Value) -> Call {
        Call { content_type, body: Some(body.to_string()), ..self.call(Method::PATCH, path) }
    }

    /// GET.
    #[must_use]
    pub fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    /// POST.
    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> Call {
        Call { body: Some(body.to_string()), ..self.call(Method::POST, path) }
    }

    /// PUT.
    #[must_use]
    pub fn put(&self, path: &str, body: &Value) -> Call {
        Call { body: Some(body.to_string()), ..self.call(Method::PUT, path) }
    }

    /// A JSON merge patch.
    #[must_use]
    pub fn merge(&self, path: &str, body: &Value) -> Call {
        self.patch(path, "application/merge-patch+json", body)
    }

    /// A JSON patch.
    #[must_use]
    pub fn json_patch(&self, path: &str, body: &Value) -> Call {
        self.patch(path, "application/json-patch+json", body)
    }

    /// A strategic merge patch.
    #[must_use]
    pub fn strategic(&self, path: &str, body: &Value) -> Call {
        self.patch(path, "application/strategic-merge-patch+json", body)
    }

    /// A server-side apply by `manager`.
    #[must_use]
    pub fn apply(&self, path: &str, manager: &str, body: &Value) -> Call {
        self.patch(path, "application/apply-patch+yaml", body).query("fieldManager", manager)
    }

    /// DELETE without a body.
    #[must_use]
    pub fn delete(&self, path: &str) -> Call {
        self.call(Method::DELETE, path)
    }

    /// DELETE with these `DeleteOptions`.
    #[must_use]
    pub fn delete_with(&self, path: &str, options: &Value) -> Call {
        let mut options = options.clone();
        options["kind"] = "DeleteOptions".into();
        options["apiVersion"] = "v1".into();
        Call { body: Some(options.to_string()), ..self.call(Method::DELETE, path) }
    }
}

impl Call {
    /// Adds a query parameter.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Asks that nothing be stored.
    #[must_use]
    pub fn dry(self) -> Self {
        self.query("dryRun", "All")
    }

    /// Takes over the fields of others.
    #[must_use]
    pub fn force(self) -> Self {
        self.query("force", "true")
    }

    /// Asks for another representation.
    #[must_use]
    pub fn accept(self, accept: &str) -> Self {
        Self { accept: accept.to_owned(), ..self }
    }

    /// Names the program that asks.
    #[must_use]
    pub fn agent(self, agent: &str) -> Self {
        Self { agent: agent.to_owned(), ..self }
    }

    /// Acts as another user, of these groups.
    #[must_use]
    pub fn impersonate(self, user: &str, groups: &[&str]) -> Self {
        Self { user: Some((user.to_owned(), groups.iter().map(|&group| group.to_owned()).collect())), ..self }
    }

    /// Sends this text as this media type.
    #[must_use]
    pub fn raw(self, content_type: &'static str, body: &str) -> Self {
        Self { content_type, body: Some(body.to_owned()), ..self }
    }

    fn request(&self) -> RequestBuilder {
        let mut request = self
            .server
            .client
            .request(self.method.clone(), format!("{}{}", self.server.base, self.path))
            .header(ACCEPT, &self.accept)
            .header(USER_AGENT, &self.agent);
        if !self.query.is_empty() {
            request = request.query(&self.query);
        }
        if let Some(token) = &self.server.token {
            request = request.bearer_auth(token);
        }
        if let Some((user, groups)) = &self.user {
            request = request.header("Impersonate-User", user);
            for group in groups {
                request = request.header("Impersonate-Group", group);
            }
        }
        if let Some(body) = &self.body {
            request = request.header(CONTENT_TYPE, self.content_type).body(body.clone());
        }
        request
    }

    fn asked(&self) -> String {
        let query: Vec<_> = self.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{} {}?{}", self.method, self.path, query.join("&")).trim_end_matches('?').to_owned()
    }

    /// Sends it as a watch and returns the stream, once the server has begun to answer.
    pub async fn watch(self) -> Result<Watch> {
        let call = self.query("watch", "true");
        let asked = call.asked();
        let reply = tokio::time::timeout(LIMIT, call.request().send()).await.with_context(|| format!("{asked}: no answer"))??;
        Ok(Watch::new(asked, reply))
    }

    async fn send(self) -> Result<Answer> {
        let asked = self.asked();
        let reply = self.request().timeout(LIMIT).send().await.with_context(|| asked.clone())?;
        let status = reply.status().as_u16();
        let headers = reply.headers().clone();
        let texts =
            |name: &str| headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(str::to_owned).collect::<Vec<_>>();
        let text = reply.text().await.with_context(|| asked.clone())?;
        Ok(Answer {
            asked,
            status,
            content_type: texts("content-type").join(","),
            warnings: texts("warning"),
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        })
    }
}

impl IntoFuture for Call {
    type Output = Result<Answer>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
