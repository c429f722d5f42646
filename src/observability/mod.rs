//! Logs and Events: what people see of the operator while it works. Never holds a secret.

pub mod events;
pub mod logging;
