//! Looks at the snapshot of the organization for one object (may wait for a scan that a person asks for): what is new, and how it differs from spec. Changes nothing.

use kube::ResourceExt as _;

use super::{
    drift::{self, Names},
    observation::{ClientView, Comparison, Observation, client_nonce},
};
use crate::{
    api::{GenesysOAuthClientStatus, RECONCILE_ANNOTATION, oauth_client::DriftPolicy},
    controller::{
        context::Context,
        sessions::Session,
        snapshot::{Known, Listed, Sight},
    },
    genesys,
    marker::Marker,
};

/// The longest token of a request that status keeps.
const LONGEST_TOKEN: usize = 256;

/// What the newest scan tells of the published client; a new one, if a person asks for it.
pub async fn at_snapshot(
    context: &Context,
    session: &Session,
    seen: &mut Observation,
    status: &GenesysOAuthClientStatus,
) -> Result<(), genesys::Error> {
    let (Some(id), None) = (&status.client_id, &status.intent) else { return Ok(()) };
    let asked = seen.object.annotations().get(RECONCILE_ANNOTATION).filter(|token| !token.is_empty()).cloned();
    if let Some(token) = asked.map(|token| token.chars().take(LONGEST_TOKEN).collect::<String>())
        && status.last_handled_reconcile_request.as_ref() != Some(&token)
    {
        session.scanner.begun_at_or_after(seen.instant).await?;
        seen.scanned_for = Some(token);
    }
    seen.held = session.survey.holds(&seen.ownership.uid, seen.memory.missing_since);
    if session.survey.wants_a_scan(session.scanner.last().map(|scan| scan.begun)) {
        context.sessions.surveyed();
    }
    let Some(snapshot) = session.snapshot() else { return Ok(()) };
    seen.listed = snapshot.tells(&seen.memory, id, seen.times.window);
    let found_in_the_way = seen.memory.in_the_way.as_ref().map(|(at, _)| *at);
    if seen.memory.missing_since.max(found_in_the_way).is_some_and(|since| since >= snapshot.begun()) {
        // A read found it gone, or in the way, after the scan was begun.
        seen.listed = Listed::NotTold;
    }
    let now = (seen.now, seen.instant);
    if !seen.memory.sights.contains_key(id) && snapshot.may_lag_behind(status, seen.times.window, now) {
        seen.listed = Listed::NotTold;
    }
    let Listed::Present(_, sight) = &seen.listed else { return Ok(()) };
    let modified = match seen.memory.sights.get(id) {
        Some(known) => known.print.is_some() && known.modified != sight.modified,
        // A process before this one wrote down what it had seen.
        None => status.platform_modified_at.is_some_and(|known| sight.modified != Some(known)),
    };
    let instant = seen.instant;
    seen.memory = context.memory.remember(&seen.ownership.uid, |memory| {
        (memory.missing_since, memory.gone, memory.in_the_way) = (None, None, None);
        if modified {
            // Somebody else wrote it, and may have reset its secret: that costs one verification.
            memory.verify_again = Some(instant);
        }
        memory.clone()
    });
    Ok(())
}

/// Whether the snapshot shows the published client otherwise than a pass saw it last.
#[must_use]
pub fn is_news(seen: &Observation, status: &GenesysOAuthClientStatus) -> bool {
    let sight = status.client_id.as_ref().and_then(|id| seen.memory.sights.get(id));
    let known = sight.map_or(Known::Nothing, |sight| sight.print.into());
    seen.listed.known() != Known::Nothing && seen.listed.known() != known
}

/// Whether a drift was told that is to be corrected, and the platform did not refuse that already.
#[must_use]
pub fn awaits_correction(seen: &Observation, status: &GenesysOAuthClientStatus) -> bool {
    let sight = status.client_id.as_ref().and_then(|id| seen.memory.sights.get(id));
    let refused = seen.memory.unheeded.is_some_and(|(generation, modified)| {
        Some(generation) == seen.object.metadata.generation && sight.is_some_and(|sight| sight.modified == modified)
    });
    !status.drift.is_empty() && seen.object.spec.drift_policy == DriftPolicy::Correct && !refused
}

/// The client beside what spec declares, where both are known and the client is ours to compare.
#[must_use]
pub fn compare(session: &Session, seen: &Observation, status: &GenesysOAuthClientStatus) -> Option<Comparison> {
    let Some(Ok(declared)) = &seen.declared else { return None };
    let (client, sight) = match (&seen.client, &seen.listed) {
        (ClientView::Present(client), _) => (client, Sight::of(client, seen.instant)),
        (ClientView::NotRead, Listed::Present(client, sight)) => (client, sight.clone()),
        _ => return None,
    };
    let carried = client.description.as_deref().and_then(Marker::parse);
    if seen.is_stopped(client) || carried.as_ref().is_some_and(|marker| marker.owner != seen.owner) {
        return None;
    }
    // One that lost its marker is still ours, and the loss is drift.
    let marker = carried.or_else(|| client_nonce(status).map(|nonce| seen.owner.marker(&nonce)));
    let request = declared.request(&marker?, seen.wished_state());
    if request.differences(client).is_empty() {
        return Some(Comparison { drift: vec![], sight });
    }
    let (roles, divisions) = session.directory.names();
    Some(Comparison { drift: drift::entries(&request, client, &Names { roles, divisions }), sight })
}
