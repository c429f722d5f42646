//! What `Chart.yaml` tells Artifact Hub, against what it speaks of: the definitions, the examples, the image, the icon. Asks no site whether a link works.

use std::{collections::BTreeSet, fs, path::PathBuf, sync::Arc};

use genesys_cloud_simulator::{
    SystemClock,
    kubernetes::{Kubernetes, Settings},
};
use genesys_oauth_operator::api;
use serde_json::{Value, json};

use crate::{documents, named, read};

/// Where files of the repository are served as they are.
const RAW: &str = "https://raw.githubusercontent.com/genesys-oauth-operator/genesys-oauth-operator/main/";

fn about() -> Value {
    serde_yaml::from_str(&read("charts/genesys-oauth-operator/Chart.yaml")).expect("YAML")
}

/// What an annotation holds, which is YAML in a text.
fn annotation(name: &str) -> Vec<Value> {
    let about = about();
    let text = about["annotations"][format!("artifacthub.io/{name}")].as_str().unwrap_or_else(|| panic!("no annotation {name}"));
    let list: Vec<Value> = serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(!list.is_empty(), "{name} is empty");
    list
}

fn text<'a>(value: &'a Value, what: &str) -> &'a str {
    value.as_str().filter(|text| !text.is_empty()).unwrap_or_else(|| panic!("{what} is no text: {value}"))
}

#[test]
fn the_definitions_are_those_that_the_chart_installs() {
    let told: BTreeSet<[String; 3]> = annotation("crds")
        .iter()
        .map(|crd| {
            text(&crd["displayName"], "displayName");
            text(&crd["description"], "description");
            ["kind", "name", "version"].map(|field| text(&crd[field], field).to_owned())
        })
        .collect();
    let exist = api::crds().into_iter().map(|crd| {
        let version = crd.spec.versions[0].name.clone();
        [crd.spec.names.kind, crd.metadata.name.unwrap_or_default(), version]
    });
    assert_eq!(told, exist.collect());
}

/// An API server in memory that knows the kinds, and judges by their schemas and by their rules.
fn judge() -> Kubernetes {
    let kubernetes = Kubernetes::new(Settings::new(1, Arc::new(SystemClock)));
    for crd in api::crds() {
        kubernetes.install_crd(&crd).expect("the CRDs are taken");
    }
    kubernetes.create(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "contact-center" } })).expect("a namespace");
    kubernetes
}

#[test]
fn each_kind_has_an_example_that_an_api_server_takes() {
    let (judge, examples) = (judge(), annotation("crdsExamples"));
    for example in &examples {
        let taken = judge.create(example.clone()).unwrap_or_else(|refused| panic!("{example}: {refused:?}"));
        // What the kind does not know is dropped without a word.
        assert_within("", example, &taken);
    }
    let kinds: BTreeSet<String> = examples.iter().map(|example| text(&example["kind"], "kind").to_owned()).collect();
    assert_eq!(kinds, api::crds().into_iter().map(|crd| crd.spec.names.kind).collect(), "a kind without an example");
    // One that a rule and one that the schema rejects: a judge who takes everything would show nothing.
    let client = examples.iter().find(|example| example["kind"] == "GenesysOAuthClient").expect("a client");
    for (field, value) in [("redirectUris", json!(["https://example.com/callback"])), ("grantType", json!("Password"))] {
        let mut wrong = client.clone();
        wrong["metadata"]["name"] = json!("wrong");
        wrong["spec"][field] = value;
        assert!(judge.create(wrong).is_err(), "{field} is not judged");
    }
}

fn assert_within(path: &str, given: &Value, taken: &Value) {
    match given {
        Value::Object(map) => map.iter().for_each(|(key, value)| assert_within(&format!("{path}.{key}"), value, &taken[key])),
        Value::Array(list) => list.iter().enumerate().for_each(|(index, value)| assert_within(path, value, &taken[index])),
        value => assert_eq!(value, taken, "{path} is no field"),
    }
}

#[test]
fn the_examples_are_those_of_the_repository() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples");
    let files = fs::read_dir(folder).expect("examples/").flatten().map(|file| file.file_name().to_string_lossy().into_owned());
    let manifests: Vec<Value> =
        files.filter(|name| name.strip_suffix(".yaml").is_some()).flat_map(|name| documents(&read(&format!("examples/{name}")))).collect();
    assert!(manifests.len() >= 6, "examples/ was not read");
    for example in annotation("crdsExamples") {
        assert!(manifests.contains(&example), "examples/ holds no such manifest: {example:#}");
    }
}

#[test]
fn the_image_is_the_one_that_is_installed() {
    let told: BTreeSet<String> = annotation("images").iter().map(|image| text(&image["image"], "image").to_owned()).collect();
    let chart = crate::golden("cluster");
    let containers = named(&chart, "Deployment", "genesys-oauth-operator")["spec"]["template"]["spec"]["containers"].clone();
    let run = containers.as_array().expect("containers").iter().map(|container| text(&container["image"], "image").to_owned());
    assert_eq!(told, run.collect());
    let version = about()["appVersion"].clone();
    assert!(told.iter().all(|image| image.ends_with(&format!(":{}", text(&version, "appVersion")))), "{told:?} and {version}");
    assert_eq!(version, env!("CARGO_PKG_VERSION"), "the chart installs another version than this one");
}

#[test]
fn changes_links_and_recommendations_are_as_artifact_hub_reads_them() {
    let kinds = ["added", "changed", "deprecated", "removed", "fixed", "security"];
    for change in annotation("changes") {
        assert!(kinds.contains(&text(&change["kind"], "kind")), "{change}");
        text(&change["description"], "description");
    }
    let links = annotation("links");
    assert!(links.iter().any(|link| link["name"] == "support"), "a link of this name becomes the button for support");
    for link in links.iter().chain(&annotation("recommendations")) {
        let url = text(&link["url"], "url");
        assert!(url.starts_with("https://"), "{url}");
        // What of it is in this repository, is there.
        for place in ["blob/main/", "tree/main/"] {
            let path = url.split_once(place).map(|(_, path)| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path));
            assert!(path.as_ref().is_none_or(|path| path.exists()), "{url} leads nowhere");
        }
    }
}

#[test]
fn the_icon_is_a_picture_of_the_repository() {
    let about = about();
    let path = text(&about["icon"], "icon").strip_prefix(RAW).expect("served by the repository itself");
    let picture = read(path);
    assert!(picture.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"") && picture.trim_end().ends_with("</svg>"), "{path} is no SVG");
    for foreign in ["<script", "href=", "<image", "url("] {
        assert!(!picture.contains(foreign), "{path}: {foreign} reaches beyond the file");
    }
}
