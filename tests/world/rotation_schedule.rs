//! Random policies in worlds: no rotation starts before its planned time, and none later than the time from which it waits for no window, but for those that took the
//! places before it. The dates are computed here from what status records, by the arithmetic that is tested for itself.

use std::{collections::BTreeMap, time::Duration};

use genesys_oauth_operator::{
    api::RotationPolicySpec,
    rotation::{Dates, Issue, Policy, Schedule, dates},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    objects::TEAM,
    rotating::{POLICIES, POLICY},
    scenario::once,
    turnstile::Numbers,
    world::World,
};

/// How often a fleet is looked at. An even number of milliseconds: requests are carried out at odd ones.
const LOOK: Duration = Duration::from_secs(60);
/// How long a rotation takes a place at most in a world without faults, and how long until an object is looked at whose time has come.
const LONGEST: SignedDuration = SignedDuration::from_mins(6);
const NAMES: [&str; 3] = ["one", "two", "three"];

/// A policy of some hours that a server accepts and whose windows open in time.
fn policy(numbers: &mut Numbers) -> Value {
    let mut pick = |of: &[u64]| of[usize::try_from(numbers.next() % (of.len() as u64)).expect("an index")];
    let interval = pick(&[2, 3, 5, 8, 12]);
    let mut spec = json!({
        "interval": format!("{interval}h"), "maxAge": format!("{}h", interval + pick(&[2, 9, 30, 60])),
        "maxConcurrent": pick(&[1, 2]), "overlap": { "minimum": "5m", "maximum": "10m" },
    });
    let windows = [("0 */3 * * *", "1h"), ("30 1,13 * * *", "2h"), ("15 4 * * *", "3h"), ("0 6 * * *", "30m")];
    let zones = ["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"];
    let window = |number: u64, zone: u64| {
        let (schedule, duration) = windows[usize::try_from(number).expect("an index")];
        json!({ "schedule": schedule, "duration": duration, "timeZone": zones[usize::try_from(zone).expect("an index")] })
    };
    let number = pick(&[0, 1, 1, 2]);
    spec["windows"] = (0..number).map(|_| window(pick(&[0, 1, 2, 3]), pick(&[0, 1, 2, 3]))).collect();
    let parsed: RotationPolicySpec = serde_json::from_value(spec.clone()).expect("a spec");
    if Policy::parse(&parsed, None, start()).is_ok() { spec } else { policy(numbers) }
}

