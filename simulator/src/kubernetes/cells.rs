//! The columns and cells of built-in kinds; custom kinds bring their own.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::object;
use super::resource::GroupResource;
use super::table::age;

/// `(name, type, priority)` of each column after the first.
type Columns = &'static [(&'static str, &'static str, i64)];

fn columns(id: &GroupResource) -> Columns {
    match (id.group.as_str(), id.resource.as_str()) {
        ("", "namespaces") => &[("Status", "string", 0), ("Age", "string", 0)],
        ("", "secrets") => &[("Type", "string", 0), ("Data", "string", 0), ("Age", "string", 0)],
        ("", "configmaps") => &[("Data", "string", 0), ("Age", "string", 0)],
        ("", "serviceaccounts") => &[("Secrets", "string", 0), ("Age", "string", 0)],
        ("", "pods") => &[
            ("Ready", "string", 0),
            ("Status", "string", 0),
            ("Restarts", "string", 0),
            ("Age", "string", 0),
            ("IP", "string", 1),
            ("Node", "string", 1),
            ("Nominated Node", "string", 1),
            ("Readiness Gates", "string", 1),
        ],
        ("apps", "deployments") => &[
            ("Ready", "string", 0),
            ("Up-to-date", "string", 0),
            ("Available", "string", 0),
            ("Age", "string", 0),
            ("Containers", "string", 1),
            ("Images", "string", 1),
            ("Selector", "string", 1),
        ],
        ("apps", "statefulsets") => &[("Ready", "string", 0), ("Age", "string", 0), ("Containers", "string", 1), ("Images", "string", 1)],
        ("apps", "daemonsets") => &[
            ("Desired", "integer", 0),
            ("Current", "integer", 0),
            ("Ready", "integer", 0),
            ("Up-to-date", "integer", 0),
            ("Available", "integer", 0),
            ("Node Selector", "string", 0),
            ("Age", "string", 0),
            ("Containers", "string", 1),
            ("Images", "string", 1),
            ("Selector", "string", 1),
        ],
        ("apps", "replicasets") => &[
            ("Desired", "integer", 0),
            ("Current", "integer", 0),
            ("Ready", "integer", 0),
            ("Age", "string", 0),
            ("Containers", "string", 1),
            ("Images", "string", 1),
            ("Selector", "string", 1),
        ],
        ("coordination.k8s.io", _) => &[("Holder", "string", 0), ("Age", "string", 0)],
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => &[
            ("Role", "string", 0),
            ("Age", "string", 0),
            ("Users", "string", 1),
            ("Groups", "string", 1),
            ("ServiceAccounts", "string", 1),
        ],
        _ => &[("Created At", "date", 0)],
    }
}

const EVENT_COLUMNS: Columns = &[
    ("Last Seen", "string", 0),
    ("Type", "string", 0),
    ("Reason", "string", 0),
    ("Object", "string", 0),
    ("Subobject", "string", 1),
    ("Source", "string", 1),
    ("Message", "string", 0),
    ("First Seen", "string", 1),
    ("Count", "string", 1),
];

fn is_events(id: &GroupResource) -> bool {
    id.resource == "events"
}

/// The column of names.
pub(crate) fn name_column(priority: i64) -> Value {
    let about = "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";
    json!({"name": "Name", "type": "string", "format": "name", "description": about, "priority": priority})
}

pub(crate) fn column_definitions(id: &GroupResource) -> Value {
    let told = |(name, type_name, priority): &(&str, &str, i64)| json!({"name": name, "type": type_name, "format": "", "description": "", "priority": priority});
    if is_events(id) {
        let mut columns: Vec<Value> = EVENT_COLUMNS.iter().map(told).collect();
        columns.push(name_column(1));
        return columns.into();
    }
    let mut all = vec![name_column(0)];
    all.extend(columns(id).iter().map(told));
    all.into()
}

fn count(object: &Value, path: &[&str]) -> usize {
    object::at(object, path).map_or(0, |value| value.as_object().map_or_else(|| value.as_array().map_or(0, Vec::len), serde_json::Map::len))
}

fn number(object: &Value, path: &[&str]) -> i64 {
    object::at(object, path).and_then(Value::as_i64).unwrap_or(0)
}

fn or_none(text: String) -> String {
    if text.is_empty() { "<none>".into() } else { text }
}

fn containers(object: &Value, path: &[&str], member: &str) -> String {
    let texts: Vec<&str> = object::list(object, path).iter().map(|container| object::text(container, &[member])).collect();
    texts.join(",")
}

fn labels(object: &Value, path: &[&str]) -> String {
    let labels = object::at(object, path).and_then(Value::as_object);
    let texts: Vec<String> =
        labels.into_iter().flatten().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    or_none(texts.join(","))
}

fn subjects(object: &Value, kind: &str) -> String {
    let of_kind = |subject: &&Value| object::text(subject, &["kind"]) == kind;
    let texts: Vec<String> = object::list(object, &["subjects"])
        .iter()
        .filter(of_kind)
        .map(|subject| {
            let (namespace, name) = (object::text(subject, &["namespace"]), object::text(subject, &["name"]));
            if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
        })
        .collect();
    texts.join(", ")
}

