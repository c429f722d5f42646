//! The example in dates of docs/rotation.md, computed again from the policy in `examples/`. Checks that the page shows what comes out.

use std::fs;

use genesys_oauth_operator::rotation::{Dates, Issue, Policy, dates, next_three};
use jiff::Timestamp;
use serde_json::Value;

use crate::{at, spec};

fn read(path: &str) -> String {
    fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_pages_example_is_right() {
    let page = read("docs/rotation.md");
    let example: Value = serde_yaml::from_str(&read("examples/rotation-policy.yaml")).expect("YAML");
    let client: Value = serde_yaml::from_str(&read("examples/rotated-service.yaml")).expect("YAML");
    let identity = format!("{}/{}", client["metadata"]["namespace"].as_str().unwrap(), client["metadata"]["name"].as_str().unwrap());
    let start = at("2026-01-05T09:00:00Z");
    let schedule = Policy::parse(&spec(&example["spec"]), None, start).expect("a policy").schedule.expect("a schedule");
    let issue = |issued_at| Issue { issued_at, by_rotation: false, identity: &identity, spread_from: Some(start) };

    let three = next_three(&schedule, &issue(start));
    let row = |name: &str, of: fn(&Dates) -> Timestamp| format!("| {name} | {} | {} | {} |", of(&three[0]), of(&three[1]), of(&three[2]));
    let rows = [
        format!("| issued | {start} | {} | {} |", three[0].rotate_at, three[1].rotate_at),
        row("due", |dates| dates.due_at),
        row("**rotation**", |dates| dates.rotate_at),
        row("urgent", |dates| dates.force_at),
        row("`DueSoon`", |dates| dates.warn_at),
        row("deadline", |dates| dates.expires_at),
    ];
    for row in rows {
        assert!(page.contains(&row), "docs/rotation.md lacks the row {row}");
    }
    let old = dates(&schedule, &issue(at("2025-10-01T09:00:00Z")));
    assert!(old.expires_at < start, "it is overdue from the start");
    for date in [old.due_at, old.rotate_at, old.force_at] {
        assert!(page.contains(&format!(" {date}")), "docs/rotation.md lacks {date}");
    }
    let gap = format!("{} hours", schedule.longest_gap.as_secs() / 3600);
    assert!(page.contains(&gap), "docs/rotation.md does not say that the longest gap is {gap}");
}
