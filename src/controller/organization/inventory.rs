//! Takes the inventory of an organization: whose each client is, and which need a look by a person. Pure.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

use crate::{
    api::{GenesysOAuthClient, GenesysOrganization, condition::shorten, duration::UnitDuration, inventory::Inventory},
    controller::{oauth_client::observation::current_rotation, snapshot::Snapshot},
    genesys::{GrantType, OAuthClient},
    marker::{Marker, Owner},
};

/// How many clients of each sort are told by name.
const MOST_EXAMPLES: usize = 10;
/// The longest of them.
const LONGEST_EXAMPLE: usize = 128;

/// How much of this cluster an operator sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The objects of every namespace.
    Whole,
    /// Those of some namespaces: the others may belong to another install.
    Part,
}

impl View {
    /// What an operator sees that watches these namespaces; none are all.
    #[must_use]
    pub fn of(watched: &[String]) -> Self {
        if watched.is_empty() { Self::Whole } else { Self::Part }
    }
}

/// What an inventory is taken of.
#[derive(Clone, Copy, Debug)]
pub struct Books<'a> {
    /// All clients of the organization.
    pub snapshot: &'a Snapshot,
    /// The objects of the organization that this operator sees.
    pub objects: &'a [Arc<GenesysOAuthClient>],
    /// Namespace and name of the objects that the operator's types can't hold: theirs are the clients that carry their marker.
    pub malformed: &'a [(String, String)],
    /// Whether those are all that the cluster has.
    pub view: View,
    /// The id of this cluster in markers.
    pub cluster_id: &'a str,
    /// The operator's own client, which no object manages.
    pub own_client_id: &'a str,
    /// How long ago a client may have been modified that no object manages.
    pub greatest_age: Option<Duration>,
    /// Now, by the platform's clock.
    pub now: Timestamp,
}

/// The age that a credential of the organization should not reach, as far as the organization says.
#[must_use]
pub fn greatest_age(organization: &GenesysOrganization) -> Option<Duration> {
    let spec = &organization.spec;
    let read = |text: &crate::api::duration::DurationText| text.parse().map(UnitDuration::as_duration).ok();
    let defaults = spec.rotation_defaults.as_ref().and_then(|defaults| {
        let age = defaults.max_age.as_ref().and_then(read);
        age.or_else(|| read(&defaults.interval).map(|interval| interval * 2))
    });
    spec.max_credential_age.as_ref().and_then(read).into_iter().chain(defaults).min()
}

/// Takes the inventory.
#[must_use]
pub fn take(books: &Books<'_>) -> Inventory {
    let known = known_ids(books.objects);
    let cluster = Owner::new(books.cluster_id, "", "");
    let unread: HashSet<Owner> = books.malformed.iter().map(|(namespace, name)| Owner::new(books.cluster_id, namespace, name)).collect();
    let mut owners = None;
    let mut inventory = Inventory::default();
    for client in &books.snapshot.scan.clients {
        inventory.total += 1;
        if matches!(client.grant_type, GrantType::Token | GrantType::Password) {
            inventory.deprecated_grants += 1;
            example(&mut inventory.deprecated_clients, client);
        }
        if client.id == books.own_client_id {
            continue;
        }
        if known.contains(client.id.as_str()) {
            inventory.managed += 1;
            continue;
        }
        let marker = client.description.as_deref().and_then(Marker::parse);
        // Digests of all names are worked out only where a client is found that no status names.
        let owner = marker.as_ref().map(|marker| owners.get_or_insert_with(|| owners_of(books)).get(&marker.owner).copied());
        match (marker, owner.flatten()) {
            (None, _) => {
                inventory.unmanaged += 1;
                example(&mut inventory.unmanaged_clients, client);
            }
            (Some(marker), Some(object)) if issued(object, &marker.nonce) => {
                inventory.managed += 1;
                continue;
            }
            (Some(marker), None) if unread.contains(&marker.owner) => {
                inventory.managed += 1;
                continue;
            }
            // One who sees a part of the cluster cannot tell whether such an object is there.
            (Some(marker), None) if marker.owner.cluster() != cluster.cluster() || books.view == View::Part => {
                inventory.elsewhere += 1;
                continue;
            }
            (Some(_), _) => {
                inventory.orphaned += 1;
                example(&mut inventory.orphaned_clients, client);
            }
        }
        let modified = client.date_modified.max(client.date_created);
        let age = modified.and_then(|modified| Duration::try_from(books.now.duration_since(modified)).ok());
        if age.is_some_and(|age| books.greatest_age.is_some_and(|greatest| age > greatest)) {
            inventory.older_than_policy += 1;
            example(&mut inventory.old_clients, client);
        }
    }
    inventory
}

