//! The operations on OAuth clients; the rules of a client's body are in `client_body`, and it must not repeat them.

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::client_body::{self, Draft};
use super::{Context, paging};
use crate::clock::{earlier, later};
use crate::error::ErrorBody;
use crate::exchange::Reply;
use crate::model::{ClientState, OAuthClient};
use crate::settings::{AfterDelete, DeleteOldClient, Settings};

const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn list(call: &mut Context<'_>) -> Result<Reply, ErrorBody> {
    let settings = &call.state.settings;
    let entities: Vec<Value> = call.state.listed(call.now).into_iter().map(|client| client.shown(settings.secret_in_reads)).collect();
    let all = entities.len();
    let size = settings.client_list_page_size.map_or(all, |size| usize::try_from(size).unwrap_or(all));
    paging::sized_page(call.request, entities, size).map(Reply::json)
}

pub(super) fn get(call: &mut Context<'_>) -> Result<Reply, ErrorBody> {
    let id = known_id(call, ErrorBody::client_not_found)?;
    let settings = &call.state.settings;
    if let Some(client) = call.state.readable(&id, call.now) {
        return Ok(Reply::json(client.shown(settings.secret_in_reads)).about(id));
    }
    let visible = Duration::from_millis(settings.deleted_visible_milliseconds);
    let deleted = call.state.clients.record(&id).and_then(|record| record.deleted());
    match (settings.after_delete, deleted) {
        (AfterDelete::StateDeleted, Some((client, at))) if call.now < later(at, visible) => {
            let mut body = client.shown(settings.secret_in_reads);
            body["state"] = json!("deleted");
            Ok(Reply::json(body).about(id))
        }
        _ => Err(ErrorBody::client_not_found()),
    }
}

pub(super) fn create(call: &mut Context<'_>) -> Result<Reply, ErrorBody> {
    let draft = client_body::settle(call.state, call.request.json()?, None, &call.caller.grants)?;
    let full = call
        .state
        .settings
        .maximum_clients
        .is_some_and(|maximum| call.state.clients.all().len() >= usize::try_from(maximum).unwrap_or(usize::MAX));
    if full {
        return Err(ErrorBody::too_many_clients());
    }
    let actor = call.actor();
    let by = actor.reference();
    let mut client = OAuthClient {
        id: call.state.chance.id(),
        name: draft.name,
        access_token_validity_seconds: draft.access_token_validity_seconds,
        description: draft.description,
        registered_redirect_uri: draft.registered_redirect_uri,
        role_ids: Vec::new(),
        date_created: call.now,
        date_modified: call.now,
        created_by: by.clone(),
        modified_by: by,
        authorized_grant_type: draft.grant_type,
        scope: draft.scope,
        role_divisions: draft.role_divisions,
        state: draft.state,
        date_to_delete: draft.date_to_delete,
        self_uri: String::new(),
        unknown: draft.unknown,
    };
    client.derive_members();
    let id = client.id.clone();
    let secret = call.state.create_client(client.clone(), &actor, call.now);
    Ok(Reply::json(client.shown_with(&secret)).committed().about(id))
}

pub(super) fn update(call: &mut Context<'_>) -> Result<Reply, ErrorBody> {
    let id = known_id(call, ErrorBody::client_not_found)?;
    let before = call.state.clients.present(&id).cloned().ok_or_else(ErrorBody::client_not_found)?;
    if before.state == ClientState::Disabled {
        return Err(ErrorBody::client_is_disabled());
    }
    let draft = client_body::settle(call.state, call.request.json()?, Some(&before), &call.caller.grants)?;
    let date_to_delete = date_to_delete(&call.state.settings, &before, &draft, call.now);
    let client = OAuthClient {
        name: draft.name,
        access_token_validity_seconds: draft.access_token_validity_seconds,
        description: draft.description,
        registered_redirect_uri: draft.registered_redirect_uri,
        authorized_grant_type: draft.grant_type,
        scope: draft.scope,
        role_divisions: draft.role_divisions,
        state: draft.state,
        date_to_delete,
        unknown: draft.unknown,
        ..before
    };
    let actor = call.actor();
    call.state.update_client(client, &actor, call.now);
    let stored = call.state.clients.present(&id).ok_or_else(ErrorBody::client_not_found)?;
    Ok(Reply::json(stored.shown(call.state.settings.secret_in_reads)).committed().about(id))
}

pub(super) fn delete(call: &mut Context<'_>) -> Result<Reply, ErrorBody> {
    let id = known_id(call, ErrorBody::client_not_found)?;
    let client = call.state.clients.present(&id).cloned().ok_or_else(ErrorBody::client_not_found)?;
    if client.state != ClientState::Inactive {
        return Err(ErrorBody::cannot_delete());
    }
    let actor = call.actor();
    let settings = &call.state.settings;
    let status = StatusCode::from_u16(settings.delete_status).unwrap_or(StatusCode::OK);
    if is_old(settings, &client, call.now) && settings.delete_old_client == DeleteOldClient::Schedule {
        let date = client.date_to_delete.unwrap_or_else(|| later(call.now, DAY * settings.delete_grace_days));
        let client = OAuthClient { date_to_delete: Some(date), ..client };
        call.state.update_client(client, &actor, call.now);
    } else {
        call.state.delete_client(&id, &actor, call.now);
    }
    Ok(Reply::empty(status).committed().about(id))
}

pub(super) fn reset_secret(call: &mut Context<'_>) -> Result<Reply, ErrorBody> {
    // The specification names `not.found` here and `client.not.found` elsewhere.
    let id = known_id(call, ErrorBody::not_found)?;
    let client = call.state.clients.present(&id).cloned().ok_or_else(ErrorBody::not_found)?;
    if !client_body::holds_all(&call.caller.grants, &client.role_divisions) {
        return Err(ErrorBody::caller_lacks_roles());
    }
    let actor = call.actor();
    let secret = call.state.reset_secret(&id, &actor, call.now);
    let stored = call.state.clients.present(&id).ok_or_else(ErrorBody::not_found)?;
    Ok(Reply::json(stored.shown_with(&secret)).committed().about(id))
}

/// The client id of the path. What an id that is no UUID gets is a setting. (U)
fn known_id(call: &Context<'_>, not_found: impl Fn() -> ErrorBody) -> Result<String, ErrorBody> {
    let id = call.request.parameter(0);
    if uuid::Uuid::parse_str(id).is_err() {
        return Err(if call.state.settings.malformed_id_status == 400 { ErrorBody::malformed() } else { not_found() });
    }
    Ok(id.to_owned())
}

fn is_old(settings: &Settings, client: &OAuthClient, now: Timestamp) -> bool {
    client.date_created <= earlier(now, DAY * settings.old_client_days)
}

/// An old client that becomes inactive is scheduled for deletion, and one that becomes active again no longer is. (HELP)
fn date_to_delete(settings: &Settings, before: &OAuthClient, draft: &Draft, now: Timestamp) -> Option<Timestamp> {
    match (before.state, draft.state) {
        (ClientState::Inactive, ClientState::Active) => None,
        (ClientState::Active, ClientState::Inactive) if is_old(settings, before, now) => {
            draft.date_to_delete.or(before.date_to_delete).or_else(|| Some(later(now, DAY * settings.delete_grace_days)))
        }
        _ => draft.date_to_delete.or(before.date_to_delete),
    }
}
