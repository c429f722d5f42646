//! The two calls that return a secret (talks to the network): budget slot, dry run of the Secret, intent by compare-and-swap, call, Secret, status. In this order only.

use kube::runtime::events::EventType;
use tokio::time::Instant;

use super::{
    decide::MOST_RETIRING,
    intent,
    mint_check::{is_emergency, may_reset, wait_for_room},
    moments::{moment_of_error, no_room},
    observation::{Observation, Organization, current_rotation},
    pass::Pass,
    plan::{Again, Counts, Mint, MintCall},
    publish::{self, Freshness},
    rotation_end, rotation_store,
    status::Moment,
};
use crate::{
    api::{
        GenesysOAuthClientStatus,
        condition::{Reason, whole_second},
        oauth_client::{DeletionTime, DesiredState, Intent, IntentOperation, RetiringClient, RetiringState, rotation_status::Trigger},
        rotation_policy::RotationStrategy,
    },
    controller::{error::Error, memory::LostCall, sessions::Session},
    genesys::{self, ClientState, IssuedClient, Slot},
    marker::Marker,
    secret::Credential,
};

/// Asks the platform for a secret under an intent, and publishes it.
pub async fn mint(pass: &mut Pass<'_>, seen: &Observation, mint: &Mint) -> Result<(), Error> {
    let Organization::Ready(_, session) = &seen.organization else { return Err(Error::Stale) };
    if let MintCall::Reset { client_id, .. } = &mint.call
        && !may_reset(pass, seen, session, client_id).await?
    {
        return Ok(());
    }
    if matches!(mint.call, MintCall::Create { .. })
        && !is_emergency(&pass.status, mint)
        && session.platform.budget().creates_closed().is_some()
    {
        wait_for_room(pass, seen, mint);
        return Ok(());
    }
    let slot = match session.platform.slot().await {
        Ok(slot) => slot,
        Err(error) => {
            show(pass, &error);
            return Ok(());
        }
    };
    if hands_over(pass, seen) {
        return Ok(());
    }
    if let Err(error) = try_secrets(pass, seen, mint).await {
        return cannot_store(pass, seen, mint, error).await;
    }
    let begun = Instant::now();
    let nonce = write_intent(pass, seen, mint, session).await?;
    if begun.elapsed() > seen.times.window {
        // This process stood still: another one may have taken the intent over, so the call is not made.
        return Err(Error::Stale);
    }
    let deadline = Instant::now() + seen.times.call;
    pass.remember(|memory| {
        memory.lost_call = Some(LostCall { deadline });
        memory.held = None;
    });
    let (operation, result) = call(seen, mint, session, slot, &nonce).await;
    if let Ok(issued) = &result {
        tracing::info!(target: "audit", client = %issued.client.id, "the platform issued a credential");
    }
    match result {
        Ok(issued) => issued_client(pass, seen, mint, session, issued, &nonce).await,
        Err(error) if error.outcome_is_known() => refused(pass, seen, mint, &error).await,
        Err(error) => {
            let message = format!("the outcome of {operation} is not known: the operator looks for the client before it goes on");
            tracing::warn!(%error, "unknown outcome");
            pass.again = Again::After(seen.times.call + seen.times.window);
            pass.moment = standing(pass, message);
            Ok(())
        }
    }
}

/// Whether this process must begin no intent, which another one would have to recover; the pass then ends.
pub fn hands_over(pass: &mut Pass<'_>, seen: &Observation) -> bool {
    let why = pass.context.hands_over(seen.times.call);
    if let Some(why) = why {
        show(pass, &genesys::Error::Withheld(why));
    }
    why.is_some()
}

/// Where the object stands while a credential is on its way; a rotation by Replace leaves it where it is.
fn standing(pass: &mut Pass<'_>, message: String) -> Option<Moment> {
    if pass.rotates_unseen() {
        pass.note(message);
        return None;
    }
    let regenerates = current_rotation(&pass.status).is_some_and(|current| current.strategy == RotationStrategy::Regenerate);
    Some(match super::moments::publication(&pass.status) {
        super::status::Publication::Never => Moment::Creating(message),
        _ if regenerates => Moment::Regenerating(message),
        _ => Moment::SecretMissing(message),
    })
}

