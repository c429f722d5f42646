//! What a pass saw of the world, as one value. Types only; `observe` fills it, `decide` reads it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use secrecy::SecretString;
use tokio::time::Instant;

use super::{
    policy::PolicyView,
    timetable::{Requests, Timetable, Turn},
    validate::{Declared, Local, Refusal},
};
use crate::{
    api::{
        GenesysOAuthClient, GenesysOAuthClientStatus, GenesysOrganization,
        oauth_client::{
            DesiredState, DriftEntry,
            rotation_status::{CurrentRotation, RotationStep},
        },
        rotation_policy::RotationStrategy,
    },
    controller::{
        memory::{Memory, Recollection},
        sessions::Session,
        snapshot::{Listed, Sight},
    },
    genesys::{self, Class, ClientState, OAuthClient, Probe, Work},
    marker::Owner,
    secret::{Credential, Ownership, Published, rotation::RotationSecret},
};

/// What a pass saw.
#[derive(Debug)]
pub struct Observation {
    /// The object, as read.
    pub object: Arc<GenesysOAuthClient>,
    /// Whose markers are ours.
    pub owner: Owner,
    /// Whose Secrets are ours.
    pub ownership: Ownership,
    /// What this process remembers.
    pub memory: Recollection,
    /// The platform's clock where it is known, else the local one.
    pub now: Timestamp,
    /// The local clock.
    pub instant: Instant,
    /// The waiting times.
    pub times: Times,
    /// This process.
    pub epoch: String,
    /// What spec alone says.
    pub local: Result<Local, Refusal>,
    /// The organization.
    pub organization: Organization,
    /// The Secret by its present name.
    pub secret: SecretView,
    /// Our Secret by the name that status last told, where that is another.
    pub former_secret: Option<Box<Published>>,
    /// The rotation Secret, where it was looked for and is ours.
    pub rotation: Option<Box<RotationSecret>>,
    /// The rotation policy that applies.
    pub policy: PolicyView,
    /// What people ask for.
    pub requests: Requests,
    /// When the credential is to be rotated, and whether it is time.
    pub timetable: Timetable,
    /// Whether a rotation that is wished may start.
    pub turn: Turn,
    /// The labels of the namespace, which `access` judges.
    pub namespace_labels: BTreeMap<String, String>,
    /// The client as the platform is to see it; none where it was not asked because nothing can have changed.
    pub declared: Option<Result<Declared, Refusal>>,
    /// The client that status names, where it was read.
    pub client: ClientView,
    /// What the snapshot tells of that client.
    pub listed: Listed,
    /// The client compared with what spec declares, where it is known and no edit waits.
    pub comparison: Option<Comparison>,
    /// Why a client that is gone may not be created again now.
    pub held: Option<String>,
    /// The request for a scan that this pass met.
    pub scanned_for: Option<String>,
    /// Clients that were read in this pass and carry this object's marker, with its nonce.
    pub marked: BTreeMap<String, String>,
    /// A scan is needed, and counts only from this instant on.
    pub scan_after: Option<Instant>,
    /// The clients with this object's marker, where a scan was needed.
    pub family: Option<Vec<Relative>>,
    /// The client that `spec.adopt` names, where it was looked at.
    pub adoption: Option<Adoption>,
    /// The resourceVersion of somebody else's Secret that this object may take over, because its owner said so and its credential was proven.
    pub taken_over: Option<String>,
    /// What the platform answered instead, if a read failed.
    pub failed: Option<genesys::Error>,
}

/// The waiting times of the settings.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// How long a call may take.
    pub call: Duration,
    /// How long until every read shows a change.
    pub window: Duration,
    /// How long until new roles are known everywhere.
    pub roles: Duration,
    /// How long a refusal must last.
    pub refutation: Duration,
    /// How often a settled object is looked at.
    pub resync: Duration,
    /// When today this object's credential is verified, spread over a day.
    pub verification_spread: Duration,
}

