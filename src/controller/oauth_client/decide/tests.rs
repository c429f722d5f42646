//! The decisions as tables: what was seen, and the plan that comes of it. No call can be made: the transport refuses all.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::{
    world::{
        MINE, NONCE, blank, client, declared, intent, object, relative, session, settled, settled_status, stored, unborn, with_status,
    },
    *,
};
use crate::{
    api::oauth_client::{RecordedOrganization, RetiringState},
    controller::{
        memory::{LostCall, Sighting},
        oauth_client::{
            observation::Relative,
            plan::Mint,
            validate::{self, Refusal},
        },
    },
    genesys,
    marker::Owner,
    secret::Surroundings,
};

/// The plan in words: its steps, and where the object then stands.
pub(super) fn words(seen: &Observation) -> String {
    let plan = decide(seen);
    let step = |step: &Step| match step {
        Step::Publish(_) => "publish".to_owned(),
        Step::Finish(credential, _) => format!("finish r{}", credential.revision),
        Step::Own { nonces, published } => {
            format!("own {} {}", nonces.join(","), if published.is_some() { "published" } else { "unpublished" })
        }
        Step::EnterRetirement(ids, RetiringState::Draining) => format!("drain {}", ids.join(",")),
        Step::EnterRetirement(ids, _) => format!("retire {}", ids.join(",")),
        Step::Mint(Mint { call: MintCall::Create { nonce }, revision, attempt, .. }) => {
            format!("create {} r{revision} a{attempt}", nonce.as_deref().unwrap_or("anew"))
        }
        Step::Mint(Mint { call: MintCall::Reset { client_id, .. }, revision, attempt, .. }) => {
            format!("reset {client_id} r{revision} a{attempt}")
        }
        Step::Adopt(adopting) => format!("adopt {} r{} a{}", adopting.client.id, adopting.revision, adopting.attempt),
        Step::Update => "update".to_owned(),
        Step::Correct => "correct".to_owned(),
        Step::StoreSecret(_) => "store".to_owned(),
        Step::DropFormerSecret => "drop former".to_owned(),
        Step::Verify(_) => "verify".to_owned(),
        Step::Rotate => "rotate".to_owned(),
        Step::Abort(value) => format!("abort {value}"),
        Step::Abandon => "abandon".to_owned(),
        Step::Escalate(value) => format!("escalate {value}"),
        Step::Decline(declined) => format!("decline {}", declined.len()),
        Step::Follow(_) => "follow".to_owned(),
        Step::DropRotationSecret => "drop rotation".to_owned(),
        Step::Retire => "retire next".to_owned(),
    };
    let steps: Vec<_> = plan.steps.iter().map(step).collect();
    let moment = match &plan.moment {
        None => "as status says".to_owned(),
        Some(Moment::Stalled(reason, _)) => format!("stalled {}", reason.as_str()),
        Some(moment) => format!("{moment:?}").split(['(', ' ']).next().unwrap_or_default().to_owned(),
    };
    format!("[{}] {moment}", steps.join(", "))
}

#[tokio::test]
async fn a_settled_world_asks_for_nothing() {
    assert_eq!(words(&settled()), "[] as status says");
}

#[tokio::test]
async fn nothing_there_means_create() {
    assert_eq!(words(&unborn()), "[create anew r1 a1] Creating");
}

#[tokio::test]
async fn a_wiped_status_takes_its_clients_back() {
    let mut seen = unborn();
    seen.family = Some(vec![relative("c1", NONCE), relative("c2", "bbbbbbbb22")]);
    assert_eq!(
        words(&seen),
        "[own abcdefgh27,bbbbbbbb22 unpublished, drain c1,c2, create anew r1 a1] Creating",
        "who uses their secrets is not known: they are replaced, not reset"
    );
    seen.secret = stored(&seen, "c2", 4);
    assert_eq!(
        words(&seen),
        "[own abcdefgh27,bbbbbbbb22 unpublished, drain c1,c2, create anew r5 a1] Creating",
        "a Secret's word alone counts for nothing"
    );
    seen.marked.insert("c2".into(), "bbbbbbbb22".into());
    assert_eq!(words(&seen), "[own abcdefgh27,bbbbbbbb22 published, drain c1] as status says");
    seen.scan_after = Some(seen.instant + Duration::from_secs(5));
    assert_eq!(words(&seen), "[] Creating", "our own last write may be missing from the scan");
    seen.scan_after = None;
    seen.marked.clear();
    seen.family = Some(vec![Relative { client: client("c3", NONCE, "inactive"), nonce: NONCE.into() }]);
    seen.secret = SecretView::Absent;
    assert_eq!(words(&seen), "[create anew r1 a1] Creating", "an inactive one was left behind by Deactivate");
}

