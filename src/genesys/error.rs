//! Says what went wrong with a call, whether its outcome is known, and what helps. It must not hold a raw body, a header
//! or a secret: only the members of a parsed error body get here.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::budget::{Down, NoSlot};
use super::credential_error::CredentialError;

/// The calls that this operator makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// `POST /oauth/token` on the login host.
    GetToken,
    /// `GET /api/v2/oauth/clients`.
    ListClients,
    /// `POST /api/v2/oauth/clients`.
    CreateClient,
    /// `GET /api/v2/oauth/clients/{clientId}`.
    GetClient,
    /// `PUT /api/v2/oauth/clients/{clientId}`.
    UpdateClient,
    /// `DELETE /api/v2/oauth/clients/{clientId}`.
    DeleteClient,
    /// `POST /api/v2/oauth/clients/{clientId}/secret`.
    ResetClientSecret,
    /// `POST /api/v2/oauth/clients/{clientId}/usage/query`.
    QueryUsage,
    /// `GET /api/v2/oauth/clients/{clientId}/usage/query/results/{executionId}`.
    GetUsage,
    /// `GET /api/v2/authorization/roles`.
    ListRoles,
    /// `GET /api/v2/authorization/divisions`.
    ListDivisions,
    /// `GET /api/v2/oauth/scopes`.
    ListScopes,
    /// `GET /api/v2/tokens/me`.
    GetTokenInfo,
    /// `GET /api/v2/organizations/me`.
    GetOrganization,
    /// `GET /api/v2/authorization/subjects/me`.
    GetSubjectsMe,
    /// `GET /api/v2/integrations/credentials`.
    ListCredentials,
    /// `GET /api/v2/integrations/credentials/{credentialId}`.
    GetCredential,
    /// `PUT /api/v2/integrations/credentials/{credentialId}`.
    UpdateCredential,
}

impl Operation {
    /// Every operation, for metrics that start at zero.
    pub const ALL: [Self; 18] = [
        Self::GetToken,
        Self::ListClients,
        Self::CreateClient,
        Self::GetClient,
        Self::UpdateClient,
        Self::DeleteClient,
        Self::ResetClientSecret,
        Self::QueryUsage,
        Self::GetUsage,
        Self::ListRoles,
        Self::ListDivisions,
        Self::ListScopes,
        Self::GetTokenInfo,
        Self::GetOrganization,
        Self::GetSubjectsMe,
        Self::ListCredentials,
        Self::GetCredential,
        Self::UpdateCredential,
    ];

    /// The name for metrics, such as `CreateClient`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::GetToken => "GetToken",
            Self::ListClients => "ListClients",
            Self::CreateClient => "CreateClient",
            Self::GetClient => "GetClient",
            Self::UpdateClient => "UpdateClient",
            Self::DeleteClient => "DeleteClient",
            Self::ResetClientSecret => "ResetClientSecret",
            Self::QueryUsage => "QueryUsage",
            Self::GetUsage => "GetUsage",
            Self::ListRoles => "ListRoles",
            Self::ListDivisions => "ListDivisions",
            Self::ListScopes => "ListScopes",
            Self::GetTokenInfo => "GetTokenInfo",
            Self::GetOrganization => "GetOrganization",
            Self::GetSubjectsMe => "GetSubjectsMe",
            Self::ListCredentials => "ListCredentials",
            Self::GetCredential => "GetCredential",
            Self::UpdateCredential => "UpdateCredential",
        }
    }
}

impl fmt::Display for Operation {
    /// The platform's own words, such as `POST /api/v2/oauth/clients`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GetToken => "POST /oauth/token",
            Self::ListClients => "GET /api/v2/oauth/clients",
            Self::CreateClient => "POST /api/v2/oauth/clients",
            Self::GetClient => "GET /api/v2/oauth/clients/{clientId}",
            Self::UpdateClient => "PUT /api/v2/oauth/clients/{clientId}",
            Self::DeleteClient => "DELETE /api/v2/oauth/clients/{clientId}",
            Self::ResetClientSecret => "POST /api/v2/oauth/clients/{clientId}/secret",
            Self::QueryUsage => "POST /api/v2/oauth/clients/{clientId}/usage/query",
            Self::GetUsage => "GET /api/v2/oauth/clients/{clientId}/usage/query/results/{executionId}",
            Self::ListRoles => "GET /api/v2/authorization/roles",
            Self::ListDivisions => "GET /api/v2/authorization/divisions",
            Self::ListScopes => "GET /api/v2/oauth/scopes",
            Self::GetTokenInfo => "GET /api/v2/tokens/me",
            Self::GetOrganization => "GET /api/v2/organizations/me",
            Self::GetSubjectsMe => "GET /api/v2/authorization/subjects/me",
            Self::ListCredentials => "GET /api/v2/integrations/credentials",
            Self::GetCredential => "GET /api/v2/integrations/credentials/{credentialId}",
            Self::UpdateCredential => "PUT /api/v2/integrations/credentials/{credentialId}",
        })
    }
}

