//! Server-side apply: what is refused, how the refusal reads, and what force does; it must not leave a refusal's effect unread.

use anyhow::Result;
use serde_json::{Value, json};

use crate::check::Check;
use crate::ground::{Ground, managers};
use crate::{contains, same};

/// The group's checks.
pub const CHECKS: &[Check] = crate::checks!("apply-conflicts", [];
    another_value_conflicts,
    the_conflict_names_field_and_manager,
    every_field_in_conflict_is_named,
    a_conflict_with_a_write_is_a_conflict,
    force_takes_the_field_over,
    a_lost_field_conflicts_when_applied_again,
    items_of_a_list_map_conflict_by_key,
    a_conflict_in_a_dry_run_is_the_same,
    a_forced_dry_run_takes_nothing,
    a_stale_resource_version_conflicts_under_force,
    the_right_resource_version_is_accepted,
    another_uid_is_refused,
    a_manager_must_be_named,
    force_belongs_to_apply_alone,
    another_name_in_the_body_is_refused,
    a_body_without_kind_is_refused,
    managed_fields_may_not_be_applied,
    an_unknown_field_is_not_applied,
    twice_the_same_key_is_not_applied,
    an_invalid_value_is_not_applied,
    an_apply_in_yaml_is_understood,
);

async fn another_value_conflicts(g: &Ground) -> Result<()> {
    let made = g.apply("one", "w", &json!({"size": 1})).await?.ok()?;
    g.apply("two", "w", &json!({"size": 2})).await?.refused(409, "Conflict")?;
    let stored = g.stored("w").await?;
    same!(stored.body, made.body);
    Ok(())
}

async fn the_conflict_names_field_and_manager(g: &Ground) -> Result<()> {
    g.apply("one", "w", &json!({"size": 1})).await?.ok()?;
    let refused = g.apply("two", "w", &json!({"size": 2})).await?.refused(409, "Conflict")?;
    contains!(refused.message(), "Apply failed with 1 conflict", "conflict with \"one\"", ".spec.size");
    let causes = refused.list("/details/causes");
    same!(causes.len(), 1);
    same!(causes[0]["reason"], "FieldManagerConflict");
    same!(causes[0]["field"], ".spec.size");
    contains!(causes[0]["message"].as_str().unwrap_or_default(), "conflict with \"one\"");
    Ok(())
}

async fn every_field_in_conflict_is_named(g: &Ground) -> Result<()> {
    g.apply("one", "w", &json!({"size": 1, "title": "a"})).await?.ok()?;
    g.apply("two", "w", &json!({"size": 1, "enabled": true})).await?.ok()?;
    let refused = g.apply("three", "w", &json!({"size": 1, "title": "b", "enabled": false})).await?.refused(409, "Conflict")?;
    let mut fields: Vec<_> = refused.list("/details/causes").iter().map(|cause| cause["field"].clone()).collect();
    fields.sort_by_key(Value::to_string);
    same!(fields, [".spec.enabled", ".spec.title"]);
    contains!(refused.message(), "Apply failed with 2 conflicts", "\"one\"", "\"two\"");
    Ok(())
}

async fn a_conflict_with_a_write_is_a_conflict(g: &Ground) -> Result<()> {
    g.server.post(&g.all("widgets"), &g.widget("w", &json!({"size": 1}))).query("fieldManager", "writer").await?.ok()?;
    let refused = g.apply("one", "w", &json!({"size": 2})).await?.refused(409, "Conflict")?;
    contains!(refused.message(), "conflict with \"writer\" using");
    same!(refused.at("/details/causes/0/field"), ".spec.size");
    g.apply("one", "w", &json!({"size": 1})).await?.ok()?;
    Ok(())
}

async fn force_takes_the_field_over(g: &Ground) -> Result<()> {
    g.apply("one", "w", &json!({"size": 1, "title": "a"})).await?.ok()?;
    let taken = g.server.apply(&g.at("w"), "two", &g.widget("w", &json!({"size": 2}))).force().await?.status(200)?;
    same!(taken.at("/spec"), json!({"size": 2, "color": "red", "title": "a"}));
    same!(managers(&taken.body, &["f:spec", "f:size"]), ["two"]);
    same!(managers(&taken.body, &["f:spec", "f:title"]), ["one"]);
    same!(taken.generation(), 2);
    Ok(())
}

