//! The API as a tower service: reads the HTTP request, lets planted faults strike, logs, and writes the HTTP answer.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body, Frame};
use serde_json::Value;

use super::access::{self, User};
use super::error::ApiError;
use super::faults::FaultKind;
use super::handler::{self, Outcome, Reply};
use super::journal::LoggedRequest;
use super::object;
use super::pages;
use super::request::{Query, Request, Route, Target, Verb};
use super::watch::Watch;
use super::world::World;

/// The body of an answer; a watch's goes on as long as the watch.
pub type ApiBody = UnsyncBoxBody<Bytes, Infallible>;

/// The connection closed without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The connection closed with no answer.
    #[error("connection closed before message completed")]
    ConnectionClosed,
    /// The request could not be read.
    #[error("the request's body broke off")]
    BrokenRequest,
}

/// The API as one user sees it.
#[derive(Debug, Clone)]
pub struct ApiService {
    world: Arc<World>,
    user: User,
    pace: u32,
}

impl ApiService {
    pub(crate) fn new(world: Arc<World>, user: User) -> Self {
        Self { world, user, pace: 1 }
    }

    /// The same for somebody whose second is so many of ours.
    pub(crate) fn paced(self, pace: u32) -> Self {
        Self { pace, ..self }
    }
}

impl<B> tower::Service<http::Request<B>> for ApiService
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    type Response = Response<ApiBody>;
    type Error = NoAnswer;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, NoAnswer>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NoAnswer>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let (world, user, pace) = (Arc::clone(&self.world), self.user.clone(), self.pace);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(|_| NoAnswer::BrokenRequest)?.to_bytes();
            let request = Request {
                method: parts.method,
                path: parts.uri.path().to_owned(),
                query: Query::parse(parts.uri.query().unwrap_or_default()),
                headers: parts.headers,
                body,
            };
            answer(&world, &user, &request, pace).await
        })
    }
}

async fn answer(world: &Arc<World>, user: &User, request: &Request, pace: u32) -> Result<Response<ApiBody>, NoAnswer> {
    let user = &impersonated(user, request);
    let target = match request.route() {
        Route::Resource(target) => target,
        Route::Page => {
            if !access::may_read_page(user, &request.path) {
                let told = format!("forbidden: User {:?} cannot get path {:?}", user.name, request.path);
                return Ok(refusal(&ApiError::new(403, "Forbidden", told)));
            }
            let shown = pages::page(&world.lock().state, request);
            return Ok(response(shown.status, shown.media_type, full(shown.body)));
        }
    };
    let fault = world.faults().on_request(&user.name, &named(&target, request));
    let struck = match &fault {
        Some(FaultKind::Conflict) => {
            let why = "the object has been modified; please apply your changes to the latest version and try again";
            Some(ApiError::conflict(&target.id(), &target.name, why))
        }
        Some(FaultKind::TooManyRequests { retry_after }) => Some(ApiError::too_many_requests(*retry_after)),
        Some(FaultKind::Status(code)) => Some(ApiError::of_status(*code)),
        Some(FaultKind::Hang) => {
            log(world, user, &target, 0, Effect::Nothing, request);
            return std::future::pending().await;
        }
        Some(FaultKind::RefuseConnection) => {
            log(world, user, &target, 0, Effect::Nothing, request);
            return Err(NoAnswer::ConnectionClosed);
        }
        _ => None,
    };
    if let Some(error) = struck {
        log(world, user, &target, error.code, Effect::Nothing, request);
        return Ok(refusal(&error));
    }
    let before = world.lock().state.resource_version();
    let outcome = handler::handle(world, user, &target, request);
    let effect = if target.verb.writes() && world.lock().state.resource_version() != before { Effect::Wrote } else { Effect::Nothing };
    let answer = match outcome {
        Ok(Outcome::Reply(reply)) => {
            log(world, user, &target, reply.status, effect, request);
            replied(reply)
        }
        Ok(Outcome::Watch(watch)) => {
            log(world, user, &target, 200, effect, request);
            watched(Watch::start(Arc::clone(world), watch.paced(pace)))
        }
        Err(error) => {
            log(world, user, &target, error.code, effect, request);
            refusal(&error)
        }
    };
    match fault {
        Some(FaultKind::LostResponse) => Err(NoAnswer::ConnectionClosed),
        Some(FaultKind::Crash(crash)) => {
            crash();
            std::future::pending().await
        }
        _ => Ok(answer),
    }
}

/// The target with the name of the object that is to be made, which stands in the body alone.
fn named(target: &Target, request: &Request) -> Target {
    let mut named = target.clone();
    if target.verb == Verb::Create
        && target.name.is_empty()
        && let Ok(body) = serde_json::from_slice::<Value>(&request.body)
    {
        object::name(&body).clone_into(&mut named.name);
    }
    named
}

/// Who the caller says they are; only those who may do everything may say so.
fn impersonated(user: &User, request: &Request) -> User {
    let name = request.header("impersonate-user");
    if name.is_empty() || *user != User::admin() {
        return user.clone();
    }
    let mut other = User::named(name);
    other.groups.extend(request.headers.get_all("impersonate-group").iter().filter_map(|group| group.to_str().ok()).map(str::to_owned));
    other
}

/// Did a request change anything?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    Wrote,
    Nothing,
}

fn log(world: &World, user: &User, target: &Target, status: u16, effect: Effect, request: &Request) {
    let body_asks =
        || target.verb == Verb::Delete && serde_json::from_slice::<Value>(&request.body).is_ok_and(|body| body.get("dryRun").is_some());
    let time = world.now();
    world.journal().push(LoggedRequest {
        sequence: 0,
        time,
        verb: target.verb,
        group: target.group.clone(),
        version: target.version.clone(),
        resource: target.resource.clone(),
        subresource: target.subresource.clone(),
        namespace: target.namespace.clone(),
        name: target.name.clone(),
        user: user.name.clone(),
        status,
        dry_run: !request.query.text("dryRun").is_empty() || body_asks(),
        wrote: effect == Effect::Wrote,
    });
}

fn full(body: Bytes) -> ApiBody {
    Full::new(body).boxed_unsync()
}

fn response(status: StatusCode, media_type: &'static str, body: ApiBody) -> Response<ApiBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

fn replied(reply: Reply) -> Response<ApiBody> {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    let mut response = response(status, "application/json", full(reply.body.to_string().into()));
    for warning in reply.warnings {
        if let Ok(value) = HeaderValue::from_str(&format!("299 - {warning:?}")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    response
}

pub(crate) fn refusal(error: &ApiError) -> Response<ApiBody> {
    let status = StatusCode::from_u16(error.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = response(status, "application/json", full(error.to_status().to_string().into()));
    if let Some(seconds) = error.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn watched(watch: Watch) -> Response<ApiBody> {
    let lines = stream::unfold(watch, |mut watch| async move { watch.next().await.map(|line| (line, watch)) });
    let body = StreamBody::new(lines.map(|line| Ok::<_, Infallible>(Frame::data(line))));
    response(StatusCode::OK, "application/json", body.boxed_unsync())
}
