//! The usage of one client, counted by the call log; it must not count anything itself.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Context;
use crate::calls::UsageCount;
use crate::clock::{earlier, iso};
use crate::error::ErrorBody;
use crate::exchange::Reply;
use crate::state::Execution;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Query {
    interval: Option<String>,
    #[serde(default)]
    granularity: Granularity,
    #[serde(default)]
    metrics: Vec<Metric>,
    #[serde(default)]
    group_by: Vec<GroupBy>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
enum Granularity {
    #[default]
    Day,
    Week,
    Month,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Metric {
    Status200,
    Status300,
    Status400,
    Status500,
    Status429,
    Requests,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum GroupBy {
    OAuthClientId,
    OrganizationId,
    TemplateUri,
    HttpMethod,
}

pub(super) fn query(call: &mut Context<'_>) -> Result<Reply, ErrorBody> {
    let query: Query = serde_json::from_value(call.request.json()?).map_err(|_| ErrorBody::malformed())?;
    let interval = query.interval.as_deref().ok_or_else(|| ErrorBody::constraint("interval is required"))?;
    let (start, end) = parse_interval(interval)?;
    if let Some(days) = call.state.settings.longest_usage_days
        && earlier(end, Duration::from_secs(86_400) * days) > start
    {
        return Err(ErrorBody::invalid_value(interval, "interval", &format!("intervals of up to {days} days")));
    }
    execute(call, (start, end), &query)
}

pub(super) fn summary(call: &mut Context<'_>) -> Result<Reply, ErrorBody> {
    let days = call.request.query("days").unwrap_or("7");
    let number: u32 = days.parse().map_err(|_| ErrorBody::invalid_parameter(days, "days", "positive integers"))?;
    let start = earlier(call.now, Duration::from_secs(86_400) * number);
    let group_by = vec![GroupBy::OAuthClientId];
    let query = Query { interval: None, granularity: Granularity::Day, metrics: Vec::new(), group_by };
    execute(call, (start, call.now), &query)
}

pub(super) fn results(call: &mut Context<'_>) -> Result<Reply, ErrorBody> {
    let id = call.request.parameter(1);
    let execution = call.state.executions.get_mut(id).ok_or_else(ErrorBody::not_found)?;
    if execution.running > 0 {
        execution.running -= 1;
        return Ok(Reply::json(json!({"queryStatus": "Running"})));
    }
    Ok(Reply::json(json!({"results": execution.rows, "queryStatus": "Complete", "cursors": {}})))
}

fn execute(call: &mut Context<'_>, interval: (Timestamp, Timestamp), query: &Query) -> Result<Reply, ErrorBody> {
    let client_id = call.request.parameter(0).to_owned();
    if call.state.clients.record(&client_id).is_none() {
        return Err(ErrorBody::client_not_found());
    }
    let id = call.state.chance.id();
    let execution =
        Execution { rows: rows(call, &client_id, interval, query), request: Value::Null, running: call.state.settings.running_answers };
    call.state.executions.insert(id.clone(), execution);
    let uri = format!("/api/v2/oauth/clients/{client_id}/usage/query/results/{id}");
    Ok(Reply::json(json!({"executionId": id, "resultsUri": uri})).about(client_id))
}

fn rows(call: &Context<'_>, client_id: &str, (start, end): (Timestamp, Timestamp), query: &Query) -> Vec<Value> {
    let day = |moment: Timestamp| moment.to_zoned(TimeZone::UTC).date();
    let by = |group: GroupBy| query.group_by.contains(&group);
    let mut sums: BTreeMap<(Date, &str, &str), UsageCount> = BTreeMap::new();
    for (key, count) in &call.state.calls.usage {
        if key.client == client_id && day(start) <= key.day && key.day <= day(end) {
            let template = if by(GroupBy::TemplateUri) { key.template } else { "" };
            let method = if by(GroupBy::HttpMethod) { key.method.as_str() } else { "" };
            sums.entry((first_day(key.day, query.granularity), template, method)).or_default().add(*count);
        }
    }
    let wanted = |metric: Metric| query.metrics.is_empty() || query.metrics.contains(&metric);
    sums.into_iter()
        .map(|((date, template, method), count)| {
            let mut row = json!({"date": format!("{date}T00:00:00.000Z")});
            if by(GroupBy::OAuthClientId) {
                row["clientId"] = json!(client_id);
                row["clientName"] = json!(call.state.clients.present(client_id).map(|client| &client.name));
            }
            if by(GroupBy::OrganizationId) {
                row["organizationId"] = json!(call.state.settings.organization_id);
            }
            if by(GroupBy::TemplateUri) {
                row["templateUri"] = json!(template);
            }
            if by(GroupBy::HttpMethod) {
                row["httpMethod"] = json!(method);
            }
            let counts = [
                (Metric::Status200, "status200", count.status200),
                (Metric::Status300, "status300", count.status300),
                (Metric::Status400, "status400", count.status400),
                (Metric::Status500, "status500", count.status500),
                (Metric::Status429, "status429", count.status429),
                (Metric::Requests, "requests", count.requests),
            ];
            for (_, name, number) in counts.into_iter().filter(|(metric, _, _)| wanted(*metric)) {
                row[name] = json!(number);
            }
            row
        })
        .collect()
}

fn first_day(day: Date, granularity: Granularity) -> Date {
    match granularity {
        Granularity::Day => day,
        Granularity::Week => day.checked_sub(i64::from(day.weekday().to_monday_zero_offset()).days()).unwrap_or(day),
        Granularity::Month => day.first_of_month(),
    }
}

/// `start/end` in ISO 8601, the start before the end.
pub(super) fn parse_interval(text: &str) -> Result<(Timestamp, Timestamp), ErrorBody> {
    let parse = |part: &str| part.parse::<Timestamp>().ok();
    text.split_once('/').and_then(|(start, end)| Some((parse(start)?, parse(end)?))).filter(|(start, end)| start < end).ok_or_else(|| {
        let example = format!("{}/{}", iso(Timestamp::UNIX_EPOCH), iso(Timestamp::UNIX_EPOCH));
        ErrorBody::invalid_value(text, "interval", &format!("ISO-8601 intervals such as {example}"))
    })
}
