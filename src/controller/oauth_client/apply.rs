//! Carries out a plan, step by step (talks to the network). Each step may be run again from the start; the first that fails ends the pass.

use tracing::Instrument as _;

use super::{
    adopt, class, correct, mint,
    observation::Observation,
    overlap,
    pass::Pass,
    plan::{Again, Plan, Step},
    publish, retire, rotate, rotation_end, rotation_store,
    status::Moment,
    update, verify,
};
use crate::{api::GenesysOAuthClientStatus, controller::error::Error};

/// Carries out a plan. Afterwards the pass knows where the object stands and when the next pass is due.
pub async fn apply(pass: &mut Pass<'_>, seen: &mut Observation, plan: &Plan) -> Result<(), Error> {
    let mut moment = None;
    let mut again = Again::AtResync;
    for step in &plan.steps {
        pass.moment.clone_from(&plan.moment);
        pass.again = Again::AtResync;
        seen.work_as(class::of_step(step, seen), &pass.context.memory);
        run(pass, seen, step).instrument(tracing::error_span!("step", reason = step.name())).await?;
        again = again.or(pass.again);
        let said = pass.moment.take().filter(|said| plan.moment.as_ref() != Some(said));
        // The words of the first step that has some; but what needs a person comes first.
        if moment.is_none() || matches!(said, Some(Moment::Stalled(..))) {
            moment = said.or(moment);
        }
    }
    let silent = plan.steps.is_empty();
    let standing = plan.moment.clone().filter(|standing| silent || matches!(standing, Moment::Stalled(..)));
    pass.moment = moment.or(standing);
    pass.again = if again == Again::AtResync { plan.again } else { again };
    Ok(())
}

async fn run(pass: &mut Pass<'_>, seen: &Observation, step: &Step) -> Result<(), Error> {
    match step {
        Step::Publish(credential) => publish::publish(pass, seen, credential, adopt::freshness(seen)).await,
        Step::Finish(credential, name) => publish::finish(pass, seen, credential, name, adopt::freshness(seen)).await,
        Step::Own { nonces, published } => own(pass, seen, nonces, published.as_ref()).await,
        Step::EnterRetirement(ids, state) => retire::enter(pass, ids, *state).await,
        Step::Mint(wanted) => mint::mint(pass, seen, wanted).await,
        Step::Adopt(adopting) => adopt::adopt(pass, seen, adopting).await,
        Step::Update => update::update(pass, seen).await,
        Step::Correct => correct::correct(pass, seen).await,
        Step::StoreSecret(credential) => publish::store_again(pass, seen, credential).await,
        Step::DropFormerSecret => publish::drop_former(pass, seen, seen.now, usize::MAX).await,
        Step::Verify(credential) => verify::verify(pass, seen, credential).await,
        Step::Rotate => rotate::advance(pass, seen).await,
        Step::Abort(value) => rotation_end::abort(pass, seen, value).await,
        Step::Abandon => rotation_end::abandon(pass, seen).await,
        Step::Escalate(value) => rotation_end::escalate(pass, seen, value).await,
        Step::Decline(declined) => rotation_end::decline(pass, seen, declined).await,
        Step::Follow(credential) => overlap::follow(pass, seen, credential).await,
        Step::DropRotationSecret => rotation_store::remove_leftover(pass, seen).await,
        Step::Retire => retire::retire(pass, seen).await,
    }
}

/// Writes down the clients that this object finds again after its status was lost.
async fn own(
    pass: &mut Pass<'_>,
    seen: &Observation,
    nonces: &[String],
    published: Option<&crate::secret::Credential>,
) -> Result<(), Error> {
    let known = |status: &GenesysOAuthClientStatus, nonce: &String| status.issued_nonces.contains(nonce);
    for nonce in nonces {
        if !known(&pass.status, nonce) {
            pass.status.issued_nonces.push(nonce.clone());
        }
    }
    pass.commit_status().await?;
    match published {
        Some(credential) => publish::finish(pass, seen, credential, seen.object.secret_name(), adopt::freshness(seen)).await,
        None => Ok(()),
    }
}
