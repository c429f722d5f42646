//! What a definition's schema does to objects: defaults, pruning and refusals; it must not compare the wording of messages where
//! the cause's field says enough.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::capability::Need;
use crate::check::Check;
use crate::ground::Ground;
use crate::{contains, same};

/// The checks of defaults.
pub const DEFAULTS: &[Check] = crate::checks!("defaults", [];
    a_missing_field_is_defaulted,
    a_given_field_is_kept,
    a_default_inside_a_missing_object_waits,
    a_default_inside_an_empty_object_is_filled_in,
    a_removed_field_is_defaulted_again,
    null_is_replaced_by_the_default,
    a_default_added_later_is_seen_by_readers,
);

/// The checks of pruning.
pub const PRUNING: &[Check] = crate::checks!("pruning", [];
    an_unknown_field_is_dropped,
    an_unknown_field_of_a_list_item_is_dropped,
    an_unknown_field_at_the_top_is_dropped,
    a_field_that_preserves_keeps_all,
    unknown_metadata_is_dropped,
    a_patch_of_an_unknown_field_moves_nothing,
);

/// The checks of validation.
pub const VALIDATION: &[Check] = crate::checks!("validation", [];
    bounds_of_numbers,
    enumerations,
    patterns_and_lengths,
    types,
    required_fields,
    sets_have_no_duplicates,
    maps_have_no_duplicates,
    a_limit_of_items,
    dates_are_dates,
    one_of,
    null_only_where_allowed,
    integers_or_strings,
    every_cause_is_told,
    the_refusal_reads_as_ever,
    nothing_invalid_is_stored_by_any_verb,
);

/// The checks of `fieldValidation`.
pub const STRICT: &[Check] = crate::checks!("field-validation", [Need::FieldValidation];
    strict_refuses_unknown_fields,
    strict_refuses_unknown_fields_in_patches,
    warn_warns_of_unknown_fields,
    ignore_is_silent,
    strict_refuses_duplicates,
);

async fn a_missing_field_is_defaulted(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    same!(made.at("/spec"), json!({"size": 1, "color": "red"}));
    same!(g.stored("w").await?.at("/spec/color"), "red");
    same!(g.server.get(&g.all("widgets")).await?.at("/items/0/spec/color"), "red");
    Ok(())
}

async fn a_given_field_is_kept(g: &Ground) -> Result<()> {
    same!(g.make("w", &json!({"size": 1, "color": "blue"})).await?.at("/spec/color"), "blue");
    Ok(())
}

async fn a_default_inside_a_missing_object_waits(g: &Ground) -> Result<()> {
    same!(g.make("w", &json!({"size": 1})).await?.at("/spec/limits"), Value::Null);
    Ok(())
}

async fn a_default_inside_an_empty_object_is_filled_in(g: &Ground) -> Result<()> {
    same!(g.make("w", &json!({"size": 1, "limits": {}})).await?.at("/spec/limits"), json!({"depth": 3}));
    let patched = g.server.merge(&g.at("w"), &json!({"spec": {"limits": {"depth": 9, "width": 1}}})).await?.ok()?;
    same!(patched.at("/spec/limits"), json!({"depth": 9, "width": 1}));
    Ok(())
}

async fn a_removed_field_is_defaulted_again(g: &Ground) -> Result<()> {
    g.make("w", &json!({"size": 1, "color": "blue"})).await?;
    let patched = g.server.merge(&g.at("w"), &json!({"spec": {"color": null}})).await?.ok()?;
    same!(patched.at("/spec/color"), "red");
    same!(patched.generation(), 2);
    Ok(())
}

async fn null_is_replaced_by_the_default(g: &Ground) -> Result<()> {
    same!(g.make("w", &json!({"size": 1, "color": null})).await?.at("/spec/color"), "red");
    Ok(())
}

