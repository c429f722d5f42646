//! A hash is that of a whole run: the same seed gives it again, another seed gives another order of the same story.

use std::{collections::BTreeSet, time::Duration};

use genesys_cloud_simulator::{Fault, FaultKind, Operation, kubernetes::Verb};
use serde_json::json;

use crate::{
    scenario::{once, scenario},
    world::World,
};

const NAMES: [&str; 3] = ["billing", "payroll", "reports"];

/// Three clients are created, edited and deleted at the same time, while `trouble` strikes.
async fn three_clients(world: &World, trouble: impl AsyncFn(&World)) {
    for name in NAMES {
        world.declare(name, &json!({}));
    }
    trouble(world).await;
    for name in NAMES {
        world.settles(name).await;
    }
    trouble(world).await;
    for name in NAMES {
        world.declare(name, &json!({ "accessTokenValiditySeconds": 7200 }));
    }
    for name in NAMES {
        world.settles(name).await;
    }
    trouble(world).await;
    for name in &NAMES[1..] {
        world.remove("genesysoauthclients", *name).await;
    }
    for name in &NAMES[1..] {
        world.goes(*name).await;
    }
}

#[test]
fn the_same_seed_repeats_a_run_without_trouble() {
    for seed in [1, 2] {
        scenario(seed, async |world| three_clients(world, async |_| ()).await);
    }
}

#[test]
fn the_same_seed_repeats_a_run_with_crashes() {
    for seed in 1..3 {
        scenario(seed, async |world| {
            let arc = world.clone();
            three_clients(world, async |world| {
                arc.end_after_kubernetes(Verb::Update, 2);
                arc.end_after_platform(3);
                for _ in 0..100 {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    if !world.runs() {
                        world.start();
                    }
                }
                world.clear_faults();
            })
            .await;
        });
    }
}

#[test]
fn the_same_seed_repeats_a_run_with_lost_answers() {
    for seed in 1..3 {
        scenario(seed, async |world| {
            three_clients(world, async |world| {
                for verb in [Verb::Get, Verb::Update, Verb::Patch, Verb::Watch, Verb::List] {
                    world.lose_kubernetes(verb, 1);
                }
                for operation in [Operation::CreateClient, Operation::UpdateClient, Operation::ListClients] {
                    world.simulator.plant(Fault::on(operation, FaultKind::LostResponse).times(1));
                }
                world.kubernetes.disconnect_watches(crate::process::OPERATOR);
            })
            .await;
        });
    }
}

#[test]
fn another_seed_gives_another_order() {
    let hashes: BTreeSet<String> = (0..4).map(|seed| once(seed, async |world| three_clients(world, async |_| ()).await).1.hash()).collect();
    assert_eq!(hashes.len(), 4);
}
