//! Looks at the platform (talks to the network), where something can have changed, and at what the rotation is to do. Changes nothing there.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use tokio::time::Instant;

use super::{
    class, look,
    observation::{ClientView, Observation, Organization, Readiness, Relative, SecretView, current_rotation, readiness},
    observe::{Live, Near, times},
    observe_adoption,
    timetable::{self, Rank, Requests, Timetable, Turn},
    validate::{self, Circle, Declared, Refusal},
};
use crate::{
    api::{
        GenesysOAuthClient, GenesysOrganization,
        oauth_client::{IntentOperation, rotation_status::Trigger},
    },
    controller::{
        context::Context,
        fleet::Candidate,
        memory::Circumstances,
        sessions::Session,
        snapshot::{Listed, Sight, Snapshot},
    },
    genesys::{self, ErrorClass, Resolved, RoleRequest},
    marker::{Marker, Owner},
    secret::Found,
};

/// Longer than any id of a client.
const LONGEST_ID: usize = 64;

/// Whether a rotation that is wished may start now.
fn turn(context: &Context, seen: &Observation) -> Turn {
    let uid = seen.ownership.uid.as_str();
    let Some(wish) = &seen.timetable.wish else {
        if seen.current().is_none_or(|current| !current.takes_a_place()) {
            context.fleet.leave(uid);
        }
        return Turn::NotAsked;
    };
    if wish.trigger == Trigger::Emergency {
        return Turn::Granted;
    }
    if !super::decide::rotate::could_begin(&seen.object) {
        context.fleet.leave(uid);
        return Turn::NotAsked;
    }
    let Some(applied) = seen.policy.applied() else { return Turn::Granted };
    let most = applied.policy.max_concurrent as usize * if matches!(wish.rank, Rank::Urgent(_)) { 2 } else { 1 };
    context.fleet.claim(&Candidate { policy: &applied.key, uid, rank: wish.rank, most: most.max(1) }, seen.instant)
}

/// Looks at the platform too, where the decision needs it.
pub async fn far(context: &Context, near: Near) -> Observation {
    let object = near.object.clone();
    let uid = object.uid().unwrap_or_default();
    let instant = Instant::now();
    let memory = context.memory.remember(&uid, |memory| {
        if let Some(intent) = object.status.as_ref().and_then(|status| status.intent.as_ref()) {
            memory.first_sight(&intent.epoch, intent.attempt, instant);
        }
        if let Some(revision) = object.status.as_ref().and_then(|status| status.revision)
            && memory.published.is_none_or(|(known, _)| known != revision)
        {
            memory.published = Some((revision, instant));
        }
        if let Some(revision) = object.status.as_ref().and_then(current_rotation).and_then(|current| current.revision)
            && memory.next_known.is_none_or(|(known, _)| known != revision)
        {
            memory.next_known = Some((revision, instant));
        }
        memory.looked_for_rotation = near.rotation.is_none();
        let told = object.status.as_ref().and_then(|status| status.unheeded_write);
        memory.unheeded = memory.unheeded.or(told.map(|write| (write.generation, write.modified_at)));
        memory.clone()
    });
    let mut seen = Observation {
        owner: near.owner,
        ownership: near.ownership,
        memory,
        now: match &near.organization {
            Organization::Ready(_, session) => session.platform.now().unwrap_or_else(|| context.now()),
            _ => context.now(),
        },
        instant,
        times: times(context, &object),
        epoch: context.epoch.clone(),
        local: near.local,
        organization: near.organization,
        secret: SecretView::Absent,
        former_secret: near.former_secret,
        rotation: near.rotation,
        policy: near.policy,
        requests: Requests::default(),
        timetable: Timetable::default(),
        turn: Turn::NotAsked,
        namespace_labels: near.namespace_labels,
        declared: None,
        client: ClientView::NotRead,
        listed: Listed::NotTold,
        comparison: None,
        held: None,
        scanned_for: None,
        marked: BTreeMap::new(),
        scan_after: None,
        family: None,
        adoption: None,
        taken_over: None,
        failed: None,
        object,
    };
    let identity = format!("{}/{}", seen.ownership.namespace, seen.ownership.name);
    seen.requests = timetable::requests(seen.object.annotations(), &seen.status());
    seen.timetable = timetable::timetable(&seen.object, &seen.policy, &seen.requests, &identity, seen.now);
    if matches!(seen.organization, Organization::Ready(..)) && !seen.object.spec.suspend {
        seen.turn = turn(context, &seen);
    }
    seen.work_as(class::before_the_plan(&seen), &context.memory);
    let session = match &seen.organization {
        Organization::Ready(_, session) => Some(session.clone()),
        _ => None,
    };
    let adopted_secret = near.adopted_secret;
    match resolve_secret(near.secret, session.as_deref(), &mut seen).await {
        Ok(secret) => seen.secret = secret,
        Err(error) => seen.failed = Some(error),
    }
    if let Some(session) = session
        && seen.failed.is_none()
        && let Err(error) = ask_platform(context, &session, &near.circumstances, &mut seen).await
    {
        seen.failed = Some(error);
    }
    if let (Organization::Ready(_, session), None) = (&seen.organization, &seen.failed) {
        let session = session.clone();
        match observe_adoption::look(context, &session, adopted_secret, &seen).await {
            Ok(adoption) => seen.adoption = adoption,
            Err(error) => seen.failed = Some(error),
        }
    }
    seen
}

