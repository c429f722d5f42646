//! The smaller things that the platform names: who a token is, the organization, roles, divisions, scopes, integration
//! credentials. Reading is tolerant, and the fields of an integration credential are never read.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::model::{GrantType, RoleDivision, Unreadable, object, text, texts, timestamp};

/// Something that one page of a list holds.
pub(super) trait Entity: Sized {
    /// Reads it; `Err` ends the whole list, because a list with a hole in it is none.
    fn read(value: Value) -> Result<Self, Unreadable>;
    /// What tells it from the others of its list.
    fn id(&self) -> &str;
    /// How many bytes of memory it takes, about.
    fn weight(&self) -> usize;
}

/// What a text takes beside its bytes: its place in a list, and what the allocator adds.
pub(super) const TEXT: usize = 48;
/// What an entry takes in the indexes of its list.
pub(super) const INDEXED: usize = 256;
/// The most characters of one part of a permission. A role may hold thousands of them, each of three parts.
const MAX_PART: usize = 128;

fn weight_of<'a>(texts: impl IntoIterator<Item = &'a str>) -> usize {
    texts.into_iter().map(|text| text.len() + TEXT).sum::<usize>() + INDEXED
}

/// What a token is good for (SPEC `TokenInfo`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenInfo {
    /// The organization in which the token works.
    pub organization_id: String,
    /// That organization's name.
    pub organization_name: Option<String>,
    /// The client that the token was issued to.
    pub client_id: Option<String>,
    /// That client's name.
    pub client_name: Option<String>,
    /// That client's grant type.
    pub grant_type: Option<GrantType>,
}

impl TokenInfo {
    pub(super) fn read(value: Value) -> Result<Self, Unreadable> {
        let map = object(value)?;
        let organization = member(&map, "organization").ok_or_else(|| Unreadable("no organization".to_owned()))?;
        let client = member(&map, "OAuthClient");
        Ok(Self {
            organization_id: text(organization, "id").ok_or_else(|| Unreadable("no organization id".to_owned()))?,
            organization_name: text(organization, "name"),
            client_id: client.and_then(|client| text(client, "id")),
            client_name: client.and_then(|client| text(client, "name")),
            grant_type: client.and_then(|client| text(client, "authorizedGrantType")).map(|word| GrantType::parse(&word)),
        })
    }
}

/// The organization of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
}

impl Organization {
    pub(super) fn read(value: Value) -> Result<Self, Unreadable> {
        let map = object(value)?;
        Ok(Self { id: required_id(&map)?, name: text(&map, "name").unwrap_or_default() })
    }
}

/// A role of the organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// The permissions that it gives, as `domain:entity:action`, where `*` is all; empty where the platform does not show them.
    pub permissions: Vec<String>,
}

/// A division of the organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Division {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// Whether it is the one that everything belongs to that was given no other.
    pub home: bool,
}

/// A scope that a client can be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The scope's name, such as `users:readonly`.
    pub id: String,
}

/// A credential that the platform's integrations use, without its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntegrationCredential {
    /// The id.
    pub id: String,
    /// The name.
    pub name: Option<String>,
    /// The type's name, such as `pureCloudOAuthClient`.
    pub kind: Option<String>,
    /// When it was last written; the list and a PUT say so, a GET of one does not (SPEC).
    pub modified_date: Option<Timestamp>,
}

impl IntegrationCredential {
    /// The type of the credentials that hold an OAuth client's id and secret (TF).
    pub const OAUTH_CLIENT: &'static str = "pureCloudOAuthClient";
}

