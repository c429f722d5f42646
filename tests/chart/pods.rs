//! Every pod that the chart makes, against every control of Pod Security's profile `restricted`, as the Kubernetes documentation lists them. Looks at
//! manifests alone; tightens nothing that the profile leaves open.

use serde_json::{Value, json};

use crate::{golden, goldens, texts};

/// Kinds of volumes that the profile allows.
const VOLUMES: [&str; 8] = ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];
/// Kernel parameters that it takes for safe.
const SYSCTLS: [&str; 10] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
];
const SELINUX: [&str; 5] = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

/// What of a pod's template the profile refuses.
fn refused(template: &Value) -> Vec<String> {
    let (spec, mut found) = (&template["spec"], vec![]);
    let mut say = |wrong: bool, what: &str| {
        if wrong {
            found.push(what.to_owned());
        }
    };
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        say(spec[field] == true, field);
    }
    for volume in spec["volumes"].as_array().into_iter().flatten() {
        let kinds = volume.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).filter(|key| *key != "name");
        kinds.filter(|kind| !VOLUMES.contains(kind)).for_each(|kind| say(true, &format!("volume {kind}")));
    }
    for sysctl in spec["securityContext"]["sysctls"].as_array().into_iter().flatten() {
        say(!SYSCTLS.contains(&sysctl["name"].as_str().unwrap_or_default()), "sysctl");
    }
    for (key, value) in template["metadata"]["annotations"].as_object().into_iter().flatten() {
        let profile = value.as_str().unwrap_or_default();
        let known = profile == "runtime/default" || profile.starts_with("localhost/");
        say(key.starts_with("container.apparmor.security.beta.kubernetes.io/") && !known, "AppArmor by annotation");
    }
    let containers: Vec<&Value> = ["initContainers", "containers", "ephemeralContainers"]
        .iter()
        .flat_map(|list| spec[*list].as_array().into_iter().flatten())
        .collect();
    say(containers.is_empty(), "no container");
    for context in containers.iter().map(|container| &container["securityContext"]).chain([&spec["securityContext"]]) {
        say(context["windowsOptions"]["hostProcess"] == true, "hostProcess");
        say(context["runAsNonRoot"] == false, "runAsNonRoot is false");
        say(context["runAsUser"] == 0, "runAsUser 0");
        let options = &context["seLinuxOptions"];
        say(!SELINUX.contains(&options["type"].as_str().unwrap_or_default()), "SELinux type");
        say(["user", "role"].iter().any(|field| !options[*field].as_str().unwrap_or_default().is_empty()), "SELinux user or role");
        for (field, what) in [("seccompProfile", "seccomp"), ("appArmorProfile", "AppArmor")] {
            let kind = context[field]["type"].as_str();
            say(!matches!(kind, None | Some("RuntimeDefault" | "Localhost")), what);
        }
    }
    for container in containers {
        let context = &container["securityContext"];
        // What the pod says holds for a container that says nothing.
        let said = |field: &str| if context[field].is_null() { &spec["securityContext"][field] } else { &context[field] };
        say(said("runAsNonRoot") != true, "runAsNonRoot is not said");
        say(said("seccompProfile")["type"].is_null(), "seccomp is not said");
        say(context["privileged"] == true, "privileged");
        say(context["allowPrivilegeEscalation"] != false, "allowPrivilegeEscalation");
        say(!matches!(context["procMount"].as_str(), None | Some("Default")), "procMount");
        say(!texts(&context["capabilities"]["drop"]).contains(&"ALL".to_owned()), "capabilities are not dropped");
        say(texts(&context["capabilities"]["add"]).iter().any(|name| name != "NET_BIND_SERVICE"), "capabilities are added");
        for port in container["ports"].as_array().into_iter().flatten() {
            say(!matches!(port["hostPort"].as_u64(), None | Some(0)), "hostPort");
        }
        let probes = ["livenessProbe", "readinessProbe", "startupProbe"].map(|name| &container[name]);
        for handler in probes.into_iter().chain([&container["lifecycle"]["postStart"], &container["lifecycle"]["preStop"]]) {
            let hosts = [&handler["httpGet"]["host"], &handler["tcpSocket"]["host"]];
            say(hosts.iter().any(|host| !host.as_str().unwrap_or_default().is_empty()), "host of a probe");
        }
    }
    found.dedup();
    found
}

