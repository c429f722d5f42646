//! How urgent a pass and its steps are to the request budget: from what was seen of the object to a class. Pure; it orders service and decides nothing else.

use std::collections::BTreeMap;

use kube::ResourceExt as _;

use super::{
    decide::published,
    moments::publication,
    observation::{Observation, current_rotation},
    plan::Step,
    status::Publication,
    timetable::{Rank, Turn, Urgency, requests},
};
use crate::{
    api::{
        GenesysOAuthClient, GenesysOAuthClientStatus,
        oauth_client::{
            DriftPolicy,
            rotation_status::{RotationStep, Trigger},
        },
    },
    genesys::Class,
};

/// The urgency of the rotation that is asked for, or under way before its credential is in force.
fn of_status(annotations: &BTreeMap<String, String>, status: &GenesysOAuthClientStatus) -> Option<Class> {
    let asked = requests(annotations, status).rotate.is_some_and(|request| request.urgency == Urgency::Emergency);
    let current = current_rotation(status).filter(|current| current.step != RotationStep::Draining);
    match current.map(|current| current.trigger) {
        _ if asked => Some(Class::Emergency),
        Some(Trigger::Emergency) => Some(Class::Emergency),
        Some(Trigger::Repair) => Some(Class::UrgentRotation),
        Some(_) => Some(Class::Create),
        None => None,
    }
}

/// The class of a pass before anything was looked at, and whether it has something to do for certain.
///
/// A pass that only looks costs no request as a rule: it does not wait behind those that do.
#[must_use]
pub fn at_the_gate(object: &GenesysOAuthClient, shown: Shown) -> (Class, Purpose) {
    let none = GenesysOAuthClientStatus::default();
    let status = object.status.as_ref().unwrap_or(&none);
    if object.metadata.deletion_timestamp.is_some() {
        return (Class::Delete, Purpose::Other);
    }
    if let Some(class) = of_status(object.annotations(), status) {
        return (class, Purpose::Other);
    }
    if status.client_id.is_none() {
        (Class::Create, Purpose::Create)
    } else if status.synced_generation != object.metadata.generation {
        (Class::Update, Purpose::Edit)
    } else if object.spec.drift_policy == DriftPolicy::Correct && (shown == Shown::Otherwise || !status.drift.is_empty()) {
        (Class::Update, Purpose::Other)
    } else {
        (Class::UrgentRotation, Purpose::Other)
    }
}

/// How the newest scan shows the published client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// As a pass saw it last, or not at all.
    AsKnown,
    /// Otherwise: somebody changed it.
    Otherwise,
}

/// What a pass is for, where a person would like to know that it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A first client.
    Create,
    /// An edit that is to be applied.
    Edit,
    /// Anything else.
    Other,
}

/// The class of the reads that a pass decides by.
#[must_use]
pub fn before_the_plan(seen: &Observation) -> Class {
    let status = seen.status();
    let granted = seen.turn == Turn::Granted;
    let urgent = seen.timetable.wish.as_ref().is_some_and(|wish| granted && matches!(wish.rank, Rank::Urgent(_)));
    let lost = seen.memory.refuted.is_some() && seen.memory.refuted == status.revision;
    match of_status(seen.object.annotations(), &status) {
        Some(class) if !urgent && !lost => class,
        Some(class) => class.min(Class::UrgentRotation),
        None if urgent || lost => Class::UrgentRotation,
        None if status.client_id.is_none() || status.intent.is_some() || granted => Class::Create,
        None => Class::Update,
    }
}

/// The class of a step's calls.
#[must_use]
pub fn of_step(step: &Step, seen: &Observation) -> Class {
    let before = before_the_plan(seen);
    let status = seen.status();
    let lost = status.revision.is_some() && published(seen).is_none();
    match step {
        _ if before == Class::Emergency => before,
        Step::Retire | Step::EnterRetirement(..) => Class::Delete,
        // What nobody waits for never goes before what somebody waits for.
        Step::Update | Step::Correct => Class::Update,
        _ if lost => before.min(Class::UrgentRotation),
        Step::Verify(_) if publication(&status) == Publication::Verified => Class::Update,
        _ => before.min(Class::Create),
    }
}
