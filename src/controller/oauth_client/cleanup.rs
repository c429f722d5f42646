//! The end of an object (talks to the network): its clients and Secrets go as `deletionPolicy` says, then the finalizer. Ignores suspend, access and rules of the object; never hangs in silence.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{Patch, PatchParams},
    runtime::controller::Action,
    runtime::events::EventType,
};
use serde_json::json;
use tokio::time::Instant;

use super::{
    moments::HANDED_OVER,
    observation::{Organization, Readiness, known_ids, readiness},
    observe, observe_platform,
    pass::Pass,
    plan::Again,
    reconcile::finish,
    retire::{inactivate, inactivate_and_delete},
    rotation_store,
    status::Moment,
};
use crate::{
    api::{FIELD_MANAGER, FINALIZER, LET_GO_ANNOTATION, condition::Reason, oauth_client::DeletionPolicy},
    controller::{
        error::{During as _, Error},
        kubernetes::{delete_secret, remove_finalizer, secrets},
        memory::Circumstances,
        sessions::{Session, Standing},
    },
    genesys::{self, Class, ErrorClass, Work},
    marker::{Owner, without_marker},
    secret::{self, Credential, Found, Ownership, rotation::read_rotation},
};

/// How long an organization must have refused everything until the let-go annotation counts while it exists.
const REFUSED_LONG_ENOUGH: Duration = Duration::from_secs(3600);

/// What stands between an object and its end.
enum Obstacle {
    /// A while.
    Wait(Duration, String),
    /// A person; says what the let-go annotation needs to count.
    Blocked(String, WayOut),
    /// The platform's answer.
    Platform(genesys::Error),
}

/// What must hold for the let-go annotation to count.
#[derive(Clone, Copy)]
enum WayOut {
    /// Nothing: it counts now.
    Now,
    /// An hour in which the organization answers nothing but refusals.
    AfterAnHour,
    /// The organization must be suspended first.
    Suspend,
}

impl WayOut {
    fn words(self) -> String {
        let annotate = format!("annotate it with {LET_GO_ANNOTATION}=true");
        match self {
            Self::Now => format!("to delete the object without its client, {annotate}"),
            Self::AfterAnHour => format!(
                "to delete the object without its client, {annotate}, which counts after an hour of refusals, or at once while the organization is suspended"
            ),
            Self::Suspend => format!("to delete the object without its client, suspend the organization and {annotate}"),
        }
    }
}

/// One pass over an object that is being deleted.
pub async fn cleanup(pass: &mut Pass<'_>) -> Result<Action, Error> {
    let object = pass.object.clone();
    if !object.finalizers().iter().any(|name| name == FINALIZER) {
        return Ok(Action::await_change());
    }
    let organization = observe::organization(pass.context, &object.spec.organization_ref.name).await?;
    let organization = match organization {
        Organization::Ready(organization, session) => {
            let work = Work::new(Class::Delete, &object.namespace().unwrap_or_default());
            Organization::Ready(organization, session.for_work(work))
        }
        other => other,
    };
    if matches!(organization, Organization::NotOurs) {
        return Ok(Action::requeue(pass.context.settings.resync_interval.as_duration()));
    }
    let circumstances = circumstances(pass, &organization);
    if let Some(left) = pass.remember(|memory| memory.held_back(&circumstances, Instant::now())) {
        return Ok(Action::requeue(left));
    }
    let (owner, ownership) = observe::identity(pass.context, &object);
    let obstacle = match remove_clients(pass, &organization, &owner, &ownership).await? {
        Ok(()) => {
            end_secrets(pass, &ownership).await?;
            return let_object_go(pass).await;
        }
        Err(obstacle) => obstacle,
    };
    if let Some(ids) = may_let_go(pass, &organization, &obstacle) {
        let note = format!("let go without deleting: {}", if ids.is_empty() { "no client".to_owned() } else { ids.join(", ") });
        tracing::warn!(target: "audit", clients = ids.join(","), "a person let the object go");
        pass.event(EventType::Warning, "LetGo", &note).await;
        end_secrets(pass, &ownership).await?;
        return let_object_go(pass).await;
    }
    show(pass, obstacle);
    finish(pass, &circumstances).await
}

