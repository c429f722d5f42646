//! Crash safety: at the calls of each story the operator is killed before them, killed after them, or loses the response; then the world must
//! come out right. It must not rely on any feature of the binary.
//!
//! Three first runs of each story record its calls; each call that came in all three gives a cell for each way in which the story is struck,
//! named after it.
//! A call is recognised by method, path and occurrence, since the order varies a little between runs, and a pass that a
//! late watch event repeats is no part of the story. A cell whose call does not come is tried twice more and then counts
//! as not run, which fails the suite.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use e2e_support::calls::Call;
use e2e_support::expect::logs_are_clean;
use e2e_support::harness::{Harness, PATIENCE};
use e2e_support::process::tail;
use e2e_support::proxy::{Fault, When};
use e2e_support::runner::{Filter, Outcome, Report, Scenario, say};
use e2e_support::wait::until;
use e2e_support::world::World;
use futures::future::join_all;

use super::crash_stories::Story;

/// The groups of cells, as names begin.
pub(crate) const GROUPS: [&str; 8] =
    ["crash/create", "crash/update", "crash/delete", "crash/repair", "crash/rotate", "crash/replace", "crash/regenerate", "crash/abort"];

/// How often a cell is tried until its call comes.
const TRIES: usize = 3;

#[derive(Debug, Clone)]
struct Cell {
    story: Story,
    number: usize,
    call: Call,
    when: When,
}

impl Cell {
    fn name(&self) -> String {
        let when = match self.when {
            When::Before => "killed before",
            When::After => "killed after",
            When::Lost => "response lost",
        };
        let again = if self.call.occurrence > 1 { format!(" ({})", self.call.occurrence) } else { String::new() };
        format!("crash/{}/{:02} {}{again}: {when}", self.story.word(), self.number, self.call.key)
    }
}

/// Runs the matrix: first the stories, then all cells that they name.
pub(crate) async fn run(harness: &Arc<Harness>, filter: &Filter, report: &mut Report) {
    let mut cells = Vec::new();
    let begun = Instant::now();
    let wanted = Story::ALL.into_iter().filter(|story| filter.may_want(&format!("crash/{}", story.word())));
    let references = wanted.map(|story| async move { (story, reference(harness, story).await) });
    for (story, found) in join_all(references).await {
        match found {
            Ok(found) => cells.extend(found),
            Err(error) => {
                let error = error.context("the story without a fault, which names the cells");
                report.note(&format!("crash/{}", story.word()), Err(error), begun.elapsed());
            }
        }
    }
    let wanted: Vec<Cell> = cells.into_iter().filter(|cell| filter.wants(&cell.name())).collect();
    if wanted.is_empty() {
        return;
    }
    say(&format!("crash cells: {}", wanted.len()));
    write_list(harness, &wanted);
    let total = wanted.len();
    let struck = Arc::new(AtomicUsize::new(0));
    let scenarios = wanted.into_iter().map(|cell| {
        let struck = Arc::clone(&struck);
        Scenario::judged(cell.name(), |harness| async move {
            let outcome = tried(&harness, cell).await?;
            if outcome == Outcome::Passed {
                struck.fetch_add(1, Ordering::Relaxed);
            }
            Ok(outcome)
        })
    });
    let parallel = harness.environment.parallel;
    report.run(harness, filter, parallel, scenarios.collect()).await;
    say(&format!("crash cells: {} of {total} struck and came out right", struck.load(Ordering::Relaxed)));
}

/// The calls of one run of a story without a fault.
async fn calls_of(harness: &Arc<Harness>, story: Story, run: usize) -> Result<Vec<Call>> {
    let world = World::settled(harness, story.plan(&format!("{}-reference-{run}", story.word()))).await?;
    story.prepare(&world).await?;
    world.recorder.arm(None);
    story.begin(&world).await?;
    story.outcome(&world).await?;
    Ok(world.recorder.calls().into_iter().filter(|call| call.relevant && story.is_struck_at(call)).collect())
}

