//! The budget as its callers see it: the limit, the order, refusals and outages. It opens no connection.

use futures::FutureExt;
use proptest::prelude::*;

use super::breaker::OPENS_AT;
use super::core::LONGEST_WAIT;
use super::*;

const WINDOW: Duration = Duration::from_secs(60);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn budget(rate: u32) -> Arc<Budget> {
    Arc::new(Budget::new(rate))
}

fn usual() -> Work {
    Work::default()
}

/// A call that is answered at once.
async fn call(budget: &Arc<Budget>) -> Result<(), NoSlot> {
    call_with(budget, &usual(), Outcome::Answered).await
}

async fn call_with(budget: &Arc<Budget>, work: &Work, outcome: Outcome) -> Result<(), NoSlot> {
    let mut permit = budget.slot(work).await?;
    permit.spend();
    permit.answered(outcome, None);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_sixth_goes_at_once_and_the_rest_evenly() {
    let budget = budget(60);
    let begun = Instant::now();
    for _ in 0..10 {
        call(&budget).await.expect("at once");
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert!(budget.slot(&usual()).now_or_never().is_none());
    call(&budget).await.expect("one a second");
    assert!(begun.elapsed() > Duration::from_millis(900) && begun.elapsed() < Duration::from_millis(1100));
}

#[tokio::test(start_paused = true)]
async fn the_most_urgent_goes_first_whoever_came_before() {
    let budget = budget(6);
    call(&budget).await.expect("the first");
    let order = Arc::new(Mutex::new(Vec::new()));
    let classes = [Class::Scan, Class::Update, Class::Update, Class::Create, Class::Delete, Class::UrgentRotation, Class::Emergency];
    let wait = |class: Class| {
        let (budget, order) = (Arc::clone(&budget), Arc::clone(&order));
        async move {
            call_with(&budget, &Work::new(class, "a"), Outcome::Answered).await.expect("a slot");
            order.lock().expect("lock").push(class);
        }
    };
    futures::future::join_all(classes.map(wait)).await;
    let mut order = order.lock().expect("lock").clone();
    // The scan owns a slot of the interval.
    assert_eq!(order.remove(1), Class::Scan);
    assert!(order.is_sorted(), "{order:?}");
    let view = budget.view();
    assert_eq!(view.classes.iter().map(|class| class.served).sum::<u64>(), 8);
    assert_eq!(view.classes.iter().map(|class| class.queued).sum::<usize>(), 0);
}

#[tokio::test(start_paused = true)]
async fn it_is_at_leisure_while_more_than_half_is_left_and_nothing_is_in_the_way() {
    let budget = budget(60);
    for _ in 0..5 {
        assert!(budget.is_at_leisure());
        call(&budget).await.expect("at once");
    }
    assert!(!budget.is_at_leisure(), "five of ten are left");
    tokio::time::advance(seconds(1)).await;
    assert!(budget.is_at_leisure());
    call_with(&budget, &usual(), Outcome::Throttled(Some(seconds(42)))).await.expect("a slot");
    assert!(!budget.is_at_leisure(), "the platform asked for silence");
    tokio::time::advance(seconds(600)).await;
    assert!(budget.is_at_leisure());
    for _ in 0..OPENS_AT {
        call_with(&budget, &usual(), Outcome::Failed(None)).await.expect("a slot");
        tokio::time::advance(seconds(60)).await;
    }
    assert!(!budget.is_at_leisure(), "the platform is down");
}

#[tokio::test(start_paused = true)]
async fn what_the_inventory_asks_goes_last() {
    let budget = budget(6);
    call(&budget).await.expect("the first");
    let (inventory, usual) = (Work::new(Class::Inventory, ""), usual());
    let asked = budget.slot(&inventory);
    tokio::pin!(asked);
    assert!(asked.as_mut().now_or_never().is_none() && !budget.is_at_leisure());
    let wanted = budget.slot(&usual);
    tokio::pin!(wanted);
    tokio::select! {
        biased;
        _ = &mut asked => panic!("it came first, and an edit later"),
        _ = &mut wanted => {}
    }
    drop(asked.await.expect("its slot"));
}

#[tokio::test(start_paused = true)]
async fn a_429_holds_everybody_and_what_was_learnt_is_shown() {
    let budget = budget(60);
    for _ in 0..4 {
        call(&budget).await.expect("at once");
    }
    call_with(&budget, &usual(), Outcome::Throttled(Some(seconds(42)))).await.expect("a slot");
    let begun = Instant::now();
    assert_eq!((budget.view().held, budget.view().ceiling), (seconds(42), 60.0));
    assert!(budget.view().rate < 60.0 && budget.expected_wait(&usual()) >= seconds(42));
    call(&budget).await.expect("after the hold");
    assert!(begun.elapsed() >= seconds(42));
    call_with(&budget, &usual(), Outcome::Throttled(Some(seconds(86_400)))).await.expect("a slot");
    assert_eq!(budget.view().held, seconds(180), "longer than the platform's rule waits");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_not_worth_it_is_refused_but_to_an_emergency() {
    let budget = budget(1);
    call(&budget).await.expect("the first");
    let work = usual();
    let mut waiting: Vec<_> = (0..9).map(|_| Box::pin(budget.slot(&work))).collect();
    for waiter in &mut waiting {
        assert!(waiter.now_or_never().is_none());
    }
    let mut refused = Box::pin(budget.slot(&work));
    let error = (&mut refused).now_or_never().expect("no wait").expect_err("too long");
    assert!(matches!(error, NoSlot::Exhausted { expected_wait } if expected_wait > LONGEST_WAIT), "{error}");
    let emergency = Work::new(Class::Emergency, "a");
    assert!(budget.expected_wait(&emergency) <= seconds(121));
    assert!(budget.expected_wait(&Work::new(Class::Update, "another")) < budget.expected_wait(&work), "others have their own turn");
    drop((waiting, refused));
    assert!(budget.expected_wait(&work) <= seconds(121), "who went away gave up his place");
    call(&budget).await.expect("the second");
}

#[tokio::test(start_paused = true)]
async fn a_changed_rate_reaches_those_who_wait() {
    let budget = budget(1);
    call(&budget).await.expect("the first");
    let waiter = tokio::spawn({
        let budget = Arc::clone(&budget);
        async move { call(&budget).await.map(|()| Instant::now()) }
    });
    tokio::time::sleep(seconds(1)).await;
    let begun = Instant::now();
    budget.set_rate(600);
    let granted = waiter.await.expect("no panic").expect("a slot");
    assert!(granted - begun < seconds(1));
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_was_not_used_goes_to_another() {
    let budget = budget(1);
    let permit = budget.slot(&usual()).await.expect("the first");
    assert!(budget.slot(&usual()).now_or_never().is_none());
    drop(permit);
    assert!(budget.slot(&usual()).now_or_never().is_some_and(|slot| slot.is_ok()));
}

#[tokio::test(start_paused = true)]
async fn a_call_under_way_counts_until_a_minute_after_its_answer() {
    let budget = budget(2);
    let begun = Instant::now();
    let mut permit = budget.slot(&usual()).await.expect("the first");
    permit.spend();
    tokio::time::sleep(seconds(35)).await;
    call(&budget).await.expect("the second");
    tokio::time::sleep(seconds(5)).await;
    permit.answered(Outcome::Answered, None);
    call(&budget).await.expect("the third");
    assert!(begun.elapsed() >= seconds(95), "the platform may have counted both late: {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_row_of_failures_ends_all_waiting_and_one_probe_ends_the_outage() {
    let budget = budget(6);
    let date: Timestamp = "2026-01-05T08:00:00Z".parse().expect("a time");
    for _ in 0..OPENS_AT {
        let mut permit = budget.slot(&usual()).await.expect("a slot");
        permit.spend();
        permit.answered(Outcome::Failed(None), Some(date));
    }
    let down = budget.outage().expect("down");
    assert_eq!((down.since, budget.view().down.is_some()), (Some(date), true));
    assert!(matches!(call(&budget).await, Err(NoSlot::Down(_))), "at once");
    tokio::time::sleep(down.retry_in).await;
    let work = usual();
    let mut probe = Box::pin(budget.slot(&work));
    let waits = (&mut probe).now_or_never();
    assert!(matches!(call(&budget).await, Err(NoSlot::Down(_))), "one at a time");
    // A probe that goes away before its slot came lets another one go.
    drop((waits, probe));
    call(&budget).await.expect("the probe");
    assert!(budget.outage().is_none());
    call(&budget).await.expect("all go again");
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_hear_of_the_outage() {
    let budget = budget(6);
    call(&budget).await.expect("the first");
    let mut permits = Vec::new();
    for _ in 0..OPENS_AT {
        let mut permit = budget.slot(&usual()).await.expect("a slot");
        permit.spend();
        permits.push(permit);
    }
    let waiter = tokio::spawn({
        let budget = Arc::clone(&budget);
        async move { budget.slot(&usual()).await.map(drop) }
    });
    tokio::task::yield_now().await;
    for permit in permits {
        permit.answered(Outcome::Failed(None), None);
    }
    assert!(matches!(waiter.await.expect("no panic"), Err(NoSlot::Down(_))));
}

/// Calls that come as these gaps say, answered after this latency; when each was let through.
fn run(rate: u32, latency: u64, gaps: Vec<u64>) -> (Vec<Instant>, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let budget = budget(rate);
        let (mut granted, mut idle) = (Vec::new(), Duration::ZERO);
        let mut calls = Vec::new();
        for gap in gaps {
            // Mostly greedy, at times idle.
            if gap > 18_000 {
                idle += Duration::from_millis(gap);
                tokio::time::sleep(Duration::from_millis(gap)).await;
            }
            let mut permit = budget.slot(&usual()).await.expect("one waiter");
            permit.spend();
            granted.push(Instant::now());
            calls.push(tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(latency)).await;
                permit.answered(Outcome::Answered, None);
            }));
        }
        futures::future::join_all(calls).await;
        (granted, idle)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// No 60 seconds hold more than the rate, however the calls come and wherever on their way they are counted; and the budget is used
    /// when it is wanted.
    #[test]
    fn no_window_holds_more_than_the_rate(rate in 1_u32..200, latency in 0_u64..400, gaps in proptest::collection::vec(0_u64..20_000, 1..300)) {
        let (granted, idle) = run(rate, latency, gaps);
        let latency = Duration::from_millis(latency);
        for pair in granted.windows(rate as usize + 1) {
            prop_assert!(pair[rate as usize] - (pair[0] + latency) > WINDOW);
        }
        let calls = u32::try_from(granted.len()).expect("few");
        let spent = granted[granted.len() - 1] - granted[0];
        // A millisecond a call is what rounding a wait up may cost.
        let enough = (WINDOW + latency) * calls / rate + idle + Duration::from_millis(2) * calls + seconds(2);
        prop_assert!(spent <= enough, "{spent:?} for {calls} calls at {rate}");
    }
}
