//! Tier + tenant + bundles -> Kubernetes objects and their digest.
//!
//! Pure: the same input gives the same bytes, whatever the machine, the day or the cluster. This room knows no cluster, no
//! store and no client; how objects are applied and kept is `berth-apply`'s business, and whether a tenant may be what it
//! asks for is `berth-plan`'s. README.md lists what is rendered.

mod access;
pub mod bundle;
mod canonical;
mod istio;
mod meta;
mod namespace;
pub mod network;
mod quota;
mod text;
mod walls;

use std::collections::BTreeSet;

use berth_model::{
    Bundle, BundleRef, Digest, Object, Placement, Tenant, Tier, Violation,
    assignment::{AppliedAs, ApplyPhase},
};
use serde_json::Value;

pub use self::canonical::{DecodeError, decode, digest, encode};

/// What is rendered, and for where.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Whose objects.
    pub tenant: &'a Tenant,
    /// Its tier.
    pub tier: &'a Tier,
    /// Where it is.
    pub placement: &'a Placement,
    /// What runs in it: one for each of [`berth_model::bundle::used`], in their order.
    pub bundles: &'a [(&'a BundleRef, &'a Bundle)],
    /// Whether the cluster serves Istio's authorization policies.
    pub istio: bool,
}

/// The objects of one assignment.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// In the order of their phases.
    pub objects: Vec<Object>,
    /// Of [`encode`]d `objects`.
    pub digest: Digest,
}

/// Renders everything a tenant is to have at its place.
///
/// # Guarantees
/// Every object is one of the tenant's namespaces or lies in one, and carries the tenant's labels.
///
/// # Errors
/// Every violation at once, each with its path in the tenant's file.
pub fn render(input: &Input<'_>) -> Result<Rendered, Vec<Violation>> {
    let mut violations = Vec::new();
    let namespaces = namespace::all(input.tenant, &mut violations);
    let mut objects = Objects::default();
    let shares = quota::shares(&input.tenant.spec, &input.tier.spec);
    for (namespace, share) in namespaces.iter().zip(&shares) {
        objects.agent(
            ApplyPhase::Namespace,
            namespace::render(input, namespace, share, &mut violations),
        );
    }
    for (namespace, share) in namespaces.iter().zip(&shares) {
        objects.agent(
            ApplyPhase::Walls,
            quota::resource_quota(input.tenant, &namespace.name, share),
        );
        objects.agent(
            ApplyPhase::Walls,
            quota::limit_range(input, &namespace.name, share),
        );
        for quota in quota::priority_quotas(input.tenant, namespace) {
            objects.agent(ApplyPhase::Walls, quota);
        }
        for policy in network::policies(input, namespace) {
            objects.agent(ApplyPhase::Walls, policy);
        }
        if input.istio {
            let policy = istio::policy(input, &namespaces, namespace);
            objects.agent(ApplyPhase::Walls, policy);
        }
    }
    let subjects = access::Subjects::of(input.tenant, &namespaces, &mut violations);
    for (at, namespace) in namespaces.iter().enumerate() {
        for object in access::render(input.tenant, namespace, at == 0, &subjects) {
            objects.agent(ApplyPhase::Access, object);
        }
    }
    for object in bundle::secrets::external(input, &mut violations) {
        objects.agent(ApplyPhase::Access, object);
    }
    let main = shares.first().cloned().unwrap_or_default();
    for object in bundle::of_tenant(input, &main, &mut violations) {
        objects.0.push(Object {
            phase: ApplyPhase::Workload,
            applied_as: AppliedAs::Deployer,
            manifest: object,
        });
    }
    if !violations.is_empty() {
        let unique: BTreeSet<Violation> = violations.into_iter().collect();
        return Err(unique.into_iter().collect());
    }
    let digest = digest(&encode(&objects.0));
    Ok(Rendered {
        objects: objects.0,
        digest,
    })
}

#[derive(Default)]
struct Objects(Vec<Object>);

impl Objects {
    fn agent(&mut self, phase: ApplyPhase, manifest: Value) {
        self.0.push(Object {
            phase,
            applied_as: AppliedAs::Agent,
            manifest,
        });
    }
}
