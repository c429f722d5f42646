//! Secrets that a hostile platform repeats in its answers: every world looks for them in all logs, objects, Events, metrics and requests when it
//! closes, raw and encoded; these stories plant them where they hurt.

use std::{sync::Arc, time::Duration};

use genesys_cloud_simulator::{Fault, Operation};
use genesys_oauth_operator::genesys;
use serde_json::{Value, json};

use crate::{
    mishaps::minutes,
    objects,
    rotating::CLIENTS,
    scenario::{heard, once},
    stories::NAME,
    world::{Plan, World},
};

/// Answers that repeat a secret, as the platform's and the login host's errors look.
fn repeats(secret: &str) -> Value {
    let told = format!("the value {secret} is not what it should be");
    json!({ "message": told, "code": secret, "status": 400, "contextId": secret, "details": [{ "errorCode": secret }],
            "messageParams": { "value": secret }, "messageWithParams": told, "error": secret, "error_description": told, "description": told })
}

/// The statuses of errors, those that are certain and those that are not mixed: one set for each world.
pub const STATUSES: [&[u16]; 2] = [&[400, 500, 403, 409, 429], &[401, 503, 404, 413]];

/// How often a process is started anew until all answers were given.
const STARTS: usize = 10;

/// The simulator's name of an operation. It names the two of the usage query as the platform's documentation does.
fn simulated(operation: genesys::Operation) -> Operation {
    match operation {
        genesys::Operation::QueryUsage => Operation::UsageQuery,
        genesys::Operation::GetUsage => Operation::UsageResults,
        other => serde_json::from_value(json!(other.name())).expect("the simulator names it alike"),
    }
}

/// Everything that the operator ever calls: what is added to its list is looked at here, or no story calls it and the test says so.
pub fn operations() -> impl Iterator<Item = Operation> {
    // The client of the platform can read one integration credential; no pass does, each lists them.
    genesys::Operation::ALL.into_iter().filter(|operation| *operation != genesys::Operation::GetCredential).map(simulated)
}

/// A client in whose life the operation is called.
fn spec_for(world: &World, operation: Operation) -> Value {
    match operation {
        // Only a client that can't be replaced gets its secret issued anew.
        Operation::ResetClientSecret => json!({ "scim": true }),
        Operation::ListScopes => json!({ "grantType": "AuthorizationCode", "roles": null, "scopes": ["users:readonly"],
            "redirectUris": ["https://app.example.com/callback"] }),
        Operation::ListCredentials | Operation::UpdateCredential => {
            let fields = [("clientId".to_owned(), "x".to_owned()), ("clientSecret".to_owned(), "y".to_owned())].into();
            let id = world.simulator.add_integration_credential("data", "pureCloudOAuthClient", fields);
            let mut access = objects::organization()["spec"]["access"][0].clone();
            objects::merge(&mut access, &json!({ "integrationCredentials": [id] }));
            world.declare_organization(&json!({ "access": [access] }));
            json!({ "integrationCredentials": [{ "credential": "data" }] })
        }
        Operation::UsageQuery | Operation::UsageResults => {
            let old = json!({ "name": "old", "authorizedGrantType": "CODE", "dateCreated": "2025-03-01T00:00:00.000Z" });
            world.simulator.add_client(&old).expect("a client");
            world.declare_organization(&json!({ "inventory": { "usage": "Daily" } }));
            json!({})
        }
        _ => json!({}),
    }
}

/// A life in which everything is called: created, edited, rotated, its Secret lost, let go, by a process that logs in first.
async fn life(world: &World, spec: &Value) {
    world.kill();
    world.start();
    let mut edited = spec.clone();
    edited["accessTokenValiditySeconds"] = json!(7200);
    world.declare(NAME, &edited);
    world.request(NAME, "rotate", "leak/Emergency").await;
    minutes(10).await;
    world.remove("secrets", NAME).await;
    minutes(10).await;
    world.remove(CLIENTS, NAME).await;
    minutes(10).await;
}

/// Lives through answers that repeat the secret of a client, and sees that all of them came.
fn lives_through(seed: u64, operation: Operation, plant: impl Fn(&World, &str)) {
    once(Plan::new(seed).with_events(), async |world: &Arc<World>| {
        let spec = spec_for(world, operation);
        world.declare(NAME, &spec);
        world.settles(NAME).await;
        let secret = world.held(NAME).and_then(|held| held.client_secret).expect("a credential");
        plant(world, &secret);
        life(world, &spec).await;
        // Counts that could not be had are asked for again much later, but by a process that does not remember it.
        for _ in 0..STARTS {
            if world.simulator.faults().is_empty() {
                break;
            }
            world.kill();
            world.start();
            minutes(10).await;
        }
        let left = world.simulator.faults();
        assert!(left.is_empty(), "{operation:?} was not called often enough: {left:?}");
        world.declare_organization(&json!({ "inventory": { "usage": "Never" } }));
        minutes(10).await;
        world.clear_faults();
    });
}

/// A life with errors of these statuses that repeat the secret, one after the other.
pub fn errors_repeat(operation: Operation, statuses: &[u16]) {
    lives_through(241, operation, |world, secret| {
        for status in statuses {
            world.simulator.plant(Fault { body: Some(repeats(secret)), ..Fault::status(operation, *status) });
        }
    });
}

/// A life with answers that are the secret, or a text that holds it.
pub fn texts_repeat(operation: Operation) {
    lives_through(242, operation, |world, secret| {
        for body in [json!(secret), json!(format!("<html>{secret}</html>")), json!({ "entities": secret, "message": secret })] {
            world.simulator.plant(Fault { body: Some(body), ..Fault::status(operation, 200).times(1) });
        }
    });
}

#[test]
fn what_a_platform_repeats_of_a_secret_is_told_nowhere() {
    for statuses in STATUSES {
        operations().for_each(|operation| errors_repeat(operation, statuses));
    }
}

#[test]
fn a_text_in_place_of_an_answer_is_told_nowhere() {
    operations().for_each(texts_repeat);
}

#[test]
#[should_panic(expected = "a secret stands in the operator's log")]
fn a_secret_in_a_log_is_found() {
    heard(243, async |world: &Arc<World>| {
        world.declare(NAME, &json!({}));
        world.settles(NAME).await;
        let secret = world.held(NAME).and_then(|held| held.client_secret).expect("a credential");
        tokio::time::sleep(Duration::from_secs(1)).await;
        tracing::trace!(target: "genesys_oauth_operator", bytes = ?secret.as_bytes(), "the positive control");
    });
}

#[test]
#[should_panic(expected = "a secret stands in genesysoauthclients")]
fn a_secret_in_an_object_is_found() {
    once(244, async |world: &Arc<World>| {
        world.declare(NAME, &json!({}));
        world.settles(NAME).await;
        let secret = world.held(NAME).and_then(|held| held.client_secret).expect("a credential");
        world.annotate(CLIENTS, NAME, &json!({ "note": secret })).await;
    });
}
