//! What the demo's operator has in place of the network and the machine's clock: calls answered in process by the simulated
//! Genesys Cloud, and the time of its world. It must not decide anything about clients.

use std::fmt;

use bytes::Bytes;
use futures::future::BoxFuture;
use genesys_cloud_simulator::{Clock as _, Simulator, TokioClock};
use genesys_oauth_operator::{
    controller::context::{Chance, SystemChance},
    genesys::{Limits, Transport, TransportError},
};
use jiff::Timestamp;

/// Carries the operator's calls to the simulator without a socket: an answer costs no real time, however fast the world goes.
pub struct InProcess(pub Simulator);

impl fmt::Debug for InProcess {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("InProcess")
    }
}

impl Transport for InProcess {
    fn send(&self, request: http::Request<Bytes>, limits: Limits) -> BoxFuture<'_, Result<http::Response<Bytes>, TransportError>> {
        Box::pin(async move {
            let answer = tokio::time::timeout(limits.timeout, self.0.exchange(request)).await;
            answer.unwrap_or_else(|late| Err(late.into())).map_err(|error| TransportError::Lost(error.to_string()))
        })
    }
}

/// The world's time, and the machine's random numbers.
pub struct WorldChance(pub TokioClock);

impl Chance for WorldChance {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn bytes(&self) -> [u8; 10] {
        SystemChance.bytes()
    }

    fn fraction(&self) -> f64 {
        SystemChance.fraction()
    }
}
