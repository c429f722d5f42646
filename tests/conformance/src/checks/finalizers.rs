//! Finalizers, and the deletion of collections; it must not leave an object under a finalizer behind.

use anyhow::Result;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::check::Check;
use crate::ground::Ground;
use crate::{contains, same};

/// The group's checks.
pub const CHECKS: &[Check] = crate::checks!("finalizers", [];
    a_delete_only_marks,
    marking_bumps_the_generation_once,
    a_second_delete_changes_nothing,
    the_last_finalizer_takes_the_object_along,
    one_of_two_finalizers_keeps_it,
    no_finalizer_can_be_added_while_deleting,
    the_mark_cannot_be_removed,
    spec_can_be_written_while_deleting,
    a_create_under_the_name_is_refused,
    a_malformed_finalizer_is_refused,
    the_last_put_answers_the_object,
    a_finalizer_can_be_removed_by_a_tested_patch,
    a_deletion_time_cannot_be_created,
    a_collection_is_deleted,
    a_collection_is_deleted_by_label,
    a_collection_is_deleted_by_field,
    a_dry_run_deletes_no_collection,
    a_collection_honours_finalizers,
);

async fn held(g: &Ground, finalizers: &[&str]) -> Result<Answer> {
    let mut body = g.widget("w", &json!({"size": 1}));
    body["metadata"]["finalizers"] = json!(finalizers);
    g.server.post(&g.all("widgets"), &body).await?.status(201)
}

async fn release(g: &Ground) -> Result<()> {
    g.server.merge(&g.at("w"), &json!({"metadata": {"finalizers": null}})).await?.status(200)?;
    g.absent("w").await
}

async fn a_delete_only_marks(g: &Ground) -> Result<()> {
    let made = held(g, &["example.com/f"]).await?;
    let marked = g.server.delete(&g.at("w")).await?.status(200)?;
    same!(marked.at("/kind"), "Widget");
    same!(marked.uid(), made.uid());
    same!(marked.at("/metadata/deletionGracePeriodSeconds"), 0);
    contains!(marked.text("/metadata/deletionTimestamp"), "T", "Z");
    same!(g.stored("w").await?.body, marked.body);
    release(g).await
}

async fn marking_bumps_the_generation_once(g: &Ground) -> Result<()> {
    let made = held(g, &["example.com/f"]).await?;
    same!(made.generation(), 1);
    same!(g.server.delete(&g.at("w")).await?.ok()?.generation(), 2);
    same!(g.server.delete(&g.at("w")).await?.ok()?.generation(), 2);
    release(g).await
}

async fn a_second_delete_changes_nothing(g: &Ground) -> Result<()> {
    held(g, &["example.com/f"]).await?;
    let first = g.server.delete(&g.at("w")).await?.ok()?;
    let second = g.server.delete(&g.at("w")).await?.ok()?;
    same!(second.at("/metadata/deletionTimestamp"), first.at("/metadata/deletionTimestamp"));
    same!(second.rv(), first.rv());
    same!(g.stored("w").await?.rv(), first.rv());
    release(g).await
}

async fn the_last_finalizer_takes_the_object_along(g: &Ground) -> Result<()> {
    held(g, &["example.com/f"]).await?;
    g.server.merge(&g.at("w"), &json!({"metadata": {"finalizers": []}})).await?.ok()?;
    same!(g.stored("w").await?.at("/metadata/finalizers"), Value::Null);
    g.server.merge(&g.at("w"), &json!({"metadata": {"finalizers": ["example.com/f"]}})).await?.ok()?;
    g.server.delete(&g.at("w")).await?.ok()?;
    release(g).await
}

async fn one_of_two_finalizers_keeps_it(g: &Ground) -> Result<()> {
    held(g, &["example.com/a", "example.com/b"]).await?;
    g.server.delete(&g.at("w")).await?.ok()?;
    g.server.merge(&g.at("w"), &json!({"metadata": {"finalizers": ["example.com/b"]}})).await?.ok()?;
    same!(g.stored("w").await?.at("/metadata/finalizers"), ["example.com/b"]);
    release(g).await
}

async fn no_finalizer_can_be_added_while_deleting(g: &Ground) -> Result<()> {
    held(g, &["example.com/a"]).await?;
    g.server.delete(&g.at("w")).await?.ok()?;
    let more = json!({"metadata": {"finalizers": ["example.com/a", "example.com/b"]}});
    let message = g.server.merge(&g.at("w"), &more).await?.invalid("metadata.finalizers")?;
    contains!(message, "no new finalizers can be added if the object is being deleted", "example.com/b");
    same!(g.stored("w").await?.at("/metadata/finalizers"), ["example.com/a"]);
    release(g).await
}

async fn the_mark_cannot_be_removed(g: &Ground) -> Result<()> {
    held(g, &["example.com/a"]).await?;
    let marked = g.server.delete(&g.at("w")).await?.ok()?;
    let mut body = marked.body.clone();
    body["metadata"]["deletionTimestamp"] = Value::Null;
    body["metadata"]["deletionGracePeriodSeconds"] = Value::Null;
    let put = g.server.put(&g.at("w"), &body).await?.ok()?;
    same!(put.at("/metadata/deletionTimestamp"), marked.at("/metadata/deletionTimestamp"));
    same!(put.at("/metadata/deletionGracePeriodSeconds"), 0);
    release(g).await
}

