//! Tables: the server-side printing of custom and built-in kinds, once and as a watch; it must not compare ages, which pass.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::check::Check;
use crate::ground::Ground;
use crate::same;
use crate::server::TABLE;

/// The group's checks.
pub const CHECKS: &[Check] = crate::checks!("tables", [];
    a_list_is_printed_as_a_table,
    columns_are_those_of_the_definition,
    a_column_tells_its_priority,
    cells_have_the_type_of_their_column,
    a_missing_value_is_an_empty_cell,
    a_date_column_tells_an_age,
    a_date_long_ago_is_told_in_days,
    a_filter_in_a_path_finds_a_condition,
    without_columns_there_are_name_and_age,
    one_object_is_a_table_of_one_row,
    rows_carry_metadata_unless_asked_otherwise,
    rows_can_carry_the_whole_object,
    rows_can_carry_nothing,
    an_empty_list_has_columns_and_no_rows,
    a_table_is_paged_like_a_list,
    selectors_hold_for_tables,
    what_is_absent_is_a_status_not_a_table,
    a_write_can_be_answered_as_a_table,
    several_accepted_kinds_are_tried_in_order,
    secrets_are_printed,
    deployments_are_printed,
    namespaces_are_printed,
    events_are_printed,
    definitions_are_printed,
    leases_are_printed,
);

/// The group's checks about watches.
pub const WATCHES: &[Check] = crate::checks!("table-watches", [];
    a_watch_as_a_table_tells_rows,
    only_the_first_event_tells_columns,
    a_deletion_is_told_as_a_row,
    a_change_is_told_in_the_cells,
    a_selector_holds_for_a_watch_as_a_table,
    a_watch_as_a_table_can_carry_objects,
    a_bookmark_is_told_as_a_table,
);

async fn table(g: &Ground, path: &str) -> Result<Answer> {
    let table = g.server.get(path).accept(TABLE).await?.status(200)?;
    same!(table.at("/kind"), "Table");
    same!(table.at("/apiVersion"), "meta.k8s.io/v1");
    Ok(table)
}

fn columns(table: &Value) -> Vec<String> {
    let all = table["columnDefinitions"].as_array().cloned().unwrap_or_default();
    all.iter().map(|column| column["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// The cell of a row in a named column.
fn cell(table: &Value, row: usize, column: &str) -> Value {
    let index = columns(table).iter().position(|name| name == column).unwrap_or(usize::MAX);
    table["rows"][row]["cells"].get(index).cloned().unwrap_or_else(|| json!(format!("no column {column}")))
}

async fn a_list_is_printed_as_a_table(g: &Ground) -> Result<()> {
    g.make("b", &json!({"size": 2})).await?;
    g.make("a", &json!({"size": 1})).await?;
    let list = table(g, &g.all("widgets")).await?;
    same!(list.list("/rows").len(), 2);
    same!(cell(&list.body, 0, "Name"), "a");
    same!(cell(&list.body, 1, "Name"), "b");
    same!(cell(&list.body, 1, "Size"), 2);
    ensure!(!list.rv().is_empty(), "no resourceVersion: {}", list.excerpt());
    Ok(())
}

async fn columns_are_those_of_the_definition(g: &Ground) -> Result<()> {
    let list = table(g, &g.all("widgets")).await?;
    same!(columns(&list.body), ["Name", "Size", "Color", "Enabled", "Ready", "Ratio", "Since", "Title", "Age"]);
    let name = list.at("/columnDefinitions/0");
    same!(name["type"], "string");
    same!(name["format"], "name");
    same!(list.at("/columnDefinitions/1/type"), "integer");
    same!(list.at("/columnDefinitions/1/description"), "How big it is.");
    same!(list.at("/columnDefinitions/6/type"), "date");
    Ok(())
}

async fn a_column_tells_its_priority(g: &Ground) -> Result<()> {
    let list = table(g, &g.all("widgets")).await?;
    let priorities: Vec<_> = list.list("/columnDefinitions").iter().map(|column| column["priority"].clone()).collect();
    same!(priorities, [0, 0, 0, 0, 0, 1, 0, 1, 0]);
    Ok(())
}

async fn cells_have_the_type_of_their_column(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 5, "enabled": true, "ratio": 0.5, "title": "a b"})).await?;
    let list = table(g, &g.all("widgets")).await?;
    same!(cell(&list.body, 0, "Size"), 5);
    same!(cell(&list.body, 0, "Color"), "red");
    same!(cell(&list.body, 0, "Enabled"), true);
    same!(cell(&list.body, 0, "Ratio"), 0.5);
    same!(cell(&list.body, 0, "Title"), "a b");
    Ok(())
}

