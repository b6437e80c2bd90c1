//! The seam's five calls over EKS: look, compare, start the next thing.

use std::{sync::Arc, time::SystemTime};

use async_trait::async_trait;
use aws_sdk_eks::{
    Client,
    types::{Cluster, ClusterStatus, Nodegroup, NodegroupStatus},
};
use berth_model::{
    ClusterInfra, NodePoolInfra, Observed,
    infra::{InfraPhase, TroubleClass},
};
use berth_provision::{ClusterAccess, ClusterRequest, Failure, NodePoolRequest, Provisioner};
use berth_runtime::clock::{Clock, SystemClock};

use crate::{
    classes,
    clients::Clients,
    cluster::{self, Removal},
    config::{EksConfig, InvalidConfig, Network},
    names::{self, step},
    nodegroup::{self, Wanted},
    token,
};

/// Makes clusters and node pools in EKS.
#[derive(Debug)]
pub struct EksProvisioner {
    config: EksConfig,
    clients: Clients,
    clock: Arc<dyn Clock>,
}

/// Whether a made thing was there, for the one retry that a lost race needs.
enum Found<T> {
    There(T),
    Started,
}

impl EksProvisioner {
    /// A provisioner for the account the configuration names. Asks AWS nothing yet.
    ///
    /// # Errors
    /// [`InvalidConfig`] names the field.
    pub async fn new(config: EksConfig) -> Result<Self, InvalidConfig> {
        config.check()?;
        let clients = Clients::new(&config).await;
        Ok(Self {
            config,
            clients,
            clock: Arc::new(SystemClock::new()),
        })
    }

    /// The same by another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    fn place<'a>(&'a self, region: &'a str) -> Result<(&'a str, &'a Network, Client), Failure> {
        let region = if region.is_empty() {
            &self.config.default_region
        } else {
            region
        };
        match self.config.regions.get(region) {
            Some(network) => Ok((region, network, self.clients.region(region))),
            None => Err(Failure::new(
                TroubleClass::Operator,
                "UnknownRegion",
                format!("the hub's configuration has no subnets for region {region}"),
            )),
        }
    }

    fn wanted_nodes<'a>(
        &'a self,
        want: &'a ClusterRequest,
        of: &'a str,
        name: &'a str,
        net: &'a Network,
    ) -> Wanted<'a> {
        Wanted {
            origin: &want.origin,
            step: step::CLUSTER_NODES,
            cluster: of,
            name,
            template: &want.template.nodes,
            labels: want.node_labels(),
            taint: None,
            tags: cluster::tags(want),
            subnets: &net.subnet_ids,
            node_role: &self.config.node_role_arn,
            ami_type: &self.config.ami_type,
        }
    }

    fn wanted_pool<'a>(
        &'a self,
        want: &'a NodePoolRequest,
        name: &'a str,
        network: &'a Network,
    ) -> Wanted<'a> {
        let mut tags = want.tags.clone();
        tags.extend(want.origin.tags(&want.cluster));
        Wanted {
            origin: &want.origin,
            step: step::POOL,
            cluster: want.cloud_cluster(),
            name,
            template: &want.template,
            labels: want.node_labels(),
            taint: Some(want.taint()),
            tags,
            subnets: &network.subnet_ids,
            node_role: &self.config.node_role_arn,
            ami_type: &self.config.ami_type,
        }
    }

    /// The nodes of an active control plane: found, or started once the hub may come in.
    async fn nodes_of(
        &self,
        eks: &Client,
        want: &ClusterRequest,
        wanted: &Wanted<'_>,
    ) -> Result<Found<Nodegroup>, Failure> {
        if let Some(group) = nodegroup::find(eks, wanted.cluster, wanted.name).await? {
            nodegroup::own(&want.origin, &group)?;
            return Ok(Found::There(group));
        }
        if let Some(principal) = &self.config.hub_principal_arn {
            cluster::admit(eks, want, wanted.cluster, principal).await?;
        }
        nodegroup::create(eks, wanted).await?;
        Ok(Found::Started)
    }

    /// Starts removing the cluster's node groups; what is still there, for people. Stops at one that is not ours.
    async fn release_nodes(&self, eks: &Client, want: &ClusterRequest, name: &str) -> Result<usize, Failure> {
        let groups = nodegroup::list(eks, name).await?;
        for group in &groups {
            let Some(found) = nodegroup::find(eks, name, group).await? else {
                continue;
            };
            nodegroup::own(&want.origin, &found)?;
            release_group(eks, name, group, &found).await?;
        }
        Ok(groups.len())
    }
}

