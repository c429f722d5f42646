//! What a CEL rule could cost at worst, and what kind of value it gives, told from its text and the schema it stands on.
//! It evaluates nothing.

use std::collections::BTreeMap;

use kube::core::cel::cel::Program;
use kube::core::cel::cel::common::ast::{CallExpr, ComprehensionExpr, Expr, LiteralValue, operators};

use super::schema::{Node, Unnamed};

/// A request is never larger, so nothing without a bound is either.
const REQUEST_BYTES: u64 = 3 * 1024 * 1024;
/// How much of a text is read at the cost of one step, inverted.
const CHARACTERS_A_STEP: u64 = 10;

/// The kind and the largest size of a value.
#[derive(Debug, Clone)]
pub(crate) enum Shape<'a> {
    Object(Node<'a>),
    Text(u64),
    /// With the name of its type.
    Number(&'static str),
    Truth,
    List(Box<Shape<'a>>, u64),
    Map(Box<Shape<'a>>, u64),
    Anything,
}

impl<'a> Shape<'a> {
    pub(crate) fn of(schema: Node<'a>) -> Self {
        if schema.is_int_or_string() {
            return Self::Anything;
        }
        match schema.type_name() {
            Some("string") => Self::Text(text_length(schema)),
            Some("integer") => Self::Number("int"),
            Some("number") => Self::Number("double"),
            Some("boolean") => Self::Truth,
            Some("array") => Self::List(Box::new(schema.items().map_or(Self::Anything, Self::of)), most_items(schema)),
            Some("object") => match schema.unnamed() {
                Unnamed::Values(values) => Self::Map(Box::new(Self::of(values)), most_properties(schema)),
                Unnamed::Unknown | Unnamed::Anything => Self::Object(schema),
            },
            _ => Self::Anything,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Object(_) => "object".into(),
            Self::Text(_) => "string".into(),
            Self::Number(name) => (*name).into(),
            Self::Truth => "bool".into(),
            Self::List(item, _) => format!("list({})", item.name()),
            Self::Map(value, _) => format!("map(string, {})", value.name()),
            Self::Anything => "dyn".into(),
        }
    }

    /// How many steps it takes to look at all of it.
    fn traversal(&self) -> u64 {
        match self {
            Self::Text(length) => length.div_ceil(CHARACTERS_A_STEP).max(1),
            Self::List(item, most) | Self::Map(item, most) => most.saturating_mul(item.traversal()).max(1),
            Self::Object(_) | Self::Number(_) | Self::Truth | Self::Anything => 1,
        }
    }
}

fn text_length(schema: Node<'_>) -> u64 {
    let longest = schema.list("enum").iter().filter_map(|value| value.as_str()).map(|text| text.len() as u64).max();
    let formatted = match schema.text("format") {
        Some("date-time") => Some(27),
        Some("date") => Some(10),
        Some("duration") => Some(32),
        _ => None,
    };
    schema.length("maxLength").or(longest).or(formatted).unwrap_or(REQUEST_BYTES - 2)
}

/// How many items a list has at most.
pub(crate) fn most_items(schema: Node<'_>) -> u64 {
    schema.length("maxItems").unwrap_or_else(|| REQUEST_BYTES / (schema.items().map_or(1, smallest) + 1))
}

/// How many members a map has at most.
pub(crate) fn most_properties(schema: Node<'_>) -> u64 {
    schema.length("maxProperties").unwrap_or_else(|| {
        let value = match schema.unnamed() {
            Unnamed::Values(values) => smallest(values),
            Unnamed::Unknown | Unnamed::Anything => 1,
        };
        // A key in quotes, a colon and a comma.
        REQUEST_BYTES / (value + 4)
    })
}

/// The bytes of the smallest value that fits a schema.
fn smallest(schema: Node<'_>) -> u64 {
    match schema.type_name() {
        Some("string") => 2 + schema.length("minLength").unwrap_or(0),
        Some("boolean") => 4,
        Some("array" | "object") => 2,
        _ => 1,
    }
}

/// A part of a rule: what it gives, and what it costs.
struct Estimate<'a> {
    shape: Shape<'a>,
    cost: u64,
}

type Variables<'a> = BTreeMap<String, Shape<'a>>;

/// What is wrong with a rule's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Defect {
    /// It cannot be compiled.
    Unreadable(String),
    /// It gives no truth value.
    NoTruth,
}

/// The worst cost of one evaluation of a rule.
pub(crate) fn of_rule(rule: &str, own: Shape<'_>, old: Option<Shape<'_>>) -> Result<u64, Defect> {
    let program = Program::compile(rule).map_err(|error| Defect::Unreadable(format!("ERROR: <input>: Syntax error: {error}")))?;
    let mut variables = Variables::from([("self".to_owned(), own)]);
    if let Some(old) = old {
        variables.insert("oldSelf".into(), old);
    }
    let estimate = estimate(&program.expression().expr, &variables).map_err(Defect::Unreadable)?;
    match estimate.shape {
        Shape::Truth | Shape::Anything => Ok(estimate.cost),
        _ => Err(Defect::NoTruth),
    }
}

/// Names of libraries and types, which are no variables.
const KNOWN: &[&str] = &[
    "cel",
    "optional",
    "math",
    "base64",
    "format",
    "ip",
    "cidr",
    "quantity",
    "url",
    "sets",
    "semver",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "bool",
    "list",
    "map",
    "type",
    "timestamp",
    "duration",
    "dyn",
    "google",
];

fn estimate<'a>(expression: &Expr, variables: &Variables<'a>) -> Result<Estimate<'a>, String> {
    let plain = |shape, cost| Ok(Estimate { shape, cost });
    match expression {
        Expr::Ident(name) => match variables.get(name) {
            Some(shape) => plain(shape.clone(), 1),
            None if KNOWN.contains(&name.as_str()) || name.starts_with('@') => plain(Shape::Anything, 1),
            None => Err(format!("ERROR: <input>:1:1: undeclared reference to '{name}' (in container '')")),
        },
        Expr::Literal(literal) => plain(
            match literal {
                LiteralValue::Boolean(_) => Shape::Truth,
                LiteralValue::String(text) => Shape::Text(text.inner().len() as u64),
                LiteralValue::Int(_) => Shape::Number("int"),
                LiteralValue::UInt(_) => Shape::Number("uint"),
                LiteralValue::Double(_) => Shape::Number("double"),
                LiteralValue::Bytes(_) | LiteralValue::Null => Shape::Anything,
            },
            0,
        ),
        Expr::Select(select) => {
            let operand = estimate(&select.operand.expr, variables)?;
            let found = member(&operand.shape, &select.field)?;
            plain(if select.test { Shape::Truth } else { found }, operand.cost + 1)
        }
        Expr::List(list) => {
            let mut cost = 10_u64;
            let mut item = Shape::Anything;
            for element in &list.elements {
                let element = estimate(&element.expr, variables)?;
                cost = cost.saturating_add(element.cost);
                item = larger(item, element.shape);
            }
            plain(Shape::List(Box::new(item), list.elements.len() as u64), cost)
        }
        Expr::Map(_) | Expr::Struct(_) => plain(Shape::Anything, 30),
        Expr::Call(call) => call_estimate(call, variables),
        Expr::Comprehension(comprehension) => comprehension_estimate(comprehension, variables),
        Expr::Unspecified => plain(Shape::Anything, 0),
    }
}

