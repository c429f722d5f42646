//! Condition types, reasons and the one way to set a condition. Pure: conditions are output and decide nothing.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde::{Deserialize, Serialize};

/// The longest message of a condition, in characters.
pub const MESSAGE_LIMIT: usize = 1024;

/// The types of conditions, of all kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionType {
    /// The published credential exists and worked when last verified; or the operator can work in the organization.
    Ready,
    /// The platform matches `spec`.
    Synced,
    /// The credential is within the warning window, or past its deadline.
    CredentialExpiring,
    /// The platform grants other scopes, roles, divisions or redirect URIs than were applied.
    ScopeDrift,
    /// A rotation is under way.
    Rotating,
    /// The operator is working towards a usable or an edited object (kstatus).
    Reconciling,
    /// A person must act; the message says what to do (kstatus).
    Stalled,
    /// The operator's own credential obtained a token.
    Authenticated,
    /// The operator's own client has the permissions that its work needs.
    PermissionsSufficient,
}

impl ConditionType {
    /// The seven of a `GenesysOAuthClient`, in the order in which they are shown.
    pub const OAUTH_CLIENT: [Self; 7] =
        [Self::Ready, Self::Synced, Self::CredentialExpiring, Self::ScopeDrift, Self::Rotating, Self::Reconciling, Self::Stalled];

    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Synced => "Synced",
            Self::CredentialExpiring => "CredentialExpiring",
            Self::ScopeDrift => "ScopeDrift",
            Self::Rotating => "Rotating",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::Authenticated => "Authenticated",
            Self::PermissionsSufficient => "PermissionsSufficient",
        }
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Why a condition has its status: one set for all kinds.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// Every reason, in the order of this file.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The name in the API; also the reason of Events and the label of metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }
    };
}

reasons! {
    /// The published credential worked when last verified. Nothing to do.
    Available,
    /// The client is being created or its credential verified. Wait.
    Creating,
    /// A client that exists is being adopted. Wait.
    Adopting,
    /// The client is gone and is being created again, or its credential stopped working and is being replaced. Wait.
    Recreating,
    /// The Secret is gone or was spoilt; the operator repairs it. Wait.
    SecretMissing,
    /// The Secret is being written again. Wait.
    Republishing,
    /// The secret is being reset in place. Wait.
    Regenerating,
    /// The platform refuses the credential. Of an organization: correct the operator's own credential.
    CredentialRejected,
    /// The client that `spec.adopt` names does not exist in the organization: create a new object with the right id.
    AdoptedClientNotFound,
    /// The platform refuses the secret that `spec.adopt` names: correct that Secret, or ask for a reset.
    AdoptedSecretRejected,
    /// The client is gone from the platform.
    ClientMissing,
    /// Genesys support disabled the client: ask them.
    ClientDisabled,
    /// Somebody made the client inactive on the platform: activate it there, or set `spec.state: Inactive`.
    DeactivatedOutside,
    /// The GenesysOrganization is absent or not ready: look at it.
    WaitingForOrganization,
    /// The Secret that `spec.adopt` names is absent or lacks its key: create it.
    WaitingForSecret,
    /// The request budget or a waiting time of the protocol holds the step back. Wait.
    WaitingForBudget,
    /// `spec.state` is Inactive.
    Inactive,
    /// `suspend` is set on the object or its organization.
    Suspended,
    /// The object is being deleted. Wait.
    Deleting,
    /// Nothing was looked at yet. Wait.
    Pending,
    /// The platform matches `spec`.
    Matches,
    /// An edit of `spec` is being applied. Wait.
    Updating,
    /// An edit waits for the request budget. Wait, or raise `requestsPerMinute`.
    BudgetExhausted,
    /// Somebody changed the client on the platform, and the declared fields are written again. Wait.
    Correcting,
    /// Somebody changed the client on the platform, and driftPolicy is Report: change spec or the client.
    DriftReported,
    /// The organization is not ready, so nothing is known of the platform.
    OrganizationNotReady,
    /// No rotation policy applies.
    NoPolicy,
    /// No credential was issued yet.
    NotIssued,
    /// The credential is far from its deadline.
    NotDue,
    /// The deadline is near: the message says when the rotation is planned, or what holds it back.
    DueSoon,
    /// The credential is older than its policy allows: find out what holds the rotation back.
    Overdue,
    /// The platform itself will delete the client: create another one, or ask Genesys.
    PlatformDeletionScheduled,
    /// The client has no secret that could expire.
    NoSecret,
    /// The rotation policy is absent or not sound: look at it.
    PolicyNotReady,
    /// The rotation policy does not exist: create it, or name another one.
    WaitingForPolicy,
    /// The client was not compared with a scan of the organization.
    NotScanned,
    /// The platform grants what was declared.
    InSync,
    /// The platform grants less than was declared: see status.drift.
    Missing,
    /// The platform grants more than was declared: find out who did that; see status.drift.
    Extra,
    /// The platform grants other powers than were declared: see status.drift.
    MissingAndExtra,
    /// No rotation is under way.
    Idle,
    /// A rotation is due and waits for a window of its policy.
    WaitingForWindow,
    /// A rotation is due and waits until fewer others are under way.
    WaitingForTurn,
    /// The new credential is being verified. Wait.
    Verifying,
    /// The new credential is being published. Wait.
    Publishing,
    /// Integrations and workloads are being given the new credential. Wait.
    RollingOut,
    /// The old client works on through the overlap. Wait.
    Draining,
    /// The old client is being deleted. Wait.
    Retiring,
    /// The last rotation failed: the message says why and when it is tried again.
    Failed,
    /// The last rotation was aborted by request.
    Aborted,
    /// Scheduled rotations stand still after several failed: find out why, then rotate one by request, or change the policy.
    Halted,
    /// Nothing is left to do.
    Done,
    /// A person must act: the Stalled condition says what to do.
    Stalled,
    /// Nothing needs a person.
    None,
    /// `spec` breaks a rule: correct it as the message says.
    InvalidSpec,
    /// A field that can't change was changed: change it back, or create a new object.
    ImmutableFieldChanged,
    /// The organization's `access` does not allow this: ask its owner, or ask for less.
    AccessDenied,
    /// The Secret or the client belongs to somebody else: choose another name.
    Conflict,
    /// The operator's own client lacks a permission: grant it on the platform.
    PermissionMissing,
    /// The platform refused the request: correct `spec` as the message says.
    PlatformRejected,
    /// No role has this name or id.
    RoleNotFound,
    /// The operator's own client lacks a role that it is to grant: give it that role.
    RoleNotGrantable,
    /// No division has this name or id.
    DivisionNotFound,
    /// The platform has no such scope.
    ScopeUnknown,
    /// The platform cut the marker off the description, so the client could not be found again.
    MarkerRefused,
    /// Three secrets were issued within an hour; it clears with time.
    MintLimit,
    /// The operator could not prove the credential, nor refute it.
    VerificationBlocked,
    /// The operator may not restart workloads: enable the chart's `rolloutTargets`, or remove the targets.
    RolloutForbidden,
    /// The strategy is not possible for this client: the message says which one is.
    StrategyNotPossible,
    /// The windows of the policy open too seldom for its interval and maxAge: add one, or raise maxAge.
    WindowNeverOpens,
    /// The credential now belongs to another organization than the object's client.
    OrganizationChanged,
    /// The client can't be deleted: the message says how to let go.
    DeletionBlocked,
    /// The operator has no endpoints for this region.
    UnknownRegion,
    /// Another, older GenesysOrganization connects to the same organization.
    DuplicateOrganization,
    /// The organization's credential works.
    Authenticated,
    /// The reads that the operator tried were allowed.
    PermissionsSufficient,
    /// The platform or the network did not answer.
    Unreachable,
}

