//! The real kubectl reading: get, describe, explain, events; it must not compare what depends on kubectl's version.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::capability::Need;
use crate::check::Check;
use crate::ground::Ground;
use crate::kubectl::rows;
use crate::{contains, lacks, same};

/// The group's checks.
pub const CHECKS: &[Check] = crate::checks!("kubectl-read", [Need::Kubectl];
    get_prints_the_columns,
    get_wide_prints_all_columns,
    get_by_short_name_and_singular,
    get_by_category,
    get_yaml_shows_the_object,
    get_json_of_a_list_is_a_list,
    get_jsonpath_and_custom_columns,
    get_name_and_labels,
    get_by_label_and_field,
    get_in_chunks_shows_all,
    get_sorted_by_a_field,
    get_of_all_namespaces_names_them,
    get_of_nothing_says_so,
    get_of_what_is_absent_fails,
    get_of_an_unknown_kind_fails,
    get_of_several_kinds,
    get_raw_reads_a_path,
    get_subresource_reads_status,
    describe_shows_fields_and_events,
    events_of_one_object,
    explain_shows_fields,
    explain_goes_deeper,
    api_resources_of_a_group,
    api_versions_are_told,
    version_tells_the_server,
    can_i_answers_yes_and_no,
    definitions_can_be_waited_for,
);

/// The full name of the kind, as kubectl takes it.
pub(super) fn kind(g: &Ground) -> String {
    format!("widgets.{}", g.group)
}

async fn get_prints_the_columns(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 7, "color": "blue"})).await?;
    let printed = rows(&g.kubectl.ok(&["get", &kind(g)]).await?);
    same!(printed[0], ["NAME", "SIZE", "COLOR", "ENABLED", "READY", "SINCE", "AGE"]);
    same!(printed[1][..3], ["w", "7", "blue"]);
    same!(printed.len(), 2);
    Ok(())
}

async fn get_wide_prints_all_columns(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 7, "ratio": 0.5, "title": "hello", "enabled": true})).await?;
    let printed = rows(&g.kubectl.ok(&["get", &kind(g), "w", "-o", "wide"]).await?);
    same!(printed[0], ["NAME", "SIZE", "COLOR", "ENABLED", "READY", "RATIO", "SINCE", "TITLE", "AGE"]);
    same!(printed[1][..4], ["w", "7", "red", "true"]);
    ensure!(printed[1].iter().any(|cell| cell == "0.5") && printed[1].iter().any(|cell| cell == "hello"), "{printed:?}");
    Ok(())
}

async fn get_by_short_name_and_singular(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 7})).await?;
    let short = g.group.split('.').next().unwrap_or_default().to_owned();
    for name in [short, format!("widget.{}", g.group), format!("widgets.v1.{}", g.group)] {
        same!(g.kubectl.ok(&["get", &name, "-o", "name"]).await?.trim(), format!("widget.{}/w", g.group));
    }
    Ok(())
}

async fn get_by_category(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 7})).await?;
    let category = format!("all{}", g.group.split('.').next().unwrap_or_default());
    same!(g.kubectl.ok(&["get", &category, "-o", "name"]).await?.trim(), format!("widget.{}/w", g.group));
    Ok(())
}

async fn get_yaml_shows_the_object(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 7})).await?;
    let yaml = g.kubectl.ok(&["get", &kind(g), "w", "-o", "yaml", "--show-managed-fields"]).await?;
    let read: serde_json::Value = serde_yaml::from_str(&yaml)?;
    same!(read, made.body);
    lacks!(g.kubectl.ok(&["get", &kind(g), "w", "-o", "yaml"]).await?, "managedFields");
    Ok(())
}

async fn get_json_of_a_list_is_a_list(g: &Ground) -> Result<()> {
    g.make("a", &json!({"size": 1})).await?;
    g.make("b", &json!({"size": 2})).await?;
    let list = g.kubectl.json(&["get", &kind(g)]).await?;
    same!(list["kind"], "List");
    same!(list["items"].as_array().map_or(0, Vec::len), 2);
    same!(list["items"][1]["spec"]["size"], 2);
    same!(list["items"][1]["kind"], "Widget");
    Ok(())
}

async fn get_jsonpath_and_custom_columns(g: &Ground) -> Result<()> {
    g.make("a", &json!({"size": 1})).await?;
    g.make("b", &json!({"size": 2})).await?;
    same!(g.kubectl.ok(&["get", &kind(g), "b", "-o", "jsonpath={.spec.size}"]).await?, "2");
    same!(g.kubectl.ok(&["get", &kind(g), "-o", "jsonpath={range .items[*]}{.metadata.name}={.spec.size};{end}"]).await?, "a=1;b=2;");
    let printed = rows(&g.kubectl.ok(&["get", &kind(g), "-o", "custom-columns=WHO:.metadata.name,HOW:.spec.size"]).await?);
    same!(printed, [["WHO", "HOW"], ["a", "1"], ["b", "2"]]);
    Ok(())
}

