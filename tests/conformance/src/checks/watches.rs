//! Watches: what they begin with, what they tell, and how they resume; it must not take silence for proof: a later event shows
//! that an earlier one was left out.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::check::Check;
use crate::ground::Ground;
use crate::server::METADATA;
use crate::{differs, same};

/// The group's checks.
pub const CHECKS: &[Check] = crate::checks!("watches", [];
    a_watch_tells_every_change,
    a_watch_from_a_list_misses_nothing,
    a_watch_without_version_begins_with_what_is_there,
    a_watch_from_zero_begins_with_what_is_there,
    a_watch_resumes_after_the_last_event,
    two_watches_tell_the_same,
    a_status_write_is_told,
    a_write_that_changes_nothing_is_not_told,
    a_dry_run_is_not_told,
    a_delete_tells_the_last_state_at_a_new_version,
    finalizers_are_told_step_by_step,
    entering_a_selector_is_an_addition,
    leaving_a_selector_is_a_deletion,
    outside_a_selector_nothing_is_told,
    one_object_can_be_watched,
    another_namespace_is_not_told,
    all_namespaces_can_be_watched,
    the_time_limit_ends_a_watch,
    bookmarks_come_when_asked_for,
    a_watch_resumes_from_a_bookmark,
    without_asking_there_is_no_bookmark,
    metadata_can_be_watched_alone,
    a_built_in_kind_is_watched_the_same_way,
    a_deleted_collection_is_told_one_by_one,
    the_old_watch_path_is_a_watch_too,
);

async fn here(g: &Ground) -> Result<String> {
    Ok(g.server.get(&g.all("widgets")).await?.ok()?.rv().to_owned())
}

async fn a_watch_tells_every_change(g: &Ground) -> Result<()> {
    let from = here(g).await?;
    let mut watch = g.server.get(&g.all("widgets")).query("resourceVersion", &from).watch().await?.open()?;
    let made = g.make("w", &json!({"size": 1})).await?;
    let changed = g.server.merge(&g.at("w"), &json!({"spec": {"size": 2}})).await?.ok()?;
    g.server.delete(&g.at("w")).await?.ok()?;
    same!(watch.expect("ADDED", "w").await?.object, made.body);
    same!(watch.expect("MODIFIED", "w").await?.object, changed.body);
    same!(watch.expect("DELETED", "w").await?.object["spec"]["size"], 2);
    Ok(())
}

async fn a_watch_from_a_list_misses_nothing(g: &Ground) -> Result<()> {
    g.make("before", &json!({"size": 1})).await?;
    let from = here(g).await?;
    g.make("a", &json!({"size": 1})).await?;
    g.make("b", &json!({"size": 1})).await?;
    g.server.delete(&g.at("a")).await?.ok()?;
    let mut watch = g.server.get(&g.all("widgets")).query("resourceVersion", &from).watch().await?.open()?;
    watch.expect("ADDED", "a").await?;
    watch.expect("ADDED", "b").await?;
    watch.expect("DELETED", "a").await?;
    g.make("c", &json!({"size": 1})).await?;
    watch.expect("ADDED", "c").await?;
    Ok(())
}

async fn begins_with_what_is_there(g: &Ground, version: Option<&str>) -> Result<()> {
    g.make("a", &json!({"size": 1})).await?;
    g.make("b", &json!({"size": 1})).await?;
    let changed = g.server.merge(&g.at("a"), &json!({"spec": {"size": 9}})).await?.ok()?;
    // A read from the cache may be behind: a watch that was told of the change shows that it is not.
    let mut told = g.server.get(&g.all("widgets")).query("resourceVersion", changed.rv()).watch().await?.open()?;
    g.make("c", &json!({"size": 1})).await?;
    told.expect("ADDED", "c").await?;
    let mut call = g.server.get(&g.all("widgets"));
    if let Some(version) = version {
        call = call.query("resourceVersion", version);
    }
    let mut watch = call.watch().await?.open()?;
    let mut names = Vec::new();
    for _ in 0..3 {
        let event = watch.expect("ADDED", "").await?;
        if event.name() == "a" {
            same!(event.object["spec"]["size"], 9);
        }
        names.push(event.name().to_owned());
    }
    names.sort();
    same!(names, ["a", "b", "c"]);
    g.server.delete(&g.at("b")).await?.ok()?;
    watch.expect("DELETED", "b").await?;
    Ok(())
}

