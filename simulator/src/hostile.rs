//! The answers of a platform that means harm: endless, dripping, unfolding, nested, leading elsewhere. It must not carry out a call.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, LOCATION};

use crate::faults::{Fault, FaultKind};

/// How many lists deep a nested answer is.
const DEPTH: usize = 100_000;
/// The pause between two bytes of an answer that drips.
const DRIP: Duration = Duration::from_millis(100);
/// How often a gzip bomb repeats 258 bytes: 25 MiB in 163 KiB.
const REPEATS: usize = 100_000;

/// The answer of a hostile kind; none of the others.
pub(crate) fn answer(fault: &Fault) -> Option<Response> {
    let body = match fault.kind {
        FaultKind::Endless => {
            Body::from_stream(stream::unfold(0_u64, |number| async move { Some((Ok::<_, Infallible>(part(number)), number + 1)) }))
        }
        FaultKind::Drip => Body::from_stream(stream::unfold((), |()| async {
            tokio::time::sleep(DRIP).await;
            Some((Ok::<_, Infallible>(Bytes::from_static(b" ")), ()))
        })),
        FaultKind::GzipBomb => Body::from(gzip_of_zeros(REPEATS)),
        FaultKind::Nested => Body::from("[".repeat(DEPTH) + &"]".repeat(DEPTH)),
        FaultKind::Redirect => Body::empty(),
        _ => return None,
    };
    let mut response = Response::new(body);
    let usual = if fault.kind == FaultKind::Redirect { 307 } else { 200 };
    *response.status_mut() = StatusCode::from_u16(fault.status.unwrap_or(usual)).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    match fault.kind {
        FaultKind::GzipBomb => drop(headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"))),
        FaultKind::Redirect => {
            let place = fault.body.as_ref().and_then(serde_json::Value::as_str).unwrap_or("/");
            headers.extend(HeaderValue::from_str(place).ok().map(|place| (LOCATION, place)));
        }
        _ => {}
    }
    Some(response)
}

/// One part of a list that never ends: clients that take far more memory than their text, each with an id of its own.
fn part(number: u64) -> Bytes {
    let mut text = if number == 0 { r#"{"entities":["#.to_owned() } else { String::new() };
    for entry in 0..10 {
        // Writing to a String cannot fail.
        let _ = write!(text, r#"{{"id":"{number}-{entry}","scope":[{}""],"x":[{}0]}},"#, r#""","#.repeat(1000), r#"{"":0},"#.repeat(500));
    }
    Bytes::from(text)
}

/// A gzip stream of `1 + 258 × repeats` zeros: one fixed Huffman block of one literal and many matches (RFC 1951 §3.2.6). It does not end.
#[must_use]
pub fn gzip_of_zeros(repeats: usize) -> Vec<u8> {
    let mut bits = vec![true, true, false];
    // Literal 0 is 00110000, length 258 is 11000101, distance 1 is 00000.
    let push = |bits: &mut Vec<bool>, code: &str| bits.extend(code.chars().map(|bit| bit == '1'));
    push(&mut bits, "00110000");
    for _ in 0..repeats {
        push(&mut bits, "1100010100000");
    }
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    for eight in bits.chunks(8) {
        bytes.push(eight.iter().enumerate().fold(0, |byte, (place, bit)| byte | (u8::from(*bit) << place)));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use super::*;
    use crate::operations::Operation;

    #[tokio::test(start_paused = true)]
    async fn each_kind_is_what_it_says() {
        let response = |kind| answer(&Fault::on(Operation::ListClients, kind)).expect("hostile");
        let mut endless = response(FaultKind::Endless).into_body().into_data_stream();
        let mut text = String::new();
        for _ in 0..3 {
            let part = endless.next().await.expect("it goes on").expect("no error");
            text.push_str(std::str::from_utf8(&part).expect("text"));
        }
        let list: serde_json::Value = serde_json::from_str(&format!("{}]}}", text.trim_end_matches(','))).expect("so far it is a list");
        assert_eq!(list["entities"].as_array().map(Vec::len), Some(30));
        let mut drip = response(FaultKind::Drip).into_body().into_data_stream();
        assert_eq!(drip.next().await.expect("it goes on").expect("no error"), " ");
        let redirect = Fault { body: Some("http://elsewhere/".into()), ..Fault::on(Operation::GetToken, FaultKind::Redirect) };
        let redirect = answer(&redirect).expect("hostile");
        assert_eq!((redirect.status().as_u16(), &redirect.headers()[LOCATION]), (307, &HeaderValue::from_static("http://elsewhere/")));
        assert_eq!(response(FaultKind::GzipBomb).headers()[CONTENT_ENCODING], "gzip");
        assert!(answer(&Fault::on(Operation::GetToken, FaultKind::Html)).is_none());
    }
}
