//! The seam between the client and the network: one request in, one bounded response out, and a failure that says whether
//! anything may have reached the server. It must not retry, follow redirects or look into a body.

use std::fmt::Debug;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

/// The most bytes of an answer that is no success: of a longer one, the status counts and nothing else.
pub const MAX_REFUSAL: usize = 64 * 1024;

/// What one exchange may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the start of the exchange to the last byte of the body.
    pub timeout: Duration,
    /// The most bytes of a success's body, counted after decompression. Of other answers [`MAX_REFUSAL`] bytes are read, and the rest is cut off.
    pub max_body: usize,
}

/// Sends one request once.
pub trait Transport: Send + Sync + Debug {
    /// Sends the request, which names its `Operation` as an extension, and reads the whole response.
    fn send(&self, request: http::Request<Bytes>, limits: Limits) -> BoxFuture<'_, Result<http::Response<Bytes>, TransportError>>;
}

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The name was not resolved, the connection or its TLS was not set up: nothing of the request left.
    #[error("nothing was sent: {0}")]
    NotSent(String),
    /// This process kept the request back, for a reason of its own: it says nothing of the server.
    #[error("nothing was sent: {0}")]
    Withheld(&'static str),
    /// The request may have been carried out: a timeout, a reset, a truncated or too large body.
    #[error("the response was lost: {0}")]
    Lost(String),
}
