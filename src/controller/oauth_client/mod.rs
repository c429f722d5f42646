//! The controller of `GenesysOAuthClient`: wires watches to passes. The file list is the algorithm.
//!
//! [`reconcile`] ties together [`observe`] (I/O) → [`validate`] and [`access`] → [`decide`] → [`plan`] (pure) → [`apply`] (I/O: [`mint`], [`publish`],
//! [`update`], [`verify`], [`retire`]) → [`status`] (pure). A deleted object goes to [`cleanup`].

pub mod access;
pub mod adopt;
pub mod apply;
pub mod class;
pub mod cleanup;
pub mod correct;
pub mod decide;
pub mod drift;
pub mod integrations;
pub mod intent;
pub mod look;
pub mod mint;
pub mod mint_check;
pub mod moments;
pub mod observation;
pub mod observe;
pub mod observe_adoption;
pub mod observe_platform;
pub mod outlook;
pub mod overlap;
pub mod pass;
pub mod plan;
pub mod policy;
pub mod publish;
pub mod queued;
pub mod reconcile;
pub mod retire;
pub mod rollouts;
pub mod rotate;
pub mod rotation_end;
pub mod rotation_store;
pub mod secret_write;
pub mod status;
pub mod timetable;
pub mod update;
pub mod validate;
pub mod verify;

use std::sync::Arc;

use futures::{StreamExt as _, future::BoxFuture};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    core::DeserializeGuard,
    runtime::{
        controller,
        reflector::{ObjectRef, Store},
    },
};
use tracing::{Instrument as _, Span};

use super::{
    Clients, Stop,
    context::Context,
    error::Error,
    fleet::{counted::News, followers::Followers},
    watch,
};
use crate::{
    api::{FIELD_MANAGER, GenesysOAuthClient, GenesysOrganization, GenesysRotationPolicy, MANAGED_BY_LABEL},
    observability::logging,
};

/// Whose objects a controller works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All namespaces.
    Cluster,
    /// One namespace.
    Namespace(String),
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cluster => Ok(()),
            Self::Namespace(namespace) => write!(f, " of namespace {namespace}"),
        }
    }
}

/// Runs the controller of a scope until `stop` resolves and the passes under way are done.
pub async fn run(clients: &Clients, context: Arc<Context>, scope: Scope, stop: Stop) {
    // Without a limit here: each organization has its own, so that none waits for another (`gate`).
    let watching = |what: &str| context.pulse.watching(&clients.watches, &format!("{what}{scope}"));
    let api = watch::of_scope::<GenesysOAuthClient>(&watching("the clients"), &scope);
    let mut controller = watch::controller(api, watch::everything(), &context);
    let store = controller.store();
    context.fleet.add(store.clone());
    let (by_policy, seen) = (store.clone(), store.clone());
    // A write of counts wakes no client: counts change because clients were worked.
    let (organization_news, policy_news) = (News::default(), News::default());
    let organizations: Api<DeserializeGuard<GenesysOrganization>> = Api::all(watching("the organizations, for the clients"));
    let mut selected = watch::everything();
    if let Some(selector) = &context.settings.organizations {
        selected = selected.labels(selector);
    }
    controller = controller.watches_stream(watch::changes(organizations, selected), move |organization: GenesysOrganization| {
        let concerned = if organization_news.concern_clients(&organization) { store.state() } else { vec![] };
        let name = organization.metadata.name.unwrap_or_default();
        concerned
            .into_iter()
            .filter(|object| object.spec.organization_ref.name == name)
            .map(|object| ObjectRef::from_obj(&*object))
            .collect::<Vec<_>>()
    });
    let policies = watch::of_scope(&watching("the rotation policies, for the clients"), &scope);
    controller = controller.watches_stream(watch::changes(policies, watch::everything()), move |policy: GenesysRotationPolicy| {
        let concerned = if policy_news.concern_clients(&policy) { by_policy.state() } else { vec![] };
        let (name, namespace) = (policy.metadata.name.unwrap_or_default(), policy.metadata.namespace);
        let follows = |object: &GenesysOAuthClient| {
            object.metadata.namespace == namespace
                && object.spec.rotation_policy_ref.as_ref().is_some_and(|reference| reference.name == name)
        };
        concerned.into_iter().filter(|object| follows(object)).map(|object| ObjectRef::from_obj(&*object)).collect::<Vec<_>>()
    });
    if let Scope::Namespace(namespace) = &scope {
        // Metadata only, and only ours; an install for the whole cluster watches no Secret at all and looks at each by name instead.
        let secrets: Api<Secret> = Api::namespaced(watching("the Secrets"), namespace);
        controller = controller.owns(secrets, watch::everything().labels(&format!("{MANAGED_BY_LABEL}={FIELD_MANAGER}")));
    }
    let latest = seen.clone();
    let pass = move |object: Arc<GenesysOAuthClient>, context: Arc<Context>| {
        let span = span(&object);
        let (store, wanted) = (latest.clone(), ObjectRef::from_obj(&*object));
        Box::pin(queued::in_turn(object, context, move || store.get(&wanted)).instrument(span))
            as BoxFuture<'static, Result<controller::Action, Error>>
    };
    let on_error = |object: Arc<GenesysOAuthClient>, error: &Error, context: Arc<Context>| {
        span(&object).in_scope(|| reconcile::error_policy(&object, error, &context))
    };
    let followers = &context.fleet.followers;
    controller = controller.reconcile_on(context.fleet.wakes.of(&scope));
    let passes = controller.graceful_shutdown_on(stop).run(pass, on_error, context.clone()).for_each(|result| {
        // Each version that the watch shows leads to a pass, so that policies learn of it here, after it is in the store.
        match result {
            Ok((object, _)) => note(followers, &seen, &object.name, object.namespace),
            Err(controller::Error::ObjectNotFound(object) | controller::Error::ReconcilerFailed(_, object)) => {
                note(followers, &seen, &object.name, object.namespace);
            }
            Err(controller::Error::QueueError(error)) => tracing::warn!(%error, "a watch of the clients failed; it is begun again"),
            Err(_) => {}
        }
        std::future::ready(())
    });
    let all_shown = async {
        if seen.wait_until_ready().await.is_ok() {
            followers.changed();
        }
    };
    tokio::join!(passes, all_shown);
}

fn span(object: &GenesysOAuthClient) -> Span {
    let metadata = &object.metadata;
    let (namespace, name) = (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default());
    logging::of_client(namespace, name, &object.spec.organization_ref.name)
}

/// Notes the version of an object that the watch shows, for those who count.
fn note(followers: &Followers, store: &Store<GenesysOAuthClient>, name: &str, namespace: Option<String>) {
    let namespace = namespace.unwrap_or_default();
    let shown = store.get(&ObjectRef::new(name).within(&namespace));
    followers.note(&namespace, name, shown.and_then(|object| object.metadata.resource_version.clone()));
}
