//! CEL rules when objects are created, and which rules a definition may not have; it must not compare how a value is printed.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::capability::Need;
use crate::check::Check;
use crate::fixtures::{DEFINITIONS, definition};
use crate::ground::Ground;
use crate::{contains, same};

/// The checks of rules on create.
pub const CHECKS: &[Check] = crate::checks!("cel-create", [Need::Cel];
    what_keeps_the_rules_is_stored,
    two_fields_are_compared,
    the_cause_names_the_field_of_the_rule,
    a_message_can_be_computed,
    the_reason_can_be_chosen,
    every_item_of_a_list_is_checked,
    every_key_of_a_map_is_checked,
    exactly_one_of_two_is_checked,
    the_name_of_the_object_is_checked,
    all_broken_rules_are_told,
    a_rule_on_an_absent_field_does_not_run,
    a_rule_on_the_old_object_does_not_run,
    a_rule_sees_defaults,
    a_wrong_type_comes_before_rules,
    a_dry_run_checks_the_rules,
    an_apply_checks_the_rules,
);

/// The checks of definitions with rules.
pub const DEFINITION_CHECKS: &[Check] = crate::checks!("cel-definitions", [Need::Cel];
    a_rule_without_bounds_is_refused,
    a_rule_that_does_not_compile_is_refused,
    a_rule_on_an_unknown_field_is_refused,
    a_rule_that_is_no_truth_is_refused,
    the_old_value_of_an_uncorrelated_item_is_refused,
    an_empty_rule_is_refused,
    a_message_of_two_lines_is_refused,
    a_path_to_no_field_is_refused,
    a_computed_message_must_compile,
    an_unknown_reason_is_refused,
    the_same_rule_with_bounds_is_accepted,
    a_refused_change_leaves_the_definition,
);

/// A rule object.
pub(super) fn rule(g: &Ground, name: &str, spec: &Value) -> Value {
    let mut object = g.object("Rule", name, &json!({"minimum": 1, "maximum": 5}));
    if let (Some(all), Some(more)) = (object["spec"].as_object_mut(), spec.as_object()) {
        all.extend(more.clone());
    }
    object
}

async fn create(g: &Ground, spec: &Value) -> Result<Answer> {
    g.server.post(&g.all("rules"), &rule(g, "r", spec)).await
}

/// Creates a rule of this spec, expects a refusal with a cause on `field` that says `message`, and that nothing was stored.
async fn broken(g: &Ground, spec: Value, field: &str, message: &str) -> Result<Answer> {
    let refused = create(g, &spec).await?;
    contains!(refused.clone().invalid(field)?, message);
    g.server.get(&format!("{}/r", g.all("rules"))).await?.refused(404, "NotFound")?;
    Ok(refused)
}

async fn what_keeps_the_rules_is_stored(g: &Ground) -> Result<()> {
    let spec = json!({"class": "a", "interval": "5m", "hosts": ["https://a"], "labels": {"a": "b"}, "adopt": {"id": "x"}, "replicas": 5});
    let made = create(g, &spec).await?.status(201)?;
    same!(made.at("/spec/replicas"), 5);
    same!(made.at("/spec/level"), 1);
    Ok(())
}

async fn two_fields_are_compared(g: &Ground) -> Result<()> {
    broken(g, json!({"minimum": 6}), "spec", "minimum must not exceed maximum").await?;
    create(g, &json!({"minimum": 5})).await?.status(201)?;
    Ok(())
}

async fn the_cause_names_the_field_of_the_rule(g: &Ground) -> Result<()> {
    let refused = broken(g, json!({"hosts": ["http://a"]}), "spec.hosts", "every host must begin with https://").await?;
    same!(refused.list("/details/causes").len(), 1);
    same!(refused.at("/details/causes/0/reason"), "FieldValueInvalid");
    contains!(refused.message(), format!("Rule.{} \"r\" is invalid: spec.hosts: Invalid value:", g.group));
    Ok(())
}

async fn a_message_can_be_computed(g: &Ground) -> Result<()> {
    broken(g, json!({"replicas": 9}), "spec", "replicas 9 is above 5").await?;
    Ok(())
}

async fn the_reason_can_be_chosen(g: &Ground) -> Result<()> {
    let refused = broken(g, json!({"interval": "59s"}), "spec.interval", "interval must be at least one minute").await?;
    same!(refused.at("/details/causes/0/reason"), "FieldValueForbidden");
    create(g, &json!({"interval": "1h"})).await?.status(201)?;
    Ok(())
}

async fn every_item_of_a_list_is_checked(g: &Ground) -> Result<()> {
    broken(g, json!({"hosts": ["https://a", "https://b", "ftp://c"]}), "spec.hosts", "https://").await?;
    create(g, &json!({"hosts": []})).await?.status(201)?;
    Ok(())
}

