//! The dates of one credential: the formulas by hand, golden dates of fixed identities, and what holds for every policy.

use std::time::Duration;

use genesys_oauth_operator::{
    api::RotationPolicySpec,
    rotation::{Dates, Expiry, Issue, Policy, QueueKey, Schedule, Turn, dates, next_three},
};
use jiff::{Timestamp, ToSpan as _};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{at, days, hours, monday, schedule, spec};

fn issue(identity: &str, issued_at: Timestamp) -> Issue<'_> {
    Issue { issued_at, by_rotation: true, identity, spread_from: None }
}

/// Pinned for ever: another hash would move every rotation of every fleet at once.
#[test]
fn golden_dates() {
    let schedule = schedule(&json!({ "interval": "30d" }));
    let table = [
        ("team-a/billing", ["2027-01-31T22:20:51Z", "2027-02-05T23:40:10Z", "2028-01-25T20:41:43Z"]),
        ("team-a/reporting", ["2027-01-27T08:24:58Z", "2027-02-05T01:40:59Z", "2028-01-16T16:49:57Z"]),
        ("b/b", ["2027-01-23T20:38:25Z", "2027-02-04T08:55:41Z", "2028-01-09T17:16:51Z"]),
    ];
    for (identity, [created, rotated, spread]) in table {
        let issue = issue(identity, monday());
        assert_eq!(dates(&schedule, &Issue { by_rotation: false, ..issue }).due_at.to_string(), created, "{identity} created");
        assert_eq!(dates(&schedule, &issue).due_at.to_string(), rotated, "{identity} rotated");
        let later = Issue { spread_from: Some(at("2028-01-01T00:00:00Z")), ..issue };
        assert_eq!(dates(&schedule, &later).due_at.to_string(), spread, "{identity} spread");
    }
}

#[test]
fn deadlines_are_as_the_contract_says() {
    let schedule = schedule(&json!({ "interval": "30d", "maxAge": "50d", "warnBefore": "10d" }));
    let found = dates(&schedule, &issue("team-a/billing", monday()));
    let after = |time: Duration| monday() + time;
    assert_eq!((found.expires_at, found.warn_at), (after(days(50)), after(days(40))));
    assert!(found.due_at >= after(days(30)) && found.due_at <= after(days(33)), "I to I + I/10: {found:?}");
    assert_eq!((found.rotate_at, found.force_at), (found.due_at, after(days(45))), "no window to wait for; forced at half of the warning");
    let created = dates(&schedule, &Issue { by_rotation: false, ..issue("team-a/billing", monday()) });
    assert!(created.due_at >= after(days(15)) && created.due_at <= after(days(30)), "I/2 to I: {created:?}");
    assert_eq!(created.expires_at, found.expires_at);
}

#[test]
fn what_was_due_before_the_policy_is_spread_and_stays_honest() {
    let schedule = schedule(&json!({ "interval": "30d" }));
    let old = Issue { spread_from: Some(monday()), ..issue("team-a/billing", monday() - (100 * 24).hours()) };
    let found = dates(&schedule, &old);
    assert!(found.due_at >= monday() && found.due_at <= monday() + days(30), "{found:?}");
    assert_eq!(found.expires_at, monday() - (40 * 24).hours(), "the deadline is counted from the issue");
    assert_eq!(found.force_at, found.due_at + Duration::from_secs(7 * 86_400 / 2), "half of the warning after it is due");
    assert_eq!(found.standing(&schedule, monday()).expiry, Expiry::Overdue);
    assert_eq!(found.standing(&schedule, monday()).turn, Turn::NotDue, "a new policy rotates nothing at once");
    assert!(!found.is_missed(found.rotate_at + hours(1)), "nobody is alarmed before the planned time");
    assert!(found.is_missed(found.rotate_at + hours(2)));

    let first = Issue { by_rotation: false, ..old };
    assert_eq!(dates(&schedule, &first), found, "so is a first credential that is too old already");
    let young = Issue { spread_from: Some(monday()), ..issue("team-a/billing", monday() - 24.hours()) };
    let unspread = Issue { spread_from: None, ..young };
    assert_eq!(dates(&schedule, &young), dates(&schedule, &unspread), "what is due later keeps its dates");

    // First credentials that the policy finds: 52 days are left until the warning of one of a day, so it is due within the interval from the policy
    // on; 23 days of one of 30.
    for (age, within) in [(1, 30), (30, 23), (37, 16)] {
        let first = Issue { spread_from: Some(monday()), by_rotation: false, ..issue("team-a/billing", monday() - (age * 24).hours()) };
        let found = dates(&schedule, &first);
        let share = found.due_at.duration_since(monday()).as_secs() * 1000 / (within * 86_400);
        assert_eq!(share, 828, "its place in {within} days; {age} days: {found:?}");
        assert_eq!(found.force_at, found.expires_at - Duration::from_secs(7 * 86_400 / 2), "urgent as by its age");
    }
}