async fn a_watch_without_version_begins_with_what_is_there(g: &Ground) -> Result<()> {
    begins_with_what_is_there(g, None).await
}

async fn a_watch_from_zero_begins_with_what_is_there(g: &Ground) -> Result<()> {
    begins_with_what_is_there(g, Some("0")).await
}

async fn a_watch_resumes_after_the_last_event(g: &Ground) -> Result<()> {
    let from = here(g).await?;
    g.make("w", &json!({"size": 1})).await?;
    for size in 2..6 {
        g.server.merge(&g.at("w"), &json!({"spec": {"size": size}})).await?.ok()?;
    }
    let mut first = g.server.get(&g.all("widgets")).query("resourceVersion", &from).watch().await?.open()?;
    first.expect("ADDED", "w").await?;
    let seen = first.expect("MODIFIED", "w").await?;
    same!(seen.object["spec"]["size"], 2);
    drop(first);
    let mut second = g.server.get(&g.all("widgets")).query("resourceVersion", seen.rv()).watch().await?.open()?;
    for size in 3..6 {
        same!(second.expect("MODIFIED", "w").await?.object["spec"]["size"], size);
    }
    Ok(())
}

async fn two_watches_tell_the_same(g: &Ground) -> Result<()> {
    let from = here(g).await?;
    let mut one = g.server.get(&g.all("widgets")).query("resourceVersion", &from).watch().await?.open()?;
    for name in ["a", "b", "c"] {
        g.make(name, &json!({"size": 1})).await?;
    }
    g.server.delete(&g.all("widgets")).await?.ok()?;
    let mut two = g.server.get(&g.all("widgets")).query("resourceVersion", &from).watch().await?.open()?;
    for _ in 0..6 {
        let (first, second) = (one.expect_any().await?, two.expect_any().await?);
        same!(first.kind, second.kind);
        same!(first.object, second.object);
    }
    Ok(())
}

async fn a_status_write_is_told(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let mut watch = g.server.get(&g.all("widgets")).query("resourceVersion", made.rv()).watch().await?.open()?;
    let written = g.server.merge(&g.status_at("w"), &json!({"status": {"count": 1}})).await?.ok()?;
    same!(watch.expect("MODIFIED", "w").await?.object, written.body);
    Ok(())
}

async fn a_write_that_changes_nothing_is_not_told(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let mut watch = g.server.get(&g.all("widgets")).query("resourceVersion", made.rv()).watch().await?.open()?;
    g.server.put(&g.at("w"), &made.body).await?.ok()?;
    g.server.merge(&g.at("w"), &json!({"spec": {"size": 1}})).await?.ok()?;
    let changed = g.server.merge(&g.at("w"), &json!({"spec": {"size": 2}})).await?.ok()?;
    same!(watch.expect("MODIFIED", "w").await?.rv(), changed.rv());
    Ok(())
}

async fn a_dry_run_is_not_told(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let mut watch = g.server.get(&g.all("widgets")).query("resourceVersion", made.rv()).watch().await?.open()?;
    g.server.merge(&g.at("w"), &json!({"spec": {"size": 3}})).dry().await?.ok()?;
    g.server.delete(&g.at("w")).dry().await?.ok()?;
    g.server.post(&g.all("widgets"), &g.widget("x", &json!({"size": 1}))).dry().await?.ok()?;
    g.make("y", &json!({"size": 1})).await?;
    watch.expect("ADDED", "y").await?;
    Ok(())
}

