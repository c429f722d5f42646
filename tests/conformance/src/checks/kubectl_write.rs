//! The real kubectl writing: apply, patch, edit, annotate, label, delete, diff; it must not trust what kubectl prints without
//! reading the object.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::capability::Need;
use crate::check::Check;
use crate::ground::{Ground, managers};
use crate::{contains, same};

/// The group's checks.
pub const CHECKS: &[Check] = crate::checks!("kubectl-write", [Need::Kubectl];
    apply_creates_configures_and_rests,
    apply_removes_what_was_left_out,
    apply_of_several_objects,
    apply_of_a_bad_value_fails,
    apply_server_side_owns_fields,
    apply_server_side_conflicts,
    apply_server_side_takes_over,
    apply_takes_over_from_the_client_side,
    apply_as_a_dry_run_stores_nothing,
    apply_of_a_deployment_merges_containers,
    create_refuses_what_exists,
    replace_needs_the_newest,
    patch_merge_and_json,
    patch_of_status,
    patch_that_changes_nothing_says_so,
    patch_strategic_of_a_deployment,
    annotate_and_overwrite,
    label_and_remove,
    label_by_selector,
    edit_saves_what_the_editor_wrote,
    edit_without_change_is_cancelled,
    delete_waits_for_finalizers,
    delete_by_label_and_all,
    delete_of_what_is_absent,
    delete_from_a_file,
    diff_tells_what_would_change,
    a_secret_from_literals,
    a_rollout_restart_annotates_the_template,
    a_namespace_as_a_dry_run,
    kustomize_is_applied,
);

fn kind(g: &Ground) -> String {
    format!("widgets.{}", g.group)
}

fn named(g: &Ground, name: &str) -> String {
    format!("widget.{}/{name}", g.group)
}

/// Feeds this widget to kubectl and returns what it printed.
async fn with(g: &Ground, arguments: &[&str], spec: Value) -> Result<String> {
    Ok(g.kubectl.with(arguments, &g.widget("w", &spec)).await?.success()?.trim().to_owned())
}

async fn apply_creates_configures_and_rests(g: &Ground) -> Result<()> {
    same!(with(g, &["apply"], json!({"size": 1})).await?, format!("{} created", named(g, "w")));
    let made = g.stored("w").await?;
    ensure!(made.at("/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration").is_string(), "{}", made.excerpt());
    same!(with(g, &["apply"], json!({"size": 1})).await?, format!("{} unchanged", named(g, "w")));
    same!(g.stored("w").await?.rv(), made.rv());
    same!(with(g, &["apply"], json!({"size": 2})).await?, format!("{} configured", named(g, "w")));
    same!(g.stored("w").await?.at("/spec/size"), 2);
    Ok(())
}

async fn apply_removes_what_was_left_out(g: &Ground) -> Result<()> {
    with(g, &["apply"], json!({"size": 1, "title": "a", "options": {"a": "1"}})).await?;
    g.server.merge(&g.at("w"), &json!({"spec": {"options": {"theirs": "x"}}})).await?.ok()?;
    with(g, &["apply"], json!({"size": 1})).await?;
    let spec = g.stored("w").await?.at("/spec").clone();
    same!(spec["title"], Value::Null);
    same!(spec["options"]["a"], Value::Null);
    Ok(())
}

async fn apply_of_several_objects(g: &Ground) -> Result<()> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        g.widget("w", &json!({"size": 1})),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "b"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}},
    ]});
    let printed = g.kubectl.with(&["apply"], &list).await?.success()?;
    contains!(printed, format!("{} created", named(g, "w")), "configmap/m created", "secret/s created");
    let again = g.kubectl.with(&["apply"], &list).await?.success()?;
    contains!(again, format!("{} unchanged", named(g, "w")), "configmap/m unchanged");
    same!(g.server.get(&format!("{}/s", g.core("secrets"))).await?.at("/data/a"), "Yg==");
    Ok(())
}

async fn apply_of_a_bad_value_fails(g: &Ground) -> Result<()> {
    let output = g.kubectl.with(&["apply", "--validate=false"], &g.widget("w", &json!({"size": 101}))).await?;
    contains!(output.refusal()?, "is invalid", "spec.size", "should be less than or equal to 100");
    g.absent("w").await
}

async fn apply_server_side_owns_fields(g: &Ground) -> Result<()> {
    let printed = with(g, &["apply", "--server-side", "--field-manager=one"], json!({"size": 1})).await?;
    same!(printed, format!("{} serverside-applied", named(g, "w")));
    let made = g.stored("w").await?;
    same!(managers(&made.body, &["f:spec", "f:size"]), ["one"]);
    same!(made.at("/metadata/annotations"), Value::Null);
    with(g, &["apply", "--server-side", "--field-manager=one"], json!({"size": 1})).await?;
    same!(g.stored("w").await?.rv(), made.rv());
    Ok(())
}

