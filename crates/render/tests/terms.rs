//! What tier and tenant say of environments, priorities, required labels, bundles of the tier and single workloads.
#![expect(clippy::unwrap_used, reason = "tests")]

mod samples;

use berth_model::{
    label,
    tenant::Environment,
    tier::Priority,
    workload::{Autoscaling, Disruption, PodMetric, WorkloadKind, WorkloadPolicy},
};
use berth_render::{Input, Rendered, render};
use samples::{bundle as made, place, reference, rendered, rendered_on, tenant, tier, web};
use serde_json::{Value, json};

fn of_kind<'a>(rendered: &'a Rendered, kind: &str) -> Vec<&'a Value> {
    rendered
        .objects
        .iter()
        .map(|object| &object.manifest)
        .filter(|manifest| manifest["kind"] == kind)
        .collect()
}

fn with_web(change: impl FnOnce(&mut berth_model::TenantSpec)) -> berth_model::Tenant {
    tenant("acme", "standard", |spec| {
        spec.bundles = vec![reference("web", json!({"image": "registry.example/web:1"}))];
        change(spec);
    })
}

#[test]
fn environments_are_namespaces_with_levels_priorities_and_parts_of_their_own() {
    let team = tenant("team", "standard", |spec| {
        spec.environments = Environment::ALL.to_vec();
        spec.quota = [("pods".to_owned(), "10".parse().unwrap())].into();
    });
    let rendered = rendered(&team, &[]).unwrap();
    let shown: Vec<_> = of_kind(&rendered, "Namespace")
        .into_iter()
        .map(|namespace| {
            let metadata = &namespace["metadata"];
            format!(
                "{} {} {} {}",
                metadata["name"].as_str().unwrap(),
                metadata["labels"][label::ENVIRONMENT].as_str().unwrap(),
                metadata["labels"]["pod-security.kubernetes.io/enforce"]
                    .as_str()
                    .unwrap(),
                metadata["annotations"][label::PRIORITY_CLASSES].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "t-team--production production restricted berth-low,berth-standard",
            "t-team--staging staging restricted berth-low,berth-standard",
            "t-team--dev dev baseline berth-low",
        ]
    );
    let pods: Vec<_> = of_kind(&rendered, "ResourceQuota")
        .into_iter()
        .map(|quota| quota["spec"]["hard"]["pods"].as_str().unwrap())
        .collect();
    assert_eq!(pods, ["5", "2", "3"]);
    // Whom kubeconfigs stand for is in the main namespace, which is production.
    let account = of_kind(&rendered, "ServiceAccount")
        .into_iter()
        .find(|account| account["metadata"]["name"] == "berth-admin")
        .unwrap();
    assert_eq!(account["metadata"]["namespace"], "t-team--production");
}

#[test]
fn pods_get_the_priority_of_their_environment_and_keep_apart_unless_they_say_otherwise() {
    let pod = |environment| {
        let acme = with_web(|spec| spec.environment = environment);
        let rendered = rendered(&acme, &[web()]).unwrap();
        of_kind(&rendered, "Deployment")[0]["spec"]["template"]["spec"].clone()
    };
    let production = pod(Environment::Production);
    assert_eq!(production["priorityClassName"], "berth-standard");
    assert_eq!(pod(Environment::Dev)["priorityClassName"], "berth-low");
    let zones = &production["topologySpreadConstraints"][0];
    assert_eq!(zones["topologyKey"], "topology.kubernetes.io/zone");
    assert_eq!(zones["whenUnsatisfiable"], "ScheduleAnyway");
    assert_eq!(zones["labelSelector"]["matchLabels"], json!({"app": "web"}));
    let apart =
        &production["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"][0];
    assert_eq!(apart["podAffinityTerm"]["topologyKey"], "kubernetes.io/hostname");

    let mut own = web();
    own.spec.manifests[1]["spec"]["template"]["spec"]["priorityClassName"] = "berth-low".into();
    own.spec.manifests[1]["spec"]["template"]["spec"]["topologySpreadConstraints"] = json!([]);
    let rendered = rendered(&with_web(|_| ()), &[own]).unwrap();
    let pod = &of_kind(&rendered, "Deployment")[0]["spec"]["template"]["spec"];
    assert_eq!(pod["priorityClassName"], "berth-low");
    assert_eq!(pod["topologySpreadConstraints"], json!([]));
}

#[test]
fn required_labels_come_from_the_tenant_and_are_told_where_nobody_has_them() {
    let mut standard = tier("standard");
    standard.spec.required_labels = vec!["example.com/cost".into()];
    let missing = rendered_on(&with_web(|_| ()), &standard, &[web()]).unwrap_err();
    let told: Vec<&str> = missing.iter().map(|violation| violation.path.as_str()).collect();
    assert_eq!(
        told,
        [
            "spec.bundles[0].manifests[1].metadata.labels.example.com/cost",
            "spec.bundles[0].manifests[1].spec.template.metadata.labels.example.com/cost",
            "spec.bundles[0].manifests[2].metadata.labels.example.com/cost",
            "spec.bundles[0].manifests[2].spec.jobTemplate.spec.template.metadata.labels.example.com/cost",
        ]
    );
    let labelled = with_web(|spec| {
        spec.labels.insert("example.com/cost".into(), "c-7".into());
    });
    let rendered = rendered_on(&labelled, &standard, &[web()]).unwrap();
    let deployment = of_kind(&rendered, "Deployment")[0];
    for place in ["/metadata/labels", "/spec/template/metadata/labels"] {
        assert_eq!(deployment.pointer(place).unwrap()["example.com/cost"], "c-7");
    }
    let namespace = of_kind(&rendered, "Namespace")[0];
    assert_eq!(
        namespace["metadata"]["annotations"][label::REQUIRED_LABELS],
        "example.com/cost"
    );
}

#[test]
fn a_tiers_bundles_run_in_its_tenants_unless_they_bring_their_own_of_that_name() {
    let mut standard = tier("standard");
    let settings = |greeting: &str| {
        made(
            "settings",
            json!({"manifests": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "s"}, "data": {"greeting": greeting}}]}),
        )
    };
    standard.spec.bundles = vec![reference("settings", json!({}))];
    let greeting = |acme: &berth_model::Tenant| {
        let used = berth_model::bundle::used(&acme.spec, &standard.spec);
        let (of_tier, own) = (settings("tier"), settings("tenant"));
        let bundles: Vec<_> = used
            .into_iter()
            .map(|used| {
                (
                    used,
                    if acme.spec.bundles.is_empty() {
                        &of_tier
                    } else {
                        &own
                    },
                )
            })
            .collect();
        let rendered = render(&Input {
            tenant: acme,
            tier: &standard,
            placement: &place(&standard),
            bundles: &bundles,
            istio: false,
        })
        .unwrap();
        let maps = of_kind(&rendered, "ConfigMap");
        assert_eq!(maps.len(), 1);
        maps[0]["data"]["greeting"].clone()
    };
    assert_eq!(greeting(&tenant("plain", "standard", |_| ())), "tier");
    let own = tenant("own", "standard", |spec| {
        spec.bundles = vec![reference("settings", json!({}))]
    });
    assert_eq!(greeting(&own), "tenant");
}

