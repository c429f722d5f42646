//! What one check stands on: the server, a namespace of its own and the shared kinds; it must not be shared by two checks.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::{Value, json};

use crate::fixtures::{definition, install};
use crate::kubectl::Kubectl;
use crate::server::Server;

/// One check's ground.
#[derive(Clone)]
pub struct Ground {
    /// The server under test, as the kubeconfig's user.
    pub server: Server,
    /// The check's own namespace, which exists.
    pub namespace: String,
    /// The group of the shared kinds.
    pub group: String,
    /// The real kubectl, in the check's namespace.
    pub kubectl: Kubectl,
    /// A folder for the check's files.
    pub folder: PathBuf,
}

impl Ground {
    /// The collection of a shared namespaced kind.
    #[must_use]
    pub fn all(&self, plural: &str) -> String {
        format!("/apis/{}/v1/namespaces/{}/{plural}", self.group, self.namespace)
    }

    /// The widget of this name.
    #[must_use]
    pub fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.all("widgets"))
    }

    /// The widget's status subresource.
    #[must_use]
    pub fn status_at(&self, name: &str) -> String {
        format!("{}/status", self.at(name))
    }

    /// A collection of core/v1 in the check's namespace.
    #[must_use]
    pub fn core(&self, plural: &str) -> String {
        format!("/api/v1/namespaces/{}/{plural}", self.namespace)
    }

    /// A collection of another built-in group in the check's namespace.
    #[must_use]
    pub fn built_in(&self, group_version: &str, plural: &str) -> String {
        format!("/apis/{group_version}/namespaces/{}/{plural}", self.namespace)
    }

    /// An object of a shared kind.
    #[must_use]
    pub fn object(&self, kind: &str, name: &str, spec: &Value) -> Value {
        json!({"apiVersion": format!("{}/v1", self.group), "kind": kind, "metadata": {"name": name}, "spec": spec})
    }

    /// A widget.
    #[must_use]
    pub fn widget(&self, name: &str, spec: &Value) -> Value {
        self.object("Widget", name, spec)
    }

    /// A widget with these labels.
    #[must_use]
    pub fn labelled(&self, name: &str, labels: &Value) -> Value {
        let mut widget = self.widget(name, &json!({"size": 1}));
        widget["metadata"]["labels"] = labels.clone();
        widget
    }

    /// Creates a widget and returns it as the server stored it.
    pub async fn make(&self, name: &str, spec: &Value) -> Result<crate::answer::Answer> {
        self.server.post(&self.all("widgets"), &self.widget(name, spec)).await?.status(201)
    }

    /// Creates a widget with these labels.
    pub async fn make_labelled(&self, name: &str, labels: &Value) -> Result<crate::answer::Answer> {
        self.server.post(&self.all("widgets"), &self.labelled(name, labels)).await?.status(201)
    }

    /// The widget as it is stored.
    pub async fn stored(&self, name: &str) -> Result<crate::answer::Answer> {
        self.server.get(&self.at(name)).await?.ok()
    }

    /// Fails unless there is no widget of this name.
    pub async fn absent(&self, name: &str) -> Result<()> {
        self.server.get(&self.at(name)).await?.refused(404, "NotFound").map(|_| ())
    }

    /// Applies `spec` to the widget `name` as `manager`.
    pub async fn apply(&self, manager: &str, name: &str, spec: &Value) -> Result<crate::answer::Answer> {
        self.server.apply(&self.at(name), manager, &self.widget(name, spec)).await
    }

    /// The group that this check may define kinds in.
    #[must_use]
    pub fn own_group(&self) -> String {
        format!("{}.{}", self.namespace, self.group)
    }

    /// Defines a kind in the check's own group, waits until it is served, and returns its collection.
    pub async fn define(&self, plural: &str, kind: &str, version: &Value) -> Result<String> {
        let group = self.own_group();
        install(&self.server, &definition(&group, plural, kind, "Namespaced", version)).await?;
        Ok(format!("/apis/{group}/v1/namespaces/{}/{plural}", self.namespace))
    }
}

/// The manager names that hold a field of an object, by its managed fields: `path` such as `["f:spec", "f:size"]`.
#[must_use]
pub fn managers(object: &Value, path: &[&str]) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let holds = |entry: &Value| path.iter().try_fold(&entry["fieldsV1"], |at, word| at.get(word)).is_some();
    let mut names: Vec<String> =
        entries.iter().filter(|entry| holds(entry)).map(|entry| entry["manager"].as_str().unwrap_or_default().to_owned()).collect();
    names.sort();
    names
}
