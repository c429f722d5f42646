//! The kinds that every server has: names, schemas, selectable fields; their defaults and checks stand in `admission`.

use std::sync::{Arc, LazyLock};

use k8s_openapi::api::{apps::v1 as apps, authorization::v1 as authorization, coordination::v1 as coordination, core::v1 as core};
use k8s_openapi::api::{events::v1 as events, networking::v1 as networking, policy::v1 as policy, rbac::v1 as rbac};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions;
use k8s_openapi::schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::resource::{GroupResource, Kind, Origin, Registry, Scale, Scope, Status, Storage, Version};
use super::schema::{DEFINITIONS, Schema};

/// The name of the schema of all metadata.
pub(crate) const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// What a kind has besides its names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parts {
    Plain,
    WithStatus,
    WithStatusAndScale,
    AnsweredOnly,
}

struct Row {
    group: &'static str,
    resource: &'static str,
    kind: &'static str,
    short_names: &'static [&'static str],
    categories: &'static [&'static str],
    scope: Scope,
    parts: Parts,
    definition: &'static str,
    selectable: &'static [(&'static str, &'static str)],
}

const POD_FIELDS: &[(&str, &str)] = &[
    ("spec.nodeName", ".spec.nodeName"),
    ("spec.restartPolicy", ".spec.restartPolicy"),
    ("spec.schedulerName", ".spec.schedulerName"),
    ("spec.serviceAccountName", ".spec.serviceAccountName"),
    ("status.phase", ".status.phase"),
    ("status.podIP", ".status.podIP"),
];
const CORE_EVENT_FIELDS: &[(&str, &str)] = &[
    ("involvedObject.kind", ".involvedObject.kind"),
    ("involvedObject.namespace", ".involvedObject.namespace"),
    ("involvedObject.name", ".involvedObject.name"),
    ("involvedObject.uid", ".involvedObject.uid"),
    ("involvedObject.apiVersion", ".involvedObject.apiVersion"),
    ("involvedObject.resourceVersion", ".involvedObject.resourceVersion"),
    ("involvedObject.fieldPath", ".involvedObject.fieldPath"),
    ("reason", ".reason"),
    ("reportingComponent", ".reportingComponent"),
    ("source", ".source.component"),
    ("type", ".type"),
];
const EVENT_FIELDS: &[(&str, &str)] = &[
    ("regarding.kind", ".involvedObject.kind"),
    ("regarding.namespace", ".involvedObject.namespace"),
    ("regarding.name", ".involvedObject.name"),
    ("regarding.uid", ".involvedObject.uid"),
    ("regarding.apiVersion", ".involvedObject.apiVersion"),
    ("regarding.resourceVersion", ".involvedObject.resourceVersion"),
    ("regarding.fieldPath", ".involvedObject.fieldPath"),
    ("reason", ".reason"),
    ("reportingController", ".reportingComponent"),
    ("type", ".type"),
];

