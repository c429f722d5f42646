//! Undoes what somebody changed on the published client (talks to the network): told first, then one GET and one PUT. Nothing is sent where the client is no longer ours or was stopped.

use std::time::Duration;

use kube::runtime::events::EventType;
use tokio::time::Instant;

use super::{
    drift,
    moments::moment_of_error,
    observation::{ClientView, Observation, Organization},
    observe_platform::read_client,
    pass::Pass,
    plan::Again,
    status::Moment,
    update::{marker_of, put},
};
use crate::{
    api::condition::Reason,
    controller::error::Error,
    genesys::{self, ErrorClass},
    marker::Marker,
};

/// Undoes what was changed.
pub async fn correct(pass: &mut Pass<'_>, seen: &Observation) -> Result<(), Error> {
    let (Organization::Ready(_, session), Some(Ok(declared)), Some(id)) =
        (&seen.organization, &seen.declared, pass.status.client_id.clone())
    else {
        return Ok(());
    };
    // People see what was changed before it is undone, however long the request budget makes that take.
    pass.commit_status().await?;
    let client = match read_client(pass.context, session, &pass.uid(), &id).await {
        Ok(ClientView::Present(client)) => client,
        Ok(_) => {
            pass.again = Again::After(seen.times.window);
            return Ok(());
        }
        Err(error) => {
            failed(pass, &error);
            return Ok(());
        }
    };
    let foreign = client.description.as_deref().and_then(Marker::parse).is_some_and(|marker| marker.owner != seen.owner);
    if foreign || seen.is_stopped(&client) {
        // The next pass asks a person, and until a scan shows the client nobody reads it again.
        pass.sighted = None;
        pass.remember(|memory| memory.in_the_way = Some((Instant::now(), client)));
        pass.again = Again::After(Duration::ZERO);
        return Ok(());
    }
    let marker = marker_of(pass, seen, client.description.as_deref());
    let request = declared.request(&marker, seen.wished_state());
    if request.differences(&client).is_empty() {
        pass.saw(&client, seen.instant);
        return Ok(());
    }
    if !pass.status.issued_nonces.contains(&marker.nonce) {
        pass.status.issued_nonces.push(marker.nonce.clone());
        pass.commit_status().await?;
    }
    let (fields, who) = (drift::fields(&pass.status.drift), drift::modifier(&pass.status.drift));
    match put(session, &client, &request).await {
        Ok(reply) => {
            let still: Vec<String> =
                request.differences(&reply).iter().map(|difference| format!("{} stays {}", difference.field, difference.actual)).collect();
            let believed_from = Instant::now() + seen.times.window;
            if still.is_empty() {
                pass.event(EventType::Normal, "DriftCorrected", &format!("wrote {fields} of client {id} again{who}")).await;
                pass.saw(&reply, believed_from);
                return Ok(());
            }
            let generation = seen.object.metadata.generation.unwrap_or_default();
            pass.remember(|memory| memory.unheeded = Some((generation, reply.date_modified)));
            pass.sighted = Some((id, crate::controller::snapshot::Sight::of(&reply, believed_from)));
            let message = format!(
                "the platform took the correction and still shows other values ({}): correct spec to what it allows, or set driftPolicy: Report",
                still.join("; ")
            );
            pass.moment = Some(Moment::Stalled(Reason::PlatformRejected, message));
            pass.again = Again::Backoff;
        }
        Err(error) => failed(pass, &error),
    }
    Ok(())
}

/// A correction that was not made is tried again; only what needs a person is said to.
fn failed(pass: &mut Pass<'_>, error: &genesys::Error) {
    let (moment, again) = moment_of_error(error, &pass.status);
    pass.again = again;
    if error.outcome_is_known() && !matches!(error.class(), ErrorClass::Throttled) {
        pass.moment = Some(moment);
    }
}