/// From when on a scan serves before the first client of an object: objects that are declared together share one, since a list may lag by a window
/// anyway. One that was begun before the object was there may be older than a client of its predecessor of the same name. No clock but this
/// process's own tells when that was: the object's creation is by the API server's.
fn first_look_from(noticed: Option<Instant>, instant: Instant, window: Duration) -> Instant {
    let shared = instant.checked_sub(window / 2).unwrap_or(instant);
    noticed.unwrap_or(instant).max(shared)
}

/// Whose the Secret is. Its annotations are no authority: a client that only they name counts if it carries this object's marker.
async fn resolve_secret(found: Live, session: Option<&Session>, seen: &mut Observation) -> Result<SecretView, genesys::Error> {
    let (published, former) = match found {
        Live::Absent => return Ok(SecretView::Absent),
        Live::There(Found::Foreign(detail)) => return Ok(SecretView::Foreign(detail)),
        Live::There(Found::Ours(published)) => (published, false),
        Live::There(Found::Former(published)) => (published, true),
        Live::Offered(secret, credential) => return observe_adoption::offered(*secret, credential, session, seen).await,
    };
    let id = published.credential.client_id.clone();
    let Some(session) = session.filter(|_| seen.status().client_id.as_ref() != Some(&id) && !id.is_empty()) else {
        return Ok(SecretView::Ours(published));
    };
    let foreign = |why: &str| SecretView::Foreign(format!("it was written for a former object of this name, and its client {id} {why}"));
    let is_id = id.len() <= LONGEST_ID && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let (marked, why) = match session.platform.get_client(&id).await {
        _ if !is_id => (false, "is none that the platform could have"),
        Ok(client) => (mark(seen, &client), "does not carry this object's marker"),
        Err(error) if matches!(error.class(), ErrorClass::NotFound | ErrorClass::Rejected) => (false, "no longer exists"),
        Err(error) => return Err(error),
    };
    Ok(if former && !marked { foreign(why) } else { SecretView::Ours(published) })
}

/// Notes a client that was read, if it carries this object's marker.
fn mark(seen: &mut Observation, client: &genesys::OAuthClient) -> bool {
    let marker = client.description.as_deref().and_then(Marker::parse).filter(|marker| marker.owner == seen.owner);
    marker.map(|marker| seen.marked.insert(client.id.clone(), marker.nonce)).is_some()
}

