//! From the differences between what spec declares and what the platform shows to what status, conditions and Events tell of them. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::outlook::Words;
use crate::{
    api::{
        condition::{Reason, Status, shorten},
        oauth_client::{DriftEntry, DriftPolicy},
    },
    genesys::{ClientRequest, OAuthClient},
};

/// The longest value that status tells.
const LONGEST_VALUE: usize = 256;
/// The most values that an entry lists of one sort.
const MOST_VALUES: usize = 20;
/// The fields that give power. A redirect URI does too: whoever owns it receives the codes of those who sign in.
const POWERS: [&str; 3] = ["roles", "scopes", "redirectUris"];

/// The names of roles and divisions by id, as far as they are known.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Of roles.
    pub roles: BTreeMap<String, String>,
    /// Of divisions.
    pub divisions: BTreeMap<String, String>,
}

/// What spec calls a member of the platform's client.
fn field_of(member: &str) -> &str {
    match member {
        "name" => "displayName",
        "authorizedGrantType" => "grantType",
        "registeredRedirectUri" => "redirectUris",
        "scope" => "scopes",
        "roleDivisions" => "roles",
        other => other,
    }
}

/// Every declared field that the platform shows otherwise.
#[must_use]
pub fn entries(request: &ClientRequest, client: &OAuthClient, names: &Names) -> Vec<DriftEntry> {
    let modified_by = client.modified_by.as_ref().map(|by| shorten(by.name.as_deref().unwrap_or(&by.id), LONGEST_VALUE));
    let entry = |difference: crate::genesys::FieldDifference| {
        let mut entry = DriftEntry {
            field: field_of(difference.field).to_owned(),
            modified_by: modified_by.clone(),
            modified_at: client.date_modified,
            ..DriftEntry::default()
        };
        if let (Value::Array(declared), Value::Array(actual)) = (&difference.declared, &difference.actual) {
            entry.missing = listed(declared.iter().filter(|value| !actual.contains(value)), names);
            entry.extra = listed(actual.iter().filter(|value| !declared.contains(value)), names);
        } else {
            entry.expected = Some(single(&difference.declared));
            entry.actual = Some(single(&difference.actual));
        }
        entry
    };
    request.differences(client).into_iter().map(entry).collect()
}

fn single(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    shorten(&text, LONGEST_VALUE)
}

fn listed<'a>(values: impl Iterator<Item = &'a Value>, names: &Names) -> Vec<String> {
    let mut told: Vec<String> = values.map(|value| role(value, names).unwrap_or_else(|| single(value))).collect();
    if told.len() > MOST_VALUES {
        let more = told.len() - (MOST_VALUES - 1);
        told.truncate(MOST_VALUES - 1);
        told.push(format!("and {more} more"));
    }
    told
}

/// A role and its division, by name and id.
fn role(value: &Value, names: &Names) -> Option<String> {
    let (role, division) = (value["roleId"].as_str()?, value["divisionId"].as_str()?);
    let told = |names: &BTreeMap<String, String>, id: &str| match names.get(id) {
        Some(name) => format!("{} ({id})", shorten(name, 64)),
        None => id.to_owned(),
    };
    let division = if division == "*" { "all divisions".to_owned() } else { format!("division {}", told(&names.divisions, division)) };
    Some(shorten(&format!("{} in {division}", told(&names.roles, role)), LONGEST_VALUE))
}

/// What the entries list of the fields that give power.
fn powers(drift: &[DriftEntry], list: fn(&DriftEntry) -> &[String]) -> Vec<(&str, &str)> {
    let of_power = drift.iter().filter(|entry| POWERS.contains(&entry.field.as_str()));
    of_power.flat_map(|entry| list(entry).iter().map(|value| (entry.field.as_str(), value.as_str()))).collect()
}

/// What the client may do that is not declared.
#[must_use]
pub fn extra_powers(drift: &[DriftEntry]) -> Vec<String> {
    powers(drift, |entry| &entry.extra).into_iter().map(|(field, value)| format!("{field}: {value}")).collect()
}

