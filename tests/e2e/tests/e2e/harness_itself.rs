//! The harness's own proxies, with plain requests in the operator's place: what the crash cells rely on must be true of
//! them. (kubectl cannot stand here: it sends no token over http.)

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e_support::api::path;
use e2e_support::harness::Harness;
use e2e_support::process::Process;
use e2e_support::proxy::{Fault, When};
use e2e_support::runner::Scenario;
use e2e_support::world::{Plan, Route, World};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::process::Command;

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario::new("harness/the proxies pass on, count, kill before, kill after and lose", proxies)]
}

async fn proxies(harness: Arc<Harness>) -> Result<()> {
    let world = World::create(&harness, Plan::new("proxies", Route::Proxied)).await?;
    let text = std::fs::read_to_string(world.folder().join("kubeconfig"))?;
    let config: Value = serde_json::from_str(&text)?;
    let server = config["clusters"][0]["cluster"]["server"].as_str().context("no server")?;
    let place = format!("{server}{}", path(Some(&world.name), "secrets", ""));
    let request = |method: Method, url: String| harness.http.request(method, url).bearer_auth(&harness.plane.token);
    let create = |name: &str| body(request(Method::POST, place.clone()), name);

    world.recorder.arm(None);
    let reply = create("one").send().await?;
    ensure!(reply.status() == 201, "the API server says {}", reply.status());
    let writes = world.recorder.writes();
    ensure!(writes.len() == 1 && writes[0].key == "POST secrets" && writes[0].status == Some(201), "the proxy saw {writes:?}");

    // A watch streams: what is made later arrives while the request is still open.
    let mut watch = request(Method::GET, format!("{place}?watch=true")).send().await?;
    create("two").send().await?;
    let mut seen = String::new();
    while !seen.contains(r#""name":"two""#) {
        let chunk = tokio::time::timeout(Duration::from_secs(10), watch.chunk()).await.context("the watch does not stream")??;
        seen.push_str(&String::from_utf8_lossy(&chunk.context("the watch ended")?));
    }

    for (name, when, arrives) in [("before", When::Before, false), ("after", When::After, true), ("lost", When::Lost, true)] {
        let mut sleep = Command::new("sleep");
        sleep.arg("600");
        let victim = Process::start("a victim", sleep, &world.folder().join("victim.log"), &harness.reaper)?;
        let fault = Fault { key: "POST secrets".to_owned(), occurrence: 1, when, victim: victim.clone() };
        world.recorder.arm(Some(fault));
        ensure!(create(name).send().await.is_err(), "{name}: a response came through");
        ensure!(world.recorder.has_struck(), "{name}: the fault did not strike");
        ensure!(world.secret(name).await?.is_some() == arrives, "{name}: whether the request arrived is not as planned");
        if when == When::Lost {
            ensure!(victim.ended().is_none(), "{name}: the victim died");
        }
        let status = victim.stop().await?;
        ensure!(!status.success(), "{name}: the victim ended by itself");
    }
    Ok(())
}

fn body(request: RequestBuilder, name: &str) -> RequestBuilder {
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name } });
    request.header("content-type", "application/json").body(secret.to_string())
}
