//! Where each record is in the store. Each shelf has one writer: the API writes tenants, tiers, organisations, role bindings, bundles,
//! clusters and join tokens, the loop writes the rest.

use berth_model::{
    BundleName, BundleVersion, ClusterName, Digest, OrganisationName, RoleBindingName, TenantId, TierName,
};
use berth_store::Key;

/// Shelf of tenants.
pub const TENANTS: &str = "tenants/";
/// Shelf of tiers.
pub const TIERS: &str = "tiers/";
/// Shelf of organisations.
pub const ORGANISATIONS: &str = "organisations/";
/// Shelf of role bindings.
pub const ROLE_BINDINGS: &str = "role-bindings/";
/// Shelf of bundle versions, without their manifests.
pub const BUNDLES: &str = "bundles/";
/// Shelf of clusters.
pub const CLUSTERS: &str = "clusters/";
/// Shelf of join tokens.
pub const JOIN_TOKENS: &str = "join-tokens/";
/// Shelf of machine accounts.
pub const API_KEYS: &str = "api-keys/";
/// Shelf of placements.
pub const PLACEMENTS: &str = "placements/";
/// Shelf of assignments.
pub const ASSIGNMENTS: &str = "assignments/";
/// Shelf of infrastructure.
pub const INFRA: &str = "infra/";
/// Shelf of mass-delete breakers, by cluster. The loop counts and trips, the API releases, each by compare-and-swap.
pub const BREAKERS: &str = "breakers/";
/// Shelf of evidence of isolation, the latest of each tenant.
pub const EVIDENCE: &str = "evidence/";
/// Shelf of conditions.
pub const STATUS: &str = "status/";

/// The record of what this store is, a shelf of its own.
pub const FLEET: &str = "fleet";
/// The record that says that this store was restored, and that nobody has let it take command yet.
pub const RESTORE: &str = "restore";

/// Bytes of a value that stay well under the store's limit of 16 KiB.
pub const PART_BYTES: usize = 15 * 1024;

/// Makes keys of names that have been checked already; all of them are DNS labels or tame versions.
fn key(text: String) -> Key {
    Key::new(text).unwrap_or_else(|_| unreachable_key())
}

/// Names are at most 63 characters of `a-z 0-9 . - _`, so every key made here is valid; this one is never written.
fn unreachable_key() -> Key {
    Key::new("invalid").unwrap_or_else(|_| std::process::abort())
}

/// What this store is.
#[must_use]
pub fn fleet() -> Key {
    key(FLEET.into())
}

/// That the store was restored.
#[must_use]
pub fn restore() -> Key {
    key(RESTORE.into())
}

/// A tenant.
#[must_use]
pub fn tenant(id: &TenantId) -> Key {
    key(format!("{TENANTS}{id}"))
}

/// A tier.
#[must_use]
pub fn tier(name: &TierName) -> Key {
    key(format!("{TIERS}{name}"))
}

/// Written by everything that begins to use a tier, so that deleting it can compare.
#[must_use]
pub fn tier_uses(name: &TierName) -> Key {
    key(format!("tier-uses/{name}"))
}

/// An organisation.
#[must_use]
pub fn organisation(name: &OrganisationName) -> Key {
    key(format!("{ORGANISATIONS}{name}"))
}

/// Written by every tenant that comes to an organisation, goes from it or changes in it, so that whoever checks its sums can compare.
#[must_use]
pub fn organisation_uses(name: &OrganisationName) -> Key {
    key(format!("organisation-uses/{name}"))
}

/// A role binding.
#[must_use]
pub fn role_binding(name: &RoleBindingName) -> Key {
    key(format!("{ROLE_BINDINGS}{name}"))
}

/// A bundle version.
#[must_use]
pub fn bundle(name: &BundleName, version: &BundleVersion) -> Key {
    key(format!("{BUNDLES}{name}/{version}"))
}

/// A part of a bundle version's manifests.
#[must_use]
pub fn bundle_part(name: &BundleName, version: &BundleVersion, part: usize) -> Key {
    key(format!("bundle-parts/{name}/{version}/{part:04}"))
}

/// Prefix of the parts of a bundle version's manifests.
#[must_use]
pub fn bundle_parts(name: &BundleName, version: &BundleVersion) -> String {
    format!("bundle-parts/{name}/{version}/")
}

/// Written by everything that begins to use a bundle version.
#[must_use]
pub fn bundle_uses(name: &BundleName, version: &BundleVersion) -> Key {
    key(format!("bundle-uses/{name}/{version}"))
}

/// Which cluster of the fleet a Kubernetes cluster is, by the UID of its `kube-system`, which is not ours and may be anything.
#[must_use]
pub fn kubernetes_uid(uid: &str) -> Key {
    key(format!(
        "kubernetes-uids/{}",
        berth_identity::certificate::fingerprint(uid.as_bytes())
    ))
}

/// A cluster.
#[must_use]
pub fn cluster(name: &ClusterName) -> Key {
    key(format!("{CLUSTERS}{name}"))
}

/// A cluster's mass-delete breaker.
#[must_use]
pub fn breaker(cluster: &ClusterName) -> Key {
    key(format!("{BREAKERS}{cluster}"))
}

/// A join token; `None` when `id` cannot be one.
#[must_use]
pub fn join_token(id: &str) -> Option<Key> {
    let fine = !id.is_empty()
        && id.len() <= 64
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    fine.then(|| key(format!("{JOIN_TOKENS}{id}")))
}

/// A machine account; `None` when `name` is no DNS label.
#[must_use]
pub fn api_key(name: &str) -> Option<Key> {
    berth_model::id::is_dns_label(name).then(|| key(format!("{API_KEYS}{name}")))
}

/// Where a tenant was decided to be.
#[must_use]
pub fn placement(id: &TenantId) -> Key {
    key(format!("{PLACEMENTS}{id}"))
}

/// What a tenant's cluster was told.
#[must_use]
pub fn assignment(id: &TenantId) -> Key {
    key(format!("{ASSIGNMENTS}{id}"))
}

/// Infrastructure made for a tenant.
#[must_use]
pub fn infra(id: &TenantId) -> Key {
    key(format!("{INFRA}{id}"))
}

/// Evidence of a tenant's isolation.
#[must_use]
pub fn evidence(id: &TenantId) -> Key {
    key(format!("{EVIDENCE}{id}"))
}

/// A tenant's conditions.
#[must_use]
pub fn status(id: &TenantId) -> Key {
    key(format!("{STATUS}{id}"))
}

/// A part of rendered objects.
#[must_use]
pub fn object_part(digest: &Digest, part: usize) -> Key {
    key(format!("objects/{digest}/{part:04}"))
}

/// Prefix of the parts of rendered objects.
#[must_use]
pub fn object_parts(digest: &Digest) -> String {
    format!("objects/{digest}/")
}