fn larger<'a>(one: Shape<'a>, other: Shape<'a>) -> Shape<'a> {
    match (one, other) {
        (Shape::Text(one), Shape::Text(other)) => Shape::Text(one.max(other)),
        (Shape::Anything, other) => other,
        (one, _) => one,
    }
}

/// A member's name as rules write it: some characters and words are escaped.
fn unescaped(name: &str) -> String {
    let keyword = name.strip_prefix("__").and_then(|rest| rest.strip_suffix("__")).filter(|word| !word.contains("__"));
    match keyword {
        Some(word) if !matches!(word, "dot" | "dash" | "slash" | "underscores") => word.to_owned(),
        _ => name.replace("__underscores__", "__").replace("__dot__", ".").replace("__dash__", "-").replace("__slash__", "/"),
    }
}

fn member<'a>(of: &Shape<'a>, name: &str) -> Result<Shape<'a>, String> {
    match of {
        Shape::Object(schema) => match schema.property(&unescaped(name)) {
            Some(schema) => Ok(Shape::of(schema)),
            None if schema.is_embedded_resource() => Ok(Shape::Anything),
            None => Err(format!("ERROR: <input>:1:5: undefined field '{name}'")),
        },
        Shape::Map(value, _) => Ok((**value).clone()),
        Shape::Anything => Ok(Shape::Anything),
        other => Err(format!("ERROR: <input>:1:5: type '{}' does not support field selection", other.name())),
    }
}

