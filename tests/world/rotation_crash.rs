//! The operator ends after a request of a rotation, or one answer is lost or is an error, of either API, from the request of a person until the former client is deleted. It
//! counts no cell that was not struck.

use std::{sync::Arc, time::Duration};

use genesys_cloud_simulator::{
    ClientState, FaultTarget,
    kubernetes::{Fault, FaultKind, Verb},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    look::{Held, shows},
    process::OPERATOR,
    rotating::{NAME, POLICY, monthly},
    scenario::once,
    world::{PATIENCE, Plan, World},
};

/// How often a cell is looked at. An even number of milliseconds: requests are carried out at odd ones.
const LOOK: Duration = Duration::from_secs(4);

/// What is going on when something fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Story {
    /// A second client replaces the first.
    Replace,
    /// The secret is reset in place.
    Regenerate,
    /// The old credential ends at once.
    Emergency,
    /// Taken back before the publish.
    AbortBefore,
    /// Taken back in the overlap.
    AbortAfter,
}

/// What fails: the so-and-so-manieth request from the annotation on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// Nothing: it counts the requests of both.
    Nothing,
    /// The operator ends after it was carried out by the Kubernetes API.
    EndAtKubernetes(u32),
    /// The operator ends after it was carried out by the platform.
    EndAtPlatform(u32),
    /// The answer of the Kubernetes API is lost.
    LoseKubernetes(u32),
    /// The answer of the platform is lost.
    LosePlatform(u32),
    /// The Kubernetes API refuses it, and carries nothing out.
    RefuseKubernetes(u32),
    /// Somebody else wrote before: of the updates of the Kubernetes API, the so-and-so-manieth.
    Conflict(u32),
    /// The platform refuses it with this status, and carries nothing out.
    RefusePlatform(u32, u16),
}

impl Strike {
    fn plant(self, world: &Arc<World>) {
        let kubernetes = |kind, skip| Fault::new(kind).user(OPERATOR).after(skip).times(1);
        match self {
            Self::Nothing => {}
            Self::EndAtKubernetes(skip) => world.end_after_any_kubernetes(skip),
            Self::EndAtPlatform(skip) => world.end_after_platform(u64::from(skip) + 1),
            Self::LoseKubernetes(skip) => {
                world.kubernetes.plant(kubernetes(FaultKind::LostResponse, skip));
            }
            Self::LosePlatform(skip) => world.lose_platform(u64::from(skip)),
            Self::RefuseKubernetes(skip) => {
                world.kubernetes.plant(kubernetes(FaultKind::Status(503), skip));
            }
            Self::Conflict(skip) => {
                world.kubernetes.plant(kubernetes(FaultKind::Conflict, skip).verb(Verb::Update));
            }
            Self::RefusePlatform(skip, status) => {
                world.simulator.plant(genesys_cloud_simulator::Fault::status(FaultTarget::Any, status).skipping(skip));
            }
        }
    }
}

/// A world in the middle of a story.
struct Cell<'a> {
    story: Story,
    world: &'a World,
    former: Held,
}

impl Cell<'_> {
    /// Starts the operator where it ended, and looks until something is there. What must hold at any time is asserted at each look.
    async fn until(&self, what: &str, probe: impl Fn(&World) -> bool) {
        let deadline = Instant::now() + PATIENCE * 2;
        loop {
            if !self.world.runs() {
                self.world.start();
            }
            self.holds();
            if probe(self.world) {
                return;
            }
            assert!(Instant::now() < deadline, "{:?} waited in vain for {what}: {:#}", self.story, self.world.status(NAME));
            tokio::time::sleep(LOOK).await;
        }
    }

    /// At any time: what is published works and is Ready, but for the outage of a Regenerate; two clients are active at most.
    fn holds(&self) {
        let active = self.world.clients_of(NAME).into_iter().filter(|client| client.state == ClientState::Active).count();
        assert!((1..=2).contains(&active), "{:?}: {active} clients are active", self.story);
        if self.story == Story::Regenerate {
            return;
        }
        assert!(self.world.published(NAME).is_some(), "{:?}: the published credential does not work", self.story);
        let object = self.world.object(NAME).expect("the object");
        assert!(shows(&object, "Ready=True/Available"), "{:?}: Ready is not True throughout: {:#}", self.story, object["status"]);
    }

    async fn act(&self) {
        let request = if self.story == Story::Emergency { "one/Emergency" } else { "one" };
        self.world.request(NAME, "rotate", request).await;
        let step = match self.story {
            Story::AbortBefore => "Verifying",
            Story::AbortAfter => "Draining",
            _ => return,
        };
        self.until(step, |world| world.status(NAME)["rotation"]["current"]["step"] == step).await;
        self.world.request(NAME, "abort", "no").await;
    }

    async fn ends_well(&self) {
        let result = if matches!(self.story, Story::AbortBefore | Story::AbortAfter) { "Aborted" } else { "Succeeded" };
        let ended = |status: &Value| status["rotation"]["current"].is_null() && status["lastRotation"]["result"] == result;
        self.until(result, |world| ended(&world.status(NAME)) && world.is_settled(NAME)).await;
        let held = self.world.held(NAME).expect("a credential");
        let last = self.world.status(NAME)["lastRotation"].clone();
        assert_eq!(last["request"], "one", "{last:#}");
        assert!(self.world.held("billing-rotation").is_none(), "the rotation Secret is gone");
        let same_client = held.client_id == self.former.client_id;
        match self.story {
            Story::Replace | Story::Emergency => assert!(!same_client && !self.world.works(&self.former)),
            Story::Regenerate => assert!(same_client && !self.world.works(&self.former)),
            Story::AbortBefore | Story::AbortAfter => assert!(held == self.former, "the former credential is in force"),
        }
    }
}

