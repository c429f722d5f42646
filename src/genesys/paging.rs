//! Reads a list to its end, whatever pages it comes in. It must not follow a link to another host, read a page twice,
//! or take a part of a list for the whole.

use std::collections::HashSet;
use std::time::Duration;

use http::Method;
use serde_json::Value;
use tokio::time::Instant;

use super::bounded::Envelope;
use super::budget::{Class, Work};
use super::entities::Entity;
use super::error::{Error, Operation};
use super::memory::Kept;
use super::model::{Unreadable, text};
use super::platform::{Call, Platform, Reply, Slot};
use super::transport::Limits;

/// The most pages of one list.
const MAX_PAGES: usize = 1000;
/// The most entries of one list: more than twice what the operator is made for.
const MAX_ENTRIES: usize = 25_000;
/// How often a list is begun that changes while it is read.
const TRIES: usize = 3;

/// What list to read, and what it may cost in all.
pub(super) struct Paging {
    pub(super) operation: Operation,
    pub(super) path: String,
    pub(super) timeout: Duration,
    /// The most bytes of all its pages.
    pub(super) max_bytes: usize,
    /// The most memory that its entries may take.
    pub(super) max_kept: usize,
}

/// A whole list.
pub(super) struct Listed<T> {
    pub(super) entities: Vec<T>,
    /// Just before the first request was sent.
    pub(super) begun: Instant,
    /// The memory that they take.
    pub(super) kept: Kept,
}

/// One page of it.
struct Page<T> {
    entities: Vec<T>,
    next: Option<String>,
    number: Option<u64>,
    count: Option<u64>,
    total: Option<u64>,
}

/// What is known of a list so far.
struct Gathered<T> {
    entities: Vec<T>,
    known: HashSet<String>,
    asked: HashSet<String>,
    /// What the last page said that the list holds.
    total: Option<u64>,
    kept: Kept,
}

/// Where to go from a page.
enum Next {
    Page(String),
    End,
    /// The list changed between two pages, so that an entry may have been lost at the seam.
    Again,
}

impl Platform {
    /// Reads all pages. A list that changes meanwhile is read again, within the same time.
    pub(super) async fn list<T: Entity>(&self, paging: &Paging) -> Result<Listed<T>, Error> {
        let mut slot = Some(self.slot().await?);
        let deadline = Instant::now() + paging.timeout;
        for _ in 0..TRIES {
            if let Some(listed) = self.read_pages(paging, &mut slot, deadline).await? {
                return Ok(listed);
            }
        }
        Err(paging.incomplete("it changed while it was read"))
    }

    /// Reads all pages once; `None` if the list changed meanwhile.
    async fn read_pages<T: Entity>(&self, paging: &Paging, slot: &mut Option<Slot>, deadline: Instant) -> Result<Option<Listed<T>>, Error> {
        let mut gathered = Gathered::new(paging.max_kept);
        let mut left = paging.max_bytes;
        let mut path = paging.path.clone();
        let mut begun = None;
        loop {
            let slot = match slot.take() {
                Some(slot) => slot,
                None => {
                    // A list that was begun is read to its end soon, or its first pages were for nothing.
                    let class = self.work().urgency.class().min(Class::UrgentRotation);
                    let soon = self.for_work(Work::new(class, &self.work().namespace));
                    tokio::time::timeout_at(deadline, soon.slot()).await.map_err(|_| paging.incomplete("no time left"))??
                }
            };
            let now = Instant::now();
            let begun = *begun.get_or_insert(now);
            let limits = Limits { timeout: deadline.saturating_duration_since(now), max_body: left };
            if limits.timeout.is_zero() {
                return Err(paging.incomplete("no time left"));
            }
            gathered.ask(&path).map_err(|reason| paging.incomplete(reason))?;
            let call = Call { operation: paging.operation, method: Method::GET, path, body: None, secret: None, limits };
            let reply = self.call_with(slot, &call).await?;
            left = left.saturating_sub(reply.len());
            let page = gathered.read(reply)?;
            path = match gathered.take(page, paging, |uri| self.local(uri)).map_err(|reason| paging.incomplete(&reason))? {
                Next::Page(path) => path,
                Next::End => return Ok(Some(Listed { entities: gathered.entities, begun, kept: gathered.kept })),
                Next::Again => return Ok(None),
            };
        }
    }

    /// The path and query of a link, if it leads to the API host.
    fn local(&self, uri: &str) -> Option<String> {
        let rest = uri.strip_prefix(self.endpoints().api.as_str()).unwrap_or(uri);
        // `//host` would be another host, and `@host` after the prefix too.
        (rest.starts_with('/') && !rest.starts_with("//")).then(|| rest.to_owned())
    }
}

/// The path of a page by its number, for lists that count pages and give no link.
fn numbered(path: &str, number: u64) -> String {
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("{path}{joint}pageNumber={number}")
}

impl Paging {
    fn incomplete(&self, reason: &str) -> Error {
        Error::Unknown {
            operation: self.operation,
            status: None,
            reason: format!("the list is not complete: {reason}"),
            correlation_id: None,
            retry_after: None,
        }
    }
}

