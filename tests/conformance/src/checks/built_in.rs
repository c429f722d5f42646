//! Secrets, config maps and namespaces; it must not depend on a controller that empties namespaces.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::check::Check;
use crate::ground::Ground;
use crate::{contains, same};

/// The checks of Secrets.
pub const SECRETS: &[Check] = crate::checks!("secrets", [];
    data_is_base64,
    what_is_no_base64_is_refused,
    string_data_is_folded_in,
    string_data_wins_over_data,
    the_type_defaults_to_opaque,
    the_type_is_immutable,
    an_immutable_secret_is_immutable,
    an_immutable_secret_can_be_deleted,
    a_bad_key_is_refused,
    keys_that_look_like_folders_are_refused,
    a_type_demands_its_keys,
    line_breaks_in_base64_are_dropped,
    a_finalizer_of_a_secret_is_qualified,
    too_much_data_is_refused,
    a_stale_put_of_a_secret_conflicts,
    a_key_can_be_removed,
    a_secret_has_no_generation,
    an_unknown_field_of_a_secret_is_dropped,
    an_apply_of_string_data_is_folded_in,
    labels_change_without_the_data,
    a_config_map_takes_text_and_bytes,
    a_key_cannot_be_in_both_maps,
);

/// The checks of namespaces.
pub const NAMESPACES: &[Check] = crate::checks!("namespaces", [];
    a_namespace_is_active,
    the_first_namespaces_are_there,
    a_missing_namespace_refuses_creates,
    a_terminating_namespace_refuses_creates,
    a_terminating_namespace_allows_other_writes,
    a_namespace_carries_its_finalizer,
    a_namespace_needs_a_label_for_a_name,
    a_namespace_is_selected_by_label,
);

fn secret(more: &Value) -> Value {
    let mut secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}});
    if let (Some(secret), Some(more)) = (secret.as_object_mut(), more.as_object()) {
        secret.extend(more.clone());
    }
    secret
}

fn at(g: &Ground) -> String {
    format!("{}/s", g.core("secrets"))
}

async fn make(g: &Ground, more: &Value) -> Result<Answer> {
    g.server.post(&g.core("secrets"), &secret(more)).await?.status(201)
}

async fn data_is_base64(g: &Ground) -> Result<()> {
    let made = make(g, &json!({"data": {"a": "AAEC/w=="}})).await?;
    same!(made.at("/data"), json!({"a": "AAEC/w=="}));
    same!(g.server.get(&at(g)).await?.ok()?.body, made.body);
    Ok(())
}

async fn what_is_no_base64_is_refused(g: &Ground) -> Result<()> {
    for bad in ["not base64!", "YQ", "Y===="] {
        g.server.post(&g.core("secrets"), &secret(&json!({"data": {"a": bad}}))).await?.refused(400, "BadRequest")?;
    }
    g.server.get(&at(g)).await?.refused(404, "NotFound")?;
    Ok(())
}

async fn string_data_is_folded_in(g: &Ground) -> Result<()> {
    let made = make(g, &json!({"stringData": {"a": "b", "c": "é"}})).await?;
    same!(made.at("/data"), json!({"a": "Yg==", "c": "w6k="}));
    same!(made.at("/stringData"), Value::Null);
    let patched = g.server.merge(&at(g), &json!({"stringData": {"a": "c"}})).await?.ok()?;
    same!(patched.at("/data"), json!({"a": "Yw==", "c": "w6k="}));
    Ok(())
}

async fn string_data_wins_over_data(g: &Ground) -> Result<()> {
    same!(make(g, &json!({"data": {"a": "Yg=="}, "stringData": {"a": "c"}})).await?.at("/data"), json!({"a": "Yw=="}));
    Ok(())
}

async fn the_type_defaults_to_opaque(g: &Ground) -> Result<()> {
    same!(make(g, &json!({})).await?.at("/type"), "Opaque");
    Ok(())
}

async fn the_type_is_immutable(g: &Ground) -> Result<()> {
    let made = make(g, &json!({"type": "example.com/one"})).await?;
    let message = g.server.put(&at(g), &made.with("/type", "example.com/two")).await?.invalid("type")?;
    contains!(message, "field is immutable");
    g.server.merge(&at(g), &json!({"type": "Opaque"})).await?.invalid("type")?;
    same!(g.server.get(&at(g)).await?.ok()?.body, made.body);
    Ok(())
}

