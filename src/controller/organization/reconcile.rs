//! One pass over a `GenesysOrganization` (talks to the network): reads the credential, logs in, says who that is, and keeps the session. Writes nothing to the platform.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt as _, core::DeserializeGuard, runtime::controller::Action, runtime::events::EventType};
use tokio::time::Instant;

use super::{
    defaults,
    pin::{self, Pinned, pinned},
    preflight::preflight,
    status::{Login, Verdict, set_all_conditions},
    survey::{self, SCAN_TAKES, Survey},
    takeover,
    verdict::{place, stalled, verdict_of},
};
use crate::{
    api::{
        GenesysOrganization, GenesysOrganizationStatus,
        condition::{ConditionType, Reason, Wanted, find},
        rules,
    },
    controller::{
        context::Context,
        error::{During as _, Error},
        kubernetes::{about, secrets},
        memory::{Circumstances, Look, Recollection, pause},
        oauth_client::moments::HANDED_OVER,
        rotation_policy::review::{Committed, commit},
        sessions::{Session, Sessions, Standing, opened_for},
    },
    genesys::{self, Budget, Class, ClientCredential, Directory, Endpoints, Organization, Platform, Scanner, Timeouts, Work},
};

/// After how many failed looks in a row a working session ends.
const PATIENCE: u32 = 3;
/// A wait for the budget that says nothing of the platform.
const BUSY: Duration = Duration::from_secs(60);

/// One pass.
pub async fn reconcile(object: Arc<GenesysOrganization>, context: Arc<Context>) -> Result<Action, Error> {
    let _under_way = context.pulse.pass(about(&*object));
    let api: Api<GenesysOrganization> = Api::all(context.client.clone());
    let name = object.name_any();
    if object.metadata.deletion_timestamp.is_some() {
        context.sessions.forget(&name);
        return Ok(Action::await_change());
    }
    let mut status = object.status.clone().unwrap_or_default();
    let mut current = (*object).clone();
    let own = pin::own(&context.settings, &context.cluster_id);
    status.pin.get_or_insert_with(|| own.clone());
    if status.conditions.is_empty() {
        let first = commit_status(&context, &api, &current, &mut status, &Verdict::FirstVisit, None).await?;
        if let Committed::Done(written) = first {
            current = written;
        }
    }
    let uid = object.uid().unwrap_or_default();
    if takeover::is_due(&context, &current, &own) {
        current = takeover::take_over(&context, &api, &current, &mut status, &own).await?;
    }
    let doubts = context.sessions.doubts(&name);
    let secret = read_secret(&context, &current).await;
    let circumstances = Circumstances {
        generation: object.metadata.generation,
        secret: secret.as_ref().ok().and_then(|secret| secret.as_ref()?.metadata.resource_version.clone()),
        ..Circumstances::default()
    };
    if let Some(left) = context.memory.remember(&uid, |memory| memory.held_back(&circumstances, Instant::now())) {
        return Ok(Action::requeue(left));
    }
    let resync = context.settings.resync_interval.as_duration();
    let serves = context.memory.recall(&uid).look_serves(&circumstances, doubts, resync, Instant::now());
    if let (Some(left), Some(verdict)) = (serves, known_to_be_ready(&context, &current)) {
        // The clients changed, and nothing else: the platform is not asked for that.
        let again = commit_counted(&context, &api, &current, &mut status, verdict).await?;
        context.memory.remember(&uid, Recollection::succeeded);
        return Ok(Action::requeue(left.min(again)));
    }
    let proof = context.memory.recall(&uid).last_look(&circumstances, doubts).and_then(|_| scanned_lately(&context, &current));
    let (verdict, platform) = look(&context, &current, &mut status, secret, proof).await?;
    let probe_in = platform.as_ref().and_then(Platform::probe_in);
    let failures = context.memory.recall(&uid).failures;
    // One failed look does not end a session that works; a row of them does, but for those that only found the budget spent.
    let busy = platform.as_ref().is_some_and(is_busy);
    let lasting = !matches!(verdict, Verdict::Waiting { .. })
        || (failures >= PATIENCE && !busy)
        || !matches!(context.sessions.standing(&name), Standing::Ready(_));
    match &verdict {
        Verdict::Waiting { message, .. } | Verdict::Stalled { message, .. } if lasting => context.sessions.close(&name, message, platform),
        _ => {}
    }
    let well = matches!(verdict, Verdict::Ready { .. });
    let mut again = resync;
    if lasting {
        announce(&context, &current, &verdict).await;
        again = commit_counted(&context, &api, &current, &mut status, verdict).await?;
    }
    let fraction = context.chance.fraction();
    Ok(Action::requeue(context.memory.remember(&uid, |memory| {
        let now = Instant::now();
        memory.looked = well.then(|| Look { at: now, circumstances: circumstances.clone(), doubts });
        if well {
            memory.succeeded();
            again.min(resync)
        } else {
            let pause = memory.failed(&circumstances, fraction, now);
            // A look before the budget lets a call through would find out nothing.
            probe_in.map_or(pause, |wait| memory.held_for(wait.max(pause), now))
        }
    })))
}

