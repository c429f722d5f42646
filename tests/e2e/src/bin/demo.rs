//! The demo on a real control plane: the operator's main job from nothing, on a real API server and a simulated Genesys Cloud. It shows each
//! command as a person would type it; it must not do anything to the cluster that it does not show.

#[path = "../../../../examples/demo/print.rs"]
mod print;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use e2e_support::environment::{Environment, in_ci};
use e2e_support::expect::{condition, one_client};
use e2e_support::harness::Harness;
use e2e_support::kubectl::Output;
use e2e_support::oauth::client_credentials;
use e2e_support::simulator::{OPERATOR_CLIENT, OPERATOR_SECRET};
use e2e_support::world::{Plan, World};
use print::{command, note, say, title};

const HELP: &str = "\
Runs the operator's main job from nothing: control plane, simulated Genesys Cloud, operator, examples.

Usage: demo [--script]

  --script  run the story, stop everything and exit with a status; so it does without a terminal and in CI.
            Otherwise everything stays up after the story, until Ctrl-C.";

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--help" || word == "-h") {
        say(HELP);
        return ExitCode::SUCCESS;
    }
    if let Some(word) = words.iter().find(|word| *word != "--script") {
        eprintln!("demo: unknown argument '{word}'\n\n{HELP}");
        return ExitCode::from(2);
    }
    let script = !words.is_empty() || in_ci() || !std::io::stdin().is_terminal();
    let result = tokio::select! {
        result = demo(script) => result,
        _ = tokio::signal::ctrl_c() => { say("\nStopping everything."); Ok(()) }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\ndemo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn demo(script: bool) -> Result<()> {
    let begun = Instant::now();
    title("A control plane: etcd and a real kube-apiserver");
    say("Where they are not on this machine yet, they are fetched or built first. A build of kube-apiserver from");
    say("source takes about 6 minutes on two cores, once; afterwards this step takes a few seconds.");
    let harness = Harness::start(Environment::read()?, note).await?;

    title("Genesys Cloud: the simulator, and the operator beside it");
    let mut world = World::create(&harness, Plan::examples()).await?;
    note(&format!("the simulator serves the API, the login host and an admin page on {}", world.simulator.url()));
    world.kubectl = harness.kubectl.clone();
    world.start_operator().await?;
    note(&format!("the operator runs; its log: {}", world.folder().join("operator-1.log").display()));
    note("in namespace genesys-oauth-operator it has the account and the rights that the chart gives it, and no others");
    note("its waits for the platform are seconds here, where they are a minute in production");

    Show { harness: &harness, world: &world }.story().await.with_context(|| {
        format!("the story broke off; the operator's last words:\n{}", e2e_support::process::tail(&world.operator_logs(), 10))
    })?;
    say(&format!("\nThat was it, after {:.0} seconds.", begun.elapsed().as_secs_f64()));
    if script {
        return Ok(());
    }
    go_on(&harness, &world);
    std::future::pending().await
}

struct Show<'a> {
    harness: &'a Arc<Harness>,
    world: &'a World,
}

