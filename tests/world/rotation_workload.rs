//! Workloads request tokens through many rotations in a row, undisturbed, with the operator ended at each step, and with each answer lost: by Replace no request
//! fails, by Regenerate the outage is told. It rotates by request, so that each step can be struck.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use genesys_cloud_simulator::kubernetes::{Fault, FaultKind};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    objects,
    process::OPERATOR,
    rotating::{NAME, POLICY, monthly},
    scenario::once,
    workload::{DEPLOYMENT, READERS, Workloads},
    world::{PATIENCE, Plan, World},
};

/// From one request to rotate to the next: no more than three secrets are issued within an hour.
const CYCLE: Duration = Duration::from_secs(1500);
/// About so many requests of the Kubernetes API, and calls of the platform, belong to one rotation.
const REQUESTS: usize = 95;
const CALLS: usize = 11;

/// How the client rotates. One with `scim: true` keeps its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strategy {
    Replace,
    Regenerate,
}

/// What disturbs the rotations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Nothing,
    /// In each rotation the operator ends once, each time a step later.
    Ends,
    /// In each rotation one answer is lost, each time that of a later request.
    Losses,
}

impl Trouble {
    /// The trouble of a rotation. Of three, two strike at the Kubernetes API and one at the platform.
    fn plant(self, world: &Arc<World>, rotation: usize, stride: usize) {
        let at_platform = rotation % 3 == 2;
        // The strikes at each side are numbered for themselves, so that they come round to each of its requests.
        let number = if at_platform { rotation / 3 } else { rotation - rotation / 3 };
        let skip = |of: usize| u32::try_from((number * stride) % of).expect("a small number");
        match self {
            Self::Nothing => {}
            Self::Ends if at_platform => world.end_after_platform(u64::from(skip(CALLS)) + 1),
            Self::Ends => world.end_after_any_kubernetes(skip(REQUESTS)),
            Self::Losses if at_platform => world.lose_platform(u64::from(skip(CALLS))),
            Self::Losses => {
                world.kubernetes.plant(Fault::new(FaultKind::LostResponse).user(OPERATOR).after(skip(REQUESTS)).times(1));
            }
        }
    }
}

/// What came of the rotations.
#[derive(Debug, Default)]
struct Told {
    rotations: usize,
    struck: usize,
    requests: usize,
    failed: usize,
    healed: usize,
    /// The times from a first refusal to the next token, by reader.
    outages: BTreeMap<String, Vec<Duration>>,
}

impl Told {
    /// The median and the longest outage of a reader, in seconds. A rotation that a reader did not notice counts as none.
    fn outage(&self, reader: &str) -> (u64, u64) {
        let mut all = self.outages.get(reader).cloned().unwrap_or_default();
        all.resize(self.rotations.max(all.len()), Duration::ZERO);
        all.sort_unstable();
        (all[all.len() / 2].as_secs(), all[all.len() - 1].as_secs())
    }
}

/// How long until the readers are asked again: often while something happens.
fn pause(since: Duration) -> Duration {
    match since.as_secs() {
        0..20 => Duration::from_secs(1),
        20..90 => Duration::from_secs(5),
        _ => Duration::from_secs(60),
    }
}

async fn settled(world: &World, strategy: Strategy) {
    world.apply(&objects::workload("Deployment", DEPLOYMENT));
    let spec = json!({
        "scim": strategy == Strategy::Regenerate, "accessTokenValiditySeconds": 300, "rotationPolicyRef": { "name": POLICY },
        "rolloutTargets": [{ "kind": "Deployment", "name": DEPLOYMENT }],
    });
    world.declare(NAME, &spec);
    world.settles(NAME).await;
}

