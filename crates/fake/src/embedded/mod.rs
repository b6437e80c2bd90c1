//! An embedded Kubernetes API: one cluster's API server and the controllers Berth leans on, inside this process.
//!
//! It is a `tower` service that [`kube::Client`] calls directly; [`EmbeddedCluster::listen`] puts the same service behind
//! TLS on loopback so that plain `kubectl` works too. It has discovery, CRUD, the patch types, server-side apply with field
//! ownership (after the published schema in `schema.txt`), list and watch with resource versions, namespace finalisation,
//! garbage collection, quotas, workloads whose pods turn ready, and service accounts' tokens, good until it stops.
//!
//! What it lacks, on purpose: admission policies are stored and never evaluated, RBAC objects are stored and every
//! authenticated caller may do everything, there is no pod security, no CEL, no webhooks, no custom resources, no protobuf,
//! no logs, exec or port-forward, and pods run nothing. [`LACKS`] says so to programs and every answer carries it in the
//! header `berth-lacks`. What needs those belongs on a real control plane ([`crate::control_plane`] starts one).
//! The contract suite in `tests/contract.rs` holds everything else against a real kube-apiserver.

mod access;
mod api;
mod controllers;
mod failure;
mod journal;
mod kinds;
mod listen;
mod object;
mod ownership;
mod schema;
mod service;
mod shape;
mod store;
mod time;
mod watch;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::access::Access;
pub use api::requests::RequestCounts;
pub use failure::Error;
pub use service::EmbeddedService;

use api::Api;

/// What an embedded cluster does not do, as the `berth-lacks` header of every answer says it.
pub const LACKS: &str = "admission-policies,authorization,pod-security,webhooks,custom-resources";

/// Someone a token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user name.
    pub name: String,
    /// The groups the user is in, without the built-in `system:authenticated`.
    pub groups: Vec<String>,
}

/// Tells whose bearer token this is; `None` refuses it.
pub type Authenticator = Arc<dyn Fn(&str) -> Option<User> + Send + Sync>;

/// How an [`EmbeddedCluster`] is started.
#[derive(Clone)]
pub struct Options {
    /// Its name, used in its kubeconfig and certificate.
    pub name: String,
    /// Where a journal of writes, the CA, the admin token and the port are kept, so that the next start continues with
    /// the same cluster. `None` keeps everything in memory.
    pub data_dir: Option<PathBuf>,
    /// What `/version` reports as `gitVersion`.
    pub version: String,
    /// Whether Deployments, StatefulSets, DaemonSets, Jobs and Pods come to life.
    pub workloads: bool,
    /// Recognises bearer tokens besides the cluster's own admin token.
    pub authenticator: Option<Authenticator>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "embedded".into(),
            data_dir: None,
            version: "v1.36.3".into(),
            workloads: true,
            authenticator: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("name", &self.name)
            .field("data_dir", &self.data_dir)
            .field("version", &self.version)
            .field("workloads", &self.workloads)
            .finish_non_exhaustive()
    }
}

/// A running embedded cluster. Cheap to clone; it stops when the last clone is dropped or at [`EmbeddedCluster::shutdown`].
#[derive(Clone)]
pub struct EmbeddedCluster {
    inner: Arc<Inner>,
}

struct Inner {
    api: Arc<Api>,
    identity: access::Identity,
    listening: Mutex<Option<Access>>,
    stop: CancellationToken,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl fmt::Debug for EmbeddedCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedCluster")
            .field("name", &self.inner.identity.name)
            .finish_non_exhaustive()
    }
}

impl EmbeddedCluster {
    /// Starts a cluster: its API and its controllers, in tasks of the current tokio runtime.
    ///
    /// # Errors
    /// When the data directory cannot be read or written, or what it holds is damaged.
    pub async fn start(options: Options) -> Result<Self, Error> {
        Self::start_with(options, true)
    }

    /// Starts the API alone: nothing but requests changes anything. Namespaces do not end, quotas are not counted.
    ///
    /// # Errors
    /// As [`EmbeddedCluster::start`].
    pub async fn start_bare(options: Options) -> Result<Self, Error> {
        Self::start_with(
            Options {
                workloads: false,
                ..options
            },
            false,
        )
    }

    fn start_with(options: Options, controllers: bool) -> Result<Self, Error> {
        let stop = CancellationToken::new();
        let identity = access::Identity::load_or_make(&options.name, options.data_dir.as_deref())?;
        let store = journal::open(options.data_dir.as_deref())?;
        let api = Api::new(store, &options, &identity.ca_pem);
        api.bootstrap();
        if controllers {
            controllers::start(&api, options.workloads, &stop);
        }
        Ok(Self {
            inner: Arc::new(Inner {
                api,
                identity,
                listening: Mutex::new(None),
                stop,
            }),
        })
    }

    /// A client that calls the API in this process, as an administrator.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.service(), "default")
    }

    /// The API as a `tower` service, for an administrator (no token is asked for).
    #[must_use]
    pub fn service(&self) -> EmbeddedService {
        EmbeddedService::trusted(self.inner.api.clone())
    }

    /// Serves the API with TLS on `address` (port 0: the port of the previous start if there was one, else any) until shutdown.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn listen(&self, address: SocketAddr) -> Result<Access, Error> {
        let access = listen::listen(&self.inner.api, &self.inner.identity, address, &self.inner.stop).await?;
        *self
            .inner
            .listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(access.clone());
        Ok(access)
    }

    /// How to reach the cluster from outside this process; `None` until [`EmbeddedCluster::listen`].
    #[must_use]
    pub fn access(&self) -> Option<Access> {
        self.inner
            .listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How many requests of each verb clients have made since the start. The cluster's own controllers are not counted.
    #[must_use]
    pub fn requests(&self) -> RequestCounts {
        self.inner.api.requests.counts()
    }

    /// Stops the controllers, the listener and every watch; all later requests are refused. Waits until the journal is on disk.
    pub async fn shutdown(&self) {
        self.inner.stop.cancel();
        self.inner.api.close();
        tokio::task::yield_now().await;
    }
}
