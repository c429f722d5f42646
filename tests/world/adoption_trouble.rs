//! Adoptions that are cut short, left unfinished, or meet a Secret of somebody else: each must start again, and none may cost the client.

use genesys_cloud_simulator::{ClientState, Fault, OAuthClient, Operation};
use serde_json::{Value, json};

use crate::{
    adoption::{Found, allow_resets, by_reset, by_secret, client, count, found, kept},
    look::{marker, message},
    objects::{self, TEAM},
    rotating::CLIENTS,
    scenario::{once, scenario},
    stories::NAME,
    world::{Plan, World},
};

/// Adopts a client by its secret and by a reset, cut short once at every request of either side, and looks what came of it.
fn cut_short_anywhere(seed: u64, changes: &Value, ends_well: &impl AsyncFn(&World, &Found, &OAuthClient, bool)) {
    for reset in [false, true] {
        for skip in 0..14 {
            once(Plan::new(seed), async |world| {
                let found = found(world, &json!({}));
                let before = client(world, &found.id);
                world.apply(&kept("old", &found.secret));
                allow_resets(world, &json!(["*"]));
                tokio::time::sleep(std::time::Duration::from_secs(5)).await;
                if skip % 2 == 0 {
                    world.lose_platform(skip / 2);
                } else {
                    world.end_after_any_kubernetes(u32::try_from(skip).expect("small"));
                }
                let mut spec = if reset { by_reset(&found.id) } else { by_secret(&found.id) };
                objects::merge(&mut spec, changes);
                world.declare(NAME, &spec);
                tokio::time::sleep(std::time::Duration::from_secs(60)).await;
                if !world.runs() {
                    world.start();
                }
                ends_well(world, &found, &before, reset).await;
                assert_eq!((world.client_of(NAME).id, count(world, Operation::CreateClient)), (found.id, 0), "{reset} {skip}");
            });
        }
    }
}

#[test]
fn an_adoption_that_is_cut_short_anywhere_starts_again() {
    cut_short_anywhere(213, &json!({}), &async |world, found, _, reset| {
        world.settles(NAME).await;
        assert!(reset || world.simulator.secret_works(&found.id, &found.secret));
    });
}

#[test]
fn an_adoption_that_was_not_finished_leaves_the_client_when_its_object_goes() {
    scenario(214, async |world| {
        let found = found(world, &json!({}));
        allow_resets(world, &json!(["*"]));
        world.simulator.plant(Fault::status(Operation::ResetClientSecret, 400).times(0));
        world.declare(NAME, &by_reset(&found.id));
        world.until("its marker", |world| marker(&client(world, &found.id)).map(drop)).await;
        world.client_shows(NAME, "Stalled=True").await;
        world.remove(CLIENTS, NAME).await;
        world.until("the object to go", |world| world.object(NAME).is_none().then_some(())).await;
        let left = client(world, &found.id);
        assert!(marker(&left).is_none() && left.state == ClientState::Active && world.simulator.secret_works(&found.id, &found.secret));
    });
}

#[test]
fn a_secret_that_its_owner_gives_away_is_taken_over_with_its_credential() {
    once(216, async |world| {
        let found = found(world, &json!({}));
        let offered = |secret: &str, annotations: Value| {
            json!({
                "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
                "metadata": { "name": NAME, "namespace": TEAM, "annotations": annotations },
                "stringData": { "clientId": found.id, "clientSecret": secret, "extra": "of the owner" },
            })
        };
        world.apply(&offered(&found.secret, json!({})));
        let mut spec = by_secret(&found.id);
        spec["adopt"]["secretRef"] = json!({ "name": NAME, "key": "clientSecret" });
        world.declare(NAME, &spec);
        world.stalls(NAME, "Conflict", &["belongs to somebody else"]).await;
        // A credential that does not work is never taken, whoever says so.
        world.apply(&offered("guessed", json!({ "oauth.genesys-operator.io/take-over": NAME })));
        world
            .until("why it is not taken", |world| message(&world.object(NAME)?, "Stalled").contains("refuses the credential").then_some(()))
            .await;
        world.apply(&offered(&found.secret, json!({ "oauth.genesys-operator.io/take-over": "another" })));
        world.until("whose it is", |world| message(&world.object(NAME)?, "Stalled").contains("does not carry").then_some(())).await;
        world.apply(&offered(&found.secret, json!({ "oauth.genesys-operator.io/take-over": NAME })));
        world.settles(NAME).await;
        let secret = world.get("secrets", TEAM, NAME).expect("the Secret");
        assert!(secret["metadata"]["annotations"]["oauth.genesys-operator.io/take-over"].is_null() && secret["data"]["extra"].is_null());
        assert!(world.held(NAME).is_some_and(|held| held.client_secret.as_ref() == Some(&found.secret)));
    });
}

#[test]
fn an_adoption_under_report_that_is_cut_short_anywhere_goes_on_and_writes_the_marker_alone() {
    cut_short_anywhere(217, &json!({ "driftPolicy": "Report" }), &async |world, found, before, reset| {
        world.client_shows(NAME, "Ready=True/Available").await;
        world.client_shows(NAME, "Synced=False/DriftReported").await;
        let now = client(world, &found.id);
        assert_eq!((&now.name, now.access_token_validity_seconds), (&before.name, before.access_token_validity_seconds));
        assert_eq!(now.role_divisions, before.role_divisions, "{reset}");
    });
}

#[test]
fn an_adoption_counts_towards_the_clients_that_a_namespace_may_have() {
    once(218, async |world| {
        let found = found(world, &json!({}));
        world.apply(&kept("old", &found.secret));
        let allow = |most: u32| {
            let mut access = objects::organization()["spec"]["access"].clone();
            access[0]["maxClients"] = json!(most);
            world.declare_organization(&json!({ "access": access }));
        };
        allow(1);
        world.declare("first", &json!({}));
        world.settles("first").await;
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        world.declare(NAME, &by_secret(&found.id));
        world.stalls(NAME, "AccessDenied", &["maxClients", "1 are older"]).await;
        assert!(marker(&client(world, &found.id)).is_none(), "nothing was written");
        allow(2);
        world.settles(NAME).await;
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        world.declare("third", &json!({}));
        world.stalls("third", "AccessDenied", &["maxClients", "2 are older"]).await;
        allow(3);
        world.settles("third").await;
    });
}
