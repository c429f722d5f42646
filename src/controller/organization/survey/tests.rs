//! Which clients are held that went with many others, and when the next scan is due. Pure: the time is told.

use super::*;

fn uids(numbers: std::ops::Range<usize>) -> BTreeSet<String> {
    numbers.map(|number| format!("u{number}")).collect()
}

#[test]
fn many_that_go_at_once_are_held_until_they_are_back() {
    let mut state = State::default();
    state.note_gone(uids(0..3), 10);
    assert!(state.hold().is_none(), "three are no more than three");
    state.note_gone(uids(0..3), 10);
    state.note_gone(uids(0..7), 100);
    assert!(state.hold().is_none(), "four of a hundred are no more than a tenth");
    state.note_gone(uids(0..27), 100);
    assert!(state.hold().is_some_and(|words| words.starts_with("20 of 100 managed clients")), "twenty at once are held");
    state.note_gone(uids(0..27), 100);
    assert!(state.hold().is_some(), "the next scan does not bring them back");
    state.note_gone(uids(0..8), 100);
    assert_eq!(state.held, uids(7..8));
    state.note_gone(uids(0..7), 100);
    assert!(state.hold().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_scan_is_due_an_interval_after_the_last_or_when_a_person_asks() {
    let (now, interval) = (Instant::now(), Duration::from_secs(300));
    let mut state = State::default();
    assert_eq!(state.due(None, interval, now), now);
    assert_eq!(state.due(Some(now), interval, now), now + interval);
    let later = now + Duration::from_secs(10);
    state.requested = Some(("token".into(), later));
    assert_eq!(state.due(Some(now), interval, later), later);
    assert_eq!(state.due(Some(later), interval, later), later + interval, "that scan will do");
    state.not_before = Some(later + Duration::from_secs(3));
    assert_eq!(state.due(Some(now), interval, later), later + Duration::from_secs(3), "after a failure it waits");
}

#[tokio::test(start_paused = true)]
async fn who_was_missed_after_the_last_scan_waits_for_one_that_counts_the_others() {
    let survey = Survey::default();
    let begun = Instant::now();
    let compare = |begun: Instant, gone: BTreeSet<String>| {
        let mut state = survey.lock();
        state.note_gone(gone, 20);
        state.compared = Some((begun, begun));
    };
    assert!(survey.holds("u0", None).is_some(), "nothing was counted yet");
    compare(begun, BTreeSet::new());
    assert!(survey.holds("u0", None).is_none());
    // Five are read and found gone one after the other, before the next scan.
    let missed = begun + Duration::from_secs(10);
    tokio::time::advance(Duration::from_secs(80)).await;
    assert!(survey.holds("u0", Some(missed)).is_some_and(|words| words.contains("are counted")));
    assert!(survey.wants_a_scan(Some(begun)), "and it does not wait for the regular one");
    assert!(survey.lock().due(Some(begun), Duration::from_secs(300), Instant::now()) <= Instant::now());
    let scan = Instant::now();
    assert!(!survey.wants_a_scan(Some(scan)));
    compare(scan, uids(0..5));
    assert!(survey.holds("u0", Some(missed)).is_some_and(|words| words.starts_with("5 of 20 managed clients")));
    // One alone goes on.
    let missed = Instant::now() + Duration::from_secs(1);
    compare(missed, uids(0..5));
    compare(missed + Duration::from_secs(1), uids(7..8));
    assert!(survey.holds("u7", Some(missed)).is_none());
    // One that the scan itself missed needs no other: a read came to see it later.
    assert!(survey.holds("u7", Some(missed + Duration::from_secs(60))).is_none());
}
