//! `GenesysOAuthClient`: one OAuth client of Genesys Cloud, and its rules in CEL. Types only; decides nothing.

mod adopt;
mod drift;
mod rotation;
pub mod rotation_status;
mod status;

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use adopt::{Adopt, AdoptedSecretRef};
pub use drift::{DriftEntry, DriftPolicy};
pub use rotation::{IntegrationCredentialRef, RolloutKind, RolloutTarget, RotationPolicyRef};
pub use status::{
    Binding, DeletionTime, Effective, FormerSecret, GenesysOAuthClientStatus, Intent, IntentOperation, RecordedOrganization,
    RetiringClient, RetiringState, UnheededWrite, WrittenIntegrationCredential,
};

/// Desired state of one OAuth client of Genesys Cloud.
#[derive(CustomResource, KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "oauth.genesys-operator.io",
    version = "v1alpha1",
    kind = "GenesysOAuthClient",
    plural = "genesysoauthclients",
    shortname = "goc",
    category = "genesys",
    namespaced,
    status = "GenesysOAuthClientStatus",
    derive = "PartialEq",
    doc = "One OAuth client of Genesys Cloud. The operator creates it, keeps it as spec says, and writes its credentials into a Secret of the same namespace.",
    selectable = ".spec.organizationRef.name",
    selectable = ".spec.grantType",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether the published credential exists and worked when last verified"),
    printcolumn(name = "Synced", type_ = "string", json_path = ".status.conditions[?(@.type==\"Synced\")].status", description = "Whether the platform matches spec"),
    printcolumn(name = "Drift", type_ = "string", json_path = ".status.conditions[?(@.type==\"ScopeDrift\")].status", description = "Whether the platform grants other powers than were applied"),
    printcolumn(name = "Expiring", type_ = "string", json_path = ".status.conditions[?(@.type==\"CredentialExpiring\")].status", description = "Whether the credential is close to its deadline"),
    printcolumn(name = "Secret", type_ = "string", json_path = ".status.effective.secretName", description = "The Secret that receives the credentials"),
    printcolumn(name = "Rotates", type_ = "string", json_path = ".status.rotation.next[0]", description = "When the next rotation is expected", priority = 1),
    printcolumn(name = "Client-ID", type_ = "string", json_path = ".status.clientId", description = "The id of the client on the platform", priority = 1),
    printcolumn(name = "Org", type_ = "string", json_path = ".spec.organizationRef.name", description = "The GenesysOrganization", priority = 1),
    printcolumn(name = "Grant", type_ = "string", json_path = ".spec.grantType", description = "The grant type", priority = 1),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "The reason of the Ready condition", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 63")
        .message("metadata.name may have at most 63 characters, because it becomes the value of a label: choose a shorter name"),
    validation = Rule::new("!self.metadata.name.endsWith('-rotation') || (has(self.spec.credentialsSecret) && has(self.spec.credentialsSecret.name))")
        .message("an object whose name ends in -rotation needs spec.credentialsSecret.name, because Secrets of that ending are reserved for rotations")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.grantType != 'ClientCredentials' || (has(self.roles) && size(self.roles) > 0)")
        .message("a ClientCredentials client acts by its roles: list at least one in spec.roles, for example [{role: employee}]"),
    validation = Rule::new("self.grantType == 'ClientCredentials' || !has(self.roles)")
        .message("spec.roles is for grantType ClientCredentials alone: remove it and list spec.scopes"),
    validation = Rule::new("self.grantType == 'ClientCredentials' || (has(self.scopes) && size(self.scopes) > 0)")
        .message("this grantType acts by scopes: list at least one in spec.scopes, for example [user-basic-info]"),
    validation = Rule::new("self.grantType != 'ClientCredentials' || !has(self.scopes)")
        .message("spec.scopes has no meaning for grantType ClientCredentials: remove it and list spec.roles"),
    validation = Rule::new("!(self.grantType in ['AuthorizationCode', 'Implicit']) || (has(self.redirectUris) && size(self.redirectUris) > 0)")
        .message("this grantType needs spec.redirectUris: list at least one, for example [https://app.example.com/callback]"),
    validation = Rule::new("self.grantType in ['AuthorizationCode', 'Implicit'] || !has(self.redirectUris)")
        .message("spec.redirectUris is for grantTypes AuthorizationCode and Implicit alone: remove it"),
    validation = Rule::new("!self.publicClient || self.grantType == 'AuthorizationCode'")
        .message("spec.publicClient: true (PKCE) needs grantType AuthorizationCode"),
    validation = Rule::new("!has(self.accessTokenValiditySeconds) || self.accessTokenValiditySeconds <= 172800 || self.scim")
        .message("accessTokenValiditySeconds above 172800 (two days) is for SCIM clients alone: lower it, or set spec.scim: true"),
    validation = Rule::new("(!self.publicClient && self.grantType != 'Implicit') || !has(self.rotationPolicyRef)")
        .message("spec.rotationPolicyRef has no meaning for a publicClient or an Implicit client, which are never rotated: remove it"),
    validation = Rule::new("self.grantType != 'Implicit' || has(self.adopt)")
        .message("Genesys Cloud makes no new Implicit clients: name the one that exists in spec.adopt, or use AuthorizationCode with publicClient: true"),
    validation = Rule::new("!has(self.adopt) || self.publicClient || has(self.adopt.secretRef) != self.adopt.resetSecret")
        .message("spec.adopt needs exactly one of secretRef (the secret is known) and resetSecret: true (a new one is issued, and the old one ends)"),
    validation = Rule::new("!has(self.adopt) || !self.publicClient || (!has(self.adopt.secretRef) && !self.adopt.resetSecret)")
        .message("a publicClient has no secret: remove secretRef and resetSecret from spec.adopt"),
    validation = Rule::new("!has(oldSelf.adopt) || has(self.adopt)")
        .message("spec.adopt can't be removed: it says that the client was there before this object; delete the object to let the client go")
)]
pub struct GenesysOAuthClientSpec {
    /// The GenesysOrganization that this client belongs to.
    pub organization_ref: OrganizationRef,

