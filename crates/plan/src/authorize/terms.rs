//! The terms of a tenant: what was bought, who pays, whose it is. Its own admins do not change them.

use berth_model::TenantSpec;

/// Paths of the terms that differ between two specs of one tenant.
#[must_use]
pub fn terms_changed(old: &TenantSpec, new: &TenantSpec) -> Vec<&'static str> {
    // Every field is named, so that a new one does not compile before somebody has decided whose it is.
    let TenantSpec {
        tier,
        size,
        quota,
        billing,
        owner,
        labels,
        domain,
        domains,
        pod_security,
        registries,
        storage_classes,
        placement,
        display_name: _,
        environment: _,
        environments: _,
        quota_split: _,
        namespaces: _,
        contacts: _,
        features: _,
        identity_provider: _,
        required_labels: _,
        network: _,
        priority_quota: _,
        workloads: _,
        members: _,
        bundles: _,
    } = old;
    [
        ("spec.tier", *tier == new.tier),
        ("spec.size", *size == new.size),
        ("spec.quota", *quota == new.quota),
        ("spec.billing", *billing == new.billing),
        ("spec.owner", *owner == new.owner),
        ("spec.labels", *labels == new.labels),
        ("spec.domain", *domain == new.domain),
        ("spec.domains", *domains == new.domains),
        ("spec.podSecurity", *pod_security == new.pod_security),
        ("spec.registries", *registries == new.registries),
        ("spec.storageClasses", *storage_classes == new.storage_classes),
        ("spec.placement", *placement == new.placement),
    ]
    .into_iter()
    .filter(|(_, same)| !same)
    .map(|(path, _)| path)
    .collect()
}
