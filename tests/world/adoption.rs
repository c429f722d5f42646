//! Adoption: clients that people made come under an object, by their secret, by a reset or as public ones; what stands in the way is said, and
//! leaves them as they are. Everything is read off the platform.

use genesys_cloud_simulator::{ClientState, OAuthClient, OPERATOR_CLIENT_ID, Operation};
use serde_json::{Value, json};

use crate::{
    look::{marker, message, shows, summary},
    objects::{self, TEAM},
    rotating::CLIENTS,
    scenario::{once, scenario},
    stories::NAME,
    world::World,
};

/// A client that a person made, and its secret.
pub struct Found {
    pub id: String,
    pub secret: String,
}

/// A person makes a client of this grant with the operator's roles.
pub fn found(world: &World, more: &Value) -> Found {
    let own = world.simulator.client(OPERATOR_CLIENT_ID).expect("the operator's own client");
    let roles: Vec<_> = own.role_divisions.into_iter().take(1).collect();
    let mut members = json!({
        "name": "Payroll", "description": "made by hand", "authorizedGrantType": "CLIENT-CREDENTIALS", "roleDivisions": roles,
        "accessTokenValiditySeconds": 7200,
    });
    objects::merge(&mut members, more);
    let (client, secret) = world.simulator.add_client(&members).expect("a client");
    Found { id: client.id, secret }
}

/// The Secret in which people kept a client's secret.
pub fn kept(name: &str, secret: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name, "namespace": TEAM }, "type": "Opaque",
        "stringData": { "secret": secret },
    })
}

/// A spec that adopts a client by the Secret `old`; the validity is left as it is.
pub fn by_secret(id: &str) -> Value {
    json!({ "accessTokenValiditySeconds": null, "adopt": { "clientId": id, "secretRef": { "name": "old", "key": "secret" } } })
}

/// A spec that adopts a client by a reset.
pub fn by_reset(id: &str) -> Value {
    json!({ "accessTokenValiditySeconds": null, "adopt": { "clientId": id, "resetSecret": true } })
}

/// A client that is there.
pub fn client(world: &World, id: &str) -> OAuthClient {
    world.simulator.client(id).expect("the client is there")
}

/// The organization, with another list of clients that may be adopted by a reset.
pub fn allow_resets(world: &World, ids: &Value) {
    let mut access = objects::organization()["spec"]["access"].clone();
    access[0]["adoptByReset"] = ids.clone();
    world.declare_organization(&json!({ "access": access }));
}

/// How often an operation was carried out.
pub fn count(world: &World, operation: Operation) -> usize {
    world.simulator.calls().into_iter().filter(|call| call.operation == operation && call.committed).count()
}

#[test]
fn a_client_whose_secret_is_known_comes_under_an_object_and_stays_when_that_goes() {
    scenario(201, async |world| {
        let found = found(world, &json!({}));
        let created = client(world, &found.id).date_created;
        world.apply(&kept("old", &found.secret));
        world.declare(NAME, &by_secret(&found.id));
        world.settles(NAME).await;
        let held = world.held(NAME).expect("a credential");
        assert_eq!((held.client_id.as_str(), held.client_secret.as_deref()), (found.id.as_str(), Some(found.secret.as_str())));
        let now = client(world, &found.id);
        assert_eq!(
            (now.access_token_validity_seconds, now.name.as_str()),
            (7200, "team-a/billing"),
            "spec rules, but for what it leaves open"
        );
        let object = world.object(NAME).expect("the object");
        assert_eq!(object["status"]["issuedAt"].as_str().and_then(|time| time.parse().ok()), Some(created));
        assert_eq!(object["status"]["effective"]["deletionPolicy"], "Orphan");
        assert_eq!((count(world, Operation::CreateClient), count(world, Operation::ResetClientSecret)), (0, 0));
        world.remove(CLIENTS, NAME).await;
        world.until("the object to go", |world| world.object(NAME).is_none().then_some(())).await;
        let left = client(world, &found.id);
        assert!(marker(&left).is_none() && left.state == ClientState::Active, "{left:?}");
        assert!(world.simulator.secret_works(&found.id, &found.secret));
        assert!(world.get("secrets", TEAM, NAME).is_some(), "the Secret stays too");
    });
}

