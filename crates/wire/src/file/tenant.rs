//! `kind: Tenant`.

use berth_model::{
    BundleRef, TenantSpec,
    tenant::{
        Billing, Contact, Contacts, Environment, IdentityProvider, Members, Owner, PlacementConstraints,
        Subject,
    },
};

use super::{network, reader::Reader, tree::Tree, workload};
use crate::{
    api::{subject_of, subject_parts},
    words,
};

pub(super) fn read(spec: &mut Reader<'_>) -> Option<TenantSpec> {
    let display_name = spec.text_or_empty("displayName");
    let tier = spec.name("tier");
    let size = spec.choice_or("size", &words::SIZES.map(|(word, size)| (word, Some(size))), None);
    let environment = spec.choice_or("environment", &words::ENVIRONMENTS, Environment::default());
    let environments = spec.choices("environments", &words::ENVIRONMENTS);
    let quota_split = spec.counts("quotaSplit");
    let namespaces = spec.texts("namespaces");
    let contacts = spec.object("contacts", |contacts| {
        Some(Contacts {
            technical: contacts.object("technical", contact),
            business: contacts.object("business", contact),
            billing: contacts.object("billing", contact),
        })
    });
    let billing = spec.object("billing", |billing| {
        Some(Billing {
            cost_centre: billing.text_or_empty("costCentre"),
            code: billing.text_or_empty("code"),
        })
    });
    let owner = spec.object("owner", |owner| {
        Some(Owner {
            organisation: owner.text_or_empty("organisation"),
            team: owner.text_or_empty("team"),
            project: owner.text_or_empty("project"),
        })
    });
    let labels = spec.text_map("labels");
    let features = spec.flags("features");
    let domain = spec.text_or_empty("domain");
    let domains = spec.texts("domains");
    let identity_provider = spec.object("identityProvider", |provider| {
        Some(IdentityProvider {
            issuer: provider.text_or_empty("issuer"),
            audience: provider.text_or_empty("audience"),
            client_id: provider.text_or_empty("clientId"),
            client_secret_name: provider.text_or_empty("clientSecretName"),
        })
    });
    let pod_security = spec.choice_or(
        "podSecurity",
        &words::POD_SECURITIES.map(|(word, level)| (word, Some(level))),
        None,
    );
    let registries = spec.texts("registries");
    let storage_classes = spec.texts("storageClasses");
    let required_labels = spec.texts("requiredLabels");
    let network = spec.object("network", network::network);
    let priority_quota = spec.quantities_by("priorityQuota", &words::PRIORITIES);
    let workloads = spec.objects("workloads", workload::workload);
    let quota = spec.quantities("quota");
    let members = spec.object("members", |members| {
        Some(Members {
            admins: subjects(members, "admins"),
            users: subjects(members, "users"),
            viewers: subjects(members, "viewers"),
        })
    });
    let placement = spec.object("placement", |placement| {
        Some(PlacementConstraints {
            regions: placement.texts("regions"),
            cluster_labels: placement.text_map("clusterLabels"),
            min_kubernetes_version: placement.text_or_empty("minKubernetesVersion"),
            require_network_policy: placement.flag("requireNetworkPolicy").unwrap_or_default(),
        })
    });
    let bundles = bundle_refs(spec);
    Some(TenantSpec {
        display_name,
        tier: tier?,
        size: size?,
        environment: environment?,
        environments,
        quota_split,
        namespaces,
        contacts: contacts.unwrap_or_default(),
        billing: billing.unwrap_or_default(),
        owner: owner.unwrap_or_default(),
        labels,
        features,
        domain,
        domains,
        identity_provider,
        pod_security: pod_security?,
        registries,
        storage_classes,
        required_labels,
        network: network.unwrap_or_default(),
        priority_quota,
        workloads,
        quota,
        members: members.unwrap_or_default(),
        placement: placement.unwrap_or_default(),
        bundles,
    })
}

/// `bundles` of a tenant or a tier.
pub(super) fn bundle_refs(spec: &mut Reader<'_>) -> Vec<BundleRef> {
    spec.objects("bundles", |bundle| {
        let (name, version) = (bundle.name("name"), bundle.name("version"));
        let parameters = bundle.json_map("parameters");
        Some(BundleRef {
            name: name?,
            version: version?,
            parameters,
        })
    })
}

fn contact(contact: &mut Reader<'_>) -> Option<Contact> {
    Some(Contact {
        name: contact.text_or_empty("name"),
        email: contact.text_or_empty("email"),
    })
}

fn subjects(members: &mut Reader<'_>, role: &'static str) -> Vec<Subject> {
    let path = members.path_of(role);
    let mut at = 0;
    members.objects(role, |subject| {
        let path = format!("{path}[{at}]");
        at += 1;
        let (kind, name, namespace) = (
            subject.text_or_empty("kind"),
            subject.text_or_empty("name"),
            subject.text_or_empty("namespace"),
        );
        subject_of(subject.faults, &path, &kind, &name, &namespace)
    })
}