async fn every_key_of_a_map_is_checked(g: &Ground) -> Result<()> {
    broken(g, json!({"labels": {"a": "b", "reserved/x": "c"}}), "spec.labels", "labels must not begin with reserved/").await?;
    Ok(())
}

async fn exactly_one_of_two_is_checked(g: &Ground) -> Result<()> {
    broken(g, json!({"adopt": {}}), "spec.adopt", "exactly one of id and reset").await?;
    broken(g, json!({"adopt": {"id": "x", "reset": true}}), "spec.adopt", "exactly one of id and reset").await?;
    create(g, &json!({"adopt": {"reset": true}})).await?.status(201)?;
    Ok(())
}

async fn the_name_of_the_object_is_checked(g: &Ground) -> Result<()> {
    let refused = g.server.post(&g.all("rules"), &rule(g, "a-name-that-is-long", &json!({}))).await?.refused(422, "Invalid")?;
    contains!(refused.message(), "the name must have at most 12 characters");
    g.server.post(&g.all("rules"), &rule(g, "twelve-chars", &json!({}))).await?.status(201)?;
    Ok(())
}

async fn all_broken_rules_are_told(g: &Ground) -> Result<()> {
    let refused = create(g, &json!({"minimum": 6, "hosts": ["x"], "interval": "1s"})).await?.refused(422, "Invalid")?;
    let mut fields: Vec<_> = refused.list("/details/causes").iter().map(|cause| cause["field"].clone()).collect();
    fields.sort_by_key(Value::to_string);
    same!(fields, ["spec", "spec.hosts", "spec.interval"]);
    Ok(())
}

async fn a_rule_on_an_absent_field_does_not_run(g: &Ground) -> Result<()> {
    let made = create(g, &json!({})).await?.status(201)?;
    same!(made.at("/spec"), json!({"minimum": 1, "maximum": 5, "level": 1}));
    Ok(())
}

async fn a_rule_on_the_old_object_does_not_run(g: &Ground) -> Result<()> {
    let made = create(g, &json!({"class": "any", "level": 0, "entries": [{"name": "a", "fixed": "x"}]})).await?.status(201)?;
    same!(made.at("/spec/level"), 0);
    same!(made.at("/spec/class"), "any");
    Ok(())
}

async fn a_rule_sees_defaults(g: &Ground) -> Result<()> {
    let made = create(g, &json!({})).await?.status(201)?;
    same!(made.at("/spec/level"), 1);
    let path = format!("{}/r", g.all("rules"));
    let message = g.server.merge(&path, &json!({"spec": {"level": 0}})).await?.invalid("spec.level")?;
    contains!(message, "level must not fall");
    Ok(())
}

async fn a_wrong_type_comes_before_rules(g: &Ground) -> Result<()> {
    let refused = create(g, &json!({"minimum": "six", "hosts": ["x"]})).await?.refused(422, "Invalid")?;
    let fields: Vec<_> = refused.list("/details/causes").iter().filter_map(|cause| cause["field"].as_str()).collect();
    ensure!(fields.contains(&"spec.minimum"), "{}", refused.excerpt());
    contains!(refused.message(), "some validation rules were not checked because the object was invalid");
    Ok(())
}

async fn a_dry_run_checks_the_rules(g: &Ground) -> Result<()> {
    let body = rule(g, "r", &json!({"minimum": 6}));
    g.server.post(&g.all("rules"), &body).dry().await?.invalid("spec")?;
    g.server.post(&g.all("rules"), &rule(g, "r", &json!({}))).dry().await?.status(201)?;
    Ok(())
}

async fn an_apply_checks_the_rules(g: &Ground) -> Result<()> {
    let path = format!("{}/r", g.all("rules"));
    let message = g.server.apply(&path, "one", &rule(g, "r", &json!({"minimum": 6}))).await?.invalid("spec")?;
    contains!(message, "minimum must not exceed maximum");
    g.server.get(&path).await?.refused(404, "NotFound")?;
    g.server.apply(&path, "one", &rule(g, "r", &json!({}))).await?.status(201)?;
    Ok(())
}

fn with_rule(g: &Ground, field: &Value) -> Value {
    let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {"field": field}}}}});
    definition(&g.own_group(), "ruleds", "Ruled", "Namespaced", &json!({"schema": schema}))
}

/// Posts a definition of this field and expects a refusal that names its rules and says `message`.
async fn refused(g: &Ground, field: Value, message: &str) -> Result<()> {
    let answer = g.server.post(DEFINITIONS, &with_rule(g, &field)).await?.refused(422, "Invalid")?;
    contains!(answer.message(), "properties[field]", "x-kubernetes-validations[0]", message);
    g.server.get(&format!("{DEFINITIONS}/ruleds.{}", g.own_group())).await?.refused(404, "NotFound")?;
    Ok(())
}