async fn a_missing_value_is_an_empty_cell(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 5})).await?;
    let list = table(g, &g.all("widgets")).await?;
    for column in ["Enabled", "Ready", "Ratio", "Title"] {
        let cell = cell(&list.body, 0, column);
        ensure!(cell.is_null(), "{column} is {cell}");
    }
    same!(list.at("/rows/0/cells").as_array().map_or(0, Vec::len), 9);
    Ok(())
}

fn is_age(cell: &Value) -> bool {
    let text = cell.as_str().unwrap_or_default();
    text.ends_with('s') && text.trim_end_matches('s').parse::<u32>().is_ok()
}

async fn a_date_column_tells_an_age(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 5})).await?;
    let list = table(g, &g.all("widgets")).await?;
    let age = cell(&list.body, 0, "Age");
    ensure!(is_age(&age), "Age is {age}");
    Ok(())
}

async fn a_date_long_ago_is_told_in_days(g: &Ground) -> Result<()> {
    g.make("old", &json!({"size": 5, "since": "2001-01-01T00:00:00Z"})).await?;
    g.make("soon", &json!({"size": 5, "since": "2999-01-01T00:00:00Z"})).await?;
    let list = table(g, &g.all("widgets")).await?;
    let old = cell(&list.body, 0, "Since");
    ensure!(
        old.as_str().is_some_and(|text| text.ends_with('y') && text.trim_end_matches('y').parse::<u32>().is_ok_and(|years| years > 20)),
        "Since is {old}"
    );
    let soon = cell(&list.body, 1, "Since");
    ensure!(soon == "<invalid>" || soon == "0s", "a time to come is {soon}");
    Ok(())
}

async fn a_filter_in_a_path_finds_a_condition(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 5})).await?;
    let conditions = json!([{"type": "Synced", "status": "False"}, {"type": "Ready", "status": "True"}]);
    g.server.merge(&g.status_at("w"), &json!({"status": {"conditions": conditions}})).await?.ok()?;
    same!(cell(&table(g, &g.all("widgets")).await?.body, 0, "Ready"), "True");
    Ok(())
}

async fn without_columns_there_are_name_and_age(g: &Ground) -> Result<()> {
    g.server.post(&g.all("plains"), &g.object("Plain", "p", &json!({}))).await?.status(201)?;
    let list = table(g, &g.all("plains")).await?;
    same!(columns(&list.body), ["Name", "Age"]);
    same!(cell(&list.body, 0, "Name"), "p");
    ensure!(is_age(&cell(&list.body, 0, "Age")), "{}", list.excerpt());
    Ok(())
}

async fn one_object_is_a_table_of_one_row(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 5})).await?;
    let one = table(g, &g.at("w")).await?;
    same!(one.list("/rows").len(), 1);
    same!(cell(&one.body, 0, "Name"), "w");
    same!(one.rv(), made.rv());
    Ok(())
}

