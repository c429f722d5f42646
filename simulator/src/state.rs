//! The whole state of the simulated platform and the changes that keep it consistent; it must not speak HTTP.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::audits::{self, Actor, Audit, Change};
use crate::calls::CallLog;
use crate::clients::{Clients, Handover, Spread};
use crate::clock::{earlier, later};
use crate::faults::Faults;
use crate::limits::Minute;
use crate::model::{ClientState, DomainEntityRef, GrantType, OAuthClient, RoleDivision};
use crate::organization::{self, Division, Role};
use crate::random::Chance;
use crate::settings::Settings;
use crate::tokens::{Subject, Tokens};

/// An integration credential. No `Debug`: its fields must not be printed.
#[derive(Clone)]
pub(crate) struct Credential {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) fields: BTreeMap<String, String>,
    pub(crate) created: Timestamp,
    pub(crate) modified: Timestamp,
}

/// A query whose results wait to be fetched.
#[derive(Debug, Clone)]
pub(crate) struct Execution {
    pub(crate) rows: Vec<Value>,
    /// The query as it was asked.
    pub(crate) request: Value,
    /// How many more times it is still running.
    pub(crate) running: u32,
}

/// Everything. One simulator is one organization.
pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) chance: Chance,
    pub(crate) clients: Clients,
    pub(crate) tokens: Tokens,
    pub(crate) roles: Vec<Role>,
    pub(crate) divisions: Vec<Division>,
    pub(crate) credentials: BTreeMap<String, Credential>,
    pub(crate) audits: Vec<Audit>,
    pub(crate) executions: BTreeMap<String, Execution>,
    pub(crate) faults: Faults,
    pub(crate) calls: CallLog,
    pub(crate) login_minute: Minute,
    pub(crate) organization_minute: Minute,
}

impl State {
    pub(crate) fn new(settings: Settings, now: Timestamp) -> Self {
        let chance = Chance::new(settings.seed);
        let roles = organization::roles(&settings);
        let mut clients = Clients::default();
        // It has been there for a year, so that nothing about it is fresh.
        let since = earlier(now, Duration::from_secs(365 * 86_400));
        let by = DomainEntityRef { id: settings.user_id.clone(), self_uri: format!("/api/v2/users/{}", settings.user_id) };
        let mut operator = OAuthClient {
            id: settings.operator_client_id.clone(),
            name: "genesys-oauth-operator".to_owned(),
            access_token_validity_seconds: settings.operator_token_validity_seconds,
            description: Some("The operator's own client".to_owned()),
            registered_redirect_uri: Vec::new(),
            role_ids: Vec::new(),
            date_created: since,
            date_modified: since,
            created_by: by.clone(),
            modified_by: by,
            authorized_grant_type: GrantType::ClientCredentials,
            scope: Vec::new(),
            role_divisions: organization::operator_grants(&roles, &settings),
            state: ClientState::Active,
            date_to_delete: None,
            self_uri: String::new(),
            unknown: serde_json::Map::new(),
        };
        operator.derive_members();
        clients.insert(operator, settings.operator_client_secret.as_str().to_owned(), since);
        Self {
            settings,
            chance,
            clients,
            tokens: Tokens::default(),
            roles,
            divisions: organization::divisions(),
            credentials: BTreeMap::new(),
            audits: Vec::new(),
            executions: BTreeMap::new(),
            faults: Faults::default(),
            calls: CallLog::default(),
            login_minute: Minute::default(),
            organization_minute: Minute::default(),
        }
    }

