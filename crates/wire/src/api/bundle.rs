//! Bundles.

use berth_model::{Bundle, Parameter, Violation, bundle::BundleSpec};
use berth_proto::v1;
use serde_json::Value;

use crate::{faults::Faults, json, names, time, words};

/// The bundle as the API shows it; `tenants` is how many use it. Lists leave the manifests out.
#[must_use]
pub fn bundle_to_proto(bundle: &Bundle, tenants: usize, with_manifests: bool) -> v1::Bundle {
    let mut spec = bundle_spec_to_proto(&bundle.spec);
    if !with_manifests {
        spec.manifests.clear();
    }
    v1::Bundle {
        name: names::bundle(&bundle.name, &bundle.version),
        uid: bundle.uid.to_string(),
        spec: Some(spec),
        etag: names::etag(bundle.revision),
        create_time: Some(time::to_proto(bundle.created_at)),
        tenants: i32::try_from(tenants).unwrap_or(i32::MAX),
    }
}

/// The spec as the API writes it. Manifests that are not JSON objects, which admission refuses, become empty ones.
#[must_use]
pub fn bundle_spec_to_proto(spec: &BundleSpec) -> v1::BundleSpec {
    v1::BundleSpec {
        description: spec.description.clone(),
        parameters: spec.parameters.iter().map(parameter_to_proto).collect(),
        manifests: spec
            .manifests
            .iter()
            .map(|manifest| {
                json::struct_of(
                    manifest
                        .as_object()
                        .into_iter()
                        .flatten()
                        .map(|(k, v)| (k.as_str(), v)),
                )
            })
            .collect(),
    }
}

/// Reads a spec.
///
/// # Errors
/// Every fault of form, with paths as in files.
pub fn bundle_spec_from_proto(spec: &v1::BundleSpec) -> Result<BundleSpec, Vec<Violation>> {
    let mut faults = Faults::default();
    let parameters = spec
        .parameters
        .iter()
        .enumerate()
        .filter_map(|(at, parameter)| {
            parameter_from_proto(&format!("spec.parameters[{at}]"), parameter)
                .map_err(|violations| {
                    violations
                        .into_iter()
                        .for_each(|violation| faults.push(violation))
                })
                .ok()
        })
        .collect();
    let manifests = spec
        .manifests
        .iter()
        .map(|manifest| Value::Object(json::fields_of(manifest).into_iter().collect()))
        .collect();
    faults.finish(Some(BundleSpec {
        description: spec.description.clone(),
        parameters,
        manifests,
    }))
}

fn parameter_to_proto(parameter: &Parameter) -> v1::Parameter {
    v1::Parameter {
        name: parameter.name.clone(),
        r#type: parameter.kind.as_str().into(),
        description: parameter.description.clone(),
        default: parameter.default.as_ref().map(json::to_proto),
        allowed: parameter.allowed.iter().map(json::to_proto).collect(),
    }
}

/// Reads a parameter.
///
/// # Errors
/// Every fault of form, below `path`.
pub fn parameter_from_proto(path: &str, parameter: &v1::Parameter) -> Result<Parameter, Vec<Violation>> {
    let mut faults = Faults::default();
    if parameter.name.is_empty() {
        faults.add(&format!("{path}.name"), "is required", "");
    }
    let kind = faults.choice(
        &format!("{path}.type"),
        &parameter.r#type,
        &words::PARAMETER_KINDS,
    );
    faults.finish(kind.map(|kind| Parameter {
        name: parameter.name.clone(),
        kind,
        description: parameter.description.clone(),
        default: parameter.default.as_ref().map(json::from_proto),
        allowed: parameter.allowed.iter().map(json::from_proto).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    proptest! {
        #[test]
        fn a_spec_survives(spec in testing::bundle_spec()) {
            prop_assert_eq!(bundle_spec_from_proto(&bundle_spec_to_proto(&spec)), Ok(spec));
        }
    }

    #[test]
    fn an_unknown_type_is_a_violation_at_its_place() {
        let spec = v1::BundleSpec {
            parameters: vec![v1::Parameter {
                name: "x".into(),
                r#type: "int".into(),
                ..Default::default()
            }],
            ..Default::default()
        };
        assert_eq!(
            bundle_spec_from_proto(&spec).unwrap_err()[0].path,
            "spec.parameters[0].type"
        );
    }
}
