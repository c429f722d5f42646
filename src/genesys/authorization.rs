//! The calls that read who the operator is and what it may hand out: tokens, organization, roles, divisions, scopes,
//! grants. It must not change anything.

use std::collections::BTreeSet;

use http::Method;
use serde_json::Value;

use super::entities::{self, Division, Organization, Role, Scope, TokenInfo};
use super::error::{Error, Operation};
use super::model::{RoleDivision, Unreadable};
use super::paging::Paging;
use super::platform::Platform;
use super::token::AccessToken;

/// The most bytes of all pages of a list of roles, divisions, scopes or credentials: a role of all permissions has some 300 KB.
const MAX_LIST: usize = 16 * 1024 * 1024;
/// The most memory that such a list may take: ids, names, permissions.
const MAX_KEPT: usize = 4 * 1024 * 1024;
/// The most bytes of the operator's own grants, which show a whole role each.
const MAX_GRANTS: usize = 8 * 1024 * 1024;
/// The most of these grants.
const MAX_PAIRS: usize = 10_000;

impl Platform {
    /// The organization of the operator's token; needs no permission.
    pub async fn organization(&self) -> Result<Organization, Error> {
        let call = self.one(Operation::GetOrganization, Method::GET, "/api/v2/organizations/me".to_owned());
        self.call(&call).await?.read(Organization::read)
    }

    /// What the operator's own token is good for; needs no permission.
    pub async fn own_token_info(&self) -> Result<TokenInfo, Error> {
        let call = self.one(Operation::GetTokenInfo, Method::GET, "/api/v2/tokens/me".to_owned());
        self.call(&call).await?.read(TokenInfo::read)
    }

    /// What another client's token is good for. Paid by that token, so it costs no slot (the limits are per token).
    pub async fn token_info(&self, token: &AccessToken) -> Result<TokenInfo, Error> {
        let call = self.one(Operation::GetTokenInfo, Method::GET, "/api/v2/tokens/me".to_owned());
        self.send_as(token, &call, call.limits).await?.read(TokenInfo::read)
    }

    /// All roles of the organization.
    pub async fn roles(&self) -> Result<Vec<Role>, Error> {
        let paging = self.paging(Operation::ListRoles, "/api/v2/authorization/roles?pageSize=100");
        Ok(self.list(&paging).await?.entities)
    }

    /// All divisions of the organization.
    pub async fn divisions(&self) -> Result<Vec<Division>, Error> {
        let paging = self.paging(Operation::ListDivisions, "/api/v2/authorization/divisions?pageSize=100");
        Ok(self.list(&paging).await?.entities)
    }

    /// All scopes that a client can be given.
    pub async fn scopes(&self) -> Result<Vec<Scope>, Error> {
        let paging = self.paging(Operation::ListScopes, "/api/v2/oauth/scopes");
        Ok(self.list(&paging).await?.entities)
    }

    /// The roles and divisions that the operator holds itself; it can hand out no others (DEV, HELP).
    pub async fn own_grants(&self) -> Result<BTreeSet<RoleDivision>, Error> {
        let call = self.one(Operation::GetSubjectsMe, Method::GET, "/api/v2/authorization/subjects/me".to_owned());
        let mut grants = BTreeSet::new();
        let each = |value: Value| {
            grants.extend(entities::grant(&value));
            if grants.len() > MAX_PAIRS { Err(Unreadable(format!("more than {MAX_PAIRS} grants"))) } else { Ok(()) }
        };
        self.call(&call.at_most(MAX_GRANTS)).await?.read_list("grants", each, |_| Ok(()))?;
        Ok(grants)
    }

    pub(super) fn paging(&self, operation: Operation, path: &str) -> Paging {
        Paging { operation, path: path.to_owned(), timeout: self.timeouts().scan, max_bytes: MAX_LIST, max_kept: MAX_KEPT }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{Scripted, json_answer, page, platform};

    #[tokio::test(start_paused = true)]
    async fn every_list_is_asked_for_by_its_path() {
        let transport = Scripted::new(|_| page(&json!([{"id": "a", "name": "A"}])));
        let platform = platform(&transport);
        assert_eq!(platform.roles().await.expect("roles").len(), 1);
        assert_eq!(platform.divisions().await.expect("divisions").len(), 1);
        assert_eq!(platform.scopes().await.expect("scopes").len(), 1);
        let expected = [
            "GET /api/v2/authorization/roles?pageSize=100",
            "GET /api/v2/authorization/divisions?pageSize=100",
            "GET /api/v2/oauth/scopes",
        ];
        assert_eq!(transport.calls(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn all_pages_of_the_roles_are_read() {
        let transport = Scripted::new(|request| {
            let query = request.uri().query().unwrap_or_default();
            let number = if query.ends_with("&pageNumber=2") { 2 } else { 1 };
            let entities: Vec<Value> = vec![json!({"id": format!("r{number}"), "name": "n"})];
            json_answer(200, &json!({"entities": entities, "pageNumber": number, "pageCount": 2, "total": 2}))
        });
        assert_eq!(platform(&transport).roles().await.expect("roles").len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_the_operator_is() {
        let transport = Scripted::new(|request| {
            json_answer(
                200,
                &match request.uri().path() {
                    "/api/v2/organizations/me" => json!({"id": "o1", "name": "Org", "version": 1}),
                    "/api/v2/tokens/me" => json!({"organization": {"id": "o1"}, "OAuthClient": {"id": "own-id"}}),
                    "/api/v2/authorization/subjects/me" => json!({"grants": [{"role": {"id": "r"}, "division": {"id": "*"}}]}),
                    other => panic!("{other}"),
                },
            )
        });
        let platform = platform(&transport);
        assert_eq!(platform.organization().await.expect("answered").id, "o1");
        assert_eq!(platform.own_token_info().await.expect("answered").client_id.as_deref(), Some("own-id"));
        assert_eq!(platform.own_grants().await.expect("answered").len(), 1);
        assert_eq!(platform.own_client_id(), "own-id");
    }
}
