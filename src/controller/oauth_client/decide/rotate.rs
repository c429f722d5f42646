//! The part of a plan that rotates: whether a rotation starts, how the one under way goes on, what is answered to a request. Pure.

use std::time::Duration;

use super::{MOST_RETIRING, limited, published};
use crate::{
    api::{
        GenesysOAuthClientStatus,
        condition::whole_second,
        oauth_client::{
            DesiredState, RetiringState,
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
    let refused = matches!(&seen.declared, Some(Err(_)));
    match current.step {
        // Without what spec declares no client can be created: the rotation ends here.
        RotationStep::Creating if refused => Part::step(Step::Rotate),
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
            Some(wait) => Part::wait(wait.min(seen.times.resync)),
            None => Part { steps: vec![Step::Rotate], again: Again::After(LOOK), moment: None },
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

/// Whether a new rotation could begin: no client of the object but the published one works, and there is room for one more.
fn has_room(status: &GenesysOAuthClientStatus) -> bool {
    let active = status.retiring.iter().any(|retiring| match retiring.state {
        RetiringState::Draining => true,
        RetiringState::Inactivating => retiring.delete_after.is_none(),
        RetiringState::Deleting => false,
    });
    !active && status.retiring.len() < MOST_RETIRING
}

fn start(seen: &Observation) -> Part {
    let status = seen.status();
    let look = seen.timetable.next_look.map_or(Again::AtResync, |at| Again::After(seen.time_to(at).unwrap_or(LOOK).min(seen.times.resync)));
    let idle = Part { again: look, ..Part::nothing() };
    let Some(wish) = &seen.timetable.wish else { return idle };
    if !has_room(&status) || status.synced_generation != seen.object.metadata.generation {
        return Part { again: look.or(Again::After(LOOK)), ..idle };
    }
    match seen.turn {
        Turn::NotAsked => return Part { again: look.or(Again::After(LOOK)), ..idle },
        Turn::Waits(ahead) => {
            let rounds = u32::try_from(ahead / seen.places()).unwrap_or(u32::MAX).saturating_add(1);
            return Part::wait(USUAL_LENGTH.saturating_mul(rounds).min(LONGEST_TURN));
        }
        Turn::Granted => {}
    }
    begin(seen, wish.trigger, seen.requests.rotate.as_ref())
}

/// The rotation that repairs a credential that no Secret holds any more, or that the platform refuses.
pub(super) fn repair(seen: &Observation) -> Part {
    if has_room(&seen.status()) || seen.object.spec.state == DesiredState::Inactive {
        begin(seen, Trigger::Repair, None)
    } else {
        Part { steps: vec![Step::Retire], again: Again::After(LOOK), moment: None }
    }
}

fn begin(seen: &Observation, trigger: Trigger, request: Option<&Request>) -> Part {
    let status = seen.status();
    let Some(client_id) = status.client_id.clone() else { return Part::nothing() };
    // A client that is inactive by wish is not created anew for its credential alone.
    let strategy = match seen.object.spec.state {
        DesiredState::Inactive => RotationStrategy::Regenerate,
        DesiredState::Active => seen.policy.strategy(&seen.object),
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
    if let Some(request) = &seen.requests.rotate {
        let decline = |why: &str| Declined { asked: Asked::Rotate, value: request.value.clone(), why: Some(why.to_owned()) };
        match seen.current() {
            _ if seen.object.spec.public_client => declined.push(decline("a public client has no secret that could be rotated")),
            Some(current)
                if request.urgency == Urgency::Emergency
                    && current.trigger != Trigger::Emergency
                    && current.strategy == RotationStrategy::Replace =>
            {
                return Some(Step::Escalate(request.value.clone()));
            }
            _ => {}
        }
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
