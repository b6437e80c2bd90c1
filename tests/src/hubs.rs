//! Several hubs on one etcd, with a shared cluster whose agent knows all of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use berth_fake::cloud::{LocalCloud, LocalCloudOptions, LocalControlPlane, SharedCluster};
use berth_fake::control_plane::{Binaries, EtcdCluster, EtcdClusterOptions};
use berth_fake::eks::Timings;
use berth_fake::kubelet::ProcessLauncher;
use berth_proto::v1::{self, CreateJoinTokenRequest};
use kube::Client;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::agent::Agent;
use crate::api::{Api, is_ready, of_tier};
use crate::hub::Hub;
use crate::programs::Programs;
use crate::waiting::{LONG, until};
use crate::world::REGION;
use crate::{install, kubernetes};

/// The shared cluster.
pub const CLUSTER: &str = "eu-1";

/// What hubs, and on what etcd.
#[derive(Clone, Debug)]
pub struct HubsOptions {
    /// How many hubs.
    pub hubs: usize,
    /// Seconds for which a leader stays one without being heard of.
    pub lease: u64,
    /// Their etcd.
    pub etcd: EtcdClusterOptions,
    /// More of every hub's configuration.
    pub config: serde_json::Value,
}

impl Default for HubsOptions {
    fn default() -> Self {
        Self {
            hubs: 2,
            lease: 2,
            etcd: EtcdClusterOptions::default(),
            config: serde_json::json!({}),
        }
    }
}

/// Hubs on one etcd. The fields are dropped in this order.
#[derive(Debug)]
pub struct Hubs {
    /// The hubs; any of them may lead.
    pub hubs: Vec<Hub>,
    /// The cluster's agent.
    pub agent: Option<Agent>,
    /// Where the hubs keep everything.
    pub etcd: EtcdCluster,
    /// The programs under test.
    pub programs: Programs,
    cloud: Option<LocalCloud>,
    kube: Option<KubeClient>,
    directory: tempfile::TempDir,
}

struct KubeClient(Client);

