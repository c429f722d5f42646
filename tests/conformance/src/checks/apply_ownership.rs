//! Server-side apply: who owns which field, and what an apply takes away; it must not assume the order of managed fields.

use anyhow::Result;
use serde_json::{Value, json};

use crate::check::Check;
use crate::ground::{Ground, managers};
use crate::{contains, same};

/// The group's checks.
pub const CHECKS: &[Check] = crate::checks!("apply-ownership", [];
    creates_what_is_absent,
    the_manager_owns_what_it_applied,
    an_apply_that_changes_nothing_moves_nothing,
    a_field_left_out_is_removed,
    a_field_left_out_stays_while_another_owns_it,
    equal_values_are_shared,
    an_update_is_a_manager_of_its_own,
    the_agent_names_the_manager_of_a_write,
    items_of_a_list_map_are_owned_one_by_one,
    items_of_a_set_are_owned_one_by_one,
    an_atomic_list_is_replaced_whole,
    an_atomic_map_is_replaced_whole,
    keys_of_a_granular_map_are_owned_one_by_one,
    labels_of_two_managers_are_joined,
    emptied_managed_fields_are_forgotten,
    defaults_belong_to_nobody_who_applied,
);

async fn creates_what_is_absent(g: &Ground) -> Result<()> {
    let made = g.apply("one", "w", &json!({"size": 1})).await?.status(201)?;
    same!(made.at("/spec"), json!({"size": 1, "color": "red"}));
    same!(made.generation(), 1);
    same!(g.stored("w").await?.body, made.body);
    g.apply("one", "w", &json!({"size": 2})).await?.status(200)?;
    same!(g.stored("w").await?.at("/spec/size"), 2);
    Ok(())
}

async fn the_manager_owns_what_it_applied(g: &Ground) -> Result<()> {
    let made = g.apply("one", "w", &json!({"size": 1, "tags": ["a"]})).await?.ok()?;
    let entries = made.list("/metadata/managedFields");
    same!(entries.len(), 1);
    let entry = &entries[0];
    same!(entry["manager"], "one");
    same!(entry["operation"], "Apply");
    same!(entry["apiVersion"], format!("{}/v1", g.group));
    same!(entry["fieldsType"], "FieldsV1");
    same!(entry["fieldsV1"]["f:spec"], json!({"f:size": {}, "f:tags": {"v:\"a\"": {}}}));
    anyhow::ensure!(entry["time"].is_string(), "no time: {entry}");
    Ok(())
}

async fn an_apply_that_changes_nothing_moves_nothing(g: &Ground) -> Result<()> {
    let made = g.apply("one", "w", &json!({"size": 1, "title": "same"})).await?.ok()?;
    let again = g.apply("one", "w", &json!({"size": 1, "title": "same"})).await?.status(200)?;
    same!(again.rv(), made.rv());
    same!(again.at("/metadata/managedFields"), made.at("/metadata/managedFields"));
    same!(g.stored("w").await?.rv(), made.rv());
    Ok(())
}

async fn a_field_left_out_is_removed(g: &Ground) -> Result<()> {
    g.apply("one", "w", &json!({"size": 1, "title": "here", "options": {"a": "1", "b": "2"}})).await?.ok()?;
    g.apply("one", "w", &json!({"size": 1, "options": {"b": "2"}})).await?.ok()?;
    same!(g.stored("w").await?.at("/spec"), json!({"size": 1, "color": "red", "options": {"b": "2"}}));
    Ok(())
}

async fn a_field_left_out_stays_while_another_owns_it(g: &Ground) -> Result<()> {
    g.apply("one", "w", &json!({"size": 1, "title": "here"})).await?.ok()?;
    g.apply("two", "w", &json!({"size": 1, "title": "here"})).await?.ok()?;
    let left = g.apply("one", "w", &json!({"size": 1})).await?.ok()?;
    same!(left.at("/spec/title"), "here");
    same!(managers(&left.body, &["f:spec", "f:title"]), ["two"]);
    let gone = g.apply("two", "w", &json!({"size": 1})).await?.ok()?;
    same!(gone.at("/spec/title"), Value::Null);
    Ok(())
}

