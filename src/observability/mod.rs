//! Logs, Events and probes: what people and the kubelet see of the operator while it works. Never holds a secret.

pub mod events;
pub mod logging;
pub mod probes;
