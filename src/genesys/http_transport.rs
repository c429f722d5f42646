//! The transport over the network: rustls with ring, one pool, bounded bodies. It must not retry, follow a redirect or
//! read more of a body than it was allowed to. Bodies of answers are cleared after use; the buffers of TLS, HTTP and
//! decompression below are those libraries' own, and so are their copies of what is sent.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};

use super::buffers::{Buffer, Buffers};
use super::memory;
use super::region::is_loopback;
use super::transport::{Limits, MAX_REFUSAL, Transport, TransportError};

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
    buffers: Arc<Buffers>,
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
        Ok(Self { client, loopback, buffers: Buffers::new(memory::for_reading()) })
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
        let mut body = self.buffers.open();
        read(&mut answer, &mut body, max_body).await?;
        *response.body_mut() = body.finish();
        Ok(response)
    }
}

/// Reads the body, for as long as there is memory for it.
async fn read(answer: &mut reqwest::Response, body: &mut Buffer, max_body: usize) -> Result<(), TransportError> {
    let lost = |error: &dyn std::error::Error| TransportError::Lost(error.to_string());
    let success = answer.status().is_success();
    let most = if success { max_body } else { MAX_REFUSAL };
    loop {
        let chunk = tokio::select! {
            biased;
            gave_way = body.has_to_go() => return Err(lost(&gave_way)),
            chunk = answer.chunk() => chunk.map_err(|error| TransportError::Lost(describe(&error)))?,
        };
        // Chunks come decompressed, so the bound holds for what a small compressed body unfolds to.
        let Some(chunk) = chunk else { return Ok(()) };
        let room = most - body.len();
        if chunk.len() <= room {
            body.extend(&chunk, most).await.map_err(|gave_way| lost(&gave_way))?;
        } else if success {
            return Err(TransportError::Lost(format!("the body is larger than {max_body} bytes")));
        } else {
            // One byte more than may be read as a refusal, so that what was cut off is never taken for the whole.
            return body.extend(&chunk[..=room], most + 1).await.map_err(|gave_way| lost(&gave_way));
        }
    }
}

impl Transport for HttpTransport {
    fn send(&self, request: Request<Bytes>, limits: Limits) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        async move {
            let exchange = self.exchange(request, limits.max_body);
            match tokio::time::timeout(limits.timeout, exchange).await {
                Ok(result) => result,
                Err(_) => Err(TransportError::Lost(format!("no answer within {:.0?}", limits.timeout))),
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
mod hostile;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls;
