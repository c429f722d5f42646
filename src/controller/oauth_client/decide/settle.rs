//! The plan for an object whose client and credential exist: bring what differs to what spec says, prove what is not proven. Pure.

use std::time::Duration;

use tokio::time::Instant;

use super::{VERIFICATION_INTERVAL, published, retirement_at, rotate};
use crate::{
    api::{
        GenesysOAuthClient, GenesysOAuthClientStatus,
        condition::Reason,
        oauth_client::{DesiredState, DriftPolicy, RetiringState},
        rotation_policy::RotationStrategy,
    },
    controller::oauth_client::{
        observation::{ClientView, Observation, Organization, SecretView},
        plan::{Again, Plan, Step},
        status::Moment,
        validate,
    },
    secret::{self, Credential},
};

/// Everything exists: bring what differs to what spec says, and prove what is not proven.
pub(super) fn settle(seen: &Observation) -> Plan {
    let status = seen.status();
    let mut steps = vec![];
    let mut again = Again::AtResync;
    let mut standing = None;
    let Some(credential) = published(seen) else {
        return Plan { steps, moment: None, again };
    };
    if let Some(step) = rotate::publish_was_cut_short(seen) {
        return Plan { steps: vec![step], moment: None, again: Again::After(Duration::ZERO) };
    }
    if status.revision != Some(credential.revision) {
        let name = match &seen.secret {
            SecretView::Ours(found) if found.credential.revision == credential.revision => seen.object.secret_name().to_owned(),
            _ => seen.former_secret.as_ref().and_then(|former| former.secret.metadata.name.clone()).unwrap_or_default(),
        };
        return Plan { steps: vec![Step::Finish(credential, name)], moment: None, again: Again::After(Duration::ZERO) };
    }
    if status.synced_generation != seen.object.metadata.generation {
        let unheeded = match &seen.client {
            ClientView::Present(client) => Some((seen.object.metadata.generation.unwrap_or_default(), client.date_modified)),
            _ => None,
        };
        if unheeded.is_some() && seen.memory.unheeded == unheeded {
            let message = "the platform took the last update and still shows other values: correct spec to what it allows, or correct the client on the platform";
            standing = Some(Moment::Stalled(Reason::PlatformRejected, message.to_owned()));
            again = Again::Backoff;
        } else {
            steps.push(Step::Update);
        }
    }
    match correction(seen, &status) {
        Correction::None => {}
        Correction::Possible => steps.push(Step::Correct),
        Correction::Refused => {
            let message = "the platform took the last correction and still shows other values: see status.drift, and correct spec to what it allows, or set driftPolicy: Report";
            standing = Some(Moment::Stalled(Reason::PlatformRejected, message.to_owned()));
            again = Again::Backoff;
        }
    }
    let verifiable = seen.object.spec.state == DesiredState::Active && status.applied_state != Some(DesiredState::Inactive);
    let edited = match &seen.secret {
        SecretView::Ours(found) if !found.intact => Some(found),
        _ => None,
    };
    let trusted_edit =
        edited.is_some_and(|found| seen.memory.edited_but_proven.is_some() && seen.memory.edited_but_proven == found.resource_version);
    if edited.is_some() && !trusted_edit && verifiable && credential.client_secret.is_some() {
        steps.push(Step::Verify(credential));
        return Plan { steps, moment: None, again: Again::After(Duration::ZERO) };
    }
    // What was edited and not proven is never made ours by a new digest, unless there is no secret in it to be lost.
    let blessed = edited.is_none() || trusted_edit || credential.client_secret.is_none();
    let renamed = status.effective.as_ref().is_some_and(|effective| effective.secret_name != seen.object.secret_name());
    if blessed && (renamed || wished_secret_differs(seen, &credential)) {
        steps.push(Step::StoreSecret(credential.clone()));
    }
    if status.former_secrets.iter().any(|former| former.remove_after <= seen.now) {
        steps.push(Step::DropFormerSecret);
    }
    if follows(&seen.object, &status) {
        steps.push(Step::Follow(credential.clone()));
    }
    if verifiable && !rotate::replaces_unseen(seen) {
        match verification_due(seen, &status) {
            Due::Now => steps.push(Step::Verify(credential)),
            Due::In(wait) => again = again.or(Again::After(wait.min(seen.times.resync))),
        }
    }
    if let Some(surplus) = seen.memory.surplus.clone().filter(|id| status.client_id.as_ref() != Some(id)) {
        steps.push(Step::EnterRetirement(vec![surplus], RetiringState::Inactivating));
        again = Again::After(Duration::ZERO);
    } else if let Some(due) = next_retirement(seen, &status) {
        if due.is_zero() {
            steps.push(Step::Retire);
        }
        again = again.or(Again::After(due.min(seen.times.resync)));
    }
    if status.rotation.as_ref().is_none_or(|rotation| rotation.current.is_none()) && seen.rotation.is_some() {
        steps.push(Step::DropRotationSecret);
    }
    let part = rotate::part(seen);
    steps.extend(part.steps);
    Plan { steps, moment: standing.or(part.moment), again: again.or(part.again) }
}

