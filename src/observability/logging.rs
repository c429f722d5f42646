//! Sets up the logs. Filters out the client libraries' debug lines, which may carry bodies.

use clap::ValueEnum;
use tracing::Level;
use tracing_subscriber::{EnvFilter, filter::filter_fn, fmt, fmt::MakeWriter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// The form of the logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is never logged below this level, whatever the filter says: these libraries print bodies, kube's client even in warnings.
const QUIET: [(&str, Level); 7] = [
    ("kube_client", Level::ERROR),
    ("kube_runtime", Level::WARN),
    ("hyper", Level::WARN),
    ("hyper_util", Level::WARN),
    ("h2", Level::WARN),
    ("reqwest", Level::WARN),
    ("rustls", Level::WARN),
];

/// Whether a line of this target and level may be printed at all.
fn may_speak(target: &str, level: Level) -> bool {
    let crate_name = target.split("::").next().unwrap_or_default();
    QUIET.iter().find(|(quiet, _)| *quiet == crate_name).is_none_or(|(_, loudest)| level <= *loudest)
}

/// Starts logging to a writer, filtered by `RUST_LOG`, or else by `filter`.
///
/// # Errors
/// When a logger is installed already.
pub fn start<W>(format: LogFormat, filter: &str, writer: W) -> Result<(), tracing_subscriber::util::TryInitError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter));
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(|line| may_speak(line.target(), *line.level())));
    match format {
        LogFormat::Text => registry.with(fmt::layer().with_writer(writer).with_ansi(false)).try_init(),
        LogFormat::Json => registry.with(fmt::layer().json().flatten_event(true).with_writer(writer)).try_init(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_that_print_bodies_stay_quiet() {
        assert!(!may_speak("kube_client::client", Level::WARN) && may_speak("kube_client::client", Level::ERROR));
        assert!(!may_speak("hyper::proto", Level::TRACE) && may_speak("hyper::proto", Level::WARN));
        assert!(may_speak("genesys_oauth_operator::controller", Level::TRACE) && may_speak("audit", Level::INFO));
        assert!(may_speak("hyperlocal", Level::TRACE), "whole names alone count");
    }
}
