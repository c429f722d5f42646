//! Logs, Events, metrics, traces and probes: what people, Prometheus and the kubelet see of the operator while it works. Never holds a secret.

pub mod events;
pub mod listening;
pub mod logging;
pub mod metrics;
pub mod panics;
pub mod probes;
pub mod traces;
pub mod watching;
