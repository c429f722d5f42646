//! Definitions of kinds: how they become served, and which are refused; it must not define anything outside the check's own group.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::answer::place;
use crate::check::Check;
use crate::fixtures::{DEFINITIONS, definition, open_schema, served};
use crate::ground::Ground;
use crate::until::until;
use crate::{contains, same};

/// The group's checks.
pub const CHECKS: &[Check] = crate::checks!("definitions", [];
    a_definition_becomes_established,
    its_kind_is_served_and_discovered,
    its_status_tells_accepted_names,
    a_second_kind_of_the_same_name_is_not_accepted,
    a_name_that_does_not_fit_is_refused,
    a_definition_without_schema_is_refused,
    a_definition_without_stored_version_is_refused,
    a_schema_without_types_is_refused,
    a_default_that_is_invalid_is_refused,
    a_list_map_without_keys_is_refused,
    metadata_may_not_be_restricted_at_will,
    a_bad_printer_column_is_refused,
    scope_cannot_be_changed,
    a_version_can_be_unserved,
    two_versions_show_the_same_object,
    a_stricter_schema_refuses_the_next_write,
    a_deleted_definition_takes_its_objects,
    a_definition_can_be_applied,
    versions_are_recorded_as_stored,
);

fn things(g: &Ground) -> Value {
    definition(&g.own_group(), "things", "Thing", "Namespaced", &json!({"schema": open_schema()}))
}

fn path(g: &Ground) -> String {
    format!("{DEFINITIONS}/things.{}", g.own_group())
}

fn all(g: &Ground, version: &str) -> String {
    format!("/apis/{}/{version}/namespaces/{}/things", g.own_group(), g.namespace)
}

fn thing(g: &Ground, version: &str, spec: &Value) -> Value {
    json!({"apiVersion": format!("{}/{version}", g.own_group()), "kind": "Thing", "metadata": {"name": "t"}, "spec": spec})
}

fn condition(definition: &crate::answer::Answer, kind: &str) -> Value {
    definition.list("/status/conditions").iter().find(|one| one["type"] == kind).cloned().unwrap_or_default()
}

/// Posts a definition that differs in one place and expects a refusal with a cause whose field contains `field`: a server may speak of the
/// version or, where there is one alone, of the whole.
async fn bad(g: &Ground, pointer: &str, value: Value, field: &str) -> Result<()> {
    let mut body = things(g);
    place(&mut body, pointer, value);
    let refused = g.server.post(DEFINITIONS, &body).await?.refused(422, "Invalid")?;
    let causes = refused.list("/details/causes");
    ensure!(
        causes.iter().any(|cause| cause["field"].as_str().is_some_and(|name| name.contains(field))),
        "no cause on {field}: {}",
        refused.excerpt()
    );
    g.server.get(&path(g)).await?.refused(404, "NotFound")?;
    Ok(())
}

async fn a_definition_becomes_established(g: &Ground) -> Result<()> {
    let made = g.server.post(DEFINITIONS, &things(g)).await?.status(201)?;
    same!(made.at("/metadata/generation"), 1);
    served(&g.server, &things(g)).await?;
    let read = g.server.get(&path(g)).await?.ok()?;
    for (kind, reason) in [("NamesAccepted", "NoConflicts"), ("Established", "InitialNamesAccepted")] {
        let condition = condition(&read, kind);
        same!(condition["status"], "True");
        same!(condition["reason"], reason);
        contains!(condition["lastTransitionTime"].as_str().unwrap_or_default(), "T", "Z");
    }
    Ok(())
}

