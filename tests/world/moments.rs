//! Objects at moments of their lives, as the operator wrote them: `tests/gitops/golden` holds them, and `tests/gitops` shows what GitOps tools make of
//! them. Times and ids are made the same, so that a golden file changes only when a user would see a change. To write them anew:
//! `GOLDEN=write cargo test --test world moments`. It must not judge a moment.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use genesys_cloud_simulator::{Fault, OPERATOR_CLIENT_SECRET, Operation};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    adoption::{by_secret, found, kept},
    drift,
    look::{shows, summary},
    mishaps::{edit, minutes},
    objects::{self, TEAM},
    rotating::{CLIENTS, NAME, POLICIES, POLICY, monthly},
    scenario::measured,
    world::World,
};

const ORGANIZATIONS: &str = "genesysorganizations";
/// The time that stands for every other one.
const ANY_TIME: &str = "2026-01-05T08:00:00Z";

/// The objects of some moments, as they are kept.
#[derive(Default)]
struct Album(BTreeMap<String, Value>);

impl Album {
    /// Keeps an object under the name of a moment.
    fn keep(&mut self, moment: &str, object: Value) {
        let twice = self.0.insert(moment.to_owned(), normal(object));
        assert!(twice.is_none(), "{moment} is kept twice");
    }

    /// Waits until an object shows all of this, and keeps it. The moment may last no longer than a request: looks between any two of them.
    async fn catch(&mut self, world: &World, moment: &str, (resource, name): (&str, &str), wanted: &[&str]) {
        let namespace = if resource == ORGANIZATIONS { "" } else { TEAM };
        let (deadline, mut version) = (Instant::now() + Duration::from_secs(6 * 3600), 0);
        loop {
            let now = world.kubernetes.resource_version();
            let object = (now != version).then(|| world.get(resource, namespace, name)).flatten();
            version = now;
            if let Some(object) = object.as_ref().filter(|object| wanted.iter().all(|wanted| shows(object, wanted))) {
                return self.keep(moment, object.clone());
            }
            let seen = || summary(world.get(resource, namespace, name).as_ref());
            assert!(Instant::now() < deadline, "{moment} was never seen: {}", seen());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// The same object with one time for all, ids by number, and without what the server keeps for itself.
fn normal(mut object: Value) -> Value {
    let metadata = object["metadata"].as_object_mut().expect("metadata");
    metadata.remove("managedFields");
    metadata.insert("resourceVersion".to_owned(), json!("4711"));
    let mut ids = vec![];
    alike(&mut object, &mut ids);
    object
}

fn alike(value: &mut Value, ids: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members.iter_mut() {
                match name.as_str() {
                    "nonce" => *value = json!("nonce"),
                    "issuedNonces" => value.as_array_mut().expect("a list").fill(json!("nonce")),
                    _ => alike(value, ids),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|value| alike(value, ids)),
        Value::String(text) => {
            let apart = |letter: char| !letter.is_ascii_alphanumeric() && !"-:.".contains(letter);
            *text = text.split_inclusive(apart).map(|word| same(word, apart, ids)).collect();
        }
        _ => {}
    }
}

/// A word that is the same in each run: a time, an id and a digest give way.
fn same(word: &str, apart: impl Fn(char) -> bool + Copy, ids: &mut Vec<String>) -> String {
    let bare = word.trim_end_matches(|letter: char| apart(letter) || letter == '.' || letter == ':');
    let rest = &word[bare.len()..];
    let hexadecimal = |text: &str| text.chars().all(|letter| letter.is_ascii_hexdigit());
    let is_id = bare.len() == 36 && bare.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && hexadecimal(&bare.replace('-', ""));
    let is_digest = bare.len() >= 12
        && bare.contains(|letter: char| letter.is_ascii_digit())
        && bare.chars().all(|letter| letter.is_ascii_alphanumeric());
    if bare.parse::<Timestamp>().is_ok() {
        return format!("{ANY_TIME}{rest}");
    }
    if !is_id && !is_digest {
        return word.to_owned();
    }
    let number = ids.iter().position(|id| id == bare).unwrap_or_else(|| {
        ids.push(bare.to_owned());
        ids.len() - 1
    });
    if is_id { format!("00000000-0000-4000-8000-{number:012}{rest}") } else { format!("digest{number}{rest}") }
}

/// One client from its first visit to its end, by way of a rotation, a wish to stop and somebody's edit on the platform.
async fn a_life(world: &World, album: &mut Album) {
    let client = (CLIENTS, NAME);
    album.keep("organization-ready", world.organization().expect("there"));
    world.declare_policy(POLICY, &monthly()).await;
    let spec = |more: Value| {
        let mut spec = json!({ "accessTokenValiditySeconds": 300, "rotationPolicyRef": { "name": POLICY } });
        objects::merge(&mut spec, &more);
        spec
    };
    world.declare(NAME, &spec(json!({})));
    album.catch(world, "first-visit", client, &["Ready=Unknown/Pending"]).await;
    album.catch(world, "creating", client, &["Ready=False/Creating"]).await;
    album.catch(world, "ready", client, &["Ready=True", "Synced=True", "CredentialExpiring=False/NotDue", "ScopeDrift=False/InSync"]).await;
    album.catch(world, "policy-ready", (POLICIES, POLICY), &["Ready=True"]).await;

    world.request(NAME, "rotate", "one").await;
    album.catch(world, "rotating", client, &["Rotating=True/Verifying"]).await;
    album.catch(world, "draining", client, &["Rotating=True/Draining"]).await;
    album.catch(world, "retiring", client, &["Rotating=True/Retiring"]).await;
    world.until_rotations_end().await;

    minutes(10).await;
    drift::edit(world, NAME, &json!({ "roleDivisions": [drift::role(world, "employee"), drift::role(world, "Communicate - User")] }));
    album.catch(world, "drift-corrected", client, &["Synced=False/Correcting"]).await;
    world.client_shows(NAME, "Synced=True").await;
    world.declare(NAME, &spec(json!({ "driftPolicy": "Report" })));
    album.keep("edited", world.object(NAME).expect("there"));
    world.settles(NAME).await;
    minutes(10).await;
    drift::edit(world, NAME, &json!({ "roleDivisions": [drift::role(world, "employee"), drift::role(world, "Communicate - User")] }));
    album.catch(world, "drift-reported", client, &["Synced=False/DriftReported", "ScopeDrift=True/Extra"]).await;

    world.declare(NAME, &spec(json!({ "suspend": true })));
    album.catch(world, "suspended", client, &["Reconciling=False/Suspended"]).await;
    world.declare(NAME, &spec(json!({ "state": "Inactive" })));
    album.catch(world, "inactive", client, &["Ready=False/Inactive", "Synced=True"]).await;
    world.remove(CLIENTS, NAME).await;
    album.catch(world, "deleting", client, &["Ready=False/Deleting"]).await;
    world.goes(NAME).await;
}

/// What goes wrong, and whose turn it is then.
async fn troubles(world: &World, album: &mut Album) {
    let client = (CLIENTS, NAME);
    world.declare_policy(POLICY, &json!({ "interval": "4h", "maxAge": "8h", "failureThreshold": 1 })).await;
    world.declare(NAME, &json!({ "rotationPolicyRef": { "name": POLICY } }));
    world.settles(NAME).await;
    world.simulator.plant(Fault::status(Operation::CreateClient, 400).times(0));
    // Nothing is due before.
    minutes(150).await;
    album.catch(world, "rotation-failed", client, &["Rotating=False/Failed"]).await;
    album.catch(world, "policy-halted", (POLICIES, POLICY), &["Stalled=True/Halted"]).await;
    world.simulator.clear_faults();

    edit(world, &json!({ "roles": [{ "role": "nobody has this" }] })).await;
    album.catch(world, "stalled", client, &["Stalled=True/RoleNotFound"]).await;
    album.keep("stalled-never-published", {
        world.declare("hopeless", &json!({ "roles": [{ "role": "nobody has this" }] }));
        world.stalls("hopeless", "RoleNotFound", &[]).await
    });
    let theirs = found(world, &json!({}));
    world.apply(&kept("old", &theirs.secret));
    world.declare("first", &by_secret(&theirs.id));
    world.settles("first").await;
    world.declare("second", &by_secret(&theirs.id));
    album.catch(world, "adoption-conflict", (CLIENTS, "second"), &["Stalled=True/Conflict"]).await;
    world.apply(&objects::policy(
        "never",
        &json!({ "interval": "1d", "maxAge": "2d", "windows": [{ "schedule": "0 0 29 2 *", "duration": "1h" }] }),
    ));
    album.catch(world, "policy-stalled", (POLICIES, "never"), &["Stalled=True/WindowNeverOpens"]).await;
    world.declare("rare", &json!({ "scim": true }));
    world.settles("rare").await;
    world.request("rare", "rotate", "one").await;
    album.catch(world, "regenerating", (CLIENTS, "rare"), &["Rotating=True/Regenerating"]).await;
    world.declare_organization(&json!({ "suspend": true }));
    album.catch(world, "organization-suspended", (ORGANIZATIONS, objects::ORGANIZATION), &["Ready=True"]).await;
}

/// An organization that can't be worked, and a client that waits for it.
async fn waiting(world: &World, album: &mut Album) {
    world.start();
    world.declare(NAME, &json!({}));
    album.catch(world, "waiting-for-organization", (CLIENTS, NAME), &["Ready=False/WaitingForOrganization"]).await;
    world.apply(&objects::organization());
    let organization = (ORGANIZATIONS, objects::ORGANIZATION);
    album.catch(world, "organization-waiting", organization, &["Ready=False", "Reconciling=True"]).await;
    world.give_credential("not-the-secret");
    album.catch(world, "organization-stalled", organization, &["Stalled=True/CredentialRejected"]).await;
}

/// What becomes of a published client by hands other than the operator's.
async fn losses(world: &World, album: &mut Album) {
    let client = (CLIENTS, NAME);
    drift::settled(world, NAME, &json!({})).await;
    album.catch(world, "ready-no-policy", client, &["Ready=True", "CredentialExpiring=False/NoPolicy", "ScopeDrift=False/InSync"]).await;
    edit(world, &json!({ "rotationPolicyRef": { "name": "not-made-yet" } })).await;
    album.catch(world, "policy-missing", client, &["Ready=True", "CredentialExpiring=Unknown/PolicyNotReady"]).await;
    edit(world, &json!({ "rotationPolicyRef": null })).await;
    world.settles(NAME).await;

    world.apply(&kept("somebody-elses", "belongs to somebody else"));
    edit(world, &json!({ "credentialsSecret": { "name": "somebody-elses" } })).await;
    album.catch(world, "foreign-secret", client, &["Stalled=True/Conflict"]).await;
    edit(world, &json!({ "credentialsSecret": null })).await;
    world.settles(NAME).await;
    minutes(2).await;
    drift::edit(world, NAME, &json!({ "state": "disabled" }));
    album.catch(world, "client-disabled", client, &["Stalled=True/ClientDisabled"]).await;
    drift::edit(world, NAME, &json!({ "state": "active" }));
    world.settles(NAME).await;
    world.give_credential("not-the-secret");
    album.catch(world, "organization-down", client, &["Ready=True", "Synced=Unknown/OrganizationNotReady"]).await;
    world.give_credential(OPERATOR_CLIENT_SECRET);
    world.settles(NAME).await;

    minutes(2).await;
    world.simulator.remove_client(&world.client_of(NAME).id);
    album.catch(world, "client-gone", client, &["Ready=False/ClientMissing", "Reconciling=True"]).await;
    world.settles(NAME).await;
    world.remove("secrets", NAME).await;
    album.catch(world, "secret-gone", client, &["Ready=False/SecretMissing"]).await;
    world.until_rotations_end().await;
    world.settles(NAME).await;
    edit(world, &json!({ "driftPolicy": "Report" })).await;
    world.settles(NAME).await;
    minutes(2).await;
    world.simulator.remove_client(&world.client_of(NAME).id);
    album.catch(world, "client-gone-report", client, &["Stalled=True/ClientMissing"]).await;
}

/// What waits: an adoption, a rotation, an object that nobody may work, and one that can't be deleted.
async fn holdups(world: &World, album: &mut Album) {
    let theirs = found(world, &json!({}));
    world.declare("adopts", &by_secret(&theirs.id));
    album.catch(world, "adopting-without-secret", (CLIENTS, "adopts"), &["Reconciling=True/WaitingForSecret"]).await;
    world.apply(&kept("old", &theirs.secret));
    album.catch(world, "adopting", (CLIENTS, "adopts"), &["Reconciling=True/Adopting"]).await;
    world.declare("never", &json!({ "suspend": true }));
    album.catch(world, "suspended-never-published", (CLIENTS, "never"), &["Ready=False/Suspended"]).await;

    // At two in the night; it is the morning.
    let seldom = json!({ "interval": "1h", "maxAge": "3d", "windows": [{ "schedule": "0 2 * * *", "duration": "1h" }] });
    world.declare_policy(POLICY, &seldom).await;
    world.declare(NAME, &json!({ "rotationPolicyRef": { "name": POLICY } }));
    world.settles(NAME).await;
    minutes(55).await;
    album.catch(world, "waiting-for-window", (CLIENTS, NAME), &["Rotating=False/WaitingForWindow", "ScopeDrift=False/InSync"]).await;
    world.declare_policy(POLICY, &json!({ "interval": "1h", "maxAge": "2h", "suspend": true })).await;
    minutes(60).await;
    album.catch(world, "overdue", (CLIENTS, NAME), &["CredentialExpiring=True/Overdue", "ScopeDrift=False/InSync"]).await;
    world.simulator.plant(Fault::status(Operation::UpdateClient, 403).times(0));
    world.remove(CLIENTS, NAME).await;
    album.catch(world, "deletion-blocked", (CLIENTS, NAME), &["Stalled=True/DeletionBlocked"]).await;
}

#[test]
fn the_objects_are_those_that_gitops_tools_are_tried_with() {
    let mut album = Album::default();
    measured(501, async |world| a_life(world, &mut album).await);
    measured(502, async |world| troubles(world, &mut album).await);
    measured(crate::world::Plan::new(503).bare(), async |world| waiting(world, &mut album).await);
    measured(504, async |world| losses(world, &mut album).await);
    measured(505, async |world| holdups(world, &mut album).await);
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/gitops/golden");
    let write = std::env::var("GOLDEN").is_ok_and(|wish| wish == "write");
    for (moment, object) in &album.0 {
        let file = folder.join(format!("{moment}.yaml"));
        let text = serde_yaml::to_string(object).expect("YAML");
        if write {
            fs::write(&file, &text).expect("the file can be written");
        }
        let golden = fs::read_to_string(&file).unwrap_or_default();
        assert!(golden == text, "{moment} is now:\n{text}\nand tests/gitops/golden held:\n{golden}");
    }
    let kept = fs::read_dir(&folder).expect("the golden files").flatten().count();
    assert_eq!(kept, album.0.len(), "tests/gitops/golden holds moments that nobody tells");
}
