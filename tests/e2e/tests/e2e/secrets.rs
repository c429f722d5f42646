//! Secrets nowhere, as the process and the API server show it from outside: its log at TRACE with the libraries' own lines, its arguments,
//! variables and limits, every object but Secrets. What a hostile platform provokes is shown by the world tests.

use std::io::{Error, ErrorKind};
use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e_support::expect::{all_gone, done, logs_are_clean, secrets};
use e2e_support::harness::{Harness, PATIENCE};
use e2e_support::manifests::{CLIENT, client, with_spec};
use e2e_support::operator::Logging;
use e2e_support::runner::Scenario;
use e2e_support::wait::until;
use e2e_support::world::{Plan, Route, World};
use http::Method;
use serde_json::json;

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario::new("secrets/none in a log at TRACE, in arguments, variables or objects, and no core dump", nowhere)]
}

async fn nowhere(harness: Arc<Harness>) -> Result<()> {
    let plan = Plan { log: Logging { filter: "trace", ..Logging::USUAL }, ..Plan::new("canary", Route::Proxied) };
    let world = World::settled(&harness, plan).await?;
    let manifest = with_spec(client(&world.name, CLIENT, &world.name), &json!({ "scim": true }));
    world.apply(&manifest).await?;
    done(&world, CLIENT).await?;
    // Deleted, its secret is issued anew: the other answer that holds one.
    world.kubectl.ok(&["delete", "secret", CLIENT]).await?;
    until("the new Secret", PATIENCE, || async { Ok(world.secret(CLIENT).await?.map(drop).ok_or("it is not there yet")) }).await?;
    done(&world, CLIENT).await?;
    // The platform's error repeats the secret, as it is and as JSON holds it in a text.
    let secret = world.data(CLIENT).await?["clientSecret"].clone();
    let body = json!({ "message": format!("refused: {secret}"), "details": [{ "body": json!({ "secret": secret }).to_string() }] });
    let fault = json!({ "operation": "UpdateClient", "kind": "Status", "status": 400, "count": 1, "body": body });
    world.simulator.admin(Method::POST, "faults", Some(&fault)).await?;
    world.apply(&with_spec(manifest, &json!({ "accessTokenValiditySeconds": 7200 }))).await?;
    done(&world, CLIENT).await?;
    let calls = world.simulator.calls(0).await?;
    ensure!(calls.iter().any(|call| call["fault"] == "Status"), "the platform repeated nothing");

    let known = secrets(&world).await?;
    let held = world.secret(CLIENT).await?.unwrap_or_default();
    ensure!(known.are_in(&held["data"].to_string()), "the positive control: a Secret's data holds a secret in base64");
    let process = world.operator()?.process;
    ensure!(!known.are_in(&process.proc("cmdline")?), "a secret stands in the process's arguments");
    match process.proc("environ") {
        Ok(variables) => ensure!(!known.are_in(&variables), "a secret stands in the process's variables"),
        // Who is not root may not read them: the process forbids it.
        Err(error) => ensure!(error.downcast_ref::<Error>().map(Error::kind) == Some(ErrorKind::PermissionDenied), "{error:#}"),
    }
    match process.files() {
        Ok(files) => {
            let logs = files.iter().all(|file| file.extension().is_some_and(|end| end == "log"));
            ensure!(logs && !files.is_empty(), "it writes into other files: {files:?}");
        }
        Err(error) => ensure!(error.kind() == ErrorKind::PermissionDenied, "{error}"),
    }
    let limits = process.proc("limits")?;
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap_or_default();
    ensure!(cores.split_whitespace().filter(|word| *word == "0").count() == 2, "core dumps are allowed: {cores}");
    for namespace in [&world.name, &world.operator_namespace] {
        for kind in ["events", "events.events.k8s.io", "leases", "configmaps", "genesysoauthclients", "genesysorganizations"] {
            let told = harness.kubectl.namespaced(namespace).ok(&["get", kind, "--output=json", "--show-managed-fields"]).await?;
            ensure!(!known.are_in(&told), "a secret stands in {kind} of {namespace}");
        }
    }
    world.kubectl.ok(&["delete", "goc", CLIENT, "--wait=false"]).await?;
    all_gone(&world, CLIENT).await?;
    let log = process.log();
    ensure!(log.contains("TRACE"), "the log holds nothing of level TRACE: it proves nothing");
    ensure!(!known.are_in(&log), "a secret stands in the log, see {}", world.folder().display());
    logs_are_clean(&world).await
}
