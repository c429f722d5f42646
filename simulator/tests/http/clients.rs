//! OAuth clients over HTTP: their life, their rules and what is never shown. Asserts the state, not only the answers.

use genesys_cloud_simulator::{
    AfterDelete, BeyondLimit, ClientState, DeleteOldClient, ForeignFields, OmittedOptional, SecretInReads, Settings, UnknownMembers,
};
use serde_json::{Value, json};

use crate::world::{World, path_of, web, with, without};

#[tokio::test]
async fn a_secret_is_shown_by_create_and_reset_and_never_again() {
    let world = World::new().await;
    let created = world.create(world.machine("m", "employee")).await;
    assert_eq!(created.status, 200);
    let (id, secret) = (created.id(), created.secret());
    assert!(world.simulator.secret_works(&id, &secret));
    let entity = world.get(&path_of(&id)).await;
    let listed = world.get("/api/v2/oauth/clients").await;
    let updated = world.call("PUT", &path_of(&id), entity.body.clone()).await;
    assert_eq!([entity.status, listed.status, updated.status], [200; 3]);
    for answer in [&entity, &listed, &updated] {
        assert!(!answer.text.contains(&secret) && !answer.text.contains("\"secret\""), "{}", answer.text);
    }
    let reset = world.call("POST", &format!("{}/secret", path_of(&id)), Value::Null).await;
    assert_eq!(reset.status, 200);
    assert!(world.simulator.secret_works(&id, &reset.secret()));
    assert!(!world.simulator.secret_works(&id, &secret), "one secret per client");
}

#[tokio::test]
async fn reads_write_the_hidden_secret_as_the_setting_says() {
    for (setting, expected) in
        [(SecretInReads::Absent, None), (SecretInReads::Null, Some(Value::Null)), (SecretInReads::Empty, Some(json!("")))]
    {
        let world = World::with(Settings { secret_in_reads: setting, ..Settings::default() }).await;
        let id = world.create(web("w")).await.id();
        let entity = world.get(&path_of(&id)).await.body;
        let listed = world.get("/api/v2/oauth/clients").await.body["entities"][1].clone();
        assert_eq!([entity.get("secret"), listed.get("secret")], [expected.as_ref(), expected.as_ref()]);
    }
}

#[tokio::test]
async fn a_new_client_has_the_documented_members_and_defaults() {
    let world = World::new().await;
    let created = world.create(world.machine("m", "employee")).await.body;
    assert_eq!(created["accessTokenValiditySeconds"], 86_400);
    assert_eq!(created["state"], "active");
    assert_eq!(created["dateCreated"], "2026-01-05T08:00:00.000Z");
    assert_eq!(created["createdBy"]["id"], genesys_cloud_simulator::OPERATOR_CLIENT_ID);
    assert_eq!(created["selfUri"], path_of(created["id"].as_str().expect("an id")));
    assert_eq!(created["roleIds"], json!([world.simulator.role_id("employee")]));
    assert!(created.get("dateToDelete").is_none());
}

