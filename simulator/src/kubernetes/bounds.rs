//! The CEL rules of a custom schema, judged as a server judges them: do they compile, and could they cost too much? It
//! evaluates nothing.

use serde_json::Value;

use super::cost::{self, Defect, Shape};
use super::error::FieldError;
use super::memo::Memo;
use super::schema::{Node, Schema, Unnamed};

/// What one rule may cost.
const RULE_BUDGET: u64 = 10_000_000;
/// What all rules of a schema may cost together.
const SCHEMA_BUDGET: u64 = 100_000_000;

const REASONS: &[&str] = &["FieldValueRequired", "FieldValueInvalid", "FieldValueForbidden", "FieldValueDuplicate"];

/// Can an item be followed from the old object to the new one?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Correlation {
    Followed,
    Lost,
}

struct Judge {
    errors: Vec<FieldError>,
    total: u64,
}

/// What is wrong with the rules of a schema, which stands at a field of its definition.
pub(crate) fn errors(schema: &Value, field: &str) -> Vec<FieldError> {
    static KNOWN: Memo<Vec<FieldError>> = Memo::new();
    KNOWN.recall(field, schema, || judge(schema, field))
}

fn judge(schema: &Value, field: &str) -> Vec<FieldError> {
    let schema = Schema::new(with_known_metadata(schema), std::sync::Arc::default());
    let mut judge = Judge { errors: Vec::new(), total: 0 };
    judge.walk(schema.root(), field, 1, Correlation::Followed);
    if judge.total > SCHEMA_BUDGET {
        let told = exceeds("x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema", judge.total, SCHEMA_BUDGET);
        judge.errors.push(FieldError::forbidden(field, &told));
    }
    judge.errors
}

/// Rules see the type of the object, and of its metadata the names.
fn with_known_metadata(schema: &Value) -> Value {
    let mut schema = schema.clone();
    let name = serde_json::json!({"type": "string", "maxLength": 253});
    let properties = super::object::member_mut(&mut schema, "properties");
    properties.insert("apiVersion".into(), name.clone());
    properties.insert("kind".into(), name.clone());
    properties.insert("metadata".into(), serde_json::json!({"type": "object", "properties": {"name": name, "generateName": name}}));
    schema
}

fn exceeds(what: &str, cost: u64, budget: u64) -> String {
    let tenths = u128::from(cost) * 10 / u128::from(budget);
    let factor = if tenths > 1000 { "more than 100x".to_owned() } else { format!("{}.{}x", tenths / 10, tenths % 10) };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
    )
}

impl Judge {
    /// Judges a place that occurs at most so many times.
    fn walk(&mut self, schema: Node<'_>, field: &str, times: u64, correlation: Correlation) {
        for (index, rule) in schema.list("x-kubernetes-validations").iter().enumerate() {
            self.rule(rule, schema, &format!("{field}.x-kubernetes-validations[{index}]"), times, correlation);
        }
        for (name, property) in schema.properties() {
            self.walk(property, &format!("{field}.properties[{name}]"), times, correlation);
        }
        if let Some(items) = schema.items() {
            let followed = matches!(schema.list_type(), super::schema::ListType::Map(_)) && correlation == Correlation::Followed;
            let correlation = if followed { Correlation::Followed } else { Correlation::Lost };
            self.walk(items, &format!("{field}.items"), times.saturating_mul(cost::most_items(schema)), correlation);
        }
        if let Unnamed::Values(values) = schema.unnamed() {
            self.walk(values, &format!("{field}.additionalProperties"), times.saturating_mul(cost::most_properties(schema)), correlation);
        }
    }

    fn rule(&mut self, rule: &Value, schema: Node<'_>, field: &str, times: u64, correlation: Correlation) {
        let text = |name: &str| rule.get(name).and_then(Value::as_str).unwrap_or_default();
        let source = text("rule");
        let at = format!("{field}.rule");
        if source.trim().is_empty() {
            self.errors.push(FieldError::required(at, "rule is not specified"));
            return;
        }
        let message = text("message");
        if message.contains('\n') {
            self.errors.push(FieldError::invalid(format!("{field}.message"), &message.into(), "message must not contain line breaks"));
        }
        if rule.get("message").is_some() && message.trim().is_empty() {
            self.errors.push(FieldError::invalid(format!("{field}.message"), &message.into(), "message must be non-empty if specified"));
        }
        if source.contains('\n') && message.is_empty() && text("messageExpression").is_empty() {
            self.errors.push(FieldError::required(format!("{field}.message"), "message must be specified if rule contains line breaks"));
        }
        let reason = text("reason");
        if !reason.is_empty() && !REASONS.contains(&reason) {
            self.errors.push(FieldError::not_supported(format!("{field}.reason"), &format!("{reason:?}"), REASONS));
        }
        let path = text("fieldPath");
        if !path.is_empty() && !leads_somewhere(path, schema) {
            let why = format!("fieldPath must be a valid path: does not refer to a valid field: {path}");
            self.errors.push(FieldError::invalid(format!("{field}.fieldPath"), &path.into(), &why));
        }
        if source.contains("oldSelf") && correlation == Correlation::Lost {
            let why = "oldSelf cannot be used on the uncorrelatable portion of the schema";
            self.errors.push(FieldError::invalid(at, &source.into(), why));
            return;
        }
        let old = match rule.get("optionalOldSelf") {
            Some(Value::Bool(true)) => Shape::Anything,
            _ => Shape::of(schema),
        };
        let expression = text("messageExpression");
        if !expression.is_empty()
            && let Err(Defect::Unreadable(why)) = cost::of_rule(expression, Shape::of(schema), Some(old.clone()))
        {
            let told = format!("messageExpression compilation failed: {why}");
            self.errors.push(FieldError::invalid(format!("{field}.messageExpression"), &expression.into(), &told));
        }
        match cost::of_rule(source, Shape::of(schema), Some(old)) {
            Ok(cost) => {
                let cost = cost.saturating_mul(times);
                self.total = self.total.saturating_add(cost);
                if cost > RULE_BUDGET {
                    self.errors.push(FieldError::forbidden(at, &exceeds("estimated rule cost", cost, RULE_BUDGET)));
                }
            }
            Err(Defect::Unreadable(why)) => {
                self.errors.push(FieldError::invalid(at, &source.into(), &format!("compilation failed: {why}")));
            }
            Err(Defect::NoTruth) => self.errors.push(FieldError::invalid(at, &source.into(), "cel expression must evaluate to a bool")),
        }
    }
}

