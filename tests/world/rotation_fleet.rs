//! Many clients under one policy: how many rotate at a time, who comes first, when they start, and what starts none of them. It looks at the clients, never at the
//! policy's counts.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use genesys_cloud_simulator::{Fault, Operation};
use genesys_oauth_operator::api;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    objects::{self, TEAM},
    rotating::{CLIENTS, NAME, POLICIES, POLICY},
    scenario::once,
    workload::DEPLOYMENT,
    world::{Plan, World, path},
};

const HOUR: Duration = Duration::from_secs(3600);
/// How often a fleet is looked at. An even number of milliseconds: requests are carried out at odd ones.
const LOOK: Duration = Duration::from_secs(2);

/// Clients of these names that follow the policy, settled, with a date for their rotation.
async fn fleet(world: &World, names: &[String]) {
    for name in names {
        world.declare(name, &json!({ "accessTokenValiditySeconds": 300, "rotationPolicyRef": { "name": POLICY } }));
    }
    for name in names {
        world.settles(name).await;
        world.until("a date", |world| next(world, name)).await;
    }
}

fn names(prefix: &str, number: usize) -> Vec<String> {
    (0..number).map(|index| format!("{prefix}-{index}")).collect()
}

/// When a client is rotated next.
fn next(world: &World, name: &str) -> Option<Timestamp> {
    time(&world.status(name)["rotation"]["next"][0])
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

async fn sleep_until(world: &World, time: Timestamp) {
    tokio::time::sleep(Duration::try_from(time.duration_since(world.simulator.now())).unwrap_or_default()).await;
}

/// How many rotations take a place.
fn rotating(world: &World) -> usize {
    let takes_a_place = |object: &Value| {
        let current = &object["status"]["rotation"]["current"];
        !current.is_null() && current["step"] != "Draining"
    };
    world.list(CLIENTS).iter().filter(|object| takes_a_place(object)).count()
}

/// When the last rotation of each client started.
fn started(world: &World, names: &[String]) -> BTreeMap<String, Timestamp> {
    let start = |name: &String| Some((name.clone(), time(&world.status(name)["lastRotation"]["startedAt"])?));
    names.iter().filter_map(start).collect()
}

/// Looks until every client has rotated; the most that took a place at a time.
async fn all_rotate(world: &World, names: &[String], mut between: impl FnMut(&World, usize)) -> usize {
    let (mut most, mut looks, mut seen) = (0, 0, 0);
    let deadline = Instant::now() + HOUR * 4;
    loop {
        // What has not changed since the last look need not be read again.
        let version = world.kubernetes.resource_version();
        if version != seen {
            seen = version;
            most = most.max(rotating(world));
            if started(world, names).len() == names.len() {
                break;
            }
        }
        assert!(Instant::now() < deadline, "only {:?} rotated", started(world, names));
        between(world, looks);
        looks += 1;
        tokio::time::sleep(LOOK).await;
    }
    most
}

/// A policy whose rotations may start in the first hour of a day alone.
fn nightly(max_concurrent: usize) -> Value {
    json!({
        "interval": "8h", "maxAge": "80h", "maxConcurrent": max_concurrent, "overlap": { "minimum": "1m", "maximum": "2m" },
        "windows": [{ "schedule": "0 0 * * *", "duration": "1h" }],
    })
}

#[test]
fn no_more_than_the_policy_allows_rotate_at_a_time_whatever_happens_to_the_operator() {
    for crashes in [false, true] {
        once(91, async |world| {
            world.declare_policy(POLICY, &nightly(2)).await;
            let names = names("client", 6);
            fleet(world, &names).await;
            let opens: Timestamp = "2026-01-06T00:00:00Z".parse().expect("a time");
            sleep_until(world, opens - SignedDuration::from_secs(60)).await;
            assert!(started(world, &names).is_empty(), "a rotation started outside the window");
            let end = |world: &World, looks: usize| {
                if crashes && looks % 15 == 14 {
                    world.kill();
                    world.start();
                }
            };
            let most = all_rotate(world, &names, end).await;
            assert_eq!(most, 2, "at a time");
            let closes = opens + SignedDuration::from_hours(1);
            assert!(started(world, &names).values().all(|start| (opens..closes).contains(start)));
        });
    }
}

#[test]
fn urgent_ones_come_first_and_may_be_twice_as_many() {
    once(92, async |world| {
        let policy = |suspend: bool| json!({ "interval": "4h", "maxAge": "12h", "maxConcurrent": 1, "suspend": suspend, "overlap": { "minimum": "1m", "maximum": "2m" } });
        world.declare_policy(POLICY, &policy(true)).await;
        let (old, young) = (names("old", 4), names("young", 3));
        fleet(world, &old).await;
        tokio::time::sleep(HOUR * 6).await;
        fleet(world, &young).await;
        // The old ones are urgent two hours before their deadline; the young ones are due.
        tokio::time::sleep(HOUR * 5).await;
        let all = [old.clone(), young.clone()].concat();
        assert!(started(world, &all).is_empty(), "a suspended policy rotates nothing, whatever its age");
        world.declare_policy(POLICY, &policy(false)).await;
        let most = all_rotate(world, &all, |_, _| ()).await;
        assert_eq!(most, 2, "at a time");
        // The queue knows who has asked: in its first moment a place may go to a young one whose pass came first.
        let began = started(world, &all).into_values().min().expect("they rotate");
        let last_old = started(world, &old).into_values().max();
        let first_young = started(world, &young).into_values().filter(|at| *at > began).min();
        assert!(first_young >= last_old, "{:#?}", started(world, &all));
    });
}

#[test]
fn requests_ignore_windows_but_wait_for_their_turn_and_under_suspension() {
    once(93, async |world| {
        let mut policy = nightly(1);
        world.declare_policy(POLICY, &policy).await;
        let names = names("client", 4);
        fleet(world, &names).await;
        policy["suspend"] = json!(true);
        world.declare_policy(POLICY, &policy).await;
        for name in &names {
            world.request(name, "rotate", "now").await;
        }
        tokio::time::sleep(HOUR / 2).await;
        assert!(started(world, &names).is_empty() && rotating(world) == 0, "a request waits under suspension");
        policy["suspend"] = json!(false);
        world.declare_policy(POLICY, &policy).await;
        assert_eq!(all_rotate(world, &names, |_, _| ()).await, 1, "at a time");
    });
}

/// The times at which the rotations of a client that always fail ended.
async fn failures(world: &World, number: usize) -> Vec<Timestamp> {
    let mut ended: Vec<Timestamp> = vec![];
    while ended.len() < number {
        let last = time(&world.status(NAME)["lastRotation"]["finishedAt"]);
        ended.extend(last.filter(|last| ended.last() != Some(last)));
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    ended
}

#[test]
fn a_rotation_that_fails_is_tried_again_after_an_hour_that_doubles() {
    once(94, async |world| {
        world.declare_policy(POLICY, &json!({ "interval": "1h", "maxAge": "60h", "failureThreshold": 50 })).await;
        fleet(world, &[NAME.to_owned()]).await;
        let former = world.published(NAME);
        world.simulator.plant(Fault::status(Operation::CreateClient, 400).times(0));
        let ended = failures(world, 3).await;
        let hours: Vec<i64> = ended.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs() / 3600).collect();
        assert_eq!(hours, [1, 2]);
        assert_eq!((world.published(NAME), world.clients_of(NAME).len()), (former.clone(), 1), "the old credential stays in force");
        world.simulator.clear_faults();
        // A request waits for nothing.
        world.request(NAME, "rotate", "now").await;
        world.result(NAME, "Succeeded").await;
        assert_ne!(world.published(NAME), former);
        world.declare_policy(POLICY, &json!({ "interval": "30d" })).await;
    });
}

#[test]
fn a_scheduled_rotation_that_was_taken_back_waits_for_its_time() {
    once(95, async |world| {
        let policy = json!({ "interval": "4h", "maxAge": "60h", "overlap": { "minimum": "10m", "maximum": "20m" } });
        world.declare_policy(POLICY, &policy).await;
        fleet(world, &[NAME.to_owned()]).await;
        let former = world.published(NAME);
        sleep_until(world, next(world, NAME).expect("a date")).await;
        world.step(NAME, "Draining").await;
        world.request(NAME, "abort", "no").await;
        world.result(NAME, "Aborted").await;
        let aborted = time(&world.status(NAME)["lastRotation"]["finishedAt"]).expect("a time");
        world.until_rotations_end().await;
        sleep_until(world, aborted + SignedDuration::from_mins(58)).await;
        assert_eq!((world.published(NAME), world.clients_of(NAME).len()), (former.clone(), 1), "nothing starts within the hour");
        world.until("the next rotation", |world| (world.published(NAME) != former).then_some(())).await;
        world.declare_policy(POLICY, &json!({ "interval": "30d" })).await;
    });
}

#[test]
fn what_changes_no_credential_rotates_and_restarts_nothing() {
    let plan = Plan::new(96).flag("--rollout-targets=allowed");
    once(plan, async |world| {
        let policy = json!({ "interval": "30d" });
        world.declare_policy(POLICY, &policy).await;
        world.apply(&objects::workload("Deployment", DEPLOYMENT));
        let spec = json!({ "rotationPolicyRef": { "name": POLICY }, "rolloutTargets": [{ "kind": "Deployment", "name": DEPLOYMENT }] });
        world.declare(NAME, &spec);
        world.settles(NAME).await;
        let dates = world.until("dates", |world| Some(world.status(NAME)["rotation"]["next"].clone()).filter(Value::is_array)).await;
        let facts = |world: &World| {
            let secret = world.get("secrets", TEAM, NAME).expect("the Secret")["data"].clone();
            let workload = world.get("deployments", TEAM, DEPLOYMENT).expect("the Deployment")["metadata"]["generation"].clone();
            let status = world.status(NAME);
            (secret, workload, status["clientId"].clone(), status["revision"].clone(), status["rotation"]["next"].clone())
        };
        let before = facts(world);
        assert_eq!(before.4, dates);
        for (what, event) in events() {
            event(world, &spec, &policy).await;
            tokio::time::sleep(Duration::from_secs(700)).await;
            assert!(world.is_settled(NAME), "{what}");
            assert_eq!(facts(world), before, "{what}");
            assert!(world.status(NAME)["lastRotation"].is_null(), "{what}");
        }
    });
}

type Event = for<'a> fn(&'a Arc<World>, &'a Value, &'a Value) -> futures::future::BoxFuture<'a, ()>;

