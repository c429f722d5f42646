//! The request budget in the world: the limit used and never passed, shared with others, an emergency before thousands, days of outage, a second
//! organization that hangs. It measures through both simulators, never through the operator's own counts.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use genesys_cloud_simulator::{Call, Fault, FaultKind, FaultTarget, OPERATOR_CLIENT_ID, Operation, RateWindow, Settings, Simulator};
use genesys_oauth_operator::{
    controller::gate::{Gates, Kept},
    genesys::{Budget, Class, Work},
};
use http_body_util::BodyExt as _;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::Instant};
use tower::ServiceExt as _;

use crate::{
    look::{condition, message, shows},
    objects::{self, TEAM},
    rotating::{CLIENTS, NAME},
    scenario::{measured, once},
    world::{Plan, World},
};

const MINUTE: SignedDuration = SignedDuration::from_secs(60);
/// How often a story looks. An even number of milliseconds: requests are carried out at odd ones.
const LOOK: Duration = Duration::from_secs(2);

/// The calls that the operator made of the platform with its own token.
fn calls(world: &World) -> Vec<Call> {
    calls_of_operator(&world.simulator)
}

/// The same, of a platform.
pub fn calls_of_operator(simulator: &Simulator) -> Vec<Call> {
    // A call that meets a fault is answered before anybody asks who makes it.
    let own =
        |call: &Call| call.caller.as_deref().is_none_or(|caller| caller == OPERATOR_CLIENT_ID) && call.operation != Operation::GetToken;
    simulator.calls().into_iter().filter(own).collect()
}

pub fn throttled(calls: &[Call]) -> Vec<Timestamp> {
    calls.iter().filter(|call| call.status == Some(429)).map(|call| call.time).collect()
}

async fn until(what: &str, mut probe: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(4 * 3600);
    while !probe() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Declares so many clients.
fn declare(world: &World, number: usize) -> Vec<String> {
    let names: Vec<String> = (0..number).map(|number| format!("client-{number}")).collect();
    for name in &names {
        world.declare(name, &json!({}));
    }
    names
}

fn limited(seed: u64, window: RateWindow, token: Option<u32>, organization: Option<u32>) -> Plan {
    Plan::new(seed).platform(|settings| {
        settings.rate_window = window;
        settings.requests_per_minute = token;
        settings.organization_requests_per_minute = organization;
        settings.maximum_clients = None;
    })
}

/// Lets the organization's reconciler see an edit.
async fn allow(world: &World, rate: u32) {
    world.declare_organization(&json!({ "requestsPerMinute": rate }));
    tokio::time::sleep(Duration::from_secs(90)).await;
}

/// How a limit was used.
pub struct Used {
    /// The calls of the steady state, of those that the limit allows: 1 is all.
    pub share: f64,
    /// How many calls were refused for want of it.
    pub refused: usize,
}

/// Creates so many clients under a limit that the platform enforces.
pub fn creates(rate: u32, window: RateWindow, number: usize) -> Used {
    measured(limited(161, window, Some(rate), None), async |world| {
        allow(world, rate).await;
        declare(world, number);
        until("the creates", || world.simulator.other_clients().len() == number).await;
        let mut calls = calls(world);
        let begun = calls.iter().position(|call| call.operation == Operation::CreateClient).unwrap_or_default();
        let refused = throttled(&calls).len();
        Used { share: share(&calls.split_off(begun), rate), refused }
    })
}

/// How much of a limit calls used, once the budget that was full at their beginning is spent.
pub fn share(calls: &[Call], rate: u32) -> f64 {
    let (steady, end) = (calls[0].time + MINUTE, calls[calls.len() - 1].time);
    let count = u32::try_from(calls.iter().filter(|call| call.time > steady).count()).expect("few");
    f64::from(count) / (f64::from(rate) * end.duration_since(steady).as_secs_f64() / 60.0)
}

/// A token of a client of somebody else.
async fn foreign_token(simulator: &Simulator) -> String {
    let members = json!({ "name": "others", "authorizedGrantType": "CLIENT-CREDENTIALS", "accessTokenValiditySeconds": 86400 });
    let (client, secret) = simulator.add_client(&members).expect("the client is taken");
    let request = http::Request::post("/oauth/token")
        .header("authorization", format!("Basic {}", STANDARD.encode(format!("{}:{secret}", client.id))))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from("grant_type=client_credentials"))
        .expect("a request");
    let Ok(answer) = simulator.router().oneshot(request).await;
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    body["access_token"].as_str().expect("a token").to_owned()
}