/// The Secret with the operator's credential; an error if the Kubernetes API refuses or does not answer.
async fn read_secret(context: &Context, object: &GenesysOrganization) -> Result<Option<Secret>, kube::Error> {
    secrets(&context.client, &context.settings.operator_namespace).get_opt(&object.spec.credentials_secret_ref.name).await
}

/// The verdict without a look: the session works, and status says all that a look would.
fn known_to_be_ready(context: &Context, object: &GenesysOrganization) -> Option<Verdict> {
    let Standing::Ready(session) = context.sessions.standing(&object.name_any()) else { return None };
    let status = object.status.as_ref()?;
    let known = session.serves(object)
        && status.organization_id.as_ref() == Some(&session.organization_id)
        && status.client_id.as_deref() == Some(session.own_client_id());
    status.organization_name.clone().filter(|_| known).map(|name| Verdict::Ready { name, remark: None, held: None })
}

/// Writes the status with the inventory and the counts of `rotationDefaults`, wakes whom a scan concerns, and says how long all that holds.
async fn commit_counted(
    context: &Arc<Context>,
    api: &Api<GenesysOrganization>,
    object: &GenesysOrganization,
    status: &mut GenesysOrganizationStatus,
    verdict: Verdict,
) -> Result<Duration, Error> {
    let review = defaults::review(context, object);
    let verdict = defaults::remarked(verdict, review.as_ref());
    status.rotation = review.as_ref().map(|review| review.fleet.clone());
    let progress = survey::surveyed(context, object, status, &verdict);
    let verdict = survey::held(verdict, progress.as_ref());
    let preflight = if matches!(verdict, Verdict::Ready { .. }) { preflight(context, object).await } else { None };
    let committed = commit_status(context, api, object, status, &verdict, preflight).await?;
    survey::tell_held(context, object, &verdict).await;
    let mut again = context.settings.resync_interval.as_duration();
    if let Some(progress) = progress {
        again = again.min(progress.again);
    }
    match (committed, review) {
        (Committed::Later(left), review) => again = again.min(left).min(review.map_or(again, |review| review.again(context))),
        (Committed::Done(written), Some(review)) => {
            defaults::tell(context, object, &written, &review).await;
            again = again.min(review.again(context));
        }
        (Committed::Done(_), None) => {}
    }
    Ok(again)
}

async fn commit_status(
    context: &Context,
    api: &Api<GenesysOrganization>,
    object: &GenesysOrganization,
    status: &mut GenesysOrganizationStatus,
    verdict: &Verdict,
    preflight: Option<Wanted>,
) -> Result<Committed<GenesysOrganization>, Error> {
    if pinned(object, &pin::own(&context.settings, &context.cluster_id)) == Pinned::OtherInstall {
        // That one keeps the status: two that count different clients would write it in turns.
        return Ok(Committed::Done(object.clone()));
    }
    status.observed_generation = object.metadata.generation;
    set_all_conditions(&mut status.conditions, verdict, preflight, object.metadata.generation, context.now());
    let mut wished = object.clone();
    wished.status = Some(status.clone());
    commit(context, api, object, wished).await
}

async fn announce(context: &Context, object: &GenesysOrganization, verdict: &Verdict) {
    let conditions = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let ready = find(conditions, ConditionType::Ready);
    match verdict {
        Verdict::Ready { name, .. } if ready.is_none_or(|ready| ready.status != "True") => {
            tracing::info!(organization_name = %name, "logged in");
            context.events.publish(object, EventType::Normal, "LoggedIn", &format!("logged in to organization {name:?}")).await;
        }
        Verdict::Stalled { reason, message, .. } if ready.is_none_or(|ready| ready.reason != reason.as_str()) => {
            tracing::warn!(reason = reason.as_str(), note = %message, "a person must act");
            context.events.publish(object, EventType::Warning, reason.as_str(), message).await;
        }
        _ => {}
    }
}

