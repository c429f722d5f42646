//! Deletion: preconditions, finalizers, propagation and collections; it must not wait for a garbage collector, which may be absent.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::check::Check;
use crate::ground::Ground;
use crate::{contains, differs, same};

/// The group's checks.
pub const CHECKS: &[Check] = crate::checks!("deletion", [];
    a_delete_answers_success_with_details,
    a_uid_precondition_is_checked,
    a_version_precondition_is_checked,
    both_preconditions_are_checked,
    an_empty_precondition_holds_for_nothing,
    all_namespaces_are_not_emptied_at_once,
    a_failed_precondition_leaves_all_as_it_was,
    preconditions_hold_for_an_object_under_finalizers,
    a_precondition_in_a_dry_run_is_checked,
    a_dry_run_deletes_nothing,
    a_dry_run_under_finalizers_marks_nothing,
    an_unknown_propagation_is_refused,
    foreground_leaves_the_object_with_a_finalizer,
    orphan_leaves_the_object_with_a_finalizer,
    background_removes_at_once,
    two_propagations_are_refused,
    a_grace_period_does_not_delay,
    a_secret_goes_the_same_way,
    a_second_delete_is_not_found,
    a_delete_by_query_is_understood,
);

async fn removed(g: &Ground, name: &str, answer: Answer) -> Result<()> {
    let answer = answer.status(200)?;
    same!(answer.at("/status"), "Success");
    g.absent(name).await
}

async fn a_delete_answers_success_with_details(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let gone = g.server.delete(&g.at("w")).await?.status(200)?;
    same!(gone.at("/kind"), "Status");
    same!(gone.at("/apiVersion"), "v1");
    same!(gone.at("/status"), "Success");
    same!(gone.at("/details"), json!({"name": "w", "group": g.group, "kind": "widgets", "uid": made.uid()}));
    g.absent("w").await
}

async fn a_uid_precondition_is_checked(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let wrong = json!({"preconditions": {"uid": "00000000-0000-4000-8000-000000000000"}});
    let refused = g.server.delete_with(&g.at("w"), &wrong).await?.refused(409, "Conflict")?;
    contains!(refused.message(), "the UID in the precondition", made.uid());
    same!(g.stored("w").await?.body, made.body);
    let right = json!({"preconditions": {"uid": made.uid()}});
    removed(g, "w", g.server.delete_with(&g.at("w"), &right).await?).await
}

async fn a_version_precondition_is_checked(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let next = g.server.merge(&g.at("w"), &json!({"spec": {"size": 2}})).await?.ok()?;
    let stale = json!({"preconditions": {"resourceVersion": made.rv()}});
    let refused = g.server.delete_with(&g.at("w"), &stale).await?.refused(409, "Conflict")?;
    contains!(refused.message(), "ResourceVersion", made.rv());
    same!(g.stored("w").await?.body, next.body);
    let right = json!({"preconditions": {"resourceVersion": next.rv()}});
    removed(g, "w", g.server.delete_with(&g.at("w"), &right).await?).await
}

async fn both_preconditions_are_checked(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let half = json!({"preconditions": {"uid": made.uid(), "resourceVersion": "1"}});
    g.server.delete_with(&g.at("w"), &half).await?.refused(409, "Conflict")?;
    let both = json!({"preconditions": {"uid": made.uid(), "resourceVersion": made.rv()}});
    removed(g, "w", g.server.delete_with(&g.at("w"), &both).await?).await
}

async fn a_failed_precondition_leaves_all_as_it_was(g: &Ground) -> Result<()> {
    let first = g.make("w", &json!({"size": 1})).await?;
    g.server.delete(&g.at("w")).await?.ok()?;
    let second = g.make("w", &json!({"size": 2})).await?;
    let of_first = json!({"preconditions": {"uid": first.uid()}});
    g.server.delete_with(&g.at("w"), &of_first).await?.refused(409, "Conflict")?;
    same!(g.stored("w").await?.body, second.body);
    g.server.delete(&g.at("w")).await?.ok()?;
    g.server.delete_with(&g.at("w"), &of_first).await?.refused(404, "NotFound")?;
    Ok(())
}

