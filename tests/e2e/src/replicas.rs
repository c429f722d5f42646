//! Two replicas of the operator that share a short lease, and are killed, halted and ended while they create and rotate; it measures how long
//! each takeover took and must not judge it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http::Method;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::api::path;
use crate::calls::Side;
use crate::expect::{is_done, logs_are_clean, one_client, summary};
use crate::harness::{Harness, PATIENCE};
use crate::manifests::client;
use crate::oauth::{client_credentials, default_names};
use crate::operator::{Operator, Terms};
use crate::process::{Process, tail};
use crate::world::{Plan, Route, World, decode};

/// The lease of the two, in seconds as [`Terms::SHORT`] has it.
pub const LEASE: Duration = Duration::from_secs(4);
/// How often the lease is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Within what time of a new object and a request for a rotation the replica that works is struck.
const WITHIN: Duration = Duration::from_millis(1500);
/// How long a replica is halted at most: about as often shorter than the lease as longer.
const HALT: Duration = Duration::from_secs(8);
/// How often applications log in.
const LOGIN_EVERY: Duration = Duration::from_millis(100);
/// The annotation that asks for a rotation.
const ROTATE: &str = "oauth.genesys-operator.io/rotate";
/// Longer than the overlap of a client without a policy, and than its tokens live.
const TWO_HOURS: u64 = 7200;

/// What is done to the replica that works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strike {
    /// SIGKILL.
    Kill,
    /// SIGSTOP, and SIGCONT some seconds later.
    Halt,
    /// SIGTERM.
    Terminate,
}

/// How often each strike is made.
#[derive(Debug, Clone, Copy)]
pub struct Strikes {
    /// SIGKILLs.
    pub kills: usize,
    /// SIGSTOPs, each with a SIGCONT.
    pub halts: usize,
    /// SIGTERMs.
    pub terminations: usize,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// From each SIGKILL until the other replica held the lease, in seconds.
    pub after_kills: Vec<f64>,
    /// From the last look that showed the ended replica as the holder until the other one held the lease, in seconds.
    pub after_terminations: Vec<f64>,
    /// Halts, each with a SIGCONT.
    pub halts: usize,
    /// How many halts the other replica used to take over.
    pub halts_with_takeover: usize,
    /// Logins of applications with what the Secrets held.
    pub logins: usize,
    /// Those that were refused though the Secret still held the same credential.
    pub refused: usize,
    /// Objects, each created under strikes.
    pub objects: usize,
    /// Rotations that were asked for under strikes, and ended.
    pub rotations: usize,
    /// Clients of the platform beyond one for each object.
    pub duplicates: usize,
    /// Objects without their one client whose credential is in their Secret and works.
    pub lost: usize,
    /// What was wrong with the first of them.
    pub harm: Option<String>,
}

/// The two, each started again as soon as it ended.
struct Pair<'a> {
    world: &'a World,
    replicas: [Operator; 2],
}

fn pod(number: usize) -> String {
    format!("replica-{number}")
}

impl<'a> Pair<'a> {
    fn start(world: &'a World) -> Result<Self> {
        let one = |number| world.start_replica(&pod(number), Terms::SHORT);
        Ok(Self { world, replicas: [one(0)?, one(1)?] })
    }

    /// What a kubelet does.
    fn revive(&mut self) -> Result<()> {
        for (number, replica) in self.replicas.iter_mut().enumerate() {
            if let Some(status) = replica.process.ended() {
                let log = replica.process.log();
                // One that ends by itself before it asked for the lease would be started for ever.
                ensure!(
                    status.code().is_none() || log.contains("lease="),
                    "{} ended with {status} at its start:\n{}",
                    pod(number),
                    tail(&log, 5)
                );
                *replica = self.world.start_replica(&pod(number), Terms::SHORT)?;
            }
        }
        Ok(())
    }

    /// Whom the lease names.
    async fn named(&self) -> Result<String> {
        let name = "genesys-oauth-operator";
        let place = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases/{name}", self.world.operator_namespace);
        let lease = self.world.harness.api.get(&place).await?.unwrap_or_default();
        Ok(lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned())
    }

