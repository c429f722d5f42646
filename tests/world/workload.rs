//! Workloads that live by a Secret: pods that read its mounted files again and again with a lag, or once at their start, and request tokens all the time.
//! They know nothing of the operator, and of a rotation only what a pod sees.

use std::{collections::BTreeMap, fmt, time::Duration};

use axum::{Router, body::Body};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use genesys_cloud_simulator::kubernetes::Progress;
use serde_json::Value;
use tokio::time::Instant;
use tower::ServiceExt as _;

use crate::{objects::TEAM, rotating::NAME, world::World};

/// The Deployment whose pods read the Secret at their start alone.
pub const DEPLOYMENT: &str = "web";
/// How long each of its two pods takes to start.
const POD_STARTS: Duration = Duration::from_secs(20);

/// The two files of the mounted Secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Files {
    id: String,
    secret: String,
}

impl Files {
    /// The files as the API has them now.
    fn read(world: &World) -> Option<Self> {
        let secret = world.get("secrets", TEAM, NAME)?;
        let file = |name: &str| String::from_utf8(STANDARD.decode(secret["data"][name].as_str()?).ok()?).ok();
        Some(Self { id: file("clientId")?, secret: file("clientSecret")? })
    }

    /// Requests a token with them.
    async fn request(&self, login_host: &Router) -> bool {
        let basic = STANDARD.encode(format!("{}:{}", self.id, self.secret));
        let request = http::Request::post("/oauth/token")
            .header("authorization", format!("Basic {basic}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from("grant_type=client_credentials"))
            .expect("a request");
        let Ok(answer) = login_host.clone().oneshot(request).await;
        answer.status().is_success()
    }
}

/// Who requests tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// It reads both files before each request, and sees what the API had so many seconds ago.
    Lagging(u64),
    /// It reads one file now and the other one at the next moment, and reads again once when it is refused.
    Torn,
    /// It is one of the pods of [`DEPLOYMENT`], and reads at its start.
    AtStart(usize),
}

impl fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lagging(lag) => write!(formatter, "lag-{lag}s"),
            Self::Torn => formatter.write_str("torn"),
            Self::AtStart(pod) => write!(formatter, "at-start-{pod}"),
        }
    }
}

/// Every reader.
pub const READERS: [Reader; 6] =
    [Reader::Lagging(0), Reader::Lagging(1), Reader::Lagging(60), Reader::Torn, Reader::AtStart(0), Reader::AtStart(1)];

/// All readers at work, and what became of their requests.
pub struct Workloads<'a> {
    world: &'a World,
    login_host: Router,
    /// What the API had, and since when; the oldest that a reader may still see is the first.
    past: Vec<(Instant, Files)>,
    /// What the reader of torn pairs saw at the moment before.
    first_look: Files,
    /// What each pod read at its start.
    pods: [Files; 2],
    /// The rollout under way: since when, and how many pods were replaced.
    rollout: Option<(Instant, usize)>,
    /// The restart that was carried out last.
    restart: Value,
    /// When the files changed last.
    pub changed: Instant,
    /// How often they changed.
    pub changes: usize,
    pub requests: usize,
    pub refused: usize,
    /// The readers that were refused at their last request, and since when.
    refused_since: BTreeMap<String, Instant>,
    /// The times from a first refusal to the next token, by reader.
    pub outages: BTreeMap<String, Vec<Duration>>,
    /// Pairs of one file of before and one of after that a second read healed.
    pub healed: usize,
}

impl<'a> Workloads<'a> {
    /// Workloads that begin now, by a Secret that is there.
    pub fn begin(world: &'a World) -> Self {
        let files = Files::read(world).expect("a Secret");
        let now = Instant::now();
        world.kubernetes.set_rollout("deployments", TEAM, DEPLOYMENT, Progress::Complete);
        Self {
            world,
            login_host: world.simulator.router(),
            past: vec![(now, files.clone())],
            first_look: files.clone(),
            pods: [files.clone(), files],
            rollout: None,
            restart: restart(world),
            changed: now,
            changes: 0,
            requests: 0,
            refused: 0,
            refused_since: BTreeMap::new(),
            outages: BTreeMap::new(),
            healed: 0,
        }
    }

