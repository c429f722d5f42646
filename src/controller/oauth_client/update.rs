//! Brings a client to what spec declares (talks to the network): what was read, the declared fields laid over it, one PUT; none where nothing differs.

use kube::runtime::events::EventType;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::{
    mint::show,
    moments::moment_of_error,
    observation::{ClientView, Observation, Organization, client_nonce},
    pass::Pass,
    plan::Again,
    status::{Delay, Moment},
};
use crate::{
    api::{
        condition::Reason,
        oauth_client::{DesiredState, RetiringState},
    },
    controller::{error::Error, sessions::Session},
    genesys::{self, ClientRequest, ClientState, ErrorClass, OAuthClient},
    marker::Marker,
};

/// What an update of another client than the published one came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Brought {
    /// It is as spec declares.
    Done,
    /// It is not, or that is not known.
    Failed(String),
    /// This process kept a call back, that it or the next one makes.
    Withheld(genesys::Error),
}

/// What an error of a call makes of it.
fn failed(error: genesys::Error) -> Brought {
    if error.class() == ErrorClass::Withheld { Brought::Withheld(error) } else { Brought::Failed(error.cause()) }
}

/// Brings a client of a rotation to what spec declares: the new one before its publish, or the old one while it drains.
pub async fn bring_to_spec(pass: &mut Pass<'_>, seen: &Observation, session: &Session, id: &str) -> Result<Brought, Error> {
    let Some(Ok(declared)) = &seen.declared else { return Ok(Brought::Done) };
    let client = match session.platform.get_client(id).await {
        Ok(client) => client,
        Err(error) if error.is_not_found() => return Ok(Brought::Done),
        Err(error) => return Ok(failed(error)),
    };
    let Some(marker) = client.description.as_deref().and_then(Marker::parse).filter(|marker| marker.owner == seen.owner) else {
        return Ok(Brought::Failed(format!("client {id} does not carry this object's marker")));
    };
    let request = declared.request(&marker, client.state.clone());
    if request.differences(&client).is_empty() {
        return Ok(Brought::Done);
    }
    Ok(match put(session, &client, &request).await {
        Ok(reply) => {
            pass.saw_of(&reply, Instant::now() + seen.times.window);
            pass.event(EventType::Normal, "ClientUpdated", &format!("updated client {id}")).await;
            match request.differences(&reply).first() {
                None => Brought::Done,
                Some(difference) => Brought::Failed(format!("{} stays {}", difference.field, difference.actual)),
            }
        }
        Err(error) => failed(error),
    })
}

/// Writes a client as it was read with the declared fields laid over it. Sent once; a lost answer is found out by the next look.
pub async fn put(session: &Session, client: &OAuthClient, request: &ClientRequest) -> Result<OAuthClient, genesys::Error> {
    let fields: Vec<&str> = request.differences(client).iter().map(|difference| difference.field).collect();
    let span = tracing::error_span!("fields", changed = fields.join(","));
    session.platform.update_client(&client.id, request.overlay(&client.members())).instrument(span).await
}

/// Brings the clients that workloads use to what spec declares: the published one, then those that drain.
pub async fn update(pass: &mut Pass<'_>, seen: &Observation) -> Result<(), Error> {
    let before = pass.status.synced_generation;
    update_published(pass, seen).await?;
    let Organization::Ready(_, session) = &seen.organization else { return Ok(()) };
    if pass.status.synced_generation != seen.object.metadata.generation {
        return Ok(());
    }
    let draining = pass.status.retiring.iter().filter(|retiring| retiring.state == RetiringState::Draining);
    for id in draining.map(|retiring| retiring.client_id.clone()).collect::<Vec<_>>() {
        match bring_to_spec(pass, seen, session, &id).await? {
            Brought::Done => {}
            Brought::Failed(why) => {
                // It is on its way out: what it lacks of the edit says nothing of the published one.
                tracing::warn!(client = %id, %why, "a client that drains could not be brought to spec");
                let note = format!("client {id}, which drains, was not brought to spec: {why}");
                pass.event(EventType::Warning, "DrainingClientNotUpdated", &note).await;
            }
            Brought::Withheld(error) => {
                // The next pass begins the edit again, and comes to this client.
                pass.status.synced_generation = before;
                show(pass, &error);
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn update_published(pass: &mut Pass<'_>, seen: &Observation) -> Result<(), Error> {
    let (ClientView::Present(client), Some(Ok(declared)), Organization::Ready(_, session)) =
        (&seen.client, &seen.declared, &seen.organization)
    else {
        return Ok(());
    };
    let wished = seen.object.spec.state;
    let state = seen.wished_state();
    let marker = marker_of(pass, seen, client.description.as_deref());
    let request = declared.request(&marker, state.clone());
    let fields: Vec<&str> = request.differences(client).iter().map(|difference| difference.field).collect();
    let nonce_known = pass.status.issued_nonces.contains(&marker.nonce);
    if !nonce_known {
        pass.status.issued_nonces.push(marker.nonce.clone());
    }
    if fields.is_empty() {
        pass.saw(client, seen.instant);
        matches_now(pass, seen, wished);
        return Ok(());
    }
    // A client that is found inactive must be known to have been made so by us, before it is.
    if !nonce_known || (state == ClientState::Inactive && pass.status.applied_state != Some(wished)) {
        if state == ClientState::Inactive {
            pass.status.applied_state = Some(wished);
        }
        pass.commit_status().await?;
    }
    match put(session, client, &request).await {
        Ok(reply) => {
            let still: Vec<String> =
                request.differences(&reply).iter().map(|difference| format!("{} stays {}", difference.field, difference.actual)).collect();
            pass.event(EventType::Normal, "ClientUpdated", &format!("updated {} of client {}", fields.join(", "), client.id)).await;
            if still.is_empty() {
                pass.saw(&reply, Instant::now() + seen.times.window);
                matches_now(pass, seen, wished);
            } else {
                let generation = seen.object.metadata.generation.unwrap_or_default();
                pass.remember(|memory| memory.unheeded = Some((generation, reply.date_modified)));
                let message = format!(
                    "the platform took the update and still shows other values ({}): correct spec to what it allows",
                    still.join("; ")
                );
                pass.moment = Some(Moment::Stalled(Reason::PlatformRejected, message));
                pass.again = Again::Backoff;
            }
        }
        Err(error) => {
            let (moment, again) = moment_of_error(&error, &pass.status);
            pass.moment = Some(if error.outcome_is_known() {
                moment
            } else {
                Moment::Updating(Delay::None, format!("the update is tried again: {}", error.cause()))
            });
            pass.again = again;
        }
    }
    Ok(())
}

fn matches_now(pass: &mut Pass<'_>, seen: &Observation, wished: DesiredState) {
    if pass.status.applied_state != Some(wished) && wished == DesiredState::Active {
        // It was inactive by wish: its credential counts only once it was verified again.
        let was_inactive = pass.status.applied_state == Some(DesiredState::Inactive);
        if was_inactive {
            pass.status.verified_revision = None;
            pass.remember(|memory| memory.published = None);
        }
    }
    pass.status.applied_state = Some(wished);
    pass.status.synced_generation = seen.object.metadata.generation;
}

/// The marker that the client carries, or the one that it lost.
pub fn marker_of(pass: &Pass<'_>, seen: &Observation, description: Option<&str>) -> Marker {
    let carried = description.and_then(Marker::parse).filter(|marker| marker.owner == seen.owner);
    carried.unwrap_or_else(|| {
        let nonce = client_nonce(&pass.status).unwrap_or_else(|| pass.context.nonce());
        seen.owner.marker(&nonce)
    })
}
