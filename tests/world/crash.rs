//! The operator ends after every single request of a create, an update and a delete, and is started again: every cell, none left out.

use std::sync::Arc;

use genesys_cloud_simulator::{Fault, FaultKind, Operation, kubernetes::Verb};

use crate::{scenario::once, stories::Story, world::World};

const VERBS: [Verb; 5] = [Verb::Get, Verb::Create, Verb::Update, Verb::Patch, Verb::Delete];

/// How many requests of each verb, and how many calls of the platform, a story takes when nothing fails.
fn tally(story: Story, seed: u64) -> ([u32; 5], u64) {
    let count = |world: &World| (VERBS.map(|verb| world.requests(verb)), world.simulator.calls().len());
    let (tally, _) = once(seed, async |world| {
        story.begin(world).await;
        let (requests, calls) = count(world);
        story.act(world).await;
        story.ends_well(world).await;
        let (all_requests, all_calls) = count(world);
        let more = |all: usize, before: usize| u32::try_from(all - before).expect("few");
        let mut by_verb = [0; 5];
        for (place, (all, before)) in by_verb.iter_mut().zip(all_requests.into_iter().zip(requests)) {
            *place = more(all, before);
        }
        (by_verb, u64::from(more(all_calls, calls)))
    });
    tally
}

/// Ends the operator at one point, starts another one, and looks whether all is well.
fn cell(story: Story, what: &str, plan: impl Fn(&Arc<World>)) {
    once(7, async |world| {
        story.begin(world).await;
        plan(world);
        story.act(world).await;
        world.until(&format!("the end {what} of {story:?}"), |world| (!world.runs()).then_some(())).await;
        world.start();
        story.ends_well(world).await;
    });
}

/// One answer of the Kubernetes API is lost, and the operator lives on.
fn lost(story: Story, verb: Verb, skip: u32) {
    once(8, async |world| {
        story.begin(world).await;
        world.lose_kubernetes(verb, skip);
        story.act(world).await;
        story.ends_well(world).await;
        assert!(world.kubernetes.faults().is_empty(), "{story:?}: request {skip} of {verb:?} never came");
    });
}

fn every_lost_answer(story: Story) -> u32 {
    let (requests, _) = tally(story, 8);
    for (verb, count) in VERBS.into_iter().zip(requests) {
        (0..count).for_each(|skip| lost(story, verb, skip));
    }
    let cells = requests.iter().sum();
    println!("{story:?}: {cells} lost answers");
    cells
}

fn every_cell(story: Story) -> u64 {
    let (requests, calls) = tally(story, 7);
    for (verb, count) in VERBS.into_iter().zip(requests) {
        (0..count).for_each(|skip| cell(story, &format!("after {skip} more of {verb:?}"), |world| world.end_after_kubernetes(verb, skip)));
    }
    (1..=calls).for_each(|nth| cell(story, &format!("after call {nth}"), |world| world.end_after_platform(nth)));
    let sum = u64::from(requests.iter().sum::<u32>()) + calls;
    println!("{story:?}: {sum} cells");
    sum
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
    let cells: u32 = Story::ALL.into_iter().map(every_lost_answer).sum();
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
