//! The demo as a whole: its story and its failures, and a client on the socket of a world that goes fast. No kubectl is needed;
//! that it works with kubectl is shown by the end-to-end tests.

use std::time::Duration;

use futures::StreamExt as _;
use genesys_oauth_operator::api::GenesysOAuthClient;
use kube::{
    Api, Client, Config,
    api::{ListParams, WatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};

use crate::{failures, stage::TEAM, story, tempo, tempo::Speed, world, world::World};

const FAST: &str = "1d=2s";

/// A world with its beginning in it, whose time is driven.
async fn begun(speed: &str) -> World {
    let speed: Speed = speed.parse().expect("a speed");
    tokio::spawn(tempo::drive(speed));
    let world = World::in_memory(speed).await.expect("a world");
    world::furnish(&world.stage).await.expect("the objects of examples/ are taken");
    world
}

#[tokio::test(start_paused = true)]
async fn the_story_ends_well() {
    let world = begun(FAST).await;
    story::play(&world.stage).await.expect("a story without a fault");
}

#[tokio::test(start_paused = true)]
async fn a_scene_fails_when_the_platform_is_not_as_it_should_be() {
    let world = begun(FAST).await;
    world.stage.platform.add_client(&serde_json::json!({ "name": "stranger", "authorizedGrantType": "CODE" })).expect("added");
    let error = story::play(&world.stage).await.expect_err("three clients are not two");
    assert!(format!("{error:#}").contains("3 clients are on the platform"), "{error:#}");
}

#[tokio::test(start_paused = true)]
async fn every_failure_says_what_to_do() {
    let world = begun(FAST).await;
    failures::show(&world.stage).await.expect("every case ends as it should");
}

#[tokio::test(start_paused = true)]
async fn a_client_on_the_socket_is_served_while_days_pass() {
    let world = begun("1d=1s").await;
    let before = world.stage.clock.clone();
    let kubeconfig = Kubeconfig::from_yaml(&world.kubeconfig().expect("a Kubernetes API")).expect("a kubeconfig");
    // The client has a runtime and a clock of its own, as kubectl has.
    let lived = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("a configuration");
            let clients: Api<GenesysOAuthClient> = Api::namespaced(Client::try_from(config).expect("a client"), TEAM);
            let params = WatchParams::default().timeout(2);
            let mut watch = clients.watch(&params, "0").await.expect("a watch").boxed();
            let mut events = 0;
            while watch.next().await.is_some() {
                events += 1;
                clients.list(&ListParams::default()).await.expect("a list");
            }
            events
        })
    });
    let start = genesys_cloud_simulator::Clock::now(&before);
    while !lived.is_finished() {
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
    let passed = genesys_cloud_simulator::Clock::now(&before).duration_since(start);
    assert!(lived.join().expect("no panic") >= 2, "both clients were seen");
    assert!(passed.as_hours() >= 24, "the watch of two seconds ended after {passed}");
}
