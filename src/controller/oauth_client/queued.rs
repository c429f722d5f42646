//! A pass that waits for its organization's gate (talks to the network): says in the conditions that it waits, and until when about. Asks nothing of the platform.

use std::{convert::Infallible, sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::{ResourceExt as _, runtime::controller::Action};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::{
    class::{Purpose, Shown, at_the_gate},
    pass::Pass,
    reconcile::reconcile,
    status::{Delay, Moment},
};
use crate::{
    api::GenesysOAuthClient,
    controller::{
        context::Context,
        error::Error,
        gate::{Closed, Kept, Outside, Place},
        kubernetes::full_name,
        sessions::Standing,
    },
    genesys::{Class, Work},
    observability::{metrics::passes::Controller, traces},
};

/// How long a pass waits before it is worth a word.
const WORTH_A_WORD: Duration = Duration::from_secs(10);
/// How often a pass that waits looks whether its object became more urgent.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// The calls of a pass, about: a create needs one, an update and a delete two.
const CALLS: usize = 2;

/// A pass, when its organization's gate lets it in. It works the object as it is then.
pub async fn in_turn(
    object: Arc<GenesysOAuthClient>,
    context: Arc<Context>,
    latest: impl Fn() -> Option<Arc<GenesysOAuthClient>>,
) -> Result<Action, Error> {
    let notice = |object: &GenesysOAuthClient| {
        context.memory.notice(&full_name(object), &object.uid().unwrap_or_default(), Instant::now());
    };
    notice(&object);
    let organization = &object.spec.organization_ref.name;
    let (class, purpose) = at_the_gate(&object, shown(&object, &context));
    let work = Work::new(class, &object.namespace().unwrap_or_default());
    let entered = match context.gates.enter(organization, &work) {
        Ok(place) => Ok(place),
        Err(Kept::Closed) => Err(Closed),
        Err(Kept::Outside(mut outside)) => {
            let ahead = outside.ahead;
            let wait = async {
                tokio::select! {
                    biased;
                    place = &mut outside => place,
                    () = announce(&object, &context, &work, purpose, ahead) => until_let_in(outside, &context, work, &latest).await,
                }
            };
            wait.instrument(traces::of_wait()).await
        }
    };
    let object = latest().unwrap_or(object);
    // Meanwhile another one may have taken its name.
    notice(&object);
    let _place = match entered {
        Ok(place) => Some(place),
        Err(Closed) if holds_a_secret(&object, &context) => None,
        // No pass begins any more: the next process looks at every object at its start.
        Err(Closed) => return Ok(Action::await_change()),
    };
    // Made only now: a pass is large, and thousands may wait.
    let pass = context.metrics.passes.timed(Controller::OAuthClient, Box::pin(reconcile(object, context.clone())));
    tokio::select! {
        biased;
        result = pass => result,
        never = hasten(&context, &latest) => match never {},
    }
}

/// Whether this process alone knows a secret of the object: storing it is the one thing that no other process can do.
fn holds_a_secret(object: &GenesysOAuthClient, context: &Context) -> bool {
    context.memory.look(&object.uid().unwrap_or_default(), |memory| memory.is_some_and(|memory| memory.held.is_some()))
}

/// As long as a pass is under way whose object got an emergency meanwhile, its calls go before all others: the emergency's own pass comes after it.
async fn hasten(context: &Context, latest: &impl Fn() -> Option<Arc<GenesysOAuthClient>>) -> Infallible {
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        let Some(object) = latest() else { continue };
        if at_the_gate(&object, Shown::AsKnown).0 != Class::Emergency {
            continue;
        }
        let urgency = context.memory.look(&object.uid().unwrap_or_default(), |memory| memory?.urgency.clone());
        if urgency.is_some_and(|urgency| urgency.raise(Class::Emergency))
            && let Standing::Ready(session) = context.sessions.standing(&object.spec.organization_ref.name)
        {
            session.platform.budget().reorder();
        }
    }
}

/// How the newest scan shows the object's client, for a pass that was not let in yet.
fn shown(object: &GenesysOAuthClient, context: &Context) -> Shown {
    let Standing::Ready(session) = context.sessions.standing(&object.spec.organization_ref.name) else { return Shown::AsKnown };
    let (Some(snapshot), Some(id)) = (session.snapshot(), object.status.as_ref().and_then(|status| status.client_id.as_ref())) else {
        return Shown::AsKnown;
    };
    let window = context.settings.consistency_window.as_duration();
    let known = context.memory.look(&object.uid().unwrap_or_default(), |memory| {
        memory.filter(|memory| snapshot.counts(memory, id, window)).and_then(|memory| memory.sights.get(id)?.print)
    });
    match (known, snapshot.get(id)) {
        (Some(known), Some((_, print))) if known != print => Shown::Otherwise,
        _ => Shown::AsKnown,
    }
}

/// Waits outside, and goes before others as soon as the object has something more urgent: an emergency, a deletion.
async fn until_let_in(
    mut outside: Outside,
    context: &Context,
    mut work: Work,
    latest: &impl Fn() -> Option<Arc<GenesysOAuthClient>>,
) -> Result<Place, Closed> {
    loop {
        tokio::select! {
            biased;
            place = &mut outside => return place,
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
        let Some(object) = latest() else { continue };
        let (class, _) = at_the_gate(&object, shown(&object, context));
        if class < work.urgency.class() {
            work = Work::new(class, &work.namespace);
            match context.gates.enter(&object.spec.organization_ref.name, &work) {
                Ok(place) => return Ok(place),
                Err(Kept::Outside(further)) => outside = further,
                Err(Kept::Closed) => return Err(Closed),
            }
        }
    }
}

async fn announce(object: &GenesysOAuthClient, context: &Context, work: &Work, purpose: Purpose, ahead: usize) {
    let held = context.memory.recall(&object.uid().unwrap_or_default()).hold.is_some();
    if object.spec.suspend || held {
        return;
    }
    let Standing::Ready(session) = context.sessions.standing(&object.spec.organization_ref.name) else { return };
    let wait = session.platform.budget().wait_behind(work, ahead.saturating_mul(CALLS));
    if wait <= WORTH_A_WORD || session.platform.budget().outage().is_some() {
        return;
    }
    let message = words(ahead, session.platform.now().unwrap_or_else(|| context.now()), wait);
    let moment = match purpose {
        Purpose::Create => Moment::WaitingForBudget(message),
        Purpose::Edit => Moment::Updating(Delay::Budget, message),
        Purpose::Other => return,
    };
    // Whatever keeps this from being written: the pass itself comes, and says more.
    let mut pass = Pass::new(context, object);
    if pass.needs_a_person() {
        return;
    }
    if let Err(error) = pass.announce(moment).await {
        tracing::debug!(%error, "the wait could not be announced");
    }
}

fn words(ahead: usize, now: Timestamp, wait: Duration) -> String {
    let expected = crate::genesys::minute_after(now, wait).map_or_else(String::new, |at| format!(", expected at {at:.0}"));
    format!("waiting for the request budget behind {ahead} others{expected}")
}