/// What is done about a drift.
enum Correction {
    None,
    Possible,
    /// The platform took one and went on to show other values: it is not sent again until spec or the client changes.
    Refused,
}

fn correction(seen: &Observation, status: &GenesysOAuthClientStatus) -> Correction {
    let waits = status.synced_generation != seen.object.metadata.generation;
    if waits || seen.object.spec.drift_policy == DriftPolicy::Report {
        return Correction::None;
    }
    let generation = seen.object.metadata.generation.unwrap_or_default();
    match &seen.comparison {
        Some(comparison) if comparison.drift.is_empty() => Correction::None,
        Some(comparison) if seen.memory.unheeded == Some((generation, comparison.sight.modified)) => Correction::Refused,
        Some(_) => Correction::Possible,
        None if !status.drift.is_empty() && seen.memory.unheeded.is_some_and(|(known, _)| known == generation) => Correction::Refused,
        None => Correction::None,
    }
}

/// What may be done where nothing is allowed: what is on its way to deletion goes.
pub(super) fn retire_only(seen: &Observation) -> Plan {
    let status = seen.status();
    match next_retirement(seen, &status) {
        Some(due) if due.is_zero() && status.intent.is_none() => Plan::steps(vec![Step::Retire], None, Again::AtResync),
        Some(due) => Plan::steps(vec![], None, Again::After(due.min(seen.times.resync))),
        None => Plan::steps(vec![], None, Again::AtResync),
    }
}

/// Whether something beside the Secret is to carry the published credential and does not yet.
#[must_use]
pub fn follows(object: &GenesysOAuthClient, status: &GenesysOAuthClientStatus) -> bool {
    let spec = &object.spec;
    let active = spec.state == DesiredState::Active && !spec.public_client;
    let unwritten = !spec.integration_credentials.is_empty() && status.carried_generation != object.metadata.generation;
    active && (status.carried_revision != status.revision || unwritten)
}

/// When the next of the retiring clients is due; never the published one, nor one that its rotation still needs.
fn next_retirement(seen: &Observation, status: &GenesysOAuthClientStatus) -> Option<Duration> {
    let others = status.retiring.iter().filter(|retiring| Some(&retiring.client_id) != status.client_id.as_ref());
    others.filter_map(|retiring| retirement_at(retiring, status)).map(|at| seen.time_to(at).unwrap_or_default()).min()
}

/// Since when this process knows the credential.
fn known_since(seen: &Observation, revision: Option<i64>) -> Instant {
    seen.memory.published.filter(|(known, _)| Some(*known) == revision).map_or(seen.instant, |(_, at)| at)
}

enum Due {
    Now,
    In(Duration),
}

fn verification_due(seen: &Observation, status: &GenesysOAuthClientStatus) -> Due {
    let until = |at: Instant| if at <= seen.instant { Due::Now } else { Due::In(at - seen.instant) };
    let revision = status.revision;
    if status.verified_revision != revision {
        // Roles of a client whose secret was reset are known everywhere.
        let reset = seen.current().is_some_and(|current| current.strategy == RotationStrategy::Regenerate);
        let spread = if reset { Duration::ZERO } else { seen.times.roles };
        return until(known_since(seen, revision) + spread);
    }
    if let Some(at) = seen.memory.verify_again {
        return until(at);
    }
    if seen.memory.refused_since.is_some_and(|(known, _)| Some(known) == revision) {
        return Due::Now;
    }
    match seen.memory.verified.filter(|(known, _)| Some(*known) == revision) {
        Some((_, at)) => until(at + VERIFICATION_INTERVAL),
        None => until(known_since(seen, revision) + seen.times.verification_spread),
    }
}

fn wished_secret_differs(seen: &Observation, credential: &Credential) -> bool {
    let (Ok(local), Organization::Ready(_, session)) = (&seen.local, &seen.organization) else { return false };
    let SecretView::Ours(live) = &seen.secret else { return true };
    let surroundings = validate::surroundings(local, session.platform.endpoints(), &session.organization_id);
    let form = seen.object.spec.credentials_secret.as_ref();
    let wished =
        secret::build(Some(&live.secret), seen.object.secret_name(), &seen.ownership, form, &local.keys, &surroundings, credential);
    !secret::same(&live.secret, &wished)
}
