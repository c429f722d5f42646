//! Reads a watch event by event, each with a deadline; it must not reconnect: what the server ends stays ended.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::Response;
use serde_json::Value;
use tokio::time::Instant;

/// How long an event may take to arrive.
const LIMIT: Duration = Duration::from_secs(15);

/// An open watch.
pub struct Watch {
    asked: String,
    reply: Response,
    buffer: Vec<u8>,
}

/// One event of a watch.
#[derive(Debug, Clone)]
pub struct Event {
    /// `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`.
    pub kind: String,
    /// The object that it carries.
    pub object: Value,
}

impl Event {
    /// The name of the object.
    #[must_use]
    pub fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// The resourceVersion of the object.
    #[must_use]
    pub fn rv(&self) -> &str {
        self.object["metadata"]["resourceVersion"].as_str().unwrap_or_default()
    }
}

impl Watch {
    /// The watch that `reply` carries.
    #[must_use]
    pub fn new(asked: String, reply: Response) -> Self {
        Self { asked, reply, buffer: Vec::new() }
    }

    /// The HTTP status with which the watch began.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.reply.status().as_u16()
    }

    /// Fails unless the watch began with 200 and `application/json`.
    pub fn open(self) -> Result<Self> {
        let kind = self.reply.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        ensure!(self.status() == 200, "{}: status {}", self.asked, self.status());
        ensure!(kind.starts_with("application/json"), "{}: content type {kind:?}", self.asked);
        Ok(self)
    }

    /// The next event; `None` when the server has ended the watch; an error when neither comes in time.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let event: Value =
                    serde_json::from_slice(&line).with_context(|| format!("{}: {:?}", self.asked, String::from_utf8_lossy(&line)))?;
                return Ok(Some(Event { kind: event["type"].as_str().unwrap_or_default().to_owned(), object: event["object"].clone() }));
            }
            let Ok(chunk) = tokio::time::timeout_at(deadline, self.reply.chunk()).await else {
                bail!("{}: no event within {} s", self.asked, LIMIT.as_secs());
            };
            let Some(chunk) = chunk? else {
                ensure!(self.buffer.is_empty(), "{}: ended within an event", self.asked);
                return Ok(None);
            };
            self.buffer.extend_from_slice(&chunk);
        }
    }

    /// The next event, which must be of this kind and, unless it is empty, of this name.
    pub async fn expect(&mut self, kind: &str, name: &str) -> Result<Event> {
        let Some(event) = self.next().await? else { bail!("{}: ended instead of {kind} {name}", self.asked) };
        ensure!(
            event.kind == kind && (name.is_empty() || event.name() == name),
            "{}: {} {} instead of {kind} {name}: {}",
            self.asked,
            event.kind,
            event.name(),
            event.object
        );
        Ok(event)
    }

    /// The next event, whatever it is.
    pub async fn expect_any(&mut self) -> Result<Event> {
        self.next().await?.with_context(|| format!("{}: ended", self.asked))
    }

    /// The next event that is no bookmark.
    pub async fn change(&mut self, kind: &str, name: &str) -> Result<Event> {
        loop {
            let Some(event) = self.next().await? else { bail!("{}: ended instead of {kind} {name}", self.asked) };
            if event.kind != "BOOKMARK" {
                ensure!(
                    event.kind == kind && event.name() == name,
                    "{}: {} {} instead of {kind} {name}",
                    self.asked,
                    event.kind,
                    event.name()
                );
                return Ok(event);
            }
        }
    }

    /// All events until the server ends the watch.
    pub async fn rest(mut self) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await? {
            events.push(event);
        }
        Ok(events)
    }
}