/// A refusal in the platform's error body (SPEC `ErrorBody`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The call that was refused.
    pub operation: Operation,
    /// The HTTP status.
    pub status: u16,
    /// The platform's code, such as `bad.client.role`; at most 128 characters.
    pub code: String,
    /// The platform's message without control characters, at most 256 characters.
    pub message: String,
    /// Names the call to Genesys support (header `ININ-Correlation-Id`, equal to the body's `contextId`).
    pub correlation_id: Option<String>,
    /// How long the platform asks to wait.
    pub retry_after: Option<Duration>,
    /// The permissions that the message names, on a 403 for want of them.
    pub missing_permissions: Vec<String>,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.operation, self.status, self.code)?;
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        write_correlation(f, self.correlation_id.as_deref())
    }
}

fn write_correlation(f: &mut fmt::Formatter<'_>, id: Option<&str>) -> fmt::Result {
    match id {
        Some(id) => write!(f, " (correlation id {id})"),
        None => Ok(()),
    }
}

/// Why a process that was asked to stop makes no more calls.
pub const STOPPING: &str = "this process is stopping: the one after it goes on";

/// Why a call did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// Nothing reached the platform.
    NotSent {
        /// The call that was not made.
        operation: Operation,
        /// What was in the way.
        reason: String,
    },
    /// This process kept the call back for a reason of its own, which it says; it is no failure of anything.
    Withheld(&'static str),
    /// The operator's own token could not be had; nothing was sent.
    Credential(CredentialError),
    /// The request budget is spent for longer than a caller should wait; nothing was sent.
    BudgetExhausted {
        /// How long until a slot is likely to be free.
        expected_wait: Duration,
        /// The minute of that, by the platform's clock.
        until: Option<Timestamp>,
    },
    /// The platform did not answer a row of calls; nothing was sent.
    PlatformDown(Down),
    /// The platform refused: 400, 401, 403, 404, 413, 415 or 429 with an error body. It certainly did nothing.
    Refused(ApiError),
    /// Whether the platform did it is not known: 408, 409, 5xx, a timeout, a reset, an answer that cannot be read.
    Unknown {
        /// The call.
        operation: Operation,
        /// The HTTP status, where there was one.
        status: Option<u16>,
        /// What was seen instead of an answer.
        reason: String,
        /// Names the call to Genesys support.
        correlation_id: Option<String>,
        /// How long the platform asks to wait.
        retry_after: Option<Duration>,
    },
}

/// What helps against an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// A person must mend the operator's own credential.
    Credential,
    /// A person must grant the operator a permission, or lift a rule of the organization.
    Permission,
    /// The thing does not exist.
    NotFound,
    /// Fewer calls; the same call succeeds later.
    Throttled,
    /// The same call will be refused again.
    Rejected,
    /// The same call may succeed later.
    Unavailable,
    /// Nothing is wrong: this process, or the one after it, makes the call later.
    Withheld,
}

impl ErrorClass {
    /// Whether the same call may succeed later without anybody's doing.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Throttled | Self::Unavailable | Self::Withheld)
    }
}

impl Error {
    /// Whether it is certain that the platform did nothing (protocols §2).
    #[must_use]
    pub fn outcome_is_known(&self) -> bool {
        !matches!(self, Self::Unknown { .. })
    }

