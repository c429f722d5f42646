//! Lists: which objects as of which resourceVersion, and in which pages; it writes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::error::{ApiError, FieldError, Result};
use super::object;
use super::request::Query;
use super::resource::Versioned;
use super::selector::Selector;
use super::state::State;

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Arc<Value>>,
    pub(crate) resource_version: u64,
    /// Where the next page begins.
    pub(crate) next: Option<String>,
    /// How many come after this page; unknown with a selector.
    pub(crate) remaining: Option<usize>,
}

impl Page {
    /// The metadata of the list.
    pub(crate) fn metadata(&self) -> Value {
        let mut metadata = json!({"resourceVersion": self.resource_version.to_string()});
        if let Some(next) = &self.next {
            metadata["continue"] = next.clone().into();
        }
        if let Some(remaining) = self.remaining {
            metadata["remainingItemCount"] = remaining.into();
        }
        metadata
    }
}

const TOO_OLD: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";

/// What a list asks for beyond its selector.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ListOptions<'a> {
    version: &'a str,
    matching: &'a str,
    limit: Option<u64>,
    next: &'a str,
}

fn options(query: &Query) -> Result<ListOptions<'_>> {
    query.check_numbers()?;
    let options = ListOptions {
        version: query.text("resourceVersion"),
        matching: query.text("resourceVersionMatch"),
        limit: query.number("limit").filter(|limit| *limit > 0),
        next: query.text("continue"),
    };
    let mut errors = Vec::new();
    if !matches!(options.matching, "" | "Exact" | "NotOlderThan") {
        errors.push(FieldError::not_supported("resourceVersionMatch", &format!("{:?}", options.matching), &["Exact", "NotOlderThan", ""]));
    } else if !options.matching.is_empty() {
        if options.version.is_empty() {
            errors.push(FieldError::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ));
        } else if !options.next.is_empty() {
            errors.push(FieldError::forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"));
        } else if options.version == "0" && options.matching == "Exact" {
            errors.push(FieldError::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ));
        }
    }
    if query.is_true("sendInitialEvents") {
        errors.push(FieldError::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    if errors.is_empty() { Ok(options) } else { Err(ApiError::invalid("meta.k8s.io", "ListOptions", "", &errors)) }
}

/// A resourceVersion that a client named.
pub(crate) fn parse_version(text: &str) -> Result<u64> {
    text.parse().map_err(|_| {
        ApiError::internal(format!("resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"))
    })
}

/// One page of the objects of a kind.
pub(crate) fn list(state: &State, of: &Versioned, namespace: &str, selector: &Selector, query: &Query) -> Result<Page> {
    let options = options(query)?;
    let resource = &of.kind.stored_as;
    let current = state.resource_version();
    let (version, start) = if options.next.is_empty() {
        (wanted_version(&options, current)?, None)
    } else {
        if !options.version.is_empty() && options.version != "0" {
            return Err(ApiError::bad_request("specifying resource version is not allowed when using continue"));
        }
        let (version, start) = decode_token(options.next)?;
        (if version == 0 { current } else { version }, Some(start))
    };
    let objects = if version == current {
        state.objects(resource).map(|(key, object)| (key.clone(), Arc::clone(object))).collect()
    } else {
        state.objects_at(resource, version).map_err(|_| compacted(start.as_deref()))?
    };
    Ok(page(objects, version, start.as_deref(), namespace, selector, options.limit))
}

/// All objects of a kind as they were.
pub(crate) fn list_at(state: &State, of: &Versioned, namespace: &str, selector: &Selector, version: u64) -> Result<Page> {
    let objects = state.objects_at(&of.kind.stored_as, version).map_err(|_| compacted(None))?;
    Ok(page(objects, version, None, namespace, selector, None))
}

fn wanted_version(options: &ListOptions<'_>, current: u64) -> Result<u64> {
    if options.version.is_empty() || options.version == "0" {
        return Ok(current);
    }
    let asked = parse_version(options.version)?;
    if asked > current {
        return Err(ApiError::too_large_resource_version(asked, current));
    }
    // Without a word about the match, a limit makes it exact, as it always was.
    let exact = options.matching == "Exact" || (options.matching.is_empty() && options.limit.is_some());
    Ok(if exact { asked } else { current })
}

fn compacted(start: Option<&str>) -> ApiError {
    match start {
        Some(start) => {
            let mut error = ApiError::expired(TOO_OLD);
            error.continue_with = Some(encode_token(0, start));
            error
        }
        None => ApiError::expired("The resourceVersion for the provided list is too old."),
    }
}

fn page(
    objects: BTreeMap<String, Arc<Value>>,
    version: u64,
    start: Option<&str>,
    namespace: &str,
    selector: &Selector,
    limit: Option<u64>,
) -> Page {
    let in_place = |(_, object): &(String, Arc<Value>)| namespace.is_empty() || object::namespace(object) == namespace;
    let after = |(key, _): &(String, Arc<Value>)| start.is_none_or(|start| key.as_str() >= start);
    let mut found = objects.into_iter().filter(in_place).filter(after).filter(|(_, object)| selector.matches(object));
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let mut objects = Vec::new();
    let mut last = String::new();
    for (key, object) in found.by_ref() {
        last = key;
        objects.push(object);
        if objects.len() == limit {
            break;
        }
    }
    let left = found.count();
    Page {
        objects,
        resource_version: version,
        next: (left > 0).then(|| encode_token(version, &format!("{last}\0"))),
        remaining: (left > 0 && selector.is_everything()).then_some(left),
    }
}

fn encode_token(version: u64, start: &str) -> String {
    let version = if version == 0 { json!(-1) } else { json!(version) };
    URL_SAFE_NO_PAD.encode(json!({"v": "meta.k8s.io/v1", "rv": version, "start": start}).to_string())
}

fn decode_token(token: &str) -> Result<(u64, String)> {
    let unreadable = |why: &str| ApiError::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
    let bytes = URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).map_err(|error| unreadable(&error.to_string()))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| unreadable(&error.to_string()))?;
    let start = object::text(&value, &["start"]);
    if start.is_empty() {
        return Err(unreadable("missing start"));
    }
    Ok((value["rv"].as_u64().unwrap_or(0), start.to_owned()))
}
