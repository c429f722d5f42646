//! The CEL rules of rotation: each with accepted and rejected specs, alike on a policy, on an organization's defaults and in the reconciler's rules.

use genesys_oauth_operator::api::{self, GenesysRotationPolicy};
use kube::core::cel::validate_cel;
use serde_json::{Value, json};

use super::{accepts, merge, organization, rejects};

fn policy(name: &str, spec: &Value) -> GenesysRotationPolicy {
    serde_json::from_value(json!({
        "apiVersion": "oauth.genesys-operator.io/v1alpha1", "kind": "GenesysRotationPolicy",
        "metadata": { "name": name, "namespace": "team-a" }, "spec": spec,
    }))
    .expect("the object fits the types")
}

/// Tries a spec as a policy and as an organization's defaults, which have the same rules; gives what each says against it.
fn policy_violations(patch: &Value) -> [String; 2] {
    let mut spec = json!({ "interval": "30d" });
    merge(&mut spec, patch);
    let policy = policy("monthly", &spec);
    let organization = organization(&json!({ "rotationDefaults": spec }));
    let both = [api::rules::rotation_policy_violations(&policy), api::rules::organization_violations(&organization)];
    assert_eq!([validate_cel(&policy).is_ok(), validate_cel(&organization).is_ok()], both.each_ref().map(Vec::is_empty));
    both.map(|violations| violations.join("; "))
}

#[test]
fn rotation_policies() {
    let accepted = [
        json!({}),
        json!({ "interval": "1h" }),
        json!({ "interval": "3600s" }),
        json!({ "maxAge": "721h" }),
        json!({ "warnBefore": "30d" }),
        json!({ "warnBefore": "0s" }),
        json!({ "maxAge": "40d", "warnBefore": "10d" }),
        json!({ "overlap": {} }),
        json!({ "overlap": { "minimum": "24h" } }),
        json!({ "interval": "1d", "overlap": { "minimum": "12h" } }),
        json!({ "overlap": { "minimum": "5d", "maximum": "5d" } }),
        json!({ "overlap": { "maximum": "29d" } }),
        json!({ "strategy": "Regenerate" }),
        json!({ "windows": [{ "schedule": "0 2 * * *", "duration": "4h" }] }),
    ];
    for patch in accepted {
        assert_eq!(policy_violations(&patch), ["", ""], "{patch}");
    }
    let rejected = [
        (json!({ "interval": "59m" }), "interval must be at least 1h"),
        (json!({ "interval": "0s" }), "interval must be at least 1h"),
        (json!({ "maxAge": "720h" }), "maxAge must be longer than interval"),
        (json!({ "warnBefore": "721h" }), "warnBefore must be at most maxAge - interval"),
        (json!({ "maxAge": "40d", "warnBefore": "11d" }), "warnBefore must be at most maxAge - interval"),
        (json!({ "overlap": { "minimum": "25h" } }), "overlap.minimum must be at most overlap.maximum"),
        (json!({ "interval": "1d", "overlap": { "minimum": "13h" } }), "overlap.minimum must be at most overlap.maximum"),
        (json!({ "overlap": { "minimum": "3h", "maximum": "2h" } }), "overlap.minimum must be at most overlap.maximum"),
        (json!({ "overlap": { "maximum": "30d" } }), "overlap.maximum must be shorter than interval"),
        (json!({ "strategy": "Regenerate", "overlap": {} }), "strategy Regenerate resets the secret in place and has no overlap"),
        (json!({ "windows": [{ "schedule": "0 2 * * *", "duration": "0s" }] }), "the duration of a window must be longer than 0s"),
    ];
    for (patch, words) in rejected {
        for message in policy_violations(&patch) {
            assert!(message.contains(words), "{patch}: {message}");
        }
    }
    let spec = json!({ "interval": "30d" });
    assert!(validate_cel(&policy(&"a".repeat(63), &spec)).is_ok());
    let long = validate_cel(&policy(&"a".repeat(64), &spec)).unwrap_err().to_string();
    assert!(long.contains("at most 63 characters"), "{long}");
}

#[test]
fn the_greatest_age_of_credentials() {
    let with = |age: &str| organization(&json!({ "maxCredentialAge": age }));
    for age in ["2h", "7200s", "90d"] {
        assert!(validate_cel(&with(age)).is_ok(), "{age}");
    }
    for age in ["0s", "119m"] {
        let message = validate_cel(&with(age)).unwrap_err().to_string();
        assert!(message.contains("maxCredentialAge must be at least 2h"), "{age}: {message}");
    }
}

#[test]
fn the_interval_of_scans() {
    let with = |interval: &str| organization(&json!({ "scanInterval": interval }));
    for interval in ["1m", "60s", "5m", "24h", "1d"] {
        assert!(validate_cel(&with(interval)).is_ok(), "{interval}");
    }
    for interval in ["0s", "59s", "25h"] {
        let message = validate_cel(&with(interval)).unwrap_err().to_string();
        assert!(message.contains("scanInterval must lie between 1m and 24h"), "{interval}: {message}");
    }
}

#[test]
fn rotation_of_clients() {
    let follows = json!({
        "rotationPolicyRef": { "name": "monthly" },
        "rolloutTargets": [{ "kind": "Deployment", "name": "billing" }, { "kind": "StatefulSet", "name": "billing" }],
        "integrationCredentials": [{ "credential": "Data Actions" }],
    });
    accepts("ClientCredentials", &follows);
    accepts("AuthorizationCode", &json!({ "publicClient": true }));
    let public = json!({ "publicClient": true, "rotationPolicyRef": { "name": "monthly" } });
    rejects("AuthorizationCode", &public, "spec.rotationPolicyRef has no meaning for a publicClient");
}
