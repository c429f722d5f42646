//! Runs checks side by side, each in its own namespace, prints a line for each as it ends and counts; it must not count a
//! check that was not judged as passed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::stream::StreamExt as _;
use serde_json::json;

use crate::capability::Need;
use crate::check::Check;
use crate::fixtures::{install_all, remove_all};
use crate::ground::Ground;
use crate::kubeconfig::Kubeconfig;
use crate::kubectl::Kubectl;
use crate::server::Server;

/// How long one check may take.
const LIMIT: Duration = Duration::from_secs(120);

/// What a run is given.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the server is and who asks.
    pub kubeconfig: PathBuf,
    /// The program kubectl.
    pub kubectl: PathBuf,
    /// How many checks run at a time.
    pub jobs: usize,
}

/// How a check ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// What it says is so.
    Passed,
    /// It is not; the text says what was seen.
    Failed(String),
    /// The server lacks what it is about; the text says what.
    NotJudged(String),
}

/// How many checks ended how.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// By group: passed, failed, not judged.
    pub groups: BTreeMap<&'static str, [usize; 3]>,
}

impl Counts {
    fn add(&mut self, group: &'static str, outcome: &Outcome) {
        let column = match outcome {
            Outcome::Passed => 0,
            Outcome::Failed(_) => 1,
            Outcome::NotJudged(_) => 2,
        };
        self.groups.entry(group).or_default()[column] += 1;
    }

    /// Passed, failed, not judged.
    #[must_use]
    pub fn total(&self) -> [usize; 3] {
        self.groups.values().fold([0; 3], |sum, group| [sum[0] + group[0], sum[1] + group[1], sum[2] + group[2]])
    }
}

/// Runs `checks` against the server of `settings`; prints a line a check, and the counts.
pub async fn run(settings: &Settings, checks: &[Check]) -> Result<Counts> {
    let begun = Instant::now();
    let folder = tempfile::tempdir()?;
    let server = Server::new(&Kubeconfig::read(&settings.kubeconfig)?)?;
    let id = format!("{:06x}", rand::random_range(0..0x0100_0000));
    let suffix = format!("r{id}.conformance.example.com");
    let kubectl = Kubectl {
        program: settings.kubectl.clone(),
        kubeconfig: settings.kubeconfig.clone(),
        cache: folder.path().join("cache"),
        namespace: "default".to_owned(),
    };
    install_all(&server, &suffix).await.context("defining the kinds that the checks share")?;
    let missing = ask(checks, &server, &suffix, &kubectl).await?;
    for (need, reason) in &missing {
        println!("not at hand: {need:?}: {reason}");
    }
    let stage = Arc::new(Stage { server: server.clone(), suffix: suffix.clone(), id, kubectl, folder: folder.path().to_owned() });
    let mut counts = Counts::default();
    let mut ends = futures::stream::iter(checks.iter().copied().enumerate())
        .map(|(number, check)| {
            let reason = check.needs.iter().find_map(|need| missing.get(need)).cloned();
            let stage = stage.clone();
            async move {
                let begun = Instant::now();
                let outcome = match reason {
                    Some(reason) => Outcome::NotJudged(reason),
                    None => tokio::spawn(async move { stage.judge(number, check).await })
                        .await
                        .unwrap_or_else(|error| Outcome::Failed(error.to_string())),
                };
                (check, outcome, begun.elapsed())
            }
        })
        .buffer_unordered(settings.jobs.max(1));
    while let Some((check, outcome, took)) = ends.next().await {
        let name = format!("{}::{}", check.group, check.name);
        match &outcome {
            Outcome::Passed => println!("ok         {name} ({} ms)", took.as_millis()),
            Outcome::Failed(why) => println!("FAIL       {name}: {why}"),
            Outcome::NotJudged(why) => println!("not judged {name}: {why}"),
        }
        counts.add(check.group, &outcome);
    }
    remove_all(&server, &suffix).await?;
    print(&counts, begun.elapsed());
    Ok(counts)
}

fn print(counts: &Counts, took: Duration) {
    println!();
    for (group, [passed, failed, open]) in &counts.groups {
        println!("{group:<24} {passed:>4} passed {failed:>4} failed {open:>4} not judged");
    }
    let [passed, failed, open] = counts.total();
    println!("\n{:.1} s", took.as_secs_f64());
    println!("{passed} passed, {failed} failed, {open} not judged");
}

/// What the server cannot do of what the checks need.
async fn ask(checks: &[Check], server: &Server, suffix: &str, kubectl: &Kubectl) -> Result<BTreeMap<Need, String>> {
    let needs: BTreeSet<Need> = checks.iter().flat_map(|check| check.needs.iter().copied()).collect();
    let mut missing = BTreeMap::new();
    for need in needs {
        let answer = need.missing(server, suffix, kubectl).await.with_context(|| format!("asking the server for {need:?}"))?;
        if let Some(reason) = answer {
            missing.insert(need, reason);
        }
    }
    Ok(missing)
}

struct Stage {
    server: Server,
    suffix: String,
    id: String,
    kubectl: Kubectl,
    folder: PathBuf,
}

impl Stage {
    async fn judge(&self, number: usize, check: Check) -> Outcome {
        match tokio::time::timeout(LIMIT, self.on_ground(number, check)).await {
            Ok(Ok(())) => Outcome::Passed,
            Ok(Err(error)) => Outcome::Failed(format!("{error:#}")),
            Err(_) => Outcome::Failed(format!("not done within {} s", LIMIT.as_secs())),
        }
    }

    async fn on_ground(&self, number: usize, check: Check) -> Result<()> {
        let namespace = format!("c{}-{number}", self.id);
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        let made = self.server.post("/api/v1/namespaces", &body).await?;
        if made.status != 201 {
            bail!("no namespace: {}", made.excerpt());
        }
        let folder = self.folder.join(&namespace);
        std::fs::create_dir_all(&folder)?;
        let ground = Ground {
            server: self.server.clone(),
            group: self.suffix.clone(),
            kubectl: Kubectl { namespace: namespace.clone(), ..self.kubectl.clone() },
            namespace: namespace.clone(),
            folder,
        };
        let outcome = (check.run)(ground).await;
        self.server.delete(&format!("/api/v1/namespaces/{namespace}")).await?;
        outcome
    }
}
