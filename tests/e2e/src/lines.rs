//! The lines of an operator's log as a tool that indexes them reads them. It must not read the form for people.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context as _, Result, ensure};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

/// An object's members. Tools differ in what they make of a name that comes twice, so that is an error.
struct Members(Map<String, Value>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;
        impl<'de> Visitor<'de> for Once {
            type Value = Members;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members, A::Error> {
                let mut members = Map::new();
                while let Some((name, value)) = access.next_entry::<String, Value>()? {
                    if members.contains_key(&name) {
                        return Err(A::Error::custom(format!("{name} stands in it twice")));
                    }
                    members.insert(name, value);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Once)
    }
}

/// Demands that each line is one JSON object with time, level, target and message, that a line with spans names the object that it is about and,
/// but for a policy's, the organization, and that each of these is named.
pub fn are_addressed(log: &str, whom: &[(&str, Option<&str>)]) -> Result<()> {
    let mut named = BTreeSet::new();
    // The last one may be half written.
    let (whole, _) = log.rsplit_once('\n').context("no line")?;
    for line in whole.lines() {
        let Members(line) = serde_json::from_str(line).with_context(|| format!("no JSON object: {line}"))?;
        let text = |name: &str| line.get(name).and_then(Value::as_str);
        for name in ["timestamp", "level", "target", "message"] {
            ensure!(text(name).is_some(), "a line without {name}: {line:?}");
        }
        let outermost = line.get("spans").and_then(|spans| spans[0]["name"].as_str());
        ensure!(outermost.is_none() || text("object").is_some(), "a line without object: {line:?}");
        ensure!(outermost.is_none_or(|name| name == "policy") || text("organization").is_some(), "a line without organization: {line:?}");
        named.extend(text("object").map(|object| (object.to_owned(), text("organization").map(str::to_owned))));
    }
    for (object, organization) in whom {
        let one = ((*object).to_owned(), organization.map(str::to_owned));
        ensure!(named.contains(&one), "no line names {one:?}, but {named:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tool_would_stumble_over_is_found() {
        let line = |more: &str| format!(r#"{{"timestamp":"t","level":"INFO","target":"a","message":"m"{more}}}"#);
        let addressed = line(r#","object":"a/b","organization":"acme","spans":[{"name":"client"}]"#);
        let whom = [("a/b", Some("acme"))];
        assert!(are_addressed(&format!("{addressed}\n{}\n", line("")), &whom).is_ok());
        for bad in [
            "no JSON".to_owned(),
            line(r#","message":"again""#),
            line(r#","spans":[{"name":"client"}]"#),
            line(r#","object":"a/b","spans":[{"name":"client"}]"#),
            r#"{"level":"INFO"}"#.to_owned(),
        ] {
            assert!(are_addressed(&format!("{addressed}\n{bad}\n"), &whom).is_err(), "{bad}");
        }
        assert!(are_addressed(&format!("{}\n", line("")), &whom).is_err(), "nobody is named");
        assert!(are_addressed(&format!("{addressed}\n{{\"half"), &whom).is_ok(), "what is being written is not judged");
    }
}
