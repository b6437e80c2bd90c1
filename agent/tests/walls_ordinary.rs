//! The walls let ordinary work through: people's, that of Kubernetes' own controllers, nodes and scheduler, and that of a
//! platform's controllers; and a tenant's roles reach no further than its namespaces. On a real control plane with nodes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

mod support;

use berth_fake::control_plane::{Binaries, ControlPlane, Options};
use http::Method;
use kube::Client;
use serde_json::{Value, json};
use support::nodes::{get, node};
use support::walls::{ADMIN, CONTROLLER, USER, VIEWER, compliant_pod, dry_run, made, merge, tenants};
use support::work::{granted_work, work};
use support::{Answer, apply, ask, ask_as, collection, create, install, manifest_options, refused, until};

#[tokio::test]
async fn ordinary_work_succeeds_and_controllers_nodes_and_the_scheduler_do_theirs() {
    let plane = ControlPlane::start(&Binaries::find().unwrap(), Options::default())
        .await
        .unwrap();
    install(&plane, &manifest_options()).await;
    let client = plane.client();
    nodes(&client).await;
    tenants(&plane).await;

    for namespace in ["plain", "pooled", "granting"] {
        for object in work(namespace) {
            made(
                &format!("{namespace} {}", object["kind"]),
                &ask_as(
                    &client,
                    Some(ADMIN),
                    Method::POST,
                    &collection(&object),
                    Some(&object),
                )
                .await,
            );
        }
    }
    for object in granted_work() {
        made(
            &format!("granted: {object}"),
            &dry_run(&client, Some(ADMIN), &object).await,
        );
    }
    balancers_take_no_node_ports(&client).await;
    users_work(&client).await;
    for (namespace, node) in [("plain", "plain"), ("pooled", "n1"), ("granting", "plain")] {
        controllers_finish(&client, &format!("t-{namespace}"), node).await;
    }
    nodes_project_tokens(&client).await;
    only_controllers_of_the_whole_cluster_write_status(&client).await;
    roles_reach_no_further(&client).await;
    things_end(&client).await;
    plane.stop().await;
}

/// A load balancer as everybody writes it, and one that asks for ports of the nodes: they get none.
async fn balancers_take_no_node_ports(client: &Client) {
    for says in [json!({}), json!({"allocateLoadBalancerNodePorts": true})] {
        let mut balancer = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "plain", "namespace": "t-granting"},
            "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}});
        merge(&mut balancer["spec"], &says);
        let answer = dry_run(client, Some(ADMIN), &balancer).await;
        made("a load balancer", &answer);
        assert_eq!(answer.1["spec"]["allocateLoadBalancerNodePorts"], false);
        assert_eq!(answer.1["spec"]["ports"][0]["nodePort"], Value::Null);
    }
}

/// One node for everybody, and two that are kept.
async fn nodes(client: &Client) {
    for (name, pool) in [("plain", None), ("n1", Some("p1")), ("n2", Some("p2"))] {
        node(client, name, pool, "32").await;
    }
}

/// A user without an administrator's rights works too.
async fn users_work(client: &Client) {
    for mut object in work("plain") {
        if object["kind"] == "ServiceAccount" {
            continue;
        }
        object["metadata"]["name"] = json!("by-a-user");
        made(
            &format!("a user's {}", object["kind"]),
            &dry_run(client, Some(USER), &object).await,
        );
    }
}

