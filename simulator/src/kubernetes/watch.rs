//! One client's watch: what it is told of what happened, in the order in which it happened. It holds no queue of its own:
//! it reads the history, and a watch that is slower than the history is long is told so.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::error::{ApiError, FieldError, Result};
use super::faults::FaultKind;
use super::history::{Change, Event};
use super::object;
use super::read::parse_version;
use super::request::{Query, Target};
use super::resource::Versioned;
use super::selector::Selector;
use super::state::State;
use super::table::{self, Form, Header};
use super::world::World;

/// How often an idle watch is told how far it is.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// How long a watch lasts whose client names no time.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);

/// A century: what a client asks for beyond it is as good as for ever.
const LONGEST: Duration = Duration::from_secs(3_155_760_000);

fn after(moment: Instant, by: Duration) -> Instant {
    moment + by.min(LONGEST)
}

/// Does the client want bookmarks?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bookmarks {
    Sent,
    Unwanted,
}

/// What a watch begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// All objects as they are, then what happens.
    Now,
    /// The same, with a bookmark that tells where the objects end.
    Streamed,
    /// What happened after this resourceVersion.
    After(u64),
}

/// What a client asked for.
#[derive(Debug)]
pub(crate) struct WatchRequest {
    of: Versioned,
    target: Target,
    user: String,
    selector: Selector,
    form: Form,
    bookmarks: Bookmarks,
    start: Start,
    timeout: Duration,
    bookmark_every: Duration,
}

impl WatchRequest {
    pub(crate) fn read(state: &State, of: Versioned, target: Target, user: &str, query: &Query, form: Form) -> Result<Self> {
        query.check_numbers()?;
        let mut fields = query.text("fieldSelector").to_owned();
        if !target.name.is_empty() {
            // A watch of one object is a watch of its name.
            fields =
                [fields, format!("metadata.name={}", target.name)].into_iter().filter(|one| !one.is_empty()).collect::<Vec<_>>().join(",");
        }
        let selector = Selector::parse(query.text("labelSelector"), &fields, &of)?;
        let (version, matching) = (query.text("resourceVersion"), query.text("resourceVersionMatch"));
        let asked = if version.is_empty() { 0 } else { parse_version(version)? };
        let streamed = query.text("sendInitialEvents");
        let mut errors = Vec::new();
        if streamed.is_empty() && !matching.is_empty() {
            errors.push(FieldError::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ));
        }
        if !streamed.is_empty() && matching != "NotOlderThan" {
            errors.push(FieldError::forbidden(
                "resourceVersionMatch",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ));
        }
        if !errors.is_empty() {
            return Err(ApiError::invalid("meta.k8s.io", "ListOptions", "", &errors));
        }
        if !streamed.is_empty() && asked > state.resource_version() {
            return Err(ApiError::too_large_resource_version(asked, state.resource_version()));
        }
        let start = match (query.is_true("sendInitialEvents"), asked) {
            (true, _) => Start::Streamed,
            (false, 0) if streamed.is_empty() => Start::Now,
            (false, 0) => Start::After(state.resource_version()),
            (false, version) => Start::After(version),
        };
        let bookmarks = if query.is_true("allowWatchBookmarks") { Bookmarks::Sent } else { Bookmarks::Unwanted };
        let timeout = query.timeout().filter(|timeout| !timeout.is_zero()).unwrap_or(DEFAULT_TIMEOUT);
        Ok(Self { of, target, user: user.to_owned(), selector, form, bookmarks, start, timeout, bookmark_every: BOOKMARK_EVERY })
    }

    /// The same for somebody whose second is so many of ours.
    pub(crate) fn paced(self, pace: u32) -> Self {
        let (timeout, bookmark_every) = (self.timeout.saturating_mul(pace), self.bookmark_every.saturating_mul(pace));
        Self { timeout, bookmark_every, ..self }
    }
}

/// A watch that runs.
pub(crate) struct Watch {
    world: Arc<World>,
    request: WatchRequest,
    /// Everything up to here is told.
    cursor: u64,
    ready: VecDeque<Bytes>,
    ends: Instant,
    next_bookmark: Instant,
    /// Nothing is told before.
    held_until: Option<Instant>,
    /// When nothing is held any more, only the last state of each object is told.
    coalescing: bool,
    header: Header,
    /// How often the user's watches had been ended when this one began.
    disconnections: u64,
    over: bool,
}

