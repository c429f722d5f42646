//! Measures rotations: cells, requests of workloads, outages, costs and the spread of fleets, as the tests print them. It must not fail on a
//! figure, but fails where there is none to print.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::conformance::printed;
use super::{Goal, figure};
use crate::process::tail;
use crate::runner::Filter;

/// What a figure should be, by the beginning of its name. The first that fits counts.
const GOALS: [(&str, Goal); 17] = [
    // Each cell of each story; their number grows and shrinks with the requests of a rotation.
    ("rotation.cells ", Goal::AtLeast(1000.0)),
    // Each kind of write of a Replace, a Regenerate and an abort: all their steps.
    ("rotation.cells.real-api-server.struck ", Goal::AtLeast(20.0)),
    ("rotation.cells.real-api-server.failed ", Goal::AtMost(0.0)),
    ("rotation.replace.rotations ", Goal::AtLeast(1000.0)),
    ("rotation.replace.requests ", Goal::AtLeast(100_000.0)),
    ("rotation.replace.failed_requests ", Goal::AtMost(0.0)),
    // What the issue names: most rotations on one day, by the mean of the days on which any fall.
    ("rotation.days.created-at-once ", Goal::AtMost(1.2)),
    ("rotation.days.issued-evenly ", Goal::AtMost(1.2)),
    ("rotation.days.100-days-old-when-the-policy-comes ", Goal::AtMost(1.2)),
    // The price list: POST, PUT, DELETE; one proof; about four writes more than the six of a create.
    ("rotation.replace.platform-writes ", Goal::AtMost(3.0)),
    ("rotation.replace.token-host-calls ", Goal::AtMost(1.0)),
    ("rotation.replace.kubernetes-writes ", Goal::AtMost(10.0)),
    ("rotation.regenerate.outage.lag-0s.longest-seconds ", Goal::AtMost(1.0)),
    ("rotation.schedule.before-their-time ", Goal::AtMost(0.0)),
    ("rotation.schedule.after-their-time ", Goal::AtMost(0.0)),
    ("rotation.schedule.rotations ", Goal::AtLeast(300.0)),
    ("", Goal::None),
];

/// Measures everything that is named `rotation.…`.
pub async fn rotation(filter: &Filter) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let cargo = PathBuf::from(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let test = ["test", "--locked", "--quiet", "--package", "genesys-oauth-operator", "--test"];
    let spread = [&test[..], &["rotation", "--", "--nocapture", "--test-threads=1", "fleets::"]].concat();
    tell(&printed(&root, &cargo, &spread).await?, filter)?;
    // Worlds run for weeks of their own time: an optimized build tells them in minutes.
    let worlds =
        [&test[..], &["world", "--profile", "worlds", "--", "--ignored", "--nocapture", "--test-threads=1", "figures_of"]].concat();
    tell(&printed(&root, &cargo, &worlds).await?, filter)?;
    real_cells(&root, &cargo, filter).await
}

/// The cells on the real API server: the end-to-end tests strike and count them.
async fn real_cells(root: &Path, cargo: &Path, filter: &Filter) -> Result<()> {
    printed(root, cargo, &["build", "--locked", "--quiet", "--bins"]).await?;
    let suite = ["test", "--locked", "--quiet", "--package", "genesys-oauth-operator-e2e", "--test", "e2e", "--"];
    let text = printed(root, cargo, &[&suite[..], &["crash/replace", "crash/regenerate", "crash/abort"]].concat()).await?;
    let (struck, all) = struck(&text).with_context(|| format!("no count of cells; the last lines:\n{}", tail(&text, 20)))?;
    for (name, value) in [("struck", struck), ("failed", all - struck)] {
        let name = format!("rotation.cells.real-api-server.{name}");
        figure(filter, &name, value, "", goal(&name));
    }
    Ok(())
}

/// How many cells were struck, and of how many: `crash cells: 60 of 62 struck and came out right`.
fn struck(text: &str) -> Option<(f64, f64)> {
    text.lines().find_map(|line| {
        let (struck, rest) = line.strip_prefix("crash cells: ")?.split_once(" of ")?;
        Some((struck.parse().ok()?, rest.strip_suffix(" struck and came out right")?.parse().ok()?))
    })
}

fn tell(text: &str, filter: &Filter) -> Result<()> {
    ensure!(text.contains("test result: ok."), "a test failed, so its figures count for nothing; its last lines:\n{}", tail(text, 20));
    let figures = figures(text).with_context(|| format!("a figure is no number:\n{}", tail(text, 20)))?;
    ensure!(!figures.is_empty(), "no figure; the last lines:\n{}", tail(text, 20));
    for (name, value) in figures {
        figure(filter, &name, value, "", goal(&name));
    }
    Ok(())
}

fn goal(name: &str) -> Goal {
    let named = format!("{name} ");
    GOALS.iter().find(|(beginning, _)| named.starts_with(beginning)).map_or(Goal::None, |(_, goal)| *goal)
}

/// The figures that tests printed: `figure NAME VALUE`, behind the name of the test or on a line of its own.
fn figures(text: &str) -> Option<Vec<(String, f64)>> {
    let told = text.lines().filter_map(|line| line.split_once("figure rotation."));
    told.map(|(_, rest)| {
        let (name, value) = rest.split_once(' ')?;
        Some((format!("rotation.{name}"), value.trim().parse().ok()?))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_wherever_they_stand_in_a_line() {
        let text = "test a ... figure rotation.cells 646\nfigure rotation.requests 5 \nok\n";
        assert_eq!(figures(text), Some(vec![("rotation.cells".to_owned(), 646.0), ("rotation.requests".to_owned(), 5.0)]));
        assert_eq!(figures("figure rotation.cells many\n"), None);
        assert_eq!(figures("ok\n"), Some(vec![]));
    }

    #[test]
    fn the_cells_of_the_real_server_are_read() {
        let text = "crash cells: 62\n  ok       crash/a (3.0 s)\ncrash cells: 60 of 62 struck and came out right\n";
        assert_eq!(struck(text), Some((60.0, 62.0)));
        assert_eq!(struck("crash cells: 62\n"), None);
    }
}
