//! What the simulated organization has from the start: divisions, roles, people; it must not decide who may do what.

use serde_json::{Value, json};

use crate::model::RoleDivision;
use crate::settings::Settings;

/// Id of the role that carries the operator's permissions.
pub(crate) const OPERATOR_ROLE_ID: &str = "33333333-3333-4333-8333-000000000000";
/// Id of the home division.
pub(crate) const HOME_DIVISION_ID: &str = "44444444-4444-4444-8444-000000000001";
/// The division that stands for all.
pub(crate) const ALL_DIVISIONS: &str = "*";

/// A role of the organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Role {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    /// Permissions as `domain:entity:action`; `*` stands for all of a part.
    pub(crate) permissions: Vec<String>,
    /// Is it one of the roles that every organization has?
    pub(crate) built_in: Option<&'static str>,
}

impl Role {
    /// Does the role give this permission?
    pub(crate) fn gives(&self, permission: &str) -> bool {
        self.permissions.iter().any(|own| {
            let (mut own, mut wanted) = (own.split(':'), permission.split(':'));
            loop {
                match (own.next(), wanted.next()) {
                    (None, None) => return true,
                    (Some("*"), Some(_)) => {}
                    (Some(one), Some(other)) if one == other => {}
                    _ => return false,
                }
            }
        })
    }

    /// A token of this role's clients may live for 450 days. (V)
    pub(crate) fn serves_scim(&self) -> bool {
        self.gives("directory:scim:all")
    }

    pub(crate) fn json(&self) -> Value {
        let policies: Vec<Value> = self
            .permissions
            .iter()
            .map(|permission| {
                let mut parts = permission.splitn(3, ':');
                let mut part = || parts.next().unwrap_or("*");
                json!({"domain": part(), "entityName": part(), "actionSet": [part()], "allowConditions": false})
            })
            .collect();
        let mut body = json!({
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "permissions": self.permissions,
            "permissionPolicies": policies,
            "userCount": 0,
            "roleNeedsUpdate": false,
            "base": false,
            "default": self.built_in.is_some(),
            "selfUri": format!("/api/v2/authorization/roles/{}", self.id),
        });
        if let Some(built_in) = self.built_in {
            body["defaultRoleId"] = Value::from(built_in);
        }
        body
    }
}

/// A division of the organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Division {
    pub(crate) id: String,
    pub(crate) name: String,
}

impl Division {
    pub(crate) fn json(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "description": "",
            "homeDivision": self.id == HOME_DIVISION_ID,
            "selfUri": format!("/api/v2/authorization/divisions/{}", self.id),
        })
    }
}

/// The divisions at the start.
pub(crate) fn divisions() -> Vec<Division> {
    ["Home", "Sales", "Support"]
        .into_iter()
        .zip(1..)
        .map(|(name, number)| Division { id: format!("44444444-4444-4444-8444-{number:012}"), name: name.to_owned() })
        .collect()
}

/// The roles at the start; the last is the operator's own.
pub(crate) fn roles(settings: &Settings) -> Vec<Role> {
    let known: [(&str, Option<&'static str>, &str, &[&str]); 8] = [
        ("employee", Some("employee"), "Every person of the organization", &["directory:user:view"]),
        ("admin", Some("admin"), "May do everything", &["*:*:*"]),
        (
            "Supervisor",
            Some("supervisor"),
            "Leads a team",
            &["routing:queue:view", "routing:queue:edit", "analytics:conversationDetail:view"],
        ),
        ("Communicate - User", Some("communicateUser"), "Makes and takes calls", &["conversation:communication:view"]),
        ("AI Agent", None, "Virtual agents", &["conversation:call:add", "routing:queue:view"]),
        ("Analytics Viewer", None, "Reads reports", &["analytics:conversationDetail:view", "analytics:conversationAggregate:view"]),
        ("Data Actions", None, "Runs data actions", &["integrations:action:execute"]),
        ("SCIM Integration", Some("scimIntegration"), "Provisions people from a directory", &["directory:scim:all"]),
    ];
    let mut roles: Vec<Role> = known
        .into_iter()
        .zip(1..)
        .map(|((name, built_in, description, permissions), number)| Role {
            id: format!("33333333-3333-4333-8333-{number:012}"),
            name: name.to_owned(),
            description: description.to_owned(),
            permissions: permissions.iter().map(|&permission| permission.to_owned()).collect(),
            built_in,
        })
        .collect();
    roles.push(Role {
        id: OPERATOR_ROLE_ID.to_owned(),
        name: "OAuth Client Operator".to_owned(),
        description: "What the operator's own client may do".to_owned(),
        permissions: settings.operator_permissions.clone(),
        built_in: None,
    });
    roles
}

/// The roles, in all divisions, that the operator's own client holds: its own, and those that the settings name.
pub(crate) fn operator_grants(roles: &[Role], settings: &Settings) -> Vec<RoleDivision> {
    roles
        .iter()
        .filter(|role| {
            role.id == OPERATOR_ROLE_ID
                || settings
                    .operator_roles
                    .as_ref()
                    .map_or(role.name != "admin", |named| named.iter().any(|name| *name == role.name || *name == role.id))
        })
        .map(|role| RoleDivision { role_id: role.id.clone(), division_id: ALL_DIVISIONS.to_owned() })
        .collect()
}

/// The roles, in all divisions, that the configured user holds.
pub(crate) fn user_grants(roles: &[Role], settings: &Settings) -> Vec<RoleDivision> {
    roles
        .iter()
        .filter(|role| settings.user_roles.contains(&role.name))
        .map(|role| RoleDivision { role_id: role.id.clone(), division_id: ALL_DIVISIONS.to_owned() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_holds_everything_but_admin() {
        let settings = Settings::default();
        let roles = roles(&settings);
        let grants = operator_grants(&roles, &settings);
        let admin = roles.iter().find(|role| role.name == "admin").expect("there is one");
        assert_eq!(grants.len(), roles.len() - 1);
        assert!(grants.iter().all(|grant| grant.role_id != admin.id && grant.division_id == "*"));
    }

    #[test]
    fn only_the_operators_role_and_admin_give_power_over_clients() {
        let roles = roles(&Settings::default());
        let powerful: Vec<_> = roles.iter().filter(|role| role.gives("oauth:client:delete")).map(|role| role.name.as_str()).collect();
        assert_eq!(powerful, ["admin", "OAuth Client Operator"]);
    }

    #[test]
    fn a_star_stands_for_all_of_a_part_only() {
        let role = Role { permissions: vec!["oauth:client:*".to_owned()], ..roles(&Settings::default())[0].clone() };
        assert!(role.gives("oauth:client:view"));
        assert!(!role.gives("oauth:token:delete"));
        assert!(!role.gives("oauth:client"));
    }
}
