//! The admin API and the admin page.

use genesys_cloud_simulator::{ClientState, OPERATOR_CLIENT_ID, OPERATOR_CLIENT_SECRET};
use serde_json::{Value, json};

use crate::world::{World, path_of, web};

async fn form(world: &World, path: &str, body: &str) -> crate::world::Answer {
    let request = http::Request::post(path)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(axum::body::Body::from(body.to_owned()))
        .expect("a request");
    world.send(request).await
}

#[tokio::test]
async fn clients_can_be_seen_and_edited_but_no_secret_is_listed() {
    let world = World::new().await;
    let created = world.create(web("w")).await;
    let (id, secret) = (created.id(), created.secret());
    let list = world.get("/admin/clients").await;
    assert_eq!(list.body["clients"].as_array().map(Vec::len), Some(2));
    let before = list.body["clients"][1]["secretSha256"].as_str().expect("a digest").to_owned();
    assert_eq!(before.len(), 64);
    let edited = world.call("PATCH", &format!("/admin/clients/{id}"), json!({"state": "disabled", "scope": ["users"]})).await;
    assert_eq!((edited.status, &edited.body["state"]), (200, &json!("disabled")));
    let client = world.simulator.client(&id).expect("stored");
    assert_eq!((client.state, client.scope), (ClientState::Disabled, vec!["users".to_owned()]));
    world.call("PATCH", &format!("/admin/clients/{id}"), json!({"state": "active"})).await;
    let reset = world.call("POST", &format!("/admin/clients/{id}/secret"), Value::Null).await;
    assert!(world.simulator.secret_works(&id, &reset.secret()) && !world.simulator.secret_works(&id, &secret));
    let after = world.get(&format!("/admin/clients/{id}")).await;
    assert_ne!(after.body["secretSha256"], before);
    for answer in [list, edited, after, world.get("/admin/settings").await, world.get("/admin/calls").await, world.get("/").await] {
        for hidden in [secret.as_str(), OPERATOR_CLIENT_SECRET, &reset.secret(), &world.token] {
            assert!(!answer.text.contains(hidden), "{}", answer.text);
        }
    }
    assert_eq!(world.call("DELETE", &format!("/admin/clients/{id}"), Value::Null).await.status, 204);
    assert!(world.simulator.client(&id).is_none());
    assert_eq!(world.get(&format!("/admin/clients/{id}")).await.status, 404);
}

