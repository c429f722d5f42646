//! Lists: paging, label selectors and field selectors; it must not expect an order but that of names.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::capability::Need;
use crate::check::Check;
use crate::ground::Ground;
use crate::{contains, same};

/// The checks of lists and paging.
pub const CHECKS: &[Check] = crate::checks!("lists", [];
    a_list_is_sorted_by_name,
    an_empty_list_has_a_version_and_items,
    a_list_tells_its_kind,
    a_list_of_all_namespaces_tells_each,
    pages_cover_all_once,
    a_page_tells_how_many_remain,
    pages_show_one_moment,
    a_page_with_selector_tells_no_remainder,
    a_bad_token_is_refused,
    what_is_no_number_is_refused,
    a_list_of_a_missing_namespace_is_empty,
    a_list_at_zero_is_served,
    items_of_a_built_in_list_have_no_kind,
);

/// The checks of selectors.
pub const SELECTORS: &[Check] = crate::checks!("selectors", [];
    equality,
    inequality,
    membership,
    non_membership,
    existence,
    absence,
    requirements_are_joined,
    a_bad_label_selector_is_refused,
    a_name_can_be_selected,
    a_namespace_can_be_selected,
    an_unknown_field_cannot_be_selected,
    a_secret_is_selected_by_type,
);

/// The checks of `selectableFields`.
pub const SELECTABLE: &[Check] = crate::checks!("selectable-fields", [Need::SelectableFields];
    a_declared_field_selects,
    a_declared_number_selects,
    an_undeclared_field_does_not_select,
    a_declared_field_selects_watches,
    declared_fields_are_joined,
);

/// The checks of streaming lists.
pub const STREAMING: &[Check] = crate::checks!("streaming-lists", [Need::StreamingLists];
    a_streamed_list_ends_with_its_bookmark,
    a_streamed_list_goes_on_as_a_watch,
);

async fn a_list_is_sorted_by_name(g: &Ground) -> Result<()> {
    for name in ["b", "a-1", "c", "a"] {
        g.make(name, &json!({"size": 1})).await?;
    }
    same!(g.server.get(&g.all("widgets")).await?.ok()?.names(), ["a", "a-1", "b", "c"]);
    Ok(())
}

async fn an_empty_list_has_a_version_and_items(g: &Ground) -> Result<()> {
    let list = g.server.get(&g.all("widgets")).await?.status(200)?;
    same!(list.at("/items"), json!([]));
    ensure!(list.rv().parse::<u64>().is_ok_and(|version| version > 0), "{}", list.excerpt());
    Ok(())
}

async fn a_list_tells_its_kind(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    let list = g.server.get(&g.all("widgets")).await?.ok()?;
    same!(list.at("/kind"), "WidgetList");
    same!(list.at("/apiVersion"), format!("{}/v1", g.group));
    same!(list.at("/items/0/kind"), "Widget");
    same!(list.at("/items/0/apiVersion"), format!("{}/v1", g.group));
    same!(list.at("/items/0"), g.stored("w").await?.body);
    Ok(())
}

async fn a_list_of_all_namespaces_tells_each(g: &Ground) -> Result<()> {
    g.make_labelled("w", &json!({"of": g.namespace})).await?;
    let elsewhere = format!("/apis/{}/v1/namespaces/default/widgets", g.group);
    g.server.post(&elsewhere, &g.labelled(&g.namespace, &json!({"of": g.namespace}))).await?.status(201)?;
    let all = format!("/apis/{}/v1/widgets", g.group);
    let list = g.server.get(&all).query("labelSelector", &format!("of={}", g.namespace)).await?.ok()?;
    let mut found: Vec<_> = list.list("/items").iter().map(|item| item["metadata"]["namespace"].clone()).collect();
    found.sort_by_key(Value::to_string);
    same!(found, [g.namespace.as_str(), "default"]);
    g.server.delete(&format!("{elsewhere}/{}", g.namespace)).await?.ok()?;
    Ok(())
}

async fn fill(g: &Ground, count: usize) -> Result<()> {
    for number in 0..count {
        g.make(&format!("w{number}"), &json!({"size": 1})).await?;
    }
    Ok(())
}

