//! From the moment in an object's life to its seven conditions: the table of the reference, row by row. Pure; conditions are output and decide nothing.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::outlook::Words;
use crate::api::condition::{ConditionType, Reason, Status, Wanted, find, set_condition};

/// Where an object stands; each variant is a row of the condition table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing was looked at yet.
    FirstVisit,
    /// The client is created, or its credential verified for the first time.
    Creating(String),
    /// A client that exists is being adopted.
    Adopting(String),
    /// The Secret that `spec.adopt` names is not there yet.
    WaitingForSecret(String),
    /// The first credential waits for the request budget.
    WaitingForBudget(String),
    /// Everything is as spec says.
    Settled,
    /// An edit is being applied, or waits for the request budget.
    Updating(Delay, String),
    /// A person must act.
    Stalled(Reason, String),
    /// The organization is absent or can't be worked now.
    OrganizationDown(String),
    /// `suspend` is set on the object or its organization.
    Suspended(Edit, String),
    /// `spec.state` is Inactive, and so is the client.
    Inactive,
    /// The Secret is gone, rolled back, or was edited and refuted.
    SecretMissing(String),
    /// The platform refuses the published credential.
    CredentialRejected(String),
    /// The secret is being reset in place.
    Regenerating(String),
    /// The client is gone and is created again.
    ClientMissing(String),
    /// The object is being deleted.
    Deleting(String),
    /// The object can't be deleted without a person.
    DeletionBlocked(String),
    /// This process kept a call back that it or the next one makes: all stands as it stood.
    HandedOver,
}

/// What an edit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// Nothing; it is being applied.
    None,
    /// The request budget.
    Budget,
}

/// Whether an edit waits while the object is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The platform matches spec.
    Applied,
    /// The platform does not match spec yet.
    Waiting,
}

/// How far the credential came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publication {
    /// No credential was ever published.
    Never,
    /// One is published and not verified yet.
    Unverified,
    /// The published one was verified.
    Verified,
}

/// What this pass saw of the published credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sight {
    /// Nothing that speaks against it.
    #[default]
    Whole,
    /// No Secret holds it.
    Lost,
    /// The platform refuses it.
    Refuted,
}

/// What the rows depend on beside the moment.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The generation of spec that was worked.
    pub generation: Option<i64>,
    /// How far the credential came.
    pub publication: Publication,
    /// What was seen of the credential.
    pub sight: Sight,
    /// Name of the Secret.
    pub secret_name: String,
    /// What `CredentialExpiring` says by the clock, where this pass knows the policy.
    pub expiring: Option<Words>,
    /// What `Rotating` says of the rotation under way, where this pass knows of it; with whether one is under way.
    pub rotating: Option<Words>,
    /// What `ScopeDrift` says, as far as this process knows.
    pub scope: Scope,
    /// What `Synced` says of a client that is not as declared.
    pub drifted: Option<Words>,
}

/// What `ScopeDrift` says where an object rests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// As it was: this process has not compared the client yet.
    AsItWas,
    /// The last scan is too old.
    NotScanned,
    /// By the last comparison.
    Says(Words),
}

impl Facts {
    /// Whether a rotation is under way, whatever else is to be said.
    fn rotates(&self) -> bool {
        self.rotating.as_ref().is_some_and(|(status, ..)| *status == Status::True)
    }
}

