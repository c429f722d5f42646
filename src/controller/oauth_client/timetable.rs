//! When an object's credential is to be rotated, who asks for it, and what that waits for. Pure: status, policy and annotations in, a wish out.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    decide::rotate::could_begin,
    observation::current_rotation,
    policy::{PolicyView, dates_of},
};
use crate::{
    api::{
        GenesysOAuthClient, GenesysOAuthClientStatus,
        condition::{Reason, whole_second},
        oauth_client::{
            DesiredState,
            rotation_status::{RotationResult, Trigger},
        },
    },
    rotation::{self, Dates},
};

/// Annotation by which a person asks for a rotation: a token of their choice, with `/Emergency` for the end of the old credential at once.
pub const ROTATE_ANNOTATION: &str = "oauth.genesys-operator.io/rotate";
/// Annotation by which a person takes the rotation under way back: a token of their choice.
pub const ABORT_ANNOTATION: &str = "oauth.genesys-operator.io/abort";
/// The ending of a token that makes a request an emergency.
const EMERGENCY: &str = "/Emergency";
/// The longest value of a request's annotation; a longer one is cut.
const LONGEST_REQUEST: usize = 256;

/// What people ask for that was not handled yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// A rotation.
    pub rotate: Option<Request>,
    /// The end of the rotation that is under way: the value of the annotation.
    pub abort: Option<String>,
}

/// A request to rotate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The value of the annotation, by which it is known as handled.
    pub value: String,
    /// The token in it.
    pub token: String,
    /// Whether the old credential is to end at once.
    pub urgency: Urgency,
}

/// The token in the value of a request's annotation.
#[must_use]
pub fn token_of(value: &str) -> String {
    value.strip_suffix(EMERGENCY).unwrap_or(value).to_owned()
}

/// How urgent a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// The old credential works on through the overlap.
    Usual,
    /// The old credential ends at once.
    Emergency,
}

/// What people ask of an object that was not handled yet.
#[must_use]
pub fn requests(annotations: &BTreeMap<String, String>, status: &GenesysOAuthClientStatus) -> Requests {
    let value = |name: &str, handled: &Option<String>| {
        let value: String = annotations.get(name)?.trim().chars().take(LONGEST_REQUEST).collect();
        (!value.is_empty() && Some(&value) != handled.as_ref()).then_some(value)
    };
    let rotate = value(ROTATE_ANNOTATION, &status.last_handled_rotate_request).map(|value| {
        let urgency = if value.ends_with(EMERGENCY) { Urgency::Emergency } else { Urgency::Usual };
        Request { token: token_of(&value), value, urgency }
    });
    Requests { rotate, abort: value(ABORT_ANNOTATION, &status.last_handled_abort_request) }
}

/// The place of a rotation among those that wait: emergencies, then requests, then urgent ones by their deadline, then by their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// A person asked for it.
    Requested(Timestamp),
    /// Windows and jitter no longer hold; by the deadline.
    Urgent(Timestamp),
    /// By the time at which it became due.
    Due(Timestamp),
}

/// A rotation that is wished now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Why.
    pub trigger: Trigger,
    /// Its place among those that wait.
    pub rank: Rank,
}

/// When the credential is to be rotated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timetable {
    /// The dates, where a policy gives some.
    pub dates: Option<Dates>,
    /// The rotation that is wished now.
    pub wish: Option<Wish>,
    /// Why a rotation that is due or asked for is not even wished.
    pub why_not: Option<(Reason, String)>,
    /// When there is something new to see: the next date ahead.
    pub next_look: Option<Timestamp>,
}

/// Whether a rotation may start, where others rotate too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Turn {
    /// Nobody asked.
    #[default]
    NotAsked,
    /// It may.
    Granted,
    /// So many come first.
    Waits(usize),
}

