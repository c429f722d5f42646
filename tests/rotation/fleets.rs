//! Whole fleets of ten thousand, simulated as dates alone: their rotations fall evenly on the days, and nothing moves without a reason.

use std::{collections::BTreeMap, time::Duration};

use genesys_oauth_operator::rotation::{Dates, Issue, Schedule, dates, effective, effective_since, next_three};
use jiff::{Timestamp, ToSpan as _};
use serde_json::json;

use super::{days, monday, schedule, spec};

const SIZE: i64 = 10_000;

/// What a fleet is simulated as: each client's identity, and the issue that its dates come from.
fn fleet(issue: impl Fn(i64) -> (Timestamp, bool, Option<Timestamp>)) -> Vec<(String, Timestamp, bool, Option<Timestamp>)> {
    let client = |number: i64| {
        let (issued_at, by_rotation, spread_from) = issue(number);
        (format!("team-{}/client-{number}", number % 40), issued_at, by_rotation, spread_from)
    };
    (0..SIZE).map(client).collect()
}

fn all_dates(schedule: &Schedule, fleet: &[(String, Timestamp, bool, Option<Timestamp>)]) -> Vec<[Dates; 3]> {
    let issue = |(identity, issued_at, by_rotation, spread_from): &(String, Timestamp, bool, Option<Timestamp>)| {
        let issue = Issue { issued_at: *issued_at, by_rotation: *by_rotation, identity, spread_from: *spread_from };
        next_three(schedule, &issue)
    };
    fleet.iter().map(issue).collect()
}

/// How many rotations fall on each day, counted from an instant.
fn by_day(rotations: impl Iterator<Item = Timestamp>, from: Timestamp) -> BTreeMap<i64, i64> {
    let mut count = BTreeMap::new();
    for rotation in rotations {
        *count.entry(rotation.duration_since(from).as_secs().div_euclid(86_400)).or_default() += 1;
    }
    count
}

/// The fullest day, in percent of the mean of the days on which rotations fall.
fn peak(days: &BTreeMap<i64, i64>) -> i64 {
    let total: i64 = days.values().sum();
    let fullest = days.values().max().copied().unwrap_or_default();
    fullest * 100 * i64::try_from(days.len()).unwrap() / total
}

fn first_days(schedule: &Schedule, fleet: &[(String, Timestamp, bool, Option<Timestamp>)], from: Timestamp) -> BTreeMap<i64, i64> {
    by_day(all_dates(schedule, fleet).iter().map(|next| next[0].rotate_at), from)
}

/// Says how even the days are; `make figures FILTER=rotation` reads it.
fn tell(fleet: &str, days: &BTreeMap<i64, i64>) {
    let percent = peak(days);
    println!("figure rotation.days.{fleet} {}.{:02}", percent / 100, percent % 100);
}

fn monthly() -> Schedule {
    schedule(&json!({ "interval": "30d" }))
}

#[test]
fn a_fleet_created_at_once() {
    let fleet = fleet(|_| (monday(), false, None));
    let days = first_days(&monthly(), &fleet, monday());
    tell("created-at-once", &days);
    assert_eq!((days.keys().min(), days.keys().max()), (Some(&15), Some(&29)), "from half of the interval to all of it");
    assert!(peak(&days) <= 120, "{}: {days:?}", peak(&days));
    for cycle in 1..3 {
        let next = all_dates(&monthly(), &fleet);
        let days = by_day(next.iter().map(|next| next[cycle].rotate_at), monday());
        assert!(peak(&days) <= 120, "cycle {cycle}: {}: {days:?}", peak(&days));
    }
}

#[test]
fn a_fleet_that_was_rotated_evenly() {
    let month = days(30).as_secs().cast_signed();
    let fleet = fleet(|number| (monday() - (month * number / SIZE).seconds(), true, Some(monday() - (400 * 24).hours())));
    let days = first_days(&monthly(), &fleet, monday());
    tell("issued-evenly", &days);
    assert!(peak(&days) <= 120, "{}: {days:?}", peak(&days));
}

#[test]
fn a_fleet_that_was_created_evenly() {
    // Under its policy from the first day on. First rotations fade out while second ones begin, so all of a month are counted: the sum of both
    // is 5 % higher in the first half of the month, and chance adds to it.
    let month = days(30).as_secs().cast_signed();
    let fleet = fleet(|number| {
        let created = monday() - (month * number / SIZE).seconds();
        (created, false, Some(created))
    });
    let next = all_dates(&monthly(), &fleet);
    let rotations = next.iter().flatten().map(|dates| dates.rotate_at).filter(|at| (monday()..monday() + days(30)).contains(at));
    let days = by_day(rotations, monday());
    tell("issued-evenly-by-creation", &days);
    assert_eq!(days.len(), 30);
    assert!(peak(&days) <= 125, "{}: {days:?}", peak(&days));
}