/// What happens to a cluster every day.
fn events() -> [(&'static str, Event); 6] {
    [
        ("the client is applied again", |world, spec, _| Box::pin(async move { world.declare(NAME, spec) })),
        ("the client gets labels", |world, _, _| {
            Box::pin(async move {
                let labels = json!({ "metadata": { "labels": { "env": "staging" }, "annotations": { "example.com/note": "x" } } });
                world.ask(http::Method::PATCH, &path(CLIENTS, NAME), &labels).await.expect("taken");
            })
        }),
        ("the policy is applied again", |world, _, policy| Box::pin(async move { world.declare_policy(POLICY, policy).await })),
        ("the policy gets labels", |world, _, _| {
            Box::pin(async move {
                let labels = json!({ "metadata": { "labels": { "env": "staging" } } });
                world.ask(http::Method::PATCH, &path(POLICIES, POLICY), &labels).await.expect("taken");
            })
        }),
        ("the operator is upgraded", |world, _, _| {
            Box::pin(async move {
                world.kill();
                world.start();
            })
        }),
        ("the definitions are applied again", |world, _, _| {
            Box::pin(async move {
                for crd in api::crds() {
                    let mut crd = serde_json::to_value(crd).expect("JSON");
                    crd["apiVersion"] = json!("apiextensions.k8s.io/v1");
                    crd["kind"] = json!("CustomResourceDefinition");
                    crd["metadata"]["labels"] = json!({ "app.kubernetes.io/version": "next" });
                    world.kubernetes.replace(crd).expect("taken");
                }
                world.kubernetes.disconnect_watches(crate::process::OPERATOR);
            })
        }),
    ]
}

#[test]
fn a_policy_added_to_old_clients_spreads_them_and_keeps_the_dates_it_tells() {
    once(97, async |world| {
        let names = names("client", 8);
        for name in &names {
            world.declare(name, &json!({ "accessTokenValiditySeconds": 300 }));
        }
        for name in &names {
            world.settles(name).await;
        }
        tokio::time::sleep(HOUR * 3).await;
        let added = world.simulator.now();
        world.declare_policy(POLICY, &json!({ "interval": "1h", "overlap": { "minimum": "1m", "maximum": "2m" } })).await;
        fleet(world, &names).await;
        let told: BTreeMap<String, Timestamp> = names.iter().map(|name| (name.clone(), next(world, name).expect("a date"))).collect();
        all_rotate(world, &names, |_, _| ()).await;
        for (name, start) in started(world, &names) {
            let late = start.duration_since(told[&name]).as_secs();
            assert!((0..90).contains(&late), "{name} started {late} s after the date that it told");
            assert!(start.duration_since(added) <= SignedDuration::from_secs(3600 + 120));
        }
        // Eight in an hour: never more than half of them within ten minutes.
        let starts: Vec<Timestamp> = started(world, &names).into_values().collect();
        let crowd = |from: &Timestamp| starts.iter().filter(|start| (0..600).contains(&start.duration_since(*from).as_secs())).count();
        assert!(starts.iter().map(crowd).max() <= Some(4), "{starts:?}");
        world.declare_policy(POLICY, &json!({ "interval": "30d" })).await;
    });
}

#[test]
fn an_age_that_an_organization_sets_spreads_its_clients_too() {
    once(99, async |world| {
        let names = names("client", 4);
        world.declare_policy(POLICY, &json!({ "interval": "5h", "overlap": { "minimum": "1m", "maximum": "2m" } })).await;
        fleet(world, &names).await;
        tokio::time::sleep(HOUR * 2).await;
        let before = world.simulator.now();
        world.declare_organization(&json!({ "maxCredentialAge": "2h" }));
        for name in &names {
            world.client_shows(name, "CredentialExpiring=True/Overdue").await;
        }
        let told: BTreeMap<String, Timestamp> = names.iter().map(|name| (name.clone(), next(world, name).expect("a date"))).collect();
        let interval = SignedDuration::from_hours(1);
        assert!(
            told.values().all(|date| *date > before && *date <= world.simulator.now() + interval),
            "within the interval that is left: {told:?}"
        );
        all_rotate(world, &names, |_, _| ()).await;
        for (name, start) in started(world, &names) {
            let late = start.duration_since(told[&name]).as_secs();
            assert!((0..90).contains(&late), "{name} started {late} s after the date that it told");
        }
        world.declare_organization(&json!({ "maxCredentialAge": null }));
        world.declare_policy(POLICY, &json!({ "interval": "30d" })).await;
    });
}

#[test]
fn a_public_client_follows_no_policy() {
    once(89, async |world| {
        world.declare_organization(&json!({ "rotationDefaults": { "interval": "1h" } }));
        world.apply(&objects::with_spec(objects::web_app(NAME), &json!({ "publicClient": true })));
        world.client_shows(NAME, "CredentialExpiring=False/NoSecret").await;
        tokio::time::sleep(HOUR * 3).await;
        let status = world.status(NAME);
        assert!(status["rotation"]["next"].is_null() && status["rotation"]["expiresAt"].is_null(), "{status:#}");
        assert!(status["effective"]["rotationPolicy"].is_null() && status["lastRotation"].is_null(), "{status:#}");
    });
}