/// Somebody else who makes 150 calls a minute.
pub async fn others(simulator: &Simulator) -> JoinHandle<()> {
    let (token, router) = (foreign_token(simulator).await, simulator.router());
    tokio::spawn(async move {
        loop {
            let request = http::Request::get("/api/v2/tokens/me").header("authorization", format!("Bearer {token}"));
            let Ok(_) = router.clone().oneshot(request.body(Body::empty()).expect("a request")).await;
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
    })
}

/// What became of a limit that somebody else uses the half of.
pub struct Shared {
    /// The 429 that the operator received.
    pub refused: usize,
    /// How long the first of them was followed by others, in seconds.
    pub adapted_after: f64,
}

impl Shared {
    /// Of calls.
    pub fn of(calls: &[Call]) -> Self {
        let refused = throttled(calls);
        let adapted_after = refused.last().map_or(0.0, |last| last.duration_since(refused[0]).as_secs_f64());
        Self { refused: refused.len(), adapted_after }
    }
}

/// So many passes of a namespace that make two calls each, through the gate and the budget.
fn passes(gates: &Arc<Gates>, budget: &Arc<Budget>, namespace: &str, number: usize, done: &Arc<Mutex<BTreeMap<String, f64>>>) {
    for _ in 0..number {
        let (gates, budget, done) = (gates.clone(), budget.clone(), done.clone());
        let (work, namespace) = (Work::new(Class::Update, namespace), namespace.to_owned());
        tokio::spawn(async move {
            let _place = match gates.enter("acme", &work) {
                Ok(place) => place,
                Err(Kept::Outside(outside)) => outside.await.expect("the gates are open"),
                Err(Kept::Closed) => panic!("the gates are open"),
            };
            for _ in 0..2 {
                budget.slot(&work).await.expect("a slot").spend();
            }
            *done.lock().unwrap_or_else(PoisonError::into_inner).entry(namespace).or_default() += 1.0;
        });
    }
}

fn queue_of_passes<T>(rate: u32, story: impl AsyncFnOnce(Arc<Gates>, Arc<Budget>, Arc<Mutex<BTreeMap<String, f64>>>) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async { story(Gates::new(10), Arc::new(Budget::new(rate)), Arc::default()).await })
}

/// How many slots an emergency takes to be served, with so many updates in the queue.
pub fn slots_of_an_emergency(updates: usize) -> u64 {
    queue_of_passes(300, async |gates, budget, done| {
        passes(&gates, &budget, TEAM, updates, &done);
        tokio::time::sleep(Duration::from_secs(30)).await;
        let served = || budget.view().classes.iter().map(|class| class.served).sum::<u64>();
        let (before, work) = (served(), Work::new(Class::Emergency, "another"));
        let _place = gates.enter("acme", &work).expect("an emergency is never kept outside");
        let _permit = budget.slot(&work).await.expect("a slot");
        served() - before
    })
}

/// Jain's index of the passes that 50 namespaces with very different loads got done in the same time.
pub fn evenness() -> f64 {
    queue_of_passes(300, async |gates, budget, done| {
        for number in 0..50 {
            passes(&gates, &budget, &format!("team-{number}"), 40 + number * number, &done);
        }
        tokio::time::sleep(Duration::from_secs(600)).await;
        let done = done.lock().unwrap_or_else(PoisonError::into_inner);
        let (sum, squares) = done.values().fold((0.0, 0.0), |(sum, squares), count| (sum + count, squares + count * count));
        sum * sum / (50.0 * squares)
    })
}

#[test]
fn an_emergency_is_served_within_two_slots_and_namespaces_evenly() {
    let slots = slots_of_an_emergency(10_000);
    assert!(slots <= 2, "{slots}");
    let jain = evenness();
    assert!(jain >= 0.99, "{jain}");
}