async fn pages_cover_all_once(g: &Ground) -> Result<()> {
    fill(g, 7).await?;
    let mut names = Vec::new();
    let mut sizes = Vec::new();
    let mut token = String::new();
    loop {
        let mut call = g.server.get(&g.all("widgets")).query("limit", "3");
        if !token.is_empty() {
            call = call.query("continue", &token);
        }
        let page = call.await?.status(200)?;
        sizes.push(page.names().len());
        names.extend(page.names());
        page.text("/metadata/continue").clone_into(&mut token);
        if token.is_empty() {
            break;
        }
    }
    same!(sizes, [3, 3, 1]);
    same!(names, ["w0", "w1", "w2", "w3", "w4", "w5", "w6"]);
    Ok(())
}

async fn a_page_tells_how_many_remain(g: &Ground) -> Result<()> {
    fill(g, 5).await?;
    let first = g.server.get(&g.all("widgets")).query("limit", "2").await?.ok()?;
    same!(first.at("/metadata/remainingItemCount"), 3);
    let token = first.text("/metadata/continue").to_owned();
    let second = g.server.get(&g.all("widgets")).query("limit", "2").query("continue", &token).await?.ok()?;
    same!(second.at("/metadata/remainingItemCount"), 1);
    let whole = g.server.get(&g.all("widgets")).query("limit", "5").await?.ok()?;
    same!(whole.at("/metadata/remainingItemCount"), Value::Null);
    same!(whole.text("/metadata/continue"), "");
    Ok(())
}

async fn pages_show_one_moment(g: &Ground) -> Result<()> {
    fill(g, 4).await?;
    let first = g.server.get(&g.all("widgets")).query("limit", "2").await?.ok()?;
    g.make("w9", &json!({"size": 1})).await?;
    g.server.delete(&g.at("w3")).await?.ok()?;
    let token = first.text("/metadata/continue").to_owned();
    let second = g.server.get(&g.all("widgets")).query("continue", &token).await?.ok()?;
    same!(second.names(), ["w2", "w3"]);
    same!(second.rv(), first.rv());
    Ok(())
}

async fn a_page_with_selector_tells_no_remainder(g: &Ground) -> Result<()> {
    for name in ["a", "b", "c"] {
        g.make_labelled(name, &json!({"tier": "gold"})).await?;
    }
    g.make("d", &json!({"size": 1})).await?;
    let page = g.server.get(&g.all("widgets")).query("limit", "2").query("labelSelector", "tier=gold").await?.ok()?;
    same!(page.names(), ["a", "b"]);
    same!(page.at("/metadata/remainingItemCount"), Value::Null);
    let token = page.text("/metadata/continue").to_owned();
    let rest = g.server.get(&g.all("widgets")).query("continue", &token).query("labelSelector", "tier=gold").await?.ok()?;
    same!(rest.names(), ["c"]);
    Ok(())
}

async fn a_bad_token_is_refused(g: &Ground) -> Result<()> {
    let refused = g.server.get(&g.all("widgets")).query("limit", "2").query("continue", "nonsense").await?.refused(400, "BadRequest")?;
    contains!(refused.message(), "continue key is not valid");
    Ok(())
}

async fn a_list_of_a_missing_namespace_is_empty(g: &Ground) -> Result<()> {
    let list = g.server.get(&format!("/apis/{}/v1/namespaces/{}-absent/widgets", g.group, g.namespace)).await?.status(200)?;
    same!(list.at("/items"), json!([]));
    Ok(())
}

async fn a_list_at_zero_is_served(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let fresh = g.server.get(&g.all("widgets")).query("resourceVersion", made.rv()).await?.ok()?;
    same!(fresh.names(), ["w"]);
    same!(g.server.get(&g.all("widgets")).query("resourceVersion", "0").await?.ok()?.names(), ["w"]);
    same!(g.server.get(&g.at("w")).query("resourceVersion", "0").await?.ok()?.body, made.body);
    Ok(())
}

async fn items_of_a_built_in_list_have_no_kind(g: &Ground) -> Result<()> {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}});
    g.server.post(&g.core("secrets"), &secret).await?.status(201)?;
    let list = g.server.get(&g.core("secrets")).query("fieldSelector", "metadata.name=s").await?.ok()?;
    same!(list.at("/kind"), "SecretList");
    same!(list.at("/apiVersion"), "v1");
    same!(list.names(), ["s"]);
    same!(list.at("/items/0/kind"), Value::Null);
    same!(list.at("/items/0/apiVersion"), Value::Null);
    Ok(())
}

