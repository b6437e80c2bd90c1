//! What two clusters may differ in: identities, versions, times, addresses handed out by chance.

use serde_json::Value;

use super::ask::Answer;

/// An answer without what may differ.
pub(super) fn normal(answer: &Answer) -> Value {
    let mut body = answer.body.clone();
    clean(&mut body);
    serde_json::json!({"code": answer.code, "body": body})
}

fn clean(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(clean),
        Value::Object(map) => {
            if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
                for key in [
                    "uid",
                    "resourceVersion",
                    "creationTimestamp",
                    "deletionTimestamp",
                    "selfLink",
                ] {
                    metadata.remove(key);
                }
                if let Some(Value::Array(entries)) = metadata.get_mut("managedFields") {
                    for entry in entries.iter_mut() {
                        entry.as_object_mut().map(|e| e.remove("time"));
                    }
                    entries.sort_by_key(Value::to_string);
                }
            }
            if let Some(details) = map.get_mut("details").and_then(Value::as_object_mut) {
                details.remove("uid");
                if let Some(Value::Array(causes)) = details.get_mut("causes") {
                    causes.sort_by_key(Value::to_string);
                }
            }
            if let Some(spec) = map.get_mut("spec").and_then(Value::as_object_mut) {
                for key in ["clusterIP", "clusterIPs"] {
                    if let Some(address) = spec.get_mut(key).filter(|a| a.to_string().contains("10.")) {
                        *address = "<address>".into();
                    }
                }
                for port in spec
                    .get_mut("ports")
                    .and_then(Value::as_array_mut)
                    .into_iter()
                    .flatten()
                {
                    if let Some(number) = port.get_mut("nodePort") {
                        *number = "<port>".into();
                    }
                }
            }
            map.values_mut().for_each(clean);
        }
        _ => {}
    }
}

/// The lines in which two values differ, for people.
pub(super) fn difference(real: &Value, embedded: &Value) -> String {
    let mut out = String::new();
    walk("", real, embedded, &mut out);
    out
}

fn walk(path: &str, real: &Value, embedded: &Value, out: &mut String) {
    match (real, embedded) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let (a, b) = (
                    a.get(key).unwrap_or(&Value::Null),
                    b.get(key).unwrap_or(&Value::Null),
                );
                walk(&format!("{path}.{key}"), a, b, out);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                walk(&format!("{path}[{index}]"), a, b, out);
            }
        }
        (a, b) if a != b => out.push_str(&format!("  {path}\n    real:     {a}\n    embedded: {b}\n")),
        _ => {}
    }
}
