//! The docs against the code they speak of: links, make targets, conditions, fields, flags, keys, and the manifests in examples and pages. Runs
//! nothing; that the commands of the pages work is shown by the end-to-end tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use clap::{Args as _, Command};
use genesys_oauth_operator::{
    api::{
        self, GenesysOAuthClient, GenesysOrganization, GenesysRotationPolicy, condition::Reason, oauth_client::CredentialsSecret,
        oauth_client::SecretPreset, rules,
    },
    keys::KeyMap,
    secret,
    settings::Settings,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// The longest line of a page, in characters.
const LONGEST_LINE: usize = 140;

/// A fenced block: its language, the number of its first line, its text.
struct Block {
    language: String,
    line: usize,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every page, by its path from the root.
fn pages() -> BTreeMap<String, String> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("the folder can be read").flatten() {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    let mut found = vec![root().join("README.md"), root().join("tests/control-plane/README.md")];
    collect(&root().join("docs"), &mut found);
    assert!(found.len() > 10, "docs/ holds few pages: this test would see little");
    let name = |path: &PathBuf| path.strip_prefix(root()).expect("below the root").display().to_string();
    found.iter().map(|path| (name(path), read(&name(path)))).collect()
}

/// The blocks of a page, and the page without them.
fn parse(page: &str, text: &str) -> (Vec<Block>, String) {
    let (mut blocks, mut prose) = (vec![], String::new());
    let mut open: Option<Block> = None;
    for (index, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(language), None) => open = Some(Block { language: language.to_owned(), line: index + 2, text: String::new() }),
            (Some(_), Some(block)) => blocks.push(block),
            (None, Some(mut block)) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {
                prose.push_str(line);
                prose.push('\n');
            }
        }
    }
    assert!(open.is_none(), "{page}: a block is not closed");
    (blocks, prose)
}

/// What stands between backticks.
fn code_spans(prose: &str) -> Vec<&str> {
    prose.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase().replace(' ', "-");
    kept.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_')).collect()
}

fn headings(prose: &str, mark: &str) -> Vec<String> {
    prose.lines().filter_map(|line| line.strip_prefix(mark)).map(|heading| heading.trim().to_owned()).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let heading = |line: &str| line.starts_with('#').then(|| anchor(line.trim_start_matches('#')));
    parse("", text).1.lines().filter_map(heading).collect()
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut links = 0;
    for (page, text) in pages() {
        let prose = parse(&page, &text).1;
        for rest in prose.split("](").skip(1) {
            let target = rest.split(')').next().unwrap_or_default();
            if target.contains("://") {
                continue;
            }
            links += 1;
            let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
            let file = if path.is_empty() { root().join(&page) } else { root().join(&page).parent().expect("a folder").join(path) };
            assert!(file.exists(), "{page}: {target} leads nowhere");
            if !fragment.is_empty() {
                let there = fs::read_to_string(&file).expect("a page");
                assert!(anchors(&there).contains(fragment), "{page}: {target}: no such heading");
            }
        }
    }
    assert!(links > 30, "only {links} links were seen");
}

#[test]
fn every_page_is_in_the_index() {
    let index = read("docs/README.md");
    for page in pages().keys().filter_map(|page| page.strip_prefix("docs/")).filter(|page| *page != "README.md") {
        assert!(index.contains(&format!("]({page})")), "docs/README.md does not lead to {page}");
    }
}

#[test]
fn pages_read_well() {
    for (page, text) in pages() {
        for (number, line) in text.lines().enumerate() {
            let length = line.chars().count();
            assert!(length <= LONGEST_LINE, "{page}:{}: {length} characters are more than {LONGEST_LINE}", number + 1);
        }
        let lines: Vec<&str> = text.lines().collect();
        for block in parse(&page, &text).0 {
            let before = lines[block.line.saturating_sub(8)..block.line - 1].join(" ");
            assert!(block.language != "console" || before.contains("not run"), "{page}:{}: say why this is not run", block.line);
            let known = ["sh", "text", "console", "yaml", "mermaid"].contains(&block.language.as_str());
            assert!(
                known,
                "{page}:{}: a block is sh (run), text, console (not run), yaml or mermaid, not {:?}",
                block.line, block.language
            );
        }
    }
}

