//! Which clients of an organization were never used: whom to ask after next, and what the answers come to. Pure: it is told the time, and asks nobody.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

use super::inventory::example;
use crate::{
    api::inventory::Inventory,
    genesys::OAuthClient,
    marker::{Marker, Owner},
};

const DAY: Duration = Duration::from_secs(86_400);
/// Of a younger client it says little that it was not used.
const YOUNG: Duration = DAY.saturating_mul(30);
/// When a client is asked after again that was used: it can't become one that never was.
const USED_SERVES: Duration = DAY.saturating_mul(30);
/// How many days back to ask, the next where the platform refuses one: how far it remembers is not documented.
const PERIODS: [u32; 3] = [365, 90, 30];

/// What the platform said of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It made requests.
    Used,
    /// It made none.
    Unused,
    /// Nothing that could be used.
    Unknown,
}

/// The clients of which it can be said whether they were ever used: not the operator's own, none of another cluster, which its operator asks after,
/// and none that is young.
#[must_use]
pub fn subjects<'a>(clients: &'a [OAuthClient], own_client_id: &str, cluster_id: &str, now: Timestamp) -> Vec<&'a OAuthClient> {
    let cluster = Owner::new(cluster_id, "", "");
    let old = |client: &OAuthClient| {
        let age = client.date_created.and_then(|created| Duration::try_from(now.duration_since(created)).ok());
        age.is_some_and(|age| age >= YOUNG)
    };
    let elsewhere = |client: &OAuthClient| {
        let marker = client.description.as_deref().and_then(Marker::parse);
        marker.is_some_and(|marker| marker.owner.cluster() != cluster.cluster())
    };
    clients.iter().filter(|client| client.id != own_client_id && old(client) && !elsewhere(client)).collect()
}

/// What is known of the usage of an organization's clients.
#[derive(Debug, Default)]
pub struct Answers {
    /// What was said of each client, by its id, and when.
    told: HashMap<String, (Use, Instant)>,
    /// Whether there ever was an answer for each of them. One that comes of age later does not hide the others.
    complete: bool,
    /// Which of the periods is asked for.
    period: usize,
    /// Whether the platform answered for that period: then it is not too long.
    answered: bool,
}

impl Answers {
    /// Leaves those that are gone, and sees whether there is an answer for each that is there.
    pub fn keep(&mut self, subjects: &[&OAuthClient]) {
        let there: HashSet<&str> = subjects.iter().map(|client| client.id.as_str()).collect();
        self.told.retain(|id, _| there.contains(id.as_str()));
        self.complete |= self.told.len() == there.len();
    }

