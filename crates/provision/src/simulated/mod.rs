//! A cloud in memory: for tests of what stands in front of the seam, and the first to pass the conformance suite.
//!
//! Time passes by calls: every look at something unfinished brings it one step further, and [`Simulated::tick`] brings
//! everything one step. It knows no accounts, networks or machines.

mod cloud;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use berth_model::{
    ClusterInfra, NodePoolInfra, Observed,
    infra::{InfraPhase, Trouble, TroubleClass},
};

use crate::{ClusterAccess, ClusterRequest, Failure, NodePoolRequest, Origin, Provisioner, Secret};
use cloud::{Cloud, Made};

/// What goes wrong next.
#[derive(Clone, Debug)]
pub enum SimulatedFault {
    /// The next call fails with this and does nothing.
    Refuse(Failure),
    /// The next call that starts making or removing something does so, but its answer is lost.
    LoseAnswer,
    /// The next thing that is made ends broken, with this.
    Break(Trouble),
}

/// A cloud in memory. Clones share it, as two instances of a hub share an account.
#[derive(Clone, Debug, Default)]
pub struct Simulated {
    cloud: Arc<Mutex<Cloud>>,
}

impl Simulated {
    /// A cloud in which making or removing something takes `steps` looks.
    #[must_use]
    pub fn new(steps: u32) -> Self {
        let simulated = Self::default();
        simulated.lock().steps = steps;
        simulated
    }

    /// Brings everything unfinished one step further.
    pub fn tick(&self) {
        self.lock().tick();
    }

    /// Brings everything unfinished to its end.
    pub fn settle(&self) {
        self.lock().settle();
    }

    /// Queues a fault.
    pub fn inject(&self, fault: SimulatedFault) {
        self.lock().faults.push_back(fault);
    }

    /// Makes everything look as if another fleet had made it.
    pub fn disown_everything(&self) {
        self.lock().disown();
    }

    /// What [`Provisioner::cluster_access`] answers for clusters from now on, instead of an address that leads nowhere.
    pub fn serve(&self, access: ClusterAccess) {
        self.lock().access = Some(access);
    }

    /// Names in the cloud of the clusters there are.
    #[must_use]
    pub fn clusters(&self) -> Vec<String> {
        self.lock().clusters.keys().cloned().collect()
    }

    /// Names in the cloud of the node pools there are, with the cluster they are in.
    #[must_use]
    pub fn node_pools(&self) -> Vec<(String, String)> {
        self.lock().pools.keys().cloned().collect()
    }

    /// Every call so far that started making or removing something.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.lock().writes
    }

    fn lock(&self) -> MutexGuard<'_, Cloud> {
        self.cloud.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cluster_name(want: &ClusterRequest) -> String {
    want.origin.name("cluster", want.cluster.as_str(), 100)
}

fn pool_key(want: &NodePoolRequest) -> (String, String) {
    (
        want.cloud_cluster().to_owned(),
        want.origin.name("pool", want.pool.as_str(), 63),
    )
}

/// Ours, whole and not broken, or the failure that says otherwise.
fn inspect(made: &Made, origin: &Origin, what: &str) -> Result<(), Failure> {
    if let Some(found) = origin.disowned_by(|key| made.tags.get(key).map(String::as_str)) {
        return Err(Failure::not_ours(what, &found));
    }
    match &made.trouble {
        Some(trouble) if made.phase == InfraPhase::Failed => Err(Failure {
            trouble: trouble.clone(),
            retry_after: None,
        }),
        _ => Ok(()),
    }
}

fn pool_facts(name: &str, made: &Made) -> Observed<NodePoolInfra> {
    Observed::Known(NodePoolInfra {
        phase: made.phase,
        cloud_name: name.to_owned(),
        desired_nodes: made.nodes,
    })
}

fn cluster_facts(name: &str, made: &Made) -> Observed<ClusterInfra> {
    let active = made.phase == InfraPhase::Active;
    Observed::Known(ClusterInfra {
        phase: made.phase,
        cloud_name: name.to_owned(),
        endpoint: if active {
            format!("https://{name}.simulated.invalid")
        } else {
            String::new()
        },
        ca_pem: String::new(),
        kubernetes_version: made.version.clone(),
        waiting_for: match made.phase {
            InfraPhase::Creating => "the control plane and its nodes".to_owned(),
            InfraPhase::Deleting => "the control plane to go".to_owned(),
            _ => String::new(),
        },
    })
}

#[async_trait]
impl Provisioner for Simulated {
    async fn ensure_cluster(&self, want: &ClusterRequest) -> Result<Observed<ClusterInfra>, Failure> {
        let mut cloud = self.lock();
        cloud.arrive()?;
        let name = cluster_name(want);
        if !cloud.clusters.contains_key(&name) {
            let mut tags = want.template.tags.clone();
            tags.extend(want.tags.clone());
            tags.extend(want.origin.tags(&want.cluster));
            let made = cloud.start(
                tags,
                want.template.nodes.desired_nodes,
                &want.template.kubernetes_version,
            );
            cloud.clusters.insert(name.clone(), made);
            cloud.depart()?;
        }
        let Some(made) = cloud.clusters.get_mut(&name) else {
            return Ok(Observed::Absent);
        };
        inspect(made, &want.origin, &format!("cluster {name}"))?;
        let facts = cluster_facts(&name, made);
        cloud.look_at_cluster(&name);
        Ok(facts)
    }