async fn a_lost_field_conflicts_when_applied_again(g: &Ground) -> Result<()> {
    g.apply("one", "w", &json!({"size": 1})).await?.ok()?;
    g.server.apply(&g.at("w"), "two", &g.widget("w", &json!({"size": 2}))).force().await?.ok()?;
    g.apply("one", "w", &json!({"size": 1})).await?.refused(409, "Conflict")?;
    let agreed = g.apply("one", "w", &json!({"size": 2})).await?.ok()?;
    same!(managers(&agreed.body, &["f:spec", "f:size"]), ["one", "two"]);
    Ok(())
}

async fn items_of_a_list_map_conflict_by_key(g: &Ground) -> Result<()> {
    g.apply("one", "w", &json!({"size": 1, "parts": [{"name": "a", "count": 1}]})).await?.ok()?;
    let refused = g.apply("two", "w", &json!({"size": 1, "parts": [{"name": "a", "count": 2}]})).await?.refused(409, "Conflict")?;
    same!(refused.at("/details/causes/0/field"), ".spec.parts[name=\"a\"].count");
    let noted = g.apply("two", "w", &json!({"size": 1, "parts": [{"name": "a", "note": "n"}]})).await?.ok()?;
    same!(noted.at("/spec/parts"), json!([{"name": "a", "count": 1, "note": "n"}]));
    Ok(())
}

async fn a_conflict_in_a_dry_run_is_the_same(g: &Ground) -> Result<()> {
    let made = g.apply("one", "w", &json!({"size": 1})).await?.ok()?;
    let change = g.widget("w", &json!({"size": 2}));
    let dry = g.server.apply(&g.at("w"), "two", &change).dry().await?.refused(409, "Conflict")?;
    let wet = g.server.apply(&g.at("w"), "two", &change).await?.refused(409, "Conflict")?;
    same!(dry.at("/details/causes"), wet.at("/details/causes"));
    same!(g.stored("w").await?.body, made.body);
    Ok(())
}

async fn a_forced_dry_run_takes_nothing(g: &Ground) -> Result<()> {
    let made = g.apply("one", "w", &json!({"size": 1})).await?.ok()?;
    let dry = g.server.apply(&g.at("w"), "two", &g.widget("w", &json!({"size": 2}))).force().dry().await?.ok()?;
    same!(dry.at("/spec/size"), 2);
    same!(g.stored("w").await?.body, made.body);
    g.server.apply(&g.at("new"), "two", &g.widget("new", &json!({"size": 2}))).dry().await?.ok()?;
    g.absent("new").await
}

async fn a_stale_resource_version_conflicts_under_force(g: &Ground) -> Result<()> {
    let made = g.apply("one", "w", &json!({"size": 1})).await?.ok()?;
    let mut body = g.widget("w", &json!({"size": 3}));
    body["metadata"]["resourceVersion"] = made.rv().into();
    g.apply("one", "w", &json!({"size": 2})).await?.ok()?;
    let refused = g.server.apply(&g.at("w"), "one", &body).force().await?.refused(409, "Conflict")?;
    contains!(refused.message(), "the object has been modified");
    same!(g.stored("w").await?.at("/spec/size"), 2);
    Ok(())
}

async fn the_right_resource_version_is_accepted(g: &Ground) -> Result<()> {
    let made = g.apply("one", "w", &json!({"size": 1})).await?.ok()?;
    let mut body = g.widget("w", &json!({"size": 3}));
    body["metadata"]["resourceVersion"] = made.rv().into();
    let next = g.server.apply(&g.at("w"), "one", &body).await?.ok()?;
    same!(next.at("/spec/size"), 3);
    g.server.apply(&g.at("w"), "one", &body).await?.refused(409, "Conflict")?;
    Ok(())
}

