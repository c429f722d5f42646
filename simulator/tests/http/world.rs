//! A simulator, its clock and a caller; it must not assert anything about the platform.

use std::sync::Arc;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use genesys_cloud_simulator::{ConnectionClosed, ManualClock, OPERATOR_CLIENT_ID, OPERATOR_CLIENT_SECRET, Settings, Simulator};
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// The body as JSON; null if it is none.
    pub(crate) body: Value,
    /// Was the connection closed instead?
    pub(crate) closed: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// Status and code, the two things that errors are compared by.
    pub(crate) fn error(&self) -> (u16, &str) {
        (self.status, self.body["code"].as_str().unwrap_or(""))
    }

    pub(crate) fn id(&self) -> String {
        self.body["id"].as_str().expect("an id").to_owned()
    }

    pub(crate) fn secret(&self) -> String {
        self.body["secret"].as_str().expect("a secret").to_owned()
    }
}

/// One organization and the operator's own client as the caller.
pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) clock: ManualClock,
    pub(crate) token: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let clock = ManualClock::default();
        let settings = Settings { seed: Some(1), ..settings };
        let simulator = Simulator::new(settings, Arc::new(clock.clone()));
        let mut world = Self { simulator, clock, token: String::new() };
        world.token = world.token_of(OPERATOR_CLIENT_ID, OPERATOR_CLIENT_SECRET).await;
        world
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(std::time::Duration::from_secs(seconds));
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.simulator.router().oneshot(request).await.expect("routers do not fail");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer {
            status: parts.status.as_u16(),
            closed: parts.extensions.get::<ConnectionClosed>().is_some(),
            headers: parts.headers,
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
        }
    }

    /// A call with a token and, unless it is null, a JSON body.
    pub(crate) async fn call_as(&self, token: &str, method: &str, path: &str, body: Value) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
        let mut content = Body::empty();
        if !body.is_null() {
            request = request.header("content-type", "application/json");
            content = Body::from(body.to_string());
        }
        self.send(request.body(content).expect("a request")).await
    }

    /// A call by the operator's own client.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        self.call_as(&self.token, method, path, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, Value::Null).await
    }

    pub(crate) async fn create(&self, body: Value) -> Answer {
        self.call("POST", "/api/v2/oauth/clients", body).await
    }

    /// `POST /oauth/token` with Basic credentials and these fields.
    pub(crate) async fn login(&self, credentials: Option<(&str, &str)>, fields: &[(&str, &str)]) -> Answer {
        let mut request = Request::post("/oauth/token").header("content-type", "application/x-www-form-urlencoded");
        if let Some((id, secret)) = credentials {
            request = request.header("authorization", format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))));
        }
        let form: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", value.replace('+', "%2B"))).collect();
        self.send(request.body(Body::from(form.join("&"))).expect("a request")).await
    }

    pub(crate) async fn client_credentials(&self, id: &str, secret: &str) -> Answer {
        self.login(Some((id, secret)), &[("grant_type", "client_credentials")]).await
    }

    pub(crate) async fn token_of(&self, id: &str, secret: &str) -> String {
        let answer = self.client_credentials(id, secret).await;
        answer.body["access_token"].as_str().expect("a token").to_owned()
    }

    /// The body of a client-credentials client with this role in all divisions.
    pub(crate) fn machine(&self, name: &str, role: &str) -> Value {
        json!({
            "name": name,
            "authorizedGrantType": "CLIENT-CREDENTIALS",
            "roleDivisions": [{"roleId": self.simulator.role_id(role).expect("a role"), "divisionId": "*"}],
        })
    }
}

/// The body of a client for people.
pub(crate) fn web(name: &str) -> Value {
    json!({
        "name": name,
        "authorizedGrantType": "CODE",
        "scope": ["user-basic-info"],
        "registeredRedirectUri": ["https://app.example/callback"],
    })
}

/// The body with a member set.
pub(crate) fn with(mut body: Value, member: &str, value: Value) -> Value {
    body[member] = value;
    body
}

/// The body without a member.
pub(crate) fn without(mut body: Value, member: &str) -> Value {
    body.as_object_mut().expect("an object").remove(member);
    body
}

pub(crate) fn path_of(id: &str) -> String {
    format!("/api/v2/oauth/clients/{id}")
}