    async fn ensure_node_pool(&self, want: &NodePoolRequest) -> Result<Observed<NodePoolInfra>, Failure> {
        let mut cloud = self.lock();
        cloud.arrive()?;
        let key = pool_key(want);
        if !cloud.pools.contains_key(&key) {
            let mut tags = want.tags.clone();
            tags.extend(want.origin.tags(&want.cluster));
            let made = cloud.start(tags, want.template.desired_nodes, "");
            cloud.pools.insert(key.clone(), made);
            cloud.depart()?;
        }
        let Some(made) = cloud.pools.get(&key) else {
            return Ok(Observed::Absent);
        };
        inspect(made, &want.origin, &format!("node pool {}", key.1))?;
        let facts = pool_facts(&key.1, made);
        cloud.look_at_pool(&key);
        Ok(facts)
    }

    async fn release_cluster(&self, want: &ClusterRequest) -> Result<Observed<ClusterInfra>, Failure> {
        let mut cloud = self.lock();
        cloud.arrive()?;
        let name = cluster_name(want);
        cloud.look_at_cluster(&name);
        let Some(made) = cloud.clusters.get(&name) else {
            return Ok(Observed::Absent);
        };
        if let Some(found) = want
            .origin
            .disowned_by(|key| made.tags.get(key).map(String::as_str))
        {
            return Err(Failure::not_ours(&format!("cluster {name}"), &found));
        }
        if made.phase != InfraPhase::Deleting {
            let steps = cloud.begin_removal();
            if let Some(made) = cloud.clusters.get_mut(&name) {
                made.remove(steps);
            }
            cloud.depart()?;
        }
        Ok(cloud
            .clusters
            .get(&name)
            .map_or(Observed::Absent, |made| cluster_facts(&name, made)))
    }

    async fn release_node_pool(&self, want: &NodePoolRequest) -> Result<Observed<NodePoolInfra>, Failure> {
        let mut cloud = self.lock();
        cloud.arrive()?;
        let key = pool_key(want);
        cloud.look_at_pool(&key);
        let Some(made) = cloud.pools.get(&key) else {
            return Ok(Observed::Absent);
        };
        if let Some(found) = want
            .origin
            .disowned_by(|tag| made.tags.get(tag).map(String::as_str))
        {
            return Err(Failure::not_ours(&format!("node pool {}", key.1), &found));
        }
        if made.phase != InfraPhase::Deleting {
            let steps = cloud.begin_removal();
            if let Some(made) = cloud.pools.get_mut(&key) {
                made.remove(steps);
            }
            cloud.depart()?;
        }
        Ok(cloud
            .pools
            .get(&key)
            .map_or(Observed::Absent, |made| pool_facts(&key.1, made)))
    }

    async fn cluster_access(&self, want: &ClusterRequest) -> Result<ClusterAccess, Failure> {
        let mut cloud = self.lock();
        cloud.arrive()?;
        let name = cluster_name(want);
        let Some(made) = cloud
            .clusters
            .get(&name)
            .filter(|made| made.phase == InfraPhase::Active)
        else {
            return Err(Failure::new(
                TroubleClass::Retry,
                "NotActive",
                format!("cluster {name} is not active"),
            ));
        };
        inspect(made, &want.origin, &format!("cluster {name}"))?;
        Ok(cloud.access.clone().unwrap_or_else(|| ClusterAccess {
            endpoint: format!("https://{name}.simulated.invalid"),
            ca_pem: String::new(),
            bearer_token: Secret::new("simulated"),
            expires_in: std::time::Duration::from_secs(60),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Census, Fault, Rig, cluster_request, conformance};

    struct SimulatedRig(Simulated);

    #[async_trait]
    impl Rig for SimulatedRig {
        fn provisioner(&self) -> Arc<dyn Provisioner> {
            Arc::new(self.0.clone())
        }

        async fn inject(&self, fault: Fault) {
            let refuse = |class, code: &str| SimulatedFault::Refuse(Failure::new(class, code, "as injected"));
            let class_of = |replaceable| {
                if replaceable {
                    TroubleClass::Replace
                } else {
                    TroubleClass::Operator
                }
            };
            self.0.inject(match fault {
                Fault::LostAnswer => SimulatedFault::LoseAnswer,
                Fault::Throttled => refuse(TroubleClass::Retry, "ThrottlingException"),
                Fault::ServerDown => refuse(TroubleClass::Retry, "ServiceUnavailableException"),
                Fault::Quota => refuse(TroubleClass::Operator, "ResourceLimitExceededException"),
                Fault::Denied => refuse(TroubleClass::Operator, "AccessDeniedException"),
                Fault::Broken {
                    code,
                    message,
                    replaceable,
                } => SimulatedFault::Break(Trouble {
                    class: class_of(replaceable),
                    code: code.to_owned(),
                    message: message.to_owned(),
                    attempts: 1,
                }),
            });
        }

        async fn settle(&self) {
            self.0.settle();
        }

        async fn disown(&self) {
            self.0.disown_everything();
        }

        async fn census(&self) -> Census {
            Census {
                clusters: self.0.clusters().len(),
                pools: self.0.node_pools().len(),
            }
        }

        async fn shared_cluster(&self) -> String {
            "shared-1".to_owned()
        }
    }

    #[tokio::test]
    async fn the_simulated_cloud_passes_the_conformance_suite() {
        conformance(|| async { SimulatedRig(Simulated::new(3)) }).await;
    }

    #[tokio::test]
    async fn time_passes_by_looking() {
        let cloud = Simulated::new(3);
        let want = cluster_request("acme", 1);
        let mut looks = 0;
        while cloud.ensure_cluster(&want).await.unwrap().known().unwrap().phase != InfraPhase::Active {
            looks += 1;
        }
        assert_eq!(looks, 3);
        assert_eq!(cloud.writes(), 1);
    }
}