#[test]
fn standing_and_queue() {
    let schedule = schedule(&json!({ "interval": "30d", "windows": [{ "schedule": "0 2 * * SAT", "duration": "4h" }] }));
    let found = dates(&schedule, &issue("team-a/billing", monday()));
    assert_eq!(found.rotate_at.to_zoned(jiff::tz::TimeZone::UTC).weekday(), jiff::civil::Weekday::Saturday);
    let turn = |now: Timestamp| found.standing(&schedule, now).turn;
    let second = 1.second();
    assert_eq!(turn(found.due_at - second), Turn::NotDue);
    assert_eq!(turn(found.due_at), Turn::WaitingForWindow);
    assert_eq!((turn(found.rotate_at - second), found.is_due(found.rotate_at - second)), (Turn::WaitingForWindow, false));
    assert_eq!((turn(found.rotate_at), found.is_due(found.rotate_at)), (Turn::Due, true));
    let closed = found.rotate_at + hours(4);
    assert_eq!((turn(closed), found.is_due(closed)), (Turn::WaitingForWindow, true), "its turn did not come while the window was open");
    assert_eq!(found.next_change(&schedule, closed), Some(found.rotate_at + days(7)), "woken when the next one opens");
    assert_eq!((turn(found.force_at - second), turn(found.force_at)), (Turn::WaitingForWindow, Turn::Urgent));
    let expiry = |now: Timestamp| found.standing(&schedule, now).expiry;
    assert_eq!((expiry(found.warn_at - second), expiry(found.warn_at)), (Expiry::NotDue, Expiry::Expiring));
    assert_eq!((expiry(found.expires_at - second), expiry(found.expires_at)), (Expiry::Expiring, Expiry::Overdue));

    let later = Dates { rotate_at: found.rotate_at + second, expires_at: found.expires_at - second, ..found };
    assert!(found.queue_key(closed) < later.queue_key(closed), "planned earlier, earlier in the queue");
    assert!(later.queue_key(found.force_at) < found.queue_key(found.force_at), "among urgent ones the deadline counts");
    assert!(QueueKey::Urgent(Timestamp::MAX) < QueueKey::Planned(Timestamp::MIN), "urgent ones are first");
}

#[test]
fn a_window_that_comes_too_late_is_not_waited_for() {
    // The windows fit the policy, but not the organization's age: 25 days of room and windows a month apart.
    let monthly = json!({ "interval": "60d", "windows": [{ "schedule": "0 2 1 * *", "duration": "4h" }] });
    let policy = Policy::parse(&spec(&monthly), Some(days(31)), monday()).unwrap();
    let schedule = policy.schedule.unwrap();
    assert!(schedule.longest_gap > schedule.room());
    let late = dates(&schedule, &issue("team-a/billing", at("2027-01-10T00:00:00Z")));
    assert_eq!(late.rotate_at, at("2027-02-01T02:00:00Z"), "a window in time is taken");
    let never = dates(&schedule, &issue("team-a/billing", at("2027-01-15T00:00:00Z")));
    assert_eq!(never.rotate_at, at("2027-02-01T02:00:00Z").max(never.due_at).min(never.force_at));
    assert!(never.rotate_at < never.expires_at);
}

