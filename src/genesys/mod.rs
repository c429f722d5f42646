//! The client of Genesys Cloud's Platform API: what the operator knows of the platform, and all that it says to it. It
//! knows nothing of Kubernetes, and must not decide what to do: that is the controllers' part.
//!
//! Requests go `Platform` → `Budget` (a slot, in the order of `Work`) → `TokenSource` (a token) → `Transport` (one exchange), and what comes back
//! is classified in `error`: whether the outcome is known, and what helps. Nothing below retries but one case: a call
//! whose token was refused is made once more with a new one.

mod audit;
mod authorization;
mod bounded;
mod budget;
mod buffers;
mod cache;
mod clients;
mod credential_error;
mod directory;
mod entities;
mod error;
mod error_body;
mod flight;
mod http_transport;
mod integration_credentials;
mod memory;
mod model;
mod paging;
mod platform;
mod probe;
mod region;
mod request;
mod scanner;
mod sent;
mod similar;
#[cfg(test)]
mod testing;
mod token;
mod token_source;
mod transport;
mod usage;

pub use budget::{Budget, BudgetView, Class, ClassView, Down, NoSlot, Permit, Queue, Urgency, Waiting, Work};
pub use clients::Scan;
pub use credential_error::CredentialError;
pub use directory::{Directory, Resolved, RoleRequest, Unresolved};
pub use entities::{Division, IntegrationCredential, Organization, Role, Scope, TokenInfo};
pub use error::{ApiError, Error, ErrorClass, Operation, STOPPING, minute_after};
pub use http_transport::{HttpTransport, SetupError};
pub use integration_credentials::CredentialNotFound;
pub use memory::Kept;
pub use model::{ClientState, EntityRef, GrantType, IssuedClient, OAuthClient, RoleDivision, Unreadable};
pub use platform::{Platform, Slot, TOO_MANY_CLIENTS, Timeouts};
pub use probe::{Probe, probe};
pub use region::{CustomEndpoint, EndpointError, Endpoints, Regions};
pub use request::{ClientRequest, FieldDifference};
pub use scanner::Scanner;
pub(crate) use sent::correlation_id;
pub use token::{AccessToken, ClientCredential, fetch_token};
pub use token_source::TokenSource;
pub use transport::{Limits, MAX_REFUSAL, Transport, TransportError};
