//! Genesys Cloud's OAuth client API in memory, for tests and demos; and beside it, in [`kubernetes`], a small Kubernetes API.
//!
//! One [`Simulator`] is one organization in one region. It keeps clients, secrets, tokens, roles, scopes, integration
//! credentials, audits and usage, and answers as the platform does, on one router: the Platform API (`/api/v2/*`), the login
//! host (`/oauth/*`, `/.well-known/oauth-authorization-server`), an admin API (`/admin/*`) and an admin page (`/`). What nobody
//! could verify about the platform is marked (U) and is a field of [`Settings`] with a documented default. The other
//! marks name a fact's source: (SPEC) the official API specification, (V) an official page or tool, (E) a real reply
//! seen by third parties, (HELP), (DEV) and (TF) the help pages, the developer pages and the Terraform provider.
//!
//! A request goes `server` → `router` (reads it, strikes a planted fault) → `api` or `login` (who calls, may they, what
//! happens) → `state` (keeps everything consistent) → `router` (writes the reply). Time comes from a [`Clock`] that a test
//! owns, chance from a seed, and nothing is written anywhere.
//!
//! Invariants: a secret leaves only in the replies of create and reset; every change of a client goes through `state`, which
//! records its audit; a caller that leaves does not undo or stop what it began; only loopback addresses are served.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
//! use std::sync::Arc;
//! use genesys_cloud_simulator::{Fault, ManualClock, Operation, Settings, Simulator};
//!
//! let clock = ManualClock::default();
//! let simulator = Simulator::new(Settings { seed: Some(1), ..Settings::default() }, Arc::new(clock.clone()));
//! let served = simulator.serve(([127, 0, 0, 1], 0).into()).await?;
//! simulator.plant(Fault::status(Operation::CreateClient, 503));
//! println!("point a client of Genesys Cloud at {}", served.url());
//! # Ok(()) }
//! ```

mod admin;
mod api;
mod audits;
mod calls;
mod clients;
mod clock;
mod digest;
mod error;
mod exchange;
mod faults;
mod hostile;
pub mod kubernetes;
mod limits;
mod login;
mod model;
mod operations;
mod organization;
mod page;
mod random;
mod router;
mod scopes;
pub mod secrets;
mod server;
mod settings;
mod simulator;
mod state;
mod tokens;

pub use calls::Call;
pub use clock::{AdjustableClock, Clock, ClockRunsByItself, ManualClock, SystemClock, TokioClock};
pub use error::ErrorBody;
pub use faults::{Fault, FaultKind, FaultTarget};
pub use hostile::gzip_of_zeros;
pub use model::{ClientState, DomainEntityRef, GrantType, OAuthClient, RoleDivision};
pub use operations::Operation;
pub use router::ConnectionClosed;
pub use server::Served;
pub use settings::{
    AfterDelete, BeyondLimit, Consent, DeleteOldClient, ForeignFields, OPERATOR_CLIENT_ID, OPERATOR_CLIENT_SECRET, OmittedOptional,
    RateWindow, SecretInReads, SecretText, Settings, UnknownMembers,
};
pub use simulator::{EditError, Simulator};
