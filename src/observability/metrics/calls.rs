//! Counts the calls that go to an organization's platform, between the client and the network, and gives each its span. It must not look into a body or a header.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures::future::BoxFuture;
use prometheus_client::metrics::histogram::Histogram;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::{
    genesys::{Limits, Operation, Transport, TransportError},
    observability::traces,
};

/// The outcomes of a call.
pub const OUTCOMES: [&str; 7] = ["Succeeded", "Refused", "Throttled", "Failed", "Lost", "NotSent", "Withheld"];
/// The bounds of how long a call takes, in seconds; none takes longer than the operator's own limits.
const BOUNDS: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// The calls of all organizations.
#[derive(Debug, Default)]
pub struct Calls(Mutex<BTreeMap<String, Arc<Tally>>>);

/// The calls of one organization.
#[derive(Debug)]
pub struct Tally {
    counted: Mutex<BTreeMap<(Operation, &'static str), u64>>,
    durations: Histogram,
}

impl Default for Tally {
    fn default() -> Self {
        // What begins at zero shows its first call as a rise.
        let counted = Operation::ALL.into_iter().map(|operation| ((operation, OUTCOMES[0]), 0)).collect();
        Self { counted: Mutex::new(counted), durations: Histogram::new(BOUNDS) }
    }
}

impl Tally {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Operation, &'static str), u64>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many calls of each operation had each outcome.
    #[must_use]
    pub fn counted(&self) -> Vec<((Operation, &'static str), u64)> {
        self.lock().iter().map(|(call, count)| (*call, *count)).collect()
    }

    /// How long they took.
    #[must_use]
    pub fn durations(&self) -> &Histogram {
        &self.durations
    }
}

impl Calls {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Tally>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same way to the platform, on which the calls of an organization are counted.
    #[must_use]
    pub fn counted(&self, organization: &str, inner: Arc<dyn Transport>) -> Arc<dyn Transport> {
        let tally = Arc::clone(self.lock().entry(organization.to_owned()).or_default());
        Arc::new(Counted { inner, tally, organization: organization.to_owned() })
    }

    /// Forgets an organization that is gone.
    pub fn forget(&self, organization: &str) {
        self.lock().remove(organization);
    }

    /// The calls of an organization, once there was one to make.
    #[must_use]
    pub fn of(&self, organization: &str) -> Option<Arc<Tally>> {
        self.lock().get(organization).cloned()
    }
}

/// A way to the platform that counts.
#[derive(Debug)]
struct Counted {
    inner: Arc<dyn Transport>,
    tally: Arc<Tally>,
    organization: String,
}

impl Transport for Counted {
    fn send(&self, request: http::Request<Bytes>, limits: Limits) -> BoxFuture<'_, Result<http::Response<Bytes>, TransportError>> {
        // The client names each request that it makes.
        let Some(operation) = request.extensions().get::<Operation>().copied() else { return self.inner.send(request, limits) };
        let span = traces::of_call(&self.organization, operation, &request);
        let told = span.clone();
        let counted = async move {
            let begun = Instant::now();
            let answer = self.inner.send(request, limits).await;
            let outcome = outcome(&answer);
            traces::answered(&told, outcome, &answer);
            *self.tally.lock().entry((operation, outcome)).or_default() += 1;
            self.tally.durations.observe(begun.elapsed().as_secs_f64());
            answer
        };
        Box::pin(counted.instrument(span))
    }
}

fn outcome(answer: &Result<http::Response<Bytes>, TransportError>) -> &'static str {
    let [succeeded, refused, throttled, failed, lost, not_sent, withheld] = OUTCOMES;
    match answer {
        Ok(response) => match response.status().as_u16() {
            200..=299 => succeeded,
            429 => throttled,
            500.. => failed,
            _ => refused,
        },
        Err(TransportError::Lost(_)) => lost,
        Err(TransportError::NotSent(_)) => not_sent,
        Err(TransportError::Withheld(_)) => withheld,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[derive(Debug)]
    struct Answers(Result<u16, TransportError>);

    impl Transport for Answers {
        fn send(&self, _: http::Request<Bytes>, _: Limits) -> BoxFuture<'_, Result<http::Response<Bytes>, TransportError>> {
            let answer = self.0.clone().map(|status| {
                let mut response = http::Response::new(Bytes::new());
                *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
                response
            });
            Box::pin(async { answer })
        }
    }

    #[tokio::test]
    async fn every_call_is_counted_by_its_outcome() {
        let calls = Calls::default();
        let limits = Limits { timeout: Duration::from_secs(10), max_body: 1 };
        let answers = [
            Ok(200),
            Ok(204),
            Ok(404),
            Ok(429),
            Ok(503),
            Err(TransportError::Lost("reset".to_owned())),
            Err(TransportError::NotSent("no name".to_owned())),
            Err(TransportError::Withheld("another replica leads")),
        ];
        for answer in answers {
            let transport = calls.counted("acme", Arc::new(Answers(answer)));
            let request = http::Request::builder().uri("http://platform").extension(Operation::GetClient).body(Bytes::new());
            let _ = transport.send(request.expect("a request"), limits).await;
        }
        let tally = calls.of("acme").expect("calls were made");
        let counted: BTreeMap<_, _> = tally.counted().into_iter().filter(|(_, count)| *count > 0).collect();
        let expected = OUTCOMES.map(|outcome| ((Operation::GetClient, outcome), if outcome == "Succeeded" { 2 } else { 1 }));
        assert_eq!(counted, BTreeMap::from(expected));
        calls.forget("acme");
        assert!(calls.of("acme").is_none());
    }
}