/// How it stands with the organization that the object names.
#[derive(Debug)]
pub enum Organization {
    /// It was not asked, because spec is refused already.
    NotAsked,
    /// There is no such object.
    Absent,
    /// It exists, and belongs to another install.
    NotOurs,
    /// This process has not looked at it yet.
    NotYet,
    /// It can't be worked now; says why.
    NotReady(String, Box<GenesysOrganization>),
    /// It can be worked.
    Ready(Box<GenesysOrganization>, Arc<Session>),
}

/// What the Secret is.
#[derive(Clone, Debug)]
pub enum SecretView {
    /// There is none.
    Absent,
    /// The object's own.
    Ours(Box<Published>),
    /// Somebody else's.
    Foreign(String),
}

/// What the client is, that status names.
#[derive(Clone, Debug)]
pub enum ClientView {
    /// It was not read.
    NotRead,
    /// It does not exist.
    Missing,
    /// It exists.
    Present(Box<OAuthClient>),
}

/// What was seen of a client that is to be adopted.
#[derive(Debug)]
pub struct Adoption {
    /// The client.
    pub client: ClientView,
    /// Whether one entry of the organization's access allows what spec asks for and what the client can do now.
    pub allowed: Result<(), Refusal>,
    /// An older object that names the same client.
    pub claimed_by: Option<String>,
    /// Its secret.
    pub secret: AdoptedSecret,
}

/// The secret of a client that is to be adopted.
#[derive(Debug)]
pub enum AdoptedSecret {
    /// It needs none, or gets a new one.
    NotNeeded,
    /// The Secret is absent, or lacks its key; says which.
    Absent(String),
    /// It was not tried, because something else stands in the way.
    NotTried,
    /// It was tried.
    Tried(SecretString, Probe),
}

/// A client beside what spec declares.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The fields that differ.
    pub drift: Vec<DriftEntry>,
    /// How the client was seen.
    pub sight: Sight,
}

/// A client with this object's marker.
#[derive(Clone, Debug)]
pub struct Relative {
    /// The client.
    pub client: OAuthClient,
    /// The nonce of its marker.
    pub nonce: String,
}

/// How far an intent that was found is from being taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// There is no intent.
    None,
    /// Nothing may be done about it before this instant.
    Waits(Instant),
    /// It may be taken over; a scan counts if it began at or after this instant.
    Open(Instant),
}

impl Observation {
    /// From now on the platform's calls wait as part of work of this class, which others may find in the memory.
    pub fn work_as(&mut self, class: Class, memory: &Memory) {
        if let Organization::Ready(_, session) = &mut self.organization {
            let work = Work::new(class, &self.ownership.namespace);
            memory.remember(&self.ownership.uid, |memory| memory.urgency = Some(work.urgency.clone()));
            *session = session.for_work(work);
        }
    }

    /// The status, or an empty one.
    #[must_use]
    pub fn status(&self) -> GenesysOAuthClientStatus {
        self.object.status.clone().unwrap_or_default()
    }

    /// The state that the client is to have on the platform.
    #[must_use]
    pub fn wished_state(&self) -> ClientState {
        match self.object.spec.state {
            DesiredState::Active => ClientState::Active,
            DesiredState::Inactive => ClientState::Inactive,
        }
    }

    /// Whether somebody else stopped a client that is to work: that is never undone.
    #[must_use]
    pub fn is_stopped(&self, client: &OAuthClient) -> bool {
        client.state == ClientState::Disabled || (client.state == ClientState::Inactive && self.object.spec.state == DesiredState::Active)
    }

    /// The highest revision that was ever used, as far as this pass can see.
    #[must_use]
    pub fn highest_revision(&self) -> i64 {
        let in_rotation = self.rotation.as_ref().map_or(0, |rotation| rotation.highest_revision());
        highest_revision(&self.status(), &self.secret).max(in_rotation)
    }

    /// How long it is until a time; none: it has come.
    #[must_use]
    pub fn time_to(&self, time: Timestamp) -> Option<Duration> {
        Duration::try_from(time.duration_since(self.now)).ok().filter(|wait| !wait.is_zero())
    }

