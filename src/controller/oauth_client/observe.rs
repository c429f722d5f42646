//! Looks at the world (talks to the network): first at Kubernetes, then, where something can have changed, at the platform. Changes nothing.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{Api, Resource as _, ResourceExt as _, api::ListParams};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::{
    observation::{ClientView, Observation, Organization, Readiness, Relative, SecretView, Times, current_rotation, readiness},
    policy::{self, PolicyView},
    rotation_store,
    timetable::{self, Rank, Requests, Timetable, Turn},
    validate::{self, Declared, Refusal},
};
use crate::{
    api::{
        GenesysOAuthClient, GenesysOAuthClientStatus, GenesysOrganization, GenesysRotationPolicy, LET_GO_ANNOTATION,
        oauth_client::{IntentOperation, rotation_status::Trigger},
    },
    controller::{
        context::Context,
        error::{During as _, Error},
        fleet::Candidate,
        kubernetes::secrets,
        memory::Circumstances,
        sessions::{Session, Standing},
    },
    genesys::{self, ErrorClass, Resolved, RoleRequest, Scan},
    marker::{Marker, Owner},
    secret::{
        self, Found, Ownership,
        rotation::{ROTATION_SUFFIX, RotationSecret},
    },
};

/// Longer than any id of a client.
const LONGEST_ID: usize = 64;
/// A shorter window could not tell a slow write from a process that stood still.
const SHORTEST_WINDOW: Duration = Duration::from_secs(1);

/// What Kubernetes alone shows.
pub struct Near {
    object: Arc<GenesysOAuthClient>,
    owner: Owner,
    ownership: Ownership,
    local: Result<validate::Local, Refusal>,
    organization: Organization,
    secret: Live,
    former_secret: Option<Box<secret::Published>>,
    rotation: Option<Box<RotationSecret>>,
    /// The rotation policy that applies.
    pub policy: PolicyView,
    namespace_labels: BTreeMap<String, String>,
    /// What a pause depends on.
    pub circumstances: Circumstances,
}

/// A Secret as it was found, before the platform was asked about a former owner's.
enum Live {
    Absent,
    There(Found),
}

/// Whose markers and Secrets are this object's.
#[must_use]
pub fn identity(context: &Context, object: &GenesysOAuthClient) -> (Owner, Ownership) {
    let namespace = object.namespace().unwrap_or_default();
    let name = object.name_any();
    let owner = Owner::new(&context.cluster_id, &namespace, &name);
    let ownership = Ownership {
        cluster: owner.cluster().to_owned(),
        namespace,
        name,
        uid: object.uid().unwrap_or_default(),
        reference: object.controller_owner_ref(&()).unwrap_or_default(),
    };
    (owner, ownership)
}

/// The waiting times for an object; its daily verification comes at a time of day that depends on its uid.
#[must_use]
pub fn times(context: &Context, object: &GenesysOAuthClient) -> Times {
    let settings = &context.settings;
    let hash = Sha256::digest(object.uid().unwrap_or_default().as_bytes());
    let fraction = f64::from(u16::from_be_bytes([hash[0], hash[1]])) / f64::from(u16::MAX);
    Times {
        call: settings.call_timeout.as_duration(),
        window: settings.consistency_window.as_duration().max(SHORTEST_WINDOW),
        roles: settings.role_propagation.as_duration(),
        refutation: settings.refutation_window.as_duration(),
        resync: settings.resync_interval.as_duration(),
        verification_spread: super::decide::VERIFICATION_INTERVAL.mul_f64(fraction).max(Duration::from_secs(60)),
    }
}

/// Looks at Kubernetes.
pub async fn near(context: &Context, object: Arc<GenesysOAuthClient>) -> Result<Near, Error> {
    let (owner, ownership) = identity(context, &object);
    let local = validate::locally(&object);
    let api = secrets(&context.client, &ownership.namespace);
    let live = read_secret(&api, object.secret_name()).await?;
    let former_name = object.status.as_ref().and_then(|status| status.effective.as_ref()).map(|effective| effective.secret_name.clone());
    let former_secret = match former_name.filter(|name| name != object.secret_name() && !name.is_empty()) {
        Some(name) => read_secret(&api, &name).await?.and_then(|secret| match secret::read(&secret, &ownership) {
            Found::Ours(published) => Some(published),
            _ => None,
        }),
        None => None,
    };
    let rotation = rotation_secret(&api, &object, live.as_ref(), &ownership).await?;
    let namespace_labels = namespace_labels(context, &ownership.namespace).await?;
    let organization =
        if local.is_ok() { organization(context, &object.spec.organization_ref.name).await? } else { Organization::NotAsked };
    let policy = policy(context, &object, &organization).await?;
    let version = match (&organization, context.sessions.standing(&object.spec.organization_ref.name)) {
        (Organization::Ready(organization, session), _) => (session.version, organization.uid(), organization.metadata.generation),
        (_, Standing::NotReady { version, .. }) => (version, None, None),
        _ => (0, None, None),
    };
    let circumstances = Circumstances {
        generation: object.metadata.generation,
        deleting: object.metadata.deletion_timestamp.is_some(),
        let_go: object.annotations().contains_key(LET_GO_ANNOTATION),
        organization: version,
        secret: live.as_ref().and_then(|secret| secret.metadata.resource_version.clone()),
        namespace_labels: namespace_labels.clone().into_iter().collect(),
    };
    let secret = live.map_or(Live::Absent, |secret| Live::There(secret::read(&secret, &ownership)));
    Ok(Near { object, owner, ownership, local, organization, secret, former_secret, rotation, policy, namespace_labels, circumstances })
}

