//! What the operator's own client lacks of what it needs: permissions by name, and roles that visible objects ask it to give (talks to the network, reads only).

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::{
        GenesysOAuthClient, GenesysOrganization,
        condition::{ConditionType, Reason, Status, Wanted},
    },
    controller::{
        context::Context,
        sessions::{Session, Standing},
    },
    genesys::{self, Role, RoleDivision, RoleRequest},
};

/// Without these the operator can't do its work.
const NEEDED: [&str; 5] = ["oauth:client:view", "oauth:client:add", "oauth:client:edit", "oauth:client:delete", "authorization:role:view"];
/// What objects with integration credentials need beside that.
const FOR_INTEGRATIONS: [&str; 2] = ["integrations:integration:view", "integrations:integration:edit"];
/// The platform's word for all divisions.
const EVERYWHERE: &str = "*";
/// The most names in a message.
const MOST_NAMES: usize = 20;

/// What the operator's own client holds and lacks; none: that is not known now.
pub async fn preflight(context: &Context, object: &GenesysOrganization) -> Option<Wanted> {
    let Standing::Ready(session) = context.sessions.standing(object.metadata.name.as_deref()?) else { return None };
    // What the objects ask for is known when the watches have shown all of them.
    if !context.fleet.is_complete() {
        return None;
    }
    let name = object.metadata.name.as_deref()?;
    let objects = context.fleet.objects();
    let asking = objects.iter().filter(|client| client.spec.organization_ref.name == name && client.metadata.deletion_timestamp.is_none());
    let wishes = Wishes::of(asking.map(|client| &**client));
    let (uid, asked) = (object.metadata.uid.clone().unwrap_or_default(), format!("{} {wishes:?}", session.version));
    if context.memory.recall(&uid).sufficient.as_ref() == Some(&asked) {
        // A settled organization costs no calls; what is taken away later is named by the first write that is refused.
        return None;
    }
    match look(&session, &wishes).await {
        Ok(lacking) => {
            context.memory.remember(&uid, |memory| memory.sufficient = (lacking == Lacking::default()).then_some(asked));
            Some(said(&lacking))
        }
        Err(error) => {
            tracing::debug!(%error, "what the operator's own client holds could not be asked");
            None
        }
    }
}

/// What visible objects ask the operator to give.
#[derive(Debug, Default)]
struct Wishes {
    /// Roles with their divisions, as spec names them.
    roles: BTreeSet<(String, Vec<String>)>,
    /// Whether integration credentials are written.
    integrations: bool,
}

impl Wishes {
    fn of<'a>(objects: impl Iterator<Item = &'a GenesysOAuthClient>) -> Self {
        let mut wishes = Self::default();
        for client in objects {
            wishes.integrations |= !client.spec.integration_credentials.is_empty();
            let roles = client.spec.roles.iter().flatten();
            wishes.roles.extend(roles.map(|grant| (grant.role.clone(), grant.divisions.clone().unwrap_or_default())));
        }
        wishes
    }
}

/// What is lacking.
#[derive(Debug, Default, PartialEq, Eq)]
struct Lacking {
    permissions: BTreeSet<String>,
    /// Role and division, by name.
    roles: BTreeSet<String>,
}

async fn look(session: &Session, wishes: &Wishes) -> Result<Lacking, genesys::Error> {
    let own = session.directory.own_grants(&session.platform).await?;
    let roles = session.directory.roles(&session.platform).await?;
    let needed = NEEDED.iter().chain(FOR_INTEGRATIONS.iter().filter(|_| wishes.integrations));
    let mut lacking = Lacking { permissions: without(needed.copied(), &own, &roles), ..Lacking::default() };
    for (role, divisions) in wishes.roles.iter().cloned() {
        // A name that stands for nothing is told by its object.
        let Ok(found) = session.directory.resolve(&session.platform, &[RoleRequest { role, divisions }], &[]).await? else { continue };
        lacking.roles.extend(not_held(&found.role_divisions, &own, &found.role_names, &found.division_names));
    }
    Ok(lacking)
}

/// The permissions that no role gives. Of roles whose permissions the platform does not show, nothing is said.
fn without<'a>(needed: impl Iterator<Item = &'a str>, own: &BTreeSet<RoleDivision>, roles: &[Role]) -> BTreeSet<String> {
    let held: Vec<&Role> = roles.iter().filter(|role| own.iter().any(|grant| grant.role_id == role.id)).collect();
    let silent = held.len() < own.iter().map(|grant| &grant.role_id).collect::<BTreeSet<_>>().len();
    if silent || held.iter().all(|role| role.permissions.is_empty()) {
        return BTreeSet::new();
    }
    let given = |wanted: &str| held.iter().flat_map(|role| &role.permissions).any(|own| covers(own, wanted));
    needed.filter(|wanted| !given(wanted)).map(str::to_owned).collect()
}

/// Whether a permission covers another: part by part, where `*` and an absent part cover all.
fn covers(own: &str, wanted: &str) -> bool {
    let mut own = own.split(':');
    wanted.split(':').all(|part| own.next().is_none_or(|held| held == "*" || held == part))
}

