//! What a kind is to the API: its names, versions, schema, columns and subresources; it stores no objects.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::columns::Column;
use super::rules::Rules;
use super::schema::Schema;

/// A resource's name and group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupResource {
    /// The API group; empty for the core group.
    pub group: String,
    /// The plural, as it stands in paths.
    pub resource: String,
}

impl GroupResource {
    pub(crate) fn new(group: &str, resource: &str) -> Self {
        Self { group: group.into(), resource: resource.into() }
    }
}

impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() { f.write_str(&self.resource) } else { write!(f, "{}.{}", self.resource, self.group) }
    }
}

/// Where objects of a kind live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Namespaced,
    Cluster,
}

/// Who defines a kind: the rules for its objects differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    BuiltIn,
    Custom,
}

/// A question that is answered and not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storage {
    Stored,
    AnsweredOnly,
}

/// One version of a kind.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) name: String,
    pub(crate) schema: Schema,
    /// Has it a `/status`?
    pub(crate) status: Option<Status>,
    /// Has it a `/scale`?
    pub(crate) scale: Option<Scale>,
    pub(crate) columns: Vec<Column>,
    /// The fields that field selectors may name, as `(selector, JSON path)`.
    pub(crate) selectable: Vec<(String, String)>,
    pub(crate) rules: Option<Arc<Rules>>,
    pub(crate) deprecation: Option<String>,
}

/// The mark of a status subresource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status;

/// Where a scale subresource finds its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scale {
    pub(crate) spec_replicas: Vec<String>,
    pub(crate) status_replicas: Vec<String>,
    pub(crate) selector: Option<Vec<String>>,
}

/// One kind.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "the names are those of a definition's names")]
pub(crate) struct Kind {
    pub(crate) id: GroupResource,
    /// Where the objects are kept: another kind's place if two groups show the same objects.
    pub(crate) stored_as: GroupResource,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) singular: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) scope: Scope,
    pub(crate) origin: Origin,
    pub(crate) storage: Storage,
    /// The served versions, the preferred one first.
    pub(crate) versions: Vec<Arc<Version>>,
    /// The version whose schema decides what is stored.
    pub(crate) storage_version: String,
}

impl Kind {
    pub(crate) fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    pub(crate) fn is_custom(&self) -> bool {
        self.origin == Origin::Custom
    }

    pub(crate) fn version(&self, name: &str) -> Option<&Arc<Version>> {
        self.versions.iter().find(|version| version.name == name)
    }

    pub(crate) fn api_version(&self, version: &str) -> String {
        if self.id.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.id.group) }
    }

    /// The verbs of the resource itself.
    pub(crate) fn verbs(&self) -> &'static [&'static str] {
        match self.storage {
            Storage::AnsweredOnly => &["create"],
            Storage::Stored if self.id == GroupResource::new("", "namespaces") => {
                &["create", "delete", "get", "list", "patch", "update", "watch"]
            }
            Storage::Stored => &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        }
    }
}

/// A kind and the version that a request named.
#[derive(Debug, Clone)]
pub(crate) struct Versioned {
    pub(crate) kind: Arc<Kind>,
    pub(crate) version: Arc<Version>,
}

impl Versioned {
    pub(crate) fn api_version(&self) -> String {
        self.kind.api_version(&self.version.name)
    }

    /// `Secret`, or `GenesysOAuthClient` with its group, as validation names it.
    pub(crate) fn group(&self) -> &str {
        &self.kind.id.group
    }
}

/// All kinds that are served.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registry {
    kinds: BTreeMap<GroupResource, Arc<Kind>>,
}

impl Registry {
    pub(crate) fn insert(&mut self, kind: Kind) {
        self.kinds.insert(kind.id.clone(), Arc::new(kind));
    }

    pub(crate) fn remove(&mut self, id: &GroupResource) {
        self.kinds.remove(id);
    }

    pub(crate) fn get(&self, id: &GroupResource) -> Option<&Arc<Kind>> {
        self.kinds.get(id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.kinds.values()
    }

    pub(crate) fn find(&self, group: &str, version: &str, resource: &str) -> Option<Versioned> {
        let kind = self.kinds.get(&GroupResource::new(group, resource))?;
        let version = kind.version(version)?;
        Some(Versioned { kind: Arc::clone(kind), version: Arc::clone(version) })
    }

    /// The kind that a manifest names.
    pub(crate) fn by_kind(&self, api_version: &str, kind: &str) -> Option<Versioned> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let found = self.kinds.values().find(|one| one.id.group == group && one.kind == kind)?;
        let version = found.version(version)?;
        Some(Versioned { kind: Arc::clone(found), version: Arc::clone(version) })
    }

    /// Every group and its versions, the preferred version first; the core group's name is empty.
    pub(crate) fn groups(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for kind in self.kinds.values() {
            let versions = groups.entry(&kind.id.group).or_default();
            for version in &kind.versions {
                if !versions.contains(&version.name.as_str()) {
                    versions.push(&version.name);
                }
            }
        }
        groups
    }
}
