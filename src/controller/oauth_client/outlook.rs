//! What `CredentialExpiring` and `Rotating` say: by the dates of the policy and by the rotation under way. Pure.

use jiff::Timestamp;

use super::{
    observation::current_rotation,
    policy::{PolicyView, dates_of},
    timetable::{Timetable, Turn},
};
use crate::{
    api::{
        GenesysOAuthClientStatus,
        condition::{Reason, Status, whole_second},
        oauth_client::{
            RetiringState,
            rotation_status::{CurrentRotation, RotationStep},
        },
    },
    rotation::Dates,
};

/// A condition without its type: status, reason and message.
pub type Words = (Status, Reason, String);

/// What a pass knows of an object's rotations beside its status.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// The policy that applies.
    pub policy: PolicyView,
    /// What the object is to the policy: `namespace/name`.
    pub identity: String,
    /// Whether the object has no secret that a rotation could replace.
    pub no_secret: bool,
    /// Why a rotation that is due does not start.
    pub why_not: Option<(Reason, String)>,
    /// What the rotation under way waits for.
    pub note: Option<String>,
}

impl Outlook {
    /// The outlook of a timetable.
    #[must_use]
    pub fn new(policy: PolicyView, identity: String, no_secret: bool, table: &Timetable, turn: &Turn) -> Self {
        let why_not = match turn {
            Turn::Waits(_) => Some((Reason::WaitingForTurn, "the rotation waits until others of its policy are done".to_owned())),
            _ => table.why_not.clone(),
        };
        Self { policy, identity, no_secret, why_not, note: None }
    }

    /// `CredentialExpiring` of an object whose credential was published.
    #[must_use]
    pub fn expiring(&self, status: &GenesysOAuthClientStatus, now: Timestamp) -> Words {
        if let Some(at) = status.platform_deletion_at {
            let message = format!(
                "the platform itself will delete client {} at {}: ask Genesys, or create another client",
                status.client_id.as_deref().unwrap_or_default(),
                whole_second(at)
            );
            return (Status::True, Reason::PlatformDeletionScheduled, message);
        }
        if self.no_secret {
            return (Status::False, Reason::NoSecret, "the client has no secret that could be rotated".to_owned());
        }
        match &self.policy {
            PolicyView::None => (Status::False, Reason::NoPolicy, "no rotation policy applies".to_owned()),
            PolicyView::NotReady(why) | PolicyView::Unsound(why) => (Status::Unknown, Reason::PolicyNotReady, why.clone()),
            PolicyView::Applies(_) => match dates_of(status, &self.policy, &self.identity) {
                Some(dates) => by_clock(&dates, now),
                None => (Status::Unknown, Reason::PolicyNotReady, "the dates of the credential are not known yet".to_owned()),
            },
        }
    }

    /// `Rotating`.
    #[must_use]
    pub fn rotating(&self, status: &GenesysOAuthClientStatus) -> Words {
        if let Some(current) = current_rotation(status) {
            let (reason, message) = under_way(current);
            let message = match &self.note {
                Some(note) => format!("{message}; {note}"),
                None => message,
            };
            return (Status::True, reason, message);
        }
        if let Some(words) = retiring(status) {
            return words;
        }
        match &self.why_not {
            Some((reason, message)) => (Status::False, *reason, message.clone()),
            None => (Status::False, Reason::Idle, "no rotation is under way".to_owned()),
        }
    }
}

fn by_clock(dates: &Dates, now: Timestamp) -> Words {
    let deadline = whole_second(dates.expires_at);
    if now >= dates.expires_at {
        (
            Status::True,
            Reason::Overdue,
            format!("the policy's deadline was {deadline}; the credential still works, as Genesys does not expire a secret"),
        )
    } else if now >= dates.warn_at {
        (Status::True, Reason::DueSoon, format!("the policy's deadline is {deadline}; Genesys does not expire a secret by itself"))
    } else {
        (Status::False, Reason::NotDue, format!("the policy's deadline is {deadline}"))
    }
}

fn under_way(current: &CurrentRotation) -> (Reason, String) {
    let former = current.former_client_id.as_deref().unwrap_or("the former client");
    let next = current.client_id.as_deref().unwrap_or("the new client");
    match current.step {
        RotationStep::Creating => (Reason::Creating, format!("a client is being created that replaces {former}")),
        RotationStep::Verifying => (Reason::Verifying, format!("client {next} is verified before it replaces {former}")),
        RotationStep::Publishing => (Reason::Publishing, format!("the credential of client {next} is being published")),
        RotationStep::RollingOut => {
            (Reason::RollingOut, format!("the credential of client {next} is published; what follows it is brought to it"))
        }
        RotationStep::Draining => {
            let ends = current.published_at.map_or(Timestamp::MAX, |at| super::decide::rotate::after(at, current.overlap.minimum_seconds));
            (Reason::Draining, format!("clients {next} and {former} both work, until {} at least", whole_second(ends)))
        }
        RotationStep::Regenerating => (Reason::Regenerating, "the secret is being reset".to_owned()),
    }
}

fn retiring(status: &GenesysOAuthClientStatus) -> Option<Words> {
    let first = status.retiring.iter().find(|retiring| Some(&retiring.client_id) != status.client_id.as_ref())?;
    let id = &first.client_id;
    let words = match (first.state, first.delete_after) {
        (RetiringState::Draining, _) => (Reason::Draining, format!("client {id} still works for those that use it, and is deleted later")),
        (RetiringState::Inactivating, Some(at)) => {
            (Reason::Retiring, format!("client {id} obtains no more tokens, and is deleted after {}", whole_second(at)))
        }
        (RetiringState::Inactivating, None) => (Reason::Retiring, format!("client {id} is being made inactive")),
        (RetiringState::Deleting, _) => (Reason::Retiring, format!("client {id} is being deleted")),
    };
    Some((Status::True, words.0, words.1))
}
