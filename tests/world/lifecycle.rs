//! The life of clients when nothing fails, or a person does something: created, edited, left alone, deleted.

use std::{sync::Arc, time::Duration};

use genesys_cloud_simulator::{Fault, FaultKind, Operation, kubernetes};
use genesys_oauth_operator::api;
use http::Method;
use jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    availability::{HoursOff, Replica, furnish},
    mishaps::calls,
    objects::{self, TEAM},
    process::OPERATOR,
    scenario::{once, scenario},
    world::{Plan, World, path},
};

const CLIENTS: &str = "genesysoauthclients";

#[test]
fn a_client_is_created_edited_and_deleted() {
    scenario(1, async |world| {
        world.declare("billing", &json!({}));
        world.settles("billing").await;
        world.declare("billing", &json!({ "accessTokenValiditySeconds": 7200 }));
        world.settles("billing").await;
        assert_eq!(world.client_of("billing").access_token_validity_seconds, 7200);
        world.remove(CLIENTS, "billing").await;
        world.goes("billing").await;
    });
}

#[test]
fn events_have_the_operators_time() {
    scenario(Plan::new(7).with_events(), async |world| {
        world.declare("billing", &json!({}));
        world.settles("billing").await;
        world.remove(CLIENTS, "billing").await;
        world.goes("billing").await;
        let (began, now): (Timestamp, _) = ("2026-01-05T08:00:00Z".parse().expect("a time"), world.simulator.now());
        let times = world.list("events").into_iter().filter_map(|event| event["eventTime"].as_str()?.parse::<Timestamp>().ok());
        let times: Vec<Timestamp> = times.collect();
        assert!(times.len() >= 2 && times.iter().all(|time| (began..=now).contains(time)), "{times:?}");
    });
}

#[test]
fn a_settled_world_is_written_to_by_nobody_for_a_day() {
    once(2, async |world| {
        world.declare("billing", &json!({}));
        world.settles("billing").await;
        // The inventory comes with the next scan.
        tokio::time::sleep(Duration::from_secs(600)).await;
        let before = world.writes();
        tokio::time::sleep(Duration::from_secs(86_400)).await;
        assert_eq!(world.writes(), before);
        world.kill();
        world.start();
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(world.writes(), before, "a new process writes nothing either");
        assert!(world.is_settled("billing"));
    });
}

#[test]
fn many_clients_of_several_namespaces_live_side_by_side() {
    once(3, async |world| {
        world.apply(&objects::namespace("team-b"));
        let names: Vec<String> = (0..6).map(|number| format!("client-{number}")).collect();
        let places: Vec<(&str, &str)> =
            [TEAM, "team-b"].into_iter().flat_map(|team| names.iter().map(move |name| (team, name.as_str()))).collect();
        for place in &places {
            world.declare(*place, &json!({}));
        }
        for place in &places {
            world.settles(*place).await;
        }
        world.kill();
        world.start();
        for place in &places {
            world.declare(*place, &json!({ "accessTokenValiditySeconds": 7200 }));
        }
        for place in places.iter().step_by(2) {
            world.remove(CLIENTS, *place).await;
        }
        for (number, place) in places.iter().enumerate() {
            if number % 2 == 0 { world.goes(*place).await } else { world.settles(*place).await }
        }
        assert_eq!(world.simulator.other_clients().len(), 6);
    });
}

#[test]
fn a_client_that_goes_while_its_reset_is_pending_is_created_anew() {
    scenario(5, async |world| {
        world.declare("billing", &json!({ "scim": true }));
        world.settles("billing").await;
        let first = world.client_of("billing").id;
        world.simulator.plant(Fault::on(Operation::ResetClientSecret, FaultKind::LostResponse).times(1));
        world.remove("secrets", "billing").await;
        world
            .until("a reset without an answer", |world| {
                let pending = world.object("billing")?["status"]["intent"]["operation"] == "Reset";
                (pending && world.simulator.faults().is_empty()).then_some(())
            })
            .await;
        assert!(world.simulator.remove_client(&first));
        world.settles("billing").await;
        assert_ne!(world.client_of("billing").id, first);
    });
}

#[test]
fn an_install_for_one_namespace_works_no_other() {
    once(Plan::new(6).flag("--watch-namespace=team-a"), async |world| {
        world.apply(&objects::namespace("team-b"));
        world.declare("billing", &json!({ "scim": true }));
        world.declare(("team-b", "billing"), &json!({}));
        world.settles("billing").await;
        // Such an install watches its Secrets: one that goes is seen at once, not at the next look.
        world.remove("secrets", "billing").await;
        let since = Instant::now();
        world.until("the Secret to be back", |world| world.held("billing")).await;
        assert!(since.elapsed() < Duration::from_secs(60), "{:?}", since.elapsed());
        world.settles("billing").await;
        let other = world.object(("team-b", "billing")).expect("the object");
        assert!(other["status"].is_null() && world.clients_of(("team-b", "billing")).is_empty());
    });
}

