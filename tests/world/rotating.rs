//! What stories of rotations have in common: the policy, requests by people, and what the world shows of a rotation. It must not judge what it finds.

use genesys_cloud_simulator::ClientState;
use serde_json::{Value, json};

use crate::{
    objects::{self, Name, TEAM},
    world::World,
};

/// The resource of the clients.
pub const CLIENTS: &str = "genesysoauthclients";
/// The resource of the policies.
pub const POLICIES: &str = "genesysrotationpolicies";
/// The policy of stories that need one.
pub const POLICY: &str = "monthly";
/// The client of stories that need one.
pub const NAME: &str = "billing";

/// A policy of 30 days whose overlap lasts ten minutes.
pub fn monthly() -> Value {
    json!({ "interval": "30d", "overlap": { "minimum": "10m", "maximum": "20m" } })
}

impl World {
    /// Applies a policy to [`TEAM`], and waits until it holds.
    pub async fn declare_policy(&self, name: &str, spec: &Value) {
        self.apply(&objects::policy(name, spec));
        self.until(&format!("policy {name} to hold"), |world| {
            let policy = world.get(POLICIES, TEAM, name)?;
            let seen = policy["status"]["observedGeneration"] == policy["metadata"]["generation"];
            (seen && !policy["status"]["effectiveSince"].is_null()).then_some(())
        })
        .await;
    }

    /// The status of a client's object.
    pub fn status<'a>(&self, name: impl Into<Name<'a>>) -> Value {
        self.object(name).map(|object| object["status"].clone()).unwrap_or_default()
    }

    /// Asks for a rotation, an abort or another thing by annotation, as a person does.
    pub async fn request<'a>(&self, name: impl Into<Name<'a>>, what: &str, value: &str) {
        self.annotate(CLIENTS, name, &json!({ format!("oauth.genesys-operator.io/{what}"): value })).await;
    }

    /// The client in the Secret, if its credential works.
    pub fn published<'a>(&self, name: impl Into<Name<'a>>) -> Option<String> {
        let held = self.held(name)?;
        self.works(&held).then_some(held.client_id)
    }

    /// A client's state on the platform; none: it is gone.
    pub fn state_of(&self, id: &str) -> Option<ClientState> {
        self.simulator.client(id).map(|client| client.state)
    }

    /// Waits until the rotation of an object is at a step.
    pub async fn step<'a>(&self, name: impl Into<Name<'a>>, step: &str) {
        let name = name.into();
        self.until(step, |world| (world.status(name)["rotation"]["current"]["step"] == step).then_some(())).await;
    }

    /// Waits until the last rotation of an object ended like this.
    pub async fn result<'a>(&self, name: impl Into<Name<'a>>, result: &str) {
        let name = name.into();
        self.until(result, |world| (world.status(name)["lastRotation"]["result"] == result).then_some(())).await;
    }
}
