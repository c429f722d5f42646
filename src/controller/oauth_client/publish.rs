//! Brings credentials into the Secret that workloads read (talks to the network), and writes down that they are there. Issues none.

use k8s_openapi::api::core::v1::Secret;
use kube::runtime::events::EventType;
use tokio::time::Instant;

use super::{
    moments::publication,
    observation::{Observation, Organization, SecretView},
    pass::Pass,
    plan::Again,
    rotation_store,
    secret_write::{self, Attempt, Written},
    status::{Delay, Moment, Publication, Sight},
    validate,
};
use crate::{
    api::{
        GenesysOAuthClientStatus,
        condition::{Reason, whole_second},
        oauth_client::{
            Binding, DesiredState, FormerSecret, IntentOperation, RecordedOrganization,
            rotation_status::{IssuedBy, RotationStep},
        },
        rotation_policy::RotationStrategy,
    },
    controller::{
        error::{During as _, Error},
        kubernetes::{delete_secret, secrets},
    },
    secret::{self, Credential, Found},
};

/// How long the Secret of a former name is kept for workloads that still mount it.
const FORMER_SECRET_KEPT: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);

/// How many Secrets of former names are kept at most.
const MOST_FORMER_SECRETS: usize = 8;

/// Whether the client is known to be as this generation of spec declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// The platform just answered with what was declared.
    AsDeclared,
    /// It must be compared.
    Unknown,
}

/// Tries on the server whether the Secret could be written: what can't be stored is not minted.
pub async fn try_secret(pass: &Pass<'_>, seen: &Observation, revision: i64) -> Result<(), Error> {
    let public = seen.object.spec.public_client;
    let placeholder = Credential {
        client_id: "00000000-0000-0000-0000-000000000000".into(),
        client_secret: (!public).then(|| "dry-run".to_owned().into()),
        revision,
        issued_at: None,
        nonce: None,
    };
    write(pass, seen, &placeholder, Attempt::DryRun).await.map(drop)
}

async fn write(pass: &Pass<'_>, seen: &Observation, credential: &Credential, attempt: Attempt) -> Result<Written, Error> {
    let (Ok(local), Organization::Ready(_, session)) = (&seen.local, &seen.organization) else { return Err(Error::Stale) };
    let api = secrets(&pass.context.client, &seen.ownership.namespace);
    let name = seen.object.secret_name();
    let surroundings = validate::surroundings(local, session.platform.endpoints(), &session.organization_id);
    let form = seen.object.spec.credentials_secret.as_ref();
    let revision_in = |live: &Secret| match secret::read(live, &seen.ownership) {
        Found::Ours(found) | Found::Former(found) => Ok(found.credential.revision),
        // Somebody else's, but for the one that its owner gave away and that was proven: as it was then.
        Found::Foreign(_) if seen.taken_over.is_some() && live.metadata.resource_version == seen.taken_over => Ok(0),
        Found::Foreign(detail) => Err(detail),
    };
    let build = |live: Option<&Secret>| secret::build(live, name, &seen.ownership, form, &local.keys, &surroundings, credential);
    secret_write::write(&api, name, attempt, credential.revision, revision_in, build).await
}

/// What it means that the API server refuses the Secret: an invalid one is for a person to correct, the rest may pass.
pub fn not_writable(seen: &Observation, error: &kube::Error, otherwise: impl FnOnce(String) -> Moment) -> Moment {
    let name = seen.object.secret_name();
    match error {
        kube::Error::Api(status) if matches!(status.code, 400 | 422) => Moment::Stalled(
            Reason::InvalidSpec,
            format!("the API server refuses Secret {name:?} ({}): correct spec.credentialsSecret, or remove that Secret", status.message),
        ),
        kube::Error::Api(status) => otherwise(format!("Secret {name:?} can't be written ({}); it is tried again", status.message)),
        error => otherwise(format!("Secret {name:?} can't be written ({error}); it is tried again")),
    }
}

/// Says why a Secret can't be written; what can't be stored is not asked for.
pub fn cannot_store(pass: &mut Pass<'_>, seen: &Observation, error: Error) -> Result<(), Error> {
    let name = seen.object.secret_name();
    match error {
        Error::ForeignSecret { detail, .. } => {
            let message = format!(
                "Secret {name:?} belongs to somebody else ({detail}): choose another spec.credentialsSecret.name, or remove that Secret"
            );
            pass.moment = Some(Moment::Stalled(Reason::Conflict, message));
        }
        Error::Kubernetes { source, .. } if matches!(&*source, kube::Error::Api(_)) => {
            let published = publication(&pass.status) != Publication::Never;
            pass.moment =
                Some(not_writable(
                    seen,
                    &source,
                    |message| {
                        if published { Moment::SecretMissing(message) } else { Moment::Creating(message) }
                    },
                ));
        }
        error => return Err(error),
    }
    pass.again = Again::Backoff;
    Ok(())
}

