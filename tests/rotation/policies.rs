//! Policies as they are read: defaults, what is refused and in which words, how an organization's age shrinks them; and the same by the rules in CEL.

use std::{collections::BTreeSet, time::Duration};

use genesys_oauth_operator::{
    api::{GenesysRotationPolicy, RotationPolicySpec, condition::Reason, rotation_policy::RotationStrategy, rules},
    rotation::{Overlap, Policy, PolicyRefusal, digest, effective},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{days, hours, monday, policy, schedule, spec};

#[test]
fn defaults_are_those_of_the_contract() {
    let table = [
        // interval, then maxAge, warnBefore, overlap minimum and maximum.
        ("30d", (days(60), days(7), hours(1), hours(24))),
        ("10d", (days(20), days(5), hours(1), hours(24))),
        ("24h", (hours(48), hours(12), hours(1), hours(12))),
        ("1h", (hours(2), hours(1) / 2, hours(1) / 2, hours(1) / 2)),
    ];
    for (interval, (max_age, warning, minimum, maximum)) in table {
        let policy = policy(&json!({ "interval": interval })).unwrap();
        let schedule = policy.schedule.unwrap();
        assert_eq!((schedule.max_age, schedule.warn_before, schedule.longest_gap), (max_age, warning, Duration::ZERO), "{interval}");
        let overlap = Overlap { minimum, maximum, wait_for_rollouts: true, wait_for_idle: false };
        assert_eq!(policy.overlap, Some(overlap), "{interval}");
        assert_eq!(
            (policy.strategy, policy.max_concurrent, policy.failure_threshold, policy.suspended),
            (RotationStrategy::Replace, 5, 3, false)
        );
    }
    let request = Policy::on_request();
    assert_eq!((request.schedule, request.overlap.map(|overlap| (overlap.minimum, overlap.maximum))), (None, Some((hours(1), hours(24)))));
    assert_eq!(Policy::on_request().effective(), None);
}

/// Pinned for ever: a digest that changes with a version of the operator would end every halt.
#[test]
fn golden_digests() {
    let all = json!({
        "interval": "30d", "maxAge": "50d", "warnBefore": "10d", "strategy": "Replace", "maxConcurrent": 7, "failureThreshold": 2, "suspend": true,
        "overlap": { "minimum": "2h", "maximum": "4h", "waitForRollouts": false, "waitForIdle": true },
        "windows": [{ "schedule": "0 2 * * SAT", "duration": "4h", "timeZone": "Europe/Berlin" }],
    });
    assert_eq!([digest(&spec(&json!({ "interval": "30d" }))), digest(&spec(&all))], ["cd236c1287ac32be", "5289fc1bb8f07641"]);
    let changes = [
        json!({ "interval": "31d" }),
        json!({ "maxAge": "51d" }),
        json!({ "warnBefore": "11d" }),
        json!({ "strategy": "Regenerate" }),
        json!({ "maxConcurrent": 8 }),
        json!({ "failureThreshold": 3 }),
        json!({ "suspend": false }),
        json!({ "overlap": { "minimum": "3h" } }),
        json!({ "windows": [] }),
    ];
    let mut known = BTreeSet::from([digest(&spec(&all))]);
    for change in changes {
        let mut other = all.clone();
        for (field, value) in change.as_object().unwrap() {
            other[field] = value.clone();
        }
        assert!(known.insert(digest(&spec(&other))), "{change} is not seen");
    }
}

#[test]
fn clients_of_scim_regenerate() {
    let policy = policy(&json!({ "interval": "30d" })).unwrap().regenerating();
    assert_eq!((policy.strategy, policy.overlap), (RotationStrategy::Regenerate, None));
    assert!(policy.schedule.is_some());
}

#[test]
fn windows_that_open_too_seldom_are_refused() {
    let with = |interval: &str, schedule: &str| json!({ "interval": interval, "windows": [{ "schedule": schedule, "duration": "4h" }] });
    // 30d, 60d and 7d leave 23 days.
    assert!(policy(&with("30d", "0 2 * * SAT")).is_ok());
    let refusal = policy(&with("30d", "0 2 1 * *")).unwrap_err();
    assert_eq!(refusal, PolicyRefusal::WindowNeverOpens { gap: "31d".into(), room: "23d".into() });
    assert_eq!(refusal.reason(), Reason::WindowNeverOpens);
    assert!(refusal.to_string().contains("add a window that opens more often, or raise maxAge"), "{refusal}");
    let never = policy(&with("30d", "0 2 30 2 *")).unwrap_err();
    assert_eq!(never.reason(), Reason::WindowNeverOpens);
    let wrong = policy(&with("30d", "whenever")).unwrap_err();
    assert_eq!(wrong.reason(), Reason::InvalidSpec);
    // Exactly as often as needed: 14 days, 28, 7 days of warning by default leave 7.
    assert!(policy(&with("14d", "0 2 * * SAT")).is_ok());
    assert!(policy(&with("13d", "0 2 * * SAT")).is_err());
    // The organization's age refuses nobody: it is judged client by client.
    assert!(Policy::parse(&spec(&with("30d", "0 2 * * SAT")), Some(days(8)), monday()).is_ok());
}

#[test]
fn an_organizations_age_shrinks_what_does_not_fit() {
    let shrunk = |value: &Value, age: Duration| {
        let schedule = Policy::parse(&spec(value), Some(age), monday()).unwrap().schedule.unwrap();
        (schedule.interval, schedule.max_age, schedule.warn_before)
    };
    let plain = json!({ "interval": "60d" });
    assert_eq!(shrunk(&plain, days(200)), (days(60), days(120), days(7)), "an age that is longer changes nothing");
    assert_eq!(shrunk(&plain, days(90)), (days(45), days(90), days(7)), "half of it, as by default");
    assert_eq!(shrunk(&plain, days(10)), (days(5), days(10), hours(60)));
    let roomy = json!({ "interval": "30d", "maxAge": "90d", "warnBefore": "20d" });
    assert_eq!(shrunk(&roomy, days(60)), (days(30), days(60), days(10)), "an interval that fits stays; the warning keeps its share");
    let tight = json!({ "interval": "60d", "maxAge": "70d", "warnBefore": "10d" });
    assert_eq!(shrunk(&tight, days(35)), (days(30), days(35), days(5)), "a long interval keeps its share");
    assert_eq!(shrunk(&plain, Duration::ZERO), (hours(1), hours(2), hours(1) / 2), "no age is shorter than two hours");
    let weekly = json!({ "interval": "30d", "windows": [{ "schedule": "0 2 * * SAT", "duration": "4h" }] });
    assert_eq!(shrunk(&weekly, days(14)), (hours(84), days(14), hours(84)), "room is made for the windows");
    assert_eq!(shrunk(&weekly, days(8)).0, days(4), "an age that leaves no room for them is kept by force");

    let overlapping = json!({ "interval": "30d", "overlap": { "minimum": "8d", "maximum": "20d" } });
    let policy = Policy::parse(&spec(&overlapping), Some(days(30)), monday()).unwrap();
    let overlap = policy.overlap.unwrap();
    assert_eq!((overlap.minimum, overlap.maximum), (hours(180), hours(180)), "a rotation ends before the next");
    let shown = policy.effective().unwrap();
    assert_eq!((shown.interval.as_str(), shown.max_age.as_str(), shown.overlap_maximum.as_deref()), ("15d", "30d", Some("180h")));
}

#[test]
fn what_is_shown() {
    let shown = effective(&spec(&json!({ "interval": "36h", "strategy": "Regenerate" }))).unwrap();
    assert_eq!((shown.interval.as_str(), shown.max_age.as_str(), shown.warn_before.as_str()), ("36h", "3d", "18h"));
    assert_eq!((shown.strategy, shown.overlap_minimum, shown.overlap_maximum), (RotationStrategy::Regenerate, None, None));
    let longest = effective(&spec(&json!({ "interval": "99999d" }))).unwrap();
    assert!([longest.interval, longest.max_age, longest.warn_before].iter().all(|text| text.len() <= 16), "status takes them");
}

#[test]
fn a_digest_tells_policies_apart() {
    let of = |value: Value| digest(&spec(&value));
    assert_eq!(
        of(json!({ "interval": "30d" })),
        of(json!({ "interval": "30d", "maxConcurrent": 5, "strategy": "Replace" })),
        "defaults are said or not"
    );
    assert_ne!(of(json!({ "interval": "30d" })), of(json!({ "interval": "30d", "suspend": true })));
    assert_eq!(of(json!({ "interval": "30d" })).len(), 16);
}

fn any_duration() -> impl Strategy<Value = String> {
    (0..40_u32, prop::sample::select(&["s", "m", "h", "d"][..]))
        .prop_map(|(count, unit)| if count == 0 { "0s".to_owned() } else { format!("{count}{unit}") })
}

/// Any spec that the schema accepts, whether or not it keeps the rules.
fn any_spec() -> impl Strategy<Value = RotationPolicySpec> {
    let optional = || prop::option::of(any_duration());
    (any_duration(), optional(), optional(), prop::bool::ANY, prop::option::of((optional(), optional()))).prop_map(
        |(interval, max_age, warning, regenerate, overlap)| {
            let mut value = json!({ "interval": interval, "strategy": if regenerate { "Regenerate" } else { "Replace" } });
            let mut set = |field: &str, text: Option<String>| {
                if let Some(text) = text {
                    value[field] = json!(text);
                }
            };
            set("maxAge", max_age);
            set("warnBefore", warning);
            if let Some((minimum, maximum)) = overlap {
                let mut given = json!({});
                if let Some(minimum) = minimum {
                    given["minimum"] = json!(minimum);
                }
                if let Some(maximum) = maximum {
                    given["maximum"] = json!(maximum);
                }
                value["overlap"] = given;
            }
            spec(&value)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_rules_in_cel_and_the_reconciler_refuse_the_same(spec in any_spec()) {
        let mut object = GenesysRotationPolicy::new("monthly", spec.clone());
        object.metadata.namespace = Some("team-a".into());
        let violations = rules::rotation_policy_violations(&object);
        match Policy::parse(&spec, None, monday()) {
            Ok(_) => prop_assert_eq!(violations, Vec::<String>::new()),
            Err(refusal) => {
                let words = refusal.to_string();
                prop_assert!(violations.iter().any(|violation| violation.contains(&words)), "{words} is not among {violations:?}");
            }
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_organizations_age_holds(spec in super::dates::accepted(), age in 2..4800_u64) {
        let Ok(alone) = Policy::parse(&spec, None, monday()) else { return Ok(()) };
        let policy = Policy::parse(&spec, Some(hours(age)), monday()).unwrap();
        let (schedule, before) = (policy.schedule.clone().unwrap(), alone.schedule.clone().unwrap());
        prop_assert!(schedule.max_age <= hours(age) && schedule.max_age <= before.max_age);
        prop_assert!(schedule.interval <= before.interval && schedule.interval >= hours(1));
        prop_assert!(schedule.interval < schedule.max_age && schedule.interval + schedule.warn_before <= schedule.max_age);
        prop_assert!(schedule.warn_before <= before.warn_before);
        prop_assert!(policy.overlap.is_none_or(|overlap| overlap.minimum <= overlap.maximum && overlap.maximum < schedule.interval));
        if hours(age) >= before.max_age {
            prop_assert_eq!(policy, alone, "an age that is longer changes nothing");
        }
    }
}

#[test]
fn a_schedule_has_room_beside_its_windows() {
    let schedule =
        schedule(&json!({ "interval": "30d", "windows": [{ "schedule": "0 2 * * SAT", "duration": "4h", "timeZone": "Europe/Berlin" }] }));
    assert_eq!((schedule.room(), schedule.longest_gap), (days(23), days(7) + hours(1)), "the week in which the clock goes back");
}