fn circumstances(pass: &Pass<'_>, organization: &Organization) -> Circumstances {
    let version = match (organization, pass.context.sessions.standing(&pass.object.spec.organization_ref.name)) {
        (Organization::Ready(organization, session), _) => (session.version, organization.uid(), organization.metadata.generation),
        (Organization::NotReady(_, organization), Standing::NotReady { version, .. }) => (version, None, organization.metadata.generation),
        (_, Standing::NotReady { version, .. }) => (version, None, None),
        _ => (0, None, None),
    };
    Circumstances {
        generation: pass.object.metadata.generation,
        deleting: true,
        let_go: pass.object.annotations().get(LET_GO_ANNOTATION).is_some_and(|value| value == "true"),
        organization: version,
        ..Circumstances::default()
    }
}

fn show(pass: &mut Pass<'_>, obstacle: Obstacle) {
    let blocked = |message: String, way: WayOut| (Some(Moment::DeletionBlocked(format!("{message}; {}", way.words()))), Again::Backoff);
    (pass.moment, pass.again) = match obstacle {
        Obstacle::Wait(wait, message) => (Some(Moment::Deleting(message)), Again::After(wait)),
        Obstacle::Blocked(message, way) => blocked(message, way),
        Obstacle::Platform(error) => match error.class() {
            ErrorClass::Withheld => (Some(Moment::HandedOver), Again::After(HANDED_OVER)),
            ErrorClass::Throttled | ErrorClass::Unavailable => (
                Some(Moment::Deleting(format!("the platform can't be worked now: {}", error.cause()))),
                error.retry_after().map_or(Again::Backoff, Again::After),
            ),
            _ => {
                let named = error.missing_permissions().map(|names| format!(" (grant {})", names.join(", "))).unwrap_or_default();
                let way = if refuses(&error) { WayOut::AfterAnHour } else { WayOut::Suspend };
                blocked(format!("the platform refuses the deletion: {}{named}", error.cause()), way)
            }
        },
    };
}

/// Whether an answer counts towards the hour after which a person may let go.
fn refuses(error: &genesys::Error) -> bool {
    match error {
        genesys::Error::Refused(error) => matches!(error.status, 401 | 403),
        genesys::Error::Unknown { status, .. } => status.is_none_or(|status| status >= 500),
        genesys::Error::NotSent { .. } | genesys::Error::PlatformDown(_) | genesys::Error::Credential(_) => true,
        genesys::Error::BudgetExhausted { .. } | genesys::Error::Withheld(_) => false,
    }
}

/// The clients that a person lets go, if the annotation counts now: the organization is absent, suspended, or has refused everything for an hour.
fn may_let_go(pass: &Pass<'_>, organization: &Organization, obstacle: &Obstacle) -> Option<Vec<String>> {
    let refusing = match (obstacle, organization) {
        (Obstacle::Platform(error), _) => refuses(error),
        (Obstacle::Blocked(..), Organization::NotReady(..)) => true,
        _ => false,
    };
    let now = Instant::now();
    let since = pass.remember(|memory| {
        if matches!(obstacle, Obstacle::Platform(genesys::Error::Withheld(_))) {
            return memory.deletion_refused_since;
        }
        memory.deletion_refused_since = if refusing { memory.deletion_refused_since.or(Some(now)) } else { None };
        memory.deletion_refused_since
    });
    let asked = pass.object.annotations().get(LET_GO_ANNOTATION).is_some_and(|value| value == "true");
    let unusable = match organization {
        Organization::Absent => true,
        Organization::Ready(organization, _) | Organization::NotReady(_, organization) => organization.spec.suspend,
        _ => false,
    };
    let counts = unusable || since.is_some_and(|since| now.duration_since(since) >= REFUSED_LONG_ENOUGH);
    (asked && counts).then(|| known_ids(&pass.status).into_iter().collect())
}

/// Where the status was lost, the object's own Secret still tells the nonce of its client's marker.
async fn take_back(pass: &mut Pass<'_>, ownership: &Ownership) -> Result<(), Error> {
    if pass.status.client_id.is_some() || !pass.status.issued_nonces.is_empty() {
        return Ok(());
    }
    if let Some(nonce) = held(pass, ownership).await?.and_then(|credential| credential.nonce) {
        pass.status.issued_nonces.push(nonce);
        pass.commit_step().await?;
    }
    Ok(())
}

