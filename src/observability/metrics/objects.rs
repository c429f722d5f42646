//! From the objects as the watches last showed them to samples. Pure: a series of an object that is gone is not written any more.

use std::{collections::BTreeMap, fmt, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{catalog, page::Page};
use crate::api::{
    GenesysOAuthClient, GenesysOAuthClientStatus, GenesysOrganization, GenesysRotationPolicy,
    condition::{ConditionType, Status, find},
    fleet::FleetStatus,
    oauth_client::{DesiredState, DriftEntry},
};

/// The conditions of the other kinds.
const OTHER_KINDS: [ConditionType; 6] = [
    ConditionType::Ready,
    ConditionType::Synced,
    ConditionType::Authenticated,
    ConditionType::PermissionsSufficient,
    ConditionType::Reconciling,
    ConditionType::Stalled,
];
/// The states of an object, the first that fits.
pub const CLIENT_STATES: [&str; 8] = ["Deleting", "Stalled", "Suspended", "Inactive", "Rotating", "Reconciling", "Ready", "Pending"];
/// The fields of a client that can drift, as spec calls them. Status is no authority: anything else that stands there is `other`.
pub const FIELDS: [&str; 8] =
    ["displayName", "description", "grantType", "accessTokenValiditySeconds", "redirectUris", "scopes", "roles", "state"];
/// The fields that give power.
const POWERS: [&str; 3] = ["roles", "scopes", "redirectUris"];

/// All objects of this process.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// The clients.
    pub clients: Vec<Arc<GenesysOAuthClient>>,
    /// The organizations.
    pub organizations: Vec<Arc<GenesysOrganization>>,
    /// The rotation policies.
    pub policies: Vec<Arc<GenesysRotationPolicy>>,
}

/// A client that has a status.
struct Seen<'a> {
    namespace: &'a str,
    name: &'a str,
    status: &'a GenesysOAuthClientStatus,
}

impl Seen<'_> {
    fn labels(&self) -> [String; 2] {
        [self.namespace.to_owned(), self.name.to_owned()]
    }

    fn with(&self, third: &str) -> [String; 3] {
        [self.namespace.to_owned(), self.name.to_owned(), third.to_owned()]
    }
}

/// Writes all that the objects tell.
pub fn write(objects: &Objects, page: &mut Page<'_>) -> fmt::Result {
    let mut clients: Vec<Seen<'_>> = objects.clients.iter().filter_map(|object| seen(object)).collect();
    clients.sort_unstable_by_key(|client| (client.namespace, client.name));
    dates(&clients, page)?;
    page.gauges(&catalog::CONDITION, conditions(objects))?;
    page.gauges(&catalog::DRIFT, clients.iter().flat_map(|client| drift(client, &FIELDS, differences)))?;
    page.gauges(&catalog::EXTRA_ACCESS, clients.iter().flat_map(|client| drift(client, &POWERS, |entry| entry.extra.len())))?;
    rotations(&clients, page)?;
    page.gauges(&catalog::CLIENTS, states(objects))?;
    let fleets = fleets(objects);
    page.gauges(&catalog::POLICY_CLIENTS, fleets.iter().flat_map(|(labels, fleet)| counts(labels, fleet)))?;
    page.gauges(
        &catalog::POLICY_HALTED,
        fleets.iter().map(|(labels, fleet)| (labels.clone(), f64::from(u8::from(fleet.halted.is_some())))),
    )?;
    let intervals = objects
        .organizations
        .iter()
        .filter_map(|organization| Some(([organization.metadata.name.clone()?], organization.scan_interval().as_secs_f64())));
    page.gauges(&catalog::SCAN_INTERVAL, intervals)?;
    page.gauges(&catalog::INVENTORY, objects.organizations.iter().flat_map(|organization| inventory(organization)))
}

fn seen(object: &GenesysOAuthClient) -> Option<Seen<'_>> {
    let metadata = &object.metadata;
    Some(Seen { namespace: metadata.namespace.as_deref()?, name: metadata.name.as_deref()?, status: object.status.as_ref()? })
}

