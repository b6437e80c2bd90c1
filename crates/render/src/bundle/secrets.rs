//! Secrets of a tenant's bundles: an `ExternalSecret` for each that comes from a store. Bundles cannot hold one: what reads a store that tenants
//! share is Berth's alone, and is kept to the tenant's own keys by the tier's prefix.

use berth_model::{Bundle, BundleRef, ParameterKind, SecretRef, Violation};
use serde_json::{Value, json};

use crate::{Input, meta};

/// The key in a Secret that External Secrets makes.
const KEY: &str = "value";
/// How often External Secrets looks for another value.
const REFRESH: &str = "1h";

/// A parameter's name as a part of an object's.
pub(super) fn slug(parameter: &str) -> String {
    parameter.to_ascii_lowercase().replace('_', "-")
}

/// The Secret that holds it, and the key in there.
pub(super) fn place(bundle: &str, parameter: &str, reference: &SecretRef) -> (String, String) {
    match reference {
        SecretRef::Existing { name, key } => (name.clone(), key.clone()),
        SecretRef::External { .. } => (format!("berth.{bundle}.{}", slug(parameter)), KEY.to_owned()),
    }
}

/// What External Secrets is told for the tenant, in its main namespace.
pub(crate) fn external(input: &Input<'_>, violations: &mut Vec<Violation>) -> Vec<Value> {
    let mut objects = Vec::new();
    for (reference, bundle) in input.bundles {
        for (parameter, secret) in references(reference, bundle) {
            let SecretRef::External { store, key, property } = &secret else {
                continue;
            };
            let Some(granted) = input
                .tier
                .spec
                .secret_stores
                .iter()
                .find(|known| known.name == *store)
            else {
                let at = &input.tenant.spec.bundles;
                let path = match at.iter().position(|used| used.name == reference.name) {
                    Some(at) => format!("spec.bundles[{at}]"),
                    None => format!("spec.tier.bundles[{:?}]", reference.name.as_str()),
                };
                violations.push(Violation::new(
                    format!("{path}.parameters.{parameter}"),
                    format!("the tier has no secret store {store:?}"),
                    "use one of the tier's secretStores, or existingSecret",
                ));
                continue;
            };
            let (name, secret_key) = place(reference.name.as_str(), parameter, &secret);
            let namespace = input.tenant.spec.main_namespace(&input.tenant.id);
            let mut remote = json!({"key": granted.key_of(&input.tenant.id, key)});
            if !property.is_empty() {
                remote["property"] = json!(property);
            }
            objects.push(json!({
                "apiVersion": "external-secrets.io/v1",
                "kind": "ExternalSecret",
                "metadata": meta::namespaced(input.tenant, &namespace, &name),
                "spec": {
                    "refreshInterval": REFRESH,
                    "secretStoreRef": {"kind": granted.kind.as_str(), "name": granted.name},
                    "target": {"name": name, "creationPolicy": "Owner"},
                    "data": [{"secretKey": secret_key, "remoteRef": remote}],
                },
            }));
        }
    }
    objects
}

/// The references that a use of a bundle gives or leaves to the bundle, by parameter.
fn references<'a>(
    reference: &'a BundleRef,
    bundle: &'a Bundle,
) -> impl Iterator<Item = (&'a str, SecretRef)> {
    let secrets = bundle
        .spec
        .parameters
        .iter()
        .filter(|parameter| parameter.kind == ParameterKind::Secret);
    secrets.filter_map(|parameter| {
        let given = reference
            .parameters
            .get(&parameter.name)
            .or(parameter.default.as_ref())?;
        // What is no reference is told where the bundle is expanded.
        Some((parameter.name.as_str(), SecretRef::parse(given).ok()?))
    })
}