#[tokio::test]
async fn the_organization_comes_first() {
    let mut seen = unborn();
    seen.organization = Organization::Absent;
    assert_eq!(words(&seen), "[] OrganizationDown");
    seen.organization = match unborn().organization {
        Organization::Ready(organization, _) => Organization::NotReady("x".into(), organization),
        other => other,
    };
    assert_eq!(words(&seen), "[] OrganizationDown");
    let mut moved = settled();
    moved.organization = match moved.organization {
        Organization::Ready(organization, _) => Organization::Ready(organization, session("o2")),
        other => other,
    };
    assert_eq!(words(&moved), "[] stalled OrganizationChanged");
}

#[tokio::test]
async fn what_is_refused_is_not_worked() {
    let mut seen = unborn();
    seen.declared = Some(Err(Refusal::new(Reason::AccessDenied, "no")));
    assert_eq!(words(&seen), "[] stalled AccessDenied");
    let mut foreign = unborn();
    foreign.secret = SecretView::Foreign("Deployment x".into());
    assert_eq!(words(&foreign), "[] stalled Conflict");
    let invalid = blank(object(&json!({ "scopes": ["users"] }), &json!({})));
    assert_eq!(words(&invalid), "[] stalled InvalidSpec");
    let moved = blank(object(&json!({}), &json!({ "organization": RecordedOrganization { name: "other".into(), id: "o1".into() } })));
    assert_eq!(words(&moved), "[] stalled ImmutableFieldChanged");
}

#[tokio::test]
async fn a_suspended_object_is_only_looked_at() {
    {
        let spec = json!({ "suspend": true });
        let mut seen = blank(object(&spec, &settled_status()));
        assert_eq!(words(&seen), "[] Suspended", "even without its Secret");
        seen = with_status(seen, &intent("Create", MINE));
        assert_eq!(words(&seen), "[] Suspended");
        seen.secret = stored(&seen, "c1", 3);
        assert_eq!(words(&seen), "[] Suspended", "a Secret's word alone counts for nothing");
        seen.marked.insert("c1".into(), NONCE.into());
        assert_eq!(words(&seen), "[finish r3] as status says", "what is published is written down");
    }
}

#[tokio::test]
async fn a_foreign_intent_waits_for_its_call_and_one_window() {
    let mut seen = with_status(unborn(), &intent("Create", "other"));
    assert_eq!(words(&seen), "[] Creating");
    seen.memory.intent =
        Some(Sighting { epoch: "other".into(), attempt: 1, since: seen.instant.checked_sub(Duration::from_secs(69)).expect("a past") });
    assert_eq!(words(&seen), "[] Creating");
    seen.memory.intent =
        Some(Sighting { epoch: "other".into(), attempt: 1, since: seen.instant.checked_sub(Duration::from_secs(70)).expect("a past") });
    assert_eq!(words(&seen), "[create abcdefgh27 r4 a2] Creating", "the same nonce again");
    seen.family = Some(vec![relative("c9", NONCE), relative("c8", NONCE), relative("c7", "bbbbbbbb22")]);
    assert_eq!(words(&seen), "[retire c9, reset c8 r4 a2] Creating", "the older by id; another nonce is not unseen");
    seen.memory.intent = Some(Sighting { epoch: "other".into(), attempt: 2, since: seen.instant });
    assert_eq!(words(&seen), "[] Creating", "another attempt starts the time anew");
}