async fn get_name_and_labels(g: &Ground) -> Result<()> {
    g.make_labelled("w", &json!({"tier": "gold"})).await?;
    same!(g.kubectl.ok(&["get", &kind(g), "-o", "name"]).await?.trim(), format!("widget.{}/w", g.group));
    contains!(g.kubectl.ok(&["get", &kind(g), "--show-labels"]).await?, "LABELS", "tier=gold");
    let printed = rows(&g.kubectl.ok(&["get", &kind(g), "-L", "tier"]).await?);
    same!(printed[0].last(), "TIER");
    same!(printed[1].last(), "gold");
    Ok(())
}

async fn get_by_label_and_field(g: &Ground) -> Result<()> {
    g.make_labelled("a", &json!({"tier": "gold"})).await?;
    g.make_labelled("b", &json!({"tier": "tin"})).await?;
    let name = |name: &str| format!("widget.{}/{name}", g.group);
    same!(g.kubectl.ok(&["get", &kind(g), "-l", "tier in (gold)", "-o", "name"]).await?.trim(), name("a"));
    same!(g.kubectl.ok(&["get", &kind(g), "-l", "tier!=gold", "-o", "name"]).await?.trim(), name("b"));
    same!(g.kubectl.ok(&["get", &kind(g), "--field-selector", "metadata.name=b", "-o", "name"]).await?.trim(), name("b"));
    Ok(())
}

async fn get_in_chunks_shows_all(g: &Ground) -> Result<()> {
    for name in ["a", "b", "c", "d", "e"] {
        g.make(name, &json!({"size": 1})).await?;
    }
    let printed = rows(&g.kubectl.ok(&["get", &kind(g), "--chunk-size=2"]).await?);
    let names: Vec<_> = printed.iter().skip(1).map(|row| row[0].clone()).collect();
    same!(names, ["a", "b", "c", "d", "e"]);
    Ok(())
}

async fn get_sorted_by_a_field(g: &Ground) -> Result<()> {
    for (name, size) in [("a", 3), ("b", 1), ("c", 2)] {
        g.make(name, &json!({"size": size})).await?;
    }
    let printed = rows(&g.kubectl.ok(&["get", &kind(g), "--sort-by=.spec.size"]).await?);
    let names: Vec<_> = printed.iter().skip(1).map(|row| row[0].clone()).collect();
    same!(names, ["b", "c", "a"]);
    Ok(())
}

async fn get_of_all_namespaces_names_them(g: &Ground) -> Result<()> {
    g.make_labelled("w", &json!({"of": g.namespace})).await?;
    let printed = rows(&g.kubectl.ok(&["get", &kind(g), "-A", "-l", &format!("of={}", g.namespace)]).await?);
    same!(printed[0][..3], ["NAMESPACE", "NAME", "SIZE"]);
    same!(printed[1][..3], [g.namespace.as_str(), "w", "1"]);
    Ok(())
}

async fn get_of_nothing_says_so(g: &Ground) -> Result<()> {
    let nothing = g.kubectl.run(&["get", &kind(g)]).await?;
    same!(nothing.code, 0);
    same!(nothing.stdout, "");
    contains!(nothing.stderr, format!("No resources found in {} namespace.", g.namespace));
    Ok(())
}

async fn get_of_what_is_absent_fails(g: &Ground) -> Result<()> {
    let said = g.kubectl.run(&["get", &kind(g), "absent"]).await?.refusal()?;
    same!(said.trim(), format!("Error from server (NotFound): widgets.{} \"absent\" not found", g.group));
    same!(g.kubectl.ok(&["get", &kind(g), "absent", "--ignore-not-found"]).await?, "");
    Ok(())
}

async fn get_of_an_unknown_kind_fails(g: &Ground) -> Result<()> {
    let said = g.kubectl.run(&["get", &format!("poems.{}", g.group)]).await?.refusal()?;
    contains!(said, "the server doesn't have a resource type \"poems\"");
    Ok(())
}

async fn get_of_several_kinds(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 7})).await?;
    g.kubectl.ok(&["create", "configmap", "m", "--from-literal=a=b"]).await?;
    let printed = g.kubectl.ok(&["get", &format!("{}/w", kind(g)), "configmap/m"]).await?;
    contains!(printed, format!("widget.{}/w", g.group), "configmap/m");
    Ok(())
}

async fn get_raw_reads_a_path(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 7})).await?;
    let raw: serde_json::Value = serde_json::from_str(&g.kubectl.ok(&["get", "--raw", &g.at("w")]).await?)?;
    same!(raw, made.body);
    same!(g.kubectl.ok(&["get", "--raw", "/readyz"]).await?, "ok");
    Ok(())
}

async fn get_subresource_reads_status(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 7})).await?;
    g.server.merge(&g.status_at("w"), &json!({"status": {"phase": "Ready"}})).await?.ok()?;
    same!(g.kubectl.ok(&["get", &kind(g), "w", "--subresource=status", "-o", "jsonpath={.status.phase}"]).await?, "Ready");
    Ok(())
}

