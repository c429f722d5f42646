//! The audit line of each write to the platform: for which object, what, why, with which outcome. Holds the log against the platform's own.

use std::collections::BTreeSet;

use genesys_cloud_simulator::{Call, Fault, FaultKind, Operation};
use serde_json::json;

use crate::{
    drift::{edit, settled},
    mishaps::minutes,
    scenario::heard,
    world::{Plan, World},
};

const CLIENTS: &str = "genesysoauthclients";
const NAME: &str = "billing";

/// The writes that the platform saw of the operator.
fn writes(world: &World) -> Vec<Call> {
    let write = |call: &Call| {
        matches!(call.operation, Operation::CreateClient | Operation::UpdateClient | Operation::DeleteClient | Operation::ResetClientSecret)
    };
    world.simulator.calls().into_iter().filter(write).collect()
}

#[test]
fn every_write_leaves_a_line_with_its_object_its_reason_and_its_outcome() {
    let (mut seen, mut told) = (vec![], BTreeSet::new());
    let log = heard(Plan::new(921).with_events(), async |world| {
        settled(world, NAME, &json!({})).await;
        // An edit that is refused, one that is taken, a correction, a rotation, a create whose answer is lost, and a deletion.
        world.simulator.plant(Fault::status(Operation::UpdateClient, 400));
        world.declare(NAME, &json!({ "accessTokenValiditySeconds": 7200 }));
        minutes(10).await;
        world.declare(NAME, &json!({ "accessTokenValiditySeconds": 1800 }));
        world.settles(NAME).await;
        edit(world, NAME, &json!({ "accessTokenValiditySeconds": 900 }));
        world.until("the correction", |world| (world.client_of(NAME).access_token_validity_seconds == 1800).then_some(())).await;
        world.annotate(CLIENTS, NAME, &json!({ "oauth.genesys-operator.io/rotate": "one/Emergency" })).await;
        world.until("the rotation", |world| (world.object(NAME)?["status"]["lastRotation"]["result"] == "Succeeded").then_some(())).await;
        world.until_rotations_end().await;
        world.simulator.plant(Fault::on(Operation::CreateClient, FaultKind::LostResponse));
        world.declare("other", &json!({}));
        world.settles("other").await;
        world.remove(CLIENTS, NAME).await;
        world.goes(NAME).await;
        seen = writes(world);
        told = world.list("events").iter().map(|event| event["reason"].as_str().unwrap_or_default().to_owned()).collect();
    });
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("audit: platform write")).collect();
    assert!(seen.len() >= 8, "the story wrote little: {seen:?}");
    assert_eq!(lines.len(), seen.len(), "{lines:#?} {seen:#?}");
    for (line, call) in lines.iter().zip(&seen) {
        let request = format!("request=\"{} {}\"", call.method, call.path);
        let outcome = match call.status {
            None => "unknown",
            Some(status) if status < 300 => "done",
            Some(_) => "refused",
        };
        let object = if line.contains("team-a/other") { "object=team-a/other" } else { "object=team-a/billing" };
        for part in [request.as_str(), &format!("outcome=\"{outcome}\""), object, "organization=\"acme\"", "step{reason="] {
            assert!(line.contains(part), "{part} is not in: {line}");
        }
        assert_eq!(line.contains("correlation_id="), call.status.is_some(), "{line}");
    }
    for (reason, operation) in [
        ("create", "CreateClient"),
        ("update", "UpdateClient"),
        ("correct", "UpdateClient"),
        ("deletion", "DeleteClient"),
        ("retire", "DeleteClient"),
    ] {
        let told = |line: &&&str| line.contains(&format!("reason=\"{reason}\"")) && line.contains(&format!("operation=\"{operation}\""));
        assert!(lines.iter().any(|line| told(&line)), "no {operation} for the reason {reason:?}: {lines:#?}");
    }
    // Each kind of write leaves an Event besides.
    for reason in [
        "ClientCreated",
        "ClientUpdated",
        "DriftCorrected",
        "CredentialPublished",
        "CredentialRotated",
        "ClientInactivated",
        "ClientDeleted",
    ] {
        assert!(told.contains(reason), "no Event {reason}: {told:?}");
    }
    assert!(lines.iter().any(|line| line.contains("changed=\"accessTokenValiditySeconds\"")), "{lines:#?}");
}
