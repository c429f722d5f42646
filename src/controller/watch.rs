//! Watches that one malformed object does not stop: an object that the types can't hold, because an older or a newer CRD let it in, is told and
//! left out, and all others are worked. Changes no object.

use std::{
    collections::BTreeSet,
    fmt::Debug,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{Stream, StreamExt as _};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    core::{DeserializeGuard, NamespaceResourceScope},
    runtime::{
        Controller, WatchStreamExt as _,
        events::EventType,
        reflector::{self, ObjectRef, Store},
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;

use super::{context::Context, kubernetes::full_name, oauth_client::Scope};
use crate::connection::PAGE;

/// The objects that the types can't hold, by the watch that shows them.
#[derive(Debug, Default)]
pub struct Malformed(Mutex<Vec<(String, Arc<Mutex<Page>>)>>);

/// What one watch shows of them: namespace and name of each.
#[derive(Debug, Default)]
struct Page {
    shown: BTreeSet<(String, String)>,
    /// Those of a list that is being read.
    arriving: BTreeSet<(String, String)>,
}

impl Malformed {
    fn page(&self, kind: &str) -> Arc<Mutex<Page>> {
        let page = Arc::<Mutex<Page>>::default();
        locked(&self.0).push((kind.to_owned(), page.clone()));
        page
    }

    /// Namespace and name of each of a kind.
    #[must_use]
    pub fn of(&self, kind: &str) -> Vec<(String, String)> {
        let pages = locked(&self.0);
        let of_kind = pages.iter().filter(|(other, _)| other == kind);
        of_kind.flat_map(|(_, page)| locked(page).shown.iter().cloned().collect::<Vec<_>>()).collect()
    }
}

impl Page {
    fn note<K: Watched>(&mut self, event: &Event<DeserializeGuard<K>>) {
        let key = |shown: &DeserializeGuard<K>| (shown.namespace().unwrap_or_default(), shown.name_any());
        match event {
            Event::Init => self.arriving.clear(),
            Event::InitDone => self.shown = std::mem::take(&mut self.arriving),
            Event::InitApply(object) if object.0.is_err() => drop(self.arriving.insert(key(object))),
            Event::Apply(object) if object.0.is_err() => drop(self.shown.insert(key(object))),
            Event::Apply(object) | Event::Delete(object) => drop(self.shown.remove(&key(object))),
            Event::InitApply(_) => {}
        }
    }
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What helps an object that the types can't hold.
pub const REMEDY: &str = "correct it, or install the CRDs of the operator's own version";

/// What a watch is to show: everything, in pages of a size that can't be exceeded.
#[must_use]
pub fn everything() -> watcher::Config {
    watcher::Config::default().page_size(PAGE)
}

/// A kind that is watched.
pub trait Watched: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static {}

impl<K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static> Watched for K {}

/// The objects of a scope, also those that the types can't hold.
#[must_use]
pub fn of_scope<K: Watched + Resource<Scope = NamespaceResourceScope>>(client: &Client, scope: &Scope) -> Api<DeserializeGuard<K>> {
    match scope {
        Scope::Cluster => Api::all(client.clone()),
        Scope::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
    }
}

/// A controller of the objects of a kind, without those that the types can't hold.
pub fn controller<K: Watched>(api: Api<DeserializeGuard<K>>, config: watcher::Config, context: &Arc<Context>) -> Controller<K> {
    let (known, writer) = reflector::store();
    let (context, before) = (context.clone(), known.clone());
    let page = context.malformed.page(&K::kind(&()));
    let sound = watcher(api, config).filter_map(move |event| {
        if let Ok(event) = &event {
            locked(&page).note(event);
        }
        let (context, before) = (context.clone(), before.clone());
        async move {
            match event {
                Ok(event) => sound(event, &before, &context).await.map(Ok),
                Err(error) => Some(Err(error)),
            }
        }
    });
    Controller::for_stream(reflector::reflector(writer, sound).applied_objects(), known)
}

/// The changes of objects of another kind, for a controller whose objects they concern. Their own controller tells of malformed ones.
pub fn changes<K: Watched>(
    api: Api<DeserializeGuard<K>>,
    config: watcher::Config,
) -> impl Stream<Item = Result<K, watcher::Error>> + Send + 'static {
    watcher(api, config).touched_objects().filter_map(async |shown| shown.map(|DeserializeGuard(object)| object.ok()).transpose())
}

/// An event of objects that the types hold; one that became malformed is no longer there.
async fn sound<K: Watched>(event: Event<DeserializeGuard<K>>, before: &Store<K>, context: &Context) -> Option<Event<K>> {
    let former = |shown: &DeserializeGuard<K>| {
        let wanted = ObjectRef::<K>::new(&shown.name_any()).within(&shown.namespace().unwrap_or_default());
        let unscoped = ObjectRef::<K>::new(&shown.name_any());
        before.get(&wanted).or_else(|| before.get(&unscoped)).map(|former| Event::Delete((*former).clone()))
    };
    match event {
        Event::Init => Some(Event::Init),
        Event::InitDone => Some(Event::InitDone),
        Event::InitApply(DeserializeGuard(Ok(object))) => Some(Event::InitApply(object)),
        Event::Apply(DeserializeGuard(Ok(object))) => Some(Event::Apply(object)),
        Event::Delete(DeserializeGuard(Ok(object))) => Some(Event::Delete(object)),
        Event::InitApply(malformed) => {
            tell(&malformed, context).await;
            None
        }
        Event::Apply(malformed) => {
            tell(&malformed, context).await;
            former(&malformed)
        }
        Event::Delete(malformed) => former(&malformed),
    }
}

async fn tell<K: Watched>(malformed: &DeserializeGuard<K>, context: &Context) {
    let Err(fault) = &malformed.0 else { return };
    let note = format!("the operator can't read this object, and leaves it alone: {fault}; {REMEDY}");
    tracing::error!(kind = %K::kind(&()), object = full_name(malformed), reason = "Malformed", %note, "a person must act");
    context.events.publish(malformed, EventType::Warning, "Malformed", &note).await;
}
