//! Who may do what: users, and the roles that their bindings give them; it answers and changes nothing.

use serde_json::{Value, json};

use super::error::{ApiError, FieldError, Result};
use super::object;
use super::request::Target;
use super::resource::{GroupResource, Versioned};
use super::state::State;

/// A caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name, as roles and logs know it.
    pub name: String,
    /// The groups.
    pub groups: Vec<String>,
}

/// The group whose members may do everything.
const MASTERS: &str = "system:masters";

impl User {
    /// The user who may do everything.
    #[must_use]
    pub fn admin() -> Self {
        Self { name: "admin".into(), groups: vec![MASTERS.into(), "system:authenticated".into()] }
    }

    /// A user by name. `admin` may do everything, and the name of a service account gives its groups.
    #[must_use]
    pub fn named(name: &str) -> Self {
        if name == "admin" {
            return Self::admin();
        }
        let mut groups = Vec::new();
        if name == "system:anonymous" {
            groups.push("system:unauthenticated".to_owned());
        } else {
            groups.push("system:authenticated".to_owned());
        }
        if let Some((namespace, _)) = name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
            groups.push("system:serviceaccounts".to_owned());
            groups.push(format!("system:serviceaccounts:{namespace}"));
        }
        Self { name: name.into(), groups }
    }

    fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|one| one == group)
    }
}

/// What somebody wants to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Action {
    pub(crate) verb: String,
    pub(crate) group: String,
    /// With the subresource behind a slash.
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Action {
    pub(crate) fn of(target: &Target) -> Self {
        let resource =
            if target.subresource.is_empty() { target.resource.clone() } else { format!("{}/{}", target.resource, target.subresource) };
        // A namespace is in itself, as far as roles are concerned.
        let namespace =
            if target.group.is_empty() && target.resource == "namespaces" { target.name.clone() } else { target.namespace.clone() };
        Self { verb: target.verb.as_str().into(), group: target.group.clone(), resource, namespace, name: target.name.clone() }
    }
}

/// The role that allows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Allowed {
    pub(crate) reason: String,
}

/// Is somebody allowed to do something?
pub(crate) fn allows(state: &State, user: &User, action: &Action) -> Option<Allowed> {
    if user.is_in(MASTERS) {
        return Some(Allowed { reason: String::new() });
    }
    let reviews = ["selfsubjectaccessreviews", "selfsubjectrulesreviews"];
    if user.is_in("system:authenticated")
        && action.group == "authorization.k8s.io"
        && action.verb == "create"
        && reviews.contains(&action.resource.as_str())
    {
        return Some(Allowed { reason: String::new() });
    }
    bindings(state, user, &action.namespace)
        .find(|(_, rules)| rules.iter().any(|rule| covers(rule, action)))
        .map(|(reason, _)| Allowed { reason })
}

/// The rules that a user has in a namespace, with the binding that gives them.
pub(crate) fn bindings<'a>(state: &'a State, user: &'a User, namespace: &'a str) -> impl Iterator<Item = (String, Vec<Value>)> + 'a {
    let id = |resource: &str| GroupResource::new("rbac.authorization.k8s.io", resource);
    let cluster: Vec<&Value> = state.objects(&id("clusterrolebindings")).map(|(_, binding)| &**binding).collect();
    let local: Vec<&Value> = state
        .objects(&id("rolebindings"))
        .map(|(_, binding)| &**binding)
        .filter(|binding| object::namespace(binding) == namespace)
        .collect();
    cluster.into_iter().chain(local.into_iter().filter(move |_| !namespace.is_empty())).filter(move |binding| binds(binding, user)).map(
        move |binding| {
            let role = object::text(binding, &["roleRef", "name"]);
            let kind = object::text(binding, &["roleRef", "kind"]);
            let (resource, key) = if kind == "Role" {
                ("roles", format!("{}/{role}", object::namespace(binding)))
            } else {
                ("clusterroles", role.to_owned())
            };
            let rules = state.get(&id(resource), &key).map(|role| object::list(role, &["rules"]).to_vec()).unwrap_or_default();
            let subject = user.name.clone();
            let reason = format!(
                "RBAC: allowed by {} {:?} of {kind} {role:?} to User {subject:?}",
                object::text(binding, &["kind"]),
                object::name(binding)
            );
            (reason, rules)
        },
    )
}

fn binds(binding: &Value, user: &User) -> bool {
    object::list(binding, &["subjects"]).iter().any(|subject| {
        let name = object::text(subject, &["name"]);
        match object::text(subject, &["kind"]) {
            "User" => name == user.name,
            "Group" => user.is_in(name),
            "ServiceAccount" => user.name == format!("system:serviceaccount:{}:{name}", object::text(subject, &["namespace"])),
            _ => false,
        }
    })
}

