//! Windows through daylight saving: tables by hand, and random schedules against a slow reading of the same rules, minute by minute.

use std::{collections::BTreeSet, time::Duration};

use genesys_oauth_operator::{
    api::rotation_policy::RotationWindow,
    rotation::{WindowRefusal, Windows},
};
use jiff::{
    Timestamp, ToSpan as _, civil,
    tz::{TimeZone, TimeZoneDatabase},
};
use proptest::prelude::*;
use serde_json::json;

use super::{at, days, hours, monday};

const MINUTE: Duration = Duration::from_secs(60);

/// Zones whose clocks change in every way there is: by an hour, by half of one, at midnight, across midnight, around a month, never.
const ZONES: [&str; 10] = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "America/Santiago",
    "America/Nuuk",
    "Africa/Casablanca",
    "Pacific/Chatham",
    "Asia/Kathmandu",
    "Etc/UTC",
];

fn windows(list: &[(&str, &str, &str)]) -> Windows {
    try_windows(list).unwrap_or_else(|refusal| panic!("{list:?}: {refusal}"))
}

fn try_windows(list: &[(&str, &str, &str)]) -> Result<Windows, WindowRefusal> {
    let window = |(schedule, duration, zone): &(&str, &str, &str)| -> RotationWindow {
        serde_json::from_value(json!({ "schedule": schedule, "duration": duration, "timeZone": zone })).expect("a window")
    };
    Windows::parse(&list.iter().map(window).collect::<Vec<_>>())
}

/// Opens and closes as the window of one line does: `(schedule, duration, zone, from, opens, closes)`, all instants with their local offset.
#[test]
fn through_daylight_saving() {
    let table = [
        // The clock skips 02:00 to 03:00: a window that should open in between opens after it, and lasts its four hours all the same.
        ("30 2 * * *", "4h", "Europe/Berlin", "2027-03-28T00:00:00+01:00", "2027-03-28T03:00:00+02:00", "2027-03-28T07:00:00+02:00"),
        // One that is open while the clock jumps loses nothing.
        ("0 1 * * *", "3h", "Europe/Berlin", "2027-03-28T00:00:00+01:00", "2027-03-28T01:00:00+01:00", "2027-03-28T05:00:00+02:00"),
        // 02:00 to 03:00 comes twice: it opens at the first.
        ("30 2 * * *", "30m", "Europe/Berlin", "2027-10-31T00:00:00+02:00", "2027-10-31T02:30:00+02:00", "2027-10-31T03:00:00+02:00"),
        // ... and not again at the second.
        ("30 2 * * *", "30m", "Europe/Berlin", "2027-10-31T02:00:00+01:00", "2027-11-01T02:30:00+01:00", "2027-11-01T03:00:00+01:00"),
        // One that is open while the clock goes back gains nothing.
        ("0 1 * * *", "3h", "Europe/Berlin", "2027-10-31T00:00:00+02:00", "2027-10-31T01:00:00+02:00", "2027-10-31T03:00:00+01:00"),
        // A midnight that is skipped.
        ("0 0 * * *", "1h", "Africa/Cairo", "2027-04-29T12:00:00+02:00", "2027-04-30T01:00:00+03:00", "2027-04-30T02:00:00+03:00"),
        // An hour that is skipped up to midnight: it opens on the next day.
        ("30 23 * * *", "1h", "America/Nuuk", "2028-03-25T12:00:00-02:00", "2028-03-26T00:00:00-01:00", "2028-03-26T01:00:00-01:00"),
        // ... but not where the schedule names days, and that is none of them.
        ("30 23 * * SAT", "1h", "America/Nuuk", "2028-03-25T12:00:00-02:00", "2028-04-01T23:30:00-01:00", "2028-04-02T00:30:00-01:00"),
        // A clock that moves by half an hour.
        ("15 2 * * *", "1h", "Australia/Lord_Howe", "2026-10-04T00:00:00+10:30", "2026-10-04T02:30:00+11:00", "2026-10-04T03:30:00+11:00"),
        // The other hemisphere, a weekday by name, and a zone that is hours from UTC.
        ("0 22 * * SAT", "4h", "America/New_York", "2027-01-04T12:00:00Z", "2027-01-09T22:00:00-05:00", "2027-01-10T02:00:00-05:00"),
        // The last day of each month.
        ("0 3 L * *", "2h", "Etc/UTC", "2028-02-01T00:00:00Z", "2028-02-29T03:00:00Z", "2028-02-29T05:00:00Z"),
    ];
    for (schedule, duration, zone, from, opens, closes) in table {
        let (from, opens, closes) = (at(from), at(opens), at(closes));
        let windows = windows(&[(schedule, duration, zone)]);
        let line = format!("{schedule} for {duration} in {zone} from {from}");
        assert!(!windows.is_open(from), "{line}: closed at first");
        assert_eq!(windows.next_open(from), Some(opens), "{line}");
        let second = 1.second();
        assert!(!windows.is_open(opens - second) && windows.is_open(opens), "{line}: opens at {opens}");
        assert!(windows.is_open(closes - second) && !windows.is_open(closes), "{line}: closes at {closes}");
        let inside = opens + 90.seconds();
        assert_eq!(windows.next_open(inside), Some(inside), "{line}: inside is inside");
    }
}

