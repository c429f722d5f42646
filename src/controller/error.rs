//! What can end a pass early: errors of the Kubernetes API. What the platform answers becomes a condition instead, never an error here.

/// Why a pass ended before its status was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object changed since it was read, so that what was decided no longer counts. The next pass looks again.
    #[error("the object changed while it was worked; looking again")]
    Stale,
    /// This process kept a call of the platform back, for a reason of its own: it or the next one makes it later.
    #[error("nothing was sent: {0}")]
    Withheld(&'static str),
    /// The Kubernetes API refused a call or did not answer.
    #[error("{action}: {source}")]
    Kubernetes {
        /// What was being done.
        action: &'static str,
        /// What the client library says.
        #[source]
        source: Box<kube::Error>,
    },
    /// A Secret could not be written, because it belongs to somebody else.
    #[error("Secret {name:?} belongs to somebody else ({detail})")]
    ForeignSecret {
        /// Name of the Secret.
        name: String,
        /// By what that was seen.
        detail: String,
    },
    /// A newer credential is in the Secret already.
    #[error("Secret {name:?} holds revision {found} already, newer than {ours}")]
    Superseded {
        /// Name of the Secret.
        name: String,
        /// The revision that was found.
        found: i64,
        /// The revision that was to be written.
        ours: i64,
    },
}

impl Error {
    /// The name of the error, for metrics and logs.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Stale => "Stale",
            Self::Withheld(_) => "Withheld",
            Self::Kubernetes { .. } => "KubernetesCallFailed",
            Self::ForeignSecret { .. } => "Conflict",
            Self::Superseded { .. } => "Superseded",
        }
    }
}

/// Names what was being done when a call of the Kubernetes API failed.
pub trait During<T> {
    /// Turns a failure into an [`Error`] that says what was being done.
    fn during(self, action: &'static str) -> Result<T, Error>;
}

impl<T> During<T> for Result<T, kube::Error> {
    fn during(self, action: &'static str) -> Result<T, Error> {
        self.map_err(|source| Error::Kubernetes { action, source: Box::new(source) })
    }
}

/// Whether the Kubernetes API refused a write because the object changed since it was read, or is there already.
#[must_use]
pub fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_conflict() || status.is_already_exists())
}
