//! From the publish to the end of the old client's service (talks to the network): what follows the credential carries it, then the overlap ends. Publishes nothing.

use std::time::Duration;

use jiff::Timestamp;
use kube::runtime::events::EventType;

use super::{
    decide::{follows, rotate::after},
    integrations,
    mint::show,
    moments::moment_of_error,
    observation::{Observation, Organization},
    pass::Pass,
    plan::Again,
    rollouts,
    rotate::Ending,
    rotation_end, rotation_store,
    status::Moment,
};
use crate::{
    api::{
        GenesysOrganization,
        condition::whole_second,
        oauth_client::{
            DesiredState, RetiringState,
            rotation_status::{CurrentRotation, Trigger},
        },
        rotation_policy::RotationStrategy,
    },
    controller::{error::Error, sessions::Session},
    genesys::{self, ErrorClass},
    secret::Credential,
};

/// How often rollouts are looked at that are waited for.
const ROLLOUT_LOOK: Duration = Duration::from_secs(10);
/// How often the use of the old client is asked for; each time costs two calls.
const IDLE_LOOK: Duration = Duration::from_secs(300);
/// For how long the old client must have been silent.
const SILENCE: jiff::SignedDuration = jiff::SignedDuration::from_mins(15);

/// Brings integration credentials and rollout targets to a credential that is published. What stands in the way of one holds back no other.
pub async fn follow(pass: &mut Pass<'_>, seen: &Observation, credential: &Credential) -> Result<(), Error> {
    let Organization::Ready(organization, session) = &seen.organization else { return Ok(()) };
    let refused = write_integrations(pass, seen, session, organization, credential).await;
    if pass.status.carried_revision != Some(credential.revision) {
        match rollouts::restart(pass, credential.revision).await? {
            Some((reason, message)) => stalled(pass, reason, message),
            None if !refused => pass.status.carried_revision = Some(credential.revision),
            None => {}
        }
    }
    pass.commit_status().await
}

/// Whether something stands in the way of writing the integration credentials; the pass says what.
async fn write_integrations(
    pass: &mut Pass<'_>,
    seen: &Observation,
    session: &Session,
    organization: &GenesysOrganization,
    credential: &Credential,
) -> bool {
    match integrations::write(pass, session, organization, &seen.namespace_labels, credential).await {
        Ok(None) => {
            let any = !pass.object.spec.integration_credentials.is_empty();
            pass.status.carried_generation = pass.object.metadata.generation.filter(|_| any);
            return false;
        }
        Ok(Some((reason, message))) => stalled(pass, reason, message),
        Err(error) => {
            let (moment, again) = moment_of_error(&error, &pass.status);
            if moment != Moment::HandedOver {
                pass.note(format!("an integration credential could not be written yet: {}", error.cause()));
            }
            pass.moment = matches!(moment, Moment::Stalled(..) | Moment::HandedOver).then_some(moment);
            pass.again = again;
        }
    }
    true
}

fn stalled(pass: &mut Pass<'_>, reason: crate::api::condition::Reason, message: String) {
    pass.moment = Some(Moment::Stalled(reason, message));
    pass.again = Again::Backoff;
}

/// Whether everything that follows the credential carries it.
fn carried(pass: &Pass<'_>) -> bool {
    !follows(&pass.object, &pass.status)
}