#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("", "namespaces", "Namespace", &["ns"], &[], Scope::Cluster, Parts::WithStatus, "io.k8s.api.core.v1.Namespace", &[("status.phase", ".status.phase")]),
    row("", "secrets", "Secret", &[], &[], Scope::Namespaced, Parts::Plain, "io.k8s.api.core.v1.Secret", &[("type", ".type")]),
    row("", "configmaps", "ConfigMap", &["cm"], &[], Scope::Namespaced, Parts::Plain, "io.k8s.api.core.v1.ConfigMap", &[]),
    row("", "serviceaccounts", "ServiceAccount", &["sa"], &[], Scope::Namespaced, Parts::Plain, "io.k8s.api.core.v1.ServiceAccount", &[]),
    row("", "events", "Event", &["ev"], &[], Scope::Namespaced, Parts::Plain, "io.k8s.api.core.v1.Event", CORE_EVENT_FIELDS),
    row("", "pods", "Pod", &["po"], &["all"], Scope::Namespaced, Parts::WithStatus, "io.k8s.api.core.v1.Pod", POD_FIELDS),
    row("", "services", "Service", &["svc"], &["all"], Scope::Namespaced, Parts::WithStatus, "io.k8s.api.core.v1.Service", &[]),
    row("events.k8s.io", "events", "Event", &["ev"], &[], Scope::Namespaced, Parts::Plain, "io.k8s.api.events.v1.Event", EVENT_FIELDS),
    row("apps", "deployments", "Deployment", &["deploy"], &["all"], Scope::Namespaced, Parts::WithStatusAndScale, "io.k8s.api.apps.v1.Deployment", &[]),
    row("apps", "statefulsets", "StatefulSet", &["sts"], &["all"], Scope::Namespaced, Parts::WithStatusAndScale, "io.k8s.api.apps.v1.StatefulSet", &[]),
    row("apps", "daemonsets", "DaemonSet", &["ds"], &["all"], Scope::Namespaced, Parts::WithStatus, "io.k8s.api.apps.v1.DaemonSet", &[]),
    row("apps", "replicasets", "ReplicaSet", &["rs"], &["all"], Scope::Namespaced, Parts::WithStatusAndScale, "io.k8s.api.apps.v1.ReplicaSet", &[("status.replicas", ".status.replicas")]),
    row("coordination.k8s.io", "leases", "Lease", &[], &[], Scope::Namespaced, Parts::Plain, "io.k8s.api.coordination.v1.Lease", &[]),
    row("networking.k8s.io", "networkpolicies", "NetworkPolicy", &["netpol"], &[], Scope::Namespaced, Parts::Plain, "io.k8s.api.networking.v1.NetworkPolicy", &[]),
    row("policy", "poddisruptionbudgets", "PodDisruptionBudget", &["pdb"], &[], Scope::Namespaced, Parts::WithStatus, "io.k8s.api.policy.v1.PodDisruptionBudget", &[]),
    row("rbac.authorization.k8s.io", "roles", "Role", &[], &[], Scope::Namespaced, Parts::Plain, "io.k8s.api.rbac.v1.Role", &[]),
    row("rbac.authorization.k8s.io", "rolebindings", "RoleBinding", &[], &[], Scope::Namespaced, Parts::Plain, "io.k8s.api.rbac.v1.RoleBinding", &[]),
    row("rbac.authorization.k8s.io", "clusterroles", "ClusterRole", &[], &[], Scope::Cluster, Parts::Plain, "io.k8s.api.rbac.v1.ClusterRole", &[]),
    row("rbac.authorization.k8s.io", "clusterrolebindings", "ClusterRoleBinding", &[], &[], Scope::Cluster, Parts::Plain, "io.k8s.api.rbac.v1.ClusterRoleBinding", &[]),
    row("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview", &[], &[], Scope::Cluster, Parts::AnsweredOnly, "io.k8s.api.authorization.v1.SelfSubjectAccessReview", &[]),
    row("authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview", &[], &[], Scope::Cluster, Parts::AnsweredOnly, "io.k8s.api.authorization.v1.SelfSubjectRulesReview", &[]),
    row("authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview", &[], &[], Scope::Cluster, Parts::AnsweredOnly, "io.k8s.api.authorization.v1.SubjectAccessReview", &[]),
    row("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition", &["crd", "crds"], &["api-extensions"], Scope::Cluster, Parts::WithStatus,
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition", &[]),
];

#[expect(clippy::too_many_arguments, reason = "one argument for each column of the table above")]
const fn row(
    group: &'static str,
    resource: &'static str,
    kind: &'static str,
    short_names: &'static [&'static str],
    categories: &'static [&'static str],
    scope: Scope,
    parts: Parts,
    definition: &'static str,
    selectable: &'static [(&'static str, &'static str)],
) -> Row {
    Row { group, resource, kind, short_names, categories, scope, parts, definition, selectable }
}

/// The kinds of a server without any custom one.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::default();
    for row in ROWS {
        registry.insert(kind(row));
    }
    registry
}

fn kind(row: &Row) -> Kind {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let scale = (row.parts == Parts::WithStatusAndScale).then(|| Scale {
        spec_replicas: vec!["spec".into(), "replicas".into()],
        status_replicas: vec!["status".into(), "replicas".into()],
        selector: None,
    });
    let version = Version {
        name: "v1".into(),
        schema: Schema::new(json!({"$ref": format!("{DEFINITIONS}{}", row.definition)}), definitions()),
        status: matches!(row.parts, Parts::WithStatus | Parts::WithStatusAndScale).then_some(Status),
        scale,
        columns: Vec::new(),
        selectable: row.selectable.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect(),
        rules: None,
        deprecation: None,
    };
    let id = GroupResource::new(row.group, row.resource);
    Kind {
        // Both groups of events show the same objects.
        stored_as: if row.resource == "events" { GroupResource::new("", "events") } else { id.clone() },
        id,
        kind: row.kind.into(),
        list_kind: format!("{}List", row.kind),
        singular: row.kind.to_lowercase(),
        short_names: texts(row.short_names),
        categories: texts(row.categories),
        scope: row.scope,
        origin: Origin::BuiltIn,
        storage: if row.parts == Parts::AnsweredOnly { Storage::AnsweredOnly } else { Storage::Stored },
        versions: vec![Arc::new(version)],
        storage_version: "v1".into(),
    }
}

/// The named schemas of all built-in kinds.
pub(crate) fn definitions() -> Arc<Map<String, Value>> {
    static DEFINITIONS_OF_KINDS: LazyLock<Arc<Map<String, Value>>> = LazyLock::new(|| Arc::new(generate()));
    Arc::clone(&DEFINITIONS_OF_KINDS)
}

