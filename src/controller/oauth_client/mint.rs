//! The two calls that return a secret (talks to the network): budget slot, dry run of the Secret, intent by compare-and-swap, call, Secret, status. In this order only.

use kube::runtime::events::EventType;
use tokio::time::Instant;

use super::{
    moments::moment_of_error,
    observation::{Observation, Organization},
    pass::Pass,
    plan::{Again, Counts, Mint, MintCall},
    publish::{self, Freshness},
    status::Moment,
};
use crate::{
    api::{
        condition::{Reason, whole_second},
        oauth_client::{DesiredState, Intent, IntentOperation, RecordedOrganization},
    },
    controller::{error::Error, memory::LostCall, sessions::Session},
    genesys::{self, ClientState, IssuedClient, Slot},
    marker::Marker,
    secret::Credential,
};

/// How many nonces of markers status keeps.
const KEPT_NONCES: usize = 8;

/// Asks the platform for a secret under an intent, and publishes it.
pub async fn mint(pass: &mut Pass<'_>, seen: &Observation, mint: &Mint) -> Result<(), Error> {
    let Organization::Ready(_, session) = &seen.organization else { return Err(Error::Stale) };
    let slot = match session.platform.slot().await {
        Ok(slot) => slot,
        Err(error) => {
            show(pass, &error);
            return Ok(());
        }
    };
    if let Err(error) = publish::try_secret(pass, seen, mint.revision).await {
        return cannot_store(pass, seen, error);
    }
    let nonce = write_intent(pass, seen, mint, session).await?;
    let deadline = Instant::now() + seen.times.call;
    pass.remember(|memory| {
        memory.lost_call = Some(LostCall { revision: mint.revision, deadline });
        memory.held = None;
    });
    let (operation, result) = call(seen, mint, session, slot, &nonce).await;
    audit(pass, operation, &result);
    match result {
        Ok(issued) => issued_client(pass, seen, mint, session, issued, &nonce).await,
        Err(error) if error.outcome_is_known() => refused(pass, mint, &error).await,
        Err(error) => {
            let message = format!("the outcome of {operation} is not known ({error}): the operator looks for the client before it goes on");
            tracing::warn!(%message, "unknown outcome");
            pass.again = Again::After(seen.times.call + seen.times.window);
            pass.moment = Some(match super::moments::publication(&pass.status) {
                super::status::Publication::Never => Moment::Creating(message),
                _ => Moment::SecretMissing(message),
            });
            Ok(())
        }
    }
}

/// The compare-and-swap that fences the call after it.
async fn write_intent(pass: &mut Pass<'_>, seen: &Observation, mint: &Mint, session: &Session) -> Result<String, Error> {
    let known = match &mint.call {
        MintCall::Create { nonce } | MintCall::Reset { nonce, .. } => nonce.clone(),
    };
    let nonce = match &mint.call {
        MintCall::Create { nonce } => nonce.clone().unwrap_or_else(|| pass.context.nonce()),
        MintCall::Reset { .. } => known.unwrap_or_default(),
    };
    let now = whole_second(pass.context.now());
    let status = &mut pass.status;
    let started_at = status.intent.as_ref().filter(|_| mint.counts == Counts::AsRecovery).map_or(now, |intent| intent.started_at);
    let (operation, client_id) = match &mint.call {
        MintCall::Create { .. } => (IntentOperation::Create, None),
        MintCall::Reset { client_id, .. } => (IntentOperation::Reset, Some(client_id.clone())),
    };
    status.intent = Some(Intent {
        operation,
        client_id,
        nonce: (!nonce.is_empty()).then(|| nonce.clone()),
        revision: mint.revision,
        attempt: mint.attempt,
        epoch: pass.context.epoch.clone(),
        started_at,
    });
    if !nonce.is_empty() && !status.issued_nonces.contains(&nonce) {
        status.issued_nonces.push(nonce.clone());
        let surplus = status.issued_nonces.len().saturating_sub(KEPT_NONCES);
        status.issued_nonces.drain(..surplus);
    }
    let hour = jiff::SignedDuration::from_hours(1);
    status.mints.retain(|time| now.duration_since(*time) < hour);
    if mint.counts == Counts::Anew {
        status.mints.push(now);
    }
    status.organization =
        Some(RecordedOrganization { name: seen.object.spec.organization_ref.name.clone(), id: session.organization_id.clone() });
    status.grant_type = Some(seen.object.spec.grant_type);
    status.public_client = Some(seen.object.spec.public_client);
    pass.commit_status().await?;
    Ok(nonce)
}

async fn call(
    seen: &Observation,
    mint: &Mint,
    session: &Session,
    slot: Slot,
    nonce: &str,
) -> (genesys::Operation, Result<IssuedClient, genesys::Error>) {
    match &mint.call {
        MintCall::Create { .. } => {
            let operation = genesys::Operation::CreateClient;
            let Some(Ok(declared)) = &seen.declared else {
                let reason = "the client was not declared in this pass".to_owned();
                return (operation, Err(genesys::Error::NotSent { operation, reason }));
            };
            let request = declared.request(&seen.owner.marker(nonce), ClientState::Active);
            (operation, session.platform.create_client(slot, &request).await)
        }
        MintCall::Reset { client_id, .. } => (genesys::Operation::ResetClientSecret, session.platform.reset_secret(slot, client_id).await),
    }
}

