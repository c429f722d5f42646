//! A small Kubernetes API in memory, for tests and demos: good enough that an operator and kubectl cannot tell.
//!
//! A request goes `server` → `service` (reads it, strikes a planted fault, logs) → `handler` (which kind, who may, what
//! happens) → `read`, `write`, `delete`, `patch` and `managed` (what a server does with objects) → `state` (keeps everything
//! under one counter of resourceVersions). Watches read the same `history` that old lists are made of. Kinds are data:
//! `builtin` has those of every server, `definition` makes more of `CustomResourceDefinition`s. `schema`, `structure`,
//! `validate` and `rules` judge objects; `structural` and `bounds` judge schemas.
//!
//! Invariants: every change goes through `state`, takes the next resourceVersion and is told to every watch; a write that
//! changes nothing moves nothing; time comes from a [`Clock`](crate::Clock) that a test owns and ids from a seed; nothing is
//! written to disk, and only loopback addresses are served.

mod access;
mod admission;
mod apply;
mod bounds;
mod builtin;
mod cells;
mod codec;
mod columns;
mod controllers;
mod cost;
mod definition;
mod delete;
mod discovery;
mod duplicates;
mod error;
mod faults;
mod fields;
mod formats;
mod handler;
mod history;
mod identity;
mod journal;
mod managed;
mod marks;
mod memo;
mod metadata;
mod object;
mod openapi;
mod pages;
mod patch;
mod protobuf;
mod read;
mod request;
mod resource;
mod rollout;
mod rules;
mod scale;
mod schema;
mod selector;
mod server;
mod service;
mod settings;
mod simulator;
mod state;
mod structural;
mod structure;
mod table;
mod token;
mod typed;
mod validate;
mod watch;
mod world;
mod write;

pub use access::User;
pub use faults::{Fault, FaultId, FaultKind};
pub use journal::LoggedRequest;
pub use request::Verb;
pub use resource::GroupResource;
pub use rollout::Progress;
pub use server::Served;
pub use service::{ApiBody, ApiService, NoAnswer};
pub use settings::{Controllers, Settings};
pub use simulator::{Kubernetes, Refused};
