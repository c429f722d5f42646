//! Creation, names and dry runs of creates; it must not depend on how a server makes up names.

use anyhow::Result;
use serde_json::{Value, json};

use crate::check::Check;
use crate::ground::Ground;
use crate::{contains, differs, same};

/// The group's checks.
pub const CHECKS: &[Check] = crate::checks!("creation", [];
    a_create_fills_in_the_metadata,
    the_second_create_already_exists,
    a_name_is_generated,
    without_a_name_it_is_refused,
    a_bad_name_is_refused,
    a_bad_prefix_is_refused,
    keys_of_annotations_may_be_in_capitals,
    an_event_is_no_owner,
    finalizers_of_the_collector_exclude_each_other,
    another_namespace_in_the_body_is_refused,
    another_kind_in_the_body_is_refused,
    another_version_in_the_body_is_refused,
    a_resource_version_is_refused,
    what_is_no_json_is_refused,
    bad_labels_and_annotations_are_refused,
    an_unknown_resource_is_not_found,
    what_is_absent_is_not_found,
    a_cluster_kind_lives_outside_namespaces,
    of_racing_creates_one_wins,
    an_unsupported_media_type_is_refused,
    owner_references_are_kept_and_checked,
    a_put_on_the_collection_is_not_allowed,
);

async fn a_create_fills_in_the_metadata(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    same!(made.at("/metadata/namespace"), g.namespace);
    same!(made.at("/metadata/name"), "w");
    same!(made.uid().len(), 36);
    contains!(made.text("/metadata/creationTimestamp"), "T", "Z");
    same!(made.text("/metadata/creationTimestamp").len(), 20);
    differs!(made.rv(), "");
    same!(made.at("/kind"), "Widget");
    same!(made.at("/apiVersion"), format!("{}/v1", g.group));
    same!(g.stored("w").await?.body, made.body);
    Ok(())
}

async fn the_second_create_already_exists(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let refused = g.server.post(&g.all("widgets"), &g.widget("w", &json!({"size": 2}))).await?.refused(409, "AlreadyExists")?;
    contains!(refused.message(), format!("widgets.{} \"w\" already exists", g.group));
    same!(refused.at("/details"), json!({"name": "w", "group": g.group, "kind": "widgets"}));
    same!(g.stored("w").await?.body, made.body);
    Ok(())
}

async fn a_name_is_generated(g: &Ground) -> Result<()> {
    let mut body = g.widget("", &json!({"size": 1}));
    body["metadata"] = json!({"generateName": "gen-"});
    let one = g.server.post(&g.all("widgets"), &body).await?.status(201)?;
    let two = g.server.post(&g.all("widgets"), &body).await?.status(201)?;
    for made in [&one, &two] {
        anyhow::ensure!(made.text("/metadata/name").starts_with("gen-"), "{}", made.excerpt());
        same!(made.text("/metadata/name").len(), 9);
        same!(made.at("/metadata/generateName"), "gen-");
    }
    differs!(one.at("/metadata/name"), two.at("/metadata/name"));
    Ok(())
}

async fn without_a_name_it_is_refused(g: &Ground) -> Result<()> {
    let mut body = g.widget("", &json!({"size": 1}));
    body["metadata"] = json!({});
    let refused = g.server.post(&g.all("widgets"), &body).await?;
    contains!(refused.message(), "name or generateName is required");
    refused.invalid("metadata.name")?;
    same!(g.server.get(&g.all("widgets")).await?.names(), Vec::<String>::new());
    Ok(())
}

async fn a_bad_name_is_refused(g: &Ground) -> Result<()> {
    let upper = g.server.post(&g.all("widgets"), &g.widget("Upper", &json!({"size": 1}))).await?.invalid("metadata.name")?;
    contains!(upper, "RFC 1123");
    let long = "a".repeat(254);
    g.server.post(&g.all("widgets"), &g.widget(&long, &json!({"size": 1}))).await?.invalid("metadata.name")?;
    g.server.post(&g.all("widgets"), &g.widget("under_score", &json!({"size": 1}))).await?.invalid("metadata.name")?;
    g.make("dotted.name-1", &json!({"size": 1})).await?;
    Ok(())
}

async fn another_namespace_in_the_body_is_refused(g: &Ground) -> Result<()> {
    let mut body = g.widget("w", &json!({"size": 1}));
    body["metadata"]["namespace"] = "default".into();
    let refused = g.server.post(&g.all("widgets"), &body).await?.refused(400, "BadRequest")?;
    contains!(refused.message(), "does not match the namespace");
    g.absent("w").await
}

async fn another_kind_in_the_body_is_refused(g: &Ground) -> Result<()> {
    let message = g.server.post(&g.all("widgets"), &g.object("Gadget", "w", &json!({"size": 1}))).await?.invalid("kind")?;
    contains!(message, "Widget", "Gadget");
    g.absent("w").await
}

