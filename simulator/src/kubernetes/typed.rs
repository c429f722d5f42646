//! Values seen with their schema's eyes: which fields they have, how two differ, how one merges into another, and what a
//! removal leaves; it knows no managers and no requests.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::fields::{Element, FieldSet, Path, printed};
use super::schema::{ListType, Node};

/// One part of a value.
struct Part<'v, 's> {
    element: Element,
    value: &'v Value,
    schema: Option<Node<'s>>,
    /// Is it the key of a map, or a list item, and so owned as such?
    owned_as_such: bool,
}

/// How a value falls apart; nothing if it is one value to ownership.
fn parts<'v, 's>(value: &'v Value, schema: Option<Node<'s>>) -> Option<Vec<Part<'v, 's>>> {
    match value {
        Value::Object(_) if schema.is_some_and(Node::is_atomic_map) => None,
        Value::Object(map) => Some(
            map.iter()
                .map(|(name, value)| Part {
                    element: Element::Field(name.clone()),
                    value,
                    schema: schema.and_then(|schema| schema.member(name)),
                    owned_as_such: !schema.is_some_and(|schema| schema.names(name)),
                })
                .collect(),
        ),
        Value::Array(items) => {
            let schema = schema?;
            let list_type = schema.list_type();
            if list_type == ListType::Atomic {
                return None;
            }
            let part = |value| Part { element: element_of(value, &list_type, schema), value, schema: schema.items(), owned_as_such: true };
            Some(items.iter().map(part).collect())
        }
        _ => None,
    }
}

fn element_of(item: &Value, list_type: &ListType<'_>, schema: Node<'_>) -> Element {
    match list_type {
        ListType::Map(keys) => {
            let members: Map<String, Value> = keys
                .iter()
                .filter_map(|key| {
                    let default =
                        || schema.items()?.property(key)?.default().cloned().or_else(|| (*key == "protocol").then(|| json!("TCP")));
                    Some(((*key).to_owned(), item.get(key).cloned().or_else(default)?))
                })
                .collect();
            Element::Key(Value::Object(members).to_string())
        }
        ListType::Set | ListType::Atomic => Element::Value(item.to_string()),
    }
}

/// The fields that a configuration is about.
pub(crate) fn fields(value: &Value, schema: Node<'_>) -> FieldSet {
    let mut set = FieldSet::default();
    collect(value, Some(schema), &mut Vec::new(), &mut set);
    set
}

fn collect(value: &Value, schema: Option<Node<'_>>, path: &mut Path, set: &mut FieldSet) {
    let Some(parts) = parts(value, schema) else {
        set.insert(path.clone());
        return;
    };
    for part in parts {
        let empty = part.value.is_null() || part.value.as_object().is_some_and(Map::is_empty);
        path.push(part.element);
        if part.owned_as_such || empty {
            set.insert(path.clone());
        }
        if !empty {
            collect(part.value, part.schema, path, set);
        }
        path.pop();
    }
}

/// The path of a list item whose key another item has too.
pub(crate) fn duplicate(value: &Value, schema: Node<'_>) -> Option<String> {
    duplicate_at(value, Some(schema), &mut Vec::new())
}

fn duplicate_at(value: &Value, schema: Option<Node<'_>>, path: &mut Path) -> Option<String> {
    let mut seen = BTreeSet::new();
    for part in parts(value, schema)? {
        if !seen.insert(part.element.clone()) {
            path.push(part.element);
            let told = format!("duplicate entries for key {}", printed(&path[path.len() - 1..]));
            return Some(format!("{}: {told}", printed(&path[..path.len() - 1])));
        }
        path.push(part.element);
        let found = duplicate_at(part.value, part.schema, path);
        path.pop();
        if found.is_some() {
            return found;
        }
    }
    None
}

/// How two values differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    pub(crate) added: FieldSet,
    pub(crate) modified: FieldSet,
    pub(crate) removed: FieldSet,
}

