//! The order of service: classes, namespaces, owned slots. It runs nothing.

use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn work(class: Class, namespace: &str) -> Work {
    Work::new(class, namespace)
}

/// A queue whose scan was served just now.
fn queue<T>(now: Instant) -> Queue<T> {
    Queue { scan_served: Some(now), ..Queue::new(MINUTE) }
}

fn served<T>(queue: &mut Queue<T>, now: Instant) -> Vec<T> {
    std::iter::from_fn(|| queue.pop(now).map(|(_, waiting)| waiting.value)).collect()
}

#[test]
fn classes_go_in_their_order_and_arrivals_in_theirs() {
    let now = Instant::now();
    let mut queue = queue(now);
    for class in Class::ALL.into_iter().rev() {
        for number in 0..2 {
            queue.push(&work(class, "a"), now, (class, number));
        }
    }
    let expected: Vec<_> = Class::ALL.into_iter().flat_map(|class| [(class, 0), (class, 1)]).collect();
    assert_eq!(served(&mut queue, now), expected);
}

#[test]
fn namespaces_of_a_class_take_turns() {
    let now = Instant::now();
    let mut queue = queue(now);
    for number in 0..4 {
        queue.push(&work(Class::Update, "big"), now, ("big", number));
    }
    for number in 0..2 {
        queue.push(&work(Class::Update, "small"), now, ("small", number));
    }
    let order: Vec<&str> = served(&mut queue, now).into_iter().map(|(namespace, _)| namespace).collect();
    assert_eq!(order, ["big", "small", "big", "small", "big", "big"]);
}

#[test]
fn deletes_own_one_slot_in_ten_and_a_scan_one_an_interval() {
    let now = Instant::now();
    let mut queue = queue(now);
    for number in 0..200 {
        queue.push(&work(Class::Emergency, "a"), now, number);
        queue.push(&work(Class::Delete, "a"), now, number);
    }
    let order: Vec<Class> = (0..100).filter_map(|_| queue.pop(now).map(|(class, _)| class)).collect();
    assert_eq!(order.iter().filter(|class| **class == Class::Delete).count(), 10);
    let mut queue = Queue::new(MINUTE);
    for number in 0..300 {
        queue.push(&work(Class::Create, "a"), now, number);
        queue.push(&work(Class::Scan, ""), now, number);
    }
    let scans = |seconds: u64, queue: &mut Queue<i32>| {
        let at = now + Duration::from_secs(seconds);
        (0..10).filter(|_| queue.pop(at).is_some_and(|(class, _)| class == Class::Scan)).count()
    };
    assert_eq!([0, 30, 60, 90, 120].map(|at| scans(at, &mut queue)), [1, 0, 1, 0, 1]);
}

#[test]
fn an_emergency_waits_for_one_owned_slot_at_most() {
    let now = Instant::now();
    let mut queue = Queue::new(MINUTE);
    for number in 0..40 {
        for class in [Class::Delete, Class::Update, Class::Scan, Class::UrgentRotation] {
            queue.push(&work(class, "a"), now, number);
        }
    }
    for slots in 0..40 {
        queue.push(&work(Class::Emergency, "a"), now, slots);
        let two: Vec<Class> = (0..2).filter_map(|_| queue.pop(now).map(|(class, _)| class)).collect();
        assert!(two.contains(&Class::Emergency), "{two:?}");
    }
}

#[test]
fn who_goes_away_leaves_no_gap_and_who_is_raised_goes_first() {
    let now = Instant::now();
    let mut queue = queue(now);
    let shared = Work { urgency: Urgency::new(Class::Scan), namespace: Arc::from("") };
    queue.push(&shared, now, "scan");
    let gone = queue.push(&work(Class::Update, "a"), now, "gone");
    queue.push(&work(Class::Update, "b"), now, "update");
    queue.remove(gone);
    assert_eq!((queue.total(), queue.ahead(Class::Update, "a")), (2, 1));
    assert!(shared.urgency.raise(Class::Create) && !shared.urgency.raise(Class::Create));
    queue.reorder();
    assert_eq!((queue.length(Class::Create), queue.length(Class::Scan)), (1, 0));
    assert_eq!(served(&mut queue, now), ["scan", "update"]);
    assert_eq!(queue.total(), 0);
}

/// Jain's index: 1 where all have the same.
fn jain(shares: &[f64]) -> f64 {
    let (sum, squares) = shares.iter().fold((0.0, 0.0), |(sum, squares), share| (sum + share, squares + share * share));
    let number = f64::from(u32::try_from(shares.len()).expect("few"));
    sum * sum / (number * squares)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Namespaces that have something to do at all times progress evenly, however different their loads are.
    #[test]
    fn busy_namespaces_progress_evenly(loads in proptest::collection::vec(1_usize..40, 2..50), rounds in 10_usize..40) {
        let now = Instant::now();
        let mut queue = queue(now);
        let names: Vec<String> = (0..loads.len()).map(|number| format!("n{number}")).collect();
        for (name, load) in names.iter().zip(&loads) {
            for _ in 0..*load {
                queue.push(&work(Class::Update, name), now, name.clone());
            }
        }
        let mut shares: BTreeMap<String, f64> = BTreeMap::new();
        for _ in 0..rounds * names.len() {
            let Some((_, waiting)) = queue.pop(now) else { break };
            *shares.entry(waiting.value.clone()).or_default() += 1.0;
            // Whoever was served comes again.
            queue.push(&work(Class::Update, &waiting.value), now, waiting.value);
        }
        let shares: Vec<f64> = names.iter().map(|name| shares.get(name).copied().unwrap_or_default()).collect();
        prop_assert!(jain(&shares) >= 0.99, "{shares:?}");
    }

    /// Nobody is lost, doubled or overtaken by a later one of the same class and namespace; the count is right.
    #[test]
    fn everybody_is_served_once_and_in_order(calls in proptest::collection::vec((0..Class::ALL.len(), 0_u8..4, any::<bool>()), 1..200)) {
        let now = Instant::now();
        let mut queue = Queue::new(MINUTE);
        let (mut kept, mut seen) = (Vec::new(), Vec::new());
        for (number, (class, namespace, stays)) in calls.into_iter().enumerate() {
            let (class, name) = (Class::ALL[class], format!("n{namespace}"));
            let place = queue.push(&work(class, &name), now, (class, name.clone(), number));
            if stays { kept.push((class, name, number)) } else { queue.remove(place) }
        }
        prop_assert_eq!(queue.total(), kept.len());
        while let Some((class, waiting)) = queue.pop(now) {
            prop_assert_eq!(class, waiting.value.0);
            seen.push(waiting.value);
        }
        for (class, name) in kept.iter().map(|(class, name, _)| (*class, name.clone())).collect::<std::collections::HashSet<_>>() {
            let of = |all: &[(Class, String, usize)]| -> Vec<usize> {
                all.iter().filter(|one| one.0 == class && one.1 == name).map(|one| one.2).collect()
            };
            prop_assert_eq!(of(&kept), of(&seen));
        }
    }
}
