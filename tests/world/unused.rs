//! Clients that were never used: what the inventory tells of them, what finding it out costs, and when nobody is asked after. Looks at both sides,
//! never at the order of calls.

use std::time::Duration;

use axum::body::Body;
use genesys_cloud_simulator::{Call, Fault, FaultTarget, Operation};
use genesys_oauth_operator::marker::Owner;
use http_body_util::BodyExt as _;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::{
    metrics::shown,
    mishaps::minutes,
    objects::ORGANIZATION,
    scenario::{once, scenario},
    world::{Plan, World},
};

const LONG_AGO: &str = "2025-03-01T00:00:00.000Z";

/// A client that somebody made by hand long ago; its id and secret.
fn old(world: &World, name: &str) -> (String, String) {
    let members = json!({ "name": name, "authorizedGrantType": "CLIENT-CREDENTIALS", "dateCreated": LONG_AGO });
    let (client, secret) = world.simulator.add_client(&members).expect("a client");
    (client.id, secret)
}

/// So many of them, which a scan has shown.
async fn many_old(world: &World, count: usize) {
    (0..count).for_each(|number| drop(old(world, &format!("old {number}"))));
    world.until("a scan that shows them", |world| (inventory(world)["unmanaged"] == count).then_some(())).await;
}

/// Makes a request as somebody who has a client's credential.
async fn used(world: &World, (id, secret): &(String, String), path: &str) {
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let request = http::Request::post("/oauth/token").header("content-type", "application/x-www-form-urlencoded").body(Body::from(form));
    let Ok(answer) = world.simulator.router().oneshot(request.expect("a request")).await;
    let body: Value = serde_json::from_slice(&answer.into_body().collect().await.expect("a body").to_bytes()).expect("JSON");
    let token = body["access_token"].as_str().expect("a token");
    let request = http::Request::get(path).header("authorization", format!("Bearer {token}")).body(Body::empty());
    let Ok(answer) = world.simulator.router().oneshot(request.expect("a request")).await;
    assert_eq!(answer.status(), 200);
}

fn wish(world: &World, usage: &str) {
    world.declare_organization(&json!({ "inventory": { "usage": usage } }));
}

fn inventory(world: &World) -> Value {
    world.organization().expect("there")["status"]["inventory"].clone()
}

/// Waits until it is known of each client whether it was ever used.
async fn known(world: &World) -> Value {
    world.until("a count of all that were never used", |world| Some(inventory(world)).filter(|told| told["usageUnknown"] == 0)).await
}

/// Ends a story: who asks after nobody keeps nothing, so that a second operator finds nothing to write.
async fn stops_asking(world: &World) {
    wish(world, "Never");
    world
        .until("nothing to be told of usage", |world| {
            let told = inventory(world);
            ["neverUsed", "usageUnknown", "usageDays", "neverUsedClients"].iter().all(|field| told[*field].is_null()).then_some(())
        })
        .await;
    assert_eq!(shown(world).value("genesys_oauth_inventory_clients", &[ORGANIZATION, "NeverUsed"]), None);
}

/// The queries so far, each by whom it asks after.
fn queries(world: &World) -> Vec<Call> {
    world.simulator.calls().into_iter().filter(|call| call.operation == Operation::UsageQuery).collect()
}

fn asked_after(world: &World, id: &str) -> usize {
    queries(world).iter().filter(|call| call.path.contains(id)).count()
}