#[test]
fn make_targets_are_told_and_those_told_exist() {
    let makefile = read("Makefile");
    let targets: BTreeSet<&str> =
        makefile.lines().filter(|line| line.contains(": ") && line.contains("## ")).filter_map(|line| line.split(':').next()).collect();
    assert!(targets.len() > 8, "the Makefile's targets were not found: {targets:?}");
    let mut told = BTreeSet::new();
    for (page, text) in pages() {
        let (blocks, prose) = parse(&page, &text);
        let spans = code_spans(&prose).into_iter().map(str::to_owned);
        let lines = blocks.iter().flat_map(|block| block.text.lines()).map(|line| line.trim_start_matches("$ ").to_owned());
        for words in spans.chain(lines).filter_map(|line| line.strip_prefix("make ").map(str::to_owned)) {
            for word in words.split_whitespace().take_while(|word| !word.contains('=') && !word.starts_with(['#', '-'])) {
                assert!(targets.contains(word), "{page}: the Makefile has no target {word:?}");
                told.insert(word.to_owned());
            }
        }
    }
    let untold: Vec<_> = targets.iter().filter(|target| !told.contains(**target)).collect();
    assert!(untold.is_empty(), "no page tells of make {untold:?}");
}

#[test]
fn conditions_and_reasons_are_all_told_and_no_others() {
    let page = "docs/reference/conditions.md";
    let text = read(page);
    let prose = parse(page, &text).1;
    let told = headings(&prose, "### ");
    let exist: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), told.len(), "a reason is told twice");
    for reason in &exist {
        assert!(told.iter().any(|heading| heading == reason), "{page} has no heading ### {reason}");
    }
    for heading in &told {
        assert!(exist.contains(&heading.as_str()), "{page} tells of {heading}, which is no reason");
    }
    // The types have no list of their own: they are read off the function that names them.
    let source = read("src/api/condition.rs");
    let source = source.split("macro_rules!").next().unwrap_or_default();
    let named = |line: &str| Some(line.trim().strip_prefix("Self::")?.split_once(" => \"")?.1.trim_end_matches("\",").to_owned());
    let types: BTreeSet<String> = source.lines().filter_map(named).collect();
    assert!(types.len() >= api::condition::ConditionType::OAUTH_CLIENT.len(), "the types were not found: {types:?}");
    let section = prose.split("## Types").nth(1).and_then(|rest| rest.split("## Reasons").next()).expect("the page has both sections");
    let rows: BTreeSet<String> = section.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned())).collect();
    assert_eq!(rows, types, "{page}: the table of types");
}

/// Every field of a schema, as the page writes it.
fn fields(path: &str, schema: &Value, found: &mut BTreeSet<String>) {
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let list = property.get("items");
        let path = format!("{path}.{name}{}", if list.is_some() { "[]" } else { "" });
        found.insert(path.clone());
        fields(&path, list.unwrap_or(property), found);
    }
}

