//! The rotation Secret: both credentials of a rotation while it is under way. Pure; the same owner and the same rules as the main Secret.

use k8s_openapi::{ByteString, api::core::v1::Secret};
use secrecy::{ExposeSecret as _, SecretString};

use super::{Credential, DATA_DIGEST, Found, Ownership, Published, RELOADER_MATCH, Surroundings, build, data_digest, read};
use crate::keys::KeyMap;

/// The ending of a rotation Secret's name, which no other Secret of ours may have.
pub const ROTATION_SUFFIX: &str = "-rotation";
/// Annotation with the id of the client that is replaced.
const FORMER_CLIENT_ID: &str = "oauth.genesys-operator.io/former-client-id";
/// Annotation with the revision of the credential that is replaced.
const FORMER_REVISION: &str = "oauth.genesys-operator.io/former-revision";
/// Annotation with the nonce of the client that is replaced.
const FORMER_NONCE: &str = "oauth.genesys-operator.io/former-nonce";
/// Annotation with the time at which the credential that is replaced came into being.
const FORMER_ISSUED_AT: &str = "oauth.genesys-operator.io/former-issued-at";
/// Key of the secret that is replaced.
const FORMER_SECRET_KEY: &str = "formerClientSecret";
/// Key of the id of the client that is replaced.
const FORMER_ID_KEY: &str = "formerClientId";

/// Both credentials of a rotation.
#[derive(Clone, Debug)]
pub struct RotationSecret {
    /// The Secret as it was read, with the new credential.
    pub next: Box<Published>,
    /// The credential that is replaced, where it was known.
    pub former: Option<Credential>,
}

impl RotationSecret {
    /// The credential of a client, if the Secret was not edited and holds it.
    #[must_use]
    pub fn credential_of(&self, client_id: &str) -> Option<&Credential> {
        let both = [Some(&self.next.credential), self.former.as_ref()];
        both.into_iter()
            .flatten()
            .find(|credential| self.next.intact && credential.client_id == client_id && credential.client_secret.is_some())
    }

    /// The highest revision in it.
    #[must_use]
    pub fn highest_revision(&self) -> i64 {
        self.next.credential.revision.max(self.former.as_ref().map_or(0, |former| former.revision))
    }
}

/// Builds the rotation Secret.
#[must_use]
pub fn build_rotation(existing: Option<&Secret>, name: &str, owner: &Ownership, next: &Credential, former: Option<&Credential>) -> Secret {
    let mut secret = build(existing, name, owner, None, &KeyMap::default(), &Surroundings::default(), next);
    let data = secret.data.get_or_insert_default();
    let annotations = secret.metadata.annotations.get_or_insert_default();
    // Only the main Secret restarts the workloads that mount it.
    annotations.remove(RELOADER_MATCH);
    for name in [FORMER_CLIENT_ID, FORMER_REVISION, FORMER_NONCE, FORMER_ISSUED_AT] {
        annotations.remove(name);
    }
    if let Some(former) = former
        && let Some(former_secret) = &former.client_secret
    {
        data.insert(FORMER_ID_KEY.into(), ByteString(former.client_id.clone().into_bytes()));
        data.insert(FORMER_SECRET_KEY.into(), ByteString(former_secret.expose_secret().as_bytes().to_vec()));
        annotations.extend([
            (FORMER_CLIENT_ID.into(), former.client_id.clone()),
            (FORMER_REVISION.into(), former.revision.to_string()),
            (FORMER_NONCE.into(), former.nonce.clone().unwrap_or_default()),
            (FORMER_ISSUED_AT.into(), former.issued_at.map(|time| time.to_string()).unwrap_or_default()),
        ]);
    }
    let digest = data_digest(data, annotations);
    annotations.insert(DATA_DIGEST.into(), digest);
    secret
}

/// Reads a rotation Secret back; `Err` says whose it is instead.
pub fn read_rotation(secret: &Secret, owner: &Ownership) -> Result<RotationSecret, String> {
    let next = match read(secret, owner) {
        Found::Ours(next) | Found::Former(next) => next,
        Found::Foreign(detail) => return Err(detail),
    };
    let annotations = secret.metadata.annotations.clone().unwrap_or_default();
    let annotation = |name: &str| annotations.get(name).filter(|text| !text.is_empty()).cloned();
    let value = secret.data.as_ref().and_then(|data| data.get(FORMER_SECRET_KEY)).and_then(|value| String::from_utf8(value.0.clone()).ok());
    let former = match (annotation(FORMER_CLIENT_ID), annotation(FORMER_REVISION).and_then(|text| text.parse().ok()), value) {
        (Some(client_id), Some(revision), Some(value)) if next.intact => Some(Credential {
            client_id,
            client_secret: Some(SecretString::from(value)),
            revision,
            issued_at: annotation(FORMER_ISSUED_AT).and_then(|text| text.parse().ok()),
            nonce: annotation(FORMER_NONCE),
        }),
        _ => None,
    };
    Ok(RotationSecret { next, former })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

    use super::*;

    fn ownership(uid: &str, name: &str) -> Ownership {
        let reference = OwnerReference { uid: uid.into(), name: name.into(), controller: Some(true), ..OwnerReference::default() };
        Ownership { cluster: "0123456789ab".into(), namespace: "team-a".into(), name: name.into(), uid: uid.into(), reference }
    }

    fn credential(client_id: &str, revision: i64) -> Credential {
        let client_secret = Some("s3cret".to_owned().into());
        Credential { client_id: client_id.into(), client_secret, revision, issued_at: None, nonce: Some("abcdefgh27".into()) }
    }

    fn built() -> Secret {
        build_rotation(None, "billing-rotation", &ownership("u1", "billing"), &credential("c2", 5), Some(&credential("c1", 4)))
    }

    #[test]
    fn both_credentials_are_read_back() {
        let secret = built();
        let found = read_rotation(&secret, &ownership("u1", "billing")).expect("ours");
        let of = |id| found.credential_of(id).map(|found| found.revision);
        assert_eq!((of("c2"), of("c1"), of("c3"), found.highest_revision()), (Some(5), Some(4), None, 5));
        assert!(!secret.metadata.annotations.unwrap_or_default().contains_key(RELOADER_MATCH), "it restarts nobody");
    }

    #[test]
    fn an_edited_one_holds_nothing() {
        let mut secret = built();
        secret.data.get_or_insert_default().insert(FORMER_SECRET_KEY.into(), ByteString(b"other".to_vec()));
        let found = read_rotation(&secret, &ownership("u1", "billing")).expect("ours");
        assert!(found.credential_of("c1").is_none() && found.credential_of("c2").is_none());
    }

    #[test]
    fn somebody_elses_is_none() {
        assert!(read_rotation(&built(), &ownership("u2", "other")).is_err());
    }
}
