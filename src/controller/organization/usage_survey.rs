//! Asks the platform after the usage of an organization's clients, one at a time and only while nobody else wants anything (talks to the network, reads
//! only). What it finds out is lost with the process, without harm.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::SignedDuration;
use kube::ResourceExt as _;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::{
    pin::{self, Pinned, pinned},
    usage::{Answers, Use, subjects},
};
use crate::{
    api::{
        GenesysOrganization,
        inventory::{Inventory, UsageQueries},
    },
    controller::{
        context::Context,
        sessions::{Session, Standing},
    },
    genesys::{self, Class, ErrorClass, Work},
    observability::logging,
};

/// At most one client is asked after in such a time.
const PACE: Duration = Duration::from_secs(60);
/// Under a lower limit a query with its results would be most of a minute's requests.
const LEAST_RATE: u32 = 20;
/// The longest pause after failures, and the one after a refusal for want of a permission.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// How far the clients of one organization were asked after. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct UsageSurvey(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    answers: Answers,
    /// The ids of those to ask after, in the order of the last scan.
    subjects: Vec<String>,
    /// Whether the organization wants it now.
    wanted: bool,
    /// Whether a walk is under way.
    walks: bool,
    /// Nobody is asked after before.
    not_before: Option<Instant>,
    /// How many queries failed in a row.
    failures: u32,
    /// When the last of them did.
    failed: Option<Instant>,
}

/// What a walk does next.
enum Step {
    /// Nobody is to be asked after, or nobody may.
    End,
    /// Others want the budget, or the platform failed.
    Wait,
    /// This client is asked after, so many days back.
    Ask(String, u32),
}

impl UsageSurvey {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Pauses after a failure, for longer each time, and until a scan succeeds: queries that fail again and again would make the platform look down to
    /// everybody.
    fn pause(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        let pause = PACE.saturating_mul(1 << self.failures.min(6)).min(LONGEST_PAUSE);
        self.not_before = Some(now + pause);
        self.failed = Some(now);
    }

    /// Whether the platform answered a scan since a query failed, the last of which was begun then.
    fn is_trusted(&self, scanned: Option<Instant>) -> bool {
        self.failed.is_none_or(|failed| scanned.is_some_and(|scanned| scanned > failed))
    }
}

/// Adds to the inventory which clients were never used, and sees to it that this is found out if the organization wants it.
pub fn look(context: &Arc<Context>, object: &GenesysOrganization, session: &Arc<Session>, inventory: &mut Inventory) {
    let name = object.name_any();
    let survey = context.sessions.usage(&name);
    let mut state = survey.lock();
    if object.usage_queries() == UsageQueries::Never {
        // A walk under way sees that it is not wanted.
        *state = State { walks: state.walks, not_before: state.not_before, ..State::default() };
        return;
    }
    let Some(snapshot) = session.snapshot() else { return };
    let now = session.platform.now().unwrap_or_else(|| context.now());
    let subjects = subjects(&snapshot.scan.clients, session.own_client_id(), &context.cluster_id, now);
    state.answers.keep(&subjects);
    state.answers.tell(&subjects, inventory);
    state.subjects = subjects.iter().map(|client| client.id.clone()).collect();
    // Who does not keep the status would ask for nothing.
    let keeps_status = pinned(object, &pin::own(&context.settings, &context.cluster_id)) == Pinned::Ours;
    state.wanted = !object.spec.suspend && keeps_status && object.spec.requests_per_minute >= LEAST_RATE;
    if state.wanted && !state.walks && state.answers.next(&state.subjects, Instant::now()).is_some() {
        state.walks = true;
        drop(state);
        tokio::spawn(walk(context.clone(), session.clone(), name, survey));
    }
}

