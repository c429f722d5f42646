//! Every error that the platform answers with, as values; it must not decide when one is due.

use http::StatusCode;
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::Map;

/// The error body of the Platform API. (SPEC) `messageParams`, `details` and `errors` are empty in every sample seen, and here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorBody {
    /// The text for people.
    pub message: String,
    /// The code for programs, such as `bad.client.role`.
    pub code: String,
    /// The HTTP status again.
    pub status: u16,
    /// Equals the reply's `ININ-Correlation-Id`; filled in when the reply is sent.
    pub context_id: String,
    /// Goes into the `Retry-After` header, not into the body.
    pub retry_after: Option<u64>,
}

impl Serialize for ErrorBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_map(Some(7))?;
        body.serialize_entry("message", &self.message)?;
        body.serialize_entry("code", &self.code)?;
        body.serialize_entry("status", &self.status)?;
        body.serialize_entry("messageParams", &Map::new())?;
        body.serialize_entry("contextId", &self.context_id)?;
        body.serialize_entry("details", &[(); 0])?;
        body.serialize_entry("errors", &[(); 0])?;
        body.end()
    }
}

impl ErrorBody {
    /// An error with this status, code and text.
    #[must_use]
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { message: message.into(), code: code.to_owned(), status: status.as_u16(), context_id: String::new(), retry_after: None }
    }

    /// The body that the platform documents for a status, for planted faults.
    #[must_use]
    pub fn documented(status: u16, retry_after: Option<u64>) -> Self {
        let (code, message) = match status {
            400 => ("bad.request", "The request could not be understood by the server due to malformed syntax."),
            401 => ("bad.credentials", "Invalid login credentials."),
            403 => ("not.authorized", "You are not authorized to perform the requested action."),
            404 => ("not.found", "The requested resource was not found."),
            408 => ("client.timeout", "The client did not produce a request within the server timeout limit."),
            409 => ("request.conflict", "The request conflicts with the current state of the target resource."),
            413 => ("request.entity.too.large", "The request is over the size limit."),
            415 => ("unsupported.media.type", "Unsupported Media Type - incorrect Content-Type value in the header."),
            429 => return Self::too_many_requests(retry_after),
            503 => (
                "service.unavailable",
                "Service Unavailable - The server is currently unavailable (because it is overloaded or down for maintenance).",
            ),
            504 => ("request.timeout", "The request timed out."),
            _ => {
                ("internal.server.error", "The server encountered an unexpected condition which prevented it from fulfilling the request.")
            }
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { retry_after, ..Self::new(status, code, message) }
    }

    /// The normalised 429; without seconds the reply has no `Retry-After`.
    #[must_use]
    pub fn too_many_requests(retry_after: Option<u64>) -> Self {
        let seconds = retry_after.map_or_else(String::new, |seconds| format!(" Retry the request in [{seconds}] seconds"));
        let message = format!("Rate limit exceeded the maximum.{seconds}");
        Self { retry_after, ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too.many.requests.retry.after", message) }
    }

    fn bad_request(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn malformed() -> Self {
        Self::documented(400, None)
    }

    pub(crate) fn invalid_value(value: &str, field: &str, allowed: &str) -> Self {
        let message = format!("Value [{value}] is not valid for field type [{field}]. Allowable values are: {allowed}");
        Self::bad_request("invalid.value", message)
    }

    pub(crate) fn invalid_parameter(value: &str, parameter: &str, allowed: &str) -> Self {
        let message = format!("Value [{value}] is not valid for parameter [{parameter}]. Allowable values are: {allowed}");
        Self::bad_request("invalid.query.param.value", message)
    }

    pub(crate) fn invalid_property(property: &str, object: &str) -> Self {
        Self::bad_request("invalid.property", format!("Value [{property}] is not a valid property for object [{object}]"))
    }

    pub(crate) fn constraint(message: &str) -> Self {
        Self::bad_request("constraint.validation", message)
    }

    pub(crate) fn authentication_required() -> Self {
        let message = "No authentication bearer token specified in authorization header.";
        Self::new(StatusCode::UNAUTHORIZED, "authentication.required", message)
    }

    pub(crate) fn bad_credentials() -> Self {
        Self::documented(401, None)
    }

    pub(crate) fn missing_any_permissions(permissions: &[&str]) -> Self {
        let message = format!(
            "Unable to perform the requested action. You must have at least one of the following permissions assigned: [{}]",
            permissions.join(", ")
        );
        Self::new(StatusCode::FORBIDDEN, "missing.any.permissions", message)
    }

    pub(crate) fn missing_permissions(permissions: &[&str]) -> Self {
        let message =
            format!("Unable to perform the requested action. You are missing the following permission(s): [{}]", permissions.join(", "));
        Self::new(StatusCode::FORBIDDEN, "missing.permissions", message)
    }

    pub(crate) fn not_authorized_for_scope(scopes: &[&str]) -> Self {
        let message = format!("App not authorized to use scope [{}]", scopes.join(", "));
        Self::new(StatusCode::FORBIDDEN, "app.not.authorized.for.scope", message)
    }

    pub(crate) fn not_found() -> Self {
        Self::documented(404, None)
    }

    pub(crate) fn too_large(maximum: usize) -> Self {
        let message = format!("The request is over the size limit. Maximum bytes: {maximum}");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "request.entity.too.large", message)
    }

    pub(crate) fn unsupported_media_type() -> Self {
        Self::documented(415, None)
    }

    pub(crate) fn client_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "client.not.found", "Client was not found.")
    }

    pub(crate) fn bad_role() -> Self {
        Self::bad_request("bad.client.role", "Client role is invalid.")
    }

    pub(crate) fn caller_lacks_roles() -> Self {
        Self::bad_request("bad.client.role", "The caller does not have all the roles assigned to this client.")
    }

    pub(crate) fn new_clients_are_active() -> Self {
        Self::bad_request("bad.client.state", "New clients can only have an active state")
    }

    pub(crate) fn client_is_disabled() -> Self {
        Self::bad_request("bad.client.state", "Client is disabled.")
    }

    pub(crate) fn bad_grant_type() -> Self {
        Self::bad_request("bad.grant.type", "Invalid grant type.")
    }

    pub(crate) fn grant_type_required() -> Self {
        Self::bad_request("grant.type.required", "Grant type is required.")
    }

    pub(crate) fn missing_scope() -> Self {
        Self::bad_request("missing.client.scope", "Client scope is missing.")
    }

    pub(crate) fn missing_roles() -> Self {
        Self::bad_request("missing.client.roles", "Client roles and divisions are missing.")
    }

    pub(crate) fn invalid_scope() -> Self {
        Self::bad_request("auth.invalid.scope", "Client has invalid scope")
    }

    pub(crate) fn too_many_clients() -> Self {
        Self::bad_request("auth.too.many.clients", "Too many clients exist in this organization.")
    }

    pub(crate) fn cannot_delete() -> Self {
        let message = "Clients must be marked as inactive to be eligible for deletion.";
        Self::bad_request("cannot.delete.client", message)
    }
}

