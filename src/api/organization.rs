//! `GenesysOrganization`: a connection to one Genesys Cloud organization, and who may use it for what. Types only; decides nothing.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{
    duration::{DurationText, UnitDuration, seconds},
    fleet::FleetStatus,
    inventory::{Inventory, InventorySpec, UsageQueries},
    oauth_client::GrantType,
    rotation_policy::RotationPolicySpec,
};

/// Desired state of a connection to one Genesys Cloud organization.
#[derive(CustomResource, KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "oauth.genesys-operator.io",
    version = "v1alpha1",
    kind = "GenesysOrganization",
    plural = "genesysorganizations",
    shortname = "gorg",
    category = "genesys",
    status = "GenesysOrganizationStatus",
    derive = "PartialEq",
    doc = "A connection to one Genesys Cloud organization: its region, the operator's own credential, and which namespaces may use it for which clients. Its Events land in namespace default.",
    printcolumn(name = "Region", type_ = "string", json_path = ".spec.region", description = "The region of the organization"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether the operator can work in the organization"
    ),
    printcolumn(
        name = "Clients",
        type_ = "integer",
        json_path = ".status.inventory.total",
        description = "How many OAuth clients the organization has"
    ),
    printcolumn(
        name = "Unmanaged",
        type_ = "integer",
        json_path = ".status.inventory.unmanaged",
        description = "How many of them belong to no object and carry no marker"
    ),
    printcolumn(
        name = "Orphaned",
        type_ = "integer",
        json_path = ".status.inventory.orphaned",
        description = "How many carry the marker of this cluster and belong to no object"
    ),
    printcolumn(
        name = "Organization-ID",
        type_ = "string",
        json_path = ".status.organizationId",
        description = "The platform's id of the organization",
        priority = 1
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "The reason of the Ready condition",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct GenesysOrganizationSpec {
    /// The region that the organization lives in, for example `us-east-1` or `eu-central-1`. Immutable.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z0-9-]+$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("region is immutable: an organization can't move; create another GenesysOrganization"))]
    pub region: String,

    /// The Secret, in the operator's own namespace, with the credential of the operator's own OAuth client.
    pub credentials_secret_ref: CredentialsSecretRef,

    /// The platform's id of the organization that the credential must belong to. Under a credential of any other organization nothing is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub expected_organization_id: Option<String>,

    /// How many requests a minute the operator may send to the Platform API, 1 to 300. The platform allows 300 a token.
    #[serde(default = "default_requests_per_minute")]
    #[schemars(range(min = 1, max = 300))]
    pub requests_per_minute: u32,

    /// How often all clients of the organization are listed, by one request, and compared with their objects: 1m to 24h.
    #[serde(default = "default_scan_interval")]
    #[x_kube(validation = Rule::new(SCANS_ARE_BOUNDED).message("scanInterval must lie between 1m and 24h: write for example 5m"))]
    pub scan_interval: DurationText,

    /// Nothing is written to the platform or to Secrets for any object of this organization while this is true.
    #[serde(default)]
    pub suspend: bool,

    /// Which namespaces may use the organization for what. A client is allowed if one entry whose selector matches its namespace
    /// allows all that it asks for; entries are not added up. Without a matching entry everything is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub access: Vec<AccessRule>,

    /// The rotation policy of clients that name none, in the form of a GenesysRotationPolicy's spec; maxConcurrent then counts over the organization.
    /// Absent: such clients rotate only on request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation_defaults: Option<RotationPolicySpec>,

    /// The age that no credential of the organization should reach, whatever its policy says: interval and warning shrink to fit. At least 2h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(AGE_HAS_ROOM).message("maxCredentialAge must be at least 2h, twice the shortest interval: write for example 90d"))]
    pub max_credential_age: Option<DurationText>,

    /// What the inventory asks for beyond the list of all clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<InventorySpec>,
}

/// As long as twice the shortest interval of a policy, so that an interval can shrink to half of it.
const AGE_HAS_ROOM: &str = concat!(seconds!("self"), " >= 7200");

fn default_requests_per_minute() -> u32 {
    60
}

/// More often costs more of the budget than it tells; more seldom is no watch.
const SCANS_ARE_BOUNDED: &str = concat!(seconds!("self"), " >= 60 && ", seconds!("self"), " <= 86400");

fn default_scan_interval() -> DurationText {
    DurationText("5m".to_owned())
}

impl GenesysOrganization {
    /// How often all clients are listed. A text that is none of the allowed ones, which an old server lets pass, counts as the default.
    #[must_use]
    pub fn scan_interval(&self) -> Duration {
        let allowed = Duration::from_secs(60)..=Duration::from_secs(86_400);
        let wished = self.spec.scan_interval.parse().map(UnitDuration::as_duration).ok();
        wished.filter(|wished| allowed.contains(wished)).unwrap_or(USUAL_SCAN_INTERVAL)
    }

    /// Whether each client's usage is asked for.
    #[must_use]
    pub fn usage_queries(&self) -> UsageQueries {
        self.spec.inventory.unwrap_or_default().usage
    }
}

/// How often all clients of an organization are listed that says nothing else.
pub const USUAL_SCAN_INTERVAL: Duration = Duration::from_secs(300);

/// Names a Secret in the operator's namespace and its keys.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CredentialsSecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key of the client id.
    #[serde(default = "default_client_id_key")]
    #[schemars(length(min = 1, max = 253))]
    pub client_id_key: String,
    /// Key of the client secret.
    #[serde(default = "default_client_secret_key")]
    #[schemars(length(min = 1, max = 253))]
    pub client_secret_key: String,
}

