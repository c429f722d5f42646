//! The plan where `spec.adopt` names a client that exists: what stands in the way, else the step that marks it. Pure.

use std::time::Duration;

use super::limited;
use crate::{
    api::{
        condition::Reason,
        oauth_client::{Adopt, DriftPolicy},
    },
    controller::oauth_client::{
        observation::{AdoptedSecret, Adoption, ClientView, Observation, Organization, SecretView},
        plan::{AdoptedBy, Adopting, Again, Plan, Step},
        status::Moment,
        validate::{Refusal, platform_grant},
    },
    genesys::{ClientState, OAuthClient, Probe},
    marker::Marker,
};

/// How soon it is looked again which objects there are.
const NOT_ALL_SHOWN: Duration = Duration::from_secs(10);

/// What a person must do before the client can be adopted; none: nothing but its secret is left to be looked at.
#[must_use]
pub fn obstacle(seen: &Observation, adoption: &Adoption) -> Option<Refusal> {
    let id = &seen.object.spec.adopt.as_ref()?.client_id;
    let refusal = |reason, message: String| Some(Refusal::new(reason, message));
    if let Organization::Ready(_, session) = &seen.organization
        && session.own_client_id() == id
    {
        return refusal(Reason::Conflict, format!("client {id} is the operator's own: no object may manage it"));
    }
    let ClientView::Present(client) = &adoption.client else {
        let message = format!("spec.adopt: the organization has no client {id}: create a new object with the id of one that it has");
        return refusal(Reason::AdoptedClientNotFound, message);
    };
    match client.description.as_deref().and_then(Marker::parse) {
        Some(marker) if marker.owner != seen.owner => {
            return refusal(
                Reason::Conflict,
                format!(
                    "client {id} carries the marker of another object, of this cluster or of another: delete that object, whose deletionPolicy must be Orphan, or remove the marker from the client's description on the platform"
                ),
            );
        }
        _ => {}
    }
    if let Some(other) = &adoption.claimed_by {
        return refusal(
            Reason::Conflict,
            format!("object {other}, which comes first, has client {id}: delete one of the two objects, or name another client"),
        );
    }
    let grant = platform_grant(seen.object.spec.grant_type);
    if client.grant_type != grant {
        let message = format!(
            "client {id} is of the platform's grant type {}, and spec.grantType stands for {grant}: create a new object with the client's own grant type",
            client.grant_type
        );
        return refusal(Reason::InvalidSpec, message);
    }
    match client.state {
        ClientState::Active => {}
        ClientState::Disabled => return refusal(Reason::ClientDisabled, format!("Genesys disabled client {id}: ask Genesys support")),
        _ => {
            let message = format!("client {id} is {} on the platform: activate it there, and it is adopted", client.state);
            return refusal(Reason::DeactivatedOutside, message);
        }
    }
    adoption.allowed.clone().err()
}

/// The plan that adopts the client.
pub(super) fn adopt(seen: &Observation) -> Option<Plan> {
    let wanted = seen.object.spec.adopt.as_ref()?;
    let id = &wanted.client_id;
    let Some(adoption) = &seen.adoption else {
        let message = format!("client {id} is adopted when it is known which other objects there are");
        return Some(Plan::wait(Moment::Adopting(message), Again::After(NOT_ALL_SHOWN)));
    };
    if let Some(Refusal { reason, message }) = obstacle(seen, adoption) {
        return Some(Plan::wait(Moment::Stalled(reason, message), Again::Backoff));
    }
    let ClientView::Present(client) = &adoption.client else { return None };
    let by = match by(wanted, &adoption.secret) {
        Ok(by) => by,
        Err(moment) => return Some(Plan::wait(moment, Again::Backoff)),
    };
    let cut = seen.memory.adoption_cut.as_ref().filter(|(generation, _)| *generation == seen.object.metadata.generation);
    // What was cut may stand there too: where it could not be put back, and in a read that lags.
    if let Some((_, [before, after])) = cut
        && [before, after].contains(&&client.description)
    {
        let also =
            if *before == client.description { "" } else { ", and its description could not be put back: look at it on the platform" };
        let message = format!("the platform cuts the marker off the description of client {id}{also}: shorten its description");
        return Some(Plan::wait(Moment::Stalled(Reason::MarkerRefused, message), Again::Backoff));
    }
    let intent = seen.status().intent;
    let carried = client.description.as_deref().and_then(Marker::parse).map(|marker| marker.nonce);
    let step = Adopting {
        client: client.clone(),
        nonce: carried.or_else(|| intent.as_ref().and_then(|intent| intent.nonce.clone())),
        by,
        revision: seen.highest_revision() + 1,
        attempt: intent.map_or(1, |intent| intent.attempt + 1),
    };
    let moment = Moment::Adopting(format!("client {id} is being adopted"));
    Some(limited(seen, Plan::steps(vec![Step::Adopt(step)], Some(moment), Again::After(seen.times.roles))))
}

