//! Either API refuses, hangs or breaks off, by verb and by operation, during a create, an update and a delete: each story ends well all
//! the same. It must not plant a fault that lasts: what lasts is the story of `organizations`.

use std::time::Duration;

use genesys_cloud_simulator::{
    Fault as PlatformFault, FaultKind as PlatformFaultKind, FaultTarget, Operation,
    kubernetes::{Fault, FaultKind, Verb},
};

use crate::{
    process::OPERATOR,
    scenario::{once, scenario},
    stories::Story,
};

const ALL: [Verb; 7] = [Verb::Get, Verb::List, Verb::Watch, Verb::Create, Verb::Update, Verb::Patch, Verb::Delete];
const WRITES: [Verb; 4] = [Verb::Create, Verb::Update, Verb::Patch, Verb::Delete];

/// The next requests of a verb fail, one after the other, each in its own way. False if none came.
fn struck(story: Story, verb: Verb, kinds: &[FaultKind]) -> bool {
    let (struck, _) = once(21, async |world| {
        story.begin(world).await;
        let before = world.requests(verb);
        for kind in kinds {
            world.kubernetes.plant(Fault::new(kind.clone()).verb(verb).user(OPERATOR));
        }
        if matches!(verb, Verb::List | Verb::Watch) {
            world.kill();
            world.start();
        }
        story.act(world).await;
        story.ends_well(world).await;
        world.requests(verb) > before
    });
    struck
}

fn every_verb(verbs: &[Verb], kinds: &[FaultKind]) {
    let cells = verbs.iter().flat_map(|verb| Story::ALL.map(|story| (story, *verb)));
    let struck = cells.filter(|(story, verb)| struck(*story, *verb, kinds)).count();
    println!("{kinds:?}: {struck} cells");
    // A verb that one of the stories does not need is needed by another.
    assert!(struck > verbs.len(), "{kinds:?}: {struck} cells");
}

#[test]
fn a_storm_of_conflicts_passes() {
    every_verb(&WRITES, &[const { FaultKind::Conflict }; 8]);
}

#[test]
fn a_server_that_asks_for_patience_fails_and_is_away_is_asked_again() {
    let patience = FaultKind::TooManyRequests { retry_after: 5 };
    every_verb(&ALL, &[patience, FaultKind::Status(500), FaultKind::Status(504), FaultKind::Status(503), FaultKind::RefuseConnection]);
}

#[test]
fn a_server_that_never_answers_is_asked_again() {
    every_verb(&ALL, &[FaultKind::Hang, FaultKind::LostResponse, FaultKind::Hang]);
}

/// What each story asks of the platform.
const CALLS: [(Story, Operation); 9] = [
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

/// Those of them that change something, or decide whether a credential works.
const DECISIVE: [(Story, Operation); 4] = [
    (Story::Create, Operation::CreateClient),
    (Story::Create, Operation::GetToken),
    (Story::Update, Operation::UpdateClient),
    (Story::Delete, Operation::DeleteClient),
];

fn every_call(what: &str, calls: &[(Story, Operation)], faults: impl Fn(Operation) -> Vec<PlatformFault>) {
    for (story, operation) in calls.iter().copied() {
        let (spent, _) = once(22, async |world| {
            story.begin(world).await;
            for fault in faults(operation) {
                world.simulator.plant(fault);
            }
            story.act(world).await;
            story.ends_well(world).await;
            world.simulator.faults().is_empty()
        });
        assert!(spent, "{what} during {story:?}: not enough of {operation:?} came");
    }
}

#[test]
fn the_platform_may_throttle_fail_and_be_away() {
    every_call("refusals", &CALLS, |operation| {
        let mut faults: Vec<_> = [429, 500, 503].into_iter().map(|status| PlatformFault::status(operation, status)).collect();
        faults.push(PlatformFault::on(operation, PlatformFaultKind::RefuseConnection));
        faults
    });
}

#[test]
fn the_platform_may_answer_late_or_never_or_half() {
    use PlatformFaultKind::{Delay, Hang, Html, Truncate};
    every_call("no answer", &CALLS, |operation| vec![PlatformFault::on(operation, Hang)]);
    every_call("a late answer", &DECISIVE, |operation| vec![PlatformFault::on(operation, Delay).delayed_by(Duration::from_secs(15))]);
    for kind in [Truncate, Html] {
        every_call("no whole answer", &DECISIVE, |operation| vec![PlatformFault::on(operation, kind)]);
    }
}

#[test]
fn everything_may_fail_for_a_minute() {
    for story in Story::ALL {
        scenario(23, async |world| {
            story.begin(world).await;
            world.kubernetes.plant(Fault::new(FaultKind::Status(503)).user(OPERATOR).times(0));
            world.simulator.plant(PlatformFault::on(FaultTarget::Any, PlatformFaultKind::RefuseConnection).times(0));
            world.kubernetes.disconnect_watches(OPERATOR);
            story.act(world).await;
            tokio::time::sleep(Duration::from_secs(60)).await;
            world.clear_faults();
            story.ends_well(world).await;
        });
    }
}
