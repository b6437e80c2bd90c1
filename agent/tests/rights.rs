//! What the agent's account may do in a cluster that has its manifest, and what not: by asking a real API server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

mod support;

use http::Method;
use kube::Client;
use serde_json::{Value, json};
use support::{
    Answer, account, apply, ask, ask_as, control_plane, create, install, manifest_options, refused,
    tenant_namespace,
};

fn object(version: &str, kind: &str, namespace: &str, name: &str, tenant: &str, more: Value) -> Value {
    let mut object = json!({"apiVersion": version, "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": {"berth.dev/tenant": tenant}}});
    for (field, value) in more.as_object().unwrap() {
        object[field] = value.clone();
    }
    object
}

fn binding(namespace: &str, name: &str, role: &str, subject: Value) -> Value {
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role});
    let more = json!({"roleRef": role, "subjects": [subject]});
    object(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        namespace,
        name,
        "a",
        more,
    )
}

fn user(name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name})
}

fn service_account(namespace: &str, name: &str) -> Value {
    json!({"kind": "ServiceAccount", "namespace": namespace, "name": name})
}

#[track_caller]
fn allowed(what: &str, answer: &Answer) {
    assert!(answer.0 < 300, "{what}: {:#}", answer.1);
}

#[track_caller]
fn denied(what: &str, answer: &Answer) {
    assert!(refused(answer), "{what}: {} {:#}", answer.0, answer.1);
}

#[tokio::test]
async fn the_agent_can_do_what_it_must_and_nothing_beyond() {
    let plane = control_plane().await;
    install(&plane, &manifest_options()).await;
    let admin = plane.client();
    let agent = account(&plane, "berth-system", "berth-agent").await;

    what_it_must(&agent).await;
    let foreign = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "t-foreign"}});
    allowed("a namespace of somebody else", &create(&admin, &foreign).await);
    nowhere_else(&agent).await;
    no_rights_of_its_own_making(&agent).await;
    nobody_elses_name(&agent).await;
    nothing_to_read_that_is_secret(&agent).await;
    tokens_of_tenants_people_only(&admin, &agent).await;
    as_the_tenant(&admin, &agent).await;
    allowed(
        "delete a tenant's namespace",
        &ask(&agent, Method::DELETE, "/api/v1/namespaces/t-a", None).await,
    );
    plane.stop().await;
}

