//! The story: scenes that show the operator's main job, each a function that acts, looks, and fails if anything is not as it
//! should be. A scene must leave the world as the next one expects it: the two clients of the beginning, and no others.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::{FutureExt as _, future::LocalBoxFuture};
use genesys_cloud_simulator::{OAuthClient, Operation};
use genesys_oauth_operator::api::{GenesysOAuthClient, GenesysOrganization};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};

use crate::{
    print,
    stage::{Stage, TEAM, condition},
};

/// A part of the story.
struct Scene {
    title: &'static str,
    /// What of the world's time it waits for.
    lasts: Duration,
    play: for<'a> fn(&'a Stage) -> LocalBoxFuture<'a, Result<()>>,
}

/// The story, in its order.
const SCENES: [Scene; 8] = [
    Scene { title: "An organization, and two clients from examples/", lasts: NOTHING, play: |stage| opening(stage).boxed_local() },
    Scene { title: "Declare a client", lasts: NOTHING, play: |stage| declare(stage).boxed_local() },
    Scene { title: "Change it", lasts: NOTHING, play: |stage| change(stage).boxed_local() },
    Scene { title: "Replace its credential, and nobody notices", lasts: NOTHING, play: |stage| rotate(stage).boxed_local() },
    Scene { title: "The overlap ends", lasts: OVERLAP, play: |stage| overlap_ends(stage).boxed_local() },
    Scene { title: "A day passes, and nothing has to be done", lasts: DAY, play: |stage| rest(stage).boxed_local() },
    Scene { title: "Somebody deletes its Secret", lasts: NOTHING, play: |stage| lose_the_secret(stage).boxed_local() },
    Scene { title: "Delete it", lasts: NOTHING, play: |stage| delete(stage).boxed_local() },
];

const NOTHING: Duration = Duration::ZERO;
const DAY: Duration = Duration::from_secs(86_400);
/// An hour for which both clients obtain tokens, and two in which the tokens of the old one run out; and some looks.
const OVERLAP: Duration = Duration::from_secs(4 * 3600);
/// What the audience waits for, in real time; what lasts longer is played in a faster world alone.
const LONGEST_SCENE: Duration = Duration::from_secs(60);

const SERVICE: &str = include_str!("../client-credentials.yaml");
const NAME: &str = "call-reporting";
/// Annotation by which a person asks for a rotation.
const ROTATE: &str = "oauth.genesys-operator.io/rotate";

/// Plays all scenes, one after the other.
pub async fn play(stage: &Stage) -> Result<()> {
    for Scene { title, lasts, play } in SCENES {
        print::title(title);
        if stage.speed.takes(lasts) > LONGEST_SCENE {
            print::say("Not shown at this speed; --speed 1d=10s shows it.");
            continue;
        }
        play(stage).await.with_context(|| format!("scene {title:?}"))?;
    }
    Ok(())
}

async fn opening(stage: &Stage) -> Result<()> {
    print::say("The platform team gave the operator its own OAuth client, and said who may use the organization for what.");
    print::command("kubectl wait gorg/acme --for=condition=Ready");
    stage
        .until("organization acme to be Ready", async || {
            let status = stage.organizations().get_opt("acme").await?.and_then(|object| object.status);
            let ready = status.as_ref().and_then(|status| condition(&status.conditions, "Ready"));
            Ok(match ready {
                Some(ready) if ready.status == "True" => Ok(()),
                Some(ready) => Err(format!("{}: {}", ready.reason, ready.message)),
                None => Err("the operator said nothing yet".to_owned()),
            })
        })
        .await?;
    print::command("kubectl get gorg");
    stage.table::<GenesysOrganization>(None).await?;
    for name in ["agent-portal", "wallboard"] {
        stage.settled(TEAM, name).await?;
    }
    clients(stage).await?;
    ensure!(stage.platform.other_clients().len() == 2, "{} clients are on the platform", stage.platform.other_clients().len());
    Ok(())
}

async fn declare(stage: &Stage) -> Result<()> {
    print::say("A team commits one more manifest: a service that calls the Platform API as itself.");
    print::command("kubectl apply -f examples/client-credentials.yaml");
    stage.apply(SERVICE).await?;
    print::command(&format!("kubectl wait goc/{NAME} -n {TEAM} --for=condition=Ready"));
    stage.settled(TEAM, NAME).await?;
    clients(stage).await?;
    on_the_platform(stage)?;
    works(stage).await
}

async fn change(stage: &Stage) -> Result<()> {
    let (old, new) = ("accessTokenValiditySeconds: 3600", "accessTokenValiditySeconds: 7200");
    ensure!(SERVICE.contains(old), "examples/client-credentials.yaml no longer says {old}");
    print::say("Its tokens shall be valid for two hours.");
    print::command(&format!("sed 's/{old}/{new}/' examples/client-credentials.yaml | kubectl apply -f -"));
    stage.apply(&SERVICE.replace(old, new)).await?;
    print::command(&format!("kubectl wait goc/{NAME} -n {TEAM} --for=condition=Synced"));
    stage.settled(TEAM, NAME).await?;
    let seconds = on_the_platform(stage)?.access_token_validity_seconds;
    ensure!(seconds == 7200, "the platform says {seconds}");
    print::note(&format!("on the platform its tokens are now valid for {seconds} seconds"));
    Ok(())
}

