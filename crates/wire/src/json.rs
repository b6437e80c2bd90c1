//! `google.protobuf.Struct` and `Value` to and from JSON.
//!
//! Protobuf has doubles only. Whole numbers up to 2^53 come back as whole numbers; larger ones do not survive, which the file
//! format refuses before they get here.

use std::collections::BTreeMap;

use prost_types::{ListValue, Struct, value::Kind};
use serde_json::{Map, Number, Value};

/// The largest whole number that a double holds exactly.
pub const LARGEST_EXACT: u64 = 1 << 53;

/// A JSON value as protobuf.
#[must_use]
pub fn to_proto(value: &Value) -> prost_types::Value {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(*flag),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(items) => Kind::ListValue(ListValue {
            values: items.iter().map(to_proto).collect(),
        }),
        Value::Object(fields) => {
            Kind::StructValue(struct_of(fields.iter().map(|(key, field)| (key.as_str(), field))))
        }
    };
    prost_types::Value { kind: Some(kind) }
}

/// Named JSON values as a protobuf struct.
#[must_use]
pub fn struct_of<'a>(fields: impl IntoIterator<Item = (&'a str, &'a Value)>) -> Struct {
    Struct {
        fields: fields
            .into_iter()
            .map(|(key, value)| (key.to_owned(), to_proto(value)))
            .collect(),
    }
}

/// A protobuf value as JSON. What JSON cannot say (not-a-number, infinities, an absent value) is null.
#[must_use]
pub fn from_proto(value: &prost_types::Value) -> Value {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(flag)) => Value::Bool(*flag),
        Some(Kind::NumberValue(number)) => number_of(*number),
        Some(Kind::StringValue(text)) => Value::String(text.clone()),
        Some(Kind::ListValue(list)) => Value::Array(list.values.iter().map(from_proto).collect()),
        Some(Kind::StructValue(fields)) => {
            Value::Object(fields_of(fields).into_iter().collect::<Map<_, _>>())
        }
    }
}

/// The fields of a protobuf struct as JSON.
#[must_use]
pub fn fields_of(fields: &Struct) -> BTreeMap<String, Value> {
    fields
        .fields
        .iter()
        .map(|(key, value)| (key.clone(), from_proto(value)))
        .collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "within 2^53 a double with no fraction is exactly that integer"
)]
fn number_of(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() <= LARGEST_EXACT as f64 {
        return Value::Number(Number::from(number as i64));
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn whole_numbers_stay_whole() {
        let value = json!({"replicas": 3, "ratio": 0.5, "least": -7, "list": [1, null, true, "x", {}]});
        assert_eq!(from_proto(&to_proto(&value)), value);
    }

    #[test]
    fn what_json_cannot_say_is_null() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(
                from_proto(&prost_types::Value {
                    kind: Some(Kind::NumberValue(number))
                }),
                Value::Null
            );
        }
        assert_eq!(from_proto(&prost_types::Value { kind: None }), Value::Null);
    }

    proptest! {
        #[test]
        fn json_survives(value in crate::testing::json()) {
            prop_assert_eq!(from_proto(&to_proto(&value)), value);
        }
    }
}
