//! What each built-in tier renders, and what holds for all of them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod samples;

use std::collections::BTreeSet;

use berth_model::{
    Object, Tenant,
    assignment::{AppliedAs, ApplyPhase},
    label,
};
use berth_render::{decode, digest, encode};
use k8s_openapi::api::{
    apps::v1::Deployment,
    batch::v1::CronJob,
    core::v1::{
        ConfigMap, LimitRange, Namespace, PersistentVolumeClaim, ResourceQuota, Service, ServiceAccount,
    },
    networking::v1::NetworkPolicy,
    rbac::v1::RoleBinding,
};
use samples::{abc_123, acme_corp, dev_sandbox, rendered, vision_team, web};
use serde_json::Value;

fn all() -> Vec<Tenant> {
    vec![dev_sandbox(), vision_team(), abc_123(), acme_corp()]
}

/// One object after the other, keys in the order of the encoding whatever features `serde_json` is built with.
fn text(objects: &[Object]) -> String {
    let encoded = String::from_utf8(encode(objects)).unwrap();
    let pretty = |line| serde_json::to_string_pretty(&serde_json::from_str::<Value>(line).unwrap()).unwrap();
    encoded.lines().map(pretty).collect::<Vec<_>>().join("\n")
}

#[test]
fn free_is_a_namespace_with_walls() {
    insta::assert_snapshot!(text(&rendered(&dev_sandbox(), &[]).unwrap().objects));
}

#[test]
fn standard_has_walls_in_every_namespace_and_a_divided_quota() {
    insta::assert_snapshot!(text(&rendered(&vision_team(), &[]).unwrap().objects));
}

#[test]
fn premium_pins_its_pods_to_its_pool() {
    insta::assert_snapshot!(text(&rendered(&abc_123(), &[web()]).unwrap().objects));
}

#[test]
fn enterprise_is_the_same_on_a_cluster_of_its_own() {
    insta::assert_snapshot!(text(&rendered(&acme_corp(), &[web()]).unwrap().objects));
}

#[test]
fn a_plain_tenant_is_about_as_many_objects_as_it_should_be() {
    let tenant = samples::tenant("plain", "standard", |spec| {
        spec.members.admins = vec![berth_model::tenant::Subject::Group {
            name: "admins".into(),
        }];
    });
    assert_eq!(rendered(&tenant, &[]).unwrap().objects.len(), 16);
}

/// Reads the manifest as `T` and writes it again: a field that Kubernetes does not know, or a wrong type, does not survive.
fn survives<T: serde::Serialize + serde::de::DeserializeOwned>(manifest: &Value) {
    let typed: T =
        serde_json::from_value(manifest.clone()).unwrap_or_else(|error| panic!("{error}: {manifest:#}"));
    assert_eq!(&serde_json::to_value(typed).unwrap(), manifest);
}

#[test]
fn kubernetes_knows_every_field_of_every_object() {
    for tenant in all() {
        for object in rendered(&tenant, &[web()]).unwrap().objects {
            let manifest = &object.manifest;
            match manifest["kind"].as_str().unwrap() {
                "Namespace" => survives::<Namespace>(manifest),
                "ResourceQuota" => survives::<ResourceQuota>(manifest),
                "LimitRange" => survives::<LimitRange>(manifest),
                "NetworkPolicy" => survives::<NetworkPolicy>(manifest),
                "ServiceAccount" => survives::<ServiceAccount>(manifest),
                "RoleBinding" => survives::<RoleBinding>(manifest),
                "ConfigMap" => survives::<ConfigMap>(manifest),
                "Deployment" => survives::<Deployment>(manifest),
                "CronJob" => survives::<CronJob>(manifest),
                "PersistentVolumeClaim" => survives::<PersistentVolumeClaim>(manifest),
                "Service" => survives::<Service>(manifest),
                other => panic!("{other} is not looked at"),
            }
        }
    }
}

