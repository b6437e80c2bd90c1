//! An agent that somebody else has taken over: each way to more than it has, tried with its account's own token on a real API server, and
//! the wall that refuses it.
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
    account, apply, ask, ask_as, control_plane, create, install, manifest_options, refused, tenant_namespace,
    until,
};

/// Its rights: RBAC says what it cannot.
const RIGHTS: &str = "cannot ";
/// RBAC lets nobody give what it has not and may not bind.
const BINDING: &str = "attempting to grant RBAC permissions not currently held";
/// The policy that bounds it.
const BOUNDS: &str = "'berth-agent-bounds'";
/// Kubernetes' own rule for its own namespaces.
const LIFECYCLE: &str = "this namespace may not be deleted";
/// The policies for tenants' pods.
const PODS: &str = "'berth-pods'";
const POD_SECURITY: &str = "'berth-pod-security'";
const TOKENS: &str = "'berth-secrets'";

/// A way to more.
struct Path {
    what: &'static str,
    wall: &'static str,
    /// As whom, when not as itself: `USER` or `USER|GROUP`.
    user: Option<&'static str>,
    method: Method,
    path: &'static str,
    body: Value,
}

fn path(what: &'static str, wall: &'static str, method: Method, path: &'static str, body: Value) -> Path {
    Path {
        what,
        wall,
        user: None,
        method,
        path,
        body,
    }
}

fn post(what: &'static str, wall: &'static str, at: &'static str, body: Value) -> Path {
    path(what, wall, Method::POST, at, body)
}

fn get(what: &'static str, at: &'static str) -> Path {
    path(what, RIGHTS, Method::GET, at, Value::Null)
}

fn patch(what: &'static str, wall: &'static str, at: &'static str, body: Value) -> Path {
    path(what, wall, Method::PATCH, at, body)
}

fn posing(what: &'static str, user: &'static str) -> Path {
    Path {
        user: Some(user),
        ..get(what, "/api/v1/namespaces/t-a/secrets")
    }
}

fn as_deployer(what: &'static str, wall: &'static str, at: &'static str, body: Value) -> Path {
    Path {
        user: Some("system:serviceaccount:t-a:berth-deployer"),
        ..post(what, wall, at, body)
    }
}

fn named(name: &str) -> Value {
    json!({"name": name, "labels": {"berth.dev/tenant": "a"}})
}

fn binding(role: &str, subject: Value) -> Value {
    json!({"metadata": named("more"), "subjects": [subject],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}})
}

fn subject(kind: &str, name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name})
}

fn itself() -> Value {
    json!({"kind": "ServiceAccount", "namespace": "berth-system", "name": "berth-agent"})
}

fn pod(spec: Value) -> Value {
    let mut spec = spec;
    if spec["containers"].is_null() {
        spec["containers"] = json!([{"name": "c", "image": "i"}]);
    }
    json!({"metadata": named("p"), "spec": spec})
}

