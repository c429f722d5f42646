//! The CEL rules of a custom resource, compiled once and evaluated where they stand; it judges no schema.

use std::collections::BTreeMap;

use kube::core::cel::{CompiledSchema, ErrorKind, Validator, compile_schema};
use serde_json::Value;

use super::error::FieldError;
use super::schema::{Node, Unnamed};
use super::validate::{correlated, join};

/// The rules of one place of a schema and of everything below it.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    own: Option<OwnRules>,
    members: BTreeMap<String, Rules>,
    items: Option<Box<Rules>>,
    values: Option<Box<Rules>>,
}

#[derive(Debug)]
struct OwnRules {
    compiled: CompiledSchema,
    type_name: String,
    /// Those that look at the old value; they alone are asked about a value that stays as it was.
    transitions: Option<CompiledSchema>,
}

thread_local! {
    /// Making one registers a library of functions, so it is made once a thread.
    static VALIDATOR: Validator = Validator::new();
}

impl Rules {
    /// The rules of a schema; none if it has none.
    pub(crate) fn compile(schema: Node<'_>) -> Option<Self> {
        let members: BTreeMap<String, Rules> =
            schema.properties().filter_map(|(name, schema)| Some((name.to_owned(), Self::compile(schema)?))).collect();
        let items = schema.items().and_then(Self::compile).map(Box::new);
        let values = match schema.unnamed() {
            Unnamed::Values(schema) => Self::compile(schema).map(Box::new),
            Unnamed::Unknown | Unnamed::Anything => None,
        };
        let rules = schema.list("x-kubernetes-validations");
        let own = (!rules.is_empty()).then(|| {
            let all = without_inner_rules(schema);
            OwnRules {
                transitions: transitions(&all).map(|transitions| compile_schema(&transitions)),
                compiled: compile_schema(&all),
                type_name: schema.type_name().unwrap_or("object").to_owned(),
            }
        });
        let any = own.is_some() || !members.is_empty() || items.is_some() || values.is_some();
        any.then_some(Self { own, members, items, values })
    }

    /// The rules that an object breaks.
    pub(crate) fn broken(&self, value: &Value, old: Option<&Value>, schema: Node<'_>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        self.evaluate(value, old, schema, "", &mut errors);
        errors
    }

    fn evaluate(&self, value: &Value, old: Option<&Value>, schema: Node<'_>, path: &str, errors: &mut Vec<FieldError>) {
        if let Some(own) = &self.own
            && !value.is_null()
            && let Some(rules) = if old == Some(value) { own.transitions.as_ref() } else { Some(&own.compiled) }
        {
            own.evaluate(rules, value, old, path, errors);
        }
        match value {
            Value::Object(map) => {
                for (name, value) in map {
                    let old = old.and_then(|old| old.get(name));
                    match (self.members.get(name), &self.values) {
                        (Some(rules), _) => {
                            if let Some(schema) = schema.property(name) {
                                rules.evaluate(value, old, schema, &join(path, name), errors);
                            }
                        }
                        (None, Some(rules)) => {
                            if let Some(schema) = schema.member(name) {
                                rules.evaluate(value, old, schema, &format!("{path}[{name}]"), errors);
                            }
                        }
                        (None, None) => {}
                    }
                }
            }
            Value::Array(items) => {
                if let (Some(rules), Some(item_schema)) = (&self.items, schema.items()) {
                    for (index, item) in items.iter().enumerate() {
                        let old = old.and_then(|old| correlated(item, index, old, schema));
                        rules.evaluate(item, old, item_schema, &format!("{path}[{index}]"), errors);
                    }
                }
            }
            _ => {}
        }
    }
}

impl OwnRules {
    fn evaluate(&self, rules: &CompiledSchema, value: &Value, old: Option<&Value>, path: &str, errors: &mut Vec<FieldError>) {
        let Err(broken) = VALIDATOR.with(|validator| validator.validate_compiled(rules, value, old)) else { return };
        for error in broken.into_vec() {
            let field = match error.field_path.as_str() {
                "" => path.to_owned(),
                below => join(path, below.trim_start_matches('.')),
            };
            // A rule on the root has no field to name.
            let field = if field.is_empty() { "<nil>".to_owned() } else { field };
            let shown = Value::from(self.type_name.clone());
            errors.push(match error.reason.as_deref() {
                Some("FieldValueForbidden") => FieldError::forbidden(field, &error.message),
                Some("FieldValueRequired") => FieldError::required(field, &error.message),
                Some("FieldValueDuplicate") => FieldError::duplicate(field, &shown),
                _ if error.kind == ErrorKind::ValidationFailure => FieldError::invalid(field, &shown, &error.message),
                _ => FieldError::invalid(field, &shown, &format!("rule evaluation error: {}", error.message)),
            });
        }
    }
}