/// The rotation Secret, where there can be one that counts: during a rotation, and where the main Secret or the status was lost.
async fn rotation_secret(
    api: &Api<Secret>,
    object: &GenesysOAuthClient,
    main: Option<&Secret>,
    ownership: &Ownership,
) -> Result<Option<Box<RotationSecret>>, Error> {
    let current = object.status.as_ref().and_then(current_rotation);
    let known = object.status.as_ref().is_some_and(|status| status.client_id.is_some());
    if current.is_none() && known && main.is_some() {
        return Ok(None);
    }
    let name = current.and_then(|current| current.secret_name.clone());
    rotation_store::read(api, &name.unwrap_or_else(|| format!("{}{ROTATION_SUFFIX}", object.secret_name())), ownership).await
}

/// The rotation policy that applies: the one that the object names, else the defaults of its organization.
async fn policy(context: &Context, object: &GenesysOAuthClient, organization: &Organization) -> Result<PolicyView, Error> {
    let organization = match organization {
        Organization::Ready(organization, _) | Organization::NotReady(_, organization) => Some(&**organization),
        _ => None,
    };
    match &object.spec.rotation_policy_ref {
        Some(reference) => {
            let api: Api<GenesysRotationPolicy> = Api::namespaced(context.client.clone(), &object.namespace().unwrap_or_default());
            let found = api.get_opt(&reference.name).await.during("reading the rotation policy")?;
            Ok(policy::named(&context.policies, &reference.name, found.as_ref(), organization))
        }
        None => Ok(organization
            .map_or_else(|| PolicyView::NotReady("the organization is not there yet".to_owned()), |organization| policy::defaults(&context.policies, organization))),
    }
}

impl Near {
    /// Goes on with the books of the rotation kept up to now.
    pub fn keep_books(&mut self, status: GenesysOAuthClientStatus) {
        let mut object = (*self.object).clone();
        object.status = Some(status);
        self.object = Arc::new(object);
    }

    /// What the object is to its policy.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("{}/{}", self.ownership.namespace, self.ownership.name)
    }
}

/// Whether a rotation that is wished may start now.
fn turn(context: &Context, seen: &Observation) -> Turn {
    let uid = seen.ownership.uid.as_str();
    let Some(wish) = &seen.timetable.wish else {
        if seen.current().is_none_or(|current| !current.takes_a_place()) {
            context.fleet.leave(uid);
        }
        return Turn::NotAsked;
    };
    let Some(applied) = seen.policy.applied().filter(|_| wish.trigger != Trigger::Emergency) else { return Turn::Granted };
    let most = applied.policy.max_concurrent as usize * if matches!(wish.rank, Rank::Urgent(_)) { 2 } else { 1 };
    context.fleet.claim(&Candidate { policy: &applied.key, uid, rank: wish.rank, most: most.max(1) }, seen.instant)
}

async fn read_secret(api: &Api<Secret>, name: &str) -> Result<Option<Secret>, Error> {
    api.get_opt(name).await.during("reading the Secret")
}

async fn namespace_labels(context: &Context, namespace: &str) -> Result<BTreeMap<String, String>, Error> {
    let api: Api<Namespace> = Api::all(context.client.clone());
    let found = api.get_metadata_opt(namespace).await.during("reading the labels of the namespace")?;
    Ok(found.and_then(|namespace| namespace.metadata.labels).unwrap_or_default())
}

/// The organization of this name: live, because access must not be judged by an old copy.
pub async fn organization(context: &Context, name: &str) -> Result<Organization, Error> {
    let api: Api<GenesysOrganization> = Api::all(context.client.clone());
    let selected = match &context.settings.organizations {
        None => api.get_opt(name).await.during("reading the organization")?,
        Some(selector) => {
            let parameters = ListParams::default().labels(selector).fields(&format!("metadata.name={name}"));
            let found = api.list(&parameters).await.during("reading the organization")?.items.into_iter().next();
            if found.is_none() && api.get_metadata_opt(name).await.during("reading the organization")?.is_some() {
                return Ok(Organization::NotOurs);
            }
            found
        }
    };
    // One that is being deleted is worked no more, whatever still holds it.
    let Some(organization) = selected.filter(|organization| organization.metadata.deletion_timestamp.is_none()) else {
        return Ok(Organization::Absent);
    };
    Ok(match context.sessions.standing(name) {
        Standing::NotReady { message, .. } => Organization::NotReady(message, Box::new(organization)),
        Standing::Ready(session) if session.serves(&organization) => Organization::Ready(Box::new(organization), session),
        Standing::NotYet | Standing::Ready(_) => Organization::NotYet,
    })
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
        marked: BTreeMap::new(),
        scan_after: None,
        family: None,
        failed: None,
        object,
    };
    let session = match &seen.organization {
        Organization::Ready(_, session) => Some(session.clone()),
        _ => None,
    };
    let identity = format!("{}/{}", seen.ownership.namespace, seen.ownership.name);
    seen.requests = timetable::requests(seen.object.annotations(), &seen.status());
    seen.timetable = timetable::timetable(&seen.object, &seen.policy, &seen.requests, &identity, seen.now);
    if session.is_some() && !seen.object.spec.suspend {
        seen.turn = turn(context, &seen);
    }
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
    seen
}

