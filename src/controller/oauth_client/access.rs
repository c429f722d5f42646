//! Judges what a client asks for against an organization's `access`: one entry must allow all of it. Pure.

use std::collections::BTreeMap;

use kube::core::{Selector, SelectorExt as _};

use crate::{
    api::{
        oauth_client::GrantType,
        organization::{AccessRule, allows},
    },
    genesys::Resolved,
};

/// What a client asks for, by resolved id.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// The labels of its namespace.
    pub namespace_labels: &'a BTreeMap<String, String>,
    /// Its grant type.
    pub grant: GrantType,
    /// Its roles and divisions.
    pub resolved: &'a Resolved,
    /// The id of the home division, where roles are asked for.
    pub home_division: Option<&'a str>,
    /// Its scopes.
    pub scopes: &'a [String],
    /// The ids of the integration credentials that are to follow it.
    pub integration_credentials: &'a [String],
    /// How many objects of its namespace that use the organization were created before it.
    pub older: usize,
    /// The client that is to be adopted by a reset of its secret.
    pub reset: Option<&'a str>,
}

/// The entries of which each allows all of it, by name; otherwise what the closest entry lacks.
pub fn judge(rules: &[AccessRule], request: &Request<'_>) -> Result<Vec<String>, String> {
    those_that_allow(rules, request.namespace, request.namespace_labels, |rule| lacking(rule, request))
}

/// Whether one entry allows a namespace to write all of these integration credentials, by id; otherwise what the closest entry lacks.
/// `entries`: those that allow all else that the client asks for, where that is known.
pub fn judge_integration_credentials(
    rules: &[AccessRule],
    entries: Option<&[String]>,
    namespace: &str,
    namespace_labels: &BTreeMap<String, String>,
    ids: &[&str],
) -> Result<(), String> {
    let allowed = those_that_allow(rules, namespace, namespace_labels, |rule| {
        let lacking = ids.iter().filter(|id| !allows(&rule.integration_credentials, id));
        let mut lacking: Vec<String> = lacking.map(|id| format!("integration credential {id:?}")).collect();
        if entries.is_some_and(|entries| !entries.contains(&rule.name)) {
            lacking.push("the client itself".to_owned());
        }
        lacking
    });
    allowed.map(drop)
}

fn those_that_allow(
    rules: &[AccessRule],
    namespace: &str,
    labels: &BTreeMap<String, String>,
    lacking: impl Fn(&AccessRule) -> Vec<String>,
) -> Result<Vec<String>, String> {
    let (mut allowing, mut refusals) = (vec![], vec![]);
    for rule in rules.iter().filter(|rule| selects(rule, labels)) {
        let lacking = lacking(rule);
        if lacking.is_empty() {
            allowing.push(rule.name.clone());
        } else {
            refusals.push((lacking.len(), format!("entry {:?} does not allow {}", rule.name, lacking.join(", "))));
        }
    }
    if !allowing.is_empty() {
        return Ok(allowing);
    }
    refusals.sort_by_key(|(count, _)| *count);
    Err(match refusals.into_iter().next() {
        Some((_, closest)) => {
            format!("the organization's access refuses this: {closest}; ask its owner to allow it in one entry, or ask for less")
        }
        None => format!(
            "the organization's access has no entry for namespace {namespace:?}; ask its owner to add one whose namespaceSelector matches the labels of the namespace"
        ),
    })
}

fn selects(rule: &AccessRule, labels: &BTreeMap<String, String>) -> bool {
    // A selector that can't be read matches nothing: refusing is the safe side.
    Selector::try_from(rule.namespace_selector.clone()).is_ok_and(|selector| selector.matches(labels))
}

