//! Measures what of a secret is told, which rights are used, and what hostile platforms cost. It must not fail on a figure, but fails where there is
//! none to print.

use std::sync::Arc;

use anyhow::{Result, ensure};

use super::budget::worlds;
use super::drift::measured;
use super::{Goal, figure};
use crate::harness::Harness;
use crate::hostile::besiege;
use crate::process::tail;
use crate::runner::Filter;

/// The chart's limit of memory.
const LIMIT_MIB: f64 = 256.0;

/// Measures `security.canary.…` and `security.rights.…`, in worlds.
pub async fn told(filter: &Filter) -> Result<()> {
    let text = worlds(&["--test-threads=1", "figures_security::"]).await?;
    let found: Vec<_> = text.lines().filter_map(measured).collect();
    ensure!(found.len() >= 8, "only {} measures were taken; the last lines:\n{}", found.len(), tail(&text, 20));
    for (name, value, unit) in found {
        let goal = match name.rsplit('.').next() {
            Some("leaks" | "unused") => Goal::AtMost(0.0),
            _ => Goal::None,
        };
        figure(filter, &format!("security.{name}"), value, unit, goal);
    }
    Ok(())
}

/// Measures `security.hostile.…`: one operator for five platforms that mean harm and an honest one.
pub async fn hostile(harness: &Arc<Harness>, filter: &Filter) -> Result<()> {
    let seen = besiege(harness, "hostile-figures").await?;
    let counted = |number: usize| u32::try_from(number).map(f64::from);
    let peak = f64::from(u32::try_from(seen.peak_kib)?) / 1024.0;
    figure(filter, "security.hostile.bad-answers", counted(seen.struck)?, "", Goal::None);
    figure(filter, "security.hostile.memory", peak, "MiB", Goal::AtMost(LIMIT_MIB));
    figure(filter, "security.hostile.redirects-followed", counted(seen.followed)?, "", Goal::AtMost(0.0));
    figure(filter, "security.hostile.honest-clients-ready", counted(seen.served)?, "", Goal::AtLeast(5.0));
    Ok(())
}
