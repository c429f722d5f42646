//! What a server adds to and demands of objects of its own kinds; custom kinds have schemas for that.

use serde_json::{Map, Value, json};

use super::error::FieldError;
use super::object;
use super::resource::GroupResource;

/// Fills in what the kind's defaults say.
pub(crate) fn default(id: &GroupResource, value: &mut Value) {
    match (id.group.as_str(), id.resource.as_str()) {
        ("", "secrets") => secret(value),
        ("", "namespaces") => namespace(value),
        ("", "pods") => {
            set_default(value, "spec", "enableServiceLinks", json!(true));
            pod(object::member_mut(value, "spec"));
            set_default(value, "status", "phase", json!("Pending"));
        }
        ("", "events") => event(value),
        ("", "services") => service(value),
        ("networking.k8s.io", _) => network_policy(value),
        ("apps", resource) => workload(value, resource),
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => binding(value),
        ("rbac.authorization.k8s.io", _) if value.get("rules").is_none() => object::set_member(value, "rules", Some(json!([]))),
        ("apiextensions.k8s.io", _) => definition(value),
        _ => {}
    }
}

fn set_default(value: &mut Value, member: &str, name: &str, default: Value) {
    object::member_mut(value, member).entry(name).or_insert(default);
}

fn secret(value: &mut Value) {
    if let Some(Value::Object(data)) = value.get_mut("data") {
        for text in data.values_mut() {
            // Line breaks in base64 mean nothing.
            let joined = text.as_str().filter(|text| text.contains(['\n', '\r'])).map(|text| text.replace(['\n', '\r'], ""));
            if let Some(joined) = joined {
                *text = joined.into();
            }
        }
    }
    if let Some(Value::Object(texts)) = value.get("stringData").cloned() {
        let data = object::member_mut(value, "data");
        for (key, text) in texts {
            let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text.as_str().unwrap_or_default());
            data.insert(key, encoded.into());
        }
    }
    object::set_member(value, "stringData", None);
    if object::text(value, &["type"]).is_empty() {
        object::set_member(value, "type", Some("Opaque".into()));
    }
}

fn namespace(value: &mut Value) {
    let name = object::name(value).to_owned();
    if !name.is_empty() {
        let metadata = object::metadata_mut(value);
        let labels = metadata.entry("labels").or_insert_with(|| json!({}));
        labels["kubernetes.io/metadata.name"] = name.into();
    }
    if object::text(value, &["status", "phase"]).is_empty() {
        object::member_mut(value, "status").insert("phase".into(), "Active".into());
    }
}

/// An event has a place and a time for each of its two forms.
fn event(value: &mut Value) {
    for member in ["source", "involvedObject"] {
        object::member_mut(value, member);
    }
    let Value::Object(map) = value else { return };
    for member in ["reportingComponent", "reportingInstance"] {
        map.entry(member).or_insert_with(|| "".into());
    }
    for member in ["firstTimestamp", "lastTimestamp", "eventTime"] {
        map.entry(member).or_insert(Value::Null);
    }
}

/// Addresses belong to a network, and there is none: a Service gets none but `None`, which a headless one says itself.
fn service(value: &mut Value) {
    set_default(value, "status", "loadBalancer", json!({}));
    let spec = object::member_mut(value, "spec");
    for (name, default) in [
        ("type", json!("ClusterIP")),
        ("sessionAffinity", json!("None")),
        ("internalTrafficPolicy", json!("Cluster")),
        ("ipFamilies", json!(["IPv4"])),
        ("ipFamilyPolicy", json!("SingleStack")),
    ] {
        spec.entry(name).or_insert(default);
    }
    if let Some(address) = spec.get("clusterIP").cloned() {
        spec.entry("clusterIPs").or_insert_with(|| json!([address]));
    }
    if let Some(Value::Array(ports)) = spec.get_mut("ports") {
        for port in ports.iter_mut().filter_map(Value::as_object_mut) {
            port.entry("protocol").or_insert_with(|| "TCP".into());
            let number = port.get("port").cloned().unwrap_or_default();
            port.entry("targetPort").or_insert(number);
        }
    }
}

fn network_policy(value: &mut Value) {
    let spec = object::member_mut(value, "spec");
    for rules in ["ingress", "egress"] {
        for rule in spec.get_mut(rules).and_then(Value::as_array_mut).into_iter().flatten() {
            for port in rule.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut) {
                port.entry("protocol").or_insert_with(|| "TCP".into());
            }
        }
    }
}

