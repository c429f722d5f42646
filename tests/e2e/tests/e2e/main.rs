//! The end-to-end tests: one control plane, the built operator and simulator as processes, the real kubectl. This file
//! starts the run and orders the groups; it must not know what any scenario checks.
//!
//! `cargo test -p genesys-oauth-operator-e2e --test e2e -- [WORD…]` runs the scenarios whose names contain a word;
//! `--list` prints the names. Crash cells are named by a first run of each story, so `--list` shows only their groups.
//!
//! A bare kube-apiserver runs no garbage collector and no namespace, Deployment or scheduling controller: the scenarios
//! that need one of the first two play it themselves and say so in their names; none needs the others.

mod bad_input;
mod crash;
mod crash_stories;
mod demo;
mod docs;
mod flows;
mod harness_itself;
mod hostile;
mod install;
mod namespaces;
mod overlays;
mod replicas;
mod secrets;
mod story;
mod troubles;
mod two_operators;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use e2e_support::account::{self, Install};
use e2e_support::environment::{Environment, in_ci};
use e2e_support::harness::Harness;
use e2e_support::runner::{Filter, Outcome, Report, Scenario, say};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let filter = Filter::new(words.iter().cloned());
    if words.iter().any(|word| word == "--list") {
        let named = scenarios().into_iter().chain(two_operators::scenarios()).map(|scenario| scenario.name().to_owned());
        for name in named.chain(crash::GROUPS.map(|group| format!("{group}/…"))) {
            say(&format!("{name}: test"));
        }
        return ExitCode::SUCCESS;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure(&error.into()),
    };
    let result = runtime.block_on(async {
        tokio::select! {
            result = run(&filter) => result,
            _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted; stopping everything"),
        }
    });
    // Drops what still runs: each process's guard kills it, and the reaper takes the rest down.
    drop(runtime);
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => failure(&error),
    }
}

fn failure(error: &anyhow::Error) -> ExitCode {
    eprintln!("e2e: {error:#}");
    ExitCode::FAILURE
}

fn scenarios() -> Vec<Scenario> {
    [
        // The longest first.
        replicas::scenarios(),
        hostile::scenarios(),
        secrets::scenarios(),
        harness_itself::scenarios(),
        story::scenarios(),
        namespaces::scenarios(),
        overlays::scenarios(),
        flows::scenarios(),
        bad_input::scenarios(),
        install::scenarios(),
        docs::scenarios(),
        demo::scenarios(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Compares what the API server wrote down of all operators of the run with what the chart grants: after a whole run they must be the same.
async fn least_power(harness: &Harness, filter: &Filter) -> Result<Outcome> {
    let seen = harness.plane.audit.read()?;
    ensure!(seen.refused.is_empty(), "refused by RBAC: {:#?}", seen.refused);
    if filter.is_whole() {
        let install = Install { release: "whole", namespace: "whole", watch: Some("watched"), rollout_targets: "forbidden" };
        let granted = account::granted(&harness.environment, &harness.helm, install).await?;
        let unused: Vec<_> = granted.difference(&seen.used).collect();
        ensure!(unused.is_empty(), "the chart grants what nobody used: {unused:#?}");
    }
    say(&format!("  rights   {} verbs on resources were used at the shared server", seen.used.len()));
    Ok(Outcome::Passed)
}

async fn run(filter: &Filter) -> Result<bool> {
    let environment = match Environment::read() {
        Ok(environment) => environment,
        Err(error) => {
            // A plain `cargo test` of the workspace builds no binaries: say so, and do not call it a success in CI.
            say(&format!("SKIPPED, nothing was run: {error:#}; 'make e2e' does it all"));
            say("e2e: 0 passed, 0 failed, 1 skipped");
            return Ok(!in_ci());
        }
    };
    let begun = Instant::now();
    let harness = Harness::start(environment, say).await?;
    let parallel = harness.environment.parallel;
    let mut report = Report::default();
    report.run(&harness, filter, parallel, scenarios()).await;
    crash::run(&harness, filter, &mut report).await;
    report.run(&harness, filter, 1, two_operators::scenarios()).await;
    let rights = Instant::now();
    let judged = least_power(&harness, filter).await;
    report.note("rights/the operators used what the chart grants, and asked for no more", judged, rights.elapsed());
    report.close(begun.elapsed());
    if !report.is_good() {
        harness.reaper.keep();
        say(&format!("logs of all processes: {}", harness.folder().display()));
    }
    let reaper = Arc::clone(&harness.reaper);
    drop(harness);
    reaper.finish();
    Ok(report.is_good())
}
