//! From the connections of this process to samples: budgets, scans and calls of each organization. Reads what is known; asks the platform nothing.

use std::{fmt, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    calls::Tally,
    catalog,
    page::{Distribution, Page},
};
use crate::genesys::{BudgetView, ClassView, Operation};

/// The hosts that have a budget each.
pub const HOSTS: [&str; 2] = ["api", "login"];

/// What is known of the connection to one organization.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The name of its object.
    pub organization: String,
    /// The budgets of the API and of the login host, once there is a client for them.
    pub budgets: Option<[BudgetView; 2]>,
    /// When the list of all clients was begun that was compared last; before the first, when the process began to work.
    pub scanned: Option<Timestamp>,
    /// The calls that were made.
    pub calls: Option<Arc<Tally>>,
}

/// Writes all that the connections tell.
pub fn write(connections: &[Connection], page: &mut Page<'_>) -> fmt::Result {
    let scans = connections.iter().filter_map(|connection| {
        #[allow(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^52")]
        let at = connection.scanned?.as_second() as f64;
        Some(([connection.organization.clone()], at))
    });
    page.gauges(&catalog::SCAN, scans)?;
    let budgets: Vec<([String; 2], &BudgetView)> = connections
        .iter()
        .flat_map(|connection| {
            let views = connection.budgets.iter().flatten().zip(HOSTS);
            views.map(|(view, host)| ([connection.organization.clone(), host.to_owned()], view))
        })
        .collect();
    let each = |value: fn(&BudgetView) -> f64| budgets.iter().map(move |(labels, view)| (labels.clone(), value(view)));
    page.gauges(&catalog::BUDGET_CEILING, each(|view| view.ceiling))?;
    page.gauges(&catalog::BUDGET_RATE, each(|view| view.rate))?;
    page.gauges(&catalog::BUDGET_TOKENS, each(|view| view.tokens))?;
    #[allow(clippy::cast_precision_loss, reason = "a queue is far shorter than 2^52")]
    let queues = classes(&budgets).map(|(labels, class)| (labels, class.queued as f64));
    page.gauges(&catalog::BUDGET_QUEUE, queues)?;
    page.histograms(&catalog::BUDGET_WAIT, classes(&budgets).map(|(labels, class)| (labels, waits(class))))?;
    page.counters(&catalog::BUDGET_THROTTLED, budgets.iter().map(|(labels, view)| (labels.clone(), view.throttled)))?;
    page.gauges(&catalog::BREAKER_OPEN, each(|view| truth(view.down.is_some())))?;
    let closed = connections.iter().filter_map(|connection| {
        let [api, _] = connection.budgets.as_ref()?;
        Some(([connection.organization.clone()], truth(api.creates_closed.is_some())))
    });
    page.gauges(&catalog::CREATES_CLOSED, closed)?;
    let calls: Vec<(&String, &Tally)> =
        connections.iter().filter_map(|connection| Some((&connection.organization, connection.calls.as_deref()?))).collect();
    let counted = calls.iter().flat_map(|(organization, tally)| {
        let sample = |((operation, outcome), count): ((Operation, &str), u64)| {
            ([(*organization).clone(), operation.name().to_owned(), outcome.to_owned()], count)
        };
        tally.counted().into_iter().map(sample).collect::<Vec<_>>()
    });
    page.counters(&catalog::PLATFORM_CALLS, counted)?;
    page.each(&catalog::PLATFORM_CALL_DURATION, calls.iter().map(|(organization, tally)| ([(*organization).clone()], tally.durations())))
}

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

fn classes<'a>(budgets: &'a [([String; 2], &'a BudgetView)]) -> impl Iterator<Item = ([String; 3], &'a ClassView)> {
    budgets.iter().flat_map(|([organization, host], view)| {
        view.classes.iter().map(|class| ([organization.clone(), host.clone(), class.class.name().to_owned()], class))
    })
}

fn waits(class: &ClassView) -> Distribution {
    let bounds = ClassView::WAIT_BOUNDS.map(|bound| Duration::from_secs(bound).as_secs_f64()).into_iter().chain([f64::INFINITY]);
    Distribution { sum: class.waited.as_secs_f64(), count: class.served, buckets: bounds.zip(class.waits).collect() }
}
