//! How many objects of an organization are worked at once: as many as there are places, and no more. Counts the calls under way as the network does.

use std::{sync::atomic::Ordering, time::Duration};

use genesys_cloud_simulator::{Fault, FaultKind, Operation};
use serde_json::json;

use crate::{scenario::once, world::Plan};

/// The most creates at once, of many that each take long.
fn most(places: u64) -> u64 {
    let plan = Plan::new(96).flag(&format!("--max-concurrent-reconciles={places}")).platform(|settings| settings.maximum_clients = None);
    once(plan, async |world| {
        world.simulator.plant(Fault::on(Operation::CreateClient, FaultKind::Delay).delayed_by(Duration::from_secs(8)).times(0));
        let names: Vec<String> = (0..30).map(|number| format!("client-{number}")).collect();
        for name in &names {
            world.declare(name, &json!({}));
        }
        for name in &names {
            world.settles(name).await;
        }
        world.wires.creating.1.load(Ordering::Relaxed)
    })
    .0
}

#[test]
fn no_more_passes_than_places_are_under_way_and_as_many_as_there_are() {
    // The second shows that nothing else kept the first back.
    assert_eq!(most(3), 3);
    assert!(most(8) > 3);
}