/// The cells of an object of a built-in kind.
pub(crate) fn cells(id: &GroupResource, object: &Value, now: Timestamp) -> Vec<Value> {
    let created = object::text(object, &["metadata", "creationTimestamp"]);
    let old = Value::from(age(created, now));
    let mut cells: Vec<Value> = vec![object::name(object).into()];
    let pod_containers = &["spec", "template", "spec", "containers"];
    let status = |name: &str| number(object, &["status", name]);
    match (id.group.as_str(), id.resource.as_str()) {
        (_, "events") => return event(object, now),
        ("", "namespaces") => cells.extend([object::text(object, &["status", "phase"]).into(), old]),
        ("", "secrets") => cells.extend([object::text(object, &["type"]).into(), count(object, &["data"]).into(), old]),
        ("", "configmaps") => cells.extend([(count(object, &["data"]) + count(object, &["binaryData"])).into(), old]),
        ("", "serviceaccounts") => cells.extend([count(object, &["secrets"]).into(), old]),
        ("", "pods") => pod(object, old, &mut cells),
        ("apps", "deployments") => {
            let ready = format!("{}/{}", status("readyReplicas"), number(object, &["spec", "replicas"]));
            cells.extend([ready.into(), status("updatedReplicas").into(), status("availableReplicas").into(), old]);
            cells.extend([containers(object, pod_containers, "name").into(), containers(object, pod_containers, "image").into()]);
            cells.push(labels(object, &["spec", "selector", "matchLabels"]).into());
        }
        ("apps", "statefulsets") => {
            cells.extend([format!("{}/{}", status("readyReplicas"), number(object, &["spec", "replicas"])).into(), old]);
            cells.extend([containers(object, pod_containers, "name").into(), containers(object, pod_containers, "image").into()]);
        }
        ("apps", "daemonsets") => {
            cells.extend(
                ["desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled", "numberAvailable"]
                    .map(|name| status(name).into()),
            );
            cells.extend([labels(object, &["spec", "template", "spec", "nodeSelector"]).into(), old]);
            cells.extend([containers(object, pod_containers, "name").into(), containers(object, pod_containers, "image").into()]);
            cells.push(labels(object, &["spec", "selector", "matchLabels"]).into());
        }
        ("apps", "replicasets") => {
            cells.extend([number(object, &["spec", "replicas"]).into(), status("replicas").into(), status("readyReplicas").into(), old]);
            cells.extend([containers(object, pod_containers, "name").into(), containers(object, pod_containers, "image").into()]);
            cells.push(labels(object, &["spec", "selector", "matchLabels"]).into());
        }
        ("coordination.k8s.io", _) => cells.extend([object::text(object, &["spec", "holderIdentity"]).into(), old]),
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
            let role = format!("{}/{}", object::text(object, &["roleRef", "kind"]), object::text(object, &["roleRef", "name"]));
            cells.extend([role.into(), old]);
            cells.extend(["User", "Group", "ServiceAccount"].map(|kind| subjects(object, kind).into()));
        }
        _ => cells.push(created.into()),
    }
    cells
}

fn pod(object: &Value, old: Value, cells: &mut Vec<Value>) {
    let statuses = object::list(object, &["status", "containerStatuses"]);
    let ready = statuses.iter().filter(|status| status["ready"] == true).count();
    let restarts: i64 = statuses.iter().map(|status| number(status, &["restartCount"])).sum();
    let phase = if object::is_terminating(object) { "Terminating" } else { object::text(object, &["status", "phase"]) };
    cells.extend([format!("{ready}/{}", count(object, &["spec", "containers"])).into(), phase.into(), restarts.to_string().into(), old]);
    let text = |path: &[&str]| Value::from(or_none(object::text(object, path).to_owned()));
    cells.extend([text(&["status", "podIP"]), text(&["spec", "nodeName"]), text(&["status", "nominatedNodeName"]), "<none>".into()]);
}

fn event(object: &Value, now: Timestamp) -> Vec<Value> {
    let first_of = |paths: &[&[&str]]| {
        paths.iter().map(|path| object::text(object, path)).find(|text| !text.is_empty()).unwrap_or_default().to_owned()
    };
    let first = first_of(&[&["firstTimestamp"], &["eventTime"]]);
    let last = first_of(&[&["series", "lastObservedTime"], &["lastTimestamp"], &["firstTimestamp"], &["eventTime"]]);
    let times = number(object, &["series", "count"]).max(number(object, &["count"])).max(1);
    let about = &object["involvedObject"];
    let target = format!("{}/{}", object::text(about, &["kind"]).to_lowercase(), object::text(about, &["name"]));
    let source = first_of(&[&["source", "component"], &["reportingComponent"]]);
    let host = first_of(&[&["source", "host"], &["reportingInstance"]]);
    let source = if host.is_empty() { source } else { format!("{source}, {host}") };
    vec![
        age(&last, now).into(),
        object::text(object, &["type"]).into(),
        object::text(object, &["reason"]).into(),
        target.into(),
        object::text(about, &["fieldPath"]).into(),
        source.into(),
        object::text(object, &["message"]).trim().into(),
        age(&first, now).into(),
        times.into(),
        object::name(object).into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_as_many_cells_as_columns() {
        for kind in super::super::builtin::registry().iter() {
            let object = json!({"metadata": {"name": "a", "creationTimestamp": "2026-01-05T08:00:00Z"}});
            let cells = cells(&kind.stored_as, &object, Timestamp::UNIX_EPOCH);
            let columns = column_definitions(&kind.stored_as);
            assert_eq!(Some(cells.len()), columns.as_array().map(Vec::len), "{}", kind.id);
        }
    }
}
