//! Reads JSON that may be hostile: one thing at a time, each of a bounded size, as a tree that is short-lived. It must not build a tree of
//! a whole list, because a tree takes up to a hundred times the memory of its text.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::model::Unreadable;

/// The most bytes of one thing: the platform takes no request of more than 512,000 (DEV), so it shows nothing much larger.
pub(super) const MAX_ONE: usize = 512 * 1024;
/// The most values in one thing. A role of all permissions has some ten thousand; as a tree they take at most 10 MiB.
const MAX_VALUES: usize = 32 * 1024;
/// The most bytes of what stands beside a list, and how many members of it are kept.
const MAX_BESIDE: usize = 4096;
const MAX_MEMBERS: usize = 64;
/// Longer than any id, with its quotes.
const MAX_ID: usize = 64;

/// One tree at a time in this process, so that many hostile answers at once take no more than one of them. It is held for
/// milliseconds, and never while something is waited for.
static TREE: Mutex<()> = Mutex::new(());

/// What stands beside the list of an answer.
#[derive(Debug)]
pub(super) struct Envelope {
    pub(super) members: Map<String, Value>,
    /// Whether there is a list at all.
    pub(super) has_list: bool,
}

/// Reads one thing.
pub(super) fn one<T>(text: &[u8], read: impl FnOnce(Value) -> Result<T, Unreadable>) -> Result<T, Unreadable> {
    if text.len() > MAX_ONE {
        return Err(Unreadable(format!("one thing in it is larger than {MAX_ONE} bytes")));
    }
    // Each value but the first follows one of these; in a text they count too, which only errs on the safe side.
    if text.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count() > MAX_VALUES {
        return Err(Unreadable(format!("one thing in it holds more than {MAX_VALUES} values")));
    }
    let _only = TREE.lock().unwrap_or_else(PoisonError::into_inner);
    read(serde_json::from_slice(text).map_err(|_| not_json())?)
}

/// Reads an object whose member `list` is a long list: its items one by one, what stands beside it as [`Envelope`].
pub(super) fn list(text: &[u8], list: &'static str, mut each: impl FnMut(Value) -> Result<(), Unreadable>) -> Result<Envelope, Unreadable> {
    let mut envelope = Envelope { members: Map::new(), has_list: false };
    let mut failed = None;
    let mut fail = |unreadable| failed = Some(unreadable);
    let mut member = |name: String, value: &RawValue| {
        let text = value.get();
        let read = if name == list && text.starts_with('[') {
            envelope.has_list = true;
            items(text, &mut each)
        } else if text.len() <= MAX_BESIDE && envelope.members.len() < MAX_MEMBERS {
            one(text.as_bytes(), |value| {
                envelope.members.insert(name, value);
                Ok(())
            })
        } else {
            Ok(())
        };
        read.map_err(&mut fail)
    };
    let read = whole(text, Object(&mut member));
    match failed {
        Some(unreadable) => Err(unreadable),
        None => read.map(|()| envelope),
    }
}

fn items(text: &str, each: &mut impl FnMut(Value) -> Result<(), Unreadable>) -> Result<(), Unreadable> {
    let mut failed = None;
    let mut item = |item: &RawValue| {
        let mut reached = false;
        let read = one(item.get().as_bytes(), |value| {
            reached = true;
            each(value)
        });
        read.map_err(|unreadable| {
            // What `each` refuses may be the list's fault, and it knows better.
            failed = Some(if reached { unreadable } else { unreadable.of_entry(id_of(item.get()).as_deref()) });
        })
    };
    let read = whole(text.as_bytes(), Array(&mut item));
    failed.map_or(read, Err)
}

impl Unreadable {
    /// The same, with the id of the entry that can't be read, so that a person finds it. What could not be an id is not repeated.
    pub(super) fn of_entry(self, id: Option<&str>) -> Self {
        let is_id = |id: &&str| (1..=MAX_ID).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        id.filter(is_id).map(|id| Self(format!("{}, at the entry with id {id}", self.0))).unwrap_or(self)
    }
}

/// The id of an item without its tree.
fn id_of(item: &str) -> Option<String> {
    let mut found = None;
    let mut member = |name: String, value: &RawValue| {
        if name == "id" && value.get().len() <= MAX_ID {
            found = serde_json::from_str::<String>(value.get()).ok();
        }
        Ok(())
    };
    whole(item.as_bytes(), Object(&mut member)).ok()?;
    found
}

fn whole<'de>(text: &'de [u8], seed: impl DeserializeSeed<'de, Value = ()>) -> Result<(), Unreadable> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    seed.deserialize(&mut reader).and_then(|()| reader.end()).map_err(|_| not_json())
}

fn not_json() -> Unreadable {
    Unreadable("not JSON, or nested too deep".to_owned())
}

/// Hands out the members of an object as text, which is skipped without being built, however deep it is.
struct Object<F>(F);

impl<'de, F: FnMut(String, &'de RawValue) -> Result<(), ()>> DeserializeSeed<'de> for Object<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de, F: FnMut(String, &'de RawValue) -> Result<(), ()>> Visitor<'de> for Object<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            (self.0)(name, value).map_err(|()| A::Error::custom("unreadable"))?;
        }
        Ok(())
    }
}

/// Hands out the items of a list as text.
struct Array<F>(F);