async fn another_version_in_the_body_is_refused(g: &Ground) -> Result<()> {
    let mut body = g.widget("w", &json!({"size": 1}));
    body["apiVersion"] = format!("{}/v9", g.group).into();
    g.server.post(&g.all("widgets"), &body).await?.refused(400, "BadRequest")?;
    g.absent("w").await
}

async fn a_resource_version_is_refused(g: &Ground) -> Result<()> {
    let mut body = g.widget("w", &json!({"size": 1}));
    body["metadata"]["resourceVersion"] = "12".into();
    let refused = g.server.post(&g.all("widgets"), &body).await?;
    anyhow::ensure!(refused.status >= 400, "{}", refused.excerpt());
    contains!(refused.message(), "resourceVersion should not be set on objects to be created");
    g.absent("w").await
}

async fn what_is_no_json_is_refused(g: &Ground) -> Result<()> {
    let refused = g.server.post(&g.all("widgets"), &Value::Null).raw("application/json", "{\"kind\": ").await?;
    refused.refused(400, "BadRequest")?;
    let refused = g.server.merge(&g.at("w"), &Value::Null).raw("application/merge-patch+json", "{\"kind\": ").await?;
    anyhow::ensure!(matches!(refused.status, 400 | 404), "{}", refused.excerpt());
    same!(g.server.get(&g.all("widgets")).await?.names(), Vec::<String>::new());
    Ok(())
}

async fn bad_labels_and_annotations_are_refused(g: &Ground) -> Result<()> {
    g.server.post(&g.all("widgets"), &g.labelled("w", &json!({"a": "not a label"}))).await?.invalid("metadata.labels")?;
    g.server.post(&g.all("widgets"), &g.labelled("w", &json!({"-bad": "x"}))).await?.invalid("metadata.labels")?;
    g.server.post(&g.all("widgets"), &g.labelled("w", &json!({"a": "x".repeat(64)}))).await?.invalid("metadata.labels")?;
    let mut body = g.widget("w", &json!({"size": 1}));
    body["metadata"]["annotations"] = json!({"bad key": "x"});
    g.server.post(&g.all("widgets"), &body).await?.invalid("metadata.annotations")?;
    body["metadata"]["annotations"] = json!({"a": "x".repeat(256 * 1024)});
    g.server.post(&g.all("widgets"), &body).await?.invalid("metadata.annotations")?;
    body["metadata"]["annotations"] = json!({"example.com/any": "any text at all"});
    g.server.post(&g.all("widgets"), &body).await?.status(201)?;
    Ok(())
}

async fn an_unknown_resource_is_not_found(g: &Ground) -> Result<()> {
    for path in [g.all("unheard"), format!("/apis/{}/v9/widgets", g.group), "/apis/unheard.example.com/v1/things".to_owned()] {
        same!(g.server.get(&path).await?.status, 404);
    }
    Ok(())
}

async fn what_is_absent_is_not_found(g: &Ground) -> Result<()> {
    let answer = g.server.get(&g.at("w")).await?.refused(404, "NotFound")?;
    same!(answer.message(), format!("widgets.{} \"w\" not found", g.group));
    same!(answer.at("/details"), json!({"name": "w", "group": g.group, "kind": "widgets"}));
    let secret = g.server.get(&format!("{}/s", g.core("secrets"))).await?.refused(404, "NotFound")?;
    same!(secret.message(), "secrets \"s\" not found");
    same!(secret.at("/details"), json!({"name": "s", "kind": "secrets"}));
    g.server.delete(&g.at("w")).await?.refused(404, "NotFound")?;
    Ok(())
}

async fn a_cluster_kind_lives_outside_namespaces(g: &Ground) -> Result<()> {
    let path = format!("/apis/{}/v1/regions", g.group);
    let made = g.server.post(&path, &g.object("Region", &g.namespace, &json!({"a": 1}))).await?.status(201)?;
    same!(made.at("/metadata/namespace"), Value::Null);
    same!(g.server.get(&format!("{path}/{}", g.namespace)).await?.status(200)?.body, made.body);
    same!(g.server.post(&g.all("regions"), &g.object("Region", "r", &json!({}))).await?.status, 404);
    g.server.delete(&format!("{path}/{}", g.namespace)).await?.ok()?;
    Ok(())
}

async fn of_racing_creates_one_wins(g: &Ground) -> Result<()> {
    let create = |size: i64| {
        let (server, path, body) = (g.server.clone(), g.all("widgets"), g.widget("w", &json!({"size": size})));
        async move { server.post(&path, &body).await }
    };
    let answers = futures::future::try_join_all((1..9).map(create)).await?;
    let winners: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    same!(winners.len(), 1);
    for loser in answers.iter().filter(|answer| answer.status != 201) {
        loser.clone().refused(409, "AlreadyExists")?;
    }
    same!(g.stored("w").await?.body, winners[0].body);
    Ok(())
}

