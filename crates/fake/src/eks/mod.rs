//! A fake EKS: the REST API the AWS SDKs speak, on plain HTTP on loopback, with state, time, limits and faults.
//!
//! What it makes is real as far as its [`Backend`] is: clusters are local Kubernetes APIs that take EKS bearer tokens, and
//! the nodes of a node group are Node objects in them. It knows nothing of Berth.
//!
//! Operations: clusters, node groups, updates, tags and access entries as Berth uses them, and `GetCallerIdentity` of
//! STS. Not here: add-ons, Fargate, versions' life cycle, quotas of EC2. An operation that is not here is refused, never
//! silently accepted. One account, and one namespace of clusters whatever the region.

mod authenticate;
mod backend;
mod faults;
mod http;
mod lifecycle;
mod machines;
mod nodes;
mod operations;
mod refusal;
mod sigv4;
mod state;
mod store;
mod webhook;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use berth_runtime::clock::{Clock, SystemClock};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use authenticate::User;
pub use backend::{Authenticator, Backend, BoxError, Check, NoClusters};
pub use faults::Faults;
pub use sigv4::AccessKey;

use crate::access::Access;
use state::State;

/// The account everything is in.
pub const ACCOUNT: &str = "111122223333";

/// How a fake EKS behaves.
#[derive(Debug)]
pub struct Options {
    /// Where its state is kept, so that a second start continues with it; none forgets.
    pub data_dir: Option<PathBuf>,
    /// Who makes clusters.
    pub backend: Arc<dyn Backend>,
    /// How long things take.
    pub timings: Timings,
    /// The account's quotas.
    pub limits: Limits,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Region in names and addresses of what it makes.
    pub region: String,
}

impl Options {
    /// Nothing kept, no time taken, the usual quotas, a free port of loopback.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self {
            data_dir: None,
            backend,
            timings: Timings::default(),
            limits: Limits::default(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            region: "eu-central-1".to_owned(),
        }
    }
}

/// How long things take in a fake EKS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timings {
    /// This long, and however long the backend needs.
    Real {
        /// A cluster, to be made or removed.
        cluster: Duration,
        /// A node group, to be made or removed.
        nodegroup: Duration,
        /// A change.
        update: Duration,
    },
    /// Until [`FakeEks::advance`].
    Held,
}

impl Default for Timings {
    fn default() -> Self {
        Self::Real {
            cluster: Duration::ZERO,
            nodegroup: Duration::ZERO,
            update: Duration::ZERO,
        }
    }
}

/// Quotas of a fake account, as AWS sets them for a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Clusters in the account.
    pub clusters: usize,
    /// Node groups in a cluster.
    pub nodegroups: usize,
    /// Nodes in a node group.
    pub nodes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            clusters: 100,
            nodegroups: 30,
            nodes: 450,
        }
    }
}

