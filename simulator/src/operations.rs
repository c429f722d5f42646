//! The operations that the simulator answers: method, path, permission and scope of each; it must not answer them.

use std::fmt;

use http::Method;
use serde::{Deserialize, Serialize};

/// What a call asks for. Faults and the call log use these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the table below says what each one is, in the platform's own terms")]
pub enum Operation {
    GetToken,
    Authorize,
    Logout,
    GetDiscovery,
    ListClients,
    CreateClient,
    GetClient,
    UpdateClient,
    DeleteClient,
    ResetClientSecret,
    UsageQuery,
    UsageResults,
    UsageSummary,
    ListScopes,
    GetScope,
    GetTokenInfo,
    RevokeToken,
    ListRoles,
    GetRole,
    ListDivisions,
    GetHomeDivision,
    GetDivision,
    GetSubjectsMe,
    GetOrganization,
    GetUserMe,
    AuditQuery,
    AuditStatus,
    AuditResults,
    ListCredentials,
    CreateCredential,
    GetCredential,
    UpdateCredential,
    DeleteCredential,
    ListCredentialTypes,
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

/// Who may call an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody: the login host.
    Public,
    /// Whoever has a token.
    Token,
    /// A caller with at least one of these permissions.
    Any(&'static [&'static str]),
    /// A caller with all of these permissions.
    All(&'static [&'static str]),
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) operation: Operation,
    pub(crate) method: Method,
    pub(crate) template: &'static str,
    pub(crate) access: Access,
    /// A user's token needs one of these, where the organization enforces scopes.
    pub(crate) scopes: &'static [&'static str],
}

const OAUTH_READ: &[&str] = &["oauth", "oauth:readonly"];
const OAUTH: &[&str] = &["oauth"];
const AUTHORIZATION: &[&str] = &["authorization", "authorization:readonly"];
const INTEGRATIONS_READ: &[&str] = &["integrations", "integrations:readonly"];
const INTEGRATIONS: &[&str] = &["integrations"];
const BASIC: &[&str] = &["user-basic-info"];
const AUDITS: &[&str] = &["audits:readonly"];
const VIEW: Access = Access::Any(&["oauth:client:view"]);
const USAGE: Access = Access::Any(&["oauth:client:view", "usage:client:view"]);
const AUDIT: Access = Access::All(&["audits:audit:view"]);

