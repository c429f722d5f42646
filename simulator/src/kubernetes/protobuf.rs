//! Bodies in the binary form that typed clients of newer kubectl send, read into JSON; answers are always JSON.
//!
//! Only the kinds that `kubectl create` and `kubectl auth` make are known; everything else is sent as JSON anyway.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// What every body in this form begins with.
const MAGIC: &[u8] = b"k8s\0";

/// The type of a field.
#[derive(Clone, Copy)]
enum Type {
    Text,
    Number,
    /// A number whose zero says nothing.
    Count,
    Flag,
    Moment,
    Texts,
    /// A map of texts.
    TextMap,
    /// A map of bytes, which JSON writes in base64.
    BytesMap,
    One(Message),
    Many(Message),
}

/// The fields of a message: number, name in JSON, type.
type Message = &'static [(u64, &'static str, Type)];

const OWNER: Message = &[
    (1, "kind", Type::Text),
    (3, "name", Type::Text),
    (4, "uid", Type::Text),
    (5, "apiVersion", Type::Text),
    (6, "controller", Type::Flag),
    (7, "blockOwnerDeletion", Type::Flag),
];
const METADATA: Message = &[
    (1, "name", Type::Text),
    (2, "generateName", Type::Text),
    (3, "namespace", Type::Text),
    (5, "uid", Type::Text),
    (6, "resourceVersion", Type::Text),
    (8, "creationTimestamp", Type::Moment),
    (11, "labels", Type::TextMap),
    (12, "annotations", Type::TextMap),
    (13, "ownerReferences", Type::Many(OWNER)),
    (14, "finalizers", Type::Texts),
];
const NAMESPACE: Message = &[(1, "metadata", Type::One(METADATA)), (2, "spec", Type::One(&[(1, "finalizers", Type::Texts)]))];
const SECRET: Message = &[
    (1, "metadata", Type::One(METADATA)),
    (2, "data", Type::BytesMap),
    (3, "type", Type::Text),
    (4, "stringData", Type::TextMap),
    (5, "immutable", Type::Flag),
];
const CONFIG_MAP: Message =
    &[(1, "metadata", Type::One(METADATA)), (2, "data", Type::TextMap), (3, "binaryData", Type::BytesMap), (4, "immutable", Type::Flag)];
const LOCAL_NAME: Message = &[(1, "name", Type::Text)];
const SERVICE_ACCOUNT: Message = &[
    (1, "metadata", Type::One(METADATA)),
    (3, "imagePullSecrets", Type::Many(LOCAL_NAME)),
    (4, "automountServiceAccountToken", Type::Flag),
];
const RULE: Message = &[
    (1, "verbs", Type::Texts),
    (2, "apiGroups", Type::Texts),
    (3, "resources", Type::Texts),
    (4, "resourceNames", Type::Texts),
    (5, "nonResourceURLs", Type::Texts),
];
const ROLE: Message = &[(1, "metadata", Type::One(METADATA)), (2, "rules", Type::Many(RULE))];
const SUBJECT: Message = &[(1, "kind", Type::Text), (2, "apiGroup", Type::Text), (3, "name", Type::Text), (4, "namespace", Type::Text)];
const ROLE_REF: Message = &[(1, "apiGroup", Type::Text), (2, "kind", Type::Text), (3, "name", Type::Text)];
const BINDING: Message = &[(1, "metadata", Type::One(METADATA)), (2, "subjects", Type::Many(SUBJECT)), (3, "roleRef", Type::One(ROLE_REF))];
const RESOURCE_ATTRIBUTES: Message = &[
    (1, "namespace", Type::Text),
    (2, "verb", Type::Text),
    (3, "group", Type::Text),
    (4, "version", Type::Text),
    (5, "resource", Type::Text),
    (6, "subresource", Type::Text),
    (7, "name", Type::Text),
];
const PAGE_ATTRIBUTES: Message = &[(1, "path", Type::Text), (2, "verb", Type::Text)];
const REVIEW_SPEC: Message = &[
    (1, "resourceAttributes", Type::One(RESOURCE_ATTRIBUTES)),
    (2, "nonResourceAttributes", Type::One(PAGE_ATTRIBUTES)),
    (3, "user", Type::Text),
    (4, "groups", Type::Texts),
];
const REVIEW: Message = &[(2, "spec", Type::One(REVIEW_SPEC))];
const RULES_REVIEW: Message = &[(2, "spec", Type::One(&[(1, "namespace", Type::Text)]))];
const TOKEN_REQUEST: Message = &[
    (1, "metadata", Type::One(METADATA)),
    (2, "spec", Type::One(&[(1, "audiences", Type::Texts), (4, "expirationSeconds", Type::Number)])),
];
const PORT: Message =
    &[(1, "name", Type::Text), (2, "hostPort", Type::Count), (3, "containerPort", Type::Number), (4, "protocol", Type::Text)];
const CONTAINER: Message = &[
    (1, "name", Type::Text),
    (2, "image", Type::Text),
    (3, "command", Type::Texts),
    (4, "args", Type::Texts),
    (6, "ports", Type::Many(PORT)),
];
const POD: Message = &[(2, "containers", Type::Many(CONTAINER)), (3, "restartPolicy", Type::Text)];
const TEMPLATE: Message = &[(1, "metadata", Type::One(METADATA)), (2, "spec", Type::One(POD))];
const SELECTOR: Message = &[(1, "matchLabels", Type::TextMap)];
const DEPLOYMENT_SPEC: Message = &[
    (1, "replicas", Type::Number),
    (2, "selector", Type::One(SELECTOR)),
    (3, "template", Type::One(TEMPLATE)),
    (4, "strategy", Type::One(&[(1, "type", Type::Text)])),
];
const DEPLOYMENT: Message = &[(1, "metadata", Type::One(METADATA)), (2, "spec", Type::One(DEPLOYMENT_SPEC))];
const DELETE_OPTIONS: Message = &[
    (1, "gracePeriodSeconds", Type::Number),
    (2, "preconditions", Type::One(&[(1, "uid", Type::Text), (2, "resourceVersion", Type::Text)])),
    (3, "orphanDependents", Type::Flag),
    (4, "propagationPolicy", Type::Text),
    (5, "dryRun", Type::Texts),
];