#[test]
fn a_fleet_of_all_ages_that_gets_a_policy() {
    let period = days(100).as_secs().cast_signed();
    let fleet = fleet(|number| (monday() - (period * number / SIZE).seconds(), false, Some(monday())));
    let days = first_days(&monthly(), &fleet, monday());
    tell("of-all-ages-when-the-policy-comes", &days);
    assert!(days.keys().all(|day| (0..30).contains(day)), "all within one interval: {days:?}");
    assert!(peak(&days) <= 120, "{}: {days:?}", peak(&days));
}

#[test]
fn a_fleet_of_a_month_that_gets_a_policy() {
    let period = days(30).as_secs().cast_signed();
    let fleet = fleet(|number| (monday() - (period * number / SIZE).seconds(), false, Some(monday())));
    let days = first_days(&monthly(), &fleet, monday());
    tell("of-a-month-when-the-policy-comes", &days);
    assert!(days.keys().all(|day| (0..30).contains(day)), "all within one interval: {days:?}");
    assert!(peak(&days) <= 120, "{}: {days:?}", peak(&days));
}

#[test]
fn an_old_fleet_that_gets_a_policy() {
    let fleet = fleet(|_| (monday() - (100 * 24).hours(), false, Some(monday())));
    let schedule = monthly();
    let days = first_days(&schedule, &fleet, monday());
    tell("100-days-old-when-the-policy-comes", &days);
    assert_eq!((days.keys().min(), days.keys().max()), (Some(&0), Some(&29)), "spread over the interval");
    assert!(peak(&days) <= 120, "{}: {days:?}", peak(&days));
    let at_once = all_dates(&schedule, &fleet).iter().filter(|next| next[0].is_due(monday())).count();
    assert!(at_once <= 1, "a new policy rotates nothing at once");
}

#[test]
fn a_fleet_whose_interval_shrinks() {
    // Thirty days became ten: those that are older than that are spread over the new interval.
    let month = days(30).as_secs().cast_signed();
    let fleet = fleet(|number| (monday() - (month * number / SIZE).seconds(), true, Some(monday())));
    let schedule = schedule(&json!({ "interval": "10d" }));
    let days = first_days(&schedule, &fleet, monday());
    assert!(days.keys().all(|day| (0..=11).contains(day)), "{days:?}");
    let full: BTreeMap<i64, i64> = days.into_iter().filter(|(day, _)| *day < 10).collect();
    assert!(peak(&full) <= 120, "{}: {full:?}", peak(&full));
}

#[test]
fn daily_windows_keep_the_days_even() {
    let fleet = fleet(|_| (monday(), false, None));
    let window = json!([{ "schedule": "0 2 * * *", "duration": "4h", "timeZone": "Europe/Berlin" }]);
    let schedule = schedule(&json!({ "interval": "30d", "windows": window }));
    let days = first_days(&schedule, &fleet, monday());
    assert!(peak(&days) <= 120, "{}: {days:?}", peak(&days));
}

#[test]
fn a_policy_that_is_applied_again_changes_nothing() {
    let spec = spec(&json!({ "interval": "30d", "maxAge": "1440h" }));
    let shown = effective(&spec).unwrap();
    let since = effective_since(None, &shown, monday());
    assert_eq!(since, monday());
    let later = monday() + days(3);
    assert_eq!(effective_since(Some((since, &shown)), &shown, later), since);
    let written_otherwise = effective(&super::spec(&json!({ "interval": "720h", "failureThreshold": 7, "suspend": true }))).unwrap();
    assert_eq!(effective_since(Some((since, &shown)), &written_otherwise, later), since, "30d is 720h, and 60d is the default");
    for changed in [json!({ "interval": "29d", "maxAge": "60d" }), json!({ "interval": "30d", "maxAge": "61d" })] {
        let changed = effective(&super::spec(&changed)).unwrap();
        assert_eq!(effective_since(Some((since, &shown)), &changed, later), later);
    }
}

#[test]
fn each_client_is_rotated_about_once_an_interval() {
    let schedule = monthly();
    for (identity, issued_at, _, _) in fleet(|_| (monday(), false, None)).iter().take(200) {
        let mut issue = Issue { issued_at: *issued_at, by_rotation: false, identity, spread_from: None };
        let mut count = 0;
        while issue.issued_at < monday() + days(365) {
            issue = Issue { issued_at: dates(&schedule, &issue).rotate_at, by_rotation: true, ..issue };
            count += 1;
        }
        // 365 / 33 = 11.06 at the slowest, and (365 - 15) / 30 + 1 = 12.7 at the fastest; the one past the year is counted too.
        assert!((12..=13).contains(&count), "{identity}: {count}");
        assert!(issue.issued_at < monday() + days(365) + Duration::from_secs(34 * 86_400));
    }
}