#[tokio::test]
async fn create_refuses_what_the_platform_refuses() {
    let world = World::new().await;
    let role = |role: &str, division: &str| json!([{"roleId": role, "divisionId": division}]);
    let employee = world.simulator.role_id("employee").expect("a role");
    let admin = world.simulator.role_id("admin").expect("a role");
    let machine = || world.machine("m", "employee");
    let cases = [
        (without(machine(), "name"), "constraint.validation"),
        (with(machine(), "name", json!(5)), "bad.request"),
        (without(machine(), "authorizedGrantType"), "grant.type.required"),
        (with(machine(), "authorizedGrantType", json!("CLIENT_CREDENTIALS")), "bad.grant.type"),
        (with(machine(), "authorizedGrantType", json!("PASSWORD")), "bad.grant.type"),
        (with(machine(), "state", json!("inactive")), "bad.client.state"),
        (with(machine(), "state", json!("asleep")), "invalid.value"),
        (with(machine(), "accessTokenValiditySeconds", json!(299)), "invalid.value"),
        (with(machine(), "accessTokenValiditySeconds", json!(172_801)), "invalid.value"),
        (without(machine(), "roleDivisions"), "missing.client.roles"),
        (with(machine(), "roleDivisions", json!([])), "missing.client.roles"),
        (with(machine(), "roleDivisions", role("nobody", "*")), "bad.client.role"),
        (with(machine(), "roleDivisions", role(&employee, "nowhere")), "bad.client.role"),
        (with(machine(), "roleDivisions", role(&admin, "*")), "bad.client.role"),
        (without(web("w"), "scope"), "missing.client.scope"),
        (with(web("w"), "scope", json!(["users:manage"])), "auth.invalid.scope"),
        (with(web("w"), "registeredRedirectUri", json!(["no uri"])), "invalid.value"),
    ];
    for (body, code) in cases {
        let answer = world.create(body.clone()).await;
        assert_eq!(answer.error(), (400, code), "{body}");
        assert_eq!(answer.body["contextId"], answer.header("ININ-Correlation-Id"));
    }
    assert!(world.simulator.other_clients().is_empty(), "a refused create makes nothing");
}

#[tokio::test]
async fn the_longest_validity_is_for_scim_roles_only() {
    let world = World::new().await;
    let scim = with(world.machine("m", "SCIM Integration"), "accessTokenValiditySeconds", json!(38_880_000));
    assert_eq!(world.create(scim).await.body["accessTokenValiditySeconds"], 38_880_000);
    let other = with(world.machine("m", "employee"), "accessTokenValiditySeconds", json!(38_880_000));
    assert_eq!(world.create(other).await.error(), (400, "invalid.value"));
}

#[tokio::test]
async fn deprecated_role_ids_mean_the_home_division_and_pairs_are_a_set() {
    let world = World::new().await;
    let employee = world.simulator.role_id("employee").expect("a role");
    let body = json!({"name": "m", "authorizedGrantType": "CLIENT-CREDENTIALS", "roleIds": [employee, employee]});
    let created = world.create(body).await.body;
    let home = world.simulator.division_id("Home");
    assert_eq!(created["roleDivisions"], json!([{"roleId": employee, "divisionId": home}]));
}

#[tokio::test]
async fn put_replaces_the_object_or_keeps_what_it_leaves_out() {
    for (setting, description, validity) in [(OmittedOptional::Reset, None, 86_400), (OmittedOptional::Keep, Some("kept".to_owned()), 600)]
    {
        let world = World::with(Settings { omitted_optional: setting, ..Settings::default() }).await;
        let body = with(with(web("w"), "description", json!("kept")), "accessTokenValiditySeconds", json!(600));
        let id = world.create(body).await.id();
        world.simulator.edit_client(&id, &json!({"state": "inactive"})).expect("an edit");
        let short = json!({"name": "x", "authorizedGrantType": "CODE", "scope": ["users"]});
        assert_eq!(world.call("PUT", &path_of(&id), short).await.status, 200);
        let client = world.simulator.client(&id).expect("stored");
        assert_eq!((client.description, client.access_token_validity_seconds), (description, validity));
        assert_eq!((client.name.as_str(), client.state), ("x", ClientState::Inactive), "the state stays either way");
    }
}

#[tokio::test]
async fn put_echoes_of_a_read_change_nothing_but_the_date() {
    let world = World::new().await;
    let id = world.create(world.machine("m", "employee")).await.id();
    let entity = world.get(&path_of(&id)).await.body;
    world.advance(5);
    let echoed = world.call("PUT", &path_of(&id), with(entity.clone(), "secret", Value::Null)).await;
    assert_eq!(echoed.body["dateModified"], "2026-01-05T08:00:05.000Z");
    assert_eq!(without(echoed.body, "dateModified"), without(entity, "dateModified"));
}

