//! Reads an answer's error body and headers into what may be shown. It must not let raw bodies, HTML or control
//! characters through, nor what looks like a secret.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde_json::Value;

use super::bounded::one;
use super::error::{ApiError, Error, Operation};
use super::model::{object, text};
use super::sent::{MAX_WORD, Sent};
use super::transport::MAX_REFUSAL;

/// The most permissions that are kept of one message.
const MAX_PERMISSIONS: usize = 20;
/// The longest wait that is believed; the SDKs give up over 180 s (COMMON).
const MAX_RETRY_AFTER: Duration = Duration::from_secs(180);

/// The header `Retry-After`, in seconds or as a date, at most what the platform's rule waits for (COMMON): beyond it the next answer says so again.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if let Ok(seconds) = value.parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let until = http_date(value)?;
        // The sender's own clock is the one that its date is right by.
        let now = date(headers).unwrap_or_else(Timestamp::now);
        Duration::try_from(until.duration_since(now)).unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// The header `Date`.
pub(super) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get(http::header::DATE)?.to_str().ok()?)
}

fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

/// The error of an answer that is not a success.
///
/// Only 400, 401, 403, 404, 413, 415 and 429 with a parsed error body are certain refusals (protocols §2): an error page
/// of something in between looks like them, but says nothing about what the platform did.
pub(super) fn refusal(operation: Operation, status: StatusCode, headers: &HeaderMap, body: &[u8], sent: &Sent) -> Error {
    let retry_after = retry_after(headers);
    let header_id = sent.correlation_id(headers);
    let parsed = if body.len() <= MAX_REFUSAL { one(body, object).ok() } else { None };
    let code = parsed.as_ref().and_then(|map| text(map, "code"));
    let agrees = |map: &serde_json::Map<String, Value>| match map.get("status").and_then(Value::as_u64) {
        Some(written) => written == u64::from(status.as_u16()),
        None => true,
    };
    let certain = matches!(status.as_u16(), 400 | 401 | 403 | 404 | 413 | 415 | 429);
    if let (Some(map), Some(code), true) = (&parsed, &code, certain)
        && agrees(map)
    {
        let message = text(map, "message").unwrap_or_default();
        return Error::Refused(ApiError {
            operation,
            status: status.as_u16(),
            missing_permissions: if status.as_u16() == 403 && code.starts_with("missing.") {
                permissions(&sent.masked(&message))
            } else {
                Vec::new()
            },
            code: sent.word(code),
            message: sent.clean(&message),
            correlation_id: header_id.or_else(|| text(map, "contextId").map(|id| sent.word(&id))),
            retry_after,
        });
    }
    let reason = match (&parsed, code) {
        (Some(_), Some(code)) => sent.word(&code),
        (Some(_), None) => "an answer without a code".to_owned(),
        (None, _) => "an answer that is not the platform's".to_owned(),
    };
    Error::Unknown { operation, status: Some(status.as_u16()), reason, correlation_id: header_id, retry_after }
}

