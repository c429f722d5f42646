//! One process of the operator as the world sees it: its ways to both APIs, and its end. It must not answer anything itself.

use std::{
    collections::BTreeMap,
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::future::BoxFuture;
use genesys_cloud_simulator::{
    ConnectionClosed, OPERATOR_CLIENT_SECRET, Simulator,
    kubernetes::{ApiBody, Kubernetes, User},
    secrets::Secrets,
};
use genesys_oauth_operator::{
    connection,
    controller::Clients,
    genesys::{Limits, MAX_REFUSAL, Transport, TransportError},
};
use http_body_util::{BodyExt as _, Limited};
use kube::client::Body;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tracing_subscriber::{
    Registry,
    fmt::{FormattedFields, format::DefaultFields},
    registry::{LookupSpan as _, SpanRef},
};

use crate::turnstile::Turnstile;

/// The user that the operator is to the Kubernetes API: the account that the chart makes for it.
pub const OPERATOR: &str = "system:serviceaccount:genesys-oauth-operator:genesys-oauth-operator";

/// Whether a user is the operator, of this install or of another.
pub fn is_operator(user: &str) -> bool {
    user.starts_with("system:serviceaccount:") && user.ends_with(":genesys-oauth-operator")
}

/// Ends an operator.
pub type End = Arc<dyn Fn() + Send + Sync>;

/// What all processes of a world share.
pub struct Wires {
    /// The Kubernetes API.
    pub kubernetes: Kubernetes,
    /// The platform.
    router: axum::Router,
    /// Other platforms, by host.
    others: Mutex<BTreeMap<String, axum::Router>>,
    /// The one way to both.
    pub turnstile: Arc<Turnstile>,
    /// Calls of the platform so far.
    pub calls: AtomicU64,
    /// At which call of the platform the operator ends.
    pub end: Mutex<Option<(u64, End)>>,
    /// Of which call of the platform the answer is lost.
    pub loss: Mutex<Option<u64>>,
    /// With which status an admission webhook refuses Secrets, and repeats what it was shown.
    pub webhook: Mutex<Option<u16>>,
    /// How often it repeated a secret.
    pub repeated: AtomicU64,
    /// Creates of clients that are under way, and the most of them at once.
    pub creating: (AtomicU64, AtomicU64),
    /// Secrets and tokens that an operator was given.
    secrets: Mutex<Secrets>,
    /// Where one of them went that it must not go.
    leaks: Mutex<Vec<String>>,
}

impl Wires {
    /// Ways to both APIs.
    pub fn new(kubernetes: Kubernetes, simulator: &Simulator, turnstile: Arc<Turnstile>) -> Self {
        let mut secrets = Secrets::default();
        secrets.learn(OPERATOR_CLIENT_SECRET);
        Self {
            router: simulator.router(),
            others: Mutex::default(),
            kubernetes,
            turnstile,
            calls: AtomicU64::new(0),
            end: Mutex::default(),
            loss: Mutex::default(),
            webhook: Mutex::default(),
            repeated: AtomicU64::new(0),
            creating: (AtomicU64::new(0), AtomicU64::new(0)),
            secrets: Mutex::new(secrets),
            leaks: Mutex::default(),
        }
    }

    /// A way to another platform.
    pub fn connect(&self, host: &str, simulator: &Simulator) {
        self.others.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), simulator.router());
    }

    /// The platform at an address.
    fn platform(&self, address: &http::Uri) -> axum::Router {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        address.host().and_then(|host| others.get(host)).unwrap_or(&self.router).clone()
    }

    /// Whether a text holds a secret or a token.
    pub fn tells_a_secret(&self, text: &str) -> bool {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).are_in(text)
    }

    /// The requests that carried a secret where none belongs.
    pub fn leaks(&self) -> Vec<String> {
        self.leaks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a webhook answers that repeats the Secret it refuses, as it came and with its values decoded.
    fn refusal(&self, uri: &http::Uri, body: &str) -> Option<http::Response<ApiBody>> {
        let status = (*self.webhook.lock().unwrap_or_else(PoisonError::into_inner))?;
        // What is only tried holds no credential.
        let tried = uri.query().is_some_and(|query| query.contains("dryRun"));
        let secret: Value = serde_json::from_str(body).ok().filter(|_| uri.path().contains("/secrets") && !tried)?;
        let values = secret["data"].as_object()?.values().filter_map(|value| STANDARD.decode(value.as_str()?).ok());
        let decoded: Vec<String> = values.map(|value| String::from_utf8_lossy(&value).into_owned()).collect();
        let message = format!("admission webhook \"policy.example.com\" denied the request: {body} holds {decoded:?}");
        self.repeated.fetch_add(u64::from(self.tells_a_secret(&message)), Ordering::Relaxed);
        let told = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "reason": "Invalid", "message": message,
            "details": { "causes": [{ "reason": "FieldValueInvalid", "message": message, "field": "data" }] } });
        let body = http_body_util::Full::new(Bytes::from(told.to_string())).boxed_unsync();
        Some(http::Response::builder().status(status).header("content-type", "application/json").body(body).expect("an answer"))
    }

    fn look_for_leaks(&self, place: &str, text: &str) {
        if self.tells_a_secret(text) {
            self.leaks.lock().unwrap_or_else(PoisonError::into_inner).push(place.to_owned());
        }
    }

    /// Notes the secrets and tokens of an answer.
    fn learn(&self, body: &[u8]) {
        let Ok(Value::Object(members)) = serde_json::from_slice(body) else { return };
        let given = ["secret", "access_token", "refresh_token"].into_iter().filter_map(|name| members.get(name)?.as_str());
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        given.filter(|text| text.len() > 16).for_each(|secret| secrets.learn(secret));
    }
}

