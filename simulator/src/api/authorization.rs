//! Roles, divisions, scopes and the caller's grants, all read-only; it must not change any of them.

use serde_json::{Value, json};

use super::{Context, paging};
use crate::clock::iso;
use crate::error::ErrorBody;
use crate::exchange::Reply;
use crate::organization::{ALL_DIVISIONS, HOME_DIVISION_ID};
use crate::scopes::{self, Scope};
use crate::tokens::Subject;

/// Ids that one request for roles may name. (SPEC)
const MOST_ROLE_IDS: usize = 100;

pub(super) fn list_roles(call: &mut Context<'_>) -> Result<Reply, ErrorBody> {
    let ids = values(call, "id");
    if ids.len() > MOST_ROLE_IDS {
        return Err(ErrorBody::new(http::StatusCode::BAD_REQUEST, "max.role.ids", "Only 100 role ids can be requested"));
    }
    let permissions = values(call, "permission");
    let name = call.request.query("name").map(str::to_lowercase);
    let roles = call
        .state
        .roles
        .iter()
        .filter(|role| ids.is_empty() || ids.contains(&role.id))
        .filter(|role| matches(&role.name, name.as_deref()))
        .filter(|role| permissions.iter().all(|permission| role.gives(permission)))
        .map(crate::organization::Role::json)
        .collect();
    paging::page(call.request, roles).map(Reply::json)
}

pub(super) fn get_role(call: &mut Context<'_>) -> Result<Reply, ErrorBody> {
    let id = call.request.parameter(0);
    let role = call.state.roles.iter().find(|role| role.id == id).ok_or_else(ErrorBody::not_found)?;
    Ok(Reply::json(role.json()).about(id))
}

pub(super) fn list_divisions(call: &mut Context<'_>) -> Result<Reply, ErrorBody> {
    let ids = values(call, "id");
    let name = call.request.query("name").map(str::to_lowercase);
    let divisions = call
        .state
        .divisions
        .iter()
        .filter(|division| ids.is_empty() || ids.contains(&division.id))
        .filter(|division| matches(&division.name, name.as_deref()))
        .map(crate::organization::Division::json)
        .collect();
    paging::page(call.request, divisions).map(Reply::json)
}

pub(super) fn home_division(call: &mut Context<'_>) -> Result<Reply, ErrorBody> {
    division(call, HOME_DIVISION_ID)
}

pub(super) fn get_division(call: &mut Context<'_>) -> Result<Reply, ErrorBody> {
    division(call, call.request.parameter(0))
}

fn division(call: &Context<'_>, id: &str) -> Result<Reply, ErrorBody> {
    let division = call.state.divisions.iter().find(|division| division.id == id).ok_or_else(ErrorBody::not_found)?;
    Ok(Reply::json(division.json()).about(id))
}

pub(super) fn list_scopes() -> Reply {
    let entities: Vec<Value> = scopes::all().iter().copied().map(scope_json).collect();
    Reply::json(json!({"total": entities.len(), "entities": entities, "selfUri": "/api/v2/oauth/scopes"}))
}

pub(super) fn get_scope(call: &mut Context<'_>) -> Result<Reply, ErrorBody> {
    scopes::find(call.request.parameter(0)).map(|scope| Reply::json(scope_json(scope))).ok_or_else(ErrorBody::not_found)
}

fn scope_json(scope: Scope) -> Value {
    json!({
        "id": scope.name,
        "description": scope.description,
        "selfUri": format!("/api/v2/oauth/scopes/{}", scope.name),
    })
}

/// The caller's grants as they are stored: one that has not spread yet is shown already.
pub(super) fn subjects_me(call: &mut Context<'_>) -> Reply {
    let state = &call.state;
    let (id, name) = match call.caller.subject {
        Subject::Client => (call.caller.client_id.clone(), state.clients.present(&call.caller.client_id).map(|client| client.name.clone())),
        Subject::User => (state.settings.user_id.clone(), Some(state.settings.user_name.clone())),
    };
    let stored = match call.caller.subject {
        Subject::Client => state
            .clients
            .record(&call.caller.client_id)
            .map(|record| record.grants().iter().map(|grant| (grant.pair.clone(), grant.made_at)).collect())
            .unwrap_or_default(),
        Subject::User => call.caller.grants.iter().map(|pair| (pair.clone(), call.now)).collect::<Vec<_>>(),
    };
    let grants: Vec<Value> = stored
        .into_iter()
        .map(|(pair, made_at)| {
            let role = state
                .roles
                .iter()
                .find(|role| role.id == pair.role_id)
                .map_or(Value::Null, |role| json!({"id": role.id, "name": role.name, "policies": role.json()["permissionPolicies"]}));
            let division = state.divisions.iter().find(|division| division.id == pair.division_id);
            let division =
                division.map_or_else(|| json!({"id": ALL_DIVISIONS, "name": ALL_DIVISIONS}), crate::organization::Division::json);
            json!({"subjectId": id, "division": division, "role": role, "grantMadeAt": iso(made_at)})
        })
        .collect();
    Reply::json(json!({
        "id": id,
        "name": name,
        "grants": grants,
        "version": 1,
        "selfUri": format!("/api/v2/authorization/subjects/{id}"),
    }))
}

/// All values of a query parameter, given several times or with commas.
fn values(call: &Context<'_>, name: &str) -> Vec<String> {
    call.request
        .query
        .iter()
        .filter(|(own, _)| own == name)
        .flat_map(|(_, value)| value.split(','))
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A name filter finds parts of names, whatever their case; `*` stands for anything at the ends. (U)
fn matches(name: &str, wanted: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| name.to_lowercase().contains(wanted.trim_matches('*')))
}
