//! What the operator's watches are told is late, lost, doubled, joined, frozen or old: every event of a create, an update and a delete,
//! none left out. It must not look at what the operator believes, only at what it leaves behind.

use std::time::Duration;

use genesys_cloud_simulator::kubernetes::{Fault, FaultKind};
use genesys_oauth_operator::api::GROUP;
use serde_json::json;

use crate::{
    process::OPERATOR,
    scenario::{once, scenario},
    stories::{NAME, Story},
    world::World,
};

const CLIENTS: &str = "genesysoauthclients";

/// A fault that strikes events about the client's object.
fn on_events(kind: FaultKind) -> Fault {
    Fault::new(kind).user(OPERATOR).resource(GROUP, CLIENTS).name(NAME)
}

/// One event is struck. False if there was none left to strike.
fn struck(story: Story, kind: &FaultKind, skip: u32) -> bool {
    let (struck, _) = once(11, async |world| {
        story.begin(world).await;
        world.kubernetes.plant(on_events(kind.clone()).after(skip).times(1));
        story.act(world).await;
        if !matches!(kind, FaultKind::DropEvent) {
            story.ends_well(world).await;
            return world.kubernetes.faults().is_empty();
        }
        // Nobody can know of an event that was never told, until the next list. Meanwhile the operator must not run in circles.
        let before = world.kubernetes.log().len();
        tokio::time::sleep(A_WHILE).await;
        let requests = world.kubernetes.log().len() - before;
        assert!(requests < 100, "{story:?} without event {skip}: {requests} requests");
        let struck = world.kubernetes.faults().is_empty();
        relist(world, Relist::Told);
        story.ends_well(world).await;
        struck
    });
    struck
}

fn every_event(kind: &FaultKind) -> usize {
    let mut cells = 0;
    for story in Story::ALL {
        let mut skip = 0;
        while struck(story, kind, skip) {
            skip += 1;
            assert!(skip < 30, "{story:?} never comes to rest");
        }
        assert!(skip > 0, "{story:?} has no event");
        cells += skip as usize;
    }
    println!("{kind:?}: {cells} events");
    cells
}

#[test]
fn every_event_may_be_lost() {
    every_event(&FaultKind::DropEvent);
}

#[test]
fn every_event_may_be_late() {
    every_event(&FaultKind::DelayEvent(Duration::from_secs(20)));
}

/// All events are struck, of the client and of all else.
fn all_events(kind: &FaultKind) {
    for story in Story::ALL {
        scenario(11, async |world| {
            story.begin(world).await;
            world.kubernetes.plant(Fault::new(kind.clone()).user(OPERATOR).times(0));
            story.act(world).await;
            story.ends_well(world).await;
        });
    }
}

#[test]
fn all_events_may_come_twice() {
    all_events(&FaultKind::RepeatEvent);
}

#[test]
fn all_events_may_be_late() {
    all_events(&FaultKind::DelayEvent(Duration::from_secs(3)));
}

#[test]
fn events_may_be_joined() {
    all_events(&FaultKind::CoalesceEvents(Duration::from_secs(20)));
}

#[test]
fn a_watch_may_end_at_every_event() {
    every_event(&FaultKind::CloseWatch);
}

#[test]
fn a_watch_may_be_told_that_it_is_too_old() {
    for story in Story::ALL {
        once(12, async |world| {
            story.begin(world).await;
            world.kubernetes.plant(Fault::new(FaultKind::Gone410).user(OPERATOR).times(3));
            world.kubernetes.disconnect_watches(OPERATOR);
            story.act(world).await;
            story.ends_well(world).await;
            assert!(world.kubernetes.faults().is_empty());
        });
    }
}

#[test]
fn caches_may_stand_still() {
    for story in Story::ALL {
        // Before the operator sees anything of the story, and in the middle of it.
        for looks in [0, 3] {
            once(13, async |world| {
                story.begin(world).await;
                if looks == 0 {
                    freeze(world);
                }
                story.act(world).await;
                tokio::time::sleep(Duration::from_millis(200 * looks)).await;
                if looks > 0 {
                    freeze(world);
                }
                let before = world.kubernetes.log().len();
                tokio::time::sleep(Duration::from_secs(900)).await;
                let requests = world.kubernetes.log().len() - before;
                assert!(requests < 300, "{story:?} after {looks} looks: {requests} requests before a cache that stands still");
                world.clear_faults();
                story.ends_well(world).await;
            });
        }
    }
}

