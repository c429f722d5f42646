//! Leases and Events as the operator and its library write them; it must not wait for an Event to expire.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::check::Check;
use crate::ground::Ground;
use crate::{contains, same};

/// The checks of leases.
pub const LEASES: &[Check] = crate::checks!("leases", [];
    a_lease_is_kept_as_written,
    of_two_holders_one_wins,
    a_renewal_moves_the_version,
    a_stale_renewal_conflicts,
    a_duration_must_be_positive,
    a_lease_can_be_applied,
    a_lease_can_be_let_go,
);

/// The checks of Events.
pub const EVENTS: &[Check] = crate::checks!("events", [];
    an_event_is_kept_as_written,
    an_event_of_the_new_group_is_read_by_the_old,
    an_event_of_the_old_group_is_read_by_the_new,
    an_event_needs_its_reporter,
    a_series_can_be_counted_up,
    events_are_selected_by_their_object,
    events_are_selected_by_type_and_reason,
    an_event_lives_in_the_namespace_of_its_object,
    a_long_note_is_refused,
);

/// A lease that `holder` holds.
#[must_use]
pub fn lease(name: &str, holder: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name},
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-01-02T03:04:05.000006Z",
            "renewTime": "2026-01-02T03:04:05.000006Z",
            "leaseTransitions": 1,
        },
    })
}

/// An Event of events.k8s.io about a widget `w`.
#[must_use]
pub fn event(g: &Ground, name: &str) -> Value {
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name},
        "type": "Normal",
        "reason": "Rotated",
        "note": "it was rotated",
        "action": "Rotating",
        "eventTime": "2026-01-02T03:04:05.000006Z",
        "reportingController": "example.com/conformance",
        "reportingInstance": "conformance-1",
        "regarding": {"apiVersion": format!("{}/v1", g.group), "kind": "Widget", "name": "w", "namespace": g.namespace, "uid": "u-1"},
    })
}

fn leases(g: &Ground) -> String {
    g.built_in("coordination.k8s.io/v1", "leases")
}

async fn a_lease_is_kept_as_written(g: &Ground) -> Result<()> {
    let made = g.server.post(&leases(g), &lease("l", "one")).await?.status(201)?;
    same!(made.at("/spec"), lease("l", "one")["spec"]);
    same!(g.server.get(&format!("{}/l", leases(g))).await?.ok()?.body, made.body);
    same!(made.at("/metadata/generation"), Value::Null);
    Ok(())
}

async fn of_two_holders_one_wins(g: &Ground) -> Result<()> {
    let path = format!("{}/l", leases(g));
    let made = g.server.post(&leases(g), &lease("l", "nobody")).await?.status(201)?;
    let take = |holder: &str| {
        let (server, path, body) = (g.server.clone(), path.clone(), made.with("/spec/holderIdentity", holder));
        async move { server.put(&path, &body).await }
    };
    let (one, two) = tokio::join!(take("one"), take("two"));
    let (one, two) = (one?, two?);
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    same!(statuses, [200, 409]);
    let winner = if one.status == 200 { "one" } else { "two" };
    same!(g.server.get(&path).await?.at("/spec/holderIdentity"), winner);
    Ok(())
}

async fn a_renewal_moves_the_version(g: &Ground) -> Result<()> {
    let path = format!("{}/l", leases(g));
    let made = g.server.post(&leases(g), &lease("l", "one")).await?.status(201)?;
    let renewed = g.server.put(&path, &made.with("/spec/renewTime", "2026-01-02T03:05:05.000006Z")).await?.ok()?;
    crate::differs!(renewed.rv(), made.rv());
    same!(renewed.at("/spec/renewTime"), "2026-01-02T03:05:05.000006Z");
    same!(g.server.put(&path, &renewed.body).await?.ok()?.rv(), renewed.rv());
    Ok(())
}

