//! Measures the in-memory Kubernetes API: the checks on it and on the real one, the world suite, and its size. It must not fail on a
//! figure, but fails where there is none to print.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

use super::{Goal, figure};
use crate::process::tail;
use crate::runner::Filter;

/// The checks that each server must pass at least.
const CHECKS: f64 = 150.0;
/// The groups that must have ten checks at least.
const GROUPS: [&str; 6] = ["apply-conflicts", "status", "cel-update", "tables", "expiry", "finalizers"];
/// How long the world suite may take.
const WORLDS: f64 = 60.0;

/// Where the lines of the simulator and of its judges are.
const PARTS: [(&str, &str); 4] = [
    ("kubernetes", "simulator/src/kubernetes"),
    ("genesys", "simulator/src"),
    ("tests", "simulator/tests"),
    ("checks", "tests/conformance/src"),
];

/// Measures everything that is named `conformance.…`.
pub async fn conformance(filter: &Filter) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    lines(&root, filter)?;
    if filter.may_want("conformance.worlds") {
        worlds(&root, filter).await?;
    }
    if ["memory", "real", "group"].iter().any(|part| filter.may_want(&format!("conformance.{part}"))) {
        checks(&root, filter).await?;
    }
    Ok(())
}

/// Runs a program of the repository and gives what it printed; whether it succeeded is the caller's to judge.
pub(super) async fn printed(root: &Path, program: &Path, arguments: &[&str]) -> Result<String> {
    eprintln!("running {} {}", program.display(), arguments.join(" "));
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("running {}", program.display()))?;
    Ok(String::from_utf8(output.stdout)?)
}

/// What a run of the checks printed about one server.
#[derive(Debug, Default, PartialEq)]
struct Judged {
    passed: f64,
    failed: f64,
    open: f64,
    seconds: f64,
    groups: Vec<(String, f64)>,
}

/// Reads the counts at the end of a run.
fn judged(text: &str) -> Option<Judged> {
    let number = |word: &str| word.parse::<f64>().ok();
    let mut found = Judged::default();
    let mut counts = None;
    for line in text.lines() {
        let words: Vec<&str> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            [group, passed, "passed", failed, "failed", _, "not", "judged"] => {
                found.groups.push(((*group).to_owned(), number(passed)? + number(failed)?));
            }
            [passed, "passed", failed, "failed", open, "not", "judged"] => counts = Some((number(passed)?, number(failed)?, number(open)?)),
            [seconds, "s"] => found.seconds = number(seconds)?,
            _ => {}
        }
    }
    (found.passed, found.failed, found.open) = counts?;
    Some(found)
}

async fn checks(root: &Path, filter: &Filter) -> Result<()> {
    let text = printed(root, &root.join("tests/conformance/run.sh"), &[]).await?;
    let (memory, real) = text.split_once("conformance of the real kube-apiserver:").unwrap_or((text.as_str(), ""));
    for (server, text) in [("memory", memory), ("real", real)] {
        let judged = judged(text).with_context(|| format!("no counts of {server}; its last lines:\n{}", tail(text, 20)))?;
        let name = |what: &str| format!("conformance.{server}.{what}");
        figure(filter, &name("passed"), judged.passed, "", Goal::AtLeast(CHECKS));
        figure(filter, &name("failed"), judged.failed, "", Goal::AtMost(0.0));
        figure(filter, &name("not-judged"), judged.open, "", Goal::None);
        figure(filter, &name("time"), judged.seconds, "s", Goal::None);
        // The same checks run on both; which of them a server can't be asked is told by `not-judged`.
        for group in GROUPS.into_iter().filter(|_| server == "memory") {
            let count = judged.groups.iter().find(|(name, _)| name == group).map_or(0.0, |(_, count)| *count);
            figure(filter, &format!("conformance.group.{group}"), count, "", Goal::AtLeast(10.0));
        }
    }
    Ok(())
}