async fn its_kind_is_served_and_discovered(g: &Ground) -> Result<()> {
    same!(g.server.get(&all(g, "v1")).await?.status, 404);
    let mut body = things(g);
    body["spec"]["names"]["shortNames"] = json!(["thg"]);
    body["spec"]["names"]["categories"] = json!(["conformance"]);
    g.server.post(DEFINITIONS, &body).await?.status(201)?;
    served(&g.server, &body).await?;
    let found = g.server.get(&format!("/apis/{}/v1", g.own_group())).await?.ok()?;
    same!(found.at("/kind"), "APIResourceList");
    same!(found.at("/groupVersion"), format!("{}/v1", g.own_group()));
    let resource = found.list("/resources").iter().find(|one| one["name"] == "things").cloned().unwrap_or_default();
    same!(resource["kind"], "Thing");
    same!(resource["singularName"], "thing");
    same!(resource["namespaced"], true);
    same!(resource["shortNames"], ["thg"]);
    same!(resource["categories"], ["conformance"]);
    let mut verbs: Vec<_> = resource["verbs"].as_array().cloned().unwrap_or_default();
    verbs.sort_by_key(Value::to_string);
    same!(verbs, ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]);
    g.server.post(&all(g, "v1"), &thing(g, "v1", &json!({}))).await?.status(201)?;
    Ok(())
}

async fn its_status_tells_accepted_names(g: &Ground) -> Result<()> {
    let mut body = things(g);
    body["spec"]["names"].as_object_mut().and_then(|names| names.remove("listKind"));
    body["spec"]["names"].as_object_mut().and_then(|names| names.remove("singular"));
    g.server.post(DEFINITIONS, &body).await?.status(201)?;
    served(&g.server, &body).await?;
    let read = g.server.get(&path(g)).await?.ok()?;
    same!(read.at("/status/acceptedNames"), json!({"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"}));
    same!(read.at("/spec/names"), json!({"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"}));
    same!(read.at("/spec/conversion"), json!({"strategy": "None"}));
    Ok(())
}

async fn a_second_kind_of_the_same_name_is_not_accepted(g: &Ground) -> Result<()> {
    g.define("things", "Thing", &json!({"schema": open_schema()})).await?;
    let second = definition(&g.own_group(), "others", "Thing", "Namespaced", &json!({"schema": open_schema()}));
    g.server.post(DEFINITIONS, &second).await?.status(201)?;
    until("names judged", || async {
        let read = g.server.get(&format!("{DEFINITIONS}/others.{}", g.own_group())).await?.ok()?;
        let judged = condition(&read, "NamesAccepted");
        Ok(if judged["status"] == "False" && judged["reason"].as_str().is_some_and(|reason| reason.ends_with("Conflict")) {
            Ok(())
        } else {
            Err(read.at("/status").to_string())
        })
    })
    .await?;
    let read = g.server.get(&format!("{DEFINITIONS}/others.{}", g.own_group())).await?.ok()?;
    same!(condition(&read, "Established")["status"], "False");
    same!(g.server.get(&format!("/apis/{}/v1/others", g.own_group())).await?.status, 404);
    Ok(())
}

async fn a_name_that_does_not_fit_is_refused(g: &Ground) -> Result<()> {
    bad(g, "/metadata/name", json!(format!("other.{}", g.own_group())), "metadata.name").await?;
    bad(g, "/spec/names/plural", json!("Things"), "spec.names.plural").await?;
    bad(g, "/spec/scope", json!("Galactic"), "spec.scope").await
}

async fn a_definition_without_schema_is_refused(g: &Ground) -> Result<()> {
    bad(g, "/spec/versions/0/schema", Value::Null, "spec.versions[0].schema").await
}

async fn a_definition_without_stored_version_is_refused(g: &Ground) -> Result<()> {
    bad(g, "/spec/versions/0/storage", json!(false), "spec.versions").await?;
    let version = things(g)["spec"]["versions"][0].clone();
    bad(g, "/spec/versions", json!([version, version]), "spec.versions").await
}

async fn a_schema_without_types_is_refused(g: &Ground) -> Result<()> {
    let base = "/spec/versions/0/schema/openAPIV3Schema";
    let field = "openAPIV3Schema";
    bad(g, &format!("{base}/properties/spec"), json!({"properties": {"a": {"type": "string"}}}), field).await?;
    bad(g, &format!("{base}/properties/spec"), json!({"type": "object", "properties": {"a": {"type": "array"}}}), field).await?;
    bad(g, &format!("{base}/type"), json!("string"), field).await?;
    bad(g, &format!("{base}/properties/spec"), json!({"type": "text"}), field).await
}

