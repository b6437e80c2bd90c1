//! What may be in a bundle and what becomes of it.
#![expect(clippy::unwrap_used, reason = "tests")]

mod samples;

use std::collections::BTreeSet;

use berth_model::{Violation, label};
use berth_render::{bundle, decode, encode};
use proptest::prelude::*;
use samples::{abc_123, bundle as made, reference, rendered, web};
use serde_json::{Value, json};

fn told(violations: &[Violation]) -> Vec<String> {
    violations
        .iter()
        .map(|v| format!("{}: {}", v.path, v.problem))
        .collect()
}

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

fn deployment(spec: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"template": {"spec": spec}},
    })
}

#[test]
fn a_sound_bundle_has_no_faults() {
    assert_eq!(told(&bundle::check(&web().spec)), [""; 0]);
}

#[test]
fn parameters_are_filled_in_with_defaults_for_the_rest() {
    let objects = bundle::expand(
        &reference("web", json!({"image": "i:1", "storage": "10Gi"})),
        &web(),
        "t-x",
    )
    .unwrap();
    assert_eq!(objects[0]["data"]["greeting"], "${HOME} has 2 replicas of i:1");
    assert_eq!(objects[1]["spec"]["replicas"], 2);
    assert_eq!(objects[2]["spec"]["suspend"], false);
    assert_eq!(objects[3]["spec"]["resources"]["requests"]["storage"], "10Gi");
    assert!(
        objects
            .iter()
            .all(|object| object["metadata"]["namespace"] == "t-x")
    );
    assert_eq!(
        objects[1]["spec"]["template"]["spec"]["serviceAccountName"],
        "workload"
    );
}

#[test]
fn every_fault_of_the_given_parameters_is_told() {
    let given = json!({"replica": 3, "replicas": "3", "storage": "7Gi", "suspended": 1});
    let violations = bundle::expand(&reference("web", given), &web(), "t-x").unwrap_err();
    assert_eq!(
        told(&violations),
        [
            "parameters.image: is required",
            "parameters.replicas: \"3\" is no integer",
            "parameters.storage: \"7Gi\" is not allowed",
            "parameters.suspended: 1 is no boolean",
            "parameters.replica: web 1.0.0 has no such parameter",
        ]
    );
    assert_eq!(violations[4].hint, "did you mean replicas?");
    assert_eq!(violations[2].hint, "use one of \"1Gi\", \"10Gi\"");
}

#[test]
fn faulty_declarations_are_told() {
    let faulty = made(
        "faulty",
        json!({
            "parameters": [
                {"name": "1st", "type": "string"},
                {"name": "n", "type": "integer", "default": "x"},
                {"name": "n", "type": "string"},
                {"name": "size", "type": "string", "default": "m", "allowed": ["s", 2]},
            ],
            "manifests": [],
        }),
    );
    assert_eq!(
        told(&bundle::check(&faulty.spec)),
        [
            "spec.manifests: is empty",
            "spec.parameters[0].name: \"1st\" is no parameter name",
            "spec.parameters[1].default: \"x\" is no integer",
            "spec.parameters[2].name: \"n\" is declared twice",
            "spec.parameters[3].allowed[1]: 2 is no string",
            "spec.parameters[3].default: \"m\" is not one of the allowed values",
        ]
    );
}

