//! The metrics that alerts are fed by: each is brought about, held against the world, and goes again with its cause.
//! It judges no threshold.

use genesys_cloud_simulator::{Fault, FaultKind, Operation};
use serde_json::json;

use crate::{
    budget_queue,
    drift::{edit, settled},
    look::shows,
    metrics::{seconds, shown},
    mishaps::minutes,
    objects::{ORGANIZATION, TEAM},
    rotating::{NAME, POLICIES, POLICY, monthly},
    scenario::once,
    world::World,
};

/// A gauge of the client.
fn of_client(world: &World, family: &str, more: &[&str]) -> Option<f64> {
    let labels: Vec<&str> = [TEAM, NAME].iter().chain(more).copied().collect();
    shown(world).value(&format!("genesys_oauth_{family}"), &labels)
}

/// A gauge of the organization.
fn of_organization(world: &World, family: &str, more: &[&str]) -> Option<f64> {
    let labels: Vec<&str> = [ORGANIZATION].iter().chain(more).copied().collect();
    shown(world).value(&format!("genesys_oauth_{family}"), &labels)
}

#[test]
fn the_time_at_which_the_platform_deletes_a_client_is_shown_until_it_is_taken_back() {
    once(908, async |world| {
        let shown = || of_client(world, "platform_deletion_timestamp_seconds", &[]);
        settled(world, NAME, &json!({})).await;
        assert_eq!(shown(), None);
        edit(world, NAME, &json!({ "dateToDelete": "2026-09-01T00:00:00.000Z" }));
        world.client_shows(NAME, "CredentialExpiring=True/PlatformDeletionScheduled").await;
        assert_eq!(shown(), seconds(&json!("2026-09-01T00:00:00Z")));
        edit(world, NAME, &json!({ "dateToDelete": null }));
        world.client_shows(NAME, "CredentialExpiring=False").await;
        assert_eq!(shown(), None);
    });
}

#[test]
fn a_call_whose_outcome_is_not_known_is_shown_from_its_first_attempt_until_it_is_settled() {
    once(909, async |world| {
        let shown = || of_client(world, "intent_started_timestamp_seconds", &["Create"]);
        // The answer of a create is lost, and no list tells what became of it.
        world.simulator.plant(Fault::on(Operation::CreateClient, FaultKind::LostResponse));
        world.declare(NAME, &json!({}));
        let lost = |world: &World| (!world.status(NAME)["intent"].is_null() && world.simulator.faults().is_empty()).then_some(());
        world.until("a lost answer", lost).await;
        world.simulator.plant(Fault::status(Operation::ListClients, 503).times(0));
        let begun = seconds(&world.status(NAME)["intent"]["startedAt"]);
        assert!(begun.is_some() && shown() == begun, "{:?} and {begun:?}", shown());
        minutes(90).await;
        assert_eq!(shown(), begun, "an alert counts from the first attempt");
        world.simulator.clear_faults();
        world.settles(NAME).await;
        assert_eq!(shown(), None);
    });
}

#[test]
fn an_organization_without_room_is_shown_until_there_is_some() {
    once(910, async |world| {
        let closed = || of_organization(world, "creates_closed", &[]);
        assert_eq!(closed(), Some(0.0));
        let full = Fault { code: Some("auth.too.many.clients".into()), ..Fault::status(Operation::CreateClient, 400).times(0) };
        world.simulator.plant(full);
        world.declare(NAME, &json!({}));
        world.stalls(NAME, "PlatformRejected", &["auth.too.many.clients"]).await;
        assert_eq!(closed(), Some(1.0));
        world.simulator.clear_faults();
        world.settles(NAME).await;
        assert_eq!(closed(), Some(0.0));
    });
}

