//! The CRDs: fresh in `crds/`, within the bounds that a real, current API server sets, documented field by field, and each CEL rule with an
//! accepted and a rejected object. Runs no server.

mod adoption;
mod rotation;

use genesys_oauth_operator::api::{self, GenesysOAuthClient, GenesysOrganization};
use kube::core::cel::{compile_schema, validate_cel, validate_cel_update};
use serde_json::{Value, json};

fn schemas() -> Vec<(String, Value)> {
    let schema = |crd: k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition| {
        let version = &crd.spec.versions[0];
        let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
        (crd.spec.names.kind.clone(), serde_json::to_value(schema).expect("a schema is JSON"))
    };
    api::crds().into_iter().map(schema).collect()
}

/// Visits every node of a schema with its path and whether a CEL rule stands at it or above it.
fn walk(path: &str, schema: &Value, under_rule: bool, in_items: bool, visit: &mut dyn FnMut(&str, &Value, bool, bool)) {
    let under_rule = under_rule || schema.get("x-kubernetes-validations").is_some();
    visit(path, schema, under_rule, in_items);
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        walk(&format!("{path}.{name}"), property, under_rule, in_items, visit);
    }
    if let Some(items) = schema.get("items") {
        walk(&format!("{path}[]"), items, under_rule, true, visit);
    }
    if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
        walk(&format!("{path}{{}}"), values, under_rule, in_items, visit);
    }
}

#[test]
fn crds_are_fresh() {
    for (name, expected) in api::crd_files().expect("the CRDs can be written") {
        let path = format!("{}/crds/{name}", env!("CARGO_MANIFEST_DIR"));
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(found, expected, "{path} is not fresh: run make generate");
        let kubernetes_limit = 200 * 1024;
        assert!(found.len() < kubernetes_limit, "{name} is too large for kubectl apply");
    }
}

#[test]
fn everything_under_a_rule_is_bounded() {
    for (kind, schema) in schemas() {
        let spec = &schema["properties"]["spec"];
        let mut rules = 0;
        walk("spec", spec, false, false, &mut |path, node, under_rule, _| {
            rules += node.get("x-kubernetes-validations").and_then(Value::as_array).map_or(0, Vec::len);
            if !under_rule {
                return;
            }
            match node["type"].as_str() {
                Some("string") => {
                    assert!(
                        node.get("maxLength").is_some() || node.get("enum").is_some(),
                        "{kind} {path}: a string under a rule needs maxLength"
                    );
                }
                Some("array") => assert!(node.get("maxItems").is_some(), "{kind} {path}: a list under a rule needs maxItems"),
                Some("object") if node.get("additionalProperties").is_some() => {
                    assert!(node.get("maxProperties").is_some(), "{kind} {path}: a map under a rule needs maxProperties");
                }
                _ => {}
            }
        });
        assert!(rules > 0, "{kind} has rules, or this test sees nothing");
    }
}

#[test]
fn every_rule_compiles_and_has_a_message() {
    for (kind, schema) in schemas() {
        let mut errors = vec![];
        walk("", &schema, false, false, &mut |path, node, _, _| {
            for rule in node.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
                assert!(
                    rule["message"].as_str().is_some_and(|message| message.len() > 20 && !message.contains('\n')),
                    "{kind} {path}: {rule}"
                );
            }
            errors.extend(compile_schema(node).compilation_errors().iter().map(|error| format!("{kind} {path}: {error:?}")));
        });
        assert!(errors.is_empty(), "{errors:?}");
    }
}

#[test]
fn every_field_is_described_and_no_default_stands_in_a_list() {
    for (kind, schema) in schemas() {
        for part in ["spec", "status"] {
            walk(part, &schema["properties"][part], false, false, &mut |path, node, _, in_items| {
                let scalar_item = path.ends_with("[]") && node["type"] != "object";
                let inner = path.ends_with("{}") || scalar_item || path.contains("namespaceSelector");
                assert!(inner || node["description"].as_str().is_some_and(|text| text.len() > 8), "{kind} {path} lacks a description");
                assert!(
                    !(in_items && node.get("default").is_some()),
                    "{kind} {path}: a default inside a list makes Argo CD see a difference for ever"
                );
            });
        }
    }
}

