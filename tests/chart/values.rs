//! The values of the chart: the schema is closed on every level but where Kubernetes' own words stand, and tells of what `values.yaml` has, no more and
//! no less. Each is tried by a golden file. That Helm judges by the schema is tried by `run.sh`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{goldens, read};

/// Where a value goes into a manifest as it is, to be judged by Kubernetes' schemas.
const KUBERNETES: [&str; 6] = [
    "affinity",
    "tolerations[]",
    "topologySpreadConstraints[]",
    "networkPolicy.metricsFrom[].namespaceSelector",
    "networkPolicy.metricsFrom[].podSelector",
    "global",
];

fn schema() -> Value {
    serde_json::from_str(&read("charts/genesys-oauth-operator/values.schema.json")).expect("JSON")
}

/// Visits every schema below one, with its path.
fn walk(path: &str, schema: &Value, visit: &mut dyn FnMut(&str, &Value)) {
    visit(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        walk(&path, property, visit);
    }
    if schema["items"].is_object() {
        walk(&format!("{path}[]"), &schema["items"], visit);
    }
}

/// The objects of a schema that take a key which nobody foresaw.
fn open(schema: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk("", schema, &mut |path, node| {
        // A list or an object without a schema of its own takes everything, too.
        let vague = node["type"].is_null() && node["enum"].is_null() || node["type"] == "array" && node["items"].is_null();
        let object = node["type"] == "object" || node["properties"].is_object();
        // Labels, annotations, amounts: the keys are the user's, and the values have a type.
        let map = node["properties"].is_null() && !node["additionalProperties"]["type"].is_null();
        if vague || object && node["additionalProperties"] != false && !map {
            found.insert(path.to_owned());
        }
    });
    found
}

#[test]
fn the_schema_is_closed_on_every_level() {
    let schema = schema();
    assert_eq!(open(&schema), KUBERNETES.map(str::to_owned).into());
    // A hole on any level is seen.
    for place in ["/properties/image", "/properties/imagePullSecrets/items", "/properties/networkPolicy/properties/metricsFrom/items"] {
        let mut holed = schema.clone();
        holed.pointer_mut(place).expect("it is there")["additionalProperties"] = json!(true);
        assert_eq!(open(&holed).len(), KUBERNETES.len() + 1, "{place}");
    }
}

/// The values with a default, by their paths. What is empty or a map of the user's keys has no parts.
fn defaults(path: &str, value: &Value, schema: &Value, found: &mut BTreeSet<String>) {
    match (value.as_object(), schema["properties"].as_object()) {
        (Some(map), Some(_)) => {
            for (name, value) in map {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                defaults(&path, value, &schema["properties"][name.as_str()], found);
            }
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}

fn yaml(path: &str) -> Value {
    serde_yaml::from_str(&read(path)).expect("YAML")
}

#[test]
fn each_value_has_a_default_and_a_place_in_the_schema() {
    let values = yaml("charts/genesys-oauth-operator/values.yaml");
    let (schema, mut given, mut known) = (schema(), BTreeSet::new(), BTreeSet::new());
    defaults("", &values, &schema, &mut given);
    walk("", &schema, &mut |path, node| {
        let parent = node["properties"].is_object();
        if !parent && !path.is_empty() && !path.contains("[]") && path != "global" {
            known.insert(path.to_owned());
        }
    });
    assert_eq!(given, known);
    assert!(known.len() > 30, "the values were not found: {known:?}");
}

/// What is set to its default, or not at all, by each of some files of values.
fn left(files: &[Value]) -> BTreeSet<String> {
    let (values, mut paths) = (yaml("charts/genesys-oauth-operator/values.yaml"), BTreeSet::new());
    defaults("", &values, &schema(), &mut paths);
    let at = |file: &Value, path: &str| path.split('.').try_fold(file.clone(), |value, name| value.get(name).cloned());
    paths.retain(|path| files.iter().all(|file| at(file, path).is_none_or(|value| Some(value) == at(&values, path))));
    paths
}

#[test]
fn each_value_is_rendered_with_another_than_its_default() {
    let files: Vec<Value> = goldens().iter().map(|name| yaml(&format!("tests/chart/golden/{name}.values.yaml"))).collect();
    // The definitions are in no golden file, for they are long; what is kept of them is looked at by run.sh.
    assert_eq!(left(&files), BTreeSet::from(["crds.keep".to_owned()]));
    // A file of defaults sets nothing, and one value is missed.
    assert!(left(&[yaml("charts/genesys-oauth-operator/values.yaml")]).len() > 30);
    let missed = files.iter().map(|file| {
        let mut file = file.clone();
        file.as_object_mut().expect("values").remove("priorityClassName");
        file
    });
    assert!(left(&missed.collect::<Vec<_>>()).contains("priorityClassName"));
}
