//! How far a workload's rollout is, read off its numbers as `kubectl rollout status` does. Pure; it judges what was read and asks nobody.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment, StatefulSet},
        core::v1::PodTemplateSpec,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

/// A workload, as far as its restart and its rollout are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The version that was read.
    pub resource_version: Option<String>,
    /// The annotations of its pod template.
    annotations: BTreeMap<String, String>,
    /// Whether its controller saw the present generation.
    observed: bool,
    pods: Pods,
    /// Why its controller leaves old pods alone, and what a person can do.
    obstacle: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Pods {
    desired: i32,
    updated: i32,
    available: i32,
    /// Those of an older template.
    old: i32,
}

impl Workload {
    /// The revision that an annotation of the pod template carries; what is no number is none of ours.
    #[must_use]
    pub fn carried(&self, annotation: &str) -> Option<i64> {
        self.annotations.get(annotation)?.parse().ok()
    }

    /// What is waited for until every pod was started with this revision or a later one; none when the rollout is complete.
    #[must_use]
    pub fn lacks(&self, annotation: &str, revision: i64) -> Option<String> {
        let Pods { desired, updated, available, old } = self.pods;
        let words = if self.carried(annotation).is_none_or(|carried| carried < revision) {
            format!("not restarted for revision {revision} yet")
        } else if !self.observed {
            "its controller has not seen the restart yet".to_owned()
        } else if updated < desired {
            format!("{updated} of {desired} pods updated")
        } else if old > 0 {
            format!("old pods left: {old}")
        } else if available < desired {
            format!("{available} of {desired} pods available")
        } else {
            return None;
        };
        Some(match &self.obstacle {
            Some(obstacle) => format!("{words}; {obstacle}"),
            None => words,
        })
    }

    fn new(metadata: &ObjectMeta, template: Option<&PodTemplateSpec>, observed: Option<i64>, pods: Pods, obstacle: Option<String>) -> Self {
        let annotations = template.and_then(|template| template.metadata.as_ref()?.annotations.clone()).unwrap_or_default();
        Self {
            resource_version: metadata.resource_version.clone(),
            annotations,
            observed: observed.unwrap_or_default() >= metadata.generation.unwrap_or_default(),
            pods,
            obstacle,
        }
    }
}

fn count(number: Option<i32>) -> i32 {
    number.unwrap_or_default()
}

impl From<&Deployment> for Workload {
    fn from(deployment: &Deployment) -> Self {
        let status = deployment.status.clone().unwrap_or_default();
        let spec = deployment.spec.as_ref();
        let updated = count(status.updated_replicas);
        let pods = Pods {
            desired: spec.and_then(|spec| spec.replicas).unwrap_or(1),
            updated,
            available: count(status.available_replicas),
            old: count(status.replicas) - updated,
        };
        let late = status.conditions.iter().flatten().any(|condition| condition.reason.as_deref() == Some("ProgressDeadlineExceeded"));
        let obstacle = if spec.and_then(|spec| spec.paused) == Some(true) {
            Some("it is paused: resume it".to_owned())
        } else {
            late.then(|| "it exceeded its progress deadline: look at its pods".to_owned())
        };
        Self::new(&deployment.metadata, spec.map(|spec| &spec.template), status.observed_generation, pods, obstacle)
    }
}

impl From<&StatefulSet> for Workload {
    fn from(set: &StatefulSet) -> Self {
        let status = set.status.clone().unwrap_or_default();
        let spec = set.spec.as_ref();
        let updated = count(status.updated_replicas);
        let pods = Pods {
            desired: spec.and_then(|spec| spec.replicas).unwrap_or(1),
            updated,
            available: count(status.available_replicas),
            old: status.replicas - updated,
        };
        let strategy = spec.and_then(|spec| spec.update_strategy.as_ref());
        let partition = strategy.and_then(|strategy| strategy.rolling_update.as_ref()?.partition).filter(|partition| *partition > 0);
        let obstacle = by_hand(strategy.and_then(|strategy| strategy.type_.as_deref())).or_else(|| {
            partition.map(|from| format!("its updateStrategy leaves the pods below partition {from} alone: set the partition to 0"))
        });
        Self::new(&set.metadata, spec.map(|spec| &spec.template), status.observed_generation, pods, obstacle)
    }
}