/// Waits until what follows the credential runs with it; then the rotation takes no place any more.
pub async fn roll_out(pass: &mut Pass<'_>, seen: &Observation, current: &CurrentRotation) -> Result<(), Error> {
    let regenerated = current.strategy == RotationStrategy::Regenerate;
    if !carried(pass) || (regenerated && pass.status.verified_revision != pass.status.revision) {
        pass.again = Again::After(ROLLOUT_LOOK);
        return Ok(());
    }
    let revision = pass.status.revision.unwrap_or_default();
    let ending = if regenerated || current.trigger == Trigger::Emergency { Ending::AtOnce } else { Ending::AfterOverlap };
    let resting = seen.object.spec.state == DesiredState::Inactive;
    if current.overlap.wait_for_rollouts
        && !resting
        && ending == Ending::AfterOverlap
        && let Some(what) = rollouts::unfinished(pass, revision).await?
    {
        if seen.now < overlap_ends(current) {
            pass.note(format!("waiting for {what}"));
            pass.again = Again::After(ROLLOUT_LOOK);
            return Ok(());
        }
        let note = format!("the overlap ends before every rollout target runs with the new credential: {what}");
        pass.event(EventType::Warning, "RolloutUnfinished", &note).await;
    }
    if ending == Ending::AtOnce {
        rotation_store::remove(pass, seen).await?;
    }
    rotation_end::succeed(pass, seen, ending).await
}

/// The end of the overlap, whatever is waited for.
fn overlap_ends(current: &CurrentRotation) -> Timestamp {
    after(current.published_at.unwrap_or(current.started_at), current.overlap.maximum_seconds)
}

/// Ends the overlap where nothing holds it: the old client is to obtain no more tokens.
pub async fn drain(pass: &mut Pass<'_>, seen: &Observation, current: &CurrentRotation) -> Result<(), Error> {
    if !carried(pass) {
        pass.again = Again::After(ROLLOUT_LOOK);
        return Ok(());
    }
    let former = current.former_client_id.clone().unwrap_or_default();
    // A client that is inactive by wish is not kept active for anybody.
    if seen.now < overlap_ends(current) && seen.object.spec.state == DesiredState::Active {
        if let Some(opens) = closed_until(seen) {
            pass.note(format!("the former client obtains tokens until the window that opens at {}", whole_second(opens)));
            pass.again = Again::After(seen.time_to(opens).unwrap_or(ROLLOUT_LOOK).min(seen.times.resync));
            return Ok(());
        }
        if let (true, Organization::Ready(_, session)) = (current.overlap.wait_for_idle, &seen.organization) {
            match used(session, &former, current, seen.now).await {
                Ok(0) => {}
                Ok(requests) => {
                    pass.note(format!(
                        "the former client made {requests} requests within the last quarter of an hour, and stays until it makes none"
                    ));
                    pass.again = Again::After(IDLE_LOOK);
                    return Ok(());
                }
                Err(error) if error.class() == ErrorClass::Withheld => {
                    show(pass, &error);
                    return Ok(());
                }
                Err(error) => {
                    pass.note(format!("whether the former client is in use is not known ({})", error.cause()));
                    pass.again = Again::Backoff;
                    return Ok(());
                }
            }
        }
    }
    // Gone before the step is written down: whoever comes after a crash here finds the step unchanged, and goes on.
    rotation_store::remove(pass, seen).await?;
    let now = whole_second(seen.now);
    pass.commit_outcome(move |status| {
        for retiring in status.retiring.iter_mut().filter(|retiring| retiring.client_id == former) {
            retiring.state = RetiringState::Inactivating;
            retiring.since = now;
        }
        if let Some(rotation) = &mut status.rotation {
            rotation.current = None;
        }
    })
    .await?;
    pass.again = Again::After(Duration::ZERO);
    Ok(())
}

/// When the next window opens; none: one is open, or there are none.
fn closed_until(seen: &Observation) -> Option<Timestamp> {
    let windows = &seen.policy.applied()?.policy.schedule.as_ref()?.windows;
    if windows.is_empty() || windows.is_open(seen.now) { None } else { windows.next_open(seen.now) }
}

async fn used(session: &Session, client_id: &str, current: &CurrentRotation, now: Timestamp) -> Result<u64, genesys::Error> {
    let silent_since = now.checked_sub(SILENCE).unwrap_or(now);
    let from = current.published_at.map_or(silent_since, |published| published.max(silent_since));
    session.platform.requests_of(client_id, from, now).await
}
