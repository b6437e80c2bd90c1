//! Filling parameters into manifests. A string that is exactly `${name}` becomes the value with its type; `${name}` inside
//! a longer string becomes its text; `$${` stands for `${`. What is filled in is not looked at again.

use berth_model::Violation;
use serde_json::{Map, Value};

use super::parameters::{Values, is_name};

/// The manifests with every placeholder filled in; those that cannot be are left and reported.
pub(super) fn all(
    manifests: &[Value],
    values: &Values,
    path: &str,
    violations: &mut Vec<Violation>,
) -> Vec<Value> {
    let fill =
        |(at, manifest): (usize, &Value)| value(manifest, values, &format!("{path}[{at}]"), violations);
    manifests.iter().enumerate().map(fill).collect()
}

fn value(template: &Value, values: &Values, path: &str, violations: &mut Vec<Violation>) -> Value {
    match template {
        Value::String(text) => string(text, values, path, violations),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(at, item)| value(item, values, &format!("{path}[{at}]"), violations))
            .collect(),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, field)| {
                    (
                        key.clone(),
                        value(field, values, &format!("{path}.{key}"), violations),
                    )
                })
                .collect::<Map<_, _>>(),
        ),
        plain => plain.clone(),
    }
}

fn string(text: &str, values: &Values, path: &str, violations: &mut Vec<Violation>) -> Value {
    if let Some(name) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'))
        && let Some(value) = values.get(name)
    {
        return value.clone();
    }
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(escaped) = before.strip_suffix('$') {
            filled.push_str(escaped);
            filled.push_str("${");
            rest = &from[2..];
            continue;
        }
        filled.push_str(before);
        let name = from[2..].split_once('}').map(|(name, _)| name);
        match name.and_then(|name| values.get(name).map(|value| (name, value))) {
            Some((name, value)) => {
                match value {
                    Value::String(text) => filled.push_str(text),
                    other => filled.push_str(&other.to_string()),
                }
                rest = &from[name.len() + 3..];
            }
            None => {
                violations.push(unknown(name, values, path));
                filled.push_str("${");
                rest = &from[2..];
            }
        }
    }
    filled.push_str(rest);
    Value::String(filled)
}

fn unknown(name: Option<&str>, values: &Values, path: &str) -> Violation {
    let literally = "write $${ for a literal ${";
    match name {
        Some(name) if is_name(name) => {
            let known: Vec<&str> = values.keys().map(String::as_str).collect();
            let hint = match known.as_slice() {
                [] => format!("declare it in spec.parameters, or {literally}"),
                known => format!("parameters are {}; {literally}", known.join(", ")),
            };
            Violation::new(path, format!("${{{name}}} is no parameter"), hint)
        }
        _ => Violation::new(path, "has a ${ that starts no parameter", literally),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fill(template: Value) -> (Value, Vec<String>) {
        let values = [
            ("n", json!(3)),
            ("name", json!("web")),
            ("on", json!(true)),
            ("odd", json!("${n}")),
        ];
        let values: Values = values
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let mut violations = Vec::new();
        let filled = value(&template, &values, "m", &mut violations);
        (
            filled,
            violations
                .into_iter()
                .map(|v| v.path + ": " + &v.problem)
                .collect(),
        )
    }

    #[test]
    fn placeholders_are_filled_with_type_or_text() {
        for (template, expected) in [
            (json!("${n}"), json!(3)),
            (json!("${on}"), json!(true)),
            (json!("x-${n}-${name}"), json!("x-3-web")),
            (json!("${name}${n}"), json!("web3")),
            (json!("$${name} and ${name}"), json!("${name} and web")),
            (json!("$${"), json!("${")),
            (json!("cost $5, $ {x}"), json!("cost $5, $ {x}")),
            (json!("${odd}"), json!("${n}")),
            (json!("-${odd}"), json!("-${n}")),
            (
                json!({"a": ["${n}", {"${n}": "${name}"}]}),
                json!({"a": [3, {"${n}": "web"}]}),
            ),
        ] {
            assert_eq!(fill(template.clone()), (expected, vec![]), "{template}");
        }
    }

    #[test]
    fn what_is_no_parameter_is_reported_where_it_stands() {
        let (_, problems) = fill(json!({"a": ["${nam}"], "b": "${x:-y} ${", "c": "${n"}));
        assert_eq!(
            problems,
            [
                "m.a[0]: ${nam} is no parameter",
                "m.b: has a ${ that starts no parameter",
                "m.b: has a ${ that starts no parameter",
                "m.c: has a ${ that starts no parameter",
            ]
        );
    }
}