async fn a_default_added_later_is_seen_by_readers(g: &Ground) -> Result<()> {
    let schema = |field: Value| json!({"schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {"late": field}}}}}});
    let all = g.define("laters", "Later", &schema(json!({"type": "string"}))).await?;
    let object = json!({"apiVersion": format!("{}/v1", g.own_group()), "kind": "Later", "metadata": {"name": "l"}, "spec": {}});
    let made = g.server.post(&all, &object).await?.status(201)?;
    same!(made.at("/spec"), json!({}));
    let definition = format!("{}/laters.{}", crate::fixtures::DEFINITIONS, g.own_group());
    let steps =
        json!([{"op": "add", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/late/default", "value": "now"}]);
    g.server.json_patch(&definition, &steps).await?.ok()?;
    crate::until::until("the new default", || async {
        let read = g.server.get(&format!("{all}/l")).await?.ok()?;
        Ok(if read.at("/spec/late") == "now" { Ok(()) } else { Err(read.excerpt()) })
    })
    .await?;
    same!(g.server.get(&format!("{all}/l")).await?.rv(), made.rv());
    Ok(())
}

async fn an_unknown_field_is_dropped(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1, "unheard": {"of": 1}})).await?;
    same!(made.at("/spec"), json!({"size": 1, "color": "red"}));
    same!(g.stored("w").await?.body, made.body);
    Ok(())
}

async fn an_unknown_field_of_a_list_item_is_dropped(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1, "parts": [{"name": "a", "unheard": 1}]})).await?;
    same!(made.at("/spec/parts"), json!([{"name": "a"}]));
    Ok(())
}

async fn an_unknown_field_at_the_top_is_dropped(g: &Ground) -> Result<()> {
    let mut body = g.widget("w", &json!({"size": 1}));
    body["unheard"] = json!({"of": 1});
    same!(g.server.post(&g.all("widgets"), &body).await?.status(201)?.at("/unheard"), Value::Null);
    Ok(())
}

async fn a_field_that_preserves_keeps_all(g: &Ground) -> Result<()> {
    let extra = json!({"any": {"thing": [1, "two", {"three": null}]}});
    let made = g.make("w", &json!({"size": 1, "extra": extra})).await?;
    same!(made.at("/spec/extra/any/thing/1"), "two");
    same!(made.at("/spec/extra"), extra);
    Ok(())
}

async fn unknown_metadata_is_dropped(g: &Ground) -> Result<()> {
    let mut body = g.widget("w", &json!({"size": 1}));
    body["metadata"]["unheard"] = "of".into();
    same!(g.server.post(&g.all("widgets"), &body).await?.status(201)?.at("/metadata/unheard"), Value::Null);
    Ok(())
}

async fn a_patch_of_an_unknown_field_moves_nothing(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let patched = g.server.merge(&g.at("w"), &json!({"spec": {"unheard": "of"}})).await?.status(200)?;
    same!(patched.rv(), made.rv());
    same!(g.stored("w").await?.body, made.body);
    Ok(())
}

/// Creates a widget of this spec and expects a refusal with a cause on `field`.
async fn bad(g: &Ground, spec: Value, field: &str) -> Result<String> {
    let message = g.server.post(&g.all("widgets"), &g.widget("w", &spec)).await?.invalid(field)?;
    g.absent("w").await?;
    Ok(message)
}

async fn bounds_of_numbers(g: &Ground) -> Result<()> {
    contains!(bad(g, json!({"size": 101}), "spec.size").await?, "should be less than or equal to 100");
    contains!(bad(g, json!({"size": -1}), "spec.size").await?, "should be greater than or equal to 0");
    g.make("zero", &json!({"size": 0})).await?;
    g.make("hundred", &json!({"size": 100})).await?;
    Ok(())
}

async fn enumerations(g: &Ground) -> Result<()> {
    contains!(bad(g, json!({"size": 1, "color": "pink"}), "spec.color").await?, "Unsupported value: \"pink\"", "\"red\"", "\"blue\"");
    Ok(())
}

async fn patterns_and_lengths(g: &Ground) -> Result<()> {
    contains!(bad(g, json!({"size": 1, "title": "UPPER"}), "spec.title").await?, "should match '^[a-z ]*$'");
    bad(g, json!({"size": 1, "title": "a".repeat(21)}), "spec.title").await?;
    bad(g, json!({"size": 1, "owner": {"user": "x"}}), "spec.owner.user").await?;
    g.make("twenty", &json!({"size": 1, "title": "a".repeat(20)})).await?;
    Ok(())
}

async fn types(g: &Ground) -> Result<()> {
    contains!(bad(g, json!({"size": "one"}), "spec.size").await?, "must be of type integer", "string");
    bad(g, json!({"size": 1.5}), "spec.size").await?;
    bad(g, json!({"size": 1, "enabled": "yes"}), "spec.enabled").await?;
    bad(g, json!({"size": 1, "options": {"a": 1}}), "spec.options.a").await?;
    bad(g, json!({"size": 1, "steps": "one"}), "spec.steps").await?;
    g.make("whole", &json!({"size": 1, "ratio": 2})).await?;
    Ok(())
}

