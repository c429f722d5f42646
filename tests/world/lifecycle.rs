//! The life of a client when nothing fails: created, edited, left alone, deleted.

use std::time::Duration;

use genesys_cloud_simulator::{Fault, FaultKind, Operation};

use crate::world::{TEAM, World};

#[tokio::test(start_paused = true)]
async fn a_client_is_created_edited_and_deleted() {
    let world = World::new(1).await;
    world.declare(3600);
    world.until("a settled object", World::settled).await;
    world.declare(7200);
    world
        .until("the edit on the platform", |world| {
            (world.simulator.other_clients().first()?.access_token_validity_seconds == 7200).then_some(())
        })
        .await;
    world.until("a settled object", World::settled).await;
    world.remove("genesysoauthclients", "billing").await;
    world.until("nothing left", World::gone).await;
}

#[tokio::test(start_paused = true)]
async fn a_settled_world_is_written_to_by_nobody_for_a_day() {
    let world = World::new(2).await;
    world.declare(3600);
    world.until("a settled object", World::settled).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let before = world.writes();
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    assert_eq!(world.writes(), before, "writes at rest: {:#?}", world.kubernetes.log().into_iter().rev().take(5).collect::<Vec<_>>());
    world.kill();
    world.start();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(world.writes(), before, "a new process writes nothing either");
    assert!(world.settled().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_deleted_secret_comes_back_and_works() {
    let world = World::new(3).await;
    world.declare(3600);
    world.until("a settled object", World::settled).await;
    world.remove("secrets", "billing").await;
    world.until("the Secret to be back", |world| world.get("secrets", TEAM, "billing").map(drop)).await;
    world.until("a settled object", World::settled).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_while_its_reset_is_pending_is_created_anew() {
    let world = World::new(5).await;
    world.declare(3600);
    world.until("a settled object", World::settled).await;
    let first = world.simulator.other_clients()[0].id.clone();
    world.simulator.plant(Fault::on(Operation::ResetClientSecret, FaultKind::LostResponse).times(1));
    world.remove("secrets", "billing").await;
    world
        .until("a reset without an answer", |world| {
            let pending = world.object()?["status"]["intent"]["operation"] == "Reset";
            (pending && world.simulator.faults().is_empty()).then_some(())
        })
        .await;
    assert!(world.simulator.remove_client(&first));
    world.until("a settled object", World::settled).await;
    assert_ne!(world.simulator.other_clients()[0].id, first);
}
