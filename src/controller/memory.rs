//! What this process remembers of each object between passes. Everything in it may be lost at any time: it saves calls and waiting, never correctness.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    organization::pin::Unread,
    snapshot::{Known, Sight},
};
use crate::{
    genesys::{OAuthClient, Urgency},
    secret::Credential,
};

/// A call of this process whose outcome is not known.
#[derive(Clone, Copy, Debug)]
pub struct LostCall {
    /// When the call's time was up.
    pub deadline: Instant,
}

/// The first sight of an intent, on the local clock.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// The process that owned it.
    pub epoch: String,
    /// Its attempt.
    pub attempt: i64,
    /// When this process saw it first in this form.
    pub since: Instant,
}

/// A pause after a failure, ended early by any change of what it depended on.
#[derive(Clone, Debug)]
pub struct Hold {
    /// Until when nothing is tried.
    pub until: Instant,
    /// What the failure depended on.
    pub circumstances: Circumstances,
}

/// What a decision depends on beside the platform: a change of it ends a pause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// The object's generation.
    pub generation: Option<i64>,
    /// Whether the object is being deleted.
    pub deleting: bool,
    /// Whether the person asked to let the object go.
    pub let_go: bool,
    /// The session with the organization, and the uid and generation of its object.
    pub organization: (u64, Option<String>, Option<i64>),
    /// The resourceVersion of the Secret.
    pub secret: Option<String>,
    /// The labels of the namespace, which `access` judges.
    pub namespace_labels: Vec<(String, String)>,
    /// What people ask for by annotations.
    pub requests: [Option<String>; 3],
    /// The rotation policy, in words that change with it.
    pub policy: String,
    /// The resourceVersion of the rotation Secret.
    pub rotation_secret: Option<String>,
    /// The resourceVersion of the Secret that `spec.adopt` names.
    pub adopted_secret: Option<String>,
    /// The client, as a scan or an own write showed it last.
    pub client: Known,
}

/// A look at an organization that found it well.
#[derive(Clone, Debug)]
pub struct Look {
    /// When that was.
    pub at: Instant,
    /// What it depended on.
    pub circumstances: Circumstances,
    /// How often the operator's credentials had been doubted before.
    pub doubts: u64,
}

/// What this process remembers of one object.
#[derive(Clone, Debug, Default)]
pub struct Recollection {
    /// When the object was first seen, before its first pass waited for its turn.
    pub noticed: Option<Instant>,
    /// The resourceVersion of our own last write of the object, and when that was.
    pub written: Option<(u64, Instant)>,
    /// Whether the object is gone.
    pub departed: bool,
    /// The intent that was found.
    pub intent: Option<Sighting>,
    /// A call without an answer.
    pub lost_call: Option<LostCall>,
    /// When this object's turn at the login host comes.
    pub login_turn: Option<Instant>,
    /// A credential that was issued and is not in its Secret yet.
    pub held: Option<Credential>,
    /// When the credential was published by this process, or first seen by it.
    pub published: Option<(i64, Instant)>,
    /// The revision that was verified by this process, and when.
    pub verified: Option<(i64, Instant)>,
    /// When a credential is verified once more, because a late reset could still have spoilt it.
    pub verify_again: Option<Instant>,
    /// The first of an unbroken row of answers that the credential is invalid.
    pub refused_since: Option<(i64, Instant)>,
    /// The first of an unbroken row of verifications that decided nothing.
    pub undecided_since: Option<(i64, Instant)>,
    /// The digest of a Secret that was edited, and verified as it is.
    pub edited_but_proven: Option<String>,
    /// The credential of a rotation that no workload uses yet, and since when this process knows it.
    pub next_known: Option<(i64, Instant)>,
    /// The revision of such a credential that was proven, and when.
    pub next_proven: Option<(i64, Instant)>,
    /// Whether a late reset could still spoil such a credential.
    pub next_ambiguous: bool,
    /// Whether a rotation Secret was looked for that nothing tells of.
    pub looked_for_rotation: bool,
    /// The revision whose credential was refuted.
    pub refuted: Option<i64>,
    /// When the platform last answered a write of this process for the object; lists may lag behind it for a window.
    pub own_write: Option<Instant>,
    /// How often in a row the organization was not looked at yet.
    pub not_yet: u32,
    /// The generation of spec for which the platform cut the marker off.
    pub marker_refused: Option<i64>,
    /// The generation of spec, and the descriptions of the client that was to be adopted, before the platform cut the marker off there and after.
    pub adoption_cut: Option<(Option<i64>, [Option<String>; 2])>,
    /// A client that this process created too late: another one had taken the intent over.
    pub surplus: Option<String>,
    /// The first 404 for the client.
    pub missing_since: Option<Instant>,
    /// Another 404, at least a window after the first: the client is gone.
    pub gone: Option<Instant>,
    /// The published client as a correction found it, stopped or of somebody else, and when: it is not read again before a scan tells of it.
    pub in_the_way: Option<(Instant, Box<OAuthClient>)>,
    /// How passes last saw the clients of the object, by id.
    pub sights: BTreeMap<String, Sight>,
    /// A reply to an update that still differed: generation and `dateModified`.
    pub unheeded: Option<(i64, Option<Timestamp>)>,
    /// What was in force when access was granted last.
    pub accepted: Option<Circumstances>,
    /// The entries of the organization's access of which each allowed all then.
    pub entries: Option<Vec<String>>,
    /// Rollout targets that were said to be absent, by revision.
    pub absent_targets: BTreeSet<(i64, String)>,
    /// When the counts of a policy or an organization were last written.
    pub counted: Option<Instant>,
    /// How urgent the calls of the pass under way are.
    pub urgency: Option<Urgency>,
    /// What the install that an organization is pinned to leaves unread.
    pub unread: Option<Unread>,
    /// The last look at an organization that found it well, and what it depended on.
    pub looked: Option<Look>,
    /// What was asked of the operator's own client when it was last found to hold all of it: asked again only when that changes.
    pub sufficient: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    /// Lost compare-and-swaps in a row.
    pub lost_races: u32,
    /// The pause after the last failure.
    pub hold: Option<Hold>,
    /// Since when the organization answered a deletion with nothing but refusals.
    pub deletion_refused_since: Option<Instant>,
}

