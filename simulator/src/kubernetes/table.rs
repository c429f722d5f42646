//! Objects as rows of a table, as `kubectl get` shows them, and as bare metadata; it chooses no objects.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::cells;
use super::codec;
use super::columns::at_path;
use super::object;
use super::resource::{Origin, Versioned};

/// The form of objects that a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As they are.
    Whole,
    /// Only type and metadata.
    Metadata,
    /// Rows of a table.
    Table(Included),
}

/// What a row carries besides its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Included {
    Nothing,
    Metadata,
    Object,
}

/// Are the columns told again?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    Told,
    Omitted,
}

/// A table of objects.
pub(crate) fn table(objects: &[Value], of: &Versioned, included: Included, header: Header, metadata: &Value, now: Timestamp) -> Value {
    let rows: Vec<Value> = objects.iter().map(|object| row(object, of, included, now)).collect();
    let columns = match header {
        Header::Told => column_definitions(of),
        Header::Omitted => Value::Null,
    };
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": columns, "rows": rows})
}

fn row(object: &Value, of: &Versioned, included: Included, now: Timestamp) -> Value {
    let cells = match of.kind.origin {
        Origin::Custom => custom_cells(object, of, now),
        Origin::BuiltIn => cells::cells(&of.kind.stored_as, object, now),
    };
    let mut row = json!({"cells": cells});
    match included {
        Included::Nothing => row["object"] = Value::Null,
        Included::Metadata => row["object"] = metadata_only(object),
        Included::Object => row["object"] = codec::present(object, of),
    }
    row
}

/// An object's type and metadata.
pub(crate) fn metadata_only(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object.get("metadata").cloned().unwrap_or_else(|| json!({}))})
}

fn column_definitions(of: &Versioned) -> Value {
    if of.kind.origin == Origin::BuiltIn {
        return cells::column_definitions(&of.kind.stored_as);
    }
    let mut columns = vec![cells::name_column(0)];
    columns.extend(of.version.columns.iter().map(|column| {
        json!({"name": column.name, "type": column.type_name, "format": column.format, "description": column.description, "priority": column.priority})
    }));
    columns.into()
}

fn custom_cells(object: &Value, of: &Versioned, now: Timestamp) -> Vec<Value> {
    let mut cells = vec![Value::from(object::name(object))];
    for column in &of.version.columns {
        let found = at_path(object, &column.path);
        cells.push(found.first().map_or(Value::Null, |value| cell(value, &column.type_name, now)));
    }
    cells
}

fn cell(value: &Value, type_name: &str, now: Timestamp) -> Value {
    match (type_name, value) {
        ("integer", Value::Number(number)) => number.as_i64().map_or(Value::Null, Value::from),
        ("string", Value::String(_)) | ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => value.clone(),
        ("string", Value::Null) => "".into(),
        ("string", other) => other.to_string().into(),
        ("date", Value::String(text)) => age(text, now).into(),
        _ => Value::Null,
    }
}

/// How long ago a moment was, in the words of tables.
pub(crate) fn age(moment: &str, now: Timestamp) -> String {
    if moment.is_empty() {
        return "<unknown>".into();
    }
    moment.parse::<Timestamp>().map_or_else(|_| "<invalid>".into(), |moment| duration(now.as_second() - moment.as_second()))
}

/// A duration in at most two units, as short as a table needs it.
fn duration(seconds: i64) -> String {
    match seconds {
        ..=-2 => return "<invalid>".into(),
        -1..=0 => return "0s".into(),
        1..=119 => return format!("{seconds}s"),
        _ => {}
    }
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let two = |big: i64, big_unit: &str, small: i64, small_unit: &str| {
        if small == 0 { format!("{big}{big_unit}") } else { format!("{big}{big_unit}{small}{small_unit}") }
    };
    if minutes < 10 {
        two(minutes, "m", seconds % 60, "s")
    } else if minutes < 180 {
        format!("{minutes}m")
    } else if hours < 8 {
        two(hours, "h", minutes % 60, "m")
    } else if hours < 48 {
        format!("{hours}h")
    } else if hours < 192 {
        two(days, "d", hours % 24, "h")
    } else if days < 365 * 2 {
        format!("{days}d")
    } else if days < 365 * 8 {
        two(days / 365, "y", days % 365, "d")
    } else {
        format!("{}y", days / 365)
    }
}

/// A list in the form that was asked for.
pub(crate) fn list(objects: &[Value], of: &Versioned, form: Form, metadata: Value, now: Timestamp) -> Value {
    match form {
        Form::Whole => {
            let mut items: Vec<Value> = objects.iter().map(|object| codec::present(object, of)).collect();
            if !of.kind.is_custom() {
                // The list tells the kind for all of them.
                for item in &mut items {
                    object::set_member(item, "kind", None);
                    object::set_member(item, "apiVersion", None);
                }
            }
            let mut metadata = metadata;
            if of.kind.is_custom() && metadata.get("continue").is_none() {
                metadata["continue"] = "".into();
            }
            json!({"kind": of.kind.list_kind, "apiVersion": of.api_version(), "metadata": metadata, "items": items})
        }
        Form::Metadata => {
            let items: Vec<Value> = objects.iter().map(metadata_only).collect();
            json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items})
        }
        Form::Table(included) => table(objects, of, included, Header::Told, &metadata, now),
    }
}

/// One object in the form that was asked for.
pub(crate) fn single(object: &Value, of: &Versioned, form: Form, now: Timestamp) -> Value {
    match form {
        Form::Whole => codec::present(object, of),
        Form::Metadata => metadata_only(object),
        Form::Table(included) => {
            let metadata: Map<String, Value> =
                [("resourceVersion".to_owned(), Value::from(object::text(object, &["metadata", "resourceVersion"])))].into_iter().collect();
            table(std::slice::from_ref(object), of, included, Header::Told, &metadata.into(), now)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_written_as_the_server_writes_them() {
        for (seconds, told) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (150, "2m30s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (11_100, "3h5m"),
            (28_800, "8h"),
            (172_800, "2d"),
            (180_000, "2d2h"),
            (8 * 86_400, "8d"),
            (800 * 86_400, "2y70d"),
        ] {
            assert_eq!(duration(seconds), told, "{seconds}");
        }
    }
}