async fn look(
    context: &Context,
    object: &GenesysOrganization,
    status: &mut GenesysOrganizationStatus,
    secret: Result<Option<Secret>, kube::Error>,
    proof: Option<Organization>,
) -> Result<(Verdict, Option<Platform>), Error> {
    // Defaults that can't be followed stop no more than what follows them: they are judged for themselves.
    let mut judged = object.clone();
    judged.spec.rotation_defaults = None;
    let violations = rules::organization_violations(&judged);
    if !violations.is_empty() {
        return Ok((stalled(Reason::InvalidSpec, Login::NotTried, violations.join("; ")), None));
    }
    if let Some(other) = pin::other_cluster(object, &pin::own(&context.settings, &context.cluster_id)) {
        let message = format!(
            "status.pin says that cluster {other} works this organization, and this operator's --cluster-id stands for another: its clients would not be found here. Start the operator with the former id; or, if that cluster is gone for good, release the organization by removing status.pin"
        );
        return Ok((stalled(Reason::Conflict, Login::NotTried, message), None));
    }
    let Some(endpoints) = context.regions.get(&object.spec.region) else {
        let message = format!(
            "the operator knows no region {:?}: write one of {}, or start the operator with --endpoint {0}=API_URL,LOGIN_URL",
            object.spec.region,
            context.regions.names().join(", ")
        );
        return Ok((stalled(Reason::UnknownRegion, Login::NotTried, message), None));
    };
    let secret = match secret {
        Err(kube::Error::Api(refusal)) if refusal.is_forbidden() => {
            let message = format!(
                "the operator may not read {}: give its ServiceAccount a Role for that ({})",
                place(context, object),
                refusal.message
            );
            return Ok((stalled(Reason::PermissionMissing, Login::NotTried, message), None));
        }
        result => result.during("reading the operator's credential")?,
    };
    let credential = match credential(context, object, secret) {
        Ok(credential) => credential,
        Err(message) => return Ok((Verdict::Waiting { reason: Reason::Pending, message }, None)),
    };
    let name = object.name_any();
    let candidate = known_session(&context.sessions, &name, &credential, &endpoints)
        .unwrap_or_else(|| new_session(context, object, endpoints, credential));
    candidate.platform.budget().set_rate(object.spec.requests_per_minute);
    let platform = candidate.platform.clone();
    let proof = proof.filter(|_| candidate.known.is_some());
    Ok((log_in(context, object, status, candidate, proof).await?, Some(platform)))
}

fn known_session(sessions: &Sessions, name: &str, credential: &ClientCredential, endpoints: &Endpoints) -> Option<Candidate> {
    let (platform, known) = match sessions.standing(name) {
        Standing::Ready(session) => (session.platform.clone(), Some(session)),
        Standing::NotReady { platform: Some(platform), .. } => (platform, None),
        _ => return None,
    };
    (platform.uses(credential) && platform.endpoints() == endpoints).then(|| Candidate { platform, credential: credential.clone(), known })
}

/// A session that has not proven itself in this pass.
struct Candidate {
    platform: Platform,
    credential: ClientCredential,
    known: Option<Arc<Session>>,
}

fn new_session(context: &Context, object: &GenesysOrganization, endpoints: Endpoints, credential: ClientCredential) -> Candidate {
    let timeouts = Timeouts { call: context.settings.call_timeout.as_duration(), scan: context.settings.scan_timeout.as_duration() };
    let budget = Arc::new(Budget::new(object.spec.requests_per_minute));
    let platform = Platform::new(context.transport_to(&object.name_any()), endpoints, credential.clone(), budget, timeouts);
    Candidate { platform, credential, known: None }
}

/// The operator's credential; or what is missing, in words for a person.
fn credential(context: &Context, object: &GenesysOrganization, secret: Option<Secret>) -> Result<ClientCredential, String> {
    let namespace = &context.settings.operator_namespace;
    let reference = &object.spec.credentials_secret_ref;
    let Some(secret) = secret else {
        return Err(format!(
            "Secret {:?} does not exist in namespace {namespace:?}: create it with the keys {:?} and {:?}",
            reference.name, reference.client_id_key, reference.client_secret_key
        ));
    };
    let value = |key: &str| {
        let value = secret.data.as_ref().and_then(|data| data.get(key))?;
        let text = String::from_utf8(value.0.clone()).ok()?.trim().to_owned();
        (!text.is_empty()).then_some(text)
    };
    match (value(&reference.client_id_key), value(&reference.client_secret_key)) {
        (Some(client_id), Some(client_secret)) => Ok(ClientCredential { client_id, client_secret: client_secret.into() }),
        (None, _) => {
            Err(format!("Secret {:?} in namespace {namespace:?} has no text under key {:?}", reference.name, reference.client_id_key))
        }
        (_, None) => {
            Err(format!("Secret {:?} in namespace {namespace:?} has no text under key {:?}", reference.name, reference.client_secret_key))
        }
    }
}

/// Whether what is more urgent spends the budget for longer than a look waits.
fn is_busy(platform: &Platform) -> bool {
    platform.budget().wait_behind(&Work::new(Class::UrgentRotation, ""), 0) > BUSY
}

