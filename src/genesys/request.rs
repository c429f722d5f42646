//! What the operator wants a client to be: the JSON of POST and PUT, and the differences from what there is. It must not
//! touch a member that was not declared, and never sends a secret.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::model::{ClientState, GrantType, OAuthClient, RoleDivision};

/// The declared fields of a client. `None` means not declared: left as it is, or to the platform's default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientRequest {
    /// The name.
    pub name: String,
    /// The description, marker included.
    pub description: Option<String>,
    /// The grant type.
    pub grant_type: GrantType,
    /// How long tokens live, in seconds.
    pub access_token_validity_seconds: Option<i64>,
    /// Where a browser may be sent back to; a set.
    pub redirect_uris: Option<Vec<String>>,
    /// The scopes; a set.
    pub scopes: Option<Vec<String>>,
    /// The roles by division; a set.
    pub role_divisions: Option<BTreeSet<RoleDivision>>,
    /// Active or inactive; a new client can only be active.
    pub state: ClientState,
}

/// A declared field that the platform shows otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldDifference {
    /// The member's name on the platform, such as `accessTokenValiditySeconds`.
    pub field: &'static str,
    /// What was declared.
    pub declared: Value,
    /// What the platform shows.
    pub actual: Value,
}

impl ClientRequest {
    /// The body of a POST: the declared fields and nothing else.
    #[must_use]
    pub fn to_json(&self) -> Value {
        Value::Object(self.declared().into_iter().map(|(field, value)| (field.to_owned(), value)).collect())
    }

    /// The body of a PUT: the declared fields laid over what the platform showed, because a PUT replaces the whole
    /// client. Members that this version does not know survive.
    #[must_use]
    pub fn overlay(&self, shown: &Map<String, Value>) -> Value {
        let mut body = shown.clone();
        body.remove("secret");
        for (field, value) in self.declared() {
            body.insert(field.to_owned(), value);
        }
        if body.get("roleDivisions").is_some_and(|pairs| !pairs.is_null()) {
            // SPEC: `roleIds` is deprecated for `roleDivisions`; sending both would say the roles twice.
            body.remove("roleIds");
        }
        Value::Object(body)
    }

    /// The declared fields that the client does not show. Sets are compared as sets; absent and empty are the same.
    #[must_use]
    pub fn differences(&self, client: &OAuthClient) -> Vec<FieldDifference> {
        let mut found = Vec::new();
        let mut compare = |field: &'static str, declared: Value, actual: Value| {
            if declared != actual {
                found.push(FieldDifference { field, declared, actual });
            }
        };
        compare("name", json!(self.name), json!(client.name));
        if let Some(description) = &self.description {
            compare("description", json!(description), json!(client.description.as_deref().unwrap_or_default()));
        }
        compare("authorizedGrantType", json!(self.grant_type.as_str()), json!(client.grant_type.as_str()));
        if let Some(seconds) = self.access_token_validity_seconds {
            compare("accessTokenValiditySeconds", json!(seconds), json!(client.access_token_validity_seconds));
        }
        if let Some(uris) = &self.redirect_uris {
            compare("registeredRedirectUri", text_set(uris), text_set(&client.redirect_uris));
        }
        if let Some(scopes) = &self.scopes {
            compare("scope", text_set(scopes), text_set(&client.scopes));
        }
        if let Some(pairs) = &self.role_divisions {
            let actual: BTreeSet<RoleDivision> = client.role_divisions.iter().cloned().collect();
            compare("roleDivisions", pair_set(pairs), pair_set(&actual));
        }
        compare("state", json!(self.state.as_str()), json!(client.state.as_str()));
        found
    }

    fn declared(&self) -> Vec<(&'static str, Value)> {
        let mut fields = vec![("name", json!(self.name))];
        if let Some(description) = &self.description {
            fields.push(("description", json!(description)));
        }
        fields.push(("authorizedGrantType", json!(self.grant_type.as_str())));
        if let Some(seconds) = self.access_token_validity_seconds {
            fields.push(("accessTokenValiditySeconds", json!(seconds)));
        }
        if let Some(uris) = &self.redirect_uris {
            fields.push(("registeredRedirectUri", json!(uris)));
        }
        if let Some(scopes) = &self.scopes {
            fields.push(("scope", json!(scopes)));
        }
        if let Some(pairs) = &self.role_divisions {
            fields.push(("roleDivisions", pair_set(pairs)));
        }
        fields.push(("state", json!(self.state.as_str())));
        fields
    }
}

fn text_set(texts: &[String]) -> Value {
    json!(texts.iter().collect::<BTreeSet<_>>())
}

