//! `CustomResourceDefinition`s: judged, accepted and turned into kinds that are served; it serves none itself.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::bounds;
use super::builtin::{self, OBJECT_META};
use super::columns::{Column, is_path};
use super::error::FieldError;
use super::memo::Memo;
use super::metadata::is_subdomain;
use super::object;
use super::resource::{GroupResource, Kind, Origin, Scale, Scope, Status, Storage, Version};
use super::rules::Rules;
use super::schema::{DEFINITIONS, Schema};
use super::state::State;
use super::structural;

/// Keeps a definition until its objects are gone.
pub(crate) const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

pub(crate) fn is_definition(id: &GroupResource) -> bool {
    id.group == "apiextensions.k8s.io" && id.resource == "customresourcedefinitions"
}

/// The resource that a definition defines.
pub(crate) fn defined(definition: &Value) -> GroupResource {
    GroupResource::new(object::text(definition, &["spec", "group"]), object::text(definition, &["spec", "names", "plural"]))
}

/// The name that another definition of the group has already: the reason, the name, and whose it is.
fn taken(state: &State, definition: &Value) -> Option<(&'static str, String)> {
    let id = GroupResource::new("apiextensions.k8s.io", "customresourcedefinitions");
    let own = &definition["spec"]["names"];
    let singles = |names: &Value| -> Vec<String> {
        let mut all = texts(names.get("shortNames"));
        all.extend(["plural", "singular"].iter().map(|name| object::text(names, &[name]).to_owned()).filter(|name| !name.is_empty()));
        all
    };
    let same_group =
        |other: &&Arc<Value>| other["spec"]["group"] == definition["spec"]["group"] && object::name(other) != object::name(definition);
    for other in state.objects(&id).map(|(_, other)| other).filter(same_group) {
        let names = &other["status"]["acceptedNames"];
        for (member, reason) in [("plural", "PluralConflict"), ("singular", "SingularConflict")] {
            let name = object::text(own, &[member]);
            if !name.is_empty() && singles(names).iter().any(|one| one == name) {
                return Some((reason, name.to_owned()));
            }
        }
        if let Some(name) = texts(own.get("shortNames")).into_iter().find(|name| singles(names).contains(name)) {
            return Some(("ShortNamesConflict", name));
        }
        for (member, reason) in [("kind", "KindConflict"), ("listKind", "ListKindConflict")] {
            let name = object::text(own, &[member]);
            if !name.is_empty() && (names["kind"] == name || names["listKind"] == name) {
                return Some((reason, name.to_owned()));
            }
        }
    }
    None
}

/// Serves what the definition defines, and says so in its status.
pub(crate) fn accept(state: &mut State, definition: &Value, now: Timestamp) {
    if let Some((reason, name)) = taken(state, definition) {
        refuse_names(state, definition, reason, &name, now);
        return;
    }
    state.kinds.insert(kind(definition));
    let mut accepted = definition.clone();
    let moment = object::moment(now);
    let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "lastTransitionTime": moment, "reason": reason, "message": message});
    let status = object::member_mut(&mut accepted, "status");
    status.insert("acceptedNames".into(), definition["spec"]["names"].clone());
    let mut stored: Vec<Value> = status.get("storedVersions").and_then(Value::as_array).cloned().unwrap_or_default();
    let storage = Value::from(storage_version(definition));
    if !stored.contains(&storage) {
        stored.push(storage);
    }
    status.insert("storedVersions".into(), stored.into());
    let conditions = status.entry("conditions").or_insert_with(|| json!([]));
    if let Value::Array(conditions) = conditions {
        for (kind, reason, message) in [
            ("NamesAccepted", "NoConflicts", "no conflicts found"),
            ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ] {
            if !conditions.iter().any(|condition| condition["type"] == kind) {
                conditions.push(condition(kind, reason, message));
            }
        }
    }
    if accepted != *definition {
        let id = GroupResource::new("apiextensions.k8s.io", "customresourcedefinitions");
        let name = object::name(definition).to_owned();
        state.put(&id, &name, accepted);
    }
}

/// Another definition has a name already, so this one is not served.
fn refuse_names(state: &mut State, definition: &Value, reason: &str, name: &str, now: Timestamp) {
    let moment = object::moment(now);
    let mut refused = definition.clone();
    let message = format!("{name:?} is already in use");
    let conditions = json!([
        {"type": "NamesAccepted", "status": "False", "lastTransitionTime": moment, "reason": reason, "message": message},
        {"type": "Established", "status": "False", "lastTransitionTime": moment, "reason": "NotAccepted", "message": "not all names are accepted"},
    ]);
    let status = object::member_mut(&mut refused, "status");
    status.insert("conditions".into(), conditions);
    status.insert("acceptedNames".into(), json!({"plural": "", "kind": ""}));
    status.insert("storedVersions".into(), json!([storage_version(definition)]));
    if refused != *definition {
        let id = GroupResource::new("apiextensions.k8s.io", "customresourcedefinitions");
        let key = object::name(definition).to_owned();
        state.put(&id, &key, refused);
    }
}

