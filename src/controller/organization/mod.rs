//! The controller of `GenesysOrganization`: wires watches to passes, keeps the sessions. Decides nothing.

pub mod defaults;
pub mod findings;
pub mod inventory;
pub mod pin;
pub mod preflight;
pub mod reconcile;
pub mod status;
pub mod survey;
pub mod takeover;
pub mod usage;
pub mod usage_survey;
pub mod verdict;

use std::sync::Arc;

use futures::{StreamExt as _, future::BoxFuture, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::{controller, reflector::ObjectRef},
};
use tracing::{Instrument as _, Span};

use super::{Clients, Stop, context::Context, error::Error, watch};
use crate::{
    api::GenesysOrganization,
    observability::{logging, metrics::passes::Controller as Kind},
};

/// Runs the controller until `stop` resolves and the passes under way are done.
pub async fn run(clients: &Clients, context: Arc<Context>, stop: Stop) {
    let api: Api<DeserializeGuard<GenesysOrganization>> = Api::all(context.pulse.watching(&clients.watches, "the organizations"));
    let mut selected = watch::everything();
    if let Some(selector) = &context.settings.organizations {
        selected = selected.labels(selector);
    }
    // Without a limit: an organization that hangs must not keep another one waiting.
    let controller = watch::controller(api, selected, &context);
    let store = controller.store();
    context.metrics.add_organizations(store.clone());
    // The operator's own namespace, metadata only: a corrected credential is seen at once.
    let secrets: Api<PartialObjectMeta<Secret>> =
        Api::namespaced(context.pulse.watching(&clients.watches, "the credentials of organizations"), &context.settings.operator_namespace);
    let by_secret = store.clone();
    let doubting = context.clone();
    let doubts = stream::unfold(doubting, |context| async move {
        context.sessions.doubted().await;
        Some(((), context))
    });
    let scanning = context.clone();
    let surveys = stream::unfold(scanning, |context| async move {
        context.sessions.survey_ended().await;
        Some(((), context))
    });
    let pass = |object: Arc<GenesysOrganization>, context: Arc<Context>| {
        let span = span(&object);
        let metrics = context.metrics.clone();
        let timed = async move { metrics.passes.timed(Kind::Organization, Box::pin(reconcile::reconcile(object, context))).await };
        Box::pin(timed.instrument(span)) as BoxFuture<'static, Result<controller::Action, Error>>
    };
    let on_error = |object: Arc<GenesysOrganization>, error: &Error, context: Arc<Context>| {
        span(&object).in_scope(|| reconcile::error_policy(&object, error, &context))
    };
    let passes = controller
        .watches(secrets, watch::everything(), move |secret| {
            let name = secret.metadata.name.unwrap_or_default();
            let uses = by_secret.state().into_iter().filter(|object| object.spec.credentials_secret_ref.name == name);
            uses.map(|object| ObjectRef::from_obj(&*object)).collect::<Vec<_>>()
        })
        .reconcile_all_on(doubts)
        .reconcile_all_on(surveys)
        .reconcile_all_on(context.fleet.followers.recounts())
        .graceful_shutdown_on(stop)
        .run(pass, on_error, context.clone());
    passes
        .for_each(|result| {
            let context = context.clone();
            let gone = match &result {
                Err(controller::Error::ObjectNotFound(object)) => Some(object.name.clone()),
                _ => None,
            };
            async move {
                match (gone, result) {
                    (Some(name), _) => {
                        context.sessions.forget(&name);
                        context.metrics.calls.forget(&name);
                    }
                    (None, Err(controller::Error::QueueError(error))) => {
                        tracing::warn!(%error, "a watch of the organizations failed; it is begun again");
                    }
                    _ => {}
                }
            }
        })
        .await;
}

fn span(object: &GenesysOrganization) -> Span {
    logging::of_organization(object.metadata.name.as_deref().unwrap_or_default())
}
