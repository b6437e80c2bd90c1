//! Bundles: what may be in one, and what becomes of it in a tenant's namespace.
//!
//! Kubernetes' own RBAC is the last wall (bundles are applied with the tenant administrator's rights); the checks here are
//! the first, so that a fault is told where it was written and not by a cluster.

mod images;
mod kinds;
mod manifest;
mod object_rules;
mod parameters;
mod pod_rules;
mod pods;
pub(crate) mod secrets;
mod substitute;
mod terms;
mod workloads;

use std::collections::BTreeSet;

use berth_model::{Bundle, BundleRef, Isolation, Violation, bundle::BundleSpec, label, secret};
use serde_json::{Value, json};

use self::terms::Terms;
use crate::{Input, meta, quota::Share};

/// The most manifests of one bundle.
const MOST_MANIFESTS: usize = 200;

/// Everything that is wrong with a bundle, whatever the parameters a tenant will give: undeclared or faulty parameters,
/// forbidden kinds, names, labels. Paths are as in the bundle's file.
#[must_use]
pub fn check(spec: &BundleSpec) -> Vec<Violation> {
    // Nothing else is told then: other faults would repeat the secret.
    let parameters = json!(spec.parameters);
    let mut pasted = secret::pasted("spec.parameters", &parameters);
    pasted.extend(secret::pasted(
        "spec.manifests",
        &Value::from(spec.manifests.clone()),
    ));
    if !pasted.is_empty() {
        return pasted;
    }
    let mut violations = parameters::check(spec);
    if spec.manifests.is_empty() {
        violations.push(Violation::new(
            "spec.manifests",
            "is empty",
            "list the Kubernetes objects of the bundle",
        ));
    }
    if spec.manifests.len() > MOST_MANIFESTS {
        violations.push(Violation::new(
            "spec.manifests",
            format!(
                "has {} objects, {MOST_MANIFESTS} are allowed",
                spec.manifests.len()
            ),
            "split it into several bundles",
        ));
        return violations;
    }
    // Names are judged as they come out with the defaults, or with an example where there is none.
    let values = parameters::examples(spec);
    let manifests = substitute::all(&spec.manifests, &values, "spec.manifests", &mut violations);
    manifest::check_all(&manifests, None, None, "spec.manifests", &mut violations);
    violations.sort();
    violations.dedup();
    violations
}

/// The objects of a bundle as a tenant uses it, in the tenant's main namespace: parameters filled in, everything checked.
/// Paths are below the tenant's `spec.bundles[i]`: `parameters.NAME` is the tenant's fault, `manifests[j]` the bundle's.
///
/// # Errors
/// Every violation at once.
pub fn expand(reference: &BundleRef, bundle: &Bundle, namespace: &str) -> Result<Vec<Value>, Vec<Violation>> {
    expand_on(None, reference, bundle, namespace)
}

/// As [`expand`], on a tenant's terms.
fn expand_on(
    terms: Option<&Terms>,
    reference: &BundleRef,
    bundle: &Bundle,
    namespace: &str,
) -> Result<Vec<Value>, Vec<Violation>> {
    let mut violations = Vec::new();
    let values = parameters::values(&bundle.spec, reference, &mut violations);
    if !violations.is_empty() {
        return Err(violations);
    }
    let mut manifests = substitute::all(&bundle.spec.manifests, &values, "manifests", &mut violations);
    manifest::check_all(&manifests, Some(namespace), terms, "manifests", &mut violations);
    if !violations.is_empty() {
        return Err(violations);
    }
    for manifest in &mut manifests {
        manifest["metadata"]["namespace"] = namespace.into();
        pods::run_as_workload(manifest);
    }
    Ok(manifests)
}

/// The objects of all the tenant's bundles, labelled and pinned.
pub(crate) fn of_tenant(input: &Input<'_>, share: &Share, violations: &mut Vec<Violation>) -> Vec<Value> {
    let namespace = input.tenant.spec.main_namespace(&input.tenant.id);
    let (tenant, tier) = (&input.tenant.spec, &input.tier.spec);
    let own_nodes = input.placement.isolation() != Isolation::Namespace;
    let terms = Terms::of(tenant, tier, share, own_nodes);
    let mut objects = Vec::new();
    let mut names: BTreeSet<(String, String)> = BTreeSet::new();
    for (reference, bundle) in input.bundles {
        let own = &input.tenant.spec.bundles;
        let path = match own.iter().position(|used| used.name == reference.name) {
            Some(at) => format!("spec.bundles[{at}]"),
            None => format!("spec.tier.bundles[{:?}]", reference.name.as_str()),
        };
        let expanded = match expand_on(Some(&terms), reference, bundle, &namespace) {
            Ok(expanded) => expanded,
            Err(found) => {
                let below = |v: Violation| Violation::new(format!("{path}.{}", v.path), v.problem, v.hint);
                violations.extend(found.into_iter().map(below));
                continue;
            }
        };
        for (at, mut object) in expanded.into_iter().enumerate() {
            let (kind, name) = kinds::identity(&object);
            if !names.insert((kind.clone(), name.clone())) {
                violations.push(Violation::new(
                    path.clone(),
                    format!("{kind} {name:?} is in another of the tenant's bundles too"),
                    "use one of them, or give the objects different names",
                ));
            }
            let mut labels = meta::labels(input.tenant);
            labels.insert(label::BUNDLE.into(), bundle.name.as_str().into());
            merge(&mut object["metadata"]["labels"], &labels);
            // `managed-by` stays what the manifest says on pods: there it is the workload's own.
            labels.remove(label::MANAGED_BY);
            pods::label(&mut object, &labels);
            for missing in pods::require(&mut object, &terms.required_labels, &tenant.labels) {
                violations.push(Violation::new(
                    format!("{path}.manifests[{at}]{missing}"),
                    "is required on every pod and workload of this tenant",
                    "set it in the bundle, or in the tenant's spec.labels",
                ));
            }
            pods::rank(&mut object, terms.highest);
            pods::spread(&mut object);
            object_rules::without_node_ports(&mut object);
            if let Some(pool) = input.placement.pool() {
                pods::pin(&mut object, pool);
            }
            objects.push(object);
        }
    }
    workloads::add(input, &mut objects, violations);
    objects
}

pub(crate) fn merge(into: &mut Value, labels: &serde_json::Map<String, Value>) {
    if !into.is_object() {
        *into = json!({});
    }
    for (key, value) in labels {
        into[key] = value.clone();
    }
}
