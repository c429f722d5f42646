//! Runs every `sh` block of README.md and docs/, each page in a world of its own, and compares the output with the `text` block that follows. It
//! must not skip a block: what cannot be run is no `sh` block.
//!
//! The README's tour is of the built demo, and runs against it. Each other page gets a control plane of its own, because pages use
//! the same names. The operator runs with the account and the rights of the chart and no others.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e_support::account::{self, Install};
use e2e_support::api::Api;
use e2e_support::control_plane::ControlPlane;
use e2e_support::demo::Demo;
use e2e_support::harness::{Harness, PATIENCE};
use e2e_support::kubectl::Kubectl;
use e2e_support::operator::{Logging, Operator, Setup, Timing};
use e2e_support::process::tail;
use e2e_support::reaper::Reaper;
use e2e_support::runner::Scenario;
use e2e_support::simulator::{OPERATOR_CLIENT, OPERATOR_SECRET, Simulator, quick_settings};
use e2e_support::wait::until;
use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::troubles;

/// How many pages run at once: each has an API server of its own.
static AT_ONCE: Semaphore = Semaphore::const_new(2);
/// How long a page may take once it has begun.
const LIMIT: Duration = Duration::from_secs(240);
/// Where the operator's credentials are in the pages and in `examples/`.
const OPERATOR_NAMESPACE: &str = "genesys-oauth-operator";
/// The page whose reader has the demo running.
const TOUR: &str = "README.md";
/// The one page that begins with an empty cluster.
const TUTORIAL: &str = "docs/tutorial.md";
/// The page whose reader has allowed the operator to restart workloads.
const RESTARTS: &str = "docs/how-to/restart-workloads.md";
/// Pages that only look: one world serves them all, in which what many of them are for has happened.
const RUNBOOKS: &str = "docs/runbooks/";
/// Stands before the output of each block.
const MARK: &str = "\u{1}block ";

/// A block that is run, and what is expected of its output.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    line: usize,
    script: String,
    expected: Vec<String>,
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let counted = {
        let root = root.clone();
        Scenario::new("docs/the pages hold commands, and all of them are run", move |_| async move { count(&root) })
    };
    let mut pages: Vec<String> =
        pages(&root).into_iter().map(|page| if page.starts_with(RUNBOOKS) { RUNBOOKS.to_owned() } else { page }).collect();
    pages.dedup();
    pages.retain(|page| text(&root, page).is_ok_and(|text| !blocks(&text).is_empty()));
    let run = pages.into_iter().map(|page| Scenario::new(format!("docs/the commands of {page}"), move |harness| run(harness, page)));
    // A page may wait for its turn, which is not its fault.
    std::iter::once(counted).chain(run.map(|scenario| scenario.within(LIMIT * 6))).collect()
}

fn count(root: &Path) -> Result<()> {
    let texts: Vec<_> = pages(root).iter().map(|page| fs::read_to_string(root.join(page))).collect::<Result<_, _>>()?;
    let per_page: Vec<usize> = texts.iter().map(|text| blocks(text).len()).collect();
    let (with, all) = (per_page.iter().filter(|count| **count > 0).count(), per_page.iter().sum::<usize>());
    let opened: usize = texts.iter().map(|text| text.lines().filter(|line| *line == "```sh").count()).sum();
    ensure!(opened == all, "{opened} sh blocks are opened and {all} are run");
    ensure!(with >= 8 && all >= 20, "only {all} blocks on {with} pages would be run");
    // A comparison that finds everything alike would show nothing.
    let alike = [("a … d", "a b c d"), ("deleted…", "deleted"), ("acme True <age>", "acme True 5s"), ("x: …", "x: 1")];
    let unlike = [("a … d", "a b c"), ("deleted", "deleted it"), ("acme True <age>", "acme True"), ("acme True <age>", "acme False 5s")];
    ensure!(alike.iter().all(|(pattern, line)| like(pattern, line)), "the comparison misses what is alike");
    ensure!(!unlike.iter().any(|(pattern, line)| like(pattern, line)), "the comparison takes everything for alike");
    Ok(())
}

/// The text of a page, or of all pages of a folder.
fn text(root: &Path, page: &str) -> Result<String> {
    if !page.ends_with('/') {
        return fs::read_to_string(root.join(page)).with_context(|| format!("reading {page}"));
    }
    let in_folder = pages(root).into_iter().filter(|name| name.starts_with(page));
    in_folder.map(|name| fs::read_to_string(root.join(&name)).with_context(|| format!("reading {name}"))).collect()
}