/// When worlds begin.
fn start() -> Timestamp {
    "2026-01-05T08:00:00Z".parse().expect("a time")
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// A policy as the arithmetic follows it, and since when it holds in a world. Measuring its windows is costly, so that it is done once.
struct Rules {
    spec: Value,
    schedule: Schedule,
    since: Timestamp,
}

impl Rules {
    fn of(world: &World, spec: &Value) -> Self {
        let policy = world.get(POLICIES, TEAM, POLICY).expect("the policy");
        let since = time(&policy["status"]["effectiveSince"]).expect("a time");
        let parsed = serde_json::from_value(spec.clone()).expect("a spec");
        let schedule = Policy::parse(&parsed, None, since).expect("a policy").schedule.expect("a schedule");
        Self { spec: spec.clone(), schedule, since }
    }

    /// The dates of a client's credential.
    fn dates(&self, name: &str, status: &Value) -> Option<Dates> {
        let identity = format!("{TEAM}/{name}");
        let issue = Issue {
            issued_at: time(&status["issuedAt"])?,
            by_rotation: status["rotation"]["issuedBy"] == "Rotation",
            identity: &identity,
            spread_from: Some(self.since.max(time(&status["rotation"]["policySince"])?)),
        };
        Some(dates(&self.schedule, &issue))
    }
}

/// What came of the rotations of worlds.
#[derive(Debug, Default)]
struct Told {
    rotations: usize,
    early: Vec<String>,
    late: Vec<String>,
}

impl Told {
    /// Judges each rotation that began since the last look by the dates before it.
    fn look(&mut self, world: &World, rules: &Rules, known: &mut BTreeMap<&str, (Dates, Value)>) {
        for name in NAMES {
            let status = world.status(name);
            let current = &status["rotation"]["current"]["startedAt"];
            if let (Some(began), Some((dates, last))) = (time(current), known.get_mut(name))
                && last != current
            {
                *last = current.clone();
                self.rotations += 1;
                // Two others may have come before it, one after the other.
                let latest = dates.force_at + LONGEST * 3;
                let line = format!("{name} began at {began}, by {dates:?} under {}", rules.spec);
                match began {
                    began if began < dates.rotate_at => self.early.push(line),
                    began if began > latest => self.late.push(line),
                    _ => {}
                }
            }
            if current.is_null()
                && let Some(dates) = rules.dates(name, &status)
            {
                let last = known.remove(name).map(|(_, last)| last).unwrap_or_default();
                known.insert(name, (dates, last));
            }
        }
    }
}

/// Worlds of random policies, in each of which every client rotates so often.
fn worlds(seeds: std::ops::Range<u64>, cycles: usize) -> Told {
    let mut told = Told::default();
    for seed in seeds {
        let spec = policy(&mut Numbers::new(seed));
        let (story, _) = once(100 + seed, async |world| {
            world.declare_policy(POLICY, &spec).await;
            for name in NAMES {
                world.declare(name, &json!({ "accessTokenValiditySeconds": 300, "rotationPolicyRef": { "name": POLICY } }));
            }
            for name in NAMES {
                world.settles(name).await;
            }
            let (mut told, mut known) = (Told::default(), BTreeMap::new());
            let rules = Rules::of(world, &spec);
            let patience = world.simulator.now() + SignedDuration::from_hours(24 * 14);
            while told.rotations < cycles * NAMES.len() {
                told.look(world, &rules, &mut known);
                assert!(world.simulator.now() < patience, "{told:?} under {spec}");
                tokio::time::sleep(LOOK).await;
            }
            world.declare_policy(POLICY, &json!({ "interval": "30d" })).await;
            told
        });
        told.rotations += story.rotations;
        told.early.extend(story.early);
        told.late.extend(story.late);
    }
    told
}

#[test]
fn every_rotation_starts_between_its_planned_time_and_the_one_from_which_it_waits_for_no_window() {
    let told = worlds(0..1, 1);
    assert!(told.early.is_empty() && told.late.is_empty() && told.rotations >= 3, "{told:#?}");
}

#[test]
fn what_could_not_start_is_overdue_and_starts_when_it_may() {
    once(98, async |world| {
        let spec = |suspend: bool| json!({ "interval": "2h", "maxAge": "4h", "suspend": suspend, "overlap": { "minimum": "5m", "maximum": "10m" } });
        world.declare_policy(POLICY, &spec(true)).await;
        for name in NAMES {
            world.declare(name, &json!({ "accessTokenValiditySeconds": 300, "rotationPolicyRef": { "name": POLICY } }));
            world.settles(name).await;
        }
        tokio::time::sleep(Duration::from_secs(4 * 3600 + 900)).await;
        for name in NAMES {
            let object = world.client_shows(name, "CredentialExpiring=True/Overdue").await;
            assert!(object["status"]["lastRotation"].is_null(), "{name} rotated under a suspended policy");
        }
        world.declare_policy(POLICY, &spec(false)).await;
        for name in NAMES {
            world.result(name, "Succeeded").await;
            world.client_shows(name, "CredentialExpiring=False/NotDue").await;
        }
        world.declare_policy(POLICY, &json!({ "interval": "30d" })).await;
    });
}

#[test]
#[ignore = "`make figures FILTER=rotation` runs it, in a release build"]
fn figures_of_random_policies() {
    let told = worlds(0..30, 4);
    println!("{told:#?}");
    println!("figure rotation.schedule.rotations {}", told.rotations);
    println!("figure rotation.schedule.before-their-time {}", told.early.len());
    println!("figure rotation.schedule.after-their-time {}", told.late.len());
}
