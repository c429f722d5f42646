//! What `/metrics` shows of a world, held against the world itself: each family, its labels, and that nothing is left of what is gone.

use std::{collections::BTreeSet, time::Duration};

use genesys_cloud_simulator::{Fault, Operation};
use genesys_oauth_operator::observability::metrics::catalog::FAMILIES;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    drift::{edit, role, settled},
    exposition::Exposition,
    look::summary,
    mishaps::minutes,
    objects::{self, ORGANIZATION, TEAM},
    scenario::once,
    world::{Plan, World},
};

const CLIENTS: &str = "genesysoauthclients";
const NAME: &str = "billing";

/// What the operator shows now.
pub fn shown(world: &World) -> Exposition {
    let text = world.metrics();
    Exposition::parse(&text).unwrap_or_else(|fault| panic!("{fault}"))
}

/// What is wrong with the form of what the operator shows, whatever the world: for the end of every story.
pub fn faults(world: &World) -> Vec<String> {
    let text = world.metrics();
    let mut faults = vec![];
    if world.wires.tells_a_secret(&text) {
        faults.push("the metrics tell a secret".to_owned());
    }
    let shown = match Exposition::parse(&text) {
        Ok(shown) => shown,
        Err(fault) => return vec![fault],
    };
    for sample in &shown.samples {
        let Some(family) = FAMILIES.iter().find(|family| family.name == sample.family) else {
            faults.push(format!("no such family: {sample:?}"));
            continue;
        };
        let labels: BTreeSet<String> = sample.without("le").into_iter().map(|(name, _)| name).collect();
        if labels != family.labels.iter().map(|label| (*label).to_owned()).collect() || family.type_name() != shown.types[family.name] {
            faults.push(format!("not as the catalog has it: {sample:?}"));
        }
    }
    faults
}

