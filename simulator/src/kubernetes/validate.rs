//! Checks values against a custom resource's schema in the words of a real server; it changes nothing.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use regex::Regex;
use serde_json::Value;

use super::error::{FieldError, printed};
use super::formats::has_format;
use super::schema::{ListType, Node};

/// Everything that is wrong with a value. What an update leaves as it was is not held against it.
pub(crate) fn validate(value: &Value, old: Option<&Value>, schema: Node<'_>, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    validate_at(value, old, schema, path, &mut errors);
    errors
}

fn validate_at(value: &Value, old: Option<&Value>, schema: Node<'_>, path: &str, errors: &mut Vec<FieldError>) {
    if old == Some(value) || (value.is_null() && schema.is_nullable()) {
        return;
    }
    let wrong = wrong_type(value, schema, path);
    let stops = wrong.is_some();
    errors.extend(wrong);
    allowed_values(value, schema, path, errors);
    if stops {
        return;
    }
    match value {
        Value::String(text) => string(text, schema, path, errors),
        Value::Number(_) => number(value, schema, path, errors),
        Value::Array(items) => array(items, old, schema, path, errors),
        Value::Object(_) => object(value, old, schema, path, errors),
        Value::Null | Value::Bool(_) => {}
    }
    junctors(value, schema, path, errors);
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn wrong_type(value: &Value, schema: Node<'_>, path: &str) -> Option<FieldError> {
    let is = type_of(value);
    if schema.is_int_or_string() {
        let message = format!("{path} in body must be of type integer,string: {is:?}");
        return (!matches!(is, "integer" | "string")).then(|| FieldError::type_invalid(path, &is.into(), &message));
    }
    let wanted = schema.type_name()?;
    let whole = |value: &Value| value.as_f64().is_some_and(|number| number.fract() == 0.0);
    let fits = wanted == is || (wanted == "number" && is == "integer") || (wanted == "integer" && is == "number" && whole(value));
    let message = format!("{path} in body must be of type {wanted}: {is:?}");
    (!fits).then(|| FieldError::type_invalid(path, &is.into(), &message))
}

fn allowed_values(value: &Value, schema: Node<'_>, path: &str, errors: &mut Vec<FieldError>) {
    let allowed = schema.list("enum");
    if allowed.is_empty() || allowed.contains(value) {
        return;
    }
    let allowed: Vec<String> = allowed.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect();
    let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
    errors.push(FieldError::not_supported(path, &printed(value), &allowed));
}

fn string(text: &str, schema: Node<'_>, path: &str, errors: &mut Vec<FieldError>) {
    let value = Value::from(text);
    let length = text.chars().count() as u64;
    // The first of these is told, and no other.
    if let Some(most) = schema.length("maxLength").filter(|most| length > *most) {
        errors.push(FieldError::too_long(path, most));
    } else if let Some(least) = schema.length("minLength").filter(|least| length < *least) {
        errors.push(FieldError::invalid(path, &value, &format!("{path} in body should be at least {least} chars long")));
    } else if let Some(pattern) = schema.text("pattern").filter(|pattern| !matches_pattern(pattern, text)) {
        errors.push(FieldError::invalid(path, &value, &format!("{path} in body should match '{pattern}'")));
    }
    if let Some(format) = schema.text("format").filter(|format| !has_format(format, text)) {
        errors.push(FieldError::invalid(path, &value, &format!("{path} in body must be of type {format}: {text:?}")));
    }
}

/// A pattern that cannot be compiled matches nothing; CRDs with such are refused.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    static COMPILED: LazyLock<Mutex<HashMap<String, Option<Regex>>>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let regex = compiled.entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).ok());
    regex.as_ref().is_some_and(|regex| regex.is_match(text))
}

