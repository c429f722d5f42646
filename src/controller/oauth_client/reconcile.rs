//! One pass over a `GenesysOAuthClient`, from its trigger to its next due time: observe, decide, apply, status. The only owner of `commit_status`.

use std::{sync::Arc, time::Duration};

use kube::{ResourceExt as _, runtime::controller::Action, runtime::events::EventType};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::{
    apply::apply,
    cleanup,
    decide::{decide, published},
    drift,
    observation::{ClientView, Observation, Organization, SecretView},
    observe, observe_platform,
    outlook::Outlook,
    pass::{Pass, Scanned, delay},
    plan::Step,
    policy::keep_books,
    status::{Moment, Sight},
};
use crate::{
    api::{FINALIZER, GenesysOAuthClient, oauth_client::DriftEntry, organization::USUAL_SCAN_INTERVAL},
    controller::{
        context::Context,
        error::Error,
        kubernetes::{about, add_finalizer, resource_version},
        memory::{Circumstances, Recollection, pause},
        organization::survey::is_stale,
        snapshot::Listed,
    },
    genesys::{self, ErrorClass},
};

/// How soon an object is looked at again whose copy was older than our own last write.
const STALE_COPY: Duration = Duration::from_millis(500);
/// How soon a pass is tried again that found a newer credential in the Secret.
const SUPERSEDED: Duration = Duration::from_secs(3);

/// One pass. Errors are those of the Kubernetes API alone; what the platform says is in the conditions.
pub async fn reconcile(object: Arc<GenesysOAuthClient>, context: Arc<Context>) -> Result<Action, Error> {
    let _under_way = context.pulse.pass(about(&*object));
    let uid = object.uid().unwrap_or_default();
    let memory = context.memory.recall(&uid);
    if memory.outdates(resource_version(&*object), Instant::now()) {
        return Ok(Action::requeue(STALE_COPY));
    }
    let mut pass = Pass::new(&context, &object);
    let result = if object.metadata.deletion_timestamp.is_some() {
        cleanup::cleanup(&mut pass).instrument(tracing::error_span!("step", reason = "deletion")).await
    } else {
        work(&mut pass, object).await
    };
    match result {
        Err(Error::Stale) => Ok(Action::requeue(context.memory.remember(&uid, Recollection::lost_race))),
        Err(error @ Error::Superseded { .. }) => {
            tracing::warn!(%error, "another process was faster");
            Ok(Action::requeue(SUPERSEDED))
        }
        result => result,
    }
}

async fn work(pass: &mut Pass<'_>, object: Arc<GenesysOAuthClient>) -> Result<Action, Error> {
    let context = pass.context;
    // An organization of another install: not ours to touch, not even for a first status.
    let first_visit = pass.status.conditions.is_empty() || !object.finalizers().iter().any(|name| name == FINALIZER);
    if first_visit && matches!(observe::organization(context, &object.spec.organization_ref.name).await?, Organization::NotOurs) {
        return Ok(Action::requeue(context.settings.resync_interval.as_duration()));
    }
    if !object.finalizers().iter().any(|name| name == FINALIZER) {
        let written = add_finalizer(&pass.api, &*object).await?;
        pass.accept(written);
    }
    if pass.status.conditions.is_empty() {
        pass.moment = Some(Moment::FirstVisit);
        pass.commit_status().await?;
    }
    let mut near = observe::near(context, Arc::new(pass.object.clone())).await?;
    keep_books(&mut pass.status, &near.policy, &near.identity(), context.now());
    near.keep_books(pass.status.clone());
    let circumstances = near.circumstances.clone();
    if let Some(left) = pass.remember(|memory| memory.held_back(&circumstances, Instant::now())) {
        return Ok(Action::requeue(left));
    }
    let mut seen = observe_platform::far(context, near).await;
    let no_secret = !seen.object.can_rotate();
    let identity = format!("{}/{}", seen.ownership.namespace, seen.ownership.name);
    pass.outlook = Some(Outlook::new(seen.policy.clone(), identity, no_secret, &seen.timetable, &seen.turn));
    note_first_requests(pass, &seen);
    look_at_client(pass, &seen).await;
    look_at_credential(pass, &seen);
    let plan = decide(&seen);
    tracing::debug!(steps = ?plan.steps.iter().map(Step::name).collect::<Vec<_>>(), again = ?plan.again, "decided");
    let not_yet = matches!(seen.organization, Organization::NotYet);
    pass.remember(|memory| memory.not_yet = if not_yet { memory.not_yet.saturating_add(1) } else { 0 });
    if not_yet || matches!(seen.organization, Organization::NotOurs) {
        return Ok(Action::requeue(delay(plan.again, seen.times.resync).unwrap_or(seen.times.resync)));
    }
    apply(pass, &mut seen, &plan).await?;
    if seen.failed.as_ref().is_some_and(questions_the_organization) {
        context.sessions.doubt(&seen.object.spec.organization_ref.name);
    }
    finish(pass, &circumstances).await
}

/// Whether what a read was answered is a matter of the organization, which one look shows for all of its objects.
fn questions_the_organization(error: &genesys::Error) -> bool {
    matches!(error, genesys::Error::PlatformDown(_)) || error.class() == ErrorClass::Credential
}

/// A request that stands on an object which has neither a client nor a handled request was copied or restored along with it.
fn note_first_requests(pass: &mut Pass<'_>, seen: &Observation) {
    let status = &mut pass.status;
    if status.client_id.is_some() {
        return;
    }
    if let Some(request) = seen.requests.rotate.as_ref().filter(|_| status.last_handled_rotate_request.is_none()) {
        status.last_handled_rotate_request = Some(request.value.clone());
    }
    if let Some(value) = seen.requests.abort.as_ref().filter(|_| status.last_handled_abort_request.is_none()) {
        status.last_handled_abort_request = Some(value.clone());
    }
}