async fn ask_platform(
    context: &Context,
    session: &Session,
    circumstances: &Circumstances,
    seen: &mut Observation,
) -> Result<(), genesys::Error> {
    let status = seen.status();
    let elsewhere = status.organization.as_ref().is_some_and(|recorded| recorded.id != session.organization_id);
    if status.intent.is_some() {
        let stored = [seen.former_secret.as_deref(), seen.rotation.as_ref().map(|rotation| &*rotation.next)];
        let ids: Vec<_> =
            stored.into_iter().flatten().map(|found| found.credential.client_id.clone()).filter(|id| !id.is_empty()).collect();
        for id in ids {
            if !seen.marked.contains_key(&id)
                && let Ok(client) = session.platform.get_client(&id).await
            {
                mark(seen, &client);
            }
        }
    }
    if elsewhere || matches!(seen.secret, SecretView::Foreign(_)) || super::decide::meets_intent(seen).is_some() {
        return Ok(());
    }
    let takes_back = seen.object.spec.adopt.is_some() || matches!(seen.secret, SecretView::Ours(_));
    if status.client_id.is_none() && status.intent.is_none() && !takes_back {
        // A look before a create that can't be made would be for nothing.
        session.platform.room()?;
    }
    let edited = status.synced_generation != seen.object.metadata.generation;
    look::at_snapshot(context, session, seen, &status).await?;
    let lost = status.revision.is_some() && super::decide::published(seen).is_none();
    let rotates = seen.current().is_some_and(|current| !current.is_published())
        || seen.turn == Turn::Granted
        || seen.memory.refuted.is_some()
        || lost;
    let unsettled = status.client_id.is_none()
        || status.intent.is_some()
        || edited
        || rotates
        || seen.memory.missing_since.is_some()
        || look::is_news(seen, &status)
        || look::awaits_correction(seen, &status);
    if unsettled || seen.memory.accepted.as_ref() != Some(circumstances) {
        let declared = declare(context, session, seen).await?;
        let refused = declared.as_ref().is_some_and(Result::is_err);
        let entries = declared.as_ref().and_then(|declared| Some(declared.as_ref().ok()?.entries.clone()));
        seen.declared = declared;
        // A rotation that was started is finished all the same.
        if refused && seen.current().is_none() {
            return Ok(());
        }
        let accepted = (!refused).then(|| circumstances.clone());
        context.memory.remember(&seen.ownership.uid, |memory| {
            memory.accepted = accepted;
            memory.entries = entries;
        });
    }
    let scan_from = match (&status.intent, readiness(&seen.object, &seen.memory, &seen.epoch, &seen.times, seen.instant)) {
        (Some(intent), Readiness::Open(earliest)) if intent.operation != IntentOperation::Reset => Some(earliest),
        (None, _) if status.client_id.is_none() => Some(first_look_from(seen.memory.noticed, seen.instant, seen.times.window)),
        _ => None,
    };
    if let Some(earliest) = scan_from {
        let certain = seen.memory.own_write.map_or(earliest, |write| earliest.max(write + seen.times.window));
        if certain > seen.instant {
            seen.scan_after = Some(certain);
            return Ok(());
        }
        let scan = session.scanner.begun_at_or_after(certain).await?;
        let mut family = relatives(&session.survey.index(scan), &seen.owner);
        if status.client_id.is_none() && status.intent.is_none() {
            family = confirmed(session, family, &seen.owner).await?;
        }
        seen.family = Some(family);
    }
    if let (Some(id), None) = (&status.client_id, &status.intent) {
        let suspended_in_sight = seen.object.spec.suspend && matches!(seen.listed, Listed::Present(..));
        let missing = seen.memory.missing_since.is_some() || matches!(seen.listed, Listed::Missing);
        if seen.memory.gone.is_some() && !matches!(seen.listed, Listed::Present(..)) {
            // Two reads and a scan said so: no more are needed.
            seen.client = ClientView::Missing;
        } else if (edited && !suspended_in_sight) || lost || missing || seen.turn == Turn::Granted {
            seen.client = read_client(context, session, &seen.ownership.uid, id).await?;
            seen.memory = context.memory.recall(&seen.ownership.uid);
        } else if let Some((_, client)) = seen.memory.in_the_way.as_ref().filter(|(_, client)| client.id == *id) {
            seen.client = ClientView::Present(client.clone());
        }
        seen.comparison = look::compare(session, seen, &status);
        if edited {
            // An edit that waits is no drift; one of `suspend` alone is none, and the client matches this generation too.
            seen.comparison = seen.comparison.take().filter(|comparison| seen.object.spec.suspend && comparison.drift.is_empty());
        }
    }
    Ok(())
}

/// Reads a client, and remembers since when it is missing.
pub async fn read_client(context: &Context, session: &Session, uid: &str, id: &str) -> Result<ClientView, genesys::Error> {
    match session.platform.get_client(id).await {
        Ok(client) => {
            context.memory.remember(uid, |memory| (memory.missing_since, memory.gone, memory.in_the_way) = (None, None, None));
            Ok(ClientView::Present(Box::new(client)))
        }
        Err(error) if error.is_not_found() => {
            let window = context.settings.consistency_window.as_duration();
            context.memory.remember(uid, |memory| {
                let since = *memory.missing_since.get_or_insert_with(Instant::now);
                memory.gone = (since.elapsed() >= window).then(Instant::now);
                // A scan that was begun before still shows it.
                memory.sights.insert(id.to_owned(), Sight { print: None, modified: None, believed_from: Instant::now() });
            });
            Ok(ClientView::Missing)
        }
        Err(error) => Err(error),
    }
}

