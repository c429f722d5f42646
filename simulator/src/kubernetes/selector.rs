//! Label and field selectors: read, and matched against objects; what may be selected is the kind's business.

use serde_json::Value;

use super::columns::at_path;
use super::error::{ApiError, Result};
use super::object;
use super::resource::Versioned;

/// What a list, watch or deletecollection is narrowed to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    /// `(path in the object, wanted text, must it be equal)`
    fields: Vec<FieldTerm>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldTerm {
    path: String,
    text: String,
    relation: Relation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Equal,
    NotEqual,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    Exists(String),
    Missing(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Above(String, i64),
    Below(String, i64),
}

impl Selector {
    pub(crate) fn parse(labels: &str, fields: &str, of: &Versioned) -> Result<Self> {
        Ok(Self { labels: parse_labels(labels)?, fields: parse_fields(fields, of)? })
    }

    /// A selector as objects write it: `matchLabels` and `matchExpressions`.
    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let label = |key: &str| object::at(object, &["metadata", "labels"]).and_then(|labels| labels.get(key)).and_then(Value::as_str);
        let number = |key: &str| label(key).and_then(|text| text.parse::<i64>().ok());
        let labels = self.labels.iter().all(|requirement| match requirement {
            Requirement::Exists(key) => label(key).is_some(),
            Requirement::Missing(key) => label(key).is_none(),
            Requirement::In(key, values) => label(key).is_some_and(|label| values.iter().any(|value| value == label)),
            Requirement::NotIn(key, values) => !label(key).is_some_and(|label| values.iter().any(|value| value == label)),
            Requirement::Above(key, than) => number(key).is_some_and(|number| number > *than),
            Requirement::Below(key, than) => number(key).is_some_and(|number| number < *than),
        });
        labels && self.fields.iter().all(|term| (field(object, &term.path) == term.text) == (term.relation == Relation::Equal))
    }
}

/// A field as selectors compare it: as text, empty if it is missing.
fn field(object: &Value, path: &str) -> String {
    match at_path(object, path).first() {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    }
}

fn parse_fields(text: &str, of: &Versioned) -> Result<Vec<FieldTerm>> {
    let terms = text.split(',').filter(|term| !term.trim().is_empty());
    terms
        .map(|term| {
            let (name, wanted, relation) = if let Some((name, wanted)) = term.split_once("!=") {
                (name, wanted, Relation::NotEqual)
            } else if let Some((name, wanted)) = term.split_once("==") {
                (name, wanted, Relation::Equal)
            } else if let Some((name, wanted)) = term.split_once('=') {
                (name, wanted, Relation::Equal)
            } else {
                return Err(ApiError::bad_request(format!("invalid selector: '{text}'; can't understand '{term}'")));
            };
            let name = name.trim();
            let path = selectable(name, of).ok_or_else(|| unknown_field(name, of))?;
            Ok(FieldTerm { path, text: wanted.trim().to_owned(), relation })
        })
        .collect()
}

/// Kinds with selectable fields of their own have other words for it than those without.
fn unknown_field(name: &str, of: &Versioned) -> ApiError {
    if !of.kind.is_custom() && of.version.selectable.is_empty() {
        return ApiError::bad_request(format!("{name:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""));
    }
    ApiError::bad_request(format!("field label not supported: {name}"))
}

fn selectable(name: &str, of: &Versioned) -> Option<String> {
    match name {
        "metadata.name" => return Some(".metadata.name".into()),
        "metadata.namespace" if of.kind.is_namespaced() || !of.kind.is_custom() => return Some(".metadata.namespace".into()),
        _ => {}
    }
    of.version.selectable.iter().find(|(selector, _)| selector == name).map(|(_, path)| path.clone())
}

/// Reads a label selector such as `a=b,c in (d,e),!f`.
fn parse_labels(text: &str) -> Result<Vec<Requirement>> {
    let mut requirements = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = end_of_requirement(rest);
        let (one, after) = rest.split_at(end);
        if one.trim().is_empty() {
            return Err(ApiError::bad_request("found ',', expected: !, identifier, or 'end of string'"));
        }
        requirements.push(parse_requirement(one.trim())?);
        rest = after.strip_prefix(',').unwrap_or(after).trim_start();
        if rest.is_empty() && !after.is_empty() {
            return Err(ApiError::bad_request("found '', expected: identifier after ','"));
        }
    }
    Ok(requirements)
}

/// The next comma that stands in no parentheses.
fn end_of_requirement(text: &str) -> usize {
    let mut depth = 0_u32;
    for (index, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => return index,
            _ => {}
        }
    }
    text.len()
}

