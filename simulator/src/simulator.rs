//! The simulator as a value: one organization of the platform that tests hold in their hands; it must not speak HTTP.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::Value;

use crate::audits::Actor;
use crate::calls::Call;
use crate::clock::Clock;
use crate::exchange::{Reply, Request};
use crate::faults::{Fault, FaultKind};
use crate::model::OAuthClient;
use crate::operations::{Access, Operation};
use crate::organization::{self, OPERATOR_ROLE_ID, Role};
use crate::settings::{SecretText, Settings};
use crate::state::{Credential, State};
use crate::{api, login};

/// One organization of Genesys Cloud, in memory. Clones share it.
#[derive(Clone)]
pub struct Simulator {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
}

/// Why an edit by hand was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// There is no such client.
    #[error("there is no client {0}")]
    NoSuchClient(String),
    /// The edited client is none.
    #[error("that is no OAuth client: {0}")]
    NotAClient(#[from] serde_json::Error),
}

#[allow(clippy::must_use_candidate, reason = "these methods change the organization, and what they return may be ignored")]
impl Simulator {
    /// A fresh organization that has the operator's own client and nothing else.
    #[must_use]
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Self {
        let state = State::new(settings, clock.now());
        Self { state: Arc::new(Mutex::new(state)), clock }
    }

    /// The present moment on the simulator's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// All clients, oldest first, the operator's own too.
    #[must_use]
    pub fn clients(&self) -> Vec<OAuthClient> {
        self.settled().clients.all().into_iter().cloned().collect()
    }

    /// All clients but the operator's own, oldest first.
    #[must_use]
    pub fn other_clients(&self) -> Vec<OAuthClient> {
        let operator = self.settings().operator_client_id;
        self.clients().into_iter().filter(|client| client.id != operator).collect()
    }

    /// A client by its id.
    #[must_use]
    pub fn client(&self, id: &str) -> Option<OAuthClient> {
        self.settled().clients.present(id).cloned()
    }

    /// Edits a client as a person in the admin UI, or the platform's support, would: by a JSON merge patch, with no rule in the
    /// way. Roles are edited as `roleDivisions`; the deprecated `roleIds` follow from them.
    pub fn edit_client(&self, id: &str, patch: &Value) -> Result<OAuthClient, EditError> {
        let now = self.now();
        let mut state = self.settled();
        let client = state.clients.present(id).ok_or_else(|| EditError::NoSuchClient(id.to_owned()))?;
        let mut json = client.json();
        merge(&mut json, patch);
        json["id"] = Value::from(id);
        let client: OAuthClient = serde_json::from_value(json)?;
        let actor = Actor::User(state.settings.user_id.clone());
        state.update_client(client, &actor, now);
        state.clients.present(id).cloned().ok_or_else(|| EditError::NoSuchClient(id.to_owned()))
    }

    /// Creates a client as a person in the admin UI would, and returns it with its secret. The members are those of
    /// `OAuthClientRequest`; `name` and `authorizedGrantType` are needed.
    pub fn add_client(&self, members: &Value) -> Result<(OAuthClient, String), EditError> {
        let now = self.now();
        let mut state = self.settled();
        let actor = Actor::User(state.settings.user_id.clone());
        let by = serde_json::to_value(actor.reference())?;
        let mut json = serde_json::json!({
            "accessTokenValiditySeconds": 86_400,
            "dateCreated": crate::clock::iso(now),
            "dateModified": crate::clock::iso(now),
            "createdBy": by,
            "modifiedBy": by,
            "state": "active",
        });
        merge(&mut json, members);
        if json.get("id").is_none() {
            json["id"] = Value::from(state.chance.id());
        }
        let client: OAuthClient = serde_json::from_value(json)?;
        let id = client.id.clone();
        let secret = state.create_client(client, &actor, now);
        let client = state.clients.present(&id).cloned().ok_or(EditError::NoSuchClient(id))?;
        Ok((client, secret))
    }

    /// Removes a client as a person would, at once and for good. Says whether there was one.
    pub fn remove_client(&self, id: &str) -> bool {
        let now = self.now();
        let mut state = self.settled();
        let exists = state.clients.present(id).is_some();
        if exists {
            let actor = Actor::User(state.settings.user_id.clone());
            state.delete_client(id, &actor, now);
        }
        exists
    }

