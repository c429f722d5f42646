//! What the request budget achieves, in numbers. It judges nothing: `make figures FILTER=budget` reads what it prints.

use genesys_cloud_simulator::RateWindow;

use crate::{
    budget::{beside_a_hanging_organization, creates, evenness, outage, slots_of_an_emergency, troubles},
    budget_limits::beside_others,
};

const WINDOWS: [(&str, RateWindow); 2] = [("fixed", RateWindow::Fixed), ("sliding", RateWindow::Sliding)];

fn say(name: &str, value: f64) {
    println!("figure budget.{name} {value:.4}");
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[test]
#[ignore = "it measures: make figures FILTER=budget"]
fn creates_under_a_limit() {
    for (name, window) in WINDOWS {
        for rate in [300, 60] {
            let used = creates(rate, window, 1000);
            say(&format!("creates-{rate}.{name}.share"), used.share * 100.0);
            say(&format!("creates-{rate}.{name}.refused"), count(used.refused));
        }
    }
}

#[test]
#[ignore = "it measures: make figures FILTER=budget"]
fn a_limit_that_others_use() {
    for (name, window) in WINDOWS {
        let (shared, _) = beside_others(window);
        say(&format!("others.{name}.refused"), count(shared.refused));
        say(&format!("others.{name}.adapted-after"), shared.adapted_after);
    }
}

#[test]
#[ignore = "it measures: make figures FILTER=budget"]
fn order_of_service() {
    say("order.emergency-slots", f64::from(u32::try_from(slots_of_an_emergency(10_000)).unwrap_or(u32::MAX)));
    say("order.namespaces-jain", evenness());
}

#[test]
#[ignore = "it measures: make figures FILTER=budget"]
fn days_of_outage() {
    for (name, fault) in troubles() {
        let outage = outage(&fault, 24);
        say(&format!("outage-{name}.calls"), count(outage.calls));
        say(&format!("outage-{name}.logins"), count(outage.logins));
        say(&format!("outage-{name}.duplicates"), count(outage.duplicates));
        say(&format!("outage-{name}.recovered-after"), outage.recovered_after);
    }
}

#[test]
#[ignore = "it measures: make figures FILTER=budget"]
fn two_organizations() {
    let [alone, beside] = beside_a_hanging_organization();
    say("hanging.settled-alone", alone);
    say("hanging.settled-beside", beside);
    say("hanging.waited-for-it", (beside - alone).max(0.0));
}
