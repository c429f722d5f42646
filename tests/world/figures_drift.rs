//! What a scan of an organization costs, and how soon a change shows. It judges nothing: `make figures` reads what it prints.

use std::{sync::Arc, time::Duration};

use genesys_cloud_simulator::Operation;
use genesys_oauth_operator::{
    api::GenesysOAuthClient,
    controller::{
        memory::Memory,
        organization::{
            findings::findings,
            inventory::{Books, View},
        },
        snapshot::{Sight, Snapshot},
    },
    genesys::{Kept, OAuthClient, Scan},
    marker::Owner,
};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    drift::{edit, fields_of, role, settled},
    look::shows,
    mishaps::{calls, minutes},
    scenario::once,
};

const INTERVAL: Duration = Duration::from_secs(300);

/// A client of an object as a list shows it.
fn listed(number: usize) -> OAuthClient {
    let name = format!("client-{number}");
    let marker = Owner::new("here", "team", &name).marker("abcdefgh22");
    let client = json!({
        "id": format!("00000000-0000-4000-8000-{number:012}"), "name": format!("team/{name}"), "description": marker.describe("A service."),
        "authorizedGrantType": "CLIENT-CREDENTIALS", "accessTokenValiditySeconds": 3600, "state": "active",
        "roleDivisions": [{ "roleId": "r1", "divisionId": "d1" }, { "roleId": "r2", "divisionId": "*" }],
        "dateCreated": "2026-01-01T00:00:00Z", "dateModified": "2026-01-02T00:00:00Z", "modifiedBy": { "id": "u1" },
    });
    OAuthClient::from_json(client).expect("a client").0
}

fn object(number: usize) -> Arc<GenesysOAuthClient> {
    let object = json!({
        "apiVersion": "oauth.genesys-operator.io/v1alpha1", "kind": "GenesysOAuthClient",
        "metadata": { "name": format!("client-{number}"), "namespace": "team", "uid": format!("u{number}") },
        "spec": { "organizationRef": { "name": "acme" }, "grantType": "ClientCredentials" },
        "status": { "clientId": format!("00000000-0000-4000-8000-{number:012}"), "issuedNonces": ["abcdefgh22"] },
    });
    Arc::new(serde_json::from_value(object).expect("an object"))
}

/// How long this thread ran so far: others of the machine do not count.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    Duration::from_nanos(text.split_whitespace().next().and_then(|nanoseconds| nanoseconds.parse().ok()).expect("a number"))
}

#[test]
#[ignore = "it measures: make figures FILTER=drift"]
fn comparison_of_a_fleet() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        for count in [10, 1_000, 10_000] {
            let (memory, begun) = (Memory::default(), Instant::now());
            let objects: Vec<_> = (0..count).map(object).collect();
            let scan = Arc::new(Scan { clients: (0..count).map(listed).collect(), begun, kept: Kept::default() });
            for (object, client) in objects.iter().zip(&scan.clients) {
                let uid = object.metadata.uid.as_deref().expect("a uid");
                memory.remember(uid, |memory| memory.sights.insert(client.id.clone(), Sight::of(client, begun)));
            }
            let mut times: Vec<Duration> = (0..9)
                .map(|_| {
                    let started = processor_time();
                    let snapshot = Snapshot::new(scan.clone());
                    let now = "2026-06-01T00:00:00Z".parse().expect("a time");
                    let books = Books {
                        snapshot: &snapshot,
                        objects: &objects,
                        malformed: &[],
                        view: View::Whole,
                        cluster_id: "here",
                        own_client_id: "own",
                        greatest_age: None,
                        now,
                    };
                    let found = findings(&books, &memory, Duration::from_secs(60), false);
                    assert!(
                        found.wake.is_empty() && found.gone.is_empty() && found.inventory.managed == i64::try_from(count).expect("few")
                    );
                    processor_time().saturating_sub(started)
                })
                .collect();
            times.sort_unstable();
            println!("figure compare.{count} {:.2} ms", times[times.len() / 2].as_secs_f64() * 1000.0);
        }
    });
}

#[test]
#[ignore = "it measures: make figures FILTER=drift"]
fn calls_of_a_scan() {
    for count in [10_usize, 1_000, 10_000] {
        once(300, async |world| {
            settled(world, "billing", &json!({})).await;
            for number in 1..count {
                let client = json!({ "name": format!("by hand {number}"), "authorizedGrantType": "CODE", "scope": ["users:readonly"] });
                world.simulator.add_client(&client).expect("a client");
            }
            minutes(10).await;
            let before = calls(world, Operation::ListClients);
            tokio::time::sleep(INTERVAL * 6).await;
            let scans = calls(world, Operation::ListClients) - before;
            let per_scan = f64::from(u32::try_from(scans).expect("few")) / 6.0;
            println!("figure calls-per-scan.{count} {per_scan:.2} calls");
        });
    }
}

#[test]
#[ignore = "it measures: make figures FILTER=drift"]
fn time_to_the_condition() {
    once(301, async |world| {
        settled(world, "billing", &json!({ "driftPolicy": "Report" })).await;
        let mut times = vec![];
        for round in 0..20_u64 {
            // At another moment of the interval each time.
            tokio::time::sleep(Duration::from_secs(300 + round * 37)).await;
            let (wanted, roles) = if round % 2 == 0 {
                ("ScopeDrift=True/Missing", json!([]))
            } else {
                ("ScopeDrift=False/InSync", json!([role(world, "employee")]))
            };
            edit(world, "billing", &json!({ "roleDivisions": roles }));
            let changed = Instant::now();
            world.until(wanted, |world| world.object("billing").filter(|object| shows(object, wanted)).map(drop)).await;
            times.push(changed.elapsed().as_secs_f64());
        }
        times.sort_unstable_by(f64::total_cmp);
        println!("figure change-to-condition.median {:.2} s", times[times.len() / 2]);
        println!("figure change-to-condition.longest {:.2} s", times[times.len() - 1]);
        world.declare("billing", &json!({}));
        world.settles("billing").await;
    });
}

#[test]
#[ignore = "it measures: make figures FILTER=drift"]
fn a_hundred_random_fields() {
    let fields = fields_of(100, "Correct");
    println!("figure fields-100.told-after {:.2} s", fields.told_after);
    println!("figure fields-100.changed-back-after {:.2} s", fields.back_after.expect("it corrects"));
    println!("figure fields-100.writes {}", fields.writes);
    let reported = fields_of(100, "Report");
    println!("figure fields-100.report.told-after {:.2} s", reported.told_after);
    println!("figure fields-100.report.writes {}", reported.writes);
}