/// What this process remembers, by the uid of the object.
#[derive(Debug, Default)]
pub struct Memory {
    objects: Mutex<HashMap<String, Recollection>>,
    /// The uid that was last seen under a name.
    names: Mutex<HashMap<String, String>>,
}

impl Memory {
    /// Looks at what is remembered of an object without a copy.
    pub fn look<T>(&self, uid: &str, look: impl FnOnce(Option<&Recollection>) -> T) -> T {
        look(self.lock().get(uid))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Recollection>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an object that is to have its pass. One that takes the name of another, whose finalizer somebody stripped, takes over what lists may
    /// not tell yet: the last write for that one, or the call of which nobody knows what came of it.
    pub fn notice(&self, name: &str, uid: &str, now: Instant) {
        let mut objects = self.lock();
        if objects.get(uid).is_some_and(|known| known.noticed.is_some()) {
            return;
        }
        let former = self.names.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), uid.to_owned());
        // What is remembered of one that departed in order keeps its stale copies from being worked.
        let stripped = former.filter(|former| former != uid && objects.get(former).is_some_and(|known| !known.departed));
        let former = stripped.and_then(|uid| objects.remove(&uid));
        let written = former.and_then(|former| former.own_write.max(former.lost_call.map(|call| call.deadline)));
        let object = objects.entry(uid.to_owned()).or_default();
        object.noticed = Some(now);
        object.own_write = object.own_write.max(written);
    }

    /// A copy of what is remembered of an object.
    #[must_use]
    pub fn recall(&self, uid: &str) -> Recollection {
        self.lock().get(uid).cloned().unwrap_or_default()
    }

    /// Changes what is remembered of an object.
    pub fn remember<T>(&self, uid: &str, change: impl FnOnce(&mut Recollection) -> T) -> T {
        change(self.lock().entry(uid.to_owned()).or_default())
    }

    /// Forgets an object that is gone, but for its last version: a copy that the watch still holds must not be worked again.
    pub fn depart(&self, uid: &str, version: Option<u64>, now: Instant) {
        let mut objects = self.lock();
        objects.retain(|_, memory| !(memory.departed && memory.written.is_none_or(|(_, at)| now.duration_since(at) >= LONGEST_LAG)));
        let written = version.or_else(|| objects.get(uid)?.written.map(|(version, _)| version + 1)).map(|version| (version, now));
        objects.insert(uid.to_owned(), Recollection { departed: true, written, ..Recollection::default() });
        self.names.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, uid| objects.contains_key(uid));
    }
}

impl Recollection {
    /// Since when an intent stands unchanged before this process; remembers the first sight.
    pub fn first_sight(&mut self, epoch: &str, attempt: i64, now: Instant) -> Instant {
        match &self.intent {
            Some(seen) if seen.epoch == epoch && seen.attempt == attempt => seen.since,
            _ => {
                self.intent = Some(Sighting { epoch: epoch.to_owned(), attempt, since: now });
                now
            }
        }
    }
}

/// How long a watch may lag behind our own write. A copy that is older after that is no lag: the cluster's store was restored.
const LONGEST_LAG: Duration = Duration::from_secs(30);