impl Watch {
    pub(crate) fn start(world: Arc<World>, request: WatchRequest) -> Self {
        let now = Instant::now();
        let disconnections = world.disconnections(&request.user);
        let mut watch = Self {
            cursor: 0,
            ready: VecDeque::new(),
            ends: after(now, request.timeout),
            next_bookmark: after(now, request.bookmark_every),
            held_until: None,
            coalescing: false,
            header: Header::Told,
            over: false,
            disconnections,
            request,
            world,
        };
        watch.begin();
        watch
    }

    fn begin(&mut self) {
        let world = Arc::clone(&self.world);
        let locked = world.lock();
        let state = &locked.state;
        if matches!(self.world.faults().on_watch_start(&self.request.user, &self.request.target), Some(FaultKind::Gone410)) {
            self.fail(&ApiError::too_old(self.cursor, state.resource_version()));
            return;
        }
        match self.request.start {
            Start::After(version) => self.cursor = version,
            Start::Now | Start::Streamed => {
                self.cursor = state.resource_version();
                let found: Vec<Arc<Value>> = state
                    .objects(&self.request.of.kind.stored_as)
                    .map(|(_, object)| Arc::clone(object))
                    .filter(|object| self.shows(object))
                    .collect();
                for object in found {
                    self.tell("ADDED", &object);
                }
                if self.request.start == Start::Streamed && self.request.bookmarks == Bookmarks::Sent {
                    self.bookmark(&json!({"k8s.io/initial-events-end": "true"}));
                }
            }
        }
        drop(locked);
    }

    fn shows(&self, object: &Value) -> bool {
        let namespace = &self.request.target.namespace;
        (namespace.is_empty() || object::namespace(object) == namespace) && self.request.selector.matches(object)
    }

    fn push(&mut self, kind: &str, object: &Value) {
        let mut line = json!({"type": kind, "object": object}).to_string();
        line.push('\n');
        self.ready.push_back(line.into());
    }

    fn tell(&mut self, kind: &str, object: &Value) {
        let now = self.world.now();
        let shown = match self.request.form {
            Form::Table(included) => {
                let metadata = json!({"resourceVersion": object::text(object, &["metadata", "resourceVersion"])});
                let told = table::table(std::slice::from_ref(object), &self.request.of, included, self.header, &metadata, now);
                self.header = Header::Omitted;
                told
            }
            form => table::single(object, &self.request.of, form, now),
        };
        self.push(kind, &shown);
    }

    fn bookmark(&mut self, annotations: &Value) {
        let mut metadata = json!({"resourceVersion": self.cursor.to_string(), "creationTimestamp": null});
        if annotations.is_object() {
            metadata["annotations"] = annotations.clone();
        }
        let mut object = json!({"kind": self.request.of.kind.kind, "apiVersion": self.request.of.api_version(), "metadata": metadata});
        if self.request.form == Form::Metadata {
            object["kind"] = "PartialObjectMetadata".into();
            object["apiVersion"] = "meta.k8s.io/v1".into();
        }
        if let Form::Table(included) = self.request.form {
            object = table::table(
                std::slice::from_ref(&object),
                &self.request.of,
                included,
                self.header,
                &json!({"resourceVersion": self.cursor.to_string()}),
                self.world.now(),
            );
        }
        self.push("BOOKMARK", &object);
    }

    fn fail(&mut self, error: &ApiError) {
        self.push("ERROR", &error.to_status());
        self.over = true;
    }

