//! Pods: where almost every way out of a tenant begins.

use berth_model::label;
use serde_json::{Value, json};

use super::{
    DryRun, Meant, Sort,
    objects::{FOREIGN_HOST, Tried},
};

/// A neighbour's node pool; no pool is called so.
const FOREIGN_POOL: &str = "berth-probe-neighbour";

impl Tried<'_> {
    /// A pod that nobody could mind, as this namespace wants its pods.
    fn ordinary_pod(&self) -> Value {
        let registry = self.home.granted(label::REGISTRIES);
        let image = match registry.first() {
            Some(prefix) => format!("{}/berth-probe:1", prefix.trim_end_matches('/')),
            None => "registry.k8s.io/pause:3.10".to_owned(),
        };
        let mut pod = self.object("v1", "Pod", json!({
            "serviceAccountName": label::WORKLOAD_ACCOUNT,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "probe",
                "image": image,
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        }));
        for key in self.home.granted(label::REQUIRED_LABELS) {
            pod["metadata"]["labels"][key] = json!("probe");
        }
        if let Some(pool) = self.home.pool() {
            pod["spec"]["nodeSelector"] = json!({label::POOL: pool});
            pod["spec"]["tolerations"] = json!([tolerated(pool)]);
        }
        pod
    }

    pub(super) fn pods(&self) -> Vec<DryRun> {
        use Meant::{Nothing, PodSecurity, Policy};
        let pod = |meant, name: &str, what: &str, change: &dyn Fn(&mut Value)| {
            let mut body = self.ordinary_pod();
            change(&mut body);
            self.run(Sort::Pod, meant, (name, what), ("v1", "pods"), body)
        };
        let mut all = vec![
            pod(Nothing, "pod-ordinary", "an ordinary pod", &|_| {}),
            pod(PodSecurity, "pod-privileged", "a privileged pod", &|pod| {
                pod["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
            }),
            pod(
                PodSecurity,
                "pod-host-path",
                "a pod that mounts the node's disk",
                &|pod| {
                    pod["spec"]["volumes"] = json!([{"name": "host", "hostPath": {"path": "/"}}]);
                },
            ),
            pod(
                PodSecurity,
                "pod-host-network",
                "a pod in the node's network",
                &|pod| {
                    pod["spec"]["hostNetwork"] = json!(true);
                },
            ),
            pod(
                PodSecurity,
                "pod-host-processes",
                "a pod that sees the node's processes",
                &|pod| {
                    pod["spec"]["hostPID"] = json!(true);
                },
            ),
            pod(Policy, "pod-node-name", "a pod that names its node", &|pod| {
                pod["spec"]["nodeName"] = json!("berth-probe-node");
            }),
            pod(
                Policy,
                "pod-foreign-pool",
                "a pod that tolerates a neighbour's node pool",
                &|pod| {
                    push(&mut pod["spec"]["tolerations"], tolerated(FOREIGN_POOL));
                },
            ),
            pod(
                Policy,
                "pod-foreign-pool-selector",
                "a pod that selects a neighbour's node pool",
                &|pod| {
                    pod["spec"]["affinity"] = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [{"matchExpressions": [{"key": label::POOL, "operator": "In", "values": [FOREIGN_POOL]}]}],
                    }}});
                },
            ),
            pod(
                Policy,
                "pod-system-priority",
                "a pod of a priority kept for the system",
                &|pod| {
                    pod["spec"]["priorityClassName"] = json!("system-cluster-critical");
                },
            ),
            pod(
                Policy,
                "pod-deployer-account",
                "a pod that runs as the deployer",
                &|pod| {
                    pod["spec"]["serviceAccountName"] = json!(label::DEPLOYER_ACCOUNT);
                },
            ),
            pod(
                Policy,
                "pod-other-scheduler",
                "a pod for another scheduler",
                &|pod| {
                    pod["spec"]["schedulerName"] = json!("berth-probe-scheduler");
                },
            ),
            pod(
                Policy,
                "pod-foreign-affinity",
                "a pod that looks for neighbours' pods",
                &|pod| {
                    pod["spec"]["affinity"] = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{
                        "topologyKey": "kubernetes.io/hostname", "labelSelector": {}, "namespaceSelector": {},
                    }]}});
                },
            ),
            pod(
                Policy,
                "pod-user-namespace",
                "a pod with uid 0 in a user namespace",
                &|pod| {
                    pod["spec"]["hostUsers"] = json!(false);
                    pod["spec"]["securityContext"] =
                        json!({"runAsUser": 0, "seccompProfile": {"type": "RuntimeDefault"}});
                },
            ),
            pod(Policy, "pod-windows", "a pod for Windows nodes", &|pod| {
                pod["spec"]["os"] = json!({"name": "windows"});
                pod["spec"]["securityContext"] = json!({"runAsNonRoot": true});
                pod["spec"]["containers"][0]["securityContext"] = json!({});
            }),
            pod(
                Policy,
                "pod-static-annotation",
                "a pod that says it is a node's static pod",
                &|pod| {
                    pod["metadata"]["annotations"] = json!({"kubernetes.io/config.source": "file"});
                },
            ),
            pod(
                Policy,
                "pod-long-grace",
                "a pod that wants an hour to end",
                &|pod| {
                    pod["spec"]["terminationGracePeriodSeconds"] = json!(3600);
                },
            ),
            pod(
                Policy,
                "pod-unknown-finalizer",
                "a pod with a finalizer that nobody takes off",
                &|pod| {
                    pod["metadata"]["finalizers"] = json!(["berth-probe.invalid/stay"]);
                },
            ),
            pod(
                Policy,
                "pod-inline-csi",
                "a pod with an inline CSI volume",
                &|pod| {
                    pod["spec"]["volumes"] = json!([{"name": "csi", "csi": {"driver": "probe.invalid"}}]);
                },
            ),
        ];
        if self.home.pod_security() == "restricted" {
            all.push(pod(PodSecurity, "pod-root", "a pod that runs as root", &|pod| {
                pod["spec"]["securityContext"] =
                    json!({"runAsUser": 0, "seccompProfile": {"type": "RuntimeDefault"}});
            }));
        }
        if !self.home.granted(label::REGISTRIES).is_empty() {
            all.push(pod(
                Policy,
                "pod-foreign-image",
                "a pod with an image from another registry",
                &|pod| {
                    pod["spec"]["containers"][0]["image"] = json!(format!("{FOREIGN_HOST}/image:1"));
                },
            ));
        }
        all
    }
}

fn tolerated(pool: &str) -> Value {
    json!({"key": label::POOL, "operator": "Equal", "value": pool, "effect": "NoSchedule"})
}

fn push(list: &mut Value, value: Value) {
    match list {
        Value::Array(items) => items.push(value),
        other => *other = json!([value]),
    }
}
