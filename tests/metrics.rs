//! The metrics against what is written of them: the page that tells of each, alerts, runbooks and the dashboard. Scrapes nothing; the world tests do.

use std::{collections::BTreeMap, fs, path::PathBuf};

use genesys_oauth_operator::{
    api::condition::ConditionType,
    observability::metrics::{
        catalog::{FAMILIES, Family},
        objects::CLIENT_STATES,
    },
};
use serde_json::Value;

fn read(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The families by the name that a query uses.
fn queried() -> BTreeMap<String, Family> {
    FAMILIES.iter().map(|family| (family.queried(), *family)).collect()
}

#[test]
fn names_follow_the_conventions_of_openmetrics() {
    for family in FAMILIES {
        let name = family.name;
        assert!(name.starts_with("genesys_oauth_") && name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_'), "{name}");
        for suffix in ["_total", "_info", "_bucket", "_sum", "_count", "_created"] {
            assert!(!name.ends_with(suffix), "{name}: the exporter adds {suffix} itself");
        }
        for milli in ["_milliseconds", "_minutes", "_ms", "_percent"] {
            assert!(!name.ends_with(milli), "{name}: base units are seconds and ratios");
        }
        assert!(family.type_name() != "histogram" || name.ends_with("_seconds"), "{name}: a histogram of what?");
        assert!(family.help.ends_with('.') && !family.help.contains('\n'), "{name}: its help is a sentence");
        assert!(family.labels.iter().all(|label| !["le", "job", "instance"].contains(label)), "{name}: Prometheus sets this label itself");
    }
    assert_eq!(queried().len(), FAMILIES.len(), "two families have one name");
}

#[test]
fn the_page_tells_of_every_metric_and_of_no_other() {
    let page = read("docs/reference/metrics.md");
    let code = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let mut told = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with("| `genesys_oauth_")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, type_, labels, meaning] = cells[..] else { panic!("four cells: {line}") };
        assert!(meaning.len() > 10, "{name}: what does it mean?");
        let before = told.insert(code(name)[0].clone(), (type_.to_owned(), code(labels)));
        assert!(before.is_none(), "{name} is told twice");
    }
    let owned = |family: &Family| family.labels.iter().map(|label| (*label).to_owned()).collect::<Vec<_>>();
    let exist: BTreeMap<_, _> =
        queried().into_iter().map(|(name, family)| (name, (family.type_name().to_owned(), owned(&family)))).collect();
    assert_eq!(told, exist);
}

const ALERTS: &str = "charts/genesys-oauth-operator/files/monitoring/alerts.yaml";
const DASHBOARD: &str = "charts/genesys-oauth-operator/files/monitoring/dashboard.json";

