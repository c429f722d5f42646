//! The organization and the configured user; it must not know clients.

use http::StatusCode;
use serde_json::json;

use super::Context;
use crate::error::ErrorBody;
use crate::exchange::Reply;
use crate::tokens::Subject;

pub(super) fn me(call: &mut Context<'_>) -> Reply {
    let settings = &call.state.settings;
    Reply::json(json!({
        "id": settings.organization_id,
        "name": settings.organization_name,
        "defaultLanguage": "en-US",
        "defaultCountryCode": "US",
        "thirdPartyOrgName": settings.organization_name,
        "domain": "simulated.example",
        "version": 1,
        "state": "active",
        "voicemailEnabled": false,
        "productPlatform": "GenesysCloud",
        "features": {},
        "selfUri": format!("/api/v2/organizations/{}", settings.organization_id),
    }))
    .about(settings.organization_id.clone())
}

/// Works for tokens of a user only: a client-credentials token has none. (DEV; status and code: U)
pub(super) fn user_me(call: &mut Context<'_>) -> Result<Reply, ErrorBody> {
    let settings = &call.state.settings;
    match call.caller.subject {
        Subject::Client => Err(ErrorBody::new(
            StatusCode::BAD_REQUEST,
            "bad.request",
            "This request requires a user context. Client credentials cannot be used for requests to this resource.",
        )),
        Subject::User => Ok(Reply::json(json!({
            "id": settings.user_id,
            "name": settings.user_name,
            "division": {"id": crate::organization::HOME_DIVISION_ID, "name": "Home"},
            "email": "simone.sample@simulated.example",
            "state": "active",
            "version": 1,
            "selfUri": format!("/api/v2/users/{}", settings.user_id),
        }))
        .about(settings.user_id.clone())),
    }
}