/// Stores a credential that was issued under the intent, and writes down that the intent is met.
pub async fn publish(pass: &mut Pass<'_>, seen: &Observation, credential: &Credential, freshness: Freshness) -> Result<(), Error> {
    if pass.rotates_unseen() {
        return rotation_store::store(pass, seen, credential, freshness).await;
    }
    match write(pass, seen, credential, Attempt::Real).await {
        Ok(_) => {}
        Err(Error::ForeignSecret { name, detail }) => {
            let message = format!(
                "Secret {name:?} belongs to somebody else ({detail}): remove it; the issued credential waits in memory for its place"
            );
            pass.moment = Some(Moment::Stalled(Reason::Conflict, message));
            pass.again = Again::Backoff;
            return Ok(());
        }
        Err(error @ Error::Superseded { .. }) => {
            let created = pass.status.intent.as_ref().is_some_and(|intent| intent.operation == IntentOperation::Create);
            let surplus = created.then(|| credential.client_id.clone());
            pass.remember(|memory| {
                memory.held = None;
                memory.surplus = surplus.or(memory.surplus.take());
            });
            return Err(error);
        }
        Err(error) => return Err(error),
    }
    finish(pass, seen, credential, seen.object.secret_name(), freshness).await?;
    let note = format!(
        "Secret {:?} now holds revision {} of the credential of client {}",
        seen.object.secret_name(),
        credential.revision,
        credential.client_id
    );
    pass.event(EventType::Normal, "CredentialPublished", &note).await;
    Ok(())
}

/// Writes down that the Secret holds the credential of the intent.
pub async fn finish(
    pass: &mut Pass<'_>,
    seen: &Observation,
    credential: &Credential,
    name: &str,
    freshness: Freshness,
) -> Result<(), Error> {
    if pass.rotates_unseen() {
        return rotation_store::finish(pass, seen, credential, freshness).await;
    }
    let recovered = pass.status.intent.as_ref().is_some_and(|intent| intent.attempt > 1);
    let name = name.to_owned();
    let recorded = match &seen.organization {
        Organization::Ready(_, session) => {
            Some(RecordedOrganization { name: seen.object.spec.organization_ref.name.clone(), id: session.organization_id.clone() })
        }
        _ => None,
    };
    let (grant, public) = (seen.object.spec.grant_type, seen.object.spec.public_client);
    let revision = credential.revision;
    let published_id = credential.client_id.clone();
    let former = seen.former_secret.as_ref().map(|found| found.credential.revision);
    let remove_after = whole_second(seen.now.checked_add(FORMER_SECRET_KEPT).unwrap_or(seen.now));
    let published_at = whole_second(seen.now);
    pass.sight = Sight::Whole;
    pass.moment = None;
    let credential = credential.clone();
    let generation = seen.object.metadata.generation;
    pass.commit_outcome(move |status| {
        let former_client = status.client_id.replace(credential.client_id.clone());
        let another = former_client.as_ref() != Some(&credential.client_id);
        if status.revision.is_none() {
            // Nothing runs with an older credential: a first publish restarts nothing.
            status.carried_revision = Some(credential.revision);
        }
        status.nonce = credential.nonce.clone().or_else(|| status.nonce.take().filter(|_| !another));
        regenerated(status, published_at);
        status.revision = Some(credential.revision);
        // What is published is in service again, whatever was planned for it.
        status.retiring.retain(|retiring| retiring.client_id != credential.client_id);
        status.issued_at = credential.issued_at;
        status.intent = None;
        if status.organization.is_none() {
            status.organization.clone_from(&recorded);
        }
        status.grant_type.get_or_insert(grant);
        status.public_client.get_or_insert(public);
        status.binding = Some(Binding { name: name.clone() });
        if let Some(effective) = &mut status.effective {
            if effective.secret_name != name && former.is_some() {
                status.former_secrets.push(FormerSecret { name: effective.secret_name.clone(), remove_after });
            }
            effective.secret_name.clone_from(&name);
        }
        status.former_secrets.retain(|former| former.name != name);
        if another {
            status.verified_revision = None;
            status.applied_state = Some(DesiredState::Active);
            (status.drift, status.platform_deletion_at) = (vec![], None);
            status.synced_generation = if freshness == Freshness::AsDeclared { generation } else { None };
        }
        if let Some(nonce) = credential.nonce.clone().filter(|nonce| !status.issued_nonces.contains(nonce)) {
            status.issued_nonces.push(nonce);
        }
    })
    .await?;
    // Only now: until the outcome is written down, a lost Secret must still be looked for with care.
    let instant = Instant::now();
    let window = seen.times.window;
    pass.remember(|memory| {
        memory.held = None;
        memory.lost_call = None;
        memory.missing_since = None;
        memory.gone = None;
        memory.refuted = None;
        memory.refused_since = None;
        memory.undecided_since = None;
        memory.surplus = memory.surplus.take().filter(|id| *id != published_id);
        memory.published = Some((revision, instant));
        memory.verify_again = recovered.then(|| instant + window);
    });
    Ok(())
}

