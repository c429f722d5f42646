//! What could not be told from another: two objects for one organization, and a client whose marker the platform cuts off.
//! Everything is read off the platform.

use genesys_cloud_simulator::{BeyondLimit, Fault, Operation};
use serde_json::{Value, json};

use crate::{
    adoption::{by_secret, client, count, found, kept},
    drift::settled,
    look::{message, shows},
    mishaps::minutes,
    objects::{self, ORGANIZATION},
    rotating::NAME,
    scenario::{measured, once},
    world::{Plan, World},
};

const ORGANIZATIONS: &str = "genesysorganizations";
const TWIN: &str = "twin";

fn twin(world: &World) -> Option<Value> {
    world.get(ORGANIZATIONS, "", TWIN)
}

fn is_duplicate(world: &World) -> Option<()> {
    shows(&twin(world)?, "Stalled=True/DuplicateOrganization").then_some(())
}

#[test]
fn of_two_objects_for_one_organization_the_younger_does_nothing_until_the_older_is_gone() {
    once(961, async |world| {
        minutes(1).await;
        let mut second = objects::organization();
        second["metadata"]["name"] = json!(TWIN);
        world.apply(&second);
        world.until("the younger to say so", is_duplicate).await;
        let said = twin(world).expect("there");
        let words = message(&said, "Stalled");
        assert!(words.contains("\"acme\"") && words.contains("older"), "{words}");
        assert!(shows(&said, "Ready=False/DuplicateOrganization") && said["status"]["organizationId"].is_null(), "{}", said["status"]);
        world.declare(NAME, &json!({ "organizationRef": { "name": TWIN } }));
        world.client_shows(NAME, "Ready=False/WaitingForOrganization").await;
        // Another process sees both for the first time, in whatever order.
        world.kill();
        world.start();
        minutes(20).await;
        assert!(is_duplicate(world).is_some(), "the younger is told as such again");
        world.organization_shows("Ready=True/Available").await;
        assert_eq!(world.platform_writes(), 0, "a client was made in an organization that is another object's");
        world.remove(ORGANIZATIONS, ("", ORGANIZATION)).await;
        world.settles(NAME).await;
        assert!(shows(&twin(world).expect("there"), "Ready=True/Available"), "the one that is left connects to it");
    });
}

/// A platform that cuts descriptions in silence.
fn cutting(seed: u64) -> Plan {
    Plan::new(seed).platform(|settings| {
        settings.description_limit = Some(120);
        settings.beyond_description_limit = BeyondLimit::Truncate;
    })
}

/// A description that leaves no room for the marker.
fn long() -> String {
    "a text ".repeat(16)
}

#[test]
fn a_client_whose_marker_the_platform_cut_off_does_not_stay_and_is_not_made_again_and_again() {
    once(cutting(962), async |world| {
        world.declare(NAME, &json!({ "description": long() }));
        world.stalls(NAME, "MarkerRefused", &["shorten spec.description"]).await;
        minutes(60).await;
        world.stalls(NAME, "MarkerRefused", &["shorten spec.description"]).await;
        assert_eq!((count(world, Operation::CreateClient), count(world, Operation::DeleteClient)), (1, 1));
        assert!(world.simulator.other_clients().is_empty() && world.held(NAME).is_none());
        world.declare(NAME, &json!({ "description": "short" }));
        settled(world, NAME, &json!({ "description": "short" })).await;
    });
}

#[test]
fn a_client_whose_marker_the_platform_cuts_off_is_not_adopted_and_keeps_its_description() {
    // The invariants call it an edit of a stranger, which it is: it is put back as it was.
    measured(cutting(963), async |world| {
        let theirs = found(world, &json!({ "description": long() }));
        let before = client(world, &theirs.id);
        world.apply(&kept("old", &theirs.secret));
        world.declare(NAME, &by_secret(&theirs.id));
        world.stalls(NAME, "MarkerRefused", &["shorten its description"]).await;
        minutes(60).await;
        world.stalls(NAME, "MarkerRefused", &["shorten its description"]).await;
        assert_eq!(count(world, Operation::UpdateClient), 2, "once there and once back");
        let after = client(world, &theirs.id);
        assert_eq!((&after.description, &after.name, &after.state), (&before.description, &before.name, &before.state));
        assert!(world.held(NAME).is_none() && world.simulator.secret_works(&theirs.id, &theirs.secret));
        // What the message asks for.
        world.simulator.edit_client(&theirs.id, &json!({ "description": "short" })).expect("a client");
        world.settles(NAME).await;
    });
}

#[test]
fn a_description_that_could_not_be_put_back_is_told_of_and_never_taken_for_the_clients_own() {
    measured(cutting(964), async |world| {
        let theirs = found(world, &json!({ "description": long() }));
        world.apply(&kept("old", &theirs.secret));
        world.simulator.plant(Fault::status(Operation::UpdateClient, 500).skipping(1).times(1));
        world.declare(NAME, &by_secret(&theirs.id));
        let words = ["could not be put back", "shorten its description"];
        world.stalls(NAME, "MarkerRefused", &words).await;
        minutes(60).await;
        world.stalls(NAME, "MarkerRefused", &words).await;
        assert_eq!(count(world, Operation::UpdateClient), 1, "what was cut is not written as if it were the client's own");
        world.simulator.edit_client(&theirs.id, &json!({ "description": "short" })).expect("a client");
        world.settles(NAME).await;
    });
}
