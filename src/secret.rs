//! Builds the credentials Secret and reads one back. Pure; never overwrites what belongs to somebody else, because it only says whose a Secret is.

pub mod rotation;

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use k8s_openapi::{
    ByteString,
    api::core::v1::Secret,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::{
    api::{FIELD_MANAGER, MANAGED_BY_LABEL, oauth_client::CredentialsSecret},
    keys::KeyMap,
    marker::hex,
};

/// Label with the name of the `GenesysOAuthClient`.
pub const CLIENT_LABEL: &str = "oauth.genesys-operator.io/client";
/// Annotation with `namespace/name` of the owner.
pub const OWNER: &str = "oauth.genesys-operator.io/owner";
/// Annotation with the owner's uid.
pub const OWNER_UID: &str = "oauth.genesys-operator.io/owner-uid";
/// Annotation with the digest of the cluster's id.
pub const CLUSTER: &str = "oauth.genesys-operator.io/cluster";
/// Annotation with the client's id.
pub const CLIENT_ID: &str = "oauth.genesys-operator.io/client-id";
/// Annotation with the revision of the credential.
pub const REVISION: &str = "oauth.genesys-operator.io/revision";
/// Annotation with the nonce of the client's marker.
pub const NONCE: &str = "oauth.genesys-operator.io/nonce";
/// Annotation with the time at which the credential came into being.
pub const ISSUED_AT: &str = "oauth.genesys-operator.io/issued-at";
/// Annotation with a digest of the names of the keys.
pub const KEY_MAP_DIGEST: &str = "oauth.genesys-operator.io/key-map-digest";
/// Annotation with a digest of the data.
pub const DATA_DIGEST: &str = "oauth.genesys-operator.io/data-digest";
/// Annotation with the name of the key that holds the client's secret; empty for a public client.
pub const CLIENT_SECRET_KEY: &str = "oauth.genesys-operator.io/client-secret-key";
/// Annotation with the labels and annotations that spec asked for, so that they can be taken away again.
pub const APPLIED_METADATA: &str = "oauth.genesys-operator.io/applied-metadata";
/// Annotation by which the owner of a Secret lets an object take it over, with the object's name.
pub const TAKE_OVER: &str = "oauth.genesys-operator.io/take-over";
/// By this annotation Reloader restarts the workloads that mount the Secret.
pub const RELOADER_MATCH: &str = "reloader.stakater.com/match";

/// No object gets this far: a greater number in an annotation was not written by the operator.
const MOST_REVISIONS: i64 = 1 << 40;

/// A credential with its place in the order of credentials.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The client's id on the platform.
    pub client_id: String,
    /// Its secret; none for a public client.
    pub client_secret: Option<SecretString>,
    /// Which of the object's credentials it is.
    pub revision: i64,
    /// When it came into being, by the platform's clock.
    pub issued_at: Option<Timestamp>,
    /// The nonce of the client's marker, where it is known.
    pub nonce: Option<String>,
}

/// Whose Secret it is to be.
#[derive(Clone, Debug)]
pub struct Ownership {
    /// Digest of the cluster's id.
    pub cluster: String,
    /// Namespace of the object and of the Secret.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// Uid of the object.
    pub uid: String,
    /// The controller reference to the object.
    pub reference: OwnerReference,
}

/// The facts of an organization and a client that a Secret carries beside the credential.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Values by the field names of preset Default, without the credential; and those that single presets add.
    pub values: BTreeMap<&'static str, String>,
}

/// A Secret of ours, as it was read. Its `Debug` shows no data.
#[derive(Clone)]
pub struct Published {
    /// The Secret's uid and resourceVersion, for preconditions.
    pub uid: Option<String>,
    /// See `uid`.
    pub resource_version: Option<String>,
    /// The credential in it; its secret is none where it is missing or empty.
    pub credential: Credential,
    /// Whether the digest of the data is the one that was written.
    pub intact: bool,
    /// Whether it should hold a secret (it is not a public client's).
    pub holds_secret: bool,
    /// The Secret itself, to be compared with the wished one.
    pub secret: Secret,
}

impl fmt::Debug for Published {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Published").field("credential", &self.credential).field("intact", &self.intact).finish_non_exhaustive()
    }
}

/// Whose a Secret is.
#[derive(Clone, Debug)]
pub enum Found {
    /// The object's own.
    Ours(Box<Published>),
    /// Written by the operator for an object of this name, before that was restored: its client decides whether it is ours.
    Former(Box<Published>),
    /// Somebody else's; says by what that was seen.
    Foreign(String),
}