#[test]
fn a_secret_that_comes_later_or_is_corrected_is_waited_for() {
    once(202, async |world| {
        let found = found(world, &json!({}));
        let before = client(world, &found.id);
        world.declare(NAME, &by_secret(&found.id));
        let object = world.client_shows(NAME, "Reconciling=True/WaitingForSecret").await;
        assert!(shows(&object, "Ready=False/Adopting") && shows(&object, "Stalled=False"), "{}", summary(Some(&object)));
        assert!(message(&object, "Reconciling").contains("\"old\""));
        world.apply(&kept("old", "not-the-secret"));
        world.stalls(NAME, "AdoptedSecretRejected", &["resetSecret", &found.id]).await;
        assert_eq!(client(world, &found.id), before, "nothing is written before the secret is proven");
        world.apply(&kept("old", &found.secret));
        world.settles(NAME).await;
    });
}

#[test]
fn a_reset_must_be_allowed_and_ends_the_old_secret() {
    once(203, async |world| {
        let found = found(world, &json!({}));
        let before = client(world, &found.id);
        world.declare(NAME, &by_reset(&found.id));
        world.stalls(NAME, "AccessDenied", &["adoptByReset", &found.id]).await;
        assert_eq!(client(world, &found.id), before);
        allow_resets(world, &json!([found.id]));
        world.settles(NAME).await;
        assert!(!world.simulator.secret_works(&found.id, &found.secret));
        assert_eq!(world.client_of(NAME).id, found.id);
        assert_eq!((count(world, Operation::CreateClient), count(world, Operation::ResetClientSecret)), (0, 1));
    });
}

#[test]
fn a_public_client_needs_no_secret() {
    once(204, async |world| {
        let members = json!({
            "authorizedGrantType": "CODE", "roleDivisions": null, "scope": ["users:readonly"],
            "registeredRedirectUri": ["https://app.example.com/callback"],
        });
        let found = found(world, &members);
        let spec = json!({ "publicClient": true, "adopt": { "clientId": found.id } });
        world.apply(&objects::with_spec(objects::web_app(NAME), &spec));
        world.settles(NAME).await;
        assert!(world.held(NAME).is_some_and(|held| held.client_id == found.id && held.client_secret.is_none()));
        assert!(world.simulator.secret_works(&found.id, &found.secret), "its secret is left as it is");
    });
}

#[test]
fn an_implicit_client_is_adopted_and_never_rotated() {
    once(205, async |world| {
        let members = json!({
            "authorizedGrantType": "TOKEN", "roleDivisions": null, "scope": ["users:readonly"],
            "registeredRedirectUri": ["https://app.example.com/callback"],
        });
        // Defaults are for those that can rotate: a date or a deadline of one that can't would call people for nothing.
        world.declare_organization(&json!({ "rotationDefaults": { "interval": "30d" } }));
        let found = found(world, &members);
        world.apply(&kept("old", &found.secret));
        let mut spec = by_secret(&found.id);
        objects::merge(&mut spec, &json!({ "grantType": "Implicit", "scopes": ["users:readonly"] }));
        world.apply(&objects::with_spec(objects::web_app(NAME), &spec));
        world.settles(NAME).await;
        world.client_shows(NAME, "CredentialExpiring=False/NoSecret").await;
        let rotation = world.status(NAME)["rotation"].clone();
        assert!(rotation["next"].is_null() && rotation["expiresAt"].is_null(), "{rotation}");
        world.annotate(CLIENTS, NAME, &json!({ "oauth.genesys-operator.io/rotate": "one" })).await;
        world
            .until("the request to be declined", |world| {
                (world.object(NAME)?["status"]["lastRotation"]["result"] == "Refused").then_some(())
            })
            .await;
        assert_eq!(world.client_of(NAME).id, found.id);
        assert!(world.simulator.secret_works(&found.id, &found.secret));
    });
}