/// Whose the Secret is. Its annotations are no authority: a client that only they name counts if it carries this object's marker.
async fn resolve_secret(found: Live, session: Option<&Session>, seen: &mut Observation) -> Result<SecretView, genesys::Error> {
    let (published, former) = match found {
        Live::Absent => return Ok(SecretView::Absent),
        Live::There(Found::Foreign(detail)) => return Ok(SecretView::Foreign(detail)),
        Live::There(Found::Ours(published)) => (published, false),
        Live::There(Found::Former(published)) => (published, true),
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
        let ids: Vec<_> = stored.into_iter().flatten().map(|found| found.credential.client_id.clone()).filter(|id| !id.is_empty()).collect();
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
    let edited = status.synced_generation != seen.object.metadata.generation;
    let rotates = seen.current().is_some_and(|current| !current.is_published()) || seen.turn == Turn::Granted || seen.memory.refuted.is_some();
    let unsettled = status.client_id.is_none() || status.intent.is_some() || edited || rotates || seen.memory.missing_since.is_some();
    if unsettled || seen.memory.accepted.as_ref() != Some(circumstances) {
        let declared = declare(session, &seen.namespace_labels.clone(), seen).await?;
        let refused = declared.as_ref().is_some_and(Result::is_err);
        seen.declared = declared;
        // A rotation that was started is finished all the same.
        if refused && seen.current().is_none() {
            return Ok(());
        }
        context.memory.remember(&seen.ownership.uid, |memory| memory.accepted = Some(circumstances.clone()));
    }
    let scan_from = match (&status.intent, readiness(&seen.object, &seen.memory, &seen.epoch, &seen.times, seen.instant)) {
        (Some(intent), Readiness::Open(earliest)) if intent.operation == IntentOperation::Create => Some(earliest),
        (None, _) if status.client_id.is_none() => Some(seen.instant),
        _ => None,
    };
    if let Some(earliest) = scan_from {
        let certain = seen.memory.own_write.map_or(earliest, |write| earliest.max(write + seen.times.window));
        if certain > seen.instant {
            seen.scan_after = Some(certain);
            return Ok(());
        }
        let scan = session.scanner.begun_at_or_after(certain).await?;
        let mut family = relatives(&scan, &seen.owner);
        if status.client_id.is_none() && status.intent.is_none() {
            family = confirmed(session, family, &seen.owner).await?;
        }
        seen.family = Some(family);
    }
    if let (Some(id), None) = (&status.client_id, &status.intent)
        && (edited || seen.memory.missing_since.is_some() || seen.turn == Turn::Granted)
    {
        seen.client = read_client(context, session, &seen.ownership.uid, id).await?;
        seen.memory = context.memory.recall(&seen.ownership.uid);
    }
    Ok(())
}

/// Reads a client, and remembers since when it is missing.
pub async fn read_client(context: &Context, session: &Session, uid: &str, id: &str) -> Result<ClientView, genesys::Error> {
    match session.platform.get_client(id).await {
        Ok(client) => {
            context.memory.remember(uid, |memory| memory.missing_since = None);
            Ok(ClientView::Present(Box::new(client)))
        }
        Err(error) if error.is_not_found() => {
            context.memory.remember(uid, |memory| memory.missing_since.get_or_insert_with(Instant::now).to_owned());
            Ok(ClientView::Missing)
        }
        Err(error) => Err(error),
    }
}

async fn declare(
    session: &Session,
    labels: &BTreeMap<String, String>,
    seen: &Observation,
) -> Result<Option<Result<Declared, Refusal>>, genesys::Error> {
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
    Ok(Some(validate::against_organization(&seen.object, local, organization, labels, &resolved, home.as_deref())))
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
async fn unambiguous(session: &Session, mut found: Resolved) -> Result<Resolved, genesys::Error> {
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
pub fn relatives(scan: &Scan, owner: &Owner) -> Vec<Relative> {
    let relative = |client: &genesys::OAuthClient| {
        let marker = client.description.as_deref().and_then(Marker::parse).filter(|marker| marker.owner == *owner)?;
        Some(Relative { client: client.clone(), nonce: marker.nonce })
    };
    scan.clients.iter().filter_map(relative).collect()
}
