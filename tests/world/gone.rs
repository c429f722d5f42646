//! Clients that are gone, stopped, scheduled for deletion or nobody's, and scans that fail: what objects and the organization then tell and do.
//! Looks at both sides, never at the order of calls.

use genesys_cloud_simulator::{ClientState, Fault, FaultTarget, Operation};
use serde_json::{Value, json};

use crate::{
    drift::{edit, settled, told},
    look::{message, shows},
    mishaps::{calls, minutes},
    objects,
    scenario::{once, scenario},
    world::World,
};

const ORGANIZATIONS: &str = "genesysorganizations";

#[test]
fn a_client_that_is_gone_is_created_again() {
    scenario(207, async |world| {
        settled(world, "billing", &json!({})).await;
        let gone = world.client_of("billing").id;
        world.simulator.remove_client(&gone);
        world.client_shows("billing", "Ready=False/ClientMissing").await;
        world.settles("billing").await;
        assert_ne!(world.client_of("billing").id, gone);
    });
}

#[test]
fn under_report_a_client_that_is_gone_needs_a_person() {
    once(208, async |world| {
        settled(world, "billing", &json!({ "driftPolicy": "Report" })).await;
        world.simulator.remove_client(&world.client_of("billing").id);
        let object = world.stalls("billing", "ClientMissing", &["driftPolicy"]).await;
        assert!(shows(&object, "Ready=False/ClientMissing") && shows(&object, "ScopeDrift=Unknown/NotScanned"));
        minutes(10).await;
        let reads = calls(world, Operation::GetClient);
        minutes(60).await;
        assert_eq!((world.clients_of("billing").len(), calls(world, Operation::GetClient)), (0, reads), "nothing more is asked");
        world.declare("billing", &json!({}));
        world.settles("billing").await;
    });
}

/// Twelve settled clients that scans tell of.
async fn twelve(world: &World) -> Vec<String> {
    let names: Vec<String> = (0..12).map(|number| format!("client-{number}")).collect();
    for name in &names {
        world.declare(name, &json!({}));
    }
    for name in &names {
        world.settles(name).await;
    }
    minutes(12).await;
    names
}

#[test]
fn many_that_go_at_once_are_held_until_a_person_says_so() {
    once(209, async |world| {
        let names = twelve(world).await;
        for name in &names[..5] {
            world.simulator.remove_client(&world.client_of(name).id);
        }
        world.organization_shows("Stalled=True/ClientMissing").await;
        let organization = world.organization().expect("there");
        assert!(message(&organization, "Stalled").contains("5 of 12"), "{}", message(&organization, "Stalled"));
        assert!(shows(&organization, "Ready=True"));
        minutes(60).await;
        assert!(names[..5].iter().all(|name| world.clients_of(name).is_empty()), "nothing is created again");
        assert!(names[5..].iter().all(|name| world.is_settled(name)));
        world.annotate(ORGANIZATIONS, ("", objects::ORGANIZATION), &json!({ "oauth.genesys-operator.io/reconcile": "go on" })).await;
        for name in &names {
            world.settles(name).await;
        }
        world.organization_shows("Stalled=False").await;
    });
}

#[test]
fn many_that_go_at_once_are_held_also_where_their_edits_find_them_gone_before_a_scan_does() {
    once(218, async |world| {
        let names = twelve(world).await;
        let created = calls(world, Operation::CreateClient);
        for name in &names[..5] {
            world.simulator.remove_client(&world.client_of(name).id);
            world.declare(name, &json!({ "displayName": "edited" }));
        }
        world.organization_shows("Stalled=True/ClientMissing").await;
        minutes(30).await;
        assert_eq!(calls(world, Operation::CreateClient), created, "one was created again before all were counted");
        world.annotate(ORGANIZATIONS, ("", objects::ORGANIZATION), &json!({ "oauth.genesys-operator.io/reconcile": "go on" })).await;
        for name in &names {
            world.settles(name).await;
        }
    });
}

#[test]
fn a_suspended_object_tells_what_became_of_its_client_and_does_nothing() {
    once(219, async |world| {
        for name in ["removed", "disabled", "stopped"] {
            settled(world, name, &json!({})).await;
            world.declare(name, &json!({ "suspend": true }));
            world.client_shows(name, "Reconciling=False/Suspended").await;
            assert!(shows(&world.object(name).expect("there"), "Ready=True/Available"));
        }
        let before = world.platform_writes();
        let removed = world.client_of("removed").id;
        world.simulator.remove_client(&removed);
        edit(world, "disabled", &json!({ "state": "disabled" }));
        edit(world, "stopped", &json!({ "state": "inactive" }));
        for (name, reason) in [("removed", "ClientMissing"), ("disabled", "ClientDisabled"), ("stopped", "DeactivatedOutside")] {
            let object = world.client_shows(name, &format!("Ready=False/{reason}")).await;
            assert!(message(&object, "Stalled").contains("spec.suspend is true"), "{}", message(&object, "Stalled"));
        }
        minutes(30).await;
        assert_eq!(world.platform_writes(), before, "something was written while it was suspended");
        edit(world, "disabled", &json!({ "state": "active" }));
        world.client_shows("disabled", "Ready=True/Available").await;
        edit(world, "stopped", &json!({ "state": "active" }));
        for name in ["removed", "disabled", "stopped"] {
            world.declare(name, &json!({}));
            world.settles(name).await;
        }
        assert_ne!(world.client_of("removed").id, removed);
    });
}

