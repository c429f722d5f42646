//! What a policy and the defaults of an organization have in common: they are judged, counted and written alike (talks to the network).

use std::{fmt::Debug, time::Duration};

use jiff::Timestamp;
use kube::{Api, Resource, ResourceExt as _, runtime::events::EventType};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::Instant;

use super::counts::{Ledger, count};
use crate::{
    api::{RotationPolicySpec, condition::Reason, fleet::FleetStatus},
    controller::{
        context::Context,
        error::Error,
        fleet::{
            counted::{Counted, Difference, difference},
            followers::{GATHER, Guide},
        },
        kubernetes::replace_status,
    },
    rotation::PolicyRefusal,
};

/// What a look at a policy showed.
#[derive(Clone, Debug, PartialEq)]
pub struct Review {
    /// How its clients stand.
    pub fleet: FleetStatus,
    /// Why it can't be followed.
    pub refusal: Option<PolicyRefusal>,
    /// When a count changes next by time alone.
    pub next_change: Option<Timestamp>,
}

/// Judges a policy and counts its clients. Reads what this process knows already.
#[must_use]
pub fn review(context: &Context, key: &str, guide: &Guide, spec: &RotationPolicySpec, recorded: &FleetStatus) -> Review {
    let (now, followers) = (context.now(), context.fleet.followers_of(guide, Instant::now()));
    let balance = count(&Ledger { key, spec, recorded, followers: followers.as_deref() }, now);
    let since = balance.fleet.effective_since.unwrap_or(now);
    let refusal = context.policies.read(key, spec, None, since).err();
    Review { fleet: balance.fleet, refusal, next_change: balance.next_change }
}

impl Review {
    /// Why scheduled rotations stand still, in words for a person.
    #[must_use]
    pub fn halt(&self) -> Option<String> {
        let since = self.fleet.halted.as_ref()?.since;
        let failed: Vec<_> = self.fleet.consecutive_failures.iter().rev().take(3).map(|failure| failure.client.as_str()).collect();
        let which = if failed.is_empty() { String::new() } else { format!(", the last ones of {}", failed.join(", ")) };
        Some(format!(
            "scheduled rotations stand still since {since}, because rotations of several clients failed in a row{which}: look at lastRotation \
             in their status, then request the rotation of one, or change the policy"
        ))
    }

    /// How long it is until a count changes by time alone, but no longer than the next look.
    #[must_use]
    pub fn again(&self, context: &Context) -> Duration {
        let resync = context.settings.resync_interval.as_duration();
        let left = self.next_change.and_then(|date| Duration::try_from(date.duration_since(context.now())).ok());
        left.map_or(resync, |left| left.clamp(Duration::from_secs(1), resync))
    }
}

/// What became of a status.
#[derive(Debug)]
pub enum Committed<K> {
    /// It stands as wished: the object as it now is.
    Done(K),
    /// Counts alone differ, and were written only just: to be tried again after this time.
    Later(Duration),
}

/// Writes a status as part of the object that was read, if something differs; counts alone at most once in a while.
pub async fn commit<K>(context: &Context, api: &Api<K>, read: &K, wished: K) -> Result<Committed<K>, Error>
where
    K: Counted + Debug + Serialize + DeserializeOwned,
{
    let uid = read.uid().unwrap_or_default();
    let now = Instant::now();
    let lately =
        || context.memory.recall(&uid).counted.map(|at| (at + GATHER).saturating_duration_since(now)).filter(|left| !left.is_zero());
    match (difference(read, &wished), lately()) {
        (Difference::None, _) => return Ok(Committed::Done(wished)),
        (Difference::Counts, Some(left)) => return Ok(Committed::Later(left)),
        (Difference::Counts | Difference::Substance, _) => {}
    }
    let mut wished = wished;
    wished.meta_mut().managed_fields = None;
    let written = replace_status(api, &wished).await?;
    context.memory.remember(&uid, |memory| memory.counted = Some(now));
    Ok(Committed::Done(written))
}

/// Events where a policy came to a halt, or goes on.
pub async fn tell_turns<K: Resource<DynamicType = ()>>(context: &Context, object: &K, before: Option<&FleetStatus>, review: &Review) {
    let was_halted = before.is_some_and(|before| before.halted.is_some());
    match (was_halted, review.halt()) {
        (false, Some(why)) => {
            tracing::warn!(reason = Reason::Halted.as_str(), note = %why, "a person must act");
            context.events.publish(object, EventType::Warning, Reason::Halted.as_str(), &why).await;
        }
        (true, None) => {
            tracing::info!("scheduled rotations go on");
            context.events.publish(object, EventType::Normal, "RotationsGoOn", "scheduled rotations go on").await;
        }
        _ => {}
    }
}