/// Removes or releases every client of the object.
async fn remove_clients(
    pass: &mut Pass<'_>,
    organization: &Organization,
    owner: &Owner,
    ownership: &Ownership,
) -> Result<Result<(), Obstacle>, Error> {
    take_back(pass, ownership).await?;
    let status = pass.status.clone();
    let name = pass.object.spec.organization_ref.name.clone();
    if status.client_id.is_none() && status.intent.is_none() && status.issued_nonces.is_empty() && status.retiring.is_empty() {
        // No call that could have made a client was ever prepared.
        return Ok(Ok(()));
    }
    let session = match organization {
        Organization::Absent => {
            return Ok(Err(Obstacle::Blocked(
                format!("GenesysOrganization {name:?} does not exist, so the client can't be deleted: create it again"),
                WayOut::Now,
            )));
        }
        Organization::NotReady(_, organization) if organization.spec.suspend => {
            return Ok(Err(Obstacle::Blocked(
                format!("GenesysOrganization {name:?} is suspended: the client is deleted when it is not"),
                WayOut::Now,
            )));
        }
        Organization::NotReady(why, _) => {
            return Ok(Err(Obstacle::Blocked(
                format!("GenesysOrganization {name:?} is not ready, so the client can't be deleted now ({why})"),
                WayOut::AfterAnHour,
            )));
        }
        Organization::Ready(organization, _) if organization.spec.suspend => {
            return Ok(Err(Obstacle::Blocked(
                format!("GenesysOrganization {name:?} is suspended: the client is deleted when it is not"),
                WayOut::Now,
            )));
        }
        Organization::Ready(_, session) => session.clone(),
        _ => return Ok(Err(Obstacle::Wait(Duration::from_millis(300), "waiting for the organization".to_owned()))),
    };
    if let Some(recorded) = status.organization.as_ref().filter(|recorded| recorded.id != session.organization_id) {
        let message = format!(
            "GenesysOrganization {name:?} now logs in to another organization than {}, to which the client belongs: give it a credential of that one",
            recorded.id
        );
        return Ok(Err(Obstacle::Blocked(message, WayOut::Suspend)));
    }
    let now = Instant::now();
    let times = observe::times(pass.context, &pass.object);
    let memory = pass.remember(|memory| {
        if let Some(intent) = &status.intent {
            memory.first_sight(&intent.epoch, intent.attempt, now);
        }
        memory.clone()
    });
    let earliest = match readiness(&pass.object, &memory, &pass.context.epoch, &times, now) {
        Readiness::None => now,
        Readiness::Open(earliest) => earliest,
        Readiness::Waits(until) => {
            let message = "a call whose outcome is not known may still make a client: waiting until a scan must show it".to_owned();
            return Ok(Err(Obstacle::Wait(until.saturating_duration_since(now), message)));
        }
    };
    if !pass.shows(Reason::Deleting) {
        pass.moment = Some(Moment::Deleting("the client is being removed from the platform".to_owned()));
        pass.commit_step().await?;
    }
    // Status does not name it where a pass ended before it could, or where status was lost.
    let held = match pass.status.client_id {
        Some(_) => None,
        None => held(pass, ownership).await?.map(|credential| credential.client_id).filter(|id| !id.is_empty()),
    };
    Ok(release_all(pass, &session, owner, earliest, held).await.map_err(Obstacle::Platform))
}

/// The credential that workloads read, where the object's own Secret holds it whole.
async fn held(pass: &Pass<'_>, ownership: &Ownership) -> Result<Option<Credential>, Error> {
    let live = secrets(&pass.context.client, &ownership.namespace).get_opt(pass.object.secret_name()).await.during("reading the Secret")?;
    Ok(match live.map(|live| secret::read(&live, ownership)) {
        Some(Found::Ours(found)) if found.intact => Some(found.credential),
        _ => None,
    })
}

