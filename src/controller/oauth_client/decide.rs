//! From what was seen to what will be done: an ordered row of named checks, of which the first that applies makes the plan. Pure.

pub mod adopt;
mod limit;
mod recover;
pub mod rotate;
mod settle;

pub use settle::follows;

use limit::{limited, mint_anew};

use std::time::Duration;

use super::{
    moments::{moment_of_error, publication},
    observation::{ClientView, Destination, Observation, Organization, SecretView, client_nonce, current_rotation, destination},
    plan::{Again, MintCall, Plan, Step},
    status::{Edit, Moment, Publication},
};
use crate::{
    api::{
        GenesysOAuthClientStatus,
        condition::Reason,
        oauth_client::{
            DesiredState, DriftPolicy, Intent, IntentOperation, RetiringClient, RetiringState,
            rotation_status::{RotationStep, Trigger},
        },
        rotation_policy::RotationStrategy,
    },
    controller::snapshot::Listed,
    genesys::ClientState,
    marker::Marker,
    secret::{Credential, Published},
};

/// How many clients of one object may be on their way to deletion.
pub const MOST_RETIRING: usize = 8;
/// How often a credential is verified that nothing speaks against.
pub const VERIFICATION_INTERVAL: Duration = Duration::from_secs(86_400);
/// How long a client drains that is replaced because its secret is not known.
const DRAINING: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);
/// When a client on its way to deletion is to be taken a step further; none: when the rotation says so that replaces it.
#[must_use]
pub fn retirement_at(retiring: &RetiringClient, status: &GenesysOAuthClientStatus) -> Option<jiff::Timestamp> {
    let replaced = current_rotation(status).and_then(|current| current.former_client_id.as_ref()) == Some(&retiring.client_id);
    match retiring.state {
        RetiringState::Draining if replaced => None,
        RetiringState::Draining => Some(retiring.since.checked_add(DRAINING).unwrap_or(jiff::Timestamp::MAX)),
        RetiringState::Inactivating => Some(retiring.delete_after.unwrap_or(retiring.since)),
        RetiringState::Deleting => Some(retiring.since),
    }
}

/// How often an object is looked at whose client is held back with many others; it is woken when that ends.
const HELD_LOOK: Duration = Duration::from_secs(60);

/// How soon an organization is asked for again that this process has not looked at yet.
const FIRST_LOOK: Duration = Duration::from_millis(300);

/// Decides what the pass does.
#[must_use]
pub fn decide(seen: &Observation) -> Plan {
    held_credential(seen)
        .or_else(|| refused_by_itself(seen))
        .or_else(|| organization_unusable(seen))
        .or_else(|| other_organization(seen))
        .or_else(|| intent_met(seen))
        .or_else(|| suspended(seen))
        .or_else(|| foreign_secret(seen))
        .or_else(|| read_failed(seen))
        .or_else(|| not_allowed(seen))
        .or_else(|| recover::intent_found(seen))
        .or_else(|| recover::no_client_yet(seen))
        .or_else(|| recover::status_of_another(seen))
        .or_else(|| client_in_the_way(seen))
        .or_else(|| credential_lost(seen))
        .unwrap_or_else(|| settle::settle(seen))
}

/// A credential that was issued and not stored comes before everything else.
fn held_credential(seen: &Observation) -> Option<Plan> {
    let held = seen.memory.held.as_ref()?;
    let status = seen.status();
    let intent = status.intent.as_ref()?;
    let ours = intent.epoch == seen.epoch && intent.revision == held.revision;
    let moment = (destination(&status) == Destination::Main && publication(&status) == Publication::Never)
        .then(|| Moment::Creating("the issued credential is being stored".to_owned()));
    (ours && seen.local.is_ok() && matches!(seen.organization, Organization::Ready(..)))
        .then(|| Plan::steps(vec![Step::Publish(held.clone())], moment, Again::After(seen.times.roles)))
}