async fn declare(context: &Context, session: &Session, seen: &Observation) -> Result<Option<Result<Declared, Refusal>>, genesys::Error> {
    let (Ok(local), Organization::Ready(organization, _)) = (&seen.local, &seen.organization) else { return Ok(None) };
    let resolved = session.directory.resolve(&session.platform, &local.roles, &local.scopes).await?;
    let resolved = match resolved {
        Ok(found) => Ok(unambiguous(session, found).await?),
        Err(unresolved) => Err(unresolved),
    };
    let home = match local.roles.first() {
        Some(role) => {
            let at_home = RoleRequest { role: role.role.clone(), divisions: vec!["home".to_owned()] };
            let found = session.directory.resolve(&session.platform, &[at_home], &[]).await?.ok();
            found.and_then(|found| found.role_divisions.into_iter().next()).map(|pair| pair.division_id)
        }
        None => None,
    };
    let circle = Circle {
        namespace_labels: seen.namespace_labels.clone(),
        home_division: home,
        integration_credentials: integration_credentials(session, seen).await?,
        older: older_siblings(context, organization, &seen.object),
        adopts: seen.status().client_id.is_none(),
    };
    Ok(Some(validate::against_organization(&seen.object, local, organization, &resolved, circle)))
}

/// The ids of the integration credentials that spec names. One that is not found is said when it is written; so is a missing permission.
async fn integration_credentials(session: &Session, seen: &Observation) -> Result<Vec<String>, genesys::Error> {
    let wanted: Vec<String> = seen.object.spec.integration_credentials.iter().map(|reference| reference.credential.clone()).collect();
    if wanted.is_empty() {
        return Ok(vec![]);
    }
    match session.directory.integration_credentials(&session.platform, &wanted).await {
        Err(error) if error.class() == ErrorClass::Permission => Ok(vec![]),
        result => result,
    }
}

/// How many objects of the namespace that use the organization are older, where an entry of `access` counts them.
fn older_siblings(context: &Context, organization: &GenesysOrganization, object: &GenesysOAuthClient) -> usize {
    if organization.spec.access.iter().all(|rule| rule.max_clients.is_none()) {
        return 0;
    }
    let sibling = |other: &GenesysOAuthClient| {
        other.metadata.namespace == object.metadata.namespace
            && other.spec.organization_ref == object.spec.organization_ref
            && is_older(other, object)
    };
    context.fleet.objects().iter().filter(|other| sibling(other)).count()
}

/// Whether an object was created before another; of one second the first by name.
#[must_use]
pub fn is_older(one: &GenesysOAuthClient, other: &GenesysOAuthClient) -> bool {
    fn age(object: &GenesysOAuthClient) -> (&Option<Time>, &Option<String>, &Option<String>) {
        (&object.metadata.creation_timestamp, &object.metadata.namespace, &object.metadata.name)
    }
    one.metadata.uid != other.metadata.uid && age(one) < age(other)
}

/// A list may still show what was deleted, and as it was: before clients are taken back, each is read.
async fn confirmed(session: &Session, found: Vec<Relative>, owner: &Owner) -> Result<Vec<Relative>, genesys::Error> {
    let mut there = vec![];
    for relative in found {
        match session.platform.get_client(&relative.client.id).await {
            Ok(client) if client.description.as_deref().and_then(Marker::parse).is_some_and(|marker| marker.owner == *owner) => {
                there.push(Relative { client, ..relative });
            }
            Ok(_) => {}
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(there)
}

/// Access lists names; a name that several roles or divisions share allows none of them, only their ids do.
pub(super) async fn unambiguous(session: &Session, mut found: Resolved) -> Result<Resolved, genesys::Error> {
    let ask = |role: String, division: String| {
        let request = [RoleRequest { role, divisions: vec![division] }];
        async move { session.directory.resolve(&session.platform, &request, &[]).await.map(|found| found.is_ok()) }
    };
    for (id, name) in &mut found.role_names {
        if !ask(name.clone(), "home".to_owned()).await? {
            name.clone_from(id);
        }
    }
    let any_role = found.role_names.keys().next().cloned().unwrap_or_default();
    for (id, name) in &mut found.division_names {
        if id != "*" && !ask(any_role.clone(), name.clone()).await? {
            name.clone_from(id);
        }
    }
    Ok(found)
}

/// The clients of a scan that carry an object's marker.
#[must_use]
pub fn relatives(snapshot: &Snapshot, owner: &Owner) -> Vec<Relative> {
    snapshot.marked_by(owner).map(|(client, nonce)| Relative { client: client.clone(), nonce: nonce.to_owned() }).collect()
}
