//! Plain requests: creating, reading, replacing, patching, deleting, and every refusal on the way.

use serde_json::{Value, json};

use super::ask::Ask;
use super::pair::Pair;

fn named(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

#[tokio::test]
async fn objects_are_created_read_replaced_and_deleted() {
    let pair = Pair::bare().await;
    let base = pair.namespace("crud").await + "/configmaps";
    let path = format!("{base}/a");
    pair.code(404, Ask::get(&path)).await;
    pair.code(201, Ask::post(&base, named("a", json!({"a": "1"}))))
        .await;
    pair.code(409, Ask::post(&base, named("a", json!({"a": "1"}))))
        .await;
    pair.code(200, Ask::get(&path)).await;
    pair.code(200, Ask::put(&path, named("a", json!({"a": "2"}))))
        .await;
    let mut stale = named("a", json!({"a": "3"}));
    stale["metadata"]["resourceVersion"] = "1".into();
    pair.code(409, Ask::put(&path, stale)).await;
    let mut fresh = named("a", json!({"a": "3"}));
    fresh["metadata"]["resourceVersion"] = "$rv".into();
    pair.code(200, Ask::put(&path, fresh)).await;
    pair.refused(400, Ask::put(&path, named("b", json!({})))).await;
    let wrong = json!({"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}});
    pair.refused(409, Ask::delete(&path).with_body(wrong)).await;
    let right = json!({"preconditions": {"uid": "$uid"}});
    pair.code(200, Ask::delete(&path).with_body(right)).await;
    pair.code(404, Ask::delete(&path)).await;
    pair.code(404, Ask::put(&path, named("a", json!({})))).await;
    pair.code(404, Ask::merge(&path, "m", json!({}))).await;
}

#[tokio::test]
async fn what_is_no_object_of_the_kind_is_refused() {
    let pair = Pair::bare().await;
    let namespace = pair.namespace("refusals").await;
    let base = format!("{namespace}/configmaps");
    for body in [
        named("Not_a_name", json!({})),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}),
        named("a", json!({"no spaces": "1"})),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"x": "not a label!"}}}),
    ] {
        pair.refused(422, Ask::post(&base, body)).await;
    }
    for body in [
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "other"}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": 3}),
    ] {
        pair.refused(400, Ask::post(&base, body)).await;
    }
    let strict = format!("{base}?fieldValidation=Strict");
    pair.refused(
        400,
        Ask::post(
            &strict,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "dat": 1}),
        ),
    )
    .await;
    pair.refused(
        404,
        Ask::post("/api/v1/namespaces/nowhere/configmaps", named("a", json!({}))),
    )
    .await;
    pair.refused(404, Ask::get("/api/v1/nonsense")).await;
    pair.refused(405, Ask::post("/api/v1/configmaps", named("a", json!({}))))
        .await;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"selector": {"a": "b"}}});
    pair.refused(422, Ask::post(&format!("{namespace}/services"), service))
        .await;
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let pair = Pair::bare().await;
    let base = pair.namespace("dry-run").await + "/configmaps";
    pair.code(
        201,
        Ask::post(&format!("{base}?dryRun=All"), named("a", json!({}))),
    )
    .await;
    pair.code(404, Ask::get(format!("{base}/a"))).await;
    pair.code(201, Ask::post(&base, named("a", json!({})))).await;
    pair.code(
        200,
        Ask::merge(&format!("{base}/a?dryRun=All"), "m", json!({"data": {"x": "1"}})),
    )
    .await;
    pair.code(200, Ask::get(format!("{base}/a"))).await;
    pair.code(200, Ask::delete(format!("{base}/a?dryRun=All"))).await;
    pair.code(200, Ask::get(format!("{base}/a"))).await;
}

