//! Finds roles, divisions and scopes by name or id, from lists that are kept for five minutes. It must not guess: what
//! is not found, or found twice, is said so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::budget::{Class, Work};
use super::cache::Cache;
use super::entities::{Division, IntegrationCredential, Role, Scope};
use super::error::{Error, Operation};
use super::model::RoleDivision;
use super::platform::Platform;
use super::similar::similar;

/// How long a list is kept.
const KEEP: Duration = Duration::from_secs(300);
/// A name that is missing from a list older than this is looked for once more.
const REFETCH: Duration = Duration::from_secs(30);
/// The word for the division that everything belongs to that was given no other.
const HOME: &str = "home";
/// The platform's word for all divisions (SPEC).
const ALL: &str = "*";

/// A role that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRequest {
    /// The role's name or id.
    pub role: String,
    /// Names or ids of divisions, `home` or `*`; empty means `home`.
    pub divisions: Vec<String>,
}

/// What the names stand for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resolved {
    /// The roles by division.
    pub role_divisions: BTreeSet<RoleDivision>,
    /// The names of those roles, by id.
    pub role_names: BTreeMap<String, String>,
    /// The names of those divisions, by id.
    pub division_names: BTreeMap<String, String>,
}

/// Why a name stands for nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// No role has this name or id.
    #[error("there is no role {role:?}{}", Hint(similar))]
    RoleNotFound {
        /// What was asked for.
        role: String,
        /// Names that look alike.
        similar: Vec<String>,
    },
    /// Several roles have this name.
    #[error("several roles are named {role:?}; write the id of one: {}", ids.join(", "))]
    RoleAmbiguous {
        /// What was asked for.
        role: String,
        /// The ids of the roles.
        ids: Vec<String>,
    },
    /// No division has this name or id.
    #[error("there is no division {division:?}{}", Hint(similar))]
    DivisionNotFound {
        /// What was asked for.
        division: String,
        /// Names that look alike.
        similar: Vec<String>,
    },
    /// Several divisions have this name.
    #[error("several divisions are named {division:?}; write the id of one: {}", ids.join(", "))]
    DivisionAmbiguous {
        /// What was asked for.
        division: String,
        /// The ids of the divisions.
        ids: Vec<String>,
    },
    /// The platform has no such scope.
    #[error("there is no scope {scope:?}{}", Hint(similar))]
    ScopeUnknown {
        /// What was asked for.
        scope: String,
        /// Scopes that look alike.
        similar: Vec<String>,
    },
}

/// Names that look alike, as the end of a message.
pub(super) struct Hint<'a>(pub(super) &'a [String]);

impl fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            names => write!(f, "; similar: {}", names.join(", ")),
        }
    }
}

/// The roles, divisions and scopes of one organization. Clones share them.
#[derive(Clone, Default)]
pub struct Directory {
    roles: Cache<Role>,
    divisions: Cache<Division>,
    scopes: Cache<Scope>,
    integration_credentials: Cache<IntegrationCredential>,
    own_grants: Cache<RoleDivision>,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").finish_non_exhaustive()
    }
}

/// The lists that one answer is read from; a list that was not needed is empty.
#[derive(Default)]
struct Lists {
    roles: Arc<Vec<Role>>,
    divisions: Arc<Vec<Division>>,
    scopes: Arc<Vec<Scope>>,
}

impl Directory {
    /// A directory that has read nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Finds all of them, or says what was not found. A miss is looked up once more on the platform, not more often
    /// than every 30 s.
    pub async fn resolve(
        &self,
        platform: &Platform,
        roles: &[RoleRequest],
        scopes: &[String],
    ) -> Result<Result<Resolved, Unresolved>, Error> {
        let found = self.lists(platform, roles, scopes, KEEP).await?.find(roles, scopes);
        if found.is_ok() {
            return Ok(found);
        }
        Ok(self.lists(platform, roles, scopes, REFETCH).await?.find(roles, scopes))
    }

    /// All roles.
    pub async fn roles(&self, platform: &Platform) -> Result<Arc<Vec<Role>>, Error> {
        let of = platform.clone();
        self.roles.get(KEEP, aborted(Operation::ListRoles), || async move { of.roles().await }).await
    }

    /// The roles and divisions that the operator's own client holds.
    pub async fn own_grants(&self, platform: &Platform) -> Result<BTreeSet<RoleDivision>, Error> {
        let of = platform.clone();
        let fetch = || async move { Ok(of.own_grants().await?.into_iter().collect()) };
        let held = self.own_grants.get(KEEP, aborted(Operation::GetSubjectsMe), fetch).await?;
        Ok(held.iter().cloned().collect())
    }

    /// The ids of integration credentials by name or id; what is not found is left out. A miss is looked up once more, as in [`Self::resolve`].
    pub async fn integration_credentials(&self, platform: &Platform, wanted: &[String]) -> Result<Vec<String>, Error> {
        let find = |list: &[IntegrationCredential]| -> Vec<String> {
            wanted.iter().filter_map(|wish| Some(IntegrationCredential::find(list, wish).ok()?.id.clone())).collect()
        };
        let mut found = vec![];
        for age in [KEEP, REFETCH] {
            let of = platform.clone();
            let fetch = || async move { of.integration_credentials().await };
            found = find(&self.integration_credentials.get(age, aborted(Operation::ListCredentials), fetch).await?);
            if found.len() == wanted.len() {
                break;
            }
        }
        Ok(found)
    }

