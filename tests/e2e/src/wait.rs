//! Waits for a condition with a deadline and says what was seen when it passes; it must not sleep and hope.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

/// How often a condition is looked at.
const PAUSE: Duration = Duration::from_millis(100);

/// Calls `probe` until it returns `Ok(Ok(value))`, or fails after `deadline` with what the last look saw.
///
/// `Ok(Err(seen))` means "not yet, this is what is there"; `Err` ends the wait at once.
pub async fn until<T, S, F, Fut>(what: &str, deadline: Duration, mut probe: F) -> Result<T>
where
    S: Display,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<std::result::Result<T, S>>>,
{
    let begun = Instant::now();
    loop {
        match probe().await? {
            Ok(value) => return Ok(value),
            Err(seen) if begun.elapsed() >= deadline => {
                bail!("{what}: not within {} s; last seen: {seen}", deadline.as_secs())
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Looks for the length of `span` and fails as soon as `probe` reports an error: what must stay true, stays true.
pub async fn holds<F, Fut>(span: Duration, mut probe: F) -> Result<()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let begun = Instant::now();
    loop {
        probe().await?;
        if begun.elapsed() >= span {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_passed_deadline_tells_what_was_seen() {
        let error = until("the cat", Duration::ZERO, || async { Ok(Err::<(), _>("a dog")) }).await.unwrap_err();
        assert_eq!(error.to_string(), "the cat: not within 0 s; last seen: a dog");
    }

    #[tokio::test]
    async fn the_first_good_look_ends_the_wait() {
        let mut looks = 0;
        let value = until("three looks", Duration::from_secs(5), || {
            looks += 1;
            let seen = if looks < 3 { Err(looks) } else { Ok(looks) };
            async move { Ok(seen) }
        });
        assert_eq!(value.await.unwrap(), 3);
    }
}
