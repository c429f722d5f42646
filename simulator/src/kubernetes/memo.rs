//! What was found out about a schema, kept for all APIs of the process: tests make a new one for every story, with the same kinds. It must
//! not keep anything that depends on an object, a clock or a seed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// So many schemas are kept; then it begins anew.
const MOST: usize = 64;

/// Answers to one question about schemas.
pub(crate) struct Memo<T>(Mutex<BTreeMap<String, T>>);

impl<T: Clone> Memo<T> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// The answer for a schema at its place, found out once.
    pub(crate) fn recall(&self, place: &str, schema: &Value, find_out: impl FnOnce() -> T) -> T {
        let key = format!("{place} {schema}");
        let known = |answers: &BTreeMap<String, T>| answers.get(&key).cloned();
        if let Some(answer) = known(&self.0.lock().unwrap_or_else(PoisonError::into_inner)) {
            return answer;
        }
        let answer = find_out();
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= MOST {
            answers.clear();
        }
        answers.insert(key, answer.clone());
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_question_is_answered_once_for_each_schema_and_place() {
        let memo = Memo::new();
        let mut asked = 0;
        for (place, schema) in
            [("a", json!({"type": "object"})), ("a", json!({"type": "object"})), ("b", json!({"type": "object"})), ("a", json!({}))]
        {
            memo.recall(place, &schema, || asked += 1);
        }
        assert_eq!(asked, 3);
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let memo = Memo::new();
        for number in 0..(3 * MOST) {
            assert_eq!(memo.recall("", &json!(number), || number), number);
        }
        assert!(memo.0.lock().expect("no panic").len() <= MOST);
    }
}
