//! What must hold of every world at rest, whatever happened in it: the one place where the invariants are checked. It must not wait for anything.

use std::collections::BTreeSet;

use genesys_cloud_simulator::{ClientState, OPERATOR_CLIENT_ID};
use genesys_oauth_operator::marker::{Marker, Owner};
use serde_json::Value;

use crate::{
    look::{marker, shows, summary},
    objects::Name,
    world::{CLUSTER, World},
};

/// Every breach of an invariant, in words.
pub fn breaches(world: &World) -> Vec<String> {
    let objects = world.list("genesysoauthclients");
    let mut breaches: Vec<String> = objects.iter().flat_map(|object| of_object(world, object)).collect();
    breaches.extend(orphans(world, &objects));
    breaches.extend(leaks(world));
    breaches.extend(strangers(world));
    breaches
}

/// Nothing was ever changed that had not carried our marker before, nor while it carried somebody else's; but by an adoption, whose first write adds
/// the marker and changes nothing else. The platform's own audits are asked, not the operator.
fn strangers(world: &World) -> Vec<String> {
    let create = world.simulator.settings().audit_actions[0].clone();
    let (mut ours, mut theirs) = (BTreeSet::new(), BTreeSet::new());
    let mut breaches = vec![];
    for audit in world.simulator.audits() {
        let id = audit["entity"]["id"].as_str().unwrap_or_default().to_owned();
        let by_operator = audit["client"]["id"] == OPERATOR_CLIENT_ID;
        let changes = audit["propertyChanges"].as_array().cloned().unwrap_or_default();
        let description = changes.iter().find(|change| change["property"] == "description");
        let described = description.map(|change| Marker::parse(change["newValues"][0].as_str().unwrap_or_default()));
        let marked = described.as_ref().is_some_and(|carried| carried.as_ref().is_some_and(|marker| world.is_of_operator(marker)));
        let only = |property: &Value| ["description", "dateModified", "modifiedBy"].iter().any(|known| property == known);
        let adopts = marked && changes.iter().all(|change| only(&change["property"]));
        if by_operator && audit["action"] != create {
            if theirs.contains(&id) {
                breaches.push(format!("client {id} carried somebody else's marker, and was changed: {audit}"));
            }
            if !ours.contains(&id) && !adopts {
                breaches.push(format!("client {id} never carried a marker of ours, and was changed: {audit}"));
            }
        }
        if marked || (by_operator && audit["action"] == create) {
            ours.insert(id.clone());
        }
        match described {
            Some(Some(_)) if !marked => drop(theirs.insert(id)),
            Some(_) => drop(theirs.remove(&id)),
            None => {}
        }
    }
    breaches
}

/// One active client at rest; `Ready` implies a credential that works; no client works whose secret was lost.
fn of_object(world: &World, object: &Value) -> Vec<String> {
    let name = name_of(object);
    let (ready, held) = (shows(object, "Ready=True"), world.held((name.namespace, World::secret_name(object).as_str())));
    let clients = world.clients_of(name);
    let active: Vec<_> = clients.iter().filter(|client| client.state == ClientState::Active).collect();
    let mut breaches = vec![];
    if active.len() > 1 {
        breaches.push(format!("{} active clients carry the marker of {name:?}", active.len()));
    }
    if ready {
        match (&held, active.as_slice()) {
            (Some(held), [client]) if held.client_id == client.id && object["status"]["clientId"] == client.id => {}
            _ => breaches.push(format!("{name:?} is Ready, and its Secret, its status and the platform do not name one active client")),
        }
        if held.as_ref().is_none_or(|held| !world.works(held)) {
            breaches.push(format!("{name:?} is Ready, and its Secret holds no credential that works"));
        }
    }
    for client in active {
        if held.as_ref().is_none_or(|held| held.client_id != client.id) {
            breaches.push(format!("client {} of {name:?} is active, and no Secret holds its secret", client.id));
        }
    }
    if !breaches.is_empty() {
        breaches.push(summary(Some(object)));
    }
    breaches
}

/// No active client of ours is without its object.
fn orphans(world: &World, objects: &[Value]) -> Vec<String> {
    let living: Vec<Owner> = objects.iter().map(name_of).map(|name| Owner::new(CLUSTER, name.namespace, name.name)).collect();
    let ours = Owner::new(CLUSTER, "", "");
    let clients = world.simulator.other_clients().into_iter().filter(|client| client.state == ClientState::Active);
    let orphans = clients
        .filter(|client| marker(client).is_some_and(|marker| marker.owner.cluster() == ours.cluster() && !living.contains(&marker.owner)));
    orphans.map(|client| format!("client {} belongs to no object", client.id)).collect()
}

/// All that an operator writes or is asked for, but Secrets.
const NEVER_SECRET: [&str; 7] =
    ["genesysoauthclients", "genesysorganizations", "genesysrotationpolicies", "events", "configmaps", "leases", "deployments"];

/// No secret stands anywhere but in Secrets.
fn leaks(world: &World) -> Vec<String> {
    let mut leaks: Vec<String> = world.wires.leaks().into_iter().map(|place| format!("a secret was sent in {place}")).collect();
    if world.wires.tells_a_secret(&world.metrics()) {
        leaks.push("a secret stands in the metrics".to_owned());
    }
    for resource in NEVER_SECRET {
        let told = world.list(resource).into_iter().filter(|object| world.wires.tells_a_secret(&object.to_string()));
        leaks.extend(told.map(|object| format!("a secret stands in {resource} {}", object["metadata"]["name"])));
    }
    leaks
}

fn name_of(object: &Value) -> Name<'_> {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
    Name { namespace: text("namespace"), name: text("name") }
}
