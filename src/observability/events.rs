//! Publishes Events about objects through one recorder. A failure to publish is logged and never fails a pass.

use kube::{
    Client, Resource,
    runtime::events::{Event, EventType, Recorder, Reporter},
};

use crate::api::{FIELD_MANAGER, condition::shorten};

/// The longest note of an Event that the API takes, in characters, with room to spare.
const NOTE_LIMIT: usize = 900;

/// The one recorder of Events; its cache joins repeated ones.
pub struct Events(Option<Recorder>);

impl Events {
    /// A recorder that writes to the Kubernetes API.
    #[must_use]
    pub fn new(client: Client, instance: String) -> Self {
        Self(Some(Recorder::new(client, Reporter { controller: FIELD_MANAGER.into(), instance: Some(instance) })))
    }

    /// A recorder that drops everything.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Publishes an Event about an object.
    pub async fn publish<K: Resource<DynamicType = ()>>(&self, object: &K, type_: EventType, reason: &str, note: &str) {
        let Some(recorder) = &self.0 else { return };
        let event =
            Event { type_, reason: reason.to_owned(), note: Some(shorten(note, NOTE_LIMIT)), action: reason.to_owned(), secondary: None };
        if let Err(error) = recorder.publish(&event, &object.object_ref(&())).await {
            tracing::debug!(%error, reason, "an Event could not be published");
        }
    }
}
