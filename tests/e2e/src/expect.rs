//! What a scenario may demand of its world, looked at from outside: the API server, the platform, a token. It must not
//! believe what the operator says of itself where the world can be asked.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use genesys_cloud_simulator::secrets::Secrets;
use serde_json::Value;

use crate::api::path;
use crate::harness::PATIENCE;
use crate::oauth::{client_credentials, default_names, field, token_info};
use crate::wait::{holds, until};
use crate::world::{World, decode};

/// A condition of an object.
#[must_use]
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// All conditions in one line, for messages: `Ready=True/Available …`.
#[must_use]
pub fn summary(object: &Value) -> String {
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let words: Vec<String> = conditions
        .iter()
        .map(|condition| format!("{}={}/{}", text(&condition["type"]), text(&condition["status"]), text(&condition["reason"])))
        .collect();
    let stalled = condition(object, "Stalled").filter(|stalled| stalled["status"] == "True").map(|stalled| text(&stalled["message"]));
    format!(
        "generation {} observed {}, intent {}, {} {}",
        object["metadata"]["generation"],
        object["status"]["observedGeneration"],
        object["status"]["intent"],
        words.join(" "),
        stalled.unwrap_or_default()
    )
}

/// Whether the operator has seen the present generation, and a condition is as wished.
#[must_use]
pub fn is(object: &Value, kind: &str, status: &str, reason: Option<&str>) -> bool {
    object["status"]["observedGeneration"] == object["metadata"]["generation"]
        && condition(object, kind).is_some_and(|found| found["status"] == status && reason.is_none_or(|reason| found["reason"] == reason))
}

/// Waits until the world's organization has a condition.
pub async fn organization(world: &World, kind: &str, status: &str, reason: Option<&str>) -> Result<Value> {
    let place = path(None, "genesysorganizations", &world.name);
    wait_for(world, &place, kind, status, reason).await
}

/// Waits until the organization's inventory tells of so many clients of objects, by scans that are asked for.
pub async fn inventory(world: &World, managed: usize) -> Result<()> {
    let place = path(None, "genesysorganizations", &world.name);
    let mut asked = 0;
    until(&format!("an inventory of {managed} clients"), PATIENCE, || {
        asked += 1;
        let request = format!("oauth.genesys-operator.io/reconcile=look-{}", asked / 30);
        let place = &place;
        async move {
            world.kubectl.ok(&["annotate", "gorg", &world.name, "--overwrite", &request]).await?;
            let object = world.harness.api.get(place).await?.unwrap_or_default();
            let told = &object["status"]["inventory"]["managed"];
            Ok(if told.as_u64() == u64::try_from(managed).ok() { Ok(()) } else { Err(format!("it tells of {told}")) })
        }
    })
    .await
}

/// Waits until a client object has a condition for its present generation; returns the object.
pub async fn client(world: &World, name: &str, kind: &str, status: &str, reason: Option<&str>) -> Result<Value> {
    let place = path(Some(&world.name), "genesysoauthclients", name);
    wait_for(world, &place, kind, status, reason).await
}

async fn wait_for(world: &World, place: &str, kind: &str, status: &str, reason: Option<&str>) -> Result<Value> {
    until(&format!("{kind}={status}/{} on {place}", reason.unwrap_or("*")), PATIENCE, || async {
        let object = world.harness.api.get(place).await?;
        Ok(match object {
            Some(object) if is(&object, kind, status, reason) => Ok(object),
            Some(object) => Err(summary(&object)),
            None => Err("no such object".to_owned()),
        })
    })
    .await
}

/// Whether the object is done: its present generation observed, Ready, Synced, no intent open, nothing retiring.
#[must_use]
pub fn is_done(object: &Value) -> bool {
    let retiring = object["status"]["retiring"].as_array().is_some_and(|all| !all.is_empty());
    is(object, "Ready", "True", None) && is(object, "Synced", "True", None) && object["status"]["intent"].is_null() && !retiring
}

/// Waits until the object is done: its present generation observed, Ready, Synced, no intent open, nothing retiring.
pub async fn done(world: &World, name: &str) -> Result<Value> {
    until(&format!("{name} to be Ready and Synced, with nothing left to do"), PATIENCE, || async {
        let Some(object) = world.object(name).await? else { return Ok(Err("no such object".to_owned())) };
        Ok(if is_done(&object) { Ok(object) } else { Err(summary(&object)) })
    })
    .await
}

