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
    /// The validity of access tokens, in seconds.
    pub validity: i64,
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
        validity: spec.access_token_validity_seconds.unwrap_or(DEFAULT_VALIDITY),
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

/// Checks what the organization must know and allow, and gives the client as the platform is to see it.
pub fn against_organization(
    object: &GenesysOAuthClient,
    local: &Local,
    organization: &GenesysOrganization,
    namespace_labels: &BTreeMap<String, String>,
    resolved: &Result<Resolved, Unresolved>,
    home_division: Option<&str>,
) -> Result<Declared, Refusal> {
    let resolved = resolved.as_ref().map_err(|unresolved| {
        let (reason, what) = match unresolved {
            Unresolved::RoleNotFound { .. } | Unresolved::RoleAmbiguous { .. } => (Reason::RoleNotFound, "spec.roles"),
            Unresolved::DivisionNotFound { .. } | Unresolved::DivisionAmbiguous { .. } => (Reason::DivisionNotFound, "spec.roles"),
            Unresolved::ScopeUnknown { .. } => (Reason::ScopeUnknown, "spec.scopes"),
        };
        Refusal::new(reason, format!("{what}: {unresolved}; correct the name, or create it on the platform"))
    })?;
    let request = access::Request {
        namespace: object.metadata.namespace.as_deref().unwrap_or_default(),
        namespace_labels,
        grant: local.grant,
        resolved,
        home_division,
        scopes: &local.scopes,
    };
    access::judge(&organization.spec.access, &request).map_err(|message| Refusal::new(Reason::AccessDenied, message))?;
    let by_roles = local.grant == GrantType::ClientCredentials;
    Ok(Declared {
        text: local.description.clone(),
        request: ClientRequest {
            name: local.display_name.clone(),
            description: None,
            grant_type: platform_grant(local.grant),
            access_token_validity_seconds: Some(local.validity),
            redirect_uris: (local.grant == GrantType::AuthorizationCode).then(|| local.redirect_uris.clone()),
            scopes: (!by_roles).then(|| local.scopes.clone()),
            role_divisions: by_roles.then(|| resolved.role_divisions.clone()),
            state: ClientState::Active,
        },
    })
}

/// A client as spec declares it; it lacks only the marker.
#[derive(Clone, Debug)]
pub struct Declared {
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
}

/// The platform's word for a grant type.
#[must_use]
pub fn platform_grant(grant: GrantType) -> genesys::GrantType {
    match grant {
        GrantType::ClientCredentials => genesys::GrantType::ClientCredentials,
        GrantType::AuthorizationCode => genesys::GrantType::Code,
        GrantType::SAML2Bearer => genesys::GrantType::Saml2Bearer,
    }
}

/// RFC 6749's and RFC 7522's word for a grant type.
#[must_use]
pub fn rfc_grant(grant: GrantType) -> &'static str {
    match grant {
        GrantType::ClientCredentials => "client_credentials",
        GrantType::AuthorizationCode => "authorization_code",
        GrantType::SAML2Bearer => "urn:ietf:params:oauth:grant-type:saml2-bearer",
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
