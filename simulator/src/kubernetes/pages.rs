//! The pages about the server itself: version, health, discovery and schemas; it serves no objects.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::discovery::{self, AGGREGATED, Part};
use super::openapi;
use super::request::Request;
use super::state::State;

/// A page.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) media_type: &'static str,
    pub(crate) body: Bytes,
}

fn json_page(media_type: &'static str, body: &Value) -> Page {
    Page { status: StatusCode::OK, media_type, body: body.to_string().into() }
}

fn text_page(status: StatusCode, text: &'static str) -> Page {
    Page { status, media_type: "text/plain; charset=utf-8", body: Bytes::from_static(text.as_bytes()) }
}

const JSON: &str = "application/json";

/// The page at a request's path.
pub(crate) fn page(state: &State, request: &Request) -> Page {
    let kinds = &state.kinds;
    let parts: Vec<&str> = request.path.split('/').filter(|part| !part.is_empty()).collect();
    let aggregated = request
        .header("accept")
        .split(',')
        .any(|wanted| wanted.contains("as=APIGroupDiscoveryList") && wanted.contains("v=v2;") | wanted.ends_with("v=v2"));
    let found = match parts.as_slice() {
        ["healthz" | "livez" | "readyz", ..] => return text_page(StatusCode::OK, "ok"),
        ["version"] => Some(version()),
        ["api"] if aggregated => return json_page(AGGREGATED, &discovery::aggregated(kinds, Part::Core)),
        ["apis"] if aggregated => return json_page(AGGREGATED, &discovery::aggregated(kinds, Part::Named)),
        ["api"] => Some(discovery::api_versions(request.header("host"))),
        ["apis"] => Some(discovery::groups(kinds)),
        ["api", version] => discovery::resources(kinds, "", version),
        ["apis", group] => discovery::group(kinds, group),
        ["apis", group, version] => discovery::resources(kinds, group, version),
        ["openapi", "v3"] => Some(openapi::index(kinds)),
        ["openapi", "v3", "api", version] => openapi::document(kinds, "", version),
        ["openapi", "v3", "apis", group, version] => openapi::document(kinds, group, version),
        ["openapi", "v2"] if !request.header("accept").contains("protobuf") => Some(openapi::swagger(kinds)),
        ["openapi", "v2"] => {
            let body = openapi::version_2().into();
            return Page { status: StatusCode::OK, media_type: "application/com.github.proto-openapi.spec.v2.v1.0+protobuf", body };
        }
        [] => {
            Some(json!({"paths": ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"]}))
        }
        _ => None,
    };
    found.map_or_else(|| text_page(StatusCode::NOT_FOUND, "404 page not found\n"), |body| json_page(JSON, &body))
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "33", "gitVersion": "v1.33.0+simulated", "gitCommit": "0000000000000000000000000000000000000000",
        "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "rustc", "platform": "linux/amd64",
    })
}
