//! The columns of a kind's table, and a reader of the JSON paths that columns and selectors use; it renders nothing.

use serde_json::Value;

/// One column of a custom kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) type_name: String,
    pub(crate) format: String,
    pub(crate) description: String,
    pub(crate) priority: i64,
    pub(crate) path: String,
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Member(String),
    Index(i64),
    All,
    /// `?(@.member=="text")`
    Filter(Vec<String>, String),
}

/// The values at a JSON path such as `.status.conditions[?(@.type=="Ready")].status`.
pub(crate) fn at_path<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    let Some(steps) = steps(path) else { return Vec::new() };
    steps.iter().fold(vec![value], |values, step| values.into_iter().flat_map(|value| take(value, step)).collect())
}

fn take<'a>(value: &'a Value, step: &Step) -> Vec<&'a Value> {
    match (step, value) {
        (Step::Member(name), Value::Object(map)) => map.get(name).into_iter().collect(),
        (Step::Index(index), Value::Array(items)) => {
            let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
            let index = if *index < 0 { length + *index } else { *index };
            usize::try_from(index).ok().and_then(|index| items.get(index)).into_iter().collect()
        }
        (Step::All, Value::Array(items)) => items.iter().collect(),
        (Step::All, Value::Object(map)) => map.values().collect(),
        (Step::Filter(members, text), Value::Array(items)) => items
            .iter()
            .filter(|item| {
                let found = members.iter().try_fold(*item, |value, member| value.get(member));
                found.is_some_and(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned) == *text)
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// A path's steps; none if it is written in no way known here.
fn steps(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = path.trim().trim_start_matches('{').trim_end_matches('}').trim_start_matches('$');
    while !rest.is_empty() {
        if let Some(bracket) = rest.strip_prefix('[') {
            let (step, after) = bracketed(bracket)?;
            steps.push(step);
            rest = after;
        } else {
            let member = rest.strip_prefix('.').unwrap_or(rest);
            let (name, after) = member_name(member);
            match name.as_str() {
                "" if after.starts_with('[') => {}
                "" => return None,
                "*" => steps.push(Step::All),
                _ => steps.push(Step::Member(name)),
            }
            rest = after;
        }
    }
    Some(steps)
}

/// A member's name up to the next step; a backslash keeps a dot in the name.
fn member_name(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '.' | '[' => return (name, &text[index..]),
            '\\' => name.extend(characters.next().map(|(_, character)| character)),
            _ => name.push(character),
        }
    }
    (name, "")
}

fn bracketed(text: &str) -> Option<(Step, &str)> {
    if let Some(filter) = text.strip_prefix("?(@") {
        let (condition, after) = filter.split_once(")]")?;
        let (members, value) = condition.split_once("==")?;
        let members = members.trim().split('.').filter(|member| !member.is_empty()).map(str::to_owned).collect();
        let value = value.trim().trim_matches(['"', '\'']).to_owned();
        return Some((Step::Filter(members, value), after));
    }
    let (inside, after) = text.split_once(']')?;
    let step = match inside.trim() {
        "*" => Step::All,
        quoted if quoted.starts_with(['\'', '"']) => Step::Member(quoted.trim_matches(['"', '\'']).to_owned()),
        number => Step::Index(number.parse().ok()?),
    };
    Some((step, after))
}

/// Can the path be read?
pub(crate) fn is_path(path: &str) -> bool {
    steps(path).is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_condition_is_found_by_its_type() {
        let object = json!({"status": {"conditions": [{"type": "A", "status": "False"}, {"type": "Ready", "status": "True"}]}});
        assert_eq!(at_path(&object, ".status.conditions[?(@.type==\"Ready\")].status"), [&json!("True")]);
        assert_eq!(at_path(&object, ".status.conditions[?(@.type=='Ready')].status"), [&json!("True")]);
        assert!(at_path(&object, ".status.conditions[?(@.type==\"X\")].status").is_empty());
    }

    #[test]
    fn members_items_and_escaped_names_are_found() {
        let object = json!({"metadata": {"labels": {"a.b/c": "1"}}, "l": [1, 2, 3]});
        assert_eq!(at_path(&object, ".metadata.labels.a\\.b/c"), [&json!("1")]);
        assert_eq!(at_path(&object, ".metadata.labels['a.b/c']"), [&json!("1")]);
        assert_eq!(at_path(&object, ".l[-1]"), [&json!(3)]);
        assert_eq!(at_path(&object, ".l[*]").len(), 3);
    }
}