async fn rows_carry_metadata_unless_asked_otherwise(g: &Ground) -> Result<()> {
    let made = g.make_labelled("w", &json!({"a": "b"})).await?;
    let list = table(g, &g.all("widgets")).await?;
    let object = list.at("/rows/0/object");
    same!(object["kind"], "PartialObjectMetadata");
    same!(object["apiVersion"], "meta.k8s.io/v1");
    same!(object["metadata"], made.at("/metadata"));
    same!(object["spec"], Value::Null);
    Ok(())
}

async fn rows_can_carry_the_whole_object(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 5})).await?;
    let list = g.server.get(&g.all("widgets")).accept(TABLE).query("includeObject", "Object").await?.ok()?;
    same!(list.at("/rows/0/object"), made.body);
    Ok(())
}

async fn rows_can_carry_nothing(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 5})).await?;
    let list = g.server.get(&g.all("widgets")).accept(TABLE).query("includeObject", "None").await?.ok()?;
    same!(list.at("/rows/0/object"), Value::Null);
    same!(cell(&list.body, 0, "Size"), 5);
    g.server.get(&g.all("widgets")).accept(TABLE).query("includeObject", "Odd").await?.status(400)?;
    Ok(())
}

async fn an_empty_list_has_columns_and_no_rows(g: &Ground) -> Result<()> {
    let list = table(g, &g.all("widgets")).await?;
    same!(columns(&list.body).len(), 9);
    same!(list.list("/rows").len(), 0);
    Ok(())
}

async fn a_table_is_paged_like_a_list(g: &Ground) -> Result<()> {
    for name in ["a", "b", "c"] {
        g.make(name, &json!({"size": 1})).await?;
    }
    let first = g.server.get(&g.all("widgets")).accept(TABLE).query("limit", "2").await?.ok()?;
    same!(first.list("/rows").len(), 2);
    same!(first.at("/metadata/remainingItemCount"), 1);
    let token = first.text("/metadata/continue").to_owned();
    let second = g.server.get(&g.all("widgets")).accept(TABLE).query("limit", "2").query("continue", &token).await?.ok()?;
    same!(second.list("/rows").len(), 1);
    same!(cell(&second.body, 0, "Name"), "c");
    Ok(())
}

async fn selectors_hold_for_tables(g: &Ground) -> Result<()> {
    g.make_labelled("a", &json!({"tier": "gold"})).await?;
    g.make_labelled("b", &json!({"tier": "tin"})).await?;
    let by_label = g.server.get(&g.all("widgets")).accept(TABLE).query("labelSelector", "tier=gold").await?.ok()?;
    same!(by_label.list("/rows").len(), 1);
    same!(cell(&by_label.body, 0, "Name"), "a");
    let by_name = g.server.get(&g.all("widgets")).accept(TABLE).query("fieldSelector", "metadata.name=b").await?.ok()?;
    same!(by_name.list("/rows").len(), 1);
    same!(cell(&by_name.body, 0, "Name"), "b");
    Ok(())
}

async fn what_is_absent_is_a_status_not_a_table(g: &Ground) -> Result<()> {
    g.server.get(&g.at("absent")).accept(TABLE).await?.refused(404, "NotFound")?;
    Ok(())
}

async fn a_write_can_be_answered_as_a_table(g: &Ground) -> Result<()> {
    let made = g.server.post(&g.all("widgets"), &g.widget("w", &json!({"size": 3}))).accept(TABLE).await?.status(201)?;
    same!(made.at("/kind"), "Table");
    same!(cell(&made.body, 0, "Size"), 3);
    let patched = g.server.merge(&g.at("w"), &json!({"spec": {"size": 4}})).accept(TABLE).await?.ok()?;
    same!(cell(&patched.body, 0, "Size"), 4);
    Ok(())
}

