//! Which rotation policy applies to an object, as one value. Pure: what was read comes in, nothing is decided.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::{
    api::{
        GenesysOAuthClient, GenesysOAuthClientStatus, GenesysOrganization, GenesysRotationPolicy,
        condition::whole_second,
        duration::UnitDuration,
        fleet::FleetStatus,
        oauth_client::{
            Effective, GrantType,
            rotation_status::{IssuedBy, RotationStatus},
        },
        rotation_policy::{RotationPolicySpec, RotationStrategy},
    },
    controller::fleet::Policies,
    rotation::{Dates, Issue, Policy, dates, next_three},
};

/// Which rotation policy applies.
#[derive(Clone, Debug, Default)]
pub enum PolicyView {
    /// None: the object rotates on request alone.
    #[default]
    None,
    /// The one that the object names is absent, or was not looked at since its last change.
    NotReady(String),
    /// The policy is one that can't be followed: the object rotates on request alone.
    Unsound(String),
    /// This one.
    Applies(Box<Applied>),
}

/// A policy that applies.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Its kind, name and uid: what makes it another policy.
    pub key: String,
    /// Name for people.
    pub title: String,
    /// What it says.
    pub policy: Policy,
    /// When its interval or maxAge last changed.
    pub effective_since: Timestamp,
    /// Since when its scheduled rotations stand still.
    pub halted: Option<Timestamp>,
}

/// A policy object as it was read for the object that names it.
#[must_use]
pub fn named(
    policies: &Policies,
    name: &str,
    found: Option<&GenesysRotationPolicy>,
    organization: Option<&GenesysOrganization>,
) -> PolicyView {
    let title = format!("GenesysRotationPolicy {name:?}");
    let Some(policy) = found else {
        return PolicyView::NotReady(format!("{title} does not exist: create it, or correct spec.rotationPolicyRef"));
    };
    let fleet = policy.status.as_ref().map(|status| &status.fleet);
    let seen = policy.status.as_ref().is_some_and(|status| status.observed_generation == policy.metadata.generation);
    view(policies, key_of_policy(policy), title, &policy.spec, fleet.filter(|_| seen), organization)
}

/// The defaults of an organization, for objects that name no policy.
#[must_use]
pub fn defaults(policies: &Policies, organization: &GenesysOrganization) -> PolicyView {
    let Some(spec) = &organization.spec.rotation_defaults else { return PolicyView::None };
    let name = organization.metadata.name.as_deref().unwrap_or_default();
    let fleet = organization.status.as_ref().and_then(|status| status.rotation.as_ref());
    let seen = organization.status.as_ref().is_some_and(|status| status.observed_generation == organization.metadata.generation);
    view(
        policies,
        key_of_defaults(organization),
        format!("rotationDefaults of GenesysOrganization {name:?}"),
        spec,
        fleet.filter(|_| seen),
        Some(organization),
    )
}

/// What objects record of the policy that they follow: its kind, name and uid.
#[must_use]
pub fn key_of_policy(policy: &GenesysRotationPolicy) -> String {
    key("GenesysRotationPolicy", &policy.metadata)
}

/// The same of the defaults of an organization.
#[must_use]
pub fn key_of_defaults(organization: &GenesysOrganization) -> String {
    key("GenesysOrganization", &organization.metadata)
}

fn key(kind: &str, metadata: &ObjectMeta) -> String {
    format!("{kind}/{}/{}", metadata.name.as_deref().unwrap_or_default(), metadata.uid.as_deref().unwrap_or_default())
}

fn view(
    policies: &Policies,
    key: String,
    title: String,
    spec: &RotationPolicySpec,
    fleet: Option<&FleetStatus>,
    organization: Option<&GenesysOrganization>,
) -> PolicyView {
    let Some((fleet, effective_since)) = fleet.and_then(|fleet| Some((fleet, fleet.effective_since?))) else {
        return PolicyView::NotReady(format!("{title} was not looked at since its last change"));
    };
    match policies.read(&key, spec, greatest_age(organization), effective_since) {
        Ok(policy) => {
            let halted = fleet.halted.as_ref().map(|halt| halt.since);
            PolicyView::Applies(Box::new(Applied { key, title, policy, effective_since, halted }))
        }
        Err(refusal) => PolicyView::Unsound(format!("{title} can't be followed: {refusal}")),
    }
}

/// The greatest age that an organization allows.
#[must_use]
pub fn greatest_age(organization: Option<&GenesysOrganization>) -> Option<Duration> {
    organization?.spec.max_credential_age.as_ref()?.parse().ok().map(UnitDuration::as_duration)
}

