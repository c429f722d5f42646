//! Takes batches of spans to a collector: OTLP over HTTP, with the operator's own transport. It must not make spans, or repeat what a collector says
//! to people without a bound.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanExporter as _},
};
use prost::Message as _;

use super::queue::Courier;
use crate::genesys::{Limits, Transport};

/// How long a batch may take, with the pauses and the tries after a failure.
const BATCH_TIMEOUT: Duration = Duration::from_secs(10);
/// What one exchange with the collector may cost.
const LIMITS: Limits = Limits { timeout: Duration::from_secs(5), max_body: 64 * 1024 };

/// Takes spans to the collector at one endpoint.
pub(super) struct Wire {
    exporter: SpanExporter,
    client: Client,
}

impl Wire {
    /// A way to the collector whose address for traces this is. Headers come from `OTEL_EXPORTER_OTLP_HEADERS`.
    pub(super) fn new(address: &str, resource: &Resource, transport: Arc<dyn Transport>) -> Result<Self, String> {
        let client = Client { transport, last: Arc::default() };
        let builder = SpanExporter::builder().with_http().with_http_client(client.clone());
        let builder = builder.with_endpoint(address).with_protocol(Protocol::HttpBinary).with_timeout(BATCH_TIMEOUT);
        let mut exporter = builder.build().map_err(|error| error.to_string())?;
        exporter.set_resource(resource);
        Ok(Self { exporter, client })
    }
}

impl Courier for Wire {
    async fn carry(&self, batch: Vec<SpanData>) -> Result<u64, String> {
        self.client.note(Outcome::default());
        let taken = tokio::time::timeout(BATCH_TIMEOUT, self.exporter.export(batch)).await;
        let last = self.client.last();
        match taken {
            Ok(Ok(())) => Ok(last.refused),
            Ok(Err(error)) => Err(last.failure.unwrap_or_else(|| error.to_string())),
            Err(_) => Err(last.failure.unwrap_or_else(|| format!("no answer within {BATCH_TIMEOUT:?}"))),
        }
    }
}

/// What came of the last exchange.
#[derive(Clone, Default)]
struct Outcome {
    /// Why the collector did not take the batch.
    failure: Option<String>,
    /// How many spans it refused of a batch that it took.
    refused: u64,
}

/// The exporter's way to the network, which remembers what the exporter does not tell.
#[derive(Clone)]
struct Client {
    transport: Arc<dyn Transport>,
    last: Arc<Mutex<Outcome>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    fn note(&self, outcome: Outcome) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = outcome;
    }

    fn last(&self) -> Outcome {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.transport.send(request, LIMITS).await;
        let outcome = match &answer {
            Ok(response) if response.status().is_success() => Outcome { failure: None, refused: refused(response.body()) },
            Ok(response) => Outcome { failure: Some(format!("the answer was {}", response.status())), refused: 0 },
            Err(error) => Outcome { failure: Some(error.to_string()), refused: 0 },
        };
        self.note(outcome);
        Ok(answer?)
    }
}

impl HttpClient for Client {
    // As `async_trait` writes it, which the trait was made with.
    fn send_bytes<'life, 'future>(
        &'life self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'future>>
    where
        'life: 'future,
        Self: 'future,
    {
        Box::pin(self.exchange(request))
    }
}

/// How many spans a collector says it refused of a batch that it took.
fn refused(body: &[u8]) -> u64 {
    let partial = ExportTraceServiceResponse::decode(body).ok().and_then(|response| response.partial_success);
    partial.map_or(0, |partial| u64::try_from(partial.rejected_spans).unwrap_or_default())
}
