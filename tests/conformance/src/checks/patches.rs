//! JSON and merge patches, dry runs of writes, and requests for metadata alone; it must not use a kind that knows strategic patches.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::check::Check;
use crate::ground::Ground;
use crate::server::{METADATA, METADATA_LIST};
use crate::{contains, differs, same};

/// The checks of patches.
pub const CHECKS: &[Check] = crate::checks!("patches", [];
    a_merge_patch_merges_and_removes,
    a_merge_patch_replaces_lists,
    a_merge_patch_makes_what_is_missing,
    a_merge_patch_cannot_rename,
    a_json_patch_runs_in_order,
    what_is_absent_passes_a_test_for_null,
    a_json_patch_knows_all_operations,
    a_json_patch_is_all_or_nothing,
    a_json_patch_of_a_missing_path_is_refused,
    a_malformed_json_patch_is_refused,
    a_patch_is_validated,
    a_patch_without_known_type_is_refused,
    escaped_keys_are_found,
);

/// The checks of dry runs.
pub const DRY: &[Check] = crate::checks!("dry-run", [];
    a_dry_create_answers_as_if_and_stores_nothing,
    a_dry_create_of_what_exists_is_refused,
    a_dry_create_is_validated,
    a_dry_put_stores_nothing,
    a_dry_put_conflicts_like_a_real_one,
    a_dry_merge_patch_stores_nothing,
    a_dry_json_patch_stores_nothing,
    a_dry_create_of_a_secret_stores_nothing,
    a_dry_create_reserves_no_name,
    an_unknown_dry_run_is_refused,
);

/// The checks of requests for metadata alone.
pub const META: &[Check] = crate::checks!("metadata-only", [];
    one_object_without_its_body,
    a_list_without_bodies,
    a_list_of_metadata_is_paged,
    selectors_hold_for_metadata,
    a_patch_can_be_answered_by_metadata,
    a_create_can_be_answered_by_metadata,
    secrets_tell_no_data,
    what_is_absent_is_a_status,
);

async fn a_merge_patch_merges_and_removes(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1, "title": "a", "options": {"a": "1", "b": "2"}})).await?;
    let change = json!({"spec": {"title": null, "options": {"a": null, "c": "3"}}});
    let patched = g.server.merge(&g.at("w"), &change).await?.status(200)?;
    same!(patched.at("/spec"), json!({"size": 1, "color": "red", "options": {"b": "2", "c": "3"}}));
    same!(g.stored("w").await?.body, patched.body);
    Ok(())
}

async fn a_merge_patch_replaces_lists(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1, "parts": [{"name": "a"}, {"name": "b"}], "tags": ["x"]})).await?;
    let patched = g.server.merge(&g.at("w"), &json!({"spec": {"parts": [{"name": "c"}], "tags": ["left", "right"]}})).await?.ok()?;
    same!(patched.at("/spec/parts"), json!([{"name": "c"}]));
    same!(patched.at("/spec/tags"), ["left", "right"]);
    Ok(())
}

async fn a_merge_patch_makes_what_is_missing(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    let patched =
        g.server.merge(&g.at("w"), &json!({"metadata": {"annotations": {"a/b": "c"}}, "spec": {"limits": {"width": 2}}})).await?.ok()?;
    same!(patched.at("/metadata/annotations"), json!({"a/b": "c"}));
    same!(patched.at("/spec/limits"), json!({"depth": 3, "width": 2}));
    Ok(())
}

async fn a_merge_patch_cannot_rename(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let name = g.server.merge(&g.at("w"), &json!({"metadata": {"name": "x"}})).await?;
    ensure!(matches!(name.status, 400 | 422), "{}", name.excerpt());
    let kind = g.server.merge(&g.at("w"), &json!({"kind": "Gadget"})).await?;
    ensure!(matches!(kind.status, 400 | 422), "{}", kind.excerpt());
    same!(g.stored("w").await?.body, made.body);
    g.absent("x").await
}