async fn a_delete_tells_the_last_state_at_a_new_version(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 4})).await?;
    let mut watch = g.server.get(&g.all("widgets")).query("resourceVersion", made.rv()).watch().await?.open()?;
    g.server.delete(&g.at("w")).await?.ok()?;
    let gone = watch.expect("DELETED", "w").await?;
    differs!(gone.rv(), made.rv());
    let mut last = gone.object.clone();
    last["metadata"]["resourceVersion"] = made.rv().into();
    same!(last, made.body);
    g.make("next", &json!({"size": 1})).await?;
    let mut resumed = g.server.get(&g.all("widgets")).query("resourceVersion", gone.rv()).watch().await?.open()?;
    resumed.expect("ADDED", "next").await?;
    Ok(())
}

async fn finalizers_are_told_step_by_step(g: &Ground) -> Result<()> {
    let mut body = g.widget("w", &json!({"size": 1}));
    body["metadata"]["finalizers"] = json!(["example.com/f"]);
    let made = g.server.post(&g.all("widgets"), &body).await?.status(201)?;
    let mut watch = g.server.get(&g.all("widgets")).query("resourceVersion", made.rv()).watch().await?.open()?;
    g.server.delete(&g.at("w")).await?.ok()?;
    g.server.merge(&g.at("w"), &json!({"metadata": {"finalizers": null}})).await?.ok()?;
    let marked = watch.expect("MODIFIED", "w").await?;
    ensure!(marked.object["metadata"]["deletionTimestamp"].is_string(), "not marked: {}", marked.object);
    same!(marked.object["metadata"]["finalizers"], ["example.com/f"]);
    let gone = watch.expect("DELETED", "w").await?;
    ensure!(gone.object["metadata"]["deletionTimestamp"].is_string(), "not marked: {}", gone.object);
    differs!(gone.rv(), marked.rv());
    Ok(())
}

async fn entering_a_selector_is_an_addition(g: &Ground) -> Result<()> {
    let made = g.make_labelled("w", &json!({"tier": "tin"})).await?;
    let call = g.server.get(&g.all("widgets")).query("resourceVersion", made.rv()).query("labelSelector", "tier=gold");
    let mut watch = call.watch().await?.open()?;
    let changed = g.server.merge(&g.at("w"), &json!({"metadata": {"labels": {"tier": "gold"}}})).await?.ok()?;
    same!(watch.expect("ADDED", "w").await?.object, changed.body);
    g.server.merge(&g.at("w"), &json!({"spec": {"size": 2}})).await?.ok()?;
    watch.expect("MODIFIED", "w").await?;
    Ok(())
}

async fn leaving_a_selector_is_a_deletion(g: &Ground) -> Result<()> {
    let made = g.make_labelled("w", &json!({"tier": "gold"})).await?;
    let call = g.server.get(&g.all("widgets")).query("resourceVersion", made.rv()).query("labelSelector", "tier=gold");
    let mut watch = call.watch().await?.open()?;
    let changed = g.server.merge(&g.at("w"), &json!({"metadata": {"labels": {"tier": "tin"}}})).await?.ok()?;
    let left = watch.expect("DELETED", "w").await?;
    same!(left.object["metadata"]["labels"]["tier"], "gold");
    same!(left.rv(), changed.rv());
    g.stored("w").await?;
    Ok(())
}

async fn outside_a_selector_nothing_is_told(g: &Ground) -> Result<()> {
    let from = here(g).await?;
    let call = g.server.get(&g.all("widgets")).query("resourceVersion", &from).query("labelSelector", "tier in (gold,silver),!old");
    let mut watch = call.watch().await?.open()?;
    g.make_labelled("a", &json!({"tier": "tin"})).await?;
    g.make_labelled("b", &json!({"tier": "gold", "old": "x"})).await?;
    g.server.delete(&g.at("a")).await?.ok()?;
    g.make_labelled("c", &json!({"tier": "silver"})).await?;
    watch.expect("ADDED", "c").await?;
    Ok(())
}

