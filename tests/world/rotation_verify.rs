//! What stands in the way of a verification: throttling, an address that is not allowed, a broken network, roles that take their time. None of it fails a rotation; a
//! wrong credential always does, and then the old one stays in force.

use std::time::Duration;

use genesys_cloud_simulator::{ClientState, Fault, FaultKind, Operation};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    look::shows,
    rotating::{NAME, POLICY, monthly},
    scenario::once,
    world::{PATIENCE, Plan, World},
};

/// An object that is settled, and the id of its client.
async fn settled(world: &World) -> String {
    world.declare(NAME, &json!({ "accessTokenValiditySeconds": 300, "rotationPolicyRef": { "name": POLICY } }));
    world.settles(NAME).await;
    world.client_of(NAME).id
}

/// The credential that no workload uses yet.
fn next(world: &World) -> Option<String> {
    world.status(NAME)["rotation"]["current"]["clientId"].as_str().map(str::to_owned)
}

/// What the login host answers in the way of a verification.
fn obstacles() -> Vec<(&'static str, Fault)> {
    let login = |status, code: &str, words: &str| Fault {
        code: Some(code.to_owned()),
        body: Some(json!({ "error": code, "description": words, "error_description": words })),
        ..Fault::status(Operation::GetToken, status)
    };
    vec![
        ("throttling", login(400, "invalid_request", "rate limit exceeded; try again later")),
        ("throttling by status", Fault::status(Operation::GetToken, 429)),
        ("an address that is not allowed", login(401, "ip.not.authorized", "Requests originating from this IP address are not authorized")),
        ("an address that is denied to this client", login(400, "unauthorized_client", "requests from this address are denied")),
        ("a refused connection", Fault::on(Operation::GetToken, FaultKind::RefuseConnection)),
        ("no answer", Fault::on(Operation::GetToken, FaultKind::Hang)),
        ("half an answer", Fault::on(Operation::GetToken, FaultKind::Truncate)),
        ("a page of a proxy", Fault::on(Operation::GetToken, FaultKind::Html)),
        ("an error of the host", Fault::status(Operation::GetToken, 503)),
        ("no answer of the API", Fault::on(Operation::GetTokenInfo, FaultKind::RefuseConnection)),
        (
            "an address that the API does not allow",
            Fault { code: Some("ip.not.authorized".into()), ..Fault::status(Operation::GetTokenInfo, 401) },
        ),
        ("an error of the API", Fault::status(Operation::GetTokenInfo, 500)),
        ("throttling by the API", Fault::status(Operation::GetTokenInfo, 429)),
    ]
}

#[test]
fn no_obstacle_fails_a_rotation_nor_tears_a_good_client_down() {
    once(81, async |world| {
        world.declare_policy(POLICY, &json!({ "interval": "30d" })).await;
        let former = settled(world).await;
        world.request(NAME, "rotate", "one").await;
        world.step(NAME, "Verifying").await;
        let next = next(world).expect("a new client");
        for (what, fault) in obstacles() {
            world.simulator.clear_faults();
            world.simulator.plant(fault.times(0));
            let (began, before) = (Instant::now(), world.simulator.calls().len());
            let struck = |world: &World| world.simulator.calls()[before..].iter().filter(|call| call.fault.is_some()).count();
            // Longer than a refutation takes, and more than one try.
            while began.elapsed() < Duration::from_secs(150) || struck(world) < 2 {
                tokio::time::sleep(Duration::from_secs(20)).await;
                assert_eq!(world.published(NAME), Some(former.clone()), "{what}: the old credential is in force");
                assert_eq!(world.state_of(&next), Some(ClientState::Active), "{what}: the new client stays");
                assert!(world.status(NAME)["lastRotation"].is_null(), "{what}: nothing has ended");
                assert!(began.elapsed() < PATIENCE, "{what}: nothing was struck");
            }
        }
        world.simulator.clear_faults();
        world.result(NAME, "Succeeded").await;
        assert_eq!((world.published(NAME), world.clients_of(NAME).len()), (Some(next), 2), "no third client was made");
    });
}