#[test]
fn a_tier_allows_fewer_kinds_than_there_are() {
    let mut standard = tier("standard");
    standard.spec.bundle_kinds = vec!["ConfigMap".into(), "Deployment".into()];
    let told = rendered_on(&with_web(|_| ()), &standard, &[web()]).unwrap_err();
    let kinds: Vec<&str> = told.iter().map(|violation| violation.problem.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "CronJob is not among the tier's kinds",
            "PersistentVolumeClaim is not among the tier's kinds",
            "Service is not among the tier's kinds",
        ]
    );
}

fn policy(autoscaling: Option<Autoscaling>, disruption: Option<Disruption>) -> WorkloadPolicy {
    WorkloadPolicy {
        kind: WorkloadKind::Deployment,
        name: "web".into(),
        autoscaling,
        disruption,
    }
}

#[test]
fn a_workload_grows_and_keeps_what_it_needs_while_nodes_can_still_be_drained() {
    let scaling = Autoscaling {
        min_replicas: 3,
        max_replicas: 20,
        cpu_percent: Some(70),
        memory_percent: None,
        metric: Some(PodMetric {
            name: "http_requests_per_second".into(),
            average: "100".parse().unwrap(),
        }),
        scale_down_seconds: 300,
        scale_down_percent: Some(50),
    };
    let acme =
        with_web(|spec| spec.workloads = vec![policy(Some(scaling), Some(Disruption::MinAvailable(2)))]);
    let rendered = rendered(&acme, &[web()]).unwrap();
    assert!(
        of_kind(&rendered, "Deployment")[0]["spec"]
            .get("replicas")
            .is_none()
    );
    let autoscaler = &of_kind(&rendered, "HorizontalPodAutoscaler")[0]["spec"];
    insta::assert_json_snapshot!(autoscaler);
    let budget = &of_kind(&rendered, "PodDisruptionBudget")[0]["spec"];
    insta::assert_json_snapshot!(budget);
}