fn check_walls(tenant: &Tenant, objects: &[Object]) {
    let namespaces: BTreeSet<String> = tenant.namespaces().into_iter().collect();
    let mut seen = BTreeSet::new();
    for object in objects {
        let manifest = &object.manifest;
        let metadata = &manifest["metadata"];
        let (kind, name) = (
            manifest["kind"].as_str().unwrap(),
            metadata["name"].as_str().unwrap(),
        );
        let namespace = if kind == "Namespace" {
            name
        } else {
            metadata["namespace"].as_str().unwrap()
        };
        assert!(namespaces.contains(namespace), "{kind} {name} in {namespace}");
        assert!(
            seen.insert((kind, namespace, name)),
            "{kind} {name} twice in {namespace}"
        );
        assert_eq!(metadata["labels"][label::TENANT], tenant.id.as_str());
        assert_eq!(metadata["labels"][label::TENANT_UID], tenant.uid.as_str());
        assert_eq!(metadata["labels"][label::MANAGED_BY], label::MANAGED_BY_BERTH);
        let expected = if object.phase == ApplyPhase::Workload {
            AppliedAs::Deployer
        } else {
            AppliedAs::Agent
        };
        assert_eq!(object.applied_as, expected);
    }
    assert!(objects.is_sorted_by_key(|object| object.phase));
}

#[test]
fn every_object_is_in_the_tenants_namespaces_and_says_whose_it_is() {
    for tenant in all() {
        check_walls(&tenant, &rendered(&tenant, &[web()]).unwrap().objects);
    }
}

#[test]
fn the_digest_is_of_the_encoded_objects_and_they_are_read_back() {
    for tenant in all() {
        let rendered = rendered(&tenant, &[web()]).unwrap();
        let bytes = encode(&rendered.objects);
        assert_eq!(digest(&bytes), rendered.digest);
        assert_eq!(decode(&bytes).unwrap(), rendered.objects);
    }
}

#[test]
fn what_is_not_in_the_objects_does_not_change_the_digest() {
    let tenant = vision_team();
    let mut later = tenant.clone();
    later.generation = later.generation.next();
    later.revision = later.revision.next();
    later.created_at = berth_model::Timestamp::MAX;
    let digest_of = |tenant: &Tenant| rendered(tenant, &[]).unwrap().digest;
    assert_eq!(digest_of(&tenant), digest_of(&later));
    later.uid = berth_model::Uid::new("another").unwrap();
    assert_ne!(digest_of(&tenant), digest_of(&later));
}

#[test]
fn every_fault_of_a_tenant_is_told_at_once_with_its_path() {
    use berth_model::tenant::Subject;
    let tenant = samples::tenant("faulty", "standard", |spec| {
        spec.namespaces = ["fine", "fine", "Not/Fine"].map(String::from).to_vec();
        spec.labels = [
            ("berth.dev/tenant", "x"),
            ("pod-security.kubernetes.io/enforce", "privileged"),
            ("ok", "not ok"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        spec.members.admins = vec![
            Subject::Group {
                name: "system:authenticated".into(),
            },
            Subject::User { name: String::new() },
            Subject::ServiceAccount {
                namespace: "kube-system".into(),
                name: "x".into(),
            },
            Subject::ServiceAccount {
                namespace: "fine".into(),
                name: "../x".into(),
            },
        ];
    });
    let paths: Vec<String> = rendered(&tenant, &[])
        .unwrap_err()
        .into_iter()
        .map(|v| v.path)
        .collect();
    assert_eq!(
        paths,
        [
            "spec.labels.berth.dev/tenant",
            "spec.labels.ok",
            "spec.labels.pod-security.kubernetes.io/enforce",
            "spec.members.admins[0].name",
            "spec.members.admins[1].name",
            "spec.members.admins[2].namespace",
            "spec.members.admins[3].name",
            "spec.namespaces[1]",
            "spec.namespaces[2]",
        ]
    );
}
