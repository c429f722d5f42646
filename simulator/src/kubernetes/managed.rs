//! Who manages which field: `metadata.managedFields` read, kept up to date and written; it decides no request.

use serde_json::{Map, Value, json};

use super::error::{ApiError, Result};
use super::fields::{Element, FieldSet, Path, printed};
use super::object;
use super::schema::Node;
use super::typed::{self, Comparison};

/// How a manager came to its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Apply,
    Update,
}

/// Who writes, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manager {
    pub(crate) name: String,
    pub(crate) operation: Operation,
    pub(crate) api_version: String,
    pub(crate) subresource: String,
}

impl Manager {
    /// Is it the same manager? An applier is one over all versions.
    fn is(&self, other: &Self) -> bool {
        let same_version = self.operation == Operation::Apply || self.api_version == other.api_version;
        self.name == other.name && self.operation == other.operation && self.subresource == other.subresource && same_version
    }

    fn printed(&self) -> String {
        let mut text = format!("{:?}", self.name);
        if !self.subresource.is_empty() {
            text = format!("{text} with subresource {:?}", self.subresource);
        }
        if self.operation == Operation::Update {
            text = format!("{text} using {}", self.api_version);
        }
        text
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    manager: Manager,
    time: String,
    set: FieldSet,
}

/// All managers of one object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Managers(Vec<Entry>);

impl Managers {
    /// The managers that an object tells; nothing if it cannot be read.
    fn read(object: &Value) -> Option<Self> {
        let entries = object::list(object, &["metadata", "managedFields"]).iter().map(|entry| {
            let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let operation = match text("operation").as_str() {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return None,
            };
            let manager = Manager { name: text("manager"), operation, api_version: text("apiVersion"), subresource: text("subresource") };
            let set = entry.get("fieldsV1").map_or_else(|| Some(FieldSet::default()), FieldSet::from_json)?;
            Some(Entry { manager, time: text("time"), set })
        });
        entries.collect::<Option<Vec<_>>>().map(Self)
    }

    fn write(mut self, object: &mut Value) {
        self.0.retain(|entry| !entry.set.is_empty());
        self.0.sort_by(|a, b| {
            let key = |entry: &Entry| {
                (entry.manager.operation, entry.time.clone(), entry.manager.name.clone(), entry.manager.api_version.clone())
            };
            key(a).cmp(&key(b)).then_with(|| a.manager.subresource.cmp(&b.manager.subresource))
        });
        let entries: Vec<Value> = self
            .0
            .into_iter()
            .map(|entry| {
                let operation = if entry.manager.operation == Operation::Apply { "Apply" } else { "Update" };
                let mut told = json!({
                    "manager": entry.manager.name, "operation": operation, "apiVersion": entry.manager.api_version,
                    "time": entry.time, "fieldsType": "FieldsV1", "fieldsV1": entry.set.to_json(),
                });
                if !entry.manager.subresource.is_empty() {
                    told["subresource"] = entry.manager.subresource.into();
                }
                told
            })
            .collect();
        object::set_metadata(object, "managedFields", (!entries.is_empty()).then(|| entries.into()));
    }

    fn find(&self, manager: &Manager) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.manager.is(manager))
    }

    fn set(&mut self, manager: &Manager, set: FieldSet, time: &str) {
        self.0.retain(|entry| !entry.manager.is(manager));
        self.0.push(Entry { manager: manager.clone(), time: time.to_owned(), set });
    }

    fn others<'a>(&'a mut self, manager: &Manager) -> impl Iterator<Item = &'a mut Entry> {
        self.0.iter_mut().filter(move |entry| !entry.manager.is(manager))
    }
}

/// Fields that nobody manages, since the server does.
fn is_bookkeeping(path: &[Element]) -> bool {
    let names: Vec<&str> = path
        .iter()
        .map(|element| match element {
            Element::Field(name) => name.as_str(),
            Element::Key(_) | Element::Value(_) | Element::Index(_) => "",
        })
        .collect();
    matches!(
        names.as_slice(),
        ["apiVersion" | "kind" | "metadata"]
            | [
                "metadata",
                "name" | "namespace" | "creationTimestamp" | "selfLink" | "uid" | "clusterName" | "generation" | "resourceVersion"
            ]
            | ["metadata", "managedFields" | "deletionTimestamp" | "deletionGracePeriodSeconds", ..]
    )
}

