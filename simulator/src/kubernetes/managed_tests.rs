//! Field ownership, told as stories of managers over one object.

use std::sync::Arc;

use super::super::schema::Schema;
use super::*;

fn schema() -> Schema {
    let text = json!({"type": "object", "properties": {
        "metadata": {"type": "object", "properties": {"labels": {"type": "object", "additionalProperties": {"type": "string"}}}},
        "spec": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}},
        "status": {"type": "object", "properties": {"phase": {"type": "string"}}}}});
    Schema::new(text, Arc::default())
}

fn manager(name: &str, operation: Operation) -> Manager {
    Manager { name: name.into(), operation, api_version: "v1".into(), subresource: String::new() }
}

fn applied(live: &Value, config: &Value, name: &str, ownership: Ownership) -> Result<Value> {
    let schema = schema();
    let view = View { schema: schema.root(), status: Some(super::super::resource::Status) };
    apply(live, config, &manager(name, Operation::Apply), ownership, view, "t")
}

fn owned(object: &Value, name: &str) -> Value {
    let entries = object::list(object, &["metadata", "managedFields"]);
    entries.iter().find(|entry| entry["manager"] == name).map_or(Value::Null, |entry| entry["fieldsV1"].clone())
}

#[test]
fn a_field_of_another_is_a_conflict_until_it_is_forced() {
    let live = applied(&json!({}), &json!({"spec": {"a": "1"}}), "one", Ownership::Respect).expect("new");
    let error = applied(&live, &json!({"spec": {"a": "2"}}), "two", Ownership::Respect).expect_err("a conflict");
    assert_eq!(error.message, "Apply failed with 1 conflict: conflict with \"one\": .spec.a");
    let live = applied(&live, &json!({"spec": {"a": "2"}}), "two", Ownership::Force).expect("forced");
    assert_eq!((owned(&live, "one"), owned(&live, "two")), (Value::Null, json!({"f:spec": {"f:a": {}}})));
}

#[test]
fn the_same_value_is_shared() {
    let live = applied(&json!({}), &json!({"spec": {"a": "1"}}), "one", Ownership::Respect).expect("new");
    let live = applied(&live, &json!({"spec": {"a": "1", "b": "2"}}), "two", Ownership::Respect).expect("no conflict");
    let live = applied(&live, &json!({"spec": {}}), "one", Ownership::Respect).expect("let go");
    assert_eq!(live["spec"], json!({"a": "1", "b": "2"}));
}

#[test]
fn what_an_applier_no_longer_names_goes() {
    let live = applied(&json!({}), &json!({"spec": {"a": "1", "b": "2"}}), "one", Ownership::Respect).expect("new");
    let live = applied(&live, &json!({"spec": {"a": "1"}}), "one", Ownership::Respect).expect("less");
    assert_eq!(live["spec"], json!({"a": "1"}));
}

#[test]
fn an_update_takes_what_it_changes() {
    let schema = schema();
    let view = View { schema: schema.root(), status: Some(super::super::resource::Status) };
    let live = applied(&json!({}), &json!({"spec": {"a": "1", "b": "2"}}), "one", Ownership::Respect).expect("new");
    let mut new = live.clone();
    new["spec"]["a"] = "9".into();
    track_update(&live, &mut new, &manager("edit", Operation::Update), view, "t");
    assert_eq!((owned(&new, "one"), owned(&new, "edit")), (json!({"f:spec": {"f:b": {}}}), json!({"f:spec": {"f:a": {}}})));
    let error = applied(&new, &json!({"spec": {"a": "1", "b": "3"}}), "one", Ownership::Respect).expect_err("a conflict");
    assert_eq!(error.message, "Apply failed with 1 conflict: conflict with \"edit\" using v1: .spec.a");
}

#[test]
fn an_apply_that_changes_nothing_keeps_its_time() {
    let live = applied(&json!({}), &json!({"spec": {"a": "1"}}), "one", Ownership::Respect).expect("new");
    let schema = schema();
    let view = View { schema: schema.root(), status: Some(super::super::resource::Status) };
    let again =
        apply(&live, &json!({"spec": {"a": "1"}}), &manager("one", Operation::Apply), Ownership::Respect, view, "later").expect("same");
    assert_eq!(again, live);
}

#[test]
fn several_conflicts_are_told_by_manager() {
    let live = applied(&json!({}), &json!({"spec": {"a": "1", "b": "1"}}), "one", Ownership::Respect).expect("new");
    let error = applied(&live, &json!({"spec": {"a": "2", "b": "2"}}), "two", Ownership::Respect).expect_err("conflicts");
    assert_eq!(error.message, "Apply failed with 2 conflicts: conflicts with \"one\":\n- .spec.a\n- .spec.b");
}
