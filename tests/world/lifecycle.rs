//! The life of clients when nothing fails, or a person does something: created, edited, left alone, deleted.

use std::time::Duration;

use genesys_cloud_simulator::{Fault, FaultKind, Operation};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    objects::{self, TEAM},
    scenario::{once, scenario},
    world::Plan,
};

const CLIENTS: &str = "genesysoauthclients";

#[test]
fn a_client_is_created_edited_and_deleted() {
    scenario(1, async |world| {
        world.declare("billing", &json!({}));
        world.settles("billing").await;
        world.declare("billing", &json!({ "accessTokenValiditySeconds": 7200 }));
        world.settles("billing").await;
        assert_eq!(world.client_of("billing").access_token_validity_seconds, 7200);
        world.remove(CLIENTS, "billing").await;
        world.goes("billing").await;
    });
}

#[test]
fn a_settled_world_is_written_to_by_nobody_for_a_day() {
    once(2, async |world| {
        world.declare("billing", &json!({}));
        world.settles("billing").await;
        // The inventory comes with the next scan.
        tokio::time::sleep(Duration::from_secs(600)).await;
        let before = world.writes();
        tokio::time::sleep(Duration::from_secs(86_400)).await;
        assert_eq!(world.writes(), before);
        world.kill();
        world.start();
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(world.writes(), before, "a new process writes nothing either");
        assert!(world.is_settled("billing"));
    });
}

#[test]
fn many_clients_of_several_namespaces_live_side_by_side() {
    scenario(3, async |world| {
        world.apply(&objects::namespace("team-b"));
        let names: Vec<String> = (0..6).map(|number| format!("client-{number}")).collect();
        let places: Vec<(&str, &str)> =
            [TEAM, "team-b"].into_iter().flat_map(|team| names.iter().map(move |name| (team, name.as_str()))).collect();
        for place in &places {
            world.declare(*place, &json!({}));
        }
        for place in &places {
            world.settles(*place).await;
        }
        world.kill();
        world.start();
        for place in &places {
            world.declare(*place, &json!({ "accessTokenValiditySeconds": 7200 }));
        }
        for place in places.iter().step_by(2) {
            world.remove(CLIENTS, *place).await;
        }
        for (number, place) in places.iter().enumerate() {
            if number % 2 == 0 { world.goes(*place).await } else { world.settles(*place).await }
        }
        assert_eq!(world.simulator.other_clients().len(), 6);
    });
}

#[test]
fn a_client_that_goes_while_its_reset_is_pending_is_created_anew() {
    scenario(5, async |world| {
        world.declare("billing", &json!({ "scim": true }));
        world.settles("billing").await;
        let first = world.client_of("billing").id;
        world.simulator.plant(Fault::on(Operation::ResetClientSecret, FaultKind::LostResponse).times(1));
        world.remove("secrets", "billing").await;
        world
            .until("a reset without an answer", |world| {
                let pending = world.object("billing")?["status"]["intent"]["operation"] == "Reset";
                (pending && world.simulator.faults().is_empty()).then_some(())
            })
            .await;
        assert!(world.simulator.remove_client(&first));
        world.settles("billing").await;
        assert_ne!(world.client_of("billing").id, first);
    });
}

#[test]
fn an_install_for_one_namespace_works_no_other() {
    scenario(Plan::new(6).flag("--watch-namespace=team-a"), async |world| {
        world.apply(&objects::namespace("team-b"));
        world.declare("billing", &json!({ "scim": true }));
        world.declare(("team-b", "billing"), &json!({}));
        world.settles("billing").await;
        // Such an install watches its Secrets: one that goes is seen at once, not at the next look.
        world.remove("secrets", "billing").await;
        let since = Instant::now();
        world.until("the Secret to be back", |world| world.held("billing")).await;
        assert!(since.elapsed() < Duration::from_secs(60), "{:?}", since.elapsed());
        world.settles("billing").await;
        let other = world.object(("team-b", "billing")).expect("the object");
        assert!(other["status"].is_null() && world.clients_of(("team-b", "billing")).is_empty());
    });
}
