//! Takes clients out of service (talks to the network): inactive first, then deleted, each step written down before its call. Never makes one active again.

use kube::runtime::events::EventType;
use serde_json::json;

use super::{
    decide::{MOST_RETIRING, retirement_at, rotate::after},
    observation::{Observation, Organization},
    pass::Pass,
    plan::Again,
};
use crate::{
    api::{
        condition::whole_second,
        oauth_client::{DeletionTime, RetiringClient, RetiringState},
    },
    controller::{error::Error, sessions::Session},
    genesys::{self, ClientState, ErrorClass, OAuthClient},
    marker::Marker,
};

/// How long tokens live on the platform where a client does not say, in seconds.
const USUAL_VALIDITY: i64 = 86_400;
/// How long an inactive client is kept at most, in seconds.
const LONGEST_KEPT: i64 = 7 * 86_400;

/// Puts clients on their way to deletion, by compare-and-swap. More than eight at a time wait for the next pass.
pub async fn enter(pass: &mut Pass<'_>, ids: &[String], state: RetiringState) -> Result<(), Error> {
    let since = whole_second(pass.context.now());
    for id in ids {
        let known = pass.status.retiring.iter().any(|retiring| retiring.client_id == *id);
        if !known && pass.status.retiring.len() < MOST_RETIRING {
            let deletion = if state == RetiringState::Draining { DeletionTime::AfterTokens } else { DeletionTime::AtOnce };
            pass.status.retiring.push(RetiringClient { client_id: id.clone(), state, since, deletion, delete_after: None });
        }
    }
    pass.commit_status().await?;
    pass.remember(|memory| memory.surplus = memory.surplus.take().filter(|surplus| !ids.contains(surplus)));
    Ok(())
}

/// Retires the first of the retiring clients.
pub async fn retire(pass: &mut Pass<'_>, seen: &Observation) -> Result<(), Error> {
    let Organization::Ready(_, session) = &seen.organization else { return Ok(()) };
    let published = pass.status.client_id.clone();
    let due = |retiring: &RetiringClient| {
        Some(&retiring.client_id) != published.as_ref() && retirement_at(retiring, &pass.status).is_some_and(|at| at <= seen.now)
    };
    let Some(first) = pass.status.retiring.iter().find(|retiring| due(retiring)).cloned() else { return Ok(()) };
    let id = first.client_id.as_str();
    let result = async {
        let client = match session.platform.get_client(id).await {
            Err(error) if error.is_not_found() => return Ok(None),
            result => result?,
        };
        // One that lost its marker is still ours, because status names it; one with another's marker is not, nor is the operator's own.
        let foreign = client.description.as_deref().and_then(Marker::parse).is_some_and(|marker| marker.owner != seen.owner);
        Ok::<_, genesys::Error>((!foreign && id != session.own_client_id()).then_some(client))
    };
    let client = match result.await {
        Ok(client) => client,
        Err(error) => {
            failed(pass, id, &error);
            return Ok(());
        }
    };
    // A client that was created just now may be missing from a read: that it is gone counts only later.
    let young = pass.remember(|memory| memory.own_write).is_some_and(|write| write.elapsed() < seen.times.window);
    if client.is_none() && young {
        pass.again = Again::After(seen.times.window);
        return Ok(());
    }
    if first.state == RetiringState::Draining {
        step_to(pass, id, RetiringState::Inactivating);
        pass.commit_status().await?;
    }
    // A client that is gone, or that no longer carries our marker, is none of ours to change.
    if let Some(client) = client {
        if client.state == ClientState::Active {
            if let Err(error) = inactivate(session, &client).await {
                failed(pass, id, &error);
                return Ok(());
            }
            pass.event(EventType::Normal, "ClientInactivated", &format!("client {id} obtains no more tokens")).await;
        }
        if first.delete_after.is_none() && first.state != RetiringState::Deleting {
            let delete_after = whole_second(deletion_time(&first, &client, seen.now));
            for retiring in pass.status.retiring.iter_mut().filter(|retiring| retiring.client_id == id) {
                retiring.delete_after = Some(delete_after);
            }
            if delete_after > seen.now {
                pass.again = Again::After(seen.time_to(delete_after).unwrap_or_default().min(seen.times.resync));
                return Ok(());
            }
        }
        step_to(pass, id, RetiringState::Deleting);
        pass.commit_status().await?;
        if let Err(error) = session.platform.delete_client(id).await {
            failed(pass, id, &error);
            return Ok(());
        }
        pass.event(EventType::Normal, "ClientDeleted", &format!("deleted surplus client {id}")).await;
    }
    pass.status.retiring.retain(|retiring| retiring.client_id != id);
    Ok(())
}

/// When an inactive client may go: its tokens live on as long as it exists.
fn deletion_time(retiring: &RetiringClient, client: &OAuthClient, now: jiff::Timestamp) -> jiff::Timestamp {
    let seconds = match retiring.deletion {
        DeletionTime::AtOnce => 0,
        DeletionTime::AfterTokens => client.access_token_validity_seconds.unwrap_or(USUAL_VALIDITY).min(LONGEST_KEPT),
    };
    after(now, seconds)
}

fn step_to(pass: &mut Pass<'_>, id: &str, state: RetiringState) {
    for retiring in pass.status.retiring.iter_mut().filter(|retiring| retiring.client_id == id) {
        retiring.state = state;
    }
}

fn failed(pass: &mut Pass<'_>, id: &str, error: &genesys::Error) {
    if error.class() == ErrorClass::Withheld {
        super::mint::show(pass, error);
        return;
    }
    tracing::warn!(client = %id, %error, "a surplus client could not be retired yet");
    pass.again = Again::Backoff;
}

/// Makes a client inactive and deletes it; one that is gone already is a success.
pub async fn inactivate_and_delete(session: &Session, client: &OAuthClient) -> Result<(), genesys::Error> {
    match inactivate(session, client).await {
        Err(error) if !error.is_not_found() => return Err(error),
        _ => {}
    }
    session.platform.delete_client(&client.id).await
}

/// Makes a client inactive; all its other fields stay.
pub async fn inactivate(session: &Session, client: &OAuthClient) -> Result<(), genesys::Error> {
    if client.state == ClientState::Inactive {
        return Ok(());
    }
    let mut body = client.members();
    body.insert("state".to_owned(), json!(ClientState::Inactive.as_str()));
    session.platform.update_client(&client.id, body.into()).await.map(drop)
}
