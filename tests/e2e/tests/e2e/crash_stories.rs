//! The stories of the crash cells: what a person does, where the operator is struck meanwhile, and how the world must be in the end. It must not
//! know how a strike is made.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e_support::calls::Call;
use e2e_support::expect::{all_gone, comes_and_stays, done, is_done, only_client, summary};
use e2e_support::harness::PATIENCE;
use e2e_support::manifests::{CLIENT, client, with_spec};
use e2e_support::operator::Timing;
use e2e_support::proxy::When;
use e2e_support::wait::until;
use e2e_support::world::{Plan, Route, World};
use http::Method;
use serde_json::{Value, json};

/// Longer than the overlap of a client without a policy, and than its tokens live.
const TWO_HOURS: u64 = 7200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Story {
    Create,
    Update,
    Delete,
    /// Somebody deletes the Secret of a client that can't be replaced, and a new secret is issued: the other call whose response can be lost.
    Repair,
    /// A person requests a rotation in an emergency: another client takes over, and the old one ends at once.
    Rotate,
    /// A person requests a rotation: the overlap, the life of the old tokens and the deletion of the old client belong to it.
    Replace,
    /// A person requests the rotation of a client whose id stays.
    Regenerate,
    /// A person takes a rotation back in its overlap.
    Abort,
}

impl Story {
    pub(crate) const ALL: [Self; 8] =
        [Self::Create, Self::Update, Self::Delete, Self::Repair, Self::Rotate, Self::Replace, Self::Regenerate, Self::Abort];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Repair => "repair",
            Self::Rotate => "rotate",
            Self::Replace => "replace",
            Self::Regenerate => "regenerate",
            Self::Abort => "abort",
        }
    }

    /// Whether it goes through the steps of a rotation, which are many: it is struck once at each.
    fn has_steps(self) -> bool {
        matches!(self, Self::Replace | Self::Regenerate | Self::Abort)
    }

    /// The world of a cell. Time is skipped in stories of steps: the platform's clock is looked at often there.
    pub(crate) fn plan(self, name: &str) -> Plan {
        let plan = Plan::new(name, Route::Proxied);
        if self.has_steps() { Plan { timing: Timing { resync: "2s", ..Timing::QUICK }, ..plan } } else { plan }
    }

    /// How the operator is struck at a call.
    pub(crate) fn strikes(self) -> &'static [When] {
        if self.has_steps() { &[When::After] } else { &[When::Before, When::After, When::Lost] }
    }

    /// Whether the operator is struck at a call: in stories of steps at writes alone, which take the steps; a first one of each kind takes it.
    pub(crate) fn is_struck_at(self, call: &Call) -> bool {
        !self.has_steps() || (call.write && call.occurrence == 1)
    }

    /// What must be among the calls at which it is struck: the steps of the story.
    pub(crate) fn steps(self) -> &'static [&'static str] {
        match self {
            Self::Replace => &[
                "[Creating]",
                "POST /api/v2/oauth/clients",
                "[Verifying]",
                "PUT secrets/client",
                "[RollingOut]",
                "[Draining]",
                "[Retiring]",
                "PUT /api/v2/oauth/clients/{id}",
                "DELETE /api/v2/oauth/clients/{id}",
            ],
            Self::Regenerate => &["[Regenerating]", "POST /api/v2/oauth/clients/{id}/secret", "PUT secrets/client", "[RollingOut]"],
            Self::Abort => {
                &["[Verifying]", "PUT secrets/client", "[RollingOut]", "[Draining]", "[Retiring]", "DELETE /api/v2/oauth/clients/{id}"]
            }
            _ => &[],
        }
    }

    /// Creates of one intent: one, and one more for a response that was lost; a story of a second client begins with one more.
    pub(crate) fn most_creates(self) -> usize {
        if matches!(self, Self::Rotate | Self::Replace | Self::Abort) { 3 } else { 2 }
    }

    /// Everything before the story: for all but create, a client that is done; for an abort, with a rotation in its overlap.
    pub(crate) async fn prepare(self, world: &World) -> Result<()> {
        if self == Self::Create {
            return Ok(());
        }
        world.apply(&self.manifest(world)).await?;
        done(world, CLIENT).await?;
        if self == Self::Abort {
            ask(world, "rotate=now").await?;
            until("the overlap", PATIENCE, || async {
                let object = world.object(CLIENT).await?.context("no object")?;
                let step = &object["status"]["rotation"]["current"]["step"];
                Ok(if step == "Draining" { Ok(()) } else { Err(format!("step {step}, {}", summary(&object))) })
            })
            .await?;
        }
        Ok(())
    }

    /// The object of the story.
    fn manifest(self, world: &World) -> Value {
        let manifest = client(&world.name, CLIENT, &world.name);
        match self {
            Self::Repair | Self::Regenerate => with_spec(manifest, &json!({ "scim": true })),
            _ => manifest,
        }
    }

    /// What a person does.
    pub(crate) async fn begin(self, world: &World) -> Result<()> {
        let manifest = self.manifest(world);
        match self {
            Self::Rotate => ask(world, "rotate=now/Emergency").await,
            Self::Replace | Self::Regenerate => ask(world, "rotate=now").await,
            Self::Abort => ask(world, "abort=no").await,
            Self::Create => world.apply(&manifest).await.map(drop),
            Self::Update => {
                let edit = json!({ "displayName": "edited", "accessTokenValiditySeconds": 7200 });
                world.apply(&with_spec(manifest, &edit)).await.map(drop)
            }
            Self::Delete => world.kubectl.ok(&["delete", "goc", CLIENT, "--wait=false"]).await.map(drop),
            Self::Repair => world.kubectl.ok(&["delete", "secret", CLIENT]).await.map(drop),
        }
    }

    /// How the world must be in the end, and stay.
    pub(crate) async fn outcome(self, world: &World) -> Result<()> {
        if self == Self::Delete {
            return all_gone(world, CLIENT).await;
        }
        let what = "one client, Ready and Synced, its credential in the Secret";
        let skipped = Mutex::new(None);
        let skipped = &skipped;
        comes_and_stays(what, Duration::from_secs(1), || async move {
            let object = world.object(CLIENT).await?.context("no object")?;
            if self.has_steps() {
                skip_waits(world, &object, skipped).await?;
            }
            ensure!(is_done(&object), "{}", summary(&object));
            self.rotated(&object)?;
            let found = only_client(world, CLIENT).await?;
            if self == Self::Update {
                ensure!(found["accessTokenValiditySeconds"] == 7200 && found["name"] == "edited", "the edit is not there: {found}");
            }
            if self.has_steps() {
                ensure!(world.secret(&format!("{CLIENT}-rotation")).await?.is_none(), "the rotation Secret is left");
            }
            Ok(())
        })
        .await
    }

    /// Demands that the rotation of the story ended as it must.
    fn rotated(self, object: &Value) -> Result<()> {
        let (result, strategy) = match self {
            Self::Rotate | Self::Replace => ("Succeeded", "Replace"),
            Self::Regenerate => ("Succeeded", "Regenerate"),
            Self::Abort => ("Aborted", "Replace"),
            _ => return Ok(()),
        };
        let (last, current) = (&object["status"]["lastRotation"], &object["status"]["rotation"]["current"]);
        ensure!(current.is_null(), "the rotation goes on at {}: {}", current["step"], summary(object));
        let ended = last["request"] == "now" && last["result"] == result && last["strategy"] == strategy;
        ensure!(ended, "the last rotation is {last}: {}", summary(object));
        Ok(())
    }
}

