//! What every call has in common: token, budget, clock, classification. It opens no connection.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use http::header::AUTHORIZATION;
use jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;

use super::super::budget::{Budget, Work};
use super::super::credential_error::CredentialError;
use super::super::error::{Error, ErrorClass, Operation};
use super::super::model::{ClientState, GrantType};
use super::super::request::ClientRequest;
use super::super::testing::{
    Scripted, json_answer, login_refusal, no_answer, page, platform, platform_with, raw_answer, refusal_answer, token_answer,
};
use super::super::transport::TransportError;

fn new_client() -> ClientRequest {
    ClientRequest {
        name: "n".to_owned(),
        description: None,
        grant_type: GrantType::ClientCredentials,
        access_token_validity_seconds: None,
        redirect_uris: None,
        scopes: None,
        role_divisions: None,
        state: ClientState::Active,
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_renewed_once_and_the_call_made_again_even_a_post() {
    let created = json_answer(200, &json!({"id": "c1", "name": "n", "secret": "s"}));
    let transport = Scripted::in_order(vec![refusal_answer(401, "bad.credentials", "Invalid login credentials."), created]);
    let platform = platform(&transport);
    let slot = platform.slot().await.expect("a slot");
    tokio::time::sleep(Duration::from_secs(100)).await;
    let issued = platform.create_client(slot, &new_client()).await.expect("created");
    assert!(issued.secret.is_some());
    let tokens: Vec<_> = transport.requests().iter().map(|request| request.headers()[AUTHORIZATION].clone()).collect();
    assert_eq!(tokens, ["Bearer token-1", "Bearer token-2"]);
    assert_eq!(transport.requests()[0].body(), transport.requests()[1].body());
}

#[tokio::test(start_paused = true)]
async fn what_this_process_keeps_back_says_nothing_of_the_platform() {
    let transport = Scripted::new(|_| no_answer(TransportError::Withheld("the lease ends")));
    let platform = platform(&transport);
    for _ in 0..20 {
        let slot = platform.slot().await.expect("a slot");
        let error = platform.create_client(slot, &new_client()).await.expect_err("it was kept back");
        assert_eq!((error.class(), error.outcome_is_known()), (ErrorClass::Withheld, true));
        assert!(error.to_string().contains("the lease ends"), "{error}");
    }
    assert!(platform.budget().outage().is_none() && platform.probe_in().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_is_closed_lets_nobody_wait() {
    let transport = Scripted::new(|_| json_answer(200, &json!({"id": "o", "name": "o"})));
    let platform = platform_with(&transport, Arc::new(Budget::new(1)));
    platform.organization().await.expect("the first call goes");
    let waiting = (0..3).map(|_| platform.organization());
    let (waited, ()) = tokio::join!(futures::future::join_all(waiting), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        platform.close();
    });
    assert!(waited.iter().all(|one| one.as_ref().is_err_and(|error| error.class() == ErrorClass::Withheld)), "{waited:?}");
    let error = platform.organization().await.expect_err("nobody is let through");
    assert_eq!(error.class(), ErrorClass::Withheld);
    assert_eq!(transport.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_refused_twice_is_an_error_and_no_loop() {
    let transport = Scripted::new(|_| refusal_answer(401, "bad.credentials", "Invalid login credentials."));
    let platform = platform(&transport);
    for _ in 0..10 {
        let error = platform.organization().await.expect_err("refused");
        assert!(error.outcome_is_known());
    }
    assert!(transport.logins().len() <= 2 && transport.calls().len() <= 3, "{:?}", transport.calls());
    let transport = Scripted::with_login(vec![token_answer("t", 86_399), login_refusal("invalid_client", "authentication failed")], |_| {
        refusal_answer(401, "bad.credentials", "Invalid login credentials.")
    });
    let platform = super::super::testing::platform(&transport);
    let slot = platform.slot().await.expect("a slot");
    tokio::time::sleep(Duration::from_secs(100)).await;
    let error = platform.create_client(slot, &new_client()).await.expect_err("refused");
    assert!(matches!(error, Error::Credential(CredentialError::InvalidClient { .. })), "{error:?}");
    assert_eq!((error.class(), error.outcome_is_known()), (ErrorClass::Credential, true));
    assert_eq!(transport.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_second_try_keeps_within_the_time_of_the_first() {
    fn refusal() -> super::super::testing::Answer {
        refusal_answer(401, "bad.credentials", "m")
    }
    // No slot in time: the refusal stands, and nothing is sent late.
    let transport = Scripted::new(|_| refusal());
    let platform = platform_with(&transport, Arc::new(Budget::new(1)));
    let slot = platform.slot().await.expect("a slot");
    tokio::time::sleep(Duration::from_secs(20)).await;
    let begun = Instant::now();
    let error = platform.create_client(slot, &new_client()).await.expect_err("refused");
    assert_eq!((error.code(), begun.elapsed().as_secs()), (Some("bad.credentials"), 10));
    assert_eq!(transport.calls().len(), 1);
    // A second answer that would come after the time of the first is lost.
    let answer = json_answer(200, &json!({"id": "c1"})).after(Duration::from_secs(7));
    let transport = Scripted::in_order(vec![refusal().after(Duration::from_secs(6)), answer]);
    let platform = super::super::testing::platform(&transport);
    let slot = platform.slot().await.expect("a slot");
    tokio::time::sleep(Duration::from_secs(20)).await;
    let begun = Instant::now();
    let error = platform.create_client(slot, &new_client()).await.expect_err("lost");
    assert_eq!((error.outcome_is_known(), begun.elapsed().as_secs()), (false, 10));
}

#[tokio::test(start_paused = true)]
async fn other_refusals_of_a_token_are_not_repeated() {
    for code in ["authentication.required", "ip.not.authorized"] {
        let transport = Scripted::new(move |_| refusal_answer(401, code, "no"));
        assert_eq!(platform(&transport).organization().await.expect_err("refused").code(), Some(code));
        assert_eq!(transport.calls().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_token_nothing_is_sent_and_no_slot_is_spent() {
    let refused = || login_refusal("invalid_client", "authentication failed");
    let transport = Scripted::with_login(vec![refused(), refused()], |_| panic!("nothing may be sent"));
    let budget = Arc::new(Budget::new(1));
    let platform = platform_with(&transport, Arc::clone(&budget));
    let error = platform.organization().await.expect_err("no token");
    assert_eq!(error.class(), ErrorClass::Credential);
    assert!(platform.slot().await.is_err());
    assert!(budget.slot(&Work::default()).now_or_never().is_some_and(|slot| slot.is_ok()));
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_is_unknown_and_what_was_not_sent_is_known() {
    for (answer, known) in [
        (no_answer(TransportError::NotSent("connection refused".to_owned())), true),
        (no_answer(TransportError::Lost("reset".to_owned())), false),
        (raw_answer(200, "").after(Duration::from_secs(11)), false),
        (raw_answer(200, "<html>"), false),
        (json_answer(200, &json!({"name": "without an id"})), false),
        (refusal_answer(409, "request.conflict", "m"), false),
        (refusal_answer(500, "internal.server.error", "m"), false),
        (raw_answer(403, "<html>Forbidden"), false),
        (raw_answer(302, ""), false),
        (refusal_answer(400, "bad.client.role", "Client role is invalid."), true),
        (refusal_answer(429, "too.many.requests", "m"), true),
    ] {
        let transport = Scripted::in_order(vec![answer]);
        let platform = platform(&transport);
        let slot = platform.slot().await.expect("a slot");
        let error = platform.create_client(slot, &new_client()).await.expect_err("no success");
        assert_eq!(error.outcome_is_known(), known, "{error}");
        assert_eq!(transport.calls(), ["POST /api/v2/oauth/clients"], "sent once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_429_holds_the_whole_budget() {
    for (answer, seconds) in
        [(refusal_answer(429, "too.many.requests.retry.after", "m").with("retry-after", "42"), 42), (raw_answer(429, "busy"), 3)]
    {
        let transport = Scripted::in_order(vec![answer, json_answer(200, &json!({"id": "o", "name": "n"}))]);
        let platform = platform(&transport);
        let error = platform.organization().await.expect_err("throttled");
        assert!(error.is_throttled());
        let begun = Instant::now();
        platform.organization().await.expect("after the hold");
        assert_eq!(begun.elapsed(), Duration::from_secs(seconds));
    }
}

#[tokio::test(start_paused = true)]
async fn a_503_with_a_wait_says_so() {
    let transport = Scripted::in_order(vec![refusal_answer(503, "service.unavailable", "m").with("retry-after", "7")]);
    let error = platform(&transport).organization().await.expect_err("unavailable");
    assert_eq!((error.retry_after(), error.class()), (Some(Duration::from_secs(7)), ErrorClass::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn the_clock_is_the_platforms() {
    let body = json!({"id": "c1", "name": "n", "secret": "s"});
    let transport = Scripted::in_order(vec![
        raw_answer(502, "<html>").with("date", "Tue, 22 Sep 2020 10:00:00 GMT"),
        json_answer(200, &body).with("date", "Tue, 22 Sep 2026 10:00:00 GMT"),
        json_answer(200, &body),
    ]);
    let platform = platform(&transport);
    assert_eq!(platform.now(), None);
    platform.organization().await.expect_err("something in between");
    assert_eq!(platform.now(), None, "its clock is not the platform's");
    let slot = platform.slot().await.expect("a slot");
    let issued = platform.create_client(slot, &new_client()).await.expect("created");
    let date: Timestamp = "2026-09-22T10:00:00Z".parse().expect("a time");
    assert_eq!(issued.issued_at, date);
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert_eq!(platform.now(), date.checked_add(Duration::from_secs(90)).ok());
    let slot = platform.slot().await.expect("a slot");
    let reset = platform.reset_secret(slot, "c1").await.expect("reset");
    assert_eq!(Some(reset.issued_at), platform.now(), "without a Date");
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_is_an_error_of_its_own() {
    let transport = Scripted::new(|_| page(&json!([])));
    let platform = platform_with(&transport, Arc::new(Budget::new(1)));
    let _slot = platform.slot().await.expect("the first");
    let mut waiting: Vec<_> = (0..12).map(|_| Box::pin(platform.slot())).collect();
    let refused: Vec<Error> = waiting.iter_mut().filter_map(FutureExt::now_or_never).filter_map(Result::err).collect();
    let error = refused.first().expect("one is refused");
    assert!(error.outcome_is_known() && error.is_throttled());
    assert!(error.retry_after().is_some_and(|wait| wait > Duration::from_secs(600)), "{error}");
    assert!(transport.calls().is_empty());
}

#[test]
fn every_operation_has_a_name_and_the_platforms_words() {
    let names: std::collections::BTreeSet<&str> = Operation::ALL.iter().map(|operation| operation.name()).collect();
    assert_eq!(names.len(), Operation::ALL.len());
    assert_eq!(Operation::CreateClient.to_string(), "POST /api/v2/oauth/clients");
}

#[tokio::test(start_paused = true)]
async fn nothing_secret_is_shown() {
    let transport = Scripted::in_order(vec![json_answer(200, &json!({"id": "c1", "name": "n", "secret": "hush-hush"}))]);
    let platform = platform(&transport);
    let slot = platform.slot().await.expect("a slot");
    let before = format!("{slot:?} {platform:?}");
    let issued = platform.create_client(slot, &new_client()).await.expect("created");
    let shown = format!("{before} {issued:?}");
    for secret in ["hush-hush", "hunter2", "token-1"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn every_call_is_one_line_and_every_write_one_more_without_a_secret() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let transport = Scripted::in_order(vec![
        json_answer(200, &json!({"id": "c1", "name": "n", "secret": "hush-hush"})).with("inin-correlation-id", "corr-1"),
        no_answer(TransportError::Lost("reset".to_owned())),
    ]);
    let platform = platform(&transport);
    for _ in 0..2 {
        let slot = platform.slot().await.expect("a slot");
        let _ = platform.reset_secret(slot, "c1").await;
    }
    let text = String::from_utf8(log.0.lock().expect("lock").clone()).expect("text");
    let (audit, lines): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.contains(" audit: "));
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].contains("operation=\"GetToken\" status=200"), "{text}");
    assert!(lines[1].contains("operation=\"ResetClientSecret\" status=200 correlation=\"corr-1\" milliseconds=0"), "{text}");
    assert!(lines[2].contains("error=the response was lost: reset"), "{text}");
    let write = "platform write operation=\"ResetClientSecret\" request=\"POST /api/v2/oauth/clients/c1/secret\"";
    assert_eq!(audit.len(), 2, "{text}");
    assert!(audit[0].contains(&format!("{write} outcome=\"done\" correlation_id=\"corr-1\"")), "{text}");
    assert!(audit[1].contains(&format!("{write} outcome=\"unknown\" error=")) && audit[1].contains("reset"), "{text}");
    for secret in ["hush-hush", "hunter2", "token-1", "b3duLWlk"] {
        assert!(!text.contains(secret), "{text}");
    }
}