async fn a_default_that_is_invalid_is_refused(g: &Ground) -> Result<()> {
    let pointer = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    let field = "openAPIV3Schema.properties[spec].properties[a].default";
    bad(g, pointer, json!({"type": "object", "properties": {"a": {"type": "integer", "default": "one"}}}), field).await?;
    bad(g, pointer, json!({"type": "object", "properties": {"a": {"type": "integer", "maximum": 3, "default": 4}}}), field).await
}

async fn a_list_map_without_keys_is_refused(g: &Ground) -> Result<()> {
    let pointer = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    let field = "openAPIV3Schema.properties[spec].properties[a]";
    let list = |more: Value| {
        let mut list = json!({"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}, "x-kubernetes-list-type": "map"});
        if let (Some(list), Some(more)) = (list.as_object_mut(), more.as_object()) {
            list.extend(more.clone());
        }
        json!({"type": "object", "properties": {"a": list}})
    };
    bad(g, pointer, list(json!({})), field).await?;
    bad(g, pointer, list(json!({"x-kubernetes-list-map-keys": ["absent"]})), field).await?;
    bad(g, pointer, list(json!({"x-kubernetes-list-map-keys": ["name"]})), field).await?;
    bad(g, pointer, list(json!({"x-kubernetes-list-type": "heap"})), field).await
}

async fn metadata_may_not_be_restricted_at_will(g: &Ground) -> Result<()> {
    let metadata = json!({"type": "object", "properties": {"labels": {"type": "object", "maxProperties": 1}}});
    bad(g, "/spec/versions/0/schema/openAPIV3Schema/properties/metadata", metadata, "openAPIV3Schema.properties[metadata]").await
}

async fn a_bad_printer_column_is_refused(g: &Ground) -> Result<()> {
    let field = "additionalPrinterColumns[0]";
    let pointer = "/spec/versions/0/additionalPrinterColumns";
    bad(g, pointer, json!([{"name": "A", "type": "poem", "jsonPath": ".spec.a"}]), field).await?;
    bad(g, pointer, json!([{"name": "A", "type": "string", "jsonPath": "spec.a"}]), field).await?;
    bad(g, pointer, json!([{"type": "string", "jsonPath": ".spec.a"}]), field).await
}

async fn scope_cannot_be_changed(g: &Ground) -> Result<()> {
    g.define("things", "Thing", &json!({"schema": open_schema()})).await?;
    let message = g.server.merge(&path(g), &json!({"spec": {"scope": "Cluster"}})).await?.invalid("spec.scope")?;
    contains!(message, "field is immutable");
    g.server.merge(&path(g), &json!({"spec": {"group": "other.example.com"}})).await?.refused(422, "Invalid")?;
    same!(g.server.get(&path(g)).await?.at("/spec/scope"), "Namespaced");
    Ok(())
}

fn two_versions(g: &Ground) -> Value {
    let mut body = things(g);
    let mut second = body["spec"]["versions"][0].clone();
    second["name"] = "v2".into();
    second["storage"] = false.into();
    if let Some(versions) = body["spec"]["versions"].as_array_mut() {
        versions.push(second);
    }
    body
}

async fn a_version_can_be_unserved(g: &Ground) -> Result<()> {
    let body = two_versions(g);
    g.server.post(DEFINITIONS, &body).await?.status(201)?;
    served(&g.server, &body).await?;
    same!(g.server.get(&all(g, "v2")).await?.status, 200);
    g.server.json_patch(&path(g), &json!([{"op": "replace", "path": "/spec/versions/1/served", "value": false}])).await?.ok()?;
    until("v2 unserved", || async {
        let status = g.server.get(&all(g, "v2")).await?.status;
        Ok(if status == 404 { Ok(()) } else { Err(status.to_string()) })
    })
    .await?;
    same!(g.server.get(&all(g, "v1")).await?.status, 200);
    Ok(())
}

async fn two_versions_show_the_same_object(g: &Ground) -> Result<()> {
    let body = two_versions(g);
    g.server.post(DEFINITIONS, &body).await?.status(201)?;
    served(&g.server, &body).await?;
    let made = g.server.post(&all(g, "v1"), &thing(g, "v1", &json!({"a": 1}))).await?.status(201)?;
    let other = g.server.get(&format!("{}/t", all(g, "v2"))).await?.status(200)?;
    same!(other.at("/apiVersion"), format!("{}/v2", g.own_group()));
    same!(other.uid(), made.uid());
    same!(other.rv(), made.rv());
    g.server.merge(&format!("{}/t", all(g, "v2")), &json!({"spec": {"a": 2}})).await?.ok()?;
    same!(g.server.get(&format!("{}/t", all(g, "v1"))).await?.at("/spec/a"), 2);
    let group = g.server.get(&format!("/apis/{}", g.own_group())).await?.ok()?;
    same!(group.at("/preferredVersion/version"), "v2");
    Ok(())
}

async fn a_stricter_schema_refuses_the_next_write(g: &Ground) -> Result<()> {
    let all = g.define("things", "Thing", &json!({"schema": open_schema()})).await?;
    g.server.post(&all, &thing(g, "v1", &json!({"a": 9}))).await?.status(201)?;
    let strict = json!({"type": "object", "properties": {"a": {"type": "integer", "maximum": 5}}});
    let steps = json!([{"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec", "value": strict}]);
    let changed = g.server.json_patch(&path(g), &steps).await?.ok()?;
    same!(changed.generation(), 2);
    let path = format!("{all}/t");
    until("the stricter schema", || async {
        let patched = g.server.merge(&path, &json!({"spec": {"a": 8}})).dry().await?;
        Ok(if patched.status == 422 { Ok(()) } else { Err(patched.excerpt()) })
    })
    .await?;
    same!(g.server.get(&path).await?.ok()?.at("/spec/a"), 9);
    g.server.merge(&path, &json!({"spec": {"a": 5}})).await?.ok()?;
    Ok(())
}

async fn a_deleted_definition_takes_its_objects(g: &Ground) -> Result<()> {
    let all = g.define("things", "Thing", &json!({"schema": open_schema()})).await?;
    g.server.post(&all, &thing(g, "v1", &json!({"a": 1}))).await?.status(201)?;
    g.server.delete(&path(g)).await?.status(200)?;
    until("the definition gone", || async {
        let (definition, list) = (g.server.get(&path(g)).await?, g.server.get(&all).await?);
        Ok(if definition.status == 404 && list.status == 404 { Ok(()) } else { Err(format!("{} {}", definition.status, list.status)) })
    })
    .await?;
    let all = g.define("things", "Thing", &json!({"schema": open_schema()})).await?;
    same!(g.server.get(&all).await?.ok()?.names(), Vec::<String>::new());
    Ok(())
}

async fn a_definition_can_be_applied(g: &Ground) -> Result<()> {
    let made = g.server.apply(&path(g), "installer", &things(g)).await?.status(201)?;
    served(&g.server, &things(g)).await?;
    let again = g.server.apply(&path(g), "installer", &things(g)).await?.status(200)?;
    same!(again.uid(), made.uid());
    same!(again.generation(), 1);
    let mut body = things(g);
    body["spec"]["names"]["shortNames"] = json!(["thg"]);
    same!(g.server.apply(&path(g), "installer", &body).await?.ok()?.generation(), 2);
    Ok(())
}

async fn versions_are_recorded_as_stored(g: &Ground) -> Result<()> {
    g.define("things", "Thing", &json!({"schema": open_schema()})).await?;
    same!(g.server.get(&path(g)).await?.at("/status/storedVersions"), ["v1"]);
    Ok(())
}
