//! Losses of the operator's memory, one by one: status, uids, namespaces, the store, the cluster, the organization. Each must end with every client
//! re-owned, none twice, and no published credential ended whose Secret is still there.

use std::{collections::BTreeMap, time::Duration};

use genesys_cloud_simulator::{ClientState, OAuthClient, Operation};
use http::Method;
use serde_json::{Value, json};

use crate::{
    adoption::{by_secret, found, kept},
    look::Held,
    objects::{self, HOME, Name, ORGANIZATION, TEAM},
    rotating::CLIENTS,
    scenario::{once, scenario},
    world::{World, path},
};

/// Three clients of different kinds: two whose secrets are told once, and one that was adopted.
pub const NAMES: [&str; 3] = ["reports", "portal", "payroll"];

/// What must survive: each client, with the credential that its workloads read.
pub type Kept = BTreeMap<String, Held>;

pub async fn furnish(world: &World) -> Kept {
    let adopted = found(world, &json!({}));
    world.apply(&kept("old", &adopted.secret));
    world.declare("reports", &json!({}));
    world.apply(&objects::web_app("portal"));
    world.declare("payroll", &by_secret(&adopted.id));
    for name in NAMES {
        world.settles(name).await;
    }
    NAMES.iter().map(|name| ((*name).to_owned(), world.held(*name).expect("a credential"))).collect()
}

fn issued(world: &World) -> (usize, usize) {
    let of = |operation| world.simulator.calls().into_iter().filter(|call| call.operation == operation && call.committed).count();
    (of(Operation::CreateClient), of(Operation::ResetClientSecret))
}

/// Every client is owned by its object again, with the credential from before, and none was created, reset or deleted.
async fn nothing_was_lost(world: &World, before: &Kept, secrets: (usize, usize)) {
    for name in NAMES {
        world.settles(name).await;
        assert!(world.held(name).as_ref() == before.get(name), "{name}: another credential is published");
    }
    assert_eq!(issued(world), secrets, "a client was created or a secret reset");
    assert_eq!(world.simulator.other_clients().len(), NAMES.len());
}

/// Ends the operator, changes the store as a restore does, and starts another.
async fn while_it_is_down(world: &World, change: impl AsyncFnOnce(&World)) {
    world.kill();
    change(world).await;
    world.start();
    // It looks at everything once, however little it remembers.
    tokio::time::sleep(Duration::from_secs(180)).await;
}

async fn write_status(world: &World, name: &str, status: &Value) {
    let mut object = world.object(name).expect("the object");
    object["status"] = status.clone();
    world.ask(Method::PUT, &format!("{}/status", path(CLIENTS, name)), &object).await.expect("the status is taken");
}

/// Takes objects out of the cluster without their clients, as the loss of a namespace does.
async fn tear_out(world: &World, resource: &str, name: Name<'_>) {
    if let Some(live) = world.get(resource, name.namespace, name.name) {
        let mut bare = live.clone();
        bare["metadata"]["finalizers"] = json!([]);
        world.ask(Method::PUT, &path(resource, (name.namespace, name.name)), &bare).await.expect("the finalizer goes");
        let _ = world.ask(Method::DELETE, &path(resource, (name.namespace, name.name)), &Value::Null).await;
    }
}

/// What a backup tool restores: spec, labels and annotations, under a new uid and without status.
fn restored(object: &Value) -> Value {
    let mut fresh = json!({ "apiVersion": object["apiVersion"], "kind": object["kind"], "metadata": {} });
    for key in ["name", "namespace", "labels", "annotations", "ownerReferences"] {
        if !object["metadata"][key].is_null() {
            fresh["metadata"][key] = object["metadata"][key].clone();
        }
    }
    for key in ["spec", "data", "type"] {
        if !object[key].is_null() {
            fresh[key] = object[key].clone();
        }
    }
    fresh
}

