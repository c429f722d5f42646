//! The status subresource: what it writes, what it leaves alone, and what the main resource may not write; it must not rely on
//! who owns which field.

use anyhow::Result;
use serde_json::{Value, json};

use crate::check::Check;
use crate::ground::Ground;
use crate::{contains, differs, same};

/// The group's checks.
pub const CHECKS: &[Check] = crate::checks!("status", [];
    a_create_drops_status,
    a_write_of_the_object_keeps_the_old_status,
    a_put_of_status_keeps_the_old_spec,
    a_put_of_status_keeps_labels_and_finalizers,
    a_patch_of_status_changes_status_alone,
    a_status_write_leaves_generation,
    a_status_write_moves_the_resource_version,
    a_status_write_that_changes_nothing_moves_nothing,
    a_stale_status_write_conflicts,
    a_spec_write_fences_a_status_write,
    a_patch_of_status_without_version_is_unconditional,
    status_is_validated,
    unknown_status_fields_are_pruned,
    status_can_be_read_alone,
    status_can_be_applied,
    a_status_put_cannot_create,
    a_dry_run_of_status_stores_nothing,
    conditions_are_a_map_by_type,
    without_the_subresource_status_is_a_field,
    without_the_subresource_there_is_no_path,
    a_json_patch_reaches_status,
    status_can_be_written_while_deleting,
);

async fn a_create_drops_status(g: &Ground) -> Result<()> {
    let mut body = g.widget("w", &json!({"size": 1}));
    body["status"] = json!({"phase": "Ready"});
    let made = g.server.post(&g.all("widgets"), &body).await?.status(201)?;
    same!(made.at("/status"), Value::Null);
    same!(g.stored("w").await?.at("/status"), Value::Null);
    Ok(())
}

async fn a_write_of_the_object_keeps_the_old_status(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    let ready = g.server.merge(&g.status_at("w"), &json!({"status": {"phase": "Ready"}})).await?.ok()?;
    let mut body = ready.with("/status/phase", "Failed");
    body["spec"]["size"] = 2.into();
    let put = g.server.put(&g.at("w"), &body).await?.ok()?;
    same!(put.at("/status"), json!({"phase": "Ready"}));
    same!(put.at("/spec/size"), 2);
    let patched = g.server.merge(&g.at("w"), &json!({"status": {"phase": "Failed"}})).await?.ok()?;
    same!(patched.at("/status/phase"), "Ready");
    same!(patched.rv(), put.rv());
    Ok(())
}

async fn a_put_of_status_keeps_the_old_spec(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let mut body = made.with("/status", json!({"phase": "Pending"}));
    body["spec"]["size"] = 50.into();
    let put = g.server.put(&g.status_at("w"), &body).await?.status(200)?;
    same!(put.at("/spec/size"), 1);
    same!(put.at("/status/phase"), "Pending");
    same!(g.stored("w").await?.body, put.body);
    Ok(())
}

async fn a_put_of_status_keeps_labels_and_finalizers(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let mut body = made.with("/status", json!({"phase": "Pending"}));
    body["metadata"]["labels"] = json!({"a": "b"});
    body["metadata"]["annotations"] = json!({"a": "b"});
    body["metadata"]["finalizers"] = json!(["example.com/f"]);
    let put = g.server.put(&g.status_at("w"), &body).await?.ok()?;
    same!(put.at("/metadata/labels"), Value::Null);
    same!(put.at("/metadata/annotations"), Value::Null);
    same!(put.at("/metadata/finalizers"), Value::Null);
    same!(put.at("/status/phase"), "Pending");
    Ok(())
}

async fn a_patch_of_status_changes_status_alone(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    let change = json!({"spec": {"size": 9}, "status": {"count": 3}});
    let patched = g.server.merge(&g.status_at("w"), &change).await?.ok()?;
    same!(patched.at("/spec/size"), 1);
    same!(patched.at("/status"), json!({"count": 3}));
    let cleared = g.server.merge(&g.status_at("w"), &json!({"status": {"count": null, "message": "m"}})).await?.ok()?;
    same!(cleared.at("/status"), json!({"message": "m"}));
    Ok(())
}