#[test]
fn what_would_touch_the_walls_is_refused() {
    for kind in [
        "Namespace",
        "ResourceQuota",
        "LimitRange",
        "NetworkPolicy",
        "Role",
        "RoleBinding",
        "ClusterRole",
        "ClusterRoleBinding",
        "Secret",
        "List",
        "PodTemplate",
        "ReplicationController",
        "MutatingAdmissionPolicy",
        "Node",
        "PersistentVolume",
        "",
    ] {
        let spec = made(
            "b",
            json!({"manifests": [{"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}}]}),
        )
        .spec;
        assert_eq!(
            told(&bundle::check(&spec)),
            [format!("spec.manifests[0].kind: {kind:?} cannot be in a bundle")]
        );
    }
}

#[test]
fn each_forbidden_thing_is_told_where_it_stands() {
    for (manifest, expected) in [
        (json!("text"), "spec.manifests[0]: is no object"),
        (
            json!({"kind": "ConfigMap", "apiVersion": "v1"}),
            "spec.manifests[0].metadata: is missing",
        ),
        (
            json!({"kind": "ConfigMap", "apiVersion": "v2", "metadata": {"name": "x"}}),
            "spec.manifests[0].apiVersion: \"v2\" is not served for ConfigMap",
        ),
        (
            config_map("../x"),
            "spec.manifests[0].metadata.name: \"../x\" is no object name",
        ),
        (
            config_map("${who}"),
            "spec.manifests[0].metadata.name: ${who} is no parameter",
        ),
        (
            config_map("kube-root-ca.crt"),
            "spec.manifests[0].metadata.name: ConfigMap \"kube-root-ca.crt\" is there in every namespace",
        ),
        (
            json!({"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "berth-deployer"}}),
            "spec.manifests[0].metadata.name: \"berth-deployer\" is a name of Berth's",
        ),
        (
            json!({"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "berth-admin"}}),
            "spec.manifests[0].metadata.name: \"berth-admin\" is a name of Berth's",
        ),
        (
            json!({"kind": "Service", "apiVersion": "v1", "metadata": {"name": "a.b"}}),
            "spec.manifests[0].metadata.name: \"a.b\" is no object name",
        ),
        (
            json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x", "namespace": "kube-system"}}),
            "spec.manifests[0].metadata.namespace: \"kube-system\" is not the tenant's namespace",
        ),
        (
            json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x", "finalizers": ["a/b"]}}),
            "spec.manifests[0].metadata.finalizers: cannot be set in a bundle",
        ),
        (
            json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"generateName": "x", "name": "x"}}),
            "spec.manifests[0].metadata.generateName: cannot be set in a bundle",
        ),
        (
            json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x", "labels": {"berth.dev/tenant": "other"}}}),
            "spec.manifests[0].metadata.labels.berth.dev/tenant: is kept for Berth",
        ),
        (
            json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x", "annotations": {"n": 1}}}),
            "spec.manifests[0].metadata.annotations.n: 1 is no text",
        ),
        (
            json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "x"}, "spec": {}, "status": {}}),
            "spec.manifests[0].status: cannot be set",
        ),
        (
            json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "x"}}),
            "spec.manifests[0].spec: is missing",
        ),
        (
            json!({"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "x"}, "spec": {"template": 7}}),
            "spec.manifests[0].spec.template.spec: is missing",
        ),
        (
            deployment(&json!({"nodeName": "n"})),
            "spec.manifests[0].spec.template.spec.nodeName: cannot be set",
        ),
        (
            deployment(&json!({"nodeSelector": {"berth.dev/pool": "p"}})),
            "spec.manifests[0].spec.template.spec.nodeSelector.berth.dev/pool: is kept for Berth",
        ),
        (
            deployment(&json!({"nodeSelector": []})),
            "spec.manifests[0].spec.template.spec.nodeSelector: is no map",
        ),
        (
            deployment(&json!({"tolerations": [{"operator": "Exists"}]})),
            "spec.manifests[0].spec.template.spec.tolerations[0]: tolerates every taint",
        ),
        (
            deployment(&json!({"tolerations": [{"key": "berth.dev/pool", "operator": "Exists"}]})),
            "spec.manifests[0].spec.template.spec.tolerations[0].key: berth.dev/pool is kept for Berth",
        ),
        (
            deployment(&json!({"serviceAccountName": "berth-deployer"})),
            "spec.manifests[0].spec.template.spec.serviceAccountName: berth-deployer is not for pods",
        ),
        (
            deployment(&json!({"serviceAccount": "berth-admin"})),
            "spec.manifests[0].spec.template.spec.serviceAccount: berth-admin is not for pods",
        ),
    ] {
        let spec = made("b", json!({"manifests": [manifest]})).spec;
        let told = told(&bundle::check(&spec));
        assert!(
            told.iter().any(|one| one == expected),
            "{expected}\nnot in {told:#?}"
        );
        if expected.contains("who") {
            continue;
        }
        let expanded = bundle::expand(
            &reference("b", json!({})),
            &made("b", json!({"manifests": spec.manifests})),
            "t-x",
        );
        assert!(expanded.is_err(), "{expected}");
    }
}

#[test]
fn one_name_is_used_once_in_a_bundle_and_among_a_tenants_bundles() {
    let twice = made("b", json!({"manifests": [config_map("a"), config_map("a")]}));
    assert_eq!(
        told(&bundle::check(&twice.spec)),
        ["spec.manifests[1].metadata.name: ConfigMap \"a\" is in the bundle twice"]
    );
    let one = made("one", json!({"manifests": [config_map("a")]}));
    let two = made("two", json!({"manifests": [config_map("b"), config_map("a")]}));
    let tenant = samples::tenant("x", "standard", |spec| {
        spec.bundles = vec![reference("one", json!({})), reference("two", json!({}))];
    });
    let violations = rendered(&tenant, &[one, two]).unwrap_err();
    assert_eq!(
        told(&violations),
        ["spec.bundles[1]: ConfigMap \"a\" is in another of the tenant's bundles too"]
    );
}

#[test]
fn faults_in_a_tenants_bundles_have_their_path_in_the_tenants_file() {
    let tenant = samples::tenant("x", "standard", |spec| {
        spec.bundles = vec![
            reference("one", json!({})),
            reference("web", json!({"replicas": true})),
        ];
    });
    let one = made("one", json!({"manifests": [config_map("a")]}));
    let violations = rendered(&tenant, &[one, web()]).unwrap_err();
    assert_eq!(
        told(&violations),
        [
            "spec.bundles[1].parameters.image: is required",
            "spec.bundles[1].parameters.replicas: true is no integer",
        ]
    );
}

#[test]
fn without_a_pool_nothing_is_pinned_and_with_one_every_pod_is() {
    let pods = |tenant: &berth_model::Tenant| -> Vec<Value> {
        let objects = rendered(tenant, &[web()]).unwrap().objects;
        let templates = ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec"];
        objects
            .iter()
            .filter_map(|object| {
                templates
                    .iter()
                    .find_map(|template| object.manifest.pointer(template).cloned())
            })
            .collect()
    };
    let pinned = pods(&abc_123());
    assert_eq!(pinned.len(), 2);
    for pod in &pinned {
        assert_eq!(pod["nodeSelector"][label::POOL], "pool-7");
        let ours =
            json!({"key": "berth.dev/pool", "operator": "Equal", "value": "pool-7", "effect": "NoSchedule"});
        assert!(pod["tolerations"].as_array().unwrap().contains(&ours));
    }
    assert_eq!(pinned[1]["nodeSelector"]["disk"], "ssd");
    let mut shared = abc_123();
    shared.spec.tier = berth_model::TierName::new("standard").unwrap();
    assert!(
        pods(&shared)
            .iter()
            .all(|pod| !pod.to_string().contains(label::POOL))
    );
}

/// Manifests near to what is allowed, with odd things in odd places.
fn manifests() -> impl Strategy<Value = Value> {
    let kinds = prop::sample::select(vec![
        ("apps/v1", "Deployment"),
        ("batch/v1", "CronJob"),
        ("v1", "Pod"),
        ("v1", "ConfigMap"),
        ("v1", "Service"),
        ("v1", "Secret"),
        ("v1", "Namespace"),
        ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ]);
    let names = prop::sample::select(vec!["a", "b", "default", "../x", "t-other", "${p}", "$${p}", ""]);
    let namespaces = prop::option::weighted(
        0.2,
        prop::sample::select(vec!["t-x", "kube-system", "t-other", ""]),
    );
    let odd = prop::sample::select(vec![
        json!(null),
        json!({}),
        json!([]),
        json!("x"),
        json!(1),
        json!({"berth.dev/tenant": "other"}),
        json!({"a": "b"}),
    ]);
    let place = prop::sample::select(vec![
        "/metadata/labels",
        "/metadata/annotations",
        "/metadata",
        "/spec",
        "/spec/template",
        "/spec/template/spec",
        "/spec/template/metadata",
        "/spec/template/spec/nodeSelector",
        "/spec/template/spec/tolerations",
        "/spec/jobTemplate/spec/template/spec",
        "/data",
        "/kind",
    ]);
    (kinds, names, namespaces, odd, prop::option::weighted(0.6, place)).prop_map(
        |((version, kind), name, namespace, odd, place)| {
            let pod = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}});
            let mut manifest = json!({
                "apiVersion": version, "kind": kind, "metadata": {"name": name},
                "spec": {"template": pod, "jobTemplate": {"spec": {"template": pod}}},
            });
            if let Some(namespace) = namespace {
                manifest["metadata"]["namespace"] = namespace.into();
            }
            if let Some((parent, field)) = place.and_then(|place: &str| place.rsplit_once('/'))
                && let Some(Value::Object(parent)) = manifest.pointer_mut(parent)
            {
                parent.insert(field.to_owned(), odd);
            }
            manifest
        },
    )
}