async fn issued_client(
    pass: &mut Pass<'_>,
    seen: &Observation,
    mint: &Mint,
    session: &Session,
    issued: IssuedClient,
    nonce: &str,
) -> Result<(), Error> {
    let id = issued.client.id.clone();
    let mut freshness = Freshness::Unknown;
    if matches!(mint.call, MintCall::Create { .. }) {
        let marker = issued.client.description.as_deref().and_then(Marker::parse);
        if marker != Some(seen.owner.marker(nonce)) {
            return marker_refused(pass, session, issued).await;
        }
        if let Some(Ok(declared)) = &seen.declared
            && seen.object.spec.state == DesiredState::Active
            && declared.request(&seen.owner.marker(nonce), ClientState::Active).differences(&issued.client).is_empty()
        {
            freshness = Freshness::AsDeclared;
        }
        pass.event(EventType::Normal, "ClientCreated", &format!("created client {id}")).await;
    } else {
        pass.event(EventType::Normal, "SecretReset", &format!("the platform issued a new secret for client {id}")).await;
    }
    let public = seen.object.spec.public_client;
    if issued.secret.is_none() && !public {
        // An id without a secret: the next pass resets that client, which the intent now names.
        let id = id.clone();
        pass.remember(|memory| memory.lost_call = None);
        pass.again = Again::After(std::time::Duration::ZERO);
        return pass
            .commit_outcome(move |status| {
                if let Some(intent) = &mut status.intent {
                    intent.operation = IntentOperation::Reset;
                    intent.client_id = Some(id.clone());
                }
            })
            .await;
    }
    let credential = Credential {
        client_id: id,
        client_secret: if public { None } else { issued.secret },
        revision: mint.revision,
        issued_at: Some(issued.issued_at),
        nonce: (!nonce.is_empty()).then(|| nonce.to_owned()),
    };
    // From here on the secret must reach its Secret, however often a write fails.
    pass.remember(|memory| memory.held = Some(credential.clone()));
    publish::publish(pass, seen, &credential, freshness).await
}

/// The platform cut the marker: the client could never be found again, so it must not stay.
async fn marker_refused(pass: &mut Pass<'_>, session: &Session, issued: IssuedClient) -> Result<(), Error> {
    let id = &issued.client.id;
    let removed = super::retire::inactivate_and_delete(session, &issued.client).await;
    tracing::warn!(client = %id, removed = removed.is_ok(), "the platform returned a client without its marker");
    let message = format!(
        "the platform cut the marker off the description of client {id}{}: shorten spec.description",
        if removed.is_ok() { ", which was deleted again" } else { ", which could not be deleted: delete it on the platform" }
    );
    pass.moment = Some(Moment::Stalled(Reason::MarkerRefused, message));
    pass.again = Again::Backoff;
    pass.remember(|memory| memory.lost_call = None);
    pass.commit_outcome(|status| status.intent = None).await
}

/// The platform certainly did nothing: the intent ends in the write that says so.
async fn refused(pass: &mut Pass<'_>, mint: &Mint, error: &genesys::Error) -> Result<(), Error> {
    pass.remember(|memory| memory.lost_call = None);
    show(pass, error);
    if let (MintCall::Reset { client_id, .. }, true) = (&mint.call, error.is_not_found()) {
        // The next passes find out whether it is gone for good; then another client is created.
        pass.remember(|memory| memory.missing_since.get_or_insert_with(Instant::now).to_owned());
        pass.moment = Some(Moment::ClientMissing(format!(
            "client {client_id} is gone from the platform: the operator looks again before it creates another"
        )));
        pass.again = Again::After(std::time::Duration::from_secs(1));
    }
    let counted = mint.counts == Counts::Anew;
    let recovering = mint.counts == Counts::AsRecovery && !error.is_not_found();
    let transient = error.class().is_transient() || matches!(error.class(), genesys::ErrorClass::Credential);
    pass.commit_outcome(move |status| {
        // An earlier call under this intent may still have reached the platform: then the intent must stay.
        if !(recovering && transient) {
            status.intent = None;
        }
        if counted {
            status.mints.pop();
        }
    })
    .await
}

fn show(pass: &mut Pass<'_>, error: &genesys::Error) {
    let (moment, again) = moment_of_error(error, &pass.status);
    pass.moment = Some(moment);
    pass.again = again;
}

fn cannot_store(pass: &mut Pass<'_>, seen: &Observation, error: Error) -> Result<(), Error> {
    let name = seen.object.secret_name();
    match error {
        Error::ForeignSecret { detail, .. } => {
            let message = format!(
                "Secret {name:?} belongs to somebody else ({detail}): choose another spec.credentialsSecret.name, or remove that Secret"
            );
            pass.moment = Some(Moment::Stalled(Reason::Conflict, message));
        }
        Error::Kubernetes { source, .. } if matches!(&*source, kube::Error::Api(_)) => {
            let message = format!("nothing was asked of the platform, because Secret {name:?} could not be stored: {source}");
            pass.moment = Some(match super::moments::publication(&pass.status) {
                super::status::Publication::Never => Moment::Creating(message),
                _ => Moment::SecretMissing(message),
            });
        }
        error => return Err(error),
    }
    pass.again = Again::Backoff;
    Ok(())
}

fn audit(pass: &Pass<'_>, operation: genesys::Operation, result: &Result<IssuedClient, genesys::Error>) {
    let object = format!(
        "{}/{}",
        pass.object.metadata.namespace.as_deref().unwrap_or_default(),
        pass.object.metadata.name.as_deref().unwrap_or_default()
    );
    match result {
        Ok(issued) => tracing::info!(target: "audit", %object, %operation, client = %issued.client.id, outcome = "done", "platform write"),
        Err(error) => {
            tracing::info!(target: "audit", %object, %operation, outcome = %error, correlation_id = error.correlation_id(), "platform write");
        }
    }
}
