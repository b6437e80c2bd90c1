//! Tenants as platforms have them, with fixed uids and dates.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::collections::BTreeMap;

use berth_model::{
    Bundle, BundleName, BundleRef, BundleVersion, Generation, Placement, Revision, Tenant, TenantId,
    TenantSpec, Tier, TierName, Timestamp, Uid, Violation,
    bundle::BundleSpec,
    catalogue,
    network::Network,
    tenant::{Billing, Contact, Contacts, Environment, Members, Owner, Subject},
    tier::SizeName,
};
use berth_render::{Input, Rendered, render};
use serde_json::{Value, json};

pub(crate) fn tier(name: &str) -> Tier {
    let (name, spec) = catalogue::tiers()
        .unwrap()
        .into_iter()
        .find(|(known, _)| known.as_str() == name)
        .unwrap();
    let uid = Uid::new(format!("uid-{name}")).unwrap();
    Tier {
        name,
        uid,
        generation: Generation(1),
        revision: Revision(1),
        spec,
    }
}

pub(crate) fn tenant(id: &str, tier: &str, change: impl FnOnce(&mut TenantSpec)) -> Tenant {
    let mut spec = TenantSpec::of_tier(TierName::new(tier).unwrap());
    change(&mut spec);
    Tenant {
        id: TenantId::new(id).unwrap(),
        uid: Uid::new(format!("uid-{id}")).unwrap(),
        generation: Generation(1),
        revision: Revision(7),
        created_at: Timestamp::UNIX_EPOCH,
        deleting_since: None,
        spec,
    }
}

fn quota(amounts: &[(&str, &str)]) -> BTreeMap<String, berth_model::Quantity> {
    amounts
        .iter()
        .map(|(name, amount)| ((*name).to_owned(), amount.parse().unwrap()))
        .collect()
}

fn network(network: Value) -> Network {
    serde_json::from_value(network).unwrap()
}

fn group(name: &str) -> Subject {
    Subject::Group { name: name.into() }
}

pub(crate) fn dev_sandbox() -> Tenant {
    tenant("dev-sandbox", "free", |spec| {
        spec.size = Some(SizeName::Micro);
        spec.environment = Environment::Dev;
    })
}

pub(crate) fn vision_team() -> Tenant {
    tenant("vision-team", "standard", |spec| {
        spec.display_name = "Vision Team".into();
        spec.namespaces = ["dev", "staging", "operator"].map(String::from).to_vec();
        spec.members = Members {
            admins: vec![group("vision-admins")],
            users: vec![
                group("vision-users"),
                Subject::ServiceAccount {
                    namespace: "operator".into(),
                    name: "runner".into(),
                },
            ],
            viewers: vec![Subject::User {
                name: "auditor@example.com".into(),
            }],
        };
        spec.labels = [("example.com/floor".to_owned(), "3".to_owned())].into();
        spec.network = network(json!({
            "within": "environment",
            "ingress": [{"peer": {"kind": "monitoring"}, "ports": ["9090"]}],
            "egress": [
                {"peer": {"kind": "monitoring"}, "ports": ["3100", "4318"]},
                {"peer": {"kind": "tenant", "tenant": "nlp-team"}, "ports": ["8000-8010", "53/UDP"]},
            ],
        }));
    })
}

pub(crate) fn abc_123() -> Tenant {
    tenant("abc-123", "premium", |spec| {
        spec.quota = quota(&[
            ("requests.cpu", "10"),
            ("requests.memory", "20Gi"),
            ("limits.cpu", "20"),
            ("limits.memory", "40Gi"),
            ("requests.nvidia.com/gpu", "2"),
            ("services.loadbalancers", "2"),
        ]);
        spec.network = network(json!({
            "ingress": [{"peer": {"kind": "ingress-controller"}, "ports": ["8080"]}],
            "egress": [
                {"peer": {"kind": "monitoring"}, "ports": ["4318"]},
                {"peer": {"kind": "cidr", "cidr": "0.0.0.0/0"}, "ports": ["443"]},
                {"peer": {"kind": "cidr", "cidr": "::/0"}, "ports": ["443"]},
            ],
        }));
        spec.bundles = vec![reference(
            "web",
            json!({"image": "registry.example/web:1.4", "replicas": 3}),
        )];
    })
}

