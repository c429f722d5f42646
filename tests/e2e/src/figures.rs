//! Measures what create, update and delete cost, and the operator at rest. It must not fail on a figure: it only measures.

pub mod availability;
pub mod budget;
pub mod conformance;
pub mod drift;
pub mod rotation;
pub mod security;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use crate::calls::{Call, Side};
use crate::expect::{all_gone, done};
use crate::harness::{Harness, PATIENCE};
use crate::manifests::{CLIENT, client, with_spec};
use crate::runner::{Filter, say};
use crate::wait::{holds, until};
use crate::world::{Plan, Route, World};

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    /// Nobody set one.
    None,
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
}

impl Goal {
    fn is_kept(self, value: f64) -> bool {
        match self {
            Self::None => true,
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }

    fn shown(self, unit: &str) -> String {
        match self {
            Self::None => "-".to_owned(),
            Self::AtMost(most) => format!("<={most}{unit}"),
            Self::AtLeast(least) => format!(">={least}{unit}"),
        }
    }
}

/// Prints a figure: `ok` where it keeps its goal, `short` where it does not, `ok` without a goal.
pub(crate) fn figure(filter: &Filter, name: &str, value: f64, unit: &str, goal: Goal) {
    if !filter.wants(name) {
        return;
    }
    let word = if goal.is_kept(value) { "ok" } else { "short" };
    let shown = if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") };
    say(&format!("{word} {name} {shown}{unit} {}", goal.shown(unit)));
}

/// What a piece of work cost, in the units of the price list.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Cost {
    platform_calls: u32,
    scans: u32,
    tokens_me: u32,
    token_host: u32,
    kubernetes_writes: u32,
    dry_runs: u32,
    events: u32,
}

fn cost(calls: &[Call]) -> Cost {
    let mut sum = Cost::default();
    for call in calls {
        let place = match call.side {
            Side::TokenHost => &mut sum.token_host,
            Side::Platform if call.key == "GET /api/v2/oauth/clients" => &mut sum.scans,
            Side::Platform if call.key == "GET /api/v2/tokens/me" => &mut sum.tokens_me,
            Side::Platform => &mut sum.platform_calls,
            Side::Kubernetes if call.event => &mut sum.events,
            Side::Kubernetes if call.dry_run => &mut sum.dry_runs,
            Side::Kubernetes if call.write => &mut sum.kubernetes_writes,
            Side::Kubernetes => continue,
        };
        *place += 1;
    }
    sum
}

/// What it may cost: platform calls, token-host calls and Kubernetes writes, as the design's price list says.
type Goals = [Option<u32>; 3];

/// Measures everything that is named `create.…`.
pub async fn create(harness: &Arc<Harness>, filter: &Filter) -> Result<()> {
    let world = World::settled(harness, Plan::new("figures", Route::Proxied)).await?;
    let manifest = client(&world.name, CLIENT, &world.name);

    // A first client fills the directory's cache, as in an operator that has been running.
    world.apply(&client(&world.name, "first", &world.name)).await?;
    done(&world, "first").await?;
    at_rest(&world).await?;
    let operator = world.operator()?;
    figure(filter, "create.memory.objects-1", mebibytes(operator.process.resident_kib()?), "MiB", Goal::None);

    let begun = Instant::now();
    let calls = measured(&world, async {
        world.apply(&manifest).await?;
        done(&world, CLIENT).await.map(drop)
    });
    let (calls, took) = (calls.await?, begun.elapsed());
    // Finalizer, first status, intent, Secret, status, verified status.
    report(filter, "create.create", &cost(&calls), [Some(1), Some(1), Some(6)]);
    // `measured` rests for a while at the end, which is not the operator's time.
    figure(filter, "create.time.apply-to-ready", took.saturating_sub(REST).as_secs_f64(), "s", Goal::None);

    let calls = measured(&world, async {
        world.apply(&with_spec(manifest.clone(), &json!({ "accessTokenValiditySeconds": 7200 }))).await?;
        done(&world, CLIENT).await.map(drop)
    });
    // GET and PUT; status before and after.
    report(filter, "create.update", &cost(&calls.await?), [Some(2), Some(0), Some(2)]);

    let calls = measured(&world, async { world.kubectl.ok(&["delete", "goc", CLIENT, "--timeout=60s"]).await.map(drop) });
    // PUT and DELETE; status, the Secret's deletion, finalizer.
    report(filter, "create.delete", &cost(&calls.await?), [Some(2), Some(0), Some(3)]);

    world.kubectl.ok(&["delete", "goc", "first", "--timeout=60s"]).await?;
    all_gone(&world, "first").await?;
    memory(harness, filter).await
}

/// How long the world must be quiet to be at rest.
const REST: Duration = Duration::from_secs(2);

async fn measured(world: &World, act: impl Future<Output = Result<()>>) -> Result<Vec<Call>> {
    world.recorder.arm(None);
    act.await?;
    tokio::time::sleep(REST).await;
    Ok(world.recorder.calls())
}

async fn at_rest(world: &World) -> Result<()> {
    until("two quiet seconds", PATIENCE, || async {
        let before = world.recorder.calls().len();
        let quiet = holds(REST, || async {
            anyhow::ensure!(world.recorder.calls().len() == before, "a call");
            Ok(())
        });
        Ok(quiet.await.map_err(|error| error.to_string()))
    })
    .await
}

fn report(filter: &Filter, name: &str, cost: &Cost, [platform, token, kubernetes]: Goals) {
    let rows = [
        ("platform-calls", cost.platform_calls, platform),
        ("platform-scans", cost.scans, None),
        ("platform-tokens-me", cost.tokens_me, None),
        ("token-host-calls", cost.token_host, token),
        ("kubernetes-writes", cost.kubernetes_writes, kubernetes),
        ("kubernetes-dry-runs", cost.dry_runs, None),
        ("kubernetes-events", cost.events, None),
    ];
    for (row, value, goal) in rows {
        figure(filter, &format!("{name}.{row}"), value.into(), "", goal.map_or(Goal::None, |goal| Goal::AtMost(f64::from(goal))));
    }
}

async fn memory(harness: &Arc<Harness>, filter: &Filter) -> Result<()> {
    const OBJECTS: usize = 100;
    let name = format!("create.memory.objects-{OBJECTS}");
    if !filter.wants(&name) {
        return Ok(());
    }
    let mut plan = Plan::new("figures-memory", Route::Proxied);
    plan.settings["loginRequestsPerMinute"] = Value::Null;
    plan.settings["requestsPerMinute"] = Value::Null;
    let world = World::settled(harness, plan).await?;
    let items: Vec<Value> = (0..OBJECTS).map(|number| client(&world.name, &format!("c{number:03}"), &world.name)).collect();
    let begun = Instant::now();
    world.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": items })).await?;
    let timeout = "--timeout=300s";
    world.kubectl.ok(&["wait", "goc", "--all", "--for=condition=Ready", timeout]).await?;
    figure(filter, &format!("create.time.objects-{OBJECTS}"), begun.elapsed().as_secs_f64(), "s", Goal::None);
    at_rest(&world).await?;
    figure(filter, &name, mebibytes(world.operator()?.process.resident_kib()?), "MiB", Goal::None);
    Ok(())
}

fn mebibytes(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0
}
