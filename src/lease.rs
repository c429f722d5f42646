//! The lease of one install: who of several replicas works. It fences nothing by itself; what it cannot promise, intents and markers do.
//!
//! The semantics are client-go's. A holder is gone when its record stood still for its whole duration on the *local* clock; wall clocks are
//! written for people and decide nothing. Each write carries the resourceVersion that was read, so two replicas can't both get it.

mod evaluate;
mod fence;
mod keeper;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

pub use evaluate::{Observed, Step, evaluate};
pub use fence::{Fenced, LEASE_ENDS};
pub use keeper::{Keeper, Lost};

/// How long a lease lasts, and how it is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long a holder that shows no life keeps it.
    pub duration: Duration,
    /// How long a holder tries to renew it before it gives up.
    pub renew_deadline: Duration,
    /// How often it is renewed, and how often a failed request is tried again.
    pub retry_period: Duration,
}

impl Terms {
    /// What makes the terms unfit, in words for a person; none: they fit calls of this length.
    #[must_use]
    pub fn fault(&self, call: Duration) -> Option<String> {
        let Self { duration, renew_deadline, retry_period } = *self;
        if retry_period.is_zero() || renew_deadline <= retry_period || duration <= renew_deadline {
            return Some(format!(
                "the lease's duration ({duration:?}) must exceed its renew deadline ({renew_deadline:?}), and that its retry period ({retry_period:?})"
            ));
        }
        // Else no write to the platform would ever be allowed: what is left of the lease must cover a whole call.
        (duration <= call + retry_period).then(|| {
            format!(
                "the lease's duration ({duration:?}) must exceed the call timeout and the retry period together ({:?})",
                call + retry_period
            )
        })
    }
}

/// How long this process may still change anything. Clones tell the same.
#[derive(Clone, Debug)]
pub struct Tenure(Option<Arc<Mutex<Instant>>>);

impl Tenure {
    /// Of a process that needs no lease, because it is alone.
    #[must_use]
    pub fn unlimited() -> Self {
        Self(None)
    }

    /// Until this instant.
    #[must_use]
    pub fn until(end: Instant) -> Self {
        Self(Some(Arc::new(Mutex::new(end))))
    }

    /// Whether all of what begins now and takes this long falls into it.
    #[must_use]
    pub fn covers(&self, time: Duration) -> bool {
        self.0.as_ref().is_none_or(|end| Instant::now() + time < *end.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Moves its end.
    fn extend(&self, to: Instant) {
        if let Some(end) = &self.0 {
            *end.lock().unwrap_or_else(PoisonError::into_inner) = to;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Terms =
        Terms { duration: Duration::from_secs(15), renew_deadline: Duration::from_secs(10), retry_period: Duration::from_secs(2) };

    #[test]
    fn terms_must_leave_room_for_a_renewal_and_a_call() {
        let call = Duration::from_secs(10);
        assert_eq!(USUAL.fault(call), None);
        let second = Duration::from_secs(1);
        for unfit in [
            Terms { duration: USUAL.renew_deadline, ..USUAL },
            Terms { renew_deadline: USUAL.retry_period, ..USUAL },
            Terms { retry_period: Duration::ZERO, ..USUAL },
            Terms { duration: call + USUAL.retry_period, renew_deadline: call + second, ..USUAL },
        ] {
            assert!(unfit.fault(call).is_some(), "{unfit:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenure_covers_what_ends_before_it() {
        let tenure = Tenure::until(Instant::now() + Duration::from_secs(15));
        assert!(tenure.covers(Duration::from_secs(14)) && !tenure.covers(Duration::from_secs(15)));
        tokio::time::advance(Duration::from_secs(6)).await;
        assert!(!tenure.covers(Duration::from_secs(10)));
        tenure.clone().extend(Instant::now() + Duration::from_secs(15));
        assert!(tenure.covers(Duration::from_secs(10)), "clones tell the same");
        assert!(Tenure::unlimited().covers(Duration::MAX / 4));
    }
}