#[tokio::test]
async fn put_may_change_the_grant_type_and_drops_what_means_nothing_then() {
    for (setting, leftover) in [(ForeignFields::Drop, 0), (ForeignFields::Keep, 1)] {
        let world = World::with(Settings { foreign_fields: setting, ..Settings::default() }).await;
        let created = world.create(world.machine("m", "employee")).await;
        let changed = with(without(created.body.clone(), "secret"), "authorizedGrantType", json!("CODE"));
        let refused = world.call("PUT", &path_of(&created.id()), changed.clone()).await;
        assert_eq!(refused.error(), (400, "missing.client.scope"));
        let answer = world.call("PUT", &path_of(&created.id()), with(changed, "scope", json!(["users"]))).await;
        assert_eq!((answer.status, &answer.body["authorizedGrantType"]), (200, &json!("CODE")));
        assert_eq!(answer.body["roleDivisions"].as_array().map(Vec::len), Some(leftover));
    }
}

#[tokio::test]
async fn unknown_members_are_ignored_kept_or_refused() {
    for (setting, status, kept) in [
        (UnknownMembers::Ignore, 200, Value::Null),
        (UnknownMembers::Keep, 200, json!(["10.0.0.0/8"])),
        (UnknownMembers::Reject, 400, Value::Null),
    ] {
        let world = World::with(Settings { unknown_members: setting, ..Settings::default() }).await;
        let answer = world.create(with(web("w"), "allowedIps", json!(["10.0.0.0/8"]))).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.body["allowedIps"], kept);
        if status == 400 {
            assert_eq!(answer.body["code"], "invalid.property");
        }
    }
}

#[tokio::test]
async fn a_disabled_client_cannot_be_changed_and_its_tokens_die() {
    let world = World::new().await;
    let created = world.create(world.machine("m", "employee")).await;
    let (id, secret) = (created.id(), created.secret());
    let token = world.token_of(&id, &secret).await;
    world.simulator.edit_client(&id, &json!({"state": "disabled"})).expect("an edit");
    let entity = world.get(&path_of(&id)).await.body;
    let refused = world.call("PUT", &path_of(&id), with(entity, "state", json!("active"))).await;
    assert_eq!(refused.error(), (400, "bad.client.state"));
    assert_eq!(world.call_as(&token, "GET", "/api/v2/tokens/me", Value::Null).await.error(), (401, "bad.credentials"));
    assert_eq!(world.client_credentials(&id, &secret).await.body["error"], "invalid_client");
    world.simulator.edit_client(&id, &json!({"state": "active"})).expect("an edit");
    assert_eq!(world.call_as(&token, "GET", "/api/v2/tokens/me", Value::Null).await.status, 401, "dead tokens stay dead");
}

#[tokio::test]
async fn tokens_of_an_inactive_client_live_or_die_as_told_and_new_ones_are_refused() {
    for (die, status) in [(false, 200), (true, 401)] {
        let world = World::with(Settings { tokens_die_on_inactive: die, ..Settings::default() }).await;
        let created = world.create(world.machine("m", "employee")).await;
        let token = world.token_of(&created.id(), &created.secret()).await;
        let inactive = with(without(created.body.clone(), "secret"), "state", json!("inactive"));
        assert_eq!(world.call("PUT", &path_of(&created.id()), inactive).await.status, 200);
        assert_eq!(world.call_as(&token, "GET", "/api/v2/tokens/me", Value::Null).await.status, status);
        let login = world.client_credentials(&created.id(), &created.secret()).await;
        assert_eq!((login.status, &login.body["error"]), (400, &json!("invalid_client")));
    }
}

#[tokio::test]
async fn tokens_survive_a_reset_unless_told_otherwise() {
    for (die, alive) in [(false, 1), (true, 0)] {
        let world = World::with(Settings { tokens_die_on_reset: die, ..Settings::default() }).await;
        let created = world.create(world.machine("m", "employee")).await;
        world.token_of(&created.id(), &created.secret()).await;
        world.call("POST", &format!("{}/secret", path_of(&created.id())), Value::Null).await;
        assert_eq!(world.simulator.tokens_alive(&created.id()), alive);
    }
}

