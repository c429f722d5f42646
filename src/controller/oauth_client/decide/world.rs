//! Observations for the tests of the decisions, built without any call: the transport refuses all.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::BoxFuture;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

use tokio::time::Instant;

use super::*;
use crate::controller::oauth_client::observation::Relative;
use crate::{
    api::GenesysOAuthClient,
    controller::{
        memory::Recollection,
        oauth_client::{
            observation::Times,
            policy::PolicyView,
            timetable::{Requests, Timetable, Turn},
            validate::{self, Refusal},
        },
        sessions::Session,
        snapshot::Listed,
    },
    genesys::{
        Budget, ClientCredential, Directory, Endpoints, Limits, OAuthClient, Platform, Regions, Resolved, RoleDivision, Scanner, Timeouts,
        Transport, TransportError,
    },
    marker::Owner,
    secret::{self, Ownership, Published},
};

pub(super) const NONCE: &str = "abcdefgh27";
pub(super) const MINE: &str = "mine";

#[derive(Debug)]
struct NoTransport;

impl Transport for NoTransport {
    fn send(&self, _: http::Request<bytes::Bytes>, _: Limits) -> BoxFuture<'_, Result<http::Response<bytes::Bytes>, TransportError>> {
        panic!("a decision makes no call")
    }
}

pub(super) fn endpoints() -> Endpoints {
    Regions::compiled().get("eu-central-1").expect("a compiled region")
}

pub(super) fn session(organization_id: &str) -> Arc<Session> {
    let credential = ClientCredential { client_id: "operator".into(), client_secret: "x".to_owned().into() };
    let timeouts = Timeouts { call: Duration::from_secs(10), scan: Duration::from_secs(60) };
    let platform = Platform::new(Arc::new(NoTransport), endpoints(), credential.clone(), Arc::new(Budget::new(60)), timeouts);
    Arc::new(Session {
        version: 1,
        scanner: Scanner::new(platform.clone()),
        platform,
        survey: crate::controller::organization::survey::Survey::default(),
        directory: Directory::new(),
        credential,
        organization_id: organization_id.into(),
        opened_for: (None, "eu-central-1".into(), serde_json::from_value(json!({ "name": "acme" })).expect("a reference")),
    })
}

pub(super) fn object(spec: &Value, status: &Value) -> GenesysOAuthClient {
    let mut whole = json!({ "organizationRef": { "name": "acme" }, "grantType": "ClientCredentials", "roles": [{ "role": "employee" }] });
    for (key, value) in spec.as_object().into_iter().flatten() {
        whole[key] = value.clone();
    }
    serde_json::from_value(json!({
        "apiVersion": "oauth.genesys-operator.io/v1alpha1", "kind": "GenesysOAuthClient",
        "metadata": { "name": "billing", "namespace": "team-a", "uid": "u1", "generation": 2, "resourceVersion": "7" },
        "spec": whole, "status": status,
    }))
    .expect("the object fits the types")
}

pub(super) fn settled_status() -> Value {
    json!({
        "clientId": "c1", "revision": 1, "verifiedRevision": 1, "syncedGeneration": 2, "appliedState": "Active", "issuedNonces": [NONCE],
        "organization": { "name": "acme", "id": "o1" }, "effective": { "secretName": "billing", "deletionPolicy": "Delete" },
        "carriedRevision": 1,
    })
}

pub(super) fn owner() -> Owner {
    Owner::new("cluster", "team-a", "billing")
}

pub(super) fn client(id: &str, nonce: &str, state: &str) -> OAuthClient {
    let description = owner().marker(nonce).to_string();
    let value = json!({
        "id": id, "name": "team-a/billing", "description": description, "authorizedGrantType": "CLIENT-CREDENTIALS", "state": state,
        "accessTokenValiditySeconds": 86_400, "roleDivisions": [{ "roleId": "r1", "divisionId": "d1" }], "dateCreated": "2026-01-01T00:00:00Z",
    });
    OAuthClient::from_json(value).expect("a client").0
}

pub(super) fn relative(id: &str, nonce: &str) -> Relative {
    Relative { client: client(id, nonce, "active"), nonce: nonce.into() }
}

/// A world in which the object is settled; each test changes what it is about.
pub(super) fn settled() -> Observation {
    let object = object(&json!({}), &settled_status());
    let mut seen = blank(object);
    seen.secret = stored(&seen, "c1", 1);
    seen.memory.verified = Some((1, seen.instant));
    seen
}