async fn equal_values_are_shared(g: &Ground) -> Result<()> {
    g.apply("one", "w", &json!({"size": 7})).await?.ok()?;
    let shared = g.apply("two", "w", &json!({"size": 7})).await?.ok()?;
    same!(managers(&shared.body, &["f:spec", "f:size"]), ["one", "two"]);
    same!(shared.generation(), 1);
    Ok(())
}

async fn an_update_is_a_manager_of_its_own(g: &Ground) -> Result<()> {
    let made = g.apply("one", "w", &json!({"size": 1, "title": "mine"})).await?.ok()?;
    let put = g.server.put(&g.at("w"), &made.with("/spec/title", "theirs")).query("fieldManager", "writer").await?.ok()?;
    same!(managers(&put.body, &["f:spec", "f:title"]), ["writer"]);
    same!(managers(&put.body, &["f:spec", "f:size"]), ["one"]);
    let entry = put.list("/metadata/managedFields").iter().find(|entry| entry["manager"] == "writer").cloned().unwrap_or_default();
    same!(entry["operation"], "Update");
    Ok(())
}

async fn the_agent_names_the_manager_of_a_write(g: &Ground) -> Result<()> {
    let widget = g.widget("w", &json!({"size": 1}));
    let made = g.server.post(&g.all("widgets"), &widget).agent("gardener/2.1 (x)").await?.ok()?;
    same!(managers(&made.body, &["f:spec", "f:size"]), ["gardener"]);
    let patched =
        g.server.merge(&g.at("w"), &json!({"spec": {"title": "t"}})).agent("gardener/2.1").query("fieldManager", "spade").await?.ok()?;
    same!(managers(&patched.body, &["f:spec", "f:title"]), ["spade"]);
    Ok(())
}

async fn items_of_a_list_map_are_owned_one_by_one(g: &Ground) -> Result<()> {
    g.apply("one", "w", &json!({"size": 1, "parts": [{"name": "a", "count": 1}]})).await?.ok()?;
    let both = g.apply("two", "w", &json!({"size": 1, "parts": [{"name": "b", "count": 2}]})).await?.ok()?;
    same!(both.at("/spec/parts"), json!([{"name": "a", "count": 1}, {"name": "b", "count": 2}]));
    same!(managers(&both.body, &["f:spec", "f:parts", "k:{\"name\":\"a\"}", "f:count"]), ["one"]);
    same!(managers(&both.body, &["f:spec", "f:parts", "k:{\"name\":\"b\"}", "."]), ["two"]);
    let left = g.apply("one", "w", &json!({"size": 1})).await?.ok()?;
    same!(left.at("/spec/parts"), json!([{"name": "b", "count": 2}]));
    Ok(())
}

async fn items_of_a_set_are_owned_one_by_one(g: &Ground) -> Result<()> {
    g.apply("one", "w", &json!({"size": 1, "tags": ["a", "shared"]})).await?.ok()?;
    let both = g.apply("two", "w", &json!({"size": 1, "tags": ["b", "shared"]})).await?.ok()?;
    let mut tags: Vec<_> = both.list("/spec/tags").iter().filter_map(Value::as_str).collect();
    tags.sort_unstable();
    same!(tags, ["a", "b", "shared"]);
    same!(managers(&both.body, &["f:spec", "f:tags", "v:\"shared\""]), ["one", "two"]);
    let left = g.apply("one", "w", &json!({"size": 1})).await?.ok()?;
    let mut tags: Vec<_> = left.list("/spec/tags").iter().filter_map(Value::as_str).collect();
    tags.sort_unstable();
    same!(tags, ["b", "shared"]);
    Ok(())
}