/// A schema whose rules stand at its top only, so that one evaluation judges one place.
fn without_inner_rules(schema: Node<'_>) -> Value {
    let mut value = schema.value().clone();
    let Value::Object(members) = &mut value else { return value };
    for (name, member) in members {
        if name != "x-kubernetes-validations" {
            strip_rules(member);
        }
    }
    value
}

/// The same with those rules alone that look at the old value; nothing if there are none.
fn transitions(schema: &Value) -> Option<Value> {
    let mut schema = schema.clone();
    let Some(Value::Array(rules)) = schema.get_mut("x-kubernetes-validations") else { return None };
    rules.retain(|rule| rule.get("rule").and_then(Value::as_str).is_some_and(|rule| rule.contains("oldSelf")));
    (!rules.is_empty()).then_some(schema)
}

fn strip_rules(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|name, value| name != "x-kubernetes-validations" || !value.is_array());
            map.values_mut().for_each(strip_rules);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_rules),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::super::schema::Schema;
    use super::*;

    fn told(schema: &Schema, value: &Value, old: Option<&Value>) -> Vec<String> {
        let rules = Rules::compile(schema.root()).expect("it has rules");
        rules.broken(value, old, schema.root()).into_iter().map(|error| format!("{}: {}", error.field, error.detail)).collect()
    }

    #[test]
    fn a_broken_rule_is_told_where_it_stands() {
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object",
            "x-kubernetes-validations": [{"rule": "self.a != self.b", "message": "a and b must differ"}],
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}}});
        let schema = Schema::new(schema, Arc::default());
        assert_eq!(told(&schema, &json!({"spec": {"a": 1, "b": 1}}), None), [r#"spec: Invalid value: "object": a and b must differ"#]);
        assert!(told(&schema, &json!({"spec": {"a": 1, "b": 2}}), None).is_empty());
    }

    #[test]
    fn a_transition_rule_needs_an_old_value() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "string",
            "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "it can't change"}]}}});
        let schema = Schema::new(schema, Arc::default());
        assert!(told(&schema, &json!({"a": "x"}), None).is_empty());
        assert!(told(&schema, &json!({"a": "x"}), Some(&json!({}))).is_empty());
        assert_eq!(told(&schema, &json!({"a": "y"}), Some(&json!({"a": "x"}))), [r#"a: Invalid value: "string": it can't change"#]);
    }

    #[test]
    fn what_stays_as_it_was_is_asked_of_by_transition_rules_alone() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "integer", "x-kubernetes-validations": [
            {"rule": "self >= oldSelf", "message": "it may only grow"}, {"rule": "self < 5", "message": "it must be below 5"}]}}});
        let schema = Schema::new(schema, Arc::default());
        assert!(told(&schema, &json!({"a": 9}), Some(&json!({"a": 9}))).is_empty());
        assert_eq!(told(&schema, &json!({"a": 9}), Some(&json!({"a": 8}))), [r#"a: Invalid value: "integer": it must be below 5"#]);
    }

    #[test]
    fn items_of_a_map_list_continue_the_old_item_of_their_key() {
        let schema = json!({"type": "object", "properties": {"l": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}},
                      "x-kubernetes-validations": [{"rule": "self.v >= oldSelf.v", "message": "v may only grow"}]}}}});
        let schema = Schema::new(schema, Arc::default());
        let old = json!({"l": [{"k": "a", "v": 1}, {"k": "b", "v": 9}]});
        assert!(told(&schema, &json!({"l": [{"k": "b", "v": 9}, {"k": "c", "v": 0}, {"k": "a", "v": 2}]}), Some(&old)).is_empty());
        assert_eq!(told(&schema, &json!({"l": [{"k": "b", "v": 8}]}), Some(&old)), [r#"l[0]: Invalid value: "object": v may only grow"#]);
    }
}