/// README.md and the pages below docs/.
fn pages(root: &Path) -> Vec<String> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    let mut found = vec![root.join("README.md")];
    collect(&root.join("docs"), &mut found);
    let mut names: Vec<String> =
        found.iter().filter_map(|path| path.strip_prefix(root).ok()).map(|path| path.display().to_string()).collect();
    names.sort();
    names
}

/// The fenced blocks of a page: language, number of the first line, text.
fn fences(text: &str) -> Vec<(String, usize, String)> {
    let (mut all, mut open): (Vec<_>, Option<(String, usize, String)>) = (vec![], None);
    for (index, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(language), None) => open = Some((language.to_owned(), index + 2, String::new())),
            (Some(_), Some(block)) => all.push(block),
            (None, Some((language, first, mut body))) => {
                body.push_str(line);
                body.push('\n');
                open = Some((language, first, body));
            }
            (None, None) => {}
        }
    }
    all
}

/// What of a page is run: the `sh` blocks, each with the `text` block that comes next, if one does.
fn blocks(text: &str) -> Vec<Block> {
    let fences = fences(text);
    let next = |index: usize| fences.get(index + 1).filter(|(language, ..)| language == "text").map_or("", |(_, _, body)| body);
    let shell = fences.iter().enumerate().filter(|(_, (language, ..))| language == "sh");
    shell
        .map(|(index, (_, line, script))| Block {
            line: *line,
            script: script.clone(),
            expected: next(index).lines().filter(|line| line.trim() != "…" && !line.trim().is_empty()).map(str::to_owned).collect(),
        })
        .collect()
}

async fn run(harness: Arc<Harness>, page: String) -> Result<()> {
    let _turn = AT_ONCE.acquire().await?;
    let folder = harness.folder().join("pages").join(page.replace('/', "-"));
    fs::create_dir_all(&folder)?;
    let reaper = Arc::new(Reaper::start(&harness.environment.path("tests/control-plane/down.sh"))?);
    let in_world = async {
        match page.as_str() {
            TOUR => in_demo(&harness, &folder, &reaper).await,
            page => in_world(&harness, page, &folder, &reaper).await,
        }
    };
    let result = match tokio::time::timeout(LIMIT, in_world).await {
        Ok(result) => result,
        Err(_) => Err(anyhow::anyhow!("not finished within {} s", LIMIT.as_secs())),
    };
    tokio::task::spawn_blocking(move || reaper.finish()).await?;
    let log = fs::read_to_string(folder.join("operator.log")).unwrap_or_default();
    result.with_context(|| format!("{page}; operator:\n{}", tail(&log, 8)))
}

/// Starts the demo as the README says, and runs its tour. Nothing of this process tells the tour how to reach it.
async fn in_demo(harness: &Harness, folder: &Path, reaper: &Arc<Reaper>) -> Result<()> {
    let work = work(harness, folder)?;
    let kubectl = &harness.plane.kubectl;
    let demo = Demo::start(&harness.environment, kubectl, &work, &[], reaper).await?;
    let text = fs::read_to_string(harness.environment.path(TOUR))?;
    let wanted = blocks(&text);
    let output = shell(harness, kubectl, &[], folder, reaper, &wanted).await?;
    judge(TOUR, &wanted, &output).with_context(|| format!("the demo:\n{}", tail(&demo.printed(), 20)))
}

