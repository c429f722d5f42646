//! The `rotationDefaults` of an organization, looked at as a rotation policy is (talks to the network for Events). They never make it less than Ready.

use kube::runtime::events::EventType;

use super::status::Verdict;
use crate::{
    api::{
        GenesysOrganization,
        condition::{ConditionType, find},
    },
    controller::{
        context::Context,
        fleet::followers::Guide,
        oauth_client::policy::key_of_defaults,
        rotation_policy::review::{self, Review, tell_turns},
    },
};

/// Judges the defaults and counts the clients that follow them; none where there are none.
#[must_use]
pub fn review(context: &Context, object: &GenesysOrganization) -> Option<Review> {
    let spec = object.spec.rotation_defaults.as_ref()?;
    let recorded = object.status.as_ref().and_then(|status| status.rotation.clone()).unwrap_or_default();
    let guide = Guide::Defaults { organization: object.metadata.name.clone().unwrap_or_default() };
    Some(review::review(context, &key_of_defaults(object), &guide, spec, &recorded))
}

/// What a person should know of them, beside an organization that works.
fn remark(review: &Review) -> Option<String> {
    if let Some(refusal) = &review.refusal {
        return Some(format!("rotationDefaults can't be followed: {refusal}"));
    }
    review.halt().map(|halt| format!("under rotationDefaults {halt}"))
}

/// The verdict, with what a person should know.
#[must_use]
pub fn remarked(verdict: Verdict, review: Option<&Review>) -> Verdict {
    match verdict {
        Verdict::Ready { name, held, .. } => Verdict::Ready { name, remark: review.and_then(remark), held },
        other => other,
    }
}

/// Events where the defaults can't be followed, came to a halt, or go on; each once.
pub async fn tell(context: &Context, before: &GenesysOrganization, written: &GenesysOrganization, review: &Review) {
    let rotation = before.status.as_ref().and_then(|status| status.rotation.as_ref());
    tell_turns(context, written, rotation, review).await;
    let (Some(refusal), Some(message)) = (&review.refusal, remark(review)) else { return };
    if says(written, &message) && !says(before, &message) {
        tracing::warn!(reason = refusal.reason().as_str(), note = %message, "a person must act");
        context.events.publish(written, EventType::Warning, refusal.reason().as_str(), &message).await;
    }
}

/// Whether `Ready` says this already.
fn says(object: &GenesysOrganization, message: &str) -> bool {
    let conditions = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    find(conditions, ConditionType::Ready).is_some_and(|ready| ready.message.contains(message))
}
