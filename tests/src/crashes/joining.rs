//! The first joining of a cluster: the hub or the agent dies at one of its steps, is started again as it was, and the cluster is in the
//! fleet, once, by the one token.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use berth_fake::Access;
use berth_fake::cloud::{Machine, SharedCluster};
use berth_model::label::{AGENT_IDENTITY_SECRET, AGENT_NAMESPACE, AGENT_TOKEN_SECRET};
use berth_proto::v1::{
    CordonClusterRequest, DeleteClusterRequest, ListClustersRequest, ListJoinTokensRequest,
};
use k8s_openapi::api::core::v1::Secret;
use kube::api::DeleteParams;
use kube::{Api, Client};
use serde_json::json;

use super::points::{self, Point};
use super::{Outcome, Victim, chosen, killed, pod};
use crate::agent::{Agent, AgentOptions};
use crate::hub::Host;
use crate::waiting::LONG;
use crate::world::{REGION, World, WorldOptions};
use crate::{install, kubernetes};

/// The cluster that joins.
const CLUSTER: &str = "eu-1";

/// Where a cluster joins, again and again; in between it is taken out of the fleet, and its agent forgets who it was.
#[derive(Debug)]
pub struct Door {
    world: World,
    access: Access,
    trials: u64,
}

impl Door {
    /// Starts a hub, and a cluster that is not in its fleet.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn start() -> anyhow::Result<Self> {
        let options = WorldOptions {
            clusters: Vec::new(),
            machine: Machine::default(),
        };
        let world = World::start(&options).await?;
        let access = world
            .cloud
            .shared_cluster(&SharedCluster::new(CLUSTER, REGION))
            .await?;
        Ok(Self {
            world,
            access,
            trials: 0,
        })
    }

    /// Lets the cluster join while the victim dies at every point, or at `most` of them as the seed says.
    ///
    /// # Errors
    /// Something is not as it must be although nobody has died, or the programs have no points.
    pub async fn matrix(
        &mut self,
        victim: Victim,
        most: Option<usize>,
        seed: u64,
        name: &str,
    ) -> anyhow::Result<Outcome> {
        let points = self.join(victim, None).await?;
        let mut outcome = Outcome::of(&points)?;
        for point in chosen(&points, most, seed) {
            self.attempt(victim, point, name, &mut outcome).await;
        }
        Ok(outcome)
    }

    /// Lets the cluster join once, while the victim dies at a point.
    pub async fn once(&mut self, victim: Victim, point: u64, name: &str) -> Outcome {
        let mut outcome = Outcome::default();
        self.attempt(victim, point, name, &mut outcome).await;
        outcome
    }

    async fn attempt(&mut self, victim: Victim, point: u64, name: &str, outcome: &mut Outcome) {
        let died = self.join(victim, Some(point)).await;
        let died = died.map(|passed| passed.into_iter().find(|passed| passed.number == point));
        outcome.take(&format!("{name}:{point}"), "beginnings", died);
    }

    /// Lets the cluster join while the victim dies at a point, or at none. The points that it came to.
    ///
    /// # Errors
    /// Something is not as it must be.
    pub async fn join(&mut self, victim: Victim, die_at: Option<u64>) -> anyhow::Result<Vec<Point>> {
        self.trials += 1;
        let own = self.world.directory("joins")?.join(self.trials.to_string());
        std::fs::create_dir_all(&own).context("make a directory")?;
        let log = own.join("points");
        let environment = points::environment(&log, die_at);
        self.world.hub.ensure_running().await?;
        let api = self.world.api()?;
        let kube = kubernetes::client(&self.access).await?;
        let token = api.token(CLUSTER).await.context("make a join token")?;
        let options = install::prepare(&kube, &self.access, &self.world.hub.agent_url(), &token).await?;
        put_token(&kube, &token.token).await?;
        if victim == Victim::Hub {
            self.world.hub.process().kill().await?;
            self.world.hub.launch(&environment)?;
        }
        let told = if victim == Victim::Agent {
            environment
        } else {
            Vec::new()
        };
        let mut agent = self.begin(&own.join("agent"), options, told)?;
        let joined = self.joined(victim, &mut agent, &kube).await;
        let passed = points::read(&log)?;
        joined.with_context(|| {
            let at = die_at.and_then(|number| passed.iter().find(|point| point.number == number));
            let at = at.map_or_else(|| "nowhere".to_owned(), ToString::to_string);
            format!(
                "the {victim} died at {at}\n{}\n{}",
                self.world.hub.log_end(30),
                agent.log_end(30)
            )
        })?;
        agent.process().kill().await?;
        self.put_out(&kube).await?;
        Ok(passed)
    }

    fn begin(
        &self,
        directory: &Path,
        options: AgentOptions,
        mut environment: Vec<(String, String)>,
    ) -> anyhow::Result<Agent> {
        environment.push(pod());
        let place = (AGENT_NAMESPACE, Host::default());
        Agent::begin(&self.world.programs, directory, options, place, &environment)
    }

    /// Waits until the cluster has joined, while whoever dies is started again as it was.
    async fn joined(&mut self, victim: Victim, agent: &mut Agent, kube: &Client) -> anyhow::Result<()> {
        let api = self.world.api()?;
        let hub = &mut self.world.hub;
        let stand_by = async {
            match victim {
                Victim::Hub => {
                    tokio::select! {
                        biased;
                        ended = agent.process().ended(LONG * 4) => bail!("the agent has ended: {}", ended?),
                        ended = hub.process().ended(LONG * 4) => killed(ended?)?,
                    }
                    hub.start_again().await?;
                }
                Victim::Agent => {
                    killed(agent.process().ended(LONG * 4).await?)?;
                    agent.start_as_before(&[pod()])?;
                }
            }
            let ended = agent.process().ended(LONG * 4).await?;
            bail!("the agent has ended: {ended}")
        };
        tokio::select! {
            joined = api.connected(CLUSTER) => drop(joined?),
            failed = stand_by => return failed,
        }
        self.world.hub.ensure_running().await?;
        if agent.process().ensure_running().is_err() {
            // It died between being connected and now.
            agent.start_as_before(&[pod()])?;
        }
        // Nobody finds the token in the cluster, and nobody else could use it.
        let secrets = Api::<Secret>::namespaced(kube.clone(), AGENT_NAMESPACE);
        kubernetes::disappears(&secrets, AGENT_TOKEN_SECRET).await?;
        let open = api
            .tokens()
            .list_join_tokens(ListJoinTokensRequest::default())
            .await?
            .into_inner();
        ensure!(open.join_tokens.is_empty(), "a token is still good: {open:?}");
        let all = api
            .clusters()
            .list_clusters(ListClustersRequest::default())
            .await?
            .into_inner();
        ensure!(all.clusters.len() == 1, "the fleet has {:?}", all.clusters);
        let identity = secrets
            .get(AGENT_IDENTITY_SECRET)
            .await
            .context("read the identity")?;
        let parts: Vec<String> = identity.data.unwrap_or_default().into_keys().collect();
        ensure!(
            ["ca.crt", "cluster", "tls.crt", "tls.key"]
                .iter()
                .all(|part| parts.iter().any(|there| there == part)),
            "the agent keeps {parts:?}"
        );
        Ok(())
    }

    /// Takes the cluster out of the fleet, and its identity from its agent.
    async fn put_out(&mut self, kube: &Client) -> anyhow::Result<()> {
        let api = self.world.api()?;
        let name = format!("clusters/{CLUSTER}");
        api.clusters()
            .cordon_cluster(CordonClusterRequest { name: name.clone() })
            .await
            .context("cordon the cluster")?;
        api.clusters()
            .delete_cluster(DeleteClusterRequest {
                name,
                ..DeleteClusterRequest::default()
            })
            .await
            .context("delete the cluster")?;
        let secrets = Api::<Secret>::namespaced(kube.clone(), AGENT_NAMESPACE);
        secrets
            .delete(AGENT_IDENTITY_SECRET, &DeleteParams::default())
            .await
            .context("delete the identity")?;
        Ok(())
    }

    /// Ends everything in order.
    pub async fn stop(self) {
        self.world.stop().await;
    }
}

/// The Secret that the token comes in, as the agent's manifest has it.
async fn put_token(kube: &Client, token: &str) -> anyhow::Result<()> {
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": AGENT_TOKEN_SECRET, "namespace": AGENT_NAMESPACE},
        "stringData": {"token": token},
    });
    install::apply(kube, &[secret]).await
}