#[tokio::test]
async fn an_own_intent_waits_for_its_lost_call() {
    let mut seen = with_status(unborn(), &intent("Create", MINE));
    assert_eq!(words(&seen), "[create abcdefgh27 r4 a2] Creating", "nothing was sent");
    seen.memory.lost_call = Some(LostCall { deadline: seen.instant });
    assert_eq!(words(&seen), "[] Creating");
    seen.memory.lost_call = Some(LostCall { deadline: seen.instant.checked_sub(Duration::from_secs(60)).expect("a past") });
    assert_eq!(words(&seen), "[create abcdefgh27 r4 a2] Creating");
}

#[tokio::test]
async fn only_the_intents_own_client_meets_it() {
    let mut seen = with_status(settled(), &intent("Reset", MINE));
    seen.secret = stored(&seen, "victim", 3);
    assert_eq!(words(&seen), "[reset c1 r4 a2] SecretMissing");
    let mut created = with_status(unborn(), &intent("Create", "other"));
    created.secret = stored(&created, "victim", 3);
    assert_eq!(words(&created), "[] Creating");
    created.marked.insert("victim".into(), "bbbbbbbb22".into());
    assert_eq!(words(&created), "[] Creating", "another nonce");
    let mut raised = settled();
    raised.secret = stored(&raised, "victim", 2);
    assert_eq!(words(&raised), "[create anew r3 a1] SecretMissing", "a higher revision in the Secret names no client of ours");
}

#[tokio::test]
async fn a_rename_while_an_intent_is_pending_loses_nothing() {
    let mut seen = with_status(unborn(), &intent("Create", "other"));
    let SecretView::Ours(former) = stored(&seen, "c1", 3) else { panic!("ours") };
    seen.former_secret = Some(former);
    seen.marked.insert("c1".into(), NONCE.into());
    assert_eq!(words(&seen), "[finish r3] as status says");
}

#[tokio::test]
async fn an_update_that_is_not_heeded_stops_nothing_else() {
    let mut seen = with_status(settled(), &json!({ "syncedGeneration": 1, "verifiedRevision": null }));
    seen.declared = Some(declared(&seen));
    seen.client = ClientView::Present(Box::new(client("c1", NONCE, "active")));
    seen.memory.unheeded = Some((2, None));
    seen.memory.published = seen.instant.checked_sub(Duration::from_secs(10)).map(|at| (1, at));
    assert_eq!(words(&seen), "[verify] stalled PlatformRejected");
}

#[tokio::test]
async fn a_draining_client_is_left_alone_for_an_hour() {
    let draining = |since: &str| json!({ "retiring": [{ "clientId": "c5", "state": "Draining", "since": since }] });
    assert_eq!(words(&with_status(settled(), &draining("2026-06-01T11:00:01Z"))), "[] as status says");
    assert_eq!(words(&with_status(settled(), &draining("2026-06-01T11:00:00Z"))), "[retire next] as status says");
}

#[tokio::test]
async fn a_reset_is_recovered_by_a_reset_and_never_by_a_create() {
    let mut seen = with_status(settled(), &intent("Reset", MINE));
    assert_eq!(words(&seen), "[reset c1 r4 a2] SecretMissing");
    seen.secret = stored(&seen, "c1", 3);
    assert_eq!(words(&seen), "[finish r3] as status says");
}

#[tokio::test]
async fn a_held_credential_is_stored_before_anything_else() {
    let mut seen = with_status(unborn(), &intent("Create", MINE));
    seen.memory.held =
        Some(Credential { client_id: "c1".into(), client_secret: Some("x".to_owned().into()), revision: 3, issued_at: None, nonce: None });
    seen.failed = Some(genesys::Error::NotSent { operation: genesys::Operation::ListClients, reason: "x".into() });
    assert_eq!(words(&seen), "[publish] Creating");
    let mut superseded = with_status(seen, &intent("Create", "other"));
    superseded.failed = None;
    assert_eq!(words(&superseded), "[] Creating", "another process took the intent over");
}

