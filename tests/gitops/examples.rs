//! The examples for Argo CD, Flux, Kustomize and Reloader, against each other and against the words that the operator reads. Builds nothing; the end-to-end
//! tests build each overlay with kubectl.

use std::{collections::BTreeSet, fs};

use genesys_oauth_operator::{api, secret};
use serde_json::Value;

use crate::{read, yaml};

const WAVE: &str = "argocd.argoproj.io/sync-wave";

fn base(file: &str) -> Value {
    yaml(&read(&format!("examples/kustomize/base/{file}.yaml")))
}

/// The wave of an object, as Argo CD reads it: what says none is of wave 0.
fn wave(object: &Value) -> i32 {
    let annotation = &object["metadata"]["annotations"][WAVE];
    annotation.as_str().map_or(0, |text| text.parse().expect("a number"))
}

#[test]
fn argo_cd_applies_what_others_need_before_them() {
    let organization = yaml(&read("examples/organization.yaml"));
    let waves = [&organization, &base("rotation-policy"), &base("client"), &base("deployment")].map(wave);
    assert!(waves.is_sorted() && waves.windows(2).all(|pair| pair[0] < pair[1]), "{waves:?}");
    let application = yaml(&read("examples/argocd/application.yaml"));
    let options = application["spec"]["syncPolicy"]["syncOptions"].to_string();
    // Definitions and objects may come with one sync; and what the server defaults is no difference.
    assert!(options.contains("SkipDryRunOnMissingResource=true") && options.contains("ServerSideApply=true"), "{options}");
    for (path, place) in [("spec.source.path", &application["spec"]["source"]["path"]), ("flux", &flux()["spec"]["path"])] {
        let overlay = place.as_str().expect("a path").trim_start_matches("./");
        let folder = format!("{}/examples/kustomize/{overlay}/kustomization.yaml", env!("CARGO_MANIFEST_DIR"));
        assert!(fs::exists(&folder).is_ok_and(|there| there), "{path}: there is no overlay {overlay}");
    }
}

fn flux() -> Value {
    yaml(&read("examples/flux/kustomization.yaml"))
}

#[test]
fn flux_waits_for_all_kinds_and_prunes() {
    let spec = &flux()["spec"];
    assert_eq!((&spec["wait"], &spec["prune"]), (&true.into(), &true.into()));
    let checks = spec["healthCheckExprs"].as_array().expect("checks");
    // A check without a kind is refused by older versions of Flux, and a kind without a check is left to itself.
    let kinds: BTreeSet<&str> = checks.iter().map(|check| check["kind"].as_str().expect("a check for a kind")).collect();
    let exist: Vec<String> = api::crds().into_iter().map(|crd| crd.spec.names.kind).collect();
    assert_eq!(kinds, exist.iter().map(String::as_str).collect());
    assert_eq!(checks.len(), kinds.len(), "Flux refuses a second check for a kind");
    for check in checks {
        assert_eq!(check["apiVersion"], format!("{}/v1alpha1", api::GROUP));
        for expression in ["inProgress", "failed", "current"] {
            assert_eq!(
                check[expression], checks[0][expression],
                "{}: another {expression} than that of {}",
                check["kind"], checks[0]["kind"]
            );
        }
    }
}

#[test]
fn reloader_finds_the_secret_that_the_deployment_mounts() {
    let (client, deployment) = (base("client"), base("deployment"));
    let annotations = &client["spec"]["credentialsSecret"]["annotations"];
    assert_eq!(annotations[secret::RELOADER_MATCH], "true", "the Secret is not marked");
    assert_eq!(deployment["metadata"]["annotations"]["reloader.stakater.com/search"], "true", "the Deployment looks for no marked Secret");
    let mounted = &deployment["spec"]["template"]["spec"]["volumes"][0]["secret"]["secretName"];
    assert_eq!(*mounted, client["metadata"]["name"]);
    // Two that restart one workload would do it twice.
    assert!(client["spec"]["rolloutTargets"].is_null());
}

#[test]
fn references_follow_a_suffix_of_names() {
    let rules = base("kustomizeconfig");
    let paths: Vec<(String, String)> = rules["nameReference"]
        .as_array()
        .expect("rules")
        .iter()
        .flat_map(|rule| {
            let to = rule["kind"].as_str().unwrap_or_default().to_owned();
            rule["fieldSpecs"].as_array().cloned().unwrap_or_default().into_iter().map(move |field| (to.clone(), field))
        })
        .filter(|(_, field)| field["kind"] == "GenesysOAuthClient")
        .map(|(to, field)| (to, field["path"].as_str().unwrap_or_default().to_owned()))
        .collect();
    // Every reference of a client to an object that Kustomize may rename.
    for (kind, path) in [
        ("GenesysOrganization", "spec/organizationRef/name"),
        ("GenesysRotationPolicy", "spec/rotationPolicyRef/name"),
        ("Deployment", "spec/rolloutTargets/name"),
    ] {
        assert!(paths.contains(&(kind.to_owned(), path.to_owned())), "{kind}: {path} does not follow");
    }
}