#[test]
fn a_workload_that_is_not_there_or_could_never_be_evicted_is_told() {
    let told = |policy: WorkloadPolicy| -> Vec<String> {
        let acme = with_web(|spec| spec.workloads = vec![policy]);
        let violations = rendered(&acme, &[web()]).unwrap_err();
        violations.iter().map(ToString::to_string).collect()
    };
    let mut other = policy(None, Some(Disruption::MaxUnavailable(1)));
    other.name = "wep".into();
    assert_eq!(
        told(other),
        [
            "spec.workloads[0].name: there is no Deployment \"wep\" in the tenant's bundles (name a workload of one of spec.bundles)"
        ]
    );
    assert_eq!(
        told(policy(None, Some(Disruption::MinAvailable(2)))),
        [
            "spec.workloads[0].disruption.minAvailable: leaves none of 2 replicas to go: no node could ever be drained (fewer, or more replicas)"
        ]
    );
}

#[test]
fn amounts_of_one_priority_and_guaranteed_pods_are_walls_of_their_own() {
    let mut standard = tier("standard");
    standard.spec.guaranteed_qos = true;
    let acme = tenant("acme", "standard", |spec| {
        spec.priority_quota = [(
            Priority::Standard,
            [("pods".to_owned(), "2".parse().unwrap())].into(),
        )]
        .into();
    });
    let rendered = rendered_on(&acme, &standard, &[]).unwrap();
    let quotas = of_kind(&rendered, "ResourceQuota");
    assert_eq!(quotas[1]["metadata"]["name"], "berth-standard");
    assert_eq!(
        quotas[1]["spec"],
        json!({"hard": {"pods": "2"}, "scopeSelector": {"matchExpressions": [
            {"scopeName": "PriorityClass", "operator": "In", "values": ["berth-standard"]}]}})
    );
    let container = &of_kind(&rendered, "LimitRange")[0]["spec"]["limits"][0];
    assert_eq!(container["default"]["cpu"], container["defaultRequest"]["cpu"]);
    assert_eq!(
        container["maxLimitRequestRatio"],
        json!({"cpu": "1", "memory": "1"})
    );
}

#[test]
fn load_balancers_of_bundles_take_no_ports_of_nodes_and_may_not_ask_for_them() {
    let mut balanced = samples::abc_123();
    balanced.spec.bundles = vec![reference("edge", json!({}))];
    let edge = |says: Value| {
        let mut spec = json!({"type": "LoadBalancer", "ports": [{"port": 80}], "selector": {"app": "web"}});
        for (key, value) in says.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        let service =
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "edge"}, "spec": spec});
        made("edge", json!({"manifests": [service]}))
    };
    let plain = rendered(&balanced, &[edge(json!({}))]).unwrap();
    let [service] = of_kind(&plain, "Service")[..] else {
        panic!("one Service");
    };
    assert_eq!(service["spec"]["allocateLoadBalancerNodePorts"], false);
    let asking = edge(json!({"allocateLoadBalancerNodePorts": true}));
    let refused = rendered(&balanced, &[asking]).unwrap_err();
    assert!(
        refused[0].path.ends_with("allocateLoadBalancerNodePorts"),
        "{refused:?}"
    );
}
