//! What people change of clients on the platform, and what objects then tell and do: each field, extra power, `Correct` and `Report`. Looks at both sides, never at the order of calls.

use std::{sync::Arc, time::Duration};

use genesys_cloud_simulator::{Fault, Operation};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    look::{message, shows, summary},
    mishaps::{calls, minutes},
    objects,
    scenario::{once, scenario},
    world::{Plan, World},
};

const CLIENTS: &str = "genesysoauthclients";
const ORGANIZATIONS: &str = "genesysorganizations";
const INTERVAL: Duration = Duration::from_secs(300);

/// Changes a client as a person in the admin UI does.
pub fn edit(world: &World, name: &str, change: &Value) {
    world.simulator.edit_client(&world.client_of(name).id, change).expect("a client");
}

fn drift(world: &World, name: &str) -> Vec<Value> {
    world.object(name).and_then(|object| object["status"]["drift"].as_array().cloned()).unwrap_or_default()
}

/// Waits for a field to be told, which may last no longer than a request: looks between any two of them, and only where something was written.
pub async fn told(world: &World, name: &str, field: &str) {
    let deadline = Instant::now() + INTERVAL + Duration::from_secs(60);
    let mut version = 0;
    loop {
        let now = world.kubernetes.resource_version();
        if now != version && drift(world, name).iter().any(|entry| entry["field"] == field) {
            return;
        }
        version = now;
        assert!(Instant::now() < deadline, "{field} of {name} was never told: {}", summary(world.object(name).as_ref()));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A settled client that scans tell of.
pub async fn settled(world: &World, name: &str, changes: &Value) {
    world.declare(name, changes);
    world.settles(name).await;
    world.client_shows(name, "ScopeDrift=False/InSync").await;
    // An own write overrides scans for a window.
    minutes(2).await;
}

/// A role at home, as the platform shows it.
pub fn role(world: &World, name: &str) -> Value {
    let division = world.simulator.division_id("Home").expect("the home division");
    json!({ "roleId": world.simulator.role_id(name).expect("the role"), "divisionId": division })
}

/// Every field of a service that a person may change, and what spec calls it.
fn changes(world: &World) -> Vec<(&'static str, Value)> {
    let description = world.client_of("billing").description.expect("the marker");
    vec![
        ("displayName", json!({ "name": "somebody was here" })),
        ("description", json!({ "description": format!("no comment {description}") })),
        ("description", json!({ "description": "no marker" })),
        ("accessTokenValiditySeconds", json!({ "accessTokenValiditySeconds": 172_800 })),
        ("roles", json!({ "roleDivisions": [] })),
        ("roles", json!({ "roleDivisions": [role(world, "employee"), role(world, "Communicate - User")] })),
    ]
}

#[test]
fn every_field_that_a_person_changes_is_told_and_changed_back() {
    scenario(201, async |world| {
        settled(world, "billing", &json!({})).await;
        let declared = world.client_of("billing");
        for (field, change) in changes(world) {
            edit_by_id(world, &declared.id, &change);
            told(world, "billing", field).await;
            let seen = world.object("billing").expect("there");
            assert!(shows(&seen, "Synced=False/Correcting"), "{}", summary(Some(&seen)));
            assert!(shows(&seen, "Ready=True") && shows(&seen, "Reconciling=False/Done"), "{}", summary(Some(&seen)));
            assert!(seen["status"]["drift"][0]["modifiedAt"].is_string() && seen["status"]["drift"][0]["modifiedBy"].is_string());
            world.until(&format!("{field} to be changed back"), |world| drift(world, "billing").is_empty().then_some(())).await;
            world.settles("billing").await;
            world.client_shows("billing", "ScopeDrift=False/InSync").await;
            let now = world.client_of("billing");
            assert_eq!(
                (&now.name, &now.description, &now.role_divisions),
                (&declared.name, &declared.description, &declared.role_divisions)
            );
            assert_eq!(now.access_token_validity_seconds, declared.access_token_validity_seconds);
            minutes(2).await;
        }
    });
}

fn edit_by_id(world: &World, id: &str, change: &Value) {
    world.simulator.edit_client(id, change).expect("a client");
}

#[test]
fn extra_power_is_told_with_its_names_and_as_an_event() {
    once(Plan::new(202).with_events(), async |world| {
        settled(world, "billing", &json!({ "driftPolicy": "Report" })).await;
        edit(world, "billing", &json!({ "roleDivisions": [role(world, "employee"), role(world, "Communicate - User")] }));
        let object = world.client_shows("billing", "ScopeDrift=True/Extra").await;
        assert!(message(&object, "ScopeDrift").contains("Communicate - User ("), "{}", message(&object, "ScopeDrift"));
        assert_eq!(object["status"]["drift"][0]["extra"].as_array().map(Vec::len), Some(1));
        let events = || world.list("events").into_iter().filter(|event| event["reason"] == "ExtraAccessGranted").count();
        assert_eq!(events(), 1);
        minutes(30).await;
        assert_eq!(events(), 1, "once for the set");
    });
}

#[test]
fn report_writes_nothing_and_an_edit_is_applied_all_the_same() {
    once(203, async |world| {
        settled(world, "billing", &json!({ "driftPolicy": "Report" })).await;
        let before = world.platform_writes();
        for (field, change) in [
            ("displayName", json!({ "name": "somebody was here" })),
            ("accessTokenValiditySeconds", json!({ "accessTokenValiditySeconds": 300 })),
            ("roles", json!({ "roleDivisions": [] })),
        ] {
            edit(world, "billing", &change);
            world.until(field, |world| drift(world, "billing").iter().any(|entry| entry["field"] == field).then_some(())).await;
        }
        let object = world.client_shows("billing", "Synced=False/DriftReported").await;
        assert!(shows(&object, "ScopeDrift=True/Missing") && shows(&object, "Ready=True") && shows(&object, "Stalled=False"));
        minutes(60).await;
        assert_eq!(world.platform_writes(), before, "it writes under Report");
        world.declare("billing", &json!({ "driftPolicy": "Report", "description": "edited" }));
        world.settles("billing").await;
        assert!(drift(world, "billing").is_empty() && world.client_of("billing").name == "team-a/billing");
        world.client_shows("billing", "ScopeDrift=False/InSync").await;
    });
}

#[test]
fn a_settled_organization_costs_a_scan_an_interval() {
    once(204, async |world| {
        for name in ["one", "two", "three"] {
            settled(world, name, &json!({})).await;
        }
        minutes(10).await;
        let (before, writes, log) = (world.simulator.calls().len(), world.writes(), world.kubernetes.log().len());
        let scans = calls(world, Operation::ListClients);
        tokio::time::sleep(INTERVAL * 10).await;
        assert_eq!(world.writes(), writes);
        assert_eq!(calls(world, Operation::ListClients) - scans, 10);
        let made = world.simulator.calls().split_off(before);
        let others = made.iter().filter(|call| {
            ![Operation::ListClients, Operation::GetToken, Operation::GetTokenInfo, Operation::GetOrganization].contains(&call.operation)
        });
        assert_eq!(others.count(), 0, "{made:#?}");
        assert!(world.kubernetes.log().len() - log < 400);
    });
}

#[test]
fn an_own_write_overrides_older_scans() {
    once(205, async |world| {
        settled(world, "billing", &json!({})).await;
        // A scan that was begun before the edit is still the newest one when the edit was applied.
        world.declare("billing", &json!({ "description": "edited" }));
        world.settles("billing").await;
        let before = world.platform_writes();
        minutes(30).await;
        assert_eq!(world.platform_writes(), before);
        assert!(drift(world, "billing").is_empty());
    });
}

#[test]
fn a_person_asks_for_a_scan_now() {
    once(206, async |world| {
        settled(world, "billing", &json!({ "driftPolicy": "Report" })).await;
        world.declare_organization(&json!({ "scanInterval": "24h" }));
        minutes(10).await;
        edit(world, "billing", &json!({ "name": "somebody was here" }));
        minutes(60).await;
        assert!(drift(world, "billing").is_empty(), "the next scan is tomorrow");
        world.annotate(CLIENTS, "billing", &json!({ "oauth.genesys-operator.io/reconcile": "one" })).await;
        world.client_shows("billing", "Synced=False/DriftReported").await;
        assert_eq!(world.object("billing").expect("there")["status"]["lastHandledReconcileRequest"], "one");
        edit(world, "billing", &json!({ "name": "and here" }));
        let scans = calls(world, Operation::ListClients);
        world.annotate(ORGANIZATIONS, ("", objects::ORGANIZATION), &json!({ "oauth.genesys-operator.io/reconcile": "two" })).await;
        world.until("the other name", |world| (drift(world, "billing").first()?["actual"] == "and here").then_some(())).await;
        world
            .until("the request to be handled", |world| {
                (world.organization()?["status"]["lastHandledReconcileRequest"] == "two").then_some(())
            })
            .await;
        assert_eq!(calls(world, Operation::ListClients) - scans, 1);
    });
}

#[test]
fn the_marker_of_another_object_is_respected() {
    once(213, async |world| {
        settled(world, "billing", &json!({})).await;
        let (client, writes) = (world.client_of("billing"), world.platform_writes());
        let other = genesys_oauth_operator::marker::Owner::new("elsewhere", "team-a", "billing").marker("abcdefgh22").to_string();
        edit_by_id(world, &client.id, &json!({ "description": other, "name": "theirs" }));
        world.stalls("billing", "Conflict", &["another object"]).await;
        minutes(20).await;
        assert_eq!((world.platform_writes(), world.simulator.client(&client.id).expect("there").name.as_str()), (writes, "theirs"));
        edit_by_id(world, &client.id, &json!({ "description": client.description }));
        world.settles("billing").await;
    });
}

#[test]
fn what_the_platform_does_not_take_is_written_once() {
    once(214, async |world| {
        settled(world, "billing", &json!({})).await;
        let puts = || calls(world, Operation::UpdateClient);
        let before = puts();
        world.simulator.plant(Fault::status(Operation::UpdateClient, 503).times(2));
        edit(world, "billing", &json!({ "name": "somebody was here" }));
        world.until("the drift", |world| (!drift(world, "billing").is_empty()).then_some(())).await;
        world.settles("billing").await;
        assert!(puts() - before <= 4);
    });
}

#[test]
fn a_suspended_client_tells_its_drift_and_is_left_alone() {
    once(215, async |world| {
        settled(world, "billing", &json!({})).await;
        world.declare("billing", &json!({ "suspend": true }));
        world.client_shows("billing", "Reconciling=False/Suspended").await;
        let before = world.platform_writes();
        edit(world, "billing", &json!({ "roleDivisions": [role(world, "employee"), role(world, "Communicate - User")] }));
        let object = world.client_shows("billing", "ScopeDrift=True/Extra").await;
        assert!(shows(&object, "Synced=False/Suspended"), "{}", summary(Some(&object)));
        minutes(20).await;
        assert_eq!(world.platform_writes(), before);
        world.declare("billing", &json!({}));
        world.settles("billing").await;
        assert!(drift(world, "billing").is_empty());
    });
}

/// Numbers for a story, from its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % sides
    }
}