async fn an_immutable_secret_is_immutable(g: &Ground) -> Result<()> {
    let made = make(g, &json!({"immutable": true, "data": {"a": "Yg=="}})).await?;
    let message = g.server.merge(&at(g), &json!({"data": {"a": "Yw=="}})).await?.invalid("data")?;
    contains!(message, "field is immutable when `immutable` is set");
    g.server.merge(&at(g), &json!({"immutable": false})).await?.invalid("immutable")?;
    same!(g.server.get(&at(g)).await?.ok()?.body, made.body);
    g.server.merge(&at(g), &json!({"metadata": {"labels": {"a": "b"}}})).await?.ok()?;
    Ok(())
}

async fn an_immutable_secret_can_be_deleted(g: &Ground) -> Result<()> {
    let first = make(g, &json!({"immutable": true})).await?;
    g.server.delete(&at(g)).await?.status(200)?;
    crate::differs!(make(g, &json!({"data": {"a": "Yg=="}})).await?.uid(), first.uid());
    Ok(())
}

async fn a_bad_key_is_refused(g: &Ground) -> Result<()> {
    for bad in ["two words", "a/b", ""] {
        let refused = g.server.post(&g.core("secrets"), &secret(&json!({"stringData": {bad: "x"}}))).await?.refused(422, "Invalid")?;
        contains!(refused.text("/details/causes/0/field"), "data[");
    }
    make(g, &json!({"stringData": {"A.b-c_1": "x"}})).await?;
    Ok(())
}

async fn too_much_data_is_refused(g: &Ground) -> Result<()> {
    let refused = g.server.post(&g.core("secrets"), &secret(&json!({"stringData": {"a": "x".repeat(1024 * 1024 + 1)}}))).await?;
    contains!(refused.message(), "Too long", "1048576");
    refused.invalid("data")?;
    g.server.get(&at(g)).await?.refused(404, "NotFound")?;
    Ok(())
}

async fn a_stale_put_of_a_secret_conflicts(g: &Ground) -> Result<()> {
    let made = make(g, &json!({"stringData": {"a": "b"}})).await?;
    g.server.put(&at(g), &made.with("/data/a", "Yw==")).await?.ok()?;
    let refused = g.server.put(&at(g), &made.with("/data/a", "ZA==")).await?.refused(409, "Conflict")?;
    same!(refused.at("/details"), json!({"name": "s", "kind": "secrets"}));
    same!(g.server.get(&at(g)).await?.at("/data/a"), "Yw==");
    Ok(())
}

async fn a_key_can_be_removed(g: &Ground) -> Result<()> {
    make(g, &json!({"stringData": {"a": "b", "c": "d"}})).await?;
    same!(g.server.merge(&at(g), &json!({"data": {"a": null}})).await?.ok()?.at("/data"), json!({"c": "ZA=="}));
    Ok(())
}

async fn a_secret_has_no_generation(g: &Ground) -> Result<()> {
    same!(make(g, &json!({"stringData": {"a": "b"}})).await?.at("/metadata/generation"), Value::Null);
    same!(g.server.merge(&at(g), &json!({"stringData": {"a": "c"}})).await?.ok()?.at("/metadata/generation"), Value::Null);
    Ok(())
}

async fn an_unknown_field_of_a_secret_is_dropped(g: &Ground) -> Result<()> {
    same!(make(g, &json!({"unheard": "of"})).await?.at("/unheard"), Value::Null);
    Ok(())
}

async fn an_apply_of_string_data_is_folded_in(g: &Ground) -> Result<()> {
    let made = g.server.apply(&at(g), "one", &secret(&json!({"data": {"a": "Yg=="}}))).await?.status(201)?;
    same!(made.at("/data"), json!({"a": "Yg=="}));
    same!(crate::ground::managers(&made.body, &["f:data", "f:a"]), ["one"]);
    let refused = g.server.apply(&at(g), "two", &secret(&json!({"data": {"a": "Yw=="}}))).await?.refused(409, "Conflict")?;
    same!(refused.at("/details/causes/0/field"), ".data.a");
    let both = g.server.apply(&at(g), "two", &secret(&json!({"data": {"b": "Yw=="}}))).await?.ok()?;
    same!(both.at("/data"), json!({"a": "Yg==", "b": "Yw=="}));
    Ok(())
}

