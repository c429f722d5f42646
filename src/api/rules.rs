//! The CEL rules of the CRDs, compiled once and run on objects by the reconcilers, because servers before 1.25 drop them in silence. Pure.

use std::sync::LazyLock;

use kube::{
    CustomResourceExt,
    core::cel::{CompiledSchema, Validator, compile_schema},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{GenesysOAuthClient, GenesysOrganization, GenesysRotationPolicy};

thread_local! {
    /// Making one registers a library of functions, so it is made once a thread.
    static VALIDATOR: Validator = Validator::new();
}

/// The rules of one kind.
struct Rules(CompiledSchema);

impl Rules {
    fn of<K: CustomResourceExt>() -> Self {
        let crd = K::crd();
        let schema = crd.spec.versions.first().and_then(|version| version.schema.as_ref());
        let schema = serde_json::to_value(schema.and_then(|schema| schema.open_api_v3_schema.as_ref())).unwrap_or_default();
        Self(compile_schema(&schema))
    }

    fn violations<K: Serialize>(&self, object: &K) -> Vec<String> {
        let Ok(object) = serde_json::to_value(object) else {
            return vec!["the object can't be written as JSON".to_owned()];
        };
        match VALIDATOR.with(|validator| validator.validate_compiled(&self.0, &judged(object), None)) {
            Ok(()) => vec![],
            Err(errors) => errors.into_vec().into_iter().map(|error| error.to_string()).collect(),
        }
    }
}

/// What rules can see of an object, as a server has it: of the metadata the name alone. The status has no rules, and is long.
fn judged(mut object: Value) -> Value {
    let name = object["metadata"]["name"].take();
    if let Value::Object(members) = &mut object {
        members.remove("status");
        members.insert("metadata".into(), json!({ "name": name }));
    }
    object
}

static OAUTH_CLIENT: LazyLock<Rules> = LazyLock::new(Rules::of::<GenesysOAuthClient>);
static ORGANIZATION: LazyLock<Rules> = LazyLock::new(Rules::of::<GenesysOrganization>);
static ROTATION_POLICY: LazyLock<Rules> = LazyLock::new(Rules::of::<GenesysRotationPolicy>);

/// The rules that a client's object breaks, each as `field: what to write instead`; empty if it keeps them all.
///
/// Rules that compare with the former object are not among them: status records what can't change.
#[must_use]
pub fn oauth_client_violations(object: &GenesysOAuthClient) -> Vec<String> {
    OAUTH_CLIENT.violations(object)
}

/// The rules that an organization's object breaks; see [`oauth_client_violations`].
#[must_use]
pub fn organization_violations(object: &GenesysOrganization) -> Vec<String> {
    ORGANIZATION.violations(object)
}

/// The rules that a rotation policy's object breaks; see [`oauth_client_violations`].
#[must_use]
pub fn rotation_policy_violations(object: &GenesysRotationPolicy) -> Vec<String> {
    ROTATION_POLICY.violations(object)
}