async fn one_object_can_be_watched(g: &Ground) -> Result<()> {
    let from = here(g).await?;
    let call = g.server.get(&g.all("widgets")).query("resourceVersion", &from).query("fieldSelector", "metadata.name=b");
    let mut watch = call.watch().await?.open()?;
    for name in ["a", "b", "c"] {
        g.make(name, &json!({"size": 1})).await?;
    }
    g.server.delete(&g.all("widgets")).await?.ok()?;
    watch.expect("ADDED", "b").await?;
    watch.expect("DELETED", "b").await?;
    Ok(())
}

async fn another_namespace_is_not_told(g: &Ground) -> Result<()> {
    let from = here(g).await?;
    let mut watch = g.server.get(&g.all("widgets")).query("resourceVersion", &from).watch().await?.open()?;
    let elsewhere = format!("/apis/{}/v1/namespaces/default/widgets", g.group);
    let name = g.namespace.clone();
    g.server.post(&elsewhere, &g.widget(&name, &json!({"size": 1}))).await?.status(201)?;
    g.server.delete(&format!("{elsewhere}/{name}")).await?.ok()?;
    g.make("here", &json!({"size": 1})).await?;
    watch.expect("ADDED", "here").await?;
    Ok(())
}

async fn all_namespaces_can_be_watched(g: &Ground) -> Result<()> {
    let all = format!("/apis/{}/v1/plains", g.group);
    let from = g.server.get(&all).await?.ok()?.rv().to_owned();
    let call = g.server.get(&all).query("resourceVersion", &from).query("labelSelector", &format!("of={}", g.namespace));
    let mut watch = call.watch().await?.open()?;
    let mut body = g.object("Plain", "p", &json!({}));
    body["metadata"]["labels"] = json!({"of": g.namespace});
    g.server.post(&g.all("plains"), &body).await?.status(201)?;
    body["metadata"]["name"] = g.namespace.clone().into();
    let elsewhere = format!("/apis/{}/v1/namespaces/default/plains", g.group);
    g.server.post(&elsewhere, &body).await?.status(201)?;
    same!(watch.expect("ADDED", "p").await?.object["metadata"]["namespace"], g.namespace);
    same!(watch.expect("ADDED", &g.namespace).await?.object["metadata"]["namespace"], "default");
    g.server.delete(&format!("{elsewhere}/{}", g.namespace)).await?.ok()?;
    Ok(())
}

async fn the_time_limit_ends_a_watch(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    let begun = std::time::Instant::now();
    let watch = g.server.get(&g.all("widgets")).query("timeoutSeconds", "1").watch().await?.open()?;
    let events = watch.rest().await?;
    same!(events.len(), 1);
    ensure!(begun.elapsed().as_millis() >= 900, "it ended after {} ms", begun.elapsed().as_millis());
    Ok(())
}

async fn bookmarks_come_when_asked_for(g: &Ground) -> Result<()> {
    let from = g.make("w", &json!({"size": 1})).await?.rv().to_owned();
    let call =
        g.server.get(&g.all("widgets")).query("resourceVersion", &from).query("allowWatchBookmarks", "true").query("timeoutSeconds", "4");
    let mut watch = call.watch().await?.open()?;
    g.server.merge(&g.at("w"), &json!({"spec": {"size": 2}})).await?.ok()?;
    let changed = watch.expect("MODIFIED", "w").await?;
    let mark = watch.expect("BOOKMARK", "").await?;
    same!(mark.object["kind"], "Widget");
    same!(mark.object["apiVersion"], format!("{}/v1", g.group));
    same!(mark.object["metadata"]["name"].as_str().unwrap_or_default(), "");
    same!(mark.object["spec"], Value::Null);
    let number = |text: &str| text.parse::<u64>().unwrap_or_default();
    ensure!(number(mark.rv()) >= number(changed.rv()), "the bookmark {} is before the event {}", mark.rv(), changed.rv());
    Ok(())
}