#[test]
fn fields_are_camel_case_with_acronyms_as_genesys_writes_them() {
    for (kind, schema) in schemas() {
        walk("", &schema, false, false, &mut |path, node, _, _| {
            for name in node.get("properties").and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name) {
                let camel = name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(|c| c.is_ascii_alphanumeric());
                let shouting = name.as_bytes().windows(2).any(|pair| pair[0].is_ascii_uppercase() && pair[1].is_ascii_uppercase());
                assert!(camel && !shouting, "{kind} {path}.{name}: write clientId and redirectUris, not clientID or redirectURIs");
            }
        });
    }
}

#[test]
fn columns_fit_into_a_terminal() {
    for crd in api::crds() {
        let columns = crd.spec.versions[0].additional_printer_columns.clone().unwrap_or_default();
        assert_eq!(columns.last().map(|column| column.name.as_str()), Some("Age"));
        assert!(columns.iter().all(|column| !column.name.contains(' ')));
        let narrow = columns.iter().filter(|column| column.priority.unwrap_or(0) == 0).map(|column| column.name.to_uppercase());
        // A name and a Secret of 16 characters (of an organization, a name of 15 and the longest region), "False" in every condition but drift, which may stay "Unknown", an age such as "200d", and
        // three spaces between columns.
        let content = |name: &str| match name {
            "SECRET" => 16,
            "REGION" => 14,
            "DRIFT" => 7,
            "AGE" => 4,
            _ => 5,
        };
        let own = if crd.spec.names.kind == "GenesysOrganization" { 15 } else { 16 };
        let width: usize = own + narrow.map(|name| 3 + name.len().max(content(&name))).sum::<usize>();
        assert!(width <= 80, "{}: {width} characters", crd.spec.names.kind);
    }
}

fn client(name: &str, spec: &Value) -> GenesysOAuthClient {
    serde_json::from_value(json!({
        "apiVersion": "oauth.genesys-operator.io/v1alpha1", "kind": "GenesysOAuthClient",
        "metadata": { "name": name, "namespace": "team-a" }, "spec": spec,
    }))
    .expect("the object fits the types")
}

/// A spec that keeps every rule, changed by a JSON merge patch.
fn changed(grant: &str, patch: &Value) -> Value {
    let mut spec = match grant {
        "ClientCredentials" => json!({ "organizationRef": { "name": "acme" }, "grantType": grant, "roles": [{ "role": "employee" }] }),
        "AuthorizationCode" => json!({
            "organizationRef": { "name": "acme" }, "grantType": grant, "scopes": ["user-basic-info"],
            "redirectUris": ["https://app.example.com/callback"],
        }),
        "Implicit" => json!({
            "organizationRef": { "name": "acme" }, "grantType": grant, "scopes": ["user-basic-info"],
            "redirectUris": ["https://app.example.com/callback"], "adopt": { "clientId": "c1", "resetSecret": true },
        }),
        _ => json!({ "organizationRef": { "name": "acme" }, "grantType": grant, "scopes": ["user-basic-info"] }),
    };
    merge(&mut spec, patch);
    spec
}

fn merge(target: &mut Value, patch: &Value) {
    let (Some(target), Some(patch)) = (target.as_object_mut(), patch.as_object()) else { return };
    for (key, value) in patch {
        match value {
            Value::Null => drop(target.remove(key)),
            Value::Object(_) if target.get(key).is_some_and(Value::is_object) => merge(&mut target[key], value),
            _ => drop(target.insert(key.clone(), value.clone())),
        }
    }
}

fn accepts(grant: &str, patch: &Value) {
    let object = client("billing", &changed(grant, patch));
    assert!(validate_cel(&object).is_ok(), "{grant} {patch}: {:?}", validate_cel(&object));
    assert!(api::rules::oauth_client_violations(&object).is_empty(), "the reconciler's rules agree");
}

fn rejects(grant: &str, patch: &Value, words: &str) {
    let object = client("billing", &changed(grant, patch));
    let message = validate_cel(&object).expect_err(&format!("{grant} {patch} must be rejected")).to_string();
    assert!(message.contains(words), "{grant} {patch}: {message}");
    let ours = api::rules::oauth_client_violations(&object).join("; ");
    assert!(ours.contains(words), "the reconciler says the same: {ours}");
}