/// A world in which nothing of the object exists yet.
pub(super) fn unborn() -> Observation {
    let mut seen = blank(object(&json!({}), &json!({})));
    seen.declared = Some(declared(&seen));
    seen.family = Some(vec![]);
    seen
}

pub(super) fn blank(object: GenesysOAuthClient) -> Observation {
    let organization = serde_json::from_value(json!({
        "apiVersion": "oauth.genesys-operator.io/v1alpha1", "kind": "GenesysOrganization", "metadata": { "name": "acme" },
        "spec": { "region": "eu-central-1", "credentialsSecretRef": { "name": "acme" }, "access": [{ "name": "all", "namespaceSelector": {}, "grantTypes": ["*"], "roles": ["*"], "divisions": ["*"], "scopes": ["*"] }] },
    }));
    Observation {
        owner: owner(),
        ownership: Ownership {
            cluster: owner().cluster().into(),
            namespace: "team-a".into(),
            name: "billing".into(),
            uid: "u1".into(),
            reference: OwnerReference::default(),
        },
        memory: Recollection::default(),
        now: "2026-06-01T12:00:00Z".parse().expect("a time"),
        instant: Instant::now(),
        times: Times {
            call: Duration::from_secs(10),
            window: Duration::from_secs(60),
            roles: Duration::from_secs(10),
            refutation: Duration::from_secs(120),
            resync: Duration::from_secs(600),
            verification_spread: Duration::from_secs(1000),
        },
        epoch: MINE.into(),
        local: validate::locally(&object),
        organization: Organization::Ready(Box::new(organization.expect("an organization")), session("o1")),
        secret: SecretView::Absent,
        former_secret: None,
        rotation: None,
        policy: PolicyView::None,
        requests: Requests::default(),
        timetable: Timetable::default(),
        turn: Turn::NotAsked,
        namespace_labels: BTreeMap::new(),
        declared: None,
        client: ClientView::NotRead,
        listed: Listed::NotTold,
        comparison: None,
        held: None,
        scanned_for: None,
        marked: BTreeMap::new(),
        scan_after: None,
        family: None,
        adoption: None,
        taken_over: None,
        failed: None,
        object: Arc::new(object),
    }
}

pub(super) fn declared(seen: &Observation) -> Result<validate::Declared, Refusal> {
    let Organization::Ready(organization, _) = &seen.organization else { panic!("the organization is ready") };
    let pair = RoleDivision { role_id: "r1".into(), division_id: "d1".into() };
    let resolved = Resolved {
        role_divisions: [pair].into(),
        role_names: [("r1".into(), "employee".into())].into(),
        division_names: [("d1".into(), "Home".into())].into(),
    };
    validate::against_organization(
        &seen.object,
        seen.local.as_ref().expect("a valid spec"),
        organization,
        &Ok(resolved),
        validate::Circle { home_division: Some("d1".into()), adopts: seen.object.spec.adopt.is_some(), ..validate::Circle::default() },
    )
}

pub(super) fn stored(seen: &Observation, client_id: &str, revision: i64) -> SecretView {
    let credential = Credential {
        client_id: client_id.into(),
        client_secret: Some("s3cret".to_owned().into()),
        revision,
        issued_at: None,
        nonce: Some(NONCE.into()),
    };
    let surroundings = validate::surroundings(seen.local.as_ref().expect("a valid spec"), &endpoints(), "o1");
    let keys = &seen.local.as_ref().expect("a valid spec").keys;
    let secret = secret::build(None, "billing", &seen.ownership, None, keys, &surroundings, &credential);
    SecretView::Ours(Box::new(Published {
        uid: None,
        resource_version: Some("5".into()),
        credential,
        intact: true,
        holds_secret: true,
        secret,
    }))
}

pub(super) fn with_status(mut seen: Observation, patch: &Value) -> Observation {
    let mut object = (*seen.object).clone();
    let mut status = serde_json::to_value(object.status.unwrap_or_default()).expect("a status is JSON");
    for (key, value) in patch.as_object().into_iter().flatten() {
        status[key] = value.clone();
    }
    object.status = serde_json::from_value(status).expect("a status");
    seen.object = Arc::new(object);
    seen
}

pub(super) fn intent(operation: &str, epoch: &str) -> Value {
    json!({ "intent": { "operation": operation, "clientId": if operation == "Reset" { json!("c1") } else { Value::Null }, "nonce": NONCE, "revision": 3, "attempt": 1, "epoch": epoch, "startedAt": "2026-06-01T11:00:00Z" } })
}
