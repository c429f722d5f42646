//! The rules of the house, read off the sources: who may import what, which modules are pure, how a file begins, how long it gets. Runs nothing.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A file past this many lines is no longer one room. Tests beside the code count.
const MOST_LINES: usize = 420;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &str) -> Vec<(String, String)> {
    fn collect(path: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(path).expect("the folder can be read").flatten() {
            let path = entry.path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                collect(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let mut files = vec![];
    collect(&root().join(folder), &mut files);
    assert!(!files.is_empty(), "{folder} holds no Rust file: this test would see nothing");
    let text = |path: &PathBuf| fs::read_to_string(path).expect("the file can be read");
    files.iter().map(|path| (path.strip_prefix(root()).expect("below the root").display().to_string(), text(path))).collect()
}

/// The code of a file without its tests and comments.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is(file: &str, names: &[&str]) -> bool {
    names.iter().any(|name| file == *name || (name.ends_with('/') && file.starts_with(name)))
}

#[test]
fn every_file_opens_with_a_sentence() {
    for folder in ["src", "simulator", "tests", "examples"] {
        for (file, text) in rust_files(folder) {
            let first = text.lines().next().unwrap_or_default();
            let sentence = first.strip_prefix("//! ").or_else(|| first.strip_prefix("/*! ")).unwrap_or_default();
            assert!(sentence.len() > 30, "{file} must open with a sentence that says what it does and what it must not do");
        }
    }
}

#[test]
fn files_stay_rooms() {
    for folder in ["src", "simulator", "tests", "examples"] {
        for (file, text) in rust_files(folder) {
            let lines = text.lines().count();
            assert!(lines <= MOST_LINES, "{file} has {lines} lines: make it two rooms");
        }
    }
}

#[test]
fn the_platform_knows_nothing_of_kubernetes() {
    for (file, text) in rust_files("src/genesys") {
        for word in ["kube::", "k8s_openapi", "crate::api", "crate::controller", "crate::secret"] {
            assert!(!code(&text).contains(word), "{file} must not use {word}");
        }
    }
}

#[test]
fn the_kinds_import_nothing_else_of_ours() {
    for (file, text) in rust_files("src/api") {
        assert!(!code(&text).contains("crate::"), "{file} must not import another part of this crate");
    }
}

#[test]
fn the_arithmetic_of_rotation_knows_the_kinds_alone() {
    for (file, text) in rust_files("src/rotation") {
        let allowed = code(&text).replace("crate::api", "");
        for word in ["crate::", "kube::", "tokio", "jiff::Zoned", "TimeZone::get", "TimeZone::system"] {
            assert!(!allowed.contains(word), "{file} must not use {word}");
        }
    }
}

#[test]
fn the_controllers_speak_no_http() {
    for (file, text) in rust_files("src/controller") {
        for word in ["reqwest", "hyper::"] {
            assert!(!code(&text).contains(word), "{file} must not use {word}");
        }
    }
}

/// The members of a JSON line that are not a line's own: a field of such a name would stand in it twice.
const TAKEN: [&str; 7] = ["timestamp", "level", "target", "spans", "organization", "message", "fields"];

fn takes(code: &str) -> Option<&'static str> {
    let event = |text: &&str| ["error!(", "warn!(", "info!(", "debug!(", "trace!("].iter().any(|name| text.starts_with(name));
    code.split("tracing::").skip(1).filter(event).find_map(|text| {
        let fields = text.split_once(");").map_or(text, |(fields, _)| fields).replace(['\n', '('], ", ");
        let names =
            fields.split(", ").map(|field| field.split(" = ").next().unwrap_or_default().trim().trim_start_matches(['%', '?']).to_owned());
        let names: Vec<String> = names.collect();
        TAKEN.into_iter().find(|taken| names.iter().any(|name| name == taken))
    })
}

#[test]
fn no_line_of_the_log_has_a_field_that_every_line_has() {
    assert_eq!(takes("tracing::info!(%message, \"told\");"), Some("message"));
    assert_eq!(takes("tracing::warn!(\n    reason, organization = %name, \"told\"\n);"), Some("organization"));
    assert_eq!(takes("tracing::error_span!(\"client\", organization); tracing::warn!(note = %message, \"told\");"), None);
    for (file, text) in rust_files("src") {
        assert_eq!(takes(&code(&text)), None, "{file}");
    }
}

#[test]
fn pure_files_have_no_io_and_no_clock() {
    let pure = [
        "src/api/",
        "src/rotation/",
        "src/marker.rs",
        "src/keys.rs",
        "src/secret.rs",
        "src/secret/rotation.rs",
        "src/genesys/budget/breaker.rs",
        "src/genesys/budget/bucket.rs",
        "src/genesys/budget/core.rs",
        "src/genesys/budget/learning.rs",
        "src/genesys/budget/queue.rs",
        "src/genesys/budget/room.rs",
        "src/genesys/budget/view.rs",
        "src/genesys/budget/work.rs",
        "src/controller/oauth_client/access.rs",
        "src/controller/oauth_client/class.rs",
        "src/controller/oauth_client/decide.rs",
        "src/controller/oauth_client/decide/adopt.rs",
        "src/controller/oauth_client/decide/limit.rs",
        "src/controller/oauth_client/decide/recover.rs",
        "src/controller/oauth_client/intent.rs",
        "src/controller/oauth_client/decide/settle.rs",
        "src/controller/oauth_client/decide/rotate.rs",
        "src/controller/oauth_client/drift.rs",
        "src/controller/oauth_client/moments.rs",
        "src/controller/oauth_client/outlook.rs",
        "src/controller/oauth_client/policy.rs",
        "src/controller/oauth_client/timetable.rs",
        "src/controller/oauth_client/observation.rs",
        "src/controller/oauth_client/plan.rs",
        "src/controller/oauth_client/rollouts/progress.rs",
        "src/controller/oauth_client/status.rs",
        "src/controller/oauth_client/validate.rs",
        "src/controller/organization/inventory.rs",
        "src/controller/organization/pin.rs",
        "src/controller/organization/status.rs",
        "src/controller/organization/usage.rs",
        "src/controller/rotation_policy/counts.rs",
        "src/controller/rotation_policy/status.rs",
        "src/observability/metrics/catalog.rs",
        "src/observability/metrics/objects.rs",
        "src/observability/metrics/organizations.rs",
        "src/observability/metrics/page.rs",
    ];
    let files = rust_files("src");
    let found: Vec<_> = files.iter().filter(|(file, _)| is(file, &pure)).collect();
    assert!(found.len() >= pure.len(), "a pure file was moved: tell this test");
    for (file, text) in found {
        for word in ["async ", ".await", "kube::Client", "Api<", "Instant::now", "Timestamp::now", "rand::"] {
            assert!(!code(text).contains(word), "{file} is pure and must not use {word}");
        }
    }
}

#[test]
fn only_named_files_change_the_world() {
    let writers = [
        "src/controller/kubernetes.rs",
        "src/controller/oauth_client/adopt.rs",
        "src/controller/oauth_client/cleanup.rs",
        "src/controller/oauth_client/integrations.rs",
        "src/controller/oauth_client/mint.rs",
        "src/controller/oauth_client/retire.rs",
        "src/controller/oauth_client/rollouts.rs",
        "src/controller/oauth_client/secret_write.rs",
        "src/controller/oauth_client/update.rs",
        "src/controller/oauth_client/pass.rs",
        "src/controller/rotation_policy/review.rs",
    ];
    let calls = [
        ".create_client(",
        ".update_client(",
        ".delete_client(",
        ".reset_secret(",
        ".update_integration_credential(",
        ".replace_status(",
        "replace_status(",
        "api.create(",
        "api.replace(",
        ".patch(",
        "api.delete(",
    ];
    for (file, text) in rust_files("src/controller") {
        for call in calls {
            assert!(!code(&text).contains(call) || is(&file, &writers), "{file} must not change the world by {call}");
        }
    }
}

#[test]
fn status_is_written_in_one_place() {
    let places: Vec<_> = rust_files("src/controller/oauth_client")
        .into_iter()
        .filter(|(_, text)| code(text).contains("replace_status("))
        .map(|(file, _)| file)
        .collect();
    assert_eq!(places, ["src/controller/oauth_client/pass.rs"]);
}

#[test]
fn conditions_decide_nothing() {
    for name in [
        "decide.rs",
        "validate.rs",
        "observe.rs",
        "observation.rs",
        "apply.rs",
        "mint.rs",
        "look.rs",
        "correct.rs",
        "drift.rs",
        "publish.rs",
        "update.rs",
        "verify.rs",
        "retire.rs",
        "cleanup.rs",
        "rollouts.rs",
        "integrations.rs",
    ] {
        let file = format!("src/controller/oauth_client/{name}");
        let text = fs::read_to_string(root().join(&file)).expect("the file can be read");
        assert!(!code(&text).contains(".conditions"), "{file} must not read conditions");
    }
}
