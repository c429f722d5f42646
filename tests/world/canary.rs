//! Secrets that a hostile platform repeats in its answers: every world looks for them in all logs, objects, Events, metrics and requests when it
//! closes, raw and encoded; these stories plant them where they hurt.

use std::{sync::Arc, time::Duration};

use genesys_cloud_simulator::{Fault, Operation};
use serde_json::{Value, json};

use crate::{
    mishaps::minutes,
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

/// What a pass may call in the life of a client.
const OPERATIONS: [Operation; 11] = [
    Operation::GetToken,
    Operation::GetOrganization,
    Operation::ListClients,
    Operation::CreateClient,
    Operation::GetClient,
    Operation::UpdateClient,
    Operation::ResetClientSecret,
    Operation::DeleteClient,
    Operation::GetTokenInfo,
    Operation::ListRoles,
    Operation::GetSubjectsMe,
];

/// Only a client that can't be replaced gets its secret issued anew.
fn spec_for(operation: Operation) -> Value {
    json!({ "scim": operation == Operation::ResetClientSecret })
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

#[test]
fn what_a_platform_repeats_of_a_secret_is_told_nowhere() {
    for status in [400, 401, 403, 409, 500] {
        for operation in OPERATIONS {
            once(Plan::new(241).with_events(), async |world: &Arc<World>| {
                let spec = spec_for(operation);
                world.declare(NAME, &spec);
                world.settles(NAME).await;
                let secret = world.held(NAME).and_then(|held| held.client_secret).expect("a credential");
                world.simulator.plant(Fault { body: Some(repeats(&secret)), ..Fault::status(operation, status).times(2) });
                life(world, &spec).await;
                let struck = world.simulator.calls().iter().any(|call| call.operation == operation && call.fault.is_some());
                assert!(struck, "{operation:?} was not called");
                world.clear_faults();
            });
        }
    }
}

#[test]
fn a_text_in_place_of_an_answer_is_told_nowhere() {
    for operation in OPERATIONS {
        once(Plan::new(242).with_events(), async |world: &Arc<World>| {
            let spec = spec_for(operation);
            world.declare(NAME, &spec);
            world.settles(NAME).await;
            let secret = world.held(NAME).and_then(|held| held.client_secret).expect("a credential");
            for body in [json!(secret), json!(format!("<html>{secret}</html>")), json!({ "entities": secret, "message": secret })] {
                world.simulator.plant(Fault { body: Some(body), ..Fault::status(operation, 200).times(1) });
            }
            life(world, &spec).await;
            world.clear_faults();
        });
    }
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