fn alerts() -> Vec<Value> {
    let rules: Value = serde_yaml::from_str(&read(ALERTS)).expect("YAML");
    let groups = rules["groups"].as_array().expect("groups");
    groups.iter().flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What of a query is not there: metrics that nobody shows, and labels that no metric of the query has.
fn invented(query: &str) -> Vec<String> {
    let families = queried();
    let words: Vec<&str> = query.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').collect();
    let family = |word: &str| {
        let base = ["_bucket", "_sum", "_count"].into_iter().find_map(|suffix| word.strip_suffix(suffix)).unwrap_or(word);
        families.get(word).or_else(|| families.get(base).filter(|family| family.type_name() == "histogram")).copied()
    };
    let metrics: Vec<&str> = words.iter().copied().filter(|word| word.starts_with("genesys_oauth_")).collect();
    let mut invented: Vec<String> = metrics.iter().filter(|metric| family(metric).is_none()).map(|metric| (*metric).to_owned()).collect();
    let known: Vec<&str> =
        metrics.iter().filter_map(|metric| family(metric)).flat_map(|family| family.labels).copied().chain(["le"]).collect();
    // Labels stand before a matcher, and in the list behind `by` and `on`.
    let matched =
        query.split(['{', ',']).filter_map(|part| part.split(['=', '!']).next().filter(|_| part.contains("=\"") || part.contains("~\"")));
    let listed = ["by (", "on ("].into_iter().flat_map(|word| query.split(word).skip(1)).filter_map(|rest| rest.split(')').next());
    let labels = matched.map(str::trim).filter(|label| label.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_'));
    for label in labels.chain(listed.flat_map(|list| list.split(',').map(str::trim))) {
        if !known.contains(&label) {
            invented.push(label.to_owned());
        }
    }
    if metrics.is_empty() {
        invented.push("no metric at all".to_owned());
    }
    invented
}

/// The values that a query compares a label with.
fn compared(query: &str, label: &str) -> Vec<String> {
    let mark = [format!("{label}=\""), format!("{label}!=\"")];
    mark.iter().flat_map(|mark| query.split(mark.as_str()).skip(1)).filter_map(|rest| Some(rest.split('"').next()?.to_owned())).collect()
}

#[test]
fn alerts_and_dashboard_ask_for_what_is_shown() {
    assert_eq!(invented(r#"sum by (class, le) (rate(genesys_oauth_budget_wait_seconds_bucket{host="api"}[5m]))"#), [""; 0]);
    for (query, fault) in [
        ("genesys_oauth_nothing > 0", "genesys_oauth_nothing"),
        (r#"genesys_oauth_drift{fields="a"}"#, "fields"),
        ("sum by (organization) (genesys_oauth_drift)", "organization"),
        ("genesys_oauth_drift_bucket", "genesys_oauth_drift_bucket"),
        ("genesys_oauth_rotations", "genesys_oauth_rotations"),
        ("up == 0", "no metric at all"),
    ] {
        assert_eq!(invented(query), [fault], "{query}");
    }
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten().map(|target| text(&target["expr"])));
    let alerts = alerts();
    let queries: Vec<&str> = alerts.iter().map(|alert| text(&alert["expr"])).chain(targets).collect();
    assert!(queries.len() > 35, "few queries were found: {}", queries.len());
    let types: Vec<&str> = ConditionType::OAUTH_CLIENT.iter().map(|type_| type_.as_str()).collect();
    for query in &queries {
        assert_eq!(invented(query), [""; 0], "{query}");
        if query.contains("genesys_oauth_condition") {
            assert!(compared(query, "type").iter().all(|type_| types.contains(&type_.as_str())), "{query}");
            assert!(compared(query, "status").iter().all(|status| ["True", "False", "Unknown"].contains(&status.as_str())), "{query}");
        }
        if query.contains("genesys_oauth_clients") {
            assert!(compared(query, "state").iter().all(|state| CLIENT_STATES.contains(&state.as_str())), "{query}");
        }
    }
    for family in queried().keys().filter(|name| !name.ends_with("_info")) {
        let mut places = queries.iter().filter(|query| query.contains(family.as_str()));
        assert!(places.next().is_some() || UNWATCHED.contains(&family.as_str()), "{family} is in no alert and no panel");
    }
}

/// Metrics that explain what others show.
const UNWATCHED: [&str; 3] =
    ["genesys_oauth_credential_issued_timestamp_seconds", "genesys_oauth_retiring_clients", "genesys_oauth_rotation_steps_total"];

#[test]
fn every_alert_has_a_runbook_a_test_and_a_row_and_no_other_runbook_is_there() {
    let (page, index, tests) = (read("docs/reference/metrics.md"), read("docs/README.md"), read("tests/monitoring/alerts.test.yaml"));
    let mut names = vec![];
    for alert in alerts() {
        let name = text(&alert["alert"]);
        let severity = text(&alert["labels"]["severity"]);
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: {severity}");
        let annotations = &alert["annotations"];
        assert!(text(&annotations["summary"]).len() > 20 && text(&annotations["description"]).len() > 40, "{name} says too little");
        let runbook = format!("docs/runbooks/{name}.md");
        assert!(text(&annotations["runbook_url"]).ends_with(&format!("/blob/main/{runbook}")), "{name}: its runbook is {runbook}");
        let after = alert["for"].as_str().unwrap_or("at once");
        assert!(
            page.contains(&format!("| [{name}](../runbooks/{name}.md) | {severity} | {after} |")),
            "metrics.md lacks the row of {name}"
        );
        assert!(index.contains(&format!("](runbooks/{name}.md)")), "docs/README.md does not lead to {runbook}");
        assert!(tests.contains(&format!("{name} fires\n")) && tests.contains(&format!("{name} keeps silent\n")), "{name} is not tried");
        let told = read(&runbook);
        assert!(told.starts_with(&format!("# {name}\n")), "{runbook} is about something else");
        for part in ["## What it means", "## What to look at", "## What to do"] {
            assert!(told.contains(part), "{runbook} lacks {part:?}");
        }
        assert!(told.contains("```sh\nkubectl "), "{runbook} gives no command");
        names.push(format!("{name}.md"));
    }
    assert!(names.len() >= 15, "few alerts were found: {names:?}");
    let folder = fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/runbooks")).expect("docs/runbooks");
    let mut there: Vec<String> = folder.flatten().map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    there.sort();
    assert_eq!(there, names);
}
