//! Tenants' namespaces as Berth makes them, people in them, and the corpus of hostile manifests.

use berth_fake::control_plane::ControlPlane;
use http::Method;
use kube::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, apply, ask, ask_as, collection, until};

/// A tenant's administrator.
pub(crate) const ADMIN: &str = "alice";
/// A tenant's user.
pub(crate) const USER: &str = "bob";
/// A tenant's viewer.
pub(crate) const VIEWER: &str = "carol";
/// Someone with every right in the namespaces, as if the wall of rights were gone.
pub(crate) const ROOT: &str = "mallory";
/// The account with which a ReplicaSet's pods are made.
pub(crate) const CONTROLLER: &str = "system:serviceaccount:kube-system:replicaset-controller";

/// One entry of `tests/hostile`; its README says what the fields mean.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attack {
    pub(crate) name: String,
    pub(crate) clause: String,
    pub(crate) wall: String,
    pub(crate) also: Option<String>,
    #[serde(default = "plain")]
    pub(crate) namespace: String,
    pub(crate) pod: Option<Value>,
    pub(crate) metadata: Option<Value>,
    #[serde(default, rename = "podOnly")]
    pub(crate) pod_only: bool,
    pub(crate) object: Option<Value>,
    pub(crate) change: Option<String>,
    pub(crate) with: Option<String>,
    pub(crate) patch: Option<Value>,
    pub(crate) post: Option<Value>,
    pub(crate) remove: Option<String>,
}

fn plain() -> String {
    "plain".into()
}

/// Every hostile manifest there is.
pub(crate) fn corpus() -> Vec<Attack> {
    [
        include_str!("../../../tests/hostile/placement.yaml"),
        include_str!("../../../tests/hostile/pods.yaml"),
        include_str!("../../../tests/hostile/network.yaml"),
        include_str!("../../../tests/hostile/holdings.yaml"),
    ]
    .into_iter()
    .flat_map(|file| serde_saphyr::from_str::<Vec<Attack>>(file).unwrap_or_else(|e| panic!("{e}")))
    .collect()
}

/// A pod that keeps every rule of its namespace, `plain`, `pooled` or `granting`.
pub(crate) fn compliant_pod(namespace: &str, name: &str) -> Value {
    let granting = namespace == "granting";
    let image = if granting {
        "registry.example/acme/i"
    } else {
        "docker.io/library/i"
    };
    json!({"apiVersion": "v1", "kind": "Pod",
    "metadata": {"name": name, "namespace": format!("t-{namespace}"), "labels": {"team": "x", "app": "web"}},
    "spec": {
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "c", "image": image, "securityContext":
            {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
    }})
}

/// The pod inside a Deployment.
pub(crate) fn deployment(pod: &Value, name: &str) -> Value {
    let mut labels = pod["metadata"]["labels"].clone();
    labels["app"] = json!("web");
    let mut metadata = pod["metadata"].clone();
    metadata["labels"] = labels.clone();
    metadata.as_object_mut().unwrap().remove("name");
    metadata.as_object_mut().unwrap().remove("namespace");
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": pod["metadata"]["namespace"], "labels": pod["metadata"]["labels"]},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": metadata, "spec": pod["spec"]}}})
}

/// The pod inside a CronJob.
pub(crate) fn cron_job(pod: &Value, name: &str) -> Value {
    let mut template = deployment(pod, name)["spec"]["template"].clone();
    template["spec"]["restartPolicy"] = json!("Never");
    json!({"apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {"name": name, "namespace": pod["metadata"]["namespace"], "labels": pod["metadata"]["labels"]},
        "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": template}}}})
}

/// RFC 7396.
pub(crate) fn merge(into: &mut Value, patch: &Value) {
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

fn namespace(name: &str) -> Value {
    let mut namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": format!("t-{name}"),
        "labels": {"berth.dev/tenant": name, "berth.dev/tenant-uid": format!("uid-{name}"),
            "pod-security.kubernetes.io/enforce": "restricted"},
        "annotations": {"berth.dev/ingress-domains": "a.example", "berth.dev/priority-classes": "berth-standard"}}});
    match name {
        "pooled" => {
            namespace["metadata"]["labels"]["berth.dev/pool"] = json!("p1");
            namespace["metadata"]["annotations"] = json!({});
        }
        "granting" => {
            namespace["metadata"]["annotations"] = json!({
                "berth.dev/ingress-domains": "a.example, shop.example",
                "berth.dev/priority-classes": "berth-standard,berth-low",
                "berth.dev/registries": "registry.example/acme, mirror.example, docker.io/library/nginx",
                "berth.dev/load-balancers": "true",
                "berth.dev/storage-classes": "gp3",
                "berth.dev/required-labels": "team",
                "berth.dev/extended-resources": "nvidia.com/gpu",
            });
        }
        _ => {}
    }
    namespace
}

