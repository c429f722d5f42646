//! Measures the request budget on the simulator, on the world's own time, in optimized worlds. It must not fail on a figure, but fails where there
//! is none to print.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::conformance::printed;
use super::{Goal, figure};
use crate::process::tail;
use crate::runner::Filter;

/// How many figures a whole run prints at least.
const FIGURES: usize = 29;

/// The unit of a figure and what it should be, by the end of its name.
fn judged(name: &str) -> (&'static str, Goal) {
    let last = name.rsplit('.').next().unwrap_or_default();
    match last {
        "share" => ("%", Goal::AtLeast(99.0)),
        "refused" if name.contains(".creates-") => ("", Goal::AtMost(0.0)),
        "refused" => ("", Goal::AtMost(3.0)),
        "adapted-after" => ("s", Goal::AtMost(60.0)),
        "emergency-slots" => ("", Goal::AtMost(2.0)),
        "namespaces-jain" => ("", Goal::AtLeast(0.99)),
        // A probe every five minutes at last, and what it takes until then; nothing asks the login host more often.
        "calls" | "logins" => ("", Goal::AtMost(450.0)),
        "duplicates" => ("", Goal::AtMost(0.0)),
        "recovered-after" => ("s", Goal::AtMost(330.0)),
        "settled-alone" | "settled-beside" => ("s", Goal::None),
        "waited-for-it" => ("s", Goal::AtMost(2.0)),
        _ => ("", Goal::None),
    }
}

/// Measures everything that is named `budget.…`.
pub async fn budget(filter: &Filter) -> Result<()> {
    let text = worlds(&["budget_figures::"]).await?;
    let found: Vec<(&str, f64)> = text.lines().filter_map(read).collect();
    ensure!(found.len() >= FIGURES, "only {} figures of the budget; the last lines:\n{}", found.len(), tail(&text, 20));
    for (name, value) in found {
        let (unit, goal) = judged(name);
        figure(filter, name, value, unit, goal);
    }
    Ok(())
}

/// What the ignored tests of optimized worlds print that these words name; without link-time optimization, which only makes building them slow.
pub(super) async fn worlds(words: &[&str]) -> Result<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let cargo = PathBuf::from(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let suite = ["test", "--locked", "--quiet", "--profile", "worlds", "--package", "genesys-oauth-operator", "--test", "world", "--"];
    let measure = ["--ignored", "--nocapture"];
    let text = printed(&root, &cargo, &[&suite[..], &measure, words].concat()).await?;
    ensure!(text.contains("test result: ok."), "a test failed, so its figures count for nothing; its last lines:\n{}", tail(&text, 20));
    Ok(text)
}

/// `figure NAME VALUE`, also behind what the test harness printed on the same line.
pub(super) fn read(line: &str) -> Option<(&str, f64)> {
    let (_, figure) = line.split_once("figure ")?;
    let (name, value) = figure.split_once(' ')?;
    Some((name, value.trim().parse().ok()?))
}

#[cfg(test)]
mod tests_of_reading {
    use super::*;

    #[test]
    fn a_figure_is_read_wherever_it_stands_on_its_line() {
        assert_eq!(read("figure budget.others.fixed.refused 2.0000"), Some(("budget.others.fixed.refused", 2.0)));
        assert_eq!(read("test x ... figure budget.order.namespaces-jain 0.9990"), Some(("budget.order.namespaces-jain", 0.999)));
        assert_eq!(read("running 5 tests"), None);
    }

    #[test]
    fn figures_of_the_issue_have_a_goal() {
        for name in ["budget.creates-60.fixed.share", "budget.creates-300.sliding.refused", "budget.outage-429.calls"] {
            assert_ne!(judged(name).1, Goal::None, "{name}");
        }
    }
}
