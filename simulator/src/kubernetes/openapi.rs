//! The schemas of all kinds as `OpenAPI` documents, for `kubectl explain` and for clients that validate; it judges nothing.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::builtin;
use super::resource::{Kind, Origin, Registry, Version};
use super::schema::DEFINITIONS;
use crate::digest::hex;

/// The list of documents.
pub(crate) fn index(kinds: &Registry) -> Value {
    let mut paths = Map::new();
    for (group, versions) in kinds.groups() {
        for version in versions {
            let path = if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
            let hash = hex(&Sha256::digest(document(kinds, group, version).unwrap_or_default().to_string())).to_uppercase();
            paths.insert(path.clone(), json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")}));
        }
    }
    json!({"paths": paths})
}

/// The document of one version of a group.
pub(crate) fn document(kinds: &Registry, group: &str, version: &str) -> Option<Value> {
    let definitions = builtin::definitions();
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for kind in kinds.iter().filter(|kind| kind.id.group == group) {
        let Some(version) = kind.version(version) else { continue };
        let name = match kind.origin {
            Origin::BuiltIn => version.schema.source().get("$ref").and_then(Value::as_str)?.trim_start_matches(DEFINITIONS).to_owned(),
            Origin::Custom => {
                let reversed: Vec<&str> = kind.id.group.split('.').rev().collect();
                let name = format!("{}.{}.{}", reversed.join("."), version.name, kind.kind);
                schemas.insert(name.clone(), version.schema.source().clone());
                name
            }
        };
        add_paths(&mut paths, kind, version, &name);
        let mut wanted: BTreeSet<String> = BTreeSet::from([name]);
        while let Some(next) = wanted.pop_first() {
            let found = schemas.get(&next).cloned().or_else(|| definitions.get(&next).cloned())?;
            references(&found, &mut |name| {
                if !schemas.contains_key(name) && definitions.contains_key(name) {
                    wanted.insert(name.to_owned());
                }
            });
            schemas.insert(next, found);
        }
    }
    if paths.is_empty() {
        return None;
    }
    Some(
        json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.33.0"}, "paths": paths, "components": {"schemas": schemas}}),
    )
}

fn references(value: &Value, found: &mut impl FnMut(&str)) {
    match value {
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix(DEFINITIONS)) {
                found(name);
            }
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

fn parameter(name: &str) -> Value {
    json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}})
}

fn add_paths(paths: &mut Map<String, Value>, kind: &Kind, version: &Version, name: &str) {
    let root =
        if kind.id.group.is_empty() { format!("/api/{}", version.name) } else { format!("/apis/{}/{}", kind.id.group, version.name) };
    let place = if kind.is_namespaced() { "/namespaces/{namespace}" } else { "" };
    let collection = format!("{root}{place}/{}", kind.id.resource);
    let gvk = json!({"group": kind.id.group, "version": version.name, "kind": kind.kind});
    let answer =
        json!({"200": {"description": "OK", "content": {"application/json": {"schema": {"$ref": format!("{DEFINITIONS}{name}")}}}}});
    let operation = |action: &str, parameters: &[&str]| {
        let parameters: Vec<Value> = parameters.iter().map(|name| parameter(name)).collect();
        json!({"x-kubernetes-action": action, "x-kubernetes-group-version-kind": gvk, "parameters": parameters, "responses": answer})
    };
    let writing = ["dryRun", "fieldManager", "fieldValidation"];
    paths.insert(
        collection.clone(),
        json!({"get": operation("list", &[]), "post": operation("post", &writing), "delete": operation("deletecollection", &["dryRun"])}),
    );
    paths.insert(
        format!("{collection}/{{name}}"),
        json!({
            "get": operation("get", &[]),
            "put": operation("put", &writing),
            "patch": operation("patch", &["dryRun", "fieldManager", "fieldValidation", "force"]),
            "delete": operation("delete", &["dryRun"]),
        }),
    );
}

/// Everything in one document of version 2.
pub(crate) fn swagger(kinds: &Registry) -> Value {
    let (mut paths, mut definitions) = (Map::new(), Map::new());
    for (group, versions) in kinds.groups() {
        for version in versions {
            let Some(document) = document(kinds, group, version) else { continue };
            paths.extend(document["paths"].as_object().cloned().unwrap_or_default());
            definitions.extend(document["components"]["schemas"].as_object().cloned().unwrap_or_default());
        }
    }
    let text = json!({"swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.33.0"}, "paths": paths, "definitions": definitions})
        .to_string();
    serde_json::from_str(&text.replace(DEFINITIONS, "#/definitions/")).unwrap_or_default()
}

/// The smallest document of version 2, for clients that ask for nothing newer; in the binary form that they ask for.
pub(crate) fn version_2() -> Vec<u8> {
    let field = |number: u8, content: &[u8]| {
        let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
        [&[number << 3 | 2, length], content].concat()
    };
    let info = [field(1, b"Kubernetes"), field(2, b"v1.33.0")].concat();
    [field(1, b"2.0"), field(2, &info), field(8, b"")].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_all_that_it_refers_to() {
        let kinds = builtin::registry();
        let document = document(&kinds, "apps", "v1").expect("it is there");
        let schemas = document["components"]["schemas"].as_object().expect("schemas").clone();
        references(&document, &mut |name| assert!(schemas.contains_key(name), "{name}"));
        assert!(document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"].is_object());
    }
}