#[test]
fn an_obstacle_that_lasts_beyond_the_overlap_calls_a_person_and_tears_nothing_down() {
    once(82, async |world| {
        world.declare_policy(POLICY, &monthly()).await;
        let former = settled(world).await;
        world.request(NAME, "rotate", "one").await;
        world.step(NAME, "Verifying").await;
        let next = next(world).expect("a new client");
        world.simulator.plant(Fault::on(Operation::GetToken, FaultKind::RefuseConnection).times(0));
        let object = world.client_shows(NAME, "Stalled=True/VerificationBlocked").await;
        assert!(shows(&object, "Ready=True/Available") && world.published(NAME) == Some(former));
        assert_eq!(world.state_of(&next), Some(ClientState::Active));
        world.simulator.clear_faults();
        world.result(NAME, "Succeeded").await;
        world.client_shows(NAME, "Stalled=False/None").await;
        assert_eq!(world.published(NAME), Some(next));
    });
}

#[test]
fn roles_that_spread_slowly_fail_no_rotation() {
    for slow in [30_000, 300_000] {
        let plan = Plan::new(83).platform(|settings| settings.role_propagation_milliseconds = slow);
        once(plan, async |world| {
            world.declare_policy(POLICY, &monthly()).await;
            let former = settled(world).await;
            world.request(NAME, "rotate", "one").await;
            world.result(NAME, "Succeeded").await;
            assert!(world.published(NAME).is_some_and(|next| next != former));
        });
    }
}

#[test]
fn a_login_host_that_knows_new_clients_late_fails_no_rotation() {
    // Less than the time that a refusal must last.
    let plan = Plan::new(84).platform(|settings| settings.new_client_login_milliseconds = 90_000);
    once(plan, async |world| {
        world.declare_policy(POLICY, &monthly()).await;
        let former = settled(world).await;
        world.request(NAME, "rotate", "one").await;
        world.result(NAME, "Succeeded").await;
        assert!(world.published(NAME).is_some_and(|next| next != former));
    });
}

/// Spoils a client.
type Spoiler = fn(&World, &str);

/// What spoils the new credential before it is verified.
fn spoilers() -> Vec<(&'static str, Spoiler)> {
    vec![
        ("its secret is reset by somebody", |world, id| {
            world.simulator.reset_secret(id);
        }),
        ("it is made inactive", |world, id| edit(world, id, &json!({ "state": "inactive" }))),
        ("it is disabled", |world, id| edit(world, id, &json!({ "state": "disabled" }))),
        ("it is deleted", |world, id| {
            world.simulator.remove_client(id);
        }),
    ]
}

fn edit(world: &World, id: &str, patch: &Value) {
    world.simulator.edit_client(id, patch).expect("the client is there");
}

#[test]
fn a_wrong_credential_always_fails_the_rotation_and_the_old_one_stays_in_force() {
    for (what, spoil) in spoilers() {
        once(85, async |world| {
            world.declare_policy(POLICY, &monthly()).await;
            let former = settled(world).await;
            world.request(NAME, "rotate", "one").await;
            world.step(NAME, "Verifying").await;
            let next = next(world).expect("a new client");
            spoil(world, &next);
            world
                .until(what, |world| {
                    assert_eq!(world.published(NAME), Some(former.clone()), "{what}: the old credential is in force");
                    (world.status(NAME)["lastRotation"]["result"] == "Failed").then_some(())
                })
                .await;
            let object = world.object(NAME).expect("there");
            assert!(shows(&object, "Ready=True/Available"), "{what}");
            world
                .until("the new client to go", |world| {
                    world.state_of(&next).is_none_or(|state| state == ClientState::Disabled).then_some(())
                })
                .await;
            assert_eq!(world.published(NAME), Some(former), "{what}");
            assert!(world.held("billing-rotation").is_none(), "{what}");
            // A disabled client can't be deleted by us for ever; the platform's support takes the lock away.
            if world.state_of(&next).is_some() {
                edit(world, &next, &json!({ "state": "inactive" }));
            }
            // The next request is another rotation.
            tokio::time::sleep(Duration::from_secs(60)).await;
            world.request(NAME, "rotate", "two").await;
            world.result(NAME, "Succeeded").await;
        });
    }
}

#[test]
fn the_operator_may_end_while_a_verification_is_in_doubt() {
    once(86, async |world| {
        world.declare_policy(POLICY, &monthly()).await;
        let former = settled(world).await;
        world.request(NAME, "rotate", "one").await;
        world.step(NAME, "Verifying").await;
        let next = next(world).expect("a new client");
        world.simulator.reset_secret(&next);
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_secs(50)).await;
            world.kill();
            world.start();
            assert_eq!(world.published(NAME), Some(former.clone()));
        }
        world.result(NAME, "Failed").await;
        assert_eq!(world.published(NAME), Some(former));
    });
}