    /// Resets a client's secret as a person would, and returns the new one.
    pub fn reset_secret(&self, id: &str) -> Option<String> {
        let now = self.now();
        let mut state = self.settled();
        state.clients.present(id)?;
        let actor = Actor::User(state.settings.user_id.clone());
        Some(state.reset_secret(id, &actor, now))
    }

    /// Would the login host take this secret of this client now? Costs no token and no call.
    #[must_use]
    pub fn secret_works(&self, id: &str, secret: &str) -> bool {
        self.settled().authenticates(id, secret, self.now())
    }

    /// Creates an integration credential as a person would, of a type such as `pureCloudOAuthClient`, and returns its id.
    pub fn add_integration_credential(&self, name: &str, kind: &str, fields: BTreeMap<String, String>) -> String {
        let now = self.now();
        let mut state = self.settled();
        let id = state.chance.id();
        let credential = Credential { id: id.clone(), name: name.into(), kind: kind.into(), fields, created: now, modified: now };
        state.credentials.insert(id.clone(), credential);
        id
    }

    /// Writes the fields of an integration credential as a person would. Says whether there was one.
    pub fn edit_integration_credential(&self, id: &str, fields: BTreeMap<String, String>) -> bool {
        let now = self.now();
        let mut state = self.settled();
        let found = state.credentials.get_mut(id);
        found
            .map(|credential| {
                credential.fields = fields;
                credential.modified = now;
            })
            .is_some()
    }

    /// Do the client id and secret that this integration credential carries work now?
    #[must_use]
    pub fn credential_works(&self, credential_id: &str) -> bool {
        let state = self.settled();
        let field = |name: &str| {
            state.credentials.get(credential_id).and_then(|credential| credential.fields.get(name)).cloned().unwrap_or_default()
        };
        state.authenticates(&field("clientId"), &field("clientSecret"), self.now())
    }

    /// How many tokens of this client are alive.
    #[must_use]
    pub fn tokens_alive(&self, client_id: &str) -> usize {
        self.settled().tokens.alive_of(client_id, self.now())
    }

    /// Plants a fault and returns its number.
    pub fn plant(&self, fault: Fault) -> u64 {
        self.settled().faults.plant(fault)
    }

