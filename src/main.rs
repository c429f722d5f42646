//! The operator's program: parses, starts, and maps errors to exit codes; nothing else.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use genesys_oauth_operator::{
    api, confinement,
    observability::{
        logging::{self, LogFormat},
        panics,
        traces::{self, Exporter},
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
        #[command(flatten)]
        traces: TraceArguments,
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

/// How long the last traces may take at the end.
const LAST_TRACES: Duration = Duration::from_secs(5);

#[derive(Args)]
struct TraceArguments {
    /// Where an OpenTelemetry collector takes traces, as OTLP over HTTP, such as http://otel-collector:4318. Default: nowhere
    #[cfg(feature = "otel")]
    #[arg(long, env = traces::ENDPOINT_VARIABLE, value_name = "URL")]
    otlp_endpoint: Option<String>,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run { settings, log_format, traces } => start(*settings, log_format, &traces),
        Command::Crds { directory } => crds(directory.as_deref()).map(|()| ExitCode::SUCCESS),
        Command::Version => {
            println!("{}", env!("CARGO_PKG_VERSION"));
            Ok(ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {}", once(&error));
        ExitCode::FAILURE
    })
}

/// An error with its causes, but for those whose words it has already: libraries differ in whether they repeat theirs.
fn once(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        words if words.contains(&cause) => told,
        words => format!("{words}: {cause}"),
    })
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

fn start(settings: Settings, log_format: LogFormat, traces: &TraceArguments) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let exporter = traces.exporter(&settings)?;
        logging::start(log_format, "info", std::io::stderr, exporter.iter().map(Exporter::listener).collect())?;
        traces.tell();
        panics::are_logged();
        confinement::keep_memory_private();
        // A replica that has lost its lease ends at once: its last traces must not keep it.
        if let Err(error) = run::run(settings, termination()).await {
            let error = anyhow::Error::from(error);
            if log_format == LogFormat::Text {
                return Err(error);
            }
            // Who reads JSON would lose a line that is none; and no filter may keep why a process ended.
            let line = logging::last_line(&once(&error));
            eprintln!("{line}");
            return Ok(ExitCode::FAILURE);
        }
        if let Some(exporter) = exporter {
            exporter.flush(LAST_TRACES).await;
        }
        Ok(ExitCode::SUCCESS)
    })
}

impl TraceArguments {
    /// What exports traces, if anybody wants them.
    #[cfg(feature = "otel")]
    fn exporter(&self, settings: &Settings) -> anyhow::Result<Option<Exporter>> {
        // To OpenTelemetry an empty variable is none.
        let Some(endpoint) = self.otlp_endpoint.as_deref().filter(|endpoint| !endpoint.is_empty()) else { return Ok(None) };
        let transport = std::sync::Arc::new(genesys_oauth_operator::genesys::HttpTransport::new()?);
        Ok(Some(Exporter::to(endpoint, &settings.operator_namespace, &settings.pod_name, transport)?))
    }

    /// Says in the log whether traces are exported.
    #[cfg(feature = "otel")]
    fn tell(&self) {
        if let Some(endpoint) = self.otlp_endpoint.as_deref().filter(|endpoint| !endpoint.is_empty()) {
            tracing::info!(endpoint, "exporting traces");
        }
    }

    #[cfg(not(feature = "otel"))]
    #[expect(clippy::unused_self, reason = "as with the feature")]
    fn tell(&self) {
        traces::warn_of_a_lost_endpoint();
    }

    #[cfg(not(feature = "otel"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as with the feature")]
    fn exporter(&self, _: &Settings) -> anyhow::Result<Option<Exporter>> {
        Ok(None)
    }
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
