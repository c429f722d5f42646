//! Compares a scan with all objects of an organization: whom it concerns, whose client is gone, what else there is. Makes no call, wakes nobody.

use std::{collections::BTreeSet, time::Duration};

use kube::runtime::reflector::ObjectRef;
use tokio::time::Instant;

use super::inventory::{self, Books};
use crate::{
    api::{GenesysOAuthClient, inventory::Inventory},
    controller::{
        memory::{Memory, Recollection},
        snapshot::Snapshot,
    },
};

/// What a comparison found.
#[derive(Debug)]
pub struct Findings {
    /// The objects that are to be looked at, by namespace and name.
    pub wake: Vec<ObjectRef<GenesysOAuthClient>>,
    /// The uids of objects whose client is gone.
    pub gone: BTreeSet<String>,
    /// How many objects have a client.
    pub managed: usize,
    /// All clients of the organization.
    pub inventory: Inventory,
}

/// Compares the books of an organization with what this process remembers. The first comparison of a session wakes nobody without a memory.
#[must_use]
pub fn findings(books: &Books<'_>, memory: &Memory, window: Duration, first: bool) -> Findings {
    let (mut gone, mut managed, mut wake, now) = (BTreeSet::new(), 0, BTreeSet::new(), Instant::now());
    for client in books.objects {
        let (Some(uid), Some(id)) = (&client.metadata.uid, client.status.as_ref().and_then(|status| status.client_id.as_ref())) else {
            continue;
        };
        if client.metadata.deletion_timestamp.is_some() {
            continue;
        }
        managed += 1;
        let late = client.status.as_ref().is_some_and(|status| books.snapshot.may_lag_behind(status, window, (books.now, now)));
        let (concerned, missed) = memory.look(uid, |memory| {
            // Where this process saw nothing itself, one before it may have written what the list does not show yet.
            let untold = late && memory.is_none_or(|memory| !memory.sights.contains_key(id));
            let concerned = if untold { Concern::NotTold } else { concerns(books.snapshot, memory, id, window, first) };
            (concerned, memory.is_some_and(|memory| memory.missing_since.is_some()))
        });
        // What a read missed later than the scan did is gone all the same.
        if books.snapshot.get(id).is_none() && (missed || concerned != Concern::NotTold) {
            gone.insert(uid.clone());
        }
        if concerned == Concern::Wakes {
            wake.insert((client.metadata.namespace.clone().unwrap_or_default(), client.metadata.name.clone().unwrap_or_default()));
        }
    }
    let wake = wake.into_iter().map(|(namespace, name)| ObjectRef::new(&name).within(&namespace)).collect();
    Findings { wake, gone, managed, inventory: inventory::take(books) }
}

/// What a snapshot is to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Concern {
    /// It is older than what this process knows.
    NotTold,
    /// The client is as a pass saw it last.
    Rests,
    /// It is not.
    Wakes,
}

fn concerns(snapshot: &Snapshot, memory: Option<&Recollection>, id: &str, window: Duration, first: bool) -> Concern {
    let Some(memory) = memory else { return if first { Concern::Rests } else { Concern::Wakes } };
    if !snapshot.counts(memory, id, window) {
        return Concern::NotTold;
    }
    let shown = snapshot.get(id).map(|(_, print)| print);
    match memory.sights.get(id) {
        Some(sight) if sight.print == shown => Concern::Rests,
        // When a session opens, every object is looked at anyway.
        None if first => Concern::Rests,
        _ => Concern::Wakes,
    }
}