const fn rule(operation: Operation, method: Method, template: &'static str, access: Access, scopes: &'static [&'static str]) -> Rule {
    Rule { operation, method, template, access, scopes }
}

/// Permissions and scopes as the specification lists them. (SPEC) Where two paths fit, the first wins.
#[rustfmt::skip]
pub(crate) const RULES: &[Rule] = &[
    rule(Operation::GetToken, Method::POST, "/oauth/token", Access::Public, &[]),
    rule(Operation::Authorize, Method::GET, "/oauth/authorize", Access::Public, &[]),
    rule(Operation::Logout, Method::GET, "/logout", Access::Public, &[]),
    rule(Operation::GetDiscovery, Method::GET, "/.well-known/oauth-authorization-server", Access::Public, &[]),
    rule(Operation::ListClients, Method::GET, "/api/v2/oauth/clients", VIEW, OAUTH_READ),
    rule(Operation::CreateClient, Method::POST, "/api/v2/oauth/clients", Access::Any(&["oauth:client:add"]), OAUTH),
    rule(Operation::GetClient, Method::GET, "/api/v2/oauth/clients/{clientId}", VIEW, OAUTH_READ),
    rule(Operation::UpdateClient, Method::PUT, "/api/v2/oauth/clients/{clientId}", Access::Any(&["oauth:client:edit"]), OAUTH),
    rule(Operation::DeleteClient, Method::DELETE, "/api/v2/oauth/clients/{clientId}", Access::Any(&["oauth:client:delete"]), OAUTH),
    rule(Operation::ResetClientSecret, Method::POST, "/api/v2/oauth/clients/{clientId}/secret", Access::Any(&["oauth:client:edit"]), OAUTH),
    rule(Operation::UsageQuery, Method::POST, "/api/v2/oauth/clients/{clientId}/usage/query", USAGE, OAUTH_READ),
    rule(Operation::UsageResults, Method::GET, "/api/v2/oauth/clients/{clientId}/usage/query/results/{executionId}", USAGE, OAUTH_READ),
    rule(Operation::UsageSummary, Method::GET, "/api/v2/oauth/clients/{clientId}/usage/summary", USAGE, OAUTH_READ),
    rule(Operation::ListScopes, Method::GET, "/api/v2/oauth/scopes", Access::Token, OAUTH_READ),
    rule(Operation::GetScope, Method::GET, "/api/v2/oauth/scopes/{scopeId}", Access::Token, OAUTH_READ),
    rule(Operation::GetTokenInfo, Method::GET, "/api/v2/tokens/me", Access::Token, BASIC),
    rule(Operation::GetTokenInfo, Method::HEAD, "/api/v2/tokens/me", Access::Token, BASIC),
    rule(Operation::RevokeToken, Method::DELETE, "/api/v2/tokens/me", Access::Token, &[]),
    rule(Operation::ListRoles, Method::GET, "/api/v2/authorization/roles", Access::Any(&["authorization:role:view"]), AUTHORIZATION),
    rule(Operation::GetRole, Method::GET, "/api/v2/authorization/roles/{roleId}", Access::Any(&["authorization:role:view"]), AUTHORIZATION),
    rule(Operation::ListDivisions, Method::GET, "/api/v2/authorization/divisions", Access::Token, AUTHORIZATION),
    rule(Operation::GetHomeDivision, Method::GET, "/api/v2/authorization/divisions/home", Access::Token, AUTHORIZATION),
    rule(Operation::GetDivision, Method::GET, "/api/v2/authorization/divisions/{divisionId}", Access::Token, AUTHORIZATION),
    rule(Operation::GetSubjectsMe, Method::GET, "/api/v2/authorization/subjects/me", Access::Token, AUTHORIZATION),
    rule(Operation::GetOrganization, Method::GET, "/api/v2/organizations/me", Access::Token, &["organization", "organization:readonly"]),
    rule(Operation::GetUserMe, Method::GET, "/api/v2/users/me", Access::Token, &["users", "users:readonly", "user-basic-info"]),
    rule(Operation::AuditQuery, Method::POST, "/api/v2/audits/query", AUDIT, AUDITS),
    rule(Operation::AuditStatus, Method::GET, "/api/v2/audits/query/{transactionId}", AUDIT, AUDITS),
    rule(Operation::AuditResults, Method::GET, "/api/v2/audits/query/{transactionId}/results", AUDIT, AUDITS),
    rule(Operation::ListCredentialTypes, Method::GET, "/api/v2/integrations/credentials/types", Access::Token, INTEGRATIONS_READ),
    rule(Operation::ListCredentials, Method::GET, "/api/v2/integrations/credentials", Access::Any(&["integrations:integration:view"]), INTEGRATIONS_READ),
    rule(Operation::CreateCredential, Method::POST, "/api/v2/integrations/credentials", Access::Any(&["integrations:integration:add"]), INTEGRATIONS),
    rule(Operation::GetCredential, Method::GET, "/api/v2/integrations/credentials/{credentialId}", Access::Any(&["integrations:integration:view"]), INTEGRATIONS_READ),
    rule(Operation::UpdateCredential, Method::PUT, "/api/v2/integrations/credentials/{credentialId}", Access::Any(&["integrations:integration:edit"]), INTEGRATIONS),
    rule(Operation::DeleteCredential, Method::DELETE, "/api/v2/integrations/credentials/{credentialId}", Access::Any(&["integrations:integration:edit"]), INTEGRATIONS),
];

/// The rule for a request, and the values of its path parameters.
pub(crate) fn find(method: &Method, path: &str) -> Option<(&'static Rule, Vec<String>)> {
    RULES
        .iter()
        .filter(|rule| rule.method == *method)
        .find_map(|rule| path_parameters(rule.template, path).map(|parameters| (rule, parameters)))
}

fn path_parameters(template: &str, path: &str) -> Option<Vec<String>> {
    let mut parameters = Vec::new();
    let mut wanted = template.split('/');
    let mut given = path.split('/');
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(parameters),
            (Some(wanted), Some(given)) if wanted.starts_with('{') && !given.is_empty() => {
                parameters.push(given.replace("%3A", ":").replace("%3a", ":"));
            }
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_finds_its_operation_and_parameters() {
        let found = |method, path| find(&method, path).map(|(rule, parameters)| (rule.operation, parameters));
        assert_eq!(found(Method::GET, "/api/v2/oauth/clients"), Some((Operation::ListClients, vec![])));
        assert_eq!(
            found(Method::GET, "/api/v2/oauth/clients/a/usage/query/results/b"),
            Some((Operation::UsageResults, vec!["a".to_owned(), "b".to_owned()]))
        );
        assert_eq!(
            found(Method::GET, "/api/v2/oauth/scopes/users%3Areadonly"),
            Some((Operation::GetScope, vec!["users:readonly".to_owned()]))
        );
        assert_eq!(found(Method::GET, "/api/v2/authorization/divisions/home").expect("known").0, Operation::GetHomeDivision);
        assert_eq!(found(Method::PATCH, "/api/v2/oauth/clients/a"), None);
        assert_eq!(found(Method::GET, "/api/v2/oauth/clients/"), None);
    }

    #[test]
    fn every_scope_in_the_table_is_a_scope_of_the_platform() {
        for rule in RULES {
            for scope in rule.scopes {
                assert!(crate::scopes::exists(scope), "{scope}");
            }
        }
    }
}