async fn another_uid_is_refused(g: &Ground) -> Result<()> {
    g.apply("one", "w", &json!({"size": 1})).await?.ok()?;
    let mut body = g.widget("w", &json!({"size": 2}));
    body["metadata"]["uid"] = "00000000-0000-4000-8000-000000000000".into();
    let message = g.server.apply(&g.at("w"), "one", &body).await?.invalid("metadata.uid")?;
    contains!(message, "field is immutable");
    same!(g.stored("w").await?.at("/spec/size"), 1);
    Ok(())
}

async fn a_manager_must_be_named(g: &Ground) -> Result<()> {
    let body = g.widget("w", &json!({"size": 1}));
    let call = g.server.merge(&g.at("w"), &body).raw("application/apply-patch+yaml", &body.to_string());
    let refused = call.await?;
    same!(refused.body["kind"], "Status");
    contains!(refused.message(), "fieldManager", "is required for apply patch");
    refused.invalid("fieldManager")?;
    g.absent("w").await
}

async fn force_belongs_to_apply_alone(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let refused = g.server.merge(&g.at("w"), &json!({"spec": {"size": 2}})).force().await?;
    contains!(refused.message(), "may not be specified for non-apply patch");
    refused.invalid("force")?;
    same!(g.stored("w").await?.rv(), made.rv());
    Ok(())
}

async fn another_name_in_the_body_is_refused(g: &Ground) -> Result<()> {
    let refused = g.server.apply(&g.at("w"), "one", &g.widget("x", &json!({"size": 1}))).await?.refused(400, "BadRequest")?;
    contains!(refused.message(), "does not match the name on the");
    g.absent("w").await?;
    g.absent("x").await
}

async fn a_body_without_kind_is_refused(g: &Ground) -> Result<()> {
    let refused = g.server.apply(&g.at("w"), "one", &json!({"metadata": {"name": "w"}, "spec": {"size": 1}})).await?;
    anyhow::ensure!((400..=500).contains(&refused.status), "{}", refused.excerpt());
    same!(refused.body["status"], "Failure");
    g.absent("w").await
}

async fn managed_fields_may_not_be_applied(g: &Ground) -> Result<()> {
    let made = g.apply("one", "w", &json!({"size": 1})).await?.ok()?;
    let refused = g.server.apply(&g.at("w"), "one", &made.body).await?.refused(400, "BadRequest")?;
    contains!(refused.message(), "metadata.managedFields must be nil");
    Ok(())
}

async fn an_unknown_field_is_not_applied(g: &Ground) -> Result<()> {
    let refused = g.apply("one", "w", &json!({"size": 1, "unheard": "of"})).await?;
    anyhow::ensure!(refused.status >= 400, "{}", refused.excerpt());
    contains!(refused.message(), ".spec.unheard: field not declared in schema");
    g.absent("w").await
}

async fn twice_the_same_key_is_not_applied(g: &Ground) -> Result<()> {
    let refused = g.apply("one", "w", &json!({"size": 1, "parts": [{"name": "a"}, {"name": "a"}]})).await?;
    anyhow::ensure!(refused.status >= 400, "{}", refused.excerpt());
    contains!(refused.message(), "duplicate entries for key");
    g.absent("w").await
}

async fn an_invalid_value_is_not_applied(g: &Ground) -> Result<()> {
    g.apply("one", "w", &json!({"size": 101})).await?.invalid("spec.size")?;
    g.absent("w").await?;
    let made = g.apply("one", "w", &json!({"size": 100})).await?.ok()?;
    g.apply("one", "w", &json!({"size": 100, "color": "pink"})).await?.invalid("spec.color")?;
    same!(g.stored("w").await?.rv(), made.rv());
    Ok(())
}

async fn an_apply_in_yaml_is_understood(g: &Ground) -> Result<()> {
    let yaml = format!("apiVersion: {}/v1\nkind: Widget\nmetadata:\n  name: w\nspec:\n  size: 9 # nine\n  tags: [left, right]\n", g.group);
    let made = g.server.apply(&g.at("w"), "one", &Value::Null).raw("application/apply-patch+yaml", &yaml).await?.status(201)?;
    same!(made.at("/spec"), json!({"size": 9, "color": "red", "tags": ["left", "right"]}));
    Ok(())
}