fn call_estimate<'a>(call: &CallExpr, variables: &Variables<'a>) -> Result<Estimate<'a>, String> {
    let target = call.target.as_ref().map(|target| estimate(&target.expr, variables)).transpose()?;
    let mut arguments = Vec::new();
    for argument in &call.args {
        arguments.push(estimate(&argument.expr, variables)?);
    }
    let below = target.iter().chain(&arguments).fold(0_u64, |cost, one| cost.saturating_add(one.cost));
    let shapes: Vec<&Shape<'a>> = target.iter().chain(&arguments).map(|one| &one.shape).collect();
    let steps = |index: usize| shapes.get(index).map_or(1, |shape| shape.traversal());
    let name = call.func_name.as_str();
    if let (Some(target), "startsWith" | "endsWith" | "contains" | "matches") = (&target, name)
        && !matches!(target.shape, Shape::Text(_) | Shape::Anything)
    {
        let arguments: Vec<String> = arguments.iter().map(|argument| argument.shape.name()).collect();
        let applied = format!("{}.({})", target.shape.name(), arguments.join(", "));
        return Err(format!("ERROR: <input>:1:1: found no matching overload for '{name}' applied to '{applied}'"));
    }
    let (shape, own) = match name {
        operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT | operators::NOT_STRICTLY_FALSE => (Shape::Truth, 1),
        operators::EQUALS
        | operators::NOT_EQUALS
        | operators::GREATER
        | operators::GREATER_EQUALS
        | operators::LESS
        | operators::LESS_EQUALS => (Shape::Truth, steps(0).min(steps(1))),
        operators::CONDITIONAL => (
            shapes
                .get(1)
                .map_or(Shape::Anything, |shape| larger((*shape).clone(), shapes.get(2).map_or(Shape::Anything, |other| (*other).clone()))),
            0,
        ),
        operators::IN => match shapes.get(1) {
            Some(Shape::List(_, most)) => (Shape::Truth, most.saturating_mul(steps(0)).max(1)),
            _ => (Shape::Truth, 1),
        },
        operators::INDEX | operators::OPT_INDEX => match shapes.first() {
            Some(Shape::List(item, _) | Shape::Map(item, _)) => ((**item).clone(), 1),
            _ => (Shape::Anything, 1),
        },
        operators::ADD => match (shapes.first(), shapes.get(1)) {
            (Some(Shape::Text(one)), Some(Shape::Text(other))) => {
                let length = one.saturating_add(*other);
                (Shape::Text(length), length.div_ceil(CHARACTERS_A_STEP))
            }
            (Some(Shape::List(item, one)), Some(Shape::List(_, other))) => (Shape::List(item.clone(), one.saturating_add(*other)), 1),
            (Some(one), _) => ((*one).clone(), 1),
            _ => (Shape::Anything, 1),
        },
        operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO | operators::NEGATE => {
            (shapes.first().map_or(Shape::Anything, |shape| (*shape).clone()), 1)
        }
        "size" | "int" | "indexOf" | "lastIndexOf" => (Shape::Number("int"), if name == "size" { 1 } else { steps(0) }),
        "startsWith" | "endsWith" => (Shape::Truth, steps(1)),
        "contains" => (Shape::Truth, steps(0).saturating_mul(steps(1))),
        "matches" => {
            let pattern = match shapes.get(1) {
                Some(Shape::Text(length)) => length.div_ceil(4).max(1),
                _ => 1,
            };
            (Shape::Truth, steps(0).saturating_mul(pattern))
        }
        "isSorted" | "isURL" | "isIP" | "isCIDR" | "isQuantity" | "isSemver" => (Shape::Truth, steps(0)),
        "split" => match shapes.first() {
            Some(Shape::Text(length)) => (Shape::List(Box::new(Shape::Text(*length)), *length), shapes[0].traversal()),
            _ => (Shape::Anything, 1),
        },
        "substring" | "trim" | "lowerAscii" | "upperAscii" | "replace" | "charAt" => {
            (shapes.first().map_or(Shape::Anything, |shape| (*shape).clone()), steps(0))
        }
        _ => (Shape::Anything, shapes.iter().map(|shape| shape.traversal()).max().unwrap_or(1)),
    };
    Ok(Estimate { shape, cost: below.saturating_add(own) })
}

