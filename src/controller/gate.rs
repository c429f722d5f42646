//! Lets passes in, organization by organization: each has its own places, so that one that hangs keeps nobody else waiting. Within one they
//! are let in as the request budget serves them. Decides nothing, and makes no call.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use tokio::{sync::oneshot, time::Instant};

use crate::genesys::{Class, Queue, Work};

/// The gates of all organizations.
#[derive(Debug)]
pub struct Gates {
    places: usize,
    by_organization: Mutex<HashMap<String, Gate>>,
    closed: AtomicBool,
}

/// Nobody is let in any more: this process is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// Why somebody is not inside.
#[derive(Debug)]
pub enum Kept {
    /// It must wait for its turn.
    Outside(Outside),
    /// It need not wait.
    Closed,
}

/// The gate of one organization.
#[derive(Debug)]
struct Gate {
    taken: usize,
    queue: Queue<oneshot::Sender<Place>>,
}

/// A place inside; given to the next one when it is dropped.
#[derive(Debug)]
#[must_use = "who drops the place is outside again"]
pub struct Place {
    /// None: an emergency, which takes nobody's place.
    inside: Option<(Arc<Gates>, String)>,
}

/// Who must wait outside; resolves inside.
#[derive(Debug)]
pub struct Outside {
    /// How many come first.
    pub ahead: usize,
    /// None once it was let in.
    number: Option<u64>,
    organization: String,
    gates: Arc<Gates>,
    place: oneshot::Receiver<Place>,
}

impl Gates {
    /// Gates with so many places each.
    #[must_use]
    pub fn new(places: u16) -> Arc<Self> {
        Arc::new(Self { places: usize::from(places.max(1)), by_organization: Mutex::default(), closed: AtomicBool::new(false) })
    }

    /// Lets nobody in any more, and sends those away that wait. Says how many.
    pub fn close(&self) -> usize {
        let mut gates = self.lock();
        self.closed.store(true, Ordering::Relaxed);
        gates.values_mut().map(|gate| gate.queue.drain().len()).sum()
    }