/// The spec as it is written: what is empty or the default is left out.
#[must_use]
pub fn tenant_spec_tree(spec: &TenantSpec) -> Tree {
    let TenantSpec {
        display_name,
        tier,
        size,
        environment,
        environments,
        quota_split,
        namespaces,
        contacts,
        billing,
        owner,
        labels,
        features,
        domain,
        domains,
        identity_provider,
        pod_security,
        registries,
        storage_classes,
        required_labels,
        network,
        priority_quota,
        workloads,
        quota,
        members,
        placement,
        bundles,
    } = spec;
    let provider = identity_provider.as_ref().map_or(Tree::Null, |provider| {
        Tree::map()
            .text("issuer", &provider.issuer)
            .some_text("audience", &provider.audience)
            .some_text("clientId", &provider.client_id)
            .some_text("clientSecretName", &provider.client_secret_name)
    });
    Tree::map()
        .some_text("displayName", display_name)
        .text("tier", tier.as_str())
        .some_text("size", size.map_or("", |size| size.as_str()))
        .text("environment", environment.as_str())
        .with_some(
            "environments",
            Tree::texts(environments.iter().map(|environment| environment.as_str())),
        )
        .with_some(
            "quotaSplit",
            quota_split
                .iter()
                .map(|(name, parts)| (name, Tree::Number((*parts).into())))
                .collect(),
        )
        .with_some("namespaces", Tree::texts(namespaces))
        .some_text("domain", domain)
        .with_some("domains", Tree::texts(domains))
        .with_some("identityProvider", provider)
        .with_some(
            "owner",
            Tree::map()
                .some_text("organisation", &owner.organisation)
                .some_text("team", &owner.team)
                .some_text("project", &owner.project),
        )
        .with_some(
            "billing",
            Tree::map()
                .some_text("costCentre", &billing.cost_centre)
                .some_text("code", &billing.code),
        )
        .with_some(
            "contacts",
            [
                ("technical", &contacts.technical),
                ("business", &contacts.business),
                ("billing", &contacts.billing),
            ]
            .into_iter()
            .filter_map(|(role, contact)| Some((role, contact.as_ref()?)))
            .map(|(role, contact)| {
                (
                    role,
                    Tree::map()
                        .text("name", &contact.name)
                        .text("email", &contact.email),
                )
            })
            .collect(),
        )
        .with_some("labels", labels.iter().collect())
        .with_some("features", features.iter().collect())
        .with_some(
            "quota",
            quota
                .iter()
                .map(|(name, amount)| (name, amount.to_string()))
                .collect(),
        )
        .with_some(
            "priorityQuota",
            priority_quota
                .iter()
                .map(|(priority, amounts)| {
                    let amounts: Tree = amounts
                        .iter()
                        .map(|(name, amount)| (name, amount.to_string()))
                        .collect();
                    (priority.as_str(), amounts)
                })
                .collect(),
        )
        .some_text("podSecurity", pod_security.map_or("", |level| level.as_str()))
        .with_some("registries", Tree::texts(registries))
        .with_some("storageClasses", Tree::texts(storage_classes))
        .with_some("requiredLabels", Tree::texts(required_labels))
        .with_some("network", network::network_tree(network))
        .with_some(
            "workloads",
            Tree::List(workloads.iter().map(workload::workload_tree).collect()),
        )
        .with_some(
            "members",
            Tree::map()
                .with_some(
                    "admins",
                    Tree::List(members.admins.iter().map(subject_tree).collect()),
                )
                .with_some(
                    "users",
                    Tree::List(members.users.iter().map(subject_tree).collect()),
                )
                .with_some(
                    "viewers",
                    Tree::List(members.viewers.iter().map(subject_tree).collect()),
                ),
        )
        .with_some(
            "placement",
            Tree::map()
                .with_some("regions", Tree::texts(&placement.regions))
                .with_some("clusterLabels", placement.cluster_labels.iter().collect())
                .some_text("minKubernetesVersion", &placement.min_kubernetes_version)
                .with_some(
                    "requireNetworkPolicy",
                    Tree::Bool(placement.require_network_policy),
                ),
        )
        .with_some("bundles", Tree::List(bundles.iter().map(bundle_tree).collect()))
}

fn subject_tree(subject: &Subject) -> Tree {
    let (kind, name, namespace) = subject_parts(subject);
    Tree::map()
        .text("kind", kind)
        .text("name", name)
        .some_text("namespace", namespace)
}

pub(super) fn bundle_tree(bundle: &BundleRef) -> Tree {
    Tree::map()
        .text("name", bundle.name.as_str())
        .text("version", bundle.version.as_str())
        .with_some("parameters", bundle.parameters.iter().collect())
}
