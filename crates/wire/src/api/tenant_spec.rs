//! What is asked for a tenant. Reading it finds every fault of form at once.

use berth_model::{
    BundleRef, TenantSpec, TierName, Violation,
    tenant::{
        Billing, Contact, Contacts, Environment, IdentityProvider, Members, Owner, PlacementConstraints,
        Subject,
    },
    tier::SizeName,
};
use berth_proto::v1;

use super::{network, workload};
use crate::{
    faults::{Faults, quoted},
    json, words,
};

/// The spec as the API writes it.
#[must_use]
pub fn tenant_spec_to_proto(spec: &TenantSpec) -> v1::TenantSpec {
    v1::TenantSpec {
        display_name: spec.display_name.clone(),
        tier: spec.tier.to_string(),
        size: spec.size.map_or_else(String::new, |size| size.as_str().into()),
        environment: spec.environment.as_str().into(),
        namespaces: spec.namespaces.clone(),
        contacts: Some(v1::Contacts {
            technical: spec.contacts.technical.as_ref().map(contact_to_proto),
            business: spec.contacts.business.as_ref().map(contact_to_proto),
            billing: spec.contacts.billing.as_ref().map(contact_to_proto),
        }),
        billing: Some(v1::Billing {
            cost_centre: spec.billing.cost_centre.clone(),
            code: spec.billing.code.clone(),
        }),
        owner: Some(v1::Owner {
            organisation: spec.owner.organisation.clone(),
            team: spec.owner.team.clone(),
            project: spec.owner.project.clone(),
        }),
        labels: spec.labels.clone(),
        features: spec.features.clone(),
        domain: spec.domain.clone(),
        quota: spec
            .quota
            .iter()
            .map(|(name, amount)| (name.clone(), amount.to_string()))
            .collect(),
        members: Some(v1::Members {
            admins: spec.members.admins.iter().map(subject_to_proto).collect(),
            users: spec.members.users.iter().map(subject_to_proto).collect(),
            viewers: spec.members.viewers.iter().map(subject_to_proto).collect(),
        }),
        placement: Some(v1::PlacementConstraints {
            regions: spec.placement.regions.clone(),
            cluster_labels: spec.placement.cluster_labels.clone(),
            min_kubernetes_version: spec.placement.min_kubernetes_version.clone(),
            require_network_policy: spec.placement.require_network_policy,
        }),
        bundles: spec.bundles.iter().map(bundle_ref_to_proto).collect(),
        environments: spec
            .environments
            .iter()
            .map(|environment| environment.as_str().into())
            .collect(),
        quota_split: spec.quota_split.clone(),
        domains: spec.domains.clone(),
        identity_provider: spec
            .identity_provider
            .as_ref()
            .map(|provider| v1::IdentityProvider {
                issuer: provider.issuer.clone(),
                audience: provider.audience.clone(),
                client_id: provider.client_id.clone(),
                client_secret_name: provider.client_secret_name.clone(),
            }),
        pod_security: spec
            .pod_security
            .map_or_else(String::new, |level| level.as_str().into()),
        registries: spec.registries.clone(),
        storage_classes: spec.storage_classes.clone(),
        required_labels: spec.required_labels.clone(),
        network: network::network_to_proto(&spec.network),
        priority_quota: spec
            .priority_quota
            .iter()
            .map(|(priority, amounts)| {
                let amounts = amounts
                    .iter()
                    .map(|(name, amount)| (name.clone(), amount.to_string()))
                    .collect();
                (priority.as_str().to_owned(), v1::QuotaAmounts { amounts })
            })
            .collect(),
        workloads: spec.workloads.iter().map(workload::workload_to_proto).collect(),
    }
}

/// Reads a spec.
///
/// # Errors
/// Every fault of form, with paths as in files: `spec.bundles[0].version`.
pub fn tenant_spec_from_proto(spec: &v1::TenantSpec) -> Result<TenantSpec, Vec<Violation>> {
    match tenant_spec_partly(spec) {
        (Some(spec), faults) if faults.is_empty() => Ok(spec),
        (_, faults) => Err(faults),
    }
}