#[test]
fn every_field_of_the_crds_is_told_and_no_other() {
    let page = "docs/reference/resources.md";
    let text = read(page);
    for crd in api::crds() {
        let kind = &crd.spec.names.kind;
        let schema = crd.spec.versions[0].schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
        let schema = serde_json::to_value(schema).expect("a schema is JSON");
        let mut exist = BTreeSet::new();
        for part in ["spec", "status"] {
            fields(part, &schema["properties"][part], &mut exist);
        }
        let own = text.split(&format!("## {kind}\n")).nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a section for each kind");
        let common =
            text.split("Each condition of every kind").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("the conditions' fields");
        let spans = [code_spans(own), code_spans(common)].concat();
        let told: BTreeSet<String> =
            spans.into_iter().filter(|span| span.starts_with("spec.") || span.starts_with("status.")).map(str::to_owned).collect();
        let missing: Vec<_> = exist.difference(&told).collect();
        assert!(missing.is_empty(), "{page} does not tell of these fields of {kind}: {missing:?}");
        let invented: Vec<_> = told.difference(&exist).collect();
        assert!(invented.is_empty(), "{page}: {kind} has no such fields: {invented:?}");
    }
}

#[test]
fn every_flag_is_told_with_its_variable_and_default() {
    let command = Settings::augment_args(Command::new("run"));
    let settings = read("docs/reference/settings.md");
    let readme = read("README.md");
    let mut flags = BTreeSet::from(["--log-format", "--otlp-endpoint", "--directory", "--help"].map(str::to_owned));
    for argument in command.get_arguments() {
        let flag = format!("--{}", argument.get_long().expect("every setting is a flag"));
        let variable = argument.get_env().expect("every setting is a variable").to_string_lossy().into_owned();
        let row =
            settings.lines().find(|line| line.starts_with(&format!("| `{flag}` |"))).unwrap_or_else(|| panic!("settings.md lacks {flag}"));
        assert!(row.contains(&format!("`{variable}`")), "settings.md: {flag} is also {variable}");
        assert!(settings.matches(&format!("`{flag}")).count() > 1, "settings.md does not say what {flag} means");
        let short =
            readme.lines().find(|line| line.starts_with(&format!("| `{flag}` |"))).unwrap_or_else(|| panic!("README.md lacks {flag}"));
        for default in argument.get_default_values() {
            let cell = format!("`{}`", default.to_string_lossy());
            assert!(row.contains(&cell) && short.contains(&cell), "the default of {flag} is {cell}");
        }
        flags.insert(flag);
    }
    assert!(flags.len() > 12, "the flags were not found: {flags:?}");
    for span in code_spans(&settings).into_iter().filter(|span| span.starts_with("--")) {
        let flag = span.split([' ', '=']).next().unwrap_or_default();
        assert!(flags.contains(flag), "settings.md tells of {flag}, which is no flag");
    }
}

#[test]
fn keys_labels_and_annotations_of_the_secret_are_told() {
    let text = read("docs/reference/secret.md");
    let map = |preset| KeyMap::of(Some(&CredentialsSecret { preset, ..CredentialsSecret::default() })).expect("presets are sound");
    let all = [SecretPreset::Default, SecretPreset::Environment, SecretPreset::ServiceBinding].map(map);
    for (field, _) in all[2].fields() {
        let keys = all.iter().filter_map(|map| map.fields().find(|(name, _)| *name == field)).map(|(_, key)| format!("`{key}`"));
        let cells: Vec<String> = keys.collect();
        let row = cells.join(" | ");
        assert!(text.lines().any(|line| line.starts_with('|') && line.contains(&row)), "secret.md lacks the row {row}");
    }
    for name in [
        api::MANAGED_BY_LABEL,
        secret::CLIENT_LABEL,
        secret::OWNER,
        secret::OWNER_UID,
        secret::CLUSTER,
        secret::CLIENT_ID,
        secret::REVISION,
        secret::NONCE,
        secret::ISSUED_AT,
        secret::KEY_MAP_DIGEST,
        secret::DATA_DIGEST,
        secret::CLIENT_SECRET_KEY,
        secret::APPLIED_METADATA,
        secret::RELOADER_MATCH,
    ] {
        assert!(text.contains(&format!("| `{name}` |")), "secret.md lacks {name}");
    }
}

