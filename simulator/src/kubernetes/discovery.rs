//! Which groups, versions and resources there are, in the three forms that clients ask for; it serves no objects.

use serde_json::{Value, json};

use super::resource::{Kind, Registry, Storage, Version};
use super::token;

/// The media type of aggregated discovery.
pub(crate) const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// The core group's versions.
pub(crate) fn api_versions(address: &str) -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]})
}

/// All named groups.
pub(crate) fn groups(kinds: &Registry) -> Value {
    let groups: Vec<Value> =
        kinds.groups().into_iter().filter(|(group, _)| !group.is_empty()).map(|(group, versions)| group_of(group, &versions)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

fn group_of(group: &str, versions: &[&str]) -> Value {
    let told: Vec<Value> =
        versions.iter().map(|version| json!({"groupVersion": format!("{group}/{version}"), "version": version})).collect();
    json!({"name": group, "versions": told, "preferredVersion": told.first()})
}

/// One named group.
pub(crate) fn group(kinds: &Registry, group: &str) -> Option<Value> {
    let versions = kinds.groups().remove(group)?;
    let mut told = group_of(group, &versions);
    told["kind"] = "APIGroup".into();
    told["apiVersion"] = "v1".into();
    Some(told)
}

fn of_version<'a>(kinds: &'a Registry, group: &'a str, version: &'a str) -> impl Iterator<Item = (&'a Kind, &'a Version)> {
    kinds.iter().filter(move |kind| kind.id.group == group).filter_map(move |kind| Some((&**kind, &**kind.version(version)?)))
}

/// The subresources of a version of a kind: name, group, version and kind of its body, and verbs.
fn subresources(kind: &Kind, version: &Version) -> Vec<(&'static str, Value, Vec<&'static str>)> {
    let own = json!({"group": kind.id.group, "version": version.name, "kind": kind.kind});
    let mut all = Vec::new();
    if kind.id.resource == "namespaces" && kind.id.group.is_empty() {
        all.push(("finalize", own.clone(), vec!["update"]));
    }
    if token::has_tokens(&kind.id) {
        all.push((token::SUBRESOURCE, json!({"group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest"}), vec!["create"]));
    }
    if version.scale.is_some() {
        all.push(("scale", json!({"group": "autoscaling", "version": "v1", "kind": "Scale"}), vec!["get", "patch", "update"]));
    }
    if version.status.is_some() {
        all.push(("status", own, vec!["get", "patch", "update"]));
    }
    all
}

/// The resources of one version of a group.
pub(crate) fn resources(kinds: &Registry, group: &str, version: &str) -> Option<Value> {
    let mut told = Vec::new();
    for (kind, version) in of_version(kinds, group, version) {
        let mut resource = json!({"name": kind.id.resource, "singularName": kind.singular, "namespaced": kind.is_namespaced(), "kind": kind.kind, "verbs": kind.verbs()});
        if !kind.short_names.is_empty() {
            resource["shortNames"] = json!(kind.short_names);
        }
        if !kind.categories.is_empty() {
            resource["categories"] = json!(kind.categories);
        }
        if kind.storage == Storage::Stored {
            resource["storageVersionHash"] = storage_hash(kind).into();
        }
        told.push(resource);
        for (name, body, verbs) in subresources(kind, version) {
            let mut one = json!({"name": format!("{}/{name}", kind.id.resource), "singularName": "", "namespaced": kind.is_namespaced(), "kind": body["kind"], "verbs": verbs});
            if body["group"] != kind.id.group.as_str() {
                one["group"] = body["group"].clone();
                one["version"] = body["version"].clone();
            }
            told.push(one);
        }
    }
    if told.is_empty() {
        return None;
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": told}))
}

/// Tells clients whether two servers store a kind alike.
fn storage_hash(kind: &Kind) -> String {
    use base64::Engine as _;
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(format!("{}/{}/{}", kind.id.group, kind.storage_version, kind.kind));
    base64::engine::general_purpose::STANDARD.encode(&digest[..8])
}

/// Which part of the API aggregated discovery tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Core,
    Named,
}

/// Everything at once.
pub(crate) fn aggregated(kinds: &Registry, part: Part) -> Value {
    let wanted = |group: &&str| group.is_empty() == (part == Part::Core);
    let items: Vec<Value> = kinds
        .groups()
        .into_iter()
        .filter(|(group, _)| wanted(group))
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(
                    |version| json!({"version": version, "freshness": "Current", "resources": aggregated_resources(kinds, group, version)}),
                )
                .collect();
            let metadata =
                if group.is_empty() { json!({"creationTimestamp": null}) } else { json!({"name": group, "creationTimestamp": null}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

fn aggregated_resources(kinds: &Registry, group: &str, version: &str) -> Vec<Value> {
    of_version(kinds, group, version)
        .map(|(kind, version)| {
            let mut told = json!({
                "resource": kind.id.resource,
                "responseKind": {"group": kind.id.group, "version": version.name, "kind": kind.kind},
                "scope": if kind.is_namespaced() { "Namespaced" } else { "Cluster" },
                "singularResource": kind.singular,
                "verbs": kind.verbs(),
            });
            if !kind.short_names.is_empty() {
                told["shortNames"] = json!(kind.short_names);
            }
            if !kind.categories.is_empty() {
                told["categories"] = json!(kind.categories);
            }
            let below: Vec<Value> = subresources(kind, version)
                .into_iter()
                .map(|(name, body, verbs)| json!({"subresource": name, "responseKind": body, "verbs": verbs}))
                .collect();
            if !below.is_empty() {
                told["subresources"] = below.into();
            }
            told
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::builtin;
    use super::*;

    #[test]
    fn subresources_are_told_beside_their_resource() {
        let kinds = builtin::registry();
        let told = resources(&kinds, "apps", "v1").expect("it is there");
        let names: Vec<&str> =
            told["resources"].as_array().into_iter().flatten().filter_map(|resource| resource["name"].as_str()).collect();
        assert!(names.contains(&"deployments/status") && names.contains(&"deployments/scale"), "{names:?}");
        assert!(resources(&kinds, "apps", "v2").is_none());
    }
}