async fn labels_change_without_the_data(g: &Ground) -> Result<()> {
    let made = make(g, &json!({"stringData": {"a": "b"}})).await?;
    let change = json!({"metadata": {"resourceVersion": made.rv(), "labels": {"a": "b"}, "annotations": {"c": "d"}}});
    let patched = g.server.merge(&at(g), &change).await?.ok()?;
    same!(patched.at("/data"), made.at("/data"));
    same!(patched.at("/metadata/labels"), json!({"a": "b"}));
    g.server.merge(&at(g), &change).await?.refused(409, "Conflict")?;
    Ok(())
}

async fn a_config_map_takes_text_and_bytes(g: &Ground) -> Result<()> {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "b"}, "binaryData": {"c": "AAE="}});
    let made = g.server.post(&g.core("configmaps"), &map).await?.status(201)?;
    same!(made.at("/data"), json!({"a": "b"}));
    same!(made.at("/binaryData"), json!({"c": "AAE="}));
    let number = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "n"}, "data": {"a": 1}});
    g.server.post(&g.core("configmaps"), &number).await?.refused(400, "BadRequest")?;
    Ok(())
}

async fn a_key_cannot_be_in_both_maps(g: &Ground) -> Result<()> {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "b"}, "binaryData": {"a": "AAE="}});
    g.server.post(&g.core("configmaps"), &map).await?.refused(422, "Invalid")?;
    g.server.get(&format!("{}/m", g.core("configmaps"))).await?.refused(404, "NotFound")?;
    Ok(())
}

async fn a_namespace_is_active(g: &Ground) -> Result<()> {
    let read = g.server.get(&format!("/api/v1/namespaces/{}", g.namespace)).await?.status(200)?;
    same!(read.at("/status/phase"), "Active");
    same!(read.at("/metadata/namespace"), Value::Null);
    Ok(())
}

async fn the_first_namespaces_are_there(g: &Ground) -> Result<()> {
    let names = g.server.get("/api/v1/namespaces").await?.ok()?.names();
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        ensure!(names.iter().any(|one| one == name), "no namespace {name}");
    }
    Ok(())
}

async fn a_missing_namespace_refuses_creates(g: &Ground) -> Result<()> {
    let absent = format!("{}-absent", g.namespace);
    let all = format!("/apis/{}/v1/namespaces/{absent}/widgets", g.group);
    let refused = g.server.post(&all, &g.widget("w", &json!({"size": 1}))).await?.refused(404, "NotFound")?;
    same!(refused.message(), format!("namespaces \"{absent}\" not found"));
    same!(refused.at("/details"), json!({"name": absent, "kind": "namespaces"}));
    g.server.post(&format!("/api/v1/namespaces/{absent}/secrets"), &secret(&json!({}))).await?.refused(404, "NotFound")?;
    let apply = g.server.apply(&format!("{all}/w"), "one", &g.widget("w", &json!({"size": 1}))).await?;
    apply.refused(404, "NotFound")?;
    Ok(())
}

/// Marks the check's namespace for deletion; an object under a finalizer in it keeps it from going.
async fn terminate(g: &Ground) -> Result<Answer> {
    let mut body = g.widget("held", &json!({"size": 1}));
    body["metadata"]["finalizers"] = json!(["example.com/f"]);
    g.server.post(&g.all("widgets"), &body).await?.status(201)?;
    let path = format!("/api/v1/namespaces/{}", g.namespace);
    g.server.delete(&path).await?.status(200)?;
    let read = g.server.get(&path).await?.ok()?;
    same!(read.at("/status/phase"), "Terminating");
    ensure!(read.at("/metadata/deletionTimestamp").is_string(), "{}", read.excerpt());
    Ok(read)
}

async fn release(g: &Ground) -> Result<()> {
    g.server.merge(&g.at("held"), &json!({"metadata": {"finalizers": null}})).await?.ok()?;
    Ok(())
}

