//! Roles, divisions, scopes, usage, audits and integration credentials.

use genesys_cloud_simulator::{OPERATOR_CLIENT_ID, Settings};
use serde_json::{Value, json};

use crate::world::{World, path_of, web};

#[tokio::test]
async fn roles_are_paged_and_found_by_name_and_id() {
    let world = World::new().await;
    let all = world.get("/api/v2/authorization/roles").await.body;
    assert_eq!((&all["total"], &all["pageSize"]), (&json!(9), &json!(25)));
    let first = world.get("/api/v2/authorization/roles?pageSize=5").await.body;
    let second = world.get(first["nextUri"].as_str().expect("a next page")).await.body;
    assert_eq!((&second["pageNumber"], second["entities"].as_array().map(Vec::len)), (&json!(2), Some(4)));
    let named = world.get("/api/v2/authorization/roles?name=ai%20agent").await.body;
    assert_eq!(named["entities"][0]["name"], "AI Agent");
    let id = world.simulator.role_id("Supervisor").expect("a role");
    let by_id = world.get(&format!("/api/v2/authorization/roles?id={id}")).await.body;
    assert_eq!((&by_id["total"], &by_id["entities"][0]["name"]), (&json!(1), &json!("Supervisor")));
    assert_eq!(world.get(&format!("/api/v2/authorization/roles/{id}")).await.body["id"], id);
    assert_eq!(world.get("/api/v2/authorization/roles/none").await.error(), (404, "not.found"));
    assert_eq!(world.get("/api/v2/authorization/roles?pageSize=0").await.error(), (400, "invalid.query.param.value"));
}

#[tokio::test]
async fn divisions_scopes_and_grants_can_be_read() {
    let world = World::new().await;
    let divisions = world.get("/api/v2/authorization/divisions").await.body;
    let names: Vec<_> = divisions["entities"].as_array().expect("a list").iter().map(|division| &division["name"]).collect();
    assert_eq!(names, ["Home", "Sales", "Support"]);
    let home = world.get("/api/v2/authorization/divisions/home").await.body;
    assert_eq!((&home["name"], &home["homeDivision"]), (&json!("Home"), &json!(true)));
    let scopes = world.get("/api/v2/oauth/scopes").await.body;
    assert_eq!(scopes["total"], 134);
    assert_eq!(world.get("/api/v2/oauth/scopes/users%3Areadonly").await.body["id"], "users:readonly");
    let subject = world.get("/api/v2/authorization/subjects/me").await.body;
    assert_eq!((&subject["id"], subject["grants"].as_array().map(Vec::len)), (&json!(OPERATOR_CLIENT_ID), Some(8)));
    assert_eq!(world.get("/api/v2/users/me").await.status, 400, "a client is no user");
}

#[tokio::test]
async fn usage_of_too_long_a_time_is_refused() {
    let world = World::with(Settings { longest_usage_days: Some(90), ..Settings::default() }).await;
    let path = format!("{}/usage/query", path_of(OPERATOR_CLIENT_ID));
    let query = |from: &str| json!({ "interval": format!("{from}T00:00:00.000Z/2026-01-05T00:00:00.000Z") });
    assert_eq!(world.call("POST", &path, query("2025-10-06")).await.error().0, 400, "91 days");
    assert_eq!(world.call("POST", &path, query("2025-10-07")).await.status, 200, "90 days");
}

#[tokio::test]
async fn usage_is_counted_by_client_day_and_status() {
    let world = World::with(Settings { running_answers: 1, ..Settings::default() }).await;
    let id = world.create(web("w")).await.id();
    world.get(&path_of(&id)).await;
    world.get("/api/v2/oauth/clients/4f1b8a53-9c1f-4a43-9d24-1f0d2b9e3c11").await;
    world.advance(3600 * 20);
    world.get(&path_of(&id)).await;
    let query = json!({
        "interval": "2026-01-05T00:00:00.000Z/2026-01-06T23:00:00.000Z",
        "metrics": ["Status200", "Status400", "Requests"],
        "groupBy": ["OAuthClientId", "TemplateUri", "HttpMethod"],
    });
    let execution = world.call("POST", &format!("{}/usage/query", path_of(OPERATOR_CLIENT_ID)), query).await;
    let results = execution.body["resultsUri"].as_str().expect("a path").to_owned();
    assert_eq!(world.get(&results).await.body["queryStatus"], "Running");
    let done = world.get(&results).await.body;
    let reads: Vec<_> = done["results"]
        .as_array()
        .expect("rows")
        .iter()
        .filter(|row| row["httpMethod"] == "GET" && row["templateUri"] == "/api/v2/oauth/clients/{clientId}")
        .map(|row| (row["date"].as_str().expect("a day")[..10].to_owned(), row["status200"].clone(), row["status400"].clone()))
        .collect();
    let expected = [("2026-01-05".to_owned(), json!(1), json!(1)), ("2026-01-06".to_owned(), json!(1), json!(0))];
    assert_eq!(reads, expected);
    let summary = world.get(&format!("{}/usage/summary?days=7", path_of(&id))).await;
    world.get(summary.body["resultsUri"].as_str().expect("a path")).await;
    let summary = world.get(summary.body["resultsUri"].as_str().expect("a path")).await.body;
    assert_eq!(summary["results"], json!([]), "the new client has called nothing");
    let bad = world.call("POST", &format!("{}/usage/query", path_of(&id)), json!({"interval": "today"})).await;
    assert_eq!(bad.error(), (400, "invalid.value"));
}

