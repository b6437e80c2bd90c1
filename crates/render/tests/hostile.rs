//! What is hostile and could come in by a bundle is refused by the hub as well, where it was written: `tests/hostile` holds it, and
//! `agent/tests/walls_attacks.rs` plays the same against a cluster.
#![expect(clippy::unwrap_used, reason = "tests")]

mod samples;

use berth_model::{Tenant, Tier, bundle::BundleSpec, quota::extended};
use samples::{bundle as made, reference, rendered_on, tier};
use serde::Deserialize;
use serde_json::{Value, json};

/// One entry; the README beside the files says what the fields mean.
#[derive(Debug, Deserialize)]
struct Attack {
    name: String,
    #[serde(default = "plain")]
    namespace: String,
    wall: String,
    pod: Option<Value>,
    metadata: Option<Value>,
    object: Option<Value>,
}

fn plain() -> String {
    "plain".into()
}

fn corpus() -> Vec<Attack> {
    [
        include_str!("../../../tests/hostile/placement.yaml"),
        include_str!("../../../tests/hostile/pods.yaml"),
        include_str!("../../../tests/hostile/network.yaml"),
        include_str!("../../../tests/hostile/holdings.yaml"),
    ]
    .into_iter()
    .flat_map(|file| serde_saphyr::from_str::<Vec<Attack>>(file).unwrap())
    .collect()
}

/// A tenant of each sort that the entries name, on the terms that they know.
fn tenant(namespace: &str) -> (Tenant, Tier) {
    let name = if namespace == "pooled" {
        "premium"
    } else {
        "standard"
    };
    let mut tenant = samples::tenant(namespace, name, |spec| {
        spec.bundles = vec![reference("hostile", json!({}))];
        if namespace != "pooled" {
            spec.domain = "a.example".into();
        }
    });
    let mut whole = tier(name);
    let tier = &mut whole.spec;
    tier.extended_resources.clear();
    tier.load_balancers = 0;
    if namespace == "granting" {
        tier.registries = [
            "registry.example/acme",
            "mirror.example",
            "docker.io/library/nginx",
        ]
        .map(String::from)
        .to_vec();
        tier.storage_classes = vec!["gp3".into()];
        tier.required_labels = vec!["team".into()];
        tier.extended_resources = vec!["nvidia.com/gpu".into()];
        tier.quota
            .insert(extended("nvidia.com/gpu"), "4".parse().unwrap());
        tier.load_balancers = 2;
        tenant.spec.domains = vec!["shop.example".into()];
    }
    (tenant, whole)
}

fn compliant_pod(namespace: &str) -> Value {
    let image = if namespace == "granting" {
        "registry.example/acme/i"
    } else {
        "docker.io/library/i"
    };
    json!({
        "metadata": {"name": "x", "labels": {"team": "x", "app": "web"}},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "c", "image": image, "securityContext":
                {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
        },
    })
}

/// RFC 7396.
fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (field, value) in fields {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(field);
        } else {
            merge(&mut into[field.as_str()], value);
        }
    }
}

/// What the hub says to a bundle with these manifests, when it is stored or when the tenant uses it.
fn told(namespace: &str, manifest: &Value) -> Vec<String> {
    let spec = BundleSpec {
        description: String::new(),
        parameters: Vec::new(),
        manifests: vec![manifest.clone()],
    };
    let mut violations = berth_render::bundle::check(&spec);
    if violations.is_empty() {
        let (tenant, tier) = tenant(namespace);
        let bundle = made("hostile", json!({"manifests": [manifest]}));
        violations = rendered_on(&tenant, &tier, &[bundle]).err().unwrap_or_default();
    }
    violations.iter().map(ToString::to_string).collect()
}

fn manifests(pod: &Value) -> [Value; 3] {
    let mut alone = pod.clone();
    alone["apiVersion"] = "v1".into();
    alone["kind"] = "Pod".into();
    let mut template = pod.clone();
    template["metadata"].as_object_mut().unwrap().remove("name");
    let labels = json!({"team": "x"});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x", "labels": labels},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template},
    });
    let mut once = template.clone();
    once["spec"]["restartPolicy"] = "Never".into();
    let cron = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "x", "labels": labels},
        "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": once}}},
    });
    [alone, deployment, cron]
}

#[test]
fn what_keeps_every_rule_is_taken() {
    for namespace in ["plain", "pooled", "granting"] {
        for manifest in manifests(&compliant_pod(namespace)) {
            assert_eq!(
                told(namespace, &manifest),
                [""; 0],
                "{namespace}: {}",
                manifest["kind"]
            );
        }
    }
}

#[test]
fn what_is_hostile_is_refused_by_the_hub_too() {
    let mut tried = 0;
    let mut taken = Vec::new();
    for attack in corpus() {
        let mut hostile = Vec::new();
        if let Some(object) = &attack.object {
            let mut object = object.clone();
            object["metadata"].as_object_mut().unwrap().remove("namespace");
            hostile.push(object);
        } else if attack.pod.is_some() || attack.metadata.is_some() {
            let mut pod = compliant_pod(&attack.namespace);
            merge(&mut pod["spec"], attack.pod.as_ref().unwrap_or(&json!({})));
            merge(
                &mut pod["metadata"],
                attack.metadata.as_ref().unwrap_or(&json!({})),
            );
            hostile.extend(manifests(&pod));
        }
        for manifest in hostile {
            tried += 1;
            if told(&attack.namespace, &manifest).is_empty() {
                taken.push(format!(
                    "{} ({}) as {}",
                    attack.name, attack.wall, manifest["kind"]
                ));
            }
        }
    }
    assert!(taken.is_empty(), "taken:\n{}", taken.join("\n"));
    assert!(tried > 200, "{tried}");
}
