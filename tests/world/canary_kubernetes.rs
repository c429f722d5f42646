//! Secrets that an admission webhook repeats when it refuses them: the API server redacts its own errors, and no other's. Every world looks for
//! them in all logs, objects, Events, metrics and requests when it closes; these stories let them be repeated.

use std::sync::{Arc, PoisonError, atomic::Ordering};

use serde_json::json;

use crate::{
    mishaps::minutes,
    rotating::CLIENTS,
    scenario::once,
    stories::NAME,
    world::{Plan, World, path},
};

/// When a Secret is written.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// For the first time.
    Create,
    /// Again, because somebody changed it.
    Restore,
    /// With the credential of a rotation.
    Rotate,
    /// With the credential of a reset in place.
    Regenerate,
}

fn webhook(world: &World, status: Option<u16>) {
    *world.wires.webhook.lock().unwrap_or_else(PoisonError::into_inner) = status;
}

/// Somebody takes a key out of the Secret.
async fn spoil(world: &World) {
    let patch = json!({ "data": { "clientId": null }, "metadata": { "labels": null } });
    world.ask(http::Method::PATCH, &path("secrets", NAME), &patch).await.expect("the Secret is changed");
}

async fn lives(world: &Arc<World>, moment: Moment, status: u16) {
    let spec = json!({ "scim": matches!(moment, Moment::Regenerate) });
    if !matches!(moment, Moment::Create) {
        world.declare(NAME, &spec);
        world.settles(NAME).await;
    }
    webhook(world, Some(status));
    match moment {
        Moment::Create => world.declare(NAME, &spec),
        Moment::Restore => spoil(world).await,
        Moment::Rotate | Moment::Regenerate => {
            let request = json!({ "oauth.genesys-operator.io/rotate": "leak/Emergency" });
            world.annotate(CLIENTS, NAME, &request).await;
        }
    }
    minutes(15).await;
    webhook(world, None);
    minutes(15).await;
}

#[test]
fn what_a_webhook_repeats_of_a_secret_is_told_nowhere() {
    for status in [400, 403, 422, 500] {
        for moment in [Moment::Create, Moment::Restore, Moment::Rotate, Moment::Regenerate] {
            once(Plan::new(245).with_events(), async |world: &Arc<World>| {
                lives(world, moment, status).await;
                // The control: what the webhook said holds a secret, by the same eye that looks for it everywhere else.
                let repeated = world.wires.repeated.load(Ordering::Relaxed);
                assert!(repeated > 0, "{moment:?}: no Secret with a credential was refused");
            });
        }
    }
}

#[test]
fn a_person_is_told_who_refused_the_secret_and_not_what_it_holds() {
    once(Plan::new(246).with_events(), async |world: &Arc<World>| {
        world.declare(NAME, &json!({}));
        world.settles(NAME).await;
        webhook(world, Some(422));
        spoil(world).await;
        let said = world
            .until("the refusal to be told", |world| {
                let told = world.object(NAME)?["status"]["conditions"].to_string();
                told.contains("policy.example.com").then_some(told)
            })
            .await;
        assert!(said.contains("[withheld]"), "{said}");
        webhook(world, None);
    });
}