async fn an_unsupported_media_type_is_refused(g: &Ground) -> Result<()> {
    let body = g.widget("w", &json!({"size": 1})).to_string();
    g.server.post(&g.all("widgets"), &Value::Null).raw("text/csv", &body).await?.refused(415, "UnsupportedMediaType")?;
    g.absent("w").await?;
    g.server.get(&g.all("widgets")).accept("text/csv").await?.refused(406, "NotAcceptable")?;
    Ok(())
}

async fn owner_references_are_kept_and_checked(g: &Ground) -> Result<()> {
    let owner = g.make("owner", &json!({"size": 1})).await?;
    let reference = |controller: bool| json!({"apiVersion": format!("{}/v1", g.group), "kind": "Widget", "name": "owner", "uid": owner.uid(), "controller": controller, "blockOwnerDeletion": true});
    let mut body = g.widget("w", &json!({"size": 1}));
    body["metadata"]["ownerReferences"] = json!([reference(true)]);
    let made = g.server.post(&g.all("widgets"), &body).await?.status(201)?;
    same!(made.at("/metadata/ownerReferences"), json!([reference(true)]));
    let mut second = reference(true);
    second["uid"] = "00000000-0000-4000-8000-000000000000".into();
    body["metadata"]["name"] = "two".into();
    body["metadata"]["ownerReferences"] = json!([reference(true), second]);
    g.server.post(&g.all("widgets"), &body).await?.invalid("metadata.ownerReferences")?;
    body["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "Secret", "name": "x"}]);
    let refused = g.server.post(&g.all("widgets"), &body).await?.refused(422, "Invalid")?;
    contains!(refused.text("/details/causes/0/field"), "metadata.ownerReferences", "uid");
    Ok(())
}

async fn a_put_on_the_collection_is_not_allowed(g: &Ground) -> Result<()> {
    let body = g.widget("w", &json!({"size": 1}));
    let answer = g.server.put(&g.all("widgets"), &body).await?;
    anyhow::ensure!(matches!(answer.status, 400 | 405), "{}: {}", answer.asked, answer.excerpt());
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}});
    same!(g.server.put(&g.core("configmaps"), &map).await?.status, 405);
    g.absent("w").await
}

async fn refused_metadata(g: &Ground, metadata: &Value, field: &str) -> Result<String> {
    let mut body = g.widget("w", &json!({"size": 1}));
    body["metadata"] = metadata.clone();
    let message = g.server.post(&g.all("widgets"), &body).await?.invalid(field)?;
    same!(g.server.get(&g.all("widgets")).await?.ok()?.names(), Vec::<String>::new());
    Ok(message)
}

async fn a_bad_prefix_is_refused(g: &Ground) -> Result<()> {
    contains!(refused_metadata(g, &json!({"generateName": "Upper-"}), "metadata.generateName").await?, "RFC 1123");
    refused_metadata(g, &json!({"name": "w", "generateName": "a".repeat(260)}), "metadata.generateName").await?;
    Ok(())
}

async fn keys_of_annotations_may_be_in_capitals(g: &Ground) -> Result<()> {
    let mut body = g.widget("w", &json!({"size": 1}));
    body["metadata"]["annotations"] = json!({"Example.COM/Note": "x"});
    g.server.post(&g.all("widgets"), &body).await?.status(201)?;
    same!(g.stored("w").await?.at("/metadata/annotations"), json!({"Example.COM/Note": "x"}));
    body["metadata"] = json!({"name": "v", "labels": {"Example.COM/Note": "x"}});
    g.server.post(&g.all("widgets"), &body).await?.invalid("metadata.labels")?;
    Ok(())
}

async fn an_event_is_no_owner(g: &Ground) -> Result<()> {
    let owner = |version: &str, kind: &str| json!({"name": "w", "ownerReferences": [{"apiVersion": version, "kind": kind, "name": "e", "uid": "u"}]});
    let message = refused_metadata(g, &owner("v1", "Event"), "metadata.ownerReferences").await?;
    contains!(message, "disallowed from being an owner");
    refused_metadata(g, &owner("a/b/c", "Widget"), "metadata.ownerReferences.apiVersion").await?;
    Ok(())
}

async fn finalizers_of_the_collector_exclude_each_other(g: &Ground) -> Result<()> {
    let both = json!({"name": "w", "finalizers": ["orphan", "foregroundDeletion"]});
    contains!(refused_metadata(g, &both, "metadata.finalizers").await?, "cannot be both set");
    Ok(())
}
