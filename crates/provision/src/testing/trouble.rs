//! Rules of failing.

use berth_model::infra::{InfraPhase, TroubleClass};

use super::{Fault, PATIENCE, Rig, cluster_request, cluster_until, pool_request, pool_until};
use crate::Failure;

pub(super) async fn foreign_tags_stop_the_work(rig: &impl Rig) {
    let cluster = cluster_request("acme", 1);
    let pool = pool_request("beta", 1, &rig.shared_cluster().await);
    cluster_until(rig, &cluster, |seen| {
        seen.known().is_some_and(|c| c.phase == InfraPhase::Active)
    })
    .await;
    pool_until(rig, &pool, |seen| {
        seen.known().is_some_and(|p| p.phase == InfraPhase::Active)
    })
    .await;
    rig.disown().await;
    let before = rig.census().await;
    let cloud = rig.provisioner();
    let refusals: [Option<Failure>; 5] = [
        cloud.ensure_cluster(&cluster).await.err(),
        cloud.ensure_node_pool(&pool).await.err(),
        cloud.release_cluster(&cluster).await.err(),
        cloud.release_node_pool(&pool).await.err(),
        cloud.cluster_access(&cluster).await.err(),
    ];
    for refusal in refusals {
        let refusal = refusal.unwrap_or_else(|| panic!("something that is another fleet's was touched"));
        assert_eq!(
            (refusal.class(), refusal.trouble.code.as_str()),
            (TroubleClass::Operator, "NotOwned")
        );
    }
    rig.settle().await;
    assert_eq!(
        rig.census().await,
        before,
        "something that is another fleet's is gone"
    );
}

pub(super) async fn broken_nodes_are_reported_in_the_clouds_own_words(rig: &impl Rig) {
    let shared = rig.shared_cluster().await;
    let cases = [
        (
            "acme",
            "AsgInstanceLaunchFailures",
            "could not launch: no capacity in the zone",
            true,
        ),
        ("beta", "AccessDenied", "the node role may not join", false),
    ];
    for (tenant, code, message, replaceable) in cases {
        let want = pool_request(tenant, 1, &shared);
        rig.inject(Fault::Broken {
            code,
            message,
            replaceable,
        })
        .await;
        let failure = failure_of(rig, &want).await;
        let class = if replaceable {
            TroubleClass::Replace
        } else {
            TroubleClass::Operator
        };
        assert_eq!((failure.class(), failure.trouble.code.as_str()), (class, code));
        assert!(
            failure.trouble.message.contains(message),
            "{:?} lacks the cloud's words",
            failure.trouble.message
        );
    }
}

async fn failure_of(rig: &impl Rig, want: &crate::NodePoolRequest) -> Failure {
    for _ in 0..PATIENCE {
        match rig.provisioner().ensure_node_pool(want).await {
            Ok(seen) => assert!(
                seen.known()
                    .is_some_and(|pool| pool.phase == InfraPhase::Creating),
                "a broken pool was called {seen:?}"
            ),
            Err(failure) => return failure,
        }
        rig.settle().await;
    }
    panic!("a broken node pool was never reported");
}

pub(super) async fn every_failure_says_whose_turn_it_is(rig: &impl Rig) {
    let shared = rig.shared_cluster().await;
    let cases = [
        (Fault::Throttled, TroubleClass::Retry),
        (Fault::ServerDown, TroubleClass::Retry),
        (Fault::Quota, TroubleClass::Operator),
        (Fault::Denied, TroubleClass::Operator),
    ];
    for (at, (fault, class)) in cases.into_iter().enumerate() {
        let cluster = cluster_request(&format!("cluster-{at}"), 1);
        rig.inject(fault).await;
        let failure = rig.provisioner().ensure_cluster(&cluster).await.err();
        assert_eq!(
            failure.as_ref().map(Failure::class),
            Some(class),
            "{fault:?} on a cluster gave {failure:?}"
        );
        let pool = pool_request(&format!("pool-{at}"), 1, &shared);
        rig.inject(fault).await;
        let failure = rig.provisioner().ensure_node_pool(&pool).await.err();
        assert_eq!(
            failure.as_ref().map(Failure::class),
            Some(class),
            "{fault:?} on a pool gave {failure:?}"
        );
        // It passes, and the very same request succeeds.
        pool_until(rig, &pool, |seen| {
            seen.known().is_some_and(|p| p.phase == InfraPhase::Active)
        })
        .await;
    }
}