async fn several_accepted_kinds_are_tried_in_order(g: &Ground) -> Result<()> {
    let old_first = format!("application/json;as=Table;v=v9;g=meta.k8s.io,{TABLE},application/json");
    same!(g.server.get(&g.all("widgets")).accept(&old_first).await?.ok()?.at("/kind"), "Table");
    let unknown = "application/json;as=Poem;v=v1;g=meta.k8s.io,application/json";
    same!(g.server.get(&g.all("widgets")).accept(unknown).await?.ok()?.at("/kind"), "WidgetList");
    same!(g.server.get(&g.all("widgets")).accept("application/json;as=Poem;v=v1;g=meta.k8s.io").await?.status, 406);
    same!(g.server.get(&g.all("widgets")).accept("*/*").await?.ok()?.at("/kind"), "WidgetList");
    Ok(())
}

async fn secrets_are_printed(g: &Ground) -> Result<()> {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "1", "b": "2"}});
    g.server.post(&g.core("secrets"), &secret).await?.status(201)?;
    let list = g.server.get(&g.core("secrets")).accept(TABLE).query("fieldSelector", "metadata.name=s").await?.ok()?;
    same!(columns(&list.body), ["Name", "Type", "Data", "Age"]);
    same!(cell(&list.body, 0, "Type"), "Opaque");
    same!(cell(&list.body, 0, "Data"), 2);
    Ok(())
}

async fn deployments_are_printed(g: &Ground) -> Result<()> {
    let path = g.built_in("apps/v1", "deployments");
    g.server.post(&path, &super::workloads::deployment("d", 3)).await?.status(201)?;
    let list = table(g, &path).await?;
    same!(columns(&list.body)[..5], ["Name", "Ready", "Up-to-date", "Available", "Age"]);
    same!(cell(&list.body, 0, "Ready"), "0/3");
    same!(cell(&list.body, 0, "Available"), 0);
    Ok(())
}

async fn namespaces_are_printed(g: &Ground) -> Result<()> {
    let one = table(g, &format!("/api/v1/namespaces/{}", g.namespace)).await?;
    same!(columns(&one.body), ["Name", "Status", "Age"]);
    same!(cell(&one.body, 0, "Status"), "Active");
    Ok(())
}

async fn events_are_printed(g: &Ground) -> Result<()> {
    g.server.post(&g.built_in("events.k8s.io/v1", "events"), &super::records::event(g, "e")).await?.status(201)?;
    let list = table(g, &g.core("events")).await?;
    let names = columns(&list.body);
    for column in ["Last Seen", "Type", "Reason", "Object", "Message"] {
        ensure!(names.iter().any(|name| name == column), "no column {column} in {names:?}");
    }
    same!(cell(&list.body, 0, "Reason"), "Rotated");
    same!(cell(&list.body, 0, "Object"), "widget/w");
    same!(cell(&list.body, 0, "Message"), "it was rotated");
    Ok(())
}

async fn definitions_are_printed(g: &Ground) -> Result<()> {
    let one = table(g, &format!("{}/widgets.{}", crate::fixtures::DEFINITIONS, g.group)).await?;
    same!(columns(&one.body), ["Name", "Created At"]);
    same!(cell(&one.body, 0, "Name"), format!("widgets.{}", g.group));
    let created = cell(&one.body, 0, "Created At");
    ensure!(created.as_str().is_some_and(|text| text.ends_with('Z')), "Created At is {created}");
    Ok(())
}

async fn leases_are_printed(g: &Ground) -> Result<()> {
    let path = g.built_in("coordination.k8s.io/v1", "leases");
    g.server.post(&path, &super::records::lease("l", "one")).await?.status(201)?;
    let list = table(g, &path).await?;
    same!(columns(&list.body), ["Name", "Holder", "Age"]);
    same!(cell(&list.body, 0, "Holder"), "one");
    Ok(())
}

