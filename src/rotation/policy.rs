//! A rotation policy as it is followed: parsed, with its defaults, shrunk to the organization's `maxCredentialAge`. Pure; refuses with words for people.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    hash,
    windows::{WindowRefusal, Windows},
};
use crate::api::{
    condition::Reason,
    duration::{DurationText, InvalidDuration, UnitDuration},
    fleet::EffectivePolicy,
    rotation_policy::{self as rules, RotationPolicySpec, RotationStrategy},
};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The longest default of `warnBefore`.
const LONGEST_WARNING: Duration = Duration::from_secs(7 * 24 * 3600);

/// No `maxCredentialAge` counts as less: the shortest interval must fit into half of it.
const LEAST_CREDENTIAL_AGE: Duration = Duration::from_secs(2 * 3600);

/// A policy as it is followed for one client.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// When rotations are due. None: only on request.
    pub schedule: Option<Schedule>,
    /// How a credential is replaced.
    pub strategy: RotationStrategy,
    /// How long the old and the new client work side by side. None with Regenerate.
    pub overlap: Option<Overlap>,
    /// How many clients may be in a rotation at the same time.
    pub max_concurrent: u32,
    /// After how many failures of different clients in a row scheduled rotations stop.
    pub failure_threshold: u32,
    /// No rotation starts.
    pub suspended: bool,
}

/// When rotations are due: I, M, w, the windows and g of the contract.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// How old a credential gets before its rotation is due.
    pub interval: Duration,
    /// The age that no credential should reach.
    pub max_age: Duration,
    /// How long before that deadline it counts as expiring.
    pub warn_before: Duration,
    /// When rotations may start.
    pub windows: Windows,
    /// The longest time between two openings of the windows; zero without windows.
    pub longest_gap: Duration,
}

/// How long the old and the new client of a Replace work side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// At least.
    pub minimum: Duration,
    /// At most, whatever is waited for.
    pub maximum: Duration,
    /// Whether the old client works on until the rollout targets run with the new credential.
    pub wait_for_rollouts: bool,
    /// Whether the old client works on until it obtains no more tokens.
    pub wait_for_idle: bool,
}

/// Why a policy can't be followed; says what to write instead.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum PolicyRefusal {
    /// A field is no duration.
    #[error("{field}: {source}")]
    Duration {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        source: InvalidDuration,
    },
    /// The durations don't fit together, as the rule of the CRD says. Only a server that ignores rules lets this pass.
    #[error("{0}")]
    Rule(&'static str),
    /// A window can't be followed.
    #[error(transparent)]
    Window(#[from] WindowRefusal),
    /// A due rotation might find no window before the warning.
    #[error(
        "between two openings of its windows lie up to {gap}, but maxAge - interval - warnBefore leaves {room}: add a window that opens more \
         often, or raise maxAge; until then clients rotate only on request"
    )]
    WindowNeverOpens {
        /// The longest time between two openings.
        gap: String,
        /// The longest that there may be.
        room: String,
    },
}

impl PolicyRefusal {
    /// The reason of the policy's Stalled condition.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::WindowNeverOpens { .. } | Self::Window(WindowRefusal::NeverOpens { .. }) => Reason::WindowNeverOpens,
            Self::Duration { .. } | Self::Rule(_) | Self::Window(_) => Reason::InvalidSpec,
        }
    }
}

/// The durations of a spec alone, with their defaults.
struct Terms {
    interval: Duration,
    max_age: Duration,
    /// As spec says it; the default depends on the other two, also where they shrink.
    warn_before: Option<Duration>,
    overlap: Option<Overlap>,
}

impl Policy {
    /// Reads a policy for clients whose organization has this `maxCredentialAge`. `effective_since` is where the windows are measured from.
    ///
    /// The policy alone is judged first, so that a refusal is the same for all its clients. Measuring the windows is the costly part: keep the
    /// result as long as spec, age and `effective_since` stay.
    pub fn parse(
        spec: &RotationPolicySpec,
        max_credential_age: Option<Duration>,
        effective_since: Timestamp,
    ) -> Result<Self, PolicyRefusal> {
        let terms = Terms::parse(spec)?;
        let windows = Windows::parse(&spec.windows)?;
        let longest_gap = windows.longest_gap(effective_since);
        let schedule = terms.schedule(windows, longest_gap);
        if longest_gap > schedule.room() {
            return Err(PolicyRefusal::WindowNeverOpens { gap: in_words(longest_gap), room: in_words(schedule.room()) });
        }
        let schedule = match max_credential_age.map(|age| age.max(LEAST_CREDENTIAL_AGE)) {
            Some(age) if age < schedule.max_age => terms.within(age, schedule),
            _ => schedule,
        };
        let overlap = terms.overlap.map(|overlap| overlap.within(schedule.interval));
        Ok(Self {
            schedule: Some(schedule),
            strategy: spec.strategy,
            overlap,
            max_concurrent: spec.max_concurrent,
            failure_threshold: spec.failure_threshold,
            suspended: spec.suspend,
        })
    }

