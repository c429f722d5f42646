//! The one way to write a Secret with a credential (talks to the network): by create, or by PUT of what was just read; never over a newer one, never over a foreign one.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use tracing::Instrument as _;

use crate::{
    controller::{
        error::{During as _, Error, is_conflict},
        kubernetes::{dry_run_params, post_params},
    },
    observability::traces,
    secret,
};

/// How often a write is tried within one pass when somebody else writes the Secret at the same time.
const TRIES: usize = 5;

/// How serious a write is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The server only tries it.
    DryRun,
    /// It counts.
    Real,
}

/// What a write of a Secret came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// There was none.
    Created,
    /// There was another.
    Replaced,
    /// It said that already.
    AsItWas,
}

/// Writes a Secret. `revision_in` reads the revision of the one that is there, or says whose it is instead.
pub async fn write(
    api: &Api<Secret>,
    name: &str,
    attempt: Attempt,
    revision: i64,
    revision_in: impl Fn(&Secret) -> Result<i64, String>,
    build: impl Fn(Option<&Secret>) -> Secret,
) -> Result<Written, Error> {
    let parameters = match attempt {
        Attempt::DryRun => dry_run_params(),
        Attempt::Real => post_params(),
    };
    let span = || {
        let what = match attempt {
            Attempt::DryRun => "dry run",
            Attempt::Real => "credential",
        };
        traces::of_write("Secret", what)
    };
    for _ in 0..TRIES {
        let live = api.get_opt(name).await.during("reading the Secret before writing it")?;
        let result = match &live {
            None => api.create(&parameters, &build(None)).instrument(span()).await.map(|_| Written::Created),
            Some(live) => {
                let found = revision_in(live).map_err(|detail| Error::ForeignSecret { name: name.into(), detail })?;
                if found > revision {
                    return Err(Error::Superseded { name: name.into(), found, ours: revision });
                }
                let wished = build(Some(live));
                if secret::same(live, &wished) {
                    return Ok(Written::AsItWas);
                }
                api.replace(name, &parameters, &wished).instrument(span()).await.map(|_| Written::Replaced)
            }
        };
        match result {
            Err(error) if is_conflict(&error) => {}
            result => return result.during("writing the Secret"),
        }
    }
    Err(Error::Stale)
}