async fn what_it_must(agent: &Client) {
    allowed(
        "apply a tenant's namespace",
        &apply(agent, &tenant_namespace("t-a", "a", None)).await,
    );
    allowed(
        "apply it again",
        &apply(agent, &tenant_namespace("t-a", "a", Some("p"))).await,
    );
    let in_a = |version, kind, name, more| object(version, kind, "t-a", name, "a", more);
    for wanted in [
        in_a(
            "v1",
            "ResourceQuota",
            "berth",
            json!({"spec": {"hard": {"pods": "10"}}}),
        ),
        in_a("v1", "LimitRange", "berth", json!({"spec": {"limits": []}})),
        in_a(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            "default-deny",
            json!({"spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}),
        ),
        in_a(
            "v1",
            "ServiceAccount",
            "default",
            json!({"automountServiceAccountToken": false}),
        ),
        in_a("v1", "ServiceAccount", "berth-deployer", json!({})),
        in_a("v1", "ServiceAccount", "berth-admin", json!({})),
        in_a("v1", "ServiceAccount", "berth-user", json!({})),
        in_a("v1", "ServiceAccount", "berth-viewer", json!({})),
        binding(
            "t-a",
            "berth-deployer",
            "berth-tenant-admin",
            service_account("t-a", "berth-deployer"),
        ),
        binding("t-a", "admins", "berth-tenant-admin", user("alice")),
        binding("t-a", "users", "berth-tenant-user", user("bob")),
        binding(
            "t-a",
            "viewers",
            "berth-tenant-viewer",
            service_account("t-a--ci", "robot"),
        ),
    ] {
        allowed(&format!("apply {}", wanted["kind"]), &apply(agent, &wanted).await);
    }
    allowed(
        "delete a network policy",
        &ask(
            agent,
            Method::DELETE,
            "/apis/networking.k8s.io/v1/namespaces/t-a/networkpolicies/default-deny",
            None,
        )
        .await,
    );
    for path in [
        "/api/v1/nodes",
        "/api/v1/pods",
        "/api/v1/namespaces",
        "/api/v1/services",
        "/api/v1/configmaps",
        "/apis/apps/v1/deployments",
        "/apis/apps/v1/daemonsets",
        "/apis/apps/v1/statefulsets",
        "/apis/batch/v1/jobs",
        "/apis/batch/v1/cronjobs",
        "/apis/discovery.k8s.io/v1/endpointslices",
        "/apis/networking.k8s.io/v1/ingresses",
        "/apis/networking.k8s.io/v1/networkpolicies",
        "/apis/autoscaling/v2/horizontalpodautoscalers",
        "/apis/policy/v1/poddisruptionbudgets",
        "/api/v1/persistentvolumeclaims",
        "/apis/rbac.authorization.k8s.io/v1/rolebindings",
        "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies",
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
        "/version",
        "/readyz",
    ] {
        allowed(
            &format!("read {path}"),
            &ask(agent, Method::GET, path, None).await,
        );
    }
    let own = |version, kind, name, more: Value| object(version, kind, "berth-system", name, "", more);
    allowed(
        "its identity",
        &create(
            agent,
            &own(
                "v1",
                "Secret",
                "berth-agent-identity",
                json!({"stringData": {"x": "y"}}),
            ),
        )
        .await,
    );
    allowed(
        "its Lease",
        &create(
            agent,
            &own(
                "coordination.k8s.io/v1",
                "Lease",
                "berth-agent",
                json!({"spec": {"holderIdentity": "x"}}),
            ),
        )
        .await,
    );
    allowed(
        "its ledger",
        &create(
            agent,
            &own("v1", "ConfigMap", "ledger-a", json!({"data": {"x": "y"}})),
        )
        .await,
    );
    allowed(
        "its identity again",
        &ask(
            agent,
            Method::GET,
            "/api/v1/namespaces/berth-system/secrets/berth-agent-identity",
            None,
        )
        .await,
    );
    allowed(
        "forget",
        &ask(
            agent,
            Method::DELETE,
            "/api/v1/namespaces/berth-system/configmaps/ledger-a",
            None,
        )
        .await,
    );
}

async fn nowhere_else(agent: &Client) {
    let labels = json!({"metadata": {"labels": {"berth.dev/tenant": "a", "berth.dev/tenant-uid": "u1"}}});
    let other = json!({"metadata": {"labels": {"berth.dev/tenant": "b"}}});
    let none = json!({"metadata": {"labels": {"berth.dev/tenant": null}}});
    let quota = json!({"spec": {"hard": {"pods": "0"}}});
    denied(
        "a namespace outside",
        &create(agent, &tenant_namespace("prod", "a", None)).await,
    );
    denied(
        "an unlabelled namespace",
        &create(
            agent,
            &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "t-x"}}),
        )
        .await,
    );
    for namespace in ["kube-system", "default", "t-foreign", "berth-system"] {
        let path = format!("/api/v1/namespaces/{namespace}");
        denied(
            &format!("take over {namespace}"),
            &ask(agent, Method::PATCH, &path, Some(&labels)).await,
        );
        denied(
            &format!("delete {namespace}"),
            &ask(agent, Method::DELETE, &path, None).await,
        );
    }
    for namespace in ["kube-system", "default", "t-foreign"] {
        denied(
            "a quota there",
            &create(
                agent,
                &object("v1", "ResourceQuota", namespace, "q", "a", quota.clone()),
            )
            .await,
        );
        denied(
            "an account there",
            &create(
                agent,
                &object("v1", "ServiceAccount", namespace, "s", "a", json!({})),
            )
            .await,
        );
        denied(
            "a ConfigMap there",
            &create(agent, &object("v1", "ConfigMap", namespace, "c", "a", json!({}))).await,
        );
    }
    denied(
        "another tenant's label",
        &ask(agent, Method::PATCH, "/api/v1/namespaces/t-a", Some(&other)).await,
    );
    denied(
        "no tenant's label",
        &ask(agent, Method::PATCH, "/api/v1/namespaces/t-a", Some(&none)).await,
    );
    denied(
        "an object of another tenant",
        &create(agent, &object("v1", "ResourceQuota", "t-a", "q", "b", quota)).await,
    );
    let pod = object(
        "v1",
        "Pod",
        "t-a",
        "p",
        "a",
        json!({"spec": {"containers": [{"name": "c", "image": "i"}]}}),
    );
    denied("a pod", &create(agent, &pod).await);
    denied("nodes", &ask(agent, Method::DELETE, "/api/v1/nodes", None).await);
}