/// Starts what a reader of the page has, and runs the page.
async fn in_world(harness: &Harness, page: &str, folder: &Path, reaper: &Arc<Reaper>) -> Result<()> {
    let environment = &harness.environment;
    let programs = harness.plane.kubectl.parent().context("kubectl lies in a folder")?;
    let plane = ControlPlane::start(environment, programs, &folder.join("control-plane"), reaper).await?;
    let kubectl = Kubectl::new(&plane.kubectl, &plane.kubeconfig, &folder.join("kubectl-cache"), reaper);
    let crds = environment.path("crds").display().to_string();
    let lenient = if harness.keeps_rules { "--validate=true" } else { "--validate=false" };
    kubectl.ok(&["apply", lenient, "-f", &crds]).await?;
    for kind in ["genesysoauthclients", "genesysorganizations", "genesysrotationpolicies"] {
        kubectl.wait(&format!("crd/{kind}.oauth.genesys-operator.io"), "Established", "30s").await?;
    }
    let simulator = Simulator::start(environment, folder, &quick_settings(), &harness.http, reaper).await?;
    let setup = Setup {
        operator_namespace: OPERATOR_NAMESPACE.to_owned(),
        namespace: None,
        organizations: None,
        endpoints: vec![format!("eu-central-1={0},{0}", simulator.url())],
        timing: Timing::QUICK,
        rollout_targets: if page == RESTARTS { "allowed" } else { "forbidden" },
        log: Logging::USUAL,
        pod: "operator".to_owned(),
        lease: None,
    };
    let started = async {
        let kubeconfig = limited(harness, &plane, folder).await?;
        Operator::start(environment, &setup, &kubeconfig, &folder.join("operator.log"), reaper).await
    };
    let wanted = blocks(&text(&environment.path("."), page)?);
    work(harness, folder)?;
    let variables = [
        ("KUBECONFIG", plane.kubeconfig.display().to_string()),
        ("SIMULATOR", simulator.url().to_owned()),
        ("GENESYS_CLIENT_ID", OPERATOR_CLIENT.to_owned()),
        ("GENESYS_CLIENT_SECRET", OPERATOR_SECRET.to_owned()),
    ];
    let told = shell(harness, &plane.kubectl, &variables, folder, reaper, &wanted);
    let (_operator, output) = if page == TUTORIAL {
        // The reader makes the operator's namespace, and then starts it.
        tokio::try_join!(started, told)?
    } else {
        kubectl.ok(&["create", "namespace", OPERATOR_NAMESPACE]).await?;
        let operator = started.await?;
        examples(harness, &kubectl).await.context("applying the examples")?;
        if page == RUNBOOKS {
            troubles::plant(&kubectl, &simulator).await.context("making troubles")?;
        }
        (operator, told.await?)
    };
    judge(page, &wanted, &output)?;
    let refused = plane.audit.read()?.refused;
    ensure!(refused.is_empty(), "the operator asked for what the chart does not grant: {refused:#?}");
    Ok(())
}

/// A kubeconfig of the account that the chart makes, with its rights and no others, when its namespace is there.
async fn limited(harness: &Harness, plane: &ControlPlane, folder: &Path) -> Result<PathBuf> {
    let api = Api::new(plane)?;
    let namespace = format!("/api/v1/namespaces/{OPERATOR_NAMESPACE}");
    until("the operator's namespace", PATIENCE, || async { Ok(api.get(&namespace).await?.ok_or("there is none")) }).await?;
    // A page that needs more gives it.
    let install = Install { release: OPERATOR_NAMESPACE, namespace: OPERATOR_NAMESPACE, watch: None, rollout_targets: "forbidden" };
    let token = account::token(&harness.environment, &harness.helm, &api, install).await?;
    let file = folder.join("kubeconfig-operator");
    account::write_kubeconfig(&file, &plane.server, Some(&plane.authority), &token)?;
    Ok(file)
}

/// What examples/organization.yaml tells people to do, and then the manifests.
async fn examples(harness: &Harness, kubectl: &Kubectl) -> Result<()> {
    let namespace = format!("--namespace={OPERATOR_NAMESPACE}");
    let id = format!("--from-literal=clientId={OPERATOR_CLIENT}");
    let create = ["create", "secret", "generic", "genesys-acme", &namespace, &id, "--from-file=clientSecret=/dev/stdin"];
    kubectl.feed(&create, Some(OPERATOR_SECRET)).await?.success()?;
    kubectl.ok(&["apply", "-f", &harness.environment.path("examples").display().to_string()]).await?;
    kubectl.wait("gorg/acme", "Ready", "60s").await?;
    let wait = ["wait", "goc", "--all", "--namespace=contact-center", "--for=condition=Ready", "--timeout=60s"];
    kubectl.ok(&wait).await.map(drop)
}

