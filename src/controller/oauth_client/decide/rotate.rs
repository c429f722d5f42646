//! The part of a plan that rotates: whether a rotation starts, how the one under way goes on, what is answered to a request. Pure.

use std::time::Duration;

use super::{MOST_RETIRING, limited, published, retirement_at};
use crate::{
    api::{
        GenesysOAuthClient, GenesysOAuthClientStatus,
        condition::whole_second,
        oauth_client::{
            DesiredState, RetiringClient, RetiringState,
            rotation_status::{CurrentRotation, RecordedOverlap, RotationStep, Trigger},
        },
        rotation_policy::RotationStrategy,
    },
    controller::oauth_client::{
        observation::{Observation, client_nonce},
        plan::{Again, Asked, Counts, Declined, Mint, MintCall, Plan, Step},
        status::Moment,
        timetable::{Request, Turn, Urgency},
    },
    secret::rotation::ROTATION_SUFFIX,
};

/// How often a rotation is looked at that waits for something that gives no sign.
const LOOK: Duration = Duration::from_secs(10);
/// How long a rotation takes about, to tell how long those behind it wait.
const USUAL_LENGTH: Duration = Duration::from_secs(15);
/// The longest pause of an object that waits for its turn.
const LONGEST_TURN: Duration = Duration::from_secs(300);

/// What the rotation adds to a plan.
pub(super) struct Part {
    pub(super) steps: Vec<Step>,
    pub(super) again: Again,
    pub(super) moment: Option<Moment>,
}

impl Part {
    fn nothing() -> Self {
        Self { steps: vec![], again: Again::AtResync, moment: None }
    }

    fn step(step: Step) -> Self {
        Self { steps: vec![step], again: Again::After(Duration::ZERO), moment: None }
    }

    fn wait(time: Duration) -> Self {
        Self { steps: vec![], again: Again::After(time), moment: None }
    }
}

/// What the rotation adds to the plan of an object whose credential is whole.
pub(super) fn part(seen: &Observation) -> Part {
    if let Some(step) = answered(seen) {
        return Part::step(step);
    }
    match seen.current() {
        Some(current) => go_on(seen, current),
        None => start(seen),
    }
}

/// Whether a rotation by Replace is under way whose credential no workload has seen yet.
pub(super) fn replaces_unseen(seen: &Observation) -> bool {
    seen.current().is_some_and(|current| current.strategy == RotationStrategy::Replace && !current.is_published())
}

/// The next step of the rotation that is under way.
pub(super) fn go_on(seen: &Observation, current: &CurrentRotation) -> Part {
    let refused = matches!(&seen.declared, Some(Err(_))) && current.step == RotationStep::Creating;
    let resting = seen.object.spec.state == DesiredState::Inactive;
    let ends = refused || resting;
    match current.step {
        // Without what spec declares no client can be created, and an inactive one needs none: the rotation ends here.
        RotationStep::Creating | RotationStep::Verifying | RotationStep::Publishing if ends => Part::step(Step::Rotate),
        RotationStep::Creating => minting(seen, MintCall::Create { nonce: None }, None),
        RotationStep::Regenerating => match seen.status().client_id {
            Some(client_id) => {
                let nonce = client_nonce(&seen.status());
                let mut part = minting(seen, MintCall::Reset { client_id, nonce }, None);
                part.moment = part.moment.or_else(|| Some(Moment::Regenerating(REGENERATING.to_owned())));
                part
            }
            None => Part::nothing(),
        },
        RotationStep::Verifying | RotationStep::Publishing => {
            // Roles of a client that worked before are known everywhere.
            let spread = if current.trigger == Trigger::Abort { Duration::ZERO } else { seen.times.roles };
            let known =
                seen.memory.next_known.filter(|(revision, _)| Some(*revision) == current.revision).map_or(seen.instant, |(_, at)| at);
            let at = known + spread;
            if at <= seen.instant { Part::step(Step::Rotate) } else { Part::wait(at - seen.instant) }
        }
        RotationStep::RollingOut => Part { steps: vec![Step::Rotate], again: Again::After(LOOK), moment: None },
        RotationStep::Draining => match seen.time_to(overlap_minimum_ends(seen, current)) {
            Some(wait) if !resting => Part::wait(wait.min(seen.times.resync)),
            _ => Part { steps: vec![Step::Rotate], again: Again::After(LOOK), moment: None },
        },
    }
}