async fn a_json_patch_runs_in_order(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1, "steps": ["a"]})).await?;
    let steps = json!([
        {"op": "add", "path": "/spec/steps/-", "value": "b"},
        {"op": "add", "path": "/spec/steps/0", "value": "first"},
        {"op": "remove", "path": "/spec/steps/1"},
        {"op": "replace", "path": "/spec/size", "value": 2},
    ]);
    let patched = g.server.json_patch(&g.at("w"), &steps).await?.status(200)?;
    same!(patched.at("/spec/steps"), ["first", "b"]);
    same!(patched.at("/spec/size"), 2);
    same!(patched.generation(), 2);
    Ok(())
}

async fn a_json_patch_knows_all_operations(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1, "options": {"a": "1", "b": "2"}})).await?;
    let steps = json!([
        {"op": "test", "path": "/spec/options/a", "value": "1"},
        {"op": "copy", "from": "/spec/options/a", "path": "/spec/options/c"},
        {"op": "move", "from": "/spec/options/b", "path": "/spec/options/d"},
    ]);
    let patched = g.server.json_patch(&g.at("w"), &steps).await?.ok()?;
    same!(patched.at("/spec/options"), json!({"a": "1", "c": "1", "d": "2"}));
    Ok(())
}

async fn a_json_patch_is_all_or_nothing(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let steps = json!([{"op": "replace", "path": "/spec/size", "value": 2}, {"op": "test", "path": "/spec/color", "value": "blue"}]);
    g.server.json_patch(&g.at("w"), &steps).await?.refused(422, "Invalid")?;
    same!(g.stored("w").await?.body, made.body);
    Ok(())
}

async fn a_json_patch_of_a_missing_path_is_refused(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    for step in [json!([{"op": "remove", "path": "/spec/title"}]), json!([{"op": "add", "path": "/spec/options/a", "value": "a"}])] {
        g.server.json_patch(&g.at("w"), &step).await?.refused(422, "Invalid")?;
    }
    same!(g.stored("w").await?.body, made.body);
    Ok(())
}

async fn a_malformed_json_patch_is_refused(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    for body in [json!({"op": "remove", "path": "/spec/size"}), json!("no patch")] {
        g.server.json_patch(&g.at("w"), &body).await?.refused(400, "BadRequest")?;
    }
    let odd = g.server.json_patch(&g.at("w"), &json!([{"op": "twist", "path": "/spec/size"}])).await?;
    ensure!((400..500).contains(&odd.status), "{}", odd.excerpt());
    same!(g.stored("w").await?.body, made.body);
    Ok(())
}

async fn a_patch_is_validated(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    g.server.merge(&g.at("w"), &json!({"spec": {"size": 101}})).await?.invalid("spec.size")?;
    g.server.merge(&g.at("w"), &json!({"spec": {"size": null}})).await?.invalid("spec.size")?;
    g.server.json_patch(&g.at("w"), &json!([{"op": "remove", "path": "/spec"}])).await?.invalid("spec")?;
    same!(g.stored("w").await?.body, made.body);
    Ok(())
}

async fn a_patch_without_known_type_is_refused(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let body = json!({"spec": {"size": 2}});
    let refused =
        g.server.merge(&g.at("w"), &body).raw("application/json", &body.to_string()).await?.refused(415, "UnsupportedMediaType")?;
    contains!(refused.message(), "application/merge-patch+json", "application/apply-patch+yaml");
    same!(g.stored("w").await?.body, made.body);
    Ok(())
}

async fn escaped_keys_are_found(g: &Ground) -> Result<()> {
    let mut body = g.widget("w", &json!({"size": 1}));
    body["metadata"]["annotations"] = json!({"example.com/a": "1", "b": "2"});
    g.server.post(&g.all("widgets"), &body).await?.status(201)?;
    let steps = json!([{"op": "replace", "path": "/metadata/annotations/example.com~1a", "value": "3"}]);
    let patched = g.server.json_patch(&g.at("w"), &steps).await?.ok()?;
    same!(patched.at("/metadata/annotations"), json!({"example.com/a": "3", "b": "2"}));
    Ok(())
}

async fn a_dry_create_answers_as_if_and_stores_nothing(g: &Ground) -> Result<()> {
    let dry = g.server.post(&g.all("widgets"), &g.widget("w", &json!({"size": 1}))).dry().await?.status(201)?;
    same!(dry.at("/spec"), json!({"size": 1, "color": "red"}));
    same!(dry.generation(), 1);
    same!(dry.uid().len(), 36);
    g.absent("w").await?;
    same!(g.server.get(&g.all("widgets")).await?.names(), Vec::<String>::new());
    Ok(())
}