#[test]
fn clients_that_were_never_used_are_counted_and_named() {
    scenario(Plan::new(240).platform(|settings| settings.running_answers = 1), async |world| {
        world.declare("billing", &json!({}));
        world.settles("billing").await;
        // The operator verified its credential, which is no use of it.
        let managed = world.client_of("billing").id;
        world.simulator.edit_client(&managed, &json!({ "dateCreated": LONG_AGO })).expect("a client");
        let (idle, busy) = (old(world, "idle").0, old(world, "busy"));
        used(world, &busy, "/api/v2/authorization/divisions").await;
        let young = world.simulator.add_client(&json!({ "name": "young", "authorizedGrantType": "CODE" })).expect("a client").0.id;
        let marker = Owner::new("elsewhere", "team-a", "theirs").marker("abcdefgh22").to_string();
        let members = json!({ "name": "theirs", "authorizedGrantType": "CODE", "dateCreated": LONG_AGO, "description": marker });
        let theirs = world.simulator.add_client(&members).expect("a client").0.id;
        minutes(12).await;
        assert!(queries(world).is_empty() && inventory(world)["neverUsed"].is_null(), "nobody asked for it");
        wish(world, "Daily");
        let told = known(world).await;
        assert_eq!((&told["neverUsed"], &told["usageUnknown"], &told["usageDays"]), (&json!(2), &json!(0), &json!(365)), "{told}");
        let named: Vec<&str> = told["neverUsedClients"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert!(named.len() == 2 && [&managed, &idle].iter().all(|id| named.iter().any(|name| name.starts_with(*id))), "{named:?}");
        assert_eq!(shown(world).value("genesys_oauth_inventory_clients", &[ORGANIZATION, "NeverUsed"]), Some(2.0));
        let each = |id: &str| asked_after(world, id);
        assert_eq!([each(&managed), each(&idle), each(&busy.0)], [1; 3]);
        // Three days on, and somebody uses one of them.
        minutes(24 * 60 * 3 + 30).await;
        assert_eq!([each(&idle), each(&busy.0)], [4, 1], "once a day, and not at all once it was used");
        assert_eq!([each(&young), each(&theirs)], [0; 2]);
        let times: Vec<_> = queries(world).iter().map(|call| call.time).collect();
        // A call takes some milliseconds to get there.
        assert!(times.windows(2).all(|two| two[1].duration_since(two[0]) >= SignedDuration::from_secs(59)), "{times:?}");
        stops_asking(world).await;
        let made = queries(world).len();
        minutes(24 * 60 * 2).await;
        assert_eq!(queries(world).len(), made, "nobody asks for it any more");
    });
}

#[test]
fn one_that_is_used_at_last_is_no_longer_counted() {
    once(241, async |world| {
        let (idle, late) = (old(world, "idle"), old(world, "late"));
        minutes(6).await;
        wish(world, "Daily");
        assert_eq!(known(world).await["neverUsed"], 2);
        used(world, &late, "/api/v2/authorization/divisions").await;
        minutes(24 * 60 + 20).await;
        let told = inventory(world);
        assert!(told["neverUsed"] == 1 && told["neverUsedClients"][0].as_str().is_some_and(|name| name.starts_with(&idle.0)), "{told}");
        assert!(world.simulator.remove_client(&idle.0));
        world.until("a client that is gone to be forgotten", |world| (inventory(world)["neverUsed"] == 0).then_some(())).await;
        stops_asking(world).await;
    });
}

#[test]
fn a_new_process_tells_nothing_before_it_has_asked_after_each() {
    once(242, async |world| {
        many_old(world, 3).await;
        wish(world, "Daily");
        assert_eq!(known(world).await["neverUsed"], 3);
        let before = queries(world).len();
        world.kill();
        world.start();
        world.until("the count to be gone", |world| inventory(world)["neverUsed"].is_null().then_some(())).await;
        assert!(queries(world).len() < before + 3, "it is gone until each was asked after");
        assert_eq!(known(world).await["neverUsed"], 3);
        assert_eq!(queries(world).len(), before + 3);
        stops_asking(world).await;
    });
}

#[test]
fn nobody_is_asked_after_while_others_want_the_budget() {
    once(243, async |world| {
        world.declare_organization(&json!({ "requestsPerMinute": 20, "inventory": { "usage": "Daily" } }));
        minutes(2).await;
        let names: Vec<String> = (0..60).map(|number| format!("client-{number}")).collect();
        for name in &names {
            world.declare(name, &json!({}));
        }
        many_old(world, 3).await;
        let settled = |world: &World| names.iter().filter(|name| world.is_settled(name.as_str())).count();
        world.until("most of the work to be done", |world| (settled(world) >= 40).then_some(())).await;
        assert!(settled(world) < names.len(), "there is work left");
        assert_eq!(queries(world).len(), 0);
        for name in &names {
            world.settles(name).await;
        }
        assert_eq!(known(world).await["neverUsed"], 3);
        stops_asking(world).await;
    });
}

#[test]
fn nobody_is_asked_after_in_an_outage_or_while_the_organization_is_suspended() {
    once(244, async |world| {
        let spec = |suspend: bool| json!({ "suspend": suspend, "inventory": { "usage": "Daily" } });
        many_old(world, 8).await;
        world.declare_organization(&spec(true));
        minutes(60).await;
        assert!(queries(world).is_empty(), "it is suspended");
        world.declare_organization(&spec(false));
        world.until("two to be asked after", |world| (queries(world).len() == 2).then_some(())).await;
        let outage = world.simulator.plant(Fault::status(FaultTarget::Any, 503).times(0));
        // The breaker opens.
        minutes(10).await;
        let made = queries(world).len();
        minutes(60).await;
        assert_eq!(queries(world).len(), made, "the platform is down");
        assert!(world.simulator.remove_fault(outage));
        let told = world.until("an answer for each", |world| Some(inventory(world)).filter(|told| told["neverUsed"].is_i64())).await;
        let count = |field: &str| told[field].as_i64().expect("a count");
        assert_eq!(count("neverUsed") + count("usageUnknown"), 8, "{told}");
        assert!((1..=5).contains(&count("usageUnknown")), "those that the outage hit: {told}");
        minutes(24 * 60 + 20).await;
        assert_eq!((&inventory(world)["neverUsed"], &inventory(world)["usageUnknown"]), (&json!(8), &json!(0)), "the next day it is known");
        stops_asking(world).await;
    });
}

#[test]
fn a_platform_that_refuses_to_look_far_back_is_asked_for_less() {
    once(Plan::new(245).platform(|settings| settings.longest_usage_days = Some(100)), async |world| {
        many_old(world, 2).await;
        wish(world, "Daily");
        let told = known(world).await;
        assert_eq!((&told["neverUsed"], &told["usageUnknown"], &told["usageDays"]), (&json!(2), &json!(0), &json!(90)), "{told}");
        assert_eq!(queries(world).len(), 3, "one was refused");
        stops_asking(world).await;
    });
}

#[test]
fn where_the_platform_forbids_it_nothing_is_told() {
    once(246, async |world| {
        many_old(world, 2).await;
        let forbidden = Fault::status(FaultTarget::Only(Operation::UsageQuery), 403).times(0);
        world.simulator.plant(forbidden);
        wish(world, "Daily");
        tokio::time::sleep(Duration::from_secs(3 * 3600)).await;
        assert!(inventory(world)["neverUsed"].is_null(), "{}", inventory(world));
        assert!((1..=4).contains(&queries(world).len()), "it is tried again now and then: {}", queries(world).len());
        world.clear_faults();
        assert_eq!(known(world).await["neverUsed"], 2);
        stops_asking(world).await;
    });
}

#[test]
fn queries_that_always_fail_do_not_make_the_platform_look_down() {
    once(247, async |world| {
        many_old(world, 30).await;
        world.simulator.plant(Fault::status(FaultTarget::Only(Operation::UsageQuery), 503).times(0));
        wish(world, "Daily");
        for _ in 0..72 {
            minutes(5).await;
            assert_eq!(shown(world).value("genesys_oauth_breaker_open", &[ORGANIZATION, "api"]), Some(0.0));
        }
        assert!((2..=12).contains(&queries(world).len()), "{} in six hours", queries(world).len());
        stops_asking(world).await;
    });
}