async fn preconditions_hold_for_an_object_under_finalizers(g: &Ground) -> Result<()> {
    let mut body = g.widget("w", &json!({"size": 1}));
    body["metadata"]["finalizers"] = json!(["example.com/f"]);
    let made = g.server.post(&g.all("widgets"), &body).await?.status(201)?;
    let wrong = json!({"preconditions": {"uid": "00000000-0000-4000-8000-000000000000"}});
    g.server.delete_with(&g.at("w"), &wrong).await?.refused(409, "Conflict")?;
    same!(g.stored("w").await?.at("/metadata/deletionTimestamp"), Value::Null);
    let right = json!({"preconditions": {"uid": made.uid()}});
    let marked = g.server.delete_with(&g.at("w"), &right).await?.ok()?;
    anyhow::ensure!(marked.at("/metadata/deletionTimestamp").is_string(), "{}", marked.excerpt());
    g.server.delete_with(&g.at("w"), &wrong).await?.refused(409, "Conflict")?;
    g.server.merge(&g.at("w"), &json!({"metadata": {"finalizers": []}})).await?.ok()?;
    g.absent("w").await
}

async fn a_precondition_in_a_dry_run_is_checked(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let wrong = json!({"preconditions": {"uid": "00000000-0000-4000-8000-000000000000"}, "dryRun": ["All"]});
    g.server.delete_with(&g.at("w"), &wrong).await?.refused(409, "Conflict")?;
    same!(g.stored("w").await?.body, made.body);
    Ok(())
}

async fn a_dry_run_deletes_nothing(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    g.server.delete(&g.at("w")).dry().await?.status(200)?;
    g.server.delete_with(&g.at("w"), &json!({"dryRun": ["All"]})).await?.status(200)?;
    same!(g.stored("w").await?.body, made.body);
    g.server.delete_with(&g.at("w"), &json!({"dryRun": ["Some"]})).await?.refused(422, "Invalid")?;
    same!(g.stored("w").await?.body, made.body);
    Ok(())
}

async fn a_dry_run_under_finalizers_marks_nothing(g: &Ground) -> Result<()> {
    let mut body = g.widget("w", &json!({"size": 1}));
    body["metadata"]["finalizers"] = json!(["example.com/f"]);
    let made = g.server.post(&g.all("widgets"), &body).await?.status(201)?;
    g.server.delete(&g.at("w")).dry().await?.status(200)?;
    same!(g.stored("w").await?.body, made.body);
    g.server.merge(&g.at("w"), &json!({"metadata": {"finalizers": null}})).dry().await?.ok()?;
    same!(g.stored("w").await?.body, made.body);
    g.server.merge(&g.at("w"), &json!({"metadata": {"finalizers": null}})).await?.ok()?;
    Ok(())
}

async fn an_unknown_propagation_is_refused(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    let refused = g.server.delete_with(&g.at("w"), &json!({"propagationPolicy": "Sideways"})).await?;
    contains!(refused.message(), "propagationPolicy", "Sideways");
    refused.refused(422, "Invalid")?;
    same!(g.stored("w").await?.at("/metadata/deletionTimestamp"), Value::Null);
    Ok(())
}

async fn foreground_leaves_the_object_with_a_finalizer(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    let marked = g.server.delete_with(&g.at("w"), &json!({"propagationPolicy": "Foreground"})).await?.status(200)?;
    same!(marked.at("/kind"), "Widget");
    same!(marked.at("/metadata/finalizers"), ["foregroundDeletion"]);
    same!(marked.at("/metadata/deletionGracePeriodSeconds"), 0);
    anyhow::ensure!(marked.at("/metadata/deletionTimestamp").is_string(), "{}", marked.excerpt());
    Ok(())
}

