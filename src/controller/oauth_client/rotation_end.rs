//! How a rotation ends: done, failed, taken back, made an emergency (talks to the network). Whatever ends, one credential stays published.

use std::time::Duration;

use kube::runtime::events::EventType;

use super::{
    decide::{MOST_RETIRING, rotate::after},
    observation::{Observation, current_rotation},
    pass::Pass,
    plan::{Again, Asked, Declined},
    rotate::{Ending, set_step},
    rotation_store,
    timetable::token_of,
};
use crate::{
    api::{
        GenesysOAuthClientStatus,
        condition::whole_second,
        oauth_client::{
            DeletionTime, RetiringClient, RetiringState,
            rotation_status::{CurrentRotation, LastRotation, RotationResult, RotationStep, Trigger},
        },
        rotation_policy::RotationStrategy,
    },
    controller::error::Error,
    secret::Credential,
};

/// The pause after a first failure; it doubles with each further one.
const FIRST_PAUSE: i64 = 3600;
/// The longest pause.
const LONGEST_PAUSE: i64 = 86_400;
/// How many of the rotations before the last are kept.
const HISTORY: usize = 5;
/// The longest message of a result.
const MESSAGE_LIMIT: usize = 512;

/// Writes down how a rotation ended.
fn record(status: &mut GenesysOAuthClientStatus, current: &CurrentRotation, result: RotationResult, message: &str, now: jiff::Timestamp) {
    let last = LastRotation {
        request: current.request.clone(),
        result,
        trigger: current.trigger,
        strategy: current.strategy,
        revision: current.revision.or(status.revision).filter(|_| result == RotationResult::Succeeded),
        started_at: current.started_at,
        finished_at: now,
        message: message.chars().take(MESSAGE_LIMIT).collect(),
    };
    if let Some(before) = status.last_rotation.replace(last) {
        status.history.insert(0, before);
        status.history.truncate(HISTORY);
    }
}

/// The next scheduled rotation waits: an hour, doubling to a day.
fn pause(status: &mut GenesysOAuthClientStatus, now: jiff::Timestamp) {
    let rotation = status.rotation.get_or_insert_default();
    let failures = rotation.failures.unwrap_or(0).saturating_add(1);
    let doublings = u32::try_from(failures - 1).unwrap_or(u32::MAX).min(10);
    rotation.failures = Some(failures);
    rotation.retry_at = Some(after(now, (FIRST_PAUSE << doublings).min(LONGEST_PAUSE)));
}

/// The new client goes, which nobody uses.
fn retire_new(status: &mut GenesysOAuthClientStatus, current: &CurrentRotation, now: jiff::Timestamp) {
    let Some(id) = current.client_id.clone() else { return };
    if status.client_id.as_ref() == Some(&id) {
        return;
    }
    let room = status.retiring.len() < MOST_RETIRING;
    match status.retiring.iter_mut().find(|retiring| retiring.client_id == id) {
        Some(retiring) => retiring.state = RetiringState::Inactivating,
        None if room => status.retiring.push(RetiringClient {
            client_id: id,
            state: RetiringState::Inactivating,
            since: now,
            deletion: DeletionTime::AtOnce,
            delete_after: None,
        }),
        None => {}
    }
}

fn end(status: &mut GenesysOAuthClientStatus) {
    if let Some(rotation) = &mut status.rotation {
        rotation.current = None;
    }
}

/// The new credential can't be had: the old one stays in force, and a person is told why.
pub async fn fail(pass: &mut Pass<'_>, seen: &Observation, why: &str) -> Result<(), Error> {
    let Some(current) = current_rotation(&pass.status).cloned() else { return Ok(()) };
    if current.strategy == RotationStrategy::Replace && falls_back(current.trigger) {
        return in_place(pass, seen, &current, why).await;
    }
    if current.client_id.is_some() && pass.status.retiring.len() >= MOST_RETIRING {
        pass.note(format!("it failed ({why}), and ends when there is room for its client among those on their way to deletion"));
        pass.again = Again::After(Duration::from_secs(60));
        return Ok(());
    }
    // Gone before the end is written down: whoever comes after a crash here finds the new credential lost, and fails again.
    rotation_store::remove(pass, seen).await?;
    let now = whole_second(seen.now);
    let why = why.to_owned();
    let (handled, recorded) = (pass.status.last_handled_rotate_request.clone(), why.clone());
    let ended = current.clone();
    let verified_before = pass.status.verified_revision;
    pass.moment = None;
    pass.commit_outcome(move |status| {
        status.intent = None;
        status.verified_revision = verified_before;
        status.last_handled_rotate_request.clone_from(&handled);
        end(status);
        retire_new(status, &ended, now);
        record(status, &ended, RotationResult::Failed, &recorded, now);
        pause(status, now);
    })
    .await?;
    forget(pass);
    tracing::warn!(target: "audit", trigger = ?current.trigger, %why, outcome = "failed", "rotation");
    pass.event(EventType::Warning, "RotationFailed", &format!("{why}; the old credential stays in force")).await;
    // What can't wait for its next time is tried again with growing pauses.
    pass.again = if current.trigger == Trigger::Repair { Again::Backoff } else { Again::After(Duration::ZERO) };
    Ok(())
}

