//! The Secret is built, read back, and told from others'. Its values are fixed texts of the tests.

use super::*;
use crate::api::oauth_client::SecretPreset;

fn owner(uid: &str) -> Ownership {
    Ownership {
        cluster: "0123456789ab".into(),
        namespace: "team-a".into(),
        name: "billing".into(),
        uid: uid.into(),
        reference: OwnerReference {
            uid: uid.into(),
            name: "billing".into(),
            kind: "GenesysOAuthClient".into(),
            controller: Some(true),
            ..OwnerReference::default()
        },
    }
}

fn credential(secret: Option<&str>) -> Credential {
    Credential {
        client_id: "c1".into(),
        client_secret: secret.map(|text| text.to_owned().into()),
        revision: 3,
        issued_at: Some("2026-01-02T03:04:05Z".parse().expect("a time")),
        nonce: Some("abcdefgh27".into()),
    }
}

fn built(existing: Option<&Secret>, form: &CredentialsSecret, credential: &Credential) -> Secret {
    let surroundings = Surroundings { values: [("region", "eu-central-1".to_owned()), ("scope", "users".to_owned())].into() };
    let keys = KeyMap::of(Some(form)).expect("names of their own");
    build(existing, "billing", &owner("u1"), Some(form), &keys, &surroundings, credential)
}

fn text(secret: &Secret, key: &str) -> Option<String> {
    secret.data.as_ref()?.get(key).map(|value| String::from_utf8(value.0.clone()).expect("text"))
}

#[test]
fn comes_back_as_it_was_written() {
    let secret = built(None, &CredentialsSecret::default(), &credential(Some("s3cret")));
    assert_eq!((text(&secret, "clientId").as_deref(), text(&secret, "clientSecret").as_deref()), (Some("c1"), Some("s3cret")));
    assert_eq!(secret.type_.as_deref(), Some("Opaque"));
    let Found::Ours(found) = read(&secret, &owner("u1")) else { panic!("ours") };
    assert!(found.intact && found.holds_secret);
    assert_eq!(
        (found.credential.client_id.as_str(), found.credential.revision, found.credential.nonce.as_deref()),
        ("c1", 3, Some("abcdefgh27"))
    );
    assert_eq!(found.credential.issued_at, credential(None).issued_at);
    assert_eq!(found.credential.client_secret.expect("a secret").expose_secret(), "s3cret");
}

#[test]
fn reloader_may_restart_what_mounts_it_unless_somebody_says_otherwise() {
    let said = |secret: &Secret| secret.metadata.annotations.as_ref().and_then(|all| all.get(RELOADER_MATCH).cloned());
    let mut secret = built(None, &CredentialsSecret::default(), &credential(Some("s3cret")));
    assert_eq!(said(&secret).as_deref(), Some("true"));
    secret.metadata.annotations.as_mut().expect("annotations").insert(RELOADER_MATCH.into(), "false".into());
    let again = built(Some(&secret), &CredentialsSecret::default(), &credential(Some("s3cret")));
    assert_eq!(said(&again).as_deref(), Some("false"), "what a person wrote stays");
}

#[test]
fn a_public_clients_lacks_only_the_secret() {
    let secret = built(None, &CredentialsSecret::default(), &credential(None));
    assert_eq!((text(&secret, "clientId").as_deref(), text(&secret, "clientSecret")), (Some("c1"), None));
    let Found::Ours(found) = read(&secret, &owner("u1")) else { panic!("ours") };
    assert!(!found.holds_secret && found.credential.client_secret.is_none());
}

#[test]
fn an_edit_shows() {
    for key in ["clientSecret", "region"] {
        let mut secret = built(None, &CredentialsSecret::default(), &credential(Some("s3cret")));
        secret.data.as_mut().expect("data").insert(key.into(), ByteString(b"other".to_vec()));
        let Found::Ours(found) = read(&secret, &owner("u1")) else { panic!("ours") };
        assert!(!found.intact, "{key}");
    }
    let mut moved = built(None, &CredentialsSecret::default(), &credential(Some("s3cret")));
    let data = moved.data.as_mut().expect("data");
    data.remove("clientSecret");
    let Found::Ours(found) = read(&moved, &owner("u1")) else { panic!("ours") };
    assert!(found.holds_secret && found.credential.client_secret.is_none(), "it should hold a secret and does not");
}

#[test]
fn the_key_of_the_secret_is_found_after_a_rename() {
    let form = CredentialsSecret { preset: SecretPreset::Environment, ..CredentialsSecret::default() };
    let secret = built(None, &form, &credential(Some("s3cret")));
    let Found::Ours(found) = read(&secret, &owner("u1")) else { panic!("ours") };
    assert_eq!(found.credential.client_secret.expect("a secret").expose_secret(), "s3cret");
    let again = built(Some(&secret), &CredentialsSecret::default(), &credential(Some("s3cret")));
    assert_eq!(text(&again, "GENESYSCLOUD_OAUTHCLIENT_SECRET"), None, "the old names are gone");
    assert_ne!(
        secret.metadata.annotations.expect("annotations")[KEY_MAP_DIGEST],
        again.metadata.annotations.expect("annotations")[KEY_MAP_DIGEST]
    );
}