/// An error of the login host: always HTTP 400, RFC 6749's members and `description` as a copy. (E)
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoginError {
    pub(crate) error: &'static str,
    pub(crate) description: String,
}

impl LoginError {
    pub(crate) fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self { error, description: description.into() }
    }

    /// Wrong secret, unknown client, disabled client and inactive client: one answer for all. (E; inactive: U)
    pub(crate) fn authentication_failed() -> Self {
        Self::new("invalid_client", "authentication failed")
    }

    pub(crate) fn wrong_grant(grant: &str) -> Self {
        Self::new("unauthorized_client", format!("client is not authorized to use the {grant} grant type"))
    }

    pub(crate) fn body(&self) -> serde_json::Value {
        serde_json::json!({
            "error": self.error,
            "description": self.description,
            "error_description": self.description,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normalised_429_has_the_published_words() {
        let error = ErrorBody::too_many_requests(Some(42));
        assert_eq!(error.message, "Rate limit exceeded the maximum. Retry the request in [42] seconds");
        assert_eq!((error.status, error.retry_after), (429, Some(42)));
        let body = serde_json::to_value(&error).expect("it serialises");
        assert_eq!(body["code"], "too.many.requests.retry.after");
        assert!(body.get("retryAfter").is_none(), "seconds belong into the header");
    }

    #[test]
    fn permissions_stand_in_brackets() {
        let error = ErrorBody::missing_any_permissions(&["oauth:client:view", "usage:client:view"]);
        assert!(error.message.ends_with("assigned: [oauth:client:view, usage:client:view]"), "{}", error.message);
    }

    #[test]
    fn login_errors_carry_the_description_twice() {
        let body = LoginError::authentication_failed().body();
        assert_eq!(body["description"], body["error_description"]);
        assert_eq!(body["error"], "invalid_client");
    }
}