    /// One moment: the kubelet and the Deployment's controller do their part, and every reader requests a token.
    pub async fn live(&mut self) {
        self.sync();
        self.roll();
        for reader in READERS {
            self.ask(reader).await;
        }
        self.first_look = self.newest().clone();
    }

    /// Whether no pod is on its way.
    pub fn have_rolled_out(&self) -> bool {
        self.rollout.is_none() && self.restart == restart(self.world)
    }

    fn newest(&self) -> &Files {
        &self.past.last().expect("never empty").1
    }

    fn sync(&mut self) {
        let now = Instant::now();
        // A Secret that is gone leaves the mounted files as they are.
        if let Some(files) = Files::read(self.world).filter(|files| files != self.newest()) {
            assert!(self.world.simulator.secret_works(&files.id, &files.secret), "the two keys of the Secret never belonged together");
            self.past.push((now, files));
            self.changed = now;
            self.changes += 1;
        }
        let longest = Duration::from_secs(60);
        while self.past.len() > 1 && self.past[1].0 + longest < now {
            self.past.remove(0);
        }
    }

    fn seen_since(&self, lag: u64) -> Files {
        let now = Instant::now();
        let lag = Duration::from_secs(lag);
        let seen = self.past.iter().rev().find(|(since, _)| *since + lag <= now);
        seen.unwrap_or(&self.past[0]).1.clone()
    }

    /// The Deployment's controller: the first pod is replaced, then the second one.
    fn roll(&mut self) {
        let (now, wanted) = (Instant::now(), restart(self.world));
        if self.restart != wanted {
            self.restart = wanted;
            self.rollout = Some((now, 0));
            self.tell(Progress::Updated(0));
        }
        let Some((since, replaced)) = self.rollout else { return };
        let pods = u32::try_from(replaced + 1).unwrap_or(u32::MAX);
        if now < since + POD_STARTS * pods {
            return;
        }
        self.pods[replaced] = self.newest().clone();
        let last = replaced + 1 == self.pods.len();
        self.rollout = (!last).then_some((since, replaced + 1));
        self.tell(if last { Progress::Complete } else { Progress::Updated(i64::from(pods)) });
    }

    fn tell(&self, progress: Progress) {
        self.world.kubernetes.set_rollout("deployments", TEAM, DEPLOYMENT, progress);
    }

    async fn ask(&mut self, reader: Reader) {
        let files = match reader {
            Reader::Lagging(lag) => self.seen_since(lag),
            // By turns the id is read first, or the secret.
            Reader::Torn if self.changes.is_multiple_of(2) => {
                Files { id: self.first_look.id.clone(), secret: self.newest().secret.clone() }
            }
            Reader::Torn => Files { id: self.newest().id.clone(), secret: self.first_look.secret.clone() },
            Reader::AtStart(pod) => self.pods[pod].clone(),
        };
        self.requests += 1;
        let mut taken = files.request(&self.login_host).await;
        if !taken && reader == Reader::Torn && files != *self.newest() {
            taken = self.newest().clone().request(&self.login_host).await;
            self.healed += usize::from(taken);
        }
        let (name, now) = (format!("{reader:?}"), Instant::now());
        if !taken {
            self.refused += 1;
            self.refused_since.entry(name).or_insert(now);
        } else if let Some(since) = self.refused_since.remove(&name) {
            self.outages.entry(name).or_default().push(now - since);
        }
    }
}

/// The annotation by which the operator restarts the Deployment.
fn restart(world: &World) -> Value {
    let workload = world.get("deployments", TEAM, DEPLOYMENT).expect("the Deployment");
    workload["spec"]["template"]["metadata"]["annotations"][format!("restart.oauth.genesys-operator.io/{NAME}")].clone()
}