pub(crate) fn acme_corp() -> Tenant {
    tenant("acme-corp", "enterprise", |spec| {
        let contact = |name: &str, email: &str| {
            Some(Contact {
                name: name.into(),
                email: email.into(),
            })
        };
        spec.display_name = "ACME Corporation".into();
        spec.contacts = Contacts {
            technical: contact("Data Desk", "data@acme.example"),
            business: contact("Pat Doe", "pat@acme.example"),
            billing: contact("", "billing@acme.example"),
        };
        spec.billing = Billing {
            cost_centre: "DATA-001".into(),
            code: "A 17/4".into(),
        };
        spec.owner = Owner {
            organisation: "acme".into(),
            team: "data".into(),
            project: "pipelines".into(),
        };
        spec.features = [
            ("lineage", true),
            ("cross-tenant-dependencies", false),
            ("audit", true),
        ]
        .map(|(name, on)| (name.to_owned(), on))
        .into();
        spec.quota = quota(&[
            ("requests.cpu", "8"),
            ("requests.memory", "32Gi"),
            ("limits.cpu", "16"),
            ("limits.memory", "64Gi"),
            ("requests.storage", "100Gi"),
            ("pods", "50"),
            ("persistentvolumeclaims", "10"),
            ("services", "10"),
        ]);
        spec.bundles = vec![reference("web", json!({"image": "registry.example/airflow:3.0"}))];
    })
}

pub(crate) fn reference(name: &str, parameters: Value) -> BundleRef {
    BundleRef {
        name: BundleName::new(name).unwrap(),
        version: BundleVersion::new("1.0.0").unwrap(),
        parameters: serde_json::from_value(parameters).unwrap(),
    }
}

pub(crate) fn bundle(name: &str, spec: Value) -> Bundle {
    Bundle {
        name: BundleName::new(name).unwrap(),
        version: BundleVersion::new("1.0.0").unwrap(),
        uid: Uid::new(format!("uid-{name}")).unwrap(),
        revision: Revision(3),
        created_at: Timestamp::UNIX_EPOCH,
        spec: serde_json::from_value::<BundleSpec>(spec).unwrap(),
    }
}

/// What the restricted Pod Security Standard asks of pods.
fn pod_security() -> Value {
    json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}})
}

fn container(name: &str) -> Value {
    json!({
        "name": name, "image": "${image}",
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    })
}

/// A web application with everything a bundle may hold that has pods, and some that has none.
pub(crate) fn web() -> Bundle {
    bundle(
        "web",
        json!({
            "parameters": [
                {"name": "image", "type": "string"},
                {"name": "replicas", "type": "integer", "default": 2},
                {"name": "storage", "type": "quantity", "default": "1Gi", "allowed": ["1Gi", "10Gi"]},
                {"name": "suspended", "type": "boolean", "default": false},
            ],
            "manifests": [
                {
                    "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"},
                    "data": {"greeting": "$${HOME} has ${replicas} replicas of ${image}"},
                },
                {
                    "apiVersion": "apps/v1", "kind": "Deployment",
                    "metadata": {"name": "web", "labels": {"app": "web"}},
                    "spec": {
                        "replicas": "${replicas}",
                        "selector": {"matchLabels": {"app": "web"}},
                        "template": {
                            "metadata": {"labels": {"app": "web"}},
                            "spec": {"securityContext": pod_security(), "containers": [container("web")]},
                        },
                    },
                },
                {
                    "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tidy"},
                    "spec": {
                        "schedule": "0 3 * * *",
                        "suspend": "${suspended}",
                        "jobTemplate": {"spec": {"template": {"spec": {
                            "restartPolicy": "Never",
                            "nodeSelector": {"disk": "ssd"},
                            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists"}],
                            "securityContext": pod_security(),
                            "containers": [container("tidy")],
                        }}}},
                    },
                },
                {
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "${storage}"}}},
                },
                {
                    "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
                    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
                },
            ],
        }),
    )
}

/// Where a tenant of this tier is put.
pub(crate) fn place(tier: &Tier) -> Placement {
    use berth_model::{ClusterName, Isolation, PoolName};
    let cluster = |name: &str| ClusterName::new(name).unwrap();
    match tier.spec.isolation {
        Isolation::Namespace => Placement::Namespace {
            cluster: cluster("shared-1"),
        },
        Isolation::NodePool => Placement::NodePool {
            cluster: cluster("shared-1"),
            pool: PoolName::new("pool-7").unwrap(),
        },
        Isolation::Cluster => Placement::Cluster {
            cluster: cluster("own-1"),
        },
    }
}

/// Renders a tenant of a built-in tier; every bundle it names is one of `bundles`, taken in turn.
pub(crate) fn rendered(tenant: &Tenant, bundles: &[Bundle]) -> Result<Rendered, Vec<Violation>> {
    rendered_on(tenant, &tier(tenant.spec.tier.as_str()), bundles)
}

/// The same on a tier that is not as in the catalogue.
pub(crate) fn rendered_on(
    tenant: &Tenant,
    tier: &Tier,
    bundles: &[Bundle],
) -> Result<Rendered, Vec<Violation>> {
    let placement = place(tier);
    let used: Vec<_> = tenant.spec.bundles.iter().zip(bundles).collect();
    render(&Input {
        tenant,
        tier,
        placement: &placement,
        bundles: &used,
        istio: false,
    })
}