impl<T: Entity> Gathered<T> {
    fn new(max_kept: usize) -> Self {
        Self { entities: Vec::new(), known: HashSet::new(), asked: HashSet::new(), total: None, kept: Kept::at_most(max_kept) }
    }

    /// Reads a page entry by entry, each within its bounds, and all within what the list may take.
    fn read(&mut self, reply: Reply) -> Result<Page<T>, Error> {
        let mut entities = Vec::new();
        let (kept, before) = (&mut self.kept, self.entities.len());
        let each = |value: Value| {
            let id = value["id"].as_str().map(str::to_owned);
            let entity = T::read(value).map_err(|unreadable| unreadable.of_entry(id.as_deref()))?;
            if before + entities.len() >= MAX_ENTRIES {
                return Err(Unreadable(format!("the list has more than {MAX_ENTRIES} entries")));
            }
            kept.take(entity.weight()).map_err(Unreadable)?;
            entities.push(entity);
            Ok(())
        };
        let envelope =
            reply.read_list(
                "entities",
                each,
                |envelope| {
                    if envelope.has_list { Ok(envelope) } else { Err(Unreadable("no entities".to_owned())) }
                },
            )?;
        Ok(Page::of(entities, &envelope))
    }

    /// Notes that a page is asked for.
    fn ask(&mut self, path: &str) -> Result<(), &'static str> {
        if self.asked.len() >= MAX_PAGES {
            return Err("too many pages");
        }
        if self.asked.insert(path.to_owned()) { Ok(()) } else { Err("its pages go round in a circle") }
    }

    /// Takes a page in, and says where to go from it.
    fn take(&mut self, page: Page<T>, paging: &Paging, local: impl Fn(&str) -> Option<String>) -> Result<Next, String> {
        let first = self.asked.len() <= 1;
        if !first && self.total != page.total {
            return Ok(Next::Again);
        }
        self.total = page.total;
        let number = page.number.unwrap_or(self.asked.len() as u64);
        let before = self.known.len();
        for entity in page.entities {
            if self.known.insert(entity.id().to_owned()) {
                self.entities.push(entity);
            }
        }
        let next = match page.next {
            Some(uri) => Some(local(&uri).ok_or("its next page is on another host")?),
            None if page.count.is_some_and(|count| number < count) => Some(numbered(&paging.path, number + 1)),
            None => None,
        };
        match next {
            Some(_) if self.known.len() == before => Err("a page held nothing new".to_owned()),
            Some(path) => Ok(Next::Page(path)),
            None if page.total.is_some_and(|total| (self.known.len() as u64) < total) => {
                Err("it holds fewer entries than it says".to_owned())
            }
            None => Ok(Next::End),
        }
    }
}

