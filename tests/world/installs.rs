//! Two installs that see one organization, and an operator that is started under another cluster id. None may touch what is the other's.

use std::time::Duration;

use genesys_cloud_simulator::OPERATOR_CLIENT_SECRET;
use genesys_oauth_operator::marker::Owner;
use serde_json::json;

use crate::{
    look::message,
    losses::{NAMES, furnish},
    objects::{self, HOME},
    rotating::CLIENTS,
    scenario::{once, scenario},
    world::{CLUSTER, Plan, World},
};

/// Where the second install has its credential.
const OTHER_HOME: &str = "other-operator";

/// A second namespace of clients, and the home of a second install.
fn make_room(world: &World) {
    for name in ["team-b", OTHER_HOME] {
        world.apply(&objects::namespace(name));
    }
    let mut credential = objects::credential(OPERATOR_CLIENT_SECRET);
    credential["metadata"]["namespace"] = json!(OTHER_HOME);
    world.apply(&credential);
}

#[test]
fn two_installs_see_one_organization() {
    scenario(Plan::new(241).flag("--watch-namespace=team-a"), async |world| {
        world.declare_organization(&json!({ "rotationDefaults": { "interval": "30d" } }));
        let before = furnish(world).await;
        make_room(world);
        let end = world.start_another(CLUSTER, &["--operator-namespace=other-operator", "--watch-namespace=team-b"]);
        world.declare(("team-b", "reports"), &json!({}));
        world.declare(("team-b", "more"), &json!({}));
        for name in ["reports", "more"] {
            world.settles(("team-b", name)).await;
        }
        // Each works its own; the status of the organization is the first one's.
        let counted = |world: &World| world.organization().map(|organization| organization["status"]["rotation"]["clients"].clone());
        assert_eq!(counted(world), Some(json!(NAMES.len())));
        world.quiet_for(Duration::from_secs(700)).await;
        let writes = world.writes();
        tokio::time::sleep(Duration::from_secs(1500)).await;
        assert_eq!(world.writes(), writes, "two installs write against each other");
        assert_eq!(counted(world), Some(json!(NAMES.len())));
        for name in NAMES {
            world.settles(name).await;
            assert!(world.held(name).as_ref() == before.get(name));
        }
        assert_eq!(world.simulator.other_clients().len(), NAMES.len() + 2);
        let organization = world.organization().expect("there");
        assert_eq!(organization["status"]["pin"]["install"], HOME);
        // The clients of the other install are nobody's orphans: they are living objects' that this one cannot see.
        let inventory = &organization["status"]["inventory"];
        let counts = ["managed", "orphaned", "elsewhere"].map(|count| inventory[count].clone());
        assert_eq!(counts, [json!(NAMES.len()), json!(0), json!(2)], "{inventory}");
        for name in ["reports", "more"] {
            world.remove(CLIENTS, ("team-b", name)).await;
            world.goes(("team-b", name)).await;
        }
        end();
    });
}

#[test]
fn a_client_with_the_marker_of_another_cluster_is_no_orphan_of_ours() {
    once(243, async |world| {
        world.declare("billing", &json!({}));
        world.settles("billing").await;
        let plant = |cluster: &str| {
            let marker = Owner::new(cluster, "team-a", "billing").marker("abcdefgh22").to_string();
            let client = json!({ "name": cluster, "authorizedGrantType": "CODE", "scope": ["users:readonly"], "description": marker });
            world.simulator.add_client(&client).expect("a client").0.id
        };
        let theirs = plant("another-cluster");
        let counts = |world: &World| {
            let inventory = &world.organization()?["status"]["inventory"];
            Some(["managed", "unmanaged", "orphaned", "elsewhere"].map(|count| inventory[count].as_i64().unwrap_or_default()))
        };
        world.until("it is counted as another's", |world| counts(world).filter(|counts| *counts == [1, 0, 0, 1])).await;
        // The same marker with this cluster's id, and a nonce that was never issued, is one: and as little is done about it.
        let ours = plant(CLUSTER);
        world.until("it is counted as ours", |world| counts(world).filter(|counts| *counts == [1, 0, 1, 1])).await;
        let before = [&theirs, &ours].map(|id| world.simulator.client(id));
        tokio::time::sleep(Duration::from_secs(1500)).await;
        assert_eq!([&theirs, &ours].map(|id| world.simulator.client(id)), before);
        world.simulator.remove_client(&ours);
    });
}