    /// What holds where there is no policy: rotations on request alone, with the defaults of a policy.
    #[must_use]
    pub fn on_request() -> Self {
        Self {
            schedule: None,
            strategy: RotationStrategy::Replace,
            overlap: Some(Overlap { minimum: HOUR, maximum: DAY, wait_for_rollouts: true, wait_for_idle: false }),
            max_concurrent: 5,
            failure_threshold: 3,
            suspended: false,
        }
    }

    /// The policy with strategy Regenerate, as clients with `scim: true` follow it: a Replace would keep 450 days of inactive clients.
    #[must_use]
    pub fn regenerating(self) -> Self {
        Self { strategy: RotationStrategy::Regenerate, overlap: None, ..self }
    }

    /// The durations as status shows them. None without a schedule.
    #[must_use]
    pub fn effective(&self) -> Option<EffectivePolicy> {
        let schedule = self.schedule.as_ref()?;
        Some(shown(schedule, self.strategy, self.overlap))
    }
}

impl Schedule {
    /// What is left of the greatest age beside interval and warning: the windows must open at least this often.
    #[must_use]
    pub fn room(&self) -> Duration {
        self.max_age.saturating_sub(self.interval).saturating_sub(self.warn_before)
    }
}

impl Terms {
    fn parse(spec: &RotationPolicySpec) -> Result<Self, PolicyRefusal> {
        let interval = duration("interval", &spec.interval)?;
        if interval < HOUR {
            return Err(PolicyRefusal::Rule(rules::INTERVAL_TOO_SHORT));
        }
        let max_age = optional("maxAge", spec.max_age.as_ref())?.unwrap_or(interval * 2);
        if max_age <= interval {
            return Err(PolicyRefusal::Rule(rules::MAX_AGE_TOO_SHORT));
        }
        let warn_before = optional("warnBefore", spec.warn_before.as_ref())?;
        if warn_before.is_some_and(|warning| warning > max_age.saturating_sub(interval)) {
            return Err(PolicyRefusal::Rule(rules::WARNING_TOO_LONG));
        }
        Ok(Self { interval, max_age, warn_before, overlap: Overlap::parse(spec, interval)? })
    }

    fn warning(&self, interval: Duration, max_age: Duration) -> Duration {
        self.warn_before.unwrap_or_else(|| LONGEST_WARNING.min(max_age.saturating_sub(interval) / 2))
    }

    /// The schedule of the policy alone.
    fn schedule(&self, windows: Windows, longest_gap: Duration) -> Schedule {
        let (interval, max_age) = (self.interval, self.max_age);
        Schedule { interval, max_age, warn_before: self.warning(interval, max_age), windows, longest_gap }
    }

    /// The schedule where the organization allows a lesser age: the interval keeps its share of it, or becomes half of it if that is longer, and
    /// never grows; the warning keeps its share of the rest. Where windows then no longer fit, the interval shrinks further to make room for them,
    /// as long as it stays an hour.
    fn within(&self, max_age: Duration, alone: Schedule) -> Schedule {
        let share = portion(self.interval, max_age, self.max_age).max(max_age / 2);
        let interval = shrunk(self.interval, share);
        let warn_before = match self.warn_before {
            Some(warning) => {
                shrunk(warning, portion(warning, max_age.saturating_sub(interval), self.max_age.saturating_sub(self.interval)))
            }
            None => self.warning(interval, max_age),
        };
        let beside_windows = max_age.saturating_sub(warn_before).saturating_sub(alone.longest_gap);
        let interval = if beside_windows < HOUR { interval } else { shrunk(interval, beside_windows) };
        Schedule { interval, max_age, warn_before, ..alone }
    }
}