/// Serves it no longer.
pub(crate) fn forget(state: &mut State, definition: &Value) {
    state.kinds.remove(&defined(definition));
}

fn storage_version(definition: &Value) -> &str {
    let versions = object::list(definition, &["spec", "versions"]);
    versions.iter().find(|version| version["storage"] == true).map_or("", |version| object::text(version, &["name"]))
}

fn texts(value: Option<&Value>) -> Vec<String> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The kind that a definition defines.
fn kind(definition: &Value) -> Kind {
    let spec = &definition["spec"];
    let names = &spec["names"];
    let id = defined(definition);
    let served = |version: &&Value| version["served"] == true;
    let mut versions: Vec<Arc<Version>> =
        object::list(spec, &["versions"]).iter().filter(served).map(|version| Arc::new(read_version(version, definition))).collect();
    versions.sort_by_key(|version| std::cmp::Reverse(priority(&version.name)));
    Kind {
        stored_as: id.clone(),
        id,
        kind: object::text(names, &["kind"]).into(),
        list_kind: object::text(names, &["listKind"]).into(),
        singular: object::text(names, &["singular"]).into(),
        short_names: texts(names.get("shortNames")),
        categories: texts(names.get("categories")),
        scope: if spec["scope"] == "Namespaced" { Scope::Namespaced } else { Scope::Cluster },
        origin: Origin::Custom,
        storage: Storage::Stored,
        versions,
        storage_version: storage_version(definition).into(),
    }
}

/// How versions are preferred: general before beta before alpha, then the higher number.
fn priority(version: &str) -> (u8, u32, u32) {
    let Some(rest) = version.strip_prefix('v') else { return (0, 0, 0) };
    for (stage, rank) in [("beta", 2), ("alpha", 1)] {
        if let Some((major, minor)) = rest.split_once(stage) {
            return (rank, major.parse().unwrap_or(0), minor.parse().unwrap_or(0));
        }
    }
    (3, rest.parse().unwrap_or(0), 0)
}

fn read_version(version: &Value, definition: &Value) -> Version {
    static KNOWN: Memo<Option<Arc<Rules>>> = Memo::new();
    let name = object::text(version, &["name"]);
    let schema = Schema::new(complete(&version["schema"]["openAPIV3Schema"], definition, name), builtin::definitions());
    let rules = KNOWN.recall("", schema.source(), || Rules::compile(schema.root()).map(Arc::new));
    let scale = object::at(version, &["subresources", "scale"]).map(|scale| {
        let path = |name: &str| -> Vec<String> {
            object::text(scale, &[name]).split('.').filter(|member| !member.is_empty()).map(str::to_owned).collect()
        };
        Scale {
            spec_replicas: path("specReplicasPath"),
            status_replicas: path("statusReplicasPath"),
            selector: Some(path("labelSelectorPath")).filter(|path| !path.is_empty()),
        }
    });
    let deprecated = version["deprecated"] == true;
    let warning = || {
        let told = object::text(version, &["deprecationWarning"]);
        if told.is_empty() {
            format!(
                "{}/{name} {} is deprecated",
                definition["spec"]["group"].as_str().unwrap_or_default(),
                definition["spec"]["names"]["kind"].as_str().unwrap_or_default()
            )
        } else {
            told.to_owned()
        }
    };
    Version {
        name: name.into(),
        schema,
        status: object::at(version, &["subresources", "status"]).map(|_| Status),
        scale,
        columns: columns(object::list(version, &["additionalPrinterColumns"])),
        selectable: object::list(version, &["selectableFields"])
            .iter()
            .map(|field| object::text(field, &["jsonPath"]).to_owned())
            .map(|path| (path.trim_start_matches('.').to_owned(), path))
            .collect(),
        rules,
        deprecation: deprecated.then(warning),
    }
}

/// The schema with what every object has: type, kind and metadata.
fn complete(schema: &Value, definition: &Value, version: &str) -> Value {
    let mut schema =
        if schema.is_object() { schema.clone() } else { json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}) };
    let gvk = json!([{"group": definition["spec"]["group"], "version": version, "kind": definition["spec"]["names"]["kind"]}]);
    object::set_member(&mut schema, "x-kubernetes-group-version-kind", Some(gvk));
    let properties = object::member_mut(&mut schema, "properties");
    let api_version = "APIVersion defines the versioned schema of this representation of an object.";
    let kind = "Kind is a string value representing the REST resource this object represents.";
    properties.insert("apiVersion".into(), json!({"type": "string", "description": api_version}));
    properties.insert("kind".into(), json!({"type": "string", "description": kind}));
    let about = "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";
    properties.insert("metadata".into(), json!({"$ref": format!("{DEFINITIONS}{OBJECT_META}"), "description": about}));
    schema
}

