//! Which install of which cluster works an organization, as its status pins it. Pure; a pin is written along with the status, by compare-and-swap.
//!
//! It is released by a person or with the object. A pin that expired by a clock would have to be renewed, and a settled cluster writes nothing: so
//! the install that it names is taken for gone when it leaves an edit or a request of a person unread for an hour, and one that works takes over.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    api::{GenesysOrganization, RECONCILE_ANNOTATION, organization::Pin},
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

/// How long the install that keeps an organization may leave something unread; another replica of it takes seconds.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Something that the install which keeps an organization has not read yet, as this process first saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// What that install read last: a generation, and a request.
    read: (Option<i64>, Option<String>),
    since: Instant,
}

/// What the install that keeps an organization leaves unread; none: it has read everything.
#[must_use]
pub fn unread(object: &GenesysOrganization, before: Option<Unread>, now: Instant) -> Option<Unread> {
    let status = object.status.as_ref()?;
    let asked = object.metadata.annotations.as_ref().and_then(|annotations| annotations.get(RECONCILE_ANNOTATION));
    let asked = asked.filter(|token| !token.is_empty()).map(|token| token.chars().take(256).collect::<String>());
    let handled = &status.last_handled_reconcile_request;
    if status.observed_generation == object.metadata.generation && (asked.is_none() || asked == *handled) {
        return None;
    }
    let read = (status.observed_generation, handled.clone());
    // It lives as long as it reads anything.
    Some(before.filter(|before| before.read == read).unwrap_or(Unread { read, since: now }))
}

impl Unread {
    /// Whether that install is taken for gone.
    #[must_use]
    pub fn is_abandoned(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= ABANDONED
    }
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

    #[tokio::test(start_paused = true)]
    async fn an_install_that_reads_nothing_for_an_hour_is_taken_for_gone() {
        let object = |generation: i64, observed: i64, asked: &str| {
            let mut object = object(&json!({ "clusterId": "c", "install": "other" }));
            object.metadata.generation = Some(generation);
            object.metadata.annotations = Some([(RECONCILE_ANNOTATION.to_owned(), asked.to_owned())].into());
            let status = object.status.as_mut().expect("a status");
            (status.observed_generation, status.last_handled_reconcile_request) = (Some(observed), Some("one".to_owned()));
            object
        };
        let start = Instant::now();
        let later = |minutes: u64| start + Duration::from_secs(60 * minutes);
        assert_eq!(unread(&object(1, 1, "one"), None, start), None, "it has read everything");
        for waiting in [object(2, 1, "one"), object(1, 1, "two")] {
            let first = unread(&waiting, None, start).expect("something is unread");
            let still = unread(&waiting, Some(first), later(59)).expect("still");
            assert!(!still.is_abandoned(later(59)) && still.is_abandoned(later(60)));
        }
        let first = unread(&object(2, 1, "one"), None, start);
        let slow = unread(&object(4, 3, "one"), first, later(60)).expect("another edit");
        assert!(!slow.is_abandoned(later(60)), "it reads, if slowly");
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
