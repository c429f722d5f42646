//! Planted faults: which request or watch event fails next, and how; it must not carry one out.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::request::{Target, Verb};

/// How a request or a watch fails.
#[derive(Clone)]
pub enum FaultKind {
    /// 409, as if somebody else had written meanwhile.
    Conflict,
    /// 429 with a `Retry-After`.
    TooManyRequests {
        /// Seconds to wait.
        retry_after: u64,
    },
    /// An error status of the server or of something before it; nothing is carried out.
    Status(u16),
    /// No answer ever comes; nothing is carried out.
    Hang,
    /// The request is carried out, and its answer is lost with the connection.
    LostResponse,
    /// The connection closes with no answer; nothing is carried out.
    RefuseConnection,
    /// The request is carried out, this is called, and no answer comes: the end of the caller.
    Crash(Arc<dyn Fn() + Send + Sync>),
    /// A watch never tells one of its events.
    DropEvent,
    /// A watch tells an event, and all behind it, later.
    DelayEvent(Duration),
    /// A watch tells an event twice.
    RepeatEvent,
    /// A watch waits this long at an event, and then tells only the last state of each object.
    CoalesceEvents(Duration),
    /// Watches tell nothing that happens from now on, and lists that may be old stay as they are, until the fault is cleared.
    FreezeCache,
    /// A list shows the objects as they were at this resourceVersion.
    TimeTravel {
        /// The moment that is shown.
        resource_version: u64,
    },
    /// A watch is told that its resourceVersion is too old.
    Gone410,
    /// A watch ends.
    CloseWatch,
}

impl fmt::Debug for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict => f.write_str("Conflict"),
            Self::TooManyRequests { retry_after } => write!(f, "TooManyRequests {{ retry_after: {retry_after} }}"),
            Self::Status(code) => write!(f, "Status({code})"),
            Self::Hang => f.write_str("Hang"),
            Self::LostResponse => f.write_str("LostResponse"),
            Self::RefuseConnection => f.write_str("RefuseConnection"),
            Self::Crash(_) => f.write_str("Crash"),
            Self::DropEvent => f.write_str("DropEvent"),
            Self::DelayEvent(by) => write!(f, "DelayEvent({by:?})"),
            Self::RepeatEvent => f.write_str("RepeatEvent"),
            Self::CoalesceEvents(during) => write!(f, "CoalesceEvents({during:?})"),
            Self::FreezeCache => f.write_str("FreezeCache"),
            Self::TimeTravel { resource_version } => write!(f, "TimeTravel {{ resource_version: {resource_version} }}"),
            Self::Gone410 => f.write_str("Gone410"),
            Self::CloseWatch => f.write_str("CloseWatch"),
        }
    }
}

/// What a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strikes {
    Requests,
    Lists,
    WatchStarts,
    WatchEvents,
    WhileItLasts,
}

impl FaultKind {
    fn strikes(&self) -> Strikes {
        match self {
            Self::TimeTravel { .. } => Strikes::Lists,
            Self::Gone410 => Strikes::WatchStarts,
            Self::DropEvent | Self::DelayEvent(_) | Self::RepeatEvent | Self::CoalesceEvents(_) | Self::CloseWatch => Strikes::WatchEvents,
            Self::FreezeCache => Strikes::WhileItLasts,
            _ => Strikes::Requests,
        }
    }
}

/// A fault for the next requests that match. What is not named matches everything.
#[derive(Debug, Clone)]
pub struct Fault {
    /// How they fail.
    pub kind: FaultKind,
    /// The verb.
    pub verb: Option<Verb>,
    /// The API group; empty for the core group.
    pub group: Option<String>,
    /// The resource, in plural.
    pub resource: Option<String>,
    /// The subresource; empty for the object itself.
    pub subresource: Option<String>,
    /// The namespace.
    pub namespace: Option<String>,
    /// The name of the object.
    pub name: Option<String>,
    /// The user.
    pub user: Option<String>,
    /// How many it hits; 0 means all until it is cleared.
    pub count: u32,
    /// How many pass before the first hit.
    pub skip: u32,
}