/// How the secret comes into the credentials Secret; or where the object stands that waits for it.
fn by(wanted: &Adopt, secret: &AdoptedSecret) -> Result<AdoptedBy, Moment> {
    let id = &wanted.client_id;
    let rejected = |why: &str| {
        let message = format!(
            "spec.adopt: the platform refuses the secret in the Secret of secretRef for client {id} ({why}): correct that Secret, or set resetSecret: true instead, which ends the client's present secret"
        );
        Err(Moment::Stalled(Reason::AdoptedSecretRejected, message))
    };
    match secret {
        AdoptedSecret::NotNeeded if wanted.reset_secret => Ok(AdoptedBy::Reset),
        AdoptedSecret::NotNeeded => Ok(AdoptedBy::NoSecret),
        AdoptedSecret::Absent(missing) => Err(Moment::WaitingForSecret(missing.clone())),
        AdoptedSecret::NotTried => Err(Moment::Adopting(format!("the secret of client {id} was not tried yet"))),
        AdoptedSecret::Tried(secret, Probe::Proven) => Ok(AdoptedBy::Secret(secret.clone())),
        AdoptedSecret::Tried(_, Probe::InvalidClient { description }) => rejected(description),
        AdoptedSecret::Tried(_, Probe::Mismatch { reason }) => rejected(reason),
        AdoptedSecret::Tried(_, Probe::Undecided { reason }) => {
            Err(Moment::Adopting(format!("the secret of client {id} could be neither proven nor refuted yet ({reason})")))
        }
    }
}

/// What an adoption would do that waits because the object is suspended; none where none would.
pub(super) fn dry_run(seen: &Observation) -> Option<String> {
    let wanted = seen.object.spec.adopt.as_ref()?;
    if seen.status().client_id.is_some() {
        return None;
    }
    let id = &wanted.client_id;
    let refused = |reason: Reason, message: &str| format!("the adoption of client {id} would be refused ({}): {message}", reason.as_str());
    if let SecretView::Foreign(detail) = &seen.secret {
        return Some(refused(Reason::Conflict, &format!("Secret {:?} belongs to somebody else ({detail})", seen.object.secret_name())));
    }
    if let Some(Err(refusal)) = &seen.declared {
        return Some(refused(refusal.reason, &refusal.message));
    }
    let plan = adopt(seen)?;
    match (plan.moment, &plan.steps[..]) {
        (_, [Step::Adopt(step)]) => Some(would_do(seen, wanted, step)),
        (Some(Moment::Stalled(reason, message)), _) => Some(refused(reason, &message)),
        (Some(Moment::Adopting(message) | Moment::WaitingForSecret(message)), _) => Some(message),
        _ => None,
    }
}

fn would_do(seen: &Observation, wanted: &Adopt, step: &Adopting) -> String {
    let id = &wanted.client_id;
    let secret = match step.by {
        AdoptedBy::Secret(_) => "its secret, which works, would be stored",
        AdoptedBy::Reset => "its secret would be reset, and the present one end",
        AdoptedBy::NoSecret => "it has no secret",
    };
    let changes = changes(seen, &step.client);
    let then = match seen.object.spec.drift_policy {
        _ if changes.is_empty() => "nothing else of it would change".to_owned(),
        DriftPolicy::Correct => format!("it would then be changed: {changes}"),
        DriftPolicy::Report => format!("nothing else of it would change, as driftPolicy is Report; this would be told as drift: {changes}"),
    };
    format!("client {id} ({:?}) would be adopted: its description would get this object's marker, {secret}, and {then}", step.client.name)
}

/// What the update after an adoption would change, field by field.
fn changes(seen: &Observation, client: &OAuthClient) -> String {
    let Some(Ok(declared)) = &seen.declared else { return String::new() };
    let marker = seen.owner.marker("");
    let mut wished = declared.request(&marker, seen.wished_state());
    // The marker was told of already.
    wished.description = wished.description.map(|text| text.trim_end_matches(&marker.to_string()).trim_end().to_owned());
    let told = |value: &serde_json::Value| crate::api::condition::shorten(&value.to_string(), 200);
    let differences = wished.differences(client);
    let lines: Vec<String> = differences
        .iter()
        .map(|difference| format!("{} from {} to {}", difference.field, told(&difference.actual), told(&difference.declared)))
        .collect();
    lines.join("; ")
}
