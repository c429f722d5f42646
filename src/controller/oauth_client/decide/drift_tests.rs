//! The decisions about a client that somebody changed, stopped or removed on the platform, as tables. No call can be made.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::{
    tests::words,
    world::{NONCE, client, declared, object, settled, settled_status},
    *,
};
use crate::{
    api::oauth_client::DriftEntry,
    controller::{
        oauth_client::{
            class::{self, Shown},
            observation::Comparison,
            plan::Step,
        },
        snapshot::{Listed, Sight},
    },
    genesys::{self, Class},
    marker::Owner,
};

/// A settled world whose client shows another name, by the newest scan.
fn drifted(policy: &str) -> Observation {
    let object = object(&json!({ "driftPolicy": policy }), &settled_status());
    let mut seen = Observation { object: Arc::new(object), ..settled() };
    let entry = DriftEntry { field: "displayName".into(), ..DriftEntry::default() };
    let sight = Sight::of(&client("c1", NONCE, "active"), seen.instant);
    seen.comparison = Some(Comparison { drift: vec![entry], sight });
    seen
}

#[tokio::test]
async fn drift_is_corrected_or_told() {
    assert_eq!(words(&drifted("Correct")), "[correct] as status says");
    assert_eq!(words(&drifted("Report")), "[] as status says");
    let mut seen = drifted("Correct");
    seen.memory.unheeded = Some((2, None));
    assert_eq!(words(&seen), "[] stalled PlatformRejected", "the platform took it once, and kept its own");
    let mut seen = drifted("Correct");
    if let Some(comparison) = &mut seen.comparison {
        comparison.drift.clear();
    }
    assert_eq!(words(&seen), "[] as status says");
}

#[tokio::test]
async fn what_only_a_scan_shows_stops_a_client_without_a_read() {
    let listed = |client: genesys::OAuthClient| {
        let mut seen = settled();
        let sight = Sight::of(&client, seen.instant);
        seen.listed = Listed::Present(Box::new(client), sight);
        seen
    };
    assert_eq!(words(&listed(client("c1", NONCE, "active"))), "[] as status says");
    assert_eq!(words(&listed(client("c1", NONCE, "disabled"))), "[] stalled ClientDisabled");
    assert_eq!(words(&listed(client("c1", NONCE, "inactive"))), "[] stalled DeactivatedOutside");
    let mut theirs = client("c1", NONCE, "active");
    theirs.description = Some(Owner::new("elsewhere", "team-a", "billing").marker(NONCE).to_string());
    assert_eq!(words(&listed(theirs)), "[] stalled Conflict");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_gone_is_created_again_unless_that_is_held_or_not_wished() {
    tokio::time::advance(Duration::from_secs(3600)).await;
    let gone = |policy: &str| {
        let object = object(&json!({ "driftPolicy": policy }), &settled_status());
        let mut seen = Observation { object: Arc::new(object), ..settled() };
        seen.declared = Some(declared(&seen));
        seen.client = ClientView::Missing;
        seen.memory.missing_since = seen.instant.checked_sub(Duration::from_secs(60));
        seen
    };
    assert_eq!(words(&gone("Correct")), "[create anew r2 a1] ClientMissing");
    assert_eq!(words(&gone("Report")), "[] stalled ClientMissing");
    let held = Observation { held: Some("many are gone".into()), ..gone("Correct") };
    assert_eq!(words(&held), "[] ClientMissing");
}

#[tokio::test]
async fn a_correction_waits_behind_everything_that_somebody_waits_for() {
    let seen = drifted("Correct");
    assert_eq!(class::of_step(&Step::Correct, &seen), Class::Update);
    let at_the_gate = |seen: &Observation, shown: Shown| class::at_the_gate(&seen.object, shown).0;
    assert_eq!(at_the_gate(&seen, Shown::AsKnown), Class::UrgentRotation, "it only looks");
    assert_eq!(at_the_gate(&seen, Shown::Otherwise), Class::Update);
    assert_eq!(at_the_gate(&drifted("Report"), Shown::Otherwise), Class::UrgentRotation, "it only tells");
    let mut told = settled_status();
    told["drift"] = json!([{ "field": "displayName" }]);
    let told = Observation { object: Arc::new(object(&json!({ "driftPolicy": "Correct" }), &told)), ..settled() };
    assert_eq!(at_the_gate(&told, Shown::AsKnown), Class::Update, "its correction was not made yet");
}

#[tokio::test(start_paused = true)]
async fn while_an_object_is_suspended_it_is_told_what_became_of_its_client() {
    tokio::time::advance(Duration::from_secs(3600)).await;
    let suspended = || {
        let object = object(&json!({ "suspend": true }), &settled_status());
        Observation { object: Arc::new(object), ..settled() }
    };
    let shown = |state: &str| {
        let client = client("c1", NONCE, state);
        let sight = Sight::of(&client, suspended().instant);
        words(&Observation { listed: Listed::Present(Box::new(client), sight), ..suspended() })
    };
    assert_eq!(shown("active"), "[] Suspended");
    assert_eq!(shown("disabled"), "[] stalled ClientDisabled");
    assert_eq!(shown("inactive"), "[] stalled DeactivatedOutside");
    for since in [0, 60] {
        let mut seen = Observation { client: ClientView::Missing, ..suspended() };
        seen.declared = Some(declared(&seen));
        seen.memory.missing_since = seen.instant.checked_sub(Duration::from_secs(since));
        assert_eq!(words(&seen), "[] stalled ClientMissing", "{since}");
    }
}