#[test]
fn a_client_that_is_stopped_before_it_is_corrected_is_read_once() {
    once(220, async |world| {
        settled(world, "billing", &json!({})).await;
        edit(world, "billing", &json!({ "name": "and renamed" }));
        told(world, "billing", "displayName").await;
        edit(world, "billing", &json!({ "state": "inactive" }));
        let reads = calls(world, Operation::GetClient);
        world.stalls("billing", "DeactivatedOutside", &["activate it"]).await;
        assert!(calls(world, Operation::GetClient) <= reads + 1);
        let read = calls(world, Operation::GetClient);
        minutes(30).await;
        assert_eq!(calls(world, Operation::GetClient), read, "it is read again and again");
        assert_eq!(world.client_of("billing").state, ClientState::Inactive);
        edit(world, "billing", &json!({ "state": "active" }));
        world.settles("billing").await;
    });
}

#[test]
fn a_client_that_support_disables_needs_a_person_and_comes_back() {
    once(210, async |world| {
        settled(world, "billing", &json!({})).await;
        edit(world, "billing", &json!({ "state": "disabled" }));
        let object = world.stalls("billing", "ClientDisabled", &["Genesys"]).await;
        assert!(shows(&object, "Ready=False/ClientDisabled") && shows(&object, "ScopeDrift=Unknown/NotScanned"));
        let before = world.platform_writes();
        minutes(20).await;
        assert_eq!(world.platform_writes(), before);
        edit(world, "billing", &json!({ "state": "active" }));
        world.settles("billing").await;
        world.client_shows("billing", "ScopeDrift=False/InSync").await;
    });
}

#[test]
fn a_client_that_somebody_stopped_is_never_started_again() {
    once(211, async |world| {
        settled(world, "billing", &json!({})).await;
        let id = world.client_of("billing").id;
        edit(world, "billing", &json!({ "state": "inactive", "name": "and renamed" }));
        world.stalls("billing", "DeactivatedOutside", &["activate it"]).await;
        minutes(60).await;
        assert_eq!(world.client_of("billing").state, ClientState::Inactive);
        world.request("billing", "rotate", "please").await;
        world.until("another client", |world| world.published("billing").filter(|published| *published != id)).await;
        world.client_shows("billing", "Ready=True/Available").await;
    });
}

#[test]
fn a_client_that_the_platform_will_delete_says_when() {
    once(212, async |world| {
        settled(world, "billing", &json!({})).await;
        edit(world, "billing", &json!({ "dateToDelete": "2026-09-01T00:00:00.000Z" }));
        let object = world.client_shows("billing", "CredentialExpiring=True/PlatformDeletionScheduled").await;
        assert!(message(&object, "CredentialExpiring").contains("2026-09-01"), "{}", message(&object, "CredentialExpiring"));
        edit(world, "billing", &json!({ "dateToDelete": null }));
        world.client_shows("billing", "CredentialExpiring=False").await;
    });
}

#[test]
fn the_inventory_counts_every_client_by_whose_it_is() {
    once(217, async |world| {
        settled(world, "billing", &json!({})).await;
        let owner = |cluster: &str| genesys_oauth_operator::marker::Owner::new(cluster, "team-a", "gone").marker("abcdefgh22").to_string();
        let add = |members: Value| world.simulator.add_client(&members).expect("a client").0.id;
        add(json!({ "name": "by hand", "authorizedGrantType": "CODE" }));
        let old = add(json!({ "name": "old", "authorizedGrantType": "TOKEN" }));
        let orphan = add(json!({ "name": "lost", "authorizedGrantType": "CODE", "description": owner(crate::world::CLUSTER) }));
        add(json!({ "name": "theirs", "authorizedGrantType": "CODE", "description": owner("elsewhere") }));
        let inventory = world
            .until("the inventory", |world| {
                let inventory = world.organization()?["status"]["inventory"].clone();
                (inventory["total"] == 6).then_some(inventory)
            })
            .await;
        let count = |field: &str| inventory[field].as_i64().unwrap_or(-1);
        assert_eq!((count("managed"), count("unmanaged"), count("orphaned"), count("elsewhere")), (1, 2, 1, 1));
        assert_eq!((count("deprecatedGrants"), count("olderThanPolicy")), (1, 0));
        assert!(inventory["orphanedClients"][0].as_str().is_some_and(|told| told.starts_with(&orphan)));
        assert!(inventory["deprecatedClients"][0].as_str().is_some_and(|told| told.starts_with(&old)));
        let writes = world.writes();
        minutes(60).await;
        assert_eq!(world.writes(), writes, "an inventory that stays is not written");
        // Close looks for orphans of its own.
        world.simulator.remove_client(&orphan);
    });
}

#[test]
fn when_nothing_was_scanned_for_long_nothing_is_said() {
    once(216, async |world| {
        settled(world, "billing", &json!({})).await;
        world.simulator.plant(Fault::status(FaultTarget::Any, 503).times(0));
        world.client_shows("billing", "Synced=Unknown/OrganizationNotReady").await;
        assert!(shows(&world.object("billing").expect("there"), "ScopeDrift=False/InSync"), "at first it stays as it was");
        let object = world.client_shows("billing", "ScopeDrift=Unknown/NotScanned").await;
        assert!(shows(&object, "Ready=True"));
        world.clear_faults();
        world.client_shows("billing", "ScopeDrift=False/InSync").await;
    });
}
