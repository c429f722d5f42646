//! Organizations whose platforms mean harm, five at once beside an honest one, for one operator; it must not judge what it measures.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, ensure};
use http::Method;
use serde_json::json;
use tokio::net::TcpListener;

use crate::api::path;
use crate::expect::{condition, done, is, secrets, summary};
use crate::harness::{Harness, PATIENCE};
use crate::manifests::{client, organization};
use crate::operator::Logging;
use crate::simulator::{Simulator, quick_settings};
use crate::wait::until;
use crate::world::{Plan, Route, World};

/// What the platforms do, one each; the simulator's names of them.
const KINDS: [&str; 5] = ["Endless", "Drip", "GzipBomb", "Nested", "Redirect"];

/// Which of their answers are bad, one stage after the other: the token, who the organization is, the
/// clients, the smaller lists, and a create.
const STAGES: [&[&str]; 5] =
    [&["GetToken"], &["GetOrganization"], &["ListClients"], &["ListRoles", "ListDivisions", "GetSubjectsMe"], &["CreateClient"]];

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// How many answers were bad.
    pub struck: usize,
    /// The most memory that the operator ever held, in kibibytes.
    pub peak_kib: u64,
    /// How many clients of the honest organization became Ready meanwhile.
    pub served: usize,
    /// How many connections were made to where the redirects lead.
    pub followed: usize,
}

struct Attacker {
    kind: &'static str,
    region: String,
    simulator: Simulator,
}

impl Attacker {
    async fn start(world: &World, kind: &'static str, number: usize) -> Result<Self> {
        let folder = world.folder().join(kind);
        std::fs::create_dir_all(&folder)?;
        let mut settings = quick_settings();
        settings["organizationId"] = format!("22222222-2222-4222-8222-22222222222{number}").into();
        let (environment, http, reaper) = (&world.harness.environment, &world.harness.http, &world.harness.reaper);
        let simulator = Simulator::start(environment, &folder, &settings, http, reaper).await?;
        Ok(Self { kind, region: kind.to_ascii_lowercase(), simulator })
    }

    fn organization(&self, world: &World) -> String {
        format!("{}-{}", world.name, self.region)
    }

    async fn plant(&self, operation: &str, trap: &str) -> Result<()> {
        let fault = json!({ "operation": operation, "kind": self.kind, "count": 0, "body": trap });
        self.simulator.admin(Method::POST, "faults", Some(&fault)).await.map(drop)
    }

    async fn struck(&self) -> Result<usize> {
        Ok(self.simulator.calls(0).await?.iter().filter(|call| call["fault"] == self.kind).count())
    }
}

/// Lets an operator serve an honest organization and five hostile ones.
pub async fn besiege(harness: &Arc<Harness>, name: &str) -> Result<Seen> {
    let log = Logging { filter: "trace", ..Logging::USUAL };
    let mut world = World::create(harness, Plan { log, ..Plan::new(name, Route::Direct) }).await?;
    let (trap, followed) = trap().await?;
    let mut attackers = Vec::new();
    for (number, kind) in KINDS.into_iter().enumerate() {
        let attacker = Attacker::start(&world, kind, number).await?;
        world.setup.endpoints.push(format!("{0}={1},{1}", attacker.region, attacker.simulator.url()));
        attackers.push(attacker);
    }
    world.give_credentials(crate::simulator::OPERATOR_SECRET).await?;
    world.apply(&organization(&world.name)).await?;
    let operator = world.start_operator().await?;
    crate::expect::organization(&world, "Ready", "True", None).await?;
    let mut seen = Seen::default();
    for (number, stage) in STAGES.into_iter().enumerate() {
        let mut before = Vec::new();
        for attacker in &attackers {
            before.push(attacker.struck().await?);
            attacker.simulator.admin(Method::DELETE, "faults", None).await?;
            for operation in stage {
                attacker.plant(operation, &trap).await?;
            }
            let mut manifest = organization(&attacker.organization(&world));
            manifest["metadata"]["labels"]["cell"] = world.name.clone().into();
            manifest["spec"]["region"] = attacker.region.clone().into();
            world.apply(&manifest).await?;
            world.apply(&client(&world.name, &format!("{}-{number}", attacker.region), &attacker.organization(&world))).await?;
        }
        let honest = format!("honest-{number}");
        world.apply(&client(&world.name, &honest, &world.name)).await?;
        for (attacker, before) in attackers.iter().zip(before) {
            let name = format!("{}-{number}", attacker.region);
            suffered(&world, attacker, &name, before).await.with_context(|| format!("{stage:?} {}", attacker.kind))?;
            if matches!(stage, ["GetToken" | "GetOrganization"]) {
                told(&world, attacker).await.with_context(|| format!("{stage:?} {}", attacker.kind))?;
            }
        }
        done(&world, &honest).await.with_context(|| format!("while {stage:?} is attacked"))?;
        seen.served += 1;
        ensure!(operator.process.ended().is_none(), "the operator ended while {stage:?} was attacked: {}", world.folder().display());
        for attacker in &attackers {
            harness.api.delete(&path(None, "genesysorganizations", &attacker.organization(&world))).await?;
        }
    }
    for attacker in &attackers {
        seen.struck += attacker.struck().await?;
    }
    (seen.peak_kib, seen.followed) = (operator.process.peak_kib()?, followed.load(Ordering::SeqCst));
    ensure!(!secrets(&world).await?.are_in(&operator.process.log()), "a secret stands in the log, see {}", world.folder().display());
    world.stop_operators().await?;
    Ok(seen)
}

/// Waits until an attacker has struck, and its client is not Ready.
async fn suffered(world: &World, attacker: &Attacker, name: &str, before: usize) -> Result<()> {
    until("a bad answer", PATIENCE, || async {
        let object = world.object(name).await?.unwrap_or_default();
        ensure!(!is(&object, "Ready", "True", None), "{name} became Ready");
        let struck = attacker.struck().await?;
        Ok(if struck > before { Ok(()) } else { Err(summary(&object)) })
    })
    .await
}

/// Waits until the organization whose logins are attacked says so, with words.
async fn told(world: &World, attacker: &Attacker) -> Result<()> {
    let place = path(None, "genesysorganizations", &attacker.organization(world));
    until("the organization to say so", PATIENCE, || async {
        let object = world.harness.api.get(&place).await?.unwrap_or_default();
        let words = condition(&object, "Ready").filter(|ready| ready["status"] == "False").and_then(|ready| ready["message"].as_str());
        Ok(if words.is_some_and(|words| !words.is_empty()) { Ok(()) } else { Err(summary(&object)) })
    })
    .await
}

/// A place that nobody should ever connect to, and how often somebody did.
async fn trap() -> Result<(String, Arc<AtomicUsize>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let place = format!("http://{}/stolen", listener.local_addr()?);
    let count = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    Ok((place, count))
}
