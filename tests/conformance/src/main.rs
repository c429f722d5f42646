//! `conformance`: runs the checks against the server of a kubeconfig; it must not end with 0 when any check failed.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use conformance::checks;
use conformance::runner::{Settings, run};

/// Checks a Kubernetes API server by what a client can see of it.
#[derive(Debug, Parser)]
#[command(name = "conformance", version)]
struct Arguments {
    /// The server to check, and the user to check it as (an administrator)
    #[arg(long, env = "KUBECONFIG", required_unless_present = "list")]
    kubeconfig: Option<PathBuf>,
    /// Only checks whose group and name (as listed) contain this
    #[arg(long, default_value = "")]
    filter: String,
    /// List the checks and end
    #[arg(long)]
    list: bool,
    /// The kubectl to use
    #[arg(long, default_value = "kubectl")]
    kubectl: PathBuf,
    /// How many checks run at a time
    #[arg(long, default_value_t = 6)]
    jobs: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    check().await.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

async fn check() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let chosen: Vec<_> =
        checks::all().into_iter().filter(|check| format!("{}::{}", check.group, check.name).contains(&arguments.filter)).collect();
    let Some(kubeconfig) = arguments.kubeconfig.filter(|_| !arguments.list) else {
        for check in &chosen {
            println!("{}::{}", check.group, check.name);
        }
        println!("{} checks", chosen.len());
        return Ok(ExitCode::SUCCESS);
    };
    let counts = run(&Settings { kubeconfig, kubectl: arguments.kubectl, jobs: arguments.jobs }, &chosen).await?;
    let [_, failed, _] = counts.total();
    Ok(if failed == 0 && !chosen.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
