//! From the body of POST and PUT to a client that may be stored, by the rules of the platform; it must not store it.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::ErrorBody;
use crate::model::{ClientState, GrantType, OAuthClient, RoleDivision};
use crate::organization::{ALL_DIVISIONS, HOME_DIVISION_ID};
use crate::scopes;
use crate::settings::{BeyondLimit, ForeignFields, OmittedOptional, UnknownMembers};
use crate::state::State;

const DEFAULT_VALIDITY: u64 = 86_400;
const SHORTEST_VALIDITY: u64 = 300;
const LONGEST_VALIDITY: u64 = 172_800;
const LONGEST_SCIM_VALIDITY: u64 = 38_880_000;
/// Members that only the platform sets; callers may echo them. (V)
const READ_ONLY: [&str; 7] = ["id", "secret", "dateCreated", "dateModified", "createdBy", "modifiedBy", "selfUri"];

/// The body as it came. `null` is the same as left out. (U)
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    name: Option<String>,
    access_token_validity_seconds: Option<i64>,
    description: Option<String>,
    registered_redirect_uri: Option<Vec<String>>,
    role_ids: Option<Vec<String>>,
    authorized_grant_type: Option<String>,
    scope: Option<Vec<String>>,
    role_divisions: Option<Vec<RoleDivision>>,
    state: Option<String>,
    date_to_delete: Option<Timestamp>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// The settled members of a client, before it has an id and dates.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) access_token_validity_seconds: u64,
    pub(crate) description: Option<String>,
    pub(crate) registered_redirect_uri: Vec<String>,
    pub(crate) grant_type: GrantType,
    pub(crate) scope: Vec<String>,
    pub(crate) role_divisions: Vec<RoleDivision>,
    pub(crate) state: ClientState,
    pub(crate) date_to_delete: Option<Timestamp>,
    pub(crate) unknown: Map<String, Value>,
}

/// Settles the body of a POST (`before` is none) or of a PUT on that client, for a caller with these roles.
pub(crate) fn settle(state: &State, body: Value, before: Option<&OAuthClient>, grants: &[RoleDivision]) -> Result<Draft, ErrorBody> {
    let body: Body = serde_json::from_value(body).map_err(|_| ErrorBody::malformed())?;
    let unknown = unknown_members(state, body.others.clone(), before)?;
    // What a PUT leaves out falls back to the stored client, or to nothing.
    let kept = before.filter(|_| state.settings.omitted_optional == OmittedOptional::Keep);
    let name = body.name.clone().filter(|name| !name.trim().is_empty()).ok_or_else(|| ErrorBody::constraint("Name is required"))?;
    let grant_type = grant_type(state, body.authorized_grant_type.as_deref(), before)?;
    let client_state = client_state(body.state.as_deref(), before)?;
    let description = description(state, body.description.clone().or_else(|| kept.and_then(|kept| kept.description.clone())))?;
    let registered_redirect_uri =
        redirect_uris(body.registered_redirect_uri.clone().or_else(|| kept.map(|kept| kept.registered_redirect_uri.clone())))?;
    let role_divisions = pairs(&body).or_else(|| kept.map(|kept| kept.role_divisions.clone())).unwrap_or_default();
    let scope = unique(body.scope.clone().or_else(|| kept.map(|kept| kept.scope.clone())).unwrap_or_default());
    let drop_foreign = state.settings.foreign_fields == ForeignFields::Drop;
    let (scope, role_divisions) = if grant_type == GrantType::ClientCredentials {
        check_roles(state, &role_divisions, before, grants)?;
        (if drop_foreign { Vec::new() } else { scope }, role_divisions)
    } else {
        check_scope(state, &scope, before)?;
        (scope, if drop_foreign { Vec::new() } else { role_divisions })
    };
    let validity =
        body.access_token_validity_seconds.or_else(|| kept.and_then(|kept| i64::try_from(kept.access_token_validity_seconds).ok()));
    let access_token_validity_seconds = validity_seconds(state, validity, &role_divisions)?;
    Ok(Draft {
        name,
        access_token_validity_seconds,
        description,
        registered_redirect_uri,
        grant_type,
        scope,
        role_divisions,
        state: client_state,
        date_to_delete: body.date_to_delete,
        unknown,
    })
}

/// May this caller give or change these roles? A caller may hand on what it holds itself, in that division or in all. (DEV)
pub(crate) fn holds_all(grants: &[RoleDivision], pairs: &[RoleDivision]) -> bool {
    pairs.iter().all(|pair| {
        grants.iter().any(|own| own.role_id == pair.role_id && (own.division_id == ALL_DIVISIONS || own.division_id == pair.division_id))
    })
}

fn unknown_members(state: &State, mut others: Map<String, Value>, before: Option<&OAuthClient>) -> Result<Map<String, Value>, ErrorBody> {
    for name in READ_ONLY {
        others.remove(name);
    }
    match state.settings.unknown_members {
        UnknownMembers::Ignore => Ok(before.map(|before| before.unknown.clone()).unwrap_or_default()),
        UnknownMembers::Keep => Ok(others),
        UnknownMembers::Reject => match others.keys().next() {
            Some(name) => Err(ErrorBody::invalid_property(name, "OAuthClientRequest")),
            None => Ok(Map::new()),
        },
    }
}