#[allow(clippy::cast_precision_loss, reason = "seconds since 1970 and counts are far below 2^52")]
fn number(value: i64) -> f64 {
    value as f64
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn count(value: usize) -> f64 {
    value as f64
}

fn time(at: Timestamp) -> f64 {
    number(at.as_second())
}

fn dates(clients: &[Seen<'_>], page: &mut Page<'_>) -> fmt::Result {
    let each = |date: fn(&GenesysOAuthClientStatus) -> Option<Timestamp>| {
        clients.iter().filter_map(move |client| Some((client.labels(), time(date(client.status)?))))
    };
    page.gauges(&catalog::CREDENTIAL_ISSUED, each(|status| status.issued_at))?;
    page.gauges(&catalog::CREDENTIAL_ROTATE, each(|status| status.rotation.as_ref()?.next.first().copied()))?;
    page.gauges(&catalog::CREDENTIAL_EXPIRES, each(|status| status.rotation.as_ref()?.expires_at))?;
    page.gauges(&catalog::PLATFORM_DELETION, each(|status| status.platform_deletion_at))
}

fn rotations(clients: &[Seen<'_>], page: &mut Page<'_>) -> fmt::Result {
    let intents = clients.iter().filter_map(|client| {
        let intent = client.status.intent.as_ref()?;
        Some((client.with(&format!("{:?}", intent.operation)), time(intent.started_at)))
    });
    page.gauges(&catalog::INTENT_STARTED, intents)?;
    let retiring = clients.iter().flat_map(|client| {
        let mut by_state = BTreeMap::new();
        for retiring in &client.status.retiring {
            *by_state.entry(format!("{:?}", retiring.state)).or_default() += 1;
        }
        by_state.into_iter().map(|(state, clients)| (client.with(&state), count(clients)))
    });
    page.gauges(&catalog::RETIRING, retiring)?;
    let rotation = |client: &Seen<'_>| client.status.rotation.clone();
    let under_way = clients.iter().filter_map(|client| {
        let current = rotation(client)?.current?;
        Some((client.with(&format!("{:?}", current.step)), time(current.started_at)))
    });
    page.gauges(&catalog::ROTATION_STARTED, under_way)?;
    let failures = clients.iter().filter_map(|client| Some((client.labels(), number(rotation(client)?.failures.unwrap_or_default()))));
    page.gauges(&catalog::ROTATION_FAILURES, failures)
}

fn drift(client: &Seen<'_>, known: &[&'static str], values: fn(&DriftEntry) -> usize) -> Vec<([String; 3], f64)> {
    let all_fields = known.len() == FIELDS.len();
    let mut by_field: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in &client.status.drift {
        let field = known.iter().copied().find(|field| *field == entry.field).or_else(|| all_fields.then_some("other"));
        let values = values(entry);
        if let Some(field) = field.filter(|_| values > 0) {
            *by_field.entry(field).or_default() += values;
        }
    }
    by_field.into_iter().map(|(field, values)| (client.with(field), count(values))).collect()
}

/// How many values of a field differ; one of a field of one value.
fn differences(entry: &DriftEntry) -> usize {
    (entry.missing.len() + entry.extra.len()).max(1)
}

fn conditions(objects: &Objects) -> impl Iterator<Item = ([String; 5], f64)> {
    let mut all = vec![];
    let mut note = |kind: &str, namespace: Option<&String>, name: Option<&String>, types: &[ConditionType], found: &[Condition]| {
        for type_ in types {
            let Some(condition) = find(found, *type_) else { continue };
            let known = [Status::True, Status::False, Status::Unknown].map(Status::as_str);
            let status = known.into_iter().find(|status| *status == condition.status).unwrap_or(Status::Unknown.as_str());
            let (namespace, name) = (namespace.cloned().unwrap_or_default(), name.cloned().unwrap_or_default());
            all.push(([kind.to_owned(), namespace, name, type_.as_str().to_owned(), status.to_owned()], 1.0));
        }
    };
    for object in &objects.clients {
        let found = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        let metadata = &object.metadata;
        note("GenesysOAuthClient", metadata.namespace.as_ref(), metadata.name.as_ref(), &ConditionType::OAUTH_CLIENT, found);
    }
    for object in &objects.organizations {
        let found = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        note("GenesysOrganization", None, object.metadata.name.as_ref(), &OTHER_KINDS, found);
    }
    for object in &objects.policies {
        let found = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        let metadata = &object.metadata;
        note("GenesysRotationPolicy", metadata.namespace.as_ref(), metadata.name.as_ref(), &OTHER_KINDS, found);
    }
    all.sort_unstable_by(|one, two| one.0.cmp(&two.0));
    all.into_iter()
}

/// The state of an object: one of [`CLIENT_STATES`].
fn state(object: &GenesysOAuthClient) -> &'static str {
    let conditions = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let holds = |type_| find(conditions, type_).is_some_and(|condition| condition.status == Status::True.as_str());
    let [deleting, stalled, suspended, inactive, rotating, reconciling, ready, pending] = CLIENT_STATES;
    if object.metadata.deletion_timestamp.is_some() {
        deleting
    } else if holds(ConditionType::Stalled) {
        stalled
    } else if object.spec.suspend {
        suspended
    } else if object.spec.state == DesiredState::Inactive {
        inactive
    } else if holds(ConditionType::Rotating) {
        rotating
    } else if holds(ConditionType::Reconciling) {
        reconciling
    } else if holds(ConditionType::Ready) {
        ready
    } else {
        pending
    }
}

/// The clients of every organization that exists, by state; those that name one that does not are told by their conditions.
fn states(objects: &Objects) -> impl Iterator<Item = ([String; 2], f64)> {
    let mut counted: BTreeMap<(String, &'static str), usize> = BTreeMap::new();
    for organization in objects.organizations.iter().filter_map(|organization| organization.metadata.name.as_ref()) {
        counted.extend(CLIENT_STATES.map(|state| ((organization.clone(), state), 0)));
    }
    for object in &objects.clients {
        if let Some(number) = counted.get_mut(&(object.spec.organization_ref.name.clone(), state(object))) {
            *number += 1;
        }
    }
    counted.into_iter().map(|((organization, state), number)| ([organization, state.to_owned()], count(number)))
}

/// The policies and the organizations' defaults that clients follow.
fn fleets(objects: &Objects) -> Vec<([String; 3], &FleetStatus)> {
    let mut all = vec![];
    for policy in &objects.policies {
        let Some(status) = &policy.status else { continue };
        let metadata = &policy.metadata;
        let (namespace, name) = (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default());
        all.push((["GenesysRotationPolicy".to_owned(), namespace, name], &status.fleet));
    }
    for organization in &objects.organizations {
        let Some(fleet) = organization.status.as_ref().and_then(|status| status.rotation.as_ref()) else { continue };
        let name = organization.metadata.name.clone().unwrap_or_default();
        all.push((["GenesysOrganization".to_owned(), String::new(), name], fleet));
    }
    all.sort_unstable_by(|one, two| one.0.cmp(&two.0));
    all
}

fn counts(labels: &[String; 3], fleet: &FleetStatus) -> Vec<([String; 4], f64)> {
    let counted = [
        ("Following", fleet.clients),
        ("Due", fleet.due),
        ("Overdue", fleet.overdue),
        ("Rotating", fleet.rotating),
        ("Failed", fleet.failed),
    ];
    let sample = |(state, clients): (&str, Option<i64>)| {
        let [kind, namespace, name] = labels.clone();
        Some(([kind, namespace, name, state.to_owned()], number(clients?)))
    };
    counted.into_iter().filter_map(sample).collect()
}

fn inventory(organization: &GenesysOrganization) -> Vec<([String; 2], f64)> {
    let Some(inventory) = organization.status.as_ref().and_then(|status| status.inventory.as_ref()) else { return vec![] };
    let name = organization.metadata.name.clone().unwrap_or_default();
    let sorts = [
        ("Total", inventory.total),
        ("Managed", inventory.managed),
        ("Unmanaged", inventory.unmanaged),
        ("Orphaned", inventory.orphaned),
        ("Elsewhere", inventory.elsewhere),
        ("DeprecatedGrant", inventory.deprecated_grants),
        ("OlderThanPolicy", inventory.older_than_policy),
    ];
    // Not every organization's clients are asked after.
    let asked = [("NeverUsed", inventory.never_used), ("UsageUnknown", inventory.usage_unknown)];
    let known = asked.into_iter().filter_map(|(sort, clients)| Some((sort, clients?)));
    sorts.into_iter().chain(known).map(|(sort, clients)| ([name.clone(), sort.to_owned()], number(clients))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(spec: &Value, status: &Value) -> Arc<GenesysOAuthClient> {
        let mut object = json!({
            "apiVersion": "oauth.genesys-operator.io/v1alpha1", "kind": "GenesysOAuthClient", "metadata": { "name": "billing", "namespace": "team" },
            "spec": { "organizationRef": { "name": "acme" }, "grantType": "ClientCredentials" }, "status": status,
        });
        for (key, value) in spec.as_object().into_iter().flatten() {
            object["spec"][key] = value.clone();
        }
        Arc::new(serde_json::from_value(object).expect("an object"))
    }

    fn conditions_of(types: &[(&str, &str)]) -> Value {
        let condition = |(type_, status): &(&str, &str)| json!({ "type": type_, "status": status, "reason": "Whatever", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" });
        json!({ "conditions": types.iter().map(condition).collect::<Vec<_>>() })
    }

    #[test]
    fn an_object_is_in_the_first_state_that_fits() {
        let ready = [("Ready", "True"), ("Rotating", "False"), ("Reconciling", "False"), ("Stalled", "False")];
        let rotating = [("Ready", "True"), ("Rotating", "True"), ("Stalled", "False")];
        let stalled = [("Ready", "True"), ("Rotating", "True"), ("Stalled", "True")];
        for (spec, conditions, expected) in [
            (json!({}), &[][..], "Pending"),
            (json!({}), &[("Ready", "Unknown"), ("Reconciling", "True")], "Reconciling"),
            (json!({}), &ready, "Ready"),
            (json!({}), &rotating, "Rotating"),
            (json!({}), &stalled, "Stalled"),
            (json!({ "suspend": true }), &ready, "Suspended"),
            (json!({ "suspend": true }), &stalled, "Stalled"),
            (json!({ "state": "Inactive" }), &ready, "Inactive"),
        ] {
            assert_eq!(state(&object(&spec, &conditions_of(conditions))), expected, "{conditions:?}");
        }
    }

    #[test]
    fn a_status_that_somebody_wrote_gives_no_label_of_his_choice() {
        let mut status = conditions_of(&[("Ready", "perhaps"), ("Mine", "True")]);
        status["drift"] = json!([{ "field": "roles", "extra": ["a", "b"], "missing": ["c"] }, { "field": "mine", "extra": ["d"] }]);
        let objects = Objects { clients: vec![object(&json!({}), &status)], ..Objects::default() };
        let told: Vec<[String; 5]> = conditions(&objects).map(|(labels, _)| labels).collect();
        assert_eq!(told, [["GenesysOAuthClient", "team", "billing", "Ready", "Unknown"].map(str::to_owned)]);
        let client = seen(&objects.clients[0]).expect("it has a status");
        let fields = |values: Vec<([String; 3], f64)>| {
            values.into_iter().map(|([_, _, field], value)| format!("{field} {value}")).collect::<Vec<_>>()
        };
        assert_eq!(fields(drift(&client, &FIELDS, differences)), ["other 1", "roles 3"]);
        assert_eq!(fields(drift(&client, &POWERS, |entry| entry.extra.len())), ["roles 2"]);
    }
}
