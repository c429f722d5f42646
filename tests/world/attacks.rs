//! What a tenant may not do with what it can write: its objects and the Secrets of its namespace. Everything is read off the platform
//! afterwards; no test trusts what the operator says of itself.

use std::time::Duration;

use genesys_cloud_simulator::{Fault, FaultKind, FaultTarget, OAuthClient, OPERATOR_CLIENT_ID, OPERATOR_CLIENT_SECRET};
use genesys_oauth_operator::secret::{CLIENT_ID, CLIENT_SECRET_KEY, REVISION};
use http::Method;
use serde_json::{Value, json};

use crate::{
    look::shows,
    objects::TEAM,
    scenario::{once, scenario},
    stories::NAME,
    world::{World, path},
};

const CLIENTS: &str = "genesysoauthclients";

/// A client that somebody could want.
struct Victim {
    client: OAuthClient,
    secret: String,
}

impl Victim {
    /// Its secret, its name and its state are as they were.
    fn unharmed(&self, world: &World) {
        let now = world.simulator.client(&self.client.id).expect("the victim is there");
        assert_eq!(now, self.client);
        assert!(world.simulator.secret_works(&self.client.id, &self.secret), "the secret of {} was changed", self.client.name);
    }
}

fn unharmed(world: &World, victims: &[Victim]) {
    for victim in victims {
        victim.unharmed(world);
    }
}

/// A client that a person made, and the operator's own.
fn victims(world: &World) -> [Victim; 2] {
    let own = world.simulator.client(OPERATOR_CLIENT_ID).expect("the operator's own client");
    let members = json!({
        "name": "Payroll", "description": "made by hand", "authorizedGrantType": "CLIENT-CREDENTIALS", "roleDivisions": own.role_divisions,
    });
    let (client, secret) = world.simulator.add_client(&members).expect("a client");
    [Victim { client: own, secret: OPERATOR_CLIENT_SECRET.to_owned() }, Victim { client, secret }]
}

#[test]
fn a_forged_secret_takes_nobodys_client() {
    scenario(51, async |world| {
        let victims = victims(world);
        for victim in &victims {
            world.declare(NAME, &json!({ "suspend": true }));
            let object = world.client_shows(NAME, "Ready=False/Suspended").await;
            world.apply(&json!({
                "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
                "metadata": {
                    "name": NAME, "namespace": TEAM,
                    "ownerReferences": [{
                        "apiVersion": "oauth.genesys-operator.io/v1alpha1", "kind": "GenesysOAuthClient", "name": NAME,
                        "uid": object["metadata"]["uid"], "controller": true,
                    }],
                    "annotations": { CLIENT_ID: victim.client.id, REVISION: "1", CLIENT_SECRET_KEY: "clientSecret" },
                },
                "stringData": { "clientSecret": "guessed" },
            }));
            world.declare(NAME, &json!({ "suspend": false }));
            world.settles(NAME).await;
            assert_ne!(world.client_of(NAME).id, victim.client.id);
            unharmed(world, &victims);
            world.remove(CLIENTS, NAME).await;
            world.goes(NAME).await;
            unharmed(world, &victims);
        }
    });
}

#[test]
fn a_forged_intent_resets_nobodys_client() {
    once(52, async |world| {
        let victims = victims(world);
        for victim in &victims {
            world.declare(NAME, &json!({}));
            world.settles(NAME).await;
            let mut object = world.object(NAME).expect("the object");
            object["status"]["intent"] = json!({
                "operation": "Reset", "clientId": victim.client.id, "revision": 9, "attempt": 1, "epoch": "aaaaaaaaaa",
                "startedAt": "2026-01-01T00:00:00Z",
            });
            world.ask(Method::PUT, &format!("{}/status", path(CLIENTS, NAME)), &object).await.expect("the status is taken");
            world.client_shows(NAME, "Stalled=True/Conflict").await;
            unharmed(world, &victims);
            world.remove(CLIENTS, NAME).await;
            world.goes(NAME).await;
            unharmed(world, &victims);
        }
    });
}

#[test]
fn an_edited_secret_of_ones_own_names_no_other_client() {
    // With a reset, and with a new client.
    for scim in [true, false] {
        once(53, async |world| {
            let victims = victims(world);
            world.declare(NAME, &json!({ "scim": scim }));
            world.settles(NAME).await;
            let own = world.client_of(NAME).id;
            for victim in &victims {
                let revision = world.object(NAME).and_then(|object| object["status"]["revision"].as_i64()).expect("a revision");
                world.annotate("secrets", NAME, &json!({ CLIENT_ID: victim.client.id, REVISION: (revision + 1).to_string() })).await;
                // A settled object is looked at again when something of it is written.
                world.annotate(CLIENTS, NAME, &json!({ "example.com/touched": victim.client.id })).await;
                let newer = |object: &Value| object["status"]["revision"].as_i64() > Some(revision + 1) && shows(object, "Ready=True");
                world.until("a newer credential than the forged one", |world| world.object(NAME).filter(newer)).await;
                world.until_rotations_end().await;
                world.settles(NAME).await;
                assert!(!scim || world.client_of(NAME).id == own, "a reset keeps the client");
                unharmed(world, &victims);
            }
        });
    }
}

#[test]
fn an_organization_that_refuses_everything_is_left_in_peace() {
    once(54, async |world| {
        let names = ["a", "b", "c"];
        for name in names {
            world.declare(name, &json!({}));
            world.settles(name).await;
        }
        world.simulator.plant(Fault { status: Some(503), ..Fault::on(FaultTarget::Any, FaultKind::Status) }.times(0));
        // A new session must log in anew, and can't.
        world.kill();
        world.start();
        world.organization_shows("Ready=False/Unreachable").await;
        let (calls, writes) = (world.simulator.calls().len(), world.writes());
        tokio::time::sleep(Duration::from_secs(1800)).await;
        let asked = world.simulator.calls().len() - calls;
        assert!(asked < 30, "{asked} calls in half an hour");
        assert!(world.writes() - writes < 12, "{} writes in half an hour", world.writes() - writes);
        for name in names {
            world.client_shows(name, "Ready=True").await;
        }
        world.simulator.clear_faults();
        world.organization_shows("Ready=True").await;
        for name in names {
            world.settles(name).await;
        }
    });
}
