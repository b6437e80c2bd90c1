//! Rules for what a tenant says of its own walls: it may always make them higher, and lower only where its tier lets it.

use std::collections::BTreeSet;

use berth_model::{
    TenantSpec, TierSpec,
    id::is_dns_subdomain,
    quota::{self, scoped_by_priority},
    tenant::{Environment, MAIN_NAMESPACE},
    tier::{Loosen, PodSecurity},
};

use super::{
    faults::{Faults, text_problem},
    hint,
};

/// Most entries of one list.
const MOST: usize = 50;

/// What is wrong whatever the tier.
pub(super) fn form(faults: &mut Faults, spec: &TenantSpec) {
    environments(faults, spec);
    for (at, domain) in spec.domains.iter().enumerate() {
        if !is_domain(domain) {
            faults.add(
                format!("spec.domains[{at}]"),
                format!("{domain:?} is no domain"),
                "such as app.example.com, in lower case",
            );
        }
    }
    registries(faults, &spec.registries);
    names(faults, "spec.storageClasses", &spec.storage_classes);
    required_labels(faults, &spec.required_labels);
    if let Some(provider) = &spec.identity_provider {
        let path = "spec.identityProvider";
        let issuer = &provider.issuer;
        if !issuer.starts_with("https://")
            || issuer.len() > 512
            || issuer.chars().any(|c| c.is_whitespace() || c.is_control())
        {
            faults.add(
                format!("{path}.issuer"),
                format!("{issuer:?} is no issuer"),
                "such as https://login.example.com/realms/acme",
            );
        }
        faults.check(format!("{path}.audience"), text_problem(&provider.audience, 256));
        faults.check(format!("{path}.clientId"), text_problem(&provider.client_id, 256));
        let secret = &provider.client_secret_name;
        if !secret.is_empty() && !is_dns_subdomain(secret) {
            faults.add(
                format!("{path}.clientSecretName"),
                format!("{secret:?} is no name of a Secret"),
                "name a Secret in the tenant's namespaces; the secret itself has no place here",
            );
        }
    }
}

/// A DNS name of at least two labels: one alone would be everybody's.
pub(super) fn is_domain(domain: &str) -> bool {
    is_dns_subdomain(domain) && domain.contains('.')
}

fn environments(faults: &mut Faults, spec: &TenantSpec) {
    let mut seen = BTreeSet::new();
    for (at, environment) in spec.environments.iter().enumerate() {
        let path = format!("spec.environments[{at}]");
        if !seen.insert(environment) {
            faults.add(&path, format!("{:?} is there twice", environment.as_str()), "");
        }
        if spec.namespaces.iter().any(|extra| extra == environment.as_str()) {
            faults.add(
                &path,
                format!("{:?} is in spec.namespaces too", environment.as_str()),
                "list it once: environments are namespaces",
            );
        }
    }
    if !spec.environments.is_empty() && spec.environment != Environment::default() {
        faults.add(
            "spec.environment",
            "says nothing beside spec.environments",
            "leave it out",
        );
    }
    if spec.namespaces.iter().any(|extra| extra == MAIN_NAMESPACE) {
        faults.warn(format!(
            "namespace {MAIN_NAMESPACE:?} is not the main one: that is {}",
            spec.parts()[0].extra.unwrap_or("t-<id>")
        ));
    }
    if spec.quota_split.is_empty() {
        return;
    }
    let words: BTreeSet<String> = spec.parts().iter().map(|part| part.word().to_owned()).collect();
    for name in spec.quota_split.keys().filter(|name| !words.contains(*name)) {
        faults.add(
            format!("spec.quotaSplit[{name:?}]"),
            "is no namespace of this tenant",
            hint::nearest(name, &words),
        );
    }
    for word in words.iter().filter(|word| !spec.quota_split.contains_key(*word)) {
        faults.add(
            "spec.quotaSplit",
            format!("does not say what {word} gets"),
            "name every namespace, or leave it out",
        );
    }
    if spec.quota_split.values().all(|parts| *parts == 0) {
        faults.add("spec.quotaSplit", "gives nothing to anybody", "");
    }
}