impl Show<'_> {
    async fn story(&self) -> Result<()> {
        self.connect().await?;
        self.declare().await?;
        self.change().await?;
        self.delete().await
    }

    async fn connect(&self) -> Result<()> {
        title("Connect an organization");
        say("The platform team gives the operator its own OAuth client and says who may use the organization.");
        let create = format!(
            "kubectl create secret generic genesys-acme -n genesys-oauth-operator --from-literal=clientId={OPERATOR_CLIENT} --from-file=clientSecret=/dev/stdin"
        );
        self.feed(&create, Some(OPERATOR_SECRET)).await?;
        note("the client's secret came from standard input: no list of processes and no history shows it");
        self.run("kubectl apply -f examples/00-namespace.yaml -f examples/organization.yaml").await?;
        self.wait("kubectl wait gorg/acme --for=condition=Ready --timeout=2m").await?;
        self.run("kubectl get gorg").await
    }

    async fn declare(&self) -> Result<()> {
        title("Declare clients");
        say("A team commits four manifests: two services, one with a rotation policy, a web application and a single-page application.");
        self.run("kubectl apply -f examples/").await?;
        self.wait("kubectl wait goc --all -n contact-center --for=condition=Ready --timeout=2m").await?;
        self.run("kubectl get goc -n contact-center").await?;
        self.run("kubectl get secrets -n contact-center").await?;
        self.run("kubectl describe secret call-reporting -n contact-center").await?;
        let data = self.world.data("call-reporting").await?;
        let reply = client_credentials(&self.harness.http, &data).await?;
        reply.token()?;
        note(&format!(
            "the Secret's credential obtains a token: token_type {}, expires_in {}",
            reply.body["token_type"], reply.body["expires_in"]
        ));
        Ok(())
    }

    async fn change(&self) -> Result<()> {
        title("Change one in Git");
        say("The service's tokens shall be valid for two hours.");
        let text = std::fs::read_to_string(self.harness.environment.path("examples/client-credentials.yaml"))?;
        let (old, new) = ("accessTokenValiditySeconds: 3600", "accessTokenValiditySeconds: 7200");
        ensure!(text.contains(old), "examples/client-credentials.yaml no longer says {old}");
        let edited = text.replace(old, new);
        let edit = format!("sed 's/{old}/{new}/' examples/client-credentials.yaml | ");
        let diff = self.piped(&edit, "kubectl diff -f -", &edited).await?;
        ensure!(diff.code == 1, "kubectl diff sees no difference: {}", diff.stderr);
        self.piped(&edit, "kubectl apply -f -", &edited).await?.success()?;
        self.wait("kubectl wait goc/call-reporting -n contact-center --for=condition=Synced --timeout=2m").await?;
        let client = one_client(self.world, "call-reporting").await?;
        ensure!(client["accessTokenValiditySeconds"] == 7200, "the change is not on the platform");
        note(&format!("on the platform: {} has accessTokenValiditySeconds {}", client["name"], client["accessTokenValiditySeconds"]));
        Ok(())
    }

    async fn delete(&self) -> Result<()> {
        title("Delete one");
        self.run("kubectl delete -f examples/client-credentials.yaml").await?;
        self.run("kubectl get goc,secrets -n contact-center").await?;
        let left = self.world.simulator.clients().await?;
        ensure!(left.len() == 3, "{} clients are left on the platform, not 3", left.len());
        let names: Vec<&str> = left.iter().filter_map(|client| client["name"].as_str()).collect();
        note(&format!("on the platform are left: {}", names.join(", ")));
        Ok(())
    }

    async fn run(&self, line: &str) -> Result<()> {
        self.feed(line, None).await
    }

    async fn feed(&self, line: &str, input: Option<&str>) -> Result<()> {
        command(line);
        let output = self.kubectl(line, input).await?;
        show(&output);
        output.success().map(drop)
    }

    async fn piped(&self, before: &str, line: &str, input: &str) -> Result<Output> {
        command(&format!("{before}{line}"));
        let output = self.kubectl(line, Some(input)).await?;
        show(&output);
        Ok(output)
    }

    /// Runs a `kubectl wait` and tells meanwhile what the objects say.
    async fn wait(&self, line: &str) -> Result<()> {
        command(line);
        let waiting = self.kubectl(line, None);
        let output = tokio::select! {
            output = waiting => output?,
            never = self.progress() => never?,
        };
        show(&output);
        output.success().map(drop)
    }

    /// Prints each new reason of an object that is not Ready yet, for ever.
    async fn progress<T>(&self) -> Result<T> {
        let begun = Instant::now();
        let mut told = std::collections::HashSet::new();
        loop {
            for plural in ["genesysorganizations", "genesysoauthclients"] {
                let items = self.harness.api.list(&e2e_support::api::path(None, plural, "")).await?;
                for item in items {
                    let Some(ready) = condition(&item, "Ready").filter(|ready| ready["status"] != "True") else { continue };
                    let words = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
                    let line = format!("{}: {}", words(&item["metadata"]["name"]), words(&ready["reason"]));
                    if told.insert(line.clone()) {
                        note(&format!("{:4.1} s  {line}", begun.elapsed().as_secs_f64()));
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// Runs a line that begins with `kubectl`, from the repository's root.
    async fn kubectl(&self, line: &str, input: Option<&str>) -> Result<Output> {
        let Some(arguments) = line.strip_prefix("kubectl ") else { bail!("not a kubectl command: {line}") };
        let root = self.harness.environment.root.display().to_string();
        let words: Vec<String> = arguments
            .split(' ')
            .map(|word| if word.starts_with("examples/") { format!("{root}/{word}") } else { word.to_owned() })
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.harness.kubectl.feed(&words, input).await
    }
}

fn go_on(harness: &Harness, world: &World) {
    title("Go on by hand");
    let on_path = std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join("kubectl").is_file()));
    say("Everything stays up. In another terminal, in this folder:\n");
    say(&format!("  export KUBECONFIG={}", harness.plane.kubeconfig.display()));
    if !on_path {
        say(&format!("  alias kubectl={}", harness.plane.kubectl.display()));
    }
    say("  kubectl get goc -A -o wide");
    say("  kubectl describe goc agent-portal -n contact-center");
    say("  kubectl apply -f examples/client-credentials.yaml");
    say(&format!("\nThe platform as its administrators see it: {}/", world.simulator.url()));
    say(&format!("The operator's log: tail -f {}", world.folder().join("operator-1.log").display()));
    say("\nCtrl-C stops everything and leaves nothing behind.");
}

fn show(output: &Output) {
    let printed = output.stdout.lines().chain(output.stderr.lines());
    printed.for_each(say);
}