#[tokio::test]
async fn delete_needs_an_inactive_client_and_ends_its_tokens() {
    let world = World::with(Settings { delete_status: 204, ..Settings::default() }).await;
    let created = world.create(world.machine("m", "employee")).await;
    let id = created.id();
    let token = world.token_of(&id, &created.secret()).await;
    let early = world.call("DELETE", &path_of(&id), Value::Null).await;
    assert_eq!(early.error(), (400, "cannot.delete.client"));
    let inactive = with(without(created.body, "secret"), "state", json!("inactive"));
    assert_eq!(world.call("PUT", &path_of(&id), inactive.clone()).await.body.get("dateToDelete"), None);
    let deleted = world.call("DELETE", &path_of(&id), Value::Null).await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    assert!(world.simulator.client(&id).is_none());
    assert_eq!(world.simulator.tokens_alive(&id), 0);
    assert_eq!(world.call_as(&token, "GET", "/api/v2/tokens/me", Value::Null).await.status, 401);
    for (method, body) in [("GET", Value::Null), ("PUT", inactive), ("DELETE", Value::Null)] {
        assert_eq!(world.call(method, &path_of(&id), body).await.error(), (404, "client.not.found"), "{method}");
    }
    let reset = world.call("POST", &format!("{}/secret", path_of(&id)), Value::Null).await;
    assert_eq!(reset.error(), (404, "not.found"));
}

#[tokio::test]
async fn a_deleted_client_may_show_as_deleted_for_a_while() {
    let world = World::with(Settings { after_delete: AfterDelete::StateDeleted, ..Settings::default() }).await;
    let id = world.create(web("w")).await.id();
    world.simulator.remove_client(&id);
    let shown = world.get(&path_of(&id)).await;
    assert_eq!((shown.status, &shown.body["state"]), (200, &json!("deleted")));
    world.advance(30);
    assert_eq!(world.get(&path_of(&id)).await.status, 404);
}

#[tokio::test]
async fn an_old_inactive_client_gets_a_date_of_deletion_which_activation_clears() {
    let world = World::new().await;
    let created = world.create(web("w")).await;
    let id = created.id();
    let state = |state: &str| with(without(created.body.clone(), "secret"), "state", json!(state));
    world.advance(30 * 86_400);
    let mut world = world;
    world.token = world.token_of(genesys_cloud_simulator::OPERATOR_CLIENT_ID, genesys_cloud_simulator::OPERATOR_CLIENT_SECRET).await;
    let inactive = world.call("PUT", &path_of(&id), state("inactive")).await;
    assert_eq!(inactive.body["dateToDelete"], "2026-02-11T08:00:00.000Z");
    let active = world.call("PUT", &path_of(&id), with(inactive.body, "state", json!("active"))).await;
    assert_eq!((active.status, active.body.get("dateToDelete")), (200, None));
    world.call("PUT", &path_of(&id), state("inactive")).await;
    world.advance(7 * 86_400);
    assert!(world.simulator.client(&id).is_none(), "the date has come");
}

#[tokio::test]
async fn delete_of_an_old_client_may_only_schedule_it() {
    let world = World::with(Settings { delete_old_client: DeleteOldClient::Schedule, old_client_days: 0, ..Settings::default() }).await;
    let created = world.create(web("w")).await;
    let id = created.id();
    world.simulator.edit_client(&id, &json!({"state": "inactive"})).expect("an edit");
    assert_eq!(world.call("DELETE", &path_of(&id), Value::Null).await.status, 200);
    let client = world.simulator.client(&id).expect("still there");
    assert!(client.date_to_delete.is_some() && client.state == ClientState::Inactive);
    world.advance(7 * 86_400);
    assert!(world.simulator.client(&id).is_none());
}

