//! Watches and lists through 410: how a server says that it forgot, and how a client goes on; it must not force the server to
//! forget: a kind that was defined long after resourceVersion 1 is enough.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::capability::Need;
use crate::check::Check;
use crate::ground::Ground;
use crate::server::{METADATA, TABLE};
use crate::watch::Event;
use crate::{contains, same};

/// The group's checks.
pub const CHECKS: &[Check] = crate::checks!("expiry", [Need::Forgetting];
    a_watch_from_long_ago_is_gone,
    the_error_is_the_only_event,
    a_watch_with_bookmarks_is_gone_too,
    a_watch_with_a_selector_is_gone_too,
    a_watch_of_one_object_is_gone_too,
    a_watch_of_all_namespaces_is_gone_too,
    a_watch_of_metadata_is_gone_too,
    a_watch_as_a_table_is_gone_too,
    after_gone_a_list_and_a_watch_miss_nothing,
    what_was_deleted_meanwhile_is_missing_from_the_list,
    a_fresh_version_is_not_gone,
    a_list_not_older_than_long_ago_is_served,
    a_version_of_the_future_is_not_served,
    what_is_no_version_is_refused,
);

/// The check of what was compacted in the store.
pub const COMPACTED: &[Check] = crate::checks!("expiry", [Need::Compaction]; a_list_at_exactly_long_ago_is_gone);

async fn gone(watch: crate::watch::Watch) -> Result<Event> {
    let mut watch = watch;
    same!(watch.status(), 200);
    let event = watch.expect("ERROR", "").await?;
    let status = &event.object;
    same!(status["kind"], "Status");
    same!(status["status"], "Failure");
    same!(status["code"], 410);
    same!(status["reason"], "Expired");
    contains!(status["message"].as_str().unwrap_or_default(), "too old resource version");
    Ok(event)
}

async fn a_watch_from_long_ago_is_gone(g: &Ground) -> Result<()> {
    gone(g.server.get(&g.all("widgets")).query("resourceVersion", "1").watch().await?).await?;
    Ok(())
}

async fn the_error_is_the_only_event(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    let watch = g.server.get(&g.all("widgets")).query("resourceVersion", "1").watch().await?;
    let events = watch.rest().await?;
    same!(events.len(), 1);
    same!(events[0].kind, "ERROR");
    Ok(())
}

async fn a_watch_with_bookmarks_is_gone_too(g: &Ground) -> Result<()> {
    let call = g.server.get(&g.all("widgets")).query("resourceVersion", "1").query("allowWatchBookmarks", "true");
    gone(call.watch().await?).await?;
    Ok(())
}

async fn a_watch_with_a_selector_is_gone_too(g: &Ground) -> Result<()> {
    let call = g.server.get(&g.all("widgets")).query("resourceVersion", "1").query("labelSelector", "a=b");
    gone(call.watch().await?).await?;
    Ok(())
}

async fn a_watch_of_one_object_is_gone_too(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    let call = g.server.get(&g.all("widgets")).query("resourceVersion", "1").query("fieldSelector", "metadata.name=w");
    gone(call.watch().await?).await?;
    Ok(())
}

async fn a_watch_of_all_namespaces_is_gone_too(g: &Ground) -> Result<()> {
    let all = format!("/apis/{}/v1/widgets", g.group);
    gone(g.server.get(&all).query("resourceVersion", "1").watch().await?).await?;
    Ok(())
}

async fn a_watch_of_metadata_is_gone_too(g: &Ground) -> Result<()> {
    gone(g.server.get(&g.all("widgets")).accept(METADATA).query("resourceVersion", "1").watch().await?).await?;
    Ok(())
}

async fn a_watch_as_a_table_is_gone_too(g: &Ground) -> Result<()> {
    gone(g.server.get(&g.all("widgets")).accept(TABLE).query("resourceVersion", "1").watch().await?).await?;
    Ok(())
}