/// Series of objects that are gone. A watch whose event was lost may show one for a while; an operator that just began shows none.
pub fn leftovers(world: &World) -> Vec<String> {
    let mut left = vec![];
    let shown = shown(world);
    let objects: BTreeSet<(String, String)> = ["genesysoauthclients", "genesysorganizations", "genesysrotationpolicies"]
        .into_iter()
        .flat_map(|resource| world.list(resource))
        .map(|object| (text_of(&object["metadata"]["namespace"]), text_of(&object["metadata"]["name"])))
        .collect();
    for sample in &shown.samples {
        let label = |name: &str| sample.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.clone());
        let about = match (label("namespace"), label("name"), label("organization")) {
            (Some(namespace), Some(name), _) => (namespace, name),
            (_, _, Some(organization)) => (String::new(), organization),
            _ => continue,
        };
        if !objects.contains(&about) {
            left.push(format!("a series of an object that is gone: {sample:?}"));
        }
    }
    left
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A time of an object as a metric tells it.
#[allow(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^52")]
pub fn seconds(value: &Value) -> Option<f64> {
    value.as_str().map(|text| text.parse::<Timestamp>().expect("a time").as_second() as f64)
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn number(count: usize) -> f64 {
    count as f64
}

#[test]
fn dates_and_conditions_are_those_of_the_objects() {
    once(901, async |world| {
        world.apply(&objects::policy("monthly", &json!({ "interval": "30d" })));
        settled(world, NAME, &json!({ "rotationPolicyRef": { "name": "monthly" } })).await;
        let secret = world.held(NAME).and_then(|held| held.client_secret).expect("a credential");
        let text = world.metrics();
        assert!(!world.wires.tells_a_secret(&text), "a metric tells a secret");
        assert!(world.wires.tells_a_secret(&format!("{text}{secret}")), "one that did would be found");
        let shown = shown(world);
        let object = world.object(NAME).expect("there");
        let status = &object["status"];
        let dates =
            [("issued", &status["issuedAt"]), ("rotate", &status["rotation"]["next"][0]), ("expires", &status["rotation"]["expiresAt"])];
        for (date, at) in dates {
            let family = format!("genesys_oauth_credential_{date}_timestamp_seconds");
            assert!(at.is_string(), "{date} is not known");
            assert_eq!(shown.value(&family, &[TEAM, NAME]), seconds(at), "{date}");
        }
        let told: BTreeSet<Vec<&str>> = shown.of("genesys_oauth_condition").into_keys().collect();
        let mut expected = BTreeSet::new();
        let kinds = [
            ("GenesysOAuthClient", world.object(NAME)),
            ("GenesysOrganization", world.organization()),
            ("GenesysRotationPolicy", world.get("genesysrotationpolicies", TEAM, "monthly")),
        ];
        for (kind, object) in &kinds {
            let object = object.as_ref().expect("there");
            let name = |member: &str| object["metadata"][member].as_str().unwrap_or_default();
            for condition in object["status"]["conditions"].as_array().expect("conditions") {
                let word = |member: &str| condition[member].as_str().expect("a word");
                expected.insert(vec![*kind, name("namespace"), name("name"), word("type"), word("status")]);
            }
        }
        assert!(expected.len() >= 13, "{expected:?}");
        assert_eq!(told, expected);
        assert_eq!(shown.value("genesys_oauth_clients", &[ORGANIZATION, "Ready"]), Some(1.0));
        assert_eq!(shown.sum("genesys_oauth_clients"), Some(1.0));
        assert_eq!(shown.value("genesys_oauth_policy_clients", &["GenesysRotationPolicy", TEAM, "monthly", "Following"]), Some(1.0));
        assert_eq!(shown.value("genesys_oauth_policy_halted", &["GenesysRotationPolicy", TEAM, "monthly"]), Some(0.0));
        assert_eq!(shown.value("genesys_oauth_rotation_failures", &[TEAM, NAME]), Some(0.0));
        assert_eq!(shown.value("genesys_oauth_leading", &[]), Some(1.0));
        assert_eq!(shown.value("genesys_oauth_build", &[env!("CARGO_PKG_VERSION")]), None, "it tells by its label alone");
        let scanned = shown.value("genesys_oauth_scan_timestamp_seconds", &[ORGANIZATION]).expect("a scan was compared");
        let age = number(usize::try_from(world.chance().now().as_second()).expect("after 1970")) - scanned;
        let interval = shown.value("genesys_oauth_scan_interval_seconds", &[ORGANIZATION]);
        assert!(interval == Some(300.0) && (0.0..=360.0).contains(&age), "{age} {interval:?}");
        let inventory = &world.organization().expect("there")["status"]["inventory"];
        for (sort, member) in [("Total", "total"), ("Managed", "managed"), ("Unmanaged", "unmanaged"), ("Orphaned", "orphaned")] {
            let counted = inventory[member].as_f64();
            assert!(counted.is_some() && counted == shown.value("genesys_oauth_inventory_clients", &[ORGANIZATION, sort]), "{sort}");
        }
    });
}

#[test]
fn extra_power_is_told_by_its_field_and_gone_when_it_is_taken_back() {
    once(902, async |world| {
        settled(world, NAME, &json!({ "driftPolicy": "Report" })).await;
        assert!(shown(world).of("genesys_oauth_extra_access").is_empty());
        edit(
            world,
            NAME,
            &json!({ "name": "somebody was here", "roleDivisions": [role(world, "employee"), role(world, "Communicate - User")] }),
        );
        world.client_shows(NAME, "ScopeDrift=True/Extra").await;
        let told = shown(world);
        assert_eq!(told.value("genesys_oauth_extra_access", &[TEAM, NAME, "roles"]), Some(1.0));
        assert_eq!(told.of("genesys_oauth_extra_access").len(), 1, "a name gives no power");
        assert_eq!(told.value("genesys_oauth_drift", &[TEAM, NAME, "roles"]), Some(1.0));
        assert_eq!(told.value("genesys_oauth_drift", &[TEAM, NAME, "displayName"]), Some(1.0));
        assert_eq!(told.value("genesys_oauth_condition", &["GenesysOAuthClient", TEAM, NAME, "ScopeDrift", "True"]), Some(1.0));
        assert_eq!(told.value("genesys_oauth_condition", &["GenesysOAuthClient", TEAM, NAME, "ScopeDrift", "False"]), None);
        world.declare(NAME, &json!({ "driftPolicy": "Correct" }));
        world.client_shows(NAME, "ScopeDrift=False/InSync").await;
        let told = shown(world);
        assert!(told.of("genesys_oauth_extra_access").is_empty() && told.of("genesys_oauth_drift").is_empty());
    });
}

#[test]
fn calls_and_passes_are_counted_and_a_scrape_makes_none() {
    once(903, async |world| {
        settled(world, NAME, &json!({})).await;
        let (calls, requests) = (world.simulator.calls().len(), world.kubernetes.log().len());
        let shown = shown(world);
        assert_eq!((world.simulator.calls().len(), world.kubernetes.log().len()), (calls, requests), "a scrape asks nobody");
        for (name, operation) in [
            ("CreateClient", Operation::CreateClient),
            ("ListClients", Operation::ListClients),
            ("GetOrganization", Operation::GetOrganization),
        ] {
            let counted = shown.value("genesys_oauth_platform_calls", &[ORGANIZATION, name, "Succeeded"]);
            assert_eq!(counted, Some(number(crate::mishaps::calls(world, operation))), "{name}");
        }
        let durations = shown.value("genesys_oauth_platform_call_duration_seconds", &[ORGANIZATION]);
        assert_eq!(durations, shown.sum("genesys_oauth_platform_calls"));
        for controller in ["GenesysOAuthClient", "GenesysOrganization"] {
            assert!(shown.value("genesys_oauth_reconcile_duration_seconds", &[controller]) > Some(0.0), "{controller}");
        }
        assert_eq!(shown.sum("genesys_oauth_reconcile_errors"), Some(0.0));
        let waits: f64 = shown
            .of("genesys_oauth_budget_wait_seconds")
            .into_iter()
            .filter(|(labels, _)| labels[1] == "api")
            .map(|(_, waits)| waits)
            .sum();
        let of_login = shown.value("genesys_oauth_platform_calls", &[ORGANIZATION, "GetToken", "Succeeded"]).expect("a token was fetched");
        let others: f64 = shown.sum("genesys_oauth_platform_calls").expect("calls were made") - of_login;
        assert!(waits > 0.0 && waits <= others, "{waits} of {others} calls waited for the budget; a look at a new credential costs none");
        assert_eq!(shown.value("genesys_oauth_budget_ceiling_requests_per_minute", &[ORGANIZATION, "api"]), Some(300.0));
        let tokens = shown.value("genesys_oauth_budget_tokens", &[ORGANIZATION, "api"]).expect("a budget");
        assert!(tokens > 0.0 && tokens <= 300.0, "{tokens}");
        assert!(shown.of("genesys_oauth_budget_queue_length").values().all(|waiting| *waiting == 0.0), "at rest");
    });
}

#[test]
fn a_platform_that_is_down_or_says_too_many_is_seen() {
    once(904, async |world| {
        settled(world, NAME, &json!({})).await;
        let open = |world: &World| shown(world).value("genesys_oauth_breaker_open", &[ORGANIZATION, "api"]);
        let throttled = |world: &World| shown(world).value("genesys_oauth_budget_throttled", &[ORGANIZATION, "api"]);
        assert_eq!((open(world), throttled(world)), (Some(0.0), Some(0.0)));
        world.simulator.plant(Fault::status(Operation::ListClients, 429).times(0));
        minutes(6).await;
        world.simulator.clear_faults();
        let refused = throttled(world);
        assert!(
            refused > Some(0.0)
                && refused == shown(world).value("genesys_oauth_platform_calls", &[ORGANIZATION, "ListClients", "Throttled"]),
            "{refused:?}"
        );
        world.simulator.plant(Fault::status(Operation::ListClients, 503).times(0));
        world.until("the breaker to open", |world| (open(world) == Some(1.0)).then_some(())).await;
        world.simulator.clear_faults();
        world.until("the breaker to close", |world| (open(world) == Some(0.0)).then_some(())).await;
    });
}

#[test]
fn rotations_are_counted_by_step_and_end() {
    once(905, async |world| {
        settled(world, NAME, &json!({})).await;
        world.annotate(CLIENTS, NAME, &json!({ "oauth.genesys-operator.io/rotate": "one" })).await;
        world.client_shows(NAME, "Rotating=True/Draining").await;
        let told = shown(world);
        let started = told.value("genesys_oauth_rotation_started_timestamp_seconds", &[TEAM, NAME, "Draining"]);
        assert!(started.is_some(), "{}", summary(world.object(NAME).as_ref()));
        assert_eq!(started, seconds(&world.object(NAME).expect("there")["status"]["rotation"]["current"]["startedAt"]));
        assert_eq!(told.value("genesys_oauth_rotations", &["Succeeded", "Request"]), Some(1.0));
        assert_eq!(told.sum("genesys_oauth_rotations"), Some(1.0));
        for step in ["Creating", "Verifying", "Draining"] {
            assert_eq!(told.value("genesys_oauth_rotation_steps", &[step]), Some(1.0), "{step}");
        }
        world.until_rotations_end().await;
        let told = shown(world);
        assert!(told.of("genesys_oauth_rotation_started_timestamp_seconds").is_empty(), "it is over");
        assert_eq!(told.value("genesys_oauth_rotations", &["Succeeded", "Request"]), Some(1.0), "and counts once");
    });
}

#[test]
fn nothing_is_left_of_an_object_that_is_gone() {
    once(Plan::new(906), async |world| {
        settled(world, NAME, &json!({})).await;
        world.remove(CLIENTS, NAME).await;
        world.goes(NAME).await;
        world.remove("genesysorganizations", ("", ORGANIZATION)).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        let left: Vec<_> = shown(world).samples;
        let about = |name: &str| left.iter().filter(|sample| sample.labels.iter().any(|(_, value)| value == name)).collect::<Vec<_>>();
        assert!(about(NAME).is_empty() && about(ORGANIZATION).is_empty(), "{:?} {:?}", about(NAME).first(), about(ORGANIZATION).first());
        world.apply(&objects::organization());
        world.organization_shows("Ready=True/Available").await;
        assert!(shown(world).value("genesys_oauth_budget_tokens", &[ORGANIZATION, "api"]).is_some());
    });
}

#[test]
fn every_family_is_shown_in_the_order_of_the_catalog() {
    once(907, async |world| {
        let text = world.metrics();
        let told: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        let families: BTreeSet<&str> = FAMILIES.iter().map(|family| family.name).collect();
        assert_eq!(told.iter().copied().collect::<BTreeSet<_>>(), families);
        assert_eq!(told.len(), FAMILIES.len(), "each once");
    });
}