#[test]
fn an_emergency_goes_before_edits_that_say_that_they_wait() {
    let plan = limited(163, RateWindow::Sliding, Some(60), None).flag("--max-concurrent-reconciles=5");
    once(plan, async |world| {
        let names = declare(world, 30);
        for name in &names {
            world.settles(name).await;
        }
        world.declare(NAME, &json!({}));
        world.settles(NAME).await;
        // So little that the queue lasts.
        allow(world, 6).await;
        for name in &names {
            world.declare(name, &json!({ "accessTokenValiditySeconds": 7200 }));
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        let told = |name: &String| {
            world.object(name).is_some_and(|object| {
                shows(&object, "Synced=False/BudgetExhausted") && message(&object, "Synced").contains("expected at 2026-01-05T")
            })
        };
        let waiting = names.iter().filter(|name| told(name)).count();
        assert!(waiting >= 20, "only {waiting} of those that wait say so, and until when");
        let client = world.client_of(NAME).id;
        let before = calls(world).len();
        world.request(NAME, "rotate", "leak/Emergency").await;
        until("the emergency's first call", || calls(world)[before..].iter().any(|call| call.target.as_deref() == Some(client.as_str())))
            .await;
        let first = calls(world)[before..].iter().position(|call| call.target.as_deref() == Some(client.as_str()));
        assert!(first.is_some_and(|first| first < 2), "{first:?}");
        world.result(NAME, "Succeeded").await;
        allow(world, 60).await;
    });
}

/// What a day of trouble cost.
pub struct Outage {
    /// The calls of the platform.
    pub calls: usize,
    /// The requests of the login host.
    pub logins: usize,
    /// How long after its end everything was settled, in seconds.
    pub recovered_after: f64,
    /// The clients that are on the platform too much.
    pub duplicates: usize,
}

/// So many hours in which calls meet a fault: five clients are settled, one waits for its creation, one for an edit.
pub fn outage(fault: &Fault, hours: u64) -> Outage {
    let story = async |world: &Arc<World>| {
        let names = declare(world, 5);
        for name in &names {
            world.settles(name).await;
        }
        world.simulator.plant(fault.clone().times(0));
        let (calls_before, begun) = (world.simulator.calls().len(), world.simulator.now());
        world.declare(NAME, &json!({}));
        world.declare(&names[0], &json!({ "accessTokenValiditySeconds": 7200 }));
        tokio::time::sleep(Duration::from_secs(hours * 3600)).await;
        let object = world.object(&names[0]).expect("there");
        assert!(shows(&object, "Ready=True/Available"), "what worked still counts as working");
        let synced = condition(&object, "Synced").expect("a condition");
        assert_eq!((&synced["status"], &synced["reason"]), (&json!("Unknown"), &json!("OrganizationNotReady")), "{synced}");
        let since: Timestamp = synced["lastTransitionTime"].as_str().and_then(|time| time.parse().ok()).expect("a time");
        assert!(
            since.duration_since(begun) < SignedDuration::from_mins(20),
            "it says since when: {since}, and the outage began at {begun}"
        );
        world.simulator.clear_faults();
        let made = world.simulator.calls().split_off(calls_before);
        let ended = world.simulator.now();
        let all: Vec<&str> = names.iter().map(String::as_str).chain([NAME]).collect();
        until("the recovery", || all.iter().all(|name| world.is_settled(*name))).await;
        let logins = made.iter().filter(|call| call.operation == Operation::GetToken).count();
        Outage {
            calls: made.len() - logins,
            logins,
            recovered_after: world.simulator.now().duration_since(ended).as_secs_f64(),
            duplicates: world.simulator.other_clients().len() - all.len(),
        }
    };
    // A token that is renewed every few minutes, so that the login host matters too.
    once(Plan::new(164).platform(|settings| settings.operator_token_validity_seconds = 600), story).0
}

/// The faults of the three days.
pub fn troubles() -> [(&'static str, Fault); 3] {
    let refusal = Fault::on(Operation::GetToken, FaultKind::RefuseConnection);
    [("5xx", Fault::status(FaultTarget::Any, 503)), ("429", Fault::status(FaultTarget::Any, 429)), ("login", refusal)]
}

#[test]
fn hours_without_the_platform_cost_a_bounded_number_of_calls_and_no_client() {
    for (trouble, fault) in troubles() {
        let outage = outage(&fault, 2);
        assert!(outage.calls <= 200, "{trouble}: {} calls", outage.calls);
        assert!(outage.logins <= 200, "{trouble}: {} logins", outage.logins);
        assert_eq!(outage.duplicates, 0, "{trouble}");
        // The longest pause between probes, and the way through a create with its verification.
        assert!(outage.recovered_after <= 330.0, "{trouble}: {} s", outage.recovered_after);
    }
}

/// A second platform, and an organization on it.
fn second_organization(world: &World) -> Simulator {
    let settings = Settings { organization_id: "0c0c0c0c-0000-4000-8000-000000000002".into(), seed: Some(7), ..Settings::default() };
    let second = world.another_platform("127.0.0.2", settings);
    let mut organization = objects::with_spec(objects::organization(), &json!({ "region": "second" }));
    organization["metadata"]["name"] = json!("second");
    world.apply(&organization);
    second
}

/// How long a client takes to be settled, in seconds, alone and beside an organization that hangs.
pub fn beside_a_hanging_organization() -> [f64; 2] {
    let plan = || Plan::new(165).flag("--endpoint=second=http://127.0.0.2,http://127.0.0.2");
    let settled = async |world: &World| {
        let begun = Instant::now();
        world.declare(NAME, &json!({}));
        world.settles(NAME).await;
        begun.elapsed().as_secs_f64()
    };
    let (alone, _) = once(plan(), async |world| settled(world).await);
    let (beside, _) = once(plan(), async |world| {
        let second = second_organization(world);
        world
            .until("the second organization", |world| {
                world.get("genesysorganizations", "", "second").filter(|object| shows(object, "Ready=True"))
            })
            .await;
        second.plant(Fault::on(FaultTarget::Any, FaultKind::Hang).times(0));
        let names: Vec<String> = (0..40).map(|number| format!("hanging-{number}")).collect();
        for name in &names {
            world.declare(name, &json!({ "organizationRef": { "name": "second" } }));
        }
        tokio::time::sleep(Duration::from_secs(6)).await;
        let took = settled(world).await;
        assert!(second.other_clients().is_empty() && names.iter().all(|name| !shows(&world.object(name).expect("there"), "Ready=True")));
        second.clear_faults();
        for name in &names {
            world.remove(CLIENTS, name).await;
        }
        for name in &names {
            world.goes(name).await;
        }
        took
    });
    [alone, beside]
}

#[test]
fn an_organization_that_hangs_keeps_no_other_one_waiting() {
    let [alone, beside] = beside_a_hanging_organization();
    assert!(beside <= alone + 2.0, "{beside} s beside one that hangs, {alone} s alone");
}

#[test]
fn creates_and_rotations_wait_for_room_and_say_so() {
    once(Plan::new(166), async |world| {
        world.declare(NAME, &json!({}));
        world.settles(NAME).await;
        let former = world.published(NAME);
        let full = Fault { code: Some("auth.too.many.clients".into()), ..Fault::status(Operation::CreateClient, 400).times(0) };
        world.simulator.plant(full);
        world.declare("first", &json!({}));
        world.stalls("first", "PlatformRejected", &["auth.too.many.clients", "delete"]).await;
        let posts = || calls(world).iter().filter(|call| call.operation == Operation::CreateClient).count();
        let before = posts();
        world.request(NAME, "rotate", "one").await;
        world.client_shows(NAME, "Rotating=True").await;
        tokio::time::sleep(Duration::from_secs(400)).await;
        assert!(message(&world.object(NAME).expect("there"), "Rotating").contains("auth.too.many.clients"), "it says what it waits for");
        assert_eq!((posts(), world.published(NAME)), (before, former.clone()), "nothing is asked of a full organization, nothing is reset");
        tokio::time::sleep(Duration::from_secs(1300)).await;
        assert!((1..=6).contains(&(posts() - before)), "one look in ten minutes for each: {}", posts() - before);
        world.simulator.clear_faults();
        world.settles("first").await;
        world.result(NAME, "Succeeded").await;
        assert_ne!(world.published(NAME), former);
    });
}

#[test]
fn a_delete_lets_creates_go_on_at_once() {
    once(Plan::new(167).platform(|settings| settings.maximum_clients = Some(3)), async |world| {
        world.declare("one", &json!({}));
        world.declare("two", &json!({}));
        world.settles("one").await;
        world.settles("two").await;
        world.declare("three", &json!({}));
        world.stalls("three", "PlatformRejected", &["auth.too.many.clients"]).await;
        world.remove(CLIENTS, "one").await;
        world.goes("one").await;
        let begun = Instant::now();
        world.settles("three").await;
        assert!(begun.elapsed() <= Duration::from_secs(90), "{:?}", begun.elapsed());
    });
}