fn unbounded() -> Value {
    json!({"type": "array", "items": {"type": "array", "items": {"type": "string"}},
           "x-kubernetes-validations": [{"rule": "self.all(a, a.all(b, self.all(c, c.all(d, b == d || b.contains(d)))))"}]})
}

async fn a_rule_without_bounds_is_refused(g: &Ground) -> Result<()> {
    refused(g, unbounded(), "estimated rule cost exceeds budget").await
}

async fn a_rule_that_does_not_compile_is_refused(g: &Ground) -> Result<()> {
    refused(g, json!({"type": "integer", "x-kubernetes-validations": [{"rule": "self > "}]}), "compilation failed").await?;
    refused(g, json!({"type": "integer", "x-kubernetes-validations": [{"rule": "self.startsWith('a')"}]}), "compilation failed").await
}

async fn a_rule_on_an_unknown_field_is_refused(g: &Ground) -> Result<()> {
    let field = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "x-kubernetes-validations": [{"rule": "self.b > 1"}]});
    refused(g, field, "undefined field 'b'").await
}

async fn a_rule_that_is_no_truth_is_refused(g: &Ground) -> Result<()> {
    refused(g, json!({"type": "integer", "x-kubernetes-validations": [{"rule": "self + 1"}]}), "must evaluate to a bool").await
}

async fn the_old_value_of_an_uncorrelated_item_is_refused(g: &Ground) -> Result<()> {
    let item = json!({"type": "string", "maxLength": 5, "x-kubernetes-validations": [{"rule": "self == oldSelf"}]});
    let field = json!({"type": "array", "maxItems": 5, "items": item, "x-kubernetes-list-type": "atomic"});
    refused(g, field, "oldSelf cannot be used on the uncorrelatable portion of the schema").await
}

async fn an_empty_rule_is_refused(g: &Ground) -> Result<()> {
    refused(g, json!({"type": "integer", "x-kubernetes-validations": [{"rule": "  "}]}), "rule is not specified").await
}

async fn a_message_of_two_lines_is_refused(g: &Ground) -> Result<()> {
    let rule = json!({"rule": "self > 1", "message": "one\ntwo"});
    refused(g, json!({"type": "integer", "x-kubernetes-validations": [rule]}), "message must not contain line breaks").await
}

async fn a_path_to_no_field_is_refused(g: &Ground) -> Result<()> {
    let rule = json!({"rule": "self > 1", "fieldPath": ".nowhere"});
    refused(g, json!({"type": "integer", "x-kubernetes-validations": [rule]}), "fieldPath must be a valid path").await
}

async fn a_computed_message_must_compile(g: &Ground) -> Result<()> {
    let rule = json!({"rule": "self > 1", "messageExpression": "'got ' +"});
    refused(g, json!({"type": "integer", "x-kubernetes-validations": [rule]}), "messageExpression compilation failed").await
}

async fn an_unknown_reason_is_refused(g: &Ground) -> Result<()> {
    let rule = json!({"rule": "self > 1", "reason": "FieldValueOdd"});
    refused(g, json!({"type": "integer", "x-kubernetes-validations": [rule]}), "FieldValueOdd").await
}

async fn the_same_rule_with_bounds_is_accepted(g: &Ground) -> Result<()> {
    let mut field = unbounded();
    field["maxItems"] = 3.into();
    field["items"]["maxItems"] = 3.into();
    field["items"]["items"]["maxLength"] = 10.into();
    let made = g.server.post(DEFINITIONS, &with_rule(g, &field)).await?.status(201)?;
    let kept = made.at("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/field/x-kubernetes-validations");
    same!(kept, field["x-kubernetes-validations"]);
    Ok(())
}

async fn a_refused_change_leaves_the_definition(g: &Ground) -> Result<()> {
    let good = json!({"type": "integer", "x-kubernetes-validations": [{"rule": "self > 1"}]});
    let made = g.server.post(DEFINITIONS, &with_rule(g, &good)).await?.status(201)?;
    let path = format!("{DEFINITIONS}/ruleds.{}", g.own_group());
    let rule = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/field/x-kubernetes-validations/0/rule";
    let refused =
        g.server.json_patch(&path, &json!([{"op": "replace", "path": rule, "value": "self +"}])).await?.refused(422, "Invalid")?;
    contains!(refused.message(), "compilation failed");
    let read = g.server.get(&path).await?.ok()?;
    same!(read.at("/spec"), made.at("/spec"));
    same!(read.generation(), 1);
    Ok(())
}
