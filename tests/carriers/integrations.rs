//! Writes of integration credentials: what they hold afterwards, and what is refused.

use std::time::Duration;

use genesys_cloud_simulator::{Fault, FaultKind, Operation};
use genesys_oauth_operator::{api::condition::Reason, controller::oauth_client::pass::Pass, genesys::ErrorClass, secret::Credential};
use serde_json::json;

use crate::bench::{Bench, organization, stale};

#[tokio::test]
async fn an_integration_credential_receives_each_new_credential_once() {
    let bench = Bench::allowed().await;
    let (by_name, by_id) = (bench.integration("data actions"), bench.integration("bots"));
    let object = bench.declare(&json!({"integrationCredentials": [{"credential": "data actions"}, {"credential": by_id}]}));
    let mut pass = Pass::new(&bench.context, &object);
    let first = bench.credential(5);
    assert_eq!(bench.write(&mut pass, &first).await, Ok(None));
    assert!(bench.simulator.credential_works(&by_name) && bench.simulator.credential_works(&by_id));
    assert_eq!(bench.puts(), 2);
    let [(reason, note)] = &bench.events()[..] else { panic!("one Event: {:?}", bench.events()) };
    assert_eq!(reason, "IntegrationCredentialWritten");
    assert!(note.contains("revision 5") && note.contains("\"data actions\"") && note.contains(&by_id), "{note}");
    let record: Vec<_> = pass.status.integration_credentials.iter().map(|one| (one.id.as_str(), one.revision)).collect();
    assert_eq!(record, [(by_name.as_str(), 5), (by_id.as_str(), 5)]);
    assert!(pass.status.integration_credentials.iter().all(|one| one.modified_date.is_some()));

    bench.clock.advance(Duration::from_secs(60));
    assert_eq!(bench.write(&mut pass, &first).await, Ok(None));
    assert_eq!(bench.puts(), 2, "what it holds is not written again");
    let second = bench.credential(6);
    assert_eq!(bench.write(&mut pass, &second).await, Ok(None));
    assert!(bench.simulator.remove_client(&first.client_id));
    assert!(bench.puts() == 4 && bench.simulator.credential_works(&by_name) && bench.simulator.credential_works(&by_id));

    bench.clock.advance(Duration::from_secs(60));
    assert!(bench.simulator.edit_integration_credential(&by_id, stale()));
    assert_eq!(bench.write(&mut pass, &second).await, Ok(None));
    assert!(bench.puts() == 5 && bench.simulator.credential_works(&by_id), "what somebody else wrote is written again");
    let shown = format!("{:?} {:?}", pass.status, bench.events());
    let secret = secrecy::ExposeSecret::expose_secret(second.client_secret.as_ref().expect("a secret")).to_owned();
    assert!(!shown.contains(&secret), "no secret outside of its place");
}

#[tokio::test]
async fn what_is_not_named_any_more_is_forgotten() {
    let bench = Bench::allowed().await;
    let (one, two) = (bench.integration("one"), bench.integration("two"));
    let credential = bench.credential(5);
    let object = bench.declare(&json!({"integrationCredentials": [{"credential": "one"}, {"credential": "two"}]}));
    let mut pass = Pass::new(&bench.context, &object);
    assert_eq!(bench.write(&mut pass, &credential).await, Ok(None));
    let ids = |pass: &Pass<'_>| pass.status.integration_credentials.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&pass), [one, two.clone()]);
    pass.object = bench.declare(&json!({"integrationCredentials": [{"credential": "two"}]}));
    assert_eq!(bench.write(&mut pass, &credential).await, Ok(None));
    assert_eq!(ids(&pass), [two]);
    pass.object = bench.declare(&json!({"integrationCredentials": null}));
    let calls = bench.simulator.calls().len();
    assert_eq!(bench.write(&mut pass, &credential).await, Ok(None));
    assert_eq!((ids(&pass).len(), bench.simulator.calls().len()), (0, calls), "none named costs no call");
}

#[tokio::test]
async fn access_lists_the_integration_credentials_of_one_entry() {
    let mut bench = Bench::allowed().await;
    let (allowed, other) = (bench.integration("allowed"), bench.integration("other"));
    let credential = bench.credential(5);
    for access in [&[][..], &[allowed.as_str()]] {
        bench.organization = organization(access);
        let object = bench.declare(&json!({"integrationCredentials": [{"credential": "allowed"}, {"credential": "other"}]}));
        let mut pass = Pass::new(&bench.context, &object);
        let (reason, message) = bench.write(&mut pass, &credential).await.expect("answered").expect("denied");
        assert_eq!(reason, Reason::AccessDenied);
        assert!(message.contains(&other) && message.contains("spec.integrationCredentials"), "{message}");
    }
    assert!(bench.puts() == 0 && !bench.simulator.credential_works(&allowed), "nothing is written in part");
    let object = bench.declare(&json!({"integrationCredentials": [{"credential": "allowed"}]}));
    assert_eq!(bench.write(&mut Pass::new(&bench.context, &object), &credential).await, Ok(None));
    assert!(bench.simulator.credential_works(&allowed) && !bench.simulator.credential_works(&other));
}

