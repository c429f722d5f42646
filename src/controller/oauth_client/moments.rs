//! Which moment an object is in, by the facts in its status or by what the platform answered. Pure; the words are for people.

use std::time::Duration;

use super::{
    observation::current_rotation,
    plan::Again,
    status::{Delay, Moment, Publication},
};
use crate::{
    api::{GenesysOAuthClientStatus, condition::Reason, oauth_client::DesiredState, rotation_policy::RotationStrategy},
    genesys::{self, ErrorClass},
};

/// How far the credential came, by the facts in status.
#[must_use]
pub fn publication(status: &GenesysOAuthClientStatus) -> Publication {
    match (status.revision, status.verified_revision) {
        (None, _) => Publication::Never,
        (Some(published), Some(verified)) if published == verified => Publication::Verified,
        _ => Publication::Unverified,
    }
}

/// Where the object stands by the facts in status alone, when nothing else is to be said.
#[must_use]
pub fn moment_of_facts(status: &GenesysOAuthClientStatus, generation: Option<i64>, wished: DesiredState) -> Moment {
    if publication(status) == Publication::Never {
        return Moment::Creating("the client is being created".to_owned());
    }
    if status.synced_generation != generation {
        return Moment::Updating(Delay::None, "an edit of spec is being applied".to_owned());
    }
    if publication(status) == Publication::Unverified
        && current_rotation(status).is_some_and(|current| current.strategy == RotationStrategy::Regenerate)
    {
        return Moment::Regenerating("the secret was reset, and the new one is being verified".to_owned());
    }
    match (wished, publication(status)) {
        (DesiredState::Inactive, _) => Moment::Inactive,
        (DesiredState::Active, Publication::Verified) => Moment::Settled,
        (DesiredState::Active, _) => Moment::Creating("the published credential is being verified".to_owned()),
    }
}

/// How often an object that waits for room looks whether there is some; it costs no request.
pub const ROOM_LOOK: Duration = Duration::from_secs(60);

/// How soon a process goes on that kept a call back and did not end: its lease was renewed meanwhile.
pub const HANDED_OVER: Duration = Duration::from_secs(3);

/// What keeps a client from being created in an organization that is full.
#[must_use]
pub fn no_room() -> String {
    format!(
        "the organization has as many OAuth clients as Genesys Cloud allows ({}): delete clients that nobody uses, or ask Genesys for more; the create is tried again when the operator has deleted one, or within 10 minutes",
        genesys::TOO_MANY_CLIENTS
    )
}

/// What an answer of the platform means for an object.
#[must_use]
pub fn moment_of_error(error: &genesys::Error, status: &GenesysOAuthClientStatus) -> (Moment, Again) {
    let cause = error.cause();
    let again = error.retry_after().map_or(Again::Backoff, Again::After);
    let stalled = |reason, message| (Moment::Stalled(reason, message), Again::Backoff);
    match error.class() {
        ErrorClass::Credential | ErrorClass::Unavailable => {
            (Moment::OrganizationDown(format!("the platform can't be worked now: {cause}")), again)
        }
        ErrorClass::Throttled if publication(status) == Publication::Never => {
            (Moment::WaitingForBudget(format!("waiting for the request budget: {cause}")), again)
        }
        ErrorClass::Throttled => (Moment::Updating(Delay::Budget, format!("waiting for the request budget: {cause}")), again),
        ErrorClass::Permission => {
            let named = error.missing_permissions().map(|names| format!(" Grant it {}.", names.join(", "))).unwrap_or_default();
            stalled(Reason::PermissionMissing, format!("the operator's own client may not do this: {cause}.{named}"))
        }
        ErrorClass::NotFound => stalled(Reason::PlatformRejected, cause),
        ErrorClass::Withheld => (Moment::HandedOver, Again::After(HANDED_OVER)),
        ErrorClass::Rejected => match error.code() {
            Some("bad.client.role") => stalled(
                Reason::RoleNotGrantable,
                format!(
                    "the operator's own client must itself hold every role that it grants, in the same divisions: give it these roles, or ask for others ({cause})"
                ),
            ),
            Some(genesys::TOO_MANY_CLIENTS) => (Moment::Stalled(Reason::PlatformRejected, no_room()), Again::After(ROOM_LOOK)),
            Some("auth.invalid.scope") => {
                stalled(Reason::ScopeUnknown, format!("the platform refuses a scope: correct spec.scopes ({cause})"))
            }
            _ => stalled(Reason::PlatformRejected, format!("the platform refuses this: correct spec as its message says ({cause})")),
        },
    }
}
