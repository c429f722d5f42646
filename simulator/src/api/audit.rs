//! Queries over the audits of OAuth clients; it must not record any.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Context;
use super::usage::parse_interval;
use crate::audits::{Actor, Audit, ENTITY_TYPE, SERVICE};
use crate::clock::iso;
use crate::error::ErrorBody;
use crate::exchange::Reply;
use crate::state::Execution;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Query {
    interval: Option<String>,
    service_name: Option<String>,
    #[serde(default)]
    filters: Vec<Filter>,
    #[serde(default)]
    sort: Vec<Sort>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Filter {
    property: Property,
    value: String,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Property {
    UserId,
    TrusteeOrganizationId,
    ClientId,
    Action,
    EntityType,
    EntityId,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sort {
    name: String,
    sort_order: SortOrder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SortOrder {
    Ascending,
    Descending,
}

pub(super) fn query(call: &mut Context<'_>) -> Result<Reply, ErrorBody> {
    let query: Query = serde_json::from_value(call.request.json()?).map_err(|_| ErrorBody::malformed())?;
    let interval = query.interval.as_deref().ok_or_else(|| ErrorBody::constraint("interval is required"))?;
    let (start, end) = parse_interval(interval)?;
    let service_fits = query.service_name.as_deref().is_none_or(|service| service == SERVICE);
    let mut rows: Vec<Value> = call
        .state
        .audits
        .iter()
        .filter(|audit| service_fits && start <= audit.at && audit.at < end)
        .filter(|audit| query.filters.iter().all(|filter| fits(audit, filter)))
        .map(|audit| audit.body.clone())
        .collect();
    if query.sort.iter().any(|sort| sort.sort_order == SortOrder::Descending) {
        rows.reverse();
    }
    let id = call.state.chance.id();
    let request = json!({
        "id": id,
        "startDate": iso(call.now),
        "interval": interval,
        "serviceName": query.service_name,
        "filters": query.filters,
        "sort": query.sort,
    });
    let running = call.state.settings.running_answers;
    call.state.executions.insert(id.clone(), Execution { rows, request, running });
    shown(call, &id)
}

pub(super) fn status(call: &mut Context<'_>) -> Result<Reply, ErrorBody> {
    let id = call.request.parameter(0).to_owned();
    shown(call, &id)
}

fn shown(call: &mut Context<'_>, id: &str) -> Result<Reply, ErrorBody> {
    let execution = call.state.executions.get_mut(id).ok_or_else(ErrorBody::not_found)?;
    let mut body = execution.request.clone();
    body["state"] = json!(if execution.running > 0 { "Running" } else { "Succeeded" });
    execution.running = execution.running.saturating_sub(1);
    Ok(Reply::json(body).about(id))
}

pub(super) fn results(call: &mut Context<'_>) -> Result<Reply, ErrorBody> {
    let id = call.request.parameter(0);
    let execution = call.state.executions.get(id).ok_or_else(ErrorBody::not_found)?;
    let size: usize = call.request.query("pageSize").and_then(|text| text.parse().ok()).unwrap_or(25).max(1);
    let from: usize = call.request.query("cursor").and_then(|text| text.parse().ok()).unwrap_or(0);
    let entities: Vec<&Value> = execution.rows.iter().skip(from).take(size).collect();
    let next = from + entities.len();
    let mut body = json!({"id": id, "pageSize": size, "entities": entities});
    if next < execution.rows.len() {
        body["cursor"] = json!(next.to_string());
    }
    Ok(Reply::json(body).about(id))
}

fn fits(audit: &Audit, filter: &Filter) -> bool {
    match filter.property {
        Property::Action => audit.action == filter.value,
        Property::EntityType => filter.value == ENTITY_TYPE,
        Property::EntityId => audit.entity_id == filter.value,
        Property::ClientId => audit.actor == Actor::Client(filter.value.clone()),
        Property::UserId => audit.actor == Actor::User(filter.value.clone()),
        Property::TrusteeOrganizationId => false,
    }
}
