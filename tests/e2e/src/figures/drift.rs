//! Measures what a scan of an organization costs, its comparison with all objects, and how soon a change shows. It must not fail on a figure,
//! but fails where there is none to print.

use anyhow::Result;

use super::budget::worlds;
use super::{Goal, figure};
use crate::process::tail;
use crate::runner::Filter;

/// Measures everything that is named `drift.…`, in optimized worlds.
pub async fn drift(filter: &Filter) -> Result<()> {
    let text = worlds(&["--test-threads=1", "figures_drift::"]).await?;
    let found: Vec<_> = text.lines().filter_map(measured).collect();
    anyhow::ensure!(found.len() >= 13, "only {} measures were taken; the last lines:\n{}", found.len(), tail(&text, 20));
    for (name, value, unit) in found {
        figure(filter, &format!("drift.{name}"), value, unit, goal(name));
    }
    Ok(())
}

/// What the issue asks for.
fn goal(name: &str) -> Goal {
    match name {
        "compare.10000" => Goal::AtMost(50.0),
        "calls-per-scan.10" | "calls-per-scan.1000" | "calls-per-scan.10000" => Goal::AtMost(1.0),
        // One interval, and what the pass takes.
        "change-to-condition.longest" | "fields-100.told-after" | "fields-100.report.told-after" => Goal::AtMost(305.0),
        // An interval, 200 calls at the rate of the simulator's limit, and the proofs of those whose roles came back.
        "fields-100.changed-back-after" => Goal::AtMost(480.0),
        // One PUT for each.
        "fields-100.writes" => Goal::AtMost(100.0),
        "fields-100.report.writes" => Goal::AtMost(0.0),
        _ => Goal::None,
    }
}

/// A measure: `figure NAME VALUE UNIT`, perhaps behind what the test runner printed on the same line.
pub(super) fn measured(line: &str) -> Option<(&str, f64, &str)> {
    let mut words = line.split_once("figure ")?.1.split_whitespace();
    let (name, value) = (words.next()?, words.next()?.parse().ok()?);
    Some((name, value, words.next().filter(|unit| matches!(*unit, "ms" | "s")).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_are_read_off_the_lines() {
        assert_eq!(measured("test figures_drift::x ... figure compare.10 0.02 ms"), Some(("compare.10", 0.02, "ms")));
        assert_eq!(measured("figure calls-per-scan.10 1.00 calls"), Some(("calls-per-scan.10", 1.0, "")));
        assert_eq!(measured("test figures_drift::x ... ok"), None);
    }
}