    /// In which pod the process that the lease names runs, or ran.
    async fn holder(&self) -> Result<Option<usize>> {
        let named = self.named().await?;
        Ok((0..2).find(|number| named.starts_with(&format!("{}_", pod(*number)))))
    }

    /// Waits for one that works: whom the lease names may have ended by itself, and its successor in the same pod waits like any other.
    async fn any_holder(&mut self) -> Result<usize> {
        let begun = Instant::now();
        loop {
            self.revive()?;
            let got_it = format!("me={} ", self.named().await?);
            if let Some(holder) = (0..2).find(|number| self.replicas[*number].process.log().contains(&got_it)) {
                return Ok(holder);
            }
            ensure!(begun.elapsed() < PATIENCE, "nobody holds the lease");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until the other replica holds the lease, or for `patience`; returns when it was last seen with the former holder, and when with the new.
    async fn taken_over(&mut self, former: usize, patience: Duration) -> Result<Option<(Instant, Instant)>> {
        let begun = Instant::now();
        let mut last = begun;
        while begun.elapsed() < patience {
            match self.holder().await? {
                Some(holder) if holder != former => return Ok(Some((last, Instant::now()))),
                Some(_) => last = Instant::now(),
                None => {}
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(None)
    }

    async fn strike(&mut self, strike: Strike, random: &mut StdRng, seen: &mut Seen) -> Result<()> {
        let former = self.any_holder().await?;
        let process = self.replicas[former].process.clone();
        let struck = Instant::now();
        match strike {
            Strike::Kill => {
                process.kill();
                let (_, at) = self.taken_over(former, PATIENCE).await?.context("no takeover after SIGKILL")?;
                seen.after_kills.push((at - struck).as_secs_f64());
            }
            Strike::Terminate => {
                process.signal("TERM").await?;
                let (last, at) = self.taken_over(former, PATIENCE).await?.context("no takeover after SIGTERM")?;
                ends(&process, 0).await?;
                seen.after_terminations.push((at - last).as_secs_f64());
            }
            Strike::Halt => {
                process.signal("STOP").await?;
                // The first outlasts the lease for certain.
                let halted = if seen.halts == 0 { HALT } else { HALT.mul_f64(random.random()) };
                let lost = self.taken_over(former, halted).await?.is_some();
                if lost {
                    seen.halts_with_takeover += 1;
                    // The other one works for a while before this one wakes and believes itself the holder.
                    tokio::time::sleep(WITHIN.mul_f64(random.random())).await;
                }
                process.signal("CONT").await?;
                seen.halts += 1;
                if lost {
                    ends(&process, 1).await?;
                    ensure!(process.log().contains("the lease is lost"), "it does not say why it ended:\n{}", tail(&process.log(), 5));
                }
            }
        }
        self.revive()
    }
}

/// Waits until a replica ended by itself, and demands its exit code.
async fn ends(process: &Process, code: i32) -> Result<()> {
    let begun = Instant::now();
    loop {
        if let Some(status) = process.ended() {
            ensure!(status.code() == Some(code), "it ended with {status}, not with {code}:\n{}", tail(&process.log(), 5));
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "it still runs:\n{}", tail(&process.log(), 5));
        tokio::time::sleep(LOOK).await;
    }
}

/// Demands that a process is not taken for the holder because its predecessor in the same pod was.
pub async fn successor_waits(harness: &Arc<Harness>) -> Result<()> {
    let world = World::create(harness, Plan::new("successor", Route::Proxied)).await?;
    world.give_credentials(crate::simulator::OPERATOR_SECRET).await?;
    let mut pair = Pair::start(&world)?;
    let former = pair.any_holder().await?;
    pair.replicas[former].process.stop().await?;
    pair.revive()?;
    let holder = pair.any_holder().await?;
    let log = pair.replicas[holder].process.log();
    ensure!(log.contains("got the lease"), "{} is taken for the holder, and has not got the lease:\n{}", pod(holder), tail(&log, 5));
    Ok(())
}

/// An application that logs in over and over with what a Secret holds.
async fn log_in(world: &World, random: &mut StdRng) -> Result<Option<bool>> {
    let secrets = world.harness.api.list(&path(Some(&world.name), "secrets", "")).await?;
    // The Secret of a rotation holds what is not in force yet.
    let published = |secret: &&Value| secret["metadata"]["name"].as_str().is_some_and(|name| !name.ends_with("-rotation"));
    let all: Vec<&Value> = secrets.iter().filter(published).collect();
    let Some(secret) = all.choose(random).copied() else { return Ok(None) };
    if client_credentials(&world.harness.http, &default_names(&world.direct(secret)?)).await?.token().is_ok() {
        return Ok(Some(true));
    }
    let name = secret["metadata"]["name"].as_str().context("a Secret without a name")?;
    let now = world.secret(name).await?.context("a published Secret is gone")?;
    // One that changed meanwhile is read again by the application.
    Ok(Some(decode(&now)? != decode(secret)?))
}

struct Applications {
    logins: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
    task: JoinHandle<Result<()>>,
}

impl Applications {
    fn start(world: &Arc<World>, mut random: StdRng) -> Self {
        let (logins, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (world, all, bad) = (Arc::clone(world), Arc::clone(&logins), Arc::clone(&refused));
        let task = tokio::spawn(async move {
            loop {
                if let Some(works) = log_in(&world, &mut random).await? {
                    all.fetch_add(1, Ordering::Relaxed);
                    bad.fetch_add(usize::from(!works), Ordering::Relaxed);
                }
                tokio::time::sleep(LOGIN_EVERY).await;
            }
        });
        Self { logins, refused, task }
    }

    /// Ends them; an error if they could not go on until now.
    async fn stop(self, seen: &mut Seen) -> Result<()> {
        if self.task.is_finished() {
            return self.task.await?.context("the applications");
        }
        self.task.abort();
        (seen.logins, seen.refused) = (self.logins.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed));
        Ok(())
    }
}

/// Creates and rotates under strikes in a world of its own, demands that every object is done in the end and no secret is in a log, and counts
/// what was harmed.
pub async fn struck(harness: &Arc<Harness>, name: &str, strikes: Strikes) -> Result<Seen> {
    let mut plan = Plan::new(name, Route::Proxied);
    // The applications log in far more often than an operator may.
    plan.settings["loginRequestsPerMinute"] = Value::Null;
    let world = Arc::new(World::create(harness, plan).await?);
    world.give_credentials(crate::simulator::OPERATOR_SECRET).await?;
    world.apply(&crate::manifests::organization(&world.name)).await?;
    // What happens when differs from run to run anyway; only the order of the strikes comes again.
    let mut random = StdRng::seed_from_u64(7);
    let mut seen = Seen::default();
    let mut pair = Pair::start(&world)?;
    pair.any_holder().await?;
    let applications = Applications::start(&world, StdRng::from_rng(&mut random));
    let mut order =
        [vec![Strike::Kill; strikes.kills], vec![Strike::Halt; strikes.halts], vec![Strike::Terminate; strikes.terminations]].concat();
    order.shuffle(&mut random);
    for strike in order {
        work(&world, seen.objects).await?;
        seen.objects += 1;
        begun(&mut pair, &mut random).await?;
        pair.strike(strike, &mut random, &mut seen).await.with_context(|| format!("{strike:?} after {} objects", seen.objects))?;
    }
    come_right(&mut pair).await?;
    applications.stop(&mut seen).await?;
    let all = harness.api.list(&path(Some(&world.name), "genesysoauthclients", "")).await?;
    seen.rotations = all.iter().filter(|object| is_asked(object)).count();
    for number in 0..seen.objects {
        if let Err(error) = one_client(&world, &object(number)).await {
            seen.lost += 1;
            seen.harm.get_or_insert(format!("{}: {error:#}", object(number)));
        }
    }
    seen.duplicates = world.simulator.clients().await?.len().saturating_sub(seen.objects);
    logs_are_clean(&world).await?;
    Ok(seen)
}

fn object(number: usize) -> String {
    format!("c{number:03}")
}

/// One more object, and a rotation of the first one that has a client and was not rotated.
async fn work(world: &World, number: usize) -> Result<()> {
    let all = world.harness.api.list(&path(Some(&world.name), "genesysoauthclients", "")).await?;
    world.apply(&client(&world.name, &object(number), &world.name)).await?;
    // A request on an object without a client would be taken for a copied one.
    let ripe = all.iter().find(|object| object["status"]["clientId"].is_string() && !is_asked(object));
    if let Some(name) = ripe.and_then(|object| object["metadata"]["name"].as_str()) {
        world.kubectl.ok(&["annotate", "goc", name, &format!("{ROTATE}=once")]).await?;
    }
    Ok(())
}

fn is_asked(object: &Value) -> bool {
    object["metadata"]["annotations"][ROTATE] == "once"
}

/// Lets the replica that works begin with its next write to the platform, every other time; a new holder waits for the calls of the one before.
async fn begun(pair: &mut Pair<'_>, random: &mut StdRng) -> Result<()> {
    let writes = |world: &World| world.recorder.calls().iter().filter(|call| call.side == Side::Platform && call.write).count();
    let (before, since) = (writes(pair.world), Instant::now());
    let waits: bool = random.random();
    while waits && writes(pair.world) == before && since.elapsed() < PATIENCE {
        pair.revive()?;
        tokio::time::sleep(LOOK).await;
    }
    tokio::time::sleep(WITHIN.mul_f64(random.random())).await;
    Ok(())
}

/// Waits until every object is done and every rotation ended, with the platform's clock moved over overlaps and the lives of old tokens.
async fn come_right(pair: &mut Pair<'_>) -> Result<()> {
    let world = pair.world;
    let (mut skipped, mut seen, mut last_progress) = (vec![], vec![], Instant::now());
    loop {
        pair.revive()?;
        let all = world.harness.api.list(&path(Some(&world.name), "genesysoauthclients", "")).await?;
        let open: Vec<&Value> = all.iter().filter(|object| !has_ended(object)).collect();
        let Some(first) = open.first() else { return Ok(()) };
        let steps = |objects: &[&Value]| -> Vec<Value> {
            objects.iter().map(|object| json!([object["status"]["rotation"]["current"]["step"], object["status"]["retiring"]])).collect()
        };
        if seen != steps(&open) {
            (seen, last_progress) = (steps(&open), Instant::now());
        }
        let (waits, stuck): (Vec<&Value>, Vec<&Value>) = open.iter().partition(|object| waits_for_time(object));
        let named = stuck.first().unwrap_or(first);
        let name = &named["metadata"]["name"];
        let stalls = last_progress.elapsed() > 2 * PATIENCE;
        ensure!(!stalls, "{} objects make no progress, the first: {name} of {}: {}", open.len(), world.name, summary(named));
        // Once for each picture of what waits, and only when nothing else goes on.
        if waits.len() == open.len() && skipped != steps(&waits) {
            skipped = steps(&waits);
            world.simulator.admin(Method::POST, "clock", Some(&json!({ "advanceSeconds": TWO_HOURS }))).await?;
            // A process that waits for a time of the platform does not see its clock jump; one that begins looks at every object.
            pair.replicas.iter().for_each(|replica| replica.process.kill());
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

fn has_ended(object: &Value) -> bool {
    let (last, current) = (&object["status"]["lastRotation"], &object["status"]["rotation"]["current"]);
    is_done(object) && current.is_null() && (!is_asked(object) || (last["request"] == "once" && last["result"] == "Succeeded"))
}

fn waits_for_time(object: &Value) -> bool {
    let status = &object["status"];
    let kept = status["retiring"].as_array().is_some_and(|all| all.iter().any(|retiring| !retiring["deleteAfter"].is_null()));
    status["rotation"]["current"]["step"] == "Draining" || kept
}
