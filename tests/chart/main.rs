//! The chart as the golden files hold it: its rights are the documented ones, its pods are restricted, its flags exist. Renders nothing; `tests/chart/run.sh` does.

mod annotations;
mod commands;
mod pods;
mod values;

use std::{collections::BTreeSet, fs, path::PathBuf};

use genesys_oauth_operator::{api, settings::Settings};
use serde_json::Value;

fn read(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn documents(text: &str) -> Vec<Value> {
    let documents = text.split("\n---").map(|document| document.trim_start_matches("---"));
    documents
        .filter(|document| document.lines().any(|line| !line.trim().is_empty() && !line.starts_with('#')))
        .map(|document| serde_yaml::from_str(document).unwrap_or_else(|error| panic!("{error}: {document}")))
        .collect()
}

fn golden(name: &str) -> Vec<Value> {
    documents(&read(&format!("tests/chart/golden/{name}.yaml")))
}

/// The names of all golden files.
fn goldens() -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/chart/golden");
    let files = fs::read_dir(folder).expect("the golden files").flatten().map(|file| file.file_name().to_string_lossy().into_owned());
    let names: Vec<String> = files.filter_map(|name| Some(name.strip_suffix(".values.yaml")?.to_owned())).collect();
    assert!(names.len() >= 5, "few golden files: {names:?}");
    names
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

/// The rights of a role, one line for each verb on each resource.
fn rights(role: &Value) -> BTreeSet<String> {
    let rules = role["rules"].as_array().expect("rules");
    let of_rule = |rule: &Value| {
        let (groups, resources, verbs) = (texts(&rule["apiGroups"]), texts(&rule["resources"]), texts(&rule["verbs"]));
        let pairs =
            groups.into_iter().flat_map(move |group| resources.clone().into_iter().map(move |resource| format!("{group}/{resource}")));
        pairs.flat_map(move |target| verbs.clone().into_iter().map(move |verb| format!("{verb} {target}"))).collect::<Vec<_>>()
    };
    rules.iter().flat_map(of_rule).collect()
}

fn named<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = of_kind(objects, kind).into_iter().find(|object| object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

#[test]
fn the_chart_grants_what_the_page_on_security_lists() {
    let page = read("docs/explanation/security.md");
    let block = page.split("```yaml\n").find(|block| block.contains("kind: ClusterRole")).expect("a block with the rights");
    let documented = documents(block.split("```").next().unwrap_or_default());
    let chart = golden("cluster");
    for kind in ["ClusterRole", "Role"] {
        let name = "genesys-oauth-operator";
        assert_eq!(rights(named(&chart, kind, name)), rights(named(&documented, kind, name)), "{kind}");
    }
}

#[test]
fn with_watched_namespaces_no_right_on_secrets_reaches_beyond_them() {
    let chart = golden("namespaces");
    for role in of_kind(&chart, "ClusterRole") {
        assert!(!rights(role).iter().any(|right| right.ends_with("/secrets")), "{}", role["metadata"]["name"]);
    }
    let places: BTreeSet<String> =
        of_kind(&chart, "Role").into_iter().filter(|role| rights(role).contains("create /secrets")).map(place).collect();
    assert_eq!(places, BTreeSet::from(["team-a".to_owned(), "team-b".to_owned()]));
    // Together they may do what the one of the whole cluster may, and what watching Secrets and restarting workloads takes.
    let cluster = rights(named(&golden("cluster"), "ClusterRole", "genesys-oauth-operator"));
    let mut together = rights(named(&chart, "ClusterRole", "genesys-oauth-operator"));
    together.extend(rights(of_kind(&chart, "Role").into_iter().find(|role| place(role) == "team-a").expect("a Role")));
    let more: BTreeSet<_> = together.difference(&cluster).cloned().collect();
    let restarts = ["deployments", "statefulsets", "daemonsets"]
        .into_iter()
        .flat_map(|kind| ["get", "patch"].map(|verb| format!("{verb} apps/{kind}")));
    let expected = ["list /secrets".to_owned(), "watch /secrets".to_owned()].into_iter().chain(restarts).collect();
    assert_eq!(more, expected);
    assert!(cluster.is_subset(&together), "{:?}", cluster.difference(&together));
}

fn place(object: &Value) -> String {
    object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned()
}

/// What view, edit and admin of Kubernetes get by the roles that are aggregated to them.
fn aggregated(chart: &[Value], to: &str) -> BTreeSet<String> {
    let label = format!("rbac.authorization.k8s.io/aggregate-to-{to}");
    let roles = of_kind(chart, "ClusterRole").into_iter().filter(|role| role["metadata"]["labels"][&label] == "true");
    roles.flat_map(rights).collect()
}

#[test]
fn people_read_and_write_the_kinds_of_a_namespace_and_nothing_else() {
    let kinds: Vec<String> =
        api::crds().into_iter().filter(|crd| crd.spec.scope == "Namespaced").map(|crd| crd.spec.names.plural).collect();
    assert_eq!(kinds.len(), 2, "{kinds:?}: who may work on another kind is to be thought about");
    let on_kinds = |verbs: &[&str]| -> BTreeSet<String> {
        kinds.iter().flat_map(|kind| verbs.iter().map(move |verb| format!("{verb} {}/{kind}", api::GROUP))).collect()
    };
    let read = on_kinds(&["get", "list", "watch"]);
    let mut write = on_kinds(&["create", "update", "patch", "delete", "deletecollection"]);
    write.extend(read.clone());
    // The same whatever is set. Secrets are for those who may read them anyhow, and the status of an object is the operator's.
    for name in goldens().iter().filter(|name| *name != "least") {
        let chart = golden(name);
        for (role, expected) in [("view", &read), ("edit", &write), ("admin", &write)] {
            assert_eq!(aggregated(&chart, role), *expected, "{name}: {role}");
        }
    }
    let least = golden("least");
    assert!(["view", "edit", "admin"].iter().all(|role| aggregated(&least, role).is_empty()), "aggregatedRoles.enabled is false");
}

#[test]
fn the_pods_are_restricted_and_their_flags_exist() {
    for name in goldens() {
        let chart = golden(&name);
        let [deployment] = of_kind(&chart, "Deployment")[..] else { panic!("{name}: one Deployment") };
        let pod = &deployment["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        // What Pod Security asks for under `restricted`.
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(texts(&container["securityContext"]["capabilities"]["drop"]), ["ALL"]);
        let arguments = texts(&container["args"]);
        assert_eq!(arguments.first().map(String::as_str), Some("run"));
        let flags = arguments.iter().skip(1).map(String::as_str).filter(|flag| !flag.starts_with("--log-format="));
        let settings = Settings::from_flags(flags).unwrap_or_else(|error| panic!("{name}: {error}"));
        let grace = pod["terminationGracePeriodSeconds"].as_u64().expect("a number of seconds");
        assert!(grace > settings.shutdown_grace.as_duration().as_secs(), "{name}: the pod is killed before it has finished");
        let ports: Vec<_> =
            container["ports"].as_array().expect("ports").iter().filter_map(|port| port["containerPort"].as_u64()).collect();
        let addresses = [settings.probe_address, settings.metrics_address].into_iter().flatten();
        assert_eq!(ports, addresses.map(|address| u64::from(address.port())).collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn the_definitions_in_the_chart_are_those_of_crds() {
    let files = fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("crds")).expect("crds/");
    let names: Vec<String> = files.flatten().map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    assert!(names.len() >= 3);
    for name in names {
        let copy = read(&format!("charts/genesys-oauth-operator/files/crds/{name}"));
        assert!(copy == read(&format!("crds/{name}")), "{name}: run make generate");
    }
}

#[test]
fn a_network_policy_lets_in_probes_and_those_who_may_read_the_metrics() {
    let chart = golden("namespaces");
    let policy = named(&chart, "NetworkPolicy", "genesys-oauth-operator");
    let ports = |rule: &Value| rule["ports"].as_array().into_iter().flatten().filter_map(|port| port["port"].as_u64()).collect::<Vec<_>>();
    let ingress: Vec<(Vec<u64>, bool)> =
        policy["spec"]["ingress"].as_array().expect("rules").iter().map(|rule| (ports(rule), rule["from"].is_array())).collect();
    // A kubelet asks from an address that no selector names.
    assert_eq!(ingress, [(vec![8081], false), (vec![8080], true)]);
    let selected = &policy["spec"]["podSelector"]["matchLabels"];
    let labels = &named(&chart, "Deployment", "genesys-oauth-operator")["spec"]["template"]["metadata"]["labels"];
    for (label, value) in selected.as_object().expect("labels") {
        assert_eq!(&labels[label], value, "the policy selects other pods");
    }
    assert!(named(&chart, "ServiceAccount", "genesys-oauth-operator")["automountServiceAccountToken"] == false);
}

#[test]
fn replicas_keep_off_one_node_and_leave_together_never() {
    let (one, two) = (golden("cluster"), golden("namespaces"));
    let spread = |chart: &[Value]| {
        named(chart, "Deployment", "genesys-oauth-operator")["spec"]["template"]["spec"]["topologySpreadConstraints"].clone()
    };
    assert!(spread(&one).is_null());
    let [constraint] = spread(&two).as_array().cloned().expect("a constraint").try_into().expect("one");
    // On a single node they must start all the same.
    assert_eq!(
        (constraint["topologyKey"].as_str(), constraint["whenUnsatisfiable"].as_str()),
        (Some("kubernetes.io/hostname"), Some("ScheduleAnyway"))
    );
    let labels = &named(&two, "Deployment", "genesys-oauth-operator")["spec"]["selector"]["matchLabels"];
    assert_eq!(&constraint["labelSelector"]["matchLabels"], labels);
    let budget = named(&two, "PodDisruptionBudget", "genesys-oauth-operator");
    assert_eq!((&budget["spec"]["selector"]["matchLabels"], &budget["spec"]["maxUnavailable"]), (labels, &1.into()));
}