/// The ids that the objects' status names: the published client, the next one, those on their way to deletion.
fn known_ids(objects: &[Arc<GenesysOAuthClient>]) -> HashSet<&str> {
    let mut known = HashSet::with_capacity(objects.len());
    for status in objects.iter().filter_map(|object| object.status.as_ref()) {
        known.extend(status.client_id.as_deref());
        known.extend(current_rotation(status).and_then(|current| current.client_id.as_deref()));
        known.extend(status.retiring.iter().map(|retiring| retiring.client_id.as_str()));
    }
    known
}

fn owners_of<'a>(books: &Books<'a>) -> HashMap<Owner, &'a GenesysOAuthClient> {
    let owner = |object: &'a Arc<GenesysOAuthClient>| {
        let (namespace, name) =
            (object.metadata.namespace.as_deref().unwrap_or_default(), object.metadata.name.as_deref().unwrap_or_default());
        (Owner::new(books.cluster_id, namespace, name), &**object)
    };
    books.objects.iter().map(owner).collect()
}

/// Whether the object gave a marker with this nonce to a client, or is about to. One that has no status yet finds its clients first.
fn issued(object: &GenesysOAuthClient, nonce: &str) -> bool {
    let Some(status) = object.status.as_ref().filter(|status| status.client_id.is_some()) else { return true };
    let in_intent = status.intent.as_ref().and_then(|intent| intent.nonce.as_deref());
    status.issued_nonces.iter().any(|issued| issued == nonce) || in_intent == Some(nonce)
}

