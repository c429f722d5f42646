//! The caller's own token; it must not reveal it.

use http::StatusCode;
use serde_json::json;

use super::Context;
use crate::clock::iso;
use crate::error::ErrorBody;
use crate::exchange::Reply;
use crate::tokens::Subject;

pub(super) fn info(call: &mut Context<'_>) -> Result<Reply, ErrorBody> {
    let client_id = call.caller.client_id.clone();
    // A token may outlive its client if a setting says so; then the last known state describes it.
    let client = call
        .state
        .clients
        .record(&client_id)
        .and_then(|record| record.present().or_else(|| record.deleted().map(|(client, _)| client)))
        .ok_or_else(ErrorBody::bad_credentials)?;
    let settings = &call.state.settings;
    let organization = json!({"id": settings.organization_id, "name": settings.organization_name});
    let mut described = json!({
        "id": client.id,
        "name": client.name,
        "dateCreated": iso(client.date_created),
        "dateModified": iso(client.date_modified),
        "createdBy": client.created_by,
        "modifiedBy": client.modified_by,
        "authorizedGrantType": client.authorized_grant_type,
        "scope": client.scope,
        "roleDivisions": client.role_divisions,
        "state": client.state,
        "organization": organization,
    });
    if let Some(date) = client.date_to_delete {
        described["dateToDelete"] = json!(iso(date));
    }
    let scope = match call.caller.subject {
        Subject::Client => Vec::new(),
        Subject::User => call.caller.scope.clone(),
    };
    Ok(Reply::json(json!({
        "organization": organization,
        "homeOrganization": organization,
        "authorizedScope": scope,
        "OAuthClient": described,
    }))
    .about(client_id))
}

/// The only way to revoke a token.
pub(super) fn revoke(call: &mut Context<'_>) -> Reply {
    call.state.tokens.revoke(&call.caller.token);
    Reply::empty(StatusCode::OK).committed().about(call.caller.client_id.clone())
}
