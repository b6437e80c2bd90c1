//! Real Kubernetes control planes as local processes: etcd, kube-apiserver and, where asked for, the controller manager,
//! the scheduler and kwok, which plays the nodes.
//!
//! This room knows how such processes are found, started, watched, paused and ended, and that none of them outlives the
//! process that started it. It does not know how the binaries come to a machine (`cargo xtask control-plane` does), and
//! nothing of Berth: whoever uses a control plane sees a kubeconfig.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use berth_fake::control_plane::{Binaries, ControlPlane, Options};
//! let cluster = ControlPlane::start(&Binaries::find()?, Options::default()).await?;
//! let version = cluster.client().apiserver_version().await?;
//! println!("{} at {}", version.git_version, cluster.access().url);
//! cluster.stop().await;
//! # Ok(()) }
//! ```

mod binaries;
mod client;
mod components;
mod error;
mod etcd;
mod etcd_cluster;
mod guard;
mod home;
mod options;
mod peers;
mod pki;
mod process;
mod stages;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod webhook_tests;

pub use binaries::{Binaries, Binary, NotFound, VERSION, cache_in};
pub use client::client;
pub use error::Error;
pub use etcd::SharedEtcd;
pub use etcd_cluster::{Cut, EtcdCluster, EtcdClusterOptions, EtcdTls};
pub use options::{Options, TokenWebhook};

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;

use crate::access::Access;
use components::Apiserver;
use guard::Guard;
use home::Home;
use pki::Pki;
use process::{Process, Signal};

/// How long a process may take to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// A running control plane. Dropping it kills its processes and, without a data directory, removes what they wrote.
///
/// Its processes end with the process that started them, even when that one is killed without a chance to clean up.
///
/// # Guarantees
/// When [`start`](Self::start) returns, the API is ready and, with a controller manager, the namespace `default` has its
/// service account, so pods can be created. Components that dial the API themselves (scheduler, kwok) run, but may need
/// another moment for their first look at it.
pub struct ControlPlane {
    // Fields are dropped in this order: whoever depends on another goes first.
    followers: Vec<Process>,
    apiserver: Process,
    etcd: SharedEtcd,
    guard: Arc<Guard>,
    access: Access,
    client: Client,
    home: Home,
}

impl fmt::Debug for ControlPlane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlPlane")
            .field("url", &self.access.url)
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
}

impl ControlPlane {
    /// Starts the processes and waits until the API is ready.
    ///
    /// With a data directory that an earlier control plane used, it continues with the same URL, certificate authority,
    /// credentials and objects.
    ///
    /// # Errors
    /// A binary is missing, a process does not start or stops again (the end of its log is in the message), or the API is
    /// not ready in time.
    pub async fn start(binaries: &Binaries, options: Options) -> Result<Self, Error> {
        // More than one provider in a program makes rustls refuse to choose; an earlier choice is kept.
        let _ = rustls::crypto::ring::default_provider().install_default();
        for (wanted, binary) in [
            (options.controller_manager, Binary::ControllerManager),
            (options.scheduler, Binary::Scheduler),
            (options.kwok, Binary::Kwok),
        ] {
            if wanted {
                // Said before anything is started, not a minute later.
                binaries.require(binary)?;
            }
        }
        let home = Home::open(options.data_dir.as_deref())?;
        let pki = Pki::load_or_create(&home.pki())?;
        let guard = Arc::new(Guard::start(home.temporary())?);
        let etcd = match &options.etcd {
            Some(shared) => shared.clone(),
            None => SharedEtcd::start(binaries, Some(&home.etcd()), home.is_kept()).await?,
        };
        let Apiserver {
            process: apiserver,
            access,
            client,
        } = components::apiserver(binaries, &options, &home, &pki, &etcd, &guard).await?;

        let mut plane = Self {
            followers: Vec::new(),
            apiserver,
            etcd,
            guard,
            access,
            client,
            home,
        };
        plane.follow(binaries, &options, &pki).await?;
        Ok(plane)
    }

    async fn follow(&mut self, binaries: &Binaries, options: &Options, pki: &Pki) -> Result<(), Error> {
        let url = &self.access.url;
        if options.controller_manager {
            let process = components::controller_manager(binaries, &self.home, pki, url, &self.guard)?;
            self.followers.push(process);
        }
        if options.scheduler {
            self.followers.push(components::scheduler(
                binaries,
                &self.home,
                pki,
                url,
                &self.guard,
            )?);
        }
        if options.kwok {
            self.followers
                .push(components::kwok(binaries, &self.home, pki, url, &self.guard)?);
        }
        if options.controller_manager {
            components::default_account(&self.client, &mut self.followers, &self.apiserver).await?;
        }
        Ok(())
    }

    /// How to reach the API as its administrator: a client certificate of the group `system:masters`.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access.clone()
    }

    /// A client with the administrator's rights. Clones share their connections; [`client()`] makes separate ones.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The administrator's kubeconfig, for `kubectl --kubeconfig`.
    #[must_use]
    pub fn kubeconfig_path(&self) -> &Path {
        self.home.kubeconfig()
    }

    /// The directory with the processes' logs, one file for each; etcd's lies beside its data.
    #[must_use]
    pub fn logs_path(&self) -> &Path {
        self.home.logs()
    }

    /// The etcd this control plane keeps its objects in.
    #[must_use]
    pub fn etcd(&self) -> SharedEtcd {
        self.etcd.clone()
    }

    /// The metrics of the kube-apiserver in the Prometheus text format.
    ///
    /// # Errors
    /// The API does not answer.
    pub async fn metrics(&self) -> Result<String, Error> {
        client::get_text(&self.client, "/metrics")
            .await
            .map_err(|source| Error::Metrics {
                url: self.access.url.clone(),
                source: Box::new(source),
            })
    }

    /// The resident memory of each process in bytes, by the name of its program; processes that have ended are left out.
    #[must_use]
    pub fn resident_memory(&self) -> Vec<(Binary, u64)> {
        let own = self.followers.iter().chain([&self.apiserver]);
        own.filter_map(|process| Some((process.binary(), process.resident_memory()?)))
            .chain(self.etcd.resident_memory().map(|bytes| (Binary::Etcd, bytes)))
            .collect()
    }

    /// Tells whether every process still runs.
    ///
    /// # Errors
    /// The first one that does not, with the end of its log.
    pub fn ensure_running(&mut self) -> Result<(), Error> {
        self.apiserver.ensure_running()?;
        self.followers.iter_mut().try_for_each(Process::ensure_running)
    }

    /// Freezes the kube-apiserver: connections stay open, nothing is answered. [`resume`](Self::resume) undoes it.
    ///
    /// # Errors
    /// The process has ended.
    pub fn pause(&mut self) -> Result<(), Error> {
        self.apiserver.signal(Signal::STOP)
    }

    /// Lets a paused kube-apiserver continue.
    ///
    /// # Errors
    /// The process has ended.
    pub fn resume(&mut self) -> Result<(), Error> {
        self.apiserver.signal(Signal::CONT)
    }

    /// Ends all processes in order, the way an administrator would.
    pub async fn stop(mut self) {
        for process in self.followers.iter_mut().rev() {
            process.terminate(GRACE).await;
        }
        self.apiserver.terminate(GRACE).await;
        self.etcd.release().await;
    }

    /// Kills all processes at once, as a power failure would; an etcd that others share goes on.
    pub async fn kill(mut self) {
        for process in &mut self.followers {
            process.kill();
        }
        self.apiserver.kill();
    }
}