/// What can't be stored is not minted: both Secrets are tried that the credential will come to.
async fn try_secrets(pass: &Pass<'_>, seen: &Observation, mint: &Mint) -> Result<(), Error> {
    let replaces = mint.rotation.as_ref().is_some_and(|rotation| rotation.strategy == RotationStrategy::Replace);
    if replaces || pass.rotates_unseen() {
        rotation_store::try_write(pass, seen, mint.revision).await?;
    }
    publish::try_secret(pass, seen, mint.revision).await
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
    let now = whole_second(seen.now);
    let status = &mut pass.status;
    let started_at = status.intent.as_ref().filter(|_| mint.counts == Counts::AsRecovery).map_or(now, |intent| intent.started_at);
    let (operation, client_id) = match &mint.call {
        MintCall::Create { .. } => (IntentOperation::Create, None),
        MintCall::Reset { client_id, .. } => (IntentOperation::Reset, Some(client_id.clone())),
    };
    let wanted = Intent {
        operation,
        client_id,
        nonce: (!nonce.is_empty()).then(|| nonce.clone()),
        revision: mint.revision,
        attempt: mint.attempt,
        epoch: pass.context.epoch.clone(),
        started_at,
    };
    intent::begin(status, seen, session, wanted);
    begin_rotation(status, seen, mint);
    let hour = jiff::SignedDuration::from_hours(1);
    status.mints.retain(|time| now.duration_since(*time) < hour);
    if mint.counts == Counts::Anew {
        status.mints.push(now);
    }
    pass.commit_step().await?;
    Ok(nonce)
}

/// The rotation is written down in the intent's own compare-and-swap, and so is the request that it answers.
pub fn begin_rotation(status: &mut GenesysOAuthClientStatus, seen: &Observation, mint: &Mint) {
    if let Some(rotation) = &mint.rotation {
        status.rotation.get_or_insert_default().current = Some((**rotation).clone());
        if rotation.request.is_some() {
            status.last_handled_rotate_request = seen.requests.rotate.as_ref().map(|request| request.value.clone());
        }
        if rotation.trigger == Trigger::Repair {
            let rotation = status.rotation.get_or_insert_default();
            rotation.repairs = Some(rotation.repairs.unwrap_or(0).saturating_add(1));
        }
    }
    let regenerates = current_rotation(status).is_some_and(|current| current.strategy == RotationStrategy::Regenerate);
    if regenerates && matches!(mint.call, MintCall::Reset { .. }) {
        // The old secret ends with the call.
        let verified = status.verified_revision.take();
        if let Some(current) = status.rotation.as_mut().and_then(|rotation| rotation.current.as_mut()) {
            current.verified_before = verified.or(current.verified_before);
        }
    }
}