/// The roles that were asked for and are not held in the same division, by name.
fn not_held(
    wanted: &BTreeSet<RoleDivision>,
    own: &BTreeSet<RoleDivision>,
    roles: &BTreeMap<String, String>,
    divisions: &BTreeMap<String, String>,
) -> Vec<String> {
    let held = |pair: &RoleDivision| {
        let there = |grant: &&RoleDivision| grant.division_id == pair.division_id || grant.division_id == EVERYWHERE;
        own.iter().filter(|grant| grant.role_id == pair.role_id).any(|grant| there(&grant))
    };
    let named = |names: &BTreeMap<String, String>, id: &String| names.get(id).unwrap_or(id).clone();
    let told = |pair: &RoleDivision| {
        let division = match pair.division_id.as_str() {
            EVERYWHERE => "all divisions".to_owned(),
            _ => format!("division {:?}", named(divisions, &pair.division_id)),
        };
        format!("{:?} in {division}", named(roles, &pair.role_id))
    };
    wanted.iter().filter(|pair| !held(pair)).map(told).collect()
}

fn listed(names: &BTreeSet<String>) -> String {
    let shown: Vec<&str> = names.iter().take(MOST_NAMES).map(String::as_str).collect();
    let more = names.len().saturating_sub(MOST_NAMES);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

/// `PermissionsSufficient` in words.
fn said(lacking: &Lacking) -> Wanted {
    let type_ = ConditionType::PermissionsSufficient;
    let mut sentences = vec![];
    if !lacking.permissions.is_empty() {
        sentences
            .push(format!("the operator's own client lacks the permissions {}: give it a role with them", listed(&lacking.permissions)));
    }
    if !lacking.roles.is_empty() {
        sentences.push(format!(
            "objects of this organization ask for roles that the operator's own client does not hold, and nobody can grant what they do not hold: give it {}",
            listed(&lacking.roles)
        ));
    }
    let (status, reason) = match (lacking.permissions.is_empty(), lacking.roles.is_empty()) {
        (true, true) => {
            let message =
                "the operator's own client holds every permission that it needs and every role that objects of this organization ask for";
            return Wanted { type_, status: Status::True, reason: Reason::PermissionsSufficient, message: message.to_owned() };
        }
        (false, _) => (Status::False, Reason::PermissionMissing),
        (true, false) => (Status::False, Reason::RoleNotGrantable),
    };
    Wanted { type_, status, reason, message: sentences.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(role: &str, division: &str) -> RoleDivision {
        RoleDivision { role_id: role.into(), division_id: division.into() }
    }

    fn role(id: &str, permissions: &[&str]) -> Role {
        Role { id: id.into(), name: format!("name of {id}"), permissions: permissions.iter().map(|text| (*text).to_owned()).collect() }
    }

    #[test]
    fn permissions_are_covered_part_by_part() {
        for (own, covered) in [
            ("oauth:client:view", true),
            ("oauth:client:*", true),
            ("oauth:*", true),
            ("*", true),
            ("oauth:client:edit", false),
            ("oauth:clients:view", false),
        ] {
            assert_eq!(covers(own, "oauth:client:view"), covered, "{own}");
        }
    }

    #[test]
    fn what_no_role_gives_is_lacking_and_what_is_not_shown_is_not() {
        let own = [pair("r1", "d"), pair("r2", "d")].into();
        let lacks = |roles: &[Role]| without(NEEDED.into_iter(), &own, roles).into_iter().collect::<Vec<_>>();
        let viewer = role("r2", &["authorization:role:view"]);
        assert_eq!(
            lacks(&[role("r1", &["oauth:client:view", "oauth:client:add", "oauth:client:edit"]), viewer.clone()]),
            ["oauth:client:delete"]
        );
        assert!(lacks(&[role("r1", &["oauth:*"]), viewer.clone(), role("r3", &[])]).is_empty());
        assert!(lacks(&[role("r1", &[]), role("r2", &[])]).is_empty(), "no permission of any role is shown");
        assert!(lacks(&[viewer]).is_empty(), "a role that is not shown");
    }

    #[test]
    fn roles_are_held_in_a_division_or_everywhere() {
        let own: BTreeSet<_> = [pair("r1", "d1"), pair("r2", "*")].into();
        let lacks = |role: &str, division: &str| {
            let names = [("r1".to_owned(), "employee".to_owned())].into();
            let divisions = [("d2".to_owned(), "Sales".to_owned())].into();
            not_held(&[pair(role, division)].into(), &own, &names, &divisions)
        };
        assert!(lacks("r1", "d1").is_empty() && lacks("r2", "d7").is_empty() && lacks("r2", "*").is_empty());
        assert_eq!(lacks("r1", "d2"), ["\"employee\" in division \"Sales\""]);
        assert_eq!((lacks("r1", "*"), lacks("r3", "d1").len()), (vec!["\"employee\" in all divisions".to_owned()], 1));
    }

    #[test]
    fn what_is_lacking_is_named() {
        let wanted =
            said(&Lacking { permissions: ["oauth:client:delete".into()].into(), roles: ["\"admin\" in all divisions".into()].into() });
        assert_eq!((wanted.status, wanted.reason), (Status::False, Reason::PermissionMissing));
        assert!(wanted.message.contains("oauth:client:delete") && wanted.message.contains("\"admin\" in all divisions"));
        assert_eq!(said(&Lacking::default()).status, Status::True);
        let roles = said(&Lacking { roles: (0..30).map(|number| format!("r{number}")).collect(), ..Lacking::default() });
        assert!(roles.reason == Reason::RoleNotGrantable && roles.message.ends_with("and 10 more"), "{}", roles.message);
    }
}