/// The words of a message that are permissions: three parts with colons between, such as `oauth:client:view`.
fn permissions(message: &str) -> Vec<String> {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '-' | '*' | '.');
    let mut found: Vec<String> = Vec::new();
    for word in message.split(|c| !part(c)) {
        let word = word.trim_end_matches(['.', ':']);
        let shaped = word.split(':').count() == 3 && word.split(':').all(|part| !part.is_empty());
        if shaped && word.len() <= MAX_WORD && found.len() < MAX_PERMISSIONS && !found.iter().any(|known| known == word) {
            found.push(word.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{DATE, RETRY_AFTER};
    use serde_json::json;

    use super::super::error::ErrorClass;
    use super::*;

    fn read(status: u16, body: &str) -> Error {
        let status = StatusCode::from_u16(status).expect("a status");
        refusal(Operation::CreateClient, status, &HeaderMap::new(), body.as_bytes(), &Sent::default())
    }

    fn body(status: u16, code: &str, message: &str) -> String {
        json!({"status": status, "code": code, "message": message, "contextId": "abc"}).to_string()
    }

    #[test]
    fn only_seven_statuses_with_a_body_are_certain() {
        for status in (300..600).filter(|status| *status != 304) {
            let certain = [400, 401, 403, 404, 413, 415, 429].contains(&status);
            assert_eq!(read(status, &body(status, "some.code", "m")).outcome_is_known(), certain, "{status}");
            for other in ["", "<html>Forbidden</html>", "[]", "{}", r#"{"message":"Forbidden"}"#, r#"{"code":7}"#, r#"{"code":""}"#] {
                assert!(!read(status, other).outcome_is_known(), "{status} {other}");
            }
        }
        assert!(!read(400, &body(500, "some.code", "m")).outcome_is_known(), "the body is of another answer");
        assert!(read(404, r#"{"code":"not.found"}"#).outcome_is_known(), "all members but the code may be missing");
    }

    #[test]
    fn classes_say_what_helps() {
        for (status, code, class) in [
            (400, "bad.client.role", ErrorClass::Rejected),
            (400, "client.failed.request", ErrorClass::Unavailable),
            (401, "bad.credentials", ErrorClass::Credential),
            (401, "authentication.required", ErrorClass::Credential),
            (401, "ip.not.authorized", ErrorClass::Permission),
            (403, "missing.any.permissions", ErrorClass::Permission),
            (404, "client.not.found", ErrorClass::NotFound),
            (409, "request.conflict", ErrorClass::Unavailable),
            (413, "request.entity.too.large", ErrorClass::Rejected),
            (429, "too.many.requests", ErrorClass::Throttled),
            (500, "internal.server.error", ErrorClass::Unavailable),
            (504, "request.timeout", ErrorClass::Unavailable),
        ] {
            let error = read(status, &body(status, code, "m"));
            assert_eq!(error.class(), class, "{status} {code}");
            assert_eq!(error.is_not_found(), status == 404);
            assert_eq!(error.is_throttled(), status == 429);
        }
        assert!(read(429, "<html>").is_throttled(), "whoever said it, fewer calls help");
        assert!(!read(404, "<html>").is_not_found());
    }

    #[test]
    fn nothing_raw_gets_into_an_error() {
        let long = "x".repeat(5000);
        let nasty = format!("line\r\n\u{1b}[31mred\u{7}{long}");
        let error = read(400, &body(400, "bad.request", &nasty));
        let text = error.to_string();
        assert!(!text.chars().any(char::is_control), "{text}");
        assert!(text.chars().count() < 400, "{text}");
        assert!(text.starts_with("POST /api/v2/oauth/clients: 400 bad.request: line[31mred"), "{text}");
        assert_eq!(error.correlation_id(), Some("abc"));
        let html = read(502, "<html>token=hunter2</html>");
        assert!(!format!("{html} {html:?}").contains("hunter2"));
    }

    proptest::proptest! {
        /// Whatever the message is, what is shown of it is short and harmless, and no body is believed by halves.
        #[test]
        fn any_body_is_read_without_harm(status in 300_u16..600, code in ".{0,300}", message in ".{0,600}", raw in ".{0,300}") {
            for text in [body(status, &code, &message), raw] {
                let error = read(status, &text);
                proptest::prop_assert!(!error.to_string().chars().any(char::is_control));
                proptest::prop_assert!(error.to_string().chars().count() < 700);
                let certain = [400, 401, 403, 404, 413, 415, 429].contains(&status);
                proptest::prop_assert!(certain || !error.outcome_is_known());
            }
        }
    }

    #[test]
    fn missing_permissions_are_named() {
        let prefix = "Unable to perform the requested action. You must have at least one of the following permissions assigned:";
        for (code, message, expected) in [
            (
                "missing.any.permissions",
                format!("{prefix} [oauth:client:view, usage:client:view]"),
                vec!["oauth:client:view", "usage:client:view"],
            ),
            (
                "missing.permissions",
                "You are missing the following permission(s): telephony:plugin:all.".to_owned(),
                vec!["telephony:plugin:all"],
            ),
            ("missing.division.permission", "the following permission 'a:b_c:*' in the division(s)".to_owned(), vec!["a:b_c:*"]),
            ("not.authorized", "a:b:c".to_owned(), vec![]),
            ("missing.permissions", "time 10:20 [x:y]".to_owned(), vec![]),
        ] {
            let error = read(403, &body(403, code, &message));
            let found = error.missing_permissions().unwrap_or_default();
            assert_eq!(found, expected, "{message}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_bounded() {
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers), None);
        headers.insert(DATE, HeaderValue::from_static("Tue, 22 Sep 2026 10:00:00 GMT"));
        for (value, seconds) in [
            ("42", Some(42)),
            (" 0 ", Some(0)),
            ("86400", Some(180)),
            ("Tue, 22 Sep 2026 10:00:30 GMT", Some(30)),
            ("Tue, 22 Sep 2026 09:00:30 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
            assert_eq!(retry_after(&headers), seconds.map(Duration::from_secs), "{value}");
        }
        assert_eq!(date(&headers), Some("2026-09-22T10:00:00Z".parse().expect("a time")));
    }
}
