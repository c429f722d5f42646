//! One reply of the server, and the questions that checks ask of it; it must not send anything.

use anyhow::{Result, ensure};
use serde_json::Value;

/// A reply: its status, the headers that matter, and its body as JSON (a JSON string where it is none).
#[derive(Debug, Clone)]
pub struct Answer {
    /// What was asked, for messages.
    pub asked: String,
    /// The HTTP status.
    pub status: u16,
    /// The media type of the body, with its parameters.
    pub content_type: String,
    /// All `Warning` headers.
    pub warnings: Vec<String>,
    /// The body.
    pub body: Value,
}

impl Answer {
    /// Fails unless the status is 200 or 201.
    pub fn ok(self) -> Result<Self> {
        ensure!(matches!(self.status, 200 | 201), "{}: {} {}", self.asked, self.status, self.excerpt());
        Ok(self)
    }

    /// Fails unless the status is exactly `status`.
    pub fn status(self, status: u16) -> Result<Self> {
        ensure!(self.status == status, "{}: expected {status}, got {} {}", self.asked, self.status, self.excerpt());
        Ok(self)
    }

    /// Fails unless the server refused with `status` and a Status body that repeats it, with `reason`.
    pub fn refused(self, status: u16, reason: &str) -> Result<Self> {
        ensure!(self.status == status, "{}: expected {status} {reason}, got {} {}", self.asked, self.status, self.excerpt());
        let body = &self.body;
        ensure!(body["kind"] == "Status" && body["apiVersion"] == "v1", "{}: no Status: {}", self.asked, self.excerpt());
        ensure!(body["status"] == "Failure" && body["code"] == status, "{}: not a failure of {status}: {}", self.asked, self.excerpt());
        ensure!(body["reason"] == reason, "{}: expected reason {reason}: {}", self.asked, self.excerpt());
        ensure!(body["message"].as_str().is_some_and(|text| !text.is_empty()), "{}: no message: {}", self.asked, self.excerpt());
        Ok(self)
    }

    /// Fails unless the server refused as invalid (422) with a cause on `field`; returns that cause's message.
    pub fn invalid(self, field: &str) -> Result<String> {
        let refused = self.refused(422, "Invalid")?;
        let causes = refused.body["details"]["causes"].as_array().cloned().unwrap_or_default();
        let Some(cause) = causes.iter().find(|cause| cause["field"] == field) else {
            anyhow::bail!("{}: no cause on {field}: {}", refused.asked, refused.excerpt());
        };
        ensure!(
            cause["reason"].as_str().is_some_and(|text| text.starts_with("FieldValue")),
            "{}: a cause without reason: {cause}",
            refused.asked
        );
        Ok(cause["message"].as_str().unwrap_or_default().to_owned())
    }

    /// What stands at a JSON pointer; null where nothing does.
    #[must_use]
    pub fn at(&self, pointer: &str) -> &Value {
        self.body.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// The text at a JSON pointer; empty where there is none.
    #[must_use]
    pub fn text(&self, pointer: &str) -> &str {
        self.at(pointer).as_str().unwrap_or_default()
    }

    /// The list at a JSON pointer; empty where there is none.
    #[must_use]
    pub fn list(&self, pointer: &str) -> &[Value] {
        self.at(pointer).as_array().map_or(&[], Vec::as_slice)
    }

    /// The object's (or list's) resourceVersion.
    #[must_use]
    pub fn rv(&self) -> &str {
        self.text("/metadata/resourceVersion")
    }

    /// The object's uid.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.text("/metadata/uid")
    }

    /// The object's generation.
    #[must_use]
    pub fn generation(&self) -> i64 {
        self.at("/metadata/generation").as_i64().unwrap_or_default()
    }

    /// A Status's message.
    #[must_use]
    pub fn message(&self) -> &str {
        self.text("/message")
    }

    /// The names of a list's items, in the list's order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.list("/items").iter().map(|item| item["metadata"]["name"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The body with `change` laid over it at a JSON pointer, for a PUT.
    #[must_use]
    pub fn with(&self, pointer: &str, change: impl Into<Value>) -> Value {
        let mut body = self.body.clone();
        place(&mut body, pointer, change.into());
        body
    }

    /// Status and body, cut to a readable length.
    #[must_use]
    pub fn excerpt(&self) -> String {
        let text = self.body.to_string();
        text.char_indices().nth(700).map_or(text.clone(), |(end, _)| format!("{}…", &text[..end]))
    }
}

/// Puts `value` at `pointer`, making the objects on the way.
pub fn place(body: &mut Value, pointer: &str, value: Value) {
    let mut here = body;
    for word in pointer.split('/').skip(1) {
        let word = word.replace("~1", "/").replace("~0", "~");
        if let Ok(index) = word.parse::<usize>() {
            here = &mut here[index];
        } else {
            here = &mut here[word];
        }
    }
    *here = value;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_placed_where_the_pointer_says() {
        let mut body = json!({"list": [{"a": 1}]});
        place(&mut body, "/list/0/a", json!(2));
        place(&mut body, "/new/x~1y", json!(3));
        assert_eq!(body, json!({"list": [{"a": 2}], "new": {"x/y": 3}}));
    }
}