impl From<&DaemonSet> for Workload {
    fn from(set: &DaemonSet) -> Self {
        let status = set.status.clone().unwrap_or_default();
        let spec = set.spec.as_ref();
        let pods = Pods {
            desired: status.desired_number_scheduled,
            updated: count(status.updated_number_scheduled),
            available: count(status.number_available),
            // A node is counted as updated or not: its status has no number of old pods beside that.
            old: 0,
        };
        let strategy = spec.and_then(|spec| spec.update_strategy.as_ref());
        let obstacle = by_hand(strategy.and_then(|strategy| strategy.type_.as_deref()));
        Self::new(&set.metadata, spec.map(|spec| &spec.template), status.observed_generation, pods, obstacle)
    }
}

fn by_hand(strategy: Option<&str>) -> Option<String> {
    (strategy == Some("OnDelete")).then(|| "its updateStrategy is OnDelete: delete its old pods".to_owned())
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    const KEY: &str = "restart.oauth.genesys-operator.io/billing";

    /// A workload of generation 4 that carries revision 5, with members laid over its spec.
    fn object(spec: &Value, status: &Value) -> Value {
        let mut object = json!({
            "metadata": {"name": "web", "generation": 4, "resourceVersion": "17"},
            "spec": {"replicas": 3, "selector": {}, "serviceName": "web", "template": {"metadata": {"annotations": {KEY: "5"}}}},
            "status": status,
        });
        for (member, value) in spec.as_object().into_iter().flatten() {
            object["spec"][member] = value.clone();
        }
        object
    }

    fn lacks<K: DeserializeOwned>(spec: &Value, status: &Value) -> Option<String>
    where
        for<'a> Workload: From<&'a K>,
    {
        let workload: K = serde_json::from_value(object(spec, status)).expect("an object");
        Workload::from(&workload).lacks(KEY, 5)
    }

    fn replicas(observed: i64, total: i32, updated: i32, available: i32) -> Value {
        json!({"observedGeneration": observed, "replicas": total, "updatedReplicas": updated, "availableReplicas": available})
    }

    #[test]
    fn a_deployment_and_a_stateful_set_are_complete_when_every_pod_is_new_and_available() {
        for (status, expected) in [
            (replicas(4, 3, 3, 3), None),
            (replicas(5, 3, 3, 3), None),
            (replicas(3, 3, 3, 3), Some("its controller has not seen the restart yet")),
            (json!({}), Some("its controller has not seen the restart yet")),
            (replicas(4, 4, 1, 3), Some("1 of 3 pods updated")),
            (replicas(4, 3, 0, 3), Some("0 of 3 pods updated")),
            (replicas(4, 4, 3, 3), Some("old pods left: 1")),
            (replicas(4, 3, 3, 2), Some("2 of 3 pods available")),
        ] {
            let mut status = status;
            assert_eq!(lacks::<Deployment>(&json!({}), &status).as_deref(), expected, "{status}");
            if status["replicas"].is_null() {
                status["replicas"] = json!(0);
            }
            assert_eq!(lacks::<StatefulSet>(&json!({}), &status).as_deref(), expected, "{status}");
        }
    }

    #[test]
    fn a_workload_without_pods_is_complete_once_it_was_seen() {
        let none = json!({"replicas": 0});
        assert_eq!(lacks::<Deployment>(&none, &json!({"observedGeneration": 4})), None);
        assert_eq!(lacks::<StatefulSet>(&none, &replicas(4, 0, 0, 0)), None);
        assert_eq!(lacks::<StatefulSet>(&none, &replicas(4, 1, 0, 1)).as_deref(), Some("old pods left: 1"));
    }

    #[test]
    fn one_pod_is_wanted_where_spec_is_silent() {
        let silent = json!({"replicas": null});
        assert_eq!(lacks::<Deployment>(&silent, &json!({"observedGeneration": 4})).as_deref(), Some("0 of 1 pods updated"));
    }

    #[test]
    fn a_daemon_set_is_judged_by_its_own_numbers() {
        let numbers = |observed: i64, desired: i32, updated: i32, available: i32| {
            json!({
                "observedGeneration": observed, "desiredNumberScheduled": desired, "updatedNumberScheduled": updated,
                "numberAvailable": available, "currentNumberScheduled": desired, "numberMisscheduled": 0, "numberReady": available,
            })
        };
        for (status, expected) in [
            (numbers(4, 5, 5, 5), None),
            (numbers(4, 0, 0, 0), None),
            (numbers(3, 5, 5, 5), Some("its controller has not seen the restart yet")),
            (numbers(4, 5, 2, 5), Some("2 of 5 pods updated")),
            (numbers(4, 5, 5, 4), Some("4 of 5 pods available")),
        ] {
            assert_eq!(lacks::<DaemonSet>(&json!({}), &status).as_deref(), expected, "{status}");
        }
        let by_hand = json!({"updateStrategy": {"type": "OnDelete"}});
        let words = lacks::<DaemonSet>(&by_hand, &numbers(4, 5, 2, 5)).expect("unfinished");
        assert_eq!(words, "2 of 5 pods updated; its updateStrategy is OnDelete: delete its old pods");
        assert_eq!(lacks::<DaemonSet>(&by_hand, &numbers(4, 5, 5, 5)), None, "somebody deleted them");
    }

    #[test]
    fn what_holds_a_rollout_back_is_said_with_what_to_do() {
        let behind = replicas(4, 3, 1, 3);
        let words = |spec: Value| lacks::<StatefulSet>(&spec, &behind).expect("unfinished");
        assert!(words(json!({"updateStrategy": {"type": "OnDelete"}})).ends_with("delete its old pods"));
        let partition = |from: i32| json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": from}}});
        assert!(words(partition(2)).contains("below partition 2"));
        assert_eq!(words(partition(0)), "1 of 3 pods updated");
        let paused = json!({"paused": true});
        assert_eq!(lacks::<Deployment>(&paused, &behind).expect("unfinished"), "1 of 3 pods updated; it is paused: resume it");
        assert_eq!(lacks::<Deployment>(&paused, &replicas(4, 3, 3, 3)), None, "it was paused when it was through");
        let mut late = behind.clone();
        late["conditions"] = json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
        assert!(lacks::<Deployment>(&json!({}), &late).expect("unfinished").contains("progress deadline"));
    }

    #[test]
    fn what_carries_no_revision_or_an_older_one_is_not_restarted_yet() {
        let whole = replicas(4, 3, 3, 3);
        let workload = |value: Value| {
            let template = json!({"metadata": {"annotations": value}});
            let deployment: Deployment = serde_json::from_value(object(&json!({ "template": template }), &whole)).expect("an object");
            Workload::from(&deployment)
        };
        for annotations in
            [json!(null), json!({}), json!({KEY: "4"}), json!({KEY: "soon"}), json!({"restart.oauth.genesys-operator.io/a": "9"})]
        {
            let workload = workload(annotations);
            assert_eq!(workload.lacks(KEY, 5).as_deref(), Some("not restarted for revision 5 yet"), "{workload:?}");
        }
        assert_eq!((workload(json!({KEY: "6"})).lacks(KEY, 5), workload(json!({KEY: "6"})).carried(KEY)), (None, Some(6)));
        assert_eq!(workload(json!({})).resource_version.as_deref(), Some("17"));
    }
}