/// Lets a client rotate so many times, and its workloads live by it.
fn rotations(strategy: Strategy, trouble: Trouble, rotations: usize, stride: usize) -> Told {
    let plan = Plan::new(50).flag("--rollout-targets=allowed").platform(|settings| {
        // The readers stand for many machines, and the limit is for one.
        settings.login_requests_per_minute = None;
        settings.call_log_limit = 10_000_000;
    });
    let (told, _) = once(plan, async |world| {
        world.declare_policy(POLICY, &monthly()).await;
        settled(world, strategy).await;
        let mut workloads = Workloads::begin(world);
        let mut told = Told { rotations, ..Told::default() };
        for rotation in 0..rotations {
            let asked = Instant::now();
            trouble.plant(world, rotation, stride);
            let token = format!("r{rotation}");
            world.request(NAME, "rotate", &token).await;
            loop {
                if !world.runs() {
                    world.start();
                }
                workloads.live().await;
                let status = world.status(NAME);
                let ended = status["lastRotation"]["request"] == *token && status["rotation"]["current"].is_null();
                if ended && asked.elapsed() >= CYCLE && workloads.have_rolled_out() && world.is_settled(NAME) {
                    break;
                }
                assert!(asked.elapsed() < PATIENCE * 2, "rotation {rotation} never ends: {status:#}");
                let latest = workloads.changed.max(asked);
                tokio::time::sleep(pause(latest.elapsed())).await;
            }
            told.struck += usize::from(trouble != Trouble::Nothing && world.no_fault_is_left());
            world.clear_faults();
            assert_eq!(workloads.changes, rotation + 1, "the Secret changes once in a rotation");
        }
        (told.requests, told.failed, told.healed) = (workloads.requests, workloads.refused, workloads.healed);
        told.outages = workloads.outages;
        told
    });
    println!("{strategy:?}, {trouble:?}: {told:?}");
    told
}

#[test]
fn no_request_fails_through_replaces() {
    let told = rotations(Strategy::Replace, Trouble::Nothing, 8, 1);
    assert_eq!(told.failed, 0, "{told:?}");
    assert!(told.requests >= 2_500 && told.healed >= 8, "{told:?}");
}

#[test]
fn no_request_fails_while_the_operator_ends_at_each_step() {
    let told = rotations(Strategy::Replace, Trouble::Ends, 8, 11);
    assert_eq!(told.failed, 0, "{told:?}");
    assert!(told.requests >= 2_500 && told.struck >= 7, "{told:?}");
}

#[test]
fn no_request_fails_while_each_answer_is_lost() {
    let told = rotations(Strategy::Replace, Trouble::Losses, 8, 11);
    assert_eq!(told.failed, 0, "{told:?}");
    assert!(told.requests >= 2_500 && told.struck >= 7, "{told:?}");
}

#[test]
fn a_regenerate_is_out_for_as_long_as_its_readers_lag() {
    let told = rotations(Strategy::Regenerate, Trouble::Nothing, 4, 1);
    let outage = |reader: &str| told.outage(reader).1;
    // The Secret is written with the reply of the reset: one who reads before each request hardly notices.
    assert_eq!(outage("lag-0s"), 0, "{told:?}");
    assert!((1..=2).contains(&outage("lag-1s")) && (55..=65).contains(&outage("lag-60s")), "{told:?}");
    // Who reads at its start is restarted, pod by pod.
    assert!((20..=25).contains(&outage("at-start-0")) && (40..=45).contains(&outage("at-start-1")), "{told:?}");
}

/// A thousand rotations by Replace, of which a third is undisturbed; and the outage of Regenerate.
#[test]
#[ignore = "`make figures FILTER=rotation` runs it, in a release build"]
fn figures_of_a_thousand_rotations() {
    let thirds = [(Trouble::Nothing, 334), (Trouble::Ends, 333), (Trouble::Losses, 333)];
    let told = thirds.map(|(trouble, number)| rotations(Strategy::Replace, trouble, number, 1));
    let sum = |of: fn(&Told) -> usize| told.iter().map(of).sum::<usize>();
    println!("figure rotation.replace.rotations {}", sum(|told| told.rotations));
    println!("figure rotation.replace.struck_rotations {}", sum(|told| told.struck));
    println!("figure rotation.replace.requests {}", sum(|told| told.requests));
    println!("figure rotation.replace.failed_requests {}", sum(|told| told.failed));
    println!("figure rotation.replace.torn_pairs_healed {}", sum(|told| told.healed));
}

/// How long requests fail after a Regenerate, by reader, undisturbed.
#[test]
#[ignore = "`make figures FILTER=rotation` runs it, in a release build"]
fn figures_of_the_outage_of_a_regenerate() {
    let told = rotations(Strategy::Regenerate, Trouble::Nothing, 100, 1);
    for reader in READERS {
        let (median, longest) = told.outage(&format!("{reader:?}"));
        println!("figure rotation.regenerate.outage.{reader:?}.median-seconds {median}");
        println!("figure rotation.regenerate.outage.{reader:?}.longest-seconds {longest}");
    }
    println!("figure rotation.regenerate.rotations {}", told.rotations);
    println!("figure rotation.regenerate.requests {}", told.requests);
}
