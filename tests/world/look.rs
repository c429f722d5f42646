//! How tests look at a world and wait for it. Believes nothing that the operator says of itself where the world can be asked.

use std::{fmt::Write as _, time::Duration};

use genesys_cloud_simulator::{ClientState, OAuthClient, Operation};
use genesys_oauth_operator::{
    marker::{Marker, Owner},
    secret::{CLIENT_ID, CLIENT_SECRET_KEY},
};
use k8s_openapi::api::core::v1::Secret;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    objects::Name,
    process::is_operator,
    world::{CLUSTER, PATIENCE, World},
};

/// How often a test looks. An even number of milliseconds: requests are carried out at odd ones.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The longest that a rotation may take with its overlap and the life of its tokens.
const LONGEST_ROTATION: Duration = Duration::from_secs(10 * 86_400);
/// How often a test looks for the end of one.
const ROTATION_LOOK: Duration = Duration::from_secs(300);

/// A credential as a Secret holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct Held {
    /// The client's id.
    pub client_id: String,
    /// Its secret; none for a public client.
    pub client_secret: Option<String>,
}

/// A condition of an object.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// The message of a condition.
pub fn message<'a>(object: &'a Value, kind: &str) -> &'a str {
    condition(object, kind).and_then(|condition| condition["message"].as_str()).unwrap_or_default()
}

/// Whether an object shows `Type=Status` or `Type=Status/Reason` for its present generation.
pub fn shows(object: &Value, wanted: &str) -> bool {
    let (kind, wanted) = wanted.split_once('=').expect("a type and a status");
    let (status, reason) = wanted.split_once('/').map_or((wanted, None), |(status, reason)| (status, Some(reason)));
    let current = object["status"]["observedGeneration"] == object["metadata"]["generation"];
    let found = condition(object, kind);
    current && found.is_some_and(|found| found["status"] == status && reason.is_none_or(|reason| found["reason"] == reason))
}

/// All conditions in one line, for messages.
pub fn summary(object: Option<&Value>) -> String {
    let Some(object) = object else { return "there is no such object".to_owned() };
    let mut text = format!("generation {}, observed {}", object["metadata"]["generation"], object["status"]["observedGeneration"]);
    for condition in object["status"]["conditions"].as_array().into_iter().flatten() {
        // Writing to a String cannot fail.
        let _ = write!(text, ", {}={}/{} {}", condition["type"], condition["status"], condition["reason"], condition["message"]);
    }
    text
}

impl World {
    /// Waits until something is there, in the world's own time.
    pub async fn until<T>(&self, what: &str, probe: impl Fn(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = probe(self) {
                return found;
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}: {}", self.told());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// All conditions of all objects, for messages.
    fn told(&self) -> String {
        let objects = self.list("genesysoauthclients").into_iter().chain(self.list("genesysorganizations"));
        let lines: Vec<String> = objects.map(|object| format!("{}: {}", object["metadata"]["name"], summary(Some(&object)))).collect();
        lines.join("\n")
    }

    /// Waits until a client's object shows `Type=Status` or `Type=Status/Reason`.
    pub async fn client_shows<'a>(&self, name: impl Into<Name<'a>>, wanted: &str) -> Value {
        let name = name.into();
        self.until(&format!("{wanted} on {name:?}"), |world| world.object(name).filter(|object| shows(object, wanted))).await
    }

    /// Waits until a client's object is Stalled for a reason, with words in the message that a person can act on.
    pub async fn stalls<'a>(&self, name: impl Into<Name<'a>>, reason: &str, words: &[&str]) -> Value {
        let name = name.into();
        let object = self.client_shows(name, &format!("Stalled=True/{reason}")).await;
        let said = message(&object, "Stalled");
        for word in words {
            assert!(said.contains(word), "{name:?}: Stalled={reason} does not say '{word}': {said}");
        }
        assert!(shows(&object, &format!("Synced=False/{reason}")), "{name:?}: {}", summary(Some(&object)));
        object
    }

    /// Waits until the organization's object shows `Type=Status` or `Type=Status/Reason`.
    pub async fn organization_shows(&self, wanted: &str) -> Value {
        self.until(&format!("{wanted} on the organization"), |world| world.organization().filter(|object| shows(object, wanted))).await
    }

