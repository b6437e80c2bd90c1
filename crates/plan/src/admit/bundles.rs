//! Rules for a tenant's use of bundles.

use std::collections::BTreeSet;

use berth_model::{
    BundleRef, Parameter, ParameterKind, SecretRef, SecretStore, quantity::Quantity, secret::HINT,
};
use serde_json::Value;

use super::{Catalogue, faults::Faults, hint};

/// `stores` are those of the tier; none while it is not known.
pub(super) fn check(
    faults: &mut Faults,
    catalogue: &Catalogue,
    used: &[BundleRef],
    stores: Option<&[SecretStore]>,
) {
    let mut seen = BTreeSet::new();
    for (at, reference) in used.iter().enumerate() {
        let path = format!("spec.bundles[{at}]");
        if !seen.insert(&reference.name) {
            faults.add(
                format!("{path}.name"),
                format!("bundle {} is there twice", reference.name),
                "",
            );
        }
        let key = (reference.name.clone(), reference.version.clone());
        if let Some(parameters) = catalogue.bundles.get(&key) {
            check_values(faults, &path, reference, parameters, stores);
        } else {
            missing(faults, catalogue, &path, reference);
        }
    }
}

fn missing(faults: &mut Faults, catalogue: &Catalogue, path: &str, reference: &BundleRef) {
    let names: BTreeSet<_> = catalogue.bundles.keys().map(|(name, _)| name).collect();
    if names.contains(&reference.name) {
        let versions = catalogue
            .bundles
            .keys()
            .filter(|(name, _)| *name == reference.name)
            .map(|(_, version)| version);
        let problem = format!(
            "bundle {} has no version {:?}",
            reference.name,
            reference.version.as_str()
        );
        faults.add(
            format!("{path}.version"),
            problem,
            hint::nearest(reference.version.as_str(), versions),
        );
    } else {
        let problem = format!("there is no bundle {:?}", reference.name.as_str());
        faults.add(
            format!("{path}.name"),
            problem,
            hint::nearest(reference.name.as_str(), names),
        );
    }
}

fn check_values(
    faults: &mut Faults,
    path: &str,
    reference: &BundleRef,
    parameters: &[Parameter],
    stores: Option<&[SecretStore]>,
) {
    for (name, value) in &reference.parameters {
        let path = format!("{path}.parameters.{name}");
        let Some(parameter) = parameters.iter().find(|parameter| parameter.name == *name) else {
            let problem = format!(
                "bundle {} {} has no parameter {name:?}",
                reference.name, reference.version
            );
            faults.add(
                path,
                problem,
                hint::nearest(name, parameters.iter().map(|parameter| &parameter.name)),
            );
            continue;
        };
        if parameter.kind == ParameterKind::Secret {
            check_secret(faults, &path, value, stores);
        } else if !parameter.kind.takes(value) {
            faults.add(
                &path,
                format!("{value} is no {}", parameter.kind.as_str()),
                parameter.description.clone(),
            );
        } else if !parameter.allowed.is_empty()
            && !parameter
                .allowed
                .iter()
                .any(|allowed| same(parameter.kind, allowed, value))
        {
            let allowed: Vec<String> = parameter.allowed.iter().map(ToString::to_string).collect();
            faults.add(
                &path,
                format!("{value} is not allowed"),
                format!("one of {}", allowed.join(", ")),
            );
        }
    }
    for parameter in parameters {
        if parameter.default.is_none() && !reference.parameters.contains_key(&parameter.name) {
            faults.add(
                format!("{path}.parameters.{}", parameter.name),
                "is required",
                parameter.description.clone(),
            );
        }
    }
}

/// A reference, to a store that the tier has. What was given is not repeated: it may be the secret.
fn check_secret(faults: &mut Faults, path: &str, value: &Value, stores: Option<&[SecretStore]>) {
    match SecretRef::parse(value) {
        Err(error) => faults.add(path, error.to_string(), HINT),
        Ok(SecretRef::External { store, .. }) => {
            let Some(stores) = stores else { return };
            if stores.iter().all(|known| known.name != store) {
                let hint = match stores {
                    [] => "the tier has no secretStores; ask who runs the platform, or use existingSecret"
                        .into(),
                    stores => hint::nearest(&store, stores.iter().map(|known| known.name.as_str())),
                };
                faults.add(path, format!("the tier has no secret store {store:?}"), hint);
            }
        }
        Ok(SecretRef::Existing { .. }) => {}
    }
}

/// Quantities are the same by amount, everything else by value.
fn same(kind: ParameterKind, a: &Value, b: &Value) -> bool {
    let amount = |value: &Value| -> Option<Quantity> {
        match value {
            Value::String(text) => text.parse().ok(),
            other => other.to_string().parse().ok(),
        }
    };
    a == b || (kind == ParameterKind::Quantity && amount(a).is_some() && amount(a) == amount(b))
}