impl Comparison {
    pub(crate) fn changed(&self) -> FieldSet {
        self.added.union(&self.modified)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Path) -> bool) {
        self.added.retain(&mut keep);
        self.modified.retain(&mut keep);
        self.removed.retain(&mut keep);
    }
}

/// How `new` differs from `old`.
pub(crate) fn compare(old: &Value, new: &Value, schema: Node<'_>) -> Comparison {
    let mut comparison = Comparison::default();
    compare_at(old, new, Some(schema), &mut Vec::new(), &mut comparison);
    comparison
}

fn compare_at(old: &Value, new: &Value, schema: Option<Node<'_>>, path: &mut Path, out: &mut Comparison) {
    if old == new {
        return;
    }
    // Nothing and an empty container are alike where the other side has members.
    let empty = Vec::new;
    let (old_parts, new_parts) = match (parts(old, schema), parts(new, schema)) {
        (Some(old), Some(new)) => (old, new),
        (None, Some(new)) if old.is_null() => (empty(), new),
        (Some(old), None) if new.is_null() => (old, Vec::new()),
        _ => {
            out.modified.insert(path.clone());
            return;
        }
    };
    for part in &old_parts {
        path.push(part.element.clone());
        match new_parts.iter().find(|other| other.element == part.element) {
            Some(other) => compare_at(part.value, other.value, part.schema, path, out),
            None => every(part.value, part.schema, path, &mut out.removed),
        }
        path.pop();
    }
    for part in &new_parts {
        if !old_parts.iter().any(|other| other.element == part.element) {
            path.push(part.element.clone());
            every(part.value, part.schema, path, &mut out.added);
            path.pop();
        }
    }
}

/// A value and everything below it.
fn every(value: &Value, schema: Option<Node<'_>>, path: &mut Path, set: &mut FieldSet) {
    set.insert(path.clone());
    for part in parts(value, schema).unwrap_or_default() {
        path.push(part.element);
        every(part.value, part.schema, path, set);
        path.pop();
    }
}

/// `config` laid over `live`.
pub(crate) fn merge(live: &Value, config: &Value, schema: Option<Node<'_>>) -> Value {
    let (Some(live_parts), Some(config_parts)) = (parts(live, schema), parts(config, schema)) else { return config.clone() };
    match (live, config) {
        (Value::Object(live), Value::Object(config)) => {
            let mut out = live.clone();
            for (name, value) in config {
                let schema = schema.and_then(|schema| schema.member(name));
                let merged = live.get(name).map_or_else(|| value.clone(), |live| merge(live, value, schema));
                out.insert(name.clone(), merged);
            }
            Value::Object(out)
        }
        (Value::Array(_), Value::Array(_)) => merge_lists(&live_parts, &config_parts),
        _ => config.clone(),
    }
}

/// The configuration's order rules; items that only the live list has stay beside their neighbours.
fn merge_lists(live: &[Part<'_, '_>], config: &[Part<'_, '_>]) -> Value {
    let configured: BTreeSet<&Element> = config.iter().map(|part| &part.element).collect();
    let mut out = Vec::new();
    let mut rest = live.iter();
    let mut waiting = rest.next();
    for part in config {
        while let Some(kept) = waiting.filter(|kept| !configured.contains(&kept.element)) {
            out.push(kept.value.clone());
            waiting = rest.next();
        }
        let before = live.iter().find(|other| other.element == part.element);
        out.push(before.map_or_else(|| part.value.clone(), |before| merge(before.value, part.value, part.schema)));
        if waiting.is_some_and(|other| configured.contains(&other.element)) {
            waiting = rest.next();
        }
    }
    while let Some(kept) = waiting {
        if !configured.contains(&kept.element) {
            out.push(kept.value.clone());
        }
        waiting = rest.next();
    }
    Value::Array(out)
}

/// Takes fields out of a value. What is emptied by that goes too.
pub(crate) fn remove(value: &mut Value, gone: &FieldSet, schema: Node<'_>) {
    remove_at(value, gone, Some(schema), &mut Vec::new());
}

