//! The in-memory Kubernetes API as kube's own client sees it: lists, watches, writes and collection, with no socket.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use genesys_cloud_simulator::ManualClock;
use genesys_cloud_simulator::kubernetes::{GroupResource, Kubernetes, Progress, Settings, User};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, WatchEvent, WatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

fn api() -> Kubernetes {
    Kubernetes::new(Settings::new(1, Arc::new(ManualClock::default())))
}

fn client(api: &Kubernetes) -> Client {
    Client::new(api.service(User::admin()), "default")
}

fn map(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"k": value}})).expect("a config map")
}

fn configmaps() -> GroupResource {
    GroupResource { group: String::new(), resource: "configmaps".into() }
}

fn status(error: kube::Error) -> (u16, String) {
    match error {
        kube::Error::Api(status) => (status.code, status.reason.clone()),
        other => panic!("no status: {other}"),
    }
}

async fn filled(api: &Kubernetes) -> Api<ConfigMap> {
    let maps: Api<ConfigMap> = Api::default_namespaced(client(api));
    for name in ["a", "b", "c"] {
        maps.create(&PostParams::default(), &map(name, "1")).await.expect("made");
    }
    maps
}

#[tokio::test]
async fn a_list_is_paged_and_its_pages_show_one_moment() {
    let api = api();
    let maps = filled(&api).await;
    let first = maps.list(&ListParams::default().limit(2)).await.expect("a page");
    assert_eq!(first.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(first.metadata.remaining_item_count, Some(1));
    let next = first.metadata.continue_.clone().expect("more");
    maps.delete("c", &DeleteParams::default()).await.expect("deleted");
    let second = maps.list(&ListParams::default().limit(2).continue_token(&next)).await.expect("a page");
    assert_eq!(second.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["c"]);
    assert_eq!(second.metadata.resource_version, first.metadata.resource_version);
    api.compact();
    let gone = maps.list(&ListParams::default().limit(2).continue_token(&next)).await.expect_err("compacted");
    assert_eq!(status(gone), (410, "Expired".into()));
}

#[tokio::test]
async fn a_watch_resumes_where_it_was_and_is_told_when_it_cannot() {
    let api = api();
    let maps = filled(&api).await;
    let version = maps.get("a").await.expect("there").resource_version().expect("a version");
    let mut watch = maps.watch(&WatchParams::default().timeout(5), &version).await.expect("a watch").boxed();
    for name in ["b", "c"] {
        match watch.try_next().await.expect("no error").expect("an event") {
            WatchEvent::Added(map) => assert_eq!(map.name_any(), name),
            other => panic!("{other:?}"),
        }
    }
    maps.replace("a", &PostParams::default(), &map("a", "2")).await.expect("replaced");
    assert!(matches!(watch.try_next().await.expect("no error"), Some(WatchEvent::Modified(_))));
    api.compact();
    let mut watch = maps.watch(&WatchParams::default().timeout(5), &version).await.expect("a watch").boxed();
    match watch.try_next().await.expect("no transport error") {
        Some(WatchEvent::Error(status)) => assert_eq!((status.code, status.reason.as_str()), (410, "Expired")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_selector_makes_objects_come_and_go() {
    let api = api();
    let maps = filled(&api).await;
    let version = api.resource_version().to_string();
    let mut watch = maps.watch(&WatchParams::default().labels("x=y").timeout(5), &version).await.expect("a watch").boxed();
    let label = |value: Value| Patch::Merge(json!({"metadata": {"labels": {"x": value}}}));
    for value in [json!("y"), json!("z")] {
        maps.patch("a", &PatchParams::default(), &label(value)).await.expect("patched");
    }
    assert!(matches!(watch.try_next().await.expect("no error"), Some(WatchEvent::Added(_))));
    match watch.try_next().await.expect("no error") {
        Some(WatchEvent::Deleted(map)) => assert_eq!(map.resource_version(), Some(api.resource_version().to_string())),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_streamed_list_says_where_it_ends() {
    let api = api();
    let maps = filled(&api).await;
    let params = WatchParams::default().initial_events().timeout(5);
    let mut watch = maps.watch(&params, "").await.expect("a watch").boxed();
    for _ in 0..3 {
        assert!(matches!(watch.try_next().await.expect("no error"), Some(WatchEvent::Added(_))));
    }
    match watch.try_next().await.expect("no error") {
        Some(WatchEvent::Bookmark(mark)) => {
            assert_eq!(mark.metadata.annotations.get("k8s.io/initial-events-end").map(String::as_str), Some("true"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_watch_is_told_how_far_it_is() {
    let api = api();
    let maps = filled(&api).await;
    let version = api.resource_version().to_string();
    let mut watch = maps.watch(&WatchParams::default().timeout(290), &version).await.expect("a watch").boxed();
    api.create(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}})).expect("made");
    match watch.try_next().await.expect("no error") {
        Some(WatchEvent::Bookmark(mark)) => assert_eq!(mark.metadata.resource_version, api.resource_version().to_string()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_happens_to_other_resources_makes_no_idle_watch_old() {
    let api = Kubernetes::new(Settings { history: 10, ..Settings::new(1, Arc::new(ManualClock::default())) });
    let maps = filled(&api).await;
    let secrets: Api<Secret> = Api::default_namespaced(Client::new(api.service(User::admin()), "default"));
    let version = api.resource_version().to_string();
    let mut watch = maps.watch(&WatchParams::default().timeout(60), &version).await.expect("a watch").boxed();
    for value in 0..100 {
        let patch =
            Patch::Apply(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": value.to_string()}}));
        secrets.patch("s", &PatchParams::apply("test"), &patch).await.expect("applied");
        // The watch is awake all the time, and has nothing to tell.
        assert!(futures::poll!(watch.try_next()).is_pending());
    }
    maps.delete("a", &DeleteParams::default()).await.expect("deleted");
    assert!(matches!(watch.try_next().await.expect("no error"), Some(WatchEvent::Deleted(_))));
}

#[tokio::test]
async fn kubes_own_watcher_survives_a_compaction() {
    let api = api();
    let maps = filled(&api).await;
    let mut watcher = kube::runtime::watcher(maps.clone(), kube::runtime::watcher::Config::default().timeout(1)).boxed();
    let mut seen = 0;
    let mut steps = 0..40;
    while seen < 2 {
        match watcher.next().await.expect("it goes on") {
            Ok(kube::runtime::watcher::Event::InitDone) => {
                seen += 1;
                maps.patch("a", &PatchParams::default(), &Patch::Merge(json!({"data": {"k": format!("seen {seen}")}})))
                    .await
                    .expect("patched");
                api.compact();
                api.disconnect_watches("admin");
            }
            other => assert!(steps.next().is_some(), "it goes in circles: {other:?}"),
        }
    }
}

#[tokio::test]
async fn only_one_of_two_writers_with_one_version_wins() {
    let api = api();
    let maps = filled(&api).await;
    let read = maps.get("a").await.expect("there");
    let mut one = read.clone();
    one.data.get_or_insert_default().insert("one".into(), "1".into());
    maps.replace("a", &PostParams::default(), &one).await.expect("the first wins");
    let lost = maps.replace("a", &PostParams::default(), &read).await.expect_err("the second loses");
    assert_eq!(status(lost), (409, "Conflict".into()));
    let before = api.resource_version();
    let now = maps.get("a").await.expect("there");
    maps.replace("a", &PostParams::default(), &now).await.expect("nothing to do");
    assert_eq!(api.resource_version(), before, "a write that changes nothing moves nothing");
}

#[tokio::test]
async fn a_deletion_waits_for_finalizers_and_minds_its_preconditions() {
    let api = api();
    let maps = filled(&api).await;
    maps.patch("a", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"finalizers": ["x.io/y"]}}))).await.expect("patched");
    let wrong = DeleteParams {
        preconditions: Some(Preconditions { uid: Some("other".into()), resource_version: None }),
        ..DeleteParams::default()
    };
    assert_eq!(status(maps.delete("a", &wrong).await.expect_err("another uid")), (409, "Conflict".into()));
    assert!(maps.delete("a", &DeleteParams::default()).await.expect("begun").is_left());
    assert!(maps.get("a").await.expect("still there").metadata.deletion_timestamp.is_some());
    maps.patch("a", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"finalizers": null}}))).await.expect("let go");
    assert!(maps.get_opt("a").await.expect("an answer").is_none());
}

#[tokio::test]
async fn what_has_lost_its_owners_is_collected() {
    let api = api();
    let maps = filled(&api).await;
    let owner = maps.get("a").await.expect("there");
    let reference = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": owner.uid(), "blockOwnerDeletion": true});
    for name in ["b", "c"] {
        maps.patch(name, &PatchParams::default(), &Patch::Merge(json!({"metadata": {"ownerReferences": [reference]}})))
            .await
            .expect("patched");
    }
    maps.delete("a", &DeleteParams::foreground()).await.expect("deleted");
    assert!(api.list(&configmaps()).is_empty());
}

#[tokio::test]
async fn what_keeps_one_owner_stays_and_forgets_the_other() {
    let api = api();
    let maps = filled(&api).await;
    let mut references = Vec::new();
    for name in ["a", "b"] {
        let owner = maps.get(name).await.expect("there");
        references.push(json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": owner.uid()}));
    }
    maps.patch("c", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"ownerReferences": references}}))).await.expect("patched");
    maps.delete("a", &DeleteParams::default()).await.expect("deleted");
    let kept = maps.get("c").await.expect("still there");
    assert_eq!(kept.owner_references().iter().map(|owner| owner.name.as_str()).collect::<Vec<_>>(), ["b"]);
}

#[tokio::test]
async fn an_orphan_stays_and_forgets_its_owner() {
    let api = api();
    let maps = filled(&api).await;
    let owner = maps.get("a").await.expect("there");
    let reference = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": owner.uid()});
    maps.patch("b", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"ownerReferences": [reference]}}))).await.expect("patched");
    maps.delete("a", &DeleteParams::orphan()).await.expect("deleted");
    assert!(maps.get_opt("a").await.expect("an answer").is_none());
    assert!(maps.get("b").await.expect("still there").owner_references().is_empty());
}