    /// Name of the client on the platform, as people see it there. Defaults to `<namespace>/<name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = Rule::new("!self.contains('[k8s:')").message("displayName must not hold \"[k8s:\": the operator marks its clients with it"))]
    pub display_name: Option<String>,

    /// Description of the client on the platform. The operator adds a marker to its end, by which it finds its clients again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    #[x_kube(validation = Rule::new("!self.contains('[k8s:')").message("description must not hold \"[k8s:\": the operator marks its clients with it"))]
    pub description: Option<String>,

    /// How the client obtains tokens. ClientCredentials: a service that acts as itself, by roles. AuthorizationCode: an application that acts for the user who signs in. SAML2Bearer: an application that exchanges a SAML2 assertion. Implicit: an old single-page application, which can only be adopted. Immutable.
    #[x_kube(validation = Rule::new("self == oldSelf").message("grantType is immutable: create a new object for another grant type"))]
    pub grant_type: GrantType,

    /// A client that can't keep a secret, such as a single-page app: it uses PKCE, and its Secret holds no clientSecret. Immutable.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message("publicClient is immutable: create a new object"))]
    pub public_client: bool,

    /// The roles that a ClientCredentials client acts by, each with the divisions where it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["role".into()]))]
    pub roles: Option<Vec<RoleGrant>>,

    /// The scopes that the other grant types may ask for, for example `user-basic-info` or `routing:readonly`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200), inner(length(min = 1, max = 128)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub scopes: Option<Vec<String>>,

    /// Where an AuthorizationCode or Implicit client may send its users back to: https, or http on localhost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 2048)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = Rule::new("self.all(u, u.startsWith('https://') || u.matches('^http://localhost(:[0-9]{1,5})?([/?].*)?$'))").message("each of redirectUris must begin with https:// or be an address of http://localhost"))]
    pub redirect_uris: Option<Vec<String>>,

