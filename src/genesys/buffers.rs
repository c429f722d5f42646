//! The memory in which answers are read: one amount for all, cleared after use. It must not let one that comes slowly keep the others out:
//! where there is not enough, the answer that has held the most for the longest gives way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// What a buffer begins with: answers that hold a secret fit, so that it is never copied to a larger one.
const FIRST: usize = 16 * 1024;
/// Up to this size a buffer grows by a copy, whose origin is cleared; larger ones hold lists, which hold no secrets.
const COPIED: usize = 1024 * 1024;

/// All buffers of a transport.
#[derive(Debug)]
pub(super) struct Buffers {
    limit: usize,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    next: u64,
    open: HashMap<u64, Open>,
}

#[derive(Debug)]
struct Open {
    bytes: usize,
    since: Instant,
    phase: Phase,
    told: Arc<Notify>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Reading,
    /// It was told to give way, and does so when its task runs.
    Leaving,
    /// Read to its end: it goes when it was parsed.
    Whole,
}

/// Why a buffer does not grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it came too slowly while the memory for answers was short, and gave way to others")]
pub(super) struct GaveWay;

/// One answer's body while it is read.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Zeroizing<Vec<u8>>,
    all: Arc<Buffers>,
    id: u64,
    told: Arc<Notify>,
}

impl Buffers {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, state: Mutex::default(), freed: Notify::new() })
    }

    /// A buffer that takes nothing yet.
    pub(super) fn open(self: &Arc<Self>) -> Buffer {
        let told = Arc::new(Notify::new());
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        state.open.insert(id, Open { bytes: 0, since: Instant::now(), phase: Phase::Reading, told: Arc::clone(&told) });
        Buffer { bytes: Zeroizing::default(), all: Arc::clone(self), id, told }
    }

    /// How many bytes are taken.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.lock().taken
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take(&self, id: u64, more: usize) -> Result<(), GaveWay> {
        loop {
            let freed = self.freed.notified();
            if self.lock().take(id, more, self.limit)? {
                return Ok(());
            }
            freed.await;
        }
    }
}

impl State {
    /// Whether there was enough. If not, somebody is on its way out.
    fn take(&mut self, id: u64, more: usize, limit: usize) -> Result<bool, GaveWay> {
        if self.open.get(&id).is_none_or(|open| open.phase == Phase::Leaving) {
            return Err(GaveWay);
        }
        if self.taken + more <= limit {
            self.taken += more;
            self.open.entry(id).and_modify(|open| open.bytes += more);
            return Ok(true);
        }
        let mut leaving = self.open.values().filter(|open| open.phase != Phase::Reading).map(|open| open.bytes).sum::<usize>();
        while self.taken + more > limit + leaving {
            let cost = |(at, open): &(&u64, &mut Open)| {
                let bytes = open.bytes + if **at == id { more } else { 0 };
                (bytes as u128 * (open.since.elapsed().as_millis() + 1), **at)
            };
            let reading = self.open.iter_mut().filter(|(_, open)| open.phase == Phase::Reading);
            match reading.max_by_key(cost) {
                Some((at, open)) if *at != id => {
                    open.phase = Phase::Leaving;
                    leaving += open.bytes;
                    open.told.notify_one();
                }
                _ => return Err(GaveWay),
            }
        }
        Ok(false)
    }
}

impl Buffer {
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Resolves when this buffer has to give way.
    pub(super) async fn has_to_go(&self) -> GaveWay {
        self.told.notified().await;
        GaveWay
    }

    /// Takes a chunk in, as soon as there is memory for it; the buffer never grows over `most`, where the chunk still fits.
    pub(super) async fn extend(&mut self, chunk: &[u8], most: usize) -> Result<(), GaveWay> {
        let needed = self.bytes.len() + chunk.len();
        let held = self.bytes.capacity();
        if needed > held {
            let size = needed.max(held * 2).max(FIRST).min(most.max(needed));
            self.all.take(self.id, size - held).await?;
            if size <= COPIED {
                let mut larger = Zeroizing::new(Vec::with_capacity(size));
                larger.extend_from_slice(&self.bytes);
                self.bytes = larger;
            } else {
                let more = size - self.bytes.len();
                self.bytes.reserve_exact(more);
            }
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    /// The whole body. Its memory is cleared and given back when the last handle is dropped.
    pub(super) fn finish(self) -> Bytes {
        self.all.lock().open.entry(self.id).and_modify(|open| open.phase = Phase::Whole);
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // The memory first: who waits for it may take it at once.
        drop(std::mem::take(&mut self.bytes));
        let mut state = self.all.lock();
        if let Some(open) = state.open.remove(&self.id) {
            state.taken -= open.bytes;
        }
        drop(state);
        self.all.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MOST: usize = 1024 * 1024;

    async fn filled(all: &Arc<Buffers>, bytes: usize) -> Buffer {
        let mut buffer = all.open();
        buffer.extend(&vec![b'x'; bytes], MOST).await.expect("there is room");
        buffer
    }

    /// What an exchange does: it waits for the next byte until it has to go.
    fn hanging(buffer: Buffer) -> tokio::task::JoinHandle<GaveWay> {
        tokio::spawn(async move { buffer.has_to_go().await })
    }

    #[tokio::test(start_paused = true)]
    async fn a_buffer_holds_what_it_was_given_and_gives_its_memory_back() {
        let all = Buffers::new(MOST);
        let mut buffer = all.open();
        let text: Vec<u8> = (0..100_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        for chunk in text.chunks(777) {
            buffer.extend(chunk, 100_000).await.expect("there is room");
        }
        assert_eq!(all.lock().taken, 100_000, "no more than the most");
        let bytes = buffer.finish();
        assert_eq!(bytes, text);
        let part = bytes.slice(5..7);
        drop(bytes);
        assert_eq!(all.lock().taken, 100_000, "a part of it is still held");
        drop(part);
        assert_eq!(all.taken(), 0);
        assert!(all.lock().open.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_held_the_most_for_the_longest_gives_way() {
        let all = Buffers::new(100_000);
        let slow = hanging(filled(&all, 40_000).await);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let fast = filled(&all, 50_000).await;
        let new = filled(&all, 30_000).await;
        assert_eq!(slow.await.expect("no panic"), GaveWay);
        assert_eq!((fast.len(), new.len(), all.lock().taken), (50_000, 30_000, 80_000));
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_gives_way_itself_where_it_is_the_slowest() {
        let all = Buffers::new(100_000);
        let mut slow = filled(&all, 50_000).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        let fast = filled(&all, 40_000).await;
        assert_eq!(slow.extend(&vec![0; 20_000], MOST).await, Err(GaveWay));
        assert_eq!(fast.len(), 40_000);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_whole_is_waited_for_and_not_told_to_go() {
        let all = Buffers::new(100_000);
        let whole = filled(&all, 80_000).await.finish();
        let later = tokio::spawn({
            let all = Arc::clone(&all);
            async move { filled(&all, 50_000).await.len() }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!later.is_finished());
        drop(whole);
        assert_eq!(later.await.expect("no panic"), 50_000);
    }

    #[tokio::test(start_paused = true)]
    async fn many_that_drip_keep_nobody_out() {
        let all = Buffers::new(1_000_000);
        let hostile: Vec<_> = futures::future::join_all((0..20).map(|_| filled(&all, 50_000))).await.into_iter().map(hanging).collect();
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let honest = filled(&all, 400_000).await;
            assert_eq!(honest.finish().len(), 400_000);
            assert!(all.lock().taken <= 1_000_000);
        }
        assert!(hostile.iter().filter(|task| task.is_finished()).count() >= 8);
    }
}