/// Everything that was asked for runs, and where it belongs.
async fn controllers_finish(client: &Client, namespace: &str, node: &str) {
    let apps = format!("/apis/apps/v1/namespaces/{namespace}");
    for (path, field) in [
        (format!("{apps}/deployments/web"), "availableReplicas"),
        (format!("{apps}/statefulsets/web"), "readyReplicas"),
        (format!("{apps}/daemonsets/web"), "numberReady"),
        (
            format!("/apis/batch/v1/namespaces/{namespace}/jobs/once"),
            "succeeded",
        ),
    ] {
        until(&format!("{path} is done"), async || {
            get(client, &path).await["status"][field]
                .as_u64()
                .is_some_and(|n| n > 0)
        })
        .await;
    }
    let daemons = get(client, &format!("{apps}/daemonsets/web")).await;
    assert_eq!(
        daemons["status"]["desiredNumberScheduled"], 1,
        "{namespace}: {daemons:#}"
    );
    let pods = get(client, &format!("/api/v1/namespaces/{namespace}/pods")).await;
    for pod in pods["items"].as_array().unwrap() {
        assert!(
            pod["spec"]["nodeName"].is_null() || pod["spec"]["nodeName"] == node,
            "{namespace}: {} runs on {}",
            pod["metadata"]["name"],
            pod["spec"]["nodeName"]
        );
    }
    until("the Service leads to pods", async || {
        let path = format!(
            "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector=kubernetes.io/service-name=web"
        );
        get(client, &path).await["items"][0]["endpoints"].is_array()
    })
    .await;
    let events = get(client, &format!("/api/v1/namespaces/{namespace}/events?limit=1")).await;
    assert_eq!(
        events["items"].as_array().map(Vec::len),
        Some(1),
        "{namespace}: nobody could write events"
    );
    // A CronJob's Job as its controller makes it, without the wait for the minute.
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "nightly-1", "namespace": namespace,
        "ownerReferences": [{"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "uid": "u", "controller": true, "blockOwnerDeletion": true}]},
        "spec": get(client, &format!("/apis/batch/v1/namespaces/{namespace}/cronjobs/nightly")).await["spec"]["jobTemplate"]["spec"]});
    let cron = Some("system:serviceaccount:kube-system:cronjob-controller");
    made("a CronJob's Job", &dry_run(client, cron, &job).await);
}

/// A node asks for the token of a pod that runs on it; nobody else does.
async fn nodes_project_tokens(client: &Client) {
    let pod = get(client, "/api/v1/namespaces/t-plain/pods/single").await;
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3607,
        "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "single", "uid": pod["metadata"]["uid"]}}});
    let path = "/api/v1/namespaces/t-plain/serviceaccounts/default/token";
    until("the node gets the token", async || {
        let node = Some("system:node:plain|system:nodes");
        ask_as(client, node, Method::POST, path, Some(&request)).await.0 == 201
    })
    .await;
    for person in [ADMIN, USER, VIEWER] {
        denied(
            person,
            &ask_as(client, Some(person), Method::POST, path, Some(&request)).await,
        );
    }
}

async fn only_controllers_of_the_whole_cluster_write_status(client: &Client) {
    let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web", "namespace": "t-plain"},
        "spec": {"rules": [{"host": "a.example", "http": {"paths": [
            {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]}});
    made(
        "an Ingress",
        &ask_as(
            client,
            Some(ADMIN),
            Method::POST,
            &collection(&ingress),
            Some(&ingress),
        )
        .await,
    );
    let rbac = "rbac.authorization.k8s.io";
    let subject = |name: &str| json!([{"kind": "ServiceAccount", "namespace": "default", "name": name}]);
    for object in [
        json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole", "metadata": {"name": "router"}, "rules": [
            {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses", "ingresses/status"], "verbs": ["get", "update", "patch"]}]}),
        json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": "router"},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "router"}, "subjects": subject("router")}),
        json!({"apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": {"name": "impostor", "namespace": "t-plain"},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "router"}, "subjects": subject("impostor")}),
    ] {
        made("a controller's rights", &create(client, &object).await);
    }
    let path = format!("{}/web/status", collection(&ingress));
    let says = json!({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}]}}});
    let finalizer = json!({"metadata": {"finalizers": ["router.example/addresses"]}});
    let by = async |name: &str, path: &str, patch: &Value| {
        let who = format!("system:serviceaccount:default:{name}");
        ask_as(
            client,
            Some(&who),
            Method::PATCH,
            &format!("{path}?dryRun=All"),
            Some(patch),
        )
        .await
    };
    until("the router may say where it serves", async || {
        by("router", &path, &says).await.0 == 200
    })
    .await;
    let itself = path.trim_end_matches("/status");
    made("the router's finalizer", &by("router", itself, &finalizer).await);
    denied("an impostor's status", &by("impostor", &path, &says).await);
    denied(
        "an impostor's finalizer",
        &by("impostor", itself, &finalizer).await,
    );
}

#[track_caller]
fn denied(what: &str, answer: &Answer) {
    assert!(refused(answer), "{what}: {} {:#}", answer.0, answer.1);
}

