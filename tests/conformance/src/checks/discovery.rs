//! What a server tells of itself: groups, versions, resources, schemas; it must not expect a certain version.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::capability::Need;
use crate::check::Check;
use crate::ground::Ground;
use crate::until::until;
use crate::{contains, same};

/// The checks of discovery.
pub const CHECKS: &[Check] = crate::checks!("discovery", [];
    the_core_group_tells_its_version,
    core_resources_are_told,
    groups_are_told,
    one_group_is_told,
    our_resources_are_told,
    subresources_are_told,
    apps_are_told,
    the_version_is_told,
    health_is_told,
    an_unknown_group_is_not_found,
    the_second_openapi_tells_our_kind,
);

/// The checks of `/openapi/v3`.
pub const OPENAPI: &[Check] = crate::checks!("openapi-v3", [Need::OpenApiV3];
    the_third_openapi_lists_groups,
    the_third_openapi_tells_our_kind,
    the_third_openapi_tells_descriptions_and_defaults,
);

/// The checks of aggregated discovery.
pub const AGGREGATED: &[Check] = crate::checks!("aggregated-discovery", [Need::AggregatedDiscovery];
    all_groups_are_told_at_once,
    our_kind_is_told_at_once,
    the_core_group_is_told_at_once,
);

fn resource(list: &[Value], name: &str) -> Value {
    list.iter().find(|one| one["name"] == name).cloned().unwrap_or_default()
}

async fn the_core_group_tells_its_version(g: &Ground) -> Result<()> {
    let api = g.server.get("/api").await?.status(200)?;
    same!(api.at("/kind"), "APIVersions");
    same!(api.at("/versions"), ["v1"]);
    Ok(())
}

async fn core_resources_are_told(g: &Ground) -> Result<()> {
    let list = g.server.get("/api/v1").await?.status(200)?;
    same!(list.at("/kind"), "APIResourceList");
    same!(list.at("/groupVersion"), "v1");
    for (name, kind, namespaced) in
        [("secrets", "Secret", true), ("configmaps", "ConfigMap", true), ("events", "Event", true), ("namespaces", "Namespace", false)]
    {
        let found = resource(list.list("/resources"), name);
        same!(found["kind"], kind);
        same!(found["namespaced"], namespaced);
        for verb in ["create", "delete", "get", "list", "patch", "update", "watch"] {
            ensure!(found["verbs"].as_array().is_some_and(|verbs| verbs.iter().any(|one| one == verb)), "{name} without {verb}: {found}");
        }
    }
    same!(resource(list.list("/resources"), "configmaps")["shortNames"], ["cm"]);
    same!(resource(list.list("/resources"), "namespaces")["shortNames"], ["ns"]);
    Ok(())
}

async fn groups_are_told(g: &Ground) -> Result<()> {
    let list = g.server.get("/apis").await?.status(200)?;
    same!(list.at("/kind"), "APIGroupList");
    for group in [
        "apps",
        "events.k8s.io",
        "coordination.k8s.io",
        "rbac.authorization.k8s.io",
        "authorization.k8s.io",
        "apiextensions.k8s.io",
        g.group.as_str(),
    ] {
        let found = resource(list.list("/groups"), group);
        same!(found["preferredVersion"]["version"], "v1");
        same!(found["preferredVersion"]["groupVersion"], format!("{group}/v1"));
    }
    Ok(())
}

async fn one_group_is_told(g: &Ground) -> Result<()> {
    let group = g.server.get(&format!("/apis/{}", g.group)).await?.status(200)?;
    same!(group.at("/kind"), "APIGroup");
    same!(group.at("/name"), g.group);
    same!(group.at("/versions"), serde_json::json!([{"groupVersion": format!("{}/v1", g.group), "version": "v1"}]));
    same!(g.server.get("/apis/apps").await?.status(200)?.at("/preferredVersion/groupVersion"), "apps/v1");
    Ok(())
}

async fn our_resources_are_told(g: &Ground) -> Result<()> {
    let list = g.server.get(&format!("/apis/{}/v1", g.group)).await?.status(200)?;
    let widget = resource(list.list("/resources"), "widgets");
    same!(widget["kind"], "Widget");
    same!(widget["singularName"], "widget");
    same!(widget["namespaced"], true);
    let region = resource(list.list("/resources"), "regions");
    same!(region["namespaced"], false);
    Ok(())
}

async fn subresources_are_told(g: &Ground) -> Result<()> {
    let list = g.server.get(&format!("/apis/{}/v1", g.group)).await?.ok()?;
    let status = resource(list.list("/resources"), "widgets/status");
    same!(status["kind"], "Widget");
    let mut verbs: Vec<_> = status["verbs"].as_array().cloned().unwrap_or_default();
    verbs.sort_by_key(Value::to_string);
    same!(verbs, ["get", "patch", "update"]);
    same!(resource(list.list("/resources"), "plains/status"), Value::Null);
    Ok(())
}

async fn apps_are_told(g: &Ground) -> Result<()> {
    let list = g.server.get("/apis/apps/v1").await?.status(200)?;
    for (name, kind, short) in
        [("deployments", "Deployment", "deploy"), ("statefulsets", "StatefulSet", "sts"), ("daemonsets", "DaemonSet", "ds")]
    {
        let found = resource(list.list("/resources"), name);
        same!(found["kind"], kind);
        same!(found["shortNames"], [short]);
        same!(resource(list.list("/resources"), &format!("{name}/status"))["kind"], kind);
    }
    let leases = g.server.get("/apis/coordination.k8s.io/v1").await?.ok()?;
    same!(resource(leases.list("/resources"), "leases")["kind"], "Lease");
    Ok(())
}