fn comprehension_estimate<'a>(comprehension: &ComprehensionExpr, variables: &Variables<'a>) -> Result<Estimate<'a>, String> {
    let range = estimate(&comprehension.iter_range.expr, variables)?;
    let initial = estimate(&comprehension.accu_init.expr, variables)?;
    let (item, most) = match &range.shape {
        Shape::List(item, most) => ((**item).clone(), *most),
        // The keys of a map are walked.
        Shape::Map(_, most) => (Shape::Text(REQUEST_BYTES / most.max(&1)), *most),
        Shape::Anything => (Shape::Anything, 1),
        other => {
            return Err(format!(
                "ERROR: <input>:1:1: expression of type '{}' cannot be range of a comprehension (must be list, map, or dynamic)",
                other.name()
            ));
        }
    };
    let mut inner = variables.clone();
    inner.insert(comprehension.iter_var.clone(), item);
    if let Some(second) = &comprehension.iter_var2 {
        inner.insert(second.clone(), Shape::Anything);
    }
    inner.insert(comprehension.accu_var.clone(), initial.shape.clone());
    let condition = estimate(&comprehension.loop_cond.expr, &inner)?;
    let step = estimate(&comprehension.loop_step.expr, &inner)?;
    let result = estimate(&comprehension.result.expr, &inner)?;
    let each = condition.cost.saturating_add(step.cost).saturating_add(1);
    let shape = match (&result.shape, &initial.shape) {
        (Shape::List(_, _), _) => Shape::List(Box::new(Shape::Anything), most),
        (shape, _) => shape.clone(),
    };
    let cost = range.cost.saturating_add(initial.cost).saturating_add(most.saturating_mul(each)).saturating_add(result.cost);
    Ok(Estimate { shape, cost })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::super::schema::Schema;
    use super::*;

    fn cost(rule: &str, schema: Value) -> Result<u64, Defect> {
        let schema = Schema::new(schema, Arc::default());
        of_rule(rule, Shape::of(schema.root()), None)
    }

    #[test]
    fn bounds_make_the_difference() {
        let rule = "self.all(a, self.exists_one(b, b == a))";
        let list = |bounds: Value| {
            let mut list = json!({"type": "array", "items": {"type": "string", "maxLength": 20}});
            list["maxItems"] = bounds;
            list
        };
        assert!(cost(rule, list(json!(10))).expect("it compiles") < 10_000);
        assert!(cost(rule, list(Value::Null)).expect("it compiles") > 10_000_000);
    }

    #[test]
    fn what_cannot_be_compiled_is_told() {
        assert!(matches!(cost("self > ", json!({"type": "integer"})), Err(Defect::Unreadable(_))));
        assert!(matches!(cost("self.startsWith('a')", json!({"type": "integer"})), Err(Defect::Unreadable(_))));
        assert_eq!(cost("self + 1", json!({"type": "integer"})), Err(Defect::NoTruth));
        let object = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
        assert_eq!(cost("self.b > 1", object.clone()), Err(Defect::Unreadable("ERROR: <input>:1:5: undefined field 'b'".into())));
        assert!(cost("has(self.a) && self.a > 1", object).is_ok());
    }
}