#[tokio::test]
async fn a_namespace_takes_its_content_along() {
    let api = api();
    let namespaces: Api<Namespace> = Api::all(client(&api));
    api.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})).expect("made");
    api.create(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "n", "finalizers": ["x.io/y"]}}))
        .expect("made");
    namespaces.delete("n", &DeleteParams::default()).await.expect("begun");
    let secrets: Api<Secret> = Api::namespaced(client(&api), "n");
    let phase = namespaces.get("n").await.expect("still there").status.and_then(|status| status.phase);
    assert_eq!(phase.as_deref(), Some("Terminating"));
    let refused = secrets.create(&PostParams::default(), &Secret::default()).await.expect_err("nothing new");
    assert_eq!(status(refused).0, 403);
    secrets.patch("s", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"finalizers": null}}))).await.expect("let go");
    assert!(namespaces.get_opt("n").await.expect("an answer").is_none());
}

#[tokio::test]
async fn a_test_steers_the_rollout() {
    let api = api();
    let pod = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    api.create(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "default"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"a": "b"}}, "template": pod}}))
        .expect("made");
    let deployments: Api<Deployment> = Api::default_namespaced(client(&api));
    deployments.restart("d").await.expect("restarted");
    api.set_rollout("deployments", "default", "d", Progress::Updated(1));
    let half = deployments.get("d").await.expect("there");
    assert_eq!(half.metadata.generation, Some(2));
    assert_eq!(half.status.as_ref().and_then(|status| status.updated_replicas), Some(1));
    api.set_rollout("deployments", "default", "d", Progress::Complete);
    let done = deployments.get("d").await.expect("there").status.expect("a status");
    assert_eq!((done.observed_generation, done.available_replicas), (Some(2), Some(3)));
}

