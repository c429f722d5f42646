//! What a request asks for: verb, resource and options, read from method, path, query and headers; it carries nothing out.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::error::{ApiError, FieldError, Result};
use super::resource::GroupResource;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Read one object.
    Get,
    /// Read many.
    List,
    /// Follow changes.
    Watch,
    /// Make one.
    Create,
    /// Replace one.
    Update,
    /// Change one, or make it by an apply.
    Patch,
    /// Delete one.
    Delete,
    /// Delete many.
    DeleteCollection,
}

impl Verb {
    /// The word that roles and logs use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }

    /// Can it change anything?
    #[must_use]
    pub const fn writes(self) -> bool {
        !matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

impl std::fmt::Display for Verb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) verb: Verb,
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) resource: String,
    pub(crate) subresource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Target {
    pub(crate) fn id(&self) -> GroupResource {
        GroupResource::new(&self.group, &self.resource)
    }
}

/// A path of the API: a resource, or a page about the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    Resource(Target),
    Page,
}

/// A request, read as far as possible without knowing the kinds.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body's media type without parameters.
    pub(crate) fn content_type(&self) -> &str {
        self.header("content-type").split(';').next().unwrap_or_default().trim()
    }

    pub(crate) fn route(&self) -> Route {
        let parts: Vec<&str> = self.path.split('/').filter(|part| !part.is_empty()).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return Route::Page,
        };
        // The old way to ask for a watch.
        let (watched, rest) = match rest {
            ["watch", rest @ ..] if !rest.is_empty() => (true, rest),
            rest => (false, rest),
        };
        let (namespace, resource, name, subresource) = match rest {
            // A namespace is a resource itself, and its two subresources look like resources in it.
            ["namespaces", name, subresource @ ("status" | "finalize")] if group.is_empty() => ("", "namespaces", *name, *subresource),
            ["namespaces", namespace, resource] => (*namespace, *resource, "", ""),
            ["namespaces", namespace, resource, name] => (*namespace, *resource, *name, ""),
            ["namespaces", namespace, resource, name, subresource] => (*namespace, *resource, *name, *subresource),
            [resource] => ("", *resource, "", ""),
            [resource, name] => ("", *resource, *name, ""),
            [resource, name, subresource] => ("", *resource, *name, *subresource),
            _ => return Route::Page,
        };
        let Some(verb) = (if watched { Some(Verb::Watch) } else { self.verb(name) }) else { return Route::Page };
        Route::Resource(Target {
            verb,
            group: group.into(),
            version: version.into(),
            resource: resource.into(),
            subresource: subresource.into(),
            namespace: if resource == "namespaces" && group.is_empty() { String::new() } else { decoded(namespace) },
            name: decoded(name),
        })
    }

    fn verb(&self, name: &str) -> Option<Verb> {
        Some(match self.method.as_str() {
            "GET" | "HEAD" if self.query.is_true("watch") => Verb::Watch,
            "GET" | "HEAD" if name.is_empty() => Verb::List,
            "GET" | "HEAD" => Verb::Get,
            "POST" => Verb::Create,
            "PUT" => Verb::Update,
            "PATCH" => Verb::Patch,
            "DELETE" if name.is_empty() => Verb::DeleteCollection,
            "DELETE" => Verb::Delete,
            _ => return None,
        })
    }
}

/// The members of a query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query(BTreeMap<String, Vec<String>>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            members.entry(decoded(name)).or_default().push(decoded(value));
        }
        Self(members)
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(|values| values.first()).map_or("", String::as_str)
    }

    pub(crate) fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// A flag: what is there is true unless it says no.
    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.all(name).first().is_some_and(|value| !value.eq_ignore_ascii_case("false") && value != "0")
    }

    /// Numbers of lists and watches must be numbers.
    pub(crate) fn check_numbers(&self) -> Result<()> {
        for name in ["limit", "timeoutSeconds"] {
            let value = self.text(name);
            if !value.is_empty() && value.parse::<i64>().is_err() {
                return Err(ApiError::bad_request(format!("strconv.ParseInt: parsing {value:?}: invalid syntax")));
            }
        }
        Ok(())
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.text(name).parse().ok()
    }

    /// How long a watch lasts at most.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.number("timeoutSeconds").map(Duration::from_secs)
    }
}

/// Percent-decoded, with `+` for a blank.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let hex =
            bytes.get(index + 1..index + 3).and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[index], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                index += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        index += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Is the write to be kept?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commit {
    Keep,
    DryRun,
}

/// What becomes of members that the schema does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// The options of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WriteOptions {
    pub(crate) commit: Commit,
    pub(crate) manager: String,
    pub(crate) field_validation: FieldValidation,
    pub(crate) force: bool,
}