fn refused_by_itself(seen: &Observation) -> Option<Plan> {
    let refusal = seen.local.as_ref().err()?;
    Some(Plan::wait(Moment::Stalled(refusal.reason, refusal.message.clone()), Again::AtResync))
}

fn organization_unusable(seen: &Observation) -> Option<Plan> {
    let name = &seen.object.spec.organization_ref.name;
    match &seen.organization {
        Organization::Ready(..) | Organization::NotAsked => None,
        Organization::NotOurs => Some(Plan { steps: vec![], moment: None, again: Again::AtResync }),
        Organization::NotYet => {
            let wait = FIRST_LOOK.saturating_mul(1 << seen.memory.not_yet.min(6));
            Some(Plan { steps: vec![], moment: None, again: Again::After(wait) })
        }
        Organization::Absent => {
            let message =
                format!("GenesysOrganization {name:?} does not exist: create it, or correct spec.organizationRef.name in a new object");
            Some(Plan::wait(Moment::OrganizationDown(message), Again::Backoff))
        }
        Organization::NotReady(why, _) => {
            let message = format!("GenesysOrganization {name:?} is not ready: {why}");
            Some(Plan::wait(Moment::OrganizationDown(message), Again::Backoff))
        }
    }
}

fn other_organization(seen: &Observation) -> Option<Plan> {
    let Organization::Ready(_, session) = &seen.organization else { return None };
    let recorded = seen.status().organization?;
    (recorded.id != session.organization_id).then(|| {
        let message = format!(
            "GenesysOrganization {:?} now logs in to organization {}, but this client belongs to {}: give it a credential of {2} again; until then the client is left alone",
            recorded.name, session.organization_id, recorded.id
        );
        Plan::wait(Moment::Stalled(Reason::OrganizationChanged, message), Again::Backoff)
    })
}

/// The Secret carries the revision of the intent: whoever wrote it, the intent is met.
fn intent_met(seen: &Observation) -> Option<Plan> {
    let (credential, name) = meets_intent(seen)?;
    Some(Plan::steps(vec![Step::Finish(credential, name)], None, Again::After(seen.times.roles)))
}

/// The credential that meets the intent, and the Secret that holds it. The Secret's word alone is not taken: a reset must be of the
/// intent's client, a created client must show the intent's nonce.
#[must_use]
pub fn meets_intent(seen: &Observation) -> Option<(Credential, String)> {
    let status = seen.status();
    let intent = status.intent.as_ref()?;
    if destination(&status) == Destination::Rotation {
        let found = &seen.rotation.as_ref()?.next;
        return genuine(seen, intent, found).then(|| (found.credential.clone(), found.secret.metadata.name.clone().unwrap_or_default()));
    }
    let present = match &seen.secret {
        SecretView::Ours(found) => Some((found, seen.object.secret_name().to_owned())),
        _ => None,
    };
    let former = seen.former_secret.as_ref().map(|found| (found, found.secret.metadata.name.clone().unwrap_or_default()));
    present.into_iter().chain(former).find_map(|(found, name)| genuine(seen, intent, found).then(|| (found.credential.clone(), name)))
}

/// Whether what a Secret holds is what the intent asked for.
fn genuine(seen: &Observation, intent: &Intent, found: &Published) -> bool {
    let id = &found.credential.client_id;
    let genuine = match intent.operation {
        IntentOperation::Reset => intent.client_id.as_ref() == Some(id),
        IntentOperation::Adopt => intent.client_id.as_ref() == Some(id) && seen.marked.contains_key(id),
        IntentOperation::Create => seen.marked.contains_key(id) && seen.marked.get(id) == intent.nonce.as_ref(),
    };
    genuine && found.intact && found.credential.revision == intent.revision
}