#[tokio::test]
async fn metadata_can_be_had_alone() {
    let api = api();
    filled(&api).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&api));
    let metadata = maps.list_metadata(&ListParams::default()).await.expect("a list");
    assert_eq!(metadata.items.len(), 3);
    assert_eq!(maps.get_metadata("a").await.expect("there").name_any(), "a");
}

#[tokio::test]
async fn the_same_seed_gives_the_same_run() {
    let run = || async {
        let api = api();
        filled(&api).await;
        (api.state_hash(), api.trace_hash())
    };
    assert_eq!(run().await, run().await);
    let other = Kubernetes::new(Settings::new(2, Arc::new(ManualClock::default())));
    filled(&other).await;
    assert_ne!(run().await.0, other.state_hash());
}

#[tokio::test]
async fn a_user_sees_what_the_roles_allow() {
    let api = api();
    api.apply_manifest(
        r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: default}
rules:
- {apiGroups: [""], resources: [configmaps], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects:
- {kind: ServiceAccount, name: operator, namespace: default}
"#,
    )
    .expect("made");
    let user = User::named("system:serviceaccount:default:operator");
    let maps: Api<ConfigMap> = Api::default_namespaced(Client::new(api.service(user), "default"));
    maps.list(&ListParams::default()).await.expect("allowed");
    let refused = maps.create(&PostParams::default(), &map("a", "1")).await.expect_err("not allowed");
    assert_eq!(status(refused), (403, "Forbidden".into()));
    let last = api.log().pop().expect("a request");
    assert_eq!((last.status, last.user.as_str(), last.wrote), (403, "system:serviceaccount:default:operator", false));
}

#[tokio::test]
async fn a_manifest_with_a_bad_field_is_refused() {
    let refused = api().apply_manifest("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nspec: {}\n").expect_err("no such field");
    assert_eq!((refused.code, refused.reason.as_str()), (400, "BadRequest"));
    tokio::time::sleep(Duration::ZERO).await;
}
