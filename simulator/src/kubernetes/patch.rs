//! Patches in the forms that name no managers: JSON patch, merge patch and strategic merge patch; it stores nothing.

use serde_json::{Map, Value};

use super::error::{ApiError, Result};
use super::schema::{ListType, Node};

/// Carries out a JSON patch.
pub(crate) fn json(live: &Value, patch: &[u8]) -> Result<Value> {
    let value: Value = serde_json::from_slice(patch).map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
    if !value.is_array() {
        let kind = if value.is_object() { "object" } else { "value" };
        return Err(ApiError::bad_request(format!("json: cannot unmarshal {kind} into Go value of type jsonpatch.Patch")));
    }
    let patch: json_patch::Patch = serde_json::from_value(value).map_err(|_| ApiError::unprocessable())?;
    let mut patched = live.clone();
    for operation in patch.0 {
        // What is not there is as good as null.
        let of_nothing = matches!(&operation, json_patch::PatchOperation::Test(test)
            if test.value.is_null() && patched.pointer(test.path.as_str()).is_none());
        if !of_nothing {
            json_patch::patch(&mut patched, &[operation]).map_err(|_| ApiError::unprocessable())?;
        }
    }
    Ok(patched)
}

/// Reads the object that a merge patch is.
pub(crate) fn read_object(patch: &[u8]) -> Result<Value> {
    let value: Value = serde_json::from_slice(patch).map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(ApiError::bad_request("json: cannot unmarshal the patch into Go value of type map[string]interface {}"))
    }
}

/// Carries out a merge patch (RFC 7396).
pub(crate) fn merge(live: &Value, patch: &Value) -> Value {
    let mut patched = live.clone();
    json_patch::merge(&mut patched, patch);
    patched
}

/// Carries out a strategic merge patch: lists merge by the keys that the schema tells.
pub(crate) fn strategic(live: &Value, patch: &Value, schema: Node<'_>) -> Value {
    let mut patched = live.clone();
    if let (Value::Object(live), Value::Object(patch)) = (&mut patched, patch) {
        merge_members(live, patch, Some(schema));
    }
    patched
}

const ORDER: &str = "$setElementOrder/";
const DELETE_ITEMS: &str = "$deleteFromPrimitiveList/";

fn merge_members(live: &mut Map<String, Value>, patch: &Map<String, Value>, schema: Option<Node<'_>>) {
    match patch.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            *live = patch.iter().filter(|(name, _)| *name != "$patch").map(|(name, value)| (name.clone(), value.clone())).collect();
            return;
        }
        Some("delete") => {
            live.clear();
            return;
        }
        _ => {}
    }
    if let Some(Value::Array(kept)) = patch.get("$retainKeys") {
        live.retain(|name, _| kept.iter().any(|kept| kept == name));
    }
    for (name, value) in patch {
        if let Some(name) = name.strip_prefix(DELETE_ITEMS) {
            if let (Some(Value::Array(items)), Value::Array(gone)) = (live.get_mut(name), value) {
                items.retain(|item| !gone.contains(item));
            }
        } else if !name.starts_with('$') {
            merge_member(live, name, value, schema.and_then(|schema| schema.member(name)));
        }
    }
    for (name, order) in patch {
        if let (Some(name), Value::Array(order)) = (name.strip_prefix(ORDER), order)
            && let Some(Value::Array(items)) = live.get_mut(name)
        {
            let key = merge_key(schema.and_then(|schema| schema.member(name)));
            reorder(items, order, key.as_deref());
        }
    }
}

fn merge_member(live: &mut Map<String, Value>, name: &str, value: &Value, schema: Option<Node<'_>>) {
    match value {
        Value::Null => {
            live.remove(name);
        }
        Value::Object(patch) => {
            let slot = live.entry(name).or_insert_with(|| Value::Object(Map::new()));
            if !slot.is_object() {
                *slot = Value::Object(Map::new());
            }
            if let Value::Object(members) = slot {
                merge_members(members, patch, schema);
            }
        }
        Value::Array(patch) => {
            let slot = live.entry(name).or_insert_with(|| Value::Array(Vec::new()));
            match slot {
                Value::Array(items) => merge_items(items, patch, schema),
                other => *other = Value::Array(patch.clone()),
            }
        }
        other => {
            live.insert(name.to_owned(), other.clone());
        }
    }
}