async fn a_stale_renewal_conflicts(g: &Ground) -> Result<()> {
    let path = format!("{}/l", leases(g));
    let made = g.server.post(&leases(g), &lease("l", "one")).await?.status(201)?;
    let taken = g.server.merge(&path, &json!({"spec": {"holderIdentity": "two", "leaseTransitions": 2}})).await?.ok()?;
    let stale = made.with("/spec/renewTime", "2026-01-02T03:05:05.000006Z");
    g.server.put(&path, &stale).await?.refused(409, "Conflict")?;
    let stale = json!({"metadata": {"resourceVersion": made.rv()}, "spec": {"renewTime": "2026-01-02T03:05:05.000006Z"}});
    g.server.merge(&path, &stale).await?.refused(409, "Conflict")?;
    same!(g.server.get(&path).await?.body, taken.body);
    Ok(())
}

async fn a_duration_must_be_positive(g: &Ground) -> Result<()> {
    let mut body = lease("l", "one");
    body["spec"]["leaseDurationSeconds"] = 0.into();
    let message = g.server.post(&leases(g), &body).await?.invalid("spec.leaseDurationSeconds")?;
    contains!(message, "must be greater than 0");
    body["spec"]["leaseDurationSeconds"] = 1.into();
    body["spec"]["renewTime"] = "yesterday".into();
    same!(g.server.post(&leases(g), &body).await?.status, 400);
    g.server.get(&format!("{}/l", leases(g))).await?.refused(404, "NotFound")?;
    Ok(())
}

async fn a_lease_can_be_applied(g: &Ground) -> Result<()> {
    let path = format!("{}/l", leases(g));
    g.server.apply(&path, "one", &lease("l", "one")).await?.status(201)?;
    let refused = g.server.apply(&path, "two", &lease("l", "two")).await?.refused(409, "Conflict")?;
    same!(refused.at("/details/causes/0/field"), ".spec.holderIdentity");
    let forced = g.server.apply(&path, "two", &lease("l", "two")).force().await?.ok()?;
    same!(forced.at("/spec/holderIdentity"), "two");
    Ok(())
}

async fn a_lease_can_be_let_go(g: &Ground) -> Result<()> {
    let path = format!("{}/l", leases(g));
    g.server.post(&leases(g), &lease("l", "one")).await?.status(201)?;
    let free = g.server.merge(&path, &json!({"spec": {"holderIdentity": null, "renewTime": null}})).await?.ok()?;
    same!(free.at("/spec/holderIdentity"), Value::Null);
    same!(free.at("/spec/leaseTransitions"), 1);
    g.server.delete(&path).await?.status(200)?;
    Ok(())
}

fn new_events(g: &Ground) -> String {
    g.built_in("events.k8s.io/v1", "events")
}

async fn an_event_is_kept_as_written(g: &Ground) -> Result<()> {
    let made = g.server.post(&new_events(g), &event(g, "e")).await?.status(201)?;
    let wanted = event(g, "e");
    for field in ["type", "reason", "note", "action", "eventTime", "reportingController", "reportingInstance", "regarding"] {
        same!(made.body[field], wanted[field]);
    }
    same!(g.server.get(&format!("{}/e", new_events(g))).await?.ok()?.body, made.body);
    Ok(())
}

async fn an_event_of_the_new_group_is_read_by_the_old(g: &Ground) -> Result<()> {
    g.server.post(&new_events(g), &event(g, "e")).await?.status(201)?;
    let old = g.server.get(&format!("{}/e", g.core("events"))).await?.ok()?;
    same!(old.at("/kind"), "Event");
    same!(old.at("/apiVersion"), "v1");
    same!(old.at("/message"), "it was rotated");
    same!(old.at("/involvedObject/name"), "w");
    same!(old.at("/reportingComponent"), "example.com/conformance");
    same!(old.at("/note"), Value::Null);
    Ok(())
}

async fn an_event_of_the_old_group_is_read_by_the_new(g: &Ground) -> Result<()> {
    let body = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"},
        "involvedObject": {"apiVersion": format!("{}/v1", g.group), "kind": "Widget", "name": "w", "namespace": g.namespace},
        "reason": "Seen", "message": "it was seen", "type": "Warning", "count": 2,
        "firstTimestamp": "2026-01-02T03:04:05Z", "lastTimestamp": "2026-01-02T03:05:05Z", "source": {"component": "conformance"},
    });
    g.server.post(&g.core("events"), &body).await?.status(201)?;
    let new = g.server.get(&format!("{}/e", new_events(g))).await?.ok()?;
    same!(new.at("/apiVersion"), "events.k8s.io/v1");
    same!(new.at("/note"), "it was seen");
    same!(new.at("/regarding/name"), "w");
    same!(new.at("/deprecatedCount"), 2);
    same!(new.at("/deprecatedSource/component"), "conformance");
    Ok(())
}