async fn required_fields(g: &Ground) -> Result<()> {
    contains!(bad(g, json!({}), "spec.size").await?, "Required value");
    let refused =
        g.server.post(&g.all("widgets"), &g.widget("w", &json!({"size": 1, "parts": [{"count": 1}]}))).await?.refused(422, "Invalid")?;
    same!(refused.at("/details/causes/0/reason"), "FieldValueRequired");
    contains!(refused.text("/details/causes/0/field"), "spec.parts", ".name");
    let mut body = g.widget("w", &json!({}));
    body.as_object_mut().and_then(|body| body.remove("spec"));
    let refused = g.server.post(&g.all("widgets"), &body).await?.refused(422, "Invalid")?;
    same!(refused.at("/details/causes/0/reason"), "FieldValueRequired");
    same!(refused.at("/details/causes/0/field"), "spec");
    Ok(())
}

async fn sets_have_no_duplicates(g: &Ground) -> Result<()> {
    let message = bad(g, json!({"size": 1, "tags": ["a", "b", "a"]}), "spec.tags[2]").await?;
    contains!(message, "Duplicate value", "a");
    g.make("w", &json!({"size": 1, "tags": ["a", "b"]})).await?;
    let patched = g.server.merge(&g.at("w"), &json!({"spec": {"tags": ["b", "b"]}})).await?.refused(422, "Invalid")?;
    same!(patched.at("/details/causes/0/reason"), "FieldValueDuplicate");
    Ok(())
}

async fn maps_have_no_duplicates(g: &Ground) -> Result<()> {
    let parts = json!([{"name": "a", "count": 1}, {"name": "a", "count": 2}]);
    contains!(bad(g, json!({"size": 1, "parts": parts}), "spec.parts[1]").await?, "Duplicate value");
    g.make("w", &json!({"size": 1, "steps": ["a", "a"]})).await?;
    Ok(())
}

async fn a_limit_of_items(g: &Ground) -> Result<()> {
    let tags: Vec<String> = (0..9).map(|number| format!("t{number}")).collect();
    contains!(bad(g, json!({"size": 1, "tags": tags}), "spec.tags").await?, "at most 8 items");
    g.make("eight", &json!({"size": 1, "tags": tags[..8]})).await?;
    Ok(())
}

async fn dates_are_dates(g: &Ground) -> Result<()> {
    contains!(bad(g, json!({"size": 1, "since": "yesterday"}), "spec.since").await?, "date-time");
    same!(g.make("w", &json!({"size": 1, "since": "2026-01-02T03:04:05Z"})).await?.at("/spec/since"), "2026-01-02T03:04:05Z");
    Ok(())
}

async fn one_of(g: &Ground) -> Result<()> {
    for owner in [json!({"user": "me", "group": "us"}), json!({})] {
        let refused =
            g.server.post(&g.all("widgets"), &g.widget("w", &json!({"size": 1, "owner": owner}))).await?.refused(422, "Invalid")?;
        contains!(refused.message(), "\"spec.owner\" must validate one and only one schema (oneOf)");
    }
    g.absent("w").await?;
    g.make("w", &json!({"size": 1, "owner": {"group": "us"}})).await?;
    Ok(())
}

async fn null_only_where_allowed(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1, "note": null})).await?;
    same!(made.at("/spec").as_object().is_some_and(|spec| spec.contains_key("note")), true);
    let refused = g.server.post(&g.all("widgets"), &g.widget("x", &json!({"size": null}))).await?;
    refused.refused(422, "Invalid")?;
    Ok(())
}