impl<'de, F: FnMut(&'de RawValue) -> Result<(), ()>> DeserializeSeed<'de> for Array<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(&'de RawValue) -> Result<(), ()>> Visitor<'de> for Array<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<&RawValue>()? {
            (self.0)(item).map_err(|()| A::Error::custom("unreadable"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<(Vec<Value>, Envelope), Unreadable> {
        let mut found = Vec::new();
        let envelope = list(text.as_bytes(), "entities", |item| {
            found.push(item);
            Ok(())
        })?;
        Ok((found, envelope))
    }

    fn nested(depth: usize) -> String {
        "[".repeat(depth) + &"]".repeat(depth)
    }

    #[test]
    fn items_come_one_by_one_and_what_stands_beside_them_is_kept() {
        let (found, envelope) = read(r#" {"total": 2, "entities": [{"id": "a"}, {"id": "b"}], "nextUri": null} "#).expect("readable");
        assert_eq!(found, [json!({"id": "a"}), json!({"id": "b"})]);
        assert!(envelope.has_list);
        assert_eq!(Value::Object(envelope.members), json!({"total": 2, "nextUri": null}));
        let (found, envelope) = read(r#"{"entities": {"id": "a"}}"#).expect("readable");
        assert!(found.is_empty() && !envelope.has_list && envelope.members.contains_key("entities"));
        for text in ["", "[]", "7", "{", r#"{"entities": [}"#, r#"{"entities": []} x"#, r#"{"entities": [{"id": "a"} {"id": "b"}]}"#] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_item_that_is_refused_ends_the_list_with_its_reason() {
        let mut seen = 0;
        let result = list(br#"{"entities": [1, 2, 3]}"#, "entities", |item| {
            seen += 1;
            if item == 2 { Err(Unreadable("two".to_owned())) } else { Ok(()) }
        });
        assert_eq!((result.map(drop), seen), (Err(Unreadable("two".to_owned())), 2));
    }

    #[test]
    fn an_item_that_cannot_be_read_is_named_by_its_id() {
        let large = "x".repeat(MAX_ONE);
        let told = |id: Value| read(&json!({ "entities": [{ "large": large, "id": id }] }).to_string()).expect_err("too large").to_string();
        assert!(told(json!("10000000-0000-4000-8000-000000000001")).ends_with("at the entry with id 10000000-0000-4000-8000-000000000001"));
        for no_id in [json!("a secret, or whatever"), json!("x".repeat(80)), json!(7), json!(""), json!(null)] {
            assert!(!told(no_id.clone()).contains("entry"), "{no_id}");
        }
        assert!(read(r#"{"entities": ["]}"#).is_err_and(|error| !error.to_string().contains("entry")));
    }

    #[test]
    fn what_would_be_a_large_tree_is_not_built() {
        let many = |count: usize| format!("[{}0]", r#"{"":0},"#.repeat(count));
        assert!(one(many(10_000).as_bytes(), |_| Ok(())).is_ok());
        let refused = one(many(20_000).as_bytes(), |_| Ok(())).expect_err("too many");
        assert!(refused.to_string().contains("32768 values"), "{refused}");
        let long = json!("x".repeat(MAX_ONE)).to_string();
        assert!(one(long.as_bytes(), |_| Ok(())).expect_err("too long").to_string().contains("524288 bytes"));
        let refused = read(&format!(r#"{{"entities": [{}]}}"#, many(20_000))).expect_err("one item is too large");
        assert!(refused.to_string().contains("32768 values"), "{refused}");
        // Beside the list only little is kept, and never more than a few members.
        let beside = (0..10_000).fold(String::new(), |text, number| text + &format!(r#""m{number}":0,"#));
        let (_, envelope) = read(&format!(r#"{{{beside}"x":{},"entities":[]}}"#, many(20_000))).expect("readable");
        assert_eq!(envelope.members.len(), MAX_MEMBERS);
    }

    #[test]
    fn nesting_is_an_error_and_no_overflow() {
        for depth in [200, 100_000] {
            assert!(one(nested(depth).as_bytes(), |_| Ok(())).is_err());
            assert!(read(&format!(r#"{{"entities":[{}]}}"#, nested(depth))).is_err());
            assert!(read(&nested(depth)).is_err() && read(&"[".repeat(depth)).is_err() && read(&r#"{"a":"#.repeat(depth)).is_err());
        }
        assert!(read(&format!(r#"{{"entities":[],"x":{}}}"#, nested(100_000))).is_ok(), "what is skipped is not built");
    }

    proptest::proptest! {
        /// What a tree of the whole text holds, the items and the rest hold too.
        #[test]
        fn it_reads_what_a_whole_tree_would_hold(ids in proptest::collection::vec("[^\u{0}]{0,8}", 0..6), name in "[^\u{0}]{0,8}") {
            let entities: Vec<Value> = ids.iter().map(|id| json!({ "id": id, "x": [id, { "y": null }] })).collect();
            let (found, envelope) = read(&json!({ "entities": entities, "name": name }).to_string()).expect("readable");
            proptest::prop_assert_eq!(found, entities);
            proptest::prop_assert_eq!(&envelope.members["name"], &json!(name));
        }

        /// Whatever comes, it ends.
        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = list(&bytes, "entities", |_| Ok(()));
            let _ = one(&bytes, |_| Ok(()));
        }
    }
}
