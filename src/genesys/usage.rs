//! How many requests a client made of the platform, by the usage query. It must not take a partial answer, or one that
//! cannot be read, for silence: an idle client is retired.

use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::bounded::Envelope;
use super::clients::path_part;
use super::error::{Error, Operation};
use super::model::{Unreadable, object, text};
use super::platform::{Platform, Reply};

/// How long to wait between looks at a query that runs; each look costs a slot of the budget.
const PAUSES: [Duration; 5] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8), Duration::from_secs(8)];

/// The most bytes of results: a year of months with a row for each of two thousand paths.
const MAX_RESULTS: usize = 4 * 1024 * 1024;

/// Which requests of a client count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    /// Every one.
    All,
    /// Those that are not known to be the operator's own: it verifies the credentials of clients, as the client that they belong to.
    Foreign,
}

/// What the results of a query say (SPEC `ApiUsageQueryResult`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Running,
    Failed,
    /// The requests of all rows.
    Complete(u64),
    /// The requests of the rows of the first page; the platform has no parameter to ask for the next one.
    FirstPage(u64),
}

impl Platform {
    /// How many requests a client made between two times: at least those, because the platform counts by days, and a day
    /// counts that the interval only touches. Freshness of the counts is not documented.
    pub async fn requests_of(&self, client_id: &str, from: Timestamp, to: Timestamp) -> Result<u64, Error> {
        self.count(client_id, (from, to), Counted::All).await
    }

    /// The same, without the requests by which the operator verifies the client's credential.
    pub async fn foreign_requests_of(&self, client_id: &str, from: Timestamp, to: Timestamp) -> Result<u64, Error> {
        self.count(client_id, (from, to), Counted::Foreign).await
    }

    async fn count(&self, client_id: &str, (from, to): (Timestamp, Timestamp), counted: Counted) -> Result<u64, Error> {
        let operation = Operation::QueryUsage;
        if from >= to {
            return Err(Error::NotSent { operation, reason: format!("no time lies between {from} and {to}") });
        }
        let path = format!("/api/v2/oauth/clients/{}/usage/query", path_part(operation, client_id)?);
        // Rows by month are few, also where there is one for each path.
        let (granularity, group_by): (_, &[&str]) = match counted {
            Counted::All => ("Day", &["OAuthClientId"]),
            Counted::Foreign => ("Month", &["OAuthClientId", "TemplateUri"]),
        };
        let interval = format!("{from:.3}/{to:.3}");
        let body = json!({ "interval": interval, "granularity": granularity, "metrics": ["Requests"], "groupBy": group_by });
        let call = self.one(operation, Method::POST, path.clone()).with_json(&body);
        let execution = self.call(&call).await?.read(execution_id)?;
        let operation = Operation::GetUsage;
        let call = self.one(operation, Method::GET, format!("{path}/results/{}", path_part(operation, &execution)?)).at_most(MAX_RESULTS);
        let mut pauses = PAUSES.into_iter();
        loop {
            match answer(self.call(&call).await?, counted)? {
                Answer::Complete(requests) => return Ok(requests),
                // More pages can only add to it.
                Answer::FirstPage(requests) if requests > 0 => return Ok(requests),
                Answer::FirstPage(_) => return Err(unknown("the platform shows the first page of the counts alone")),
                Answer::Failed => return Err(unknown("the platform could not count the client's requests")),
                Answer::Running => match pauses.next() {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(unknown("the platform is still counting the client's requests")),
                },
            }
        }
    }
}

fn execution_id(value: Value) -> Result<String, Unreadable> {
    text(&object(value)?, "executionId").ok_or_else(|| Unreadable("no executionId".to_owned()))
}

fn answer(reply: Reply, counted: Counted) -> Result<Answer, Error> {
    let mut sum = 0_u64;
    let row = |row: Value| {
        let requests = row.get("requests").and_then(Value::as_u64);
        let requests = requests.ok_or_else(|| Unreadable("a row has no number of requests".to_owned()))?;
        if counted == Counted::All || !is_verification(&row) {
            sum = sum.saturating_add(requests);
        }
        Ok(())
    };
    let Envelope { members: map, has_list } = reply.read_list("results", row, Ok)?;
    let whole = has_list || map.get("results").is_none_or(Value::is_null);
    let more = map.get("cursors").and_then(Value::as_object).is_some_and(|cursors| text(cursors, "after").is_some());
    match text(&map, "queryStatus").as_deref() {
        Some("Running") => Ok(Answer::Running),
        Some("Failed") => Ok(Answer::Failed),
        Some("Complete") if !whole => Err(unknown("results is not a list")),
        Some("Complete") => Ok(if more { Answer::FirstPage(sum) } else { Answer::Complete(sum) }),
        _ => Err(unknown("no queryStatus that is known")),
    }
}

fn unknown(reason: &str) -> Error {
    let operation = Operation::GetUsage;
    Error::Unknown { operation, status: None, reason: reason.to_owned(), correlation_id: None, retry_after: None }
}