fn number(value: &Value, schema: Node<'_>, path: &str, errors: &mut Vec<FieldError>) {
    let Some(number) = value.as_f64() else { return };
    let exclusive = |name: &str| schema.value().get(name).and_then(Value::as_bool) == Some(true);
    if let Some(most) = schema.number("maximum") {
        let strictly = exclusive("exclusiveMaximum");
        if number > most || (strictly && number >= most) {
            let words = if strictly { "less than" } else { "less than or equal to" };
            errors.push(FieldError::invalid(path, value, &format!("{path} in body should be {words} {most}")));
        }
    }
    if let Some(least) = schema.number("minimum") {
        let strictly = exclusive("exclusiveMinimum");
        if number < least || (strictly && number <= least) {
            let words = if strictly { "greater than" } else { "greater than or equal to" };
            errors.push(FieldError::invalid(path, value, &format!("{path} in body should be {words} {least}")));
        }
    }
    if let Some(factor) = schema.number("multipleOf").filter(|factor| *factor != 0.0 && (number / factor).fract() != 0.0) {
        errors.push(FieldError::invalid(path, value, &format!("{path} in body should be a multiple of {factor}")));
    }
}

fn array(items: &[Value], old: Option<&Value>, schema: Node<'_>, path: &str, errors: &mut Vec<FieldError>) {
    if let Some(most) = schema.length("maxItems").filter(|most| items.len() as u64 > *most) {
        errors.push(FieldError::too_many(path, items.len(), most));
    }
    if let Some(least) = schema.length("minItems").filter(|least| (items.len() as u64) < *least) {
        let message = format!("{path} in body should have at least {least} items");
        errors.push(FieldError::invalid(path, &items.len().into(), &message));
    }
    duplicates(items, schema, path, errors);
    let Some(item_schema) = schema.items() else { return };
    for (index, item) in items.iter().enumerate() {
        let old = old.and_then(|old| correlated(item, index, old, schema));
        validate_at(item, old, item_schema, &format!("{path}[{index}]"), errors);
    }
}

/// The old item that an item continues.
pub(crate) fn correlated<'a>(item: &Value, index: usize, old: &'a Value, schema: Node<'_>) -> Option<&'a Value> {
    let old = old.as_array()?;
    match schema.list_type() {
        ListType::Map(keys) => old.iter().find(|one| keys.iter().all(|key| one.get(key) == item.get(key))),
        ListType::Set => old.iter().find(|one| *one == item),
        ListType::Atomic => old.get(index).filter(|one| *one == item),
    }
}

fn duplicates(items: &[Value], schema: Node<'_>, path: &str, errors: &mut Vec<FieldError>) {
    let mut seen: Vec<Value> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let identity = match schema.list_type() {
            ListType::Atomic => return,
            ListType::Set => item.clone(),
            ListType::Map(keys) => {
                let members = keys.iter().filter_map(|key| Some(((*key).to_owned(), item.get(key)?.clone())));
                Value::Object(members.collect())
            }
        };
        if seen.contains(&identity) {
            errors.push(FieldError::duplicate(format!("{path}[{index}]"), &identity));
        }
        seen.push(identity);
    }
}

fn object(value: &Value, old: Option<&Value>, schema: Node<'_>, path: &str, errors: &mut Vec<FieldError>) {
    let Value::Object(map) = value else { return };
    for required in schema.list("required").iter().filter_map(Value::as_str) {
        if !map.contains_key(required) {
            errors.push(FieldError::required(join(path, required), ""));
        }
    }
    if let Some(most) = schema.length("maxProperties").filter(|most| map.len() as u64 > *most) {
        errors.push(FieldError::too_many(path, map.len(), most));
    }
    if let Some(least) = schema.length("minProperties").filter(|least| (map.len() as u64) < *least) {
        let message = format!("{path} in body should have at least {least} properties");
        errors.push(FieldError::invalid(path, &map.len().into(), &message));
    }
    for (name, member) in map {
        if let Some(schema) = schema.member(name) {
            validate_at(member, old.and_then(|old| old.get(name)), schema, &join(path, name), errors);
        }
    }
}

