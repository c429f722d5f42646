//! Waits for a condition with a deadline and says what was seen last; it must not sleep and hope.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

/// How often a condition is looked at.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a condition may take.
const LIMIT: Duration = Duration::from_secs(20);

/// Calls `probe` until it returns `Ok(Ok(value))`; `Ok(Err(seen))` means "not yet", `Err` ends the wait at once.
pub async fn until<T, F, Fut>(what: &str, mut probe: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<std::result::Result<T, String>>>,
{
    let begun = Instant::now();
    loop {
        match probe().await? {
            Ok(value) => return Ok(value),
            Err(seen) if begun.elapsed() >= LIMIT => bail!("{what}: not within {} s; last seen: {seen}", LIMIT.as_secs()),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