async fn a_watch_as_a_table_tells_rows(g: &Ground) -> Result<()> {
    let from = g.make("before", &json!({"size": 1})).await?.rv().to_owned();
    let mut watch = g.server.get(&g.all("widgets")).accept(TABLE).query("resourceVersion", &from).watch().await?;
    let made = g.make("w", &json!({"size": 6})).await?;
    let event = watch.expect("ADDED", "").await?;
    same!(event.object["kind"], "Table");
    same!(event.object["apiVersion"], "meta.k8s.io/v1");
    same!(event.rv(), made.rv());
    same!(event.object["rows"].as_array().map_or(0, Vec::len), 1);
    same!(cell(&event.object, 0, "Name"), "w");
    same!(cell(&event.object, 0, "Size"), 6);
    same!(event.object["rows"][0]["object"]["metadata"], made.at("/metadata"));
    Ok(())
}

async fn only_the_first_event_tells_columns(g: &Ground) -> Result<()> {
    let from = g.make("before", &json!({"size": 1})).await?.rv().to_owned();
    let mut watch = g.server.get(&g.all("widgets")).accept(TABLE).query("resourceVersion", &from).watch().await?;
    g.make("a", &json!({"size": 1})).await?;
    g.make("b", &json!({"size": 2})).await?;
    let first = watch.expect("ADDED", "").await?;
    same!(columns(&first.object).len(), 9);
    let second = watch.expect("ADDED", "").await?;
    same!(columns(&second.object).len(), 0);
    same!(second.object["rows"][0]["cells"][0], "b");
    same!(second.object["rows"][0]["cells"][1], 2);
    Ok(())
}

async fn a_deletion_is_told_as_a_row(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 6})).await?;
    let mut watch = g.server.get(&g.all("widgets")).accept(TABLE).query("resourceVersion", made.rv()).watch().await?;
    g.server.delete(&g.at("w")).await?.ok()?;
    let event = watch.expect("DELETED", "").await?;
    same!(cell(&event.object, 0, "Name"), "w");
    same!(cell(&event.object, 0, "Size"), 6);
    same!(event.object["rows"][0]["object"]["metadata"]["uid"], made.uid());
    Ok(())
}

async fn a_change_is_told_in_the_cells(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 6})).await?;
    let mut watch = g.server.get(&g.all("widgets")).accept(TABLE).query("resourceVersion", made.rv()).watch().await?;
    let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    g.server.merge(&g.status_at("w"), &ready).await?.ok()?;
    let event = watch.expect("MODIFIED", "").await?;
    same!(cell(&event.object, 0, "Ready"), "True");
    Ok(())
}

async fn a_selector_holds_for_a_watch_as_a_table(g: &Ground) -> Result<()> {
    let from = g.make("before", &json!({"size": 1})).await?.rv().to_owned();
    let call = g.server.get(&g.all("widgets")).accept(TABLE).query("resourceVersion", &from).query("labelSelector", "tier=gold");
    let mut watch = call.watch().await?;
    g.make_labelled("a", &json!({"tier": "tin"})).await?;
    g.make_labelled("b", &json!({"tier": "gold"})).await?;
    same!(cell(&watch.expect("ADDED", "").await?.object, 0, "Name"), "b");
    Ok(())
}

async fn a_watch_as_a_table_can_carry_objects(g: &Ground) -> Result<()> {
    let from = g.make("before", &json!({"size": 1})).await?.rv().to_owned();
    let call = g.server.get(&g.all("widgets")).accept(TABLE).query("resourceVersion", &from).query("includeObject", "Object");
    let mut watch = call.watch().await?;
    let made = g.make("w", &json!({"size": 6})).await?;
    same!(watch.expect("ADDED", "").await?.object["rows"][0]["object"], made.body);
    Ok(())
}

async fn a_bookmark_is_told_as_a_table(g: &Ground) -> Result<()> {
    let from = g.make("w", &json!({"size": 1})).await?.rv().to_owned();
    let call = g.server.get(&g.all("widgets")).accept(TABLE).query("resourceVersion", &from);
    let mut watch = call.query("allowWatchBookmarks", "true").query("timeoutSeconds", "4").watch().await?;
    let mark = watch.expect("BOOKMARK", "").await?;
    same!(mark.object["kind"], "Table");
    Ok(())
}