    /// Whether nobody is let in any more.
    #[must_use]
    pub fn are_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Gate>> {
        self.by_organization.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place inside at once, or one in the queue. An emergency is never kept outside of open gates.
    pub fn enter(self: &Arc<Self>, organization: &str, work: &Work) -> Result<Place, Kept> {
        let mut gates = self.lock();
        if self.are_closed() {
            return Err(Kept::Closed);
        }
        if work.urgency.class() == Class::Emergency {
            return Ok(Place { inside: None });
        }
        // A scan has nothing to do at a gate.
        let gate = gates.entry(organization.to_owned()).or_insert_with(|| Gate { taken: 0, queue: Queue::new(std::time::Duration::MAX) });
        if gate.taken < self.places {
            gate.taken += 1;
            return Ok(Place { inside: Some((self.clone(), organization.to_owned())) });
        }
        let (send, place) = oneshot::channel();
        let ahead = gate.queue.ahead(work.urgency.class(), &work.namespace);
        let number = gate.queue.push(work, Instant::now(), send);
        Err(Kept::Outside(Outside { ahead, number: Some(number), organization: organization.to_owned(), gates: self.clone(), place }))
    }

    /// Gives a place that is free to the next one, or takes it back.
    fn leave(self: &Arc<Self>, organization: &str) {
        loop {
            let mut gates = self.lock();
            let Some(gate) = gates.get_mut(organization) else { return };
            let Some((_, next)) = gate.queue.pop(Instant::now()) else {
                gate.taken = gate.taken.saturating_sub(1);
                if gate.taken == 0 {
                    gates.remove(organization);
                }
                return;
            };
            drop(gates);
            let place = Place { inside: Some((self.clone(), organization.to_owned())) };
            match next.value.send(place) {
                Ok(()) => return,
                // It went away: the place is still to be given, and must not give itself.
                Err(mut place) => place.inside = None,
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((gates, organization)) = self.inside.take() {
            gates.leave(&organization);
        }
    }
}

impl Future for Outside {
    type Output = Result<Place, Closed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let place = std::task::ready!(Pin::new(&mut self.place).poll(context));
        self.number = None;
        // The sender is dropped only when the gates are closed: this holds them.
        Poll::Ready(place.map_err(|_| Closed))
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        if let Some(number) = self.number
            && let Some(gate) = self.gates.lock().get_mut(&self.organization)
        {
            gate.queue.remove(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn work(class: Class, namespace: &str) -> Work {
        Work::new(class, namespace)
    }

    fn inside(gates: &Arc<Gates>, organization: &str, work: &Work) -> Place {
        gates.enter(organization, work).expect("there is a place")
    }

    fn outside(gates: &Arc<Gates>, organization: &str, work: &Work) -> Outside {
        match gates.enter(organization, work) {
            Err(Kept::Outside(outside)) => outside,
            other => panic!("there is no place, and the gates are open: {other:?}"),
        }
    }

    #[test]
    fn closed_gates_send_those_away_that_wait_and_let_nobody_in() {
        let gates = Gates::new(1);
        let inside = inside(&gates, "acme", &work(Class::Update, "a"));
        let waiting = [outside(&gates, "acme", &work(Class::Update, "a")), outside(&gates, "acme", &work(Class::Delete, "b"))];
        assert!(!gates.are_closed());
        assert_eq!(gates.close(), 2);
        for one in waiting {
            assert!(matches!(one.now_or_never(), Some(Err(Closed))), "it waits for nothing");
        }
        for class in [Class::Emergency, Class::Update] {
            assert!(matches!(gates.enter("another", &work(class, "a")), Err(Kept::Closed)), "{class:?}");
        }
        drop(inside);
        assert!(gates.are_closed() && gates.lock().is_empty());
    }

    #[test]
    fn an_organization_keeps_no_other_one_waiting() {
        let gates = Gates::new(2);
        let update = work(Class::Update, "a");
        let _hanging = [inside(&gates, "hangs", &update), inside(&gates, "hangs", &update)];
        assert_eq!(outside(&gates, "hangs", &update).ahead, 0);
        drop(inside(&gates, "works", &update));
        drop(inside(&gates, "hangs", &work(Class::Emergency, "a")));
    }

    #[test]
    fn a_place_goes_to_the_most_urgent_and_in_turn_between_namespaces() {
        let gates = Gates::new(1);
        let first = inside(&gates, "acme", &work(Class::Update, "a"));
        let mut waiting = [
            outside(&gates, "acme", &work(Class::Update, "a")),
            outside(&gates, "acme", &work(Class::Update, "a")),
            outside(&gates, "acme", &work(Class::Update, "b")),
            outside(&gates, "acme", &work(Class::Create, "a")),
        ];
        assert_eq!(waiting.each_ref().map(|one| one.ahead), [0, 1, 1, 0]);
        drop(first);
        for next in [3, 0, 2, 1] {
            // The place is given back at once, and goes on to the one after.
            let place = waiting[next].place.try_recv();
            assert!(place.is_ok(), "{next} is not the next one");
        }
    }

    #[test]
    fn who_goes_away_takes_no_place() {
        let gates = Gates::new(1);
        let first = inside(&gates, "acme", &work(Class::Update, "a"));
        let gone = outside(&gates, "acme", &work(Class::Update, "a"));
        let stays = outside(&gates, "acme", &work(Class::Update, "a"));
        drop(gone);
        drop(first);
        drop(stays.now_or_never().expect("its turn has come").expect("the gates are open"));
        // One that was given its place, and goes away before it saw it, gives it back.
        let first = inside(&gates, "acme", &work(Class::Update, "a"));
        let unseen = outside(&gates, "acme", &work(Class::Update, "a"));
        drop(first);
        drop(unseen);
        drop(inside(&gates, "acme", &work(Class::Update, "a")));
        assert!(gates.lock().is_empty(), "nothing is kept of an organization that nobody works");
    }
}
