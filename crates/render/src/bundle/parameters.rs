//! Declared parameters and the values given for them.

use std::collections::{BTreeMap, BTreeSet};

use berth_model::{
    BundleRef, Parameter, ParameterKind, SecretRef, Violation, bundle::BundleSpec, secret::HINT,
};
use serde_json::{Value, json};

use super::secrets;

/// A value for each parameter by name.
pub(super) type Values = BTreeMap<String, Value>;

/// Whether `name` is a parameter's name: letters, digits and `_`, a letter first.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// What is wrong with the declarations.
pub(super) fn check(spec: &BundleSpec) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut names = BTreeSet::new();
    let mut secrets_of = BTreeSet::new();
    for (at, parameter) in spec.parameters.iter().enumerate() {
        let path = format!("spec.parameters[{at}]");
        let mut fault = |field: &str, problem: String, hint: &str| {
            violations.push(Violation::new(format!("{path}.{field}"), problem, hint));
        };
        let Parameter {
            name,
            kind,
            description: _,
            default,
            allowed,
        } = parameter;
        if !is_name(name) {
            fault(
                "name",
                format!("{name:?} is no parameter name"),
                "use letters, digits and '_', a letter first",
            );
        } else if !names.insert(name) {
            fault("name", format!("{name:?} is declared twice"), "declare it once");
        } else if *kind == ParameterKind::Secret && !secrets_of.insert(secrets::slug(name)) {
            let problem = format!("{name:?} would share its Secret with another parameter");
            fault("name", problem, "let their names differ in more than case");
        }
        for (at, value) in allowed.iter().enumerate().filter(|(_, value)| !kind.takes(value)) {
            fault(
                &format!("allowed[{at}]"),
                wrong_type(value, *kind),
                "give a value of the parameter's type",
            );
        }
        match default {
            Some(value) if *kind == ParameterKind::Secret => {
                if let Err(error) = SecretRef::parse(value) {
                    fault("default", error.to_string(), HINT);
                }
            }
            Some(value) if !kind.takes(value) => {
                fault(
                    "default",
                    wrong_type(value, *kind),
                    "give a value of the parameter's type",
                );
            }
            Some(value) if !is_allowed(parameter, value) => {
                fault(
                    "default",
                    format!("{value} is not one of the allowed values"),
                    "add it to them, or choose one of them",
                );
            }
            _ => {}
        }
    }
    violations
}

/// A value for each parameter: its default, else one it might get.
pub(super) fn examples(spec: &BundleSpec) -> Values {
    spec.parameters
        .iter()
        .map(|parameter| {
            let example = || match parameter.kind {
                ParameterKind::String => json!("x"),
                ParameterKind::Integer => json!(1),
                ParameterKind::Boolean => json!(true),
                ParameterKind::Quantity => json!("1"),
                ParameterKind::Secret => json!({"existingSecret": {"name": "x", "key": "x"}}),
            };
            let value = parameter
                .default
                .clone()
                .or_else(|| parameter.allowed.first().cloned());
            (parameter, value.unwrap_or_else(example))
        })
        .flat_map(|(parameter, value)| entries("x", parameter, value))
        .collect()
}

/// The values a tenant's use of the bundle gives, with the defaults for the rest.
pub(super) fn values(spec: &BundleSpec, reference: &BundleRef, violations: &mut Vec<Violation>) -> Values {
    let bundle = reference.name.as_str();
    let mut values = Values::new();
    for parameter in &spec.parameters {
        let Parameter {
            name, kind, default, ..
        } = parameter;
        let path = format!("parameters.{name}");
        let Some(value) = reference.parameters.get(name) else {
            match default {
                Some(default) => values.extend(entries(bundle, parameter, default.clone())),
                None => violations.push(Violation::new(
                    path,
                    "is required",
                    format!("give {} {}", article(*kind), kind.as_str()),
                )),
            }
            continue;
        };
        let faulty = (*kind == ParameterKind::Secret)
            .then(|| SecretRef::parse(value).err())
            .flatten();
        if let Some(error) = faulty {
            // What was given is not repeated: it may be the secret.
            violations.push(Violation::new(path, error.to_string(), HINT));
        } else if !kind.takes(value) {
            let hint = format!("give {} {}", article(*kind), kind.as_str());
            violations.push(Violation::new(path, wrong_type(value, *kind), hint));
        } else if is_allowed(parameter, value) {
            values.extend(entries(bundle, parameter, value.clone()));
        } else {
            let allowed: Vec<String> = parameter.allowed.iter().map(ToString::to_string).collect();
            let hint = format!("use one of {}", allowed.join(", "));
            violations.push(Violation::new(path, format!("{value} is not allowed"), hint));
        }
    }
    for name in reference
        .parameters
        .keys()
        .filter(|name| spec.parameters.iter().all(|known| known.name != **name))
    {
        let problem = format!("{} {} has no such parameter", reference.name, reference.version);
        violations.push(Violation::new(
            format!("parameters.{name}"),
            problem,
            suggestion(spec, name),
        ));
    }
    values
}

/// A hint for a parameter nobody declared.
pub(super) fn suggestion(spec: &BundleSpec, name: &str) -> String {
    let names = spec.parameters.iter().map(|parameter| parameter.name.as_str());
    let near = names
        .map(|known| (strsim::jaro_winkler(known, name), known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match near {
        Some((_, known)) => format!("did you mean {known}?"),
        None if spec.parameters.is_empty() => "the bundle has no parameters".into(),
        None => {
            let names: Vec<&str> = spec
                .parameters
                .iter()
                .map(|parameter| parameter.name.as_str())
                .collect();
            format!("its parameters are {}", names.join(", "))
        }
    }
}

/// What a parameter fills in: a secret its Secret's name and key, also one by one (`NAME.name`, `NAME.key`), so that `secretKeyRef: ${NAME}` is whole.
fn entries(bundle: &str, parameter: &Parameter, value: Value) -> Vec<(String, Value)> {
    let name = &parameter.name;
    if parameter.kind != ParameterKind::Secret {
        return vec![(name.clone(), value)];
    }
    let Ok(reference) = SecretRef::parse(&value) else {
        return Vec::new();
    };
    let (secret, key) = secrets::place(bundle, &parameter.name, &reference);
    vec![
        (format!("{name}.name"), json!(secret)),
        (format!("{name}.key"), json!(key)),
        (name.clone(), json!({"name": secret, "key": key})),
    ]
}

fn is_allowed(parameter: &Parameter, value: &Value) -> bool {
    parameter.allowed.is_empty() || parameter.allowed.contains(value)
}

fn wrong_type(value: &Value, kind: ParameterKind) -> String {
    if kind == ParameterKind::Secret {
        return "is no reference to a secret".into();
    }
    format!("{value} is no {}", kind.as_str())
}

const fn article(kind: ParameterKind) -> &'static str {
    match kind {
        ParameterKind::Integer => "an",
        ParameterKind::String | ParameterKind::Boolean | ParameterKind::Quantity | ParameterKind::Secret => {
            "a"
        }
    }
}
