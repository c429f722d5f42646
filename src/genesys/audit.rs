//! Leaves a line in the log for each request that may change something at the platform, whatever came of it. For whom and why it was sent, the
//! spans around it say. It must not hold a body: paths carry ids alone.

use super::error::{Error, Operation};
use super::platform::Call;

/// Tells of a call that was sent, or was to be.
pub(super) fn tell(call: &Call, correlation_id: Option<&str>, result: Result<(), &Error>) {
    if !changes_something(call.operation) {
        return;
    }
    let (operation, request) = (call.operation.name(), format!("{} {}", call.method, call.path));
    match result {
        Ok(()) => tracing::info!(target: "audit", operation, request, outcome = "done", correlation_id, "platform write"),
        Err(error) => {
            let outcome = match error {
                Error::NotSent { .. } | Error::Withheld { .. } => "not sent",
                error if error.outcome_is_known() => "refused",
                _ => "unknown",
            };
            tracing::info!(target: "audit", operation, request, outcome, correlation_id, %error, "platform write");
        }
    }
}

fn changes_something(operation: Operation) -> bool {
    match operation {
        Operation::CreateClient
        | Operation::UpdateClient
        | Operation::DeleteClient
        | Operation::ResetClientSecret
        | Operation::UpdateCredential => true,
        // The POSTs among them ask for a token, or for counts.
        Operation::GetToken
        | Operation::ListClients
        | Operation::GetClient
        | Operation::QueryUsage
        | Operation::GetUsage
        | Operation::ListRoles
        | Operation::ListDivisions
        | Operation::ListScopes
        | Operation::GetTokenInfo
        | Operation::GetOrganization
        | Operation::GetSubjectsMe
        | Operation::ListCredentials
        | Operation::GetCredential => false,
    }
}
