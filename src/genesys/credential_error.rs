//! Why there is no token. Types only: who gets one is another matter.

use std::time::Duration;

use super::error::Error;

/// Why a token could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The id or the secret is wrong, or the client is disabled or inactive: the platform gives one answer for all (GFI).
    #[error("the login host refuses the client credential: {description}")]
    InvalidClient {
        /// The login host's words, at most 256 characters.
        description: String,
        /// Names the call to Genesys support.
        correlation_id: Option<String>,
    },
    /// The id and the secret are right, but the client is of another grant type (GFI).
    #[error("the client is of another grant type than CLIENT-CREDENTIALS")]
    UnauthorizedClient,
    /// Too many tokens were asked for; the login host says so with HTTP 400 (TF).
    #[error("the login host limits the rate of tokens; next try in {} s", retry_after.as_secs())]
    Throttled {
        /// How long to wait, never under 60 s from the refusal on.
        retry_after: Duration,
    },
    /// The login host could not be reached or had no answer to give.
    #[error("the login host gave no token: {0}")]
    Unavailable(String),
    /// The login host answered with a refusal that says nothing of the credential.
    #[error("the login host refuses the request: {0}")]
    Refused(String),
    /// The login host's answer is no token that can be used.
    #[error("the login host's answer cannot be read as a token")]
    Malformed,
    /// This process kept the request back.
    #[error("nothing was sent: {0}")]
    Withheld(&'static str),
}

impl From<CredentialError> for Error {
    fn from(error: CredentialError) -> Self {
        match error {
            CredentialError::Withheld(reason) => Self::Withheld(reason),
            error => Self::Credential(error),
        }
    }
}
