//! The demo: both simulators and the operator in one process, for a person with kubectl, or by itself as a script. It parses,
//! starts, prints what to type next, and maps errors to exit codes; what is shown stands in `story` and `failures`.

mod arguments;
mod cluster;
mod failures;
mod narrator;
mod platform;
mod print;
mod stage;
mod story;
mod tempo;
mod tour;
mod world;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, Result};
use clap::Parser as _;
use genesys_oauth_operator::observability::logging::{self, LogFormat};
use tokio::signal::unix::{SignalKind, signal};

use arguments::{Arguments, Show};
use stage::Stage;
use tour::Tour;
use world::World;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match start(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\ndemo: {}", worded(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes. What the Kubernetes API refuses is told in its own words, and not as Rust prints them.
fn worded(error: &anyhow::Error) -> String {
    let mut words = vec![];
    for cause in error.chain() {
        if let Some(kube::Error::Api(refusal)) = cause.downcast_ref() {
            words.push(refusal.message.clone());
            break;
        }
        words.push(cause.to_string());
    }
    words.join(": ")
}

fn start(arguments: &Arguments) -> Result<()> {
    let log = log_to_file(arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    runtime.block_on(async {
        tokio::spawn(tempo::drive(arguments.speed));
        let result = demo(arguments, &log).await;
        if result.is_err() {
            print::say(&format!("\nThe operator's log: {}", log.display()));
        }
        result
    })
}

/// Sends the operator's log to a file beside the kubeconfig, so that it does not stand between what is shown.
fn log_to_file(arguments: &Arguments) -> Result<PathBuf> {
    let path = arguments.kubeconfig.with_file_name("operator.log");
    let open = || {
        std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
        std::fs::File::create(&path)
    };
    let file = open().with_context(|| format!("writing {}; name another place with --kubeconfig", path.display()))?;
    logging::start(LogFormat::Text, "info,genesys_cloud_simulator=warn", Arc::new(file), vec![])?;
    Ok(path)
}

async fn demo(arguments: &Arguments, log: &Path) -> Result<()> {
    let (mut world, labels) = match &arguments.context {
        Some(context) => (cluster::world(context).await?, cluster::OURS),
        None => (World::in_memory(arguments.speed).await?, ""),
    };
    let stage = world.stage.clone();
    let tour = Tour { arguments, log, platform_url: world.platform_url.clone() };
    tokio::spawn(narrator::narrate(stage.clone(), labels));
    let kubeconfig = world.kubeconfig();
    let played = async {
        if arguments.script {
            print::say("Each command stands for the same request to the Kubernetes API, made here without kubectl.\n");
        }
        world::furnish(&stage).await?;
        // Now: who finds the file finds the objects of the tour.
        kubeconfig.as_ref().map_or(Ok(()), |text| world::write_private(&arguments.kubeconfig, text))?;
        play(arguments, &stage, &tour).await
    };
    let result = tokio::select! {
        result = played => result,
        error = world.operator_ended() => Err(error),
        stopped = stop(arguments) => stopped,
    };
    // It leads nowhere any more; another demo may have written its own meanwhile.
    if std::fs::read_to_string(&arguments.kubeconfig).is_ok_and(|found| Some(found) == kubeconfig) {
        std::fs::remove_file(&arguments.kubeconfig)?;
    }
    let cleared = if arguments.context.is_some() { cluster::clear(&stage).await } else { Ok(()) };
    result.and(cleared)
}

/// Shows what is to be shown; by itself, or for a person who then goes on with kubectl.
async fn play(arguments: &Arguments, stage: &Stage, tour: &Tour<'_>) -> Result<()> {
    match arguments.show() {
        Show::Failures => failures::show(stage).await?,
        Show::Story if arguments.script => story::play(stage).await?,
        Show::Story => {}
    }
    if !arguments.script {
        tour.print();
        std::future::pending::<()>().await;
    }
    print::say("\nThat was it: everything was as it should be.");
    Ok(())
}

/// Resolves when somebody wants the demo to end, which a script should not see.
async fn stop(arguments: &Arguments) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    print::say("\nStopping everything.");
    anyhow::ensure!(!arguments.script, "interrupted before the end of the story");
    Ok(())
}

#[cfg(test)]
mod tests;
