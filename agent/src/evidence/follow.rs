//! Evidence is of a cluster as it was: when the cluster becomes another, it is sought again.

use std::sync::Arc;

use berth_model::{ClusterFacts, cluster::NetworkPolicyEnforcement};
use tokio::sync::watch;

use super::Desk;

/// Has everyone probed again when the cluster becomes another as far as walls go: upgraded, or with another network plug-in.
pub(crate) async fn follow_the_cluster(mut facts: watch::Receiver<Arc<ClusterFacts>>, desk: Desk) {
    let mut before = what_walls_stand_on(&facts.borrow_and_update());
    while facts.changed().await.is_ok() {
        let now = what_walls_stand_on(&facts.borrow_and_update());
        if now != before {
            tracing::info!(kubernetes = %now.0, "the cluster has changed; all walls are probed again");
            desk.ask_everyone();
            before = now;
        }
    }
}

fn what_walls_stand_on(facts: &ClusterFacts) -> (String, NetworkPolicyEnforcement, [bool; 3]) {
    (
        facts.kubernetes_version.clone(),
        facts.network_policy,
        [
            facts.validating_admission_policy,
            facts.mutating_admission_policy,
            facts.istio,
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_upgraded_cluster_is_probed_again_and_one_with_more_nodes_is_not() {
        let before = ClusterFacts {
            kubernetes_version: "v1.35.0".into(),
            ..ClusterFacts::default()
        };
        let (facts, heard) = watch::channel(Arc::new(before.clone()));
        let desk = Desk::new();
        let following = tokio::spawn(follow_the_cluster(heard, desk.clone()));
        facts.send_replace(Arc::new(ClusterFacts {
            nodes: 7,
            ..before.clone()
        }));
        tokio::task::yield_now().await;
        assert!(!desk.take_everyone());
        facts.send_replace(Arc::new(ClusterFacts {
            kubernetes_version: "v1.36.0".into(),
            ..before
        }));
        desk.asked().await;
        assert!(desk.take_everyone());
        assert!(!desk.take_everyone(), "once");
        drop(facts);
        following.await.unwrap();
    }
}