async fn rotate(stage: &Stage) -> Result<()> {
    print::say("One secret a client, and a reset kills it at once: so the operator makes a second client, proves it, and publishes it.");
    let before = stage.token(TEAM, NAME).await.map(drop);
    ensure!(before.is_ok(), "the credential does not work before the rotation");
    let old = on_the_platform(stage)?.id;
    print::command(&format!("kubectl annotate goc {NAME} -n {TEAM} {ROTATE}=monday"));
    let patch = serde_json::json!({ "metadata": { "annotations": { ROTATE: "monday" } } });
    stage.clients(TEAM).patch(NAME, &PatchParams::default(), &Patch::Merge(&patch)).await?;
    print::command(&format!("kubectl wait goc/{NAME} -n {TEAM} --for=jsonpath='{{.status.lastRotation.request}}'=monday"));
    stage
        .until("the rotation", async || {
            let status = stage.object(TEAM, NAME).await?.and_then(|object| object.status).unwrap_or_default();
            let ready = condition(&status.conditions, "Ready").map(|ready| ready.status.clone());
            ensure!(ready.as_deref() == Some("True"), "Ready is {ready:?} in the middle of a rotation");
            let done = status.last_rotation.is_some_and(|last| last.request.as_deref() == Some("monday"));
            Ok(if done { Ok(()) } else { Err("the new credential is not published yet".to_owned()) })
        })
        .await?;
    let ready = stage.settled(TEAM, NAME).await?;
    let rotating = ready.status.as_ref().and_then(|status| condition(&status.conditions, "Rotating"));
    print::note(&rotating.map(|rotating| rotating.message.clone()).unwrap_or_default());
    let new = ready.status.and_then(|status| status.client_id);
    ensure!(new.as_ref().is_some_and(|new| *new != old), "the client is still {old}");
    works(stage).await
}

async fn overlap_ends(stage: &Stage) -> Result<()> {
    print::say("For an hour both clients obtain tokens; then the old one obtains no more, and goes when its tokens have run out.");
    tokio::time::sleep(OVERLAP).await;
    let left = on_the_platform(stage)?;
    print::note(&format!("on the platform is left: {} ({})", left.name, left.id));
    works(stage).await
}

async fn lose_the_secret(stage: &Stage) -> Result<()> {
    print::say("A client's secret can't be read again: another client's takes its place, and who still holds the old one goes on.");
    let lost = stage.secrets(TEAM).get(NAME).await?.metadata.uid;
    print::command(&format!("kubectl delete secret {NAME} -n {TEAM}"));
    stage.secrets(TEAM).delete(NAME, &DeleteParams::default()).await?;
    stage
        .until("another Secret", async || {
            let found = stage.secrets(TEAM).get_opt(NAME).await?.filter(|secret| secret.metadata.uid != lost);
            Ok(found.map(drop).ok_or_else(|| "it is not there".to_owned()))
        })
        .await?;
    stage.settled(TEAM, NAME).await?;
    works(stage).await
}

async fn rest(stage: &Stage) -> Result<()> {
    let before = (versions(stage).await?, writes(stage));
    tokio::time::sleep(DAY).await;
    ensure!((versions(stage).await?, writes(stage)) == before, "something was written while nothing was to be done");
    print::note("nothing was written, neither in the cluster nor on the platform");
    works(stage).await
}

/// What the objects of the clients and their Secrets are now.
async fn versions(stage: &Stage) -> Result<Vec<Option<String>>> {
    let clients = stage.clients(TEAM).list_metadata(&ListParams::default()).await?.items;
    let secrets = stage.secrets(TEAM).list_metadata(&ListParams::default()).await?.items;
    Ok(clients
        .into_iter()
        .map(|one| one.metadata)
        .chain(secrets.into_iter().map(|one| one.metadata))
        .map(|one| one.resource_version)
        .collect())
}

/// How many calls have changed the platform. A token changes no client.
fn writes(stage: &Stage) -> usize {
    stage.platform.calls().iter().filter(|call| call.committed && call.operation != Operation::GetToken).count()
}

async fn delete(stage: &Stage) -> Result<()> {
    print::say("The client is deleted on the platform, then its Secret, then the object.");
    print::command(&format!("kubectl delete goc {NAME} -n {TEAM}"));
    gone(stage, TEAM, NAME).await?;
    clients(stage).await?;
    ensure!(stage.secrets(TEAM).get_opt(NAME).await?.is_none(), "Secret {NAME} is still there");
    let left: Vec<String> = stage.platform.other_clients().into_iter().map(|client| client.name).collect();
    ensure!(left.len() == 2, "on the platform are {left:?}");
    print::note(&format!("on the platform are left: {}", left.join(", ")));
    Ok(())
}

/// Deletes a client and waits until it is gone.
pub async fn gone(stage: &Stage, namespace: &str, name: &str) -> Result<()> {
    stage.clients(namespace).delete(name, &DeleteParams::default()).await?;
    stage
        .until(&format!("{namespace}/{name} to be gone"), async || {
            Ok(stage.object(namespace, name).await?.map_or(Ok(()), |object| {
                let why = object.status.as_ref().and_then(|status| condition(&status.conditions, "Synced"));
                Err(why.map_or_else(|| "it is there".to_owned(), |why| why.message.clone()))
            }))
        })
        .await
}

async fn clients(stage: &Stage) -> Result<()> {
    print::command(&format!("kubectl get goc -n {TEAM}"));
    stage.table::<GenesysOAuthClient>(Some(TEAM)).await
}

/// The one client of the story on the platform.
fn on_the_platform(stage: &Stage) -> Result<OAuthClient> {
    let mut found: Vec<_> = stage.platform.other_clients().into_iter().filter(|client| client.name.starts_with("Call reporting")).collect();
    ensure!(found.len() == 1, "{} clients of this object are on the platform, not one", found.len());
    found.pop().context("there is one")
}

/// The credential in its Secret obtains a token.
async fn works(stage: &Stage) -> Result<()> {
    let token = stage.token(TEAM, NAME).await?;
    print::note(&format!("the Secret's credential obtains a token: {}, valid for {} s", token["token_type"], token["expires_in"]));
    Ok(())
}