async fn a_watch_resumes_from_a_bookmark(g: &Ground) -> Result<()> {
    let from = g.make("w", &json!({"size": 1})).await?.rv().to_owned();
    let call =
        g.server.get(&g.all("widgets")).query("resourceVersion", &from).query("allowWatchBookmarks", "true").query("timeoutSeconds", "4");
    let mut watch = call.watch().await?.open()?;
    let mark = watch.expect("BOOKMARK", "").await?;
    let changed = g.server.merge(&g.at("w"), &json!({"spec": {"size": 7}})).await?.ok()?;
    let mut resumed = g.server.get(&g.all("widgets")).query("resourceVersion", mark.rv()).watch().await?.open()?;
    same!(resumed.expect("MODIFIED", "w").await?.object, changed.body);
    Ok(())
}

async fn without_asking_there_is_no_bookmark(g: &Ground) -> Result<()> {
    let from = g.make("w", &json!({"size": 1})).await?.rv().to_owned();
    let watch = g.server.get(&g.all("widgets")).query("resourceVersion", &from).query("timeoutSeconds", "4").watch().await?.open()?;
    g.server.merge(&g.at("w"), &json!({"spec": {"size": 2}})).await?.ok()?;
    let kinds: Vec<_> = watch.rest().await?.into_iter().map(|event| event.kind).collect();
    same!(kinds, ["MODIFIED"]);
    Ok(())
}

async fn metadata_can_be_watched_alone(g: &Ground) -> Result<()> {
    let from = here(g).await?;
    let mut watch = g.server.get(&g.all("widgets")).accept(METADATA).query("resourceVersion", &from).watch().await?;
    let made = g.make_labelled("w", &json!({"a": "b"})).await?;
    let event = watch.expect("ADDED", "w").await?;
    same!(event.object["kind"], "PartialObjectMetadata");
    same!(event.object["apiVersion"], "meta.k8s.io/v1");
    same!(event.object["metadata"], made.at("/metadata"));
    same!(event.object["spec"], Value::Null);
    Ok(())
}

async fn a_built_in_kind_is_watched_the_same_way(g: &Ground) -> Result<()> {
    let from = g.server.get(&g.core("secrets")).await?.ok()?.rv().to_owned();
    let mut watch = g.server.get(&g.core("secrets")).query("resourceVersion", &from).watch().await?.open()?;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}});
    let made = g.server.post(&g.core("secrets"), &secret).await?.status(201)?;
    let path = format!("{}/s", g.core("secrets"));
    let changed = g.server.merge(&path, &json!({"stringData": {"a": "c"}})).await?.ok()?;
    g.server.delete(&path).await?.ok()?;
    same!(watch.expect("ADDED", "s").await?.object, made.body);
    same!(watch.expect("MODIFIED", "s").await?.object, changed.body);
    same!(watch.expect("DELETED", "s").await?.object["data"]["a"], "Yw==");
    Ok(())
}

async fn a_deleted_collection_is_told_one_by_one(g: &Ground) -> Result<()> {
    for name in ["a", "b", "c"] {
        g.make(name, &json!({"size": 1})).await?;
    }
    let from = here(g).await?;
    let mut watch = g.server.get(&g.all("widgets")).query("resourceVersion", &from).watch().await?.open()?;
    g.server.delete(&g.all("widgets")).await?.ok()?;
    let mut names = Vec::new();
    let mut versions = Vec::new();
    for _ in 0..3 {
        let event = watch.expect("DELETED", "").await?;
        names.push(event.name().to_owned());
        versions.push(event.rv().to_owned());
    }
    names.sort();
    versions.dedup();
    same!(names, ["a", "b", "c"]);
    same!(versions.len(), 3);
    Ok(())
}

async fn the_old_watch_path_is_a_watch_too(g: &Ground) -> Result<()> {
    let from = g.server.get(&g.core("configmaps")).await?.ok()?.rv().to_owned();
    let path = format!("/api/v1/watch/namespaces/{}/configmaps", g.namespace);
    let mut watch = g.server.get(&path).query("resourceVersion", &from).watch().await?.open()?;
    g.server
        .post(&g.core("configmaps"), &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}}))
        .await?
        .status(201)?;
    watch.expect("ADDED", "m").await?;
    Ok(())
}