fn rejects_edit(grant: &str, patch: &Value, words: &str) {
    let old = client("billing", &changed(grant, &json!({})));
    let new = client("billing", &changed(grant, patch));
    let message = validate_cel_update(&new, &old).expect_err(&format!("{patch} must be rejected")).to_string();
    assert!(message.contains(words), "{patch}: {message}");
}

#[test]
fn roles_are_for_client_credentials() {
    accepts("ClientCredentials", &json!({}));
    rejects("ClientCredentials", &json!({ "roles": null }), "list at least one in spec.roles");
    rejects("ClientCredentials", &json!({ "roles": [] }), "list at least one in spec.roles");
    accepts("SAML2Bearer", &json!({}));
    rejects("SAML2Bearer", &json!({ "roles": [{ "role": "employee" }] }), "spec.roles is for grantType ClientCredentials alone");
}

#[test]
fn scopes_are_for_the_other_grants() {
    accepts("AuthorizationCode", &json!({}));
    rejects("SAML2Bearer", &json!({ "scopes": null }), "list at least one in spec.scopes");
    rejects("ClientCredentials", &json!({ "scopes": ["users"] }), "spec.scopes has no meaning for grantType ClientCredentials");
}

#[test]
fn redirect_uris_are_for_the_authorization_code() {
    accepts(
        "AuthorizationCode",
        &json!({ "redirectUris": ["https://a.example.com/", "http://localhost", "http://localhost:8080/cb", "http://localhost/cb"] }),
    );
    rejects("AuthorizationCode", &json!({ "redirectUris": null }), "needs spec.redirectUris");
    rejects(
        "SAML2Bearer",
        &json!({ "redirectUris": ["https://a.example.com/"] }),
        "spec.redirectUris is for grantTypes AuthorizationCode and Implicit alone",
    );
    for uri in [
        "http://a.example.com/",
        "http://localhost.example.com/",
        "ftp://a.example.com/",
        "app://callback",
        "http://localhost:x@evil.example.com/",
    ] {
        rejects("AuthorizationCode", &json!({ "redirectUris": [uri] }), "must begin with https://");
    }
}

#[test]
fn public_clients_use_the_authorization_code() {
    accepts("AuthorizationCode", &json!({ "publicClient": true }));
    rejects("SAML2Bearer", &json!({ "publicClient": true }), "needs grantType AuthorizationCode");
}

#[test]
fn long_validity_is_for_scim() {
    accepts("ClientCredentials", &json!({ "accessTokenValiditySeconds": 172_800 }));
    accepts("ClientCredentials", &json!({ "accessTokenValiditySeconds": 38_880_000, "scim": true }));
    rejects("ClientCredentials", &json!({ "accessTokenValiditySeconds": 172_801 }), "for SCIM clients alone");
}

#[test]
fn all_divisions_stand_alone() {
    accepts("ClientCredentials", &json!({ "roles": [{ "role": "employee", "divisions": ["*"] }] }));
    accepts("ClientCredentials", &json!({ "roles": [{ "role": "employee", "divisions": ["home", "Sales"] }] }));
    rejects("ClientCredentials", &json!({ "roles": [{ "role": "employee", "divisions": ["*", "Sales"] }] }), "stands alone");
}

#[test]
fn user_text_holds_no_marker() {
    accepts("ClientCredentials", &json!({ "displayName": "Billing [prod]", "description": "Sends invoices [daily]." }));
    rejects("ClientCredentials", &json!({ "displayName": "x [k8s:" }), "the operator marks its clients with it");
    rejects("ClientCredentials", &json!({ "description": "[k8s:0/0/0]" }), "the operator marks its clients with it");
}

#[test]
fn the_operators_labels_and_annotations_are_its_own() {
    accepts("ClientCredentials", &json!({ "credentialsSecret": { "labels": { "team": "a" }, "annotations": { "example.com/x": "y" } } }));
    for kind in ["labels", "annotations"] {
        for key in ["app.kubernetes.io/managed-by", "oauth.genesys-operator.io/revision"] {
            rejects("ClientCredentials", &json!({ "credentialsSecret": { kind: { key: "x" } } }), "they are the operator's");
        }
    }
}