/// What the moment of a Regenerate says.
pub(super) const REGENERATING: &str = "the secret is being reset; workloads fail until they read the new one";

fn overlap_minimum_ends(seen: &Observation, current: &CurrentRotation) -> jiff::Timestamp {
    after(current.published_at.unwrap_or(seen.now), current.overlap.minimum_seconds)
}

/// A time so many seconds later.
#[must_use]
pub fn after(time: jiff::Timestamp, seconds: i64) -> jiff::Timestamp {
    time.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(jiff::Timestamp::MAX)
}

fn minting(seen: &Observation, call: MintCall, rotation: Option<Box<CurrentRotation>>) -> Part {
    let mint = Mint { call, revision: seen.highest_revision() + 1, attempt: 1, counts: Counts::Anew, rotation };
    let plan = limited(seen, Plan::steps(vec![Step::Mint(mint)], None, Again::After(seen.times.roles)));
    Part { steps: plan.steps, again: plan.again, moment: plan.moment }
}

/// Whether a client on its way to deletion may still obtain tokens.
fn still_works(retiring: &RetiringClient) -> bool {
    match retiring.state {
        RetiringState::Draining => true,
        RetiringState::Inactivating => retiring.delete_after.is_none(),
        RetiringState::Deleting => false,
    }
}

/// Whether a new rotation could begin: no client of the object but the published one works, and there is room for one more.
fn has_room(status: &GenesysOAuthClientStatus) -> bool {
    !status.retiring.iter().any(still_works) && status.retiring.len() < MOST_RETIRING
}

/// Whether a rotation that is wished could begin now, but for its turn.
#[must_use]
pub fn could_begin(object: &GenesysOAuthClient) -> bool {
    let Some(status) = &object.status else { return false };
    has_room(status) && status.synced_generation == object.metadata.generation && status.intent.is_none()
}

/// When there may be room again.
fn room_at(seen: &Observation, status: &GenesysOAuthClientStatus) -> Again {
    let next = status.retiring.iter().filter_map(|retiring| retirement_at(retiring, status)).min();
    let wait = next.and_then(|at| seen.time_to(at)).unwrap_or(LOOK);
    Again::After(wait.clamp(LOOK, seen.times.resync.max(LOOK)))
}

fn start(seen: &Observation) -> Part {
    let status = seen.status();
    let look = seen.timetable.next_look.map_or(Again::AtResync, |at| Again::After(seen.time_to(at).unwrap_or(LOOK).min(seen.times.resync)));
    let idle = Part { again: look, ..Part::nothing() };
    let Some(wish) = &seen.timetable.wish else { return idle };
    if wish.trigger == Trigger::Emergency {
        return emergency(seen, &status);
    }
    if !has_room(&status) {
        return Part { again: look.or(room_at(seen, &status)), ..idle };
    }
    match seen.turn {
        // An edit that waits goes first; its own pauses lead to the next pass.
        Turn::NotAsked => return idle,
        Turn::Waits(ahead) => {
            let rounds = u32::try_from(ahead / seen.places()).unwrap_or(u32::MAX).saturating_add(1);
            return Part::wait(USUAL_LENGTH.saturating_mul(rounds).min(LONGEST_TURN));
        }
        Turn::Granted => {}
    }
    begin(seen, wish.trigger, seen.requests.rotate.as_ref(), Place::Beside)
}

/// Whether the new credential is another client's, or the same one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Another client's, where the policy says Replace.
    Beside,
    /// The same client's: a second one can't be had.
    InPlace,
}

/// Where a second client can be had for a rotation that can't wait.
fn place(seen: &Observation, status: &GenesysOAuthClientStatus) -> Place {
    let refused = matches!(&seen.declared, Some(Err(_)));
    let resting = seen.object.spec.state == DesiredState::Inactive;
    if refused || resting || status.retiring.len() >= MOST_RETIRING { Place::InPlace } else { Place::Beside }
}

/// The rotation of an emergency: other clients that still work go first, and nothing else is waited for.
pub(super) fn emergency(seen: &Observation, status: &GenesysOAuthClientStatus) -> Part {
    let Some(request) = &seen.requests.rotate else { return Part::nothing() };
    if status.retiring.iter().any(|retiring| retiring.state == RetiringState::Draining) {
        return Part::step(Step::Escalate(request.value.clone()));
    }
    if status.retiring.iter().any(still_works) && place(seen, status) == Place::Beside {
        return Part { steps: vec![Step::Retire], again: Again::After(Duration::ZERO), moment: None };
    }
    begin(seen, Trigger::Emergency, Some(request), place(seen, status))
}

