//! Who follows which policy, as the watches show it, and word of each change among them. Reads memory alone; makes no call and writes nothing.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{Stream, stream};
use tokio::{sync::watch, time::Instant};

use crate::api::GenesysOAuthClient;

/// How long changes are gathered before they are counted: a fleet that is created or rotated is counted once in this time, not once a client.
pub const GATHER: Duration = Duration::from_secs(5);

/// How long an index of the objects serves. Shorter than [`GATHER`], so that a count always sees the changes that it was called for.
const INDEX_SERVES: Duration = Duration::from_secs(1);

/// What says when an object's credential is rotated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Guide {
    /// A `GenesysRotationPolicy` that the object names.
    Policy {
        /// Its namespace, which is the object's.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The `rotationDefaults` of a `GenesysOrganization`, for an object that names no policy.
    Defaults {
        /// Name of the organization.
        organization: String,
    },
}

impl Guide {
    /// What an object follows. A public or an Implicit client never rotates, and an object that is being deleted follows nothing any more.
    #[must_use]
    pub fn of(object: &GenesysOAuthClient) -> Option<Self> {
        if !object.can_rotate() || object.metadata.deletion_timestamp.is_some() {
            return None;
        }
        Some(match &object.spec.rotation_policy_ref {
            Some(reference) => {
                Self::Policy { namespace: object.metadata.namespace.clone().unwrap_or_default(), name: reference.name.clone() }
            }
            None => Self::Defaults { organization: object.spec.organization_ref.name.clone() },
        })
    }
}

/// Objects by what they follow.
type Index = HashMap<Guide, Vec<Arc<GenesysOAuthClient>>>;

/// Who follows which policy.
#[derive(Default)]
pub struct Followers {
    changes: watch::Sender<u64>,
    /// The version of each object that was noted last, by namespace and name.
    versions: Mutex<HashMap<(String, String), String>>,
    index: Mutex<Option<(Instant, Arc<Index>)>>,
}

impl Followers {
    /// Notes the version in which a watch shows an object; none: the object is gone. A version that is known is no news.
    pub fn note(&self, namespace: &str, name: &str, version: Option<String>) {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (namespace.to_owned(), name.to_owned());
        let changed = match version {
            Some(version) => versions.insert(place, version.clone()) != Some(version),
            None => versions.remove(&place).is_some(),
        };
        drop(versions);
        if changed {
            self.changed();
        }
    }

    /// Says that there is something to count.
    pub fn changed(&self) {
        self.changes.send_modify(|number| *number += 1);
    }

    /// An item some time after something changed, for however many changes came in between; one at the start in any case.
    pub fn recounts(&self) -> impl Stream<Item = ()> + Send + use<> {
        let mut changes = self.changes.subscribe();
        changes.mark_changed();
        stream::unfold(changes, |mut changes| async move {
            changes.changed().await.ok()?;
            tokio::time::sleep(GATHER).await;
            Some(((), changes))
        })
    }

    /// The objects that follow a policy.
    #[must_use]
    pub fn of(&self, guide: &Guide, now: Instant, all: impl FnOnce() -> Vec<Arc<GenesysOAuthClient>>) -> Vec<Arc<GenesysOAuthClient>> {
        let mut known = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let index = match &*known {
            Some((built, index)) if now.duration_since(*built) < INDEX_SERVES => index.clone(),
            _ => known.insert((now, Arc::new(index(all())))).1.clone(),
        };
        drop(known);
        index.get(guide).cloned().unwrap_or_default()
    }
}

fn index(all: Vec<Arc<GenesysOAuthClient>>) -> Index {
    let mut index = Index::new();
    for object in all {
        if let Some(guide) = Guide::of(&object) {
            index.entry(guide).or_default().push(object);
        }
    }
    index
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use serde_json::{Value, json};

    use super::*;

    fn object(name: &str, more: Value) -> Arc<GenesysOAuthClient> {
        let mut object = json!({
            "apiVersion": "oauth.genesys-operator.io/v1alpha1", "kind": "GenesysOAuthClient", "metadata": { "name": name, "namespace": "team" },
            "spec": { "organizationRef": { "name": "acme" }, "grantType": "ClientCredentials" },
        });
        if let (Some(spec), Value::Object(more)) = (object["spec"].as_object_mut(), more) {
            spec.extend(more);
        }
        Arc::new(serde_json::from_value(object).expect("an object"))
    }

    fn names(objects: &[Arc<GenesysOAuthClient>]) -> Vec<String> {
        objects.iter().filter_map(|object| object.metadata.name.clone()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn each_follows_what_it_names_else_the_defaults() {
        let all = || {
            let monthly = json!({ "rotationPolicyRef": { "name": "monthly" } });
            let public = json!({ "publicClient": true });
            vec![object("a", monthly.clone()), object("b", json!({})), object("c", public), object("d", monthly)]
        };
        let (followers, now) = (Followers::default(), Instant::now());
        let monthly = Guide::Policy { namespace: "team".into(), name: "monthly".into() };
        assert_eq!(names(&followers.of(&monthly, now, all)), ["a", "d"]);
        assert_eq!(names(&followers.of(&Guide::Defaults { organization: "acme".into() }, now, Vec::new)), ["b"], "the index serves on");
        let elsewhere = Guide::Policy { namespace: "other".into(), name: "monthly".into() };
        assert!(followers.of(&elsewhere, now, Vec::new).is_empty());
        assert!(followers.of(&monthly, now + INDEX_SERVES, Vec::new).is_empty(), "and is built anew");
    }

    #[tokio::test(start_paused = true)]
    async fn many_changes_are_one_recount_and_none_is_none() {
        let followers = Followers::default();
        let recounts = followers.recounts();
        let mut recounts = Box::pin(recounts);
        assert!(recounts.next().await.is_some(), "one at the start");
        for number in 0..1000 {
            followers.note("team", &format!("client-{number}"), Some("7".into()));
        }
        let before = Instant::now();
        assert!(recounts.next().await.is_some());
        assert!(before.elapsed() >= GATHER);
        followers.note("team", "client-1", Some("7".into()));
        followers.note("team", "client-1", Some("7".into()));
        let long = Duration::from_secs(3600);
        assert!(tokio::time::timeout(long, recounts.next()).await.is_err(), "a version that is known is no news");
        followers.note("team", "client-1", None);
        assert!(tokio::time::timeout(long, recounts.next()).await.is_ok());
    }
}