/// Names the new client of the rotation, so that it is not forgotten if the rotation ends here.
pub fn name_new_client(pass: &mut Pass<'_>, id: &str) {
    if let Some(current) = pass.status.rotation.as_mut().and_then(|rotation| rotation.current.as_mut()) {
        current.client_id = Some(id.to_owned());
    }
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
            let request = declared.new_client(&seen.owner.marker(nonce));
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
    let replied = Instant::now();
    pass.remember(|memory| memory.own_write = Some(replied));
    let mut freshness = Freshness::Unknown;
    if matches!(mint.call, MintCall::Create { .. }) {
        let marker = issued.client.description.as_deref().and_then(Marker::parse);
        if marker != Some(seen.owner.marker(nonce)) {
            return marker_refused(pass, seen, session, issued).await;
        }
        if let Some(Ok(declared)) = &seen.declared
            && seen.object.spec.state == DesiredState::Active
            && declared.request(&seen.owner.marker(nonce), ClientState::Active).differences(&issued.client).is_empty()
        {
            freshness = Freshness::AsDeclared;
            pass.saw_of(&issued.client, replied + seen.times.window);
        }
        pass.event(EventType::Normal, "ClientCreated", &format!("created client {id}")).await;
    } else {
        // The reset is no change by somebody else, but the client may differ in what the reply does not tell of.
        pass.remember(|memory| memory.sights.remove(&id));
        freshness = super::adopt::freshness(seen);
        pass.event(EventType::Normal, "SecretReset", &format!("the platform issued a new secret for client {id}")).await;
    }
    let public = seen.object.spec.public_client;
    if issued.secret.is_none() && !public {
        return without_secret(pass, mint, &id).await;
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
    let result = publish::publish(pass, seen, &credential, freshness).await;
    if matches!(result, Err(Error::Stale | Error::Superseded { .. })) {
        // Another process took the intent over meanwhile: what this one made is surplus, what it reset must be proven again.
        pass.remember(|memory| {
            memory.surplus = Some(credential.client_id.clone());
            memory.verify_again = Some(replied);
        });
    }
    result
}

/// The platform answered with an id and without a secret: the next pass resets that client, which the intent then names.
async fn without_secret(pass: &mut Pass<'_>, mint: &Mint, id: &str) -> Result<(), Error> {
    pass.again = Again::After(std::time::Duration::ZERO);
    if matches!(mint.call, MintCall::Reset { .. }) {
        let message = format!("the platform reset the secret of client {id} and did not tell it: ask Genesys support if this lasts");
        pass.moment = Some(Moment::Stalled(Reason::PlatformRejected, message));
        pass.again = Again::Backoff;
    }
    let id = id.to_owned();
    pass.commit_outcome(move |status| {
        if let Some(intent) = &mut status.intent {
            intent.operation = IntentOperation::Reset;
            intent.client_id = Some(id.clone());
        }
    })
    .await?;
    pass.remember(|memory| memory.lost_call = None);
    Ok(())
}

/// The platform cut the marker: the client could never be found again, so it must not stay.
async fn marker_refused(pass: &mut Pass<'_>, seen: &Observation, session: &Session, issued: IssuedClient) -> Result<(), Error> {
    let id = &issued.client.id;
    let removed = super::retire::inactivate_and_delete(session, &issued.client).await;
    tracing::warn!(client = %id, removed = removed.is_ok(), "the platform returned a client without its marker");
    let message = format!(
        "the platform cut the marker off the description of client {id}{}: shorten spec.description",
        if removed.is_ok() { ", which was deleted again" } else { ", which could not be deleted: delete it on the platform" }
    );
    pass.moment = Some(Moment::Stalled(Reason::MarkerRefused, message.clone()));
    pass.again = Again::Backoff;
    let generation = pass.object.metadata.generation;
    pass.remember(|memory| {
        memory.lost_call = None;
        memory.marker_refused = generation;
    });
    let left = removed.is_err().then(|| RetiringClient {
        client_id: id.clone(),
        state: RetiringState::Inactivating,
        since: whole_second(pass.context.now()),
        deletion: DeletionTime::AtOnce,
        delete_after: None,
    });
    pass.commit_outcome(move |status| {
        status.intent = None;
        status.retiring.extend(left.clone().filter(|_| status.retiring.len() < MOST_RETIRING));
    })
    .await?;
    if pass.rotates_unseen() {
        rotation_end::fail(pass, seen, &message).await?;
    }
    Ok(())
}

/// The platform certainly did nothing: the intent ends in the write that says so.
async fn refused(pass: &mut Pass<'_>, seen: &Observation, mint: &Mint, error: &genesys::Error) -> Result<(), Error> {
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
    let created = matches!(mint.call, MintCall::Create { .. });
    let unused = pass.status.intent.as_ref().filter(|_| created).and_then(|intent| intent.nonce.clone());
    let recovering = mint.counts == Counts::AsRecovery && !error.is_not_found();
    let full = error.code() == Some(genesys::TOO_MANY_CLIENTS) && !is_emergency(&pass.status, mint);
    let transient = full || error.class().is_transient() || matches!(error.class(), genesys::ErrorClass::Credential);
    let rotating = pass.rotates_unseen();
    let regenerates = current_rotation(&pass.status).is_some_and(|current| current.strategy == RotationStrategy::Regenerate) && !recovering;
    let withheld = error.class() == genesys::ErrorClass::Withheld;
    if !withheld && (rotating || (regenerates && !error.is_not_found())) {
        pass.moment = None;
        pass.note(if full { no_room() } else { error.cause() });
    }
    pass.commit_outcome(move |status| {
        // An earlier call under this intent may still have reached the platform: then the intent must stay.
        if !(recovering && transient) {
            status.intent = None;
        }
        if regenerates {
            // Nothing was reset: what worked before works on.
            status.verified_revision = current_rotation(status).and_then(|current| current.verified_before);
        }
        if counted {
            // No client carries the nonce of a create that was refused.
            status.mints.pop();
            status.issued_nonces.retain(|known| unused.as_ref() != Some(known));
        }
    })
    .await?;
    if rotating && !transient {
        if let MintCall::Reset { client_id, .. } = &mint.call {
            name_new_client(pass, client_id);
        }
        return rotation_end::fail(pass, seen, &format!("the platform refuses a second client ({})", error.cause())).await;
    }
    if regenerates && !transient && !error.is_not_found() {
        return rotation_end::fail(pass, seen, &format!("the platform refuses to reset the secret ({})", error.cause())).await;
    }
    Ok(())
}

/// Says what an error of the platform means for the object, or for its rotation.
pub fn show(pass: &mut Pass<'_>, error: &genesys::Error) {
    let (moment, again) = moment_of_error(error, &pass.status);
    pass.again = again;
    if pass.rotates_unseen() && moment != Moment::HandedOver {
        // What hinders a rotation says nothing of the credential in force.
        pass.moment = None;
        pass.note(error.cause());
    } else {
        pass.moment = Some(moment);
    }
}

async fn cannot_store(pass: &mut Pass<'_>, seen: &Observation, mint: &Mint, error: Error) -> Result<(), Error> {
    let replaces = mint.rotation.as_ref().filter(|rotation| rotation.strategy == RotationStrategy::Replace);
    if let (Some(rotation), Error::ForeignSecret { .. } | Error::Kubernetes { .. }) = (replaces, &error)
        && !matches!(&error, Error::Kubernetes { source, .. } if !matches!(&**source, kube::Error::Api(status) if status.code < 500))
    {
        // Nothing was asked of the platform: the rotation ends before it begins.
        begin_rotation(&mut pass.status, seen, mint);
        tracing::debug!(trigger = ?rotation.trigger, "the rotation can't be stored");
        return rotation_end::fail(pass, seen, &error.to_string()).await;
    }
    publish::cannot_store(pass, seen, error)
}
