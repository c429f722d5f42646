//! Sets up the logs. Filters out the client libraries' debug lines, which may carry bodies.

use clap::ValueEnum;
use serde_json::{Map, Value, json};
use tracing::{Event, Level, Span, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt as _, filter_fn},
    fmt::{
        self, FmtContext, FormatEvent, FormattedFields, MakeWriter,
        format::{Format, Json, JsonFields, Writer},
    },
    layer::SubscriberExt as _,
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

use super::traces;

/// Another one who hears what is logged, by a filter of its own.
pub type Listener = Box<dyn Layer<Registry> + Send + Sync>;

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
    if target == traces::TARGET {
        return false;
    }
    let crate_name = target.split("::").next().unwrap_or_default();
    QUIET.iter().find(|(quiet, _)| *quiet == crate_name).is_none_or(|(_, loudest)| level <= *loudest)
}

/// A JSON line that begins with whom it is about: tools that index logs look at the outermost members, and not into lists.
struct Addressed(Format<Json>);

/// What of a span's fields says whom its lines are about.
const ADDRESS: [&str; 2] = ["object", "organization"];

impl<S: Subscriber + for<'a> LookupSpan<'a>> FormatEvent<S, JsonFields> for Addressed {
    fn format_event(&self, context: &FmtContext<'_, S, JsonFields>, mut writer: Writer<'_>, event: &Event<'_>) -> std::fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        let outermost = context.event_scope().and_then(|spans| spans.from_root().next());
        let fields = outermost.and_then(|span| {
            let fields = span.extensions().get::<FormattedFields<JsonFields>>()?.fields.clone();
            serde_json::from_str::<Map<String, Value>>(&fields).ok()
        });
        let Some((fields, rest)) = fields.zip(line.strip_prefix('{')) else { return writer.write_str(&line) };
        writer.write_char('{')?;
        for (name, value) in ADDRESS.iter().filter_map(|name| Some((name, fields.get(*name)?))) {
            write!(writer, "\"{name}\":{value},")?;
        }
        writer.write_str(rest)
    }
}

/// The last line of a process that can't go on, as [`LogFormat::Json`] has it.
#[must_use]
pub fn last_line(error: &str) -> String {
    let timestamp = jiff::Timestamp::now();
    let target = env!("CARGO_CRATE_NAME");
    json!({ "timestamp": timestamp, "level": "ERROR", "message": "the operator could not go on", "error": error, "target": target })
        .to_string()
}

/// The span of a pass over a client: each line in it tells of which object, and in which organization.
///
/// Spans like this are of level error: a filter that drops lines must not drop what the others speak of.
#[must_use]
pub fn of_client(namespace: &str, name: &str, organization: &str) -> Span {
    // Not `name`: in JSON that is the span's own.
    tracing::error_span!("client", object = %format_args!("{namespace}/{name}"), organization)
}

/// The span of a pass over an organization.
#[must_use]
pub fn of_organization(name: &str) -> Span {
    tracing::error_span!("organization", object = name, organization = name)
}

/// The span of a scan of an organization's clients. It goes on beside the pass that begins it, and is none of its steps.
#[must_use]
pub fn of_scan(organization: &str) -> Span {
    tracing::error_span!(parent: None, "scan", object = organization, organization)
}

/// The span of a question after the usage of an organization's client.
#[must_use]
pub fn of_usage(organization: &str) -> Span {
    tracing::error_span!(parent: None, "usage", object = organization, organization)
}

/// The span of a pass over a rotation policy, whose clients may be of several organizations.
#[must_use]
pub fn of_policy(namespace: &str, name: &str) -> Span {
    tracing::error_span!("policy", object = %format_args!("{namespace}/{name}"))
}

/// Starts logging to a writer, filtered by `RUST_LOG`, or else by `filter`, and to these listeners.
///
/// # Errors
/// When a logger is installed already.
pub fn start<W>(format: LogFormat, filter: &str, writer: W, listeners: Vec<Listener>) -> Result<(), tracing_subscriber::util::TryInitError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter));
    subscriber(format, filter, writer, listeners).try_init()
}

/// What [`start`] installs for the process.
pub fn subscriber<W>(format: LogFormat, filter: EnvFilter, writer: W, mut listeners: Vec<Listener>) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // Filters of this layer alone: a log that is told less must not make the others deaf.
    let filter = filter.and(filter_fn(|line| may_speak(line.target(), *line.level())));
    listeners.push(match format {
        LogFormat::Text => fmt::layer().with_writer(writer).with_ansi(false).with_filter(filter).boxed(),
        LogFormat::Json => {
            let format = fmt::format().json().flatten_event(true).with_current_span(false);
            fmt::layer().json().event_format(Addressed(format)).with_writer(writer).with_filter(filter).boxed()
        }
    });
    tracing_subscriber::registry().with(listeners)
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[test]
    fn libraries_that_print_bodies_stay_quiet() {
        assert!(!may_speak("kube_client::client", Level::WARN) && may_speak("kube_client::client", Level::ERROR));
        assert!(!may_speak("hyper::proto", Level::TRACE) && may_speak("hyper::proto", Level::WARN));
        assert!(may_speak("genesys_oauth_operator::controller", Level::TRACE) && may_speak("audit", Level::INFO));
        assert!(!may_speak(traces::TARGET, Level::ERROR), "spans of traces are no lines' business");
        assert!(may_speak("hyperlocal", Level::TRACE), "whole names alone count");
    }

    /// A writer into memory.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_json_line_tells_its_object_and_its_organization_whatever_is_filtered() {
        for filter in ["info", "warn,audit=info", "error,audit=debug"] {
            let kept = Kept::default();
            let writer = kept.clone();
            let subscriber = subscriber(LogFormat::Json, EnvFilter::new(filter), move || writer.clone(), vec![]);
            tracing::subscriber::with_default(subscriber, || {
                let tell = || tracing::info!(target: "audit", answer = 42, "told");
                of_client("team-a", "billing", "acme").in_scope(|| tracing::error_span!("step", reason = "create").in_scope(tell));
                of_organization("acme").in_scope(tell);
                of_policy("team-a", "monthly").in_scope(tell);
                tell();
            });
            let text = String::from_utf8(kept.0.lock().expect("no panic").clone()).expect("text");
            let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
            let addresses: Vec<_> = lines.iter().map(|line| (line["object"].as_str(), line["organization"].as_str())).collect();
            let expected =
                [(Some("team-a/billing"), Some("acme")), (Some("acme"), Some("acme")), (Some("team-a/monthly"), None), (None, None)];
            assert_eq!(addresses, expected, "{filter}");
            let spans: Vec<&Value> = lines.iter().map(|line| &line["spans"]).collect();
            assert_eq!(spans[0][0], json!({ "object": "team-a/billing", "organization": "acme", "name": "client" }), "{filter}");
            assert_eq!(spans[0][1], json!({ "reason": "create", "name": "step" }), "{filter}");
            assert_eq!(spans[1][0], json!({ "object": "acme", "organization": "acme", "name": "organization" }), "{filter}");
            assert_eq!(spans[2][0], json!({ "object": "team-a/monthly", "name": "policy" }), "{filter}");
            assert!(lines.iter().all(|line| line["message"] == "told" && line["answer"] == 42), "{filter}");
        }
    }
}