/// Reads what can be read of a spec, and every fault of form: so that the rest can be checked in the same answer.
#[must_use]
pub fn tenant_spec_partly(spec: &v1::TenantSpec) -> (Option<TenantSpec>, Vec<Violation>) {
    let mut faults = Faults::default();
    let tier: Option<TierName> = faults.name("spec.tier", &spec.tier);
    let size: Option<SizeName> = match spec.size.as_str() {
        "" => None,
        size => faults.choice("spec.size", size, &words::SIZES),
    };
    let environment = faults.choice_or(
        "spec.environment",
        &spec.environment,
        &words::ENVIRONMENTS,
        Environment::default(),
    );
    let quota = faults.quantities("spec.quota", &spec.quota);
    let environments = spec
        .environments
        .iter()
        .enumerate()
        .filter_map(|(at, word)| {
            faults.choice(&format!("spec.environments[{at}]"), word, &words::ENVIRONMENTS)
        })
        .collect();
    let pod_security = match spec.pod_security.as_str() {
        "" => None,
        level => faults.choice("spec.podSecurity", level, &words::POD_SECURITIES),
    };
    let priority_quota = spec
        .priority_quota
        .iter()
        .filter_map(|(word, amounts)| {
            let path = quoted("spec.priorityQuota", word);
            let priority = faults.choice(&path, word, &words::PRIORITIES);
            let amounts = faults.quantities(&path, &amounts.amounts);
            (!amounts.is_empty()).then_some((priority?, amounts))
        })
        .collect();
    let network = network::network_from_proto(&mut faults, spec.network.as_ref());
    let workloads = workload::workloads_from_proto(&mut faults, "spec.workloads", &spec.workloads);
    let members = members_from_proto(&mut faults, spec.members.as_ref());
    let bundles = bundle_refs_from_proto(&mut faults, &spec.bundles);
    let contacts = spec.contacts.clone().unwrap_or_default();
    let billing = spec.billing.clone().unwrap_or_default();
    let owner = spec.owner.clone().unwrap_or_default();
    let placement = spec.placement.clone().unwrap_or_default();
    faults.partly(tier.map(|tier| TenantSpec {
        display_name: spec.display_name.clone(),
        tier,
        size,
        environment: environment.unwrap_or_default(),
        environments,
        quota_split: spec.quota_split.clone(),
        namespaces: spec.namespaces.clone(),
        contacts: Contacts {
            technical: contacts.technical.map(contact_from_proto),
            business: contacts.business.map(contact_from_proto),
            billing: contacts.billing.map(contact_from_proto),
        },
        billing: Billing {
            cost_centre: billing.cost_centre,
            code: billing.code,
        },
        owner: Owner {
            organisation: owner.organisation,
            team: owner.team,
            project: owner.project,
        },
        labels: spec.labels.clone(),
        features: spec.features.clone(),
        domain: spec.domain.clone(),
        domains: spec.domains.clone(),
        identity_provider: spec.identity_provider.clone().map(|provider| IdentityProvider {
            issuer: provider.issuer,
            audience: provider.audience,
            client_id: provider.client_id,
            client_secret_name: provider.client_secret_name,
        }),
        pod_security,
        registries: spec.registries.clone(),
        storage_classes: spec.storage_classes.clone(),
        required_labels: spec.required_labels.clone(),
        network,
        priority_quota,
        workloads,
        quota,
        members,
        placement: PlacementConstraints {
            regions: placement.regions,
            cluster_labels: placement.cluster_labels,
            min_kubernetes_version: placement.min_kubernetes_version,
            require_network_policy: placement.require_network_policy,
        },
        bundles,
    }))
}

fn contact_to_proto(contact: &Contact) -> v1::Contact {
    v1::Contact {
        name: contact.name.clone(),
        email: contact.email.clone(),
    }
}

fn contact_from_proto(contact: v1::Contact) -> Contact {
    Contact {
        name: contact.name,
        email: contact.email,
    }
}

fn subject_to_proto(subject: &Subject) -> v1::Subject {
    let (kind, name, namespace) = subject_parts(subject);
    v1::Subject {
        kind: kind.into(),
        name: name.into(),
        namespace: namespace.into(),
    }
}

/// Kind as Kubernetes RBAC writes it, name, and the namespace of a service account.
pub(crate) fn subject_parts(subject: &Subject) -> (&'static str, &str, &str) {
    match subject {
        Subject::User { name } => ("User", name, ""),
        Subject::Group { name } => ("Group", name, ""),
        Subject::ServiceAccount { namespace, name } => ("ServiceAccount", name, namespace),
    }
}