    /// The names of the roles and of the divisions that were read last, by id; makes no call.
    #[must_use]
    pub fn names(&self) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
        let roles = self.roles.held().map(|roles| roles.iter().map(|role| (role.id.clone(), role.name.clone())).collect());
        let of = |division: &Division| (division.id.clone(), division.name.clone());
        let divisions = self.divisions.held().map(|divisions| divisions.iter().map(of).collect());
        (roles.unwrap_or_default(), divisions.unwrap_or_default())
    }

    async fn lists(&self, platform: &Platform, roles: &[RoleRequest], scopes: &[String], age: Duration) -> Result<Lists, Error> {
        let mut lists = Lists::default();
        // Many may come to wait for one list, so that it must not be served as late as the least urgent of them.
        let class = platform.work().urgency.class().min(Class::UrgentRotation);
        let platform = platform.for_work(Work::new(class, ""));
        if !roles.is_empty() {
            let of = platform.clone();
            lists.roles = self.roles.get(age, aborted(Operation::ListRoles), || async move { of.roles().await }).await?;
            let of = platform.clone();
            let fetch = || async move { of.divisions().await };
            lists.divisions = self.divisions.get(age, aborted(Operation::ListDivisions), fetch).await?;
        }
        if !scopes.is_empty() {
            let of = platform.clone();
            lists.scopes = self.scopes.get(age, aborted(Operation::ListScopes), || async move { of.scopes().await }).await?;
        }
        Ok(lists)
    }
}

fn aborted(operation: Operation) -> Error {
    Error::NotSent { operation, reason: "the look-up was aborted".to_owned() }
}

/// What a name was found to be.
pub(super) enum Match {
    One(String, String),
    Several(Vec<String>),
    None(Vec<String>),
}

impl Lists {
    fn find(&self, roles: &[RoleRequest], scopes: &[String]) -> Result<Resolved, Unresolved> {
        let mut resolved = Resolved::default();
        for request in roles {
            let (role_id, role_name) = self.role(&request.role)?;
            let home = [HOME.to_owned()];
            let divisions = if request.divisions.is_empty() { &home[..] } else { &request.divisions[..] };
            for division in divisions {
                let (division_id, division_name) = self.division(division)?;
                resolved.division_names.insert(division_id.clone(), division_name);
                resolved.role_divisions.insert(RoleDivision { role_id: role_id.clone(), division_id });
            }
            resolved.role_names.insert(role_id, role_name);
        }
        for scope in scopes {
            if !self.scopes.iter().any(|known| known.id == *scope) {
                let similar = similar(scope, self.scopes.iter().map(|known| known.id.as_str()));
                return Err(Unresolved::ScopeUnknown { scope: scope.clone(), similar });
            }
        }
        Ok(resolved)
    }

    fn role(&self, wanted: &str) -> Result<(String, String), Unresolved> {
        let role = wanted.to_owned();
        match lookup(wanted, self.roles.iter().map(|role| (role.id.as_str(), role.name.as_str()))) {
            Match::One(id, name) => Ok((id, name)),
            Match::Several(ids) => Err(Unresolved::RoleAmbiguous { role, ids }),
            Match::None(similar) => Err(Unresolved::RoleNotFound { role, similar }),
        }
    }

    fn division(&self, wanted: &str) -> Result<(String, String), Unresolved> {
        if wanted == ALL {
            return Ok((ALL.to_owned(), ALL.to_owned()));
        }
        let division = wanted.to_owned();
        if wanted == HOME {
            let home = self.divisions.iter().find(|division| division.home);
            let home = home.map(|home| (home.id.clone(), home.name.clone()));
            return home.ok_or(Unresolved::DivisionNotFound { division, similar: Vec::new() });
        }
        match lookup(wanted, self.divisions.iter().map(|division| (division.id.as_str(), division.name.as_str()))) {
            Match::One(id, name) => Ok((id, name)),
            Match::Several(ids) => Err(Unresolved::DivisionAmbiguous { division, ids }),
            Match::None(similar) => Err(Unresolved::DivisionNotFound { division, similar }),
        }
    }
}

/// Finds an id if it looks like one, else a name, letter for letter.
pub(super) fn lookup<'a>(wanted: &str, known: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Match {
    let by_id = is_uuid(wanted);
    let hits: Vec<(&str, &str)> =
        known.clone().filter(|(id, name)| if by_id { id.eq_ignore_ascii_case(wanted) } else { *name == wanted }).collect();
    match hits[..] {
        [(id, name)] => Match::One(id.to_owned(), name.to_owned()),
        [] => Match::None(similar(wanted, known.map(|(_, name)| name))),
        _ => Match::Several(hits.iter().map(|(id, _)| (*id).to_owned()).collect()),
    }
}

/// Whether the text is a UUID: 8-4-4-4-12 hex digits.
fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [8, 4, 4, 4, 12] && parts.iter().all(|part| part.chars().all(|c| c.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests;
