//! Objects whose client can't be deleted, and the person who lets them go: when the annotation counts, and when it does not yet.
//! Looks at both sides, never at the order of calls.

use std::sync::Arc;

use genesys_cloud_simulator::{Fault, OAuthClient, OPERATOR_CLIENT_SECRET, Operation};
use serde_json::json;

use crate::{
    drift::settled,
    look::{message, shows, summary},
    mishaps::minutes,
    objects::{self, ORGANIZATION},
    rotating::{CLIENTS, NAME},
    scenario::once,
    world::{Plan, World},
};

/// A deletion that is held up, with words of the way out; and the annotation, which does not count with another value.
async fn blocked(world: &World, words: &[&str]) {
    world.remove(CLIENTS, NAME).await;
    let object = world.client_shows(NAME, "Stalled=True/DeletionBlocked").await;
    assert!(shows(&object, "Ready=False/Deleting") && shows(&object, "Synced=False/DeletionBlocked"), "{}", summary(Some(&object)));
    for word in words {
        assert!(message(&object, "Stalled").contains(word), "it does not say {word:?}: {}", message(&object, "Stalled"));
    }
    world.request(NAME, "let-go", "yes").await;
    minutes(2).await;
    assert!(world.object(NAME).is_some(), "only the value true counts");
    world.request(NAME, "let-go", "true").await;
}

/// The object and its Secret are gone, its client stays as it was, and an Event names it. A person removes it in the end.
async fn let_go(world: &World, client: &OAuthClient) {
    world.until("the object to go", |world| world.object(NAME).is_none().then_some(())).await;
    assert!(world.held(NAME).is_none(), "the Secret of an object that was let go stays");
    assert_eq!(world.simulator.client(&client.id).as_ref(), Some(client), "the client was changed");
    let notes: Vec<_> = world.list("events").into_iter().filter(|event| event["reason"] == "LetGo").collect();
    assert!(matches!(notes.as_slice(), [one] if one.to_string().contains(&client.id)), "{notes:#?}");
    assert!(world.simulator.remove_client(&client.id));
}

fn told(seed: u64, story: impl AsyncFnOnce(&Arc<World>, OAuthClient)) {
    once(Plan::new(seed).with_events(), async |world| {
        settled(world, NAME, &json!({})).await;
        let client = world.client_of(NAME);
        story(world, client).await;
    });
}

#[test]
fn one_of_a_suspended_organization_is_let_go_at_once() {
    told(951, async |world, client| {
        world.declare_organization(&json!({ "suspend": true }));
        world.organization_shows("Ready=True").await;
        let before = world.platform_writes();
        blocked(world, &["is suspended", "let-go=true"]).await;
        let_go(world, &client).await;
        assert_eq!(world.platform_writes(), before, "a suspended organization was written to");
        world.declare_organization(&json!({}));
    });
}

#[test]
fn one_of_an_organization_that_is_suspended_while_it_can_not_be_worked_is_let_go_at_once() {
    told(952, async |world, client| {
        world.give_credential("not-the-secret");
        world.organization_shows("Stalled=True/CredentialRejected").await;
        world.declare_organization(&json!({ "suspend": true }));
        minutes(1).await;
        blocked(world, &["is suspended", "let-go=true"]).await;
        let_go(world, &client).await;
        world.give_credential(OPERATOR_CLIENT_SECRET);
        world.declare_organization(&json!({}));
        world.organization_shows("Ready=True/Available").await;
    });
}

#[test]
fn one_whose_organization_is_gone_is_let_go_at_once() {
    told(953, async |world, client| {
        world.remove("genesysorganizations", ("", ORGANIZATION)).await;
        world.until("the organization to go", |world| world.organization().is_none().then_some(())).await;
        blocked(world, &["does not exist", "let-go=true"]).await;
        let_go(world, &client).await;
        world.apply(&objects::organization());
        world.organization_shows("Ready=True/Available").await;
    });
}

#[test]
fn one_of_an_organization_that_can_not_be_worked_is_let_go_after_an_hour() {
    told(954, async |world, client| {
        world.give_credential("not-the-secret");
        world.organization_shows("Stalled=True/CredentialRejected").await;
        blocked(world, &["is not ready", "after an hour of refusals"]).await;
        minutes(50).await;
        assert!(world.object(NAME).is_some(), "an hour is not over");
        let_go(world, &client).await;
        world.give_credential(OPERATOR_CLIENT_SECRET);
        world.organization_shows("Ready=True/Available").await;
    });
}

#[test]
fn one_whose_deletion_is_refused_is_let_go_after_an_hour_of_refusals_and_no_other_answer() {
    told(955, async |world, client| {
        // Nothing of the client changes: its first step is refused already.
        let answers = |status: u16| {
            world.simulator.clear_faults();
            world.simulator.plant(Fault::status(Operation::UpdateClient, status).times(0));
        };
        answers(403);
        blocked(world, &["refuses the deletion", "after an hour of refusals"]).await;
        minutes(40).await;
        // Another answer, which says that the platform works.
        answers(400);
        minutes(12).await;
        let object = world.object(NAME).expect("an hour of refusals is not over");
        assert!(message(&object, "Stalled").contains("suspend the organization and annotate"), "{}", summary(Some(&object)));
        answers(403);
        minutes(45).await;
        assert!(world.object(NAME).is_some(), "the hour begins anew");
        let_go(world, &client).await;
        world.simulator.clear_faults();
    });
}

#[test]
fn one_whose_deletion_can_be_carried_out_again_leaves_no_client_although_it_may_be_let_go() {
    told(956, async |world, _| {
        world.simulator.plant(Fault::status(Operation::UpdateClient, 403).times(0));
        blocked(world, &["refuses the deletion"]).await;
        minutes(30).await;
        world.simulator.clear_faults();
        world.goes(NAME).await;
        assert!(world.list("events").iter().all(|event| event["reason"] != "LetGo"), "nobody had to let it go");
    });
}
