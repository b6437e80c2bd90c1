//! The cloud as hub processes reach it, and what comes of it: clusters appear and go with what the cloud says, nodes with pools.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use berth_control::{Registry, RegistryError, registry::TokenSpec, seams::Bootstrapper};
use berth_model::{ClusterInfra, ClusterName, NodePoolInfra, Observed};
use berth_provision::{
    ClusterAccess, ClusterRequest, Failure, InfraPhase, NodePoolRequest, Provisioner, Simulated,
};

use crate::{gate::Gate, history::Event, world::World};

/// Looks until the cloud is done with something.
const STEPS: u32 = 3;

/// The cloud. Copies are the same cloud.
#[derive(Clone, Debug)]
pub struct Cloud {
    /// The account.
    pub simulated: Simulated,
    owners: Arc<Mutex<BTreeMap<String, String>>>,
    last: Arc<Mutex<Census>>,
}

/// Names with the uid of the tenant they are for.
type Census = (Vec<(String, String)>, Vec<(String, String)>);

impl Default for Cloud {
    fn default() -> Self {
        Self {
            simulated: Simulated::new(STEPS),
            owners: Arc::default(),
            last: Arc::default(),
        }
    }
}

impl Cloud {
    /// The cloud as one hub process reaches it.
    #[must_use]
    pub fn reached(&self, world: &World, gate: &Gate) -> Reached {
        Reached {
            world: world.clone(),
            gate: gate.clone(),
        }
    }

    fn owners(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What there is, with whose it is.
    #[must_use]
    pub fn census(&self) -> Census {
        let owners = self.owners();
        let owned = |name: String| {
            let uid = owners.get(&name).cloned().unwrap_or_default();
            (name, uid)
        };
        (
            self.simulated.clusters().into_iter().map(owned).collect(),
            self.simulated
                .node_pools()
                .into_iter()
                .map(|(_, name)| owned(name))
                .collect(),
        )
    }

    /// Notes what there is when it is not what there was.
    fn note(&self, world: &World) {
        let census = self.census();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != census {
            last.clone_from(&census);
            drop(last);
            let (clusters, pools) = census;
            world.history.note(Event::Cloud { clusters, pools });
        }
    }
}

/// The cloud as one hub process reaches it.
pub struct Reached {
    world: World,
    gate: Gate,
}

impl Reached {
    async fn there(&self) {
        self.gate.pass().await;
        tokio::time::sleep(self.world.dice.millis(20, 400)).await;
        if self.gate.dead() && self.world.dice.percent(50) {
            std::future::pending::<()>().await;
        }
    }

    async fn back(&self) {
        self.world.cloud.note(&self.world);
        self.world.follow_cloud();
        tokio::time::sleep(self.world.dice.millis(20, 400)).await;
        self.gate.pass().await;
    }

    fn cluster_of(&self, want: &ClusterRequest) {
        let name = want.origin.name("cluster", want.cluster.as_str(), 100);
        self.world
            .cloud
            .owners()
            .insert(name, want.origin.uid.to_string());
    }

    fn pool_of(&self, want: &NodePoolRequest) {
        let name = want.origin.name("pool", want.pool.as_str(), 63);
        self.world
            .cloud
            .owners()
            .insert(name, want.origin.uid.to_string());
    }
}

#[async_trait]
impl Provisioner for Reached {
    async fn ensure_cluster(&self, want: &ClusterRequest) -> Result<Observed<ClusterInfra>, Failure> {
        self.there().await;
        self.cluster_of(want);
        let seen = self.world.cloud.simulated.ensure_cluster(want).await;
        self.back().await;
        seen
    }

    async fn ensure_node_pool(&self, want: &NodePoolRequest) -> Result<Observed<NodePoolInfra>, Failure> {
        self.there().await;
        self.pool_of(want);
        let seen = self.world.cloud.simulated.ensure_node_pool(want).await;
        if let Ok(Observed::Known(pool)) = &seen
            && pool.phase == InfraPhase::Active
        {
            self.world.nodes(&want.cluster, want.pool.as_str(), true).await;
        }
        self.back().await;
        seen
    }

    async fn release_cluster(&self, want: &ClusterRequest) -> Result<Observed<ClusterInfra>, Failure> {
        self.there().await;
        self.cluster_of(want);
        let seen = self.world.cloud.simulated.release_cluster(want).await;
        self.back().await;
        seen
    }

    async fn release_node_pool(&self, want: &NodePoolRequest) -> Result<Observed<NodePoolInfra>, Failure> {
        self.there().await;
        self.pool_of(want);
        let seen = self.world.cloud.simulated.release_node_pool(want).await;
        if matches!(seen, Ok(Observed::Absent)) {
            self.world.nodes(&want.cluster, want.pool.as_str(), false).await;
        }
        self.back().await;
        seen
    }

    async fn cluster_access(&self, want: &ClusterRequest) -> Result<ClusterAccess, Failure> {
        self.there().await;
        let access = self.world.cloud.simulated.cluster_access(want).await;
        self.back().await;
        access
    }
}

/// Brings agents into clusters that were made: the manifest is applied, the token is in it, and the agent does the rest.
pub struct Brings {
    /// The world.
    pub world: World,
    /// The API of the hub that does it.
    pub registry: Registry,
    /// The process that does it.
    pub gate: Gate,
}

#[async_trait]
impl Bootstrapper for Brings {
    async fn bootstrap(&self, cluster: &ClusterName, access: &ClusterAccess) -> Result<(), String> {
        self.gate.pass().await;
        let ttl = std::time::Duration::from_secs(3600);
        let made = self
            .registry
            .create_token(TokenSpec::new(cluster.clone(), ttl))
            .await;
        let made = match made {
            Ok(made) => made,
            Err(RegistryError::Precondition {
                reason: "CLUSTER_JOINED",
                ..
            }) => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        let cloud_name = access
            .endpoint
            .trim_start_matches("https://")
            .split('.')
            .next()
            .unwrap_or_default()
            .to_owned();
        let token = made.token.expose().to_string();
        self.world
            .install(cluster, Some(cloud_name), token)
            .await
            .map_err(|error| error.to_string())?;
        self.gate.pass().await;
        Ok(())
    }
}
