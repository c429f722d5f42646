//! Passes word of objects that are to be looked at from the organizations' worker to the controllers of the clients. Makes no call.

use std::sync::{Mutex, PoisonError};

use futures::{Stream, stream};
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc;

use crate::{api::GenesysOAuthClient, controller::oauth_client::Scope};

/// The controllers that wake objects.
#[derive(Debug, Default)]
pub struct Wakes(Mutex<Vec<(Scope, mpsc::UnboundedSender<ObjectRef<GenesysOAuthClient>>)>>);

impl Wakes {
    /// The objects of a scope that are to be looked at, as they come.
    pub fn of(&self, scope: &Scope) -> impl Stream<Item = ObjectRef<GenesysOAuthClient>> + Send + use<> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((scope.clone(), sender));
        stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|object| (object, receiver)) })
    }

    /// Wakes objects.
    pub fn wake(&self, objects: impl IntoIterator<Item = ObjectRef<GenesysOAuthClient>>) {
        let controllers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for object in objects {
            for (scope, sender) in controllers.iter() {
                let within = match scope {
                    Scope::Cluster => true,
                    Scope::Namespace(namespace) => object.namespace.as_ref() == Some(namespace),
                };
                if within {
                    // A controller that ended looks at nothing any more.
                    let _ = sender.send(object.clone());
                }
            }
        }
    }
}
