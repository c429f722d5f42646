//! A Kubernetes API in memory as a program of its own, for kubectl and for the conformance suite. Listens on loopback alone; keeps nothing.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use clap::Parser;
use genesys_cloud_simulator::{
    SystemClock,
    kubernetes::{Kubernetes, Settings},
};

/// Serves a Kubernetes API from memory until it is stopped.
///
/// Example: kubernetes-simulator --kubeconfig /tmp/kubeconfig; KUBECONFIG=/tmp/kubeconfig kubectl get namespaces
#[derive(Parser)]
#[command(name = "kubernetes-simulator", version, about)]
struct Arguments {
    /// Loopback address to listen on; port 0 takes any
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// File that the kubeconfig of an administrator is written to
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,
    /// Seed of uids and generated names; the same seed gives the same
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many changes are kept for watches to resume from; older ones answer 410
    #[arg(long, default_value_t = 500)]
    history: usize,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    anyhow::ensure!(
        arguments.listen.ip().is_loopback(),
        "{} is no loopback address: this API asks nobody for a password",
        arguments.listen
    );
    let settings = Settings { history: arguments.history, ..Settings::new(arguments.seed, Arc::new(SystemClock)) };
    let served = Kubernetes::new(settings).serve(arguments.listen).await.with_context(|| format!("listening on {}", arguments.listen))?;
    std::fs::write(&arguments.kubeconfig, served.kubeconfig("admin"))
        .with_context(|| format!("writing {}", arguments.kubeconfig.display()))?;
    println!("ready: export KUBECONFIG={}", arguments.kubeconfig.display());
    tokio::signal::ctrl_c().await?;
    Ok(())
}