    /// The next line; nothing when the watch is over.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(until) = self.held_until {
                tokio::time::sleep_until(until).await;
                self.held_until = None;
            }
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            if self.over {
                return None;
            }
            // Taken before the look, so that no change falls between the two.
            let changed = self.world.changed();
            self.collect();
            if !self.ready.is_empty() || self.held_until.is_some() || self.over {
                continue;
            }
            let bookmark = self.next_bookmark.min(self.ends);
            tokio::select! {
                biased;
                () = changed => {}
                () = tokio::time::sleep_until(bookmark) => {
                    if self.request.bookmarks == Bookmarks::Sent {
                        self.advance();
                        self.bookmark(&Value::Null);
                    }
                    self.next_bookmark = after(Instant::now(), self.request.bookmark_every);
                    self.over = Instant::now() >= self.ends;
                }
            }
        }
    }

    /// Nothing of interest happened up to now.
    fn advance(&mut self) {
        let frozen = self.world.faults().frozen_at(&self.request.user, &self.request.target);
        let now = self.world.lock().state.resource_version();
        self.cursor = self.cursor.max(frozen.map_or(now, |frozen| frozen.min(now)));
    }

    /// Reads what happened since the last time.
    fn collect(&mut self) {
        let world = Arc::clone(&self.world);
        if world.disconnections(&self.request.user) != self.disconnections {
            self.over = true;
            return;
        }
        let frozen = world.faults().frozen_at(&self.request.user, &self.request.target);
        let (events, now) = {
            let locked = world.lock();
            (locked.state.since(&self.request.of.kind.stored_as, self.cursor), locked.state.resource_version())
        };
        match events {
            Ok(mut events) => {
                events.retain(|event| frozen.is_none_or(|frozen| event.resource_version <= frozen));
                let joined = self.coalescing;
                if joined {
                    events = coalesced(events);
                }
                self.take(events);
                // What was joined is told, whatever fault still waits.
                self.coalescing &= !joined;
                // All up to now is told, and what happens to other resources must not make an idle watch old.
                if frozen.is_none() && self.held_until.is_none() && !self.over {
                    self.cursor = self.cursor.max(now);
                }
            }
            Err(compacted) => self.fail(&ApiError::too_old(self.cursor, compacted.oldest)),
        }
    }

    fn take(&mut self, events: Vec<Event>) {
        for event in events {
            let Some((kind, object)) = self.seen(&event) else {
                self.cursor = event.resource_version;
                continue;
            };
            let about = Target {
                namespace: object::namespace(&event.object).to_owned(),
                name: object::name(&event.object).to_owned(),
                ..self.request.target.clone()
            };
            let fault = self.world.faults().on_event(&self.request.user, &about);
            match fault {
                Some(FaultKind::DropEvent) => {}
                Some(FaultKind::RepeatEvent) => {
                    self.tell(kind, &object);
                    self.tell(kind, &object);
                }
                Some(FaultKind::DelayEvent(by)) if self.ready.is_empty() => {
                    self.tell(kind, &object);
                    self.cursor = event.resource_version;
                    self.held_until = Some(Instant::now() + by);
                    return;
                }
                Some(FaultKind::CoalesceEvents(during)) if !self.coalescing => {
                    self.coalescing = true;
                    self.held_until = Some(Instant::now() + during);
                    return;
                }
                Some(FaultKind::CloseWatch) => {
                    self.over = true;
                    return;
                }
                _ => self.tell(kind, &object),
            }
            self.cursor = event.resource_version;
        }
    }

    /// What an event is to this watch: a selector makes objects come and go that stay in the store.
    fn seen(&self, event: &Event) -> Option<(&'static str, Value)> {
        let was = event.previous.as_ref().is_some_and(|previous| self.shows(previous));
        let is = event.change != Change::Deleted && self.shows(&event.object);
        let gone = || {
            let mut last = event.previous.as_deref().cloned().unwrap_or_default();
            object::set_metadata(&mut last, "resourceVersion", Some(event.resource_version.to_string().into()));
            last
        };
        match (was, is) {
            (true, true) => Some(("MODIFIED", Value::clone(&event.object))),
            (false, true) => Some(("ADDED", Value::clone(&event.object))),
            (true, false) => Some(("DELETED", gone())),
            (false, false) => None,
        }
    }
}

/// Only the last event of each object, seen from before the first.
fn coalesced(events: Vec<Event>) -> Vec<Event> {
    let mut out: Vec<Event> = Vec::new();
    for event in events {
        match out.iter().position(|other| other.key == event.key) {
            Some(place) => {
                let first = out.remove(place);
                out.push(Event { previous: first.previous, ..event });
            }
            None => out.push(event),
        }
    }
    out
}