/// The rotation that repairs a credential that no Secret holds any more, or that the platform refuses. It waits for no room: what still
/// works goes on for those that use it.
pub(super) fn repair(seen: &Observation) -> Part {
    begin(seen, Trigger::Repair, None, place(seen, &seen.status()))
}

fn begin(seen: &Observation, trigger: Trigger, request: Option<&Request>, place: Place) -> Part {
    let status = seen.status();
    let Some(client_id) = status.client_id.clone() else { return Part::nothing() };
    let strategy = match place {
        Place::InPlace => RotationStrategy::Regenerate,
        Place::Beside => seen.policy.strategy(&seen.object),
    };
    let rules = seen.policy.rules(&seen.object);
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let started_at = whole_second(seen.now);
    let rotation = CurrentRotation {
        overlap: rules
            .overlap
            .map(|overlap| RecordedOverlap {
                minimum_seconds: seconds(overlap.minimum),
                maximum_seconds: seconds(overlap.maximum),
                wait_for_rollouts: overlap.wait_for_rollouts,
                wait_for_idle: overlap.wait_for_idle,
            })
            .unwrap_or_default(),
        secret_name: (strategy == RotationStrategy::Replace).then(|| format!("{}{ROTATION_SUFFIX}", seen.object.secret_name())),
        former_client_id: Some(client_id.clone()),
        former_revision: status.revision,
        former_issued_by: status.rotation.as_ref().and_then(|rotation| rotation.issued_by),
        ..CurrentRotation::new(strategy, trigger, request.map(|request| request.token.clone()), started_at)
    };
    let call = match strategy {
        RotationStrategy::Replace => MintCall::Create { nonce: None },
        RotationStrategy::Regenerate => MintCall::Reset { client_id, nonce: client_nonce(&status) },
    };
    let mut part = minting(seen, call, Some(Box::new(rotation)));
    if strategy == RotationStrategy::Regenerate && part.moment.is_none() {
        part.moment = Some(Moment::Regenerating(REGENERATING.to_owned()));
    }
    part
}

/// The step that answers a request which a rotation under way, or none, stands in the way of.
fn answered(seen: &Observation) -> Option<Step> {
    let mut declined = vec![];
    if let (Some(request), Some(current)) = (&seen.requests.rotate, seen.current())
        && request.urgency == Urgency::Emergency
        && current.trigger != Trigger::Emergency
        && current.strategy == RotationStrategy::Replace
    {
        // It beats everything, also a request to take the rotation back.
        return Some(Step::Escalate(request.value.clone()));
    }
    if let Some(value) = &seen.requests.abort {
        let decline = |why: &str| Declined { asked: Asked::Abort, value: value.clone(), why: Some(why.to_owned()) };
        match seen.current() {
            None => declined.push(decline("no rotation is under way that could be taken back")),
            Some(current) if current.trigger == Trigger::Abort => declined.push(decline("the rotation is being taken back already")),
            Some(current) if current.strategy == RotationStrategy::Regenerate => {
                declined.push(decline("a secret that was reset does not come back: request another rotation"));
            }
            Some(current) => {
                let former = current.former_client_id.as_deref().unwrap_or_default();
                let drains =
                    seen.status().retiring.iter().any(|retiring| retiring.client_id == former && retiring.state == RetiringState::Draining);
                if current.is_published() && (!drains || seen.credential_of(former).is_none()) {
                    declined.push(decline("the former client is out of service already: request another rotation"));
                } else {
                    return Some(Step::Abort(value.clone()));
                }
            }
        }
    }
    if let Some(request) = seen.requests.rotate.as_ref().filter(|_| !seen.object.can_rotate()) {
        let why = Some("a public or an Implicit client has no secret that could be rotated".to_owned());
        declined.push(Declined { asked: Asked::Rotate, value: request.value.clone(), why });
    }
    (!declined.is_empty()).then_some(Step::Decline(declined))
}

/// Whether the Secret holds the credential that a rotation was about to publish: only the word in status is missing.
pub(super) fn publish_was_cut_short(seen: &Observation) -> Option<Step> {
    let current = seen.current()?;
    let waits = matches!(current.step, RotationStep::Verifying | RotationStep::Publishing);
    let credential = published(seen)?;
    (waits && Some(credential.revision) == current.revision && Some(&credential.client_id) == current.client_id.as_ref())
        .then_some(Step::Rotate)
}