    /// Does what time alone does: clients whose `dateToDelete` has come are deleted.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        let due = self.clients.due(now);
        for id in due {
            self.delete_client(&id, &Actor::Platform, now);
        }
    }

    /// Stores a new client and returns its secret, which nothing shows again.
    pub(crate) fn create_client(&mut self, mut client: OAuthClient, actor: &Actor, now: Timestamp) -> String {
        client.derive_members();
        let secret = self.chance.secret();
        self.audit(Change::Create, actor, now, (None, Some(&client)));
        self.clients.insert(client, secret.clone(), now);
        secret
    }

    /// Stores a changed client.
    pub(crate) fn update_client(&mut self, mut client: OAuthClient, actor: &Actor, now: Timestamp) {
        client.derive_members();
        client.date_modified = now;
        client.modified_by = actor.reference();
        let before = self.clients.present(&client.id).cloned();
        let became = |state| client.state == state && before.as_ref().is_some_and(|before| before.state != state);
        if became(ClientState::Disabled) || (became(ClientState::Inactive) && self.settings.tokens_die_on_inactive) {
            self.tokens.revoke_all_of(&client.id);
        }
        self.audit(Change::Update, actor, now, (before.as_ref(), Some(&client)));
        self.clients.replace(client, now);
    }

    /// Deletes a client for good.
    pub(crate) fn delete_client(&mut self, id: &str, actor: &Actor, now: Timestamp) {
        let before = self.clients.present(id).cloned();
        if self.settings.tokens_die_on_delete {
            self.tokens.revoke_all_of(id);
        }
        self.audit(Change::Delete, actor, now, (before.as_ref(), None));
        self.clients.delete(id, now);
    }

    /// Gives a client a new secret and returns it.
    pub(crate) fn reset_secret(&mut self, id: &str, actor: &Actor, now: Timestamp) -> String {
        let secret = self.chance.secret();
        let handover = Handover {
            new_after: Duration::from_millis(self.settings.new_secret_login_milliseconds),
            old_for: Duration::from_millis(self.settings.old_secret_grace_milliseconds),
        };
        self.clients.set_secret(id, secret.clone(), now, handover);
        if self.settings.tokens_die_on_reset {
            self.tokens.revoke_all_of(id);
        }
        let before = self.clients.present(id).cloned();
        let mut after = before.clone();
        if let Some(client) = after.as_mut().filter(|_| self.settings.reset_touches_date_modified) {
            client.date_modified = now;
            client.modified_by = actor.reference();
            self.clients.replace(client.clone(), now);
        }
        self.audit(Change::ResetSecret, actor, now, (before.as_ref(), after.as_ref()));
        secret
    }

    fn audit(&mut self, change: Change, actor: &Actor, now: Timestamp, states: (Option<&OAuthClient>, Option<&OAuthClient>)) {
        let id = self.chance.id();
        let action = &self.settings.audit_actions[change as usize];
        self.audits.push(audits::message(&id, now, action, actor, states));
    }

    /// The roles that a caller holds and that work by now.
    pub(crate) fn working_grants(&mut self, client_id: &str, subject: Subject, now: Timestamp) -> Vec<RoleDivision> {
        match subject {
            Subject::User => organization::user_grants(&self.roles, &self.settings),
            Subject::Client => {
                let spread = Spread {
                    time: Duration::from_millis(self.settings.role_propagation_milliseconds),
                    pinned: Duration::from_millis(self.settings.stale_denial_milliseconds),
                };
                self.clients.spread_grants(client_id, now, spread)
            }
        }
    }

    /// Do these roles give this permission?
    pub(crate) fn gives(&self, grants: &[RoleDivision], permission: &str) -> bool {
        grants.iter().any(|grant| self.roles.iter().any(|role| role.id == grant.role_id && role.gives(permission)))
    }

    /// Does the login host take this secret of this client? It says nothing of the client's grant type.
    pub(crate) fn authenticates(&self, client_id: &str, secret: &str, now: Timestamp) -> bool {
        self.clients.record(client_id).is_some_and(|record| {
            let fresh = Duration::from_millis(self.settings.new_client_login_milliseconds);
            record.present().is_some_and(|client| client.state == ClientState::Active && later(client.date_created, fresh) <= now)
                && record.takes(secret, now)
        })
    }

    /// What the list shows: the past, if a setting says so.
    pub(crate) fn listed(&self, now: Timestamp) -> Vec<&OAuthClient> {
        match self.settings.list_propagation_milliseconds {
            0 => self.clients.all(),
            lag => self.clients.all_at(earlier(now, Duration::from_millis(lag))),
        }
    }

    /// What a read by id shows: the past, if a setting says so.
    pub(crate) fn readable(&self, id: &str, now: Timestamp) -> Option<&OAuthClient> {
        match self.settings.read_propagation_milliseconds {
            0 => self.clients.present(id),
            lag => self.clients.at(id, earlier(now, Duration::from_millis(lag))),
        }
    }
}