/// A line as it is run: `make` is what CI itself runs, so only its targets are looked for; a server without CEL needs `--validate=false`.
fn runnable(line: &str, keeps_rules: bool) -> String {
    if let Some(targets) = line.strip_prefix("make ") {
        let checks = targets.split_whitespace().map(|target| format!("grep --quiet '^{target}:' Makefile"));
        return checks.collect::<Vec<_>>().join(" && ");
    }
    match line {
        "kubectl apply -f crds/" if !keeps_rules => "kubectl apply --validate=false -f crds/".to_owned(),
        other => other.to_owned(),
    }
}

fn symlink(target: &Path, name: &Path) -> Result<()> {
    std::os::unix::fs::symlink(target, name).with_context(|| format!("linking {}", name.display()))
}

/// Makes a folder that looks like the repository, where a page is read.
fn work(harness: &Harness, folder: &Path) -> Result<PathBuf> {
    let work = folder.join("work");
    fs::create_dir_all(&work)?;
    for name in ["examples", "crds", "Makefile"] {
        symlink(&harness.environment.path(name), &work.join(name))?;
    }
    Ok(work)
}

/// Runs the blocks in one shell, in the page's folder, and returns what was printed.
async fn shell(
    harness: &Harness,
    kubectl: &Path,
    variables: &[(&str, String)],
    folder: &Path,
    reaper: &Reaper,
    blocks: &[Block],
) -> Result<String> {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin)?;
    for (target, name) in [(kubectl, "kubectl"), (&harness.environment.operator, "genesys-oauth-operator")] {
        symlink(target, &bin.join(name))?;
    }
    let mut script = "exec 2>&1\n".to_owned();
    for (number, block) in blocks.iter().enumerate() {
        let lines: Vec<String> = block.script.lines().map(|line| runnable(line, harness.keeps_rules)).collect();
        // Writing to a String cannot fail.
        let _ = write!(script, "printf '\\n\\001block {number}\\n'\n{}\n", lines.join("\n"));
    }
    let file = folder.join("page.sh");
    fs::write(&file, script)?;
    let mut command = Command::new("bash");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().to_ascii_lowercase().ends_with("_proxy")) {
        command.env_remove(name);
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let child = command
        .args(["-euo", "pipefail"])
        .arg(&file)
        .current_dir(folder.join("work"))
        .env("PATH", format!("{}:{path}", bin.display()))
        .env_remove("KUBECONFIG")
        .env("KUBECACHEDIR", folder.join("kubectl-cache"))
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .context("starting bash")?;
    let _registered = child.id().map(|pid| reaper.guard(pid));
    let output = child.wait_with_output().await?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    fs::write(folder.join("page.out"), &printed)?;
    if !output.status.success() {
        let last = printed.matches(MARK).count();
        let begun_at = blocks.get(last.saturating_sub(1)).map_or(0, |block| block.line);
        anyhow::bail!("the block at line {begun_at} ended with {}:\n{}", output.status, tail(&printed, 12));
    }
    Ok(printed)
}

/// Every block ran, and each line that a page shows was printed.
fn judge(page: &str, blocks: &[Block], output: &str) -> Result<()> {
    let parts: Vec<&str> = output.split(MARK).skip(1).collect();
    ensure!(parts.len() == blocks.len() && !blocks.is_empty(), "{} of {} blocks were run", parts.len(), blocks.len());
    ensure!(!output.contains(OPERATOR_SECRET), "{page} prints a secret");
    for (block, printed) in blocks.iter().zip(parts) {
        let printed: Vec<String> = printed.lines().skip(1).map(normal).collect();
        for expected in &block.expected {
            let found = printed.iter().any(|line| like(&normal(expected), line));
            ensure!(found, "{page}:{}: no line like {expected:?} in:\n{}", block.line, printed.join("\n"));
        }
    }
    Ok(())
}

/// A line with single spaces.
fn normal(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a line is as the docs show it: `…` stands for anything, `<age>` for one word.
fn like(pattern: &str, line: &str) -> bool {
    let Some(first) = pattern.chars().next() else { return line.is_empty() };
    if let Some(rest) = pattern.strip_prefix("<age>") {
        let word = line.find(' ').unwrap_or(line.len());
        return word > 0 && like(rest, &line[word..]);
    }
    if first == '…' {
        let rest = &pattern[first.len_utf8()..];
        return line.char_indices().map(|(index, _)| index).chain([line.len()]).any(|index| like(rest, &line[index..]));
    }
    line.strip_prefix(first).is_some_and(|line| like(&pattern[first.len_utf8()..], line))
}
