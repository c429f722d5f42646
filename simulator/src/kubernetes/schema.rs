//! A reader of JSON schemas in the dialect of the API; it judges no values.

use std::sync::Arc;

use serde_json::{Map, Value};

/// Where named schemas are referred to.
pub(crate) const DEFINITIONS: &str = "#/components/schemas/";

/// A schema and the named schemas that it refers to.
#[derive(Debug, Clone)]
pub(crate) struct Schema {
    root: Value,
    definitions: Arc<Map<String, Value>>,
}

impl Schema {
    pub(crate) fn new(root: Value, definitions: Arc<Map<String, Value>>) -> Self {
        Self { root, definitions }
    }

    pub(crate) fn root(&self) -> Node<'_> {
        Node { value: &self.root, definitions: &self.definitions }.resolved()
    }

    /// The schema as it was given, references and all.
    pub(crate) fn source(&self) -> &Value {
        &self.root
    }
}

/// How the items of a list belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ListType<'a> {
    /// One value.
    Atomic,
    /// Scalars that occur once.
    Set,
    /// Objects that these members tell apart.
    Map(Vec<&'a str>),
}

/// What a schema says of members that it does not name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unnamed<'a> {
    /// They do not belong there.
    Unknown,
    /// They may be anything.
    Anything,
    /// They are the values of a map.
    Values(Node<'a>),
}

/// The named schema that a schema stands for; one with words of its own wraps the name.
fn reference(value: &Value) -> Option<&str> {
    let wrapped = || match value.get("allOf")?.as_array()?.as_slice() {
        [only] if value.get("type").is_none() && value.get("properties").is_none() => only.get("$ref"),
        _ => None,
    };
    value.get("$ref").or_else(wrapped)?.as_str()?.strip_prefix(DEFINITIONS)
}

/// One place in a schema.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'a> {
    value: &'a Value,
    definitions: &'a Map<String, Value>,
}

impl<'a> Node<'a> {
    fn at(self, value: &'a Value) -> Self {
        Node { value, definitions: self.definitions }.resolved()
    }

    fn resolved(self) -> Self {
        let mut node = self;
        while let Some(value) = reference(node.value).and_then(|name| node.definitions.get(name)) {
            node.value = value;
        }
        node
    }

    pub(crate) fn value(self) -> &'a Value {
        self.value
    }

    fn flag(self, name: &str) -> bool {
        self.value.get(name).and_then(Value::as_bool) == Some(true)
    }

    pub(crate) fn property(self, name: &str) -> Option<Node<'a>> {
        self.value.get("properties")?.get(name).map(|value| self.at(value))
    }

    pub(crate) fn properties(self) -> impl Iterator<Item = (&'a str, Node<'a>)> {
        self.value
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(move |(name, value)| (name.as_str(), self.at(value)))
    }

    pub(crate) fn items(self) -> Option<Node<'a>> {
        self.value.get("items").filter(|items| items.is_object()).map(|items| self.at(items))
    }

    pub(crate) fn unnamed(self) -> Unnamed<'a> {
        match self.value.get("additionalProperties") {
            Some(Value::Bool(true)) => Unnamed::Anything,
            Some(values @ Value::Object(_)) => Unnamed::Values(self.at(values)),
            _ if self.preserves_unknown() => Unnamed::Anything,
            _ if self.value.get("properties").is_none() && !self.is_structural() => Unnamed::Anything,
            _ => Unnamed::Unknown,
        }
    }

    /// Does it say anything about structure? A schema without type or properties takes what comes.
    fn is_structural(self) -> bool {
        self.value.get("type").is_some() || self.value.get("properties").is_some()
    }

    /// The schema of a member, named or not.
    pub(crate) fn member(self, name: &str) -> Option<Node<'a>> {
        self.property(name).or(match self.unnamed() {
            Unnamed::Values(node) => Some(node),
            Unnamed::Unknown | Unnamed::Anything => None,
        })
    }

    pub(crate) fn type_name(self) -> Option<&'a str> {
        self.value.get("type").and_then(Value::as_str)
    }

    pub(crate) fn default(self) -> Option<&'a Value> {
        self.value.get("default")
    }

    pub(crate) fn is_nullable(self) -> bool {
        self.flag("nullable")
    }

    pub(crate) fn is_int_or_string(self) -> bool {
        self.flag("x-kubernetes-int-or-string")
    }

    pub(crate) fn preserves_unknown(self) -> bool {
        self.flag("x-kubernetes-preserve-unknown-fields")
    }

    pub(crate) fn is_embedded_resource(self) -> bool {
        self.flag("x-kubernetes-embedded-resource")
    }

    pub(crate) fn list_type(self) -> ListType<'a> {
        match self.value.get("x-kubernetes-list-type").and_then(Value::as_str) {
            Some("set") => ListType::Set,
            Some("map") => ListType::Map(self.list_map_keys()),
            _ => ListType::Atomic,
        }
    }

    fn list_map_keys(self) -> Vec<&'a str> {
        let keys = self.value.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
        keys.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Is the object one value to field ownership?
    pub(crate) fn is_atomic_map(self) -> bool {
        self.value.get("x-kubernetes-map-type").and_then(Value::as_str) == Some("atomic")
    }

    /// Is a named member of its own, as of a struct, and not the key of a map?
    pub(crate) fn names(self, member: &str) -> bool {
        self.value.get("properties").and_then(|properties| properties.get(member)).is_some()
    }

    pub(crate) fn number(self, name: &str) -> Option<f64> {
        self.value.get(name).and_then(Value::as_f64)
    }

    pub(crate) fn length(self, name: &str) -> Option<u64> {
        self.value.get(name).and_then(Value::as_u64)
    }

    pub(crate) fn list(self, name: &str) -> &'a [Value] {
        self.value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn text(self, name: &str) -> Option<&'a str> {
        self.value.get(name).and_then(Value::as_str)
    }

    /// The schemas of a junctor such as `allOf`.
    pub(crate) fn branches(self, junctor: &str) -> Vec<Node<'a>> {
        self.list(junctor).iter().map(|value| self.at(value)).collect()
    }

    pub(crate) fn not(self) -> Option<Node<'a>> {
        self.value.get("not").map(|value| self.at(value))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_followed_wherever_they_stand() {
        let definitions = json!({"meta": {"type": "object", "properties": {"name": {"type": "string"}}}});
        let definitions = Arc::new(definitions.as_object().expect("an object").clone());
        let schema = Schema::new(json!({"type": "object", "properties": {"metadata": {"$ref": "#/components/schemas/meta"}}}), definitions);
        let name = schema.root().property("metadata").and_then(|metadata| metadata.property("name"));
        assert_eq!(name.and_then(Node::type_name), Some("string"));
    }

    #[test]
    fn a_list_is_atomic_unless_it_says_otherwise() {
        let schema = Schema::new(
            json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a", "b"]}),
            Arc::default(),
        );
        assert_eq!(schema.root().list_type(), ListType::Map(vec!["a", "b"]));
        assert_eq!(Schema::new(json!({"type": "array"}), Arc::default()).root().list_type(), ListType::Atomic);
    }
}