async fn orphan_leaves_the_object_with_a_finalizer(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    let marked = g.server.delete_with(&g.at("w"), &json!({"propagationPolicy": "Orphan"})).await?.status(200)?;
    same!(marked.at("/metadata/finalizers"), ["orphan"]);
    anyhow::ensure!(marked.at("/metadata/deletionTimestamp").is_string(), "{}", marked.excerpt());
    Ok(())
}

async fn background_removes_at_once(g: &Ground) -> Result<()> {
    let owner = g.make("owner", &json!({"size": 1})).await?;
    let mut body = g.widget("w", &json!({"size": 1}));
    body["metadata"]["ownerReferences"] =
        json!([{"apiVersion": format!("{}/v1", g.group), "kind": "Widget", "name": "owner", "uid": owner.uid()}]);
    body["metadata"]["finalizers"] = json!(["example.com/f"]);
    g.server.post(&g.all("widgets"), &body).await?.status(201)?;
    let answer = g.server.delete_with(&g.at("owner"), &json!({"propagationPolicy": "Background"})).await?;
    removed(g, "owner", answer).await?;
    same!(g.stored("w").await?.at("/metadata/ownerReferences/0/uid"), owner.uid());
    g.server.merge(&g.at("w"), &json!({"metadata": {"finalizers": null}})).await?;
    Ok(())
}

async fn two_propagations_are_refused(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    let refused = g.server.delete_with(&g.at("w"), &json!({"propagationPolicy": "Background", "orphanDependents": true})).await?;
    contains!(refused.message(), "orphanDependents");
    refused.refused(422, "Invalid")?;
    g.stored("w").await?;
    Ok(())
}

async fn a_grace_period_does_not_delay(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    let answer = g.server.delete_with(&g.at("w"), &json!({"gracePeriodSeconds": 300})).await?;
    removed(g, "w", answer).await?;
    g.make("w", &json!({"size": 1})).await?;
    Ok(())
}

async fn a_secret_goes_the_same_way(g: &Ground) -> Result<()> {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}});
    let path = format!("{}/s", g.core("secrets"));
    let made = g.server.post(&g.core("secrets"), &secret).await?.status(201)?;
    let wrong = json!({"preconditions": {"uid": "00000000-0000-4000-8000-000000000000"}});
    g.server.delete_with(&path, &wrong).await?.refused(409, "Conflict")?;
    same!(g.server.get(&path).await?.ok()?.rv(), made.rv());
    let gone = g.server.delete_with(&path, &json!({"preconditions": {"uid": made.uid()}})).await?.status(200)?;
    same!(gone.at("/status"), "Success");
    same!(gone.at("/details"), json!({"name": "s", "kind": "secrets", "uid": made.uid()}));
    g.server.get(&path).await?.refused(404, "NotFound")?;
    Ok(())
}

async fn a_second_delete_is_not_found(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    g.server.delete(&g.at("w")).await?.ok()?;
    g.server.delete(&g.at("w")).await?.refused(404, "NotFound")?;
    let again = g.make("w", &json!({"size": 1})).await?;
    differs!(again.uid(), made.uid());
    Ok(())
}

async fn a_delete_by_query_is_understood(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    let marked = g.server.delete(&g.at("w")).query("propagationPolicy", "Foreground").await?.status(200)?;
    same!(marked.at("/metadata/finalizers"), ["foregroundDeletion"]);
    Ok(())
}

async fn an_empty_precondition_holds_for_nothing(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    for empty in ["uid", "resourceVersion"] {
        g.server.delete_with(&g.at("w"), &json!({"preconditions": {empty: ""}})).await?.refused(409, "Conflict")?;
    }
    same!(g.stored("w").await?.body, made.body);
    Ok(())
}

async fn all_namespaces_are_not_emptied_at_once(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let everywhere = g.server.delete(&format!("/apis/{}/v1/widgets", g.group)).await?;
    ensure!(matches!(everywhere.status, 404 | 405), "{}", everywhere.excerpt());
    g.server.delete("/api/v1/secrets").await?.refused(405, "MethodNotAllowed")?;
    same!(g.stored("w").await?.body, made.body);
    Ok(())
}