impl PolicyView {
    /// All of it in words that change with it.
    #[must_use]
    pub fn told(&self) -> String {
        match self {
            Self::None => String::new(),
            Self::NotReady(why) | Self::Unsound(why) => why.clone(),
            Self::Applies(applied) => {
                format!("{} since {} {:?} {:?}", applied.key, applied.effective_since, applied.halted, applied.policy.effective())
            }
        }
    }

    /// The policy that applies.
    #[must_use]
    pub fn applied(&self) -> Option<&Applied> {
        match self {
            Self::Applies(applied) => Some(applied),
            _ => None,
        }
    }

    /// How an object rotates: as its policy says, but a client of SCIM, whose tokens live for 450 days, only in place.
    #[must_use]
    pub fn strategy(&self, object: &GenesysOAuthClient) -> RotationStrategy {
        self.rules(object).strategy
    }

    /// Shows in status what applies; while that can't be known, what applied.
    pub fn show(&self, object: &GenesysOAuthClient, before: Option<&Effective>, effective: &mut Effective) {
        if let (Self::NotReady(_), Some(before)) = (self, before) {
            effective.rotation_policy.clone_from(&before.rotation_policy);
            effective.strategy = before.strategy;
            effective.max_age.clone_from(&before.max_age);
            effective.warn_before.clone_from(&before.warn_before);
        }
        let Some(applied) = self.applied() else { return };
        effective.rotation_policy = Some(applied.title.clone());
        effective.strategy = Some(self.strategy(object));
        let durations = applied.policy.effective();
        effective.max_age = durations.as_ref().map(|durations| durations.max_age.clone());
        effective.warn_before = durations.map(|durations| durations.warn_before.clone());
    }

    /// The rules by which a rotation goes, also one that is asked for where no policy applies.
    #[must_use]
    pub fn rules(&self, object: &GenesysOAuthClient) -> Policy {
        let rules = self.applied().map_or_else(Policy::on_request, |applied| applied.policy.clone());
        // No second Implicit client can be made: what repairs one is a reset.
        let in_place = object.spec.scim || object.spec.grant_type == GrantType::Implicit;
        if in_place { rules.regenerating() } else { rules }
    }
}

/// Writes down which policy applies since when, and the dates that follow from it.
pub fn keep_books(status: &mut GenesysOAuthClientStatus, view: &PolicyView, identity: &str, now: Timestamp) {
    match view {
        PolicyView::NotReady(_) => return,
        PolicyView::None | PolicyView::Unsound(_) => {
            if let Some(rotation) = &mut status.rotation {
                rotation.policy = None;
                rotation.policy_since = None;
                rotation.next.clear();
                rotation.expires_at = None;
            }
            return;
        }
        PolicyView::Applies(applied) => {
            let rotation = status.rotation.get_or_insert_with(RotationStatus::default);
            // Another greatest age is another policy: what it makes due is spread too. The policy's own changes it notes itself.
            let known = status.effective.as_ref().and_then(|effective| effective.max_age.as_ref());
            let age = applied.policy.effective().map(|effective| effective.max_age);
            let changed = known.is_some_and(|known| age.as_ref() != Some(known));
            if rotation.policy.as_ref() != Some(&applied.key) || rotation.policy_since.is_none() || changed {
                rotation.policy = Some(applied.key.clone());
                rotation.policy_since = Some(whole_second(now));
            }
        }
    }
    let dates = dates_of(status, view, identity);
    let next = next_of(status, view, identity);
    if let Some(rotation) = &mut status.rotation {
        rotation.expires_at = dates.map(|dates| dates.expires_at);
        rotation.next = next;
    }
}

fn issue<'a>(status: &GenesysOAuthClientStatus, applied: &Applied, identity: &'a str) -> Option<Issue<'a>> {
    status.revision?;
    let rotation = status.rotation.as_ref()?;
    let since = rotation.policy_since?;
    Some(Issue {
        issued_at: status.issued_at.unwrap_or(since),
        by_rotation: rotation.issued_by == Some(IssuedBy::Rotation),
        identity,
        spread_from: Some(since.max(applied.effective_since)),
    })
}

/// The dates of the published credential, by what status records.
#[must_use]
pub fn dates_of(status: &GenesysOAuthClientStatus, view: &PolicyView, identity: &str) -> Option<Dates> {
    let applied = view.applied()?;
    Some(dates(applied.policy.schedule.as_ref()?, &issue(status, applied, identity)?))
}

fn next_of(status: &GenesysOAuthClientStatus, view: &PolicyView, identity: &str) -> Vec<Timestamp> {
    let next = || {
        let applied = view.applied()?;
        Some(next_three(applied.policy.schedule.as_ref()?, &issue(status, applied, identity)?))
    };
    next().iter().flatten().map(|dates| whole_second(dates.rotate_at)).collect()
}
