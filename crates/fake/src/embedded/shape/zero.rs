//! The object a write starts from when there is none: the parts a kind always has, even when nobody sets them. They are
//! never owned by whoever creates the object, because they were there before.

use serde_json::{Value, json};

use crate::embedded::kinds::Kind;

/// The empty object of a kind.
pub(crate) fn empty_object(kind: &Kind) -> Value {
    let template = || json!({"metadata": {}, "spec": {"containers": null}});
    let mut object = match (kind.group, kind.kind) {
        ("", "Pod") => json!({"spec": {"containers": null}}),
        ("", "Service") | ("networking.k8s.io", "Ingress") => {
            json!({"spec": {}, "status": {"loadBalancer": {}}})
        }
        ("", "PersistentVolumeClaim") => json!({"spec": {"resources": {}}}),
        ("", "LimitRange") => json!({"spec": {"limits": null}}),
        ("", "Namespace" | "ResourceQuota" | "Node" | "PersistentVolume") => json!({"spec": {}}),
        ("apps", "Deployment") => json!({"spec": {"selector": null, "template": template(), "strategy": {}}}),
        ("apps", "StatefulSet") => {
            json!({"spec": {"selector": null, "template": template(), "serviceName": "", "updateStrategy": {}}})
        }
        ("apps", "DaemonSet") => {
            json!({"spec": {"selector": null, "template": template(), "updateStrategy": {}}})
        }
        ("apps", "ReplicaSet") => json!({"spec": {"selector": null, "template": template()}}),
        ("batch", "Job") => json!({"spec": {"template": template()}}),
        ("batch", "CronJob") => {
            json!({"spec": {"schedule": "", "jobTemplate": {"metadata": {}, "spec": {"template": template()}}}})
        }
        ("networking.k8s.io", "NetworkPolicy") => json!({"spec": {"podSelector": {}}}),
        ("autoscaling", _) => json!({"spec": {"scaleTargetRef": {"kind": "", "name": ""}, "maxReplicas": 0}}),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            json!({"roleRef": {"apiGroup": "", "kind": "", "name": ""}})
        }
        ("rbac.authorization.k8s.io", _) => json!({"rules": null}),
        ("scheduling.k8s.io", _) => json!({"value": 0}),
        ("storage.k8s.io", _) => json!({"provisioner": ""}),
        ("discovery.k8s.io", _) => json!({"addressType": "", "endpoints": null, "ports": null}),
        ("policy" | "coordination.k8s.io" | "admissionregistration.k8s.io" | "networking.k8s.io", _) => {
            json!({"spec": {}})
        }
        _ => json!({}),
    };
    object["metadata"] = json!({});
    if kind.status && object.get("status").is_none() {
        object["status"] = json!({});
    }
    object
}