/// The member that tells the items of a list apart.
fn merge_key(schema: Option<Node<'_>>) -> Option<String> {
    match schema?.list_type() {
        ListType::Map(keys) => keys.first().map(|key| (*key).to_owned()),
        ListType::Set | ListType::Atomic => None,
    }
}

fn merge_items(live: &mut Vec<Value>, patch: &[Value], schema: Option<Node<'_>>) {
    let replaced = patch.iter().any(|item| item.get("$patch").and_then(Value::as_str) == Some("replace"));
    if replaced {
        *live = patch.iter().filter(|item| item.get("$patch").is_none()).cloned().collect();
        return;
    }
    if let Some(key) = merge_key(schema) {
        let item_schema = schema.and_then(Node::items);
        for item in patch {
            let Value::Object(members) = item else { continue };
            let place = live.iter().position(|other| other.get(&key) == item.get(&key));
            match (place, members.get("$patch").and_then(Value::as_str)) {
                (Some(place), Some("delete")) => {
                    live.remove(place);
                }
                (None, Some("delete")) => {}
                (Some(place), _) => {
                    if let Value::Object(live) = &mut live[place] {
                        merge_members(live, members, item_schema);
                    }
                }
                (None, _) => {
                    let mut new = Map::new();
                    merge_members(&mut new, members, item_schema);
                    live.push(Value::Object(new));
                }
            }
        }
    } else if schema.is_some_and(|schema| schema.list_type() == ListType::Set) {
        for item in patch {
            if !live.contains(item) {
                live.push(item.clone());
            }
        }
    } else {
        *live = patch.to_vec();
    }
}

/// Puts the items that an order names into that order; the others stay behind them.
fn reorder(items: &mut [Value], order: &[Value], key: Option<&str>) {
    let identity = |item: &Value| key.map_or_else(|| Some(item.clone()), |key| item.get(key).cloned());
    let order: Vec<Option<Value>> = order.iter().map(identity).collect();
    items.sort_by_key(|item| order.iter().position(|wanted| *wanted == identity(item)).unwrap_or(usize::MAX));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::builtin;
    use super::*;

    fn deployment(live: &Value, patch: &Value) -> Value {
        let registry = builtin::registry();
        let kind = registry.find("apps", "v1", "deployments").expect("it is there");
        strategic(live, patch, kind.version.schema.root())
    }

    #[test]
    fn containers_merge_by_name() {
        let live = json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]}}}});
        let patch =
            json!({"spec": {"template": {"spec": {"containers": [{"name": "b", "image": "z"}, {"name": "a", "$patch": "delete"}]}}}});
        assert_eq!(deployment(&live, &patch)["spec"]["template"]["spec"]["containers"], json!([{"name": "b", "image": "z"}]));
    }

    #[test]
    fn a_strategy_keeps_only_what_the_patch_retains() {
        let live = json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}});
        let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
        assert_eq!(deployment(&live, &patch)["spec"]["strategy"], json!({"type": "Recreate"}));
    }

    #[test]
    fn finalizers_are_a_set_with_deletions_and_an_order() {
        let live = json!({"metadata": {"finalizers": ["a", "b"]}});
        let patch = json!({"metadata": {"finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"], "$setElementOrder/finalizers": ["c", "b"]}});
        assert_eq!(deployment(&live, &patch)["metadata"]["finalizers"], json!(["c", "b"]));
    }

    #[test]
    fn a_failed_test_is_unprocessable() {
        let error = json(&json!({"a": 1}), br#"[{"op":"test","path":"/a","value":2}]"#).expect_err("it fails");
        assert_eq!((error.code, error.reason), (422, "Invalid"));
        assert_eq!(json(&json!({}), b"{}").expect_err("no list").code, 400);
        let absent = br#"[{"op":"test","path":"/metadata/deletionTimestamp","value":null},{"op":"add","path":"/a","value":1}]"#;
        assert_eq!(json(&json!({}), absent).expect("nothing is there"), json!({"a": 1}));
    }
}
