//! How values may be written: formats of texts, whole numbers and nulls; it must not judge bounds, which are the schema's business.

use anyhow::Result;
use serde_json::{Value, json};

use crate::check::Check;
use crate::ground::Ground;
use crate::same;

/// The group's checks.
pub const CHECKS: &[Check] = crate::checks!("formats", [];
    texts_have_their_format,
    a_width_is_no_bound,
    a_whole_number_may_have_a_point,
    nulls_in_a_map_are_dropped,
    nulls_of_unknown_shape_are_dropped_by_name_alone,
);

/// Defines a kind with these members of spec; returns its collection.
async fn kind(g: &Ground, members: Value) -> Result<String> {
    let spec = json!({"type": "object", "properties": members});
    g.define("notes", "Note", &json!({"schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}})).await
}

fn note(g: &Ground, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": format!("{}/v1", g.own_group()), "kind": "Note", "metadata": {"name": name}, "spec": spec})
}

async fn texts_have_their_format(g: &Ground) -> Result<()> {
    let cases = [
        ("date-time", "2020-01-01T00:00:00Z", "2020-01-01 00:00:00Z"),
        ("date", "2020-01-01", "20200101"),
        ("duration", "1h", "soon"),
        ("uuid", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7"),
        ("uuid4", "6ba7b810-9dad-41d1-80b4-00c04fd430c8", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
        ("ipv4", "10.0.0.1", "10.0.0"),
        ("cidr", "10.0.0.0/8", "10.0.0.0"),
        ("mac", "01:02:03:04:05:06", "01:02"),
        ("email", "a@example.com", "example.com"),
        ("uri", "https://example.com", "://"),
        ("byte", "YQ==", "!!"),
    ];
    let members = cases.iter().map(|(format, ..)| ((*format).to_owned(), json!({"type": "string", "format": format}))).collect();
    let all = kind(g, Value::Object(members)).await?;
    for (format, good, bad) in cases {
        g.server.post(&all, &note(g, &format!("good-{format}"), &json!({format: good}))).await?.status(201)?;
        g.server.post(&all, &note(g, "bad", &json!({format: bad}))).await?.invalid(&format!("spec.{format}"))?;
    }
    Ok(())
}

async fn a_width_is_no_bound(g: &Ground) -> Result<()> {
    let all = kind(g, json!({"count": {"type": "integer", "format": "int32"}})).await?;
    let stored = g.server.post(&all, &note(g, "a", &json!({"count": 5_000_000_000_i64}))).await?.status(201)?;
    same!(stored.at("/spec/count"), 5_000_000_000_i64);
    Ok(())
}

async fn a_whole_number_may_have_a_point(g: &Ground) -> Result<()> {
    let all = kind(g, json!({"count": {"type": "integer", "format": "int32"}, "share": {"type": "number"}})).await?;
    let stored = g.server.post(&all, &note(g, "a", &json!({"count": 3.0, "share": 2.0}))).await?.status(201)?;
    same!(stored.at("/spec"), json!({"count": 3, "share": 2}));
    g.server.post(&all, &note(g, "b", &json!({"count": 3.5}))).await?.invalid("spec.count")?;
    Ok(())
}

async fn nulls_in_a_map_are_dropped(g: &Ground) -> Result<()> {
    let values = json!({"type": "object", "properties": {"x": {"type": "integer"}}});
    let all = kind(g, json!({"map": {"type": "object", "additionalProperties": values}})).await?;
    let stored = g.server.post(&all, &note(g, "a", &json!({"map": {"gone": null, "kept": {"x": 1}}}))).await?.status(201)?;
    same!(stored.at("/spec/map"), json!({"kept": {"x": 1}}));
    Ok(())
}

async fn nulls_of_unknown_shape_are_dropped_by_name_alone(g: &Ground) -> Result<()> {
    let open = json!({"x-kubernetes-preserve-unknown-fields": true});
    let all = kind(g, json!({"named": open, "open": open})).await?;
    let stored = g.server.post(&all, &note(g, "a", &json!({"named": null, "open": {"inside": null}}))).await?.status(201)?;
    same!(stored.at("/spec"), json!({"open": {"inside": null}}));
    Ok(())
}