/// `Ready` is a fact of what this pass saw: a credential that no Secret holds, or that the platform refuses, is not verified any more.
fn look_at_credential(pass: &mut Pass<'_>, seen: &Observation) {
    if pass.status.revision.is_none() || matches!(seen.secret, SecretView::Foreign(_)) {
        return;
    }
    let refuted = pass.status.revision.is_some() && seen.memory.refuted == pass.status.revision;
    pass.sight = if published(seen).is_none() && super::decide::meets_intent(seen).is_none() {
        Sight::Lost
    } else if refuted {
        Sight::Refuted
    } else {
        return;
    };
    pass.status.verified_revision = None;
}

/// Notes how the published client was seen, and what of it is not as declared. What is new of that is told once.
async fn look_at_client(pass: &mut Pass<'_>, seen: &Observation) {
    pass.scanned = scanned(pass, seen);
    let Some(id) = seen.status().client_id.filter(|_| seen.failed.is_none() && seen.status().intent.is_none()) else { return };
    if let Some(token) = &seen.scanned_for {
        pass.status.last_handled_reconcile_request = Some(token.clone());
    }
    let sight = match (&seen.comparison, &seen.listed) {
        (Some(comparison), _) => Some(comparison.sight.clone()),
        (None, Listed::Present(_, sight)) => Some(sight.clone()),
        _ => None,
    };
    if let Some(sight) = sight {
        pass.sighted = Some((id, sight));
    }
    match (&seen.client, &seen.listed) {
        (ClientView::Present(client), _) | (ClientView::NotRead, Listed::Present(client, _)) => {
            pass.status.platform_deletion_at = client.date_to_delete;
        }
        _ => {}
    }
    let Some(comparison) = &seen.comparison else { return };
    if comparison.drift.is_empty() && seen.object.spec.suspend {
        // Nothing of a generation that changed `suspend` alone waits to be applied.
        pass.status.synced_generation = seen.object.metadata.generation;
    }
    let former = std::mem::replace(&mut pass.status.drift, comparison.drift.clone());
    let drift = &comparison.drift;
    let who = drift::modifier(drift);
    let extra = drift::extra_powers(drift);
    if !extra.is_empty() && extra != drift::extra_powers(&former) {
        let note = format!("the client was given what is not declared: {}{who}; see status.drift", extra.join("; "));
        tracing::warn!(reason = "ExtraAccessGranted", extra = extra.join("; "), "somebody gave the client more than is declared");
        pass.event(EventType::Warning, "ExtraAccessGranted", &note).await;
    }
    let others = |drift: &[DriftEntry]| drift.iter().map(|entry| (entry.field.clone(), entry.actual.clone())).collect::<Vec<_>>();
    if !drift.is_empty() && others(drift) != others(&former) {
        let note = format!("the platform shows other values than were declared of {}{who}", drift::fields(drift));
        pass.event(EventType::Warning, "DriftFound", &note).await;
    }
}

/// Whether the last scan of the organization still says something.
fn scanned(pass: &Pass<'_>, seen: &Observation) -> Scanned {
    let name = &seen.object.spec.organization_ref.name;
    let interval = match &seen.organization {
        Organization::Ready(organization, _) | Organization::NotReady(_, organization) => organization.scan_interval(),
        _ => USUAL_SCAN_INTERVAL,
    };
    let newest = match &seen.organization {
        Organization::Ready(_, session) => session.snapshot().map(|snapshot| is_stale(snapshot.begun(), interval, seen.instant)),
        _ => None,
    };
    match newest {
        Some(false) => Scanned::Lately,
        Some(true) => Scanned::LongAgo,
        None if pass.context.sessions.scan_is_stale(name, interval) => Scanned::LongAgo,
        None => Scanned::Unknown,
    }
}

/// Writes the final status of a pass, and says when the next one is due.
pub async fn finish(pass: &mut Pass<'_>, circumstances: &Circumstances) -> Result<Action, Error> {
    announce(pass).await;
    pass.commit_status().await?;
    pass.remember_sight();
    let resync = pass.context.settings.resync_interval.as_duration();
    let fraction = pass.context.chance.fraction();
    let again = pass.again;
    let wait = pass.remember(|memory| match delay(again, resync) {
        Some(wait) => {
            memory.succeeded();
            wait
        }
        None => memory.failed(circumstances, fraction, Instant::now()),
    });
    Ok(Action::requeue(wait))
}

/// An Event when a person must act, once for each reason.
async fn announce(pass: &Pass<'_>) {
    let (reason, message) = match pass.shown_moment() {
        Moment::Stalled(reason, message) => (reason, message),
        Moment::DeletionBlocked(message) => (crate::api::condition::Reason::DeletionBlocked, message),
        _ => return,
    };
    if !pass.was_stalled(reason) {
        tracing::warn!(reason = reason.as_str(), note = %message, "a person must act");
        pass.event(EventType::Warning, reason.as_str(), &message).await;
    }
}

/// The pause after an error of the Kubernetes API.
#[must_use]
pub fn error_policy(object: &GenesysOAuthClient, error: &Error, context: &Context) -> Action {
    let fraction = context.chance.fraction();
    let wait = context.memory.remember(&object.uid().unwrap_or_default(), |memory| {
        memory.failures = memory.failures.saturating_add(1);
        pause(memory.failures, fraction)
    });
    tracing::warn!(reason = error.reason(), %error, wait = ?wait, "the pass failed");
    Action::requeue(wait)
}
