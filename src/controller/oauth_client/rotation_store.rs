//! Keeps the rotation Secret (talks to the network): both credentials of a rotation, by the rules of every Secret of ours. Publishes nothing.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, runtime::events::EventType};
use tokio::time::Instant;

use super::{
    observation::{Observation, current_rotation},
    pass::Pass,
    plan::Again,
    publish::Freshness,
    secret_write::{self, Attempt},
};
use crate::{
    api::oauth_client::rotation_status::RotationStep,
    controller::{
        error::{During as _, Error},
        kubernetes::{delete_secret, secrets},
    },
    secret::{
        Credential, Ownership,
        rotation::{ROTATION_SUFFIX, RotationSecret, build_rotation, read_rotation},
    },
};

/// The name of the rotation Secret: as the rotation under way recorded it, else as the next one would.
#[must_use]
pub fn name(pass: &Pass<'_>) -> String {
    let recorded = current_rotation(&pass.status).and_then(|current| current.secret_name.clone());
    recorded.unwrap_or_else(|| format!("{}{ROTATION_SUFFIX}", pass.object.secret_name()))
}

/// Reads a rotation Secret, if it is there and ours.
pub async fn read(api: &Api<Secret>, name: &str, owner: &Ownership) -> Result<Option<Box<RotationSecret>>, Error> {
    let found = api.get_opt(name).await.during("reading the rotation Secret")?;
    Ok(found.and_then(|secret| read_rotation(&secret, owner).ok()).map(Box::new))
}

/// Tries on the server whether the rotation Secret could be written.
pub async fn try_write(pass: &Pass<'_>, seen: &Observation, revision: i64) -> Result<(), Error> {
    let placeholder = Credential {
        client_id: "00000000-0000-0000-0000-000000000000".into(),
        client_secret: Some("dry-run".to_owned().into()),
        revision,
        issued_at: None,
        nonce: None,
    };
    write(pass, seen, &placeholder, None, Attempt::DryRun).await
}

async fn write(pass: &Pass<'_>, seen: &Observation, next: &Credential, former: Option<&Credential>, attempt: Attempt) -> Result<(), Error> {
    let api = secrets(&pass.context.client, &seen.ownership.namespace);
    let name = name(pass);
    let revision_in = |live: &Secret| read_rotation(live, &seen.ownership).map(|found| found.next.credential.revision);
    let build = |live: Option<&Secret>| build_rotation(live, &name, &seen.ownership, next, former);
    secret_write::write(&api, &name, attempt, next.revision, revision_in, build).await.map(drop)
}

/// Writes both credentials of the rotation.
pub async fn store_both(pass: &Pass<'_>, seen: &Observation, next: &Credential, former: Option<&Credential>) -> Result<(), Error> {
    write(pass, seen, next, former, Attempt::Real).await
}

/// Stores a credential that was issued under the intent of a rotation, and writes down that the intent is met.
pub async fn store(pass: &mut Pass<'_>, seen: &Observation, credential: &Credential, freshness: Freshness) -> Result<(), Error> {
    let former = pass.status.client_id.as_deref().and_then(|id| seen.credential_of(id));
    match store_both(pass, seen, credential, former.as_ref()).await {
        Ok(()) => {}
        Err(Error::ForeignSecret { name, detail }) => {
            pass.note(format!(
                "Secret {name:?} belongs to somebody else ({detail}): remove it; the issued credential waits in memory for its place"
            ));
            pass.again = Again::Backoff;
            return Ok(());
        }
        Err(error @ Error::Superseded { .. }) => {
            let surplus = credential.client_id.clone();
            pass.remember(|memory| {
                memory.held = None;
                memory.surplus = Some(surplus);
            });
            return Err(error);
        }
        Err(error) => return Err(error),
    }
    finish(pass, seen, credential, freshness).await
}

/// Writes down that the rotation Secret holds the credential of the intent.
pub async fn finish(pass: &mut Pass<'_>, seen: &Observation, credential: &Credential, freshness: Freshness) -> Result<(), Error> {
    let generation = seen.object.metadata.generation;
    let recovered = pass.status.intent.as_ref().is_some_and(|intent| intent.attempt > 1);
    let stored = credential.clone();
    pass.moment = None;
    pass.commit_outcome(move |status| {
        status.intent = None;
        let Some(current) = status.rotation.as_mut().and_then(|rotation| rotation.current.as_mut()) else { return };
        current.step = RotationStep::Verifying;
        current.client_id = Some(stored.client_id.clone());
        current.nonce.clone_from(&stored.nonce);
        current.revision = Some(stored.revision);
        current.issued_at = stored.issued_at;
        current.synced_generation = generation.filter(|_| freshness == Freshness::AsDeclared);
    })
    .await?;
    let now = Instant::now();
    pass.remember(|memory| {
        memory.held = None;
        memory.lost_call = None;
        memory.refused_since = None;
        memory.undecided_since = None;
        memory.surplus = memory.surplus.take().filter(|id| *id != credential.client_id);
        memory.next_known = Some((credential.revision, now));
        memory.next_ambiguous = recovered;
    });
    pass.again = Again::After(seen.times.roles);
    Ok(())
}

/// Removes the rotation Secret, if it is there and ours.
pub async fn remove(pass: &Pass<'_>, seen: &Observation) -> Result<(), Error> {
    let api = secrets(&pass.context.client, &seen.ownership.namespace);
    let Some(live) = api.get_opt(&name(pass)).await.during("reading the rotation Secret")? else { return Ok(()) };
    if read_rotation(&live, &seen.ownership).is_err() {
        return Ok(());
    }
    delete_secret(&api, &live).await
}

/// Removes a rotation Secret that no rotation needs.
pub async fn remove_leftover(pass: &mut Pass<'_>, seen: &Observation) -> Result<(), Error> {
    remove(pass, seen).await?;
    pass.event(EventType::Normal, "SecretRemoved", &format!("removed Secret {:?}, which no rotation needs", name(pass))).await;
    Ok(())
}