/// Reads a Secret back, and says whose it is.
#[must_use]
pub fn read(secret: &Secret, owner: &Ownership) -> Found {
    let empty = BTreeMap::new();
    let annotations = secret.metadata.annotations.as_ref().unwrap_or(&empty);
    let annotation = |name: &str| annotations.get(name).map(String::as_str);
    let controller = secret.metadata.owner_references.iter().flatten().find(|reference| reference.controller == Some(true));
    let by_reference = controller.is_some_and(|reference| reference.uid == owner.uid);
    let by_annotation = annotation(CLUSTER) == Some(owner.cluster.as_str())
        && annotation(OWNER) == Some(format!("{}/{}", owner.namespace, owner.name).as_str());
    let revision = annotation(REVISION).and_then(|text| text.parse().ok()).filter(|revision| (0..MOST_REVISIONS).contains(revision));
    let readable = annotation(CLIENT_ID).is_some() && revision.is_some();
    if !readable && !by_reference {
        return Found::Foreign(match controller {
            Some(reference) => format!("{} {:?} controls it", reference.kind, reference.name),
            None => "it does not carry the operator's annotations".to_owned(),
        });
    }
    // Ours by its owner, though somebody took the annotations away: then it holds no credential that could be trusted.
    let (client_id, revision) = (annotation(CLIENT_ID).unwrap_or_default(), revision.unwrap_or(0));
    let data = secret.data.clone().unwrap_or_default();
    let secret_key = annotation(CLIENT_SECRET_KEY).unwrap_or_default();
    let client_secret = data
        .get(secret_key)
        .and_then(|value| String::from_utf8(value.0.clone()).ok())
        .filter(|value| !value.is_empty())
        .map(SecretString::from);
    let published = Box::new(Published {
        uid: secret.metadata.uid.clone(),
        resource_version: secret.metadata.resource_version.clone(),
        credential: Credential {
            client_id: client_id.to_owned(),
            client_secret,
            revision,
            issued_at: annotation(ISSUED_AT).and_then(|text| text.parse().ok()),
            nonce: annotation(NONCE).filter(|nonce| !nonce.is_empty()).map(str::to_owned),
        },
        intact: readable && annotation(DATA_DIGEST) == Some(data_digest(&data, annotations).as_str()),
        holds_secret: !secret_key.is_empty(),
        secret: secret.clone(),
    });
    match controller {
        _ if by_reference => Found::Ours(published),
        Some(reference) if !by_annotation => Found::Foreign(format!("{} {:?} controls it", reference.kind, reference.name)),
        _ if by_annotation => Found::Former(published),
        _ => Found::Foreign("it belongs to another object or another cluster".to_owned()),
    }
}

/// Whether the owner of somebody else's Secret lets this object take it over. One that a controller keeps is nobody's to give away.
#[must_use]
pub fn offered_to(secret: &Secret, owner: &Ownership) -> bool {
    let controlled = secret.metadata.owner_references.iter().flatten().any(|reference| reference.controller == Some(true));
    !controlled && secret.metadata.annotations.as_ref().and_then(|annotations| annotations.get(TAKE_OVER)) == Some(&owner.name)
}

/// What a Secret of somebody else holds under the keys that this object would use.
#[must_use]
pub fn credential_by_keys(secret: &Secret, keys: &KeyMap) -> Credential {
    let text = |key: &str| {
        let value = secret.data.as_ref()?.get(key)?;
        String::from_utf8(value.0.clone()).ok().filter(|text| !text.is_empty())
    };
    Credential {
        client_id: text(keys.client_id()).unwrap_or_default(),
        client_secret: text(keys.client_secret()).map(SecretString::from),
        revision: 0,
        issued_at: None,
        nonce: None,
    }
}

