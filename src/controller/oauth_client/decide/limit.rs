//! How often an object may ask for a secret: the plan that does, and what holds it back. Pure.

use std::time::Duration;

use crate::{
    api::condition::{Reason, whole_second},
    controller::oauth_client::{
        observation::Observation,
        plan::{AdoptedBy, Again, Counts, Mint, MintCall, Plan, Step},
        status::Moment,
    },
};

/// How many creates and resets an object may ask for within an hour.
const MINTS_AN_HOUR: usize = 3;

/// A plan that asks for a secret that nothing was asked for before.
pub(super) fn mint_anew(seen: &Observation, call: MintCall, message: &str) -> Plan {
    let mint = Mint { call, revision: seen.highest_revision() + 1, attempt: 1, counts: Counts::Anew, rotation: None };
    limited(seen, Plan::steps(vec![Step::Mint(mint)], Some(Moment::Creating(message.to_owned())), Again::After(seen.times.roles)))
}

/// Holds a plan back that would ask for a fourth secret within an hour.
pub(super) fn limited(seen: &Observation, plan: Plan) -> Plan {
    let hour = jiff::SignedDuration::from_hours(1);
    let recent: Vec<_> = seen.status().mints.into_iter().filter(|time| seen.now.duration_since(*time) < hour).collect();
    let asks = plan.steps.iter().any(|step| match step {
        Step::Mint(mint) => mint.counts == Counts::Anew,
        Step::Adopt(adopting) => matches!(adopting.by, AdoptedBy::Reset),
        _ => false,
    });
    let Some(first) = recent.iter().min().filter(|_| asks && recent.len() >= MINTS_AN_HOUR) else { return plan };
    let free_at = first.checked_add(hour).unwrap_or(seen.now);
    let message = format!(
        "{MINTS_AN_HOUR} secrets were issued for this object within an hour, so something spoils them: find out what; the next one is issued after {}",
        whole_second(free_at)
    );
    let wait = Duration::try_from(free_at.duration_since(seen.now)).unwrap_or(Duration::from_secs(60));
    Plan::wait(Moment::Stalled(Reason::MintLimit, message), Again::After(wait.min(seen.times.resync)))
}
