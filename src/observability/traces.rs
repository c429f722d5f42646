//! The spans that are made for traces alone, and what a pass tells the span that it shares with the logs. Holds no secret, no body, no query.
//!
//! Without the feature `otel`, and without an endpoint, nobody listens to them and they cost nothing.

#[cfg(not(feature = "otel"))]
mod absent;
#[cfg(feature = "otel")]
mod export;
#[cfg(feature = "otel")]
mod queue;
#[cfg(feature = "otel")]
mod wire;

use bytes::Bytes;
use tracing::{Span, field::Empty};

#[cfg(not(feature = "otel"))]
pub use absent::{Exporter, warn_of_a_lost_endpoint};
#[cfg(feature = "otel")]
pub use export::{EndpointError, Exporter};

use super::metrics::passes::Controller;
use crate::{
    controller::error::Error,
    genesys::{Operation, TransportError},
};

/// Where an endpoint for traces is named, in OpenTelemetry's own words.
pub const ENDPOINT_VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// The target of spans that no log shows.
pub const TARGET: &str = "traces";

/// The span of one exchange with the platform. Its path, which may hold a query, is not told: the operation says enough.
#[must_use]
pub fn of_call(organization: &str, operation: Operation, request: &http::Request<Bytes>) -> Span {
    let name = operation.name();
    let (method, host) = (request.method().as_str(), request.uri().host());
    tracing::info_span!(
        target: TARGET, "call", otel.name = name, otel.kind = "client", operation = name, organization, http.request.method = method,
        server.address = host, http.response.status_code = Empty, error.type = Empty, otel.status_code = Empty, outcome = Empty,
        correlation_id = Empty,
    )
}

/// Tells the span of an exchange what came of it.
pub fn answered(call: &Span, outcome: &'static str, answer: &Result<http::Response<Bytes>, TransportError>) {
    call.record("outcome", outcome);
    let failure = match answer {
        Ok(response) => {
            let status = response.status();
            call.record("http.response.status_code", status.as_u16());
            call.record("correlation_id", crate::genesys::correlation_id(response.headers()));
            // As OpenTelemetry's conventions have it: the status as text where it tells of an error.
            (!status.is_success()).then(|| status.as_str().to_owned())
        }
        Err(_) => Some(outcome.to_owned()),
    };
    if let Some(failure) = failure {
        call.record("error.type", failure);
        call.record("otel.status_code", "error");
    }
}

/// The span of a write to the Kubernetes API: what of which kind of object.
#[must_use]
pub fn of_write(kind: &str, what: &'static str) -> Span {
    tracing::info_span!(target: TARGET, "write", otel.name = %format_args!("write {kind}"), otel.kind = "client", kind, what)
}

/// The span of a wait for the turn of an organization's object.
#[must_use]
pub fn of_wait() -> Span {
    tracing::info_span!(target: TARGET, "wait")
}

/// Tells the current span that it is a pass. Lines that are logged outside one have the same span, and those are no trace.
#[cfg_attr(not(feature = "otel"), expect(unused_variables, reason = "nobody listens"))]
pub fn pass_begins(controller: Controller) {
    #[cfg(feature = "otel")]
    export::pass_begins(&Span::current(), controller);
}

/// Tells the current span how its pass ended.
#[cfg_attr(not(feature = "otel"), expect(unused_variables, reason = "nobody listens"))]
pub fn pass_ended(error: Option<&Error>) {
    #[cfg(feature = "otel")]
    export::pass_ended(&Span::current(), error);
}