/// The status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It is not known.
    Unknown,
}

impl Status {
    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// A condition as it is wished, before it meets the one that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its type.
    pub type_: ConditionType,
    /// Its status.
    pub status: Status,
    /// Its reason.
    pub reason: Reason,
    /// What a person reads; shortened to [`MESSAGE_LIMIT`].
    pub message: String,
}

/// Sets a condition: `lastTransitionTime` moves only with the status, and is cut to seconds.
pub fn set_condition(conditions: &mut Vec<Condition>, wanted: &Wanted, generation: Option<i64>, now: Timestamp) {
    let type_ = wanted.type_.as_str();
    let previous = conditions.iter().position(|condition| condition.type_ == type_);
    let unchanged_since = previous
        .map(|index| &conditions[index])
        .filter(|condition| condition.status == wanted.status.as_str())
        .map(|condition| condition.last_transition_time.clone());
    let next = Condition {
        type_: type_.to_owned(),
        status: wanted.status.as_str().to_owned(),
        reason: wanted.reason.as_str().to_owned(),
        message: shorten(&wanted.message, MESSAGE_LIMIT),
        observed_generation: generation,
        last_transition_time: unchanged_since.unwrap_or_else(|| Time(whole_second(now))),
    };
    match previous {
        Some(index) => conditions[index] = next,
        None => conditions.push(next),
    }
}

/// The time, without fractions of a second.
#[must_use]
pub fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// The condition of a type, if it is there.
#[must_use]
pub fn find(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == type_.as_str())
}

/// Cuts a text to a number of characters, and shows that it was cut.
#[must_use]
pub fn shorten(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(limit.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(status: Status, message: &str) -> Wanted {
        Wanted { type_: ConditionType::Ready, status, reason: Reason::Creating, message: message.into() }
    }

    #[test]
    fn transition_time_moves_only_with_the_status() {
        let mut conditions = vec![];
        let first: Timestamp = "2026-01-01T00:00:00.7Z".parse().unwrap();
        let later: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        set_condition(&mut conditions, &wanted(Status::False, "a"), Some(1), first);
        set_condition(&mut conditions, &wanted(Status::False, "b"), Some(2), later);
        assert_eq!(conditions.len(), 1);
        assert_eq!(conditions[0].last_transition_time.0, "2026-01-01T00:00:00Z".parse().unwrap());
        assert_eq!((conditions[0].message.as_str(), conditions[0].observed_generation), ("b", Some(2)));
        set_condition(&mut conditions, &wanted(Status::True, "b"), Some(2), later);
        assert_eq!(conditions[0].last_transition_time.0, later);
    }

    #[test]
    fn messages_are_bounded() {
        let mut conditions = vec![];
        set_condition(&mut conditions, &wanted(Status::True, &"é".repeat(5000)), None, Timestamp::UNIX_EPOCH);
        assert_eq!(conditions[0].message.chars().count(), MESSAGE_LIMIT);
        assert!(conditions[0].message.ends_with('…'));
    }

    #[test]
    fn reasons_are_camel_case_words() {
        for reason in Reason::ALL {
            let name = reason.as_str();
            assert!(name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(|c| c.is_ascii_alphanumeric()), "{name}");
        }
    }
}