/// Puts a subject together again, or says what is wrong below `path`.
pub(crate) fn subject_of(
    faults: &mut Faults,
    path: &str,
    kind: &str,
    name: &str,
    namespace: &str,
) -> Option<Subject> {
    const KINDS: [(&str, u8); 3] = [("User", 0), ("Group", 1), ("ServiceAccount", 2)];
    if name.is_empty() {
        faults.add(&format!("{path}.name"), "is required", "");
    }
    let kind = faults.choice(&format!("{path}.kind"), kind, &KINDS)?;
    if kind != 2 && !namespace.is_empty() {
        faults.add(
            &format!("{path}.namespace"),
            "only service accounts have a namespace",
            "leave it out",
        );
    }
    let name = name.to_owned();
    Some(match kind {
        0 => Subject::User { name },
        1 => Subject::Group { name },
        _ => Subject::ServiceAccount {
            namespace: namespace.to_owned(),
            name,
        },
    })
}

fn members_from_proto(faults: &mut Faults, members: Option<&v1::Members>) -> Members {
    let Some(members) = members else {
        return Members::default();
    };
    let mut subjects = |role: &str, subjects: &[v1::Subject]| -> Vec<Subject> {
        subjects
            .iter()
            .enumerate()
            .filter_map(|(at, subject)| {
                let path = format!("spec.members.{role}[{at}]");
                subject_of(faults, &path, &subject.kind, &subject.name, &subject.namespace)
            })
            .collect()
    };
    Members {
        admins: subjects("admins", &members.admins),
        users: subjects("users", &members.users),
        viewers: subjects("viewers", &members.viewers),
    }
}

pub(super) fn bundle_ref_to_proto(bundle: &BundleRef) -> v1::BundleRef {
    v1::BundleRef {
        name: bundle.name.to_string(),
        version: bundle.version.to_string(),
        parameters: Some(json::struct_of(
            bundle.parameters.iter().map(|(key, value)| (key.as_str(), value)),
        )),
    }
}

pub(super) fn bundle_refs_from_proto(faults: &mut Faults, bundles: &[v1::BundleRef]) -> Vec<BundleRef> {
    bundles
        .iter()
        .enumerate()
        .filter_map(|(at, bundle)| {
            let name = faults.name(&format!("spec.bundles[{at}].name"), &bundle.name);
            let version = faults.name(&format!("spec.bundles[{at}].version"), &bundle.version);
            let parameters = bundle
                .parameters
                .as_ref()
                .map(json::fields_of)
                .unwrap_or_default();
            Some(BundleRef {
                name: name?,
                version: version?,
                parameters,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    proptest! {
        #[test]
        fn a_spec_survives(spec in testing::tenant_spec()) {
            prop_assert_eq!(tenant_spec_from_proto(&tenant_spec_to_proto(&spec)), Ok(spec));
        }
    }

    #[test]
    fn every_fault_is_reported_at_once_with_its_path_as_in_a_file() {
        let spec = v1::TenantSpec {
            tier: "Gold".into(),
            size: "smal".into(),
            environment: "prod".into(),
            quota: [("requests.cpu".to_owned(), "eight".to_owned())].into(),
            members: Some(v1::Members {
                admins: vec![v1::Subject {
                    kind: "group".into(),
                    name: String::new(),
                    namespace: String::new(),
                }],
                ..Default::default()
            }),
            bundles: vec![v1::BundleRef {
                name: "web".into(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let violations = tenant_spec_from_proto(&spec).unwrap_err();
        let shown: Vec<String> = violations.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        spec.tier: "Gold" has 'G'; use lower-case letters, digits and '-'
        spec.size: "smal" is not known (did you mean "small"? Known are micro, small, medium, large, xlarge)
        spec.environment: "prod" is not known (use one of dev, staging, production)
        spec.quota["requests.cpu"]: "eight" is no Kubernetes quantity (write amounts as 500m, 2, 16Gi)
        spec.members.admins[0].name: is required
        spec.members.admins[0].kind: "group" is not known (did you mean "Group"? Known are User, Group, ServiceAccount)
        spec.bundles[0].version: is required
        "#);
    }

    #[test]
    fn what_is_left_out_is_as_if_it_were_empty() {
        let spec = v1::TenantSpec {
            tier: "free".into(),
            ..Default::default()
        };
        let expected = TenantSpec::of_tier(TierName::new("free").unwrap());
        assert_eq!(tenant_spec_from_proto(&spec), Ok(expected));
    }
}
