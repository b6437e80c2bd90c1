//! Rules of removing.

use berth_model::{Observed, infra::InfraPhase};

use super::{Census, Fault, PATIENCE, Rig, cluster_request, cluster_until, pool_request, pool_until};
use crate::{ClusterRequest, NodePoolRequest};

async fn release_cluster(rig: &impl Rig, want: &ClusterRequest) {
    for _ in 0..PATIENCE {
        match rig.provisioner().release_cluster(want).await {
            Ok(Observed::Absent) => return,
            Ok(Observed::Known(cluster)) => {
                assert_eq!(
                    cluster.phase,
                    InfraPhase::Deleting,
                    "a cluster that is being released"
                );
                assert!(!cluster.waiting_for.is_empty(), "nobody says what is waited for");
            }
            Ok(Observed::Unknown) => {}
            Err(failure) => assert!(failure.retryable(), "release a cluster: {failure}"),
        }
        rig.settle().await;
    }
    panic!("cluster {} is never gone", want.cluster);
}

async fn release_pool(rig: &impl Rig, want: &NodePoolRequest) {
    for _ in 0..PATIENCE {
        match rig.provisioner().release_node_pool(want).await {
            Ok(Observed::Absent) => return,
            Ok(Observed::Known(pool)) => assert_eq!(pool.phase, InfraPhase::Deleting),
            Ok(Observed::Unknown) => {}
            Err(failure) => assert!(failure.retryable(), "release a node pool: {failure}"),
        }
        rig.settle().await;
    }
    panic!("node pool {} is never gone", want.pool);
}

const NOTHING: Census = Census {
    clusters: 0,
    pools: 0,
};

pub(super) async fn releasing_ends_at_absent_and_stays_there(rig: &impl Rig) {
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
    release_cluster(rig, &cluster).await;
    release_pool(rig, &pool).await;
    assert_eq!(rig.census().await, NOTHING, "something is left");
    for _ in 0..2 {
        assert_eq!(
            rig.provisioner().release_cluster(&cluster).await,
            Ok(Observed::Absent)
        );
        assert_eq!(
            rig.provisioner().release_node_pool(&pool).await,
            Ok(Observed::Absent)
        );
    }
}

pub(super) async fn a_lost_answer_to_a_release_loses_nothing(rig: &impl Rig) {
    let pool = pool_request("beta", 1, &rig.shared_cluster().await);
    pool_until(rig, &pool, |seen| {
        seen.known().is_some_and(|p| p.phase == InfraPhase::Active)
    })
    .await;
    rig.inject(Fault::LostAnswer).await;
    release_pool(rig, &pool).await;
    assert_eq!(rig.census().await, NOTHING);
}

pub(super) async fn what_never_was_is_absent(rig: &impl Rig) {
    let pool = pool_request("beta", 1, &rig.shared_cluster().await);
    assert_eq!(
        rig.provisioner()
            .release_cluster(&cluster_request("acme", 1))
            .await,
        Ok(Observed::Absent)
    );
    assert_eq!(
        rig.provisioner().release_node_pool(&pool).await,
        Ok(Observed::Absent)
    );
    assert_eq!(rig.census().await, NOTHING, "releasing made something");
}

pub(super) async fn what_is_still_being_made_can_be_released(rig: &impl Rig) {
    let cluster = cluster_request("acme", 1);
    let pool = pool_request("beta", 1, &rig.shared_cluster().await);
    cluster_until(rig, &cluster, |seen| seen.known().is_some()).await;
    pool_until(rig, &pool, |seen| seen.known().is_some()).await;
    release_pool(rig, &pool).await;
    release_cluster(rig, &cluster).await;
    assert_eq!(rig.census().await, NOTHING);
}

pub(super) async fn a_broken_cluster_can_be_released(rig: &impl Rig) {
    let cluster = cluster_request("acme", 1);
    let broken = Fault::Broken {
        code: "NodeCreationFailure",
        message: "instances did not join",
        replaceable: true,
    };
    rig.inject(broken).await;
    let mut reported = false;
    for _ in 0..PATIENCE {
        if let Err(failure) = rig.provisioner().ensure_cluster(&cluster).await {
            assert_eq!(failure.trouble.code, "NodeCreationFailure");
            reported = true;
            break;
        }
        rig.settle().await;
    }
    assert!(reported, "a cluster without nodes was never reported");
    release_cluster(rig, &cluster).await;
    assert_eq!(rig.census().await, NOTHING);
}
