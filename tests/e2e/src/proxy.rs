//! A plain-HTTP proxy on loopback before the API server or the platform: it records calls, and at one chosen call kills
//! the operator or loses the response. It must not change a request or a response that it does pass on.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

use crate::calls::{Call, Words, describe, step};
use crate::process::Process;

type Body = UnsyncBoxBody<Bytes, reqwest::Error>;

/// What happens at the chosen call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The operator dies when the request has arrived; it is not passed on.
    Before,
    /// The request is passed on; the operator dies when the response is there, and does not get it.
    After,
    /// The request is passed on, the response is dropped with the connection, and the operator lives.
    Lost,
}

/// The chosen call and what happens there, once.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The call's key.
    pub key: String,
    /// Which call with that key since arming, from 1.
    pub occurrence: usize,
    /// What happens.
    pub when: When,
    /// Who dies.
    pub victim: Process,
}

/// The memory that a world's proxies share.
#[derive(Debug, Default)]
pub struct Recorder {
    state: Mutex<State>,
    struck: Notify,
}

#[derive(Debug, Default)]
struct State {
    calls: Vec<Call>,
    counts: HashMap<String, usize>,
    fault: Option<Fault>,
    struck: bool,
    secrets: HashSet<String>,
}

impl Recorder {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets all calls, counts occurrences from 1 again, and waits for `fault` if there is one.
    pub fn arm(&self, fault: Option<Fault>) {
        let mut state = self.state();
        state.calls.clear();
        state.counts.clear();
        state.struck = false;
        state.fault = fault;
    }

    /// All calls since arming.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// The writes since arming, Events among them.
    #[must_use]
    pub fn writes(&self) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.write).collect()
    }

    /// Whether the fault has struck.
    #[must_use]
    pub fn has_struck(&self) -> bool {
        self.state().struck
    }

    /// Returns when the fault has struck.
    pub async fn struck(&self) {
        loop {
            let notified = self.struck.notified();
            if self.has_struck() {
                return;
            }
            notified.await;
        }
    }

    /// Every secret and token that passed by: none may stand in a log.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        self.state().secrets.iter().cloned().collect()
    }

    fn begin(&self, mut call: Call) -> (usize, Option<Fault>) {
        let mut state = self.state();
        let count = state.counts.entry(call.key.clone()).or_insert(0);
        *count += 1;
        call.occurrence = *count;
        let hit = state.fault.take_if(|fault| call.relevant && fault.key == call.key && fault.occurrence == call.occurrence);
        state.calls.push(call);
        (state.calls.len() - 1, hit)
    }

    fn end(&self, index: usize, key: &str, status: u16) {
        // After another arming the index names another call or none.
        if let Some(call) = self.state().calls.get_mut(index).filter(|call| call.key == key) {
            call.status = Some(status);
        }
    }

    fn strike(&self, fault: &Fault) {
        if fault.when != When::Lost {
            fault.victim.kill();
        }
        self.state().struck = true;
        self.struck.notify_waiters();
    }

    fn remember_secrets(&self, body: &[u8]) {
        let Ok(Value::Object(reply)) = serde_json::from_slice(body) else { return };
        let found = ["secret", "access_token", "refresh_token"].into_iter().filter_map(|name| reply.get(name)?.as_str());
        self.state().secrets.extend(found.filter(|value| value.len() >= 8).map(str::to_owned));
    }
}

/// One listening proxy. Dropping it closes it and its connections.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug)]
struct Shared {
    recorder: Arc<Recorder>,
    client: reqwest::Client,
    upstream: String,
    kubernetes: bool,
    words: Words,
}

/// The connection is to be closed without a response.
#[derive(Debug)]
struct Dropped(&'static str);

impl std::fmt::Display for Dropped {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.0)
    }
}

impl std::error::Error for Dropped {}

impl Proxy {
    /// Listens on a free loopback port and passes everything to `upstream` by `client`.
    pub async fn start(recorder: &Arc<Recorder>, client: reqwest::Client, upstream: &str, kubernetes: bool, words: Words) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("a free loopback port")?;
        let url = format!("http://{}", listener.local_addr()?);
        let upstream = upstream.trim_end_matches('/').to_owned();
        let shared = Arc::new(Shared { recorder: Arc::clone(recorder), client, upstream, kubernetes, words });
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(Arc::clone(&shared), stream));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { url, task })
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { shared.pass(request).await }
    });
    // An error here is a connection that ended, often because a fault wanted it so.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

impl Shared {
    async fn pass(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>, Dropped> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Dropped("the request broke off"))?.to_bytes();
        let query = parts.uri.query().unwrap_or_default();
        let mut call = describe(self.kubernetes, &parts.method, parts.uri.path(), query, &self.words);
        call.key.extend(step(&call.key, &body));
        let key = call.key.clone();
        let streams = query.contains("watch=true") || query.contains("watch=1");
        let (index, fault) = self.recorder.begin(call);
        if let Some(fault) = fault.as_ref().filter(|fault| fault.when == When::Before) {
            self.recorder.strike(fault);
            return Err(Dropped("killed before the call"));
        }
        let target = format!("{}{}", self.upstream, parts.uri.path_and_query().map_or("/", |path| path.as_str()));
        let forward = self.client.request(parts.method, target).headers(end_to_end(&parts.headers)).body(body);
        if streams {
            let reply = forward.send().await.map_err(|_| Dropped("upstream does not answer"))?;
            self.recorder.end(index, &key, reply.status().as_u16());
            return Ok(stream(reply));
        }
        // A task of its own: what was sent commits, even when its sender dies meanwhile.
        let reply = tokio::spawn(async move {
            let reply = forward.send().await?;
            let (status, headers) = (reply.status(), end_to_end(reply.headers()));
            Ok::<_, reqwest::Error>((status, headers, reply.bytes().await?))
        });
        let Ok(Ok((status, headers, bytes))) = reply.await else { return Err(Dropped("upstream does not answer")) };
        self.recorder.end(index, &key, status.as_u16());
        if !self.kubernetes {
            self.recorder.remember_secrets(&bytes);
        }
        if let Some(fault) = fault {
            self.recorder.strike(&fault);
            return Err(Dropped("the response is lost"));
        }
        let mut response = Response::new(Full::new(bytes).map_err(|never: Infallible| match never {}).boxed_unsync());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

fn stream(reply: reqwest::Response) -> Response<Body> {
    let (status, headers) = (reply.status(), end_to_end(reply.headers()));
    let chunks = futures::stream::try_unfold(reply, |mut reply| async move { Ok(reply.chunk().await?.map(|chunk| (chunk, reply))) });
    let body = StreamBody::new(chunks.map_ok(Frame::data).boxed());
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The headers that are not about the connection.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    for name in [CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING] {
        kept.remove(name);
    }
    kept
}