async fn an_atomic_list_is_replaced_whole(g: &Ground) -> Result<()> {
    let made = g.apply("one", "w", &json!({"size": 1, "steps": ["a", "b"]})).await?.ok()?;
    same!(made.at("/metadata/managedFields/0/fieldsV1/f:spec/f:steps"), json!({}));
    let next = g.apply("one", "w", &json!({"size": 1, "steps": ["c"]})).await?.ok()?;
    same!(next.at("/spec/steps"), ["c"]);
    let conflict = g.apply("two", "w", &json!({"size": 1, "steps": ["d"]})).await?.refused(409, "Conflict")?;
    same!(conflict.at("/details/causes/0/field"), ".spec.steps");
    Ok(())
}

async fn an_atomic_map_is_replaced_whole(g: &Ground) -> Result<()> {
    let made = g.apply("one", "w", &json!({"size": 1, "layout": {"x": 1, "y": 2}})).await?.ok()?;
    same!(made.at("/metadata/managedFields/0/fieldsV1/f:spec/f:layout"), json!({}));
    let conflict = g.apply("two", "w", &json!({"size": 1, "layout": {"x": 1}})).await?.refused(409, "Conflict")?;
    same!(conflict.at("/details/causes/0/field"), ".spec.layout");
    let taken = g.server.apply(&g.at("w"), "two", &g.widget("w", &json!({"size": 1, "layout": {"x": 1}}))).force().await?.ok()?;
    same!(taken.at("/spec/layout"), json!({"x": 1}));
    Ok(())
}

async fn keys_of_a_granular_map_are_owned_one_by_one(g: &Ground) -> Result<()> {
    g.apply("one", "w", &json!({"size": 1, "options": {"a": "1"}})).await?.ok()?;
    let both = g.apply("two", "w", &json!({"size": 1, "options": {"b": "2"}})).await?.ok()?;
    same!(both.at("/spec/options"), json!({"a": "1", "b": "2"}));
    same!(managers(&both.body, &["f:spec", "f:options", "f:a"]), ["one"]);
    same!(managers(&both.body, &["f:spec", "f:options", "f:b"]), ["two"]);
    Ok(())
}

async fn labels_of_two_managers_are_joined(g: &Ground) -> Result<()> {
    let labelled = |key: &str| g.labelled("w", &json!({key: "x"}));
    g.server.apply(&g.at("w"), "one", &labelled("a")).await?.ok()?;
    let both = g.server.apply(&g.at("w"), "two", &labelled("b")).await?.ok()?;
    same!(both.at("/metadata/labels"), json!({"a": "x", "b": "x"}));
    same!(managers(&both.body, &["f:metadata", "f:labels", "f:b"]), ["two"]);
    let left = g.apply("one", "w", &json!({"size": 1})).await?.ok()?;
    same!(left.at("/metadata/labels"), json!({"b": "x"}));
    same!(left.generation(), 1);
    Ok(())
}

async fn emptied_managed_fields_are_forgotten(g: &Ground) -> Result<()> {
    g.apply("one", "w", &json!({"size": 1})).await?.ok()?;
    let emptied = g.server.merge(&g.at("w"), &json!({"metadata": {"managedFields": [{}]}})).await?.ok()?;
    same!(emptied.at("/metadata/managedFields"), Value::Null);
    let free = g.apply("two", "w", &json!({"size": 5})).await?;
    // What nobody applied before is held by the write that came first, under the name of that moment.
    contains!(free.ok().map_or_else(|error| error.to_string(), |done| done.body.to_string()), "before-first-apply");
    Ok(())
}

async fn defaults_belong_to_nobody_who_applied(g: &Ground) -> Result<()> {
    let made = g.apply("one", "w", &json!({"size": 1})).await?.ok()?;
    same!(made.at("/spec/color"), "red");
    same!(managers(&made.body, &["f:spec", "f:color"]), Vec::<String>::new());
    let taken = g.apply("two", "w", &json!({"size": 1, "color": "blue"})).await?.ok()?;
    same!(taken.at("/spec/color"), "blue");
    same!(managers(&taken.body, &["f:spec", "f:color"]), ["two"]);
    let back = g.apply("two", "w", &json!({"size": 1})).await?.ok()?;
    same!(back.at("/spec/color"), "red");
    Ok(())
}
