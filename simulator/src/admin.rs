//! The admin API: a person's view of the organization, and the planting of faults; it must never list a secret.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::clients::Record;
use crate::clock::iso;
use crate::faults::Fault;
use crate::organization::Role;
use crate::settings::{SecretText, Settings};
use crate::simulator::{EditError, Simulator, merge};

/// The routes under `/admin`.
pub(crate) fn routes() -> Router<Simulator> {
    Router::new()
        .route("/admin/clients", get(list_clients).post(add_client))
        .route("/admin/clients/{id}", get(get_client).patch(edit_client).delete(remove_client))
        .route("/admin/clients/{id}/secret", post(reset_secret))
        .route("/admin/credentials", get(list_credentials))
        .route("/admin/faults", get(list_faults).post(plant_fault).delete(clear_faults))
        .route("/admin/faults/{id}", delete(remove_fault))
        .route("/admin/calls", get(list_calls))
        .route("/admin/settings", get(show_settings).patch(change_settings))
        .route("/admin/clock", get(show_clock).post(advance_clock))
        .route("/admin/roles", get(list_roles).post(add_role))
        .route("/admin/roles/{id}", delete(remove_role))
        .route("/admin/operator", patch(change_operator))
}

/// An error of the admin API: a status and one sentence.
pub(crate) struct AdminError(StatusCode, String);

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

impl From<EditError> for AdminError {
    fn from(error: EditError) -> Self {
        let status = match error {
            EditError::NoSuchClient(_) => StatusCode::NOT_FOUND,
            EditError::NotAClient(_) => StatusCode::BAD_REQUEST,
        };
        Self(status, error.to_string())
    }
}

type Answer = Result<Json<Value>, AdminError>;

fn none(what: &str) -> AdminError {
    AdminError(StatusCode::NOT_FOUND, format!("there is no such {what}"))
}

fn bad(error: impl std::fmt::Display) -> AdminError {
    AdminError(StatusCode::BAD_REQUEST, error.to_string())
}

/// A client as the admin API shows it: with a digest of its secret, which compares and reveals nothing.
pub(crate) fn shown(simulator: &Simulator, id: &str) -> Option<Value> {
    simulator.settled().clients.record(id).and_then(with_digest)
}

/// All clients as the admin API shows them, oldest first.
pub(crate) fn all_shown(simulator: &Simulator) -> Vec<Value> {
    let state = simulator.settled();
    let ids: Vec<&str> = state.clients.all().into_iter().map(|client| client.id.as_str()).collect();
    ids.into_iter().filter_map(|id| state.clients.record(id).and_then(with_digest)).collect()
}

fn with_digest(record: &Record) -> Option<Value> {
    let mut body = record.present()?.json();
    body["secretSha256"] = json!(sha256(record.secret()));
    Some(body)
}

