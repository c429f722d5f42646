//! Tells the kubelet whether this process works: `/healthz` and `/readyz` over HTTP. It tells a stuck operator from one that waits, and restarts nothing itself.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use tokio::time::Instant;

use super::listening::{Listening, listen};
use crate::lease::Tenure;

/// A pass may wait for its turn in the request budget for 10 minutes, and for answers after that. One that takes longer hangs.
const LONGEST_PASS: Duration = Duration::from_secs(30 * 60);

/// What the process is doing.
#[derive(Debug, Default)]
pub struct Pulse(Mutex<Beats>);

#[derive(Debug, Default)]
struct Beats {
    /// Set once the process works.
    tenure: Option<Tenure>,
    /// The passes under way: what they are about, and since when.
    passes: BTreeMap<u64, (String, Instant)>,
    next: u64,
}

/// A pass under way; it ends when this is dropped.
#[derive(Debug)]
pub struct Pass<'a> {
    pulse: &'a Pulse,
    number: u64,
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.pulse.lock().passes.remove(&self.number);
    }
}

impl Pulse {
    fn lock(&self) -> MutexGuard<'_, Beats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the process works, for as long as its lease lasts.
    pub fn works(&self, tenure: Tenure) {
        self.lock().tenure = Some(tenure);
    }

    /// Notes a pass over an object.
    #[must_use]
    pub fn pass(&self, about: String) -> Pass<'_> {
        let mut beats = self.lock();
        beats.next += 1;
        let number = beats.next;
        beats.passes.insert(number, (about, Instant::now()));
        Pass { pulse: self, number }
    }

    /// What is wrong with the process; none: nothing.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let beats = self.lock();
        if beats.tenure.as_ref().is_some_and(|tenure| !tenure.covers(Duration::ZERO)) {
            return Some("the lease is over, and the process still runs".to_owned());
        }
        let (about, since) = beats.passes.values().min_by_key(|(_, since)| *since)?;
        let taken = since.elapsed();
        (taken > LONGEST_PASS).then(|| format!("the pass over {about} has taken {} minutes", taken.as_secs() / 60))
    }

    /// Whether it works, and its lease is not over.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.lock().tenure.as_ref().is_some_and(|tenure| tenure.covers(Duration::ZERO))
    }

    /// Whether it works, or waits for the lease.
    #[must_use]
    pub fn standing(&self) -> &'static str {
        if self.lock().tenure.is_some() { "working" } else { "waiting for the lease" }
    }
}

/// Answers probes at this address.
///
/// # Errors
/// When nothing can listen there.
pub async fn answer(address: SocketAddr, pulse: Arc<Pulse>) -> std::io::Result<Listening> {
    let listening = listen(address, router(pulse)).await?;
    tracing::info!(address = %listening.address, "answering probes");
    Ok(listening)
}

fn router(pulse: Arc<Pulse>) -> Router {
    let healthz = async |State(pulse): State<Arc<Pulse>>| match pulse.fault() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(fault) => (StatusCode::SERVICE_UNAVAILABLE, format!("{fault}\n")),
    };
    // A replica that waits is ready to take over; one that does not start answers nothing.
    let readyz = async |State(pulse): State<Arc<Pulse>>| format!("{}\n", pulse.standing());
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).with_state(pulse)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(pulse: &Arc<Pulse>, path: &str) -> (u16, String) {
        let request = http::Request::builder().uri(path).body(axum::body::Body::empty()).expect("a request");
        let response = router(pulse.clone()).oneshot(request).await.expect("an answer");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_that_waits_is_alive_and_ready() {
        let pulse = Arc::new(Pulse::default());
        tokio::time::advance(Duration::from_secs(86_400)).await;
        assert_eq!(ask(&pulse, "/healthz").await.0, 200);
        assert_eq!(ask(&pulse, "/readyz").await, (200, "waiting for the lease\n".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_that_hangs_is_told_and_one_that_waits_is_not() {
        let pulse = Arc::new(Pulse::default());
        pulse.works(Tenure::unlimited());
        let waits = pulse.pass("team-a/billing".to_owned());
        tokio::time::advance(Duration::from_secs(29 * 60)).await;
        let other = pulse.pass("team-a/other".to_owned());
        assert_eq!(ask(&pulse, "/healthz").await.0, 200);
        tokio::time::advance(Duration::from_secs(2 * 60)).await;
        let (status, said) = ask(&pulse, "/healthz").await;
        assert_eq!(status, 503);
        assert!(said.contains("team-a/billing") && said.contains("31 minutes"), "{said}");
        drop(waits);
        assert_eq!(ask(&pulse, "/healthz").await.0, 200);
        drop(other);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_outlives_its_lease_is_told() {
        let pulse = Arc::new(Pulse::default());
        pulse.works(Tenure::until(Instant::now() + Duration::from_secs(15)));
        assert_eq!(ask(&pulse, "/readyz").await.1, "working\n");
        tokio::time::advance(Duration::from_secs(16)).await;
        assert_eq!(ask(&pulse, "/healthz").await.0, 503);
    }
}
