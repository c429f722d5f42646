//! Durations of one integer and one unit (`90d`, `30s`), as the kinds and the flags write them. Knows no calendar: a day is 24 hours.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The seconds of a duration, in CEL. `duration(string(…))` would be refused by a real server for its estimated cost.
macro_rules! seconds {
    ($path:literal) => {
        concat!(
            "(int(",
            $path,
            ".substring(0, size(",
            $path,
            ") - 1)) * (",
            $path,
            ".endsWith('d') ? 86400 : ",
            $path,
            ".endsWith('h') ? 3600 : ",
            $path,
            ".endsWith('m') ? 60 : 1))"
        )
    };
}
pub(super) use seconds;

/// A duration as people write it: one integer and one of `s`, `m`, `h`, `d`.
///
/// `1d12h` and fractions are refused, so that the CEL rules and this type agree on every value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnitDuration(Duration);

impl UnitDuration {
    /// A length that was computed: it is shown in the largest unit that is exact, and may have more digits than people may write.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The length, in seconds.
    #[must_use]
    pub fn as_duration(self) -> Duration {
        self.0
    }
}

impl From<UnitDuration> for Duration {
    fn from(value: UnitDuration) -> Self {
        value.0
    }
}

/// Why a text is no duration; says what to write instead.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no duration: write one integer of at most five digits and one unit, such as 30s, 15m, 12h or 90d (0s for none)")]
pub struct InvalidDuration(String);

impl FromStr for UnitDuration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidDuration(text.to_owned());
        if text == "0s" {
            return Ok(Self(Duration::ZERO));
        }
        let unit = text.chars().last().ok_or_else(invalid)?;
        let seconds_per_unit = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return Err(invalid()),
        };
        let digits = &text[..text.len() - 1];
        let well_formed = (1..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
        if !well_formed {
            return Err(invalid());
        }
        let count: u64 = digits.parse().map_err(|_| invalid())?;
        Ok(Self(Duration::from_secs(count * seconds_per_unit)))
    }
}

impl fmt::Display for UnitDuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (count, unit) = match seconds {
            0 => (0, 's'),
            s if s % 86_400 == 0 => (s / 86_400, 'd'),
            s if s % 3600 == 0 => (s / 3600, 'h'),
            s if s % 60 == 0 => (s / 60, 'm'),
            s => (s, 's'),
        };
        write!(formatter, "{count}{unit}")
    }
}

/// A duration as it stands in a spec: any text, so that one spoilt object does not keep a whole list from being read. The schema refuses what
/// [`DurationText::parse`] refuses.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct DurationText(pub String);

impl DurationText {
    /// What the text says.
    pub fn parse(&self) -> Result<UnitDuration, InvalidDuration> {
        self.0.parse()
    }
}

impl From<UnitDuration> for DurationText {
    fn from(value: UnitDuration) -> Self {
        Self(value.to_string())
    }
}

impl fmt::Display for DurationText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl JsonSchema for DurationText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "DurationText".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 6, "pattern": "^(0s|[1-9][0-9]{0,4}[smhd])$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_one_integer_and_one_unit() {
        for (text, seconds) in [("0s", 0), ("1s", 1), ("15m", 900), ("12h", 43_200), ("90d", 7_776_000), ("99999s", 99_999)] {
            assert_eq!(text.parse::<UnitDuration>().map(|d| d.0.as_secs()), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else_and_says_what_to_write() {
        for text in ["", "s", "0m", "01s", "1d12h", "100000s", "1.5h", "-1s", "1w", " 1s", "1 s", "é"] {
            let error = text.parse::<UnitDuration>().unwrap_err();
            assert!(error.to_string().contains("such as 30s"), "{text}");
        }
    }

    #[test]
    fn prints_the_largest_whole_unit() {
        for text in ["0s", "61s", "90m", "25h", "7d"] {
            assert_eq!(text.parse::<UnitDuration>().unwrap().to_string(), text);
        }
        assert_eq!("3600s".parse::<UnitDuration>().unwrap().to_string(), "1h");
    }
}
