//! What GitOps tools make of objects as the operator wrote them: `golden/` holds some moments of each kind, kept fresh by the world tests, and `golden.txt`
//! says what is to come of each. Makes up no object.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use crate::{CONDITIONS, flux, health, kstatus, moments, offered, read, yaml};

/// A golden file, and what its row says.
struct Golden {
    name: String,
    object: Value,
    /// The row of `moments.txt` that it is an example of.
    moment: Option<String>,
    kstatus: String,
    argo: String,
    actions: Vec<String>,
}

fn goldens() -> Vec<Golden> {
    let table = read("tests/gitops/golden.txt");
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(" | ").collect();
        let [name, moment, kstatus, argo, actions] = cells[..] else { panic!("five cells and not {line}") };
        Golden {
            name: name.to_owned(),
            object: yaml(&read(&format!("tests/gitops/golden/{name}.yaml"))),
            moment: (moment != "-").then(|| moment.to_owned()),
            kstatus: kstatus.to_owned(),
            argo: argo.to_owned(),
            actions: actions.split(' ').filter(|action| *action != "-").map(str::to_owned).collect(),
        }
    };
    table.lines().filter(|line| !line.starts_with('#')).map(row).collect()
}

fn kind(object: &Value) -> &str {
    object["kind"].as_str().expect("a kind")
}

#[test]
fn every_golden_file_has_a_row_and_every_kind_is_seen_in_every_light() {
    let folder = format!("{}/tests/gitops/golden", env!("CARGO_MANIFEST_DIR"));
    let files = fs::read_dir(folder).expect("the golden files").flatten().map(|file| file.file_name().to_string_lossy().into_owned());
    let files: BTreeSet<String> = files.map(|name| name.trim_end_matches(".yaml").to_owned()).collect();
    let goldens = goldens();
    assert_eq!(goldens.iter().map(|golden| golden.name.clone()).collect::<BTreeSet<_>>(), files);
    let seen: BTreeSet<(&str, &str)> = goldens.iter().map(|golden| (kind(&golden.object), golden.argo.as_str())).collect();
    for kind in ["GenesysOAuthClient", "GenesysOrganization", "GenesysRotationPolicy"] {
        for light in ["Healthy", "Degraded"] {
            assert!(seen.contains(&(kind, light)), "no {kind} that is {light}");
        }
    }
}

#[test]
fn every_tool_reads_them_as_the_table_says() {
    for golden in goldens() {
        let Golden { name, object, .. } = &golden;
        assert_eq!(kstatus(object), golden.kstatus, "{name}");
        let (argo, message) = health(object);
        assert_eq!(argo, golden.argo, "{name}: {message}");
        assert!(!message.is_empty(), "{name}: no message");
        let wanted: &[&str] = match golden.kstatus.as_str() {
            "InProgress" => &["inProgress"],
            "Failed" => &["failed"],
            "Current" => &["current"],
            // Flux asks no expression about what is being deleted.
            _ => continue,
        };
        assert_eq!(flux(object), wanted, "{name}");
    }
}

#[test]
fn argo_cd_offers_for_them_what_can_be_asked_for() {
    for golden in goldens() {
        let wanted: &[String] = &golden.actions;
        if kind(&golden.object) == "GenesysOAuthClient" {
            assert_eq!(offered(&golden.object), wanted, "{}", golden.name);
        } else {
            assert!(wanted.is_empty(), "{}: the example has actions for clients alone", golden.name);
        }
    }
}

/// After an edit everybody waits for the operator, whatever the object showed before.
#[test]
fn none_is_taken_for_done_after_an_edit() {
    for Golden { name, mut object, .. } in goldens() {
        if !object["metadata"]["deletionTimestamp"].is_null() {
            continue;
        }
        let generation = object["metadata"]["generation"].as_i64().expect("a generation");
        object["metadata"]["generation"] = (generation + 1).into();
        assert_eq!((kstatus(&object), health(&object).0.as_str()), ("InProgress", "Progressing"), "{name}");
        assert_eq!(flux(&object), ["inProgress"], "{name}");
    }
}

/// What the table of moments says of the conditions is what the operator wrote, but for what depends on dates and scans.
#[test]
fn the_moments_of_the_table_look_as_they_do_in_life() {
    let (moments, mut compared) = (moments(), 0);
    for golden in goldens() {
        let Some(row) = &golden.moment else { continue };
        let moment = moments.iter().find(|moment| moment.name == *row).unwrap_or_else(|| panic!("{}: no moment {row}", golden.name));
        for condition in CONDITIONS.into_iter().filter(|name| !["CredentialExpiring", "ScopeDrift"].contains(name)) {
            let shown = |object: &Value| {
                let mut all = object["status"]["conditions"].as_array().into_iter().flatten();
                let found = all.find(|entry| entry["type"] == condition).unwrap_or_else(|| panic!("{}: no {condition}", golden.name));
                (found["status"].clone(), found["reason"].clone())
            };
            assert_eq!(shown(&golden.object), shown(&moment.object), "{} and {row}: {condition}", golden.name);
        }
        assert_eq!((&golden.kstatus, &golden.argo), (&moment.kstatus, &moment.argo), "{}", golden.name);
        compared += 1;
    }
    assert!(compared >= 15, "only {compared} moments were compared");
}
