//! Rules of making.

use berth_model::{Observed, infra::InfraPhase};

use super::{Fault, Rig, cluster_request, cluster_until, pool_request, pool_until};
use crate::Failure;

pub(super) async fn asking_again_finds_the_same_cluster(rig: &impl Rig) {
    let want = cluster_request("acme", 1);
    let first = cluster_until(rig, &want, |seen| seen.known().is_some()).await;
    let later = cluster_until(rig, &want, |seen| {
        seen.known().is_some_and(|c| c.phase == InfraPhase::Active)
    })
    .await;
    let (first, later) = (
        first.known().map(|c| &c.cloud_name),
        later.known().map(|c| &c.cloud_name),
    );
    assert!(
        first.is_some() && first == later,
        "asking twice named {first:?} and {later:?}"
    );
    let before = rig.census().await;
    for _ in 0..3 {
        let again = rig.provisioner().ensure_cluster(&want).await;
        assert_eq!(
            again.map(|seen| seen.known().map(|c| c.phase)),
            Ok(Some(InfraPhase::Active))
        );
    }
    assert_eq!(
        rig.census().await,
        before,
        "asking for what is active made something"
    );
    assert_eq!(before.clusters, 1);
}

pub(super) async fn asking_again_finds_the_same_node_pool(rig: &impl Rig) {
    let want = pool_request("acme", 1, &rig.shared_cluster().await);
    let first = pool_until(rig, &want, |seen| seen.known().is_some()).await;
    assert_eq!(
        first.known().map(|p| p.phase),
        Some(InfraPhase::Creating),
        "a pool was there at once"
    );
    let later = pool_until(rig, &want, |seen| {
        seen.known().is_some_and(|p| p.phase == InfraPhase::Active)
    })
    .await;
    let (first, later) = (first.known().cloned(), later.known().cloned());
    assert_eq!(first.map(|p| p.cloud_name), later.clone().map(|p| p.cloud_name));
    assert_eq!(later.map(|p| p.desired_nodes), Some(want.template.desired_nodes));
    assert_eq!(rig.census().await.pools, 1);
}

pub(super) async fn a_cluster_becomes_active_with_an_address(rig: &impl Rig) {
    let want = cluster_request("acme", 1);
    let first = cluster_until(rig, &want, |seen| seen.known().is_some()).await;
    let first = first.known().unwrap_or_else(|| panic!("nothing known"));
    assert_eq!(first.phase, InfraPhase::Creating, "a cluster was there at once");
    assert!(!first.waiting_for.is_empty(), "nobody says what is waited for");
    let refused = rig
        .provisioner()
        .cluster_access(&want)
        .await
        .map_err(|failure| failure.retryable());
    assert_eq!(
        refused,
        Err(true),
        "access to a cluster that is being made is a matter of time"
    );

    let active = cluster_until(rig, &want, |seen| {
        seen.known().is_some_and(|c| c.phase == InfraPhase::Active)
    })
    .await;
    let active = active.known().unwrap_or_else(|| panic!("nothing known"));
    assert!(
        active.endpoint.starts_with("http"),
        "an active cluster has the address {:?}",
        active.endpoint
    );
    assert_eq!(active.waiting_for, "", "nothing is waited for any more");
    assert_eq!(active.kubernetes_version, want.template.kubernetes_version);
    let access = rig
        .provisioner()
        .cluster_access(&want)
        .await
        .unwrap_or_else(|e| panic!("access: {e}"));
    assert!(!access.bearer_token.reveal().is_empty() && !access.expires_in.is_zero());
}

pub(super) async fn a_hub_that_died_between_two_calls_finds_its_work(rig: &impl Rig) {
    let want = cluster_request("acme", 1);
    let mut lost = 0;
    // The answer to every step that makes something is lost: that of the cluster, and that of its nodes where apart.
    for _ in 0..super::PATIENCE {
        rig.inject(Fault::LostAnswer).await;
        match rig.provisioner().ensure_cluster(&want).await {
            Ok(Observed::Known(cluster)) if cluster.phase == InfraPhase::Active => break,
            Ok(_) => {}
            Err(failure) => {
                assert!(
                    failure.retryable(),
                    "a lost answer is a matter of time, not {failure:?}"
                );
                lost += 1;
            }
        }
        rig.settle().await;
    }
    assert!(lost > 0, "no answer was lost");
    let pool = pool_request("beta", 1, &rig.shared_cluster().await);
    rig.inject(Fault::LostAnswer).await;
    for _ in 0..3 {
        let _: Result<_, Failure> = rig.provisioner().ensure_node_pool(&pool).await;
    }
    let active = cluster_until(rig, &want, |seen| {
        seen.known().is_some_and(|c| c.phase == InfraPhase::Active)
    })
    .await;
    assert!(active.known().is_some());
    pool_until(rig, &pool, |seen| {
        seen.known().is_some_and(|p| p.phase == InfraPhase::Active)
    })
    .await;
    assert_eq!(
        rig.census().await.clusters,
        1,
        "a lost answer made a second cluster"
    );
}

pub(super) async fn the_next_attempt_is_another_object(rig: &impl Rig) {
    let shared = rig.shared_cluster().await;
    let first = pool_until(rig, &pool_request("acme", 1, &shared), |seen| {
        seen.known().is_some()
    })
    .await;
    let second = pool_until(rig, &pool_request("acme", 2, &shared), |seen| {
        seen.known().is_some()
    })
    .await;
    assert_ne!(
        first.known().map(|p| &p.cloud_name),
        second.known().map(|p| &p.cloud_name)
    );
    assert_eq!(rig.census().await.pools, 2);
}

pub(super) async fn several_hubs_make_one(rig: &impl Rig) {
    let want = pool_request("acme", 1, &rig.shared_cluster().await);
    let hubs = [rig.provisioner(), rig.provisioner(), rig.provisioner()];
    // Two hubs may act for a moment while one takes over from the other.
    for hub in hubs {
        let outcome = hub.ensure_node_pool(&want).await;
        assert!(
            outcome.as_ref().is_ok_and(|seen| seen.known().is_some()),
            "{outcome:?}"
        );
    }
    assert_eq!(rig.census().await.pools, 1);
}
