//! Is a custom schema structural, as a server demands? It judges schemas, never objects.

use std::sync::Arc;

use serde_json::Value;

use super::error::FieldError;
use super::schema::Schema;
use super::validate::validate;

/// What is wrong with the structure of a schema.
pub(crate) fn errors(schema: &Value, field: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        let told = schema.get("type").and_then(Value::as_str).unwrap_or_default();
        errors.push(if told.is_empty() {
            FieldError::required(format!("{field}.type"), "must not be empty at the root")
        } else {
            FieldError::invalid(format!("{field}.type"), &told.into(), "must be object at the root")
        });
    }
    walk(schema, field, &mut errors);
    errors
}

fn walk(schema: &Value, field: &str, errors: &mut Vec<FieldError>) {
    let flag = |name: &str| schema.get(name).and_then(Value::as_bool) == Some(true);
    let type_name = schema.get("type").and_then(Value::as_str).unwrap_or_default();
    if type_name.is_empty() && !flag("x-kubernetes-int-or-string") && !flag("x-kubernetes-preserve-unknown-fields") {
        errors.push(FieldError::required(format!("{field}.type"), "must not be empty for specified object fields"));
    }
    if !matches!(type_name, "" | "array" | "boolean" | "integer" | "number" | "object" | "string") {
        let supported = ["array", "boolean", "integer", "number", "object", "string"];
        errors.push(FieldError::not_supported(format!("{field}.type"), &format!("{type_name:?}"), &supported));
    }
    default(schema, field, errors);
    if schema.get("$ref").is_some() {
        errors.push(FieldError::forbidden(format!("{field}.$ref"), "$ref is not supported"));
    }
    if schema.get("uniqueItems").and_then(Value::as_bool) == Some(true) {
        errors.push(FieldError::forbidden(
            format!("{field}.uniqueItems"),
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        ));
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    if properties.is_some() && schema.get("additionalProperties").is_some() {
        errors.push(FieldError::forbidden(
            format!("{field}.additionalProperties"),
            "additionalProperties and properties are mutual exclusive",
        ));
    }
    if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
        errors.push(FieldError::forbidden(format!("{field}.additionalProperties"), "additionalProperties cannot be set to false"));
    }
    list_type(schema, field, errors);
    for junctor in ["allOf", "anyOf", "oneOf"] {
        for (index, branch) in schema.get(junctor).and_then(Value::as_array).into_iter().flatten().enumerate() {
            for forbidden in ["description", "type", "default", "additionalProperties", "nullable"] {
                let int_or_string = flag("x-kubernetes-int-or-string") && forbidden == "type";
                if branch.get(forbidden).is_some() && !int_or_string {
                    errors.push(FieldError::forbidden(format!("{field}.{junctor}[{index}].{forbidden}"), "must be empty to be structural"));
                }
            }
        }
    }
    for (name, property) in properties.into_iter().flatten() {
        if field.ends_with("openAPIV3Schema") && matches!(name.as_str(), "metadata" | "apiVersion" | "kind") {
            metadata(name, property, field, errors);
            continue;
        }
        walk(property, &format!("{field}.properties[{name}]"), errors);
    }
    if let Some(items @ Value::Object(_)) = schema.get("items") {
        walk(items, &format!("{field}.items"), errors);
    } else if type_name == "array" {
        errors.push(FieldError::required(format!("{field}.items"), "must be specified"));
    }
    if let Some(values @ Value::Object(_)) = schema.get("additionalProperties") {
        walk(values, &format!("{field}.additionalProperties"), errors);
    }
}

/// A default must fit its own schema.
fn default(schema: &Value, field: &str, errors: &mut Vec<FieldError>) {
    let Some(default) = schema.get("default") else { return };
    let judged = Schema::new(schema.clone(), Arc::default());
    errors.extend(validate(default, None, judged.root(), &format!("{field}.default")));
}

/// Of the metadata, only the names may be restricted.
fn metadata(name: &str, schema: &Value, field: &str, errors: &mut Vec<FieldError>) {
    if name != "metadata" {
        return;
    }
    for (property, _) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if !matches!(property.as_str(), "name" | "generateName") {
            let why = "must not specify anything other than name and generateName, but metadata is implicitly specified";
            errors.push(FieldError::forbidden(format!("{field}.properties[metadata]"), why));
            return;
        }
    }
}

fn list_type(schema: &Value, field: &str, errors: &mut Vec<FieldError>) {
    let list_type = schema.get("x-kubernetes-list-type").and_then(Value::as_str).unwrap_or_default();
    let keys: Vec<&str> =
        schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    match list_type {
        "" | "atomic" => {}
        "set" => {
            let of = schema.pointer("/items/type").and_then(Value::as_str).unwrap_or_default();
            if of == "object" && schema.pointer("/items/x-kubernetes-map-type").and_then(Value::as_str) != Some("atomic") {
                errors.push(FieldError::invalid(
                    format!("{field}.items.x-kubernetes-map-type"),
                    &"granular".into(),
                    "must be atomic as item of a list with x-kubernetes-list-type=set",
                ));
            }
        }
        "map" => {
            if keys.is_empty() {
                errors.push(FieldError::required(
                    format!("{field}.x-kubernetes-list-map-keys"),
                    "must not be empty if x-kubernetes-list-type is map",
                ));
            }
            let required: Vec<&str> =
                schema.pointer("/items/required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
            for (index, key) in keys.iter().enumerate() {
                let property = schema.pointer(&format!("/items/properties/{key}"));
                if property.is_none() {
                    let told = "entries must all be names of item properties";
                    errors.push(FieldError::invalid(format!("{field}.x-kubernetes-list-map-keys[{index}]"), &(*key).into(), told));
                } else if !required.contains(key) && property.is_none_or(|property| property.get("default").is_none()) {
                    errors.push(FieldError::required(
                        format!("{field}.items.properties[{key}].default"),
                        "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
                    ));
                }
            }
        }
        other => errors.push(FieldError::not_supported(
            format!("{field}.x-kubernetes-list-type"),
            &format!("{other:?}"),
            &["atomic", "map", "set"],
        )),
    }
    if list_type != "map" && !keys.is_empty() {
        errors.push(FieldError::forbidden(
            format!("{field}.x-kubernetes-list-map-keys"),
            "must not be set if x-kubernetes-list-type is not map",
        ));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(schema: &Value) -> Vec<String> {
        errors(schema, "openAPIV3Schema").into_iter().map(|error| format!("{}: {}", error.field, error.detail)).collect()
    }

    #[test]
    fn a_schema_without_types_is_not_structural() {
        assert!(told(&json!({"type": "object", "properties": {"spec": {"type": "object"}}})).is_empty());
        assert_eq!(
            told(&json!({"type": "object", "properties": {"spec": {}}})),
            ["openAPIV3Schema.properties[spec].type: Required value: must not be empty for specified object fields"]
        );
    }

    #[test]
    fn keys_of_a_map_list_are_required_or_have_defaults() {
        let list = json!({"type": "object", "properties": {"l": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "properties": {"k": {"type": "string"}}}}}});
        assert_eq!(told(&list).len(), 1);
    }
}
