//! Bodies into objects of a kind and back: decoding, unknown fields, the forms of events; it stores nothing.

use serde_json::{Map, Value};

use super::builtin;
use super::duplicates;
use super::error::{ApiError, FieldError, Result};
use super::object;
use super::protobuf;
use super::request::{FieldValidation, Request};
use super::resource::{GroupResource, Origin, Versioned};
use super::schema::Node;
use super::structure;
use super::validate::{join, validate};

/// A decoded object, and what the client is warned of.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) object: Value,
    pub(crate) warnings: Vec<String>,
}

/// The body as a value: JSON, or YAML where that is allowed.
pub(crate) fn read_body(request: &Request, of: &Versioned) -> Result<Value> {
    let yaml = match request.content_type() {
        "" | "application/json" => false,
        "application/yaml" | "application/apply-patch+yaml" => true,
        "application/vnd.kubernetes.protobuf" => {
            let unknown = || {
                ApiError::bad_request(format!(
                    "the object provided is unrecognized (must be of type {}): it is not readable in binary form",
                    of.kind.kind
                ))
            };
            return protobuf::read(&request.body).ok_or_else(unknown);
        }
        _ => {
            return Err(ApiError::unsupported_media_type(Some("application/json, application/yaml, application/vnd.kubernetes.protobuf")));
        }
    };
    let unreadable = |why: String| {
        let text = String::from_utf8_lossy(&request.body);
        let told = format!(
            "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: {why} ({text})",
            of.kind.kind
        );
        ApiError::bad_request(told)
    };
    match serde_json::from_slice(&request.body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(unreadable("json: cannot unmarshal the body into an object".into())),
        Err(_) if yaml => {
            serde_yaml::from_slice(&request.body).map_err(|error| ApiError::bad_request(format!("error decoding YAML: {error}")))
        }
        Err(error) if error.is_eof() => Err(unreadable("unexpected end of JSON input".into())),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

/// What to say of members that a body names twice.
pub(crate) fn duplicates(request: &Request, of: &Versioned, validation: FieldValidation) -> Result<Vec<String>> {
    let told: Vec<String> = duplicates::duplicates(&request.body).iter().map(|path| format!("duplicate field \"{path}\"")).collect();
    match validation {
        FieldValidation::Strict if !told.is_empty() => Err(cannot_be_handled(of, &format!("strict decoding error: {}", told.join(", ")))),
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn | FieldValidation::Strict => Ok(told),
    }
}

/// Makes an object of the kind of what a client sent.
pub(crate) fn decode(mut value: Value, of: &Versioned, validation: FieldValidation) -> Result<Decoded> {
    check_type(&value, of)?;
    set_type(&mut value, of);
    let schema = of.version.schema.root();
    let mut warnings = Vec::new();
    if of.kind.origin == Origin::BuiltIn {
        structure::drop_all_nulls(&mut value, schema);
    }
    let unknown = structure::prune(&mut value, schema);
    if !unknown.is_empty() {
        let told: Vec<String> = unknown.iter().map(|path| format!("unknown field \"{path}\"")).collect();
        match validation {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => warnings = told,
            FieldValidation::Strict => return Err(cannot_be_handled(of, &format!("strict decoding error: {}", told.join(", ")))),
        }
    }
    match of.kind.origin {
        Origin::BuiltIn => {
            check_types(&value, of)?;
            to_storage(&mut value, of);
        }
        Origin::Custom => {
            structure::drop_nulls(&mut value, schema);
            structure::write_whole_numbers(&mut value);
            check_metadata(&value, of)?;
        }
    }
    Ok(Decoded { object: value, warnings })
}

/// The paths of members that the schema does not know.
pub(crate) fn unknown(value: &Value, of: &Versioned) -> Vec<String> {
    structure::prune(&mut value.clone(), of.version.schema.root())
}

fn cannot_be_handled(of: &Versioned, why: &str) -> ApiError {
    let kind = &of.kind.kind;
    ApiError::bad_request(format!("{kind} in version {:?} cannot be handled as a {kind}: {why}", of.version.name))
}

fn check_type(value: &Value, of: &Versioned) -> Result<()> {
    let (api_version, kind) = (object::text(value, &["apiVersion"]), object::text(value, &["kind"]));
    let expected = of.api_version();
    if of.kind.is_custom() && (api_version.is_empty() || kind.is_empty()) {
        let missing = if kind.is_empty() { "Kind" } else { "apiVersion" };
        return Err(cannot_be_handled(of, &format!("Object '{missing}' is missing in '{value}'")));
    }
    if of.kind.is_custom() && kind != of.kind.kind {
        let error = FieldError::invalid("kind", &kind.into(), &format!("must be {}", of.kind.kind));
        return Err(ApiError::invalid(of.group(), kind, object::name(value), &[error]));
    }
    if !kind.is_empty() && kind != of.kind.kind {
        return Err(ApiError::bad_request(format!(
            "{kind} in version {:?} cannot be handled as a {}: the kind of the object ({kind}) does not match",
            api_version.rsplit('/').next().unwrap_or_default(),
            of.kind.kind
        )));
    }
    if !api_version.is_empty() && api_version != expected {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({expected})"
        )));
    }
    Ok(())
}