impl Recollection {
    /// How long the pause after the last failure still lasts. It ends when something changes that the failure depended on.
    pub fn held_back(&mut self, circumstances: &Circumstances, now: Instant) -> Option<Duration> {
        let hold = self.hold.as_ref()?;
        if hold.circumstances != *circumstances {
            self.succeeded();
            return None;
        }
        let left = hold.until.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// The last look at an organization, if nothing changed since that it depended on.
    #[must_use]
    pub fn last_look(&self, circumstances: &Circumstances, doubts: u64) -> Option<&Look> {
        self.looked.as_ref().filter(|look| look.circumstances == *circumstances && look.doubts == doubts)
    }

    /// How long the last look at an organization still serves, if nothing changed that it depended on.
    #[must_use]
    pub fn look_serves(&self, circumstances: &Circumstances, doubts: u64, longest: Duration, now: Instant) -> Option<Duration> {
        let look = self.last_look(circumstances, doubts)?;
        Some((look.at + longest).saturating_duration_since(now)).filter(|left| !left.is_zero())
    }

    /// Notes a failure, and gives the pause after it.
    pub fn failed(&mut self, circumstances: &Circumstances, fraction: f64, now: Instant) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.lost_races = 0;
        let wait = pause(self.failures, fraction);
        self.hold = Some(Hold { until: now + wait, circumstances: circumstances.clone() });
        wait
    }

    /// Makes the pause that was just noted last so long instead, and gives it.
    pub fn held_for(&mut self, wait: Duration, now: Instant) -> Duration {
        if let Some(hold) = &mut self.hold {
            hold.until = now + wait;
        }
        wait
    }

    /// Notes a success: the next failure starts with the shortest pause.
    pub fn succeeded(&mut self) {
        self.failures = 0;
        self.lost_races = 0;
        self.hold = None;
    }

    /// Notes a lost compare-and-swap, and gives the pause after it. The watch brings the newer copy, and a pass with it, within a moment;
    /// one that stands still must not be answered by passes in a circle.
    pub fn lost_race(&mut self) -> Duration {
        let wait = FIRST_LOST_RACE.saturating_mul(1 << self.lost_races.min(10)).min(LONGEST_LOST_RACE);
        self.lost_races = self.lost_races.saturating_add(1);
        wait
    }

    /// Whether a copy of the object is older than our own last write of it.
    #[must_use]
    pub fn outdates(&self, version: Option<u64>, now: Instant) -> bool {
        self.written.is_some_and(|(written, at)| version < Some(written) && now.duration_since(at) < LONGEST_LAG)
    }
}

/// The shortest pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_secs(3);
/// The longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The pause after the first lost compare-and-swap.
const FIRST_LOST_RACE: Duration = Duration::from_millis(200);
/// The longest pause after lost ones in a row.
const LONGEST_LOST_RACE: Duration = Duration::from_secs(60);

/// The pause after the nth failure in a row: 3 s, doubling to 5 min, of which up to a fifth is jitter.
#[must_use]
pub fn pause(failures: u32, fraction: f64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10));
    doubled.min(LONGEST_PAUSE).mul_f64(1.0 - 0.2 * fraction.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_three_seconds_to_five_minutes() {
        assert_eq!(pause(1, 0.0), Duration::from_secs(3));
        assert_eq!(pause(2, 0.0), Duration::from_secs(6));
        assert_eq!(pause(50, 0.0), Duration::from_secs(300));
        assert!(pause(1, 1.0) >= Duration::from_millis(2400));
    }

    #[test]
    fn lost_races_in_a_row_are_not_run_in_a_circle() {
        let mut memory = Recollection::default();
        let waits: Vec<u128> = (0..12).map(|_| memory.lost_race().as_millis()).collect();
        assert_eq!(waits[..3], [200, 400, 800]);
        assert_eq!(waits[11], 60_000);
        memory.succeeded();
        assert_eq!(memory.lost_race(), FIRST_LOST_RACE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_ends_with_time_or_with_a_change() {
        let (mut memory, before) = (Recollection::default(), Circumstances::default());
        assert_eq!(memory.failed(&before, 0.0, Instant::now()), Duration::from_secs(3));
        assert_eq!(memory.held_back(&before, Instant::now()), Some(Duration::from_secs(3)));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!((memory.held_back(&before, Instant::now()), memory.failures), (None, 1), "the next pause will be longer");
        memory.failed(&before, 0.0, Instant::now());
        let edited = Circumstances { generation: Some(2), ..before };
        assert_eq!((memory.held_back(&edited, Instant::now()), memory.failures), (None, 0), "an edit begins anew");
    }

    #[tokio::test(start_paused = true)]
    async fn a_restored_store_is_not_taken_for_a_slow_watch() {
        let memory = Recollection { written: Some((9, Instant::now())), ..Recollection::default() };
        assert!(memory.outdates(Some(8), Instant::now()) && memory.outdates(None, Instant::now()));
        assert!(!memory.outdates(Some(9), Instant::now()));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(!memory.outdates(Some(8), Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_intent_is_timed_from_its_first_sight_in_this_form() {
        let mut memory = Recollection::default();
        let start = Instant::now();
        assert_eq!(memory.first_sight("other", 1, start), start);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(memory.first_sight("other", 1, Instant::now()), start);
        assert_eq!(memory.first_sight("other", 2, Instant::now()), Instant::now(), "another attempt starts anew");
    }
}