fn rights() -> Vec<Path> {
    let bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces";
    let at = |namespace: &str| -> &'static str { format!("{bindings}/{namespace}/rolebindings").leak() };
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let rules = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
    vec![
        post(
            "bind itself as a tenant's administrator in kube-system",
            BOUNDS,
            at("kube-system"),
            binding("berth-tenant-admin", itself()),
        ),
        post(
            "bind a stranger in kube-system",
            BOUNDS,
            at("kube-system"),
            binding("berth-tenant-admin", subject("User", "mallory")),
        ),
        post(
            "bind a stranger in its own namespace, where its key is",
            BOUNDS,
            at("berth-system"),
            binding("berth-tenant-admin", subject("User", "mallory")),
        ),
        post(
            "bind cluster-admin in a tenant's namespace",
            BINDING,
            at("t-a"),
            binding("cluster-admin", subject("User", "mallory")),
        ),
        post(
            "bind itself in a tenant's namespace, to read its Secrets",
            BOUNDS,
            at("t-a"),
            binding("berth-tenant-admin", itself()),
        ),
        post(
            "bind a group of the system",
            BOUNDS,
            at("t-a"),
            binding("berth-tenant-admin", subject("Group", "system:serviceaccounts")),
        ),
        post(
            "bind a user of the system",
            BOUNDS,
            at("t-a"),
            binding(
                "berth-tenant-admin",
                subject("User", "system:kube-controller-manager"),
            ),
        ),
        post(
            "bind itself by the name of its user",
            BOUNDS,
            at("t-a"),
            binding(
                "berth-tenant-admin",
                subject("User", "system:serviceaccount:berth-system:berth-agent"),
            ),
        ),
        post(
            "bind itself to the whole cluster",
            RIGHTS,
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            binding("cluster-admin", itself()),
        ),
        post(
            "make a ClusterRole of everything",
            RIGHTS,
            roles,
            json!({"metadata": named("more"), "rules": rules}),
        ),
        post(
            "make a ClusterRole that is aggregated into others",
            RIGHTS,
            roles,
            json!({"metadata": {"name": "more", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}}, "rules": rules}),
        ),
        patch(
            "widen its own ClusterRole",
            RIGHTS,
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/berth-agent",
            json!({"rules": rules}),
        ),
        patch(
            "widen the role it may bind",
            RIGHTS,
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/berth-tenant-admin",
            json!({"rules": rules}),
        ),
        post(
            "make a Role in a tenant's namespace",
            RIGHTS,
            "/apis/rbac.authorization.k8s.io/v1/namespaces/t-a/roles",
            json!({"metadata": named("more"), "rules": rules}),
        ),
        post(
            "have a certificate signed",
            RIGHTS,
            "/apis/certificates.k8s.io/v1/certificatesigningrequests",
            json!({"metadata": named("more"), "spec": {"request": "", "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]}}),
        ),
        patch(
            "approve a certificate",
            RIGHTS,
            "/apis/certificates.k8s.io/v1/certificatesigningrequests/more/approval",
            json!({"status": {}}),
        ),
    ]
}

fn names() -> Vec<Path> {
    let request =
        |spec: Value| json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    let secret = |name: &str, account: &str| {
        json!({"metadata": {"name": name, "labels": {"berth.dev/tenant": "a"},
        "annotations": {"kubernetes.io/service-account.name": account}}, "type": "kubernetes.io/service-account-token"})
    };
    vec![
        posing("act as a member of system:masters", "mallory|system:masters"),
        posing(
            "act as the tenant's deployer in system:masters",
            "system:serviceaccount:t-a:berth-deployer|system:masters",
        ),
        posing("act as a person of the tenant", "alice"),
        posing(
            "act as a controller",
            "system:serviceaccount:kube-system:generic-garbage-collector",
        ),
        posing("act as a node", "system:node:n1"),
        posing(
            "act as another account of the tenant",
            "system:serviceaccount:t-a:berth-admin",
        ),
        posing(
            "act as a deployer of no tenant",
            "system:serviceaccount:kube-system:berth-deployer",
        ),
        post(
            "a token for itself that lasts",
            RIGHTS,
            "/api/v1/namespaces/berth-system/serviceaccounts/berth-agent/token",
            request(json!({"expirationSeconds": 31_536_000})),
        ),
        post(
            "a token for a controller",
            RIGHTS,
            "/api/v1/namespaces/kube-system/serviceaccounts/generic-garbage-collector/token",
            request(json!({})),
        ),
        post(
            "a token for the tenant's workload",
            RIGHTS,
            "/api/v1/namespaces/t-a/serviceaccounts/default/token",
            request(json!({})),
        ),
        post(
            "a token of a week for the tenant's administrator",
            BOUNDS,
            "/api/v1/namespaces/t-a/serviceaccounts/berth-admin/token",
            request(json!({"expirationSeconds": 604_800})),
        ),
        post(
            "a Secret that gets an everlasting token of its account",
            BOUNDS,
            "/api/v1/namespaces/berth-system/secrets",
            secret("lasting", "berth-agent"),
        ),
        as_deployer(
            "a Secret that gets a token of the tenant's administrator",
            TOKENS,
            "/api/v1/namespaces/t-a/secrets",
            secret("lasting", "berth-admin"),
        ),
    ]
}

fn places() -> Vec<Path> {
    let labels = json!({"metadata": {"labels": {"berth.dev/tenant": "a", "berth.dev/tenant-uid": "u1"}}});
    let finalizers = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "t-a"}, "spec": {"finalizers": []}});
    vec![
        patch(
            "label a foreign namespace as a tenant's",
            BOUNDS,
            "/api/v1/namespaces/t-foreign",
            labels.clone(),
        ),
        patch(
            "label kube-system as a tenant's",
            BOUNDS,
            "/api/v1/namespaces/kube-system",
            labels,
        ),
        patch(
            "give a tenant's namespace to another tenant",
            BOUNDS,
            "/api/v1/namespaces/t-a",
            json!({"metadata": {"labels": {"berth.dev/tenant": "b"}}}),
        ),
        patch(
            "take the walls from a tenant's namespace",
            BOUNDS,
            "/api/v1/namespaces/t-a",
            json!({"metadata": {"labels": {"berth.dev/tenant": null}}}),
        ),
        path(
            "empty a namespace's finalizers",
            RIGHTS,
            Method::PUT,
            "/api/v1/namespaces/t-a/finalize",
            finalizers,
        ),
        path(
            "delete kube-system",
            LIFECYCLE,
            Method::DELETE,
            "/api/v1/namespaces/kube-system",
            Value::Null,
        ),
        path(
            "delete a foreign namespace",
            BOUNDS,
            Method::DELETE,
            "/api/v1/namespaces/t-foreign",
            Value::Null,
        ),
        patch(
            "change its own account",
            BOUNDS,
            "/api/v1/namespaces/berth-system/serviceaccounts/berth-agent",
            json!({"secrets": [{"name": "x"}]}),
        ),
        path(
            "delete its own account",
            BOUNDS,
            Method::DELETE,
            "/api/v1/namespaces/berth-system/serviceaccounts/berth-agent",
            Value::Null,
        ),
        post(
            "starve its own namespace by a quota",
            BOUNDS,
            "/api/v1/namespaces/berth-system/resourcequotas",
            json!({"metadata": named("q"), "spec": {"hard": {"pods": "0"}}}),
        ),
        post(
            "starve kube-system by a quota",
            BOUNDS,
            "/api/v1/namespaces/kube-system/resourcequotas",
            json!({"metadata": named("q"), "spec": {"hard": {"pods": "0"}}}),
        ),
        patch(
            "change its own Deployment",
            RIGHTS,
            "/apis/apps/v1/namespaces/berth-system/deployments/berth-agent",
            json!({"spec": {"replicas": 2}}),
        ),
    ]
}

