//! Adopts a client that exists (talks to the network): intent by compare-and-swap, marker, then its secret into the Secret. Everything was judged before.

use kube::runtime::events::EventType;
use serde_json::json;
use tokio::time::Instant;

use super::{
    intent,
    mint::{hands_over, mint, show},
    observation::{Observation, Organization},
    pass::Pass,
    plan::{AdoptedBy, Adopting, Again, Counts, Mint, MintCall},
    publish::{self, Freshness},
    status::Moment,
};
use crate::{
    api::{
        condition::{Reason, whole_second},
        oauth_client::{DriftPolicy, Intent, IntentOperation},
    },
    controller::{error::Error, sessions::Session},
    genesys::OAuthClient,
    marker::Marker,
    secret::Credential,
};

/// Marks the client and brings its secret into the Secret. Whatever is lost on the way, the next pass starts again from the look.
pub async fn adopt(pass: &mut Pass<'_>, seen: &Observation, adopting: &Adopting) -> Result<(), Error> {
    let Organization::Ready(_, session) = &seen.organization else { return Err(Error::Stale) };
    if let Err(error) = publish::try_secret(pass, seen, adopting.revision).await {
        return publish::cannot_store(pass, seen, error);
    }
    if hands_over(pass, seen) {
        return Ok(());
    }
    let nonce = write_intent(pass, seen, session, adopting).await?;
    if !mark(pass, seen, session, &adopting.client, &nonce).await? {
        return Ok(());
    }
    let id = adopting.client.id.clone();
    let client_secret = match &adopting.by {
        AdoptedBy::Reset => {
            let call = MintCall::Reset { client_id: id, nonce: Some(nonce) };
            let wanted = Mint { call, revision: adopting.revision, attempt: 1, counts: Counts::Anew, rotation: None };
            return mint(pass, seen, &wanted).await;
        }
        AdoptedBy::Secret(secret) => Some(secret.clone()),
        AdoptedBy::NoSecret => None,
    };
    let issued_at = adopting.client.date_created;
    let credential = Credential { client_id: id, client_secret, revision: adopting.revision, issued_at, nonce: Some(nonce) };
    publish::publish(pass, seen, &credential, freshness(seen)).await
}

/// How far a client that is published now is from spec, whichever pass publishes it. Under `driftPolicy: Report` an adoption writes the marker
/// and nothing else: what differs from spec is told like any other drift.
#[must_use]
pub fn freshness(seen: &Observation) -> Freshness {
    let is_adopted_now = seen.object.spec.adopt.is_some() && seen.status().client_id.is_none();
    match seen.object.spec.drift_policy {
        DriftPolicy::Report if is_adopted_now => Freshness::AsDeclared,
        _ => Freshness::Unknown,
    }
}

async fn write_intent(pass: &mut Pass<'_>, seen: &Observation, session: &Session, adopting: &Adopting) -> Result<String, Error> {
    let nonce = adopting.nonce.clone().unwrap_or_else(|| pass.context.nonce());
    let now = whole_second(seen.now);
    let started_at = pass.status.intent.as_ref().map_or(now, |intent| intent.started_at);
    let wanted = Intent {
        operation: IntentOperation::Adopt,
        client_id: Some(adopting.client.id.clone()),
        nonce: Some(nonce.clone()),
        revision: adopting.revision,
        attempt: adopting.attempt,
        epoch: pass.context.epoch.clone(),
        started_at,
    };
    intent::begin(&mut pass.status, seen, session, wanted);
    pass.commit_step().await?;
    Ok(nonce)
}

/// Gives the client this object's marker, and changes nothing else of it. Whether it carries it now.
async fn mark(pass: &mut Pass<'_>, seen: &Observation, session: &Session, client: &OAuthClient, nonce: &str) -> Result<bool, Error> {
    let description = client.description.as_deref().unwrap_or_default();
    if Marker::parse(description).is_some_and(|marker| marker.owner == seen.owner) {
        return Ok(true);
    }
    let marker = seen.owner.marker(nonce);
    let mut body = client.members();
    body.insert("description".to_owned(), json!(marker.describe(description)));
    let result = session.platform.update_client(&client.id, body.into()).await;
    let id = &client.id;
    match result {
        Ok(reply) if reply.description.as_deref().and_then(Marker::parse) == Some(marker) => {
            let now = Instant::now();
            pass.remember(|memory| memory.own_write = Some(now));
            pass.event(EventType::Normal, "ClientAdopted", &format!("client {id} now carries this object's marker")).await;
            Ok(true)
        }
        Ok(reply) => {
            refused_marker(pass, session, client, reply.description).await?;
            Ok(false)
        }
        Err(error) => {
            show(pass, &error);
            if error.outcome_is_known() {
                pass.commit_outcome(|status| status.intent = None).await?;
            } else {
                pass.moment =
                    Some(Moment::Adopting(format!("it is not known whether client {id} got its marker: the operator looks again")));
                pass.again = Again::Backoff;
            }
            Ok(false)
        }
    }
}

/// The platform cut the marker off: the client gets its description back, and is not adopted.
async fn refused_marker(pass: &mut Pass<'_>, session: &Session, client: &OAuthClient, left: Option<String>) -> Result<(), Error> {
    let id = &client.id;
    let back = session.platform.update_client(id, client.members().into()).await.is_ok();
    let also = if back { "" } else { ", and its description could not be put back: look at it on the platform" };
    let message = format!("the platform cut the marker off the description of client {id}{also}: shorten its description");
    pass.moment = Some(Moment::Stalled(Reason::MarkerRefused, message));
    pass.again = Again::Backoff;
    let cut = (pass.object.metadata.generation, [client.description.clone(), left]);
    pass.remember(|memory| memory.adoption_cut = Some(cut));
    pass.commit_outcome(|status| status.intent = None).await
}
