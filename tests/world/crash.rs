//! The operator ends after every single request of a create, an update and a delete, and is started again: every cell, none left out.

use std::sync::Arc;

use genesys_cloud_simulator::kubernetes::Verb;

use crate::world::World;

/// What is going on when the operator ends.
#[derive(Clone, Copy, Debug)]
enum Story {
    Create,
    Update,
    Delete,
}

async fn begin(story: Story, seed: u64) -> Arc<World> {
    let world = World::new(seed).await;
    if !matches!(story, Story::Create) {
        world.declare(3600);
        world.until("a settled object", World::settled).await;
    }
    world
}

async fn act(story: Story, world: &World) {
    match story {
        Story::Create => world.declare(3600),
        Story::Update => world.declare(7200),
        Story::Delete => world.remove("genesysoauthclients", "billing").await,
    }
}

async fn ends_well(story: Story, world: &World) {
    match story {
        Story::Create => world.until("a settled object", World::settled).await,
        Story::Update => {
            world
                .until("the edit on the platform", |world| {
                    (world.simulator.other_clients().first()?.access_token_validity_seconds == 7200).then_some(())
                })
                .await;
            world.until("a settled object", World::settled).await;
        }
        Story::Delete => world.until("nothing left", World::gone).await,
    }
}

/// Ends the operator at one point, starts another one, and looks whether all is well. False if the point was never reached.
async fn cell(story: Story, plan: impl Fn(&Arc<World>)) -> bool {
    let world = begin(story, 7).await;
    plan(&world);
    act(story, &world).await;
    let struck = tokio::time::timeout(std::time::Duration::from_secs(300), world.until("the end", |world| (!world.runs()).then_some(())))
        .await
        .is_ok();
    if struck {
        world.start();
    }
    ends_well(story, &world).await;
    struck
}

/// One answer of the Kubernetes API is lost, and the operator lives on. False if the point was never reached.
async fn lost(story: Story, verb: Verb, skip: u32) -> bool {
    let world = begin(story, 8).await;
    let before = world.requests(verb);
    world.lose_kubernetes(verb, skip);
    act(story, &world).await;
    ends_well(story, &world).await;
    world.requests(verb) - before > skip as usize
}

async fn every_lost_answer(story: Story) -> usize {
    let mut cells = 0;
    for verb in [Verb::Get, Verb::Create, Verb::Update, Verb::Patch, Verb::Delete] {
        for skip in 0..40 {
            if !lost(story, verb, skip).await {
                break;
            }
            cells += 1;
        }
    }
    println!("{story:?}: {cells} lost answers");
    cells
}

async fn every_cell(story: Story) -> usize {
    let mut cells = 0;
    for verb in [Verb::Get, Verb::Create, Verb::Update, Verb::Patch, Verb::Delete] {
        let mut skip = 0;
        while cell(story, |world| world.end_after_kubernetes(verb, skip)).await {
            skip += 1;
            cells += 1;
            assert!(skip < 60, "{story:?} {verb:?} never comes to rest");
        }
    }
    let mut nth = 1;
    while cell(story, |world| world.end_after_platform(nth)).await {
        nth += 1;
        cells += 1;
        assert!(nth < 60, "{story:?} never comes to rest");
    }
    println!("{story:?}: {cells} cells");
    cells
}

#[tokio::test(start_paused = true)]
async fn create_survives_an_end_after_every_request() {
    assert!(every_cell(Story::Create).await >= 15);
}

#[tokio::test(start_paused = true)]
async fn update_survives_an_end_after_every_request() {
    assert!(every_cell(Story::Update).await >= 5);
}

#[tokio::test(start_paused = true)]
async fn delete_survives_an_end_after_every_request() {
    assert!(every_cell(Story::Delete).await >= 8);
}

#[tokio::test(start_paused = true)]
async fn every_answer_of_the_kubernetes_api_may_be_lost_once() {
    let mut cells = 0;
    for story in [Story::Create, Story::Update, Story::Delete] {
        cells += every_lost_answer(story).await;
    }
    assert!(cells >= 25, "{cells} cells");
}

#[tokio::test(start_paused = true)]
async fn every_answer_of_the_platform_may_be_lost_once() {
    use genesys_cloud_simulator::{Fault, FaultKind, Operation};
    let cells = [
        (Story::Create, Operation::CreateClient),
        (Story::Create, Operation::ListClients),
        (Story::Create, Operation::GetToken),
        (Story::Create, Operation::GetTokenInfo),
        (Story::Update, Operation::GetClient),
        (Story::Update, Operation::UpdateClient),
        (Story::Delete, Operation::ListClients),
        (Story::Delete, Operation::UpdateClient),
        (Story::Delete, Operation::DeleteClient),
    ];
    for (story, operation) in cells {
        let world = begin(story, 9).await;
        world.simulator.plant(Fault::on(operation, FaultKind::LostResponse).times(1));
        act(story, &world).await;
        ends_well(story, &world).await;
        assert!(world.simulator.faults().is_empty(), "{story:?}: no {operation:?} came");
    }
}
