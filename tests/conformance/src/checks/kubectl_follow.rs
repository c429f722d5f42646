//! The real kubectl waiting and watching; it must not sleep where a line of output or a written object tells that it is time.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use super::kubectl_read::kind;
use crate::capability::Need;
use crate::check::Check;
use crate::ground::Ground;
use crate::{contains, same};

/// The group's checks.
pub const CHECKS: &[Check] = crate::checks!("kubectl-follow", [Need::Kubectl];
    wait_for_a_condition,
    wait_for_a_value,
    wait_for_a_deletion,
    wait_gives_up,
    watch_prints_rows_as_they_come,
    watch_only_prints_changes,
    watch_as_json_prints_objects,
);

async fn wait_for_a_condition(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 7})).await?;
    let object = format!("{}/w", kind(g));
    let waiting = ["wait", &object, "--for=condition=Ready", "--timeout=20s"];
    let change = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    let path = g.status_at("w");
    let (waited, written) = tokio::join!(g.kubectl.ok(&waiting), async { g.server.merge(&path, &change).await?.ok() });
    written?;
    same!(waited?.trim(), format!("widget.{}/w condition met", g.group));
    Ok(())
}

async fn wait_for_a_value(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 7})).await?;
    g.server.merge(&g.status_at("w"), &json!({"status": {"phase": "Ready"}})).await?.ok()?;
    let printed = g.kubectl.ok(&["wait", &format!("{}/w", kind(g)), "--for=jsonpath={.status.phase}=Ready", "--timeout=20s"]).await?;
    contains!(printed, "condition met");
    Ok(())
}

async fn wait_for_a_deletion(g: &Ground) -> Result<()> {
    let mut body = g.widget("w", &json!({"size": 1}));
    body["metadata"]["finalizers"] = json!(["example.com/f"]);
    g.server.post(&g.all("widgets"), &body).await?.status(201)?;
    g.server.delete(&g.at("w")).await?.ok()?;
    let object = format!("{}/w", kind(g));
    let waiting = ["wait", &object, "--for=delete", "--timeout=20s"];
    let (change, path) = (json!({"metadata": {"finalizers": null}}), g.at("w"));
    let (waited, written) = tokio::join!(g.kubectl.run(&waiting), async { g.server.merge(&path, &change).await?.ok() });
    written?;
    let waited = waited?;
    // An object that is gone before the first look is either a success or a plain NotFound.
    ensure!(waited.code == 0 || waited.stderr.contains("not found"), "{waited:?}");
    g.absent("w").await
}

async fn wait_gives_up(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 7})).await?;
    let said = g.kubectl.run(&["wait", &format!("{}/w", kind(g)), "--for=condition=Ready", "--timeout=1s"]).await?.refusal()?;
    contains!(said, "timed out waiting for the condition");
    Ok(())
}

/// A running `kubectl get -w`, read line by line.
struct Following {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Following {
    fn start(g: &Ground, arguments: &[&str]) -> Result<Self> {
        let mut child = g.kubectl.command(arguments).stderr(Stdio::null()).spawn()?;
        let lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        Ok(Self { _child: child, lines })
    }

    async fn line(&mut self) -> Result<String> {
        match tokio::time::timeout(Duration::from_secs(20), self.lines.next_line()).await {
            Ok(line) => line?.context("kubectl ended"),
            Err(_) => bail!("no line within 20 s"),
        }
    }
}

async fn watch_prints_rows_as_they_come(g: &Ground) -> Result<()> {
    g.make("a", &json!({"size": 1})).await?;
    let mut follow = Following::start(g, &["get", &kind(g), "-w"])?;
    contains!(follow.line().await?, "NAME", "SIZE", "COLOR");
    contains!(follow.line().await?, "a ", "red");
    g.make("b", &json!({"size": 2, "color": "green"})).await?;
    contains!(follow.line().await?, "b ", "green");
    g.server.merge(&g.at("b"), &json!({"spec": {"color": "blue"}})).await?.ok()?;
    contains!(follow.line().await?, "b ", "blue");
    Ok(())
}

async fn watch_only_prints_changes(g: &Ground) -> Result<()> {
    g.make("a", &json!({"size": 1})).await?;
    let mut follow = Following::start(g, &["get", &kind(g), "--watch-only", "--no-headers", "--output-watch-events"])?;
    let (server, path) = (g.server.clone(), g.at("a"));
    // kubectl says nothing until its watch is open: changes go on until it tells of one.
    let writer = tokio::spawn(async move {
        for size in (2..90).cycle() {
            if server.merge(&path, &json!({"spec": {"size": size}})).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let line = follow.line().await;
    writer.abort();
    contains!(line?, "MODIFIED", "a ");
    Ok(())
}

async fn watch_as_json_prints_objects(g: &Ground) -> Result<()> {
    g.make("a", &json!({"size": 1})).await?;
    let mut follow = Following::start(g, &["get", &kind(g), "-w", "-o", "jsonpath={.metadata.name}={.spec.size}{\"\\n\"}"])?;
    same!(follow.line().await?, "a=1");
    g.server.merge(&g.at("a"), &json!({"spec": {"size": 2}})).await?.ok()?;
    same!(follow.line().await?, "a=2");
    Ok(())
}
