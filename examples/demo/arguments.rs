//! The demo's command line; it must not do anything.

use std::path::PathBuf;

use clap::Parser;

use crate::tempo::Speed;

/// Shows the operator at work in one process: a Kubernetes API and a Genesys Cloud in memory, and the operator between them.
///
/// It needs no cluster, no Docker and no Genesys Cloud organization. kubectl reaches it by the kubeconfig that it writes.
/// The operator waits seconds for the platform here where it waits a minute in production.
#[derive(Clone, Debug, Parser)]
#[command(name = "demo", max_term_width = 120)]
pub struct Arguments {
    /// File that the kubeconfig is written to, for kubectl; the operator's log is written beside it
    #[arg(long, value_name = "FILE", default_value = "target/demo/kubeconfig")]
    pub kubeconfig: PathBuf,

    /// How fast the world goes: 1d=10s lets a day pass in ten seconds; 1s=1s is real time
    #[arg(long, value_name = "WORLD=REAL", default_value = "1s=1s", conflicts_with = "context")]
    pub speed: Speed,

    /// Run the story, print it, and exit: 0 if all was as it should be
    #[arg(long)]
    pub script: bool,

    /// Show what people see when something is wrong
    #[arg(long)]
    pub fail: bool,

    /// A cluster of your own kubeconfig, by the name of its context, in place of the one in memory. The CRDs are applied there,
    /// with kubectl, and stay; all else that the demo makes there is deleted at its end
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// All goes well.
    Story,
    /// All that goes wrong.
    Failures,
}

impl Arguments {
    /// What is shown.
    pub fn show(&self) -> Show {
        if self.fail { Show::Failures } else { Show::Story }
    }
}
