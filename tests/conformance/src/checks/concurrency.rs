//! Optimistic concurrency and generations: what a resourceVersion fences, and what moves which number; it must not read order
//! into resourceVersions beyond equality.

use anyhow::Result;
use serde_json::json;

use crate::check::Check;
use crate::ground::Ground;
use crate::{contains, differs, same};

/// The group's checks.
pub const CHECKS: &[Check] = crate::checks!("concurrency", [];
    a_stale_put_conflicts,
    a_put_without_version_of_a_custom_resource_is_refused,
    a_put_without_version_of_a_config_map_is_unconditional,
    a_merge_patch_with_a_stale_version_conflicts,
    a_merge_patch_with_the_right_version_is_accepted,
    a_merge_patch_without_version_is_unconditional,
    a_json_patch_can_test_the_version,
    a_put_that_changes_nothing_moves_nothing,
    a_patch_that_changes_nothing_moves_nothing,
    a_write_that_changes_nothing_claims_nothing,
    every_change_moves_the_version,
    a_label_leaves_the_generation,
    a_change_of_spec_bumps_the_generation_once,
    the_generation_cannot_be_written,
    uid_and_creation_time_cannot_be_written,
    another_creation_time_is_not_heard,
    a_deletion_time_cannot_be_written,
    a_put_with_another_uid_conflicts,
    of_two_racing_puts_one_wins,
    unconditional_patches_of_many_all_arrive,
    a_deletion_fences_a_put,
    a_put_of_what_is_absent_is_not_found,
    an_object_made_again_has_another_uid,
    without_status_subresource_any_field_bumps_the_generation,
);

async fn a_stale_put_conflicts(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    g.server.put(&g.at("w"), &made.with("/spec/size", 2)).await?.ok()?;
    let refused = g.server.put(&g.at("w"), &made.with("/spec/size", 3)).await?.refused(409, "Conflict")?;
    same!(refused.at("/details/name"), "w");
    same!(refused.at("/details/kind"), "widgets");
    same!(refused.at("/details/group"), g.group);
    contains!(refused.message(), "Operation cannot be fulfilled on widgets.", "\"w\": the object has been modified");
    same!(g.stored("w").await?.at("/spec/size"), 2);
    Ok(())
}

async fn a_put_without_version_of_a_custom_resource_is_refused(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let message = g.server.put(&g.at("w"), &g.widget("w", &json!({"size": 2}))).await?.invalid("metadata.resourceVersion")?;
    contains!(message, "must be specified for an update");
    same!(g.stored("w").await?.rv(), made.rv());
    Ok(())
}

async fn a_put_without_version_of_a_config_map_is_unconditional(g: &Ground) -> Result<()> {
    let map = |value: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": value}});
    let path = format!("{}/m", g.core("configmaps"));
    let made = g.server.post(&g.core("configmaps"), &map("1")).await?.status(201)?;
    g.server.put(&path, &map("2")).await?.ok()?;
    same!(g.server.get(&path).await?.at("/data/a"), "2");
    g.server.put(&path, &made.with("/data/a", "3")).await?.refused(409, "Conflict")?;
    same!(g.server.get(&path).await?.at("/data/a"), "2");
    Ok(())
}

async fn a_merge_patch_with_a_stale_version_conflicts(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    g.server.merge(&g.at("w"), &json!({"spec": {"size": 2}})).await?.ok()?;
    let change = json!({"metadata": {"resourceVersion": made.rv()}, "spec": {"size": 3}});
    let refused = g.server.merge(&g.at("w"), &change).await?.refused(409, "Conflict")?;
    contains!(refused.message(), "the object has been modified");
    same!(g.stored("w").await?.at("/spec/size"), 2);
    Ok(())
}

async fn a_merge_patch_with_the_right_version_is_accepted(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let change = json!({"metadata": {"resourceVersion": made.rv()}, "spec": {"size": 3}});
    let patched = g.server.merge(&g.at("w"), &change).await?.ok()?;
    same!(patched.at("/spec/size"), 3);
    differs!(patched.rv(), made.rv());
    g.server.merge(&g.at("w"), &change).await?.refused(409, "Conflict")?;
    Ok(())
}

async fn a_merge_patch_without_version_is_unconditional(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    for size in 2..5 {
        let patched = g.server.merge(&g.at("w"), &json!({"spec": {"size": size}})).await?.status(200)?;
        same!(patched.at("/spec/size"), size);
    }
    same!(g.stored("w").await?.generation(), 4);
    Ok(())
}

async fn a_json_patch_can_test_the_version(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let steps = |version: &str| json!([{"op": "test", "path": "/metadata/resourceVersion", "value": version}, {"op": "replace", "path": "/spec/size", "value": 2}]);
    let refused = g.server.json_patch(&g.at("w"), &steps("nonsense")).await?.refused(422, "Invalid")?;
    contains!(refused.message(), "the server rejected our request due to an error in our request");
    same!(g.stored("w").await?.rv(), made.rv());
    same!(g.server.json_patch(&g.at("w"), &steps(made.rv())).await?.ok()?.at("/spec/size"), 2);
    Ok(())
}

