//! The admission policy of `examples/admission/`: its form, and its CEL run on objects that it must let through or refuse. Runs no server; where the
//! policy refuses, the operator's own rules must refuse too, which is why each case says what the policy can't see.

use std::{collections::BTreeMap, fs};

use cel::{Context, Program, Value as Cel};
use serde_json::{Value, json};

fn documents() -> Vec<Value> {
    let path = format!("{}/examples/admission/access.yaml", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(path).expect("the policy is there");
    text.split("\n---\n").map(|document| serde_yaml::from_str(document).expect("YAML")).collect()
}

fn run(expression: &str, variables: &BTreeMap<&str, Value>) -> Value {
    let program = Program::compile(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    let mut context = Context::default();
    for (name, value) in variables {
        context.add_variable(*name, value).expect("a value");
    }
    let found = program.execute(&context).unwrap_or_else(|error| panic!("{expression}: {error}"));
    to_json(&found)
}

fn to_json(value: &Cel) -> Value {
    match value {
        Cel::Bool(value) => json!(value),
        Cel::String(value) => json!(value.as_str()),
        Cel::Int(value) => json!(value),
        Cel::UInt(value) => json!(value),
        Cel::List(items) => items.iter().map(to_json).collect(),
        Cel::Map(map) => {
            let entries = map.map.iter().map(|(key, value)| (key.to_string(), to_json(value)));
            Value::Object(entries.collect())
        }
        _ => Value::Null,
    }
}

/// The words of the validations that refuse a client, for one organization and the labels of a namespace.
fn refusals(access: &Value, labels: &Value, spec: &Value, organization: &str) -> Vec<String> {
    let policy = &documents()[0]["spec"];
    let mut whole = json!({ "organizationRef": { "name": "acme" }, "grantType": "ClientCredentials", "roles": [{ "role": "employee" }] });
    for (key, value) in spec.as_object().into_iter().flatten() {
        match value {
            Value::Null => drop(whole.as_object_mut().and_then(|whole| whole.remove(key))),
            value => whole[key] = value.clone(),
        }
    }
    let mut params = json!({ "metadata": { "name": organization }, "spec": {} });
    if !access.is_null() {
        params["spec"]["access"] = access.clone();
    }
    let mut namespace = json!({ "metadata": { "name": "team-a" } });
    if !labels.is_null() {
        namespace["metadata"]["labels"] = labels.clone();
    }
    let mut known = BTreeMap::from([("object", json!({ "spec": whole })), ("params", params), ("namespaceObject", namespace)]);
    known.insert("variables", json!({}));
    for variable in policy["variables"].as_array().expect("variables") {
        let value = run(variable["expression"].as_str().expect("CEL"), &known);
        let name = variable["name"].as_str().expect("a name").to_owned();
        known.get_mut("variables").expect("variables")[name] = value;
    }
    let validations = policy["validations"].as_array().expect("validations").iter();
    let refused = validations.filter(|validation| run(validation["expression"].as_str().expect("CEL"), &known) != json!(true));
    refused.map(|validation| validation["message"].as_str().expect("a message").to_owned()).collect()
}

fn entry(changes: &Value) -> Value {
    let mut entry = json!({
        "name": "one", "namespaceSelector": { "matchLabels": { "team": "a" } }, "grantTypes": ["ClientCredentials"], "roles": ["employee"],
        "divisions": ["home"],
    });
    for (key, value) in changes.as_object().into_iter().flatten() {
        entry[key] = value.clone();
    }
    entry
}

fn judge(entries: &[Value], spec: &Value) -> bool {
    refusals(&json!(entries), &json!({ "team": "a" }), spec, "acme").is_empty()
}

#[test]
fn the_policy_is_whole() {
    let [policy, binding] = &documents()[..] else { panic!("a policy and its binding") };
    assert_eq!((&policy["kind"], &binding["kind"]), (&json!("ValidatingAdmissionPolicy"), &json!("ValidatingAdmissionPolicyBinding")));
    assert_eq!(policy["apiVersion"], "admissionregistration.k8s.io/v1");
    assert_eq!((&binding["spec"]["policyName"], &binding["apiVersion"]), (&policy["metadata"]["name"], &policy["apiVersion"]));
    let crds = genesys_oauth_operator::api::crds();
    let kind = |name: &str| crds.iter().find(|crd| crd.spec.names.kind == name).expect("a kind of ours");
    let rule = &policy["spec"]["matchConstraints"]["resourceRules"][0];
    assert_eq!(rule["resources"][0], kind("GenesysOAuthClient").spec.names.plural);
    assert_eq!(rule["apiVersions"][0], kind("GenesysOAuthClient").spec.versions[0].name);
    let parameter = kind(policy["spec"]["paramKind"]["kind"].as_str().expect("a kind"));
    assert_eq!(policy["spec"]["paramKind"]["apiVersion"], format!("{}/{}", parameter.spec.group, parameter.spec.versions[0].name));
    for validation in policy["spec"]["validations"].as_array().expect("validations") {
        assert!(validation["message"].as_str().is_some_and(|message| message.contains("ask its owner") && !message.contains('\n')));
    }
}

#[test]
fn only_a_new_spec_is_judged() {
    let condition = documents()[0]["spec"]["matchConditions"][0]["expression"].as_str().expect("CEL").to_owned();
    let judged = |operation: &str, old: &Value| {
        let object = json!({ "spec": { "a": 1 }, "metadata": { "finalizers": [] } });
        run(&condition, &[("request", json!({ "operation": operation })), ("object", object), ("oldObject", old.clone())].into())
    };
    assert_eq!(judged("CREATE", &json!({ "spec": {} })), json!(true));
    assert_eq!(judged("UPDATE", &json!({ "spec": { "a": 2 } })), json!(true));
    assert_eq!(judged("UPDATE", &json!({ "spec": { "a": 1 }, "metadata": { "finalizers": ["x"] } })), json!(false));
}

#[test]
fn an_entry_must_select_the_namespace() {
    let judged = |access: &Value, labels: &Value| refusals(access, labels, &json!({}), "acme");
    assert!(judged(&json!([entry(&json!({}))]), &json!({ "team": "a" })).is_empty());
    for (access, labels) in [
        (json!(null), json!({ "team": "a" })),
        (json!([]), json!({ "team": "a" })),
        (json!([entry(&json!({}))]), json!({ "team": "b" })),
        (json!([entry(&json!({}))]), json!(null)),
    ] {
        let said = judged(&access, &labels);
        assert!(said.len() == 1 && said[0].contains("no entry for this namespace"), "{access} {labels}: {said:?}");
    }
    assert!(judged(&json!([entry(&json!({ "namespaceSelector": {} }))]), &json!(null)).is_empty(), "an empty selector matches all");
    let by = |operator: &str, values: Value| {
        let selector = json!({ "matchExpressions": [{ "key": "team", "operator": operator, "values": values }] });
        judged(&json!([entry(&json!({ "namespaceSelector": selector }))]), &json!({ "team": "a" })).is_empty()
    };
    assert!(by("In", json!(["a", "b"])) && by("Exists", json!([])) && by("NotIn", json!(["b"])));
    assert!(!by("In", json!(["b"])) && !by("DoesNotExist", json!([])) && !by("NotIn", json!(["a"])));
    assert!(refusals(&json!(null), &json!({}), &json!({}), "another").is_empty(), "an organization that the object does not name");
}

#[test]
fn one_entry_must_allow_all_that_can_be_judged() {
    let app = |more: Value| {
        let mut spec = json!({ "grantType": "SAML2Bearer", "roles": null, "scopes": ["users:readonly"] });
        if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
            spec.extend(more);
        }
        spec
    };
    let apps = entry(&json!({ "grantTypes": ["SAML2Bearer"], "scopes": ["users:readonly"] }));
    let reset = |id: &str| json!({ "adopt": { "clientId": id, "resetSecret": true } });
    let all_divisions = json!({ "roles": [{ "role": "employee", "divisions": ["*"] }] });
    let integration = json!({ "integrationCredentials": [{ "credential": "data" }] });
    let resets = entry(&json!({ "adoptByReset": ["c1"] }));
    for (case, entries, spec, allowed) in [
        ("the grant type", vec![entry(&json!({}))], app(json!({})), false),
        ("a scope", vec![apps.clone()], app(json!({})), true),
        ("another scope", vec![apps.clone()], app(json!({ "scopes": ["users:readonly", "routing"] })), false),
        (
            "no sum of entries",
            vec![apps, entry(&json!({ "grantTypes": ["SAML2Bearer"], "scopes": ["routing"] }))],
            app(json!({ "scopes": ["users:readonly", "routing"] })),
            false,
        ),
        ("stars", vec![entry(&json!({ "grantTypes": ["*"], "scopes": ["*"] }))], app(json!({})), true),
        ("no role at all", vec![entry(&json!({ "roles": [] }))], json!({}), false),
        ("a role by another name is the operator's to judge", vec![entry(&json!({ "roles": ["an-id"] }))], json!({}), true),
        ("no division at all", vec![entry(&json!({ "divisions": [] }))], json!({}), false),
        ("all divisions", vec![entry(&json!({}))], all_divisions.clone(), false),
        ("all divisions, allowed", vec![entry(&json!({ "divisions": ["*"] }))], all_divisions, true),
        ("an integration credential", vec![entry(&json!({}))], integration.clone(), false),
        ("one of which the id is known", vec![entry(&json!({ "integrationCredentials": ["i1"] }))], integration, true),
        ("none at all", vec![entry(&json!({ "maxClients": 0 }))], json!({}), false),
        ("so many are the operator's to count", vec![entry(&json!({ "maxClients": 1 }))], json!({}), true),
        ("a reset", vec![entry(&json!({}))], reset("c1"), false),
        ("a reset of this client", vec![resets.clone()], reset("c1"), true),
        ("a reset of another", vec![resets.clone()], reset("c2"), false),
        ("an adoption without one", vec![resets], json!({ "adopt": { "clientId": "c2", "resetSecret": false } }), true),
    ] {
        assert_eq!(judge(&entries, &spec), allowed, "{case}");
    }
}
