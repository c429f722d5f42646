//! Tells a story in a world of its own and closes it: the operator comes to rest, a second one writes nothing, the invariants hold.

use std::{
    io,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use genesys_cloud_simulator::{Call, kubernetes::LoggedRequest};
use tracing::Dispatch;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::{
    addresses::unaddressed,
    metrics,
    rest::breaches,
    world::{Plan, World},
};

/// Longer than the longest pause after a failure.
const QUIET: Duration = Duration::from_secs(330);
/// How long a second operator is watched: it looks at every object at its start, and once more after that.
const SECOND_LOOK: Duration = Duration::from_secs(640);
/// The most requests of the Kubernetes API at rest, for each object, in the time of a second look.
const CALM: usize = 60;

/// What stories hear of an operator.
const HEARD: &str = "warn,genesys_oauth_operator=trace,audit=trace";
/// A listener that writes nothing. With none at all, a span that one test meets first while another one begins to listen may be taken for one
/// that nobody wants, and then the lines of every story lack it.
static LISTENS: LazyLock<Dispatch> =
    LazyLock::new(|| Dispatch::new(tracing_subscriber::fmt().with_env_filter(EnvFilter::new(HEARD)).with_writer(io::sink).finish()));

/// Everything that happened in a world.
#[derive(PartialEq, Eq)]
pub struct Trace {
    requests: Vec<LoggedRequest>,
    calls: Vec<Call>,
    hashes: [String; 4],
}

impl Trace {
    fn of(world: &World) -> Self {
        let (kubernetes, simulator) = (&world.kubernetes, &world.simulator);
        Self {
            requests: kubernetes.log(),
            calls: simulator.calls(),
            hashes: [kubernetes.trace_hash(), kubernetes.state_hash(), simulator.trace_hash(), simulator.state_hash()],
        }
    }

    /// One hash of the requests, the calls and what both left behind.
    pub fn hash(&self) -> String {
        self.hashes.join(" ")
    }

    /// Where two traces part.
    fn parting(&self, other: &Self) -> String {
        let requests = self.requests.iter().zip(&other.requests).find(|(one, two)| one != two);
        let calls = self.calls.iter().zip(&other.calls).find(|(one, two)| one != two);
        format!("first requests that differ: {requests:#?}, first calls that differ: {calls:#?}")
    }
}

/// The lines that were logged in a world.
#[derive(Clone, Default)]
struct Logs(Arc<Mutex<Vec<u8>>>);

impl Logs {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl io::Write for Logs {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logs {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Prints the last lines when a test fails.
struct Tail(Logs);

impl Drop for Tail {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let text = self.0.text();
            let lines: Vec<&str> = text.lines().rev().take(40).collect();
            eprintln!("the operator's last lines:\n{}", lines.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
    }
}

/// Tells a story once, closes its world, and gives what the story gave. For most: that a run repeats, a few of each kind show with [`scenario`].
pub fn once<T>(plan: impl Into<Plan>, story: impl AsyncFnOnce(&Arc<World>) -> T) -> (T, Trace) {
    logged(&Logs::default(), plan.into(), story)
}

fn logged<T>(logs: &Logs, plan: Plan, story: impl AsyncFnOnce(&Arc<World>) -> T) -> (T, Trace) {
    LazyLock::force(&LISTENS);
    let tail = Tail(logs.clone());
    let filter = EnvFilter::new(HEARD);
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(logs.clone()).with_ansi(false).without_time().finish();
    let logging = tracing::subscriber::set_default(subscriber);
    // A runtime of its own: no world hears of another, and what it leaves behind goes with it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    let (told, trace) = runtime.block_on(async {
        let world = World::begin(plan).await;
        let told = story(&world).await;
        close(&world).await;
        assert!(!world.wires.tells_a_secret(&logs.text()), "a secret stands in the operator's log");
        let beyond = world.rights.beyond(&world.kubernetes.log());
        assert!(beyond.is_empty(), "an operator asked for what the chart does not grant: {beyond:#?}");
        assert_eq!(unaddressed(&logs.text()), [""; 0], "lines that name no object");
        world.kill();
        (told, Trace::of(&world))
    });
    drop((runtime, logging, tail));
    (told, trace)
}

/// Tells a story once, closes its world, and gives the lines that its operators logged meanwhile.
pub fn heard(plan: impl Into<Plan>, story: impl AsyncFnOnce(&Arc<World>)) -> String {
    let logs = Logs::default();
    let ((), _) = logged(&logs, plan.into(), story);
    logs.text()
}

/// Tells a story that measures; its world is left as it is.
pub fn measured<T>(plan: impl Into<Plan>, story: impl AsyncFnOnce(&Arc<World>) -> T) -> T {
    LazyLock::force(&LISTENS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let world = World::begin(plan.into()).await;
        let told = story(&world).await;
        world.kill();
        told
    })
}

/// Tells a story twice from the same seed, and demands the same run. At twice the time: a short one or two in each file.
pub fn scenario(plan: impl Into<Plan>, mut story: impl AsyncFnMut(&Arc<World>)) {
    let plan = plan.into();
    let ((), one) = once(plan.clone(), &mut story);
    let ((), two) = once(plan, story);
    assert!(one == two, "the same seed gave another run; {}", one.parting(&two));
}

/// The end of every story.
async fn close(world: &World) {
    world.clear_faults();
    if !world.runs() {
        world.start();
    }
    world.until_rotations_end().await;
    world.quiet_for(QUIET).await;
    let demand = |when: &str| {
        let breaches: Vec<String> = breaches(world).into_iter().chain(metrics::faults(world)).collect();
        assert!(breaches.is_empty(), "{when}: {breaches:#?}");
    };
    demand("at rest");
    let (before, requests) = (world.writes(), world.kubernetes.log().len());
    world.kill();
    world.start();
    tokio::time::sleep(SECOND_LOOK).await;
    let log = world.kubernetes.log();
    let (asked, objects) = (log.len() - requests, world.list("genesysoauthclients").len());
    assert!(asked <= CALM * (objects + 1), "{asked} requests at rest, with {objects} clients");
    let written: Vec<_> = log.iter().rev().filter(|request| request.wrote).take(3).collect();
    assert_eq!(world.writes(), before, "a second operator writes; the last writes were {written:#?}");
    demand("under a second operator");
    assert_eq!(metrics::leftovers(world), [""; 0], "under a second operator");
}