#[tokio::test]
async fn a_lost_secret_is_repaired_by_another_client() {
    let mut seen = settled();
    seen.secret = SecretView::Absent;
    assert_eq!(words(&seen), "[create anew r2 a1] SecretMissing", "workloads that still hold the old secret go on");
    seen = with_status(seen, &json!({ "revision": 5 }));
    seen.secret = stored(&seen, "c1", 4);
    assert_eq!(words(&seen), "[create anew r6 a1] SecretMissing", "rolled back");
    let mut refuted = settled();
    refuted.memory.refuted = Some(1);
    assert_eq!(words(&refuted), "[create anew r2 a1] CredentialRejected");
    let mut in_place = settled();
    in_place.object = Arc::new(object(&json!({ "scim": true }), &settled_status()));
    in_place.secret = SecretView::Absent;
    assert_eq!(words(&in_place), "[reset c1 r2 a1] SecretMissing", "a client that can't be replaced is reset");
}

#[tokio::test]
async fn a_fourth_secret_within_an_hour_is_not_asked_for() {
    let mints = json!({ "mints": ["2026-06-01T11:10:00Z", "2026-06-01T11:20:00Z", "2026-06-01T11:30:00Z"] });
    let mut seen = with_status(settled(), &mints);
    seen.secret = SecretView::Absent;
    assert_eq!(words(&seen), "[] stalled MintLimit");
    seen.now = "2026-06-01T12:10:01Z".parse().expect("a time");
    assert_eq!(words(&seen), "[create anew r2 a1] SecretMissing", "it clears with time");
    let mut recovery = with_status(unborn(), &mints);
    recovery = with_status(recovery, &intent("Create", MINE));
    assert_eq!(words(&recovery), "[create abcdefgh27 r4 a2] Creating", "the recovery of an intent is part of it");
}

#[tokio::test]
async fn an_edited_secret_is_verified_before_it_is_written_again() {
    let mut seen = settled();
    let SecretView::Ours(published) = &mut seen.secret else { panic!("ours") };
    published.intact = false;
    published.secret.data.as_mut().expect("data").remove("region");
    assert_eq!(words(&seen), "[verify] as status says");
    seen.memory.edited_but_proven = Some("5".into());
    assert_eq!(words(&seen), "[store] as status says");
}

#[tokio::test]
async fn edits_verification_and_retirement() {
    let mut seen = with_status(
        settled(),
        &json!({ "syncedGeneration": 1, "retiring": [{ "clientId": "c5", "state": "Inactivating", "since": "2026-06-01T11:00:00Z" }] }),
    );
    seen.declared = Some(declared(&seen));
    seen.client = ClientView::Present(Box::new(client("c1", NONCE, "active")));
    assert_eq!(words(&seen), "[update, retire next] as status says");
    let mut unverified = with_status(settled(), &json!({ "verifiedRevision": null }));
    unverified.memory.published = Some((1, unverified.instant));
    assert_eq!(words(&unverified), "[] as status says", "new roles take a while");
    unverified.memory.published = unverified.instant.checked_sub(Duration::from_secs(10)).map(|at| (1, at));
    assert_eq!(words(&unverified), "[verify] as status says");
}

#[tokio::test]
async fn a_client_in_the_way() {
    let with_client = |view| {
        let mut seen = settled();
        seen.client = view;
        seen
    };
    assert_eq!(words(&with_client(ClientView::Present(Box::new(client("c1", NONCE, "disabled"))))), "[] stalled ClientDisabled");
    assert_eq!(words(&with_client(ClientView::Present(Box::new(client("c1", NONCE, "inactive"))))), "[] stalled DeactivatedOutside");
    let mut other = client("c1", NONCE, "active");
    other.description = Some(Owner::new("cluster", "team-b", "x").marker(NONCE).to_string());
    assert_eq!(words(&with_client(ClientView::Present(Box::new(other)))), "[] stalled Conflict");
    let mut gone = with_client(ClientView::Missing);
    gone.memory.missing_since = Some(gone.instant);
    assert_eq!(words(&gone), "[] ClientMissing", "one 404 is not enough");
    gone.memory.missing_since = gone.instant.checked_sub(Duration::from_secs(60));
    assert_eq!(words(&gone), "[create anew r2 a1] ClientMissing");
}

