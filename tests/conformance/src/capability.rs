//! Finds out by asking what the server at hand can do; it must not conclude anything from a version number.

use std::future::IntoFuture as _;

use anyhow::Result;
use serde_json::{Value, json};

use crate::fixtures::{DEFINITIONS, definition, install, open_schema, rule_schema};
use crate::kubectl::Kubectl;
use crate::server::Server;

/// Something that not every server, or not every machine, can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Need {
    /// The server keeps and runs CEL rules of definitions.
    Cel,
    /// The server keeps `selectableFields` of definitions.
    SelectableFields,
    /// The server publishes `/openapi/v3`.
    OpenApiV3,
    /// The server publishes all of discovery in one document.
    AggregatedDiscovery,
    /// The server sends a list as the beginning of a watch.
    StreamingLists,
    /// The server refuses unknown fields when asked to.
    FieldValidation,
    /// The server tells watches from its first resourceVersions that it forgot.
    Forgetting,
    /// The server has compacted its first resourceVersions away.
    Compaction,
    /// kubectl is on this machine.
    Kubectl,
}

impl Need {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Cel,
        Self::SelectableFields,
        Self::OpenApiV3,
        Self::AggregatedDiscovery,
        Self::StreamingLists,
        Self::FieldValidation,
        Self::Forgetting,
        Self::Compaction,
        Self::Kubectl,
    ];

    /// Asks the server; `Some(reason)` where it cannot. The kinds of the run are installed already.
    pub async fn missing(self, server: &Server, group: &str, kubectl: &Kubectl) -> Result<Option<String>> {
        match self {
            Self::Cel => cel(server, group).await,
            Self::SelectableFields => selectable_fields(server, group).await,
            Self::OpenApiV3 => document(server, "/openapi/v3").await,
            Self::AggregatedDiscovery => aggregated_discovery(server).await,
            Self::StreamingLists => streaming_lists(server, group).await,
            Self::FieldValidation => field_validation(server, group).await,
            Self::Forgetting => forgetting(server, group).await,
            Self::Compaction => compaction(server).await,
            Self::Kubectl => Ok(kubectl.run(&["version", "--client"]).await.err().map(|error| format!("kubectl does not start: {error}"))),
        }
    }
}

fn unless(can: bool, reason: &str) -> Option<String> {
    (!can).then(|| reason.to_owned())
}

async fn cel(server: &Server, group: &str) -> Result<Option<String>> {
    let rules = definition(group, "rules", "Rule", "Namespaced", &json!({"schema": rule_schema(), "subresources": {"status": {}}}));
    install(server, &rules).await?;
    let kept = server.get(&format!("{DEFINITIONS}/rules.{group}")).await?.ok()?;
    let rules = kept.at("/spec/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-validations");
    Ok(unless(rules.is_array(), "a definition's x-kubernetes-validations are gone when it is read back"))
}

async fn selectable_fields(server: &Server, group: &str) -> Result<Option<String>> {
    let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "color": {"type": "string"}, "size": {"type": "integer"}, "plain": {"type": "string"},
    }}}}});
    let version = json!({"schema": schema, "selectableFields": [{"jsonPath": ".spec.color"}, {"jsonPath": ".spec.size"}]});
    install(server, &definition(group, "selectables", "Selectable", "Namespaced", &version)).await?;
    let kept = server.get(&format!("{DEFINITIONS}/selectables.{group}")).await?.ok()?;
    let fields = kept.at("/spec/versions/0/selectableFields");
    Ok(unless(fields.is_array(), "a definition's selectableFields are gone when it is read back"))
}

async fn document(server: &Server, path: &str) -> Result<Option<String>> {
    let answer = server.get(path).await?;
    Ok(unless(answer.status == 200, &format!("GET {path} answers {}", answer.status)))
}

async fn aggregated_discovery(server: &Server) -> Result<Option<String>> {
    let kind = "application/json;v=v2;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList";
    let answer = server.get("/apis").accept(&format!("{kind},application/json")).await?;
    Ok(unless(
        answer.body["kind"] == "APIGroupDiscoveryList",
        &format!("GET /apis answers {} when asked for APIGroupDiscoveryList", answer.body["kind"]),
    ))
}

async fn streaming_lists(server: &Server, group: &str) -> Result<Option<String>> {
    let call = server
        .get(&format!("/apis/{group}/v1/widgets"))
        .query("sendInitialEvents", "true")
        .query("resourceVersionMatch", "NotOlderThan")
        .query("allowWatchBookmarks", "true")
        .query("timeoutSeconds", "2");
    let watch = call.watch().await?;
    if watch.status() != 200 {
        return Ok(Some(format!("a watch with sendInitialEvents answers {}", watch.status())));
    }
    let ends = |object: &Value| object["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true";
    let ended = watch.rest().await?.iter().any(|event| event.kind == "BOOKMARK" && ends(&event.object));
    Ok(unless(ended, "a watch with sendInitialEvents says no end of the initial events"))
}

async fn field_validation(server: &Server, group: &str) -> Result<Option<String>> {
    let schema = json!({"schema": open_schema()});
    let mut body = definition(&format!("strict.{group}"), "things", "Thing", "Namespaced", &schema);
    body["spec"]["unheardOf"] = true.into();
    let answer = server.post(DEFINITIONS, &body).query("fieldValidation", "Strict").dry().await?;
    Ok(unless(answer.status == 400, &format!("an unknown field under fieldValidation=Strict answers {}", answer.status)))
}

/// Writes until a watch of widgets from the first resourceVersion is told 410, or gives up.
async fn forgetting(server: &Server, group: &str) -> Result<Option<String>> {
    const ROUNDS: usize = 60;
    const WRITES: usize = 200;
    let widgets = format!("/apis/{group}/v1/namespaces/default/widgets");
    let path = format!("{widgets}/history");
    let forgotten = || async {
        let watch = server.get(&widgets).query("resourceVersion", "1").query("timeoutSeconds", "1").watch().await?;
        let events = watch.rest().await?;
        Ok::<_, anyhow::Error>(events.first().is_some_and(|event| event.object["code"] == 410))
    };
    if forgotten().await? {
        return Ok(None);
    }
    let body = json!({"apiVersion": format!("{group}/v1"), "kind": "Widget", "metadata": {"name": "history"}, "spec": {"size": 1}});
    server.post(&widgets, &body).await?;
    let mut rounds = 0;
    while rounds < ROUNDS {
        let write = |step: usize| {
            server.merge(&path, &json!({"spec": {"options": {format!("slot{}", step % 10): format!("{rounds}-{step}")}}})).into_future()
        };
        futures::future::try_join_all((0..WRITES).map(write)).await?;
        rounds += 1;
        if rounds % 10 == 0 && forgotten().await? {
            break;
        }
    }
    let done = forgotten().await?;
    server.delete(&path).await?;
    Ok(unless(done, &format!("a watch from resourceVersion 1 is served even after {} more writes", rounds * WRITES)))
}

async fn compaction(server: &Server) -> Result<Option<String>> {
    let list = server.get("/api/v1/namespaces").query("resourceVersion", "1").query("resourceVersionMatch", "Exact").await?;
    Ok(unless(list.status == 410, &format!("a list at exactly resourceVersion 1 answers {}", list.status)))
}
