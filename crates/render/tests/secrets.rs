//! Secrets by reference: what becomes of one, and that none is taken by value.
#![expect(clippy::unwrap_used, reason = "tests")]

mod samples;

use berth_model::{
    Bundle, SecretStore, SecretStoreKind, Tenant, Tier, Violation,
    assignment::{AppliedAs, ApplyPhase},
};
use berth_render::{Rendered, bundle};
use samples::{bundle as made, reference, tenant, tier};
use serde_json::{Value, json};

fn app() -> Bundle {
    let env = json!([
        {"name": "WHOLE", "valueFrom": {"secretKeyRef": "${db_password}"}},
        {"name": "PARTS", "valueFrom": {"secretKeyRef": {"name": "${db_password.name}", "key": "${db_password.key}"}}},
    ]);
    let security = json!({
        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": true,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    let pod = json!({"containers": [{"name": "c", "image": "i", "env": env, "securityContext": security}]});
    made(
        "app",
        json!({
            "parameters": [{"name": "db_password", "type": "secret"}],
            "manifests": [{
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app"},
                "spec": {"selector": {"matchLabels": {"app": "app"}}, "template": {"metadata": {"labels": {"app": "app"}}, "spec": pod}},
            }],
        }),
    )
}

fn with_store() -> Tier {
    let mut tier = tier("standard");
    tier.spec.secret_stores = vec![SecretStore {
        name: "vault".into(),
        kind: SecretStoreKind::ClusterSecretStore,
        key_prefix: "tenants/{tenant}/".into(),
    }];
    tier
}

fn using(secret: Value) -> Tenant {
    tenant("acme", "standard", |spec| {
        spec.bundles = vec![reference("app", json!({"db_password": secret}))];
    })
}

fn rendered(tenant: &Tenant, tier: &Tier) -> Result<Rendered, Vec<Violation>> {
    samples::rendered_on(tenant, tier, &[app()])
}

/// What the containers are given.
fn env(rendered: &Rendered) -> Vec<Value> {
    let deployment = rendered
        .objects
        .iter()
        .find(|object| object.manifest["kind"] == "Deployment")
        .unwrap();
    let env = &deployment.manifest["spec"]["template"]["spec"]["containers"][0]["env"];
    env.as_array()
        .unwrap()
        .iter()
        .map(|one| one["valueFrom"]["secretKeyRef"].clone())
        .collect()
}

#[test]
fn a_secret_of_a_store_becomes_an_external_secret_of_the_agents_below_the_tenants_prefix() {
    let secret = json!({"externalSecret": {"store": "vault", "key": "db/main", "property": "password"}});
    let rendered = rendered(&using(secret), &with_store()).unwrap();
    let made: Vec<_> = rendered
        .objects
        .iter()
        .filter(|object| object.manifest["kind"] == "ExternalSecret")
        .collect();
    assert_eq!(made.len(), 1);
    assert_eq!(
        (made[0].applied_as, made[0].phase),
        (AppliedAs::Agent, ApplyPhase::Access)
    );
    let manifest = &made[0].manifest;
    assert_eq!(manifest["apiVersion"], "external-secrets.io/v1");
    assert_eq!(manifest["metadata"]["namespace"], "t-acme");
    assert_eq!(manifest["metadata"]["labels"]["berth.dev/tenant"], "acme");
    assert_eq!(
        manifest["spec"],
        json!({
            "refreshInterval": "1h",
            "secretStoreRef": {"kind": "ClusterSecretStore", "name": "vault"},
            "target": {"name": "berth.app.db-password", "creationPolicy": "Owner"},
            "data": [{"secretKey": "value", "remoteRef": {"key": "tenants/acme/db/main", "property": "password"}}],
        })
    );
    assert_eq!(
        env(&rendered),
        vec![json!({"name": "berth.app.db-password", "key": "value"}); 2]
    );
}

#[test]
fn an_existing_secret_is_only_named() {
    let secret = json!({"existingSecret": {"name": "db", "key": "password"}});
    let rendered = rendered(&using(secret), &tier("standard")).unwrap();
    assert!(
        rendered
            .objects
            .iter()
            .all(|object| object.manifest["kind"] != "ExternalSecret")
    );
    assert_eq!(env(&rendered), vec![json!({"name": "db", "key": "password"}); 2]);
}

#[test]
fn a_store_that_the_tier_does_not_grant_is_refused() {
    let secret = json!({"externalSecret": {"store": "vault", "key": "db"}});
    let violations = rendered(&using(secret), &tier("standard")).unwrap_err();
    assert!(
        violations[0].problem.contains("no secret store \"vault\""),
        "{violations:?}"
    );
}

#[test]
fn a_value_is_refused_with_what_to_write_instead_and_not_repeated() {
    for value in [json!("hunter2"), json!({"value": "hunter2"}), json!(["hunter2"])] {
        let violations = rendered(&using(value), &with_store()).unwrap_err();
        assert_eq!(violations.len(), 1, "{violations:?}");
        assert_eq!(violations[0].path, "spec.bundles[0].parameters.db_password");
        assert!(violations[0].hint.contains("externalSecret"));
        assert!(!format!("{violations:?}").contains("hunter2"), "{violations:?}");
    }
}

#[test]
fn a_bundle_holds_no_secret_in_whatever_place_and_none_that_makes_one() {
    let key = "AKIAIOSFODNN7EXAMPLE";
    let config =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"id": key}});
    let pasted = made("pasted", json!({"manifests": [config]}));
    let violations = bundle::check(&pasted.spec);
    assert_eq!(violations[0].path, "spec.manifests[0].data.id");
    assert!(!format!("{violations:?}").contains(key));
    let default = made(
        "default",
        json!({"parameters": [{"name": "p", "type": "secret", "default": "hunter2"}], "manifests": []}),
    );
    assert!(!format!("{:?}", bundle::check(&default.spec)).contains("hunter2"));
    for (version, kind) in [
        ("v1", "Secret"),
        ("external-secrets.io/v1", "ExternalSecret"),
        ("external-secrets.io/v1", "SecretStore"),
    ] {
        let manifest = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x"}});
        let refused = bundle::check(&made("b", json!({"manifests": [manifest]})).spec);
        assert!(
            refused
                .iter()
                .any(|violation| violation.problem.contains("cannot be in a bundle")),
            "{kind}"
        );
    }
}

#[test]
fn two_secrets_never_share_a_place() {
    let twins = json!({
        "parameters": [{"name": "a_b", "type": "secret"}, {"name": "A_B", "type": "secret"}],
        "manifests": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}],
    });
    let violations = bundle::check(&made("twins", twins).spec);
    assert_eq!(violations[0].path, "spec.parameters[1].name");
}