#[tokio::test]
async fn every_patch_type_does_what_it_says() {
    let pair = Pair::bare().await;
    pair.namespace("patches").await;
    let path = "/apis/apps/v1/namespaces/patches/deployments/web";
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "web:1"}, {"name": "log", "image": "log"}]},
            },
        },
    });
    pair.code(
        201,
        Ask::post("/apis/apps/v1/namespaces/patches/deployments", deployment),
    )
    .await;
    pair.code(
        200,
        Ask::merge(
            path,
            "m",
            json!({"spec": {"replicas": 3}, "metadata": {"labels": {"a": "b"}}}),
        ),
    )
    .await;
    let strategic =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "web:2"}]}}}});
    pair.code(
        200,
        Ask::patch(path, "application/strategic-merge-patch+json", strategic),
    )
    .await;
    let drop = json!({"spec": {"template": {"spec": {"containers": [{"name": "log", "$patch": "delete"}]}}}});
    pair.code(
        200,
        Ask::patch(path, "application/strategic-merge-patch+json", drop),
    )
    .await;
    let json_patch = json!([{"op": "test", "path": "/spec/replicas", "value": 3}, {"op": "replace", "path": "/spec/replicas", "value": 2}]);
    pair.code(
        200,
        Ask::patch(path, "application/json-patch+json", json_patch.clone()),
    )
    .await;
    pair.refused(422, Ask::patch(path, "application/json-patch+json", json_patch))
        .await;
    pair.refused(
        422,
        Ask::merge(
            path,
            "m",
            json!({"spec": {"selector": {"matchLabels": {"app": "other"}}}}),
        ),
    )
    .await;
    pair.refused(415, Ask::patch(path, "text/plain", json!({}))).await;
    let scaled = Ask::merge(&format!("{path}/scale"), "m", json!({"spec": {"replicas": 5}}));
    pair.code(200, scaled).await;
    pair.code(200, Ask::get(format!("{path}/scale"))).await;
    pair.code(200, Ask::get(path)).await;
    let status = json!({"status": {"replicas": 1, "conditions": [{"type": "Available", "status": "True", "lastUpdateTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}, "spec": {"replicas": 9}});
    pair.code(200, Ask::merge(&format!("{path}/status"), "m", status))
        .await;
}

#[tokio::test]
async fn deletion_waits_for_finalizers() {
    let pair = Pair::bare().await;
    let base = pair.namespace("finalizers").await + "/configmaps";
    let mut held = named("a", json!({}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    pair.code(201, Ask::post(&base, held)).await;
    let path = format!("{base}/a");
    pair.code(200, Ask::delete(&path)).await;
    pair.code(200, Ask::delete(&path)).await;
    let more = json!({"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}});
    pair.refused(422, Ask::merge(&path, "m", more)).await;
    pair.code(
        200,
        Ask::merge(&path, "m", json!({"metadata": {"finalizers": null}})),
    )
    .await;
    pair.code(404, Ask::get(&path)).await;
}

#[tokio::test]
async fn lists_are_selected_and_paged() {
    let pair = Pair::bare().await;
    let base = pair.namespace("lists").await + "/configmaps";
    for (name, label) in [("a", "x"), ("b", "y"), ("c", "x"), ("d", "z")] {
        let mut object = named(name, json!({}));
        object["metadata"]["labels"] = json!({"l": label});
        pair.code(201, Ask::post(&base, object)).await;
    }
    let names = |body: &Value| -> Vec<String> {
        let items = body["items"].as_array().expect("items").iter();
        items
            .map(|i| i["metadata"]["name"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    for query in [
        "",
        "labelSelector=l%3Dx",
        "labelSelector=l+in+(x,z)",
        "labelSelector=l!%3Dx",
        "labelSelector=!l",
        "fieldSelector=metadata.name%3Db",
        "labelSelector=l,l+notin+(y)",
    ] {
        let (real, embedded) = pair.ask(&Ask::get(format!("{base}?{query}"))).await;
        assert_eq!(
            (real.code, names(&real.body)),
            (embedded.code, names(&embedded.body)),
            "{query}"
        );
    }
    for client in [&pair.real, &pair.embedded] {
        let first = Ask::get(format!("{base}?limit=3")).send(client).await.body;
        assert_eq!(names(&first).len(), 3);
        assert_eq!(first["metadata"]["remainingItemCount"], 1);
        let next = first["metadata"]["continue"].as_str().expect("a token");
        let second = Ask::get(format!("{base}?limit=3&continue={next}"))
            .send(client)
            .await
            .body;
        assert_eq!(names(&second), ["d"]);
    }
    pair.refused(400, Ask::get(format!("{base}?fieldSelector=data.a%3Db")))
        .await;
    let partial = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    pair.code(200, Ask::get(format!("{base}/a")).accepting(partial))
        .await;
    let (real, embedded) = pair
        .ask(&Ask::delete(format!("{base}?labelSelector=l%3Dx")))
        .await;
    assert_eq!((real.code, embedded.code), (200, 200));
    let (real, embedded) = pair.ask(&Ask::get(base)).await;
    assert_eq!(
        (names(&real.body), names(&embedded.body)),
        (vec!["b".into(), "d".into()], vec!["b".into(), "d".into()])
    );
}

#[tokio::test]
async fn defaults_are_filled_in_as_the_apiserver_does() {
    let pair = Pair::bare().await;
    let core = pair.namespace("defaults").await;
    let of = |group: &str, plural: &str| format!("/apis/{group}/namespaces/defaults/{plural}");
    let pod = json!({
        "containers": [{
            "name": "a", "image": "a", "ports": [{"containerPort": 80}],
            "readinessProbe": {"httpGet": {"port": 80}},
            "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}},
        }],
        "volumes": [{"name": "s", "secret": {"secretName": "s"}}, {"name": "e"}],
        "serviceAccountName": "x",
    });
    let template = json!({"metadata": {"labels": {"app": "a"}}, "spec": pod});
    let selector = json!({"matchLabels": {"app": "a"}});
    let rows = [
        (
            format!("{core}/services"),
            json!({"kind": "Service", "apiVersion": "v1", "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}}),
        ),
        (
            format!("{core}/secrets"),
            json!({"kind": "Secret", "apiVersion": "v1", "stringData": {"a": "b"}}),
        ),
        (
            format!("{core}/resourcequotas"),
            json!({"kind": "ResourceQuota", "apiVersion": "v1", "spec": {"hard": {"requests.cpu": "2000m", "pods": 5, "memory": "1024Mi"}}}),
        ),
        (
            format!("{core}/serviceaccounts"),
            json!({"kind": "ServiceAccount", "apiVersion": "v1", "automountServiceAccountToken": false}),
        ),
        (
            format!("{core}/limitranges"),
            json!({"kind": "LimitRange", "apiVersion": "v1", "spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "default": {"memory": "1Gi"}, "min": {"cpu": "10m"}}]}}),
        ),
        (
            of("apps/v1", "deployments"),
            json!({"kind": "Deployment", "apiVersion": "apps/v1", "spec": {"selector": selector, "template": template}}),
        ),
        (
            of("apps/v1", "statefulsets"),
            json!({"kind": "StatefulSet", "apiVersion": "apps/v1", "spec": {"serviceName": "s", "selector": selector, "template": template}}),
        ),
        (
            of("apps/v1", "daemonsets"),
            json!({"kind": "DaemonSet", "apiVersion": "apps/v1", "spec": {"selector": selector, "template": template}}),
        ),
        (
            of("batch/v1", "cronjobs"),
            json!({"kind": "CronJob", "apiVersion": "batch/v1", "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a:1"}]}}}}}}),
        ),
        (
            of("networking.k8s.io/v1", "networkpolicies"),
            json!({"kind": "NetworkPolicy", "apiVersion": "networking.k8s.io/v1", "spec": {"podSelector": {}, "egress": [{"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}]}]}}),
        ),
        (
            of("rbac.authorization.k8s.io/v1", "rolebindings"),
            json!({"kind": "RoleBinding", "apiVersion": "rbac.authorization.k8s.io/v1", "roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "Group", "name": "g"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}]}),
        ),
        (
            of("rbac.authorization.k8s.io/v1", "roles"),
            json!({"kind": "Role", "apiVersion": "rbac.authorization.k8s.io/v1", "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}),
        ),
        (
            of("policy/v1", "poddisruptionbudgets"),
            json!({"kind": "PodDisruptionBudget", "apiVersion": "policy/v1", "spec": {"minAvailable": 1, "selector": selector}}),
        ),
        (
            of("coordination.k8s.io/v1", "leases"),
            json!({"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "spec": {"holderIdentity": "x", "leaseDurationSeconds": 10}}),
        ),
    ];
    for (path, mut body) in rows {
        body["metadata"] = json!({"name": "a"});
        pair.code(201, Ask::post(&path, body.clone())).await;
        body["metadata"]["name"] = "b".into();
        pair.code(201, Ask::apply(&format!("{path}/b"), "applier", body))
            .await;
    }
    let class = json!({"kind": "PriorityClass", "apiVersion": "scheduling.k8s.io/v1", "metadata": {"name": "defaults"}, "value": 7});
    pair.code(
        201,
        Ask::post("/apis/scheduling.k8s.io/v1/priorityclasses", class),
    )
    .await;
}

#[tokio::test]
async fn namespaces_get_their_name_as_a_label() {
    let pair = Pair::bare().await;
    let path = "/api/v1/namespaces/labelled";
    let body = |labels: Value| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "labelled", "labels": labels}});
    pair.code(201, Ask::apply(path, "one", body(json!({"a": "1"}))))
        .await;
    pair.code(200, Ask::apply(path, "one", body(json!({"b": "1"}))))
        .await;
    pair.code(
        200,
        Ask::merge(
            path,
            "m",
            json!({"metadata": {"labels": {"kubernetes.io/metadata.name": null}}}),
        ),
    )
    .await;
    pair.code(200, Ask::get(path)).await;
}

#[tokio::test]
async fn discovery_names_what_is_served() {
    let pair = Pair::bare().await;
    for path in [
        "/api/v1",
        "/apis/apps/v1",
        "/apis/rbac.authorization.k8s.io/v1",
        "/apis/networking.k8s.io/v1",
    ] {
        let (real, embedded) = pair.ask(&Ask::get(path)).await;
        for row in embedded.body["resources"].as_array().expect("resources") {
            let name = &row["name"];
            let real = real.body["resources"]
                .as_array()
                .expect("resources")
                .iter()
                .find(|r| r["name"] == *name);
            let real = real.unwrap_or_else(|| panic!("{name} is not served by a real one"));
            for key in ["kind", "namespaced", "singularName", "shortNames"] {
                assert_eq!(row[key], real[key], "{name} {key}");
            }
        }
    }
    for path in ["/healthz", "/livez", "/readyz"] {
        pair.code(200, Ask::get(path)).await;
    }
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let (real, embedded) = pair
        .ask(&Ask::post(
            "/apis/authentication.k8s.io/v1/selfsubjectreviews",
            review,
        ))
        .await;
    assert_eq!((real.code, embedded.code), (201, 201));
}