/// Adds a client to those that are told by name, if there is room.
pub(super) fn example(examples: &mut Vec<String>, client: &OAuthClient) {
    if examples.len() < MOST_EXAMPLES {
        examples.push(shorten(&format!("{} {}", client.id, client.name), LONGEST_EXAMPLE));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::time::Instant;

    use super::*;
    use crate::genesys::{Kept, Scan};

    fn client(id: &str, more: &Value) -> OAuthClient {
        let mut client =
            json!({ "id": id, "name": format!("client {id}"), "authorizedGrantType": "CODE", "dateModified": "2026-05-01T00:00:00Z" });
        for (key, value) in more.as_object().into_iter().flatten() {
            client[key] = value.clone();
        }
        OAuthClient::from_json(client).expect("a client").0
    }

    fn marked(id: &str, cluster: &str, name: &str, nonce: &str) -> OAuthClient {
        client(id, &json!({ "description": Owner::new(cluster, "team", name).marker(nonce).to_string() }))
    }

    fn object(name: &str, status: &Value) -> Arc<GenesysOAuthClient> {
        let object = json!({
            "apiVersion": "oauth.genesys-operator.io/v1alpha1", "kind": "GenesysOAuthClient", "metadata": { "name": name, "namespace": "team" },
            "spec": { "organizationRef": { "name": "acme" }, "grantType": "ClientCredentials" }, "status": status,
        });
        Arc::new(serde_json::from_value(object).expect("an object"))
    }

    fn taken(clients: Vec<OAuthClient>, objects: &[Arc<GenesysOAuthClient>], greatest_age: Option<Duration>) -> Inventory {
        seen_in(View::Whole, &[], clients, objects, greatest_age)
    }

    fn seen_in(
        view: View,
        malformed: &[(String, String)],
        clients: Vec<OAuthClient>,
        objects: &[Arc<GenesysOAuthClient>],
        greatest_age: Option<Duration>,
    ) -> Inventory {
        let snapshot = Snapshot::new(Arc::new(Scan { clients, begun: Instant::now(), kept: Kept::default() }));
        let now = "2026-06-01T00:00:00Z".parse().expect("a time");
        take(&Books { snapshot: &snapshot, objects, malformed, view, cluster_id: "here", own_client_id: "own", greatest_age, now })
    }

    #[tokio::test(start_paused = true)]
    async fn every_client_is_counted_by_whose_it_is() {
        let status = json!({ "clientId": "c1", "issuedNonces": ["abcdefgh22"], "retiring": [{ "clientId": "c2", "state": "Draining", "since": "2026-05-01T00:00:00Z" }] });
        let objects = [object("billing", &status)];
        let clients = vec![
            client("own", &json!({})),
            client("c1", &json!({})),
            client("c2", &json!({})),
            marked("c3", "here", "billing", "abcdefgh22"),
            marked("c4", "here", "billing", "zzzzzzzz22"),
            marked("c5", "here", "deleted", "abcdefgh22"),
            marked("c6", "there", "billing", "abcdefgh22"),
            client("c7", &json!({ "authorizedGrantType": "PASSWORD" })),
            client("c8", &json!({ "authorizedGrantType": "TOKEN" })),
        ];
        let inventory = taken(clients, &objects, None);
        assert_eq!((inventory.total, inventory.managed, inventory.unmanaged), (9, 3, 2));
        assert_eq!((inventory.orphaned, inventory.elsewhere, inventory.deprecated_grants), (2, 1, 2));
        assert_eq!(inventory.orphaned_clients, ["c4 client c4", "c5 client c5"]);
        assert_eq!((inventory.older_than_policy, inventory.unmanaged_clients.len()), (0, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn who_sees_some_namespaces_calls_no_client_of_another_one_orphaned() {
        let objects = [object("billing", &json!({ "clientId": "c1", "issuedNonces": ["abcdefgh22"] }))];
        let clients = || {
            let of_other_install =
                client("c2", &json!({ "description": Owner::new("here", "other", "a").marker("abcdefgh22").to_string() }));
            vec![client("c1", &json!({})), of_other_install, marked("c3", "here", "billing", "zzzzzzzz22")]
        };
        let counts = |inventory: Inventory| (inventory.managed, inventory.orphaned, inventory.elsewhere);
        assert_eq!(
            counts(seen_in(View::Part, &[], clients(), &objects, None)),
            (1, 1, 1),
            "the unknown nonce of an object that is seen stays one"
        );
        assert_eq!(counts(seen_in(View::Whole, &[], clients(), &objects, None)), (1, 2, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn the_client_of_an_object_that_cannot_be_read_is_not_nobodys() {
        let clients = vec![marked("c1", "here", "unread", "abcdefgh22"), marked("c2", "here", "deleted", "abcdefgh22")];
        let inventory = seen_in(View::Whole, &[("team".to_owned(), "unread".to_owned())], clients, &[], None);
        assert_eq!((inventory.managed, inventory.orphaned), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn old_ones_are_those_that_nobody_touched_and_no_object_manages() {
        let objects = [object("billing", &json!({ "clientId": "c1" }))];
        let old = json!({ "dateModified": "2026-01-01T00:00:00Z" });
        let clients = vec![client("c1", &old), client("c2", &old), client("c3", &json!({}))];
        let inventory = taken(clients, &objects, Some(Duration::from_secs(90 * 86_400)));
        assert_eq!((inventory.older_than_policy, inventory.old_clients.as_slice()), (1, &["c2 client c2".to_owned()][..]));
    }

    #[tokio::test(start_paused = true)]
    async fn examples_are_bounded() {
        let clients = (0..50).map(|number| client(&format!("c{number}"), &json!({ "name": "n".repeat(400) }))).collect();
        let inventory = taken(clients, &[], None);
        assert_eq!((inventory.unmanaged, inventory.unmanaged_clients.len()), (50, MOST_EXAMPLES));
        assert!(inventory.unmanaged_clients.iter().all(|example| example.chars().count() <= LONGEST_EXAMPLE));
    }
}
