//! A Kubernetes operator that manages OAuth clients of Genesys Cloud as custom resources.
//!
//! # Bird's-eye view
//!
//! A team declares a client as a [`api::GenesysOAuthClient`]; the operator creates it through the Platform API, writes its credentials into a
//! Secret, verifies them, and says in conditions how it stands. A [`api::GenesysOrganization`] holds the connection and says who may ask for what.
//!
//! # Data flow
//!
//! ```text
//! GenesysOAuthClient ─ watch ─► observe (I/O) ─► validate ─► decide (pure) ─► plan ═► apply (I/O) ─► status (pure) ─► commit_status
//!                                  │  Secret, namespace, organization, client, scan        │ intent → call → Secret → status
//!                                  └────────────── genesys::Platform ◄─────────────────────┘
//! ```
//!
//! # Code map
//!
//! | module | what it holds | what it must not do |
//! |---|---|---|
//! | [`api`] | the kinds, their CEL rules, conditions and reasons | import anything else of ours, do I/O |
//! | [`genesys`] | the platform: token, budget, clients, directory, scans, probe | know Kubernetes |
//! | [`marker`], [`keys`], [`secret`] | the marker; the Secret, built and read | do I/O, read a clock |
//! | [`rotation`] | the dates of rotations, windows, failures in a row | do I/O, read a clock |
//! | [`controller`] | one folder a kind; the file list is the algorithm | speak HTTP itself |
//! | [`lease`] | who of several replicas works | promise that nobody else does |
//! | [`redaction`] | what others say, without secrets | keep a secret |
//! | [`observability`] | logs, Events, metrics, probes | hold a secret |
//! | [`confinement`] | no core dumps, no reader of this process's memory | fail a start |
//! | [`connection`] | the clients of the Kubernetes API, and the end of every answer | ask for anything |
//! | [`settings`], [`run`] | flags; putting it together | decide |
//!
//! # Invariants
//!
//! 1. At rest, exactly one active client carries an object's marker.
//! 2. `Ready=True` implies that the Secret's credential was proven when last verified, and nothing seen since refutes it.
//! 3. Once nothing changes, the operator converges and then writes nothing.
//! 4. No secret is lost; none is stored but in its Secret; none appears in a log, Event, condition, metric or error.
//! 5. Nothing without our marker or our status record is changed.
//! 6. Creates per intent are at most one more than lost responses.
//! 7. A pass may stop at any `.await`; running it again from the start is always correct.

// A panic ends the process, and with it the work for every organization: what can fail is an error.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unreachable, clippy::unimplemented)
)]

pub mod api;
pub mod confinement;
pub mod connection;
pub mod controller;
pub mod genesys;
pub mod keys;
pub mod lease;
pub mod marker;
pub mod observability;
pub mod redaction;
pub mod rotation;
pub mod run;
pub mod secret;
pub mod settings;