/// One cell: whether it was struck, and how many requests and updates the Kubernetes API saw, and how many calls the platform.
fn cell(story: Story, strike: Strike) -> (bool, [u32; 3]) {
    let (told, _) = once(Plan::new(40), async |world| {
        world.declare_policy(POLICY, &monthly()).await;
        let scim = story == Story::Regenerate;
        world.declare(NAME, &json!({ "scim": scim, "accessTokenValiditySeconds": 300, "rotationPolicyRef": { "name": POLICY } }));
        world.settles(NAME).await;
        let before = requests(world);
        strike.plant(world);
        let cell = Cell { story, world, former: world.held(NAME).expect("a credential") };
        cell.act().await;
        cell.ends_well().await;
        let after = requests(world);
        (world.no_fault_is_left(), [0, 1, 2].map(|index| after[index] - before[index]))
    });
    told
}

fn requests(world: &World) -> [u32; 3] {
    let log = world.kubernetes.log();
    let ours = || log.iter().filter(|request| request.user == OPERATOR);
    let counts = [ours().count(), ours().filter(|request| request.verb == Verb::Update).count(), world.simulator.calls().len()];
    counts.map(|count| u32::try_from(count).expect("few requests"))
}

/// Every so-and-so-manieth cell of a story, beginning at the first. The number of cells that were struck.
fn cells(story: Story, stride: usize) -> usize {
    let (_, [kubernetes, updates, platform]) = cell(story, Strike::Nothing);
    let at_kubernetes = |skip| [Strike::EndAtKubernetes(skip), Strike::LoseKubernetes(skip), Strike::RefuseKubernetes(skip)];
    let at_platform = |skip| {
        let refused = [429, 500, 503].map(|status| Strike::RefusePlatform(skip, status));
        [Strike::EndAtPlatform(skip), Strike::LosePlatform(skip)].into_iter().chain(refused)
    };
    let strikes =
        (0..kubernetes).flat_map(at_kubernetes).chain((0..updates).map(Strike::Conflict)).chain((0..platform).flat_map(at_platform));
    let strikes: Vec<Strike> = strikes.collect();
    let struck = strikes.iter().step_by(stride).filter(|strike| cell(story, **strike).0).count();
    println!("{story:?}: {struck} cells of {}, over {kubernetes} requests and {platform} calls", strikes.len());
    struck
}

/// In the suite every so-and-so-manieth cell is struck, at least so many of each story; the figures strike all of them.
const STRIDE: usize = 89;
const AT_LEAST: usize = 2;

#[test]
fn a_replace_survives() {
    assert!(cells(Story::Replace, STRIDE) >= AT_LEAST);
}

#[test]
fn a_regenerate_survives() {
    assert!(cells(Story::Regenerate, STRIDE) >= AT_LEAST);
}

#[test]
fn an_emergency_survives() {
    assert!(cells(Story::Emergency, STRIDE) >= AT_LEAST);
}

#[test]
fn an_abort_before_the_publish_survives() {
    assert!(cells(Story::AbortBefore, STRIDE) >= AT_LEAST);
}

#[test]
fn an_abort_in_the_overlap_survives() {
    assert!(cells(Story::AbortAfter, STRIDE) >= AT_LEAST);
}

/// Every cell of every story: minutes in a debug build.
#[test]
#[ignore = "`make figures FILTER=rotation` runs it, in a release build"]
fn figures_of_every_cell() {
    let stories = [Story::Replace, Story::Regenerate, Story::Emergency, Story::AbortBefore, Story::AbortAfter];
    let counts = stories.map(|story| (story, cells(story, 1)));
    for (story, count) in counts {
        println!("figure rotation.cells.{story:?} {count}");
    }
    let all: usize = counts.iter().map(|(_, count)| count).sum();
    println!("figure rotation.cells {all}");
    assert!(all >= 1000, "{all} cells");
}
