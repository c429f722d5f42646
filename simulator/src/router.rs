//! HTTP around the rules: reads requests, writes replies, and carries out planted faults; it must decide nothing about clients.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Form, FromRequest, Query, State};
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, DATE, HOST, LOCATION, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::clock::http_date;
use crate::error::ErrorBody;
use crate::exchange::{Content, Reply, Request};
use crate::faults::{Fault, FaultKind};
use crate::hostile;
use crate::operations::{self, Operation};
use crate::simulator::Simulator;
use crate::{admin, page};

/// `request.bytes.max` of the platform's published limits. (V)
const LARGEST_REQUEST: usize = 512_000;
const CORRELATION_ID: HeaderName = HeaderName::from_static("inin-correlation-id");
const HTML: &str = "text/html; charset=utf-8";

/// Marks a response that must not be sent: the connection has to be closed without an answer.
///
/// The server of this crate does so. In a test that calls the router directly, look for it in the response's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionClosed;

impl Simulator {
    /// Everything on one address: the Platform API, the login host, the admin API and the admin page.
    pub fn router(&self) -> Router {
        Router::new().merge(admin::routes()).merge(page::routes()).fallback(platform).with_state(self.clone())
    }

    /// Carries out one request without a socket and returns the whole response; fails where the connection would have closed.
    pub async fn exchange(&self, request: http::Request<Bytes>) -> io::Result<http::Response<Bytes>> {
        let Ok(response) = self.router().oneshot(request.map(Body::from)).await;
        if response.extensions().get::<ConnectionClosed>().is_some() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?;
        Ok(http::Response::from_parts(parts, body.to_bytes()))
    }
}

/// Answers a call to the platform, or lets a planted fault answer it.
async fn platform(State(simulator): State<Simulator>, request: axum::extract::Request) -> Response {
    let request = match read(request).await {
        Ok(request) => request,
        Err(refusal) => return sent(&simulator, *refusal, None),
    };
    let Some(fault) = simulator.strike(request.rule.operation) else {
        let reply = simulator.carry_out(&request);
        simulator.log(&request, Some(&reply), Some(reply.status.as_u16()), None);
        return sent(&simulator, reply, None);
    };
    if fault.kind == FaultKind::Hang && !fault.after {
        simulator.log(&request, None, None, Some(fault.kind));
        return std::future::pending().await;
    }
    let kind = fault.kind;
    // The platform finishes what it has begun: a caller that leaves drops this future, not the task.
    let work = tokio::spawn({
        let simulator = simulator.clone();
        async move { struck(&simulator, &request, fault).await }
    });
    let response = work.await.unwrap_or_else(|_| closed());
    if kind == FaultKind::Hang { std::future::pending().await } else { response }
}

/// Carries out a call that a fault hits.
async fn struck(simulator: &Simulator, request: &Request, fault: Fault) -> Response {
    let delay = Duration::from_millis(fault.delay_milliseconds);
    let after = match fault.kind {
        FaultKind::Truncate | FaultKind::LostResponse => true,
        FaultKind::RefuseConnection => false,
        _ => fault.after,
    };
    if !after {
        tokio::time::sleep(delay).await;
    }
    let carries_out = after || fault.kind == FaultKind::Delay;
    let done = carries_out.then(|| simulator.carry_out(request));
    let told = |simulator: &Simulator, reply: &Reply, status: Option<u16>| {
        let logged = done.as_ref().map_or_else(|| reply.clone(), Clone::clone);
        simulator.log(request, Some(&logged), status, Some(fault.kind));
    };
    let response = match fault.kind {
        FaultKind::Status | FaultKind::Html => {
            let reply = if fault.kind == FaultKind::Html { html(&fault) } else { status(&fault, request.rule.operation) };
            told(simulator, &reply, Some(reply.status.as_u16()));
            sent(simulator, reply, fault.retry_after)
        }
        FaultKind::Delay | FaultKind::Truncate => {
            let reply = done.clone().unwrap_or_else(|| Reply::empty(StatusCode::OK));
            told(simulator, &reply, Some(reply.status.as_u16()));
            let response = sent(simulator, reply, None);
            if fault.kind == FaultKind::Truncate { truncated(response).await } else { response }
        }
        FaultKind::Hang | FaultKind::LostResponse | FaultKind::RefuseConnection => {
            told(simulator, &Reply::empty(StatusCode::OK), None);
            closed()
        }
        FaultKind::Endless | FaultKind::Drip | FaultKind::GzipBomb | FaultKind::Nested | FaultKind::Redirect => {
            let response = hostile::answer(&fault).unwrap_or_else(closed);
            told(simulator, &Reply::empty(response.status()), Some(response.status().as_u16()));
            response
        }
    };
    if after {
        tokio::time::sleep(delay).await;
    }
    response
}

