//! The embedded API's table of types is what a real apiserver publishes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use super::ask::Ask;
use super::pair::Pair;

const TABLE: &str = include_str!("../../src/embedded/schema.txt");

fn definitions(document: &Value) -> BTreeMap<String, &Value> {
    let all = document["definitions"].as_object().expect("definitions");
    all.iter()
        .filter(|(name, _)| name.starts_with("io.k8s."))
        .map(|(name, value)| (short(name), value))
        .collect()
}

/// The last three parts of a definition's name: family, version, kind.
fn short(name: &str) -> String {
    let parts: Vec<&str> = name.rsplit('/').next().unwrap_or(name).split('.').collect();
    parts[parts.len().saturating_sub(3)..].join(".")
}

fn kind_of(field: &Value, all: &BTreeMap<String, &Value>) -> String {
    if let Some(reference) = field["$ref"].as_str() {
        let name = short(reference);
        match name.as_str() {
            "api.resource.Quantity" => return "quantity".into(),
            "util.intstr.IntOrString" => return "untyped".into(),
            "meta.v1.Time" | "meta.v1.MicroTime" => return "string".into(),
            "meta.v1.FieldsV1" | "pkg.runtime.RawExtension" => return "any".into(),
            _ => {}
        }
        let definition = all[&name];
        if definition["properties"].is_object() {
            let atomic = if field["x-kubernetes-map-type"] == "atomic" {
                "="
            } else {
                ""
            };
            return format!("{atomic}{name}");
        }
        let simple = matches!(
            definition["type"].as_str(),
            Some("string" | "integer" | "boolean" | "number")
        );
        return if simple {
            kind_of(definition, all)
        } else {
            "any".into()
        };
    }
    match field["type"].as_str() {
        Some("array") => {
            let item = kind_of(&field["items"], all);
            let merge = match field["x-kubernetes-list-type"].as_str() {
                Some("map") => {
                    let keys = field["x-kubernetes-list-map-keys"]
                        .as_array()
                        .expect("keys")
                        .iter();
                    keys.filter_map(Value::as_str).collect::<Vec<_>>().join(",")
                }
                Some("set") => "set".into(),
                _ => String::new(),
            };
            format!("[{item}]{merge}")
        }
        Some("object") if field["additionalProperties"].is_object() => {
            let atomic = if field["x-kubernetes-map-type"] == "atomic" {
                "="
            } else {
                ""
            };
            format!("{atomic}{{{}}}", kind_of(&field["additionalProperties"], all))
        }
        Some(simple @ ("string" | "boolean")) => simple.into(),
        Some("integer" | "number") => "number".into(),
        _ => "any".into(),
    }
}

#[tokio::test]
async fn the_table_of_types_is_the_published_one() {
    let pair = Pair::bare().await;
    let document = Ask::get("/openapi/v2").send(&pair.real).await.body;
    let all = definitions(&document);
    let names: BTreeSet<&str> = TABLE
        .lines()
        .filter(|l| !l.starts_with(' '))
        .filter_map(|l| l.split(' ').next())
        .collect();
    let mut made = String::new();
    for name in names {
        let definition = all
            .get(name)
            .unwrap_or_else(|| panic!("{name} is no longer published"));
        let atomic = if definition["x-kubernetes-map-type"] == "atomic" {
            " atomic"
        } else {
            ""
        };
        writeln!(made, "{name}{atomic}").expect("it fits");
        for (field, value) in definition["properties"].as_object().expect("properties") {
            writeln!(made, " {field} {}", kind_of(value, &all)).expect("it fits");
        }
    }
    if made != TABLE {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
        let (new, old) = (lines(&made), lines(TABLE));
        let differing: Vec<String> = new.symmetric_difference(&old).cloned().collect();
        let kept = std::env::temp_dir().join("berth-schema.txt");
        std::fs::write(&kept, &made).expect("a file");
        panic!(
            "schema.txt is out of date; the present table is in {}: {differing:#?}",
            kept.display()
        );
    }
}
