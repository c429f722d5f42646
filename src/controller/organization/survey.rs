//! The organization's worker: one scan an interval, compared with all objects at once; those that it concerns are woken. Writes nothing itself.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kube::{
    Resource as _, ResourceExt as _,
    runtime::{events::EventType, reflector::ObjectRef},
};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::{
    findings::findings,
    inventory::{self, Books, View},
    status::Verdict,
    usage_survey,
};
use crate::{
    api::{
        GenesysOAuthClient, GenesysOrganization, GenesysOrganizationStatus, RECONCILE_ANNOTATION,
        condition::{ConditionType, Reason, find},
        inventory::Inventory,
    },
    controller::{
        context::Context,
        fleet::followers::GATHER,
        memory::pause,
        oauth_client::moments::HANDED_OVER,
        sessions::{Session, Standing},
        snapshot::Snapshot,
    },
    genesys::{self, ErrorClass, Scan},
    observability::logging,
};

/// So many clients gone in one scan are no accident of a single one.
const MANY: usize = 3;
/// And this share of those that are managed, as a divisor.
const SHARE: usize = 10;
/// How soon a scan that is under way is asked after, should its end be missed.
pub const SCAN_TAKES: Duration = Duration::from_secs(120);
/// How many intervals a scan serves.
const SCAN_SERVES: u32 = 3;

/// How far the scans of one session came.
/// Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Survey(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    indexed: Option<Arc<Snapshot>>,
    /// When the scan was begun that was compared last, and when that was.
    compared: Option<(Instant, Instant)>,
    running: bool,
    failures: u32,
    /// No scan is begun before, after one that failed.
    not_before: Option<Instant>,
    /// A client was missed at that time: a scan begun after it tells how many others are.
    wanted: Option<Instant>,
    /// A scan that a person asked for: the token, and when it was seen.
    requested: Option<(String, Instant)>,
    /// The uids of objects whose client was not in the scan that was compared last.
    gone: BTreeSet<String>,
    /// Those of them that went together with many others: they are not created again.
    held: BTreeSet<String>,
    /// How many objects had a client when that was seen.
    of: usize,
    /// What the scan that was compared last held.
    inventory: Option<Inventory>,
}

/// What the worker did, and what the organization's status is to tell.
#[derive(Debug)]
pub struct Progress {
    /// The clients, where a scan was compared.
    pub inventory: Option<Inventory>,
    /// The request that was handled.
    pub handled: Option<String>,
    /// Why nothing is created again, where many clients went at once.
    pub held: Option<String>,
    /// The objects that are to be looked at.
    pub wake: Vec<ObjectRef<GenesysOAuthClient>>,
    /// When the worker is needed again.
    pub again: Duration,
}

impl Survey {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The index of a scan; made once, also for many that ask.
    #[must_use]
    pub fn index(&self, scan: Arc<Scan>) -> Arc<Snapshot> {
        let mut state = self.lock();
        match &state.indexed {
            Some(known) if Arc::ptr_eq(&known.scan, &scan) || known.begun() > scan.begun => known.clone(),
            _ => state.indexed.insert(Arc::new(Snapshot::new(scan))).clone(),
        }
    }

    /// Whether and why an object must not be given another client now, whose own was missed at that time.
    #[must_use]
    pub fn holds(&self, uid: &str, missed: Option<Instant>) -> Option<String> {
        let mut state = self.lock();
        if !state.counted(uid, missed) {
            state.wanted = state.wanted.max(missed);
            return Some("the clients of the organization are counted before anything is created again".to_owned());
        }
        state.hold()
    }

    /// Whether a scan is wanted that nobody began yet.
    #[must_use]
    pub fn wants_a_scan(&self, last: Option<Instant>) -> bool {
        let state = self.lock();
        !state.running && state.wanted.is_some_and(|wanted| last.is_none_or(|begun| begun < wanted))
    }

    fn ended(&self, result: Result<(), Duration>, now: Instant) {
        let mut state = self.lock();
        state.running = false;
        match result {
            Ok(()) => (state.failures, state.not_before) = (0, None),
            Err(wait) => state.not_before = Some(now + wait),
        }
    }
}

impl State {
    /// Whether the scan that was compared last tells how many went along with this client: it missed it too, or was begun after somebody did.
    fn counted(&self, uid: &str, missed: Option<Instant>) -> bool {
        let Some((begun, _)) = self.compared else { return false };
        self.gone.contains(uid) || missed.is_none_or(|missed| begun >= missed)
    }

