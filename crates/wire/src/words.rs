//! The words of the model's enumerations, as the API, the link and the files write them.

use berth_model::{
    HealthState, Isolation, NetworkPolicyEnforcement, ParameterKind, Provider, Role, SecretStoreKind, Truth,
    condition::ConditionKind,
    network::Within,
    tenant::Environment,
    tier::{Bootstrap, CapacityType, Loosen, PodSecurity, Priority, SizeName},
    workload::WorkloadKind,
};

pub(crate) const SIZES: [(&str, SizeName); 5] = [
    ("micro", SizeName::Micro),
    ("small", SizeName::Small),
    ("medium", SizeName::Medium),
    ("large", SizeName::Large),
    ("xlarge", SizeName::Xlarge),
];

pub(crate) const ROLES: [(&str, Role); 5] = [
    ("platform-admin", Role::PlatformAdmin),
    ("operator", Role::Operator),
    ("tenant-admin", Role::TenantAdmin),
    ("tenant-user", Role::TenantUser),
    ("viewer", Role::Viewer),
];

pub(crate) const ENVIRONMENTS: [(&str, Environment); 3] = [
    ("dev", Environment::Dev),
    ("staging", Environment::Staging),
    ("production", Environment::Production),
];

pub(crate) const ISOLATIONS: [(&str, Isolation); 3] = [
    ("namespace", Isolation::Namespace),
    ("node-pool", Isolation::NodePool),
    ("cluster", Isolation::Cluster),
];

pub(crate) const POD_SECURITIES: [(&str, PodSecurity); 2] = [
    ("baseline", PodSecurity::Baseline),
    ("restricted", PodSecurity::Restricted),
];

pub(crate) const PRIORITIES: [(&str, Priority); 4] = [
    ("low", Priority::Low),
    ("standard", Priority::Standard),
    ("high", Priority::High),
    ("critical", Priority::Critical),
];

pub(crate) const LOOSEN: [(&str, Loosen); 3] = [
    ("pod-security", Loosen::PodSecurity),
    ("registries", Loosen::Registries),
    ("storage-classes", Loosen::StorageClasses),
];

pub(crate) const WITHIN: [(&str, Within); 2] =
    [("tenant", Within::Tenant), ("environment", Within::Environment)];

pub(crate) const WORKLOAD_KINDS: [(&str, WorkloadKind); 2] = [
    ("Deployment", WorkloadKind::Deployment),
    ("StatefulSet", WorkloadKind::StatefulSet),
];

pub(crate) const CAPACITY_TYPES: [(&str, CapacityType); 2] = [
    ("on-demand", CapacityType::OnDemand),
    ("spot", CapacityType::Spot),
];

pub(crate) const BOOTSTRAPS: [(&str, Bootstrap); 2] = [
    ("direct", Bootstrap::Direct),
    ("public-then-private", Bootstrap::PublicThenPrivate),
];

pub(crate) const PARAMETER_KINDS: [(&str, ParameterKind); 5] = [
    ("string", ParameterKind::String),
    ("integer", ParameterKind::Integer),
    ("boolean", ParameterKind::Boolean),
    ("quantity", ParameterKind::Quantity),
    ("secret", ParameterKind::Secret),
];

pub(crate) const SECRET_STORES: [(&str, SecretStoreKind); 2] = [
    ("ClusterSecretStore", SecretStoreKind::ClusterSecretStore),
    ("SecretStore", SecretStoreKind::SecretStore),
];

pub(crate) const PROVIDERS: [(&str, Provider); 2] = [("generic", Provider::Generic), ("eks", Provider::Eks)];

pub(crate) const NETWORK_POLICIES: [(&str, NetworkPolicyEnforcement); 3] = [
    ("unknown", NetworkPolicyEnforcement::Unknown),
    ("not-enforced", NetworkPolicyEnforcement::NotEnforced),
    ("enforced", NetworkPolicyEnforcement::Enforced),
];

pub(crate) const TRUTHS: [(&str, Truth); 3] = [
    ("True", Truth::True),
    ("False", Truth::False),
    ("Unknown", Truth::Unknown),
];

pub(crate) const HEALTH_STATES: [(&str, HealthState); 6] = [
    ("Healthy", HealthState::Healthy),
    ("Suspended", HealthState::Suspended),
    ("Progressing", HealthState::Progressing),
    ("Degraded", HealthState::Degraded),
    ("Unhealthy", HealthState::Unhealthy),
    ("Unknown", HealthState::Unknown),
];

/// The value of `word`, if it is one of `words`.
pub(crate) fn find<T: Copy>(words: &[(&str, T)], word: &str) -> Option<T> {
    words
        .iter()
        .find(|(text, _)| *text == word)
        .map(|(_, value)| *value)
}

/// The word of `value`. The tables hold every value, which the tests below see to.
pub(crate) fn word<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> &'static str {
    words
        .iter()
        .find(|(_, known)| known == value)
        .map_or("", |(text, _)| text)
}

pub(crate) fn condition_kind(word: &str) -> Option<ConditionKind> {
    ConditionKind::ALL.into_iter().find(|kind| kind.as_str() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_say_what_the_model_says() {
        assert!(
            SizeName::ALL
                .into_iter()
                .all(|size| find(&SIZES, size.as_str()) == Some(size))
        );
        assert!(
            Isolation::ALL
                .into_iter()
                .all(|isolation| find(&ISOLATIONS, isolation.as_str()) == Some(isolation))
        );
        assert!(ENVIRONMENTS.iter().all(|(text, value)| value.as_str() == *text));
        assert!(POD_SECURITIES.iter().all(|(text, value)| value.as_str() == *text));
        assert!(LOOSEN.iter().all(|(text, value)| value.as_str() == *text));
        assert!(
            Loosen::ALL
                .into_iter()
                .all(|value| LOOSEN.contains(&(value.as_str(), value)))
        );
        assert!(WORKLOAD_KINDS.iter().all(|(text, value)| value.as_str() == *text));
        assert!(PRIORITIES.iter().all(|(text, value)| value.as_str() == *text));
        assert!(
            PARAMETER_KINDS
                .iter()
                .all(|(text, value)| value.as_str() == *text)
        );
        assert!(PROVIDERS.iter().all(|(text, value)| value.as_str() == *text));
        assert!(
            NETWORK_POLICIES
                .iter()
                .all(|(text, value)| value.as_str() == *text)
        );
        assert!(TRUTHS.iter().all(|(text, value)| value.as_str() == *text));
        assert!(HEALTH_STATES.iter().all(|(text, value)| value.as_str() == *text));
        assert!(
            ConditionKind::ALL
                .into_iter()
                .all(|kind| condition_kind(kind.as_str()) == Some(kind))
        );
    }
}