fn suspended(seen: &Observation) -> Option<Plan> {
    let Organization::Ready(organization, _) = &seen.organization else { return None };
    let dry_run = adopt::dry_run(seen).map(|would| format!("; {would}")).unwrap_or_default();
    let message = if seen.object.spec.suspend {
        format!("spec.suspend is true: nothing is written until it is false{dry_run}")
    } else if organization.spec.suspend {
        format!(
            "GenesysOrganization {:?} is suspended: nothing is written until it is not{dry_run}",
            seen.object.spec.organization_ref.name
        )
    } else {
        return None;
    };
    if let Some(told) = lost_while_suspended(seen, &message) {
        return Some(told);
    }
    let status = seen.status();
    let applied = match &seen.comparison {
        Some(comparison) => comparison.drift.is_empty(),
        None => status.synced_generation == seen.object.metadata.generation && status.drift.is_empty(),
    };
    let edit = if applied { Edit::Applied } else { Edit::Waiting };
    Some(Plan::wait(Moment::Suspended(edit, message), Again::AtResync))
}

/// A credential whose client is gone or stopped works for nobody: that is told, and nothing is done about it while the object is suspended.
fn lost_while_suspended(seen: &Observation, suspended: &str) -> Option<Plan> {
    let found = client_in_the_way(seen)?;
    let (reason, message) = match found.moment? {
        Moment::Stalled(reason, message) => (reason, message),
        Moment::ClientMissing(_) => {
            let id = seen.status().client_id.unwrap_or_default();
            (Reason::ClientMissing, format!("client {id} is gone from the platform, and no other one is created meanwhile"))
        }
        _ => return None,
    };
    let again = if found.again == Again::AtResync { Again::AtResync } else { Again::After(HELD_LOOK) };
    Some(Plan::wait(Moment::Stalled(reason, format!("{message}; {suspended}")), again))
}

fn foreign_secret(seen: &Observation) -> Option<Plan> {
    let SecretView::Foreign(detail) = &seen.secret else { return None };
    let message = format!(
        "Secret {:?} belongs to somebody else ({detail}), and is never overwritten: choose another spec.credentialsSecret.name, or remove that Secret",
        seen.object.secret_name()
    );
    Some(Plan::wait(Moment::Stalled(Reason::Conflict, message), Again::Backoff))
}

fn read_failed(seen: &Observation) -> Option<Plan> {
    let error = seen.failed.as_ref()?;
    let (moment, again) = moment_of_error(error, &seen.status());
    Some(Plan::wait(moment, again))
}

fn not_allowed(seen: &Observation) -> Option<Plan> {
    let refusal = seen.declared.as_ref()?.as_ref().err()?;
    let moment = Some(Moment::Stalled(refusal.reason, refusal.message.clone()));
    if seen.status().client_id.is_some()
        && let Some(found) = recover::intent_found(seen).filter(|_| seen.current().is_some())
    {
        return Some(Plan { moment, ..found });
    }
    // A rotation that was started is finished, what is on its way to deletion goes, and an emergency waits for nothing.
    let emergency = seen.timetable.wish.as_ref().is_some_and(|wish| wish.trigger == Trigger::Emergency);
    let plan = if seen.current().is_some() || emergency {
        credential_lost(seen).unwrap_or_else(|| settle::settle(seen))
    } else {
        settle::retire_only(seen)
    };
    let again = if plan.again == Again::AtResync { Again::Backoff } else { plan.again };
    Some(Plan { moment, again, ..plan })
}

