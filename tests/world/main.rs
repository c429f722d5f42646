//! World tests: the real controllers over the Kubernetes API and the Genesys Cloud of the simulators, in one process, on paused time.
//! They assert the state of the world, never the order of calls.
//!
//! `world` holds both sides and the operator, `look` asks them, `scenario` tells a story and closes it by what `rest` demands of every
//! world; `turnstile` makes a seed repeat its run. The other files are stories.

mod access;
mod addresses;
mod adoption;
mod adoption_trouble;
mod api_faults;
mod at_rest;
mod attacks;
mod audit;
mod availability;
mod bad_input;
mod budget;
mod budget_figures;
mod budget_limits;
mod budget_queue;
mod canary;
mod canary_kubernetes;
#[cfg(feature = "otel")]
#[path = "../traces/collector.rs"]
mod collector;
mod crash;
mod determinism;
mod drift;
mod events;
mod exposition;
mod faults;
mod figures;
mod figures_drift;
mod figures_security;
mod fleets;
mod gone;
mod installs;
mod late_lease;
mod least_power;
mod let_go;
mod lifecycle;
mod liveness;
mod look;
mod losses;
mod malformed;
mod metrics;
mod metrics_alerts;
mod mishaps;
mod moments;
mod objects;
mod places;
mod policies;
mod process;
mod rest;
mod restarts;
mod rights;
mod rotating;
mod rotation;
mod rotation_crash;
mod rotation_fleet;
mod rotation_schedule;
mod rotation_steps;
mod rotation_trouble;
mod rotation_verify;
mod rotation_workload;
mod scenario;
mod stopping;
mod stories;
#[cfg(feature = "otel")]
mod traces;
mod turnstile;
mod twins;
mod unused;
mod watch_faults;
mod workload;
mod world;