/// Whether the published client's secret is reset where a second client can't be had: an emergency waits for nobody, and where the Secret is
/// lost or refused nobody has a credential to lose.
fn falls_back(trigger: Trigger) -> bool {
    matches!(trigger, Trigger::Emergency | Trigger::Repair)
}

/// Goes on by a reset of the published client's secret; the new client goes.
async fn in_place(pass: &mut Pass<'_>, seen: &Observation, current: &CurrentRotation, why: &str) -> Result<(), Error> {
    rotation_store::remove(pass, seen).await?;
    let now = whole_second(seen.now);
    let (ended, kept) = (current.clone(), pass.status.rotation.clone());
    let handled = pass.status.last_handled_rotate_request.clone();
    pass.moment = None;
    pass.commit_outcome(move |status| {
        status.intent = None;
        status.last_handled_rotate_request.clone_from(&handled);
        retire_new(status, &ended, now);
        status.rotation.clone_from(&kept);
        if let Some(current) = status.rotation.as_mut().and_then(|rotation| rotation.current.as_mut()) {
            current.strategy = RotationStrategy::Regenerate;
            current.step = RotationStep::Regenerating;
            current.client_id = None;
            current.revision = None;
            current.nonce = None;
        }
    })
    .await?;
    forget(pass);
    pass.event(EventType::Warning, "ResetInPlace", &format!("{why}: the secret of the published client is reset instead")).await;
    pass.again = Again::After(Duration::ZERO);
    Ok(())
}

/// The published credential is lost, and no Secret holds it: the rotation is over, and the old client works on for a while.
pub async fn abandon(pass: &mut Pass<'_>, seen: &Observation) -> Result<(), Error> {
    let Some(current) = current_rotation(&pass.status).cloned() else { return Ok(()) };
    rotation_store::remove(pass, seen).await?;
    let now = whole_second(seen.now);
    pass.commit_outcome(move |status| {
        if current.step == RotationStep::RollingOut {
            record(status, &current, RotationResult::Failed, "the new credential was lost after it was published", now);
        }
        end(status);
    })
    .await?;
    pass.again = Again::After(Duration::ZERO);
    Ok(())
}

fn forget(pass: &Pass<'_>) {
    pass.remember(|memory| {
        memory.held = None;
        memory.lost_call = None;
        memory.next_known = None;
        memory.next_proven = None;
        memory.refused_since = None;
        memory.undecided_since = None;
    });
}

/// The new credential is published, and what follows it carries it. With an overlap the old one still works.
pub async fn succeed(pass: &mut Pass<'_>, seen: &Observation, ending: Ending) -> Result<(), Error> {
    let Some(current) = current_rotation(&pass.status).cloned() else { return Ok(()) };
    let now = whole_second(seen.now);
    let message = match current.trigger {
        Trigger::Abort => "the former credential is published again".to_owned(),
        _ => format!("Secret {:?} holds the new credential", seen.object.secret_name()),
    };
    let result = if current.trigger == Trigger::Abort { RotationResult::Aborted } else { RotationResult::Succeeded };
    pass.commit_outcome(move |status| {
        record(status, &current, result, &message, now);
        if result == RotationResult::Aborted {
            pause(status, now);
        } else if let Some(rotation) = &mut status.rotation {
            rotation.failures = None;
            rotation.retry_at = None;
        }
        match ending {
            Ending::AtOnce => end(status),
            Ending::AfterOverlap => set_step(&mut status.rotation, RotationStep::Draining),
        }
    })
    .await?;
    pass.context.fleet.leave(&pass.uid());
    pass.again = Again::After(Duration::ZERO);
    Ok(())
}

/// Takes the rotation back that is under way.
pub async fn abort(pass: &mut Pass<'_>, seen: &Observation, value: &str) -> Result<(), Error> {
    let Some(current) = current_rotation(&pass.status).cloned() else { return Ok(()) };
    if current.is_published() {
        return give_back(pass, seen, &current, value).await;
    }
    pass.status.last_handled_abort_request = Some(value.to_owned());
    call_off(pass, seen, current, "it was taken back before the new credential was published").await
}

