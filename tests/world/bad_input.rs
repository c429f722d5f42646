//! Bad input: each mistake gives a refusal or a condition that a person can act on, and no write to the platform; mended, it works. A
//! test must not pass because nothing happened: each waits for the condition first.

use genesys_cloud_simulator::OPERATOR_CLIENT_SECRET;
use serde_json::{Value, json};

use crate::{
    look::{message, shows, summary},
    objects::{ORGANIZATION, organization, service, web_app, with_spec},
    scenario::{once, scenario},
    stories::NAME,
    world::{Plan, World},
};

/// A spec that breaks a rule, and words of the message that the rule gives.
fn broken() -> Vec<(&'static str, Value, &'static str)> {
    let of = |base: fn(&'static str) -> Value| move |name: &'static str, changes: Value| with_spec(base(name), &changes);
    let (service, app) = (of(service), of(web_app));
    vec![
        ("no-roles", service("no-roles", json!({ "roles": null })), "list at least one in spec.roles"),
        ("scopes-on-service", service("scopes-on-service", json!({ "scopes": ["users"] })), "remove it and list spec.roles"),
        ("public-service", service("public-service", json!({ "publicClient": true })), "needs grantType AuthorizationCode"),
        ("long-validity", service("long-validity", json!({ "accessTokenValiditySeconds": 200_000 })), "set spec.scim: true"),
        ("marker-in-text", service("marker-in-text", json!({ "description": "mine [k8s:a/b/c]" })), "must not hold"),
        ("reserved", service("reserved", json!({ "credentialsSecret": { "name": "x-rotation" } })), "must not end in -rotation"),
        ("no-scopes", app("no-scopes", json!({ "scopes": null })), "list at least one in spec.scopes"),
        ("no-redirects", app("no-redirects", json!({ "redirectUris": null })), "needs spec.redirectUris"),
        ("plain-http", app("plain-http", json!({ "redirectUris": ["http://app.example.com/callback"] })), "must begin with https://"),
        ("roles-on-app", app("roles-on-app", json!({ "roles": [{ "role": "employee" }] })), "for grantType ClientCredentials alone"),
    ]
}

#[test]
fn broken_rules_are_refused() {
    once(41, async |world| {
        for (name, object, words) in broken() {
            let refused = world.try_apply(&object).expect_err(name);
            assert!(refused.message.contains(words), "{name}: {refused}");
        }
    });
}

#[test]
fn broken_rules_stall_the_object_where_the_server_does_not_know_them() {
    once(Plan::new(42).old_server(), async |world| {
        for (_, object, _) in broken() {
            world.apply(&object);
        }
        for (name, _, words) in broken() {
            let object = world.stalls(name, "InvalidSpec", &[words]).await;
            assert!(shows(&object, "Ready=False/InvalidSpec"), "{name}: {}", summary(Some(&object)));
        }
        assert_eq!(world.platform_writes(), 0);
        // What was never created lets go at once.
        for (name, ..) in broken() {
            world.remove("genesysoauthclients", name).await;
            world.goes(name).await;
        }
        assert_eq!(world.platform_writes(), 0);
    });
}

#[test]
fn what_cannot_change_is_refused_or_stalls() {
    let other = json!({ "grantType": "AuthorizationCode", "roles": null, "scopes": ["users"], "redirectUris": ["https://a.example.com/"] });
    scenario(43, async |world| {
        world.declare(NAME, &json!({}));
        world.settles(NAME).await;
        let refused = world.try_apply(&with_spec(service(NAME), &other)).expect_err("another grant type");
        assert!(refused.message.contains("immutable"), "{refused}");
    });
    once(Plan::new(43).old_server(), async |world| {
        world.declare(NAME, &json!({}));
        world.settles(NAME).await;
        let before = world.platform_writes();
        world.declare(NAME, &other);
        let object = world.stalls(NAME, "ImmutableFieldChanged", &["grantType"]).await;
        assert!(shows(&object, "Ready=True"), "the published credential works on: {}", summary(Some(&object)));
        world.declare(NAME, &json!({}));
        world.settles(NAME).await;
        assert_eq!(world.platform_writes(), before);
    });
}

/// An operator whose organization can't be worked yet, and a client that waits for it.
fn waiting(world: &World, changes: &Value) {
    world.apply(&with_spec(organization(), changes));
    world.declare(NAME, &json!({}));
    world.start();
}

#[test]
fn a_wrong_operator_credential_is_named_and_can_be_mended() {
    once(Plan::new(44).bare(), async |world| {
        world.give_credential("not-the-secret-of-this-client");
        waiting(world, &json!({}));
        let found = world.organization_shows("Stalled=True/CredentialRejected").await;
        let said = message(&found, "Stalled");
        assert!(said.contains(ORGANIZATION) && !said.contains("not-the-secret"), "{said}");
        world.client_shows(NAME, "Ready=False/WaitingForOrganization").await;
        assert_eq!(world.platform_writes(), 0);
        world.give_credential(OPERATOR_CLIENT_SECRET);
        world.settles(NAME).await;
    });
}

#[test]
fn a_missing_operator_credential_is_named_and_can_be_given() {
    once(Plan::new(45).bare(), async |world| {
        waiting(world, &json!({}));
        let found = world.organization_shows("Ready=False").await;
        assert!(message(&found, "Ready").contains(ORGANIZATION), "{}", message(&found, "Ready"));
        world.client_shows(NAME, "Reconciling=True/WaitingForOrganization").await;
        assert_eq!(world.platform_writes(), 0);
        world.give_credential(OPERATOR_CLIENT_SECRET);
        world.settles(NAME).await;
    });
}

#[test]
fn a_missing_permission_is_named() {
    let granted = ["oauth:client:view", "oauth:client:edit", "oauth:client:delete", "authorization:role:view"];
    let plan = Plan::new(46).bare().platform(|settings| settings.operator_permissions = granted.map(str::to_owned).to_vec());
    once(plan, async |world| {
        world.give_credential(OPERATOR_CLIENT_SECRET);
        waiting(world, &json!({}));
        let object = world.stalls(NAME, "PermissionMissing", &["oauth:client:add"]).await;
        assert!(shows(&object, "Ready=False/PermissionMissing"), "{}", summary(Some(&object)));
        assert!(world.simulator.other_clients().is_empty());
        let all = granted.iter().copied().chain(["oauth:client:add"]).map(str::to_owned).collect();
        world.simulator.set_operator(Some(all), None, None);
        world.settles(NAME).await;
    });
}

#[test]
fn unknown_names_are_told() {
    once(47, async |world| {
        world.declare("role", &json!({ "roles": [{ "role": "employe" }] }));
        world.declare("division", &json!({ "roles": [{ "role": "employee", "divisions": ["Atlantis"] }] }));
        world.apply(&with_spec(web_app("scope"), &json!({ "scopes": ["users:manage"] })));
        world.declare("organization", &json!({ "organizationRef": { "name": "nowhere" } }));
        world.stalls("role", "RoleNotFound", &["employe"]).await;
        world.stalls("division", "DivisionNotFound", &["Atlantis"]).await;
        world.stalls("scope", "ScopeUnknown", &["users:manage"]).await;
        // One Git sync may apply everything in any order: a missing organization is waited for.
        let waiting = world.client_shows("organization", "Reconciling=True/WaitingForOrganization").await;
        assert!(message(&waiting, "Reconciling").contains("nowhere") && shows(&waiting, "Stalled=False"), "{}", summary(Some(&waiting)));
        assert_eq!(world.platform_writes(), 0);
        world.declare("role", &json!({}));
        world.settles("role").await;
    });
}

#[test]
fn an_unknown_region_is_told() {
    once(Plan::new(48).bare(), async |world| {
        world.give_credential(OPERATOR_CLIENT_SECRET);
        waiting(world, &json!({ "region": "atlantis-1" }));
        let found = world.organization_shows("Stalled=True/UnknownRegion").await;
        let said = message(&found, "Stalled");
        assert!(said.contains("atlantis-1") && said.contains("us-east-1"), "nobody is told which regions there are: {said}");
        world.client_shows(NAME, "Ready=False/WaitingForOrganization").await;
        assert_eq!(world.platform_writes(), 0);
    });
}

#[test]
fn another_organization_than_the_expected_one_is_told() {
    once(Plan::new(49).bare(), async |world| {
        let expected = "99999999-9999-4999-8999-999999999999";
        world.give_credential(OPERATOR_CLIENT_SECRET);
        waiting(world, &json!({ "expectedOrganizationId": expected }));
        let found = world.organization_shows("Stalled=True/OrganizationChanged").await;
        assert!(message(&found, "Stalled").contains(expected), "{}", message(&found, "Stalled"));
        world.client_shows(NAME, "Ready=False/WaitingForOrganization").await;
        assert_eq!(world.platform_writes(), 0);
        world.declare_organization(&json!({}));
        world.settles(NAME).await;
    });
}

#[test]
fn what_access_does_not_allow_is_refused_until_it_does() {
    once(50, async |world| {
        let access = |roles: &str| json!({ "access": [{ "name": "all", "namespaceSelector": {}, "grantTypes": ["ClientCredentials"], "roles": [roles], "divisions": ["*"] }] });
        world.declare_organization(&access("employee"));
        world.organization_shows("Ready=True").await;
        world.declare("powerful", &json!({ "roles": [{ "role": "Supervisor" }] }));
        world.apply(&web_app("app"));
        world.stalls("powerful", "AccessDenied", &["Supervisor"]).await;
        world.stalls("app", "AccessDenied", &["AuthorizationCode"]).await;
        assert_eq!(world.platform_writes(), 0);
        world.declare_organization(&access("*"));
        world.settles("powerful").await;
    });
}
