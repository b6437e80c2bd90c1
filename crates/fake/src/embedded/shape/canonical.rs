//! One spelling for equal objects, as a round trip through the apiserver's own types gives: no nulls, no unknown fields,
//! no empty optional values, quantities in canonical form.

use serde_json::Value;

use super::quantity::Quantity;
use crate::embedded::schema::{Structure, Type};

/// Fields that no type knows, as paths.
pub(crate) type Unknown = Vec<String>;

/// Empty strings that say something.
const MEANINGFUL_EMPTY: &[&str] = &["storageClassName", "serviceName", "kind", "name", "apiGroup"];
/// Numbers that vanish when they are zero.
const NUMBERS: &[&str] = &[
    "minReadySeconds",
    "hostPort",
    "nodePort",
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
    "healthCheckNodePort",
    "count",
];
/// Numbers of statuses that stay when they are zero.
const STATUS_NUMBERS: &[&str] = &[
    "currentNumberScheduled",
    "numberMisscheduled",
    "desiredNumberScheduled",
    "numberReady",
    "disruptionsAllowed",
    "currentHealthy",
    "desiredHealthy",
    "expectedPods",
    "restartCount",
    "currentReplicas",
    "desiredReplicas",
];
/// Flags that vanish when they are false.
const FLAGS: &[&str] = &[
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "tty",
    "stdin",
    "stdinOnce",
    "paused",
    "readOnly",
    "publishNotReadyAddresses",
    "unschedulable",
    "globalDefault",
];

/// Brings an object into its one spelling.
///
/// # Errors
/// The first value that has the wrong type, as the apiserver's decoder words it.
pub(crate) fn canonicalize(
    kind: &Type,
    name: &str,
    value: &mut Value,
    unknown: &mut Unknown,
) -> Result<(), String> {
    walk(kind, value, &mut String::new(), unknown)
        .map_err(|(path, what)| format!("json: cannot unmarshal {what} into Go struct field {name}{path}"))
}

fn walk(
    kind: &Type,
    value: &mut Value,
    path: &mut String,
    unknown: &mut Unknown,
) -> Result<(), (String, String)> {
    let here = path.len();
    match (kind, value) {
        (Type::Any, _) => {}
        (Type::Struct(_), Value::Object(map)) => {
            let Some(structure) = kind.structure() else {
                return Ok(());
            };
            let mut gone = Vec::new();
            for (name, inner) in map.iter_mut() {
                path.push('.');
                path.push_str(name);
                match structure.fields.get(name) {
                    None => {
                        unknown.push(path.trim_start_matches('.').to_owned());
                        gone.push(name.clone());
                    }
                    Some(_) if inner.is_null() => gone.push(name.clone()),
                    Some(inner_kind) => {
                        walk(inner_kind, inner, path, unknown)?;
                        if vanishes(structure, name, inner_kind, inner) {
                            gone.push(name.clone());
                        }
                    }
                }
                path.truncate(here);
            }
            for name in gone {
                map.remove(&name);
            }
        }
        (Type::Map { item, .. }, Value::Object(map)) => {
            for (name, inner) in map.iter_mut() {
                path.push('.');
                path.push_str(name);
                match **item {
                    Type::String if inner.is_null() => *inner = Value::String(String::new()),
                    Type::Quantity if inner.is_null() => *inner = "0".into(),
                    _ => {}
                }
                walk(item, inner, path, unknown)?;
                path.truncate(here);
            }
        }
        (Type::List { item, .. }, Value::Array(list)) => {
            for (index, inner) in list.iter_mut().enumerate() {
                path.push_str(&format!("[{index}]"));
                walk(item, inner, path, unknown)?;
                path.truncate(here);
            }
        }
        (Type::Quantity, value @ (Value::String(_) | Value::Number(_))) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            match Quantity::parse(&text) {
                Some(quantity) => *value = quantity.text().into(),
                None => return Err((path.clone(), format!("quantity {text:?}"))),
            }
        }
        (Type::Untyped, Value::String(_) | Value::Number(_))
        | (Type::String, Value::String(_))
        | (Type::Boolean, Value::Bool(_))
        | (Type::Number, Value::Number(_))
        | (_, Value::Null) => {}
        (expected, found) => {
            return Err((
                path.clone(),
                format!("{} of type {}", json_name(found), go_name(expected)),
            ));
        }
    }
    Ok(())
}

/// Whether an optional field with this value is left out of what is stored.
fn vanishes(structure: &Structure, name: &str, kind: &Type, value: &Value) -> bool {
    match (kind, value) {
        (Type::Map { .. }, Value::Object(map)) => map.is_empty() && name != "emptyDir",
        (Type::List { .. }, Value::Array(list)) => {
            list.is_empty() && !(name == "rules" && structure.name.starts_with("rbac"))
        }
        (Type::String, Value::String(text)) => text.is_empty() && !MEANINGFUL_EMPTY.contains(&name),
        (Type::Number, Value::Number(number)) if number.as_i64() == Some(0) => {
            if structure.name.ends_with("Status") {
                !STATUS_NUMBERS.contains(&name) && !replica_count(structure, name)
            } else {
                NUMBERS.contains(&name)
            }
        }
        (Type::Boolean, Value::Bool(false)) => FLAGS.contains(&name),
        _ => false,
    }
}

fn replica_count(structure: &Structure, name: &str) -> bool {
    match structure.name.as_str() {
        "apps.v1.StatefulSetStatus" => name == "replicas" || name == "availableReplicas",
        "apps.v1.ReplicaSetStatus" | "core.v1.ReplicationControllerStatus" => name == "replicas",
        _ => false,
    }
}

fn json_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn go_name(kind: &Type) -> &'static str {
    match kind {
        Type::String | Type::Untyped | Type::Quantity => "string",
        Type::Number => "int32",
        Type::Boolean => "bool",
        Type::Map { .. } => "map[string]string",
        Type::List { .. } => "[]interface {}",
        Type::Struct(_) | Type::Any => "struct",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::schema::schema;
    use serde_json::json;

    #[test]
    fn unknown_fields_are_named_and_dropped() {
        let mut value = json!({"spec": {"hard": {"cpu": "1000m"}, "harder": 1}, "metadata": {"labels": {}}});
        let mut unknown = Unknown::new();
        canonicalize(
            &schema().named("core.v1.ResourceQuota"),
            "ResourceQuota",
            &mut value,
            &mut unknown,
        )
        .expect("it fits");
        assert_eq!(value, json!({"spec": {"hard": {"cpu": "1"}}, "metadata": {}}));
        assert_eq!(unknown, ["spec.harder"]);
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused() {
        let mut value = json!({"data": {"a": 1}});
        let error = canonicalize(
            &schema().named("core.v1.ConfigMap"),
            "ConfigMap",
            &mut value,
            &mut Unknown::new(),
        );
        assert_eq!(
            error.expect_err("a number is no string"),
            "json: cannot unmarshal number of type string into Go struct field ConfigMap.data.a"
        );
    }
}