/// Writes the requested version's name into an object.
pub(crate) fn set_type(value: &mut Value, of: &Versioned) {
    object::set_member(value, "apiVersion", Some(of.api_version().into()));
    object::set_member(value, "kind", Some(of.kind.kind.clone().into()));
}

/// The path of a number that a Go struct has no room for.
fn beyond_int32(value: &Value, schema: Node<'_>, path: &str) -> Option<String> {
    match value {
        Value::Object(map) => map.iter().find_map(|(name, value)| beyond_int32(value, schema.member(name)?, &join(path, name))),
        Value::Array(items) => {
            let schema = schema.items()?;
            items.iter().enumerate().find_map(|(index, item)| beyond_int32(item, schema, &format!("{path}[{index}]")))
        }
        Value::Number(number) if schema.text("format") == Some("int32") => {
            let fits = number.as_i64().is_some_and(|number| i32::try_from(number).is_ok());
            (!fits).then(|| path.to_owned())
        }
        _ => None,
    }
}

/// A built-in object whose members have wrong types cannot even be decoded.
fn check_types(value: &Value, of: &Versioned) -> Result<()> {
    let errors = validate(value, None, of.version.schema.root(), "");
    let wrong = errors.iter().find(|error| error.reason == "FieldValueTypeInvalid" || error.detail.contains("in body must be of type"));
    match wrong {
        Some(error) if error.detail.contains("must be of type byte") => Err(cannot_be_handled(of, "illegal base64 data at input byte 0")),
        Some(error) => {
            let (wanted, is) =
                error.detail.rsplit_once("must be of type ").map_or(("", ""), |(_, rest)| rest.split_once(": ").unwrap_or((rest, "")));
            let wanted = if wanted == "integer" { "int32" } else { wanted };
            let why = format!(
                "json: cannot unmarshal {} into Go struct field {}.{} of type {wanted}",
                is.trim_matches('"'),
                of.kind.kind,
                error.field
            );
            Err(cannot_be_handled(of, &why))
        }
        None => match beyond_int32(value, of.version.schema.root(), "") {
            Some(path) => {
                let why = format!("json: cannot unmarshal number into Go struct field {}.{path} of type int32", of.kind.kind);
                Err(cannot_be_handled(of, &why))
            }
            None => Ok(()),
        },
    }
}

/// The metadata of a custom object is decoded as strictly as that of any other.
fn check_metadata(value: &Value, of: &Versioned) -> Result<()> {
    let Some(metadata) = value.get("metadata") else { return Ok(()) };
    let Some(schema) = of.version.schema.root().property("metadata") else { return Ok(()) };
    match validate(metadata, None, schema, "metadata").iter().find(|error| error.reason == "FieldValueTypeInvalid") {
        Some(error) => Err(cannot_be_handled(of, &format!("unable to decode metadata: {}: {}", error.field, error.detail))),
        None => Ok(()),
    }
}

