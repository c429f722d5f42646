//! Access: reviews, roles and acting as another user; it must not leave a binding of the whole cluster behind.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::check::Check;
use crate::ground::Ground;
use crate::until::until;
use crate::{contains, same};

/// The group's checks.
pub const CHECKS: &[Check] = crate::checks!("access", [];
    an_administrator_may_all,
    a_review_tells_what_was_asked,
    a_stranger_may_nothing,
    a_refusal_names_who_what_and_where,
    a_refusal_at_cluster_scope_says_so,
    a_role_opens_its_verbs_alone,
    a_role_opens_its_namespace_alone,
    a_role_by_name_opens_that_object_alone,
    a_role_of_status_does_not_open_the_object,
    a_cluster_role_can_be_bound_in_a_namespace,
    a_group_can_be_bound,
    a_wrong_token_is_unauthorized,
    a_token_of_a_service_account_is_its_user,
    a_token_is_neither_of_nobody_nor_for_a_moment,
    a_deleted_binding_closes,
);

const STRANGER: &str = "conformance-stranger";

fn review(attributes: &Value) -> Value {
    json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}})
}

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

async fn bind(g: &Ground, rules: Value, subject: Value) -> Result<()> {
    let rbac = |kind: &str| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": "r"}});
    let mut role = rbac("Role");
    role["rules"] = rules;
    g.server.post(&g.built_in("rbac.authorization.k8s.io/v1", "roles"), &role).await?.status(201)?;
    let mut binding = rbac("RoleBinding");
    binding["roleRef"] = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"});
    binding["subjects"] = json!([subject]);
    g.server.post(&g.built_in("rbac.authorization.k8s.io/v1", "rolebindings"), &binding).await?.status(201)?;
    Ok(())
}

fn user(name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name})
}

/// Waits until the stranger's list of widgets answers `status`: roles reach the authorizer a little later.
async fn lists(g: &Ground, status: u16, groups: &[&str]) -> Result<()> {
    until("the role at work", || async {
        let answer = g.server.get(&g.all("widgets")).impersonate(STRANGER, groups).await?;
        Ok(if answer.status == status { Ok(()) } else { Err(answer.excerpt()) })
    })
    .await
}

async fn an_administrator_may_all(g: &Ground) -> Result<()> {
    let asked = review(&json!({"verb": "delete", "group": g.group, "resource": "widgets", "namespace": g.namespace}));
    let answer = g.server.post(REVIEWS, &asked).await?.status(201)?;
    same!(answer.at("/kind"), "SelfSubjectAccessReview");
    same!(answer.at("/status/allowed"), true);
    let all = review(&json!({"verb": "*", "group": "*", "resource": "*"}));
    same!(g.server.post(REVIEWS, &all).await?.at("/status/allowed"), true);
    Ok(())
}

async fn a_review_tells_what_was_asked(g: &Ground) -> Result<()> {
    let attributes = json!({"verb": "get", "resource": "secrets", "namespace": g.namespace, "name": "s"});
    let answer = g.server.post(REVIEWS, &review(&attributes)).await?.status(201)?;
    same!(answer.at("/spec/resourceAttributes"), attributes);
    let none = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {}});
    g.server.post(REVIEWS, &none).await?.refused(422, "Invalid")?;
    Ok(())
}

async fn a_stranger_may_nothing(g: &Ground) -> Result<()> {
    let asked = review(&json!({"verb": "get", "resource": "secrets", "namespace": g.namespace}));
    let answer = g.server.post(REVIEWS, &asked).impersonate(STRANGER, &["system:authenticated"]).await?.status(201)?;
    same!(answer.at("/status/allowed"), false);
    g.server.get(&g.core("secrets")).impersonate(STRANGER, &["system:authenticated"]).await?.refused(403, "Forbidden")?;
    Ok(())
}

