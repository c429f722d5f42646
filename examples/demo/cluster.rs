//! The demo on a cluster of the user's own kubeconfig: installs the CRDs there with kubectl, and at the end deletes all else that it
//! made. It must not touch what it did not make: it refuses to begin where something of the same name is, and works only what
//! carries its label.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use genesys_cloud_simulator::TokioClock;
use genesys_oauth_operator::{api, connection};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Config, ResourceExt as _,
    api::{DeleteParams, ListParams},
    config::KubeConfigOptions,
};

use crate::{
    failures::{SANDBOX, STRANGER},
    print,
    stage::{DEMO_LABEL, Stage, TEAM},
    story,
    tempo::Speed,
    world::{OPERATOR_NAMESPACE, World},
};

/// The label selector of what the demo made.
pub const OURS: &str = "demo.genesys-operator.io/made-by-demo=true";

/// A simulated platform and an operator in this process, at work on the cluster of a context.
pub async fn world(context: &str) -> Result<World> {
    let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    let config = Config::from_kubeconfig(&options).await.with_context(|| format!("reading context {context} of the kubeconfig"))?;
    let clients = connection::clients(config, connection::Limits::default())?;
    let administrator = clients.calls.clone();
    let clock = TokioClock::new(Timestamp::now());
    let flags = ["--organizations", OURS, "--watch-namespace", TEAM, "--watch-namespace", SANDBOX];
    refuse_strangers(administrator.clone()).await?;
    install_crds(context)?;
    World::between(clients, administrator, clock, Speed::REAL, &flags).await
}

/// Applies the CRDs as a person does. An old server's own schema does not know CEL rules, so kubectl is not to ask it.
fn install_crds(context: &str) -> Result<()> {
    print::command(&format!("kubectl --context {context} apply --validate=false -f crds/"));
    let manifest: String = api::crd_files()?.into_iter().map(|(_, text)| text).collect();
    kubectl(&["--context", context, "apply", "--validate=false", "-f", "-"], &manifest)?;
    let names: Vec<String> = api::crds().iter().map(|crd| format!("crd/{}", crd.name_any())).collect();
    let mut wait = vec!["--context", context, "wait", "--for=condition=Established", "--timeout=60s"];
    wait.extend(names.iter().map(String::as_str));
    kubectl(&wait, "")
}

/// Runs kubectl, which prints to where this program prints.
fn kubectl(arguments: &[&str], input: &str) -> Result<()> {
    let spawned = Command::new("kubectl").args(arguments).stdin(Stdio::piped()).spawn();
    let mut child = spawned.context("starting kubectl; `make control-plane` makes one and prints its folder, for PATH")?;
    // Dropped at once, so that kubectl sees the end.
    child.stdin.take().context("kubectl has a standard input")?.write_all(input.as_bytes())?;
    let status = child.wait()?;
    ensure!(status.success(), "kubectl {} ended with {status}", arguments.join(" "));
    Ok(())
}

/// Fails if the cluster has anything that the demo would take for its own.
async fn refuse_strangers(client: kube::Client) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for name in [OPERATOR_NAMESPACE, TEAM, SANDBOX] {
        if namespaces.get_opt(name).await?.is_some_and(|found| !found.labels().contains_key(DEMO_LABEL)) {
            bail!("the cluster has a namespace {name} that this demo did not make; use a cluster without one");
        }
    }
    let organizations: Api<api::GenesysOrganization> = Api::all(client);
    for name in ["acme", STRANGER] {
        if organizations.get_opt(name).await?.is_some_and(|found| !found.labels().contains_key(DEMO_LABEL)) {
            bail!("the cluster has a GenesysOrganization {name} that this demo did not make; use a cluster without one");
        }
    }
    Ok(())
}

/// Deletes what the demo made: clients while their organization and the operator are there, and then the rest.
pub async fn clear(stage: &Stage) -> Result<()> {
    print::title("Deleting what the demo made in the cluster; the CRDs stay");
    let delete = DeleteParams::default();
    let ours = ListParams::default().labels(OURS);
    for namespace in [TEAM, SANDBOX] {
        for object in stage.clients(namespace).list(&ListParams::default()).await? {
            story::gone(stage, namespace, &object.name_any()).await?;
        }
    }
    for object in stage.organizations().list(&ours).await? {
        stage.organizations().delete(&object.name_any(), &delete).await?;
    }
    for object in stage.secrets(OPERATOR_NAMESPACE).list(&ours).await? {
        stage.secrets(OPERATOR_NAMESPACE).delete(&object.name_any(), &delete).await?;
    }
    let namespaces: Api<Namespace> = Api::all(stage.client.clone());
    for object in namespaces.list(&ours).await? {
        namespaces.delete(&object.name_any(), &delete).await?;
    }
    Ok(())
}