/// Before the publish nobody knows the new credential: it goes.
pub async fn call_off(pass: &mut Pass<'_>, seen: &Observation, current: CurrentRotation, why: &str) -> Result<(), Error> {
    rotation_store::remove(pass, seen).await?;
    let now = whole_second(seen.now);
    let (handled, why) = (pass.status.last_handled_abort_request.clone(), why.to_owned());
    pass.commit_outcome(move |status| {
        status.last_handled_abort_request.clone_from(&handled);
        status.intent = None;
        end(status);
        retire_new(status, &current, now);
        record(status, &current, RotationResult::Aborted, &why, now);
        pause(status, now);
    })
    .await?;
    forget(pass);
    pass.event(EventType::Normal, "RotationAborted", "the rotation was taken back; the published credential stays").await;
    pass.again = Again::After(Duration::ZERO);
    Ok(())
}

/// After the publish the former credential is published again, as the newest, and the other one drains in its place.
async fn give_back(pass: &mut Pass<'_>, seen: &Observation, current: &CurrentRotation, value: &str) -> Result<(), Error> {
    let (Some(former), Some(published)) = (
        current.former_client_id.as_deref().and_then(|id| seen.credential_of(id)),
        pass.status.client_id.as_deref().and_then(|id| seen.credential_of(id)),
    ) else {
        pass.again = Again::Backoff;
        return Ok(());
    };
    let next = Credential { revision: seen.highest_revision() + 1, ..former };
    rotation_store::store_both(pass, seen, &next, Some(&published)).await?;
    let (handled, generation) = (value.to_owned(), pass.status.synced_generation);
    let taken_back = current.clone();
    pass.commit_outcome(move |status| {
        status.last_handled_abort_request = Some(handled.clone());
        status.retiring.retain(|retiring| retiring.client_id != next.client_id);
        if let Some(rotation) = &mut status.rotation {
            rotation.current = Some(CurrentRotation {
                trigger: Trigger::Abort,
                step: RotationStep::Verifying,
                client_id: Some(next.client_id.clone()),
                nonce: next.nonce.clone(),
                revision: Some(next.revision),
                issued_at: next.issued_at,
                synced_generation: generation,
                former_client_id: Some(published.client_id.clone()),
                former_revision: Some(published.revision),
                published_at: None,
                ..taken_back.clone()
            });
        }
    })
    .await?;
    pass.event(EventType::Normal, "RotationAborted", "the rotation is taken back: the former credential is published again").await;
    pass.again = Again::After(Duration::ZERO);
    Ok(())
}

/// Makes the rotation under way an emergency. One that is published, or on its way back, is ended first, for the next one to start; so is the
/// service of every client that drains.
pub async fn escalate(pass: &mut Pass<'_>, seen: &Observation, value: &str) -> Result<(), Error> {
    let current = current_rotation(&pass.status).cloned();
    let now = whole_second(seen.now);
    let (value, request) = (value.to_owned(), seen.requests.rotate.as_ref().map(|request| request.token.clone()));
    let goes_on = current.as_ref().is_some_and(|current| !current.is_published() && current.trigger != Trigger::Abort);
    if !goes_on {
        rotation_store::remove(pass, seen).await?;
    }
    pass.commit_outcome(move |status| {
        if let Some(overtaken) = current.as_ref().filter(|current| current.step != RotationStep::Draining && current.request.is_some()) {
            record(status, overtaken, RotationResult::Aborted, "an emergency took its place", now);
        }
        if goes_on {
            if let Some(current) = status.rotation.as_mut().and_then(|rotation| rotation.current.as_mut()) {
                current.trigger = Trigger::Emergency;
                current.request.clone_from(&request);
                status.last_handled_rotate_request = Some(value.clone());
            }
            return;
        }
        if let Some(current) = &current {
            retire_new(status, current, now);
        }
        for retiring in status.retiring.iter_mut().filter(|retiring| retiring.state == RetiringState::Draining) {
            retiring.state = RetiringState::Inactivating;
            retiring.deletion = DeletionTime::AtOnce;
            retiring.since = now;
        }
        end(status);
    })
    .await?;
    forget(pass);
    pass.again = Again::After(Duration::ZERO);
    Ok(())
}

/// Notes requests that ask for nothing that could be done.
pub async fn decline(pass: &mut Pass<'_>, seen: &Observation, declined: &[Declined]) -> Result<(), Error> {
    for one in declined {
        let what = match one.asked {
            Asked::Rotate => {
                pass.status.last_handled_rotate_request = Some(one.value.clone());
                "rotate"
            }
            Asked::Abort => {
                pass.status.last_handled_abort_request = Some(one.value.clone());
                "abort"
            }
        };
        if let Some(why) = &one.why {
            pass.event(EventType::Warning, "RequestDeclined", &format!("annotation {what}: {why}")).await;
            if one.asked == Asked::Rotate {
                let now = whole_second(seen.now);
                let strategy = seen.policy.strategy(&seen.object);
                let refused = CurrentRotation::new(strategy, Trigger::Request, Some(token_of(&one.value)), now);
                record(&mut pass.status, &refused, RotationResult::Refused, why, now);
            }
        }
    }
    pass.commit_status().await
}
