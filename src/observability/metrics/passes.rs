//! Counts what the controllers do: passes, their errors, and how rotations go on, as each written status shows it. Decides nothing.

use std::time::Duration;

use prometheus_client::metrics::{counter::Counter, family::Family, histogram::Histogram};
use tokio::time::Instant;

use crate::{
    api::{
        GenesysOAuthClientStatus,
        oauth_client::rotation_status::{LastRotation, RotationResult, RotationStep, Trigger},
    },
    controller::error::Error,
    observability::traces,
};

/// The bounds of how long a pass takes, in seconds: one may wait for the budget for ten minutes.
const BOUNDS: [f64; 9] = [0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 180.0, 600.0];
/// The reasons of errors that end a pass, as [`Error::reason`] gives them; a call that was kept back is none.
const ERRORS: [&str; 4] = ["Stale", "KubernetesCallFailed", "Conflict", "Superseded"];

/// The steps of a rotation.
const STEPS: [RotationStep; 6] = [
    RotationStep::Creating,
    RotationStep::Verifying,
    RotationStep::Publishing,
    RotationStep::RollingOut,
    RotationStep::Draining,
    RotationStep::Regenerating,
];

/// The controllers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// Of `GenesysOAuthClient`.
    OAuthClient,
    /// Of `GenesysOrganization`.
    Organization,
    /// Of `GenesysRotationPolicy`.
    RotationPolicy,
}

impl Controller {
    /// Every controller.
    pub const ALL: [Self; 3] = [Self::OAuthClient, Self::Organization, Self::RotationPolicy];

    /// The kind that it works.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OAuthClient => "GenesysOAuthClient",
            Self::Organization => "GenesysOrganization",
            Self::RotationPolicy => "GenesysRotationPolicy",
        }
    }
}

/// Labels of a family that the process counts in itself.
type Labels = Vec<(&'static str, String)>;

/// What the controllers did since the start of this process.
#[derive(Debug)]
pub struct Passes {
    /// How long passes took.
    pub durations: Family<Labels, Histogram, fn() -> Histogram>,
    /// How many ended by an error.
    pub errors: Family<Labels, Counter>,
    /// How many rotations entered a step.
    pub steps: Family<Labels, Counter>,
    /// How many rotations ended.
    pub rotations: Family<Labels, Counter>,
}

impl Default for Passes {
    fn default() -> Self {
        let passes = Self {
            durations: Family::new_with_constructor(|| Histogram::new(BOUNDS)),
            errors: Family::default(),
            steps: Family::default(),
            rotations: Family::default(),
        };
        // What begins at zero shows its first one as a rise.
        for controller in Controller::ALL {
            let _ = passes.durations.get_or_create(&duration_of(controller));
            for reason in ERRORS {
                let _ = passes.errors.get_or_create(&error_of(controller, reason));
            }
        }
        for step in STEPS {
            let _ = passes.steps.get_or_create(&step_of(step));
        }
        for result in [RotationResult::Succeeded, RotationResult::Failed, RotationResult::Aborted, RotationResult::Refused] {
            for trigger in [Trigger::Schedule, Trigger::Request, Trigger::Emergency, Trigger::Repair, Trigger::Abort] {
                let _ = passes.rotations.get_or_create(&end_of(result, trigger));
            }
        }
        passes
    }
}

fn duration_of(controller: Controller) -> Labels {
    vec![("controller", controller.name().to_owned())]
}

fn error_of(controller: Controller, reason: &'static str) -> Labels {
    vec![("controller", controller.name().to_owned()), ("reason", reason.to_owned())]
}

fn step_of(step: RotationStep) -> Labels {
    vec![("step", format!("{step:?}"))]
}

fn end_of(result: RotationResult, trigger: Trigger) -> Labels {
    vec![("result", format!("{result:?}")), ("trigger", format!("{trigger:?}"))]
}

impl Passes {
    /// Runs a pass, counts how long it took and how it ended, and tells its span.
    pub async fn timed<T>(&self, controller: Controller, pass: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let begun = Instant::now();
        traces::pass_begins(controller);
        let result = pass.await;
        traces::pass_ended(result.as_ref().err());
        self.note(controller, begun.elapsed(), result.as_ref().err());
        result
    }

    fn note(&self, controller: Controller, took: Duration, error: Option<&Error>) {
        self.durations.get_or_create(&duration_of(controller)).observe(took.as_secs_f64());
        if let Some(error) = error.filter(|error| !matches!(error, Error::Withheld(_))) {
            self.errors.get_or_create(&error_of(controller, error.reason())).inc();
        }
    }

    /// Counts what of a rotation a status shows that was just written in the place of another.
    pub fn written(&self, before: Option<&GenesysOAuthClientStatus>, after: &GenesysOAuthClientStatus) {
        let current = |status: &GenesysOAuthClientStatus| {
            let current = status.rotation.as_ref()?.current.as_ref()?;
            Some((current.started_at, current.step))
        };
        if let Some((_, step)) = current(after).filter(|now| before.and_then(current) != Some(*now)) {
            self.steps.get_or_create(&step_of(step)).inc();
        }
        let end = |last: &LastRotation| (last.started_at, last.result);
        let former = before.and_then(|status| status.last_rotation.as_ref()).map(end);
        if let Some(last) = after.last_rotation.as_ref().filter(|last| former != Some(end(last))) {
            self.rotations.get_or_create(&end_of(last.result, last.trigger)).inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text, registry::Registry};
    use serde_json::json;

    use super::*;

    fn status(value: serde_json::Value) -> GenesysOAuthClientStatus {
        serde_json::from_value(value).expect("a status")
    }

    #[test]
    fn a_step_and_an_end_count_once() {
        let passes = Passes::default();
        let current = |step: &str| {
            json!({ "current": { "strategy": "Replace", "trigger": "Schedule", "startedAt": "2026-01-01T00:00:00Z", "step": step,
                "overlap": { "minimumSeconds": 0, "maximumSeconds": 0 } } })
        };
        let last = json!({ "result": "Succeeded", "trigger": "Schedule", "strategy": "Replace", "startedAt": "2026-01-01T00:00:00Z",
            "finishedAt": "2026-01-01T00:01:00Z", "message": "" });
        let written = [
            status(json!({ "rotation": current("Creating") })),
            status(json!({ "rotation": current("Creating"), "clientId": "c1" })),
            status(json!({ "rotation": current("Draining"), "lastRotation": last })),
            status(json!({ "rotation": {}, "lastRotation": last })),
        ];
        passes.written(None, &written[0]);
        for pair in written.windows(2) {
            passes.written(Some(&pair[0]), &pair[1]);
        }
        let steps = [RotationStep::Creating, RotationStep::Verifying, RotationStep::Draining];
        assert_eq!(steps.map(|step| passes.steps.get_or_create(&step_of(step)).get()), [1, 0, 1]);
        assert_eq!(passes.rotations.get_or_create(&end_of(RotationResult::Succeeded, Trigger::Schedule)).get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_is_timed_and_its_error_counted() {
        let passes = Passes::default();
        let pass = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            Err::<(), _>(Error::Stale)
        };
        assert!(passes.timed(Controller::OAuthClient, pass).await.is_err());
        let (mut registry, mut text) = (Registry::default(), String::new());
        registry.register("took", "How long it took", passes.durations.clone());
        text::encode(&mut text, &registry).expect("text");
        assert!(text.contains("took_sum{controller=\"GenesysOAuthClient\"} 2.0\n"), "{text}");
        assert_eq!(passes.errors.get_or_create(&error_of(Controller::OAuthClient, "Stale")).get(), 1);
    }
}
