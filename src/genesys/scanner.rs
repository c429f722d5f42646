//! Shares scans: everybody who needs a list of the clients that was begun late enough waits for the same one. It must
//! not run two at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::budget::{Class, Urgency, Work};
use super::clients::Scan;
use super::error::{Error, Operation};
use super::flight::Flight;
use super::platform::Platform;

/// The scans of one organization. Clones share them; each says who waits.
#[derive(Clone)]
pub struct Scanner(Arc<Inner>, Work);

struct Inner {
    platform: Platform,
    state: Mutex<State>,
}

/// A scan that many wait for.
type ScanFlight = Flight<Result<Arc<Scan>, Error>>;

#[derive(Default)]
struct State {
    running: Option<(Instant, ScanFlight, Urgency)>,
    last: Option<Arc<Scan>>,
}

impl std::fmt::Debug for Scanner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scanner").field("platform", &self.0.platform).finish_non_exhaustive()
    }
}

/// What a caller has to do next.
enum Step {
    Done(Arc<Scan>),
    Join(ScanFlight),
    WaitFor(ScanFlight),
}

impl Scanner {
    /// A scanner that has not scanned yet.
    #[must_use]
    pub fn new(platform: Platform) -> Self {
        Self(Arc::new(Inner { platform, state: Mutex::default() }), Work::new(Class::Scan, ""))
    }

    /// The same scanner, for somebody whose work is this urgent.
    #[must_use]
    pub fn for_work(&self, work: Work) -> Self {
        Self(Arc::clone(&self.0), work)
    }

    /// The last complete scan.
    #[must_use]
    pub fn last(&self) -> Option<Arc<Scan>> {
        self.0.lock().last.clone()
    }

    /// A complete scan that was begun at `earliest` or after: the last one, the one under way, or a new one. Waits
    /// until `earliest` if it lies ahead.
    pub async fn begun_at_or_after(&self, earliest: Instant) -> Result<Arc<Scan>, Error> {
        tokio::time::sleep_until(earliest).await;
        loop {
            match self.0.step(earliest, self.1.urgency.class()) {
                Step::Done(scan) => return Ok(scan),
                Step::Join(flight) => return flight.join().await,
                // Begun too early; its result, good or bad, is for those who asked for it.
                Step::WaitFor(flight) => drop(flight.join().await),
            }
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(self: &Arc<Self>, earliest: Instant, class: Class) -> Step {
        let mut state = self.lock();
        if let Some(scan) = state.last.as_ref().filter(|scan| scan.begun >= earliest) {
            return Step::Done(Arc::clone(scan));
        }
        match &state.running {
            Some((begun, flight, urgency)) => {
                // It goes on as urgently as whoever waits for it, also where it is only in the way.
                if urgency.raise(class) {
                    self.platform.budget().reorder();
                }
                if *begun >= earliest { Step::Join(flight.clone()) } else { Step::WaitFor(flight.clone()) }
            }
            None => {
                let urgency = Urgency::new(class);
                let flight = self.launch(urgency.clone());
                // The scan's own `begun` is later: it waits for its slot first.
                state.running = Some((Instant::now(), flight.clone(), urgency));
                Step::Join(flight)
            }
        }
    }

    fn launch(self: &Arc<Self>, urgency: Urgency) -> ScanFlight {
        let inner = Arc::clone(self);
        let platform = self.platform.for_work(Work { urgency, namespace: Arc::from("") });
        let aborted = Err(Error::NotSent { operation: Operation::ListClients, reason: "the scan was aborted".to_owned() });
        Flight::launch(
            async move {
                let result = platform.list_clients().await.map(Arc::new);
                let mut state = inner.lock();
                state.running = None;
                if let Ok(scan) = &result {
                    state.last = Some(Arc::clone(scan));
                }
                result
            },
            aborted,
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::super::testing::{Scripted, no_answer, page, platform};
    use super::super::transport::TransportError;
    use super::*;

    fn scanner() -> (Arc<Scripted>, Scanner) {
        let transport = Scripted::new(|_| page(&json!([{"id": "c1", "name": "n"}])).after(Duration::from_secs(3)));
        let platform = platform(&transport);
        (transport, Scanner::new(platform))
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_share_one_scan() {
        let (transport, scanner) = scanner();
        let now = Instant::now();
        let scans = futures::future::join_all((0..20).map(|_| scanner.begun_at_or_after(now))).await;
        assert!(scans.iter().all(|scan| scan.as_ref().is_ok_and(|scan| scan.begun >= now && scan.clients.len() == 1)));
        assert_eq!(transport.calls().len(), 1);
        assert!(scanner.begun_at_or_after(now).await.is_ok(), "the last one will do");
        assert_eq!(transport.calls().len(), 1);
        assert!(scanner.last().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_scan_that_began_too_early_is_waited_for_and_followed_by_another() {
        let (transport, scanner) = scanner();
        let begun = Instant::now();
        let early = scanner.begun_at_or_after(begun);
        let late = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            scanner.begun_at_or_after(Instant::now()).await
        };
        let (early, late) = tokio::join!(early, late);
        assert_eq!(early.expect("a scan").begun, begun);
        assert_eq!(late.expect("a scan").begun, begun + Duration::from_secs(3), "one at a time");
        assert_eq!(transport.calls().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_moment_ahead_is_waited_for() {
        let (transport, scanner) = scanner();
        let earliest = Instant::now() + Duration::from_secs(60);
        let (one, other) = tokio::join!(scanner.begun_at_or_after(earliest), scanner.begun_at_or_after(earliest));
        assert!(one.expect("a scan").begun >= earliest && other.is_ok());
        assert_eq!(transport.calls().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_scan_is_an_error_to_all_and_the_last_good_one_stays() {
        let mut fail = true;
        let transport = Scripted::new(move |_| {
            fail = !fail;
            let answer = if fail { no_answer(TransportError::Lost("reset".to_owned())) } else { page(&json!([])) };
            answer.after(Duration::from_secs(1))
        });
        let scanner = Scanner::new(platform(&transport));
        let good = scanner.begun_at_or_after(Instant::now()).await.expect("a scan");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = Instant::now();
        let (one, other) = tokio::join!(scanner.begun_at_or_after(now), scanner.begun_at_or_after(now));
        assert!(one.is_err() && other.is_err());
        assert!(Arc::ptr_eq(&scanner.last().expect("kept"), &good));
        assert!(scanner.begun_at_or_after(now).await.is_ok(), "the next one tries again");
        assert_eq!(transport.calls().len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_goes_away_stops_no_scan() {
        let (transport, scanner) = scanner();
        let now = Instant::now();
        assert!(tokio::time::timeout(Duration::from_secs(1), scanner.begun_at_or_after(now)).await.is_err());
        assert!(scanner.begun_at_or_after(now).await.is_ok());
        assert_eq!(transport.calls().len(), 1);
    }
}