fn workload(value: &mut Value, resource: &str) {
    let spec = object::member_mut(value, "spec");
    let mut put = |name: &str, default: Value| {
        spec.entry(name).or_insert(default);
    };
    match resource {
        "deployments" => {
            put("replicas", json!(1));
            put("revisionHistoryLimit", json!(10));
            put("progressDeadlineSeconds", json!(600));
            put("strategy", json!({}));
        }
        "statefulsets" => {
            put("replicas", json!(1));
            put("revisionHistoryLimit", json!(10));
            put("podManagementPolicy", json!("OrderedReady"));
            put("updateStrategy", json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}));
        }
        "daemonsets" => {
            put("revisionHistoryLimit", json!(10));
            put("updateStrategy", json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}));
        }
        _ => put("replicas", json!(1)),
    }
    if let Some(Value::Object(strategy)) = spec.get_mut("strategy") {
        strategy.entry("type").or_insert_with(|| "RollingUpdate".into());
        if strategy.get("type") == Some(&json!("RollingUpdate")) {
            strategy.entry("rollingUpdate").or_insert_with(|| json!({"maxUnavailable": "25%", "maxSurge": "25%"}));
        }
    }
    if let Some(Value::Object(template)) = spec.get_mut("template") {
        let pod_spec = template.entry("spec").or_insert_with(|| json!({}));
        if let Value::Object(pod_spec) = pod_spec {
            pod(pod_spec);
        }
    }
    object::member_mut(value, "status");
}

fn pod(spec: &mut Map<String, Value>) {
    for (name, default) in [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("securityContext", json!({})),
        ("schedulerName", json!("default-scheduler")),
    ] {
        spec.entry(name).or_insert(default);
    }
    for list in ["containers", "initContainers"] {
        let Some(Value::Array(containers)) = spec.get_mut(list) else { continue };
        for container in containers.iter_mut().filter_map(Value::as_object_mut) {
            let latest =
                container.get("image").and_then(Value::as_str).is_some_and(|image| image.ends_with(":latest") || !image.contains(':'));
            let pull = if latest { "Always" } else { "IfNotPresent" };
            for (name, default) in [
                ("imagePullPolicy", json!(pull)),
                ("resources", json!({})),
                ("terminationMessagePath", json!("/dev/termination-log")),
                ("terminationMessagePolicy", json!("File")),
            ] {
                container.entry(name).or_insert(default);
            }
            if let Some(Value::Array(ports)) = container.get_mut("ports") {
                for port in ports.iter_mut().filter_map(Value::as_object_mut) {
                    port.entry("protocol").or_insert_with(|| "TCP".into());
                }
            }
        }
    }
    if let Some(Value::Array(volumes)) = spec.get_mut("volumes") {
        for source in volumes.iter_mut().filter_map(Value::as_object_mut) {
            for name in ["secret", "configMap"] {
                if let Some(Value::Object(source)) = source.get_mut(name) {
                    source.entry("defaultMode").or_insert_with(|| json!(420));
                }
            }
        }
    }
}

fn binding(value: &mut Value) {
    const GROUP: &str = "rbac.authorization.k8s.io";
    set_default(value, "roleRef", "apiGroup", GROUP.into());
    if let Some(Value::Array(subjects)) = value.get_mut("subjects") {
        for subject in subjects.iter_mut().filter_map(Value::as_object_mut) {
            let group = if subject.get("kind") == Some(&json!("ServiceAccount")) { None } else { Some(GROUP) };
            if let Some(group) = group {
                subject.entry("apiGroup").or_insert_with(|| group.into());
            }
        }
    }
}

fn definition(value: &mut Value) {
    let kind = object::text(value, &["spec", "names", "kind"]).to_owned();
    let spec = object::member_mut(value, "spec");
    spec.entry("conversion").or_insert_with(|| json!({"strategy": "None"}));
    if let Some(Value::Object(names)) = spec.get_mut("names") {
        names.entry("singular").or_insert_with(|| kind.to_lowercase().into());
        names.entry("listKind").or_insert_with(|| format!("{kind}List").into());
    }
}

