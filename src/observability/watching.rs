//! Hears what a watch asks and is answered, for the probes. It must not change a request, an answer, or when either comes.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::{Client, client::Body};
use tokio::time::Instant;
use tower::{BoxError, Service};

use crate::connection::is_watch;

/// What is heard of one watch.
#[derive(Debug)]
pub struct Watching {
    /// What it watches.
    pub about: String,
    heard: Mutex<Heartbeat>,
}

#[derive(Debug)]
struct Heartbeat {
    last: Instant,
    /// A watch begins after all objects were listed.
    begun: bool,
}

impl Watching {
    /// One that begins now.
    #[must_use]
    pub fn new(about: &str) -> Self {
        Self { about: about.to_owned(), heard: Mutex::new(Heartbeat { last: Instant::now(), begun: false }) }
    }

    /// How long nothing was asked, answered, told or refused.
    #[must_use]
    pub fn silent_for(&self) -> Duration {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).last.elapsed()
    }

    /// Whether all objects were shown once.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).begun
    }

    fn beat(&self, begins: bool) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.last = Instant::now();
        heard.begun |= begins;
    }
}

/// A client whose requests are those of one watch.
pub struct Heard {
    client: Client,
    watching: Arc<Watching>,
}

impl Heard {
    /// Hears a client.
    #[must_use]
    pub fn new(client: Client, watching: Arc<Watching>) -> Self {
        Self { client, watching }
    }
}

/// A body of an answer that is heard.
type HeardBody = Pin<Box<dyn http_body::Body<Data = Bytes, Error = kube::Error> + Send>>;

impl Service<Request<Body>> for Heard {
    type Response = Response<HeardBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (client, watching) = (self.client.clone(), self.watching.clone());
        let watches = is_watch(&request);
        watching.beat(false);
        Box::pin(async move {
            let answer = client.send(request).await;
            watching.beat(watches && answer.as_ref().is_ok_and(|answer| answer.status().is_success()));
            let heard = answer?.map(|body| {
                Box::pin(body.map_frame(move |frame| {
                    watching.beat(false);
                    frame
                })) as HeardBody
            });
            Ok(heard)
        })
    }
}
