//! Who may rotate now, where many objects follow one policy: at most so many at a time, the most urgent first. Counts; makes no call.

pub mod counted;
pub mod followers;
pub mod wakes;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use kube::runtime::reflector::Store;
use tokio::time::Instant;

use followers::{Followers, Guide};
use futures::FutureExt as _;
use wakes::Wakes;

use super::oauth_client::{
    observation::current_rotation,
    timetable::{Rank, Turn},
};
use crate::{
    api::{GenesysOAuthClient, oauth_client::rotation_status::CurrentRotation, rotation_policy::RotationPolicySpec},
    rotation::{self, Policy, PolicyRefusal},
};

/// How long a turn counts that was given and is not seen in the watch yet.
const GRANT_HOLDS: Duration = Duration::from_secs(60);
/// How long an object keeps its place in the queue after it last asked.
const PLACE_HOLDS: Duration = Duration::from_secs(1200);

/// The objects of this process, and who of them rotates or waits for it.
#[derive(Default)]
pub struct Fleet {
    stores: Mutex<Vec<Store<GenesysOAuthClient>>>,
    queue: Mutex<Queue>,
    /// Who follows which policy.
    pub followers: Followers,
    /// Who is to be looked at, because a scan showed something.
    pub wakes: Wakes,
}

#[derive(Default)]
struct Queue {
    /// Turns that were given, by uid.
    granted: HashMap<String, (String, Instant)>,
    /// Objects that wait, by uid.
    waiting: HashMap<String, (String, Rank, Instant)>,
}

/// An object that asks for its turn.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The policy that it follows.
    pub policy: &'a str,
    /// The object's uid.
    pub uid: &'a str,
    /// Its place among those that wait.
    pub rank: Rank,
    /// How many may rotate at the same time.
    pub most: usize,
}

impl Fleet {
    /// Adds the objects of a controller.
    pub fn add(&self, store: Store<GenesysOAuthClient>) {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner).push(store);
    }

    /// All objects, as the watches last showed them.
    #[must_use]
    pub fn objects(&self) -> Vec<Arc<GenesysOAuthClient>> {
        let stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        stores.iter().flat_map(Store::state).collect()
    }

    /// Whether every watch has shown all its objects once.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        !stores.is_empty() && stores.iter().all(|store| matches!(store.wait_until_ready().now_or_never(), Some(Ok(()))))
    }

    /// The objects that follow a policy, as the watches showed them within the last second; none until they have shown all.
    #[must_use]
    pub fn followers_of(&self, guide: &Guide, now: Instant) -> Option<Vec<Arc<GenesysOAuthClient>>> {
        self.is_complete().then(|| self.followers.of(guide, now, || self.objects()))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a turn; one that is given and not used is free again after a minute.
    #[must_use]
    pub fn claim(&self, candidate: &Candidate<'_>, now: Instant) -> Turn {
        let rotating: Vec<String> = self
            .objects()
            .iter()
            .filter(|object| rotates_under(object, candidate.policy))
            .filter_map(|object| object.metadata.uid.clone())
            .collect();
        self.queue().claim(candidate, &rotating, now)
    }

    /// Gives up a place in the queue and a turn: the object's rotation takes no place any more, or is not wished any more.
    pub fn leave(&self, uid: &str) {
        let mut queue = self.queue();
        queue.waiting.remove(uid);
        queue.granted.remove(uid);
    }
}

/// Whether an object takes one of the places of a policy.
#[must_use]
pub fn rotates_under(object: &GenesysOAuthClient, policy: &str) -> bool {
    let Some(status) = &object.status else { return false };
    let follows = status.rotation.as_ref().and_then(|rotation| rotation.policy.as_deref()) == Some(policy);
    follows && current_rotation(status).is_some_and(CurrentRotation::takes_a_place)
}