/// May a write to this place of an object touch the field?
fn belongs(path: &Path, subresource: &str) -> bool {
    let status = path.first() == Some(&Element::Field("status".into()));
    if subresource == "status" { status } else { !status || !subresource.is_empty() }
}

/// What a kind's objects are to field ownership.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) schema: Node<'a>,
    /// Has the kind a status subresource, so that a write of the object leaves the status alone?
    pub(crate) status: Option<super::resource::Status>,
}

impl View<'_> {
    fn clean(&self, comparison: &mut Comparison, subresource: &str) {
        comparison.retain(|path| !is_bookkeeping(path) && (self.status.is_none() || belongs(path, subresource)));
    }

    fn clean_set(&self, set: &mut FieldSet, subresource: &str) {
        set.retain(|path| !is_bookkeeping(path) && (self.status.is_none() || belongs(path, subresource)));
    }
}

/// An object without its managers, for comparison.
fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    object::set_metadata(&mut object, "managedFields", None);
    object
}

/// Notes what an update changed. `old` is what there was, or what a new object has before it is written.
pub(crate) fn track_update(old: &Value, new: &mut Value, manager: &Manager, view: View<'_>, now: &str) {
    let told = object::list(new, &["metadata", "managedFields"]);
    let reset = told.len() == 1 && told[0].as_object().is_some_and(Map::is_empty);
    let kept = || Managers::read(old).unwrap_or_default();
    let mut managers = match Managers::read(new) {
        _ if reset => Managers::default(),
        // A client may rewrite the managers themselves, to migrate them; not through a subresource.
        Some(told) if !told.0.is_empty() && manager.subresource.is_empty() => told,
        _ => kept(),
    };
    let mut comparison = typed::compare(&bare(old), &bare(new), view.schema);
    view.clean(&mut comparison, &manager.subresource);
    note_update(&mut managers, &comparison, manager, now);
    managers.write(new);
}

fn note_update(managers: &mut Managers, comparison: &Comparison, manager: &Manager, now: &str) {
    if comparison.is_empty() {
        return;
    }
    let changed = comparison.changed();
    for other in managers.others(manager) {
        other.set = other.set.minus(&changed).minus(&comparison.removed);
    }
    let before = managers.find(manager).map(|entry| (entry.set.clone(), entry.time.clone())).unwrap_or_default();
    let time = if changed.is_empty() { before.1.as_str() } else { now };
    let set = before.0.minus(&comparison.removed).union(&changed);
    managers.set(manager, set, time);
}

/// Whether an apply may take fields of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ownership {
    Respect,
    Force,
}

