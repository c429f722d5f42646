//! Who goes first where calls wait for the request budget: an emergency whose object's edit waits already, and the look at the organization.
//! It measures through the simulator, never through the operator's own counts.

use std::{sync::Arc, time::Duration};

use genesys_cloud_simulator::{Call, OPERATOR_CLIENT_SECRET, Operation, RateWindow};
use serde_json::json;

use crate::{
    budget::calls_of_operator,
    objects,
    rotating::NAME,
    scenario::once,
    world::{Plan, World},
};

const EDITS: usize = 30;

/// A world whose budget lasts for few calls, with so many edits that wait for it, the one of `NAME` last.
pub async fn crowded(world: &Arc<World>) {
    let names: Vec<String> = (0..EDITS).map(|number| format!("client-{number}")).collect();
    let all = || names.iter().map(String::as_str).chain([NAME]);
    for name in all() {
        world.declare(name, &json!({}));
    }
    for name in all() {
        world.settles(name).await;
    }
    allow(world, 6).await;
    for name in all() {
        world.declare(name, &json!({ "accessTokenValiditySeconds": 7200 }));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
}

/// Lets the organization's reconciler see another limit.
pub async fn allow(world: &World, rate: u32) {
    world.declare_organization(&json!({ "requestsPerMinute": rate }));
    tokio::time::sleep(Duration::from_secs(90)).await;
}

/// A platform of few calls, and an operator of so many places.
pub fn plan(seed: u64, places: u16) -> Plan {
    let plan = Plan::new(seed).flag(&format!("--max-concurrent-reconciles={places}"));
    plan.platform(|settings| {
        settings.rate_window = RateWindow::Sliding;
        settings.requests_per_minute = Some(60);
        settings.maximum_clients = None;
    })
}

/// Where the first call of a sort stands among those that were made since.
async fn place(world: &World, since: usize, is_wanted: impl Fn(&Call) -> bool) -> usize {
    let find = |world: &World| calls_of_operator(&world.simulator)[since..].iter().position(&is_wanted);
    world.until("the call", find).await
}

#[test]
fn an_emergency_goes_before_others_also_where_an_edit_of_its_own_object_waits() {
    for (seed, places) in [(181, 5), (182, 100)] {
        once(plan(seed, places), async |world| {
            crowded(world).await;
            let client = world.client_of(NAME);
            assert_ne!(client.access_token_validity_seconds, 7200, "its edit was applied already");
            let before = calls_of_operator(&world.simulator).len();
            world.request(NAME, "rotate", "leak/Emergency").await;
            let served = place(world, before, |call| call.operation == Operation::CreateClient).await;
            assert!(served <= 6, "{places} places: {served} calls went before the emergency");
            world.result(NAME, "Succeeded").await;
            allow(world, 60).await;
        });
    }
}

#[test]
fn a_look_at_the_organization_goes_before_edits_and_after_an_emergency() {
    once(plan(183, 100), async |world| {
        crowded(world).await;
        let before = calls_of_operator(&world.simulator).len();
        world.request(NAME, "rotate", "leak/Emergency").await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        // A Secret that was written is looked at.
        let mut secret = objects::credential(OPERATOR_CLIENT_SECRET);
        secret["metadata"]["annotations"] = json!({ "example.com/note": "touched" });
        world.apply(&secret);
        let look = place(world, before, |call| call.operation == Operation::GetOrganization).await;
        let emergency = place(world, before, |call| call.operation == Operation::CreateClient).await;
        assert!(emergency < look, "the look went first: {look} and {emergency}");
        assert!(look <= 8, "the look waited behind edits: {look}");
        world.result(NAME, "Succeeded").await;
        allow(world, 60).await;
    });
}
