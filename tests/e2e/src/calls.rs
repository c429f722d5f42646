//! Names calls so that two runs of a story can be compared, and says which of them belong to a story; no I/O.

use std::fmt;

use http::Method;
use serde_json::Value;

/// The word that stands for the operator's own namespace.
pub const OPERATOR_NAMESPACE: &str = "{operator-namespace}";

/// Which server a call went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// kube-apiserver.
    Kubernetes,
    /// The Platform API.
    Platform,
    /// The login host, which gives tokens.
    TokenHost,
}

/// One call that a proxy saw.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts of a call, each asked for by name")]
pub struct Call {
    /// Which server it went to.
    pub side: Side,
    /// `METHOD path`, with everything that differs between runs replaced by a word in braces.
    pub key: String,
    /// Which call with this key it was since the recorder was armed, from 1.
    pub occurrence: usize,
    /// Whether it can change something there.
    pub write: bool,
    /// Whether it only asked what would happen.
    pub dry_run: bool,
    /// Whether it recorded an Event.
    pub event: bool,
    /// Whether it belongs to a story: not a watch, a cache's list, discovery, an Event or an organization's own business.
    pub relevant: bool,
    /// The reply's status; none while it is under way or if it was never given.
    pub status: Option<u16>,
}

impl fmt::Display for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} #{} -> ", self.key, self.occurrence)?;
        match self.status {
            Some(status) => write!(formatter, "{status}"),
            None => write!(formatter, "no reply"),
        }
    }
}

