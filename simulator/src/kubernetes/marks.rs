//! How fields of built-in kinds merge, which their generated schemas leave out; a table and nothing else.

use serde_json::{Map, Value, json};

/// How a list or a struct merges.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mark {
    /// A list of objects with these keys; a strategic merge patch uses the first.
    Map(&'static [&'static str]),
    /// The same, and a strategic merge patch clears what it does not name.
    MapRetainingKeys(&'static [&'static str]),
    /// A list of scalars that occur once.
    Set,
    /// A struct of which a strategic merge patch keeps only what it names.
    RetainKeys,
}

impl Mark {
    pub(crate) fn write(self, schema: &mut Map<String, Value>) {
        let mut put = |name: &str, value: Value| {
            schema.insert(name.to_owned(), value);
        };
        match self {
            Self::Map(keys) | Self::MapRetainingKeys(keys) => {
                put("x-kubernetes-list-type", "map".into());
                put("x-kubernetes-list-map-keys", json!(keys));
                put("x-kubernetes-patch-merge-key", json!(keys.first()));
                let strategy = if matches!(self, Self::Map(_)) { "merge" } else { "merge,retainKeys" };
                put("x-kubernetes-patch-strategy", strategy.into());
            }
            Self::Set => {
                put("x-kubernetes-list-type", "set".into());
                put("x-kubernetes-patch-strategy", "merge".into());
            }
            Self::RetainKeys => put("x-kubernetes-patch-strategy", "retainKeys".into()),
        }
    }
}

/// Properties of definitions that are no plain values.
#[rustfmt::skip]
pub(crate) const PROPERTIES: &[(&str, &str, Mark)] = &[
    ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "finalizers", Mark::Set),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "ownerReferences", Mark::Map(&["uid"])),
    ("io.k8s.api.core.v1.Container", "env", Mark::Map(&["name"])),
    ("io.k8s.api.core.v1.Container", "ports", Mark::Map(&["containerPort", "protocol"])),
    ("io.k8s.api.core.v1.Container", "volumeDevices", Mark::Map(&["devicePath"])),
    ("io.k8s.api.core.v1.Container", "volumeMounts", Mark::Map(&["mountPath"])),
    ("io.k8s.api.core.v1.EphemeralContainer", "env", Mark::Map(&["name"])),
    ("io.k8s.api.core.v1.EphemeralContainer", "ports", Mark::Map(&["containerPort", "protocol"])),
    ("io.k8s.api.core.v1.EphemeralContainer", "volumeDevices", Mark::Map(&["devicePath"])),
    ("io.k8s.api.core.v1.EphemeralContainer", "volumeMounts", Mark::Map(&["mountPath"])),
    ("io.k8s.api.core.v1.PodSpec", "containers", Mark::Map(&["name"])),
    ("io.k8s.api.core.v1.PodSpec", "initContainers", Mark::Map(&["name"])),
    ("io.k8s.api.core.v1.PodSpec", "ephemeralContainers", Mark::Map(&["name"])),
    ("io.k8s.api.core.v1.PodSpec", "volumes", Mark::MapRetainingKeys(&["name"])),
    ("io.k8s.api.core.v1.PodSpec", "resourceClaims", Mark::MapRetainingKeys(&["name"])),
    ("io.k8s.api.core.v1.PodSpec", "schedulingGates", Mark::Map(&["name"])),
    ("io.k8s.api.core.v1.PodSpec", "hostAliases", Mark::Map(&["ip"])),
    ("io.k8s.api.core.v1.PodSpec", "imagePullSecrets", Mark::Map(&["name"])),
    ("io.k8s.api.core.v1.PodSpec", "topologySpreadConstraints", Mark::Map(&["topologyKey", "whenUnsatisfiable"])),
    ("io.k8s.api.core.v1.PodStatus", "conditions", Mark::Map(&["type"])),
    ("io.k8s.api.core.v1.PodStatus", "podIPs", Mark::Map(&["ip"])),
    ("io.k8s.api.core.v1.ResourceRequirements", "claims", Mark::Map(&["name"])),
    ("io.k8s.api.core.v1.NamespaceStatus", "conditions", Mark::Map(&["type"])),
    ("io.k8s.api.core.v1.ServiceAccount", "secrets", Mark::Map(&["name"])),
    ("io.k8s.api.core.v1.ServiceSpec", "ports", Mark::Map(&["port", "protocol"])),
    ("io.k8s.api.core.v1.ServiceStatus", "conditions", Mark::Map(&["type"])),
    ("io.k8s.api.policy.v1.PodDisruptionBudgetStatus", "conditions", Mark::Map(&["type"])),
    ("io.k8s.api.apps.v1.DeploymentSpec", "strategy", Mark::RetainKeys),
    ("io.k8s.api.apps.v1.DeploymentStatus", "conditions", Mark::Map(&["type"])),
    ("io.k8s.api.apps.v1.DaemonSetStatus", "conditions", Mark::Map(&["type"])),
    ("io.k8s.api.apps.v1.ReplicaSetStatus", "conditions", Mark::Map(&["type"])),
    ("io.k8s.api.apps.v1.StatefulSetStatus", "conditions", Mark::Map(&["type"])),
    ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionStatus", "conditions", Mark::Map(&["type"])),
];

/// Definitions whose objects are one value to field ownership.
pub(crate) const ATOMIC: &[&str] = &[
    "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector",
    "io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference",
    "io.k8s.api.core.v1.LocalObjectReference",
    "io.k8s.api.core.v1.ObjectReference",
    "io.k8s.api.core.v1.ConfigMapKeySelector",
    "io.k8s.api.core.v1.SecretKeySelector",
    "io.k8s.api.core.v1.ObjectFieldSelector",
    "io.k8s.api.core.v1.ResourceFieldSelector",
    "io.k8s.api.core.v1.SecretReference",
    "io.k8s.api.core.v1.TypedLocalObjectReference",
    "io.k8s.api.core.v1.NodeSelector",
    "io.k8s.api.core.v1.NodeSelectorTerm",
    "io.k8s.api.rbac.v1.RoleRef",
    "io.k8s.api.rbac.v1.Subject",
];

/// Definitions whose values may be anything.
pub(crate) const ANYTHING: &[&str] = &[
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
    "io.k8s.apimachinery.pkg.runtime.RawExtension",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray",
];
