//! One run of some work that many callers wait for together. It must not start a second run, and a caller that goes away
//! must not stop it.

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tracing::Instrument;

/// A run under way, or ended. Clones wait for the same run.
#[derive(Clone)]
pub(super) struct Flight<T: Clone>(Shared<BoxFuture<'static, T>>);

impl<T: Clone + Send + Sync + 'static> Flight<T> {
    /// Starts the work at once, on its own task: cancelling a caller loses nothing that was begun.
    pub(super) fn launch(work: impl Future<Output = T> + Send + 'static, aborted: T) -> Self {
        let task = tokio::spawn(work.in_current_span());
        Self(async move { task.await.unwrap_or(aborted) }.boxed().shared())
    }

    /// Waits for the result.
    pub(super) async fn join(self) -> T {
        self.0.await
    }
}