/// Loses objects with their Secrets, and gives back those that `back` lets through.
async fn rebuild(world: &World, owners: Owners, back: impl Fn(&Value) -> bool) {
    let team = |object: &Value| object["metadata"]["namespace"] == TEAM;
    let objects: Vec<Value> = world.list(CLIENTS).into_iter().filter(team).collect();
    let secrets: Vec<Value> = world.list("secrets").into_iter().filter(team).collect();
    for (resource, all) in [(CLIENTS, &objects), ("secrets", &secrets)] {
        for object in all {
            tear_out(world, resource, (TEAM, object["metadata"]["name"].as_str().expect("a name")).into()).await;
        }
    }
    for object in objects.iter().chain(&secrets).filter(|object| back(object)) {
        let mut fresh = restored(object);
        if let Some(metadata) = fresh["metadata"].as_object_mut().filter(|_| owners == Owners::Left) {
            metadata.remove("ownerReferences");
        }
        world.apply(&fresh);
    }
}

/// Whether a backup gives Secrets back with the owners that they had, which exist no more: the garbage collector then takes them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owners {
    Kept,
    Left,
}

/// The Secrets are gone too: the secret of an adopted client is known, those of the others are told nowhere, so that each is replaced once, and the
/// old one drains.
async fn replaced_once(world: &World, before: &Kept, secrets: (usize, usize)) {
    for name in NAMES {
        world.until(&format!("{name} to have a credential that works"), |world| world.published(name)).await;
    }
    assert!(world.held("payroll").as_ref() == before.get("payroll"));
    let (creates, resets) = issued(world);
    assert_eq!((creates - secrets.0, resets - secrets.1), (2, 0));
    for name in ["reports", "portal"] {
        assert!(world.works(&before[name]), "{name}: whoever still uses the old one has its overlap");
    }
    world.until_rotations_end().await;
    for name in NAMES {
        world.settles(name).await;
    }
    assert_eq!(world.simulator.other_clients().len(), NAMES.len());
}

#[test]
fn the_status_is_wiped() {
    scenario(231, async |world| {
        let before = furnish(world).await;
        let secrets = issued(world);
        for name in NAMES {
            write_status(world, name, &Value::Null).await;
        }
        nothing_was_lost(world, &before, secrets).await;
        while_it_is_down(world, async |world| {
            for name in NAMES {
                write_status(world, name, &Value::Null).await;
            }
        })
        .await;
        nothing_was_lost(world, &before, secrets).await;
    });
}

#[test]
fn the_status_of_another_object_is_copied_in() {
    once(232, async |world| {
        let before = furnish(world).await;
        let secrets = issued(world);
        let foreign = world.status("portal");
        while_it_is_down(world, async |world| write_status(world, "reports", &foreign).await).await;
        // A copied grant type is a field that can't change; the operator touches nothing and says so.
        world.stalls("reports", "ImmutableFieldChanged", &[]).await;
        write_status(world, "reports", &Value::Null).await;
        nothing_was_lost(world, &before, secrets).await;

        // Of an object of the same kind: its client carries another's marker.
        let foreign = world.status("payroll");
        write_status(world, "reports", &foreign).await;
        let own = |world: &World| (world.status("reports")["clientId"] == before["reports"].client_id).then_some(());
        world.until("its own client in its status", own).await;
        nothing_was_lost(world, &before, secrets).await;
    });
}

#[test]
fn a_namespace_is_restored_with_new_uids() {
    once(233, async |world| {
        let before = furnish(world).await;
        let secrets = issued(world);
        while_it_is_down(world, async |world| rebuild(world, Owners::Left, |_| true).await).await;
        nothing_was_lost(world, &before, secrets).await;
    });
}

#[test]
fn a_namespace_is_restored_and_its_secrets_are_collected_because_they_name_owners_that_are_gone() {
    once(240, async |world| {
        let before = furnish(world).await;
        let secrets = issued(world);
        while_it_is_down(world, async |world| rebuild(world, Owners::Kept, |_| true).await).await;
        replaced_once(world, &before, secrets).await;
    });
}