async fn integers_or_strings(g: &Ground) -> Result<()> {
    let port = json!({"x-kubernetes-int-or-string": true});
    let schema = json!({"schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {"port": port}}}}}});
    let all = g.define("doors", "Door", &schema).await?;
    let door = |name: &str, port: Value| json!({"apiVersion": format!("{}/v1", g.own_group()), "kind": "Door", "metadata": {"name": name}, "spec": {"port": port}});
    same!(g.server.post(&all, &door("a", json!(80))).await?.status(201)?.at("/spec/port"), 80);
    same!(g.server.post(&all, &door("b", json!("http"))).await?.status(201)?.at("/spec/port"), "http");
    g.server.post(&all, &door("c", json!(true))).await?.refused(422, "Invalid")?;
    Ok(())
}

async fn every_cause_is_told(g: &Ground) -> Result<()> {
    let refused = g.server.post(&g.all("widgets"), &g.widget("w", &json!({"size": 101, "color": "pink", "enabled": 1}))).await?;
    let refused = refused.refused(422, "Invalid")?;
    let mut fields: Vec<_> = refused.list("/details/causes").iter().map(|cause| cause["field"].clone()).collect();
    fields.sort_by_key(Value::to_string);
    same!(fields, ["spec.color", "spec.enabled", "spec.size"]);
    let reasons: Vec<_> = refused.list("/details/causes").iter().map(|cause| cause["reason"].as_str().unwrap_or_default()).collect();
    ensure!(reasons.contains(&"FieldValueNotSupported"), "{reasons:?}");
    Ok(())
}

async fn the_refusal_reads_as_ever(g: &Ground) -> Result<()> {
    let refused = g.server.post(&g.all("widgets"), &g.widget("w", &json!({"size": 101}))).await?.refused(422, "Invalid")?;
    same!(refused.at("/details/name"), "w");
    same!(refused.at("/details/group"), g.group);
    same!(refused.at("/details/kind"), "Widget");
    contains!(refused.message(), format!("Widget.{} \"w\" is invalid: spec.size: Invalid value: 101: spec.size in body", g.group));
    same!(refused.list("/details/causes").len(), 1);
    Ok(())
}

async fn nothing_invalid_is_stored_by_any_verb(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    g.server.put(&g.at("w"), &made.with("/spec/size", 101)).await?.invalid("spec.size")?;
    g.server.merge(&g.at("w"), &json!({"spec": {"size": 101}})).await?.invalid("spec.size")?;
    g.server.json_patch(&g.at("w"), &json!([{"op": "replace", "path": "/spec/size", "value": 101}])).await?.invalid("spec.size")?;
    g.server.apply(&g.at("w"), "one", &g.widget("w", &json!({"size": 101}))).force().await?.invalid("spec.size")?;
    same!(g.stored("w").await?.body, made.body);
    Ok(())
}

async fn strict_refuses_unknown_fields(g: &Ground) -> Result<()> {
    let body = g.widget("w", &json!({"size": 1, "unheard": 1}));
    let refused = g.server.post(&g.all("widgets"), &body).query("fieldValidation", "Strict").await?.refused(400, "BadRequest")?;
    contains!(refused.message(), "strict decoding error", "unknown field \"spec.unheard\"");
    g.absent("w").await
}

async fn strict_refuses_unknown_fields_in_patches(g: &Ground) -> Result<()> {
    let made = g.make("w", &json!({"size": 1})).await?;
    let refused = g.server.merge(&g.at("w"), &json!({"spec": {"unheard": 1}})).query("fieldValidation", "Strict").await?;
    contains!(refused.message(), "unknown field \"spec.unheard\"");
    ensure!(matches!(refused.status, 400 | 422), "{}", refused.excerpt());
    same!(g.stored("w").await?.body, made.body);
    Ok(())
}

async fn warn_warns_of_unknown_fields(g: &Ground) -> Result<()> {
    let body = g.widget("w", &json!({"size": 1, "unheard": 1}));
    let made = g.server.post(&g.all("widgets"), &body).query("fieldValidation", "Warn").await?.status(201)?;
    contains!(made.warnings.join("\n"), "unknown field \\\"spec.unheard\\\"");
    same!(made.at("/spec/unheard"), Value::Null);
    Ok(())
}

async fn ignore_is_silent(g: &Ground) -> Result<()> {
    let body = g.widget("w", &json!({"size": 1, "unheard": 1}));
    let made = g.server.post(&g.all("widgets"), &body).query("fieldValidation", "Ignore").await?.status(201)?;
    same!(made.warnings.len(), 0);
    let odd = g.server.post(&g.all("widgets"), &g.widget("x", &json!({"size": 1}))).query("fieldValidation", "Odd").await?;
    odd.refused(422, "Invalid")?;
    Ok(())
}

async fn strict_refuses_duplicates(g: &Ground) -> Result<()> {
    let text = format!(
        "{{\"apiVersion\":\"{}/v1\",\"kind\":\"Widget\",\"metadata\":{{\"name\":\"w\"}},\"spec\":{{\"size\":1,\"size\":2}}}}",
        g.group
    );
    let call = g.server.post(&g.all("widgets"), &Value::Null).raw("application/json", &text);
    let refused = call.query("fieldValidation", "Strict").await?.refused(400, "BadRequest")?;
    contains!(refused.message(), "duplicate field \"spec.size\"");
    g.absent("w").await
}
