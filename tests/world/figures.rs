//! How many worlds a second one thread can tell, and what a rotation costs. It judges nothing: `make figures` reads what it prints.

use std::time::Instant;

use genesys_cloud_simulator::Operation;
use serde_json::json;

use crate::{
    process::OPERATOR,
    rotating::{NAME, POLICY, monthly},
    scenario::once,
    world::World,
};

const WORLDS: u32 = 100;

#[test]
#[ignore = "it measures: make figures FILTER=conformance"]
fn worlds_per_second() {
    let begun = Instant::now();
    for seed in 0..WORLDS {
        once(u64::from(seed), async |world| {
            world.declare("billing", &json!({}));
            world.settles("billing").await;
        });
    }
    println!("{WORLDS} worlds in {:.2} s", begun.elapsed().as_secs_f64());
}

/// Writes of the Kubernetes API, writes of the platform, its reads but for scans, and calls of the login host so far.
fn paid(world: &World) -> [usize; 4] {
    let calls = world.simulator.calls();
    let count = |of: &dyn Fn(Operation, &str) -> bool| calls.iter().filter(|call| of(call.operation, &call.method)).count();
    let token = |operation| operation == Operation::GetToken;
    [
        world.kubernetes.log().iter().filter(|request| request.user == OPERATOR && request.wrote).count(),
        count(&|operation, method| method != "GET" && !token(operation)),
        count(&|operation, method| method == "GET" && !matches!(operation, Operation::ListClients | Operation::GetTokenInfo)),
        count(&|operation, _| token(operation)),
    ]
}

#[test]
#[ignore = "it measures: make figures FILTER=rotation"]
fn figures_of_a_replace() {
    once(1, async |world| {
        world.declare_policy(POLICY, &monthly()).await;
        world.declare(NAME, &json!({ "accessTokenValiditySeconds": 300, "rotationPolicyRef": { "name": POLICY } }));
        world.settles(NAME).await;
        world.until("a date", |world| (!world.status(NAME)["rotation"]["next"].is_null()).then_some(())).await;
        let before = paid(world);
        world.request(NAME, "rotate", "one").await;
        world.result(NAME, "Succeeded").await;
        world.until_rotations_end().await;
        let names = ["kubernetes-writes", "platform-writes", "platform-reads", "token-host-calls"];
        for ((name, after), before) in names.into_iter().zip(paid(world)).zip(before) {
            println!("figure rotation.replace.{name} {}", after - before);
        }
    });
}