fn covers(rule: &Value, action: &Action) -> bool {
    let has = |member: &str, wanted: &str| object::list(rule, &[member]).iter().any(|one| one == wanted || one == "*");
    let subresource = action.resource.split_once('/').map(|(_, subresource)| format!("*/{subresource}"));
    let resource = has("resources", &action.resource) || subresource.is_some_and(|any| has("resources", &any));
    let only = object::list(rule, &["resourceNames"]);
    let named = only.is_empty() || only.iter().any(|name| *name == action.name.as_str());
    has("verbs", &action.verb) && has("apiGroups", &action.group) && resource && named
}

/// The refusal of an action.
pub(crate) fn forbidden(user: &User, target: &Target) -> ApiError {
    let action = Action::of(target);
    let place =
        if target.namespace.is_empty() { "at the cluster scope".to_owned() } else { format!("in the namespace {:?}", target.namespace) };
    let why = format!("User {:?} cannot {} resource {:?} in API group {:?} {place}", user.name, action.verb, action.resource, action.group);
    ApiError::forbidden(&target.id(), &target.name, &why)
}

/// A review asks about one thing.
pub(crate) fn check_review(of: &Versioned, body: &Value) -> Result<()> {
    let asked = ["resourceAttributes", "nonResourceAttributes"]
        .iter()
        .filter(|name| object::at(body, &["spec", name]).is_some_and(Value::is_object))
        .count();
    if of.kind.kind == "SelfSubjectRulesReview" || asked == 1 {
        return Ok(());
    }
    let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
    Err(ApiError::invalid(of.group(), &of.kind.kind, "", &[FieldError::invalid("spec.resourceAttributes", &Value::Null, why)]))
}

/// Answers a review of access. A user who is asked about is the caller, unless the review names one.
pub(crate) fn review(state: &State, caller: &User, kind: &str, mut body: Value) -> Value {
    let spec = body.get("spec").cloned().unwrap_or_default();
    if kind == "SelfSubjectRulesReview" {
        let namespace = object::text(&spec, &["namespace"]);
        let mut rules: Vec<Value> = bindings(state, caller, namespace).flat_map(|(_, rules)| rules).collect();
        if caller.is_in(MASTERS) {
            rules.push(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}));
        }
        body["status"] = json!({"resourceRules": rules, "nonResourceRules": [], "incomplete": false});
        return body;
    }
    let named = object::text(&spec, &["user"]);
    let user = if kind == "SubjectAccessReview" && !named.is_empty() {
        let mut user = User::named(named);
        user.groups.extend(object::list(&spec, &["groups"]).iter().filter_map(Value::as_str).map(str::to_owned));
        user
    } else {
        caller.clone()
    };
    let asked = &spec["resourceAttributes"];
    let allowed = if asked.is_object() {
        let text = |name: &str| object::text(asked, &[name]).to_owned();
        let subresource = text("subresource");
        let resource = if subresource.is_empty() { text("resource") } else { format!("{}/{subresource}", text("resource")) };
        allows(
            state,
            &user,
            &Action { verb: text("verb"), group: text("group"), resource, namespace: text("namespace"), name: text("name") },
        )
    } else {
        let path = object::text(&spec, &["nonResourceAttributes", "path"]);
        may_read_page(&user, path).then(|| Allowed { reason: String::new() })
    };
    body["status"] = match allowed {
        Some(allowed) if allowed.reason.is_empty() => json!({"allowed": true}),
        Some(allowed) => json!({"allowed": true, "reason": allowed.reason}),
        None => json!({"allowed": false}),
    };
    body
}

/// Pages about the server are for everybody who has a name, and a few for those who have none.
pub(crate) fn may_read_page(user: &User, path: &str) -> bool {
    let open = ["/healthz", "/livez", "/readyz", "/version"];
    open.iter().any(|page| path.starts_with(page)) || user.is_in("system:authenticated") || user.is_in(MASTERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let mut state = State::new(1, 100);
        let id = |resource: &str| GroupResource::new("rbac.authorization.k8s.io", resource);
        let role = json!({"metadata": {"name": "r", "namespace": "a"}, "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["s"]}]});
        state.put(&id("roles"), "a/r", role);
        let binding = json!({"kind": "RoleBinding", "metadata": {"name": "b", "namespace": "a"}, "roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "alice"}]});
        state.put(&id("rolebindings"), "a/b", binding);
        state
    }

    fn action(verb: &str, namespace: &str, name: &str) -> Action {
        Action { verb: verb.into(), group: String::new(), resource: "secrets".into(), namespace: namespace.into(), name: name.into() }
    }

    #[test]
    fn a_role_reaches_as_far_as_its_binding() {
        let (state, alice) = (state(), User::named("alice"));
        assert!(allows(&state, &alice, &action("get", "a", "s")).is_some());
        for other in [action("list", "a", ""), action("get", "b", "s"), action("get", "a", "t"), action("get", "", "s")] {
            assert!(allows(&state, &alice, &other).is_none(), "{other:?}");
        }
        assert!(allows(&state, &User::admin(), &action("delete", "b", "x")).is_some());
    }
}
