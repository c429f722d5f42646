//! Tells how it stands with each object as it changes, in the world's time; it must not change anything.

use std::collections::{HashMap, HashSet};

use futures::{Stream, StreamExt as _, stream};
use genesys_oauth_operator::api::{GenesysOAuthClient, GenesysOrganization};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Api, ResourceExt as _,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};

use crate::{print, stage::Stage, stage::condition};

/// What is known of an object.
struct News {
    /// The organization that it is, or that it is in.
    organization: String,
    name: String,
    /// Nothing: the object is gone.
    line: Option<String>,
}

/// Prints each new standing, for ever. Only organizations with these labels are told of, and their clients.
pub async fn narrate(stage: Stage, labels: &str) {
    let organizations: Api<GenesysOrganization> = stage.organizations();
    let clients: Api<GenesysOAuthClient> = Api::all(stage.client.clone());
    let of_organizations = watcher(organizations, watcher::Config::default().labels(labels)).default_backoff();
    let of_clients = watcher(clients, watcher::Config::default()).default_backoff();
    let organizations = news(of_organizations, |object: &GenesysOrganization| {
        let conditions = object.status.as_ref().map_or(&[][..], |status| &status.conditions);
        (object.name_any(), format!("organization {}", object.name_any()), standing(conditions))
    });
    let clients = news(of_clients, |object: &GenesysOAuthClient| {
        let conditions = object.status.as_ref().map_or(&[][..], |status| &status.conditions);
        let name = format!("client {}/{}", object.namespace().unwrap_or_default(), object.name_any());
        (object.spec.organization_ref.name.clone(), name, standing(conditions))
    });
    let mut all = Box::pin(stream::select(organizations, clients));
    let (mut known, mut told) = (HashSet::new(), HashMap::new());
    while let Some(News { organization, name, line }) = all.next().await {
        if name.starts_with("organization ") {
            known.insert(organization.clone());
        }
        let line = line.unwrap_or_else(|| "gone".to_owned());
        if known.contains(&organization) && told.get(&name) != Some(&line) {
            print::note(&format!("{}  {name}: {line}", stage.time()));
            told.insert(name, line);
        }
    }
}

fn news<K>(
    events: impl Stream<Item = watcher::Result<Event<K>>>,
    read: impl Fn(&K) -> (String, String, Option<String>),
) -> impl Stream<Item = News> {
    events.filter_map(move |event| {
        let news = match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => {
                let (organization, name, line) = read(&object);
                line.map(|line| News { organization, name, line: Some(line) })
            }
            Ok(Event::Delete(object)) => {
                let (organization, name, _) = read(&object);
                Some(News { organization, name, line: None })
            }
            // A watch that failed is begun again.
            Ok(Event::Init | Event::InitDone) | Err(_) => None,
        };
        std::future::ready(news)
    })
}

/// How it stands, in a word; nothing before the operator said anything.
fn standing(conditions: &[Condition]) -> Option<String> {
    let (ready, stalled) = (condition(conditions, "Ready")?, condition(conditions, "Stalled"));
    Some(match stalled.filter(|stalled| stalled.status == "True") {
        Some(stalled) => format!("Stalled, {}", stalled.reason),
        None if ready.status == "True" => "Ready".to_owned(),
        None => format!("not Ready, {}", ready.reason),
    })
}