/// What differs between runs: names, and the word that stands for each.
#[derive(Debug, Clone, Default)]
pub struct Words(Vec<(String, &'static str)>);

impl Words {
    /// Replaces the path segment `name` by `word`.
    #[must_use]
    pub fn with(mut self, name: &str, word: &'static str) -> Self {
        self.0.push((name.to_owned(), word));
        self
    }

    fn segment<'a>(&'a self, segment: &'a str) -> &'a str {
        if is_uuid(segment) {
            return "{id}";
        }
        self.0.iter().find(|(name, _)| name == segment).map_or(segment, |(_, word)| word)
    }
}

/// Describes a call; `occurrence` and `status` are filled in by the recorder.
#[must_use]
pub fn describe(kubernetes: bool, method: &Method, path: &str, query: &str, words: &Words) -> Call {
    let dry_run = query.split('&').any(|pair| pair.starts_with("dryRun="));
    let watch = query.split('&').any(|pair| pair == "watch=true" || pair == "watch=1");
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let mutating = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let side = match (kubernetes, segments.first()) {
        (true, _) => Side::Kubernetes,
        (false, Some(&"oauth" | &".well-known")) => Side::TokenHost,
        (false, _) => Side::Platform,
    };
    let (shown, event, relevant) = if kubernetes { kubernetes_path(&segments, mutating, words) } else { platform_path(&segments, words) };
    let suffix = if dry_run { "?dryRun" } else { "" };
    Call {
        side,
        key: format!("{method} {shown}{suffix}"),
        occurrence: 0,
        write: mutating && !dry_run && side != Side::TokenHost,
        dry_run,
        event,
        relevant: relevant && !watch,
        status: None,
    }
}

/// The step of a rotation that a status tells, as a suffix of the key of its write: a crash cell is struck at a step, not at a number.
#[must_use]
pub fn step(key: &str, body: &[u8]) -> Option<String> {
    if !key.starts_with("PUT genesysoauthclients/") || !key.ends_with("/status") {
        return None;
    }
    let object: Value = serde_json::from_slice(body).ok()?;
    let status = &object["status"];
    let retiring = status["retiring"].as_array().is_some_and(|all| !all.is_empty());
    let step = status["rotation"]["current"]["step"].as_str().or(retiring.then_some("Retiring"))?;
    Some(format!(" [{step}]"))
}

/// `/apis/GROUP/VERSION/namespaces/NS/KIND/NAME` becomes `KIND/NAME`; discovery, collections, Events and what lies in the
/// operator's own namespace are no story's.
fn kubernetes_path(segments: &[&str], mutating: bool, words: &Words) -> (String, bool, bool) {
    let (["api", _, rest @ ..] | ["apis", _, _, rest @ ..]) = segments else {
        return (format!("/{}", segments.join("/")), false, false);
    };
    let own = matches!(rest, ["namespaces", namespace, ..] if words.segment(namespace) == OPERATOR_NAMESPACE);
    let rest = match rest {
        ["namespaces", _, kind, rest @ ..] if !matches!(*kind, "status" | "finalize") => [&[*kind][..], rest].concat(),
        rest => rest.to_vec(),
    };
    let shown: Vec<&str> = rest.iter().map(|segment| words.segment(segment)).collect();
    let event = rest.first() == Some(&"events");
    let relevant = match rest.as_slice() {
        _ if own => false,
        [] | ["events" | "genesysorganizations" | "leases", ..] => false,
        // A list fills a cache; a create names its collection alone, as the Secret's does.
        [_] => mutating,
        _ => true,
    };
    (shown.join("/"), event, relevant)
}

/// The platform's paths stay as they are; the organization's own health call is no story's.
fn platform_path(segments: &[&str], words: &Words) -> (String, bool, bool) {
    let shown: Vec<&str> = segments.iter().map(|segment| words.segment(segment)).collect();
    let relevant = segments != ["api", "v2", "organizations", "me"];
    (format!("/{}", shown.join("/")), false, relevant)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.char_indices().all(|(index, letter)| match index {
            8 | 13 | 18 | 23 => letter == '-',
            _ => letter.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kubernetes: bool, method: &Method, path: &str, query: &str) -> (String, bool, bool) {
        let words = Words::default().with("cell-7", "{namespace}").with("cell-org", "{organization}").with("cell-7-op", OPERATOR_NAMESPACE);
        let call = describe(kubernetes, method, path, query, &words);
        (call.key, call.relevant, call.write)
    }

    #[test]
    fn names_do_not_differ_between_runs() {
        let group = "/apis/oauth.genesys-operator.io/v1alpha1";
        let cases = [
            (
                true,
                Method::PUT,
                format!("{group}/namespaces/cell-7/genesysoauthclients/client/status"),
                "fieldManager=x",
                "PUT genesysoauthclients/client/status",
                true,
                true,
            ),
            (true, Method::GET, "/api/v1/namespaces/cell-7".to_owned(), "", "GET namespaces/{namespace}", true, false),
            (true, Method::GET, format!("{group}/genesysoauthclients"), "limit=500", "GET genesysoauthclients", false, false),
            (
                true,
                Method::GET,
                format!("{group}/namespaces/cell-7/genesysoauthclients"),
                "watch=true",
                "GET genesysoauthclients",
                false,
                false,
            ),
            (true, Method::POST, "/api/v1/namespaces/cell-7/secrets".to_owned(), "", "POST secrets", true, true),
            (true, Method::POST, "/api/v1/namespaces/cell-7/secrets".to_owned(), "dryRun=All", "POST secrets?dryRun", true, false),
            (true, Method::POST, "/apis/events.k8s.io/v1/namespaces/cell-7/events".to_owned(), "", "POST events", false, true),
            (
                true,
                Method::PUT,
                format!("{group}/genesysorganizations/cell-org/status"),
                "",
                "PUT genesysorganizations/{organization}/status",
                false,
                true,
            ),
            (true, Method::GET, "/api/v1/namespaces/cell-7-op/secrets/c".to_owned(), "", "GET secrets/c", false, false),
            (true, Method::GET, "/apis".to_owned(), "", "GET /apis", false, false),
            (
                false,
                Method::PUT,
                "/api/v2/oauth/clients/7a4cd0a1-70e5-4b5c-8ad4-3b21ba0a4f0e".to_owned(),
                "",
                "PUT /api/v2/oauth/clients/{id}",
                true,
                true,
            ),
            (false, Method::POST, "/oauth/token".to_owned(), "", "POST /oauth/token", true, false),
            (false, Method::GET, "/api/v2/organizations/me".to_owned(), "", "GET /api/v2/organizations/me", false, false),
        ];
        for (kubernetes, method, path, query, wanted, relevant, write) in cases {
            assert_eq!(key(kubernetes, &method, &path, query), (wanted.to_owned(), relevant, write), "{path}");
        }
    }

    #[test]
    fn a_write_of_status_is_named_after_its_step() {
        let told = |status: &str| step("PUT genesysoauthclients/client/status", format!("{{\"status\":{status}}}").as_bytes());
        assert_eq!(told(r#"{"rotation":{"current":{"step":"Draining"}},"retiring":[{}]}"#).as_deref(), Some(" [Draining]"));
        assert_eq!(told(r#"{"rotation":{},"retiring":[{}]}"#).as_deref(), Some(" [Retiring]"));
        assert_eq!(told(r#"{"rotation":{},"retiring":[]}"#), None);
        assert_eq!(step("PUT secrets/client", br#"{"status":{"retiring":[{}]}}"#), None);
    }
}