#[test]
fn names_of_secrets_and_keys() {
    accepts(
        "ClientCredentials",
        &json!({ "credentialsSecret": { "name": "billing-oauth", "preset": "Environment", "keys": { "clientId": "ID" } } }),
    );
    rejects("ClientCredentials", &json!({ "credentialsSecret": { "name": "billing-rotation" } }), "must not end in -rotation");
    rejects("ClientCredentials", &json!({ "credentialsSecret": { "keys": { "password": "x" } } }), "it has no other name");
    rejects("ClientCredentials", &json!({ "credentialsSecret": { "keys": { "clientId": "x", "region": "x" } } }), "the same name");
    accepts("ClientCredentials", &json!({ "credentialsSecret": { "keys": { "clientId": "region", "region": "clientId" } } }));
    rejects(
        "ClientCredentials",
        &json!({ "credentialsSecret": { "keys": { "clientId": "region" } } }),
        "of another one that is not renamed",
    );
}

#[test]
fn names_of_objects() {
    let spec = || changed("ClientCredentials", &json!({}));
    assert!(validate_cel(&client(&"a".repeat(63), &spec())).is_ok());
    let long = validate_cel(&client(&"a".repeat(64), &spec())).unwrap_err().to_string();
    assert!(long.contains("at most 63 characters"), "{long}");
    let reserved = validate_cel(&client("billing-rotation", &spec())).unwrap_err().to_string();
    assert!(reserved.contains("needs spec.credentialsSecret.name"), "{reserved}");
    let named = changed("ClientCredentials", &json!({ "credentialsSecret": { "name": "billing" } }));
    assert!(validate_cel(&client("billing-rotation", &named)).is_ok());
}

#[test]
fn what_cannot_change() {
    rejects_edit(
        "SAML2Bearer",
        &json!({ "grantType": "AuthorizationCode", "redirectUris": ["https://a.example.com/"] }),
        "grantType is immutable",
    );
    rejects_edit("AuthorizationCode", &json!({ "publicClient": true }), "publicClient is immutable");
    rejects_edit("ClientCredentials", &json!({ "organizationRef": { "name": "other" } }), "organizationRef.name is immutable");
    let old = client("billing", &changed("ClientCredentials", &json!({})));
    let edited = client("billing", &changed("ClientCredentials", &json!({ "description": "new", "suspend": true })));
    assert!(validate_cel_update(&edited, &old).is_ok());
}

fn organization(spec: &Value) -> GenesysOrganization {
    let mut whole = json!({ "region": "us-east-1", "credentialsSecretRef": { "name": "acme" } });
    merge(&mut whole, spec);
    serde_json::from_value(json!({
        "apiVersion": "oauth.genesys-operator.io/v1alpha1", "kind": "GenesysOrganization", "metadata": { "name": "acme" }, "spec": whole,
    }))
    .expect("the object fits the types")
}

#[test]
fn organizations() {
    let entry = |grant: &str| json!({ "access": [{ "name": "a", "namespaceSelector": {}, "grantTypes": [grant] }] });
    for grant in ["*", "ClientCredentials", "AuthorizationCode", "SAML2Bearer", "Implicit"] {
        assert!(validate_cel(&organization(&entry(grant))).is_ok(), "{grant}");
        assert!(api::rules::organization_violations(&organization(&entry(grant))).is_empty());
    }
    let message = validate_cel(&organization(&entry("CLIENT-CREDENTIALS"))).unwrap_err().to_string();
    assert!(message.contains("grantTypes may list"), "{message}");
    let moved = validate_cel_update(&organization(&json!({ "region": "eu-west-1" })), &organization(&json!({}))).unwrap_err().to_string();
    assert!(moved.contains("region is immutable"), "{moved}");
    let defaults = organization(&json!({}));
    assert_eq!((defaults.spec.requests_per_minute, defaults.spec.credentials_secret_ref.client_id_key.as_str()), (60, "clientId"));
}

#[test]
fn rules_are_not_vacuous() {
    // Every rule of the CRDs is broken by an object above or in `rotation`; a rule that nothing can break would be compiled and never seen.
    let broken = 48;
    let mut count = 0;
    for (_, schema) in schemas() {
        walk("", &schema, false, false, &mut |_, node, _, _| {
            count += node.get("x-kubernetes-validations").and_then(Value::as_array).map_or(0, Vec::len);
        });
    }
    assert_eq!(count, broken, "a rule was added or removed: give it an accepted and a rejected object here");
}