fn parse_requirement(text: &str) -> Result<Requirement> {
    let unreadable = |why: String| ApiError::bad_request(format!("unable to parse requirement: {why}"));
    if let Some(key) = text.strip_prefix('!') {
        return Ok(Requirement::Missing(key_of(key.trim())?));
    }
    for (operator, make) in [
        ("!=", (|key, value| Requirement::NotIn(key, vec![value])) as fn(String, String) -> Requirement),
        ("==", |key, value| Requirement::In(key, vec![value])),
        ("=", |key, value| Requirement::In(key, vec![value])),
    ] {
        if let Some((key, value)) = text.split_once(operator) {
            let value = value.trim();
            if !is_label_value(value) {
                return Err(unreadable(format!(
                    "values[0][{}]: Invalid value: {value:?}: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
                    key.trim()
                )));
            }
            return Ok(make(key_of(key.trim())?, value.to_owned()));
        }
    }
    for (operator, above) in [('>', true), ('<', false)] {
        if let Some((key, value)) = text.split_once(operator) {
            let number = value.trim().parse().map_err(|_| unreadable("for 'Gt', 'Lt' operators, the value must be an integer".into()))?;
            let key = key_of(key.trim())?;
            return Ok(if above { Requirement::Above(key, number) } else { Requirement::Below(key, number) });
        }
    }
    let mut words = text.splitn(2, char::is_whitespace);
    let (key, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().trim());
    if rest.is_empty() {
        return Ok(Requirement::Exists(key_of(key)?));
    }
    let (operator, values) = rest.split_at(rest.find(|character: char| !character.is_alphabetic()).unwrap_or(rest.len()));
    let values = values.trim();
    let inside = values.strip_prefix('(').and_then(|values| values.strip_suffix(')'));
    let Some(inside) = inside else {
        return Err(unreadable(format!("found '{values}' expected: '('")));
    };
    let values: Vec<String> = inside.split(',').map(|value| value.trim().to_owned()).collect();
    match operator {
        "in" => Ok(Requirement::In(key_of(key)?, values)),
        "notin" => Ok(Requirement::NotIn(key_of(key)?, values)),
        other => Err(unreadable(format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt"))),
    }
}

fn key_of(key: &str) -> Result<String> {
    if key.is_empty() || key.split('/').count() > 2 || key.contains(char::is_whitespace) {
        return Err(ApiError::bad_request(format!(
            "unable to parse requirement: <nil>: Invalid value: {key:?}: name part must be non-empty"
        )));
    }
    Ok(key.to_owned())
}

/// May a label have this value?
pub(crate) fn is_label_value(text: &str) -> bool {
    let edge = |character: Option<char>| character.is_some_and(|character| character.is_ascii_alphanumeric());
    text.is_empty()
        || (text.len() <= 63
            && edge(text.chars().next())
            && edge(text.chars().last())
            && text.chars().all(|character| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.')))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matches(selector: &str) -> bool {
        let object = json!({"metadata": {"labels": {"app": "web", "tier": "2"}}});
        Selector { labels: parse_labels(selector).expect(selector), fields: Vec::new() }.matches(&object)
    }

    #[test]
    fn every_form_of_a_label_selector_is_understood() {
        for yes in [
            "",
            "app",
            "!nope",
            "app=web",
            "app==web",
            "app!=x",
            "nope!=x",
            "app in (web, x)",
            "app notin (y)",
            "nope notin (y)",
            "tier>1",
            "tier<3",
            "app=web,tier in (2,3)",
        ] {
            assert!(matches(yes), "{yes}");
        }
        for no in ["!app", "nope", "app=x", "app!=web", "app in (x)", "nope in (x)", "app notin (web)", "tier>2", "app=web,tier=3"] {
            assert!(!matches(no), "{no}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        assert_eq!(parse_labels("a in b").expect_err("no parentheses").message, "unable to parse requirement: found 'b' expected: '('");
    }
}