/// One process. After its end nothing of it reaches anything: what a killed program had in its buffers is lost.
pub struct Process {
    wires: Arc<Wires>,
    user: String,
    ended: AtomicBool,
    frozen: tokio::sync::watch::Sender<bool>,
}

impl fmt::Debug for Process {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Process")
    }
}

impl Process {
    /// A process of this user that has just begun.
    pub fn new(wires: Arc<Wires>, user: String) -> Arc<Self> {
        Arc::new(Self { wires, user, ended: AtomicBool::new(false), frozen: tokio::sync::watch::Sender::new(false) })
    }

    /// Ends it.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Stops it as SIGSTOP does: nothing of it goes on to either API until it is continued.
    pub fn freeze(&self) {
        self.frozen.send_replace(true);
    }

    /// Continues it.
    pub fn thaw(&self) {
        self.frozen.send_replace(false);
    }

    /// The clients of the Kubernetes API, with the bounds that the operator's own have.
    pub fn clients(self: &Arc<Self>, limits: connection::Limits) -> Clients {
        connection::over(Line { process: self.clone() }, limits)
    }

    async fn unless_ended(&self) {
        let _ = self.frozen.subscribe().wait_for(|frozen| !frozen).await;
        if self.ended.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    async fn pass(&self, asked: &str, body: &str) {
        self.unless_ended().await;
        self.wires.turnstile.pass(format!("{asked} {} {body}", who())).await;
        self.unless_ended().await;
    }
}

/// For which object a request is made, as the spans of the log tell it: passes over two objects may ask for the same thing.
fn who() -> String {
    let told = tracing::Span::current().with_subscriber(|(id, subscriber)| {
        let span = subscriber.downcast_ref::<Registry>()?.span(id)?;
        let fields = |span: SpanRef<'_, Registry>| Some(span.extensions().get::<FormattedFields<DefaultFields>>()?.to_string());
        Some(span.scope().filter_map(fields).collect::<Vec<_>>().join(" "))
    });
    told.flatten().unwrap_or_default()
}

/// There was no answer.
#[derive(Debug, thiserror::Error)]
#[error("no answer: {0}")]
struct Lost(String);

/// The way to the Kubernetes API.
#[derive(Clone)]
struct Line {
    process: Arc<Process>,
}

impl Line {
    async fn carry(self, request: http::Request<Body>) -> Result<http::Response<ApiBody>, Lost> {
        let lost = |error: &dyn fmt::Display| Lost(error.to_string());
        let wires = &self.process.wires;
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await.map_err(|error| lost(&error))?;
        let text = String::from_utf8_lossy(&body).into_owned();
        let asked = format!("kubernetes {} {}", parts.method, parts.uri);
        if !parts.uri.path().contains("/secrets") {
            wires.look_for_leaks(&asked, &format!("{asked} {text}"));
        }
        self.process.pass(&asked, &text).await;
        if let Some(refusal) = wires.refusal(&parts.uri, &text) {
            return Ok(refusal);
        }
        let service = wires.kubernetes.service(User::named(&self.process.user));
        let answer = service.oneshot(http::Request::from_parts(parts, Body::from(body))).await.map_err(|error| lost(&error));
        self.process.unless_ended().await;
        answer
    }
}

impl tower::Service<http::Request<Body>> for Line {
    type Response = http::Response<ApiBody>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let line = self.clone();
        Box::pin(async move { Ok(line.carry(request).await?) })
    }
}

/// A create of a client that is under way.
struct Creating<'a>(&'a Wires);

impl<'a> Creating<'a> {
    fn begin(wires: &'a Wires) -> Self {
        let (now, most) = &wires.creating;
        most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        Self(wires)
    }
}

impl Drop for Creating<'_> {
    fn drop(&mut self) {
        self.0.creating.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Transport for Process {
    fn send(&self, request: http::Request<Bytes>, limits: Limits) -> BoxFuture<'_, Result<http::Response<Bytes>, TransportError>> {
        let wires = &self.wires;
        let creates = request.method() == http::Method::POST && request.uri().path() == "/api/v2/oauth/clients";
        let answer = async move {
            let asked = format!("platform {} {}", request.method(), request.uri());
            wires.look_for_leaks(&asked, &asked);
            self.pass(&asked, &String::from_utf8_lossy(request.body())).await;
            let Ok(response) = wires.platform(request.uri()).oneshot(request.map(axum::body::Body::from)).await;
            if response.extensions().get::<ConnectionClosed>().is_some() {
                return Err(TransportError::Lost("the connection closed".into()));
            }
            let (parts, body) = response.into_parts();
            let most = if parts.status.is_success() { limits.max_body } else { MAX_REFUSAL };
            let body = Limited::new(body, most).collect().await.map_err(|error| TransportError::Lost(error.to_string()))?.to_bytes();
            wires.learn(&body);
            Ok(http::Response::from_parts(parts, body))
        };
        Box::pin(async move {
            let _under_way = creates.then(|| Creating::begin(wires));
            let result =
                tokio::time::timeout(limits.timeout, answer).await.unwrap_or_else(|_| Err(TransportError::Lost("timed out".into())));
            let number = wires.calls.fetch_add(1, Ordering::Relaxed) + 1;
            let end = wires.end.lock().unwrap_or_else(PoisonError::into_inner).take_if(|(at, _)| *at == number);
            if let Some((_, end)) = end {
                end();
            }
            self.unless_ended().await;
            let lost = wires.loss.lock().unwrap_or_else(PoisonError::into_inner).take_if(|at| *at == number);
            lost.map_or(result, |_| Err(TransportError::Lost("the connection broke".into())))
        })
    }
}