/// Reads a request: finds its operation, its query, its body and the fields of a form.
async fn read(request: axum::extract::Request) -> Result<Request, Box<Reply>> {
    let refuse = |error: ErrorBody| Box::new(Reply::from(error));
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let (rule, parameters) = operations::find(&parts.method, &path).ok_or_else(|| refuse(ErrorBody::not_found()))?;
    let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).map_or_else(|_| Vec::new(), |query| query.0);
    let body = match Limited::new(body, LARGEST_REQUEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(refuse(ErrorBody::too_large(LARGEST_REQUEST)));
        }
        Err(_) => return Err(refuse(ErrorBody::malformed())),
    };
    let authority = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    Ok(Request {
        rule,
        parameters,
        base_url: format!("http://{authority}"),
        form: form_fields(&parts, body.clone()).await,
        method: parts.method,
        path,
        query,
        headers: parts.headers,
        body,
    })
}

/// The fields of a form; none if the body is no form.
async fn form_fields(parts: &http::request::Parts, body: Bytes) -> Vec<(String, String)> {
    let mut request = axum::extract::Request::new(Body::from(body));
    *request.method_mut() = parts.method.clone();
    *request.headers_mut() = parts.headers.clone();
    match Form::<Vec<(String, String)>>::from_request(request, &()).await {
        Ok(Form(fields)) if parts.method == http::Method::POST => fields,
        _ => Vec::new(),
    }
}

/// The reply of a planted status.
fn status(fault: &Fault, operation: Operation) -> Reply {
    let status = fault.status.unwrap_or(503);
    let mut error = ErrorBody::documented(status, fault.retry_after);
    if let Some(code) = &fault.code {
        error.code.clone_from(code);
    }
    let mut reply = Reply::from(error);
    reply.status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    match (&fault.body, operation) {
        (Some(Value::String(text)), _) => reply.content = Content::Text("text/plain; charset=utf-8", text.clone()),
        (Some(body), _) => reply.content = Content::Json(body.clone()),
        (None, Operation::GetToken) => {
            let error = fault.code.as_deref().unwrap_or(if status == 400 { "invalid_client" } else { "server_error" });
            let text = if error == "invalid_client" { "authentication failed" } else { "planted fault" };
            reply.content = Content::Json(serde_json::json!({"error": error, "description": text, "error_description": text}));
        }
        (None, _) => {}
    }
    reply
}

/// The page that a proxy sends instead of an answer.
fn html(fault: &Fault) -> Reply {
    let status = fault.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::BAD_GATEWAY);
    let text = match &fault.body {
        Some(Value::String(text)) => text.clone(),
        _ => format!("<html><head><title>{status}</title></head><body><center><h1>{status}</h1></center></body></html>\r\n"),
    };
    Reply::text(status, HTML, text)
}

/// A reply as HTTP, with the headers that every reply has.
fn sent(simulator: &Simulator, reply: Reply, retry_after: Option<u64>) -> Response {
    let correlation_id = simulator.correlation_id();
    let mut seconds = retry_after;
    let (media, body) = match reply.content {
        Content::Empty => (None, String::new()),
        Content::Json(body) => (Some("application/json"), body.to_string()),
        Content::Text(media, text) => (Some(media), text),
        Content::Error(error) => {
            seconds = seconds.or(error.retry_after);
            let error = ErrorBody { context_id: correlation_id.clone(), ..error };
            (Some("application/json"), serde_json::to_string(&error).unwrap_or_default())
        }
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    let mut put = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    put(CORRELATION_ID, &correlation_id);
    put(DATE, &http_date(simulator.now()));
    put(CACHE_CONTROL, "no-cache, no-store, must-revalidate");
    put(http::header::STRICT_TRANSPORT_SECURITY, "max-age=600; includeSubDomains");
    if let Some(media) = media {
        put(CONTENT_TYPE, media);
    }
    if let Some(location) = &reply.location {
        put(LOCATION, location);
    }
    if let Some(seconds) = seconds {
        put(RETRY_AFTER, &seconds.to_string());
    }
    response
}

/// The same response with half of its body; its length still promises the whole.
async fn truncated(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len().max(2)));
    let half = bytes.slice(..bytes.len() / 2);
    let pieces = stream::unfold(Some(half), |rest| async move {
        if let Some(half) = rest {
            return Some((Ok(half), None));
        }
        // The half must have left before the connection breaks.
        tokio::time::sleep(Duration::from_millis(1)).await;
        Some((Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted)), None))
    });
    Response::from_parts(parts, Body::from_stream(pieces))
}

/// No response at all.
fn closed() -> Response {
    let broken = stream::once(async { Err::<Bytes, _>(std::io::Error::from(std::io::ErrorKind::ConnectionAborted)) });
    let mut response = Response::new(Body::from_stream(broken));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.extensions_mut().insert(ConnectionClosed);
    response
}
