//! Takes secrets out of what others say: of long words that look like one, and of values that are known. It must not change anything else.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use zeroize::Zeroizing;

/// What stands for a word that may be a secret.
pub(crate) const WITHHELD: &str = "[withheld]";
/// From this length on a word may be a secret: the platform's have 43 characters.
const SHORTEST_SECRET: usize = 32;
/// A shorter value of a Secret is no secret: names, regions, types of grants.
const SHORTEST_VALUE: usize = 16;

/// The text with a mark in place of what may be a secret: an answer may repeat what was sent.
#[must_use]
pub fn withheld(text: &str) -> String {
    let of_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '/');
    let mut shown = String::with_capacity(text.len());
    for piece in text.split_inclusive(|c| !of_word(c)) {
        let word = piece.trim_end_matches(|c| !of_word(c));
        shown.push_str(if looks_secret(word) { WITHHELD } else { word });
        shown.push_str(&piece[word.len()..]);
    }
    shown
}

/// Long, and with letters of both cases: no id, permission or scope of the platform is that, and every secret and token.
fn looks_secret(word: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| word.as_bytes().iter().any(kind);
    word.len() >= SHORTEST_SECRET && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase)
}

/// The values of a Secret that was sent, as they are and in base64.
#[derive(Default)]
pub struct Sent(Vec<Zeroizing<String>>);

impl Sent {
    /// Of a Secret in JSON, or a part of one.
    #[must_use]
    pub fn of_secret(json: &[u8]) -> Self {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Held {
            #[serde(default)]
            data: std::collections::BTreeMap<String, Option<String>>,
        }
        let Ok(held) = serde_json::from_slice::<Held>(json) else { return Self::default() };
        let mut values = vec![];
        for encoded in held.data.into_values().flatten().map(Zeroizing::new) {
            let Ok(raw) = STANDARD.decode(encoded.as_bytes()).map(Zeroizing::new) else { continue };
            if raw.len() < SHORTEST_VALUE {
                continue;
            }
            if let Ok(text) = std::str::from_utf8(&raw) {
                values.push(Zeroizing::new(text.to_owned()));
            }
            values.push(encoded);
        }
        // One value may be a part of another.
        values.sort_unstable_by_key(|value| std::cmp::Reverse(value.len()));
        Self(values)
    }

    /// The text without these values, and without what looks like a secret.
    #[must_use]
    pub fn taken_out_of(&self, text: &str) -> String {
        withheld(&self.0.iter().fold(text.to_owned(), |text, value| text.replace(value.as_str(), WITHHELD)))
    }

    /// An answer without them: its texts if it is JSON, else all of it.
    #[must_use]
    pub fn taken_out_of_answer(&self, body: &[u8]) -> Vec<u8> {
        match serde_json::from_slice(body) {
            Ok(mut value) => {
                self.redact(&mut value);
                value.to_string().into_bytes()
            }
            Err(_) => self.taken_out_of(&String::from_utf8_lossy(body)).into_bytes(),
        }
    }

    fn redact(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.taken_out_of(text),
            Value::Array(members) => members.iter_mut().for_each(|member| self.redact(member)),
            // Names of members are the API's own.
            Value::Object(members) => members.values_mut().for_each(|member| self.redact(member)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_sent_and_what_looks_like_a_secret_is_taken_out_of_an_answer() {
        let plain = "correct horse battery staple, in lower case";
        let encoded = STANDARD.encode(plain);
        let sent = Sent::of_secret(json!({ "data": { "clientSecret": encoded, "region": STANDARD.encode("eu") } }).to_string().as_bytes());
        let other = "Zb8hXx3Yv-0Qe_kT1mP7uWcR5sA9dLfG2nJ4oB6iKyE";
        let said = json!({ "kind": "Status", "code": 422, "reason": "Invalid",
            "message": format!("denied\n{other}: in eu: {plain} is {encoded}"), "details": { "causes": [{ "message": plain }] } });
        let shown: Value = serde_json::from_slice(&sent.taken_out_of_answer(said.to_string().as_bytes())).expect("JSON");
        assert_eq!(shown["message"], "denied\n[withheld]: in eu: [withheld] is [withheld]");
        assert_eq!(shown["details"]["causes"][0]["message"], "[withheld]");
        assert_eq!((&shown["code"], &shown["reason"]), (&json!(422), &json!("Invalid")));
        let page = sent.taken_out_of_answer(format!("<html>{plain}</html>").as_bytes());
        assert_eq!(String::from_utf8_lossy(&page), "<html>[withheld]</html>");
    }
}
