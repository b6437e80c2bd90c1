//! The clusters of a local cloud: started, found again and stopped by name, each with a player of the kubelet's part.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::sync::{Mutex, OnceCell};

use super::ports::OwnPorts;
use super::{LocalCloudOptions, LocalControlPlane};
use crate::access::Access;
use crate::control_plane::{self, Binaries, ControlPlane, SharedEtcd, TokenWebhook};
use crate::eks::{Authenticator, Backend, BoxError};
use crate::embedded::{self, EmbeddedCluster, User};
use crate::kubelet::{self, ClientOf, Kubelet, Launcher, PodIdentity};

/// One lock for each name, so that one slow start holds up nobody else.
type Slot = Arc<Mutex<Option<Running>>>;

/// Makes and holds clusters.
pub(super) struct LocalClusters {
    directory: PathBuf,
    control_plane: LocalControlPlane,
    launcher: Arc<dyn Launcher>,
    durable: bool,
    /// One etcd serves all real control planes.
    etcd: OnceCell<SharedEtcd>,
    slots: Mutex<BTreeMap<String, Slot>>,
}

impl std::fmt::Debug for LocalClusters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalClusters")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

/// A cluster that runs.
struct Running {
    access: Access,
    plane: Plane,
    kubelet: Kubelet,
}

enum Plane {
    Real(Box<ControlPlane>),
    Embedded(EmbeddedCluster),
}

impl Running {
    async fn stop(self) {
        self.kubelet.shutdown().await;
        match self.plane {
            Plane::Real(plane) => plane.stop().await,
            Plane::Embedded(cluster) => cluster.shutdown().await,
        }
    }
}

impl LocalClusters {
    pub(super) fn new(options: &LocalCloudOptions) -> Self {
        Self {
            directory: options.data_dir.join("clusters"),
            control_plane: options.control_plane.clone(),
            launcher: Arc::new(OwnPorts(options.launcher.clone())),
            durable: options.durable,
            etcd: OnceCell::new(),
            slots: Mutex::new(BTreeMap::new()),
        }
    }

    async fn slot(&self, name: &str) -> Slot {
        self.slots
            .lock()
            .await
            .entry(name.to_owned())
            .or_default()
            .clone()
    }

    /// Freezes a cluster's API server, or lets it continue. Does nothing where there is no process to freeze.
    pub(super) async fn freeze(&self, name: &str, frozen: bool) -> Result<(), BoxError> {
        let slot = self.slot(name).await;
        let mut slot = slot.lock().await;
        let running = slot.as_mut().ok_or("there is no such cluster")?;
        match &mut running.plane {
            Plane::Real(plane) if frozen => Ok(plane.pause()?),
            Plane::Real(plane) => Ok(plane.resume()?),
            Plane::Embedded(_) => Ok(()),
        }
    }

    /// Starts a cluster with what an earlier start left in its directory, or finds it running.
    pub(super) async fn start(
        &self,
        name: &str,
        version: &str,
        authenticator: Authenticator,
    ) -> Result<Access, BoxError> {
        let slot = self.slot(name).await;
        let mut slot = slot.lock().await;
        if let Some(running) = slot.as_ref() {
            return Ok(running.access.clone());
        }
        let home = self.directory.join(name);
        let (plane, access) = match &self.control_plane {
            LocalControlPlane::Real(binaries) => self.start_real(binaries, &home, authenticator).await?,
            LocalControlPlane::Embedded => start_embedded(name, version, &home, authenticator).await?,
        };
        let kubelet = Kubelet::start(kubelet::Options {
            cluster: name.to_owned(),
            access: access.clone(),
            client: ClientOf(client(&access).await?),
            identity: match plane {
                Plane::Real(_) => PodIdentity::ServiceAccount,
                Plane::Embedded(_) => PodIdentity::Administrator,
            },
            launcher: self.launcher.clone(),
            dir: home.join("pods"),
        });
        *slot = Some(Running {
            access: access.clone(),
            plane,
            kubelet,
        });
        Ok(access)
    }

    async fn start_real(
        &self,
        binaries: &Binaries,
        home: &Path,
        authenticator: Authenticator,
    ) -> Result<(Plane, Access), BoxError> {
        let beside = self.directory.with_file_name("etcd");
        let etcd = self
            .etcd
            .get_or_try_init(|| SharedEtcd::start(binaries, Some(&beside), self.durable))
            .await?;
        let options = control_plane::Options {
            data_dir: Some(home.to_owned()),
            token_webhook: Some(TokenWebhook {
                url: authenticator.webhook_url,
                ca_pem: authenticator.webhook_ca_pem,
            }),
            etcd: Some(etcd.clone()),
            ..control_plane::Options::default()
        };
        let plane = ControlPlane::start(binaries, options).await?;
        let access = plane.access();
        Ok((Plane::Real(Box::new(plane)), access))
    }

    /// The access to every cluster that runs.
    pub(super) async fn running(&self) -> BTreeMap<String, Access> {
        let slots = self.slots.lock().await.clone();
        let mut running = BTreeMap::new();
        for (name, slot) in slots {
            if let Some(cluster) = slot.lock().await.as_ref() {
                running.insert(name, cluster.access.clone());
            }
        }
        running
    }

    /// Stops everything; what is on disk stays.
    pub(super) async fn stop_all(&self) {
        let slots = std::mem::take(&mut *self.slots.lock().await);
        let stopping = slots.into_values().map(|slot| async move {
            if let Some(running) = slot.lock().await.take() {
                running.stop().await;
            }
        });
        futures::future::join_all(stopping).await;
    }
}

async fn start_embedded(
    name: &str,
    version: &str,
    home: &Path,
    authenticator: Authenticator,
) -> Result<(Plane, Access), BoxError> {
    let check = authenticator.check;
    let cluster = EmbeddedCluster::start(embedded::Options {
        name: name.to_owned(),
        data_dir: Some(home.to_owned()),
        version: format!("v{version}.0"),
        authenticator: Some(Arc::new(move |token| {
            check(token).map(|(name, groups)| User { name, groups })
        })),
        ..embedded::Options::default()
    })
    .await?;
    let access = cluster.listen(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    write_private(&home.join("kubeconfig"), &access.kubeconfig(name))?;
    Ok((Plane::Embedded(cluster), access))
}

#[async_trait]
impl Backend for LocalClusters {
    async fn start_cluster(
        &self,
        name: &str,
        version: &str,
        authenticator: Authenticator,
    ) -> Result<Access, BoxError> {
        self.start(name, version, authenticator).await
    }

    async fn stop_cluster(&self, name: &str) -> Result<(), BoxError> {
        let slot = self.slot(name).await;
        if let Some(running) = slot.lock().await.take() {
            running.stop().await;
        }
        self.slots.lock().await.remove(name);
        match std::fs::remove_dir_all(self.directory.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// A client with the administrator's rights.
pub(super) async fn client(access: &Access) -> Result<kube::Client, BoxError> {
    // More than one provider in a program makes rustls refuse to choose; an earlier choice is kept.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = Kubeconfig::from_yaml(&access.kubeconfig("local"))?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(kube::Client::try_from(config)?)
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path)?.write_all(text.as_bytes())
}