/// The pod templates of every golden file, with their places.
fn templates() -> Vec<(String, Value)> {
    let mut all = vec![];
    for name in goldens() {
        let pods = golden(&name).into_iter().filter(|object| object["spec"]["template"]["spec"]["containers"].is_array());
        let pods: Vec<_> = pods.map(|object| (format!("{name}: {}", object["kind"]), object["spec"]["template"].clone())).collect();
        assert!(!pods.is_empty(), "{name} runs no pod");
        all.extend(pods);
    }
    all
}

#[test]
fn every_pod_is_restricted() {
    for (place, template) in templates() {
        assert_eq!(refused(&template), [""; 0], "{place}");
        // Beyond the profile: nothing is written into the container, and the token is asked for.
        let containers = template["spec"]["containers"].as_array().expect("containers");
        assert!(containers.iter().all(|container| container["securityContext"]["readOnlyRootFilesystem"] == true), "{place}");
        assert_eq!(template["spec"]["automountServiceAccountToken"], true, "{place}");
    }
}

#[test]
fn each_control_of_the_profile_is_looked_at() {
    let (_, sound) = templates().remove(0);
    let wrongs = [
        ("/spec/hostNetwork", json!(true), "hostNetwork"),
        ("/spec/hostPID", json!(true), "hostPID"),
        ("/spec/hostIPC", json!(true), "hostIPC"),
        ("/spec/volumes", json!([{ "name": "root", "hostPath": { "path": "/" } }]), "volume hostPath"),
        ("/spec/volumes", json!([{ "name": "share", "nfs": { "server": "a", "path": "/" } }]), "volume nfs"),
        ("/spec/securityContext/sysctls", json!([{ "name": "kernel.msgmax", "value": "1" }]), "sysctl"),
        ("/spec/securityContext/runAsNonRoot", json!(false), "runAsNonRoot is false"),
        ("/spec/securityContext/runAsNonRoot", Value::Null, "runAsNonRoot is not said"),
        ("/spec/securityContext/runAsUser", json!(0), "runAsUser 0"),
        ("/spec/securityContext/seccompProfile", Value::Null, "seccomp is not said"),
        ("/spec/securityContext/seccompProfile", json!({ "type": "Unconfined" }), "seccomp"),
        ("/spec/securityContext/seLinuxOptions", json!({ "type": "spc_t" }), "SELinux type"),
        ("/spec/securityContext/windowsOptions", json!({ "hostProcess": true }), "hostProcess"),
        (
            "/metadata/annotations",
            json!({ "container.apparmor.security.beta.kubernetes.io/operator": "unconfined" }),
            "AppArmor by annotation",
        ),
        ("/spec/containers/0/securityContext/appArmorProfile", json!({ "type": "Unconfined" }), "AppArmor"),
        ("/spec/containers/0/securityContext/seLinuxOptions", json!({ "role": "sysadm_r" }), "SELinux user or role"),
        ("/spec/containers/0/securityContext/privileged", json!(true), "privileged"),
        ("/spec/containers/0/securityContext/allowPrivilegeEscalation", Value::Null, "allowPrivilegeEscalation"),
        ("/spec/containers/0/securityContext/procMount", json!("Unmasked"), "procMount"),
        ("/spec/containers/0/securityContext/capabilities", json!({ "add": ["NET_BIND_SERVICE"] }), "capabilities are not dropped"),
        ("/spec/containers/0/securityContext/capabilities", json!({ "drop": ["ALL"], "add": ["SYS_PTRACE"] }), "capabilities are added"),
        ("/spec/containers/0/ports/0/hostPort", json!(8081), "hostPort"),
        ("/spec/containers/0/livenessProbe/httpGet/host", json!("10.0.0.1"), "host of a probe"),
        ("/spec/initContainers", json!([{ "name": "first", "securityContext": {} }]), "allowPrivilegeEscalation"),
    ];
    for (place, value, expected) in wrongs {
        let mut template = sound.clone();
        let (above, field) = place.rsplit_once('/').expect("a place");
        template.pointer_mut(above).unwrap_or_else(|| panic!("{above} is there"))[field] = value;
        let found = refused(&template);
        assert!(found.contains(&expected.to_owned()), "{place}: {expected:?} is not found, but {found:?}");
    }
}