#[tokio::test]
async fn what_cannot_be_written_is_said_and_holds_back_no_other() {
    let bench = Bench::allowed().await;
    let good = bench.integration("good");
    bench.integration("twin");
    bench.integration("twin");
    let fields = [("userName", "u"), ("password", "p")].map(|(field, value)| (field.to_owned(), value.to_owned()));
    let basic = bench.simulator.add_integration_credential("basic", "basicAuth", fields.into());
    let names = ["absent", "twin", "basic", "good"].map(|name| json!({ "credential": name }));
    let object = bench.declare(&json!({ "integrationCredentials": names }));
    let mut pass = Pass::new(&bench.context, &object);
    let (reason, message) = bench.write(&mut pass, &bench.credential(5)).await.expect("answered").expect("a problem");
    assert_eq!(reason, Reason::InvalidSpec);
    for words in
        ["no integration credential \"absent\"", "several integration credentials are named \"twin\"", "\"basic\" is of type basicAuth"]
    {
        assert!(message.contains(words), "{message}");
    }
    assert!(bench.puts() == 1 && bench.simulator.credential_works(&good), "the good one alone is written");
    assert!(pass.status.integration_credentials.iter().all(|one| one.id == good && one.id != basic));

    let public = Credential { client_secret: None, ..bench.credential(6) };
    let (reason, message) = bench.write(&mut pass, &public).await.expect("answered").expect("a problem");
    assert!(reason == Reason::InvalidSpec && message.contains("no secret"), "{message}");
}

#[tokio::test]
async fn a_write_without_an_answer_is_made_again_and_those_before_it_are_kept() {
    let bench = Bench::allowed().await;
    let ids = ["one", "two"].map(|name| bench.integration(name));
    let object = bench.declare(&json!({"integrationCredentials": [{"credential": "one"}, {"credential": "two"}]}));
    let mut pass = Pass::new(&bench.context, &object);
    let credential = bench.credential(5);
    bench.simulator.plant(Fault::on(Operation::UpdateCredential, FaultKind::LostResponse).skipping(1).times(1));
    assert!(bench.write(&mut pass, &credential).await.is_err_and(|error| !error.outcome_is_known()));
    assert_eq!(pass.status.integration_credentials.len(), 1, "the first one is recorded");
    assert_eq!(bench.write(&mut pass, &credential).await, Ok(None));
    assert_eq!((bench.puts(), pass.status.integration_credentials.len()), (3, 2));
    assert!(ids.iter().all(|id| bench.simulator.credential_works(id)));
    bench.simulator.plant(Fault::status(Operation::ListCredentials, 503));
    assert!(bench.write(&mut pass, &credential).await.is_err());
}

#[tokio::test]
async fn one_that_is_named_twice_is_written_once() {
    let bench = Bench::allowed().await;
    let id = bench.integration("data actions");
    let object = bench.declare(&json!({"integrationCredentials": [{"credential": "data actions"}, {"credential": id}]}));
    let mut pass = Pass::new(&bench.context, &object);
    let credential = bench.credential(5);
    for _ in 0..2 {
        assert_eq!(bench.write(&mut pass, &credential).await, Ok(None));
        let names: Vec<_> = pass.status.integration_credentials.iter().map(|one| one.credential.as_str()).collect();
        assert_eq!((names, bench.puts()), (vec!["data actions", id.as_str()], 1));
    }
}

#[tokio::test]
async fn one_that_the_platform_refuses_holds_back_no_other() {
    let bench = Bench::allowed().await;
    let ids = ["one", "two"].map(|name| bench.integration(name));
    let object = bench.declare(&json!({"integrationCredentials": [{"credential": "one"}, {"credential": "two"}]}));
    let mut pass = Pass::new(&bench.context, &object);
    bench.simulator.plant(Fault::status(Operation::UpdateCredential, 400).times(1));
    assert!(bench.write(&mut pass, &bench.credential(5)).await.is_err_and(|error| error.class() == ErrorClass::Rejected));
    assert_eq!(ids.map(|id| bench.simulator.credential_works(&id)), [false, true]);
    assert_eq!(pass.status.integration_credentials.len(), 1);
}
