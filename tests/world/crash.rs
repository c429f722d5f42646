//! The operator ends after every single request of a create, an update and a delete, and is started again: every cell, none left out.

use std::sync::Arc;
use std::time::Duration;

use genesys_cloud_simulator::{Fault, FaultKind, Operation, kubernetes::Verb};

use crate::{scenario::once, stories::Story, world::World};

const VERBS: [Verb; 5] = [Verb::Get, Verb::Create, Verb::Update, Verb::Patch, Verb::Delete];

/// Ends the operator at one point, starts another one, and looks whether all is well. False if the point was never reached.
fn cell(story: Story, plan: impl Fn(&Arc<World>)) -> bool {
    let (struck, _) = once(7, async |world| {
        story.begin(world).await;
        plan(world);
        story.act(world).await;
        let ended = world.until("the end", |world| (!world.runs()).then_some(()));
        let struck = tokio::time::timeout(Duration::from_secs(300), ended).await.is_ok();
        if struck {
            world.start();
        }
        story.ends_well(world).await;
        struck
    });
    struck
}

/// One answer of the Kubernetes API is lost, and the operator lives on. False if the point was never reached.
fn lost(story: Story, verb: Verb, skip: u32) -> bool {
    let (struck, _) = once(8, async |world| {
        story.begin(world).await;
        let before = world.requests(verb);
        world.lose_kubernetes(verb, skip);
        story.act(world).await;
        story.ends_well(world).await;
        world.requests(verb) - before > skip as usize
    });
    struck
}

fn every_lost_answer(story: Story) -> usize {
    let mut cells = 0;
    for verb in VERBS {
        for skip in 0..40 {
            if !lost(story, verb, skip) {
                break;
            }
            cells += 1;
        }
    }
    println!("{story:?}: {cells} lost answers");
    cells
}

fn every_cell(story: Story) -> usize {
    let mut cells = 0;
    for verb in VERBS {
        let mut skip = 0;
        while cell(story, |world| world.end_after_kubernetes(verb, skip)) {
            skip += 1;
            cells += 1;
            assert!(skip < 60, "{story:?} {verb:?} never comes to rest");
        }
    }
    let mut nth = 1;
    while cell(story, |world| world.end_after_platform(nth)) {
        nth += 1;
        cells += 1;
        assert!(nth < 60, "{story:?} never comes to rest");
    }
    println!("{story:?}: {cells} cells");
    cells
}

#[test]
fn create_survives_an_end_after_every_request() {
    assert!(every_cell(Story::Create) >= 15);
}

#[test]
fn update_survives_an_end_after_every_request() {
    assert!(every_cell(Story::Update) >= 5);
}

#[test]
fn delete_survives_an_end_after_every_request() {
    assert!(every_cell(Story::Delete) >= 8);
}

#[test]
fn every_answer_of_the_kubernetes_api_may_be_lost_once() {
    let cells: usize = Story::ALL.into_iter().map(every_lost_answer).sum();
    assert!(cells >= 25, "{cells} cells");
}

#[test]
fn every_answer_of_the_platform_may_be_lost_once() {
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
        let (spent, _) = once(9, async |world| {
            story.begin(world).await;
            world.simulator.plant(Fault::on(operation, FaultKind::LostResponse).times(1));
            story.act(world).await;
            story.ends_well(world).await;
            world.simulator.faults().is_empty()
        });
        assert!(spent, "{story:?}: no {operation:?} came");
    }
}
