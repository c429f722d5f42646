//! One pass over one object: the object as last read, the status as it will be, and the one function that writes it (talks to the network).

use std::time::Duration;

use kube::{Api, ResourceExt as _, runtime::events::EventType};
use tokio::time::Instant;

use super::{
    moments::{moment_of_facts, publication},
    plan::Again,
    status::{Facts, Moment, set_conditions},
};
use crate::{
    api::{
        GenesysOAuthClient, GenesysOAuthClientStatus,
        oauth_client::{Effective, Intent},
    },
    controller::{
        context::Context,
        error::{During as _, Error},
        kubernetes::{replace_status, resource_version},
        memory::Recollection,
    },
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
        }
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

    /// Publishes an Event about the object.
    pub async fn event(&self, type_: EventType, reason: &str, note: &str) {
        self.context.events.publish(&self.object, type_, reason, note).await;
    }

    /// The one function that writes status: conditional on the object as it was read, and only if something differs.
    pub async fn commit_status(&mut self) -> Result<(), Error> {
        self.fill_in();
        if self.object.status.as_ref() == Some(&self.status) {
            return Ok(());
        }
        let mut object = self.object.clone();
        object.status = Some(self.status.clone());
        object.metadata.managed_fields = None;
        let written = replace_status(&self.api, &object).await?;
        self.accept(written);
        Ok(())
    }

    /// Writes the outcome of a call that was made under an intent: on conflict it reads again, as long as the intent is still the same.
    pub async fn commit_outcome(&mut self, change: impl Fn(&mut GenesysOAuthClientStatus)) -> Result<(), Error> {
        let intent: Option<Intent> = self.object.status.as_ref().and_then(|status| status.intent.clone());
        for _ in 0..OUTCOME_TRIES {
            change(&mut self.status);
            match self.commit_status().await {
                Err(Error::Stale) => {}
                result => return result,
            }
            let name = self.object.name_any();
            let fresh = self.api.get_opt(&name).await.during("reading the object again")?.ok_or(Error::Stale)?;
            if fresh.status.as_ref().and_then(|status| status.intent.as_ref()) != intent.as_ref() || fresh.uid() != self.object.uid() {
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
        self.moment.clone().unwrap_or_else(|| moment_of_facts(&self.status, self.object.metadata.generation, self.object.spec.state))
    }

    fn accept(&mut self, written: GenesysOAuthClient) {
        let version = resource_version(&written);
        let now = Instant::now();
        self.remember(|memory| memory.written = version.map(|version| (version, now)).or(memory.written));
        self.status = written.status.clone().unwrap_or_default();
        self.object = written;
    }

    /// Adopts a copy of the object that a write of ours returned.
    pub fn accept_object(&mut self, written: GenesysOAuthClient) {
        self.accept(written);
    }

    fn fill_in(&mut self) {
        let status = &mut self.status;
        status.observed_generation = self.object.metadata.generation;
        let secret_name = match &status.effective {
            // A Secret of a former name counts until its credential stands in the new one.
            Some(effective) if status.revision.is_some() => effective.secret_name.clone(),
            _ => self.object.secret_name().to_owned(),
        };
        status.effective = Some(Effective { secret_name, deletion_policy: self.object.effective_deletion_policy() });
        let moment = self.shown_moment();
        let facts = Facts {
            generation: self.object.metadata.generation,
            publication: publication(&self.status),
            secret_name: self.object.secret_name().to_owned(),
        };
        let now = self.context.now();
        set_conditions(&mut self.status.conditions, &moment, &facts, now);
    }
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