fn pair_set(pairs: &BTreeSet<RoleDivision>) -> Value {
    let pair = |pair: &RoleDivision| json!({"roleId": pair.role_id, "divisionId": pair.division_id});
    Value::Array(pairs.iter().map(pair).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request() -> ClientRequest {
        ClientRequest {
            name: "billing".to_owned(),
            description: Some("for bills [k8s:a/b/c]".to_owned()),
            grant_type: GrantType::ClientCredentials,
            access_token_validity_seconds: Some(3600),
            redirect_uris: None,
            scopes: None,
            role_divisions: Some([pair("r1", "d1"), pair("r2", "*")].into()),
            state: ClientState::Active,
        }
    }

    fn pair(role: &str, division: &str) -> RoleDivision {
        RoleDivision { role_id: role.to_owned(), division_id: division.to_owned() }
    }

    fn client(value: Value) -> OAuthClient {
        OAuthClient::from_json(value).expect("readable").0
    }

    #[test]
    fn a_post_holds_what_is_declared() {
        let expected = json!({
            "name": "billing", "description": "for bills [k8s:a/b/c]", "authorizedGrantType": "CLIENT-CREDENTIALS",
            "accessTokenValiditySeconds": 3600, "state": "active",
            "roleDivisions": [{"roleId": "r1", "divisionId": "d1"}, {"roleId": "r2", "divisionId": "*"}],
        });
        assert_eq!(request().to_json(), expected);
    }

    #[test]
    fn a_put_keeps_the_rest_and_never_holds_a_secret() {
        let raw = json!({
            "id": "c1", "name": "old", "secret": "hunter2", "roleIds": ["r1"], "novelty": [1], "scope": ["kept"],
            "dateToDelete": "2026-10-01T00:00:00Z",
        });
        let Value::Object(raw) = raw else { panic!("an object") };
        let body = request().overlay(&raw);
        assert_eq!(body["name"], "billing");
        assert_eq!((&body["novelty"], &body["scope"], &body["id"]), (&json!([1]), &json!(["kept"]), &json!("c1")));
        assert_eq!(body["dateToDelete"], "2026-10-01T00:00:00Z");
        assert!(body.get("secret").is_none() && body.get("roleIds").is_none());
        let undeclared = ClientRequest { role_divisions: None, ..request() };
        assert_eq!(undeclared.overlay(&raw)["roleIds"], json!(["r1"]), "kept where nothing took its place");
    }

    #[test]
    fn differences_are_of_declared_fields_and_compare_sets() {
        let shown = json!({
            "id": "c1", "name": "billing", "description": "for bills [k8s:a/b/c]", "authorizedGrantType": "CLIENT_CREDENTIALS",
            "accessTokenValiditySeconds": 3600, "state": "active", "scope": ["not declared"],
            "roleDivisions": [{"roleId": "r2", "divisionId": "*"}, {"roleId": "r1", "divisionId": "d1"}],
        });
        assert_eq!(request().differences(&client(shown.clone())), []);
        let declared = ClientRequest {
            description: Some(String::new()),
            scopes: Some(vec!["b".into(), "a".into(), "b".into()]),
            redirect_uris: Some(vec![]),
            access_token_validity_seconds: None,
            state: ClientState::Inactive,
            role_divisions: Some([pair("r1", "d2")].into()),
            ..request()
        };
        let fields = |request: &ClientRequest, shown: &Value| -> Vec<&'static str> {
            request.differences(&client(shown.clone())).iter().map(|difference| difference.field).collect()
        };
        assert_eq!(fields(&declared, &shown), ["description", "scope", "roleDivisions", "state"]);
        let mut other = shown;
        other["scope"] = json!(["a", "b"]);
        other["description"] = json!(null);
        other["state"] = json!("inactive");
        other["accessTokenValiditySeconds"] = json!(null);
        assert_eq!(fields(&declared, &other), ["roleDivisions"]);
        assert_eq!(fields(&request(), &other), ["description", "accessTokenValiditySeconds", "state"]);
        let pairs = &declared.differences(&client(other))[0];
        assert_eq!(pairs.declared, json!([{"roleId": "r1", "divisionId": "d2"}]));
        assert_eq!(pairs.actual.as_array().map(Vec::len), Some(2));
    }

    proptest! {
        /// What was laid over a client no longer differs from it, whatever the client was.
        #[test]
        fn an_overlay_converges(
            name in "[a-z]{1,8}",
            seconds in proptest::option::of(300_i64..90_000),
            scopes in proptest::option::of(proptest::collection::vec("[a-c]", 0..4)),
            pairs in proptest::option::of(proptest::collection::btree_set(("[a-c]", "[a-c*]"), 0..4)),
            old in "[a-z]{1,8}",
            shown_scopes in proptest::collection::vec("[a-c]", 0..4),
        ) {
            let request = ClientRequest {
                name,
                access_token_validity_seconds: seconds,
                scopes,
                role_divisions: pairs.map(|pairs| pairs.iter().map(|(role, division)| pair(role, division)).collect()),
                ..request()
            };
            let before = client(json!({"id": "c1", "name": old, "scope": shown_scopes, "x": {"y": 1}}));
            let after = client(request.overlay(&before.members()));
            prop_assert_eq!(request.differences(&after), vec![]);
            prop_assert_eq!(&after.members()["x"], &json!({"y": 1}));
            prop_assert_eq!(request.overlay(&after.members()), Value::Object(after.members()));
        }
    }
}
