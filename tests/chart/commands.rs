//! What pages tell people to do with the chart: Helm's commands are the ones that the end-to-end tests run, and the values exist. Runs no command.

use std::{fs, path::Path};

use serde_json::Value;

use crate::read;

const CHART_README: &str = "charts/genesys-oauth-operator/README.md";

/// README.md, the chart's, and the pages below docs/.
fn pages() -> Vec<String> {
    fn collect(folder: &Path, found: &mut Vec<String>) {
        for path in fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let root = Path::new(env!("CARGO_MANIFEST_DIR"));
                found.push(path.strip_prefix(root).expect("below the root").display().to_string());
            }
        }
    }
    let mut found = vec!["README.md".to_owned(), CHART_README.to_owned()];
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs"), &mut found);
    found
}

/// The commands of Helm on a page, in words; a line that ends in `\` goes on.
fn commands(page: &str) -> Vec<Vec<String>> {
    let joined = read(page).replace("\\\n", " ");
    let lines = joined.lines().filter_map(|line| line.strip_prefix("$ ")).filter(|line| line.starts_with("helm "));
    lines.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

fn values() -> Value {
    serde_yaml::from_str(&read("charts/genesys-oauth-operator/values.yaml")).expect("YAML")
}

/// Whether there is a value of this name, as `--set` writes it.
fn exists(values: &Value, name: &str) -> bool {
    name.split('.').try_fold(values, |value, part| value.get(part)).is_some()
}

#[test]
fn commands_of_helm_are_those_that_are_run() {
    let run = commands(CHART_README);
    assert_eq!(run.iter().map(|words| words[1].as_str()).collect::<Vec<_>>(), ["install", "upgrade", "uninstall"]);
    let (values, mut told) = (values(), 0);
    for page in pages() {
        for words in commands(&page) {
            told += 1;
            let more = run.iter().find_map(|known| words.strip_prefix(known.as_slice()));
            let more = more.unwrap_or_else(|| panic!("{page}: the chart's README has no such command: {}", words.join(" ")));
            for pair in more.chunks(2) {
                let name = pair.last().and_then(|set| set.split('=').next()).unwrap_or_default();
                assert!(pair[0] == "--set" && exists(&values, name), "{page}: {pair:?}");
            }
        }
    }
    assert!(told >= 8, "only {told} commands were found");
}

#[test]
fn values_that_pages_name_exist() {
    let (values, mut told) = (values(), 0);
    for page in pages() {
        let text = read(&page);
        let spans = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
        let names = spans.map(|span| span.split([':', '=']).next().unwrap_or_default());
        for span in names.filter(|span| span.split_once('.').is_some_and(|(first, _)| values.get(first).is_some_and(Value::is_object))) {
            told += 1;
            assert!(exists(&values, span), "{page}: the chart has no value {span}");
        }
    }
    assert!(told >= 20, "only {told} values were found");
    assert!(!exists(&values, "networkPolicy.from"));
}
