//! Secrets in what people write: by reference or not at all, and never repeated.

use std::collections::BTreeMap;

use berth_model::{
    BundleName, BundleRef, BundleVersion, Parameter, ParameterKind, SecretStore, SecretStoreKind, TenantSpec,
    TierName,
};
use serde_json::{Value, json};

use crate::{
    admit::{self, Catalogue},
    testing::empty,
};

const KEY: &str = "AKIAIOSFODNN7EXAMPLE";

fn catalogue() -> Catalogue {
    let secret = Parameter {
        name: "password".into(),
        kind: ParameterKind::Secret,
        description: "how the database is opened".into(),
        default: None,
        allowed: Vec::new(),
    };
    let version = BundleVersion::new("1.0.0").unwrap();
    Catalogue {
        tiers: empty().tiers,
        bundles: BTreeMap::from([((BundleName::new("web").unwrap(), version), vec![secret])]),
        ..Catalogue::default()
    }
}

fn using(password: Value) -> TenantSpec {
    let mut spec = TenantSpec::of_tier(TierName::new("free").unwrap());
    spec.bundles = vec![BundleRef {
        name: BundleName::new("web").unwrap(),
        version: BundleVersion::new("1.0.0").unwrap(),
        parameters: BTreeMap::from([("password".into(), password)]),
    }];
    spec
}

fn told(spec: &TenantSpec) -> String {
    let faults = admit::tenant(&catalogue(), "acme", spec, None).unwrap_err();
    faults
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_secret_parameter_takes_a_reference_and_no_value() {
    let existing = json!({"existingSecret": {"name": "db", "key": "password"}});
    assert_eq!(
        admit::tenant(&catalogue(), "acme", &using(existing), None),
        Ok(vec![])
    );
    let refused = told(&using(json!("hunter2")));
    assert!(
        refused.contains("spec.bundles[0].parameters.password"),
        "{refused}"
    );
    assert!(
        refused.contains("by reference") && refused.contains("externalSecret"),
        "{refused}"
    );
    assert!(!refused.contains("hunter2"), "{refused}");
}

#[test]
fn only_stores_of_the_tier_are_referred_to() {
    let secret = json!({"externalSecret": {"store": "vault", "key": "db"}});
    assert!(told(&using(secret.clone())).contains("no secret store \"vault\""));
    let mut catalogue = catalogue();
    let free = TierName::new("free").unwrap();
    let mut tier = (*catalogue.tiers[&free]).clone();
    tier.spec.secret_stores = vec![SecretStore {
        name: "vault".into(),
        kind: SecretStoreKind::ClusterSecretStore,
        key_prefix: "tenants/{tenant}/".into(),
    }];
    assert_eq!(admit::tier("free", &tier.spec), Ok(vec![]));
    catalogue.tiers.insert(free, tier.into());
    assert_eq!(
        admit::tenant(&catalogue, "acme", &using(secret), None),
        Ok(vec![])
    );
}

#[test]
fn a_tier_shares_no_store_without_keeping_its_tenants_apart() {
    let mut tier = (*empty().tiers[&TierName::new("free").unwrap()]).clone();
    tier.spec.secret_stores = vec![SecretStore {
        name: "vault".into(),
        kind: SecretStoreKind::ClusterSecretStore,
        key_prefix: "all/".into(),
    }];
    let faults = admit::tier("free", &tier.spec).unwrap_err();
    assert_eq!(faults[0].path, "spec.secretStores[0]");
    assert!(faults[0].problem.contains("{tenant}/"), "{faults:?}");
}

#[test]
fn what_looks_like_a_secret_is_refused_wherever_it_stands_and_never_repeated() {
    let mut everywhere: Vec<TenantSpec> = Vec::new();
    let mut add = |change: fn(&mut TenantSpec)| {
        let mut spec = TenantSpec::of_tier(TierName::new("free").unwrap());
        change(&mut spec);
        everywhere.push(spec);
    };
    add(|spec| drop(spec.labels.insert("team".into(), KEY.into())));
    add(|spec| drop(spec.labels.insert(KEY.into(), "x".into())));
    add(|spec| spec.billing.cost_centre = KEY.into());
    add(|spec| spec.domain = KEY.into());
    add(|spec| spec.namespaces = vec![KEY.into()]);
    everywhere.push(using(json!({"a": [KEY]})));
    for spec in everywhere {
        let refused = told(&spec);
        assert!(refused.contains("looks like an AWS access key"), "{refused}");
        assert!(!refused.contains(KEY), "{refused}");
    }
}
