//! What the kubelet hears of an operator before a Kubernetes API that is away, silent or frozen: one that hangs is restarted, one that waits is
//! not. The bounds that keep the program itself from hanging are taken away where a test needs something that hangs.

use std::time::Duration;

use genesys_cloud_simulator::kubernetes::{Fault, FaultKind, Verb};
use genesys_oauth_operator::{api::GROUP, connection::Limits, observability::probes::Standing};
use serde_json::json;

use crate::{
    availability::{Replica, furnish, holds},
    mishaps::minutes,
    objects::TEAM,
    process::OPERATOR,
    rotating::CLIENTS,
    scenario::once,
    world::{Plan, World},
};

/// An operator that waits for every answer without end.
fn unbounded() -> Limits {
    let ever = Duration::from_secs(365 * 86_400);
    Limits { call: ever, list: ever, watch: ever, ..Limits::default() }
}

fn struck(kind: FaultKind) -> Fault {
    Fault::new(kind).user(OPERATOR).times(0)
}

/// Lets a new process begin with what fails being over.
async fn begin_anew(world: &World) {
    world.kill();
    world.clear_faults();
    world.start();
    world.until("the new process to work", |world| (world.pulse().standing() == Standing::Working).then_some(())).await;
}

#[test]
fn a_list_or_a_watch_that_hangs_is_told_and_a_new_process_works() {
    for verb in [Verb::List, Verb::Watch] {
        once(Plan::new(91).limits(unbounded()), async |world| {
            world.kill();
            world.kubernetes.plant(struck(FaultKind::Hang).verb(verb).resource(GROUP, CLIENTS));
            world.start();
            minutes(14).await;
            assert_eq!(world.pulse().fault(), None, "{verb:?}: it may still be answered");
            let Standing::Starting(lacks) = world.pulse().standing() else { panic!("{verb:?}: it has not seen the clients") };
            assert!(lacks.contains("the clients"), "{lacks}");
            minutes(3).await;
            let fault = world.pulse().fault().expect("it hangs");
            assert!(fault.contains("the clients"), "{fault}");
            assert!(world.metrics().contains("\ngenesys_oauth_leading 0"), "nobody works, and nobody is told");
            begin_anew(world).await;
        });
    }
}

#[test]
fn a_pass_that_hangs_is_told() {
    once(Plan::new(92).limits(unbounded()), async |world| {
        world.kubernetes.plant(Fault::new(FaultKind::Hang).user(OPERATOR).verb(Verb::Create).resource("", "secrets").namespace(TEAM));
        world.declare("billing", &json!({}));
        minutes(29).await;
        assert_eq!(world.pulse().fault(), None);
        minutes(3).await;
        let fault = world.pulse().fault().expect("it hangs");
        assert!(fault.contains("billing"), "{fault}");
        begin_anew(world).await;
        world.settles("billing").await;
    });
}

#[test]
fn an_api_server_that_is_away_or_silent_is_no_reason_for_a_restart() {
    for kind in [FaultKind::RefuseConnection, FaultKind::Hang, FaultKind::Status(503), FaultKind::Status(403)] {
        // At work, and at the start.
        for fresh in [false, true] {
            once(93, async |world| {
                world.declare("billing", &json!({}));
                world.settles("billing").await;
                world.kubernetes.plant(struck(kind.clone()));
                world.kubernetes.disconnect_watches(OPERATOR);
                if fresh {
                    world.kill();
                    world.start();
                }
                for _ in 0..120 {
                    minutes(1).await;
                    assert_eq!(world.pulse().fault(), None, "{kind:?}");
                    assert_eq!(
                        matches!(world.pulse().standing(), Standing::Starting(_)),
                        fresh,
                        "{kind:?}: {:?}",
                        world.pulse().standing()
                    );
                }
                world.clear_faults();
                world.until("it to work", |world| (world.pulse().standing() == Standing::Working).then_some(())).await;
                // What scans did not tell for hours is told at the next look at each object.
                minutes(15).await;
            });
        }
    }
}

#[test]
fn a_watch_without_news_is_alive() {
    once(94, async |world| {
        world.declare("billing", &json!({}));
        world.settles("billing").await;
        for _ in 0..180 {
            minutes(1).await;
            assert_eq!(world.pulse().fault(), None);
        }
    });
}

#[test]
fn a_replica_that_waits_is_ready_and_one_that_knows_nothing_is_not() {
    once(Plan::new(95).bare(), async |world| {
        furnish(world);
        let first = Replica::start(world, "first");
        holds(world, "first").await;
        world.organization_shows("Ready=True/Available").await;
        let second = Replica::start(world, "second");
        minutes(1).await;
        assert_eq!(first.operator.metrics.pulse.standing(), Standing::Working);
        assert_eq!(second.operator.metrics.pulse.standing(), Standing::Waiting);
        second.kill();
        first.kill();
        world.kubernetes.plant(struck(FaultKind::RefuseConnection));
        let third = Replica::start(world, "third");
        minutes(60).await;
        let pulse = &third.operator.metrics.pulse;
        assert!(matches!(pulse.standing(), Standing::Starting(_)) && pulse.fault().is_none(), "{:?}", pulse.standing());
        third.kill();
    });
}
