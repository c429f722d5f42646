//! Stands for the export of traces in a program that was built without it. Exports nothing, and says so.

use std::time::Duration;

use super::ENDPOINT_VARIABLE;
use crate::observability::logging::Listener;

/// What exports traces: nothing.
#[derive(Clone, Copy, Debug)]
pub enum Exporter {}

impl Exporter {
    /// What listens to spans and lines.
    #[must_use]
    pub fn listener(&self) -> Listener {
        match *self {}
    }

    /// Sends what waits to be sent.
    #[expect(clippy::unused_async, reason = "as with the feature")]
    pub async fn flush(&self, _: Duration) {
        match *self {}
    }
}

/// Says that an endpoint which the environment names is of no use.
pub fn warn_of_a_lost_endpoint() {
    if std::env::var_os(ENDPOINT_VARIABLE).is_some_and(|endpoint| !endpoint.is_empty()) {
        tracing::warn!(
            "{ENDPOINT_VARIABLE} is set, but this program was built without traces, and exports none: build it with --features otel, or leave the variable out"
        );
    }
}
