//! Single values: what each type takes, and what is said when it is given something else.

use berth_model::Quantity;
use serde_json::{Number, Value as Json};

use super::node::{Node, Value};
use crate::{
    faults::{Faults, entry},
    json::LARGEST_EXACT,
};

pub(super) fn text(faults: &mut Faults, path: &str, node: Node) -> Option<String> {
    let (problem, hint) = match node.value {
        Value::Text(text) => return Some(text),
        Value::Bool(_) | Value::Integer(_) | Value::Unsigned(_) | Value::Float(_) => (
            format!("is {}, not a text", node.value.type_name()),
            "put it in quotes",
        ),
        other => (format!("is {}, not a text", other.type_name()), ""),
    };
    faults.add(path, problem, hint);
    None
}

pub(super) fn flag(faults: &mut Faults, path: &str, node: &Node) -> Option<bool> {
    if let Value::Bool(flag) = node.value {
        return Some(flag);
    }
    faults.add(
        path,
        format!("is {}, not a boolean", node.value.type_name()),
        "write true or false without quotes",
    );
    None
}

pub(super) fn quantity(faults: &mut Faults, path: &str, node: &Node) -> Option<Quantity> {
    let text = match &node.value {
        Value::Text(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Unsigned(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        other => {
            faults.add(
                path,
                format!("is {}, not an amount", other.type_name()),
                "write amounts as 500m, 2, 16Gi",
            );
            return None;
        }
    };
    faults.quantity(path, &text)
}

/// Any value. Whole numbers that a double does not hold exactly are faults: they would change on the way to the hub.
pub(super) fn json(faults: &mut Faults, path: &str, node: Node) -> Json {
    faults.line = node.line;
    match node.value {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Bool(flag),
        Value::Integer(number) => {
            exact(faults, path, number.unsigned_abs());
            Json::from(number)
        }
        Value::Unsigned(number) => {
            exact(faults, path, number);
            Json::from(number)
        }
        Value::Float(number) => whole(number)
            .map(Json::from)
            .or_else(|| Number::from_f64(number).map(Json::Number))
            .unwrap_or_default(),
        Value::Text(text) => Json::String(text),
        Value::List(items) => Json::Array(
            items
                .into_iter()
                .enumerate()
                .map(|(at, item)| json(faults, &format!("{path}[{at}]"), item))
                .collect(),
        ),
        Value::Map(fields) => Json::Object(
            fields
                .into_iter()
                .map(|field| {
                    let value = json(faults, &entry(path, &field.name), field.node);
                    (field.name, value)
                })
                .collect(),
        ),
    }
}

/// `1.0` is the number 1, here as on the wire.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "within 2^53 a double with no fraction is exactly that integer"
)]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() <= LARGEST_EXACT as f64).then_some(number as i64)
}

fn exact(faults: &mut Faults, path: &str, magnitude: u64) {
    if magnitude > LARGEST_EXACT {
        faults.add(
            path,
            "is too large a number to be kept exactly",
            "put it in quotes",
        );
    }
}