/// A person asks for something by annotation.
async fn ask(world: &World, what: &str) -> Result<()> {
    let request = format!("oauth.genesys-operator.io/{what}");
    world.kubectl.ok(&["annotate", "goc", CLIENT, &request]).await.map(drop)
}

/// Moves the platform's clock, by which the operator goes, over the overlap and over the life of the old client's tokens: once each time that the
/// object waits for something else than before.
async fn skip_waits(world: &World, object: &Value, skipped: &Mutex<Option<Value>>) -> Result<()> {
    let status = &object["status"];
    let step = &status["rotation"]["current"]["step"];
    let kept = status["retiring"].as_array().is_some_and(|all| all.iter().any(|retiring| !retiring["deleteAfter"].is_null()));
    if step != "Draining" && !kept {
        return Ok(());
    }
    let waits_for = json!([step, status["retiring"]]);
    let known = skipped.lock().unwrap_or_else(PoisonError::into_inner).replace(waits_for.clone());
    if known != Some(waits_for) {
        world.simulator.admin(Method::POST, "clock", Some(&json!({ "advanceSeconds": TWO_HOURS }))).await?;
        // At rest the operator asks the platform for nothing, and learns of a clock that jumped by the next answer: that of a scan.
        let token =
            format!("oauth.genesys-operator.io/reconcile=after-{}", object["metadata"]["resourceVersion"].as_str().unwrap_or_default());
        world.kubectl.ok(&["annotate", "gorg", &world.name, "--overwrite", &token]).await?;
    }
    Ok(())
}
