//! What takes time to be true everywhere.

use genesys_cloud_simulator::Settings;
use serde_json::{Value, json};

use crate::world::{World, path_of, web, with};

#[tokio::test]
async fn the_list_lags_behind_creates_changes_and_deletes_while_reads_by_id_do_not() {
    let world = World::with(Settings { list_propagation_milliseconds: 5000, ..Settings::default() }).await;
    let names = async || {
        let list = world.get("/api/v2/oauth/clients").await.body;
        let entities = list["entities"].as_array().cloned().unwrap_or_default();
        entities.iter().skip(1).map(|client| client["name"].as_str().unwrap_or("").to_owned()).collect::<Vec<_>>()
    };
    let created = world.create(web("old")).await;
    let id = created.id();
    assert!(names().await.is_empty());
    assert_eq!(world.get(&path_of(&id)).await.status, 200);
    world.advance(5);
    assert_eq!(names().await, ["old"]);
    world.simulator.edit_client(&id, &json!({"name": "new"})).expect("an edit");
    assert_eq!(names().await, ["old"]);
    world.advance(5);
    assert_eq!(names().await, ["new"]);
    world.simulator.remove_client(&id);
    assert_eq!(names().await, ["new"]);
    assert_eq!(world.get(&path_of(&id)).await.status, 404);
    world.advance(5);
    assert!(names().await.is_empty());
}

#[tokio::test]
async fn reads_by_id_may_lag_too() {
    let world = World::with(Settings { read_propagation_milliseconds: 1000, ..Settings::default() }).await;
    let id = world.create(web("w")).await.id();
    assert_eq!(world.get(&path_of(&id)).await.error(), (404, "client.not.found"));
    world.advance(1);
    assert_eq!(world.get(&path_of(&id)).await.status, 200);
}

#[tokio::test]
async fn a_freshly_granted_role_can_be_handed_on_only_when_it_has_spread() {
    let world = World::new().await;
    let role = world.simulator.add_role("Quality Evaluator", Vec::new());
    let body = with(
        world.machine("m", "employee"),
        "roleDivisions",
        json!([{"roleId": role, "divisionId": world.simulator.division_id("Sales")}]),
    );
    assert_eq!(world.create(body.clone()).await.error(), (400, "bad.client.role"), "the caller does not hold it");
    world.simulator.set_operator(None, Some(vec!["employee".to_owned(), role]), None);
    world.advance(9);
    assert_eq!(world.create(body.clone()).await.error(), (400, "bad.client.role"), "it has not spread");
    world.advance(1);
    assert_eq!(world.create(body).await.status, 200);
}

#[tokio::test]
async fn a_new_clients_own_roles_take_their_time_and_longer_if_it_was_hasty() {
    let world = World::with(Settings { stale_denial_milliseconds: 60_000, ..Settings::default() }).await;
    let viewer = world.simulator.add_role("Viewer", vec!["oauth:client:view".to_owned()]);
    world.simulator.set_operator(None, Some(vec![viewer.clone()]), None);
    world.advance(10);
    let body = with(world.machine("m", "employee"), "roleDivisions", json!([{"roleId": viewer, "divisionId": "*"}]));
    let (patient, hasty) = (world.create(body.clone()).await, world.create(body).await);
    assert_eq!([patient.status, hasty.status], [200; 2], "{}", patient.text);
    let hasty = world.token_of(&hasty.id(), &hasty.secret()).await;
    let list = async |token: &str| world.call_as(token, "GET", "/api/v2/oauth/clients", Value::Null).await.status;
    assert_eq!(world.call_as(&hasty, "GET", "/api/v2/tokens/me", Value::Null).await.status, 200, "needs no role");
    world.advance(10);
    let patient = world.token_of(&patient.id(), &patient.secret()).await;
    assert_eq!((list(&patient).await, list(&hasty).await), (200, 403));
    world.advance(60);
    assert_eq!(list(&hasty).await, 200);
}

#[tokio::test]
async fn the_login_host_may_learn_late_of_new_clients_and_secrets() {
    let settings = Settings {
        new_client_login_milliseconds: 3000,
        new_secret_login_milliseconds: 2000,
        old_secret_grace_milliseconds: 1000,
        ..Settings::default()
    };
    let world = World::with(settings).await;
    let created = world.create(world.machine("m", "employee")).await;
    let (id, old) = (created.id(), created.secret());
    assert_eq!(world.client_credentials(&id, &old).await.body["error"], "invalid_client");
    world.advance(3);
    assert_eq!(world.client_credentials(&id, &old).await.status, 200);
    let new = world.call("POST", &format!("{}/secret", path_of(&id)), Value::Null).await.secret();
    let mut works = Vec::new();
    for _ in 0..3 {
        works.push((world.simulator.secret_works(&id, &old), world.simulator.secret_works(&id, &new)));
        world.advance(1);
    }
    assert_eq!(works, [(true, false), (false, false), (false, true)]);
}