#[test]
fn the_namespace_of_the_operator_is_restored() {
    once(234, async |world| {
        let before = furnish(world).await;
        let secrets = issued(world);
        while_it_is_down(world, async |world| {
            let credential = world.get("secrets", HOME, ORGANIZATION).expect("the credential");
            let organization = world.organization().expect("the organization");
            tear_out(world, "secrets", (HOME, ORGANIZATION).into()).await;
            tear_out(world, "genesysorganizations", ("", ORGANIZATION).into()).await;
            world.apply(&restored(&organization));
            world.apply(&restored(&credential));
        })
        .await;
        nothing_was_lost(world, &before, secrets).await;
    });
}

#[test]
fn the_store_is_an_hour_old() {
    once(235, async |world| {
        let mut before = furnish(world).await;
        let (old_objects, old_secrets) = (world.list(CLIENTS), world.list("secrets"));
        tokio::time::sleep(Duration::from_secs(1800)).await;
        world.annotate(CLIENTS, "reports", &json!({ "oauth.genesys-operator.io/rotate": "one" })).await;
        world.until("the rotation", |world| (world.held("reports")? != before["reports"]).then_some(())).await;
        tokio::time::sleep(Duration::from_secs(1800)).await;
        let published = world.held("reports").expect("a credential");
        while_it_is_down(world, async |world| {
            for object in old_objects.iter().chain(&old_secrets).filter(|object| object["metadata"]["namespace"] == TEAM) {
                let resource = if object["kind"] == "Secret" { "secrets" } else { CLIENTS };
                let name = object["metadata"]["name"].as_str().expect("a name");
                let place = path(resource, (TEAM, name));
                let live = world.get(resource, TEAM, name).expect("it is there");
                let mut old = object.clone();
                old["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
                world.ask(Method::PUT, &place, &old).await.expect("the old one is taken");
                if resource == CLIENTS {
                    write_status(world, name, &object["status"]).await;
                }
            }
            tear_out(world, "secrets", (TEAM, "reports-rotation").into()).await;
        })
        .await;
        for name in ["portal", "payroll"] {
            world.settles(name).await;
        }
        world.until("a credential that works", |world| world.published("reports")).await;
        // The old credential still worked in its overlap: it is the one that the restored Secret holds, or another took its place.
        let now = world.held("reports").expect("a credential");
        assert!(world.works(&now));
        before.insert("reports".to_owned(), now.clone());
        let (_, resets) = issued(world);
        assert_eq!(resets, 0);
        world.until_rotations_end().await;
        let all = world.simulator.other_clients();
        let active: Vec<&OAuthClient> = all.iter().filter(|client| client.state == ClientState::Active).collect();
        // The client of the lost rotation is known to nobody but its marker: counted and shown, changed by no one but a person.
        let orphan = active.iter().filter(|client| client.id == published.client_id && client.id != now.client_id).count();
        assert_eq!(active.len(), NAMES.len() + orphan, "{active:#?}");
        for orphan in active.iter().filter(|client| !before.values().any(|held| held.client_id == client.id)) {
            world.simulator.remove_client(&orphan.id);
        }
        for name in ["portal", "payroll"] {
            assert!(world.held(name).as_ref() == before.get(name));
        }
    });
}

#[test]
fn the_cluster_is_rebuilt_from_git_with_the_old_cluster_id() {
    once(236, async |world| {
        let before = furnish(world).await;
        let secrets = issued(world);
        // Git holds the objects, and the Secret that a person made; nothing of what the operator wrote.
        while_it_is_down(world, async |world| {
            rebuild(world, Owners::Left, |object| object["kind"] != "Secret" || object["metadata"]["name"] == "old").await;
        })
        .await;
        replaced_once(world, &before, secrets).await;
    });
}

#[test]
fn an_object_is_copied_to_another_namespace_or_cluster() {
    once(237, async |world| {
        let before = furnish(world).await;
        world.apply(&objects::namespace("team-b"));
        for (resource, name) in [("secrets", "reports"), (CLIENTS, "reports")] {
            let mut copy = restored(&world.get(resource, TEAM, name).expect("it is there"));
            copy["metadata"]["namespace"] = json!("team-b");
            if let Some(metadata) = copy["metadata"].as_object_mut() {
                metadata.remove("ownerReferences");
            }
            world.apply(&copy);
        }
        let status = world.status("reports");
        let mut object = world.object(("team-b", "reports")).expect("the copy");
        object["status"] = status;
        world.ask(Method::PUT, &format!("{}/status", path(CLIENTS, ("team-b", "reports"))), &object).await.expect("the status is taken");
        world.client_shows(("team-b", "reports"), "Stalled=True/Conflict").await;
        let mut free = objects::service(("team-b", "reports"));
        free["spec"]["credentialsSecret"] = json!({ "name": "own" });
        world.apply(&free);
        tokio::time::sleep(Duration::from_secs(600)).await;
        for name in NAMES {
            world.settles(name).await;
            assert!(world.held(name).as_ref() == before.get(name) && world.works(&before[name]));
        }
        // With a status that is not its own it is told to be made anew; deleting it leaves the original alone.
        world.remove(CLIENTS, ("team-b", "reports")).await;
        world.until("the copy to go", |world| world.object(("team-b", "reports")).is_none().then_some(())).await;
        assert!(world.works(&before["reports"]));
        world.apply(&free);
        world.until("a client of its own", |world| world.works(&world.held(("team-b", "own"))?).then_some(())).await;
        assert_ne!(world.client_of(("team-b", "reports")).id, before["reports"].client_id);
        assert!(world.held("reports").as_ref() == before.get("reports"));
    });
}

#[test]
fn a_gorganization_suddenly_logs_in_to_another_organization() {
    once(238, async |world| {
        let before = furnish(world).await;
        let id = world.simulator.settings().organization_id;
        let writes = world.platform_writes();
        world.simulator.update_settings(|settings| settings.organization_id = "99999999-9999-4999-8999-999999999999".into());
        world.kill();
        world.start();
        for name in NAMES {
            world.stalls(name, "OrganizationChanged", &["99999999"]).await;
        }
        world.declare("reports", &json!({ "description": "edited meanwhile" }));
        world.declare("new", &json!({ "suspend": true }));
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(world.platform_writes(), writes, "under a token of another organization nothing is written");
        world.simulator.update_settings(|settings| settings.organization_id = id);
        world.kill();
        world.start();
        for name in NAMES {
            world.settles(name).await;
            assert!(world.held(name).as_ref() == before.get(name));
        }
        world.remove(CLIENTS, "new").await;
    });
}

#[test]
fn an_orphan_whose_status_was_lost_is_kept_with_the_credential_that_its_workloads_read() {
    once(247, async |world| {
        world.declare("reports", &json!({ "deletionPolicy": "Orphan" }));
        world.settles("reports").await;
        let held = world.held("reports").expect("a credential");
        while_it_is_down(world, async |world| {
            write_status(world, "reports", &Value::Null).await;
            world.remove(CLIENTS, "reports").await;
        })
        .await;
        world.until("the object to go", |world| world.object("reports").is_none().then_some(())).await;
        assert!(world.works(&held) && world.held("reports").as_ref() == Some(&held), "the client of a Secret that stays was deleted");
        assert!(world.clients_of("reports").is_empty(), "it is let go without its marker");
    });
}

#[test]
fn a_client_that_lost_its_marker_is_adopted_by_nobody_else() {
    once(248, async |world| {
        world.declare("reports", &json!({ "driftPolicy": "Report" }));
        world.settles("reports").await;
        let held = world.held("reports").expect("a credential");
        let description = world.client_of("reports").description;
        world.simulator.edit_client(&held.client_id, &json!({ "description": "" })).expect("a client");
        crate::adoption::allow_resets(world, &json!(["*"]));
        world.declare("thief", &crate::adoption::by_reset(&held.client_id));
        let object = world.stalls("thief", "Conflict", &["team-a/reports"]).await;
        assert!(object["status"]["clientId"].is_null() && world.works(&held), "the credential of another object was ended");
        world.remove(CLIENTS, "thief").await;
        world.until("the object to go", |world| world.object("thief").is_none().then_some(())).await;
        assert!(world.works(&held));
        world.simulator.edit_client(&held.client_id, &json!({ "description": description })).expect("a client");
    });
}