/// Prefixes of image references: a host, with a path or not.
pub(super) fn registries(faults: &mut Faults, list: &[String]) {
    too_many(faults, "spec.registries", list.len());
    for (at, prefix) in list.iter().enumerate() {
        let mut parts = prefix.split('/');
        let host = parts.next().unwrap_or_default();
        let (name, port) = host.split_once(':').unwrap_or((host, "443"));
        let fine = is_dns_subdomain(name)
            && port.parse::<u16>().is_ok_and(|port| port > 0)
            && (name.contains('.') || host.contains(':') || name == "localhost")
            && parts.all(|part| {
                !part.is_empty()
                    && part
                        .bytes()
                        .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'))
            })
            && prefix.len() <= 255;
        if !fine {
            faults.add(
                format!("spec.registries[{at}]"),
                format!("{prefix:?} is no registry"),
                "a host, with a path or not, such as registry.example.com/team or docker.io/library",
            );
        }
    }
}

/// Names of cluster-wide objects.
pub(super) fn names(faults: &mut Faults, path: &str, list: &[String]) {
    too_many(faults, path, list.len());
    for (at, name) in list.iter().enumerate() {
        if !is_dns_subdomain(name) {
            faults.add(format!("{path}[{at}]"), format!("{name:?} is no name"), "");
        }
    }
}

/// Keys of labels that everything must carry.
pub(super) fn required_labels(faults: &mut Faults, list: &[String]) {
    too_many(faults, "spec.requiredLabels", list.len());
    for (at, key) in list.iter().enumerate() {
        // Kubernetes' own keys, such as app.kubernetes.io/name, are what one would ask for.
        let shape = hint::label_key_problem(key).filter(|problem| !problem.starts_with("is reserved"));
        let berths = key
            .starts_with("berth.dev/")
            .then(|| "is kept for Berth".to_owned());
        faults.check(format!("spec.requiredLabels[{at}]"), shape.or(berths));
    }
}

fn too_many(faults: &mut Faults, path: &str, entries: usize) {
    if entries > MOST {
        faults.add(
            path,
            format!("has {entries} entries, at most {MOST} are possible"),
            "",
        );
    }
}

/// What the tier does not let a tenant lower, and what its workloads cannot have.
pub(super) fn grants(faults: &mut Faults, spec: &TenantSpec, tier: &TierSpec) {
    let may = |what| tier.loosen.contains(&what);
    if spec.pod_security == Some(PodSecurity::Baseline)
        && tier.pod_security > PodSecurity::Baseline
        && !may(Loosen::PodSecurity)
    {
        faults.add(
            "spec.podSecurity",
            format!("baseline is less than the tier's {}", tier.pod_security.as_str()),
            "leave it out, or choose a tier that lets its tenants loosen pod-security",
        );
    }
    if !may(Loosen::Registries) && !tier.registries.is_empty() {
        for (at, prefix) in spec.registries.iter().enumerate() {
            let within = |of_tier: &String| prefix == of_tier || prefix.starts_with(&format!("{of_tier}/"));
            if !tier.registries.iter().any(within) {
                faults.add(
                    format!("spec.registries[{at}]"),
                    format!("{prefix:?} is not among the tier's registries"),
                    format!("within {}", tier.registries.join(", ")),
                );
            }
        }
    }
    if !may(Loosen::StorageClasses) && !tier.storage_classes.is_empty() {
        for (at, class) in spec.storage_classes.iter().enumerate() {
            if !tier.storage_classes.contains(class) {
                faults.add(
                    format!("spec.storageClasses[{at}]"),
                    format!("{class:?} is not among the tier's storage classes"),
                    hint::nearest(class, &tier.storage_classes),
                );
            }
        }
    }
    priorities(faults, spec, tier);
}

fn priorities(faults: &mut Faults, spec: &TenantSpec, tier: &TierSpec) {
    let hard = quota::hard(spec, tier);
    for (priority, amounts) in &spec.priority_quota {
        let path = format!("spec.priorityQuota.{}", priority.as_str());
        if *priority > tier.priority {
            faults.add(
                &path,
                format!(
                    "pods of this tier have at most priority {}",
                    tier.priority.as_str()
                ),
                "leave it out",
            );
        }
        for (name, amount) in amounts {
            let path = format!("{path}[{name:?}]");
            if !scoped_by_priority(name) {
                faults.add(
                    &path,
                    "is no amount that can be held for one priority",
                    "pods, requests.cpu, requests.memory, limits.cpu or limits.memory",
                );
            } else if amount.is_negative() {
                faults.add(&path, format!("{amount} is below nothing"), "");
            } else if let Some(all) = hard.get(name)
                && amount > all
            {
                faults.add(
                    &path,
                    format!("{amount} is more than the tenant has of everything: {all}"),
                    "",
                );
            }
        }
    }
}
