//! The simulator as a program: parses, listens on loopback, stops on a signal; everything else is in the library.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser;
use genesys_cloud_simulator::{AdjustableClock, Settings, Simulator};
use tokio::signal::unix::{SignalKind, signal};

/// Genesys Cloud's OAuth client API in memory, on loopback, with an admin page at /.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 120, after_long_help = EXAMPLES, after_help = EXAMPLES)]
struct Arguments {
    /// Where to listen; loopback only, port 0 takes any free one
    #[arg(long, env = "SIMULATOR_LISTEN", default_value = "127.0.0.1:8888", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Settings in JSON; what the file leaves out has its default. GET /admin/settings shows all of them
    #[arg(long, env = "SIMULATOR_SETTINGS", value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Id of the operator's own client [default: 00000000-0000-4000-8000-00000000c0de]
    #[arg(long, env = "SIMULATOR_OPERATOR_CLIENT_ID", value_name = "UUID")]
    operator_client_id: Option<String>,
    /// File with the secret of the operator's own client. The environment variable
    /// `SIMULATOR_OPERATOR_CLIENT_SECRET` does the same; without both it is a published one for demos
    #[arg(long, env = "SIMULATOR_OPERATOR_CLIENT_SECRET_FILE", value_name = "FILE")]
    operator_client_secret_file: Option<PathBuf>,
    /// How long new, changed and deleted clients take to show in the list [default: 0]
    #[arg(long, env = "SIMULATOR_LIST_PROPAGATION_MILLISECONDS", value_name = "NUMBER")]
    list_propagation_milliseconds: Option<u64>,
    /// How long granted roles take to work [default: 10000]
    #[arg(long, env = "SIMULATOR_ROLE_PROPAGATION_MILLISECONDS", value_name = "NUMBER")]
    role_propagation_milliseconds: Option<u64>,
    /// Requests per minute and token; 0 means no limit [default: 300]
    #[arg(long, env = "SIMULATOR_REQUESTS_PER_MINUTE", value_name = "NUMBER")]
    requests_per_minute: Option<u32>,
    /// Token requests per minute; 0 means no limit [default: 40]
    #[arg(long, env = "SIMULATOR_LOGIN_REQUESTS_PER_MINUTE", value_name = "NUMBER")]
    login_requests_per_minute: Option<u32>,
    /// Seed of ids, secrets and tokens, so that a run repeats itself [default: none]
    #[arg(long, env = "SIMULATOR_SEED", value_name = "NUMBER")]
    seed: Option<u64>,
}

const EXAMPLES: &str = "\
Examples:
  Start it, get a token with the demo credential, list the clients:
    genesys-cloud-simulator &
    curl -u 00000000-0000-4000-8000-00000000c0de:simulated-operator-secret-for-demos-only-00 \\
      -d grant_type=client_credentials http://127.0.0.1:8888/oauth/token
    curl -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:8888/api/v2/oauth/clients

  Let the next create lose its answer after the client was made, then look:
    curl -H 'Content-Type: application/json' -d '{\"operation\":\"CreateClient\",\"kind\":\"LostResponse\"}' \\
      http://127.0.0.1:8888/admin/faults
    curl http://127.0.0.1:8888/admin/clients";

/// The environment variable with the secret of the operator's own client.
const SECRET_VARIABLE: &str = "SIMULATOR_OPERATOR_CLIENT_SECRET";

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("genesys-cloud-simulator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    anyhow::ensure!(arguments.listen.ip().is_loopback(), "{} is no loopback address", arguments.listen);
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    // Signals are taken before anybody can know the address, so that none is missed.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let settings = settings(&arguments)?;
    let simulator = Simulator::new(settings, Arc::new(AdjustableClock::default()));
    let served = simulator.serve(arguments.listen).await.with_context(|| format!("cannot listen on {}", arguments.listen))?;
    println!("listening on {}", served.url());
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    served.shutdown().await;
    Ok(())
}

/// The settings file with the arguments laid over it.
fn settings(arguments: &Arguments) -> anyhow::Result<Settings> {
    let mut settings = match &arguments.settings {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            serde_json::from_str(&text).with_context(|| format!("{} holds no settings", path.display()))?
        }
        None => Settings::default(),
    };
    if let Some(id) = &arguments.operator_client_id {
        settings.operator_client_id.clone_from(id);
    }
    if let Some(path) = &arguments.operator_client_secret_file {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        settings.operator_client_secret = text.trim_end_matches(['\r', '\n']).into();
    } else if let Ok(secret) = std::env::var(SECRET_VARIABLE) {
        settings.operator_client_secret = secret.into();
    }
    anyhow::ensure!(!settings.operator_client_secret.as_str().is_empty(), "the operator's client secret is empty");
    if let Some(milliseconds) = arguments.list_propagation_milliseconds {
        settings.list_propagation_milliseconds = milliseconds;
    }
    if let Some(milliseconds) = arguments.role_propagation_milliseconds {
        settings.role_propagation_milliseconds = milliseconds;
    }
    let unlimited_if_zero = |limit: u32| Some(limit).filter(|limit| *limit > 0);
    if let Some(limit) = arguments.requests_per_minute {
        settings.requests_per_minute = unlimited_if_zero(limit);
    }
    if let Some(limit) = arguments.login_requests_per_minute {
        settings.login_requests_per_minute = unlimited_if_zero(limit);
    }
    settings.seed = arguments.seed.or(settings.seed);
    Ok(settings)
}
