//! `berth kubeconfig`: what it prints and writes, and what it refuses.

use berth_proto::v1;
use serde_json::Value;

use crate::{hub::Hub, hub::tenant, two_tenants};

async fn hub() -> Hub {
    let hub = two_tenants().await;
    hub.change(|state| {
        let stranded = v1::Tenant {
            name: "tenants/stranded".into(),
            ..tenant("stranded", "free", true)
        };
        state.tenants.insert("stranded".into(), stranded);
    });
    hub
}

#[tokio::test]
async fn a_kubeconfig_is_printed_with_a_token_of_the_role_that_was_asked_for() {
    let hub = hub().await;
    let text = hub
        .berth("kubeconfig tenant acme --as viewer --lifetime 15m --namespace dev")
        .await
        .well();
    for line in [
        "# berth kubeconfig tenant acme --as viewer: its token is valid until 2096-10-02T07:06:40Z",
        "kind: Config",
        "    server: https://api.eu-1.example:6443",
        "    token: token-of-acme-viewer-for-900",
        "current-context: viewer@t-acme--dev",
    ] {
        assert!(text.lines().any(|one| one == line), "no {line:?} in\n{text}");
    }
}

#[tokio::test]
async fn with_exec_the_kubeconfig_holds_no_token_and_asks_this_program_with_this_context() {
    let hub = hub().await;
    let text = hub.berth("kubeconfig tenant/acme --exec").await.well();
    assert!(!text.contains("token-of"), "{text}");
    for word in [
        "client.authentication.k8s.io/v1",
        "interactiveMode: Never",
        "--context-file",
        "context.yaml",
        "tenant/acme",
    ] {
        assert!(text.contains(word), "no {word} in\n{text}");
    }
}

#[tokio::test]
async fn a_credential_is_what_kubectl_reads_from_an_exec_plugin() {
    let hub = hub().await;
    let printed = hub
        .berth("kubeconfig credential tenant acme --as user")
        .await
        .well();
    let credential: Value = serde_json::from_str(&printed).unwrap();
    let expected = serde_json::json!({
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"expirationTimestamp": "2096-10-02T07:06:40Z", "token": "token-of-acme-user-for-3600"},
    });
    assert_eq!(credential, expected);
}

#[tokio::test]
async fn a_kubeconfig_goes_into_a_file_without_being_shown_and_over_nobody_elses() {
    let hub = hub().await;
    let file = hub.file("acme.kubeconfig", "");
    let ran = hub.berth(&format!("kubeconfig tenant acme --file {file}")).await;
    let said = format!("{}{}", ran.out, ran.err);
    ran.well();
    assert!(
        said.contains(&file) && said.contains("valid until") && !said.contains("token-of"),
        "{said}"
    );
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("token-of-acme-admin-for-3600"), "{text}");

    let own = hub.file("config", "apiVersion: v1\nkind: Config\n");
    let refused = hub
        .berth(&format!("kubeconfig tenant acme --file {own}"))
        .await
        .failed(5);
    assert!(refused.contains("name another file"), "{refused}");
    assert_eq!(
        std::fs::read_to_string(&own).unwrap(),
        "apiVersion: v1\nkind: Config\n"
    );
}

#[tokio::test]
async fn each_way_to_get_no_kubeconfig_has_its_exit_code_and_says_what_to_do() {
    let hub = hub().await;
    for (arguments, code, says) in [
        ("kubeconfig", 2, "Usage"),
        ("kubeconfig tenant", 2, "name the tenant"),
        ("kubeconfig tenant acme zeta", 2, "one tenant"),
        ("kubeconfig cluster eu-1", 2, "not of a cluster"),
        (
            "kubeconfig tenant acme --as root",
            2,
            "possible values: admin, user, viewer",
        ),
        ("kubeconfig tenant acme --lifetime soon", 2, "is no duration"),
        ("kubeconfig tenant acme --lifetime 5m", 3, "ask for 10m or more"),
        ("kubeconfig tenant nobody", 4, "tenant/nobody: not found"),
        (
            "kubeconfig tenant acme --namespace kube-system",
            4,
            "t-acme, t-acme--dev",
        ),
        (
            "kubeconfig tenant stranded",
            6,
            "the agent of cluster eu-1 is away",
        ),
        (
            "kubeconfig credential tenant stranded",
            6,
            "the agent of cluster eu-1 is away",
        ),
    ] {
        let told = hub.berth(arguments).await.failed(code);
        assert!(told.contains(says), "{arguments}: {told}");
    }
}