async fn a_dry_create_of_what_exists_is_refused(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    g.server.post(&g.all("widgets"), &g.widget("w", &json!({"size": 2}))).dry().await?.refused(409, "AlreadyExists")?;
    same!(g.stored("w").await?.body, made.body);
    Ok(())
}

async fn a_dry_create_is_validated(g: &Ground) -> Result<()> {
    let body = g.widget("w", &json!({"size": 101}));
    let dry = g.server.post(&g.all("widgets"), &body).dry().await?.refused(422, "Invalid")?;
    let wet = g.server.post(&g.all("widgets"), &body).await?.refused(422, "Invalid")?;
    same!(dry.body, wet.body);
    let elsewhere = format!("/apis/{}/v1/namespaces/{}-absent/widgets", g.group, g.namespace);
    g.server.post(&elsewhere, &g.widget("w", &json!({"size": 1}))).dry().await?.refused(404, "NotFound")?;
    Ok(())
}

async fn a_dry_put_stores_nothing(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let dry = g.server.put(&g.at("w"), &made.with("/spec/size", 2)).dry().await?.ok()?;
    same!(dry.at("/spec/size"), 2);
    same!(dry.generation(), 2);
    same!(g.stored("w").await?.body, made.body);
    g.server.put(&g.at("w"), &made.with("/spec/size", 3)).await?.ok()?;
    Ok(())
}

async fn a_dry_put_conflicts_like_a_real_one(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    g.server.merge(&g.at("w"), &json!({"spec": {"size": 2}})).await?.ok()?;
    let stale = made.with("/spec/size", 3);
    let dry = g.server.put(&g.at("w"), &stale).dry().await?.refused(409, "Conflict")?;
    let wet = g.server.put(&g.at("w"), &stale).await?.refused(409, "Conflict")?;
    same!(dry.body, wet.body);
    Ok(())
}

async fn a_dry_merge_patch_stores_nothing(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    same!(g.server.merge(&g.at("w"), &json!({"spec": {"size": 2}})).dry().await?.ok()?.at("/spec/size"), 2);
    g.server.merge(&g.at("w"), &json!({"spec": {"size": -1}})).dry().await?.invalid("spec.size")?;
    same!(g.stored("w").await?.body, made.body);
    Ok(())
}

async fn a_dry_json_patch_stores_nothing(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let steps = json!([{"op": "replace", "path": "/spec/size", "value": 2}]);
    same!(g.server.json_patch(&g.at("w"), &steps).dry().await?.ok()?.at("/spec/size"), 2);
    same!(g.stored("w").await?.body, made.body);
    Ok(())
}

async fn a_dry_create_of_a_secret_stores_nothing(g: &Ground) -> Result<()> {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}});
    let path = format!("{}/s", g.core("secrets"));
    let dry = g.server.post(&g.core("secrets"), &secret).dry().await?.status(201)?;
    same!(dry.at("/data"), json!({"a": "Yg=="}));
    g.server.get(&path).await?.refused(404, "NotFound")?;
    let made = g.server.post(&g.core("secrets"), &secret).await?.status(201)?;
    g.server.put(&path, &made.with("/data/a", "Yw==")).dry().await?.ok()?;
    same!(g.server.get(&path).await?.at("/data/a"), "Yg==");
    Ok(())
}

async fn a_dry_create_reserves_no_name(g: &Ground) -> Result<()> {
    for _ in 0..2 {
        g.server.post(&g.all("widgets"), &g.widget("w", &json!({"size": 1}))).dry().await?.status(201)?;
    }
    g.make("w", &json!({"size": 1})).await?;
    Ok(())
}

async fn an_unknown_dry_run_is_refused(g: &Ground) -> Result<()> {
    let refused = g.server.post(&g.all("widgets"), &g.widget("w", &json!({"size": 1}))).query("dryRun", "Some").await?;
    contains!(refused.message(), "dryRun");
    refused.refused(422, "Invalid")?;
    g.absent("w").await
}

