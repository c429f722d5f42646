//! Gets the lease, keeps it, and gives it up (talks to the Kubernetes API). It must not claim the lease for longer than the last renewal that succeeded allows.

use std::{pin::pin, sync::Arc, time::Duration};

use futures::{FutureExt as _, StreamExt as _};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::{
    Api, ResourceExt as _,
    api::{ObjectMeta, PostParams},
    runtime::watcher,
};
use tokio::time::Instant;

use super::{
    Tenure, Terms,
    evaluate::{Observed, Step, evaluate, released},
};
use crate::controller::context::Chance;

/// How long one request about the lease may take: a renewal that hangs must leave time for another.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// How often it is tried to give the lease up.
const RELEASES: usize = 2;

/// Why the lease is lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Somebody else holds it.
    #[error("{0} holds it")]
    To(String),
    /// It could not be renewed in time.
    #[error("it could not be renewed in time: {0}")]
    NotRenewed(String),
}

/// One replica's dealings with the lease.
pub struct Keeper {
    /// For requests.
    requests: Api<Lease>,
    /// For watching it.
    watches: Api<Lease>,
    name: String,
    me: String,
    terms: Terms,
    chance: Arc<dyn Chance>,
    observed: Option<Observed>,
    /// Before the last request that got or renewed it.
    renewed: Option<Instant>,
    /// Whether a write was begun whose outcome was not learned.
    in_doubt: bool,
}

/// What a request about the lease came to.
enum Outcome {
    /// It is held, reckoned from this instant.
    Held(Instant),
    /// Another one holds it until then, unless it shows life.
    HeldByOther(Instant),
    /// Nobody knows.
    Unknown(String),
}

impl Keeper {
    /// A keeper that has not looked yet; `me` must be of this process alone.
    #[must_use]
    pub fn new(requests: Api<Lease>, watches: Api<Lease>, name: &str, me: String, terms: Terms, chance: Arc<dyn Chance>) -> Self {
        Self { requests, watches, name: name.to_owned(), me, terms, chance, observed: None, renewed: None, in_doubt: false }
    }

    /// How often the lease changed hands, this time included.
    #[must_use]
    pub fn transitions(&self) -> i32 {
        self.observed.as_ref().and_then(|observed| observed.spec.lease_transitions).unwrap_or_default()
    }

    /// Waits until this process holds the lease, or until `stop` resolves: then it does not hold it. `waits` is told when another one holds it.
    pub async fn acquire(&mut self, stop: impl Future<Output = ()>, waits: impl Fn()) -> Option<Tenure> {
        let mut stop = pin!(stop.fuse());
        let mut changes = pin!(watcher::watch_object(self.watches.clone(), &self.name).fuse());
        let mut holder = None;
        loop {
            // What is under way is not dropped when the process is asked to stop: it may get the lease, and nobody would give it up.
            let outcome = self.attempt().await;
            if (&mut stop).now_or_never().is_some() {
                self.release().await;
                return None;
            }
            let wait = match outcome {
                Outcome::Held(begun) => {
                    self.renewed = Some(begun);
                    tracing::info!(lease = %self.name, me = %self.me, transitions = self.transitions(), "got the lease");
                    return Some(Tenure::until(begun + self.terms.duration));
                }
                Outcome::HeldByOther(free_at) => {
                    waits();
                    let present = self.holder();
                    if holder != present {
                        tracing::info!(lease = %self.name, holder = present.as_deref(), "another replica holds the lease: this one waits");
                        holder = present;
                    }
                    free_at
                }
                Outcome::Unknown(why) => {
                    tracing::warn!(lease = %self.name, %why, "the lease could not be had: it is tried again");
                    Instant::now() + self.terms.retry_period
                }
            };
            // A change wakes the keeper early: a released lease is taken at once.
            tokio::select! {
                biased;
                () = &mut stop => {
                    self.release().await;
                    return None;
                }
                () = tokio::time::sleep_until(wait) => {}
                change = changes.next() => match change {
                    Some(Ok(lease)) => {
                        // A watch may be behind the write that is in doubt.
                        let in_doubt = self.in_doubt;
                        self.observe(lease);
                        self.in_doubt = in_doubt;
                    }
                    Some(Err(_)) | None => tokio::time::sleep(self.terms.retry_period).await,
                },
            }
        }
    }

    /// Renews the lease that was acquired, until it is lost.
    pub async fn keep(&mut self, tenure: &Tenure) -> Lost {
        loop {
            tokio::time::sleep(self.terms.retry_period).await;
            let Some(renewed) = self.renewed else { return Lost::NotRenewed("it was never held".to_owned()) };
            let deadline = renewed + self.terms.renew_deadline;
            // A process that stood still has nothing to renew: another one may have begun.
            if Instant::now() >= deadline {
                return Lost::NotRenewed("this process stood still".to_owned());
            }
            match tokio::time::timeout_at(deadline, self.attempt()).await {
                Ok(Outcome::Held(begun)) => {
                    self.renewed = Some(begun);
                    tenure.extend(begun + self.terms.duration);
                }
                Ok(Outcome::HeldByOther(_)) => return Lost::To(self.holder().unwrap_or_default()),
                Ok(Outcome::Unknown(why)) => tracing::warn!(lease = %self.name, %why, "the lease was not renewed: it is tried again"),
                Err(_) => return Lost::NotRenewed("the Kubernetes API does not answer".to_owned()),
            }
        }
    }

