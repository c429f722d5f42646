//! Restarts the workloads of `spec.rolloutTargets` after a publish, and says which are not through yet (talks to the network). It changes exactly
//! one annotation of their pod templates, and never to an older revision.

mod progress;

use std::fmt::{Debug, Display, Formatter};

use k8s_openapi::{
    NamespaceResourceScope,
    api::apps::v1::{DaemonSet, Deployment, StatefulSet},
};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{Patch, PatchParams},
    runtime::events::EventType,
};
use serde::de::DeserializeOwned;
use serde_json::json;
use tracing::Instrument as _;

use self::progress::Workload;
use super::pass::Pass;
use crate::{
    api::{
        FIELD_MANAGER,
        condition::Reason,
        oauth_client::{RolloutKind, RolloutTarget},
    },
    controller::error::{During as _, Error, is_conflict},
    observability::traces,
    settings::RolloutTargets,
};

/// Before the object's name: the annotation of a pod template with the revision that its pods were started for. A key for each object, or two
/// of them would restart one workload in turns.
const RESTART: &str = "restart.oauth.genesys-operator.io/";
/// How often the annotation is written within one pass when somebody else writes the workload at the same time.
const TRIES: usize = 5;

/// Sees to it that every target was restarted for a revision. What stands in the way, and what a person can do.
pub async fn restart(pass: &mut Pass<'_>, revision: i64) -> Result<Option<(Reason, String)>, Error> {
    let targets = pass.object.spec.rollout_targets.clone();
    if targets.is_empty() {
        return Ok(None);
    }
    if let Some(message) = forbidden(pass) {
        return Ok(Some((Reason::RolloutForbidden, message)));
    }
    let (mut restarted, mut refused) = (vec![], vec![]);
    for target in &targets {
        match restart_one(pass, target, revision).await? {
            Outcome::Restarted => restarted.push(Named(target).to_string()),
            Outcome::CarriedAlready => {}
            Outcome::Absent => say_absent(pass, target, revision).await,
            Outcome::Refused(message) => refused.push(message),
        }
    }
    if !restarted.is_empty() {
        let note = format!("restarted {}, to read revision {revision} of the credential", restarted.join(", "));
        pass.event(EventType::Normal, "RolloutStarted", &note).await;
    }
    Ok((!refused.is_empty()).then(|| (Reason::RolloutForbidden, refused.join("; "))))
}

/// What is still waited for until every target runs with a revision; none when nothing is.
pub async fn unfinished(pass: &Pass<'_>, revision: i64) -> Result<Option<String>, Error> {
    if pass.object.spec.rollout_targets.is_empty() {
        return Ok(None);
    }
    if let Some(message) = forbidden(pass) {
        return Ok(Some(message));
    }
    let annotation = annotation(pass);
    let mut lacking = vec![];
    for target in &pass.object.spec.rollout_targets {
        let named = Named(target);
        match read(pass, target).await {
            Ok(found) => {
                lacking.extend(found.and_then(|workload| workload.lacks(&annotation, revision)).map(|words| format!("{named}: {words}")));
            }
            Err(error) => lacking.push(refusal(error, target, "reading a rollout target")?),
        }
    }
    Ok((!lacking.is_empty()).then(|| lacking.join(". ")))
}

/// Why the operator's settings forbid all restarts.
fn forbidden(pass: &Pass<'_>) -> Option<String> {
    (pass.context.settings.rollout_targets == RolloutTargets::Forbidden).then(|| {
        "this operator may not restart workloads: ask its administrator to allow it (--rollout-targets allowed), or remove spec.rolloutTargets and \
         restart them by other means"
            .to_owned()
    })
}

fn annotation(pass: &Pass<'_>) -> String {
    format!("{RESTART}{}", pass.object.name_any())
}

/// What came of the restart of one target.
enum Outcome {
    Restarted,
    CarriedAlready,
    /// There is no such workload, so nothing has to be restarted.
    Absent,
    Refused(String),
}

