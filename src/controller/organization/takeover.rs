//! Takes an organization over whose install is gone (talks to the network): its pin, by compare-and-swap. Touches nothing of that install's clients.

use kube::{Api, ResourceExt as _, runtime::events::EventType};
use tokio::time::Instant;

use super::pin::{self, Pinned, pinned};
use crate::{
    api::{GenesysOrganization, GenesysOrganizationStatus, organization::Pin},
    controller::{
        context::Context,
        error::Error,
        rotation_policy::review::{Committed, commit},
        sessions::Standing,
    },
};

/// Whether the install that the organization is pinned to is gone, and this one can work it.
#[must_use]
pub fn is_due(context: &Context, object: &GenesysOrganization, own: &Pin) -> bool {
    let elsewhere = pinned(object, own) == Pinned::OtherInstall && pin::other_cluster(object, own).is_none();
    let now = Instant::now();
    let unread = context.memory.remember(&object.uid().unwrap_or_default(), |memory| {
        let before = memory.unread.take().filter(|_| elsewhere);
        memory.unread = elsewhere.then(|| pin::unread(object, before, now)).flatten();
        memory.unread.clone()
    });
    let works = matches!(context.sessions.standing(&object.name_any()), Standing::Ready(session) if session.serves(object));
    works && unread.is_some_and(|unread| unread.is_abandoned(now))
}

/// Pins the organization to this install, by compare-and-swap, and tells so.
pub async fn take_over(
    context: &Context,
    api: &Api<GenesysOrganization>,
    object: &GenesysOrganization,
    status: &mut GenesysOrganizationStatus,
    own: &Pin,
) -> Result<GenesysOrganization, Error> {
    let former = status.pin.replace(own.clone()).map(|pin| pin.install).unwrap_or_default();
    let wished = GenesysOrganization { status: Some(status.clone()), ..object.clone() };
    let Committed::Done(written) = commit(context, api, object, wished).await? else { return Err(Error::Stale) };
    let note = format!(
        "the operator in namespace {former:?} read no edit and no request for an hour: the one in {:?} keeps the status from now on",
        own.install
    );
    tracing::warn!(reason = "PinTakenOver", %note, "took the organization over");
    context.events.publish(&written, EventType::Warning, "PinTakenOver", &note).await;
    Ok(written)
}