async fn one_object_without_its_body(g: &Ground) -> Result<()> {
    let made = g.make_labelled("w", &json!({"a": "b"})).await?;
    let partial = g.server.get(&g.at("w")).accept(METADATA).await?.status(200)?;
    same!(partial.body, json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": made.at("/metadata")}));
    Ok(())
}

async fn a_list_without_bodies(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let list = g.server.get(&g.all("widgets")).accept(METADATA_LIST).await?.status(200)?;
    same!(list.at("/kind"), "PartialObjectMetadataList");
    same!(list.at("/apiVersion"), "meta.k8s.io/v1");
    same!(list.names(), ["w"]);
    same!(list.at("/items/0/metadata"), made.at("/metadata"));
    same!(list.at("/items/0/spec"), Value::Null);
    ensure!(!list.rv().is_empty(), "no resourceVersion");
    Ok(())
}

async fn a_list_of_metadata_is_paged(g: &Ground) -> Result<()> {
    for name in ["a", "b", "c"] {
        g.make(name, &json!({"size": 1})).await?;
    }
    let first = g.server.get(&g.all("widgets")).accept(METADATA_LIST).query("limit", "2").await?.ok()?;
    same!(first.names(), ["a", "b"]);
    let token = first.text("/metadata/continue").to_owned();
    let second = g.server.get(&g.all("widgets")).accept(METADATA_LIST).query("limit", "2").query("continue", &token).await?.ok()?;
    same!(second.names(), ["c"]);
    same!(second.text("/metadata/continue"), "");
    Ok(())
}

async fn selectors_hold_for_metadata(g: &Ground) -> Result<()> {
    g.make_labelled("a", &json!({"tier": "gold"})).await?;
    g.make_labelled("b", &json!({"tier": "tin"})).await?;
    let list = g.server.get(&g.all("widgets")).accept(METADATA_LIST).query("labelSelector", "tier!=gold").await?.ok()?;
    same!(list.names(), ["b"]);
    Ok(())
}

async fn a_patch_can_be_answered_by_metadata(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    let change = json!({"metadata": {"annotations": {"a": "b"}}, "spec": {"size": 2}});
    let partial = g.server.merge(&g.at("w"), &change).accept(METADATA).await?.status(200)?;
    same!(partial.at("/kind"), "PartialObjectMetadata");
    same!(partial.at("/metadata/annotations"), json!({"a": "b"}));
    same!(partial.at("/spec"), Value::Null);
    same!(g.stored("w").await?.at("/spec/size"), 2);
    Ok(())
}

async fn a_create_can_be_answered_by_metadata(g: &Ground) -> Result<()> {
    let partial = g.server.post(&g.all("widgets"), &g.widget("w", &json!({"size": 1}))).accept(METADATA).await?.status(201)?;
    same!(partial.at("/kind"), "PartialObjectMetadata");
    same!(partial.at("/metadata"), g.stored("w").await?.at("/metadata"));
    Ok(())
}

async fn secrets_tell_no_data(g: &Ground) -> Result<()> {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}});
    g.server.post(&g.core("secrets"), &secret).await?.status(201)?;
    let list = g.server.get(&g.core("secrets")).accept(METADATA_LIST).query("fieldSelector", "metadata.name=s").await?.ok()?;
    same!(list.names(), ["s"]);
    same!(list.at("/items/0/data"), Value::Null);
    same!(list.at("/items/0/type"), Value::Null);
    Ok(())
}

async fn what_is_absent_is_a_status(g: &Ground) -> Result<()> {
    g.server.get(&g.at("w")).accept(METADATA).await?.refused(404, "NotFound")?;
    Ok(())
}

async fn what_is_absent_passes_a_test_for_null(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let absent = json!({"op": "test", "path": "/metadata/deletionTimestamp", "value": null});
    let patch = json!([absent, {"op": "replace", "path": "/spec/size", "value": 2}]);
    same!(g.server.json_patch(&g.at("w"), &patch).await?.ok()?.at("/spec/size"), 2);
    let present = json!([{"op": "test", "path": "/metadata/uid", "value": null}, {"op": "replace", "path": "/spec/size", "value": 3}]);
    g.server.json_patch(&g.at("w"), &present).await?.refused(422, "Invalid")?;
    differs!(g.stored("w").await?.rv(), made.rv());
    same!(g.stored("w").await?.at("/spec/size"), 2);
    Ok(())
}
