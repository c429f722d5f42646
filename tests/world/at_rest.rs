//! What settled clients cost in a day: requests of either side by what they ask for. It changes nothing once they are settled.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;

use crate::{availability::furnish, mishaps::minutes, scenario::once, world::Plan};

const DAY: Duration = Duration::from_secs(86_400);

/// A lease that is renewed so seldom that a day of it is no work.
const LEASE: [&str; 4] = ["--leader-election=enabled", "--lease-duration=150s", "--lease-renew-deadline=100s", "--lease-retry-period=20s"];

/// What a day cost.
struct Cost {
    /// Calls of the platform, by operation.
    calls: BTreeMap<String, usize>,
    /// Writes to Kubernetes but those of the lease.
    writes: usize,
    /// Writes of the lease.
    renewals: usize,
    /// Reads of Kubernetes: neither lists nor watches.
    gets: usize,
}

impl Cost {
    fn take(&mut self, operation: &str) -> usize {
        self.calls.remove(operation).unwrap_or_default()
    }
}

/// So many clients are settled by two replicas, and left alone for a day.
fn day(seed: u64, clients: usize) -> Cost {
    let plan = Plan::new(seed).bare().platform(|settings| settings.maximum_clients = None);
    let (cost, _) = once(plan, async |world| {
        furnish(world);
        let replicas = ["--pod-name=one", "--pod-name=two"].map(|pod| {
            let flags: Vec<&str> = LEASE.into_iter().chain([pod]).collect();
            world.replica(&flags, world.chance(), std::future::pending())
        });
        let names: Vec<String> = (0..clients).map(|number| format!("client-{number:04}")).collect();
        for name in &names {
            world.declare(name.as_str(), &json!({}));
        }
        for name in &names {
            world.settles(name.as_str()).await;
        }
        // The last roles take some time to work, and the inventory comes with a scan.
        minutes(30).await;
        let (calls, requests) = (world.simulator.calls().len(), world.kubernetes.log().len());
        tokio::time::sleep(DAY).await;
        for replica in replicas {
            replica.process.end();
            replica.task.abort();
        }
        let mut cost = Cost { calls: BTreeMap::new(), writes: 0, renewals: 0, gets: 0 };
        for call in &world.simulator.calls()[calls..] {
            *cost.calls.entry(format!("{:?}", call.operation)).or_default() += 1;
        }
        for request in &world.kubernetes.log()[requests..] {
            let renewal = request.wrote && request.resource == "leases";
            cost.renewals += usize::from(renewal);
            cost.writes += usize::from(request.wrote && !renewal);
            cost.gets += usize::from(request.verb == genesys_cloud_simulator::kubernetes::Verb::Get);
        }
        cost
    });
    cost
}

#[test]
fn a_day_of_settled_clients_costs_scans_tokens_and_one_verification_a_credential() {
    const CLIENTS: usize = 12;
    let mut cost = day(231, CLIENTS);
    assert_eq!(cost.writes, 0, "nothing is written but the lease");
    assert!((4_000..=4_321).contains(&cost.renewals), "the lease is renewed every twenty seconds, by one of them: {}", cost.renewals);
    assert!((280..=290).contains(&cost.take("ListClients")), "a scan every five minutes");
    // A day ends once in a day: nothing is verified more often.
    assert!((1..=CLIENTS).contains(&cost.take("GetTokenInfo")), "a verification of each credential");
    assert!(cost.take("GetToken") <= CLIENTS + 1, "its login, and one of the operator's own");
    assert_eq!(cost.calls, BTreeMap::new());
}

#[test]
#[ignore = "a figure: make figures FILTER=availability.day"]
fn the_day_of_a_thousand() {
    let mut cost = day(232, 1000);
    let print = |name: &str, value: usize| println!("figure day.{name} {value}");
    print("kubernetes-writes", cost.writes);
    print("lease-renewals", cost.renewals);
    print("kubernetes-gets", cost.gets);
    print("scans", cost.take("ListClients"));
    print("verifications", cost.take("GetTokenInfo"));
    print("logins", cost.take("GetToken"));
    print("other-calls", cost.calls.values().sum());
}