/// What `ScopeDrift` says of a client that was compared.
#[must_use]
pub fn scope_drift(drift: &[DriftEntry]) -> Words {
    let (missing, extra) = (powers(drift, |entry| &entry.missing), powers(drift, |entry| &entry.extra));
    let told = |what: &str, values: &[(&str, &str)]| {
        let fields: BTreeSet<&str> = values.iter().map(|(field, _)| *field).collect();
        let by_field = fields.into_iter().map(|field| {
            let values: Vec<&str> = values.iter().filter(|(of, _)| *of == field).map(|(_, value)| *value).collect();
            format!("{field} {}", values.join(", "))
        });
        format!("{what}: {}", by_field.collect::<Vec<_>>().join("; "))
    };
    match (missing.is_empty(), extra.is_empty()) {
        (true, true) => (Status::False, Reason::InSync, "the platform grants what was declared".to_owned()),
        (false, true) => (Status::True, Reason::Missing, told("missing on the platform", &missing)),
        (true, false) => (Status::True, Reason::Extra, told("on the platform and not declared", &extra)),
        (false, false) => {
            let words = [told("missing on the platform", &missing), told("there and not declared", &extra)];
            (Status::True, Reason::MissingAndExtra, words.join("; "))
        }
    }
}

/// What `Synced` says of a client that drifted.
#[must_use]
pub fn synced(drift: &[DriftEntry], policy: DriftPolicy) -> Words {
    let fields = fields(drift);
    let who = modifier(drift);
    match policy {
        DriftPolicy::Correct => {
            (Status::False, Reason::Correcting, format!("the platform shows other values of {fields}{who}: they are being corrected"))
        }
        DriftPolicy::Report => (
            Status::False,
            Reason::DriftReported,
            format!(
                "the platform shows other values of {fields}{who}, and driftPolicy is Report: see status.drift, then change spec or the client"
            ),
        ),
    }
}

/// The fields, in words.
#[must_use]
pub fn fields(drift: &[DriftEntry]) -> String {
    drift.iter().map(|entry| entry.field.as_str()).collect::<Vec<_>>().join(", ")
}