#[tokio::test]
async fn audits_say_who_changed_which_client() {
    let world = World::new().await;
    let id = world.create(web("w")).await.id();
    world.advance(60);
    world.simulator.edit_client(&id, &json!({"scope": ["users"]})).expect("an edit");
    world.create(web("other")).await;
    let query = json!({
        "interval": "2026-01-05T00:00:00.000Z/2026-01-06T00:00:00.000Z",
        "serviceName": "PeoplePermissions",
        "filters": [{"property": "EntityType", "value": "OAuthClient"}, {"property": "EntityId", "value": id}],
        "sort": [{"name": "Timestamp", "sortOrder": "descending"}],
    });
    let execution = world.call("POST", "/api/v2/audits/query", query).await.body;
    assert_eq!(execution["state"], "Succeeded");
    let path = format!("/api/v2/audits/query/{}/results?pageSize=1", execution["id"].as_str().expect("an id"));
    let first = world.get(&path).await.body;
    assert_eq!(first["entities"][0]["action"], "Update");
    assert_eq!(first["entities"][0]["user"]["id"], world.simulator.settings().user_id);
    let changes = first["entities"][0]["propertyChanges"].as_array().expect("changes");
    assert!(changes.contains(&json!({"property": "scope", "oldValues": ["user-basic-info"], "newValues": ["users"]})));
    let second = world.get(&format!("{path}&cursor={}", first["cursor"].as_str().expect("more"))).await.body;
    assert_eq!(second["entities"][0]["action"], "Create");
    assert_eq!(second["entities"][0]["client"]["id"], OPERATOR_CLIENT_ID);
    assert!(second.get("cursor").is_none());
}

#[tokio::test]
async fn integration_credentials_are_written_and_never_read() {
    let world = World::new().await;
    let created = world.create(world.machine("m", "Data Actions")).await;
    let body = |secret: &str| {
        json!({
            "name": "Genesys Cloud",
            "type": {"name": "pureCloudOAuthClient"},
            "credentialFields": {"clientId": created.id(), "clientSecret": secret},
        })
    };
    let credential = world.call("POST", "/api/v2/integrations/credentials", body(&created.secret())).await;
    assert_eq!(credential.status, 200);
    let path = format!("/api/v2/integrations/credentials/{}", credential.id());
    assert!(world.simulator.credential_works(&credential.id()));
    let reset = world.call("POST", &format!("{}/secret", path_of(&created.id())), Value::Null).await;
    assert!(!world.simulator.credential_works(&credential.id()), "a reset breaks it");
    world.advance(5);
    let updated = world.call("PUT", &path, body(&reset.secret())).await;
    assert_eq!(updated.body["modifiedDate"], "2026-01-05T08:00:05.000Z");
    assert_eq!(updated.body["createdDate"], "2026-01-05T08:00:00.000Z");
    assert!(world.simulator.credential_works(&credential.id()));
    let seen = [
        credential,
        updated,
        world.get(&path).await,
        world.get("/api/v2/integrations/credentials").await,
        world.get("/admin/credentials").await,
    ];
    for answer in &seen {
        assert_eq!(answer.status, 200);
        assert!(!answer.text.contains(&reset.secret()) && !answer.text.contains("credentialFields"), "{}", answer.text);
    }
    assert_eq!(seen[4].body["credentials"][0]["works"], true);
    let wrong = world.call("PUT", &path, json!({"name": "x", "type": {"name": "pureCloudOAuthClient"}})).await;
    assert_eq!(wrong.error(), (400, "constraint.validation"));
    assert_eq!(world.call("DELETE", &path, Value::Null).await.status, 204);
    assert_eq!(world.get(&path).await.error(), (404, "not.found"));
}
