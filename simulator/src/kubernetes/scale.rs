//! The scale of an object: its replicas, read and written by themselves; it stores nothing.

use serde_json::{Value, json};

use super::object;
use super::resource::Versioned;

/// An object's scale.
pub(crate) fn read(object: &Value, of: &Versioned) -> Value {
    let number = |path: &[String]| {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        object::at(object, &path).and_then(Value::as_i64).unwrap_or(0)
    };
    let (wanted, has) = of.version.scale.as_ref().map_or((0, 0), |scale| (number(&scale.spec_replicas), number(&scale.status_replicas)));
    let mut metadata = json!({});
    for member in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object::at(object, &["metadata", member]) {
            metadata[member] = value.clone();
        }
    }
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": {"replicas": wanted}, "status": {"replicas": has}})
}

/// The object with the replicas that a scale wants.
pub(crate) fn write(object: &Value, scale: &Value, of: &Versioned) -> Value {
    let mut new = object.clone();
    if let Some(version) = object::at(scale, &["metadata", "resourceVersion"]) {
        object::set_metadata(&mut new, "resourceVersion", Some(version.clone()));
    }
    let Some(paths) = &of.version.scale else { return new };
    let mut place = &mut new;
    for member in &paths.spec_replicas {
        place = &mut place[member.as_str()];
    }
    *place = scale["spec"]["replicas"].clone();
    new
}
