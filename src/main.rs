//! The operator's program: parses, starts, and maps errors to exit codes; nothing else.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use genesys_oauth_operator::{
    api, confinement,
    observability::{
        logging::{self, LogFormat},
        panics,
    },
    run,
    settings::Settings,
};

/// Manages OAuth clients of Genesys Cloud as custom resources of Kubernetes.
#[derive(Parser)]
#[command(name = "genesys-oauth-operator", version, about, long_about = None)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the operator
    Run {
        #[command(flatten)]
        settings: Box<Settings>,
        /// Form of the logs on standard error; their filter is RUST_LOG
        #[arg(long, env = "GENESYS_OAUTH_OPERATOR_LOG_FORMAT", value_enum, default_value_t)]
        log_format: LogFormat,
    },
    /// Print the CustomResourceDefinitions as YAML
    Crds {
        /// Write one file each into this directory instead
        #[arg(long, value_name = "DIRECTORY")]
        directory: Option<PathBuf>,
    },
    /// Print the version
    Version,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run { settings, log_format } => start(*settings, log_format),
        Command::Crds { directory } => crds(directory.as_deref()),
        Command::Version => {
            println!("{}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn crds(directory: Option<&Path>) -> anyhow::Result<()> {
    for (name, text) in api::crd_files()? {
        match directory {
            Some(directory) => {
                std::fs::write(directory.join(&name), text).with_context(|| format!("writing {name} into {}", directory.display()))?;
            }
            None => print!("{text}"),
        }
    }
    Ok(())
}

fn start(settings: Settings, log_format: LogFormat) -> anyhow::Result<()> {
    logging::start(log_format, "info", std::io::stderr)?;
    panics::are_logged();
    confinement::keep_memory_private();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async { Ok(run::run(settings, termination()).await?) })
}

/// Resolves at SIGTERM or SIGINT.
async fn termination() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
