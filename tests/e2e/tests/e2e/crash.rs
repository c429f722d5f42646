//! Crash safety: for each call of create, update, delete and the repair of a Secret, the operator is killed before it, killed after it, or loses
//! the response; then the world must come out right. It must not rely on any feature of the binary.
//!
//! Three first runs of each story record its calls; each call that came in all three gives three cells, named after it.
//! A call is recognised by method, path and occurrence, since the order varies a little between runs, and a pass that a
//! late watch event repeats is no part of the story. A cell whose call does not come is tried twice more and then counts
//! as not run, which fails the suite.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use e2e_support::calls::Call;
use e2e_support::expect::{all_gone, comes_and_stays, done, is_done, logs_are_clean, only_client, summary};
use e2e_support::harness::{Harness, PATIENCE};
use e2e_support::manifests::{CLIENT, client, with_spec};
use e2e_support::process::tail;
use e2e_support::proxy::{Fault, When};
use e2e_support::runner::{Filter, Outcome, Report, Scenario, say};
use e2e_support::wait::until;
use e2e_support::world::{Plan, Route, World};
use futures::future::join_all;
use serde_json::{Value, json};

/// The groups of cells, as names begin.
pub(crate) const GROUPS: [&str; 5] = ["crash/create", "crash/update", "crash/delete", "crash/repair", "crash/rotate"];

/// How often a cell is tried until its call comes.
const TRIES: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Story {
    Create,
    Update,
    Delete,
    /// Somebody deletes the Secret of a client that can't be replaced, and a new secret is issued: the other call whose response can be lost.
    Repair,
    /// A person requests a rotation in an emergency: another client takes over, and the old one ends at once.
    Rotate,
}

impl Story {
    const ALL: [Self; 5] = [Self::Create, Self::Update, Self::Delete, Self::Repair, Self::Rotate];

    fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Repair => "repair",
            Self::Rotate => "rotate",
        }
    }

    /// Everything before the story: for update and delete, a client that is done.
    async fn prepare(self, world: &World) -> Result<()> {
        if self != Self::Create {
            world.apply(&self.manifest(world)).await?;
            done(world, CLIENT).await?;
        }
        Ok(())
    }

    /// The object of the story.
    fn manifest(self, world: &World) -> Value {
        let manifest = client(&world.name, CLIENT, &world.name);
        match self {
            Self::Repair => with_spec(manifest, &json!({ "scim": true })),
            _ => manifest,
        }
    }

    /// A person asks for a rotation.
    async fn request(world: &World, token: &str) -> Result<()> {
        let request = format!("oauth.genesys-operator.io/rotate={token}");
        world.kubectl.ok(&["annotate", "goc", CLIENT, &request]).await.map(drop)
    }

    /// What a person does.
    async fn begin(self, world: &World) -> Result<()> {
        let manifest = self.manifest(world);
        match self {
            Self::Rotate => Self::request(world, "now/Emergency").await,
            Self::Create => world.apply(&manifest).await.map(drop),
            Self::Update => {
                let edit = json!({ "displayName": "edited", "accessTokenValiditySeconds": 7200 });
                world.apply(&with_spec(manifest, &edit)).await.map(drop)
            }
            Self::Delete => world.kubectl.ok(&["delete", "goc", CLIENT, "--wait=false"]).await.map(drop),
            Self::Repair => world.kubectl.ok(&["delete", "secret", CLIENT]).await.map(drop),
        }
    }

    /// How the world must be in the end, and stay.
    async fn outcome(self, world: &World) -> Result<()> {
        if self == Self::Delete {
            return all_gone(world, CLIENT).await;
        }
        let what = "one client, Ready and Synced, its credential in the Secret";
        comes_and_stays(what, Duration::from_secs(1), || async move {
            let object = world.object(CLIENT).await?.context("no object")?;
            ensure!(is_done(&object), "{}", summary(&object));
            if self == Self::Rotate {
                ensure!(object["status"]["lastRotation"]["request"] == "now", "the rotation did not end: {}", summary(&object));
                ensure!(object["status"]["rotation"]["current"].is_null(), "the rotation goes on: {}", summary(&object));
            }
            let found = only_client(world, CLIENT).await?;
            if self == Self::Update {
                ensure!(found["accessTokenValiditySeconds"] == 7200 && found["name"] == "edited", "the edit is not there: {found}");
            }
            Ok(())
        })
        .await
    }
}

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
    let world = World::settled(harness, Plan::new(&format!("{}-reference-{run}", story.word()), Route::Proxied)).await?;
    story.prepare(&world).await?;
    world.recorder.arm(None);
    story.begin(&world).await?;
    story.outcome(&world).await?;
    Ok(world.recorder.calls().into_iter().filter(|call| call.relevant).collect())
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
    let varying = if others.is_empty() { String::new() } else { format!(", {} more in one run only", others.len()) };
    say(&format!("  story    crash/{}: {} calls{varying}", story.word(), calls.len()));
    let three = |(call, number): (Call, usize)| {
        [When::Before, When::After, When::Lost].map(|when| Cell { story, number, call: call.clone(), when })
    };
    Ok(calls.into_iter().zip(1..).flat_map(three).collect())
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
    let world = World::settled(harness, Plan::new(&name, Route::Proxied)).await?;
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
    let most = if cell.story == Story::Rotate { 3 } else { 2 };
    ensure!(created <= most, "{created} clients were created for one object");
    logs_are_clean(world).await?;
    Ok(true)
}
