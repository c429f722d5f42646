//! The plan where an intent was found, or where no client is known: look for the clients that carry this object's marker first. Pure.

use std::time::Duration;

use super::{adopt, mint_anew, recovering};
use crate::{
    api::{
        GenesysOAuthClientStatus,
        condition::Reason,
        oauth_client::{IntentOperation, RetiringState},
    },
    controller::oauth_client::{
        observation::{ClientView, Destination, Observation, Readiness, Relative, SecretView, destination, readiness},
        plan::{Again, Counts, Mint, MintCall, Plan, Step},
        status::Moment,
    },
    genesys::ClientState,
    marker::Marker,
    secret::Credential,
};

pub(super) fn intent_found(seen: &Observation) -> Option<Plan> {
    let status = seen.status();
    let intent = status.intent.as_ref()?;
    match readiness(&seen.object, &seen.memory, &seen.epoch, &seen.times, seen.instant) {
        Readiness::None => return None,
        Readiness::Waits(until) => {
            let message = "the outcome of the last call is not known yet: the operator looks for the client before it does anything again";
            return Some(Plan::steps(vec![], recovering(&status, message), Again::After(until.saturating_duration_since(seen.instant))));
        }
        Readiness::Open(_) => {}
    }
    let mint = |call| {
        Step::Mint(Mint {
            call,
            revision: seen.highest_revision() + 1,
            attempt: intent.attempt + 1,
            counts: Counts::AsRecovery,
            rotation: None,
        })
    };
    let moment = recovering(&status, "the outcome of the last call was lost: the operator goes on from what it found");
    if intent.operation == IntentOperation::Reset {
        let call = MintCall::Reset { client_id: intent.client_id.clone()?, nonce: intent.nonce.clone() };
        return Some(Plan::steps(vec![mint(call)], moment, Again::After(seen.times.roles)));
    }
    if let Some(wait) = scan_waits(seen, &status) {
        return Some(wait);
    }
    if intent.operation == IntentOperation::Adopt {
        // What was lost can be done again: it starts from the look.
        return adopt::adopt(seen);
    }
    let nonce = intent.nonce.clone()?;
    let found: Vec<_> =
        seen.family.as_ref()?.iter().filter(|relative| relative.nonce == nonce && !is_retiring(&status, relative)).collect();
    let in_secret = match (&seen.rotation, &seen.secret) {
        (Some(rotation), _) if destination(&status) == Destination::Rotation => Some(rotation.next.credential.client_id.as_str()),
        (_, SecretView::Ours(published)) => Some(published.credential.client_id.as_str()),
        _ => None,
    };
    let Some(keep) = oldest(&found, &[in_secret, status.client_id.as_deref()]) else {
        if matches!(&seen.declared, Some(Err(_))) {
            // Access was withdrawn, and no client was created: the rotation ends here.
            return Some(Plan::steps(vec![Step::Rotate], moment, Again::After(Duration::ZERO)));
        }
        return Some(Plan::steps(vec![mint(MintCall::Create { nonce: Some(nonce) })], moment, Again::After(seen.times.roles)));
    };
    let mut steps = retire_others(&found, keep, RetiringState::Inactivating);
    steps.push(if seen.object.spec.public_client {
        Step::Publish(public_credential(keep, intent.revision))
    } else {
        mint(MintCall::Reset { client_id: keep.client.id.clone(), nonce: Some(nonce) })
    });
    Some(Plan::steps(steps, moment, Again::After(seen.times.roles)))
}

