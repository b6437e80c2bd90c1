//! What bad input gets: every fault at once, with path and hint.

use std::collections::BTreeMap;

use berth_model::{
    BundleName, BundleRef, BundleVersion, Parameter, ParameterKind, Tenant, TenantSpec, TierName, catalogue,
    tenant::{Contact, Subject},
};
use serde_json::json;

use crate::{
    admit::{self, Catalogue},
    testing::{empty, tenant},
};

fn catalogue() -> Catalogue {
    let parameter = |name: &str, kind, default, allowed| Parameter {
        name: name.into(),
        kind,
        description: format!("the {name}"),
        default,
        allowed,
    };
    let web = vec![
        parameter("image", ParameterKind::String, None, vec![]),
        parameter(
            "replicas",
            ParameterKind::Integer,
            Some(json!(2)),
            vec![json!(1), json!(2), json!(3)],
        ),
    ];
    Catalogue {
        tiers: empty().tiers,
        bundles: BTreeMap::from([(
            (
                BundleName::new("web").unwrap(),
                BundleVersion::new("1.0.0").unwrap(),
            ),
            web,
        )]),
        ..Catalogue::default()
    }
}

fn spec(tier: &str) -> TenantSpec {
    TenantSpec::of_tier(TierName::new(tier).unwrap())
}

fn faults(id: &str, spec: &TenantSpec, existing: Option<&Tenant>) -> String {
    let all = admit::tenant(&catalogue(), id, spec, existing).unwrap_err();
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_smallest_spec_of_every_built_in_tier_is_admissible() {
    for tier in catalogue().tiers.keys() {
        assert_eq!(
            admit::tenant(&catalogue(), "acme", &spec(tier.as_str()), None),
            Ok(vec![]),
            "{tier}"
        );
    }
    for (name, tier) in catalogue::tiers().unwrap() {
        assert_eq!(admit::tier(name.as_str(), &tier), Ok(vec![]), "{name}");
    }
}

#[test]
fn every_fault_of_a_tenant_is_reported_at_once() {
    let mut bad = spec("premum");
    bad.namespaces = vec!["dev".into(), "Dev".into(), "dev".into(), "x".repeat(60)];
    bad.contacts.technical = Some(Contact {
        name: "a\u{7}".into(),
        email: "nobody".into(),
    });
    bad.billing.cost_centre = "DATA 001".into();
    bad.labels.insert("berth.dev/tenant".into(), "x".into());
    bad.labels.insert("team".into(), "a b".into());
    bad.domain = "Example.COM".into();
    bad.members.admins = vec![
        Subject::Group {
            name: "system:masters".into(),
        },
        Subject::ServiceAccount {
            namespace: "kube-system".into(),
            name: "default".into(),
        },
        Subject::User { name: String::new() },
    ];
    bad.placement.regions = vec!["eu central".into()];
    bad.placement.min_kubernetes_version = "v1.33".into();
    let bundle = |name: &str, version: &str, parameters| BundleRef {
        name: BundleName::new(name).unwrap(),
        version: BundleVersion::new(version).unwrap(),
        parameters,
    };
    bad.bundles = vec![
        bundle(
            "web",
            "1.0.0",
            BTreeMap::from([("replica".into(), json!(2)), ("replicas".into(), json!(9))]),
        ),
        bundle("web", "1.0.1", BTreeMap::new()),
        bundle("wep", "1.0.0", BTreeMap::new()),
    ];
    insta::assert_snapshot!(faults("a--b", &bad, None));
}

#[test]
fn amounts_that_cannot_be_are_refused_and_ones_that_cannot_be_reached_are_warned_of() {
    let mut bad = spec("standard");
    for (name, amount) in [
        ("request.cpu", "1"),
        ("pods", "1.5"),
        ("requests.memory", "-1Gi"),
        ("services.loadbalancers", "1"),
    ] {
        bad.quota.insert(name.into(), amount.parse().unwrap());
    }
    insta::assert_snapshot!(faults("acme", &bad, None));
    let mut high = spec("standard");
    high.quota.insert("limits.cpu".into(), "500m".parse().unwrap());
    let warnings = admit::tenant(&catalogue(), "acme", &high, None).unwrap();
    assert_eq!(
        warnings,
        [
            "requests.cpu is 1 and limits.cpu is 500m: no more than 500m can be requested, since no request may exceed its limit"
        ]
    );
}

#[test]
fn a_tenant_does_not_move_between_isolation_levels_by_an_edit() {
    let existing = tenant("acme", "standard").tenant;
    insta::assert_snapshot!(faults("acme", &spec("premium"), Some(&existing)));
    assert!(admit::tenant(&catalogue(), "acme", &spec("free"), Some(&existing)).is_ok());
}

#[test]
fn a_tenant_that_is_being_deleted_takes_no_changes() {
    let mut existing = (*tenant("acme", "standard").tenant).clone();
    existing.deleting_since = Some(existing.created_at);
    assert!(faults("acme", &spec("standard"), Some(&existing)).contains("is being deleted"));
}

#[test]
fn every_fault_of_a_tier_is_reported_at_once() {
    let (_, mut tier) = catalogue::tiers().unwrap().pop().unwrap();
    let made = tier.cluster.as_mut().unwrap();
    made.kubernetes_version = "latest".into();
    made.logging.push("apii".into());
    made.public_access_cidrs = vec!["1.2.3.4".into(), "10.0.0.0/33".into()];
    made.tags.insert("aws:x".into(), String::new());
    made.nodes.instance_types.clear();
    (
        made.nodes.min_nodes,
        made.nodes.desired_nodes,
        made.nodes.max_nodes,
    ) = (0, 9, 5);
    tier.node_pool = Some(made.nodes.clone());
    tier.sla.uptime_percent = Some("101".parse().unwrap());
    let all = admit::tier("Gold", &tier).unwrap_err();
    insta::assert_snapshot!(all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_tiers_isolation_is_fixed_and_a_tier_in_use_stays() {
    let view = empty();
    let old = &view.tiers[&TierName::new("standard").unwrap()];
    let mut new = old.spec.clone();
    new.price.0 += 1;
    assert!(admit::tier_update(old, &new).is_ok());
    new.isolation = berth_model::Isolation::Cluster;
    let faults = admit::tier_update(old, &new).unwrap_err();
    assert_eq!(faults[0].path, "spec.isolation");
    let acme = tenant("acme", "standard").tenant.id.clone();
    assert!(
        admit::tier_delete(&old.name, [&acme])
            .unwrap_err()
            .problem
            .contains("in use by 1 tenants: acme")
    );
    assert!(admit::tier_delete(&old.name, []).is_ok());
}
