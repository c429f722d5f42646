//! Refusals in the words and the form of a real server's `Status`; it decides nothing about when to refuse.

use serde_json::{Map, Value, json};

use super::resource::GroupResource;

/// A refusal: everything that the body of a failed request says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) details: Option<Map<String, Value>>,
    /// Where a list whose page is too old may go on.
    pub(crate) continue_with: Option<String>,
}

/// What a handler gives back.
pub(crate) type Result<T> = std::result::Result<T, ApiError>;

/// One thing that is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldError {
    pub(crate) field: String,
    pub(crate) reason: &'static str,
    /// What is wrong, without the field.
    pub(crate) detail: String,
}

impl FieldError {
    fn new(field: impl Into<String>, reason: &'static str, detail: String) -> Self {
        Self { field: field.into(), reason, detail }
    }

    pub(crate) fn required(field: impl Into<String>, detail: &str) -> Self {
        let detail = if detail.is_empty() { "Required value".to_owned() } else { format!("Required value: {detail}") };
        Self::new(field, "FieldValueRequired", detail)
    }

    pub(crate) fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self::new(field, "FieldValueInvalid", format!("Invalid value: {}: {detail}", printed(value)))
    }

    pub(crate) fn type_invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self::new(field, "FieldValueTypeInvalid", format!("Invalid value: {}: {detail}", printed(value)))
    }

    pub(crate) fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self::new(field, "FieldValueForbidden", format!("Forbidden: {detail}"))
    }

    pub(crate) fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self::new(field, "FieldValueDuplicate", format!("Duplicate value: {}", printed(value)))
    }

    pub(crate) fn not_supported(field: impl Into<String>, value: &str, supported: &[&str]) -> Self {
        let supported: Vec<String> = supported.iter().map(|value| format!("{value:?}")).collect();
        let detail = format!("Unsupported value: {value}: supported values: {}", supported.join(", "));
        Self::new(field, "FieldValueNotSupported", detail)
    }

    pub(crate) fn too_long(field: impl Into<String>, most: u64) -> Self {
        Self::new(field, "FieldValueTooLong", format!("Too long: may not be more than {most} bytes"))
    }

    pub(crate) fn too_many(field: impl Into<String>, actual: usize, most: u64) -> Self {
        Self::new(field, "FieldValueTooMany", format!("Too many: {actual}: must have at most {most} items"))
    }
}

/// A value as Go's field errors print it.
pub(crate) fn printed(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Object(_) => go_literal(value),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_literal).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        other => other.to_string(),
    }
}