/// The path of a member.
pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn junctors(value: &Value, schema: Node<'_>, path: &str, errors: &mut Vec<FieldError>) {
    let fits = |branch: &Node<'_>| {
        let mut errors = Vec::new();
        validate_at(value, None, *branch, path, &mut errors);
        errors.is_empty()
    };
    for branch in schema.branches("allOf") {
        validate_at(value, None, branch, path, errors);
    }
    let any = schema.branches("anyOf");
    // `anyOf` of the two types is how int-or-string is written; the type check has done it.
    if !any.is_empty() && !schema.is_int_or_string() && !any.iter().any(fits) {
        errors.push(FieldError::invalid("<nil>", &"".into(), &format!("{path:?} must validate at least one schema (anyOf)")));
    }
    let one = schema.branches("oneOf");
    let fitting = one.iter().filter(|branch| fits(branch)).count();
    if !one.is_empty() && fitting != 1 {
        let found = if fitting == 0 { "Found none valid".to_owned() } else { format!("Found {fitting} valid alternatives") };
        let told = format!("{path:?} must validate one and only one schema (oneOf). {found}");
        errors.push(FieldError::invalid("<nil>", &"".into(), &told));
    }
    if schema.not().is_some_and(|not| fits(&not)) {
        errors.push(FieldError::invalid("<nil>", &"".into(), &format!("{path:?} must not validate the schema (not)")));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::super::schema::Schema;
    use super::*;

    fn told(schema: Value, value: &Value) -> Vec<String> {
        let schema = Schema::new(schema, Arc::default());
        validate(value, None, schema.root(), "spec").into_iter().map(|error| format!("{}: {}", error.field, error.detail)).collect()
    }

    #[test]
    fn each_rule_has_the_servers_words() {
        assert_eq!(told(json!({"type": "object", "required": ["x"]}), &json!({})), ["spec.x: Required value"]);
        assert_eq!(
            told(json!({"type": "string", "enum": ["a", "b"]}), &json!("y")),
            [r#"spec: Unsupported value: "y": supported values: "a", "b""#]
        );
        assert_eq!(
            told(json!({"type": "integer"}), &json!("y")),
            [r#"spec: Invalid value: "string": spec in body must be of type integer: "string""#]
        );
        assert_eq!(
            told(json!({"type": "integer", "minimum": 10}), &json!(5)),
            ["spec: Invalid value: 5: spec in body should be greater than or equal to 10"]
        );
        assert_eq!(
            told(json!({"type": "string", "pattern": "^a+$"}), &json!("b")),
            [r#"spec: Invalid value: "b": spec in body should match '^a+$'"#]
        );
        assert_eq!(told(json!({"type": "string", "maxLength": 2}), &json!("abc")), ["spec: Too long: may not be more than 2 bytes"]);
    }

    #[test]
    fn lists_tell_their_duplicates() {
        let map =
            json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": {"type": "object"}});
        assert_eq!(told(map, &json!([{"name": "a"}, {"name": "a"}])), [r#"spec[1]: Duplicate value: map[string]interface {}{"name":"a"}"#]);
        let set = json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}});
        assert_eq!(told(set, &json!(["a", "a"])), [r#"spec[1]: Duplicate value: "a""#]);
    }

    #[test]
    fn an_update_is_not_blamed_for_what_it_leaves() {
        let schema = Schema::new(
            json!({"type": "object", "properties": {"a": {"type": "integer", "maximum": 1}, "b": {"type": "integer"}}}),
            Arc::default(),
        );
        let (old, new) = (json!({"a": 5, "b": 1}), json!({"a": 5, "b": 2}));
        assert!(validate(&new, Some(&old), schema.root(), "").is_empty());
        assert_eq!(validate(&new, None, schema.root(), "").len(), 1);
    }
}