async fn an_event_needs_its_reporter(g: &Ground) -> Result<()> {
    for field in ["reportingController", "reportingInstance", "action", "reason", "eventTime"] {
        let mut body = event(g, "e");
        if let Some(body) = body.as_object_mut() {
            body.remove(field);
        }
        g.server.post(&new_events(g), &body).await?.refused(422, "Invalid")?;
    }
    let mut body = event(g, "e");
    body["type"] = "Odd".into();
    g.server.post(&new_events(g), &body).await?.refused(422, "Invalid")?;
    same!(g.server.get(&new_events(g)).await?.names(), Vec::<String>::new());
    Ok(())
}

async fn a_series_can_be_counted_up(g: &Ground) -> Result<()> {
    let path = format!("{}/e", new_events(g));
    let made = g.server.post(&new_events(g), &event(g, "e")).await?.status(201)?;
    let series = json!({"series": {"count": 2, "lastObservedTime": "2026-01-02T03:06:05.000006Z"}});
    let patched = g.server.merge(&path, &series).await?.ok()?;
    same!(patched.at("/series"), series["series"]);
    crate::differs!(patched.rv(), made.rv());
    let by_strategy = g.server.strategic(&path, &json!({"series": {"count": 3}})).await?.ok()?;
    same!(by_strategy.at("/series/count"), 3);
    Ok(())
}

async fn events_are_selected_by_their_object(g: &Ground) -> Result<()> {
    g.server.post(&new_events(g), &event(g, "a")).await?.status(201)?;
    let mut other = event(g, "b");
    other["regarding"]["name"] = "x".into();
    other["regarding"]["uid"] = "u-2".into();
    g.server.post(&new_events(g), &other).await?.status(201)?;
    for (selector, name) in [("involvedObject.name=w,involvedObject.kind=Widget", "a"), ("involvedObject.uid=u-2", "b")] {
        same!(g.server.get(&g.core("events")).query("fieldSelector", selector).await?.ok()?.names(), [name]);
    }
    Ok(())
}

async fn events_are_selected_by_type_and_reason(g: &Ground) -> Result<()> {
    g.server.post(&new_events(g), &event(g, "a")).await?.status(201)?;
    let mut other = event(g, "b");
    other["type"] = "Warning".into();
    other["reason"] = "Failed".into();
    g.server.post(&new_events(g), &other).await?.status(201)?;
    same!(g.server.get(&g.core("events")).query("fieldSelector", "type=Warning").await?.ok()?.names(), ["b"]);
    same!(g.server.get(&g.core("events")).query("fieldSelector", "type!=Warning,reason=Rotated").await?.ok()?.names(), ["a"]);
    Ok(())
}

async fn an_event_lives_in_the_namespace_of_its_object(g: &Ground) -> Result<()> {
    let mut body = event(g, "e");
    body["regarding"] = json!({"apiVersion": "v1", "kind": "Namespace", "name": g.namespace});
    let message = g.server.post(&new_events(g), &body).await?.invalid("involvedObject.namespace")?;
    contains!(message, "does not match event.namespace");
    body["metadata"]["name"] = format!("{}.e", g.namespace).into();
    body["regarding"] = json!({"apiVersion": format!("{}/v1", g.group), "kind": "Region", "name": "r"});
    let system = "/apis/events.k8s.io/v1/namespaces/kube-system/events";
    g.server.post(system, &body).await?.status(201)?;
    g.server.delete(&format!("{system}/{}.e", g.namespace)).await?.ok()?;
    Ok(())
}

async fn a_long_note_is_refused(g: &Ground) -> Result<()> {
    let mut body = event(g, "e");
    body["note"] = "x".repeat(1025).into();
    g.server.post(&new_events(g), &body).await?.refused(422, "Invalid")?;
    body["note"] = "x".repeat(1024).into();
    let made = g.server.post(&new_events(g), &body).await?.status(201)?;
    ensure!(made.text("/note").len() == 1024, "cut: {}", made.excerpt());
    Ok(())
}
