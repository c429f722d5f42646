//! CEL rules when objects are changed, most of all those that compare with the old object; it must not compare how a value is
//! printed.

use anyhow::Result;
use serde_json::{Value, json};

use super::cel_create::rule;
use crate::answer::Answer;
use crate::capability::Need;
use crate::check::Check;
use crate::ground::Ground;
use crate::{contains, same};

/// The group's checks.
pub const CHECKS: &[Check] = crate::checks!("cel-update", [Need::Cel];
    an_immutable_field_cannot_be_changed,
    an_immutable_field_can_be_written_again,
    an_absent_field_can_be_set_once,
    a_removed_field_escapes_its_own_rule,
    what_must_stay_cannot_be_removed,
    a_number_cannot_fall,
    items_are_compared_by_key,
    a_new_item_has_no_old_self,
    a_rule_of_two_fields_holds_on_update,
    every_verb_is_checked,
    a_forced_apply_is_checked,
    a_dry_update_is_checked,
    a_label_can_be_written,
    status_rules_hold_for_status,
    status_rules_compare_with_the_old_status,
    an_object_made_again_starts_anew,
    a_refused_update_is_not_told,
    finalizers_can_be_removed_under_rules,
);

fn path(g: &Ground) -> String {
    format!("{}/r", g.all("rules"))
}

async fn made(g: &Ground, spec: Value) -> Result<Answer> {
    g.server.post(&g.all("rules"), &rule(g, "r", &spec)).await?.status(201)
}

async fn change(g: &Ground, spec: Value) -> Result<Answer> {
    g.server.merge(&path(g), &json!({"spec": spec})).await
}

/// Changes the spec, expects a refusal with a cause on `field` that says `message`, and that nothing moved.
async fn broken(g: &Ground, spec: Value, field: &str, message: &str) -> Result<()> {
    let before = g.server.get(&path(g)).await?.ok()?;
    contains!(change(g, spec).await?.invalid(field)?, message);
    same!(g.server.get(&path(g)).await?.ok()?.body, before.body);
    Ok(())
}

async fn an_immutable_field_cannot_be_changed(g: &Ground) -> Result<()> {
    made(g, json!({"class": "a"})).await?;
    broken(g, json!({"class": "b"}), "spec.class", "class is immutable").await
}

async fn an_immutable_field_can_be_written_again(g: &Ground) -> Result<()> {
    let first = made(g, json!({"class": "a"})).await?;
    let next = change(g, json!({"class": "a", "maximum": 9})).await?.ok()?;
    same!(next.at("/spec/class"), "a");
    same!(next.generation(), first.generation() + 1);
    Ok(())
}

async fn an_absent_field_can_be_set_once(g: &Ground) -> Result<()> {
    made(g, json!({})).await?;
    same!(change(g, json!({"class": "a"})).await?.ok()?.at("/spec/class"), "a");
    broken(g, json!({"class": "b"}), "spec.class", "class is immutable").await
}

async fn a_removed_field_escapes_its_own_rule(g: &Ground) -> Result<()> {
    made(g, json!({"class": "a"})).await?;
    same!(change(g, json!({"class": null})).await?.ok()?.at("/spec/class"), Value::Null);
    same!(change(g, json!({"class": "b"})).await?.ok()?.at("/spec/class"), "b");
    Ok(())
}

async fn what_must_stay_cannot_be_removed(g: &Ground) -> Result<()> {
    made(g, json!({"adopt": {"id": "x"}})).await?;
    broken(g, json!({"adopt": null}), "spec", "adopt cannot be removed").await?;
    change(g, json!({"adopt": {"id": "y"}})).await?.ok()?;
    Ok(())
}

async fn a_number_cannot_fall(g: &Ground) -> Result<()> {
    made(g, json!({"level": 3})).await?;
    broken(g, json!({"level": 2}), "spec.level", "level must not fall").await?;
    broken(g, json!({"level": null}), "spec.level", "level must not fall").await?;
    same!(change(g, json!({"level": 4})).await?.ok()?.at("/spec/level"), 4);
    Ok(())
}

async fn items_are_compared_by_key(g: &Ground) -> Result<()> {
    made(g, json!({"entries": [{"name": "a", "fixed": "1"}, {"name": "b", "fixed": "2"}]})).await?;
    change(g, json!({"entries": [{"name": "b", "fixed": "2"}, {"name": "a", "fixed": "1"}]})).await?.ok()?;
    let swapped = json!({"entries": [{"name": "b", "fixed": "1"}, {"name": "a", "fixed": "1"}]});
    broken(g, swapped, "spec.entries[0]", "fixed is immutable").await?;
    change(g, json!({"entries": [{"name": "a", "fixed": "1"}]})).await?.ok()?;
    Ok(())
}

async fn a_new_item_has_no_old_self(g: &Ground) -> Result<()> {
    made(g, json!({"entries": [{"name": "a", "fixed": "1"}]})).await?;
    let next = change(g, json!({"entries": [{"name": "c", "fixed": "9"}, {"name": "a", "fixed": "1"}]})).await?.ok()?;
    same!(next.at("/spec/entries/0/fixed"), "9");
    Ok(())
}