async fn apply_server_side_conflicts(g: &Ground) -> Result<()> {
    with(g, &["apply", "--server-side", "--field-manager=one"], json!({"size": 1})).await?;
    let output = g.kubectl.with(&["apply", "--server-side", "--field-manager=two"], &g.widget("w", &json!({"size": 2}))).await?;
    contains!(output.refusal()?, "conflict with \"one\"", ".spec.size", "--force-conflicts");
    same!(g.stored("w").await?.at("/spec/size"), 1);
    Ok(())
}

async fn apply_server_side_takes_over(g: &Ground) -> Result<()> {
    with(g, &["apply", "--server-side", "--field-manager=one"], json!({"size": 1})).await?;
    with(g, &["apply", "--server-side", "--field-manager=two", "--force-conflicts"], json!({"size": 2})).await?;
    let stored = g.stored("w").await?;
    same!(stored.at("/spec/size"), 2);
    same!(managers(&stored.body, &["f:spec", "f:size"]), ["two"]);
    Ok(())
}

async fn apply_takes_over_from_the_client_side(g: &Ground) -> Result<()> {
    with(g, &["apply"], json!({"size": 1, "title": "a"})).await?;
    with(g, &["apply", "--server-side"], json!({"size": 2, "title": "a"})).await?;
    let stored = g.stored("w").await?;
    same!(stored.at("/spec/size"), 2);
    ensure!(managers(&stored.body, &["f:spec", "f:size"]).contains(&"kubectl".to_owned()), "{}", stored.excerpt());
    Ok(())
}

async fn apply_as_a_dry_run_stores_nothing(g: &Ground) -> Result<()> {
    let printed = with(g, &["apply", "--dry-run=server"], json!({"size": 1})).await?;
    same!(printed, format!("{} created (server dry run)", named(g, "w")));
    g.absent("w").await
}

async fn apply_of_a_deployment_merges_containers(g: &Ground) -> Result<()> {
    let body = super::workloads::deployment("d", 1);
    g.kubectl.with(&["apply"], &body).await?.success()?;
    let path = format!("{}/d", g.built_in("apps/v1", "deployments"));
    let sidecar = json!({"spec": {"template": {"spec": {"containers": [{"name": "injected", "image": "example.com/i:1"}]}}}});
    g.server.strategic(&path, &sidecar).await?.ok()?;
    let mut changed = body;
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "example.com/main:2".into();
    contains!(g.kubectl.with(&["apply"], &changed).await?.success()?, "deployment.apps/d configured");
    let stored = g.server.get(&path).await?.ok()?;
    let mut names: Vec<_> =
        stored.list("/spec/template/spec/containers").iter().map(|one| one["name"].as_str().unwrap_or_default()).collect();
    names.sort_unstable();
    same!(names, ["injected", "main", "side"]);
    ensure!(stored.list("/spec/template/spec/containers").iter().any(|one| one["image"] == "example.com/main:2"), "{}", stored.excerpt());
    Ok(())
}

async fn create_refuses_what_exists(g: &Ground) -> Result<()> {
    same!(with(g, &["create"], json!({"size": 1})).await?, format!("{} created", named(g, "w")));
    let said = g.kubectl.with(&["create"], &g.widget("w", &json!({"size": 2}))).await?.refusal()?;
    contains!(said, "Error from server (AlreadyExists)", "already exists");
    same!(g.stored("w").await?.at("/spec/size"), 1);
    Ok(())
}

async fn replace_needs_the_newest(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let output = g.kubectl.with(&["replace"], &made.with("/spec/size", 2)).await?.success()?;
    same!(output.trim(), format!("{} replaced", named(g, "w")));
    let said = g.kubectl.with(&["replace"], &made.with("/spec/size", 3)).await?.refusal()?;
    contains!(said, "Error from server (Conflict)", "the object has been modified");
    same!(g.stored("w").await?.at("/spec/size"), 2);
    Ok(())
}

async fn patch_merge_and_json(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    let merged = g.kubectl.ok(&["patch", &kind(g), "w", "--type=merge", "-p", "{\"spec\":{\"size\":2}}"]).await?;
    same!(merged.trim(), format!("{} patched", named(g, "w")));
    let steps = "[{\"op\":\"add\",\"path\":\"/spec/title\",\"value\":\"a\"}]";
    g.kubectl.ok(&["patch", &kind(g), "w", "--type=json", "-p", steps]).await?;
    same!(g.stored("w").await?.at("/spec"), json!({"size": 2, "color": "red", "title": "a"}));
    Ok(())
}