#[test]
fn the_next_three_follow_each_other() {
    let schedule =
        schedule(&json!({ "interval": "30d", "windows": [{ "schedule": "0 2 * * *", "duration": "4h", "timeZone": "Europe/Berlin" }] }));
    let created = Issue { by_rotation: false, ..issue("team-a/billing", monday()) };
    let [first, second, third] = next_three(&schedule, &created);
    assert_eq!(first, dates(&schedule, &created));
    assert_eq!(second, dates(&schedule, &issue("team-a/billing", first.rotate_at)));
    assert_eq!(third, dates(&schedule, &issue("team-a/billing", second.rotate_at)));
}

/// Specs that a server accepts, with windows that open every few days or hours, in some zone.
pub fn accepted() -> impl Strategy<Value = RotationPolicySpec> {
    let window = (
        prop::sample::select(&["0 2 * * *", "30 2 * * SAT,SUN", "0 */6 * * *", "15 22 1,15 * *", "0 0 L * *"][..]),
        1..9_u32,
        prop::sample::select(&["Europe/Berlin", "America/New_York", "Africa/Cairo", "Etc/UTC"][..]),
    );
    let windows = prop::collection::vec(window, 0..3);
    (1..2400_u64, 1..2400_u64, 0..=100_u64, prop::bool::ANY, prop::bool::ANY, windows)
        .prop_map(|(interval, more, warning, age_given, warning_given, windows)| {
            let windows: Vec<Value> = windows
                .into_iter()
                .map(|(schedule, duration, zone)| json!({ "schedule": schedule, "duration": format!("{duration}h"), "timeZone": zone }))
                .collect();
            let mut value = json!({ "interval": format!("{interval}h"), "windows": windows });
            if age_given {
                value["maxAge"] = json!(format!("{}h", interval + more));
            }
            if warning_given {
                let rest = if age_given { more } else { interval };
                value["warnBefore"] = json!(format!("{}s", (rest * 36 * warning).min(99_999)));
            }
            spec(&value)
        })
        .prop_filter("0s has one form", |spec| spec.warn_before.as_ref().is_none_or(|text| text.parse().is_ok()))
}

fn some_issue() -> impl Strategy<Value = (String, i64, bool, Option<i64>)> {
    ("[a-z]{1,8}/[a-z]{1,8}", 0..300 * 86_400_i64, prop::bool::ANY, prop::option::of(0..300 * 86_400_i64))
}

