//! Checks of names, labels, finalizers and owners, which hold for all kinds; it changes nothing.

use serde_json::Value;

use super::delete::{FOREGROUND, ORPHAN};
use super::error::FieldError;
use super::object;
use super::resource::{Kind, Origin};
use super::selector::is_label_value;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const PREFIX_PART: &str = "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
/// How many bytes all annotations may have together.
const ANNOTATIONS: usize = 256 * 1024;
const QUALIFIED: &str = "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
const NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

/// Everything that is wrong with an object's metadata.
pub(crate) fn errors(object: &Value, kind: &Kind) -> Vec<FieldError> {
    let mut errors = Vec::new();
    name(object, kind, &mut errors);
    labels(object, &mut errors);
    finalizers(object, kind, &mut errors);
    owners(object, &mut errors);
    errors
}

fn name(object: &Value, kind: &Kind, errors: &mut Vec<FieldError>) {
    let prefix = object::text(object, &["metadata", "generateName"]);
    if !prefix.is_empty() {
        // What comes behind it makes a dash at its end a good one.
        let masked = prefix.strip_suffix('-').map_or_else(|| prefix.to_owned(), |prefix| format!("{prefix}a"));
        errors.extend(name_defects(&masked, kind).iter().map(|why| FieldError::invalid("metadata.generateName", &prefix.into(), why)));
    }
    let name = object::name(object);
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
        return;
    }
    errors.extend(name_defects(name, kind).iter().map(|why| FieldError::invalid("metadata.name", &name.into(), why)));
}

/// What keeps a text from being the name of an object of the kind.
fn name_defects(name: &str, kind: &Kind) -> Vec<String> {
    let mut defects = Vec::new();
    match (kind.id.group.as_str(), kind.id.resource.as_str()) {
        // Names of roles are segments of paths.
        ("rbac.authorization.k8s.io", _) => {
            defects.extend(["/", "%"].into_iter().find(|bad| name.contains(bad)).map(|bad| format!("may not contain '{bad}'")));
        }
        ("", "namespaces") => {
            if name.len() > 63 {
                defects.push("must be no more than 63 characters".to_owned());
            }
            if !is_label(name) {
                defects.push(LABEL.to_owned());
            }
        }
        _ => {
            if name.len() > 253 {
                defects.push("must be no more than 253 characters".to_owned());
            }
            if !name.split('.').all(is_label) {
                defects.push(SUBDOMAIN.to_owned());
            }
        }
    }
    defects
}

fn is_label(text: &str) -> bool {
    let edge = |character: Option<char>| character.is_some_and(|character| character.is_ascii_lowercase() || character.is_ascii_digit());
    edge(text.chars().next())
        && edge(text.chars().last())
        && text.chars().all(|character| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-')
}

/// Is it a name such as `example.com`?
pub(crate) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// What keeps a text from being a qualified name such as `example.com/name`.
fn qualified_name(text: &str) -> Option<&'static str> {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    if name.contains('/') {
        return Some(QUALIFIED);
    }
    if name.is_empty() {
        return Some("name part must be non-empty");
    }
    if name.len() > 63 {
        return Some("name part must be no more than 63 characters");
    }
    match prefix {
        Some("") => return Some("prefix part must be non-empty"),
        Some(prefix) if !is_subdomain(prefix) => return Some(PREFIX_PART),
        _ => {}
    }
    (!is_label_value(name)).then_some(NAME_PART)
}

fn labels(object: &Value, errors: &mut Vec<FieldError>) {
    for member in ["labels", "annotations"] {
        let field = format!("metadata.{member}");
        let Some(Value::Object(map)) = object::at(object, &["metadata", member]) else { continue };
        let size: usize = map.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
        if member == "annotations" && size > ANNOTATIONS {
            errors.push(FieldError::too_long(&field, ANNOTATIONS as u64));
        }
        for (key, value) in map {
            // The keys of annotations may be written in capitals.
            let judged = if member == "annotations" { key.to_lowercase() } else { key.clone() };
            if let Some(why) = qualified_name(&judged) {
                errors.push(FieldError::invalid(&field, &key.clone().into(), why));
            }
            let text = value.as_str().unwrap_or_default();
            if member == "labels" && text.len() > 63 {
                errors.push(FieldError::invalid(&field, value, "must be no more than 63 bytes"));
            } else if member == "labels" && !is_label_value(text) {
                errors.push(FieldError::invalid(&field, value, LABEL_VALUE));
            }
        }
    }
}