/// Starts removing a node group unless it is going; tells why when EKS could not.
async fn release_group(eks: &Client, cluster: &str, name: &str, found: &Nodegroup) -> Result<(), Failure> {
    match found.status() {
        Some(NodegroupStatus::Deleting) => Ok(()),
        Some(NodegroupStatus::DeleteFailed) => {
            nodegroup::delete(eks, cluster, name).await?;
            nodegroup::trouble(found).map_or(Ok(()), Err)
        }
        _ => nodegroup::delete(eks, cluster, name).await,
    }
}

fn known_pool(group: &Nodegroup, phase: InfraPhase) -> Observed<NodePoolInfra> {
    Observed::Known(NodePoolInfra {
        phase,
        cloud_name: group.nodegroup_name().unwrap_or_default().to_owned(),
        desired_nodes: nodegroup::desired(group),
    })
}

fn known_cluster(
    name: &str,
    want: &ClusterRequest,
    phase: InfraPhase,
    waiting_for: &str,
) -> Observed<ClusterInfra> {
    Observed::Known(ClusterInfra {
        phase,
        cloud_name: name.to_owned(),
        endpoint: String::new(),
        ca_pem: String::new(),
        kubernetes_version: want.template.kubernetes_version.clone(),
        waiting_for: waiting_for.to_owned(),
    })
}

fn usable_cluster(
    cluster: &Cluster,
    phase: InfraPhase,
    waiting_for: &str,
) -> Result<Observed<ClusterInfra>, Failure> {
    Ok(Observed::Known(ClusterInfra {
        phase,
        cloud_name: cluster.name().unwrap_or_default().to_owned(),
        endpoint: cluster.endpoint().unwrap_or_default().to_owned(),
        ca_pem: cluster::ca_pem(cluster)?,
        kubernetes_version: cluster.version().unwrap_or_default().to_owned(),
        waiting_for: waiting_for.to_owned(),
    }))
}

const CONTROL_PLANE: &str = "the control plane (EKS takes about 15 minutes)";

#[async_trait]
impl Provisioner for EksProvisioner {
    async fn ensure_cluster(&self, want: &ClusterRequest) -> Result<Observed<ClusterInfra>, Failure> {
        let (_, network, eks) = self.place(&want.region)?;
        let name = names::cluster(want);
        let Some(found) = cluster::find(&eks, &name).await? else {
            cluster::create(&eks, want, &name, &self.config, network).await?;
            tracing::info!(cluster = %want.cluster, eks = %name, "cluster is being made");
            return Ok(known_cluster(&name, want, InfraPhase::Creating, CONTROL_PLANE));
        };
        cluster::own(want, &found)?;
        match found.status() {
            Some(ClusterStatus::Failed) => return Err(cluster::trouble(&found)),
            Some(ClusterStatus::Deleting) => {
                return Ok(known_cluster(
                    &name,
                    want,
                    InfraPhase::Deleting,
                    "the control plane to go",
                ));
            }
            Some(ClusterStatus::Active | ClusterStatus::Updating) => {}
            _ => return Ok(known_cluster(&name, want, InfraPhase::Creating, CONTROL_PLANE)),
        }
        let group = names::cluster_nodes(want);
        let wanted = self.wanted_nodes(want, &name, &group, network);
        let nodes = format!(
            "{} nodes of node group {group}",
            want.template.nodes.desired_nodes
        );
        let group = match self.nodes_of(&eks, want, &wanted).await? {
            Found::There(group) => group,
            Found::Started => return Ok(known_cluster(&name, want, InfraPhase::Creating, &nodes)),
        };
        if let Some(failure) = nodegroup::trouble(&group) {
            return Err(failure);
        }
        match group.status() {
            Some(NodegroupStatus::Active | NodegroupStatus::Updating) => {}
            Some(NodegroupStatus::Deleting) => {
                return Ok(known_cluster(
                    &name,
                    want,
                    InfraPhase::Creating,
                    "its former nodes to go",
                ));
            }
            _ => return Ok(known_cluster(&name, want, InfraPhase::Creating, &nodes)),
        }
        if found.status() == Some(&ClusterStatus::Updating) {
            return usable_cluster(&found, InfraPhase::Updating, "a change of the control plane");
        }
        if cluster::to_be_closed(want, &found) {
            cluster::close(&eks, want, &name).await?;
            return usable_cluster(&found, InfraPhase::Updating, "its public endpoint to close");
        }
        let changing = group.status() == Some(&NodegroupStatus::Updating);
        if changing || nodegroup::align(&eks, &wanted, &group).await? {
            return usable_cluster(&found, InfraPhase::Updating, "a change of its nodes");
        }
        usable_cluster(&found, InfraPhase::Active, "")
    }