async fn no_rights_of_its_own_making(agent: &Client) {
    let rbac = "rbac.authorization.k8s.io/v1";
    let rules = json!({"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]});
    let mut cluster_role = object(rbac, "ClusterRole", "", "r", "a", rules.clone());
    cluster_role["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("namespace");
    denied("a ClusterRole", &create(agent, &cluster_role).await);
    cluster_role["metadata"]["name"] = json!("berth-tenant-admin");
    denied("the tenants' ClusterRole", &apply(agent, &cluster_role).await);
    denied(
        "a Role",
        &create(agent, &object(rbac, "Role", "t-a", "r", "a", rules)).await,
    );
    for role in ["cluster-admin", "admin", "edit", "view", "berth-agent"] {
        denied(
            role,
            &create(agent, &binding("t-a", "b", role, user("mallory"))).await,
        );
    }
    for (namespace, name) in [
        ("ci", "robot"),
        ("t-b", "workload"),
        ("t-ab", "workload"),
        ("kube-system", "default"),
    ] {
        let stranger = service_account(namespace, name);
        denied(
            "a role for an account that is not the tenant's",
            &create(agent, &binding("t-a", "b", "berth-tenant-viewer", stranger)).await,
        );
    }
    let itself = service_account("berth-system", "berth-agent");
    denied(
        "a role for itself",
        &create(agent, &binding("t-a", "b", "berth-tenant-admin", itself)).await,
    );
    for group in [
        "system:authenticated",
        "system:unauthenticated",
        "system:serviceaccounts",
        "system:masters",
    ] {
        let group = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group});
        denied(
            "a role for everybody",
            &create(agent, &binding("t-a", "b", "berth-tenant-viewer", group)).await,
        );
    }
    let mut cluster_binding = binding("t-a", "b", "berth-tenant-admin", user("mallory"));
    cluster_binding["kind"] = json!("ClusterRoleBinding");
    cluster_binding["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("namespace");
    denied("a ClusterRoleBinding", &create(agent, &cluster_binding).await);
    for kind in ["validatingadmissionpolicies", "validatingadmissionpolicybindings"] {
        for name in ["berth-agent-bounds", "berth-pool-bounds"] {
            let path = format!("/apis/admissionregistration.k8s.io/v1/{kind}/{name}");
            denied("its bounds", &ask(agent, Method::DELETE, &path, None).await);
        }
    }
    denied(
        "the pinning",
        &ask(
            agent,
            Method::DELETE,
            "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies/berth-pool-pinning",
            None,
        )
        .await,
    );
}

async fn nobody_elses_name(agent: &Client) {
    for name in [
        "system:serviceaccount:t-a:workload",
        "system:serviceaccount:kube-system:default",
        "alice",
        "system:admin",
        "system:node:n1",
    ] {
        let answer = ask_as(
            agent,
            Some(name),
            Method::GET,
            "/api/v1/namespaces/t-a/pods",
            None,
        )
        .await;
        denied(&format!("act as {name}"), &answer);
    }
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    for path in [
        "t-a/serviceaccounts/berth-deployer",
        "berth-system/serviceaccounts/berth-agent",
        "kube-system/serviceaccounts/default",
    ] {
        let path = format!("/api/v1/namespaces/{path}/token");
        denied(
            "mint a token",
            &ask(agent, Method::POST, &path, Some(&request)).await,
        );
    }
}

/// A token for the three accounts of a tenant's people, in a tenant's namespace, for 12 hours at most.
async fn tokens_of_tenants_people_only(admin: &Client, agent: &Client) {
    let request =
        |spec: Value| json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    let mint = async |namespace: &str, account: &str, spec: Value| {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        ask(agent, Method::POST, &path, Some(&request(spec))).await
    };
    for account in ["berth-admin", "berth-user", "berth-viewer"] {
        let minted = mint("t-a", account, json!({"expirationSeconds": 600})).await;
        allowed(account, &minted);
        assert!(minted.1["status"]["token"].is_string(), "{account}");
    }
    allowed(
        "12 hours",
        &mint("t-a", "berth-admin", json!({"expirationSeconds": 43_200})).await,
    );
    denied(
        "13 hours",
        &mint("t-a", "berth-admin", json!({"expirationSeconds": 46_800})).await,
    );
    denied("default", &mint("t-a", "default", json!({})).await);
    // Accounts of that name where no tenant is.
    for namespace in ["kube-system", "t-foreign", "berth-system"] {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "berth-admin", "namespace": namespace}});
        allowed("an account of somebody else", &create(admin, &account).await);
        denied(namespace, &mint(namespace, "berth-admin", json!({})).await);
    }
}