/// The timetable of an object.
#[must_use]
pub fn timetable(object: &GenesysOAuthClient, view: &PolicyView, requests: &Requests, identity: &str, now: Timestamp) -> Timetable {
    let empty = GenesysOAuthClientStatus::default();
    let status = object.status.as_ref().unwrap_or(&empty);
    let dates = dates_of(status, view, identity).filter(|_| object.can_rotate());
    let mut table = Timetable { dates, ..Timetable::default() };
    if let (Some(dates), Some(schedule)) = (dates, view.applied().and_then(|applied| applied.policy.schedule.as_ref())) {
        table.next_look = dates.next_change(schedule, now);
    }
    let at_work = current_rotation(status).is_some() || status.client_id.is_none() || status.revision.is_none();
    let resting = object.spec.state == DesiredState::Inactive || status.applied_state == Some(DesiredState::Inactive);
    if !object.can_rotate() || at_work || resting {
        if resting && requests.rotate.is_some() {
            let message = "the rotation that was asked for waits until spec.state is Active".to_owned();
            table.why_not = Some((Reason::Idle, message));
        }
        return table;
    }
    table.why_not = ended(status, now);
    let applied = view.applied();
    if let Some(request) = &requests.rotate {
        if request.urgency == Urgency::Usual && applied.is_some_and(|applied| applied.policy.suspended) {
            table.why_not = Some((Reason::Suspended, "the rotation policy is suspended: no rotation starts until it is not".to_owned()));
            return table;
        }
        let trigger = match request.urgency {
            Urgency::Usual => Trigger::Request,
            Urgency::Emergency => Trigger::Emergency,
        };
        table.wish = Some(Wish { trigger, rank: Rank::Requested(status.issued_at.unwrap_or(now)) });
        if !could_begin(object) {
            let message = "the rotation that was asked for waits: an edit is applied first, or a former client still works".to_owned();
            table.why_not = Some((Reason::WaitingForTurn, message));
        }
        return table;
    }
    let (Some(applied), Some(dates)) = (applied, dates) else { return table };
    let Some(schedule) = &applied.policy.schedule else { return table };
    let turn = dates.standing(schedule, now).turn;
    if turn == rotation::Turn::NotDue {
        return table;
    }
    let rotation = status.rotation.clone().unwrap_or_default();
    if applied.policy.suspended {
        table.why_not = Some((Reason::Suspended, format!("{} is suspended: no rotation starts until it is not", applied.title)));
    } else if let Some(since) = applied.halted {
        let message = format!(
            "{} stands still since {}, because rotations of several clients failed in a row: look at them, then request the rotation of one",
            applied.title,
            whole_second(since)
        );
        table.why_not = Some((Reason::Halted, message));
    } else if let Some(again) = rotation.retry_at.map(|retry| retry_time(retry, status, &dates)).filter(|again| now < *again) {
        table.why_not = said(status, again);
        table.next_look = Some(table.next_look.map_or(again, |next| next.min(again)));
    } else if turn == rotation::Turn::WaitingForWindow {
        let opens = schedule.windows.next_open(now).map_or(dates.force_at, |opens| opens.min(dates.force_at));
        let message = format!("the rotation is due, and starts in the window that opens at {}", whole_second(opens));
        table.why_not = Some((Reason::WaitingForWindow, message));
    } else {
        let rank = if turn == rotation::Turn::Urgent { Rank::Urgent(dates.expires_at) } else { Rank::Due(dates.rotate_at) };
        table.wish = Some(Wish { trigger: Trigger::Schedule, rank });
    }
    table
}

/// What is to be said of a rotation that failed or was taken back, until the next scheduled one may start.
fn ended(status: &GenesysOAuthClientStatus, now: Timestamp) -> Option<(Reason, String)> {
    let again = status.rotation.as_ref()?.retry_at.filter(|again| now < *again)?;
    said(status, again)
}

fn said(status: &GenesysOAuthClientStatus, again: Timestamp) -> Option<(Reason, String)> {
    let last = status.last_rotation.as_ref()?;
    let (reason, what) = match last.result {
        RotationResult::Aborted => (Reason::Aborted, "was taken back"),
        RotationResult::Failed => (Reason::Failed, "failed"),
        RotationResult::Succeeded | RotationResult::Refused => return None,
    };
    Some((
        reason,
        format!("the last rotation {what} ({}); a scheduled one starts after {} at the earliest", last.message, whole_second(again)),
    ))
}

/// When a rotation is tried again that failed or was taken back: at its own time, but at the latest when it becomes urgent.
fn retry_time(retry: Timestamp, status: &GenesysOAuthClientStatus, dates: &Dates) -> Timestamp {
    let was_urgent = status.last_rotation.as_ref().is_none_or(|last| last.finished_at >= dates.force_at);
    if was_urgent { retry } else { retry.min(dates.force_at) }
}