/// Who modified the client last, and when, in words.
#[must_use]
pub fn modifier(drift: &[DriftEntry]) -> String {
    let Some(entry) = drift.first() else { return String::new() };
    let by = entry.modified_by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let at = entry.modified_at.map(|at| format!(" at {at}")).unwrap_or_default();
    if by.is_empty() && at.is_empty() { String::new() } else { format!(" (last modified{by}{at})") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::genesys::{ClientState, GrantType, RoleDivision};

    fn pair(role: &str, division: &str) -> RoleDivision {
        RoleDivision { role_id: role.into(), division_id: division.into() }
    }

    fn declared() -> ClientRequest {
        ClientRequest {
            name: "team/billing".into(),
            description: Some("bills [k8s:a/b/c]".into()),
            grant_type: GrantType::ClientCredentials,
            access_token_validity_seconds: Some(3600),
            redirect_uris: Some(vec!["https://a".into()]),
            scopes: Some(vec!["users".into(), "routing".into()]),
            role_divisions: Some([pair("r1", "d1"), pair("r2", "*")].into()),
            state: ClientState::Active,
        }
    }

    fn shown(change: &Value) -> OAuthClient {
        let mut client = json!({
            "id": "c1", "name": "team/billing", "description": "bills [k8s:a/b/c]", "authorizedGrantType": "CLIENT-CREDENTIALS",
            "accessTokenValiditySeconds": 3600, "registeredRedirectUri": ["https://a"], "scope": ["users", "routing"], "state": "active",
            "roleDivisions": [{ "roleId": "r1", "divisionId": "d1" }, { "roleId": "r2", "divisionId": "*" }],
            "modifiedBy": { "id": "u9" }, "dateModified": "2026-01-02T00:00:00Z",
        });
        for (key, value) in change.as_object().into_iter().flatten() {
            client[key] = value.clone();
        }
        OAuthClient::from_json(client).expect("a client").0
    }

    fn drift(change: &Value) -> Vec<DriftEntry> {
        let names = Names {
            roles: [("r1".into(), "employee".into()), ("r3".into(), "admin".into())].into(),
            divisions: [("d1".into(), "Home".into())].into(),
        };
        entries(&declared(), &shown(change), &names)
    }

    #[test]
    fn a_client_as_declared_has_not_drifted() {
        assert_eq!(drift(&json!({})), []);
        assert_eq!(scope_drift(&[]).1, Reason::InSync);
    }

    #[test]
    fn every_field_is_told_by_the_name_that_spec_has_for_it() {
        for (member, value, field, expected, actual) in [
            ("name", json!("other"), "displayName", "team/billing", "other"),
            ("description", json!("bills"), "description", "bills [k8s:a/b/c]", "bills"),
            ("description", Value::Null, "description", "bills [k8s:a/b/c]", ""),
            ("accessTokenValiditySeconds", json!(60), "accessTokenValiditySeconds", "3600", "60"),
            ("authorizedGrantType", json!("CODE"), "grantType", "CLIENT-CREDENTIALS", "CODE"),
            ("state", json!("inactive"), "state", "active", "inactive"),
        ] {
            let found = drift(&json!({ member: value }));
            let [entry] = found.as_slice() else { panic!("{member}: {found:?}") };
            assert_eq!((entry.field.as_str(), entry.expected.as_deref(), entry.actual.as_deref()), (field, Some(expected), Some(actual)));
            assert_eq!((entry.modified_by.as_deref(), entry.modified_at), (Some("u9"), "2026-01-02T00:00:00Z".parse().ok()));
            assert_eq!(scope_drift(&found).1, Reason::InSync, "{member} gives no power");
        }
    }

    #[test]
    fn lists_are_told_as_what_is_missing_and_what_is_extra() {
        let roles =
            json!([{ "roleId": "r1", "divisionId": "d1" }, { "roleId": "r3", "divisionId": "d1" }, { "roleId": "r4", "divisionId": "d7" }]);
        let found = drift(&json!({ "roleDivisions": roles }));
        let [entry] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(entry.missing, ["r2 in all divisions"]);
        assert_eq!(entry.extra, ["admin (r3) in division Home (d1)", "r4 in division d7"]);
        let (status, reason, message) = scope_drift(&found);
        assert_eq!((status, reason), (Status::True, Reason::MissingAndExtra));
        assert!(message.contains("roles admin (r3) in division Home (d1), r4 in division d7"), "{message}");
        assert_eq!(extra_powers(&found).len(), 2);

        let found = drift(&json!({ "scope": ["users"] }));
        assert_eq!((scope_drift(&found).1, found[0].missing.as_slice()), (Reason::Missing, &["routing".to_owned()][..]));
        let found = drift(&json!({ "registeredRedirectUri": ["https://a", "https://evil"] }));
        assert_eq!((scope_drift(&found).1, extra_powers(&found)), (Reason::Extra, vec!["redirectUris: https://evil".to_owned()]));
    }

    #[test]
    fn what_status_tells_is_bounded() {
        let many: Vec<String> = (0..70).map(|number| format!("scope-{number}-{}", "x".repeat(300))).collect();
        let found = drift(&json!({ "scope": many, "name": "n".repeat(900) }));
        assert!(found.len() <= 20);
        for entry in &found {
            assert!(entry.extra.len() <= MOST_VALUES);
            let values = entry.extra.iter().chain(&entry.missing).chain(&entry.actual).chain(&entry.expected);
            assert!(values.into_iter().all(|value| value.chars().count() <= LONGEST_VALUE));
        }
        let scopes = found.iter().find(|entry| entry.field == "scopes").expect("scopes drifted");
        assert_eq!(scopes.extra.last().map(String::as_str), Some("and 51 more"));
    }

    #[test]
    fn synced_says_what_is_done_about_it() {
        let found = drift(&json!({ "name": "other", "scope": [] }));
        let (_, reason, message) = synced(&found, DriftPolicy::Correct);
        assert_eq!(reason, Reason::Correcting);
        assert!(message.contains("displayName, scopes") && message.contains("by u9 at 2026-01-02T00:00:00Z"), "{message}");
        assert_eq!(synced(&found, DriftPolicy::Report).1, Reason::DriftReported);
    }
}
