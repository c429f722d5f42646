//! Restarts of rollout targets, and what is waited for: the state of the workloads, never the order of calls.

use genesys_cloud_simulator::kubernetes::{Fault, FaultKind, Progress, Verb};
use genesys_oauth_operator::{
    api::condition::Reason,
    controller::{
        error::Error,
        oauth_client::{pass::Pass, rollouts},
    },
};
use serde_json::{Value, json};

use crate::bench::{Bench, KEY, OPERATOR, TEAM};

const ALL: [(&str, &str); 3] = [("Deployment", "web"), ("StatefulSet", "db"), ("DaemonSet", "agent")];
const RESOURCES: [(&str, &str); 3] = [("deployments", "web"), ("statefulsets", "db"), ("daemonsets", "agent")];

#[tokio::test]
async fn each_target_is_restarted_once_by_one_annotation() {
    let bench = Bench::allowed().await;
    let object = bench.targets(&ALL);
    let mut pass = Pass::new(&bench.context, &object);
    let before = RESOURCES.map(|(resource, name)| bench.workload(resource, name));
    assert_eq!(rollouts::restart(&mut pass, 5).await.expect("answered"), None);
    for ((resource, name), before) in RESOURCES.into_iter().zip(before) {
        let mut wished = before;
        wished["spec"]["template"]["metadata"]["annotations"][KEY] = json!("5");
        assert_eq!(bench.workload(resource, name)["spec"], wished["spec"], "exactly one annotation of {name} changed");
    }
    let [(reason, note)] = &bench.events()[..] else { panic!("one Event: {:?}", bench.events()) };
    assert_eq!(reason, "RolloutStarted");
    assert!(note.contains("Deployment \"web\", StatefulSet \"db\", DaemonSet \"agent\"") && note.contains("revision 5"), "{note}");

    let version = bench.kubernetes.resource_version();
    assert_eq!(rollouts::restart(&mut pass, 5).await.expect("answered"), None);
    assert_eq!(rollouts::restart(&mut pass, 4).await.expect("answered"), None, "never back to an older revision");
    assert_eq!(bench.kubernetes.resource_version(), version, "a second pass writes nothing");
    assert_eq!(rollouts::restart(&mut pass, 6).await.expect("answered"), None);
    assert_eq!(RESOURCES.map(|(resource, name)| bench.carried(resource, name)), [json!("6"), json!("6"), json!("6")]);
}

#[tokio::test]
async fn without_the_setting_nothing_is_touched_and_a_person_is_told() {
    let bench = Bench::new(&[], &["get", "patch"]).await;
    let object = bench.targets(&ALL);
    let mut pass = Pass::new(&bench.context, &object);
    let (reason, message) = rollouts::restart(&mut pass, 5).await.expect("answered").expect("forbidden");
    assert_eq!(reason, Reason::RolloutForbidden);
    assert!(message.contains("--rollout-targets") && message.contains("remove spec.rolloutTargets"), "{message}");
    assert!(rollouts::unfinished(&pass, 5).await.expect("answered").is_some(), "what may not be read is not finished");
    assert!(bench.kubernetes.log().iter().all(|request| request.user != OPERATOR), "nothing was asked of the API");

    let object = bench.declare(&json!({ "rolloutTargets": null }));
    let mut pass = Pass::new(&bench.context, &object);
    assert_eq!(rollouts::restart(&mut pass, 5).await.expect("answered"), None);
    assert_eq!(rollouts::unfinished(&pass, 5).await.expect("answered"), None);
}

#[tokio::test]
async fn without_the_right_nothing_is_touched_and_the_target_is_named() {
    for verbs in [&["get"][..], &["patch"], &[]] {
        let bench = Bench::new(&["--rollout-targets", "allowed"], verbs).await;
        let object = bench.targets(&[("Deployment", "web")]);
        let mut pass = Pass::new(&bench.context, &object);
        let (reason, message) = rollouts::restart(&mut pass, 5).await.expect("answered").expect("forbidden");
        assert_eq!(reason, Reason::RolloutForbidden);
        assert!(message.contains("Deployment \"web\"") && message.contains("ask its administrator"), "{message}");
        assert!(bench.carried("deployments", "web").is_null());
        assert!(rollouts::unfinished(&pass, 5).await.expect("answered").expect("unfinished").contains("Deployment \"web\""));
    }
}