fn pods() -> Vec<Path> {
    let host = json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]});
    let privileged =
        json!({"containers": [{"name": "c", "image": "i", "securityContext": {"privileged": true}}]});
    vec![
        post(
            "a pod in kube-system",
            RIGHTS,
            "/api/v1/namespaces/kube-system/pods",
            pod(json!({})),
        ),
        post(
            "a pod in its own namespace, which could mount its key",
            RIGHTS,
            "/api/v1/namespaces/berth-system/pods",
            pod(json!({})),
        ),
        post(
            "a pod in a tenant's namespace",
            RIGHTS,
            "/api/v1/namespaces/t-a/pods",
            pod(host.clone()),
        ),
        as_deployer(
            "a pod with the host's files, as the tenant's deployer",
            PODS,
            "/api/v1/namespaces/t-a/pods",
            pod(host),
        ),
        as_deployer(
            "a pod in the host's network, as the tenant's deployer",
            PODS,
            "/api/v1/namespaces/t-a/pods",
            pod(json!({"hostNetwork": true})),
        ),
        as_deployer(
            "a privileged pod, as the tenant's deployer",
            POD_SECURITY,
            "/api/v1/namespaces/t-a/pods",
            pod(privileged),
        ),
        as_deployer(
            "a pod in kube-system, as the tenant's deployer",
            RIGHTS,
            "/api/v1/namespaces/kube-system/pods",
            pod(json!({})),
        ),
        post(
            "run a command in a tenant's pod",
            RIGHTS,
            "/api/v1/namespaces/t-a/pods/p/exec?command=sh",
            Value::Null,
        ),
        post(
            "attach to a tenant's pod",
            RIGHTS,
            "/api/v1/namespaces/t-a/pods/p/attach",
            Value::Null,
        ),
        post(
            "forward a port of a tenant's pod",
            RIGHTS,
            "/api/v1/namespaces/t-a/pods/p/portforward",
            Value::Null,
        ),
        patch(
            "put a container for debugging into a tenant's pod",
            RIGHTS,
            "/api/v1/namespaces/t-a/pods/p/ephemeralcontainers",
            json!({"spec": {}}),
        ),
        get("read a tenant's logs", "/api/v1/namespaces/t-a/pods/p/log"),
        get(
            "reach a tenant's pod by the proxy",
            "/api/v1/namespaces/t-a/pods/p/proxy/",
        ),
        get(
            "reach a kubelet by the proxy of nodes",
            "/api/v1/nodes/n1/proxy/pods",
        ),
        post(
            "bind a pod to a node",
            RIGHTS,
            "/api/v1/namespaces/t-a/pods/p/binding",
            json!({"target": {"name": "n1"}}),
        ),
    ]
}