    /// Waits until a client's object is [`World::is_settled`].
    pub async fn settles<'a>(&self, name: impl Into<Name<'a>>) {
        let name = name.into();
        self.until(&format!("{name:?} to be settled"), |world| world.is_settled(name).then_some(())).await;
    }

    /// Waits until a client's object is [`World::is_gone`].
    pub async fn goes<'a>(&self, name: impl Into<Name<'a>>) {
        let name = name.into();
        self.until(&format!("{name:?} to be gone"), |world| world.is_gone(name).then_some(())).await;
    }

    /// The clients on the platform that carry an object's marker, oldest first.
    pub fn clients_of<'a>(&self, name: impl Into<Name<'a>>) -> Vec<OAuthClient> {
        let Name { namespace, name } = name.into();
        let owner = Owner::new(CLUSTER, namespace, name);
        self.simulator.other_clients().into_iter().filter(|client| marker(client).is_some_and(|marker| marker.owner == owner)).collect()
    }

    /// The one client of an object on the platform.
    pub fn client_of<'a>(&self, name: impl Into<Name<'a>>) -> OAuthClient {
        let mut clients = self.clients_of(name);
        assert_eq!(clients.len(), 1, "one client and not {clients:?}");
        clients.remove(0)
    }

    /// What the Secret of this name holds, if it is there and holds a credential.
    pub fn held<'a>(&self, secret: impl Into<Name<'a>>) -> Option<Held> {
        let Name { namespace, name } = secret.into();
        let secret: Secret = serde_json::from_value(self.get("secrets", namespace, name)?).ok()?;
        let annotations = secret.metadata.annotations?;
        let data = secret.data.unwrap_or_default();
        let text = |key: &String| data.get(key).map(|value| String::from_utf8_lossy(&value.0).into_owned());
        let client_id = annotations.get(CLIENT_ID)?.clone();
        Some(Held { client_id, client_secret: annotations.get(CLIENT_SECRET_KEY).filter(|key| !key.is_empty()).and_then(text) })
    }

    /// The name of the Secret that an object's status tells.
    pub fn secret_name(object: &Value) -> String {
        let told = object["status"]["binding"]["name"].as_str().or(object["metadata"]["name"].as_str());
        told.unwrap_or_default().to_owned()
    }

    /// Whether a credential works: the login host takes the secret, or the public client is there and active.
    pub fn works(&self, held: &Held) -> bool {
        match &held.client_secret {
            Some(secret) => self.simulator.secret_works(&held.client_id, secret),
            None => self.simulator.client(&held.client_id).is_some_and(|client| client.state == ClientState::Active),
        }
    }

    /// Settled: Ready and Synced at its present generation, nothing left to do, and one active client, whose credential works, in the Secret.
    pub fn is_settled<'a>(&self, name: impl Into<Name<'a>>) -> bool {
        let name = name.into();
        let Some(object) = self.object(name) else { return false };
        let retiring = object["status"]["retiring"].as_array().is_some_and(|clients| !clients.is_empty());
        let idle = object["status"]["intent"].is_null() && !retiring;
        if !idle || !shows(&object, "Ready=True/Available") || !shows(&object, "Synced=True/Matches") {
            return false;
        }
        let clients = self.clients_of(name);
        let one = clients.len() == 1 && clients[0].state == ClientState::Active && object["status"]["clientId"] == clients[0].id;
        let held = || self.held((name.namespace, Self::secret_name(&object).as_str()));
        one && held().is_some_and(|held| held.client_id == clients[0].id && self.works(&held))
    }

    /// Gone: neither the object nor a client nor a Secret of its name is left.
    pub fn is_gone<'a>(&self, name: impl Into<Name<'a>>) -> bool {
        let name = name.into();
        self.object(name).is_none() && self.clients_of(name).is_empty() && self.get("secrets", name.namespace, name.name).is_none()
    }

    /// Writes of the operator to the platform so far. A token is none.
    pub fn platform_writes(&self) -> usize {
        let calls = self.simulator.calls().into_iter();
        calls.filter(|call| call.committed && call.operation != Operation::GetToken).count()
    }

    /// Writes of the operator so far, to either side.
    pub fn writes(&self) -> usize {
        self.kubernetes.count_requests(|request| is_operator(&request.user) && request.wrote) + self.platform_writes()
    }

    /// Waits until no rotation is under way and no client is on its way to deletion: an overlap may last a day, tokens a week.
    pub async fn until_rotations_end(&self) {
        let deadline = Instant::now() + LONGEST_ROTATION;
        let lasts = |object: &Value| {
            let status = &object["status"];
            let retires = status["retiring"].as_array().is_some_and(|clients| !clients.is_empty());
            retires || !status["rotation"]["current"].is_null()
        };
        while self.list("genesysoauthclients").iter().any(lasts) {
            assert!(Instant::now() < deadline, "a rotation never ends: {}", self.told());
            tokio::time::sleep(ROTATION_LOOK).await;
        }
    }

    /// Waits until the operator has written nothing for so long.
    pub async fn quiet_for(&self, span: Duration) {
        let deadline = Instant::now() + PATIENCE * 4;
        let (mut writes, mut since) = (self.writes(), Instant::now());
        while since.elapsed() < span {
            assert!(
                Instant::now() < deadline,
                "the operator never comes to rest: {:#?}",
                self.kubernetes.log().iter().rev().take(6).collect::<Vec<_>>()
            );
            tokio::time::sleep(span / 20).await;
            let now = self.writes();
            if now != writes {
                (writes, since) = (now, Instant::now());
            }
        }
    }
}

/// The marker of a client.
pub fn marker(client: &OAuthClient) -> Option<Marker> {
    client.description.as_deref().and_then(Marker::parse)
}
