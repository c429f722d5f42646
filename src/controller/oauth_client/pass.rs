//! One pass over one object: the object as last read, the status as it will be, and the one function that writes it (talks to the network).

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Api, ResourceExt as _, runtime::events::EventType};
use tokio::time::Instant;

use super::{
    drift,
    moments::{moment_of_facts, publication},
    observation::{Destination, current_rotation, destination, known_ids},
    outlook::Outlook,
    plan::Again,
    policy::keep_books,
    status::{self, Facts, Moment, Scope, set_conditions},
};
use crate::{
    api::{
        GenesysOAuthClient, GenesysOAuthClientStatus,
        condition::{ConditionType, Reason, find},
        oauth_client::{Effective, Intent, UnheededWrite},
        rotation_policy::RotationStrategy,
    },
    controller::{
        context::Context,
        error::{During as _, Error},
        kubernetes::{replace_status, resource_version},
        memory::Recollection,
        snapshot::Sight,
    },
    genesys::OAuthClient,
};

/// How often the outcome of a call is written again after a conflict, within one pass.
const OUTCOME_TRIES: usize = 5;

/// One pass over one object.
pub struct Pass<'a> {
    /// What every pass shares.
    pub context: &'a Context,
    /// The objects of the namespace.
    pub api: Api<GenesysOAuthClient>,
    /// The object as last read or written.
    pub object: GenesysOAuthClient,
    /// The status as it will be written.
    pub status: GenesysOAuthClientStatus,
    /// Where the object stands; none: as status says.
    pub moment: Option<Moment>,
    /// When the next pass is due.
    pub again: Again,
    /// What was seen of the published credential.
    pub sight: status::Sight,
    /// What is known of the object's rotations.
    pub outlook: Option<Outlook>,
    /// Whether scans still tell of the client.
    pub scanned: Scanned,
    /// How the published client was seen; remembered when the pass ends well.
    pub sighted: Option<(String, Sight)>,
    /// The reason for which a person had to act when the pass began.
    stalled: Option<String>,
}

impl<'a> Pass<'a> {
    /// A pass over an object as it was read.
    #[must_use]
    pub fn new(context: &'a Context, object: &GenesysOAuthClient) -> Self {
        let namespace = object.namespace().unwrap_or_default();
        Self {
            context,
            api: Api::namespaced(context.client.clone(), &namespace),
            status: object.status.clone().unwrap_or_default(),
            object: object.clone(),
            moment: None,
            again: Again::AtResync,
            sight: status::Sight::Whole,
            outlook: None,
            scanned: Scanned::Unknown,
            sighted: None,
            stalled: object.status.as_ref().and_then(|status| stalled(&status.conditions)),
        }
    }

    /// Whether a person had to act for this reason already when the pass began.
    #[must_use]
    pub fn was_stalled(&self, reason: Reason) -> bool {
        self.stalled.as_deref() == Some(reason.as_str())
    }

    /// Whether a person had to act when the pass began.
    #[must_use]
    pub fn needs_a_person(&self) -> bool {
        self.stalled.is_some()
    }

    /// The object's uid.
    #[must_use]
    pub fn uid(&self) -> String {
        self.object.uid().unwrap_or_default()
    }

    /// Changes what this process remembers of the object.
    pub fn remember<T>(&self, change: impl FnOnce(&mut Recollection) -> T) -> T {
        self.context.memory.remember(&self.uid(), change)
    }

    /// Notes the published client as it now is: as declared.
    pub fn saw(&mut self, client: &OAuthClient, believed_from: Instant) {
        self.status.drift.clear();
        self.status.platform_deletion_at = client.date_to_delete;
        self.sighted = Some((client.id.clone(), Sight::of(client, believed_from)));
    }

    /// Remembers a client that was just written as declared; scans tell of it from a later time on.
    pub fn saw_of(&self, client: &OAuthClient, believed_from: Instant) {
        self.remember(|memory| memory.sights.insert(client.id.clone(), Sight::of(client, believed_from)));
    }

    /// Remembers how the published client was seen, and forgets clients that are no longer the object's.
    pub fn remember_sight(&mut self) {
        let sighted = self.sighted.take();
        let known = known_ids(&self.status);
        self.remember(|memory| {
            memory.sights.extend(sighted);
            memory.sights.retain(|id, _| known.contains(id));
        });
    }