impl Fault {
    /// A fault that hits the next request, whatever it is.
    #[must_use]
    pub fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            verb: None,
            group: None,
            resource: None,
            subresource: None,
            namespace: None,
            name: None,
            user: None,
            count: 1,
            skip: 0,
        }
    }

    /// Only this verb.
    #[must_use]
    pub fn verb(mut self, verb: Verb) -> Self {
        self.verb = Some(verb);
        self
    }

    /// Only this resource of this group.
    #[must_use]
    pub fn resource(mut self, group: &str, resource: &str) -> Self {
        self.group = Some(group.into());
        self.resource = Some(resource.into());
        self
    }

    /// Only this subresource; empty for the object itself.
    #[must_use]
    pub fn subresource(mut self, subresource: &str) -> Self {
        self.subresource = Some(subresource.into());
        self
    }

    /// Only this namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Only the object of this name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Only this user.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Hits so many; 0 means all until it is cleared.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.count = count;
        self
    }

    /// Lets so many pass first.
    #[must_use]
    pub fn after(mut self, skip: u32) -> Self {
        self.skip = skip;
        self
    }

    fn matches(&self, user: &str, target: &Target) -> bool {
        let is = |wanted: &Option<String>, has: &str| wanted.as_deref().is_none_or(|wanted| wanted == has);
        self.verb.is_none_or(|verb| verb == target.verb)
            && is(&self.group, &target.group)
            && is(&self.resource, &target.resource)
            && is(&self.subresource, &target.subresource)
            && is(&self.namespace, &target.namespace)
            && is(&self.name, &target.name)
            && is(&self.user, user)
    }
}

/// A planted fault's number, to clear it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaultId(u64);

#[derive(Debug)]
struct Planted {
    fault: Fault,
    hits: u32,
    /// The resourceVersion when it was planted.
    since: u64,
}

/// All faults that still wait.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    planted: BTreeMap<u64, Planted>,
    next: u64,
}

impl Faults {
    pub(crate) fn plant(&mut self, fault: Fault, resource_version: u64) -> FaultId {
        let id = self.next;
        self.next += 1;
        self.planted.insert(id, Planted { fault, hits: 0, since: resource_version });
        FaultId(id)
    }

    pub(crate) fn clear(&mut self, id: FaultId) {
        self.planted.remove(&id.0);
    }

    pub(crate) fn clear_all(&mut self) {
        self.planted.clear();
    }

    pub(crate) fn all(&self) -> Vec<Fault> {
        self.planted.values().map(|planted| planted.fault.clone()).collect()
    }

    pub(crate) fn on_request(&mut self, user: &str, target: &Target) -> Option<FaultKind> {
        self.strike(Strikes::Requests, user, target)
    }

    pub(crate) fn on_list(&mut self, user: &str, target: &Target) -> Option<FaultKind> {
        self.strike(Strikes::Lists, user, target)
    }

    pub(crate) fn on_watch_start(&mut self, user: &str, target: &Target) -> Option<FaultKind> {
        self.strike(Strikes::WatchStarts, user, target)
    }

    /// What happens to an event about an object.
    pub(crate) fn on_event(&mut self, user: &str, about: &Target) -> Option<FaultKind> {
        self.strike(Strikes::WatchEvents, user, about)
    }

    /// The resourceVersion at which a user's cache of a resource stands still.
    pub(crate) fn frozen_at(&self, user: &str, target: &Target) -> Option<u64> {
        let frozen = |planted: &&Planted| planted.fault.kind.strikes() == Strikes::WhileItLasts && planted.fault.matches(user, target);
        self.planted.values().filter(frozen).map(|planted| planted.since).min()
    }

    fn strike(&mut self, what: Strikes, user: &str, target: &Target) -> Option<FaultKind> {
        let matching = |planted: &Planted| planted.fault.kind.strikes() == what && planted.fault.matches(user, target);
        let ids: Vec<u64> = self.planted.iter().filter(|(_, planted)| matching(planted)).map(|(id, _)| *id).collect();
        for id in ids {
            let Some(planted) = self.planted.get_mut(&id) else { continue };
            if planted.fault.skip > 0 {
                planted.fault.skip -= 1;
                continue;
            }
            planted.hits += 1;
            let kind = planted.fault.kind.clone();
            if planted.fault.count > 0 && planted.hits >= planted.fault.count {
                self.planted.remove(&id);
            }
            return Some(kind);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(resource: &str) -> Target {
        Target {
            verb: Verb::Get,
            group: String::new(),
            version: "v1".into(),
            resource: resource.into(),
            subresource: String::new(),
            namespace: "a".into(),
            name: "n".into(),
        }
    }

    #[test]
    fn a_fault_hits_what_it_names_as_often_as_it_says() {
        let mut faults = Faults::default();
        faults.plant(Fault::new(FaultKind::Conflict).resource("", "secrets").after(1).times(2), 1);
        let hits: Vec<bool> = ["secrets", "pods", "secrets", "secrets", "secrets"]
            .iter()
            .map(|resource| faults.on_request("u", &target(resource)).is_some())
            .collect();
        assert_eq!(hits, [false, false, true, true, false]);
    }

    #[test]
    fn a_frozen_cache_stays_frozen_until_it_is_cleared() {
        let mut faults = Faults::default();
        let id = faults.plant(Fault::new(FaultKind::FreezeCache).user("operator"), 7);
        assert_eq!((faults.frozen_at("operator", &target("secrets")), faults.frozen_at("human", &target("secrets"))), (Some(7), None));
        faults.clear(id);
        assert_eq!(faults.frozen_at("operator", &target("secrets")), None);
    }
}
