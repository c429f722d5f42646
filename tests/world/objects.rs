//! The objects that worlds are furnished with, as JSON; what users should copy is in `examples/`, not here.

use genesys_cloud_simulator::OPERATOR_CLIENT_ID;
use genesys_oauth_operator::api;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};

/// The namespace of the operator.
pub const HOME: &str = "genesys-oauth-operator";
/// The namespace of the clients, unless a test names another.
pub const TEAM: &str = "team-a";
/// The organization, and the Secret with the operator's own credential.
pub const ORGANIZATION: &str = "acme";

/// Namespace and name of an object; a name alone is one of [`TEAM`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The name.
    pub name: &'a str,
}

impl<'a> From<&'a str> for Name<'a> {
    fn from(name: &'a str) -> Self {
        Self { namespace: TEAM, name }
    }
}

impl<'a> From<&'a String> for Name<'a> {
    fn from(name: &'a String) -> Self {
        name.as_str().into()
    }
}

impl<'a> From<(&'a str, &'a str)> for Name<'a> {
    fn from((namespace, name): (&'a str, &'a str)) -> Self {
        Self { namespace, name }
    }
}

fn ours(kind: &str, metadata: &Value, spec: &Value) -> Value {
    json!({ "apiVersion": format!("{}/v1alpha1", api::GROUP), "kind": kind, "metadata": metadata, "spec": spec })
}

/// A namespace.
pub fn namespace(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": { "team": "worlds" } } })
}

/// The Secret with the operator's own credential.
pub fn credential(secret: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": ORGANIZATION, "namespace": HOME },
        "stringData": { "clientId": OPERATOR_CLIENT_ID, "clientSecret": secret },
    })
}

/// An organization that allows everything.
pub fn organization() -> Value {
    let access =
        json!([{ "name": "all", "namespaceSelector": {}, "grantTypes": ["*"], "roles": ["*"], "divisions": ["*"], "scopes": ["*"] }]);
    let spec =
        json!({ "region": "simulated", "credentialsSecretRef": { "name": ORGANIZATION }, "requestsPerMinute": 300, "access": access });
    ours("GenesysOrganization", &json!({ "name": ORGANIZATION }), &spec)
}

/// A rotation policy of [`TEAM`].
pub fn policy(name: &str, spec: &Value) -> Value {
    ours("GenesysRotationPolicy", &json!({ "name": name, "namespace": TEAM }), spec)
}

/// A workload of [`TEAM`] with two pods.
pub fn workload(kind: &str, name: &str) -> Value {
    let labels = json!({ "app": name });
    let template = json!({ "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "main", "image": "example.com/main" }] } });
    let mut spec = json!({ "selector": { "matchLabels": labels }, "template": template });
    if kind != "DaemonSet" {
        spec["replicas"] = json!(2);
    }
    if kind == "StatefulSet" {
        spec["serviceName"] = json!(name);
    }
    json!({ "apiVersion": "apps/v1", "kind": kind, "metadata": { "name": name, "namespace": TEAM }, "spec": spec })
}

/// A client of grant type client credentials, with one role.
pub fn service<'a>(name: impl Into<Name<'a>>) -> Value {
    let Name { namespace, name } = name.into();
    let spec = json!({
        "organizationRef": { "name": ORGANIZATION }, "grantType": "ClientCredentials", "roles": [{ "role": "employee" }],
        "accessTokenValiditySeconds": 3600,
    });
    ours("GenesysOAuthClient", &json!({ "name": name, "namespace": namespace }), &spec)
}

/// A client of a confidential web application.
pub fn web_app<'a>(name: impl Into<Name<'a>>) -> Value {
    let Name { namespace, name } = name.into();
    let spec = json!({
        "organizationRef": { "name": ORGANIZATION }, "grantType": "AuthorizationCode", "scopes": ["users:readonly", "routing:readonly"],
        "redirectUris": ["https://app.example.com/callback"],
    });
    ours("GenesysOAuthClient", &json!({ "name": name, "namespace": namespace }), &spec)
}

/// `base` with `changes` merged into its spec; a `null` removes a field (RFC 7396).
pub fn with_spec(mut base: Value, changes: &Value) -> Value {
    merge(&mut base["spec"], changes);
    base
}

/// RFC 7396.
pub fn merge(target: &mut Value, changes: &Value) {
    let Value::Object(changes) = changes else {
        *target = changes.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(members) = target else { return };
    for (name, change) in changes {
        if change.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}

/// The definition as an old API server keeps it: it drops the rules, which it does not know.
pub fn without_rules(crd: &CustomResourceDefinition) -> CustomResourceDefinition {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.remove("x-kubernetes-validations");
                members.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(crd).expect("a definition is JSON");
    strip(&mut value);
    serde_json::from_value(value).expect("it stays a definition")
}
