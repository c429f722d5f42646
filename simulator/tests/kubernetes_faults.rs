//! Planted faults of the in-memory Kubernetes API: what a client sees, and what happened all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use genesys_cloud_simulator::ManualClock;
use genesys_cloud_simulator::kubernetes::{Fault, FaultKind, GroupResource, Kubernetes, Settings, User, Verb};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

fn api() -> Kubernetes {
    Kubernetes::new(Settings::new(1, Arc::new(ManualClock::default())))
}

fn maps(api: &Kubernetes) -> Api<ConfigMap> {
    Api::default_namespaced(Client::new(api.service(User::named("admin")), "default"))
}

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"k": "0"}})).expect("a config map")
}

fn stored(api: &Kubernetes, name: &str) -> Option<serde_json::Value> {
    api.get(&GroupResource { group: String::new(), resource: "configmaps".into() }, "default", name)
}

fn value(map: &ConfigMap) -> &str {
    map.data.as_ref().and_then(|data| data.get("k")).map_or("", String::as_str)
}

async fn set(maps: &Api<ConfigMap>, name: &str, value: &str) {
    maps.patch(name, &PatchParams::default(), &Patch::Merge(json!({"data": {"k": value}}))).await.expect("patched");
}

/// The values that a watch tells within a second, as `type:value`.
async fn told(maps: &Api<ConfigMap>, version: u64, during: Duration) -> Vec<String> {
    let stream = maps.watch(&WatchParams::default().timeout(200).disable_bookmarks(), &version.to_string()).await.expect("a watch");
    let mut stream = stream.boxed();
    let mut told = Vec::new();
    while let Ok(Ok(Some(event))) = tokio::time::timeout(during, stream.try_next()).await {
        let (kind, map) = match event {
            WatchEvent::Added(map) => ("A", map),
            WatchEvent::Modified(map) => ("M", map),
            WatchEvent::Deleted(map) => ("D", map),
            other => panic!("{other:?}"),
        };
        told.push(format!("{kind}:{}", value(&map)));
    }
    told
}

#[tokio::test]
async fn refusals_hit_once_and_write_nothing() {
    let api = api();
    let maps = maps(&api);
    for (kind, code) in [
        (FaultKind::Conflict, 409),
        (FaultKind::TooManyRequests { retry_after: 3 }, 429),
        (FaultKind::Status(500), 500),
        (FaultKind::Status(504), 504),
    ] {
        api.plant(Fault::new(kind).verb(Verb::Create).resource("", "configmaps"));
        match maps.create(&PostParams::default(), &map("a")).await.expect_err("refused") {
            kube::Error::Api(status) => assert_eq!(status.code, code),
            other => panic!("{other}"),
        }
        assert_eq!(stored(&api, "a"), None);
        assert!(api.faults().is_empty(), "it is spent");
    }
    maps.create(&PostParams::default(), &map("a")).await.expect("the faults are over");
}

#[tokio::test]
async fn a_lost_response_was_carried_out_and_a_refused_connection_was_not() {
    let api = api();
    let maps = maps(&api);
    api.plant(Fault::new(FaultKind::LostResponse).verb(Verb::Create));
    maps.create(&PostParams::default(), &map("a")).await.expect_err("no answer");
    assert!(stored(&api, "a").is_some());
    api.plant(Fault::new(FaultKind::RefuseConnection).verb(Verb::Create));
    maps.create(&PostParams::default(), &map("b")).await.expect_err("no answer");
    assert!(stored(&api, "b").is_none());
    let log = api.log();
    assert_eq!(log.iter().map(|request| (request.status, request.wrote)).collect::<Vec<_>>(), [(201, true), (0, false)]);
}

#[tokio::test(start_paused = true)]
async fn a_hang_never_answers_and_a_crash_is_told() {
    let api = api();
    let maps = maps(&api);
    api.plant(Fault::new(FaultKind::Hang).verb(Verb::Get));
    assert!(tokio::time::timeout(Duration::from_secs(60), maps.get("a")).await.is_err());
    let crashes = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&crashes);
    let crash = FaultKind::Crash(Arc::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
    }));
    api.plant(Fault::new(crash).verb(Verb::Create).after(1));
    maps.create(&PostParams::default(), &map("a")).await.expect("the first passes");
    assert!(tokio::time::timeout(Duration::from_secs(60), maps.create(&PostParams::default(), &map("b"))).await.is_err());
    assert_eq!(crashes.load(Ordering::SeqCst), 1);
    assert!(stored(&api, "b").is_some(), "the crash comes after the request");
}