impl Entity for Role {
    fn read(value: Value) -> Result<Self, Unreadable> {
        let map = object(value)?;
        let mut permissions = texts(&map, "permissions");
        permissions.extend(map.get("permissionPolicies").and_then(Value::as_array).into_iter().flatten().flat_map(policy));
        Ok(Self { id: required_id(&map)?, name: text(&map, "name").unwrap_or_default(), permissions })
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn weight(&self) -> usize {
        weight_of(self.permissions.iter().chain([&self.id, &self.name]).map(String::as_str))
    }
}

/// The permissions of a policy of a role (SPEC `DomainPermissionPolicy`).
fn policy(policy: &Value) -> Vec<String> {
    let Some(policy) = policy.as_object() else { return Vec::new() };
    let part = |name| text(policy, name).unwrap_or_else(|| "*".to_owned());
    if ["domain", "entityName"].iter().any(|name| part(name).len() > MAX_PART) {
        return Vec::new();
    }
    let actions = texts(policy, "actionSet").into_iter().filter(|action| action.len() <= MAX_PART);
    actions.map(|action| format!("{}:{}:{action}", part("domain"), part("entityName"))).collect()
}

impl Entity for Division {
    fn read(value: Value) -> Result<Self, Unreadable> {
        let map = object(value)?;
        Ok(Self {
            id: required_id(&map)?,
            name: text(&map, "name").unwrap_or_default(),
            home: map.get("homeDivision").and_then(Value::as_bool).unwrap_or_default(),
        })
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn weight(&self) -> usize {
        weight_of([self.id.as_str(), &self.name])
    }
}

impl Entity for Scope {
    fn read(value: Value) -> Result<Self, Unreadable> {
        Ok(Self { id: required_id(&object(value)?)? })
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn weight(&self) -> usize {
        weight_of([self.id.as_str()])
    }
}

impl Entity for IntegrationCredential {
    fn read(value: Value) -> Result<Self, Unreadable> {
        let map = object(value)?;
        Ok(Self {
            id: required_id(&map)?,
            name: text(&map, "name"),
            kind: member(&map, "type").and_then(|kind| text(kind, "name").or_else(|| text(kind, "id"))),
            modified_date: timestamp(&map, "modifiedDate"),
        })
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn weight(&self) -> usize {
        weight_of([self.id.as_str()].into_iter().chain(self.name.as_deref()).chain(self.kind.as_deref()))
    }
}

/// The role and division of a grant of `GET /authorization/subjects/me` (SPEC `AuthzSubject.grants`).
pub(super) fn grant(grant: &Value) -> Option<RoleDivision> {
    let grant = grant.as_object()?;
    Some(RoleDivision { role_id: text(member(grant, "role")?, "id")?, division_id: text(member(grant, "division")?, "id")? })
}

fn member<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a Map<String, Value>> {
    map.get(name)?.as_object()
}

fn required_id(map: &Map<String, Value>) -> Result<String, Unreadable> {
    text(map, "id").ok_or_else(|| Unreadable("an entry without an id".to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_names_its_organization_and_client() {
        let info = TokenInfo::read(json!({
            "organization": {"id": "o1", "name": "Org"}, "homeOrganization": {"id": "o2"}, "authorizedScope": [],
            "OAuthClient": {"id": "c1", "name": "n", "authorizedGrantType": "CLIENT-CREDENTIALS", "organization": {"id": "o1"}},
        }))
        .expect("readable");
        assert_eq!((info.organization_id.as_str(), info.organization_name.as_deref()), ("o1", Some("Org")));
        assert_eq!((info.client_id.as_deref(), info.grant_type), (Some("c1"), Some(GrantType::ClientCredentials)));
        let bare = TokenInfo::read(json!({"organization": {"id": "o1"}})).expect("readable");
        assert_eq!((bare.client_id, bare.client_name, bare.organization_name), (None, None, None));
        for value in [json!({}), json!({"organization": {}}), json!([])] {
            assert!(TokenInfo::read(value).is_err());
        }
    }

    #[test]
    fn entries_need_their_id_and_nothing_else() {
        assert_eq!(Role::read(json!({"id": "r"})), Ok(Role { id: "r".into(), name: String::new(), permissions: vec![] }));
        let role = json!({"id": "r", "permissions": ["oauth:client:view"], "permissionPolicies": [{"domain": "oauth", "entityName": "client", "actionSet": ["add"]}, {"domain": "scim", "actionSet": ["*"]}, 7]});
        assert_eq!(Role::read(role).expect("readable").permissions, ["oauth:client:view", "oauth:client:add", "scim:*:*"]);
        let home = Division::read(json!({"id": "d", "name": "Home", "homeDivision": true, "objectCounts": {}})).expect("readable");
        assert!(home.home && !Division::read(json!({"id": "d", "homeDivision": null})).expect("readable").home);
        assert_eq!(Scope::read(json!({"id": "users"})), Ok(Scope { id: "users".into() }));
        assert_eq!(Organization::read(json!({"id": "o", "name": "n"})).expect("readable").name, "n");
        assert!(Role::read(json!({"name": "n"})).is_err() && Scope::read(json!("users")).is_err());
    }

    #[test]
    fn a_grant_is_a_pair_or_none() {
        let pair = RoleDivision { role_id: "r1".into(), division_id: "d1".into() };
        assert_eq!(grant(&json!({"role": {"id": "r1", "policies": [{}]}, "division": {"id": "d1"}})), Some(pair));
        assert!(grant(&json!({"role": {"id": "r2"}})).is_none() && grant(&json!(3)).is_none());
    }

    #[test]
    fn a_policy_of_a_role_does_not_multiply_a_long_text() {
        let long = "x".repeat(10_000);
        let actions: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
        let role = |domain: &str, action: &str| {
            let actions: Vec<&str> = actions.iter().map(String::as_str).chain([action]).collect();
            let policy = json!({"domain": domain, "entityName": "client", "actionSet": actions});
            Role::read(json!({"id": "r", "permissionPolicies": [policy]})).expect("readable")
        };
        assert!(role(&long, "add").permissions.is_empty());
        let role = role("oauth", &long);
        assert_eq!(role.permissions.len(), 1000);
        assert!(role.weight() > role.permissions.iter().map(String::len).sum());
    }
}