async fn log_in(
    context: &Context,
    object: &GenesysOrganization,
    status: &mut GenesysOrganizationStatus,
    candidate: Candidate,
    proof: Option<Organization>,
) -> Result<Verdict, Error> {
    // What all objects wait for goes before what one of them wants.
    let platform = &candidate.platform.for_work(Work::new(Class::UrgentRotation, ""));
    let organization = match proof {
        Some(organization) => organization,
        None => match platform.organization().await {
            Ok(organization) => organization,
            Err(error) => return verdict_of(&error, Login::Refused, &place(context, object)),
        },
    };
    if let Some(expected) = object.spec.expected_organization_id.as_ref().filter(|expected| **expected != organization.id) {
        let message = format!(
            "the credential belongs to organization {} ({:?}), but expectedOrganizationId is {expected}: correct one of them; until then nothing is done",
            organization.id, organization.name
        );
        return Ok(stalled(Reason::OrganizationChanged, Login::Worked, message));
    }
    if let Some(older) = older_twin(context, object, &organization.id).await? {
        let message = format!(
            "GenesysOrganization {older:?}, which is older, connects to organization {} already: use that one, and delete this",
            organization.id
        );
        return Ok(stalled(Reason::DuplicateOrganization, Login::Worked, message));
    }
    status.organization_id = Some(organization.id.clone());
    status.organization_name = Some(organization.name.clone());
    status.client_id = Some(candidate.credential.client_id.clone());
    if let Some(known) = candidate.known.as_ref().filter(|known| known.organization_id == organization.id && known.serves(object)) {
        tracing::debug!(version = known.version, "the session goes on");
        return Ok(Verdict::Ready { name: organization.name, remark: None, held: None });
    }
    // The reads that every client needs are tried once, so that a missing permission is named here and not on each object.
    let scanner = Scanner::new(platform.clone());
    if let Err(error) = reads(platform, &scanner).await {
        return verdict_of(&error, Login::WithoutPermission, &place(context, object));
    }
    let session = Session {
        version: context.sessions.next_version(),
        platform: platform.clone(),
        scanner,
        survey: Survey::default(),
        directory: Directory::new(),
        credential: candidate.credential,
        organization_id: organization.id,
        opened_for: opened_for(object),
    };
    context.sessions.open(&object.name_any(), session);
    Ok(Verdict::Ready { name: organization.name, remark: None, held: None })
}

/// The organization of a session whose scan succeeded lately, which proves as much as another login would: at rest it costs no call.
fn scanned_lately(context: &Context, object: &GenesysOrganization) -> Option<Organization> {
    let Some(Verdict::Ready { name, .. }) = known_to_be_ready(context, object) else { return None };
    let Standing::Ready(session) = context.sessions.standing(&object.name_any()) else { return None };
    let most = object.scan_interval().min(context.settings.resync_interval.as_duration()) + SCAN_TAKES;
    let scan = session.scanner.last().filter(|scan| scan.begun.elapsed() <= most);
    scan.map(|_| Organization { id: session.organization_id.clone(), name })
}

/// The list is the first scan of the session: whoever uses it has one.
async fn reads(platform: &Platform, scanner: &Scanner) -> Result<(), genesys::Error> {
    scanner.begun_at_or_after(Instant::now()).await?;
    platform.roles().await.map(drop)
}

/// The name of an older object for the same organization.
async fn older_twin(context: &Context, object: &GenesysOrganization, id: &str) -> Result<Option<String>, Error> {
    let api: Api<DeserializeGuard<GenesysOrganization>> = Api::all(context.client.clone());
    let age = |object: &GenesysOrganization| (object.metadata.creation_timestamp.clone(), object.uid());
    let all = api.list(&kube::api::ListParams::default()).await.during("listing the organizations")?;
    Ok(all
        .into_iter()
        .filter_map(|other| other.0.ok())
        .filter(|other| other.uid() != object.uid() && other.metadata.deletion_timestamp.is_none())
        .filter(|other| other.status.as_ref().and_then(|status| status.organization_id.as_deref()) == Some(id) && age(other) < age(object))
        .map(|other| other.name_any())
        .next())
}

/// The pause after an error of the Kubernetes API.
#[must_use]
pub fn error_policy(object: &GenesysOrganization, error: &Error, context: &Context) -> Action {
    let uid = object.uid().unwrap_or_default();
    match error {
        Error::Stale => return Action::requeue(context.memory.remember(&uid, Recollection::lost_race)),
        Error::Withheld(why) => {
            tracing::info!(why, "the platform was not asked");
            return Action::requeue(HANDED_OVER);
        }
        _ => {}
    }
    let fraction = context.chance.fraction();
    let wait = context.memory.remember(&uid, |memory| {
        memory.failures = memory.failures.saturating_add(1);
        pause(memory.failures, fraction)
    });
    tracing::warn!(reason = error.reason(), %error, wait = ?wait, "the pass failed");
    Action::requeue(wait)
}