async fn patch_of_status(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    let change = "{\"status\":{\"phase\":\"Ready\"},\"spec\":{\"size\":9}}";
    g.kubectl.ok(&["patch", &kind(g), "w", "--subresource=status", "--type=merge", "-p", change]).await?;
    let stored = g.stored("w").await?;
    same!(stored.at("/status/phase"), "Ready");
    same!(stored.at("/spec/size"), 1);
    Ok(())
}

async fn patch_that_changes_nothing_says_so(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    let printed = g.kubectl.ok(&["patch", &kind(g), "w", "--type=merge", "-p", "{\"spec\":{\"size\":1}}"]).await?;
    same!(printed.trim(), format!("{} patched (no change)", named(g, "w")));
    Ok(())
}

async fn patch_strategic_of_a_deployment(g: &Ground) -> Result<()> {
    g.kubectl.with(&["create"], &super::workloads::deployment("d", 1)).await?.success()?;
    let change = "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"side\",\"image\":\"example.com/side:9\"}]}}}}";
    g.kubectl.ok(&["patch", "deployment", "d", "-p", change]).await?;
    let images = g.kubectl.ok(&["get", "deployment", "d", "-o", "jsonpath={.spec.template.spec.containers[*].image}"]).await?;
    contains!(images, "example.com/main:1", "example.com/side:9");
    let said = g.kubectl.run(&["patch", &kind(g), "w", "-p", "{}"]).await?.refusal()?;
    ensure!(!said.is_empty(), "silent");
    Ok(())
}

async fn annotate_and_overwrite(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    same!(g.kubectl.ok(&["annotate", &kind(g), "w", "example.com/rotate=1"]).await?.trim(), format!("{} annotated", named(g, "w")));
    let said = g.kubectl.run(&["annotate", &kind(g), "w", "example.com/rotate=2"]).await?.refusal()?;
    contains!(said, "--overwrite is false but found the following declared annotation(s)");
    g.kubectl.ok(&["annotate", "--overwrite", &kind(g), "w", "example.com/rotate=2"]).await?;
    let stored = g.stored("w").await?;
    same!(stored.at("/metadata/annotations"), json!({"example.com/rotate": "2"}));
    same!(stored.generation(), 1);
    Ok(())
}

async fn label_and_remove(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    contains!(g.kubectl.ok(&["label", &kind(g), "w", "a=1", "b=2"]).await?, "labeled");
    contains!(g.kubectl.ok(&["label", &kind(g), "w", "a-"]).await?, "unlabeled");
    same!(g.stored("w").await?.at("/metadata/labels"), json!({"b": "2"}));
    let said = g.kubectl.run(&["label", &kind(g), "w", "b=not a label"]).await?.refusal()?;
    contains!(said, "invalid label value");
    Ok(())
}

async fn label_by_selector(g: &Ground) -> Result<()> {
    g.make_labelled("a", &json!({"tier": "gold"})).await?;
    g.make_labelled("b", &json!({"tier": "tin"})).await?;
    g.kubectl.ok(&["label", &kind(g), "-l", "tier=gold", "picked=yes"]).await?;
    same!(g.stored("a").await?.at("/metadata/labels/picked"), "yes");
    same!(g.stored("b").await?.at("/metadata/labels/picked"), Value::Null);
    g.kubectl.ok(&["label", &kind(g), "--all", "seen=yes"]).await?;
    same!(g.stored("b").await?.at("/metadata/labels/seen"), "yes");
    Ok(())
}

/// Runs `kubectl edit` with this sed script as the editor.
async fn edit(g: &Ground, script: &str) -> Result<(i32, String)> {
    let mut command = g.kubectl.command(&["edit", &kind(g), "w"]);
    command.env("KUBE_EDITOR", format!("sed -i -e {script}"));
    let output = command.output().await?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ok((output.status.code().unwrap_or(-1), said))
}

async fn edit_saves_what_the_editor_wrote(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    let (code, said) = edit(g, "s/size:.1/size:\\ 8/").await?;
    ensure!(code == 0, "{said}");
    contains!(said, format!("{} edited", named(g, "w")));
    same!(g.stored("w").await?.at("/spec/size"), 8);
    Ok(())
}

async fn edit_without_change_is_cancelled(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let (code, said) = edit(g, "s/nowhere/here/").await?;
    same!(code, 0);
    contains!(said, "no changes made");
    same!(g.stored("w").await?.body, made.body);
    Ok(())
}