/// Lays a configuration over the live object, takes away what its manager no longer names, and notes who has what.
pub(crate) fn apply(live: &Value, config: &Value, manager: &Manager, ownership: Ownership, view: View<'_>, now: &str) -> Result<Value> {
    let mut managers = Managers::read(live).unwrap_or_default();
    let bare_live = bare(live);
    if managers.0.is_empty() && object::resource_version(live) != 0 {
        let before =
            Manager { name: "before-first-apply".into(), operation: Operation::Update, subresource: String::new(), ..manager.clone() };
        let mut set = typed::fields(&bare_live, view.schema);
        set.retain(|path| !is_bookkeeping(path));
        managers.set(&before, set, now);
    }
    let original = config;
    let mut config = config.clone();
    if view.status.is_some() {
        if manager.subresource == "status" {
            if let Value::Object(members) = &mut config {
                members.retain(|name, _| matches!(name.as_str(), "apiVersion" | "kind" | "metadata" | "status"));
            }
        } else {
            object::set_member(&mut config, "status", None);
        }
    }
    let mut set = typed::fields(&config, view.schema);
    view.clean_set(&mut set, &manager.subresource);
    let last = managers.find(manager).map(|entry| entry.set.clone()).unwrap_or_default();
    let mut object = typed::merge(&bare_live, &config, Some(view.schema));
    // What nobody else has either goes; an owned field keeps its parents.
    let owned = managers.0.iter().filter(|entry| !entry.manager.is(manager)).fold(set.clone(), |owned, entry| owned.union(&entry.set));
    let mut gone = last.minus(&owned);
    gone.retain(|path| !owned.reaches(path));
    typed::remove(&mut object, &gone, view.schema);

    let mut comparison = typed::compare(&bare_live, &object, view.schema);
    view.clean(&mut comparison, &manager.subresource);
    let taken = comparison.changed();
    let mut conflicts: Vec<(Manager, FieldSet)> = managers
        .0
        .iter()
        .filter(|entry| !entry.manager.is(manager))
        .map(|entry| (entry.manager.clone(), entry.set.common(&taken)))
        .filter(|(_, set)| !set.is_empty())
        .collect();
    if ownership == Ownership::Respect {
        let previous = last_applied(live, manager, view);
        for (other, set) in &mut conflicts {
            // Before it applied on the server, the same tool wrote these fields as an update.
            if other.operation == Operation::Update {
                set.retain(|path| !previous.contains(path));
            }
        }
        conflicts.retain(|(_, set)| !set.is_empty());
        if !conflicts.is_empty() {
            return Err(conflict(&conflicts));
        }
    }
    for other in managers.others(manager) {
        other.set = other.set.minus(&taken).minus(&comparison.removed);
    }
    let before = managers.find(manager).map(|entry| (entry.set.clone(), entry.time.clone()));
    let time = match &before {
        Some((before, time)) if *before == set && comparison.is_empty() => time.clone(),
        _ => now.to_owned(),
    };
    managers.set(manager, set, &time);
    managers.write(&mut object);
    renew_last_applied(live, &mut object, original, manager);
    Ok(object)
}

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

fn last_applied_text(live: &Value) -> Option<&str> {
    object::at(live, &["metadata", "annotations"])?.get(LAST_APPLIED)?.as_str()
}

/// An object that was applied by the client before keeps its note of what was applied last, so that the client can go back.
/// Nobody owns the note but who wrote it first.
fn renew_last_applied(live: &Value, object: &mut Value, config: &Value, manager: &Manager) {
    if manager.name == "kubectl" && manager.subresource.is_empty() && last_applied_text(live).is_some() {
        let annotations = object::metadata_mut(object).entry("annotations").or_insert_with(|| json!({}));
        annotations[LAST_APPLIED] = format!("{config}\n").into();
    }
}

/// The fields of the last client-side apply, if the applier is the tool that made it.
fn last_applied(live: &Value, manager: &Manager, view: View<'_>) -> FieldSet {
    if manager.name != "kubectl" {
        return FieldSet::default();
    }
    let config = last_applied_text(live).and_then(|text| serde_json::from_str::<Value>(text).ok());
    config.map(|config| typed::fields(&config, view.schema)).unwrap_or_default()
}

fn conflict(conflicts: &[(Manager, FieldSet)]) -> ApiError {
    let mut told: Vec<(String, String)> = Vec::new();
    for (manager, set) in conflicts {
        told.extend(set.iter().map(|path| (manager.printed(), printed(path))));
    }
    told.sort();
    let message = match told.as_slice() {
        [(manager, path)] => format!("Apply failed with 1 conflict: conflict with {manager}: {path}"),
        several => {
            let mut lines = Vec::new();
            let mut current = "";
            for (manager, path) in several {
                if manager != current {
                    lines.push(format!("conflicts with {manager}:"));
                    current = manager;
                }
                lines.push(format!("- {path}"));
            }
            format!("Apply failed with {} conflicts: {}", several.len(), lines.join("\n"))
        }
    };
    let causes: Vec<(String, String)> = told.into_iter().map(|(manager, path)| (format!("conflict with {manager}"), path)).collect();
    ApiError::apply_conflict(message, &causes)
}

#[cfg(test)]
#[path = "managed_tests.rs"]
mod tests;