async fn tell(g: &Ground, uid: &str) -> Result<()> {
    let mut event = super::records::event(g, "e");
    event["regarding"]["uid"] = uid.into();
    g.server.post(&g.built_in("events.k8s.io/v1", "events"), &event).await?.status(201)?;
    Ok(())
}

async fn describe_shows_fields_and_events(g: &Ground) -> Result<()> {
    let mut body = g.labelled("w", &json!({"tier": "gold"}));
    body["metadata"]["annotations"] = json!({"example.com/a": "b"});
    let made = g.server.post(&g.all("widgets"), &body).await?.status(201)?;
    tell(g, made.uid()).await?;
    let printed = g.kubectl.ok(&["describe", &kind(g), "w"]).await?;
    contains!(
        printed,
        "Name:",
        "Namespace:",
        "tier=gold",
        "example.com/a: b",
        "Kind:",
        "Widget",
        "Size:",
        "Events:",
        "Rotated",
        "it was rotated"
    );
    lacks!(printed, "Managed Fields");
    Ok(())
}

async fn events_of_one_object(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 7})).await?;
    tell(g, made.uid()).await?;
    contains!(
        g.kubectl.ok(&["events"]).await?,
        "LAST SEEN",
        "TYPE",
        "REASON",
        "OBJECT",
        "MESSAGE",
        "Normal",
        "Rotated",
        "Widget/w",
        "it was rotated"
    );
    contains!(g.kubectl.ok(&["events", "--for", &format!("{}/w", kind(g))]).await?, "Rotated", "Widget/w");
    let warnings = g.kubectl.run(&["events", "--types=Warning"]).await?;
    lacks!(warnings.success()?, "Rotated");
    Ok(())
}

async fn explain_shows_fields(g: &Ground) -> Result<()> {
    let printed = g.kubectl.ok(&["explain", &format!("{}.spec", kind(g))]).await?;
    contains!(printed, "Widget", "v1", "What the widget should be.", "size", "<integer>", "How big it is.", "parts", "required");
    Ok(())
}

async fn explain_goes_deeper(g: &Ground) -> Result<()> {
    contains!(g.kubectl.ok(&["explain", &format!("{}.spec.parts.name", kind(g))]).await?, "name", "<string>");
    contains!(g.kubectl.ok(&["explain", &kind(g)]).await?, "Widget is a thing of many fields.", "spec", "status", "metadata");
    contains!(g.kubectl.ok(&["explain", "secret.type"]).await?, "type", "<string>");
    let said = g.kubectl.run(&["explain", &format!("{}.spec.unheard", kind(g))]).await?.refusal()?;
    contains!(said, "field \"unheard\" does not exist");
    Ok(())
}

async fn api_resources_of_a_group(g: &Ground) -> Result<()> {
    let printed = g.kubectl.ok(&["api-resources", "--api-group", &g.group, "--no-headers"]).await?;
    let line = printed.lines().find(|line| line.starts_with("widgets")).context("no widgets")?;
    contains!(line, format!("{}/v1", g.group), "true", "Widget", g.group.split('.').next().unwrap_or_default());
    let region = printed.lines().find(|line| line.starts_with("regions")).context("no regions")?;
    contains!(region, "false", "Region");
    let names = g.kubectl.ok(&["api-resources", "--namespaced=true", "-o", "name"]).await?;
    contains!(names, "secrets", "deployments.apps", "leases.coordination.k8s.io", kind(g));
    Ok(())
}

async fn api_versions_are_told(g: &Ground) -> Result<()> {
    let printed = g.kubectl.ok(&["api-versions"]).await?;
    let all: Vec<_> = printed.lines().collect();
    for version in ["v1", "apps/v1", "events.k8s.io/v1", &format!("{}/v1", g.group)] {
        ensure!(all.contains(&version), "no {version} in {all:?}");
    }
    Ok(())
}

async fn version_tells_the_server(g: &Ground) -> Result<()> {
    let version = g.kubectl.json(&["version"]).await?;
    same!(version["serverVersion"]["major"], "1");
    same!(version["serverVersion"]["gitVersion"], g.server.get("/version").await?.at("/gitVersion"));
    Ok(())
}

async fn can_i_answers_yes_and_no(g: &Ground) -> Result<()> {
    same!(g.kubectl.ok(&["auth", "can-i", "delete", &kind(g)]).await?.trim(), "yes");
    let no = g.kubectl.run(&["auth", "can-i", "delete", &kind(g), "--as=conformance-stranger"]).await?;
    same!(no.code, 1);
    same!(no.stdout.trim(), "no");
    let status = g.kubectl.ok(&["auth", "can-i", "patch", &kind(g), "--subresource=status"]).await?;
    same!(status.trim(), "yes");
    Ok(())
}

async fn definitions_can_be_waited_for(g: &Ground) -> Result<()> {
    let name = format!("crd/widgets.{}", g.group);
    contains!(g.kubectl.ok(&["wait", &name, "--for=condition=Established", "--timeout=20s"]).await?, "condition met");
    contains!(g.kubectl.ok(&["get", &name]).await?, "CREATED AT", &kind(g));
    Ok(())
}