fn remove_at(value: &mut Value, gone: &FieldSet, schema: Option<Node<'_>>, path: &mut Path) {
    let is_empty = |value: &Value| value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty);
    match value {
        Value::Object(map) if !schema.is_some_and(Node::is_atomic_map) => map.retain(|name, member| {
            path.push(Element::Field(name.clone()));
            let mut keep = !gone.contains(path);
            if keep && gone.reaches(path) {
                remove_at(member, gone, schema.and_then(|schema| schema.member(name)), path);
                keep = !is_empty(member);
            }
            path.pop();
            keep
        }),
        Value::Array(items) => {
            let Some(schema) = schema.filter(|schema| schema.list_type() != ListType::Atomic) else { return };
            let list_type = schema.list_type();
            items.retain_mut(|item| {
                path.push(element_of(item, &list_type, schema));
                let keep = !gone.contains(path);
                if keep && gone.reaches(path) {
                    let keys = match &list_type {
                        ListType::Map(keys) => keys.iter().filter_map(|key| Some(((*key).to_owned(), item.get(key)?.clone()))).collect(),
                        ListType::Set | ListType::Atomic => Map::new(),
                    };
                    remove_at(item, gone, schema.items(), path);
                    // An item without its keys would be another one.
                    if let Value::Object(members) = item {
                        members.extend(keys);
                    }
                }
                path.pop();
                keep
            });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::schema::Schema;
    use super::*;

    fn schema() -> Schema {
        let text = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "a": {"type": "string"},
            "map": {"type": "object", "additionalProperties": {"type": "string"}},
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                     "items": {"type": "object", "properties": {"name": {"type": "string"}, "v": {"type": "integer"}}}},
            "atomic": {"type": "array", "items": {"type": "string"}},
        }}}});
        Schema::new(text, Arc::default())
    }

    #[test]
    fn a_configuration_owns_leaves_items_and_keys() {
        let schema = schema();
        let config = json!({"spec": {"a": "x", "map": {"k": "v"}, "set": ["s"], "list": [{"name": "n", "v": 1}], "atomic": ["z"]}});
        assert_eq!(
            fields(&config, schema.root()).to_json(),
            json!({"f:spec": {"f:a": {}, "f:map": {"f:k": {}}, "f:set": {"v:\"s\"": {}},
                              "f:list": {"k:{\"name\":\"n\"}": {".": {}, "f:name": {}, "f:v": {}}}, "f:atomic": {}}})
        );
    }

    #[test]
    fn a_comparison_tells_new_parents_too() {
        let schema = schema();
        let comparison = compare(&json!({}), &json!({"spec": {"map": {"k": "v"}}}), schema.root());
        assert_eq!(comparison.added.to_json(), json!({"f:spec": {".": {}, "f:map": {".": {}, "f:k": {}}}}));
        let comparison = compare(&json!({"spec": {"atomic": ["a"]}}), &json!({"spec": {"atomic": ["b"]}}), schema.root());
        assert_eq!(comparison.modified.to_json(), json!({"f:spec": {"f:atomic": {}}}));
    }

    #[test]
    fn lists_merge_by_key_and_keep_what_they_do_not_name() {
        let schema = schema();
        let live = json!({"spec": {"list": [{"name": "a", "v": 1}, {"name": "b", "v": 2}], "set": ["x"]}});
        let config = json!({"spec": {"list": [{"name": "b", "v": 3}, {"name": "c"}], "set": ["y"]}});
        assert_eq!(
            merge(&live, &config, Some(schema.root())),
            json!({"spec": {"list": [{"name": "a", "v": 1}, {"name": "b", "v": 3}, {"name": "c"}], "set": ["x", "y"]}})
        );
    }

    #[test]
    fn a_removal_takes_emptied_parents_along() {
        let schema = schema();
        let mut value = json!({"spec": {"map": {"k": "v"}, "a": "x"}});
        let gone = FieldSet::from_json(&json!({"f:spec": {"f:map": {"f:k": {}}}})).expect("a set");
        remove(&mut value, &gone, schema.root());
        assert_eq!(value, json!({"spec": {"a": "x"}}));
    }
}