impl Overlap {
    fn parse(spec: &RotationPolicySpec, interval: Duration) -> Result<Option<Self>, PolicyRefusal> {
        let given = match (&spec.overlap, spec.strategy) {
            (None, RotationStrategy::Regenerate) => return Ok(None),
            (Some(_), RotationStrategy::Regenerate) => return Err(PolicyRefusal::Rule(rules::OVERLAP_OF_REGENERATE)),
            (given, RotationStrategy::Replace) => given.clone().unwrap_or_default(),
        };
        let maximum = optional("overlap.maximum", given.maximum.as_ref())?.unwrap_or(DAY.min(interval / 2));
        if maximum >= interval {
            return Err(PolicyRefusal::Rule(rules::OVERLAP_TOO_LONG));
        }
        let minimum = optional("overlap.minimum", given.minimum.as_ref())?.unwrap_or(HOUR.min(maximum));
        if minimum > maximum {
            return Err(PolicyRefusal::Rule(rules::OVERLAP_MINIMUM_TOO_LONG));
        }
        Ok(Some(Self { minimum, maximum, wait_for_rollouts: given.wait_for_rollouts, wait_for_idle: given.wait_for_idle }))
    }

    /// The overlap beside an interval that may have shrunk: a rotation ends before the next one.
    fn within(self, interval: Duration) -> Self {
        let maximum = if self.maximum < interval { self.maximum } else { shrunk(self.maximum, interval / 2) };
        Self { minimum: self.minimum.min(maximum), maximum, ..self }
    }
}

/// What the durations of a policy come to by themselves, before an organization's `maxCredentialAge`.
pub fn effective(spec: &RotationPolicySpec) -> Result<EffectivePolicy, PolicyRefusal> {
    let terms = Terms::parse(spec)?;
    Ok(shown(&terms.schedule(Windows::default(), Duration::ZERO), spec.strategy, terms.overlap))
}

/// Since when a policy holds: now, if its interval or greatest age is another than was recorded; else since then.
#[must_use]
pub fn effective_since(recorded: Option<(Timestamp, &EffectivePolicy)>, effective: &EffectivePolicy, now: Timestamp) -> Timestamp {
    match recorded {
        Some((since, was)) if was.interval == effective.interval && was.max_age == effective.max_age => since,
        _ => now,
    }
}

/// A digest of all that a policy says, by which a change is seen: 16 hex digits.
///
/// It is recorded, and another one ends a halt. So it must be the same in every version: a field that a later version adds counts only where it is
/// set to something else than its default.
#[must_use]
pub fn digest(spec: &RotationPolicySpec) -> String {
    let RotationPolicySpec { interval, max_age, warn_before, strategy, overlap, windows, max_concurrent, failure_threshold, suspend } =
        spec;
    let overlap = overlap
        .as_ref()
        .map(|rules::Overlap { minimum, maximum, wait_for_rollouts, wait_for_idle }| (minimum, maximum, wait_for_rollouts, wait_for_idle));
    let window = |rules::RotationWindow { schedule, duration, time_zone }: &rules::RotationWindow| {
        (schedule.clone(), duration.clone(), time_zone.clone())
    };
    let windows: Vec<_> = windows.iter().map(window).collect();
    let said = (interval, max_age, warn_before, strategy, overlap, windows, max_concurrent, failure_threshold, suspend);
    format!("{:016x}", hash(&serde_json::to_vec(&said).unwrap_or_default()))
}

fn shown(schedule: &Schedule, strategy: RotationStrategy, overlap: Option<Overlap>) -> EffectivePolicy {
    EffectivePolicy {
        interval: in_words(schedule.interval),
        max_age: in_words(schedule.max_age),
        warn_before: in_words(schedule.warn_before),
        strategy,
        overlap_minimum: overlap.map(|overlap| in_words(overlap.minimum)),
        overlap_maximum: overlap.map(|overlap| in_words(overlap.maximum)),
    }
}

fn duration(field: &'static str, text: &DurationText) -> Result<Duration, PolicyRefusal> {
    text.parse().map(UnitDuration::as_duration).map_err(|source| PolicyRefusal::Duration { field, source })
}

fn optional(field: &'static str, text: Option<&DurationText>) -> Result<Option<Duration>, PolicyRefusal> {
    text.map(|text| duration(field, text)).transpose()
}

/// `amount · part / whole`, in whole seconds.
fn portion(amount: Duration, part: Duration, whole: Duration) -> Duration {
    let product = u128::from(amount.as_secs()) * u128::from(part.as_secs());
    let seconds = product / u128::from(whole.as_secs().max(1));
    Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX))
}

/// A duration, or a shorter one that people can read: whole hours from two days on, whole minutes from two hours on.
fn shrunk(duration: Duration, to: Duration) -> Duration {
    if to >= duration {
        return duration;
    }
    let unit = match to {
        to if to >= DAY * 2 => 3600,
        to if to >= HOUR * 2 => 60,
        _ => 1,
    };
    Duration::from_secs(to.as_secs() / unit * unit)
}

fn in_words(duration: Duration) -> String {
    UnitDuration::from_seconds(duration.as_secs()).to_string()
}