    /// Whom to ask after now: those without an answer first, then the oldest answer that serves no longer.
    #[must_use]
    pub fn next<'a>(&self, subjects: &'a [String], now: Instant) -> Option<&'a str> {
        let due = subjects.iter().filter_map(|id| match self.told.get(id) {
            None => Some((None, id)),
            Some((told, at)) => {
                let serves = if *told == Use::Used { USED_SERVES } else { DAY };
                (now.saturating_duration_since(*at) >= serves).then_some((Some(*at), id))
            }
        });
        // The first of equals: they are asked after in the order of the list.
        due.min_by_key(|(at, _)| *at).map(|(_, id)| id.as_str())
    }

    /// Notes what was said of a client.
    pub fn note(&mut self, id: &str, told: Use, now: Instant) {
        self.told.insert(id.to_owned(), (told, now));
        self.answered |= told != Use::Unknown;
    }

    /// Notes that nothing was said of a client: what was known of it stays.
    pub fn note_silence(&mut self, id: &str, now: Instant) {
        self.told.entry(id.to_owned()).and_modify(|(_, at)| *at = now).or_insert((Use::Unknown, now));
    }

    /// How many days back to ask.
    #[must_use]
    pub fn days(&self) -> u32 {
        PERIODS[self.period]
    }

    /// The platform refuses to look so many days back: says whether there is a shorter period to try. Where it did look so far back for another
    /// client, it refused that client and not the period.
    pub fn shorten(&mut self, refused: u32) -> bool {
        if self.days() == refused && !self.answered && self.period + 1 < PERIODS.len() {
            self.period += 1;
        }
        self.days() < refused
    }

    /// Adds to an inventory what is known; nothing before there was an answer for each client.
    pub fn tell(&self, subjects: &[&OAuthClient], inventory: &mut Inventory) {
        if !self.complete {
            return;
        }
        let (mut never_used, mut unknown) = (0, 0);
        for client in subjects {
            match self.told.get(&client.id) {
                Some((Use::Unused, _)) => {
                    never_used += 1;
                    example(&mut inventory.never_used_clients, client);
                }
                // One that has come of age since is not known yet.
                Some((Use::Unknown, _)) | None => unknown += 1,
                Some((Use::Used, _)) => {}
            }
        }
        inventory.never_used = Some(never_used);
        inventory.usage_unknown = Some(unknown);
        inventory.usage_days = Some(i64::from(self.days()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn client(id: &str, more: &Value) -> OAuthClient {
        let mut client = json!({ "id": id, "name": format!("client {id}"), "dateCreated": "2025-01-01T00:00:00Z" });
        for (key, value) in more.as_object().into_iter().flatten() {
            client[key] = value.clone();
        }
        OAuthClient::from_json(client).expect("a client").0
    }

    fn ids(subjects: &[&OAuthClient]) -> Vec<String> {
        subjects.iter().map(|client| client.id.clone()).collect()
    }

    #[test]
    fn only_old_ones_of_which_this_install_can_tell_are_asked_after() {
        let marked = |cluster: &str| json!({ "description": Owner::new(cluster, "team", "billing").marker("abcdefgh22").to_string() });
        let clients = [
            client("own", &json!({})),
            client("unmanaged", &json!({})),
            client("managed", &marked("here")),
            client("elsewhere", &marked("there")),
            client("young", &json!({ "dateCreated": "2026-05-02T00:00:01Z" })),
            client("just old", &json!({ "dateCreated": "2026-05-02T00:00:00Z" })),
            client("undated", &json!({ "dateCreated": null })),
            client("of tomorrow", &json!({ "dateCreated": "2026-06-02T00:00:00Z" })),
        ];
        let now = "2026-06-01T00:00:00Z".parse().expect("a time");
        assert_eq!(ids(&subjects(&clients, "own", "here", now)), ["unmanaged", "managed", "just old"]);
    }

    #[test]
    fn nothing_is_told_before_each_was_asked_after_and_what_comes_later_hides_nothing() {
        let clients = [client("c1", &json!({})), client("c2", &json!({})), client("c3", &json!({}))];
        let (two, three): (Vec<_>, Vec<_>) = (clients[..2].iter().collect(), clients.iter().collect());
        let (mut answers, now) = (Answers::default(), Instant::now());
        let told = |answers: &mut Answers, subjects: &[&OAuthClient]| {
            let mut inventory = Inventory::default();
            answers.keep(subjects);
            answers.tell(subjects, &mut inventory);
            (inventory.never_used, inventory.usage_unknown, inventory.usage_days, inventory.never_used_clients)
        };
        assert_eq!(told(&mut answers, &two), (None, None, None, vec![]));
        answers.note("c1", Use::Unused, now);
        assert_eq!(told(&mut answers, &two).0, None, "c2 was not asked after");
        answers.note("c2", Use::Unknown, now);
        let both = (Some(1), Some(1), Some(365), vec!["c1 client c1".to_owned()]);
        assert_eq!(told(&mut answers, &two), both);
        let with_third = (Some(1), Some(2), Some(365), vec!["c1 client c1".to_owned()]);
        assert_eq!(told(&mut answers, &three), with_third, "c3 has just come of age");
        answers.note("c1", Use::Used, now);
        assert_eq!(told(&mut answers, &three).0, Some(0));
        let one = [&clients[2]];
        assert_eq!(told(&mut answers, &one), (Some(0), Some(1), Some(365), vec![]), "the others are gone");
        assert!(answers.told.is_empty());
        assert_eq!(told(&mut Answers::default(), &[]).0, Some(0), "an organization without old clients has none that was never used");
    }

    #[test]
    fn the_unasked_come_first_and_the_used_are_seldom_asked_after_again() {
        let subjects = ["c1", "c2", "c3"].map(str::to_owned);
        let (mut answers, start) = (Answers::default(), Instant::now());
        for (id, told) in [("c1", Use::Used), ("c2", Use::Unused), ("c3", Use::Unknown)] {
            assert_eq!(answers.next(&subjects, start), Some(id));
            answers.note(id, told, start);
        }
        let day = |number: u32| start + DAY * number;
        assert_eq!(answers.next(&subjects, day(1) - Duration::from_secs(1)), None);
        assert_eq!(answers.next(&subjects, day(1)), Some("c2"));
        answers.note("c2", Use::Unused, day(1));
        assert_eq!(answers.next(&subjects, day(1)), Some("c3"));
        answers.note("c3", Use::Used, day(1));
        assert_eq!(answers.next(&subjects, day(2)), Some("c2"));
        let more = ["c1", "c2", "c3", "c4"].map(str::to_owned);
        assert_eq!(answers.next(&more, day(2)), Some("c4"), "of whom nothing is known");
        assert_eq!(answers.next(&["c1".to_owned()], day(29)), None);
        assert_eq!(answers.next(&["c1".to_owned()], day(30)), Some("c1"));
    }

    #[test]
    fn a_period_that_is_refused_gives_way_to_a_shorter_one() {
        let mut answers = Answers::default();
        assert!(answers.days() == 365 && answers.shorten(365) && answers.days() == 90);
        assert!(answers.shorten(365) && answers.days() == 90, "an answer to what was asked before");
        assert!(answers.shorten(90) && answers.days() == 30);
        assert!(!answers.shorten(30) && answers.days() == 30);
    }

    #[test]
    fn a_period_that_served_one_client_serves_all_and_silence_takes_nothing_back() {
        let (mut answers, now) = (Answers::default(), Instant::now());
        assert!(answers.shorten(365), "nobody was answered yet");
        answers.note("c1", Use::Used, now);
        assert!(!answers.shorten(90), "it is the client that is refused");
        assert_eq!(answers.days(), 90);
        for id in ["c1", "c2"] {
            answers.note_silence(id, now + DAY);
        }
        assert_eq!((answers.told["c1"], answers.told["c2"]), ((Use::Used, now + DAY), (Use::Unknown, now + DAY)));
    }
}
