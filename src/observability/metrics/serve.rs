//! Answers `/metrics` over HTTP, in the text form of OpenMetrics. Serves nothing else, and reads nothing of a request but its path.

use std::net::SocketAddr;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
    routing::get,
};

use super::Metrics;
use crate::observability::listening::{Listening, listen};

/// The media type of OpenMetrics text.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers at this address.
///
/// # Errors
/// When nothing can listen there.
pub async fn answer(address: SocketAddr, metrics: Metrics) -> std::io::Result<Listening> {
    let listening = listen(address, router(metrics)).await?;
    tracing::info!(address = %listening.address, "showing metrics");
    Ok(listening)
}

fn router(metrics: Metrics) -> Router {
    Router::new().route("/metrics", get(async |State(metrics): State<Metrics>| page(&metrics))).with_state(metrics)
}

fn page(metrics: &Metrics) -> Response {
    match metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics can't be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;
    use crate::{lease::Tenure, observability::probes::Pulse};

    async fn ask(metrics: &Metrics, path: &str) -> (u16, String, String) {
        let request = http::Request::builder().uri(path).body(axum::body::Body::empty()).expect("a request");
        let response = router(metrics.clone()).oneshot(request).await.expect("an answer");
        let status = response.status().as_u16();
        let media = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, media, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn a_replica_shows_whether_it_leads_and_nothing_but_metrics() {
        let pulse = Arc::new(Pulse::default());
        let metrics = Metrics::new(pulse.clone());
        let (status, media, text) = ask(&metrics, "/metrics").await;
        assert_eq!((status, media.as_str()), (200, OPEN_METRICS));
        assert!(text.contains("\ngenesys_oauth_leading 0.0\n") && text.ends_with("# EOF\n"), "{text}");
        pulse.works(Tenure::unlimited());
        assert!(ask(&metrics, "/metrics").await.2.contains("\ngenesys_oauth_leading 1.0\n"));
        assert_eq!(ask(&metrics, "/").await.0, 404);
    }
}
