//! Rules for tenants.

use std::collections::BTreeSet;

use berth_model::{
    Isolation, Tenant, TenantId, TenantSpec, Tier, id::is_dns_label, placement::namespace_name,
    tenant::Contact,
};

use super::{
    Catalogue, Verdict, bundles,
    faults::{Faults, pasted_secrets, text_problem},
    hint, members, network, organisation, quota, walls, workloads,
};
use crate::place::Minor;

/// Most extra namespaces of one tenant.
const MOST_NAMESPACES: usize = 50;
/// Most labels of one tenant.
const MOST_LABELS: usize = 50;

/// Whether a tenant may be made, or may be changed from `existing`.
///
/// # Errors
/// Every fault, with its path.
pub fn tenant(catalogue: &Catalogue, id: &str, spec: &TenantSpec, existing: Option<&Tenant>) -> Verdict {
    // Nothing else is told then: other faults would repeat the secret.
    pasted_secrets(spec)?;
    let mut faults = Faults::default();
    let id = match TenantId::new(id) {
        Ok(id) => Some(id),
        Err(error) => {
            faults.add(
                "metadata.name",
                error.problem,
                "a DNS label of at most 40 characters without \"--\"",
            );
            None
        }
    };
    if existing.is_some_and(|tenant| tenant.deleting_since.is_some()) {
        faults.add(
            "metadata.name",
            "is being deleted",
            "wait until it is gone, then create it again",
        );
    }
    let tier = catalogue.tiers.get(&spec.tier);
    match tier {
        None => {
            let problem = format!("there is no tier {:?}", spec.tier.as_str());
            faults.add(
                "spec.tier",
                problem,
                hint::nearest(spec.tier.as_str(), catalogue.tiers.keys()),
            );
        }
        Some(tier) => isolation(&mut faults, catalogue, tier, existing),
    }
    namespaces(&mut faults, id.as_ref(), spec);
    words(&mut faults, spec);
    quota::names(&mut faults, "spec.quota", &spec.quota);
    walls::form(&mut faults, spec);
    workloads::check(&mut faults, spec, tier.map(|tier| &tier.spec));
    if let Some(tier) = tier {
        quota::grants(&mut faults, spec, &tier.spec);
        walls::grants(&mut faults, spec, &tier.spec);
    }
    members::check(&mut faults, id.as_ref(), spec);
    network::tenant(&mut faults, id.as_ref(), spec, tier.map(|tier| &tier.spec));
    placement(&mut faults, spec, tier.map(|tier| &**tier));
    let stores = tier.map(|tier| tier.spec.secret_stores.as_slice());
    bundles::check(&mut faults, catalogue, &spec.bundles, stores);
    organisation::owner(&mut faults, catalogue, id.as_ref(), spec, existing);
    faults.verdict()
}

fn isolation(faults: &mut Faults, catalogue: &Catalogue, tier: &Tier, existing: Option<&Tenant>) {
    let Some(old) = existing.and_then(|tenant| catalogue.tiers.get(&tenant.spec.tier)) else {
        return;
    };
    let (from, to) = (old.spec.isolation, tier.spec.isolation);
    if from != to {
        faults.add(
            "spec.tier",
            format!("moving between isolation levels is not possible: tier {} is {from} and tier {} is {to}", old.name, tier.name),
            "choose a tier of the same isolation, or create another tenant and delete this one when its data is there",
        );
    }
}

fn namespaces(faults: &mut Faults, id: Option<&TenantId>, spec: &TenantSpec) {
    if spec.namespaces.len() > MOST_NAMESPACES {
        faults.add(
            "spec.namespaces",
            format!(
                "has {} entries, at most {MOST_NAMESPACES} are possible",
                spec.namespaces.len()
            ),
            "",
        );
    }
    let mut seen = BTreeSet::new();
    for (at, name) in spec.namespaces.iter().enumerate() {
        let path = format!("spec.namespaces[{at}]");
        if !is_dns_label(name) || name.contains("--") {
            faults.add(
                &path,
                format!("{name:?} is no DNS label without \"--\""),
                "lower-case letters, digits and '-'",
            );
        } else if let Some(full) = id
            .map(|id| namespace_name(id, Some(name)))
            .filter(|full| full.len() > 63)
        {
            faults.add(
                &path,
                format!("namespace {full:?} is longer than 63 characters"),
                format!("shorten it by {}", full.len() - 63),
            );
        }
        if !seen.insert(name) {
            faults.add(&path, format!("{name:?} is there twice"), "");
        }
    }
}