pub(super) fn no_client_yet(seen: &Observation) -> Option<Plan> {
    let status = seen.status();
    if status.client_id.is_some() {
        return None;
    }
    if let Some(wait) = scan_waits(seen, &status) {
        return Some(wait);
    }
    let family = seen.family.as_ref()?;
    let live: Vec<_> =
        family.iter().filter(|relative| relative.client.state == ClientState::Active && !is_retiring(&status, relative)).collect();
    let nonces: Vec<String> = live.iter().map(|relative| relative.nonce.clone()).collect();
    if let SecretView::Ours(found) = &seen.secret
        && seen.marked.contains_key(&found.credential.client_id)
    {
        let keep = &found.credential.client_id;
        let others: Vec<String> = live.iter().map(|relative| relative.client.id.clone()).filter(|id| id != keep).collect();
        let mut steps = vec![Step::Own { nonces, published: Some(found.credential.clone()) }];
        // A rotation may have been under way, and workloads may still use the other one.
        steps.extend((!others.is_empty()).then_some(Step::EnterRetirement(others, RetiringState::Draining)));
        return Some(Plan::steps(steps, None, Again::After(Duration::ZERO)));
    }
    let adopts = seen.object.spec.adopt.as_ref().is_some_and(|adopt| {
        let retires = status.retiring.iter().any(|retiring| retiring.client_id == adopt.client_id);
        !retires && live.iter().all(|relative| relative.client.id == adopt.client_id)
    });
    if adopts {
        return adopt::adopt(seen);
    }
    if seen.memory.marker_refused.is_some() && seen.memory.marker_refused == seen.object.metadata.generation {
        let message = "the platform cuts the marker off the description of this object's clients: shorten spec.description";
        return Some(Plan::wait(Moment::Stalled(Reason::MarkerRefused, message.to_owned()), Again::Backoff));
    }
    let Some(keep) = oldest(&live, &[]) else {
        return Some(mint_anew(seen, MintCall::Create { nonce: None }, "the client is being created"));
    };
    if seen.object.spec.public_client {
        let mut steps = vec![Step::Own { nonces, published: None }];
        steps.extend(retire_others(&live, keep, RetiringState::Inactivating));
        steps.push(Step::Publish(public_credential(keep, seen.highest_revision() + 1)));
        return Some(Plan::steps(steps, Some(Moment::Creating("the client is taken back".to_owned())), Again::After(seen.times.roles)));
    }
    // Nobody knows who still uses their secrets: they are replaced, and drain for a while.
    let message =
        format!("client {} carries this object's marker, but its secret is not known here: it is replaced, and drains", keep.client.id);
    let mut plan = mint_anew(seen, MintCall::Create { nonce: None }, &message);
    if !plan.steps.is_empty() {
        let ids = live.iter().map(|relative| relative.client.id.clone()).collect();
        plan.steps.splice(0..0, [Step::Own { nonces, published: None }, Step::EnterRetirement(ids, RetiringState::Draining)]);
    }
    Some(plan)
}

/// Status is memory, not authority: where it names a client that is gone or carries another object's marker, and the object's own Secret holds
/// the credential of one that carries its own, that one is the object's.
pub(super) fn status_of_another(seen: &Observation) -> Option<Plan> {
    let named = seen.status().client_id?;
    let SecretView::Ours(found) = &seen.secret else { return None };
    let held = &found.credential;
    let nonce = seen.marked.get(&held.client_id).filter(|_| found.intact && held.client_id != named)?;
    let not_ours = match &seen.client {
        ClientView::Missing => true,
        ClientView::Present(client) => {
            client.description.as_deref().and_then(Marker::parse).is_some_and(|marker| marker.owner != seen.owner)
        }
        ClientView::NotRead => false,
    };
    let step = Step::Own { nonces: vec![nonce.clone()], published: Some(held.clone()) };
    not_ours.then(|| Plan::steps(vec![step], None, Again::After(Duration::ZERO)))
}

/// Our own last write may be missing from a scan for a while.
fn scan_waits(seen: &Observation, status: &GenesysOAuthClientStatus) -> Option<Plan> {
    let wait = seen.scan_after?.saturating_duration_since(seen.instant);
    let moment = recovering(status, "the operator waits until a scan must show its own last write");
    Some(Plan::steps(vec![], moment, Again::After(wait)))
}

fn is_retiring(status: &GenesysOAuthClientStatus, relative: &Relative) -> bool {
    status.retiring.iter().any(|retiring| retiring.client_id == relative.client.id)
}

/// The one to keep: the first that is named, else the oldest by creation and id.
fn oldest<'a>(found: &[&'a Relative], named: &[Option<&str>]) -> Option<&'a Relative> {
    let by_name = named.iter().flatten().find_map(|name| found.iter().find(|relative| relative.client.id == *name));
    by_name.copied().or_else(|| found.iter().copied().min_by_key(|relative| (relative.client.date_created, relative.client.id.clone())))
}

fn retire_others(found: &[&Relative], keep: &Relative, state: RetiringState) -> Vec<Step> {
    let others: Vec<String> =
        found.iter().filter(|relative| relative.client.id != keep.client.id).map(|relative| relative.client.id.clone()).collect();
    if others.is_empty() { vec![] } else { vec![Step::EnterRetirement(others, state)] }
}

fn public_credential(relative: &Relative, revision: i64) -> Credential {
    Credential {
        client_id: relative.client.id.clone(),
        client_secret: None,
        revision,
        issued_at: relative.client.date_created,
        nonce: Some(relative.nonce.clone()),
    }
}
