//! Prints the figures of this product, one a line: `ok|short NAME VALUE GOAL`. It measures the release
//! build (or what `GENESYS_E2E_OPERATOR` names), the suites as `make test` runs them, and fails on no figure.

use std::process::ExitCode;

use e2e_support::environment::Environment;
use e2e_support::figures;
use e2e_support::harness::Harness;
use e2e_support::runner::Filter;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let filter = Filter::new(std::env::args().skip(1).filter(|word| !word.is_empty()));
    let result = tokio::select! {
        result = measure(&filter) => result,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted; stopping everything")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("figures: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(filter: &Filter) -> anyhow::Result<()> {
    if filter.may_want("conformance") {
        figures::conformance::conformance(filter).await?;
    }
    if filter.may_want("budget") {
        figures::budget::budget(filter).await?;
    }
    if filter.may_want("drift") {
        figures::drift::drift(filter).await?;
    }
    if filter.may_want("rotation") {
        figures::rotation::rotation(filter).await?;
    }
    if filter.may_want("availability.day") {
        figures::availability::day(filter).await?;
    }
    if filter.may_want("security.canary") || filter.may_want("security.rights") {
        figures::security::told(filter).await?;
    }
    let served = ["availability.strikes", "availability.takeover", "availability.rest"];
    if !["create", "security.hostile"].iter().chain(&served).any(|name| filter.may_want(name)) {
        return Ok(());
    }
    let environment = Environment::with_profile("release")?;
    eprintln!("measuring {}", environment.operator.display());
    let harness = Harness::start(environment, |line| eprintln!("{line}")).await?;
    if filter.may_want("create") {
        figures::create(&harness, filter).await?;
    }
    if filter.may_want("security.hostile") {
        figures::security::hostile(&harness, filter).await?;
    }
    if served.iter().any(|name| filter.may_want(name)) {
        figures::availability::availability(&harness, filter).await?;
    }
    Ok(())
}