/// Whether a row counts what the probe of a credential calls. One that names no path counts as something else.
fn is_verification(row: &Value) -> bool {
    row.get("templateUri").and_then(Value::as_str).is_some_and(|path| path.trim_end_matches('/').ends_with("/tokens/me"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::Instant;

    use super::super::testing::{Answer as Scripting, Scripted, json_answer, platform, refusal_answer};
    use super::*;

    fn begun() -> Scripting {
        json_answer(202, &json!({"executionId": "e1", "resultsUri": "https://elsewhere.example/e1"}))
    }

    fn shown(status: &str, results: &Value) -> Scripting {
        json_answer(200, &json!({"queryStatus": status, "results": results, "cursors": {}}))
    }

    async fn asked(transport: &Arc<Scripted>) -> Result<u64, Error> {
        let time = |text: &str| text.parse::<Timestamp>().expect("a time");
        platform(transport).requests_of("c1", time("2026-01-05T08:00:00Z"), time("2026-01-06T09:30:00Z")).await
    }

    #[tokio::test(start_paused = true)]
    async fn the_requests_of_all_rows_are_added_once_the_query_is_complete() {
        let rows = json!([{"clientId": "c1", "requests": 3}, {"clientId": "c1", "requests": 4}]);
        let running = json_answer(202, &json!({"queryStatus": "Running"}));
        let transport = Scripted::in_order(vec![begun(), running.clone(), running, shown("Complete", &rows)]);
        assert_eq!(asked(&transport).await, Ok(7));
        let results = "GET /api/v2/oauth/clients/c1/usage/query/results/e1";
        assert_eq!(transport.calls(), ["POST /api/v2/oauth/clients/c1/usage/query", results, results, results]);
        let body: Value = serde_json::from_slice(transport.requests()[0].body()).expect("JSON");
        assert_eq!(body["interval"], "2026-01-05T08:00:00.000Z/2026-01-06T09:30:00.000Z");
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_operator_asked_itself_as_the_client_is_not_foreign() {
        for (rows, expected) in [
            (json!([{"templateUri": "/api/v2/tokens/me", "requests": 7}]), 0),
            (json!([{"templateUri": "/api/v2/tokens/me", "requests": 7}, {"templateUri": "/api/v2/users", "requests": 2}]), 2),
            (json!([{"requests": 3}]), 3),
            (json!([]), 0),
        ] {
            let transport = Scripted::in_order(vec![begun(), shown("Complete", &rows)]);
            let time = |text: &str| text.parse::<Timestamp>().expect("a time");
            let (from, to) = (time("2025-01-05T08:00:00Z"), time("2026-01-05T08:00:00Z"));
            assert_eq!(platform(&transport).foreign_requests_of("c1", from, to).await, Ok(expected), "{rows}");
            let body: Value = serde_json::from_slice(transport.requests()[0].body()).expect("JSON");
            assert_eq!((&body["granularity"], &body["groupBy"]), (&json!("Month"), &json!(["OAuthClientId", "TemplateUri"])));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_rows_are_no_requests() {
        for rows in [json!([]), Value::Null] {
            assert_eq!(asked(&Scripted::in_order(vec![begun(), shown("Complete", &rows)])).await, Ok(0));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_a_whole_answer_is_never_silence() {
        for answer in [
            shown("Complete", &json!([{"clientId": "c1"}])),
            shown("Complete", &json!({})),
            shown("Failed", &json!([])),
            shown("Paused", &json!([])),
            json_answer(200, &json!({"results": []})),
            json_answer(200, &json!({"queryStatus": "Complete", "results": [], "cursors": {"after": "next"}})),
            refusal_answer(404, "not.found", "No such execution."),
        ] {
            assert!(asked(&Scripted::in_order(vec![begun(), answer])).await.is_err());
        }
        let part = json!({"queryStatus": "Complete", "results": [{"requests": 2}], "cursors": {"after": "next"}});
        assert_eq!(asked(&Scripted::in_order(vec![begun(), json_answer(200, &part)])).await, Ok(2), "already not idle");
    }

    #[tokio::test(start_paused = true)]
    async fn a_query_that_never_ends_is_given_up() {
        let transport =
            Scripted::new(
                |request| {
                    if request.method() == Method::POST { begun() } else { json_answer(200, &json!({"queryStatus": "Running"})) }
                },
            );
        let before = Instant::now();
        let error = asked(&transport).await.expect_err("still running");
        assert!(error.class().is_transient() && error.to_string().contains("still counting"), "{error}");
        assert_eq!(transport.calls().len(), 2 + PAUSES.len());
        assert_eq!(before.elapsed(), PAUSES.iter().sum::<Duration>());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_asked_of_no_time_or_no_client() {
        let transport = Scripted::new(|_| panic!("nothing may be sent"));
        let (zero, one) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH + Duration::from_secs(1));
        for (id, from, to) in [("c1", one, zero), ("c1", zero, zero), ("../c1", zero, one)] {
            assert!(matches!(platform(&transport).requests_of(id, from, to).await, Err(Error::NotSent { .. })), "{id}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_execution_id_that_leads_elsewhere_is_not_followed() {
        let transport = Scripted::in_order(vec![json_answer(200, &json!({"executionId": "../../x"}))]);
        assert!(asked(&transport).await.is_err());
        assert_eq!(transport.calls().len(), 1);
    }
}