    /// How long an access token is valid, in seconds: 300 to 172800, more only with `scim: true`. Absent: 86400 (one day), and on an adopted client as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 300, max = 38_880_000))]
    pub access_token_validity_seconds: Option<i64>,

    /// The client serves SCIM: its roles allow a token validity of up to 450 days.
    #[serde(default)]
    pub scim: bool,

    /// Active clients obtain tokens; Inactive ones can't, while their tokens in use live on.
    #[serde(default)]
    pub state: DesiredState,

    /// The Secret that receives the credentials, and its shape. Absent: a Secret of the object's name with the keys of preset Default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret: Option<CredentialsSecret>,

    /// The rotation policy of this client. Absent: the organization's `rotationDefaults`. With `scim: true` the strategy is Regenerate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation_policy_ref: Option<RotationPolicyRef>,

    /// Workloads of this namespace that are restarted when a new credential is published.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["kind".into(), "name".into()]))]
    pub rollout_targets: Vec<RolloutTarget>,

    /// Credentials of Genesys Cloud integrations that receive each new credential.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["credential".into()]))]
    pub integration_credentials: Vec<IntegrationCredentialRef>,

    /// What happens to a change that somebody made to the client on the platform. Correct: it is undone. Report: it is only told.
    #[serde(default)]
    pub drift_policy: DriftPolicy,

    /// What happens to the client when this object is deleted. Absent: Delete, and for an adopted client Orphan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,

    /// A client that exists already and is to be managed by this object, instead of a new one. It can be added and not be removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopt: Option<Adopt>,

    /// Nothing is written to the platform or the Secret while this is true; conditions go on. With `adopt` they say what would be done.
    #[serde(default)]
    pub suspend: bool,
}

/// Names a GenesysOrganization.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OrganizationRef {
    /// Name of the GenesysOrganization. Immutable.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("organizationRef.name is immutable: create a new object in the other organization"))]
    pub name: String,
}

/// How a client obtains tokens.
#[derive(JsonSchema, Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub enum GrantType {
    /// A service that acts as itself, by roles.
    ClientCredentials,
    /// An application that acts for the user who signs in.
    AuthorizationCode,
    /// An application that exchanges a SAML2 assertion.
    SAML2Bearer,
    /// An old single-page application that gets its tokens from the browser's address bar; it can only be adopted.
    Implicit,
}

/// The wished state of a client.
#[derive(JsonSchema, Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub enum DesiredState {
    /// The client obtains tokens.
    #[default]
    Active,
    /// The client obtains no tokens.
    Inactive,
}

/// What happens to the client when this object is deleted. Delete: the client and its Secret are deleted. Deactivate: the client is made inactive and kept, its Secret is deleted. Orphan: both are kept, without the operator's marks. Absent: Delete, and for an adopted client Orphan.
#[derive(JsonSchema, Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// The client and its Secret are deleted.
    #[default]
    Delete,
    /// The client is made inactive and kept; its Secret is deleted.
    Deactivate,
    /// The client and its Secret are kept as they are; the operator only removes its marks.
    Orphan,
}

/// One role of a client, and where it holds.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.divisions) || !('*' in self.divisions) || size(self.divisions) == 1").message("\"*\" means all divisions and stands alone: remove the others, or remove \"*\""))]
pub struct RoleGrant {
    /// Name or id of the role. A UUID is an id, anything else a name.
    #[schemars(length(min = 1, max = 256))]
    pub role: String,

    /// Names or ids of the divisions where the role holds; `home` is the home division, `"*"` all of them. Absent: the home division.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 256)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub divisions: Option<Vec<String>>,
}

/// The Secret that receives a client's credentials.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.preset != 'Default' || !has(self.keys) || self.keys.all(k, self.keys[k] in self.keys || !(self.keys[k] in ['clientId', 'clientSecret', 'region', 'domain', 'loginUrl', 'authorizeUrl', 'tokenUrl', 'apiUrl', 'organizationId', 'grantType']))").message("credentialsSecret.keys gives a key the name of another one that is not renamed: each needs one of its own"))]
pub struct CredentialsSecret {
    /// Name of the Secret. Absent: the name of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    #[x_kube(validation = Rule::new("!self.endsWith('-rotation')").message("credentialsSecret.name must not end in -rotation: such Secrets are reserved for rotations"))]
    pub name: Option<String>,