async fn a_terminating_namespace_refuses_creates(g: &Ground) -> Result<()> {
    terminate(g).await?;
    // Who refuses learns of the deletion a little later.
    crate::until::until("creates refused", || async {
        let create = g.server.post(&g.all("widgets"), &g.widget("w", &json!({"size": 1}))).dry().await?;
        Ok(if create.status == 403 { Ok(()) } else { Err(create.excerpt()) })
    })
    .await?;
    for refused in [
        g.server.post(&g.all("widgets"), &g.widget("w", &json!({"size": 1}))).await?,
        g.server.apply(&g.at("w"), "one", &g.widget("w", &json!({"size": 1}))).await?,
        g.server.post(&g.core("secrets"), &secret(&json!({}))).await?,
    ] {
        let refused = refused.refused(403, "Forbidden")?;
        contains!(refused.message(), "because it is being terminated", &g.namespace);
        same!(refused.at("/details/causes/0/reason"), "NamespaceTerminating");
        same!(refused.at("/details/causes/0/field"), "metadata.namespace");
    }
    g.absent("w").await?;
    release(g).await
}

async fn a_terminating_namespace_allows_other_writes(g: &Ground) -> Result<()> {
    terminate(g).await?;
    g.server.merge(&g.at("held"), &json!({"spec": {"size": 2}})).await?.status(200)?;
    g.server.merge(&g.status_at("held"), &json!({"status": {"count": 2}})).await?.status(200)?;
    release(g).await
}

async fn a_namespace_carries_its_finalizer(g: &Ground) -> Result<()> {
    let read = g.server.get(&format!("/api/v1/namespaces/{}", g.namespace)).await?.ok()?;
    same!(read.at("/spec/finalizers"), ["kubernetes"]);
    let first = terminate(g).await?;
    let second = g.server.delete(&format!("/api/v1/namespaces/{}", g.namespace)).await?;
    ensure!(matches!(second.status, 200 | 409), "{}", second.excerpt());
    same!(
        g.server.get(&format!("/api/v1/namespaces/{}", g.namespace)).await?.at("/metadata/deletionTimestamp"),
        first.at("/metadata/deletionTimestamp")
    );
    release(g).await
}

async fn a_namespace_needs_a_label_for_a_name(g: &Ground) -> Result<()> {
    for bad in ["Upper", "dotted.name", &"a".repeat(64)] {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": bad}});
        g.server.post("/api/v1/namespaces", &body).await?.invalid("metadata.name")?;
    }
    Ok(())
}

async fn a_namespace_is_selected_by_label(g: &Ground) -> Result<()> {
    let path = format!("/api/v1/namespaces/{}", g.namespace);
    g.server.merge(&path, &json!({"metadata": {"labels": {"conformance": g.namespace}}})).await?.ok()?;
    let found = g.server.get("/api/v1/namespaces").query("labelSelector", &format!("conformance={}", g.namespace)).await?.ok()?;
    same!(found.names(), [g.namespace.as_str()]);
    Ok(())
}

async fn keys_that_look_like_folders_are_refused(g: &Ground) -> Result<()> {
    for bad in [".", "..", "..a"] {
        let refused = g.server.post(&g.core("secrets"), &secret(&json!({"stringData": {bad: "x"}}))).await?.refused(422, "Invalid")?;
        contains!(refused.text("/details/causes/0/field"), "data[");
    }
    make(g, &json!({"stringData": {".a": "x"}})).await?;
    Ok(())
}

async fn a_type_demands_its_keys(g: &Ground) -> Result<()> {
    let refused = |kind: &'static str, keys: Value| g.server.post(&g.core("secrets"), &secret(&json!({"type": kind, "stringData": keys})));
    refused("kubernetes.io/tls", json!({"tls.crt": ""})).await?.invalid("data[tls.key]")?;
    refused("kubernetes.io/basic-auth", json!({"user": "x"})).await?.refused(422, "Invalid")?;
    refused("kubernetes.io/dockerconfigjson", json!({})).await?.invalid("data[.dockerconfigjson]")?;
    make(g, &json!({"type": "kubernetes.io/basic-auth", "stringData": {"password": "x"}})).await?;
    Ok(())
}

async fn line_breaks_in_base64_are_dropped(g: &Ground) -> Result<()> {
    make(g, &json!({"data": {"a": "YQ==\n"}})).await?;
    same!(g.server.get(&format!("{}/s", g.core("secrets"))).await?.ok()?.at("/data/a"), "YQ==");
    Ok(())
}

async fn a_finalizer_of_a_secret_is_qualified(g: &Ground) -> Result<()> {
    let mut body = secret(&json!({}));
    body["metadata"]["finalizers"] = json!(["plain"]);
    g.server.post(&g.core("secrets"), &body).await?.invalid("metadata.finalizers[0]")?;
    Ok(())
}