enum Cell {
    Set(Status, Reason, String),
    /// "=": as it was; if it never was, this.
    Keep(Status, Reason, &'static str),
}

const NO_POLICY: &str = "no rotation policy applies";
const NOT_SCANNED: &str = "the client was not compared with a scan of the organization";
const IDLE: &str = "no rotation is under way";
const DONE: &str = "nothing is left to do";
const NONE: &str = "nothing needs a person";

fn set(status: Status, reason: Reason, message: impl Into<String>) -> Cell {
    Cell::Set(status, reason, message.into())
}

/// What was found out, else another cell.
fn said(words: Option<&Words>, otherwise: Cell) -> Cell {
    words.map_or(otherwise, |(status, reason, message)| set(*status, *reason, message))
}

fn keep_expiring(facts: &Facts) -> Cell {
    match facts.publication {
        Publication::Never => set(Status::False, Reason::NotIssued, "no credential was issued yet"),
        _ => said(facts.expiring.as_ref(), Cell::Keep(Status::False, Reason::NoPolicy, NO_POLICY)),
    }
}

/// `Rotating` as the facts say, or as it was.
fn keep_rotating(facts: &Facts) -> Cell {
    said(facts.rotating.as_ref(), Cell::Keep(Status::False, Reason::Idle, IDLE))
}

/// `Rotating` where none can be under way but one that was started before.
fn idle_unless_rotating(facts: &Facts) -> Cell {
    if facts.rotates() { keep_rotating(facts) } else { idle() }
}

/// `ScopeDrift` by the last comparison.
fn scope(facts: &Facts) -> Cell {
    match &facts.scope {
        Scope::AsItWas => KEEP_DRIFT,
        Scope::NotScanned => not_scanned(),
        Scope::Says((status, reason, message)) => set(*status, *reason, message),
    }
}

/// As it was, until the last scan is too old.
fn scope_until_stale(facts: &Facts) -> Cell {
    if facts.scope == Scope::NotScanned { not_scanned() } else { KEEP_DRIFT }
}

/// `Synced` of an object whose edits were applied.
fn synced(facts: &Facts) -> Cell {
    said(facts.drifted.as_ref(), set(Status::True, Reason::Matches, "the platform matches spec"))
}

const KEEP_DRIFT: Cell = Cell::Keep(Status::Unknown, Reason::NotScanned, NOT_SCANNED);

fn not_scanned() -> Cell {
    set(Status::Unknown, Reason::NotScanned, NOT_SCANNED)
}

fn idle() -> Cell {
    set(Status::False, Reason::Idle, IDLE)
}

fn not_stalled() -> Cell {
    set(Status::False, Reason::None, NONE)
}

/// `Ready` as the credential alone decides it.
fn ready(facts: &Facts) -> Cell {
    match facts.publication {
        Publication::Unverified if facts.sight == Sight::Lost => {
            set(Status::False, Reason::SecretMissing, format!("Secret {:?} is gone or holds no current credential", facts.secret_name))
        }
        Publication::Unverified if facts.sight == Sight::Refuted => {
            set(Status::False, Reason::CredentialRejected, format!("the platform refuses the credential in Secret {:?}", facts.secret_name))
        }
        Publication::Never => set(Status::False, Reason::Creating, "no credential was published yet"),
        Publication::Unverified => {
            set(Status::False, Reason::Creating, format!("the credential in Secret {:?} is being verified", facts.secret_name))
        }
        Publication::Verified => {
            set(Status::True, Reason::Available, format!("the credential in Secret {:?} worked when last verified", facts.secret_name))
        }
    }
}

/// Whether a stall says that the published credential no longer works.
fn refutes(reason: Reason) -> bool {
    matches!(reason, Reason::ClientMissing | Reason::ClientDisabled | Reason::DeactivatedOutside)
}

/// Ready, Synced, CredentialExpiring, ScopeDrift, Rotating, Reconciling, Stalled.
#[allow(clippy::too_many_lines, reason = "it is the table, one row a moment")]
fn row(moment: &Moment, facts: &Facts) -> [Cell; 7] {
    use Reason as R;
    use Status::{False as F, True as T, Unknown as U};
    let never = facts.publication == Publication::Never;
    match moment {
        Moment::FirstVisit => {
            let pending = || set(U, R::Pending, "not looked at yet");
            [pending(), pending(), pending(), not_scanned(), idle(), set(T, R::Creating, "the operator begins"), not_stalled()]
        }
        Moment::Creating(message) => [
            set(F, R::Creating, message),
            set(F, R::Creating, message),
            set(F, R::NotIssued, "no verified credential was issued yet"),
            not_scanned(),
            idle(),
            set(T, R::Creating, message),
            not_stalled(),
        ],
        Moment::Adopting(message) => adopting(R::Adopting, message),
        Moment::WaitingForSecret(message) => adopting(R::WaitingForSecret, message),
        Moment::WaitingForBudget(message) => [
            set(F, R::Creating, message),
            set(F, R::BudgetExhausted, message),
            set(F, R::NotIssued, "no verified credential was issued yet"),
            not_scanned(),
            idle(),
            set(T, R::WaitingForBudget, message),
            not_stalled(),
        ],
        Moment::Settled => [
            ready(facts),
            synced(facts),
            said(facts.expiring.as_ref(), set(F, R::NoPolicy, NO_POLICY)),
            scope(facts),
            said(facts.rotating.as_ref(), idle()),
            set(F, R::Done, DONE),
            not_stalled(),
        ],
        Moment::Updating(delay, message) => {
            let reason = match delay {
                Delay::None => R::Updating,
                Delay::Budget => R::BudgetExhausted,
            };
            [
                ready(facts),
                set(F, reason, message),
                keep_expiring(facts),
                KEEP_DRIFT,
                keep_rotating(facts),
                set(T, R::Updating, message),
                not_stalled(),
            ]
        }
        Moment::Stalled(reason, message) => [
            if never || refutes(*reason) { set(F, *reason, message) } else { ready(facts) },
            set(F, *reason, message),
            keep_expiring(facts),
            if never || refutes(*reason) || *reason == R::OrganizationChanged { not_scanned() } else { KEEP_DRIFT },
            if refutes(*reason) || matches!(reason, R::Conflict | R::AccessDenied) {
                idle_unless_rotating(facts)
            } else {
                keep_rotating(facts)
            },
            set(F, R::Stalled, "a person must act: see Stalled"),
            set(T, *reason, message),
        ],
        Moment::OrganizationDown(message) => [
            if never { set(F, R::WaitingForOrganization, message) } else { ready(facts) },
            set(U, R::OrganizationNotReady, message),
            keep_expiring(facts),
            if never { not_scanned() } else { scope_until_stale(facts) },
            keep_rotating(facts),
            if facts.publication == Publication::Verified { set(F, R::Done, DONE) } else { set(T, R::WaitingForOrganization, message) },
            not_stalled(),
        ],
        Moment::Suspended(edit, message) => [
            if facts.publication == Publication::Verified { ready(facts) } else { set(F, R::Suspended, message) },
            if never || *edit == Edit::Waiting { set(F, R::Suspended, message) } else { set(T, R::Matches, "the platform matches spec") },
            keep_expiring(facts),
            if never { not_scanned() } else { scope(facts) },
            set(F, R::Suspended, message),
            set(F, R::Suspended, message),
            not_stalled(),
        ],
        Moment::Inactive => [
            set(F, R::Inactive, "spec.state is Inactive"),
            synced(facts),
            set(F, R::Inactive, "spec.state is Inactive"),
            scope(facts),
            idle(),
            set(F, R::Done, DONE),
            not_stalled(),
        ],
        Moment::SecretMissing(message) => repair(R::SecretMissing, R::Republishing, message, facts),
        Moment::CredentialRejected(message) => repair(R::CredentialRejected, R::Recreating, message, facts),
        Moment::Regenerating(message) => [
            set(F, R::Regenerating, message),
            Cell::Keep(T, R::Matches, "the platform matches spec"),
            keep_expiring(facts),
            KEEP_DRIFT,
            set(T, R::Regenerating, message),
            set(T, R::Regenerating, message),
            not_stalled(),
        ],
        Moment::ClientMissing(message) => [
            set(F, R::ClientMissing, message),
            set(F, R::Creating, message),
            keep_expiring(facts),
            not_scanned(),
            idle(),
            set(T, R::Recreating, message),
            not_stalled(),
        ],
        Moment::Deleting(message) => [
            set(F, R::Deleting, message),
            set(F, R::Deleting, message),
            keep_expiring(facts),
            KEEP_DRIFT,
            idle(),
            set(T, R::Deleting, message),
            not_stalled(),
        ],
        Moment::DeletionBlocked(message) => [
            set(F, R::Deleting, message),
            set(F, R::DeletionBlocked, message),
            keep_expiring(facts),
            KEEP_DRIFT,
            idle(),
            set(F, R::Stalled, "a person must act: see Stalled"),
            set(T, R::DeletionBlocked, message),
        ],
        Moment::HandedOver => {
            let begun = |status, reason| Cell::Keep(status, reason, "the operator begins");
            [
                if facts.sight == Sight::Whole { begun(F, R::Creating) } else { ready(facts) },
                begun(F, R::Creating),
                begun(F, R::NotIssued),
                KEEP_DRIFT,
                Cell::Keep(F, R::Idle, IDLE),
                begun(T, R::Creating),
                Cell::Keep(F, R::None, NONE),
            ]
        }
    }
}

fn adopting(reconciling: Reason, message: &str) -> [Cell; 7] {
    [
        set(Status::False, Reason::Adopting, message),
        set(Status::False, Reason::Creating, message),
        set(Status::False, Reason::NotIssued, "no verified credential was issued yet"),
        not_scanned(),
        idle(),
        set(Status::True, reconciling, message),
        not_stalled(),
    ]
}

fn repair(ready: Reason, reconciling: Reason, message: &str, facts: &Facts) -> [Cell; 7] {
    [
        set(Status::False, ready, message),
        Cell::Keep(Status::True, Reason::Matches, "the platform matches spec"),
        keep_expiring(facts),
        KEEP_DRIFT,
        idle_unless_rotating(facts),
        set(Status::True, reconciling, message),
        not_stalled(),
    ]
}

/// The conditions of a moment, laid over those that exist.
pub fn set_conditions(conditions: &mut Vec<Condition>, moment: &Moment, facts: &Facts, now: Timestamp) {
    for (type_, cell) in ConditionType::OAUTH_CLIENT.into_iter().zip(row(moment, facts)) {
        let wanted = match cell {
            Cell::Set(status, reason, message) => Wanted { type_, status, reason, message },
            Cell::Keep(status, reason, message) => {
                match find(conditions, type_).filter(|condition| condition.reason != Reason::Pending.as_str()) {
                    Some(_) => continue,
                    None => Wanted { type_, status, reason, message: message.to_owned() },
                }
            }
        };
        set_condition(conditions, &wanted, facts.generation, now);
    }
    for condition in conditions.iter_mut() {
        condition.observed_generation = facts.generation;
    }
}

#[cfg(test)]
mod tests;