async fn after_gone_a_list_and_a_watch_miss_nothing(g: &Ground) -> Result<()> {
    g.make("a", &json!({"size": 1})).await?;
    gone(g.server.get(&g.all("widgets")).query("resourceVersion", "1").watch().await?).await?;
    g.make("b", &json!({"size": 1})).await?;
    let list = g.server.get(&g.all("widgets")).await?.ok()?;
    same!(list.names(), ["a", "b"]);
    g.make("c", &json!({"size": 1})).await?;
    let mut watch = g.server.get(&g.all("widgets")).query("resourceVersion", list.rv()).watch().await?.open()?;
    watch.expect("ADDED", "c").await?;
    g.server.delete(&g.at("a")).await?.ok()?;
    watch.expect("DELETED", "a").await?;
    Ok(())
}

async fn what_was_deleted_meanwhile_is_missing_from_the_list(g: &Ground) -> Result<()> {
    g.make("a", &json!({"size": 1})).await?;
    let first = g.make("b", &json!({"size": 1})).await?;
    g.server.delete(&g.at("a")).await?.ok()?;
    g.server.delete(&g.at("b")).await?.ok()?;
    let second = g.make("b", &json!({"size": 1})).await?;
    gone(g.server.get(&g.all("widgets")).query("resourceVersion", "1").watch().await?).await?;
    let list = g.server.get(&g.all("widgets")).await?.ok()?;
    same!(list.names(), ["b"]);
    same!(list.at("/items/0/metadata/uid"), second.uid());
    crate::differs!(first.uid(), second.uid());
    Ok(())
}

async fn a_fresh_version_is_not_gone(g: &Ground) -> Result<()> {
    let list = g.server.get(&g.all("widgets")).await?.ok()?;
    g.make("a", &json!({"size": 1})).await?;
    let mut watch = g.server.get(&g.all("widgets")).query("resourceVersion", list.rv()).watch().await?.open()?;
    watch.expect("ADDED", "a").await?;
    Ok(())
}

async fn a_list_at_exactly_long_ago_is_gone(g: &Ground) -> Result<()> {
    let at = |version: &str| g.server.get("/api/v1/namespaces").query("resourceVersion", version).query("resourceVersionMatch", "Exact");
    let refused = at("1").await?.refused(410, "Expired")?;
    contains!(refused.message(), "too old");
    let list = g.server.get("/api/v1/namespaces").await?.ok()?;
    same!(at(list.rv()).await?.status(200)?.rv(), list.rv());
    Ok(())
}

async fn a_list_not_older_than_long_ago_is_served(g: &Ground) -> Result<()> {
    g.make("a", &json!({"size": 1})).await?;
    let list = g.server.get(&g.all("widgets")).await?.ok()?;
    let not_older =
        |version: &str| g.server.get(&g.all("widgets")).query("resourceVersion", version).query("resourceVersionMatch", "NotOlderThan");
    same!(not_older(list.rv()).await?.ok()?.names(), ["a"]);
    let old = not_older("1").await?.ok()?;
    same!(old.at("/kind"), "WidgetList");
    ensure!(!old.rv().is_empty() && old.text("/metadata/continue").is_empty(), "{}", old.excerpt());
    Ok(())
}

async fn a_version_of_the_future_is_not_served(g: &Ground) -> Result<()> {
    let call = g.server.get(&g.all("widgets")).query("resourceVersion", "900000000000").query("resourceVersionMatch", "NotOlderThan");
    let refused = call.await?.refused(504, "Timeout")?;
    contains!(refused.message(), "Too large resource version");
    same!(refused.at("/details/causes/0/reason"), "ResourceVersionTooLarge");
    Ok(())
}

async fn what_is_no_version_is_refused(g: &Ground) -> Result<()> {
    let list = g.server.get(&g.all("widgets")).query("resourceVersion", "nonsense").await?;
    ensure!(list.status >= 400, "{}", list.excerpt());
    same!(list.at("/status"), "Failure");
    let watch = g.server.get(&g.all("widgets")).query("resourceVersion", "nonsense").watch().await?;
    ensure!(watch.status() >= 400, "a watch from nonsense answers {}", watch.status());
    let exact = g.server.get(&g.all("widgets")).query("resourceVersionMatch", "Exact").await?;
    ensure!((400..500).contains(&exact.status), "Exact without a version: {}", exact.excerpt());
    Ok(())
}
