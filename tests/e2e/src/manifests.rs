//! The objects that scenarios apply, as JSON; what users should copy is in `examples/`, not here.

use serde_json::{Value, json};

use crate::api::GROUP_VERSION;

/// The region that `--endpoint` points at the simulator.
pub const REGION: &str = "simulator";
/// The name of the Secret with the operator's own credential.
pub const CREDENTIALS: &str = "genesys-credentials";
/// The name of the object that a crash cell works on.
pub const CLIENT: &str = "client";

/// A namespace.
#[must_use]
pub fn namespace(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": { "team": "e2e" } } })
}

/// The Secret with the operator's own credential.
#[must_use]
pub fn credentials(namespace: &str, id: &str, secret: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": CREDENTIALS, "namespace": namespace },
        "stringData": { "clientId": id, "clientSecret": secret },
    })
}

/// An organization that allows the namespaces of the tests everything.
#[must_use]
pub fn organization(name: &str) -> Value {
    json!({
        "apiVersion": GROUP_VERSION, "kind": "GenesysOrganization",
        "metadata": { "name": name, "labels": { "cell": name } },
        "spec": {
            "region": REGION,
            "credentialsSecretRef": { "name": CREDENTIALS },
            "requestsPerMinute": 300,
            "access": [{
                "name": "tests",
                "namespaceSelector": { "matchLabels": { "team": "e2e" } },
                "grantTypes": ["*"], "roles": ["*"], "divisions": ["*"], "scopes": ["*"],
            }],
        },
    })
}

/// A client-credentials client with one role.
#[must_use]
pub fn client(namespace: &str, name: &str, organization: &str) -> Value {
    json!({
        "apiVersion": GROUP_VERSION, "kind": "GenesysOAuthClient",
        "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "organizationRef": { "name": organization },
            "grantType": "ClientCredentials",
            "roles": [{ "role": "employee" }],
            "accessTokenValiditySeconds": 3600,
        },
    })
}

/// A confidential web application.
#[must_use]
pub fn web_app(namespace: &str, name: &str, organization: &str) -> Value {
    json!({
        "apiVersion": GROUP_VERSION, "kind": "GenesysOAuthClient",
        "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "organizationRef": { "name": organization },
            "grantType": "AuthorizationCode",
            "scopes": ["users:readonly", "routing:readonly"],
            "redirectUris": ["https://app.example.com/callback"],
        },
    })
}

/// `base` with `patch` merged into its spec; a `null` removes a field.
#[must_use]
pub fn with_spec(mut base: Value, patch: &Value) -> Value {
    merge(&mut base["spec"], patch);
    base
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, change) in changes {
        match target.as_object_mut() {
            Some(map) if change.is_null() => drop(map.remove(key)),
            Some(map) => merge(map.entry(key.clone()).or_insert(Value::Null), change),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_changes_and_removes() {
        let changed = with_spec(client("n", "c", "o"), &json!({ "roles": null, "scopes": ["a"], "organizationRef": { "name": "p" } }));
        assert_eq!(changed["spec"]["scopes"], json!(["a"]));
        assert_eq!(changed["spec"].get("roles"), None);
        assert_eq!(changed["spec"]["organizationRef"]["name"], "p");
    }
}
