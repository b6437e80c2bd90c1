//! What tenants usually run, and what only their namespace's annotations let them.

use serde_json::{Value, json};

use super::walls::{compliant_pod, cron_job, deployment, merge};

/// What tenants usually run.
pub(crate) fn work(namespace: &str) -> Vec<Value> {
    let mut pod = compliant_pod(namespace, "single");
    // With their label the workloads would take it for one of theirs, and one too many.
    pod["metadata"]["labels"]["app"] = json!("single");
    let deployment = deployment(&pod, "web");
    let place = &pod["metadata"]["namespace"];
    let labelled = |name: &str| json!({"name": name, "namespace": place, "labels": {"team": "x"}});
    let mut set = deployment.clone();
    set["kind"] = json!("StatefulSet");
    set["spec"]["replicas"] = json!(1);
    set["spec"]["serviceName"] = json!("web");
    let mut everywhere = deployment.clone();
    everywhere["kind"] = json!("DaemonSet");
    everywhere["spec"].as_object_mut().unwrap().remove("replicas");
    let cron = cron_job(&pod, "nightly");
    let mut job = cron["spec"]["jobTemplate"].clone();
    merge(
        &mut job,
        &json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": labelled("once"),
            "spec": {"template": {"metadata": {"labels": {"app": "job"}}}}}),
    );
    vec![
        pod.clone(),
        deployment,
        set,
        everywhere,
        cron,
        job,
        json!({"apiVersion": "v1", "kind": "Service", "metadata": labelled("web"),
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": labelled("headless"),
            "spec": {"clusterIP": "None", "selector": {"app": "web"}, "ports": [{"port": 80}]}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": labelled("settings"), "data": {"a": "b"}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": labelled("password"), "stringData": {"a": "b"}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": labelled("mine")}),
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": labelled("data"), "spec":
            {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}),
        json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": labelled("web"), "spec":
            {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}}),
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": labelled("web"), "spec":
            {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "minReplicas": 2,
             "maxReplicas": 4, "metrics": [{"type": "Resource", "resource":
                {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}]}}),
    ]
}

/// What the namespace's annotations grant, each on its own.
pub(crate) fn granted_work() -> Vec<Value> {
    let mut granted = Vec::new();
    for image in [
        "registry.example/acme",
        "registry.example/acme:1",
        "registry.example/acme@sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "registry.example/acme/a/b:1",
        "mirror.example/whatever/i",
        "nginx",
        "nginx:1.29",
        "library/nginx",
        "docker.io/nginx",
        "index.docker.io/library/nginx",
    ] {
        let mut pod = compliant_pod("granting", "x");
        pod["spec"]["containers"][0]["image"] = json!(image);
        granted.push(pod);
    }
    for spec in [
        json!({"priorityClassName": "berth-low"}),
        json!({"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]}),
        json!({"tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}]}),
        json!({"hostUsers": false}),
        json!({"nodeSelector": {"topology.kubernetes.io/zone": "a"}, "terminationGracePeriodSeconds": 600}),
        json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}}]}}}),
        json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": {"app": "web"}}}]}),
        json!({"volumes": [{"name": "e", "emptyDir": {}}, {"name": "c", "configMap": {"name": "settings"}},
            {"name": "s", "secret": {"secretName": "password"}}, {"name": "p", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "audience": "vault", "expirationSeconds": 3600}}]}}]}),
    ] {
        let mut pod = compliant_pod("granting", "x");
        merge(&mut pod["spec"], &spec);
        granted.push(pod);
    }
    let mut gpu = compliant_pod("granting", "x");
    gpu["spec"]["containers"][0]["resources"] = json!({"limits": {"nvidia.com/gpu": 1}});
    granted.push(gpu);
    let metadata = json!({"name": "x", "namespace": "t-granting"});
    granted.push(
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec":
        {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "ports": [{"port": 80}]}}),
    );
    granted.push(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec":
        {"storageClassName": "gp3", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}));
    for host in ["a.example", "www.a.example", "eu.www.shop.example"] {
        let mut metadata = metadata.clone();
        metadata["annotations"] = json!({"nginx.ingress.kubernetes.io/proxy-body-size": "8m", "owner": "us",
            "cert-manager.io/cluster-issuer": "letsencrypt"});
        granted.push(json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec":
            {"tls": [{"hosts": [host], "secretName": "t"}], "rules": [{"host": host, "http": {"paths": [
                {"path": "/api/v1", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]}}));
    }
    for budget in [
        json!({"maxUnavailable": 1}),
        json!({"maxUnavailable": "10%"}),
        json!({"minAvailable": "50%"}),
    ] {
        granted.push(json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": budget}));
    }
    granted
}
