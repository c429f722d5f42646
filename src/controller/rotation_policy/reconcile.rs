//! One pass over a `GenesysRotationPolicy` (talks to the network): judges it, counts its clients, writes its status. Rotates nothing.

use std::sync::Arc;

use kube::{Api, ResourceExt as _, runtime::controller::Action, runtime::events::EventType};

use super::{
    review::{Committed, commit, review, tell_turns},
    status::{Verdict, set_conditions, verdict},
};
use crate::{
    api::{
        GenesysRotationPolicy, GenesysRotationPolicyStatus,
        condition::{ConditionType, Reason, find},
        rules,
    },
    controller::{
        context::Context,
        error::Error,
        fleet::followers::Guide,
        kubernetes::about,
        memory::{Recollection, pause},
        oauth_client::policy::key_of_policy,
    },
};

/// One pass. Errors are those of the Kubernetes API alone.
pub async fn reconcile(object: Arc<GenesysRotationPolicy>, context: Arc<Context>) -> Result<Action, Error> {
    let _under_way = context.pulse.pass(about(&*object));
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let action = work(&object, &context).await?;
    context.memory.remember(&object.uid().unwrap_or_default(), Recollection::succeeded);
    Ok(action)
}

async fn work(object: &GenesysRotationPolicy, context: &Context) -> Result<Action, Error> {
    let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
    let api: Api<GenesysRotationPolicy> = Api::namespaced(context.client.clone(), &namespace);
    let mut current = object.clone();
    if object.status.as_ref().is_none_or(|status| status.conditions.is_empty()) {
        let status = object.status.clone().unwrap_or_default();
        if let Committed::Done(written) = commit_status(context, &api, &current, status, &Verdict::FirstVisit).await? {
            current = written;
        }
    }
    let recorded = current.status.clone().unwrap_or_default();
    let guide = Guide::Policy { namespace, name };
    let review = review(context, &key_of_policy(&current), &guide, &current.spec, &recorded.fleet);
    let verdict = verdict(&current.spec, &rules::rotation_policy_violations(&current), &review);
    let status = GenesysRotationPolicyStatus { fleet: review.fleet.clone(), ..recorded.clone() };
    let again = review.again(context);
    match commit_status(context, &api, &current, status, &verdict).await? {
        Committed::Later(left) => Ok(Action::requeue(left.min(again))),
        Committed::Done(written) => {
            tell_turns(context, &written, Some(&recorded.fleet), &review).await;
            tell_refusal(context, &written, &recorded, &verdict).await;
            Ok(Action::requeue(again))
        }
    }
}

async fn commit_status(
    context: &Context,
    api: &Api<GenesysRotationPolicy>,
    object: &GenesysRotationPolicy,
    mut status: GenesysRotationPolicyStatus,
    verdict: &Verdict,
) -> Result<Committed<GenesysRotationPolicy>, Error> {
    status.observed_generation = object.metadata.generation;
    set_conditions(&mut status.conditions, verdict, object.metadata.generation, context.now());
    let mut wished = object.clone();
    wished.status = Some(status);
    commit(context, api, object, wished).await
}

/// An Event when a person must correct the policy, once for each reason.
async fn tell_refusal(context: &Context, object: &GenesysRotationPolicy, before: &GenesysRotationPolicyStatus, verdict: &Verdict) {
    let Verdict::Stalled { reason, message } = verdict else { return };
    let known = find(&before.conditions, ConditionType::Ready).is_some_and(|ready| ready.reason == reason.as_str());
    if *reason != Reason::Halted && !known {
        tracing::warn!(reason = reason.as_str(), note = %message, "a person must act");
        context.events.publish(object, EventType::Warning, reason.as_str(), message).await;
    }
}

/// The pause after an error of the Kubernetes API.
#[must_use]
pub fn error_policy(object: &GenesysRotationPolicy, error: &Error, context: &Context) -> Action {
    let uid = object.uid().unwrap_or_default();
    if matches!(error, Error::Stale) {
        return Action::requeue(context.memory.remember(&uid, Recollection::lost_race));
    }
    let fraction = context.chance.fraction();
    let wait = context.memory.remember(&uid, |memory| {
        memory.failures = memory.failures.saturating_add(1);
        pause(memory.failures, fraction)
    });
    tracing::warn!(reason = error.reason(), %error, wait = ?wait, "the pass failed");
    Action::requeue(wait)
}
