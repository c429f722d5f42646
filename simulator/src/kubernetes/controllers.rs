//! What a cluster's controllers do and an operator relies on: collection of what has lost its owners, the end of
//! namespaces and of custom kinds; it answers no requests.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::definition;
use super::delete::{FOREGROUND, ORPHAN};
use super::object;
use super::resource::GroupResource;
use super::state::State;

/// An object and where it is kept.
struct Found {
    resource: GroupResource,
    key: String,
    object: Arc<Value>,
}

fn of_resource(state: &State, resource: &GroupResource) -> Vec<Found> {
    let found = |(key, object): (&String, &Arc<Value>)| Found { resource: resource.clone(), key: key.clone(), object: Arc::clone(object) };
    state.objects(resource).map(found).collect()
}

fn everything(state: &State) -> Vec<Found> {
    state.resources().flat_map(|resource| of_resource(state, resource)).collect()
}

/// The objects of a resource that are to go.
fn leaving(state: &State, resource: &GroupResource) -> Vec<Found> {
    of_resource(state, resource).into_iter().filter(|found| object::is_terminating(&found.object)).collect()
}

/// Runs all controllers until nothing is left to do.
pub(crate) fn settle(state: &mut State, now: Timestamp) {
    while collect_garbage(state, now) | finalize_namespaces(state, now) | finish_definitions(state, now) {}
}

/// Deletes an object as a controller does: finalizers are waited for. Tells whether anything changed.
fn delete(state: &mut State, found: &Found, now: Timestamp) -> bool {
    if object::finalizers(&found.object).is_empty() && found.resource != GroupResource::new("", "namespaces") {
        return state.remove(&found.resource, &found.key).is_some();
    }
    if object::is_terminating(&found.object) {
        return false;
    }
    let mut last = Value::clone(&found.object);
    object::set_metadata(&mut last, "deletionTimestamp", Some(object::moment(now).into()));
    object::set_metadata(&mut last, "deletionGracePeriodSeconds", Some(json!(0)));
    if object::generation(&last) > 0 {
        let next = object::generation(&last) + 1;
        object::set_metadata(&mut last, "generation", Some(next.into()));
    }
    state.put(&found.resource, &found.key, last);
    true
}

/// Takes a finalizer away, and the object with it if it was the last one.
fn finish(state: &mut State, found: &Found, finalizer: &str) {
    let left: Vec<&str> = object::finalizers(&found.object).into_iter().filter(|one| *one != finalizer).collect();
    if left.is_empty() && object::list(&found.object, &["spec", "finalizers"]).is_empty() {
        state.remove(&found.resource, &found.key);
        return;
    }
    let mut last = Value::clone(&found.object);
    object::set_metadata(&mut last, "finalizers", (!left.is_empty()).then(|| json!(left)));
    state.put(&found.resource, &found.key, last);
}

fn has_finalizer(object: &Value, finalizer: &str) -> bool {
    object::finalizers(object).contains(&finalizer)
}

/// Is the owner that a reference names there, by the uids of all?
fn owner<'a>(by_uid: &HashMap<&str, &'a Found>, reference: &Value, dependent: &Value) -> Option<&'a Found> {
    let found = *by_uid.get(object::text(reference, &["uid"]))?;
    let namespace = object::namespace(&found.object);
    (namespace.is_empty() || namespace == object::namespace(dependent)).then_some(found)
}