fn words(faults: &mut Faults, spec: &TenantSpec) {
    faults.check("spec.displayName", text_problem(&spec.display_name, 128));
    let contacts = [
        ("technical", &spec.contacts.technical),
        ("business", &spec.contacts.business),
        ("billing", &spec.contacts.billing),
    ];
    for (who, contact) in contacts {
        if let Some(contact) = contact {
            contact_of(faults, &format!("spec.contacts.{who}"), contact);
        }
    }
    // The cost centre becomes a label of the namespaces.
    faults.check(
        "spec.billing.costCentre",
        hint::label_value_problem(&spec.billing.cost_centre),
    );
    faults.check("spec.billing.code", text_problem(&spec.billing.code, 128));
    let owner = &spec.owner;
    for (what, text) in [
        ("organisation", &owner.organisation),
        ("team", &owner.team),
        ("project", &owner.project),
    ] {
        faults.check(format!("spec.owner.{what}"), text_problem(text, 128));
    }
    if spec.labels.len() > MOST_LABELS {
        faults.add(
            "spec.labels",
            format!(
                "has {} entries, at most {MOST_LABELS} are possible",
                spec.labels.len()
            ),
            "",
        );
    }
    for (key, value) in &spec.labels {
        faults.check(format!("spec.labels[{key:?}]"), hint::label_key_problem(key));
        faults.check(format!("spec.labels[{key:?}]"), hint::label_value_problem(value));
    }
    for key in spec.features.keys() {
        faults.check(format!("spec.features[{key:?}]"), feature_problem(key));
    }
    if !spec.domain.is_empty() && !walls::is_domain(&spec.domain) {
        faults.add(
            "spec.domain",
            format!("{:?} is no domain", spec.domain),
            "such as app.example.com, in lower case",
        );
    }
}

/// What is wrong with the name of a feature.
pub(super) fn feature_problem(key: &str) -> Option<String> {
    let fine = !key.is_empty()
        && key.len() <= 63
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    (!fine).then(|| "must be 1 to 63 letters, digits, '-', '_' or '.'".into())
}

fn contact_of(faults: &mut Faults, path: &str, contact: &Contact) {
    faults.check(format!("{path}.name"), text_problem(&contact.name, 128));
    let mail = &contact.email;
    let fine = mail.is_empty()
        || (mail.len() <= 254
            && !mail.chars().any(|c| c.is_whitespace() || c.is_control())
            && mail
                .split_once('@')
                .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@')));
    if !fine {
        faults.add(
            format!("{path}.email"),
            format!("{mail:?} is no e-mail address"),
            "",
        );
    }
}

fn placement(faults: &mut Faults, spec: &TenantSpec, tier: Option<&Tier>) {
    let wanted = &spec.placement;
    let mut seen = BTreeSet::new();
    for (at, region) in wanted.regions.iter().enumerate() {
        let path = format!("spec.placement.regions[{at}]");
        if !is_dns_label(region) {
            faults.add(&path, format!("{region:?} is no region"), "such as eu-central-1");
        }
        if !seen.insert(region) {
            faults.add(&path, format!("{region:?} is there twice"), "");
        }
    }
    for (key, value) in &wanted.cluster_labels {
        let path = format!("spec.placement.clusterLabels[{key:?}]");
        // Clusters may carry any label, so only its shape is checked.
        let shape = hint::label_key_problem(key).filter(|problem| !problem.starts_with("is reserved"));
        faults.check(&path, shape);
        faults.check(&path, hint::label_value_problem(value));
    }
    if !wanted.min_kubernetes_version.is_empty()
        && Minor::parse_exact(&wanted.min_kubernetes_version).is_none()
    {
        let problem = format!(
            "{:?} is no Kubernetes minor version",
            wanted.min_kubernetes_version
        );
        faults.add(
            "spec.placement.minKubernetesVersion",
            problem,
            "major and minor, such as 1.33",
        );
    }
    let own = tier.filter(|tier| tier.spec.isolation == Isolation::Cluster);
    let Some(tier) = own else { return };
    if !wanted.cluster_labels.is_empty() {
        faults.add(
            "spec.placement.clusterLabels",
            format!(
                "tier {} makes a cluster of its own, which has no labels to match",
                tier.name
            ),
            "leave it out",
        );
    }
    let made = tier
        .spec
        .cluster
        .as_ref()
        .and_then(|template| Minor::parse(&template.kubernetes_version));
    if let (Some(made), Some(least)) = (made, Minor::parse(&wanted.min_kubernetes_version))
        && made < least
    {
        let problem = format!(
            "tier {} makes clusters of version {made}, older than {least}",
            tier.name
        );
        faults.add(
            "spec.placement.minKubernetesVersion",
            problem,
            format!("at most {made}, or another tier"),
        );
    }
}