fn secrets() -> Vec<Path> {
    vec![
        get("list all Secrets", "/api/v1/secrets"),
        get("list a tenant's Secrets", "/api/v1/namespaces/t-a/secrets"),
        get(
            "read a tenant's Secret",
            "/api/v1/namespaces/t-a/secrets/database",
        ),
        get(
            "read a Secret of kube-system",
            "/api/v1/namespaces/kube-system/secrets/x",
        ),
        get(
            "watch a tenant's Secrets",
            "/api/v1/namespaces/t-a/secrets?watch=true",
        ),
        post(
            "write a tenant's Secret",
            RIGHTS,
            "/api/v1/namespaces/t-a/secrets",
            json!({"metadata": named("s")}),
        ),
        path(
            "delete a tenant's Secrets",
            RIGHTS,
            Method::DELETE,
            "/api/v1/namespaces/t-a/secrets",
            Value::Null,
        ),
    ]
}

fn walls() -> Vec<Path> {
    let policies = "/apis/admissionregistration.k8s.io/v1";
    let at = |rest: &str| -> &'static str { format!("{policies}/{rest}").leak() };
    vec![
        path(
            "delete the policy that bounds it",
            RIGHTS,
            Method::DELETE,
            at("validatingadmissionpolicies/berth-agent-bounds"),
            Value::Null,
        ),
        patch(
            "let the policy that bounds it only warn",
            RIGHTS,
            at("validatingadmissionpolicybindings/berth-agent-bounds"),
            json!({"spec": {"validationActions": ["Warn"]}}),
        ),
        path(
            "delete the binding of the walls of pods",
            RIGHTS,
            Method::DELETE,
            at("validatingadmissionpolicybindings/berth-pods"),
            Value::Null,
        ),
        post(
            "a webhook that sees every Secret",
            RIGHTS,
            at("mutatingwebhookconfigurations"),
            json!({"metadata": named("w"), "webhooks": []}),
        ),
        post(
            "a policy that changes pods",
            RIGHTS,
            at("mutatingadmissionpolicies"),
            json!({"metadata": named("w")}),
        ),
        post(
            "an API server of its own",
            RIGHTS,
            "/apis/apiregistration.k8s.io/v1/apiservices",
            json!({"metadata": {"name": "v1.x"}}),
        ),
        post(
            "a kind of its own",
            RIGHTS,
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            json!({"metadata": {"name": "x.y"}}),
        ),
        post(
            "a PriorityClass above all",
            RIGHTS,
            "/apis/scheduling.k8s.io/v1/priorityclasses",
            json!({"metadata": {"name": "above"}, "value": 1_000_000_000}),
        ),
        patch(
            "give a node another label",
            RIGHTS,
            "/api/v1/nodes/n1",
            json!({"metadata": {"labels": {"x": "y"}}}),
        ),
        post(
            "a volume of the host",
            RIGHTS,
            "/api/v1/persistentvolumes",
            json!({"metadata": {"name": "v"}}),
        ),
        post(
            "take a controller's place by its Lease",
            RIGHTS,
            "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases",
            json!({"metadata": {"name": "x"}}),
        ),
    ]
}

async fn tried(agent: &Client, attempt: &Path) -> Result<(), String> {
    let body = (!attempt.body.is_null()).then_some(&attempt.body);
    let answer = ask_as(agent, attempt.user, attempt.method.clone(), attempt.path, body).await;
    let message = answer.1["message"].as_str().unwrap_or_default();
    if refused(&answer) && message.contains(attempt.wall) {
        return Ok(());
    }
    Err(format!(
        "{}: meant is {}, the answer {} {message}",
        attempt.what, attempt.wall, answer.0
    ))
}