async fn the_version_is_told(g: &Ground) -> Result<()> {
    let version = g.server.get("/version").await?.status(200)?;
    same!(version.at("/major"), "1");
    ensure!(version.text("/minor").trim_end_matches('+').parse::<u32>().is_ok(), "{}", version.excerpt());
    ensure!(version.text("/gitVersion").starts_with("v1."), "{}", version.excerpt());
    Ok(())
}

async fn health_is_told(g: &Ground) -> Result<()> {
    for path in ["/readyz", "/livez", "/healthz"] {
        same!(g.server.get(path).accept("*/*").await?.status(200)?.body, "ok");
    }
    Ok(())
}

async fn an_unknown_group_is_not_found(g: &Ground) -> Result<()> {
    for path in ["/apis/unheard.example.com", "/apis/unheard.example.com/v1", "/unheard"] {
        same!(g.server.get(path).await?.status, 404);
    }
    Ok(())
}

fn is_widget(schema: &Value, group: &str) -> bool {
    let kinds = schema["x-kubernetes-group-version-kind"].as_array().cloned().unwrap_or_default();
    kinds.iter().any(|kind| kind["group"] == group && kind["version"] == "v1" && kind["kind"] == "Widget")
}

async fn the_second_openapi_tells_our_kind(g: &Ground) -> Result<()> {
    let widget = until("Widget in /openapi/v2", || async {
        let document = g.server.get("/openapi/v2").await?.status(200)?;
        let found =
            document.at("/definitions").as_object().and_then(|all| all.values().find(|schema| is_widget(schema, &g.group)).cloned());
        Ok(found.ok_or_else(|| format!("{} definitions", document.at("/definitions").as_object().map_or(0, serde_json::Map::len))))
    })
    .await?;
    contains!(widget["description"].as_str().unwrap_or_default(), "Widget is a thing of many fields.");
    same!(widget["properties"]["spec"]["properties"]["size"]["type"], "integer");
    same!(widget["properties"]["spec"]["required"], ["size"]);
    Ok(())
}

async fn third(g: &Ground) -> Result<Value> {
    until("Widget in /openapi/v3", || async {
        let path = format!("/openapi/v3/apis/{}/v1", g.group);
        let document = g.server.get(&path).await?;
        let found =
            document.at("/components/schemas").as_object().and_then(|all| all.values().find(|schema| is_widget(schema, &g.group)).cloned());
        Ok(found.ok_or_else(|| document.excerpt()))
    })
    .await
}

async fn the_third_openapi_lists_groups(g: &Ground) -> Result<()> {
    third(g).await?;
    let root = g.server.get("/openapi/v3").await?.status(200)?;
    for path in ["api/v1".to_owned(), "apis/apps/v1".to_owned(), format!("apis/{}/v1", g.group)] {
        let address = root.at("/paths")[path.as_str()]["serverRelativeURL"].as_str().unwrap_or_default().to_owned();
        contains!(address, format!("/openapi/v3/{path}"));
        let document = g.server.get(&address).await?.status(200)?;
        contains!(document.text("/openapi"), "3.");
    }
    Ok(())
}

async fn the_third_openapi_tells_our_kind(g: &Ground) -> Result<()> {
    let widget = third(g).await?;
    same!(widget["type"], "object");
    same!(widget["required"], ["spec"]);
    for field in ["apiVersion", "kind", "metadata", "spec", "status"] {
        ensure!(!widget["properties"][field].is_null(), "no {field}");
    }
    Ok(())
}

async fn the_third_openapi_tells_descriptions_and_defaults(g: &Ground) -> Result<()> {
    let spec = third(g).await?["properties"]["spec"].clone();
    same!(spec["properties"]["size"]["description"], "How big it is.");
    same!(spec["properties"]["size"]["maximum"], 100);
    same!(spec["properties"]["color"]["default"], "red");
    same!(spec["properties"]["color"]["enum"], ["red", "green", "blue"]);
    same!(spec["properties"]["parts"]["x-kubernetes-list-map-keys"], ["name"]);
    Ok(())
}

const AT_ONCE: &str = "application/json;v=v2;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList,application/json";

async fn at_once(g: &Ground, path: &str, group: &str) -> Result<Value> {
    until(&format!("{group} in {path}"), || async {
        let list = g.server.get(path).accept(AT_ONCE).await?.status(200)?;
        let name = |item: &Value| item["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        Ok(list.list("/items").iter().find(|item| name(item) == group).cloned().ok_or_else(|| list.excerpt()))
    })
    .await
}

async fn all_groups_are_told_at_once(g: &Ground) -> Result<()> {
    for group in ["apps", "events.k8s.io", "coordination.k8s.io", "rbac.authorization.k8s.io", "apiextensions.k8s.io"] {
        same!(at_once(g, "/apis", group).await?["versions"][0]["version"], "v1");
    }
    Ok(())
}

async fn our_kind_is_told_at_once(g: &Ground) -> Result<()> {
    let group = at_once(g, "/apis", &g.group).await?;
    let resources = group["versions"][0]["resources"].as_array().cloned().unwrap_or_default();
    let widget = resources.iter().find(|one| one["resource"] == "widgets").cloned().unwrap_or_default();
    same!(widget["responseKind"]["kind"], "Widget");
    same!(widget["scope"], "Namespaced");
    same!(widget["singularResource"], "widget");
    same!(widget["subresources"][0]["subresource"], "status");
    Ok(())
}

async fn the_core_group_is_told_at_once(g: &Ground) -> Result<()> {
    let group = at_once(g, "/api", "").await?;
    let resources = group["versions"][0]["resources"].as_array().cloned().unwrap_or_default();
    ensure!(resources.iter().any(|one| one["resource"] == "secrets" && one["responseKind"]["kind"] == "Secret"), "no secrets");
    Ok(())
}