#[tokio::test]
async fn a_target_that_refuses_holds_back_no_other() {
    let bench = Bench::allowed().await;
    let object = bench.targets(&ALL);
    let mut pass = Pass::new(&bench.context, &object);
    let refuse = |code| Fault::new(FaultKind::Status(code)).verb(Verb::Patch).resource("apps", "deployments");
    bench.kubernetes.plant(refuse(422).times(1));
    let (reason, message) = rollouts::restart(&mut pass, 5).await.expect("answered").expect("refused");
    assert_eq!(reason, Reason::RolloutForbidden);
    assert!(message.contains("refuses to restart Deployment \"web\"") && !message.contains("agent"), "{message}");
    assert_eq!((bench.carried("deployments", "web"), bench.carried("daemonsets", "agent")), (Value::Null, json!("5")));
    for code in [429, 500, 503] {
        bench.kubernetes.plant(refuse(code).times(1));
        assert!(matches!(rollouts::restart(&mut pass, 5).await, Err(Error::Kubernetes { .. })), "{code} may pass: it is tried again");
    }
    assert_eq!(rollouts::restart(&mut pass, 5).await.expect("answered"), None);
    assert_eq!(bench.carried("deployments", "web"), json!("5"));
}

#[tokio::test]
async fn a_restart_survives_conflicts_and_a_lost_answer() {
    let bench = Bench::allowed().await;
    let object = bench.targets(&[("Deployment", "web")]);
    let mut pass = Pass::new(&bench.context, &object);
    let fault = |kind| Fault::new(kind).verb(Verb::Patch).resource("apps", "deployments").times(1);
    bench.kubernetes.plant(fault(FaultKind::Conflict));
    assert_eq!(rollouts::restart(&mut pass, 5).await.expect("answered"), None);
    assert_eq!(bench.carried("deployments", "web"), json!("5"));
    bench.kubernetes.plant(fault(FaultKind::LostResponse));
    assert!(rollouts::restart(&mut pass, 6).await.is_err());
    let version = bench.kubernetes.resource_version();
    assert_eq!(rollouts::restart(&mut pass, 6).await.expect("answered"), None);
    assert_eq!((bench.carried("deployments", "web"), bench.kubernetes.resource_version()), (json!("6"), version), "restarted once");
    bench.kubernetes.plant(fault(FaultKind::Conflict).times(0));
    assert!(matches!(rollouts::restart(&mut pass, 7).await, Err(Error::Stale)), "a workload that never rests is left for the next pass");
}

#[tokio::test]
async fn a_target_that_does_not_exist_has_nothing_to_restart() {
    let bench = Bench::allowed().await;
    let object = bench.targets(&[("Deployment", "gone"), ("StatefulSet", "db")]);
    for _ in 0..3 {
        let mut pass = Pass::new(&bench.context, &object);
        assert_eq!(rollouts::restart(&mut pass, 5).await.expect("answered"), None);
    }
    assert_eq!(bench.count("RolloutTargetMissing"), 1, "{:?}", bench.events());
    assert!(bench.events().iter().any(|(_, note)| note.contains("Deployment \"gone\" does not exist")));
    bench.kubernetes.set_rollout("statefulsets", TEAM, "db", Progress::Complete);
    assert_eq!(rollouts::unfinished(&Pass::new(&bench.context, &object), 5).await.expect("answered"), None);
}

#[tokio::test]
async fn what_is_waited_for_is_said_of_each_target() {
    let bench = Bench::allowed().await;
    let object = bench.targets(&[("Deployment", "web"), ("StatefulSet", "db")]);
    let mut pass = Pass::new(&bench.context, &object);
    let words = rollouts::unfinished(&pass, 5).await.expect("answered").expect("unfinished");
    assert!(words.starts_with("Deployment \"web\": not restarted for revision 5 yet. StatefulSet \"db\": not restarted"), "{words}");
    assert_eq!(rollouts::restart(&mut pass, 5).await.expect("answered"), None);
    let mut steps = vec![];
    for progress in [Progress::Unseen, Progress::Updated(1), Progress::Stuck, Progress::Complete] {
        bench.kubernetes.set_rollout("deployments", TEAM, "web", progress);
        bench.kubernetes.set_rollout("statefulsets", TEAM, "db", Progress::Complete);
        steps.push(rollouts::unfinished(&pass, 5).await.expect("answered").unwrap_or_default());
    }
    assert_eq!(
        steps,
        [
            "Deployment \"web\": its controller has not seen the restart yet",
            "Deployment \"web\": 1 of 3 pods updated",
            "Deployment \"web\": 0 of 3 pods updated; it exceeded its progress deadline: look at its pods",
            "",
        ]
    );
    bench.kubernetes.plant(Fault::new(FaultKind::Status(503)).verb(Verb::Get).resource("apps", "deployments"));
    assert!(rollouts::unfinished(&pass, 5).await.is_err(), "an API that does not answer has nothing finished");
}
