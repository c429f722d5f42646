//! Kinds whose status counts a fleet, and which change of such an object is news to the fleet. Compares; makes no call.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use kube::Resource;

use crate::api::{GenesysOrganization, GenesysRotationPolicy, fleet::FleetStatus, inventory::Inventory};

/// A kind whose status counts the clients that follow it.
pub trait Counted: Resource<DynamicType = ()> + Clone + PartialEq {
    /// The part of its status that does.
    fn fleet(&mut self) -> Option<&mut FleetStatus>;

    /// Takes out what its status tells of all clients of an organization.
    fn take_inventory(&mut self) -> Option<Inventory> {
        None
    }
}

impl Counted for GenesysRotationPolicy {
    fn fleet(&mut self) -> Option<&mut FleetStatus> {
        self.status.as_mut().map(|status| &mut status.fleet)
    }
}

impl Counted for GenesysOrganization {
    fn fleet(&mut self) -> Option<&mut FleetStatus> {
        self.status.as_mut()?.rotation.as_mut()
    }

    fn take_inventory(&mut self) -> Option<Inventory> {
        self.status.as_mut()?.inventory.take()
    }
}

/// How two versions of an object differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Not at all, but for the version.
    None,
    /// In its counts alone.
    Counts,
    /// In something that concerns the clients.
    Substance,
}

/// How two versions of an object differ.
#[must_use]
pub fn difference<K: Counted>(one: &K, other: &K) -> Difference {
    let ((one, one_counts), (other, other_counts)) = (parts(one), parts(other));
    if one != other {
        Difference::Substance
    } else if one_counts != other_counts {
        Difference::Counts
    } else {
        Difference::None
    }
}

/// The object without its version and counts; and the counts.
fn parts<K: Counted>(object: &K) -> (K, (Option<FleetStatus>, Option<Inventory>)) {
    let mut substance = object.clone();
    substance.meta_mut().resource_version = None;
    substance.meta_mut().managed_fields = None;
    let fleet = substance.fleet().map(|fleet| {
        let without = fleet.without_counts();
        std::mem::replace(fleet, without)
    });
    let inventory = substance.take_inventory();
    (substance, (fleet, inventory))
}

/// What the clients' controller last saw of the objects of a kind, so that a write of counts wakes nobody: they change while clients are worked.
pub struct News<K>(Mutex<HashMap<Place, K>>);

/// Namespace and name of an object.
type Place = (Option<String>, Option<String>);

impl<K> Default for News<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Counted> News<K> {
    /// Whether an event of a watch concerns the clients. In one that tells of a deletion nothing differs from what was seen last.
    pub fn concern_clients(&self, object: &K) -> bool {
        let place = (object.meta().namespace.clone(), object.meta().name.clone());
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = seen.insert(place, object.clone());
        before.is_none_or(|before| difference(&before, object) != Difference::Counts)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(version: &str, due: i64, observed: i64) -> GenesysRotationPolicy {
        let policy = json!({
            "apiVersion": "oauth.genesys-operator.io/v1alpha1", "kind": "GenesysRotationPolicy",
            "metadata": { "name": "monthly", "namespace": "team", "resourceVersion": version },
            "spec": { "interval": "30d" }, "status": { "observedGeneration": observed, "due": due, "clients": 5 },
        });
        serde_json::from_value(policy).expect("a policy")
    }

    #[test]
    fn counts_wake_nobody_and_everything_else_does() {
        let news = News::default();
        assert!(news.concern_clients(&policy("1", 0, 1)), "the first sight");
        assert!(!news.concern_clients(&policy("2", 1, 1)), "a count");
        assert!(news.concern_clients(&policy("3", 1, 2)), "it was looked at");
        assert!(news.concern_clients(&policy("4", 1, 2)), "nothing differs: it was deleted");
        assert!(news.concern_clients(&policy("5", 2, 3)), "a count, and more");
    }

    #[test]
    fn an_organization_without_counts_has_substance_alone() {
        let organization = |rotation: serde_json::Value| -> GenesysOrganization {
            let spec = json!({ "region": "us-east-1", "credentialsSecretRef": { "name": "acme" } });
            let object = json!({
                "apiVersion": "oauth.genesys-operator.io/v1alpha1", "kind": "GenesysOrganization", "metadata": { "name": "acme" },
                "spec": spec, "status": { "rotation": rotation },
            });
            serde_json::from_value(object).expect("an organization")
        };
        let none = organization(serde_json::Value::Null);
        let some = organization(json!({ "due": 1 }));
        assert_eq!(difference(&none, &none), Difference::None);
        assert_eq!(difference(&none, &some), Difference::Substance);
        assert_eq!(difference(&some, &organization(json!({ "due": 2 }))), Difference::Counts);
    }
}
