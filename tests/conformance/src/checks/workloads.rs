//! Deployments as rollout targets: strategic patches of the pod template, generations and status; it must not wait for a rollout,
//! which nobody may carry out.

use anyhow::Result;
use serde_json::{Value, json};

use crate::check::Check;
use crate::ground::Ground;
use crate::same;

/// The group's checks.
pub const CHECKS: &[Check] = crate::checks!("workloads", [];
    a_strategic_patch_merges_containers_by_name,
    a_strategic_patch_can_delete_a_container,
    a_strategic_patch_can_replace_a_list,
    a_merge_patch_replaces_containers,
    a_strategic_patch_of_a_custom_resource_is_refused,
    an_annotation_of_the_template_bumps_the_generation,
    an_annotation_of_the_object_does_not,
    an_annotation_of_the_template_can_be_applied,
    status_is_a_subresource,
    the_selector_is_immutable,
    the_selector_must_match_the_template,
    sets_behave_the_same_way,
    a_headless_service_takes_its_defaults,
);

/// A deployment of two containers.
#[must_use]
pub fn deployment(name: &str, replicas: i64) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "example.com/main:1"}, {"name": "side", "image": "example.com/side:1"}]},
            },
        },
    })
}

fn all(g: &Ground) -> String {
    g.built_in("apps/v1", "deployments")
}

async fn made(g: &Ground) -> Result<(String, crate::answer::Answer)> {
    let made = g.server.post(&all(g), &deployment("d", 1)).await?.status(201)?;
    Ok((format!("{}/d", all(g)), made))
}

fn images(answer: &crate::answer::Answer) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut all: Vec<_> = answer
        .list("/spec/template/spec/containers")
        .iter()
        .map(|container| (text(&container["name"]), text(&container["image"])))
        .collect();
    all.sort();
    all
}

async fn a_strategic_patch_merges_containers_by_name(g: &Ground) -> Result<()> {
    let (path, _) = made(g).await?;
    let change = json!({"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "example.com/side:2"}]}}}});
    let patched = g.server.strategic(&path, &change).await?.status(200)?;
    same!(images(&patched), [("main", "example.com/main:1"), ("side", "example.com/side:2")]);
    same!(patched.generation(), 2);
    Ok(())
}

async fn a_strategic_patch_can_delete_a_container(g: &Ground) -> Result<()> {
    let (path, _) = made(g).await?;
    let change = json!({"spec": {"template": {"spec": {"containers": [{"name": "side", "$patch": "delete"}]}}}});
    let patched = g.server.strategic(&path, &change).await?.ok()?;
    same!(images(&patched), [("main", "example.com/main:1")]);
    Ok(())
}

async fn a_strategic_patch_can_replace_a_list(g: &Ground) -> Result<()> {
    let (path, _) = made(g).await?;
    let change =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "new", "image": "example.com/new:1"}, {"$patch": "replace"}]}}}});
    let patched = g.server.strategic(&path, &change).await?.ok()?;
    same!(images(&patched), [("new", "example.com/new:1")]);
    let change = json!({"metadata": {"labels": {"a": "b"}}});
    g.server.strategic(&path, &change).await?.ok()?;
    let emptied = g.server.strategic(&path, &json!({"metadata": {"labels": {"a": null}}})).await?.ok()?;
    same!(emptied.at("/metadata/labels/a"), Value::Null);
    Ok(())
}

async fn a_merge_patch_replaces_containers(g: &Ground) -> Result<()> {
    let (path, _) = made(g).await?;
    let change = json!({"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "example.com/side:2"}]}}}});
    let patched = g.server.merge(&path, &change).await?.ok()?;
    same!(images(&patched), [("side", "example.com/side:2")]);
    Ok(())
}

async fn a_strategic_patch_of_a_custom_resource_is_refused(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    g.server.strategic(&g.at("w"), &json!({"spec": {"size": 2}})).await?.refused(415, "UnsupportedMediaType")?;
    same!(g.stored("w").await?.body, made.body);
    Ok(())
}

async fn an_annotation_of_the_template_bumps_the_generation(g: &Ground) -> Result<()> {
    let (path, first) = made(g).await?;
    same!(first.generation(), 1);
    let change = json!({"spec": {"template": {"metadata": {"annotations": {"restart.example.com/c": "7"}}}}});
    let patched = g.server.merge(&path, &change).await?.ok()?;
    same!(patched.generation(), 2);
    same!(patched.at("/spec/template/metadata/annotations"), json!({"restart.example.com/c": "7"}));
    same!(patched.at("/spec/template/metadata/labels"), json!({"app": "d"}));
    let again = g.server.merge(&path, &change).await?.ok()?;
    same!(again.generation(), 2);
    same!(again.rv(), patched.rv());
    Ok(())
}

async fn an_annotation_of_the_object_does_not(g: &Ground) -> Result<()> {
    let (path, _) = made(g).await?;
    let patched = g.server.merge(&path, &json!({"metadata": {"labels": {"a": "b"}}})).await?.ok()?;
    same!(patched.generation(), 1);
    same!(patched.at("/metadata/labels"), json!({"a": "b"}));
    Ok(())
}

async fn an_annotation_of_the_template_can_be_applied(g: &Ground) -> Result<()> {
    let (path, _) = made(g).await?;
    let of = |key: &str| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
               "spec": {"template": {"metadata": {"annotations": {key: "1"}}}}})
    };
    g.server.apply(&path, "one", &of("restart.example.com/a")).await?.ok()?;
    let both = g.server.apply(&path, "two", &of("restart.example.com/b")).await?.ok()?;
    same!(both.at("/spec/template/metadata/annotations"), json!({"restart.example.com/a": "1", "restart.example.com/b": "1"}));
    same!(images(&both).len(), 2);
    same!(both.generation(), 3);
    Ok(())
}

