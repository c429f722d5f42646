//! What every intent writes into status beside itself: the nonce, the organization, what can't change. Changes a value; writes nothing.

use super::observation::Observation;
use crate::{
    api::{
        GenesysOAuthClientStatus,
        oauth_client::{Intent, RecordedOrganization},
    },
    controller::sessions::Session,
};

/// How many nonces of markers status keeps.
const KEPT_NONCES: usize = 24;

/// Puts an intent into a status that is to be written by compare-and-swap.
pub fn begin(status: &mut GenesysOAuthClientStatus, seen: &Observation, session: &Session, intent: Intent) {
    if let Some(nonce) = intent.nonce.as_ref().filter(|nonce| !status.issued_nonces.contains(nonce)) {
        status.issued_nonces.push(nonce.clone());
        let surplus = status.issued_nonces.len().saturating_sub(KEPT_NONCES);
        status.issued_nonces.drain(..surplus);
    }
    status.intent = Some(intent);
    status.organization =
        Some(RecordedOrganization { name: seen.object.spec.organization_ref.name.clone(), id: session.organization_id.clone() });
    status.grant_type = Some(seen.object.spec.grant_type);
    status.public_client = Some(seen.object.spec.public_client);
}