/// The client is gone, disabled, or somebody else's.
fn client_in_the_way(seen: &Observation) -> Option<Plan> {
    let status = seen.status();
    let id = status.client_id.as_deref()?;
    let stalled = |reason, message| Some(Plan::wait(Moment::Stalled(reason, message), Again::Backoff));
    if let Organization::Ready(_, session) = &seen.organization
        && session.own_client_id() == id
    {
        return stalled(Reason::Conflict, format!("client {id} is the operator's own: no object may manage it"));
    }
    let client = match (&seen.client, &seen.listed) {
        // Its successor is on its way already.
        (ClientView::Missing, _) if rotate::replaces_unseen(seen) => return None,
        (ClientView::Missing, _) => return client_missing(seen, id),
        (ClientView::Present(client), _) => client,
        // What only a scan shows keeps nobody from going on, or back, in a rotation.
        (ClientView::NotRead, Listed::Present(client, _)) if seen.current().is_none() => client,
        (ClientView::NotRead, _) => return None,
    };
    let foreign = client.description.as_deref().and_then(Marker::parse).is_some_and(|marker| marker.owner != seen.owner);
    match client.state {
        _ if foreign => stalled(
            Reason::Conflict,
            format!(
                "client {id} carries the marker of another object, and is left alone: delete this object, which leaves that client alone, and create another one"
            ),
        ),
        ClientState::Disabled => stalled(Reason::ClientDisabled, format!("Genesys disabled client {id}: ask Genesys support")),
        ClientState::Inactive
            if status.applied_state == Some(DesiredState::Active)
                && seen.object.spec.state == DesiredState::Active
                && seen.timetable.wish.as_ref().is_none_or(|wish| wish.trigger == Trigger::Schedule) =>
        {
            stalled(
                Reason::DeactivatedOutside,
                format!(
                    "somebody made client {id} inactive on the platform: activate it there, request a rotation, or set spec.state: Inactive"
                ),
            )
        }
        _ => None,
    }
}

fn client_missing(seen: &Observation, id: &str) -> Option<Plan> {
    if seen.object.spec.state == DesiredState::Inactive {
        return Some(Plan::wait(Moment::Inactive, Again::AtResync));
    }
    let message = format!("client {id} is gone from the platform: another one is created for this object");
    let certain_at = seen.memory.missing_since? + seen.times.window;
    if seen.object.spec.adopt.is_some() {
        // Nothing comes of it but these words, so that they need no second look.
        let message = format!(
            "client {id}, which was adopted or replaced an adopted one, is gone from the platform: no other one is created in its place; delete this object, and create one without spec.adopt if you want a new client"
        );
        return Some(Plan::wait(Moment::Stalled(Reason::ClientMissing, message), Again::Backoff));
    }
    if seen.instant < certain_at {
        return Some(Plan::wait(Moment::ClientMissing(message), Again::After(certain_at.saturating_duration_since(seen.instant))));
    }
    if seen.object.spec.drift_policy == DriftPolicy::Report {
        let message = format!(
            "client {id} is gone from the platform, and driftPolicy is Report: set driftPolicy: Correct for another client, or delete this object"
        );
        return Some(Plan::wait(Moment::Stalled(Reason::ClientMissing, message), Again::Backoff));
    }
    if let Some(why) = &seen.held {
        return Some(Plan::wait(Moment::ClientMissing(format!("client {id} is gone from the platform; {why}")), Again::After(HELD_LOOK)));
    }
    let mut plan = mint_anew(seen, MintCall::Create { nonce: None }, &message);
    if matches!(plan.moment, Some(Moment::Creating(_))) {
        plan.moment = Some(Moment::ClientMissing(message));
    }
    Some(plan)
}