    /// The set of key names: Default, Environment (as Terraform and the Genesys CLI read them), or ServiceBinding (servicebinding.io).
    #[serde(default)]
    pub preset: SecretPreset,

    /// Renames single keys. The left side is a name of preset Default, the right side the name in the Secret, for example `{clientId: CLIENT_ID}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "additionalProperties" = {"type": "string", "minLength": 1, "maxLength": 253, "pattern": "^[-._a-zA-Z0-9]+$"}))]
    #[x_kube(validation = Rule::new("self.all(k, k in ['clientId', 'clientSecret', 'region', 'domain', 'loginUrl', 'authorizeUrl', 'tokenUrl', 'apiUrl', 'organizationId', 'grantType'])").message("credentialsSecret.keys renames clientId, clientSecret, region, domain, loginUrl, authorizeUrl, tokenUrl, apiUrl, organizationId and grantType; it has no other name"))]
    #[x_kube(validation = Rule::new("self.all(a, self.exists_one(b, self[b] == self[a]))").message("credentialsSecret.keys gives two keys the same name: each needs one of its own"))]
    pub keys: BTreeMap<String, String>,

    /// Labels that the Secret gets beside the operator's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32, "additionalProperties" = {"type": "string", "maxLength": 63}))]
    #[x_kube(validation = Rule::new("self.all(k, !k.startsWith('oauth.genesys-operator.io/') && k != 'app.kubernetes.io/managed-by')").message("credentialsSecret.labels must not set app.kubernetes.io/managed-by or a name under oauth.genesys-operator.io/: they are the operator's"))]
    pub labels: BTreeMap<String, String>,

    /// Annotations that the Secret gets beside the operator's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32, "additionalProperties" = {"type": "string", "maxLength": 4096}))]
    #[x_kube(validation = Rule::new("self.all(k, !k.startsWith('oauth.genesys-operator.io/') && k != 'app.kubernetes.io/managed-by')").message("credentialsSecret.annotations must not set app.kubernetes.io/managed-by or a name under oauth.genesys-operator.io/: they are the operator's"))]
    pub annotations: BTreeMap<String, String>,
}

/// A set of key names for the credentials Secret.
#[derive(JsonSchema, Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub enum SecretPreset {
    /// `clientId`, `clientSecret`, `region`, `domain`, `loginUrl`, `authorizeUrl`, `tokenUrl`, `apiUrl`, `organizationId`, `grantType`.
    #[default]
    Default,
    /// `GENESYSCLOUD_OAUTHCLIENT_ID`, `GENESYSCLOUD_OAUTHCLIENT_SECRET`, `GENESYSCLOUD_REGION` and the rest in that style.
    Environment,
    /// The keys of servicebinding.io's `oauth2` type.
    ServiceBinding,
}

impl GenesysOAuthClient {
    /// The name of the Secret that receives the credentials.
    #[must_use]
    pub fn secret_name(&self) -> &str {
        self.spec
            .credentials_secret
            .as_ref()
            .and_then(|secret| secret.name.as_deref())
            .or(self.metadata.name.as_deref())
            .unwrap_or_default()
    }

    /// What happens to the client when the object is deleted.
    #[must_use]
    pub fn effective_deletion_policy(&self) -> DeletionPolicy {
        let adopted = self.spec.adopt.is_some();
        self.spec.deletion_policy.unwrap_or(if adopted { DeletionPolicy::Orphan } else { DeletionPolicy::Delete })
    }

    /// Whether the client has a secret that a rotation could replace: a public one has none, and the platform makes no second Implicit one.
    #[must_use]
    pub fn can_rotate(&self) -> bool {
        !self.spec.public_client && self.spec.grant_type != GrantType::Implicit
    }
}