    fn hold(&self) -> Option<String> {
        (!self.held.is_empty()).then(|| {
            format!(
                "{} of {} managed clients were gone from the platform at once, so none of them is created again: find out why; they go on as soon as \
                 they are back, or when you annotate the GenesysOrganization with {RECONCILE_ANNOTATION}=<a new value>",
                self.held.len(),
                self.of
            )
        })
    }

    /// Notes whose clients are gone by a scan, and holds them if they are many at once.
    fn note_gone(&mut self, gone: BTreeSet<String>, of: usize) {
        let fresh: BTreeSet<String> = gone.difference(&self.gone).cloned().collect();
        self.held.retain(|uid| gone.contains(uid));
        if fresh.len() > MANY && fresh.len() * SHARE > of {
            self.held.extend(fresh);
            self.of = of;
        }
        self.gone = gone;
    }

    /// What has to be scanned for: since when, and whether it is time.
    fn due(&self, last: Option<Instant>, interval: Duration, now: Instant) -> Instant {
        let regular = last.map_or(now, |begun| begun + interval);
        let asked = self.requested.as_ref().map(|(_, at)| *at).into_iter().chain(self.wanted);
        let asked = asked.filter(|at| last.is_none_or(|begun| begun < *at)).min();
        asked.map_or(regular, |asked| asked.min(regular)).max(self.not_before.unwrap_or(now))
    }
}

/// Whether a scan is too old for anything to be said by it.
#[must_use]
pub fn is_stale(scanned: Instant, interval: Duration, now: Instant) -> bool {
    now.saturating_duration_since(scanned) > interval * SCAN_SERVES
}

/// One look of the worker: compares the newest scan if it was not, and begins the next one if it is time. Waits for neither.
#[must_use]
pub fn advance(context: &Arc<Context>, object: &GenesysOrganization, session: &Arc<Session>) -> Progress {
    let now = Instant::now();
    let interval = object.scan_interval();
    let handled = object.status.as_ref().and_then(|status| status.last_handled_reconcile_request.clone());
    let asked = object.metadata.annotations.as_ref().and_then(|annotations| annotations.get(RECONCILE_ANNOTATION)).cloned();
    let asked = asked.filter(|token| !token.is_empty() && Some(token) != handled.as_ref());
    let snapshot = session.snapshot();
    let mut progress = Progress { inventory: None, handled: None, held: None, wake: vec![], again: interval };
    let mut released = BTreeSet::new();
    let fresh = {
        let mut state = session.survey.lock();
        match asked {
            Some(token) if state.requested.as_ref().is_none_or(|(known, _)| *known != token) => {
                state.requested = Some((token, now));
                // The person has seen who is held: they go on. What the scan shows beside them counts anew.
                released = std::mem::take(&mut state.held);
            }
            Some(_) => {}
            None => state.requested = None,
        }
        let lately = state.compared.is_some_and(|(_, at)| now.duration_since(at) < GATHER);
        if lately {
            progress.again = GATHER;
        }
        snapshot.filter(|snapshot| !lately && state.compared.is_none_or(|(begun, _)| snapshot.begun() > begun))
    };
    if let Some(snapshot) = fresh {
        if context.fleet.is_complete() {
            compare(context, object, session, &snapshot, &mut progress);
        } else {
            progress.again = GATHER;
        }
    }
    if !released.is_empty() {
        let objects = context.fleet.objects();
        let freed = objects.iter().filter(|object| object.metadata.uid.as_ref().is_some_and(|uid| released.contains(uid)));
        progress.wake.extend(freed.map(|object| ObjectRef::from_obj(&**object)));
    }
    let mut state = session.survey.lock();
    progress.held = state.hold();
    progress.inventory.clone_from(&state.inventory);
    if let (Some((token, at)), Some((begun, _))) = (&state.requested, state.compared)
        && begun >= *at
    {
        progress.handled = Some(token.clone());
    }
    if state.running {
        progress.again = progress.again.min(SCAN_TAKES);
        return progress;
    }
    let due = state.due(session.scanner.last().map(|scan| scan.begun), interval, now);
    if due > now {
        progress.again = progress.again.min(due - now);
    } else {
        state.running = true;
        progress.again = progress.again.min(SCAN_TAKES);
        drop(state);
        scan(context.clone(), session.clone(), object.name_any(), now);
    }
    progress
}