/// Why a fake EKS could not start or take a cluster in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A socket or file.
    #[error("{doing}")]
    Io {
        /// What was tried.
        doing: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The state of an earlier run cannot be read.
    #[error("read the fake EKS's state in {path}")]
    State {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// The webhook's certificate.
    #[error("make the token webhook's certificate")]
    Certificate(#[source] BoxError),
    /// A cluster of an earlier run did not come back.
    #[error("bring back cluster {cluster}")]
    Backend {
        /// Its name.
        cluster: String,
        /// Why not.
        #[source]
        source: BoxError,
    },
}

/// A running fake EKS. Clones are the same one.
#[derive(Clone, Debug)]
pub struct FakeEks {
    inner: Arc<Inner>,
}

/// What all rooms of the fake share.
#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    faults: Faults,
    keys: sigv4::Keys,
    backend: Arc<dyn Backend>,
    timings: Timings,
    limits: Limits,
    region: String,
    clock: Arc<dyn Clock>,
    data_dir: Option<PathBuf>,
    address: SocketAddr,
    webhook: webhook::Identity,
    /// Raised by [`FakeEks::advance`].
    advanced: watch::Sender<u64>,
    /// Transitions under way.
    under_way: watch::Sender<usize>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FakeEks {
    /// Starts it, with what an earlier run in the same directory left.
    ///
    /// # Errors
    /// [`Error`] says what could not be read, bound or brought back.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let state = store::load(options.data_dir.as_deref())?;
        let bind = |listen: SocketAddr| async move {
            TcpListener::bind(listen).await.map_err(|source| Error::Io {
                doing: format!("listen on {listen}"),
                source,
            })
        };
        let local = |listener: &TcpListener| {
            listener.local_addr().map_err(|source| Error::Io {
                doing: "read the listener's address".to_owned(),
                source,
            })
        };
        let api = bind(options.listen).await?;
        let hooks = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let (webhook, acceptor) = webhook::Identity::new(local(&hooks)?).map_err(Error::Certificate)?;
        let inner = Arc::new(Inner {
            state: Mutex::new(state),
            faults: Faults::default(),
            keys: sigv4::Keys::new(),
            backend: options.backend,
            timings: options.timings,
            limits: options.limits,
            region: options.region,
            clock: Arc::new(SystemClock::new()),
            data_dir: options.data_dir,
            address: local(&api)?,
            webhook,
            advanced: watch::Sender::new(0),
            under_way: watch::Sender::new(0),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        inner.tasks.spawn(http::serve(api, inner.clone()));
        inner.tasks.spawn(webhook::serve(hooks, acceptor, inner.clone()));
        lifecycle::resume(&inner).await?;
        Ok(Self { inner })
    }

    /// Where AWS SDKs are pointed to (`endpoint_url`, `AWS_ENDPOINT_URL`).
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.inner.address)
    }

    /// The account's first access key; its owner makes clusters and so is their administrator.
    #[must_use]
    pub fn credentials(&self) -> AccessKey {
        self.inner.keys.first()
    }

    /// A further access key, of the user called `name`, who is in no cluster yet.
    #[must_use]
    pub fn add_user(&self, name: &str) -> AccessKey {
        self.inner.keys.add(name)
    }

    /// What goes wrong next.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// Names of the clusters there are.
    #[must_use]
    pub fn clusters(&self) -> Vec<String> {
        self.inner.state().clusters.keys().cloned().collect()
    }

    /// Node groups there are, each with its cluster.
    #[must_use]
    pub fn nodegroups(&self) -> Vec<(String, String)> {
        let state = self.inner.state();
        let pairs = state.clusters.iter();
        pairs
            .flat_map(|(cluster, it)| {
                it.nodegroups
                    .keys()
                    .map(move |group| (cluster.clone(), group.clone()))
            })
            .collect()
    }

    /// How to reach a cluster as its administrator; none while it is not active.
    #[must_use]
    pub fn access(&self, cluster: &str) -> Option<Access> {
        self.inner.state().clusters.get(cluster)?.access.clone()
    }

    /// Shows a cluster that exists already as an active EKS cluster, so that node groups can be made in it. Taking it in
    /// again after a restart keeps its node groups.
    ///
    /// # Errors
    /// [`Error::Backend`] when the Node objects of its node groups cannot be written.
    pub async fn adopt(&self, name: &str, access: Access, version: &str, region: &str) -> Result<(), Error> {
        operations::clusters::adopt(&self.inner, name, access, version, region);
        store::save(&self.inner);
        lifecycle::restore_nodes(&self.inner, name)
            .await
            .map_err(|source| Error::Backend {
                cluster: name.to_owned(),
                source,
            })
    }

    /// Who presents `bearer_token` to a cluster; none when it is no valid token for this cluster or its owner is not
    /// admitted there.
    #[must_use]
    pub fn authenticate(&self, cluster: &str, bearer_token: &str) -> Option<User> {
        authenticate::user(&self.inner, cluster, bearer_token)
    }

    /// The address kube-apiserver asks (`--authentication-token-webhook-config-file`), TokenReview of
    /// `authentication.k8s.io/v1`.
    #[must_use]
    pub fn webhook_url(&self, cluster: &str) -> String {
        self.inner.webhook.url(cluster)
    }

    /// The certificate authority of [`Self::webhook_url`], PEM.
    #[must_use]
    pub fn webhook_ca_pem(&self) -> String {
        self.inner.webhook.ca_pem.clone()
    }

    /// Rewrites a tag of everything there is, as a person with access to the account could.
    pub fn retag_everything(&self, key: &str, value: &str) {
        self.inner.state().retag(key, value);
        store::save(&self.inner);
    }

    /// Brings everything under way to its end.
    pub async fn advance(&self) {
        let mut under_way = self.inner.under_way.subscribe();
        self.inner.advanced.send_modify(|times| *times += 1);
        // An error means that the fake is gone, and with it everything under way.
        drop(under_way.wait_for(|count| *count == 0).await);
    }

    /// Stops serving and waits until everything it started has ended. Its clusters are the backend's to stop.
    pub async fn shutdown(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}
