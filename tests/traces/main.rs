//! The export of traces: what leaves the process, what does not, and what becomes of the passes when the collector is no good. Runs no operator; the
//! world tests do.

mod collector;

use std::{
    io,
    net::Ipv4Addr,
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, body::Bytes, routing::post};
use futures::future::BoxFuture;
use genesys_oauth_operator::{
    controller::error::Error,
    genesys::{HttpTransport, Limits, Operation, Transport, TransportError},
    observability::{
        logging::{self, LogFormat},
        metrics::{
            calls::Calls,
            passes::{Controller, Passes},
        },
        traces::Exporter,
    },
};
use http::{Request, Response, StatusCode};
use opentelemetry_proto::tonic::{collector::trace::v1::ExportTraceServiceResponse, trace::v1::span::SpanKind};
use prost::Message as _;
use tokio::net::TcpListener;
use tracing::Instrument as _;
use tracing_subscriber::EnvFilter;

use collector::{Collector, Told};

/// What the platform's correlation ids look like: others are not told.
const CORRELATION: &str = "0d0c3f4e-6f0a-4b57-9f5c-0a1b2c3d4e5f";
/// What must not leave the process.
const SECRET: &str = "a-secret-that-was-planted";
/// A flush that is not cut short.
const LONG: Duration = Duration::from_secs(60);

/// The lines of the log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn with(&self, words: &str) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
        text.lines().filter(|line| line.contains(words)).map(str::to_owned).collect()
    }
}

/// Exports what this thread does, and gives its log.
fn listen(endpoint: &str, transport: Arc<dyn Transport>, filter: &str) -> (Exporter, Lines, tracing::subscriber::DefaultGuard) {
    let exporter = Exporter::to(endpoint, "operators", "operator-0", transport).expect("the endpoint is sound");
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = logging::subscriber(LogFormat::Text, EnvFilter::new(filter), move || writer.clone(), vec![exporter.listener()]);
    (exporter, lines, tracing::subscriber::set_default(subscriber))
}

/// What becomes of batches on their way to a collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manners {
    /// It takes everything.
    Takes,
    /// Nobody listens there.
    Refuses,
    /// It never answers.
    Hangs,
}

/// A collector with manners that change.
#[derive(Debug)]
struct Moody {
    collector: Collector,
    manners: Mutex<Manners>,
}

impl Moody {
    fn new(manners: Manners) -> Arc<Self> {
        Arc::new(Self { collector: Collector::default(), manners: Mutex::new(manners) })
    }

    fn recovers(&self) {
        *self.manners.lock().unwrap_or_else(PoisonError::into_inner) = Manners::Takes;
    }
}

impl Transport for Moody {
    fn send(&self, request: Request<Bytes>, limits: Limits) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        match *self.manners.lock().unwrap_or_else(PoisonError::into_inner) {
            Manners::Takes => self.collector.send(request, limits),
            Manners::Refuses => Box::pin(async { Err(TransportError::NotSent("connection refused".to_owned())) }),
            Manners::Hangs => Box::pin(std::future::pending()),
        }
    }
}

/// A platform that answers each call by one status.
#[derive(Debug)]
struct Platform(StatusCode);

impl Transport for Platform {
    fn send(&self, request: Request<Bytes>, _: Limits) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        // What a library might say of a request.
        let header = request.headers()[http::header::AUTHORIZATION].to_str().expect("text").to_owned();
        tracing::info!(target: "hyper::proto", header, "sending");
        tracing::error_span!(target: "reqwest::connect", "connection", header).in_scope(|| tracing::error!(target: "h2", header, "reset"));
        tracing::debug!(body = header, "what is for a developer's eyes alone");
        let mut response = Response::new(Bytes::from_static(SECRET.as_bytes()));
        *response.status_mut() = self.0;
        response.headers_mut().insert("inin-correlation-id", http::HeaderValue::from_static(CORRELATION));
        Box::pin(async { Ok(response) })
    }
}

async fn call(status: StatusCode, operation: Operation) {
    let transport = Calls::default().counted("acme", Arc::new(Platform(status)));
    let request = Request::post(format!("https://api.example.com/api/v2/oauth/clients?name={SECRET}"));
    let request = request.header(http::header::AUTHORIZATION, SECRET).extension(operation).body(Bytes::from_static(SECRET.as_bytes()));
    let limits = Limits { timeout: LONG, max_body: 1024 };
    transport.send(request.expect("a request"), limits).await.expect("an answer");
}

/// A pass over a client, in which the platform is called.
async fn pass(name: &str, ends: Result<(), Error>) {
    let pass = async {
        let step = async {
            call(StatusCode::OK, Operation::CreateClient).await;
            tracing::info!(target: "audit", operation = "CreateClient", "platform write");
        };
        step.instrument(tracing::error_span!("step", reason = "create")).await;
        call(StatusCode::FORBIDDEN, Operation::GetClient).await;
        ends
    };
    let span = logging::of_client("team-a", name, "acme");
    let _ = Passes::default().timed(Controller::OAuthClient, pass).instrument(span).await;
    // As the controllers do where they log an error: nothing runs in this span.
    logging::of_client("team-a", name, "acme").in_scope(|| tracing::warn!("a line alone"));
}

