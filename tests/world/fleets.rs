//! Rotation policies and the defaults of an organization: whether they can be followed, since when, how their clients stand, and what counting costs.
//! Looks at the kinds' status alone; rotations themselves are told in `rotation`.

use std::{sync::Arc, time::Duration};

use genesys_cloud_simulator::{
    Fault, Operation,
    kubernetes::{self, FaultKind, LoggedRequest, Verb},
};
use genesys_oauth_operator::api::GROUP;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    look::{message, shows},
    objects::{self, TEAM},
    process::OPERATOR,
    rotating::{CLIENTS, POLICIES, POLICY},
    scenario::{once, scenario},
    world::{Plan, World, path},
};

const HOUR: Duration = Duration::from_secs(3600);

/// Applies the policy with this spec.
fn declare_policy(world: &World, spec: &Value) {
    world.apply(&objects::policy(POLICY, spec));
}

/// Applies a client that follows the policy.
fn declare_follower(world: &World, name: &str) {
    world.declare(name, &json!({ "rotationPolicyRef": { "name": POLICY } }));
}

fn policy(world: &World) -> Option<Value> {
    world.get(POLICIES, TEAM, POLICY)
}

fn status(world: &World) -> Value {
    policy(world).map(|policy| policy["status"].clone()).unwrap_or_default()
}

fn defaults(world: &World) -> Value {
    world.organization().map(|organization| organization["status"]["rotation"].clone()).unwrap_or_default()
}

/// Waits for the policy to show a condition, and gives its status.
async fn policy_shows(world: &World, wanted: &str) -> Value {
    world.until(wanted, |world| policy(world).filter(|policy| shows(policy, wanted)).map(|policy| policy["status"].clone())).await
}

/// Waits until so many clients are counted and a rotation of one of them is planned.
async fn counted(world: &World, number: usize, part: impl Fn(&World) -> Value) -> Value {
    let what = format!("{number} clients to be counted");
    world.until(&what, |world| Some(part(world)).filter(|fleet| fleet["clients"] == number && fleet["nextRotation"].is_string())).await
}

/// Waits until clients are settled and know when they are rotated.
async fn booked(world: &World, names: &[&str]) {
    for name in names {
        world.settles(*name).await;
        world.until("a date", |world| next(world, name)).await;
    }
}

