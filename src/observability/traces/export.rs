//! Exports the operator's own spans and lines, and nobody else's, to an OpenTelemetry collector. Traces may be lost; nothing waits for them.

use std::{borrow::Cow, sync::Arc, time::Duration};

use opentelemetry::{
    KeyValue, Value,
    trace::{SpanId, Status, TraceContextExt as _, TracerProvider as _},
};
use opentelemetry_sdk::{
    Resource,
    resource::{EnvResourceDetector, ResourceDetector, TelemetryResourceDetector},
    trace::{SdkTracerProvider, SpanData},
};
use tracing::{Level, Metadata, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{Layer as _, filter::filter_fn};

use super::{ENDPOINT_VARIABLE, TARGET, queue::Queue, wire::Wire};
use crate::{
    controller::error::Error,
    genesys::Transport,
    observability::{logging::Listener, metrics::passes::Controller},
};

/// The name of the program in traces, unless `OTEL_SERVICE_NAME` gives another.
const SERVICE: &str = "genesys-oauth-operator";
/// The spans of passes, as the logs call them.
const PASSES: [&str; 3] = ["client", "organization", "policy"];

/// Why traces can't be exported.
#[derive(Debug, thiserror::Error)]
#[error(
    "traces can't be exported to {endpoint:?}: {why}; give --otlp-endpoint, or {ENDPOINT_VARIABLE}, as http://HOST:PORT or https://HOST:PORT"
)]
pub struct EndpointError {
    endpoint: String,
    why: String,
}

/// What exports traces.
#[derive(Debug)]
pub struct Exporter {
    provider: SdkTracerProvider,
    queue: Queue,
}

impl Exporter {
    /// Exports traces to a collector's OTLP endpoint, by its base URL, on a task of this runtime.
    ///
    /// # Errors
    /// When the endpoint is no URL of HTTP, or the environment asks for what this program can't do.
    pub fn to(endpoint: &str, namespace: &str, pod: &str, transport: Arc<dyn Transport>) -> Result<Self, EndpointError> {
        let fault = |why: String| EndpointError { endpoint: endpoint.to_owned(), why };
        let address: http::Uri = endpoint.parse().map_err(|_| fault("it is no URL".to_owned()))?;
        if !matches!(address.scheme_str(), Some("http" | "https")) || address.query().is_some() {
            return Err(fault("it is no URL of http or https without a query".to_owned()));
        }
        if address.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            // It would stand in logs.
            return Err(EndpointError {
                endpoint: "…".to_owned(),
                why: "a URL must not hold a password: set OTEL_EXPORTER_OTLP_HEADERS".to_owned(),
            });
        }
        let resource = resource(namespace, pod);
        let wire = Wire::new(&format!("{}/v1/traces", endpoint.trim_end_matches('/')), &resource, transport).map_err(fault)?;
        let (queue, work) = Queue::new(endpoint.to_owned(), wire);
        tokio::spawn(work);
        let provider = SdkTracerProvider::builder().with_resource(resource).with_span_processor(queue.clone()).build();
        Ok(Self { provider, queue })
    }

    /// What listens to spans and lines.
    #[must_use]
    pub fn listener(&self) -> Listener {
        let layer = tracing_opentelemetry::layer().with_tracer(self.provider.tracer(SERVICE));
        let layer = layer.with_location(false).with_threads(false).with_target(false).with_tracked_inactivity(false);
        layer.with_context_activation(false).with_filter(filter_fn(is_ours)).boxed()
    }

    /// Sends what waits to be sent, within this time. What is lost then is told in the log.
    pub async fn flush(&self, within: Duration) {
        if !self.queue.flush(within).await {
            tracing::warn!("the last traces are lost: the collector did not take them in time");
        }
    }
}

/// Whom the traces are of. The environment's words win.
fn resource(namespace: &str, pod: &str) -> Resource {
    let own = [
        KeyValue::new("service.name", SERVICE),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", pod.to_owned()),
        KeyValue::new("k8s.namespace.name", namespace.to_owned()),
        KeyValue::new("k8s.pod.name", pod.to_owned()),
    ];
    let named: Vec<Box<dyn ResourceDetector>> = vec![Box::new(TelemetryResourceDetector), Box::new(EnvResourceDetector::new())];
    let service = std::env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty());
    let builder = Resource::builder_empty().with_attributes(own).with_detectors(&named);
    match service {
        Some(service) => builder.with_service_name(service).build(),
        None => builder.build(),
    }
}

/// Whether a span or a line is of this program, and not of a library, whose fields may hold anything; and whether people are to see it.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    let crate_name = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() <= Level::INFO && [env!("CARGO_CRATE_NAME"), "audit", TARGET].contains(&crate_name)
}

/// Tells a span that it is a pass over an object of this kind.
pub(super) fn pass_begins(span: &Span, controller: Controller) {
    span.context().span().update_name(name_of(controller));
    span.set_attribute("kind", controller.name());
}

fn name_of(controller: Controller) -> Cow<'static, str> {
    match controller {
        Controller::OAuthClient => "reconcile GenesysOAuthClient",
        Controller::Organization => "reconcile GenesysOrganization",
        Controller::RotationPolicy => "reconcile GenesysRotationPolicy",
    }
    .into()
}

/// Tells a span how its pass ended.
pub(super) fn pass_ended(span: &Span, error: Option<&Error>) {
    span.set_attribute("outcome", error.map_or("Completed", Error::reason));
    // What was kept back is no error: it is made later.
    if let Some(error) = error.filter(|error| !matches!(error, Error::Withheld(_))) {
        span.set_attribute("error.type", error.reason());
        span.set_status(Status::error(error.to_string()));
    }
}

/// A span as it is exported; none: it stood for a line alone, in which no pass ran.
pub(super) fn told(mut span: SpanData) -> Option<SpanData> {
    if span.parent_span_id == SpanId::INVALID && PASSES.contains(&span.name.as_ref()) {
        return None;
    }
    let object = span.attributes.iter().find(|attribute| attribute.key.as_str() == "object");
    if let Some(Value::String(object)) = object.map(|attribute| &attribute.value)
        && let Some((namespace, _)) = object.as_str().split_once('/')
    {
        let namespace = KeyValue::new("k8s.namespace.name", namespace.to_owned());
        span.attributes.push(namespace);
    }
    Some(span)
}
