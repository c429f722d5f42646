//! The rules of `spec.adopt`, each with an accepted and a rejected object. Runs no server.

use serde_json::{Value, json};

use super::{accepts, changed, client, rejects, rejects_edit};
use genesys_oauth_operator::api::oauth_client::DeletionPolicy;
use kube::core::cel::validate_cel_update;

fn adopt(more: &Value) -> Value {
    let mut adopt = json!({ "clientId": "0f4c9d0e-1111-4222-8333-444455556666" });
    super::merge(&mut adopt, more);
    json!({ "adopt": adopt })
}

fn by_secret() -> Value {
    adopt(&json!({ "secretRef": { "name": "old", "key": "secret" } }))
}

#[test]
fn the_secret_is_known_or_reset() {
    accepts("ClientCredentials", &by_secret());
    accepts("SAML2Bearer", &adopt(&json!({ "resetSecret": true })));
    rejects("ClientCredentials", &adopt(&json!({})), "exactly one of secretRef");
    let both = adopt(&json!({ "resetSecret": true, "secretRef": { "name": "old", "key": "secret" } }));
    rejects("ClientCredentials", &both, "exactly one of secretRef");
}

#[test]
fn a_public_client_has_no_secret_to_adopt() {
    let public = |more: &Value| {
        let mut spec = adopt(more);
        spec["publicClient"] = json!(true);
        spec
    };
    accepts("AuthorizationCode", &public(&json!({})));
    rejects("AuthorizationCode", &public(&json!({ "resetSecret": true })), "a publicClient has no secret");
    rejects("AuthorizationCode", &public(&json!({ "secretRef": { "name": "old", "key": "secret" } })), "a publicClient has no secret");
}

#[test]
fn implicit_clients_are_adopted_and_never_rotate() {
    accepts("Implicit", &json!({}));
    rejects("Implicit", &json!({ "adopt": null }), "makes no new Implicit clients");
    rejects("Implicit", &json!({ "redirectUris": null }), "needs spec.redirectUris");
    rejects("Implicit", &json!({ "rotationPolicyRef": { "name": "monthly" } }), "are never rotated");
}

#[test]
fn an_adoption_is_added_and_stays() {
    let object = |patch: &Value| client("billing", &changed("ClientCredentials", patch));
    assert!(validate_cel_update(&object(&by_secret()), &object(&json!({}))).is_ok(), "it can be added");
    let reset = adopt(&json!({ "resetSecret": true }));
    assert!(validate_cel_update(&object(&reset), &object(&by_secret())).is_ok(), "how the secret is had may change");
    let removed = validate_cel_update(&object(&json!({})), &object(&by_secret())).unwrap_err().to_string();
    assert!(removed.contains("spec.adopt can't be removed"), "{removed}");
    let another = adopt(&json!({ "clientId": "another", "resetSecret": true }));
    let moved = validate_cel_update(&object(&another), &object(&reset)).unwrap_err().to_string();
    assert!(moved.contains("adopt.clientId is immutable"), "{moved}");
    rejects_edit("Implicit", &json!({ "adopt": null }), "makes no new Implicit clients");
}

#[test]
fn adopted_clients_stay_by_default() {
    let policy = |patch: &Value| client("billing", &changed("ClientCredentials", patch)).effective_deletion_policy();
    assert_eq!((policy(&json!({})), policy(&by_secret())), (DeletionPolicy::Delete, DeletionPolicy::Orphan));
    let mut deleted = by_secret();
    deleted["deletionPolicy"] = json!("Delete");
    assert_eq!(policy(&deleted), DeletionPolicy::Delete);
}