#[tokio::test]
async fn an_agent_that_was_taken_over_gains_nothing_by_any_known_way() {
    let plane = control_plane().await;
    install(&plane, &manifest_options()).await;
    let admin = plane.client();
    let agent = account(&plane, "berth-system", "berth-agent").await;
    for object in [
        tenant_namespace("t-a", "a", None),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "berth-admin", "namespace": "t-a", "labels": {"berth.dev/tenant": "a"}}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "t-a", "labels": {"berth.dev/tenant": "a"}}}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "berth-deployer", "namespace": "t-a", "labels": {"berth.dev/tenant": "a"}},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "berth-tenant-admin"},
            "subjects": [{"kind": "ServiceAccount", "namespace": "t-a", "name": "berth-deployer"}]}),
    ] {
        let answer = apply(&agent, &object).await;
        assert!(answer.0 < 300, "{answer:?}");
    }
    let foreign = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "t-foreign"}});
    assert!(create(&admin, &foreign).await.0 < 300);
    let config = json!({"metadata": {"name": "c"}});
    until("the deployer may work", async || {
        let deployer = Some("system:serviceaccount:t-a:berth-deployer");
        let at = "/api/v1/namespaces/t-a/configmaps?dryRun=All";
        ask_as(&agent, deployer, Method::POST, at, Some(&config)).await.0 == 201
    })
    .await;
    // A wall that is not in force yet would be taken for none.
    let all = [rights(), names(), places(), pods(), secrets(), walls()];
    let all: Vec<Path> = all.into_iter().flatten().collect();
    for attempt in all.iter().filter(|attempt| attempt.wall != RIGHTS) {
        let dry = Path {
            path: format!("{}?dryRun=All", attempt.path).leak(),
            what: attempt.what,
            wall: attempt.wall,
            user: attempt.user,
            method: attempt.method.clone(),
            body: attempt.body.clone(),
        };
        until(attempt.what, async || tried(&agent, &dry).await.is_ok()).await;
    }

    assert!(all.len() >= 60, "{}", all.len());
    let mut gained = Vec::new();
    for attempt in &all {
        if let Err(how) = tried(&agent, attempt).await {
            gained.push(how);
        }
    }
    assert!(
        gained.is_empty(),
        "{} of {} ways:\n{}",
        gained.len(),
        all.len(),
        gained.join("\n")
    );
    may_not(&agent).await;
    plane.stop().await;
}

/// What the API server itself says that it may not (SelfSubjectAccessReview).
async fn may_not(agent: &Client) {
    for (verb, group, resource, namespace) in [
        ("get", "", "secrets", "kube-system"),
        ("list", "", "secrets", "t-a"),
        ("list", "", "secrets", ""),
        ("create", "", "pods", "t-a"),
        ("create", "", "pods/exec", "t-a"),
        ("create", "", "nodes/proxy", ""),
        ("get", "", "pods/log", "t-a"),
        ("create", "rbac.authorization.k8s.io", "clusterrolebindings", ""),
        ("escalate", "rbac.authorization.k8s.io", "clusterroles", ""),
        ("bind", "rbac.authorization.k8s.io", "clusterroles", ""),
        ("create", "rbac.authorization.k8s.io", "roles", "t-a"),
        ("impersonate", "", "users", ""),
        ("impersonate", "", "groups", ""),
        ("impersonate", "", "serviceaccounts", "t-a"),
        ("create", "", "serviceaccounts/token", "t-a"),
        (
            "update",
            "admissionregistration.k8s.io",
            "validatingadmissionpolicies",
            "",
        ),
        (
            "create",
            "admissionregistration.k8s.io",
            "mutatingwebhookconfigurations",
            "",
        ),
        ("approve", "certificates.k8s.io", "signers", ""),
        ("create", "apiextensions.k8s.io", "customresourcedefinitions", ""),
        ("patch", "apps", "deployments", "berth-system"),
        ("*", "*", "*", ""),
    ] {
        let (resource, sub) = resource.split_once('/').unwrap_or((resource, ""));
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"verb": verb, "group": group, "resource": resource, "subresource": sub, "namespace": namespace}}});
        let answer = ask(
            agent,
            Method::POST,
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            Some(&review),
        )
        .await;
        assert_eq!(
            answer.1["status"]["allowed"], false,
            "{verb} {group}/{resource}/{sub} in {namespace:?}"
        );
    }
}
