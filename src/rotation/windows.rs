//! Windows of cron and time zones: whether one is open, when the next opens, how long none does. Pure: zones come from the compiled-in database.
//!
//! A schedule with one minute and one hour opens once a day: where that local time is skipped, at the first instant after the gap, if the schedule
//! names that instant's day; where it comes twice, at the first. Any other schedule opens at each local time that it names: never at one that is skipped, twice at one that comes twice. A
//! window stays open for its duration in elapsed time, whatever the clocks do.

use std::{sync::LazyLock, time::Duration};

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{
    Timestamp,
    tz::{TimeZone, TimeZoneDatabase},
};

use super::{earlier, later};
use crate::api::rotation_policy::{RotationWindow, WINDOW_EMPTY};

/// The zone of a window that names none.
const DEFAULT_ZONE: &str = "Etc/UTC";

/// How far ahead [`Windows::longest_gap`] looks.
const HORIZON: Duration = Duration::from_secs(400 * 86_400);

/// How long [`Windows::longest_gap`] follows every single opening; each turn of days and weeks is in it.
const FOLLOWED: Duration = Duration::from_secs(8 * 86_400);

/// Gaps up to this length are not looked for after the days that are followed: schedules of every minute would take seconds.
const SHORT: Duration = Duration::from_secs(900);

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The windows of a policy. Without any, it is always open.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Windows(Vec<Window>);

#[derive(Clone, Debug, PartialEq)]
struct Window {
    cron: Cron,
    duration: Duration,
    zone: TimeZone,
}

/// Why a window can't be followed; says what to write instead.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum WindowRefusal {
    /// The schedule is no cron expression.
    #[error(
        "windows[{index}].schedule {schedule:?} is no cron expression of five fields ({detail}): write minute, hour, day of the month, month \
         and day of the week, for example \"0 2 * * SAT\" for Saturdays at 02:00"
    )]
    Schedule {
        /// Which window.
        index: usize,
        /// What it says.
        schedule: String,
        /// What is wrong with it.
        detail: String,
    },
    /// No date fits the schedule.
    #[error("windows[{index}].schedule {schedule:?} never opens, because no such date comes: correct its day and month")]
    NeverOpens {
        /// Which window.
        index: usize,
        /// What it says.
        schedule: String,
    },
    /// The duration is none, or empty.
    #[error("windows[{index}].duration: {detail}")]
    Duration {
        /// Which window.
        index: usize,
        /// What is wrong with it.
        detail: String,
    },
    /// The zone is not known.
    #[error("windows[{index}].timeZone {zone:?} is no time zone that this version knows: write an IANA name, for example Europe/Berlin")]
    TimeZone {
        /// Which window.
        index: usize,
        /// What it says.
        zone: String,
    },
}

impl Windows {
    /// Reads the windows of a spec.
    pub fn parse(windows: &[RotationWindow]) -> Result<Self, WindowRefusal> {
        windows.iter().enumerate().map(|(index, window)| Window::parse(index, window)).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there are no windows, so that it is always open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a window is open. The instant of opening is inside, the one of closing is not.
    #[must_use]
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.is_empty() || self.0.iter().any(|window| window.is_open(at))
    }

    /// The first instant not before `at` that lies inside a window; none if no window opens before the end of time.
    #[must_use]
    pub fn next_open(&self, at: Timestamp) -> Option<Timestamp> {
        if self.is_open(at) { Some(at) } else { self.opening_after(at) }
    }

    /// The longest time between two openings of any window, over the 400 days after `from`; `from` itself counts as one, and so does the first
    /// opening after those days. Zero without windows.
    ///
    /// Where all gaps are at most 15 minutes, the longest of the first eight days. Costs up to some ten thousand steps: keep the result.
    #[must_use]
    pub fn longest_gap(&self, from: Timestamp) -> Duration {
        let (mut at, mut longest) = (from, Duration::ZERO);
        while !self.is_empty() && at < later(from, HORIZON) {
            if at >= later(from, FOLLOWED)
                && let Some(opening) = self.skip(at, longest.max(SHORT))
            {
                at = opening;
                continue;
            }
            let Some(opening) = self.opening_after(at) else { return Duration::MAX };
            longest = longest.max(opening.duration_since(at).unsigned_abs());
            at = opening;
        }
        longest
    }

    /// An opening well inside the span that begins with the opening `at`, if one is there: no two openings up to it are further apart than the span.
    fn skip(&self, at: Timestamp, span: Duration) -> Option<Timestamp> {
        let end = later(at, span);
        let halves = std::iter::successors(Some(span / 2), |step| Some(*step / 2)).take_while(|step| *step >= Duration::from_secs(60));
        halves.filter_map(|step| self.opening_after(later(at, step))).find(|opening| *opening <= end)
    }

    fn opening_after(&self, at: Timestamp) -> Option<Timestamp> {
        self.0.iter().filter_map(|window| window.opening_after(at)).min()
    }
}

impl Window {
    fn parse(index: usize, window: &RotationWindow) -> Result<Self, WindowRefusal> {
        let schedule = &window.schedule;
        let refuse = |detail: String| WindowRefusal::Schedule { index, schedule: schedule.clone(), detail };
        let fields = schedule.split_whitespace().count();
        if fields != 5 {
            return Err(refuse(format!("it has {fields}")));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(schedule).map_err(|error| refuse(error.to_string().trim_end_matches('.').to_owned()))?;
        let duration = window.duration.parse().map_err(|error| WindowRefusal::Duration { index, detail: error.to_string() })?;
        if duration.as_duration().is_zero() {
            return Err(WindowRefusal::Duration { index, detail: WINDOW_EMPTY.to_owned() });
        }
        let zone = window.time_zone.as_deref().unwrap_or(DEFAULT_ZONE);
        let zone = match ZONES.get(zone) {
            Ok(known) if !known.is_unknown() => known,
            _ => return Err(WindowRefusal::TimeZone { index, zone: zone.to_owned() }),
        };
        let window = Self { cron, duration: duration.as_duration(), zone };
        // The calendar repeats itself: what does not come after 1970 never comes. Found here once, because the search for it is long.
        match window.opening_after(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(window),
            None => Err(WindowRefusal::NeverOpens { index, schedule: schedule.clone() }),
        }
    }

    fn is_open(&self, at: Timestamp) -> bool {
        self.opening_after(earlier(at, self.duration)).is_some_and(|opening| opening <= at)
    }

    /// The first opening after an instant.
    fn opening_after(&self, at: Timestamp) -> Option<Timestamp> {
        // Openings are whole seconds, so one after the whole second is one after the instant.
        let second = Timestamp::from_second(at.as_nanosecond().div_euclid(1_000_000_000).try_into().ok()?).ok()?;
        self.cron.find_next_occurrence(&second.to_zoned(self.zone.clone()), false).ok().map(|opening| opening.timestamp())
    }
}