/// Does a path such as `.a.b` or `.a['b']` name a member of a schema?
fn leads_somewhere(path: &str, schema: Node<'_>) -> bool {
    let mut place = schema;
    let mut rest = path;
    while !rest.is_empty() {
        let (name, behind) = if let Some(quoted) = rest.strip_prefix("['") {
            let Some((name, behind)) = quoted.split_once("']") else { return false };
            (name, behind)
        } else if let Some(named) = rest.strip_prefix('.') {
            named.split_at(named.find(['.', '[']).unwrap_or(named.len()))
        } else {
            return false;
        };
        let Some(member) = place.member(name) else { return false };
        (place, rest) = (member, behind);
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(spec: &Value) -> Vec<String> {
        let schema = json!({"type": "object", "properties": {"spec": spec}});
        errors(&schema, "s").into_iter().map(|error| format!("{}: {}", error.field, error.detail)).collect()
    }

    #[test]
    fn a_rule_below_an_unbounded_list_costs_too_much() {
        let item = json!({"type": "string", "x-kubernetes-validations": [{"rule": "self.contains('a')"}]});
        let list = |bounds: Value| {
            let mut list = json!({"type": "array", "items": item});
            if let (Some(list), Some(bounds)) = (list.as_object_mut(), bounds.as_object()) {
                list.extend(bounds.clone());
            }
            list
        };
        let errors = told(&list(json!({})));
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].starts_with("s.properties[spec].items.x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x (try"), "{errors:?}");
        let mut bounded = list(json!({"maxItems": 10}));
        bounded["items"]["maxLength"] = 100.into();
        assert!(told(&bounded).is_empty());
    }

    #[test]
    fn rules_that_no_server_takes_are_refused() {
        let rule = |rule: Value| told(&json!({"type": "integer", "x-kubernetes-validations": [rule]}));
        assert!(rule(json!({"rule": "self > 1"})).is_empty());
        for bad in [
            json!({"rule": " "}),
            json!({"rule": "self + 1"}),
            json!({"rule": "self >"}),
            json!({"rule": "self > 1", "message": "a\nb"}),
            json!({"rule": "self > 1", "reason": "Odd"}),
            json!({"rule": "self > 1", "fieldPath": ".a"}),
            json!({"rule": "self > 1", "messageExpression": "'a' +"}),
        ] {
            assert_eq!(rule(bad.clone()).len(), 1, "{bad}");
        }
        let item = json!({"type": "string", "maxLength": 5, "x-kubernetes-validations": [{"rule": "self == oldSelf"}]});
        assert_eq!(told(&json!({"type": "array", "maxItems": 5, "items": item})).len(), 1);
    }

    #[test]
    fn a_rule_may_point_at_a_member() {
        let rules = |path: &str| {
            json!({"type": "object", "properties": {"a": {"type": "object", "properties": {"b-c": {"type": "integer"}}}},
                   "x-kubernetes-validations": [{"rule": "has(self.a)", "fieldPath": path}]})
        };
        assert!(told(&rules(".a")).is_empty() && told(&rules(".a['b-c']")).is_empty());
        assert!(told(&rules("a")).len() == 1 && told(&rules(".a.x")).len() == 1);
    }

    #[test]
    fn names_of_the_object_are_known_to_rules_at_the_root() {
        let schema = |rule: &str| json!({"type": "object", "properties": {"spec": {"type": "object"}}, "x-kubernetes-validations": [{"rule": rule}]});
        assert!(errors(&schema("size(self.metadata.name) <= 63"), "s").is_empty());
        assert_eq!(errors(&schema("self.metadata.labels.size() > 1"), "s").len(), 1);
    }
}
