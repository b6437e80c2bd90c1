//! Two hubs, their etcd and an agent, each on a host of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use berth_fake::cloud::{LocalCloud, LocalCloudOptions, LocalControlPlane, SharedCluster};
use berth_fake::control_plane::{Binaries, Binary};
use berth_fake::eks::Timings;
use berth_fake::kubelet::ProcessLauncher;
use berth_model::label::AGENT_NAMESPACE;
use berth_tests::agent::Agent;
use berth_tests::api::Api;
use berth_tests::hub::Hub;
use berth_tests::hubs::{CLUSTER, copy};
use berth_tests::process::Process;
use berth_tests::programs::Programs;
use berth_tests::waiting::{LONG, until};
use berth_tests::world::REGION;
use berth_tests::{install, kubernetes};
use kube::Client;
use tokio::net::TcpStream;

use crate::network::{Network, Number, Relay, address, host, router};

/// The host of etcd.
pub(crate) const ETCD: Number = 1;
/// The hosts of the hubs.
pub(crate) const HUBS: [Number; 2] = [2, 3];
/// The host of the agent.
pub(crate) const AGENT: Number = 4;

/// All of it. The fields are dropped in this order.
pub(crate) struct Fleet {
    pub(crate) hubs: Vec<Hub>,
    pub(crate) agent: Agent,
    pub(crate) kube: Client,
    pub(crate) network: Network,
    _relay: Process,
    _etcd: Process,
    cloud: LocalCloud,
    _directory: tempfile::TempDir,
}

impl Fleet {
    /// Starts everything and waits until the agent is connected.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let network = Network::build(AGENT).await?;
        let directory = tempfile::tempdir().context("make a directory")?;
        let at = directory.path();
        let (programs, binaries) = (Programs::find()?, Binaries::find()?);
        let etcd = etcd(&binaries, at).await?;
        let mut hubs: Vec<Hub> = Vec::new();
        for (number, on) in HUBS.into_iter().enumerate() {
            let home = at.join(format!("hub-{number}"));
            if let Some(first) = hubs.first() {
                copy(&first.data().join("ca"), &home.join("data/ca"))?;
            }
            let config = serde_json::json!({
                "placement": {"defaultRegion": REGION},
                "etcd": {"leaseSeconds": 2, "requestTimeoutSeconds": 2.0},
            });
            let store = format!("--store=etcd://{}:2379/berth-test", address(ETCD));
            hubs.push(Hub::start_on(&programs, &home, &config, vec![store], host(on)).await?);
        }
        let cloud = LocalCloud::start(LocalCloudOptions {
            data_dir: at.join("cloud"),
            control_plane: LocalControlPlane::Real(binaries),
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
        let access = cloud.shared_cluster(&SharedCluster::new(CLUSTER, REGION)).await?;
        let kube = kubernetes::client(&access).await?;
        let relay = relay(&access.url, at)?;
        let leader = leader(&apis(&hubs)?, None).await?;
        let api = hubs[leader].api()?;
        let token = api.token(CLUSTER).await?;
        let urls: Vec<String> = hubs.iter().map(Hub::agent_url).collect();
        let options = install::prepare(&kube, &access, &urls.join(","), &token).await?;
        let agent = Agent::start_on(
            &programs,
            &at.join("agent"),
            options,
            AGENT_NAMESPACE,
            host(AGENT),
        )?;
        let fleet = Self {
            hubs,
            agent,
            kube,
            network,
            _relay: relay,
            _etcd: etcd,
            cloud,
            _directory: directory,
        };
        api.connected(CLUSTER).await.with_context(|| fleet.logs())?;
        Ok(fleet)
    }

    /// The hubs' APIs.
    pub(crate) fn apis(&self) -> anyhow::Result<Vec<Api>> {
        apis(&self.hubs)
    }

    /// The ends of all logs.
    pub(crate) fn logs(&self) -> String {
        let hubs = self.hubs.iter().map(|hub| hub.log_end(20));
        hubs.chain([self.agent.log_end(20)])
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Ends everything in order.
    pub(crate) async fn stop(mut self) {
        // Whatever does not end is killed when it is dropped.
        let _ = self.agent.process().stop().await;
        for hub in &mut self.hubs {
            let _ = hub.process().stop().await;
        }
        self.cloud.stop().await;
    }
}

fn apis(hubs: &[Hub]) -> anyhow::Result<Vec<Api>> {
    hubs.iter().map(Hub::api).collect()
}

/// Which hub leads, other than `not`; waits while none does.
pub(crate) async fn leader(apis: &[Api], not: Option<usize>) -> anyhow::Result<usize> {
    until(LONG, "a hub leads", || async {
        for (number, api) in apis.iter().enumerate().filter(|(number, _)| Some(*number) != not) {
            let asked = tokio::time::timeout(Duration::from_secs(2), api.hub()).await;
            if let Ok(Ok(hub)) = asked
                && hub.role == "leading"
            {
                return Ok(Some(number));
            }
        }
        Ok(None)
    })
    .await
}

/// One etcd on its host.
async fn etcd(binaries: &Binaries, at: &Path) -> anyhow::Result<Process> {
    let program = binaries.path(Binary::Etcd).context("there is no etcd")?;
    let (program, mut arguments) = host(ETCD).starting(program);
    let clients = format!("http://{}:2379", address(ETCD));
    let peers = format!("http://{}:2380", address(ETCD));
    arguments.extend([
        "--name=m0".to_owned(),
        format!("--data-dir={}", at.join("etcd").display()),
        format!("--listen-client-urls={clients}"),
        format!("--advertise-client-urls={clients}"),
        format!("--listen-peer-urls={peers}"),
        format!("--initial-advertise-peer-urls={peers}"),
        format!("--initial-cluster=m0={peers}"),
        "--unsafe-no-fsync".to_owned(),
    ]);
    let mut process = Process::start("etcd", &program, arguments, &at.join("etcd.log"))?;
    until(LONG, "etcd listens", || async {
        TcpStream::connect((address(ETCD), 2379)).await?;
        Ok(Some(()))
    })
    .await
    .with_context(|| process.log_end(20))?;
    process.ensure_running()?;
    Ok(process)
}

/// The agent's way to its cluster's API, which listens on the router's loopback: under the same address on the agent's.
fn relay(url: &str, at: &Path) -> anyhow::Result<Process> {
    let port = url
        .rsplit(':')
        .next()
        .and_then(|port| port.trim_end_matches('/').parse::<u16>().ok());
    let Some(port) = port else {
        bail!("{url} has no port");
    };
    let between = (router(AGENT), port).into();
    let loopback = (std::net::Ipv4Addr::LOCALHOST, port).into();
    let near = Relay {
        listen: between,
        to: loopback,
    };
    tokio::spawn(near.run());
    let far = Relay {
        listen: loopback,
        to: between,
    };
    let own = std::env::current_exe().context("find the own program")?;
    let (program, arguments) = far.on(AGENT, &own);
    Process::start("relay", &program, arguments, &at.join("relay.log"))
}