impl std::fmt::Debug for KubeClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Hubs {
    /// Starts an etcd of `members` and so many hubs on it, without a cluster.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn start(hubs: usize, members: usize) -> anyhow::Result<Self> {
        Self::start_with_lease(hubs, members, 2).await
    }

    /// The same, with leaders that stay so for that many seconds without being heard of.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn start_with_lease(hubs: usize, members: usize, lease: u64) -> anyhow::Result<Self> {
        Self::start_as(&HubsOptions {
            hubs,
            lease,
            etcd: EtcdClusterOptions {
                members,
                ..EtcdClusterOptions::default()
            },
            ..HubsOptions::default()
        })
        .await
    }

    /// The same, with hubs whose section `etcd` of the configuration is `access`.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn start_with(hubs: usize, members: usize, access: &Value) -> anyhow::Result<Self> {
        Self::start_as(&HubsOptions {
            hubs,
            etcd: EtcdClusterOptions {
                members,
                ..EtcdClusterOptions::default()
            },
            config: json!({"etcd": access}),
            ..HubsOptions::default()
        })
        .await
    }

    /// Starts an etcd and hubs on it, without a cluster.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn start_as(options: &HubsOptions) -> anyhow::Result<Self> {
        let etcd = EtcdCluster::start(&Binaries::find()?, &options.etcd).await?;
        let mut all = Self {
            hubs: Vec::new(),
            agent: None,
            etcd,
            programs: Programs::find()?,
            cloud: None,
            kube: None,
            directory: tempfile::tempdir().context("make a directory")?,
        };
        for number in 0..options.hubs {
            all.add(number, options).await?;
        }
        Ok(all)
    }

    async fn add(&mut self, number: usize, options: &HubsOptions) -> anyhow::Result<()> {
        let directory = self.directory.path().join(format!("hub-{number}"));
        // Every hub of a fleet has the same certificate authority: an operator copies it.
        if let Some(first) = self.hubs.first() {
            copy(&first.data().join("ca"), &directory.join("data/ca"))?;
        }
        let mut config = serde_json::json!({
            "placement": {"defaultRegion": REGION},
            "etcd": {"leaseSeconds": options.lease, "requestTimeoutSeconds": 2.0},
        });
        for (name, value) in options.config.as_object().into_iter().flatten() {
            config[name] = value.clone();
        }
        let store = format!("--store={}", self.store("berth-test"));
        let hub = Hub::start_with(&self.programs, &directory, &config, vec![store]).await?;
        self.hubs.push(hub);
        Ok(())
    }

    /// The store under another prefix of the same etcd; the hubs begin under `berth-test`.
    #[must_use]
    pub fn store(&self, prefix: &str) -> String {
        let urls = self.etcd.client_urls();
        let hosts: Vec<&str> = urls.iter().filter_map(|url| url.split("://").last()).collect();
        format!("etcd://{}/{prefix}", hosts.join(","))
    }

    /// A directory for a test's own files, removed with everything.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn directory(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.directory.path().join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(path)
    }

    /// Starts a shared cluster and an agent that knows all hubs, and waits until it is connected.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn join(&mut self) -> anyhow::Result<()> {
        let cloud = LocalCloud::start(LocalCloudOptions {
            data_dir: self.directory.path().join("cloud"),
            control_plane: LocalControlPlane::Real(Binaries::find()?),
            launcher: Arc::new(ProcessLauncher {
                program: self.programs.agent(),
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
        let access = cloud.shared_cluster(&SharedCluster::new(CLUSTER, REGION)).await?;
        let kube = kubernetes::client(&access).await?;
        let leader = self.leader().await?;
        let api = self.hubs[leader].api()?;
        let token = api
            .token_for(CreateJoinTokenRequest {
                cluster: CLUSTER.to_owned(),
                ..CreateJoinTokenRequest::default()
            })
            .await?;
        let urls: Vec<String> = self.hubs.iter().map(Hub::agent_url).collect();
        let options = install::prepare(&kube, &access, &urls.join(","), &token).await?;
        self.agent = Some(Agent::start(
            &self.programs,
            &self.directory.path().join("agent"),
            options,
        )?);
        self.kube = Some(KubeClient(kube));
        self.cloud = Some(cloud);
        api.connected(CLUSTER).await?;
        Ok(())
    }

    /// A client of the shared cluster.
    ///
    /// # Errors
    /// There is none yet.
    pub fn kube(&self) -> anyhow::Result<Client> {
        Ok(self.kube.as_ref().context("no cluster has joined")?.0.clone())
    }

    /// Which hub leads; waits while none does.
    ///
    /// # Errors
    /// None does for long.
    pub async fn leader(&self) -> anyhow::Result<usize> {
        self.leader_but(None).await
    }

    /// Which hub leads other than `not`; waits while none does.
    ///
    /// # Errors
    /// None does for long.
    pub async fn leader_but(&self, not: Option<usize>) -> anyhow::Result<usize> {
        until(LONG, "a hub leads", || async {
            for (number, hub) in self.hubs.iter().enumerate() {
                if Some(number) == not {
                    continue;
                }
                let asked = tokio::time::timeout(Duration::from_secs(2), how_is(hub)).await;
                if let Ok(Ok(hub)) = asked
                    && hub.role == "leading"
                {
                    return Ok(Some(number));
                }
            }
            Ok(None)
        })
        .await
        .with_context(|| self.logs())
    }

    /// Does `call` at whichever hub leads, as a caller would that has all addresses: the next one is asked while one does not lead
    /// or does not answer.
    ///
    /// # Errors
    /// What the leader answers, or that none does for long.
    pub async fn ask<T, F>(&self, mut call: impl FnMut(Api) -> F) -> anyhow::Result<Result<T, Status>>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let apis = self
            .hubs
            .iter()
            .map(Hub::api)
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut turn = 0;
        until(LONG, "a hub answers", || {
            turn += 1;
            let api = apis[turn % apis.len()].clone();
            let asked = tokio::time::timeout(Duration::from_secs(3), call(api));
            async move {
                match asked.await {
                    Err(_) => Ok(None),
                    Ok(Err(status))
                        if matches!(status.code(), Code::Unavailable | Code::Cancelled | Code::Unknown) =>
                    {
                        Err(anyhow::anyhow!("{status}"))
                    }
                    Ok(answer) => Ok(Some(answer)),
                }
            }
        })
        .await
        .with_context(|| self.logs())
    }

    /// Makes a tenant of tier free by whichever hub leads; its uid.
    ///
    /// # Errors
    /// The hub refuses, or none leads for long.
    pub async fn create(&self, id: &str) -> anyhow::Result<String> {
        let made = self
            .ask(|api| {
                let id = id.to_owned();
                async move { api.create(&id, of_tier("free")).await }
            })
            .await?;
        match made {
            Ok(tenant) => Ok(tenant.uid),
            // The answer to an earlier try was lost with the leader.
            Err(status) if status.code() == Code::AlreadyExists => Ok(self.tenant(id).await?.uid),
            Err(status) => Err(status.into()),
        }
    }

    /// A tenant, as whichever hub leads has it.
    ///
    /// # Errors
    /// The hub refuses, or none leads for long.
    pub async fn tenant(&self, id: &str) -> anyhow::Result<v1::Tenant> {
        let found = self
            .ask(|api| {
                let id = id.to_owned();
                async move { api.tenant(&id).await }
            })
            .await??;
        Ok(found)
    }

    /// Waits until a tenant is Ready.
    ///
    /// # Errors
    /// It is not for long.
    pub async fn ready(&self, id: &str) -> anyhow::Result<()> {
        until(LONG, "the tenant is ready", || async {
            let tenant = self.tenant(id).await?;
            Ok(is_ready(&tenant).then_some(()))
        })
        .await
        .with_context(|| format!("{id}\n{}", self.logs()))
    }

    /// The ends of all logs.
    #[must_use]
    pub fn logs(&self) -> String {
        let agent = self.agent.iter().map(|agent| agent.log_end(20));
        self.hubs
            .iter()
            .map(|hub| hub.log_end(25))
            .chain(agent)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Ends everything in order.
    pub async fn stop(mut self) {
        if let Some(agent) = &mut self.agent {
            // Whatever does not end is killed when it is dropped.
            let _ = agent.process().stop().await;
        }
        for hub in &mut self.hubs {
            let _ = hub.process().resume();
            let _ = hub.process().stop().await;
        }
        if let Some(cloud) = self.cloud.take() {
            cloud.stop().await;
        }
    }
}

async fn how_is(hub: &Hub) -> anyhow::Result<v1::Hub> {
    Ok(hub.api()?.hub().await?)
}

/// Copies the files of a directory, as an operator does with a hub's certificate authority.
///
/// # Errors
/// One cannot be read or written.
pub fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("create {}", to.display()))?;
    for entry in std::fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
