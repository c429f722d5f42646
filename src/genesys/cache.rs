//! Keeps one answer for a while, and fetches it once for all who wait. It must not keep a failure.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::error::Error;
use super::flight::Flight;

/// One cached list.
pub(super) struct Cache<T>(Arc<Mutex<State<T>>>);

type Fetched<T> = Result<Arc<Vec<T>>, Error>;

struct State<T> {
    held: Option<(Instant, Arc<Vec<T>>)>,
    flight: Option<Flight<Fetched<T>>>,
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { held: None, flight: None })))
    }
}

impl<T: Send + Sync + 'static> Cache<T> {
    /// The list as it was read last, however old.
    pub(super) fn held(&self) -> Option<Arc<Vec<T>>> {
        lock(&self.0).held.as_ref().map(|(_, list)| Arc::clone(list))
    }

    /// The list, no older than `age`; `fetch` is started if it is needed, and `aborted` is its error if it panics.
    pub(super) async fn get<F>(&self, age: Duration, aborted: Error, fetch: impl FnOnce() -> F) -> Fetched<T>
    where
        F: Future<Output = Result<Vec<T>, Error>> + Send + 'static,
    {
        let flight = {
            let mut state = lock(&self.0);
            if let Some((at, list)) = state.held.as_ref().filter(|(at, _)| at.elapsed() < age) {
                let _ = at;
                return Ok(Arc::clone(list));
            }
            let shared = Arc::clone(&self.0);
            let launch = || {
                let work = fetch();
                Flight::launch(
                    async move {
                        let begun = Instant::now();
                        let result = work.await.map(Arc::new);
                        let mut state = lock(&shared);
                        state.flight = None;
                        if let Ok(list) = &result {
                            state.held = Some((begun, Arc::clone(list)));
                        }
                        result
                    },
                    Err(aborted),
                )
            };
            state.flight.get_or_insert_with(launch).clone()
        };
        flight.join().await
    }
}

fn lock<T>(state: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