async fn restart_one(pass: &Pass<'_>, target: &RolloutTarget, revision: i64) -> Result<Outcome, Error> {
    let annotation = annotation(pass);
    for _ in 0..TRIES {
        let workload = match read(pass, target).await {
            Ok(Some(workload)) => workload,
            Ok(None) => return Ok(Outcome::Absent),
            Err(error) => return refusal(error, target, "reading a rollout target").map(Outcome::Refused),
        };
        if workload.carried(&annotation).is_some_and(|carried| carried >= revision) {
            return Ok(Outcome::CarriedAlready);
        }
        match mark(pass, target, &workload, &annotation, revision).await {
            Ok(()) => {
                tracing::info!(workload = %Named(target), revision, "rollout started");
                return Ok(Outcome::Restarted);
            }
            // It changed since it was read: another process may have written a higher revision.
            Err(error) if is_conflict(&error) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(Outcome::Absent),
            Err(error) => return refusal(error, target, "restarting a rollout target").map(Outcome::Refused),
        }
    }
    Err(Error::Stale)
}

/// Says once for each revision that a target is not there.
async fn say_absent(pass: &Pass<'_>, target: &RolloutTarget, revision: i64) {
    let named = Named(target).to_string();
    let first = pass.remember(|memory| {
        memory.absent_targets.retain(|(of, _)| *of == revision);
        memory.absent_targets.insert((revision, named.clone()))
    });
    if first {
        let note = format!("{named} does not exist, so nothing of it is restarted: create it, or remove it from spec.rolloutTargets");
        pass.event(EventType::Warning, "RolloutTargetMissing", &note).await;
    }
}

/// What a refusal of the API server means for a target; anything else may pass and is tried again.
fn refusal(error: kube::Error, target: &RolloutTarget, action: &'static str) -> Result<String, Error> {
    let named = Named(target);
    match &error {
        kube::Error::Api(status) if status.code == 403 => Ok(format!(
            "the operator may not restart {named} ({}): ask its administrator to allow rollout targets in this namespace, or remove it from \
             spec.rolloutTargets",
            status.message
        )),
        kube::Error::Api(status) if (400..500).contains(&status.code) && !matches!(status.code, 401 | 408 | 409 | 429) => {
            let message = &status.message;
            Ok(format!(
                "the API server refuses to restart {named} ({message}): correct what it names, or remove it from spec.rolloutTargets"
            ))
        }
        _ => Err(error).during(action),
    }
}

async fn read(pass: &Pass<'_>, target: &RolloutTarget) -> Result<Option<Workload>, kube::Error> {
    match target.kind {
        RolloutKind::Deployment => read_as::<Deployment>(pass, target).await,
        RolloutKind::StatefulSet => read_as::<StatefulSet>(pass, target).await,
        RolloutKind::DaemonSet => read_as::<DaemonSet>(pass, target).await,
    }
}

async fn read_as<K>(pass: &Pass<'_>, target: &RolloutTarget) -> Result<Option<Workload>, kube::Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    for<'a> Workload: From<&'a K>,
{
    Ok(workloads::<K>(pass).get_opt(&target.name).await?.as_ref().map(Workload::from))
}

async fn mark(pass: &Pass<'_>, target: &RolloutTarget, seen: &Workload, annotation: &str, revision: i64) -> Result<(), kube::Error> {
    match target.kind {
        RolloutKind::Deployment => mark_as::<Deployment>(pass, target, seen, annotation, revision).await,
        RolloutKind::StatefulSet => mark_as::<StatefulSet>(pass, target, seen, annotation, revision).await,
        RolloutKind::DaemonSet => mark_as::<DaemonSet>(pass, target, seen, annotation, revision).await,
    }
}

/// Writes the annotation into the workload as it was read; anything else in it stays.
async fn mark_as<K>(pass: &Pass<'_>, target: &RolloutTarget, seen: &Workload, annotation: &str, revision: i64) -> Result<(), kube::Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let patch = json!({
        "metadata": {"resourceVersion": seen.resource_version},
        "spec": {"template": {"metadata": {"annotations": {annotation: revision.to_string()}}}},
    });
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    let span = traces::of_write(&K::kind(&()), "restart");
    workloads::<K>(pass).patch(&target.name, &parameters, &Patch::Merge(patch)).instrument(span).await.map(drop)
}

fn workloads<K>(pass: &Pass<'_>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    Api::namespaced(pass.context.client.clone(), &pass.object.namespace().unwrap_or_default())
}

/// A target, as messages name it.
struct Named<'a>(&'a RolloutTarget);

impl Display for Named<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?}", self.0.kind, self.0.name)
    }
}