fn named<'a>(spans: &'a [Told], name: &str) -> &'a Told {
    let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "{name} in {spans:#?}");
    found[0]
}

/// A collector on the network, and its endpoint.
async fn on_the_network(answer: impl Fn() -> (StatusCode, Vec<u8>) + Clone + Send + Sync + 'static) -> (Arc<Collector>, String) {
    let collector = Arc::new(Collector::default());
    let kept = collector.clone();
    let take = move |headers: http::HeaderMap, body: Bytes| {
        let (kept, answer) = (kept.clone(), answer.clone());
        async move {
            assert_eq!(headers["content-type"], "application/x-protobuf");
            let asked = std::env::var("OTEL_EXPORTER_OTLP_HEADERS").is_ok().then_some("a key");
            assert_eq!(headers.get("x-key").map(|key| key.to_str().expect("text")), asked);
            kept.take(&body);
            answer()
        }
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let endpoint = format!("http://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/v1/traces", post(take))).await });
    (collector, endpoint)
}

#[tokio::test]
async fn a_pass_its_steps_and_its_calls_reach_the_collector_and_no_secret_does() {
    let (collector, endpoint) = on_the_network(|| (StatusCode::OK, vec![])).await;
    let (exporter, lines, _guard) = listen(&endpoint, Arc::new(HttpTransport::new().expect("TLS")), "off");
    pass("billing", Ok(())).await;
    exporter.flush(LONG).await;
    let spans = collector.spans();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(
        names,
        ["CreateClient", "step", "GetClient", "reconcile GenesysOAuthClient"],
        "no more, and none of the exporter's own calls"
    );

    let pass = named(&spans, "reconcile GenesysOAuthClient");
    let told = ["object", "organization", "kind", "outcome", "k8s.namespace.name"].map(|name| pass.has(name));
    assert_eq!(told, ["team-a/billing", "acme", "GenesysOAuthClient", "Completed", "team-a"]);
    assert!(pass.parent.is_empty() && !pass.failed);
    let of = ["service.name", "service.instance.id", "k8s.namespace.name", "k8s.pod.name"].map(|name| pass.resource[name].as_str());
    let service = std::env::var("OTEL_SERVICE_NAME").unwrap_or("genesys-oauth-operator".to_owned());
    assert_eq!(of, [service.as_str(), "operator-0", "operators", "operator-0"]);

    let (step, created, refused) = (named(&spans, "step"), named(&spans, "CreateClient"), named(&spans, "GetClient"));
    assert_eq!([&step.parent, &created.parent, &refused.parent], [&pass.id, &step.id, &pass.id]);
    assert_eq!((step.has("reason"), step.lines[0].0.as_str()), ("create", "platform write"), "an audit line is told in its step");
    let shown =
        ["operation", "organization", "outcome", "http.request.method", "http.response.status_code", "server.address", "correlation_id"];
    assert_eq!(shown.map(|name| created.has(name)), ["CreateClient", "acme", "Succeeded", "POST", "200", "api.example.com", CORRELATION]);
    assert_eq!(shown.map(|name| refused.has(name)), ["GetClient", "acme", "Refused", "POST", "403", "api.example.com", CORRELATION]);
    assert_eq!((created.kind, created.failed, created.has("error.type")), (SpanKind::Client, false, ""));
    assert_eq!((refused.kind, refused.failed, refused.has("error.type")), (SpanKind::Client, true, "403"));

    assert!(!collector.text().contains(SECRET), "a secret left the process: {spans:#?}");
    tracing::info_span!(target: "genesys_oauth_operator::test", "careless", SECRET).in_scope(|| ());
    exporter.flush(LONG).await;
    assert!(collector.text().contains(SECRET), "one that did would be found");
    assert!(lines.with("").is_empty(), "traces do not depend on the filter of the log, and say nothing in it: {:?}", lines.with(""));
}

