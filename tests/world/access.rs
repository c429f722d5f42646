//! The rules of `access` in whole worlds: how many clients a namespace may have, what one entry must allow, and what a change of the rules does to
//! objects that exist. A refusal must never write to the platform.

use std::time::Duration;

use genesys_cloud_simulator::{ClientState, Operation};
use serde_json::{Value, json};

use crate::{
    look::{message, shows, summary},
    objects,
    rotating::CLIENTS,
    scenario::{once, scenario},
    stories::NAME,
    world::World,
};

/// The organization, with changes of its one entry.
fn allow(world: &World, changes: &Value) {
    let mut access = objects::organization()["spec"]["access"].clone();
    objects::merge(&mut access[0], changes);
    world.declare_organization(&json!({ "access": access }));
}

fn creates(world: &World) -> usize {
    world.simulator.calls().into_iter().filter(|call| call.operation == Operation::CreateClient && call.committed).count()
}

#[test]
fn one_client_too_many_is_refused_and_moves_up_when_an_older_one_goes() {
    scenario(221, async |world| {
        allow(world, &json!({ "maxClients": 2 }));
        for name in ["c", "b", "a"] {
            world.declare(name, &json!({}));
            // Of one second the first by name is the older.
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        world.settles("c").await;
        world.settles("b").await;
        world.stalls("a", "AccessDenied", &["maxClients", "2 are older"]).await;
        assert_eq!(creates(world), 2);
        world.apply(&objects::namespace("team-b"));
        world.declare(("team-b", "other"), &json!({}));
        world.settles(("team-b", "other")).await;
        world.remove(CLIENTS, "c").await;
        world.goes("c").await;
        world.settles("a").await;
    });
}

#[test]
fn rules_that_became_narrower_delete_nothing_and_are_told() {
    once(222, async |world| {
        for name in ["a", "b"] {
            world.declare(name, &json!({}));
            world.settles(name).await;
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        let writes = world.platform_writes();
        for (change, words) in [
            (json!({ "maxClients": 1 }), "maxClients"),
            (json!({ "roles": ["supervisor"] }), "role \"employee\""),
            (json!({ "grantTypes": ["SAML2Bearer"] }), "grantType ClientCredentials"),
            (json!({ "namespaceSelector": { "matchLabels": { "team": "nobody" } } }), "no entry for namespace"),
        ] {
            allow(world, &change);
            let object = world.stalls("b", "AccessDenied", &[words]).await;
            assert!(shows(&object, "Ready=True"), "{}", summary(Some(&object)));
            allow(world, &json!({}));
            world.settles("b").await;
        }
        assert_eq!(world.platform_writes(), writes);
        for name in ["a", "b"] {
            assert_eq!(world.client_of(name).state, ClientState::Active);
        }
        allow(world, &json!({ "maxClients": 1 }));
        world.stalls("b", "AccessDenied", &["maxClients"]).await;
        world.client_shows("a", "Stalled=False").await;
    });
}

#[test]
fn the_entry_that_allows_a_client_must_allow_its_integration_credentials() {
    once(223, async |world| {
        let fields = [("clientId".to_owned(), "x".to_owned()), ("clientSecret".to_owned(), "y".to_owned())].into();
        let id = world.simulator.add_integration_credential("data", "pureCloudOAuthClient", fields);
        let whole = objects::organization()["spec"]["access"][0].clone();
        let mut integration = whole.clone();
        objects::merge(&mut integration, &json!({ "name": "integration", "roles": [], "integrationCredentials": [id] }));
        world.declare_organization(&json!({ "access": [whole, integration] }));
        world.declare(NAME, &json!({ "integrationCredentials": [{ "credential": "data" }] }));
        world.stalls(NAME, "AccessDenied", &["integration credential"]).await;
        assert_eq!(creates(world), 0, "nothing is created that could not be given to what it is for");
        allow(world, &json!({ "integrationCredentials": [id] }));
        world.settles(NAME).await;
        world.until("the credential to be written", |world| world.simulator.credential_works(&id).then_some(())).await;
    });
}

#[test]
fn the_organization_says_which_permissions_and_roles_the_operator_lacks() {
    once(224, async |world| {
        let shows_permissions = |wanted: &'static str| async move { world.organization_shows(wanted).await };
        world.declare(NAME, &json!({}));
        world.settles(NAME).await;
        world.simulator.add_role("billing-admin", vec![]);
        // The directory keeps its lists for a while.
        tokio::time::sleep(Duration::from_secs(60)).await;
        world.declare("admin", &json!({ "roles": [{ "role": "billing-admin" }] }));
        let object = shows_permissions("PermissionsSufficient=False/RoleNotGrantable").await;
        let said = message(&object, "PermissionsSufficient");
        assert!(said.contains("\"billing-admin\" in division"), "{said}");
        assert!(shows(&object, "Ready=True/Available"));
        world.remove(CLIENTS, "admin").await;
        shows_permissions("PermissionsSufficient=True/PermissionsSufficient").await;
        let kept = ["oauth:client:view", "oauth:client:add", "oauth:client:edit", "authorization:role:view"].map(str::to_owned).to_vec();
        world.simulator.set_operator(Some(kept), None, None);
        // What was sufficient is asked again by the next process, or when objects ask for something else.
        world.kill();
        world.start();
        let object = shows_permissions("PermissionsSufficient=False/PermissionMissing").await;
        assert!(message(&object, "PermissionsSufficient").contains("oauth:client:delete"));
        let all = genesys_cloud_simulator::Settings::default().operator_permissions;
        world.simulator.set_operator(Some(all), None, None);
        shows_permissions("PermissionsSufficient=True/PermissionsSufficient").await;
    });
}
