//! From spec to the only form in which later steps see it: rules, what can't change, names and access. Pure; parses, and refuses with words a person can act on.

use std::collections::BTreeMap;

use super::access;
use crate::{
    api::{
        GenesysOAuthClient, GenesysOrganization,
        condition::Reason,
        oauth_client::{DesiredState, GrantType},
        rules,
    },
    genesys::{self, ClientRequest, ClientState, Endpoints, Resolved, RoleRequest, Unresolved},
    keys::KeyMap,
    marker::Marker,
    secret::Surroundings,
};

/// Why an object is not worked: the reason of its Stalled condition, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason.
    pub reason: Reason,
    /// What a person reads.
    pub message: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// What spec alone says, before the organization was asked.
#[derive(Clone, Debug)]
pub struct Local {
    /// The name on the platform.
    pub display_name: String,
    /// The description, without the marker.
    pub description: String,
    /// The grant type.
    pub grant: GrantType,
    /// Whether the client is public.
    pub public: bool,
    /// The roles that are asked for.
    pub roles: Vec<RoleRequest>,
    /// The scopes that are asked for.
    pub scopes: Vec<String>,
    /// The redirect URIs.
    pub redirect_uris: Vec<String>,
    /// The validity of access tokens, in seconds; none: as it is on an adopted client.
    pub validity: Option<i64>,
    /// The wished state.
    pub state: DesiredState,
    /// The names of the Secret's keys.
    pub keys: KeyMap,
}

/// The platform's default validity of a token, in seconds (SPEC).
const DEFAULT_VALIDITY: i64 = 86_400;

/// Checks what needs no other object: the CEL rules, what can't change, and the names of the keys.
pub fn locally(object: &GenesysOAuthClient) -> Result<Local, Refusal> {
    let violations = rules::oauth_client_violations(object);
    if !violations.is_empty() {
        return Err(Refusal::new(Reason::InvalidSpec, violations.join("; ")));
    }
    let spec = &object.spec;
    let keys = KeyMap::of(spec.credentials_secret.as_ref()).map_err(|error| Refusal::new(Reason::InvalidSpec, error.to_string()))?;
    unchanged(object)?;
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let roles = spec.roles.iter().flatten();
    Ok(Local {
        display_name: spec.display_name.clone().unwrap_or_else(|| format!("{namespace}/{name}")),
        description: spec.description.clone().unwrap_or_default(),
        grant: spec.grant_type,
        public: spec.public_client,
        roles: roles
            .map(|grant| RoleRequest { role: grant.role.clone(), divisions: grant.divisions.clone().unwrap_or_default() })
            .collect(),
        scopes: spec.scopes.clone().unwrap_or_default(),
        redirect_uris: spec.redirect_uris.clone().unwrap_or_default(),
        validity: spec.access_token_validity_seconds.or(spec.adopt.is_none().then_some(DEFAULT_VALIDITY)),
        state: spec.state,
        keys,
    })
}

/// Compares what can't change with what status recorded; servers without CEL let such an edit pass.
fn unchanged(object: &GenesysOAuthClient) -> Result<(), Refusal> {
    let Some(status) = &object.status else { return Ok(()) };
    let spec = &object.spec;
    let changed = |field: &str, was: &str| {
        let message = format!("spec.{field} can't change: this client was created with {was}; change it back, or create a new object");
        Err(Refusal::new(Reason::ImmutableFieldChanged, message))
    };
    match (&status.organization, status.grant_type, status.public_client) {
        (Some(organization), _, _) if organization.name != spec.organization_ref.name => {
            changed("organizationRef.name", &format!("{:?}", organization.name))
        }
        (_, Some(grant), _) if grant != spec.grant_type => changed("grantType", &format!("{grant:?}")),
        (_, _, Some(public)) if public != spec.public_client => changed("publicClient", &public.to_string()),
        _ => Ok(()),
    }
}

/// What a client's access is judged by, beside spec.
#[derive(Clone, Debug, Default)]
pub struct Circle {
    /// The labels of its namespace.
    pub namespace_labels: BTreeMap<String, String>,
    /// The id of the home division, where roles are asked for.
    pub home_division: Option<String>,
    /// The ids of the integration credentials that are to follow it, as far as they are known.
    pub integration_credentials: Vec<String>,
    /// How many objects of its namespace that use the organization are older.
    pub older: usize,
    /// Whether no client of the object is known, so that `spec.adopt` counts.
    pub adopts: bool,
}

/// Checks what the organization must know and allow, and gives the client as the platform is to see it.
pub fn against_organization(
    object: &GenesysOAuthClient,
    local: &Local,
    organization: &GenesysOrganization,
    resolved: &Result<Resolved, Unresolved>,
    circle: Circle,
) -> Result<Declared, Refusal> {
    let resolved = resolved.as_ref().map_err(|unresolved| {
        let (reason, what) = match unresolved {
            Unresolved::RoleNotFound { .. } | Unresolved::RoleAmbiguous { .. } => (Reason::RoleNotFound, "spec.roles"),
            Unresolved::DivisionNotFound { .. } | Unresolved::DivisionAmbiguous { .. } => (Reason::DivisionNotFound, "spec.roles"),
            Unresolved::ScopeUnknown { .. } => (Reason::ScopeUnknown, "spec.scopes"),
        };
        Refusal::new(reason, format!("{what}: {unresolved}; correct the name, or create it on the platform"))
    })?;
    let request = request(object, local, resolved, &circle);
    let entries = access::judge(&organization.spec.access, &request).map_err(|message| Refusal::new(Reason::AccessDenied, message))?;
    let by_roles = local.grant == GrantType::ClientCredentials;
    Ok(Declared {
        entries,
        resolved: resolved.clone(),
        circle,
        text: local.description.clone(),
        request: ClientRequest {
            name: local.display_name.clone(),
            description: None,
            grant_type: platform_grant(local.grant),
            access_token_validity_seconds: local.validity,
            redirect_uris: matches!(local.grant, GrantType::AuthorizationCode | GrantType::Implicit).then(|| local.redirect_uris.clone()),
            scopes: (!by_roles).then(|| local.scopes.clone()),
            role_divisions: by_roles.then(|| resolved.role_divisions.clone()),
            state: ClientState::Active,
        },
    })
}

