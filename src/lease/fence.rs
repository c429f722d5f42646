//! Lets a request that changes something at the platform pass only while the lease covers all the time that it may take. Sends nothing of its own.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::Method;

use super::Tenure;
use crate::genesys::{Limits, Transport, TransportError};

/// Why a request is kept back.
pub const LEASE_ENDS: &str = "the lease of this replica is about to end: it goes on when it has renewed it, else another replica does";

/// The way to the platform of a process that may have to stop at any time.
pub struct Fenced {
    inner: Arc<dyn Transport>,
    tenure: Tenure,
}

impl std::fmt::Debug for Fenced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fenced").field("tenure", &self.tenure).finish_non_exhaustive()
    }
}

impl Fenced {
    /// A fence before another way.
    #[must_use]
    pub fn new(inner: Arc<dyn Transport>, tenure: Tenure) -> Self {
        Self { inner, tenure }
    }
}

impl Transport for Fenced {
    fn send(&self, request: http::Request<Bytes>, limits: Limits) -> BoxFuture<'_, Result<http::Response<Bytes>, TransportError>> {
        // A token is fetched by POST too; without the lease there is no use for one.
        if request.method() != Method::GET && !self.tenure.covers(limits.timeout) {
            return Box::pin(std::future::ready(Err(TransportError::Withheld(LEASE_ENDS))));
        }
        self.inner.send(request, limits)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    #[derive(Debug)]
    struct Answers;

    impl Transport for Answers {
        fn send(&self, _: http::Request<Bytes>, _: Limits) -> BoxFuture<'_, Result<http::Response<Bytes>, TransportError>> {
            Box::pin(async { Ok(http::Response::new(Bytes::new())) })
        }
    }

    async fn passes(fence: &Fenced, method: Method) -> bool {
        let request = http::Request::builder().method(method).uri("http://platform").body(Bytes::new()).expect("a request");
        let limits = Limits { timeout: Duration::from_secs(10), max_body: 1 };
        match fence.send(request, limits).await {
            Ok(_) => true,
            Err(TransportError::Withheld(_)) => false,
            Err(other) => panic!("{other}: the platform was not even asked"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_changes_something_passes_only_within_the_lease() {
        let fence = Fenced::new(Arc::new(Answers), Tenure::until(Instant::now() + Duration::from_secs(15)));
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
            assert!(passes(&fence, method).await);
        }
        tokio::time::advance(Duration::from_secs(5)).await;
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            assert!(!passes(&fence, method.clone()).await, "{method}: the answer could come after the end");
        }
        assert!(passes(&fence, Method::GET).await, "a read harms nobody");
    }
}
