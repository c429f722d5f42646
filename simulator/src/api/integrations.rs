//! Integration credentials; it must never show their fields.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Context, paging};
use crate::clock::iso;
use crate::error::ErrorBody;
use crate::exchange::Reply;
use crate::state::Credential;

/// The types of credentials, and the fields that each needs. The second is what Data Actions for Genesys Cloud use.
const TYPES: [(&str, &[&str]); 2] = [("basicAuth", &["userName", "password"]), ("pureCloudOAuthClient", &["clientId", "clientSecret"])];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<Kind>,
    credential_fields: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Kind {
    name: String,
}

pub(super) fn types() -> Reply {
    let entities: Vec<Value> =
        TYPES.iter().map(|(name, fields)| json!({"id": name, "name": name, "required": fields, "displayOrder": fields})).collect();
    Reply::json(json!({"entities": entities}))
}

pub(super) fn list(call: &mut Context<'_>) -> Result<Reply, ErrorBody> {
    let entities = call.state.credentials.values().map(shown).collect();
    paging::page(call.request, entities).map(Reply::json)
}

pub(super) fn get(call: &mut Context<'_>) -> Result<Reply, ErrorBody> {
    let id = call.request.parameter(0);
    let credential = call.state.credentials.get(id).ok_or_else(ErrorBody::not_found)?;
    Ok(Reply::json(shown(credential)).about(id))
}

pub(super) fn create(call: &mut Context<'_>) -> Result<Reply, ErrorBody> {
    let (name, kind, fields) = settle(call)?;
    let id = call.state.chance.id();
    let credential = Credential { id: id.clone(), name, kind, fields, created: call.now, modified: call.now };
    let reply = Reply::json(shown(&credential)).committed().about(id.clone());
    call.state.credentials.insert(id, credential);
    Ok(reply)
}

pub(super) fn update(call: &mut Context<'_>) -> Result<Reply, ErrorBody> {
    let id = call.request.parameter(0);
    let created = call.state.credentials.get(id).ok_or_else(ErrorBody::not_found)?.created;
    let (name, kind, fields) = settle(call)?;
    let credential = Credential { id: id.to_owned(), name, kind, fields, created, modified: call.now };
    let reply = Reply::json(shown(&credential)).committed().about(id);
    call.state.credentials.insert(id.to_owned(), credential);
    Ok(reply)
}

pub(super) fn delete(call: &mut Context<'_>) -> Result<Reply, ErrorBody> {
    let id = call.request.parameter(0);
    call.state.credentials.remove(id).ok_or_else(ErrorBody::not_found)?;
    Ok(Reply::empty(StatusCode::NO_CONTENT).committed().about(id))
}

fn settle(call: &Context<'_>) -> Result<(String, String, BTreeMap<String, String>), ErrorBody> {
    let body: Body = serde_json::from_value(call.request.json()?).map_err(|_| ErrorBody::malformed())?;
    let name = body.name.filter(|name| !name.is_empty()).ok_or_else(|| ErrorBody::constraint("name is required"))?;
    let kind = body.kind.ok_or_else(|| ErrorBody::constraint("type is required"))?.name;
    let Some((_, needed)) = TYPES.iter().find(|(known, _)| *known == kind) else {
        return Err(ErrorBody::invalid_value(&kind, "type", &TYPES.map(|(known, _)| known).join(", ")));
    };
    let fields = body.credential_fields.unwrap_or_default();
    match needed.iter().find(|field| !fields.contains_key(**field)) {
        Some(missing) => Err(ErrorBody::constraint(&format!("credentialFields.{missing} is required"))),
        None => Ok((name, kind, fields)),
    }
}

fn shown(credential: &Credential) -> Value {
    json!({
        "id": credential.id,
        "name": credential.name,
        "createdDate": iso(credential.created),
        "modifiedDate": iso(credential.modified),
        "type": {"id": credential.kind, "name": credential.kind},
        "selfUri": format!("/api/v2/integrations/credentials/{}", credential.id),
    })
}
