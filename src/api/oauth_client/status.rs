//! The status of a `GenesysOAuthClient`: what the operator last saw and did. Types only; status is memory, not authority.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    super::rotation_policy::RotationStrategy,
    DeletionPolicy, DesiredState, GrantType,
    drift::DriftEntry,
    rotation_status::{LastRotation, RotationStatus},
};

/// What the operator last saw and did.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct GenesysOAuthClientStatus {
    /// The generation of spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Ready, Synced, CredentialExpiring, ScopeDrift, Rotating, Reconciling and Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// The organization in which the client was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<RecordedOrganization>,

    /// The id of the published client on the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,

    /// The nonce of the published client's marker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,

    /// The grant type with which the client was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_type: Option<GrantType>,

    /// Whether the client was created as a public one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_client: Option<bool>,

    /// The state that the operator last gave the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_state: Option<DesiredState>,

    /// The number of the published credential: each create and each reset of a secret takes the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,

    /// The revision that was verified last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_revision: Option<i64>,

    /// The generation of spec that the platform was last seen to match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synced_generation: Option<i64>,

    /// The fields that the platform shows otherwise than they were declared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub drift: Vec<DriftEntry>,

    /// When the published client was last modified, as the operator last saw or wrote it; noted along with other changes. Another time means that
    /// somebody changed it since, which costs one verification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform_modified_at: Option<Timestamp>,

    /// The last write of the client that the platform took and did not follow. It is not sent again until spec or the client changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unheeded_write: Option<UnheededWrite>,

    /// When the platform itself will delete the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform_deletion_at: Option<Timestamp>,

    /// When the published secret came into being, by the platform's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<Timestamp>,

    /// A call whose outcome could be lost, written down before it is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,

    /// The nonces of the markers that this object gave to clients, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 24))]
    pub issued_nonces: Vec<String>,

    /// Clients of this object that are on their way to deletion.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub retiring: Vec<RetiringClient>,

    /// When secrets were asked for in the last hour: at most three are allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub mints: Vec<Timestamp>,

    /// What the defaults that depend on other fields came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<Effective>,

    /// The Secret, as servicebinding.io looks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,

    /// The revision that the rollout targets carry: they are restarted when it falls behind the published one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried_revision: Option<i64>,

    /// The generation of spec whose integration credentials were written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried_generation: Option<i64>,

    /// Rotations: the policy, the dates, the one under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationStatus>,

    /// How the last rotation ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_rotation: Option<LastRotation>,

    /// The last rotations before that, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub history: Vec<LastRotation>,

    /// The annotation `rotate` that was handled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_rotate_request: Option<String>,

    /// The annotation `abort` that was handled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_abort_request: Option<String>,

    /// The annotation `reconcile` that was handled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_reconcile_request: Option<String>,

    /// The credentials of Genesys Cloud integrations that received a credential of this object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub integration_credentials: Vec<WrittenIntegrationCredential>,

    /// Secrets of former names, kept for a while for workloads that still mount them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub former_secrets: Vec<FormerSecret>,
}

/// A write after which the platform still shows other values.
#[derive(KubeSchema, Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct UnheededWrite {
    /// The generation of spec that was written.
    pub generation: i64,
    /// When the client was last modified, as the platform answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_at: Option<Timestamp>,
}

/// The organization that an object's client belongs to.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RecordedOrganization {
    /// Name of the GenesysOrganization.
    pub name: String,
    /// The platform's id of the organization.
    pub id: String,
}

/// A call whose outcome could be lost.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// What is about to be done.
    pub operation: IntentOperation,
    /// The client whose secret is reset, or that is adopted. Absent for Create.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The nonce in the marker of the client that is created or adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// The revision that the new credential will have.
    pub revision: i64,
    /// How often the call was begun.
    pub attempt: i64,
    /// The process that owns the intent: a random id of each start.
    pub epoch: String,
    /// When the intent was first written.
    pub started_at: Timestamp,
}

/// The operations whose outcome could be lost.
#[derive(JsonSchema, Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub enum IntentOperation {
    /// A client is created.
    Create,
    /// The secret of a client is reset.
    Reset,
    /// A client that exists gets this object's marker.
    Adopt,
}

/// A client on its way to deletion.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RetiringClient {
    /// The client's id on the platform.
    pub client_id: String,
    /// The step that it is in; written before the call that it names.
    pub state: RetiringState,
    /// When it entered this state.
    pub since: Timestamp,
    /// Whether it is deleted at once, or only when the tokens that it obtained have run out.
    #[serde(default)]
    #[schemars(transform = without_default)]
    pub deletion: DeletionTime,
    /// When it may be deleted; set when it was made inactive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_after: Option<Timestamp>,
}

/// A default inside a list would be written into every object by the server.
fn without_default(schema: &mut schemars::Schema) {
    schema.remove("default");
}

/// The steps of a retirement.
#[derive(JsonSchema, Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub enum RetiringState {
    /// The client still obtains tokens, for workloads that use its credential.
    Draining,
    /// The client is being made inactive, or is inactive while its tokens live on.
    Inactivating,
    /// The client is being deleted.
    Deleting,
}

/// When a client is deleted that was made inactive.
#[derive(JsonSchema, Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub enum DeletionTime {
    /// At once: nothing uses its tokens, or nothing may.
    #[default]
    AtOnce,
    /// When its access tokens have run out, at most seven days later.
    AfterTokens,
}

/// Defaults that depend on other fields, as they came out.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Effective {
    /// The Secret that receives the credentials.
    pub secret_name: String,
    /// What happens to the client when the object is deleted.
    pub deletion_policy: DeletionPolicy,
    /// The rotation policy that applies: a GenesysRotationPolicy, or the rotationDefaults of the organization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation_policy: Option<String>,
    /// How the credential is rotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<RotationStrategy>,
    /// The age that the credential should not reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<String>,
    /// How long before that deadline CredentialExpiring becomes True.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn_before: Option<String>,
}

/// The Secret to bind to (servicebinding.io).
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// Name of the Secret.
    pub name: String,
}

/// What was last written into a credential of a Genesys Cloud integration.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WrittenIntegrationCredential {
    /// What spec calls it: its name or its id.
    #[schemars(length(max = 256))]
    pub credential: String,
    /// The integration credential's id on the platform.
    pub id: String,
    /// The revision of the credential that it holds.
    pub revision: i64,
    /// When that was written, by the platform's clock: a later time means that somebody else wrote it since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_date: Option<Timestamp>,
}

/// A Secret of a former name.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct FormerSecret {
    /// Name of the Secret.
    pub name: String,
    /// When it is removed.
    pub remove_after: Timestamp,
}