async fn a_refusal_names_who_what_and_where(g: &Ground) -> Result<()> {
    let refused = g.server.get(&g.all("widgets")).impersonate(STRANGER, &[]).await?.refused(403, "Forbidden")?;
    let wanted = format!(
        "widgets.{} is forbidden: User \"{STRANGER}\" cannot list resource \"widgets\" in API group \"{}\" in the namespace \"{}\"",
        g.group, g.group, g.namespace
    );
    contains!(refused.message(), wanted);
    same!(refused.at("/details"), json!({"group": g.group, "kind": "widgets"}));
    let one = g
        .server
        .post(&g.all("widgets"), &g.widget("w", &json!({"size": 1})))
        .impersonate(STRANGER, &[])
        .await?
        .refused(403, "Forbidden")?;
    contains!(one.message(), "cannot create resource \"widgets\"");
    g.absent("w").await
}

async fn a_refusal_at_cluster_scope_says_so(g: &Ground) -> Result<()> {
    let path = format!("/apis/{}/v1/regions/r", g.group);
    let refused = g.server.get(&path).impersonate(STRANGER, &[]).await?.refused(403, "Forbidden")?;
    contains!(refused.message(), "\"r\" is forbidden", "cannot get resource \"regions\"", "at the cluster scope");
    Ok(())
}

async fn a_role_opens_its_verbs_alone(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    bind(g, json!([{"apiGroups": [g.group], "resources": ["widgets"], "verbs": ["get", "list"]}]), user(STRANGER)).await?;
    lists(g, 200, &[]).await?;
    g.server.get(&g.at("w")).impersonate(STRANGER, &[]).await?.status(200)?;
    g.server.merge(&g.at("w"), &json!({"spec": {"size": 2}})).impersonate(STRANGER, &[]).await?.refused(403, "Forbidden")?;
    g.server.delete(&g.at("w")).impersonate(STRANGER, &[]).await?.refused(403, "Forbidden")?;
    same!(g.server.get(&g.all("widgets")).impersonate(STRANGER, &[]).watch().await?.status(), 403);
    same!(g.stored("w").await?.at("/spec/size"), 1);
    Ok(())
}

async fn a_role_opens_its_namespace_alone(g: &Ground) -> Result<()> {
    bind(g, json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]), user(STRANGER)).await?;
    lists(g, 200, &[]).await?;
    let elsewhere = format!("/apis/{}/v1/namespaces/default/widgets", g.group);
    g.server.get(&elsewhere).impersonate(STRANGER, &[]).await?.refused(403, "Forbidden")?;
    g.server.get(&format!("/apis/{}/v1/widgets", g.group)).impersonate(STRANGER, &[]).await?.refused(403, "Forbidden")?;
    Ok(())
}

async fn a_role_by_name_opens_that_object_alone(g: &Ground) -> Result<()> {
    g.make("mine", &json!({"size": 1})).await?;
    g.make("theirs", &json!({"size": 1})).await?;
    let rules = json!([
        {"apiGroups": [g.group], "resources": ["widgets"], "verbs": ["list"]},
        {"apiGroups": [g.group], "resources": ["widgets"], "resourceNames": ["mine"], "verbs": ["get"]},
    ]);
    bind(g, rules, user(STRANGER)).await?;
    lists(g, 200, &[]).await?;
    g.server.get(&g.at("mine")).impersonate(STRANGER, &[]).await?.status(200)?;
    g.server.get(&g.at("theirs")).impersonate(STRANGER, &[]).await?.refused(403, "Forbidden")?;
    Ok(())
}

async fn a_role_of_status_does_not_open_the_object(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    let rules = json!([
        {"apiGroups": [g.group], "resources": ["widgets"], "verbs": ["list"]},
        {"apiGroups": [g.group], "resources": ["widgets/status"], "verbs": ["patch"]},
    ]);
    bind(g, rules, user(STRANGER)).await?;
    lists(g, 200, &[]).await?;
    g.server.merge(&g.status_at("w"), &json!({"status": {"count": 1}})).impersonate(STRANGER, &[]).await?.status(200)?;
    let refused = g.server.merge(&g.at("w"), &json!({"spec": {"size": 2}})).impersonate(STRANGER, &[]).await?.refused(403, "Forbidden")?;
    contains!(refused.message(), "cannot patch resource \"widgets\"");
    let refused = g.server.get(&g.status_at("w")).impersonate(STRANGER, &[]).await?.refused(403, "Forbidden")?;
    contains!(refused.message(), "cannot get resource \"widgets/status\"");
    Ok(())
}

