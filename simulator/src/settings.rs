//! Everything about the simulated platform that can be chosen; facts that nobody could verify are marked (U) and have a documented default.
//! It must hold choices only: no rule of the platform is decided here.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The id of the operator's own client unless the settings say otherwise.
pub const OPERATOR_CLIENT_ID: &str = "00000000-0000-4000-8000-00000000c0de";
/// The secret of the operator's own client unless the settings say otherwise. For demos: everybody knows it.
pub const OPERATOR_CLIENT_SECRET: &str = "simulated-operator-secret-for-demos-only-00";

/// A text that must not be printed: `Debug` hides it, and settings are never serialised with it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SecretText(String);

impl SecretText {
    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for SecretText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[hidden]")
    }
}

/// How GET, PUT and the list write the secret that they do not tell. (U)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecretInReads {
    /// The member is missing.
    Absent,
    /// The member is `null`.
    Null,
    /// The member is `""`.
    Empty,
}

/// What a PUT does to optional members that its body leaves out. (U)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OmittedOptional {
    /// They go back to their default; only `state` stays as it was.
    Reset,
    /// They stay as they were.
    Keep,
}

/// What happens to members of a body that the platform does not know. (U)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnknownMembers {
    /// Nothing: they are dropped.
    Ignore,
    /// They are stored and shown again, as a member of tomorrow's platform would be.
    Keep,
    /// HTTP 400 `invalid.property`. Read-only members are tolerated all the same: official tools echo them.
    Reject,
}

/// What happens to `scope` on a client-credentials client, and to roles on any other. (U)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForeignFields {
    /// They are dropped.
    Drop,
    /// They are stored, and mean nothing.
    Keep,
}

/// What DELETE does to an inactive client that is older than [`Settings::old_client_days`]. (U)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeleteOldClient {
    /// It is gone at once.
    Immediate,
    /// It stays inactive until `dateToDelete`, as the admin UI does it.
    Schedule,
}

/// What GET answers for a deleted client, while [`Settings::deleted_visible_milliseconds`] have not passed. (U)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AfterDelete {
    /// HTTP 404 at once.
    NotFound,
    /// The client with `state` `deleted`, then 404. Official tools accept both.
    StateDeleted,
}

/// How a limit per minute counts. (U)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RateWindow {
    /// A window of 60 seconds begins with the first request.
    Fixed,
    /// The last 60 seconds count.
    Sliding,
}

/// What happens to a description beyond [`Settings::description_limit`]. (U)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BeyondLimit {
    /// HTTP 400 `constraint.validation`.
    Reject,
    /// It is cut in silence.
    Truncate,
}

/// What the configured user says to `GET /oauth/authorize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Consent {
    /// The browser is sent back with a code or a token.
    Approve,
    /// The browser is sent back with `error=access_denied`.
    Deny,
}

/// The choices. JSON in camelCase; what is left out has the default that each field documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts of the platform, each switched by name in JSON")]
pub struct Settings {
    /// Seed of ids, secrets and tokens; none means different ones in each run. Default none.
    pub seed: Option<u64>,
    /// Id of the organization. Default a fixed UUID.
    pub organization_id: String,
    /// Name of the organization, and its short name for SAML2. Default "Simulated Organization".
    pub organization_name: String,
    /// Id of the operator's own client. Default [`OPERATOR_CLIENT_ID`].
    pub operator_client_id: String,
    /// Secret of the operator's own client; never written out. Default [`OPERATOR_CLIENT_SECRET`].
    #[serde(skip_serializing)]
    pub operator_client_secret: SecretText,
    /// Roles, by name or id, that the operator's own client holds in all divisions. Default none named: every role but `admin`.
    pub operator_roles: Option<Vec<String>>,
    /// Permissions of the operator's own client, through a role of its own. Default: all that the operator's features need.
    pub operator_permissions: Vec<String>,
    /// Validity of the operator's own client's tokens. Default 86400.
    pub operator_token_validity_seconds: u64,