/// Fails unless a label selector finds exactly these of four widgets.
async fn finds(g: &Ground, selector: &str, names: &[&str]) -> Result<()> {
    if g.server.get(&g.all("widgets")).await?.names().is_empty() {
        g.make_labelled("a", &json!({"tier": "gold", "old": ""})).await?;
        g.make_labelled("b", &json!({"tier": "silver"})).await?;
        g.make_labelled("c", &json!({"tier": "tin", "example.com/x": "1"})).await?;
        g.make("d", &json!({"size": 1})).await?;
    }
    let found = g.server.get(&g.all("widgets")).query("labelSelector", selector).await?.ok()?.names();
    ensure!(found == names, "{selector:?} finds {found:?}, not {names:?}");
    Ok(())
}

async fn equality(g: &Ground) -> Result<()> {
    finds(g, "tier=gold", &["a"]).await?;
    finds(g, "tier==gold", &["a"]).await?;
    finds(g, "old=", &["a"]).await?;
    finds(g, "example.com/x=1", &["c"]).await?;
    finds(g, "tier=none", &[]).await
}

async fn inequality(g: &Ground) -> Result<()> {
    finds(g, "tier!=gold", &["b", "c", "d"]).await
}

async fn membership(g: &Ground) -> Result<()> {
    finds(g, "tier in (gold, tin)", &["a", "c"]).await
}

async fn non_membership(g: &Ground) -> Result<()> {
    finds(g, "tier notin (gold,tin)", &["b", "d"]).await
}

async fn existence(g: &Ground) -> Result<()> {
    finds(g, "old", &["a"]).await?;
    finds(g, "example.com/x", &["c"]).await
}

async fn absence(g: &Ground) -> Result<()> {
    finds(g, "!tier", &["d"]).await
}

async fn requirements_are_joined(g: &Ground) -> Result<()> {
    finds(g, "tier,!old,tier!=tin", &["b"]).await?;
    finds(g, "tier in (gold,silver),old", &["a"]).await?;
    finds(g, "", &["a", "b", "c", "d"]).await
}

async fn a_bad_label_selector_is_refused(g: &Ground) -> Result<()> {
    for selector in ["tier in gold", "a=b=c", "a b", ",a", "a,"] {
        let refused = g.server.get(&g.all("widgets")).query("labelSelector", selector).await?;
        refused.refused(400, "BadRequest")?;
    }
    Ok(())
}

async fn a_name_can_be_selected(g: &Ground) -> Result<()> {
    fill(g, 3).await?;
    let by = |selector: &str| g.server.get(&g.all("widgets")).query("fieldSelector", selector);
    same!(by("metadata.name=w1").await?.ok()?.names(), ["w1"]);
    same!(by("metadata.name!=w1").await?.ok()?.names(), ["w0", "w2"]);
    same!(by("metadata.name=absent").await?.ok()?.names(), Vec::<String>::new());
    Ok(())
}

async fn a_namespace_can_be_selected(g: &Ground) -> Result<()> {
    fill(g, 1).await?;
    let all = format!("/apis/{}/v1/widgets", g.group);
    let selector = format!("metadata.namespace={}", g.namespace);
    let found = g.server.get(&all).query("fieldSelector", &selector).await?.ok()?;
    same!(found.names(), ["w0"]);
    same!(found.at("/items/0/metadata/namespace"), g.namespace);
    Ok(())
}

async fn an_unknown_field_cannot_be_selected(g: &Ground) -> Result<()> {
    let refused = g.server.get(&g.all("widgets")).query("fieldSelector", "spec.size=1").await?.refused(400, "BadRequest")?;
    contains!(refused.message(), "field label not supported");
    g.server.get(&g.core("secrets")).query("fieldSelector", "data.a=1").await?.refused(400, "BadRequest")?;
    Ok(())
}