#[test]
fn what_stands_in_the_way_is_said_and_leaves_the_client_alone() {
    once(206, async |world| {
        world.declare("other", &json!({}));
        world.settles("other").await;
        let (others, inactive, app) = (
            world.client_of("other").id,
            found(world, &json!({ "state": "inactive" })),
            found(
                world,
                &json!({
                    "authorizedGrantType": "CODE", "roleDivisions": null, "scope": ["users:readonly"],
                    "registeredRedirectUri": ["https://app.example.com/callback"],
                }),
            ),
        );
        let foreign = found(world, &json!({ "description": "x [k8s:0123456789ab/0123456789ab/abcdefghij]" }));
        allow_resets(world, &json!(["*"]));
        let (calls, before) = (world.platform_writes(), world.simulator.clients());
        for (name, id, reason, words) in [
            ("absent", "11111111-1111-4111-8111-111111111111", "AdoptedClientNotFound", "11111111"),
            ("own", OPERATOR_CLIENT_ID, "Conflict", "operator's own"),
            ("others", others.as_str(), "Conflict", "marker of another object"),
            ("foreign", foreign.id.as_str(), "Conflict", "marker of another object"),
            ("inactive", inactive.id.as_str(), "DeactivatedOutside", "activate it"),
            ("app", app.id.as_str(), "InvalidSpec", "CODE"),
        ] {
            world.declare(name, &by_reset(id));
            world.stalls(name, reason, &[words]).await;
            world.remove(CLIENTS, name).await;
            world.until("the object to go", |world| world.object(name).is_none().then_some(())).await;
        }
        assert_eq!((world.platform_writes(), world.simulator.clients()), (calls, before));
    });
}

#[test]
fn the_powers_that_a_client_has_are_judged_not_only_those_that_are_asked_for() {
    once(207, async |world| {
        let admin = world.simulator.add_role("admin-of-everything", vec![]);
        // The directory keeps its lists for a while.
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        let pairs = client(world, OPERATOR_CLIENT_ID).role_divisions;
        let division = serde_json::to_value(&pairs).expect("pairs")[0]["divisionId"].clone();
        let found = found(world, &json!({ "roleDivisions": [{ "roleId": admin, "divisionId": division }] }));
        let before = client(world, &found.id);
        world.apply(&kept("old", &found.secret));
        let access = json!([{ "name": "few", "namespaceSelector": {}, "grantTypes": ["*"], "roles": ["employee"], "divisions": ["*"] }]);
        world.declare_organization(&json!({ "access": access }));
        world.declare(NAME, &by_secret(&found.id));
        world.stalls(NAME, "AccessDenied", &["admin-of-everything", "what the client can do now"]).await;
        assert_eq!(client(world, &found.id), before);
    });
}

#[test]
fn of_two_claims_the_older_wins() {
    once(208, async |world| {
        let found = found(world, &json!({}));
        world.apply(&kept("old", &found.secret));
        // A claim of a namespace that may not have the client stands in nobody's way.
        world.apply(
            &json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "strangers", "labels": { "team": "strangers" } } }),
        );
        let mut access = objects::organization()["spec"]["access"].clone();
        access[0]["namespaceSelector"] = json!({ "matchLabels": { "team": "worlds" } });
        world.declare_organization(&json!({ "access": access }));
        world.apply(&objects::with_spec(objects::service(("strangers", "greedy")), &by_secret(&found.id)));
        world.stalls(("strangers", "greedy"), "AccessDenied", &["no entry"]).await;
        world.declare("first", &by_secret(&found.id));
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        world.declare("second", &by_secret(&found.id));
        world.stalls("second", "Conflict", &[]).await;
        world.settles("first").await;
        world.remove(CLIENTS, ("strangers", "greedy")).await;
        // The winner lets go; the other may have it.
        world.remove(CLIENTS, "first").await;
        world.until("the second to have it", |world| world.is_settled("second").then_some(())).await;
        assert_eq!(world.client_of("second").id, found.id);
    });
}

#[test]
fn of_two_claims_that_wait_for_one_secret_the_older_wins() {
    once(209, async |world| {
        let found = found(world, &json!({}));
        for name in ["b-first", "a-second"] {
            world.declare(name, &by_secret(&found.id));
            tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        }
        world.client_shows("b-first", "Reconciling=True/WaitingForSecret").await;
        world.stalls("a-second", "Conflict", &["team-a/b-first"]).await;
        world.apply(&kept("old", &found.secret));
        world.settles("b-first").await;
    });
}

