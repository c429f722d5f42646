//! Measures takeovers under strikes, and the operator at rest. It must not fail on a figure: it only measures.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};

use super::budget::{read, worlds};
use super::{Goal, at_rest, figure};
use crate::calls::{Call, Side};
use crate::expect::inventory;
use crate::harness::Harness;
use crate::manifests::client;
use crate::process::tail;
use crate::replicas::{LEASE, Seen, Strikes, struck};
use crate::runner::Filter;
use crate::world::{Plan, Route, World};

/// Pairs of replicas that are struck side by side.
const PAIRS: usize = 8;
/// The strikes of one pair; of all pairs together 200 of each signal that nobody can handle.
const STRIKES: Strikes = Strikes { kills: 25, halts: 25, terminations: 5 };
/// What a takeover may take beyond what the lease itself costs.
const SLACK: f64 = 0.5;
/// Objects at rest.
const OBJECTS: usize = 1000;
/// How many figures a day prints.
const DAY_FIGURES: usize = 7;
/// How long they are looked at.
const QUARTER: Duration = Duration::from_secs(900);

/// Measures everything that is named `availability.day.…`: a day of virtual time, which needs no API server.
pub async fn day(filter: &Filter) -> Result<()> {
    let text = worlds(&["at_rest::"]).await?;
    let found: Vec<(&str, f64)> = text.lines().filter_map(read).collect();
    ensure!(found.len() >= DAY_FIGURES, "only {} figures of a day; the last lines:\n{}", found.len(), tail(&text, 20));
    for (name, value) in found {
        let goal = match name {
            "day.kubernetes-writes" | "day.other-calls" => Goal::AtMost(0.0),
            // One each of a thousand credentials; the operator logs in for itself too.
            "day.verifications" => Goal::AtMost(1000.0),
            "day.logins" => Goal::AtMost(1010.0),
            // One in five minutes, and one at the edge.
            "day.scans" => Goal::AtMost(289.0),
            _ => Goal::None,
        };
        figure(filter, &format!("availability.{name}"), value, "", goal);
    }
    Ok(())
}

/// Measures everything else that is named `availability.…`.
pub async fn availability(harness: &Arc<Harness>, filter: &Filter) -> Result<()> {
    if filter.may_want("availability.strikes") || filter.may_want("availability.takeover") {
        strikes(harness, filter).await?;
    }
    if filter.may_want("availability.rest") {
        rest(harness, filter).await?;
    }
    Ok(())
}

async fn strikes(harness: &Arc<Harness>, filter: &Filter) -> Result<()> {
    let names: Vec<String> = (1..=PAIRS).map(|number| format!("pair-{number}")).collect();
    // An error here is a duplicate, a lost secret or a rotation that never ended: no figure, but a failure.
    let all: Vec<Seen> = try_join_all(names.iter().map(|name| struck(harness, name, STRIKES))).await?;
    let sum = |count: fn(&Seen) -> usize| all.iter().map(count).sum::<usize>();
    let number = |count: fn(&Seen) -> usize| f64::from(u32::try_from(sum(count)).unwrap_or(u32::MAX));
    figure(filter, "availability.strikes.kills", number(|seen| seen.after_kills.len()), "", Goal::AtLeast(200.0));
    figure(filter, "availability.strikes.halts", number(|seen| seen.halts), "", Goal::AtLeast(200.0));
    figure(filter, "availability.strikes.halts-with-takeover", number(|seen| seen.halts_with_takeover), "", Goal::AtLeast(1.0));
    figure(filter, "availability.strikes.terminations", number(|seen| seen.after_terminations.len()), "", Goal::None);
    figure(filter, "availability.strikes.objects", number(|seen| seen.objects), "", Goal::None);
    figure(filter, "availability.strikes.rotations", number(|seen| seen.rotations), "", Goal::AtLeast(1.0));
    figure(filter, "availability.strikes.surviving-duplicates", number(|seen| seen.duplicates), "", Goal::AtMost(0.0));
    figure(filter, "availability.strikes.lost-secrets", number(|seen| seen.lost), "", Goal::AtMost(0.0));
    figure(filter, "availability.strikes.logins", number(|seen| seen.logins), "", Goal::AtLeast(1.0));
    figure(filter, "availability.strikes.logins-refused", number(|seen| seen.refused), "", Goal::AtMost(0.0));
    let times = |pick: fn(&Seen) -> &Vec<f64>| {
        let mut times: Vec<f64> = all.iter().flat_map(pick).copied().collect();
        times.sort_by(f64::total_cmp);
        times
    };
    for (name, times, most) in [
        ("kill", times(|seen| &seen.after_kills), LEASE.as_secs_f64() + SLACK),
        ("terminate", times(|seen| &seen.after_terminations), SLACK),
    ] {
        let (median, last) = (times.get(times.len() / 2), times.last());
        let (median, last) = median.copied().zip(last.copied()).context("no takeover was measured")?;
        figure(filter, &format!("availability.takeover.{name}.median"), median, "s", Goal::AtMost(most));
        figure(filter, &format!("availability.takeover.{name}.longest"), last, "s", Goal::AtMost(most));
    }
    Ok(())
}

/// A thousand settled objects, and every call of a quarter of an hour.
async fn rest(harness: &Arc<Harness>, filter: &Filter) -> Result<()> {
    let mut plan = Plan::new("figures-rest", Route::Proxied);
    // The operator has a client of its own there: with the platform's usual limit one of the thousand has no room.
    plan.settings["maximumClients"] = Value::Null;
    plan.settings["loginRequestsPerMinute"] = Value::Null;
    plan.settings["requestsPerMinute"] = Value::Null;
    let world = World::settled(harness, plan).await?;
    let begun = Instant::now();
    for tens in 0..OBJECTS / 100 {
        let items: Vec<Value> = (0..100).map(|number| client(&world.name, &format!("c{tens}{number:02}"), &world.name)).collect();
        world.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": items })).await?;
    }
    // Each is verified once, and the operator takes thirty tokens a minute at most.
    world.kubectl.ok(&["wait", "goc", "--all", "--for=condition=Ready", "--timeout=3600s"]).await?;
    figure(filter, "availability.rest.objects-ready-after", begun.elapsed().as_secs_f64(), "s", Goal::None);
    // The organization counts its clients with a scan, which is the last that creates bring about.
    inventory(&world, OBJECTS).await?;
    at_rest(&world).await?;
    world.recorder.arm(None);
    tokio::time::sleep(QUARTER).await;
    let calls = world.recorder.calls();
    for call in calls.iter().filter(|call| call.write) {
        eprintln!("written at rest: {}", call.key);
    }
    let count = |which: fn(&Call) -> bool| f64::from(u32::try_from(calls.iter().filter(|call| which(call)).count()).unwrap_or(u32::MAX));
    figure(filter, "availability.rest.kubernetes-writes", count(|call| call.side == Side::Kubernetes && call.write), "", Goal::AtMost(0.0));
    figure(filter, "availability.rest.kubernetes-reads", count(|call| call.side == Side::Kubernetes && !call.write), "", Goal::None);
    figure(filter, "availability.rest.scans", count(|call| call.key == SCAN), "", Goal::AtMost(4.0));
    figure(filter, "availability.rest.tokens", count(|call| call.side == Side::TokenHost), "", Goal::AtMost(1.0));
    figure(
        filter,
        "availability.rest.other-platform-calls",
        count(|call| call.side == Side::Platform && call.key != SCAN),
        "",
        Goal::AtMost(0.0),
    );
    Ok(())
}

const SCAN: &str = "GET /api/v2/oauth/clients";