/// The members of an event in its two forms: `(events.k8s.io/v1, v1)`.
const EVENT_MEMBERS: &[(&str, &str)] = &[
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

fn is_event(id: &GroupResource) -> bool {
    id.group == "events.k8s.io"
}

/// Into the form in which the store keeps it.
fn to_storage(value: &mut Value, of: &Versioned) {
    if is_event(&of.kind.id) {
        rename(value, EVENT_MEMBERS.iter().copied());
        object::set_member(value, "apiVersion", Some("v1".into()));
    }
}

fn rename<'a>(value: &mut Value, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
    let Value::Object(map) = value else { return };
    for (from, to) in pairs {
        if let Some(member) = map.remove(from) {
            map.insert(to.to_owned(), member);
        }
    }
}

/// A stored object as the requested version shows it.
pub(crate) fn present(stored: &Value, of: &Versioned) -> Value {
    let mut object = stored.clone();
    if is_event(&of.kind.id) {
        rename(&mut object, EVENT_MEMBERS.iter().map(|(new, core)| (*core, *new)));
    }
    if of.kind.is_custom() {
        // Defaults that came later are seen in what was stored before.
        structure::default(&mut object, of.version.schema.root());
    }
    set_type(&mut object, of);
    object
}

/// What an object of the kind has before anything is written to it.
pub(crate) fn skeleton(of: &Versioned) -> Value {
    match of.kind.origin {
        Origin::BuiltIn => builtin::skeleton(&of.kind.id),
        Origin::Custom => Value::Object(Map::from_iter([("metadata".to_owned(), Value::Object(Map::new()))])),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(group: &str, resource: &str) -> Versioned {
        builtin::registry().find(group, "v1", resource).expect("it is there")
    }

    #[test]
    fn unknown_fields_are_dropped_warned_of_or_refused() {
        let secrets = of("", "secrets");
        let sent = json!({"metadata": {"name": "a"}, "foo": 1});
        let decoded = decode(sent.clone(), &secrets, FieldValidation::Warn).expect("it is taken");
        assert_eq!((decoded.object.get("foo"), decoded.warnings), (None, vec!["unknown field \"foo\"".to_owned()]));
        let error = decode(sent, &secrets, FieldValidation::Strict).expect_err("it is refused");
        assert_eq!(error.message, "Secret in version \"v1\" cannot be handled as a Secret: strict decoding error: unknown field \"foo\"");
    }

    #[test]
    fn both_groups_of_events_show_the_same() {
        let events = of("events.k8s.io", "events");
        let sent =
            json!({"metadata": {"name": "a"}, "note": "n", "regarding": {"kind": "Pod"}, "reportingController": "c", "eventTime": null});
        let stored = decode(sent, &events, FieldValidation::Warn).expect("it is taken").object;
        assert_eq!(
            (&stored["message"], &stored["involvedObject"]["kind"], &stored["reportingComponent"]),
            (&json!("n"), &json!("Pod"), &json!("c"))
        );
        assert_eq!(present(&stored, &events)["note"], "n");
    }

    #[test]
    fn a_wrong_type_cannot_be_decoded() {
        let error = decode(json!({"metadata": {"name": "a"}, "data": {"x": "!!"}}), &of("", "secrets"), FieldValidation::Warn)
            .expect_err("no base64");
        assert_eq!((error.code, error.reason), (400, "BadRequest"));
        let error = decode(json!({"spec": {"replicas": "x"}}), &of("apps", "deployments"), FieldValidation::Warn).expect_err("no number");
        assert_eq!(
            error.message,
            "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field Deployment.spec.replicas of type int32"
        );
    }
}
