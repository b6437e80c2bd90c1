//! What a tenant and a tier may say of walls: higher always, lower where the tier lets it, and nothing that contradicts itself.

use std::collections::BTreeMap;

use berth_model::{
    TenantSpec, Tier, TierName, TierSpec,
    network::Network,
    tenant::{Environment, IdentityProvider},
    tier::{Loosen, PodSecurity, Priority},
    workload::{Autoscaling, Disruption, WorkloadKind, WorkloadPolicy},
};

use crate::{
    admit::{self, Catalogue},
    testing::empty,
};

fn with_tier(change: impl FnOnce(&mut TierSpec)) -> Catalogue {
    let mut catalogue = Catalogue {
        tiers: empty().tiers,
        ..Catalogue::default()
    };
    let name = TierName::new("standard").unwrap();
    let mut tier = Tier::clone(&catalogue.tiers[&name]);
    change(&mut tier.spec);
    catalogue.tiers.insert(name, tier.into());
    catalogue
}

fn spec() -> TenantSpec {
    TenantSpec::of_tier(TierName::new("standard").unwrap())
}

fn verdict(catalogue: &Catalogue, spec: &TenantSpec) -> String {
    match admit::tenant(catalogue, "acme", spec, None) {
        Ok(warnings) => warnings
            .iter()
            .map(|warning| format!("warning: {warning}"))
            .collect::<Vec<_>>()
            .join("\n"),
        Err(faults) => faults
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

fn amounts(list: &[(&str, &str)]) -> BTreeMap<String, berth_model::Quantity> {
    list.iter()
        .map(|(name, amount)| ((*name).to_owned(), amount.parse().unwrap()))
        .collect()
}

#[test]
fn a_tenant_may_tighten_everything_and_loosen_nothing_that_its_tier_does_not_name() {
    let bounded = |tier: &mut TierSpec| {
        tier.registries = vec!["registry.example.com/tenants".into()];
        tier.storage_classes = vec!["gp3".into()];
    };
    let mut tight = spec();
    tight.pod_security = Some(PodSecurity::Restricted);
    tight.registries = vec!["registry.example.com/tenants/acme".into()];
    tight.storage_classes = vec!["gp3".into()];
    tight.quota = amounts(&[("pods", "3"), ("requests.storage", "200Gi")]);
    assert_eq!(verdict(&with_tier(bounded), &tight), "");

    let mut loose = spec();
    loose.pod_security = Some(PodSecurity::Baseline);
    loose.registries = vec![
        "registry.example.com/tenants-of-others".into(),
        "docker.io".into(),
    ];
    loose.storage_classes = vec!["gp4".into()];
    insta::assert_snapshot!(verdict(&with_tier(bounded), &loose));
    let lenient = with_tier(|tier| {
        bounded(tier);
        tier.loosen = Loosen::ALL.to_vec();
    });
    assert_eq!(verdict(&lenient, &loose), "");

    let mut more = spec();
    more.quota = amounts(&[
        ("requests.storage", "201Gi"),
        ("limits.cpu", "100"),
        ("services.loadbalancers", "1"),
        ("requests.nvidia.com/gpu", "1"),
    ]);
    insta::assert_snapshot!(verdict(&with_tier(|_| ()), &more));
    let granted = with_tier(|tier| {
        tier.extended_resources = vec!["nvidia.com/gpu".into()];
        tier.quota_max = amounts(&[
            ("requests.storage", "1Ti"),
            ("limits.cpu", "100"),
            ("services.loadbalancers", "1"),
            ("requests.nvidia.com/gpu", "1"),
        ]);
    });
    assert_eq!(verdict(&granted, &more), "");
}

#[test]
fn environments_and_their_parts_of_the_quota_fit_together() {
    let mut fine = spec();
    fine.environments = Environment::ALL.to_vec();
    fine.namespaces = vec!["operator".into()];
    assert_eq!(verdict(&with_tier(|_| ()), &fine), "");
    fine.quota_split = [("dev", 1), ("staging", 1), ("production", 6), ("operator", 0)]
        .map(|(name, parts)| (name.to_owned(), parts))
        .into();
    assert_eq!(verdict(&with_tier(|_| ()), &fine), "");

    let mut bad = fine.clone();
    bad.environments = vec![Environment::Dev, Environment::Dev];
    bad.environment = Environment::Staging;
    bad.namespaces = vec!["dev".into(), "main".into()];
    bad.quota_split = [("prod".to_owned(), 0)].into();
    insta::assert_snapshot!(verdict(&with_tier(|_| ()), &bad));
}

#[test]
fn names_of_domains_registries_labels_and_providers_are_what_they_say() {
    let mut bad = spec();
    bad.domain = "com".into();
    bad.domains = vec!["*.example.com".into(), "app.example.com".into()];
    bad.registries = vec![
        "busybox".into(),
        "https://docker.io".into(),
        "docker.io/".into(),
        "a.b:0/x".into(),
        "r.example.com:5000/x".into(),
    ];
    bad.required_labels = vec![
        "berth.dev/tenant".into(),
        "app.kubernetes.io/name".into(),
        "a b".into(),
    ];
    bad.identity_provider = Some(IdentityProvider {
        issuer: "http://login.example.com".into(),
        client_secret_name: "s3cret!".into(),
        ..IdentityProvider::default()
    });
    bad.network = Network::default();
    insta::assert_snapshot!(verdict(&with_tier(|_| ()), &bad));
}

#[test]
fn workloads_stay_within_the_quota_and_let_nodes_be_drained() {
    let scaling = |least, most| Autoscaling {
        min_replicas: least,
        max_replicas: most,
        cpu_percent: Some(70),
        memory_percent: None,
        metric: None,
        scale_down_seconds: 300,
        scale_down_percent: None,
    };
    let workload = |name: &str, autoscaling, disruption| WorkloadPolicy {
        kind: WorkloadKind::Deployment,
        name: name.into(),
        autoscaling,
        disruption,
    };
    let mut fine = spec();
    fine.workloads = vec![workload(
        "web",
        Some(scaling(3, 20)),
        Some(Disruption::MinAvailable(2)),
    )];
    assert_eq!(verdict(&with_tier(|_| ()), &fine), "");
    fine.quota = amounts(&[("pods", "10")]);
    insta::assert_snapshot!(verdict(&with_tier(|_| ()), &fine));

    let mut bad = spec();
    bad.workloads = vec![
        workload("web", Some(scaling(0, 0)), Some(Disruption::MaxUnavailable(0))),
        workload("web", Some(scaling(2, 1)), Some(Disruption::MinAvailable(2))),
        workload("A", None, None),
        workload("huge", Some(scaling(1000, 1000)), None),
    ];
    insta::assert_snapshot!(verdict(&with_tier(|_| ()), &bad));
}

#[test]
fn amounts_of_one_priority_are_part_of_all_amounts_and_of_a_priority_that_the_tier_has() {
    let mut bad = spec();
    bad.priority_quota = BTreeMap::from([
        (
            Priority::Standard,
            amounts(&[("requests.cpu", "1000"), ("configmaps", "1"), ("pods", "2")]),
        ),
        (Priority::Critical, amounts(&[("pods", "1")])),
    ]);
    insta::assert_snapshot!(verdict(&with_tier(|_| ()), &bad));
}

#[test]
fn a_tier_does_not_contradict_itself() {
    let name = TierName::new("standard").unwrap();
    let mut tier = empty().tiers[&name].spec.clone();
    tier.pod_security = PodSecurity::Baseline;
    tier.pod_security_dev = Some(PodSecurity::Restricted);
    tier.extended_resources = vec!["gpu".into(), "kubernetes.io/batteries".into()];
    tier.quota = amounts(&[("pods", "10"), ("podz", "1"), ("requests.cpu", "-1")]);
    tier.quota_max = amounts(&[("pods", "5")]);
    tier.sla.response_minutes = [("hihg".to_owned(), 5)].into();
    let faults = admit::tier("standard", &tier).unwrap_err();
    let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(shown.join("\n"));
}