/// J7: the cluster, other namespaces and the list of tenants are out of reach; strangers can do nothing.
async fn roles_reach_no_further(client: &Client) {
    let deployer = "system:serviceaccount:t-plain:berth-deployer";
    for person in [ADMIN, USER, VIEWER, deployer] {
        for path in [
            "/api/v1/namespaces",
            "/api/v1/nodes",
            "/api/v1/persistentvolumes",
            "/api/v1/pods",
            "/api/v1/secrets",
            "/api/v1/namespaces/default/pods",
            "/api/v1/namespaces/kube-system/configmaps",
            "/api/v1/namespaces/berth-system/configmaps",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles",
            "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
            "/api/v1/namespaces/t-plain/pods/single/proxy/",
            "/api/v1/namespaces/t-plain/services/web/proxy/",
        ] {
            denied(
                &format!("{person} {path}"),
                &ask_as(client, Some(person), Method::GET, path, None).await,
            );
        }
        let pod = compliant_pod("plain", "x");
        for (name, group) in [("system:admin", "system:masters"), (CONTROLLER, "")] {
            // Who impersonates asks with a name in a name, which only the API server's own check can be asked about.
            let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {"user": person,
                "resourceAttributes": {"verb": "impersonate", "resource": if group.is_empty() {"serviceaccounts"} else {"groups"}, "name": name}}});
            let answer = ask(
                client,
                Method::POST,
                "/apis/authorization.k8s.io/v1/subjectaccessreviews",
                Some(&review),
            )
            .await;
            assert_eq!(
                answer.1["status"]["allowed"], false,
                "{person} impersonates {name}"
            );
        }
        let made = dry_run(client, Some(person), &pod).await;
        assert_eq!(made.0 < 300, person != VIEWER, "{person} makes a pod: {}", made.1);
    }
    for path in [
        "secrets",
        "secrets/password",
        "pods/single/exec?command=x",
        "pods/single/attach",
    ] {
        let path = format!("/api/v1/namespaces/t-plain/{path}");
        denied(
            &path,
            &ask_as(client, Some(VIEWER), Method::GET, &path, None).await,
        );
    }
    for stranger in [
        "eve",
        "system:anonymous|system:unauthenticated",
        "system:serviceaccount:t-plain:default",
        "system:serviceaccount:t-plain:workload",
        "system:serviceaccount:t-pooled:berth-deployer",
    ] {
        for path in [
            "pods",
            "configmaps",
            "secrets",
            "services",
            "events",
            "resourcequotas",
        ] {
            let path = format!("/api/v1/namespaces/t-plain/{path}");
            denied(
                &format!("{stranger} {path}"),
                &ask_as(client, Some(stranger), Method::GET, &path, None).await,
            );
        }
        let settings = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "t-plain"}});
        denied(stranger, &dry_run(client, Some(stranger), &settings).await);
    }
}

/// Evictions are heard, claims lose their protection, and a tenant's namespace goes with all that is in it.
async fn things_end(client: &Client) {
    // Of a pod that waits for a node nothing is to be ended, and no grace period is looked at.
    let slow = "/api/v1/namespaces/t-granting/pods/web-0?gracePeriodSeconds=86400";
    let answer = ask_as(client, Some(ADMIN), Method::DELETE, slow, None).await;
    denied("a day to end", &answer);
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "single", "namespace": "t-granting"}});
    let path = "/api/v1/namespaces/t-granting/pods/single/eviction";
    made(
        "an eviction",
        &ask_as(client, Some(ADMIN), Method::POST, path, Some(&eviction)).await,
    );
    let claim = "/api/v1/namespaces/t-granting/persistentvolumeclaims/data";
    made(
        "the end of a claim",
        &ask_as(client, Some(ADMIN), Method::DELETE, claim, None).await,
    );
    until("the claim is gone", async || {
        ask(client, Method::GET, claim, None).await.0 == 404
    })
    .await;
    // Its owner in the foreground: the collector's finalizer and the controllers' owner references.
    let set = "/apis/apps/v1/namespaces/t-granting/deployments/web";
    let foreground = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground"});
    made(
        "the end of a Deployment",
        &ask_as(client, Some(ADMIN), Method::DELETE, set, Some(&foreground)).await,
    );
    until("the Deployment is gone", async || {
        ask(client, Method::GET, set, None).await.0 == 404
    })
    .await;
    for namespace in ["t-plain", "t-pooled"] {
        let path = format!("/api/v1/namespaces/{namespace}");
        made(
            "the end of a namespace",
            &ask(client, Method::DELETE, &path, None).await,
        );
        until("the namespace is gone", async || {
            ask(client, Method::GET, &path, None).await.0 == 404
        })
        .await;
    }
    // And may come again.
    let again = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "t-plain", "labels": {"berth.dev/tenant": "plain"}}});
    made("the namespace again", &apply(client, &again).await);
}