fn freeze(world: &World) {
    world.kubernetes.plant(Fault::new(FaultKind::FreezeCache).user(OPERATOR).times(0));
}

/// The operator's next list shows the world as it was at this resourceVersion.
fn travel(world: &World, resource_version: u64) {
    let travel = FaultKind::TimeTravel { resource_version };
    world.kubernetes.plant(Fault::new(travel).user(OPERATOR).resource(GROUP, CLIENTS).times(1));
}

/// How the operator comes to list again.
#[derive(Clone, Copy, Debug)]
enum Relist {
    /// The same process is told 410.
    Told,
    /// A new process begins.
    Restart,
}

fn relist(world: &World, how: Relist) {
    match how {
        Relist::Told => {
            world.kubernetes.plant(Fault::new(FaultKind::Gone410).user(OPERATOR).resource(GROUP, CLIENTS).times(1));
            world.kubernetes.disconnect_watches(OPERATOR);
        }
        Relist::Restart => {
            world.kill();
            world.start();
        }
    }
}

/// Time in which an operator that believes an old list does its worst.
const A_WHILE: Duration = Duration::from_secs(120);

#[test]
fn an_old_list_without_the_client_makes_no_second_one() {
    for how in [Relist::Told, Relist::Restart] {
        once(14, async |world| {
            world.declare(NAME, &json!({ "suspend": true }));
            world.client_shows(NAME, "Ready=False/Suspended").await;
            let version = world.kubernetes.resource_version();
            world.declare(NAME, &json!({ "suspend": null }));
            world.settles(NAME).await;
            let first = world.client_of(NAME).id;
            travel(world, version);
            relist(world, how);
            tokio::time::sleep(A_WHILE).await;
            assert!(world.kubernetes.faults().is_empty(), "{how:?}: no old list was shown");
            world.settles(NAME).await;
            assert_eq!((world.client_of(NAME).id, world.simulator.other_clients().len()), (first, 1));
        });
    }
}

#[test]
fn an_old_list_with_an_old_spec_ends_with_the_new_one() {
    for how in [Relist::Told, Relist::Restart] {
        once(15, async |world| {
            world.declare(NAME, &json!({}));
            world.settles(NAME).await;
            let version = world.kubernetes.resource_version();
            Story::Update.act(world).await;
            Story::Update.ends_well(world).await;
            travel(world, version);
            relist(world, how);
            tokio::time::sleep(A_WHILE).await;
            assert!(world.kubernetes.faults().is_empty(), "{how:?}: no old list was shown");
            Story::Update.ends_well(world).await;
        });
    }
}

#[test]
fn an_old_list_with_a_deleted_object_brings_nothing_back() {
    for how in [Relist::Told, Relist::Restart] {
        once(16, async |world| {
            world.declare(NAME, &json!({}));
            world.settles(NAME).await;
            let version = world.kubernetes.resource_version();
            Story::Delete.act(world).await;
            Story::Delete.ends_well(world).await;
            travel(world, version);
            relist(world, how);
            tokio::time::sleep(A_WHILE).await;
            assert!(world.kubernetes.faults().is_empty(), "{how:?}: no old list was shown");
            world.goes(NAME).await;
        });
    }
}

#[test]
fn an_old_list_with_a_namesake_harms_the_living_one_in_nothing() {
    for how in [Relist::Told, Relist::Restart] {
        once(17, async |world| {
            world.declare(NAME, &json!({}));
            world.settles(NAME).await;
            world.remove(CLIENTS, NAME).await;
            // The dying object still stands while the list is taken.
            let version = world.kubernetes.resource_version();
            world.goes(NAME).await;
            world.declare(NAME, &json!({}));
            world.settles(NAME).await;
            let second = world.client_of(NAME).id;
            travel(world, version);
            relist(world, how);
            tokio::time::sleep(A_WHILE).await;
            assert!(world.kubernetes.faults().is_empty(), "{how:?}: no old list was shown");
            world.settles(NAME).await;
            assert_eq!(world.client_of(NAME).id, second, "{how:?}: the namesake's client was taken for the dead one's");
        });
    }
}