    /// How many objects of the policy may rotate at the same time.
    #[must_use]
    pub fn places(&self) -> usize {
        self.policy.applied().map_or(1, |applied| applied.policy.max_concurrent as usize).max(1)
    }

    /// The rotation that is under way.
    #[must_use]
    pub fn current(&self) -> Option<&CurrentRotation> {
        current_rotation(self.object.status.as_ref()?)
    }

    /// The credential of a client, wherever one of the object's Secrets holds it whole.
    #[must_use]
    pub fn credential_of(&self, client_id: &str) -> Option<Credential> {
        let main = match &self.secret {
            SecretView::Ours(found) if found.intact && found.credential.client_id == client_id => Some(&found.credential),
            _ => None,
        };
        let in_rotation = self.rotation.as_ref().and_then(|rotation| rotation.credential_of(client_id));
        main.filter(|credential| credential.client_secret.is_some()).or(in_rotation).cloned()
    }
}

/// The highest revision in status, in its intent and in the Secret.
#[must_use]
pub fn highest_revision(status: &GenesysOAuthClientStatus, secret: &SecretView) -> i64 {
    let in_secret = match secret {
        SecretView::Ours(published) => published.credential.revision,
        _ => 0,
    };
    let in_rotation = current_rotation(status).map_or(0, |current| current.revision.unwrap_or(0).max(current.former_revision.unwrap_or(0)));
    let in_intent = status.intent.as_ref().map_or(0, |intent| intent.revision);
    status.revision.unwrap_or(0).max(in_intent).max(in_secret).max(in_rotation)
}

/// Whether an intent may be taken over, by what this process remembers of it.
#[must_use]
pub fn readiness(object: &GenesysOAuthClient, memory: &Recollection, epoch: &str, times: &Times, now: Instant) -> Readiness {
    let Some(intent) = object.status.as_ref().and_then(|status| status.intent.as_ref()) else { return Readiness::None };
    let open_at = if intent.epoch == epoch {
        match memory.lost_call {
            // Nothing of this intent was sent by this process, and it is ours alone.
            None => return Readiness::Open(now),
            Some(lost) => lost.deadline + times.window,
        }
    } else {
        let seen = memory.intent.as_ref().filter(|seen| seen.epoch == intent.epoch && seen.attempt == intent.attempt);
        seen.map_or(now, |seen| seen.since) + times.call + times.window
    };
    if now < open_at { Readiness::Waits(open_at) } else { Readiness::Open(open_at) }
}

/// Ids of all clients that status records as the object's. An intent records none: what it names must show the object's marker.
#[must_use]
pub fn known_ids(status: &GenesysOAuthClientStatus) -> BTreeSet<String> {
    let next = current_rotation(status).and_then(|current| current.client_id.as_ref());
    status.client_id.iter().chain(next).chain(status.retiring.iter().map(|retiring| &retiring.client_id)).cloned().collect()
}

/// The nonce of the published client's marker, as far as it is known.
#[must_use]
pub fn client_nonce(status: &GenesysOAuthClientStatus) -> Option<String> {
    status.nonce.clone().or_else(|| status.issued_nonces.last().cloned())
}

/// The rotation that is under way.
#[must_use]
pub fn current_rotation(status: &GenesysOAuthClientStatus) -> Option<&CurrentRotation> {
    status.rotation.as_ref()?.current.as_ref()
}

/// Where a credential goes that is issued under the present intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The Secret that workloads read.
    Main,
    /// The rotation Secret, until it is proven.
    Rotation,
}

/// Where a credential goes that is issued under the present intent.
#[must_use]
pub fn destination(status: &GenesysOAuthClientStatus) -> Destination {
    let creating = |current: &CurrentRotation| current.strategy == RotationStrategy::Replace && current.step == RotationStep::Creating;
    if current_rotation(status).is_some_and(creating) { Destination::Rotation } else { Destination::Main }
}
