//! How many worlds a second one thread can tell, and what a rotation costs. It judges nothing: `make figures` reads what it prints.

use std::time::Instant;

use genesys_cloud_simulator::Operation;
use serde_json::{Value, json};

use crate::{
    objects,
    process::OPERATOR,
    rotating::{NAME, POLICIES, POLICY, monthly},
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

/// What was paid so far, in the units of the price list.
struct Paid {
    /// Writes to the Kubernetes API that changed something, but for Events.
    writes: Vec<String>,
    /// The same of the platform, its reads, its scans, the looks at a token that the token itself pays, and calls of the login host.
    calls: [usize; 5],
}

impl Paid {
    const NAMES: [&str; 5] = ["platform-writes", "platform-reads", "platform-scans", "platform-tokens-me", "token-host-calls"];

    fn of(world: &World) -> Self {
        let ours = world.kubernetes.log().into_iter().filter(|request| request.user == OPERATOR && request.wrote);
        let mut calls = [0; 5];
        for call in world.simulator.calls() {
            let kind = match call.operation {
                Operation::GetToken => 4,
                Operation::GetTokenInfo => 3,
                Operation::ListClients => 2,
                _ if call.method == "GET" => 1,
                _ => 0,
            };
            calls[kind] += 1;
        }
        Self { writes: ours.map(|request| format!("{:?} {} {}", request.verb, request.resource, request.subresource)).collect(), calls }
    }
}

/// What a rotation costs from the request to the end of the former client, with a scan of its own if one was due.
fn price(strategy: &str, spec: &Value) {
    once(1, async |world| {
        world.declare_policy(POLICY, &monthly()).await;
        let common = json!({ "accessTokenValiditySeconds": 300, "rotationPolicyRef": { "name": POLICY } });
        world.apply(&objects::with_spec(objects::with_spec(objects::service(NAME), &common), spec));
        world.settles(NAME).await;
        world.until("a date", |world| (!world.status(NAME)["rotation"]["next"].is_null()).then_some(())).await;
        let before = Paid::of(world);
        world.request(NAME, "rotate", "one").await;
        world.result(NAME, "Succeeded").await;
        world.until_rotations_end().await;
        let after = Paid::of(world);
        let writes = &after.writes[before.writes.len()..];
        println!("{strategy} writes {writes:?}");
        let calls = world.simulator.calls();
        let since = before.calls.iter().sum::<usize>();
        println!("{strategy} calls {:?}", calls[since..].iter().map(|call| call.operation).collect::<Vec<_>>());
        // The counts of a policy and of an organization are written once for all that changed within some seconds: no rotation pays them alone.
        let (shared, own): (Vec<_>, Vec<_>) =
            writes.iter().partition(|write| write.contains(POLICIES) || write.contains("genesysorganizations"));
        println!("figure rotation.{strategy}.kubernetes-writes {}", own.len());
        println!("figure rotation.{strategy}.shared-writes {}", shared.len());
        for ((name, after), before) in Paid::NAMES.into_iter().zip(after.calls).zip(before.calls) {
            println!("figure rotation.{strategy}.{name} {}", after - before);
        }
    });
}

#[test]
#[ignore = "it measures: make figures FILTER=rotation"]
fn figures_of_the_price_of_a_rotation() {
    price("replace", &json!({}));
    price("regenerate", &json!({ "scim": true }));
}