/// A rotation that resets the secret has published its credential with this write; what follows is brought to it next.
fn regenerated(status: &mut GenesysOAuthClientStatus, now: jiff::Timestamp) {
    let Some(rotation) = &mut status.rotation else { return };
    rotation.issued_by = None;
    if let Some(current) = rotation.current.as_mut().filter(|current| current.strategy == RotationStrategy::Regenerate) {
        current.step = RotationStep::RollingOut;
        current.published_at = Some(now);
        rotation.issued_by = Some(IssuedBy::Rotation);
    }
}

/// Copies a credential that is stored elsewhere into the Secret that workloads read. False: it could not be, and a person sees why.
pub async fn copy(pass: &mut Pass<'_>, seen: &Observation, credential: &Credential) -> Result<bool, Error> {
    match write(pass, seen, credential, Attempt::Real).await {
        Ok(_) => return Ok(true),
        Err(Error::ForeignSecret { name, detail }) => {
            pass.moment = Some(Moment::Stalled(
                Reason::Conflict,
                format!("Secret {name:?} belongs to somebody else ({detail}): choose another name, or remove it"),
            ));
        }
        Err(Error::Kubernetes { source, .. }) if matches!(&*source, kube::Error::Api(_)) => {
            let mut said = String::new();
            let moment = not_writable(seen, &source, |message| {
                said.clone_from(&message);
                Moment::Updating(Delay::None, message)
            });
            pass.moment = matches!(moment, Moment::Stalled(..)).then_some(moment);
            pass.note(said);
        }
        Err(error) => return Err(error),
    }
    pass.again = Again::Backoff;
    Ok(false)
}

/// Writes the Secret again at its revision: labels, keys, a new name.
pub async fn store_again(pass: &mut Pass<'_>, seen: &Observation, credential: &Credential) -> Result<(), Error> {
    let written = match write(pass, seen, credential, Attempt::Real).await {
        Err(Error::ForeignSecret { name, detail }) => {
            pass.moment = Some(Moment::Stalled(
                Reason::Conflict,
                format!("Secret {name:?} belongs to somebody else ({detail}): choose another name, or remove it"),
            ));
            pass.again = Again::Backoff;
            return Ok(());
        }
        Err(Error::Kubernetes { source, .. }) if matches!(&*source, kube::Error::Api(_)) => {
            pass.moment = Some(not_writable(seen, &source, |message| Moment::Updating(Delay::None, message)));
            pass.again = Again::Backoff;
            return Ok(());
        }
        result => result?,
    };
    let name = seen.object.secret_name().to_owned();
    if let Some(effective) = &mut pass.status.effective
        && effective.secret_name != name
    {
        if seen.former_secret.is_some() {
            let remove_after = whole_second(seen.now + FORMER_SECRET_KEPT);
            pass.status.former_secrets.push(FormerSecret { name: effective.secret_name.clone(), remove_after });
        }
        effective.secret_name.clone_from(&name);
    }
    pass.status.former_secrets.retain(|former| former.name != name);
    if pass.status.former_secrets.len() > MOST_FORMER_SECRETS {
        // The oldest goes before its time, so that none is forgotten.
        drop_former(pass, seen, jiff::Timestamp::MAX, 1).await?;
    }
    pass.status.binding = Some(Binding { name: name.clone() });
    // What was refused was what stood there before; what comes from the rotation Secret in its place is proven once.
    let restored = seen.rotation.is_some() && matches!(&seen.secret, SecretView::Ours(found) if !found.intact);
    let instant = Instant::now();
    pass.remember(|memory| {
        memory.verify_again = restored.then_some(instant).or(memory.verify_again);
        memory.refuted = memory.refuted.filter(|_| written == Written::AsItWas);
        memory.refused_since = memory.refused_since.filter(|_| written == Written::AsItWas);
    });
    if written != Written::AsItWas {
        pass.event(EventType::Normal, "SecretWritten", &format!("Secret {name:?} was written again at revision {}", credential.revision))
            .await;
    }
    Ok(())
}

/// Removes the Secrets of former names whose time has come, at most so many, if they are still ours.
pub async fn drop_former(pass: &mut Pass<'_>, seen: &Observation, now: jiff::Timestamp, most: usize) -> Result<(), Error> {
    let api = secrets(&pass.context.client, &seen.ownership.namespace);
    let due: Vec<_> = pass.status.former_secrets.iter().filter(|former| former.remove_after <= now).take(most).cloned().collect();
    for former in due {
        if let Some(live) = api.get_opt(&former.name).await.during("reading the former Secret")?
            && matches!(secret::read(&live, &seen.ownership), Found::Ours(_))
            && former.name != seen.object.secret_name()
        {
            delete_secret(&api, &live).await?;
        }
        pass.status.former_secrets.retain(|other| *other != former);
    }
    Ok(())
}