fn check(schedule: &Schedule, issue: &Issue<'_>, alone: bool) -> Result<(), TestCaseError> {
    let found = dates(schedule, issue);
    prop_assert!(found.due_at <= found.rotate_at && found.rotate_at <= found.force_at, "{found:?}");
    prop_assert!(found.warn_at <= found.expires_at, "{found:?}");
    prop_assert!(
        found.rotate_at == found.force_at || schedule.windows.is_open(found.rotate_at),
        "outside the windows only when forced: {found:?}"
    );
    let found_by_policy = !issue.by_rotation && issue.spread_from.is_some_and(|from| issue.issued_at < from);
    if !found_by_policy {
        prop_assert!(found.due_at >= issue.issued_at + schedule.interval / 2, "never before half of the interval: {found:?}");
    }
    if issue.by_rotation {
        prop_assert!(found.due_at >= issue.issued_at + schedule.interval, "never before the interval: {found:?}");
    }
    if let Some(from) = issue.spread_from {
        prop_assert!(found.due_at >= from, "nothing is due before the policy holds: {found:?}");
    }
    let unspread = dates(schedule, &Issue { spread_from: None, ..*issue });
    if found_by_policy && issue.spread_from.is_some_and(|from| from + schedule.longest_gap + schedule.interval / 2 <= found.warn_at) {
        prop_assert!(found.due_at + schedule.longest_gap <= found.warn_at, "what can be rotated before the warning is: {found:?}");
    }
    if found.due_at == unspread.due_at {
        prop_assert_eq!(found, unspread);
        prop_assert!(found.force_at <= found.expires_at, "forced before the deadline: {found:?}");
        // Within the days over which the windows were measured, one comes before the warning.
        if alone && found.due_at < monday() + days(390) {
            prop_assert!(found.rotate_at <= found.warn_at, "no window before the warning: {found:?}");
        }
    } else {
        prop_assert!(found.due_at <= issue.spread_from.unwrap() + schedule.interval, "spread over one interval: {found:?}");
    }
    let [first, second, third] = next_three(schedule, issue);
    prop_assert!(first.rotate_at < second.rotate_at && second.rotate_at < third.rotate_at);
    prop_assert_eq!(dates(schedule, issue), found, "the same for ever");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn dates_keep_their_order(spec in accepted(), cap in prop::option::of(2..4800_u64), (identity, issued, by_rotation, spread) in some_issue()) {
        let second = |offset: i64| monday() + offset.seconds();
        let issue = Issue { issued_at: second(issued), by_rotation, identity: &identity, spread_from: spread.map(second) };
        let Ok(alone) = Policy::parse(&spec, None, monday()) else { return Ok(()) };
        check(&alone.schedule.unwrap(), &issue, true)?;
        let within = Policy::parse(&spec, cap.map(hours), monday()).expect("the organization's age refuses no policy");
        check(&within.schedule.unwrap(), &issue, false)?;
    }

    #[test]
    fn what_changes_is_announced(spec in accepted(), (identity, issued, by_rotation, spread) in some_issue(), now in -86_400 * 10..500 * 86_400_i64) {
        let second = |offset: i64| monday() + offset.seconds();
        let issue = Issue { issued_at: second(issued), by_rotation, identity: &identity, spread_from: spread.map(second) };
        let Ok(policy) = Policy::parse(&spec, None, monday()) else { return Ok(()) };
        let schedule = policy.schedule.unwrap();
        let (found, now) = (dates(&schedule, &issue), second(now));
        let before = found.standing(&schedule, now);
        let Some(next) = found.next_change(&schedule, now) else {
            prop_assert_eq!((before.turn, before.expiry), (Turn::Urgent, Expiry::Overdue));
            return Ok(());
        };
        prop_assert!(next > now);
        for part in 1..8 {
            let between = now + (next.duration_since(now) * part / 8);
            let standing = found.standing(&schedule, between);
            prop_assert_eq!(standing.expiry, before.expiry);
            // A window that closes is the only thing that is not announced.
            let closed = before.turn == Turn::Due && standing.turn == Turn::WaitingForWindow;
            prop_assert!(standing.turn == before.turn || closed, "{:?} became {:?}", before, standing);
        }
    }

    #[test]
    fn a_rotation_starts_between_its_planned_time_and_the_one_from_which_nothing_holds_it(spec in accepted(), cap in prop::option::of(2..4800_u64), (identity, issued, by_rotation, spread) in some_issue(), offset in -86_400 * 40..86_400 * 400_i64) {
        let second = |offset: i64| monday() + offset.seconds();
        let issue = Issue { issued_at: second(issued), by_rotation, identity: &identity, spread_from: spread.map(second) };
        let Ok(_) = Policy::parse(&spec, None, monday()) else { return Ok(()) };
        let schedule = Policy::parse(&spec, cap.map(hours), monday()).expect("the organization's age refuses no policy").schedule.unwrap();
        let found = dates(&schedule, &issue);
        let near = [found.due_at, found.rotate_at, found.force_at, found.expires_at].map(|date| [date - 1.second(), date, date + 1.second()]);
        for now in near.into_iter().flatten().chain([found.due_at + offset.seconds()]) {
            let standing = found.standing(&schedule, now);
            let may_start = matches!(standing.turn, Turn::Due | Turn::Urgent);
            prop_assert!(!may_start || now >= found.rotate_at, "{:?} at {now}, before its planned time: {found:?}", standing.turn);
            prop_assert!(now < found.force_at || standing.turn == Turn::Urgent, "{:?} at {now}, and windows still hold it: {found:?}", standing.turn);
            prop_assert!(now != found.rotate_at || may_start, "{:?} at its planned time: {found:?}", standing.turn);
            prop_assert_eq!(standing.expiry == Expiry::Overdue, now >= found.expires_at, "what could not start until its deadline is overdue");
        }
    }
}