    /// How reads write the secret. (U) Default absent.
    pub secret_in_reads: SecretInReads,
    /// PUT with optional members left out. (U) Default reset, because a PUT replaces the object.
    pub omitted_optional: OmittedOptional,
    /// Members that the platform does not know. (U) Default ignored.
    pub unknown_members: UnknownMembers,
    /// Scope on client-credentials clients, roles on others. (U) Default dropped.
    pub foreign_fields: ForeignFields,
    /// Grant types that POST accepts. `TOKEN` was announced to end, `PASSWORD` is undocumented. (U) Default all but `PASSWORD`.
    pub creatable_grant_types: Vec<String>,
    /// Does PUT refuse an unknown scope as POST does? The specification lists the code for POST only. (U) Default true.
    pub update_checks_scopes: bool,
    /// Does a reset of the secret change `dateModified`? (U) Default true.
    pub reset_touches_date_modified: bool,
    /// Clients per organization before `auth.too.many.clients`; the number is unpublished. (U) Default 1000.
    pub maximum_clients: Option<u32>,
    /// Characters of a description; unpublished. (U) Default none.
    pub description_limit: Option<usize>,
    /// What happens beyond it. (U) Default rejected.
    pub beyond_description_limit: BeyondLimit,
    /// Success status of DELETE, 200 or 204. (U) Default 200.
    pub delete_status: u16,
    /// Age in days from which a client is old. The admin UI says 30. Default 30.
    pub old_client_days: u32,
    /// Days until an old client is removed once it is inactive. The admin UI says 7. Default 7.
    pub delete_grace_days: u32,
    /// DELETE of an old client. (U) Default immediate.
    pub delete_old_client: DeleteOldClient,
    /// GET after DELETE. (U) Default 404.
    pub after_delete: AfterDelete,
    /// How long `StateDeleted` shows. (U) Default 30000.
    pub deleted_visible_milliseconds: u64,
    /// Status for an id that is no UUID, 400 or 404. (U) Default 404.
    pub malformed_id_status: u16,
    /// Clients per page of the list. Documented is one page with everything. (U) Default none.
    pub client_list_page_size: Option<u32>,

    /// How much older than the truth the client list is: new, changed and deleted clients alike. (U) Default 0.
    pub list_propagation_milliseconds: u64,
    /// The same for reads by id. (U) Default 0.
    pub read_propagation_milliseconds: u64,
    /// How long a granted role or permission takes to work. Official tools wait 10 s. Default 10000.
    pub role_propagation_milliseconds: u64,
    /// How much longer it takes for a caller that was seen meanwhile: a stale negative answer is cached. (U) Default 0.
    pub stale_denial_milliseconds: u64,
    /// How long the login host does not know a new client. (U) Default 0.
    pub new_client_login_milliseconds: u64,
    /// How long a new secret is refused after a reset. (U) Default 0.
    pub new_secret_login_milliseconds: u64,
    /// How long the old secret works after a reset. (U) Default 0.
    pub old_secret_grace_milliseconds: u64,

    /// Do issued tokens die with a reset? (U) Default false.
    pub tokens_die_on_reset: bool,
    /// Do issued tokens die when the client becomes inactive? (U) Default false. (They do when it is disabled. (SPEC))
    pub tokens_die_on_inactive: bool,
    /// Do issued tokens die with the client? (U) Default true.
    pub tokens_die_on_delete: bool,
    /// Requests per minute and token. Documented: 300. None means no limit.
    pub requests_per_minute: Option<u32>,
    /// Requests per minute of the whole organization; none is published. (U) Default none.
    pub organization_requests_per_minute: Option<u32>,
    /// How both count. (U) Default fixed.
    pub rate_window: RateWindow,
    /// Token requests per minute on the login host: 10 are fine and 50 are not. (U) Default 40.
    pub login_requests_per_minute: Option<u32>,
    /// Text after `rate limit exceeded; ` on the login host. (U)
    pub login_limit_text: String,
    /// Are scopes of user tokens enforced? An opt-in of the organization, default off.
    pub scope_enforcement: bool,

    /// Id of the user who consents and who edits in the admin page. Default a fixed UUID.
    pub user_id: String,
    /// Name of that user. Default "Simone Sample".
    pub user_name: String,
    /// Roles, by name, that this user holds. Default `admin` and `employee`.
    pub user_roles: Vec<String>,
    /// What this user says to authorization requests. Default approve.
    pub consent: Consent,
    /// Life of an authorization code. (U) Default 300.
    pub code_validity_seconds: u64,
    /// Life of a refresh token. (U) Default 2592000.
    pub refresh_token_validity_seconds: u64,
    /// Do public clients get a refresh token too? SDKs do not require it. (U) Default false.
    pub public_refresh_tokens: bool,
    /// Is any well-formed base64 assertion accepted for the SAML2 bearer grant? Default false: none is.
    pub accept_saml_assertions: bool,

