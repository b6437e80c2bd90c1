//! A whole Berth on this machine: a local cloud, shared clusters with an agent each, and a hub. Every program is a process
//! of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use berth_fake::Access;
use berth_fake::cloud::{LocalCloud, LocalCloudOptions, LocalControlPlane, Machine, SharedCluster};
use berth_fake::control_plane::Binaries;
use berth_fake::eks::Timings;
use berth_fake::kubelet::ProcessLauncher;
use berth_proto::v1::{CreateJoinTokenRequest, CreateJoinTokenResponse};
use kube::Client;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::api::Api;
use crate::cli::Cli;
use crate::hub::Hub;
use crate::programs::Programs;
use crate::{install, kubernetes};

/// The region everything is in.
pub const REGION: &str = "eu-central-1";

/// The label with each shared cluster's own name, for tenants that must be on it.
pub const CLUSTER_LABEL: &str = "cluster";

/// What there is from the beginning.
#[derive(Clone, Debug)]
pub struct WorldOptions {
    /// Names of the shared clusters.
    pub clusters: Vec<String>,
    /// What each of their two nodes has.
    pub machine: Machine,
}

/// A shared cluster of the world.
#[derive(Debug)]
pub struct Member {
    /// The administrator's access.
    pub access: Access,
    /// A client with it.
    pub kube: ClientOf,
    /// Its agent.
    pub agent: Agent,
    /// The join token that the agent has used.
    pub used: CreateJoinTokenResponse,
}

/// A client that can be printed with what holds it.
#[derive(Clone)]
pub struct ClientOf(pub Client);

impl std::fmt::Debug for ClientOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

/// Everything.
#[derive(Debug)]
pub struct World {
    /// The programs under test.
    pub programs: Programs,
    /// The cloud with its clusters.
    pub cloud: LocalCloud,
    /// The hub.
    pub hub: Hub,
    /// The shared clusters by name.
    pub members: BTreeMap<String, Member>,
    directory: tempfile::TempDir,
}

impl World {
    /// Starts everything and waits until every agent is connected.
    ///
    /// # Errors
    /// Something does not start; its log is in the message.
    pub async fn start(options: &WorldOptions) -> anyhow::Result<Self> {
        let programs = Programs::find()?;
        let directory = tempfile::tempdir().context("make a directory")?;
        let cloud = LocalCloud::start(LocalCloudOptions {
            data_dir: directory.path().join("cloud"),
            control_plane: LocalControlPlane::Real(Binaries::find()?),
            launcher: Arc::new(ProcessLauncher {
                program: programs.agent(),
                leading_args: Vec::new(),
            }),
            timings: Timings::Real {
                cluster: Duration::from_millis(500),
                nodegroup: Duration::from_millis(500),
                update: Duration::from_millis(100),
            },
            region: REGION.to_owned(),
            durable: false,
        })
        .await?;
        let shared = options.clusters.iter().map(|name| {
            let wanted = SharedCluster {
                machine: options.machine,
                ..SharedCluster::new(name, REGION)
            };
            let cloud = &cloud;
            async move { Ok::<_, anyhow::Error>((wanted.name.clone(), cloud.shared_cluster(&wanted).await?)) }
        });
        let accesses = futures::future::try_join_all(shared).await?;
        let hub = Hub::start(&programs, &directory.path().join("hub"), &hub_config(&cloud)).await?;
        let mut world = Self {
            programs,
            cloud,
            hub,
            members: BTreeMap::new(),
            directory,
        };
        for (name, access) in accesses {
            world.join(&name, access).await?;
        }
        Ok(world)
    }

    async fn join(&mut self, name: &str, access: Access) -> anyhow::Result<()> {
        let api = self.hub.api()?;
        let kube = kubernetes::client(&access).await?;
        let request = CreateJoinTokenRequest {
            cluster: name.to_owned(),
            labels: [(CLUSTER_LABEL.to_owned(), name.to_owned())].into(),
            ..CreateJoinTokenRequest::default()
        };
        let token = api.token_for(request).await.context("make a join token")?;
        let options = install::prepare(&kube, &access, &self.hub.agent_url(), &token).await?;
        let agent = Agent::start(
            &self.programs,
            &self.directory.path().join(format!("agent-{name}")),
            options,
        )?;
        let connected = api.connected(name).await;
        connected.with_context(|| format!("{}\n{}", self.hub.log_end(20), agent.log_end(20)))?;
        self.members.insert(
            name.to_owned(),
            Member {
                access,
                kube: ClientOf(kube),
                agent,
                used: token,
            },
        );
        Ok(())
    }

    /// The hub's API.
    ///
    /// # Errors
    /// The hub's context file cannot be used.
    pub fn api(&self) -> anyhow::Result<Api> {
        self.hub.api()
    }

    /// The command line.
    #[must_use]
    pub fn cli(&self) -> Cli {
        Cli::new(&self.programs, &self.hub.context())
    }

    /// A client of a shared cluster.
    ///
    /// # Errors
    /// There is no such cluster.
    pub fn kube(&self, cluster: &str) -> anyhow::Result<Client> {
        Ok(self
            .members
            .get(cluster)
            .with_context(|| format!("no cluster {cluster}"))?
            .kube
            .0
            .clone())
    }

    /// A shared cluster.
    ///
    /// # Errors
    /// There is no such cluster.
    pub fn member(&mut self, cluster: &str) -> anyhow::Result<&mut Member> {
        self.members
            .get_mut(cluster)
            .with_context(|| format!("no cluster {cluster}"))
    }

    /// A directory for a test's own files, removed with the world.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn directory(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.directory.path().join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(path)
    }

    /// Starts what a test has killed and lets continue what it has paused.
    ///
    /// # Errors
    /// Something does not come back.
    pub async fn heal(&mut self) -> anyhow::Result<()> {
        for name in self.members.keys() {
            self.cloud.resume_api(name).await?;
        }
        self.hub.process().resume().ok();
        self.hub.ensure_running().await?;
        let api = self.api()?;
        for (name, member) in &mut self.members {
            member.agent.ensure_running()?;
            api.connected(name).await?;
        }
        Ok(())
    }

    /// The ends of all logs.
    #[must_use]
    pub fn logs(&self) -> String {
        let agents = self.members.values().map(|member| member.agent.log_end(25));
        std::iter::once(self.hub.log_end(40))
            .chain(agents)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Ends everything in order.
    pub async fn stop(mut self) {
        for member in self.members.values_mut() {
            // Whatever does not end is killed when it is dropped.
            let _ = member.agent.process().stop().await;
        }
        let _ = self.hub.process().stop().await;
        self.cloud.stop().await;
    }
}

/// The configuration of a hub whose cloud is `cloud`.
#[must_use]
pub fn hub_config(cloud: &LocalCloud) -> Value {
    let key = cloud.credentials();
    json!({
        // Tests delete many at once and mean it.
        "breaker": {"tenants": 10_000},
        "placement": {"defaultRegion": REGION, "infraPollSeconds": 0.2},
        "eks": {
            "defaultRegion": REGION,
            "regions": {REGION: {"subnetIds": ["subnet-1", "subnet-2"]}},
            "clusterRoleArn": "arn:aws:iam::111122223333:role/cluster",
            "nodeRoleArn": "arn:aws:iam::111122223333:role/node",
            "endpointUrl": cloud.endpoint_url(),
            "credentials": {"accessKeyId": key.access_key_id, "secretAccessKey": key.secret_access_key},
        },
    })
}

/// The workspace's directory, for the examples in it.
#[must_use]
pub fn workspace() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}
