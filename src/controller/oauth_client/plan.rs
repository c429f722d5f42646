//! What a pass will do and why, as a value: `decide` makes it, `apply` carries it out. Types only.

use std::time::Duration;

use secrecy::SecretString;

use super::status::Moment;
use crate::{
    api::oauth_client::{RetiringState, rotation_status::CurrentRotation},
    genesys::OAuthClient,
    secret::Credential,
};

/// What a pass will do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The steps, in this order; the first that fails ends the pass.
    pub steps: Vec<Step>,
    /// Where the object stands if every step succeeds; none: as status then says.
    pub moment: Option<Moment>,
    /// When the next pass is due.
    pub again: Again,
}

/// When the next pass is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// After the usual interval.
    AtResync,
    /// After this time.
    After(Duration),
    /// After a pause that grows with each failure, and ends when something that the failure depended on changes.
    Backoff,
}

/// One step.
#[derive(Clone, Debug)]
pub enum Step {
    /// Put a credential into the Secret that was issued before and could not be stored.
    Publish(Credential),
    /// The Secret carries the intent's revision already: write down that the intent is met.
    ///
    /// With the name of the Secret.
    Finish(Credential, String),
    /// Write down the nonces of clients that carry this object's marker, and the credential that the Secret publishes.
    Own {
        /// The nonces.
        nonces: Vec<String>,
        /// What the Secret publishes, if it does.
        published: Option<Credential>,
    },
    /// Put clients on their way to deletion, from this state on.
    EnterRetirement(Vec<String>, RetiringState),
    /// Ask the platform for a new secret, under an intent.
    Mint(Mint),
    /// Give a client that exists this object's marker, and bring its secret into the Secret, under an intent.
    Adopt(Adopting),
    /// Bring the client to what spec declares.
    Update,
    /// Undo what somebody changed on the client.
    Correct,
    /// Write the Secret again at its revision.
    StoreSecret(Credential),
    /// Remove the Secret of a former name.
    DropFormerSecret,
    /// Find out whether the published credential works.
    Verify(Credential),
    /// Bring the rotation that is under way a step further.
    Rotate,
    /// Take the rotation that is under way back; with the token of the request.
    Abort(String),
    /// Let the rotation go that is published, because its credential is lost: the old client works on for a while.
    Abandon,
    /// Turn the rotation that is under way into an emergency; with the token of the request.
    Escalate(String),
    /// Note that requests were handled that ask for nothing that could be done.
    Decline(Vec<Declined>),
    /// Let what follows the credential beside the Secret carry it: integration credentials, rollout targets.
    Follow(Credential),
    /// Remove a rotation Secret that no rotation needs.
    DropRotationSecret,
    /// Take the first of the retiring clients a step further.
    Retire,
}

impl Step {
    /// The name, for logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Publish(_) => "publish",
            Self::Finish(..) => "finish",
            Self::Own { .. } => "own",
            Self::EnterRetirement(..) => "enter retirement",
            Self::Mint(mint) => match mint.call {
                MintCall::Create { .. } => "create",
                MintCall::Reset { .. } => "reset",
            },
            Self::Adopt(_) => "adopt",
            Self::Update => "update",
            Self::Correct => "correct",
            Self::StoreSecret(_) => "store Secret",
            Self::DropFormerSecret => "drop former Secret",
            Self::Verify(_) => "verify",
            Self::Rotate => "rotate",
            Self::Abort(_) => "abort",
            Self::Abandon => "abandon",
            Self::Escalate(_) => "escalate",
            Self::Decline(_) => "decline",
            Self::Follow(_) => "follow",
            Self::DropRotationSecret => "drop rotation Secret",
            Self::Retire => "retire",
        }
    }
}

/// A client that is adopted.
#[derive(Clone, Debug)]
pub struct Adopting {
    /// The client, as it was read.
    pub client: Box<OAuthClient>,
    /// The nonce of its marker, where it carries one or an intent names one.
    pub nonce: Option<String>,
    /// How its secret comes into the Secret.
    pub by: AdoptedBy,
    /// The revision of its credential.
    pub revision: i64,
    /// How often the adoption was begun, this time included.
    pub attempt: i64,
}

/// How the secret of an adopted client comes into the Secret.
#[derive(Clone, Debug)]
pub enum AdoptedBy {
    /// It is known, and was proven.
    Secret(SecretString),
    /// It is reset.
    Reset,
    /// There is none: the client is public.
    NoSecret,
}

/// A call that returns a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mint {
    /// Which call.
    pub call: MintCall,
    /// The revision of the new credential.
    pub revision: i64,
    /// How often the call was begun, this time included.
    pub attempt: i64,
    /// Whether it counts towards the limit of an hour: the recovery of an intent does not.
    pub counts: Counts,
    /// The rotation that begins with it.
    pub rotation: Option<Box<CurrentRotation>>,
}

/// A request that was handled without doing anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declined {
    /// What was asked for.
    pub asked: Asked,
    /// The value of the annotation.
    pub value: String,
    /// Why nothing was done; none: it was seen before the object had a client, and is not meant for it.
    pub why: Option<String>,
}

/// What people ask for by annotations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A rotation.
    Rotate,
    /// The end of the rotation that is under way.
    Abort,
}

/// The calls that return a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MintCall {
    /// Create a client whose marker has this nonce; none: a new one.
    Create {
        /// The nonce.
        nonce: Option<String>,
    },
    /// Reset the secret of a client.
    Reset {
        /// The client's id.
        client_id: String,
        /// The nonce of its marker, where it is known.
        nonce: Option<String>,
    },
}

/// Whether a mint counts towards the limit of an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// It does.
    Anew,
    /// It is part of one that was counted.
    AsRecovery,
}

impl Again {
    /// Of two wishes the one that counts: a failure's pause, else the sooner.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Backoff, _) | (_, Self::Backoff) => Self::Backoff,
            (Self::After(one), Self::After(two)) => Self::After(one.min(two)),
            (Self::AtResync, wish) | (wish, Self::AtResync) => wish,
        }
    }
}

impl Plan {
    /// Nothing is done; the object stands here, and is looked at again then.
    #[must_use]
    pub fn wait(moment: Moment, again: Again) -> Self {
        Self { steps: vec![], moment: Some(moment), again }
    }

    /// These steps, with a moment to show if they succeed.
    #[must_use]
    pub fn steps(steps: Vec<Step>, moment: Option<Moment>, again: Again) -> Self {
        Self { steps, moment, again }
    }
}