async fn a_status_write_leaves_generation(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    g.server.merge(&g.status_at("w"), &json!({"status": {"count": 1}})).await?.ok()?;
    let put = g.server.merge(&g.status_at("w"), &json!({"status": {"count": 2}})).await?.ok()?;
    same!(put.at("/status/count"), 2);
    same!(put.generation(), 1);
    let spec = g.server.merge(&g.at("w"), &json!({"spec": {"size": 2}})).await?.ok()?;
    same!(spec.generation(), 2);
    Ok(())
}

async fn a_status_write_moves_the_resource_version(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let put = g.server.merge(&g.status_at("w"), &json!({"status": {"count": 1}})).await?.ok()?;
    differs!(put.rv(), made.rv());
    same!(g.stored("w").await?.rv(), put.rv());
    same!(put.uid(), made.uid());
    Ok(())
}

async fn a_status_write_that_changes_nothing_moves_nothing(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    let first = g.server.merge(&g.status_at("w"), &json!({"status": {"count": 1}})).await?.ok()?;
    same!(first.at("/status/count"), 1);
    let patched = g.server.merge(&g.status_at("w"), &json!({"status": {"count": 1}})).await?.ok()?;
    same!(patched.rv(), first.rv());
    let put = g.server.put(&g.status_at("w"), &first.body).await?.ok()?;
    same!(put.rv(), first.rv());
    same!(g.stored("w").await?.rv(), first.rv());
    Ok(())
}

async fn a_stale_status_write_conflicts(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    g.server.put(&g.status_at("w"), &made.with("/status/count", 1)).await?.ok()?;
    let refused = g.server.put(&g.status_at("w"), &made.with("/status/count", 2)).await?.refused(409, "Conflict")?;
    contains!(refused.message(), "the object has been modified; please apply your changes to the latest version and try again");
    same!(g.stored("w").await?.at("/status/count"), 1);
    Ok(())
}

async fn a_spec_write_fences_a_status_write(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    g.server.merge(&g.at("w"), &json!({"metadata": {"annotations": {"a": "b"}}})).await?.ok()?;
    g.server.put(&g.status_at("w"), &made.with("/status/count", 2)).await?.refused(409, "Conflict")?;
    let change = json!({"metadata": {"resourceVersion": made.rv()}, "status": {"count": 2}});
    g.server.merge(&g.status_at("w"), &change).await?.refused(409, "Conflict")?;
    same!(g.stored("w").await?.at("/status"), Value::Null);
    Ok(())
}

async fn a_patch_of_status_without_version_is_unconditional(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    g.server.merge(&g.at("w"), &json!({"spec": {"size": 2}})).await?.ok()?;
    let patched = g.server.merge(&g.status_at("w"), &json!({"status": {"count": 2}})).await?.ok()?;
    same!(patched.at("/status/count"), 2);
    same!(patched.at("/spec/size"), 2);
    Ok(())
}

async fn status_is_validated(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    g.server.merge(&g.status_at("w"), &json!({"status": {"phase": "Odd"}})).await?.invalid("status.phase")?;
    g.server.put(&g.status_at("w"), &made.with("/status/count", "many")).await?.invalid("status.count")?;
    same!(g.stored("w").await?.rv(), made.rv());
    Ok(())
}

async fn unknown_status_fields_are_pruned(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    let patched = g.server.merge(&g.status_at("w"), &json!({"status": {"count": 1, "unheard": "of"}})).await?.ok()?;
    same!(patched.at("/status"), json!({"count": 1}));
    Ok(())
}

async fn status_can_be_read_alone(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    g.server.merge(&g.status_at("w"), &json!({"status": {"count": 1}})).await?.ok()?;
    let read = g.server.get(&g.status_at("w")).await?.status(200)?;
    same!(read.at("/status/count"), 1);
    same!(read.body, g.stored("w").await?.body);
    g.server.get(&g.status_at("absent")).await?.refused(404, "NotFound")?;
    Ok(())
}

async fn status_can_be_applied(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    let with =
        |status: Value| json!({"apiVersion": format!("{}/v1", g.group), "kind": "Widget", "metadata": {"name": "w"}, "status": status});
    let applied = g.server.apply(&g.status_at("w"), "one", &with(json!({"phase": "Ready", "count": 1}))).await?.status(200)?;
    same!(applied.at("/status"), json!({"phase": "Ready", "count": 1}));
    same!(applied.generation(), 1);
    let refused = g.server.apply(&g.status_at("w"), "two", &with(json!({"phase": "Failed"}))).await?.refused(409, "Conflict")?;
    same!(refused.at("/details/causes/0/field"), ".status.phase");
    let less = g.server.apply(&g.status_at("w"), "one", &with(json!({"phase": "Ready"}))).await?.ok()?;
    same!(less.at("/status"), json!({"phase": "Ready"}));
    same!(less.at("/spec/size"), 1);
    Ok(())
}

