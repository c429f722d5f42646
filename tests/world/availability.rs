//! Two replicas and one lease: one works, and the other takes over when the first ends, stands still or gives the lease up. It believes no log.

use std::{sync::Arc, time::Duration};

use genesys_cloud_simulator::{
    OPERATOR_CLIENT_SECRET,
    kubernetes::{Fault, FaultKind, Verb},
};
use genesys_oauth_operator::{controller::context::Chance, run::StartError};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::{sync::oneshot, time::Instant};

use crate::{
    objects::{self, HOME},
    process::OPERATOR,
    scenario::{once, scenario},
    turnstile::Numbers,
    world::{Operator, Plan, World},
};

/// The usual terms.
const DURATION: Duration = Duration::from_secs(15);
/// What a takeover may take beyond what the lease itself costs.
const SLACK: Duration = Duration::from_millis(500);
/// How often the lease is looked at. An even number of milliseconds: requests are carried out at odd ones.
pub const LOOK: Duration = Duration::from_millis(20);

/// How often a replica falls, each time in another way.
const ROUNDS: u64 = 6;

/// The world's clock, so many hours off.
pub struct HoursOff(pub Arc<dyn Chance>, pub i64);

impl Chance for HoursOff {
    fn now(&self) -> Timestamp {
        self.0.now() + SignedDuration::from_hours(self.1)
    }

    fn bytes(&self) -> [u8; 10] {
        self.0.bytes()
    }

    fn fraction(&self) -> f64 {
        self.0.fraction()
    }
}

/// By how many hours the wall clocks of two replicas are off: both are right, or either one is wrong.
const CLOCKS: [(i64, i64); 5] = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)];

/// A replica, and how to ask it to stop as SIGTERM does.
pub struct Replica {
    /// The process.
    pub operator: Operator,
    terminate: Option<oneshot::Sender<()>>,
}

impl Replica {
    /// Starts one.
    pub fn start(world: &World, pod: &str) -> Self {
        Self::with_clock(world, pod, world.chance())
    }

