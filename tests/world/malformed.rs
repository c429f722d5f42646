//! Objects that a CRD let in which the operator's types can't hold: each is told and left alone, and keeps nobody else from being worked.

use std::sync::Arc;

use genesys_oauth_operator::api;
use serde_json::{Value, json};

use crate::{
    look::message,
    mishaps::minutes,
    objects,
    scenario::once,
    world::{Plan, World},
};

/// Installs the CRDs of a version that takes anything for one field of each kind.
fn loosen(world: &World) {
    for crd in api::crds() {
        let mut crd = serde_json::to_value(&crd).expect("a definition is JSON");
        (crd["apiVersion"], crd["kind"]) = (json!("apiextensions.k8s.io/v1"), json!("CustomResourceDefinition"));
        for version in crd["spec"]["versions"].as_array_mut().expect("versions") {
            let fields = &mut version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
            for name in ["description", "maxConcurrent", "requestsPerMinute"] {
                if !fields[name].is_null() {
                    fields[name] = json!({ "x-kubernetes-preserve-unknown-fields": true });
                }
            }
        }
        world.kubernetes.replace(crd).expect("the definition is taken");
    }
}

fn told(world: &World, name: &str) -> Option<Value> {
    world.list("events").into_iter().find(|event| event["reason"] == "Malformed" && event["involvedObject"]["name"] == name)
}

#[test]
fn one_object_that_the_types_cannot_hold_keeps_no_other_from_being_worked() {
    once(Plan::new(91).with_events(), async |world: &Arc<World>| {
        loosen(world);
        world.declare("billing", &json!({}));
        world.declare("changes", &json!({}));
        for name in ["billing", "changes"] {
            world.settles(name).await;
        }
        world.declare("broken", &json!({ "description": 7 }));
        world.declare("changes", &json!({ "description": ["not", "a", "text"] }));
        let mut organization = objects::with_spec(objects::organization(), &json!({ "requestsPerMinute": "many" }));
        organization["metadata"]["name"] = json!("broken-organization");
        world.apply(&organization);
        for name in ["broken", "changes", "broken-organization"] {
            let event = world.until("what is wrong with it", |world| told(world, name)).await;
            assert!(event["message"].as_str().is_some_and(|note| note.contains("correct it")), "{event}");
        }
        world.declare("payroll", &json!({}));
        world.settles("payroll").await;
        // Whose policy can't be read waits with its rotations, and with nothing else.
        world.apply(&objects::policy("broken-policy", &json!({ "interval": "30d", "maxConcurrent": "many" })));
        world.declare("rotated", &json!({ "rotationPolicyRef": { "name": "broken-policy" } }));
        world.settles("rotated").await;
        let object = world.client_shows("rotated", "CredentialExpiring=Unknown/PolicyNotReady").await;
        assert!(message(&object, "CredentialExpiring").contains("can't be read"), "{object}");
        // The client of an object that can't be read is not nobody's.
        let counted = |world: &World| world.organization().map(|organization| organization["status"]["inventory"].clone());
        world.until("an inventory of all", |world| counted(world).filter(|inventory| inventory["total"] == 5)).await;
        let inventory = counted(world).expect("an inventory");
        assert!(inventory["managed"] == 4 && inventory["orphaned"].as_i64().unwrap_or(0) == 0, "{inventory}");
        // A process that begins anew meets them in its first lists.
        world.kill();
        world.start();
        world.declare("late", &json!({}));
        world.declare("billing", &json!({ "accessTokenValiditySeconds": 7200 }));
        for name in ["late", "billing", "payroll"] {
            world.settles(name).await;
        }
        assert_eq!(world.client_of("billing").access_token_validity_seconds, 7200);
        assert!(world.clients_of("broken").is_empty() && world.clients_of("changes").len() == 1, "they are left alone");
        world.apply(&objects::policy("broken-policy", &json!({ "interval": "30d" })));
        world.client_shows("rotated", "CredentialExpiring=False/NotDue").await;
        world.remove("genesysorganizations", ("", "broken-organization")).await;
        for name in ["broken", "changes"] {
            world.declare(name, &json!({}));
            world.settles(name).await;
        }
    });
}

#[test]
fn an_organization_that_the_types_cannot_hold_is_no_failure_of_its_clients_and_its_edits_wait_for_it() {
    once(Plan::new(92).with_events(), async |world: &Arc<World>| {
        loosen(world);
        world.declare("billing", &json!({}));
        world.declare("leaving", &json!({}));
        for name in ["billing", "leaving"] {
            world.settles(name).await;
        }
        world.declare_organization(&json!({ "requestsPerMinute": "many" }));
        world.until("what is wrong with it", |world| told(world, "acme")).await;
        let (writes, validity) = (world.platform_writes(), world.client_of("billing").access_token_validity_seconds);
        world.declare("billing", &json!({ "accessTokenValiditySeconds": 7200 }));
        world.remove("genesysoauthclients", "leaving").await;
        minutes(20).await;
        assert_eq!((world.platform_writes(), world.client_of("billing").access_token_validity_seconds), (writes, validity));
        assert!(world.object("leaving").is_some(), "its client is on the platform yet");
        let errors = "genesys_oauth_reconcile_errors_total{controller=\"GenesysOAuthClient\"";
        let text = world.metrics();
        let counted: Vec<&str> = text.lines().filter(|line| line.starts_with(errors) && !line.ends_with(" 0")).collect();
        assert_eq!(counted, Vec::<&str>::new(), "waiting is no error");
        world.declare_organization(&json!({}));
        world.settles("billing").await;
        world.goes("leaving").await;
        assert_eq!(world.client_of("billing").access_token_validity_seconds, 7200);
    });
}