async fn a_secret_is_selected_by_type(g: &Ground) -> Result<()> {
    for (name, kind) in [("a", "example.com/one"), ("b", "example.com/two")] {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind});
        g.server.post(&g.core("secrets"), &secret).await?.status(201)?;
    }
    same!(g.server.get(&g.core("secrets")).query("fieldSelector", "type=example.com/two").await?.ok()?.names(), ["b"]);
    Ok(())
}

async fn selectables(g: &Ground) -> Result<String> {
    let all = g.all("selectables");
    for (name, color, size) in [("a", "red", 1), ("b", "blue", 1), ("c", "red", 2)] {
        g.server.post(&all, &g.object("Selectable", name, &json!({"color": color, "size": size, "plain": "x"}))).await?.status(201)?;
    }
    Ok(all)
}

async fn a_declared_field_selects(g: &Ground) -> Result<()> {
    let all = selectables(g).await?;
    same!(g.server.get(&all).query("fieldSelector", "spec.color=red").await?.ok()?.names(), ["a", "c"]);
    same!(g.server.get(&all).query("fieldSelector", "spec.color!=red").await?.ok()?.names(), ["b"]);
    Ok(())
}

async fn a_declared_number_selects(g: &Ground) -> Result<()> {
    let all = selectables(g).await?;
    same!(g.server.get(&all).query("fieldSelector", "spec.size=2").await?.ok()?.names(), ["c"]);
    Ok(())
}

async fn an_undeclared_field_does_not_select(g: &Ground) -> Result<()> {
    let all = selectables(g).await?;
    let refused = g.server.get(&all).query("fieldSelector", "spec.plain=x").await?.refused(400, "BadRequest")?;
    contains!(refused.message(), "field label not supported");
    Ok(())
}

async fn a_declared_field_selects_watches(g: &Ground) -> Result<()> {
    let all = selectables(g).await?;
    let from = g.server.get(&all).await?.ok()?.rv().to_owned();
    let mut watch = g.server.get(&all).query("fieldSelector", "spec.color=red").query("resourceVersion", &from).watch().await?.open()?;
    g.server.merge(&format!("{all}/b"), &json!({"spec": {"size": 5}})).await?.ok()?;
    g.server.merge(&format!("{all}/b"), &json!({"spec": {"color": "red"}})).await?.ok()?;
    g.server.merge(&format!("{all}/a"), &json!({"spec": {"color": "blue"}})).await?.ok()?;
    watch.expect("ADDED", "b").await?;
    watch.expect("DELETED", "a").await?;
    Ok(())
}

async fn declared_fields_are_joined(g: &Ground) -> Result<()> {
    let all = selectables(g).await?;
    same!(g.server.get(&all).query("fieldSelector", "spec.color=red,spec.size=1").await?.ok()?.names(), ["a"]);
    same!(g.server.get(&all).query("fieldSelector", "spec.color=red,metadata.name!=a").await?.ok()?.names(), ["c"]);
    Ok(())
}

async fn stream(g: &Ground) -> Result<crate::watch::Watch> {
    let call = g.server.get(&g.all("widgets")).query("sendInitialEvents", "true").query("resourceVersionMatch", "NotOlderThan");
    call.query("allowWatchBookmarks", "true").watch().await?.open()
}

async fn a_streamed_list_ends_with_its_bookmark(g: &Ground) -> Result<()> {
    fill(g, 2).await?;
    let mut watch = stream(g).await?;
    let mut names = vec![watch.expect("ADDED", "").await?.name().to_owned(), watch.expect("ADDED", "").await?.name().to_owned()];
    names.sort();
    same!(names, ["w0", "w1"]);
    let mark = watch.expect("BOOKMARK", "").await?;
    same!(mark.object["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    Ok(())
}

async fn a_streamed_list_goes_on_as_a_watch(g: &Ground) -> Result<()> {
    let mut watch = stream(g).await?;
    watch.expect("BOOKMARK", "").await?;
    g.make("w", &json!({"size": 1})).await?;
    watch.change("ADDED", "w").await?;
    Ok(())
}

async fn what_is_no_number_is_refused(g: &Ground) -> Result<()> {
    for name in ["limit", "timeoutSeconds"] {
        g.server.get(&g.all("widgets")).query(name, "many").await?.refused(400, "BadRequest")?;
    }
    Ok(())
}
