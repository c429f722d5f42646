//! Which install of which cluster works an organization, as its status pins it. Pure; a pin is written along with the status, by compare-and-swap.
//!
//! It is released by a person or with the object. Until installs have leases, none takes over from another by itself: a pin that expired by a clock
//! would have to be renewed, and a settled cluster writes nothing.

use crate::{
    api::{GenesysOrganization, organization::Pin},
    marker::Owner,
    settings::Settings,
};

/// Whose an organization is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinned {
    /// This install's, now or already.
    Ours,
    /// Another install's: it keeps the status, and both work their own clients.
    OtherInstall,
}

/// The cluster to which an organization is pinned, if it is not this one: under this one's id the clients would not be found.
#[must_use]
pub fn other_cluster<'a>(object: &'a GenesysOrganization, own: &Pin) -> Option<&'a str> {
    let pin = object.status.as_ref()?.pin.as_ref()?;
    (pin.cluster_id != own.cluster_id).then_some(pin.cluster_id.as_str())
}

/// The pin of this install.
#[must_use]
pub fn own(settings: &Settings, cluster_id: &str) -> Pin {
    // Not the namespaces that it watches: an install that is given one more stays the same.
    Pin { cluster_id: Owner::new(cluster_id, "", "").cluster().to_owned(), install: settings.operator_namespace.clone() }
}

/// Whose an organization is.
#[must_use]
pub fn pinned(object: &GenesysOrganization, own: &Pin) -> Pinned {
    match object.status.as_ref().and_then(|status| status.pin.as_ref()) {
        Some(pin) if pin.install != own.install => Pinned::OtherInstall,
        _ => Pinned::Ours,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(pin: &serde_json::Value) -> GenesysOrganization {
        serde_json::from_value(json!({
            "apiVersion": "oauth.genesys-operator.io/v1alpha1", "kind": "GenesysOrganization", "metadata": { "name": "acme" },
            "spec": { "region": "eu-central-1", "credentialsSecretRef": { "name": "acme" } }, "status": { "pin": pin },
        }))
        .expect("an organization")
    }

    #[test]
    fn the_first_install_has_it_also_with_other_namespaces_to_watch() {
        let settings = |flags: &[&str]| Settings::from_flags(flags.iter().copied()).expect("flags");
        let first = own(&settings(&["--watch-namespace=a"]), "one");
        assert_eq!(pinned(&object(&json!(null)), &first), Pinned::Ours);
        let ask = |flags: &[&str], cluster: &str| pinned(&object(&json!(first)), &own(&settings(flags), cluster));
        assert_eq!(ask(&["--watch-namespace=a,b"], "one"), Pinned::Ours);
        assert_eq!(ask(&["--operator-namespace=another"], "one"), Pinned::OtherInstall);
        assert_eq!(ask(&[], "two"), Pinned::Ours, "its status is still to be kept, to say what is wrong");
        assert!(other_cluster(&object(&json!(first)), &own(&settings(&[]), "two")).is_some());
        assert!(other_cluster(&object(&json!(first)), &first).is_none() && other_cluster(&object(&json!(null)), &first).is_none());
    }
}
