//! What a terminating namespace does on a real API server, which refuses new objects in it. The namespace controller, which a bare API
//! server lacks, is played by this test. What an operator does about deletion policies is shown by the world tests.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use e2e_support::api::path;
use e2e_support::expect::{all_gone, done};
use e2e_support::harness::{Harness, PATIENCE};
use e2e_support::manifests::{CLIENT, client};
use e2e_support::runner::Scenario;
use e2e_support::wait::until;
use e2e_support::world::{Plan, Route, World};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario::new("namespaces/a terminating namespace ends (the test plays the namespace controller)", namespace)]
}

async fn namespace(harness: Arc<Harness>) -> Result<()> {
    let world = World::settled(&harness, Plan::new("terminating", Route::Direct)).await?;
    world.apply(&client(&world.name, CLIENT, &world.name)).await?;
    done(&world, CLIENT).await?;
    harness.kubectl.ok(&["delete", "namespace", &world.name, "--wait=false"]).await?;
    until("the namespace to be terminating", PATIENCE, || async {
        let namespace = harness.api.get(&format!("/api/v1/namespaces/{}", world.name)).await?.context("no namespace")?;
        Ok(if namespace["status"]["phase"] == "Terminating" { Ok(()) } else { Err(namespace["status"].to_string()) })
    })
    .await?;
    world.play_namespace_controller().await?;
    all_gone(&world, CLIENT).await?;
    let left = harness.api.list(&path(Some(&world.name), "secrets", "")).await?;
    ensure!(left.is_empty(), "{} Secrets are left", left.len());
    Ok(())
}