async fn status_is_a_subresource(g: &Ground) -> Result<()> {
    let (path, first) = made(g).await?;
    let body = first
        .with("/status", json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}));
    let ignored = g.server.put(&path, &body).await?.ok()?;
    same!(ignored.at("/status/readyReplicas"), Value::Null);
    let body = ignored.with("/status", body["status"].clone());
    let written = g.server.put(&format!("{path}/status"), &body).await?.ok()?;
    same!(written.at("/status/readyReplicas"), 1);
    same!(written.generation(), 1);
    same!(g.server.get(&path).await?.at("/status"), written.at("/status"));
    Ok(())
}

async fn the_selector_is_immutable(g: &Ground) -> Result<()> {
    let (path, first) = made(g).await?;
    let mut body = first.with("/spec/selector/matchLabels", json!({"app": "e"}));
    body["spec"]["template"]["metadata"]["labels"] = json!({"app": "e"});
    let message = g.server.put(&path, &body).await?.invalid("spec.selector")?;
    crate::contains!(message, "field is immutable");
    Ok(())
}

async fn the_selector_must_match_the_template(g: &Ground) -> Result<()> {
    let mut body = deployment("d", 1);
    body["spec"]["template"]["metadata"]["labels"] = json!({"app": "e"});
    g.server.post(&all(g), &body).await?.invalid("spec.template.metadata.labels")?;
    g.server.get(&format!("{}/d", all(g))).await?.refused(404, "NotFound")?;
    Ok(())
}

async fn sets_behave_the_same_way(g: &Ground) -> Result<()> {
    for (kind, plural) in [("StatefulSet", "statefulsets"), ("DaemonSet", "daemonsets")] {
        let mut body = deployment("s", 1);
        body["kind"] = kind.into();
        if kind == "DaemonSet" {
            body["spec"].as_object_mut().and_then(|spec| spec.remove("replicas"));
        } else {
            body["spec"]["serviceName"] = "s".into();
        }
        let path = g.built_in("apps/v1", plural);
        same!(g.server.post(&path, &body).await?.status(201)?.generation(), 1);
        let change = json!({"spec": {"template": {"metadata": {"annotations": {"restart.example.com/c": "7"}}}}});
        let patched = g.server.strategic(&format!("{path}/s"), &change).await?.ok()?;
        same!(patched.generation(), 2);
        same!(patched.list("/spec/template/spec/containers").len(), 2);
    }
    Ok(())
}

async fn a_headless_service_takes_its_defaults(g: &Ground) -> Result<()> {
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
                         "spec": {"clusterIP": "None", "selector": {"app": "a"}, "ports": [{"name": "http", "port": 80}]}});
    g.server.post(&g.core("services"), &service).await?.status(201)?;
    let stored = g.server.get(&format!("{}/s", g.core("services"))).await?.status(200)?;
    same!(stored.at("/spec/clusterIP"), "None");
    same!(stored.at("/spec/type"), "ClusterIP");
    same!(stored.at("/spec/sessionAffinity"), "None");
    same!(stored.at("/spec/ports"), json!([{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 80}]));
    same!(stored.at("/status"), json!({"loadBalancer": {}}));
    let patch = json!({"spec": {"ports": [{"port": 80, "name": "web"}, {"port": 81, "name": "more"}]}});
    let patched = g.server.strategic(&format!("{}/s", g.core("services")), &patch).await?.status(200)?;
    same!(patched.list("/spec/ports").len(), 2);
    Ok(())
}