fn columns(told: &[Value]) -> Vec<Column> {
    if told.is_empty() {
        let description = "CreationTimestamp is a timestamp representing the server time when this object was created.";
        return vec![Column {
            name: "Age".into(),
            type_name: "date".into(),
            format: String::new(),
            description: description.into(),
            priority: 0,
            path: ".metadata.creationTimestamp".into(),
        }];
    }
    let read = |column: &Value| {
        let text = |name: &str| object::text(column, &[name]).to_owned();
        let type_name = text("type");
        let description = Some(text("description")).filter(|text| !text.is_empty());
        Column {
            name: text("name"),
            type_name,
            format: text("format"),
            description: description
                .unwrap_or_else(|| format!("Custom resource definition column (in JSONPath format): {}", text("jsonPath"))),
            priority: column["priority"].as_i64().unwrap_or(0),
            path: text("jsonPath"),
        }
    };
    told.iter().map(read).collect()
}

/// What is wrong with a definition.
pub(crate) fn errors(definition: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let spec = &definition["spec"];
    let id = defined(definition);
    let expected = format!("{}.{}", id.resource, id.group);
    if !is_subdomain(&id.resource) || id.resource.contains('.') {
        errors.push(FieldError::invalid("spec.names.plural", &id.resource.clone().into(), "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"));
    }
    if object::name(definition) != expected {
        errors.push(FieldError::invalid("metadata.name", &object::name(definition).into(), "must be spec.names.plural+\".\"+spec.group"));
    }
    if !id.group.contains('.') {
        errors.push(FieldError::invalid("spec.group", &id.group.clone().into(), "should be a domain with at least one dot"));
    }
    let scope = object::text(spec, &["scope"]);
    if !matches!(scope, "Cluster" | "Namespaced") {
        errors.push(FieldError::not_supported("spec.scope", &format!("{scope:?}"), &["Cluster", "Namespaced"]));
    }
    if let Some(old) = old {
        for (path, field) in [(["spec", "scope"], "spec.scope"), (["spec", "group"], "spec.group")] {
            if object::at(old, &path) != object::at(definition, &path) {
                errors.push(FieldError::invalid(field, object::at(definition, &path).unwrap_or(&Value::Null), "field is immutable"));
            }
        }
    }
    let versions = object::list(spec, &["versions"]);
    if versions.iter().filter(|version| version["storage"] == true).count() != 1 {
        errors.push(FieldError::invalid(
            "spec.versions",
            &Value::Array(Vec::new()),
            "must have exactly one version marked as storage version",
        ));
    }
    for (index, version) in versions.iter().enumerate() {
        version_errors(version, &format!("spec.versions[{index}]"), &mut errors);
    }
    errors
}

fn version_errors(version: &Value, field: &str, errors: &mut Vec<FieldError>) {
    let Some(schema) = object::at(version, &["schema", "openAPIV3Schema"]) else {
        errors.push(FieldError::required(format!("{field}.schema.openAPIV3Schema"), "schemas are required"));
        return;
    };
    let schema_field = format!("{field}.schema.openAPIV3Schema");
    errors.extend(structural::errors(schema, &schema_field));
    errors.extend(bounds::errors(schema, &schema_field));
    for (index, column) in object::list(version, &["additionalPrinterColumns"]).iter().enumerate() {
        let path = object::text(column, &["jsonPath"]);
        if object::text(column, &["name"]).is_empty() {
            errors.push(FieldError::required(format!("{field}.additionalPrinterColumns[{index}].name"), ""));
        }
        if !path.starts_with('.') || !is_path(path) {
            errors.push(FieldError::invalid(
                format!("{field}.additionalPrinterColumns[{index}].jsonPath"),
                &path.into(),
                "is an invalid path",
            ));
        }
        let kind = object::text(column, &["type"]);
        if !matches!(kind, "integer" | "number" | "string" | "boolean" | "date") {
            let supported = ["boolean", "date", "integer", "number", "string"];
            errors.push(FieldError::not_supported(
                format!("{field}.additionalPrinterColumns[{index}].type"),
                &format!("{kind:?}"),
                &supported,
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn general_versions_come_first() {
        let mut versions = vec!["v1alpha1", "v2", "v1", "v1beta2", "v1beta1", "foo"];
        versions.sort_by_key(|version| std::cmp::Reverse(priority(version)));
        assert_eq!(versions, ["v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "foo"]);
    }
}
