//! Hostile platforms beside an honest one: the operator serves the honest one, never ends, and stays within the memory that the chart gives it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e_support::harness::Harness;
use e2e_support::hostile::besiege;
use e2e_support::runner::{Scenario, say};

/// The chart's limit.
const LIMIT_MIB: u64 = 256;

pub(crate) fn scenarios() -> Vec<Scenario> {
    let name = "hostile/five platforms that mean harm, and a sixth that is served within the chart's memory";
    vec![Scenario::new(name, served).within(Duration::from_secs(420))]
}

async fn served(harness: Arc<Harness>) -> Result<()> {
    let seen = besiege(&harness, "hostile").await?;
    say(&format!("  memory   {} MiB at most (VmHWM) over {} bad answers", seen.peak_kib / 1024, seen.struck));
    ensure!(seen.peak_kib < LIMIT_MIB * 1024, "{} MiB, and the chart's limit is {LIMIT_MIB}", seen.peak_kib / 1024);
    ensure!(seen.followed == 0, "{} redirects were followed", seen.followed);
    ensure!(seen.served > 0 && seen.struck >= 5 * seen.served, "{seen:?} proves little");
    Ok(())
}