#[test]
fn former_clients_are_shown_by_their_state_until_they_are_gone() {
    once(911, async |world| {
        let retiring = |state: &str| of_client(world, "retiring_clients", &[state]);
        world.declare_policy(POLICY, &monthly()).await;
        settled(world, NAME, &json!({ "accessTokenValiditySeconds": 300, "rotationPolicyRef": { "name": POLICY } })).await;
        assert!(shown(world).of("genesys_oauth_retiring_clients").is_empty());
        world.request(NAME, "rotate", "one").await;
        // In the overlap, then inactive for as long as its tokens live.
        world.client_shows(NAME, "Rotating=True/Draining").await;
        for state in ["Draining", "Inactivating"] {
            world.until(state, |world| (world.status(NAME)["retiring"][0]["state"] == state).then_some(())).await;
            assert_eq!(retiring(state), Some(1.0));
            assert_eq!(shown(world).sum("genesys_oauth_retiring_clients"), Some(1.0), "each is in one state");
        }
        assert_eq!(retiring("Draining"), None);
        world.until_rotations_end().await;
        assert!(shown(world).of("genesys_oauth_retiring_clients").is_empty());
    });
}

#[test]
fn the_rate_that_the_platform_allows_falls_when_it_says_too_many_and_rises_again() {
    once(912, async |world| {
        settled(world, NAME, &json!({})).await;
        let rate = || of_organization(world, "budget_rate_requests_per_minute", &["api"]).expect("a rate");
        let ceiling = || of_organization(world, "budget_ceiling_requests_per_minute", &["api"]).expect("a ceiling");
        let usual = rate();
        assert!(usual > 0.0 && usual <= ceiling(), "{usual} of {}", ceiling());
        world.simulator.plant(Fault::status(Operation::ListClients, 429).times(0));
        minutes(12).await;
        let refused = rate();
        assert!(refused > 0.0 && refused < usual, "{refused} after {usual}");
        world.simulator.clear_faults();
        world.until("the rate to rise again", |_| (rate() > refused).then_some(())).await;
        assert!(rate() <= ceiling(), "{} of {}", rate(), ceiling());
    });
}

#[test]
fn calls_that_wait_for_the_budget_are_shown_by_their_class() {
    once(budget_queue::plan(913, 100), async |world| {
        let length = |class: &str| of_organization(world, "budget_queue_length", &["api", class]).expect("a length");
        budget_queue::crowded(world).await;
        let waiting = shown(world).of("genesys_oauth_budget_queue_length").into_values().sum::<f64>();
        assert!(length("Update") >= 10.0, "edits of thirty clients at six calls a minute: {} wait", length("Update"));
        assert!(waiting >= length("Update") && waiting <= 40.0, "{waiting}");
        budget_queue::allow(world, 60).await;
        world.settles(NAME).await;
        world.until("nothing to wait", |_| (length("Update") == 0.0).then_some(())).await;
    });
}

#[test]
fn failed_rotations_are_counted_and_halt_their_policy_until_one_succeeds() {
    once(914, async |world| {
        let failures = || of_client(world, "rotation_failures", &[]);
        let halted = || shown(world).value("genesys_oauth_policy_halted", &["GenesysRotationPolicy", TEAM, POLICY]);
        world.declare_policy(POLICY, &json!({ "interval": "4h", "maxAge": "8h", "failureThreshold": 1 })).await;
        settled(world, NAME, &json!({ "rotationPolicyRef": { "name": POLICY } })).await;
        assert_eq!((failures(), halted()), (Some(0.0), Some(0.0)));
        world.simulator.plant(Fault::status(Operation::CreateClient, 400).times(0));
        // The next one is due within four hours.
        minutes(4 * 60).await;
        assert_eq!(failures(), Some(1.0));
        let says = |world: &World| shows(&world.get(POLICIES, TEAM, POLICY)?, "Stalled=True/Halted").then_some(());
        world.until("the policy to halt", says).await;
        assert_eq!(halted(), Some(1.0));
        world.request(NAME, "rotate", "one").await;
        world.until("two in a row", |_| (failures() == Some(2.0)).then_some(())).await;
        assert_eq!(halted(), Some(1.0));
        world.simulator.clear_faults();
        world.request(NAME, "rotate", "two").await;
        world.result(NAME, "Succeeded").await;
        world.until("the policy to go on", |_| (halted() == Some(0.0)).then_some(())).await;
        assert_eq!(failures(), Some(0.0));
        world.declare_policy(POLICY, &monthly()).await;
    });
}
