//! How far a workload's rollout is, as a test says it; it starts no pods.

use serde_json::{Value, json};

use super::object;

/// How far a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The controller has not seen the newest generation.
    Unseen,
    /// So many replicas are new and available.
    Updated(i64),
    /// Every replica is new and available.
    Complete,
    /// It takes longer than its deadline.
    Stuck,
}

/// A workload's status at that point.
pub(crate) fn status(object: &Value, progress: Progress, now: &str) -> Value {
    let wanted = object::at(object, &["spec", "replicas"]).and_then(Value::as_i64).unwrap_or(1);
    let generation = object::generation(object);
    let mut status = object.get("status").cloned().filter(Value::is_object).unwrap_or_else(|| json!({}));
    let condition = |kind: &str, value: &str, reason: &str| json!({"type": kind, "status": value, "reason": reason, "message": reason, "lastUpdateTime": now, "lastTransitionTime": now});
    let mut at = |seen: i64, updated: i64, conditions: Vec<Value>| {
        status["observedGeneration"] = seen.into();
        status["replicas"] = wanted.into();
        for member in ["updatedReplicas", "readyReplicas", "availableReplicas"] {
            status[member] = updated.into();
        }
        let missing = wanted - updated;
        if missing > 0 {
            status["unavailableReplicas"] = missing.into();
        } else {
            object::set_member(&mut status, "unavailableReplicas", None);
        }
        status["conditions"] = conditions.into();
    };
    match progress {
        Progress::Unseen => at(generation - 1, wanted, vec![condition("Available", "True", "MinimumReplicasAvailable")]),
        Progress::Updated(updated) => at(generation, updated.min(wanted), vec![condition("Progressing", "True", "ReplicaSetUpdated")]),
        Progress::Complete => {
            let conditions = vec![
                condition("Available", "True", "MinimumReplicasAvailable"),
                condition("Progressing", "True", "NewReplicaSetAvailable"),
            ];
            at(generation, wanted, conditions);
        }
        Progress::Stuck => at(generation, 0, vec![condition("Progressing", "False", "ProgressDeadlineExceeded")]),
    }
    status
}
