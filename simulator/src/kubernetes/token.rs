//! Tokens of service accounts, which are the names of their users: whoever has one comes in by the network as that user. It protects nothing.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::codec;
use super::error::{ApiError, FieldError, Result};
use super::object;
use super::request::{Request, Target};
use super::resource::{GroupResource, Versioned};
use super::state::key;
use super::world::World;

/// The subresource of service accounts.
pub(crate) const SUBRESOURCE: &str = "token";
/// How long a token lives unless a request says otherwise, and at least.
const USUAL_SECONDS: i64 = 3600;
const FEWEST_SECONDS: i64 = 600;

/// Whether a kind has tokens.
pub(crate) fn has_tokens(id: &GroupResource) -> bool {
    id.group.is_empty() && id.resource == "serviceaccounts"
}

/// Answers a request for a token.
pub(crate) fn issue(world: &World, of: &Versioned, target: &Target, request: &Request, now: Timestamp) -> Result<Value> {
    let mut answer = codec::read_body(request, of)?;
    let locked = world.lock();
    let found = locked.state.get(&of.kind.stored_as, &key(&of.kind, &target.namespace, &target.name));
    found.ok_or_else(|| ApiError::not_found(&of.kind.id, &target.name))?;
    drop(locked);
    let spec = object::member_mut(&mut answer, "spec");
    let seconds = spec.get("expirationSeconds").and_then(Value::as_i64).unwrap_or(USUAL_SECONDS);
    if seconds < FEWEST_SECONDS {
        let why = "may not specify a duration less than 10 minutes";
        let error = FieldError::invalid("spec.expirationSeconds", &seconds.into(), why);
        return Err(ApiError::invalid("authentication.k8s.io", "TokenRequest", "", &[error]));
    }
    spec.insert("expirationSeconds".into(), seconds.into());
    if spec.get("audiences").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        spec.insert("audiences".into(), json!(["https://kubernetes.default.svc"]));
    }
    let user = format!("system:serviceaccount:{}:{}", target.namespace, target.name);
    world.admit(&user);
    let expires = now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
    answer["apiVersion"] = "authentication.k8s.io/v1".into();
    answer["kind"] = "TokenRequest".into();
    answer["metadata"] = json!({"name": target.name, "namespace": target.namespace, "creationTimestamp": object::moment(now)});
    answer["status"] = json!({"token": user, "expirationTimestamp": object::moment(expires)});
    Ok(answer)
}