async fn spec_can_be_written_while_deleting(g: &Ground) -> Result<()> {
    held(g, &["example.com/a"]).await?;
    g.server.delete(&g.at("w")).await?.ok()?;
    let patched = g.server.merge(&g.at("w"), &json!({"spec": {"size": 2}})).await?.ok()?;
    same!(patched.generation(), 3);
    same!(g.stored("w").await?.at("/spec/size"), 2);
    release(g).await
}

async fn a_create_under_the_name_is_refused(g: &Ground) -> Result<()> {
    held(g, &["example.com/a"]).await?;
    g.server.delete(&g.at("w")).await?.ok()?;
    let refused = g.server.post(&g.all("widgets"), &g.widget("w", &json!({"size": 1}))).await?.refused(409, "AlreadyExists")?;
    contains!(refused.message(), "object is being deleted", "already exists");
    release(g).await?;
    g.make("w", &json!({"size": 1})).await?;
    Ok(())
}

async fn a_malformed_finalizer_is_refused(g: &Ground) -> Result<()> {
    let mut body = g.widget("w", &json!({"size": 1}));
    for bad in ["two words/x", "/x", "a/b/c"] {
        body["metadata"]["finalizers"] = json!([bad]);
        let refused = g.server.post(&g.all("widgets"), &body).await?.refused(422, "Invalid")?;
        contains!(refused.message(), "metadata.finalizers", bad);
    }
    g.absent("w").await
}

async fn the_last_put_answers_the_object(g: &Ground) -> Result<()> {
    held(g, &["example.com/a"]).await?;
    let marked = g.server.delete(&g.at("w")).await?.ok()?;
    let last = g.server.put(&g.at("w"), &marked.with("/metadata/finalizers", json!([]))).await?.status(200)?;
    same!(last.uid(), marked.uid());
    same!(last.at("/metadata/finalizers"), Value::Null);
    same!(last.at("/metadata/deletionTimestamp"), marked.at("/metadata/deletionTimestamp"));
    g.absent("w").await
}

async fn a_finalizer_can_be_removed_by_a_tested_patch(g: &Ground) -> Result<()> {
    held(g, &["example.com/a", "example.com/b"]).await?;
    let steps = |name: &str| json!([{"op": "test", "path": "/metadata/finalizers/0", "value": name}, {"op": "remove", "path": "/metadata/finalizers/0"}]);
    g.server.json_patch(&g.at("w"), &steps("example.com/b")).await?.refused(422, "Invalid")?;
    let left = g.server.json_patch(&g.at("w"), &steps("example.com/a")).await?.ok()?;
    same!(left.at("/metadata/finalizers"), ["example.com/b"]);
    same!(left.generation(), 1);
    g.server.delete(&g.at("w")).await?.ok()?;
    g.server.json_patch(&g.at("w"), &steps("example.com/b")).await?.ok()?;
    g.absent("w").await
}

async fn a_deletion_time_cannot_be_created(g: &Ground) -> Result<()> {
    let mut body = g.widget("w", &json!({"size": 1}));
    body["metadata"]["deletionTimestamp"] = "2001-01-01T00:00:00Z".into();
    let made = g.server.post(&g.all("widgets"), &body).await?.status(201)?;
    same!(made.at("/metadata/deletionTimestamp"), Value::Null);
    Ok(())
}

async fn a_collection_is_deleted(g: &Ground) -> Result<()> {
    for name in ["a", "b", "c"] {
        g.make(name, &json!({"size": 1})).await?;
    }
    g.server.delete(&g.all("widgets")).await?.status(200)?;
    same!(g.server.get(&g.all("widgets")).await?.names(), Vec::<String>::new());
    g.server.delete(&g.all("widgets")).await?.status(200)?;
    Ok(())
}

async fn a_collection_is_deleted_by_label(g: &Ground) -> Result<()> {
    g.make_labelled("a", &json!({"tier": "gold"})).await?;
    g.make_labelled("b", &json!({"tier": "tin"})).await?;
    g.make_labelled("c", &json!({"tier": "gold"})).await?;
    let gone = g.server.delete(&g.all("widgets")).query("labelSelector", "tier=gold").await?.status(200)?;
    same!(gone.at("/kind"), "WidgetList");
    same!(gone.names(), ["a", "c"]);
    same!(g.server.get(&g.all("widgets")).await?.names(), ["b"]);
    Ok(())
}

async fn a_collection_is_deleted_by_field(g: &Ground) -> Result<()> {
    g.make("a", &json!({"size": 1})).await?;
    g.make("b", &json!({"size": 1})).await?;
    g.server.delete(&g.all("widgets")).query("fieldSelector", "metadata.name!=a").await?.status(200)?;
    same!(g.server.get(&g.all("widgets")).await?.names(), ["a"]);
    Ok(())
}

async fn a_dry_run_deletes_no_collection(g: &Ground) -> Result<()> {
    g.make("a", &json!({"size": 1})).await?;
    g.make("b", &json!({"size": 1})).await?;
    g.server.delete(&g.all("widgets")).dry().await?.status(200)?;
    same!(g.server.get(&g.all("widgets")).await?.names(), ["a", "b"]);
    Ok(())
}

async fn a_collection_honours_finalizers(g: &Ground) -> Result<()> {
    held(g, &["example.com/f"]).await?;
    g.make("free", &json!({"size": 1})).await?;
    g.server.delete(&g.all("widgets")).await?.status(200)?;
    same!(g.server.get(&g.all("widgets")).await?.names(), ["w"]);
    anyhow::ensure!(g.stored("w").await?.at("/metadata/deletionTimestamp").is_string(), "not marked");
    release(g).await
}