#[test]
fn what_a_pass_that_was_repeated_tells_again_is_one_event() {
    once(Plan::new(8).with_events(), async |world| {
        world.declare("billing", &json!({}));
        world.settles("billing").await;
        tokio::time::sleep(std::time::Duration::from_secs(120)).await;
        // The write that follows the Event meets somebody else's, twice.
        let conflict = kubernetes::Fault::new(kubernetes::FaultKind::Conflict).verb(kubernetes::Verb::Update).user(OPERATOR);
        world.kubernetes.plant(conflict.resource(api::GROUP, "genesysoauthclients").subresource("status").times(2));
        world.simulator.edit_client(&world.client_of("billing").id, &json!({ "state": "disabled" })).expect("a client");
        world.client_shows("billing", "Stalled=True/ClientDisabled").await;
        assert!(world.no_fault_is_left(), "the conflicts struck");
        let told: Vec<_> = world.list("events").into_iter().filter(|event| event["reason"] == "ClientDisabled").collect();
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(told[0]["series"].is_null(), "a retry told it again: {:#?}", told[0]);
        world.simulator.edit_client(&world.client_of("billing").id, &json!({ "state": "active" })).expect("a client");
        world.settles("billing").await;
    });
}

#[test]
fn clients_that_are_declared_together_share_the_scan_before_their_creation() {
    // One is worked after the other, so that none waits for the scan of another; and not all within seconds of their declaration.
    once(Plan::new(248).flag("--max-concurrent-reconciles=1"), async |world| {
        world.declare_organization(&json!({ "requestsPerMinute": 60 }));
        world.declare("first", &json!({}));
        world.settles("first").await;
        let scans = || calls(world, Operation::ListClients);
        let before = scans();
        let names: Vec<String> = (0..150).map(|number| format!("later-{number}")).collect();
        for name in &names {
            world.declare(name, &json!({}));
        }
        for name in &names {
            world.until("a client", |world| (world.clients_of(name.as_str()).len() == 1).then_some(())).await;
        }
        let made = scans() - before;
        assert!(made <= names.len() / 2, "{made} scans for {} clients", names.len());
    });
}

#[test]
fn one_that_is_declared_again_right_after_its_finalizer_was_stripped_ends_its_former_client() {
    once(249, declared_again);
    // Whatever the operator's clock says of the API server's.
    once(Plan::new(249).bare(), async |world| {
        furnish(world);
        let replica = Replica::with_clock(world, "operator", Arc::new(HoursOff(world.chance(), 1)));
        declared_again(world).await;
        replica.kill();
    });
}

/// A list that lags does not show the predecessor's client yet, and the next object must not be content with that.
#[test]
fn one_that_is_declared_again_waits_for_what_lists_do_not_show_yet() {
    let lagging = |seed| Plan::new(seed).platform(|settings| settings.list_propagation_milliseconds = 45_000);
    once(lagging(250), declared_again);
    // The same where nobody learned what came of the call.
    once(lagging(251), async |world| {
        world.simulator.plant(Fault::on(Operation::CreateClient, FaultKind::LostResponse).times(1));
        declared_again(world).await;
    });
    // And where the predecessor's deletion still waits for its turn, and works its successor when that comes.
    once(lagging(252).flag("--max-concurrent-reconciles=1"), async |world| {
        let first = a_client(world).await;
        world.simulator.plant(Fault::on(Operation::CreateClient, FaultKind::Delay).delayed_by(Duration::from_secs(8)).times(1));
        world.declare("busy", &json!({}));
        tokio::time::sleep(Duration::from_secs(2)).await;
        world.remove(CLIENTS, "billing").await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        strip_and_declare_again(world).await;
        ends(world, &first).await;
    });
}

async fn declared_again(world: &Arc<World>) {
    let first = a_client(world).await;
    world.remove(CLIENTS, "billing").await;
    strip_and_declare_again(world).await;
    ends(world, &first).await;
}

async fn a_client(world: &World) -> String {
    world.declare("billing", &json!({}));
    world.until("a client", |world| (world.clients_of("billing").len() == 1).then_some(())).await;
    world.client_of("billing").id
}

async fn strip_and_declare_again(world: &World) {
    let place = path(CLIENTS, "billing");
    world.ask(Method::PATCH, &place, &json!({ "metadata": { "finalizers": null } })).await.expect("a careless person may");
    world.until("its end", |world| world.object("billing").is_none().then_some(())).await;
    // What the garbage collector does.
    if world.held("billing").is_some() {
        world.remove("secrets", "billing").await;
    }
    world.declare("billing", &json!({}));
}

/// Its secret went with the Secret, so another one takes its place, and it ends after the overlap.
async fn ends(world: &World, former: &str) {
    let object = world.client_shows("billing", "Ready=True/Available").await;
    let retires = object["status"]["retiring"].as_array().is_some_and(|all| all.iter().any(|one| one["clientId"] == former));
    assert!(retires, "nobody ends the former client: {}", object["status"]);
}
