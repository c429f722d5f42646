//! Publishes Events about objects through one recorder. A failure to publish is logged and never fails a pass.

use kube::{
    Client, Resource,
    runtime::events::{Event, EventType, Recorder, Reporter},
};

use crate::api::{FIELD_MANAGER, condition::shorten};

/// The longest note of an Event that the API takes, in characters, with room to spare.
const NOTE_LIMIT: usize = 900;

/// Who is told Events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Those who may read them in the Kubernetes API.
    Cluster,
    /// Nobody: they are dropped, so that a test sees the operator's other requests alone.
    Nobody,
}

/// The one recorder of Events; its cache joins repeated ones.
pub struct Events(Option<Recorder>);

impl Events {
    /// A recorder for an audience; `instance` names the process.
    #[must_use]
    pub fn told(audience: Audience, client: Client, instance: String) -> Self {
        let recorder = || Recorder::new(client, Reporter { controller: FIELD_MANAGER.into(), instance: Some(instance) });
        Self((audience == Audience::Cluster).then(recorder))
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
