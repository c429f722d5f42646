//! The budget against the platform's limit, without a cluster: the client of the platform makes as many calls as it may. It must not look at the budget.

use std::{fmt, sync::Arc, time::Duration};

use axum::Router;
use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use genesys_cloud_simulator::{OPERATOR_CLIENT_ID, OPERATOR_CLIENT_SECRET, RateWindow, Settings, Simulator, TokioClock};
use genesys_oauth_operator::genesys::{
    Budget, ClientCredential, CustomEndpoint, Limits, Platform, Regions, Timeouts, Transport, TransportError,
};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::budget::{Shared, calls_of_operator, others, share, throttled};

/// The way to a simulator, which takes its time.
struct Straight(Router);

impl fmt::Debug for Straight {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Straight")
    }
}

impl Transport for Straight {
    fn send(&self, request: http::Request<Bytes>, _: Limits) -> BoxFuture<'_, Result<http::Response<Bytes>, TransportError>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(40)).await;
            let Ok(response) = self.0.clone().oneshot(request.map(axum::body::Body::from)).await;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| TransportError::Lost(error.to_string()))?.to_bytes();
            tokio::time::sleep(Duration::from_millis(40)).await;
            Ok(http::Response::from_parts(parts, body))
        })
    }
}

/// Makes calls for so many minutes, ten at a time, beside somebody else or alone; gives the platform.
fn minutes_of_calls(settings: Settings, rate: u32, minutes: u64, beside_others: Company) -> Simulator {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let clock = TokioClock::new("2026-01-05T08:00:00Z".parse().expect("a time"));
        let simulator = Simulator::new(settings, Arc::new(clock));
        let endpoint: CustomEndpoint = "simulated=http://127.0.0.1,http://127.0.0.1".parse().expect("an endpoint");
        let endpoints = Regions::compiled().with_endpoints([endpoint]).get("simulated").expect("it was added");
        let credential =
            ClientCredential { client_id: OPERATOR_CLIENT_ID.to_owned(), client_secret: OPERATOR_CLIENT_SECRET.to_owned().into() };
        let transport = Arc::new(Straight(simulator.router()));
        let platform = Platform::new(transport, endpoints, credential, Arc::new(Budget::new(rate)), Timeouts::default());
        if beside_others == Company::Others {
            drop(others(&simulator).await);
            tokio::time::sleep(Duration::from_secs(90)).await;
        }
        let end = tokio::time::Instant::now() + Duration::from_secs(minutes * 60);
        let busy = || async {
            while tokio::time::Instant::now() < end {
                // A 429 is what is counted; the next call waits for its slot.
                let _ = platform.organization().await;
            }
        };
        join_all((0..10).map(|_| busy())).await;
        simulator
    })
}

/// What became of a limit of 300 of which somebody else uses 150; and the calls that were made in six minutes.
pub fn beside_others(window: RateWindow) -> (Shared, usize) {
    let limits = Settings { rate_window: window, requests_per_minute: None, ..Settings::default() };
    let settings = Settings { organization_requests_per_minute: Some(300), ..limits };
    let calls = calls_of_operator(&minutes_of_calls(settings, 300, 6, Company::Others));
    (Shared::of(&calls), calls.len())
}

/// Who else uses the limit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Company {
    Nobody,
    Others,
}

#[test]
fn a_limit_is_used_and_never_passed() {
    for window in [RateWindow::Fixed, RateWindow::Sliding] {
        for rate in [60, 300] {
            let settings = Settings { rate_window: window, requests_per_minute: Some(rate), ..Settings::default() };
            let calls = calls_of_operator(&minutes_of_calls(settings, rate, 8, Company::Nobody));
            assert_eq!(throttled(&calls), [], "{window:?}");
            let share = share(&calls, rate);
            assert!(share >= 0.99, "{window:?} at {rate}: {share}");
        }
    }
}

#[test]
fn what_others_use_of_a_limit_is_left_to_them_within_a_window() {
    for window in [RateWindow::Fixed, RateWindow::Sliding] {
        let (shared, made) = beside_others(window);
        assert!((1..=3).contains(&shared.refused), "{window:?}: {}", shared.refused);
        assert!(shared.adapted_after <= 60.0, "{window:?}: {}", shared.adapted_after);
        assert!(made >= 6 * 120, "{window:?}: what is left is used, and not {made} calls");
    }
}
