//! Permissions and limits per minute.

use genesys_cloud_simulator::{OPERATOR_CLIENT_ID, OPERATOR_CLIENT_SECRET, RateWindow, Settings};
use serde_json::{Value, json};

use crate::world::{World, path_of, web};

#[tokio::test]
async fn each_operation_needs_its_permission() {
    let world = World::new().await;
    let id = world.create(web("w")).await.id();
    let client = path_of(&id);
    let reset = format!("{client}/secret");
    let summary = format!("{client}/usage/summary");
    let cases = [
        ("oauth:client:view", "GET", "/api/v2/oauth/clients", "[oauth:client:view]"),
        ("oauth:client:view", "GET", &client, "[oauth:client:view]"),
        ("oauth:client:add", "POST", "/api/v2/oauth/clients", "[oauth:client:add]"),
        ("oauth:client:edit", "PUT", &client, "[oauth:client:edit]"),
        ("oauth:client:edit", "POST", &reset, "[oauth:client:edit]"),
        ("oauth:client:delete", "DELETE", &client, "[oauth:client:delete]"),
        ("authorization:role:view", "GET", "/api/v2/authorization/roles", "[authorization:role:view]"),
        ("integrations:integration:add", "POST", "/api/v2/integrations/credentials", "[integrations:integration:add]"),
    ];
    let all = world.simulator.settings().operator_permissions;
    for (taken, method, path, brackets) in cases {
        let others = all.iter().filter(|permission| *permission != taken).cloned().collect();
        world.simulator.set_operator(Some(others), None, None);
        let answer = world.call(method, path, if method == "GET" { Value::Null } else { json!({}) }).await;
        assert_eq!(answer.error(), (403, "missing.any.permissions"), "{method} {path} without {taken}");
        assert!(answer.body["message"].as_str().is_some_and(|text| text.ends_with(brackets)), "{}", answer.text);
    }
    let without_both = all.iter().filter(|permission| !permission.ends_with("client:view")).cloned().collect();
    world.simulator.set_operator(Some(without_both), None, None);
    let answer = world.get(&summary).await;
    assert!(answer.text.contains("[oauth:client:view, usage:client:view]"), "{}", answer.text);
    world.simulator.set_operator(Some(Vec::new()), None, None);
    let audit = world.call("POST", "/api/v2/audits/query", json!({})).await;
    assert_eq!(audit.error(), (403, "missing.permissions"));
    assert_eq!(world.get("/api/v2/organizations/me").await.status, 200, "needs none");
    assert_eq!(world.simulator.other_clients().len(), 1, "what is forbidden changes nothing");
}

#[tokio::test]
async fn the_request_limit_is_per_token_and_says_when_to_come_back() {
    let world = World::with(Settings { requests_per_minute: Some(3), ..Settings::default() }).await;
    for _ in 0..3 {
        assert_eq!(world.get("/api/v2/organizations/me").await.status, 200);
        world.advance(5);
    }
    let refused = world.create(web("w")).await;
    assert_eq!(refused.error(), (429, "too.many.requests.retry.after"));
    assert_eq!(refused.header("retry-after"), "45");
    assert_eq!(refused.body["message"], "Rate limit exceeded the maximum. Retry the request in [45] seconds");
    assert!(world.simulator.other_clients().is_empty());
    let other = world.token_of(OPERATOR_CLIENT_ID, OPERATOR_CLIENT_SECRET).await;
    assert_eq!(world.call_as(&other, "GET", "/api/v2/organizations/me", Value::Null).await.status, 200);
    world.advance(45);
    assert_eq!(world.get("/api/v2/organizations/me").await.status, 200);
}

#[tokio::test]
async fn a_sliding_window_lets_one_in_when_one_is_a_minute_old() {
    let settings = Settings { requests_per_minute: Some(2), rate_window: RateWindow::Sliding, ..Settings::default() };
    let world = World::with(settings).await;
    let mut seen = Vec::new();
    for wait in [30, 30, 0, 30, 0] {
        seen.push(world.get("/api/v2/organizations/me").await.status);
        world.advance(wait);
    }
    assert_eq!(seen, [200, 200, 200, 429, 200]);
}

#[tokio::test]
async fn the_organization_may_have_a_limit_of_its_own() {
    let world = World::with(Settings { organization_requests_per_minute: Some(1), ..Settings::default() }).await;
    let other = world.token_of(OPERATOR_CLIENT_ID, OPERATOR_CLIENT_SECRET).await;
    assert_eq!(world.get("/api/v2/organizations/me").await.status, 200);
    assert_eq!(world.call_as(&other, "GET", "/api/v2/organizations/me", Value::Null).await.status, 429);
}

#[tokio::test]
async fn the_login_host_throttles_by_itself_and_answers_400() {
    let world = World::with(Settings { login_requests_per_minute: Some(2), ..Settings::default() }).await;
    assert_eq!(world.client_credentials(OPERATOR_CLIENT_ID, "x").await.body["error"], "invalid_client");
    let refused = world.client_credentials(OPERATOR_CLIENT_ID, OPERATOR_CLIENT_SECRET).await;
    assert_eq!((refused.status, &refused.body["error"]), (400, &json!("invalid_request")));
    assert!(refused.body["error_description"].as_str().is_some_and(|text| text.starts_with("rate limit exceeded; ")));
    assert_eq!(world.get("/api/v2/organizations/me").await.status, 200, "the API counts apart");
    world.advance(60);
    assert_eq!(world.client_credentials(OPERATOR_CLIENT_ID, OPERATOR_CLIENT_SECRET).await.status, 200);
}

#[tokio::test]
async fn every_answer_carries_its_correlation_id_and_the_simulators_date() {
    let world = World::new().await;
    let (one, two) = (world.get("/api/v2/oauth/clients").await, world.get("/api/v2/nothing").await);
    assert_eq!(one.header("ININ-Correlation-Id").len(), 36);
    assert_ne!(one.header("ININ-Correlation-Id"), two.header("ININ-Correlation-Id"));
    assert_eq!(two.body["contextId"], two.header("ININ-Correlation-Id"));
    assert_eq!([one.header("date"), two.header("date")], ["Mon, 05 Jan 2026 08:00:00 GMT"; 2]);
}