#[test]
fn without_windows_it_is_always_open() {
    let none = windows(&[]);
    assert!(none.is_empty() && none.is_open(monday()));
    assert_eq!((none.next_open(monday()), none.longest_gap(monday())), (Some(monday()), Duration::ZERO));
}

#[test]
fn several_windows_are_one_union() {
    let both = windows(&[("0 2 * * SAT", "1h", "Etc/UTC"), ("0 2 * * TUE", "1h", "Etc/UTC")]);
    assert_eq!(both.next_open(monday()), Some(at("2027-01-05T02:00:00Z")));
    assert_eq!(both.next_open(at("2027-01-05T03:00:00Z")), Some(at("2027-01-09T02:00:00Z")));
    assert_eq!(both.longest_gap(monday()), days(4), "Tuesday to Saturday");
}

#[test]
fn a_fraction_of_a_second_counts() {
    let windows = windows(&[("0 2 * * *", "1h", "Etc/UTC")]);
    assert!(!windows.is_open(at("2027-01-05T01:59:59.999Z")));
    assert_eq!(windows.next_open(at("2027-01-05T01:59:59.999Z")), Some(at("2027-01-05T02:00:00Z")));
    assert!(windows.is_open(at("2027-01-05T02:59:59.999Z")));
    assert_eq!(windows.next_open(at("2027-01-05T03:00:00.5Z")), Some(at("2027-01-06T02:00:00Z")));
}

#[test]
fn the_longest_gap() {
    let table = [
        (("0 2 * * *", "1h", "Etc/UTC"), hours(24)),
        // The day on which the clock goes back has 25 hours.
        (("0 1 * * *", "1h", "Europe/Berlin"), hours(25)),
        (("0 2 * * SAT", "4h", "Etc/UTC"), days(7)),
        (("0 2 1 * *", "4h", "Etc/UTC"), days(31)),
        (("0 2 1 1 *", "4h", "Etc/UTC"), days(366)),
        // Dense on Sunday mornings, then nothing for the week.
        (("* 2-4 * * SUN", "1m", "Etc/UTC"), days(6) + hours(21) + MINUTE),
        (("0 */6 * * *", "1h", "Etc/UTC"), hours(6)),
        (("* * * * *", "1m", "Etc/UTC"), MINUTE),
    ];
    for (window, gap) in table {
        // From the end of 2027, so that the leap year 2028 is among the 400 days.
        assert_eq!(windows(&[window]).longest_gap(at("2027-12-31T23:59:59Z")), gap, "{window:?}");
    }
}

#[test]
fn what_cannot_be_followed_is_refused_in_words() {
    let refused = |window: (&str, &str, &str), words: &str| {
        let message = try_windows(&[("0 2 * * *", "1h", "Etc/UTC"), window]).expect_err("must be refused").to_string();
        assert!(message.starts_with("windows[1].") && message.contains(words), "{window:?}: {message}");
    };
    for schedule in ["0 2 * *", "0 0 2 * * *", "@daily is not cron", "@daily", "60 2 * * *", "0 2 * * XYZ", "0/5 2 * * *"] {
        refused((schedule, "1h", "Etc/UTC"), "is no cron expression of five fields");
    }
    for schedule in ["0 0 31 2 *", "0 0 31 4,6,9,11 *"] {
        refused((schedule, "1h", "Etc/UTC"), "never opens, because no such date comes");
    }
    refused(("0 2 * * *", "0s", "Etc/UTC"), "must be longer than 0s");
    refused(("0 2 * * *", "1h30m", "Etc/UTC"), "is no duration");
    for zone in ["Europe/Berln", "Etc/Unknown", "CET-1CEST", "+02:00", "../etc/passwd", ""] {
        refused(("0 2 * * *", "1h", zone), "is no time zone");
    }
}

/// A daily schedule that an oracle can read too.
#[derive(Clone, Debug)]
struct Daily {
    minutes: BTreeSet<i8>,
    hours: BTreeSet<i8>,
}

impl Daily {
    fn cron(&self) -> String {
        let list = |set: &BTreeSet<i8>| set.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        format!("{} {} * * *", list(&self.minutes), list(&self.hours))
    }

