//! The spans that wait for their export: a bounded queue, batches, and the count of what is lost. It must not make those wait who end a span.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout, timeout_at},
};

/// The most spans that wait; OpenTelemetry's usual number.
const LONGEST_QUEUE: usize = 2048;
/// The most spans of a batch.
const LARGEST_BATCH: usize = 512;
/// How long a span waits for others to go with it.
const GATHER: Duration = Duration::from_secs(5);
/// How often losses are told while they go on.
const TELL: Duration = Duration::from_secs(60);

/// What goes through the queue.
enum Item {
    Span(Box<SpanData>),
    /// Everything before it is to go at once; then somebody is told.
    Flush(oneshot::Sender<()>),
}

/// Takes a batch to where it belongs.
pub(super) trait Courier: Send + Sync + 'static {
    /// Takes it there within a bounded time, and tells how many spans of it were refused all the same; or says why it could not.
    fn carry(&self, batch: Vec<SpanData>) -> impl Future<Output = Result<u64, String>> + Send;
}

/// The entrance of the queue.
#[derive(Clone)]
pub(super) struct Queue {
    entrance: mpsc::Sender<Item>,
    overflow: Arc<AtomicU64>,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

impl Queue {
    /// A queue, and the work that empties it.
    pub(super) fn new(endpoint: String, courier: impl Courier) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (entrance, exit) = mpsc::channel(LONGEST_QUEUE);
        let overflow = Arc::new(AtomicU64::new(0));
        let losses = Losses { endpoint, overflow: Arc::clone(&overflow), count: 0, why: String::new(), told: None };
        (Self { entrance, overflow }, empty(exit, courier, losses))
    }

    /// Lets a span wait for its export, or counts it as lost.
    pub(super) fn push(&self, span: SpanData) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.entrance.try_send(Item::Span(Box::new(span))) {
            self.overflow.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits, but no longer than this, until all that is in the queue has gone.
    pub(super) async fn flush(&self, within: Duration) -> bool {
        let (done, gone) = oneshot::channel();
        let flushed = async { self.entrance.send(Item::Flush(done)).await.is_ok() && gone.await.is_ok() };
        timeout(within, flushed).await.unwrap_or(false)
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &opentelemetry::Context) {}

    fn on_end(&self, span: SpanData) {
        if let Some(span) = super::export::told(span) {
            self.push(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Carries batch after batch, as long as anybody may push.
async fn empty(mut exit: mpsc::Receiver<Item>, courier: impl Courier, mut losses: Losses) {
    loop {
        let (batch, flush) = gather(&mut exit).await;
        let over = batch.is_empty() && flush.is_none();
        if !batch.is_empty() {
            let size = batch.len() as u64;
            match courier.carry(batch).await {
                Ok(0) => losses.tell_of_success(),
                Ok(refused) => losses.add(refused, "the collector took the others and refused these"),
                Err(why) => losses.add(size, &why),
            }
        }
        losses.tell(flush.is_some() || over);
        if let Some(done) = flush {
            let _ = done.send(());
        }
        if over {
            return;
        }
    }
}

/// The next batch, and who waits for it. Neither: nothing comes any more.
async fn gather(exit: &mut mpsc::Receiver<Item>) -> (Vec<SpanData>, Option<oneshot::Sender<()>>) {
    let mut batch = vec![];
    let mut until = None;
    while batch.len() < LARGEST_BATCH {
        let item = match until {
            None => exit.recv().await,
            Some(until) => match timeout_at(until, exit.recv()).await {
                Ok(item) => item,
                Err(_) => break,
            },
        };
        match item {
            Some(Item::Span(span)) => batch.push(*span),
            Some(Item::Flush(done)) => return (batch, Some(done)),
            None => break,
        }
        until.get_or_insert_with(|| Instant::now() + GATHER);
    }
    (batch, None)
}

/// The spans that were lost and not told of yet.
struct Losses {
    endpoint: String,
    overflow: Arc<AtomicU64>,
    count: u64,
    why: String,
    /// When losses were told last; none: not since all went well.
    told: Option<Instant>,
}

impl Losses {
    fn add(&mut self, spans: u64, why: &str) {
        self.count += spans;
        why.clone_into(&mut self.why);
    }

    fn tell_of_success(&mut self) {
        if self.count == 0 && self.told.take().is_some() {
            tracing::info!(endpoint = self.endpoint, "traces are taken again");
        }
    }

    /// Tells of them, the first at once and others now and then.
    fn tell(&mut self, last: bool) {
        let overflow = self.overflow.swap(0, Ordering::Relaxed);
        if overflow > 0 {
            self.count += overflow;
            if self.why.is_empty() {
                "more came than were taken".clone_into(&mut self.why);
            }
        }
        let quiet = self.told.is_some_and(|told| told.elapsed() < TELL) && !last;
        if self.count == 0 || quiet {
            return;
        }
        tracing::warn!(
            lost_spans = self.count,
            endpoint = self.endpoint,
            why = self.why,
            "traces are lost, and nothing else: see that an OpenTelemetry collector takes OTLP over HTTP at --otlp-endpoint, usually at port 4318, \
             and that a NetworkPolicy lets the operator reach it"
        );
        (self.count, self.told) = (0, Some(Instant::now()));
        self.why.clear();
    }
}