/// Scans on a task of its own: the organization's other business goes on meanwhile.
fn scan(context: Arc<Context>, session: Arc<Session>, name: String, earliest: Instant) {
    let span = logging::of_scan(&name);
    let work = async move {
        let result = session.scanner.begun_at_or_after(earliest).await;
        let wait = result.map(drop).map_err(|error| failed(&context, &session, &name, &error));
        session.survey.ended(wait, Instant::now());
        context.sessions.surveyed();
    };
    tokio::spawn(work.instrument(span));
}

fn failed(context: &Context, session: &Session, name: &str, error: &genesys::Error) -> Duration {
    if error.class() == ErrorClass::Withheld {
        tracing::info!(%error, "the clients of the organization were not listed");
        return HANDED_OVER;
    }
    let mut state = session.survey.lock();
    state.failures = state.failures.saturating_add(1);
    let wait = pause(state.failures, context.chance.fraction()).max(error.retry_after().unwrap_or_default());
    tracing::warn!(%error, ?wait, "the clients of the organization could not be listed; this is tried again");
    // Scans that succeed stand for looks at the organization, so the first one that does not asks for one.
    if state.failures == 1 || matches!(error.class(), ErrorClass::Credential) {
        context.sessions.doubt(name);
    }
    wait
}

/// Compares a snapshot with all objects of the organization.
fn compare(context: &Context, object: &GenesysOrganization, session: &Session, snapshot: &Snapshot, progress: &mut Progress) {
    let begun = std::time::Instant::now();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let objects: Vec<_> = context.fleet.objects().into_iter().filter(|client| client.spec.organization_ref.name == name).collect();
    let first = session.survey.lock().compared.is_none();
    let malformed = context.malformed.of(&GenesysOAuthClient::kind(&()));
    let books = Books {
        snapshot,
        objects: &objects,
        malformed: &malformed,
        view: View::of(&context.settings.watch_namespaces),
        cluster_id: &context.cluster_id,
        own_client_id: session.own_client_id(),
        greatest_age: inventory::greatest_age(object),
        now: session.platform.now().unwrap_or_else(|| context.now()),
    };
    let found = findings(&books, &context.memory, context.settings.consistency_window.as_duration(), first);
    progress.wake.extend(found.wake);
    context.sessions.scanned(name, snapshot.begun());
    let mut state = session.survey.lock();
    state.note_gone(found.gone, found.managed);
    state.inventory = Some(found.inventory);
    state.compared = Some((snapshot.begun(), Instant::now()));
    drop(state);
    let taken = begun.elapsed();
    tracing::debug!(clients = snapshot.scan.clients.len(), objects = objects.len(), woken = progress.wake.len(), ?taken, "compared a scan");
}

/// What the worker of an organization that works has found, noted in its status.
#[must_use]
pub fn surveyed(
    context: &Arc<Context>,
    object: &GenesysOrganization,
    status: &mut GenesysOrganizationStatus,
    verdict: &Verdict,
) -> Option<Progress> {
    let Standing::Ready(session) = context.sessions.standing(&object.name_any()) else { return None };
    if !matches!(verdict, Verdict::Ready { .. }) {
        return None;
    }
    let mut progress = advance(context, object, &session);
    context.fleet.wakes.wake(std::mem::take(&mut progress.wake));
    if let Some(inventory) = &mut progress.inventory {
        usage_survey::look(context, object, &session, inventory);
        status.inventory = Some(inventory.clone());
    }
    if let Some(handled) = &progress.handled {
        status.last_handled_reconcile_request = Some(handled.chars().take(256).collect());
    }
    Some(progress)
}

/// An Event when many clients went at once.
pub async fn tell_held(context: &Context, object: &GenesysOrganization, verdict: &Verdict) {
    let Verdict::Ready { held: Some(why), .. } = verdict else { return };
    let conditions = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    if find(conditions, ConditionType::Stalled).is_none_or(|stalled| stalled.status != "True") {
        tracing::warn!(reason = Reason::ClientMissing.as_str(), note = %why, "a person must act");
        context.events.publish(object, EventType::Warning, Reason::ClientMissing.as_str(), why).await;
    }
}

/// The verdict, with the clients that went at once.
#[must_use]
pub fn held(verdict: Verdict, progress: Option<&Progress>) -> Verdict {
    match verdict {
        Verdict::Ready { name, remark, .. } => Verdict::Ready { name, remark, held: progress.and_then(|progress| progress.held.clone()) },
        other => other,
    }
}

#[cfg(test)]
mod tests;