    /// The openings in a span, by walking its minutes.
    fn openings(&self, zone: &TimeZone, from: Timestamp, minutes: i64) -> Vec<Timestamp> {
        let local = |instant: Timestamp| zone.to_datetime(instant);
        let walk = (0..minutes).map(|minute| from + minute.minutes());
        if self.minutes.len() == 1 && self.hours.len() == 1 {
            // Once a day: at the first instant at which the clock shows the time of that day, or a later one.
            let time = civil::time(self.hours.first().copied().unwrap(), self.minutes.first().copied().unwrap(), 0, 0);
            let day = |shown: civil::DateTime| if shown.time() >= time { shown.date() } else { shown.date().yesterday().unwrap() };
            let mut done = BTreeSet::from([local(from).date().yesterday().unwrap()]);
            let first = |instant: &Timestamp| done.insert(day(local(*instant)));
            return walk.filter(first).collect();
        }
        walk.filter(|instant| self.minutes.contains(&local(*instant).minute()) && self.hours.contains(&local(*instant).hour())).collect()
    }
}

fn daily() -> impl Strategy<Value = Daily> {
    let once = (0..60_i8, 0..6_i8).prop_map(|(minute, hour)| Daily { minutes: [minute].into(), hours: [hour].into() });
    let late = (0..60_i8, 22..24_i8).prop_map(|(minute, hour)| Daily { minutes: [minute].into(), hours: [hour].into() });
    let often = (prop::collection::btree_set(0..60_i8, 1..4), prop::collection::btree_set(0..24_i8, 2..6));
    prop_oneof![once, late, often.prop_map(|(minutes, hours)| Daily { minutes, hours })]
}

/// The local midnight before the next change of a zone's clock, so that a span of days from there holds the change.
fn before_a_change(zone: &TimeZone, from: Timestamp) -> Timestamp {
    let change = zone.following(from).next().map_or(from, |transition| transition.timestamp());
    (change - 36.hours()).to_zoned(zone.clone()).start_of_day().expect("a day begins").timestamp()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn openings_are_those_of_a_slow_reading(daily in daily(), zone in prop::sample::select(&ZONES[..]), second in 1_780_000_000..2_100_000_000_i64, duration in 1..300_i64) {
        let known = TimeZoneDatabase::bundled().get(zone).unwrap();
        let from = before_a_change(&known, Timestamp::from_second(second).unwrap());
        let span = 4 * 24 * 60;
        let expected = daily.openings(&known, from, span);

        // A window of a minute shows each opening.
        let windows = windows(&[(&daily.cron(), "1m", zone)]);
        let mut found = vec![];
        let mut instant = from;
        while let Some(opening) = windows.next_open(instant).filter(|opening| *opening < from + span.minutes()) {
            found.push(opening);
            instant = opening + 1.minute();
        }
        prop_assert_eq!(&found, &expected, "{} in {} from {}", daily.cron(), zone, from);

        // A longer one is open for as long as it says after each.
        let windows = self::windows(&[(&daily.cron(), &format!("{duration}m"), zone)]);
        for minute in (duration..span).step_by(37) {
            let instant = from + minute.minutes();
            let open = expected.iter().any(|opening| *opening <= instant && instant < *opening + duration.minutes());
            prop_assert_eq!(windows.is_open(instant), open, "{} for {} in {} at {}", daily.cron(), duration, zone, instant);
            let next = windows.next_open(instant).unwrap();
            prop_assert!(next >= instant && windows.is_open(next));
            prop_assert!(next == instant || expected.contains(&next) || next >= from + span.minutes());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn the_longest_gap_is_that_of_all_openings(one in daily(), other in daily(), zones in prop::sample::subsequence(&ZONES[..], 2), second in 1_780_000_000..2_100_000_000_i64) {
        let from = Timestamp::from_second(second).unwrap();
        let list = [(one.cron(), zones[0]), (other.cron(), zones[1])];
        let both = windows(&list.each_ref().map(|(cron, zone)| (cron.as_str(), "1m", *zone)));
        let singles = list.each_ref().map(|(cron, zone)| windows(&[(cron.as_str(), "1m", *zone)]));
        let mut at = from;
        let mut longest = Duration::ZERO;
        while at < from + (400 * 24).hours() {
            // The next opening of either, seen through windows of a minute that have just closed.
            let next = singles.iter().filter_map(|single| next_opening(single, at)).min().unwrap();
            longest = longest.max(next.duration_since(at).unsigned_abs());
            at = next;
        }
        prop_assert_eq!(both.longest_gap(from), longest, "{:?} from {}", list, from);
    }
}

/// The first opening after an instant, of a window of a minute.
fn next_opening(window: &Windows, after: Timestamp) -> Option<Timestamp> {
    let mut instant = after + 1.nanosecond();
    loop {
        let open = window.next_open(instant)?;
        if open > instant || !window.is_open(open - 1.nanosecond()) {
            return Some(open);
        }
        // Inside a minute that opened before: the next one can begin at its end at the earliest.
        let whole = Timestamp::from_second(open.as_second().div_euclid(60) * 60 + 60).ok()?;
        instant = whole;
        if window.is_open(whole) {
            return Some(whole);
        }
    }
}
