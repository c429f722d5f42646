//! What the chart grants to an install, and what its operators were seen to use of it. It grants nothing that the golden files of the chart do not hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{LazyLock, Mutex, PoisonError},
};

use genesys_cloud_simulator::kubernetes::{Kubernetes, LoggedRequest};
use genesys_oauth_operator::settings::{RolloutTargets, Settings};
use serde_json::{Value, json};

use crate::objects::HOME;

/// The name of the chart's objects, its ServiceAccount among them.
const NAME: &str = "genesys-oauth-operator";

/// What `tests/chart/run.sh` holds the chart to, for each way of installing it that asks for other rights.
static GOLDEN: LazyLock<[Vec<Value>; 3]> = LazyLock::new(|| {
    let texts = [
        include_str!("../chart/golden/cluster.yaml"),
        include_str!("../chart/golden/restarts.yaml"),
        include_str!("../chart/golden/namespaces.yaml"),
    ];
    texts.map(|text| {
        let documents: Vec<Value> = serde_yaml::from_multiple(text).expect("the golden files are YAML");
        let rights = |object: &Value| object["apiVersion"].as_str().is_some_and(|version| version.starts_with("rbac."));
        documents.into_iter().filter(|object| rights(object) && !aggregated(object)).collect()
    })
});

/// Whether a role is one of people's, by aggregation.
fn aggregated(role: &Value) -> bool {
    let labels = role["metadata"]["labels"].as_object().into_iter().flatten();
    labels.into_iter().any(|(label, _)| label.contains("/aggregate-to-"))
}

/// One verb on one resource, in one namespace or, where that is empty, in all of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    namespace: String,
    verb: String,
    resource: String,
}

impl fmt::Display for Right {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.namespace.is_empty() { "the cluster" } else { &self.namespace };
        write!(formatter, "{} {} in {place}", self.verb, self.resource)
    }
}

/// The rights of each install, by the name of its user.
#[derive(Debug, Default)]
pub struct Rights(Mutex<BTreeMap<String, BTreeSet<Right>>>);

impl Rights {
    /// Gives an install the objects that the chart renders for its settings, and the user that it is by them.
    pub fn give(&self, kubernetes: &Kubernetes, settings: &Settings) -> String {
        let objects = rendered(settings);
        let user = format!("system:serviceaccount:{}:{NAME}", settings.operator_namespace);
        let mut installs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = installs.entry(user.clone()).or_default();
        let granted: BTreeSet<Right> = objects.iter().flat_map(granted).collect();
        // A second process of an install finds what the first one was given.
        if !granted.is_subset(known) {
            for object in &objects {
                kubernetes.apply_manifest(&object.to_string()).expect("the chart's rights are taken");
            }
            known.extend(granted);
        }
        user
    }

    /// What was asked for without a right to it.
    pub fn beyond(&self, log: &[LoggedRequest]) -> Vec<String> {
        self.compare(log, |granted, used| used.difference(granted).map(ToString::to_string).collect())
    }

    /// The rights that nobody used.
    pub fn unused(&self, log: &[LoggedRequest]) -> Vec<String> {
        self.compare(log, |granted, used| granted.difference(used).map(ToString::to_string).collect())
    }

    /// How many rights there are.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().map(BTreeSet::len).sum()
    }

    fn compare(&self, log: &[LoggedRequest], of: impl Fn(&BTreeSet<Right>, &BTreeSet<Right>) -> Vec<String>) -> Vec<String> {
        let installs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = |(user, granted): (&String, &BTreeSet<Right>)| {
            let used = log.iter().filter(|request| request.user == *user).map(|request| used(request, granted)).collect();
            of(granted, &used)
        };
        installs.iter().flat_map(told).collect()
    }
}

/// The right that a request took: of the namespace's Role, if there is one that grants it.
fn used(request: &LoggedRequest, granted: &BTreeSet<Right>) -> Right {
    let subresource = if request.subresource.is_empty() { String::new() } else { format!("/{}", request.subresource) };
    let resource = format!("{}/{}{subresource}", request.group, request.resource);
    let narrow = Right { namespace: request.namespace.clone(), verb: request.verb.as_str().to_owned(), resource };
    if granted.contains(&narrow) { narrow } else { Right { namespace: String::new(), ..narrow } }
}

/// What a role grants, one right for each verb on each resource.
fn granted(role: &Value) -> Vec<Right> {
    let texts = |value: &Value| value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
    let namespace = role["metadata"]["namespace"].as_str().unwrap_or_default();
    let mut all = vec![];
    for rule in role["rules"].as_array().into_iter().flatten() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                let right = |verb| Right { namespace: namespace.to_owned(), verb, resource: format!("{group}/{resource}") };
                all.extend(texts(&rule["verbs"]).into_iter().map(right));
            }
        }
    }
    all
}

/// The roles and bindings of the chart for an install with these settings.
fn rendered(settings: &Settings) -> Vec<Value> {
    let [cluster, restarts, namespaces] = &*GOLDEN;
    let restarting = settings.rollout_targets == RolloutTargets::Allowed;
    let golden = match (settings.watch_namespaces.is_empty(), restarting) {
        (true, false) => cluster,
        (true, true) => restarts,
        (false, _) => namespaces,
    };
    let watched = |object: &Value| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        !name.ends_with("-clients")
            || settings.watch_namespaces.iter().any(|namespace| object["metadata"]["namespace"] == namespace.as_str())
    };
    let mut objects: Vec<Value> = golden.iter().filter(|object| watched(object)).cloned().collect();
    for object in &mut objects {
        at_home(object, &settings.operator_namespace);
        if let Some(rules) = object["rules"].as_array_mut().filter(|_| !restarting) {
            rules.retain(|rule| rule["apiGroups"] != json!(["apps"]));
        }
    }
    objects
}

/// The golden files are of an install in the usual namespace: another one has its objects elsewhere, and those of the cluster under another name.
fn at_home(object: &mut Value, home: &str) {
    if home == HOME {
        return;
    }
    for name in ["/metadata/name", "/roleRef/name"] {
        if let Some(name) = object.pointer_mut(name) {
            *name = json!(format!("{}-of-{home}", name.as_str().unwrap_or_default()));
        }
    }
    for namespace in ["/metadata/namespace", "/subjects/0/namespace"] {
        if let Some(namespace) = object.pointer_mut(namespace).filter(|namespace| *namespace == HOME) {
            *namespace = json!(home);
        }
    }
}