async fn delete_waits_for_finalizers(g: &Ground) -> Result<()> {
    let mut body = g.widget("w", &json!({"size": 1}));
    body["metadata"]["finalizers"] = json!(["example.com/f"]);
    g.server.post(&g.all("widgets"), &body).await?.status(201)?;
    contains!(g.kubectl.ok(&["delete", &kind(g), "w", "--wait=false"]).await?, "deleted");
    g.stored("w").await?;
    let (name, change, path) = (kind(g), json!({"metadata": {"finalizers": null}}), g.at("w"));
    let deleting = ["delete", &name, "w", "--timeout=20s"];
    let release = async {
        // The second delete is under way once kubectl started; a release that comes first only ends its wait sooner.
        g.server.merge(&path, &change).await?.ok()
    };
    let (deleted, released) = tokio::join!(g.kubectl.run(&deleting), release);
    released?;
    let deleted = deleted?;
    ensure!(deleted.code == 0 || deleted.stderr.contains("NotFound"), "{deleted:?}");
    g.absent("w").await
}

async fn delete_by_label_and_all(g: &Ground) -> Result<()> {
    for (name, tier) in [("a", "gold"), ("b", "tin"), ("c", "tin")] {
        g.make_labelled(name, &json!({"tier": tier})).await?;
    }
    contains!(g.kubectl.ok(&["delete", &kind(g), "-l", "tier=gold"]).await?, "\"a\" deleted");
    same!(g.server.get(&g.all("widgets")).await?.names(), ["b", "c"]);
    contains!(g.kubectl.ok(&["delete", &kind(g), "--all"]).await?, "\"b\" deleted", "\"c\" deleted");
    same!(g.server.get(&g.all("widgets")).await?.names(), Vec::<String>::new());
    Ok(())
}

async fn delete_of_what_is_absent(g: &Ground) -> Result<()> {
    contains!(g.kubectl.run(&["delete", &kind(g), "w"]).await?.refusal()?, "Error from server (NotFound)");
    g.kubectl.ok(&["delete", &kind(g), "w", "--ignore-not-found"]).await?;
    Ok(())
}

async fn delete_from_a_file(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1})).await?;
    contains!(with(g, &["delete"], json!({"size": 1})).await?, "\"w\" deleted");
    g.absent("w").await
}

async fn diff_tells_what_would_change(g: &Ground) -> Result<()> {
    with(g, &["apply"], json!({"size": 1})).await?;
    let same = g.kubectl.with(&["diff"], &g.widget("w", &json!({"size": 1}))).await?;
    same!(same.code, 0);
    same!(same.stdout, "");
    let changed = g.kubectl.with(&["diff"], &g.widget("w", &json!({"size": 2}))).await?;
    same!(changed.code, 1);
    contains!(changed.stdout, "-  size: 1", "+  size: 2");
    same!(g.stored("w").await?.at("/spec/size"), 1);
    Ok(())
}

async fn a_secret_from_literals(g: &Ground) -> Result<()> {
    contains!(g.kubectl.ok(&["create", "secret", "generic", "s", "--from-literal=clientId=abc"]).await?, "secret/s created");
    same!(g.kubectl.ok(&["get", "secret", "s", "-o", "jsonpath={.data.clientId}"]).await?, "YWJj");
    let described = g.kubectl.ok(&["describe", "secret", "s"]).await?;
    contains!(described, "clientId", "3 bytes", "Opaque");
    crate::lacks!(described, "abc", "YWJj");
    Ok(())
}

async fn a_rollout_restart_annotates_the_template(g: &Ground) -> Result<()> {
    g.kubectl.with(&["create"], &super::workloads::deployment("d", 1)).await?.success()?;
    contains!(g.kubectl.ok(&["rollout", "restart", "deployment/d"]).await?, "deployment.apps/d restarted");
    let stored = g.server.get(&format!("{}/d", g.built_in("apps/v1", "deployments"))).await?.ok()?;
    same!(stored.generation(), 2);
    ensure!(stored.at("/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt").is_string(), "{}", stored.excerpt());
    same!(stored.list("/spec/template/spec/containers").len(), 2);
    Ok(())
}

async fn a_namespace_as_a_dry_run(g: &Ground) -> Result<()> {
    let name = format!("{}-dry", g.namespace);
    contains!(g.kubectl.ok(&["create", "namespace", &name, "--dry-run=server"]).await?, "created (server dry run)");
    contains!(g.kubectl.run(&["get", "namespace", &name]).await?.refusal()?, "NotFound");
    let printed = g.kubectl.ok(&["get", "namespace", &g.namespace, "--no-headers"]).await?;
    contains!(printed, "Active");
    Ok(())
}

async fn kustomize_is_applied(g: &Ground) -> Result<()> {
    let file = |name: &str, text: &str| std::fs::write(g.folder.join(name), text);
    file("kustomization.yaml", "resources: [widget.yaml]\nnamePrefix: pre-\n")?;
    file("widget.yaml", &g.widget("w", &json!({"size": 1})).to_string())?;
    let folder = g.folder.display().to_string();
    contains!(g.kubectl.ok(&["apply", "-k", &folder]).await?, format!("{} created", named(g, "pre-w")));
    same!(g.stored("pre-w").await?.at("/spec/size"), 1);
    Ok(())
}