fn message(kind: &str) -> Option<Message> {
    Some(match kind {
        "Namespace" => NAMESPACE,
        "Secret" => SECRET,
        "ConfigMap" => CONFIG_MAP,
        "ServiceAccount" => SERVICE_ACCOUNT,
        "Role" | "ClusterRole" => ROLE,
        "RoleBinding" | "ClusterRoleBinding" => BINDING,
        "SelfSubjectAccessReview" | "SubjectAccessReview" => REVIEW,
        "SelfSubjectRulesReview" => RULES_REVIEW,
        "TokenRequest" => TOKEN_REQUEST,
        "Deployment" => DEPLOYMENT,
        "DeleteOptions" => DELETE_OPTIONS,
        _ => return None,
    })
}

/// Reads a body; nothing if it is of no known kind or broken.
pub(crate) fn read(body: &[u8]) -> Option<Value> {
    const TYPE: Message = &[(1, "apiVersion", Type::Text), (2, "kind", Type::Text)];
    let mut envelope = Reader(body.strip_prefix(MAGIC)?);
    let (mut type_meta, mut raw) = (Value::Null, &[][..]);
    while !envelope.0.is_empty() {
        match envelope.field()? {
            (1, Field::Bytes(bytes)) => type_meta = object(bytes, TYPE)?,
            (2, Field::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let mut value = object(raw, message(type_meta["kind"].as_str()?)?)?;
    value["apiVersion"] = type_meta["apiVersion"].clone();
    value["kind"] = type_meta["kind"].clone();
    Some(value)
}

/// One field as it is sent.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn field(&mut self) -> Option<(u64, Field<'a>)> {
        let tag = self.number()?;
        let field = match tag & 7 {
            0 => Field::Number(self.number()?),
            1 => Field::Bytes(self.take(8)?),
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Bytes(self.take(4)?),
            _ => return None,
        };
        Some((tag >> 3, field))
    }
}

fn object(bytes: &[u8], message: Message) -> Option<Value> {
    let mut reader = Reader(bytes);
    let mut map = Map::new();
    while !reader.0.is_empty() {
        let (number, field) = reader.field()?;
        if let Some((_, name, kind)) = message.iter().find(|(one, _, _)| *one == number) {
            add(&mut map, name, *kind, &field)?;
        }
    }
    Some(Value::Object(map))
}

fn text(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

fn add(map: &mut Map<String, Value>, name: &str, kind: Type, field: &Field<'_>) -> Option<()> {
    let mut put = |value: Value| {
        map.insert(name.to_owned(), value);
    };
    match (kind, field) {
        (Type::Number, Field::Number(number)) => put(number.cast_signed().into()),
        (Type::Count, Field::Number(number)) if *number > 0 => put((*number).into()),
        (Type::Flag, Field::Number(number)) => put((*number != 0).into()),
        (Type::Text, Field::Bytes(bytes)) if !bytes.is_empty() => put(text(bytes)?.into()),
        (Type::Texts, Field::Bytes(bytes)) => push(map, name, text(bytes)?.into()),
        (Type::Many(message), Field::Bytes(bytes)) => push(map, name, object(bytes, message)?),
        (Type::One(message), Field::Bytes(bytes)) => {
            let value = object(bytes, message)?;
            if value.as_object().is_some_and(|members| !members.is_empty()) {
                put(value);
            }
        }
        (Type::Moment, Field::Bytes(bytes)) if !bytes.is_empty() => {
            let seconds = object(bytes, &[(1, "seconds", Type::Number)])?["seconds"].as_i64()?;
            put(super::object::moment(jiff::Timestamp::from_second(seconds).ok()?).into());
        }
        (Type::TextMap | Type::BytesMap, Field::Bytes(bytes)) => {
            let mut reader = Reader(bytes);
            let (mut key, mut value) = (String::new(), &[][..]);
            while let Some((number, Field::Bytes(bytes))) = reader.field() {
                if number == 1 { key = text(bytes)? } else { value = bytes }
            }
            let value = if matches!(kind, Type::BytesMap) { STANDARD.encode(value) } else { text(value)? };
            map.entry(name).or_insert_with(|| json!({}))[key] = value.into();
        }
        _ => {}
    }
    Some(())
}

fn push(map: &mut Map<String, Value>, name: &str, value: Value) {
    if let Value::Array(items) = map.entry(name).or_insert_with(|| json!([])) {
        items.push(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).expect("a short field");
        [&[number << 3 | 2, length], content].concat()
    }

    #[test]
    fn a_secret_is_read() {
        let metadata = [field(1, b"a"), field(11, &[field(1, b"k"), field(2, b"v")].concat()), field(2, b"")].concat();
        let secret = [field(1, &metadata), field(2, &[field(1, b"x"), field(2, &[0xff])].concat()), field(3, b"Opaque")].concat();
        let type_meta = [field(1, b"v1"), field(2, b"Secret")].concat();
        let body = [MAGIC, &field(1, &type_meta), &field(2, &secret)].concat();
        assert_eq!(
            read(&body),
            Some(
                json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "labels": {"k": "v"}}, "data": {"x": "/w=="}, "type": "Opaque"})
            )
        );
        assert_eq!(read(&body[..body.len() - 1]), None);
        assert_eq!(read(b"{}"), None);
    }
}