async fn a_put_that_changes_nothing_moves_nothing(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let put = g.server.put(&g.at("w"), &made.body).await?.status(200)?;
    same!(put.rv(), made.rv());
    let without = made.with("/metadata/managedFields", serde_json::Value::Null);
    g.server.put(&g.at("w"), &without).await?.ok()?;
    same!(g.stored("w").await?.at("/metadata/generation"), 1);
    Ok(())
}

async fn a_patch_that_changes_nothing_moves_nothing(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    same!(g.server.merge(&g.at("w"), &json!({})).await?.ok()?.rv(), made.rv());
    same!(g.server.merge(&g.at("w"), &json!({"spec": {"size": 1}})).await?.ok()?.rv(), made.rv());
    same!(g.server.json_patch(&g.at("w"), &json!([])).await?.ok()?.rv(), made.rv());
    same!(g.stored("w").await?.body, made.body);
    Ok(())
}

async fn a_write_that_changes_nothing_claims_nothing(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let same_again = json!({"metadata": {"resourceVersion": made.rv()}, "spec": {"size": 1}});
    for _ in 0..3 {
        same!(g.server.merge(&g.at("w"), &same_again).await?.ok()?.rv(), made.rv());
    }
    g.server.put(&g.at("w"), &made.with("/spec/size", 2)).await?.ok()?;
    g.server.merge(&g.at("w"), &same_again).await?.refused(409, "Conflict")?;
    Ok(())
}

async fn every_change_moves_the_version(g: &Ground) -> Result<()> {
    let mut seen = vec![g.make("w", &json!({"size": 1})).await?.rv().to_owned()];
    for change in
        [json!({"spec": {"size": 2}}), json!({"metadata": {"labels": {"a": "b"}}}), json!({"metadata": {"finalizers": ["example.com/f"]}})]
    {
        seen.push(g.server.merge(&g.at("w"), &change).await?.ok()?.rv().to_owned());
    }
    seen.push(g.server.merge(&g.status_at("w"), &json!({"status": {"count": 1}})).await?.ok()?.rv().to_owned());
    seen.push(g.server.delete(&g.at("w")).await?.ok()?.rv().to_owned());
    let count = seen.len();
    seen.sort();
    seen.dedup();
    same!(seen.len(), count);
    g.server.merge(&g.at("w"), &json!({"metadata": {"finalizers": null}})).await?.ok()?;
    Ok(())
}