proptest! {
    #[test]
    fn no_bundle_reaches_outside_the_tenants_namespace(
        manifests in proptest::collection::vec(manifests(), 1..4),
        value in prop::sample::select(vec!["a", "x/y", "kube-system", "${p}", ""]),
        tier in prop::sample::select(vec!["free", "standard", "premium", "enterprise"]),
    ) {
        let parameters = json!([{"name": "p", "type": "string"}]);
        let bundle = made("b", json!({"parameters": parameters, "manifests": manifests}));
        // Never panics, whatever is in it.
        let _ = bundle::check(&bundle.spec);
        let tenant = samples::tenant("x", tier, |spec| spec.bundles = vec![reference("b", json!({"p": value}))]);
        let Ok(first) = rendered(&tenant, std::slice::from_ref(&bundle)) else { return Ok(()) };
        let again = rendered(&tenant, &[bundle]).unwrap();
        prop_assert_eq!(&first.digest, &again.digest);
        prop_assert_eq!(&decode(&encode(&first.objects)).unwrap(), &first.objects);
        let mut seen = BTreeSet::new();
        for object in &first.objects {
            let (kind, metadata) = (object.manifest["kind"].as_str().unwrap(), &object.manifest["metadata"]);
            if kind == "Namespace" {
                prop_assert_eq!(&metadata["name"], "t-x");
            } else {
                prop_assert_eq!(&metadata["namespace"], "t-x");
            }
            prop_assert!(!["Secret", "ClusterRole", "ClusterRoleBinding"].contains(&kind));
            prop_assert_eq!(&metadata["labels"][label::TENANT], "x");
            prop_assert!(seen.insert((kind.to_owned(), metadata["name"].to_string())));
        }
        prop_assert_eq!(first.objects.iter().filter(|object| object.manifest["kind"] == "Namespace").count(), 1);
    }
}
