//! Which key of the credentials Secret holds which field: the presets and the renames of `credentialsSecret.keys`. Pure.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::{
    api::oauth_client::{CredentialsSecret, SecretPreset},
    marker::hex,
};

/// Field names of preset Default with the names that the other presets give them.
const FIELDS: [(&str, &str, &str); 10] = [
    ("clientId", "GENESYSCLOUD_OAUTHCLIENT_ID", "client-id"),
    ("clientSecret", "GENESYSCLOUD_OAUTHCLIENT_SECRET", "client-secret"),
    ("region", "GENESYSCLOUD_REGION", "region"),
    ("domain", "GENESYSCLOUD_DOMAIN", "domain"),
    ("loginUrl", "GENESYSCLOUD_LOGIN_URL", "login-uri"),
    ("authorizeUrl", "GENESYSCLOUD_AUTHORIZE_URL", "authorization-uri"),
    ("tokenUrl", "GENESYSCLOUD_TOKEN_URL", "token-uri"),
    ("apiUrl", "GENESYSCLOUD_API_URL", "api-uri"),
    ("organizationId", "GENESYSCLOUD_ORGANIZATION_ID", "organization-id"),
    ("grantType", "GENESYSCLOUD_GRANT_TYPE", "authorization-grant-type"),
];

/// Fields that preset `ServiceBinding` has beside the others (servicebinding.io); they keep their names.
const SERVICE_BINDING_FIELDS: [&str; 4] = ["type", "provider", "redirect-uris", "scope"];

/// Field name → key of the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyMap(BTreeMap<&'static str, String>);

/// Two fields would share one key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("spec.credentialsSecret.keys: {first} and {second} would both be stored under {key:?}; give one of them another name")]
pub struct SharedKey {
    first: &'static str,
    second: &'static str,
    key: String,
}

impl Default for KeyMap {
    /// The names of preset Default.
    fn default() -> Self {
        Self(FIELDS.into_iter().map(|(field, _, _)| (field, field.to_owned())).collect())
    }
}

impl KeyMap {
    /// The names that a spec asks for.
    pub fn of(wishes: Option<&CredentialsSecret>) -> Result<Self, SharedKey> {
        let preset = wishes.map_or(SecretPreset::Default, |wishes| wishes.preset);
        let extra: &[&str] = if preset == SecretPreset::ServiceBinding { &SERVICE_BINDING_FIELDS } else { &[] };
        let named = FIELDS.map(|(field, environment, binding)| {
            let preset_name = match preset {
                SecretPreset::Default => field,
                SecretPreset::Environment => environment,
                SecretPreset::ServiceBinding => binding,
            };
            let renamed = wishes.and_then(|wishes| wishes.keys.get(field)).map(String::as_str);
            (field, renamed.unwrap_or(preset_name).to_owned())
        });
        let mut by_key: BTreeMap<String, &'static str> = BTreeMap::new();
        let mut map = BTreeMap::new();
        for (field, key) in named.into_iter().chain(extra.iter().map(|field| (*field, (*field).to_owned()))) {
            if let Some(first) = by_key.insert(key.clone(), field) {
                return Err(SharedKey { first, second: field, key });
            }
            map.insert(field, key);
        }
        Ok(Self(map))
    }

    /// The key of the client's id.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.0["clientId"]
    }

    /// The key of the client's secret.
    #[must_use]
    pub fn client_secret(&self) -> &str {
        &self.0["clientSecret"]
    }

    /// All fields with their keys.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(field, key)| (*field, key.as_str()))
    }

    /// A digest of the whole map.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for (field, key) in &self.0 {
            digest.update(field.as_bytes());
            digest.update(b"=");
            digest.update(key.as_bytes());
            digest.update(
                b"
",
            );
        }
        hex(&digest.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(preset: SecretPreset, renames: &[(&str, &str)]) -> CredentialsSecret {
        CredentialsSecret {
            preset,
            keys: renames.iter().map(|(field, key)| ((*field).into(), (*key).into())).collect(),
            ..CredentialsSecret::default()
        }
    }

    #[test]
    fn presets_leave_no_field_out() {
        for (preset, expected) in [(SecretPreset::Default, 10), (SecretPreset::Environment, 10), (SecretPreset::ServiceBinding, 14)] {
            let map = KeyMap::of(Some(&wishes(preset, &[]))).unwrap();
            assert_eq!(map.fields().count(), expected);
        }
        assert_eq!(KeyMap::of(None).unwrap().client_secret(), "clientSecret");
    }

    #[test]
    fn renames_single_keys() {
        let map = KeyMap::of(Some(&wishes(SecretPreset::Environment, &[("clientId", "ID")]))).unwrap();
        assert_eq!((map.client_id(), map.client_secret()), ("ID", "GENESYSCLOUD_OAUTHCLIENT_SECRET"));
        assert_ne!(map.digest(), KeyMap::of(Some(&wishes(SecretPreset::Environment, &[]))).unwrap().digest());
    }

    #[test]
    fn swaps_are_fine_and_shared_names_are_not() {
        assert!(KeyMap::of(Some(&wishes(SecretPreset::Default, &[("region", "domain"), ("domain", "region")]))).is_ok());
        let error = KeyMap::of(Some(&wishes(SecretPreset::Default, &[("region", "domain")]))).unwrap_err();
        assert!(error.to_string().contains("would both be stored under \"domain\""), "{error}");
        assert!(KeyMap::of(Some(&wishes(SecretPreset::ServiceBinding, &[("clientId", "scope")]))).is_err());
    }
}
