//! Looks before a secret is reset, and at the room for a create (talks to the network): what speaks against either is said. Resets and creates nothing.

use super::{
    mint::{begin_rotation, name_new_client, show},
    moments::{ROOM_LOOK, moment_of_error, no_room},
    observation::{ClientView, Observation, current_rotation},
    observe_platform::read_client,
    pass::Pass,
    plan::{Again, Mint},
    rotation_end,
    status::Moment,
};
use crate::{
    api::{
        GenesysOAuthClientStatus,
        condition::Reason,
        oauth_client::{DesiredState, Intent, IntentOperation, rotation_status::Trigger},
    },
    controller::{error::Error, sessions::Session},
    genesys::ClientState,
    marker::Marker,
};

/// Looks at a client before its secret is reset: one that is gone, or not ours to reset, is left alone.
pub async fn may_reset(pass: &mut Pass<'_>, seen: &Observation, session: &Session, id: &str) -> Result<bool, Error> {
    if pass.rotates_unseen() {
        return may_reset_new(pass, seen, session, id).await;
    }
    let stalled = |reason, message| Some(Moment::Stalled(reason, message));
    let adopting = |intent: &Intent| intent.operation == IntentOperation::Adopt && intent.client_id.as_deref() == Some(id);
    // A read may not show yet that it was marked.
    let recorded = pass.status.client_id.as_deref() == Some(id) || pass.status.intent.as_ref().is_some_and(adopting);
    let (moment, again) = match read_client(pass.context, session, &pass.uid(), id).await {
        Err(error) => {
            let (moment, again) = moment_of_error(&error, &pass.status);
            (Some(moment), again)
        }
        Ok(ClientView::Present(client)) => {
            let marker = client.description.as_deref().and_then(Marker::parse);
            let ours = marker.as_ref().map_or(recorded, |marker| marker.owner == seen.owner);
            if id == session.own_client_id() || !ours {
                (
                    stalled(
                        Reason::Conflict,
                        format!("client {id} is not this object's, and is left alone: delete this object and create another one"),
                    ),
                    Again::Backoff,
                )
            } else if client.state == ClientState::Disabled {
                (stalled(Reason::ClientDisabled, format!("Genesys disabled client {id}: ask Genesys support")), Again::Backoff)
            } else if client.state == ClientState::Inactive
                && pass.status.applied_state == Some(DesiredState::Active)
                && seen.object.spec.state == DesiredState::Active
            {
                let message = format!("somebody made client {id} inactive on the platform: activate it there, or set spec.state: Inactive");
                (stalled(Reason::DeactivatedOutside, message), Again::Backoff)
            } else {
                return Ok(true);
            }
        }
        Ok(_) => {
            let message = format!("client {id} is gone from the platform: the operator looks again before it creates another");
            let seconds = std::time::Duration::from_secs(1);
            if pass.status.intent.as_ref().is_some_and(|intent| intent.client_id.as_deref() == Some(id)) {
                // There is nothing left to reset: the intent ends, and the look for the client begins.
                pass.moment = Some(Moment::ClientMissing(message.clone()));
                pass.commit_outcome(|status| status.intent = None).await?;
                pass.remember(|memory| memory.lost_call = None);
            }
            (Some(Moment::ClientMissing(message)), Again::After(if recorded { seconds } else { seen.times.window.max(seconds) }))
        }
    };
    pass.moment = moment;
    pass.again = again;
    Ok(false)
}

/// The same for the new client of a rotation: where it can't be used, the rotation ends.
async fn may_reset_new(pass: &mut Pass<'_>, seen: &Observation, session: &Session, id: &str) -> Result<bool, Error> {
    match read_client(pass.context, session, &pass.uid(), id).await {
        Err(error) => show(pass, &error),
        Ok(ClientView::Present(client)) => {
            let marked = client.description.as_deref().and_then(Marker::parse).is_some_and(|marker| marker.owner == seen.owner);
            if marked && client.state == ClientState::Active {
                return Ok(true);
            }
            name_new_client(pass, id);
            rotation_end::fail(pass, seen, &format!("the new client {id} was changed on the platform before its secret was known")).await?;
        }
        Ok(_) => rotation_end::fail(pass, seen, &format!("the new client {id} is gone from the platform")).await?,
    }
    pass.remember(|memory| memory.missing_since = None);
    Ok(false)
}

/// Whether the mint is part of an emergency, which waits for nothing: where there is no room, the secret is reset.
#[must_use]
pub fn is_emergency(status: &GenesysOAuthClientStatus, mint: &Mint) -> bool {
    mint.rotation.as_deref().or(current_rotation(status)).is_some_and(|rotation| rotation.trigger == Trigger::Emergency)
}

/// The organization is known to be full: nothing is asked of the platform. A rotation begins all the same, so that it says what it waits for.
pub fn wait_for_room(pass: &mut Pass<'_>, seen: &Observation, mint: &Mint) {
    pass.again = Again::After(ROOM_LOOK);
    if mint.rotation.is_some() || pass.rotates_unseen() {
        begin_rotation(&mut pass.status, seen, mint);
        pass.moment = None;
        pass.note(no_room());
    } else {
        pass.moment = Some(Moment::Stalled(Reason::PlatformRejected, no_room()));
    }
}