fn lacking(rule: &AccessRule, request: &Request<'_>) -> Vec<String> {
    let mut lacking = vec![];
    if !rule.allows_grant(request.grant) {
        lacking.push(format!("grantType {:?}", request.grant));
    }
    for (id, name) in &request.resolved.role_names {
        if !allows(&rule.roles, id) && !allows(&rule.roles, name) {
            lacking.push(format!("role {name:?}"));
        }
    }
    for (id, name) in &request.resolved.division_names {
        let home = request.home_division == Some(id.as_str()) && allows(&rule.divisions, "home");
        // The word `home` means the home division, also where another one is named so.
        let by_name = name != "home" && allows(&rule.divisions, name);
        if !home && !allows(&rule.divisions, id) && !by_name {
            lacking.push(if id == "*" { "all divisions".to_owned() } else { format!("division {name:?}") });
        }
    }
    for scope in request.scopes {
        if !allows(&rule.scopes, scope) {
            lacking.push(format!("scope {scope:?}"));
        }
    }
    for id in request.integration_credentials {
        if !allows(&rule.integration_credentials, id) {
            lacking.push(format!("integration credential {id:?}"));
        }
    }
    if let Some(id) = request.reset.filter(|id| !allows(&rule.adopt_by_reset, id)) {
        lacking.push(format!("adopting client {id} by a reset of its secret (adoptByReset)"));
    }
    if let Some(most) = rule.max_clients.filter(|most| request.older >= *most as usize) {
        lacking.push(format!("more than {most} clients in a namespace (maxClients; {} are older)", request.older));
    }
    lacking
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    fn rule(name: &str, label: &str, roles: &[&str], divisions: &[&str]) -> AccessRule {
        AccessRule {
            name: name.into(),
            namespace_selector: LabelSelector {
                match_labels: Some([("team".to_owned(), label.to_owned())].into()),
                ..LabelSelector::default()
            },
            grant_types: strings(&["ClientCredentials"]),
            roles: strings(roles),
            divisions: strings(divisions),
            ..AccessRule::default()
        }
    }

    fn decided(entries: &[AccessRule], roles: &[(&str, &str)], divisions: &[(&str, &str)]) -> Result<(), String> {
        decided_with(entries, roles, divisions, |_| {})
    }

    fn decided_with(
        entries: &[AccessRule],
        roles: &[(&str, &str)],
        divisions: &[(&str, &str)],
        change: impl FnOnce(&mut Request<'_>),
    ) -> Result<(), String> {
        let pairs = |list: &[(&str, &str)]| list.iter().map(|(id, name)| ((*id).to_owned(), (*name).to_owned())).collect();
        let resolved = Resolved { role_names: pairs(roles), division_names: pairs(divisions), ..Resolved::default() };
        let labels = [("team".to_owned(), "billing".to_owned())].into();
        let mut request = Request {
            namespace: "billing",
            namespace_labels: &labels,
            grant: GrantType::ClientCredentials,
            resolved: &resolved,
            home_division: Some("d0"),
            scopes: &[],
            integration_credentials: &[],
            older: 0,
            reset: None,
        };
        change(&mut request);
        judge(entries, &request).map(drop)
    }

    const EMPLOYEE: (&str, &str) = ("r1", "employee");
    const ADMIN: (&str, &str) = ("r2", "admin");
    const HOME: (&str, &str) = ("d0", "Home");
    const SALES: (&str, &str) = ("d1", "Sales");

    #[test]
    fn absent_means_nothing() {
        let message = decided(&[], &[EMPLOYEE], &[HOME]).unwrap_err();
        assert!(message.contains("no entry for namespace \"billing\""), "{message}");
        assert!(decided(&[rule("a", "billing", &[], &["*"])], &[EMPLOYEE], &[HOME]).unwrap_err().contains("role \"employee\""));
        assert!(decided(&[rule("a", "other", &["*"], &["*"])], &[EMPLOYEE], &[HOME]).unwrap_err().contains("no entry for"));
    }

    #[test]
    fn names_ids_home_and_stars_allow() {
        for (roles, divisions) in [(&["employee"], &["home"]), (&["r1"], &["d0"]), (&["*"], &["*"]), (&["employee"], &["Home"])] {
            assert_eq!(decided(&[rule("a", "billing", roles, divisions)], &[EMPLOYEE], &[HOME]), Ok(()), "{roles:?} {divisions:?}");
        }
        assert!(decided(&[rule("a", "billing", &["*"], &["home"])], &[EMPLOYEE], &[SALES]).unwrap_err().contains("division \"Sales\""));
        assert!(
            decided(&[rule("a", "billing", &["*"], &["home", "Sales"])], &[EMPLOYEE], &[("*", "*")]).unwrap_err().contains("all divisions")
        );
    }

    #[test]
    fn entries_are_not_added_up() {
        let rules = [rule("roles", "billing", &["employee"], &["home"]), rule("more", "billing", &["admin"], &["home"])];
        assert!(decided(&rules, &[EMPLOYEE, ADMIN], &[HOME]).is_err());
        assert_eq!(decided(&rules, &[ADMIN], &[HOME]), Ok(()));
    }

    #[test]
    fn one_entry_must_allow_all_integration_credentials() {
        let with = |name: &str, label: &str, ids: &[&str]| AccessRule {
            integration_credentials: strings(ids),
            ..rule(name, label, &["*"], &["*"])
        };
        let labels = [("team".to_owned(), "billing".to_owned())].into();
        let judged = |rules: &[AccessRule], ids: &[&str]| judge_integration_credentials(rules, None, "billing", &labels, ids);
        let split = [with("one", "billing", &["i1"]), with("two", "billing", &["i2"]), with("other", "sales", &["*"])];
        assert_eq!((judged(&split, &["i1"]), judged(&split, &["i2"])), (Ok(()), Ok(())));
        let message = judged(&split, &["i1", "i2"]).unwrap_err();
        assert!(message.contains("entry \"one\" does not allow integration credential \"i2\""), "{message}");
        assert!(judged(&split, &["i3"]).is_err(), "an entry for other namespaces allows nothing");
        assert_eq!(judged(&[with("all", "billing", &["*"])], &["i1", "i2", "i3"]), Ok(()));
        assert!(judged(&[with("none", "billing", &[])], &["i1"]).is_err(), "absent is nothing");
        assert!(judged(&[], &["i1"]).unwrap_err().contains("no entry for namespace \"billing\""));
    }

    #[test]
    fn the_entry_that_allows_the_client_must_allow_its_integration_credentials() {
        let with = |name: &str, role: &str, ids: &[&str]| AccessRule {
            integration_credentials: strings(ids),
            ..rule(name, "billing", &[role], &["*"])
        };
        let split = [with("client", "employee", &[]), with("integration", "admin", &["i1"])];
        let ids = strings(&["i1"]);
        let judged = |role| {
            let labels = [("team".to_owned(), "billing".to_owned())].into();
            let resolved = Resolved { role_names: [("r".to_owned(), String::from(role))].into(), ..Resolved::default() };
            let request = Request {
                namespace: "billing",
                namespace_labels: &labels,
                grant: GrantType::ClientCredentials,
                resolved: &resolved,
                home_division: None,
                scopes: &[],
                integration_credentials: &ids,
                older: 0,
                reset: None,
            };
            judge(&split, &request)
        };
        assert!(judged("employee").unwrap_err().contains("integration credential \"i1\""));
        assert_eq!(judged("admin"), Ok(strings(&["integration"])));
        let labels = [("team".to_owned(), "billing".to_owned())].into();
        let later = |entries: &[&str]| judge_integration_credentials(&split, Some(&strings(entries)), "billing", &labels, &["i1"]);
        assert_eq!(later(&["integration"]), Ok(()));
        assert!(later(&["client"]).is_err(), "one that was renamed since is judged by the same entry");
    }

    #[test]
    fn so_many_objects_of_a_namespace_in_the_order_of_their_creation() {
        let most = |count| AccessRule { max_clients: Some(count), ..rule("few", "billing", &["*"], &["*"]) };
        let judged = |rules: &[AccessRule], older| decided_with(rules, &[EMPLOYEE], &[HOME], |request| request.older = older);
        assert_eq!((judged(&[most(2)], 0), judged(&[most(2)], 1)), (Ok(()), Ok(())));
        let message = judged(&[most(2)], 2).unwrap_err();
        assert!(message.contains("more than 2 clients in a namespace (maxClients; 2 are older)"), "{message}");
        assert!(judged(&[most(0)], 0).is_err(), "none at all");
        assert_eq!(judged(&[most(1), rule("many", "billing", &["*"], &["*"])], 7), Ok(()), "another entry knows no limit");
    }

    #[test]
    fn a_reset_of_a_client_that_exists_must_be_allowed_by_its_id() {
        let with = |ids: &[&str]| [AccessRule { adopt_by_reset: strings(ids), ..rule("a", "billing", &["*"], &["*"]) }];
        let judged = |ids: &[&str]| decided_with(&with(ids), &[EMPLOYEE], &[HOME], |request| request.reset = Some("c1"));
        assert_eq!((judged(&["c1"]), judged(&["*"])), (Ok(()), Ok(())));
        assert!(judged(&[]).unwrap_err().contains("adopting client c1 by a reset") && judged(&["c2"]).is_err());
    }

    #[test]
    fn the_grant_type_counts() {
        let mut closed = rule("a", "billing", &["*"], &["*"]);
        closed.grant_types = strings(&["AuthorizationCode"]);
        assert!(decided(&[closed], &[EMPLOYEE], &[HOME]).unwrap_err().contains("grantType ClientCredentials"));
    }

    #[test]
    fn an_empty_selector_matches_every_namespace() {
        let mut open = rule("a", "x", &["*"], &["*"]);
        open.namespace_selector = LabelSelector::default();
        assert_eq!(decided(&[open], &[EMPLOYEE], &[HOME]), Ok(()));
    }
}