async fn worlds(root: &Path, filter: &Filter) -> Result<()> {
    let cargo = PathBuf::from(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let suite = ["test", "--locked", "--quiet", "--package", "genesys-oauth-operator", "--test", "world"];
    printed(root, &cargo, &[&suite[..], &["--no-run"]].concat()).await?;
    let begun = Instant::now();
    let text = printed(root, &cargo, &suite).await?;
    let took: Duration = begun.elapsed();
    let (passed, failed) = tests(&text).with_context(|| format!("no result of the world suite; its last lines:\n{}", tail(&text, 20)))?;
    figure(filter, "conformance.worlds.passed", passed, "", Goal::None);
    figure(filter, "conformance.worlds.failed", failed, "", Goal::AtMost(0.0));
    figure(filter, "conformance.worlds.time", took.as_secs_f64(), "s", Goal::AtMost(WORLDS));
    let measure = ["--", "--ignored", "--nocapture", "figures::worlds_per_second"];
    let text = printed(root, &cargo, &[&suite[..], &measure].concat()).await?;
    let rate = rate(&text).with_context(|| format!("no measure of worlds; its last lines:\n{}", tail(&text, 20)))?;
    figure(filter, "conformance.worlds.per-second-and-thread", rate, "", Goal::None);
    Ok(())
}

/// How many tests passed and failed: `test result: ok. 58 passed; 0 failed; …`.
fn tests(text: &str) -> Option<(f64, f64)> {
    let words: Vec<&str> = text.lines().find(|line| line.starts_with("test result:"))?.split_whitespace().collect();
    let before = |word: &str| words[words.iter().position(|found| *found == word)? - 1].parse().ok();
    Some((before("passed;")?, before("failed;")?))
}

/// Worlds a second: `100 worlds in 12.34 s`.
fn rate(text: &str) -> Option<f64> {
    text.lines().find_map(|line| {
        let (worlds, rest) = line.split_once(" worlds in ")?;
        let worlds: f64 = worlds.rsplit(' ').next()?.parse().ok()?;
        let seconds: f64 = rest.strip_suffix(" s")?.parse().ok()?;
        Some(worlds / seconds)
    })
}

fn lines(root: &Path, filter: &Filter) -> Result<()> {
    for (part, folder) in PARTS {
        let others: Vec<PathBuf> = PARTS.iter().map(|(_, other)| root.join(other)).filter(|other| *other != root.join(folder)).collect();
        let count = lines_in(&root.join(folder), &others)?;
        ensure!(count > 0, "{folder} holds no line of Rust");
        figure(filter, &format!("conformance.lines.{part}"), f64::from(count), "", Goal::None);
    }
    Ok(())
}

/// The lines of Rust in a folder that are not blank, but for other parts inside it.
fn lines_in(folder: &Path, others: &[PathBuf]) -> Result<u32> {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() && !others.contains(&path) {
            count += lines_in(&path, others)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path)?;
            count += u32::try_from(text.lines().filter(|line| !line.trim().is_empty()).count())?;
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests_of_reading {
    use super::*;

    #[test]
    fn the_counts_of_a_run_are_read() {
        let text = "ok         tables::a (3 ms)\n\ntables                     12 passed    1 failed    2 not judged\n\n34.5 s\n12 passed, 1 failed, 2 not judged\n";
        let found = judged(text).expect("counts");
        assert_eq!((found.passed, found.failed, found.open, found.seconds), (12.0, 1.0, 2.0, 34.5));
        assert_eq!(found.groups, [("tables".to_owned(), 13.0)]);
        assert_eq!(judged("ok         tables::a (3 ms)\n"), None);
    }

    #[test]
    fn the_results_of_the_world_suite_are_read() {
        assert_eq!(tests("running 3 tests\ntest result: ok. 58 passed; 1 failed; 1 ignored; 0 measured\n"), Some((58.0, 1.0)));
        assert_eq!(tests("error: no such test\n"), None);
        assert_eq!(rate("test figures::worlds_per_second ... 100 worlds in 12.50 s\n"), Some(8.0));
    }

    #[test]
    fn a_goal_may_bound_from_either_side() {
        assert!(Goal::AtLeast(150.0).is_kept(150.0) && !Goal::AtLeast(150.0).is_kept(149.0));
        assert!(Goal::AtMost(0.0).is_kept(0.0) && !Goal::AtMost(0.0).is_kept(1.0));
    }
}