async fn nothing_to_read_that_is_secret(agent: &Client) {
    for path in [
        "/api/v1/secrets",
        "/api/v1/namespaces/t-a/secrets",
        "/api/v1/namespaces/kube-system/secrets",
        "/api/v1/namespaces/berth-system/secrets",
        "/api/v1/namespaces/berth-system/secrets/berth-agent-token",
        "/api/v1/namespaces/kube-system/configmaps/x/data",
        "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",
    ] {
        let answer = ask(agent, Method::GET, path, None).await;
        assert!(refused(&answer) || answer.0 == 404, "read {path}: {:#}", answer.1);
    }
}

/// Bundles are applied with the tenant admin's rights, and those do not reach the walls.
async fn as_the_tenant(admin: &Client, agent: &Client) {
    let deployer = Some("system:serviceaccount:t-a:berth-deployer");
    let post = async |path: &str, body: &Value| ask_as(agent, deployer, Method::POST, path, Some(body)).await;
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}});
    support::until("the deployer's binding is seen", async || {
        post("/api/v1/namespaces/t-a/configmaps?dryRun=All", &config)
            .await
            .0
            == 201
    })
    .await;
    allowed(
        "a bundle's ConfigMap",
        &post("/api/v1/namespaces/t-a/configmaps", &config).await,
    );
    let template =
        json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}});
    allowed(
        "a bundle's Deployment",
        &post("/apis/apps/v1/namespaces/t-a/deployments", &deployment).await,
    );
    denied(
        "another namespace",
        &post("/api/v1/namespaces/default/configmaps", &config).await,
    );
    denied(
        "another tenant's",
        &post("/api/v1/namespaces/t-foreign/configmaps", &config).await,
    );
    for (path, kind) in [
        ("/api/v1/namespaces/t-a/resourcequotas", "v1/ResourceQuota"),
        ("/api/v1/namespaces/t-a/limitranges", "v1/LimitRange"),
        (
            "/apis/networking.k8s.io/v1/namespaces/t-a/networkpolicies",
            "networking.k8s.io/v1/NetworkPolicy",
        ),
    ] {
        let (version, kind) = kind.rsplit_once('/').unwrap();
        denied(
            kind,
            &post(
                path,
                &json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x"}}),
            )
            .await,
        );
    }
    denied(
        "its own rights",
        &post(
            "/apis/rbac.authorization.k8s.io/v1/namespaces/t-a/rolebindings",
            &binding("t-a", "m", "berth-tenant-admin", user("m")),
        )
        .await,
    );
    let unlabel = json!({"metadata": {"labels": {"berth.dev/tenant": null}}});
    denied(
        "its namespace's labels",
        &ask_as(
            agent,
            deployer,
            Method::PATCH,
            "/api/v1/namespaces/t-a",
            Some(&unlabel),
        )
        .await,
    );

    for (name, writes, secrets) in [
        ("alice", true, true),
        ("bob", true, false),
        ("system:serviceaccount:t-a--ci:robot", false, false),
    ] {
        let as_user = async |method, path: &str, body: Option<&Value>| {
            ask_as(admin, Some(name), method, path, body).await
        };
        allowed(
            name,
            &as_user(Method::GET, "/api/v1/namespaces/t-a/pods", None).await,
        );
        allowed(name, &as_user(Method::GET, "/api/v1/namespaces/t-a", None).await);
        let write = as_user(
            Method::POST,
            "/api/v1/namespaces/t-a/configmaps?dryRun=All",
            Some(&json!({"metadata": {"name": "y"}})),
        )
        .await;
        assert_eq!(write.0 < 300, writes, "{name}: {write:?}");
        let secret = as_user(Method::GET, "/api/v1/namespaces/t-a/secrets", None).await;
        assert_eq!(secret.0 < 300, secrets, "{name}: {secret:?}");
        let exec = as_user(
            Method::POST,
            "/api/v1/namespaces/t-a/pods/none/exec?command=x",
            None,
        )
        .await;
        assert_eq!(exec.0 == 403, !writes, "{name}: {exec:?}");
        denied(
            name,
            &as_user(Method::DELETE, "/api/v1/namespaces/t-a", None).await,
        );
        denied(
            name,
            &as_user(
                Method::DELETE,
                "/api/v1/namespaces/t-a/resourcequotas/berth",
                None,
            )
            .await,
        );
        denied(
            name,
            &as_user(
                Method::DELETE,
                "/apis/rbac.authorization.k8s.io/v1/namespaces/t-a/rolebindings/berth-deployer",
                None,
            )
            .await,
        );
        denied(
            name,
            &as_user(Method::PATCH, "/api/v1/namespaces/t-a", Some(&unlabel)).await,
        );
    }
}
