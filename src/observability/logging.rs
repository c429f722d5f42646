//! Sets up the logs on standard error. Filters out the client libraries' debug lines, which may carry bodies.

use clap::ValueEnum;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// The form of the logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is never logged below warnings, whatever the filter says: these libraries may print bodies.
const QUIET: [&str; 6] = ["kube_client=warn", "kube_runtime=warn", "hyper=warn", "hyper_util=warn", "reqwest=warn", "rustls=warn"];

/// Starts logging, filtered by `RUST_LOG`, or by `info`.
///
/// # Errors
/// When a logger is installed already.
pub fn start(format: LogFormat) -> Result<(), tracing_subscriber::util::TryInitError> {
    let mut filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    for directive in QUIET {
        if let Ok(directive) = directive.parse() {
            filter = filter.add_directive(directive);
        }
    }
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => registry.with(fmt::layer().with_writer(std::io::stderr).with_ansi(false)).try_init(),
        LogFormat::Json => registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init(),
    }
}