/// How a patch is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchType {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl PatchType {
    pub(crate) fn of(content_type: &str) -> Result<Self> {
        match content_type {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" => Ok(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            _ => Err(ApiError::unsupported_media_type(None)),
        }
    }
}

impl WriteOptions {
    pub(crate) fn read(request: &Request, options: &str, patch: Option<PatchType>) -> Result<Self> {
        let query = &request.query;
        let mut errors = Vec::new();
        let dry_run = query.all("dryRun");
        if dry_run.iter().any(|value| value != "All") {
            let told: Vec<String> = dry_run.iter().map(|value| format!("{value:?}")).collect();
            errors.push(FieldError::not_supported("dryRun", &format!("[]string{{{}}}", told.join(", ")), &["All"]));
        }
        let named = query.text("fieldManager");
        if named.len() > 128 {
            errors.push(FieldError::too_long("fieldManager", 128));
        }
        if let Some((index, bad)) = named.char_indices().find(|(_, character)| character.is_control()) {
            let why = format!("invalid character U+{:04X} (at position {index})", u32::from(bad));
            errors.push(FieldError::invalid("fieldManager", &named.into(), &why));
        }
        let field_validation = match query.text("fieldValidation") {
            "" | "Warn" => FieldValidation::Warn,
            "Strict" => FieldValidation::Strict,
            "Ignore" => FieldValidation::Ignore,
            other => {
                errors.push(FieldError::not_supported("fieldValidation", &format!("{other:?}"), &["", "Ignore", "Strict", "Warn"]));
                FieldValidation::Warn
            }
        };
        match patch {
            Some(PatchType::Apply) if named.is_empty() => errors.push(FieldError::required("fieldManager", "is required for apply patch")),
            Some(PatchType::Json | PatchType::Merge | PatchType::Strategic) if !query.text("force").is_empty() => {
                errors.push(FieldError::forbidden("force", "may not be specified for non-apply patch"));
            }
            _ => {}
        }
        if !errors.is_empty() {
            return Err(ApiError::invalid("meta.k8s.io", options, "", &errors));
        }
        let manager = if named.is_empty() { manager_of(request.header("user-agent")) } else { named.to_owned() };
        let commit = if dry_run.is_empty() { Commit::Keep } else { Commit::DryRun };
        Ok(Self { commit, manager, field_validation, force: query.is_true("force") })
    }
}

/// The manager of a client that names none: its user agent up to the first slash.
fn manager_of(user_agent: &str) -> String {
    let name: String =
        user_agent.split('/').next().unwrap_or_default().chars().filter(|character| !character.is_control()).take(128).collect();
    if name.is_empty() { "unknown".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(method: &str, path: &str, query: &str) -> Option<(String, String)> {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let request = Request { method, path: path.into(), query: Query::parse(query), headers: HeaderMap::new(), body: Bytes::new() };
        match request.route() {
            Route::Resource(target) => {
                Some((format!("{} {}", target.verb, target.id()), format!("{}|{}|{}", target.namespace, target.name, target.subresource)))
            }
            Route::Page => None,
        }
    }

    #[test]
    fn paths_are_read_as_the_server_reads_them() {
        let told = |one: &str, two: &str| Some((one.to_owned(), two.to_owned()));
        assert_eq!(target("GET", "/api/v1/namespaces/a/secrets", ""), told("list secrets", "a||"));
        assert_eq!(target("GET", "/api/v1/namespaces/a", ""), told("get namespaces", "|a|"));
        assert_eq!(target("PUT", "/api/v1/namespaces/a/finalize", ""), told("update namespaces", "|a|finalize"));
        assert_eq!(target("GET", "/apis/apps/v1/deployments", "watch=1"), told("watch deployments.apps", "||"));
        assert_eq!(target("PATCH", "/apis/apps/v1/namespaces/a/deployments/b/status", ""), told("patch deployments.apps", "a|b|status"));
        assert_eq!(target("DELETE", "/api/v1/namespaces/a/secrets", ""), told("deletecollection secrets", "a||"));
        assert_eq!(target("GET", "/openapi/v3", ""), None);
    }

    #[test]
    fn queries_are_decoded() {
        let query = Query::parse("labelSelector=a%3Db%2Cc+in+%28d%29&limit=5");
        assert_eq!(query.text("labelSelector"), "a=b,c in (d)");
        assert_eq!(query.number("limit"), Some(5));
    }

    #[test]
    fn a_client_without_a_manager_is_known_by_its_agent() {
        assert_eq!(manager_of("kubectl/v1.32.4 (linux/amd64)"), "kubectl");
        assert_eq!(manager_of(""), "unknown");
    }
}