/// The published credential exists no longer, or no longer works.
fn credential_lost(seen: &Observation) -> Option<Plan> {
    let status = seen.status();
    let client_id = status.client_id.clone()?;
    let revision = status.revision?;
    let name = seen.object.secret_name();
    if let Some(credential) = held_in_rotation(seen) {
        // It was only lost where workloads read it.
        return Some(Plan::steps(vec![Step::StoreSecret(credential)], None, Again::After(Duration::ZERO)));
    }
    let refuted = seen.memory.refuted == Some(revision) && seen.object.spec.state == DesiredState::Active;
    let (intact, message) = match published(seen) {
        Some(credential) if !refuted => {
            let _ = credential;
            return None;
        }
        Some(_) => match &seen.secret {
            SecretView::Ours(published) if !published.intact => {
                (false, format!("Secret {name:?} was edited, and what it holds does not work: a new secret is issued"))
            }
            _ => (true, format!("the platform refuses the credential in Secret {name:?}: a new secret is issued")),
        },
        None => (false, format!("Secret {name:?} is gone or holds no current credential: it is written anew")),
    };
    if seen.object.spec.public_client {
        let credential = Credential { client_id, client_secret: None, revision, issued_at: status.issued_at, nonce: client_nonce(&status) };
        return Some(Plan::steps(vec![Step::StoreSecret(credential)], Some(Moment::SecretMissing(message)), Again::After(Duration::ZERO)));
    }
    // What is under way replaces it; a reset that did not help is done again.
    let part = match seen.current() {
        Some(current) if current.strategy == RotationStrategy::Replace && current.is_published() => {
            // Nothing holds the new credential any more: the rotation is over, and the old client works on meanwhile.
            return Some(Plan::steps(vec![Step::Abandon], None, Again::After(Duration::ZERO)));
        }
        Some(current) if current.strategy == RotationStrategy::Replace || current.step == RotationStep::Regenerating => rotate::part(seen),
        _ => rotate::repair(seen),
    };
    let lost = if intact { Moment::CredentialRejected(message) } else { Moment::SecretMissing(message) };
    let moment = part.moment.filter(|moment| matches!(moment, Moment::Stalled(..))).unwrap_or(lost);
    Some(Plan { steps: part.steps, moment: Some(moment), again: part.again })
}

/// The credential that status says is published, where a Secret still holds it.
#[must_use]
pub fn published(seen: &Observation) -> Option<Credential> {
    let status = seen.status();
    let whole = |credential: &Credential, holds_secret: bool, intact: bool| {
        // A higher revision was published by a pass whose status was lost; it names the client that counts.
        ((intact
            && Some(credential.revision) > status.revision
            && (seen.marked.contains_key(&credential.client_id) || Some(&credential.client_id) == status.client_id.as_ref()))
            || (Some(credential.revision) == status.revision && Some(&credential.client_id) == status.client_id.as_ref()))
            && (seen.object.spec.public_client || (holds_secret && credential.client_secret.is_some()))
    };
    let present = match &seen.secret {
        SecretView::Ours(found) => Some(found),
        _ => None,
    };
    let candidates = present.into_iter().chain(seen.former_secret.as_ref());
    let found =
        candidates.filter(|found| whole(&found.credential, found.holds_secret, found.intact)).map(|found| found.credential.clone()).next();
    found.or_else(|| held_in_rotation(seen))
}

/// The published credential as the rotation Secret holds it, where the main one is gone or was edited.
fn held_in_rotation(seen: &Observation) -> Option<Credential> {
    let status = seen.status();
    let spoilt = match &seen.secret {
        SecretView::Ours(found) => !found.intact || found.credential.revision != status.revision?,
        SecretView::Absent => true,
        SecretView::Foreign(_) => false,
    };
    let credential = seen.rotation.as_ref()?.credential_of(status.client_id.as_deref()?)?;
    // A higher revision is never written over, also one that somebody made up: the next credential takes the one after it.
    let spoilt = spoilt && !matches!(&seen.secret, SecretView::Ours(found) if found.credential.revision > credential.revision);
    (spoilt && Some(credential.revision) == status.revision).then(|| credential.clone())
}

/// Where an object stands whose last call has an unknown outcome; a rotation by Replace leaves it where it is.
fn recovering(status: &GenesysOAuthClientStatus, message: &str) -> Option<Moment> {
    let adopts = status.intent.as_ref().is_some_and(|intent| intent.operation == IntentOperation::Adopt);
    match (destination(status), publication(status)) {
        _ if adopts => Some(Moment::Adopting(message.to_owned())),
        (Destination::Rotation, _) => None,
        _ if current_rotation(status).is_some_and(|current| current.strategy == RotationStrategy::Regenerate) => {
            Some(Moment::Regenerating(message.to_owned()))
        }
        (Destination::Main, Publication::Never) => Some(Moment::Creating(message.to_owned())),
        (Destination::Main, _) => Some(Moment::SecretMissing(message.to_owned())),
    }
}

#[cfg(test)]
mod drift_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;
