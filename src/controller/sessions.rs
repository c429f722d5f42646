//! The organizations that this process is logged in to. Kept by the organization's reconciler, read by the clients' passes; makes no call itself.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    organization::{
        survey::{Survey, is_stale},
        usage_survey::UsageSurvey,
    },
    snapshot::Snapshot,
};
use crate::{
    api::{GenesysOrganization, organization::CredentialsSecretRef},
    genesys::{ClientCredential, Directory, Platform, Scanner, Work},
};

/// A working connection to one organization.
#[derive(Clone, Debug)]
pub struct Session {
    /// Grows with each new session, so that a pause ends when an organization recovers.
    pub version: u64,
    /// The platform, as this organization's credential sees it.
    pub platform: Platform,
    /// Shared scans.
    pub scanner: Scanner,
    /// How far the scans were compared with the objects.
    pub survey: Survey,
    /// Roles, divisions and scopes.
    pub directory: Directory,
    /// The credential, to see whether it changed.
    pub credential: ClientCredential,
    /// The platform's id of the organization.
    pub organization_id: String,
    /// The uid of the object that it was opened for, its region and its credential.
    pub opened_for: (Option<String>, String, CredentialsSecretRef),
}

impl Session {
    /// Whether the session was opened for an object as it is now; after an edit it must be opened anew first.
    #[must_use]
    pub fn serves(&self, organization: &GenesysOrganization) -> bool {
        let expected = organization.spec.expected_organization_id.as_ref();
        self.opened_for == opened_for(organization) && expected.is_none_or(|expected| *expected == self.organization_id)
    }

    /// The newest scan, indexed.
    #[must_use]
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.scanner.last().map(|scan| self.survey.index(scan))
    }

    /// The same session, whose calls wait in the place of this work.
    #[must_use]
    pub fn for_work(&self, work: Work) -> Arc<Self> {
        let (platform, scanner) = (self.platform.for_work(work.clone()), self.scanner.for_work(work));
        Arc::new(Self { platform, scanner, ..self.clone() })
    }

    /// The id of the operator's own client.
    #[must_use]
    pub fn own_client_id(&self) -> &str {
        &self.credential.client_id
    }
}

/// What of an organization's object a session depends on.
#[must_use]
pub fn opened_for(organization: &GenesysOrganization) -> (Option<String>, String, CredentialsSecretRef) {
    (organization.metadata.uid.clone(), organization.spec.region.clone(), organization.spec.credentials_secret_ref.clone())
}

/// How it stands with an organization.
#[derive(Clone, Debug)]
pub enum Standing {
    /// This process has not looked at it yet.
    NotYet,
    /// It can't be worked now; says why.
    NotReady {
        /// Why not.
        message: String,
        /// The platform with its token source and budget, which must outlive a failed log-in.
        platform: Option<Platform>,
        /// Grows with each change.
        version: u64,
    },
    /// It can be worked.
    Ready(Arc<Session>),
}

/// The organizations of this process, by the name of their object.
#[derive(Debug)]
pub struct Sessions {
    standings: Mutex<HashMap<String, Standing>>,
    versions: std::sync::atomic::AtomicU64,
    doubts: Notify,
    doubts_so_far: Mutex<HashMap<String, u64>>,
    surveys: Notify,
    /// When the scan of each organization was begun that was compared last.
    scans: Mutex<HashMap<String, Instant>>,
    /// What was found out about the usage of their clients; it outlives a session.
    usages: Mutex<HashMap<String, UsageSurvey>>,
    started: Instant,
    closed: AtomicBool,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            standings: Mutex::default(),
            versions: std::sync::atomic::AtomicU64::default(),
            doubts: Notify::default(),
            doubts_so_far: Mutex::default(),
            surveys: Notify::default(),
            scans: Mutex::default(),
            usages: Mutex::default(),
            started: Instant::now(),
            closed: AtomicBool::new(false),
        }
    }
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Standing>> {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it stands with an organization.
    #[must_use]
    pub fn standing(&self, name: &str) -> Standing {
        self.lock().get(name).cloned().unwrap_or(Standing::NotYet)
    }

    /// The number for a new session.
    pub fn next_version(&self) -> u64 {
        self.versions.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1
    }

    /// Notes a working session.
    pub fn open(&self, name: &str, session: Session) -> Arc<Session> {
        let session = Arc::new(session);
        let mut standings = self.lock();
        if self.closed.load(Ordering::Relaxed) {
            session.platform.close();
        }
        standings.insert(name.to_owned(), Standing::Ready(session.clone()));
        session
    }

    /// Lets no call wait for its slot any more, in no organization: this process is stopping.
    pub fn close_budgets(&self) {
        let standings = self.lock();
        self.closed.store(true, Ordering::Relaxed);
        for standing in standings.values() {
            match standing {
                Standing::Ready(session) => session.platform.close(),
                Standing::NotReady { platform: Some(platform), .. } => platform.close(),
                Standing::NotYet | Standing::NotReady { .. } => {}
            }
        }
    }

    /// Notes that an organization can't be worked, and why.
    pub fn close(&self, name: &str, message: &str, platform: Option<Platform>) {
        let mut standings = self.lock();
        let version = match standings.get(name) {
            Some(Standing::NotReady { message: known, version, .. }) if known == message => *version,
            _ => self.next_version(),
        };
        standings.insert(name.to_owned(), Standing::NotReady { message: message.to_owned(), platform, version });
    }

    /// Forgets an organization that is gone.
    pub fn forget(&self, name: &str) {
        self.lock().remove(name);
        self.doubts_so_far.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        self.scans.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        self.usages.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Asks the organizations' reconciler to look at this one again: the platform refused the operator's own credential, or does not answer.
    pub fn doubt(&self, name: &str) {
        *self.doubts_so_far.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default() += 1;
        self.doubts.notify_one();
    }

    /// How often somebody doubted an organization.
    #[must_use]
    pub fn doubts(&self, name: &str) -> u64 {
        self.doubts_so_far.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied().unwrap_or_default()
    }

    /// Resolves when somebody doubts an organization.
    pub async fn doubted(&self) {
        self.doubts.notified().await;
    }

    /// Says that a scan ended, well or not.
    pub fn surveyed(&self) {
        self.surveys.notify_one();
    }

    /// Resolves when a scan ended.
    pub async fn survey_ended(&self) {
        self.surveys.notified().await;
    }

    /// What was found out about the usage of an organization's clients.
    #[must_use]
    pub fn usage(&self, name: &str) -> UsageSurvey {
        self.usages.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default().clone()
    }

    /// Notes when the scan was begun that was compared last.
    pub fn scanned(&self, name: &str, begun: Instant) {
        self.scans.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), begun);
    }

    /// The time from which on an organization is without a scan: that of the last one, or when this process began to work.
    #[must_use]
    pub fn unscanned_since(&self, name: &str) -> Instant {
        self.scan_begun(name).unwrap_or(self.started)
    }

    /// When the scan was begun that was compared last; none before the first of this process.
    #[must_use]
    pub fn scan_begun(&self, name: &str) -> Option<Instant> {
        self.scans.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    /// Whether the last scan of an organization is too old to say anything; before the first one of this process, what was said is kept for as long.
    #[must_use]
    pub fn scan_is_stale(&self, name: &str, interval: Duration) -> bool {
        is_stale(self.unscanned_since(name), interval, Instant::now())
    }
}