fn planted(world: &World, name: &str, dice: &mut Dice) -> &'static str {
    let all: [(&str, Value); 4] = [
        ("displayName", json!({ "name": "somebody was here" })),
        ("description", json!({ "description": null })),
        ("accessTokenValiditySeconds", json!({ "accessTokenValiditySeconds": 172_800 })),
        ("roles", json!({ "roleDivisions": [role(world, "employee"), role(world, "Communicate - User")] })),
    ];
    let (field, change) = &all[dice.roll(all.len())];
    edit(world, name, change);
    field
}

/// Whose drift an Event tells, and its words.
fn drift_told(event: &Value) -> Option<(String, String)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let found = event["reason"] == "DriftFound";
    let name = text(&event["regarding"]["name"]).or_else(|| text(&event["involvedObject"]["name"]));
    let words = text(&event["note"]).or_else(|| text(&event["message"]));
    found.then_some(name.zip(words)).flatten()
}

/// What became of one random field of each of many clients that somebody changed.
pub struct Fields {
    /// How long after the changes the last of them was told, in seconds.
    pub told_after: f64,
    /// How long after the changes all were changed back, in seconds; none under `Report`.
    pub back_after: Option<f64>,
    /// What was written to the platform from the changes on.
    pub writes: usize,
}

#[test]
fn random_fields_are_told_within_an_interval_and_changed_back() {
    let fields = fields_of(25, "Correct");
    assert!(fields.told_after <= 360.0, "{} s", fields.told_after);
    // 50 calls at 300 a minute, and the roles.
    assert!(fields.back_after.is_some_and(|after| after <= 480.0), "{:?} s", fields.back_after);
    assert_eq!(fields.writes, 25, "one PUT for each");
}