/// Demands that exactly one client stands on the platform: active, with this object's marker at the end of its
/// description, the one that status names and whose credential the Secret holds. The Secret's credential gets a token.
pub async fn one_client(world: &World, name: &str) -> Result<Value> {
    let object = world.object(name).await?.with_context(|| format!("no object {name}"))?;
    let clients = world.simulator.clients().await?;
    let mine: Vec<&Value> = clients.iter().filter(|client| carries_marker_of(client, &object)).collect();
    let [found] = mine.as_slice() else {
        bail!("{} clients carry the marker of {name}: {}", mine.len(), serde_json::to_string(&mine)?);
    };
    ensure!(found["state"] == "active", "the client is {}", found["state"]);
    ensure!(found["id"] == object["status"]["clientId"], "status names {}, not {}", object["status"]["clientId"], found["id"]);
    let secret_name = object["status"]["binding"]["name"].as_str().unwrap_or(name);
    let secret = world.secret(secret_name).await?.with_context(|| format!("no Secret {secret_name}"))?;
    let data = default_names(&world.direct(&secret)?);
    ensure!(found["id"] == field(&data, "clientId")?, "the Secret holds another client than {}", found["id"]);
    ensure!(
        secret["metadata"]["annotations"]["oauth.genesys-operator.io/revision"].as_str().map(str::to_owned)
            == object["status"]["revision"].as_i64().map(|revision| revision.to_string()),
        "the Secret has revision {}, status has {}",
        secret["metadata"]["annotations"]["oauth.genesys-operator.io/revision"],
        object["status"]["revision"]
    );
    if found["authorizedGrantType"] == "CLIENT-CREDENTIALS" {
        let reply = client_credentials(&world.harness.http, &data).await?;
        let info = token_info(&world.harness.http, &data, reply.token()?).await?;
        ensure!(info.body["OAuthClient"]["id"] == found["id"], "the token belongs to {}", info.body["OAuthClient"]["id"]);
    }
    Ok((*found).clone())
}

/// Demands [`one_client`], and that no other client stands on the platform of this world of one object.
pub async fn only_client(world: &World, name: &str) -> Result<Value> {
    let found = one_client(world, name).await?;
    let all = world.simulator.clients().await?;
    ensure!(all.len() == 1, "{} clients on the platform instead of one: {}", all.len(), serde_json::to_string(&all)?);
    Ok(found)
}

/// Demands that `demand` comes true within the patience, and then stays true for `span`.
pub async fn comes_and_stays<F, Fut>(what: &str, span: Duration, mut demand: F) -> Result<()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<()>>,
{
    until(what, PATIENCE, || {
        let look = demand();
        async move { Ok(look.await.map_err(|error| format!("{error:#}"))) }
    })
    .await?;
    holds(span, demand).await.with_context(|| format!("{what}: it came true and did not last"))
}

/// Waits until the object, its Secret and its clients are gone; then they stay gone.
pub async fn all_gone(world: &World, name: &str) -> Result<()> {
    comes_and_stays(&format!("{name} to leave nothing"), Duration::from_secs(1), || async move {
        if let Some(object) = world.object(name).await? {
            bail!("the object is there: {}", summary(&object));
        }
        ensure!(world.secret(name).await?.is_none(), "the Secret is there");
        let clients = world.simulator.clients().await?;
        ensure!(clients.is_empty(), "clients are left: {}", serde_json::to_string(&clients)?);
        Ok(())
    })
    .await
}

/// Every secret and token that passed the world's proxies, every present credential, and that of the operator's account.
pub async fn secrets(world: &World) -> Result<Secrets> {
    let mut secrets = Secrets::default();
    world.recorder.secrets().iter().for_each(|secret| secrets.learn(secret));
    secrets.learn(crate::simulator::OPERATOR_SECRET);
    secrets.learn(&world.token);
    for secret in world.harness.api.list(&path(Some(&world.name), "secrets", "")).await? {
        decode(&secret)?.remove("clientSecret").iter().for_each(|secret| secrets.learn(secret));
    }
    Ok(secrets)
}

/// Demands that no operator panicked, and that no secret stands in an operator's log, as it is or encoded.
pub async fn logs_are_clean(world: &World) -> Result<()> {
    let logs = world.operator_logs();
    ensure!(!logs.contains("panicked at"), "an operator panicked, see {}", world.folder().display());
    let leaks = secrets(world).await?.are_in(&logs);
    ensure!(!leaks, "a secret stands in the operator's log, see {}", world.folder().display());
    Ok(())
}

/// Whether the client's description ends with a marker whose object part belongs to this object.
///
/// The second part is the first 12 hex digits of the SHA-256 of `namespace/name`.
#[must_use]
pub fn carries_marker_of(client: &Value, object: &Value) -> bool {
    use sha2::{Digest as _, Sha256};
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let identity = format!("{}/{}", text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]));
    let digest = Sha256::digest(identity.as_bytes()).iter().take(6).fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    let description = text(&client["description"]);
    let Some((_, marker)) = description.rsplit_once("[k8s:") else { return false };
    let parts: Vec<&str> = marker.trim_end_matches(']').split('/').collect();
    marker.ends_with(']') && parts.len() == 3 && parts[1] == digest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_marker_counts_only_at_the_end_and_for_its_object() {
        let object = json!({ "metadata": { "namespace": "team-a", "name": "reporting" } });
        let with = |description: &str| json!({ "description": description });
        let digest = "85fc26b5424b";
        let right = carries_marker_of(&with(&format!("text [k8s:000000000000/{digest}/abcdefghij]")), &object);
        let late = carries_marker_of(&with(&format!("[k8s:000000000000/{digest}/abcdefghij] text")), &object);
        let other = carries_marker_of(&with("[k8s:000000000000/000000000000/abcdefghij]"), &object);
        assert!(!late && !other);
        assert!(right, "the digest of team-a/reporting");
    }
}
