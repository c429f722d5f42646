//! Tells the kubelet whether this process works: `/healthz` and `/readyz` over HTTP. It tells a stuck operator from one that waits, and restarts nothing itself.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use kube::Client;
use tokio::time::Instant;

use super::{
    listening::{Listening, listen},
    watching::{Heard, Watching},
};
use crate::lease::Tenure;

/// A pass may wait for its turn in the request budget for 10 minutes, and for answers after that. One that takes longer hangs.
const LONGEST_PASS: Duration = Duration::from_secs(30 * 60);

/// A watch asks anew every 290 s; a request that fails is made again after half a minute, and each of its own has an end after a minute. One
/// that shows no life for so long hangs: an API server that is away, refuses or stays silent makes requests fail, and is waited for.
const LONGEST_SILENCE: Duration = Duration::from_secs(15 * 60);

/// What the process is doing.
#[derive(Debug, Default)]
pub struct Pulse(Mutex<Beats>);

#[derive(Debug, Default)]
struct Beats {
    /// Whether the lease was seen in another's hands.
    waits: bool,
    /// Set once the process works.
    tenure: Option<Tenure>,
    /// The watches of a process that works.
    watches: Vec<Arc<Watching>>,
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

    /// Notes that another process holds the lease.
    pub fn waits(&self) {
        self.lock().waits = true;
    }

    /// A client for one watch, whose life is noted; `about` says what it watches.
    #[must_use]
    pub fn watching(&self, client: &Client, about: &str) -> Client {
        let watching = Arc::new(Watching::new(about));
        self.lock().watches.push(watching.clone());
        Client::new(Heard::new(client.clone(), watching), client.default_namespace())
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
        let silent = beats.watches.iter().map(|watching| (&watching.about, watching.silent_for())).max_by_key(|(_, silent)| *silent);
        if let Some((about, silent)) = silent.filter(|(_, silent)| *silent > LONGEST_SILENCE) {
            return Some(format!("the watch of {about} has neither asked nor been answered for {} minutes", silent.as_secs() / 60));
        }
        let (about, since) = beats.passes.values().min_by_key(|(_, since)| *since)?;
        let taken = since.elapsed();
        (taken > LONGEST_PASS).then(|| format!("the pass over {about} has taken {} minutes", taken.as_secs() / 60))
    }

    /// Whether it works: its lease is not over, and nothing hangs.
    #[must_use]
    pub fn leads(&self) -> bool {
        let holds = self.lock().tenure.as_ref().is_some_and(|tenure| tenure.covers(Duration::ZERO));
        holds && self.fault().is_none()
    }

    /// Whether it works, waits for the lease, or does not get as far as either.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let beats = self.lock();
        match (&beats.tenure, beats.waits) {
            (None, false) => Standing::Starting("the Kubernetes API has not told who holds the lease".to_owned()),
            (None, true) => Standing::Waiting,
            (Some(_), _) => {
                let missing: Vec<&str> =
                    beats.watches.iter().filter(|watch| !watch.has_begun()).map(|watch| watch.about.as_str()).collect();
                if missing.is_empty() {
                    Standing::Working
                } else {
                    Standing::Starting(format!("the Kubernetes API has not shown all of {} yet", missing.join(", ")))
                }
            }
        }
    }
}

/// How far a process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It can do nothing yet; says what it lacks.
    Starting(String),
    /// It takes over when the one that works ends.
    Waiting,
    /// It works.
    Working,
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
    // A replica that waits is ready to take over: a rollout goes on. What was shown once stays known when the Kubernetes API is away.
    let readyz = async |State(pulse): State<Arc<Pulse>>| match pulse.standing() {
        Standing::Starting(lacks) => (StatusCode::SERVICE_UNAVAILABLE, format!("starting: {lacks}\n")),
        Standing::Waiting => (StatusCode::OK, "waiting for the lease\n".to_owned()),
        Standing::Working => (StatusCode::OK, "working\n".to_owned()),
    };
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).with_state(pulse)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use kube::client::Body;
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
        let (status, said) = ask(&pulse, "/readyz").await;
        assert!(status == 503 && said.contains("who holds the lease"), "{said}");
        pulse.waits();
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
    async fn a_watch_that_shows_no_life_is_told_and_one_that_fails_is_not() {
        let pulse = Arc::new(Pulse::default());
        pulse.works(Tenure::unlimited());
        // As a server that fails at once, and as one that never answers.
        let fails = tower::service_fn(async |_: http::Request<Body>| Err::<http::Response<Body>, _>(std::io::Error::other("away")));
        let hangs = tower::service_fn(async |_: http::Request<Body>| std::future::pending::<std::io::Result<http::Response<Body>>>().await);
        let (fails, hangs) = (Client::new(fails, "default"), Client::new(hangs, "default"));
        let ask_of =
            |client: Client| async move { client.send(http::Request::get("/watched?watch=true").body(Body::empty()).expect("one")).await };
        let (one, other) = (pulse.watching(&fails, "the organizations"), pulse.watching(&hangs, "the clients"));
        let hanging = tokio::spawn(ask_of(other));
        // It begins now, and not after the first minute.
        tokio::task::yield_now().await;
        for _ in 0..14 {
            tokio::time::advance(Duration::from_secs(60)).await;
            ask_of(one.clone()).await.expect_err("it is away");
            assert_eq!(ask(&pulse, "/healthz").await.0, 200);
        }
        tokio::time::advance(Duration::from_secs(90)).await;
        let (status, said) = ask(&pulse, "/healthz").await;
        assert!(status == 503 && said.contains("the clients") && said.contains("15 minutes"), "{said}");
        hanging.abort();
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