#[tokio::test]
async fn a_person_can_create_a_client_and_set_its_date_of_deletion() {
    let world = World::new().await;
    let created = world.call("POST", "/admin/clients", json!({"name": "by hand", "authorizedGrantType": "CODE"})).await;
    assert_eq!(created.status, 200);
    assert_eq!(created.body["createdBy"]["id"], world.simulator.settings().user_id);
    let path = format!("/admin/clients/{}", created.id());
    world.call("PATCH", &path, json!({"dateToDelete": "2026-01-06T00:00:00Z"})).await;
    assert_eq!(world.get(&path_of(&created.id())).await.body["dateToDelete"], "2026-01-06T00:00:00.000Z");
    world.advance(86_400);
    assert!(world.simulator.client(&created.id()).is_none());
    let refused = world.call("PATCH", &format!("/admin/clients/{OPERATOR_CLIENT_ID}"), json!({"state": "asleep"})).await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn faults_settings_and_the_clock_are_in_reach() {
    let world = World::new().await;
    let planted = world.call("POST", "/admin/faults", json!({"operation": "ListClients", "kind": "Status", "status": 503})).await;
    assert_eq!((planted.status, &planted.body["id"]), (200, &json!(1)));
    assert_eq!(world.call("POST", "/admin/faults", json!({"operation": "None", "kind": "Html"})).await.status, 400);
    assert_eq!(world.get("/api/v2/oauth/clients").await.error(), (503, "service.unavailable"));
    world.call("POST", "/admin/faults", json!({"operation": "*", "kind": "Hang", "count": 0})).await;
    assert_eq!(world.call("DELETE", "/admin/faults", Value::Null).await.status, 204);
    assert_eq!(world.get("/admin/faults").await.body, json!({"faults": []}));
    world.call("PATCH", "/admin/operator", json!({"secret": "another"})).await;
    let changed = world.call("PATCH", "/admin/settings", json!({"requestsPerMinute": 1})).await;
    assert_eq!(changed.body["requestsPerMinute"], 1);
    assert_eq!(world.simulator.settings().operator_client_secret.as_str(), "another");
    assert_eq!(world.call("PATCH", "/admin/settings", json!({"requestPerMinute": 1})).await.status, 400);
    let clock = world.call("POST", "/admin/clock", json!({"advanceSeconds": 90})).await;
    assert_eq!(clock.body["now"], "2026-01-05T08:01:30.000Z");
}

#[tokio::test]
async fn calls_are_listed_from_a_number_on() {
    let world = World::new().await;
    let id = world.create(web("w")).await.id();
    world.get(&path_of(&id)).await;
    let calls = world.get("/admin/calls?since=1").await.body;
    let expected = json!([
        {"sequence": 2, "time": "2026-01-05T08:00:00.000Z", "operation": "CreateClient", "method": "POST",
         "path": "/api/v2/oauth/clients", "caller": OPERATOR_CLIENT_ID, "target": id, "status": 200, "committed": true, "fault": null},
        {"sequence": 3, "time": "2026-01-05T08:00:00.000Z", "operation": "GetClient", "method": "GET",
         "path": path_of(&id), "caller": OPERATOR_CLIENT_ID, "target": id, "status": 200, "committed": false, "fault": null},
    ]);
    assert_eq!(calls["calls"], expected);
}

#[tokio::test]
async fn the_operators_power_can_be_changed() {
    let world = World::new().await;
    let answer =
        world.call("PATCH", "/admin/operator", json!({"permissions": ["oauth:client:view"], "roles": ["employee"], "secret": "new"})).await;
    assert_eq!(answer.body["client"]["roleDivisions"].as_array().map(Vec::len), Some(2), "its own role and employee");
    assert_eq!(world.create(web("w")).await.error(), (403, "missing.any.permissions"));
    assert!(world.simulator.secret_works(OPERATOR_CLIENT_ID, "new"));
    assert!(!world.simulator.secret_works(OPERATOR_CLIENT_ID, OPERATOR_CLIENT_SECRET));
    let role = world.call("POST", "/admin/roles", json!({"name": "Extra", "permissions": ["a:b:c"]})).await;
    assert_eq!(world.simulator.role_id("Extra"), Some(role.id()));
    assert_eq!(world.call("DELETE", &format!("/admin/roles/{}", role.id()), Value::Null).await.status, 204);
    assert_eq!(world.simulator.role_id("Extra"), None);
}

#[tokio::test]
async fn the_page_does_what_a_person_does() {
    let world = World::new().await;
    let added = form(&world, "/page/clients", "name=Tom+%26+%3Cb%3EJerry&grant_type=CODE").await;
    assert_eq!(added.status, 200);
    let client = world.simulator.other_clients().pop().expect("added");
    assert_eq!(client.name, "Tom & <b>Jerry");
    let secret = added.text.split("<code>").nth(2).and_then(|rest| rest.split("</code>").next()).expect("a secret");
    assert!(world.simulator.secret_works(&client.id, secret));
    let page = world.get("/").await.text;
    assert!(page.contains("Tom &amp; &lt;b&gt;Jerry") && !page.contains("<b>Jerry") && !page.contains(secret));
    let path = format!("/page/clients/{}", client.id);
    let role = world.simulator.role_id("employee").expect("a role");
    let edit = format!(
        "name=New&description=d&state=inactive&uris=https%3A%2F%2Fa.example%0D%0Ahttps%3A%2F%2Fb.example&scope=users&roles={role}+*"
    );
    assert_eq!(form(&world, &path, &edit).await.status, 303);
    let edited = world.simulator.client(&client.id).expect("stored");
    assert_eq!(edited.registered_redirect_uri, ["https://a.example", "https://b.example"]);
    assert_eq!((edited.state, edited.role_divisions.len()), (ClientState::Inactive, 1));
    assert!(world.get(&path).await.text.contains("<option selected>inactive</option>"));
    let plant = "operation=ListClients&kind=Status&status=500&retry_after=&delay=&count=2";
    assert_eq!(form(&world, "/page/faults", plant).await.status, 303);
    assert_eq!(world.simulator.faults().first().map(|fault| (fault.status, fault.count)), Some((Some(500), 2)));
    assert_eq!(form(&world, "/page/faults/clear", "").await.status, 303);
    assert!(world.simulator.faults().is_empty());
    assert_eq!(form(&world, &format!("{path}/remove"), "").await.status, 303);
    assert!(world.simulator.client(&client.id).is_none());
}
