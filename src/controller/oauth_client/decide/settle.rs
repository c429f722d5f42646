//! The plan for an object whose client and credential exist: bring what differs to what spec says, prove what is not proven. Pure.

use std::time::Duration;

use tokio::time::Instant;

use super::{VERIFICATION_INTERVAL, drained_at, published};
use crate::{
    api::{
        GenesysOAuthClientStatus,
        condition::Reason,
        oauth_client::{DesiredState, RetiringClient, RetiringState},
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
    if verifiable {
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
    Plan { steps, moment: standing, again }
}

/// When the next of the retiring clients is due; never the published one.
fn next_retirement(seen: &Observation, status: &GenesysOAuthClientStatus) -> Option<Duration> {
    let others = status.retiring.iter().filter(|retiring| Some(&retiring.client_id) != status.client_id.as_ref());
    others.map(|retiring| retirement_due(seen, retiring)).min()
}

/// How long a retiring client is left alone yet.
fn retirement_due(seen: &Observation, retiring: &RetiringClient) -> Duration {
    match retiring.state {
        RetiringState::Draining => Duration::try_from(drained_at(retiring).duration_since(seen.now)).unwrap_or_default(),
        RetiringState::Inactivating | RetiringState::Deleting => Duration::ZERO,
    }
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
        return until(known_since(seen, revision) + seen.times.roles);
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