#[test]
fn an_edited_annotation_shows_too() {
    for (name, value) in [(CLIENT_SECRET_KEY, "clientId"), (CLIENT_ID, "c2"), (REVISION, "9"), (NONCE, "bbbbbbbb22")] {
        let mut secret = built(None, &CredentialsSecret::default(), &credential(Some("s3cret")));
        secret.metadata.annotations.as_mut().expect("annotations").insert(name.into(), value.into());
        let Found::Ours(found) = read(&secret, &owner("u1")) else { panic!("ours") };
        assert!(!found.intact, "{name}");
    }
}

#[test]
fn ours_without_annotations_is_ours_and_holds_nothing() {
    for revision in [None, Some("9223372036854775807"), Some("-1"), Some("x")] {
        let mut secret = built(None, &CredentialsSecret::default(), &credential(Some("s3cret")));
        let annotations = secret.metadata.annotations.as_mut().expect("annotations");
        match revision {
            Some(revision) => drop(annotations.insert(REVISION.into(), revision.into())),
            None => annotations.clear(),
        }
        let Found::Ours(found) = read(&secret, &owner("u1")) else { panic!("ours by its owner") };
        assert!(!found.intact && found.credential.revision == 0, "{revision:?}");
        assert!(matches!(read(&secret, &owner("u2")), Found::Foreign(_)));
    }
}

#[test]
fn tells_whose_it_is() {
    let ours = built(None, &CredentialsSecret::default(), &credential(Some("s3cret")));
    assert!(matches!(read(&ours, &owner("u1")), Found::Ours(_)));
    assert!(matches!(read(&ours, &owner("u2")), Found::Former(_)), "the object was restored with another uid");
    let mut other = owner("u2");
    other.name = "other".into();
    assert!(matches!(read(&ours, &other), Found::Foreign(_)), "another object's");
    let mut elsewhere = owner("u2");
    elsewhere.cluster = "ffffffffffff".into();
    assert!(matches!(read(&ours, &elsewhere), Found::Foreign(_)), "another cluster's");
    assert!(matches!(read(&Secret::default(), &owner("u1")), Found::Foreign(_)), "a person's");
    let mut orphan = ours.clone();
    orphan.metadata.owner_references = None;
    assert!(matches!(read(&orphan, &owner("u1")), Found::Former(_)), "let go by Orphan");
    let mut taken = ours;
    taken.metadata.owner_references =
        Some(vec![OwnerReference { uid: "x".into(), kind: "Deployment".into(), controller: Some(true), ..OwnerReference::default() }]);
    taken.metadata.annotations.as_mut().expect("annotations").remove(OWNER);
    assert!(matches!(read(&taken, &owner("u1")), Found::Foreign(detail) if detail.contains("Deployment")));
}

#[test]
fn what_others_wrote_stays_and_what_spec_no_longer_asks_for_goes() {
    let labelled = |labels: &[(&str, &str)]| CredentialsSecret {
        labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        ..CredentialsSecret::default()
    };
    let mut secret = built(None, &labelled(&[("team", "a")]), &credential(Some("s3cret")));
    secret.metadata.labels.as_mut().expect("labels").insert("backup".into(), "yes".into());
    let again = built(Some(&secret), &labelled(&[("tier", "gold")]), &credential(Some("s3cret")));
    let labels = again.metadata.labels.clone().expect("labels");
    assert_eq!((labels.get("team"), labels.get("tier"), labels.get("backup")), (None, Some(&"gold".to_owned()), Some(&"yes".to_owned())));
    assert_eq!(labels[MANAGED_BY_LABEL], FIELD_MANAGER);
    assert!(!same(&secret, &again));
    assert!(
        same(&again, &built(Some(&again), &labelled(&[("tier", "gold")]), &credential(Some("s3cret")))),
        "a second time changes nothing"
    );
}

#[test]
fn debug_output_shows_no_secret() {
    let secret = built(None, &CredentialsSecret::default(), &credential(Some("canary-3f1c")));
    let Found::Ours(found) = read(&secret, &owner("u1")) else { panic!("ours") };
    let as_numbers = "99, 97, 110, 97, 114, 121";
    assert!(format!("{:?}", found.secret.data).contains(as_numbers), "the control: a Secret's own Debug shows its bytes");
    for text in [format!("{:?}", found.credential), format!("{found:?}")] {
        assert!(!text.contains("canary") && !text.contains(as_numbers), "{text}");
    }
}