#[tokio::test]
async fn roles_that_the_caller_lacks_stop_create_update_and_reset() {
    let world = World::new().await;
    let (client, secret) =
        world.simulator.add_client(&with(world.machine("privileged", "admin"), "description", json!("by a person"))).expect("a person may");
    let entity = world.get(&path_of(&client.id)).await.body;
    let update = world.call("PUT", &path_of(&client.id), with(entity.clone(), "name", json!("x"))).await;
    assert_eq!(update.error(), (400, "bad.client.role"));
    let stripped = with(entity, "roleDivisions", world.machine("x", "employee")["roleDivisions"].clone());
    assert_eq!(world.call("PUT", &path_of(&client.id), stripped).await.error(), (400, "bad.client.role"));
    let reset = world.call("POST", &format!("{}/secret", path_of(&client.id)), Value::Null).await;
    assert_eq!(reset.error(), (400, "bad.client.role"));
    assert!(reset.body["message"].as_str().is_some_and(|text| text.starts_with("The caller does not have all the roles")));
    assert!(world.simulator.secret_works(&client.id, &secret), "the refused reset changed nothing");
    assert_eq!(world.simulator.client(&client.id).expect("stored").name, "privileged");
}

#[tokio::test]
async fn an_organization_takes_only_so_many_clients() {
    let world = World::with(Settings { maximum_clients: Some(2), ..Settings::default() }).await;
    let id = world.create(web("a")).await.id();
    assert_eq!(world.create(web("b")).await.error(), (400, "auth.too.many.clients"));
    world.simulator.remove_client(&id);
    assert_eq!(world.create(web("b")).await.status, 200);
}

#[tokio::test]
async fn a_description_limit_rejects_or_cuts() {
    for (beyond, expected) in [(BeyondLimit::Reject, None), (BeyondLimit::Truncate, Some("ééé"))] {
        let settings = Settings { description_limit: Some(3), beyond_description_limit: beyond, ..Settings::default() };
        let world = World::with(settings).await;
        let answer = world.create(with(web("w"), "description", json!("éééé"))).await;
        assert_eq!(answer.body["description"].as_str(), expected);
        assert_eq!(answer.status == 200, expected.is_some());
    }
}

#[tokio::test]
async fn the_list_is_one_page_unless_told_otherwise() {
    let world = World::new().await;
    for name in ["a", "b", "c"] {
        world.create(web(name)).await;
    }
    let list = world.get("/api/v2/oauth/clients").await.body;
    assert_eq!((&list["total"], &list["pageCount"], list.get("nextUri")), (&json!(4), &json!(1), None));
    world.simulator.update_settings(|settings| settings.client_list_page_size = Some(3));
    let first = world.get("/api/v2/oauth/clients").await.body;
    let second = world.get(first["nextUri"].as_str().expect("a next page")).await.body;
    assert_eq!(first["entities"].as_array().map(Vec::len), Some(3));
    assert_eq!(second["entities"][0]["name"], "c");
    assert!(second.get("nextUri").is_none());
}

#[tokio::test]
async fn malformed_requests_are_refused_by_kind() {
    let world = World::new().await;
    let send = |media: &'static str, body: String| {
        let request = http::Request::post("/api/v2/oauth/clients")
            .header("authorization", format!("Bearer {}", world.token))
            .header("content-type", media)
            .body(axum::body::Body::from(body))
            .expect("a request");
        world.send(request)
    };
    assert_eq!(send("application/json", "{".to_owned()).await.error(), (400, "bad.request"));
    assert_eq!(send("application/json", "[]".to_owned()).await.error(), (400, "bad.request"));
    assert_eq!(send("text/plain", web("w").to_string()).await.error(), (415, "unsupported.media.type"));
    let large = with(web("w"), "description", json!("x".repeat(512_000))).to_string();
    let refused = send("application/json", large).await;
    assert_eq!(refused.error(), (413, "request.entity.too.large"));
    assert!(refused.body["message"].as_str().is_some_and(|text| text.ends_with("Maximum bytes: 512000")));
    assert_eq!(world.get("/api/v2/oauth/clients/none").await.error(), (404, "client.not.found"));
    world.simulator.update_settings(|settings| settings.malformed_id_status = 400);
    assert_eq!(world.get("/api/v2/oauth/clients/none").await.error(), (400, "bad.request"));
    assert!(world.simulator.other_clients().is_empty());
}