/// When a client is rotated next.
fn next(world: &World, name: &str) -> Option<Timestamp> {
    time(&world.object(name)?["status"]["rotation"]["next"][0])
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// Sleeps until a time of the world.
async fn sleep_until(world: &World, time: Timestamp) {
    tokio::time::sleep(Duration::try_from(time.duration_since(world.simulator.now())).unwrap_or_default()).await;
}

/// Writes of the operator to the status of a kind so far.
fn status_writes(world: &World, resource: &str) -> usize {
    let ours = |request: &LoggedRequest| request.user == OPERATOR && request.wrote;
    world.kubernetes.count_requests(|request| ours(request) && request.resource == resource && request.subresource == "status")
}

#[test]
fn a_policy_counts_the_clients_that_name_it() {
    scenario(71, async |world| {
        declare_follower(world, "early");
        world.declare("other", &json!({}));
        world.client_shows("early", "CredentialExpiring=Unknown").await;
        declare_policy(world, &json!({ "interval": "30d" }));
        policy_shows(world, "Ready=True/Available").await;
        declare_follower(world, "late");
        booked(world, &["early", "late"]).await;
        let fleet = counted(world, 2, status).await;
        assert_eq!((&fleet["due"], &fleet["overdue"], &fleet["rotating"], &fleet["failed"]), (&json!(0), &json!(0), &json!(0), &json!(0)));
        let first = ["early", "late"].into_iter().filter_map(|name| next(world, name)).min();
        world.until("the first of the dates", |world| (time(&status(world)["nextRotation"]) == first).then_some(())).await;
        let object = policy(world).expect("the policy");
        assert!(shows(&object, "Reconciling=False/Done") && shows(&object, "Stalled=False/None"));

        world.declare("early", &json!({}));
        counted(world, 1, status).await;
        world.remove(CLIENTS, "late").await;
        world.until("none to be counted", |world| (status(world)["clients"] == 0).then_some(())).await;
    });
}

#[test]
fn counts_move_by_time_alone() {
    scenario(72, async |world| {
        // Suspended, so that what is due stays so.
        declare_policy(world, &json!({ "interval": "4h", "maxAge": "5h", "suspend": true }));
        declare_follower(world, "billing");
        booked(world, &["billing"]).await;
        world.until("a count", |world| (status(world)["clients"] == 1).then_some(())).await;
        let expires = time(&world.object("billing").expect("there")["status"]["rotation"]["expiresAt"]).expect("a deadline");
        for (count, at) in [("due", next(world, "billing").expect("a date")), ("overdue", expires)] {
            sleep_until(world, at - Duration::from_secs(1)).await;
            assert_eq!(status(world)[count], 0, "{count} before its time");
            sleep_until(world, at + Duration::from_secs(20)).await;
            assert_eq!(status(world)[count], 1, "{count} when its time has come");
        }
        assert!(status(world)["nextRotation"].is_null(), "none is planned");
    });
}

#[test]
fn a_process_that_has_not_seen_its_clients_yet_counts_none_away() {
    once(80, async |world| {
        declare_policy(world, &json!({ "interval": "30d" }));
        world.declare_organization(&json!({ "rotationDefaults": { "interval": "30d" } }));
        declare_follower(world, "billing");
        world.declare("other", &json!({}));
        booked(world, &["billing", "other"]).await;
        counted(world, 1, status).await;
        counted(world, 1, defaults).await;
        // The inventory comes with the next scan.
        tokio::time::sleep(HOUR).await;
        world.kill();
        let before = world.writes();
        let refused =
            |world: &World| world.kubernetes.log().iter().filter(|request| request.resource == CLIENTS && request.status == 503).count();
        world
            .kubernetes
            .plant(kubernetes::Fault::new(FaultKind::Status(503)).verb(Verb::List).resource(GROUP, CLIENTS).user(OPERATOR).times(4));
        world.start();
        world.until("the lists to be refused", |world| (refused(world) == 4).then_some(())).await;
        tokio::time::sleep(HOUR).await;
        assert_eq!(world.writes(), before, "it writes what it does not know");
        assert_eq!((&status(world)["clients"], &defaults(world)["clients"]), (&json!(1), &json!(1)));
    });
}

#[test]
fn windows_that_open_too_seldom_stall_a_policy_until_it_is_corrected() {
    once(73, async |world| {
        let sound = json!({ "interval": "10d", "maxAge": "20d" });
        declare_policy(world, &sound);
        declare_follower(world, "billing");
        booked(world, &["billing"]).await;
        let since = policy_shows(world, "Ready=True/Available").await["effectiveSince"].clone();

        declare_policy(world, &json!({ "interval": "10d", "maxAge": "20d", "windows": [{ "schedule": "0 2 1 * *", "duration": "4h" }] }));
        policy_shows(world, "Ready=False/WindowNeverOpens").await;
        let object = policy(world).expect("the policy");
        assert!(shows(&object, "Reconciling=False/Stalled"));
        let said = message(&object, "Stalled");
        assert!(said.contains("31d") && said.contains("add a window"), "{said}");
        let client = world.client_shows("billing", "CredentialExpiring=Unknown/PolicyNotReady").await;
        assert!(shows(&client, "Ready=True/Available"), "its credential works on");

        declare_policy(world, &sound);
        assert_eq!(policy_shows(world, "Ready=True/Available").await["effectiveSince"], since);
        booked(world, &["billing"]).await;
    });
}

#[test]
fn a_policy_begins_anew_with_its_interval_or_greatest_age_alone() {
    once(74, async |world| {
        let spec = json!({ "interval": "30d" });
        declare_policy(world, &spec);
        declare_follower(world, "billing");
        booked(world, &["billing"]).await;
        let since = policy_shows(world, "Ready=True/Available").await["effectiveSince"].clone();
        tokio::time::sleep(HOUR).await;
        let before = status_writes(world, POLICIES);
        declare_policy(world, &spec);
        let labels = json!({ "metadata": { "labels": { "team": "billing" } } });
        world.ask(http::Method::PATCH, &path(POLICIES, POLICY), &labels).await.expect("the label is taken");
        tokio::time::sleep(HOUR).await;
        assert_eq!((status_writes(world, POLICIES), &status(world)["effectiveSince"]), (before, &since), "neither a re-apply nor a label");

        declare_policy(world, &json!({ "interval": "720h", "maxAge": "60d", "warnBefore": "1d", "maxConcurrent": 2, "suspend": true }));
        assert_eq!(policy_shows(world, "Ready=True/Available").await["effectiveSince"], since);
        world.kill();
        world.start();
        tokio::time::sleep(HOUR).await;
        assert_eq!(policy_shows(world, "Ready=True/Available").await["effectiveSince"], since, "nor another process");

        declare_policy(world, &json!({ "interval": "29d" }));
        let moved = policy_shows(world, "Ready=True/Available").await["effectiveSince"].clone();
        assert!(time(&moved) > time(&since), "{moved} is not after {since}");
    });
}

/// Rotations of several clients fail, a person looks, and the others are rotated after that.
async fn halts_and_goes_on(world: &Arc<World>) {
    let names = ["a", "b", "c"];
    declare_policy(world, &json!({ "interval": "4h", "maxAge": "8h", "failureThreshold": 2 }));
    for name in names {
        declare_follower(world, name);
    }
    booked(world, &names).await;
    let ids = |world: &World| names.map(|name| world.object(name).expect("there")["status"]["clientId"].clone());
    let before = ids(world);
    world.simulator.plant(Fault::status(Operation::CreateClient, 400).times(0));
    let last = names.into_iter().filter_map(|name| next(world, name)).max().expect("a date");
    sleep_until(world, last).await;
    let fleet = policy_shows(world, "Stalled=True/Halted").await;
    assert!(fleet["consecutiveFailures"].as_array().is_some_and(|row| row.len() >= 2) && fleet["nextRotation"].is_null(), "{fleet}");

    // What has not been tried is refused by nobody now, and yet not tried.
    world.simulator.clear_faults();
    tokio::time::sleep(HOUR * 12).await;
    assert_eq!(ids(world), before, "nothing rotates by its schedule while the policy is halted");
    let halted = names.into_iter().filter(|name| world.object(*name).is_some_and(|object| shows(&object, "Rotating=False/Halted")));
    assert!(halted.count() >= 1, "no client says so");

    world.annotate(CLIENTS, "a", &json!({ "oauth.genesys-operator.io/rotate": "looked-at" })).await;
    let fleet = policy_shows(world, "Ready=True/Available").await;
    assert!(fleet["halted"].is_null() && fleet["consecutiveFailures"].is_null(), "{fleet}");
    let all = |world: &World| ids(world).iter().zip(&before).all(|(now, before)| now != before).then_some(());
    world.until("the others to be rotated by their schedule", all).await;
    declare_policy(world, &json!({ "interval": "30d" }));
}

#[test]
fn rotations_that_fail_halt_a_policy_until_one_succeeds_by_request() {
    once(75, halts_and_goes_on);
}

#[test]
fn what_a_person_must_know_of_a_policy_is_an_event_once() {
    once(Plan::new(81).with_events(), async |world| {
        halts_and_goes_on(world).await;
        let seldom = json!({ "interval": "10d", "maxAge": "20d", "windows": [{ "schedule": "0 2 1 * *", "duration": "4h" }] });
        declare_policy(world, &seldom);
        policy_shows(world, "Stalled=True/WindowNeverOpens").await;
        world.declare_organization(&json!({ "rotationDefaults": seldom }));
        let says = |world: &World| message(&world.organization()?, "Ready").contains("rotationDefaults can't be followed").then_some(());
        world.until("the organization to say so", says).await;
        tokio::time::sleep(HOUR).await;
        let told = |kind: &str, reason: &str| {
            let events = world.list("events").into_iter();
            let about = |event: &Value| event["involvedObject"]["kind"] == kind || event["regarding"]["kind"] == kind;
            // One that is told again becomes a series.
            events.filter(|event| about(event) && event["reason"] == reason && event["series"].is_null()).count()
        };
        for (kind, reason) in [
            ("GenesysRotationPolicy", "Halted"),
            ("GenesysRotationPolicy", "RotationsGoOn"),
            ("GenesysRotationPolicy", "WindowNeverOpens"),
            ("GenesysOrganization", "WindowNeverOpens"),
        ] {
            assert_eq!(
                told(kind, reason),
                1,
                "{kind} {reason}: {:#?}",
                world.list("events").iter().map(|event| &event["reason"]).collect::<Vec<_>>()
            );
        }
    });
}

#[test]
fn many_clients_cost_few_writes_and_a_count_wakes_none_of_them() {
    const FLEET: usize = 250;
    // Their organization is another install's, so that this one counts them and does nothing else.
    let follower = |name: &str| {
        let changes = json!({ "organizationRef": { "name": "elsewhere" }, "rotationPolicyRef": { "name": POLICY } });
        objects::with_spec(objects::service(name), &changes)
    };
    once(Plan::new(76).flag("--organizations=!elsewhere"), async |world| {
        let metadata = json!({ "name": "elsewhere", "labels": { "elsewhere": "yes" } });
        let mut elsewhere = objects::organization();
        elsewhere["metadata"] = metadata;
        world.apply(&elsewhere);
        declare_policy(world, &json!({ "interval": "30d" }));
        policy_shows(world, "Ready=True/Available").await;
        let (before, start) = (status_writes(world, POLICIES), Instant::now());
        for number in 0..FLEET {
            world.apply(&follower(&format!("client-{number}")));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        world.until("all to be counted", |world| (status(world)["clients"] == FLEET).then_some(())).await;
        let (writes, spent) = (status_writes(world, POLICIES) - before, start.elapsed().as_secs() / 5);
        assert!(writes as u64 <= spent + 2, "{writes} writes in {spent} times five seconds");

        // Each client's pass reads its organization.
        let passes = |world: &World| world.kubernetes.count_requests(|request| request.name == "elsewhere");
        tokio::time::sleep(HOUR / 12).await;
        let (writes, before) = (status_writes(world, POLICIES), passes(world));
        assert!(before >= FLEET, "{before} passes: this test would see nothing");
        world.apply(&follower("one-more"));
        world.until("one more to be counted", |world| (status(world)["clients"] == FLEET + 1).then_some(())).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(status_writes(world, POLICIES), writes + 1, "one write for one more");
        let woken = passes(world) - before;
        assert!(woken < FLEET / 10, "{woken} clients were woken by a count");
    });
}

#[test]
fn defaults_are_counted_without_asking_the_platform() {
    once(77, async |world| {
        world.declare_organization(&json!({ "rotationDefaults": { "interval": "30d" } }));
        world.organization_shows("Ready=True/Available").await;
        let since = world.until("the defaults to hold", |world| time(&defaults(world)["effectiveSince"])).await;
        let asked = |world: &World| world.simulator.calls().iter().filter(|call| call.operation == Operation::GetOrganization).count();
        let (before, start) = (asked(world), Instant::now());
        declare_policy(world, &json!({ "interval": "30d" }));
        for name in ["a", "b", "c"] {
            world.declare(name, &json!({}));
        }
        declare_follower(world, "d");
        booked(world, &["a", "b", "c", "d"]).await;
        let fleet = counted(world, 3, defaults).await;
        assert_eq!((time(&fleet["effectiveSince"]), &fleet["due"], &fleet["overdue"]), (Some(since), &json!(0), &json!(0)));
        let looks = usize::try_from(start.elapsed().as_secs() / 600).expect("a number");
        assert!(asked(world) - before <= looks + 1, "a count asks the platform nothing");
        counted(world, 1, status).await;

        world.declare_organization(&json!({}));
        world.until("no counts without defaults", |world| defaults(world).is_null().then_some(())).await;
    });
}

#[test]
fn defaults_that_cannot_be_followed_leave_their_organization_ready() {
    once(78, async |world| {
        let seldom = json!({ "interval": "10d", "maxAge": "20d", "windows": [{ "schedule": "0 2 1 * *", "duration": "4h" }] });
        world.declare_organization(&json!({ "rotationDefaults": seldom }));
        let says = |world: &World| message(&world.organization()?, "Ready").contains("rotationDefaults can't be followed").then_some(());
        world.until("the organization to say so", says).await;
        assert!(shows(&world.organization_shows("Ready=True/Available").await, "Stalled=False/None"));
        world.declare("billing", &json!({}));
        world.settles("billing").await;
        world.client_shows("billing", "CredentialExpiring=Unknown/PolicyNotReady").await;

        world.declare_organization(&json!({ "rotationDefaults": { "interval": "10d" } }));
        booked(world, &["billing"]).await;
        assert!(says(world).is_none(), "{}", message(&world.organization().expect("there"), "Ready"));
    });
}

#[test]
fn broken_defaults_stop_no_organization_of_an_old_server() {
    let plan = Plan::new(79).old_server();
    once(plan, async |world| {
        world.declare_organization(&json!({ "rotationDefaults": { "interval": "10m" } }));
        let says = |world: &World| message(&world.organization()?, "Ready").contains("at least 1h").then_some(());
        world.until("the organization to say so", says).await;
        world.organization_shows("Ready=True/Available").await;
        declare_policy(world, &json!({ "interval": "10m" }));
        policy_shows(world, "Stalled=True/InvalidSpec").await;
        world.declare("billing", &json!({}));
        world.settles("billing").await;
    });
}