/// Deletes what has lost all its owners, and carries out foreground and orphaning deletions. Tells whether anything changed.
pub(crate) fn collect_garbage(state: &mut State, now: Timestamp) -> bool {
    let all = everything(state);
    let by_uid: HashMap<&str, &Found> = all.iter().map(|found| (object::uid(&found.object), found)).collect();
    let mut changed = false;
    for found in &all {
        let references = object::owner_references(&found.object);
        if references.is_empty() {
            continue;
        }
        let owners: Vec<Option<&Found>> = references.iter().map(|reference| owner(&by_uid, reference, &found.object)).collect();
        let leaving = |owner: &Found| object::is_terminating(&owner.object) && has_finalizer(&owner.object, FOREGROUND);
        // Kept by any owner that stays; one that waits for its dependents does not keep them.
        let kept = owners.iter().flatten().any(|owner| !leaving(owner));
        if !kept {
            changed |= delete(state, found, now);
        } else if owners.iter().any(Option::is_none) {
            // Kept by one owner, it forgets those that are gone.
            let left: Vec<Value> =
                references.iter().zip(&owners).filter(|(_, owner)| owner.is_some()).map(|(reference, _)| reference.clone()).collect();
            let mut freed = Value::clone(&found.object);
            object::set_metadata(&mut freed, "ownerReferences", Some(left.into()));
            state.put(&found.resource, &found.key, freed);
            changed = true;
        }
    }
    for found in all.iter().filter(|found| object::is_terminating(&found.object)) {
        let Some(live) = state.get(&found.resource, &found.key).cloned() else { continue };
        let found = Found { resource: found.resource.clone(), key: found.key.clone(), object: live };
        let uid = object::uid(&found.object);
        let is_dependent =
            |other: &Found| object::owner_references(&other.object).iter().any(|reference| object::text(reference, &["uid"]) == uid);
        let dependents: Vec<Found> = everything(state).into_iter().filter(is_dependent).collect();
        if has_finalizer(&found.object, ORPHAN) {
            for dependent in &dependents {
                let left: Vec<Value> = object::owner_references(&dependent.object)
                    .iter()
                    .filter(|reference| object::text(reference, &["uid"]) != uid)
                    .cloned()
                    .collect();
                let mut free = Value::clone(&dependent.object);
                object::set_metadata(&mut free, "ownerReferences", (!left.is_empty()).then(|| left.into()));
                state.put(&dependent.resource, &dependent.key, free);
            }
            finish(state, &found, ORPHAN);
            changed = true;
        } else if has_finalizer(&found.object, FOREGROUND) {
            let blocks = |dependent: &Found| {
                object::owner_references(&dependent.object).iter().any(|reference| {
                    object::text(reference, &["uid"]) == uid && reference.get("blockOwnerDeletion") == Some(&Value::Bool(true))
                })
            };
            if !dependents.iter().any(blocks) {
                finish(state, &found, FOREGROUND);
                changed = true;
            }
        }
    }
    changed
}

/// Empties namespaces that are to go, and lets the empty ones go. Tells whether anything changed.
pub(crate) fn finalize_namespaces(state: &mut State, now: Timestamp) -> bool {
    let id = GroupResource::new("", "namespaces");
    let mut changed = false;
    for namespace in leaving(state, &id) {
        let name = object::name(&namespace.object).to_owned();
        let content: Vec<Found> =
            everything(state).into_iter().filter(|found| found.resource != id && object::namespace(&found.object) == name).collect();
        for found in &content {
            changed |= delete(state, found, now);
        }
        let left = everything(state).into_iter().any(|found| found.resource != id && object::namespace(&found.object) == name);
        if !left && !object::list(&namespace.object, &["spec", "finalizers"]).is_empty() {
            changed = true;
            let mut last = Value::clone(&namespace.object);
            object::member_mut(&mut last, "spec").remove("finalizers");
            if object::finalizers(&last).is_empty() {
                state.remove(&id, &namespace.key);
            } else {
                state.put(&id, &namespace.key, last);
            }
        }
    }
    changed
}

/// Deletes the objects of definitions that are to go, then the definitions. Tells whether anything changed.
fn finish_definitions(state: &mut State, now: Timestamp) -> bool {
    let id = GroupResource::new("apiextensions.k8s.io", "customresourcedefinitions");
    let mut changed = false;
    for found in leaving(state, &id).into_iter().filter(|found| has_finalizer(&found.object, definition::FINALIZER)) {
        let defined = definition::defined(&found.object);
        for one in &of_resource(state, &defined) {
            changed |= delete(state, one, now);
        }
        if state.objects(&defined).next().is_none() {
            finish(state, &found, definition::FINALIZER);
            if state.get(&id, &found.key).is_none() {
                definition::forget(state, &found.object);
            }
            changed = true;
        }
    }
    changed
}