    /// How many times a usage or audit query answers that it is still running. (U) Default 0.
    pub running_answers: u32,
    /// The longest interval of a usage query; none is documented. (U) Default none.
    pub longest_usage_days: Option<u32>,
    /// Action names in audits: create, update, delete, reset of the secret. (U)
    pub audit_actions: [String; 4],
    /// Calls that the log keeps. Default 100000.
    pub call_log_limit: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: None,
            organization_id: "11111111-1111-4111-8111-111111111111".to_owned(),
            organization_name: "Simulated Organization".to_owned(),
            operator_client_id: OPERATOR_CLIENT_ID.to_owned(),
            operator_client_secret: OPERATOR_CLIENT_SECRET.into(),
            operator_roles: None,
            operator_permissions: default_permissions(),
            operator_token_validity_seconds: 86_400,
            secret_in_reads: SecretInReads::Absent,
            omitted_optional: OmittedOptional::Reset,
            unknown_members: UnknownMembers::Ignore,
            foreign_fields: ForeignFields::Drop,
            creatable_grant_types: ["CODE", "TOKEN", "SAML2-BEARER", "CLIENT-CREDENTIALS"].map(str::to_owned).to_vec(),
            update_checks_scopes: true,
            reset_touches_date_modified: true,
            maximum_clients: Some(1000),
            description_limit: None,
            beyond_description_limit: BeyondLimit::Reject,
            delete_status: 200,
            old_client_days: 30,
            delete_grace_days: 7,
            delete_old_client: DeleteOldClient::Immediate,
            after_delete: AfterDelete::NotFound,
            deleted_visible_milliseconds: 30_000,
            malformed_id_status: 404,
            client_list_page_size: None,
            list_propagation_milliseconds: 0,
            read_propagation_milliseconds: 0,
            role_propagation_milliseconds: 10_000,
            stale_denial_milliseconds: 0,
            new_client_login_milliseconds: 0,
            new_secret_login_milliseconds: 0,
            old_secret_grace_milliseconds: 0,
            tokens_die_on_reset: false,
            tokens_die_on_inactive: false,
            tokens_die_on_delete: true,
            requests_per_minute: Some(300),
            organization_requests_per_minute: None,
            rate_window: RateWindow::Fixed,
            login_requests_per_minute: Some(40),
            login_limit_text: "too many token requests".to_owned(),
            scope_enforcement: false,
            user_id: "22222222-2222-4222-8222-222222222222".to_owned(),
            user_name: "Simone Sample".to_owned(),
            user_roles: ["admin", "employee"].map(str::to_owned).to_vec(),
            consent: Consent::Approve,
            code_validity_seconds: 300,
            refresh_token_validity_seconds: 2_592_000,
            public_refresh_tokens: false,
            accept_saml_assertions: false,
            running_answers: 0,
            longest_usage_days: None,
            audit_actions: ["Create", "Update", "Delete", "Update"].map(str::to_owned),
            call_log_limit: 100_000,
        }
    }
}

/// What the operator's features need, in the platform's words.
fn default_permissions() -> Vec<String> {
    [
        "oauth:client:view",
        "oauth:client:add",
        "oauth:client:edit",
        "oauth:client:delete",
        "authorization:role:view",
        "audits:audit:view",
        "usage:client:view",
        "integrations:integration:view",
        "integrations:integration:add",
        "integrations:integration:edit",
        "integrations:integration:delete",
    ]
    .map(str::to_owned)
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_leaves_out_has_its_default() {
        let settings: Settings = serde_json::from_str(r#"{"secretInReads":"Null","requestsPerMinute":60}"#).expect("valid");
        let expected = Settings { secret_in_reads: SecretInReads::Null, requests_per_minute: Some(60), ..Settings::default() };
        assert_eq!(settings, expected);
    }

    #[test]
    fn a_misspelt_setting_is_an_error() {
        let error = serde_json::from_str::<Settings>(r#"{"requestPerMinute":60}"#).expect_err("a typing error");
        assert!(error.to_string().contains("requestPerMinute"));
    }

    #[test]
    fn the_operators_secret_is_neither_printed_nor_written() {
        let settings = Settings { operator_client_secret: "canary".into(), ..Settings::default() };
        assert!(!format!("{settings:?}").contains("canary"));
        assert!(!serde_json::to_string(&settings).expect("it serialises").contains("canary"));
    }
}