#[test]
fn answers_of_the_platform_become_words_for_a_person() {
    let refused = |status, code: &str, permissions: &[&str]| {
        genesys::Error::Refused(genesys::ApiError {
            operation: genesys::Operation::CreateClient,
            status,
            code: code.into(),
            message: "m".into(),
            correlation_id: None,
            retry_after: None,
            missing_permissions: permissions.iter().map(|name| (*name).to_owned()).collect(),
        })
    };
    let table = [
        (refused(400, "bad.client.role", &[]), "RoleNotGrantable"),
        (refused(400, "auth.invalid.scope", &[]), "ScopeUnknown"),
        (refused(403, "missing.any.permissions", &["oauth:client:add"]), "PermissionMissing"),
    ];
    for (error, expected) in table {
        let (Moment::Stalled(reason, message), Again::Backoff) = moment_of_error(&error, &GenesysOAuthClientStatus::default()) else {
            panic!("{error}")
        };
        assert_eq!(reason.as_str(), expected);
        assert!(expected != "PermissionMissing" || message.contains("Grant it oauth:client:add"), "{message}");
    }
    let (moment, again) = moment_of_error(&refused(400, "auth.too.many.clients", &[]), &GenesysOAuthClientStatus::default());
    let Moment::Stalled(reason, message) = moment else { panic!("a person must make room: {moment:?}") };
    assert!(reason.as_str() == "PlatformRejected" && message.contains("auth.too.many.clients") && matches!(again, Again::After(_)));
    let (moment, _) = moment_of_error(&refused(429, "too.many.requests", &[]), &GenesysOAuthClientStatus::default());
    assert!(matches!(moment, Moment::WaitingForBudget(_)));
}

#[test]
fn surroundings_have_every_field_of_the_key_map() {
    let seen_object = object(&json!({ "credentialsSecret": { "preset": "ServiceBinding" } }), &json!({}));
    let local = validate::locally(&seen_object).expect("a valid spec");
    let Surroundings { values } = validate::surroundings(&local, &super::world::endpoints(), "o1");
    for (field, _) in local.keys.fields() {
        assert!(values.contains_key(field) || field == "clientId" || field == "clientSecret", "{field}");
    }
}

#[tokio::test]
async fn a_client_that_came_too_late_is_retired() {
    let mut seen = settled();
    seen.memory.surplus = Some("c9".into());
    assert_eq!(words(&seen), "[retire c9] as status says");
    seen.memory.surplus = Some("c1".into());
    assert_eq!(words(&seen), "[] as status says", "never the published one");
}

#[tokio::test]
async fn a_credential_is_verified_once_a_day_also_after_a_restart() {
    let mut seen = settled();
    seen.memory.verified = None;
    seen.memory.published = Some((1, seen.instant));
    assert_eq!(words(&seen), "[] as status says", "spread over the day");
    seen.memory.published = seen.instant.checked_sub(seen.times.verification_spread).map(|at| (1, at));
    assert_eq!(words(&seen), "[verify] as status says");
}

#[tokio::test]
async fn a_higher_revision_of_the_same_client_is_written_down_not_reset() {
    let mut seen = settled();
    seen.secret = stored(&seen, "c1", 2);
    assert_eq!(words(&seen), "[finish r2] as status says");
}

#[tokio::test]
async fn the_published_client_is_never_retired() {
    let retiring = json!({ "retiring": [{ "clientId": "c1", "state": "Draining", "since": "2026-06-01T01:00:00Z" }] });
    assert_eq!(words(&with_status(settled(), &retiring)), "[] as status says");
}

#[tokio::test]
async fn a_rename_that_was_interrupted_is_made_good() {
    let old = json!({ "effective": { "secretName": "old-name", "deletionPolicy": "Delete" } });
    assert_eq!(words(&with_status(settled(), &old)), "[store] as status says", "the Secret stands, its name is not written down yet");
}

#[tokio::test]
async fn an_older_secret_at_the_new_name_hides_no_former_one() {
    let mut seen = with_status(
        settled(),
        &json!({ "revision": 2, "verifiedRevision": 2, "carriedRevision": 2, "effective": { "secretName": "former", "deletionPolicy": "Delete" } }),
    );
    let SecretView::Ours(former) = stored(&seen, "c1", 2) else { panic!("ours") };
    seen.former_secret = Some(former);
    seen.memory.verified = Some((2, seen.instant));
    assert_eq!(words(&seen), "[store] as status says", "a copy, never a reset");
}