    /// What `ScopeDrift` says, as far as this process compared the client.
    fn scope(&self) -> Scope {
        let compared = |id: &String| {
            let now = self.sighted.as_ref().is_some_and(|(sighted, _)| sighted == id);
            now || self.remember(|memory| memory.sights.get(id).is_some_and(|sight| sight.print.is_some()))
        };
        match self.scanned {
            Scanned::LongAgo => Scope::NotScanned,
            Scanned::Lately if self.status.client_id.as_ref().is_some_and(compared) => Scope::Says(drift::scope_drift(&self.status.drift)),
            Scanned::Lately | Scanned::Unknown => Scope::AsItWas,
        }
    }

    /// Whether `Ready` shows this reason already, so that a write would only repeat it.
    #[must_use]
    pub fn shows(&self, reason: Reason) -> bool {
        find(&self.status.conditions, ConditionType::Ready).is_some_and(|ready| ready.reason == reason.as_str())
    }

    /// Says what the rotation under way waits for.
    pub fn note(&mut self, words: impl Into<String>) {
        if let Some(outlook) = &mut self.outlook {
            outlook.note = Some(words.into());
        }
    }

    /// Whether a rotation by Replace is under way whose credential is not published.
    fn replaces(&self) -> bool {
        current_rotation(&self.status).is_some_and(|current| current.strategy == RotationStrategy::Replace && !current.is_published())
    }

    /// Whether what is issued now is the new credential of a rotation, which nobody uses yet.
    #[must_use]
    pub fn rotates_unseen(&self) -> bool {
        destination(&self.status) == Destination::Rotation
    }

    /// Publishes an Event about the object.
    pub async fn event(&self, type_: EventType, reason: &str, note: &str) {
        self.context.events.publish(&self.object, type_, reason, note).await;
    }

    /// The one function that writes status: conditional on the object as it was read, and only if something differs.
    pub async fn commit_status(&mut self) -> Result<(), Error> {
        self.fill_in(Conditions::Set);
        self.write_status().await
    }

    /// The same on the way to a call. Where a person had to act, the conditions stay until the call shows whether that is over.
    pub async fn commit_step(&mut self) -> Result<(), Error> {
        let carried = if stalled(&self.status.conditions).is_some() { Conditions::Keep } else { Conditions::Set };
        self.fill_in(carried);
        self.write_status().await
    }

    /// Writes that the object waits, before the pass itself begins; what only a pass knows stays as it was.
    pub async fn announce(&mut self, moment: Moment) -> Result<(), Error> {
        self.moment = Some(moment);
        let known = self.status.effective.clone();
        self.fill_in(Conditions::Set);
        self.status.effective = known.or(self.status.effective.take());
        self.write_status().await
    }

    async fn write_status(&mut self) -> Result<(), Error> {
        if self.object.status.as_ref() == Some(&self.status) {
            return Ok(());
        }
        self.note_modification();
        let mut object = self.object.clone();
        object.status = Some(self.status.clone());
        object.metadata.managed_fields = None;
        let written = replace_status(&self.api, &object).await?;
        self.context.metrics.passes.written(self.object.status.as_ref(), &self.status);
        self.accept(written);
        Ok(())
    }

    /// Notes what a restart would make this process forget of the client, now that something is written anyway.
    fn note_modification(&mut self) {
        let (unheeded, unproven) = self.remember(|memory| (memory.unheeded, memory.verify_again.is_some()));
        let status = &mut self.status;
        if self.object.status.as_ref().is_none_or(|former| former.client_id != status.client_id) {
            status.platform_modified_at = None;
        }
        let seen = self.sighted.as_ref().filter(|(id, _)| status.client_id.as_ref() == Some(id));
        // Until the verification that a change costs is made, the next process is to find the change too.
        if let Some((_, sight)) = seen.filter(|(_, sight)| sight.print.is_some() && !unproven) {
            status.platform_modified_at = sight.modified;
        }
        let follows = status.drift.is_empty() && status.synced_generation == self.object.metadata.generation;
        status.unheeded_write = match unheeded {
            _ if follows => None,
            Some((generation, modified_at)) => Some(UnheededWrite { generation, modified_at }),
            None => status.unheeded_write,
        };
    }