async fn a_cluster_role_can_be_bound_in_a_namespace(g: &Ground) -> Result<()> {
    lists(g, 403, &[]).await?;
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": g.namespace},
                      "rules": [{"apiGroups": [g.group], "resources": ["widgets"], "verbs": ["list"]}]});
    g.server.post(roles, &role).await?.status(201)?;
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "b"},
                         "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": g.namespace}, "subjects": [user(STRANGER)]});
    g.server.post(&g.built_in("rbac.authorization.k8s.io/v1", "rolebindings"), &binding).await?.status(201)?;
    let outcome = lists(g, 200, &[]).await;
    g.server.delete(&format!("{roles}/{}", g.namespace)).await?.status(200)?;
    outcome
}

async fn a_group_can_be_bound(g: &Ground) -> Result<()> {
    let subject = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "conformance-guests"});
    bind(g, json!([{"apiGroups": [g.group], "resources": ["widgets"], "verbs": ["list"]}]), subject).await?;
    lists(g, 200, &["conformance-guests"]).await?;
    lists(g, 403, &["conformance-others"]).await
}

async fn a_wrong_token_is_unauthorized(g: &Ground) -> Result<()> {
    let stranger = g.server.with_token("conformance-wrong-token");
    stranger.get(&g.all("widgets")).await?.refused(401, "Unauthorized")?;
    Ok(())
}

fn token_request(seconds: u32) -> Value {
    json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": [], "expirationSeconds": seconds}})
}

async fn a_token_of_a_service_account_is_its_user(g: &Ground) -> Result<()> {
    let accounts = g.core("serviceaccounts");
    let robot = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}});
    g.server.post(&accounts, &robot).await?.status(201)?;
    let answer = g.server.post(&format!("{accounts}/robot/token"), &token_request(600)).await?.status(201)?;
    same!(answer.at("/kind"), "TokenRequest");
    ensure!(!answer.text("/status/expirationTimestamp").is_empty(), "{}", answer.excerpt());
    let robot = g.server.with_token(answer.text("/status/token"));
    let refused = robot.get(&g.all("widgets")).await?.refused(403, "Forbidden")?;
    let name = format!("User \"system:serviceaccount:{}:robot\" cannot list", g.namespace);
    contains!(refused.message(), name.as_str());
    let subject = json!({"kind": "ServiceAccount", "name": "robot", "namespace": g.namespace});
    bind(g, json!([{"apiGroups": [g.group], "resources": ["widgets"], "verbs": ["list"]}]), subject).await?;
    until("the role at work", || async {
        let answer = robot.get(&g.all("widgets")).await?;
        Ok(if answer.status == 200 { Ok(()) } else { Err(answer.excerpt()) })
    })
    .await
}

async fn a_token_is_neither_of_nobody_nor_for_a_moment(g: &Ground) -> Result<()> {
    let accounts = g.core("serviceaccounts");
    g.server.post(&format!("{accounts}/nobody/token"), &token_request(600)).await?.refused(404, "NotFound")?;
    let robot = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}});
    g.server.post(&accounts, &robot).await?.status(201)?;
    let message = g.server.post(&format!("{accounts}/robot/token"), &token_request(60)).await?.invalid("spec.expirationSeconds")?;
    contains!(message, "10 minutes");
    Ok(())
}

async fn a_deleted_binding_closes(g: &Ground) -> Result<()> {
    bind(g, json!([{"apiGroups": [g.group], "resources": ["widgets"], "verbs": ["list"]}]), user(STRANGER)).await?;
    lists(g, 200, &[]).await?;
    let path = format!("{}/r", g.built_in("rbac.authorization.k8s.io/v1", "rolebindings"));
    let gone = g.server.delete(&path).await?;
    ensure!(gone.status == 200, "{}", gone.excerpt());
    lists(g, 403, &[]).await
}
