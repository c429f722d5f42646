//! The transport over the network: rustls with ring, one pool, bounded bodies. It must not retry, follow a redirect or
//! read more of a body than it was allowed to.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};

use super::region::is_loopback;
use super::transport::{Limits, Transport, TransportError};

/// How long resolving, connecting and the TLS handshake may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an unused connection is kept; shorter than the minute that load balancers keep theirs.
const IDLE: Duration = Duration::from_secs(45);
/// The most unused connections to one host.
const IDLE_CONNECTIONS: usize = 8;

/// Sends requests over the network.
#[derive(Debug, Clone)]
pub struct HttpTransport {
    client: reqwest::Client,
    /// A proxy has no business between two programs of one machine.
    loopback: reqwest::Client,
}

/// Why no transport could be set up.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be set up: {0}")]
pub struct SetupError(String);

impl HttpTransport {
    /// A transport with the machine's root certificates and, outside loopback, its proxy settings.
    pub fn new() -> Result<Self, SetupError> {
        // reqwest takes the process's provider and panics without one. A provider that is set already is left alone.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = builder().build().map_err(|error| SetupError(describe(&error)))?;
        let loopback = builder().no_proxy().build().map_err(|error| SetupError(describe(&error)))?;
        Ok(Self { client, loopback })
    }

    async fn exchange(&self, request: Request<Bytes>, max_body: usize) -> Result<Response<Bytes>, TransportError> {
        let client = match request.uri().host() {
            Some(host) if is_loopback(host) => &self.loopback,
            _ => &self.client,
        };
        let request = reqwest::Request::try_from(request).map_err(|error| TransportError::NotSent(describe(&error)))?;
        let mut answer = client.execute(request).await.map_err(|error| {
            if error.is_connect() || error.is_builder() {
                TransportError::NotSent(describe(&error))
            } else {
                TransportError::Lost(describe(&error))
            }
        })?;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        let mut body = BytesMut::new();
        // Chunks come decompressed, so the bound holds for what a small compressed body unfolds to.
        while let Some(chunk) = answer.chunk().await.map_err(|error| TransportError::Lost(describe(&error)))? {
            if body.len() + chunk.len() > max_body {
                return Err(TransportError::Lost(format!("the body is larger than {max_body} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        *response.body_mut() = body.freeze();
        Ok(response)
    }
}

impl Transport for HttpTransport {
    fn send(&self, request: Request<Bytes>, limits: Limits) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        async move {
            let exchange = self.exchange(request, limits.max_body);
            match tokio::time::timeout(limits.timeout, exchange).await {
                Ok(result) => result,
                Err(_) => Err(TransportError::Lost(format!("no answer within {:?}", limits.timeout))),
            }
        }
        .boxed()
    }
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tls_backend_rustls()
        .user_agent(concat!("genesys-oauth-operator/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
}

/// The chain of causes without the URL.
fn describe(error: &reqwest::Error) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        words.push(error.to_string());
        cause = error.source();
    }
    if words.is_empty() { "the request failed".to_owned() } else { words.join(": ") }
}

#[cfg(test)]
mod tests;
