//! The Platform API: who calls, whether they may, and which handler answers; it must not change state by itself.

mod audit;
mod authorization;
pub(crate) mod client_body;
mod clients;
mod integrations;
mod organization;
mod paging;
mod tokens;
mod usage;

use jiff::Timestamp;

use crate::audits::Actor;
use crate::error::ErrorBody;
use crate::exchange::{Reply, Request};
use crate::model::{ClientState, RoleDivision};
use crate::operations::{Access, Operation};
use crate::state::State;
use crate::tokens::Subject;

/// Who calls, by a valid token.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) token: String,
    pub(crate) client_id: String,
    pub(crate) subject: Subject,
    pub(crate) scope: Vec<String>,
    /// The roles that work by now.
    pub(crate) grants: Vec<RoleDivision>,
}

/// A call on its way: everything that a handler needs.
pub(crate) struct Context<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) now: Timestamp,
    pub(crate) request: &'a Request,
    pub(crate) caller: Caller,
}

impl Context<'_> {
    /// Who the caller is, for audits and `modifiedBy`.
    fn actor(&self) -> Actor {
        match self.caller.subject {
            Subject::Client => Actor::Client(self.caller.client_id.clone()),
            Subject::User => Actor::User(self.state.settings.user_id.clone()),
        }
    }
}

/// Answers a call to the Platform API.
pub(crate) fn answer(state: &mut State, now: Timestamp, request: &Request) -> Reply {
    let caller = match authenticate(state, now, request) {
        Ok(caller) => caller,
        Err(refusal) => return *refusal,
    };
    let client_id = caller.client_id.clone();
    let result = authorize(state, &caller, request).and_then(|()| handle(&mut Context { state, now, request, caller }));
    Reply { caller: Some(client_id), ..result.unwrap_or_else(Reply::from) }
}

/// Finds the caller by its token, and counts the request against the token's limit.
fn authenticate(state: &mut State, now: Timestamp, request: &Request) -> Result<Caller, Box<Reply>> {
    let text = request
        .header(http::header::AUTHORIZATION)
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .filter(|token| !token.is_empty())
        .ok_or_else(|| Box::new(Reply::from(ErrorBody::authentication_required())))?;
    let refused = || Box::new(Reply::from(ErrorBody::bad_credentials()));
    let (limit, window) = (state.settings.requests_per_minute, state.settings.rate_window);
    let token = state.tokens.valid(text, now).ok_or_else(refused)?;
    if state.clients.present(&token.client_id).is_some_and(|client| client.state == ClientState::Disabled) {
        return Err(refused());
    }
    let (client_id, subject, scope) = (token.client_id.clone(), token.subject, token.scope.clone());
    token
        .minute
        .admit(now, limit, window)
        .and_then(|()| state.organization_minute.admit(now, state.settings.organization_requests_per_minute, window))
        .map_err(|seconds| {
            let reply = Reply::from(ErrorBody::too_many_requests(Some(seconds)));
            Box::new(Reply { caller: Some(client_id.clone()), ..reply })
        })?;
    let grants = state.working_grants(&client_id, subject, now);
    Ok(Caller { token: text.to_owned(), client_id, subject, scope, grants })
}

/// Checks the caller's permissions, and the token's scopes where the organization enforces them.
fn authorize(state: &State, caller: &Caller, request: &Request) -> Result<(), ErrorBody> {
    let scopes = request.rule.scopes;
    let enforced = state.settings.scope_enforcement && caller.subject == Subject::User && !scopes.is_empty();
    if enforced && !scopes.iter().any(|scope| caller.scope.iter().any(|own| own == scope)) {
        return Err(ErrorBody::not_authorized_for_scope(scopes));
    }
    let holds = |permission: &&str| state.gives(&caller.grants, permission);
    match request.rule.access {
        Access::Public | Access::Token => Ok(()),
        Access::Any(permissions) if permissions.iter().any(holds) => Ok(()),
        Access::Any(permissions) => Err(ErrorBody::missing_any_permissions(permissions)),
        Access::All(permissions) if permissions.iter().all(holds) => Ok(()),
        Access::All(permissions) => Err(ErrorBody::missing_permissions(permissions)),
    }
}

fn handle(call: &mut Context<'_>) -> Result<Reply, ErrorBody> {
    match call.request.rule.operation {
        Operation::ListClients => clients::list(call),
        Operation::CreateClient => clients::create(call),
        Operation::GetClient => clients::get(call),
        Operation::UpdateClient => clients::update(call),
        Operation::DeleteClient => clients::delete(call),
        Operation::ResetClientSecret => clients::reset_secret(call),
        Operation::UsageQuery => usage::query(call),
        Operation::UsageResults => usage::results(call),
        Operation::UsageSummary => usage::summary(call),
        Operation::ListScopes => Ok(authorization::list_scopes()),
        Operation::GetScope => authorization::get_scope(call),
        Operation::GetTokenInfo => tokens::info(call),
        Operation::RevokeToken => Ok(tokens::revoke(call)),
        Operation::ListRoles => authorization::list_roles(call),
        Operation::GetRole => authorization::get_role(call),
        Operation::ListDivisions => authorization::list_divisions(call),
        Operation::GetHomeDivision => authorization::home_division(call),
        Operation::GetDivision => authorization::get_division(call),
        Operation::GetSubjectsMe => Ok(authorization::subjects_me(call)),
        Operation::GetOrganization => Ok(organization::me(call)),
        Operation::GetUserMe => organization::user_me(call),
        Operation::AuditQuery => audit::query(call),
        Operation::AuditStatus => audit::status(call),
        Operation::AuditResults => audit::results(call),
        Operation::ListCredentials => integrations::list(call),
        Operation::CreateCredential => integrations::create(call),
        Operation::GetCredential => integrations::get(call),
        Operation::UpdateCredential => integrations::update(call),
        Operation::DeleteCredential => integrations::delete(call),
        Operation::ListCredentialTypes => Ok(integrations::types()),
        Operation::GetToken | Operation::Authorize | Operation::Logout | Operation::GetDiscovery => Err(ErrorBody::not_found()),
    }
}