/// One random field is changed of each of so many clients with this `driftPolicy`.
pub fn fields_of(count: usize, policy: &str) -> Fields {
    let story = async |world: &Arc<World>| {
        let names: Vec<String> = (0..count).map(|number| format!("client-{number}")).collect();
        for name in &names {
            world.declare(name, &json!({ "driftPolicy": policy }));
        }
        for name in &names {
            world.settles(name).await;
        }
        minutes(12).await;
        let mut dice = Dice(218);
        let mut untold: Vec<_> = names.iter().map(|name| (name, planted(world, name, &mut dice))).collect();
        let (begun, mut version, before) = (Instant::now(), 0, world.platform_writes());
        while !untold.is_empty() {
            let now = world.kubernetes.resource_version();
            if now != version {
                let told: Vec<(String, String)> = world.list("events").iter().filter_map(drift_told).collect();
                untold.retain(|(name, field)| !told.iter().any(|(of, note)| of == *name && note.contains(field)));
            }
            version = now;
            assert!(begun.elapsed() < INTERVAL * 3, "not told: {untold:?}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let told_after = begun.elapsed().as_secs_f64();
        if policy == "Report" {
            minutes(30).await;
            let writes = world.platform_writes() - before;
            for name in &names {
                world.declare(name, &json!({}));
            }
            for name in &names {
                world.settles(name).await;
            }
            return Fields { told_after, back_after: None, writes };
        }
        for name in &names {
            world.until(&format!("{name} to be changed back"), |world| drift(world, name).is_empty().then_some(())).await;
            world.settles(name).await;
        }
        let back_after = Some(begun.elapsed().as_secs_f64());
        Fields { told_after, back_after, writes: world.platform_writes() - before }
    };
    once(Plan::new(218).with_events(), story).0
}