fn grant_type(state: &State, given: Option<&str>, before: Option<&OAuthClient>) -> Result<GrantType, ErrorBody> {
    let given = given.filter(|given| !given.is_empty()).ok_or_else(ErrorBody::grant_type_required)?;
    let grant_type: GrantType = serde_json::from_value(Value::from(given)).map_err(|_| ErrorBody::bad_grant_type())?;
    let stays = before.is_some_and(|before| before.authorized_grant_type == grant_type);
    let creatable = state.settings.creatable_grant_types.iter().any(|name| name == grant_type.as_str());
    if stays || creatable { Ok(grant_type) } else { Err(ErrorBody::bad_grant_type()) }
}

/// New clients are active; customers toggle between active and inactive; `disabled` is the platform's own. (SPEC, TF)
fn client_state(given: Option<&str>, before: Option<&OAuthClient>) -> Result<ClientState, ErrorBody> {
    let given = given
        .map(|given| {
            serde_json::from_value::<ClientState>(Value::from(given))
                .map_err(|_| ErrorBody::invalid_value(given, "state", "active, disabled, inactive"))
        })
        .transpose()?;
    match (before, given) {
        (None, None | Some(ClientState::Active)) => Ok(ClientState::Active),
        (None, Some(_)) => Err(ErrorBody::new_clients_are_active()),
        (Some(_), Some(ClientState::Disabled)) => Err(ErrorBody::client_is_disabled()),
        (Some(before), given) => Ok(given.unwrap_or(before.state)),
    }
}

fn description(state: &State, given: Option<String>) -> Result<Option<String>, ErrorBody> {
    let Some(limit) = state.settings.description_limit else { return Ok(given) };
    match given {
        Some(text) if text.chars().count() > limit => match state.settings.beyond_description_limit {
            BeyondLimit::Reject => Err(ErrorBody::constraint(&format!("Description is longer than {limit} characters"))),
            BeyondLimit::Truncate => Ok(Some(text.chars().take(limit).collect())),
        },
        given => Ok(given),
    }
}

fn redirect_uris(given: Option<Vec<String>>) -> Result<Vec<String>, ErrorBody> {
    let given = unique(given.unwrap_or_default());
    match given.iter().find(|uri| !is_absolute(uri)) {
        Some(uri) => Err(ErrorBody::invalid_value(uri, "registeredRedirectUri", "absolute URIs")),
        None => Ok(given),
    }
}

fn is_absolute(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        && !rest.is_empty()
        && !uri.chars().any(char::is_whitespace)
}

/// `roleDivisions`, or the deprecated `roleIds` in the home division. (U)
fn pairs(body: &Body) -> Option<Vec<RoleDivision>> {
    let in_home =
        |ids: &Vec<String>| ids.iter().map(|id| RoleDivision { role_id: id.clone(), division_id: HOME_DIVISION_ID.to_owned() }).collect();
    body.role_divisions.clone().or_else(|| body.role_ids.as_ref().map(in_home)).map(unique)
}

fn check_roles(state: &State, pairs: &[RoleDivision], before: Option<&OAuthClient>, grants: &[RoleDivision]) -> Result<(), ErrorBody> {
    if pairs.is_empty() {
        return Err(ErrorBody::missing_roles());
    }
    let exists = |pair: &RoleDivision| {
        state.roles.iter().any(|role| role.id == pair.role_id)
            && (pair.division_id == ALL_DIVISIONS || state.divisions.iter().any(|division| division.id == pair.division_id))
    };
    // Editing needs the roles that the client has, too. (HELP)
    let had = before.map(|before| before.role_divisions.as_slice()).unwrap_or_default();
    let allowed = pairs.iter().all(exists) && holds_all(grants, pairs) && holds_all(grants, had);
    if allowed { Ok(()) } else { Err(ErrorBody::bad_role()) }
}

fn check_scope(state: &State, scope: &[String], before: Option<&OAuthClient>) -> Result<(), ErrorBody> {
    if scope.is_empty() {
        return Err(ErrorBody::missing_scope());
    }
    let checked = before.is_none() || state.settings.update_checks_scopes;
    if checked && !scope.iter().all(|name| scopes::exists(name)) {
        return Err(ErrorBody::invalid_scope());
    }
    Ok(())
}

fn validity_seconds(state: &State, given: Option<i64>, pairs: &[RoleDivision]) -> Result<u64, ErrorBody> {
    let Some(given) = given else { return Ok(DEFAULT_VALIDITY) };
    let scim = pairs.iter().any(|pair| state.roles.iter().any(|role| role.id == pair.role_id && role.serves_scim()));
    let longest = if scim { LONGEST_SCIM_VALIDITY } else { LONGEST_VALIDITY };
    u64::try_from(given).ok().filter(|seconds| (SHORTEST_VALIDITY..=longest).contains(seconds)).ok_or_else(|| {
        let allowed = format!("{SHORTEST_VALIDITY} to {longest}");
        ErrorBody::invalid_value(&given.to_string(), "accessTokenValiditySeconds", &allowed)
    })
}

/// Drops repetitions, keeping the order: the arrays are sets. (SPEC)
fn unique<T: PartialEq>(items: Vec<T>) -> Vec<T> {
    items.into_iter().fold(Vec::new(), |mut kept, item| {
        if !kept.contains(&item) {
            kept.push(item);
        }
        kept
    })
}