/// Asks after all that are due, one at a time.
async fn walk(context: Arc<Context>, session: Arc<Session>, name: String, survey: UsageSurvey) {
    loop {
        let from = survey.lock().not_before.unwrap_or_else(Instant::now);
        tokio::time::sleep_until(from).await;
        let step = step(&context, &session, &name, &survey);
        survey.lock().not_before = Some(Instant::now() + PACE);
        match step {
            Step::End => break,
            Step::Wait => {}
            Step::Ask(id, days) => {
                let question = async { note(&survey, &id, days, ask(&session, &context, &id, days).await) };
                question.instrument(logging::of_usage(&name)).await;
            }
        }
    }
    let mut state = survey.lock();
    state.walks = false;
    let done = state.wanted && state.answers.next(&state.subjects, Instant::now()).is_none();
    drop(state);
    if done {
        context.sessions.surveyed();
    }
}

fn step(context: &Context, session: &Session, name: &str, survey: &UsageSurvey) -> Step {
    let serves = matches!(context.sessions.standing(name), Standing::Ready(now) if now.version == session.version);
    let state = survey.lock();
    let trusted = state.is_trusted(session.scanner.last().map(|scan| scan.begun));
    let next = state.answers.next(&state.subjects, Instant::now()).filter(|_| state.wanted);
    match next {
        Some(_) if !serves || context.gates.are_closed() => Step::End,
        Some(id) if trusted && session.platform.budget().is_at_leisure() && session.platform.login_budget().outage().is_none() => {
            Step::Ask(id.to_owned(), state.answers.days())
        }
        Some(_) => Step::Wait,
        None => Step::End,
    }
}

/// How many requests a client made within so many days.
async fn ask(session: &Session, context: &Context, id: &str, days: u32) -> Result<u64, genesys::Error> {
    let to = session.platform.now().unwrap_or_else(|| context.now());
    let from = to.checked_sub(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(to);
    session.platform.for_work(Work::new(Class::Inventory, "")).foreign_requests_of(id, from, to).await
}

/// Notes an answer. Where the platform was not asked after all, or asked for silence, the client's turn comes again.
fn note(survey: &UsageSurvey, id: &str, days: u32, asked: Result<u64, genesys::Error>) {
    let mut state = survey.lock();
    let now = Instant::now();
    let error = match asked {
        Ok(requests) => {
            (state.failures, state.failed) = (0, None);
            return state.answers.note(id, if requests == 0 { Use::Unused } else { Use::Used }, now);
        }
        Err(error) => error,
    };
    match (error.class(), &error) {
        (ErrorClass::Withheld | ErrorClass::Credential, _)
        | (_, genesys::Error::PlatformDown(_) | genesys::Error::Credential(_) | genesys::Error::BudgetExhausted { .. }) => {
            tracing::debug!(%error, "a client's usage was not asked for");
        }
        (ErrorClass::Throttled, _) => {
            // The budget takes it for others who use the limit up, and slows down everybody: that must not happen often for this.
            state.pause(now);
            state.not_before = Some(now + LONGEST_PAUSE);
            tracing::debug!(%error, "the platform throttles what asks for usage");
        }
        (ErrorClass::Permission, _) => {
            state.not_before = Some(now + LONGEST_PAUSE);
            tracing::warn!(
                %error,
                "the operator may not ask for the usage of clients: give its own client a role with oauth:client:view, or set inventory.usage of the organization to Never"
            );
        }
        (ErrorClass::Rejected, _) if state.answers.shorten(days) => {
            tracing::info!(%error, days, "the platform counts no requests from so long ago; it is asked for a shorter time");
        }
        (ErrorClass::Rejected | ErrorClass::NotFound, _) => {
            tracing::debug!(%error, "the platform tells nothing of a client's usage");
            state.answers.note_silence(id, now);
        }
        (ErrorClass::Unavailable, _) => {
            state.pause(now);
            tracing::debug!(%error, "a client's usage is not known");
            state.answers.note_silence(id, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_are_further_and_further_apart() {
        let mut state = State::default();
        let now = Instant::now();
        let mut pauses = vec![];
        for _ in 0..8 {
            state.pause(now);
            pauses.push((state.not_before.expect("a pause") - now).as_secs() / 60);
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60, 60]);
        assert!(!state.is_trusted(None) && !state.is_trusted(Some(now)) && state.is_trusted(Some(now + PACE)));
        assert!(State::default().is_trusted(None));
    }
}
