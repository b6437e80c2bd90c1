//! A cloud on this machine: a fake EKS whose clusters are local control planes, real ones or embedded, with somebody in each
//! who plays the kubelet for the agent, and shared clusters that exist from the beginning.
//!
//! `berth dev` and the whole-system tests stand on it. Everything it keeps lies in one directory, so that a second start
//! continues with the same clusters; the administrator's kubeconfig of each is `clusters/NAME/kubeconfig` there. It knows
//! nothing of hubs and tenants.

mod clusters;
mod nodes;
mod ports;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::access::Access;
use crate::control_plane::Binaries;
use crate::eks::{self, AccessKey, BoxError, FakeEks, Faults, Limits, Timings};
use crate::kubelet::Launcher;

use clusters::LocalClusters;
pub use nodes::Machine;

/// What the clusters of a [`LocalCloud`] are made of.
#[derive(Clone, Debug)]
pub enum LocalControlPlane {
    /// kube-apiserver and what belongs to it, as processes.
    Real(Binaries),
    /// The embedded Kubernetes API, in this process, listening on loopback.
    Embedded,
}

/// How a [`LocalCloud`] is started.
#[derive(Clone)]
pub struct LocalCloudOptions {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// What clusters are made of.
    pub control_plane: LocalControlPlane,
    /// Who starts agents when a cluster asks for one.
    pub launcher: Arc<dyn Launcher>,
    /// How long EKS takes for what it makes.
    pub timings: Timings,
    /// Region of what EKS makes.
    pub region: String,
    /// Whether clusters must survive a power failure; without it real ones are faster.
    pub durable: bool,
}

impl fmt::Debug for LocalCloudOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalCloudOptions")
            .field("data_dir", &self.data_dir)
            .field("control_plane", &self.control_plane)
            .field("timings", &self.timings)
            .finish_non_exhaustive()
    }
}

/// A cluster that exists from the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedCluster {
    /// Its name in the cloud.
    pub name: String,
    /// Region on its nodes.
    pub region: String,
    /// Its Kubernetes version, as EKS names it.
    pub version: String,
    /// Ordinary nodes, for everybody's pods.
    pub nodes: u32,
    /// What each of them has.
    pub machine: Machine,
}

impl SharedCluster {
    /// Two ordinary nodes in a region.
    #[must_use]
    pub fn new(name: &str, region: &str) -> Self {
        Self {
            name: name.to_owned(),
            region: region.to_owned(),
            version: "1.36".to_owned(),
            nodes: 2,
            machine: Machine::default(),
        }
    }
}

/// Why the cloud could not do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The fake EKS.
    #[error("run the fake EKS")]
    Eks(#[from] eks::Error),
    /// A cluster's API server cannot be frozen, or let continue.
    #[error("freeze the API server of cluster `{cluster}`, or let it continue")]
    Frozen {
        /// Its name.
        cluster: String,
        /// Why not.
        #[source]
        source: BoxError,
    },
    /// A shared cluster.
    #[error("start cluster `{cluster}`")]
    Cluster {
        /// Its name.
        cluster: String,
        /// Why not.
        #[source]
        source: BoxError,
    },
}

/// A running local cloud.
#[derive(Debug)]
pub struct LocalCloud {
    eks: FakeEks,
    clusters: Arc<LocalClusters>,
}

impl LocalCloud {
    /// Starts the fake EKS, with the clusters an earlier run in the same directory had it make.
    ///
    /// # Errors
    /// Something of it cannot be started, bound or read.
    pub async fn start(options: LocalCloudOptions) -> Result<Self, Error> {
        let clusters = Arc::new(LocalClusters::new(&options));
        let eks = FakeEks::start(eks::Options {
            data_dir: Some(options.data_dir.join("eks")),
            backend: clusters.clone(),
            timings: options.timings,
            limits: Limits::default(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            region: options.region,
        })
        .await?;
        Ok(Self { eks, clusters })
    }

    /// Where AWS SDKs are pointed to.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        self.eks.endpoint_url()
    }

    /// An access key of the account.
    #[must_use]
    pub fn credentials(&self) -> AccessKey {
        self.eks.credentials()
    }

    /// What goes wrong next in EKS.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        self.eks.faults()
    }

    /// The fake EKS itself.
    #[must_use]
    pub fn eks(&self) -> &FakeEks {
        &self.eks
    }

    /// Starts a cluster that exists from the beginning, or finds it, and shows it in EKS so that node groups can be made in
    /// it. Its nodes carry the region and look like EKS's.
    ///
    /// # Errors
    /// It does not start, or does not take its nodes.
    pub async fn shared_cluster(&self, wanted: &SharedCluster) -> Result<Access, Error> {
        let failed = |source: BoxError| Error::Cluster {
            cluster: wanted.name.clone(),
            source,
        };
        let judge = self.eks.clone();
        let name = wanted.name.clone();
        let authenticator = eks::Authenticator {
            webhook_url: self.eks.webhook_url(&wanted.name),
            webhook_ca_pem: self.eks.webhook_ca_pem(),
            check: Arc::new(move |token| {
                judge
                    .authenticate(&name, token)
                    .map(|user| (user.name, user.groups))
            }),
        };
        let access = self
            .clusters
            .start(&wanted.name, &wanted.version, authenticator)
            .await
            .map_err(failed)?;
        let client = clusters::client(&access).await.map_err(failed)?;
        nodes::make(&client, wanted).await.map_err(failed)?;
        self.eks
            .adopt(&wanted.name, access.clone(), &wanted.version, &wanted.region)
            .await?;
        Ok(access)
    }

    /// Freezes the kube-apiserver of a cluster: connections stay open, nothing is answered. [`resume_api`](Self::resume_api)
    /// undoes it.
    ///
    /// # Errors
    /// There is no such cluster, or its process has ended.
    pub async fn pause_api(&self, cluster: &str) -> Result<(), Error> {
        self.freeze(cluster, true).await
    }

    /// Lets a frozen kube-apiserver continue.
    ///
    /// # Errors
    /// There is no such cluster, or its process has ended.
    pub async fn resume_api(&self, cluster: &str) -> Result<(), Error> {
        self.freeze(cluster, false).await
    }

    async fn freeze(&self, cluster: &str, frozen: bool) -> Result<(), Error> {
        let failed = |source| Error::Frozen {
            cluster: cluster.to_owned(),
            source,
        };
        self.clusters.freeze(cluster, frozen).await.map_err(failed)
    }

    /// The administrator's access to every cluster that runs, shared or made by EKS, by its name in the cloud.
    pub async fn clusters(&self) -> BTreeMap<String, Access> {
        self.clusters.running().await
    }

    /// Stops EKS and all clusters; their data stay.
    pub async fn stop(self) {
        self.eks.shutdown().await;
        self.clusters.stop_all().await;
    }
}