/// Builds the Secret. What others wrote into its labels and annotations stays; data, type and owner are ours alone.
#[must_use]
pub fn build(
    existing: Option<&Secret>,
    name: &str,
    owner: &Ownership,
    wishes: Option<&CredentialsSecret>,
    keys: &KeyMap,
    surroundings: &Surroundings,
    credential: &Credential,
) -> Secret {
    let data = data(keys, surroundings, credential);
    let wishes = wishes.cloned().unwrap_or_default();
    let metadata = existing.map(|secret| &secret.metadata);
    let mut labels = metadata.and_then(|metadata| metadata.labels.clone()).unwrap_or_default();
    let mut annotations = metadata.and_then(|metadata| metadata.annotations.clone()).unwrap_or_default();
    forget_applied(&mut labels, &mut annotations);
    let applied: Vec<String> = wishes
        .labels
        .keys()
        .map(|key| format!("label:{key}"))
        .chain(wishes.annotations.keys().map(|key| format!("annotation:{key}")))
        .collect();
    annotations.remove(TAKE_OVER);
    annotations.entry(RELOADER_MATCH.into()).or_insert_with(|| "true".into());
    labels.extend(wishes.labels);
    annotations.extend(wishes.annotations);
    labels.insert(MANAGED_BY_LABEL.into(), FIELD_MANAGER.into());
    labels.insert(CLIENT_LABEL.into(), owner.name.clone());
    annotations.extend([
        (OWNER.into(), format!("{}/{}", owner.namespace, owner.name)),
        (OWNER_UID.into(), owner.uid.clone()),
        (CLUSTER.into(), owner.cluster.clone()),
        (CLIENT_ID.into(), credential.client_id.clone()),
        (REVISION.into(), credential.revision.to_string()),
        (NONCE.into(), credential.nonce.clone().unwrap_or_default()),
        (ISSUED_AT.into(), credential.issued_at.map(|time| time.to_string()).unwrap_or_default()),
        (KEY_MAP_DIGEST.into(), keys.digest()),
        (CLIENT_SECRET_KEY.into(), if credential.client_secret.is_some() { keys.client_secret().to_owned() } else { String::new() }),
        (APPLIED_METADATA.into(), applied.join(",")),
    ]);
    annotations.insert(DATA_DIGEST.into(), data_digest(&data, &annotations));
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(owner.namespace.clone()),
            uid: metadata.and_then(|metadata| metadata.uid.clone()),
            resource_version: metadata.and_then(|metadata| metadata.resource_version.clone()),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: Some(vec![owner.reference.clone()]),
            finalizers: metadata.and_then(|metadata| metadata.finalizers.clone()),
            ..ObjectMeta::default()
        },
        data: Some(data),
        type_: Some("Opaque".into()),
        immutable: None,
        string_data: None,
    }
}

/// Whether a Secret already says what the wished one says.
#[must_use]
pub fn same(live: &Secret, wished: &Secret) -> bool {
    live.data == wished.data
        && live.metadata.labels == wished.metadata.labels
        && live.metadata.annotations == wished.metadata.annotations
        && live.metadata.owner_references == wished.metadata.owner_references
}

fn forget_applied(labels: &mut BTreeMap<String, String>, annotations: &mut BTreeMap<String, String>) {
    for entry in annotations.get(APPLIED_METADATA).cloned().unwrap_or_default().split(',') {
        match entry.split_once(':') {
            Some(("label", key)) => drop(labels.remove(key)),
            Some(("annotation", key)) => drop(annotations.remove(key)),
            _ => {}
        }
    }
}

fn data(keys: &KeyMap, surroundings: &Surroundings, credential: &Credential) -> BTreeMap<String, ByteString> {
    let mut data: BTreeMap<String, ByteString> = keys
        .fields()
        .filter_map(|(field, key)| surroundings.values.get(field).map(|value| (key.to_owned(), ByteString(value.clone().into_bytes()))))
        .collect();
    data.insert(keys.client_id().to_owned(), ByteString(credential.client_id.clone().into_bytes()));
    if let Some(secret) = &credential.client_secret {
        data.insert(keys.client_secret().to_owned(), ByteString(secret.expose_secret().as_bytes().to_vec()));
    }
    data
}

/// A digest of a Secret's data and of the annotations by which it is read. The client's secret in it is long and random, so that the
/// digest gives nothing away.
fn data_digest(data: &BTreeMap<String, ByteString>, annotations: &BTreeMap<String, String>) -> String {
    let mut digest = Sha256::new();
    let mut add = |part: &[u8]| {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    };
    for (key, value) in data {
        add(key.as_bytes());
        add(&value.0);
    }
    for name in [CLIENT_ID, REVISION, NONCE, ISSUED_AT, KEY_MAP_DIGEST, CLIENT_SECRET_KEY] {
        add(annotations.get(name).map(String::as_bytes).unwrap_or_default());
    }
    hex(&digest.finalize())
}

#[cfg(test)]
mod tests;
