//! Sets of fields, as managedFields writes them; it knows no managers.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// One step of a path to a field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Element {
    /// A member.
    Field(String),
    /// The list item with these keys, as JSON with sorted members.
    Key(String),
    /// The list item of this value, as JSON.
    Value(String),
    /// The list item at this place.
    Index(usize),
}

impl Element {
    fn encoded(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(keys) => format!("k:{keys}"),
            Self::Value(value) => format!("v:{value}"),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    fn decoded(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        Some(match kind {
            "f" => Self::Field(rest.to_owned()),
            "k" => Self::Key(serde_json::from_str::<Map<String, Value>>(rest).ok().map(|keys| Value::Object(keys).to_string())?),
            "v" => Self::Value(serde_json::from_str::<Value>(rest).ok()?.to_string()),
            "i" => Self::Index(rest.parse().ok()?),
            _ => return None,
        })
    }

    /// The keys of a list item.
    pub(crate) fn keys(&self) -> Map<String, Value> {
        match self {
            Self::Key(keys) => serde_json::from_str(keys).unwrap_or_default(),
            _ => Map::new(),
        }
    }
}

/// The way to a field.
pub(crate) type Path = Vec<Element>;

/// A path as errors print it: `.spec.containers[name="web"].image`.
pub(crate) fn printed(path: &[Element]) -> String {
    let mut text = String::new();
    for element in path {
        let _ = match element {
            Element::Field(name) => write!(text, ".{name}"),
            Element::Key(_) => {
                let keys: Vec<String> = element.keys().iter().map(|(key, value)| format!("{key}={value}")).collect();
                write!(text, "[{}]", keys.join(","))
            }
            Element::Value(value) => write!(text, "[={value}]"),
            Element::Index(index) => write!(text, "[{index}]"),
        };
    }
    text
}

/// A set of fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldSet(BTreeSet<Path>);

impl FieldSet {
    pub(crate) fn insert(&mut self, path: Path) {
        self.0.insert(path);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, path: &[Element]) -> bool {
        self.0.contains(path)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Path> {
        self.0.iter()
    }

    pub(crate) fn retain(&mut self, keep: impl FnMut(&Path) -> bool) {
        self.0.retain(keep);
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    pub(crate) fn minus(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0).cloned().collect())
    }

    pub(crate) fn common(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }

    /// Is a field in the set that stands at or below this path?
    pub(crate) fn reaches(&self, path: &[Element]) -> bool {
        self.0.range(path.to_vec()..).next().is_some_and(|found| found.starts_with(path))
    }

    /// As `fieldsV1` writes it.
    pub(crate) fn to_json(&self) -> Value {
        let mut tree = json!({});
        for path in &self.0 {
            let mut place = &mut tree;
            for element in path {
                place = &mut place[element.encoded()];
                if place.is_null() {
                    *place = json!({});
                }
            }
            place["."] = json!({});
        }
        collapse(&mut tree);
        tree
    }

    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let mut set = Self::default();
        read(value, &mut Vec::new(), &mut set)?;
        Some(set)
    }
}

/// A leaf is written as an empty object, without the dot that marks a member that has members.
fn collapse(value: &mut Value) {
    let Value::Object(map) = value else { return };
    if map.len() == 1 {
        map.remove(".");
    }
    map.values_mut().for_each(collapse);
}

fn read(value: &Value, path: &mut Path, set: &mut FieldSet) -> Option<()> {
    for (name, below) in value.as_object()? {
        if name == "." {
            set.insert(path.clone());
            continue;
        }
        path.push(Element::decoded(name)?);
        if below.as_object()?.is_empty() {
            set.insert(path.clone());
        } else {
            read(below, path, set)?;
        }
        path.pop();
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_written_and_read_as_fields_v1() {
        let text = json!({"f:metadata": {"f:labels": {".": {}, "f:app": {}}}, "f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {".": {}, "f:image": {}}}}});
        let set = FieldSet::from_json(&text).expect("it can be read");
        assert_eq!(set.iter().count(), 4);
        assert_eq!(set.to_json(), text);
    }

    #[test]
    fn paths_are_printed_as_conflicts_print_them() {
        let path = vec![
            Element::Field("spec".into()),
            Element::Field("ports".into()),
            Element::Key(r#"{"containerPort":80,"protocol":"TCP"}"#.into()),
            Element::Field("name".into()),
        ];
        assert_eq!(printed(&path), r#".spec.ports[containerPort=80,protocol="TCP"].name"#);
        assert_eq!(printed(&[Element::Field("finalizers".into()), Element::Value("\"x\"".into())]), r#".finalizers[="x"]"#);
    }

    #[test]
    fn a_set_reaches_below_a_path() {
        let set = FieldSet::from_json(&json!({"f:spec": {"f:a": {"f:b": {}}}})).expect("it can be read");
        assert!(set.reaches(&[Element::Field("spec".into())]));
        assert!(!set.reaches(&[Element::Field("spec".into()), Element::Field("b".into())]));
    }
}