    /// Gives the lease up, so that another replica need not wait for its end. A failure costs the others that wait, and nothing else.
    pub async fn release(&mut self) {
        let mut failure = None;
        // A renewal that was dropped, or whose answer was lost, changed the lease behind what was seen of it.
        for _ in 0..RELEASES {
            if self.in_doubt {
                match self.request(self.requests.get_opt(&self.name)).await {
                    Ok(found) => self.observe(found),
                    Err(why) => {
                        failure = Some(why);
                        continue;
                    }
                }
            }
            let Some(observed) = self.observed.clone().filter(|observed| observed.spec.holder_identity.as_ref() == Some(&self.me)) else {
                return;
            };
            let spec = released(&observed.spec, self.chance.now());
            self.in_doubt = true;
            match self.write(&observed, spec).await {
                Ok(lease) => {
                    self.observe(Some(lease));
                    tracing::info!(lease = %self.name, "gave the lease up");
                    return;
                }
                Err(why) => failure = Some(why),
            }
        }
        let why = failure.unwrap_or_default();
        tracing::warn!(lease = %self.name, %why, "the lease could not be given up: it runs out by itself");
    }

    fn holder(&self) -> Option<String> {
        self.observed.as_ref().and_then(|observed| observed.spec.holder_identity.clone())
    }

    /// One look, if there was none yet or the last write did not succeed, and one write where one is due.
    async fn attempt(&mut self) -> Outcome {
        // The lease is reckoned from before the request: the answer may have been long under way.
        let begun = Instant::now();
        if self.observed.is_none() {
            match self.request(self.requests.get_opt(&self.name)).await {
                Ok(found) => self.observe(found),
                Err(why) => return Outcome::Unknown(why),
            }
        }
        let step = evaluate(self.observed.as_ref(), &self.me, &self.terms, begun, self.chance.now());
        self.in_doubt |= !matches!(step, Step::WaitUntil(_));
        let written = match (step, self.observed.clone()) {
            (Step::WaitUntil(free_at), _) => return Outcome::HeldByOther(free_at),
            (Step::Create(spec), _) => {
                let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
                let lease = Lease { metadata, spec: Some(spec) };
                self.request(self.requests.create(&PostParams::default(), &lease)).await
            }
            (Step::Write(spec), Some(observed)) => self.write(&observed, spec).await,
            (Step::Write(_), None) => return Outcome::Unknown("there is nothing to write over".to_owned()),
        };
        match written {
            Ok(lease) => {
                self.observe(Some(lease));
                Outcome::Held(begun)
            }
            Err(why) => self.look_again(why).await,
        }
    }

    /// After a write that failed, or whose answer was lost: who holds it now? What was seen keeps its age if it did not change.
    async fn look_again(&mut self, why: String) -> Outcome {
        match self.request(self.requests.get_opt(&self.name)).await {
            Ok(found) => self.observe(found),
            Err(_) => return Outcome::Unknown(why),
        }
        match evaluate(self.observed.as_ref(), &self.me, &self.terms, Instant::now(), self.chance.now()) {
            Step::WaitUntil(free_at) => Outcome::HeldByOther(free_at),
            Step::Create(_) | Step::Write(_) => Outcome::Unknown(why),
        }
    }

    /// Notes the lease as it was read. An unchanged record keeps the time at which it was first seen.
    fn observe(&mut self, lease: Option<Lease>) {
        self.in_doubt = false;
        self.observed = lease.map(|lease| {
            let resource_version = lease.resource_version();
            let spec = lease.spec.unwrap_or_default();
            let known = self.observed.as_ref().filter(|known| known.spec == spec);
            Observed { since: known.map_or_else(Instant::now, |known| known.since), spec, resource_version }
        });
    }

    async fn write(&self, observed: &Observed, spec: LeaseSpec) -> Result<Lease, String> {
        let metadata =
            ObjectMeta { name: Some(self.name.clone()), resource_version: observed.resource_version.clone(), ..ObjectMeta::default() };
        let lease = Lease { metadata, spec: Some(spec) };
        self.request(self.requests.replace(&self.name, &PostParams::default(), &lease)).await
    }

    async fn request<T>(&self, request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, String> {
        match tokio::time::timeout(REQUEST_TIMEOUT.min(self.terms.renew_deadline), request).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err("the Kubernetes API does not answer".to_owned()),
        }
    }
}