/// What is wrong with an object of a built-in kind.
pub(crate) fn errors(id: &GroupResource, value: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    match (id.group.as_str(), id.resource.as_str()) {
        ("", "secrets") => {
            data(value, old, &["data"], &mut errors);
            secret_type(value, &mut errors);
        }
        ("", "configmaps") => data(value, old, &["data", "binaryData"], &mut errors),
        ("", "events") => event_errors(value, &mut errors),
        ("coordination.k8s.io", "leases") => {
            for member in ["leaseDurationSeconds", "leaseTransitions"] {
                let least = i64::from(member == "leaseDurationSeconds");
                if let Some(number) =
                    object::at(value, &["spec", member]).filter(|number| number.as_i64().is_some_and(|number| number < least))
                {
                    let why = if least == 1 { "must be greater than 0" } else { "must be greater than or equal to 0" };
                    errors.push(FieldError::invalid(format!("spec.{member}"), number, why));
                }
            }
        }
        ("apps", _) => selector(value, old, &mut errors),
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
            immutable(value, old, &["roleRef"], "cannot change roleRef", &mut errors);
        }
        _ => {}
    }
    if id == &GroupResource::new("", "secrets") {
        immutable(value, old, &["type"], "field is immutable", &mut errors);
    }
    errors
}

fn immutable(value: &Value, old: Option<&Value>, path: &[&str], why: &str, errors: &mut Vec<FieldError>) {
    let Some(old) = old else { return };
    let (before, after) = (object::at(old, path), object::at(value, path));
    if before != after {
        errors.push(FieldError::invalid(path.join("."), after.unwrap_or(&Value::Null), why));
    }
}

/// How many bytes the data of a Secret or a `ConfigMap` may have.
const MOST_DATA: usize = 1024 * 1024;

/// How many bytes a base64 text stands for.
fn decoded_length(text: &str) -> usize {
    let padding = text.len() - text.trim_end_matches('=').len();
    (text.len() / 4 * 3).saturating_sub(padding)
}

