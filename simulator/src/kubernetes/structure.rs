//! Pruning and defaulting of values by their schema; it refuses nothing.

use serde_json::{Map, Value};

use super::schema::{Node, Unnamed};

/// Takes away what the schema does not know, and gives back the paths of what it took.
pub(crate) fn prune(value: &mut Value, schema: Node<'_>) -> Vec<String> {
    let mut unknown = Vec::new();
    prune_at(value, schema, "", Place::Root, &mut unknown);
    unknown
}

/// Where a value stands: the root and embedded resources always have a kind and metadata.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Inside,
}

fn prune_at(value: &mut Value, schema: Node<'_>, path: &str, place: Place, unknown: &mut Vec<String>) {
    match value {
        Value::Object(map) => prune_members(map, schema, path, place, unknown),
        Value::Array(items) => {
            if let Some(schema) = schema.items() {
                for (index, item) in items.iter_mut().enumerate() {
                    prune_at(item, schema, &format!("{path}[{index}]"), Place::Inside, unknown);
                }
            }
        }
        _ => {}
    }
}

fn prune_members(map: &mut Map<String, Value>, schema: Node<'_>, path: &str, place: Place, unknown: &mut Vec<String>) {
    let resource = place == Place::Root || schema.is_embedded_resource();
    let unnamed = schema.unnamed();
    map.retain(|name, value| {
        let path = child(path, name);
        if let Some(schema) = schema.property(name) {
            prune_at(value, schema, &path, Place::Inside, unknown);
            return true;
        }
        match unnamed {
            Unnamed::Anything => true,
            Unnamed::Values(schema) => {
                prune_at(value, schema, &path, Place::Inside, unknown);
                true
            }
            Unnamed::Unknown if resource && matches!(name.as_str(), "apiVersion" | "kind" | "metadata") => true,
            Unnamed::Unknown => {
                unknown.push(path);
                false
            }
        }
    });
}

fn child(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Takes away nulls where the schema does not allow null, so that a default can take their place.
pub(crate) fn drop_nulls(value: &mut Value, schema: Node<'_>) {
    match value {
        Value::Object(map) => {
            map.retain(|name, value| schema.member(name).is_none_or(|schema| !value.is_null() || schema.is_nullable()));
            for (name, value) in map {
                if let Some(schema) = schema.member(name) {
                    drop_nulls(value, schema);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.items() {
                for item in items {
                    drop_nulls(item, schema);
                }
            }
        }
        _ => {}
    }
}

/// Takes away every null that the schema knows the place of, as decoding into a Go struct does.
pub(crate) fn drop_all_nulls(value: &mut Value, schema: Node<'_>) {
    match value {
        Value::Object(map) => {
            if matches!(schema.unnamed(), Unnamed::Anything) {
                return;
            }
            map.retain(|_, value| !value.is_null());
            for (name, value) in map {
                if let Some(schema) = schema.member(name) {
                    drop_all_nulls(value, schema);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.items() {
                for item in items {
                    drop_all_nulls(item, schema);
                }
            }
        }
        _ => {}
    }
}

/// Writes whole numbers as such, whatever way the client wrote them.
pub(crate) fn write_whole_numbers(value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(write_whole_numbers),
        Value::Array(items) => items.iter_mut().for_each(write_whole_numbers),
        Value::Number(number) if number.is_f64() => {
            // Beyond this a binary fraction knows no single steps.
            let whole = number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0);
            if let Some(whole) = whole.and_then(|whole| format!("{whole:.0}").parse::<i64>().ok()) {
                *value = whole.into();
            }
        }
        _ => {}
    }
}

/// Puts defaults where members are missing.
pub(crate) fn default(value: &mut Value, schema: Node<'_>) {
    match value {
        Value::Object(map) => {
            for (name, schema) in schema.properties() {
                if let Some(default) = schema.default()
                    && !map.contains_key(name)
                {
                    map.insert(name.to_owned(), default.clone());
                }
            }
            for (name, value) in map {
                if let Some(schema) = schema.member(name) {
                    default(value, schema);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.items() {
                for item in items {
                    default(item, schema);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::super::schema::Schema;
    use super::*;

    fn schema() -> Schema {
        let text = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "size": {"type": "integer", "default": 3},
            "note": {"type": "string", "nullable": true, "default": "x"},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {"type": "string", "default": "b"}}}},
            "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}},
        }}}});
        Schema::new(text, Arc::default())
    }

    #[test]
    fn what_the_schema_does_not_know_goes() {
        let schema = schema();
        let mut value = json!({"kind": "X", "spec": {"size": 1, "y": 2, "free": {"z": 1}, "list": [{"a": "b", "c": 1}]}, "other": 1});
        assert_eq!(prune(&mut value, schema.root()), ["other", "spec.list[0].c", "spec.y"]);
        assert_eq!(value, json!({"kind": "X", "spec": {"size": 1, "free": {"z": 1}, "list": [{"a": "b"}]}}));
    }

    #[test]
    fn whole_numbers_are_whole() {
        let mut value = json!({"a": [1.0, 1.5, 1e3, -0.0], "b": {"c": 2}});
        write_whole_numbers(&mut value);
        assert_eq!(value, json!({"a": [1, 1.5, 1000, 0], "b": {"c": 2}}));
    }

    #[test]
    fn defaults_replace_nulls_unless_null_is_allowed() {
        let schema = schema();
        let mut value = json!({"spec": {"size": null, "note": null, "map": {"k": {}, "gone": null}, "free": {"kept": null}}});
        drop_nulls(&mut value, schema.root());
        default(&mut value, schema.root());
        assert_eq!(value, json!({"spec": {"size": 3, "note": null, "map": {"k": {"a": "b"}}, "free": {"kept": null}}}));
    }
}
