//! The two clients of the Kubernetes API, and what bounds them: every answer has an end in time and in size. Asks for nothing itself.
//!
//! The library sets no limit to an answer: a server that accepts a request and stays silent would be waited for without end. A limit of the
//! connection's reads is none either, because an answer that drips starts it anew with each byte.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Either, Full, Limited};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
};
use tower::{BoxError, Layer, Service, layer::layer_fn};

use crate::{controller::Clients, redaction::Sent};

/// How many objects a list shows at once. With the annotations that the API allows, and all that the CRDs allow, an object has less than
/// 400 KiB: a page of these is within [`Limits::body`], whatever users write.
pub const PAGE: u32 = 100;

/// What bounds the answers of the Kubernetes API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a call may take until its whole answer is there.
    pub call: Duration,
    /// How long a page of a list may take; an API server ends it after a minute by itself.
    pub list: Duration,
    /// How long a watch may take to begin.
    pub watch: Duration,
    /// How long a watch that has begun may be silent. The server ends each after 290 s, because kube-runtime asks it to.
    pub silence: Duration,
    /// How many bytes an answer may have that is no watch.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { call: seconds(30), list: seconds(60), watch: seconds(30), silence: seconds(300), body: 64 << 20 }
    }
}

/// Why an answer was not waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// It was not complete in time.
    #[error("the Kubernetes API did not answer within {0:?}")]
    Late(Duration),
    /// It had more bytes than any answer should.
    #[error("the Kubernetes API answered with more than {0} bytes")]
    Large(usize),
}

/// The two clients of a cluster: neither waits without end, and the calls are never repeated by the library; watches are.
///
/// # Errors
/// When the configuration has no way to the cluster.
pub fn clients(cluster: Config, limits: Limits) -> Result<Clients, kube::Error> {
    let mut watches = cluster;
    // An open stream is not waited for here any more: the connection itself notices silence. Else the time in which a connection was not
    // used would count against the next answer.
    watches.read_timeout = Some(limits.silence);
    watches.reset_reader_on_write = true;
    let mut calls = watches.clone();
    calls.read_timeout = None;
    calls.default_retry = false;
    let client = |config: Config| Ok::<_, kube::Error>(ClientBuilder::try_from(config)?.with_layer(&bounds(limits)).build());
    Ok(Clients { calls: client(calls)?, watches: client(watches)? })
}

/// The two clients over services that somebody brings, with the same bounds.
pub fn over<S, B>(service: S, limits: Limits) -> Clients
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let client = |service: S| Client::new(bounds(limits).layer(service), "default");
    Clients { calls: client(service.clone()), watches: client(service) }
}

fn bounds<S>(limits: Limits) -> impl Layer<S, Service = Bounded<S>> {
    layer_fn(move |inner| Bounded { inner, limits })
}

/// A service whose answers have an end.
#[derive(Clone, Debug)]
struct Bounded<S> {
    inner: S,
    limits: Limits,
}

/// A refusal without the secrets that it may repeat.
async fn shown(refusal: &Bytes, sent: Option<Body>) -> Vec<u8> {
    let sent = match sent {
        Some(body) => body.collect_bytes().await.map(|body| Sent::of_secret(&body)).unwrap_or_default(),
        None => Sent::default(),
    };
    sent.taken_out_of_answer(refusal)
}

/// What a request asks for, as far as its limits go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Call,
    Page,
    Watch,
}

/// Whether a request begins a watch.
pub fn is_watch<T>(request: &Request<T>) -> bool {
    Asked::by(request) == Asked::Watch
}

impl Asked {
    fn by<T>(request: &Request<T>) -> Self {
        let mut parameters = request.uri().query().unwrap_or_default().split('&');
        let watches = |parameter| matches!(parameter, "watch=true" | "watch=1");
        if *request.method() != Method::GET {
            Self::Call
        } else if parameters.clone().any(watches) {
            Self::Watch
        } else if parameters.any(|parameter| parameter.starts_with("limit=")) {
            Self::Page
        } else {
            Self::Call
        }
    }
}

impl<S, B> Service<Request<Body>> for Bounded<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Either<B, Full<Bytes>>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let asked = Asked::by(&request);
        let Limits { call, list, watch, body: most, .. } = self.limits;
        let time = match asked {
            Asked::Call => call,
            Asked::Page => list,
            Asked::Watch => watch,
        };
        let sent = request.uri().path().contains("/secrets").then(|| request.body().try_clone()).flatten();
        let answer = self.inner.call(request);
        let whole = async move {
            let response = answer.await.map_err(Into::into)?;
            // A refusal of a watch is an answer like any other.
            if asked == Asked::Watch && response.status().is_success() {
                return Ok(response.map(Either::Left));
            }
            let (mut parts, body) = response.into_parts();
            let body = Limited::new(body, most).collect().await.map_err(|error| {
                let large = error.is::<http_body_util::LengthLimitError>();
                if large { Unanswered::Large(most).into() } else { error }
            })?;
            let mut body = body.to_bytes();
            // An admission webhook may repeat the object that it refuses, and what is refused is told in conditions, Events and logs.
            if !parts.status.is_success() {
                parts.headers.remove(http::header::CONTENT_LENGTH);
                body = shown(&body, sent).await.into();
            }
            Ok(Response::from_parts(parts, Either::Right(Full::new(body))))
        };
        Box::pin(async move { tokio::time::timeout(time, whole).await.unwrap_or_else(|_| Err(Unanswered::Late(time).into())) })
    }
}