async fn a_rule_of_two_fields_holds_on_update(g: &Ground) -> Result<()> {
    made(g, json!({})).await?;
    broken(g, json!({"minimum": 6}), "spec", "minimum must not exceed maximum").await?;
    change(g, json!({"minimum": 6, "maximum": 7})).await?.ok()?;
    Ok(())
}

async fn every_verb_is_checked(g: &Ground) -> Result<()> {
    let first = made(g, json!({"class": "a"})).await?;
    g.server.put(&path(g), &first.with("/spec/class", "b")).await?.invalid("spec.class")?;
    g.server.json_patch(&path(g), &json!([{"op": "replace", "path": "/spec/class", "value": "b"}])).await?.invalid("spec.class")?;
    g.server.apply(&path(g), "one", &rule(g, "r", &json!({"class": "b"}))).force().await?.invalid("spec.class")?;
    same!(g.server.get(&path(g)).await?.body, first.body);
    Ok(())
}

async fn a_forced_apply_is_checked(g: &Ground) -> Result<()> {
    g.server.apply(&path(g), "one", &rule(g, "r", &json!({"class": "a"}))).await?.status(201)?;
    let other = rule(g, "r", &json!({"class": "b"}));
    g.server.apply(&path(g), "two", &other).await?.refused(409, "Conflict")?;
    contains!(g.server.apply(&path(g), "two", &other).force().await?.invalid("spec.class")?, "class is immutable");
    same!(g.server.get(&path(g)).await?.at("/spec/class"), "a");
    Ok(())
}

async fn a_dry_update_is_checked(g: &Ground) -> Result<()> {
    made(g, json!({"class": "a"})).await?;
    g.server.merge(&path(g), &json!({"spec": {"class": "b"}})).dry().await?.invalid("spec.class")?;
    g.server.merge(&path(g), &json!({"spec": {"maximum": 9}})).dry().await?.ok()?;
    Ok(())
}

async fn a_label_can_be_written(g: &Ground) -> Result<()> {
    made(g, json!({"class": "a", "adopt": {"id": "x"}})).await?;
    let labelled = g.server.merge(&path(g), &json!({"metadata": {"labels": {"a": "b"}}})).await?.ok()?;
    same!(labelled.generation(), 1);
    Ok(())
}

async fn status_rules_hold_for_status(g: &Ground) -> Result<()> {
    made(g, json!({})).await?;
    let status = format!("{}/status", path(g));
    let message = g.server.merge(&status, &json!({"status": {"step": 3, "goal": 2}})).await?.invalid("status")?;
    contains!(message, "step must not exceed goal");
    same!(g.server.merge(&status, &json!({"status": {"step": 2, "goal": 2}})).await?.ok()?.at("/status/step"), 2);
    change(g, json!({"maximum": 9})).await?.ok()?;
    Ok(())
}

async fn status_rules_compare_with_the_old_status(g: &Ground) -> Result<()> {
    made(g, json!({})).await?;
    let status = format!("{}/status", path(g));
    g.server.merge(&status, &json!({"status": {"step": 2}})).await?.ok()?;
    contains!(g.server.merge(&status, &json!({"status": {"step": 1}})).await?.invalid("status.step")?, "step must not fall");
    same!(g.server.get(&path(g)).await?.at("/status/step"), 2);
    Ok(())
}

async fn an_object_made_again_starts_anew(g: &Ground) -> Result<()> {
    made(g, json!({"class": "a", "level": 9})).await?;
    g.server.delete(&path(g)).await?.ok()?;
    same!(made(g, json!({"class": "b", "level": 1})).await?.at("/spec/class"), "b");
    Ok(())
}

async fn a_refused_update_is_not_told(g: &Ground) -> Result<()> {
    let first = made(g, json!({"class": "a"})).await?;
    let mut watch = g.server.get(&g.all("rules")).query("resourceVersion", first.rv()).watch().await?.open()?;
    change(g, json!({"class": "b"})).await?.invalid("spec.class")?;
    let next = change(g, json!({"maximum": 9})).await?.ok()?;
    same!(watch.expect("MODIFIED", "r").await?.rv(), next.rv());
    Ok(())
}

async fn finalizers_can_be_removed_under_rules(g: &Ground) -> Result<()> {
    let mut body = rule(g, "r", &json!({"class": "a"}));
    body["metadata"]["finalizers"] = json!(["example.com/f"]);
    g.server.post(&g.all("rules"), &body).await?.status(201)?;
    g.server.delete(&path(g)).await?.ok()?;
    broken(g, json!({"class": "b"}), "spec.class", "class is immutable").await?;
    g.server.merge(&path(g), &json!({"metadata": {"finalizers": null}})).await?.ok()?;
    g.server.get(&path(g)).await?.refused(404, "NotFound")?;
    Ok(())
}