impl<T> Page<T> {
    fn of(entities: Vec<T>, Envelope { members, .. }: &Envelope) -> Self {
        let number = |member: &str| members.get(member).and_then(Value::as_u64);
        Self { next: text(members, "nextUri"), number: number("pageNumber"), count: number("pageCount"), total: number("total"), entities }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{Answer, Scripted, json_answer, page, platform};
    use super::*;

    fn client(id: &str) -> Value {
        json!({"id": id, "name": id})
    }

    fn part(ids: &[&str], number: u64, count: u64, total: u64, next: Option<&str>) -> Answer {
        let entities: Vec<Value> = ids.iter().map(|id| client(id)).collect();
        json_answer(200, &json!({"entities": entities, "pageNumber": number, "pageCount": count, "total": total, "nextUri": next}))
    }

    async fn scan(answers: Vec<Answer>) -> (Vec<String>, Result<Vec<String>, Error>) {
        let transport = Scripted::in_order(answers);
        let result = platform(&transport).list_clients().await;
        (transport.calls(), result.map(|scan| scan.clients.into_iter().map(|client| client.id).collect()))
    }

    #[tokio::test(start_paused = true)]
    async fn one_reply_is_the_usual_case() {
        let (calls, ids) = scan(vec![page(&json!([client("a"), client("b"), client("a")]))]).await;
        // The total counts an entry that came twice, so this list would be short of one.
        assert!(ids.is_err());
        assert_eq!(calls, ["GET /api/v2/oauth/clients"]);
        let (_, ids) = scan(vec![page(&json!([client("a"), {"id": "b", "state": "deleted"}]))]).await;
        assert_eq!(ids.expect("whole"), ["a"]);
        let (_, ids) = scan(vec![json_answer(200, &json!({"entities": []}))]).await;
        assert!(ids.expect("whole").is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn links_are_followed_on_the_same_host_and_counts_where_there_are_no_links() {
        let (calls, ids) = scan(vec![
            part(&["a", "b"], 1, 3, 5, Some("/api/v2/oauth/clients?pageNumber=2")),
            part(&["b", "c"], 2, 3, 5, Some("https://api.mypurecloud.de/api/v2/oauth/clients?pageNumber=3")),
            part(&["d", "e"], 3, 3, 5, None),
        ])
        .await;
        assert_eq!(ids.expect("whole"), ["a", "b", "c", "d", "e"]);
        assert_eq!(calls[1..], ["GET /api/v2/oauth/clients?pageNumber=2", "GET /api/v2/oauth/clients?pageNumber=3"]);
        let (calls, ids) = scan(vec![part(&["a"], 1, 2, 2, None), part(&["b"], 2, 2, 2, None)]).await;
        assert_eq!(ids.expect("whole"), ["a", "b"]);
        assert_eq!(calls[1], "GET /api/v2/oauth/clients?pageNumber=2");
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_with_a_hole_is_none() {
        for (words, answers) in [
            ("another host", vec![part(&["a"], 1, 2, 2, Some("https://evil.example/x"))]),
            ("another host", vec![part(&["a"], 1, 2, 2, Some("https://api.mypurecloud.de.evil.example/x"))]),
            ("another host", vec![part(&["a"], 1, 2, 2, Some("https://api.mypurecloud.de@evil.example/x"))]),
            ("another host", vec![part(&["a"], 1, 2, 2, Some("//evil.example/x"))]),
            ("circle", vec![part(&["a"], 1, 2, 2, Some("/api/v2/oauth/clients"))]),
            ("nothing new", vec![part(&["a"], 1, 3, 3, None), part(&["a"], 1, 3, 3, Some("/api/v2/x"))]),
            ("fewer", vec![part(&["a"], 1, 1, 2, None)]),
            ("changed", (0..6).map(|turn| part(&[["a", "b"][turn % 2]], 1 + (turn as u64 % 2), 2, 2 + (turn as u64 % 2), None)).collect()),
            ("without an id", vec![page(&json!([client("a"), {"name": "b"}]))]),
            ("no entities", vec![json_answer(200, &json!({"total": 0}))]),
        ] {
            let (_, ids) = scan(answers).await;
            let error = ids.expect_err(words);
            assert!(error.to_string().contains(words), "{words}: {error}");
            assert!(!error.outcome_is_known());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_changes_is_read_again_from_its_start() {
        let late = |answer: Answer| answer.after(Duration::from_secs(1));
        let transport = Scripted::in_order(vec![
            late(part(&["a", "b"], 1, 2, 4, None)),
            late(part(&["d"], 2, 2, 3, None)),
            late(part(&["b", "c"], 1, 2, 3, None)),
            late(part(&["d"], 2, 2, 3, None)),
        ]);
        let first = Instant::now();
        let scan = platform(&transport).list_clients().await.expect("whole");
        let ids: Vec<_> = scan.clients.iter().map(|client| client.id.as_str()).collect();
        assert_eq!(ids, ["b", "c", "d"], "what was deleted meanwhile is not in it");
        assert_eq!(scan.begun, first + Duration::from_secs(2), "the scan is the one that was complete");
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_and_the_bytes_are_those_of_the_whole_list() {
        let slow = |ids: &[&str], number| part(ids, number, 3, 3, None).after(Duration::from_secs(25));
        let (calls, ids) = scan(vec![slow(&["a"], 1), slow(&["b"], 2), slow(&["c"], 3)]).await;
        assert!(ids.is_err());
        assert_eq!(calls.len(), 3, "the third page has 10 s left");
        let transport = Scripted::in_order(vec![part(&["a"], 1, 2, 2, None), part(&["b"], 2, 2, 2, None)]);
        let paging = Paging {
            operation: Operation::ListClients,
            path: "/x".to_owned(),
            timeout: Duration::from_secs(60),
            max_bytes: 150,
            max_kept: 1024 * 1024,
        };
        let result = platform(&transport).list::<super::super::model::OAuthClient>(&paging).await;
        assert!(result.is_err_and(|error| error.to_string().contains("too large")));
    }

    #[tokio::test(start_paused = true)]
    async fn the_entries_and_their_memory_are_bounded() {
        let many: Vec<Value> = (0..=MAX_ENTRIES).map(|number| json!({"id": number.to_string()})).collect();
        let (_, ids) = scan(vec![page(&json!(many))]).await;
        assert!(ids.expect_err("too many").to_string().contains("more than 25000 entries"));
        let (_, ids) = scan(vec![page(&json!(many[1..]))]).await;
        assert_eq!(ids.expect("that many are fine").len(), MAX_ENTRIES);
        let paging = Paging {
            operation: Operation::ListClients,
            path: "/x".to_owned(),
            timeout: Duration::from_secs(60),
            max_bytes: 1024 * 1024,
            max_kept: 1024 * 1024,
        };
        let scopes = vec![""; 30_000];
        let transport =
            Scripted::in_order(vec![page(&json!([{"id": "a", "scope": scopes, "name": "the text is small, the list is not"}]))]);
        let result = platform(&transport).list::<super::super::model::OAuthClient>(&paging).await.map(drop);
        assert!(result.expect_err("too large").to_string().contains("more than 1 MiB of memory"));
    }
}