async fn release_all(
    pass: &Pass<'_>,
    session: &Arc<Session>,
    owner: &Owner,
    earliest: Instant,
    held: Option<String>,
) -> Result<(), genesys::Error> {
    let status = &pass.status;
    let snapshot = session.survey.index(session.scanner.begun_at_or_after(earliest).await?);
    let mut ids: BTreeSet<String> = known_ids(status);
    let ours = observe_platform::relatives(&snapshot, owner).into_iter().filter(|relative| status.issued_nonces.contains(&relative.nonce));
    ids.extend(ours.map(|relative| relative.client.id));
    let policy = pass.object.effective_deletion_policy();
    let window = pass.context.settings.consistency_window.as_duration();
    let young = pass.remember(|memory| memory.own_write).is_some_and(|write| write.elapsed() < window);
    for id in ids.into_iter().filter(|id| id != session.own_client_id()) {
        // For a client that goes, what the scan just showed will do; one that stays is read, so that nothing of it is put back.
        let shown = snapshot.get(&id).map(|(client, _)| client).filter(|_| policy == DeletionPolicy::Delete);
        let client = match shown {
            Some(client) => client.clone(),
            None => match session.platform.get_client(&id).await {
                // A client that was created just now may be missing from a read: then the deletion waits.
                Err(error) if error.is_not_found() && !young => continue,
                result => result?,
            },
        };
        let marker = client.description.as_deref().and_then(crate::marker::Marker::parse);
        if marker.as_ref().is_some_and(|marker| marker.owner != *owner) {
            // Somebody else's by now.
            continue;
        }
        // One whose adoption was not finished is no surplus: it was there before.
        let adopted = pass.object.spec.adopt.as_ref().map(|adopt| &adopt.client_id);
        let published = status.client_id.as_ref().or(held.as_ref()).or(adopted) == Some(&id);
        let outcome = match policy {
            DeletionPolicy::Delete => inactivate_and_delete(session, &client).await.map(|()| "deleted"),
            _ if !published => inactivate_and_delete(session, &client).await.map(|()| "deleted"),
            DeletionPolicy::Deactivate => inactivate(session, &client).await.map(|()| "made inactive and kept"),
            DeletionPolicy::Orphan => release(session, &client).await.map(|()| "kept, without its marker"),
        };
        match outcome {
            Ok(done) => {
                pass.event(EventType::Normal, "ClientReleased", &format!("client {id} was {done}")).await;
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Removes the marker from a client that is let go.
async fn release(session: &Session, client: &genesys::OAuthClient) -> Result<(), genesys::Error> {
    let description = client.description.as_deref().unwrap_or_default();
    let without = without_marker(description);
    if without == description {
        return Ok(());
    }
    let mut body = client.members();
    body.insert("description".to_owned(), json!(without));
    session.platform.update_client(&client.id, body.into()).await.map(drop)
}

/// Removes the object's Secrets; under Orphan they only lose their owner.
async fn end_secrets(pass: &Pass<'_>, ownership: &Ownership) -> Result<(), Error> {
    let api = secrets(&pass.context.client, &ownership.namespace);
    let status = &pass.status;
    end_rotation_secret(pass, ownership, &api).await?;
    let names: BTreeSet<String> =
        [Some(pass.object.secret_name().to_owned()), status.effective.as_ref().map(|effective| effective.secret_name.clone())]
            .into_iter()
            .flatten()
            .chain(status.former_secrets.iter().map(|former| former.name.clone()))
            .filter(|name| !name.is_empty())
            .collect();
    // The Secret that spec names, if it is there; a rename may not have come that far.
    let spec_name = pass.object.secret_name();
    let present = api.get_opt(spec_name).await.during("reading the Secret")?;
    let in_place = present.is_some_and(|live| matches!(secret::read(&live, ownership), Found::Ours(_)));
    let current = match &status.effective {
        Some(effective) if !in_place => effective.secret_name.clone(),
        _ => spec_name.to_owned(),
    };
    for name in names {
        let Some(live) = api.get_opt(&name).await.during("reading the Secret")? else { continue };
        let known = known_ids(status);
        let published = match secret::read(&live, ownership) {
            Found::Ours(published) => published,
            Found::Former(published) if known.contains(&published.credential.client_id) => published,
            _ => continue,
        };
        let main = name == current;
        if pass.object.effective_deletion_policy() == DeletionPolicy::Orphan && main {
            let others: Vec<_> = published
                .secret
                .metadata
                .owner_references
                .iter()
                .flatten()
                .filter(|reference| reference.uid != ownership.uid)
                .cloned()
                .collect();
            let patch = json!({ "metadata": { "ownerReferences": others, "resourceVersion": published.resource_version } });
            let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
            match api.patch(&name, &parameters, &Patch::Merge(patch)).await {
                Err(error) if crate::controller::error::is_conflict(&error) => return Err(Error::Stale),
                result => result.map(drop).during("dropping the owner of the Secret")?,
            }
        } else {
            delete_secret(&api, &live).await?;
        }
    }
    Ok(())
}

/// The rotation Secret goes whatever the policy says: nobody reads it but the operator.
async fn end_rotation_secret(pass: &Pass<'_>, ownership: &Ownership, api: &Api<Secret>) -> Result<(), Error> {
    if let Some(live) = api.get_opt(&rotation_store::name(pass)).await.during("reading the rotation Secret")?
        && read_rotation(&live, ownership).is_ok()
    {
        delete_secret(api, &live).await?;
    }
    Ok(())
}

async fn let_object_go(pass: &Pass<'_>) -> Result<Action, Error> {
    let version = remove_finalizer(&pass.api, &pass.object).await?;
    pass.context.memory.depart(&pass.uid(), version, Instant::now());
    tracing::info!(uid = pass.object.meta().uid, "the object's clients and Secrets are dealt with; it is gone");
    Ok(Action::await_change())
}