#[tokio::test(start_paused = true)]
async fn watch_events_get_lost_come_twice_late_or_together() {
    let cases: [(FaultKind, &[&str]); 4] = [
        (FaultKind::DropEvent, &["M:2", "M:3"]),
        (FaultKind::RepeatEvent, &["M:1", "M:1", "M:2", "M:3"]),
        (FaultKind::DelayEvent(Duration::from_secs(5)), &["M:1", "M:2", "M:3"]),
        (FaultKind::CoalesceEvents(Duration::from_secs(5)), &["M:3"]),
    ];
    for (kind, expected) in cases {
        let api = api();
        let maps = maps(&api);
        maps.create(&PostParams::default(), &map("a")).await.expect("made");
        let version = api.resource_version();
        for value in ["1", "2", "3"] {
            set(&maps, "a", value).await;
        }
        api.plant(Fault::new(kind.clone()).verb(Verb::Watch).name("a"));
        assert_eq!(told(&maps, version, Duration::from_secs(10)).await, expected, "{kind:?}");
    }
}

#[tokio::test]
async fn a_fault_finds_an_object_by_name_before_it_is_made() {
    let api = api();
    let maps = maps(&api);
    api.plant(Fault::new(FaultKind::Conflict).verb(Verb::Create).name("b"));
    maps.create(&PostParams::default(), &map("a")).await.expect("another name");
    maps.create(&PostParams::default(), &map("b")).await.expect_err("its name");
    maps.create(&PostParams::default(), &map("b")).await.expect("the fault is over");
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_all_namespaces_minds_faults_of_one() {
    let api = api();
    let everywhere: Api<ConfigMap> = Api::all(Client::new(api.service(User::named("admin")), "default"));
    let version = api.resource_version();
    api.plant(Fault::new(FaultKind::DropEvent).verb(Verb::Watch).namespace("default"));
    for namespace in ["kube-system", "default"] {
        let made =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": namespace}, "data": {"k": namespace}});
        api.create(made).expect("made");
    }
    assert_eq!(told(&everywhere, version, Duration::from_secs(10)).await, ["A:kube-system"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_joins_all_its_events_tells_them_in_the_end() {
    let api = api();
    let maps = maps(&api);
    maps.create(&PostParams::default(), &map("a")).await.expect("made");
    let version = api.resource_version();
    for value in ["1", "2", "3"] {
        set(&maps, "a", value).await;
    }
    api.plant(Fault::new(FaultKind::CoalesceEvents(Duration::from_secs(5))).verb(Verb::Watch).times(0));
    assert_eq!(told(&maps, version, Duration::from_secs(20)).await, ["M:3"]);
}

#[tokio::test(start_paused = true)]
async fn a_frozen_cache_thaws() {
    let api = api();
    let maps = maps(&api);
    maps.create(&PostParams::default(), &map("a")).await.expect("made");
    let version = api.resource_version();
    let frozen = api.plant(Fault::new(FaultKind::FreezeCache).resource("", "configmaps").times(0));
    set(&maps, "a", "1").await;
    assert!(told(&maps, version, Duration::from_secs(5)).await.is_empty());
    let cached = maps.list(&ListParams::default().match_any()).await.expect("an old list");
    assert_eq!(value(&cached.items[0]), "0");
    let exact = maps.list(&ListParams::default()).await.expect("a new list");
    assert_eq!(value(&exact.items[0]), "1");
    api.clear_fault(frozen);
    assert_eq!(told(&maps, version, Duration::from_secs(5)).await, ["M:1"]);
}

#[tokio::test]
async fn a_list_travels_in_time_and_a_watch_is_told_it_is_too_old() {
    let api = api();
    let maps = maps(&api);
    maps.create(&PostParams::default(), &map("a")).await.expect("made");
    let then = api.resource_version();
    set(&maps, "a", "1").await;
    api.plant(Fault::new(FaultKind::TimeTravel { resource_version: then }).verb(Verb::List));
    let old = maps.list(&ListParams::default()).await.expect("an old list");
    assert_eq!((old.metadata.resource_version, value(&old.items[0])), (Some(then.to_string()), "0"));
    api.plant(Fault::new(FaultKind::Gone410).verb(Verb::Watch));
    let mut watch = maps.watch(&WatchParams::default(), &then.to_string()).await.expect("a watch").boxed();
    assert!(matches!(watch.try_next().await.expect("no error"), Some(WatchEvent::Error(status)) if status.code == 410));
}

#[tokio::test]
async fn the_log_tells_what_came() {
    let api = api();
    let maps = maps(&api);
    let made = maps.create(&PostParams { dry_run: true, ..PostParams::default() }, &map("a")).await.expect("tried");
    assert_eq!(made.name_any(), "a");
    let request = api.log().pop().expect("a request");
    assert_eq!(
        (request.sequence, request.verb, request.resource.as_str(), request.dry_run, request.wrote),
        (1, Verb::Create, "configmaps", true, false)
    );
    api.clear_log();
    assert!(api.log().is_empty());
}