    /// Writes the outcome of a call that was made under an intent: on conflict it reads again, as long as the intent is still the same.
    pub async fn commit_outcome(&mut self, change: impl Fn(&mut GenesysOAuthClientStatus)) -> Result<(), Error> {
        let intent: Option<Intent> = self.object.status.as_ref().and_then(|status| status.intent.clone());
        let rotation = self.object.status.as_ref().and_then(current_rotation).cloned();
        for _ in 0..OUTCOME_TRIES {
            change(&mut self.status);
            match self.commit_status().await {
                Err(Error::Stale) => {}
                result => return result,
            }
            let name = self.object.name_any();
            let fresh = self.api.get_opt(&name).await.during("reading the object again")?.ok_or(Error::Stale)?;
            let found = fresh.status.as_ref();
            if found.and_then(|status| status.intent.as_ref()) != intent.as_ref()
                || found.and_then(current_rotation) != rotation.as_ref()
                || fresh.uid() != self.object.uid()
            {
                return Err(Error::Stale);
            }
            self.status = fresh.status.clone().unwrap_or_default();
            self.object = fresh;
        }
        Err(Error::Stale)
    }

    /// The moment that the conditions will show.
    #[must_use]
    pub fn shown_moment(&self) -> Moment {
        let name = self.object.secret_name();
        // What was seen of an edit is told, also where nothing could be done about it.
        let edited = self.status.synced_generation != self.object.metadata.generation && self.object.metadata.deletion_timestamp.is_none();
        let moment = self.moment.clone().filter(|moment| !(edited && *moment == Moment::HandedOver));
        moment.unwrap_or_else(|| match self.sight {
            status::Sight::Lost if self.replaces() => {
                Moment::SecretMissing(format!("Secret {name:?} is written anew when another client's credential is proven"))
            }
            status::Sight::Refuted if self.replaces() => Moment::CredentialRejected(format!(
                "the platform refuses the credential in Secret {name:?}: another client's takes its place"
            )),
            _ => moment_of_facts(&self.status, self.object.metadata.generation, self.object.spec.state),
        })
    }

    /// Goes on with the copy of the object that a write of ours returned.
    pub fn accept(&mut self, written: GenesysOAuthClient) {
        let version = resource_version(&written);
        let now = Instant::now();
        self.remember(|memory| memory.written = version.map(|version| (version, now)).or(memory.written));
        self.status = written.status.clone().unwrap_or_default();
        self.object = written;
    }

    fn fill_in(&mut self, conditions: Conditions) {
        let status = &mut self.status;
        status.observed_generation = self.object.metadata.generation;
        let secret_name = match &status.effective {
            // A Secret of a former name counts until its credential stands in the new one.
            Some(effective) if status.revision.is_some() || status.intent.is_some() => effective.secret_name.clone(),
            _ => self.object.secret_name().to_owned(),
        };
        let now = self.context.now();
        let mut effective = Effective { secret_name, deletion_policy: self.object.effective_deletion_policy(), ..Effective::default() };
        if let Some(outlook) = &self.outlook {
            keep_books(status, &outlook.policy, &outlook.identity, now);
            outlook.policy.show(&self.object, status.effective.as_ref(), &mut effective);
        }
        status.effective = Some(effective);
        if conditions == Conditions::Keep {
            return;
        }
        let moment = self.shown_moment();
        let facts = Facts {
            generation: self.object.metadata.generation,
            publication: publication(&self.status),
            sight: self.sight,
            secret_name: self.status.binding.as_ref().map_or_else(|| self.object.secret_name().to_owned(), |binding| binding.name.clone()),
            expiring: self.outlook.as_ref().map(|outlook| outlook.expiring(&self.status, now)),
            rotating: self.outlook.as_ref().map(|outlook| outlook.rotating(&self.status)),
            scope: self.scope(),
            drifted: (!self.status.drift.is_empty()).then(|| drift::synced(&self.status.drift, self.object.spec.drift_policy)),
        };
        set_conditions(&mut self.status.conditions, &moment, &facts, now);
    }
}

/// Whether scans still tell of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scanned {
    /// This process does not know yet.
    Unknown,
    /// They do.
    Lately,
    /// The last one is too old.
    LongAgo,
}

/// Whether a write of the status sets the conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Conditions {
    Set,
    Keep,
}

/// The reason for which a person must act, as the conditions show it.
fn stalled(conditions: &[Condition]) -> Option<String> {
    find(conditions, ConditionType::Stalled).filter(|condition| condition.status == "True").map(|condition| condition.reason.clone())
}

/// The pause that a plan asks for, in time.
#[must_use]
pub fn delay(again: Again, resync: Duration) -> Option<Duration> {
    match again {
        Again::AtResync => Some(resync),
        Again::After(wait) => Some(wait),
        Again::Backoff => None,
    }
}