fn data(value: &Value, old: Option<&Value>, members: &[&str], errors: &mut Vec<FieldError>) {
    const WORDS: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
    let frozen = old.is_some_and(|old| old.get("immutable") == Some(&Value::Bool(true)));
    if frozen && value.get("immutable") != Some(&Value::Bool(true)) {
        errors.push(FieldError::forbidden("immutable", "field is immutable when `immutable` is set"));
    }
    let of_member = |member: &&str| value.get(member)?.as_object();
    let texts = members.iter().filter_map(of_member).flatten().filter_map(|(_, value)| value.as_str());
    // The only member of a Secret is written in base64, which takes a third more.
    let size: usize = texts.map(|text| if members.len() == 1 { decoded_length(text) } else { text.len() }).sum();
    if size > MOST_DATA {
        errors.push(FieldError {
            field: members[0].into(),
            reason: "FieldValueTooLong",
            detail: format!("Too long: may not be more than {MOST_DATA} bytes"),
        });
    }
    if let (Some(Value::Object(texts)), Some(Value::Object(bytes))) = (value.get("data"), value.get("binaryData")) {
        for key in texts.keys().filter(|key| bytes.contains_key(*key)) {
            errors.push(FieldError::invalid(format!("data[{key}]"), &key.clone().into(), "duplicate of key present in binaryData"));
        }
    }
    for member in members {
        if frozen && old.and_then(|old| old.get(member)) != value.get(member) {
            errors.push(FieldError::forbidden(*member, "field is immutable when `immutable` is set"));
        }
        let Some(Value::Object(map)) = value.get(member) else { continue };
        for key in map.keys() {
            let good =
                !key.is_empty() && key.chars().all(|character| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.'));
            if !good {
                errors.push(FieldError::invalid(format!("{member}[{key}]"), &key.clone().into(), WORDS));
            } else if key == "." || key.starts_with("..") {
                let why =
                    if matches!(key.as_str(), "." | "..") { format!("must not be '{key}'") } else { "must not start with '..'".to_owned() };
                errors.push(FieldError::invalid(format!("{member}[{key}]"), &key.clone().into(), &why));
            }
        }
    }
}

/// What a Secret of a type that the platform knows must hold.
fn secret_type(value: &Value, errors: &mut Vec<FieldError>) {
    let has = |key: &str| object::at(value, &["data", key]).is_some();
    let mut require = |keys: &[&str]| {
        errors.extend(keys.iter().filter(|key| !has(key)).map(|key| FieldError::required(format!("data[{key}]"), "")));
    };
    match object::text(value, &["type"]) {
        "kubernetes.io/tls" => require(&["tls.crt", "tls.key"]),
        "kubernetes.io/ssh-auth" => require(&["ssh-privatekey"]),
        "kubernetes.io/dockercfg" => require(&[".dockercfg"]),
        "kubernetes.io/dockerconfigjson" => require(&[".dockerconfigjson"]),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => require(&["username", "password"]),
        "kubernetes.io/service-account-token" => {
            const ACCOUNT: &str = "kubernetes.io/service-account.name";
            if object::text(value, &["metadata", "annotations", ACCOUNT]).is_empty() {
                errors.push(FieldError::required(format!("metadata.annotations[{ACCOUNT}]"), ""));
            }
        }
        _ => {}
    }
}

fn event_errors(value: &Value, errors: &mut Vec<FieldError>) {
    let about = object::text(value, &["involvedObject", "namespace"]);
    let place = object::namespace(value);
    // What is in no namespace tells its events in the first one.
    let fits = if about.is_empty() { matches!(place, "default" | "kube-system") } else { about == place };
    if !fits {
        errors.push(FieldError::invalid("involvedObject.namespace", &about.into(), "does not match event.namespace"));
    }
    if object::text(value, &["eventTime"]).is_empty() {
        return;
    }
    // An event of the new form, told by its time, has more to tell.
    for member in ["reportingComponent", "reportingInstance", "action", "reason"] {
        if object::text(value, &[member]).is_empty() {
            let field = if member == "reportingComponent" { "reportingController" } else { member };
            errors.push(FieldError::required(field, ""));
        }
    }
    if !matches!(object::text(value, &["type"]), "Normal" | "Warning") {
        errors.push(FieldError::invalid("type", &object::text(value, &["type"]).into(), "has invalid value: "));
    }
    if object::text(value, &["message"]).len() > 1024 {
        errors.push(FieldError::too_long("message", 1024));
    }
}

fn selector(value: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let path = ["spec", "selector"];
    let Some(Value::Object(labels)) = object::at(value, &["spec", "selector", "matchLabels"]) else {
        if object::at(value, &path).is_none() {
            errors.push(FieldError::required("spec.selector", ""));
        }
        return;
    };
    let template = object::at(value, &["spec", "template", "metadata", "labels"]);
    if labels.iter().any(|(key, wanted)| template.and_then(|labels| labels.get(key)) != Some(wanted)) {
        let told = template.cloned().unwrap_or_else(|| json!({}));
        errors.push(FieldError::invalid("spec.template.metadata.labels", &told, "`selector` does not match template `labels`"));
    }
    immutable(value, old, &path, "field is immutable", errors);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(group: &str, resource: &str) -> GroupResource {
        GroupResource::new(group, resource)
    }

    #[test]
    fn a_secret_is_opaque_and_its_texts_are_encoded() {
        let mut secret = json!({"stringData": {"a": "b"}});
        default(&id("", "secrets"), &mut secret);
        assert_eq!(secret, json!({"data": {"a": "Yg=="}, "type": "Opaque"}));
    }

    #[test]
    fn a_deployment_gets_the_servers_defaults() {
        let mut deployment = json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "a:1"}]}}}});
        default(&id("apps", "deployments"), &mut deployment);
        assert_eq!(deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"], "25%");
        assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"], "IfNotPresent");
    }

    #[test]
    fn a_secret_of_a_known_type_has_its_keys() {
        let fields =
            |secret: &Value| -> Vec<String> { errors(&id("", "secrets"), secret, None).into_iter().map(|error| error.field).collect() };
        assert_eq!(fields(&json!({"type": "kubernetes.io/tls", "data": {"tls.crt": ""}})), ["data[tls.key]"]);
        assert!(fields(&json!({"type": "kubernetes.io/basic-auth", "data": {"password": ""}})).is_empty());
        assert_eq!(fields(&json!({"data": {"..a": "", ".a": ""}})), ["data[..a]"]);
    }

    #[test]
    fn what_may_not_change_is_told() {
        let (old, new) = (json!({"type": "Opaque"}), json!({"type": "x"}));
        assert_eq!(errors(&id("", "secrets"), &new, Some(&old))[0].detail, "Invalid value: \"x\": field is immutable");
    }
}