/// The list of cells, for a reader, beside the logs.
fn write_list(harness: &Harness, cells: &[Cell]) {
    let mut text = String::new();
    for cell in cells {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", cell.name());
    }
    let file = harness.folder().join("crash-cells.txt");
    if let Err(error) = std::fs::write(&file, text) {
        say(&format!("the list of cells was not written to {}: {error}", file.display()));
    }
}

/// Runs a story three times without a fault and returns the cells that its calls give.
async fn reference(harness: &Arc<Harness>, story: Story) -> Result<Vec<Cell>> {
    let (first, second, third) = tokio::try_join!(calls_of(harness, story, 1), calls_of(harness, story, 2), calls_of(harness, story, 3))?;
    let came = |run: &[Call], call: &Call| run.iter().any(|other| other.key == call.key && other.occurrence == call.occurrence);
    let (calls, others): (Vec<Call>, Vec<Call>) = first.into_iter().partition(|call| came(&second, call) && came(&third, call));
    ensure!(calls.iter().any(|call| call.write), "the proxies saw no write in the story");
    for step in story.steps() {
        ensure!(calls.iter().any(|call| call.key.contains(step)), "no call of the story is {step}");
    }
    let varying = if others.is_empty() { String::new() } else { format!(", {} more in one run only", others.len()) };
    say(&format!("  story    crash/{}: {} calls{varying}", story.word(), calls.len()));
    let each =
        |(call, number): (Call, usize)| story.strikes().iter().map(move |when| Cell { story, number, call: call.clone(), when: *when });
    Ok(calls.into_iter().zip(1..).flat_map(each).collect())
}

async fn tried(harness: &Arc<Harness>, cell: Cell) -> Result<Outcome> {
    for attempt in 1..=TRIES {
        if strike(harness, &cell, attempt).await? {
            return Ok(Outcome::Passed);
        }
    }
    if cell.call.occurrence > 1 || !cell.call.write {
        // Whether a pass is repeated depends on the load: a repeated call, or a read that does not come again, is no part of the story.
        say(&format!("  no cell  {}: the call did not come again in {TRIES} runs of the story", cell.name()));
        return Ok(Outcome::Passed);
    }
    Ok(Outcome::NotRun(format!("the call did not come in {TRIES} runs of the story")))
}

/// Runs the story with the fault; false if the story ended without the call.
async fn strike(harness: &Arc<Harness>, cell: &Cell, attempt: usize) -> Result<bool> {
    let when = match cell.when {
        When::Before => "before",
        When::After => "after",
        When::Lost => "lost",
    };
    let name = format!("{}-{:02}-{when}-{attempt}", cell.story.word(), cell.number);
    let world = World::settled(harness, cell.story.plan(&name)).await?;
    let result = strike_in(&world, cell).await;
    if result.is_err() {
        let calls: String = world.recorder.calls().iter().filter(|call| call.relevant).fold(String::new(), |mut text, call| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "    {call}");
            text
        });
        let log = tail(&world.operator_logs(), 15);
        return result.with_context(|| format!("in {name}; calls:\n{calls}operator:\n{log}"));
    }
    result
}

async fn strike_in(world: &World, cell: &Cell) -> Result<bool> {
    cell.story.prepare(world).await?;
    let victim = world.operator()?.process;
    let fault = Fault { key: cell.call.key.clone(), occurrence: cell.call.occurrence, when: cell.when, victim: victim.clone() };
    world.recorder.arm(Some(fault));
    cell.story.begin(world).await?;
    tokio::select! {
        () = world.recorder.struck() => {}
        ended = cell.story.outcome(world) => {
            if !world.recorder.has_struck() {
                ended?;
                return Ok(false);
            }
        }
        () = tokio::time::sleep(PATIENCE) => bail!("neither the call nor the end of the story came"),
    }
    if cell.when != When::Lost {
        until("the operator to be dead", Duration::from_secs(10), || async { Ok(victim.ended().ok_or("it lives")) }).await?;
        world.start_operator().await?;
    }
    cell.story.outcome(world).await?;
    // Creates of one intent: one, and one more for a response that was lost.
    let created = world.simulator.committed(0).await?.iter().filter(|call| call.starts_with("CreateClient")).count();
    ensure!(created <= cell.story.most_creates(), "{created} clients were created for one object");
    logs_are_clean(world).await?;
    Ok(true)
}
