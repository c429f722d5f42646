//! Publishes Events about objects, stamped with the operator's own clock. A failure to publish is logged and never fails a pass.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::events::v1::{Event, EventSeries},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
    runtime::events::EventType,
};

use crate::{
    api::{FIELD_MANAGER, condition::shorten},
    controller::context::Chance,
};

/// The longest note of an Event that the API takes, in characters, with room to spare.
const NOTE_LIMIT: usize = 900;
/// An Event that comes again within this time becomes a series, as the libraries of Kubernetes have it.
const SERIES_LASTS: SignedDuration = SignedDuration::from_mins(6);

/// The same words again within this time come from a pass that was repeated: its Event was told, and its write met somebody else's.
const REPEATED: SignedDuration = SignedDuration::from_mins(1);

/// Who is told Events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Those who may read them in the Kubernetes API.
    Cluster,
    /// Nobody: they are dropped, so that a test sees the operator's other requests alone.
    Nobody,
}

/// What makes two Events one series: the object, the type, the reason and the words. The API lets nobody change the words of an Event: those of a
/// second rotation would never be read.
type Key = (String, &'static str, String, String);

/// The one recorder of Events. The one of kube-runtime asks the machine for the time, and the operator's clock may be another.
pub struct Events {
    audience: Audience,
    client: Client,
    chance: Arc<dyn Chance>,
    instance: String,
    /// What was told of late.
    told: Mutex<BTreeMap<Key, Event>>,
}

impl Events {
    /// A recorder for an audience; `instance` names the process.
    #[must_use]
    pub fn told(audience: Audience, client: Client, chance: Arc<dyn Chance>, instance: String) -> Self {
        Self { audience, client, chance, instance, told: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Event>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes an Event about an object.
    pub async fn publish<K: Resource<DynamicType = ()>>(&self, object: &K, type_: EventType, reason: &str, note: &str) {
        if self.audience == Audience::Nobody {
            return;
        }
        let type_ = match type_ {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        };
        let key = (object.uid().unwrap_or_default(), type_, reason.to_owned(), shorten(note, NOTE_LIMIT));
        let Some(event) = self.next(&key, object) else { return };
        // An object of the cluster has its Events in the namespace `default`.
        let api: Api<Event> = Api::namespaced(self.client.clone(), event.metadata.namespace.as_deref().unwrap_or("default"));
        let answer = match &event.series {
            Some(_) => api.patch(&event.name_any(), &PatchParams::default(), &Patch::Merge(&event)).await,
            None => api.create(&PostParams::default(), &event).await,
        };
        if let Err(error) = answer {
            // It may be gone: the next one is an Event of its own.
            self.lock().remove(&key);
            tracing::debug!(%error, reason, "an Event could not be published");
        }
    }

    /// The Event to tell now: the last one of its kind as a series, or a new one; none for what was told just now.
    fn next<K: Resource<DynamicType = ()>>(&self, key: &Key, object: &K) -> Option<Event> {
        let now = self.chance.now();
        let mut told = self.lock();
        told.retain(|_, event| last_told(event).is_some_and(|last| now.duration_since(last) < SERIES_LASTS));
        if let Some(event) = told.get_mut(key) {
            let lately = last_told(event).is_some_and(|last| now.duration_since(last) < REPEATED);
            if lately {
                return None;
            }
            let count = event.series.as_ref().map_or(2, |series| series.count + 1);
            event.series = Some(EventSeries { count, last_observed_time: MicroTime(now) });
            return Some(event.clone());
        }
        // Two of one name at one moment have names of their own.
        let taken = |name: &str| told.values().any(|event| event.metadata.name.as_deref() == Some(name));
        let names = (0..).map(|more| format!("{}.{:x}", object.name_any(), now.as_nanosecond() + more));
        let event = Event {
            action: Some(key.2.clone()),
            reason: Some(key.2.clone()),
            type_: Some(key.1.to_owned()),
            note: Some(key.3.clone()),
            event_time: Some(MicroTime(now)),
            metadata: ObjectMeta {
                name: names.into_iter().find(|name| !taken(name)),
                namespace: object.namespace(),
                ..ObjectMeta::default()
            },
            regarding: Some(object.object_ref(&())),
            reporting_controller: Some(FIELD_MANAGER.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            ..Event::default()
        };
        told.insert(key.clone(), event.clone());
        Some(event)
    }
}

fn last_told(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().map(|series| series.last_observed_time.0);
    series.or(event.event_time.as_ref().map(|time| time.0))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::BodyExt as _;
    use k8s_openapi::api::core::v1::Secret;
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;
    use crate::marker::NONCE_LENGTH;

    /// A clock that a test sets.
    struct At(Mutex<Timestamp>);

    impl Chance for At {
        fn now(&self) -> Timestamp {
            *self.0.lock().expect("no panic")
        }

        fn bytes(&self) -> [u8; NONCE_LENGTH] {
            [0; NONCE_LENGTH]
        }

        fn fraction(&self) -> f64 {
            0.5
        }
    }

    /// An API that takes everything, and the requests that came.
    /// What was asked for, and with which body.
    type Asked = Arc<Mutex<Vec<(String, Value)>>>;

    fn api() -> (Client, Asked) {
        let came: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
        let seen = came.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let seen = seen.clone();
            async move {
                let asked = format!("{} {}", request.method(), request.uri().path());
                let body = request.into_body().collect().await.expect("a body").to_bytes();
                seen.lock().expect("no panic").push((asked, serde_json::from_slice(&body).expect("JSON")));
                Ok::<_, Infallible>(http::Response::new(Body::from(body)))
            }
        });
        (Client::new(service, "default"), came)
    }

    #[tokio::test]
    async fn what_is_said_in_other_words_is_an_event_of_its_own() {
        let clock = Arc::new(At(Mutex::new("2031-05-06T07:08:09Z".parse().expect("a time"))));
        let (client, came) = api();
        let events = Events::told(Audience::Cluster, client, clock, "one".to_owned());
        let object = Secret { metadata: ObjectMeta { name: Some("a".into()), ..ObjectMeta::default() }, ..Secret::default() };
        for note in ["revision 2 is published", "revision 3 is published", "revision 2 is published"] {
            events.publish(&object, EventType::Normal, "CredentialRotated", note).await;
        }
        let came = came.lock().expect("no panic").clone();
        let told: Vec<(bool, &Value)> = came.iter().map(|(asked, event)| (asked.starts_with("POST "), &event["note"])).collect();
        assert_eq!(told, [(true, &json!("revision 2 is published")), (true, &json!("revision 3 is published"))]);
        assert_ne!(came[0].1["metadata"]["name"], came[1].1["metadata"]["name"]);
    }

    #[tokio::test]
    async fn an_event_has_the_operators_time_and_becomes_a_series() {
        let start: Timestamp = "2031-05-06T07:08:09Z".parse().expect("a time");
        let clock = Arc::new(At(Mutex::new(start)));
        let (client, came) = api();
        let events = Events::told(Audience::Cluster, client, clock.clone(), "one".to_owned());
        let object = Secret {
            metadata: ObjectMeta { name: Some("a".into()), namespace: Some("n".into()), ..ObjectMeta::default() },
            ..Secret::default()
        };
        let told = [(0, "Bad"), (5, "Bad"), (10, "Bad"), (10, "Good"), (30, "Bad")];
        for (minutes, reason) in told {
            *clock.0.lock().expect("no panic") = start + SignedDuration::from_mins(minutes);
            events.publish(&object, EventType::Warning, reason, "why").await;
            // A pass that is repeated tells it again.
            *clock.0.lock().expect("no panic") = start + SignedDuration::from_mins(minutes) + SignedDuration::from_secs(3);
            events.publish(&object, EventType::Warning, reason, "why").await;
        }
        let came = came.lock().expect("no panic").clone();
        let verbs: Vec<&str> = came.iter().map(|(asked, _)| asked.split(' ').next().unwrap_or_default()).collect();
        assert_eq!(verbs, ["POST", "PATCH", "PATCH", "POST", "POST"]);
        assert!(came.iter().all(|(asked, _)| asked.contains("/apis/events.k8s.io/v1/namespaces/n/events")), "{came:?}");
        assert_eq!(came[0].1["eventTime"], "2031-05-06T07:08:09.000000Z");
        assert_eq!(came[2].1["series"], json!({ "count": 3, "lastObservedTime": "2031-05-06T07:18:09.000000Z" }));
        assert_eq!(came[2].1["metadata"]["name"], came[0].1["metadata"]["name"]);
        assert_ne!(came[4].1["metadata"]["name"], came[0].1["metadata"]["name"]);
        assert_eq!(came[4].1["eventTime"], "2031-05-06T07:38:09.000000Z");
    }
}
