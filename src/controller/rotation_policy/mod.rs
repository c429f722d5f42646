//! The controller of `GenesysRotationPolicy`: wires watches to passes. Decides nothing.
//!
//! | file | what it holds |
//! |---|---|
//! | [`reconcile`] | one pass over a policy (I/O) |
//! | [`review`] | what a policy and an organization's `rotationDefaults` have in common (I/O) |
//! | [`counts`] | how the clients stand, counted from their status (pure) |
//! | [`status`] | the conditions of a policy (pure) |

pub mod counts;
pub mod reconcile;
pub mod review;
pub mod status;

use std::sync::Arc;

use futures::{StreamExt as _, future::BoxFuture};
use kube::runtime::controller;
use tracing::{Instrument as _, Span};

use super::{Clients, Stop, context::Context, error::Error, oauth_client::Scope, watch};
use crate::{
    api::GenesysRotationPolicy,
    observability::{logging, metrics::passes::Controller as Kind},
};

/// Runs the controller of a scope until `stop` resolves and the passes under way are done.
pub async fn run(clients: &Clients, context: Arc<Context>, scope: Scope, stop: Stop) {
    let pass = |object: Arc<GenesysRotationPolicy>, context: Arc<Context>| {
        let span = span(&object);
        let metrics = context.metrics.clone();
        let timed = async move { metrics.passes.timed(Kind::RotationPolicy, Box::pin(reconcile::reconcile(object, context))).await };
        Box::pin(timed.instrument(span)) as BoxFuture<'static, Result<controller::Action, Error>>
    };
    let on_error = |object: Arc<GenesysRotationPolicy>, error: &Error, context: Arc<Context>| {
        span(&object).in_scope(|| reconcile::error_policy(&object, error, &context))
    };
    let watches = context.pulse.watching(&clients.watches, &format!("the rotation policies{scope}"));
    let controller = watch::controller(watch::of_scope(&watches, &scope), watch::everything(), &context);
    context.metrics.add_policies(controller.store());
    controller
        .with_config(controller::Config::default().concurrency(4))
        .reconcile_all_on(context.fleet.followers.recounts())
        .graceful_shutdown_on(stop)
        .run(pass, on_error, context)
        .for_each(|result| async move {
            if let Err(controller::Error::QueueError(error)) = result {
                tracing::warn!(%error, "a watch of the rotation policies failed; it is begun again");
            }
        })
        .await;
}

fn span(object: &GenesysRotationPolicy) -> Span {
    let metadata = &object.metadata;
    logging::of_policy(metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default())
}