/// What spec asks of the organization.
fn request<'a>(object: &'a GenesysOAuthClient, local: &'a Local, resolved: &'a Resolved, circle: &'a Circle) -> access::Request<'a> {
    access::Request {
        namespace: object.metadata.namespace.as_deref().unwrap_or_default(),
        namespace_labels: &circle.namespace_labels,
        grant: local.grant,
        resolved,
        home_division: circle.home_division.as_deref(),
        scopes: &local.scopes,
        integration_credentials: &circle.integration_credentials,
        older: circle.older,
        reset: object.spec.adopt.as_ref().filter(|adopt| circle.adopts && adopt.reset_secret).map(|adopt| adopt.client_id.as_str()),
    }
}

/// What a client can do on the platform now.
#[derive(Clone, Debug, Default)]
pub struct Powers {
    /// Its roles and divisions.
    pub resolved: Resolved,
    /// Its scopes.
    pub scopes: Vec<String>,
}

/// Whether one entry allows all that spec asks for and all that a client that exists can do already: its powers are judged before it is adopted.
pub fn adoptable(
    object: &GenesysOAuthClient,
    local: &Local,
    organization: &GenesysOrganization,
    declared: &Resolved,
    actual: &Powers,
    circle: &Circle,
) -> Result<(), Refusal> {
    let mut all = declared.clone();
    all.role_names.extend(actual.resolved.role_names.clone());
    all.division_names.extend(actual.resolved.division_names.clone());
    let scopes: Vec<String> = local.scopes.iter().chain(&actual.scopes).cloned().collect();
    let request = access::Request { scopes: &scopes, ..request(object, local, &all, circle) };
    let judged = access::judge(&organization.spec.access, &request);
    judged.map(drop).map_err(|message| {
        Refusal::new(
            Reason::AccessDenied,
            format!("spec.adopt, with what the client can do now: {message}; or take from the client on the platform"),
        )
    })
}

/// A client as spec declares it; it lacks only the marker.
#[derive(Clone, Debug)]
pub struct Declared {
    /// The entries of the organization's access of which each allows all of it.
    pub entries: Vec<String>,
    /// The roles and divisions that spec asks for.
    pub resolved: Resolved,
    /// What it was judged by.
    pub circle: Circle,
    /// The description, without the marker.
    text: String,
    request: ClientRequest,
}

impl Declared {
    /// The client with a marker, in a state.
    #[must_use]
    pub fn request(&self, marker: &Marker, state: ClientState) -> ClientRequest {
        ClientRequest { description: Some(marker.describe(&self.text)), state, ..self.request.clone() }
    }

    /// A new client with a marker: what spec leaves open gets its default.
    #[must_use]
    pub fn new_client(&self, marker: &Marker) -> ClientRequest {
        let validity = self.request.access_token_validity_seconds.or(Some(DEFAULT_VALIDITY));
        ClientRequest { access_token_validity_seconds: validity, ..self.request(marker, ClientState::Active) }
    }
}

/// The platform's word for a grant type.
#[must_use]
pub fn platform_grant(grant: GrantType) -> genesys::GrantType {
    match grant {
        GrantType::ClientCredentials => genesys::GrantType::ClientCredentials,
        GrantType::AuthorizationCode => genesys::GrantType::Code,
        GrantType::SAML2Bearer => genesys::GrantType::Saml2Bearer,
        GrantType::Implicit => genesys::GrantType::Token,
    }
}

/// RFC 6749's and RFC 7522's word for a grant type.
#[must_use]
pub fn rfc_grant(grant: GrantType) -> &'static str {
    match grant {
        GrantType::ClientCredentials => "client_credentials",
        GrantType::AuthorizationCode => "authorization_code",
        GrantType::SAML2Bearer => "urn:ietf:params:oauth:grant-type:saml2-bearer",
        GrantType::Implicit => "implicit",
    }
}

/// What the Secret says beside the credential.
#[must_use]
pub fn surroundings(local: &Local, endpoints: &Endpoints, organization_id: &str) -> Surroundings {
    let values = [
        ("region", endpoints.region.clone()),
        ("domain", endpoints.domain.clone()),
        ("loginUrl", endpoints.login_url()),
        ("authorizeUrl", endpoints.authorize_url()),
        ("tokenUrl", endpoints.token_url()),
        ("apiUrl", endpoints.api_url()),
        ("organizationId", organization_id.to_owned()),
        ("grantType", rfc_grant(local.grant).to_owned()),
        ("type", "oauth2".to_owned()),
        ("provider", "genesys".to_owned()),
        ("redirect-uris", local.redirect_uris.join(",")),
        ("scope", local.scopes.join(" ")),
    ];
    Surroundings { values: values.into_iter().collect() }
}