    async fn ensure_node_pool(&self, want: &NodePoolRequest) -> Result<Observed<NodePoolInfra>, Failure> {
        let (_, network, eks) = self.place(&want.region)?;
        let name = names::pool(want);
        let wanted = self.wanted_pool(want, &name, network);
        let Some(group) = nodegroup::find(&eks, wanted.cluster, &name).await? else {
            nodegroup::create(&eks, &wanted).await?;
            tracing::info!(pool = %want.pool, cluster = %want.cluster, eks = %name, "node pool is being made");
            return Ok(Observed::Known(NodePoolInfra {
                phase: InfraPhase::Creating,
                cloud_name: name,
                desired_nodes: want.template.desired_nodes,
            }));
        };
        nodegroup::own(&want.origin, &group)?;
        if let Some(failure) = nodegroup::trouble(&group) {
            return Err(failure);
        }
        let phase = match group.status() {
            Some(NodegroupStatus::Active) if nodegroup::align(&eks, &wanted, &group).await? => {
                InfraPhase::Updating
            }
            Some(NodegroupStatus::Active) => InfraPhase::Active,
            Some(NodegroupStatus::Updating) => InfraPhase::Updating,
            Some(NodegroupStatus::Deleting) => InfraPhase::Deleting,
            _ => InfraPhase::Creating,
        };
        Ok(known_pool(&group, phase))
    }

    async fn release_cluster(&self, want: &ClusterRequest) -> Result<Observed<ClusterInfra>, Failure> {
        let (_, _, eks) = self.place(&want.region)?;
        let name = names::cluster(want);
        let Some(found) = cluster::find(&eks, &name).await? else {
            return Ok(Observed::Absent);
        };
        cluster::own(want, &found)?;
        let going = |waiting_for: &str| Ok(known_cluster(&name, want, InfraPhase::Deleting, waiting_for));
        if found.status() == Some(&ClusterStatus::Deleting) {
            return going("the control plane to go");
        }
        match self.release_nodes(&eks, want, &name).await? {
            0 => {}
            left => return going(&format!("{left} node groups to go")),
        }
        match cluster::delete(&eks, &name).await? {
            Removal::Started => {
                tracing::info!(cluster = %want.cluster, eks = %name, "cluster is being removed");
                going("the control plane to go")
            }
            Removal::Later => going("EKS to finish what it is doing with the control plane"),
        }
    }

    async fn release_node_pool(&self, want: &NodePoolRequest) -> Result<Observed<NodePoolInfra>, Failure> {
        let (_, _, eks) = self.place(&want.region)?;
        let name = names::pool(want);
        let Some(group) = nodegroup::find(&eks, want.cloud_cluster(), &name).await? else {
            return Ok(Observed::Absent);
        };
        nodegroup::own(&want.origin, &group)?;
        release_group(&eks, want.cloud_cluster(), &name, &group).await?;
        Ok(known_pool(&group, InfraPhase::Deleting))
    }

    async fn cluster_access(&self, want: &ClusterRequest) -> Result<ClusterAccess, Failure> {
        let (region, _, eks) = self.place(&want.region)?;
        let name = names::cluster(want);
        let found = cluster::find(&eks, &name).await?;
        let usable = found.filter(|found| {
            matches!(
                found.status(),
                Some(ClusterStatus::Active | ClusterStatus::Updating)
            )
        });
        let Some(found) = usable else {
            return Err(Failure::new(
                TroubleClass::Retry,
                "NotActive",
                format!("cluster {name} is not active"),
            ));
        };
        cluster::own(want, &found)?;
        let credentials = self.clients.credentials().await.map_err(|error| {
            let code = classes::NO_CREDENTIALS;
            Failure::new(
                classes::of_call(code, None),
                code,
                format!("sign in to cluster {name}: {error}"),
            )
        })?;
        let now = SystemTime::from(self.clock.now());
        let bearer_token = token::bearer(&credentials, region, &name, now)
            .map_err(|error| Failure::new(TroubleClass::Operator, "NoToken", error.to_string()))?;
        Ok(ClusterAccess {
            endpoint: found.endpoint().unwrap_or_default().to_owned(),
            ca_pem: cluster::ca_pem(&found)?,
            bearer_token,
            expires_in: token::LIFETIME,
        })
    }
}
