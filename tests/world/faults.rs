//! Plans what fails in a world: lost answers, and the end of the operator after a request. It must not look at what comes of it.

use std::sync::{Arc, PoisonError, atomic::Ordering};

use genesys_cloud_simulator::kubernetes::{Fault, FaultKind, Verb};

use crate::{
    process::{End, OPERATOR},
    world::World,
};

impl World {
    /// Plans that the answer of one request of this verb is lost after it was carried out.
    pub fn lose_kubernetes(&self, verb: Verb, skip: u32) {
        self.kubernetes.plant(Fault::new(FaultKind::LostResponse).verb(verb).user(OPERATOR).after(skip).times(1));
    }

    /// Plans the operator's end after so many more requests of the Kubernetes API of this verb; the last one is carried out, its answer is not seen.
    pub fn end_after_kubernetes(self: &Arc<Self>, verb: Verb, skip: u32) {
        let end = self.end();
        self.kubernetes.plant(Fault::new(FaultKind::Crash(end)).verb(verb).user(OPERATOR).after(skip).times(1));
    }

    /// The same, whatever the verb.
    pub fn end_after_any_kubernetes(self: &Arc<Self>, skip: u32) {
        let end = self.end();
        self.kubernetes.plant(Fault::new(FaultKind::Crash(end)).user(OPERATOR).after(skip).times(1));
    }

    /// Whether everything that was planned has struck.
    pub fn no_fault_is_left(&self) -> bool {
        let ends = self.wires.end.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        let loses = self.wires.loss.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        !ends && !loses && self.kubernetes.faults().is_empty() && self.simulator.faults().is_empty()
    }

    /// Plans the operator's end after so many more calls of the platform.
    pub fn end_after_platform(self: &Arc<Self>, calls: u64) {
        let at = self.wires.calls.load(Ordering::Relaxed) + calls;
        let end = self.end();
        *self.wires.end.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, end));
    }

    /// Plans that the answer of a call of the platform is lost, after so many more calls of the operator.
    pub fn lose_platform(&self, skip: u64) {
        let at = self.wires.calls.load(Ordering::Relaxed) + skip + 1;
        *self.wires.loss.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// Takes away every fault that is still planned.
    pub fn clear_faults(&self) {
        self.kubernetes.clear_faults();
        self.simulator.clear_faults();
        *self.wires.end.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.wires.loss.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn end(self: &Arc<Self>) -> End {
        let world = Arc::downgrade(self);
        Arc::new(move || {
            if let Some(world) = world.upgrade() {
                world.kill();
            }
        })
    }
}
