//! Doubles for the tests of this module: a transport that answers from a script, in memory. It opens no connection.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::budget::Budget;
use super::platform::{Platform, Timeouts};
use super::region::{Endpoints, Regions};
use super::token::ClientCredential;
use super::transport::{Limits, Transport, TransportError};

/// Status, headers and body.
type Parts = (u16, Vec<(&'static str, String)>, Bytes);

/// One scripted answer.
#[derive(Clone)]
pub(super) struct Answer {
    delay: Duration,
    result: Result<Parts, TransportError>,
}

pub(super) fn json_answer(status: u16, body: &Value) -> Answer {
    Answer { delay: Duration::ZERO, result: Ok((status, Vec::new(), Bytes::from(body.to_string()))) }
}

pub(super) fn raw_answer(status: u16, body: &'static str) -> Answer {
    Answer { delay: Duration::ZERO, result: Ok((status, Vec::new(), Bytes::from_static(body.as_bytes()))) }
}

pub(super) fn no_answer(error: TransportError) -> Answer {
    Answer { delay: Duration::ZERO, result: Err(error) }
}

/// The platform's error body.
pub(super) fn refusal_answer(status: u16, code: &str, message: &str) -> Answer {
    json_answer(status, &json!({"status": status, "code": code, "message": message, "contextId": "c0ffee"}))
}

/// A page that is the whole list.
pub(super) fn page(entities: &Value) -> Answer {
    let total = entities.as_array().map_or(0, Vec::len);
    json_answer(200, &json!({"entities": entities, "pageNumber": 1, "pageCount": 1, "total": total}))
}

impl Answer {
    pub(super) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    pub(super) fn with(mut self, header: &'static str, value: &str) -> Self {
        if let Ok((_, headers, _)) = &mut self.result {
            headers.push((header, value.to_owned()));
        }
        self
    }
}

type Handler = Box<dyn FnMut(&Request<Bytes>) -> Answer + Send>;

/// A transport that answers from a script, and keeps what it was sent.
pub(super) struct Scripted {
    api: Mutex<Handler>,
    /// Answers of the login host before it goes on to issue tokens.
    login: Mutex<VecDeque<Answer>>,
    sent: Mutex<Vec<Request<Bytes>>>,
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

impl Scripted {
    pub(super) fn new(api: impl FnMut(&Request<Bytes>) -> Answer + Send + 'static) -> Arc<Self> {
        Self::with_login(Vec::new(), api)
    }

    pub(super) fn with_login(login: Vec<Answer>, api: impl FnMut(&Request<Bytes>) -> Answer + Send + 'static) -> Arc<Self> {
        Arc::new(Self { api: Mutex::new(Box::new(api)), login: Mutex::new(login.into()), sent: Mutex::default() })
    }

    /// Gives these answers one after the other, and nothing else.
    pub(super) fn in_order(answers: Vec<Answer>) -> Arc<Self> {
        let mut answers = VecDeque::from(answers);
        Self::new(move |request| answers.pop_front().unwrap_or_else(|| panic!("not in the script: {request:?}")))
    }

    /// The calls of the API, as `GET /path`.
    pub(super) fn calls(&self) -> Vec<String> {
        self.requests().iter().map(|request| format!("{} {}", request.method(), request.uri().path_and_query().expect("a path"))).collect()
    }

    /// The requests to the API.
    pub(super) fn requests(&self) -> Vec<Request<Bytes>> {
        self.sent.lock().expect("lock").iter().filter(|request| request.uri().path() != "/oauth/token").cloned().collect()
    }

    /// The requests to the login host.
    pub(super) fn logins(&self) -> Vec<Request<Bytes>> {
        self.sent.lock().expect("lock").iter().filter(|request| request.uri().path() == "/oauth/token").cloned().collect()
    }

    fn answer(&self, request: &Request<Bytes>) -> Answer {
        if request.uri().path() == "/oauth/token" {
            let scripted = self.login.lock().expect("lock").pop_front();
            let number = self.logins().len();
            return scripted.unwrap_or_else(|| token_answer(&format!("token-{number}"), 86_399));
        }
        (self.api.lock().expect("lock"))(request)
    }
}

pub(super) fn token_answer(token: &str, seconds: u64) -> Answer {
    json_answer(200, &json!({"access_token": token, "token_type": "bearer", "expires_in": seconds}))
}

/// A refusal of the login host.
pub(super) fn login_refusal(error: &str, description: &str) -> Answer {
    json_answer(400, &json!({"error": error, "description": description, "error_description": description}))
}

impl Transport for Scripted {
    fn send(&self, request: Request<Bytes>, limits: Limits) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        self.sent.lock().expect("lock").push(request.clone());
        let answer = self.answer(&request);
        async move {
            if answer.delay > limits.timeout {
                tokio::time::sleep(limits.timeout).await;
                return Err(TransportError::Lost("timeout".to_owned()));
            }
            tokio::time::sleep(answer.delay).await;
            let (status, headers, body) = answer.result?;
            if body.len() > limits.max_body {
                return Err(TransportError::Lost("too large".to_owned()));
            }
            let mut response = Response::new(body);
            *response.status_mut() = StatusCode::from_u16(status).expect("a status");
            for (name, value) in headers {
                let value = HeaderValue::from_str(&value).expect("a header value");
                response.headers_mut().append(HeaderName::from_static(name), value);
            }
            Ok(response)
        }
        .boxed()
    }
}

pub(super) fn endpoints() -> Endpoints {
    Regions::compiled().get("eu-central-1").expect("a region")
}

pub(super) fn credential() -> ClientCredential {
    ClientCredential { client_id: "own-id".to_owned(), client_secret: SecretString::from("hunter2") }
}

/// A platform whose budget is no matter.
pub(super) fn platform(transport: &Arc<Scripted>) -> Platform {
    platform_with(transport, Arc::new(Budget::new(6000)))
}

pub(super) fn platform_with(transport: &Arc<Scripted>, budget: Arc<Budget>) -> Platform {
    let transport: Arc<dyn Transport> = Arc::clone(transport) as Arc<dyn Transport>;
    Platform::new(transport, endpoints(), credential(), budget, Timeouts::default())
}
