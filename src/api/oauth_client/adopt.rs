//! The fields of a `GenesysOAuthClient` by which it takes over a client that exists. Types only; decides nothing.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A client that exists already, and how its secret comes into the credentials Secret.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Adopt {
    /// The id of the client on the platform. Immutable.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9-]+$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("adopt.clientId is immutable: create a new object for another client"))]
    pub client_id: String,

    /// Where the client's secret is known: a Secret of the same namespace, which is only read, and only until the client is adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<AdoptedSecretRef>,

    /// The secret is not known: the operator resets it, and whatever uses the old one fails from then on. The organization's access must allow it
    /// by `adoptByReset`.
    #[serde(default)]
    pub reset_secret: bool,
}

/// Names one key of a Secret.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AdoptedSecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// Key of the client's secret in it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}
