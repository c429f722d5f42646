//! What an answer of the platform means for an organization, in words for a person. Pure.

use super::status::{Login, Verdict};
use crate::{
    api::{GenesysOrganization, condition::Reason},
    controller::{context::Context, error::Error},
    genesys::{self, CredentialError, ErrorClass},
};

/// A verdict that needs a person.
#[must_use]
pub fn stalled(reason: Reason, login: Login, message: impl Into<String>) -> Verdict {
    Verdict::Stalled { reason, login, message: message.into() }
}

/// Where the operator's credential is, in words for a person.
#[must_use]
pub fn place(context: &Context, object: &GenesysOrganization) -> String {
    format!("Secret {:?} in namespace {:?}", object.spec.credentials_secret_ref.name, context.settings.operator_namespace)
}

/// What an answer of the platform means for the organization; an error where the platform was not asked.
pub fn verdict_of(error: &genesys::Error, login: Login, place: &str) -> Result<Verdict, Error> {
    let cause = error.cause();
    Ok(match (error.class(), error) {
        (ErrorClass::Withheld, genesys::Error::Withheld(why)) => return Err(Error::Withheld(why)),
        (ErrorClass::Credential, genesys::Error::Credential(CredentialError::UnauthorizedClient)) => stalled(
            Reason::CredentialRejected,
            Login::Refused,
            format!("the operator's own client is not of grant type Client Credentials: put the credential of such a client into {place}"),
        ),
        (ErrorClass::Credential, _) => stalled(
            Reason::CredentialRejected,
            Login::Refused,
            format!("the platform refuses the operator's own credential ({cause}): correct {place}"),
        ),
        (ErrorClass::Permission, _) => {
            let named = error.missing_permissions().map_or_else(String::new, |names| format!(" {}", names.join(", ")));
            stalled(
                Reason::PermissionMissing,
                Login::WithoutPermission,
                format!("the operator's own client lacks a permission{named}: grant it by a role ({cause})"),
            )
        }
        (ErrorClass::Rejected | ErrorClass::NotFound, _) => stalled(Reason::PlatformRejected, login, cause),
        (ErrorClass::Throttled | ErrorClass::Unavailable | ErrorClass::Withheld, _) => {
            Verdict::Waiting { reason: Reason::Unreachable, message: format!("the platform can't be worked now: {cause}") }
        }
    })
}