fn generate() -> Map<String, Value> {
    let mut generator = SchemaSettings::openapi3().into_generator();
    macro_rules! kinds {
        ($($kind:ty),* $(,)?) => { $( let _ = generator.subschema_for::<$kind>(); )* };
    }
    kinds![
        core::Namespace,
        core::Secret,
        core::ConfigMap,
        core::ServiceAccount,
        core::Event,
        core::Pod,
        core::Service,
        events::Event,
        apps::Deployment,
        apps::StatefulSet,
        apps::DaemonSet,
        apps::ReplicaSet,
        coordination::Lease,
        networking::NetworkPolicy,
        policy::PodDisruptionBudget,
        rbac::Role,
        rbac::RoleBinding,
        rbac::ClusterRole,
        rbac::ClusterRoleBinding,
        authorization::SelfSubjectAccessReview,
        authorization::SelfSubjectRulesReview,
        authorization::SubjectAccessReview,
        apiextensions::CustomResourceDefinition,
    ];
    let mut definitions = generator.take_definitions(true);
    for row in ROWS {
        if let Some(Value::Object(definition)) = definitions.get_mut(row.definition) {
            let named = json!([{"group": row.group, "version": "v1", "kind": row.kind}]);
            definition.insert("x-kubernetes-group-version-kind".into(), named);
        }
    }
    for (definition, property, mark) in super::marks::PROPERTIES {
        if let Some(Value::Object(schema)) =
            definitions.get_mut(*definition).and_then(|definition| definition.pointer_mut(&format!("/properties/{property}")))
        {
            mark.write(schema);
        }
    }
    for definition in super::marks::ANYTHING {
        if let Some(Value::Object(schema)) = definitions.get_mut(*definition) {
            schema.retain(|name, _| name == "description");
            schema.insert("x-kubernetes-preserve-unknown-fields".into(), true.into());
        }
    }
    for definition in super::marks::ATOMIC {
        if let Some(Value::Object(schema)) = definitions.get_mut(*definition) {
            schema.insert("x-kubernetes-map-type".into(), "atomic".into());
        }
    }
    definitions
}

/// What an object of a built-in kind has before anything is written to it: members that a Go struct always has.
pub(crate) fn skeleton(id: &GroupResource) -> Value {
    match (id.group.as_str(), id.resource.as_str()) {
        ("apps", "deployments" | "daemonsets") => {
            let pod = json!({"metadata": {}, "spec": {"containers": null}});
            json!({"metadata": {}, "spec": {"selector": null, "template": pod, "strategy": {}, "updateStrategy": {}}, "status": {}})
        }
        ("apps", "statefulsets") => {
            let pod = json!({"metadata": {}, "spec": {"containers": null}});
            json!({"metadata": {}, "spec": {"selector": null, "template": pod, "updateStrategy": {}, "serviceName": ""}, "status": {}})
        }
        ("apps", "replicasets") => {
            json!({"metadata": {}, "spec": {"selector": null, "template": {"metadata": {}, "spec": {"containers": null}}}, "status": {}})
        }
        ("", "pods") => json!({"metadata": {}, "spec": {"containers": null}, "status": {}}),
        ("", "namespaces") => json!({"metadata": {}, "spec": {}, "status": {}}),
        ("", "services") => json!({"metadata": {}, "spec": {}, "status": {"loadBalancer": {}}}),
        ("", "events") => json!({"metadata": {}, "involvedObject": {}, "source": {}}),
        ("events.k8s.io", "events") => json!({"metadata": {}, "regarding": {}, "deprecatedSource": {}}),
        ("coordination.k8s.io", "leases") => json!({"metadata": {}, "spec": {}}),
        ("apiextensions.k8s.io", _) => json!({"metadata": {}, "spec": {"names": {}}, "status": {"acceptedNames": {}}}),
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => json!({"metadata": {}, "roleRef": {}}),
        _ => json!({"metadata": {}}),
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema::ListType;
    use super::*;

    #[test]
    fn built_in_schemas_tell_how_lists_merge() {
        let registry = registry();
        let deployment = registry.find("apps", "v1", "deployments").expect("it is there");
        let pod = deployment
            .version
            .schema
            .root()
            .property("spec")
            .and_then(|spec| spec.property("template"))
            .and_then(|template| template.property("spec"));
        let containers = pod.and_then(|pod| pod.property("containers")).expect("containers");
        assert_eq!(containers.list_type(), ListType::Map(vec!["name"]));
        assert!(containers.items().and_then(|items| items.property("image")).is_some());
    }

    #[test]
    fn every_kind_has_its_schema() {
        for kind in registry().iter() {
            assert!(kind.versions[0].schema.root().property("metadata").is_some(), "{}", kind.id);
        }
    }
}
