//! The controllers: one folder a kind. This file starts them and waits for their end; it decides nothing.
//!
//! A reconcile reads as `observe` (I/O) → `validate` → `decide` → `plan` (pure) → `apply` (I/O) → `status` (pure).

pub mod context;
pub mod error;
pub mod fleet;
pub mod gate;
pub mod kubernetes;
pub mod memory;
pub mod oauth_client;
pub mod organization;
pub mod rotation_policy;
pub mod sessions;
pub mod snapshot;
pub mod watch;

use std::{collections::BTreeSet, pin::Pin, sync::Arc};

use futures::future::{BoxFuture, join_all};
use kube::Client;

use context::Context;
use oauth_client::Scope;

/// The two clients of the Kubernetes API: calls have a deadline, watches have none of their own.
#[derive(Clone)]
pub struct Clients {
    /// For calls.
    pub calls: Client,
    /// For watches.
    pub watches: Client,
}

/// Resolves when the controllers are to stop.
pub type Stop = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// Runs every controller until `shutdown` resolves, then lets the passes under way finish.
pub async fn run(clients: &Clients, context: Arc<Context>, shutdown: impl Future<Output = ()> + Send + 'static) {
    let (stop, stopped) = tokio::sync::watch::channel(());
    let shared = context.clone();
    let stopping = async move {
        shutdown.await;
        shared.stop();
        drop(stop);
    };
    let until_stopped = || {
        let mut stopped = stopped.clone();
        Box::pin(async move { while stopped.changed().await.is_ok() {} }) as Stop
    };
    let mut controllers: Vec<BoxFuture<'_, ()>> = vec![Box::pin(organization::run(clients, context.clone(), until_stopped()))];
    // Two controllers of one namespace would take each other's intents for their own.
    let namespaces: BTreeSet<_> = context.settings.watch_namespaces.iter().cloned().collect();
    let scopes = if namespaces.is_empty() { vec![Scope::Cluster] } else { namespaces.into_iter().map(Scope::Namespace).collect() };
    for scope in scopes {
        controllers.push(Box::pin(oauth_client::run(clients, context.clone(), scope.clone(), until_stopped())));
        controllers.push(Box::pin(rotation_policy::run(clients, context.clone(), scope, until_stopped())));
    }
    tokio::join!(stopping, join_all(controllers));
}