fn sha256(text: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

async fn list_clients(State(simulator): State<Simulator>) -> Json<Value> {
    Json(json!({"clients": all_shown(&simulator)}))
}

async fn get_client(State(simulator): State<Simulator>, Path(id): Path<String>) -> Answer {
    shown(&simulator, &id).map(Json).ok_or_else(|| none("client"))
}

async fn add_client(State(simulator): State<Simulator>, Json(members): Json<Value>) -> Answer {
    let (client, secret) = simulator.add_client(&members)?;
    Ok(Json(client.shown_with(&secret)))
}

async fn edit_client(State(simulator): State<Simulator>, Path(id): Path<String>, Json(change): Json<Value>) -> Answer {
    simulator.edit_client(&id, &change)?;
    shown(&simulator, &id).map(Json).ok_or_else(|| none("client"))
}

async fn remove_client(State(simulator): State<Simulator>, Path(id): Path<String>) -> Result<StatusCode, AdminError> {
    if simulator.remove_client(&id) { Ok(StatusCode::NO_CONTENT) } else { Err(none("client")) }
}

async fn reset_secret(State(simulator): State<Simulator>, Path(id): Path<String>) -> Answer {
    let secret = simulator.reset_secret(&id).ok_or_else(|| none("client"))?;
    Ok(Json(json!({"id": id, "secret": secret})))
}

async fn list_credentials(State(simulator): State<Simulator>) -> Json<Value> {
    let ids: Vec<String> = simulator.settled().credentials.keys().cloned().collect();
    let credentials: Vec<Value> = ids
        .iter()
        .filter_map(|id| {
            let works = simulator.credential_works(id);
            let state = simulator.settled();
            let credential = state.credentials.get(id)?;
            let secret = credential.fields.get("clientSecret").map(|secret| sha256(secret));
            Some(json!({
                "id": id,
                "name": credential.name,
                "type": credential.kind,
                "clientId": credential.fields.get("clientId"),
                "secretSha256": secret,
                "modifiedDate": iso(credential.modified),
                "works": works,
            }))
        })
        .collect();
    Json(json!({"credentials": credentials}))
}

async fn list_faults(State(simulator): State<Simulator>) -> Json<Value> {
    Json(json!({"faults": simulator.faults()}))
}

async fn plant_fault(State(simulator): State<Simulator>, Json(fault): Json<Value>) -> Answer {
    let fault: Fault = serde_json::from_value(fault).map_err(bad)?;
    let id = simulator.plant(fault);
    let planted = simulator.faults().into_iter().find(|fault| fault.id == id);
    Ok(Json(json!(planted)))
}

async fn clear_faults(State(simulator): State<Simulator>) -> StatusCode {
    simulator.clear_faults();
    StatusCode::NO_CONTENT
}

async fn remove_fault(State(simulator): State<Simulator>, Path(id): Path<u64>) -> Result<StatusCode, AdminError> {
    if simulator.remove_fault(id) { Ok(StatusCode::NO_CONTENT) } else { Err(none("fault")) }
}

#[derive(Debug, Deserialize)]
struct Since {
    #[serde(default)]
    since: u64,
}

async fn list_calls(State(simulator): State<Simulator>, Query(Since { since }): Query<Since>) -> Json<Value> {
    Json(json!({"calls": simulator.calls_since(since)}))
}

async fn show_settings(State(simulator): State<Simulator>) -> Json<Value> {
    Json(json!(simulator.settings()))
}

async fn change_settings(State(simulator): State<Simulator>, Json(change): Json<Value>) -> Answer {
    let old = simulator.settings();
    let mut merged = json!(old);
    merge(&mut merged, &change);
    let mut new: Settings = serde_json::from_value(merged).map_err(bad)?;
    // Settings are never written with the secret, so it has to be carried over; PATCH /admin/operator changes it.
    new.operator_client_secret = old.operator_client_secret;
    simulator.update_settings(|settings| *settings = new);
    Ok(Json(json!(simulator.settings())))
}

async fn show_clock(State(simulator): State<Simulator>) -> Json<Value> {
    Json(json!({"now": iso(simulator.now())}))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Advance {
    advance_seconds: u64,
}

async fn advance_clock(State(simulator): State<Simulator>, Json(Advance { advance_seconds }): Json<Advance>) -> Answer {
    simulator
        .clock()
        .try_advance(Duration::from_secs(advance_seconds))
        .map_err(|error| AdminError(StatusCode::CONFLICT, error.to_string()))?;
    Ok(Json(json!({"now": iso(simulator.now())})))
}

async fn list_roles(State(simulator): State<Simulator>) -> Json<Value> {
    let roles: Vec<Value> = simulator.settled().roles.iter().map(Role::json).collect();
    Json(json!({"roles": roles}))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRole {
    name: String,
    #[serde(default)]
    permissions: Vec<String>,
}

async fn add_role(State(simulator): State<Simulator>, Json(role): Json<NewRole>) -> Json<Value> {
    Json(json!({"id": simulator.add_role(&role.name, role.permissions), "name": role.name}))
}

async fn remove_role(State(simulator): State<Simulator>, Path(id): Path<String>) -> Result<StatusCode, AdminError> {
    if simulator.remove_role(&id) { Ok(StatusCode::NO_CONTENT) } else { Err(none("role")) }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Operator {
    permissions: Option<Vec<String>>,
    roles: Option<Vec<String>>,
    secret: Option<SecretText>,
}

async fn change_operator(State(simulator): State<Simulator>, Json(change): Json<Operator>) -> Answer {
    simulator.set_operator(change.permissions, change.roles, change.secret);
    let settings = simulator.settings();
    shown(&simulator, &settings.operator_client_id)
        .map(|client| Json(json!({"client": client, "permissions": settings.operator_permissions})))
        .ok_or_else(|| none("client"))
}
