//! The simulator over HTTP: what a caller of the platform sees, and what is true afterwards.

mod admin;
mod clients;
mod delays;
mod faults;
mod limits;
mod login;
mod queries;
mod world;