    /// Starts one with a clock of its own.
    pub fn with_clock(world: &World, pod: &str, chance: Arc<dyn Chance>) -> Self {
        let (terminate, terminated) = oneshot::channel();
        let name = format!("--pod-name={pod}");
        let shutdown = async move {
            if terminated.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let operator = world.replica(&["--leader-election=enabled", &name], chance, shutdown);
        Self { operator, terminate: Some(terminate) }
    }

    /// As SIGKILL does.
    pub fn kill(self) {
        self.operator.process.end();
        self.operator.task.abort();
    }

    /// As SIGTERM does.
    pub fn terminate(&mut self) {
        if let Some(terminate) = self.terminate.take() {
            let _ = terminate.send(());
        }
    }
}

/// What the lease says.
pub fn lease(world: &World) -> Value {
    world.get("leases", HOME, "genesys-oauth-operator").map(|lease| lease["spec"].clone()).unwrap_or_default()
}

/// Which replica holds the lease.
pub fn holder(world: &World) -> Option<String> {
    lease(world)["holderIdentity"].as_str().and_then(|holder| holder.split_once('_')).map(|(pod, _)| pod.to_owned())
}

/// Waits until a replica holds the lease.
pub async fn holds(world: &World, pod: &str) {
    world.until(&format!("{pod} to hold the lease"), |world| (holder(world).as_deref() == Some(pod)).then_some(())).await;
}

/// How long it takes until a replica holds the lease.
pub async fn takeover(world: &World, pod: &str) -> Duration {
    let begun = Instant::now();
    while holder(world).as_deref() != Some(pod) {
        assert!(begun.elapsed() < Duration::from_secs(120), "{pod} did not take over: {}", lease(world));
        tokio::time::sleep(LOOK).await;
    }
    begun.elapsed()
}

/// A world with an organization and nobody who works it.
pub fn furnish(world: &World) {
    world.give_credential(OPERATOR_CLIENT_SECRET);
    world.apply(&objects::organization());
}

#[test]
fn one_of_two_replicas_works_and_the_other_takes_a_released_lease_at_once() {
    scenario(Plan::new(51).bare(), async |world| {
        furnish(world);
        let mut first = Replica::start(world, "first");
        holds(world, "first").await;
        let second = Replica::start(world, "second");
        world.organization_shows("Ready=True/Available").await;
        world.declare("billing", &json!({}));
        world.settles("billing").await;
        assert_eq!(lease(world)["leaseTransitions"], 0);
        world.declare("invoices", &json!({}));
        first.terminate();
        assert!(matches!(first.operator.task.await, Ok(Ok(()))), "it ended as it was asked to");
        let free = takeover(world, "second").await;
        assert!(free <= SLACK, "the lease was free for {free:?}");
        world.settles("invoices").await;
        assert_eq!(lease(world)["leaseTransitions"], 1);
        second.kill();
    });
}

/// Two replicas with these clocks, of which the first holds the lease and works.
async fn replicas(world: &World, (former, next): (i64, i64)) -> (Replica, Replica) {
    furnish(world);
    let first = Replica::with_clock(world, "first", Arc::new(HoursOff(world.chance(), former)));
    holds(world, "first").await;
    let second = Replica::with_clock(world, "second", Arc::new(HoursOff(world.chance(), next)));
    world.organization_shows("Ready=True/Available").await;
    world.declare("billing", &json!({}));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(holder(world).as_deref(), Some("first"), "a lease that is renewed was taken");
    (first, second)
}

#[test]
fn a_killed_replica_is_followed_when_its_lease_is_over_whatever_the_wall_clocks_say() {
    for (seed, clocks) in (520..).zip(CLOCKS) {
        once(Plan::new(seed).bare(), async |world| {
            let (first, second) = replicas(world, clocks).await;
            first.kill();
            let after = takeover(world, "second").await;
            assert!(after <= DURATION + SLACK, "after {after:?}");
            assert!(after >= Duration::from_secs(12), "after {after:?}: the lease was not over");
            world.settles("billing").await;
            second.kill();
        });
    }
}

#[test]
fn a_replica_that_is_asked_to_stop_is_followed_at_once_whatever_the_wall_clocks_say() {
    for (seed, clocks) in (530..).zip(CLOCKS) {
        once(Plan::new(seed).bare(), async |world| {
            let (mut first, second) = replicas(world, clocks).await;
            first.terminate();
            assert!(matches!(first.operator.task.await, Ok(Ok(()))), "it ended as it was asked to");
            let free = takeover(world, "second").await;
            assert!(free <= SLACK, "the lease was free for {free:?}");
            world.settles("billing").await;
            second.kill();
        });
    }
}

#[test]
fn a_replica_that_stood_still_ends_itself_and_changes_nothing_more() {
    once(Plan::new(54).bare(), async |world| {
        furnish(world);
        let first = Replica::start(world, "first");
        holds(world, "first").await;
        let second = Replica::start(world, "second");
        world.organization_shows("Ready=True/Available").await;
        world.declare("billing", &json!({}));
        first.operator.process.freeze();
        takeover(world, "second").await;
        world.settles("billing").await;
        first.operator.process.thaw();
        let ended = first.operator.task.await.expect("no panic");
        assert!(matches!(ended, Err(StartError::LeaseLost(_))), "{ended:?}");
        assert_eq!(holder(world).as_deref(), Some("second"));
        second.kill();
    });
}

#[test]
fn replicas_that_are_killed_or_stand_still_at_any_moment_cost_no_client_and_no_secret() {
    for seed in 60..65 {
        once(Plan::new(seed).bare(), async |world| {
            furnish(world);
            let mut numbers = Numbers::new(seed);
            let mut random = |below: u64| numbers.next() % below;
            // Every second one has a wall clock that is an hour off, by turns before and behind, those that follow too.
            let start = |number: u64| {
                let hours = [0, 1, 0, -1];
                let (pod, turn) = (format!("r{number}"), usize::try_from(number).unwrap_or_default() % hours.len());
                let replica = Replica::with_clock(world, &pod, Arc::new(HoursOff(world.chance(), hours[turn])));
                (pod, replica)
            };
            let mut replicas = vec![start(0), start(1)];
            for round in 0..ROUNDS {
                // Creates and rotations go on while the holder falls.
                let name = format!("client-{round}");
                world.declare(name.as_str(), &json!({}));
                if round > 0 {
                    let before = format!("client-{}", round - 1);
                    let request = json!({ "oauth.genesys-operator.io/rotate": format!("t{round}") });
                    world.annotate("genesysoauthclients", before.as_str(), &request).await;
                }
                tokio::time::sleep(Duration::from_millis(2 * random(12_000))).await;
                let present = holder(world);
                let (_, mut fallen) = replicas.remove(replicas.iter().position(|(pod, _)| present.as_ref() == Some(pod)).unwrap_or(0));
                match round % 3 {
                    0 => fallen.kill(),
                    1 => {
                        fallen.operator.process.freeze();
                        tokio::time::sleep(Duration::from_millis(2 * random(30_000))).await;
                        fallen.operator.process.thaw();
                        tokio::time::sleep(Duration::from_secs(20)).await;
                        fallen.kill();
                    }
                    _ => {
                        fallen.terminate();
                        let ended = (&mut fallen.operator.task).await.expect("no panic");
                        assert!(ended.is_ok(), "it ended as it was asked to: {ended:?}");
                    }
                }
                replicas.push(start(round + 2));
            }
            for round in 0..ROUNDS {
                world.client_shows(format!("client-{round}").as_str(), "Ready=True/Available").await;
            }
            for (_, replica) in replicas {
                replica.kill();
            }
        });
    }
}

/// A replica is asked to stop when a write of its lease was carried out and the answer is still under way.
fn stopped_in_the_middle_of(verb: Verb) {
    once(Plan::new(57).bare(), async |world| {
        furnish(world);
        let mut first = Replica::start(world, "first");
        if verb == Verb::Update {
            holds(world, "first").await;
        }
        let (stop, stopped) = oneshot::channel();
        let stop = std::sync::Mutex::new(Some(stop));
        let at_once = Arc::new(move || {
            if let Some(stop) = stop.lock().expect("no panic").take() {
                let _ = stop.send(());
            }
        });
        world.kubernetes.plant(Fault::new(FaultKind::Crash(at_once)).verb(verb).resource("coordination.k8s.io", "leases").user(OPERATOR));
        stopped.await.expect("the lease is written");
        first.terminate();
        let ended = first.operator.task.await.expect("no panic");
        assert!(ended.is_ok(), "it ended as it was asked to: {ended:?}");
        assert!(holder(world).is_none(), "nobody is left to give it up: {}", lease(world));
        let second = Replica::start(world, "second");
        let free = takeover(world, "second").await;
        assert!(free <= SLACK, "the lease was free for {free:?}");
        second.kill();
    });
}

#[test]
fn a_lease_that_was_just_got_or_renewed_is_given_up_too() {
    stopped_in_the_middle_of(Verb::Create);
    stopped_in_the_middle_of(Verb::Update);
}

#[test]
fn terms_that_leave_no_room_for_a_call_are_refused_at_the_start() {
    once(Plan::new(55).bare(), async |world| {
        furnish(world);
        let shutdown = std::future::pending();
        let operator = world.replica(&["--leader-election=enabled", "--lease-duration=11s"], world.chance(), shutdown);
        let refused = operator.task.await.expect("no panic").expect_err("it can't work like this");
        assert!(refused.to_string().contains("--lease-duration"), "{refused}");
        assert!(lease(world).is_null(), "nothing was written");
    });
}
