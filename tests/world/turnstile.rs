//! Lets requests through one at a time, in an order that follows from the seed alone. It must not look at an answer.
//!
//! The libraries below the operator are free in their order: kube-runtime keeps its passes and its waiting objects in hash maps with
//! random keys, tokio wakes waiters by chance. Such freedom ends here. Paused time moves only when nobody has anything left to do, so
//! what waits since an earlier instant is complete, however it came together; it is sorted, and the seed picks one. Requests are let
//! through at odd milliseconds and tests act at even ones, so never two at the same instant.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

/// Numbers that follow from a seed (SplitMix64).
#[derive(Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// The numbers of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next one.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// A request that waits.
struct Place {
    /// What it is: requests are sorted by this.
    key: String,
    /// Requests that are alike go in the order in which they came.
    number: u64,
    since: Instant,
    go: oneshot::Sender<()>,
}

struct Queue {
    numbers: Numbers,
    arrivals: u64,
    places: Vec<Place>,
}

impl Queue {
    /// Lets one through of those that came before `now`.
    fn let_one_through(&mut self, now: Instant) {
        self.places.retain(|place| !place.go.is_closed());
        let mut ready: Vec<(&str, u64)> =
            self.places.iter().filter(|place| place.since < now).map(|place| (place.key.as_str(), place.number)).collect();
        ready.sort_unstable();
        if ready.is_empty() {
            return;
        }
        let length = u64::try_from(ready.len()).unwrap_or(u64::MAX);
        let chosen = usize::try_from(self.numbers.next() % length).map_or(0, |index| ready[index].1);
        if let Some(index) = self.places.iter().position(|place| place.number == chosen) {
            // One that has gone away meanwhile misses nothing.
            let _ = self.places.swap_remove(index).go.send(());
        }
    }
}

/// The one way to the APIs of a world.
pub struct Turnstile {
    began: Instant,
    queue: Mutex<Queue>,
    came: Notify,
}

impl Turnstile {
    /// A turnstile at work. To be made inside the world's runtime, with which it ends.
    pub fn new(seed: u64) -> Arc<Self> {
        let queue = Queue { numbers: Numbers::new(seed), arrivals: 0, places: Vec::new() };
        let turnstile = Arc::new(Self { began: Instant::now(), queue: Mutex::new(queue), came: Notify::new() });
        tokio::spawn(turnstile.clone().turn());
        turnstile
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for this request's turn.
    pub async fn pass(&self, key: String) {
        let (go, wait) = oneshot::channel();
        {
            let mut queue = self.lock();
            let number = queue.arrivals;
            queue.arrivals += 1;
            queue.places.push(Place { key, number, since: Instant::now(), go });
        }
        self.came.notify_one();
        if wait.await.is_err() {
            // The world is coming down: nothing goes through any more.
            std::future::pending::<()>().await;
        }
    }

    async fn turn(self: Arc<Self>) {
        loop {
            self.came.notified().await;
            while !self.lock().places.is_empty() {
                let elapsed = self.began.elapsed().as_millis();
                let odd = u64::try_from(elapsed + 1 + elapsed % 2).unwrap_or(u64::MAX);
                tokio::time::sleep_until(self.began + Duration::from_millis(odd)).await;
                self.lock().let_one_through(Instant::now());
            }
        }
    }
}
