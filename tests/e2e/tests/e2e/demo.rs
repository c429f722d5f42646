//! The built demo with the real kubectl: its first answer, its script, its failures, and commands while days pass. That it goes
//! through the README's tour is shown by `docs`. No scenario looks at what the demo itself claims without looking with kubectl.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e_support::demo::{self, Demo};
use e2e_support::harness::Harness;
use e2e_support::runner::Scenario;

/// A speed at which a wait of a minute takes less than a blink.
const FAST: &str = "1d=5s";

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("demo/it answers kubectl within 10 s of its start, and shows what examples/ declare", answers),
        Scenario::new("demo/kubectl creates, follows and deletes while days pass", days),
        Scenario::new("demo/--script plays the story and exits with 0", script),
        Scenario::new("demo/--fail --script shows every failure and exits with 0", failures),
        Scenario::new("demo/what can't be is refused with another exit code", refused),
    ]
}

fn folder(harness: &Harness, name: &str) -> Result<PathBuf> {
    let folder = harness.folder().join("demo").join(name);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

async fn start(harness: &Arc<Harness>, name: &str, arguments: &[&str]) -> Result<Demo> {
    let folder = folder(harness, name)?;
    Demo::start(&harness.environment, &harness.plane.kubectl, &folder, arguments, &harness.reaper).await
}

async fn answers(harness: Arc<Harness>) -> Result<()> {
    let demo = start(&harness, "answers", &[]).await?;
    let wait = ["wait", "goc", "agent-portal", "wallboard", "--for=condition=Ready", "--timeout=60s"];
    demo.kubectl.ok(&wait).await?;
    let shown = demo.kubectl.ok(&["get", "goc", "-o", "name"]).await?;
    ensure!(shown.lines().count() == 2, "the demo begins with:\n{shown}");
    let told = demo.printed();
    ensure!(told.contains(&format!("export KUBECONFIG={}", demo.kubeconfig.canonicalize()?.display())), "it does not say how: {told}");
    Ok(())
}

async fn days(harness: Arc<Harness>) -> Result<()> {
    let demo = start(&harness, "days", &["--speed", FAST]).await?;
    let (kubectl, manifest) = (&demo.kubectl, harness.environment.path("examples/client-credentials.yaml").display().to_string());
    kubectl.ok(&["apply", "-f", &manifest]).await?;
    kubectl.wait("goc/call-reporting", "Ready", "60s").await?;
    let patch = "{\"spec\":{\"accessTokenValiditySeconds\":7200}}";
    kubectl.ok(&["patch", "goc", "call-reporting", "--type=merge", "--patch", patch]).await?;
    kubectl.wait("goc/call-reporting", "Synced", "60s").await?;
    kubectl.ok(&["delete", "secret", "call-reporting"]).await?;
    e2e_support::wait::until("the Secret to be back", e2e_support::harness::PATIENCE, || async {
        let output = kubectl.run(&["get", "secret", "call-reporting"]).await?;
        Ok(if output.code == 0 { Ok(()) } else { Err(output.stderr) })
    })
    .await?;
    // A watch lasts as long as its client says, by the client's clock, however many days pass meanwhile.
    let watch = "/apis/oauth.genesys-operator.io/v1alpha1/namespaces/contact-center/genesysoauthclients?watch=1&timeoutSeconds=6";
    let told = kubectl.ok(&["get", "--raw", watch]).await?;
    ensure!(told.lines().count() >= 3, "the watch told of:\n{told}");
    let days = kubectl.ok(&["get", "goc", "call-reporting"]).await?;
    let old = days.lines().last().and_then(|line| line.split_whitespace().last()).unwrap_or_default().to_owned();
    ensure!(old.contains('h') || old.contains('d'), "no day passed during the watch; the object's age is {old}");
    kubectl.ok(&["delete", "goc", "call-reporting", "--timeout=60s"]).await?;
    let left = kubectl.ok(&["get", "secret", "call-reporting", "--ignore-not-found"]).await?;
    ensure!(left.is_empty(), "the Secret is left: {left}");
    Ok(())
}

async fn script(harness: Arc<Harness>) -> Result<()> {
    let folder = folder(&harness, "script")?;
    let output = demo::finished(&harness.environment, &folder, &["--script", "--speed", FAST], &harness.reaper).await?.success()?;
    for line in ["kubectl apply -f examples/client-credentials.yaml", "call-reporting   True", "everything was as it should be"] {
        ensure!(output.stdout.contains(line), "the story does not print {line:?}:\n{}", output.stdout);
    }
    ensure!(!folder.join("target/demo/kubeconfig").exists(), "a kubeconfig is left that leads nowhere");
    Ok(())
}

async fn failures(harness: Arc<Harness>) -> Result<()> {
    let folder = folder(&harness, "failures")?;
    let output = demo::finished(&harness.environment, &folder, &["--fail", "--script"], &harness.reaper).await?.success()?;
    for line in ["AccessDenied", "RoleNotFound", "CredentialRejected", "WaitingForOrganization"] {
        ensure!(output.stdout.contains(&format!("Reason:  {line}")), "{line} is not shown:\n{}", output.stdout);
    }
    Ok(())
}

async fn refused(harness: Arc<Harness>) -> Result<()> {
    let folder = folder(&harness, "refused")?;
    let run = |arguments: &'static [&'static str]| demo::finished(&harness.environment, &folder, arguments, &harness.reaper);
    let words = run(&["--script", "--speed", "1s=1d"]).await?.refusal()?;
    ensure!(words.contains("such as 1d=10s"), "what to write instead is not said: {words}");
    let words = run(&["--script", "--kubeconfig", "/dev/null/kubeconfig"]).await?.refusal()?;
    ensure!(words.contains("--kubeconfig"), "what to do is not said: {words}");
    Ok(())
}