    /// The planted faults that are not spent.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        self.settled().faults.all().to_vec()
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.settled().faults.clear();
    }

    /// Removes one fault. Says whether there was one.
    pub fn remove_fault(&self, id: u64) -> bool {
        self.settled().faults.remove(id)
    }

    /// The calls so far, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.calls_since(0)
    }

    /// The calls after this number, oldest first.
    #[must_use]
    pub fn calls_since(&self, sequence: u64) -> Vec<Call> {
        self.settled().calls.since(sequence).cloned().collect()
    }

    /// What was changed of OAuth clients, by whom, oldest first: the messages of the audit API. No secret is in them.
    #[must_use]
    pub fn audits(&self) -> Vec<Value> {
        self.settled().audits.iter().map(|audit| audit.body.clone()).collect()
    }

    /// A digest of all calls in their order.
    #[must_use]
    pub fn trace_hash(&self) -> String {
        self.lock().calls.digest()
    }

    /// A digest of all clients and of who may log in with which secret.
    #[must_use]
    pub fn state_hash(&self) -> String {
        self.settled().clients.digest()
    }

    /// The settings as they are.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.lock().settings.clone()
    }

    /// Changes the settings. What only matters at the start (seed, ids, the operator's client) has no effect any more.
    pub fn update_settings(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.lock().settings);
    }

    /// Changes what the operator's own client may do; what is `None` stays. Roles are named by name or id, and a new
    /// one takes `rolePropagationMilliseconds` to work; what is taken away is gone at once, and permissions change at once.
    pub fn set_operator(&self, permissions: Option<Vec<String>>, roles: Option<Vec<String>>, secret: Option<SecretText>) {
        let now = self.now();
        let mut state = self.settled();
        if let Some(permissions) = permissions {
            state.settings.operator_permissions.clone_from(&permissions);
            if let Some(role) = state.roles.iter_mut().find(|role| role.id == OPERATOR_ROLE_ID) {
                role.permissions = permissions;
            }
        }
        if roles.is_some() {
            state.settings.operator_roles = roles;
        }
        let id = state.settings.operator_client_id.clone();
        let grants = organization::operator_grants(&state.roles, &state.settings);
        if let Some(client) = state.clients.present(&id).filter(|client| client.role_divisions != grants).cloned() {
            let actor = Actor::User(state.settings.user_id.clone());
            state.update_client(OAuthClient { role_divisions: grants, ..client }, &actor, now);
        }
        if let Some(secret) = secret {
            let at_once = crate::clients::Handover { new_after: std::time::Duration::ZERO, old_for: std::time::Duration::ZERO };
            state.clients.set_secret(&id, secret.as_str().to_owned(), now, at_once);
            state.settings.operator_client_secret = secret;
        }
    }

    /// Adds a role to the organization and returns its id.
    pub fn add_role(&self, name: &str, permissions: Vec<String>) -> String {
        let mut state = self.settled();
        let id = state.chance.id();
        let role = Role { id: id.clone(), name: name.to_owned(), description: String::new(), permissions, built_in: None };
        state.roles.push(role);
        id
    }

    /// Removes a role from the organization. Says whether there was one.
    pub fn remove_role(&self, id: &str) -> bool {
        let mut state = self.settled();
        let before = state.roles.len();
        state.roles.retain(|role| role.id != id);
        state.roles.len() < before
    }

    /// The id of a role by its name.
    #[must_use]
    pub fn role_id(&self, name: &str) -> Option<String> {
        self.lock().roles.iter().find(|role| role.name == name).map(|role| role.id.clone())
    }

    /// The id of a division by its name.
    #[must_use]
    pub fn division_id(&self, name: &str) -> Option<String> {
        self.lock().divisions.iter().find(|division| division.name == name).map(|division| division.id.clone())
    }

    /// Carries out a call.
    pub(crate) fn carry_out(&self, request: &Request) -> Reply {
        let now = self.now();
        let mut state = self.settled();
        match request.rule.access {
            Access::Public => login::answer(&mut state, now, request),
            Access::Token | Access::Any(_) | Access::All(_) => api::answer(&mut state, now, request),
        }
    }

    /// Writes a call into the log. `status` is none if no answer was sent.
    pub(crate) fn log(&self, request: &Request, reply: Option<&Reply>, status: Option<u16>, fault: Option<FaultKind>) {
        let call = Call {
            sequence: 0,
            time: self.now(),
            operation: request.rule.operation,
            method: request.method.to_string(),
            path: request.path.clone(),
            caller: reply.and_then(|reply| reply.caller.clone()),
            target: reply.and_then(|reply| reply.target.clone()),
            status,
            committed: reply.is_some_and(|reply| reply.committed),
            fault,
        };
        tracing::info!(operation = %call.operation, method = call.method, path = call.path, status, ?fault, committed = call.committed, "call");
        let mut state = self.lock();
        let limit = state.settings.call_log_limit;
        state.calls.record(call, request.rule.template, limit);
    }

    /// The fault for this call, if one is due.
    pub(crate) fn strike(&self, operation: Operation) -> Option<Fault> {
        self.lock().faults.strike(operation)
    }

    /// A new id for the correlation of a reply.
    pub(crate) fn correlation_id(&self) -> String {
        self.lock().chance.id()
    }

    /// The state, with everything done that time alone does.
    pub(crate) fn settled(&self) -> MutexGuard<'_, State> {
        let now = self.now();
        let mut state = self.lock();
        state.settle(now);
        state
    }

    /// A panic in a handler must not hide the state from the test that looks into it afterwards.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// RFC 7396.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    if let Value::Object(members) = target {
        for (name, change) in changes {
            if change.is_null() {
                members.remove(name);
            } else {
                merge(members.entry(name.clone()).or_insert(Value::Null), change);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_merge_patch_replaces_removes_and_adds() {
        let mut target = json!({"a": 1, "b": {"c": 2, "d": 3}});
        merge(&mut target, &json!({"a": null, "b": {"c": [4]}, "e": {"f": null}}));
        assert_eq!(target, json!({"b": {"c": [4], "d": 3}, "e": {}}));
    }
}
