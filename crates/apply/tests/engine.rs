//! The engine against a real kube-apiserver with its controllers: what only the real thing can show.

mod support;

use berth_apply::{Kept, Refused};
use berth_model::{
    Generation, HealthState, NetworkPolicyEnforcement, Term, Timestamp, Uid,
    assignment::{AppliedAs, ApplyPhase},
    report::ApplyState,
};
use serde_json::{Value, json};
use support::{Cluster, Tenant};

fn uid(object: &Value) -> String {
    object["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_applied_with_few_requests_and_reported_applied_and_healthy() {
    let cluster = Cluster::of("applied").await;
    let engine = cluster.start().await;
    let tenant = Tenant::new("applied");
    engine.assign(&tenant).await;
    engine.applied(&tenant).await;
    let writes = engine.writes.take();
    let own = writes
        .iter()
        .filter(|write| write.contains(&cluster.agent_namespace))
        .count();
    assert!(own <= 2, "{own} writes of its own: {writes:#?}");
    // One for each of the fourteen objects, and one that creates the namespace without adopting another's.
    assert!(writes.len() - own <= 15, "{writes:#?}");
    engine
        .report(&tenant, |report| report.health.state == HealthState::Healthy)
        .await;
    let quota = cluster
        .get(&tenant.path("v1", "resourcequotas", "berth"))
        .await
        .unwrap();
    assert_eq!(
        quota["status"]["hard"], quota["spec"]["hard"],
        "the quota is in force"
    );
    assert_eq!(quota["metadata"]["managedFields"][0]["manager"], "berth-agent");
    assert!(engine.engine.last_success() > Timestamp::UNIX_EPOCH);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_changes_nothing() {
    let cluster = Cluster::of("refused").await;
    let engine = cluster.start().await;
    let tenant = Tenant::new("refused").next(|_| {});
    engine.assign(&tenant).await;
    engine.applied(&tenant).await;
    engine.writes.take();
    let refused = |assignment, objects| {
        let engine = engine.engine.clone();
        async move { engine.assign(assignment, objects).await.unwrap_err() }
    };
    let mut older = tenant.assignment();
    older.generation = Generation(1);
    assert!(matches!(
        refused(older, tenant.objects.clone()).await,
        Refused::OldGeneration { .. }
    ));
    let mut other = tenant.assignment();
    other.digest = tenant.next(|_| {}).assignment().digest;
    assert!(matches!(
        refused(other, tenant.objects.clone()).await,
        Refused::OtherDigest { .. }
    ));
    let mut deposed = tenant.next(|_| {}).assignment();
    deposed.term = Term(0);
    assert!(matches!(
        refused(deposed, tenant.objects.clone()).await,
        Refused::OldTerm { .. }
    ));
    let foreign = Tenant::new("other").objects;
    assert!(matches!(
        refused(tenant.next(|_| {}).assignment(), foreign).await,
        Refused::Invalid { .. }
    ));
    let held = engine.engine.held();
    assert_eq!((held.len(), held[0].generation), (1, Generation(2)));
    let kept = |generation, digest| {
        engine.engine.keep(
            tenant.id(),
            Uid::new("uid-refused").unwrap(),
            generation,
            digest,
            Term(1),
        )
    };
    assert_eq!(
        kept(Generation(2), tenant.assignment().digest).await,
        Ok(Kept::Held)
    );
    assert_eq!(
        kept(Generation(3), tenant.assignment().digest).await,
        Ok(Kept::Missing)
    );
    assert_eq!(engine.writes.take(), Vec::<String>::new());
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_or_changed_comes_back() {
    let cluster = Cluster::of("drift").await;
    let engine = cluster.start().await;
    let tenant = Tenant::new("drift");
    engine.assign(&tenant).await;
    engine.applied(&tenant).await;
    let policy = tenant.path("networking.k8s.io/v1", "networkpolicies", "default-deny");
    let mut took = Vec::new();
    // More often than a fight: bringing back what is gone forces nobody.
    for _ in 0..20 {
        let before = uid(&cluster.get(&policy).await.unwrap());
        cluster.delete(&policy).await;
        let deleted = tokio::time::Instant::now();
        cluster
            .until(&policy, |object| {
                object.is_some_and(|object| uid(object) != before)
            })
            .await;
        took.push(deleted.elapsed());
    }
    took.sort();
    println!(
        "a deleted network policy is back after p50 {:?}, max {:?}",
        took[10], took[19]
    );
    cluster
        .merge(&policy, "kubectl", &json!({ "spec": { "egress": [{}] } }))
        .await;
    cluster
        .until(&policy, |object| {
            object.is_some_and(|object| object["spec"]["egress"].as_array().is_none_or(Vec::is_empty))
        })
        .await;
    cluster
        .merge(
            &policy,
            "kubectl",
            &json!({ "metadata": { "labels": { "berth.dev/tenant": null } } }),
        )
        .await;
    cluster
        .until(&policy, |object| {
            object.is_some_and(|object| object["metadata"]["labels"]["berth.dev/tenant"] == "drift")
        })
        .await;
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_namespace_comes_back_with_everything_in_it() {
    let cluster = Cluster::of("home").await;
    let engine = cluster.start().await;
    let tenant = Tenant::new("home");
    engine.assign(&tenant).await;
    engine.applied(&tenant).await;
    let before = uid(&cluster.get(&tenant.namespace()).await.unwrap());
    cluster.delete(&tenant.namespace()).await;
    cluster
        .until(&tenant.namespace(), |object| {
            object.is_some_and(|object| uid(object) != before)
        })
        .await;
    cluster
        .until(
            &tenant.path("rbac.authorization.k8s.io/v1", "rolebindings", "users"),
            |object| object.is_some(),
        )
        .await;
    engine.applied(&tenant).await;
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_manager_that_insists_is_named_and_left_alone() {
    let cluster = Cluster::of("fight").await;
    let engine = cluster.start().await;
    let tenant = Tenant::new("fight");
    engine.assign(&tenant).await;
    engine.applied(&tenant).await;
    let quota = tenant.path("v1", "resourcequotas", "berth");
    for round in 0..4 {
        cluster
            .merge(
                &quota,
                "intruder",
                &json!({ "spec": { "hard": { "pods": format!("{}", 100 + round) } } }),
            )
            .await;
        if round < 3 {
            cluster
                .until(&quota, |object| {
                    object.is_some_and(|object| object["spec"]["hard"]["pods"] == "20")
                })
                .await;
        }
    }
    let message = engine.failed(&tenant, "Fight").await;
    assert!(
        message.contains("ResourceQuota t-fight/berth") && message.contains("intruder"),
        "{message}"
    );
    assert_eq!(cluster.get(&quota).await.unwrap()["spec"]["hard"]["pods"], "103");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_somebody_elses_is_left_untouched() {
    let cluster = Cluster::of("conflict").await;
    let foreign = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "t-conflict", "labels": { "team": "x" } } });
    cluster.create("/api/v1/namespaces", &foreign).await;
    let before = cluster.get("/api/v1/namespaces/t-conflict").await.unwrap();
    let engine = cluster.start().await;
    let (tenant, other) = (Tenant::new("conflict"), Tenant::new("beside-conflict"));
    engine.assign(&tenant).await;
    engine.assign(&other).await;
    let message = engine.failed(&tenant, "NameConflict").await;
    assert!(message.contains("t-conflict"), "{message}");
    engine.applied(&other).await;
    assert_eq!(
        cluster.get("/api/v1/namespaces/t-conflict").await.unwrap(),
        before
    );
    // Adopting is explicit.
    let labels = json!({ "metadata": { "labels": { "berth.dev/tenant": "conflict", "berth.dev/tenant-uid": "uid-conflict" } } });
    cluster
        .merge("/api/v1/namespaces/t-conflict", "admin", &labels)
        .await;
    engine.applied(&tenant).await;
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_new_generation_leaves_out_is_pruned_and_nothing_else() {
    let cluster = Cluster::of("prune").await;
    let engine = cluster.start().await;
    let tenant = Tenant::new("prune");
    engine.assign(&tenant).await;
    engine.applied(&tenant).await;
    let own = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "made-by-the-tenant", "labels": { "berth.dev/tenant": "prune", "berth.dev/tenant-uid": "uid-prune" } } });
    cluster
        .create("/api/v1/namespaces/t-prune/configmaps", &own)
        .await;
    engine.writes.take();
    let next = tenant.next(|objects| {
        objects.retain(|object| object.manifest["metadata"]["name"] != "allow-db");
        objects[1].manifest["spec"]["hard"]["pods"] = "30".into();
    });
    engine.assign(&next).await;
    engine.applied(&next).await;
    let writes = engine.writes.take();
    assert_eq!(
        writes.len(),
        4,
        "two of its own, the quota, and the policy that goes: {writes:#?}"
    );
    assert!(
        cluster
            .get(&tenant.path("networking.k8s.io/v1", "networkpolicies", "allow-db"))
            .await
            .is_none()
    );
    assert!(
        cluster
            .get(&tenant.path("v1", "configmaps", "made-by-the-tenant"))
            .await
            .is_some()
    );
    assert_eq!(
        cluster
            .get(&tenant.path("v1", "resourcequotas", "berth"))
            .await
            .unwrap()["spec"]["hard"]["pods"],
        "30"
    );
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_tenant_leaves_nothing_behind() {
    let cluster = Cluster::of("withdraw").await;
    let engine = cluster.start().await;
    let tenant = Tenant::new("withdraw").with_deployment("registry.example/web:1");
    engine.assign(&tenant).await;
    engine.applied(&tenant).await;
    let assignment = tenant.assignment();
    let wrong = engine
        .engine
        .withdraw(tenant.id(), Uid::new("another").unwrap(), Term(1))
        .await;
    assert!(matches!(wrong, Err(Refused::OtherUid { .. })));
    engine
        .engine
        .withdraw(tenant.id(), assignment.uid.clone(), Term(4))
        .await
        .unwrap();
    engine
        .report(&tenant, |report| report.apply == ApplyState::Withdrawn)
        .await;
    assert!(cluster.get(&tenant.namespace()).await.is_none());
    assert_eq!(engine.engine.held(), []);
    engine.stop().await;
    // The term outlives the tenant.
    let engine = cluster.start().await;
    assert_eq!(
        (engine.engine.held().len(), engine.engine.highest_term()),
        (0, Term(4))
    );
    engine
        .engine
        .withdraw(tenant.id(), assignment.uid, Term(4))
        .await
        .unwrap();
    engine
        .report(&tenant, |report| report.apply == ApplyState::Withdrawn)
        .await;
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_writes_nothing_when_nothing_differs_and_mends_what_does() {
    let cluster = Cluster::of("restart").await;
    let engine = cluster.start().await;
    let tenants = ["restart-a", "restart-b", "restart-c"]
        .map(|name| Tenant::new(name).with_deployment("registry.example/web:1"));
    for tenant in &tenants {
        engine.assign(tenant).await;
        engine.applied(tenant).await;
        engine
            .report(tenant, |report| report.health.state == HealthState::Healthy)
            .await;
    }
    let held = engine.engine.held();
    engine.stop().await;

    let engine = cluster.start().await;
    assert_eq!(engine.engine.held(), held);
    for tenant in &tenants {
        engine
            .report(tenant, |report| {
                report.apply == ApplyState::Applied && report.health.state == HealthState::Healthy
            })
            .await;
        engine.assign(tenant).await;
    }
    assert_eq!(engine.writes.take(), Vec::<String>::new());
    engine.stop().await;

    let policy = tenants[1].path("networking.k8s.io/v1", "networkpolicies", "default-deny");
    cluster.delete(&policy).await;
    let quota = tenants[2].path("v1", "resourcequotas", "berth");
    cluster
        .merge(
            &quota,
            "kubectl",
            &json!({ "spec": { "hard": { "pods": "500" } } }),
        )
        .await;
    let engine = cluster.start().await;
    cluster.until(&policy, |object| object.is_some()).await;
    cluster
        .until(&quota, |object| {
            object.is_some_and(|object| object["spec"]["hard"]["pods"] == "20")
        })
        .await;
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_the_middle_is_finished_after_a_restart() {
    let cluster = Cluster::of("crash").await;
    for (at, stop_after) in [
        "/configmaps",
        "POST /api/v1/namespaces?",
        "/resourcequotas/",
        "/serviceaccounts/",
        "/rolebindings/",
    ]
    .into_iter()
    .enumerate()
    {
        let tenant = Tenant::new(&format!("crash-{at}"));
        let engine = cluster.start_with(|options| options.concurrency = 1).await;
        engine.assign(&tenant).await;
        // As soon as the first such request is on its way, everything stops.
        let mut seen = Vec::new();
        while !seen.iter().any(|write: &String| write.contains(stop_after)) {
            seen.extend(engine.writes.take());
            tokio::task::yield_now().await;
        }
        engine.stop().await;
        let engine = cluster.start().await;
        if engine.engine.held().is_empty()
            || !engine.engine.held().iter().any(|held| held.tenant == tenant.id())
        {
            // Not even the ledger had it: the hub sends it again.
            assert_eq!(stop_after, "/configmaps");
            engine.assign(&tenant).await;
        }
        engine.applied(&tenant).await;
        for name in ["admins", "users", "berth-deployer"] {
            assert!(
                cluster
                    .get(&tenant.path("rbac.authorization.k8s.io/v1", "rolebindings", name))
                    .await
                    .is_some()
            );
        }
        engine.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_has_the_rights_of_the_tenants_deployer_and_no_more() {
    let cluster = Cluster::of("rights").await;
    let engine = cluster.start().await;
    let config = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "settings" }, "data": { "a": "b" } });
    let fine = Tenant::new("rights").with(ApplyPhase::Workload, AppliedAs::Deployer, config.clone());
    engine.assign(&fine).await;
    engine.applied(&fine).await;
    let settings = cluster
        .get(&fine.path("v1", "configmaps", "settings"))
        .await
        .unwrap();
    assert_eq!(
        settings["metadata"]["managedFields"][0]["manager"],
        "berth-tenant"
    );
    let budget = json!({ "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": "beyond" }, "spec": { "minAvailable": 1, "selector": { "matchLabels": { "a": "b" } } } });
    let beyond = Tenant::new("beyond")
        .with(ApplyPhase::Workload, AppliedAs::Deployer, budget)
        .with(ApplyPhase::Workload, AppliedAs::Deployer, config);
    engine.assign(&beyond).await;
    let message = engine.failed(&beyond, "Forbidden").await;
    assert!(
        message.contains("PodDisruptionBudget t-beyond/beyond") && message.contains("berth-deployer"),
        "{message}"
    );
    assert!(
        cluster
            .get(&beyond.path("v1", "configmaps", "settings"))
            .await
            .is_some(),
        "the rest is there"
    );
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_turns_healthy_and_a_broken_image_says_so() {
    let cluster = Cluster::of("health").await;
    let engine = cluster.start().await;
    let fine = Tenant::new("health-fine").with_deployment("registry.example/web:1");
    let broken = Tenant::new("health-broken").with_deployment("registry.invalid/web:broken");
    engine.assign(&fine).await;
    engine.assign(&broken).await;
    engine
        .report(&fine, |report| {
            report.apply == ApplyState::Applied && report.health.state == HealthState::Healthy
        })
        .await;
    let report = engine
        .report(&broken, |report| report.health.state == HealthState::Degraded)
        .await;
    assert!(
        report.health.message.contains("ImagePullBackOff"),
        "{}",
        report.health.message
    );
    assert!(
        report.health.message.contains("Pod t-health-broken/web-"),
        "{}",
        report.health.message
    );
    let mended = broken.next(|objects| {
        if let Some(web) = objects.last_mut() {
            web.manifest["spec"]["template"]["spec"]["containers"][0]["image"] =
                "registry.example/web:2".into();
        }
    });
    engine.assign(&mended).await;
    engine
        .report(&mended, |report| {
            report.generation == Generation(2) && report.health.state == HealthState::Healthy
        })
        .await;
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_is_described() {
    let cluster = Cluster::of("facts").await;
    let engine = cluster.start().await;
    let mut changed = engine.engine.facts_changed();
    let facts = loop {
        let facts = engine.engine.facts().await.unwrap();
        if facts.ready_nodes == 1 {
            break facts;
        }
        changed.changed().await.unwrap();
    };
    let system = cluster.get("/api/v1/namespaces/kube-system").await.unwrap();
    assert_eq!(facts.kubernetes_uid, uid(&system));
    assert!(
        facts.kubernetes_version.starts_with("v1."),
        "{}",
        facts.kubernetes_version
    );
    assert_eq!(
        (facts.nodes, facts.capacity.pods, facts.region.as_str()),
        (1, 110, "eu-west-1")
    );
    assert!(facts.namespaces >= 4);
    assert!(facts.mutating_admission_policy);
    assert_eq!(facts.network_policy, NetworkPolicyEnforcement::Unknown);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_in_the_cluster_keeps_every_promise_of_a_ledger() {
    let cluster = Cluster::of("ledger").await;
    let reopen =
        || berth_apply::ledger::KubeLedger::new(cluster.client.clone(), cluster.agent_namespace.clone());
    berth_apply::ledger::conformance::run(reopen).await;
}
