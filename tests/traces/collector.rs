//! An OpenTelemetry collector in memory: decodes what it is sent and keeps it. Holds no expectation of its own.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use futures::future::BoxFuture;
use genesys_oauth_operator::genesys::{Limits, Transport, TransportError};
use http::{Request, Response};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message as _;

/// A span as the collector got it.
#[derive(Clone, Debug)]
pub struct Told {
    pub name: String,
    pub kind: SpanKind,
    pub id: Vec<u8>,
    /// Empty: none.
    pub parent: Vec<u8>,
    pub attributes: BTreeMap<String, String>,
    /// Lines of the log that were told in it, with their fields.
    pub lines: Vec<(String, BTreeMap<String, String>)>,
    pub failed: bool,
    pub resource: BTreeMap<String, String>,
}

impl Told {
    /// An attribute; empty: none.
    pub fn has(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

/// A collector that takes everything.
#[derive(Debug, Default)]
pub struct Collector {
    spans: Mutex<Vec<Told>>,
    bodies: Mutex<Vec<u8>>,
}

impl Collector {
    /// Takes what it was sent.
    pub fn take(&self, body: &[u8]) {
        let request = ExportTraceServiceRequest::decode(body).expect("a request of OTLP");
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        for resource in request.resource_spans {
            let of = texts(&resource.resource.unwrap_or_default().attributes);
            let told = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.extend(told.map(|span| read(span, of.clone())));
        }
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(body);
    }

    /// The spans so far.
    pub fn spans(&self) -> Vec<Told> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All that it was sent, as text: protobuf writes texts as they are.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bodies.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Transport for Collector {
    fn send(&self, request: Request<Bytes>, _: Limits) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        Box::pin(async move {
            self.take(request.body());
            Ok(Response::new(Bytes::new()))
        })
    }
}

fn read(span: Span, resource: BTreeMap<String, String>) -> Told {
    let kind = span.kind();
    let failed = span.status.is_some_and(|status| status.code() == StatusCode::Error);
    let attributes = texts(&span.attributes);
    assert_eq!(attributes.len(), span.attributes.len(), "an attribute is told twice: {:?}", span.attributes);
    let lines = span.events.into_iter().map(|event| (event.name, texts(&event.attributes))).collect();
    Told { name: span.name, kind, id: span.span_id, parent: span.parent_span_id, attributes, lines, failed, resource }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), text(attribute))).collect()
}