    /// Whether the platform says that the thing does not exist; a 404 without its error body says nothing.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(error) if error.status == 404)
    }

    /// The permissions that the operator lacks, where the platform named them.
    #[must_use]
    pub fn missing_permissions(&self) -> Option<&[String]> {
        match self {
            Self::Refused(error) if !error.missing_permissions.is_empty() => Some(&error.missing_permissions),
            _ => None,
        }
    }

    /// The platform's code, such as `auth.too.many.clients`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(error) => Some(&error.code),
            _ => None,
        }
    }

    /// Whether fewer calls are what helps.
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        self.class() == ErrorClass::Throttled
    }

    /// How long to wait before the next try, where somebody said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(error) => error.retry_after,
            Self::Unknown { retry_after, .. } => *retry_after,
            Self::Credential(CredentialError::Throttled { retry_after }) => Some(*retry_after),
            Self::BudgetExhausted { expected_wait, .. } => Some(*expected_wait),
            // When the next probe goes is nothing to wait for: whoever comes then would not be it.
            Self::NotSent { .. } | Self::Withheld(_) | Self::Credential(_) | Self::PlatformDown(_) => None,
        }
    }

    /// What helps.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Credential(error) => match error {
                CredentialError::InvalidClient { .. } | CredentialError::UnauthorizedClient => ErrorClass::Credential,
                CredentialError::Throttled { .. } => ErrorClass::Throttled,
                CredentialError::Unavailable(_) | CredentialError::Refused(_) | CredentialError::Malformed => ErrorClass::Unavailable,
                CredentialError::Withheld(_) => ErrorClass::Withheld,
            },
            Self::Withheld(_) => ErrorClass::Withheld,
            Self::Refused(error) => match (error.status, error.code.as_str()) {
                (401, "ip.not.authorized") | (403, _) => ErrorClass::Permission,
                (401, _) => ErrorClass::Credential,
                (404, _) => ErrorClass::NotFound,
                (429, _) => ErrorClass::Throttled,
                // SPEC: the request's body was cut on its way, which says nothing about its content.
                (_, "client.failed.request") => ErrorClass::Unavailable,
                _ => ErrorClass::Rejected,
            },
            Self::BudgetExhausted { .. } | Self::Unknown { status: Some(429), .. } => ErrorClass::Throttled,
            Self::NotSent { .. } | Self::PlatformDown(_) | Self::Unknown { .. } => ErrorClass::Unavailable,
        }
    }

    /// The error without what differs from call to call (correlation id, seconds to wait), so that a text shown again and again stays the same.
    #[must_use]
    pub fn cause(&self) -> String {
        match self {
            Self::Refused(error) if error.status == 429 => format!("{}: {} {}", error.operation, error.status, error.code),
            Self::Refused(error) => ApiError { correlation_id: None, ..error.clone() }.to_string(),
            Self::Unknown { operation, status, reason, .. } => {
                Self::Unknown { operation: *operation, status: *status, reason: reason.clone(), correlation_id: None, retry_after: None }
                    .to_string()
            }
            Self::BudgetExhausted { until, .. } => {
                format!("the request budget is spent{}", until.map_or_else(String::new, |until| format!(", until {until:.0} about")))
            }
            Self::Credential(CredentialError::Throttled { .. }) => "no token: the login host limits the rate of tokens".to_owned(),
            Self::NotSent { .. } | Self::Withheld(_) | Self::PlatformDown(_) | Self::Credential(_) => self.to_string(),
        }
    }

    /// Names the call to Genesys support.
    #[must_use]
    pub fn correlation_id(&self) -> Option<&str> {
        match self {
            Self::Refused(error) => error.correlation_id.as_deref(),
            Self::Unknown { correlation_id, .. } | Self::Credential(CredentialError::InvalidClient { correlation_id, .. }) => {
                correlation_id.as_deref()
            }
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent { operation, reason } => write!(f, "{operation}: nothing was sent: {reason}"),
            Self::Withheld(reason) => write!(f, "nothing was sent: {reason}"),
            Self::Credential(error) => write!(f, "no token: {error}"),
            Self::BudgetExhausted { expected_wait, .. } => {
                write!(f, "the request budget is spent for about {} s", expected_wait.as_secs().max(1))
            }
            Self::PlatformDown(down) => {
                f.write_str("the platform has not answered")?;
                if let Some(since) = down.since {
                    write!(f, " since {since:.0}")?;
                }
                f.write_str("; one call at a time finds out when it does")
            }
            Self::Refused(error) => write!(f, "{error}"),
            Self::Unknown { operation, status, reason, correlation_id, .. } => {
                write!(f, "{operation}: outcome unknown: ")?;
                if let Some(status) = status {
                    write!(f, "HTTP {status}: ")?;
                }
                f.write_str(reason)?;
                write_correlation(f, correlation_id.as_deref())
            }
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// Why no slot could be had, at this time of the platform's clock.
    #[must_use]
    pub fn no_slot(refusal: NoSlot, now: Option<Timestamp>) -> Self {
        match refusal {
            NoSlot::Exhausted { expected_wait } => {
                Self::BudgetExhausted { expected_wait, until: now.and_then(|now| minute_after(now, expected_wait)) }
            }
            NoSlot::Down(down) => Self::PlatformDown(down),
            NoSlot::Closed => Self::Withheld(STOPPING),
        }
    }
}

/// The full minute after a wait, for words that should not change with each second.
#[must_use]
pub fn minute_after(now: Timestamp, wait: Duration) -> Option<Timestamp> {
    let seconds = now.checked_add(wait).ok()?.as_second();
    Timestamp::from_second((seconds / 60 + 1) * 60).ok()
}