#[test]
fn an_install_of_another_cluster_id_makes_nothing_anew() {
    once(242, async |world| {
        let before = furnish(world).await;
        let writes = world.platform_writes();
        // The operator itself, started with another id.
        world.kill();
        let end = world.start_another("another-cluster", &[]);
        let object = world.organization_shows("Stalled=True/Conflict").await;
        assert!(message(&object, "Stalled").contains("--cluster-id"), "{}", message(&object, "Stalled"));
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(world.platform_writes(), writes);
        end();
        world.start();
        world.organization_shows("Ready=True/Available").await;
        // And one of another cluster beside it: it says so on its own objects, and leaves the organization's status alone.
        make_room(world);
        let end = world.start_another("another-cluster", &["--operator-namespace=other-operator", "--watch-namespace=team-b"]);
        world.apply(&objects::service(("team-b", "reports")));
        world.kill();
        world.client_shows(("team-b", "reports"), "Ready=False/WaitingForOrganization").await;
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(world.platform_writes(), writes);
        world.client_shows(("team-b", "reports"), "Ready=False/WaitingForOrganization").await;
        end();
        world.remove(CLIENTS, ("team-b", "reports")).await;
        world.start();
        world.organization_shows("Ready=True/Available").await;
        for name in NAMES {
            world.settles(name).await;
            assert!(world.held(name).as_ref() == before.get(name));
        }
        world.goes(("team-b", "reports")).await;
    });
}

#[test]
fn an_organization_whose_install_is_gone_is_taken_over_when_an_edit_stays_unread() {
    once(Plan::new(243).with_events().flag("--watch-namespace=team-a"), async |world| {
        furnish(world).await;
        make_room(world);
        let end = world.start_another(CLUSTER, &["--operator-namespace=other-operator", "--watch-namespace=team-b"]);
        world.declare(("team-b", "reports"), &json!({}));
        world.settles(("team-b", "reports")).await;
        // While its install lives, edits are read by that one.
        world.declare_organization(&json!({ "rotationDefaults": { "interval": "30d" } }));
        tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
        let pin = |world: &World| world.organization().expect("there")["status"]["pin"]["install"].clone();
        assert_eq!(pin(world), HOME);
        world.kill();
        tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
        assert_eq!(pin(world), HOME, "nothing waits to be read");
        world.declare_organization(&json!({ "rotationDefaults": { "interval": "60d" } }));
        tokio::time::sleep(Duration::from_secs(1800)).await;
        assert_eq!(pin(world), HOME);
        world.until("the takeover", |world| (pin(world) == OTHER_HOME).then_some(())).await;
        world.organization_shows("Ready=True/Available").await;
        assert!(world.list("events").iter().any(|event| event["reason"] == "PinTakenOver"));
        let followed = |world: &World| world.object(("team-b", "reports"))?["status"]["rotation"]["next"].as_array().map(Vec::len);
        world.until("the dates of the edited defaults", |world| followed(world).filter(|dates| *dates == 3)).await;
        // The former one comes back, and leaves the status to the one that has it now.
        world.start();
        world.quiet_for(Duration::from_secs(700)).await;
        let writes = world.writes();
        tokio::time::sleep(Duration::from_secs(1500)).await;
        assert_eq!((world.writes(), pin(world)), (writes, json!(OTHER_HOME)), "two installs write against each other");
        world.remove(CLIENTS, ("team-b", "reports")).await;
        world.goes(("team-b", "reports")).await;
        end();
    });
}