fn default_client_id_key() -> String {
    "clientId".into()
}

fn default_client_secret_key() -> String {
    "clientSecret".into()
}

/// What the namespaces of one selector may ask of an organization.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AccessRule {
    /// Name of this entry, for messages.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Labels that a namespace must have. An empty selector matches every namespace.
    pub namespace_selector: LabelSelector,
    /// Grant types that are allowed; `["*"]` allows all. Absent: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 32)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = Rule::new("self.all(g, g in ['*', 'ClientCredentials', 'AuthorizationCode', 'SAML2Bearer', 'Implicit'])").message("grantTypes may list ClientCredentials, AuthorizationCode, SAML2Bearer and Implicit, or [\"*\"] for all"))]
    pub grant_types: Vec<String>,
    /// Names or ids of roles that are allowed; `["*"]` allows all. Absent: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), inner(length(min = 1, max = 256)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub roles: Vec<String>,
    /// Names or ids of divisions that are allowed, and the word `home`; `["*"]` allows all. Absent: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), inner(length(min = 1, max = 256)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub divisions: Vec<String>,
    /// Scopes that are allowed; `["*"]` allows all. Absent: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), inner(length(min = 1, max = 128)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub scopes: Vec<String>,
    /// How many objects of one namespace may use the organization by this entry, in the order of their creation; later ones are refused. Absent: any
    /// number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000))]
    pub max_clients: Option<u32>,
    /// Ids of the clients that may be adopted by a reset of their secret, which ends the old one; `["*"]` allows all. Absent: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), inner(length(min = 1, max = 64)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub adopt_by_reset: Vec<String>,
    /// Ids of the integration credentials that may follow a client's rotation; `["*"]` allows all. Absent: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), inner(length(min = 1, max = 256)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub integration_credentials: Vec<String>,
}

/// What the operator last saw of an organization.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct GenesysOrganizationStatus {
    /// The generation of spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Ready, Authenticated, PermissionsSufficient, Reconciling and Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// The platform's id of the organization that the credential belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<String>,

    /// The organization's name on the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization_name: Option<String>,

    /// The id of the operator's own OAuth client; no object may manage it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,

    /// The clients of the organization, as the scans show them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<Inventory>,

    /// The annotation `reconcile` that was handled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_reconcile_request: Option<String>,

    /// The install that works the organization and keeps this status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,

    /// Since when `rotationDefaults` holds, and how the clients that follow it stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<FleetStatus>,
}

/// Which install of which cluster works an organization.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Pin {
    /// The digest of the cluster's id, as the markers of its clients carry it. Under another id they would not be found.
    pub cluster_id: String,
    /// The namespace of the operator that keeps the status.
    pub install: String,
}

impl AccessRule {
    /// Whether the entry allows a grant type.
    #[must_use]
    pub fn allows_grant(&self, grant: GrantType) -> bool {
        let name = match grant {
            GrantType::ClientCredentials => "ClientCredentials",
            GrantType::AuthorizationCode => "AuthorizationCode",
            GrantType::SAML2Bearer => "SAML2Bearer",
            GrantType::Implicit => "Implicit",
        };
        allows(&self.grant_types, name)
    }
}

/// Whether a list of names allows one: it is listed, or the list is `["*"]`.
#[must_use]
pub fn allows(list: &[String], name: &str) -> bool {
    list.iter().any(|entry| entry == "*" || entry == name)
}