#[test]
fn a_suspended_adoption_says_what_it_would_do() {
    once(210, async |world| {
        let found = found(world, &json!({}));
        let before = world.simulator.clients();
        let mut spec = by_secret(&found.id);
        spec["suspend"] = json!(true);
        world.declare(NAME, &spec);
        let says = |words: &'static str| move |world: &World| message(&world.object(NAME)?, "Synced").contains(words).then_some(());
        world.until("what is missing", says("\"old\"")).await;
        world.apply(&kept("old", "not-the-secret"));
        world.annotate(CLIENTS, NAME, &json!({ "example.com/look": "1" })).await;
        world.until("what would be refused", says("would be refused (AdoptedSecretRejected)")).await;
        world.apply(&kept("old", &found.secret));
        world.annotate(CLIENTS, NAME, &json!({ "example.com/look": "2" })).await;
        world.until("what would be done", says("would be adopted")).await;
        let object = world.object(NAME).expect("the object");
        let said = message(&object, "Synced");
        assert!(said.contains("name from \"Payroll\" to \"team-a/billing\"") && said.contains("description from"), "{said}");
        assert_eq!(world.simulator.clients(), before);
        world.declare(NAME, &by_secret(&found.id));
        world.settles(NAME).await;
    });
}

#[test]
fn under_report_an_adoption_writes_the_marker_and_nothing_else() {
    for reset in [false, true] {
        once(215, async |world| {
            let found = found(world, &json!({}));
            let before = client(world, &found.id);
            world.apply(&kept("old", &found.secret));
            allow_resets(world, &json!(["*"]));
            let mut spec = if reset { by_reset(&found.id) } else { by_secret(&found.id) };
            spec["driftPolicy"] = json!("Report");
            world.declare(NAME, &spec);
            world.client_shows(NAME, "Ready=True/Available").await;
            world.client_shows(NAME, "Synced=False/DriftReported").await;
            let now = client(world, &found.id);
            let text = marker(&now).map(|marker| marker.describe("made by hand"));
            assert_eq!(now.description, text);
            let changed = |client: &OAuthClient| (client.name.clone(), client.access_token_validity_seconds, client.role_divisions.clone());
            assert_eq!(changed(&now), changed(&before));
            assert_eq!(count(world, Operation::UpdateClient), 1);
        });
    }
}

#[test]
fn a_rotated_adoption_is_still_let_go_of() {
    once(211, async |world| {
        let found = found(world, &json!({}));
        world.apply(&kept("old", &found.secret));
        let mut spec = by_secret(&found.id);
        spec["accessTokenValiditySeconds"] = json!(300);
        world.declare(NAME, &spec);
        world.settles(NAME).await;
        world.annotate(CLIENTS, NAME, &json!({ "oauth.genesys-operator.io/rotate": "one" })).await;
        world.until("another client", |world| world.object(NAME).filter(|object| object["status"]["clientId"] != found.id)).await;
        world.until_rotations_end().await;
        world.settles(NAME).await;
        let id = world.client_of(NAME).id;
        assert!(world.simulator.client(&found.id).is_none(), "the adopted one was replaced");
        world.remove(CLIENTS, NAME).await;
        world.until("the object to go", |world| world.object(NAME).is_none().then_some(())).await;
        assert!(marker(&client(world, &id)).is_none());
    });
}

#[test]
fn an_adopted_client_that_is_gone_is_not_created_anew() {
    once(212, async |world| {
        let found = found(world, &json!({}));
        world.apply(&kept("old", &found.secret));
        world.declare(NAME, &by_secret(&found.id));
        world.settles(NAME).await;
        world.simulator.remove_client(&found.id);
        world.declare(NAME, &{
            let mut spec = by_secret(&found.id);
            spec["description"] = json!("edited");
            spec
        });
        world.stalls(NAME, "ClientMissing", &[&found.id]).await;
        assert_eq!(count(world, Operation::CreateClient), 0);
    });
}