async fn a_label_leaves_the_generation(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    let change = json!({"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}, "finalizers": ["example.com/f"]}});
    let patched = g.server.merge(&g.at("w"), &change).await?.ok()?;
    same!(patched.generation(), 1);
    same!(patched.at("/metadata/labels"), json!({"a": "b"}));
    g.server.merge(&g.at("w"), &json!({"metadata": {"finalizers": null}})).await?.ok()?;
    Ok(())
}

async fn a_change_of_spec_bumps_the_generation_once(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    same!(made.generation(), 1);
    let put = g.server.merge(&g.at("w"), &json!({"spec": {"size": 2, "title": "a", "color": "blue"}})).await?.ok()?;
    same!(put.generation(), 2);
    let same_spec = g.server.merge(&g.at("w"), &json!({"spec": {"size": 2}})).await?.ok()?;
    same!(same_spec.generation(), 2);
    let emptied = g.server.merge(&g.at("w"), &json!({"spec": {"title": null}})).await?.ok()?;
    same!(emptied.generation(), 3);
    Ok(())
}

async fn the_generation_cannot_be_written(g: &Ground) -> Result<()> {
    let mut body = g.widget("w", &json!({"size": 1}));
    body["metadata"]["generation"] = 77.into();
    let made = g.server.post(&g.all("widgets"), &body).await?.status(201)?;
    same!(made.generation(), 1);
    let patched = g.server.merge(&g.at("w"), &json!({"metadata": {"generation": 12}})).await?.ok()?;
    same!(patched.generation(), 1);
    same!(patched.rv(), made.rv());
    Ok(())
}

async fn uid_and_creation_time_cannot_be_written(g: &Ground) -> Result<()> {
    let mut body = g.widget("w", &json!({"size": 1}));
    body["metadata"]["uid"] = "00000000-0000-4000-8000-000000000000".into();
    body["metadata"]["creationTimestamp"] = "2001-01-01T00:00:00Z".into();
    let made = g.server.post(&g.all("widgets"), &body).await?.status(201)?;
    differs!(made.uid(), "00000000-0000-4000-8000-000000000000");
    differs!(made.at("/metadata/creationTimestamp"), "2001-01-01T00:00:00Z");
    g.server.merge(&g.at("w"), &json!({"metadata": {"uid": "00000000-0000-4000-8000-000000000000"}})).await?.invalid("metadata.uid")?;
    let patched = g.server.put(&g.at("w"), &made.with("/metadata/creationTimestamp", serde_json::Value::Null)).await?.ok()?;
    same!(patched.at("/metadata/creationTimestamp"), made.at("/metadata/creationTimestamp"));
    Ok(())
}

async fn a_put_with_another_uid_conflicts(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let mut body = made.with("/spec/size", 2);
    body["metadata"]["uid"] = "00000000-0000-4000-8000-000000000000".into();
    let refused = g.server.put(&g.at("w"), &body).await?.refused(409, "Conflict")?;
    contains!(refused.message(), "Precondition failed: UID in precondition", made.uid());
    same!(g.stored("w").await?.rv(), made.rv());
    Ok(())
}

async fn of_two_racing_puts_one_wins(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let put = |size: i64| {
        let body = made.with("/spec/size", size);
        let (server, path) = (g.server.clone(), g.at("w"));
        async move { server.put(&path, &body).await }
    };
    let answers = futures::future::try_join_all((10..18).map(put)).await?;
    let winners: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    same!(winners.len(), 1);
    same!(answers.iter().filter(|answer| answer.status == 409).count(), 7);
    same!(g.stored("w").await?.at("/spec/size"), winners[0].at("/spec/size"));
    same!(g.stored("w").await?.generation(), 2);
    Ok(())
}

async fn unconditional_patches_of_many_all_arrive(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    let patch = |number: usize| {
        let (server, path) = (g.server.clone(), g.at("w"));
        async move { server.merge(&path, &json!({"spec": {"options": {format!("key{number}"): "x"}}})).await?.ok() }
    };
    futures::future::try_join_all((0..5).map(patch)).await?;
    let stored = g.stored("w").await?;
    same!(stored.at("/spec/options").as_object().map_or(0, serde_json::Map::len), 5);
    same!(stored.generation(), 6);
    Ok(())
}

async fn a_deletion_fences_a_put(g: &Ground) -> Result<()> {
    let mut body = g.widget("w", &json!({"size": 1}));
    body["metadata"]["finalizers"] = json!(["example.com/f"]);
    let made = g.server.post(&g.all("widgets"), &body).await?.status(201)?;
    g.server.delete(&g.at("w")).await?.ok()?;
    g.server.put(&g.at("w"), &made.with("/spec/size", 2)).await?.refused(409, "Conflict")?;
    g.server.put(&g.status_at("w"), &made.with("/status/count", 2)).await?.refused(409, "Conflict")?;
    g.server.merge(&g.at("w"), &json!({"metadata": {"finalizers": null}})).await?.ok()?;
    Ok(())
}

async fn a_put_of_what_is_absent_is_not_found(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    g.server.delete(&g.at("w")).await?.ok()?;
    let put = g.server.put(&g.at("w"), &made.body).await?;
    anyhow::ensure!(put.status == 404 || put.status == 409, "{}", put.excerpt());
    g.server.merge(&g.at("w"), &json!({"spec": {"size": 2}})).await?.refused(404, "NotFound")?;
    g.absent("w").await
}

async fn an_object_made_again_has_another_uid(g: &Ground) -> Result<()> {
    let first = g.make("w", &json!({"size": 1})).await?;
    g.server.delete(&g.at("w")).await?.ok()?;
    let second = g.make("w", &json!({"size": 1})).await?;
    differs!(second.uid(), first.uid());
    differs!(second.rv(), first.rv());
    same!(second.generation(), 1);
    Ok(())
}

async fn without_status_subresource_any_field_bumps_the_generation(g: &Ground) -> Result<()> {
    let made = g.server.post(&g.all("plains"), &g.object("Plain", "p", &json!({"a": 1}))).await?.status(201)?;
    same!(made.generation(), 1);
    let path = format!("{}/p", g.all("plains"));
    same!(g.server.merge(&path, &json!({"status": {"b": 1}})).await?.ok()?.generation(), 2);
    same!(g.server.merge(&path, &json!({"metadata": {"labels": {"a": "b"}}})).await?.ok()?.generation(), 2);
    same!(g.server.merge(&path, &json!({"spec": {"a": 2}})).await?.ok()?.generation(), 3);
    Ok(())
}

async fn another_creation_time_is_not_heard(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let changed = json!({"metadata": {"creationTimestamp": "2001-01-01T00:00:00Z"}, "spec": {"size": 2}});
    let patched = g.server.merge(&g.at("w"), &changed).await?.ok()?;
    same!(patched.at("/metadata/creationTimestamp"), made.at("/metadata/creationTimestamp"));
    same!(g.stored("w").await?.at("/spec/size"), 2);
    Ok(())
}

async fn a_deletion_time_cannot_be_written(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let marked = json!({"metadata": {"deletionTimestamp": "2001-01-01T00:00:00Z"}});
    g.server.merge(&g.at("w"), &marked).await?.invalid("metadata.deletionTimestamp")?;
    same!(g.stored("w").await?.body, made.body);
    Ok(())
}