/// Makes the three namespaces with what Berth puts into them, and lets people in.
pub(crate) async fn tenants(plane: &ControlPlane) {
    let admin = plane.client();
    for name in ["plain", "pooled", "granting"] {
        made("a namespace", &apply(&admin, &namespace(name)).await);
        let place = format!("t-{name}");
        let object = |version: &str, kind: &str, called: &str, more: Value| {
            let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": called,
                "namespace": place, "labels": {"berth.dev/tenant": name, "berth.dev/tenant-uid": format!("uid-{name}")}}});
            merge(&mut object, &more);
            object
        };
        let mut objects = vec![
            object(
                "v1",
                "ResourceQuota",
                "berth",
                json!({"spec": {"hard": {"pods": "50", "services.nodeports": "0"}}}),
            ),
            object(
                "v1",
                "LimitRange",
                "berth",
                json!({"spec": {"limits": [
                {"type": "Container", "default": {"cpu": "100m"}}]}}),
            ),
            object(
                "networking.k8s.io/v1",
                "NetworkPolicy",
                "default-deny",
                json!({"spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}}),
            ),
        ];
        for account in ["default", "workload", "berth-deployer", "berth-admin"] {
            objects.push(object(
                "v1",
                "ServiceAccount",
                account,
                json!({"automountServiceAccountToken": false}),
            ));
        }
        for (binding, role, subject) in [
            ("admins", "berth-tenant-admin", user(ADMIN)),
            ("users", "berth-tenant-user", user(USER)),
            ("viewers", "berth-tenant-viewer", user(VIEWER)),
            (
                "berth-deployer",
                "berth-tenant-admin",
                json!({"kind": "ServiceAccount", "name": "berth-deployer", "namespace": place}),
            ),
            ("root", "cluster-admin", user(ROOT)),
        ] {
            objects.push(object(
                "rbac.authorization.k8s.io/v1",
                "RoleBinding",
                binding,
                json!({
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [subject]}),
            ));
        }
        for object in objects {
            made(&object["kind"].to_string(), &apply(&admin, &object).await);
        }
    }
    in_force(&admin).await;
}

fn user(name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name})
}

/// Waits until the quota counts, the people's bindings are seen and the policies, which are made earlier, refuse.
async fn in_force(admin: &Client) {
    for name in ["plain", "pooled", "granting"] {
        let quota = format!("/api/v1/namespaces/t-{name}/resourcequotas/berth");
        until("the quota is in force", async || {
            ask(admin, Method::GET, &quota, None).await.1["status"]["hard"]["pods"] == "50"
        })
        .await;
        for person in [ADMIN, USER, VIEWER, ROOT] {
            let pods = format!("/api/v1/namespaces/t-{name}/pods");
            until("the people are let in", async || {
                ask_as(admin, Some(person), Method::GET, &pods, None).await.0 == 200
            })
            .await;
        }
    }
    // The last policy of the manifest.
    let mut budget = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": "probe", "namespace": "t-plain"}, "spec": {"maxUnavailable": 0}});
    until("the walls stand", async || {
        dry_run(admin, None, &budget).await.0 == 403
    })
    .await;
    budget["spec"]["maxUnavailable"] = json!(1);
    until("defaults are set", async || {
        dry_run(admin, None, &budget).await.1["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    })
    .await;
}

/// Asks whether somebody could make the object.
pub(crate) async fn dry_run(client: &Client, who: Option<&str>, object: &Value) -> Answer {
    let path = format!("{}?dryRun=All", collection(object));
    ask_as(client, who, Method::POST, &path, Some(object)).await
}

#[track_caller]
pub(crate) fn made(what: &str, answer: &Answer) {
    assert!(answer.0 < 300, "{what}: {:#}", answer.1);
}
