//! The harness of the end-to-end tests and of the demo: it starts a real control plane, the Genesys Cloud simulator and
//! the built operator as processes, drives them with the real kubectl, and stops everything it started. It links no
//! code of the operator: what it knows of the product is what a user knows.
//!
//! How the parts fit:
//!
//! - [`harness`] holds what one run shares: the control plane, kubectl, the [`reaper`] that stops everything.
//! - [`world`] is one scenario's island: a namespace, an organization, a simulator, proxies, operators.
//! - [`account`] gives each operator the account and the rights that the chart renders; kubectl is the administrator.
//! - [`proxy`] stands before both servers where a scenario must count, kill or lose calls; [`calls`] names them.
//! - [`runner`] runs scenarios side by side and closes with `N passed, N failed`.
//!
//! Settings, all optional: `GENESYS_E2E_OPERATOR`, `GENESYS_E2E_SIMULATOR` and `GENESYS_E2E_DEMO` name the binaries (else those of the debug
//! build are taken, and the release build's by the figures), `CONTROL_PLANE_BIN` the folder with etcd, kube-apiserver and
//! kubectl, `GENESYS_E2E_PARALLEL` how many scenarios run side by side (6), `GENESYS_E2E_KEEP` a folder for all logs that
//! stays; otherwise they stay only after a failure. With `CI` set, a check that cannot be made is a failure.
//!
//! A bare kube-apiserver runs no garbage collector and no namespace, Deployment or scheduling controller. What a
//! scenario needs of them it plays itself, by [`world::World::play_garbage_collector`] and
//! [`world::World::play_namespace_controller`], and says so; nothing else of a cluster is assumed.

pub mod account;
pub mod api;
pub mod audit;
pub mod calls;
pub mod control_plane;
pub mod demo;
pub mod environment;
pub mod expect;
pub mod figures;
pub mod harness;
pub mod helm;
pub mod hostile;
pub mod kubectl;
pub mod lines;
pub mod manifests;
pub mod oauth;
pub mod operator;
pub mod process;
pub mod proxy;
pub mod reaper;
pub mod release;
pub mod replicas;
pub mod runner;
pub mod simulator;
pub mod wait;
pub mod world;