async fn a_status_put_cannot_create(g: &Ground) -> Result<()> {
    let mut body = g.widget("w", &json!({"size": 1}));
    body["status"] = json!({"count": 1});
    g.server.put(&g.status_at("w"), &body).await?.refused(404, "NotFound")?;
    g.server.merge(&g.status_at("w"), &json!({"status": {"count": 1}})).await?.refused(404, "NotFound")?;
    g.absent("w").await
}

async fn a_dry_run_of_status_stores_nothing(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let dry = g.server.merge(&g.status_at("w"), &json!({"status": {"count": 1}})).dry().await?.ok()?;
    same!(dry.at("/status/count"), 1);
    g.server.put(&g.status_at("w"), &made.with("/status/count", 2)).dry().await?.ok()?;
    same!(g.stored("w").await?.body, made.body);
    Ok(())
}

async fn conditions_are_a_map_by_type(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    let with = |kind: &str, status: &str| {
        let condition = json!({"type": kind, "status": status});
        json!({"apiVersion": format!("{}/v1", g.group), "kind": "Widget", "metadata": {"name": "w"}, "status": {"conditions": [condition]}})
    };
    g.server.apply(&g.status_at("w"), "one", &with("Ready", "True")).await?.ok()?;
    let both = g.server.apply(&g.status_at("w"), "two", &with("Synced", "False")).await?.ok()?;
    same!(both.at("/status/conditions"), json!([{"type": "Ready", "status": "True"}, {"type": "Synced", "status": "False"}]));
    let refused = g.server.apply(&g.status_at("w"), "two", &with("Ready", "False")).await?.refused(409, "Conflict")?;
    same!(refused.at("/details/causes/0/field"), ".status.conditions[type=\"Ready\"].status");
    Ok(())
}

async fn without_the_subresource_status_is_a_field(g: &Ground) -> Result<()> {
    let mut body = g.object("Plain", "p", &json!({"a": 1}));
    body["status"] = json!({"phase": "Ready"});
    let made = g.server.post(&g.all("plains"), &body).await?.status(201)?;
    same!(made.at("/status/phase"), "Ready");
    let path = format!("{}/p", g.all("plains"));
    let patched = g.server.merge(&path, &json!({"status": {"phase": "Done"}})).await?.ok()?;
    same!(patched.at("/status/phase"), "Done");
    same!(patched.generation(), 2);
    Ok(())
}

async fn without_the_subresource_there_is_no_path(g: &Ground) -> Result<()> {
    g.server.post(&g.all("plains"), &g.object("Plain", "p", &json!({}))).await?.status(201)?;
    let path = format!("{}/p/status", g.all("plains"));
    same!(g.server.get(&path).await?.status, 404);
    same!(g.server.merge(&path, &json!({"status": {"a": 1}})).await?.status, 404);
    Ok(())
}

async fn a_json_patch_reaches_status(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    let steps = json!([{"op": "add", "path": "/status", "value": {"count": 4}}, {"op": "add", "path": "/spec/title", "value": "no"}]);
    let patched = g.server.json_patch(&g.status_at("w"), &steps).await?.ok()?;
    same!(patched.at("/status"), json!({"count": 4}));
    same!(patched.at("/spec/title"), Value::Null);
    Ok(())
}

async fn status_can_be_written_while_deleting(g: &Ground) -> Result<()> {
    let mut body = g.widget("w", &json!({"size": 1}));
    body["metadata"]["finalizers"] = json!(["example.com/f"]);
    g.server.post(&g.all("widgets"), &body).await?.status(201)?;
    g.server.delete(&g.at("w")).await?.status(200)?;
    let patched = g.server.merge(&g.status_at("w"), &json!({"status": {"phase": "Failed"}})).await?.ok()?;
    same!(patched.at("/status/phase"), "Failed");
    anyhow::ensure!(patched.at("/metadata/deletionTimestamp").is_string(), "not deleting: {}", patched.excerpt());
    g.server.merge(&g.at("w"), &json!({"metadata": {"finalizers": null}})).await?.ok()?;
    g.absent("w").await
}