impl Queue {
    fn claim(&mut self, candidate: &Candidate<'_>, rotating: &[String], now: Instant) -> Turn {
        self.granted.retain(|_, (_, at)| now.duration_since(*at) < GRANT_HOLDS);
        self.waiting.retain(|_, (_, _, at)| now.duration_since(*at) < PLACE_HOLDS);
        let others = |uid: &&String| uid.as_str() != candidate.uid;
        let unseen = self
            .granted
            .iter()
            .filter(|(uid, (policy, _))| policy == candidate.policy && !rotating.contains(uid))
            .map(|(uid, _)| uid)
            .filter(others)
            .count();
        let taken = rotating.iter().filter(others).count() + unseen;
        let ahead = self
            .waiting
            .iter()
            .filter(|(uid, (policy, rank, _))| {
                uid.as_str() != candidate.uid && policy == candidate.policy && (*rank, uid.as_str()) < (candidate.rank, candidate.uid)
            })
            .count();
        if taken + ahead < candidate.most {
            self.waiting.remove(candidate.uid);
            self.granted.insert(candidate.uid.to_owned(), (candidate.policy.to_owned(), now));
            Turn::Granted
        } else {
            self.waiting.insert(candidate.uid.to_owned(), (candidate.policy.to_owned(), candidate.rank, now));
            Turn::Waits(ahead)
        }
    }
}

/// What a policy was read from, and what came of it.
struct Read {
    digest: String,
    effective_since: Timestamp,
    result: Result<Policy, PolicyRefusal>,
}

/// Policies as they were read: the measuring of their windows is costly, and the same for every object that follows one in one organization.
#[derive(Default)]
pub struct Policies(Mutex<HashMap<(String, Option<Duration>), Read>>);

impl Policies {
    /// Reads a policy, or remembers how it was read.
    pub fn read(
        &self,
        key: &str,
        spec: &RotationPolicySpec,
        greatest_age: Option<Duration>,
        effective_since: Timestamp,
    ) -> Result<Policy, PolicyRefusal> {
        let digest = rotation::digest(spec);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (key.to_owned(), greatest_age);
        if let Some(read) = known.get(&place)
            && (&read.digest, read.effective_since) == (&digest, effective_since)
        {
            return read.result.clone();
        }
        let result = Policy::parse(spec, greatest_age, effective_since);
        known.insert(place, Read { digest, effective_since, result: result.clone() });
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> jiff::Timestamp {
        jiff::Timestamp::from_second(1_700_000_000 + second).expect("a time")
    }

    fn ask(queue: &mut Queue, uid: &str, rank: Rank, rotating: &[&str], now: Instant) -> Turn {
        let rotating: Vec<String> = rotating.iter().map(|uid| (*uid).to_owned()).collect();
        queue.claim(&Candidate { policy: "monthly", uid, rank, most: 2 }, &rotating, now)
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_policy_allows_and_the_most_urgent_first() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        assert_eq!(ask(&mut queue, "a", Rank::Due(at(1)), &["x"], now), Turn::Granted);
        assert_eq!(ask(&mut queue, "b", Rank::Due(at(2)), &["x"], now), Turn::Waits(0), "a's turn counts before the watch shows it");
        assert_eq!(ask(&mut queue, "b", Rank::Due(at(2)), &["x", "a"], now), Turn::Waits(0), "and once only");
        assert_eq!(ask(&mut queue, "c", Rank::Due(at(3)), &["x", "a"], now), Turn::Waits(1));
        assert_eq!(ask(&mut queue, "d", Rank::Urgent(at(9)), &["x", "a"], now), Turn::Waits(0), "urgent ones come first");
        // a is done; one place is free, and d is the first in the queue.
        queue.granted.clear();
        assert_eq!(ask(&mut queue, "b", Rank::Due(at(2)), &["x"], now), Turn::Waits(1));
        assert_eq!(ask(&mut queue, "d", Rank::Urgent(at(9)), &["x"], now), Turn::Granted);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_is_not_used_is_free_again() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        assert_eq!(ask(&mut queue, "a", Rank::Due(at(1)), &["x"], now), Turn::Granted);
        assert_eq!(ask(&mut queue, "b", Rank::Due(at(2)), &["x"], now), Turn::Waits(0));
        assert_eq!(ask(&mut queue, "b", Rank::Due(at(2)), &["x"], now + GRANT_HOLDS), Turn::Granted);
    }

    #[test]
    fn requests_come_before_urgent_ones_and_those_before_due_ones() {
        assert!(
            Rank::Requested(at(9)) < Rank::Urgent(at(1)) && Rank::Urgent(at(9)) < Rank::Due(at(1)) && Rank::Due(at(1)) < Rank::Due(at(2))
        );
    }
}