#[tokio::test]
async fn an_error_of_the_kubernetes_api_is_the_outcome_of_its_pass() {
    let collector = Arc::new(Collector::default());
    let (exporter, _, _guard) = listen("https://collector:4318", collector.clone(), "info");
    pass("billing", Err(Error::Stale)).await;
    pass("other", Err(Error::Withheld("another replica leads"))).await;
    exporter.flush(LONG).await;
    let spans = collector.spans();
    let ends: Vec<_> = spans.iter().filter(|span| span.parent.is_empty()).map(|span| (span.has("outcome"), span.failed)).collect();
    assert_eq!(ends, [("Stale", true), ("Withheld", false)], "what was kept back is no error");
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_is_no_good_stops_no_pass_and_is_told_of_with_what_to_do() {
    for (manners, why) in [(Manners::Refuses, "connection refused"), (Manners::Hangs, "no answer within 10s")] {
        let moody = Moody::new(manners);
        let collector = &moody.collector;
        let (exporter, lines, guard) = listen("http://collector:4318", moody.clone(), "info");
        // Four spans each: more than the queue and a batch hold. None of the passes waits, as no time passes.
        let begun = tokio::time::Instant::now();
        for number in 0..1000 {
            pass(&format!("client-{number}"), Ok(())).await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO, "a pass waited for the collector");
        tokio::time::sleep(LONG).await;
        let told = lines.with("traces are lost");
        assert!(!told.is_empty() && told.len() < 4, "{told:?}");
        for word in [why, "http://collector:4318", "--otlp-endpoint", "NetworkPolicy"] {
            assert!(told[0].contains(word), "{word} is not in {}", told[0]);
        }
        exporter.flush(LONG).await;
        let spans = |line: &String| line.split("spans=").nth(1)?.split(' ').next()?.parse::<usize>().ok();
        let lost: usize = lines.with("traces are lost").iter().filter_map(spans).sum();
        assert_eq!((lost, collector.spans().len()), (4000, 0), "each span that is lost is told of: {:?}", lines.with("lost"));
        // It recovers, and so does the export.
        moody.recovers();
        pass("billing", Ok(())).await;
        exporter.flush(LONG).await;
        assert_eq!((collector.spans().len(), lines.with("traces are taken again").len()), (4, 1));
        drop(guard);
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_process_does_not_wait_for_a_collector_that_hangs() {
    let (exporter, lines, _guard) = listen("http://collector:4318", Moody::new(Manners::Hangs), "info");
    pass("billing", Ok(())).await;
    let begun = tokio::time::Instant::now();
    exporter.flush(Duration::from_secs(5)).await;
    assert_eq!(begun.elapsed().as_secs(), 5);
    assert_eq!(lines.with("the last traces are lost").len(), 1);
}

#[tokio::test]
async fn what_a_collector_refuses_is_told() {
    let partial = opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess { rejected_spans: 3, ..Default::default() };
    let partly = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    for (status, body, spans, why) in [(400, vec![], 4, "the answer was 400 Bad Request"), (200, partly, 3, "refused these")] {
        let answer = move || (StatusCode::from_u16(status).expect("a status"), body.clone());
        let (_, endpoint) = on_the_network(answer).await;
        let (exporter, lines, _guard) = listen(&endpoint, Arc::new(HttpTransport::new().expect("TLS")), "info");
        pass("billing", Ok(())).await;
        exporter.flush(LONG).await;
        let told = lines.with("traces are lost");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(&format!("spans={spans} ")) && told[0].contains(why), "{told:?}");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_none_stops_the_start_and_is_not_repeated_with_its_password() {
    for (endpoint, words) in [
        ("collector:4318", "no URL of http"),
        ("grpc://collector:4317", "no URL of http"),
        ("http://collector:4318/?token=x", "without a query"),
        ("not a URL", "no URL"),
        ("http://user:a-secret-that-was-planted@collector:4318", "OTEL_EXPORTER_OTLP_HEADERS"),
    ] {
        let refused =
            Exporter::to(endpoint, "operators", "operator-0", Arc::new(Collector::default())).expect_err("no endpoint").to_string();
        assert!(refused.contains(words) && refused.contains("--otlp-endpoint") && !refused.contains(SECRET), "{refused}");
    }
}

#[test]
fn the_words_of_opentelemetry_are_heeded() {
    let mut again = Command::new(std::env::current_exe().expect("this program"));
    again.args(["--exact", "a_pass_its_steps_and_its_calls_reach_the_collector_and_no_secret_does"]);
    again.envs([("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20key"), ("OTEL_SERVICE_NAME", "operators-of-acme")]);
    let output = again.output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

/// Starts the operator's program where there is no cluster, and gives what it says.
fn start(arguments: &[&str], endpoint: &str) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_genesys-oauth-operator"));
    program.arg("run").args(arguments).env("KUBECONFIG", "/there/is/none").env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    let output = program.output().expect("it runs");
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_program_takes_the_endpoint_from_its_flag_or_from_its_environment() {
    let exports = |said: &str, where_to: &str| said.contains("exporting traces") && said.contains(where_to);
    let said = start(&[], "http://127.0.0.1:4318");
    assert!(exports(&said, "http://127.0.0.1:4318") && said.contains("no connection to Kubernetes"), "{said}");
    let said = start(&["--otlp-endpoint=http://127.0.0.1:14318"], "http://127.0.0.1:4318");
    assert!(exports(&said, "http://127.0.0.1:14318"), "a flag wins: {said}");
    let said = start(&[], "");
    assert!(!said.contains("traces") && said.contains("no connection to Kubernetes"), "an empty variable is none: {said}");
    let said = start(&[], "collector:4318");
    assert!(said.contains("error: traces can't be exported") && !said.contains("Kubernetes"), "{said}");
}
