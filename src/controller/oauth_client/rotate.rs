//! Brings a Replace forward (talks to the network): the new credential is proven, brought to the present spec and published in one write. Until then nobody uses it.

use std::time::Duration;

use kube::runtime::events::EventType;
use tokio::time::Instant;

use super::{
    decide::MOST_RETIRING,
    mint::show,
    observation::{ClientView, Observation, Organization, SecretView, current_rotation},
    observe_platform::read_client,
    overlap,
    pass::Pass,
    plan::Again,
    publish, rotation_end,
    status::Moment,
    update,
    validate::platform_grant,
};
use crate::{
    api::{
        condition::{Reason, whole_second},
        oauth_client::{
            DeletionTime, DesiredState, RetiringClient, RetiringState,
            rotation_status::{CurrentRotation, IssuedBy, RotationStatus, RotationStep, Trigger},
        },
    },
    controller::{error::Error, sessions::Session},
    genesys::{ClientCredential, ClientState, Probe, probe},
    secret::Credential,
};

/// When the old client's service ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With the publish: it is an emergency, or there is no old client.
    AtOnce,
    /// When the overlap is over.
    AfterOverlap,
}

/// Brings the rotation that is under way a step further.
pub async fn advance(pass: &mut Pass<'_>, seen: &Observation) -> Result<(), Error> {
    let Some(current) = current_rotation(&pass.status).cloned() else { return Ok(()) };
    if seen.object.spec.state == DesiredState::Inactive && !current.is_published() && current.step != RotationStep::Regenerating {
        return rotation_end::call_off(pass, seen, current, "spec.state became Inactive before the new credential was published").await;
    }
    match current.step {
        RotationStep::Creating => {
            let why = match &seen.declared {
                Some(Err(refusal)) => refusal.message.clone(),
                _ => "the new client could not be declared".to_owned(),
            };
            rotation_end::fail(pass, seen, &why).await
        }
        RotationStep::Verifying | RotationStep::Publishing => prove_and_publish(pass, seen, &current).await,
        RotationStep::RollingOut => overlap::roll_out(pass, seen, &current).await,
        RotationStep::Draining => overlap::drain(pass, seen, &current).await,
        RotationStep::Regenerating => Ok(()),
    }
}

async fn prove_and_publish(pass: &mut Pass<'_>, seen: &Observation, current: &CurrentRotation) -> Result<(), Error> {
    let Organization::Ready(_, session) = &seen.organization else { return Ok(()) };
    let Some(credential) = current.client_id.as_deref().and_then(|id| seen.credential_of(id)) else {
        return rotation_end::fail(pass, seen, "the rotation Secret was removed or edited, so that the new credential is lost").await;
    };
    let credential = Credential { revision: current.revision.unwrap_or(credential.revision), ..credential };
    if !prove(pass, seen, session, current, &credential).await? {
        return Ok(());
    }
    if current.synced_generation != seen.object.metadata.generation && matches!(seen.declared, Some(Ok(_))) {
        match update::bring_to_spec(pass, seen, session, &credential.client_id).await? {
            update::Brought::Done => {}
            update::Brought::Withheld(error) => {
                show(pass, &error);
                return Ok(());
            }
            update::Brought::Failed(why) => {
                pass.note(format!("the new client could not be brought to spec yet ({why})"));
                pass.again = Again::Backoff;
                return Ok(());
            }
        }
    }
    publish_new(pass, seen, current, &credential).await
}

/// Whether the new credential works. A lasting refusal of an active client fails the rotation; what is undecided is tried again.
async fn prove(
    pass: &mut Pass<'_>,
    seen: &Observation,
    session: &Session,
    current: &CurrentRotation,
    credential: &Credential,
) -> Result<bool, Error> {
    let revision = credential.revision;
    let proven = pass.remember(|memory| memory.next_proven).filter(|(known, _)| *known == revision);
    if proven.is_some_and(|(_, at)| at.elapsed() < seen.times.refutation) {
        return Ok(true);
    }
    let Some(secret) = credential.client_secret.clone() else { return Ok(false) };
    let tried = ClientCredential { client_id: credential.client_id.clone(), client_secret: secret };
    let now = Instant::now();
    let found = match probe(&session.platform, &tried, platform_grant(seen.object.spec.grant_type), &session.organization_id).await {
        Ok(found) => found,
        Err(error) => {
            show(pass, &error);
            return Ok(false);
        }
    };
    match found {
        Probe::Proven => {
            pass.remember(|memory| {
                memory.next_proven = Some((revision, now));
                memory.refused_since = None;
                memory.undecided_since = None;
            });
            Ok(true)
        }
        Probe::Mismatch { reason } => {
            rotation_end::fail(pass, seen, &format!("the new credential works for something else ({reason})")).await?;
            Ok(false)
        }
        Probe::InvalidClient { description } => {
            let since = pass.remember(|memory| match memory.refused_since {
                Some((known, since)) if known == revision => since,
                _ => {
                    memory.refused_since = Some((revision, now));
                    now
                }
            });
            pass.note(format!("the login host does not accept the new credential yet ({description})"));
            pass.again = Again::After((seen.times.refutation / 8).max(Duration::from_secs(1)));
            if now.duration_since(since) >= seen.times.refutation {
                refuted(pass, seen, session, credential, &description).await?;
            }
            Ok(false)
        }
        Probe::Undecided { reason } => {
            undecided(pass, seen, current, &reason);
            Ok(false)
        }
    }
}

