//! The formats of texts that a server checks in custom resources; what it does not know, it lets pass. It reads no schemas.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;

/// RFC 3339: a `T` between date and time, and a zone.
static DATE_TIME: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^(?i)\d{4}-\d{2}-\d{2}t([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(z|[+-]\d{2}:\d{2})$").ok());
/// Go's durations, and the words of older tools.
static DURATION: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^[-+]?(0|((\d+\.?\d*|\.\d+)\s*(ns|us|µs|μs|ms|s|m|h|d|w|[a-z]*(nano|micro|milli|sec|min|hour|hr|day|week)[a-z]*)\s*)+)$")
        .ok()
});
static EMAIL: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^([^<>@]*<)?[^<>@\s]+@[^<>@\s]+>?$").ok());
static MAC: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^(?i)([0-9a-f]{2}([:-][0-9a-f]{2}){5,7}|[0-9a-f]{4}(\.[0-9a-f]{4}){2,3})$").ok());
static UUID: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?([0-9a-f])[0-9a-f]{3}-?([0-9a-f])[0-9a-f]{3}-?[0-9a-f]{12}$").ok());

fn fits(pattern: &LazyLock<Option<Regex>>, text: &str) -> bool {
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

fn is_uuid(text: &str, version: Option<&str>) -> bool {
    let Some(found) = UUID.as_ref().and_then(|pattern| pattern.captures(text)) else { return false };
    version.is_none_or(|version| &found[1] == version)
}

fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let Ok(length) = length.parse::<u8>() else { return false };
    match address.parse::<std::net::IpAddr>() {
        Ok(address) => length <= if address.is_ipv4() { 32 } else { 128 },
        Err(_) => false,
    }
}

/// Has a text the format that a schema names?
pub(crate) fn has_format(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => {
            fits(&DATE_TIME, text) && text.get(..10).is_some_and(is_date) && text.to_uppercase().parse::<jiff::Timestamp>().is_ok()
        }
        "date" => is_date(text),
        "duration" => fits(&DURATION, text),
        "uuid" => is_uuid(text, None),
        "uuid3" => is_uuid(text, Some("3")),
        "uuid4" => is_uuid(text, Some("4")),
        "uuid5" => is_uuid(text, Some("5")),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "mac" => fits(&MAC, text),
        "email" => fits(&EMAIL, text),
        "uri" => text.starts_with('/') || text.split_once(':').is_some_and(|(scheme, _)| !scheme.is_empty()),
        "byte" => STANDARD.decode(text.replace(['\n', '\r'], "")).is_ok(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_takes_its_own_and_refuses_the_rest() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("date-time", &["2020-01-01T00:00:00Z", "2020-01-01t00:00:00.5+01:00"], &["2020-01-01 00:00:00Z", "2020-13-01T00:00:00Z", ""]),
            ("date", &["2020-01-01"], &["20200101", "2020-02-30"]),
            ("duration", &["1h", "1.5h30m", "0", "3 days"], &["x", "", "5"]),
            ("uuid4", &["6ba7b810-9dad-41d1-80b4-00c04fd430c8"], &["6ba7b810-9dad-11d1-80b4-00c04fd430c8", "x"]),
            ("cidr", &["10.0.0.0/8", "::/0"], &["10.0.0.0", "10.0.0.0/33"]),
            ("mac", &["01:02:03:04:05:06"], &["x"]),
            ("email", &["a@b.c", "A <a@b.c>"], &["a"]),
            ("byte", &["YQ==", "YQ==\n"], &["YQ", "!!"]),
            ("uri", &["https://a", "/x"], &["x", "://"]),
            ("int32", &["anything"], &[]),
        ];
        for (format, good, bad) in cases {
            for text in *good {
                assert!(has_format(format, text), "{format}: {text:?}");
            }
            for text in *bad {
                assert!(!has_format(format, text), "{format}: {text:?}");
            }
        }
    }
}