#[test]
fn every_path_of_the_simulators_admin_api_is_told() {
    let text = read("docs/reference/simulator.md");
    let source = read("simulator/src/admin.rs");
    let paths: Vec<&str> = source.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(paths.len() > 8, "the paths were not found: {paths:?}");
    for path in paths {
        assert!(text.contains(path), "simulator.md lacks {path}");
    }
}

/// The documents of a YAML text.
fn documents(text: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    for line in text.lines() {
        if line == "---" {
            all.push(String::new());
        } else if let Some(last) = all.last_mut() {
            last.push_str(line);
            last.push('\n');
        }
    }
    all.retain(|document| document.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')));
    all
}

/// Reads a document as its kind, if it is ours, and checks its rules; says whether it was.
fn check_manifest(place: &str, document: &str) -> bool {
    fn read<K: DeserializeOwned + Serialize>(place: &str, document: &str, given: &Value, violations: fn(&K) -> Vec<String>) {
        let object: K = serde_yaml::from_str(document).unwrap_or_else(|error| panic!("{place}: {error}"));
        assert_eq!(violations(&object), Vec::<String>::new(), "{place} breaks a rule");
        let known = serde_json::to_value(&object).expect("an object is JSON");
        assert_within(place, "spec", &given["spec"], &known["spec"]);
    }
    let given: Value = serde_yaml::from_str(document).unwrap_or_else(|error| panic!("{place}: {error}"));
    if given["kind"].is_null() && place.ends_with("kustomizeconfig.yaml") {
        return false;
    }
    let ours = given["apiVersion"].as_str().is_some_and(|version| version.starts_with(api::GROUP));
    if ours {
        assert_eq!(given["apiVersion"], format!("{}/v1alpha1", api::GROUP), "{place}");
    }
    match given["kind"].as_str() {
        Some("GenesysOAuthClient") if ours => read::<GenesysOAuthClient>(place, document, &given, rules::oauth_client_violations),
        Some("GenesysRotationPolicy") if ours => read::<GenesysRotationPolicy>(place, document, &given, rules::rotation_policy_violations),
        Some("GenesysOrganization") if ours => read::<GenesysOrganization>(place, document, &given, rules::organization_violations),
        kind => assert!(!ours && kind.is_some(), "{place}: {kind:?} is no kind of ours"),
    }
    ours
}

/// A field that the kind does not know is dropped when it is read: then it is not there any more.
fn assert_within(place: &str, path: &str, given: &Value, known: &Value) {
    match given {
        Value::Object(map) => map.iter().for_each(|(key, value)| assert_within(place, &format!("{path}.{key}"), value, &known[key])),
        Value::Array(list) => list.iter().enumerate().for_each(|(index, value)| assert_within(place, path, value, &known[index])),
        value => assert_eq!(value, known, "{place}: {path} is no field of this kind"),
    }
}

#[test]
fn examples_keep_the_rules() {
    let mut ours = 0;
    for folder in ["examples", "examples/adoption", "examples/kustomize/base"] {
        for entry in fs::read_dir(root().join(folder)).expect("examples/ is there").flatten() {
            let place = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.path().extension().is_some_and(|extension| extension == "yaml") {
                ours += documents(&read(&place)).iter().filter(|document| check_manifest(&place, document)).count();
            }
        }
    }
    assert!(ours >= 7, "only {ours} examples were read");
}

#[test]
fn manifests_in_pages_keep_the_rules() {
    let mut ours = 0;
    for (page, text) in pages() {
        for block in parse(&page, &text).0 {
            let place = format!("{page}:{}", block.line);
            let here = block.text.split("<<'YAML'\n").skip(1).filter_map(|rest| rest.split("\nYAML\n").next()).map(str::to_owned);
            let texts: Vec<String> = if block.language == "yaml" { vec![block.text.clone()] } else { here.collect() };
            ours += texts.iter().flat_map(|text| documents(text)).filter(|document| check_manifest(&place, document)).count();
        }
    }
    assert!(ours >= 3, "only {ours} manifests were read in the pages");
}