/// A disabled, an inactive and an unknown client give the same answer as a wrong secret; each ends the rotation, with its own words.
async fn refuted(
    pass: &mut Pass<'_>,
    seen: &Observation,
    session: &Session,
    credential: &Credential,
    description: &str,
) -> Result<(), Error> {
    let id = &credential.client_id;
    let why = match read_client(pass.context, session, &pass.uid(), id).await {
        Ok(ClientView::Present(client)) if client.state == ClientState::Active => {
            format!("the login host refuses the new credential of client {id} ({description})")
        }
        Ok(ClientView::Present(client)) => format!("the new client {id} was made {} on the platform", client.state),
        Ok(_) => format!("the new client {id} is gone from the platform"),
        Err(_) => return Ok(()),
    };
    pass.remember(|memory| (memory.missing_since, memory.gone) = (None, None));
    rotation_end::fail(pass, seen, &why).await
}

fn undecided(pass: &mut Pass<'_>, seen: &Observation, current: &CurrentRotation, reason: &str) {
    pass.again = Again::Backoff;
    pass.note(format!("it could be neither proven nor refuted yet ({reason})"));
    let patience = super::decide::rotate::after(current.started_at, current.overlap.maximum_seconds);
    if seen.now >= patience {
        let message = format!(
            "the new credential could be neither proven nor refuted ({reason}), and the old one stays in force: allow the operator's address on the login host, or take the rotation back with annotation oauth.genesys-operator.io/abort"
        );
        pass.moment = Some(Moment::Stalled(Reason::VerificationBlocked, message));
    }
}

async fn publish_new(pass: &mut Pass<'_>, seen: &Observation, current: &CurrentRotation, credential: &Credential) -> Result<(), Error> {
    if pass.status.retiring.len() >= MOST_RETIRING {
        pass.note("it waits until one of the clients is gone that are on their way to deletion");
        pass.again = Again::After(Duration::from_secs(60));
        return Ok(());
    }
    if matches!(&seen.secret, SecretView::Ours(found) if found.credential.revision > credential.revision) {
        // Somebody wrote a higher revision into the Secret, which is never written over: the new credential takes the next.
        let revision = seen.highest_revision() + 1;
        pass.commit_outcome(move |status| {
            if let Some(current) = status.rotation.as_mut().and_then(|rotation| rotation.current.as_mut()) {
                current.revision = Some(revision);
            }
        })
        .await?;
        pass.again = Again::After(Duration::ZERO);
        return Ok(());
    }
    set_step(&mut pass.status.rotation, RotationStep::Publishing);
    if !publish::copy(pass, seen, credential).await? {
        return Ok(());
    }
    let now = whole_second(seen.now);
    let emergency = current.trigger == Trigger::Emergency;
    let (credential, former) = (credential.clone(), current.former_client_id.clone());
    let synced = if matches!(seen.declared, Some(Ok(_))) { seen.object.metadata.generation } else { current.synced_generation };
    let published = (credential.client_id.clone(), credential.revision);
    let issued_by = match current.trigger {
        Trigger::Abort => current.former_issued_by,
        Trigger::Repair => Some(IssuedBy::Creation),
        _ => Some(IssuedBy::Rotation),
    };
    pass.moment = None;
    pass.commit_outcome(move |status| {
        status.client_id = Some(credential.client_id.clone());
        status.nonce.clone_from(&credential.nonce);
        status.revision = Some(credential.revision);
        status.verified_revision = Some(credential.revision);
        status.issued_at = credential.issued_at;
        status.applied_state = Some(DesiredState::Active);
        (status.drift, status.platform_deletion_at) = (vec![], None);
        status.synced_generation = synced;
        status.retiring.retain(|retiring| retiring.client_id != credential.client_id);
        if let Some(former) = former
            .clone()
            .filter(|former| *former != credential.client_id && status.retiring.iter().all(|retiring| retiring.client_id != *former))
        {
            let (state, deletion) = if emergency {
                (RetiringState::Inactivating, DeletionTime::AtOnce)
            } else {
                (RetiringState::Draining, DeletionTime::AfterTokens)
            };
            status.retiring.push(RetiringClient { client_id: former, state, since: now, deletion, delete_after: None });
        }
        let rotation = status.rotation.get_or_insert_default();
        rotation.issued_by = issued_by;
        if let Some(current) = &mut rotation.current {
            current.step = RotationStep::RollingOut;
            current.published_at = Some(now);
        }
    })
    .await?;
    let (client, revision) = published;
    let (instant, window) = (Instant::now(), seen.times.window);
    pass.remember(|memory| {
        memory.published = Some((revision, instant));
        memory.verified = Some((revision, instant));
        memory.refuted = None;
        memory.missing_since = None;
        memory.gone = None;
        memory.next_known = None;
        memory.next_proven = None;
        memory.edited_but_proven = None;
        memory.verify_again = memory.next_ambiguous.then(|| instant + window);
        memory.next_ambiguous = false;
    });
    pass.sight = super::status::Sight::Whole;
    let note = format!("Secret {:?} now holds the credential of client {client} at revision {revision}", seen.object.secret_name());
    pass.event(EventType::Normal, "CredentialRotated", &note).await;
    tracing::info!(target: "audit", client = %client, revision, trigger = ?current.trigger, outcome = "published", "rotation");
    pass.again = Again::After(Duration::ZERO);
    Ok(())
}

/// Writes the step of the rotation under way.
pub fn set_step(rotation: &mut Option<RotationStatus>, step: RotationStep) {
    if let Some(current) = rotation.as_mut().and_then(|rotation| rotation.current.as_mut()) {
        current.step = step;
    }
}