fn finalizers(object: &Value, kind: &Kind, errors: &mut Vec<FieldError>) {
    const KNOWN: &[&str] = &["kubernetes", FOREGROUND, ORPHAN];
    let all = object::finalizers(object);
    for (index, finalizer) in all.iter().enumerate() {
        if let Some(why) = qualified_name(finalizer) {
            errors.push(FieldError::invalid("metadata.finalizers", &(*finalizer).into(), why));
        } else if kind.origin == Origin::BuiltIn && kind.id.group.is_empty() && !finalizer.contains('/') && !KNOWN.contains(finalizer) {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(format!("metadata.finalizers[{index}]"), &(*finalizer).into(), why));
        }
    }
    if all.contains(&FOREGROUND) && all.contains(&ORPHAN) {
        let why = format!("finalizer {ORPHAN} and {FOREGROUND} cannot be both set");
        errors.push(FieldError::invalid("metadata.finalizers", &all.into(), &why));
    }
}

fn owners(object: &Value, errors: &mut Vec<FieldError>) {
    let owners = object::owner_references(object);
    for owner in owners {
        let (version, kind) = (object::text(owner, &["apiVersion"]), object::text(owner, &["kind"]));
        if version.split('/').count() > 2 {
            errors.push(FieldError::invalid("metadata.ownerReferences.apiVersion", &version.into(), "version must not be empty"));
        }
        if version == "v1" && kind == "Event" {
            errors.push(FieldError::invalid("metadata.ownerReferences", owner, "/v1, Kind=Event is disallowed from being an owner"));
        }
        for member in ["apiVersion", "kind", "name", "uid"] {
            if object::text(owner, &[member]).is_empty() {
                let field = format!("metadata.ownerReferences.{member}");
                let why = if member == "apiVersion" { "version must not be empty".to_owned() } else { "must not be empty".to_owned() };
                errors.push(FieldError::invalid(field, &"".into(), &why));
            }
        }
    }
    let controllers: Vec<&Value> = owners.iter().filter(|owner| owner.get("controller") == Some(&Value::Bool(true))).collect();
    if controllers.len() > 1 {
        let why = format!(
            "Only one reference can have Controller set to true. Found \"true\" in references for {}/{} and {}/{}",
            object::text(controllers[0], &["kind"]),
            object::text(controllers[0], &["name"]),
            object::text(controllers[1], &["kind"]),
            object::text(controllers[1], &["name"])
        );
        errors.push(FieldError::invalid("metadata.ownerReferences", &Value::Array(owners.to_vec()), &why));
    }
}

/// What an update may not do to metadata.
pub(crate) fn update_errors(old: &Value, new: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for member in ["uid", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let (before, after) = (object::at(old, &["metadata", member]), object::at(new, &["metadata", member]));
        if before != after {
            errors.push(FieldError::invalid(format!("metadata.{member}"), after.unwrap_or(&Value::Null), "field is immutable"));
        }
    }
    if object::is_terminating(old) {
        let before = object::finalizers(old);
        let added: Vec<&str> = object::finalizers(new).into_iter().filter(|finalizer| !before.contains(finalizer)).collect();
        if !added.is_empty() {
            let told: Vec<String> = added.iter().map(|finalizer| format!("{finalizer:?}")).collect();
            let why = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                told.join(", ")
            );
            errors.push(FieldError::forbidden("metadata.finalizers", &why));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::builtin;
    use super::*;

    fn told(object: &Value) -> Vec<String> {
        let registry = builtin::registry();
        let kind = registry.find("", "v1", "secrets").expect("it is there").kind;
        errors(object, &kind).into_iter().map(|error| format!("{}: {}", error.field, error.detail)).collect()
    }

    #[test]
    fn names_and_labels_are_checked() {
        assert!(told(&json!({"metadata": {"name": "a.b-c", "labels": {"x.io/y": "Z_1"}}})).is_empty());
        assert!(
            told(&json!({"metadata": {"name": "A"}}))[0].starts_with("metadata.name: Invalid value: \"A\": a lowercase RFC 1123 subdomain")
        );
        assert!(
            told(&json!({"metadata": {"name": "a", "labels": {"x": "a b"}}}))[0]
                .starts_with("metadata.labels: Invalid value: \"a b\": a valid label")
        );
        assert_eq!(told(&json!({"metadata": {}})), ["metadata.name: Required value: name or generateName is required"]);
    }

    #[test]
    fn a_generated_name_has_a_good_prefix_and_an_annotation_may_be_loud() {
        assert!(told(&json!({"metadata": {"name": "a", "generateName": "a-", "annotations": {"X.io/Y": ""}}})).is_empty());
        assert!(
            told(&json!({"metadata": {"name": "a", "generateName": "A"}}))[0].starts_with("metadata.generateName: Invalid value: \"A\"")
        );
        assert!(
            told(&json!({"metadata": {"name": "a", "finalizers": ["x"]}}))[0].starts_with("metadata.finalizers[0]: Invalid value: \"x\"")
        );
    }

    #[test]
    fn no_finalizer_comes_to_what_is_going() {
        let old = json!({"metadata": {"deletionTimestamp": "t", "finalizers": ["a/b"]}});
        let new = json!({"metadata": {"deletionTimestamp": "t", "finalizers": ["a/b", "a/c"]}});
        assert_eq!(
            update_errors(&old, &new)[0].detail,
            "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"a/c\"}"
        );
    }
}