fn go_literal(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".into(),
        Value::Object(map) => {
            let items: Vec<String> = map.iter().map(|(key, value)| format!("{key:?}:{}", go_literal(value))).collect();
            format!("map[string]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Array(_) => printed(value),
        other => other.to_string(),
    }
}

impl ApiError {
    pub(crate) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None, continue_with: None }
    }

    fn about(mut self, resource: &GroupResource, name: &str) -> Self {
        let mut details = Map::new();
        if !name.is_empty() {
            details.insert("name".into(), name.into());
        }
        if !resource.group.is_empty() {
            details.insert("group".into(), resource.group.clone().into());
        }
        details.insert("kind".into(), resource.resource.clone().into());
        self.details = Some(details);
        self
    }

    fn cause(mut self, reason: &str, message: &str, field: Option<&str>) -> Self {
        let mut cause = Map::new();
        cause.insert("reason".into(), reason.into());
        cause.insert("message".into(), message.into());
        if let Some(field) = field {
            cause.insert("field".into(), field.into());
        }
        let details = self.details.get_or_insert_default();
        if let Value::Array(causes) = details.entry("causes").or_insert_with(|| json!([])) {
            causes.push(Value::Object(cause));
        }
        self
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// An error inside the server: it has no reason, only words.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    pub(crate) fn not_found(resource: &GroupResource, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{resource} {name:?} not found")).about(resource, name)
    }

    pub(crate) fn no_such_resource() -> Self {
        Self { details: Some(Map::new()), ..Self::new(404, "NotFound", "the server could not find the requested resource") }
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self {
            details: Some(Map::new()),
            ..Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
        }
    }

    pub(crate) fn not_acceptable() -> Self {
        Self { details: Some(Map::new()), ..Self::new(406, "NotAcceptable", "406: Not Acceptable") }
    }

    pub(crate) fn unsupported_media_type(accepted: Option<&str>) -> Self {
        match accepted {
            Some(accepted) => Self::new(
                415,
                "UnsupportedMediaType",
                format!("the body of the request was in an unknown format - accepted media types include: {accepted}"),
            ),
            None => Self { details: Some(Map::new()), ..Self::new(415, "UnsupportedMediaType", "415: Unsupported Media Type") },
        }
    }

    pub(crate) fn already_exists(resource: &GroupResource, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{resource} {name:?} already exists")).about(resource, name)
    }

    pub(crate) fn conflict(resource: &GroupResource, name: &str, why: &str) -> Self {
        Self::new(409, "Conflict", format!("Operation cannot be fulfilled on {resource} {name:?}: {why}")).about(resource, name)
    }

    pub(crate) fn modified(resource: &GroupResource, name: &str) -> Self {
        Self::conflict(resource, name, "the object has been modified; please apply your changes to the latest version and try again")
    }

    pub(crate) fn forbidden(resource: &GroupResource, name: &str, why: &str) -> Self {
        let message =
            if name.is_empty() { format!("{resource} is forbidden: {why}") } else { format!("{resource} {name:?} is forbidden: {why}") };
        Self::new(403, "Forbidden", message).about(resource, name)
    }

    /// New content in a namespace that goes away.
    pub(crate) fn namespace_terminating(resource: &GroupResource, name: &str, namespace: &str) -> Self {
        let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
        let cause = format!("namespace {namespace} is being terminated");
        Self::forbidden(resource, name, &why).cause("NamespaceTerminating", &cause, Some("metadata.namespace"))
    }

    /// The object breaks rules; every broken one is told at once.
    pub(crate) fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let told: Vec<String> = errors.iter().map(|error| format!("{}: {}", error.field, error.detail)).collect();
        let told = if told.len() == 1 { told[0].clone() } else { format!("[{}]", told.join(", ")) };
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let resource = GroupResource { group: group.into(), resource: kind.into() };
        let error = Self::new(422, "Invalid", format!("{qualified} {name:?} is invalid: {told}")).about(&resource, name);
        errors.iter().fold(error, |error, one| error.cause(one.reason, &one.detail, Some(&one.field)))
    }

    /// A JSON patch that cannot be carried out: the server keeps the reason to itself.
    pub(crate) fn unprocessable() -> Self {
        Self { details: Some(Map::new()), ..Self::new(422, "Invalid", "the server rejected our request due to an error in our request") }
    }

    /// An apply that would take other managers' fields.
    pub(crate) fn apply_conflict(message: String, causes: &[(String, String)]) -> Self {
        let error = Self::new(409, "Conflict", message);
        causes.iter().fold(error, |error, (message, field)| error.cause("FieldManagerConflict", message, Some(field)))
    }

    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// A watch or list from before the compaction.
    pub(crate) fn too_old(asked: u64, oldest: u64) -> Self {
        Self::expired(format!("too old resource version: {asked} ({oldest})"))
    }

    pub(crate) fn too_large_resource_version(asked: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let mut error = Self::new(504, "Timeout", message).cause("ResourceVersionTooLarge", "Too large resource version", None);
        error.details.get_or_insert_default().insert("retryAfterSeconds".into(), 1.into());
        error
    }

    pub(crate) fn too_many_requests(retry_after: u64) -> Self {
        let mut error = Self::new(429, "TooManyRequests", "The server is currently unable to handle the request, please try again later");
        error.details.get_or_insert_default().insert("retryAfterSeconds".into(), retry_after.into());
        error
    }

    /// The name of an error of the server itself, as planted faults and gateways send it.
    pub(crate) fn of_status(code: u16) -> Self {
        let (reason, message) = match code {
            401 => ("Unauthorized", "Unauthorized"),
            403 => ("Forbidden", "forbidden"),
            404 => ("NotFound", "the server could not find the requested resource"),
            409 => ("Conflict", "the server reported a conflict"),
            410 => ("Expired", "The resourceVersion for the provided watch is too old."),
            429 => return Self::too_many_requests(1),
            500 => ("InternalError", "Internal error occurred: a planted fault"),
            503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
            504 => ("Timeout", "Timeout: request did not complete within the allotted timeout"),
            _ => ("", "a planted fault"),
        };
        Self::new(code, reason, message)
    }

    /// Seconds for the `Retry-After` header, where the body tells any.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.details.as_ref()?.get("retryAfterSeconds")?.as_u64()
    }

    /// The body.
    pub(crate) fn to_status(&self) -> Value {
        let mut body =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message, "code": self.code});
        if !self.reason.is_empty() {
            body["reason"] = self.reason.into();
        }
        if let Some(token) = &self.continue_with {
            body["metadata"]["continue"] = token.clone().into();
        }
        if let Some(details) = &self.details {
            body["details"] = Value::Object(details.clone());
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_tells_what_a_real_server_tells() {
        let secrets = GroupResource { group: String::new(), resource: "secrets".into() };
        assert_eq!(
            ApiError::already_exists(&secrets, "a").to_status(),
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "secrets \"a\" already exists",
                   "reason": "AlreadyExists", "details": {"name": "a", "kind": "secrets"}, "code": 409})
        );
        let deployments = GroupResource { group: "apps".into(), resource: "deployments".into() };
        assert_eq!(
            ApiError::modified(&deployments, "x").message,
            "Operation cannot be fulfilled on deployments.apps \"x\": the object has been modified; please apply your changes to the latest version and try again"
        );
    }

    #[test]
    fn several_errors_stand_in_brackets() {
        let errors = [FieldError::required("spec.a", ""), FieldError::not_supported("spec.b", "\"y\"", &["a", "b"])];
        let error = ApiError::invalid("example.io", "Widget", "w", &errors);
        assert_eq!(
            error.message,
            "Widget.example.io \"w\" is invalid: [spec.a: Required value, spec.b: Unsupported value: \"y\": supported values: \"a\", \"b\"]"
        );
        assert_eq!(
            error.details.expect("details")["causes"][0],
            json!({"reason": "FieldValueRequired", "message": "Required value", "field": "spec.a"})
        );
    }

    #[test]
    fn values_are_printed_as_go_prints_them() {
        assert_eq!(printed(&json!({"name": "a"})), "map[string]interface {}{\"name\":\"a\"}");
        assert_eq!(printed(&json!("a")), "\"a\"");
    }
}
